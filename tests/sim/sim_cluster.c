// SPDX-License-Identifier: MIT
/*
 * sim_cluster - a simulated cluster store behind cluster/cluster.h.
 *
 * One linearizable store per world: a request takes effect at one instant between its call and its answer. Requests
 * and answers take time and are lost: a caller may hear -ETIMEDOUT while the effect happened, will still happen, or
 * never will. A request outlives the host that sent it.
 */
#include "sim/sim_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/uuid.h"

#define DEATH_SEEN_NS HF_SEC		/* a death is noticed within this */

struct entry {
	char *key;
	char *value;
	size_t len;
	uint64_t ver;
};

/* Sorted by key. */
struct sim_cluster_state {
	struct entry *entry;
	size_t count, cap;
	uint64_t ver;			/* of the newest change */
};

struct store {
	struct sim_cluster_state now;
	struct hf_list handles;
	struct hf_list requests;
	struct hf_list notices;
};

/* Of one daemon; kept until the world ends. */
struct daemon {
	struct hf_cluster base;
	struct hf_list link;
	struct host *host;
	uint32_t host_gen;
	bool is_closed;
	hf_nsec seen_until;		/* dead: others may still believe it alive */
	char name[HF_NAME_MAX];		/* announced; "" */
	struct hf_list watches;
};

enum request_kind { REQUEST_GET, REQUEST_LIST, REQUEST_CAS, REQUEST_ANNOUNCE, REQUEST_ALIVE };

struct request {
	struct hf_list link;
	struct daemon *from;
	struct hf_cluster_req *q;
	enum request_kind kind;
	char key[HF_CLUSTER_KEY_MAX];
	char *was;			/* NULL: any */
	char *value;			/* NULL: delete */
	uint64_t ver;
	uint32_t refs;			/* events to come */
	bool is_answer_lost;
	bool is_in_turn;		/* handed to the host, one ref */
	hf_nsec deadline;
	int result;
	uint64_t out_ver;
	struct sim_cluster_state out;	/* items of the answer */
};

struct notice {
	struct hf_list link;
	struct daemon *to;
	bool is_in_turn;		/* handed to the host */
	char key[HF_CLUSTER_KEY_MAX];
};

/* State. */

static size_t find(const struct sim_cluster_state *s, const char *key, bool *is_there)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (strcmp(s->entry[mid].key, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*is_there = low < s->count && strcmp(s->entry[low].key, key) == 0;
	return low;
}

static void insert(struct sim_cluster_state *s, size_t at, const char *key)
{
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 8;
		s->entry = realloc(s->entry, s->cap * sizeof(*s->entry));
		hf_assert(s->entry);
	}
	memmove(s->entry + at + 1, s->entry + at, (s->count - at) * sizeof(*s->entry));
	s->entry[at] = (struct entry){ .key = strdup(key) };
	s->count++;
}

static void set(struct sim_cluster_state *s, const char *key, const char *value, uint64_t ver)
{
	bool is_there;
	size_t at = find(s, key, &is_there);

	if (!is_there)
		insert(s, at, key);
	free(s->entry[at].value);
	s->entry[at].value = strdup(value);
	s->entry[at].len = strlen(value);
	s->entry[at].ver = ver;
}

static void drop(struct sim_cluster_state *s, size_t at)
{
	free(s->entry[at].key);
	free(s->entry[at].value);
	s->count--;
	memmove(s->entry + at, s->entry + at + 1, (s->count - at) * sizeof(*s->entry));
}

static void clear(struct sim_cluster_state *s)
{
	while (s->count > 0)
		drop(s, s->count - 1);
	free(s->entry);
	*s = (struct sim_cluster_state){ 0 };
}

/* Everything whose key starts with `prefix`. */
static void copy(struct sim_cluster_state *to, const struct sim_cluster_state *from, const char *prefix)
{
	for (size_t i = 0; i < from->count; i++)
		if (strncmp(from->entry[i].key, prefix, strlen(prefix)) == 0)
			set(to, from->entry[i].key, from->entry[i].value, from->entry[i].ver);
	to->ver = from->ver;
}

/* Watches. */

static bool is_alive(const struct daemon *h)
{
	return !h->is_closed && h->host->is_up && h->host->gen == h->host_gen;
}

static void tell_watches(struct sim_world *w, void *ctx)
{
	struct notice *t = ctx;
	struct daemon *h = t->to;
	struct hf_list todo;
	struct hf_list *n;

	(void)w;
	hf_list_init(&todo);
	if (!h->is_closed)
		hf_list_splice(&todo, &h->watches);
	hf_list_del(&t->link);
	while ((n = hf_list_pop(&todo))) {
		struct hf_cluster_watch *x = hf_container_of(n, struct hf_cluster_watch, link);

		hf_list_add_tail(&h->watches, &x->link);
		if (strncmp(t->key, x->prefix, strlen(x->prefix)) == 0)
			x->changed(x);
	}
	free(t);
}

static void notice_arrived(struct sim_world *w, void *ctx)
{
	struct notice *t = ctx;

	(void)w;
	if (is_alive(t->to) && !t->to->host->is_cluster_cut) {
		t->is_in_turn = true;
		sim_deliver(t->to->host, tell_watches, t);
		return;
	}
	hf_list_del(&t->link);
	free(t);
}

static hf_nsec delay(struct host *h)
{
	hf_nsec t = sim_latency(&h->rng[STREAM_CLUSTER], h->config.cluster_delay);

	if (sim_chance(h, SIM_CLUSTER_SPIKE))
		t += rng_below(&h->rng[SIM_CLUSTER_SPIKE], h->config.cluster_spike);
	return t;
}

static void notify(struct sim_world *w, const char *key)
{
	hf_list_each(&w->store->handles, n) {
		struct daemon *h = hf_container_of(n, struct daemon, link);
		struct notice *t;

		if (!is_alive(h) || hf_list_is_empty(&h->watches) || sim_chance(h->host, SIM_CLUSTER_LOST_WATCH))
			continue;
		t = calloc(1, sizeof(*t));
		hf_assert(t);
		t->to = h;
		memcpy(t->key, key, strlen(key) + 1);
		hf_list_add_tail(&w->store->notices, &t->link);
		sim_at(w, w->now + delay(h->host), notice_arrived, t);
	}
}

/* Effects. */

static void do_cas(struct sim_world *w, struct request *r)
{
	struct sim_cluster_state *s = &w->store->now;
	bool is_there;
	size_t at = find(s, r->key, &is_there);
	uint64_t ver = is_there ? s->entry[at].ver : 0;

	if (ver != r->ver || (!is_there && !r->value) || (is_there && r->was && strcmp(s->entry[at].value, r->was))) {
		r->result = -ESTALE;
		return;
	}
	r->out_ver = ++s->ver;
	if (r->value)
		set(s, r->key, r->value, r->out_ver);
	else
		drop(s, at);
	sim_fold(w, sim_mix(r->out_ver));
	notify(w, r->key);
}

static void do_get(struct sim_world *w, struct request *r)
{
	struct sim_cluster_state *s = &w->store->now;
	bool is_there;
	size_t at = find(s, r->key, &is_there);

	if (is_there)
		set(&r->out, s->entry[at].key, s->entry[at].value, s->entry[at].ver);
	else
		r->result = -ENOENT;
}

static struct daemon *holder(struct sim_world *w, const char *name)
{
	hf_list_each(&w->store->handles, n) {
		struct daemon *h = hf_container_of(n, struct daemon, link);

		if (strcmp(h->name, name) == 0 && is_alive(h))
			return h;
	}
	return NULL;
}

static void do_announce(struct sim_world *w, struct request *r)
{
	struct daemon *h = holder(w, r->key);

	if (h && h != r->from)
		r->result = -EEXIST;
	else if (is_alive(r->from))
		memcpy(r->from->name, r->key, strlen(r->key) + 1);
}

/* A hint, and wrong at times: the dead are missed late, and who cannot reach the store seems dead. */
static void do_alive(struct sim_world *w, struct request *r)
{
	hf_list_each(&w->store->handles, n) {
		const struct daemon *h = hf_container_of(n, struct daemon, link);

		if (strcmp(h->name, r->key))
			continue;
		if (is_alive(h) ? !h->host->is_cluster_cut : w->now < h->seen_until)
			r->result = 1;
	}
}

/* Requests. */

static void request_put(struct request *r)
{
	hf_assert(r->refs > 0);
	if (--r->refs > 0)
		return;
	hf_list_del(&r->link);
	clear(&r->out);
	free(r->was);
	free(r->value);
	free(r);
}

static void effect(struct sim_world *w, void *ctx)
{
	struct request *r = ctx;

	switch (r->kind) {
	case REQUEST_GET:
		do_get(w, r);
		break;
	case REQUEST_LIST:
		copy(&r->out, &w->store->now, r->key);
		break;
	case REQUEST_CAS:
		do_cas(w, r);
		break;
	case REQUEST_ANNOUNCE:
		do_announce(w, r);
		break;
	case REQUEST_ALIVE:
		do_alive(w, r);
		break;
	}
	request_put(r);
}

/* A late copy of a compare-and-swap; the first one's answer stands. */
static void effect_again(struct sim_world *w, void *ctx)
{
	struct request *r = ctx;
	int result = r->result;
	uint64_t ver = r->out_ver;

	do_cas(w, r);
	r->result = result;
	r->out_ver = ver;
	request_put(r);
}

static void call_done(struct request *r)
{
	struct hf_cluster_item *items = NULL;
	bool has_items = r->result >= 0 && r->out.count > 0;

	if (has_items) {
		items = calloc(r->out.count, sizeof(*items));
		hf_assert(items);
	}
	for (size_t i = 0; has_items && i < r->out.count; i++) {
		const struct entry *e = &r->out.entry[i];

		items[i] = (struct hf_cluster_item){
			.key = e->key, .value = e->value, .value_len = e->len, .ver = e->ver,
		};
	}
	r->q->done(r->q, r->result, items, has_items ? r->out.count : 0, r->out_ver);
	free(items);
}

static void answer_in_turn(struct sim_world *w, void *ctx)
{
	struct request *r = ctx;

	(void)w;
	r->is_in_turn = false;
	if (!r->from->is_closed)
		call_done(r);
	request_put(r);
}

static void answer(struct sim_world *w, void *ctx)
{
	struct request *r = ctx;

	if (!is_alive(r->from)) {
		request_put(r);
		return;
	}
	/* Lost on the way: what the caller sees is its own patience ending. */
	if (r->from->host->is_cluster_cut && !r->is_answer_lost) {
		r->is_answer_lost = true;
		sim_at(w, r->deadline, answer, r);
		return;
	}
	if (r->is_answer_lost && r->result != -EIO) {
		r->result = -ETIMEDOUT;
		r->out_ver = 0;
	}
	r->is_in_turn = true;
	sim_deliver(r->from->host, answer_in_turn, r);
}

static bool is_nth(const struct request *r, enum sim_fault f)
{
	return r->kind == REQUEST_CAS && sim_is_nth(r->from->host, f);
}

/* Everything is drawn here: when it takes effect and when and what the caller hears. */
static void send(struct sim_world *w, struct request *r)
{
	struct host *h = r->from->host;
	hf_nsec effect_at = w->now + delay(h);
	hf_nsec answer_at = effect_at + delay(h);
	bool is_lost = sim_chance(h, SIM_CLUSTER_LOST_REQUEST) || is_nth(r, SIM_CLUSTER_LOST_REQUEST) ||
		       h->is_cluster_cut;

	r->deadline = w->now + h->config.cluster_timeout;
	r->is_answer_lost = is_lost || sim_chance(h, SIM_CLUSTER_LOST_ANSWER) || is_nth(r, SIM_CLUSTER_LOST_ANSWER) ||
			    answer_at > r->deadline;
	r->refs = 1;
	if (!is_lost) {
		r->refs = 2;
		sim_at(w, effect_at, effect, r);
		if (r->kind == REQUEST_CAS && sim_chance(h, SIM_CLUSTER_TWICE)) {
			r->refs = 3;
			sim_at(w, effect_at + delay(h), effect_again, r);
		}
	} else if (rng_below(&h->rng[STREAM_CLUSTER], 4) == 0) {
		/* Some failures show at once. */
		r->result = -EIO;
		r->deadline = answer_at;
	}
	sim_at(w, r->is_answer_lost ? r->deadline : answer_at, answer, r);
}

static void request(struct hf_cluster *c, struct hf_cluster_req *q, enum request_kind kind, const char *key,
		    const char *was, const char *value, uint64_t ver)
{
	struct daemon *h = hf_container_of(c, struct daemon, base);
	struct sim_world *w = h->host->world;
	struct request *r = calloc(1, sizeof(*r));

	hf_assert(r && is_alive(h) && q->done);
	r->from = h;
	r->q = q;
	r->kind = kind;
	r->ver = ver;
	hf_list_add_tail(&w->store->requests, &r->link);
	if (strlen(key) >= sizeof(r->key) || (value && strlen(value) > HF_CLUSTER_VALUE_MAX)) {
		r->result = -EINVAL;
		r->refs = 1;
		sim_at(w, w->now, answer, r);
		return;
	}
	memcpy(r->key, key, strlen(key) + 1);
	r->was = was ? strdup(was) : NULL;
	r->value = value ? strdup(value) : NULL;
	send(w, r);
}

static void cluster_get(struct hf_cluster *c, struct hf_cluster_req *q, const char *key)
{
	request(c, q, REQUEST_GET, key, NULL, NULL, 0);
}

static void cluster_list(struct hf_cluster *c, struct hf_cluster_req *q, const char *prefix)
{
	request(c, q, REQUEST_LIST, prefix, NULL, NULL, 0);
}

static void cluster_cas(struct hf_cluster *c, struct hf_cluster_req *q, const char *key, uint64_t ver,
			const char *was, const char *value)
{
	request(c, q, REQUEST_CAS, key, was, value, ver);
}

static void cluster_announce(struct hf_cluster *c, struct hf_cluster_req *q, const char *host)
{
	hf_assert(strlen(host) < HF_NAME_MAX);
	request(c, q, REQUEST_ANNOUNCE, host, NULL, NULL, 0);
}

static void cluster_alive(struct hf_cluster *c, struct hf_cluster_req *q, const char *host)
{
	request(c, q, REQUEST_ALIVE, host, NULL, NULL, 0);
}

static void cluster_watch(struct hf_cluster *c, struct hf_cluster_watch *x)
{
	struct daemon *h = hf_container_of(c, struct daemon, base);

	hf_list_add_tail(&h->watches, &x->link);
}

static void cluster_unwatch(struct hf_cluster *c, struct hf_cluster_watch *x)
{
	(void)c;
	hf_list_del(&x->link);
}

static void cluster_free(struct hf_cluster *c)
{
	struct daemon *h = hf_container_of(c, struct daemon, base);

	hf_assert(is_alive(h));
	h->is_closed = true;
	hf_list_init(&h->watches);
}

static const struct hf_cluster_ops ops = {
	.get = cluster_get,
	.list = cluster_list,
	.cas = cluster_cas,
	.watch = cluster_watch,
	.unwatch = cluster_unwatch,
	.announce = cluster_announce,
	.alive = cluster_alive,
	.free = cluster_free,
};

struct hf_cluster *sim_cluster_open(struct sim_world *w, uint32_t host)
{
	struct daemon *h = calloc(1, sizeof(*h));

	hf_assert(h && host < w->host_count && w->host[host].is_up);
	h->base.ops = &ops;
	h->host = &w->host[host];
	h->host_gen = h->host->gen;
	hf_list_init(&h->watches);
	hf_list_add_tail(&w->store->handles, &h->link);
	return &h->base;
}

/* World. */

void sim_store_init(struct sim_world *w)
{
	char text[HF_UUID_TEXT];
	struct hf_uuid u;

	w->store = calloc(1, sizeof(*w->store));
	hf_assert(w->store);
	hf_list_init(&w->store->handles);
	hf_list_init(&w->store->requests);
	hf_list_init(&w->store->notices);
	for (uint32_t i = 0; i < sizeof(u.b); i++)
		u.b[i] = (uint8_t)sim_mix(w->seed + 77 + i);
	hf_uuid_stamp(&u);
	set(&w->store->now, "cluster", hf_uuid_format(&u, text), ++w->store->now.ver);
}

/* The host's daemon is gone: what it asked still happens, but nobody hears. */
void sim_store_crash(struct host *h)
{
	hf_list_each(&h->world->store->requests, n) {
		struct request *r = hf_container_of(n, struct request, link);

		if (r->from->host == h && r->is_in_turn) {
			r->is_in_turn = false;
			request_put(r);
		}
	}
	hf_list_each(&h->world->store->notices, n) {
		struct notice *t = hf_container_of(n, struct notice, link);

		if (t->to->host == h && t->is_in_turn) {
			hf_list_del(&t->link);
			free(t);
		}
	}
	hf_list_each(&h->world->store->handles, n) {
		struct daemon *c = hf_container_of(n, struct daemon, link);

		if (c->host != h || c->is_closed)
			continue;
		c->is_closed = true;
		c->seen_until = h->world->now + rng_below(&h->rng[STREAM_CLUSTER], DEATH_SEEN_NS);
		hf_list_init(&c->watches);
	}
}

void sim_store_fini(struct sim_world *w)
{
	struct hf_list *n;

	while ((n = hf_list_pop(&w->store->requests))) {
		struct request *r = hf_container_of(n, struct request, link);

		clear(&r->out);
		free(r->value);
		free(r);
	}
	while ((n = hf_list_pop(&w->store->notices)))
		free(hf_container_of(n, struct notice, link));
	while ((n = hf_list_pop(&w->store->handles)))
		free(hf_container_of(n, struct daemon, link));
	clear(&w->store->now);
	free(w->store);
}

void sim_cluster_cut(struct sim_world *w, uint32_t host, bool is_cut)
{
	struct host *h = &w->host[host];

	hf_assert(host < w->host_count);
	w->counts[SIM_CLUSTER_DOWN] += is_cut && !h->is_cluster_cut;
	h->is_cluster_cut = is_cut;
}

struct sim_cluster_state *sim_cluster_save(struct sim_world *w)
{
	struct sim_cluster_state *s = calloc(1, sizeof(*s));

	hf_assert(s);
	copy(s, &w->store->now, "");
	return s;
}

void sim_cluster_restore(struct sim_world *w, const struct sim_cluster_state *s)
{
	w->counts[SIM_CLUSTER_ROLLBACK]++;
	clear(&w->store->now);
	copy(&w->store->now, s, "");
}

void sim_cluster_state_free(struct sim_cluster_state *s)
{
	if (!s)
		return;
	clear(s);
	free(s);
}

const char *sim_cluster_peek(struct sim_world *w, const char *key, uint64_t *ver)
{
	bool is_there;
	size_t at = find(&w->store->now, key, &is_there);

	if (!is_there)
		return NULL;
	if (ver)
		*ver = w->store->now.entry[at].ver;
	return w->store->now.entry[at].value;
}

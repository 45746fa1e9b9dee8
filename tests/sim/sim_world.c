// SPDX-License-Identifier: MIT
/*
 * sim_world - clock, event heap, randomness, hosts.
 *
 * Owns: the order of everything. Events at the same time are ordered by a hash of the seed and their number, so a
 * seed also chooses among the orders that real machines could show.
 */
#include "sim/sim_int.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 65536u
#define TURN_MAX (10 * HF_MS)		/* sim_turn() waits no longer */

uint64_t sim_mix(uint64_t v)
{
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9ull;
	v = (v ^ (v >> 27)) * 0x94d049bb133111ebull;
	return v ^ (v >> 31);
}

/* Pools. */

static void pool_grow(struct pool *p)
{
	size_t head = 64;
	size_t count = CHUNK_BYTES > head + p->size ? (CHUNK_BYTES - head) / p->size : 1;
	struct pool_item *chunk = calloc(1, head + count * p->size);
	char *at = (char *)chunk + head;

	hf_assert(chunk);
	chunk->next = p->chunks;
	p->chunks = chunk;
	for (size_t i = 0; i < count; i++, at += p->size) {
		struct pool_item *item = (struct pool_item *)(void *)at;

		item->next = p->free;
		p->free = item;
	}
}

void *pool_get(struct pool *p)
{
	struct pool_item *item;

	if (!p->free)
		pool_grow(p);
	item = p->free;
	p->free = item->next;
	return item;
}

void pool_put(struct pool *p, void *item)
{
	struct pool_item *i = item;

	i->next = p->free;
	p->free = i;
}

void pool_fini(struct pool *p)
{
	while (p->chunks) {
		struct pool_item *next = p->chunks->next;

		free(p->chunks);
		p->chunks = next;
	}
	p->free = NULL;
}

/* Event heap: four children per node keep it flat. */

static bool is_before(const struct event *a, const struct event *b)
{
	return a->time < b->time || (a->time == b->time && a->tie < b->tie);
}

static void sift_up(struct event *heap, size_t i)
{
	struct event e = heap[i];

	while (i > 0 && is_before(&e, &heap[(i - 1) / 4])) {
		heap[i] = heap[(i - 1) / 4];
		i = (i - 1) / 4;
	}
	heap[i] = e;
}

static void sift_down(struct event *heap, size_t len, size_t i)
{
	struct event e = heap[i];

	for (;;) {
		size_t first = i * 4 + 1, best = first;
		size_t end = first + 4 < len ? first + 4 : len;

		if (first >= len)
			break;
		for (size_t k = first + 1; k < end; k++)
			if (is_before(&heap[k], &heap[best]))
				best = k;
		if (!is_before(&heap[best], &e))
			break;
		heap[i] = heap[best];
		i = best;
	}
	heap[i] = e;
}

void sim_event_add(struct sim_world *w, hf_nsec at, enum event_kind kind, void *obj, uint32_t gen)
{
	if (w->heap_len == w->heap_cap) {
		w->heap_cap = w->heap_cap ? w->heap_cap * 2 : 1024;
		w->heap = realloc(w->heap, w->heap_cap * sizeof(*w->heap));
		hf_assert(w->heap);
	}
	w->heap[w->heap_len] = (struct event){
		.time = at > w->now ? at : w->now,
		.tie = sim_mix(w->seed + w->next_id++ * 0x9e3779b97f4a7c15ull),
		.obj = obj, .kind = kind, .gen = gen,
	};
	sift_up(w->heap, w->heap_len++);
}

void sim_fold(struct sim_world *w, uint64_t v)
{
	w->hash = (w->hash ^ v) * 0x9fb21c651e98df25ull;
	w->hash ^= w->hash >> 29;
}

bool sim_chance(struct host *h, enum sim_fault f)
{
	if (h->config.ppm[f] == 0 || rng_below(&h->rng[f], SIM_PPM) >= h->config.ppm[f])
		return false;
	h->world->counts[f]++;
	sim_fold(h->world, f);
	return true;
}

bool sim_is_nth(struct host *h, enum sim_fault f)
{
	if (h->nth == 0 || h->nth_fault != f)
		return false;
	if (h->nth > 1) {
		h->nth--;
		return false;
	}
	if (!h->is_nth_sticky)
		h->nth = 0;
	h->world->counts[f]++;
	sim_fold(h->world, f);
	return true;
}

void sim_fault_nth(struct sim_world *w, uint32_t host, enum sim_fault f, uint32_t nth, bool is_sticky)
{
	hf_assert(host < w->host_count);
	w->host[host].nth_fault = f;
	w->host[host].nth = nth;
	w->host[host].is_nth_sticky = is_sticky;
}

/* Half to one and a half of `typical`, and doubled as often as a coin falls heads after two heads, up to 2^4. */
hf_nsec sim_latency(struct rng *g, hf_nsec typical)
{
	uint64_t v = rng_next(g);
	hf_nsec t = typical / 2 + (typical * (v & 1023) >> 10);
	int heads = __builtin_ctzll((v >> 10) | (1u << 6));

	return heads > 2 ? t << (heads - 2) : t;
}

/* Hosts. */

static hf_nsec local_time(const struct host *h)
{
	hf_nsec dt = h->world->now - h->clock_world;
	__int128 skew = (__int128)dt * h->drift_ppm / SIM_PPM;

	return h->clock_local + dt + (hf_nsec)(int64_t)skew;
}

/* First moment at which the host's clock shows `local` or more. */
static hf_nsec world_time(const struct host *h, hf_nsec local)
{
	unsigned __int128 dt;

	if (local <= h->clock_local)
		return h->clock_world;
	dt = (unsigned __int128)(local - h->clock_local) * SIM_PPM / (uint32_t)((int32_t)SIM_PPM + h->drift_ppm);
	return dt > (1ull << 62) ? HF_NEVER : h->clock_world + (hf_nsec)dt + 2;
}

static void plan_turn(struct host *h, hf_nsec at)
{
	if (at < h->busy_until)
		at = h->busy_until;
	if (at >= h->turn_at)
		return;
	h->turn_at = at;
	sim_event_add(h->world, at, EVENT_TURN, h, h->gen);
}

void sim_wake(struct host *h)
{
	/* At the end of its turn a host looks for more work itself. */
	if (!h->is_up || h->is_paused || h->is_in_turn || h->turn_at != HF_NEVER)
		return;
	plan_turn(h, h->world->now + rng_below(&h->rng[STREAM_SCHED], 1000));
}

/* Timers are set without a word to the backend: look when the turn is over. */
static void plan_timer(struct host *h)
{
	hf_nsec next = hf_reactor_next_timer(&h->base);
	hf_nsec at;

	if (next == HF_NEVER)
		return;
	at = world_time(h, next);
	if (at < h->world->now)
		at = h->world->now;
	if (at >= h->timer_at)
		return;
	h->timer_at = at;
	sim_event_add(h->world, at, EVENT_TIMER, h, h->gen);
}

static bool has_work(const struct host *h)
{
	return !hf_list_is_empty(&h->done) || !hf_list_is_empty(&h->queued) || !hf_list_is_empty(&h->jobs) ||
	       !hf_list_is_empty(&h->calls) || !hf_list_is_empty(&h->base.tasks);
}

static void plan(struct host *h)
{
	if (!h->is_up || h->is_paused)
		return;
	if (has_work(h))
		sim_wake(h);
	plan_timer(h);
}

static void turn_event(struct host *h, const struct event *e)
{
	struct sim_world *w = h->world;

	if (e->time != h->turn_at)
		return;
	h->turn_at = HF_NEVER;
	if (h->is_paused)
		return;
	h->base.now = local_time(h);
	h->turns++;
	h->is_in_turn = true;
	w->current = h->index;
	sim_host_turn(h);
	w->current = SIM_HOSTS_MAX;
	h->is_in_turn = false;
	if (w->turned)
		w->turned(w->turned_ctx, h->index);
	h->busy_until = w->now + sim_latency(&h->rng[STREAM_SCHED], h->config.turn);
	plan(h);
}

static void timer_event(struct host *h, const struct event *e)
{
	hf_nsec next;

	if (e->time != h->timer_at)
		return;
	h->timer_at = HF_NEVER;
	if (h->is_paused)
		return;
	next = hf_reactor_next_timer(&h->base);
	if (next != HF_NEVER && next <= local_time(h))
		sim_wake(h);
	else
		plan_timer(h);
}

/* Every fault has a stream of its own, and a host has its own of each. */
static void seed_host(struct host *h)
{
	uint64_t s = sim_mix(h->world->seed ^ 0x5851f42d4c957f2dull) + h->index;

	for (uint32_t i = 0; i < STREAM_COUNT; i++)
		h->rng[i].s = sim_mix(sim_mix(s) + i * 0xd1342543de82ef95ull);
}

static const struct sim_config config_default = {
	.disk_read = 60000, .disk_write = 20000, .disk_sync = 30000, .disk_slow = 1, .disk_stall = 2 * HF_SEC,
	.tears_sectors = true,
	.net_delay = 30000, .net_spike = 300 * HF_MS, .net_bandwidth = 1250000000, .net_buffer = 262144,
	.job = 200000, .turn = 1000,
	.cluster_delay = 300000, .cluster_spike = HF_SEC, .cluster_timeout = 2 * HF_SEC,
};

static void host_init(struct sim_world *w, uint32_t index)
{
	struct host *h = &w->host[index];

	*h = (struct host){ .world = w, .index = index, .gen = 1, .turn_at = HF_NEVER, .timer_at = HF_NEVER };
	h->is_powered = true;
	h->config = config_default;
	seed_host(h);
	hf_list_init(&h->queued);
	hf_list_init(&h->done);
	hf_list_init(&h->reqs);
	hf_list_init(&h->jobs);
	hf_list_init(&h->calls);
	hf_list_init(&h->files);
	hf_reactor_init(&h->base, &sim_reactor_ops);
	h->clock_local = HF_SEC + rng_below(&h->rng[STREAM_SCHED], 3600 * HF_SEC);
}

static struct host *host_of(const struct sim_world *w, uint32_t host)
{
	hf_assert(host < w->host_count);
	return &w->host[host];
}

struct hf_reactor *sim_host_start(struct sim_world *w, uint32_t host)
{
	struct host *h = host_of(w, host);

	hf_assert(!h->is_up);
	hf_reactor_init(&h->base, &sim_reactor_ops);
	h->is_up = h->is_powered = true;
	h->is_paused = false;
	h->turn_at = h->timer_at = HF_NEVER;
	h->base.now = local_time(h);
	sim_net_boot(h);
	sim_wake(h);
	return &h->base;
}

static void drop_calls(struct host *h)
{
	struct hf_list *n;

	while ((n = hf_list_pop(&h->calls))) {
		struct call *c = hf_container_of(n, struct call, link);

		c->gen++;
		pool_put(&h->world->calls, c);
	}
}

void sim_host_kill(struct sim_world *w, uint32_t host, enum sim_kill how)
{
	struct host *h = host_of(w, host);
	struct hf_list *n;

	hf_assert(h->is_up && !h->is_in_turn);
	w->counts[how == SIM_KILL_POWER ? SIM_HOST_POWER : SIM_HOST_KILL]++;
	sim_fold(w, how + 100);
	h->is_up = false;
	h->is_powered = how != SIM_KILL_POWER;
	h->gen++;
	h->turn_at = h->timer_at = HF_NEVER;
	while ((n = hf_list_pop(&h->reqs))) {
		struct req *q = hf_container_of(n, struct req, link);

		sim_disk_crash_req(q, how);
		hf_list_del(&q->wait);
		sim_req_free(q);
	}
	drop_calls(h);
	/* The rest hangs on objects of the daemon: forget it. */
	hf_list_init(&h->queued);
	hf_list_init(&h->done);
	hf_list_init(&h->jobs);
	hf_reactor_init(&h->base, &sim_reactor_ops);
	sim_net_crash(h, how);
	sim_disk_crash(h, how);
	sim_store_crash(h);
	for (uint32_t i = 0; i < h->handle_count; i++) {
		h->handles[i].kind = HANDLE_FREE;
		h->handles[i].under_way = 0;
		h->handles[i].gen++;
	}
}

uint32_t sim_host_abandon(struct sim_world *w)
{
	uint32_t host = w->current;

	if (host == SIM_HOSTS_MAX)
		return host;
	w->current = SIM_HOSTS_MAX;
	w->host[host].is_in_turn = false;
	sim_host_kill(w, host, SIM_KILL_PROCESS);
	return host;
}

bool sim_host_is_up(const struct sim_world *w, uint32_t host)
{
	return host_of(w, host)->is_up;
}

struct hf_reactor *sim_host_reactor(struct sim_world *w, uint32_t host)
{
	struct host *h = host_of(w, host);

	return h->is_up ? &h->base : NULL;
}

uint32_t sim_host_of(const struct hf_reactor *r)
{
	return hf_container_of(r, struct host, base)->index;
}

void sim_host_wake(struct sim_world *w, uint32_t host)
{
	struct host *h = host_of(w, host);

	plan(h);
}

void sim_host_pause(struct sim_world *w, uint32_t host)
{
	struct host *h = host_of(w, host);

	hf_assert(h->is_up && !h->is_in_turn);
	if (h->is_paused)
		return;
	w->counts[SIM_HOST_PAUSE]++;
	h->is_paused = true;
}

void sim_host_resume(struct sim_world *w, uint32_t host)
{
	struct host *h = host_of(w, host);

	if (!h->is_up || !h->is_paused)
		return;
	h->is_paused = false;
	h->turn_at = h->timer_at = HF_NEVER;
	plan(h);
}

void sim_host_clock(struct sim_world *w, uint32_t host, hf_nsec jump, int32_t drift_ppm)
{
	struct host *h = host_of(w, host);

	hf_assert(drift_ppm > -(int32_t)SIM_PPM);
	w->counts[SIM_CLOCK_CHANGE]++;
	h->clock_local = local_time(h) + jump;
	h->clock_world = w->now;
	h->drift_ppm = drift_ppm;
	/* Timers are planned in true time: plan them again. */
	h->timer_at = HF_NEVER;
	plan(h);
}

void sim_watch(struct sim_world *w, void (*turned)(void *ctx, uint32_t host), void *ctx)
{
	w->turned = turned;
	w->turned_ctx = ctx;
}

uint32_t sim_current(const struct sim_world *w)
{
	return w->current;
}

struct sim_config *sim_config(struct sim_world *w, uint32_t host)
{
	return &host_of(w, host)->config;
}

/* Calls. */

static void call_event(struct sim_world *w, struct call *c)
{
	sim_fn *fn = c->fn;
	void *ctx = c->ctx;

	if (c->host && (!c->host->is_up || c->host->gen != c->host_gen)) {
		c->gen++;
		pool_put(&w->calls, c);
		return;
	}
	if (c->host) {
		hf_list_add_tail(&c->host->calls, &c->link);
		sim_wake(c->host);
		return;
	}
	c->gen++;
	pool_put(&w->calls, c);
	fn(w, ctx);
}

static struct call *call_new(struct sim_world *w, struct host *h, sim_fn *fn, void *ctx)
{
	struct call *c = pool_get(&w->calls);

	hf_list_init(&c->link);
	c->host = h;
	c->host_gen = h ? h->gen : 0;
	c->fn = fn;
	c->ctx = ctx;
	return c;
}

void sim_deliver(struct host *h, sim_fn *fn, void *ctx)
{
	hf_assert(h->is_up);
	hf_list_add_tail(&h->calls, &call_new(h->world, h, fn, ctx)->link);
	sim_wake(h);
}

static void add_call(struct sim_world *w, struct host *h, hf_nsec at, sim_fn *fn, void *ctx)
{
	struct call *c = call_new(w, h, fn, ctx);

	sim_event_add(w, at, EVENT_CALL, c, c->gen);
}

void sim_at(struct sim_world *w, hf_nsec at, sim_fn *fn, void *ctx)
{
	add_call(w, NULL, at, fn, ctx);
}

void sim_call(struct sim_world *w, uint32_t host, hf_nsec at, sim_fn *fn, void *ctx)
{
	add_call(w, host_of(w, host), at, fn, ctx);
}

/* World. */

struct sim_world *sim_world_new(uint64_t seed, uint32_t hosts)
{
	struct sim_world *w = calloc(1, sizeof(*w));

	hf_assert(w && hosts > 0 && hosts <= SIM_HOSTS_MAX);
	w->seed = sim_mix(seed + 1);
	w->hash = w->seed;
	w->host_count = hosts;
	w->current = SIM_HOSTS_MAX;
	w->host = calloc(hosts, sizeof(*w->host));
	hf_assert(w->host);
	w->reqs.size = sizeof(struct req);
	w->calls.size = sizeof(struct call);
	w->pages.size = PAGE;
	sim_disk_init(w);
	sim_net_init(w);
	for (uint32_t i = 0; i < SIM_STREAMS; i++)
		w->user[i].s = sim_mix(w->seed + 0x1234567 + i);
	for (uint32_t i = 0; i < hosts; i++)
		host_init(w, i);
	sim_store_init(w);
	return w;
}

static void free_req_pages(struct sim_world *w)
{
	/* Chunks of 64 bytes of header and then reqs, as pool_grow() cuts them. */
	for (struct pool_item *c = w->reqs.chunks; c; c = c->next) {
		size_t count = (CHUNK_BYTES - 64) / w->reqs.size;
		struct req *q = (struct req *)(void *)((char *)c + 64);

		for (size_t i = 0; i < count; i++)
			free(q[i].pages);
	}
}

void sim_world_free(struct sim_world *w)
{
	if (!w)
		return;
	for (uint32_t i = 0; i < w->host_count; i++) {
		sim_disk_fini(&w->host[i]);
		free(w->host[i].handles);
	}
	sim_net_fini(w);
	sim_store_fini(w);
	free_req_pages(w);
	pool_fini(&w->reqs);
	pool_fini(&w->calls);
	pool_fini(&w->pages);
	pool_fini(&w->recs);
	pool_fini(&w->page_nodes);
	pool_fini(&w->conns);
	pool_fini(&w->rings);
	free(w->heap);
	free(w->host);
	free(w);
}

hf_nsec sim_now(const struct sim_world *w)
{
	return w->now;
}

uint64_t sim_hash(const struct sim_world *w)
{
	return w->hash;
}

uint64_t sim_events(const struct sim_world *w)
{
	return w->events;
}

uint64_t sim_count(const struct sim_world *w, enum sim_fault f)
{
	return w->counts[f];
}

static const char *const fault_text[SIM_FAULT_COUNT][2] = {
#define X(name, words) { #name, words },
	SIM_FAULTS(X)
#undef X
};

const char *sim_fault_name(enum sim_fault f)
{
	return fault_text[f][0];
}

const char *sim_fault_words(enum sim_fault f)
{
	return fault_text[f][1];
}

uint64_t sim_random(struct sim_world *w, uint32_t stream, uint64_t n)
{
	hf_assert(stream < SIM_STREAMS);
	return rng_below(&w->user[stream], n);
}

static void dispatch(struct sim_world *w, const struct event *e)
{
	struct host *h = e->obj;
	struct req *q = e->obj;
	struct call *c = e->obj;

	switch ((enum event_kind)e->kind) {
	case EVENT_TURN:
		if (h->gen == e->gen)
			turn_event(h, e);
		break;
	case EVENT_TIMER:
		if (h->gen == e->gen)
			timer_event(h, e);
		break;
	case EVENT_DISK:
		if (q->gen == e->gen)
			sim_disk_event(q);
		break;
	case EVENT_JOB_WORK:
	case EVENT_JOB_DONE:
		if (q->gen == e->gen)
			sim_job_event(q, (enum event_kind)e->kind);
		break;
	case EVENT_CALL:
		if (c->gen == e->gen)
			call_event(w, c);
		break;
	case EVENT_SEND:
	case EVENT_CONNECT:
	case EVENT_PIPE:
	case EVENT_RESET:
		sim_net_event(w, e);
		break;
	}
}

bool sim_step(struct sim_world *w)
{
	struct event e;

	if (w->heap_len == 0)
		return false;
	e = w->heap[0];
	w->heap[0] = w->heap[--w->heap_len];
	if (w->heap_len > 0)
		sift_down(w->heap, w->heap_len, 0);
	hf_assert(e.time >= w->now);
	w->now = e.time;
	w->events++;
	sim_fold(w, e.time ^ (uint64_t)e.kind << 56);
	dispatch(w, &e);
	return true;
}

void sim_run(struct sim_world *w, hf_nsec until)
{
	while (w->heap_len > 0 && w->heap[0].time <= until)
		sim_step(w);
	if (until > w->now)
		w->now = until;
}

void sim_turn(struct sim_world *w, uint32_t host)
{
	struct host *h = host_of(w, host);
	uint64_t before = h->turns;

	hf_assert(h->is_up && !h->is_paused);
	plan(h);
	plan_turn(h, w->now + TURN_MAX);
	while (h->turns == before && h->is_up)
		hf_assert(sim_step(w));
}

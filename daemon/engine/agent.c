// SPDX-License-Identifier: MIT
/* agent - follow the records: who is where, which volumes are ours (docs/SAFETY.md R1, R7; docs/ARCHITECTURE.md). */
#include "engine/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/sometimes.h"
#include "engine/peer.h"

#define TICK_NS (200 * HF_MS)
#define RETRY_MIN_NS (200 * HF_MS)
#define RETRY_MAX_NS (5 * HF_SEC)
#define LIST_NS (10 * HF_SEC)
#define STEP_DOWN_NS (500 * HF_MS)	/* for the old primary, before its leases are waited for instead */

static void list_records(struct hf_agent *a);
static void learn_cluster(struct hf_agent *a);

struct hf_agent_volume *hf_agent_find_volume(struct hf_agent *a, const char *name)
{
	hf_list_each(&a->volumes, n) {
		struct hf_agent_volume *av = hf_container_of(n, struct hf_agent_volume, link);

		if (strcmp(av->record.name, name) == 0 && !av->gone)
			return av;
	}
	return NULL;
}

struct hf_agent_host *hf_agent_find_host(struct hf_agent *a, const char *name)
{
	hf_list_each(&a->hosts, n) {
		struct hf_agent_host *h = hf_container_of(n, struct hf_agent_host, link);

		if (strcmp(h->record.name, name) == 0)
			return h;
	}
	return NULL;
}

/* Volumes that are primary here. */

static struct hf_agent_volume *volume_of(struct hf_agent *a, struct hf_volume_run *run)
{
	hf_list_each(&a->volumes, n) {
		struct hf_agent_volume *av = hf_container_of(n, struct hf_agent_volume, link);

		if (av->run == run)
			return av;
	}
	hf_unreachable();
}

/*
 * An operator's promote before the claim: the record is read anew, then the old primary is asked to step down. Answers
 * may come after the volume is gone here, or after we no longer wait for them.
 */
struct hf_agent_step {
	struct hf_cluster_req req;
	struct hf_admin_call call;
	struct hf_agent *agent;
	struct hf_agent_volume *av;	/* NULL: nobody waits any more */
	hf_nsec deadline;
};

static void volume_free(struct hf_agent_volume *av)
{
	if (av->step)
		av->step->av = NULL;
	hf_agent_watch_end(av);
	hf_list_del(&av->link);
	free(av->text);
	free(av);
}

/* The record as the store has it, or had it a moment ago. */
static void know_record(struct hf_agent *a, struct hf_agent_volume *av, const struct hf_record *r, const char *text,
			uint64_t ver)
{
	char *copy = strdup(text);

	hf_assert(copy);
	free(av->text);
	av->record = *r;
	av->text = copy;
	av->ver = ver;
	av->asks = a->asks;
}

static void step_down_done(struct hf_agent *a, struct hf_agent_volume *av)
{
	void *call = av->stepping_down;

	av->stepping_down = NULL;
	if (call)
		hf_host_admin_done(&a->host, call, 0, "");
}

static void on_serving(void *ctx, struct hf_volume_run *run)
{
	struct hf_agent *a = ctx;
	struct hf_agent_volume *av = volume_of(a, run);

	av->tries = 0;
	know_record(a, av, &run->core->record, hf_volume_run_record_text(run), run->core->ver);
	hf_info("volume %s: serving in epoch %llu, tolerance %d", av->record.name, (unsigned long long)run->core->epoch,
		run->core->tolerance);
	a->ops->serving(a->ctx, av);
}

static void on_stopped(void *ctx, struct hf_volume_run *run)
{
	struct hf_agent *a = ctx;
	struct hf_agent_volume *av = volume_of(a, run);
	hf_nsec wait = RETRY_MIN_NS << (av->tries < 5 ? av->tries : 5);

	snprintf(av->last_why, sizeof(av->last_why), "%s", run->core->stop_why ? run->core->stop_why : "stopped");
	hf_info("volume %s: no longer primary here: %s", av->record.name, av->last_why);
	a->ops->stopped(a->ctx, av, av->last_why);
	av->run = NULL;
	av->tries++;
	av->retry_at = hf_reactor_now(a->r) + (wait < RETRY_MAX_NS ? wait : RETRY_MAX_NS);
	hf_volume_run_free(run);
	HF_SOMETIMES_IF(AGENT_STEPPED_DOWN, av->stepping_down != NULL);
	if (av->stepping_down)		/* who asked for it claims the volume now; should it die, we take it again */
		av->retry_at = hf_reactor_now(a->r) + RETRY_MAX_NS;
	step_down_done(a, av);
	if (av->gone) {
		volume_free(av);
	}
	if (!a->stopping)
		hf_agent_refresh(a);
}

static void on_note(void *ctx, struct hf_volume_run *run, enum hf_note note, uint32_t leg)
{
	static const char *const kind[] = {
		[HF_NOTE_EPOCH_CLAIMED] = "epoch-claimed",   [HF_NOTE_LEG_REMOVED] = "insync-leg-removed",
		[HF_NOTE_LEG_ADDED] = "insync-leg-added",    [HF_NOTE_CATCH_UP_LOG] = "catch-up-by-log-started",
		[HF_NOTE_CATCH_UP_CHUNKS] = "catch-up-by-chunks-started", [HF_NOTE_LEG_REFUSED] = "leg-refused",
		[HF_NOTE_LEG_REPLACED] = "leg-replaced",
		[HF_NOTE_BLOCKED] = "writes-blocked",	     [HF_NOTE_UNBLOCKED] = "writes-unblocked",
	};
	struct hf_agent *a = ctx;
	const struct hf_record *r = &run->core->record;
	const char *why = run->core->leg[leg].why;
	char words[256];

	switch (note) {
	case HF_NOTE_EPOCH_CLAIMED:
		snprintf(words, sizeof(words), "epoch %llu, primary %s", (unsigned long long)run->core->epoch,
			 r->primary);
		break;
	case HF_NOTE_BLOCKED:
	case HF_NOTE_UNBLOCKED:
		snprintf(words, sizeof(words), "tolerance %d, minimum %u", run->core->tolerance, r->min_tolerance);
		break;
	default:
		snprintf(words, sizeof(words), "leg on %s%s%s; tolerance %d", r->leg[leg].host, why ? ": " : "",
			 why ? why : "", run->core->tolerance);
		break;
	}
	hf_info("volume %s: %s: %s", r->name, kind[note], words);
	a->ops->event(a->ctx, kind[note], r->name, r->leg[leg].host, words);
}

static void on_repaired(void *ctx, struct hf_volume_run *run, uint32_t leg, uint64_t lba)
{
	struct hf_agent *a = ctx;
	char words[128];

	snprintf(words, sizeof(words), "block %llu failed its checksum and was rebuilt from other legs",
		 (unsigned long long)lba);
	hf_warn("volume %s: leg on %s: %s", run->core->record.name, run->core->record.leg[leg].host, words);
	a->ops->event(a->ctx, "block-repaired", run->core->record.name, run->core->record.leg[leg].host, words);
}

static void on_lost_block(void *ctx, struct hf_volume_run *run, uint64_t lba)
{
	struct hf_agent *a = ctx;
	char words[128];

	snprintf(words, sizeof(words), "a read at block %llu found no leg that can give it back",
		 (unsigned long long)lba);
	hf_error("volume %s: %s", run->core->record.name, words);
	a->ops->event(a->ctx, "block-unreadable", run->core->record.name, a->self.name, words);
}

static const struct hf_volume_owner volume_owner = {
	.serving = on_serving,
	.stopped = on_stopped,
	.note = on_note,
	.repaired = on_repaired,
	.lost_block = on_lost_block,
};

static void start_volume(struct hf_agent *a, struct hf_agent_volume *av, bool forced, bool accept_loss)
{
	hf_info("volume %s: claiming epoch %llu", av->record.name, (unsigned long long)av->record.epoch + 1);
	av->run = hf_volume_run_new(&a->host, a->cluster, &av->record, av->text, av->ver, forced, accept_loss,
				    &volume_owner, a);
}

void hf_agent_start_volume(struct hf_agent *a, struct hf_agent_volume *av)
{
	start_volume(a, av, false, false);
}

static void step_over(struct hf_agent_volume *av)
{
	struct hf_agent *a = av->step->agent;

	av->step->av = NULL;
	av->step = NULL;
	if (!av->run && !av->gone && !a->stopping)
		start_volume(a, av, true, false);
}

static void on_stepped_down(struct hf_admin_call *call, int result, const char *words)
{
	struct hf_agent_step *x = call->ctx;

	(void)words;
	HF_SOMETIMES_IF(AGENT_STEP_ANSWER_LATE, !x->av);
	HF_SOMETIMES_IF(AGENT_STEP_REFUSED, x->av && result);
	if (x->av && result)
		hf_info("volume %s: its primary %s did not step down: %s", x->av->record.name, x->av->record.primary,
			hf_strerror(result));
	if (x->av)
		step_over(x->av);
	free(x);
}

/* The record as it is now: the copy here may be older than the last move. */
static void on_record_read(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
			   uint64_t ver)
{
	struct hf_agent_step *x = q->ctx;
	struct hf_agent_volume *av = x->av;
	struct hf_errmsg err;
	struct hf_record r;

	(void)ver;
	if (!av) {
		free(x);
		return;
	}
	if (result == 0 && count == 1 && hf_record_decode(items[0].value, &r, &err) == 0 &&
	    hf_uuid_is_equal(&r.volume, &av->record.volume) && items[0].ver > av->ver) {
		HF_SOMETIMES(AGENT_COPY_OLD);
		know_record(x->agent, av, &r, items[0].value, items[0].ver);
	}
	if (strcmp(av->record.primary, x->agent->self.name) != 0 &&
	    hf_host_step_down(&x->agent->host, av->record.primary, &av->record.leg[0].uuid, &x->call) == 0)
		return;
	step_over(av);
	free(x);
}

static void begin_step(struct hf_agent *a, struct hf_agent_volume *av)
{
	struct hf_agent_step *x = calloc(1, sizeof(*x));
	char key[HF_RECORD_KEY_MAX];

	hf_assert(x);
	x->agent = a;
	x->av = av;
	x->deadline = hf_reactor_now(a->r) + STEP_DOWN_NS;
	x->call.done = on_stepped_down;
	x->call.ctx = x;
	x->req.done = on_record_read;
	x->req.ctx = x;
	av->step = x;
	a->cluster->ops->get(a->cluster, &x->req, hf_record_volume_key(av->record.name, key));
}

int hf_agent_promote(struct hf_agent *a, struct hf_agent_volume *av, bool accept_loss)
{
	if (av->run && av->run->open)
		return -EALREADY;
	HF_SOMETIMES_IF(AGENT_PROMOTED_TWICE, (av->run && !av->run->open) || av->step);
	if (av->run && !accept_loss)
		return -EINPROGRESS;
	if (av->run) {			/* one that waits for legs: the operator's word lets it go on */
		av->run->core->accept_loss = true;
		return -EINPROGRESS;
	}
	if (av->step)
		return -EINPROGRESS;
	if (accept_loss)
		start_volume(a, av, true, true);
	else
		begin_step(a, av);
	return 0;
}

static void on_step_down(void *ctx, const struct hf_uuid *leg, void *call)
{
	struct hf_agent *a = ctx;
	uint32_t index;
	struct hf_volume_run *run = hf_host_find_volume(&a->host, leg, &index);
	struct hf_agent_volume *av = run && !run->stopping ? volume_of(a, run) : NULL;

	HF_SOMETIMES_IF(AGENT_STEP_NOTHING, !av);
	if (!av || av->stepping_down) {
		hf_host_admin_done(&a->host, call, 0, "");
		return;
	}
	av->stepping_down = call;
	hf_volume_run_stop(run, "an operator moves it to another host");
}

/* A volume whose record names this host is served here, without a command. */
static void consider(struct hf_agent *a, struct hf_agent_volume *av)
{
	bool ours = strcmp(av->record.primary, a->self.name) == 0;

	HF_SOMETIMES_IF(AGENT_STEP_TIMEOUT, av->step && hf_reactor_now(a->r) >= av->step->deadline);
	if (av->step && hf_reactor_now(a->r) >= av->step->deadline)
		step_over(av);
	if (av->run || av->gone || !ours || !a->ready || a->stopping)
		return;
	HF_SOMETIMES_IF(AGENT_SERVES_AGAIN, hf_reactor_now(a->r) >= av->retry_at);
	if (hf_reactor_now(a->r) >= av->retry_at)
		start_volume(a, av, false, false);
}

/* Records. */

static void take_volume(struct hf_agent *a, const struct hf_cluster_item *item)
{
	struct hf_agent_volume *av;
	struct hf_errmsg err;
	struct hf_record r;
	bool put_back;

	if (hf_record_decode(item->value, &r, &err)) {
		hf_error("record %s of the cluster store is damaged: %s", item->key, err.text);
		return;
	}
	av = hf_agent_find_volume(a, r.name);
	if (av && !hf_uuid_is_equal(&av->record.volume, &r.volume)) {
		av->gone = true;	/* deleted and made anew */
		if (av->run)
			hf_volume_run_poke(av->run);
		av = NULL;
	}
	if (!av) {
		av = calloc(1, sizeof(*av));
		hf_assert(av);
		hf_list_add_tail(&a->volumes, &av->link);
	}
	av->seen = true;
	/*
	 * A listing says what the store holds now, unless something newer was learned since it was asked for. A version
	 * that is not newer, then, is of a store that was put back to a copy (H26): legs judge it, not we.
	 */
	put_back = !av->run && av->asks != a->asks && !hf_uuid_is_equal(&r.nonce, &av->record.nonce);
	HF_SOMETIMES_IF(AGENT_STORE_PUT_BACK, put_back && item->ver <= av->ver);
	if (item->ver > av->ver || put_back) {
		know_record(a, av, &r, item->value, item->ver);
		HF_SOMETIMES_IF(AGENT_NEWS_OF_OURS, av->run && item->ver != av->run->core->ver);
		if (av->run && item->ver != av->run->core->ver)
			hf_volume_run_poke(av->run);
	}
	for (uint32_t i = 0; i < r.leg_count; i++)
		if (strcmp(r.leg[i].host, a->self.name) == 0)
			hf_agent_open_leg(a, &r, i);
	consider(a, av);
}

static void on_alive(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		     uint64_t ver)
{
	struct hf_agent_host *h = q->ctx;

	(void)items;
	(void)count;
	(void)ver;
	h->asking = false;
	if (result >= 0)
		h->alive = result == 1;
}

static void ask_alive(struct hf_agent *a, struct hf_agent_host *h)
{
	if (h->asking)
		return;
	h->asking = true;
	h->alive_req.done = on_alive;
	h->alive_req.ctx = h;
	a->cluster->ops->alive(a->cluster, &h->alive_req, h->record.name);
}

static void take_host(struct hf_agent *a, const struct hf_cluster_item *item)
{
	struct hf_host_record r;
	struct hf_errmsg err;
	struct hf_agent_host *h;

	if (hf_host_record_decode(item->value, &r, &err)) {
		hf_error("record %s of the cluster store is damaged: %s", item->key, err.text);
		return;
	}
	h = hf_agent_find_host(a, r.name);
	if (!h) {
		h = calloc(1, sizeof(*h));
		hf_assert(h);
		h->agent = a;
		hf_list_add_tail(&a->hosts, &h->link);
	}
	h->record = r;
	ask_alive(a, h);
	if (strcmp(r.name, a->self.name) != 0)
		hf_host_set_address(&a->host, r.name, r.addr);
}

static void forget_unseen(struct hf_agent *a)
{
	hf_list_each(&a->volumes, n) {
		struct hf_agent_volume *av = hf_container_of(n, struct hf_agent_volume, link);

		if (av->seen)
			continue;
		av->gone = true;
		if (av->run) {
			hf_volume_run_poke(av->run);
		} else {
			volume_free(av);
		}
	}
}

static void tell_fresh(struct hf_agent *a, int result)
{
	struct hf_list *n;

	while ((n = hf_list_pop(&a->fresh_now))) {
		struct hf_agent_fresh *f = hf_container_of(n, struct hf_agent_fresh, link);

		f->done(f, result);
	}
}

static void on_listed(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		      uint64_t ver)
{
	struct hf_agent *a = q->ctx;

	(void)ver;
	a->listing = false;
	if (a->stopping)
		return;
	if (result == 0) {
		bool first = !a->ready;

		hf_list_each(&a->volumes, n)
			hf_container_of(n, struct hf_agent_volume, link)->seen = false;
		for (size_t i = 0; i < count; i++)
			if (strncmp(items[i].key, HF_RECORD_HOST_PREFIX, strlen(HF_RECORD_HOST_PREFIX)) == 0)
				take_host(a, &items[i]);
		for (size_t i = 0; i < count; i++)
			if (strncmp(items[i].key, HF_RECORD_VOLUME_PREFIX, strlen(HF_RECORD_VOLUME_PREFIX)) == 0)
				take_volume(a, &items[i]);
		a->ready = true;
		forget_unseen(a);
		if (first)
			a->ops->ready(a->ctx, 0, NULL);
	} else {
		HF_SOMETIMES(AGENT_LIST_FAILS);
		if (!a->store_failed)
			hf_warn("cluster store: the records cannot be read: %s; trying again", hf_strerror(result));
	}
	a->store_failed = result != 0;
	tell_fresh(a, result);
	if (result) {
		a->list_again = true;	/* by the tick */
	} else if (a->list_again) {
		a->list_again = false;
		list_records(a);
	}
}

static void list_records(struct hf_agent *a)
{
	if (a->stopping)
		return;
	if (a->listing) {
		a->list_again = true;
		return;
	}
	a->listing = true;
	a->asks++;
	a->asked_at = hf_reactor_now(a->r);
	hf_list_splice(&a->fresh_now, &a->fresh_next);
	a->list_req.done = on_listed;
	a->list_req.ctx = a;
	a->cluster->ops->list(a->cluster, &a->list_req, "");
}

void hf_agent_refresh(struct hf_agent *a)
{
	list_records(a);
}

void hf_agent_fresh(struct hf_agent *a, struct hf_agent_fresh *f)
{
	hf_list_init(&f->link);
	hf_list_add_tail(&a->fresh_next, &f->link);
	list_records(a);
}

static void on_changed(struct hf_cluster_watch *w)
{
	list_records(w->ctx);
}

static void on_tick(struct hf_timer *t)
{
	struct hf_agent *a = hf_container_of(t, struct hf_agent, tick);

	if (!a->listed) {
		learn_cluster(a);
		return;
	}
	/* A watch is a hint that may be lost, and a store that was put back gives none. */
	if ((!a->ready || a->list_again || hf_reactor_now(a->r) >= a->asked_at + LIST_NS) && !a->listing) {
		a->list_again = false;
		list_records(a);
	}
	hf_agent_tick_legs(a);
	if (++a->ticks % 5 == 0)
		hf_list_each(&a->hosts, n)
			ask_alive(a, hf_container_of(n, struct hf_agent_host, link));
	hf_list_each(&a->volumes, n)
		consider(a, hf_container_of(n, struct hf_agent_volume, link));
	hf_list_each(&a->volumes, n)
		hf_agent_watch(a, hf_container_of(n, struct hf_agent_volume, link));
	hf_timer_set(a->r, &a->tick, hf_reactor_now(a->r) + TICK_NS);
}

/* Start: cluster uuid, announce, own host record, then the records of all. */

/* A store that does not answer now will answer later; anything else needs a person. */
static void fail_start(struct hf_agent *a, int result, const char *why)
{
	if (result != -ETIMEDOUT && result != -EIO && result != -EAGAIN) {
		a->ops->ready(a->ctx, result, why);
		return;
	}
	HF_SOMETIMES(AGENT_START_AGAIN);
	if (!a->store_failed)
		hf_warn("cluster store: %s (%s); trying again", why, hf_strerror(result));
	a->store_failed = true;
	hf_timer_set(a->r, &a->tick, hf_reactor_now(a->r) + RETRY_MIN_NS);
}

static void put_self(struct hf_agent *a);

static void on_self_put(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
			uint64_t ver)
{
	struct hf_agent *a = q->ctx;

	(void)items;
	(void)count;
	(void)ver;
	if (a->stopping)
		return;
	if (result) {
		HF_SOMETIMES(AGENT_SELF_AGAIN);
		put_self(a);		/* changed or uncertain: read it and write again */
		return;
	}
	a->listed = true;
	a->watch.changed = on_changed;
	a->watch.ctx = a;
	a->watch.prefix[0] = '\0';
	a->cluster->ops->watch(a->cluster, &a->watch);
	hf_timer_set(a->r, &a->tick, hf_reactor_now(a->r) + TICK_NS);
	list_records(a);
}

static void on_self_got(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
			uint64_t ver)
{
	struct hf_agent *a = q->ctx;
	char key[HF_RECORD_KEY_MAX], *text = NULL;

	(void)ver;
	if (a->stopping)
		return;
	if (result && result != -ENOENT) {
		fail_start(a, result, "the cluster store cannot be read");
		return;
	}
	hf_assert(hf_host_record_encode(&a->self, &text) == 0);
	a->self_req.done = on_self_put;
	a->cluster->ops->cas(a->cluster, &a->self_req, hf_record_host_key(a->self.name, key), count ? items[0].ver : 0,
			     NULL, text);
	free(text);
}

static void put_self(struct hf_agent *a)
{
	char key[HF_RECORD_KEY_MAX];

	a->self_req.done = on_self_got;
	a->self_req.ctx = a;
	a->cluster->ops->get(a->cluster, &a->self_req, hf_record_host_key(a->self.name, key));
}

static void on_announced(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
			 uint64_t ver)
{
	struct hf_agent *a = q->ctx;

	(void)items;
	(void)count;
	(void)ver;
	if (a->stopping)
		return;
	if (result) {
		fail_start(a, result,
			   result == -EEXIST ? "another daemon with this host's name is running"
					     : "it could not be announced");
		return;
	}
	put_self(a);
}

static const struct hf_host_ops host_ops = {
	.format = hf_agent_format,
	.delete = hf_agent_delete,
	.is_opening = hf_agent_is_opening,
	.step_down = on_step_down,
};

static void on_cluster_uuid(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
			    uint64_t ver)
{
	struct hf_agent *a = q->ctx;
	struct hf_uuid uuid;

	(void)ver;
	if (a->stopping)
		return;
	if (result == 0 && (count != 1 || hf_uuid_parse(items[0].value, &uuid)))
		result = -EPROTO;
	if (result) {
		fail_start(a, result, result == -EPROTO || result == -ENOENT ?
			   "the cluster store has no valid cluster identity (key \"cluster\")" : "it cannot be read");
		return;
	}
	if (!a->started) {
		hf_host_init(&a->host, a->r, a->pool, a->self.name, &uuid, &host_ops, a, a->listen_fd);
		if (a->in_flight_max)
			a->host.in_flight_max = a->in_flight_max;
		a->started = true;
		a->self.incarnation = a->host.instance;
	}
	a->req.done = on_announced;
	a->cluster->ops->announce(a->cluster, &a->req, a->self.name);
}

static void learn_cluster(struct hf_agent *a)
{
	a->req.done = on_cluster_uuid;
	a->req.ctx = a;
	a->cluster->ops->get(a->cluster, &a->req, HF_RECORD_CLUSTER_KEY);
}

int hf_agent_start(struct hf_agent *a, struct hf_reactor *r, struct hf_cluster *c, const struct hf_agent_params *p,
		   const struct hf_agent_ops *ops, void *ctx)
{
	memset(a, 0, sizeof(*a));
	a->r = r;
	a->cluster = c;
	a->ops = ops;
	a->ctx = ctx;
	a->listen_fd = p->listen_fd;
	a->log_bytes = p->log_bytes;
	a->in_flight_max = p->in_flight_max;
	snprintf(a->self.name, sizeof(a->self.name), "%s", p->name);
	snprintf(a->self.addr, sizeof(a->self.addr), "%s", p->addr);
	snprintf(a->self.domain, sizeof(a->self.domain), "%s", p->domain);
	a->self.boot = p->boot;
	snprintf(a->leg_dir, sizeof(a->leg_dir), "%s", p->leg_dir);
	hf_list_init(&a->legs);
	hf_list_init(&a->volumes);
	hf_list_init(&a->hosts);
	hf_list_init(&a->fresh_next);
	hf_list_init(&a->fresh_now);
	hf_timer_init(&a->tick, on_tick);
	a->pool = hf_buf_pool_new(p->pool_bytes);
	if (!a->pool)
		return -ENOMEM;
	learn_cluster(a);
	return 0;
}

void hf_agent_stop(struct hf_agent *a)
{
	if (a->stopping)
		return;
	a->stopping = true;
	hf_timer_clear(&a->tick);
	hf_list_each(&a->volumes, n) {
		struct hf_agent_volume *av = hf_container_of(n, struct hf_agent_volume, link);

		if (av->run)
			hf_volume_run_stop(av->run, "the daemon stops");
	}
}

bool hf_agent_is_idle(const struct hf_agent *a)
{
	for (const struct hf_list *n = a->volumes.next; n != &a->volumes; n = n->next)
		if (hf_container_of(n, struct hf_agent_volume, link)->run)
			return false;
	return !a->listing;
}

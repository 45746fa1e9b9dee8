// SPDX-License-Identifier: MIT
/*
 * world_end - the end of a seed: all is healed and must be well within a bounded time; every block is read through the
 * primary, every leg is compared with what was read, and as many hosts as allowed are lost for good.
 */
#include "sim/world_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_well(struct vol *v)
{
	struct hf_volume_run *run = world_run_of(v, world_primary(v));

	if (!run || !run->open || run->core->phase != HF_PHASE_SERVING)
		return false;
	return hf_insync_members(&run->core->record) == hf_insync_all(&run->core->record) &&
	       run->core->next == run->core->committed + 1 && hf_list_is_empty(&run->pending);
}

static int explain_legs(const struct hf_volume_run *run, char *text, size_t room)
{
	const struct hf_volume *c = run->core;
	int n = snprintf(text, room, " phase %d verdict %d members %x next %llu committed %llu open %d legs", c->phase,
			 c->promotion.decision.verdict, hf_insync_members(&c->record), (unsigned long long)c->next,
			 (unsigned long long)c->committed, run->open);

	for (uint32_t i = 0; i < c->record.leg_count && (size_t)n < room; i++)
		n += snprintf(text + n, room - (size_t)n, " %d/%llu%s%s%s", c->leg[i].state,
			      (unsigned long long)c->leg[i].acked, c->leg[i].resync ? "r" : "",
			      c->leg[i].lost ? "L" : "", c->leg[i].gone ? "G" : "");
	return n;
}

/* A leg that is open, as its host sees it. */
static void say_leg(struct vol *v, uint32_t i)
{
	struct world *w = v->world;
	uint32_t h = v->host_of[i];
	struct hf_store_status st;
	const struct hf_agent_leg *l;
	struct hf_record r;

	if (!world_is_up(w, h) || !w->host[h].ready || !world_record(v, &r))
		return;
	l = hf_agent_find_leg(w->host[h].agent, &r.leg[i].uuid);
	if (!l || l->state != HF_AGENT_LEG_OPEN)
		return;
	hf_store_status(l->run.store, &st);
	world_say(w, "leg %u on host %u: log %llu to %llu, commit %llu, applied %llu, %u of %u bytes; %u held%s%s",
		  i, h, (unsigned long long)st.first_seq, (unsigned long long)st.last_seq,
		  (unsigned long long)st.commit, (unsigned long long)st.applied, st.log_used, st.log_bytes,
		  l->run.held_bytes, l->run.failed ? ", failed: " : "", l->run.failed ? l->run.fail_why : "");
}

static void explain_stuck(struct vol *v)
{
	struct world *w = v->world;
	uint32_t p = world_primary(v);
	struct hf_volume_run *run = world_run_of(v, p);
	char text[500];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s is not well after healing: primary host %u,",
				    v->record.name, p);

	if (run)
		n += (size_t)explain_legs(run, text + n, sizeof(text) - n);
	for (uint32_t i = 0; run && i < v->record.leg_count; i++) {
		const struct hf_promise *x = &run->core->leg[i].reply;

		world_say(w, "leg %u: promised %llu activated %llu ver %llu first %llu last %llu commit %llu%s%s", i,
			  (unsigned long long)x->promised, (unsigned long long)x->activated,
			  (unsigned long long)x->ver, (unsigned long long)x->first, (unsigned long long)x->last,
			  (unsigned long long)x->commit, x->suspect ? " suspect" : "",
			  x->inconsistent ? " inconsistent" : "");
	}
	for (uint32_t i = 0; i < v->record.leg_count && w->o->verbose; i++)
		say_leg(v, i);
	for (uint32_t i = 0; i < w->hosts && n < sizeof(text); i++) {
		const struct hf_agent *a = w->host[i].agent;

		n += (size_t)snprintf(text + n, sizeof(text) - n, " h%u:%s", i,
				      !world_is_up(w, i) ? "down"
				      : !a->started	 ? "unstarted"
				      : !a->listed	 ? "unlisted"
				      : !a->ready	 ? "unready"
							 : "ok");
	}
	world_fail(w, "%s", text);
}

bool world_wait_well(struct world *w, hf_nsec limit)
{
	hf_nsec end = sim_now(w->sim) + limit;

	for (uint32_t i = 0; i < w->volumes && !w->failed;) {
		if (is_well(&w->vol[i])) {
			i++;
			continue;
		}
		if (sim_now(w->sim) >= end) {
			if (!w->result->unlimited)
				explain_stuck(&w->vol[i]);
			return false;
		}
		sim_run(w->sim, sim_now(w->sim) + 20 * MS);
	}
	return !w->failed;
}

/* Reading through the primary. */

struct audit {
	struct vol *v;
	struct session *s;
	uint64_t lba;
	uint8_t *plain;			/* every block as it was read */
	bool done;
};

static void audit_next(struct audit *a);

static void on_audited(struct hf_request *q, int result)
{
	struct request *r = hf_container_of(q, struct request, q);
	struct audit *a = r->s->audit;
	struct world *w = a->v->world;

	if (result == 0)
		memcpy(a->plain + a->lba * HF_BLOCK, q->buf->data, (size_t)q->nblocks * HF_BLOCK);
	else if (!w->result->unlimited)
		world_fail(w, "%s: an audit read failed: %s", a->v->record.name, hf_strerror(result));
	if (result == 0)
		a->lba += q->nblocks;
	world_client_done(q, result);
	a->done = result || w->failed || a->lba == a->v->blocks;
	if (!a->done)
		audit_next(a);
}

static void audit_next(struct audit *a)
{
	struct request *r = &a->s->req[0];
	uint64_t left = a->v->blocks - a->lba;
	struct hf_volume_run *run = a->s->s.volume;

	memset(&r->q, 0, sizeof(r->q));
	r->s = a->s;
	r->busy = true;
	r->q.kind = HF_REQUEST_READ;
	r->q.lba = a->lba;
	r->q.nblocks = left < 16 ? (uint32_t)left : 16;
	r->q.done = on_audited;
	r->q.buf = hf_buf_new(run->host->pool, r->q.nblocks * HF_BLOCK);
	hf_assert(r->q.buf);
	for (uint32_t b = 0; b < r->q.nblocks; b++)
		r->mark[b] = oracle_mark(a->v->oracle, a->lba + b, a->s->epoch);
	hf_volume_run_submit(run, &a->s->s, &r->q);
}

static void audit_start(struct sim_world *sim, void *ctx)
{
	struct audit *a = ctx;
	struct hf_volume_run *run = world_run_of(a->v, a->s->host);
	const char *why;

	(void)sim;
	a->s->s.read_only = true;
	if (!run || hf_volume_run_attach(run, &a->s->s, &why)) {
		a->done = true;
		if (!a->v->world->result->unlimited)
			world_fail(a->v->world, "%s: the audit cannot attach", a->v->record.name);
		return;
	}
	a->s->epoch = run->core->epoch;
	audit_next(a);
}

/* Comparing legs. */

struct leg_audit {
	struct audit *a;
	struct hf_store *store;
	const struct hf_record_leg *leg;
	uint32_t host, frag;		/* frag: bytes */
	struct hf_store_read rd;
	bool done;
};

static void compare_blocks(struct leg_audit *x)
{
	struct vol *v = x->a->v;
	uint8_t want[HF_BLOCK];
	struct hf_ec ec;

	hf_assert(hf_ec_init(&ec, v->record.geometry.k, v->record.geometry.m) == 0);
	for (uint32_t b = 0; b < x->rd.nblocks; b++) {
		const uint8_t *plain = x->a->plain + (x->rd.lba + b) * HF_BLOCK;

		/* Damage that is known is repaired when somebody reads it. */
		if (x->rd.bad >> b & 1) {
			if (x->host != v->world->victim && !v->world->result->unlimited)
				world_fail(v->world, "%s: block %llu is damaged on host %u, whose disk is good",
					   v->record.name, (unsigned long long)(x->rd.lba + b), x->host);
			continue;
		}
		if (x->leg->frag == HF_FRAG_FULL)
			memcpy(want, plain, HF_BLOCK);
		else
			hf_ec_encode(&ec, x->leg->frag, plain, want);
		if (memcmp(want, (uint8_t *)x->rd.buf + (size_t)b * x->frag, x->frag) != 0)
			world_fail(v->world,
				   "%s: block %llu of the leg on host %u (fragment %u) begins with %llu, not %llu",
				   v->record.name, (unsigned long long)(x->rd.lba + b), x->host, x->leg->frag,
				   (unsigned long long)*(uint64_t *)((uint8_t *)x->rd.buf + (size_t)b * x->frag),
				   (unsigned long long)*(uint64_t *)want);
	}
}

static void compare_next(struct sim_world *sim, void *ctx);

static void on_leg_read(struct hf_store_read *rd, int result)
{
	struct leg_audit *x = rd->ctx;
	struct vol *v = x->a->v;

	if (result && !v->world->result->unlimited)
		world_fail(v->world, "%s: a leg cannot be read: %s", v->record.name, hf_strerror(result));
	if (result == 0)
		compare_blocks(x);
	rd->lba += rd->nblocks;
	if (rd->lba < v->blocks && !v->world->failed && result == 0)
		sim_call(v->world->sim, x->host, sim_now(v->world->sim), compare_next, x);
	else
		x->done = true;
}

static void compare_next(struct sim_world *sim, void *ctx)
{
	struct leg_audit *x = ctx;
	uint64_t left = x->a->v->blocks - x->rd.lba;

	(void)sim;
	x->rd.nblocks = left < 16 ? (uint32_t)left : 16;
	hf_store_read(x->store, &x->rd);
}

static bool leg_audit_start(struct leg_audit *x, struct audit *a, const struct hf_record *r, uint32_t i)
{
	struct world *w = a->v->world;
	struct hf_agent_leg *l;

	*x = (struct leg_audit){ .a = a, .leg = &r->leg[i], .host = a->v->host_of[i], .done = true };
	if (!r->leg[i].insync || !world_run_of(a->v, a->s->host) || !world_is_up(w, x->host) || !w->host[x->host].ready)
		return false;
	l = hf_agent_find_leg(w->host[x->host].agent, &r->leg[i].uuid);
	if (!l || l->state != HF_AGENT_LEG_OPEN)
		return false;
	x->store = l->run.store;
	/* As a read would say: the primary knows more as committed than was told while nothing went on (H21). */
	hf_store_commit(x->store, world_run_of(a->v, a->s->host)->core->committed);
	x->frag = hf_frag_size(r->geometry, r->leg[i].frag);
	x->rd.buf = aligned_alloc(HF_BLOCK, 16 * HF_BLOCK);
	x->rd.done = on_leg_read;
	x->rd.ctx = x;
	x->done = false;
	hf_assert(x->rd.buf);
	sim_call(w->sim, x->host, sim_now(w->sim), compare_next, x);
	return true;
}

/* Every leg in sync against the plaintext: what is equal to its code decodes from any k. */
static void compare_legs(struct audit *a)
{
	struct world *w = a->v->world;
	struct leg_audit *legs = calloc(HF_LEGS_MAX, sizeof(*legs));
	hf_nsec end = sim_now(w->sim) + 20 * HF_SEC;
	struct hf_record r;

	hf_assert(legs);
	if (!world_record(a->v, &r))
		return;
	for (uint32_t i = 0; i < r.leg_count; i++)
		w->result->audited_legs += leg_audit_start(&legs[i], a, &r, i);
	for (uint32_t i = 0; i < r.leg_count && !w->failed;) {
		if (legs[i].done) {
			i++;
			continue;
		}
		if (sim_now(w->sim) >= end)
			world_fail(w, "%s: a leg does not answer the audit", a->v->record.name);
		sim_run(w->sim, sim_now(w->sim) + 5 * MS);
	}
}

void world_audit(struct vol *v)
{
	struct world *w = v->world;
	uint32_t host = world_primary(v);
	hf_nsec end = sim_now(w->sim) + 20 * HF_SEC;
	struct audit a = { .v = v };

	a.s = world_session_new(v, host);
	a.s->audit = &a;
	a.plain = malloc(v->blocks * HF_BLOCK);
	hf_assert(a.plain);
	sim_call(w->sim, host, sim_now(w->sim), audit_start, &a);
	while (!a.done && !w->failed) {
		if (sim_now(w->sim) >= end && w->result->unlimited)
			return;
		if (sim_now(w->sim) >= end)
			world_fail(w, "%s: the audit does not end (block %llu)", v->record.name,
				   (unsigned long long)a.lba);
		sim_run(w->sim, sim_now(w->sim) + 5 * MS);
	}
	if (!w->failed && a.lba == v->blocks)
		compare_legs(&a);
	free(a.plain);
}

/* Losing hosts for good. */

static void lose_hosts(struct world *w)
{
	uint32_t lost = HF_LEGS_MAX, first = world_primary(&w->vol[0]);

	for (uint32_t i = 0; i < w->volumes; i++)
		if ((uint32_t)w->vol[i].tolerance - w->vol[i].record.min_tolerance < lost)
			lost = (uint32_t)w->vol[i].tolerance - w->vol[i].record.min_tolerance;
	for (uint32_t n = 0; n < lost; n++) {
		uint32_t i = n == 0 ? first : (uint32_t)world_random(w, RND_END, w->hosts);

		if (world_is_up(w, i))
			world_kill_host(w, i, world_random(w, RND_END, 2) ? SIM_KILL_PROCESS : SIM_KILL_POWER,
					HF_NEVER / 2);
	}
}

static bool wait_promoted(struct vol *v, uint32_t host)
{
	struct world *w = v->world;
	hf_nsec end = sim_now(w->sim) + 60 * HF_SEC;

	for (;;) {
		struct hf_volume_run *run = world_run_of(v, world_primary(v));

		if (run && run->open)
			return true;
		if (sim_now(w->sim) >= end || w->failed) {
			explain_stuck(v);
			return false;
		}
		if (world_primary(v) != host)
			world_promote(v, host, sim_now(w->sim));
		sim_run(w->sim, sim_now(w->sim) + 1000 * MS);
	}
}

/*
 * Lose as many hosts as the volumes survive without going below their minimum, promote on one of the rest, and read all
 * of it. A promotion that refuses here refuses without need.
 */
void world_sweep(struct world *w)
{
	uint32_t host = 0;

	lose_hosts(w);
	while (host < w->hosts && !world_is_up(w, host))
		host++;
	hf_assert(host < w->hosts);
	for (uint32_t i = 0; i < w->volumes && !w->failed; i++)
		if (wait_promoted(&w->vol[i], host))
			world_audit(&w->vol[i]);
	w->result->operations[WORLD_SWEEP]++;
}

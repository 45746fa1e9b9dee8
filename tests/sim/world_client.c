// SPDX-License-Identifier: MIT
/*
 * world_client - one writing client for each volume, and readers on every host that believes to be its primary.
 *
 * The client follows the volume, keeps up to QUEUE requests under way, may have several writes to one block under way,
 * leaves with requests under way, and sends what was not answered again. What is answered goes to the oracle.
 */
#include "sim/world_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t draw(struct vol *v, uint64_t n)
{
	return world_random(v->world, RND_CLIENT + v->index, n);
}

static uint64_t draw_reader(struct vol *v, uint64_t n)
{
	return world_random(v->world, RND_READER + v->index, n);
}

/* WATCH=block with -v: what happens to that block, of every volume. */
static void watch(struct session *s, const struct request *r, const char *what, int result)
{
	const struct world *w = s->v->world;
	const char *text = w->o->verbose ? getenv("WATCH") : NULL;
	uint64_t lba = text ? strtoull(text, NULL, 10) : 0;

	if (text && lba >= r->q.lba && lba < r->q.lba + r->q.nblocks)
		world_say(w, "%s: %s of %llu+%u by host %u in epoch %llu %s (%d), id %llu, content %llu",
			  s->v->record.name, r->q.kind == HF_REQUEST_READ ? "read" : "write",
			  (unsigned long long)r->q.lba, r->q.nblocks, s->host, (unsigned long long)s->epoch, what,
			  result, (unsigned long long)r->id,
			  (unsigned long long)(r->q.buf ? *(const uint64_t *)(const void *)(r->q.buf->data +
			  (lba - r->q.lba) * HF_BLOCK) : 0));
}

/* What the session left unanswered may be sent again, while no other write of those blocks can come between. */
static void remember_unanswered(struct session *s)
{
	struct vol *v = s->v;

	v->again_count = 0;
	for (uint32_t i = 0; v->world->again && !v->world->overlaps && i < QUEUE; i++) {
		const struct request *r = &s->req[i];

		if (r->busy && (r->q.kind == HF_REQUEST_WRITE || r->q.kind == HF_REQUEST_ZERO))
			v->again[v->again_count++] = (struct again){ r->id, r->q.lba, r->q.nblocks,
								     r->q.kind == HF_REQUEST_ZERO };
	}
}

void world_client_lost(struct vol *v)
{
	struct session *s = v->session;

	v->session = NULL;
	v->lost_at = sim_now(v->world->sim);
	s->over = true;
	remember_unanswered(s);
	oracle_session_over(v->oracle);
}

static void check_read(struct session *s, struct request *r)
{
	struct world *w = s->v->world;

	for (uint32_t b = 0; b < r->q.nblocks && !w->failed && !s->v->given_up; b++) {
		const char *wrong = oracle_read(s->v->oracle, r->q.lba + b, r->mark[b],
						r->q.buf->data + (size_t)b * HF_BLOCK);

		if (wrong)
			world_fail(w, "%s, read by host %u in epoch %llu: %s", s->v->record.name, s->host,
				   (unsigned long long)s->epoch, wrong);
		w->result->checked_reads++;
	}
}

void world_client_done(struct hf_request *q, int result)
{
	struct request *r = hf_container_of(q, struct request, q);
	struct session *s = r->s;
	struct world *w = s->v->world;

	r->busy = false;
	watch(s, r, "ends", result);
	if (result == 0 && q->kind == HF_REQUEST_READ) {
		check_read(s, r);
	} else if (result == 0 && q->kind != HF_REQUEST_FLUSH) {
		/* Also an answer that a left session hears late is an acknowledgement (H35). */
		oracle_acked(s->v->oracle, r->id);
		w->result->acked_writes++;
		w->result->operations[WORLD_LATE_ACK] += s->over;
	} else if (result && result != -ESHUTDOWN && !w->result->unlimited) {
		world_fail(w, "%s: request of kind %d at block %llu+%u failed on host %u in epoch %llu: %s",
			   s->v->record.name, q->kind, (unsigned long long)q->lba, q->nblocks, s->host,
			   (unsigned long long)s->epoch, hf_strerror(result));
	}
	if (q->buf)
		hf_buf_put(q->buf);
	q->buf = NULL;
}

static void leave_fenced(struct sim_world *sim, void *ctx)
{
	struct session *s = ctx;

	(void)sim;
	if (s->s.volume)
		hf_volume_run_detach(s->s.volume, &s->s);
}

static void on_fenced(struct hf_session *hs, const char *why)
{
	struct session *s = hs->ctx;

	(void)why;
	if (s->v->session == s)
		world_client_lost(s->v);
	s->over = true;
	sim_call(s->v->world->sim, s->host, sim_now(s->v->world->sim), leave_fenced, s);
}

struct session *world_session_new(struct vol *v, uint32_t host)
{
	struct session *s = calloc(1, sizeof(*s));

	hf_assert(s);
	s->v = v;
	s->host = host;
	s->s.fenced = on_fenced;
	s->s.ctx = s;
	return s;
}

/* The request is as the caller wants it, without a buffer; false: no buffer now. */
static bool submit(struct session *s, struct request *r, bool again)
{
	struct vol *v = s->v;
	struct hf_volume_run *run = s->s.volume;

	r->s = s;
	r->q.done = world_client_done;
	if (r->q.kind == HF_REQUEST_READ || r->q.kind == HF_REQUEST_WRITE) {
		r->q.buf = hf_buf_new(run->host->pool, r->q.nblocks * HF_BLOCK);
		if (!r->q.buf)
			return false;
	}
	r->busy = true;
	if (again)
		oracle_again(v->oracle, r->id, s->epoch);
	else if (r->q.kind == HF_REQUEST_WRITE || r->q.kind == HF_REQUEST_ZERO)
		r->id = oracle_write(v->oracle, r->q.lba, r->q.nblocks, s->epoch, r->q.kind == HF_REQUEST_ZERO);
	for (uint32_t b = 0; b < r->q.nblocks; b++) {
		if (r->q.kind == HF_REQUEST_READ)
			r->mark[b] = oracle_mark(v->oracle, r->q.lba + b, s->epoch);
		else if (r->q.kind == HF_REQUEST_WRITE)
			oracle_fill(r->q.lba + b, r->id, r->q.buf->data + (size_t)b * HF_BLOCK);
	}
	watch(s, r, "begins", 0);
	v->called++;
	hf_volume_run_submit(run, &s->s, &r->q);
	return true;
}

/* An old primary may not know that the volume has grown. */
static uint64_t size_of(const struct session *s)
{
	const struct hf_volume_run *run = s->s.volume;

	return run->size_blocks < s->v->blocks ? run->size_blocks : s->v->blocks;
}

static struct request *request_free(struct session *s)
{
	for (uint32_t i = 0; i < QUEUE; i++)
		if (!s->req[i].busy) {
			memset(&s->req[i].q, 0, sizeof(s->req[i].q));
			return &s->req[i];
		}
	return NULL;
}

/* Anywhere; or most of the time where it is hot now, which moves every 100 ms. */
static uint64_t lba_of(const struct session *s, uint32_t nblocks)
{
	struct vol *v = s->v;
	uint64_t room = size_of(s) - nblocks + 1, hot = v->world->hot;

	if (!hot || hot >= room || draw(v, 8) == 0)
		return draw(v, room);
	return sim_now(v->world->sim) / (100 * MS) * 7 * hot % (room - hot) + draw(v, hot);
}

static void call(struct session *s, struct request *r)
{
	struct vol *v = s->v;
	uint32_t kind = (uint32_t)draw(v, 20), max = kind < 2 ? 48 : 12;
	bool busy = false;

	r->q.nblocks = 1 + (uint32_t)(draw(v, 3) ? 0 : draw(v, max));
	r->q.lba = lba_of(s, r->q.nblocks);
	r->q.kind = kind < 2	? HF_REQUEST_ZERO
		    : kind < 12 ? HF_REQUEST_WRITE
		    : kind < 19 ? HF_REQUEST_READ
				: HF_REQUEST_FLUSH;
	if (r->q.kind == HF_REQUEST_FLUSH)
		r->q.nblocks = 0;
	for (uint32_t b = 0; r->q.kind != HF_REQUEST_READ && b < r->q.nblocks; b++)
		busy |= oracle_is_busy(v->oracle, r->q.lba + b);
	if (busy && !v->world->overlaps)
		return;
	if (submit(s, r, false))
		v->world->result->operations[WORLD_OVERLAP] += busy;
}

/* The newest of what is to be sent again; false: not now. */
static bool call_again(struct session *s, struct request *r)
{
	struct vol *v = s->v;
	const struct again *a = &v->again[v->again_count - 1];

	r->q.kind = a->zero ? HF_REQUEST_ZERO : HF_REQUEST_WRITE;
	r->q.lba = a->lba;
	r->q.nblocks = a->nblocks;
	r->id = a->id;
	if (oracle_is_last(v->oracle, a->id) && a->lba + a->nblocks <= size_of(s)) {
		if (!submit(s, r, true))
			return false;
		v->world->result->operations[WORLD_AGAIN]++;
	}
	v->again_count--;
	return true;
}

static bool may_call(const struct vol *v)
{
	return !v->world->o->calls || v->called < v->world->o->calls;
}

/* Somebody else would like to write, too (I16). */
static void intrude(struct session *s)
{
	struct hf_session other = { .fenced = on_fenced, .ctx = s };
	struct hf_volume_run *run = s->s.volume;
	const char *why;

	if (hf_volume_run_attach(run, &other, &why) == 0) {
		hf_volume_run_detach(run, &other);
		world_fail(s->v->world, "I16: two clients write to %s on host %u", s->v->record.name, s->host);
	}
}

static void turn(struct sim_world *sim, void *ctx)
{
	struct session *s = ctx;
	struct vol *v = s->v;
	struct world *w = v->world;
	struct request *r;

	if (s->over || !s->s.volume || w->calm)
		return;
	while (v->again_count > 0 && may_call(v) && (r = request_free(s)) && call_again(s, r))
		;
	for (uint32_t n = (uint32_t)draw(v, 4); n > 0 && may_call(v) && (r = request_free(s)); n--)
		call(s, r);
	if (v->called % 16 == 0)
		intrude(s);
	sim_call(sim, s->host, sim_now(sim) + 50000 + draw(v, 2 * MS) * w->pace, turn, s);
}

static void attach(struct sim_world *sim, void *ctx)
{
	struct session *s = ctx;
	struct vol *v = s->v;
	struct hf_volume_run *run = world_run_of(v, s->host);
	const char *why;

	if (v->session || v->world->calm || !run || !run->open || hf_volume_run_attach(run, &s->s, &why))
		return;
	s->epoch = run->core->epoch;
	v->session = s;
	world_say(v->world, "the client of %s attaches to host %u, epoch %llu", v->record.name, s->host,
		  (unsigned long long)s->epoch);
	turn(sim, s);
}

static void detach(struct sim_world *sim, void *ctx)
{
	struct session *s = ctx;

	(void)sim;
	if (s->over || !s->s.volume)
		return;
	if (s->v->session == s)
		world_client_lost(s->v);
	s->over = true;
	hf_volume_run_detach(s->s.volume, &s->s);
}

/* Every now and then: attach where the volume seems to be served, or leave for another host. */
static void client_look(struct sim_world *sim, void *ctx)
{
	struct vol *v = ctx;
	struct world *w = v->world;
	uint32_t i = (uint32_t)draw(v, w->hosts);

	if (v->session && draw(v, 200) == 0)
		sim_call(sim, v->session->host, sim_now(sim), detach, v->session);
	if (!v->session && world_run_of(v, i) && world_run_of(v, i)->open)
		sim_call(sim, i, sim_now(sim), attach, world_session_new(v, i));
	if (!w->calm)
		sim_at(sim, sim_now(sim) + 5 * MS, client_look, v);
}

/* Readers. */

struct glance {
	struct vol *v;
	uint32_t host;
};

/* Somebody reads on this host beside the writer, wherever that is: only leases keep this from being stale. */
static void glance(struct sim_world *sim, void *ctx)
{
	struct glance g = *(struct glance *)ctx;
	struct vol *v = g.v;
	struct hf_volume_run *run = world_run_of(v, g.host);
	struct session *s = v->reader[g.host];
	struct request *r;
	const char *why;

	(void)sim;
	free(ctx);
	if (!run || !run->open)
		return;
	if (!s || s->over || s->s.volume != run) {
		s = v->reader[g.host] = world_session_new(v, g.host);
		s->s.read_only = true;
		if (hf_volume_run_attach(run, &s->s, &why)) {
			s->over = true;
			return;
		}
		s->epoch = run->core->epoch;
	}
	r = request_free(s);
	if (!r)
		return;
	r->q.kind = HF_REQUEST_READ;
	r->q.nblocks = 1 + (uint32_t)draw_reader(v, 4);
	r->q.lba = draw_reader(v, size_of(s) - r->q.nblocks + 1);
	submit(s, r, false);
}

static void reader_look(struct sim_world *sim, void *ctx)
{
	struct vol *v = ctx;
	struct world *w = v->world;

	for (uint32_t i = 0; i < w->hosts; i++) {
		struct glance *g;

		if (!world_run_of(v, i) || !world_run_of(v, i)->open)
			continue;
		g = malloc(sizeof(*g));
		hf_assert(g);
		*g = (struct glance){ v, i };
		sim_call(sim, i, sim_now(sim), glance, g);
	}
	if (!w->calm)
		sim_at(sim, sim_now(sim) + (1 * MS + draw_reader(v, 4 * MS)) * w->pace, reader_look, v);
}

void world_client_start(struct vol *v)
{
	struct sim_world *sim = v->world->sim;

	sim_at(sim, sim_now(sim), client_look, v);
	sim_at(sim, sim_now(sim), reader_look, v);
}

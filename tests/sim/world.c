// SPDX-License-Identifier: MIT
/*
 * world - one seed: a cluster comes up, a volume is made, a client writes and reads while hosts are killed, paused,
 * cut off and brought back and an operator promotes; then everything heals, and all must be in sync, readable and
 * right.
 */
#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "engine/peer.h"

#define MS HF_MS
#define QUEUE 16u
#define PORT 7000

/* Streams of sim_random(): one for each decision maker. */
enum { RND_SHAPE = 1, RND_CLIENT, RND_FAULT, RND_OPERATOR, RND_READER, RND_LOG, RND_DISK };

struct host {
	struct world *world;
	uint32_t index;
	uint32_t life;
	struct hf_agent *agent;		/* of this life; garbage when the host is down */
	bool ready;
	hf_nsec up_at;			/* down: when it starts again */
	struct session *reader;		/* read-only session of this life; reads even where a newer primary may exist */
};

struct request {
	struct hf_request q;
	struct session *s;
	bool busy;
	uint64_t id[HF_ZERO_BLOCKS_MAX];
	uint64_t floor[HF_WRITE_BLOCKS_MAX];
	bool overlaps;			/* a write of some block was under way when this read began */
};

struct audit;

/* One attachment; never reused: a dead host may still point to it. */
struct session {
	struct world *world;
	uint32_t host, life;
	uint64_t epoch;
	struct hf_session s;
	bool over;
	struct audit *audit;		/* set: this session reads every block at the end */
	struct request req[QUEUE];
};

struct leg_made {
	struct hf_admin_call call;
	struct world *world;
};

struct world {
	const struct world_options *o;
	struct world_result *result;
	struct sim_world *sim;
	uint32_t hosts, legs;
	struct host host[SIM_HOSTS_MAX];
	struct hf_record record;
	struct leg_made made[HF_LEGS_MAX];
	uint32_t made_count;
	bool created, failed, calm;
	struct hf_cluster_req create_req;
	struct oracle *oracle;
	struct session *session;
	uint64_t blocks;
	uint32_t log_bytes;		/* small: it fills, and goes round, in a run */
	uint32_t pace;			/* 1: a client in a hurry; more: that much slower, so that a seed costs less */
	uint32_t victim;		/* the one host whose disk may rot */
	uint32_t down_max;
	uint32_t quiet;			/* leave the cluster alone for some seconds */
	/* fault steps in which the operator is likely to promote: somebody looks dead */
	uint32_t nudge;
};

static void fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct world *w, const char *format, ...)
{
	va_list ap;

	if (w->failed)
		return;
	w->failed = true;
	va_start(ap, format);
	vsnprintf(w->result->failure, sizeof(w->result->failure), format, ap);
	va_end(ap);
}

static uint64_t rnd(struct world *w, uint32_t stream, uint64_t n)
{
	return sim_random(w->sim, stream, n);
}

static void say(const struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const struct world *w, const char *format, ...)
{
	va_list ap;

	if (!w->o->verbose)
		return;
	printf("%10.6f ", (double)sim_now(w->sim) / 1e9);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

/* WATCH=block with -v: what happens to that block. */
static bool is_watched(const struct world *w, const struct hf_request *q)
{
	const char *text = w->o->verbose ? getenv("WATCH") : NULL;
	uint64_t lba = text ? strtoull(text, NULL, 10) : 0;

	return text && lba >= q->lba && lba < q->lba + q->nblocks;
}

static void host_name(uint32_t i, char out[HF_NAME_MAX])
{
	memset(out, 0, HF_NAME_MAX);
	snprintf(out, HF_NAME_MAX, "host%c", 'A' + (int)i);
}

/* Hosts. */

static void on_ready(void *ctx, int result, const char *why)
{
	struct host *h = ctx;

	if (result)
		fail(h->world, "host %u cannot start: %s", h->index, why);
	h->ready = true;
}

static void on_serving(void *ctx, struct hf_agent_volume *av)
{
	struct host *h = ctx;

	h->world->result->failovers++;
	say(h->world, "host %u serves epoch %llu, S* %llu", h->index, (unsigned long long)av->run->core->epoch,
	    (unsigned long long)av->run->core->promotion.decision.seq);
}

static void on_stopped(void *ctx, struct hf_agent_volume *av, const char *why)
{
	struct host *h = ctx;

	(void)av;
	say(h->world, "host %u stops serving: %s", h->index, why);
}

static void on_event(void *ctx, const char *kind, const char *volume, const char *host, const char *words)
{
	struct host *h = ctx;

	(void)volume;
	if (strcmp(kind, "catch-up-by-chunks-started") == 0)
		h->world->result->resyncs++;
	if (strcmp(kind, "block-unreadable") == 0)
		fail(h->world, "%s", words);
	say(h->world, "host %u: %s %s: %s", h->index, kind, host, words);
}

static const struct hf_agent_ops agent_ops = {
	.ready = on_ready, .serving = on_serving, .stopped = on_stopped, .event = on_event};

static void start_host(struct world *w, uint32_t i)
{
	struct host *h = &w->host[i];
	struct hf_reactor *r = sim_host_start(w->sim, i);
	struct hf_agent_params p = { .domain = "rack", .leg_dir = "legs", .pool_bytes = 2 << 20,
				     .log_bytes = w->log_bytes, .in_flight_max = w->log_bytes / 2 };
	char name[HF_NAME_MAX], addr[HF_ADDR_MAX];
	struct hf_errmsg err;

	host_name(i, name);
	snprintf(addr, sizeof(addr), "tcp:10.0.0.%u:%d", i, PORT);
	p.name = name;
	p.addr = addr;
	p.boot.b[0] = (uint8_t)++h->life;
	p.listen_fd = hf_sock_listen(r, addr, &err);
	hf_assert(p.listen_fd >= 0);
	h->ready = false;
	h->agent = calloc(1, sizeof(*h->agent));
	hf_assert(h->agent && hf_agent_start(h->agent, r, sim_cluster_open(w->sim, i), &p, &agent_ops, h) == 0);
	sim_host_wake(w->sim, i);
	say(w, "host %u starts", i);
}

static bool is_up(const struct world *w, uint32_t i)
{
	return sim_host_is_up(w->sim, i);
}

static struct hf_volume_run *run_of(struct world *w, uint32_t i)
{
	struct hf_agent_volume *av;

	if (!is_up(w, i) || !w->host[i].ready)
		return NULL;
	av = hf_agent_find_volume(w->host[i].agent, "vol");
	return av ? av->run : NULL;
}

static void kill_host(struct world *w, uint32_t i, enum sim_kill how, hf_nsec down)
{
	say(w, "host %u dies (%s) for %llu ms", i, how == SIM_KILL_POWER ? "power" : "process",
	    (unsigned long long)(down / MS));
	sim_host_kill(w->sim, i, how);
	w->host[i].ready = false;
	w->host[i].reader = NULL;
	w->host[i].up_at = sim_now(w->sim) + down;
	w->result->restarts++;
	if (w->session && w->session->host == i) {
		w->session->over = true;
		w->session = NULL;
		oracle_session_over(w->oracle);
	}
}

/* Making the volume. */

static void shape(struct world *w)
{
	static const struct { uint8_t k, m; bool full;
	} geometry[] = {
		{1, 1, false}, {1, 2, false}, {2, 1, true}, {2, 1, false},
		{4, 2, false}, {4, 1, true},  {2, 2, true}, {8, 1, false},
	};
	uint32_t g = (uint32_t)rnd(w, RND_SHAPE, 8), frag = 0;
	struct hf_record *r = &w->record;
	int tol;

	w->legs = geometry[g].k + geometry[g].m + geometry[g].full;
	w->hosts = w->legs + (uint32_t)rnd(w, RND_SHAPE, 2);
	w->blocks = 64 + rnd(w, RND_SHAPE, 400);
	w->pace = rnd(w, RND_LOG, 8) ? 4u << rnd(w, RND_LOG, 4) : 1;
	/* The largest entry, a chunk copied, has to fit twice wherever the ring stands. */
	w->log_bytes = (geometry[g].k == 1 || geometry[g].full ? 1024u << 10 : 512u << 10) << rnd(w, RND_LOG, 2);
	r->geometry = (struct hf_geometry){ geometry[g].k, geometry[g].m };
	strcpy(r->name, "vol");
	strcpy(r->tenant, "acme");
	r->size_blocks = w->blocks;
	r->volume.b[0] = 1;
	r->lineage.b[0] = 2;
	r->nonce.b[0] = 3;
	host_name(0, r->primary);
	r->leg_count = w->legs;
	for (uint32_t i = 0; i < w->legs; i++) {
		r->leg[i].uuid.b[0] = (uint8_t)(10 + i);
		host_name(i, r->leg[i].host);
		r->leg[i].frag = geometry[g].full && i == 0 ? HF_FRAG_FULL : (uint8_t)frag++;
		r->leg[i].insync = true;
	}
	tol = hf_insync_tolerance(r, hf_insync_all(r));
	r->min_tolerance = (uint8_t)(tol > 0 ? tol - 1 : 0);
	if (tol > 0 && rnd(w, RND_SHAPE, 4) == 0)
		r->min_tolerance = 0;
	w->down_max = (uint32_t)tol;
	snprintf(w->result->geometry, sizeof(w->result->geometry), "%u+%u%s min %u", r->geometry.k, r->geometry.m,
		 geometry[g].full ? "+full" : "", r->min_tolerance);
}

static void on_created(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		       uint64_t ver)
{
	struct world *w = q->ctx;

	(void)items;
	(void)count;
	(void)ver;
	if (result)
		fail(w, "the record could not be written: %s", hf_strerror(result));
	w->created = true;
	hf_agent_refresh(w->host[0].agent);
}

static void on_made(struct hf_admin_call *call, int result, const char *words)
{
	struct world *w = hf_container_of(call, struct leg_made, call)->world;
	char *text = NULL;

	if (result) {
		fail(w, "a leg could not be made: %s", words);
		return;
	}
	if (++w->made_count < w->legs)
		return;
	hf_assert(hf_record_encode(&w->record, &text) == 0);
	w->create_req.done = on_created;
	w->create_req.ctx = w;
	w->host[0].agent->cluster->ops->cas(w->host[0].agent->cluster, &w->create_req, "volume/vol", 0, text);
	free(text);
}

static void create(struct sim_world *sim, void *ctx)
{
	struct world *w = ctx;
	struct hf_agent *a = w->host[0].agent;

	(void)sim;
	w->record.cluster = a->host.cluster;
	for (uint32_t i = 0; i < w->legs; i++) {
		struct hf_wire_format m = {
			.id = { .cluster = w->record.cluster, .volume = w->record.volume, .leg = w->record.leg[i].uuid,
				.geometry = w->record.geometry, .frag = w->record.leg[i].frag },
			.size_blocks = w->blocks,
		};

		strcpy(m.volume, "vol");
		w->made[i].world = w;
		w->made[i].call.done = on_made;
		if (hf_host_format(&a->host, w->record.leg[i].host, &m, &w->made[i].call))
			fail(w, "host %u is not connected for FORMAT", i);
	}
}

/* The client. */

static void on_done(struct hf_request *q, int result)
{
	struct request *r = hf_container_of(q, struct request, q);
	struct session *s = r->s;
	struct world *w = s->world;

	r->busy = false;
	if (is_watched(w, q))
		say(w, "%s of %llu+%u by host %u in epoch %llu ends: %d, first id %llu",
		    q->kind == HF_REQUEST_READ ? "read" : "write", (unsigned long long)q->lba, q->nblocks, s->host,
		    (unsigned long long)s->epoch, result,
		    (unsigned long long)(q->buf ? *(const uint64_t *)(const void *)q->buf->data : 0));
	if (result == 0 && q->kind == HF_REQUEST_READ) {
		for (uint32_t b = 0; b < q->nblocks && !w->failed; b++) {
			const char *wrong = oracle_read(w->oracle, q->lba + b, r->floor[b], s->epoch,
							!r->overlaps && !s->over, q->buf->data + (size_t)b * HF_BLOCK);

			if (wrong)
				fail(w, "read by host %u in epoch %llu: %s", s->host, (unsigned long long)s->epoch,
				     wrong);
			w->result->checked_reads++;
		}
	} else if (result == 0 && q->kind != HF_REQUEST_FLUSH) {
		/* Also an answer that a left session hears late is an acknowledgement (H35). */
		for (uint32_t b = 0; b < q->nblocks; b++)
			oracle_acked(w->oracle, q->lba + b, r->id[b]);
		w->result->acked_writes++;
	} else if (result && result != -ESHUTDOWN) {
		fail(w, "request at block %llu failed: %s", (unsigned long long)q->lba, hf_strerror(result));
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
	struct world *w = s->world;

	(void)why;
	if (w->session == s) {
		w->session = NULL;
		oracle_session_over(w->oracle);
	}
	s->over = true;
	sim_call(w->sim, s->host, sim_now(w->sim), leave_fenced, s);
}

static void begin_request(struct world *w, struct session *s, struct request *r)
{
	struct hf_volume_run *run = s->s.volume;
	uint32_t kind = (uint32_t)rnd(w, RND_CLIENT, 20), max = kind < 2 ? 48 : 12;
	bool overlaps = false;

	memset(&r->q, 0, sizeof(r->q));
	r->s = s;
	r->q.nblocks = 1 + (uint32_t)(rnd(w, RND_CLIENT, 3) ? 0 : rnd(w, RND_CLIENT, max));
	r->q.lba = rnd(w, RND_CLIENT, w->blocks - r->q.nblocks + 1);
	r->q.done = on_done;
	r->q.kind = kind < 2	? HF_REQUEST_ZERO
		    : kind < 12 ? HF_REQUEST_WRITE
		    : kind < 19 ? HF_REQUEST_READ
				: HF_REQUEST_FLUSH;
	if (r->q.kind == HF_REQUEST_FLUSH)
		r->q.nblocks = 0;
	for (uint32_t b = 0; b < r->q.nblocks; b++)
		overlaps |= oracle_is_busy(w->oracle, r->q.lba + b);
	if (overlaps && r->q.kind != HF_REQUEST_READ)
		return;
	if (r->q.kind == HF_REQUEST_READ || r->q.kind == HF_REQUEST_WRITE) {
		r->q.buf = hf_buf_new(run->host->pool, r->q.nblocks * HF_BLOCK);
		if (!r->q.buf)
			return;
	}
	r->busy = true;
	r->overlaps = overlaps;
	for (uint32_t b = 0; b < r->q.nblocks; b++) {
		uint64_t lba = r->q.lba + b;

		if (r->q.kind == HF_REQUEST_READ) {
			r->floor[b] = oracle_floor(w->oracle, lba);
			continue;
		}
		r->id[b] = oracle_write(w->oracle, lba, s->epoch, r->q.kind == HF_REQUEST_ZERO);
		if (r->q.kind == HF_REQUEST_WRITE)
			oracle_fill(lba, r->id[b], r->q.buf->data + (size_t)b * HF_BLOCK);
	}
	if (is_watched(w, &r->q))
		say(w, "%s of %llu+%u by host %u in epoch %llu begins, first id %llu",
		    r->q.kind == HF_REQUEST_READ ? "read" : "write", (unsigned long long)r->q.lba, r->q.nblocks,
		    s->host, (unsigned long long)s->epoch, (unsigned long long)r->id[0]);
	hf_volume_run_submit(run, &s->s, &r->q);
}

static void client_turn(struct sim_world *sim, void *ctx)
{
	struct session *s = ctx;
	struct world *w = s->world;

	(void)sim;
	if (s->over || !s->s.volume)
		return;
	for (uint32_t n = (uint32_t)rnd(w, RND_CLIENT, 4); n > 0; n--)
		for (uint32_t i = 0; i < QUEUE; i++)
			if (!s->req[i].busy) {
				begin_request(w, s, &s->req[i]);
				break;
			}
	/* A write that began after a read did may be seen by it. */
	for (uint32_t i = 0; i < QUEUE; i++)
		for (uint32_t b = 0; s->req[i].busy && s->req[i].q.kind == HF_REQUEST_READ && b < s->req[i].q.nblocks;
		     b++)
			s->req[i].overlaps |= oracle_is_busy(w->oracle, s->req[i].q.lba + b);
	if (!w->calm)
		sim_call(w->sim, s->host, sim_now(w->sim) + 50000 + rnd(w, RND_CLIENT, 2 * MS) * w->pace, client_turn,
			 s);
}

static void attach(struct sim_world *sim, void *ctx)
{
	struct session *s = ctx;
	struct world *w = s->world;
	struct hf_volume_run *run = run_of(w, s->host);
	const char *why;

	(void)sim;
	if (w->session || !run || !run->open || hf_volume_run_attach(run, &s->s, &why))
		return;
	s->epoch = run->core->epoch;
	w->session = s;
	say(w, "client attaches to host %u, epoch %llu", s->host, (unsigned long long)s->epoch);
	client_turn(sim, s);
}

static void detach(struct sim_world *sim, void *ctx)
{
	struct session *s = ctx;

	(void)sim;
	if (s->over || !s->s.volume)
		return;
	s->over = true;
	if (s->world->session == s) {
		s->world->session = NULL;
		oracle_session_over(s->world->oracle);
	}
	hf_volume_run_detach(s->s.volume, &s->s);
}

/* Somebody reads on this host beside the writer, wherever that is: only leases keep this from being stale. */
static void glance(struct sim_world *sim, void *ctx)
{
	struct host *h = ctx;
	struct world *w = h->world;
	struct hf_volume_run *run = run_of(w, h->index);
	struct session *s = h->reader;
	const char *why;

	(void)sim;
	if (!run || !run->open)
		return;
	if (!s || s->over || s->s.volume != run) {
		s = h->reader = calloc(1, sizeof(*s));
		hf_assert(s);
		s->world = w;
		s->host = h->index;
		s->s.read_only = true;
		s->s.fenced = on_fenced;
		s->s.ctx = s;
		if (hf_volume_run_attach(run, &s->s, &why)) {
			s->over = true;
			return;
		}
		s->epoch = run->core->epoch;
	}
	for (uint32_t i = 0; i < QUEUE; i++) {
		struct request *r = &s->req[i];

		if (r->busy)
			continue;
		memset(&r->q, 0, sizeof(r->q));
		r->s = s;
		r->q.kind = HF_REQUEST_READ;
		r->q.nblocks = 1 + (uint32_t)rnd(w, RND_READER, 4);
		r->q.lba = rnd(w, RND_READER, w->blocks - r->q.nblocks + 1);
		r->q.done = on_done;
		r->q.buf = hf_buf_new(run->host->pool, r->q.nblocks * HF_BLOCK);
		if (!r->q.buf)
			return;
		r->busy = true;
		r->overlaps = true;
		for (uint32_t b = 0; b < r->q.nblocks; b++)
			r->floor[b] = oracle_floor(w->oracle, r->q.lba + b);
		hf_volume_run_submit(run, &s->s, &r->q);
		return;
	}
}

static void reader_look(struct sim_world *sim, void *ctx)
{
	struct world *w = ctx;

	for (uint32_t i = 0; i < w->hosts; i++)
		if (is_up(w, i) && run_of(w, i) && run_of(w, i)->open)
			sim_call(sim, i, sim_now(sim), glance, &w->host[i]);
	if (!w->calm)
		sim_at(sim, sim_now(sim) + (1 * MS + rnd(w, RND_READER, 4 * MS)) * w->pace, reader_look, w);
}

/* Every now and then: attach where the volume seems to be served, or leave for another host. */
static void client_look(struct sim_world *sim, void *ctx)
{
	struct world *w = ctx;
	uint32_t i = (uint32_t)rnd(w, RND_CLIENT, w->hosts);

	if (w->session && rnd(w, RND_CLIENT, 200) == 0)
		sim_call(sim, w->session->host, sim_now(sim), detach, w->session);
	if (!w->session && is_up(w, i) && run_of(w, i) && run_of(w, i)->open) {
		struct session *s = calloc(1, sizeof(*s));

		hf_assert(s);
		s->world = w;
		s->host = i;
		s->s.fenced = on_fenced;
		s->s.ctx = s;
		sim_call(sim, i, sim_now(sim), attach, s);
	}
	if (!w->calm)
		sim_at(sim, sim_now(sim) + 5 * MS, client_look, w);
}

/* Faults and the operator. */

static uint32_t hosts_down(const struct world *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->hosts; i++)
		n += !is_up(w, i);
	return n;
}

struct promote_order {
	struct world *w;
	uint32_t host;
};

static void order_promote(struct sim_world *sim, void *ctx)
{
	struct promote_order *p = ctx;
	struct host *h = &p->w->host[p->host];
	struct hf_agent_volume *av = h->ready ? hf_agent_find_volume(h->agent, "vol") : NULL;

	(void)sim;
	if (av) {
		say(p->w, "operator promotes on host %u", p->host);
		hf_agent_promote(h->agent, av, false);
	}
	free(p);
}

static void promote_somewhere(struct world *w)
{
	struct promote_order *p = malloc(sizeof(*p));

	hf_assert(p);
	p->w = w;
	p->host = (uint32_t)rnd(w, RND_OPERATOR, w->hosts);
	if (is_up(w, p->host))
		sim_call(w->sim, p->host, sim_now(w->sim), order_promote, p);
	else
		free(p);
}

static uint32_t primary_host(const struct world *w)
{
	const char *text = sim_cluster_peek(w->sim, "volume/vol", NULL);
	struct hf_errmsg err;
	struct hf_record r;

	if (!text || hf_record_decode(text, &r, &err))
		return 0;
	return (uint32_t)(r.primary[4] - 'A');
}

/* The primary is cut off from everything while another host is promoted: two believe, for a while, that they are it. */
static void split(struct world *w)
{
	uint32_t p = primary_host(w), to = (uint32_t)rnd(w, RND_FAULT, w->hosts);
	struct promote_order *order;

	if (p >= w->hosts || !is_up(w, p) || to == p || !is_up(w, to))
		return;
	sim_net_heal_all(w->sim);
	for (uint32_t h = 0; h < w->hosts; h++) {
		sim_cluster_cut(w->sim, h, h == p);
		if (h == p)
			continue;
		sim_net_cut(w->sim, p, h);
		sim_net_cut(w->sim, h, p);
		if (is_up(w, h))
			sim_host_resume(w->sim, h);
	}
	say(w, "primary host %u is split off", p);
	order = malloc(sizeof(*order));
	hf_assert(order);
	*order = (struct promote_order){ w, to };
	sim_call(w->sim, to, sim_now(w->sim) + rnd(w, RND_FAULT, 300) * MS, order_promote, order);
	w->quiet = 1;
}

static void inject(struct world *w)
{
	uint32_t i = (uint32_t)rnd(w, RND_FAULT, w->hosts), k = (uint32_t)rnd(w, RND_FAULT, w->hosts);
	uint32_t kind = (uint32_t)rnd(w, RND_FAULT, 100);
	hf_nsec down = (1 + rnd(w, RND_FAULT, 3000)) * MS;

	if (rnd(w, RND_FAULT, 3) == 0)
		i = primary_host(w);
	if (kind < 20) {
		if (is_up(w, i) && hosts_down(w) < w->down_max)
			kill_host(w, i, rnd(w, RND_FAULT, 2) ? SIM_KILL_POWER : SIM_KILL_PROCESS, down);
	} else if (kind < 23) {
		for (uint32_t h = 0; h < w->hosts; h++)	/* the lights go out */
			if (is_up(w, h))
				kill_host(w, h, SIM_KILL_POWER, (1 + rnd(w, RND_FAULT, 500)) * MS);
	} else if (kind < 31) {
		if (is_up(w, i)) {
			sim_host_pause(w->sim, i);
			say(w, "host %u is paused", i);
		}
	} else if (kind < 41) {
		for (uint32_t h = 0; h < w->hosts; h++)
			if (is_up(w, h))
				sim_host_resume(w->sim, h);
	} else if (kind < 51) {
		if (i != k) {
			sim_net_cut(w->sim, i, k);
			if (rnd(w, RND_FAULT, 2))
				sim_net_cut(w->sim, k, i);
			say(w, "hosts %u and %u are cut", i, k);
		}
	} else if (kind < 57) {
		for (uint32_t h = 0; h < w->hosts; h++)	/* isolate one */
			if (h != i) {
				sim_net_cut(w->sim, i, h);
				sim_net_cut(w->sim, h, i);
			}
		if (rnd(w, RND_FAULT, 4))
			sim_cluster_cut(w->sim, i, true);
		say(w, "host %u is isolated", i);
		w->nudge = 3;
	} else if (kind < 68) {
		split(w);
	} else if (kind < 92) {
		sim_net_heal_all(w->sim);
		for (uint32_t h = 0; h < w->hosts; h++)
			sim_cluster_cut(w->sim, h, false);
		say(w, "the network heals");
	} else if (kind < 96) {
		sim_cluster_cut(w->sim, i, rnd(w, RND_FAULT, 2));
	} else {
		for (uint32_t h = 0; h < w->hosts; h++)
			sim_cluster_cut(w->sim, h, false);
	}
}

static void restart_due(struct world *w)
{
	for (uint32_t i = 0; i < w->hosts; i++)
		if (!is_up(w, i) && sim_now(w->sim) >= w->host[i].up_at)
			start_host(w, i);
}

/* The rarer ways in which the disk of the one victim goes. */
static void spoil_disk(struct world *w, struct sim_config *c)
{
	switch (rnd(w, RND_DISK, 5)) {
	case 0:
		c->ppm[SIM_READ_EIO] = 2000;
		break;
	case 1:
		c->ppm[SIM_READ_EIO_STICKY] = 500;
		break;
	case 2:
		c->ppm[SIM_NO_SPACE] = 100;
		break;
	case 3:
		c->ppm[SIM_WRITE_EIO_STICKY] = 50;
		c->ppm[SIM_SYNC_EIO_STICKY] = 500;
		break;
	case 4:
		c->disk_slow = 10u << rnd(w, RND_DISK, 6);
		break;
	}
}

static void set_rates(struct world *w)
{
	for (uint32_t i = 0; i < w->hosts; i++) {
		struct sim_config *c = sim_config(w->sim, i);

		if (rnd(w, RND_SHAPE, 2))
			c->ppm[SIM_NET_SPIKE] = 2000;
		if (rnd(w, RND_SHAPE, 2))
			c->ppm[SIM_NET_RESET] = 300;
		if (rnd(w, RND_SHAPE, 3) == 0)
			c->ppm[SIM_NET_HALF_OPEN] = 100;
		if (rnd(w, RND_SHAPE, 3) == 0)
			c->ppm[SIM_NET_CORRUPT] = 200;
		if (rnd(w, RND_SHAPE, 2))
			c->ppm[SIM_DISK_STALL] = 500;
		if (rnd(w, RND_SHAPE, 2)) {
			c->ppm[SIM_CLUSTER_LOST_ANSWER] = 50000;
			c->ppm[SIM_CLUSTER_LOST_REQUEST] = 50000;
			c->ppm[SIM_CLUSTER_LOST_WATCH] = 100000;
		}
		if (rnd(w, RND_DISK, 2)) {
			c->ppm[SIM_CLUSTER_SPIKE] = 20000;
			c->ppm[SIM_NET_REFUSED] = 50000;
		}
		/* Clocks run apart by less than the margin of a lease (H31). */
		if (rnd(w, RND_SHAPE, 2))
			sim_host_clock(w->sim, i, rnd(w, RND_SHAPE, 10 * HF_SEC),
				       (int32_t)rnd(w, RND_SHAPE, 100000) - 50000);
	}
	/* A disk that rots: on one host only, of a volume that always tolerates the loss of one. */
	w->victim = (uint32_t)rnd(w, RND_SHAPE, w->hosts);
	if (w->record.min_tolerance == 0)
		return;
	if (rnd(w, RND_SHAPE, 3) == 0)
		sim_config(w->sim, w->victim)->ppm[SIM_BIT_ROT] = 2000;
	/* Or one that fails for good now and then. */
	else if (rnd(w, RND_SHAPE, 3) == 0) {
		sim_config(w->sim, w->victim)->ppm[SIM_WRITE_EIO] = 100;
		sim_config(w->sim, w->victim)->ppm[SIM_SYNC_EIO] = 1000;
	} else {
		spoil_disk(w, sim_config(w->sim, w->victim));
	}
}

static void clear_rates(struct world *w)
{
	for (uint32_t i = 0; i < w->hosts; i++) {
		memset(sim_config(w->sim, i)->ppm, 0, sizeof(sim_config(w->sim, i)->ppm));
		sim_config(w->sim, i)->disk_slow = 1;
		sim_cluster_cut(w->sim, i, false);
		if (is_up(w, i))
			sim_host_resume(w->sim, i);
	}
	sim_net_heal_all(w->sim);
	/* A failed leg is trusted again only after its host has read it anew from the disk (H15). */
	for (uint32_t i = 0; i < w->hosts; i++) {
		struct hf_list *n;

		if (!is_up(w, i) || !w->host[i].ready)
			continue;
		for (n = w->host[i].agent->legs.next; n != &w->host[i].agent->legs; n = n->next)
			if (hf_container_of(n, struct hf_agent_leg, link)->run.failed)
				break;
		sim_disk_heal(w->sim, i);
		if (n != &w->host[i].agent->legs)
			kill_host(w, i, SIM_KILL_PROCESS, 0);
	}
}

/* The end: everything is right again within a bounded time. */

static bool all_well(struct world *w)
{
	uint32_t p = primary_host(w);
	struct hf_volume_run *run = p < w->hosts ? run_of(w, p) : NULL;

	if (!run || !run->open || run->core->phase != HF_PHASE_SERVING)
		return false;
	return hf_insync_members(&run->core->record) == hf_insync_all(&run->core->record) &&
	       run->core->next == run->core->committed + 1;
}

static void explain_stuck(struct world *w)
{
	uint32_t p = primary_host(w);
	struct hf_volume_run *run = p < w->hosts ? run_of(w, p) : NULL;
	char text[500];
	int n;

	n = snprintf(text, sizeof(text), "not well after healing: primary host %u, %s", p, run ? "phase" : "no run");
	if (run) {
		n += snprintf(text + n, sizeof(text) - (size_t)n,
			      " %d verdict %d members %x next %llu committed %llu open %d legs", run->core->phase,
			      run->core->promotion.decision.verdict, hf_insync_members(&run->core->record),
			      (unsigned long long)run->core->next, (unsigned long long)run->core->committed, run->open);
		for (uint32_t i = 0; i < w->legs; i++)
			n += snprintf(text + n, sizeof(text) - (size_t)n, " %d/%llu%s%s", run->core->leg[i].state,
				      (unsigned long long)run->core->leg[i].acked, run->core->leg[i].resync ? "r" : "",
				      run->core->leg[i].lost ? "L" : "");
		for (uint32_t i = 0; w->o->verbose && i < w->legs; i++) {
			const struct hf_promise *x = &run->core->leg[i].reply;

			say(w, "leg %u: promised %llu activated %llu ver %llu first %llu last %llu commit %llu%s%s", i,
			    (unsigned long long)x->promised, (unsigned long long)x->activated,
			    (unsigned long long)x->ver, (unsigned long long)x->first, (unsigned long long)x->last,
			    (unsigned long long)x->commit, x->suspect ? " suspect" : "",
			    x->inconsistent ? " inconsistent" : "");
		}
	}
	for (uint32_t i = 0; i < w->hosts; i++) {
		const struct hf_agent *a = w->host[i].agent;

		n += snprintf(text + n, sizeof(text) - (size_t)n, " h%u:%s", i,
			      !is_up(w, i)  ? "down"
			      : !a->started ? "unstarted"
			      : !a->listed  ? "unlisted"
			      : !a->ready   ? "unready"
					    : "ok");
		for (const struct hf_list *l = a->hosts.next; is_up(w, i) && a->started && l != &a->hosts; l = l->next)
			n += snprintf(text + n, sizeof(text) - (size_t)n, "%d",
				      hf_host_peer((struct hf_host *)(uintptr_t)&a->host,
						   hf_container_of(l, struct hf_agent_host, link)->record.name)
					      ->state);
	}
	fail(w, "%s", text);
}

static bool wait_well(struct world *w, hf_nsec limit)
{
	hf_nsec end = sim_now(w->sim) + limit;

	while (!all_well(w)) {
		if (sim_now(w->sim) >= end || w->failed)
			return false;
		sim_run(w->sim, sim_now(w->sim) + 20 * MS);
	}
	return true;
}

struct audit {
	struct world *w;
	struct session *s;
	uint64_t lba;
	bool done;
};

static void audit_next(struct audit *a);

static void on_audited(struct hf_request *q, int result)
{
	struct request *r = hf_container_of(q, struct request, q);
	struct audit *a = r->s->audit;

	on_done(q, result);
	if (result)
		fail(a->w, "audit read failed: %s", hf_strerror(result));
	a->lba += r->q.nblocks;
	if (a->lba < a->w->blocks && !a->w->failed)
		audit_next(a);
	else
		a->done = true;
}

static void audit_next(struct audit *a)
{
	struct request *r = &a->s->req[0];
	uint64_t left = a->w->blocks - a->lba;
	struct hf_volume_run *run = a->s->s.volume;

	memset(&r->q, 0, sizeof(r->q));
	r->s = a->s;
	r->busy = true;
	r->overlaps = false;
	r->q.kind = HF_REQUEST_READ;
	r->q.lba = a->lba;
	r->q.nblocks = left < 16 ? (uint32_t)left : 16;
	r->q.done = on_audited;
	r->q.buf = hf_buf_new(run->host->pool, r->q.nblocks * HF_BLOCK);
	hf_assert(r->q.buf);
	for (uint32_t b = 0; b < r->q.nblocks; b++)
		r->floor[b] = oracle_floor(a->w->oracle, a->lba + b);
	hf_volume_run_submit(run, &a->s->s, &r->q);
}

static void audit_start(struct sim_world *sim, void *ctx)
{
	struct audit *a = ctx;
	struct hf_volume_run *run = run_of(a->w, a->s->host);
	const char *why;

	(void)sim;
	a->s->s.read_only = true;
	if (!run || hf_volume_run_attach(run, &a->s->s, &why)) {
		a->done = true;
		fail(a->w, "the audit cannot attach");
		return;
	}
	a->s->epoch = run->core->epoch;
	audit_next(a);
}

/* Read every block through the current primary. */
static void audit(struct world *w)
{
	struct audit a = { .w = w };
	hf_nsec end = sim_now(w->sim) + 20 * HF_SEC;

	a.s = calloc(1, sizeof(*a.s));
	hf_assert(a.s);
	a.s->world = w;
	a.s->host = primary_host(w);
	a.s->s.fenced = on_fenced;
	a.s->s.ctx = a.s;
	a.s->audit = &a;
	sim_call(w->sim, a.s->host, sim_now(w->sim), audit_start, &a);
	while (!a.done && !w->failed) {
		if (sim_now(w->sim) >= end)
			fail(w, "the audit does not end (block %llu)", (unsigned long long)a.lba);
		sim_run(w->sim, sim_now(w->sim) + 5 * MS);
	}
}

/*
 * Lose as many hosts as the volume survives without going below its minimum, promote on one of the rest, and read all
 * of it.
 */
static void durability_sweep(struct world *w)
{
	uint32_t lost = w->down_max - w->record.min_tolerance, p = w->hosts;
	hf_nsec end;

	for (uint32_t n = 0; n < lost; n++) {
		uint32_t i = n == 0 ? primary_host(w) : (uint32_t)rnd(w, RND_FAULT, w->hosts);

		if (is_up(w, i))
			kill_host(w, i, SIM_KILL_PROCESS, HF_NEVER / 2);
	}
	for (uint32_t i = 0; i < w->hosts && p == w->hosts; i++)
		if (is_up(w, i))
			p = i;
	end = sim_now(w->sim) + 60 * HF_SEC;
	for (;;) {
		struct hf_volume_run *run = primary_host(w) < w->hosts ? run_of(w, primary_host(w)) : NULL;
		struct promote_order *order;

		if (run && run->open)
			break;
		if (sim_now(w->sim) >= end || w->failed) {
			explain_stuck(w);
			return;
		}
		if (primary_host(w) != p) {
			order = malloc(sizeof(*order));
			hf_assert(order);
			*order = (struct promote_order){ w, p };
			sim_call(w->sim, p, sim_now(w->sim), order_promote, order);
		}
		sim_run(w->sim, sim_now(w->sim) + 1000 * MS);
	}
	audit(w);
}

static void come_up(struct world *w)
{
	hf_nsec end = sim_now(w->sim) + 20 * HF_SEC;

	for (uint32_t i = 0; i < w->hosts; i++)
		start_host(w, i);
	sim_run(w->sim, sim_now(w->sim) + 2 * HF_SEC);
	sim_call(w->sim, 0, sim_now(w->sim), create, w);
	while (!w->failed && !(w->created && run_of(w, 0) && run_of(w, 0)->open)) {
		if (sim_now(w->sim) >= end)
			fail(w, "the volume does not come up (made %u of %u, created %d)", w->made_count, w->legs,
			     w->created);
		sim_run(w->sim, sim_now(w->sim) + 20 * MS);
	}
}

static void trouble(struct world *w)
{
	set_rates(w);
	sim_at(w->sim, sim_now(w->sim), client_look, w);
	sim_at(w->sim, sim_now(w->sim), reader_look, w);
	for (uint32_t step = 0; step < w->o->steps && !w->failed; step++) {
		uint32_t p;

		uint64_t gap = 10 + rnd(w, RND_FAULT, rnd(w, RND_FAULT, 3) ? 150 : 3000);

		sim_run(w->sim, sim_now(w->sim) + (w->quiet ? 5000 : gap) * MS);
		w->quiet = 0;
		restart_due(w);
		inject(w);
		p = primary_host(w);
		if (rnd(w, RND_OPERATOR, p < w->hosts && is_up(w, p) && !w->nudge ? 25 : 2) == 0)
			promote_somewhere(w);
		if (w->nudge)
			w->nudge--;
	}
}

void world_run(const struct world_options *o, struct world_result *out)
{
	struct world *w = calloc(1, sizeof(*w));

	hf_assert(w);
	memset(out, 0, sizeof(*out));
	memset(hf_sometimes_count, 0, sizeof(hf_sometimes_count));
	w->o = o;
	w->result = out;
	w->sim = sim_world_new(o->seed, 12);
	shape(w);
	for (uint32_t i = 0; i < w->hosts; i++) {
		w->host[i].world = w;
		w->host[i].index = i;
	}
	w->oracle = oracle_new(w->blocks);
	come_up(w);
	if (!w->failed)
		trouble(w);
	clear_rates(w);
	for (uint32_t i = 0; i < w->hosts && !w->failed; i++)
		if (!is_up(w, i))
			start_host(w, i);
	sim_run(w->sim, sim_now(w->sim) + 3 * HF_SEC);
	w->calm = true;
	if (!w->failed && !wait_well(w, 60 * HF_SEC))
		explain_stuck(w);
	if (!w->failed)
		audit(w);
	if (!w->failed)
		durability_sweep(w);
	for (int f = 0; f < SIM_FAULT_COUNT; f++)
		out->faults[f] = sim_count(w->sim, f);
	memcpy(out->sometimes, hf_sometimes_count, sizeof(out->sometimes));
	out->events = sim_events(w->sim);
	out->hash = sim_hash(w->sim);
	out->simulated = sim_now(w->sim);
}

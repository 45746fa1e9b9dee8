// SPDX-License-Identifier: MIT
/* cell - orders to a small simulated cluster, and its one client. */
#include "sim/cell.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/insync.h"

#define PORT 7000
#define LOG_BYTES (1024u << 10)
#define PATIENCE (90 * HF_SEC)		/* for one order */
#define SHORT (20 * HF_SEC)
#define AGAIN (2 * HF_SEC)		/* an operator, and a client, try again after this */

/* One attachment; never reused: a dead host may still point to it. */
struct cell_session {
	struct cell *cell;
	struct cell_host *host;
	struct hf_session s;
	struct hf_request q;
	bool is_over, is_attached, is_done;
	int result;
};

static bool fail(struct cell *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(struct cell *c, const char *format, ...)
{
	va_list ap;

	if (c->failure[0])
		return false;
	va_start(ap, format);
	vsnprintf(c->failure, sizeof(c->failure), format, ap);
	va_end(ap);
	return false;
}

static void go(struct cell *c, hf_nsec until)
{
	if (c->run)
		c->run(c, until);
	else
		sim_run(c->sim, until);
}

static void cure(struct cell *c);

/* Let the world go on until `is_so`, with `again` called now and then; false: patience ended. */
static bool wait_for(struct cell *c, bool (*is_so)(struct cell *c, uint32_t arg), uint32_t arg,
		     void (*again)(struct cell *c, uint32_t arg))
{
	hf_nsec end = sim_now(c->sim) + PATIENCE, next = sim_now(c->sim);

	c->since = sim_now(c->sim);
	while (!c->failure[0] && !is_so(c, arg)) {
		if (sim_now(c->sim) >= end)
			return false;
		if (sim_now(c->sim) >= next) {
			cure(c);
			if (again)
				again(c, arg);
			next = sim_now(c->sim) + AGAIN;
		}
		go(c, sim_now(c->sim) + HF_MS);
	}
	return !c->failure[0];
}

/* Hosts. */

static void on_ready(void *ctx, int result, const char *why)
{
	struct cell_host *h = ctx;

	if (result)
		fail(h->cell, "host %u cannot start: %s", h->index, why);
	h->is_ready = result == 0;
}

static void on_serving(void *ctx, struct hf_agent_volume *av)
{
	(void)ctx;
	(void)av;
}

static void on_stopped(void *ctx, struct hf_agent_volume *av, const char *why)
{
	(void)ctx;
	(void)av;
	(void)why;
}

static void on_event(void *ctx, const char *kind, const char *volume, const char *host, const char *words)
{
	struct cell_host *h = ctx;

	(void)volume;
	(void)host;
	if (strcmp(kind, "block-unreadable") == 0)
		fail(h->cell, "%s", words);
}

static const struct hf_agent_ops agent_ops = {
	.ready = on_ready, .serving = on_serving, .stopped = on_stopped, .event = on_event
};

static void host_name(uint32_t i, char out[HF_NAME_MAX])
{
	memset(out, 0, HF_NAME_MAX);
	snprintf(out, HF_NAME_MAX, "host%c", 'A' + (int)i);
}

static void start_host(struct cell *c, uint32_t i)
{
	struct cell_host *h = &c->host[i];
	struct hf_reactor *r = sim_host_start(c->sim, i);
	struct hf_agent_params p = { .domain = "rack", .leg_dir = "legs", .pool_bytes = 2 << 20,
				     .log_bytes = LOG_BYTES, .in_flight_max = LOG_BYTES / 4 };
	char name[HF_NAME_MAX], addr[HF_ADDR_MAX];
	struct hf_errmsg err;

	host_name(i, name);
	snprintf(addr, sizeof(addr), "tcp:10.0.0.%u:%d", i, PORT);
	p.name = name;
	p.addr = addr;
	p.boot.b[0] = (uint8_t)++h->life;
	p.listen_fd = hf_sock_listen(r, addr, &err);
	hf_assert(p.listen_fd >= 0);
	h->is_ready = false;
	h->agent = calloc(1, sizeof(*h->agent));
	hf_assert(h->agent);
	if (hf_agent_start(h->agent, r, sim_cluster_open(c->sim, i), &p, &agent_ops, h))
		sim_host_kill(c->sim, i, SIM_KILL_PROCESS);	/* it says so and exits */
	else
		sim_host_wake(c->sim, i);
}

static bool is_ready(struct cell *c, uint32_t i)
{
	return c->host[i].is_ready;
}

bool cell_start_hosts(struct cell *c)
{
	for (uint32_t i = 0; i < c->hosts; i++)
		start_host(c, i);
	for (uint32_t i = 0; i < c->hosts; i++)
		if (!wait_for(c, is_ready, i, NULL))
			return fail(c, "host %u did not become ready", i);
	return true;
}

void cell_host_died(struct cell *c, uint32_t host)
{
	c->host[host].is_ready = false;
	if (c->session && c->session->host == &c->host[host])
		c->session = NULL;
	/* What it was asked to make will not be answered. */
	for (uint32_t i = 0; i < c->record.leg_count; i++)
		if (c->made[i].cell && !c->made[i].is_done && (host == 0 || i == host))
			c->made[i].cell = NULL;
	if (host == 0)
		c->is_creating = false;
}

bool cell_kill(struct cell *c, uint32_t host, enum sim_kill how)
{
	if (c->failure[0])
		return false;
	if (sim_host_is_up(c->sim, host))
		sim_host_kill(c->sim, host, how);
	cell_host_died(c, host);
	return true;
}

bool cell_restart(struct cell *c, uint32_t host)
{
	if (c->failure[0])
		return false;
	if (!sim_host_is_up(c->sim, host))
		start_host(c, host);
	return wait_for(c, is_ready, host, NULL) || fail(c, "host %u did not become ready again", host);
}

static struct hf_volume_run *run_of(struct cell *c, uint32_t i)
{
	struct hf_agent_volume *av;

	if (!sim_host_is_up(c->sim, i) || !c->host[i].is_ready)
		return NULL;
	av = hf_agent_find_volume(c->host[i].agent, "vol");
	return av && av->run && av->run->open ? av->run : NULL;
}

struct hf_volume_run *cell_serving(struct cell *c)
{
	for (uint32_t i = 0; i < c->hosts; i++)
		if (run_of(c, i))
			return run_of(c, i);
	return NULL;
}

/* Making the volume. */

bool cell_init(struct cell *c, uint64_t seed, uint8_t k, uint8_t m)
{
	struct hf_record *r = &c->record;
	int tol;

	*c = (struct cell){ .hosts = (uint32_t)k + m };
	c->sim = sim_world_new(seed, c->hosts);
	r->geometry = (struct hf_geometry){ k, m };
	strcpy(r->name, "vol");
	strcpy(r->tenant, "acme");
	r->size_blocks = CELL_BLOCKS;
	r->volume.b[0] = 1;
	r->lineage.b[0] = 2;
	r->nonce.b[0] = 3;
	host_name(0, r->primary);
	r->leg_count = c->hosts;
	for (uint32_t i = 0; i < c->hosts; i++) {
		c->host[i] = (struct cell_host){ .cell = c, .index = i };
		r->leg[i].uuid.b[0] = (uint8_t)(10 + i);
		host_name(i, r->leg[i].host);
		r->leg[i].frag = (uint8_t)i;
		r->leg[i].insync = true;
	}
	tol = hf_insync_tolerance(r, hf_insync_all(r));
	r->min_tolerance = (uint8_t)(tol > 0 ? tol - 1 : 0);
	return true;
}

void cell_fini(struct cell *c)
{
	sim_world_free(c->sim);
}

static void on_made(struct hf_admin_call *call, int result, const char *words)
{
	struct cell_made *x = hf_container_of(call, struct cell_made, call);

	(void)words;
	x->is_done = true;
	x->result = result;
}

/* One leg after the other, by host 0; one that is there already was made by an order whose answer was lost. */
static void make_leg(struct sim_world *sim, void *ctx)
{
	struct cell_made *x = ctx;
	struct cell *c = x->cell;
	uint32_t leg = (uint32_t)(x - c->made);
	struct hf_agent *a = c->host[0].agent;
	struct hf_wire_format m = {
		.id = { .cluster = a->host.cluster, .volume = c->record.volume, .leg = c->record.leg[leg].uuid,
			.geometry = c->record.geometry, .frag = c->record.leg[leg].frag },
		.size_blocks = CELL_BLOCKS,
	};

	(void)sim;
	c->record.cluster = a->host.cluster;
	strcpy(m.volume, "vol");
	x->call = (struct hf_admin_call){ .done = on_made };
	x->is_done = false;
	if (hf_host_format(&a->host, c->record.leg[leg].host, &m, &x->call)) {
		x->is_done = true;
		x->result = -EHOSTUNREACH;
	}
}

static bool is_made(struct cell *c, uint32_t leg)
{
	return c->made[leg].is_done && (c->made[leg].result == 0 || c->made[leg].result == -EEXIST);
}

static void make_again(struct cell *c, uint32_t leg)
{
	struct cell_made *x = &c->made[leg];

	if (x->cell && !x->is_done)
		return;			/* the order before is still under way */
	if (!c->host[0].is_ready)
		return;
	x->cell = c;
	sim_call(c->sim, 0, sim_now(c->sim), make_leg, x);
}

static void on_created(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		       uint64_t ver)
{
	struct cell *c = q->ctx;

	(void)items;
	(void)count;
	(void)ver;
	c->is_creating = false;
	/* -ESTALE: it is there, written by the try before. */
	c->is_created = result == 0 || result == -ESTALE;
	if (c->is_created)
		hf_agent_refresh(c->host[0].agent);
}

static bool has_failed_leg(struct cell *c, uint32_t i)
{
	if (!sim_host_is_up(c->sim, i) || !c->host[i].is_ready)
		return false;
	hf_list_each(&c->host[i].agent->legs, n) {
		const struct hf_agent_leg *l = hf_container_of(n, struct hf_agent_leg, link);

		if (l->state == HF_AGENT_LEG_OPEN && l->run.failed)
			return true;
	}
	return false;
}

/*
 * A leg that has failed takes no more writes until its daemon is started again (R13): the operator sees to that. When
 * too few legs were in sync at the moment at which a host died, that host is needed.
 */
static void cure(struct cell *c)
{
	for (uint32_t i = 0; i < c->hosts; i++) {
		if (has_failed_leg(c, i))
			cell_kill(c, i, SIM_KILL_PROCESS);
		else if (sim_host_is_up(c->sim, i) || sim_now(c->sim) < c->since + SHORT)
			continue;
		start_host(c, i);
	}
}

static void write_record(struct sim_world *sim, void *ctx)
{
	struct cell *c = ctx;
	struct hf_cluster *store = c->host[0].agent->cluster;
	char *text = NULL;

	(void)sim;
	hf_assert(hf_record_encode(&c->record, &text) == 0);
	c->create_req = (struct hf_cluster_req){ .done = on_created, .ctx = c };
	c->is_creating = true;
	store->ops->cas(store, &c->create_req, "volume/vol", 0, NULL, text);
	free(text);
}

static void create_again(struct cell *c, uint32_t arg)
{
	(void)arg;
	if (!c->is_creating && !c->is_created)
		sim_call(c->sim, 0, sim_now(c->sim), write_record, c);
}

static bool is_served(struct cell *c, uint32_t host)
{
	return run_of(c, host);
}

bool cell_create(struct cell *c)
{
	for (uint32_t i = 0; i < c->record.leg_count; i++)
		if (!wait_for(c, is_made, i, make_again))
			return fail(c, "leg %u could not be made", i);
	if (!wait_for(c, is_served, 0, create_again))
		return fail(c, "the volume is not served after it was made");
	return true;
}

/* The client. */

static uint8_t pattern(uint64_t value, size_t at)
{
	return (uint8_t)(value * 0x9e3779b97f4a7c15ull >> (at % 8 * 8)) ^ (uint8_t)(at / 8);
}

static void leave(struct sim_world *sim, void *ctx)
{
	struct cell_session *s = ctx;

	(void)sim;
	if (s->s.volume)
		hf_volume_run_detach(s->s.volume, &s->s);
}

static void on_fenced(struct hf_session *hs, const char *why)
{
	struct cell_session *s = hs->ctx;

	(void)why;
	s->is_over = true;
	if (s->cell->session == s)
		s->cell->session = NULL;
	sim_call(s->cell->sim, s->host->index, sim_now(s->cell->sim), leave, s);
}

static void on_done(struct hf_request *q, int result)
{
	struct cell_session *s = hf_container_of(q, struct cell_session, q);

	s->is_done = true;
	s->result = result;
}

static void attach(struct sim_world *sim, void *ctx)
{
	struct cell_session *s = ctx;
	struct hf_volume_run *run = run_of(s->cell, s->host->index);
	const char *why;

	(void)sim;
	if (!run || s->is_over || hf_volume_run_attach(run, &s->s, &why)) {
		s->is_over = true;
		return;
	}
	s->is_attached = true;
	hf_volume_run_submit(run, &s->s, &s->q);
}

/* A session for each request: who asks first is asked where the volume is served by then. */
static struct cell_session *ask(struct cell *c, enum hf_request_kind kind, uint32_t lba, uint32_t nblocks,
				const uint64_t *value)
{
	struct cell_session *s;
	uint32_t host = 0;
	struct hf_buf *buf;

	while (host < c->hosts && !run_of(c, host))
		host++;
	if (host == c->hosts)
		return NULL;
	buf = hf_buf_new(run_of(c, host)->host->pool, nblocks * HF_BLOCK);
	s = calloc(1, sizeof(*s));
	if (!buf || !s) {
		free(s);
		return NULL;
	}
	*s = (struct cell_session){ .cell = c, .host = &c->host[host], .s.fenced = on_fenced, .s.ctx = s };
	s->q = (struct hf_request){ .kind = kind, .lba = lba, .nblocks = nblocks, .buf = buf, .done = on_done };
	for (uint32_t b = 0; value && b < nblocks; b++)
		for (size_t i = 0; i < HF_BLOCK; i++)
			buf->data[b * HF_BLOCK + i] = pattern(value[b], i);
	c->session = s;
	sim_call(c->sim, host, sim_now(c->sim), attach, s);
	return s;
}

/* Until the request is answered with 0, by whoever serves; its session is left open, to be looked at and closed. */
static struct cell_session *answered(struct cell *c, enum hf_request_kind kind, uint32_t lba, uint32_t nblocks,
				     const uint64_t *value)
{
	hf_nsec end = sim_now(c->sim) + PATIENCE;

	c->since = sim_now(c->sim);
	while (!c->failure[0] && sim_now(c->sim) < end) {
		struct cell_session *s = ask(c, kind, lba, nblocks, value);

		cure(c);
		while (s && !s->is_done && !s->is_over && c->session == s && sim_now(c->sim) < end) {
			go(c, sim_now(c->sim) + HF_MS / 4);
			if (sim_now(c->sim) % AGAIN < HF_MS / 4)
				cure(c);
		}
		if (s && s->is_done && s->result == 0)
			return s;
		if (s && s->is_done && s->result != -ESHUTDOWN)
			fail(c, "a request was answered with %s", hf_strerror(s->result));
		c->session = NULL;
		go(c, sim_now(c->sim) + 10 * HF_MS);
	}
	fail(c, "%s of block %u+%u is not answered", kind == HF_REQUEST_READ ? "a read" : "a write", lba, nblocks);
	return NULL;
}

static void close_session(struct cell *c, struct cell_session *s)
{
	hf_buf_put(s->q.buf);
	c->session = NULL;
	sim_call(c->sim, s->host->index, sim_now(c->sim), leave, s);
	go(c, sim_now(c->sim) + HF_MS);
}

bool cell_write(struct cell *c, uint32_t lba, uint32_t nblocks)
{
	uint64_t value[HF_WRITE_BLOCKS_MAX];
	struct cell_session *s;

	for (uint32_t b = 0; b < nblocks; b++)
		value[b] = ++c->newest;
	s = c->failure[0] ? NULL : answered(c, HF_REQUEST_WRITE, lba, nblocks, value);
	if (!s)
		return false;
	memcpy(&c->value[lba], value, nblocks * sizeof(value[0]));
	c->acked++;
	close_session(c, s);
	return true;
}

static bool block_is(const uint8_t *data, uint64_t value)
{
	for (size_t i = 0; i < HF_BLOCK; i++)
		if (data[i] != (value ? pattern(value, i) : 0))
			return false;
	return true;
}

bool cell_check(struct cell *c)
{
	for (uint32_t lba = 0; lba < CELL_BLOCKS && !c->failure[0]; lba += 16) {
		struct cell_session *s = answered(c, HF_REQUEST_READ, lba, 16, NULL);

		for (uint32_t b = 0; s && b < 16; b++) {
			if (!block_is(s->q.buf->data + (size_t)b * HF_BLOCK, c->value[lba + b]))
				fail(c, "block %u is not what was acknowledged", lba + b);
			c->checked++;
		}
		if (s)
			close_session(c, s);
	}
	return !c->failure[0];
}

/* The operator. */

static void order_promote(struct sim_world *sim, void *ctx)
{
	struct cell_host *h = ctx;
	struct hf_agent_volume *av = h->is_ready ? hf_agent_find_volume(h->agent, "vol") : NULL;

	(void)sim;
	if (av)
		hf_agent_promote(h->agent, av, false);
}

static void promote_again(struct cell *c, uint32_t host)
{
	sim_call(c->sim, host, sim_now(c->sim), order_promote, &c->host[host]);
}

bool cell_promote(struct cell *c, uint32_t host)
{
	return wait_for(c, is_served, host, promote_again) || fail(c, "host %u does not serve", host);
}

static bool has_in_sync(struct cell *c, uint32_t legs)
{
	static const char in_sync[] = "\"insync\":true";
	const char *text = sim_cluster_peek(c->sim, "volume/vol", NULL);
	uint32_t n = 0;

	/* Looked at as text: decoding is the product's, and may be out of memory. */
	for (; text && (text = strstr(text, in_sync)); text += strlen(in_sync))
		n++;
	return n == legs;
}

bool cell_in_sync(struct cell *c, uint32_t legs)
{
	return wait_for(c, has_in_sync, legs, NULL) || fail(c, "not %u legs in sync", legs);
}

static void on_resized(void *ctx, struct hf_volume_run *v, int result)
{
	(void)ctx;
	(void)v;
	(void)result;
}

static void order_resize(struct sim_world *sim, void *ctx)
{
	struct cell *c = ctx;
	struct hf_volume_run *run = cell_serving(c);

	(void)sim;
	if (run && run->size_blocks != c->record.size_blocks)
		hf_volume_run_resize(run, c->record.size_blocks, on_resized, c);
}

static void resize_again(struct cell *c, uint32_t arg)
{
	(void)arg;
	for (uint32_t i = 0; i < c->hosts; i++)
		if (run_of(c, i))
			sim_call(c->sim, i, sim_now(c->sim), order_resize, c);
}

static bool has_size(struct cell *c, uint32_t blocks)
{
	struct hf_volume_run *run = cell_serving(c);

	return run && run->size_blocks == blocks;
}

bool cell_resize(struct cell *c, uint64_t blocks)
{
	c->record.size_blocks = blocks;
	return wait_for(c, has_size, (uint32_t)blocks, resize_again) || fail(c, "the volume has not grown");
}

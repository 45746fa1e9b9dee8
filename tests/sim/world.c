// SPDX-License-Identifier: MIT
/*
 * world - one seed: a cluster comes up, volumes are made, clients write and read while hosts are killed, paused, cut
 * off and brought back and an operator promotes; then everything heals, and all must be in sync, readable and right.
 */
#include "sim/world_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT 7000

void world_fail(struct world *w, const char *format, ...)
{
	va_list ap;

	if (w->failed)
		return;
	w->failed = true;
	va_start(ap, format);
	vsnprintf(w->result->failure, sizeof(w->result->failure), format, ap);
	va_end(ap);
}

uint64_t world_random(struct world *w, uint32_t stream, uint64_t n)
{
	return sim_random(w->sim, stream, n);
}

void world_say(const struct world *w, const char *format, ...)
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
		world_fail(h->world, "host %u cannot start: %s", h->index, why);
	h->ready = true;
}

static void on_serving(void *ctx, struct hf_agent_volume *av)
{
	struct host *h = ctx;

	h->world->result->failovers++;
	world_say(h->world, "host %u serves %s in epoch %llu, S* %llu, %llu blocks", h->index, av->record.name,
		  (unsigned long long)av->run->core->epoch,
		  (unsigned long long)av->run->core->promotion.decision.seq,
		  (unsigned long long)av->run->size_blocks);
}

static void on_stopped(void *ctx, struct hf_agent_volume *av, const char *why)
{
	struct host *h = ctx;

	world_say(h->world, "host %u stops serving %s: %s", h->index, av->record.name, why);
}

static void on_event(void *ctx, const char *kind, const char *volume, const char *host, const char *words)
{
	struct host *h = ctx;

	if (strcmp(kind, "catch-up-by-chunks-started") == 0)
		h->world->result->resyncs++;
	if (strcmp(kind, "block-unreadable") == 0 && !h->world->result->unlimited)
		world_fail(h->world, "%s", words);
	world_say(h->world, "host %u: %s %s %s: %s", h->index, kind, volume ? volume : "", host, words);
}

static const struct hf_agent_ops agent_ops = {
	.ready = on_ready, .serving = on_serving, .stopped = on_stopped, .event = on_event};

void world_start_host(struct world *w, uint32_t i)
{
	struct host *h = &w->host[i];
	struct hf_reactor *r = sim_host_start(w->sim, i);
	struct hf_agent_params p = { .domain = "rack", .leg_dir = "legs", .pool_bytes = 2 << 20,
				     .log_bytes = w->log_bytes, .in_flight_max = w->log_bytes / 4 };
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
	invariants_host(w->invariants, i, h->agent);
	hf_assert(h->agent && hf_agent_start(h->agent, r, sim_cluster_open(w->sim, i), &p, &agent_ops, h) == 0);
	sim_host_wake(w->sim, i);
	world_say(w, "host %u starts", i);
}

bool world_is_up(const struct world *w, uint32_t i)
{
	return sim_host_is_up(w->sim, i);
}

struct hf_volume_run *world_run_of(struct vol *v, uint32_t i)
{
	struct world *w = v->world;
	struct hf_agent_volume *av;

	if (i >= w->hosts || !world_is_up(w, i) || !w->host[i].ready)
		return NULL;
	av = hf_agent_find_volume(w->host[i].agent, v->record.name);
	return av ? av->run : NULL;
}

void world_kill_host(struct world *w, uint32_t i, enum sim_kill how, hf_nsec down)
{
	world_say(w, "host %u dies (%s) for %llu ms", i, how == SIM_KILL_POWER ? "power" : "process",
		  (unsigned long long)(down / MS));
	sim_host_kill(w->sim, i, how);
	w->host[i].ready = false;
	w->host[i].up_at = sim_now(w->sim) + down;
	w->result->restarts++;
	for (uint32_t n = 0; n < w->volumes; n++) {
		struct vol *v = &w->vol[n];

		v->reader[i] = NULL;
		if (v->session && v->session->host == i)
			world_client_lost(v);
	}
}

bool world_record(const struct vol *v, struct hf_record *out)
{
	char key[HF_RECORD_KEY_MAX];
	const char *text = sim_cluster_peek(v->world->sim, hf_record_volume_key(v->record.name, key), NULL);
	struct hf_errmsg err;

	return text && hf_record_decode(text, out, &err) == 0;
}

uint32_t world_primary(const struct vol *v)
{
	struct hf_record r;
	uint32_t host;

	if (!world_record(v, &r))
		return HOSTS_MAX;
	host = (uint32_t)(r.primary[4] - 'A');
	return host < v->world->hosts ? host : HOSTS_MAX;
}

struct promote_order {
	struct vol *v;
	uint32_t host;
	bool accept_loss;
};

static void promote(struct sim_world *sim, void *ctx)
{
	struct promote_order *p = ctx;
	struct world *w = p->v->world;
	struct host *h = &w->host[p->host];
	struct hf_agent_volume *av = h->ready ? hf_agent_find_volume(h->agent, p->v->record.name) : NULL;

	(void)sim;
	if (av) {
		world_say(w, "the operator promotes %s on host %u", p->v->record.name, p->host);
		hf_agent_promote(h->agent, av, p->accept_loss);
	}
	free(p);
}

static void order(struct vol *v, uint32_t host, hf_nsec at, bool accept_loss)
{
	struct promote_order *p = malloc(sizeof(*p));

	hf_assert(p);
	*p = (struct promote_order){ v, host, accept_loss };
	v->world->result->operations[WORLD_PROMOTE]++;
	sim_call(v->world->sim, host, at, promote, p);
}

void world_promote(struct vol *v, uint32_t host, hf_nsec at)
{
	order(v, host, at, false);
}

void world_give_up(struct vol *v, uint32_t host, hf_nsec at)
{
	order(v, host, at, true);
}

bool world_can_promote(struct vol *v, uint32_t host)
{
	struct host *h = &v->world->host[host];

	return world_is_up(v->world, host) && h->ready && hf_agent_find_volume(h->agent, v->record.name);
}

/* Making the volumes. */

static struct shape draw_shape(struct world *w)
{
	static const struct shape common[] = {
		{1, 1, false}, {1, 2, false}, {2, 1, true}, {2, 1, false}, {4, 2, false}, {4, 1, true},
		{2, 2, true},  {8, 1, false}, {4, 2, true}, {1, 1, true},
	};
	struct shape s;

	if (world_random(w, RND_SHAPE, 5))
		return common[world_random(w, RND_SHAPE, sizeof(common) / sizeof(common[0]))];
	s.k = (uint8_t)(1u << world_random(w, RND_SHAPE, 4));
	s.m = (uint8_t)(1 + world_random(w, RND_SHAPE, s.k == 8 ? 3 : 4));
	s.full = world_random(w, RND_SHAPE, 2);
	return s;
}

static void shape_volume(struct world *w, struct vol *v, struct shape s)
{
	struct hf_record *r = &v->record;
	uint8_t frag = 0;

	v->world = w;
	v->blocks = 64 + world_random(w, RND_SHAPE, 400);
	v->grown = v->blocks;
	v->blocks_max = v->blocks + 256;
	v->oracle = oracle_new(v->blocks_max);
	r->geometry = (struct hf_geometry){ s.k, s.m };
	snprintf(r->name, sizeof(r->name), "vol%u", v->index);
	strcpy(r->tenant, "acme");
	r->size_blocks = v->blocks;
	r->volume.b[0] = (uint8_t)(1 + v->index);
	r->lineage.b[0] = (uint8_t)(101 + v->index);
	r->nonce.b[0] = 3;
	r->leg_count = s.k + s.m + s.full;
	for (uint32_t i = 0; i < r->leg_count; i++) {
		v->host_of[i] = (i + v->index) % w->hosts;
		r->leg[i].uuid.b[0] = (uint8_t)(10 + i);
		r->leg[i].uuid.b[1] = (uint8_t)(1 + v->index);
		host_name(v->host_of[i], r->leg[i].host);
		r->leg[i].frag = s.full && i == 0 ? HF_FRAG_FULL : frag++;
		r->leg[i].insync = true;
	}
	host_name(v->host_of[0], r->primary);
	v->tolerance = hf_insync_tolerance(r, hf_insync_all(r));
	r->min_tolerance = (uint8_t)(v->tolerance - 1);
	if (world_random(w, RND_SHAPE, 4) == 0)
		r->min_tolerance = 0;
	r->auto_failover = world_random(w, RND_AUTO, 2);
	r->auto_failover = world_random(w, RND_AUTO, 2);
}

static void draw_world(struct world *w)
{
	static const uint8_t volumes[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4};
	struct shape s[VOLUMES_MAX];
	char *text = w->result->geometry, *end = text + sizeof(w->result->geometry);

	w->result->unlimited = world_random(w, RND_SHAPE, 8) == 0;
	w->volumes = volumes[world_random(w, RND_SHAPE, 16)];
	for (uint32_t i = 0; i < w->volumes; i++) {
		uint32_t legs;

		s[i] = draw_shape(w);
		world_lean_shape(w, &s[i]);
		legs = s[i].k + s[i].m + s[i].full;
		if (w->hosts < legs)
			w->hosts = legs;
		/* The largest entry, a chunk copied, has to fit twice wherever the ring stands. */
		if (w->log_bytes < (s[i].k == 1 || s[i].full ? 1024u << 10 : 512u << 10))
			w->log_bytes = s[i].k == 1 || s[i].full ? 1024u << 10 : 512u << 10;
	}
	if (w->hosts < HOSTS_MAX)
		w->hosts += (uint32_t)world_random(w, RND_SHAPE, 2);
	w->log_bytes <<= world_random(w, RND_SHAPE, 2);
	w->pace = (world_random(w, RND_SHAPE, 32) ? 8u << world_random(w, RND_SHAPE, 3) : 1) * w->volumes;
	w->overlaps = world_random(w, RND_SHAPE, 2);
	w->again = world_random(w, RND_SHAPE, 2);
	for (uint32_t i = 0; i < w->volumes; i++) {
		w->vol[i].index = i;
		shape_volume(w, &w->vol[i], s[i]);
		world_lean_world(w);
		text += snprintf(text, (size_t)(end - text), "%s%u+%u%s min %u", i ? ", " : "", s[i].k, s[i].m,
				 s[i].full ? "+full" : "", w->vol[i].record.min_tolerance);
	}
	if (world_lean_name(w))
		snprintf(text, (size_t)(end - text), ", leans to %s", world_lean_name(w));
	for (uint32_t i = 0; i < w->hosts; i++) {
		w->host[i].world = w;
		w->host[i].index = i;
	}
}

static void on_created(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		       uint64_t ver)
{
	struct vol *v = q->ctx;

	(void)items;
	(void)count;
	(void)ver;
	if (result)
		world_fail(v->world, "the record could not be written: %s", hf_strerror(result));
	v->created = true;
	hf_agent_refresh(v->world->host[0].agent);
}

static void on_made(struct hf_admin_call *call, int result, const char *words)
{
	struct vol *v = hf_container_of(call, struct leg_made, call)->v;
	struct hf_cluster *c = v->world->host[0].agent->cluster;
	char key[HF_RECORD_KEY_MAX];
	char *text = NULL;

	if (result) {
		world_fail(v->world, "a leg could not be made: %s", words);
		return;
	}
	if (++v->made_count < v->record.leg_count)
		return;
	hf_assert(hf_record_encode(&v->record, &text) == 0);
	v->create_req.done = on_created;
	v->create_req.ctx = v;
	c->ops->cas(c, &v->create_req, hf_record_volume_key(v->record.name, key), 0, NULL, text);
	free(text);
}

static void create(struct sim_world *sim, void *ctx)
{
	struct vol *v = ctx;
	struct hf_agent *a = v->world->host[0].agent;

	(void)sim;
	v->record.cluster = a->host.cluster;
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		struct hf_wire_format m = {
			.id = { .cluster = v->record.cluster, .volume = v->record.volume,
				.leg = v->record.leg[i].uuid, .geometry = v->record.geometry,
				.frag = v->record.leg[i].frag },
			.size_blocks = v->blocks,
		};

		memcpy(m.volume, v->record.name, sizeof(m.volume));
		v->made[i].v = v;
		v->made[i].call.done = on_made;
		if (hf_host_format(&a->host, v->record.leg[i].host, &m, &v->made[i].call))
			world_fail(v->world, "host %s is not connected for FORMAT", v->record.leg[i].host);
	}
}

/* The run. */

static bool is_born(struct vol *v)
{
	struct hf_volume_run *run = world_run_of(v, v->host_of[0]);

	return v->created && run && run->open;
}

static void come_up(struct world *w)
{
	hf_nsec end = sim_now(w->sim) + 20 * HF_SEC;

	for (uint32_t i = 0; i < w->hosts; i++)
		world_start_host(w, i);
	sim_run(w->sim, sim_now(w->sim) + 2 * HF_SEC);
	for (uint32_t i = 0; i < w->volumes; i++)
		sim_call(w->sim, 0, sim_now(w->sim), create, &w->vol[i]);
	for (uint32_t i = 0; i < w->volumes && !w->failed;) {
		if (is_born(&w->vol[i])) {
			i++;
			continue;
		}
		if (sim_now(w->sim) >= end)
			world_fail(w, "%s does not come up (made %u of %u, created %d)", w->vol[i].record.name,
				   w->vol[i].made_count, w->vol[i].record.leg_count, w->vol[i].created);
		sim_run(w->sim, sim_now(w->sim) + 20 * MS);
	}
}

static void trouble(struct world *w)
{
	world_set_rates(w);
	for (uint32_t i = 0; i < w->volumes; i++)
		world_client_start(&w->vol[i]);
	for (uint32_t step = 0; step < w->o->steps && !w->failed; step++) {
		uint64_t gap = 10 + world_random(w, RND_GAP, world_random(w, RND_GAP, 3) ? 150 : 3000);

		sim_run(w->sim, sim_now(w->sim) + (w->quiet ? 5000 : gap) * MS);
		w->quiet = 0;
		for (uint32_t i = 0; i < w->hosts; i++)
			if (!world_is_up(w, i) && sim_now(w->sim) >= w->host[i].up_at)
				world_start_host(w, i);
		if (!(w->o->skip >> step & 1))
			world_step(w, step);
	}
}

/* Everything is right again, and nothing was lost. */
static void judge(struct world *w)
{
	w->calm = true;
	if (w->failed)
		return;
	if (world_wait_well(w, 60 * HF_SEC)) {
		for (uint32_t i = 0; i < w->volumes && !w->failed; i++)
			world_audit(&w->vol[i]);
		if (!w->failed && !w->result->unlimited)
			world_sweep(w);
	}
	for (uint32_t i = 0; i < w->volumes && !w->failed; i++) {
		const char *wrong = w->vol[i].given_up ? NULL : oracle_judge(w->vol[i].oracle);

		if (wrong)
			world_fail(w, "%s, all together: %s", w->vol[i].record.name, wrong);
	}
}

static void on_turned(void *ctx, uint32_t host)
{
	struct world *w = ctx;
	const char *is_wrong = w->failed ? NULL : invariants_check(w->invariants, host);

	if (is_wrong)
		world_fail(w, "%s", is_wrong);
}

void world_run(const struct world_options *o, struct world_result *out)
{
	struct world *w = calloc(1, sizeof(*w));

	hf_assert(w && o->steps <= WORLD_STEPS_MAX);
	memset(out, 0, sizeof(*out));
	memset(hf_sometimes_count, 0, sizeof(hf_sometimes_count));
	w->o = o;
	w->result = out;
	w->sim = sim_world_new(o->seed, HOSTS_MAX);
	out->skipped = !world_lean_draw(w);
	if (out->skipped)
		return;
	w->invariants = invariants_new(w->sim);
	sim_watch(w->sim, on_turned, w);
	draw_world(w);
	come_up(w);
	if (!w->failed)
		trouble(w);
	world_clear_faults(w);
	for (uint32_t i = 0; i < w->hosts && !w->failed; i++)
		if (!world_is_up(w, i))
			world_start_host(w, i);
	sim_run(w->sim, sim_now(w->sim) + 3 * HF_SEC);
	judge(w);
	for (int f = 0; f < SIM_FAULT_COUNT; f++)
		out->faults[f] = sim_count(w->sim, f);
	memcpy(out->sometimes, hf_sometimes_count, sizeof(out->sometimes));
	out->events = sim_events(w->sim);
	out->hash = sim_hash(w->sim);
	out->simulated = sim_now(w->sim);
}

// SPDX-License-Identifier: MIT
/*
 * engine_host - one host's process of holdfast-bench-engine: the daemon's agent on the real reactor. On the primary
 * also the volume's making, its filling, the load and the figures.
 *
 * CPU time is read from the clocks of all processes before the first and after the last request, so that neither start
 * nor filling is in it. What would make the figures say something else than they seem to (a leg that left the in-sync
 * set, no buffer for a request) is an error.
 */
#include "engine.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "core/insync.h"
#include "engine/agent.h"
#include "engine/peer.h"
#include "io/reactor_uring.h"

#define VOLUME "bench"
#define POOL_BYTES (64u << 20)		/* the daemon's default */
#define FILL_DEPTH 8u
#define POLL_NS (5 * HF_MS)

/* Latencies to 3 %: 32 buckets for each power of two. */
#define BUCKETS (60u * 32u)

struct latency {
	uint64_t count[BUCKETS], total;
};

struct slot {
	struct hf_request q;
	struct bench *bench;
	uint64_t began_ns;
	bool busy;
};

/* A phase's requests. */
struct load {
	enum hf_request_kind kind;
	uint32_t nblocks, depth;
	bool random;
	uint64_t ops, issued, done;	/* ops: how many at most */
	uint32_t under_way;
	void (*over)(struct bench *b);
};

enum phase { PHASE_JOIN, PHASE_MAKE, PHASE_OPEN, PHASE_FILL, PHASE_MEASURE, PHASE_STOP };

struct leg_made {
	struct hf_admin_call call;
	struct bench *bench;
};

/* One host's process. */
struct bench {
	struct bench_host self;
	const struct bench_options *o;
	struct hf_reactor *r;
	struct hf_cluster *cluster;
	struct hf_agent agent;
	bool ready;
	/* the primary's */
	enum phase phase;
	struct hf_timer tick, deadline;
	struct hf_record record;
	struct leg_made made[HF_LEGS_MAX];
	uint32_t made_count;
	struct hf_cluster_req create;
	struct hf_session session;
	struct hf_volume_run *run;
	struct load load;
	struct slot slot[BENCH_DEPTH_MAX];
	struct latency latency;
	uint64_t random, began_ns, cpu_began_ns;
	hf_nsec stop_at;
	struct bench_report report;
	uint8_t pattern[2 * HF_BLOCK];
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * HF_SEC + (uint64_t)ts.tv_nsec;
}

/* CPU time that all hosts' processes have used, helper threads and kernel workers too. */
static uint64_t cpu_ns(const struct bench *b)
{
	uint64_t sum = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	clockid_t clock;

	for (uint32_t i = 0; i < b->o->hosts; i++)
		if (i != b->self.index && clock_getcpuclockid(b->self.pid[i], &clock) == 0)
			sum += clock_ns(clock);
	return sum;
}

static uint32_t bucket_of(uint64_t ns)
{
	uint32_t shift;

	if (ns < 32)
		return (uint32_t)ns;
	shift = 63 - 5 - (uint32_t)__builtin_clzll(ns);
	return (shift + 1) * 32 + (uint32_t)(ns >> shift) - 32;
}

static uint64_t percentile(const struct latency *l, double share)
{
	uint64_t want = (uint64_t)((double)l->total * share), seen = 0;
	uint32_t i = 0;

	while (i < BUCKETS - 1 && (seen += l->count[i]) <= want)
		i++;
	return i < 32 ? i : (2 * (uint64_t)(i % 32 + 32) + 1) << (i / 32 - 1) >> 1;
}

/* xorshift64*: the same blocks in the same order in every run. */
static uint64_t next_random(struct bench *b)
{
	b->random ^= b->random >> 12;
	b->random ^= b->random << 25;
	b->random ^= b->random >> 27;
	return b->random * 0x2545f4914f6cdd1dull;
}

static _Noreturn void end_process(struct bench *b)
{
	ssize_t n = write(b->self.report_fd, &b->report, sizeof(b->report));

	_exit(n == (ssize_t)sizeof(b->report) && !b->report.failure[0] ? 0 : 1);
}

static _Noreturn void fail(struct bench *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

static _Noreturn void fail(struct bench *b, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(b->report.failure, sizeof(b->report.failure), format, ap);
	va_end(ap);
	end_process(b);
}

static void host_name(uint32_t i, char out[HF_NAME_MAX])
{
	memset(out, 0, HF_NAME_MAX);
	snprintf(out, HF_NAME_MAX, "host%c", (int)('A' + i));
}

/* Requests. */

static void pump(struct bench *b);

static void on_done(struct hf_request *q, int result)
{
	struct slot *s = hf_container_of(q, struct slot, q);
	struct bench *b = s->bench;
	struct load *l = &b->load;

	if (result)
		fail(b, "a request at block %llu failed: %s", (unsigned long long)q->lba, hf_strerror(result));
	if (b->phase == PHASE_MEASURE) {
		b->latency.count[bucket_of(clock_ns(CLOCK_MONOTONIC) - s->began_ns)]++;
		b->latency.total++;
	}
	hf_buf_put(q->buf);
	s->busy = false;
	l->under_way--;
	l->done++;
	pump(b);
}

/* What a front does with a request: a private buffer, the payload copied into it, submit. */
static bool begin(struct bench *b, struct slot *s)
{
	struct load *l = &b->load;
	struct hf_buf *buf = hf_buf_new(b->agent.pool, l->nblocks * HF_BLOCK);
	uint64_t at = l->random ? next_random(b) % b->o->size_blocks : l->issued * l->nblocks;

	if (!buf)
		return false;
	s->q = (struct hf_request){ .kind = l->kind, .lba = at, .nblocks = l->nblocks, .buf = buf, .done = on_done };
	if (at + l->nblocks > b->o->size_blocks)
		s->q.nblocks = (uint32_t)(b->o->size_blocks - at);
	for (uint32_t i = 0; l->kind == HF_REQUEST_WRITE && i < s->q.nblocks; i++)
		memcpy(buf->data + (size_t)i * HF_BLOCK, b->pattern + (l->issued + i) % HF_BLOCK, HF_BLOCK);
	s->bench = b;
	s->busy = true;
	s->began_ns = clock_ns(CLOCK_MONOTONIC);
	l->issued++;
	l->under_way++;
	hf_volume_run_submit(b->run, &b->session, &s->q);
	return true;
}

static void pump(struct bench *b)
{
	struct load *l = &b->load;

	for (uint32_t i = 0; i < l->depth && l->issued < l->ops; i++) {
		if (b->slot[i].busy || begin(b, &b->slot[i]))
			continue;
		if (b->phase == PHASE_MEASURE)
			fail(b, "no buffer is free: less than --depth requests would be in flight");
		return;			/* the tick goes on */
	}
	if (l->under_way == 0 && l->issued == l->ops)
		l->over(b);
}

/* The figures. */

static void begin_stop(struct bench *b)
{
	b->phase = PHASE_STOP;
	b->stop_at = hf_reactor_now(b->r) + BENCH_STOP_NS;
	hf_timer_clear(&b->deadline);
	hf_volume_run_detach(b->run, &b->session);
	hf_agent_stop(&b->agent);
	hf_timer_set(b->r, &b->tick, hf_reactor_now(b->r) + POLL_NS);
}

static void on_measured(struct bench *b)
{
	const struct hf_record *rec = &b->run->core->record;
	struct bench_report *r = &b->report;

	r->wall_ns = clock_ns(CLOCK_MONOTONIC) - b->began_ns;
	r->cpu_ns = cpu_ns(b) - b->cpu_began_ns;
	r->ops = b->load.done;
	r->p50_ns = percentile(&b->latency, 0.50);
	r->p99_ns = percentile(&b->latency, 0.99);
	if (hf_insync_members(rec) != hf_insync_all(rec))
		fail(b, "a leg left the in-sync set: this is not the layout that was asked for");
	begin_stop(b);
}

static void on_deadline(struct hf_timer *t)
{
	struct bench *b = hf_container_of(t, struct bench, deadline);

	b->load.ops = b->load.issued;
	pump(b);
}

static void on_filled(struct bench *b)
{
	const struct bench_options *o = b->o;

	b->phase = PHASE_MEASURE;
	hf_timer_clear(&b->tick);
	b->load = (struct load){ .kind = strcmp(o->op, "read") ? HF_REQUEST_WRITE : HF_REQUEST_READ,
				 .nblocks = 1, .depth = (uint32_t)o->depth, .random = true,
				 .ops = o->ops ? o->ops : UINT64_MAX, .over = on_measured };
	b->cpu_began_ns = cpu_ns(b);
	b->began_ns = clock_ns(CLOCK_MONOTONIC);
	hf_timer_set(b->r, &b->deadline, hf_reactor_now(b->r) + o->seconds * HF_SEC);
	pump(b);
}

static void begin_fill(struct bench *b)
{
	b->phase = PHASE_FILL;
	b->load = (struct load){ .kind = HF_REQUEST_WRITE, .nblocks = HF_WRITE_BLOCKS_MAX, .depth = FILL_DEPTH,
				 .ops = (b->o->size_blocks + HF_WRITE_BLOCKS_MAX - 1) / HF_WRITE_BLOCKS_MAX,
				 .over = on_filled };
	pump(b);
}

/* Making the volume, as `holdfast volume create` does: the legs first, the record last. */

static void on_fenced(struct hf_session *s, const char *why)
{
	fail(s->ctx, "the volume stopped: %s", why);
}

static void open_volume(struct bench *b)
{
	struct hf_agent_volume *av = hf_agent_find_volume(&b->agent, VOLUME);
	const char *why;

	if (!av || !av->run || !av->run->open)
		return;
	b->run = av->run;
	b->session.fenced = on_fenced;
	b->session.ctx = b;
	if (hf_volume_run_attach(b->run, &b->session, &why))
		fail(b, "the volume cannot be opened: %s", why);
	begin_fill(b);
}

static void on_created(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		       uint64_t ver)
{
	struct bench *b = q->ctx;

	(void)items;
	(void)count;
	(void)ver;
	if (result)
		fail(b, "the config record could not be written: %s", hf_strerror(result));
	b->phase = PHASE_OPEN;
	hf_agent_refresh(&b->agent);
}

static void on_made(struct hf_admin_call *call, int result, const char *words)
{
	struct bench *b = hf_container_of(call, struct leg_made, call)->bench;
	char key[HF_RECORD_KEY_MAX], *text = NULL;

	if (result)
		fail(b, "a leg could not be made: %s", words);
	if (++b->made_count < b->record.leg_count)
		return;
	hf_assert(hf_record_encode(&b->record, &text) == 0);
	b->create.done = on_created;
	b->create.ctx = b;
	b->cluster->ops->cas(b->cluster, &b->create, hf_record_volume_key(VOLUME, key), 0, NULL, text);
	free(text);
}

static void new_uuid(struct bench *b, struct hf_uuid *out)
{
	hf_reactor_random(b->r, out, sizeof(*out));
	hf_uuid_stamp(out);
}

static void fill_record(struct bench *b)
{
	const struct bench_options *o = b->o;
	struct hf_record *r = &b->record;
	bool full = strcmp(o->local, "full") == 0;
	uint8_t frag = 0;
	int tolerance;

	r->cluster = b->agent.host.cluster;
	new_uuid(b, &r->volume);
	new_uuid(b, &r->lineage);
	new_uuid(b, &r->nonce);
	snprintf(r->name, sizeof(r->name), VOLUME);
	snprintf(r->tenant, sizeof(r->tenant), VOLUME);
	r->size_blocks = o->size_blocks;
	r->geometry = (struct hf_geometry){ o->k, o->m };
	host_name(0, r->primary);
	r->leg_count = o->hosts;
	for (uint32_t i = 0; i < r->leg_count; i++) {
		new_uuid(b, &r->leg[i].uuid);
		host_name(i, r->leg[i].host);
		r->leg[i].frag = full && i == 0 ? HF_FRAG_FULL : frag++;
		r->leg[i].insync = true;
	}
	tolerance = hf_insync_tolerance(r, hf_insync_all(r));
	r->min_tolerance = (uint8_t)(tolerance > 0 ? tolerance - 1 : 0);
}

static void make_volume(struct bench *b)
{
	b->phase = PHASE_MAKE;
	fill_record(b);
	for (uint32_t i = 0; i < b->record.leg_count; i++) {
		struct hf_wire_format m = {
			.id = { .cluster = b->record.cluster, .volume = b->record.volume,
				.leg = b->record.leg[i].uuid, .geometry = b->record.geometry,
				.frag = b->record.leg[i].frag },
			.size_blocks = b->record.size_blocks,
		};

		memcpy(m.volume, b->record.name, sizeof(m.volume));
		b->made[i].bench = b;
		b->made[i].call.done = on_made;
		if (hf_host_format(&b->agent.host, b->record.leg[i].host, &m, &b->made[i].call))
			fail(b, "%s cannot be reached", b->record.leg[i].host);
	}
}

static bool all_hosts_up(struct bench *b)
{
	char name[HF_NAME_MAX];

	for (uint32_t i = 0; i < b->o->hosts; i++) {
		host_name(i, name);
		if (!hf_peer_is_up(hf_host_peer(&b->agent.host, name)))
			return false;
	}
	return true;
}

static void on_tick(struct hf_timer *t)
{
	struct bench *b = hf_container_of(t, struct bench, tick);
	hf_nsec now = hf_reactor_now(b->r);

	hf_timer_set(b->r, t, now + POLL_NS);
	if (b->phase == PHASE_JOIN && b->ready && all_hosts_up(b))
		make_volume(b);
	else if (b->phase == PHASE_OPEN)
		open_volume(b);
	else if (b->phase == PHASE_FILL)
		pump(b);
	else if (b->phase == PHASE_STOP && (hf_agent_is_idle(&b->agent) || now >= b->stop_at))
		end_process(b);
}

/* A host's process. */

static void on_ready(void *ctx, int result, const char *why)
{
	struct bench *b = ctx;

	if (result)
		fail(b, "a host cannot join: %s (%s)", why, hf_strerror(result));
	b->ready = true;
}

static void on_serving(void *ctx, struct hf_agent_volume *av)
{
	(void)ctx;
	(void)av;
}

static void on_stopped(void *ctx, struct hf_agent_volume *av, const char *why)
{
	struct bench *b = ctx;

	(void)av;
	if (b->phase != PHASE_STOP)
		fail(b, "the volume stopped: %s", why);
}

static void on_event(void *ctx, const char *kind, const char *volume, const char *host, const char *words)
{
	(void)ctx;
	(void)kind;
	(void)volume;
	(void)host;
	(void)words;
}

static const struct hf_agent_ops agent_ops = {
	.ready = on_ready, .serving = on_serving, .stopped = on_stopped, .event = on_event};

static void listen_at(struct bench *b, struct hf_agent_params *p, char addr[HF_ADDR_MAX])
{
	struct hf_errmsg err;
	struct sockaddr_in in;
	socklen_t len = sizeof(in);

	snprintf(addr, HF_ADDR_MAX, "tcp:127.0.0.1:0");
	if (strcmp(b->o->net, "unix") == 0 &&
	    snprintf(addr, HF_ADDR_MAX, "unix:%s/%s", b->self.dir, p->name) >= (int)HF_ADDR_MAX)
		fail(b, "the path %s is too long for a unix socket: use a shorter --dir", b->self.dir);
	p->listen_fd = hf_sock_listen(b->r, addr, &err);
	if (p->listen_fd < 0)
		fail(b, "%s", err.text);
	if (strcmp(b->o->net, "tcp") == 0 && getsockname(p->listen_fd, (struct sockaddr *)&in, &len) == 0)
		snprintf(addr, HF_ADDR_MAX, "tcp:127.0.0.1:%u", ntohs(in.sin_port));
	p->addr = addr;
}

static struct bench bench;

_Noreturn void bench_host_run(const struct bench_host *h)
{
	struct bench *b = &bench;
	char name[HF_NAME_MAX], addr[HF_ADDR_MAX], path[256];
	struct hf_agent_params p = { .name = name, .domain = name, .leg_dir = path, .pool_bytes = POOL_BYTES };
	struct hf_errmsg err;

	b->self = *h;
	b->o = h->o;
	host_name(h->index, name);
	b->random = 0x9e3779b97f4a7c15ull;
	for (size_t i = 0; i < sizeof(b->pattern); i++)
		b->pattern[i] = (uint8_t)next_random(b);
	if (hf_reactor_uring_new(&b->r, &err))
		fail(b, "%s", err.text);
	snprintf(path, sizeof(path), "%s/cluster.db", b->self.dir);
	if (hf_cluster_sqlite_new(b->r, path, &b->cluster, &err))
		fail(b, "%s", err.text);
	listen_at(b, &p, addr);
	new_uuid(b, &p.boot);
	snprintf(path, sizeof(path), "%s/%s.legs", b->self.dir, name);
	if (mkdir(path, 0700))
		fail(b, "directory %s cannot be made: %s", path, hf_strerror(errno));
	if (hf_agent_start(&b->agent, b->r, b->cluster, &p, &agent_ops, b))
		fail(b, "%u MiB of buffers cannot be had", POOL_BYTES >> 20);
	hf_timer_init(&b->tick, on_tick);
	hf_timer_init(&b->deadline, on_deadline);
	if (b->self.index == 0)
		hf_timer_set(b->r, &b->tick, hf_reactor_now(b->r) + POLL_NS);
	hf_reactor_uring_run(b->r);
	fail(b, "the loop of %s ended", name);
}

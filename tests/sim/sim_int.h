/* SPDX-License-Identifier: MIT */
/* sim_int - what the files of the simulator share. Not for the users of a world. */
#ifndef HF_TESTS_SIM_SIM_INT_H
#define HF_TESTS_SIM_SIM_INT_H

#include "base/assert.h"
#include "base/limits.h"
#include "sim/sim.h"

#define PAGE 4096u

/* Streams of randomness beside one per kind of fault. */
enum sim_stream {
	STREAM_SCHED = SIM_FAULT_COUNT,	/* when turns run */
	STREAM_DISK,			/* latencies, captures */
	STREAM_CRASH,			/* what a crash leaves */
	STREAM_NET,			/* delays */
	STREAM_CHOP,			/* how bytes are cut into pieces */
	STREAM_JOB,
	STREAM_CLUSTER,
	STREAM_RANDOM,			/* hf_reactor_random */
	STREAM_COUNT
};

struct rng {
	uint64_t s;
};

uint64_t sim_mix(uint64_t v);

static inline uint64_t rng_next(struct rng *g)
{
	return sim_mix(g->s += 0x9e3779b97f4a7c15ull);
}

static inline uint64_t rng_below(struct rng *g, uint64_t n)
{
	return n ? (uint64_t)(((unsigned __int128)rng_next(g) * n) >> 64) : 0;
}

/* Objects of one size, never given back before the world ends: an event may look at one that is free. */
struct pool_item {
	struct pool_item *next;
};

struct pool {
	struct pool_item *free;
	struct pool_item *chunks;
	size_t size;
};

void *pool_get(struct pool *p);		/* zeroed when made, as left when reused */
void pool_put(struct pool *p, void *item);
void pool_fini(struct pool *p);

enum event_kind {
	EVENT_TURN,			/* obj: host */
	EVENT_TIMER,			/* host */
	EVENT_DISK,			/* req */
	EVENT_SEND,			/* req */
	EVENT_CONNECT,			/* req */
	EVENT_JOB_WORK,			/* req */
	EVENT_JOB_DONE,			/* req */
	EVENT_PIPE,			/* pipe */
	EVENT_RESET,			/* sock */
	EVENT_CALL,			/* call */
};

struct event {
	hf_nsec time;
	uint64_t tie;
	void *obj;
	uint32_t kind;
	uint32_t gen;			/* of obj when the event was made; another one now: void */
};

/* One io or job under way. */
struct req {
	struct pool_item item;
	uint32_t gen;
	struct hf_list link;		/* host's reqs */
	struct hf_list wait;		/* listener's accepts */
	struct host *host;
	struct hf_io *io;
	struct hf_job *job;
	struct file *file;
	uint64_t snap;			/* SYNC: last record it covers */
	int fault;			/* enum sim_fault, or -1 */
	uint32_t attempt;		/* CONNECT */
	uint8_t **pages;		/* WRITE: what the disk took already; NULL: not yet */
	uint32_t page_cap;
};

struct call {
	struct pool_item item;
	uint32_t gen;
	struct hf_list link;
	struct host *host;		/* NULL: outside of hosts */
	uint32_t host_gen;
	sim_fn *fn;
	void *ctx;
};

enum handle_kind { HANDLE_FREE, HANDLE_FILE, HANDLE_LISTEN, HANDLE_SOCK };

struct handle {
	enum handle_kind kind;
	uint32_t gen;
	uint32_t under_way;		/* ios */
	bool is_read_only;
	union {
		struct file *file;
		struct listener *listener;
		struct sock *sock;
	};
};

struct host {
	struct hf_reactor base;
	struct sim_world *world;
	uint32_t index;
	uint32_t gen;			/* one more with every death */
	bool is_up, is_paused, is_in_turn;
	bool is_powered;		/* its kernel answers, whether the daemon runs or not */
	struct hf_list queued;		/* ios for the end of the turn */
	struct hf_list done;		/* ios whose callback is due */
	struct hf_list reqs;
	struct hf_list jobs;		/* finished */
	struct hf_list calls;
	hf_nsec turn_at;		/* the turn that is planned; HF_NEVER */
	hf_nsec timer_at;		/* the timer event that is planned; HF_NEVER */
	hf_nsec busy_until;
	uint64_t turns;
	hf_nsec clock_world, clock_local; /* where the clock was last set */
	int32_t drift_ppm;
	struct handle *handles;
	uint32_t handle_count;
	struct hf_list files;
	bool is_disk_full;
	enum sim_fault nth_fault;
	uint32_t nth;			/* 0: none is ordered */
	bool is_nth_sticky;
	hf_nsec nic_until;		/* the network card is busy */
	bool is_cluster_cut;
	struct sim_config config;
	struct rng rng[STREAM_COUNT];
};

struct sim_world {
	uint64_t seed;
	hf_nsec now;
	uint64_t next_id;
	uint64_t hash;
	uint64_t events;
	uint64_t crashes;
	struct event *heap;
	size_t heap_len, heap_cap;
	struct host *host;
	uint32_t host_count;
	uint32_t current;
	struct pool reqs, calls, pages, recs, page_nodes, conns, rings;
	struct hf_list conns_live, listeners;
	bool cut[SIM_HOSTS_MAX][SIM_HOSTS_MAX];
	uint64_t counts[SIM_FAULT_COUNT];
	struct store *store;
	struct rng user[SIM_STREAMS];
	void (*turned)(void *ctx, uint32_t host);
	void *turned_ctx;
};

/* sim_world.c */
void sim_event_add(struct sim_world *w, hf_nsec at, enum event_kind kind, void *obj, uint32_t gen);
void sim_fold(struct sim_world *w, uint64_t v);
/* Does it happen now? Counts it when it does. */
bool sim_chance(struct host *h, enum sim_fault f);
/* Is this the chance that sim_fault_nth() ordered? Counts it when it is. */
bool sim_is_nth(struct host *h, enum sim_fault f);
/* About `typical`, seldom much more. */
hf_nsec sim_latency(struct rng *g, hf_nsec typical);
void sim_wake(struct host *h);
/* Call inside the next turn of this life of the host; dropped when it dies before. */
void sim_deliver(struct host *h, sim_fn *fn, void *ctx);

/* sim_reactor.c */
extern const struct hf_reactor_ops sim_reactor_ops;
struct req *sim_req_new(struct host *h);
void sim_req_free(struct req *q);
/* The req is over; its io gets its result. */
void sim_req_done(struct req *q, int64_t result);
int sim_handle_new(struct host *h, enum handle_kind kind);
struct handle *sim_handle(struct host *h, int fd);
void sim_host_turn(struct host *h);
void sim_job_event(struct req *q, enum event_kind kind);

/* sim_disk.c */
void sim_disk_init(struct sim_world *w);
int sim_disk_open(struct host *h, const char *name, enum hf_file_mode mode, uint64_t size, struct hf_file_info *info,
		  struct hf_errmsg *err);
int sim_disk_unlink(struct host *h, const char *name);
void sim_disk_start(struct req *q);
void sim_disk_event(struct req *q);
void sim_disk_cancel(struct req *q);
void sim_disk_close(struct handle *n);
/* The io of this req will never end. */
void sim_disk_crash_req(struct req *q, enum sim_kill how);
void sim_disk_crash(struct host *h, enum sim_kill how);
void sim_disk_fini(struct host *h);

/* sim_net.c */
void sim_net_init(struct sim_world *w);
int sim_net_listen(struct host *h, const char *addr, struct hf_errmsg *err);
void sim_net_start(struct req *q);
void sim_net_event(struct sim_world *w, const struct event *e);
void sim_net_cancel(struct req *q);
void sim_net_close(struct host *h, struct handle *n);
void sim_net_crash(struct host *h, enum sim_kill how);
void sim_net_boot(struct host *h);
void sim_net_fini(struct sim_world *w);

/* sim_cluster.c */
void sim_store_init(struct sim_world *w);
void sim_store_fini(struct sim_world *w);
void sim_store_crash(struct host *h);

#endif

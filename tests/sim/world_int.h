/* SPDX-License-Identifier: MIT */
/* world_int - what the files of a simulated cluster's run share: hosts, volumes, clients, the plan. */
#ifndef HF_TESTS_SIM_WORLD_INT_H
#define HF_TESTS_SIM_WORLD_INT_H

#include "base/assert.h"
#include "sim/invariants.h"
#include "sim/world.h"

#define MS HF_MS
#define QUEUE 16u
#define VOLUMES_MAX 4u
#define HOSTS_MAX 12u

/* Streams of sim_random(): one for each decision maker, so that one who is silent leaves the others where they were. */
enum {
	RND_SHAPE = 1,
	RND_RATES,
	RND_GAP,
	RND_END,
	RND_LEAN,
	RND_AUTO,
	RND_CLIENT = 8,			/* and one more for each volume */
	RND_READER = 8 + VOLUMES_MAX,
	RND_STEP = 64,			/* and one more for each fault step */
};

struct world;
struct vol;

struct host {
	struct world *world;
	uint32_t index;
	uint32_t life;
	struct hf_agent *agent;		/* of this life; garbage when the host is down */
	bool ready;
	hf_nsec up_at;			/* down: when it starts again */
};

struct request {
	struct hf_request q;
	struct session *s;
	bool busy;
	uint64_t id;			/* WRITE, ZERO */
	struct oracle_mark mark[HF_WRITE_BLOCKS_MAX];
};

struct audit;

/* One attachment; never reused: a dead host may still point to it. */
struct session {
	struct vol *v;
	uint32_t host;
	uint64_t epoch;
	struct hf_session s;
	bool over;
	struct audit *audit;		/* set: this session reads every block at the end */
	struct request req[QUEUE];
};

struct leg_made {
	struct hf_admin_call call;
	struct vol *v;
};

/* A write that was not answered, and is to be sent again. */
struct again {
	uint64_t id, lba;
	uint32_t nblocks;
	bool zero;
};

struct vol {
	struct world *world;
	uint32_t index;
	struct hf_record record;	/* as it was made */
	uint32_t host_of[HF_LEGS_MAX];
	struct leg_made made[HF_LEGS_MAX];
	uint32_t made_count;
	bool created;
	struct hf_cluster_req create_req;
	uint64_t blocks;		/* as clients know it */
	uint64_t grown, blocks_max;	/* largest size asked for; what the oracle has room for */
	int tolerance;			/* of all legs */
	struct oracle *oracle;
	struct session *session;
	struct session *reader[HOSTS_MAX]; /* reads also where a newer primary may exist; of the host's life */
	struct again again[QUEUE];
	uint32_t again_count;
	uint64_t called;		/* requests so far */
	hf_nsec lost_at;		/* when the session ended */
	bool given_up;			/* the operator gave data up: what is read is not judged any more */
};

/* k data and m parity fragments, and a whole leg */
struct shape {
	uint8_t k, m;
	bool full;
};

struct leaning;

struct world {
	const struct world_options *o;
	struct world_result *result;
	struct sim_world *sim;
	uint32_t hosts, volumes;
	struct host host[HOSTS_MAX];
	struct vol vol[VOLUMES_MAX];
	bool failed, calm;
	struct invariants *invariants;
	uint32_t log_bytes;		/* small: it fills, and goes round, in a run */
	uint32_t pace;			/* 1: clients in a hurry; more: that much slower, so that a seed costs less */
	uint32_t hot;			/* most writes go to so many blocks, for a while; 0: anywhere */
	bool overlaps, again;		/* clients: writes to one block at a time; writes sent again */
	const struct leaning *lean;	/* NULL: none */
	uint32_t scenes;		/* of the leaning, left to play */
	bool no_victim;
	uint32_t victim;		/* the one host whose disk may lie or rot; SIM_HOSTS_MAX: none */
	struct sim_image *image[HF_LEGS_MAX * VOLUMES_MAX]; /* earlier states of the victim's legs */
	uint32_t images;
	struct sim_cluster_state *old_store, *true_store;
	uint32_t quiet;			/* leave the cluster alone for some seconds */
	/* fault steps in which the operator is likely to promote: somebody looks dead */
	uint32_t nudge;
};

/* world.c */
void world_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_say(const struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t world_random(struct world *w, uint32_t stream, uint64_t n);
bool world_is_up(const struct world *w, uint32_t host);
void world_start_host(struct world *w, uint32_t host);
void world_kill_host(struct world *w, uint32_t host, enum sim_kill how, hf_nsec down);
struct hf_volume_run *world_run_of(struct vol *v, uint32_t host);
/* The record in the store; false: none that can be read. */
bool world_record(const struct vol *v, struct hf_record *out);
uint32_t world_primary(const struct vol *v);	/* host; HOSTS_MAX: none */
/* An order to a host at `at`: promote the volume there. */
void world_promote(struct vol *v, uint32_t host, hf_nsec at);
void world_give_up(struct vol *v, uint32_t host, hf_nsec at);	/* the same, with --accept-data-loss */
bool world_can_promote(struct vol *v, uint32_t host);	/* is it there, and does it know the volume? */

/* world_client.c */
void world_client_start(struct vol *v);
void world_client_lost(struct vol *v);		/* its session is over */
void world_client_done(struct hf_request *q, int result);
struct session *world_session_new(struct vol *v, uint32_t host);

/* world_fault.c */
void world_set_rates(struct world *w);
void world_clear_faults(struct world *w);
void world_step(struct world *w, uint32_t step);
/* The operator repairs what hands broke: the network, paused hosts, the store. */
void world_mend(struct world *w);
void world_copy_store(struct world *w);
void world_restore_store(struct world *w);
/* The file of the volume's leg on that host, as the record has it now. False: there is none. */
bool world_leg_file(const struct vol *v, uint32_t host, char out[100]);

/* world_lean.c */
bool world_lean_draw(struct world *w);		/* false: not what was asked for */
const char *world_lean_name(const struct world *w);
void world_lean_shape(struct world *w, struct shape *s);
void world_lean_world(struct world *w);
void world_lean_rates(struct world *w, struct sim_config *c);	/* of one host */
bool world_lean_step(struct world *w, uint32_t step);	/* true: a scene was played */

/* world_end.c */
bool world_wait_well(struct world *w, hf_nsec limit);
void world_audit(struct vol *v);
void world_sweep(struct world *w);

#endif

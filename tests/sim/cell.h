/* SPDX-License-Identifier: MIT */
/*
 * cell - a small simulated cluster that is told what to do, one order after the other: hosts that run the daemon's
 * agent, one volume, an operator who tries again, one client that writes block after block and knows what it wrote.
 *
 * Every order is carried out or fails within a bounded simulated time: what stands in its way has to end by itself or
 * by the operator's doing: daemons of failed legs are started again, and hosts that are down when an order takes long.
 * The daemon's memory of killed hosts is not given back: a cell lives in a process of its own.
 */
#ifndef HF_TESTS_SIM_CELL_H
#define HF_TESTS_SIM_CELL_H

#include "engine/agent.h"
#include "sim/sim.h"

#define CELL_HOSTS_MAX 4u
#define CELL_BLOCKS 128u

struct cell;

struct cell_host {
	struct cell *cell;
	uint32_t index, life;
	struct hf_agent *agent;		/* of this life; garbage when the host is down */
	bool is_ready;
};

struct cell_made {
	struct hf_admin_call call;
	struct cell *cell;
	bool is_done;
	int result;
};

struct cell {
	struct sim_world *sim;
	uint32_t hosts;
	struct cell_host host[CELL_HOSTS_MAX];
	struct hf_record record;
	struct cell_made made[HF_LEGS_MAX];
	struct hf_cluster_req create_req;
	bool is_creating, is_created;
	/* instead of sim_run(); NULL: that */
	void (*run)(struct cell *c, hf_nsec until);
	/* client */
	struct cell_session *session;
	uint64_t value[CELL_BLOCKS];	/* last acknowledged; 0: never written */
	uint64_t newest;
	uint64_t acked, checked;
	hf_nsec since;			/* the order under way was given */
	char failure[256];		/* the first; empty: none */
};

/* Hosts are up and know each other, a volume of k + m legs, one on each host, is not made yet. */
bool cell_init(struct cell *c, uint64_t seed, uint8_t k, uint8_t m);
void cell_fini(struct cell *c);

/* Orders; false: it could not be done, `failure` says which. After a failure all do nothing. */
bool cell_start_hosts(struct cell *c);
bool cell_create(struct cell *c);
/* Write blocks and wait until the volume says that they are safe, wherever it is served by then. */
bool cell_write(struct cell *c, uint32_t lba, uint32_t nblocks);
/* All blocks are what was last acknowledged. */
bool cell_check(struct cell *c);
bool cell_kill(struct cell *c, uint32_t host, enum sim_kill how);
/* Its daemon ended by itself. */
void cell_host_died(struct cell *c, uint32_t host);
bool cell_restart(struct cell *c, uint32_t host);
/* Tell the host to serve, again and again until it does. */
bool cell_promote(struct cell *c, uint32_t host);
/* Wait until legs of that many hosts are in the record's in-sync set. */
bool cell_in_sync(struct cell *c, uint32_t legs);
bool cell_resize(struct cell *c, uint64_t blocks);
/* The volume's run where it is served now; NULL: nowhere. */
struct hf_volume_run *cell_serving(struct cell *c);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * world - a simulated cluster that runs the daemon's agent on every host, a client with an oracle, and a plan of
 * faults.
 *
 * Owns: hosts' lives, the volume, the client, the operator, the verdict. Does not own: how faults work (sim.h).
 */
#ifndef HF_TESTS_SIM_WORLD_H
#define HF_TESTS_SIM_WORLD_H

#include "engine/agent.h"
#include "lib/sometimes.h"
#include "sim/oracle.h"
#include "sim/sim.h"

struct world_options {
	uint64_t seed;
	uint32_t steps;			/* fault steps */
	bool verbose;
};

struct world_result {
	uint64_t acked_writes, checked_reads, failovers, restarts, resyncs, events, hash;
	uint64_t faults[SIM_FAULT_COUNT];
	uint32_t sometimes[HF_SOMETIMES_COUNT];	/* of daemon/base/sometimes.h: how often each was passed */
	hf_nsec simulated;
	char geometry[32];
	char failure[512];		/* empty: the seed passed */
};

/* Run one seed to its verdict. */
void world_run(const struct world_options *o, struct world_result *out);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * world - a simulated cluster that runs the daemon's agent on every host, clients with an oracle, and a plan of
 * faults.
 *
 * Owns: hosts' lives, volumes, clients, the operator, the verdict. Does not own: how faults work (sim.h). Files:
 * world.c (the shape of a seed, hosts, the run), world_client.c (clients and readers), world_fault.c (faults and
 * operators), world_lean.c (themes of seeds), world_end.c (healing, audits, sweeps).
 */
#ifndef HF_TESTS_SIM_WORLD_H
#define HF_TESTS_SIM_WORLD_H

#include "engine/agent.h"
#include "lib/sometimes.h"
#include "sim/oracle.h"
#include "sim/sim.h"

#define WORLD_STEPS_MAX 64u

/* What to run. A seed says everything; the rest takes parts of its plan away, and leaves the others as they are. */
struct world_options {
	uint64_t seed;
	uint32_t steps;			/* fault steps: 1..WORLD_STEPS_MAX */
	uint64_t skip;			/* bit i: nothing happens in step i */
	uint64_t without;		/* bit f: fault f (enum sim_fault) does not come by itself */
	uint64_t calls;			/* requests of each client; 0: no limit */
	bool verbose;
	const char *lean;		/* NULL, or: only if the seed leans so (world_lean.c) */
};

/* What operators do, beside the faults. */
#define WORLD_OPERATIONS(X) \
	X(PROMOTE, "a host is told to promote a volume") \
	X(PROMOTE_TWICE, "two hosts are told at once") \
	X(SPLIT, "the primary is cut off while another host promotes") \
	X(GROW, "a volume grows") \
	X(LIGHTS_OUT, "every host loses power") \
	X(LATE_ACK, "a deposed primary's answer arrives") \
	X(AGAIN, "a client sends a write again") \
	X(OVERLAP, "a write is called while another of the block is under way") \
	X(SWEEP, "as many hosts as allowed are lost for good, then everything is read")

enum world_operation {
#define X(name, words) WORLD_##name,
	WORLD_OPERATIONS(X)
#undef X
	WORLD_OPERATION_COUNT
};

struct world_result {
	uint64_t acked_writes, checked_reads, failovers, restarts, resyncs, events, hash;
	uint64_t faults[SIM_FAULT_COUNT], operations[WORLD_OPERATION_COUNT];
	uint64_t audited_legs;		/* whose every block was compared at the end */
	uint32_t sometimes[HF_SOMETIMES_COUNT];	/* of daemon/base/sometimes.h: how often each was passed */
	hf_nsec simulated;
	bool skipped;			/* not what was asked for */
	bool unlimited;			/* more faults than promised: judged on safety alone */
	char geometry[160];
	char failure[600];		/* empty: the seed passed */
};

/* Run one seed to its verdict. */
void world_run(const struct world_options *o, struct world_result *out);

#endif

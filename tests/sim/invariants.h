/* SPDX-License-Identifier: MIT */
/*
 * invariants - what must hold after every turn of a host, whoever looks from outside (docs/SAFETY.md I1 to I15).
 *
 * Owns: a memory of what each leg and each primary showed, over their deaths. Looks at the state of legs and primaries
 * and at the records in the cluster store, and asks none of the core's decisions. Knows nothing of clients: oracle.h.
 */
#ifndef HF_TESTS_SIM_INVARIANTS_H
#define HF_TESTS_SIM_INVARIANTS_H

#include "engine/agent.h"
#include "sim/sim.h"

struct invariants;

struct invariants *invariants_new(struct sim_world *w);
/* A new life of that host. */
void invariants_host(struct invariants *x, uint32_t host, struct hf_agent *agent);
/* From now on the disk of that host may forget what it called durable. */
void invariants_distrust(struct invariants *x, uint32_t host);
/* The same of all: more faults than promised, what was acknowledged may be lost. */
void invariants_distrust_all(struct invariants *x);
/* The cluster store was put back to an old copy: from now on records and epochs say little. */
void invariants_store_restored(struct invariants *x);
/* That host had a turn. NULL: all is right; else what is wrong (static storage). */
const char *invariants_check(struct invariants *x, uint32_t host);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * plan - what of a seed is run, as text: a case that failed, kept or made smaller.
 *
 *   # words: what it found
 *   seed 234
 *   steps 17
 *   skip 3 5 6
 *   without NET_SPIKE BIT_ROT
 *   calls 200
 *
 * `steps`: the first so many fault steps; `skip`: those in which nothing happens; `without`: kinds of faults that do
 * not come by themselves; `calls`: the clients end after so many requests. Only `seed` has to be there.
 */
#ifndef HF_TESTS_SIM_PLAN_H
#define HF_TESTS_SIM_PLAN_H

#include <stdio.h>

#include "sim/world.h"

/* Everything that the seed has. */
void plan_init(struct world_options *o, uint64_t seed);
/* "234", or the path of a file. 0; -1 with words on stderr. */
int plan_read(struct world_options *o, const char *seed_or_path);
void plan_write(const struct world_options *o, FILE *out);

/*
 * Make it smaller while it fails, each try in a process of its own, at most `tries` times. Says on `log` how it goes.
 * False: it does not fail in the first place.
 */
bool plan_minimise(struct world_options *o, uint32_t tries, FILE *log);

/* Run it in a process of its own, bounded in CPU time. Returns true if it failed; *r as far as it came. */
bool plan_fails(const struct world_options *o, struct world_result *r);
/* The limit of CPU time for one seed, from now on in this process. */
void plan_limit(void);

#endif

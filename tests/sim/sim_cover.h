/* SPDX-License-Identifier: MIT */
/* sim_cover - coverage points over many seeds. */
#ifndef HF_TESTS_SIM_SIM_COVER_H
#define HF_TESTS_SIM_SIM_COVER_H

#include "sim/world.h"

struct sim_cover {
	uint64_t seeds;
	uint64_t reached[HF_SOMETIMES_COUNT];	/* by how many seeds */
};

void sim_cover_add(struct sim_cover *c, const struct world_result *r);
/* COVER=1 is set: a run of enough seeds has to reach every point. */
bool sim_cover_is_judged(void);
/* Figures of what is rare, and the score. False: it is judged, and some point was reached by no seed. */
bool sim_cover_print(const struct sim_cover *c);

#endif

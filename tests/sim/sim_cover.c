// SPDX-License-Identifier: MIT
/* sim_cover - which coverage points (daemon/base/sometimes.h) did seeds reach? Sums, prints and judges. */
#include "sim/sim_cover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RARE 100u			/* a point that fewer than one in so many seeds reach is named */

void sim_cover_add(struct sim_cover *c, const struct world_result *r)
{
	c->seeds++;
	for (int p = 0; p < HF_SOMETIMES_COUNT; p++)
		c->reached[p] += r->sometimes[p] != 0;
}

bool sim_cover_is_judged(void)
{
	const char *cover = getenv("COVER");

	return cover && strcmp(cover, "1") == 0;
}

bool sim_cover_print(const struct sim_cover *c)
{
	uint32_t hit = 0;

	for (int p = 0; p < HF_SOMETIMES_COUNT; p++)
		hit += c->reached[p] != 0;
	for (int p = 0; p < HF_SOMETIMES_COUNT; p++)
		if (c->reached[p] < 1 + c->seeds / RARE)
			printf("# figure: sometimes %-28s %6llu of %llu seeds  %s\n", sometimes_name(p),
			       (unsigned long long)c->reached[p], (unsigned long long)c->seeds, sometimes_words(p));
	printf("# figure: %u of %u coverage points reached\n", hit, HF_SOMETIMES_COUNT);
	printf("# score: {\"name\":\"sometimes\",\"value\":%u,\"of\":%u,\"seeds\":%llu}\n", hit, HF_SOMETIMES_COUNT,
	       (unsigned long long)c->seeds);
	return hit == HF_SOMETIMES_COUNT || !sim_cover_is_judged();
}

// SPDX-License-Identifier: MIT
/* insync - tolerance of a set of legs, counted in hosts (docs/SAFETY.md R4, R5, H4). */
#include "core/insync.h"

#include <string.h>

bool hf_insync_is_decodable(const struct hf_record *r, hf_legs set)
{
	uint32_t frags = 0;

	for (uint32_t i = 0; i < r->leg_count; i++) {
		if (!(set & HF_LEG_BIT(i)))
			continue;
		if (hf_frag_is_whole(r->geometry, r->leg[i].frag))
			return true;
		frags |= 1u << r->leg[i].frag;
	}
	return __builtin_popcount(frags) >= r->geometry.k;
}

/* hosts[h] = the legs of `set` on the h-th distinct host. Returns how many hosts there are. */
static uint32_t group_by_host(const struct hf_record *r, hf_legs set, hf_legs hosts[HF_LEGS_MAX])
{
	uint32_t first[HF_LEGS_MAX], count = 0;

	for (uint32_t i = 0; i < r->leg_count; i++) {
		uint32_t h = 0;

		if (!(set & HF_LEG_BIT(i)))
			continue;
		while (h < count && strcmp(r->leg[first[h]].host, r->leg[i].host) != 0)
			h++;
		if (h == count) {
			first[count] = i;
			hosts[count++] = 0;
		}
		hosts[h] |= HF_LEG_BIT(i);
	}
	return count;
}

int hf_insync_tolerance(const struct hf_record *r, hf_legs set)
{
	hf_legs hosts[HF_LEGS_MAX];
	uint32_t count = group_by_host(r, set, hosts);
	int lethal = (int)count;	/* size of the smallest set of hosts whose loss is fatal */

	if (!hf_insync_is_decodable(r, set))
		return -1;
	for (uint32_t lost = 1; lost < (1u << count); lost++) {
		int size = __builtin_popcount(lost);
		hf_legs rest = set;

		if (size >= lethal)
			continue;
		for (uint32_t h = 0; h < count; h++)
			if (lost & (1u << h))
				rest &= ~hosts[h];
		if (!hf_insync_is_decodable(r, rest))
			lethal = size;
	}
	return lethal - 1;
}

hf_legs hf_insync_members(const struct hf_record *r)
{
	hf_legs set = 0;

	for (uint32_t i = 0; i < r->leg_count; i++)
		if (r->leg[i].insync)
			set |= HF_LEG_BIT(i);
	return set;
}

hf_legs hf_insync_all(const struct hf_record *r)
{
	return (hf_legs)((1ull << r->leg_count) - 1);
}

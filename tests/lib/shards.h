/* SPDX-License-Identifier: MIT */
/*
 * shards - work split over processes, one for each core: each runs `work` with its own number and hands back counts,
 * which are added up. A shard that dies, or that says it has failed, is said so.
 */
#ifndef HF_TESTS_LIB_SHARDS_H
#define HF_TESTS_LIB_SHARDS_H

#include <stdbool.h>
#include <stdint.h>

#define SHARDS_COUNTS 16u

struct shard {
	uint32_t number, of;
	uint64_t count[SHARDS_COUNTS];
};

typedef void shard_work(struct shard *s, void *ctx);
/* One case in a process of its own, which may die: `count` comes back. Returns what wait() told, 0: it ended well. */
int shards_case(shard_work *work, void *ctx, uint64_t count[SHARDS_COUNTS]);
/* False: one of them did not come to its end. */
bool shards_run(shard_work *work, void *ctx, uint64_t sum[SHARDS_COUNTS]);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * entry - what names an op for ever: its chain checksum, and the epoch cache that says which (epoch, seq) are alive.
 *
 * Owns: pure arithmetic over struct hf_entry and struct hf_epoch_cache. Does not own: bytes on disk or wire (format/).
 * Rules: H10 (ghosts), H11 (log matching), H25 (chain).
 */
#ifndef HF_CORE_ENTRY_H
#define HF_CORE_ENTRY_H

#include <stdbool.h>

#include "core/types.h"

/*
 * Chain after `e` when `prev` is the chain before it: crc32c over epoch, seq, lba, nblocks, type (little-endian, 64,
 * 64, 64, 32, 8 bits) and, for WRITE, block_crc[0..nblocks). The same on every leg; `ver` is not part of it.
 */
uint32_t hf_entry_chain(uint32_t prev, const struct hf_entry *e);

/* The epoch that `seq` belongs to; 0: unknown (before the oldest that the cache remembers). */
hf_epoch hf_epoch_cache_at(const struct hf_epoch_cache *c, hf_seq seq);
/* Is `seq` within [start(epoch), start of the next epoch in the cache)? Unknown epochs are dead. */
bool hf_epoch_cache_is_alive(const struct hf_epoch_cache *c, hf_epoch epoch, hf_seq seq);
/*
 * `epoch`, newer than all in the cache, begins with `start`: epochs that began there or later were cut off and go,
 * then it is appended; a full cache drops its oldest.
 */
void hf_epoch_cache_add(struct hf_epoch_cache *c, hf_epoch epoch, hf_seq start);
/*
 * Largest seq up to which two logs hold the same ops: same epoch at s means same prefix, since (epoch, seq) names one
 * op. 0: none that the caches know of.
 */
hf_seq hf_epoch_cache_common(const struct hf_epoch_cache *a, hf_seq a_last, const struct hf_epoch_cache *b,
			     hf_seq b_last);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * types - the protocol's nouns as host-order structs: geometry, op, leg state, config record.
 *
 * Owns: plain data shared by core, format, store, engine and tests. Does not own: bytes (format/), decisions (core/).
 * Words: docs/ARCHITECTURE.md. Rules: docs/SAFETY.md.
 */
#ifndef HF_CORE_TYPES_H
#define HF_CORE_TYPES_H

#include "base/limits.h"
#include "base/time.h"
#include "base/uuid.h"

typedef uint64_t hf_epoch;		/* 0: none; the first primary incarnation reigns in epoch 1 */
typedef uint64_t hf_seq;		/* 0: before the first op; ops are dense from 1 */

/* k data and m parity fragments of each block; k == 1: every fragment is a whole block. */
struct hf_geometry {
	uint8_t k;			/* 1, 2, 4 or 8 */
	uint8_t m;			/* 0..HF_M_MAX (0 only for a volume of full legs) */
};

enum hf_op_type {
	HF_OP_WRITE = 1,		/* payload for every leg */
	HF_OP_ZERO = 2,			/* blocks read as zeros from now on and may give space back (H29) */
	HF_OP_RESIZE = 3,		/* `lba` holds the new size in blocks */
	HF_OP_NOP = 4,			/* takes a seq, changes nothing */
	HF_OP_RESYNC = 5,		/* not in the sequence: blocks as of `seq`, for one leg only (H23) */
};

/*
 * One op as one leg keeps it. Leg-independent part: epoch .. block_crc; frag_crc is the leg's own.
 * `chain` = crc32c over the previous entry's chain and this op's leg-independent part (H10, H25), see hf_entry_chain().
 */
struct hf_entry {
	hf_epoch epoch;
	hf_seq seq;			/* RESYNC: the committed seq that the content is of */
	uint64_t lba;			/* first block; RESIZE: new size in blocks */
	uint64_t ver;			/* config version that the primary knew (H26) */
	uint32_t nblocks;		/* 1..HF_WRITE_BLOCKS_MAX, ZERO: ..HF_ZERO_BLOCKS_MAX; RESIZE, NOP: 0 */
	uint32_t prev_chain;
	uint32_t chain;
	uint8_t type;			/* enum hf_op_type */
	/*
	 * RESYNC only, bit i = block lba+i: `skip`: a newer op on this leg owns the block, leave it;
	 * `zero`: the block is zeros. Payload is present for every block, also for those.
	 */
	uint64_t skip, zero;
	uint32_t block_crc[HF_WRITE_BLOCKS_MAX]; /* crc32c of each whole 4 KiB block; WRITE and RESYNC */
	uint32_t frag_crc[HF_WRITE_BLOCKS_MAX];	 /* crc32c of each fragment in the payload */
};

/* Has this op one fragment of payload per block? */
static inline bool hf_entry_has_payload(const struct hf_entry *e)
{
	return e->type == HF_OP_WRITE || e->type == HF_OP_RESYNC;
}

/* Chunks that an op of that type at [lba, lba + nblocks) touches. */
static inline uint32_t hf_op_chunks(uint8_t type, uint64_t lba, uint32_t nblocks)
{
	if (type == HF_OP_RESIZE || !nblocks)
		return 0;
	return (uint32_t)((lba + nblocks - 1) / HF_CHUNK_BLOCKS - lba / HF_CHUNK_BLOCKS + 1);
}

/* Epoch `epoch` begins with seq `start`; it ends where the next entry of the cache begins (H11). */
struct hf_epoch_start {
	hf_epoch epoch;
	hf_seq start;
};

/* Ascending in epoch, starts not descending. Adding to a full cache drops the oldest. */
struct hf_epoch_cache {
	uint32_t count;
	struct hf_epoch_start at[HF_EPOCHS_MAX];
};

/* May at[i] stand behind those before it? */
static inline bool hf_epoch_cache_is_next(const struct hf_epoch_cache *c, uint32_t i)
{
	const struct hf_epoch_start *x = &c->at[i];

	return x->epoch != 0 && (i == 0 || (x->epoch > x[-1].epoch && x->start >= x[-1].start));
}

/* The durable state of a leg beside its log, table and image; kept in the superblock. */
struct hf_leg_state {
	hf_epoch promised;		/* R7: no op of an older epoch is taken */
	struct hf_uuid promised_incarnation;
	hf_epoch activated;		/* R9: newest epoch that this leg adopted */
	uint64_t ver;			/* highest config version seen (H26) */
	uint64_t size_blocks;		/* as of the last checkpoint; RESIZE ops in the log come on top */
	struct hf_epoch_cache epochs;	/* decides which entries of the log are alive (H10) */
	bool inconsistent;		/* resync began and did not end: no vote, never a source (H23) */
	hf_seq resync_from;		/* while inconsistent: chunks changed after this seq are wanted; 0: all */
	/* the tail was once unreadable and no adopt has repaired it yet (H3): no nack vote */
	bool suspect;
	bool failed;			/* an I/O error or an assertion made this leg untrusted (R13, H15) */
};

/* Who a leg is; written at format, checked at every open (H9). */
struct hf_leg_identity {
	struct hf_uuid cluster, volume, leg;
	struct hf_geometry geometry;
	uint8_t frag;			/* fragment index, or HF_FRAG_FULL */
};

/* Can there be such a leg? */
static inline bool hf_leg_identity_is_valid(const struct hf_leg_identity *id)
{
	uint8_t k = id->geometry.k, m = id->geometry.m;

	return (k == 1 || k == 2 || k == 4 || k == 8) && m <= HF_M_MAX &&
	       (id->frag == HF_FRAG_FULL || id->frag < k + m);
}

/* Bytes of one block on a leg. */
static inline uint32_t hf_frag_size(struct hf_geometry g, uint8_t frag)
{
	return frag == HF_FRAG_FULL ? HF_BLOCK : HF_BLOCK / g.k;
}

/* Does this leg alone hold the whole block? */
static inline bool hf_frag_is_whole(struct hf_geometry g, uint8_t frag)
{
	return frag == HF_FRAG_FULL || g.k == 1;
}

/* One leg in the config record. */
struct hf_record_leg {
	struct hf_uuid uuid;
	char host[HF_NAME_MAX];
	uint8_t frag;
	bool insync;
	hf_epoch activated;		/* H9: a member that shows less has lost its memory */
};

/* The config record of one volume: changed by compare-and-swap only (R5..R7). */
struct hf_record {
	struct hf_uuid cluster, volume, lineage;
	struct hf_uuid nonce;		/* of the proposal that wrote it: tells a lost answer from a lost race (H8) */
	char name[HF_NAME_MAX], tenant[HF_NAME_MAX];
	uint64_t size_blocks;		/* as last committed, for those who look; the log's RESIZE ops rule */
	struct hf_geometry geometry;
	uint8_t min_tolerance;		/* f_min, in hosts (R4, H4) */
	bool auto_failover;		/* hosts with a leg promote it by themselves when its primary is dead */
	hf_epoch epoch;			/* 0: never served */
	/*
	 * Not 0: claimed, but not activated yet; the version that the first such claim replaced. Claims do not make a
	 * restored copy look newer (H26).
	 */
	uint64_t claimed_from;
	struct hf_uuid incarnation;
	char primary[HF_NAME_MAX];	/* host */
	uint32_t leg_count;
	struct hf_record_leg leg[HF_LEGS_MAX];
};

#endif

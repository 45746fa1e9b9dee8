/* SPDX-License-Identifier: MIT */
/*
 * msg - the control messages between a primary and a leg, as host-order structs. Bytes: format/wire.h.
 *
 * Requests go from the primary's host to the leg's host on a connection that the primary's host dialled; replies come
 * back on the same connection. Ops travel in APPEND frames that the engine builds from struct hf_entry.
 */
#ifndef HF_CORE_MSG_H
#define HF_CORE_MSG_H

#include "core/types.h"

/* Results that a leg gives beside 0. */
enum hf_leg_result {
	HF_LEG_OK = 0,
	/* promised to a newer epoch, or saw a newer config: the sender steps down (R3, R15) */
	HF_LEG_STALE,
	HF_LEG_NONE,			/* no such leg here (blank, swapped or deleted disk; H9) */
	HF_LEG_FAILED,			/* the store has failed (H15) */
	HF_LEG_WRONG_STATE,		/* not promised, not adopting, or a gap: prepare again */
	HF_LEG_WOULD_CUT_COMMITTED,	/* the history given would cut what this leg knows is committed (I8) */
};

struct hf_prepare {
	hf_epoch epoch;
	struct hf_uuid incarnation;
	uint64_t ver;
};

struct hf_promise {
	uint8_t result;			/* enum hf_leg_result */
	bool suspect, inconsistent, adopting;
	hf_epoch promised, activated, last_epoch;
	hf_seq last, commit, first, resync_from;
	uint32_t chain;			/* at last */
	uint64_t ver, size_blocks;
	hf_nsec lease_left;		/* of read leases granted to older epochs */
	struct hf_epoch_cache epochs;
};

enum hf_adopt_mode {
	/* truncate to the common point, take the missing ops by APPEND up to `target` */
	HF_ADOPT_LOG,
	HF_ADOPT_RESYNC,		/* the log goes on after `base`; content comes as RESYNC entries (R6, H23) */
};

struct hf_adopt {
	hf_epoch epoch;
	uint64_t ver;
	uint8_t mode;			/* enum hf_adopt_mode */
	hf_seq target;			/* LOG: activate once the log reaches this seq */
	hf_epoch base_epoch;		/* RESYNC */
	hf_seq base;
	uint32_t base_chain;
	/* RESYNC: chunks changed after this seq will be sent; kept for an interrupted resync */
	hf_seq resync_from;
	uint64_t size_blocks;
	struct hf_epoch_cache epochs;	/* the history, `epoch` included */
};

struct hf_adopted {
	uint8_t result;
	bool active;			/* false: truncated, waiting for ops up to the target */
	hf_epoch epoch;
	hf_seq last;
	uint32_t chain;
};

/* Cumulative answer to APPEND, LEASE and RESYNC frames. */
struct hf_ack {
	uint8_t result;
	hf_epoch epoch;			/* of the stream; with STALE: the newer epoch that was promised */
	hf_seq durable;			/* last durable seq */
	uint64_t resync_done;		/* RESYNC entries of this stream that are durable */
	uint64_t cookie;		/* newest lease cookie seen in the stream; 0: no lease granted */
	uint64_t ver;
};

#endif

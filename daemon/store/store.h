/* SPDX-License-Identifier: MIT */
/*
 * store - one leg on one file or block device: superblocks, log ring, chunk table, image (docs/ARCHITECTURE.md).
 *
 * Owns: durability, recovery, space, checksums of what it holds, the memory copy of its log ring (every entry stays
 * readable in memory until it is trimmed: no allocation and no read on the data path). Does not own: who may write
 * (core/leg.c). One reactor's object; every callback comes from the reactor, never from inside a call.
 */
#ifndef HF_STORE_STORE_H
#define HF_STORE_STORE_H

#include "base/err.h"
#include "core/types.h"
#include "io/reactor.h"

struct hf_store;

struct hf_store_params {
	struct hf_leg_identity id;
	uint64_t size_blocks;		/* the volume's size now */
	/* room left for growth; 0: the store chooses (16 x size, at least 1 TiB on a file) */
	uint64_t size_blocks_max;
	/* 0: the store chooses; a multiple of 1 MiB, at least 1 MiB (tests: 64 KiB steps) */
	uint32_t log_bytes;
};

/*
 * Make a leg: EXISTS on a file that is there, EUCLEAN on a device that holds anything else than zeros in its first MiB
 * unless `overwrite`. The log ring is written with zeros once, the rest stays sparse. Blocks (reactor file calls and
 * plain pwrite on a helper thread in production; through the reactor in the simulator): asynchronous, `done` gets 0
 * or -errno.
 */
struct hf_store_format {
	const char *path;
	struct hf_store_params params;
	bool overwrite;
	struct hf_errmsg err;
	void (*done)(struct hf_store_format *f, int result);
	void *ctx;
	void *priv;			/* the store's */
	struct hf_task task;		/* the store's */
};
void hf_store_format(struct hf_reactor *r, struct hf_store_format *f);

/* What the owner hears. */
struct hf_store_events {
	/*
	 * Every append with a ticket <= `ticket` is durable. `seq`: last durable seq of the log (RESYNC does not
	 * count).
	 */
	void (*durable)(void *ctx, uint64_t ticket, hf_seq seq);
	/* Log space came free after an append said -EAGAIN. */
	void (*room)(void *ctx);
	/* The store has failed: nothing more will become durable (H15). Once. */
	void (*failed)(void *ctx, int err, const char *what);
};

/* What recovery found. */
struct hf_store_status {
	struct hf_leg_identity id;
	hf_epoch last_epoch;		/* of the last live entry, or of the base when the log is empty */
	hf_seq last_seq;
	uint32_t last_chain;
	hf_seq first_seq;		/* oldest seq still in the log; last_seq + 1 when it is empty */
	hf_seq commit;			/* highest seq known committed */
	hf_seq applied;			/* checkpoint: the image holds everything up to here */
	/* the tail was corrupt, not torn: entries after last_seq may have been acked (H3) */
	bool suspect;
	bool torn;			/* a torn, never acknowledged tail was dropped */
	uint64_t size_blocks;		/* with committed RESIZE ops */
	uint64_t chunks_used, chunks_total;
	uint32_t log_bytes, log_used;
};

/*
 * Open and recover. `expect`: identity that the leg must have; NULL: any. Asynchronous: `opened(ctx, s, 0)`, or
 * (NULL, -errno, why): ENOENT, EUCLEAN (damaged or another kind), EBADMSG (table damaged), ESTALE (another leg's
 * disk; H9).
 */
typedef void hf_store_opened(void *ctx, struct hf_store *s, int err, const char *why);
void hf_store_open(struct hf_reactor *r, const char *path, const struct hf_leg_identity *expect,
		   const struct hf_store_events *events, void *ctx, hf_store_opened *opened);
/* No new work; waits for ios under way; no checkpoint is forced; then `closed`, and the object is gone. */
void hf_store_close(struct hf_store *s, void (*closed)(void *ctx), void *ctx);

void hf_store_status(const struct hf_store *s, struct hf_store_status *out);
/* The durable state as last put or recovered. */
const struct hf_leg_state *hf_store_state(const struct hf_store *s);

/*
 * Make `state` durable (both outcomes by `done`: 0 or -errno). Calls are served in order; one that comes while
 * another is written waits for it. Entries of the log that `state->epochs` says are dead are dropped from memory by
 * hf_store_truncate before or after, and never come back at recovery (H10).
 */
struct hf_store_put {
	struct hf_leg_state state;
	void (*done)(struct hf_store_put *p, int result);
	struct hf_list link;
};
void hf_store_put_state(struct hf_store *s, struct hf_store_put *p);

/*
 * Copy one entry and its payload (nblocks * fragment size bytes, NULL when none) into the open batch. e->seq must be
 * the last seq + 1 and e->prev_chain the last chain (asserted: the leg has checked), except RESYNC: there e->seq is
 * the committed seq that the content is of, and blocks that a newer entry of this log owns are skipped (H23). Returns
 * 0 and *ticket; -EAGAIN: no room in the ring until `room`; -ESTALE: RESYNC older than the checkpoint: send it again
 * with a newer seq; -EIO: the store has failed, or is suspect and was not reset. All entries appended until the end of
 * the turn leave as one durable write; while one is under way the next gathers.
 */
int hf_store_append(struct hf_store *s, const struct hf_entry *e, const void *payload, uint64_t *ticket);
/* Could appends of nblocks payload blocks in all, over that many chunks (hf_op_chunks), succeed now? */
bool hf_store_has_room(const struct hf_store *s, uint32_t nblocks, uint32_t chunks);

/* Entries <= seq are committed: visible to reads, may be applied. Clipped to the last seq; never goes back. */
void hf_store_commit(struct hf_store *s, hf_seq seq);
/*
 * Drop entries > seq from the log (never below commit: asserted). Recovery relies on the epochs of the state that the
 * caller puts before it acknowledges anything. A store that is suspect stays so: only a reset ends it, for what the
 * ring holds behind the last good entry may look like a part of what comes next.
 */
void hf_store_truncate(struct hf_store *s, hf_seq seq);
/*
 * Begin a resync: truncate to `keep`, apply all of that to the image, empty the log and let it go on after
 * (epoch, seq, chain) of `base`; durable together with `state`. `done` 0 or -errno.
 */
struct hf_store_reset {
	hf_seq keep;
	hf_epoch base_epoch;
	hf_seq base_seq;
	uint32_t base_chain;
	uint64_t size_blocks;		/* the volume's size at base; 0: as the kept entries say */
	struct hf_leg_state state;
	/* first drop all content: every block reads as zeros, all space is given back */
	bool wipe;
	void (*done)(struct hf_store_reset *x, int result);
	void *priv;
};
void hf_store_reset(struct hf_store *s, struct hf_store_reset *x);

/*
 * Highest ticket up to which every entry can be read: committed and durable, in the order of the log. A RESYNC entry
 * behind an op that is not committed yet is durable before it can be read.
 */
uint64_t hf_store_visible(const struct hf_store *s);

/*
 * Entry `seq` of the log, from memory. payload: room for nblocks * fragment size, or NULL. 0, or -ENOENT (trimmed,
 * not there).
 */
int hf_store_entry(const struct hf_store *s, hf_seq seq, struct hf_entry *e, void *payload);
/* Chain after entry `seq` (last_chain when it is the base); 0, or -ENOENT. */
int hf_store_chain(const struct hf_store *s, hf_seq seq, hf_epoch *epoch, uint32_t *chain);

/*
 * Read fragments of [lba, lba + nblocks), newest committed version of each, checked against their crc. Blocks never
 * written or zeroed are zeros. The caller keeps rd and buf until done.
 */
struct hf_store_read {
	uint64_t lba;
	uint32_t nblocks;		/* 1..HF_WRITE_BLOCKS_MAX */
	void *buf;			/* nblocks * fragment size; 4096-aligned */
	void (*done)(struct hf_store_read *rd, int result); /* 0 also with bad blocks; -errno: nothing is valid */
	void *ctx;
	uint64_t zero;			/* out, bit i: block lba+i is zeros (buf holds zeros too) */
	uint64_t bad;			/* out, bit i: fragment unreadable or its crc does not match; buf holds zeros */
	/* out: crc of the whole block: the version that k fragments must share (H21) */
	uint32_t block_crc[HF_WRITE_BLOCKS_MAX];
	void *priv[6];			/* the store's */
	struct hf_io io;		/* the store's */
	struct hf_list link;		/* the store's */
};
void hf_store_read(struct hf_store *s, struct hf_store_read *rd);

/*
 * The change map: chunks whose last op is newer than `after`, log and table together, ascending from *cursor (a chunk
 * number, 0 to begin). Returns how many were put into out[0..max); *cursor is where to go on; fewer than max: the
 * end. (H22)
 */
uint32_t hf_store_changed(const struct hf_store *s, hf_seq after, uint64_t *cursor, uint64_t *out, uint32_t max);
/* Length in blocks, at most `max`, of the run from lba that is all allocated or all zeros. */
uint64_t hf_store_extent(const struct hf_store *s, uint64_t lba, uint64_t max, bool *allocated);

/* Apply everything committed and trim the log now, without waiting for the usual thresholds; `done` when finished. */
struct hf_store_flush {
	void (*done)(struct hf_store_flush *f, int result);
	void *priv;
	struct hf_list link;
};
void hf_store_checkpoint(struct hf_store *s, struct hf_store_flush *f);

#endif

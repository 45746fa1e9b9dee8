/* SPDX-License-Identifier: MIT */
/*
 * torture_oracle - what every block of a volume must hold: an atomic register for each block of 4 KiB, with values that
 * no two writes share.
 *
 * A value is a number that grows with each write, and its lowest bit tells that the write was of zeros. A written block
 * is filled from (salt, value, block), so that its content names the write; a read is right when it names the newest
 * acknowledged or already seen write of the block, or one that was issued after it. One writing session uses the
 * oracle: a block under one of its operations is busy and is touched by no other. What is unanswered when the session
 * ends stays busy until an inquest has read it: then it is known whether it happened, and an operation that happened in
 * part is torn. Shares no code with the daemon.
 */
#ifndef HF_TOOLS_TORTURE_ORACLE_H
#define HF_TOOLS_TORTURE_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORACLE_BLOCK 4096u
#define ORACLE_RUN_MAX 64u		/* blocks of one operation: up to this it happens whole or not at all (G2) */
#define ORACLE_FINDINGS_MAX 16u		/* that are told one by one; all are counted */
#define ORACLE_NEVER 1u			/* the value of a block that was never written: zeros */

enum oracle_fault {
	ORACLE_LOST,			/* the volume's own session reads something older than was acknowledged */
	ORACLE_STALE,			/* another session, of readers or of a deposed primary, reads something older */
	ORACLE_WRONG,			/* what was never written there */
	ORACLE_TORN,			/* a part of one operation */
	ORACLE_FAULTS
};

struct oracle_finding {
	enum oracle_fault what;
	uint64_t block, expected, found; /* found: 0 unless it is a value that was written there */
	uint64_t after;			/* the oracle's `fault` at that time */
};

/* What a read that begins now may return: `floor`, or anything above `sealed`. */
struct oracle_mark {
	uint64_t floor, sealed;
};

struct oracle_block {
	uint64_t floor;			/* newest value that is acknowledged, or was seen */
	uint64_t sealed;		/* no value up to here may appear any more, other than floor */
	uint64_t issued, zero;		/* newest write; newest write of zeros */
	bool busy;
};

struct oracle {
	uint64_t salt, last;		/* last: number of the newest write */
	uint64_t blocks;
	struct oracle_block *at;
	uint64_t fault;			/* number of the fault that came before; set by the user */
	uint64_t acked, acked_blocks, late, judged;
	uint64_t found[ORACLE_FAULTS];
	size_t finding_count;
	struct oracle_finding finding[ORACLE_FINDINGS_MAX];
};

/* Every block holds zeros. 0 or -ENOMEM. */
int oracle_init(struct oracle *o, uint64_t blocks, uint64_t salt);
void oracle_fini(struct oracle *o);
const char *oracle_fault_name(enum oracle_fault f);
/* Lost, stale, wrong and torn ones together. */
uint64_t oracle_total(const struct oracle *o);

/* May an operation of the writing session begin here? */
bool oracle_is_free(const struct oracle *o, uint64_t block, uint32_t count);
/* A write begins: its value. The blocks are busy. `buf`, unless it is of zeros, is filled. */
uint64_t oracle_write(struct oracle *o, uint64_t block, uint32_t count, bool zero, uint8_t *buf);
void oracle_acked(struct oracle *o, uint64_t block, uint32_t count, uint64_t value);
/* A write that was given up is acknowledged after all, by a session that was left. */
void oracle_acked_late(struct oracle *o, uint64_t block, uint32_t count, uint64_t value);

/* A read begins. `busy`: by the writing session. */
void oracle_read(struct oracle *o, uint64_t block, uint32_t count, bool busy, struct oracle_mark mark[]);
/* The read of the writing session that ends its being busy, answered or (buf NULL) not. */
void oracle_read_done(struct oracle *o, uint64_t block, uint32_t count, const struct oracle_mark mark[],
		      const uint8_t *buf);
/* As oracle_read_done(), over the very blocks of a write that was never answered. */
void oracle_inquest(struct oracle *o, uint64_t block, uint32_t count, uint64_t value, const struct oracle_mark mark[],
		    const uint8_t *buf);
/* A read of another session. */
void oracle_overheard(struct oracle *o, uint64_t block, uint32_t count, const struct oracle_mark mark[],
		      const uint8_t *buf);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * oracle - what a linearizable volume may answer: a register per block, every write with a number of its own.
 *
 * A write is an interval from its call to its answer. One that was never answered may have happened or not; if it did,
 * then before the first call to a newer epoch, since a promotion settles it (R8). A read names the write that it saw.
 * An op happens on all its blocks at once: seen on one block, it has happened on the others. Looked at twice: each read
 * when it is answered, for staleness; all of it at the end, by zones (Gibbons and Korach, "Testing shared memories",
 * 1997). Order is the order of calls to this file. Shares no code with the daemon.
 */
#ifndef HF_TESTS_SIM_ORACLE_H
#define HF_TESTS_SIM_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oracle;

struct oracle *oracle_new(uint64_t blocks);
void oracle_free(struct oracle *o);
/* A write of [lba, lba + nblocks) is called in `epoch`; its number, from 1. `zero`: it writes zeros. */
uint64_t oracle_write(struct oracle *o, uint64_t lba, uint32_t nblocks, uint64_t epoch, bool zero);
void oracle_acked(struct oracle *o, uint64_t id);
/* The client sends a write that was not answered again, in `epoch`. */
void oracle_again(struct oracle *o, uint64_t id, uint64_t epoch);
/* The content that a number stands for. */
void oracle_fill(uint64_t lba, uint64_t id, void *block);
/* Is a write of that block called and not answered, of the live sessions? */
bool oracle_is_busy(const struct oracle *o, uint64_t lba);
/* Is it the last write of all its blocks? Only then may it be sent again: a copy must not come behind a newer one. */
bool oracle_is_last(const struct oracle *o, uint64_t id);
/* The session that called these is over: what is not answered stays open. */
void oracle_session_over(struct oracle *o);

/* When a read is called in `epoch`: give this to oracle_read(). */
struct oracle_mark {
	uint64_t called, newest;
};
struct oracle_mark oracle_mark(struct oracle *o, uint64_t lba, uint64_t epoch);
/* A read gave this block. NULL: right so far; else what is wrong (static storage). */
const char *oracle_read(struct oracle *o, uint64_t lba, struct oracle_mark mark, const void *block);
/* Everything that was seen, together. NULL: a linearizable history. */
const char *oracle_judge(struct oracle *o);

#endif

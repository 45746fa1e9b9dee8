/* SPDX-License-Identifier: MIT */
/*
 * oracle - what a linearizable volume may answer: a register per block, every write with a number of its own.
 *
 * The client never has two writes to one block under way in one session, so the numbers of a block's writes are in
 * order. A write whose answer never came stays open: it may have happened or not, but that is settled before the next
 * epoch serves, so the first read of a newer epoch settles it for the oracle too. Shares no code with the daemon.
 */
#ifndef HF_TESTS_SIM_ORACLE_H
#define HF_TESTS_SIM_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

struct oracle;

struct oracle *oracle_new(uint64_t blocks);
/* A write of `lba` begins in `epoch`; its number. `zero`: it writes zeros. */
uint64_t oracle_write(struct oracle *o, uint64_t lba, uint64_t epoch, bool zero);
void oracle_acked(struct oracle *o, uint64_t lba, uint64_t id);
/* The content that a number stands for. */
void oracle_fill(uint64_t lba, uint64_t id, void *block);
/* Before a read: remember what it must not be older than. */
uint64_t oracle_floor(const struct oracle *o, uint64_t lba);
/*
 * A read that began at `floor`, served by `epoch`, gave this block. NULL: right; else what is wrong (static storage).
 * `settles`: no write of this session overlapped it.
 */
const char *oracle_read(struct oracle *o, uint64_t lba, uint64_t floor, uint64_t epoch, bool settles,
			const void *block);
bool oracle_is_busy(const struct oracle *o, uint64_t lba);	/* a write of the live session is under way */
/* The live session ended: what was under way stays open. */
void oracle_session_over(struct oracle *o);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * fuzz_leg - a leg on the fuzzers' disk: made whole first, then spoilt by the fuzzer, then opened and judged.
 *
 * Owns: the image of a small empty leg, and what must hold of any leg that opens. Does not own: what is spoilt.
 */
#ifndef HF_TESTS_FUZZ_FUZZ_LEG_H
#define HF_TESTS_FUZZ_FUZZ_LEG_H

#include "format/disk.h"
#include "fuzz/fuzz.h"
#include "store/store.h"

#define FUZZ_LEG_LOG (64u << 10)	/* bytes */
#define FUZZ_LEG_CHUNKS 28u		/* two pages of the table */
#define FUZZ_LEG_BLOCKS (6u * HF_CHUNK_BLOCKS)

struct fuzz_leg {
	struct fuzz_reactor *x;
	struct hf_disk_super sb;	/* as it should be on the disk; fuzz_leg_super() writes it */
	uint32_t salt, frag;
	struct hf_store *s;
	bool failed;			/* the store said so */
	uint64_t durable;
};

/* An empty leg of k + 1 (k 1: a full one) on a disk that is as it was frozen; epochs 1 and 3 are alive in its log. */
void fuzz_leg_make(struct fuzz_leg *l, struct fuzz_reactor *x, uint8_t k);
/* sb into its slot. */
void fuzz_leg_super(struct fuzz_leg *l);
/* A table page that is zeros or sealed: what it adds to the digest. */
uint64_t fuzz_leg_digest_of(const struct fuzz_leg *l, uint64_t page, const uint8_t *bytes);
/*
 * Open, and judge. It may refuse. If it opens, then as `how` says: opened again it tells the same and holds the same; a
 * checkpoint or a reset changes nothing that is read, and what is appended then is there after the next open. SOUND: it
 * opens, and all of its log is there.
 */
enum { FUZZ_LEG_RESET = 1, FUZZ_LEG_WIPE = 2, FUZZ_LEG_REOPEN = 4, FUZZ_LEG_GO_ON = 8, FUZZ_LEG_SOUND = 256 };
void fuzz_leg_judge(struct fuzz_leg *l, uint32_t how);

#endif

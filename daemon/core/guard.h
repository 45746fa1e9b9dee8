/* SPDX-License-Identifier: MIT */
/*
 * guard - names of the protocol's guards: HF_GUARD(NAME) stands where its rule is enforced, in core, store and engine.
 *
 * A test build takes one out by -DHF_NO_<NAME>=1 to show that the tests notice (tests/mutants); the shipped build has
 * them all. X(name, rules, hole or invariant, what it says); docs/SAFETY.md explains the numbers.
 */
#ifndef HF_CORE_GUARD_H
#define HF_CORE_GUARD_H

#define HF_GUARDS(X) \
	X(EPOCH, "R1", "I1 H5 H13", "each primary incarnation takes an epoch of its own") \
	X(DEPOSED, "R1", "H8", "a primary that finds another epoch in the record steps down") \
	X(NONCE, "R5 R7", "H8", "a lost answer is a success only if the record carries the proposal's nonce") \
	X(FENCE, "R3", "I4 H25", "a leg takes ops of the epoch that it promised only, from whom it promised to") \
	X(ACTIVATED, "R3", "I4 H14", "a leg takes ops only after it adopted the epoch's history") \
	X(CHAIN, "R3", "I4 H25", "a leg takes only the op that follows its last, in seq and in chain") \
	X(GENERATION, "R3", "H25", "an answer counts on the connection that it was asked on only") \
	X(ACK_ALL, "R4", "I2 H7", "acknowledge only when all in-sync legs and pending adds have it durable") \
	X(ACK_PENDING, "R6", "I2 H6", "a leg counts from before its addition is asked for") \
	X(ACK_SHRUNK, "R5", "I2 H7", "a leg counts until its removal is known") \
	X(TOLERANCE, "R4", "I3 H4", "acknowledge only while the in-sync set tolerates min_tolerance lost hosts") \
	X(SHRINK, "R5", "I13 H4", "the in-sync set never shrinks below min_tolerance") \
	X(READY, "R6", "H6 H23", "a leg is added when it has all that is committed, after its resync") \
	X(PROMISE, "R7", "I5 H12", "a promise is durable before it is answered") \
	X(PROMISE_LOG, "R7", "H12", "what a leg appended before its promise is durable before that is answered") \
	X(MEMORY, "R8", "I15 H9", "a leg with an older activated epoch than recorded has no vote") \
	X(INCONSISTENT, "R8", "I12 H23", "a leg with a resync under way has no vote") \
	X(LONGEST, "R8", "H1", "what can be decoded is kept, though some leg lacks it") \
	X(NACK, "R8", "H2", "what cannot be decoded is cut only if it provably was not acknowledged") \
	X(SUSPECT, "R8", "H3", "a leg whose tail is unreadable proves nothing by what it lacks") \
	X(COMMITTED, "R8 R9", "I8 H18", "an op that some leg knows as committed is never cut") \
	X(MATCH, "R6 R8", "H11", "two logs hold the same op only where their epochs agree, not their seqs alone") \
	X(NAME, "R1 R9", "I14", "a promotion that decides again does so in a new epoch") \
	X(ADOPT, "R9", "I6 H14", "what a leg adopted is durable before it is answered") \
	X(ADOPT_ALL, "R10", "I7 H14", "serve only when every leg of the set adopted") \
	X(OPEN, "R10", "H34", "clients are let in when all that was decided is committed") \
	X(LEASE, "R11", "I10 H31 H42", "a read is answered only under leases of every leg that counts") \
	X(LEASE_PENDING, "R11", "I10 H33", "pending adds count for leases") \
	X(LEASE_WAIT, "R10", "I10 H31", "a new primary waits until the old one's leases are over") \
	X(LEASE_BOOT, "R10", "I10 H32", "a leg that boots assumes that it granted a lease") \
	X(CONFIG_DISTRUST, "R15", "H26", "what has seen a newer configuration than the store offers is not overruled") \
	X(DURABLE, "R3", "I2 H16", "a leg acknowledges what is durable, not what it has taken") \
	X(DSYNC, "R4", "H16", "what is called durable has left volatile caches") \
	X(FAILED, "R13", "I15 H15", "a write or sync that failed is never believed") \
	X(APPLY, "R4", "I9 H34", "reads and the image see committed ops only") \
	X(GHOST, "R9", "I11 H10", "recovery brings no op back that was cut") \
	X(DOUBLEWRITE, "R4", "H17", "a sector with neighbours is copied beside the image before it is rewritten") \
	X(CHECKSUM, "R11", "H20", "what the image gives is compared with its checksum") \
	X(NEWER, "R6", "H23", "a copied block never replaces that of a newer op") \
	X(COPIED, "R6", "H23", "a copied block counts when it can be read") \
	X(MAP, "R6", "H22", "a change map counts for the resync that asked for it only") \
	X(VERSION, "R11", "H21", "fragments are decoded together only if their block checksums agree") \
	X(DECODED, "R11", "H21", "a decoded block is compared with its checksum") \
	X(SESSION, "R14", "I16 H24", "a second writing session is refused while the first is there")

#define HF_GUARD_NAME(name, rules, holes, words) HF_GUARD_IS_##name,
enum hf_guard { HF_GUARDS(HF_GUARD_NAME) HF_GUARD_COUNT };
#undef HF_GUARD_NAME

/* 0 when HF_NO_<name> is defined as 1, else 1; the name has to be in the list. */
#define HF_GUARD(name) ((void)HF_GUARD_IS_##name, HF_GUARD_UNLESS(HF_NO_##name))
#define HF_GUARD_UNLESS(no) HF_GUARD_PASTE(no)
#define HF_GUARD_PASTE(no) HF_GUARD_CHOOSE(HF_GUARD_OUT_##no, 1, 0)
#define HF_GUARD_CHOOSE(...) HF_GUARD_SECOND(__VA_ARGS__)
#define HF_GUARD_SECOND(first, second, ...) second
#define HF_GUARD_OUT_1 0, 0

#endif

// SPDX-License-Identifier: MIT
/* entry: what the chain covers (H10, H25), and what an epoch cache knows, forgets and has in common (H11). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/entry.h"

static struct hf_entry sample(uint8_t type)
{
	return (struct hf_entry){
		.epoch = 7, .seq = 0x0102030405060708, .lba = 99, .ver = 5, .nblocks = type == HF_OP_WRITE ? 2 : 0,
		.type = type, .block_crc = { 0x11121314, 0x21222324, 0x31323334 }, .frag_crc = { 1, 2, 3 },
	};
}

static uint32_t slow_crc32c(uint32_t crc, const uint8_t *p, size_t len)
{
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static void test_chain_is_the_crc_of_the_bytes_that_the_header_names(void **state)
{
	static const uint8_t bytes[] = {
		7, 0, 0, 0, 0, 0, 0, 0,			/* epoch */
		8, 7, 6, 5, 4, 3, 2, 1,			/* seq */
		99, 0, 0, 0, 0, 0, 0, 0,		/* lba */
		2, 0, 0, 0,				/* blocks */
		HF_OP_WRITE,
		0x14, 0x13, 0x12, 0x11, 0x24, 0x23, 0x22, 0x21,
	};
	struct hf_entry e = sample(HF_OP_WRITE);

	(void)state;
	assert_int_equal(hf_entry_chain(0x1badb002, &e), slow_crc32c(0x1badb002, bytes, sizeof(bytes)));
	e = sample(HF_OP_RESIZE);
	assert_int_not_equal(hf_entry_chain(0, &e), hf_entry_chain(1, &e));
}

static void test_chain_covers_every_field_that_all_legs_share(void **state)
{
	struct hf_entry e = sample(HF_OP_WRITE);
	uint32_t chain = hf_entry_chain(1, &e);

#define CHANGES(field, value) \
	do { \
		e = sample(HF_OP_WRITE); \
		e.field = value; \
		assert_int_not_equal(hf_entry_chain(1, &e), chain); \
	} while (0)
	(void)state;
	CHANGES(epoch, 8);
	CHANGES(seq, 9);
	CHANGES(lba, 100);
	CHANGES(nblocks, 1);
	CHANGES(type, HF_OP_ZERO);
	CHANGES(block_crc[0], 0);
	CHANGES(block_crc[1], 0);
	e = sample(HF_OP_WRITE);
	assert_int_not_equal(hf_entry_chain(2, &e), chain);
}

static void test_chain_leaves_out_what_differs_from_leg_to_leg(void **state)
{
	struct hf_entry e = sample(HF_OP_WRITE), z = sample(HF_OP_ZERO);
	uint32_t chain = hf_entry_chain(1, &e), zero_chain = hf_entry_chain(1, &z);

	(void)state;
	e.ver = 77;
	e.frag_crc[0] = 77;
	e.prev_chain = e.chain = 77;
	e.block_crc[2] = 77;		/* behind the last block */
	assert_int_equal(hf_entry_chain(1, &e), chain);
	z.block_crc[0] = 77;		/* a zero op has no payload */
	assert_int_equal(hf_entry_chain(1, &z), zero_chain);
}

static void test_cache_knows_the_epoch_of_each_seq(void **state)
{
	struct hf_epoch_cache c = { 0 };

	(void)state;
	assert_int_equal(hf_epoch_cache_at(&c, 1), 0);
	assert_false(hf_epoch_cache_is_alive(&c, 0, 1));
	hf_epoch_cache_add(&c, 2, 5);
	hf_epoch_cache_add(&c, 4, 9);
	assert_int_equal(hf_epoch_cache_at(&c, 4), 0);
	assert_int_equal(hf_epoch_cache_at(&c, 5), 2);
	assert_int_equal(hf_epoch_cache_at(&c, 8), 2);
	assert_int_equal(hf_epoch_cache_at(&c, 9), 4);
	assert_int_equal(hf_epoch_cache_at(&c, UINT64_MAX), 4);
}

/* 5@2 6@2 behind a new 5@3: the old ones do not come back (H10). */
static void test_entries_behind_the_start_of_a_newer_epoch_are_dead(void **state)
{
	struct hf_epoch_cache c = { 0 };

	(void)state;
	hf_epoch_cache_add(&c, 1, 1);
	hf_epoch_cache_add(&c, 2, 4);
	hf_epoch_cache_add(&c, 3, 5);
	assert_true(hf_epoch_cache_is_alive(&c, 1, 3));
	assert_false(hf_epoch_cache_is_alive(&c, 1, 4));
	assert_true(hf_epoch_cache_is_alive(&c, 2, 4));
	assert_false(hf_epoch_cache_is_alive(&c, 2, 5));
	assert_false(hf_epoch_cache_is_alive(&c, 2, 6));
	assert_true(hf_epoch_cache_is_alive(&c, 3, 5));
	assert_false(hf_epoch_cache_is_alive(&c, 3, 4));
	assert_false(hf_epoch_cache_is_alive(&c, 9, 5));
	assert_false(hf_epoch_cache_is_alive(&c, 0, 0));
}

static void test_an_epoch_takes_the_place_of_those_that_began_there_or_later(void **state)
{
	struct hf_epoch_cache c = { 0 };

	(void)state;
	hf_epoch_cache_add(&c, 1, 1);
	hf_epoch_cache_add(&c, 2, 5);
	hf_epoch_cache_add(&c, 3, 9);
	hf_epoch_cache_add(&c, 4, 9);
	assert_int_equal(c.count, 3);
	assert_int_equal(hf_epoch_cache_at(&c, 9), 4);
	assert_int_equal(hf_epoch_cache_at(&c, 8), 2);
	hf_epoch_cache_add(&c, 5, 3);
	assert_int_equal(c.count, 2);
	assert_int_equal(hf_epoch_cache_at(&c, 2), 1);
	assert_int_equal(hf_epoch_cache_at(&c, 3), 5);
	hf_epoch_cache_add(&c, 6, 1);
	assert_int_equal(c.count, 1);
	assert_int_equal(hf_epoch_cache_at(&c, 1), 6);
}

static void test_a_full_cache_drops_its_oldest(void **state)
{
	struct hf_epoch_cache c = { 0 };

	(void)state;
	for (uint32_t i = 1; i <= HF_EPOCHS_MAX + 3; i++)
		hf_epoch_cache_add(&c, i, 10 * i);
	assert_int_equal(c.count, HF_EPOCHS_MAX);
	assert_int_equal(c.at[0].epoch, 4);
	assert_int_equal(hf_epoch_cache_at(&c, 39), 0);
	assert_int_equal(hf_epoch_cache_at(&c, 40), 4);
	assert_false(hf_epoch_cache_is_alive(&c, 3, 39));
	assert_int_equal(hf_epoch_cache_at(&c, 10 * (HF_EPOCHS_MAX + 3)), HF_EPOCHS_MAX + 3);
	/* An epoch that takes the place of others leaves room: nothing is dropped. */
	hf_epoch_cache_add(&c, 100, 10 * (HF_EPOCHS_MAX + 3));
	assert_int_equal(c.count, HF_EPOCHS_MAX);
	assert_int_equal(c.at[0].epoch, 4);
}

/* A log that went on for so long that it forgot where the other stayed behind; and one that has not quite. */
static void test_common_point_of_a_log_that_stayed_far_behind(void **state)
{
	struct hf_epoch_cache behind = { 0 }, ahead = { 0 };

	(void)state;
	hf_epoch_cache_add(&behind, 1, 1);
	hf_epoch_cache_add(&ahead, 1, 1);
	for (uint32_t i = 2; i <= HF_EPOCHS_MAX; i++)
		hf_epoch_cache_add(&ahead, i, 10 * i);
	assert_int_equal(hf_epoch_cache_common(&ahead, 9999, &behind, 30), 19);
	assert_int_equal(hf_epoch_cache_common(&behind, 30, &ahead, 9999), 19);
	hf_epoch_cache_add(&ahead, HF_EPOCHS_MAX + 1, 10000);
	assert_int_equal(ahead.at[0].epoch, 2);
	assert_int_equal(hf_epoch_cache_common(&ahead, 10000, &behind, 30), 0);
	assert_int_equal(hf_epoch_cache_common(&behind, 30, &ahead, 10000), 0);
}

static void test_common_point_of_logs_that_share_nothing(void **state)
{
	struct hf_epoch_cache a = { 0 }, b = { 0 };

	(void)state;
	assert_int_equal(hf_epoch_cache_common(&a, 0, &b, 0), 0);
	assert_int_equal(hf_epoch_cache_common(&a, 5, &b, 5), 0);
	hf_epoch_cache_add(&a, 1, 1);
	hf_epoch_cache_add(&b, 2, 1);
	assert_int_equal(hf_epoch_cache_common(&a, 5, &b, 5), 0);
	assert_int_equal(hf_epoch_cache_common(&a, 5, &a, 0), 0);
	assert_int_equal(hf_epoch_cache_common(&a, 5, &a, 3), 3);
}

#define SEQS 60

struct log {
	struct hf_epoch_cache cache;
	uint32_t last;
	hf_epoch at[SEQS + 1];
};

static uint32_t rng_below(uint64_t *rng, uint32_t n)
{
	*rng = *rng * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*rng >> 33) % n;
}

/* A new epoch: some ops at the end are cut, some are added, perhaps none. */
static void reign(struct log *l, hf_epoch epoch, uint64_t *rng)
{
	uint32_t cut = rng_below(rng, 3), add = rng_below(rng, 5);

	l->last -= cut < l->last ? cut : l->last;
	hf_epoch_cache_add(&l->cache, epoch, l->last + 1);
	while (add-- && l->last < SEQS)
		l->at[++l->last] = epoch;
}

/* Two logs with a past in common, then each with epochs of its own; all is compared op by op. */
static void test_common_point_equals_comparing_op_by_op(void **state)
{
	uint64_t rng = 5;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct log a = { 0 }, b;
		hf_epoch epoch = 1;
		uint32_t same = 0, shared = rng_below(&rng, 8), apart = rng_below(&rng, 6);

		for (uint32_t i = 0; i < shared; i++)
			reign(&a, epoch++, &rng);
		b = a;
		for (uint32_t i = 0; i < apart; i++)
			reign(rng_below(&rng, 2) ? &a : &b, epoch++, &rng);
		while (same < a.last && same < b.last && a.at[same + 1] == b.at[same + 1])
			same++;
		assert_int_equal(hf_epoch_cache_common(&a.cache, a.last, &b.cache, b.last), same);
		assert_int_equal(hf_epoch_cache_common(&b.cache, b.last, &a.cache, a.last), same);
		for (uint32_t s = 1; s <= a.last; s++)
			assert_int_equal(hf_epoch_cache_at(&a.cache, s), a.at[s]);
	}
}

/* Caches come from other hosts: one that begins before the first op ends the search like any other. */
static void test_common_point_ends_with_any_cache(void **state)
{
	struct hf_epoch_cache a = { .count = 1, .at = { { .epoch = 1, .start = 0 } } };
	struct hf_epoch_cache b = { .count = 1, .at = { { .epoch = 2, .start = 0 } } };

	(void)state;
	assert_int_equal(hf_epoch_cache_common(&a, 5, &b, 5), 0);
	assert_int_equal(hf_epoch_cache_common(&a, 5, &a, 3), 3);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain_is_the_crc_of_the_bytes_that_the_header_names),
		cmocka_unit_test(test_chain_covers_every_field_that_all_legs_share),
		cmocka_unit_test(test_chain_leaves_out_what_differs_from_leg_to_leg),
		cmocka_unit_test(test_cache_knows_the_epoch_of_each_seq),
		cmocka_unit_test(test_entries_behind_the_start_of_a_newer_epoch_are_dead),
		cmocka_unit_test(test_an_epoch_takes_the_place_of_those_that_began_there_or_later),
		cmocka_unit_test(test_a_full_cache_drops_its_oldest),
		cmocka_unit_test(test_common_point_of_a_log_that_stayed_far_behind),
		cmocka_unit_test(test_common_point_of_logs_that_share_nothing),
		cmocka_unit_test(test_common_point_equals_comparing_op_by_op),
		cmocka_unit_test(test_common_point_ends_with_any_cache),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

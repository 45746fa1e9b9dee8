// SPDX-License-Identifier: MIT
/* insync: how many lost hosts a set of legs survives (H4), by a table and by another definition of the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/insync.h"

#define F HF_FRAG_FULL
#define ALL 0xffffu

struct layout {
	uint8_t k, m;
	uint32_t legs;
	uint8_t frag[12];
	const char *hosts;		/* a letter for each leg */
};

static struct hf_record record_of(const struct layout *l)
{
	struct hf_record r = { .geometry = { l->k, l->m }, .leg_count = l->legs };

	for (uint32_t i = 0; i < l->legs; i++) {
		r.leg[i].frag = l->frag[i];
		snprintf(r.leg[i].host, sizeof(r.leg[i].host), "host-%c", l->hosts[i]);
	}
	return r;
}

static const struct layout mirror2 = { 1, 1, 2, { 0, 1 }, "ab" };
static const struct layout mirror3 = { 1, 2, 3, { 0, 1, 2 }, "abc" };
static const struct layout copies = { 1, 0, 2, { F, F }, "ab" };
static const struct layout ec21 = { 2, 1, 3, { 0, 1, 2 }, "abc" };
static const struct layout ec21f = { 2, 1, 4, { F, 0, 1, 2 }, "abcd" };
static const struct layout ec42 = { 4, 2, 6, { 0, 1, 2, 3, 4, 5 }, "abcdef" };
static const struct layout ec81 = { 8, 1, 9, { 0, 1, 2, 3, 4, 5, 6, 7, 8 }, "abcdefghi" };
/* Legs that share hosts. */
static const struct layout mirror2_one = { 1, 1, 2, { 0, 1 }, "aa" };
static const struct layout mirror3_two = { 1, 2, 3, { 0, 1, 2 }, "aab" };
static const struct layout ec21_two = { 2, 1, 3, { 0, 1, 2 }, "aab" };
static const struct layout ec21f_three = { 2, 1, 4, { F, 0, 1, 2 }, "aabc" };
static const struct layout ec42_three = { 4, 2, 6, { 0, 1, 2, 3, 4, 5 }, "aabbcc" };
static const struct layout ec21_twice = { 2, 1, 3, { 0, 0, 1 }, "abc" };

static void test_tolerance_counts_hosts_that_may_be_lost(void **state)
{
	static const struct {
		const struct layout *layout;
		const char *name;
		hf_legs set;
		int tolerance;
	} table[] = {
		{ &mirror2, "1+1", ALL, 1 }, { &mirror2, "1+1", 1, 0 }, { &mirror2, "1+1", 2, 0 },
		{ &mirror2, "1+1", 0, -1 },
		{ &mirror3, "1+2", ALL, 2 }, { &mirror3, "1+2", 5, 1 }, { &mirror3, "1+2", 4, 0 },
		{ &copies, "1+0 and two full legs", ALL, 1 }, { &copies, "1+0 and two full legs", 2, 0 },
		{ &ec21, "2+1", ALL, 1 }, { &ec21, "2+1", 3, 0 }, { &ec21, "2+1", 6, 0 }, { &ec21, "2+1", 1, -1 },
		{ &ec21f, "2+1+full", ALL, 2 }, { &ec21f, "2+1+full", 0xe, 1 }, { &ec21f, "2+1+full", 0x7, 1 },
		{ &ec21f, "2+1+full", 0x3, 0 }, { &ec21f, "2+1+full", 0x1, 0 }, { &ec21f, "2+1+full", 0x6, 0 },
		{ &ec21f, "2+1+full", 0x8, -1 },
		{ &ec42, "4+2", ALL, 2 }, { &ec42, "4+2", 0x1f, 1 }, { &ec42, "4+2", 0x2d, 0 },
		{ &ec42, "4+2", 0x7, -1 },
		{ &ec81, "8+1", ALL, 1 }, { &ec81, "8+1", 0xff, 0 }, { &ec81, "8+1", 0x1fe, 0 },
		{ &ec81, "8+1", 0x7f, -1 },
		{ &mirror2_one, "1+1 on one host", ALL, 0 },
		{ &mirror3_two, "1+2 on two hosts", ALL, 1 }, { &mirror3_two, "1+2 on two hosts", 3, 0 },
		{ &ec21_two, "2+1 on two hosts", ALL, 0 }, { &ec21_two, "2+1 on two hosts", 5, 0 },
		{ &ec21f_three, "2+1+full on three hosts", ALL, 1 },
		{ &ec42_three, "4+2 on three hosts", ALL, 1 },
		{ &ec21_twice, "a fragment twice", ALL, 0 }, { &ec21_twice, "a fragment twice", 3, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct hf_record r = record_of(table[i].layout);
		hf_legs set = table[i].set & hf_insync_all(&r);
		int tolerance = hf_insync_tolerance(&r, set);

		if (tolerance != table[i].tolerance)
			fail_msg("%s, legs 0x%x: tolerance %d, not %d", table[i].name, set, table[i].tolerance,
				 tolerance);
		assert_int_equal(hf_insync_is_decodable(&r, set), tolerance >= 0);
	}
}

static void test_members_are_the_legs_marked_in_sync(void **state)
{
	struct hf_record r = record_of(&ec42);

	(void)state;
	assert_int_equal(hf_insync_members(&r), 0);
	r.leg[0].insync = r.leg[3].insync = true;
	r.leg[6].insync = true;		/* behind the last leg */
	assert_int_equal(hf_insync_members(&r), 0x09);
	assert_int_equal(hf_insync_all(&r), 0x3f);
	r.leg_count = HF_LEGS_MAX;
	assert_int_equal(hf_insync_all(&r), 0xffff);
}

/* Definition by words: a whole copy, or k different fragments. */
static bool slow_is_decodable(const struct layout *l, uint32_t set)
{
	uint32_t different = 0;

	for (uint32_t i = 0; i < l->legs; i++) {
		bool again = false;

		if (!(set >> i & 1))
			continue;
		if (l->frag[i] == F || l->k == 1)
			return true;
		for (uint32_t j = 0; j < i; j++)
			again |= (set >> j & 1) && l->frag[j] == l->frag[i];
		different += !again;
	}
	return different >= l->k;
}

/* Definition by losing one host after the other: the worst of what is left, and one. */
static int slow_tolerance(const struct layout *l, uint32_t set)
{
	int worst = 99;

	if (!slow_is_decodable(l, set))
		return -1;
	for (uint32_t i = 0; i < l->legs; i++) {
		uint32_t rest = set;
		int t;

		for (uint32_t j = 0; j < l->legs; j++)
			if (l->hosts[j] == l->hosts[i])
				rest &= ~(1u << j);
		if (rest == set)
			continue;
		t = slow_tolerance(l, rest) + 1;
		worst = t < worst ? t : worst;
	}
	return worst;
}

static uint32_t rng_below(uint64_t *rng, uint32_t n)
{
	*rng = *rng * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*rng >> 33) % n;
}

static void test_tolerance_equals_losing_one_host_after_the_other(void **state)
{
	static const uint8_t ks[] = { 1, 2, 4, 8 };
	uint64_t rng = 1;

	(void)state;
	for (int round = 0; round < 150; round++) {
		char hosts[13] = "";
		struct layout l = {
			.k = ks[rng_below(&rng, 4)], .m = (uint8_t)rng_below(&rng, 5),
			.legs = 1 + rng_below(&rng, 9), .hosts = hosts,
		};
		struct hf_record r;

		for (uint32_t i = 0; i < l.legs; i++) {
			l.frag[i] = rng_below(&rng, 8) ? (uint8_t)rng_below(&rng, l.k + l.m) : F;
			hosts[i] = (char)('a' + rng_below(&rng, 6));
		}
		r = record_of(&l);
		for (uint32_t set = 0; set < 1u << l.legs; set++)
			if (hf_insync_tolerance(&r, set) != slow_tolerance(&l, set))
				fail_msg("round %d, set 0x%x: %d, by losing hosts %d", round, set,
					 hf_insync_tolerance(&r, set), slow_tolerance(&l, set));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tolerance_counts_hosts_that_may_be_lost),
		cmocka_unit_test(test_members_are_the_legs_marked_in_sync),
		cmocka_unit_test(test_tolerance_equals_losing_one_host_after_the_other),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

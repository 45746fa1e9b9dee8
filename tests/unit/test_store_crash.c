// SPDX-License-Identifier: MIT
/*
 * test_store_crash - chosen words that a leg lives through, cut off at every moment (sim/leg_case.h). All short words
 * are the work of exhaustive/test_leg_cuts.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>

#include "sim/leg_case.h"

static struct leg_case the_case;
static const uint8_t ks[] = { 1, 2, 8 };

static void explore(const char *word, uint8_t k, enum leg_start start, enum leg_pace pace, uint64_t seed)
{
	leg_case_start(&the_case, k, start, seed);
	the_case.cuts.is_on = true;
	leg_case_run(&the_case, word, pace);
	the_case.cuts.is_on = false;
	assert_int_equal(the_case.leg.failures, 0);
	leg_case_finish(&the_case);
}

/* Each has found a defect, or takes a way of its own through the store. */
static void test_chosen_words_survive_every_cut(void **state)
{
	static const char *words[] = { "wsck", "wnsckwsck", "xsczsck", "wswt", "wctwsc", "wscr", "nscR", "wcpkp",
				       "gecsk", "gcskecsk", "ysck", "wcskRwsck", "zcskxcsk", "wkcnkcxk", "wawck" };

	(void)state;
	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		explore(words[i], ks[i % 3], (enum leg_start)(i % LEG_START_COUNT),
			(enum leg_pace)(i / 3 % LEG_PACE_COUNT), 5000 + i);
	assert_int_equal(the_case.bad, 0);
}

/* Words of three letters behind a prefix that leaves something to lose. */
static void test_longer_words_survive_cuts(void **state)
{
	static const char *prefix[] = { "wsc", "nxc", "wcsk", "xzc", "wt", "gce" };
	static const char letters[] = LEG_CASE_LETTERS;

	(void)state;
	for (uint32_t n = 0; n < 24; n++) {
		char word[16];

		the_case.rng = n * 77 + 1;
		snprintf(word, sizeof(word), "%s%c%c%cs", prefix[n % 6], letters[leg_case_draw(&the_case, 15)],
			 letters[leg_case_draw(&the_case, 15)], letters[leg_case_draw(&the_case, 15)]);
		explore(word, ks[n % 3], LEG_START_PLAIN, LEG_PACE_APART, n);
	}
	assert_int_equal(the_case.bad, 0);
}

static int group_teardown(void **state)
{
	(void)state;
	printf("# figure: leg store, chosen words: %llu crash images, %llu bad\n",
	       (unsigned long long)the_case.cuts.images, (unsigned long long)the_case.bad);
	leg_case_fini(&the_case);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chosen_words_survive_every_cut),
		cmocka_unit_test(test_longer_words_survive_cuts),
	};

	/* A leg's memory is taken and given back thousands of times: keep it. */
	mallopt(M_MMAP_THRESHOLD, 1 << 28);
	mallopt(M_TRIM_THRESHOLD, 1 << 28);
	leg_case_init(&the_case);
	return cmocka_run_group_tests(tests, NULL, group_teardown);
}

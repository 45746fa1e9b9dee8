// SPDX-License-Identifier: MIT
/*
 * test_leg_cuts - all words of three letters, from each way in which a leg may have lived; at every moment every subset
 * of what is not durable (sim/leg_cuts.c), opened and judged.
 *
 * Each word runs from every start; pace and geometry go round from word to word, SEED turns them. HF_ALL=1 runs every
 * pace and geometry of each word: some hours. `test_leg_cuts WORD K START PACE` runs one.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/shards.h"
#include "sim/leg_case.h"

enum count { WORDS, MOMENTS, SAMPLED, IMAGES, AGAIN, LATER, BAD };

static const uint8_t ks[] = { 1, 2, 8 };

static void run_one(struct leg_case *c, const char *word, uint8_t k, enum leg_start start, enum leg_pace pace)
{
	leg_case_start(c, k, start, 1);
	c->cuts.is_on = true;
	leg_case_run(c, word, pace);
	c->cuts.is_on = false;
	if (c->leg.failures)
		leg_case_wrong(c, "it failed without a reason", c->leg.failures, 0);
	leg_case_finish(c);
}

static uint64_t seed(void)
{
	const char *text = getenv("SEED");

	return text ? strtoull(text, NULL, 10) : 1;
}

static void run_word(struct leg_case *c, uint64_t number, const char *word)
{
	bool all = getenv("HF_ALL");

	for (uint32_t start = 0; start < LEG_START_COUNT; start++)
		for (uint32_t i = 0; i < (all ? 9 : 1); i++) {
			uint64_t turn = all ? i : (number * 7 + start + seed()) % 9;

			run_one(c, word, ks[turn % 3], start, (enum leg_pace)(turn / 3));
		}
}

static void run_shard(struct shard *s, void *ctx)
{
	const size_t n = strlen(LEG_CASE_LETTERS);
	struct leg_case *c = ctx;

	leg_case_init(c);
	for (uint64_t number = s->number; number < n * n * n; number += s->of) {
		char word[4] = { LEG_CASE_LETTERS[number / n / n], LEG_CASE_LETTERS[number / n % n],
				 LEG_CASE_LETTERS[number % n] };

		run_word(c, number, word);
		s->count[WORDS]++;
	}
	s->count[MOMENTS] = c->cuts.moments;
	s->count[SAMPLED] = c->cuts.sampled;
	s->count[IMAGES] = c->cuts.images;
	s->count[AGAIN] = c->cuts.again;
	s->count[LATER] = c->cuts.later;
	s->count[BAD] = c->bad;
	leg_case_fini(c);
}

static struct leg_case the_case;

static void test_no_cut_of_any_short_word_loses_anything(void **state)
{
	uint64_t sum[SHARDS_COUNTS];

	(void)state;
	assert_true(shards_run(run_shard, &the_case, sum));
	printf("# figure: leg store: %llu words of 3 calls from %u starts, %llu moments (%llu with more than 6 sectors "
	       "at risk), %llu crash images (%llu of cut recoveries, %llu of later lives), %llu bad\n",
	       (unsigned long long)sum[WORDS], LEG_START_COUNT, (unsigned long long)sum[MOMENTS],
	       (unsigned long long)sum[SAMPLED], (unsigned long long)sum[IMAGES], (unsigned long long)sum[AGAIN],
	       (unsigned long long)sum[LATER], (unsigned long long)sum[BAD]);
	printf("# score: {\"name\":\"crash_images\",\"value\":%llu,\"bad\":%llu}\n", (unsigned long long)sum[IMAGES],
	       (unsigned long long)sum[BAD]);
	assert_int_equal(sum[BAD], 0);
	assert_true(sum[IMAGES] >= 300000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_cut_of_any_short_word_loses_anything),
	};

	/* A leg's memory is taken and given back thousands of times: keep it. */
	mallopt(M_MMAP_THRESHOLD, 1 << 28);
	mallopt(M_TRIM_THRESHOLD, 1 << 28);
	if (argc == 5) {
		leg_case_init(&the_case);
		run_one(&the_case, argv[1], (uint8_t)atoi(argv[2]), (enum leg_start)atoi(argv[3]),
			(enum leg_pace)atoi(argv[4]));
		printf("%llu images, %llu bad\n", (unsigned long long)the_case.cuts.images,
		       (unsigned long long)the_case.bad);
		return the_case.bad != 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * test_memory_leg - the nth allocation of a leg store fails, once or for good, for every n until a run does not get
 * that far. Making and opening a leg then say so and give everything back; a leg that runs may stop its process, and
 * what is on its disk at that moment is right.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/log.h"
#include "lib/failing_alloc.h"
#include "lib/shards.h"
#include "sim/leg_case.h"

enum count { CAME, STOPPED, BAD, COUNTS };

struct run {
	uint64_t nth;
	bool is_sticky;
	const char *word;
	uint8_t k;
	enum leg_start start;
};

static struct leg_case the_case;
static struct leg_sim leg;

static void wrong(struct shard *s, const struct run *x, const char *what, long a)
{
	s->count[BAD]++;
	printf("# allocation %llu, %s, word %s: %s (%ld)\n", (unsigned long long)x->nth,
	       x->is_sticky ? "for good" : "once", x->word ? x->word : "-", what, a);
}

static void format_case(struct shard *s, void *ctx)
{
	const struct run *x = ctx;
	uint64_t size;
	int err;

	leg_sim_init(&leg, sim_world_new(1, 1), 1, 400, 64u << 10);
	sim_host_start(leg.w, 0);
	failing_alloc_arm(x->nth, x->is_sticky);
	err = leg_sim_format(&leg);
	failing_alloc_disarm();
	s->count[CAME] = failing_alloc_came();
	if (err != (s->count[CAME] ? -ENOMEM : 0))
		wrong(s, x, "format", err);
	if (failing_alloc_live())
		wrong(s, x, "format keeps memory", (long)failing_alloc_live());
	if (!s->count[CAME])
		return;
	if (sim_disk_size(leg.w, 0, LEG_SIM_PATH, &size))
		wrong(s, x, "a file of a leg that was not made", (long)size);
	if (leg_sim_format(&leg) || leg_sim_open(&leg, NULL))
		wrong(s, x, "the next format", 0);
}

static void open_case(struct shard *s, void *ctx)
{
	const struct run *x = ctx;
	struct leg_case *c = &the_case;
	int64_t before;
	int err;

	leg_case_init(c);
	leg_case_start(c, x->k, x->start, 1);
	leg_case_run(c, x->word, LEG_PACE_SETTLED);
	sim_disk_restore(c->second.w, leg_cuts_image(c, LEG_CUT_ALL));
	before = failing_alloc_live();
	failing_alloc_arm(x->nth, x->is_sticky);
	err = leg_sim_open(&c->second, &c->leg.params.id);
	failing_alloc_disarm();
	s->count[CAME] = failing_alloc_came();
	if (err && err != -ENOMEM)
		wrong(s, x, "open", err);
	if (s->count[CAME] && !err && !c->second.failures)
		wrong(s, x, "open does not say", err);
	if (err && failing_alloc_live() != before)
		wrong(s, x, "open keeps memory", (long)(failing_alloc_live() - before));
	if (!err) {
		leg_sim_close(&c->second);
		if (failing_alloc_live() != before)
			wrong(s, x, "close keeps memory", (long)(failing_alloc_live() - before));
	}
	if (leg_sim_open(&c->second, &c->leg.params.id))
		wrong(s, x, "the next open", 0);
	else if (!leg_judge_opened(c))
		wrong(s, x, "what is there after it", 0);
}

static void live_through(void *ctx)
{
	const struct run *x = ctx;

	leg_case_run(&the_case, x->word, LEG_PACE_APART);
}

static void word_case(struct shard *s, void *ctx)
{
	struct run *x = ctx;
	struct leg_case *c = &the_case;

	leg_case_init(c);
	leg_case_start(c, x->k, x->start, 1);
	failing_alloc_arm(x->nth, x->is_sticky);
	if (!failing_alloc_try(live_through, x))
		s->count[STOPPED] = 1;
	failing_alloc_disarm();
	s->count[CAME] = failing_alloc_came();
	if (!s->count[CAME])
		return;
	if (!s->count[STOPPED] && !c->leg.failures)
		wrong(s, x, "an allocation failed in silence", 0);
	leg_cuts_one(c, LEG_CUT_ALL);
	leg_cuts_one(c, LEG_CUT_NONE);
	leg_cuts_one(c, LEG_CUT_RANDOM);
	s->count[BAD] += c->bad;
}

static void every_nth(shard_work *work, struct run x, uint64_t sum[COUNTS])
{
	for (uint32_t sticky = 0; sticky < 2; sticky++) {
		uint64_t count[SHARDS_COUNTS] = { 1 };

		x.is_sticky = sticky;
		for (x.nth = 1; count[CAME]; x.nth++) {
			int status = shards_case(work, &x, count);

			if (status) {
				printf("# allocation %llu, sticky %u, word %s: died, %#x\n",
				       (unsigned long long)x.nth, sticky, x.word ? x.word : "-", (unsigned int)status);
				count[BAD]++;
			}
			for (uint32_t i = 0; i < COUNTS; i++)
				sum[i] += count[i];
		}
	}
}

static void test_making_a_leg_without_memory_leaves_nothing(void **state)
{
	uint64_t sum[COUNTS] = { 0 };

	(void)state;
	every_nth(format_case, (struct run){ 0 }, sum);
	assert_true(sum[CAME] >= 4);
	assert_int_equal(sum[BAD], 0);
}

static void test_opening_a_leg_without_memory_says_so(void **state)
{
	static const char *const words[] = { "xwck", "zcw", "gecs", "p" };
	uint64_t sum[COUNTS] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		every_nth(open_case, (struct run){ .word = words[i], .k = 1, .start = (enum leg_start)i }, sum);
	assert_true(sum[CAME] >= 80);
	assert_int_equal(sum[BAD], 0);
}

static void test_a_leg_that_stops_for_memory_loses_nothing(void **state)
{
	static const char *const words[] = { "wnsckwsck", "gcskecsk", "zcskxcsk", "wcpkp", "wswtwsck", "wscrwsck",
					    "nscRwsck" };
	uint64_t sum[COUNTS] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		every_nth(word_case, (struct run){ .word = words[i], .k = 2, .start = (enum leg_start)(i % 4) }, sum);
	printf("# figure: leg store: %llu allocations failed while it ran, %llu stopped it, %llu wrong after one\n",
	       (unsigned long long)sum[CAME], (unsigned long long)sum[STOPPED], (unsigned long long)sum[BAD]);
	assert_true(sum[CAME] >= 10);
	assert_int_equal(sum[BAD], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_making_a_leg_without_memory_leaves_nothing),
		cmocka_unit_test(test_opening_a_leg_without_memory_says_so),
		cmocka_unit_test(test_a_leg_that_stops_for_memory_loses_nothing),
	};

	failing_alloc_init();
	hf_log_init(NULL, NULL, HF_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * test_store_faults - the nth io of a leg fails, for every n until a run does not get that far: it is told, nothing
 * more is taken, and what a power cut then leaves is right. An open that meets an error changes nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "sim/leg_case.h"

static struct leg_case the_case;
static const uint8_t ks[] = { 1, 2, 8 };
static uint64_t faults;

static void after_fault(struct leg_case *c, bool is_loud)
{
	struct hf_leg_state s = c->now.state[c->now.states - 1];

	s.promised++;
	leg_sim_steps(&c->leg, 100);
	if (is_loud) {
		assert_int_equal(c->leg.failures, 1);
		assert_int_equal(leg_sim_append(&c->leg, HF_OP_WRITE, 0, 1), -EIO);
		assert_int_equal(leg_sim_checkpoint(&c->leg), -EIO);
		assert_int_equal(leg_sim_state(&c->leg, &s), -EIO);
		assert_int_equal(c->leg.failures, 1);
	}
	leg_cuts_one(c, LEG_CUT_NONE);
	leg_cuts_one(c, LEG_CUT_ALL);
	leg_cuts_one(c, LEG_CUT_RANDOM);
	leg_cuts_one(c, LEG_CUT_RANDOM);
}

/* False: the run had no nth io of that kind. */
static bool fail_nth(const char *word, enum sim_fault kind, uint8_t k, uint32_t nth)
{
	struct leg_case *c = &the_case;
	bool came;

	leg_case_start(c, k, (enum leg_start)(nth % LEG_START_COUNT), nth);
	c->allows_bad = kind == SIM_READ_EIO;
	sim_fault_nth(c->leg.w, 0, kind, nth / LEG_START_COUNT + 1, false);
	leg_case_run(c, word, LEG_PACE_APART);
	sim_fault_nth(c->leg.w, 0, kind, 0, false);
	came = sim_count(c->leg.w, kind) > 0;
	faults += came;
	if (came)
		after_fault(c, kind != SIM_READ_EIO);
	leg_case_finish(c);
	return came;
}

static void test_every_io_that_fails_is_told_and_loses_nothing(void **state)
{
	static const char *words[] = { "wsck", "wnsckwsck", "wcskxzsck", "wswtwsck", "wscrwsck", "nscRwsck", "wcpkps",
				       "gecskecsk", "yscksck" };
	static const enum sim_fault kinds[] = { SIM_WRITE_EIO, SIM_WRITE_EIO_STICKY, SIM_SYNC_EIO, SIM_SYNC_EIO_STICKY,
						SIM_READ_EIO, SIM_NO_SPACE };

	(void)state;
	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]) * 18; i++) {
		uint32_t quiet = 0;

		for (uint32_t nth = 0; quiet < LEG_START_COUNT; nth++)
			quiet = fail_nth(words[i / 18], kinds[i % 6], ks[i / 6 % 3], nth) ? 0 : quiet + 1;
	}
	printf("# figure: leg store: %llu failed ios, %llu wrong after one\n", (unsigned long long)faults,
	       (unsigned long long)the_case.bad);
	assert_int_equal(the_case.bad, 0);
}

static void open_failing(struct leg_case *c, enum sim_fault kind, uint32_t nth)
{
	struct sim_image *image = leg_cuts_image(c, LEG_CUT_RANDOM);
	uint64_t before = sim_count(c->second.w, kind);
	bool came;
	int err;

	sim_disk_restore(c->second.w, image);
	sim_fault_nth(c->second.w, 0, kind, nth, false);
	err = leg_sim_open(&c->second, NULL);
	sim_fault_nth(c->second.w, 0, kind, 0, false);
	came = sim_count(c->second.w, kind) > before;
	assert_int_equal(err, came ? -EIO : 0);
	if (err)
		err = leg_sim_open(&c->second, NULL);
	assert_int_equal(err, 0);
	faults += came;
	leg_judge_opened(c);
	leg_sim_close(&c->second);
	sim_image_free(image);
}

/* An open that meets an error says so; the next one finds everything. */
static void test_an_open_that_fails_changes_nothing(void **state)
{
	static const enum sim_fault kinds[] = { SIM_WRITE_EIO, SIM_SYNC_EIO, SIM_READ_EIO };
	struct leg_case *c = &the_case;

	(void)state;
	for (uint32_t i = 0; i < 60; i++) {
		leg_case_start(c, ks[i % 3], (enum leg_start)(i % LEG_START_COUNT), 20000 + i);
		snprintf(c->word, sizeof(c->word), "wnsck");
		for (const char *l = c->word; *l; l++)
			leg_case_letter(c, *l);
		leg_sim_steps(&c->leg, 2 + i / 2);
		for (uint32_t nth = 1; nth < 20; nth++)
			open_failing(c, kinds[nth % 3], 1 + nth / 3);
		leg_case_letter(c, '.');
		leg_case_finish(c);
	}
	assert_int_equal(c->bad, 0);
}

static int group_teardown(void **state)
{
	(void)state;
	leg_case_fini(&the_case);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_io_that_fails_is_told_and_loses_nothing),
		cmocka_unit_test(test_an_open_that_fails_changes_nothing),
	};

	/* A leg's memory is taken and given back thousands of times: keep it. */
	mallopt(M_MMAP_THRESHOLD, 1 << 28);
	mallopt(M_TRIM_THRESHOLD, 1 << 28);
	leg_case_init(&the_case);
	return cmocka_run_group_tests(tests, NULL, group_teardown);
}

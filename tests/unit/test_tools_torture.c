// SPDX-License-Identifier: MIT
/* The oracle of `holdfast torture`, fed with answers of a volume that is right, and of one that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../tools/torture_oracle.h"

#define BLOCKS 256u
#define BYTES(n) ((size_t)(n) * ORACLE_BLOCK)

/* A volume as the tests want it to be, and the oracle that judges it. */
struct rig {
	struct oracle o;
	uint8_t image[BLOCKS][ORACLE_BLOCK], buf[ORACLE_RUN_MAX * ORACLE_BLOCK];
	struct oracle_mark mark[ORACLE_RUN_MAX];
};

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(oracle_init(&r->o, BLOCKS, 77), 0);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	oracle_fini(&r->o);
	free(r);
	return 0;
}

/* Issue a write; `lands` of its blocks reach the image. */
static uint64_t issue(struct rig *r, uint64_t block, uint32_t count, uint32_t lands)
{
	uint64_t value;

	assert_true(oracle_is_free(&r->o, block, count));
	value = oracle_write(&r->o, block, count, false, r->buf);
	assert_false(oracle_is_free(&r->o, block, count));
	memcpy(r->image[block], r->buf, BYTES(lands));
	return value;
}

static uint64_t write_acked(struct rig *r, uint64_t block, uint32_t count)
{
	uint64_t value = issue(r, block, count, count);

	oracle_acked(&r->o, block, count, value);
	return value;
}

static void read_main(struct rig *r, uint64_t block, uint32_t count)
{
	oracle_read(&r->o, block, count, true, r->mark);
	oracle_read_done(&r->o, block, count, r->mark, r->image[block]);
}

static void hold_inquest(struct rig *r, uint64_t block, uint32_t count, uint64_t value)
{
	oracle_read(&r->o, block, count, true, r->mark);
	oracle_inquest(&r->o, block, count, value, r->mark, r->image[block]);
	assert_true(oracle_is_free(&r->o, block, count));
}

static void expect(const struct rig *r, uint64_t lost, uint64_t stale, uint64_t wrong, uint64_t torn)
{
	assert_int_equal(r->o.found[ORACLE_LOST], lost);
	assert_int_equal(r->o.found[ORACLE_STALE], stale);
	assert_int_equal(r->o.found[ORACLE_WRONG], wrong);
	assert_int_equal(r->o.found[ORACLE_TORN], torn);
}

static void right_answers_are_right(void **state)
{
	struct rig *r = *state;
	uint64_t value;

	read_main(r, 0, 8);
	write_acked(r, 0, 4);
	write_acked(r, 2, 1);
	read_main(r, 0, 8);
	value = oracle_write(&r->o, 1, 2, true, NULL);
	memset(r->image[1], 0, BYTES(2));
	oracle_acked(&r->o, 1, 2, value);
	read_main(r, 0, 8);
	expect(r, 0, 0, 0, 0);
	assert_int_equal(r->o.judged, 24);
	assert_int_equal(r->o.acked, 3);
}

static void an_older_write_is_a_lost_one(void **state)
{
	struct rig *r = *state;
	uint8_t before[ORACLE_BLOCK];
	uint64_t first = write_acked(r, 5, 1), second;

	memcpy(before, r->image[5], sizeof(before));
	second = write_acked(r, 5, 1);
	memcpy(r->image[5], before, sizeof(before));
	r->o.fault = 9;
	read_main(r, 5, 1);
	expect(r, 1, 0, 0, 0);
	assert_int_equal(r->o.finding_count, 1);
	assert_int_equal(r->o.finding[0].block, 5);
	assert_int_equal(r->o.finding[0].expected, second);
	assert_int_equal(r->o.finding[0].found, first);
	assert_int_equal(r->o.finding[0].after, 9);
}

static void zeros_in_place_of_a_write_are_a_lost_one(void **state)
{
	struct rig *r = *state;

	write_acked(r, 5, 1);
	memset(r->image[5], 0, ORACLE_BLOCK);
	read_main(r, 5, 1);
	expect(r, 1, 0, 0, 0);
}

static void a_write_in_place_of_zeros_is_a_lost_one(void **state)
{
	struct rig *r = *state;

	write_acked(r, 5, 1);
	oracle_acked(&r->o, 5, 1, oracle_write(&r->o, 5, 1, true, NULL));
	read_main(r, 5, 1);
	expect(r, 1, 0, 0, 0);
}

static void what_nobody_wrote_is_wrong(void **state)
{
	struct rig *r = *state;

	write_acked(r, 5, 1);
	write_acked(r, 6, 1);
	r->image[5][100] ^= 1;		/* a flipped bit */
	read_main(r, 5, 1);
	expect(r, 0, 0, 1, 0);
	memcpy(r->image[7], r->image[6], ORACLE_BLOCK); /* the right write in another place */
	read_main(r, 7, 1);
	expect(r, 0, 0, 2, 0);
}

static void another_run_s_block_is_wrong(void **state)
{
	struct rig *r = *state;
	struct oracle other;
	uint64_t value = issue(r, 5, 1, 1);

	assert_int_equal(oracle_init(&other, BLOCKS, 78), 0);
	assert_int_equal(oracle_write(&other, 5, 1, false, r->image[5]), value);
	oracle_acked(&r->o, 5, 1, value);
	read_main(r, 5, 1);
	expect(r, 0, 0, 1, 0);
	oracle_fini(&other);
}

static void an_unanswered_write_may_be_there_or_not_but_stays_so(void **state)
{
	struct rig *r = *state;
	uint8_t before[ORACLE_BLOCK];
	uint64_t value;

	write_acked(r, 5, 1);
	value = issue(r, 5, 1, 0);	/* it is not there .. */
	hold_inquest(r, 5, 1, value);
	expect(r, 0, 0, 0, 0);
	memcpy(r->image[5], r->buf, ORACLE_BLOCK); /* .. and comes back */
	read_main(r, 5, 1);
	expect(r, 1, 0, 0, 0);

	write_acked(r, 9, 1);
	memcpy(before, r->image[9], sizeof(before));
	value = issue(r, 9, 1, 1);	/* it is there .. */
	hold_inquest(r, 9, 1, value);
	expect(r, 1, 0, 0, 0);
	memcpy(r->image[9], before, sizeof(before)); /* .. and goes */
	read_main(r, 9, 1);
	expect(r, 2, 0, 0, 0);
}

static void a_part_of_a_write_is_torn(void **state)
{
	struct rig *r = *state;
	uint64_t value = issue(r, 10, 8, 3);

	hold_inquest(r, 10, 8, value);
	expect(r, 0, 0, 0, 1);
	value = issue(r, 30, 8, 8);
	hold_inquest(r, 30, 8, value);
	value = issue(r, 30, 8, 0);
	hold_inquest(r, 30, 8, value);
	expect(r, 0, 0, 0, 1);
}

static void a_part_of_zeros_is_torn(void **state)
{
	struct rig *r = *state;
	uint64_t value;

	write_acked(r, 10, 4);
	value = oracle_write(&r->o, 8, 6, true, NULL); /* two of the blocks were zeros before */
	hold_inquest(r, 8, 6, value);
	expect(r, 0, 0, 0, 0);
	value = oracle_write(&r->o, 8, 6, true, NULL);
	memset(r->image[10], 0, BYTES(1));
	hold_inquest(r, 8, 6, value);
	expect(r, 0, 0, 0, 1);
}

static void a_reader_may_see_what_was_newest_when_it_asked(void **state)
{
	struct rig *r = *state;
	uint8_t before[ORACLE_BLOCK];
	struct oracle_mark asked;

	write_acked(r, 5, 1);
	memcpy(before, r->image[5], sizeof(before));
	oracle_read(&r->o, 5, 1, false, &asked);
	write_acked(r, 5, 1);
	oracle_overheard(&r->o, 5, 1, &asked, before); /* asked before the second was acknowledged */
	oracle_overheard(&r->o, 5, 1, &asked, r->image[5]);
	expect(r, 0, 0, 0, 0);
	oracle_read(&r->o, 5, 1, false, &asked);
	oracle_overheard(&r->o, 5, 1, &asked, before); /* asked after it */
	expect(r, 0, 1, 0, 0);
}

static void what_a_reader_saw_stays(void **state)
{
	struct rig *r = *state;
	uint8_t before[ORACLE_BLOCK];
	struct oracle_mark asked;

	write_acked(r, 5, 1);
	memcpy(before, r->image[5], sizeof(before));
	issue(r, 5, 1, 1);		/* not acknowledged */
	oracle_read(&r->o, 5, 1, false, &asked);
	oracle_overheard(&r->o, 5, 1, &asked, r->image[5]);
	expect(r, 0, 0, 0, 0);
	oracle_read(&r->o, 5, 1, false, &asked);
	oracle_overheard(&r->o, 5, 1, &asked, before);
	expect(r, 0, 1, 0, 0);
}

static void a_late_acknowledgement_counts(void **state)
{
	struct rig *r = *state;
	uint64_t value = issue(r, 5, 1, 0);

	oracle_acked_late(&r->o, 5, 1, value); /* and yet it is not there */
	hold_inquest(r, 5, 1, value);
	expect(r, 1, 0, 0, 0);

	value = issue(r, 9, 1, 0);
	hold_inquest(r, 9, 1, value);	/* known not to be there .. */
	oracle_acked_late(&r->o, 9, 1, value); /* .. and yet acknowledged */
	expect(r, 2, 0, 0, 0);

	value = issue(r, 20, 1, 0);
	hold_inquest(r, 20, 1, value);
	write_acked(r, 20, 1);
	oracle_acked_late(&r->o, 20, 1, value); /* a newer one is there: it was before that */
	read_main(r, 20, 1);
	expect(r, 2, 0, 0, 0);
	assert_int_equal(r->o.late, 3);
}

static void zeros_over_zeros_that_are_acknowledged_late_are_there(void **state)
{
	struct rig *r = *state;
	uint64_t value = oracle_write(&r->o, 5, 1, true, NULL);

	hold_inquest(r, 5, 1, value);	/* whether it happened cannot be told */
	oracle_acked_late(&r->o, 5, 1, value);
	read_main(r, 5, 1);
	expect(r, 0, 0, 0, 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(right_answers_are_right),
		CASE(an_older_write_is_a_lost_one),
		CASE(zeros_in_place_of_a_write_are_a_lost_one),
		CASE(a_write_in_place_of_zeros_is_a_lost_one),
		CASE(what_nobody_wrote_is_wrong),
		CASE(another_run_s_block_is_wrong),
		CASE(an_unanswered_write_may_be_there_or_not_but_stays_so),
		CASE(a_part_of_a_write_is_torn),
		CASE(a_part_of_zeros_is_torn),
		CASE(a_reader_may_see_what_was_newest_when_it_asked),
		CASE(what_a_reader_saw_stays),
		CASE(a_late_acknowledgement_counts),
		CASE(zeros_over_zeros_that_are_acknowledged_late_are_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

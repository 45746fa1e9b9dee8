// SPDX-License-Identifier: MIT
/* disk: a superblock whose checksum fits is still refused when it says what cannot be. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "format/disk.h"

static struct hf_disk_super good(void)
{
	struct hf_disk_super s = {
		.generation = 1,
		.id = { .geometry = { .k = 2, .m = 1 } },
		.log_off = HF_DISK_LOG_OFF,
		.log_bytes = 65536,
		.dw_pages = 64,
		.dw_off = HF_DISK_LOG_OFF + 65536,
		.chunks_max = 64,
		.checkpoint = { .applied = 5, .epoch = 1, .commit = 5, .size_blocks = 1024, .batch = 1 },
	};

	s.table_off = s.dw_off + 2ull * (s.dw_pages + 1) * HF_DISK_PAGE;
	s.data_off = s.table_off + 3 * HF_DISK_PAGE;
	s.state.epochs.count = 2;
	s.state.epochs.at[0] = (struct hf_epoch_start){ 1, 1 };
	s.state.epochs.at[1] = (struct hf_epoch_start){ 3, 6 };
	return s;
}

static int taken(const struct hf_disk_super *s)
{
	uint8_t page[HF_DISK_PAGE];
	struct hf_disk_super out;
	const char *why;

	hf_disk_super_encode(page, s);
	return hf_disk_super_decode(page, &out, &why);
}

static void test_a_superblock_that_can_be_is_taken(void **state)
{
	struct hf_disk_super s = good();
	(void)state;

	assert_int_equal(taken(&s), 0);
}

/* What is applied was committed: a leg that forgets that could cut it off (I8). */
static void test_applied_but_not_committed_is_refused(void **state)
{
	struct hf_disk_super s = good();
	(void)state;

	s.checkpoint.commit = 4;
	assert_int_equal(taken(&s), -EUCLEAN);
}

/* H10, H11: a history that does not ascend would bring dead entries of the log back. */
static void test_a_history_that_does_not_ascend_is_refused(void **state)
{
	static const struct hf_epoch_start second[] = { { 1, 6 }, { 0, 6 }, { 3, 0 } };
	struct hf_disk_super s;
	(void)state;

	for (size_t i = 0; i < sizeof(second) / sizeof(second[0]); i++) {
		s = good();
		s.state.epochs.at[1] = second[i];
		assert_int_equal(taken(&s), -EUCLEAN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_superblock_that_can_be_is_taken),
		cmocka_unit_test(test_applied_but_not_committed_is_refused),
		cmocka_unit_test(test_a_history_that_does_not_ascend_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

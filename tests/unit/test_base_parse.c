// SPDX-License-Identifier: MIT
/* parse: what operators may type, and what they are told otherwise. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/limits.h"
#include "base/parse.h"

static void test_name_takes_what_is_fit_for_a_file_and_a_key(void **state)
{
	static const char *const good[] = { "a", "db42", "hostA", "_x", "9", "a.b-c_d" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(hf_name_check("name", good[i], NULL), 0);
}

static void test_name_refuses_paths_options_and_long_ones(void **state)
{
	static const char *const bad[] = { "", ".", "..", "-x", ".hidden", "a/b", "a b", "a\n", "\xc3\xa4", "a@ro" };
	char longest[HF_NAME_MAX + 1];
	struct hf_errmsg err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = '\0';
		assert_int_equal(hf_name_check("volume name", bad[i], &err), -EINVAL);
		assert_non_null(strstr(err.text, "volume name"));
	}
	memset(longest, 'x', sizeof(longest));
	longest[HF_NAME_MAX] = '\0';
	assert_int_equal(hf_name_check("name", longest, &err), -EINVAL);
	longest[HF_NAME_MAX - 1] = '\0';
	assert_int_equal(hf_name_check("name", longest, &err), 0);
}

static void test_size_knows_units_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "4096", 4096 }, { "4K", 4096 }, { "512M", 512ull << 20 }, { "100G", 100ull << 30 },
		{ "1t", 1ull << 40 }, { "64T", 64ull << 40 }, { "8GiB", 8ull << 30 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint64_t bytes = 0;

		assert_int_equal(hf_size_parse(good[i].text, &bytes, NULL), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
}

static void test_size_refuses_and_leaves_the_output(void **state)
{
	static const char *const bad[] = {
		"",
		"0",
		"0G",
		"G",
		"-1G",
		"+1G",
		" 1G",
		"1 G",
		"1.5G",
		"4097",
		"512",
		"1GB",
		"1X",
		"65T",
		"1P",
		"0x1000",
		"18446744073709551616",
		"99999999999999999999999",
		"18014398509481984K",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct hf_errmsg err = { "" };
		uint64_t bytes = 7;

		assert_int_equal(hf_size_parse(bad[i], &bytes, &err), -EINVAL);
		assert_int_equal(bytes, 7);
		assert_non_null(strstr(err.text, "size"));
	}
}

static void test_layout_takes_every_allowed_geometry(void **state)
{
	static const struct {
		const char *text;
		uint8_t k, m;
	} good[] = { { "2+1", 2, 1 }, { "1+1", 1, 1 }, { "1+0", 1, 0 }, { "4+2", 4, 2 }, { "8+4", 8, 4 } };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint8_t k = 0, m = 9;

		assert_int_equal(hf_layout_parse(good[i].text, &k, &m, NULL), 0);
		assert_int_equal(k, good[i].k);
		assert_int_equal(m, good[i].m);
	}
}

static void test_layout_refuses_k_that_breaks_sectors_and_too_much_parity(void **state)
{
	static const char *const bad[] = { "",	   "2",	  "2+",	 "+1",	  "3+1", "5+1", "0+1",
					   "16+1", "2+5", "2+0", "2+1+1", "2-1", "2+1x" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct hf_errmsg err = { "" };
		uint8_t k = 9, m = 9;

		assert_int_equal(hf_layout_parse(bad[i], &k, &m, &err), -EINVAL);
		assert_int_equal(k, 9);
		assert_int_equal(m, 9);
		assert_non_null(strstr(err.text, "layout"));
	}
}

static void test_number_is_bounded_on_both_sides(void **state)
{
	uint64_t v = 0;

	(void)state;
	assert_int_equal(hf_number_parse("count", "4", 1, 4, &v, NULL), 0);
	assert_int_equal(v, 4);
	assert_int_equal(hf_number_parse("count", "5", 1, 4, &v, NULL), -EINVAL);
	assert_int_equal(hf_number_parse("count", "0", 1, 4, &v, NULL), -EINVAL);
	assert_int_equal(hf_number_parse("count", "4 ", 1, 4, &v, NULL), -EINVAL);
	assert_int_equal(v, 4);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name_takes_what_is_fit_for_a_file_and_a_key),
		cmocka_unit_test(test_name_refuses_paths_options_and_long_ones),
		cmocka_unit_test(test_size_knows_units_of_1024),
		cmocka_unit_test(test_size_refuses_and_leaves_the_output),
		cmocka_unit_test(test_layout_takes_every_allowed_geometry),
		cmocka_unit_test(test_layout_refuses_k_that_breaks_sectors_and_too_much_parity),
		cmocka_unit_test(test_number_is_bounded_on_both_sides),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

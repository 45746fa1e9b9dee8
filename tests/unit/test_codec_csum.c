// SPDX-License-Identifier: MIT
/* Needs: libhf_codec libhf_base, isa-l. crc32c against the vectors of RFC 3720 and against a bit-by-bit loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/csum.h"

static uint32_t slow_crc32c(const uint8_t *p, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static void test_csum_gives_the_published_values(void **state)
{
	uint8_t buf[32];

	(void)state;
	assert_int_equal(hf_crc32c("123456789", 9), 0xe3069283u);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(hf_crc32c(buf, sizeof(buf)), 0x8a9136aau);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(hf_crc32c(buf, sizeof(buf)), 0x62a8ab43u);
	assert_int_equal(hf_crc32c(buf, 0), 0);
}

static void test_csum_zero_block_is_the_crc_of_zeros(void **state)
{
	static uint8_t block[HF_BLOCK];

	(void)state;
	assert_int_equal(hf_crc32c_zero_block(), hf_crc32c(block, sizeof(block)));
}

static void test_csum_extend_equals_one_pass_at_every_cut(void **state)
{
	uint8_t buf[300];

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 37 + (i >> 3));
	for (size_t len = 0; len <= sizeof(buf); len += 7) {
		assert_int_equal(hf_crc32c(buf, len), slow_crc32c(buf, len));
		for (size_t cut = 0; cut <= len; cut++)
			assert_int_equal(hf_crc32c_extend(hf_crc32c(buf, cut), buf + cut, len - cut),
					 hf_crc32c(buf, len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_csum_gives_the_published_values),
		cmocka_unit_test(test_csum_zero_block_is_the_crc_of_zeros),
		cmocka_unit_test(test_csum_extend_equals_one_pass_at_every_cut),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * The text of the records stands still: as frozen in tests/golden it reads back equal, is what is written today, and
 * is refused when its end is missing.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/record.h"
#include "lib/golden.h"

#define UUID(b0) \
	{ { b0, b0 + 1, b0 + 2, b0 + 3, b0 + 4, b0 + 5, b0 + 6, b0 + 7, b0 + 8, b0 + 9, b0 + 10, b0 + 11, b0 + 12, \
	    b0 + 13, b0 + 14, b0 + 15 } }

static const struct hf_record served = {
	.cluster = UUID(0x10), .volume = UUID(0x20), .lineage = UUID(0x30), .nonce = UUID(0x40), .name = "db42",
	.tenant = "acme", .size_blocks = HF_VOLUME_BLOCKS_MAX, .geometry = { 2, 1 }, .min_tolerance = 1,
	.auto_failover = true,
	.epoch = INT64_MAX, .claimed_from = 0x77, .incarnation = UUID(0x50), .primary = "host-a", .leg_count = 4,
	.leg = {
		{ UUID(0x60), "host-a", HF_FRAG_FULL, true, INT64_MAX },
		{ UUID(0x70), "host-b", 0, true, 6 },
		{ UUID(0x80), "host-c", 1, true, 5 },
		{ UUID(0x90), "host-d", 2, false, 0 },
	},
};
static const struct hf_record new_volume = {
	.cluster = UUID(0x10), .volume = UUID(0x20), .lineage = UUID(0x30), .name = "v", .tenant = "t",
	.size_blocks = 1, .geometry = { 1, 1 }, .leg_count = 2,
	.leg = { { UUID(0x60), "a", 0, true, 0 }, { UUID(0x70), "b", 1, true, 0 } },
};
static const struct hf_host_record host = {
	.name = "host-a", .addr = "tcp:192.0.2.1:7001", .domain = "rack-1", .incarnation = UUID(0x10),
	.boot = UUID(0x20),
};

static void check_record(const char *name, const struct hf_record *rec)
{
	struct hf_record out;
	char *text = NULL;
	uint8_t *p;
	size_t len;

	assert_int_equal(hf_record_encode(rec, &text), 0);
	len = strlen(text);
	p = golden_check(name, "holdfast-record(5), Config record: text with its NUL", text, len + 1);
	memset(&out, 0, sizeof(out));
	assert_int_equal(hf_record_decode((const char *)p, &out, NULL), 0);
	assert_memory_equal(&out, rec, sizeof(out));
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = golden_cut(p, n + 1);

		cut[n] = '\0';
		assert_int_equal(hf_record_decode((const char *)cut, &out, NULL), -EUCLEAN);
		assert_memory_equal(&out, rec, sizeof(out));
		free(cut);
	}
	free(p);
	free(text);
}

static void test_config_record_is_frozen(void **state)
{
	(void)state;
	check_record("record-volume", &served);
}

static void test_config_record_of_a_new_volume_is_frozen(void **state)
{
	(void)state;
	check_record("record-volume-new", &new_volume);
}

static void test_host_record_is_frozen(void **state)
{
	struct hf_host_record out;
	char *text = NULL;
	uint8_t *p;
	size_t len;

	(void)state;
	assert_int_equal(hf_host_record_encode(&host, &text), 0);
	len = strlen(text);
	p = golden_check("record-host", "holdfast-record(5), Host record: text with its NUL", text, len + 1);
	memset(&out, 0, sizeof(out));
	assert_int_equal(hf_host_record_decode((const char *)p, &out, NULL), 0);
	assert_memory_equal(&out, &host, sizeof(out));
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = golden_cut(p, n + 1);

		cut[n] = '\0';
		assert_int_equal(hf_host_record_decode((const char *)cut, &out, NULL), -EUCLEAN);
		assert_memory_equal(&out, &host, sizeof(out));
		free(cut);
	}
	free(p);
	free(text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_record_is_frozen),
		cmocka_unit_test(test_config_record_of_a_new_volume_is_frozen),
		cmocka_unit_test(test_host_record_is_frozen),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

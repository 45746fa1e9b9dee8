// SPDX-License-Identifier: MIT
/* record: what is written is read back equal; what is damaged, unknown or impossible is refused with a reason. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "format/record.h"

static void fill_uuid(struct hf_uuid *u, uint8_t b)
{
	memset(u->b, b, sizeof(u->b));
}

/* A full leg with 2+1 fragments on four hosts, epoch 7. */
static struct hf_record sample(void)
{
	struct hf_record rec = {
		.name = "db42", .tenant = "acme", .size_blocks = 1 << 20, .geometry = { 2, 1 }, .min_tolerance = 1,
		.auto_failover = true, .epoch = 7, .primary = "hostA", .leg_count = 4,
	};

	fill_uuid(&rec.cluster, 1);
	fill_uuid(&rec.volume, 2);
	fill_uuid(&rec.lineage, 3);
	fill_uuid(&rec.nonce, 4);
	fill_uuid(&rec.incarnation, 5);
	for (uint32_t i = 0; i < rec.leg_count; i++) {
		struct hf_record_leg *leg = &rec.leg[i];

		fill_uuid(&leg->uuid, (uint8_t)(0x10 + i));
		snprintf(leg->host, sizeof(leg->host), "host%c", 'A' + (char)i);
		leg->frag = i == 0 ? HF_FRAG_FULL : (uint8_t)(i - 1);
		leg->insync = i != 3;
		leg->activated = 7 - i;
	}
	return rec;
}

static char *encode(const struct hf_record *rec)
{
	char *text = NULL;

	assert_int_equal(hf_record_encode(rec, &text), 0);
	return text;
}

static void test_record_round_trip(void **state)
{
	struct hf_record rec = sample(), back;
	struct hf_errmsg err = { "" };
	char *text = encode(&rec);

	(void)state;
	memset(&back, 0xff, sizeof(back));
	if (hf_record_decode(text, &back, &err) < 0)
		fail_msg("%s", err.text);
	assert_memory_equal(&rec, &back, sizeof(rec));
	free(text);
}

static void test_record_never_served_round_trip(void **state)
{
	struct hf_record rec = sample(), back;
	char *text;

	(void)state;
	rec.epoch = 0;
	rec.primary[0] = '\0';
	memset(rec.primary, 0, sizeof(rec.primary));
	fill_uuid(&rec.incarnation, 0);
	for (uint32_t i = 0; i < rec.leg_count; i++)
		rec.leg[i].activated = 0;
	text = encode(&rec);
	assert_int_equal(hf_record_decode(text, &back, NULL), 0);
	assert_memory_equal(&rec, &back, sizeof(rec));
	free(text);
}

typedef void spoil(struct hf_record *rec);

static void two_legs_on_one_host(struct hf_record *rec) { strcpy(rec->leg[2].host, "hostA"); }
static void fragment_twice(struct hf_record *rec) { rec->leg[2].frag = rec->leg[1].frag; }
static void fragment_beyond_layout(struct hf_record *rec) { rec->leg[1].frag = 3; }
static void leg_uuid_twice(struct hf_record *rec) { rec->leg[1].uuid = rec->leg[2].uuid; }
static void k_of_three(struct hf_record *rec) { rec->geometry.k = 3; }
static void no_parity(struct hf_record *rec) { rec->geometry.m = 0; }
static void no_legs(struct hf_record *rec) { rec->leg_count = 0; }
static void too_many_legs(struct hf_record *rec) { rec->leg_count = HF_LEGS_MAX + 1; }
static void no_size(struct hf_record *rec) { rec->size_blocks = 0; }
static void huge(struct hf_record *rec) { rec->size_blocks = HF_VOLUME_BLOCKS_MAX + 1; }
static void primary_missing(struct hf_record *rec) { rec->primary[0] = '\0'; }
static void incarnation_missing(struct hf_record *rec) { fill_uuid(&rec->incarnation, 0); }
static void activated_in_the_future(struct hf_record *rec) { rec->leg[0].activated = 8; }
static void tolerance_out_of_reach(struct hf_record *rec) { rec->min_tolerance = 3; }
static void nothing_in_sync(struct hf_record *rec) { for (int i = 0; i < 4; i++) rec->leg[i].insync = false; }
static void name_is_a_path(struct hf_record *rec) { strcpy(rec->name, "../x"); }
static void lineage_missing(struct hf_record *rec) { fill_uuid(&rec->lineage, 0); }

static void test_record_check_names_what_is_wrong(void **state)
{
	static spoil *const spoils[] = {
		two_legs_on_one_host,
		fragment_twice,
		fragment_beyond_layout,
		leg_uuid_twice,
		k_of_three,
		no_parity,
		no_legs,
		too_many_legs,
		no_size,
		huge,
		primary_missing,
		incarnation_missing,
		activated_in_the_future,
		tolerance_out_of_reach,
		nothing_in_sync,
		name_is_a_path,
		lineage_missing,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		struct hf_record rec = sample();
		struct hf_errmsg err = { "" };

		spoils[i](&rec);
		if (hf_record_check(&rec, &err) != -EINVAL)
			fail_msg("spoil %zu passed", i);
		assert_int_not_equal(strlen(err.text), 0);
	}
}

/* Decode the sample with one field replaced (NULL: removed); it must fail and leave the output alone. */
static void refuse_with(const char *key, json_t *value)
{
	struct hf_record rec = sample(), out, before;
	char *text = encode(&rec);
	json_t *object = json_loads(text, 0, NULL);
	struct hf_errmsg err = { "" };

	free(text);
	if (value)
		json_object_set_new(object, key, value);
	else
		json_object_del(object, key);
	text = json_dumps(object, 0);
	memset(&out, 0x5a, sizeof(out));
	before = out;
	if (hf_record_decode(text, &out, &err) != -EUCLEAN)
		fail_msg("field '%s' passed: %s", key, text);
	assert_memory_equal(&out, &before, sizeof(out));
	assert_int_not_equal(strlen(err.text), 0);
	free(text);
	json_decref(object);
}

static void test_record_decode_refuses_every_missing_or_mistyped_field(void **state)
{
	struct hf_record rec = sample();
	char *text = encode(&rec);
	json_t *object = json_loads(text, 0, NULL), *value;
	const char *key;

	(void)state;
	json_object_foreach(object, key, value) {
		refuse_with(key, NULL);
		refuse_with(key, json_null());
		refuse_with(key, json_real(1.5));
		refuse_with(key, json_object());
	}
	refuse_with("novel", json_true());
	refuse_with("format", json_integer(2));
	refuse_with("epoch", json_integer(-1));
	refuse_with("k", json_integer(258));
	refuse_with("size_blocks", json_integer(INT64_MAX));
	refuse_with("name", json_string(""));
	refuse_with("volume", json_string("0202"));
	refuse_with("legs", json_pack("[{s:s}]", "host", "hostA"));
	json_decref(object);
	free(text);
}

static void test_record_decode_refuses_every_truncation(void **state)
{
	struct hf_record rec = sample(), out;
	char *text = encode(&rec);

	(void)state;
	for (size_t len = strlen(text); len-- > 0;) {
		char *cut = strndup(text, len);

		assert_int_equal(hf_record_decode(cut, &out, NULL), -EUCLEAN);
		free(cut);
	}
	free(text);
}

static void test_record_decode_survives_any_flipped_byte(void **state)
{
	struct hf_record rec = sample(), out;
	char *text = encode(&rec);

	(void)state;
	for (size_t i = 0; text[i]; i++) {
		for (int bit = 0; bit < 8; bit++) {
			text[i] ^= (char)(1 << bit);
			if (text[i] && hf_record_decode(text, &out, NULL) == 0)
				assert_int_equal(hf_record_check(&out, NULL), 0);
			text[i] ^= (char)(1 << bit);
		}
	}
	free(text);
}

static void test_record_decode_refuses_a_field_given_twice(void **state)
{
	struct hf_record out;

	(void)state;
	assert_int_equal(hf_record_decode("{\"format\":1,\"format\":1}", &out, NULL), -EUCLEAN);
	assert_int_equal(hf_record_decode("[]", &out, NULL), -EUCLEAN);
	assert_int_equal(hf_record_decode("", &out, NULL), -EUCLEAN);
}

static struct hf_host_record sample_host(void)
{
	struct hf_host_record host = { .name = "hostA", .addr = "tcp:127.0.0.1:7001", .domain = "rackA" };

	fill_uuid(&host.incarnation, 1);
	fill_uuid(&host.boot, 2);
	return host;
}

static void test_host_record_round_trip(void **state)
{
	struct hf_host_record host = sample_host(), back;
	char *text = NULL;

	(void)state;
	memset(&back, 0xff, sizeof(back));
	assert_int_equal(hf_host_record_encode(&host, &text), 0);
	assert_int_equal(hf_host_record_decode(text, &back, NULL), 0);
	assert_memory_equal(&host, &back, sizeof(host));
	free(text);
}

static void test_host_record_refuses_bad_addresses_and_names(void **state)
{
	struct hf_host_record host = sample_host();
	struct hf_errmsg err = { "" };

	(void)state;
	strcpy(host.addr, "http://x");
	assert_int_equal(hf_host_record_check(&host, &err), -EINVAL);
	assert_non_null(strstr(err.text, "hostA"));
	host = sample_host();
	strcpy(host.domain, "a/b");
	assert_int_equal(hf_host_record_check(&host, &err), -EINVAL);
	assert_int_equal(hf_host_record_decode("{\"format\":1}", &host, &err), -EUCLEAN);
}

static void test_keys_of_records(void **state)
{
	char key[HF_RECORD_KEY_MAX];

	(void)state;
	assert_string_equal(hf_record_volume_key("db42", key), "volume/db42");
	assert_string_equal(hf_record_host_key("hostA", key), "host/hostA");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_round_trip),
		cmocka_unit_test(test_record_never_served_round_trip),
		cmocka_unit_test(test_record_check_names_what_is_wrong),
		cmocka_unit_test(test_record_decode_refuses_every_missing_or_mistyped_field),
		cmocka_unit_test(test_record_decode_refuses_every_truncation),
		cmocka_unit_test(test_record_decode_survives_any_flipped_byte),
		cmocka_unit_test(test_record_decode_refuses_a_field_given_twice),
		cmocka_unit_test(test_host_record_round_trip),
		cmocka_unit_test(test_host_record_refuses_bad_addresses_and_names),
		cmocka_unit_test(test_keys_of_records),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

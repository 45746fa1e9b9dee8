// SPDX-License-Identifier: MIT
/*
 * The bytes of every message between hosts stand still: header and meta of each type as frozen in tests/golden, read
 * back equal, and refused when a bit is flipped or a byte is missing. Data behind the meta are fragments as they are
 * and are left out here.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/wire.h"
#include "lib/golden.h"

#define UUID(b0) \
	{ { b0, b0 + 1, b0 + 2, b0 + 3, b0 + 4, b0 + 5, b0 + 6, b0 + 7, b0 + 8, b0 + 9, b0 + 10, b0 + 11, b0 + 12, \
	    b0 + 13, b0 + 14, b0 + 15 } }
#define EPOCHS { .count = 3, .at = { { 1, 1 }, { 0x0102030405060708, 0x33 }, { 0x1112131415161718, 0x33 } } }

static const struct hf_hello hello = {
	.cluster = UUID(0x10), .instance = UUID(0x20), .generation = 0x3132333435363738, .version_min = 0x41424344,
	.version_max = 0x51525354, .features = 0x6162636465666768, .host = "host-a.example",
};
static const struct hf_prepare prepare = {
	.epoch = 0x0102030405060708, .incarnation = UUID(0x30), .ver = 0x1112131415161718,
};
static const struct hf_promise promise = {
	.result = HF_LEG_WRONG_STATE, .suspect = true, .adopting = true, .chain = 0x01020304,
	.promised = 0x1112131415161718, .activated = 0x2122232425262728, .last_epoch = 0x3132333435363738,
	.last = 0x4142434445464748, .commit = 0x4142434445464747, .first = 0x5152535455565758,
	.resync_from = 0x6162636465666768, .ver = 0x7172737475767778, .size_blocks = 0x0000000301020304,
	.lease_left = 1999999999, .epochs = EPOCHS,
};
static const struct hf_adopt adopt_log = {
	.epoch = 0x1112131415161718, .ver = 0x2122232425262728, .mode = HF_ADOPT_LOG, .target = 0x3132333435363738,
	.size_blocks = 0x0000000301020304, .epochs = EPOCHS,
};
static const struct hf_adopt adopt = {
	.epoch = 0x1112131415161718, .ver = 0x2122232425262728, .mode = HF_ADOPT_RESYNC, .target = 0x3132333435363738,
	.base_epoch = 0x4142434445464748, .base = 0x5152535455565758, .base_chain = 0x61626364,
	.resync_from = 0x7172737475767778, .size_blocks = 0x0000000301020304, .epochs = EPOCHS,
};
static const struct hf_adopted adopted = {
	.result = HF_LEG_WOULD_CUT_COMMITTED, .active = true, .chain = 0x01020304, .epoch = 0x1112131415161718,
	.last = 0x2122232425262728,
};
static const struct hf_ack ack = {
	.result = HF_LEG_STALE, .epoch = 0x0102030405060708, .durable = 0x1112131415161718,
	.resync_done = 0x2122232425262728, .cookie = 0x3132333435363738, .ver = 0x4142434445464748,
};
static const struct hf_wire_read read_request = {
	.lba = 0x0000000301020304, .nblocks = 64, .seq = 0x1112131415161718,
};
static const struct hf_wire_read_data read_data = {
	.nblocks = 3, .zero = 0x0102030405060708, .bad = 0x1112131415161718,
	.block_crc = { 0x21222324, 0x31323334, 0x41424344 },
};
static const struct hf_wire_read_data read_failed = { .result = -EIO };
static const struct hf_wire_fetch fetch = { .from = 0x0102030405060708, .to = 0x1112131415161718 };
static const struct hf_wire_map map = { .after = 0x0102030405060708, .cursor = 0x1112131415161718 };
static const struct hf_wire_map_data map_data = {
	.cursor = 0x0102030405060708, .size_blocks = 0x0000000301020304, .count = 3,
	.chunk = { 0, 0x01020304, HF_VOLUME_BLOCKS_MAX / HF_CHUNK_BLOCKS - 1 },
};
static const struct hf_wire_format format = {
	.id = { .cluster = UUID(0x10), .volume = UUID(0x20), .leg = UUID(0x30), .geometry = { 4, 2 }, .frag = 5 },
	.size_blocks = 0x0000000301020304, .volume = "db42",
};
static const struct hf_wire_done done = { .result = -ENOSPC, .words = "no space on /srv/legs" };

#define ENTRY(t, n) \
	.epoch = 0x0102030405060708, .seq = 0x1112131415161718, .lba = 0x0000000301020304, .ver = 0x2122232425262728, \
	.nblocks = n, .prev_chain = 0x31323334, .chain = 0x41424344, .type = t
#define CRCS \
	.block_crc = { 0xb0b1b2b3, 0xb4b5b6b7, 0xb8b9babb }, .frag_crc = { 0xf0f1f2f3, 0xf4f5f6f7, 0xf8f9fafb }

static const struct hf_entry entries[] = {
	{ ENTRY(HF_OP_WRITE, 3), CRCS },
	{ ENTRY(HF_OP_ZERO, 1024) },
	{ ENTRY(HF_OP_RESIZE, 0) },
	{ ENTRY(HF_OP_NOP, 0) },
	{ ENTRY(HF_OP_RESYNC, 3), CRCS, .skip = 0x5152535455565758, .zero = 0x6162636465666768 },
};
static const char *const entry_names[] = { "write", "zero", "resize", "nop", "resync" };

#define ENTRIES (sizeof(entries) / sizeof(entries[0]))

/* One pair of functions for all messages. */
#define CODED(m) \
	static uint32_t m##_encode(void *meta, const void *v) \
	{ \
		return hf_wire_##m##_encode(meta, v); \
	} \
	static int m##_decode(const void *meta, uint32_t len, void *out) \
	{ \
		return hf_wire_##m##_decode(meta, len, out); \
	}
CODED(hello)
CODED(prepare)
CODED(promise)
CODED(adopt)
CODED(adopted)
CODED(ack)
CODED(read)
CODED(read_data)
CODED(fetch)
CODED(map)
CODED(map_data)
CODED(format)
CODED(done)

/* APPEND and FETCH_DATA: the meta is entries, `value` is an array of all of them. */
static uint32_t entries_encode(void *meta, const void *v)
{
	const struct hf_entry *e = v;
	uint32_t len = 0;

	for (size_t i = 0; i < ENTRIES; i++) {
		assert_int_equal(hf_wire_entry_encode((uint8_t *)meta + len, &e[i]), hf_wire_entry_size(&e[i]));
		len += hf_wire_entry_size(&e[i]);
	}
	return len;
}

static int entries_decode(const void *meta, uint32_t len, void *out)
{
	struct hf_entry got[ENTRIES] = { 0 };
	uint32_t pos = 0;

	for (size_t i = 0; i < ENTRIES; i++)
		if (hf_wire_entry_decode(meta, len, &pos, &got[i]))
			return -EPROTO;
	if (pos != len)
		return -EPROTO;
	memcpy(out, got, sizeof(got));
	return 0;
}

struct message {
	const char *name;
	uint8_t type;
	uint32_t count;
	const void *value;
	size_t size;
	uint32_t (*encode)(void *meta, const void *v);
	int (*decode)(const void *meta, uint32_t len, void *out);
};

#define EMPTY(type, name) { name, HF_WIRE_##type, 0, NULL, 0, NULL, NULL }
#define WITH(type, name, m, v) { name, HF_WIRE_##type, 0, &v, sizeof(v), m##_encode, m##_decode }

static const struct message messages[] = {
	WITH(HELLO, "wire-01-hello", hello, hello),
	WITH(WELCOME, "wire-02-welcome", hello, hello),
	EMPTY(PING, "wire-03-ping"),
	EMPTY(PONG, "wire-04-pong"),
	WITH(PREPARE, "wire-05-prepare", prepare, prepare),
	WITH(PROMISE, "wire-06-promise", promise, promise),
	WITH(ADOPT, "wire-07-adopt-log", adopt, adopt_log),
	WITH(ADOPT, "wire-07-adopt-resync", adopt, adopt),
	WITH(ADOPTED, "wire-08-adopted", adopted, adopted),
	{ "wire-09-append", HF_WIRE_APPEND, ENTRIES, entries, sizeof(entries), entries_encode, entries_decode },
	WITH(ACK, "wire-10-ack", ack, ack),
	WITH(READ, "wire-11-read", read, read_request),
	WITH(READ_DATA, "wire-12-read-data", read_data, read_data),
	WITH(READ_DATA, "wire-12-read-data-failed", read_data, read_failed),
	WITH(FETCH, "wire-13-fetch", fetch, fetch),
	{ "wire-14-fetch-data", HF_WIRE_FETCH_DATA, ENTRIES, entries, sizeof(entries), entries_encode, entries_decode },
	WITH(MAP, "wire-15-map", map, map),
	WITH(MAP_DATA, "wire-16-map-data", map_data, map_data),
	EMPTY(SYNCED, "wire-17-synced"),
	WITH(SYNCED_ACK, "wire-18-synced-ack", ack, ack),
	EMPTY(RELEASE, "wire-19-release"),
	EMPTY(RELEASED, "wire-20-released"),
	WITH(FORMAT, "wire-21-format", format, format),
	WITH(FORMATTED, "wire-22-formatted", done, done),
	EMPTY(DELETE, "wire-23-delete"),
	WITH(DELETED, "wire-24-deleted", done, done),
	EMPTY(LOOK, "wire-25-look"),
	WITH(LOOKED, "wire-26-looked", promise, promise),
	EMPTY(STEP_DOWN, "wire-27-step-down"),
	WITH(STEPPED_DOWN, "wire-28-stepped-down", done, done),
};

#define MESSAGES (sizeof(messages) / sizeof(messages[0]))

static uint8_t frame[HF_WIRE_HEADER + HF_WIRE_META_MAX];
/* The largest of the structs. */
static union {
	struct hf_wire_map_data map_data;
	struct hf_promise promise;
	struct hf_entry entry[ENTRIES];
} out, before;

/* What the header of this message says beside the lengths; data only where a frame has them. */
static struct hf_wire_header header_of(const struct message *m, uint32_t meta_len)
{
	return (struct hf_wire_header){
		.type = m->type, .meta_len = meta_len, .count = m->count, .leg = UUID(0x80),
		.data_len = m->type == HF_WIRE_APPEND || m->type == HF_WIRE_FETCH_DATA ? 5 * 4096 : 0,
		.epoch = 0x9192939495969798, .tag = 0xa1a2a3a4a5a6a7a8, .commit = 0xb1b2b3b4b5b6b7b8,
	};
}

static const char *section_of(uint8_t type)
{
	if (type <= HF_WIRE_PONG)
		return "holdfast-wire(7), Connections: header, then meta";
	if (type == HF_WIRE_APPEND || type == HF_WIRE_ACK)
		return "holdfast-wire(7), Ops: header, then meta";
	if (type >= HF_WIRE_READ && type <= HF_WIRE_MAP_DATA)
		return "holdfast-wire(7), Reading: header, then meta";
	if (type >= HF_WIRE_FORMAT)
		return "holdfast-wire(7), Legs: header, then meta";
	return "holdfast-wire(7), Promotion: header, then meta";
}

/* The frozen header and meta, from the heap; *meta_len of it behind the header. */
static uint8_t *frozen(const struct message *m, uint32_t *meta_len)
{
	struct hf_wire_header h;

	memset(frame, 0xee, sizeof(frame));	/* an encoder that skips a byte shows */
	*meta_len = m->encode ? m->encode(frame + HF_WIRE_HEADER, m->value) : 0;
	h = header_of(m, *meta_len);
	hf_wire_header_encode(frame, &h, frame + HF_WIRE_HEADER);
	return golden_check(m->name, section_of(m->type), frame, HF_WIRE_HEADER + *meta_len);
}

static void test_every_type_has_frozen_bytes(void **state)
{
	uint32_t types = 0;

	(void)state;
	for (size_t i = 0; i < MESSAGES; i++)
		types |= 1u << messages[i].type;
	assert_int_equal(types, (2u << HF_WIRE_TYPE_MAX) - 2);
}

static void test_frozen_frames_read_back_equal(void **state)
{
	(void)state;
	for (size_t i = 0; i < MESSAGES; i++) {
		const struct message *m = &messages[i];
		struct hf_wire_header h, want;
		uint32_t len;
		uint8_t *p = frozen(m, &len);

		assert_null(hf_wire_header_check(p));
		memset(&h, 0, sizeof(h));
		hf_wire_header_decode(p, &h);
		want = header_of(m, len);
		if (h.type != want.type || h.meta_len != want.meta_len || h.data_len != want.data_len ||
		    h.count != want.count || h.epoch != want.epoch || h.tag != want.tag || h.commit != want.commit ||
		    !hf_uuid_is_equal(&h.leg, &want.leg))
			fail_msg("%s: the header reads back otherwise", m->name);
		assert_true(hf_wire_meta_check(p, p + HF_WIRE_HEADER));
		assert_true(m->size <= sizeof(out));
		memset(&out, 0, sizeof(out));
		if (m->decode && (m->decode(p + HF_WIRE_HEADER, len, &out) || memcmp(&out, m->value, m->size) != 0))
			fail_msg("%s: the meta reads back otherwise", m->name);
		free(p);
	}
}

static void test_an_entry_of_each_op_reads_back_equal(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENTRIES; i++) {
		uint32_t pos = 0, len = hf_wire_entry_encode(frame, &entries[i]);
		struct hf_entry e = { 0 };
		char name[64];
		uint8_t *p;

		snprintf(name, sizeof(name), "wire-entry-%s", entry_names[i]);
		p = golden_check(name, "holdfast-wire(7), Ops", frame, len);
		assert_int_equal(hf_wire_entry_decode(p, len, &pos, &e), 0);
		assert_int_equal(pos, len);
		assert_memory_equal(&e, &entries[i], sizeof(e));
		free(p);
	}
}

static bool header_is_taken(const uint8_t *p, void *ctx)
{
	(void)ctx;
	return hf_wire_header_check(p) == NULL;
}

static bool meta_is_taken(const uint8_t *meta, void *header)
{
	return hf_wire_meta_check(header, meta);
}

static void test_a_flipped_bit_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < MESSAGES; i++) {
		uint32_t len;
		uint8_t *p = frozen(&messages[i], &len);

		golden_refuses_flips(messages[i].name, p, HF_WIRE_HEADER, header_is_taken, NULL);
		golden_refuses_torn(messages[i].name, p, HF_WIRE_HEADER, header_is_taken, NULL);
		golden_refuses_flips(messages[i].name, p + HF_WIRE_HEADER, len, meta_is_taken, p);
		free(p);
	}
}

/* At every length but its own a meta is refused, nothing behind it is looked at, and *out stays as it was. */
static void test_a_meta_of_another_length_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < MESSAGES; i++) {
		const struct message *m = &messages[i];
		uint32_t len;
		uint8_t *p = frozen(m, &len), *longer;

		memset(&out, 0x5a, sizeof(out));
		before = out;
		for (uint32_t n = 0; m->decode && n < len; n++) {
			uint8_t *cut = golden_cut(p + HF_WIRE_HEADER, n);

			if (m->decode(cut, n, &out) != -EPROTO)
				fail_msg("%s: %u of %u bytes of meta are taken", m->name, n, len);
			free(cut);
		}
		longer = calloc(1, len + 1);
		memcpy(longer, p + HF_WIRE_HEADER, len);
		if (m->decode && m->decode(longer, len + 1, &out) != -EPROTO)
			fail_msg("%s: a byte more than its meta is taken", m->name);
		assert_memory_equal(&out, &before, sizeof(out));
		free(longer);
		free(p);
	}
}

/*
 * An entry in a meta that ends anywhere within it; pos and the entry stay as they
 * were, and pos may itself lie behind the end.
 */
static void test_a_truncated_entry_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENTRIES; i++) {
		uint32_t len = hf_wire_entry_encode(frame, &entries[i]);

		for (uint32_t n = 0; n < len; n++) {
			uint8_t *cut = golden_cut(frame, n);
			uint32_t pos = 0, beyond = n + 1;
			struct hf_entry e, was;

			memset(&was, 0xa5, sizeof(was));
			e = was;
			assert_int_equal(hf_wire_entry_decode(cut, n, &pos, &e), -EPROTO);
			assert_int_equal(pos, 0);
			assert_memory_equal(&e, &was, sizeof(e));
			assert_int_equal(hf_wire_entry_decode(cut, n, &beyond, &e), -EPROTO);
			free(cut);
		}
	}
}

/* The header check, when the checksum is right and a field is not. */
static void test_a_header_out_of_range_is_refused(void **state)
{
	static const struct hf_wire_header good = { .type = HF_WIRE_PING };
	struct hf_wire_header h = good;

	(void)state;
	h.type = 0;
	hf_wire_header_encode(frame, &h, frame);
	assert_string_equal(hf_wire_header_check(frame), "unknown message type");
	h.type = HF_WIRE_TYPE_MAX + 1;
	hf_wire_header_encode(frame, &h, frame);
	assert_string_equal(hf_wire_header_check(frame), "unknown message type");
	h = good;
	h.meta_len = HF_WIRE_META_MAX;
	h.data_len = HF_FRAME_PAYLOAD_MAX;
	hf_wire_header_encode(frame, &h, frame + HF_WIRE_HEADER);
	assert_null(hf_wire_header_check(frame));
}

static int spoiled(const struct message *m, uint32_t at, uint8_t value)
{
	uint32_t len = m->encode(frame, m->value);

	assert_true(at < len);
	frame[at] = value;
	return m->decode(frame, len, &out);
}

static const struct message *named(const char *name)
{
	for (size_t i = 0; i < MESSAGES; i++)
		if (strcmp(messages[i].name, name) == 0)
			return &messages[i];
	fail_msg("no message %s", name);
	return NULL;
}

/* Reserved bytes, booleans, modes, results, counts, epochs out of order, sizes beyond the largest volume. */
static void test_a_meta_out_of_range_is_refused(void **state)
{
	static const struct {
		const char *name;
		uint32_t at;
		uint8_t value;
	} spoils[] = {
		{ "wire-01-hello", 16 + 16 + 8 + 4 + 4 + 8 + 63, 'x' },	/* a name without an end */
		{ "wire-06-promise", 0, HF_LEG_WOULD_CUT_COMMITTED + 1 },
		{ "wire-06-promise", 1, 2 },
		{ "wire-06-promise", 8 + 4 * 8, 0x49 },			/* commit above last */
		{ "wire-06-promise", 8 + 8 * 8 + 4, 4 },		/* size */
		{ "wire-06-promise", 8 + 9 * 8 + 6, 1 },		/* lease of days */
		{ "wire-06-promise", 8 + 10 * 8, HF_EPOCHS_MAX + 1 },
		{ "wire-06-promise", 8 + 10 * 8 + 4, 0 },		/* epoch 0 */
		{ "wire-06-promise", 8 + 10 * 8 + 4 + 16 + 15, 1 },	/* a start, then a lower one */
		{ "wire-06-promise", 8 + 10 * 8 + 4 + 16 + 7, 0x12 },	/* an epoch, then a lower one */
		{ "wire-07-adopt-log", 44, HF_ADOPT_RESYNC + 1 },
		{ "wire-07-adopt-log", 45, 1 },
		{ "wire-07-adopt-log", 0, 0x19 },			/* not the newest epoch of its history */
		{ "wire-07-adopt-log", 56 + 4, 4 },			/* size */
		{ "wire-08-adopted", 0, HF_LEG_WOULD_CUT_COMMITTED + 1 },
		{ "wire-08-adopted", 1, 2 },
		{ "wire-08-adopted", 2, 1 },
		{ "wire-10-ack", 0, HF_LEG_WOULD_CUT_COMMITTED + 1 },
		{ "wire-10-ack", 7, 1 },
		{ "wire-11-read", 8, 0 },
		{ "wire-11-read", 8, HF_WRITE_BLOCKS_MAX + 1 },
		{ "wire-11-read", 4, 4 },
		{ "wire-11-read", 15, 1 },
		{ "wire-12-read-data", 4, HF_WRITE_BLOCKS_MAX + 1 },
		{ "wire-12-read-data", 0, 1 },				/* a result above 0 */
		{ "wire-13-fetch", 7, 0x12 },				/* from above to */
		{ "wire-16-map-data", 12, 4 },				/* size */
		{ "wire-16-map-data", 17, 5 },				/* count */
		{ "wire-16-map-data", 20, 1 },
		{ "wire-16-map-data", 24 + 4, 1 },			/* a chunk beyond every volume */
		{ "wire-21-format", 48 + 3, 1 },
		{ "wire-21-format", 56 + 4, 4 },			/* size */
		{ "wire-21-format", 64 + 63, 'x' },
		{ "wire-22-formatted", 4 + 255, 'x' },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++)
		if (spoiled(named(spoils[i].name), spoils[i].at, spoils[i].value) != -EPROTO)
			fail_msg("%s: %u at %u is taken", spoils[i].name, spoils[i].value, spoils[i].at);
}

/* Type, length and range of an entry; its reserved bytes. */
/* A leg that follows it would not open again. */
static void test_a_resync_of_a_volume_of_no_size_is_refused(void **state)
{
	static uint8_t meta[HF_WIRE_META_MAX];
	struct hf_adopt m = adopt, got;
	(void)state;

	m.size_blocks = 0;
	assert_int_equal(hf_wire_adopt_decode(meta, hf_wire_adopt_encode(meta, &m), &got), -EPROTO);
	m.mode = HF_ADOPT_LOG;			/* does not say */
	assert_int_equal(hf_wire_adopt_decode(meta, hf_wire_adopt_encode(meta, &m), &got), 0);
}

static void test_an_entry_out_of_range_is_refused(void **state)
{
	static const struct {
		uint32_t entry, at;
		uint8_t value;
	} spoils[] = {
		{ 0, 44, 0 }, { 0, 44, HF_OP_RESYNC + 1 },		/* type */
		{ 0, 45, 1 }, { 0, 46, 1 }, { 0, 47, 1 },		/* reserved */
		{ 0, 32, 0 }, { 0, 32, HF_WRITE_BLOCKS_MAX + 1 },	/* blocks of a write */
		{ 0, 20, 4 }, { 1, 20, 4 }, { 2, 20, 4 },		/* behind the end of every volume */
		{ 1, 32, 1 }, { 1, 33, 0 },				/* blocks of a zero: 1025, none */
		{ 2, 32, 1 }, { 3, 32, 1 },				/* blocks of a resize and a nop */
		{ 4, 32, 0 }, { 4, 32, HF_WRITE_BLOCKS_MAX + 1 },	/* blocks of a resync */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		uint32_t pos = 0;
		struct hf_entry e;

		memset(frame, 0, 1024);
		(void)hf_wire_entry_encode(frame, &entries[spoils[i].entry]);
		frame[spoils[i].at] = spoils[i].value;
		if (hf_wire_entry_decode(frame, 1024, &pos, &e) != -EPROTO)
			fail_msg("%s: %u at %u is taken", entry_names[spoils[i].entry], spoils[i].value, spoils[i].at);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type_has_frozen_bytes),
		cmocka_unit_test(test_frozen_frames_read_back_equal),
		cmocka_unit_test(test_an_entry_of_each_op_reads_back_equal),
		cmocka_unit_test(test_a_flipped_bit_is_refused),
		cmocka_unit_test(test_a_meta_of_another_length_is_refused),
		cmocka_unit_test(test_a_truncated_entry_is_refused),
		cmocka_unit_test(test_a_header_out_of_range_is_refused),
		cmocka_unit_test(test_a_meta_out_of_range_is_refused),
		cmocka_unit_test(test_a_resync_of_a_volume_of_no_size_is_refused),
		cmocka_unit_test(test_an_entry_out_of_range_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

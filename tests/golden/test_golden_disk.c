// SPDX-License-Identifier: MIT
/*
 * The bytes on a leg stand still: every structure of format/disk.h as frozen in tests/golden, read back equal, and
 * refused when a bit is flipped, when it was torn, and when it belongs to another leg.
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

#include "codec/csum.h"
#include "format/disk.h"
#include "lib/golden.h"

#define UUID(b0) \
	{ { b0, b0 + 1, b0 + 2, b0 + 3, b0 + 4, b0 + 5, b0 + 6, b0 + 7, b0 + 8, b0 + 9, b0 + 10, b0 + 11, b0 + 12, \
	    b0 + 13, b0 + 14, b0 + 15 } }

#define SALT 0x5a17ba5eu
#define PAGE_NO 0x0102030405060708u

static const struct hf_disk_super super = {
	.generation = 0x0102030405060708,
	.id = { .cluster = UUID(0x10), .volume = UUID(0x20), .leg = UUID(0x30), .geometry = { 4, 2 }, .frag = 5 },
	.log_off = HF_DISK_LOG_OFF, .dw_off = 0x0000000001234000, .table_off = 0x0000000002345000,
	.data_off = 0x0000002003456000, .log_bytes = 0x00120000, .dw_pages = 0x1f4, .chunks_max = 0x0000000030313233,
	.checkpoint = {
		.applied = 0x1112131415161718, .epoch = 0x2122232425262728, .chain = 0x31323334,
		.commit = 0x4142434445464748, .size_blocks = 0x0000000301020304, .batch = 0x5152535455565758,
		.log_pos = 0x00112000, .dw = 0x6162636465666768, .digest = 0x7172737475767778,
	},
	.state = {
		.promised = 0x8182838485868788, .promised_incarnation = UUID(0x90), .activated = 0xa1a2a3a4a5a6a7a8,
		.ver = 0xb1b2b3b4b5b6b7b8, .size_blocks = 0x0000000201020304,
		.epochs = {
			.count = 2, .at = { { 0xc1c2c3c4c5c6c7c8, 1 }, { 0xd1d2d3d4d5d6d7d8, 0xe1e2e3e4e5e6e7e8 } },
		},
		.inconsistent = true, .failed = true, .resync_from = 0xf1f2f3f4f5f6f7f8,
	},
};
static const struct hf_disk_batch batch = {
	.no = 0x0102030405060708, .stream_len = 0x11121314, .pages = 0x21222324, .count = 0x31323334,
	.commit = 0x4142434445464748,
};

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
static const char *const entry_names[] = { "disk-entry-write", "disk-entry-zero", "disk-entry-resize",
					   "disk-entry-nop", "disk-entry-resync" };

#define ENTRIES (sizeof(entries) / sizeof(entries[0]))

static uint8_t page[HF_DISK_PAGE];
static struct hf_disk_chunk chunks[HF_DISK_CHUNKS_PER_PAGE];
static struct hf_disk_dw dw;

/* Every chunk and every block another value; the first takes no space. */
static void fill(void)
{
	for (uint32_t i = 1; i < HF_DISK_CHUNKS_PER_PAGE; i++) {
		chunks[i].phys = 0x01020300 + i;
		chunks[i].present = (uint16_t)(0x8001 + i);
		chunks[i].epoch = 0x1112131415161700 + i;
		chunks[i].seq = 0x2122232425262700 + i;
		for (uint32_t b = 0; b < HF_CHUNK_BLOCKS; b++) {
			chunks[i].frag_crc[b] = 0xf0000000 + i * 0x10000 + b;
			chunks[i].block_crc[b] = 0xb0000000 + i * 0x10000 + b;
		}
	}
	dw = (struct hf_disk_dw){
		.no = 0x0102030405060708, .digest = 0x1112131415161718, .count = HF_DISK_DW_PAGES_MAX,
		.content_crc = 0x21222324,
	};
	for (uint32_t i = 0; i < dw.count; i++)
		dw.off[i] = 0x0000000102340000 + i * (uint64_t)HF_DISK_PAGE;
}

static uint8_t *frozen_super(void)
{
	memset(page, 0xee, sizeof(page));
	hf_disk_super_encode(page, &super);
	return golden_check("disk-super", "holdfast-leg(5), Superblock", page, HF_DISK_PAGE);
}

static uint8_t *frozen_batch(void)
{
	memset(page, 0xee, sizeof(page));
	hf_disk_batch_encode(page, SALT, &batch);
	return golden_check("disk-batch", "holdfast-leg(5), Log: head of a batch", page, HF_DISK_BATCH_HEAD);
}

static uint8_t *frozen_entry(size_t i, uint32_t *len)
{
	memset(page, 0xee, sizeof(page));
	*len = hf_disk_entry_encode(page, SALT, &entries[i]);
	assert_int_equal(*len, hf_disk_entry_size(entries[i].type, entries[i].nblocks));
	return golden_check(entry_names[i], "holdfast-leg(5), Log: an entry without its fragments", page, *len);
}

static uint8_t *frozen_page(void)
{
	uint32_t crc;

	memset(page, 0xee, sizeof(page));
	crc = hf_disk_page_encode(page, SALT, PAGE_NO, chunks);
	assert_int_equal(crc, page[4092] | page[4093] << 8 | page[4094] << 16 | (uint32_t)page[4095] << 24);
	return golden_check("disk-table-page", "holdfast-leg(5), Chunk table", page, HF_DISK_PAGE);
}

static uint8_t *frozen_dw(void)
{
	memset(page, 0xee, sizeof(page));
	hf_disk_dw_encode(page, SALT, &dw);
	return golden_check("disk-doublewrite", "holdfast-leg(5), Doublewrite", page, HF_DISK_PAGE);
}

static bool super_is_taken(const uint8_t *p, void *ctx)
{
	struct hf_disk_super out;
	const char *why;

	(void)ctx;
	return hf_disk_super_decode(p, &out, &why) == 0;
}

static bool batch_is_taken(const uint8_t *p, void *salt)
{
	struct hf_disk_batch out;

	return hf_disk_batch_decode(p, salt ? *(uint32_t *)salt : SALT, &out) == 0;
}

struct entry_call {
	uint32_t len, salt;
};

/* As the store does: peek into the head, then decode as much as it says, if there is as much. */
static bool entry_is_taken(const uint8_t *p, void *ctx)
{
	const struct entry_call *c = ctx;
	struct hf_entry out;
	uint32_t need = hf_disk_entry_peek(p);

	return need && need <= c->len && hf_disk_entry_decode(p, c->salt, &out) == 0;
}

static bool page_is_taken(const uint8_t *p, void *salt)
{
	struct hf_disk_chunk out[HF_DISK_CHUNKS_PER_PAGE];
	uint32_t crc;

	return hf_disk_page_decode(p, salt ? *(uint32_t *)salt : SALT, PAGE_NO, out, &crc) == 1;
}

static bool dw_is_taken(const uint8_t *p, void *salt)
{
	struct hf_disk_dw out;

	return hf_disk_dw_decode(p, salt ? *(uint32_t *)salt : SALT, &out) == 0;
}

static void test_superblock_is_frozen(void **state)
{
	uint8_t *p = frozen_super();
	struct hf_disk_super out;
	const char *why = "";

	(void)state;
	memset(&out, 0, sizeof(out));
	assert_int_equal(hf_disk_super_decode(p, &out, &why), 0);
	assert_null(why);
	assert_memory_equal(&out, &super, sizeof(out));
	golden_refuses_flips("disk-super", p, HF_DISK_PAGE, super_is_taken, NULL);
	golden_refuses_torn("disk-super", p, HF_DISK_PAGE, super_is_taken, NULL);
	free(p);
}

static void test_batch_head_is_frozen(void **state)
{
	uint8_t *p = frozen_batch();
	struct hf_disk_batch out = { 0 };
	uint32_t other = SALT + 1;

	(void)state;
	assert_int_equal(hf_disk_batch_decode(p, SALT, &out), 0);
	assert_memory_equal(&out, &batch, sizeof(out));
	assert_false(batch_is_taken(p, &other));
	golden_refuses_flips("disk-batch", p, HF_DISK_BATCH_HEAD, batch_is_taken, NULL);
	golden_refuses_torn("disk-batch", p, HF_DISK_BATCH_HEAD, batch_is_taken, NULL);
	free(p);
}

static void test_entries_are_frozen(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENTRIES; i++) {
		struct entry_call call = { .salt = SALT }, other = { .salt = SALT + 1 };
		struct hf_entry out = { 0 };
		uint8_t *p = frozen_entry(i, &call.len), *head = golden_cut(p, HF_DISK_ENTRY_HEAD);

		assert_int_equal(hf_disk_entry_peek(head), call.len);
		assert_int_equal(hf_disk_entry_decode(p, SALT, &out), 0);
		assert_memory_equal(&out, &entries[i], sizeof(out));
		other.len = call.len;
		assert_false(entry_is_taken(p, &other));
		golden_refuses_flips(entry_names[i], p, call.len, entry_is_taken, &call);
		golden_refuses_torn(entry_names[i], p, call.len, entry_is_taken, &call);
		free(head);
		free(p);
	}
}

static void test_table_page_is_frozen(void **state)
{
	uint8_t *p = frozen_page();
	struct hf_disk_chunk out[HF_DISK_CHUNKS_PER_PAGE];
	uint32_t crc = 0, other = SALT + 1;

	(void)state;
	memset(out, 0, sizeof(out));
	assert_int_equal(hf_disk_page_decode(p, SALT, PAGE_NO, out, &crc), 1);
	assert_memory_equal(out, chunks, sizeof(out));
	assert_int_equal(crc, hf_disk_page_encode(page, SALT, PAGE_NO, chunks));
	assert_int_equal(hf_disk_page_decode(p, SALT, PAGE_NO + 1, out, &crc), -EBADMSG);
	assert_false(page_is_taken(p, &other));
	golden_refuses_flips("disk-table-page", p, HF_DISK_PAGE, page_is_taken, NULL);
	golden_refuses_torn("disk-table-page", p, HF_DISK_PAGE, page_is_taken, NULL);
	memset(p, 0, HF_DISK_PAGE);
	assert_int_equal(hf_disk_page_decode(p, SALT, PAGE_NO, out, &crc), 0);
	free(p);
}

static void test_doublewrite_head_is_frozen(void **state)
{
	uint8_t *p = frozen_dw();
	struct hf_disk_dw out;
	uint32_t other = SALT + 1;

	(void)state;
	memset(&out, 0, sizeof(out));
	assert_int_equal(hf_disk_dw_decode(p, SALT, &out), 0);
	assert_memory_equal(&out, &dw, sizeof(out));
	assert_false(dw_is_taken(p, &other));
	golden_refuses_flips("disk-doublewrite", p, HF_DISK_PAGE, dw_is_taken, NULL);
	golden_refuses_torn("disk-doublewrite", p, HF_DISK_PAGE, dw_is_taken, NULL);
	free(p);
}

static const struct {
	uint64_t batch;
	uint32_t sector;
} stamps[] = {
	{ 1, 0 }, { 1, 1 }, { 0x0102030405060708, 0 }, { 0x0102030405060708, HF_DISK_BATCH_SECTORS_MAX - 1 },
	{ 0x00000001fffffff0, 3 }, { 0x0000000200000010, 3 },
};

#define STAMPS (sizeof(stamps) / sizeof(stamps[0]))

/* The salt of a leg's uuid, then stamps. */
static void test_salt_and_stamps_are_frozen(void **state)
{
	static const struct hf_uuid leg = UUID(0x30);
	hf_le32 salt = hf_put_le32(hf_disk_salt(&leg));
	uint8_t bytes[4 + 8 * STAMPS], *p;

	(void)state;
	memcpy(bytes, &salt, 4);
	for (size_t i = 0; i < STAMPS; i++) {
		hf_le64 s = hf_put_le64(hf_disk_stamp(hf_disk_salt(&leg), stamps[i].batch, stamps[i].sector));

		memcpy(bytes + 4 + 8 * i, &s, 8);
	}
	p = golden_check("disk-stamps", "holdfast-leg(5), Log: the salt, then stamps", bytes, sizeof(bytes));
	for (size_t i = 0; i < STAMPS; i++) {
		uint64_t no = 0, near = stamps[i].batch;
		uint32_t sector = ~0u;
		hf_le64 s;

		memcpy(&s, p + 4 + 8 * i, 8);
		for (int64_t apart = -0x40; apart <= 0x40; apart += 0x20) {
			if (apart < 0 && near < (uint64_t)-apart)
				continue;
			assert_true(hf_disk_stamp_decode(hf_get_le64(s), hf_disk_salt(&leg), near + (uint64_t)apart,
							 &no, &sector));
			assert_int_equal(no, stamps[i].batch);
			assert_int_equal(sector, stamps[i].sector);
		}
	}
	free(p);
}

/* The checksum at the end of a page, made again after a field was changed. */
static void seal(uint8_t *p, uint32_t salt)
{
	hf_le32 s = hf_put_le32(salt), crc;

	crc = hf_put_le32(hf_crc32c_extend(hf_crc32c(&s, 4), p, HF_DISK_PAGE - 4));
	memcpy(p + HF_DISK_PAGE - 4, &crc, 4);
}

/* A superblock with one 64-bit field overwritten and sealed again. */
static int super_with(uint32_t at, uint64_t value, const char **why)
{
	hf_le64 v = hf_put_le64(value);
	struct hf_disk_super out;

	hf_disk_super_encode(page, &super);
	memcpy(page + at, &v, 8);
	seal(page, 0);
	return hf_disk_super_decode(page, &out, why);
}

/* Offsets: docs/man/holdfast-leg.5. */
enum { OFF_VERSION = 8, OFF_COMPAT = 12, OFF_RO = 16, OFF_INCOMPAT = 20, OFF_GENERATION = 24, OFF_K = 80,
       OFF_LOG_OFF = 88, OFF_DW_OFF = 96, OFF_TABLE_OFF = 104, OFF_DATA_OFF = 112, OFF_DW_PAGES = 120,
       OFF_CHUNKS = 128, OFF_CHECKPOINT_SIZE = 168, OFF_FLAGS = 256 };

static void test_superblock_of_a_newer_version_is_refused(void **state)
{
	const char *why = NULL;

	(void)state;
	assert_int_equal(super_with(OFF_VERSION, HF_DISK_VERSION + 1, &why), -EUCLEAN);
	assert_string_equal(why, "it was written by a newer version");
	assert_int_equal(super_with(OFF_COMPAT, 1, &why), 0);
	assert_int_equal(super_with(OFF_INCOMPAT - 4, 1ull << 32, &why), -EUCLEAN);
	assert_string_equal(why, "it was written by a newer version");
	assert_int_equal(super_with(0, 0, &why), -EUCLEAN);
	assert_string_equal(why, "there is no superblock");
}

/* A daemon that opens a leg writes to it, so it must know every feature that only allows to read. */
static void test_superblock_with_an_unknown_read_only_feature_is_refused(void **state)
{
	const char *why = NULL;

	(void)state;
	assert_int_equal(super_with(OFF_RO, 1, &why), -EUCLEAN);
	assert_string_equal(why, "it was written by a newer version");
}

static void test_superblock_that_contradicts_itself_is_refused(void **state)
{
	static const struct {
		uint32_t at;
		uint64_t value;
	} spoils[] = {
		{ OFF_GENERATION, 0 },
		{ OFF_K, 3 }, { OFF_K, 16 },				/* k; m, fragment and log size become 0 */
		{ OFF_LOG_OFF, HF_DISK_LOG_OFF + HF_DISK_PAGE },
		{ OFF_DW_OFF, HF_DISK_LOG_OFF },			/* on the log */
		{ OFF_DW_OFF, 0x0000000001234001 },			/* not at a page */
		{ OFF_DW_OFF, UINT64_MAX - HF_DISK_PAGE + 1 },		/* its end wraps around */
		{ OFF_TABLE_OFF, 0x0000000001234000 },			/* on the doublewrite */
		{ OFF_DATA_OFF, 0x0000000002345000 },			/* on the table */
		{ OFF_DATA_OFF, 0x0000000002346000 },			/* on its second page */
		{ OFF_DW_PAGES, 63 }, { OFF_DW_PAGES, HF_DISK_DW_PAGES_MAX + 1 },
		{ OFF_DW_PAGES, 0x100000064 },				/* the zeros behind it */
		{ OFF_CHUNKS, 0 }, { OFF_CHUNKS, HF_VOLUME_BLOCKS_MAX / HF_CHUNK_BLOCKS + 1 },
		{ OFF_CHECKPOINT_SIZE, 0 }, { OFF_CHECKPOINT_SIZE, 0x30313233 * 16ull + 1 },
		{ OFF_FLAGS, 0x0000000200000002 }, { OFF_FLAGS, 0x0000000201000000 }, /* a boolean of 2, the zero */
		{ OFF_FLAGS, 0x0000004100000000 },			/* 65 epochs */
		{ OFF_FLAGS, 0x0000000100000000 },			/* an epoch behind the last */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		const char *why = NULL;

		if (super_with(spoils[i].at, spoils[i].value, &why) != -EUCLEAN)
			fail_msg("%016llx at %u is taken", (unsigned long long)spoils[i].value, spoils[i].at);
		assert_string_equal(why, "the superblock contradicts itself");
	}
}

/* Reserved bytes that are set belong to a format that this version does not know. */
static void test_reserved_bytes_that_are_set_are_refused(void **state)
{
	static const uint32_t in_entry[] = { 5, 6, 7, 52, 53, 54, 55 };
	struct entry_call call = { .salt = SALT };
	hf_le32 crc, salt = hf_put_le32(SALT);
	uint8_t *p;

	(void)state;
	for (size_t i = 0; i < sizeof(in_entry) / sizeof(in_entry[0]); i++) {
		p = frozen_entry(0, &call.len);
		p[in_entry[i]] = 1;
		crc = hf_put_le32(hf_crc32c_extend(hf_crc32c(&salt, 4), p + 4, call.len - 4));
		memcpy(p, &crc, 4);
		if (entry_is_taken(p, &call))
			fail_msg("an entry with byte %u set is taken", in_entry[i]);
		free(p);
	}
	for (uint32_t at = 36; at < HF_DISK_BATCH_HEAD - 4; at++) {
		p = frozen_batch();
		p[at] = 1;
		crc = hf_put_le32(hf_crc32c(p, HF_DISK_BATCH_HEAD - 4));
		memcpy(p + HF_DISK_BATCH_HEAD - 4, &crc, 4);
		if (batch_is_taken(p, NULL))
			fail_msg("a batch head with byte %u set is taken", at);
		free(p);
	}
}

static void test_reserved_bytes_of_pages_are_refused(void **state)
{
	uint8_t *p;

	(void)state;
	for (uint32_t at = 16 + 152 * HF_DISK_CHUNKS_PER_PAGE; at < HF_DISK_PAGE - 4; at++) {
		p = frozen_page();
		p[at] = 1;
		seal(p, SALT);
		if (page_is_taken(p, NULL))
			fail_msg("a table page with byte %u set is taken", at);
		free(p);
	}
	p = frozen_page();
	p[4] = 1;
	seal(p, SALT);
	assert_false(page_is_taken(p, NULL));
	free(p);
	for (uint32_t at = 32 + 8 * HF_DISK_DW_PAGES_MAX; at < HF_DISK_PAGE - 4; at++) {
		p = frozen_dw();
		p[at] = 1;
		seal(p, SALT);
		if (dw_is_taken(p, NULL))
			fail_msg("a doublewrite head with byte %u set is taken", at);
		free(p);
	}
	p = frozen_dw();
	p[28] = 1;
	seal(p, SALT);
	assert_false(dw_is_taken(p, NULL));
	free(p);
}

/* One 32-bit field overwritten and sealed again. */
static bool page_with(uint8_t *p, uint32_t at, uint32_t value, golden_taken *taken)
{
	hf_le32 v = hf_put_le32(value);
	bool is_taken;

	memcpy(p + at, &v, 4);
	seal(p, SALT);
	is_taken = taken(p, NULL);
	free(p);
	return is_taken;
}

static void test_pages_out_of_range_are_refused(void **state)
{
	(void)state;
	assert_true(page_with(frozen_page(), 16 + 152 + 4, 0x00000001, page_is_taken));
	assert_false(page_with(frozen_page(), 16 + 152 + 4, 0x00010001, page_is_taken));	/* flags */
	assert_false(page_with(frozen_page(), 16 + 4, 0x00000001, page_is_taken));	/* a block without a place */
	assert_false(page_with(frozen_page(), 0, 0, page_is_taken));			/* magic */
	assert_false(page_with(frozen_dw(), 0, 0, dw_is_taken));
	assert_false(page_with(frozen_dw(), 4, HF_DISK_DW_PAGES_MAX + 1, dw_is_taken));	/* count */
	dw.no = 0;
	hf_disk_dw_encode(page, SALT, &dw);
	assert_false(dw_is_taken(page, NULL));
	fill();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_superblock_is_frozen),
		cmocka_unit_test(test_batch_head_is_frozen),
		cmocka_unit_test(test_entries_are_frozen),
		cmocka_unit_test(test_table_page_is_frozen),
		cmocka_unit_test(test_doublewrite_head_is_frozen),
		cmocka_unit_test(test_salt_and_stamps_are_frozen),
		cmocka_unit_test(test_superblock_of_a_newer_version_is_refused),
		cmocka_unit_test(test_superblock_with_an_unknown_read_only_feature_is_refused),
		cmocka_unit_test(test_superblock_that_contradicts_itself_is_refused),
		cmocka_unit_test(test_reserved_bytes_that_are_set_are_refused),
		cmocka_unit_test(test_reserved_bytes_of_pages_are_refused),
		cmocka_unit_test(test_pages_out_of_range_are_refused),
	};

	fill();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

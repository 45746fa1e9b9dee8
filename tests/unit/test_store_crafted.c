// SPDX-License-Identifier: MIT
/*
 * test_store_crafted - bytes that are not damaged but made up: every checksum fits, and they still must not write where
 * they like, nor overrun what memory was made for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/entry.h"
#include "format/disk.h"
#include "sim/leg_sim.h"

#define BLOCKS 1024u
#define LOG_BYTES (256u << 10)

static struct sim_world *w;
static struct leg_sim leg;
static struct hf_disk_super sb;		/* of the leg when it was closed */
static uint32_t salt;

static int begin(void **state)
{
	struct hf_leg_state s = { .promised = 1, .activated = 1, .ver = 7 };

	(void)state;
	w = sim_world_new(5, 1);
	sim_host_start(w, 0);
	leg_sim_init(&leg, w, 1, BLOCKS, LOG_BYTES);
	s.epochs.count = 1;
	s.epochs.at[0] = (struct hf_epoch_start){ 1, 1 };
	if (leg_sim_format(&leg) || leg_sim_open(&leg, &leg.params.id) || leg_sim_state(&leg, &s))
		return -1;
	salt = hf_disk_salt(&leg.params.id.leg);
	return 0;
}

static int end(void **state)
{
	(void)state;
	if (leg.s)
		leg_sim_close(&leg);
	leg.s = NULL;
	sim_world_free(w);
	return 0;
}

static void peek(uint64_t off, void *buf, size_t len)
{
	assert_true(sim_disk_peek(w, 0, LEG_SIM_PATH, off, buf, len, true));
}

static void poke(uint64_t off, const void *bytes, size_t len)
{
	uint8_t *old = malloc(len);

	peek(off, old, len);
	for (size_t i = 0; i < len; i++)
		for (uint32_t bit = 0; bit < 8; bit++)
			if ((old[i] ^ ((const uint8_t *)bytes)[i]) >> bit & 1)
				assert_true(sim_disk_flip(w, 0, LEG_SIM_PATH, off + i, bit));
	free(old);
}

/* Close, and read the newest superblock. */
static void closed(void)
{
	uint8_t page[HF_DISK_PAGE];
	struct hf_disk_super s;
	const char *why;

	leg_sim_close(&leg);
	leg.s = NULL;
	memset(&sb, 0, sizeof(sb));
	for (uint32_t slot = 0; slot < 2; slot++) {
		peek((uint64_t)slot * HF_DISK_PAGE, page, sizeof(page));
		if (hf_disk_super_decode(page, &s, &why) == 0 && s.generation > sb.generation)
			sb = s;
	}
	assert_true(sb.generation > 0);
}

/* A doublewrite that says that its page belongs over a superblock, or between two pages, or far away. */
static void test_a_doublewrite_writes_only_into_the_table_and_the_image(void **state)
{
	static const uint64_t offs[] = { 0, HF_DISK_PAGE, HF_DISK_LOG_OFF, UINT64_MAX - 4095 };
	static uint8_t slot[2 * HF_DISK_PAGE], before[64 << 10], after[64 << 10];
	(void)state;

	assert_int_equal(leg_sim_append(&leg, HF_OP_WRITE, 3, 1), 0);
	assert_int_equal(leg_sim_settle(&leg), 0);
	hf_store_commit(leg.s, 1);
	assert_int_equal(leg_sim_checkpoint(&leg), 0);
	for (uint32_t i = 0; i < 5; i++) {
		struct hf_disk_dw d = { .count = 1 };

		closed();
		d.no = sb.checkpoint.dw + 1;
		d.digest = sb.checkpoint.digest;
		d.off[0] = i < 4 ? offs[i] : sb.table_off + 512;
		memset(slot, 0, sizeof(slot));
		d.content_crc = hf_disk_dw_content(slot + HF_DISK_PAGE, 1);
		hf_disk_dw_encode(slot, salt, &d);
		poke(sb.dw_off + (d.no & 1) * (uint64_t)(sb.dw_pages + 1) * HF_DISK_PAGE, slot, sizeof(slot));
		peek(0, before, sizeof(before));
		assert_int_equal(leg_sim_open(&leg, &leg.params.id), 0);
		peek(0, after, sizeof(after));
		assert_memory_equal(before, after, sizeof(before));
	}
}

/* A batch of `count` entries, each of them no more than a head, as the next one of the log. */
static void plant(uint32_t count, uint8_t type, uint64_t lba, uint32_t nblocks)
{
	uint32_t size = HF_DISK_BATCH_HEAD + count * HF_DISK_ENTRY_HEAD, chain = 0;
	uint32_t sectors = (size + HF_DISK_SECTOR_DATA - 1) / HF_DISK_SECTOR_DATA;
	uint32_t pages = (sectors * HF_DISK_SECTOR + HF_DISK_PAGE - 1) / HF_DISK_PAGE;
	uint8_t *stream = calloc(pages + 1, HF_DISK_PAGE), *ring = calloc(pages, HF_DISK_PAGE);
	struct hf_disk_batch b = { .no = sb.checkpoint.batch, .stream_len = size, .pages = pages, .count = count };

	hf_disk_batch_encode(stream, salt, &b);
	for (uint32_t i = 0; i < count; i++) {
		struct hf_entry e = { .type = type, .epoch = 1, .seq = i + 1, .lba = lba, .nblocks = nblocks,
				      .prev_chain = chain, .ver = 9 };

		chain = e.chain = hf_entry_chain(chain, &e);
		hf_disk_entry_encode(stream + HF_DISK_BATCH_HEAD + i * HF_DISK_ENTRY_HEAD, salt, &e);
	}
	for (uint32_t i = 0; i < pages * (HF_DISK_PAGE / HF_DISK_SECTOR); i++) {
		hf_le64 stamp = hf_put_le64(hf_disk_stamp(salt, b.no, i));

		memcpy(ring + i * HF_DISK_SECTOR, stream + i * HF_DISK_SECTOR_DATA, HF_DISK_SECTOR_DATA);
		memcpy(ring + i * HF_DISK_SECTOR + HF_DISK_SECTOR_DATA, &stamp, 8);
	}
	poke(sb.log_off + sb.checkpoint.log_pos, ring, (size_t)pages * HF_DISK_PAGE);
	free(stream);
	free(ring);
}

static void test_a_log_of_more_entries_than_there_can_be_is_corrupt(void **state)
{
	struct hf_store_status st;
	(void)state;

	closed();
	plant(LOG_BYTES / 512 + 200, HF_OP_NOP, 0, 0);
	assert_int_equal(leg_sim_open(&leg, &leg.params.id), 0);
	hf_store_status(leg.s, &st);
	assert_true(st.suspect);
	assert_true(st.last_seq <= LOG_BYTES / 512);
}

static void test_a_log_that_touches_more_chunks_than_there_can_be_is_corrupt(void **state)
{
	struct hf_store_status st;
	(void)state;

	closed();
	plant(300, HF_OP_ZERO, 0, HF_ZERO_BLOCKS_MAX);
	assert_int_equal(leg_sim_open(&leg, &leg.params.id), 0);
	hf_store_status(leg.s, &st);
	assert_true(st.suspect);
	assert_true(st.last_seq > 0 && st.last_seq < 300);
}

/* Blocks whose numbers wrap around, the first one beyond the room of the leg, and a volume of no size. */
static void test_a_log_with_an_op_that_cannot_be_is_corrupt(void **state)
{
	static const struct {
		uint8_t type;
		uint64_t lba;
		uint32_t nblocks;
	} ops[] = {
		{ HF_OP_ZERO, UINT64_MAX, 2 },
		{ HF_OP_ZERO, 4 * BLOCKS - 1, 2 },
		{ HF_OP_RESIZE, 0, 0 },
	};
	struct hf_store_status st;
	(void)state;

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		closed();
		plant(1, ops[i].type, ops[i].lba, ops[i].nblocks);
		assert_int_equal(leg_sim_open(&leg, &leg.params.id), 0);
		hf_store_status(leg.s, &st);
		assert_true(st.suspect);
		assert_int_equal(st.last_seq, 0);
	}
}

static void open_again(void)
{
	leg_sim_close(&leg);
	assert_int_equal(leg_sim_open(&leg, &leg.params.id), 0);
}

/* An op beyond the end, by a primary that should know better: the leg takes it, and opens again. */
static void test_what_is_written_beyond_the_end_is_not_kept(void **state)
{
	struct hf_store_read rd;
	(void)state;

	assert_int_equal(leg_sim_append(&leg, HF_OP_WRITE, BLOCKS - 1, 2), 0);
	assert_int_equal(leg_sim_append(&leg, HF_OP_WRITE, 3 * BLOCKS, 2), 0);
	assert_int_equal(leg_sim_settle(&leg), 0);
	hf_store_commit(leg.s, 2);
	assert_int_equal(leg_sim_checkpoint(&leg), 0);
	open_again();
	assert_int_equal(leg_sim_append(&leg, HF_OP_RESIZE, 4 * BLOCKS, 0), 0);
	assert_int_equal(leg_sim_settle(&leg), 0);
	hf_store_commit(leg.s, 3);
	assert_int_equal(leg_sim_read(&leg, BLOCKS - 1, 2, &rd), 0);
	assert_true(leg_sim_is(&leg, &rd, BLOCKS - 1, 1, 1) && leg_sim_is(&leg, &rd, BLOCKS, 0, 0));
	assert_int_equal(leg_sim_read(&leg, 3 * BLOCKS, 1, &rd), 0);
	assert_true(leg_sim_is(&leg, &rd, 3 * BLOCKS, 0, 0));
}

/*
 * A batch is trimmed as a whole: one whose last op is not committed stays, and with it a write into what a RESIZE
 * behind it cut off. Recovery finds both again, and the size is the small one already.
 */
static void test_a_write_before_a_shrink_is_found_twice_and_harms_nothing(void **state)
{
	(void)state;

	assert_int_equal(leg_sim_append(&leg, HF_OP_WRITE, BLOCKS - 1, 1), 0);
	assert_int_equal(leg_sim_append(&leg, HF_OP_RESIZE, 100, 0), 0);
	assert_int_equal(leg_sim_append(&leg, HF_OP_WRITE, 3, 1), 0);
	assert_int_equal(leg_sim_settle(&leg), 0);
	hf_store_commit(leg.s, 2);
	assert_int_equal(leg_sim_checkpoint(&leg), 0);
	open_again();
	hf_store_commit(leg.s, 3);
	assert_int_equal(leg_sim_checkpoint(&leg), 0);
	open_again();
}

/* R15: the newest config version that an op told of, in the log, and when the log has been emptied. */
static void test_a_leg_remembers_the_config_that_ops_told_of(void **state)
{
	struct hf_leg_state s;
	struct hf_entry e;
	(void)state;

	leg_sim_next(&leg, &e, HF_OP_WRITE, 3, 1);
	e.ver = 9;
	assert_int_equal(leg_sim_put(&leg, &e), 0);
	assert_int_equal(leg_sim_settle(&leg), 0);
	leg_sim_close(&leg);
	assert_int_equal(leg_sim_open(&leg, &leg.params.id), 0);
	assert_int_equal(hf_store_state(leg.s)->ver, 9);
	hf_store_commit(leg.s, 1);
	assert_int_equal(leg_sim_checkpoint(&leg), 0);
	leg_sim_close(&leg);
	assert_int_equal(leg_sim_open(&leg, &leg.params.id), 0);
	assert_int_equal(hf_store_state(leg.s)->ver, 9);
	s = *hf_store_state(leg.s);
	s.ver = 8;				/* decided before the op came */
	assert_int_equal(leg_sim_state(&leg, &s), 0);
	leg_sim_close(&leg);
	assert_int_equal(leg_sim_open(&leg, &leg.params.id), 0);
	assert_int_equal(hf_store_state(leg.s)->ver, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_doublewrite_writes_only_into_the_table_and_the_image, begin,
						end),
		cmocka_unit_test_setup_teardown(test_a_log_of_more_entries_than_there_can_be_is_corrupt, begin, end),
		cmocka_unit_test_setup_teardown(test_a_log_that_touches_more_chunks_than_there_can_be_is_corrupt,
						begin, end),
		cmocka_unit_test_setup_teardown(test_a_log_with_an_op_that_cannot_be_is_corrupt, begin, end),
		cmocka_unit_test_setup_teardown(test_what_is_written_beyond_the_end_is_not_kept, begin, end),
		cmocka_unit_test_setup_teardown(test_a_write_before_a_shrink_is_found_twice_and_harms_nothing, begin,
						end),
		cmocka_unit_test_setup_teardown(test_a_leg_remembers_the_config_that_ops_told_of, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

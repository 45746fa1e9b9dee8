// SPDX-License-Identifier: MIT
/* test_store_basic - what store/store.h promises for one leg on a disk that does nothing wrong, or one thing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "format/disk.h"
#include "sim/leg_sim.h"

#define BLOCKS 1024u
#define LOG_BYTES (256u << 10)

static struct sim_world *w;
static struct leg_sim leg;
static struct hf_store_read rd;
static const uint8_t ks[] = { 1, 2, 8 };

static uint64_t seed;			/* 0: k */

static void begin(uint8_t k, uint32_t log_bytes)
{
	struct hf_leg_state state = { .promised = 1, .activated = 1 };

	w = sim_world_new(seed ? seed : k, 1);
	sim_host_start(w, 0);
	leg_sim_init(&leg, w, k, BLOCKS, log_bytes);
	assert_int_equal(leg_sim_format(&leg), 0);
	assert_int_equal(leg_sim_open(&leg, &leg.params.id), 0);
	state.epochs.count = 1;
	state.epochs.at[0] = (struct hf_epoch_start){ 1, 1 };
	assert_int_equal(leg_sim_state(&leg, &state), 0);
}

static void end(void)
{
	if (leg.s)
		leg_sim_close(&leg);
	leg.s = NULL;
	if (w)
		sim_world_free(w);
	w = NULL;
}

static int teardown(void **state)
{
	(void)state;
	leg.s = NULL;		/* of a test that failed: nothing can be said about it */
	end();
	return 0;
}

static void reopen(void)
{
	leg_sim_close(&leg);
	assert_int_equal(leg_sim_open(&leg, &leg.params.id), 0);
}

static struct hf_store_status status(void)
{
	struct hf_store_status st;

	hf_store_status(leg.s, &st);
	return st;
}

static void append(uint8_t type, uint64_t lba, uint32_t nblocks)
{
	assert_int_equal(leg_sim_append(&leg, type, lba, nblocks), 0);
}

static void commit_all(void)
{
	assert_int_equal(leg_sim_settle(&leg), 0);
	hf_store_commit(leg.s, leg.seq);
}

static void assert_block(uint64_t lba, hf_seq seq)
{
	assert_int_equal(leg_sim_read(&leg, lba, 1, &rd), 0);
	assert_true(leg_sim_is(&leg, &rd, lba, 1, seq));
}

/* Every op is read back from the log, from the image, and after both were opened again. */
static void test_what_is_committed_is_read_back(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < sizeof(ks); i++) {
		begin(ks[i], LOG_BYTES);
		append(HF_OP_WRITE, 3, 1);
		append(HF_OP_WRITE, 12, 40);	/* over three chunks */
		append(HF_OP_WRITE, 4, 1);
		append(HF_OP_ZERO, 20, 2);
		append(HF_OP_NOP, 0, 0);
		commit_all();
		for (uint32_t round = 0; round < 4; round++) {
			assert_block(2, 0);
			assert_block(3, 1);
			assert_block(4, 3);
			assert_int_equal(leg_sim_read(&leg, 12, 40, &rd), 0);
			for (uint64_t b = 12; b < 52; b++)
				assert_true(leg_sim_is(&leg, &rd, b, 1, b == 20 || b == 21 ? 0 : 2));
			assert_block(52, 0);
			if (round == 0)
				assert_int_equal(leg_sim_checkpoint(&leg), 0);
			else if (round == 1)
				reopen();
			else
				append(HF_OP_WRITE, 5, 1), commit_all(), leg_sim_checkpoint(&leg);
		}
		assert_int_equal(status().chunks_used, 4);
		assert_int_equal(status().log_used, 0);
		assert_int_equal(leg.failures, 0);
		end();
	}
}

static void test_entries_are_read_back_from_the_log(void **state)
{
	static uint8_t payload[HF_WRITE_BLOCKS_MAX * HF_BLOCK];
	static uint8_t want[HF_BLOCK] __attribute__((aligned(8)));
	hf_epoch epoch;
	uint32_t chain;

	(void)state;
	for (uint32_t i = 0; i < sizeof(ks); i++) {
		struct hf_entry made[20], e;

		begin(ks[i], LOG_BYTES);
		for (uint32_t n = 0; n < 20; n++) {
			leg_sim_next(&leg, &made[n], n % 5 == 4 ? HF_OP_ZERO : HF_OP_WRITE, n * 3, 1 + n % 3);
			assert_int_equal(leg_sim_put(&leg, &made[n]), 0);
			if (n % 4 == 0)
				assert_int_equal(leg_sim_settle(&leg), 0);
		}
		assert_int_equal(leg_sim_settle(&leg), 0);
		for (uint32_t n = 0; n < 20; n++) {
			memset(&e, 0, sizeof(e));
			assert_int_equal(hf_store_entry(leg.s, n + 1, &e, payload), 0);
			assert_memory_equal(&e, &made[n], offsetof(struct hf_entry, block_crc));
			assert_int_equal(hf_store_chain(leg.s, n + 1, &epoch, &chain), 0);
			assert_true(epoch == 1 && chain == made[n].chain);
			for (uint32_t b = 0; hf_entry_has_payload(&e) && b < e.nblocks; b++) {
				leg_sim_fill(&leg, 1, n + 1, e.lba + b, want);
				assert_memory_equal(payload + b * leg.frag, want, leg.frag);
			}
		}
		assert_int_equal(hf_store_entry(leg.s, 21, &e, NULL), -ENOENT);
		assert_int_equal(hf_store_chain(leg.s, 21, &epoch, &chain), -ENOENT);
		assert_int_equal(hf_store_chain(leg.s, 0, &epoch, &chain), 0);
		commit_all();
		assert_int_equal(leg_sim_checkpoint(&leg), 0);
		assert_int_equal(hf_store_entry(leg.s, 20, &e, NULL), -ENOENT);
		assert_int_equal(hf_store_chain(leg.s, 20, &epoch, &chain), 0);
		assert_true(epoch == 1 && chain == made[19].chain);
		end();
	}
}

/* H34 */
static void test_reads_see_only_what_is_committed(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < sizeof(ks); i++) {
		begin(ks[i], LOG_BYTES);
		append(HF_OP_WRITE, 7, 1);
		append(HF_OP_WRITE, 7, 1);
		append(HF_OP_ZERO, 7, 1);
		assert_int_equal(leg_sim_settle(&leg), 0);
		for (hf_seq seq = 0; seq <= 3; seq++) {
			hf_store_commit(leg.s, seq);
			assert_int_equal(hf_store_visible(leg.s), seq);
			assert_block(7, seq == 3 ? 0 : seq);
			assert_int_equal(leg_sim_checkpoint(&leg), 0);
			assert_int_equal(status().applied, seq);
			assert_block(7, seq == 3 ? 0 : seq);
		}
		/* Committed before it is durable: not to be seen yet. */
		append(HF_OP_WRITE, 7, 1);
		hf_store_commit(leg.s, 4);
		assert_int_equal(hf_store_visible(leg.s), 3);
		assert_int_equal(leg_sim_settle(&leg), 0);
		assert_int_equal(hf_store_visible(leg.s), 4);
		end();
	}
}

static void test_zeros_give_space_back(void **state)
{
	static uint8_t page[4096], before[4096];
	bool allocated;

	(void)state;
	for (uint32_t i = 0; i < sizeof(ks); i++) {
		uint32_t gone = 0, there = 0;
		uint64_t size, data;

		begin(ks[i], LOG_BYTES);
		for (uint32_t c = 0; c < 12; c++)
			append(HF_OP_WRITE, c * 16ull, 1);
		commit_all();
		assert_int_equal(leg_sim_checkpoint(&leg), 0);
		assert_int_equal(status().chunks_used, 12);
		assert_int_equal(hf_store_extent(leg.s, 0, 100, &allocated), 1);
		assert_true(allocated);
		assert_int_equal(hf_store_extent(leg.s, 1, 100, &allocated), 15);
		assert_false(allocated);
		append(HF_OP_ZERO, 0, 160);	/* ten of them */
		commit_all();
		assert_int_equal(hf_store_extent(leg.s, 0, 1024, &allocated), 160);
		assert_false(allocated);
		assert_int_equal(leg_sim_checkpoint(&leg), 0);
		assert_int_equal(status().chunks_used, 2);
		assert_true(sim_disk_size(w, 0, LEG_SIM_PATH, &size));
		data = size - 4 * BLOCKS * (uint64_t)leg.frag;
		for (uint32_t c = 0; c < 12; c++) {
			memset(before, 0, sizeof(before));
			assert_true(sim_disk_peek(w, 0, LEG_SIM_PATH, data + c * 16ull * leg.frag, page, 4096, false));
			gone += memcmp(page, before, 4096) == 0;
			there += memcmp(page, before, 4096) != 0;
		}
		assert_true(gone >= 4 && there >= 2);	/* a disk may ignore a discard */
		for (uint32_t c = 0; c < 12; c++)
			assert_block(c * 16ull, c < 10 ? 0 : c + 1);
		reopen();
		assert_int_equal(status().chunks_used, 2);
		append(HF_OP_WRITE, 512, 32);	/* what was freed is taken again */
		commit_all();
		assert_int_equal(leg_sim_checkpoint(&leg), 0);
		assert_int_equal(status().chunks_used, 4);
		assert_block(512, 14);
		assert_block(160, 11);
		end();
	}
}

/* H22: seqs of the last op of each chunk, by hand. */
static void assert_changed(hf_seq after, const uint64_t *want, uint32_t count)
{
	uint64_t cursor = 0, out[3];
	uint32_t n, at = 0;

	do {
		n = hf_store_changed(leg.s, after, &cursor, out, 3);
		for (uint32_t i = 0; i < n; i++) {
			assert_true(at < count);
			assert_int_equal(out[i], want[at++]);
		}
	} while (n == 3);
	assert_int_equal(at, count);
}

static void test_change_map_is_exact(void **state)
{
	static const uint64_t all[] = { 0, 1, 2, 5, 6, 40, 63 }, after_3[] = { 1, 5, 6, 63 }, after_5[] = { 1 };

	(void)state;
	begin(2, LOG_BYTES);
	append(HF_OP_WRITE, 0, 1);
	append(HF_OP_WRITE, 14, 20);
	append(HF_OP_WRITE, 640, 16);
	append(HF_OP_ZERO, 80, 32);
	append(HF_OP_WRITE, 1023, 1);
	append(HF_OP_WRITE, 31, 1);
	commit_all();
	for (uint32_t round = 0; round < 3; round++) {
		assert_changed(0, all, 7);
		assert_changed(3, after_3, 4);
		assert_changed(5, after_5, 1);
		assert_changed(6, NULL, 0);
		if (round == 0)
			assert_int_equal(leg_sim_checkpoint(&leg), 0);
		else
			reopen();
	}
	append(HF_OP_WRITE, 3, 1);
	assert_int_equal(leg_sim_settle(&leg), 0);
	assert_changed(6, NULL, 0);		/* not committed */
	end();
}

/* H23 */
static void test_resync_leaves_newer_blocks_alone(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < sizeof(ks); i++) {
		begin(ks[i], LOG_BYTES);
		append(HF_OP_WRITE, 0, 8);
		append(HF_OP_WRITE, 2, 1);
		append(HF_OP_WRITE, 5, 1);
		commit_all();
		assert_int_equal(leg_sim_resync(&leg, 2, 0, 8), 0);
		assert_int_equal(leg_sim_settle(&leg), 0);
		for (uint32_t round = 0; round < 3; round++) {
			assert_int_equal(leg_sim_read(&leg, 0, 8, &rd), 0);
			for (uint64_t b = 0; b < 8; b++)
				assert_true(leg_sim_is(&leg, &rd, b, b == 5 ? 1 : LEG_SIM_RESYNC, b == 5 ? 3 : 2));
			if (round == 0)
				assert_int_equal(leg_sim_checkpoint(&leg), 0);
			else
				reopen();
		}
		assert_int_equal(leg_sim_resync(&leg, 2, 0, 8), -ESTALE);
		end();
	}
}

static void test_growing_lasts_over_checkpoints(void **state)
{
	(void)state;
	begin(1, LOG_BYTES);
	append(HF_OP_RESIZE, 4 * BLOCKS, 0);
	append(HF_OP_WRITE, 4 * BLOCKS - 1, 1);
	assert_int_equal(leg_sim_settle(&leg), 0);
	assert_int_equal(status().size_blocks, BLOCKS);
	commit_all();
	assert_int_equal(status().size_blocks, 4 * BLOCKS);
	for (uint32_t round = 0; round < 3; round++) {
		assert_block(4 * BLOCKS - 1, 2);
		reopen();
		hf_store_commit(leg.s, leg.seq);
		assert_int_equal(status().size_blocks, 4 * BLOCKS);
		if (round == 1)
			assert_int_equal(leg_sim_checkpoint(&leg), 0);
	}
	end();
}

static void test_what_a_shrink_cut_off_is_zeros_when_it_grows_again(void **state)
{
	(void)state;
	for (uint32_t when = 0; when < 3; when++) {
		begin(2, LOG_BYTES);
		append(HF_OP_WRITE, 96, 16);
		append(HF_OP_WRITE, 900, 8);
		commit_all();
		if (when > 0)
			assert_int_equal(leg_sim_checkpoint(&leg), 0);
		append(HF_OP_RESIZE, 100, 0);
		commit_all();
		if (when > 1) {
			assert_int_equal(leg_sim_checkpoint(&leg), 0);
			reopen();
			assert_int_equal(status().chunks_used, 1);
		}
		append(HF_OP_RESIZE, BLOCKS, 0);
		commit_all();
		for (uint32_t round = 0; round < 3; round++) {
			assert_block(99, 1);
			assert_block(100, 0);
			assert_block(900, 0);
			if (round == 0)
				assert_int_equal(leg_sim_checkpoint(&leg), 0);
			else
				reopen();
		}
		end();
	}
}

/* A new epoch begins with `start`: what of older ones lies there or beyond is dead (H10). */
static struct hf_leg_state epoch_from(hf_seq start)
{
	struct hf_leg_state state = *hf_store_state(leg.s);

	leg.epoch++;
	state.promised = state.activated = leg.epoch;
	state.epochs.at[state.epochs.count++] = (struct hf_epoch_start){ leg.epoch, start };
	return state;
}

static void truncate_to(hf_seq seq)
{
	struct hf_store_status st;

	hf_store_truncate(leg.s, seq);
	st = status();
	assert_int_equal(st.last_seq, seq);
	leg.seq = seq;
	leg.chain = st.last_chain;
}

static void test_what_was_truncated_does_not_come_back(void **state)
{
	struct hf_leg_state s;
	struct hf_entry e;

	(void)state;
	begin(1, LOG_BYTES);
	append(HF_OP_WRITE, 0, 1);
	append(HF_OP_WRITE, 1, 1);
	append(HF_OP_WRITE, 2, 1);
	assert_int_equal(leg_sim_settle(&leg), 0);
	hf_store_commit(leg.s, 1);
	truncate_to(1);
	s = epoch_from(2);
	assert_int_equal(leg_sim_state(&leg, &s), 0);
	append(HF_OP_WRITE, 5, 1);
	assert_int_equal(leg_sim_settle(&leg), 0);
	for (uint32_t round = 0; round < 2; round++) {
		assert_int_equal(status().last_seq, 2);
		assert_int_equal(hf_store_entry(leg.s, 2, &e, NULL), 0);
		assert_int_equal(e.epoch, 2);
		assert_int_equal(hf_store_entry(leg.s, 3, &e, NULL), -ENOENT);
		assert_int_equal(hf_store_state(leg.s)->promised, 2);
		reopen();
	}
	commit_all();
	assert_int_equal(leg_sim_checkpoint(&leg), 0);
	assert_block(1, 0);
	assert_block(2, 0);
	assert_block(0, 1);
	assert_int_equal(leg_sim_read(&leg, 5, 1, &rd), 0);
	assert_true(leg_sim_is(&leg, &rd, 5, 2, 2));
	end();
}

/* What durable() told when the write that was under way during a truncate had ended. */
static uint64_t told_ticket;
static hf_seq told_seq;

static void remember(struct leg_sim *l)
{
	if (told_ticket == 0) {
		told_ticket = l->durable;
		told_seq = l->durable_seq;
	}
}

static void test_durable_names_no_seq_that_only_a_cut_entry_had(void **state)
{
	uint64_t first;

	(void)state;
	begin(1, LOG_BYTES);
	append(HF_OP_WRITE, 0, 1);
	append(HF_OP_WRITE, 1, 1);
	append(HF_OP_WRITE, 2, 1);
	first = leg.ticket;
	leg.told = remember;
	told_ticket = 0;
	sim_config(w, 0)->disk_sync = HF_SEC;
	while (sim_disk_at_risk(w, 0, LEG_SIM_PATH) == 0)
		leg_sim_steps(&leg, 1);
	truncate_to(1);
	leg.epoch = 2;
	append(HF_OP_WRITE, 5, 1);
	assert_int_equal(leg_sim_settle(&leg), 0);
	assert_int_equal(told_ticket, first);
	assert_int_equal(told_seq, 1);
	assert_int_equal(leg.durable_seq, 2);
	end();
}

static void test_reset_keeps_or_wipes_and_goes_on_after_its_base(void **state)
{
	(void)state;
	for (uint32_t wipe = 0; wipe < 2; wipe++) {
		struct hf_store_reset x = { .keep = 2, .base_epoch = 7, .base_seq = 50, .base_chain = 1234 };

		begin(8, LOG_BYTES);
		append(HF_OP_WRITE, 0, 1);
		append(HF_OP_WRITE, 17, 1);
		append(HF_OP_WRITE, 33, 1);
		hf_store_commit(leg.s, 1);
		x.size_blocks = 2 * BLOCKS;
		x.wipe = wipe;
		x.state = epoch_from(51);
		x.state.inconsistent = true;
		assert_int_equal(leg_sim_reset(&leg, &x), 0);
		for (uint32_t round = 0; round < 2; round++) {
			struct hf_store_status st = status();

			assert_true(st.last_epoch == 7 && st.last_seq == 50 && st.last_chain == 1234);
			assert_true(st.commit == 50 && st.applied == 50 && st.first_seq == 51);
			assert_int_equal(st.size_blocks, 2 * BLOCKS);
			assert_int_equal(st.chunks_used, wipe ? 0 : 2);
			assert_true(hf_store_state(leg.s)->inconsistent);
			assert_block(0, wipe ? 0 : 1);
			assert_block(17, wipe ? 0 : 2);
			assert_block(33, 0);
			reopen();
		}
		leg.epoch = 2;
		append(HF_OP_WRITE, 3, 1);
		commit_all();
		reopen();
		assert_int_equal(status().last_seq, 51);
		assert_int_equal(leg_sim_read(&leg, 3, 1, &rd), 0);
		assert_true(status().commit < 51 || leg_sim_is(&leg, &rd, 3, 2, 51));
		end();
	}
}

/* A suspect leg goes on behind what it has: what was not committed yet when it was reset counts, its size as well. */
static void test_reset_keeps_a_growth_that_was_not_committed(void **state)
{
	struct hf_store_reset x = { .keep = 2, .base_epoch = 1, .base_seq = 2 };
	(void)state;

	begin(1, LOG_BYTES);
	append(HF_OP_WRITE, 0, 1);
	append(HF_OP_RESIZE, 2 * BLOCKS, 0);
	hf_store_commit(leg.s, 1);
	assert_int_equal(status().size_blocks, BLOCKS);
	x.base_chain = leg.chain;
	x.state = epoch_from(3);
	assert_int_equal(leg_sim_reset(&leg, &x), 0);
	for (uint32_t round = 0; round < 2; round++) {
		assert_int_equal(status().size_blocks, 2 * BLOCKS);
		assert_int_equal(status().commit, 2);
		assert_block(0, 1);
		reopen();
	}
	end();
}

static void test_a_full_log_says_so_and_tells_when_there_is_room(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < sizeof(ks); i++) {
		uint64_t events;
		uint32_t n = 0;
		int err;

		begin(ks[i], 64u << 10);
		while ((err = leg_sim_append(&leg, HF_OP_WRITE, 8 * (n % 100), 1)) == 0)
			assert_true(++n < 1000);
		assert_int_equal(err, -EAGAIN);
		assert_false(hf_store_has_room(leg.s, HF_WRITE_BLOCKS_MAX, 4));
		assert_int_equal(leg_sim_settle(&leg), 0);
		/* Half of the first batch may be applied, and nothing trimmed: no reason to try again and again. */
		hf_store_commit(leg.s, 1);
		leg_sim_steps(&leg, 2000);
		events = sim_events(w);
		assert_int_equal(leg_sim_append(&leg, HF_OP_WRITE, 0, 1), -EAGAIN);
		leg_sim_steps(&leg, 20000);
		assert_true(sim_events(w) - events < 1000);
		leg.rooms = 0;
		hf_store_commit(leg.s, leg.seq);
		leg_sim_steps(&leg, 20000);
		assert_true(leg.rooms > 0);
		append(HF_OP_WRITE, 0, 4);
		/* And for ever: each lap of the ring is read back. */
		for (uint32_t lap = 0; lap < 300; lap++) {
			hf_store_commit(leg.s, leg.seq);
			if (leg_sim_append(&leg, HF_OP_WRITE, lap % 3 ? lap * 2 : 3, 1 + lap % 9)) {
				leg_sim_settle(&leg);
				hf_store_commit(leg.s, leg.seq);
				assert_int_equal(leg_sim_checkpoint(&leg), 0);
			}
			if (lap % 50 == 49) {
				leg_sim_settle(&leg);
				reopen();
				hf_store_commit(leg.s, leg.seq);
			}
		}
		assert_int_equal(leg_sim_settle(&leg), 0);
		assert_int_equal(leg.failures, 0);
		end();
	}
}

/* G3, H20 */
static void test_a_flipped_block_is_bad_and_never_wrong(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < sizeof(ks); i++) {
		uint32_t bad = 0;
		uint64_t size;

		begin(ks[i], LOG_BYTES);
		append(HF_OP_WRITE, 0, 16);
		commit_all();
		assert_int_equal(leg_sim_checkpoint(&leg), 0);
		assert_true(sim_disk_size(w, 0, LEG_SIM_PATH, &size));
		size -= 4 * BLOCKS * (uint64_t)leg.frag;	/* data begin there */
		assert_true(sim_disk_flip(w, 0, LEG_SIM_PATH, size + 5 * leg.frag + 77, 3));
		assert_int_equal(leg_sim_read(&leg, 0, 16, &rd), 0);
		for (uint64_t b = 0; b < 16; b++) {
			bad += rd.bad >> b & 1;
			assert_true((rd.bad >> b & 1) || leg_sim_is(&leg, &rd, b, 1, 1));
		}
		assert_int_equal(bad, 1);
		assert_true(rd.bad == 1u << 5);
		/* What the reader had in its buffer before, or the bad bytes, would go out on the wire. */
		for (uint32_t n = 0; n < leg.frag; n++)
			assert_int_equal(((const uint8_t *)rd.buf)[5 * leg.frag + n], 0);
		/* A neighbour in the same sector that is written anew does not make it good. */
		append(HF_OP_WRITE, 4, 1);
		commit_all();
		assert_int_equal(leg_sim_checkpoint(&leg), 0);
		assert_int_equal(leg_sim_read(&leg, 0, 16, &rd), 0);
		assert_true(rd.bad == 1u << 5);
		append(HF_OP_WRITE, 5, 1);
		commit_all();
		assert_int_equal(leg_sim_checkpoint(&leg), 0);
		assert_block(5, 3);
		end();
	}
}

static void test_another_or_a_damaged_leg_is_refused(void **state)
{
	struct hf_leg_identity other;
	uint64_t size, table;

	(void)state;
	begin(1, LOG_BYTES);
	append(HF_OP_WRITE, 0, 1);
	commit_all();
	assert_int_equal(leg_sim_checkpoint(&leg), 0);
	leg_sim_close(&leg);
	assert_int_equal(leg_sim_format(&leg), -EEXIST);
	other = leg.params.id;
	other.leg.b[3] ^= 1;
	assert_int_equal(leg_sim_open(&leg, &other), -ESTALE);
	other = leg.params.id;
	other.frag = 1;
	assert_int_equal(leg_sim_open(&leg, &other), -ESTALE);
	assert_int_equal(leg_sim_open(&leg, NULL), 0);
	leg_sim_close(&leg);
	/* The table begins where its pages end before the data. */
	assert_true(sim_disk_size(w, 0, LEG_SIM_PATH, &size));
	table = size - 4 * BLOCKS * 4096ull - (4 * BLOCKS / 16 + 25) / 26 * 4096ull;
	assert_true(sim_disk_flip(w, 0, LEG_SIM_PATH, table + 100, 1));
	assert_int_equal(leg_sim_open(&leg, NULL), -EBADMSG);
	assert_true(sim_disk_flip(w, 0, LEG_SIM_PATH, table + 100, 1));
	/* Any one superblock is enough; with the older one, what the newer one said is not known. */
	assert_true(sim_disk_flip(w, 0, LEG_SIM_PATH, 300, 1));
	assert_int_equal(leg_sim_open(&leg, NULL), 0);
	assert_block(0, 1);
	leg_sim_close(&leg);
	assert_true(sim_disk_flip(w, 0, LEG_SIM_PATH, 4096 + 300, 1));
	assert_int_equal(leg_sim_open(&leg, NULL), -EUCLEAN);
	assert_true(leg.why[0] != 0);
	assert_true(sim_disk_blank(w, 0, LEG_SIM_PATH));
	assert_int_equal(leg_sim_open(&leg, NULL), -EUCLEAN);
	assert_int_equal(hf_file_unlink(sim_host_reactor(w, 0), LEG_SIM_PATH), 0);
	assert_int_equal(leg_sim_open(&leg, NULL), -ENOENT);
	end();
}

/* The sectors that a cut keeps of what is under way. */
static uint8_t keep_sectors(void *ctx, uint32_t i)
{
	return (uint8_t)(*(uint32_t *)ctx >> 8 * i);
}

/* The leg as a cut leaves it that keeps the sectors `keep` of the log write under way. */
static void cut(uint32_t keep)
{
	struct sim_image *image;

	while (sim_disk_at_risk(w, 0, LEG_SIM_PATH) == 0)
		leg_sim_steps(&leg, 1);
	assert_int_equal(sim_disk_at_risk(w, 0, LEG_SIM_PATH), 2);
	image = sim_disk_cut(w, 0, LEG_SIM_PATH, keep_sectors, &keep);
	leg_sim_close(&leg);
	sim_disk_restore(w, image);
	sim_image_free(image);
	assert_int_equal(leg_sim_open(&leg, NULL), 0);
}

/* H3, H28: whichever sectors of an unfinished log write are there, nobody was told: torn, dropped, not suspect. */
static void test_an_unfinished_log_write_is_torn_and_not_suspect(void **state)
{
	(void)state;
	for (uint32_t mask = 0; mask < 1u << 9; mask++) {	/* a batch of one full block is nine sectors */
		struct hf_store_status st;

		begin(1, LOG_BYTES);
		append(HF_OP_WRITE, 0, 1);
		assert_int_equal(leg_sim_settle(&leg), 0);
		append(HF_OP_WRITE, 1, 1);
		cut(mask | 0xfe00);
		st = status();
		assert_false(st.suspect);
		assert_int_equal(st.last_seq, mask == 0x1ff ? 2 : 1);
		if (mask == 0x1ff)
			assert_false(st.torn);
		else if (mask)
			assert_true(st.torn);
		/* Its number is used again: what is left of both must not pass for one. */
		append(HF_OP_WRITE, 8, 1);
		cut((~mask & 0x1ff) | 0xfe00);
		assert_false(status().suspect);
		append(HF_OP_WRITE, 9, 1);
		commit_all();
		reopen();
		assert_false(status().torn || status().suspect);
		assert_int_equal(status().last_seq, mask == 0x1ff || mask == 0 ? 3 : 2);
		end();
	}
}

/* H3: any bit of the last batch. It had been told as durable. */
static void test_a_flipped_bit_in_the_last_batch_is_suspect_and_not_torn(void **state)
{
	(void)state;
	for (uint32_t bit = 0; bit < 9 * 512 * 8; bit += 97) {
		struct hf_store_reset x = { .base_epoch = 1, .base_seq = 1 };
		struct hf_store_status st;

		begin(1, LOG_BYTES);
		append(HF_OP_WRITE, 0, 1);
		assert_int_equal(leg_sim_settle(&leg), 0);
		x.base_chain = leg.chain;
		append(HF_OP_WRITE, 1, 1);
		assert_int_equal(leg_sim_settle(&leg), 0);
		leg_sim_close(&leg);
		assert_true(sim_disk_flip(w, 0, LEG_SIM_PATH, 65536 + 8192 + bit / 8, bit % 8));
		assert_int_equal(leg_sim_open(&leg, NULL), 0);
		st = status();
		if (st.last_seq == 2) {		/* behind the last entry: nothing is lost */
			assert_true(bit / 8 > 8 * 512 + 200);
			end();
			continue;
		}
		assert_int_equal(st.last_seq, 1);
		/* The number of an older batch, by one bit, is all that can look like a sector not yet written. */
		assert_true(st.suspect || (st.torn && bit / 8 % 512 >= 508));
		/* A reset ends it for good. */
		x.keep = 1;
		x.size_blocks = BLOCKS;
		x.state = *hf_store_state(leg.s);
		assert_int_equal(leg_sim_reset(&leg, &x), 0);
		append(HF_OP_WRITE, 2, 1);
		commit_all();
		reopen();
		st = status();
		assert_true(!st.suspect && !st.torn && st.last_seq == 2);
		assert_block(0, 1);
		end();
	}
}

/* LeakSanitizer, where it is linked in, looks away meanwhile. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* What a killed process left on its way is told by the next one only if a power cut cannot take it any more. */
static void test_what_a_killed_process_left_is_durable_once_it_is_told(void **state)
{
	uint32_t left = 0;
	(void)state;

	for (uint32_t steps = 0; steps < 60; steps++) {
		hf_seq durable;

		seed = 1 + steps;
		if (__lsan_disable)
			__lsan_disable();	/* what the killed process had is nobody's (sim.h) */
		begin(1, LOG_BYTES);
		append(HF_OP_WRITE, 3, 1);
		commit_all();
		append(HF_OP_WRITE, 5, 8);
		leg_sim_steps(&leg, steps % 6);
		durable = leg.durable_seq;
		sim_host_kill(w, 0, SIM_KILL_PROCESS);
		if (__lsan_enable)
			__lsan_enable();
		sim_host_start(w, 0);
		assert_int_equal(leg_sim_open(&leg, &leg.params.id), 0);
		left += status().last_seq > durable;
		assert_int_equal(sim_disk_at_risk(w, 0, LEG_SIM_PATH), 0);
		end();
	}
	seed = 0;
	assert_true(left > 0);
}

/* H3: a misplaced write on the only page of the last batch takes all of its stamps: that is no clean end. */
static void test_an_overwritten_last_batch_is_suspect(void **state)
{
	struct hf_store_reset x = { .base_epoch = 1, .base_seq = 1, .keep = 1, .size_blocks = BLOCKS };
	(void)state;

	begin(1, LOG_BYTES);
	append(HF_OP_WRITE, 0, 1);
	assert_int_equal(leg_sim_settle(&leg), 0);
	x.base_chain = leg.chain;
	append(HF_OP_ZERO, 1, 1);		/* a batch of one page */
	assert_int_equal(leg_sim_settle(&leg), 0);
	leg_sim_close(&leg);
	for (uint32_t i = 0; i < 8; i++)	/* the high byte of each stamp's lower half */
		assert_true(sim_disk_flip(w, 0, LEG_SIM_PATH, 65536 + 8192 + i * 512 + 504 + 3, 7));
	assert_int_equal(leg_sim_open(&leg, NULL), 0);
	assert_int_equal(status().last_seq, 1);
	assert_true(status().suspect);
	x.state = *hf_store_state(leg.s);
	assert_int_equal(leg_sim_reset(&leg, &x), 0);
	append(HF_OP_WRITE, 2, 1);
	commit_all();
	reopen();
	assert_true(!status().suspect && !status().torn && status().last_seq == 2);
	assert_block(0, 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_what_is_committed_is_read_back, teardown),
		cmocka_unit_test_teardown(test_entries_are_read_back_from_the_log, teardown),
		cmocka_unit_test_teardown(test_reads_see_only_what_is_committed, teardown),
		cmocka_unit_test_teardown(test_zeros_give_space_back, teardown),
		cmocka_unit_test_teardown(test_change_map_is_exact, teardown),
		cmocka_unit_test_teardown(test_resync_leaves_newer_blocks_alone, teardown),
		cmocka_unit_test_teardown(test_growing_lasts_over_checkpoints, teardown),
		cmocka_unit_test_teardown(test_what_a_shrink_cut_off_is_zeros_when_it_grows_again, teardown),
		cmocka_unit_test_teardown(test_what_was_truncated_does_not_come_back, teardown),
		cmocka_unit_test_teardown(test_durable_names_no_seq_that_only_a_cut_entry_had, teardown),
		cmocka_unit_test_teardown(test_reset_keeps_or_wipes_and_goes_on_after_its_base, teardown),
		cmocka_unit_test_teardown(test_reset_keeps_a_growth_that_was_not_committed, teardown),
		cmocka_unit_test_teardown(test_a_full_log_says_so_and_tells_when_there_is_room, teardown),
		cmocka_unit_test_teardown(test_a_flipped_block_is_bad_and_never_wrong, teardown),
		cmocka_unit_test_teardown(test_another_or_a_damaged_leg_is_refused, teardown),
		cmocka_unit_test_teardown(test_an_unfinished_log_write_is_torn_and_not_suspect, teardown),
		cmocka_unit_test_teardown(test_a_flipped_bit_in_the_last_batch_is_suspect_and_not_torn, teardown),
		cmocka_unit_test_teardown(test_what_a_killed_process_left_is_durable_once_it_is_told, teardown),
		cmocka_unit_test_teardown(test_an_overwritten_last_batch_is_suspect, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

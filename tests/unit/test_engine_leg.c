// SPDX-License-Identifier: MIT
/*
 * Needs: libhf_engine, libhf_store, libhf_sim. A leg as its primaries see it: frames in, answers out; and what a power
 * cut leaves at the moment when an answer arrives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "core/entry.h"
#include "engine/leg_run.h"
#include "sim/leg_sim.h"

#define BLOCKS 1024u
#define LOG_BYTES (1u << 20)

/* One who is, or was, primary: a connection to the leg's host. */
struct primary {
	struct hf_conn mine, its;
	struct hf_promise promise;
	struct hf_adopted adopted;
	struct hf_ack ack;		/* the newest of each */
	uint32_t came[HF_WIRE_TYPE_MAX + 1], heard[HF_WIRE_TYPE_MAX + 1];
};

static struct leg_sim disk, after;	/* the leg's disk, and what a power cut would leave of it */
static struct sim_image *left;
static uint8_t cut_at;			/* wire type of the answer at which power is lost; 0: never */
static hf_seq cut_durable;		/* an ACK: the first that says this much */
static struct hf_host host;
static struct hf_leg_run run;
static struct primary old, new;
static bool is_open, is_closed;

static uint8_t drop(void *ctx, uint32_t i)
{
	(void)ctx;
	(void)i;
	return 0;
}

static void on_request(struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta, const uint8_t *data)
{
	hf_leg_run_frame(&run, c, h, meta, data);
}

static void on_answer(struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta, const uint8_t *data)
{
	struct primary *p = c->ctx;

	(void)data;
	p->came[h->type]++;
	if (h->type == HF_WIRE_PROMISE)
		assert_int_equal(hf_wire_promise_decode(meta, h->meta_len, &p->promise), 0);
	if (h->type == HF_WIRE_ADOPTED)
		assert_int_equal(hf_wire_adopted_decode(meta, h->meta_len, &p->adopted), 0);
	if (h->type == HF_WIRE_ACK)
		assert_int_equal(hf_wire_ack_decode(meta, h->meta_len, &p->ack), 0);
	if (h->type != cut_at || (left && (h->type != HF_WIRE_ACK || p->ack.durable <= cut_durable)))
		return;
	cut_durable = p->ack.durable;
	sim_image_free(left);
	left = sim_disk_cut(disk.w, 0, LEG_SIM_PATH, drop, NULL);
}

static void on_room(struct hf_conn *c)
{
	hf_leg_run_conn_room(&host, c);
}

static void on_conn_closed(struct hf_conn *c, const char *why)
{
	(void)c;
	(void)why;
}

static const struct hf_conn_events from_primary = { on_request, on_room, on_conn_closed },
				   from_leg = { on_answer, on_room, on_conn_closed };

static void on_opened(void *ctx, struct hf_store *s, int err, const char *why)
{
	(void)ctx;
	(void)why;
	hf_assert(err == 0);
	disk.s = s;
	is_open = true;
}

static void on_closed(void *ctx)
{
	*(bool *)ctx = true;
}

static void connect_primary(struct primary *p)
{
	memset(p, 0, sizeof(*p));
	assert_int_equal(hf_conn_start_pair(&p->mine, &p->its, host.r, &from_leg, p, &from_primary, p), 0);
}

static void begin(uint64_t seed)
{
	leg_sim_init(&disk, sim_world_new(seed, 1), 1, BLOCKS, LOG_BYTES);
	leg_sim_init(&after, sim_world_new(seed + 1, 1), 1, BLOCKS, LOG_BYTES);
	memset(&host, 0, sizeof(host));
	memset(&run, 0, sizeof(run));
	host.r = sim_host_start(disk.w, 0);
	sim_host_start(after.w, 0);
	for (uint32_t b = 0; b < HF_HOST_BUCKETS; b++)
		hf_list_init(&host.legs[b]);
	assert_int_equal(leg_sim_format(&disk), 0);
	is_open = false;
	hf_store_open(host.r, LEG_SIM_PATH, NULL, &hf_leg_run_store_events, &run, on_opened);
	assert_true(leg_sim_wait(&disk, &is_open));
	hf_leg_run_init(&run, &host, disk.s, NULL, NULL);
	hf_host_add_leg(&host, &run);
	connect_primary(&old);
	connect_primary(&new);
	cut_at = 0;
	left = NULL;
}

static void end(void)
{
	hf_leg_run_fini(&run);
	is_closed = false;
	hf_store_close(disk.s, on_closed, &is_closed);
	assert_true(leg_sim_wait(&disk, &is_closed));
	for (int i = 0; i < 2; i++) {
		struct primary *p = i ? &new : &old;

		hf_conn_fini(&p->mine);
		hf_conn_fini(&p->its);
	}
	sim_image_free(left);
	sim_world_free(disk.w);
	sim_world_free(after.w);
}

static void send(struct primary *p, const struct hf_wire_header *h)
{
	hf_conn_commit(&p->mine, h);
	sim_host_wake(disk.w, 0);
}

static void prepare(struct primary *p, hf_epoch epoch)
{
	struct hf_wire_header h = { .type = HF_WIRE_PREPARE, .epoch = epoch };
	struct hf_prepare m = { .epoch = epoch, .incarnation.b[0] = (uint8_t)epoch, .ver = epoch };

	h.meta_len = hf_wire_prepare_encode(hf_conn_reserve(&p->mine, 256, 0, true), &m);
	send(p, &h);
}

static void adopt(struct primary *p, hf_epoch epoch, uint8_t mode, hf_seq base)
{
	struct hf_wire_header h = { .type = HF_WIRE_ADOPT, .epoch = epoch };
	struct hf_adopt m = { .epoch = epoch, .mode = mode, .ver = epoch, .base = base, .size_blocks = BLOCKS };

	if (base) {
		hf_epoch_cache_add(&m.epochs, 1, 1);
		m.base_epoch = 1;
	}
	hf_epoch_cache_add(&m.epochs, epoch, base + 1);
	h.meta_len = hf_wire_adopt_encode(hf_conn_reserve(&p->mine, 2048, 0, true), &m);
	send(p, &h);
}

/* An op, or a copied block as of `seq`; `commit` rides along. nblocks 0: no entry at all. */
static void append(struct primary *p, uint8_t type, hf_epoch epoch, hf_seq seq, uint32_t nblocks, hf_seq commit)
{
	struct hf_wire_header h = { .type = HF_WIRE_APPEND, .epoch = epoch, .commit = commit, .count = nblocks > 0 };
	uint8_t *meta = hf_conn_reserve(&p->mine, 4096, nblocks * HF_BLOCK, true);
	struct hf_entry e;

	disk.epoch = epoch;
	disk.seq = seq - 1;
	leg_sim_next(&disk, &e, type, 3, nblocks);
	if (nblocks)
		h.meta_len = hf_wire_entry_encode(meta, &e);
	h.data_len = nblocks * HF_BLOCK;
	for (uint32_t b = 0; b < nblocks; b++)
		leg_sim_fill(&disk, e.epoch, e.seq, e.lba + b, meta + h.meta_len + (size_t)b * HF_BLOCK);
	if (nblocks && type != HF_OP_RESYNC)
		disk.chain = e.chain;
	send(p, &h);
}

/* The next answer of that type. */
static void hear(struct primary *p, uint8_t type)
{
	for (uint32_t n = 0; n < 20000 && p->came[type] == p->heard[type]; n++)
		hf_assert(sim_step(disk.w));
	assert_true(p->came[type] > p->heard[type]);
	p->heard[type] = p->came[type];
}

/* Epoch 1 of `old`: promised, adopted, nothing in the log. */
static void reign(void)
{
	prepare(&old, 1);
	hear(&old, HF_WIRE_PROMISE);
	adopt(&old, 1, HF_ADOPT_LOG, 0);
	hear(&old, HF_WIRE_ADOPTED);
	assert_true(old.adopted.active);
}

/* The leg as it is when power was lost at the answer that `cut_at` names. */
static const struct hf_leg_state *after_cut(struct hf_store_status *st)
{
	assert_non_null(left);
	sim_disk_restore(after.w, left);
	assert_int_equal(leg_sim_open(&after, NULL), 0);
	hf_store_status(after.s, st);
	return hf_store_state(after.s);
}

static void test_leg_has_a_promise_durable_before_it_answers(void **state)
{
	struct hf_store_status st;
	(void)state;

	begin(1);
	cut_at = HF_WIRE_PROMISE;
	prepare(&old, 7);
	hear(&old, HF_WIRE_PROMISE);
	assert_int_equal(old.promise.promised, 7);
	assert_int_equal(after_cut(&st)->promised, 7);		/* guard PROMISE (H12) */
	leg_sim_close(&after);
	end();
}

static void test_leg_has_what_it_adopted_durable_before_it_answers(void **state)
{
	struct hf_store_status st;
	(void)state;

	begin(2);
	cut_at = HF_WIRE_ADOPTED;
	reign();
	assert_int_equal(after_cut(&st)->activated, 1);		/* guard ADOPT */
	leg_sim_close(&after);
	end();
}

/* The second op comes while the log write of the first is under way, at any moment of it. */
static void test_leg_acknowledges_what_is_durable(void **state)
{
	(void)state;
	for (uint32_t steps = 0; steps < 30; steps++) {
		struct hf_store_status st;

		begin(10 + steps);
		reign();
		cut_at = HF_WIRE_ACK;
		append(&old, HF_OP_WRITE, 1, 1, 4, 0);
		leg_sim_steps(&disk, steps);
		append(&old, HF_OP_WRITE, 1, 2, 4, 0);
		while (old.ack.durable < 2)
			hear(&old, HF_WIRE_ACK);
		after_cut(&st);
		assert_true(st.last_seq >= old.ack.durable);	/* guard DURABLE (H16) */
		leg_sim_close(&after);
		end();
	}
}

/* Asked again, as by a primary that lost its connection, while an op is on its way to the disk. */
static void test_leg_promises_with_its_log_durable(void **state)
{
	(void)state;
	for (uint32_t steps = 0; steps < 10; steps++) {
		struct hf_store_status st;

		begin(100 + steps);
		reign();
		cut_at = HF_WIRE_PROMISE;
		append(&old, HF_OP_WRITE, 1, 1, 8, 0);
		leg_sim_steps(&disk, steps);
		prepare(&old, 1);
		hear(&old, HF_WIRE_PROMISE);
		after_cut(&st);
		assert_true(st.last_seq >= old.promise.last);	/* guard PROMISE_LOG */
		leg_sim_close(&after);
		end();
	}
}

static void test_leg_takes_nothing_of_an_old_primary(void **state)
{
	(void)state;
	begin(3);
	reign();
	prepare(&new, 2);
	hear(&new, HF_WIRE_PROMISE);
	append(&old, HF_OP_WRITE, 1, 1, 1, 0);
	hear(&old, HF_WIRE_ACK);
	assert_int_equal(old.ack.result, HF_LEG_STALE);		/* guard FENCE */
	assert_int_equal(run.core.last, 0);
	end();
}

/* A copied block behind an op that is not committed cannot be read yet: it does not count. */
static void test_leg_counts_a_copied_block_when_it_can_be_read(void **state)
{
	(void)state;
	begin(4);
	prepare(&old, 2);
	hear(&old, HF_WIRE_PROMISE);
	adopt(&old, 2, HF_ADOPT_RESYNC, 5);
	hear(&old, HF_WIRE_ADOPTED);
	append(&old, HF_OP_WRITE, 2, 6, 1, 5);
	hear(&old, HF_WIRE_ACK);
	append(&old, HF_OP_RESYNC, 2, 5, 1, 5);
	hear(&old, HF_WIRE_ACK);
	leg_sim_steps(&disk, 200);
	assert_int_equal(old.ack.resync_done, 0);		/* guard COPIED (H23) */
	append(&old, HF_OP_WRITE, 2, 7, 0, 6);
	hear(&old, HF_WIRE_ACK);
	assert_int_equal(old.ack.resync_done, 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leg_has_a_promise_durable_before_it_answers),
		cmocka_unit_test(test_leg_has_what_it_adopted_durable_before_it_answers),
		cmocka_unit_test(test_leg_acknowledges_what_is_durable),
		cmocka_unit_test(test_leg_promises_with_its_log_durable),
		cmocka_unit_test(test_leg_takes_nothing_of_an_old_primary),
		cmocka_unit_test(test_leg_counts_a_copied_block_when_it_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

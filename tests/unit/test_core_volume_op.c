// SPDX-License-Identifier: MIT
/*
 * Needs: libhf_core. The window of ops of a primary at its limits, what may be read, and what the cluster store says to
 * a primary that did not expect it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/core_rig.h"

static struct rig *r;

static int down(void **state)
{
	(void)state;
	rig_free(r);
	r = NULL;
	return 0;
}

static void feed_op(uint8_t type, uint64_t lba)
{
	struct hf_entry entry = { .type = type, .lba = lba };
	struct hf_event e = { .kind = HF_EV_OP, .entry = &entry };

	rig_feed(r, &e);
}

static void feed_ack(uint32_t leg, hf_seq durable)
{
	struct hf_ack ack = { .epoch = r->v->epoch, .durable = durable };
	struct hf_event e = { .kind = HF_EV_ACKED, .leg = leg, .gen = r->v->leg[leg].gen, .ack = &ack };

	rig_feed(r, &e);
}

static void feed_record(int result, const struct hf_record *record, uint64_t ver)
{
	struct hf_event e = { .kind = HF_EV_RECORD, .result = result, .record = record, .ver = ver };

	rig_feed(r, &e);
}

static void test_a_full_window_admits_no_op_of_a_client(void **state)
{
	hf_seq n = 0;
	(void)state;

	r = rig_serving(1, 1, false, 1);
	r->leg[0].up = r->leg[1].up = false;	/* they keep silent */
	while (rig_write(r, 7))
		n++;
	assert_in_range(n, HF_WINDOW / 2, HF_WINDOW - 1);	/* what is left is for barriers */
	assert_false(hf_volume_can_admit(r->v));
	feed_ack(0, 2);
	feed_ack(1, 2);
	assert_int_equal(r->v->base, 3);
	assert_int_equal(rig_write(r, 7), n + 1);
	assert_null(hf_volume_entry(r->v, 2));
	assert_int_equal(hf_volume_entry(r->v, 3)->seq, 3);
	assert_null(hf_volume_entry(r->v, n + 2));
	rig_primary(r, 0, false);
	assert_false(hf_volume_can_admit(r->v));	/* not before it serves */
	assert_false(hf_volume_may_answer_read(r->v, r->now));
}

/* No room for the barrier that tells who was taken out (H26): then nothing may be acknowledged by this primary. */
static void test_a_primary_stops_when_a_barrier_finds_no_room(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 0);
	r->leg[0].up = r->leg[1].up = false;
	rig_down(r, 2);
	for (hf_seq s = 1; s <= HF_WINDOW; s++)
		feed_op(HF_OP_NOP, 0);
	rig_tick(r, 400 * HF_MS);
	assert_true(r->cas_asked);
	rig_cas(r, 0);
	assert_false(r->record.leg[2].insync);
	assert_int_equal(r->v->phase, HF_PHASE_STOPPED);
	assert_int_equal(r->acked, 0);
	assert_non_null(strstr(r->v->stop_why, "promote the volume again"));
}

/* A leg outside of the set must not hold back the window for ever. */
static void test_a_leg_that_cannot_follow_starts_over(void **state)
{
	(void)state;
	for (int resync = 0; resync < 2; resync++) {
		hf_seq s = 0;

		r = rig_serving(1, 2, false, 0);
		rig_write(r, 7);
		rig_settle(r);
		rig_down(r, 2);
		rig_run(r, 6 * HF_SEC);
		assert_false(r->record.leg[2].insync);
		r->leg[2].core.state.inconsistent = resync;
		rig_up(r, 2);
		rig_serve(r, 2);		/* promises; ADOPT waits */
		r->leg[0].up = r->leg[1].up = false;
		rig_write(r, 7);
		r->leg[0].up = r->leg[1].up = true;
		rig_serve(r, 2);		/* adopts */
		assert_int_equal(r->v->leg[2].state, HF_VLEG_STREAMING);
		r->leg[0].up = r->leg[1].up = r->leg[2].up = false;
		while (r->v->leg[2].state == HF_VLEG_STREAMING && (s = rig_write(r, 7))) {
			if (s % 2)
				continue;
			feed_ack(0, s);
			feed_ack(1, s);
			assert_int_equal(r->v->committed, s);
			rig_turn(r);
		}
		assert_int_equal(r->v->leg[2].state, HF_VLEG_UP);
		assert_true(s > HF_WINDOW / 2 && s < HF_WINDOW);
		assert_int_equal(r->count[HF_ACT_RESYNC_STOP], resync);
		assert_int_equal(r->v->base, r->v->committed + 1);
		assert_non_null(strstr(r->v->leg[2].why, "could not follow"));
		rig_free(r);
	}
	r = rig_serving(1, 1, false, 0);
}

static void test_a_leg_gets_one_frame_at_a_time(void **state)
{
	uint32_t appends;
	(void)state;

	r = rig_serving(1, 1, false, 1);
	rig_write(r, 7);
	hf_volume_sent(r->v, 1, 1, r->now);	/* the frame is on its way */
	appends = r->count[HF_ACT_APPEND];
	r->leg[0].up = false;
	feed_op(HF_OP_NOP, 0);
	rig_turn(r);
	assert_int_equal(r->last[HF_ACT_APPEND].leg, 0);
	assert_int_equal(r->count[HF_ACT_APPEND], appends + 1);
	hf_volume_send_done(r->v, 1);
	rig_turn(r);
	assert_int_equal(r->last[HF_ACT_APPEND].leg, 1);
	assert_int_equal(r->last[HF_ACT_APPEND].from, 2);
}

/* The size that a leg tells is as of the decision; a RESIZE may have been committed since. */
static void test_a_size_that_comes_late_does_not_undo_a_resize(void **state)
{
	(void)state;
	r = rig_serving(1, 1, false, 1);
	r->v->size_blocks = 0;
	rig_write(r, 7);
	feed_op(HF_OP_RESIZE, 4096);
	rig_turn(r);
	feed_ack(0, 2);
	feed_ack(1, 1);				/* op 1 is committed, and the resize is not */
	assert_int_equal(r->v->committed, 1);
	assert_int_equal(r->v->size_blocks, 0);
	feed_ack(1, 2);
	assert_int_equal(r->v->size_blocks, 4096);
	hf_volume_sized(r->v, 1024);
	assert_int_equal(r->v->size_blocks, 4096);
}

/* All have adopted, and one has not acknowledged yet what it got for that: reads must not miss it (R10). */
static void test_a_volume_opens_after_the_acknowledgement_of_what_was_decided(void **state)
{
	struct hf_adopted m = { .active = true, .last = 1 };
	struct hf_event adopted = { .kind = HF_EV_ADOPTED, .leg = 1, .adopted = &m };
	(void)state;

	r = rig_serving(1, 1, false, 0);
	rig_write(r, 7);
	rig_serve(r, 0);			/* leg 1 lacks op 1 */
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	for (int i = 0; i < 2; i++) {
		rig_serve(r, 0);
		rig_serve(r, 1);
	}
	assert_int_equal(r->v->leg[1].state, HF_VLEG_STREAMING);
	m.epoch = r->v->epoch;
	adopted.gen = r->v->leg[1].gen;
	rig_feed(r, &adopted);			/* overtakes the acknowledgement of op 1 */
	rig_cas(r, 0);
	rig_tick(r, 3 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_false(r->v->open);
	assert_int_equal(r->v->committed, 0);
	feed_ack(1, 1);
	assert_true(r->v->open);
	assert_int_equal(r->v->committed, 1);
}

static void test_a_member_that_lost_something_is_not_read_from(void **state)
{
	(void)state;
	r = rig_serving(2, 1, true, 0);
	assert_int_equal(hf_volume_read_plan(r->v, 0), HF_LEG_BIT(0));
	assert_int_equal(hf_volume_read_plan(r->v, HF_LEG_BIT(0)), HF_LEG_BIT(1) | HF_LEG_BIT(2));
	r->v->leg[0].lost = true;
	assert_false(hf_volume_is_readable(r->v, 0));
	assert_int_equal(hf_volume_read_plan(r->v, 0), HF_LEG_BIT(1) | HF_LEG_BIT(2));
	rig_down(r, 1);
	rig_down(r, 2);
	assert_int_equal(hf_volume_read_plan(r->v, 0), 0);
}

static void test_a_deleted_volume_is_served_no_more(void **state)
{
	(void)state;
	r = rig_serving(1, 1, false, 0);
	feed_record(-ENOENT, NULL, 0);
	assert_int_equal(r->v->phase, HF_PHASE_STOPPED);
	assert_string_equal(r->v->stop_why, "the volume was deleted");
	rig_turn(r);
	rig_write(r, 7);
	assert_int_equal(r->count[HF_ACT_APPEND], 0);
}

static void test_a_change_that_others_made_is_taken_once(void **state)
{
	struct hf_record other;
	(void)state;

	r = rig_serving(1, 1, false, 0);
	other = r->record;
	other.min_tolerance = 1;
	feed_record(0, &other, r->ver + 1);
	assert_int_equal(r->v->record.min_tolerance, 1);
	assert_int_equal(r->v->ver, r->ver + 1);
	other.min_tolerance = 0;
	feed_record(0, &other, r->ver);		/* read before it was changed */
	assert_int_equal(r->v->record.min_tolerance, 1);
}

static void test_answers_of_the_store_that_nobody_waits_for_change_nothing(void **state)
{
	struct hf_event done = { .kind = HF_EV_CAS_DONE, .ver = 99 };
	struct hf_actions out = { 0 };
	struct hf_record other;
	(void)state;

	r = rig_serving(1, 1, false, 0);
	other = r->record;
	other.epoch = 77;
	rig_feed(r, &done);
	assert_int_equal(r->v->ver, r->ver);
	feed_record(-ETIMEDOUT, NULL, 0);	/* after news by a watch: nothing depends on it */
	assert_int_equal(r->v->ask_at, 0);
	hf_volume_init(r->v, "host0", 2 * HF_SEC);
	done = (struct hf_event){ .kind = HF_EV_RECORD, .record = &other, .ver = 9 };
	hf_volume_step(r->v, &done, &out);	/* before it was told to begin */
	assert_int_equal(r->v->phase, HF_PHASE_IDLE);
	assert_int_equal(out.count, 0);
}

static void test_a_claim_without_an_order_yields_to_one_that_was_first(void **state)
{
	struct hf_record now;
	struct hf_event tick = { .kind = HF_EV_TICK };
	(void)state;

	r = rig_serving(1, 1, false, 0);
	rig_primary(r, 1, false);
	r->v->forced = false;			/* it found itself in the record, nobody asked for it */
	rig_feed(r, &tick);
	assert_int_equal(r->v->phase, HF_PHASE_CLAIMING);
	now = r->record;
	now.epoch++;
	rig_cas(r, -EAGAIN);
	feed_record(0, &now, ++r->ver);
	assert_int_equal(r->v->phase, HF_PHASE_STOPPED);
	assert_string_equal(r->v->stop_why, "another host claimed the volume");
}

/* Somebody changed something else in the record at the same moment. */
static void test_the_adopted_set_is_recorded_though_others_change_the_record(void **state)
{
	struct hf_record now;
	(void)state;

	r = rig_serving(1, 1, false, 0);
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	for (int i = 0; i < 2; i++) {
		rig_serve(r, 0);
		rig_serve(r, 1);
	}
	assert_int_equal(r->v->phase, HF_PHASE_ACTIVATING);
	now = r->record;
	now.min_tolerance = 1;
	r->record = now;
	r->ver++;
	feed_record(0, &now, r->ver);		/* a watch tells: our own answer will tell more */
	assert_int_equal(r->v->phase, HF_PHASE_ACTIVATING);
	rig_cas(r, 0);				/* its version does not fit */
	feed_record(0, &now, r->ver);
	assert_true(r->cas_asked);
	rig_settle(r);
	rig_run(r, 3 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_int_equal(r->record.min_tolerance, 1);
	assert_int_equal(r->record.leg[1].activated, r->v->epoch);
}

static void test_a_primary_that_is_told_to_stop_says_why(void **state)
{
	struct hf_event stop = { .kind = HF_EV_STOP, .why = "an operator moves it" };
	(void)state;

	r = rig_serving(1, 1, false, 0);
	rig_write(r, 7);
	rig_feed(r, &stop);
	assert_int_equal(r->count[HF_ACT_STOPPED], 1);
	assert_string_equal(r->v->stop_why, "an operator moves it");
	feed_ack(0, 1);
	feed_ack(1, 1);
	assert_int_equal(r->acked, 0);		/* nobody is told of anything any more */
}

/* Two operators that promote against each other must not do so for ever. */
static void test_a_claim_that_fails_again_and_again_is_given_up(void **state)
{
	int claims = 0;
	(void)state;

	r = rig_serving(1, 1, false, 0);
	rig_primary(r, 1, false);
	while (r->cas_asked && claims < 100) {
		r->record.epoch++;		/* another host was faster */
		r->ver++;
		claims++;
		rig_cas(r, 0);
		if (r->get_asked) {
			struct hf_record now = r->record;

			r->get_asked = false;
			feed_record(0, &now, r->ver);
		}
	}
	assert_int_equal(claims, 6);
	assert_int_equal(r->v->phase, HF_PHASE_STOPPED);
	assert_non_null(strstr(r->v->stop_why, "another promotion is under way"));
}

static void test_only_what_cannot_be_decoded_is_lost(void **state)
{
	(void)state;
	r = rig_serving(2, 1, false, 0);
	for (int i = 0; i < 3; i++)
		rig_write(r, 7);
	rig_settle(r);
	rig_primary(r, 0, false);
	rig_settle(r);
	assert_int_equal(r->v->promotion.decision.seq, 3);
	assert_false(hf_volume_is_lost(r->v, 3));
	r->v->promotion.accepted_loss = true;	/* as if ops from 2 on had been given up */
	r->v->promotion.lost_from = 2;
	r->v->promotion.reply[1].last = r->v->promotion.reply[2].last = 2;
	assert_false(hf_volume_is_lost(r->v, 1));
	assert_false(hf_volume_is_lost(r->v, 2));	/* enough legs have it all the same */
	assert_true(hf_volume_is_lost(r->v, 3));
	assert_false(hf_volume_is_lost(r->v, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_a_full_window_admits_no_op_of_a_client, down),
		cmocka_unit_test_teardown(test_a_primary_stops_when_a_barrier_finds_no_room, down),
		cmocka_unit_test_teardown(test_a_leg_that_cannot_follow_starts_over, down),
		cmocka_unit_test_teardown(test_a_leg_gets_one_frame_at_a_time, down),
		cmocka_unit_test_teardown(test_a_size_that_comes_late_does_not_undo_a_resize, down),
		cmocka_unit_test_teardown(test_a_volume_opens_after_the_acknowledgement_of_what_was_decided, down),
		cmocka_unit_test_teardown(test_a_member_that_lost_something_is_not_read_from, down),
		cmocka_unit_test_teardown(test_a_deleted_volume_is_served_no_more, down),
		cmocka_unit_test_teardown(test_a_change_that_others_made_is_taken_once, down),
		cmocka_unit_test_teardown(test_answers_of_the_store_that_nobody_waits_for_change_nothing, down),
		cmocka_unit_test_teardown(test_a_claim_that_fails_again_and_again_is_given_up, down),
		cmocka_unit_test_teardown(test_only_what_cannot_be_decoded_is_lost, down),
		cmocka_unit_test_teardown(test_a_claim_without_an_order_yields_to_one_that_was_first, down),
		cmocka_unit_test_teardown(test_the_adopted_set_is_recorded_though_others_change_the_record, down),
		cmocka_unit_test_teardown(test_a_primary_that_is_told_to_stop_says_why, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

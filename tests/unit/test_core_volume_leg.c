// SPDX-License-Identifier: MIT
/*
 * Needs: libhf_core. What a primary makes of legs that come, answer late, wrongly or not at all, and go: answers are
 * given by hand where no leg of ours would give them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/entry.h"
#include "lib/core_rig.h"

static struct rig *r;

static int down(void **state)
{
	(void)state;
	rig_free(r);
	r = NULL;
	return 0;
}

static void feed(enum hf_event_kind kind, uint32_t leg)
{
	struct hf_event e = { .kind = kind, .leg = leg, .gen = r->v->leg[leg].gen };

	rig_feed(r, &e);
}

static void feed_ack(enum hf_event_kind kind, uint32_t leg, struct hf_ack ack)
{
	struct hf_event e = { .kind = kind, .leg = leg, .gen = r->v->leg[leg].gen, .ack = &ack };

	rig_feed(r, &e);
}

static void feed_promise(uint32_t leg, struct hf_promise p)
{
	struct hf_event e = { .kind = HF_EV_PROMISED, .leg = leg, .gen = r->v->leg[leg].gen, .promise = &p };

	rig_feed(r, &e);
}

static void feed_adopted(uint32_t leg, struct hf_adopted m)
{
	struct hf_event e = { .kind = HF_EV_ADOPTED, .leg = leg, .gen = r->v->leg[leg].gen, .adopted = &m };

	rig_feed(r, &e);
}

static void feed_replaced(uint32_t leg, uint8_t uuid)
{
	struct hf_event e = { .kind = HF_EV_REPLACED, .leg = leg, .incarnation.b[0] = uuid };

	rig_feed(r, &e);
}

static uint32_t actions(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < 32; i++)
		n += r->count[i];
	return n;
}

/* Everything that the core knows, before an event that must not change any of it. */
static struct hf_volume *before;
static uint32_t actions_before;

static void remember(void)
{
	before = malloc(sizeof(*before));
	assert_non_null(before);
	memcpy(before, r->v, sizeof(*before));
	actions_before = actions();
}

static void assert_nothing_changed(void)
{
	assert_memory_equal(before, r->v, sizeof(*before));
	assert_int_equal(actions(), actions_before);
	free(before);
}

/* Leg 2 of a mirror of three has left the set, is back, has promised and is to adopt. */
static void leg_two_adopts(void)
{
	r = rig_serving(1, 2, false, 0);
	for (int i = 0; i < 5; i++)
		rig_write(r, 7);
	rig_settle(r);
	rig_down(r, 2);
	rig_run(r, 6 * HF_SEC);
	assert_false(r->record.leg[2].insync);
	rig_up(r, 2);
	rig_serve(r, 2);
	assert_int_equal(r->v->leg[2].state, HF_VLEG_ADOPTING);
	r->leg[2].count = 0;
}

static void test_answers_of_an_old_connection_say_nothing(void **state)
{
	struct hf_ack ack = { 0 };
	struct hf_event e = { .kind = HF_EV_ACKED, .leg = 1, .ack = &ack };
	hf_seq s;
	(void)state;

	r = rig_serving(1, 1, false, 1);
	e.gen = r->v->leg[1].gen;
	rig_down(r, 1);
	s = rig_write(r, 7);
	rig_serve(r, 0);
	rig_up(r, 1);
	rig_serve(r, 1);
	assert_int_equal(r->v->leg[1].state, HF_VLEG_STREAMING);
	ack = (struct hf_ack){ .epoch = r->v->epoch, .durable = s };
	remember();
	rig_feed(r, &e);			/* H25 */
	assert_nothing_changed();
	feed_ack(HF_EV_ACKED, 1, ack);
	assert_int_equal(r->acked, s);
}

static void test_answers_that_nobody_waits_for_change_nothing(void **state)
{
	struct hf_ack ok = { 0 };
	(void)state;

	r = rig_serving(1, 2, false, 0);
	rig_write(r, 7);
	rig_settle(r);
	remember();
	feed_promise(1, (struct hf_promise){ .last = 0 });
	feed_adopted(1, (struct hf_adopted){ .active = true, .epoch = r->v->epoch });
	feed_ack(HF_EV_SYNCED, 1, ok);
	feed(HF_EV_RESYNC_DONE, 1);
	assert_nothing_changed();
	rig_down(r, 1);
	remember();
	feed(HF_EV_UNSENDABLE, 1);
	feed(HF_EV_RESYNC_DONE, 1);
	feed_ack(HF_EV_ACKED, 1, (struct hf_ack){ .epoch = r->v->epoch, .durable = 1 });
	assert_nothing_changed();
}

static void test_acknowledgements_that_cannot_be_ours_change_nothing(void **state)
{
	(void)state;
	r = rig_serving(1, 1, false, 1);
	rig_write(r, 7);
	remember();
	feed_ack(HF_EV_ACKED, 1, (struct hf_ack){ .epoch = r->v->epoch + 1, .durable = 1 });
	feed_ack(HF_EV_ACKED, 1, (struct hf_ack){ .epoch = r->v->epoch, .durable = r->v->next });
	assert_nothing_changed();
}

static void test_a_leg_that_refuses_ops_is_asked_anew(void **state)
{
	static const struct { uint8_t result; enum hf_vleg_state state;
	} cases[] = {
		{ HF_LEG_WRONG_STATE, HF_VLEG_UP },
		{ HF_LEG_STALE, HF_VLEG_UP },	/* of no newer epoch: no reason to step down */
		{ HF_LEG_FAILED, HF_VLEG_REFUSED },
	};
	(void)state;

	for (uint32_t i = 0; i < 3; i++) {
		r = rig_serving(1, 2, false, 1);
		rig_write(r, 7);
		feed_ack(HF_EV_ACKED, 1, (struct hf_ack){ .result = cases[i].result, .epoch = r->v->epoch });
		assert_int_equal(r->v->phase, HF_PHASE_SERVING);
		assert_int_equal(r->v->leg[1].state, cases[i].state);
		assert_false(r->v->leg[1].adopted);
		assert_int_equal(r->v->leg[1].lost, cases[i].result == HF_LEG_FAILED);
		rig_free(r);
	}
	r = rig_serving(1, 1, false, 0);
	feed_ack(HF_EV_ACKED, 1, (struct hf_ack){ .result = HF_LEG_STALE, .epoch = r->v->epoch + 1 });
	assert_int_equal(r->v->phase, HF_PHASE_STOPPED);
}

static void test_an_adoption_that_does_not_fit_is_not_taken(void **state)
{
	struct hf_adopted good;
	(void)state;

	for (int i = 0; i < 5; i++) {
		struct hf_adopted m;

		leg_two_adopts();
		r->v->base = 4;			/* older ops have left the window, and no log here has them */
		good = (struct hf_adopted){ .active = true, .epoch = r->v->epoch, .last = 5 };
		m = good;
		if (i == 0) {
			m.epoch--;		/* late, for an earlier epoch of ours */
			remember();
			feed_adopted(2, m);
			assert_nothing_changed();
			feed_adopted(2, good);
			assert_int_equal(r->v->leg[2].state, HF_VLEG_STREAMING);
			rig_free(r);
			continue;
		}
		if (i == 1)
			m.last = r->v->next;
		if (i == 2)
			m.last = 2;		/* ops 3 and on cannot be sent any more */
		if (i == 3)
			m.result = HF_LEG_WRONG_STATE;
		if (i == 4)
			m.result = HF_LEG_WOULD_CUT_COMMITTED;
		feed_adopted(2, m);
		assert_int_equal(r->v->leg[2].state, i == 4 ? HF_VLEG_REFUSED : HF_VLEG_UP);
		if (i == 4)
			assert_non_null(strstr(r->v->leg[2].why, "committed"));
		rig_free(r);
	}
	r = rig_serving(1, 1, false, 0);
}

/* Leg 1 of a mirror, outside of the set, is copied to. */
static void leg_one_resyncs(void)
{
	r = rig_serving(1, 1, false, 0);
	rig_write(r, 7);
	rig_settle(r);
	rig_down(r, 1);
	rig_run(r, 6 * HF_SEC);
	assert_false(r->record.leg[1].insync);
	r->leg[1].core.state.inconsistent = true;
	rig_up(r, 1);
	rig_serve(r, 1);
	assert_int_equal(r->last[HF_ACT_ADOPT].adopt.mode, HF_ADOPT_RESYNC);
}

static void test_a_leg_that_did_not_begin_its_resync_is_not_copied_to(void **state)
{
	(void)state;
	leg_one_resyncs();
	feed_adopted(1, (struct hf_adopted){ .active = false, .epoch = r->v->epoch, .last = r->v->committed });
	assert_int_equal(r->count[HF_ACT_RESYNC], 0);
	assert_false(r->v->leg[1].adopted);
}

static void test_a_resync_that_breaks_is_stopped(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		leg_one_resyncs();
		rig_serve(r, 1);
		assert_int_equal(r->count[HF_ACT_RESYNC], 1);
		if (i == 0) {
			feed_ack(HF_EV_ACKED, 1, (struct hf_ack){ .result = HF_LEG_WRONG_STATE });
		} else {
			feed(HF_EV_RESYNC_DONE, 1);
			assert_int_equal(r->v->leg[1].state, HF_VLEG_SYNCING);
			r->leg[1].count = 0;
			feed_ack(HF_EV_SYNCED, 1, (struct hf_ack){ .result = HF_LEG_WRONG_STATE });
		}
		assert_int_equal(r->count[HF_ACT_RESYNC_STOP], 1);
		assert_int_equal(r->v->leg[1].state, HF_VLEG_UP);
		assert_int_equal(r->v->leg[1].down_since, r->now);
		assert_false(r->v->leg[1].resync);
		rig_run(r, 6 * HF_SEC);
		assert_int_equal(r->count[HF_ACT_RESYNC], 2);	/* it begins again */
		rig_free(r);
	}
	r = rig_serving(1, 1, false, 0);
}

/* R13: a member that comes back with less than it had acknowledged leaves the set; it proves nothing there. */
static void test_a_member_that_comes_back_with_less_leaves_the_set(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		struct hf_leg *l;

		r = rig_serving(1, 2, false, 1);
		for (int n = 0; n < 3; n++)
			rig_write(r, 7);
		rig_settle(r);
		rig_down(r, 2);
		l = &r->leg[2].core;
		if (i == 0)
			l->suspect = true;
		if (i == 1)
			l->last = l->commit = 2;	/* op 3 was acknowledged */
		if (i == 2)
			l->state.activated = 0;
		if (i == 3)
			l->state.inconsistent = true;
		if (i == 4)
			l->last_epoch = 7;		/* its newest op is none of ours */
		if (i == 4)
			r->v->epoch = r->v->record.epoch = r->record.epoch = 9;
		if (i == 4)
			r->v->history.at[0].epoch = l->state.activated = l->state.promised = 9;
		for (uint32_t n = 0; n < 3; n++)
			if (i == 4)
				r->v->record.leg[n].activated = r->record.leg[n].activated = 9;
		rig_up(r, 2);
		rig_serve(r, 2);
		assert_int_equal(r->v->leg[2].state, HF_VLEG_REFUSED);
		assert_true(r->v->leg[2].lost);
		rig_tick(r, 50 * HF_MS);
		assert_true(r->cas_asked);
		rig_cas(r, 0);
		assert_false(r->record.leg[2].insync);
		assert_false(r->v->leg[2].lost);
		rig_free(r);
	}
	r = rig_serving(1, 1, false, 0);
}

static void test_a_failed_member_that_must_stay_is_not_asked_again(void **state)
{
	uint32_t asked;
	(void)state;

	r = rig_serving(1, 1, false, 1);	/* without leg 1 the minimum would not be kept */
	rig_down(r, 1);
	rig_up(r, 1);
	feed_promise(1, (struct hf_promise){ .result = HF_LEG_FAILED });
	assert_int_equal(r->v->leg[1].state, HF_VLEG_REFUSED);
	assert_true(r->v->leg[1].lost);
	asked = r->count[HF_ACT_PREPARE];
	rig_run(r, 20 * HF_SEC);
	assert_true(r->record.leg[1].insync);
	assert_int_equal(r->count[HF_ACT_PREPARE], asked);
}

/* One is away and comes back, the other has to be mended: only one of them can leave. */
static void test_a_failed_member_leaves_before_one_that_is_away(void **state)
{
	(void)state;

	r = rig_serving(1, 2, false, 1);
	rig_down(r, 1);
	while (!r->cas_asked)
		rig_tick(r, 50 * HF_MS);
	assert_false(r->v->proposal.leg[1].insync);
	rig_down(r, 2);
	rig_up(r, 2);
	feed_promise(2, (struct hf_promise){ .result = HF_LEG_FAILED });
	rig_cas(r, -ETIMEDOUT);			/* the change for leg 1 was lost on its way */
	rig_settle(r);
	while (!r->cas_asked)
		rig_tick(r, 50 * HF_MS);
	assert_true(r->v->proposal.leg[1].insync);
	assert_false(r->v->proposal.leg[2].insync);
}

static void test_promises_that_cannot_be_are_refused(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct hf_promise p = { .last = 0 };

		r = rig_serving(1, 1, false, 0);
		rig_primary(r, 0, false);
		rig_cas(r, 0);
		if (i == 0)
			p.last_epoch = r->v->epoch + 1;
		if (i == 1)
			p.commit = 1;		/* of no op that it has */
		if (i == 2)
			hf_epoch_cache_add(&p.epochs, r->v->epoch + 1, 1);
		feed_promise(1, p);
		assert_int_equal(r->v->leg[1].state, HF_VLEG_REFUSED);
		assert_non_null(strstr(r->v->leg[1].why, "nobody has claimed"));
		rig_free(r);
	}
	r = rig_serving(1, 1, false, 0);
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	feed_promise(1, (struct hf_promise){ .last = 0 });	/* a blank leg is plausible */
	assert_int_equal(r->v->leg[1].state, HF_VLEG_PROMISED);
}

/* H26 is a reason not to begin to serve; who serves already has the newest record. */
static void test_a_leg_of_a_newer_configuration_is_refused_by_who_serves(void **state)
{
	struct hf_promise p = { .result = HF_LEG_STALE };
	(void)state;

	r = rig_serving(1, 2, false, 1);
	rig_down(r, 2);
	rig_up(r, 2);
	p.promised = r->v->epoch;
	feed_promise(2, p);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_int_equal(r->v->leg[2].state, HF_VLEG_REFUSED);
	rig_primary(r, 0, true);		/* the operator gives up what came after */
	rig_cas(r, 0);
	p.promised = r->v->epoch;
	feed_promise(2, p);
	assert_int_equal(r->v->phase, HF_PHASE_PREPARING);
	assert_int_equal(r->v->leg[2].state, HF_VLEG_REFUSED);
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	p.promised = r->v->epoch;
	feed_promise(2, p);
	assert_int_equal(r->v->phase, HF_PHASE_STOPPED);
}

/* One leg does not answer, and its connection stands. */
static void silent(uint32_t leg, hf_nsec for_ns)
{
	for (hf_nsec end = r->now + for_ns; r->now < end;) {
		rig_tick(r, 50 * HF_MS);
		for (uint32_t i = 0; i < r->record.leg_count; i++)
			while (i != leg && rig_serve(r, i))
				;
		r->leg[leg].count = 0;
		if (r->cas_asked)
			rig_cas(r, 0);
	}
}

/* H37: at most one slow member in a while, or a slow primary would take out all of them. */
static void test_slow_members_leave_one_at_a_time(void **state)
{
	(void)state;
	r = rig_serving(1, 3, false, 0);
	rig_write(r, 7);
	silent(3, 5 * HF_SEC);
	assert_false(r->record.leg[3].insync);
	assert_int_equal(r->v->leg[3].no_add_until > r->now, true);
	rig_write(r, 8);
	silent(2, 10 * HF_SEC);
	assert_true(r->record.leg[2].insync);
	silent(2, 60 * HF_SEC);
	assert_false(r->record.leg[2].insync);
}

static void test_a_slow_leg_is_taken_at_once_when_writes_wait_for_it(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 1);
	rig_write(r, 7);
	silent(2, 5 * HF_SEC);
	assert_false(r->record.leg[2].insync);
	rig_down(r, 2);
	rig_up(r, 2);
	rig_settle(r);
	rig_run(r, 2 * HF_SEC);
	assert_false(r->record.leg[2].insync);	/* too early: it was too slow a moment ago */
	r->leg[1].exists = false;		/* now the other one is gone for good */
	rig_down(r, 1);
	rig_up(r, 1);
	rig_run(r, 2 * HF_SEC);
	assert_false(r->record.leg[1].insync);
	assert_true(r->record.leg[2].insync);
	assert_non_null(strstr(r->trace, "writes-unblocked"));
	assert_false(hf_volume_is_blocked(r->v));
}

/* H6: an add that nobody knows the outcome of, of a leg that has gone bad since. */
static void test_an_add_that_lands_after_its_leg_went_bad_is_taken_back(void **state)
{
	hf_seq s;
	(void)state;

	r = rig_serving(1, 2, false, 0);
	rig_down(r, 2);
	rig_run(r, 6 * HF_SEC);
	rig_up(r, 2);
	while (!r->cas_asked)
		for (uint32_t i = 0; i < 3; i++)
			rig_serve(r, i);
	assert_int_equal(r->v->pending_add, HF_LEG_BIT(2));
	feed_ack(HF_EV_ACKED, 2, (struct hf_ack){ .result = HF_LEG_FAILED });
	assert_int_equal(r->v->leg[2].state, HF_VLEG_REFUSED);
	assert_false(r->v->leg[2].lost);
	s = rig_write(r, 9);
	rig_serve(r, 0);
	rig_serve(r, 1);
	assert_true(r->acked < s);		/* it may be a member by now */
	rig_cas(r, 0);
	assert_true(r->cas_asked);		/* it is, and leaves at once */
	assert_false(r->v->proposal.leg[2].insync);
	rig_cas(r, 0);
	rig_settle(r);
	assert_true(r->acked >= s);
}

static void test_a_pending_add_that_went_bad_is_proposed_away(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 0);
	rig_down(r, 2);
	rig_run(r, 6 * HF_SEC);
	rig_up(r, 2);
	while (!r->cas_asked)
		for (uint32_t i = 0; i < 3; i++)
			rig_serve(r, i);
	rig_cas(r, -ETIMEDOUT);			/* it did not land; and may do so yet, for all that is known */
	assert_true(r->get_asked);
	rig_down(r, 2);
	rig_settle(r);
	assert_int_equal(r->v->pending_add, HF_LEG_BIT(2));
	rig_tick(r, 50 * HF_MS);
	assert_true(r->cas_asked);
	assert_false(r->v->proposal.leg[2].insync);
	rig_cas(r, 0);
	assert_int_equal(r->v->pending_add, 0);
}

static void test_a_blank_leg_made_for_a_member_stays_unused(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 1);
	feed_replaced(2, 0x5a);			/* the order is old: the leg came back and joined again */
	rig_run(r, 1 * HF_SEC);
	assert_int_equal(r->record.leg[2].uuid.b[0], 3);
	assert_true(r->record.leg[2].insync);
	assert_int_equal(r->v->next, 1);
}

static void test_a_blank_leg_is_not_ordered_twice(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 1);
	r->leg[2].exists = false;
	rig_down(r, 2);
	rig_up(r, 2);
	rig_run(r, 12 * HF_SEC);
	assert_int_equal(r->count[HF_ACT_REPLACE], 1);
	rig_tick(r, 11 * HF_SEC);		/* no answer: perhaps the order was lost */
	assert_int_equal(r->count[HF_ACT_REPLACE], 2);
	feed_replaced(2, 0x5a);
	assert_true(r->cas_asked);		/* the cluster store does not answer */
	rig_tick(r, 11 * HF_SEC);
	assert_int_equal(r->count[HF_ACT_REPLACE], 2);
	rig_down(r, 2);				/* its host goes away before the record says so */
	rig_cas(r, 0);
	assert_int_equal(r->record.leg[2].uuid.b[0], 0x5a);
	assert_int_equal(r->v->replaced, 0);
	assert_false(r->v->leg[2].gone);
	assert_int_equal(r->v->leg[2].state, HF_VLEG_DOWN);
}

static void test_a_blank_leg_waits_until_the_volume_is_served(void **state)
{
	struct hf_record other;
	struct hf_event news = { .kind = HF_EV_RECORD, .record = &other };
	(void)state;

	r = rig_serving(1, 2, false, 0);
	rig_down(r, 2);
	rig_run(r, 6 * HF_SEC);
	assert_false(r->record.leg[2].insync);
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	feed_replaced(2, 0x5a);			/* while promises are asked for */
	assert_false(r->cas_asked);
	assert_int_equal(r->v->replaced, HF_LEG_BIT(2));
	other = r->record;			/* another change: the old uuid is still there */
	other.min_tolerance = 0;
	news.ver = ++r->ver;
	r->record = other;
	rig_feed(r, &news);
	assert_int_equal(r->v->replaced, HF_LEG_BIT(2));
	rig_settle(r);
	rig_run(r, 5 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_int_equal(r->record.leg[2].uuid.b[0], 0x5a);
}

/* R11: before a leg follows our history it may let a newer primary begin. */
static void test_a_leg_that_has_not_adopted_grants_no_lease(void **state)
{
	(void)state;
	r = rig_serving(1, 1, false, 0);
	rig_write(r, 7);
	rig_serve(r, 0);			/* leg 1 lacks op 1 */
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	rig_serve(r, 0);
	rig_serve(r, 1);			/* promises */
	rig_serve(r, 1);			/* adopts, and waits for op 1 */
	assert_int_equal(r->v->leg[1].state, HF_VLEG_STREAMING);
	assert_false(r->v->leg[1].adopted);
	feed_ack(HF_EV_ACKED, 1, (struct hf_ack){ .epoch = r->v->epoch, .cookie = r->now });
	assert_int_equal(r->v->leg[1].lease_until, 0);
	rig_settle(r);
	rig_run(r, 3 * HF_SEC);
	feed_ack(HF_EV_ACKED, 1, (struct hf_ack){ .epoch = r->v->epoch, .durable = 1, .cookie = r->now });
	assert_true(r->v->leg[1].lease_until > r->now);
}

/* It says that it adopts again: what it is to be brought to may have changed. */
static void test_a_leg_that_adopts_again_is_not_counted_as_adopted(void **state)
{
	struct hf_promise p;
	(void)state;

	r = rig_serving(1, 2, false, 0);
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	for (uint32_t i = 0; i < 3; i++)
		rig_serve(r, i);		/* promises */
	rig_serve(r, 2);
	assert_true(r->v->leg[2].adopted);
	rig_down(r, 2);
	rig_up(r, 2);
	p = (struct hf_promise){ .promised = r->v->epoch, .activated = r->v->epoch, .adopting = true };
	p.epochs = r->v->history;
	feed_promise(2, p);
	assert_false(r->v->leg[2].adopted);
	assert_int_equal(r->v->leg[2].state, HF_VLEG_ADOPTING);
}

/* It has what it needs: it is not made to adopt once more. */
static void test_a_leg_that_adopted_and_comes_back_has_adopted(void **state)
{
	uint32_t adopts;
	(void)state;

	r = rig_serving(1, 2, false, 0);
	rig_write(r, 7);
	rig_settle(r);
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	for (uint32_t i = 0; i < 3; i++)
		rig_serve(r, i);		/* promises */
	rig_serve(r, 2);
	adopts = r->count[HF_ACT_ADOPT];
	rig_down(r, 2);
	assert_false(r->v->leg[2].adopted);
	rig_up(r, 2);
	rig_serve(r, 2);
	assert_true(r->v->leg[2].adopted);
	assert_int_equal(r->v->leg[2].acked, 1);
	assert_int_equal(r->count[HF_ACT_ADOPT], adopts);
}

static void test_a_primary_that_a_leg_has_left_stops(void **state)
{
	struct hf_promise p = { .result = HF_LEG_STALE };
	(void)state;

	r = rig_serving(1, 1, false, 0);
	rig_down(r, 1);
	rig_up(r, 1);
	p.promised = r->v->epoch + 1;
	feed_promise(1, p);
	assert_int_equal(r->v->phase, HF_PHASE_STOPPED);
	assert_string_equal(r->v->stop_why, "a leg has promised to a newer primary");
}

/* A connection that breaks under a resync, or is replaced by a newer one before anybody noticed. */
static void test_a_resync_ends_with_its_connection(void **state)
{
	(void)state;
	for (int again = 0; again < 2; again++) {
		leg_one_resyncs();
		rig_serve(r, 1);
		assert_int_equal(r->count[HF_ACT_RESYNC], 1);
		if (again)
			rig_up(r, 1);
		else
			rig_down(r, 1);
		assert_int_equal(r->count[HF_ACT_RESYNC_STOP], 1);
		assert_false(r->v->leg[1].resync || r->v->leg[1].adopted);
		assert_int_equal(r->v->leg[1].down_since, r->now);
		rig_tick(r, 1 * HF_SEC);
		rig_down(r, 1);			/* told once more: it is away since then */
		assert_int_equal(r->v->leg[1].down_since, r->now - (again ? 0 : 1 * HF_SEC));
		rig_free(r);
	}
	r = rig_serving(1, 1, false, 0);
}

/* Between the record of the adopted set and the first answer: a member comes back blank. */
static void test_a_member_that_is_blank_when_serving_begins_is_refused(void **state)
{
	struct hf_leg_state blank = { 0 };
	struct hf_leg_identity id;
	(void)state;

	r = rig_serving(1, 2, false, 0);
	rig_run(r, 1 * HF_SEC);			/* leases are out */
	rig_primary(r, 0, false);
	rig_settle(r);
	assert_int_equal(r->v->phase, HF_PHASE_WAITING_LEASES);
	rig_down(r, 2);
	id = r->leg[2].core.id;
	hf_leg_init(&r->leg[2].core, &id, &blank, 0, 0, 0, 0, false, r->now, 2 * HF_SEC);
	rig_up(r, 2);
	rig_serve(r, 2);
	assert_int_equal(r->v->leg[2].state, HF_VLEG_PROMISED);
	while (r->v->phase != HF_PHASE_SERVING)
		rig_tick(r, 50 * HF_MS);
	assert_int_equal(r->v->leg[2].state, HF_VLEG_REFUSED);
	assert_true(r->v->leg[2].lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_answers_of_an_old_connection_say_nothing, down),
		cmocka_unit_test_teardown(test_answers_that_nobody_waits_for_change_nothing, down),
		cmocka_unit_test_teardown(test_acknowledgements_that_cannot_be_ours_change_nothing, down),
		cmocka_unit_test_teardown(test_a_leg_that_refuses_ops_is_asked_anew, down),
		cmocka_unit_test_teardown(test_an_adoption_that_does_not_fit_is_not_taken, down),
		cmocka_unit_test_teardown(test_a_leg_that_did_not_begin_its_resync_is_not_copied_to, down),
		cmocka_unit_test_teardown(test_a_resync_that_breaks_is_stopped, down),
		cmocka_unit_test_teardown(test_a_member_that_comes_back_with_less_leaves_the_set, down),
		cmocka_unit_test_teardown(test_a_failed_member_that_must_stay_is_not_asked_again, down),
		cmocka_unit_test_teardown(test_a_failed_member_leaves_before_one_that_is_away, down),
		cmocka_unit_test_teardown(test_promises_that_cannot_be_are_refused, down),
		cmocka_unit_test_teardown(test_a_leg_of_a_newer_configuration_is_refused_by_who_serves, down),
		cmocka_unit_test_teardown(test_slow_members_leave_one_at_a_time, down),
		cmocka_unit_test_teardown(test_a_slow_leg_is_taken_at_once_when_writes_wait_for_it, down),
		cmocka_unit_test_teardown(test_an_add_that_lands_after_its_leg_went_bad_is_taken_back, down),
		cmocka_unit_test_teardown(test_a_pending_add_that_went_bad_is_proposed_away, down),
		cmocka_unit_test_teardown(test_a_blank_leg_made_for_a_member_stays_unused, down),
		cmocka_unit_test_teardown(test_a_blank_leg_is_not_ordered_twice, down),
		cmocka_unit_test_teardown(test_a_blank_leg_waits_until_the_volume_is_served, down),
		cmocka_unit_test_teardown(test_a_leg_that_has_not_adopted_grants_no_lease, down),
		cmocka_unit_test_teardown(test_a_leg_that_adopts_again_is_not_counted_as_adopted, down),
		cmocka_unit_test_teardown(test_a_member_that_is_blank_when_serving_begins_is_refused, down),
		cmocka_unit_test_teardown(test_a_leg_that_adopted_and_comes_back_has_adopted, down),
		cmocka_unit_test_teardown(test_a_primary_that_a_leg_has_left_stops, down),
		cmocka_unit_test_teardown(test_a_resync_ends_with_its_connection, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

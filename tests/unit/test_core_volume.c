// SPDX-License-Identifier: MIT
/* Needs: libhf_core. The primary's side of the protocol: each guard and each way back from a failure, by itself. */
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

static void serve_all_but(uint32_t leg)
{
	for (uint32_t i = 0; i < r->record.leg_count; i++)
		while (i != leg && rig_serve(r, i))
			;
}

static void test_volume_serves_when_every_leg_has_adopted(void **state)
{
	(void)state;
	r = rig_new(2, 1, true, 1);
	for (uint32_t i = 0; i < 4; i++)
		r->leg[i].up = true;
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	for (uint32_t i = 0; i < 4; i++)
		rig_serve(r, i);	/* promises */
	serve_all_but(3);
	assert_int_equal(r->v->phase, HF_PHASE_ADOPTING);	/* guard ADOPT_ALL */
	rig_settle(r);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_int_equal(r->record.epoch, 1);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(r->record.leg[i].activated, 1);
}

static void test_volume_acknowledges_when_every_leg_has_it(void **state)
{
	hf_seq s;
	(void)state;

	r = rig_serving(2, 1, true, 1);
	s = rig_write(r, 7);
	serve_all_but(2);
	assert_int_equal(r->acked, 0);				/* guard ACK_ALL */
	rig_settle(r);
	assert_int_equal(r->acked, s);
}

static void test_volume_holds_writes_below_the_minimum_and_fails_none(void **state)
{
	(void)state;
	r = rig_serving(1, 1, false, 1);
	rig_down(r, 1);
	rig_write(r, 7);
	rig_run(r, 20 * HF_SEC);
	assert_int_equal(r->acked, 0);				/* guard TOLERANCE: the leg is not even taken out */
	assert_true(r->record.leg[1].insync);
	rig_up(r, 1);
	rig_settle(r);
	assert_int_equal(r->acked, 1);
}

static void test_volume_without_a_minimum_goes_on_alone(void **state)
{
	(void)state;
	r = rig_serving(1, 1, false, 0);
	rig_down(r, 1);
	rig_write(r, 7);
	rig_settle(r);
	assert_int_equal(r->acked, 0);
	rig_run(r, 1 * HF_SEC);
	assert_int_equal(r->acked, 2);		/* and the barrier that told of it (H26) */
	assert_false(r->record.leg[1].insync);
}

static void test_volume_commits_what_was_decided_at_any_tolerance(void **state)
{
	(void)state;
	r = rig_serving(2, 1, true, 2);
	rig_write(r, 7);
	rig_serve(r, 0);			/* on the full leg and a fragment: it can be decoded, so it counts */
	rig_serve(r, 3);
	rig_down(r, 0);
	r->leg[1].exists = false;		/* its disk is gone for good: nobody waits for it */
	rig_down(r, 2);
	rig_up(r, 2);
	r->leg[0].up = true;
	rig_primary(r, 3, false);
	rig_settle(r);
	rig_run(r, 5 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_true(hf_volume_is_blocked(r->v));
	assert_int_equal(r->v->committed, 1);	/* reads of it must be answered */
	rig_write(r, 8);
	rig_run(r, 1 * HF_SEC);
	assert_int_equal(r->v->committed, 1);	/* guard TOLERANCE holds for what is new */
}

static void test_volume_decides_again_when_those_it_counted_on_are_gone(void **state)
{
	(void)state;
	r = rig_serving(2, 1, false, 0);
	rig_write(r, 7);
	rig_settle(r);
	rig_down(r, 0);
	rig_primary(r, 1, false);
	rig_cas(r, 0);
	rig_tick(r, 1100 * HF_MS);		/* leg 0 is silent: decide without it */
	rig_serve(r, 1);
	rig_serve(r, 2);
	rig_tick(r, 1100 * HF_MS);
	assert_int_equal(r->v->phase, HF_PHASE_ADOPTING);
	rig_down(r, 2);				/* before it adopted, and it stays away */
	rig_settle(r);
	assert_int_equal(r->v->phase, HF_PHASE_ADOPTING);
	rig_up(r, 0);
	rig_settle(r);
	rig_run(r, 10 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_int_equal(r->v->committed, 2);
	assert_int_equal(r->record.epoch, 3);	/* one epoch has one history */
	assert_int_equal(r->v->promotion.from_epoch, 1);
}

/* A member that the decision left out with its eyes open is no reason to claim one epoch after the other. */
static void test_volume_claims_once_for_a_member_that_it_cannot_use(void **state)
{
	(void)state;
	r = rig_serving(2, 1, false, 0);
	rig_write(r, 7);
	rig_write(r, 8);
	rig_settle(r);
	rig_run(r, 1 * HF_SEC);
	rig_down(r, 0);
	r->leg[1].core.suspect = true;		/* lost op 2 with its tail, and no log shows it any more */
	r->leg[1].core.last = 1;
	r->leg[1].core.commit = 1;
	r->leg[1].core.chain = r->leg[1].log[1].chain;
	r->leg[2].first = 3;
	rig_primary(r, 1, true);
	rig_settle(r);
	rig_run(r, 60 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_ADOPTING);
	assert_int_equal(r->record.epoch, 2);
}

/* A member that answered and cannot be used does not stand for one that is only away (I13). */
static void test_volume_waits_for_a_member_that_is_away_when_another_is_of_no_use(void **state)
{
	(void)state;
	r = rig_serving(2, 1, true, 1);
	rig_write(r, 7);
	rig_write(r, 8);
	rig_settle(r);
	rig_run(r, 1 * HF_SEC);
	rig_down(r, 1);
	r->leg[3].core.suspect = true;		/* lost op 2 with its tail, and no log shows it any more */
	r->leg[3].core.last = 1;
	r->leg[3].core.commit = 1;
	r->leg[3].core.chain = r->leg[3].log[1].chain;
	for (uint32_t i = 0; i < 3; i++)
		r->leg[i].first = 3;
	rig_primary(r, 2, false);
	rig_settle(r);
	rig_run(r, 10 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_ADOPTING);
	assert_true(r->record.leg[1].insync);
	rig_up(r, 1);
	rig_settle(r);
	rig_run(r, 1 * HF_SEC);
	assert_int_equal(r->record.epoch, 3);	/* decided again, with it */
}

/* What is about to be given up is surveyed: not for ever, and not when a member comes back that may have it. */
static void test_volume_survey_ends_for_a_member_and_for_time(void **state)
{
	(void)state;
	for (int again = 0; again < 2; again++) {
		r = rig_serving(2, 1, false, 0);
		rig_write(r, 7);
		rig_settle(r);
		rig_write(r, 8);
		rig_serve(r, 1);
		rig_down(r, 0);
		r->leg[2].core.suspect = true;
		r->no_survey = true;		/* nobody answers it */
		rig_primary(r, 1, true);
		rig_settle(r);
		rig_run(r, 1100 * HF_MS);
		assert_int_equal(r->v->phase, HF_PHASE_SURVEYING);
		if (again) {
			rig_up(r, 0);		/* clean, and without op 2: it never was acknowledged */
			rig_settle(r);
		}
		rig_run(r, 5 * HF_SEC);
		assert_int_equal(r->v->phase, HF_PHASE_SERVING);
		assert_int_equal(r->v->promotion.accepted_loss, !again);
		assert_int_equal(r->v->promotion.risk_incomplete, !again);
		rig_free(r);
	}
	r = rig_serving(1, 1, false, 0);
}

/* A blank leg was made for one that was not gone: it stays unused. */
static void test_volume_keeps_a_leg_that_is_there_after_all(void **state)
{
	struct hf_event e = { .kind = HF_EV_REPLACED, .leg = 2 };
	struct hf_uuid was;
	(void)state;

	r = rig_serving(1, 2, false, 1);
	was = r->record.leg[2].uuid;
	r->leg[2].exists = false;
	rig_down(r, 2);
	rig_up(r, 2);
	rig_run(r, 15 * HF_SEC);
	assert_false(r->record.leg[2].insync);
	r->leg[2].exists = true;		/* its disk was mounted late */
	memset(&e.incarnation, 0x5a, sizeof(e.incarnation));
	rig_feed(r, &e);			/* the order to make it anew had gone out already */
	r->v->cas_busy = false;			/* and the record is being changed by something else meanwhile */
	r->cas_asked = false;
	r->v->leg[2].state = HF_VLEG_UP;
	r->v->leg[2].retry_at = 0;
	rig_up(r, 2);
	rig_serve(r, 2);
	assert_int_equal(r->v->replaced, 0);
	rig_settle(r);
	rig_run(r, 5 * HF_SEC);
	assert_true(hf_uuid_is_equal(&r->record.leg[2].uuid, &was));
	assert_true(r->record.leg[2].insync);
}

static void test_volume_waits_for_leases_of_the_old_primary(void **state)
{
	hf_nsec began;
	(void)state;

	r = rig_serving(1, 1, false, 0);
	rig_run(r, 1 * HF_SEC);
	assert_true(hf_volume_may_answer_read(r->v, r->now));
	rig_primary(r, 1, false);
	began = r->now;
	rig_settle(r);
	assert_int_equal(r->v->phase, HF_PHASE_WAITING_LEASES);	/* guard LEASE_WAIT */
	rig_run(r, 3 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_true(r->v->promotion.serving >= began + 1500 * HF_MS);
}

static void test_volume_reads_under_leases_of_every_leg(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 0);
	rig_run(r, 1 * HF_SEC);
	assert_true(hf_volume_may_answer_read(r->v, r->now));
	for (int i = 0; i < 60; i++) {		/* leg 2 is silent; its connection stands */
		rig_tick(r, 50 * HF_MS);
		serve_all_but(2);
	}
	assert_false(hf_volume_may_answer_read(r->v, r->now));	/* guard LEASE */
}

/* A leg whose memory is blank, under its old uuid. */
static void forget(uint32_t leg)
{
	struct hf_leg_identity id = r->leg[leg].core.id;
	struct hf_leg_state blank = { 0 };

	hf_leg_init(&r->leg[leg].core, &id, &blank, 0, 0, 0, 0, false, r->now, 2 * HF_SEC);
	r->leg[leg].first = 1;
}

static void test_volume_gives_no_vote_to_a_leg_that_lost_its_memory(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 1);
	rig_write(r, 7);
	rig_settle(r);
	forget(1);
	rig_down(r, 0);
	rig_primary(r, 2, false);
	rig_settle(r);
	rig_run(r, 5 * HF_SEC);
	assert_int_equal(r->v->promotion.valid, HF_LEG_BIT(2));	/* guard MEMORY */
	rig_up(r, 0);
	rig_settle(r);
	rig_run(r, 5 * HF_SEC);
	assert_int_equal(r->v->committed, 2);
}

/* Full leg and 2+1, the parity leg out of the set: the rest tolerates one lost host, just the minimum. */
static void serve_at_the_minimum(void)
{
	r = rig_serving(2, 1, true, 1);
	rig_down(r, 3);
	rig_write(r, 7);
	rig_run(r, 1 * HF_SEC);
	assert_false(r->record.leg[3].insync);
	assert_int_equal(r->v->tolerance, 1);
}

/* Nobody waits for ever for what a member has lost for good; writes wait until it was rebuilt (R9, H9). */
static void test_volume_is_promoted_without_a_member_that_forgot(void **state)
{
	(void)state;
	serve_at_the_minimum();
	forget(1);
	rig_primary(r, 2, false);
	rig_settle(r);
	rig_run(r, 4 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_false(r->record.leg[1].insync);
	assert_true(hf_volume_is_blocked(r->v));
	hf_volume_sized(r->v, 1000);
	rig_run(r, 1 * HF_SEC);
	assert_int_equal(r->last[HF_ACT_ADOPT].leg, 1);		/* it is rebuilt */
}

/* It was decided with what it showed, and then it came back with less. */
static void test_volume_is_promoted_without_a_member_that_forgot_while_it_adopted(void **state)
{
	(void)state;
	r = rig_serving(2, 1, true, 2);
	rig_write(r, 7);
	rig_write(r, 8);
	rig_settle(r);
	rig_run(r, 1 * HF_SEC);
	rig_primary(r, 2, false);
	rig_cas(r, 0);
	for (uint32_t i = 0; i < 4; i++)
		rig_serve(r, i);			/* promises */
	rig_tick(r, 10 * HF_MS);
	assert_int_equal(r->v->phase, HF_PHASE_ADOPTING);
	rig_down(r, 1);
	r->leg[1].core.suspect = true;
	r->leg[1].core.last = 1;
	r->leg[1].core.commit = 1;
	r->leg[1].core.chain = r->leg[1].log[1].chain;
	rig_up(r, 1);
	rig_settle(r);
	rig_run(r, 20 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_false(r->record.leg[1].insync);
	assert_true(hf_volume_is_blocked(r->v));
}

static void test_volume_takes_out_a_member_that_forgot_at_any_tolerance(void **state)
{
	(void)state;
	serve_at_the_minimum();
	rig_down(r, 1);
	forget(1);
	rig_up(r, 1);
	rig_serve(r, 1);
	rig_write(r, 8);
	rig_settle(r);
	rig_run(r, 2 * HF_SEC);
	assert_false(r->record.leg[1].insync);
	assert_int_equal(r->last[HF_ACT_ADOPT].leg, 1);		/* it is rebuilt */
	assert_true(r->v->committed < r->v->next - 1);		/* guard TOLERANCE: nothing is acknowledged before */
}

static void test_volume_adds_a_leg_to_the_acknowledge_set_before_the_record(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 0);
	rig_down(r, 2);
	rig_run(r, 6 * HF_SEC);
	assert_false(r->record.leg[2].insync);
	rig_up(r, 2);
	for (int n = 0; n < 100 && !r->cas_asked; n++)
		for (uint32_t i = 0; i < 3; i++)
			rig_serve(r, i);
	assert_true(r->cas_asked);
	assert_true(r->v->pending_add & HF_LEG_BIT(2));		/* guard H6 */
	rig_write(r, 8);
	serve_all_but(2);
	assert_int_equal(r->acked, 0);
	/* The answer is lost, the change was made: the nonce tells. */
	r->record = r->v->proposal;
	r->ver++;
	rig_cas(r, -ETIMEDOUT);
	rig_settle(r);
	assert_true(r->v->record.leg[2].insync);
	assert_int_equal(r->acked, 1);
}

/*
 * Its addition is in the store, nobody knows yet, and it loses what made it ready: it must not be taken for a full
 * member while it is rebuilt, or the next one that leaves takes the only complete copy along (H6).
 */
static void test_volume_does_not_count_a_leg_that_forgot_while_it_was_added(void **state)
{
	(void)state;
	r = rig_serving(2, 1, false, 0);
	hf_volume_sized(r->v, 1024);
	rig_write(r, 7);
	rig_write(r, 8);
	rig_settle(r);
	rig_down(r, 2);
	rig_run(r, 6 * HF_SEC);
	assert_false(r->record.leg[2].insync);
	rig_up(r, 2);
	for (int n = 0; n < 100 && !r->cas_asked; n++)
		for (uint32_t i = 0; i < 3; i++)
			rig_serve(r, i);
	assert_true(r->v->pending_add & HF_LEG_BIT(2));
	rig_down(r, 2);
	forget(2);
	rig_up(r, 2);
	rig_serve(r, 2);
	rig_cas(r, 0);
	assert_true(r->record.leg[2].insync);
	rig_down(r, 0);
	rig_run(r, 10 * HF_SEC);
	assert_true(r->record.leg[0].insync);
	assert_false(r->record.leg[2].insync);
}

/* The addition never was made: then the leg is rebuilt as soon as that is known. */
static void test_volume_rebuilds_a_leg_that_forgot_when_it_was_not_added(void **state)
{
	(void)state;
	r = rig_serving(2, 1, false, 0);
	hf_volume_sized(r->v, 1024);
	rig_write(r, 7);
	rig_settle(r);
	rig_down(r, 2);
	rig_run(r, 6 * HF_SEC);
	rig_up(r, 2);
	for (int n = 0; n < 100 && !r->cas_asked; n++)
		for (uint32_t i = 0; i < 3; i++)
			rig_serve(r, i);
	assert_true(r->v->pending_add & HF_LEG_BIT(2));
	rig_down(r, 2);
	forget(2);
	rig_up(r, 2);
	rig_serve(r, 2);
	rig_cas(r, -ETIMEDOUT);
	rig_run(r, 2 * HF_SEC);
	assert_int_equal(r->v->pending_add, 0);
	assert_int_equal(r->v->leg[2].state, HF_VLEG_STREAMING);
	assert_true(r->v->leg[2].resync);
}

static void test_volume_reads_under_a_lease_of_a_leg_that_is_being_added(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 0);
	rig_down(r, 2);
	rig_run(r, 6 * HF_SEC);
	rig_up(r, 2);
	for (int n = 0; n < 100 && !r->cas_asked; n++)
		for (uint32_t i = 0; i < 3; i++)
			rig_serve(r, i);
	assert_true(r->v->pending_add & HF_LEG_BIT(2));
	for (int i = 0; i < 60; i++) {		/* the store does not answer, and leg 2 gives no lease */
		rig_tick(r, 50 * HF_MS);
		serve_all_but(2);
	}
	assert_false(hf_volume_may_answer_read(r->v, r->now));	/* guard LEASE_PENDING (H33) */
	while (rig_serve(r, 2))
		;
	rig_tick(r, 50 * HF_MS);
	while (rig_serve(r, 2))
		;
	assert_true(hf_volume_may_answer_read(r->v, r->now));
}

/* The answer to a removal was lost, and so was the removal: the leg still counts. */
static void test_volume_believes_a_change_when_it_reads_its_own_nonce(void **state)
{
	struct hf_record other;
	struct hf_event e = { .kind = HF_EV_RECORD, .record = &other };
	(void)state;

	r = rig_serving(1, 2, false, 0);
	rig_down(r, 2);
	rig_write(r, 7);
	serve_all_but(2);
	rig_tick(r, 1 * HF_SEC);
	other = r->record;
	other.size_blocks *= 2;			/* somebody else's change came first */
	e.ver = ++r->ver;
	rig_cas(r, -ETIMEDOUT);
	rig_feed(r, &e);
	assert_true(r->v->record.leg[2].insync);	/* guard NONCE (H8) */
	serve_all_but(2);
	assert_int_equal(r->acked, 0);
}

static void test_volume_steps_down_for_another_epoch_in_the_record(void **state)
{
	struct hf_record other;
	struct hf_event e = { .kind = HF_EV_RECORD, .record = &other };
	(void)state;

	r = rig_serving(1, 2, false, 0);
	other = r->record;
	other.epoch++;
	e.ver = r->ver + 1;
	rig_feed(r, &e);
	assert_int_equal(r->v->phase, HF_PHASE_STOPPED);	/* guard DEPOSED */
}

static void test_volume_hears_no_answer_of_an_old_connection(void **state)
{
	struct hf_ack late = { .result = HF_LEG_OK, .epoch = 1, .durable = 1 };
	struct hf_event e = { .kind = HF_EV_ACKED, .leg = 1, .ack = &late };
	(void)state;

	r = rig_serving(1, 1, false, 0);
	e.gen = r->leg[1].gen;
	rig_down(r, 1);
	rig_up(r, 1);
	rig_serve(r, 1);
	rig_write(r, 7);
	rig_serve(r, 0);
	rig_feed(r, &e);
	assert_int_equal(r->acked, 0);		/* guard GENERATION (H25) */
	rig_settle(r);
	assert_int_equal(r->acked, 1);
}

static void test_volume_gives_no_vote_to_a_leg_in_a_resync(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 1);
	rig_write(r, 7);
	rig_settle(r);
	r->leg[1].core.state.inconsistent = true;
	r->leg[1].core.last = r->leg[1].core.commit = 0;	/* what it shows is of no use */
	rig_down(r, 0);
	rig_primary(r, 2, false);
	rig_settle(r);
	rig_run(r, 5 * HF_SEC);
	assert_int_equal(r->v->promotion.valid, HF_LEG_BIT(2));	/* guard INCONSISTENT (I12) */
}

static void test_volume_asks_the_cluster_store_again_only_after_a_while(void **state)
{
	struct hf_event e = { .kind = HF_EV_RECORD, .result = -ETIMEDOUT };
	uint32_t asked;
	(void)state;

	r = rig_serving(1, 1, false, 0);
	rig_down(r, 1);
	rig_write(r, 7);
	rig_tick(r, 1 * HF_SEC);
	rig_cas(r, -ETIMEDOUT);
	asked = r->count[HF_ACT_GET_RECORD];
	r->get_asked = false;
	rig_feed(r, &e);
	rig_turn(r);
	assert_int_equal(r->count[HF_ACT_GET_RECORD], asked);
	rig_tick(r, 300 * HF_MS);
	assert_int_equal(r->count[HF_ACT_GET_RECORD], asked + 1);
	rig_run(r, 1 * HF_SEC);
	assert_int_equal(r->acked, 2);
}

/* What an interrupted resync has to copy begins where both histories agree on what is committed. */
static void test_volume_resyncs_from_no_later_than_what_is_committed(void **state)
{
	(void)state;
	r = rig_serving(2, 1, true, 0);
	for (int i = 0; i < 4; i++)
		rig_write(r, 7);
	rig_settle(r);
	for (int i = 0; i < 3; i++)		/* two more that leg 3 has and others have not: never acknowledged */
		rig_write(r, 8);
	rig_serve(r, 3);
	rig_serve(r, 3);
	rig_down(r, 3);
	r->v->leg[3].lost = true;		/* leaves the set */
	rig_tick(r, 1 * HF_SEC);
	rig_cas(r, 0);
	assert_false(r->record.leg[3].insync);
	assert_int_equal(r->v->committed, 4);
	r->v->base = r->v->next;		/* as if its part of the log were gone everywhere */
	rig_up(r, 3);
	rig_serve(r, 3);
	assert_int_equal(r->last[HF_ACT_ADOPT].adopt.mode, HF_ADOPT_RESYNC);
	assert_true(r->last[HF_ACT_ADOPT].adopt.resync_from <= r->last[HF_ACT_ADOPT].adopt.base);
	r->v->base = r->v->next - 3;
}

/* An interrupted resync goes on from where it began, or from where the histories part when that is earlier. */
static void test_volume_goes_on_with_an_interrupted_resync(void **state)
{
	static const struct { hf_seq began, last, commit, from; } cases[] = {
		{ 2, 4, 4, 2 },			/* as it was */
		{ 9, 4, 4, 4 },			/* what it meant to have beyond op 4 was of another history */
		{ 2, 8, 8, 0 },			/* it committed what this history lacks: it can tell nothing */
	};
	(void)state;

	for (uint32_t i = 0; i < 3; i++) {
		struct hf_leg *l;

		r = rig_serving(2, 1, true, 0);
		for (int n = 0; n < 6; n++)
			rig_write(r, 7);
		rig_settle(r);
		rig_primary(r, 0, false);	/* epoch 2 begins after op 6 */
		rig_settle(r);
		rig_run(r, 3 * HF_SEC);
		hf_volume_sized(r->v, 1024);
		rig_down(r, 3);
		rig_run(r, 6 * HF_SEC);
		assert_false(r->record.leg[3].insync);
		l = &r->leg[3].core;
		l->state.epochs.count = 1;
		l->state.inconsistent = true;
		l->state.resync_from = cases[i].began;
		l->last = cases[i].last;
		l->last_epoch = l->state.activated = 1;
		l->commit = cases[i].commit;
		rig_up(r, 3);
		rig_serve(r, 3);
		assert_int_equal(r->last[HF_ACT_ADOPT].leg, 3);
		assert_int_equal(r->last[HF_ACT_ADOPT].adopt.mode, HF_ADOPT_RESYNC);
		assert_int_equal(r->last[HF_ACT_ADOPT].adopt.resync_from, cases[i].from);
		rig_free(r);
	}
	r = rig_serving(1, 1, false, 0);
}

static void test_volume_refuses_promises_of_the_future(void **state)
{
	(void)state;
	r = rig_serving(1, 1, false, 0);
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	r->leg[1].core.state.activated = 99;
	rig_settle(r);
	assert_int_equal(r->v->leg[1].state, HF_VLEG_REFUSED);
	assert_non_null(strstr(r->v->leg[1].why, "nobody has claimed"));
}

/* Adopted, and back on a new connection before we serve: what it says then is checked as at any other time. */
static void test_volume_refuses_ops_that_it_has_not_sent(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 0);
	rig_write(r, 7);
	rig_settle(r);
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	for (uint32_t i = 0; i < 3; i++)
		rig_serve(r, i);			/* promises */
	rig_serve(r, 2);				/* adopts */
	rig_down(r, 2);
	r->leg[2].core.last = 1000000;
	rig_up(r, 2);
	rig_serve(r, 2);
	assert_int_equal(r->v->leg[2].state, HF_VLEG_REFUSED);
	r->leg[2].core.last = 1;
	rig_settle(r);
	rig_run(r, 10 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_int_equal(r->v->committed, 2);
}

static void test_volume_takes_no_lease_from_the_future(void **state)
{
	struct hf_ack ack = { .epoch = 1, .durable = 0 };
	struct hf_event e = { .kind = HF_EV_ACKED, .leg = 1, .ack = &ack };
	(void)state;

	r = rig_serving(1, 1, false, 0);
	rig_run(r, 1 * HF_SEC);
	e.gen = r->v->leg[1].gen;
	ack.cookie = r->now + 3600 * HF_SEC;
	rig_feed(r, &e);
	ack.cookie = UINT64_MAX - 1;
	rig_feed(r, &e);
	assert_true(r->v->leg[1].lease_until <= r->now + 2 * HF_SEC);
}

/* A leg that was asked too early after many a reconnect is asked again soon, not after the longest wait. */
static void test_volume_forgets_old_failures_of_a_leg_that_is_back(void **state)
{
	struct hf_promise busy = { .result = HF_LEG_WRONG_STATE };
	struct hf_event e = { .kind = HF_EV_PROMISED, .leg = 1, .promise = &busy };
	(void)state;

	r = rig_serving(1, 1, false, 1);
	for (int i = 0; i < 8; i++) {
		rig_down(r, 1);
		rig_up(r, 1);
		r->leg[1].count = 0;			/* its host is still opening it */
		e.gen = r->leg[1].gen;
		rig_feed(r, &e);
		assert_true(r->v->leg[1].retry_at <= r->now + 200 * HF_MS);
		rig_run(r, 1 * HF_SEC);
		assert_int_equal(r->v->leg[1].state, HF_VLEG_STREAMING);
	}
}

static void test_volume_does_not_take_a_loaded_op_of_another_history(void **state)
{
	struct hf_event e = { .kind = HF_EV_LOADED };
	struct hf_entry bad;
	(void)state;

	r = rig_serving(1, 1, false, 0);
	rig_write(r, 7);
	rig_write(r, 8);
	rig_serve(r, 0);			/* only the first host's leg has them */
	rig_serve(r, 0);
	rig_primary(r, 1, false);
	rig_cas(r, 0);
	rig_serve(r, 0);
	bad = r->leg[0].log[2];
	bad.block_crc[0] ^= 1;			/* no longer what its chain says */
	r->leg[0].log[2] = bad;
	rig_serve(r, 1);
	/* LOAD was refused: it decides again, and no assertion fell. */
	assert_int_equal(r->v->phase, HF_PHASE_PREPARING);
	assert_int_equal(r->count[HF_ACT_RELEASE], 0);
	e.entry = &bad;
	rig_feed(r, &e);			/* late: nothing is being loaded */
	r->leg[0].log[2].block_crc[0] ^= 1;
	rig_settle(r);
	rig_run(r, 5 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_int_equal(r->v->committed, 2);
	assert_int_equal(r->leg[1].core.last, 2);
	/* What the first attempt had read went first. */
	assert_non_null(strstr(r->trace, "release 1..1\n    load 1..2"));
}

static void test_volume_starts_a_leg_anew_when_the_log_ends_above_it(void **state)
{
	struct hf_event e = { .kind = HF_EV_UNSENDABLE, .leg = 2 };
	(void)state;

	r = rig_serving(1, 2, false, 0);
	e.gen = r->v->leg[2].gen;
	r->v->leg[2].state = HF_VLEG_STREAMING;
	rig_feed(r, &e);
	assert_int_equal(r->v->leg[2].state, HF_VLEG_UP);
	assert_int_equal(r->v->leg[2].down_since, r->now);	/* not evicted at once for an old absence */
	rig_run(r, 1 * HF_SEC);
	assert_int_equal(r->v->leg[2].state, HF_VLEG_STREAMING);
	assert_true(r->record.leg[2].insync);
}

static void test_volume_leaves_a_slow_leg_out_for_a_while(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 0);
	rig_write(r, 7);
	for (int i = 0; i < 80 && r->record.leg[2].insync; i++) {
		rig_tick(r, 50 * HF_MS);
		serve_all_but(2);
		if (r->cas_asked)
			rig_cas(r, 0);
	}
	assert_false(r->record.leg[2].insync);
	serve_all_but(2);
	assert_int_equal(r->acked, 2);
	rig_settle(r);				/* it is there again */
	rig_run(r, 10 * HF_SEC);
	assert_false(r->record.leg[2].insync);
	rig_run(r, 60 * HF_SEC);
	assert_true(r->record.leg[2].insync);
}

/* Writes wait for tolerance, tolerance waits for the resync: so the resync must not wait for the writes. */
/* H26: the record as it was before leg 2 was taken out. Its clean log would prove that op 1 was never acknowledged. */
static void test_volume_is_not_served_from_a_restored_store(void **state)
{
	struct hf_record old;
	(void)state;

	r = rig_serving(2, 1, false, 0);
	old = r->record;
	rig_down(r, 2);
	rig_write(r, 7);
	rig_settle(r);
	rig_run(r, 1 * HF_SEC);
	rig_write(r, 8);
	rig_settle(r);
	assert_int_equal(r->acked, 3);
	assert_false(r->record.leg[2].insync);
	rig_down(r, 0);
	r->leg[2].up = true;
	r->record = old;
	r->ver -= 2;
	for (int i = 0; i < 10; i++) {		/* claims make the copy newer by number, not by what it says */
		rig_primary(r, 1, false);
		rig_settle(r);
		rig_run(r, 3 * HF_SEC);
		assert_int_equal(r->v->phase, HF_PHASE_STOPPED);	/* guard CONFIG_DISTRUST */
		assert_non_null(strstr(r->v->stop_why, "restored from an old copy"));
	}
	assert_int_equal(r->leg[1].core.last, 3);
}

/* The same for an op that was on its way when leg 2 was taken out: it carries the version from before. */
static void test_volume_acknowledges_when_the_rest_knows_who_was_taken_out(void **state)
{
	struct hf_record old;
	(void)state;

	r = rig_serving(2, 1, false, 0);
	old = r->record;
	rig_down(r, 2);
	rig_write(r, 7);
	rig_settle(r);
	rig_tick(r, 400 * HF_MS);
	rig_cas(r, 0);
	assert_false(r->record.leg[2].insync);
	assert_int_equal(r->acked, 0);		/* guard CONFIG_DISTRUST: legs 0 and 1 do not know yet */
	rig_serve(r, 0);
	assert_int_equal(r->acked, 0);
	rig_settle(r);
	assert_int_equal(r->acked, 2);
	rig_down(r, 0);
	r->leg[2].up = true;
	r->record = old;
	r->ver--;
	rig_primary(r, 1, false);
	rig_settle(r);
	rig_run(r, 3 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_STOPPED);
}

/* R10: what a promotion decided is seen by the first read. Here the barrier cannot be told to leg 1 for a while. */
static void test_volume_opens_when_what_was_decided_is_committed(void **state)
{
	struct hf_record old;
	uint32_t opened;
	(void)state;

	r = rig_serving(1, 2, false, 0);
	old = r->record;
	rig_write(r, 7);			/* on two legs, and not acknowledged */
	rig_serve(r, 0);
	rig_serve(r, 1);
	opened = r->count[HF_ACT_SERVING];
	rig_down(r, 2);
	rig_primary(r, 0, false);
	for (int i = 0; i < 200 && r->v->phase != HF_PHASE_SERVING; i++) {
		if (r->cas_asked)
			rig_cas(r, 0);
		rig_serve(r, 0);
		rig_serve(r, 1);
		rig_tick(r, 50 * HF_MS);
	}
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_int_equal(r->v->promotion.decision.seq, 1);
	assert_int_equal(r->v->barrier, 2);
	assert_int_equal(r->count[HF_ACT_SERVING], opened);
	rig_settle(r);
	assert_int_equal(r->v->committed, 2);
	assert_int_equal(r->count[HF_ACT_SERVING], opened + 1);
	rig_down(r, 0);				/* a store restored from before would let leg 2 undo op 1 (H26) */
	r->leg[2].up = true;
	r->record = old;
	r->ver -= 2;
	rig_primary(r, 1, false);
	rig_settle(r);
	rig_run(r, 3 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_STOPPED);
}

/* A claim that came to nothing leaves nobody who refuses the next one. */
static void test_volume_is_served_after_claims_that_came_to_nothing(void **state)
{
	(void)state;
	r = rig_serving(2, 1, false, 0);
	rig_write(r, 7);
	rig_settle(r);
	for (uint32_t i = 0; i < 6; i++) {
		rig_primary(r, i % 3, false);
		rig_cas(r, 0);
		for (uint32_t n = 0; n < i; n++)	/* dies a little later each time */
			rig_serve(r, n % 3);
	}
	rig_primary(r, 0, false);
	rig_settle(r);
	rig_run(r, 5 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_int_equal(r->v->committed, 1);
	assert_int_equal(r->record.claimed_from, 0);
}

static void test_volume_sends_a_leg_in_a_resync_what_is_committed(void **state)
{
	struct hf_event done = { .kind = HF_EV_RESYNC_DONE, .leg = 1 };
	hf_seq s;
	(void)state;

	r = rig_serving(1, 1, false, 1);
	rig_write(r, 7);
	rig_settle(r);
	r->record.leg[1].insync = r->v->record.leg[1].insync = false;	/* as after a loss that was accepted */
	r->v->tolerance = 0;
	r->leg[1].core.state.inconsistent = true;
	r->leg[1].core.state.resync_from = 0;
	rig_down(r, 1);
	s = rig_write(r, 8);
	rig_up(r, 1);
	rig_settle(r);
	assert_true(hf_volume_is_blocked(r->v));
	assert_int_equal(r->count[HF_ACT_RESYNC], 1);
	assert_true(r->leg[1].core.last < s);
	rig_feed(r, &done);
	rig_settle(r);
	rig_run(r, 1 * HF_SEC);
	assert_true(r->record.leg[1].insync);
	assert_int_equal(r->acked, s);
}

/* H27: what a leg knows as committed is never cut, not even by the operator's word: it stays, as lost blocks. */
static void test_volume_keeps_a_committed_op_that_it_cannot_decode_as_lost(void **state)
{
	(void)state;
	r = rig_serving(2, 1, false, 0);
	rig_write(r, 7);
	rig_write(r, 8);
	rig_settle(r);
	rig_run(r, 1 * HF_SEC);
	assert_int_equal(r->leg[2].core.commit, 2);
	rig_down(r, 0);				/* for good */
	r->leg[1].core.suspect = true;		/* its log was unreadable after op 1 */
	r->leg[1].core.last = 1;
	r->leg[1].core.commit = 1;
	r->leg[1].core.chain = r->leg[1].log[1].chain;
	rig_primary(r, 1, false);
	rig_settle(r);
	rig_run(r, 3 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_PREPARING);
	r->v->accept_loss = true;
	rig_run(r, 5 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_true(r->v->promotion.accepted_loss);
	assert_int_equal(r->v->promotion.lost_from, 2);
	assert_true(hf_volume_is_lost(r->v, 2));
	assert_false(hf_volume_is_lost(r->v, 1));
	assert_int_equal(r->v->promotion.risk_count, 1);
	assert_int_equal(r->v->promotion.risk[0].lba, 8);
	assert_int_equal(r->v->committed, 3);		/* the last one tells who was taken out */
	assert_int_equal(r->leg[1].core.last, 3);
	assert_int_equal(rig_write(r, 9), 4);
	rig_settle(r);
	assert_int_equal(r->v->committed, 4);
}

static void test_volume_tells_the_record_of_a_committed_resize(void **state)
{
	struct hf_entry e = { .type = HF_OP_RESIZE, .lba = 4096 };
	struct hf_event ev = { .kind = HF_EV_OP, .entry = &e };
	(void)state;

	r = rig_serving(1, 1, false, 1);
	rig_feed(r, &ev);
	rig_turn(r);
	rig_serve(r, 0);
	rig_run(r, 0);
	assert_int_equal(r->record.size_blocks, 1024);
	rig_settle(r);
	rig_run(r, 100 * HF_MS);
	assert_int_equal(r->record.size_blocks, 4096);
	assert_int_equal(r->record.epoch, 1);
}

static void test_volume_puts_a_blank_leg_in_the_place_of_one_that_is_gone(void **state)
{
	struct hf_event e = { .kind = HF_EV_REPLACED, .leg = 2 };
	struct hf_leg_state blank = { 0 };
	struct hf_leg_identity id;
	(void)state;

	r = rig_serving(1, 2, false, 1);
	rig_write(r, 7);
	rig_settle(r);
	r->leg[2].exists = false;
	rig_down(r, 2);
	rig_up(r, 2);
	rig_run(r, 15 * HF_SEC);
	assert_int_equal(r->count[HF_ACT_REPLACE], 1);
	assert_false(r->record.leg[2].insync);
	r->v->leg[2].state = HF_VLEG_PREPARING;	/* asked under the old uuid; that answer finds no leg any more */
	memset(&e.incarnation, 0x5a, sizeof(e.incarnation));
	id = r->leg[2].core.id;
	id.leg = e.incarnation;
	hf_leg_init(&r->leg[2].core, &id, &blank, 0, 0, 0, 0, false, r->now, 2 * HF_SEC);
	r->leg[2].exists = true;
	r->leg[2].first = 1;
	rig_feed(r, &e);
	rig_settle(r);
	rig_run(r, 2 * HF_SEC);
	assert_true(hf_uuid_is_equal(&r->record.leg[2].uuid, &e.incarnation));
	assert_true(r->count[HF_ACT_RESYNC] == 1 || r->record.leg[2].insync);
	if (r->count[HF_ACT_RESYNC]) {
		struct hf_event done = { .kind = HF_EV_RESYNC_DONE, .leg = 2 };

		rig_feed(r, &done);
	}
	rig_run(r, 2 * HF_SEC);
	assert_true(r->record.leg[2].insync);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_volume_serves_when_every_leg_has_adopted, down),
		cmocka_unit_test_teardown(test_volume_acknowledges_when_every_leg_has_it, down),
		cmocka_unit_test_teardown(test_volume_holds_writes_below_the_minimum_and_fails_none, down),
		cmocka_unit_test_teardown(test_volume_without_a_minimum_goes_on_alone, down),
		cmocka_unit_test_teardown(test_volume_commits_what_was_decided_at_any_tolerance, down),
		cmocka_unit_test_teardown(test_volume_decides_again_when_those_it_counted_on_are_gone, down),
		cmocka_unit_test_teardown(test_volume_claims_once_for_a_member_that_it_cannot_use, down),
		cmocka_unit_test_teardown(test_volume_waits_for_a_member_that_is_away_when_another_is_of_no_use, down),
		cmocka_unit_test_teardown(test_volume_survey_ends_for_a_member_and_for_time, down),
		cmocka_unit_test_teardown(test_volume_keeps_a_leg_that_is_there_after_all, down),
		cmocka_unit_test_teardown(test_volume_waits_for_leases_of_the_old_primary, down),
		cmocka_unit_test_teardown(test_volume_reads_under_leases_of_every_leg, down),
		cmocka_unit_test_teardown(test_volume_gives_no_vote_to_a_leg_that_lost_its_memory, down),
		cmocka_unit_test_teardown(test_volume_is_promoted_without_a_member_that_forgot, down),
		cmocka_unit_test_teardown(test_volume_is_promoted_without_a_member_that_forgot_while_it_adopted, down),
		cmocka_unit_test_teardown(test_volume_takes_out_a_member_that_forgot_at_any_tolerance, down),
		cmocka_unit_test_teardown(test_volume_adds_a_leg_to_the_acknowledge_set_before_the_record, down),
		cmocka_unit_test_teardown(test_volume_does_not_count_a_leg_that_forgot_while_it_was_added, down),
		cmocka_unit_test_teardown(test_volume_rebuilds_a_leg_that_forgot_when_it_was_not_added, down),
		cmocka_unit_test_teardown(test_volume_reads_under_a_lease_of_a_leg_that_is_being_added, down),
		cmocka_unit_test_teardown(test_volume_believes_a_change_when_it_reads_its_own_nonce, down),
		cmocka_unit_test_teardown(test_volume_steps_down_for_another_epoch_in_the_record, down),
		cmocka_unit_test_teardown(test_volume_hears_no_answer_of_an_old_connection, down),
		cmocka_unit_test_teardown(test_volume_gives_no_vote_to_a_leg_in_a_resync, down),
		cmocka_unit_test_teardown(test_volume_asks_the_cluster_store_again_only_after_a_while, down),
		cmocka_unit_test_teardown(test_volume_resyncs_from_no_later_than_what_is_committed, down),
		cmocka_unit_test_teardown(test_volume_goes_on_with_an_interrupted_resync, down),
		cmocka_unit_test_teardown(test_volume_refuses_promises_of_the_future, down),
		cmocka_unit_test_teardown(test_volume_refuses_ops_that_it_has_not_sent, down),
		cmocka_unit_test_teardown(test_volume_takes_no_lease_from_the_future, down),
		cmocka_unit_test_teardown(test_volume_forgets_old_failures_of_a_leg_that_is_back, down),
		cmocka_unit_test_teardown(test_volume_does_not_take_a_loaded_op_of_another_history, down),
		cmocka_unit_test_teardown(test_volume_starts_a_leg_anew_when_the_log_ends_above_it, down),
		cmocka_unit_test_teardown(test_volume_leaves_a_slow_leg_out_for_a_while, down),
		cmocka_unit_test_teardown(test_volume_is_not_served_from_a_restored_store, down),
		cmocka_unit_test_teardown(test_volume_acknowledges_when_the_rest_knows_who_was_taken_out, down),
		cmocka_unit_test_teardown(test_volume_opens_when_what_was_decided_is_committed, down),
		cmocka_unit_test_teardown(test_volume_is_served_after_claims_that_came_to_nothing, down),
		cmocka_unit_test_teardown(test_volume_sends_a_leg_in_a_resync_what_is_committed, down),
		cmocka_unit_test_teardown(test_volume_keeps_a_committed_op_that_it_cannot_decode_as_lost, down),
		cmocka_unit_test_teardown(test_volume_tells_the_record_of_a_committed_resize, down),
		cmocka_unit_test_teardown(test_volume_puts_a_blank_leg_in_the_place_of_one_that_is_gone, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

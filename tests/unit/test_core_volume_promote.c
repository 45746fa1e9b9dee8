// SPDX-License-Identifier: MIT
/*
 * Needs: libhf_core. Promotions that meet what seldom happens: legs that fall behind, go away or come back in the
 * middle, a loss that the operator accepts, and what the certificate says of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

static void feed_surveyed(uint32_t leg, hf_seq seq, uint64_t lba, uint32_t nblocks)
{
	struct hf_entry entry = { .type = HF_OP_WRITE, .seq = seq, .lba = lba, .nblocks = nblocks };
	struct hf_event e = { .kind = HF_EV_SURVEYED, .leg = leg, .gen = r->v->leg[leg].gen };

	e.entry = seq ? &entry : NULL;
	rig_feed(r, &e);
}

/* Serve what asks for a promise or an adoption; ops stay where they are. */
static void serve_control(uint32_t leg)
{
	struct rig_leg *l = &r->leg[leg];

	while (l->count && (l->queue[l->head].kind == HF_ACT_PREPARE || l->queue[l->head].kind == HF_ACT_ADOPT))
		rig_serve(r, leg);
}

/*
 * I2: an epoch of ours was given up in which leg 0 had adopted op 2; in the next one op 2 is another op, and what leg 0
 * had of the first says nothing about it.
 */
static void test_what_a_leg_had_in_an_epoch_given_up_acknowledges_nothing(void **state)
{
	(void)state;
	r = rig_serving(2, 1, false, 0);
	rig_write(r, 7);
	rig_settle(r);
	rig_write(r, 8);
	rig_serve(r, 0);
	rig_serve(r, 1);			/* leg 2 lacks op 2: it is not acknowledged */
	rig_down(r, 2);
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	rig_tick(r, 1100 * HF_MS);		/* leg 2 is silent: decide without it */
	rig_serve(r, 0);
	rig_serve(r, 1);
	rig_serve(r, 0);			/* adopts up to op 2 */
	assert_int_equal(r->v->promotion.decision.seq, 2);
	assert_true(r->v->leg[0].adopted);
	rig_down(r, 1);				/* before it has */
	rig_tick(r, 1100 * HF_MS);
	rig_up(r, 2);
	for (int i = 0; i < 200 && r->v->phase != HF_PHASE_SERVING; i++) {
		if (r->cas_asked)
			rig_cas(r, 0);
		serve_control(0);
		rig_serve(r, 2);
		rig_tick(r, 50 * HF_MS);
	}
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_int_equal(r->v->promotion.decision.seq, 1);	/* only leg 0 has op 2 now: it was cut */
	assert_int_equal(r->leg[0].core.last, 1);
	rig_write(r, 9);
	while (rig_serve(r, 2))
		;
	assert_int_equal(r->leg[0].core.last, 1);
	assert_int_equal(r->v->committed, 1);	/* guard ACK_ALL */
	rig_settle(r);
	assert_int_equal(r->v->committed, r->v->next - 1);
}

/* What a suspect leg lost is more than may be read back: it stays out, and the others serve. */
static void test_a_leg_that_lost_very_much_is_left_out(void **state)
{
	struct hf_leg *l;
	(void)state;

	r = rig_serving(1, 2, false, 0);
	for (uint32_t i = 0; i < 3; i++) {
		l = &r->leg[i].core;
		l->last = l->commit = i == 2 ? 10 : 10 + HF_WINDOW / 2 + 1;
		l->last_epoch = 1;
		l->suspect = i == 2;
		l->chain = i == 2 ? 1 : 2;
	}
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	for (uint32_t i = 0; i < 3; i++)
		rig_serve(r, i);
	assert_int_equal(r->v->promotion.valid, 7);
	assert_int_equal(r->v->promotion.kept, 3);
	assert_int_equal(r->count[HF_ACT_LOAD], 0);
	r->leg[2].core.last++;			/* one less: that much is read back */
	r->leg[2].core.commit++;
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	for (uint32_t i = 0; i < 3; i++)
		rig_serve(r, i);
	assert_int_equal(r->v->promotion.kept, 7);
	assert_int_equal(r->count[HF_ACT_LOAD], 1);
}

static void test_a_leg_that_lost_more_while_it_adopts_stays_out(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 0);
	for (int i = 0; i < 5; i++)
		rig_write(r, 7);
	rig_settle(r);
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	for (uint32_t i = 0; i < 3; i++)
		rig_serve(r, i);
	assert_int_equal(r->v->phase, HF_PHASE_ADOPTING);
	assert_int_equal(r->v->base, 6);
	rig_down(r, 2);
	r->leg[2].core.last = r->leg[2].core.commit = 3;	/* its tail became unreadable */
	r->leg[2].core.suspect = true;
	rig_up(r, 2);
	rig_serve(r, 2);
	assert_int_equal(r->v->leg[2].state, HF_VLEG_PROMISED);
	rig_run(r, 5 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_int_equal(r->v->committed, r->v->next - 1);
	assert_true(r->v->committed >= 5);
}

/* 2+1: op 2 is on leg 1 only, leg 0 is away and leg 2 suspect: the operator is asked, and accepts. */
static void about_to_give_up(void)
{
	r = rig_serving(2, 1, false, 0);
	rig_write(r, 7);
	rig_settle(r);
	rig_write(r, 8);
	rig_write(r, 9);
	rig_serve(r, 1);
	rig_serve(r, 1);
	rig_down(r, 0);
	r->leg[2].core.suspect = true;
	r->no_survey = true;
	rig_primary(r, 1, true);
	rig_settle(r);
	rig_run(r, 1100 * HF_MS);
	assert_int_equal(r->v->phase, HF_PHASE_SURVEYING);
	assert_int_equal(r->v->survey_set, HF_LEG_BIT(1));
	assert_int_equal(r->v->promotion.lost_from, 2);
}

static void test_what_is_at_risk_is_told_in_as_few_extents_as_it_takes(void **state)
{
	const struct hf_promotion *p;
	(void)state;

	about_to_give_up();
	p = &r->v->promotion;
	feed_surveyed(1, 1, 500, 1);		/* before what is given up */
	feed_surveyed(2, 2, 500, 1);		/* of a leg that was not asked */
	feed_surveyed(1, 2, 500, 0);		/* it changes nothing */
	assert_int_equal(p->risk_count, 0);
	feed_surveyed(1, 2, 100, 10);
	feed_surveyed(1, 3, 200, 10);
	assert_int_equal(p->risk_count, 2);
	feed_surveyed(1, 4, 110, 5);		/* next to the first one */
	feed_surveyed(1, 5, 195, 7);		/* begins before the second one */
	feed_surveyed(1, 6, 102, 3);		/* within the first one */
	assert_int_equal(p->risk_count, 2);
	assert_int_equal(p->risk[0].lba, 100);
	assert_int_equal(p->risk[0].nblocks, 15);
	assert_int_equal(p->risk[1].lba, 195);
	assert_int_equal(p->risk[1].nblocks, 15);
	for (uint32_t i = 0; i < HF_RISK_MAX; i++)
		feed_surveyed(1, 7 + i, 1000 + 10 * i, 1);
	assert_int_equal(p->risk_count, HF_RISK_MAX + 2);	/* what does not fit is counted */
	assert_int_equal(p->risk[HF_RISK_MAX - 1].lba, 1000 + 10 * (HF_RISK_MAX - 3));
	feed_surveyed(1, 0, 0, 0);
	assert_int_equal(r->v->phase, HF_PHASE_ADOPTING);
	assert_false(p->risk_incomplete);
	feed_surveyed(1, 2, 7000, 1);		/* late */
	assert_int_equal(p->risk_count, HF_RISK_MAX + 2);
}

static void test_a_survey_waits_for_every_leg_that_shows_something(void **state)
{
	struct hf_event failed = { .kind = HF_EV_SURVEYED, .leg = 2, .result = -EIO };
	(void)state;

	r = rig_serving(4, 1, false, 0);	/* op 2 is on legs 1 and 2, and needs four */
	rig_write(r, 7);
	rig_settle(r);
	rig_write(r, 8);
	rig_serve(r, 1);
	rig_serve(r, 2);
	rig_down(r, 0);
	r->leg[3].core.suspect = r->leg[4].core.suspect = true;
	r->no_survey = true;
	r->record.geometry.m = 2;		/* two suspect tails do not prove it */
	rig_primary(r, 1, true);
	rig_settle(r);
	rig_run(r, 1100 * HF_MS);
	assert_int_equal(r->v->survey_set, HF_LEG_BIT(1) | HF_LEG_BIT(2));
	feed_surveyed(1, 0, 0, 0);
	assert_int_equal(r->v->phase, HF_PHASE_SURVEYING);
	failed.gen = r->v->leg[2].gen;
	rig_feed(r, &failed);
	assert_int_equal(r->v->phase, HF_PHASE_ADOPTING);
	assert_true(r->v->promotion.risk_incomplete);
}

static void test_a_survey_goes_on_when_others_come_back(void **state)
{
	struct hf_promise none = { .result = HF_LEG_NONE };
	struct hf_event e = { .kind = HF_EV_PROMISED, .leg = 0, .promise = &none };
	(void)state;

	about_to_give_up();
	rig_up(r, 0);
	e.gen = r->v->leg[0].gen;
	rig_feed(r, &e);			/* a member without its leg brings nothing back */
	assert_int_equal(r->v->phase, HF_PHASE_SURVEYING);
	r->v->record.leg[0].insync = false;
	r->leg[0].count = 0;
	rig_up(r, 0);
	rig_serve(r, 0);			/* nor does one that is no member */
	assert_int_equal(r->v->leg[0].state, HF_VLEG_PROMISED);
	assert_int_equal(r->v->phase, HF_PHASE_SURVEYING);
}

/* A leg that the decision counts on goes away while the others tell what is given up. */
static void test_a_leg_that_goes_away_before_it_is_to_adopt_is_awaited(void **state)
{
	(void)state;
	about_to_give_up();
	rig_down(r, 2);
	feed_surveyed(1, 0, 0, 0);
	assert_int_equal(r->v->phase, HF_PHASE_ADOPTING);
	assert_int_equal(r->v->adopt_set, HF_LEG_BIT(1) | HF_LEG_BIT(2));
	assert_int_equal(r->v->leg[2].state, HF_VLEG_DOWN);
	rig_settle(r);
	assert_int_equal(r->v->phase, HF_PHASE_ADOPTING);
	rig_up(r, 2);
	rig_settle(r);
	rig_run(r, 5 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_true(r->v->promotion.accepted_loss);
	assert_memory_equal(&r->record.lineage, &r->v->incarnation, sizeof(r->record.lineage));
}

/* All who answered are suspect, and nobody shows what they may all have lost: there is nothing to survey. */
static void test_a_loss_that_nobody_shows_is_accepted_without_a_survey(void **state)
{
	(void)state;
	r = rig_serving(2, 2, false, 0);
	rig_write(r, 7);
	rig_settle(r);
	rig_down(r, 2);
	rig_down(r, 3);
	r->leg[0].core.suspect = r->leg[1].core.suspect = true;
	rig_primary(r, 0, false);
	rig_settle(r);
	rig_run(r, 3 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_PREPARING);
	assert_int_equal(r->v->promotion.decision.verdict, HF_VERDICT_MAYBE_ACKED);
	r->v->accept_loss = true;
	rig_run(r, 5 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_int_equal(r->count[HF_ACT_SURVEY], 0);
	assert_true(r->v->promotion.accepted_loss);
	assert_int_equal(r->v->promotion.lost_from, 2);
}

/* 4+2: what is known committed stays, in the shortest log that has all of it, under the epochs of that log. */
static void test_a_history_that_is_given_up_ends_where_a_committed_log_ends(void **state)
{
	static const struct { hf_seq last, commit; bool suspect;
	} legs[6] = { { 9, 8, false }, { 8, 8, false }, { 5, 5, true }, { 5, 5, true }, { 0 }, { 0 } };
	(void)state;

	r = rig_serving(4, 2, false, 0);
	for (int i = 0; i < 9; i++)
		rig_write(r, 7);
	rig_settle(r);
	for (uint32_t i = 0; i < 4; i++) {
		struct hf_leg *l = &r->leg[i].core;

		l->last = legs[i].last;
		l->commit = legs[i].commit;
		l->chain = r->leg[i].log[l->last].chain;
		l->suspect = legs[i].suspect;
	}
	hf_epoch_cache_add(&r->leg[1].core.state.epochs, 2, 9);	/* it adopted an epoch that has no op yet */
	r->leg[1].core.state.promised = 1;
	rig_down(r, 4);
	rig_down(r, 5);
	r->no_survey = true;
	rig_primary(r, 0, false);
	rig_settle(r);
	rig_primary(r, 0, true);
	rig_settle(r);
	rig_run(r, 1100 * HF_MS);
	assert_int_equal(r->v->phase, HF_PHASE_SURVEYING);
	assert_int_equal(r->v->promotion.lost_from, 6);
	assert_int_equal(r->v->promotion.decision.seq, 8);
	assert_int_equal(r->v->promotion.decision.chain, r->leg[1].log[8].chain);
	assert_int_equal(r->v->promotion.decision.epochs.count, 1);
}

/* I8: two legs know different ops as committed. That cannot be; should it be so, the one that is not kept stays out. */
static void test_a_leg_that_committed_another_history_stays_out(void **state)
{
	static const struct { hf_seq last, commit; bool suspect;
	} legs[6] = { { 10, 10, false }, { 9, 9, false }, { 5, 5, true }, { 5, 5, true }, { 0 }, { 0 } };
	(void)state;

	r = rig_serving(4, 2, false, 0);
	for (int i = 0; i < 10; i++)
		rig_write(r, 7);
	rig_settle(r);
	for (uint32_t i = 0; i < 4; i++) {
		struct hf_leg *l = &r->leg[i].core;

		l->last = legs[i].last;
		l->commit = legs[i].commit;
		l->suspect = legs[i].suspect;
		l->chain = r->leg[i].log[l->last].chain;
	}
	r->leg[1].core.state.epochs.count = 1;
	hf_epoch_cache_add(&r->leg[1].core.state.epochs, 2, 8);
	r->leg[1].core.last_epoch = 2;
	rig_down(r, 4);
	rig_down(r, 5);
	r->no_survey = true;
	rig_primary(r, 0, false);
	rig_cas(r, 0);
	rig_primary(r, 0, true);
	rig_settle(r);
	rig_run(r, 4 * HF_SEC);
	assert_int_equal(r->v->promotion.decision.seq, 10);
	assert_int_equal(r->v->promotion.kept & HF_LEG_BIT(1), 0);
	assert_int_equal(r->v->promotion.kept & HF_LEG_BIT(0), HF_LEG_BIT(0));
	assert_int_equal(hf_volume_holders(r->v, 9), HF_LEG_BIT(0));	/* leg 1 has another op 9 */
	assert_int_equal(hf_volume_holders(r->v, 6), HF_LEG_BIT(0) | HF_LEG_BIT(1));
}

/* Nothing is lost, but the minimum cannot be kept: the operator's word lowers it. */
static void test_an_operator_may_go_on_below_the_minimum(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 2);
	rig_write(r, 7);
	rig_settle(r);
	rig_down(r, 1);
	rig_down(r, 2);
	rig_primary(r, 0, false);
	rig_settle(r);
	rig_run(r, 3 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_PREPARING);
	r->v->accept_loss = true;
	rig_run(r, 5 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_false(r->v->promotion.accepted_loss);
	assert_int_equal(r->record.min_tolerance, 0);
	assert_true(hf_uuid_is_zero(&r->record.lineage));
	rig_write(r, 8);
	rig_settle(r);
	assert_int_equal(r->v->committed, r->v->next - 1);
	assert_false(hf_volume_is_blocked(r->v));
}

static void test_an_operator_who_accepts_a_loss_lowers_no_minimum_that_is_kept(void **state)
{
	(void)state;
	r = rig_serving(2, 2, false, 0);
	rig_write(r, 7);
	rig_settle(r);
	rig_write(r, 8);
	rig_serve(r, 1);			/* op 2 is on leg 1 only */
	rig_down(r, 0);
	r->leg[2].core.suspect = r->leg[3].core.suspect = true;
	r->record.min_tolerance = 1;
	rig_primary(r, 1, true);
	rig_settle(r);
	rig_run(r, 6 * HF_SEC);
	assert_int_equal(r->v->phase, HF_PHASE_SERVING);
	assert_true(r->v->promotion.accepted_loss);
	assert_int_equal(r->record.min_tolerance, 1);
	assert_false(hf_uuid_is_zero(&r->record.lineage));
}

/* Legs may send anything as an op of the history. */
static void test_an_op_that_does_not_continue_the_history_is_not_loaded(void **state)
{
	(void)state;
	for (int i = 0; i < 7; i++) {
		struct hf_entry bad;
		struct hf_event e = { .kind = HF_EV_LOADED, .entry = &bad };

		r = rig_serving(1, 1, false, 0);
		rig_write(r, 7);
		rig_write(r, 8);
		rig_serve(r, 0);
		rig_serve(r, 0);		/* only leg 0 has them */
		r->no_load = true;
		rig_primary(r, 1, false);
		rig_cas(r, 0);
		rig_serve(r, 0);
		rig_serve(r, 1);
		assert_int_equal(r->v->phase, HF_PHASE_LOADING);
		bad = r->leg[0].log[1];
		if (i < 6)
			rig_feed(r, &e);
		assert_int_equal(r->v->load_next, i < 6 ? 2 : 1);
		bad = r->leg[0].log[2];		/* i is 6: in place of the first one */
		if (i == 0)
			bad.seq = 3;
		if (i == 1)
			bad.epoch = 9;
		if (i == 2)
			bad.prev_chain ^= 1;
		if (i == 3)
			bad.lba ^= 1;
		if (i == 4) {			/* a chain of its own, but not what the legs had named */
			bad.lba ^= 1;
			bad.chain = hf_entry_chain(bad.prev_chain, &bad);
		}
		if (i == 5)
			e.result = -EIO;
		rig_feed(r, &e);
		assert_int_equal(r->v->phase, HF_PHASE_PREPARING);
		r->no_load = false;
		rig_settle(r);
		rig_run(r, 5 * HF_SEC);
		assert_int_equal(r->v->phase, HF_PHASE_SERVING);
		assert_int_equal(r->v->committed, 2);
		rig_free(r);
	}
	r = rig_serving(1, 1, false, 0);
}

/* R8: a leg in the middle of a resync has a hole in its content: no vote, whatever the record says. */
static void test_a_leg_in_a_resync_has_no_vote(void **state)
{
	(void)state;
	r = rig_serving(1, 2, false, 0);
	rig_write(r, 7);
	rig_settle(r);
	r->leg[2].core.state.inconsistent = true;
	rig_primary(r, 0, false);
	rig_settle(r);
	assert_int_equal(r->v->promotion.answered, 7);
	assert_int_equal(r->v->promotion.valid, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_what_a_leg_had_in_an_epoch_given_up_acknowledges_nothing, down),
		cmocka_unit_test_teardown(test_a_leg_that_lost_very_much_is_left_out, down),
		cmocka_unit_test_teardown(test_a_leg_that_lost_more_while_it_adopts_stays_out, down),
		cmocka_unit_test_teardown(test_what_is_at_risk_is_told_in_as_few_extents_as_it_takes, down),
		cmocka_unit_test_teardown(test_a_survey_waits_for_every_leg_that_shows_something, down),
		cmocka_unit_test_teardown(test_a_survey_goes_on_when_others_come_back, down),
		cmocka_unit_test_teardown(test_a_leg_that_goes_away_before_it_is_to_adopt_is_awaited, down),
		cmocka_unit_test_teardown(test_a_loss_that_nobody_shows_is_accepted_without_a_survey, down),
		cmocka_unit_test_teardown(test_a_history_that_is_given_up_ends_where_a_committed_log_ends, down),
		cmocka_unit_test_teardown(test_a_leg_that_committed_another_history_stays_out, down),
		cmocka_unit_test_teardown(test_an_operator_may_go_on_below_the_minimum, down),
		cmocka_unit_test_teardown(test_an_operator_who_accepts_a_loss_lowers_no_minimum_that_is_kept, down),
		cmocka_unit_test_teardown(test_an_op_that_does_not_continue_the_history_is_not_loaded, down),
		cmocka_unit_test_teardown(test_a_leg_in_a_resync_has_no_vote, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

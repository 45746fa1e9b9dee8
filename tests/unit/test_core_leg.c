// SPDX-License-Identifier: MIT
/* Needs: libhf_core. The leg's side of the protocol: whom it obeys, what it appends, what it promises, what it owes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/entry.h"
#include "core/leg.h"

#define LEASE (2 * HF_SEC)
#define NOW (100 * HF_SEC)

static struct hf_leg leg;

static void blank(void)
{
	struct hf_leg_identity id = { .geometry = { 2, 1 } };
	struct hf_leg_state state = { 0 };

	hf_leg_init(&leg, &id, &state, 0, 0, 0, 0, false, NOW, LEASE);
}

static int prepare(hf_epoch epoch, uint8_t incarnation, uint64_t ver, bool *persist)
{
	struct hf_prepare m = { .epoch = epoch, .incarnation.b[0] = incarnation, .ver = ver };

	return hf_leg_prepare(&leg, &m, persist);
}

static int adopt_log(hf_epoch epoch, hf_seq start, hf_seq target)
{
	struct hf_adopt m = { .epoch = epoch, .mode = HF_ADOPT_LOG, .target = target, .epochs = leg.state.epochs };
	struct hf_adopt_plan plan;
	int result;

	if (!m.epochs.count || m.epochs.at[m.epochs.count - 1].epoch < epoch)
		hf_epoch_cache_add(&m.epochs, epoch, start);
	result = hf_leg_adopt(&leg, &m, &plan);
	if (result == HF_LEG_OK)
		hf_leg_adopt_done(&leg, &m, &plan, leg.last_epoch, plan.keep == leg.last ? leg.chain : 0);
	return result;
}

static struct hf_entry op(hf_epoch epoch)
{
	struct hf_entry e = { .type = HF_OP_WRITE, .epoch = epoch, .seq = leg.last + 1, .lba = 3, .nblocks = 1,
			      .prev_chain = leg.chain, .block_crc[0] = (uint32_t)(leg.last + 5) };

	e.chain = hf_entry_chain(e.prev_chain, &e);
	return e;
}

/* Promised and activated for epoch 1, with three ops of which two are committed. */
static void used(void)
{
	bool persist;

	blank();
	assert_int_equal(prepare(1, 1, 1, &persist), HF_LEG_OK);
	assert_int_equal(adopt_log(1, 1, 0), HF_LEG_OK);
	for (int i = 0; i < 3; i++) {
		struct hf_entry e = op(1);

		assert_int_equal(hf_leg_append(&leg, 1, &e), HF_APPEND_OK);
		hf_leg_appended(&leg, &e);
	}
	leg.commit = 2;
}

static void test_leg_obeys_the_newest_epoch_only(void **state)
{
	bool persist;
	struct hf_entry e;
	(void)state;

	used();
	assert_int_equal(prepare(3, 2, 1, &persist), HF_LEG_OK);
	assert_true(persist);
	assert_int_equal(prepare(2, 3, 1, &persist), HF_LEG_STALE);
	assert_int_equal(prepare(3, 9, 1, &persist), HF_LEG_STALE);	/* one epoch, one incarnation (R1) */
	assert_int_equal(prepare(3, 2, 1, &persist), HF_LEG_OK);	/* asked again: nothing to write */
	assert_false(persist);
	e = op(1);
	assert_int_equal(hf_leg_append(&leg, 1, &e), HF_APPEND_STALE);	/* guard FENCE */
	assert_int_equal(adopt_log(1, 1, 3), HF_LEG_STALE);
}

static void test_leg_takes_no_op_before_it_adopted(void **state)
{
	bool persist;
	struct hf_entry e;
	(void)state;

	used();
	assert_int_equal(prepare(2, 2, 1, &persist), HF_LEG_OK);
	e = op(2);
	assert_int_equal(hf_leg_append(&leg, 2, &e), HF_APPEND_WRONG_STATE);
	e = op(1);				/* fits its log, but perhaps not the history that was decided */
	assert_int_equal(hf_leg_append(&leg, 2, &e), HF_APPEND_WRONG_STATE);	/* guard ACTIVATED */
	assert_int_equal(adopt_log(2, 4, 3), HF_LEG_OK);
	e = op(2);
	assert_int_equal(hf_leg_append(&leg, 2, &e), HF_APPEND_OK);
}

static void test_leg_refuses_a_configuration_older_than_it_has_seen(void **state)
{
	bool persist;
	(void)state;

	used();
	assert_int_equal(prepare(2, 2, 8, &persist), HF_LEG_OK);
	assert_int_equal(prepare(3, 3, 7, &persist), HF_LEG_STALE);	/* guard CONFIG_DISTRUST (R15) */
	assert_int_equal(prepare(3, 3, 8, &persist), HF_LEG_OK);
}

static void test_leg_appends_in_order_and_along_the_chain(void **state)
{
	struct hf_entry e, again;
	(void)state;

	used();
	e = op(1);
	again = e;
	e.seq++;
	assert_int_equal(hf_leg_append(&leg, 1, &e), HF_APPEND_WRONG_STATE);
	e = again;
	e.prev_chain ^= 1;
	assert_int_equal(hf_leg_append(&leg, 1, &e), HF_APPEND_WRONG_STATE);
	e = again;
	e.block_crc[0] ^= 1;
	assert_int_equal(hf_leg_append(&leg, 1, &e), HF_APPEND_WRONG_STATE);
	hf_leg_appended(&leg, &again);
	assert_int_equal(hf_leg_append(&leg, 1, &again), HF_APPEND_DUPLICATE);
	again.epoch = 9;
	assert_int_equal(hf_leg_append(&leg, 1, &again), HF_APPEND_WRONG_STATE);
}

static void test_leg_never_cuts_what_it_knows_as_committed(void **state)
{
	struct hf_adopt m = { .epoch = 2, .mode = HF_ADOPT_LOG, .target = 1 };
	struct hf_adopt_plan plan;
	bool persist;
	(void)state;

	used();
	assert_int_equal(prepare(2, 2, 1, &persist), HF_LEG_OK);
	hf_epoch_cache_add(&m.epochs, 1, 1);
	hf_epoch_cache_add(&m.epochs, 2, 2);			/* a history that ends after op 1 */
	assert_int_equal(hf_leg_adopt(&leg, &m, &plan), HF_LEG_WOULD_CUT_COMMITTED);
	m.target = 2;
	m.epochs.at[1].start = 3;
	assert_int_equal(hf_leg_adopt(&leg, &m, &plan), HF_LEG_OK);
	assert_true(plan.truncate && plan.active);
	assert_int_equal(plan.keep, 2);
}

static void test_leg_activates_when_the_missing_ops_are_durable(void **state)
{
	struct hf_leg_state next;
	struct hf_entry e;
	bool persist;
	(void)state;

	used();
	assert_int_equal(prepare(2, 2, 1, &persist), HF_LEG_OK);
	assert_int_equal(adopt_log(2, 6, 5), HF_LEG_OK);		/* lacks ops 4 and 5 of epoch 1 */
	assert_int_equal(leg.state.activated, 1);
	e = op(1);
	assert_int_equal(hf_leg_append(&leg, 2, &e), HF_APPEND_OK);
	hf_leg_appended(&leg, &e);
	assert_false(hf_leg_durable(&leg, 4, &next));
	e = op(1);
	hf_leg_appended(&leg, &e);
	assert_true(hf_leg_durable(&leg, 5, &next));
	hf_leg_activated(&leg, &next);
	assert_int_equal(leg.state.activated, 2);
}

static hf_nsec owed(hf_epoch epoch, hf_nsec now)
{
	struct hf_prepare m = { .epoch = epoch };
	struct hf_promise p;

	hf_leg_promise(&leg, &m, 1, 1024, now, &p);
	return p.lease_left;
}

static void test_leg_tells_what_it_owes_to_the_old_primary(void **state)
{
	bool persist;
	(void)state;

	used();
	assert_true(hf_leg_grant_lease(&leg, 1, NOW));
	assert_int_equal(prepare(2, 2, 1, &persist), HF_LEG_OK);
	assert_false(hf_leg_grant_lease(&leg, 1, NOW));
	assert_int_equal(owed(2, NOW + HF_SEC), LEASE - HF_SEC);
	/* The new primary's own lease, granted before it serves, does not make the old one's forgotten (R10). */
	assert_int_equal(adopt_log(2, 4, 3), HF_LEG_OK);
	assert_true(hf_leg_grant_lease(&leg, 2, NOW + HF_SEC));
	assert_int_equal(owed(2, NOW + HF_SEC), LEASE - HF_SEC);
	assert_int_equal(owed(3, NOW + HF_SEC), LEASE);
	assert_int_equal(owed(2, NOW + 5 * HF_SEC), 0);
	hf_leg_release_lease(&leg, 2);
	assert_int_equal(owed(3, NOW + HF_SEC), LEASE - HF_SEC);
}

static void test_leg_that_boots_owes_a_lease(void **state)
{
	struct hf_leg_state old = { .promised = 4, .activated = 4 };
	struct hf_leg_identity id = { .geometry = { 2, 1 } };
	(void)state;

	hf_leg_init(&leg, &id, &old, 4, 10, 77, 9, false, NOW, LEASE);
	assert_int_equal(owed(5, NOW), LEASE);				/* guard LEASE_BOOT (H32) */
	blank();
	assert_int_equal(owed(1, NOW), 0);				/* it never granted any */
}

static void test_leg_in_a_resync_has_no_lease_and_no_log_to_adopt(void **state)
{
	struct hf_adopt m = { .epoch = 2, .mode = HF_ADOPT_RESYNC, .base_epoch = 1, .base = 40, .base_chain = 9,
			      .resync_from = 3 };
	struct hf_adopt_plan plan;
	struct hf_leg_state next;
	bool persist;
	(void)state;

	used();
	assert_int_equal(prepare(2, 2, 1, &persist), HF_LEG_OK);
	hf_epoch_cache_add(&m.epochs, 1, 1);
	hf_epoch_cache_add(&m.epochs, 2, 41);
	assert_int_equal(hf_leg_adopt(&leg, &m, &plan), HF_LEG_OK);
	assert_true(plan.reset && plan.state.inconsistent && plan.active);
	hf_leg_adopt_done(&leg, &m, &plan, 1, 9);
	assert_int_equal(leg.last, 40);
	assert_false(hf_leg_grant_lease(&leg, 2, NOW));
	assert_int_equal(adopt_log(2, 41, 40), HF_LEG_WRONG_STATE);
	assert_true(hf_leg_takes_resync(&leg, 2));
	assert_int_equal(hf_leg_synced(&leg, 2, &next), HF_LEG_OK);
	assert_false(next.inconsistent);
}

static void test_leg_with_a_newer_log_than_promise_follows_its_log(void **state)
{
	struct hf_leg_state old = { .promised = 3, .promised_incarnation.b[0] = 7, .activated = 3 };
	struct hf_leg_identity id = { .geometry = { 2, 1 } };
	bool persist;
	(void)state;

	hf_leg_init(&leg, &id, &old, 5, 10, 77, 9, false, NOW, LEASE);
	assert_int_equal(leg.state.promised, 5);		/* H12 */
	assert_int_equal(prepare(4, 7, 1, &persist), HF_LEG_STALE);
	assert_int_equal(prepare(5, 8, 1, &persist), HF_LEG_OK);	/* whoever it was: nobody else reigns in 5 */
	assert_true(persist);
	assert_int_equal(prepare(5, 9, 1, &persist), HF_LEG_STALE);
}

static void test_leg_is_suspect_until_it_has_adopted(void **state)
{
	struct hf_leg_state old = { .promised = 1, .activated = 1, .suspect = true };
	struct hf_leg_identity id = { .geometry = { 2, 1 } };
	struct hf_prepare m = { .epoch = 1 };
	struct hf_promise p;
	bool persist;
	(void)state;

	hf_leg_init(&leg, &id, &old, 1, 3, 77, 2, false, NOW, LEASE);	/* found so by an earlier boot */
	hf_leg_promise(&leg, &m, 1, 1024, NOW, &p);
	assert_true(p.suspect);
	old.suspect = false;
	hf_leg_init(&leg, &id, &old, 1, 3, 77, 2, true, NOW, LEASE);	/* found so by this one */
	hf_epoch_cache_add(&leg.state.epochs, 1, 1);
	hf_leg_promise(&leg, &m, 1, 1024, NOW, &p);
	assert_true(p.suspect);
	assert_int_equal(prepare(2, 2, 1, &persist), HF_LEG_OK);
	assert_int_equal(adopt_log(2, 4, 3), HF_LEG_OK);
	hf_leg_promise(&leg, &m, 1, 1024, NOW, &p);
	assert_false(p.suspect);
}

static void test_leg_that_has_failed_promises_and_adopts_nothing(void **state)
{
	struct hf_leg_state next;
	bool persist;
	(void)state;

	used();
	leg.state.failed = true;
	assert_int_equal(prepare(2, 2, 1, &persist), HF_LEG_FAILED);
	assert_int_equal(adopt_log(1, 1, 3), HF_LEG_FAILED);
	assert_false(hf_leg_grant_lease(&leg, 1, NOW));
	assert_false(hf_leg_takes_resync(&leg, 1));
	assert_int_equal(hf_leg_synced(&leg, 1, &next), HF_LEG_WRONG_STATE);
}

static void test_leg_takes_orders_of_the_epoch_that_it_follows(void **state)
{
	struct hf_leg_state next;
	bool persist;
	struct hf_entry e;
	(void)state;

	used();
	assert_int_equal(adopt_log(2, 4, 3), HF_LEG_WRONG_STATE);	/* it has not promised to 2 */
	e = op(1);
	assert_int_equal(hf_leg_append(&leg, 2, &e), HF_APPEND_WRONG_STATE);	/* guard FENCE */
	assert_int_equal(prepare(2, 2, 1, &persist), HF_LEG_OK);
	assert_false(hf_leg_takes_resync(&leg, 2));			/* promised, and not activated */
	assert_false(hf_leg_takes_resync(&leg, 1));
	assert_int_equal(hf_leg_synced(&leg, 2, &next), HF_LEG_WRONG_STATE);
	assert_int_equal(hf_leg_synced(&leg, 1, &next), HF_LEG_STALE);
	assert_int_equal(adopt_log(2, 4, 3), HF_LEG_OK);
	e = op(1);				/* op 4 is of epoch 2, or there is none */
	assert_int_equal(hf_leg_append(&leg, 2, &e), HF_APPEND_WRONG_STATE);
	e = op(3);
	assert_int_equal(hf_leg_append(&leg, 2, &e), HF_APPEND_WRONG_STATE);
	e = op(2);
	assert_int_equal(hf_leg_append(&leg, 2, &e), HF_APPEND_OK);
}

/* R7: a promise holds from the moment it is made, also when an older primary's orders become durable after it. */
static void test_leg_never_goes_back_behind_a_promise(void **state)
{
	struct hf_adopt m = { .epoch = 2, .mode = HF_ADOPT_LOG, .target = 5, .ver = 4 };
	struct hf_leg_state next = { 0 };
	struct hf_adopt_plan plan;
	bool persist;
	(void)state;

	used();
	assert_int_equal(prepare(2, 2, 4, &persist), HF_LEG_OK);
	hf_epoch_cache_add(&m.epochs, 1, 1);
	hf_epoch_cache_add(&m.epochs, 2, 6);
	assert_int_equal(hf_leg_adopt(&leg, &m, &plan), HF_LEG_OK);
	assert_int_equal(prepare(3, 3, 9, &persist), HF_LEG_OK);	/* while the plan is carried out */
	hf_leg_adopt_done(&leg, &m, &plan, 1, leg.chain);
	assert_int_equal(leg.state.promised, 3);
	assert_int_equal(leg.state.promised_incarnation.b[0], 3);
	assert_int_equal(leg.state.ver, 9);
	assert_false(hf_leg_durable(&leg, 5, &next));			/* nothing of epoch 2 activates it */
	assert_int_equal(adopt_log(2, 6, 5), HF_LEG_STALE);

	used();
	assert_int_equal(prepare(2, 2, 1, &persist), HF_LEG_OK);
	assert_int_equal(adopt_log(2, 6, 5), HF_LEG_OK);
	assert_true(hf_leg_durable(&leg, 5, &next));			/* on its way to disk .. */
	assert_int_equal(prepare(3, 3, 1, &persist), HF_LEG_OK);
	hf_leg_activated(&leg, &next);					/* .. and there now */
	assert_int_equal(leg.state.activated, 1);
	assert_int_equal(leg.state.promised, 3);
}

/* What is told as committed while a leg adopts may be of the log that it is about to cut. */
static void test_leg_knows_nothing_as_committed_that_it_lacks(void **state)
{
	struct hf_adopt m = { .epoch = 2, .mode = HF_ADOPT_LOG, .target = 2 };
	struct hf_adopt_plan plan;
	bool persist;
	(void)state;

	used();
	assert_int_equal(prepare(2, 2, 1, &persist), HF_LEG_OK);
	hf_epoch_cache_add(&m.epochs, 1, 1);
	hf_epoch_cache_add(&m.epochs, 2, 3);
	assert_int_equal(hf_leg_adopt(&leg, &m, &plan), HF_LEG_OK);
	leg.commit = leg.last;
	hf_leg_adopt_done(&leg, &m, &plan, 1, 9);
	assert_int_equal(leg.last, 2);
	assert_int_equal(leg.commit, 2);
}

/* R6: what the leg committed of a history that was given up is overwritten, not cut: the image may hold it. */
static void test_leg_keeps_what_it_committed_when_a_resync_begins(void **state)
{
	struct hf_adopt m = { .epoch = 2, .mode = HF_ADOPT_RESYNC, .base_epoch = 1, .base = 1, .resync_from = 0,
			      .ver = 5 };
	struct hf_adopt_plan plan;
	bool persist;
	(void)state;

	used();					/* ops 1 and 2 are committed */
	assert_int_equal(prepare(2, 2, 1, &persist), HF_LEG_OK);
	hf_epoch_cache_add(&m.epochs, 1, 1);
	hf_epoch_cache_add(&m.epochs, 2, 2);
	assert_int_equal(hf_leg_adopt(&leg, &m, &plan), HF_LEG_OK);
	assert_int_equal(plan.keep, 2);
	assert_int_equal(plan.base, 1);
	assert_int_equal(plan.state.ver, 5);
	hf_leg_adopt_done(&leg, &m, &plan, 1, 9);
	assert_int_equal(leg.last, 1);
	assert_int_equal(leg.commit, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leg_obeys_the_newest_epoch_only),
		cmocka_unit_test(test_leg_takes_no_op_before_it_adopted),
		cmocka_unit_test(test_leg_refuses_a_configuration_older_than_it_has_seen),
		cmocka_unit_test(test_leg_appends_in_order_and_along_the_chain),
		cmocka_unit_test(test_leg_never_cuts_what_it_knows_as_committed),
		cmocka_unit_test(test_leg_activates_when_the_missing_ops_are_durable),
		cmocka_unit_test(test_leg_tells_what_it_owes_to_the_old_primary),
		cmocka_unit_test(test_leg_that_boots_owes_a_lease),
		cmocka_unit_test(test_leg_in_a_resync_has_no_lease_and_no_log_to_adopt),
		cmocka_unit_test(test_leg_with_a_newer_log_than_promise_follows_its_log),
		cmocka_unit_test(test_leg_is_suspect_until_it_has_adopted),
		cmocka_unit_test(test_leg_that_has_failed_promises_and_adopts_nothing),
		cmocka_unit_test(test_leg_takes_orders_of_the_epoch_that_it_follows),
		cmocka_unit_test(test_leg_never_goes_back_behind_a_promise),
		cmocka_unit_test(test_leg_knows_nothing_as_committed_that_it_lacks),
		cmocka_unit_test(test_leg_keeps_what_it_committed_when_a_resync_begins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * Needs: libhf_core. Known situations, as traces: what arrives, and what the core orders (indented). The trace of a
 * story stands in tests/story/NAME.trace; HF_GOLDEN_WRITE=1 writes it anew. A changed trace is a changed protocol.
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

#include "lib/core_rig.h"

/* The trace so far against its file; the first line that differs is shown. Ends the story. */
static void tell(struct rig *r, const char *name)
{
	char path[128], line[512], *at = r->trace, *end;
	uint32_t number = 0;
	FILE *f;

	snprintf(path, sizeof(path), "tests/story/%s.trace", name);
	if (getenv("HF_GOLDEN_WRITE")) {
		f = fopen(path, "w");
		assert_non_null(f);
		fputs(r->trace, f);
		fclose(f);
	}
	f = fopen(path, "r");
	if (!f)
		fail_msg("%s cannot be read; tests run from the top of the tree", path);
	while (fgets(line, sizeof(line), f)) {
		number++;
		end = strchr(at, '\n');
		if (!end || strncmp(at, line, (size_t)(end - at + 1)) != 0)
			fail_msg("%s:%u: expected: %s     now: %.*s", path, number, line,
				 end ? (int)(end - at) : (int)strlen(at), at);
		at = end + 1;
	}
	fclose(f);
	if (*at)
		fail_msg("%s:%u: the story goes on: %.100s", path, number + 1, at);
	rig_free(r);
}

/* From here on; what brought us here is not part of the story. */
static void begin(struct rig *r, const char *title)
{
	r->trace_len = 0;
	rig_say(r, "%s", title);
}

static void later(struct rig *r, hf_nsec ns)
{
	rig_tick(r, ns);
	rig_settle(r);
}

/* Host 1 takes over; who has not answered after a second is not waited for. */
static void promote(struct rig *r, bool accept_loss)
{
	rig_primary(r, 1, accept_loss);
	rig_cas(r, 0);
	later(r, 1100 * HF_MS);
}

/* 2+1: op 1 is acknowledged, op 2 reached one fragment, and the primary is gone. */
static struct rig *second_op_on_leg_1_only(void)
{
	struct rig *r = rig_serving(2, 1, false, 0);

	rig_write(r, 7);
	rig_settle(r);
	rig_write(r, 8);
	rig_serve(r, 1);
	rig_down(r, 0);
	return r;
}

static void story_write(void **state)
{
	struct rig *r = rig_serving(2, 1, true, 1);
	(void)state;

	begin(r, "A write goes to every leg at once and is acknowledged when the last of them has it (R2, R4).");
	rig_write(r, 7);
	rig_write(r, 8);
	for (uint32_t i = 0; i < 4; i++)
		while (rig_serve(r, i))
			;
	tell(r, "write");
}

static void story_failover(void **state)
{
	struct rig *r = rig_serving(2, 1, true, 1);
	(void)state;

	rig_write(r, 7);
	rig_settle(r);
	rig_write(r, 8);
	rig_serve(r, 1);
	rig_serve(r, 2);
	rig_down(r, 0);
	begin(r, "The primary dies. Op 2 is on two fragments of three: nobody knows whether it was acknowledged, so it "
		 "is kept, made durable on every leg, then served (R8, R9, R10).");
	rig_primary(r, 1, false);
	rig_cas(r, 0);
	rig_tick(r, 1100 * HF_MS);
	for (uint32_t i = 1; i < 4; i++)
		rig_serve(r, i);
	rig_settle(r);
	later(r, 3 * HF_SEC);
	tell(r, "failover");
}

static void story_cut(void **state)
{
	struct rig *r = second_op_on_leg_1_only();
	(void)state;

	begin(r, "Op 2 is on one fragment only and cannot be decoded. Leg 2 provably ends before it, so it was never "
		 "acknowledged: it is cut (H2, guard G_NACK).");
	promote(r, false);
	tell(r, "undecodable-op-is-cut");
}

static void story_suspect(void **state)
{
	struct rig *r = second_op_on_leg_1_only();
	(void)state;

	r->leg[2].core.suspect = true;
	begin(r, "The same, but the end of leg 2's log is unreadable: it may have held op 2. Nothing is cut until leg "
		 "0 is back and shows that it never had it (H2, H3).");
	promote(r, false);
	later(r, 5 * HF_SEC);
	rig_say(r, "leg 0 comes back");
	rig_up(r, 0);
	rig_settle(r);
	later(r, 3 * HF_SEC);
	tell(r, "suspect-leg-proves-nothing");
}

static void story_leg_dies(void **state)
{
	struct rig *r = rig_serving(1, 2, false, 1);
	(void)state;

	begin(r, "A leg's host dies. A write waits for it, then the set goes on without it; it comes back, catches up "
		 "from the log, and is waited for before the record says so (R5, R6, H6).");
	rig_down(r, 2);
	rig_write(r, 7);
	rig_settle(r);
	rig_tick(r, 100 * HF_MS);
	later(r, 300 * HF_MS);
	rig_say(r, "it comes back; the primary's own log still has what it lacks");
	r->v->replay_floor = 1;
	r->v->base = 1;
	rig_up(r, 2);
	rig_settle(r);
	tell(r, "leg-dies-and-comes-back");
}

static void story_resync(void **state)
{
	struct hf_event done = { .kind = HF_EV_RESYNC_DONE, .leg = 2 };
	struct rig *r = rig_serving(1, 2, false, 1);
	(void)state;

	rig_write(r, 7);
	rig_settle(r);
	rig_down(r, 2);
	for (int i = 0; i < 3; i++)
		rig_write(r, 8);
	rig_settle(r);
	later(r, 400 * HF_MS);
	begin(r, "A leg comes back after the log has moved on: chunks that changed since are copied beneath live "
		 "writes, then it is consistent and added (R6, H22, H23). It gets what is committed, not what waits.");
	rig_up(r, 2);
	rig_serve(r, 2);
	rig_serve(r, 2);
	rig_write(r, 9);
	rig_settle(r);
	rig_feed(r, &done);
	rig_settle(r);
	rig_turn(r);
	rig_settle(r);
	tell(r, "resync");
}

static void story_deposed(void **state)
{
	struct rig *r = rig_serving(1, 1, false, 0), *other;
	struct hf_ack stale = { .result = HF_LEG_STALE, .epoch = 2 };
	struct hf_event e = { .kind = HF_EV_ACKED, .leg = 1, .ack = &stale };
	(void)state;

	begin(r, "Another host was promoted while this primary was paused. Its next frame is refused by a leg that has "
		 "promised to epoch 2: it stops, and answers nobody (R3, H35).");
	rig_write(r, 7);
	e.gen = r->leg[1].gen;
	rig_feed(r, &e);
	rig_turn(r);
	other = r;
	tell(other, "deposed-primary-stops");
}

static void story_lost_answer(void **state)
{
	struct rig *r = rig_new(1, 1, false, 0);
	(void)state;

	r->leg[0].up = r->leg[1].up = true;
	rig_say(r, "The answer to the claim is lost, its effect is not. The record read again carries our nonce (H8).");
	rig_primary(r, 0, false);
	r->record = r->v->proposal;
	r->ver++;
	rig_cas(r, -ETIMEDOUT);
	rig_settle(r);
	tell(r, "lost-answer");
}

static void story_minimum(void **state)
{
	struct rig *r = rig_serving(2, 1, false, 1);
	(void)state;

	begin(r, "Tolerance would fall below the volume's minimum: the leg stays in the set, the write waits, nothing "
		 "fails; then the leg is back (R4, R5, H4).");
	rig_down(r, 1);
	rig_write(r, 7);
	rig_settle(r);
	for (int i = 0; i < 3; i++) {
		rig_tick(r, 2 * HF_SEC);
		rig_settle(r);
	}
	rig_up(r, 1);
	rig_settle(r);
	tell(r, "below-the-minimum-writes-wait");
}

static void story_memory(void **state)
{
	struct hf_leg_state blank = { 0 };
	struct rig *r = rig_serving(1, 1, false, 0);
	struct hf_leg_identity id = r->leg[1].core.id;
	(void)state;

	rig_write(r, 7);
	rig_settle(r);
	rig_down(r, 0);
	hf_leg_init(&r->leg[1].core, &id, &blank, 0, 0, 0, 0, false, r->now, 2 * HF_SEC);
	begin(r, "Leg 1 answers with an empty log, but the record says that it had activated epoch 1: it lost its "
		 "memory, its emptiness proves nothing, and nobody is served until leg 0 is back (H9, guard MEMORY).");
	promote(r, false);
	later(r, 5 * HF_SEC);
	rig_up(r, 0);
	rig_settle(r);
	later(r, 3 * HF_SEC);
	tell(r, "lost-memory-has-no-vote");
}

static void story_decide_again(void **state)
{
	struct rig *r = rig_serving(2, 1, false, 0);
	(void)state;

	rig_write(r, 7);
	rig_settle(r);
	rig_down(r, 0);
	begin(r, "Leg 2 dies between its promise and its adopt; leg 0, away until now, comes back. The decision is "
		 "taken again under a new epoch, for one epoch has one history (R1, R9).");
	rig_primary(r, 1, false);
	rig_cas(r, 0);
	rig_tick(r, 1100 * HF_MS);
	rig_serve(r, 1);
	rig_serve(r, 2);
	rig_down(r, 2);
	rig_settle(r);
	rig_up(r, 0);
	rig_settle(r);
	later(r, 1100 * HF_MS);
	later(r, 1100 * HF_MS);
	later(r, 3 * HF_SEC);
	tell(r, "decide-again");
}

static void story_accepted_loss(void **state)
{
	struct rig *r = second_op_on_leg_1_only();
	(void)state;

	r->leg[2].core.suspect = true;
	begin(r, "Leg 0 is gone for good and leg 2 proves nothing: only the operator can give op 2 up. The lineage "
		 "changes (H27).");
	promote(r, true);
	later(r, 3 * HF_SEC);
	assert_true(r->v->promotion.accepted_loss);
	assert_int_equal(r->v->promotion.risk_count, 1);
	assert_int_equal(r->v->promotion.risk[0].lba, 8);
	tell(r, "accepted-loss");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(story_write),	     cmocka_unit_test(story_failover),
		cmocka_unit_test(story_cut),	     cmocka_unit_test(story_suspect),
		cmocka_unit_test(story_leg_dies),    cmocka_unit_test(story_resync),
		cmocka_unit_test(story_deposed),     cmocka_unit_test(story_lost_answer),
		cmocka_unit_test(story_minimum),     cmocka_unit_test(story_memory),
		cmocka_unit_test(story_decide_again), cmocka_unit_test(story_accepted_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

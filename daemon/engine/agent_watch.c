// SPDX-License-Identifier: MIT
/*
 * agent_watch - a volume whose primary is dead is promoted by a host that has a leg of it, if its record says so.
 *
 * Dead is a primary whose host this one has no connection to, and of whom no leg in sync has heard for DEAD_NS: each is
 * asked by LOOK how long the read lease that it granted still lasts (R11), so that a primary which only this host
 * cannot reach goes on. Nothing here is a fence: the promotion takes an epoch and promises like any other (R1, R7), and
 * waits for what is left of the leases (R10). It begins only if it would come through with what the legs show now, so
 * that no epoch is spent on waiting; the best leg's host begins, others later by STAGGER_NS for each better one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/sometimes.h"
#include "core/decide.h"
#include "core/insync.h"
#include "engine/agent.h"
#include "engine/leg_run.h"
#include "engine/peer.h"

#define DEAD_NS (HF_LEASE_NS / 2)
#define STAGGER_NS (500 * HF_MS)
#define ASK_NS (300 * HF_MS)		/* for answers of the legs */
#define AGAIN_NS (500 * HF_MS)
/* More epochs in this time than that: something is wrong that promotions do not mend. */
#define BUDGET_NS (600 * HF_SEC)

struct look {
	struct hf_admin_call call;
	struct hf_promise promise;
	struct hf_agent_round *of;
	bool answered;
};

struct hf_agent_round {
	struct hf_agent *agent;
	struct hf_agent_volume *av;	/* NULL: nobody waits for it any more */
	struct hf_record record;
	hf_nsec deadline;
	uint32_t waiting;
	struct look leg[HF_LEGS_MAX];
};

static hf_nsec now_of(const struct hf_agent *a)
{
	return hf_reactor_now(a->r);
}

/* The in-sync leg of this volume that is here and open; -1: none. */
static int own_leg(struct hf_agent *a, const struct hf_record *r)
{
	for (uint32_t i = 0; i < r->leg_count; i++) {
		const struct hf_agent_leg *l;

		if (!r->leg[i].insync || strcmp(r->leg[i].host, a->self.name) != 0)
			continue;
		l = hf_agent_find_leg(a, &r->leg[i].uuid);
		return l && l->state == HF_AGENT_LEG_OPEN && !l->run.failed ? (int)i : -1;
	}
	return -1;
}

/* How many of the legs that count are better to be primary than `own`: whole ones first, then as in the record. */
static uint32_t rank_of(const struct hf_record *r, hf_legs valid, uint32_t own)
{
	bool whole = hf_frag_is_whole(r->geometry, r->leg[own].frag);
	uint32_t better = 0;

	for (uint32_t i = 0; i < r->leg_count; i++) {
		bool is_whole = hf_frag_is_whole(r->geometry, r->leg[i].frag);

		if (i != own && (valid & HF_LEG_BIT(i)) && strcmp(r->leg[i].host, r->primary) != 0 &&
		    (is_whole == whole ? i < own : is_whole))
			better++;
	}
	return better;
}

/* Would a promotion come through with what these legs show? */
static bool is_enough(const struct hf_agent_round *x, hf_legs valid)
{
	struct hf_reply replies[HF_LEGS_MAX] = { 0 };
	struct hf_decision decision;

	for (uint32_t i = 0; i < x->record.leg_count; i++) {
		const struct hf_promise *p = &x->leg[i].promise;

		if (valid & HF_LEG_BIT(i))
			replies[i] = (struct hf_reply){ .valid = true, .suspect = p->suspect, .last = p->last,
							.commit = p->commit, .chain = p->chain, .epochs = p->epochs };
	}
	hf_decide(&x->record, replies, hf_decide_corrupt_max(&x->record), &decision);
	return decision.verdict == HF_VERDICT_OK &&
	       hf_insync_tolerance(&x->record, valid) >= (int)x->record.min_tolerance;
}

static void promote(struct hf_agent_round *x)
{
	struct hf_agent_volume *av = x->av;
	char words[160];

	snprintf(words, sizeof(words), "its primary %s is dead: no leg has heard of it; promoting here",
		 x->record.primary);
	hf_warn("volume %s: %s", av->record.name, words);
	x->agent->ops->event(x->agent->ctx, "primary-dead", av->record.name, x->record.primary, words);
	hf_agent_start_volume(x->agent, av);
}

static void judge(struct hf_agent_round *x)
{
	struct hf_agent *a = x->agent;
	struct hf_agent_volume *av = x->av;
	const struct hf_record *r = &x->record;
	bool is_alive = false;
	hf_legs valid = 0;
	int own = own_leg(a, r);

	x->av = NULL;
	av->round = NULL;
	av->ask_at = now_of(a) + AGAIN_NS;
	/* The last answers may be those of connections that this host closes because it stops. */
	if (a->stopping || av->gone || own < 0 || av->run || av->ver != av->round_ver || av->step)
		return;
	for (uint32_t i = 0; i < r->leg_count; i++) {
		const struct hf_promise *p = &x->leg[i].promise;

		if (!r->leg[i].insync || !x->leg[i].answered || p->result != HF_LEG_OK)
			continue;
		is_alive |= p->lease_left > HF_LEASE_NS - DEAD_NS;
		if (!p->inconsistent && p->activated >= r->leg[i].activated)
			valid |= HF_LEG_BIT(i);
	}
	HF_SOMETIMES_IF(WATCH_OTHERS_HEAR_IT, is_alive);
	HF_SOMETIMES_IF(WATCH_TOO_FEW, !is_alive && !is_enough(x, valid));
	if (is_alive || !is_enough(x, valid)) {
		av->dead_since = 0;
		return;
	}
	if (!av->dead_since)
		av->dead_since = now_of(a);
	HF_SOMETIMES_IF(WATCH_OTHERS_FIRST, now_of(a) < av->dead_since + rank_of(r, valid, (uint32_t)own) * STAGGER_NS);
	if (now_of(a) < av->dead_since + rank_of(r, valid, (uint32_t)own) * STAGGER_NS)
		return;
	HF_SOMETIMES(WATCH_PROMOTES);
	x->av = av;
	promote(x);
	x->av = NULL;
}

static void one_less(struct hf_agent_round *x)
{
	if (--x->waiting > 0)
		return;
	if (x->av)
		judge(x);
	free(x);
}

static void on_looked(struct hf_admin_call *call, int result, const char *words)
{
	struct look *l = call->ctx;

	(void)words;
	l->answered = result == 0;
	one_less(l->of);
}

static void ask(struct hf_agent *a, struct hf_agent_volume *av)
{
	struct hf_agent_round *x = calloc(1, sizeof(*x));

	hf_assert(x);
	x->agent = a;
	x->av = av;
	x->record = av->record;
	x->deadline = now_of(a) + ASK_NS;
	av->round = x;
	av->round_ver = av->ver;
	x->waiting = 1;
	for (uint32_t i = 0; i < x->record.leg_count; i++) {
		struct look *l = &x->leg[i];

		l->of = x;
		l->call.done = on_looked;
		l->call.ctx = l;
		l->call.promise = &l->promise;
		if (x->record.leg[i].insync &&
		    hf_host_look(&a->host, x->record.leg[i].host, &x->record.leg[i].uuid, &l->call) == 0)
			x->waiting++;
	}
	one_less(x);
}

/* A volume of too many epochs within BUDGET_NS is left to people; said once. */
static bool is_over_budget(struct hf_agent *a, struct hf_agent_volume *av)
{
	const uint32_t n = HF_AGENT_EPOCHS;
	hf_nsec oldest;

	if (!av->record.auto_failover)
		av->epochs = 0;		/* whoever turns it on again has looked */
	if (av->epoch_seen != av->record.epoch) {
		av->epoch_seen = av->record.epoch;
		av->epoch_at[av->epochs++ % n] = now_of(a);
	}
	oldest = av->epoch_at[av->epochs % n];
	if (av->epochs < n || now_of(a) >= oldest + BUDGET_NS) {
		av->budget_told = false;
		return false;
	}
	HF_SOMETIMES_IF(WATCH_OVER_BUDGET, !av->budget_told);
	if (!av->budget_told)
		a->ops->event(a->ctx, "auto-failover-paused", av->record.name, av->record.primary,
			      "more than 8 epochs in ten minutes: find out why, then set it to auto again, or wait");
	av->budget_told = true;
	return true;
}

void hf_agent_watch(struct hf_agent *a, struct hf_agent_volume *av)
{
	const struct hf_record *r = &av->record;
	bool over_budget = is_over_budget(a, av);

	HF_SOMETIMES_IF(WATCH_SILENT, av->round && now_of(a) >= av->round->deadline);
	if (av->round && now_of(a) >= av->round->deadline)
		judge(av->round);
	if (!r->auto_failover || !r->epoch || !a->ready || a->stopping || av->run || av->gone || av->step ||
	    strcmp(r->primary, a->self.name) == 0 || hf_peer_is_up(hf_host_peer(&a->host, r->primary)) ||
	    own_leg(a, r) < 0) {
		av->dead_since = 0;
		return;
	}
	if (av->round || over_budget || now_of(a) < av->ask_at || now_of(a) < av->retry_at)
		return;
	ask(a, av);
}

void hf_agent_watch_end(struct hf_agent_volume *av)
{
	if (av->round)
		av->round->av = NULL;
	av->round = NULL;
}

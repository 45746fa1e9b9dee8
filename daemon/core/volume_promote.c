// SPDX-License-Identifier: MIT
/*
 * volume_promote - from the claim of an epoch to the first answer of a client (docs/SAFETY.md R7-R10).
 *
 * CLAIMING -> PREPARING -> (SURVEYING) -> (LOADING) -> ADOPTING -> ACTIVATING -> LEASE_WAIT -> SERVING.
 */
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "core/entry.h"
#include "core/guard.h"
#include "core/volume_int.h"

void hf_volume_claim(struct hf_volume *v, struct hf_actions *out)
{
	v->phase = HF_PHASE_CLAIMING;
	if (v->record.epoch != v->epoch || !v->epoch) {	/* not when we decide anew after a claim of our own */
		v->promotion.from_epoch = v->record.epoch;
		memcpy(v->promotion.from_primary, v->record.primary, HF_NAME_MAX);
	}
	v->proposal = v->record;
	v->proposal.epoch = v->record.epoch + (HF_GUARD(EPOCH) || !v->record.epoch);
	v->proposal.claimed_from = hf_volume_shown_ver(v);
	v->proposal.incarnation = v->incarnation;
	memcpy(v->proposal.primary, v->self, HF_NAME_MAX);
	hf_volume_propose(v, out);
}

void hf_volume_claimed(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	v->phase = HF_PHASE_PREPARING;
	v->epoch = v->record.epoch;
	v->promotion.claimed = now;
	v->promotion.asked = hf_insync_members(&v->record);
	v->prepare_deadline = now + HF_PREPARE_WAIT_NS;
	hf_volume_note(out, HF_NOTE_EPOCH_CLAIMED, 0);
	for (uint32_t i = 0; i < v->record.leg_count; i++)
		if (v->leg[i].state == HF_VLEG_UP)
			hf_volume_prepare_leg(v, i, out);
}

/* R8: whose reply counts. */
bool hf_volume_remembers(const struct hf_volume *v, uint32_t leg)
{
	const struct hf_promise *p = &v->leg[leg].reply;

	if (HF_GUARD(INCONSISTENT) && p->inconsistent)
		return false;
	/* guard MEMORY: less than the record says that it had activated: it lost its memory (H9) */
	return !HF_GUARD(MEMORY) || p->activated >= v->record.leg[leg].activated;
}

static bool reply_is_valid(const struct hf_volume *v, uint32_t i)
{
	const struct hf_vleg *l = &v->leg[i];

	return l->state == HF_VLEG_PROMISED && hf_volume_remembers(v, i);
}

/* A member that may still answer soon. */
static bool is_awaited(const struct hf_volume *v, uint32_t i)
{
	return v->leg[i].state == HF_VLEG_PREPARING || (v->leg[i].state == HF_VLEG_UP) ||
	       (v->leg[i].state == HF_VLEG_DOWN && v->leg[i].down_since == 0);
}

/* Can every op in (from, v's S*] be read back from the logs of those that answered? */
static bool can_load(const struct hf_volume *v, hf_legs valid, hf_seq from)
{
	hf_legs sources = 0;

	if (v->promotion.decision.seq - from > HF_WINDOW / 2)
		return false;
	for (uint32_t i = 0; i < v->record.leg_count; i++)
		if ((valid & HF_LEG_BIT(i)) && v->leg[i].reply.first <= from + 1)
			sources |= HF_LEG_BIT(i);
	for (hf_seq s = from + 1; s <= v->promotion.decision.seq; s++) {
		hf_legs have = sources & hf_volume_holders(v, s);

		if (!(hf_volume_is_lost(v, s) ? have != 0 : hf_insync_is_decodable(&v->record, have))) {
			HF_SOMETIMES(PROMOTE_OPS_TRIMMED);
			return false;
		}
	}
	return true;
}

/* Where a leg's log leaves the decided history. */
static hf_seq leg_common(const struct hf_volume *v, uint32_t i)
{
	const struct hf_promise *p = &v->leg[i].reply;

	return hf_epoch_cache_common(&p->epochs, p->last, &v->history, v->promotion.decision.seq);
}

void hf_volume_adopt_leg(struct hf_volume *v, uint32_t leg, struct hf_actions *out)
{
	struct hf_action *a;

	HF_SOMETIMES_IF(ADOPT_LOST_MORE, leg_common(v, leg) + 1 < v->base);
	if (leg_common(v, leg) + 1 < v->base) {
		v->leg[leg].forgot = true;	/* it showed more before: what was read back for it is not enough now */
		return;
	}
	v->leg[leg].state = HF_VLEG_ADOPTING;
	a = hf_volume_emit(out, HF_ACT_ADOPT);
	a->leg = leg;
	a->adopt = (struct hf_adopt){
		.epoch = v->epoch,
		.ver = hf_volume_shown_ver(v),
		.mode = HF_ADOPT_LOG,
		.target = v->next - 1,
		.size_blocks = v->leg[leg].reply.size_blocks,
		.epochs = v->history,
	};
}

static void start_adopting(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	v->phase = HF_PHASE_ADOPTING;
	v->promotion.loaded = now;
	v->adopt_deadline = now + (HF_ADOPT_WAIT_NS << (v->adopt_tries < 5 ? v->adopt_tries : 5));
	for (uint32_t i = 0; i < v->record.leg_count; i++)
		if ((v->adopt_set & HF_LEG_BIT(i)) && v->leg[i].state == HF_VLEG_PROMISED)
			hf_volume_adopt_leg(v, i, out);
	hf_volume_try_activate(v, now, out);
}

/* The decision stands: which legs can be brought to it, and what has to be read for that. */
static void take_decision(struct hf_volume *v, hf_legs valid, hf_nsec now, struct hf_actions *out)
{
	const struct hf_decision *d = &v->promotion.decision;
	hf_seq lowest = d->seq;

	v->history = d->epochs;
	hf_epoch_cache_add(&v->history, v->epoch, d->seq + 1);
	v->adopt_set = 0;
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		hf_seq c;

		if (!(valid & HF_LEG_BIT(i)))
			continue;
		c = leg_common(v, i);
		if (c < v->leg[i].reply.commit || (c < d->seq && !can_load(v, valid, c))) {
			/* What it lacks was committed, and is in no log: it is rebuilt, from outside of the set. */
			v->leg[i].forgot |= c < d->commit;
			continue;
		}
		v->adopt_set |= HF_LEG_BIT(i);
		if (c < lowest)
			lowest = c;
	}
	v->promotion.prepared = now;
	v->promotion.kept = v->adopt_set;
	HF_SOMETIMES_IF(PROMOTE_CUTS, d->seen > d->seq);
	HF_SOMETIMES_IF(PROMOTE_LEAVES_MEMBER, v->adopt_set != valid);
	HF_SOMETIMES_IF(PROMOTE_DECIDED_UNCOMMITTED, d->seq > d->commit);
	if (v->next > v->base) {	/* what an attempt that was given up had read back */
		struct hf_action *a = hf_volume_emit(out, HF_ACT_RELEASE);

		HF_SOMETIMES(PROMOTE_DECIDES_AGAIN);
		a->from = v->base;
		a->to = v->next - 1;
	}
	v->base = lowest + 1;
	v->next = lowest + 1;
	v->committed = lowest;
	v->epoch_committed = hf_epoch_cache_at(&v->history, lowest);
	v->chain_committed = v->chain = d->chain;
	v->load_next = lowest + 1;
	if (lowest < d->seq) {
		struct hf_action *a = hf_volume_emit(out, HF_ACT_LOAD);

		HF_SOMETIMES(PROMOTE_LOADS);
		a->from = lowest + 1;
		a->to = d->seq;
		v->phase = HF_PHASE_LOADING;
		return;
	}
	start_adopting(v, now, out);
}

/* Add to what is at risk; blocks that are in the list already, or next to them, make no new extent. */
static void add_risk(struct hf_promotion *p, uint64_t lba, uint64_t nblocks)
{
	for (uint32_t i = 0; i < p->risk_count && i < HF_RISK_MAX; i++) {
		struct hf_extent *x = &p->risk[i];
		uint64_t end = x->lba + x->nblocks, last = lba + nblocks;

		if (lba > end || last < x->lba)
			continue;
		x->lba = lba < x->lba ? lba : x->lba;
		x->nblocks = (last > end ? last : end) - x->lba;
		return;
	}
	if (p->risk_count < HF_RISK_MAX)
		p->risk[p->risk_count] = (struct hf_extent){ lba, nblocks };
	p->risk_count++;
}

/*
 * The operator gives up what cannot be decoded. What a leg knows as committed stays in the history all the same, for it
 * may be in that leg's image already: the history is then that leg's log, and such ops are kept as lost blocks (H27).
 */
static void give_up(struct hf_promotion *p, hf_legs valid)
{
	struct hf_decision *d = &p->decision;
	const struct hf_promise *best = NULL;

	p->accepted_loss = true;
	p->lost_from = d->seq + 1;
	for (uint32_t i = 0; d->commit > d->seq && i < HF_LEGS_MAX; i++)
		if ((valid & HF_LEG_BIT(i)) && p->reply[i].last >= d->commit &&
		    (!best || p->reply[i].last < best->last))
			best = &p->reply[i];
	if (!best)
		return;
	d->seq = best->last;
	d->chain = best->chain;
	d->epochs = best->epochs;
	while (d->epochs.count && d->epochs.at[d->epochs.count - 1].start > d->seq)
		d->epochs.count--;
}

/* The legs drop these ops when they adopt, so their heads are read before (H27). */
static void start_survey(struct hf_volume *v, hf_legs valid, hf_nsec now, struct hf_actions *out)
{
	struct hf_promotion *p = &v->promotion;

	p->risk_count = 0;
	p->risk_incomplete = false;
	v->survey_set = 0;
	v->survey_deadline = now + HF_SURVEY_WAIT_NS;
	v->phase = HF_PHASE_SURVEYING;
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		struct hf_action *a;

		if (!(valid & HF_LEG_BIT(i)) || p->reply[i].last < p->lost_from)
			continue;
		v->survey_set |= HF_LEG_BIT(i);
		a = hf_volume_emit(out, HF_ACT_SURVEY);
		a->leg = i;
		a->from = p->lost_from;
		a->to = p->reply[i].last;
	}
	if (!v->survey_set)
		take_decision(v, valid, now, out);
}

void hf_volume_surveyed(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out)
{
	if (v->phase != HF_PHASE_SURVEYING || !(v->survey_set & HF_LEG_BIT(e->leg)))
		return;
	if (e->entry) {
		if (e->entry->seq >= v->promotion.lost_from && e->entry->nblocks)
			add_risk(&v->promotion, e->entry->lba, e->entry->nblocks);
		return;
	}
	v->promotion.risk_incomplete |= e->result != 0;
	v->survey_set &= ~HF_LEG_BIT(e->leg);
	if (!v->survey_set)
		take_decision(v, v->promotion.valid, e->now, out);
}

/* Would the volume still keep its promise with these legs only? */
static bool is_enough(const struct hf_volume *v, hf_legs set)
{
	int tol = hf_insync_tolerance(&v->record, set);
	hf_legs missing = hf_insync_members(&v->record) & ~set;

	if (tol < 0)
		return false;
	/* Waiting for a leg that is gone, or forgot, helps nobody: serve, with writes queued until it is rebuilt. */
	for (uint32_t i = 0; i < v->record.leg_count; i++)
		if (v->leg[i].gone || v->leg[i].forgot)
			missing &= ~HF_LEG_BIT(i);
	HF_SOMETIMES_IF(PROMOTE_WITHOUT_GONE, !missing && set != hf_insync_members(&v->record));
	HF_SOMETIMES_IF(PROMOTE_WAITS_TOLERANCE, missing && !v->accept_loss && tol < v->record.min_tolerance);
	if (!missing)
		return true;
	return v->accept_loss || tol >= v->record.min_tolerance || set == hf_insync_members(&v->record);
}

void hf_volume_try_decide(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	struct hf_reply replies[HF_LEGS_MAX] = { 0 };
	hf_legs members = hf_insync_members(&v->record), valid = 0, answered = 0;
	struct hf_promotion *p = &v->promotion;

	if (v->phase != HF_PHASE_PREPARING)
		return;
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		const struct hf_promise *r = &v->leg[i].reply;

		if (!(members & HF_LEG_BIT(i)))
			continue;
		if (is_awaited(v, i) && now < v->prepare_deadline)
			return;
		if (v->leg[i].state == HF_VLEG_PROMISED)
			answered |= HF_LEG_BIT(i);
		if (!reply_is_valid(v, i))
			continue;
		valid |= HF_LEG_BIT(i);
		p->reply[i] = *r;
		replies[i] = (struct hf_reply){
			.valid = true,
			.suspect = r->suspect,
			.last = r->last,
			.commit = r->commit,
			.chain = r->chain,
			.epochs = r->epochs,
		};
	}
	p->answered = answered;
	p->valid = valid;
	hf_decide(&v->record, replies, hf_decide_corrupt_max(&v->record), &p->decision);
	if (p->decision.verdict != HF_VERDICT_OK) {
		bool decodable = p->decision.verdict == HF_VERDICT_MAYBE_ACKED;

		if (!v->accept_loss || !decodable)
			return;		/* wait for more legs, or for the operator's word (H27) */
	}
	p->accepted_loss = false;
	if (!is_enough(v, valid))
		return;
	HF_SOMETIMES_IF(PROMOTE_WITHOUT_SILENT, answered != members);
	HF_SOMETIMES_IF(PROMOTE_FORGETFUL_HAS_NO_VOTE, valid != answered);
	if (p->decision.verdict != HF_VERDICT_OK)
		give_up(p, valid);
	if (p->accepted_loss)
		start_survey(v, valid, now, out);
	else
		take_decision(v, valid, now, out);
}

/* Is this the next op of the decided history? Legs may send anything. */
static bool is_next_loaded(const struct hf_volume *v, const struct hf_entry *e)
{
	return e->seq == v->load_next && e->epoch == hf_epoch_cache_at(&v->history, e->seq) &&
	       (v->next == v->base || e->prev_chain == v->chain) && hf_entry_chain(e->prev_chain, e) == e->chain &&
	       (e->seq != v->promotion.decision.seq || e->chain == v->promotion.decision.chain);
}

void hf_volume_loaded(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out)
{
	struct hf_entry *slot;

	if (v->phase != HF_PHASE_LOADING)
		return;
	if (e->result != 0 || !is_next_loaded(v, e->entry)) {
		HF_SOMETIMES_IF(PROMOTE_SOURCE_LOST, e->result != 0);
		v->phase = HF_PHASE_PREPARING;	/* a source went away: decide again with who is left */
		v->prepare_deadline = e->now + HF_RETRY_NS;
		for (uint32_t i = 0; i < v->record.leg_count; i++)
			if (v->leg[i].state == HF_VLEG_PROMISED)
				v->leg[i].state = HF_VLEG_UP;
		return;
	}
	hf_assert(v->load_next == v->next);
	slot = &v->window[v->next % HF_WINDOW];
	*slot = *e->entry;
	if (v->next == v->base)
		v->chain_committed = slot->prev_chain;
	v->chain = slot->chain;
	v->next++;
	v->load_next++;
	if (v->load_next > v->promotion.decision.seq) {
		start_adopting(v, e->now, out);
	}
}

/* Who of the adopt set is activated, and who is gone. */
void hf_volume_try_activate(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	hf_legs adopted = 0, gone = 0;

	if (v->phase != HF_PHASE_ADOPTING)
		return;
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		if (!(v->adopt_set & HF_LEG_BIT(i)))
			continue;
		if (v->leg[i].adopted)
			adopted |= HF_LEG_BIT(i);
		else if (v->leg[i].state == HF_VLEG_DOWN || v->leg[i].state == HF_VLEG_REFUSED ||
			 now >= v->adopt_deadline)
			gone |= HF_LEG_BIT(i);
	}
	/* guard ADOPT_ALL: nothing is served before every leg of the set has the history (I7, H14) */
	if (HF_GUARD(ADOPT_ALL) && (adopted | gone) != v->adopt_set)
		return;
	/* Also when all of them adopted: the decision may have counted on a leg that then lacked too much (I13). */
	HF_SOMETIMES_IF(ACTIVATE_WAITS_FOR_ENOUGH, !is_enough(v, adopted));
	HF_SOMETIMES_IF(ACTIVATE_WITHOUT_SOME, adopted != v->adopt_set && is_enough(v, adopted));
	if (!is_enough(v, adopted))
		return;
	if (HF_GUARD(ADOPT_ALL))
		v->adopt_set = adopted;
	v->promotion.adopted = now;
	v->proposal = v->record;
	v->proposal.claimed_from = 0;
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		v->proposal.leg[i].insync = (v->adopt_set & HF_LEG_BIT(i)) != 0;
		if (v->proposal.leg[i].insync)
			v->proposal.leg[i].activated = v->epoch;
	}
	if (v->promotion.accepted_loss ||
	    (v->accept_loss && hf_insync_tolerance(&v->record, adopted) < v->record.min_tolerance)) {
		int tol = hf_insync_tolerance(&v->record, adopted);

		if (v->promotion.accepted_loss)
			v->proposal.lineage = v->incarnation;	/* old legs never silently rejoin (H27) */
		if (tol < v->proposal.min_tolerance)
			v->proposal.min_tolerance = (uint8_t)tol;
	}
	v->phase = HF_PHASE_ACTIVATING;
	hf_volume_propose(v, out);
}

static void start_serving(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	v->phase = HF_PHASE_SERVING;
	v->promotion.serving = now;
	hf_volume_record_taken(v, out);
	hf_volume_try_commit(v, out);
	hf_volume_membership(v, now, out);
}

void hf_volume_activated(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	v->promotion.activated = now;
	v->serve_at = now;
	for (uint32_t i = 0; HF_GUARD(LEASE_WAIT) && i < v->record.leg_count; i++) {
		const struct hf_vleg *l = &v->leg[i];
		hf_nsec over = l->replied_at + l->reply.lease_left;

		if ((v->promotion.answered & HF_LEG_BIT(i)) && over > v->serve_at)
			v->serve_at = over;
	}
	HF_SOMETIMES_IF(LEASE_WAIT_FOR_OLD, v->serve_at > now);
	HF_SOMETIMES_IF(LEASE_WAIT_OVER, v->serve_at <= now && v->promotion.from_epoch);
	v->phase = HF_PHASE_WAITING_LEASES;
	if (v->serve_at <= now)
		start_serving(v, now, out);
}

/*
 * Those that the decision counted on went away before they all had adopted, and a member that it did not know has
 * answered since: decide again. In a new epoch, guard NAME: one epoch has one history (R1, R9, I14).
 */
static void maybe_start_over(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	bool better = false;

	if (v->phase != HF_PHASE_ADOPTING || now < v->adopt_deadline)
		return;
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		bool known = (v->promotion.answered & HF_LEG_BIT(i)) && v->leg[i].replied_at <= v->promotion.prepared;

		better |= v->record.leg[i].insync && !(v->adopt_set & HF_LEG_BIT(i)) && reply_is_valid(v, i) && !known;
	}
	if (!better)
		return;
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		struct hf_vleg *l = &v->leg[i];

		l->adopted = false;
		if (!hf_vleg_is_connected(l))
			continue;
		l->state = HF_VLEG_UP;
		l->retry_at = now;
	}
	HF_SOMETIMES(PROMOTE_STARTS_OVER);
	v->adopt_tries++;
	v->adopt_set = 0;
	if (HF_GUARD(NAME))
		hf_volume_claim(v, out);
	else
		hf_volume_claimed(v, now, out);
}

void hf_volume_promote_tick(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		const struct hf_vleg *l = &v->leg[i];

		if ((l->state == HF_VLEG_UP || l->state == HF_VLEG_REFUSED) && now >= l->retry_at)
			hf_volume_prepare_leg(v, i, out);
	}
	hf_volume_try_decide(v, now, out);
	if (v->phase == HF_PHASE_SURVEYING && now >= v->survey_deadline) {
		v->promotion.risk_incomplete = true;
		take_decision(v, v->promotion.valid, now, out);
	}
	hf_volume_try_activate(v, now, out);
	maybe_start_over(v, now, out);
	if (v->phase == HF_PHASE_WAITING_LEASES && now >= v->serve_at)
		start_serving(v, now, out);
}

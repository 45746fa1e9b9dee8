// SPDX-License-Identifier: MIT
/*
 * volume_leg - legs come, answer, catch up and go; the in-sync set shrinks and grows (docs/SAFETY.md R5, R6, H11,
 * H23, H37).
 */
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "core/entry.h"
#include "core/guard.h"
#include "core/volume_int.h"

#define RESTORED \
	"a leg has seen a newer configuration than the cluster store holds: the store was restored from an old copy; " \
	"put its newest copy back, or give up what came after by --accept-data-loss"

static bool is_member(const struct hf_volume *v, uint32_t i)
{
	return v->record.leg[i].insync;
}

void hf_volume_prepare_leg(struct hf_volume *v, uint32_t leg, struct hf_actions *out)
{
	hf_volume_emit(out, HF_ACT_PREPARE)->leg = leg;
	v->leg[leg].state = HF_VLEG_PREPARING;
}

/* The leg is to be asked again later; what it streamed is void. */
static void back_off(struct hf_volume *v, uint32_t i, hf_nsec now, struct hf_actions *out)
{
	struct hf_vleg *l = &v->leg[i];
	hf_nsec wait = HF_RETRY_NS << (l->tries < 5 ? l->tries : 5);

	if (l->resync)
		hf_volume_emit(out, HF_ACT_RESYNC_STOP)->leg = i;
	if (l->state == HF_VLEG_STREAMING || l->state == HF_VLEG_SYNCING)
		l->down_since = now;
	l->resync = false;
	l->adopted = false;
	l->waiting_since = 0;
	l->tries++;
	l->state = HF_VLEG_UP;
	l->retry_at = now + (wait < HF_RETRY_MAX_NS ? wait : HF_RETRY_MAX_NS);
}

static void refuse(struct hf_volume *v, uint32_t i, const char *why, hf_nsec now, struct hf_actions *out)
{
	struct hf_vleg *l = &v->leg[i];

	back_off(v, i, now, out);
	if (l->why != why)
		hf_volume_note(out, HF_NOTE_LEG_REFUSED, i);
	l->state = HF_VLEG_REFUSED;
	l->why = why;
	if (is_member(v, i))
		l->lost = true;
}

static void on_leg_down(struct hf_volume *v, uint32_t i, hf_nsec now, struct hf_actions *out)
{
	struct hf_vleg *l = &v->leg[i];

	if (l->resync)
		hf_volume_emit(out, HF_ACT_RESYNC_STOP)->leg = i;
	if (l->state != HF_VLEG_DOWN || l->down_since == 0)
		l->down_since = now;
	l->state = HF_VLEG_DOWN;
	l->resync = false;
	l->adopted = false;
	l->send_busy = false;
	l->lease_until = 0;
	l->waiting_since = 0;
}

static void on_leg_up(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out)
{
	struct hf_vleg *l = &v->leg[e->leg];

	if (l->state != HF_VLEG_DOWN)
		on_leg_down(v, e->leg, e->now, out);
	l->gen = e->gen;
	l->tries = 0;			/* what kept it back before may have gone with its old connection */
	l->state = HF_VLEG_UP;
	l->why = NULL;
	l->retry_at = e->now;
	if (v->phase != HF_PHASE_CLAIMING)
		hf_volume_prepare_leg(v, e->leg, out);
}

/* From here on the leg gets every op, starting after `last`. */
static void start_stream(struct hf_volume *v, uint32_t i, hf_seq last)
{
	struct hf_vleg *l = &v->leg[i];

	l->state = HF_VLEG_STREAMING;
	l->tries = 0;
	l->sent = last;
	l->acked = last;		/* not what it had under an epoch of ours that was given up (I2) */
	l->send_busy = false;
	l->waiting_since = 0;
	l->why = NULL;
}

/* Does it show less than it had acknowledged in our epoch? */
static bool shows_less(const struct hf_volume *v, uint32_t i)
{
	const struct hf_promise *p = &v->leg[i].reply;

	return p->inconsistent || p->suspect || p->activated != v->epoch || p->last < v->leg[i].acked;
}

/* A member that lost its connection and is back: go on where it stopped. */
static void resume_member(struct hf_volume *v, uint32_t i, hf_nsec now, struct hf_actions *out)
{
	struct hf_vleg *l = &v->leg[i];
	const struct hf_promise *p = &l->reply;

	HF_SOMETIMES_IF(MEMBER_BACK_SUSPECT, p->suspect);
	HF_SOMETIMES_IF(MEMBER_BACK_FORGETFUL, p->last < l->acked);
	if (shows_less(v, i)) {
		l->forgot = true;
		refuse(v, i, "it lost acknowledged ops or its memory; it leaves the in-sync set and is rebuilt", now,
		       out);
		return;
	}
	if (hf_epoch_cache_at(&v->history, p->last) != p->last_epoch) {
		refuse(v, i, "its log does not continue the history", now, out);
		return;
	}
	HF_SOMETIMES_IF(MEMBER_BACK_BEHIND, p->last + 1 < v->next);
	HF_SOMETIMES_IF(MEMBER_BACK_AHEAD, p->last > l->acked);
	l->adopted = true;
	l->lost = false;
	start_stream(v, i, p->last);
	hf_volume_try_commit(v, out);
}

/* A leg outside the set: by log when we still have every op it misses, else by the chunks that changed (R6). */
static void start_catch_up(struct hf_volume *v, uint32_t i, struct hf_actions *out)
{
	struct hf_vleg *l = &v->leg[i];
	const struct hf_promise *p = &l->reply;
	hf_seq common = hf_epoch_cache_common(&p->epochs, p->last, &v->history, v->next - 1);
	hf_seq floor = v->replay_floor < v->base ? v->replay_floor : v->base;
	bool by_log = !p->inconsistent && common >= p->commit && common + 1 >= floor;
	struct hf_action *a;

	/*
	 * It may be a member already: then it leaves the set before it is rebuilt, or it would count for what it lacks.
	 * The next change of the record tells (H6).
	 */
	if ((v->pending_add & HF_LEG_BIT(i)) && shows_less(v, i))
		return;
	/*
	 * Not beyond what is committed: what follows comes as ops, and a later primary may have other ones there. Nor
	 * beyond where an interrupted resync had begun.
	 */
	l->resync_from = common < v->committed ? common : v->committed;
	if (p->inconsistent && p->resync_from < l->resync_from)
		l->resync_from = p->resync_from;
	if (common < p->commit)		/* it committed ops of a history that was given up: it can tell nothing */
		l->resync_from = 0;
	HF_SOMETIMES_IF(CATCH_UP_BEFORE_SIZE, !by_log && !v->size_blocks);
	HF_SOMETIMES_IF(CATCH_UP_FROM_LOCAL_LOG, by_log && common + 1 < v->base);
	HF_SOMETIMES_IF(CATCH_UP_DROPS_GHOSTS, by_log && common < p->last);
	HF_SOMETIMES_IF(CATCH_UP_OTHER_HISTORY, common < p->commit);
	HF_SOMETIMES_IF(CATCH_UP_INTERRUPTED, p->inconsistent && p->resync_from == l->resync_from);
	HF_SOMETIMES_IF(CATCH_UP_FROM_NOTHING, !by_log && !l->resync_from);
	HF_SOMETIMES_IF(CATCH_UP_BY_CHUNKS, !by_log && l->resync_from);
	if (!by_log && !v->size_blocks)
		return;			/* RESIZE ops before the base would never reach it: the next tick tries again */
	a = hf_volume_emit(out, HF_ACT_ADOPT);
	a->leg = i;
	a->adopt = (struct hf_adopt){
		.epoch = v->epoch, .ver = hf_volume_shown_ver(v), .epochs = v->history, .size_blocks = p->size_blocks};
	l->state = HF_VLEG_ADOPTING;
	if (by_log) {
		a->adopt.mode = HF_ADOPT_LOG;
		a->adopt.target = common;
		l->resync = false;
		l->acked = common;
		hf_volume_note(out, HF_NOTE_CATCH_UP_LOG, i);
		return;
	}
	a->adopt.mode = HF_ADOPT_RESYNC;
	a->adopt.base = v->committed;
	a->adopt.base_epoch = hf_epoch_cache_at(&v->history, v->committed);
	a->adopt.base_chain = v->chain_committed;
	a->adopt.resync_from = l->resync_from;
	a->adopt.target = v->committed;
	l->resync = true;
	l->acked = v->committed;
	hf_volume_note(out, HF_NOTE_CATCH_UP_CHUNKS, i);
}

/* Could a leg that promised to our epoch be like this? */
static bool is_plausible(const struct hf_volume *v, const struct hf_promise *p)
{
	const struct hf_epoch_cache *c = &p->epochs;

	/* One that adopted our history holds nothing that we have not sent it. */
	if (p->activated == v->epoch && p->last >= v->next)
		return false;
	return p->last_epoch <= v->epoch && p->activated <= v->epoch && p->commit <= p->last &&
	       (!c->count || c->at[c->count - 1].epoch <= v->epoch);
}

static void on_promised(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out)
{
	struct hf_vleg *l = &v->leg[e->leg];
	const struct hf_promise *p = e->promise;

	if (l->state != HF_VLEG_PREPARING)
		return;
	switch (p->result) {
	case HF_LEG_OK:
		break;
	case HF_LEG_STALE:
		if (p->promised > v->epoch) {
			HF_SOMETIMES(DEPOSED_BY_PROMISE);
			hf_volume_stop(v, "a leg has promised to a newer primary", out);
			return;
		}
		/* guard CONFIG_DISTRUST: what it saw may be that others are no longer in sync (H26) */
		if (v->phase != HF_PHASE_SERVING && !v->accept_loss) {
			hf_volume_stop(v, RESTORED, out);
			return;
		}
		refuse(v, e->leg, "it has seen a newer configuration than the cluster store holds", e->now, out);
		return;
	case HF_LEG_NONE:
		HF_SOMETIMES(LEG_IS_GONE);
		if (!l->gone)
			l->gone_since = e->now;
		l->gone = true;
		refuse(v, e->leg, "its host does not have it: a blank, swapped or lost disk", e->now, out);
		break;
	case HF_LEG_FAILED:
		HF_SOMETIMES(LEG_FAILED_AT_PREPARE);
		refuse(v, e->leg, "its disk has failed", e->now, out);
		break;
	default:
		HF_SOMETIMES(LEG_NOT_READY);
		back_off(v, e->leg, e->now, out);
		break;
	}
	if (p->result == HF_LEG_OK && !is_plausible(v, p)) {
		refuse(v, e->leg, "it shows epochs that nobody has claimed, or ops that nobody has sent", e->now, out);
		return;
	}
	if (p->result == HF_LEG_OK) {
		v->replaced &= ~HF_LEG_BIT(e->leg);	/* it is there after all */
		l->reply = *p;
		l->replied_at = e->now;
		l->gone = false;
		l->forgot = is_member(v, e->leg) && !hf_volume_remembers(v, e->leg);
		l->state = HF_VLEG_PROMISED;
	}
	if (v->phase == HF_PHASE_SURVEYING && p->result == HF_LEG_OK && is_member(v, e->leg))
		v->phase = HF_PHASE_PREPARING;	/* it may have what was about to be given up */
	if (v->phase == HF_PHASE_PREPARING) {
		hf_volume_try_decide(v, e->now, out);
		return;
	}
	if (p->result != HF_LEG_OK)
		return;
	if (v->phase == HF_PHASE_SERVING && is_member(v, e->leg))
		resume_member(v, e->leg, e->now, out);
	else if (v->phase == HF_PHASE_SERVING)
		start_catch_up(v, e->leg, out);
	else if ((v->adopt_set & HF_LEG_BIT(e->leg)) && l->reply.activated == v->epoch && !l->reply.adopting) {
		/* Adopted, then the connection broke before we serve: it needs nothing more. */
		HF_SOMETIMES(ADOPT_STANDS);
		l->adopted = true;
		start_stream(v, e->leg, l->reply.last);
		hf_volume_try_activate(v, e->now, out);
	} else if (v->phase == HF_PHASE_ADOPTING && (v->adopt_set & HF_LEG_BIT(e->leg))) {
		HF_SOMETIMES(ADOPT_AGAIN);
		hf_volume_adopt_leg(v, e->leg, out);
	}
}

static void on_adopted(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out)
{
	struct hf_vleg *l = &v->leg[e->leg];
	const struct hf_adopted *m = e->adopted;
	bool repairing = l->state == HF_VLEG_STREAMING && !l->adopted;

	if ((l->state != HF_VLEG_ADOPTING && !repairing) || m->epoch != v->epoch)
		return;
	if (m->result == HF_LEG_WOULD_CUT_COMMITTED) {
		refuse(v, e->leg, "it knows ops as committed that the history lacks", e->now, out);
		return;
	}
	if (m->result != HF_LEG_OK) {
		HF_SOMETIMES(ADOPT_FAILED);
		back_off(v, e->leg, e->now, out);
		return;
	}
	if (m->last >= v->next || m->last + 1 < (v->replay_floor < v->base ? v->replay_floor : v->base)) {
		HF_SOMETIMES_IF(ADOPT_WINDOW_MOVED, m->last < v->next);
		back_off(v, e->leg, e->now, out);
		return;
	}
	HF_SOMETIMES_IF(ADOPT_BY_OPS, repairing && m->active);
	l->adopted = m->active;
	if (m->active)
		l->lost = false;
	if (!repairing)
		start_stream(v, e->leg, m->last);
	if (l->resync && m->active) {
		struct hf_action *a = hf_volume_emit(out, HF_ACT_RESYNC);

		a->leg = e->leg;
		a->from = l->resync_from;
	}
	hf_volume_try_activate(v, e->now, out);
}

/* R6: a leg outside that has caught up. */
static bool is_ready(const struct hf_volume *v, uint32_t i, hf_nsec now)
{
	const struct hf_vleg *l = &v->leg[i];

	HF_SOMETIMES_IF(ADD_SLOW_NOT_YET, now < l->no_add_until && !hf_volume_is_blocked(v));
	HF_SOMETIMES_IF(ADD_SLOW_AT_ONCE, now < l->no_add_until && hf_volume_is_blocked(v));
	if (now < l->no_add_until && !hf_volume_is_blocked(v))
		return false;
	/* guard READY: everything acknowledged without it is durable on it before it counts (H6) */
	return l->state == HF_VLEG_STREAMING && l->adopted &&
	       (!HF_GUARD(READY) || (!l->resync && l->acked >= v->committed));
}

static void on_acked(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out)
{
	struct hf_vleg *l = &v->leg[e->leg];
	const struct hf_ack *a = e->ack;

	if (a->result == HF_LEG_STALE && a->epoch > v->epoch) {
		HF_SOMETIMES(DEPOSED_BY_ACK);
		hf_volume_stop(v, "a leg follows a newer primary", out);
		return;
	}
	if (l->state != HF_VLEG_STREAMING && l->state != HF_VLEG_SYNCING) {
		HF_SOMETIMES(ACK_LATE);
		return;
	}
	if (a->result != HF_LEG_OK) {
		HF_SOMETIMES_IF(ACK_FAILED, a->result == HF_LEG_FAILED);
		HF_SOMETIMES_IF(ACK_REFUSED, a->result != HF_LEG_FAILED);
		if (a->result == HF_LEG_FAILED)
			refuse(v, e->leg, "its disk has failed", e->now, out);
		else
			back_off(v, e->leg, e->now, out);
		return;
	}
	if (a->epoch != v->epoch || a->durable >= v->next)
		return;
	if (a->durable > l->acked) {
		l->acked = a->durable;
		l->waiting_since = l->acked < l->sent ? e->now : 0;
	}
	/* A cookie is the time at which we asked: one of the future is none of ours. */
	HF_SOMETIMES_IF(LEASE_NOT_GRANTED, !a->cookie && l->adopted && l->lease_until);
	if (a->cookie && a->cookie <= e->now && l->adopted) {
		/* The leg counts from when it answered, we from when we asked, less the drift of two clocks (H31). */
		hf_nsec until = a->cookie + v->lease_ns - v->lease_ns / 8;

		if (until > l->lease_until)
			l->lease_until = until;
	}
	hf_volume_try_commit(v, out);
	if (v->phase == HF_PHASE_SERVING && !is_member(v, e->leg) && !v->cas_busy && is_ready(v, e->leg, e->now))
		hf_volume_membership(v, e->now, out);
}

void hf_volume_leg_event(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out)
{
	struct hf_vleg *l = &v->leg[e->leg];

	/* guard GENERATION: bytes of an old connection say nothing about this one (H25) */
	if (e->kind != HF_EV_LEG_UP && e->kind != HF_EV_LEG_DOWN && e->kind != HF_EV_RESYNC_DONE &&
	    e->kind != HF_EV_REPLACED && e->kind != HF_EV_UNSENDABLE && HF_GUARD(GENERATION) && e->gen != l->gen)
		return;
	switch (e->kind) {
	case HF_EV_LEG_UP:
		on_leg_up(v, e, out);
		break;
	case HF_EV_LEG_DOWN:
		on_leg_down(v, e->leg, e->now, out);
		hf_volume_try_decide(v, e->now, out);
		hf_volume_try_activate(v, e->now, out);
		break;
	case HF_EV_PROMISED:
		on_promised(v, e, out);
		break;
	case HF_EV_ADOPTED:
		on_adopted(v, e, out);
		break;
	case HF_EV_ACKED:
		on_acked(v, e, out);
		break;
	case HF_EV_REPLACED:
		v->replaced |= HF_LEG_BIT(e->leg);
		v->replacement[e->leg] = e->incarnation;
		hf_volume_membership(v, e->now, out);
		break;
	case HF_EV_RESYNC_DONE:
		if (l->state == HF_VLEG_STREAMING && l->resync) {
			l->state = HF_VLEG_SYNCING;
			hf_volume_emit(out, HF_ACT_SYNCED)->leg = e->leg;
		}
		break;
	case HF_EV_UNSENDABLE:
		HF_SOMETIMES(STREAM_OP_TRIMMED);
		if (l->state == HF_VLEG_STREAMING)
			back_off(v, e->leg, e->now, out);
		break;
	case HF_EV_SYNCED:
		if (l->state != HF_VLEG_SYNCING)
			break;
		if (e->ack->result != HF_LEG_OK) {
			back_off(v, e->leg, e->now, out);
			break;
		}
		HF_SOMETIMES_IF(SYNCED_BEHIND, l->acked < v->committed);
		l->state = HF_VLEG_STREAMING;
		l->resync = false;
		hf_volume_membership(v, e->now, out);
		break;
	default:
		hf_unreachable();
	}
}

/* Has this member to leave the set? */
static bool is_bad_member(const struct hf_volume *v, uint32_t i, hf_nsec now)
{
	const struct hf_vleg *l = &v->leg[i];
	bool waited_for = v->committed + 1 < v->next;

	HF_SOMETIMES_IF(MEMBER_DOWN_IDLE, l->state != HF_VLEG_STREAMING && !waited_for &&
						  now >= l->down_since + HF_EVICT_IDLE_NS);
	if (l->lost || l->state == HF_VLEG_REFUSED)
		return true;
	if (l->state != HF_VLEG_STREAMING)
		return now >= l->down_since + (waited_for ? HF_EVICT_DOWN_NS : HF_EVICT_IDLE_NS);
	return false;
}

static bool is_slow_member(const struct hf_volume *v, uint32_t i, hf_nsec now)
{
	const struct hf_vleg *l = &v->leg[i];

	if (l->state != HF_VLEG_STREAMING || l->acked != v->committed || !l->waiting_since)
		return false;
	if (now < l->waiting_since + HF_EVICT_SLOW_NS)
		return false;
	return !v->evicted_slow_at || now >= v->evicted_slow_at + HF_EVICT_SLOW_GAP_NS;
}

/*
 * R5: take bad members out, as far as the rest keeps the promised tolerance (I13). Returns whether something changed.
 */
static void take_out(struct hf_volume *v, uint32_t i, bool slow, hf_legs *rest, hf_nsec now)
{
	hf_legs without = *rest & ~HF_LEG_BIT(i);
	bool hopeless = v->leg[i].gone || v->leg[i].forgot;

	if (HF_GUARD(SHRINK) &&
	    hf_insync_tolerance(&v->record, without) < (hopeless ? 0 : (int)v->record.min_tolerance)) {
		HF_SOMETIMES_IF(REMOVE_WAITS_TOLERANCE, !slow);
		HF_SOMETIMES_IF(REMOVE_SLOW_WAITS_TOLERANCE, slow);
		return;
	}
	HF_SOMETIMES_IF(REMOVE_TWO, *rest != hf_insync_members(&v->record));
	HF_SOMETIMES_IF(REMOVE_SLOW, slow);
	HF_SOMETIMES_IF(REMOVE_LOST, v->leg[i].lost);
	HF_SOMETIMES_IF(REMOVE_GONE, v->leg[i].gone);
	if (slow) {			/* and nothing else: it streams */
		v->evicted_slow_at = now;
		v->leg[i].why = "it was too slow";
		v->leg[i].no_add_until = now + HF_EVICT_SLOW_GAP_NS;
	}
	*rest = without;
	v->proposal.leg[i].insync = false;
}

/*
 * Of a leg that is gone, or forgot, nothing comes back as long as it is a member: it would be waited for for ever. So
 * it leaves at any tolerance, and writes wait until enough others are rebuilt (I3). It leaves first; then those that
 * refuse, whom somebody has to mend; those that are only away or slow leave if the rest is still enough without them.
 */
enum turn { HOPELESS, REFUSED, AWAY, TURNS };

static enum turn turn_of(const struct hf_volume *v, uint32_t i)
{
	const struct hf_vleg *l = &v->leg[i];

	if (l->gone || l->forgot)
		return HOPELESS;
	return l->state == HF_VLEG_REFUSED ? REFUSED : AWAY;
}

static bool shrink(struct hf_volume *v, hf_nsec now)
{
	hf_legs set = hf_insync_members(&v->record), rest = set;

	for (enum turn turn = 0; turn < TURNS; turn++)
		for (uint32_t i = 0; i < v->record.leg_count; i++) {
			bool slow;

			if (!(set & HF_LEG_BIT(i)) || turn_of(v, i) != turn)
				continue;
			slow = is_slow_member(v, i, now);
			if (slow || is_bad_member(v, i, now))
				take_out(v, i, slow, &rest, now);
		}
	return rest != set;
}

/* H9: the new uuid goes into the record before the blank leg is used; the old one can never vote again. */
static bool put_replacements(struct hf_volume *v)
{
	bool change = false;

	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		if (!(v->replaced & HF_LEG_BIT(i)) || is_member(v, i))
			continue;
		HF_SOMETIMES(REPLACE_RECORDED);
		v->proposal.leg[i].uuid = v->replacement[i];
		v->proposal.leg[i].activated = 0;
		change = true;
	}
	return change;
}

/* Legs that have been gone for long are made anew where they were. */
static void replace_gone(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		struct hf_vleg *l = &v->leg[i];

		if (!l->gone || is_member(v, i) || l->state == HF_VLEG_DOWN || now < l->gone_since + HF_REPLACE_NS ||
		    (v->replaced & HF_LEG_BIT(i)))
			continue;
		HF_SOMETIMES(REPLACE_ORDERED);
		l->gone_since = now;	/* should the order fail, it is given again after as long */
		hf_volume_emit(out, HF_ACT_REPLACE)->leg = i;
	}
}

void hf_volume_membership(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	bool change;

	if (v->phase != HF_PHASE_SERVING)
		return;
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		struct hf_vleg *l = &v->leg[i];

		if ((l->state == HF_VLEG_UP || (l->state == HF_VLEG_REFUSED && !is_member(v, i))) && now >= l->retry_at)
			hf_volume_prepare_leg(v, i, out);
		else if (l->state == HF_VLEG_PROMISED && !is_member(v, i))
			start_catch_up(v, i, out);
		else if (l->state == HF_VLEG_PROMISED)
			resume_member(v, i, now, out);
	}
	replace_gone(v, now, out);
	if (v->cas_busy)
		return;
	v->proposal = v->record;
	change = shrink(v, now);
	change |= put_replacements(v);
	if (v->size_blocks && v->size_blocks != v->record.size_blocks) {
		v->proposal.size_blocks = v->size_blocks;	/* for those who look; the log rules (H29) */
		change = true;
	}
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		if (is_member(v, i))
			continue;
		if (!is_ready(v, i, now)) {
			/*
			 * A pending add that went bad is proposed away: only another change proves that it is out
			 * (H6).
			 */
			HF_SOMETIMES_IF(ADD_WENT_BAD, (v->pending_add & HF_LEG_BIT(i)) != 0);
			change |= (v->pending_add & HF_LEG_BIT(i)) != 0;
			continue;
		}
		/* guard ACK_PENDING: waited for, and asked for leases, from before the change is sent */
		v->pending_add |= HF_LEG_BIT(i);
		v->proposal.leg[i].insync = true;
		v->proposal.leg[i].activated = v->epoch;
		change = true;
	}
	if (change)
		hf_volume_propose(v, out);
}

/* v->record changed: recompute what follows from it. */
void hf_volume_record_taken(struct hf_volume *v, struct hf_actions *out)
{
	bool was_blocked = hf_volume_is_blocked(v);

	v->tolerance = hf_insync_tolerance(&v->record, hf_insync_members(&v->record));
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		struct hf_vleg *l = &v->leg[i];

		if (!is_member(v, i))
			l->lost = false;
		if (!(v->replaced & HF_LEG_BIT(i)) || !hf_uuid_is_equal(&v->record.leg[i].uuid, &v->replacement[i]))
			continue;
		v->replaced &= ~HF_LEG_BIT(i);
		l->gone = false;
		if (hf_vleg_is_connected(l))	/* an answer that is on its way is of the old leg */
			l->state = HF_VLEG_UP;
		l->retry_at = 0;
		hf_volume_note(out, HF_NOTE_LEG_REPLACED, i);
	}
	HF_SOMETIMES_IF(TOLERANCE_LOST, hf_volume_is_blocked(v) && !was_blocked);
	HF_SOMETIMES_IF(TOLERANCE_BACK, !hf_volume_is_blocked(v) && was_blocked);
	if (hf_volume_is_blocked(v) != was_blocked)
		hf_volume_note(out, was_blocked ? HF_NOTE_UNBLOCKED : HF_NOTE_BLOCKED, 0);
}

// SPDX-License-Identifier: MIT
/* volume_op - admit ops, acknowledge them, plan reads (docs/SAFETY.md R2, R4, R11, H6, H21, H31). */
#include "base/assert.h"
#include "base/sometimes.h"
#include "core/entry.h"
#include "core/guard.h"
#include "core/volume_int.h"

#define BARRIERS 32u			/* slots of the window that only barriers take: members go one by one */

bool hf_volume_can_admit(const struct hf_volume *v)
{
	return v->phase == HF_PHASE_SERVING && v->next - v->base < HF_WINDOW - BARRIERS;
}

void hf_volume_sized(struct hf_volume *v, uint64_t size_blocks)
{
	if (!v->size_blocks)		/* a RESIZE may have been committed since it was asked */
		v->size_blocks = size_blocks;
}

bool hf_volume_is_blocked(const struct hf_volume *v)
{
	return v->phase == HF_PHASE_SERVING && v->tolerance < (int)v->record.min_tolerance;
}

/* guards ACK_PENDING, ACK_SHRUNK: on the way in and out a leg counts until the store has said so (H6, H7). */
hf_legs hf_volume_ack_set(const struct hf_volume *v)
{
	const struct hf_record *r = HF_GUARD(ACK_SHRUNK) || !v->cas_busy ? &v->record : &v->proposal;

	return hf_insync_members(r) | (HF_GUARD(ACK_PENDING) ? v->pending_add : 0);
}

void hf_volume_admit(struct hf_volume *v, const struct hf_entry *e)
{
	struct hf_entry *slot = &v->window[v->next % HF_WINDOW];

	hf_assert(v->next - v->base < HF_WINDOW);
	slot->epoch = v->epoch;
	slot->seq = v->next;
	slot->lba = e->lba;
	slot->ver = v->ver;
	slot->nblocks = e->nblocks;
	slot->type = e->type;
	slot->skip = 0;
	slot->zero = 0;
	if (e->type == HF_OP_WRITE)
		for (uint32_t i = 0; i < e->nblocks; i++)
			slot->block_crc[i] = e->block_crc[i];
	if (e->type == HF_OP_RESIZE)
		v->resize_seq = v->next;
	slot->prev_chain = v->chain;
	slot->chain = hf_entry_chain(v->chain, slot);
	v->chain = slot->chain;
	v->next++;
}

const struct hf_entry *hf_volume_entry(const struct hf_volume *v, hf_seq seq)
{
	if (seq < v->base || seq >= v->next)
		return NULL;
	return &v->window[seq % HF_WINDOW];
}

/* Does this leg keep ops in the window? */
static bool holds_window(const struct hf_volume *v, uint32_t i)
{
	const struct hf_vleg *l = &v->leg[i];

	return l->state == HF_VLEG_STREAMING || l->state == HF_VLEG_SYNCING || l->state == HF_VLEG_ADOPTING ||
	       (hf_volume_ack_set(v) & HF_LEG_BIT(i));
}

static void release(struct hf_volume *v, struct hf_actions *out)
{
	hf_seq low = v->committed;
	struct hf_action *a;

	for (uint32_t i = 0; i < v->record.leg_count; i++)
		if (holds_window(v, i) && v->leg[i].acked < low)
			low = v->leg[i].acked;
	if (low + 1 <= v->base)
		return;
	a = hf_volume_emit(out, HF_ACT_RELEASE);
	a->from = v->base;
	a->to = low;
	v->base = low + 1;
}

/*
 * guard CONFIG_DISTRUST: an op that a member which was taken out lacks is acknowledged when all others have durably
 * seen that it was. Or a store restored from before it would count that one's clean log as proof that the op never was
 * (H26).
 */
static bool spread_ver(struct hf_volume *v, struct hf_actions *out)
{
	static const struct hf_entry nop = { .type = HF_OP_NOP };

	v->spread_ver = false;
	/* What is committed, that member has too; but what a promotion decided, it may lack. */
	HF_SOMETIMES_IF(BARRIER_NOT_NEEDED, v->open && v->committed + 1 == v->next);
	if (!HF_GUARD(CONFIG_DISTRUST) || (v->open && v->committed + 1 == v->next))
		return true;
	if (v->next - v->base == HF_WINDOW) {
		hf_volume_stop(v, "members went while nothing could be acknowledged: promote the volume again", out);
		return false;
	}
	HF_SOMETIMES(BARRIER_OP);
	HF_SOMETIMES_IF(BARRIER_BEFORE_OPEN, !v->open);
	HF_SOMETIMES_IF(BARRIER_BEHIND_BARRIER, v->committed < v->barrier);
	v->barrier = v->next;
	hf_volume_admit(v, &nop);
	return true;
}

/* guards ACK_ALL, TOLERANCE (R4): I2, I3. */
void hf_volume_try_commit(struct hf_volume *v, struct hf_actions *out)
{
	hf_legs need = HF_GUARD(ACK_ALL) ? hf_volume_ack_set(v) : 0;
	bool all_know;
	hf_seq low;

	if (v->phase != HF_PHASE_SERVING || (v->spread_ver && !spread_ver(v, out)))
		return;
	low = v->next - 1;
	for (uint32_t i = 0; i < v->record.leg_count; i++)
		if ((need & HF_LEG_BIT(i)) && v->leg[i].acked < low)
			low = v->leg[i].acked;
	all_know = low >= v->barrier;
	/* What was decided may have been acknowledged under the old primary: it is committed at any tolerance (R10). */
	HF_SOMETIMES_IF(COMMIT_WAITS_TOLERANCE, hf_volume_is_blocked(v) && low > v->promotion.decision.seq);
	HF_SOMETIMES_IF(COMMIT_DECIDED_ANYWAY, hf_volume_is_blocked(v) && low > v->committed && all_know &&
						       low <= v->promotion.decision.seq);
	HF_SOMETIMES_IF(COMMIT_WAITS_BARRIER, low > v->committed && !all_know);
	HF_SOMETIMES_IF(COMMIT_WAITS_PENDING, low == v->committed && low + 1 < v->next && v->pending_add);
	if (HF_GUARD(TOLERANCE) && hf_volume_is_blocked(v) && low > v->promotion.decision.seq)
		low = v->promotion.decision.seq;
	if (low > v->committed && all_know) {
		const struct hf_entry *e = hf_volume_entry(v, low);

		hf_assert(e);
		v->committed = low;
		v->chain_committed = e->chain;
		v->epoch_committed = e->epoch;
		if (v->resize_seq && low >= v->resize_seq) {
			const struct hf_entry *resize = hf_volume_entry(v, v->resize_seq);

			hf_assert(resize);
			v->size_blocks = resize->lba;
			v->resize_seq = 0;	/* the record follows with the next change of the set, or tick */
		}
		hf_volume_emit(out, HF_ACT_COMMITTED)->to = low;
	}
	/* guard OPEN: the first read sees what was decided: it may be that the old primary acknowledged it (R10). */
	if (!v->open && (!HF_GUARD(OPEN) || (all_know && v->committed >= v->promotion.decision.seq))) {
		HF_SOMETIMES_IF(OPEN_BELOW_TOLERANCE, hf_volume_is_blocked(v));
		HF_SOMETIMES_IF(OPEN_WITH_PENDING_CHANGE, v->cas_busy);
		v->open = true;
		hf_volume_emit(out, HF_ACT_SERVING);
	}
	release(v, out);
}

/* A leg outside the set that holds back a nearly full window has to start over. */
static void drop_laggards(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	hf_legs need = hf_volume_ack_set(v);

	if (v->phase != HF_PHASE_SERVING || v->next - v->base < HF_WINDOW * 7 / 8)
		return;
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		struct hf_vleg *l = &v->leg[i];

		if ((need & HF_LEG_BIT(i)) || !holds_window(v, i) || l->acked >= v->committed)
			continue;
		HF_SOMETIMES(LAGGARD_DROPPED);
		if (l->resync)
			hf_volume_emit(out, HF_ACT_RESYNC_STOP)->leg = i;
		l->resync = false;
		l->adopted = false;
		l->state = HF_VLEG_UP;
		l->retry_at = now + HF_RETRY_MAX_NS;
		l->why = "it could not follow the writes";
	}
	release(v, out);
}

void hf_volume_turn(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	if (v->phase == HF_PHASE_STOPPED)
		return;
	drop_laggards(v, now, out);
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		struct hf_vleg *l = &v->leg[i];
		/*
		 * A leg in a resync gets what is committed only. Copied blocks count once they can be read, which those
		 * behind an uncommitted op cannot; and ops that wait for tolerance wait for this very leg.
		 */
		hf_seq to = l->resync ? v->committed : v->next - 1;
		struct hf_action *a;

		if (l->state != HF_VLEG_STREAMING && l->state != HF_VLEG_SYNCING)
			continue;
		HF_SOMETIMES_IF(STREAM_COMMITTED_ONLY, l->resync && v->committed + 1 < v->next);
		if (l->send_busy)
			continue;
		if (l->sent < to) {
			a = hf_volume_emit(out, HF_ACT_APPEND);
			a->leg = i;
			a->from = l->sent + 1;
			a->to = to;
		} else if (l->adopted && (v->phase == HF_PHASE_SERVING || v->phase == HF_PHASE_WAITING_LEASES) &&
			   now >= l->lease_asked_at + v->lease_ns / 4) {
			l->lease_asked_at = now;
			hf_volume_emit(out, HF_ACT_LEASE)->leg = i;
		}
	}
}

void hf_volume_sent(struct hf_volume *v, uint32_t leg, hf_seq seq, hf_nsec now)
{
	struct hf_vleg *l = &v->leg[leg];

	hf_assert(seq >= l->sent && seq < v->next);
	l->sent = seq;
	l->send_busy = true;
	l->lease_asked_at = now;
	if (!l->waiting_since && l->sent > l->acked)
		l->waiting_since = now;
}

void hf_volume_send_done(struct hf_volume *v, uint32_t leg)
{
	v->leg[leg].send_busy = false;
}

hf_legs hf_volume_holders(const struct hf_volume *v, hf_seq seq)
{
	hf_epoch e = hf_epoch_cache_at(&v->history, seq);
	hf_legs set = 0;

	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		const struct hf_promise *p = &v->promotion.reply[i];

		if (!(v->promotion.valid & HF_LEG_BIT(i)) || p->last < seq || p->first > seq)
			continue;
		if (hf_epoch_cache_at(&p->epochs, seq) == e)
			set |= HF_LEG_BIT(i);
	}
	return set;
}

bool hf_volume_is_lost(const struct hf_volume *v, hf_seq seq)
{
	const struct hf_promotion *p = &v->promotion;

	return p->accepted_loss && seq >= p->lost_from && seq <= p->decision.seq &&
	       !hf_insync_is_decodable(&v->record, hf_volume_holders(v, seq));
}

bool hf_volume_is_readable(const struct hf_volume *v, uint32_t i)
{
	const struct hf_vleg *l = &v->leg[i];

	return v->record.leg[i].insync && l->adopted && !l->lost;
}

hf_legs hf_volume_read_plan(const struct hf_volume *v, hf_legs exclude)
{
	hf_legs frags = 0, whole = 0;
	uint32_t count = 0;

	for (int pass = 0; pass < 2; pass++) {	/* the primary's own legs first */
		for (uint32_t i = 0; i < v->record.leg_count; i++) {
			if ((exclude & HF_LEG_BIT(i)) || v->leg[i].local != (pass == 0) || !hf_volume_is_readable(v, i))
				continue;
			if (hf_frag_is_whole(v->record.geometry, v->record.leg[i].frag)) {
				if (!whole)
					whole = HF_LEG_BIT(i);
			} else if (count < v->record.geometry.k) {
				frags |= HF_LEG_BIT(i);
				count++;
			}
		}
	}
	HF_SOMETIMES_IF(READ_PLAN_NONE, !whole && count < v->record.geometry.k);
	HF_SOMETIMES_IF(READ_PLAN_WITHOUT_BAD, exclude && (whole || count == v->record.geometry.k));
	if (whole)
		return whole;
	return count == v->record.geometry.k ? frags : 0;
}

/* guards LEASE, LEASE_PENDING: every leg that could let a newer primary begin still promises not to (I10). */
bool hf_volume_may_answer_read(const struct hf_volume *v, hf_nsec now)
{
	hf_legs need = HF_GUARD(LEASE_PENDING) ? hf_volume_ack_set(v) : hf_insync_members(&v->record);

	if (v->phase != HF_PHASE_SERVING)
		return false;
	for (uint32_t i = 0; HF_GUARD(LEASE) && i < v->record.leg_count; i++)
		if ((need & HF_LEG_BIT(i)) && v->leg[i].lease_until <= now) {
			HF_SOMETIMES_IF(LEASE_EXPIRED, v->leg[i].lease_until != 0);
			HF_SOMETIMES_IF(LEASE_OF_PENDING_ADD, (v->pending_add & HF_LEG_BIT(i)) != 0);
			return false;
		}
	return true;
}

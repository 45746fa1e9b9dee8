// SPDX-License-Identifier: MIT
/* volume - dispatch of events, and answers of the cluster store (docs/SAFETY.md R1, R5-R7, H6-H8). */
#include "core/volume.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "core/guard.h"
#include "core/volume_int.h"

struct hf_action *hf_volume_emit(struct hf_actions *out, enum hf_action_kind kind)
{
	struct hf_action *a;

	hf_assert(out->count < HF_ACTIONS_MAX);
	a = &out->at[out->count++];
	memset(a, 0, sizeof(*a));
	a->kind = kind;
	return a;
}

void hf_volume_note(struct hf_actions *out, enum hf_note note, uint32_t leg)
{
	struct hf_action *a = hf_volume_emit(out, HF_ACT_NOTE);

	a->note = note;
	a->leg = leg;
}

void hf_volume_init(struct hf_volume *v, const char *self, hf_nsec lease_ns)
{
	memset(v, 0, sizeof(*v));
	strncpy(v->self, self, sizeof(v->self) - 1);
	v->lease_ns = lease_ns;
	v->replay_floor = HF_NEVER;
	v->next = 1;
	v->base = 1;
}

void hf_volume_stop(struct hf_volume *v, const char *why, struct hf_actions *out)
{
	v->phase = HF_PHASE_STOPPED;
	v->stop_why = why;
	hf_volume_emit(out, HF_ACT_STOPPED);
}

void hf_volume_propose(struct hf_volume *v, struct hf_actions *out)
{
	hf_assert(!v->cas_busy);
	v->proposal.nonce = v->incarnation;
	v->nonce_count++;
	for (int i = 0; i < 8; i++)
		v->proposal.nonce.b[8 + i] ^= (uint8_t)(v->nonce_count >> (8 * i));
	v->cas_busy = true;
	hf_volume_emit(out, HF_ACT_CAS);
}

/* Our proposal is in the store. */
static void cas_succeeded(struct hf_volume *v, uint64_t ver, hf_nsec now, struct hf_actions *out)
{
	hf_legs was = hf_insync_members(&v->record), is;

	v->record = v->proposal;
	v->ver = ver;
	v->cas_busy = false;
	v->cas_unknown = false;
	is = hf_insync_members(&v->record);
	HF_SOMETIMES_IF(ADD_LANDED, (v->pending_add & is) != 0);
	HF_SOMETIMES_IF(ADD_TAKEN_BACK, (v->pending_add & ~is) != 0);
	HF_SOMETIMES_IF(SET_SHRINKS_AND_GROWS, (was & ~is) && (is & ~was) && v->phase == HF_PHASE_SERVING);
	v->pending_add = 0;		/* any older proposal compared an older version: it can no longer land */
	if (v->phase == HF_PHASE_CLAIMING) {
		hf_volume_claimed(v, now, out);
		return;
	}
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		if ((was & ~is) & HF_LEG_BIT(i))
			hf_volume_note(out, HF_NOTE_LEG_REMOVED, i);
		if ((is & ~was) & HF_LEG_BIT(i))
			hf_volume_note(out, HF_NOTE_LEG_ADDED, i);
	}
	hf_volume_record_taken(v, out);
	if (was & ~is)
		v->spread_ver = true;
	if (v->phase == HF_PHASE_ACTIVATING)
		hf_volume_activated(v, now, out);
	if (v->phase == HF_PHASE_SERVING) {
		hf_volume_try_commit(v, out);
		hf_volume_membership(v, now, out);
	}
}

uint64_t hf_volume_shown_ver(const struct hf_volume *v)
{
	return v->record.claimed_from ? v->record.claimed_from : v->ver;
}

static void on_cas_done(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out)
{
	if (!v->cas_busy)
		return;
	if (e->result == 0) {
		cas_succeeded(v, e->ver, e->now, out);
		return;
	}
	HF_SOMETIMES_IF(CAS_CLAIM_UNKNOWN, v->phase == HF_PHASE_CLAIMING);
	HF_SOMETIMES_IF(CAS_ACTIVATE_UNKNOWN, v->phase == HF_PHASE_ACTIVATING);
	HF_SOMETIMES_IF(CAS_CHANGE_UNKNOWN, v->phase == HF_PHASE_SERVING);
	/* Lost race or lost answer: only the store knows (H8). */
	v->cas_unknown = true;
	hf_volume_emit(out, HF_ACT_GET_RECORD);
}

/* Another change was made while ours was not: go on from what is there. */
static void cas_failed(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out)
{
	v->cas_busy = false;
	v->cas_unknown = false;
	/*
	 * The version moved on, so the proposal is dead; otherwise it may still land, and its leg stays pending (H6).
	 */
	HF_SOMETIMES_IF(ADD_FAILED, e->ver != v->ver && v->pending_add);
	HF_SOMETIMES_IF(ADD_MAY_STILL_LAND, e->ver == v->ver && v->pending_add);
	HF_SOMETIMES_IF(CAS_LOST, e->ver == v->ver);
	if (e->ver != v->ver)
		v->pending_add = 0;
	if (v->phase == HF_PHASE_CLAIMING) {
		bool taken = e->record->epoch > v->record.epoch || strcmp(e->record->primary, v->self) != 0;

		HF_SOMETIMES_IF(CLAIM_YIELDS, taken && !v->forced);
		HF_SOMETIMES_IF(CLAIM_FORCED, taken && v->forced);
		if (taken && !v->forced) {
			hf_volume_stop(v, "another host claimed the volume", out);
			return;
		}
		if (++v->claim_tries > 5) {
			hf_volume_stop(v, "the config record keeps changing: another promotion is under way", out);
			return;
		}
		v->record = *e->record;
		v->ver = e->ver;
		hf_volume_claim(v, out);
		return;
	}
	v->record = *e->record;
	v->ver = e->ver;
	hf_volume_record_taken(v, out);
	if (v->phase == HF_PHASE_ACTIVATING) {
		HF_SOMETIMES(ACTIVATE_AGAIN);
		v->phase = HF_PHASE_ADOPTING;
		hf_volume_try_activate(v, e->now, out);
	}
}

static void on_record(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out)
{
	if (v->phase == HF_PHASE_IDLE)
		return;
	if (e->result == -ENOENT) {
		hf_volume_stop(v, "the volume was deleted", out);
		return;
	}
	if (e->result != 0) {
		HF_SOMETIMES_IF(CAS_STORE_SILENT, v->cas_unknown);
		if (v->cas_unknown)
			v->ask_at = e->now + HF_RETRY_NS;
		return;
	}
	if (v->cas_busy) {
		if (!v->cas_unknown) {
			HF_SOMETIMES(CAS_NEWS_MEANWHILE);
			return;		/* news by a watch; our own answer will tell */
		}
		if (!HF_GUARD(NONCE) || hf_uuid_is_equal(&e->record->nonce, &v->proposal.nonce)) {
			HF_SOMETIMES_IF(CAS_WON_CLAIM, v->phase == HF_PHASE_CLAIMING);
			HF_SOMETIMES_IF(CAS_WON_ACTIVATE, v->phase == HF_PHASE_ACTIVATING);
			HF_SOMETIMES_IF(CAS_WON_CHANGE, v->phase == HF_PHASE_SERVING);
			cas_succeeded(v, e->ver, e->now, out);
			return;
		}
	}
	if (HF_GUARD(DEPOSED) && v->phase != HF_PHASE_CLAIMING && e->record->epoch != v->epoch) {
		HF_SOMETIMES_IF(DEPOSED_WHILE_PROMOTING, v->phase != HF_PHASE_SERVING);
		HF_SOMETIMES_IF(DEPOSED_BY_RECORD, v->phase == HF_PHASE_SERVING);
		HF_SOMETIMES_IF(DEPOSED_WITH_CHANGE_UNKNOWN, v->cas_busy);
		hf_volume_stop(v, "a newer primary took over", out);
		return;
	}
	if (v->cas_busy) {
		cas_failed(v, e, out);
		return;
	}
	if (e->ver > v->ver) {
		v->record = *e->record;
		v->ver = e->ver;
		hf_volume_record_taken(v, out);
	}
}

static void on_tick(struct hf_volume *v, hf_nsec now, struct hf_actions *out)
{
	if (v->cas_unknown && v->ask_at && now >= v->ask_at) {
		v->ask_at = 0;
		hf_volume_emit(out, HF_ACT_GET_RECORD);
	}
	switch (v->phase) {
	case HF_PHASE_IDLE:
	case HF_PHASE_CLAIMING:
	case HF_PHASE_STOPPED:
		break;
	case HF_PHASE_SERVING:
		hf_volume_membership(v, now, out);
		break;
	case HF_PHASE_PREPARING:
	case HF_PHASE_SURVEYING:
	case HF_PHASE_LOADING:
	case HF_PHASE_ADOPTING:
	case HF_PHASE_ACTIVATING:
	case HF_PHASE_WAITING_LEASES:
		hf_volume_promote_tick(v, now, out);
		break;
	}
}

static void on_start(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out)
{
	hf_assert(v->phase == HF_PHASE_IDLE);
	v->record = *e->record;
	v->ver = e->ver;
	v->incarnation = e->incarnation;
	v->forced = e->forced;
	v->accept_loss = e->accept_loss;
	v->promotion.started = e->now;
	hf_volume_claim(v, out);
}

void hf_volume_step(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out)
{
	if (v->phase == HF_PHASE_STOPPED && e->kind != HF_EV_TURN)
		return;
	switch (e->kind) {
	case HF_EV_START:
		on_start(v, e, out);
		break;
	case HF_EV_STOP:
		hf_volume_stop(v, e->why, out);
		break;
	case HF_EV_RECORD:
		on_record(v, e, out);
		break;
	case HF_EV_CAS_DONE:
		on_cas_done(v, e, out);
		break;
	case HF_EV_LEG_UP:
	case HF_EV_LEG_DOWN:
	case HF_EV_PROMISED:
	case HF_EV_ADOPTED:
	case HF_EV_ACKED:
	case HF_EV_SYNCED:
	case HF_EV_REPLACED:
	case HF_EV_RESYNC_DONE:
	case HF_EV_UNSENDABLE:
		hf_assert(e->leg < v->record.leg_count);
		hf_volume_leg_event(v, e, out);
		break;
	case HF_EV_SURVEYED:
		hf_assert(e->leg < v->record.leg_count);
		hf_volume_surveyed(v, e, out);
		break;
	case HF_EV_LOADED:
		hf_volume_loaded(v, e, out);
		break;
	case HF_EV_OP:
		hf_volume_admit(v, e->entry);
		break;
	case HF_EV_TURN:
		hf_volume_turn(v, e->now, out);
		break;
	case HF_EV_TICK:
		on_tick(v, e->now, out);
		break;
	}
}

void hf_volume_check(const struct hf_volume *v)
{
	hf_assert(v->base <= v->next && v->next - v->base <= HF_WINDOW);
	hf_assert(v->committed < v->next);
	if (v->phase != HF_PHASE_SERVING)
		return;
	hf_assert(v->record.epoch == v->epoch);					/* I1 */
	hf_assert(strcmp(v->record.primary, v->self) == 0);
	for (uint32_t i = 0; i < v->record.leg_count; i++) {
		const struct hf_vleg *l = &v->leg[i];

		if (v->record.leg[i].insync) {
			hf_assert(v->record.leg[i].activated == v->epoch);	/* I7 */
			hf_assert(l->acked >= v->committed);			/* I2 */
		}
		hf_assert(l->acked < v->next);
		hf_assert(!l->adopted || l->state == HF_VLEG_STREAMING || l->state == HF_VLEG_SYNCING);
	}
}

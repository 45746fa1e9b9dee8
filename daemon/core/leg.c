// SPDX-License-Identifier: MIT
/* leg - decisions of a leg (docs/SAFETY.md R3, R6, R7, R9, R11, R15). Does no I/O: see engine/leg_run.c. */
#include "core/leg.h"

#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "core/entry.h"
#include "core/guard.h"

void hf_leg_init(struct hf_leg *l, const struct hf_leg_identity *id, const struct hf_leg_state *state,
		 hf_epoch last_epoch, hf_seq last, uint32_t chain, hf_seq commit, bool suspect, hf_nsec now,
		 hf_nsec lease_ns)
{
	*l = (struct hf_leg){
		.state = *state,
		.id = *id,
		.last_epoch = last_epoch,
		.last = last,
		.chain = chain,
		.commit = commit,
		.suspect = suspect || state->suspect,
		.lease_ns = lease_ns,
		/* One that was never activated never granted any. */
		.lease_until = HF_GUARD(LEASE_BOOT) && state->activated ? now + lease_ns : 0,
	};
	HF_SOMETIMES_IF(LEG_BOOT_LEASE, l->lease_until != 0);
	HF_SOMETIMES_IF(LEG_BOOT_SUSPECT_STILL, state->suspect && !suspect);
	/* A promise may be older than what the log shows when the log came with a newer epoch (H12). */
	if (l->state.promised < last_epoch) {
		l->state.promised = last_epoch;
		memset(&l->state.promised_incarnation, 0, sizeof(l->state.promised_incarnation));
	}
	hf_assert(commit <= last);
}

int hf_leg_prepare(struct hf_leg *l, const struct hf_prepare *m, bool *persist)
{
	struct hf_leg_state *s = &l->state;
	bool again = m->epoch == s->promised && hf_uuid_is_equal(&m->incarnation, &s->promised_incarnation);

	if (s->failed)
		return HF_LEG_FAILED;
	if (m->epoch < s->promised) {
		HF_SOMETIMES(LEG_PREPARE_STALE);
		return HF_LEG_STALE;
	}
	/* guard CONFIG_DISTRUST: another than it has promised to, from an older configuration than it has seen (R15) */
	if (HF_GUARD(CONFIG_DISTRUST) && !again && m->ver < s->ver) {
		HF_SOMETIMES(LEG_PREPARE_OLD_CONFIG);
		return HF_LEG_STALE;
	}
	if (HF_GUARD(EPOCH) && m->epoch == s->promised && !again && !hf_uuid_is_zero(&s->promised_incarnation))
		return HF_LEG_STALE;
	*persist = m->epoch > s->promised || m->ver > s->ver ||
		   !hf_uuid_is_equal(&m->incarnation, &s->promised_incarnation);
	HF_SOMETIMES_IF(LEG_PREPARE_AGAIN, again);
	HF_SOMETIMES_IF(LEG_PREPARE_ENDS_ADOPTION, m->epoch > s->promised && l->adopting);
	if (m->epoch > s->promised)
		l->adopting = 0;
	s->promised = m->epoch;
	s->promised_incarnation = m->incarnation;
	if (m->ver > s->ver)
		s->ver = m->ver;
	return HF_LEG_OK;
}

void hf_leg_promise(const struct hf_leg *l, const struct hf_prepare *m, hf_seq first, uint64_t size_blocks, hf_nsec now,
		    struct hf_promise *out)
{
	hf_nsec owed = l->owed_until;

	/* guard LEASE_WAIT: what its own incarnation holds is no reason to wait, what any other one holds is (R10) */
	if (l->lease_epoch != m->epoch && l->lease_until > owed)
		owed = l->lease_until;
	HF_SOMETIMES_IF(LEG_PROMISE_OWES_LEASE, owed > now);
	HF_SOMETIMES_IF(LEG_PROMISE_SUSPECT, l->suspect);
	HF_SOMETIMES_IF(LEG_PROMISE_INCONSISTENT, l->state.inconsistent);
	*out = (struct hf_promise){
		.result = HF_LEG_OK,
		.suspect = l->suspect,
		.inconsistent = l->state.inconsistent,
		.adopting = l->adopting == m->epoch,
		.promised = l->state.promised,
		.activated = l->state.activated,
		.last_epoch = l->last_epoch,
		.last = l->last,
		.commit = l->commit,
		.first = first,
		.resync_from = l->state.resync_from,
		.chain = l->chain,
		.ver = l->state.ver,
		.size_blocks = size_blocks,
		.lease_left = owed > now ? owed - now : 0,
		.epochs = l->state.epochs,
	};
}

int hf_leg_adopt(const struct hf_leg *l, const struct hf_adopt *m, struct hf_adopt_plan *plan)
{
	hf_seq common;

	if (l->state.failed)
		return HF_LEG_FAILED;
	if (m->epoch != l->state.promised)
		return m->epoch < l->state.promised ? HF_LEG_STALE : HF_LEG_WRONG_STATE;
	common = hf_epoch_cache_common(&l->state.epochs, l->last, &m->epochs,
				       m->mode == HF_ADOPT_LOG ? m->target : m->base);
	*plan = (struct hf_adopt_plan){ .keep = common, .state = l->state, .size_blocks = m->size_blocks };
	plan->state.epochs = m->epochs;
	if (m->ver > plan->state.ver)
		plan->state.ver = m->ver;
	if (m->mode == HF_ADOPT_RESYNC) {
		/*
		 * What is left behind of the old content is overwritten or was never changed: only then may commit be
		 * cut.
		 */
		HF_SOMETIMES_IF(LEG_RESYNC_KEEPS_COMMITTED, plan->keep < l->commit);
		HF_SOMETIMES_IF(LEG_RESYNC_DROPS_TAIL, plan->keep < l->last);
		HF_SOMETIMES_IF(LEG_RESYNC_AGAIN, l->state.inconsistent);
		if (plan->keep < l->commit)
			plan->keep = l->commit;
		plan->reset = true;
		plan->base_epoch = m->base_epoch;
		plan->base = m->base;
		plan->base_chain = m->base_chain;
		plan->state.inconsistent = true;
		plan->state.resync_from = m->resync_from;
		plan->state.suspect = false;
		plan->state.activated = m->epoch;
		plan->active = true;
		return HF_LEG_OK;
	}
	/* guard COMMITTED: what this leg knows is committed is in every history (I8, H18) */
	if (HF_GUARD(COMMITTED) && common < l->commit) {
		HF_SOMETIMES(LEG_ADOPT_WOULD_CUT);
		return HF_LEG_WOULD_CUT_COMMITTED;
	}
	plan->active = common == m->target && !l->state.inconsistent;
	if (l->state.inconsistent)
		return HF_LEG_WRONG_STATE;
	/* A log with an unreadable tail goes on in a fresh one, or recovery would stop at the damage again. */
	plan->reset = l->suspect;
	plan->truncate = !plan->reset && common < l->last;
	HF_SOMETIMES_IF(LEG_ADOPT_SUSPECT, plan->reset);
	HF_SOMETIMES_IF(LEG_ADOPT_TRUNCATES, plan->truncate);
	HF_SOMETIMES_IF(LEG_ADOPT_LACKS_OPS, !plan->active);
	plan->need_chain = true;
	plan->base = common;
	if (plan->active) {
		plan->state.activated = m->epoch;
		plan->state.suspect = false;
	} else {
		plan->state.suspect = l->suspect;
	}
	return HF_LEG_OK;
}

void hf_leg_adopt_done(struct hf_leg *l, const struct hf_adopt *m, const struct hf_adopt_plan *plan, hf_epoch epoch,
		       uint32_t chain)
{
	hf_seq at = plan->reset ? plan->base : plan->keep;
	hf_epoch promised = l->state.promised;
	struct hf_uuid incarnation = l->state.promised_incarnation;
	uint64_t ver = l->state.ver;

	l->state = plan->state;
	if (promised > l->state.promised) {	/* a newer promise was made meanwhile */
		l->state.promised = promised;
		l->state.promised_incarnation = incarnation;
	}
	if (ver > l->state.ver)
		l->state.ver = ver;
	l->last = at;
	l->last_epoch = epoch;
	l->chain = chain;
	if (l->commit > at)
		l->commit = at;
	if (plan->reset && m->mode == HF_ADOPT_RESYNC)
		l->commit = at;
	l->suspect = plan->state.suspect;
	l->adopting = plan->active ? 0 : m->epoch;
	l->target = m->target;
}

enum hf_append_verdict hf_leg_append(const struct hf_leg *l, hf_epoch epoch, const struct hf_entry *e)
{
	const struct hf_leg_state *s = &l->state;

	if (HF_GUARD(FENCE) && epoch < s->promised)
		return HF_APPEND_STALE;
	if (HF_GUARD(FENCE) && epoch != s->promised)
		return HF_APPEND_WRONG_STATE;
	if (HF_GUARD(ACTIVATED) && s->activated != epoch && l->adopting != epoch)
		return HF_APPEND_WRONG_STATE;
	if (e->seq <= l->last) {
		bool same = hf_epoch_cache_is_alive(&s->epochs, e->epoch, e->seq);

		HF_SOMETIMES_IF(LEG_APPEND_DUPLICATE, same);
		return same ? HF_APPEND_DUPLICATE : HF_APPEND_WRONG_STATE;
	}
	if (HF_GUARD(CHAIN) && (e->seq != l->last + 1 || e->prev_chain != l->chain ||
				hf_entry_chain(e->prev_chain, e) != e->chain))
		return HF_APPEND_WRONG_STATE;
	if (e->epoch > epoch || !hf_epoch_cache_is_alive(&s->epochs, e->epoch, e->seq))
		return HF_APPEND_WRONG_STATE;
	return HF_APPEND_OK;
}

void hf_leg_appended(struct hf_leg *l, const struct hf_entry *e)
{
	hf_assert(e->seq == l->last + 1);
	l->last = e->seq;
	l->last_epoch = e->epoch;
	l->chain = e->chain;
}

bool hf_leg_takes_resync(const struct hf_leg *l, hf_epoch epoch)
{
	return epoch == l->state.promised && epoch == l->state.activated && !l->state.failed;
}

bool hf_leg_durable(const struct hf_leg *l, hf_seq seq, struct hf_leg_state *state)
{
	if (!l->adopting || l->adopting != l->state.promised || seq < l->target)
		return false;
	HF_SOMETIMES(LEG_ADOPT_TARGET_REACHED);
	HF_SOMETIMES_IF(LEG_ADOPT_CLEARS_SUSPECT, l->state.suspect);
	*state = l->state;
	state->activated = l->adopting;
	state->suspect = false;
	return true;
}

void hf_leg_activated(struct hf_leg *l, const struct hf_leg_state *state)
{
	if (l->adopting != state->activated) {
		HF_SOMETIMES(LEG_ACTIVATED_TOO_LATE);
		return;			/* prepared by a newer primary meanwhile */
	}
	l->state.activated = state->activated;
	l->state.suspect = false;
	l->suspect = false;
	l->adopting = 0;
}

int hf_leg_synced(const struct hf_leg *l, hf_epoch epoch, struct hf_leg_state *state)
{
	if (!hf_leg_takes_resync(l, epoch))
		return epoch < l->state.promised ? HF_LEG_STALE : HF_LEG_WRONG_STATE;
	*state = l->state;
	state->inconsistent = false;
	state->resync_from = 0;
	return HF_LEG_OK;
}

bool hf_leg_grant_lease(struct hf_leg *l, hf_epoch epoch, hf_nsec now)
{
	if (epoch != l->state.promised || epoch != l->state.activated || l->state.inconsistent || l->state.failed) {
		HF_SOMETIMES(LEG_LEASE_REFUSED);
		return false;
	}
	HF_SOMETIMES_IF(LEG_LEASE_OWED_TO_OLDER, l->lease_epoch != epoch && l->lease_until > now);
	if (l->lease_epoch != epoch && l->lease_until > l->owed_until)
		l->owed_until = l->lease_until;
	l->lease_until = now + l->lease_ns;
	l->lease_epoch = epoch;
	return true;
}

void hf_leg_release_lease(struct hf_leg *l, hf_epoch epoch)
{
	HF_SOMETIMES_IF(LEG_LEASE_RELEASE_STALE, l->lease_epoch != epoch);
	if (l->lease_epoch == epoch)
		l->lease_until = 0;
}

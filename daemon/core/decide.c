// SPDX-License-Identifier: MIT
/* decide - longest decodable prefix and the nack rule (docs/SAFETY.md R8, H1, H2, H2b). */
#include "core/decide.h"

#include "base/assert.h"
#include "base/sometimes.h"
#include "core/entry.h"
#include "core/guard.h"

#define DECIDE_SPAN_MAX (4 * HF_WINDOW)

/* Up to here every valid leg holds the same ops. */
static hf_seq common_start(const struct hf_record *r, const struct hf_reply replies[])
{
	const struct hf_reply *ref = NULL;
	hf_seq start = 0;

	for (uint32_t i = 0; i < r->leg_count; i++) {
		const struct hf_reply *x = &replies[i];
		hf_seq c;

		if (!x->valid)
			continue;
		if (!ref) {
			ref = x;
			start = x->last;
			continue;
		}
		c = hf_epoch_cache_common(&ref->epochs, ref->last, &x->epochs, x->last);
		if (c < start)
			start = c;
	}
	return start;
}

struct holders {
	hf_legs has, lacks, lacks_clean;
	hf_epoch epoch;			/* the one candidate's; 0: nobody shows an op here */
	bool conflict;
};

static struct holders holders_at(const struct hf_record *r, const struct hf_reply replies[], hf_seq s)
{
	struct holders h = { 0 };

	for (uint32_t i = 0; i < r->leg_count; i++) {
		const struct hf_reply *x = &replies[i];
		hf_epoch e;

		if (!x->valid)
			continue;
		if (x->last < s) {
			h.lacks |= HF_LEG_BIT(i);
			if (!HF_GUARD(SUSPECT) || !x->suspect)
				h.lacks_clean |= HF_LEG_BIT(i);
			continue;
		}
		e = hf_epoch_cache_at(&x->epochs, s);
		if (e == 0 || (h.epoch && h.epoch != e))
			h.conflict = true;
		h.epoch = e;
		h.has |= HF_LEG_BIT(i);
	}
	return h;
}

/* Legs that end at the same op must agree on its chain; take chain and epochs of one that ends at S*. */
static bool take_end(const struct hf_record *r, const struct hf_reply replies[], struct hf_decision *d)
{
	bool found = false;

	for (uint32_t i = 0; i < r->leg_count; i++) {
		const struct hf_reply *x = &replies[i];

		if (!x->valid || x->last != d->seq)
			continue;
		if (found && x->chain != d->chain)
			return false;
		found = true;
		d->chain = x->chain;
		d->epochs = x->epochs;
	}
	while (d->epochs.count && d->epochs.at[d->epochs.count - 1].start > d->seq)
		d->epochs.count--;
	return found;
}

/* Why the walk of hf_decide() ended at an op that cannot be decoded. */
static void mark_refusal(const struct holders *h, const struct hf_decision *d)
{
	bool refused = d->verdict != HF_VERDICT_OK, cut = !refused && h->has;

	HF_SOMETIMES_IF(DECIDE_CUT_CLEAN, cut && d->nack_clean);
	HF_SOMETIMES_IF(DECIDE_CUT_COUNT, cut && !d->nack_clean && d->nack_count);
	HF_SOMETIMES_IF(DECIDE_END_BY_COUNT, !refused && !h->has && !d->nack_clean);
	HF_SOMETIMES_IF(DECIDE_SUSPECT_REFUSES, refused && h->has && !d->nack_clean && !d->nack_count);
	HF_SOMETIMES_IF(DECIDE_ALL_SUSPECT_REFUSE, refused && !h->has && !d->nack_clean && !d->nack_count);
	HF_SOMETIMES_IF(DECIDE_COMMITTED_REFUSES, refused && (d->nack_clean || d->nack_count));
}

uint32_t hf_decide_corrupt_max(const struct hf_record *r)
{
	return r->geometry.m ? r->geometry.m : 1;
}

void hf_decide(const struct hf_record *r, const struct hf_reply replies[], uint32_t corrupt_max,
	       struct hf_decision *out)
{
	struct hf_decision d = { .verdict = HF_VERDICT_OK };
	hf_legs valid = 0;
	hf_seq s;

	for (uint32_t i = 0; i < r->leg_count; i++) {
		if (!replies[i].valid)
			continue;
		valid |= HF_LEG_BIT(i);
		if (replies[i].last > d.seen)
			d.seen = replies[i].last;
		if (replies[i].commit > d.commit)
			d.commit = replies[i].commit;
	}
	if (!hf_insync_is_decodable(r, valid)) {
		HF_SOMETIMES(DECIDE_TOO_FEW);
		d.verdict = HF_VERDICT_TOO_FEW;
		*out = d;
		return;
	}
	d.seq = common_start(r, replies);
	/* Members differ by what was in flight at most. More is no history of ours, and not worth walking. */
	if (d.seen - d.seq > DECIDE_SPAN_MAX) {
		d.verdict = HF_VERDICT_CONFLICT;
		*out = d;
		return;
	}
	/*
	 * As far as one beyond what is seen, which nobody can decode: legs that are suspect may all have lost what
	 * stood there.
	 */
	for (s = d.seq + 1;; s++) {
		struct holders h = holders_at(r, replies, s);

		if (h.conflict) {
			d.verdict = HF_VERDICT_CONFLICT;
			break;
		}
		if (HF_GUARD(LONGEST) && hf_insync_is_decodable(r, h.has)) {
			HF_SOMETIMES_IF(DECIDE_KEPT_THOUGH_LACKED, h.lacks != 0);
			d.seq = s;
			continue;
		}
		/* guards NACK, COMMITTED: cut only what provably was never acknowledged (H2, I8) */
		d.nack_clean = h.lacks_clean != 0;
		d.nack_count = (uint32_t)__builtin_popcount(h.lacks) > corrupt_max;
		if ((HF_GUARD(COMMITTED) && s <= d.commit) || (HF_GUARD(NACK) && !d.nack_clean && !d.nack_count))
			d.verdict = HF_VERDICT_MAYBE_ACKED;
		mark_refusal(&h, &d);
		break;
	}
	if (!take_end(r, replies, &d))
		d.verdict = HF_VERDICT_CONFLICT;
	*out = d;
}

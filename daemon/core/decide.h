/* SPDX-License-Identifier: MIT */
/*
 * decide - choose the history that a new primary goes on from (R8): the longest decodable prefix, and whether what lies
 * beyond may be cut (nack rule, H2).
 *
 * A leg's log is named completely by its epoch cache and its last seq: (epoch, seq) names one op for ever (R1), and
 * equal names at one seq mean equal logs up to there. So no op has to be shipped to decide.
 */
#ifndef HF_CORE_DECIDE_H
#define HF_CORE_DECIDE_H

#include "core/insync.h"
#include "core/types.h"

/* What one in-sync leg answered to PREPARE; `valid` only after the checks of R8 (uuid, activated, not inconsistent). */
struct hf_reply {
	bool valid;
	bool suspect;			/* its log may have held more than it shows */
	hf_seq last, commit;
	uint32_t chain;			/* at `last` */
	struct hf_epoch_cache epochs;
};

enum hf_verdict {
	HF_VERDICT_OK,
	HF_VERDICT_TOO_FEW,		/* the legs that answered cannot decode the volume (H27) */
	/*
	 * An op that may have been acknowledged cannot be decoded yet (H2); perhaps nobody shows it, and all who
	 * answered are suspect.
	 */
	HF_VERDICT_MAYBE_ACKED,
	/* two ops under one seq, or chains that differ: not a history this protocol can make */
	HF_VERDICT_CONFLICT,
};

struct hf_decision {
	enum hf_verdict verdict;
	hf_seq seq;			/* S*: last seq of the history. On refusal: the longest decodable prefix */
	hf_seq seen;			/* highest seq that any leg showed: (seq, seen] is cut, or at risk on refusal */
	hf_seq commit;			/* highest seq known committed by any leg */
	uint32_t chain;			/* at seq */
	struct hf_epoch_cache epochs;	/* the history's, up to seq */
	bool nack_clean, nack_count;	/* why the cut is allowed: rule (a), rule (b) */
};

/* m_c of H2: how many tails may be corrupt at once. The geometry's m, at least 1. */
uint32_t hf_decide_corrupt_max(const struct hf_record *r);
/* replies[i] belongs to r->leg[i]; `corrupt_max` is m_c of H2. */
void hf_decide(const struct hf_record *r, const struct hf_reply replies[], uint32_t corrupt_max,
	       struct hf_decision *out);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * leg - the leg's side of the protocol: whom it obeys, what it appends, what it promises (R3, R6, R7, R9, R15).
 *
 * Pure decisions; the engine makes them durable in the store before it answers. Flow of a control message: hf_leg_xxx()
 * decides and fills a plan; the engine carries the plan out; hf_leg_xxx_done() takes it over; then the reply leaves.
 * What must never be weaker in memory than on disk (the promise) takes effect at once, before it is durable.
 * Invariants (docs/SAFETY.md): I4, I5, I6, I8, I11, I12.
 */
#ifndef HF_CORE_LEG_H
#define HF_CORE_LEG_H

#include "core/msg.h"

struct hf_leg {
	struct hf_leg_state state;	/* as durable, or stronger while a plan is carried out */
	struct hf_leg_identity id;
	hf_epoch last_epoch;
	hf_seq last;			/* last appended (durable or on its way) */
	uint32_t chain;			/* at last */
	hf_seq commit;
	bool suspect;			/* state.suspect, or recovery found an unreadable tail */
	hf_epoch adopting;		/* truncated for this epoch, waiting for ops up to target; 0: not */
	hf_seq target;
	hf_nsec lease_until;		/* leg side of read leases granted, or assumed at boot (H32) */
	hf_epoch lease_epoch;		/* whom the lease was granted to; 0: unknown, from before the boot */
	hf_nsec owed_until;		/* of leases granted to epochs before lease_epoch (R10) */
	hf_nsec lease_ns;
};

/* Status as found by recovery. */
void hf_leg_init(struct hf_leg *l, const struct hf_leg_identity *id, const struct hf_leg_state *state,
		 hf_epoch last_epoch, hf_seq last, uint32_t chain, hf_seq commit, bool suspect, hf_nsec now,
		 hf_nsec lease_ns);

/* R7. Returns enum hf_leg_result; with OK, *persist says whether l->state must become durable before the reply. */
int hf_leg_prepare(struct hf_leg *l, const struct hf_prepare *m, bool *persist);
/* The reply, once nothing that was appended before the promise is still on its way to disk. */
void hf_leg_promise(const struct hf_leg *l, const struct hf_prepare *m, hf_seq first, uint64_t size_blocks, hf_nsec now,
		    struct hf_promise *out);

/* What the engine has to do for an ADOPT, in this order. */
struct hf_adopt_plan {
	bool truncate;			/* drop log entries > keep */
	bool reset;			/* in place of truncate: store reset, the log goes on after base */
	hf_seq keep;
	hf_epoch base_epoch;
	hf_seq base;
	uint32_t base_chain;
	/* base_chain, or the chain at keep, has to be asked of the store: base == keep */
	bool need_chain;
	uint64_t size_blocks;
	struct hf_leg_state state;	/* to make durable */
	bool active;			/* the leg is then activated for the epoch */
};

/* R6, R9. Returns enum hf_leg_result; the plan is filled with OK. */
int hf_leg_adopt(const struct hf_leg *l, const struct hf_adopt *m, struct hf_adopt_plan *plan);
/* The plan is durable; `epoch` and `chain` belong to the entry at plan->keep, or at the base after a reset. */
void hf_leg_adopt_done(struct hf_leg *l, const struct hf_adopt *m, const struct hf_adopt_plan *plan, hf_epoch epoch,
		       uint32_t chain);

enum hf_append_verdict {
	HF_APPEND_OK,
	HF_APPEND_DUPLICATE,		/* already here: acknowledge again */
	HF_APPEND_STALE,		/* promised to a newer epoch */
	HF_APPEND_WRONG_STATE,		/* not adopted, a gap, or another history (R3) */
};

/* R3: may this op of a stream of `epoch` be appended? e->chain is checked against its content. */
enum hf_append_verdict hf_leg_append(const struct hf_leg *l, hf_epoch epoch, const struct hf_entry *e);
/* The op was handed to the store. */
void hf_leg_appended(struct hf_leg *l, const struct hf_entry *e);
/* May a stream of `epoch` bring RESYNC entries? */
bool hf_leg_takes_resync(const struct hf_leg *l, hf_epoch epoch);
/* Log durable up to seq. True: the adopt target is reached; make *state durable, then hf_leg_activated(). */
bool hf_leg_durable(const struct hf_leg *l, hf_seq seq, struct hf_leg_state *state);
void hf_leg_activated(struct hf_leg *l, const struct hf_leg_state *state);
/* The resync is complete: the state to make durable. */
int hf_leg_synced(const struct hf_leg *l, hf_epoch epoch, struct hf_leg_state *state);

/* R11: grant or refuse a read lease to the primary of `epoch`. */
bool hf_leg_grant_lease(struct hf_leg *l, hf_epoch epoch, hf_nsec now);
/* A planned move: the primary of `epoch` gives its lease back. */
void hf_leg_release_lease(struct hf_leg *l, hf_epoch epoch);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * volume - the primary's side of the protocol for one volume and one incarnation: claim an epoch, prepare, decide,
 * adopt, serve, commit, shrink and grow the in-sync set (R1-R11).
 *
 * Pure: hf_volume_step(event) -> actions. The same events give the same actions. The engine carries actions out in
 * order and feeds back what happened. Everything that depends on durability or on a compare-and-swap is emitted only
 * by the step that gets its completion. Data blocks never come here: the engine keeps them beside the window, slot =
 * seq % HF_WINDOW. Files: volume.c (dispatch, store answers), volume_promote.c (claim to serve), volume_leg.c (legs
 * come, go, catch up), volume_op.c (admit, acknowledge, read plan). Invariants: I1-I3, I7, I8, I10, I13, I14
 * (docs/SAFETY.md).
 */
#ifndef HF_CORE_VOLUME_H
#define HF_CORE_VOLUME_H

#include "core/decide.h"
#include "core/insync.h"
#include "core/msg.h"

enum hf_phase {
	HF_PHASE_IDLE,
	HF_PHASE_CLAIMING,		/* compare-and-swap of epoch + 1 is under way (R1, R7) */
	HF_PHASE_PREPARING,		/* asking the in-sync legs for promises */
	HF_PHASE_SURVEYING,		/* reading what is about to be given up by the operator's word (H27) */
	HF_PHASE_LOADING,		/* reading ops that some legs lack from legs that have them (R9) */
	HF_PHASE_ADOPTING,		/* legs truncate, take missing ops, activate */
	HF_PHASE_ACTIVATING,		/* compare-and-swap: who adopted is the in-sync set */
	HF_PHASE_WAITING_LEASES,		/* the old primary's read leases run out (R10) */
	HF_PHASE_SERVING,
	HF_PHASE_STOPPED,
};

enum hf_vleg_state {
	HF_VLEG_DOWN,			/* no connection */
	HF_VLEG_UP,			/* connected, nothing asked, or waiting for retry_at */
	HF_VLEG_PREPARING,		/* PREPARE sent */
	HF_VLEG_PROMISED,		/* answered; reply is valid */
	HF_VLEG_ADOPTING,		/* ADOPT sent */
	HF_VLEG_STREAMING,		/* takes ops; adopted tells whether it is activated */
	HF_VLEG_SYNCING,		/* SYNCED sent: the leg clears its inconsistent mark */
	HF_VLEG_REFUSED,		/* cannot take part as it is: see `why` */
};

struct hf_vleg {
	enum hf_vleg_state state;
	const char *why;		/* REFUSED or evicted: static words */
	uint64_t gen;			/* of the connection: late messages carry an older one (H25) */
	bool local;			/* on the primary's own host */
	bool adopted;			/* activated for our epoch */
	bool resync;			/* streaming while chunks are copied; not eligible for the set */
	/* a member that forgot acknowledged ops or failed: has to leave the set (R13) */
	bool lost;
	bool gone;			/* its host answers that it has no such leg: nothing of it is left (H9) */
	bool forgot;			/* it answers, and shows less than it had acknowledged */
	hf_nsec gone_since;
	bool send_busy;			/* the engine has a frame on its way */
	struct hf_promise reply;
	hf_nsec replied_at;
	hf_seq sent, acked;
	hf_nsec lease_until;		/* primary side */
	hf_nsec down_since, retry_at;
	hf_nsec waiting_since;		/* oldest op sent and not acknowledged; 0: none */
	hf_nsec lease_asked_at;
	hf_nsec no_add_until;		/* it was too slow a moment ago (H37) */
	hf_seq resync_from;
	uint32_t tries;
};

struct hf_extent {
	uint64_t lba, nblocks;
};

#define HF_PREPARE_WAIT_NS (1 * HF_SEC)	/* for silent legs, before deciding without them */
#define HF_RISK_MAX 1024u		/* extents */

/* Times of each phase's end, absolute; 0: not reached. For the certificate. */
struct hf_promotion {
	hf_nsec started, claimed, prepared, loaded, adopted, activated, serving;
	hf_epoch from_epoch;
	char from_primary[HF_NAME_MAX];
	hf_legs asked, answered, valid, kept;
	struct hf_decision decision;
	struct hf_promise reply[HF_LEGS_MAX]; /* as used for the decision */
	bool accepted_loss;
	hf_seq lost_from;		/* accepted_loss: the first op that could not be decoded; S* may be later */
	/* accepted_loss: what the ops that were given up would have written, as far as legs showed it (H27) */
	struct hf_extent risk[HF_RISK_MAX];
	uint32_t risk_count;		/* more than HF_RISK_MAX are counted only */
	bool risk_incomplete;		/* a leg did not show its part in time */
};

struct hf_volume {
	/* set by hf_volume_init */
	char self[HF_NAME_MAX];		/* host */
	hf_nsec lease_ns;
	/* config */
	struct hf_record record;	/* as known to be in the store */
	uint64_t ver;
	struct hf_record proposal;	/* of the compare-and-swap under way */
	bool cas_busy, cas_unknown;	/* unknown: its answer was lost, reading again */
	hf_legs replaced;		/* blank legs made, their uuids not in the record yet */
	struct hf_uuid replacement[HF_LEGS_MAX];
	hf_legs pending_add;		/* in the acknowledge and lease sets already (H6) */
	struct hf_uuid incarnation;
	uint64_t nonce_count;
	bool forced;			/* by an operator: go on although another host claimed meanwhile */
	bool accept_loss;		/* H27 */
	uint32_t claim_tries, adopt_tries;
	hf_nsec ask_at;			/* cas_unknown and the store did not answer: ask again; 0: asked */
	uint64_t size_blocks;		/* as committed; 0 until the engine has asked a leg (hf_volume_sized) */
	/*
	 * A member was taken out: nothing more is acknowledged before an op that carries the new version, `barrier`,
	 * is on all others (H26). spread_ver: no such op was admitted yet.
	 */
	bool spread_ver;
	hf_seq barrier;
	bool open;			/* ACT_SERVING was emitted: what was decided is committed */
	hf_seq resize_seq;		/* newest RESIZE that is not committed; 0: none */
	/* state */
	enum hf_phase phase;
	const char *stop_why;
	hf_epoch epoch;
	struct hf_vleg leg[HF_LEGS_MAX];
	hf_nsec prepare_deadline, survey_deadline, adopt_deadline, serve_at, evicted_slow_at;
	struct hf_promotion promotion;
	hf_legs adopt_set, survey_set;
	struct hf_epoch_cache history;
	hf_seq load_next;
	/* log */
	hf_seq next;			/* seq of the next op */
	hf_seq committed;
	hf_seq base;			/* oldest seq in the window */
	uint32_t chain;			/* at next - 1 */
	uint32_t chain_committed;	/* at committed */
	hf_epoch epoch_committed;	/* of the op at committed */
	/* oldest seq that the engine can send although it left the window; HF_NEVER: none */
	hf_seq replay_floor;
	int tolerance;			/* of the known in-sync set */
	struct hf_entry window[HF_WINDOW];
};

enum hf_event_kind {
	HF_EV_START,			/* record, ver, incarnation, forced, accept_loss */
	HF_EV_STOP,			/* why: planned */
	HF_EV_RECORD,			/* result, record, ver: answer to GET_RECORD, or news by a watch */
	HF_EV_CAS_DONE,			/* result, ver */
	HF_EV_LEG_UP,			/* leg, gen */
	HF_EV_LEG_DOWN,			/* leg: connection lost or cannot be made */
	HF_EV_PROMISED,			/* leg, gen, promise */
	HF_EV_ADOPTED,			/* leg, gen, adopted */
	HF_EV_ACKED,			/* leg, gen, ack */
	HF_EV_SYNCED,			/* leg, gen, ack.result */
	HF_EV_REPLACED,			/* leg, incarnation: uuid of the blank leg that was made in its place */
	HF_EV_RESYNC_DONE,		/* leg: every changed chunk is durable on it */
	HF_EV_UNSENDABLE,		/* leg: the next op that it needs is in no log here any more */
	HF_EV_SURVEYED,			/* leg; entry: one that it shows; NULL: that was all, or result != 0 */
	HF_EV_LOADED,			/* entry: the next op of LOAD; result != 0: it cannot be read now */
	HF_EV_OP,			/* entry: type, lba, nblocks, block_crc; only when hf_volume_can_admit() */
	HF_EV_TURN,			/* end of the reactor's turn: send what is ready */
	HF_EV_TICK,			/* time has passed */
};

struct hf_event {
	enum hf_event_kind kind;
	hf_nsec now;
	uint32_t leg;
	uint64_t gen;
	int result;
	uint64_t ver;
	const struct hf_record *record;
	const struct hf_promise *promise;
	const struct hf_adopted *adopted;
	const struct hf_ack *ack;
	const struct hf_entry *entry;
	struct hf_uuid incarnation;
	bool forced, accept_loss;
	const char *why;
};

enum hf_action_kind {
	HF_ACT_GET_RECORD,
	HF_ACT_CAS,			/* v->proposal against v->ver */
	HF_ACT_PREPARE,			/* leg */
	HF_ACT_ADOPT,			/* leg, adopt */
	HF_ACT_SURVEY,			/* leg, [from, to]: give SURVEYED for each entry there is, heads only */
	HF_ACT_LOAD,			/* [from, to]: give LOADED for each in order */
	HF_ACT_APPEND,			/* leg, ops [from, to] are ready; then hf_volume_sent() */
	HF_ACT_LEASE,			/* leg: nothing to send, but the lease wants renewal */
	HF_ACT_COMMITTED,		/* everything <= to: answer clients, tell legs */
	HF_ACT_RELEASE,			/* [from, to] left the window */
	HF_ACT_RESYNC,			/* leg: copy chunks changed after `from` */
	HF_ACT_RESYNC_STOP,		/* leg */
	HF_ACT_SYNCED,			/* leg: tell it that it is consistent */
	HF_ACT_REPLACE,			/* leg: it is gone for long; make a blank one with a new uuid on its host */
	HF_ACT_SERVING,
	HF_ACT_STOPPED,			/* v->stop_why: no reply leaves any more */
	HF_ACT_NOTE,			/* note, leg: for the event log */
};

enum hf_note {
	HF_NOTE_EPOCH_CLAIMED,
	HF_NOTE_LEG_REMOVED,		/* from the in-sync set */
	HF_NOTE_LEG_ADDED,
	HF_NOTE_CATCH_UP_LOG,
	HF_NOTE_CATCH_UP_CHUNKS,
	HF_NOTE_LEG_REFUSED,
	HF_NOTE_LEG_REPLACED,
	HF_NOTE_BLOCKED,		/* tolerance below the minimum: writes wait */
	HF_NOTE_UNBLOCKED,
};

struct hf_action {
	enum hf_action_kind kind;
	uint32_t leg;
	hf_seq from, to;
	enum hf_note note;
	struct hf_adopt adopt;
};

#define HF_ACTIONS_MAX 96u

struct hf_actions {
	uint32_t count;
	struct hf_action at[HF_ACTIONS_MAX];
};

void hf_volume_init(struct hf_volume *v, const char *self, hf_nsec lease_ns);
/* Appends to `out`. */
void hf_volume_step(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out);
/* Every invariant that can be seen from here; asserts. */
void hf_volume_check(const struct hf_volume *v);

/* A leg told the size as of everything that was decided. */
void hf_volume_sized(struct hf_volume *v, uint64_t size_blocks);
/*
 * The configuration version that legs are shown: until the epoch is activated the one that was claimed from, so that a
 * copy of the store that was restored stays older than what legs have seen (H26).
 */
uint64_t hf_volume_shown_ver(const struct hf_volume *v);
/* Room for one more op of a client, and serving. */
bool hf_volume_can_admit(const struct hf_volume *v);
/* The engine put ops <= seq of ACT_APPEND into a frame that is on its way; `busy` until hf_volume_send_done(). */
void hf_volume_sent(struct hf_volume *v, uint32_t leg, hf_seq seq, hf_nsec now);
void hf_volume_send_done(struct hf_volume *v, uint32_t leg);
/* The op, when it is in the window; else NULL. */
const struct hf_entry *hf_volume_entry(const struct hf_volume *v, hf_seq seq);
/*
 * An op of the decided history whose content is given up: a leg knows it as committed, and may have it in its image, so
 * it stays, with its blocks marked lost on the other legs (H27).
 */
bool hf_volume_is_lost(const struct hf_volume *v, hf_seq seq);
/* Legs that showed op `seq` in their promise: where LOAD may read it. */
hf_legs hf_volume_holders(const struct hf_volume *v, hf_seq seq);

/* Legs to read from, without those in `exclude`: one whole leg (local first) or k fragments; 0: not possible now. */
hf_legs hf_volume_read_plan(const struct hf_volume *v, hf_legs exclude);
/* Is this leg in sync, here, and able to give committed data? */
bool hf_volume_is_readable(const struct hf_volume *v, uint32_t leg);
/* R11: may data that is at hand be given to a client now? */
bool hf_volume_may_answer_read(const struct hf_volume *v, hf_nsec now);
/* Are writes waiting because tolerance < min_tolerance? */
bool hf_volume_is_blocked(const struct hf_volume *v);
/* Legs whose acknowledgement an op needs: the known in-sync set and the pending adds (R4). */
hf_legs hf_volume_ack_set(const struct hf_volume *v);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * view - what operators see: hosts, volumes, certificates as structs, and as the JSON that holdfast-ctl(7) documents.
 *
 * Owns: the shape of answers, the words for what is wrong (status, why). Does not own: where the facts come from
 * (ops.h). Pure: no I/O, no clock. Every function returns a new JSON value that the caller owns, and asserts on lack of
 * memory.
 */
#ifndef HF_CTL_VIEW_H
#define HF_CTL_VIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "core/types.h"
#include "format/record.h"

#define HF_VIEW_WHY_MAX 512u
#define HF_VIEW_STORE_MAX 192u
#define HF_VIEW_EXTENTS_MAX 1024u	/* extents of a certificate; the rest is counted only */

struct hf_host_view {
	struct hf_host_record record;
	bool alive;			/* a hint, never a fence */
	bool connected;			/* the answering daemon has a connection to it (true for itself) */
	uint32_t primaries;		/* volumes that it is primary of, by the records */
	uint32_t legs;			/* legs that it holds, by the records */
};

/* The cluster store, as the answering daemon finds it. */
struct hf_store_view {
	uint64_t away_wall_ns;		/* since then nothing is answered, ns since 1970; 0: it answers */
	char why[HF_VIEW_STORE_MAX];	/* what it, or the way to it, says */
};

enum hf_volume_state {
	HF_VOLUME_SERVING,		/* I/O goes on */
	HF_VOLUME_PROMOTING,		/* a new primary is taking over */
	HF_VOLUME_BLOCKED,		/* I/O is queued; `why` says until when */
	HF_VOLUME_STOPPED,		/* nobody serves it */
	HF_VOLUME_REMOTE,		/* another host is primary and lives; it knows more */
};

enum hf_leg_view_state { HF_LEG_VIEW_INSYNC, HF_LEG_VIEW_CATCHING_UP, HF_LEG_VIEW_OUT, HF_LEG_VIEW_FAILED };

struct hf_leg_view {
	char host[HF_NAME_MAX];
	struct hf_uuid uuid;
	uint8_t frag;			/* or HF_FRAG_FULL */
	enum hf_leg_view_state state;
	bool connected;
	hf_seq acked;			/* durable on this leg; 0 when not known here */
	uint64_t lag;			/* ops behind the primary's newest */
	uint8_t resync_percent;		/* while catching up */
};

struct hf_volume_view {
	char name[HF_NAME_MAX], tenant[HF_NAME_MAX];
	struct hf_uuid uuid, lineage;
	uint64_t size_blocks;
	struct hf_geometry geometry;
	hf_epoch epoch;
	char primary[HF_NAME_MAX];	/* empty: none yet */
	bool live;			/* told by its primary itself, not by the record alone */
	enum hf_volume_state state;
	int tolerance;			/* hosts that may be lost right now; -1: not even readable */
	int tolerance_full;		/* with every leg in sync */
	uint8_t min_tolerance;
	bool auto_failover;
	hf_seq committed;		/* live only */
	uint32_t sessions;		/* live only: clients, readers included */
	uint32_t leg_count;
	struct hf_leg_view leg[HF_LEGS_MAX];
	char why[HF_VIEW_WHY_MAX];	/* set by who knows better than the words derived below; else empty */
	struct hf_store_view store;	/* live only: without it the in-sync set cannot change (H36) */
};

/* All that the record alone tells: state REMOTE (STOPPED without a primary), legs IN SYNC or OUT. */
void hf_volume_view_of_record(struct hf_volume_view *v, const struct hf_record *rec);
/* One sentence: why blocked or degraded, what ends it; "nothing is wrong" otherwise. Uses v->why when set. */
void hf_volume_why(const struct hf_volume_view *v, char out[HF_VIEW_WHY_MAX]);
/* "full", "fragment 0". */
const char *hf_frag_name(uint8_t frag, char out[16]);
const char *hf_volume_state_name(enum hf_volume_state state);

json_t *hf_host_json(const struct hf_host_view *host);
json_t *hf_volume_json(const struct hf_volume_view *v);
/* The answer to `why`. */
json_t *hf_why_json(const struct hf_volume_view *v);
/* The answer to `status`: everything, and a list of problems with what to do, worst first. */
json_t *hf_status_json(const char *self, const struct hf_uuid *cluster, const struct hf_store_view *store,
		       const struct hf_host_view *hosts, size_t host_count, const struct hf_volume_view *volumes,
		       size_t volume_count);

/* What one in-sync leg answered to PREPARE (R7, R8). */
struct hf_certificate_leg {
	char host[HF_NAME_MAX];
	struct hf_uuid uuid;
	uint8_t frag;
	bool answered;
	bool valid;			/* its answer counts (R8) */
	bool suspect;			/* its log may have held more than it shows */
	hf_epoch activated, last_epoch;
	hf_seq last_seq, commit;
	uint32_t chain;			/* at last_seq */
	char reason[128];		/* why not asked, not answered or not valid; empty: fine */
};

enum hf_certificate_phase {
	HF_PHASE_CLAIM,			/* compare-and-swap of the new epoch */
	HF_PHASE_PREPARE,		/* promises of the legs */
	HF_PHASE_DECIDE,
	HF_PHASE_REPAIR,		/* missing entries fetched and decoded */
	HF_PHASE_ADOPT,			/* durable on every leg of the in-sync set */
	HF_PHASE_LEASE_WAIT,		/* the old primary's read leases run out (R10) */
	HF_PHASE_SERVE,
	HF_PHASES,
};

enum hf_certificate_outcome {
	HF_OUTCOME_PROMOTED,
	HF_OUTCOME_DRY_RUN,		/* would be promoted so */
	HF_OUTCOME_REFUSED,		/* `refusal` says why, and what is needed */
	HF_OUTCOME_DATA_LOSS,		/* promoted by --accept-data-loss, with a new lineage (H27) */
};

struct hf_certificate {
	char volume[HF_NAME_MAX], tenant[HF_NAME_MAX];
	struct hf_uuid volume_uuid, lineage, incarnation;
	enum hf_certificate_outcome outcome;
	char primary[HF_NAME_MAX], from_primary[HF_NAME_MAX];
	hf_epoch epoch, from_epoch;
	uint64_t ver;			/* of the config record that claimed the epoch */
	uint32_t leg_count;
	struct hf_certificate_leg leg[HF_LEGS_MAX];
	hf_seq committed;		/* highest that any leg knew to be committed */
	hf_seq acked_at_most;		/* no op above can have been acknowledged */
	hf_epoch decided_epoch;
	hf_seq decided_seq;
	uint32_t decided_chain;
	struct hf_epoch_cache history;	/* which epoch every seq up to decided_seq is of */
	uint64_t cut_count;		/* ops (cut_from..cut_to) that were never acknowledged and are dropped */
	hf_seq cut_from, cut_to;
	char cut_why[256];
	uint64_t ops_lost;		/* acknowledged ops lost: 0, or an upper bound after --accept-data-loss */
	uint64_t extent_count;		/* extents at risk; more than HF_VIEW_EXTENTS_MAX are not listed */
	struct {
		uint64_t lba, nblocks;
	} extent[HF_VIEW_EXTENTS_MAX];
	char refusal[HF_VIEW_WHY_MAX], todo[256];
	uint64_t phase_ns[HF_PHASES];
	uint64_t wall_ns;		/* since 1970, at the end */
};

json_t *hf_certificate_json(const struct hf_certificate *cert);

#endif

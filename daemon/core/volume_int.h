/* SPDX-License-Identifier: MIT */
/* volume_int - what the files of core/volume share. */
#ifndef HF_CORE_VOLUME_INT_H
#define HF_CORE_VOLUME_INT_H

#include "core/volume.h"

/* Timing policy. */
#define HF_SURVEY_WAIT_NS (2 * HF_SEC)
#define HF_ADOPT_WAIT_NS (1 * HF_SEC)
#define HF_EVICT_DOWN_NS (300 * HF_MS)		/* a member without a connection, while ops wait for it */
#define HF_EVICT_IDLE_NS (5 * HF_SEC)		/* the same, when nothing waits */
#define HF_EVICT_SLOW_NS (3 * HF_SEC)		/* connected, but an op waits this long for it alone (H37) */
#define HF_EVICT_SLOW_GAP_NS (60 * HF_SEC)	/* at most one slow member in this time */
#define HF_REPLACE_NS (10 * HF_SEC)		/* a leg that is gone this long is made anew, blank */
#define HF_RETRY_NS (200 * HF_MS)
#define HF_RETRY_MAX_NS (5 * HF_SEC)

struct hf_action *hf_volume_emit(struct hf_actions *out, enum hf_action_kind kind);
void hf_volume_note(struct hf_actions *out, enum hf_note note, uint32_t leg);
void hf_volume_stop(struct hf_volume *v, const char *why, struct hf_actions *out);
/* Start the compare-and-swap of v->proposal (filled but for the nonce). */
void hf_volume_propose(struct hf_volume *v, struct hf_actions *out);

void hf_volume_claim(struct hf_volume *v, struct hf_actions *out);
void hf_volume_claimed(struct hf_volume *v, hf_nsec now, struct hf_actions *out);
void hf_volume_try_decide(struct hf_volume *v, hf_nsec now, struct hf_actions *out);
void hf_volume_surveyed(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out);
void hf_volume_loaded(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out);
/* Send ADOPT of the decided history to a leg that promised. */
void hf_volume_adopt_leg(struct hf_volume *v, uint32_t leg, struct hf_actions *out);
void hf_volume_try_activate(struct hf_volume *v, hf_nsec now, struct hf_actions *out);
void hf_volume_activated(struct hf_volume *v, hf_nsec now, struct hf_actions *out);
void hf_volume_promote_tick(struct hf_volume *v, hf_nsec now, struct hf_actions *out);

/* R8: does its last promise show all that it had acknowledged, as far as the record tells? */
bool hf_volume_remembers(const struct hf_volume *v, uint32_t leg);
void hf_volume_prepare_leg(struct hf_volume *v, uint32_t leg, struct hf_actions *out);
void hf_volume_leg_event(struct hf_volume *v, const struct hf_event *e, struct hf_actions *out);
void hf_volume_membership(struct hf_volume *v, hf_nsec now, struct hf_actions *out);
void hf_volume_record_taken(struct hf_volume *v, struct hf_actions *out);

void hf_volume_admit(struct hf_volume *v, const struct hf_entry *e);
void hf_volume_try_commit(struct hf_volume *v, struct hf_actions *out);
void hf_volume_turn(struct hf_volume *v, hf_nsec now, struct hf_actions *out);

static inline bool hf_vleg_is_connected(const struct hf_vleg *l)
{
	return l->state != HF_VLEG_DOWN;
}

#endif

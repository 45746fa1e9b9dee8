/* SPDX-License-Identifier: MIT */
/*
 * core_rig - one volume's core and its legs' cores, with nothing between them: no engine, no store, no clock.
 *
 * The test says what arrives when: rig_serve() lets one leg work off the oldest request that waits for it, rig_cas()
 * answers the compare-and-swap. A request that is never served is one that was lost; rig_down() loses all of a leg's.
 * Every event and action is a line of `trace`, the form in which stories are frozen (tests/story).
 */
#ifndef HF_TESTS_LIB_CORE_RIG_H
#define HF_TESTS_LIB_CORE_RIG_H

#include "core/leg.h"
#include "core/volume.h"

#define RIG_LOG 512u
#define RIG_QUEUE 64u

struct rig_request {
	enum hf_action_kind kind;
	hf_seq from, to, commit;
	struct hf_prepare prepare;
	struct hf_adopt adopt;
	hf_epoch epoch;
	uint64_t cookie;
	uint64_t gen;
	struct hf_entry entry[16];	/* APPEND: from .. to */
};

struct rig_leg {
	struct hf_leg core;
	struct hf_entry log[RIG_LOG];	/* seq s at log[s % RIG_LOG] */
	hf_seq first;
	bool up, exists;
	uint64_t gen;
	struct rig_request queue[RIG_QUEUE];
	uint32_t head, count;
};

struct rig {
	struct hf_volume *v;
	struct hf_record record;	/* the cluster store */
	uint64_t ver;
	bool cas_asked, get_asked;
	bool no_survey, no_load;	/* SURVEY, LOAD are never answered */
	hf_nsec now;
	struct rig_leg leg[HF_LEGS_MAX];
	uint32_t lives;
	hf_seq acked;			/* highest seq that a client was told of, by any primary */
	uint32_t count[32];		/* actions by kind, since the rig was made */
	struct hf_action last[32];	/* the newest of each kind */
	char *trace;
	uint32_t trace_len, trace_room;
};

/* k+m fragments and, when `full`, a full leg in front; one host a leg; the first host is the first primary. Heap. */
struct rig *rig_new(uint8_t k, uint8_t m, bool full, uint8_t min_tolerance);
/* With HF_TRACE in the environment the trace is printed first. */
void rig_free(struct rig *r);
/* A new incarnation on host `host` starts from the record as it is; what the old one had under way is gone. */
void rig_primary(struct rig *r, uint32_t host, bool accept_loss);
void rig_up(struct rig *r, uint32_t leg);
void rig_down(struct rig *r, uint32_t leg);
/* The leg's oldest request is carried out and answered; false: none waits, or the leg is down. */
bool rig_serve(struct rig *r, uint32_t leg);
/* Carried out, but the answer is lost. */
bool rig_serve_silently(struct rig *r, uint32_t leg);
/* Answer the compare-and-swap: result 0 writes the proposal when the version fits. */
void rig_cas(struct rig *r, int result);
/* Serve everything on every leg that is up, and the cluster store, until nothing waits. */
void rig_settle(struct rig *r);
void rig_tick(struct rig *r, hf_nsec later);
/* Ticks of 50 ms, settled after each. */
void rig_run(struct rig *r, hf_nsec for_ns);
/* One op and the end of the turn. Returns its seq; 0: not admitted. */
hf_seq rig_write(struct rig *r, uint64_t lba);
void rig_turn(struct rig *r);
void rig_feed(struct rig *r, struct hf_event *e);
/* All up, promoted, serving: as most tests begin. */
struct rig *rig_serving(uint8_t k, uint8_t m, bool full, uint8_t min_tolerance);
/* A line of the tester's own. */
void rig_say(struct rig *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

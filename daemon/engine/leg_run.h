/* SPDX-License-Identifier: MIT */
/*
 * leg_run - drives core/leg on a store: frames in, durable state and log, answers out.
 *
 * Control messages (PREPARE, ADOPT, SYNCED) are served one at a time; ops flow between them. What is durable in one
 * turn is acknowledged by one cumulative ACK at its end.
 */
#ifndef HF_ENGINE_LEG_RUN_H
#define HF_ENGINE_LEG_RUN_H

#include "core/leg.h"
#include "engine/conn.h"
#include "engine/host.h"
#include "store/store.h"

#define HF_LEG_CONTROL_MAX 16u
#define HF_LEG_RESYNC_MAX 64u
#define HF_LEG_HELD_MAX (8u << 20)	/* bytes; twice what one volume has in flight */

struct hf_leg_control {
	struct hf_conn *conn;		/* NULL: it went away meanwhile */
	struct hf_wire_header hdr;
	union {
		struct hf_prepare prepare;
		struct hf_adopt adopt;
	} m;
};

struct hf_leg_events {
	/* For the event log and for status: static words. */
	void (*failed)(void *ctx, struct hf_leg_run *l, const char *what);
};

struct hf_leg_run {
	struct hf_list link;		/* host->legs */
	struct hf_host *host;
	const struct hf_leg_events *events;
	void *ctx;
	struct hf_leg_identity id;
	struct hf_leg core;
	struct hf_store *store;
	char path[256];
	char volume[HF_NAME_MAX];
	bool failed, closing;
	const char *fail_why;
	/* the stream of ops: who sends it */
	struct hf_conn *stream;
	hf_epoch stream_epoch;
	uint64_t cookie;
	hf_seq durable;
	uint64_t appended_ticket, durable_ticket;
	uint64_t resync_ticket[HF_LEG_RESYNC_MAX]; /* of RESYNC entries on their way, in order */
	uint32_t resync_head, resync_count;
	uint64_t resync_done;
	struct hf_list held;		/* struct held: APPEND frames waiting for room in the log, in order */
	uint32_t held_bytes;
	struct hf_task ack;
	/* control */
	struct hf_leg_control queue[HF_LEG_CONTROL_MAX];
	uint32_t queue_head, queue_count;
	bool busy;
	bool promise_ready;		/* durable, but older appends are still on their way */
	struct hf_adopt_plan plan;
	struct hf_store_put put;
	struct hf_store_reset reset;
	struct hf_store_flush synced;	/* what a resync copied goes into the image */
	bool activating;
	struct hf_store_put activate;
	struct hf_list reads;		/* struct leg_read */
	struct hf_list fetches;		/* struct leg_fetch: waiting for send room */
	uint64_t reads_under_way;
	/* a leg at rest empties its log into the image */
	struct hf_store_flush flush;
	bool flushing;
	uint64_t rest_ticket, flushed_ticket;
	hf_nsec rest_since;
	uint64_t ops, bytes, bad_blocks;	/* counters */
};

/* Over an open store whose events lead to hf_leg_run_store_events with this object as ctx. */
void hf_leg_run_init(struct hf_leg_run *l, struct hf_host *h, struct hf_store *s, const struct hf_leg_events *events,
		     void *ctx);
extern const struct hf_store_events hf_leg_run_store_events;

/* Time has passed. */
void hf_leg_run_tick(struct hf_leg_run *l);
/*
 * No more frames: what waits is dropped. Before the store is closed; its callbacks may still come. The caller has
 * taken the leg out of the host's list.
 */
void hf_leg_run_fini(struct hf_leg_run *l);

/*
 * A frame for this leg. Ops that find the log full are kept here, at most HF_LEG_HELD_MAX bytes: the connection goes
 * on, for heartbeats and for other legs.
 */
void hf_leg_run_frame(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta,
		      const uint8_t *data);
/* `c` is going away: nothing more is sent on it, by any leg of the host. */
void hf_leg_run_conn_gone(struct hf_host *h, struct hf_conn *c);
/* `c` has room again: answers that wait for it. */
void hf_leg_run_conn_room(struct hf_host *h, struct hf_conn *c);
/* The store could not be opened, or failed: refuse everything with FAILED. */
void hf_leg_run_fail(struct hf_leg_run *l, const char *why);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * volume_run - drives core/volume for one volume that is primary here: requests in, frames to the legs, answers out.
 *
 * Owns: payloads of the window, reads under way, resync copying, sessions. Does not own: decisions (core/),
 * connections (peer). Files: volume_run.c (life, actions, requests), volume_send.c (frames to legs), volume_read.c
 * (reads and repair), volume_copy.c (LOAD at promotion, RESYNC of a returning leg).
 */
#ifndef HF_ENGINE_VOLUME_RUN_H
#define HF_ENGINE_VOLUME_RUN_H

#include "cluster/cluster.h"
#include "codec/ec.h"
#include "core/volume.h"
#include "engine/host.h"
#include "front/front.h"
#include "store/store.h"

struct hf_leg_run;
struct hf_peer;
struct hf_volume_run;
struct hf_read_op;

struct hf_volume_owner {
	/*
	 * Clients may come (size is known), or the promotion came to nothing: result 0 or -errno with
	 * v->core->stop_why.
	 */
	void (*serving)(void *ctx, struct hf_volume_run *v);
	/* No longer primary; nothing is under way any more: the owner frees it, not from inside. */
	void (*stopped)(void *ctx, struct hf_volume_run *v);
	/* For the event log. `leg` is an index into the record. */
	void (*note)(void *ctx, struct hf_volume_run *v, enum hf_note note, uint32_t leg);
	void (*repaired)(void *ctx, struct hf_volume_run *v, uint32_t leg, uint64_t lba);
	void (*lost_block)(void *ctx, struct hf_volume_run *v, uint64_t lba);	/* unreadable on every leg */
};

struct hf_slot {
	struct hf_buf *buf;		/* WRITE: plaintext blocks */
	struct hf_request *req;		/* to answer at commit; NULL: none */
	bool lost;			/* loaded, but its content is given up: no buf */
	uint32_t bytes;			/* that a leg's log needs for it at most, until it is committed */
};

#define HF_READS_MAX 1024u
#define HF_READS_INTERNAL (HF_LEGS_MAX * HF_RESYNC_PARALLEL) /* of these: kept for resyncs */
#define HF_RESYNC_PARALLEL 8u
#define HF_RESYNC_REDO 64u

struct hf_resync {
	bool active, map_asked, map_done;
	hf_nsec map_asked_at;
	hf_seq from;
	uint64_t cursor;
	uint64_t chunk[HF_WIRE_MAP_MAX];
	uint32_t chunk_count, chunk_next;
	uint64_t redo[HF_RESYNC_REDO];
	uint32_t redo_count;
	uint32_t reading;
	uint64_t sent, done, copied_bytes, run;
	hf_nsec started;
};

struct hf_load {
	bool active;
	bool lost;			/* heads only, or a fragment that is marked lost came */
	hf_seq next, to;
	hf_legs asked, got;
	hf_nsec asked_at;
	uint64_t tag;
	struct hf_entry entry;
	uint8_t *frag[HF_LEGS_MAX];	/* what each leg sent, until all have */
};

/* Heads of entries that a leg shows, one frame after the other. */
struct hf_survey {
	hf_seq next, to;
	uint64_t tag;			/* 0: none under way */
};

/* A record as it stands in the store. */
struct hf_record_text {
	struct hf_uuid nonce;
	char *text;			/* heap; NULL: none */
};

struct hf_volume_run {
	struct hf_list link;		/* host->volumes */
	struct hf_host *host;
	struct hf_cluster *cluster;
	const struct hf_volume_owner *owner;
	void *ctx;
	struct hf_volume *core;
	struct hf_ec ec;
	struct hf_peer *peer[HF_LEGS_MAX];
	uint32_t leg_count;
	char key[HF_CLUSTER_KEY_MAX];
	/* cluster store */
	struct hf_cluster_req get_req, cas_req;
	bool getting, get_again, get_failed, cas_under_way;
	struct hf_record_text text_base, text_read, text_sent;	/* of the core's record; of those that it may become */
	/* life */
	bool open;			/* serving, and the size is known */
	bool stopping, stopped_told;
	bool sizing;
	uint64_t size_blocks;
	hf_nsec sizing_at;
	struct hf_task turn, complete, stop_task;
	/* requests */
	struct hf_slot slot[HF_WINDOW];
	struct hf_list pending, pending_reads;	/* struct hf_request: not admitted yet, not begun yet */
	struct hf_list finished;	/* struct hf_request: to be answered in the complete task; result in priv[0] */
	struct hf_list sessions;	/* struct hf_session */
	struct hf_session *writer;
	uint64_t in_flight;		/* such bytes of all: less than any leg's log holds */
	hf_seq answered;		/* requests of ops <= this were answered */
	void (*resized)(void *ctx, struct hf_volume_run *v, int result);
	void *resized_ctx;
	hf_seq resize_seq;
	uint64_t resize_blocks;
	/* reads */
	struct hf_read_op *read[HF_READS_MAX];
	uint32_t read_next, reads;	/* reads: under way */
	struct hf_list read_free;	/* struct hf_read_op, for use again */
	struct hf_list parked;		/* struct hf_read_op: waiting for legs or leases */
	uint64_t tag_generation;
	/* copying */
	struct hf_load load;
	struct hf_survey survey[HF_LEGS_MAX];
	struct hf_resync *resync[HF_LEGS_MAX];
	uint8_t *replay;		/* payload of one op read back from the local log */
	/* counters */
	uint64_t writes, write_bytes, read_count, read_bytes, repaired_blocks;
	hf_nsec stall_max;		/* longest wait of a write from admission to answer */
};

/*
 * Claim the volume and serve it. `record` and its `text` as read from the store at version `ver`. Heap; never NULL
 * (asserts on memory). forced: an operator's promote; accept_loss: docs/SAFETY.md H27.
 */
struct hf_volume_run *hf_volume_run_new(struct hf_host *h, struct hf_cluster *c, const struct hf_record *record,
					const char *text, uint64_t ver, bool forced, bool accept_loss,
					const struct hf_volume_owner *owner, void *ctx);
/* The core's record as it stands in the store; valid until the next event. */
const char *hf_volume_run_record_text(struct hf_volume_run *v);
/* Step down: sessions are fenced, leases given back; `stopped` follows. */
void hf_volume_run_stop(struct hf_volume_run *v, const char *why);
/* After `stopped`. */
void hf_volume_run_free(struct hf_volume_run *v);
/* The record may have changed: read it. */
void hf_volume_run_poke(struct hf_volume_run *v);

void hf_volume_run_peer_changed(struct hf_volume_run *v, struct hf_peer *p, bool up);
void hf_volume_run_answer(struct hf_volume_run *v, uint32_t leg, struct hf_conn *c, const struct hf_wire_header *h,
			  const uint8_t *meta, const uint8_t *data);
void hf_volume_run_room(struct hf_volume_run *v, struct hf_peer *p);
void hf_volume_run_tick(struct hf_volume_run *v);

/* front.h, for one volume. */
void hf_volume_run_submit(struct hf_volume_run *v, struct hf_session *s, struct hf_request *q);
uint64_t hf_volume_run_extent(struct hf_volume_run *v, uint64_t lba, uint64_t max, bool *allocated);
int hf_volume_run_attach(struct hf_volume_run *v, struct hf_session *s, const char **why);
void hf_volume_run_detach(struct hf_volume_run *v, struct hf_session *s);

/* Grow (or shrink) the volume by an op of its log; `done` when it is committed. -EBUSY: one is under way. */
int hf_volume_run_resize(struct hf_volume_run *v, uint64_t size_blocks,
			 void (*done)(void *ctx, struct hf_volume_run *v, int result), void *ctx);
/* Share of a leg's resync that is done, 0..100; -1: none is under way. */
int hf_volume_run_resync_percent(const struct hf_volume_run *v, uint32_t leg);
/* The leg's own object when it is on this host, else NULL. */
struct hf_leg_run *hf_volume_run_local_leg(const struct hf_volume_run *v, uint32_t leg);

/* ---- between the files of volume_run ---- */
void hf_volume_run_step(struct hf_volume_run *v, struct hf_event *e);
void hf_volume_run_finish(struct hf_volume_run *v, struct hf_request *q, int result);
struct hf_conn *hf_volume_run_conn(struct hf_volume_run *v, uint32_t leg);

void hf_volume_send_append(struct hf_volume_run *v, uint32_t leg, hf_seq from, hf_seq to);
void hf_volume_send_lease(struct hf_volume_run *v, uint32_t leg);
void hf_volume_send_prepare(struct hf_volume_run *v, uint32_t leg);
void hf_volume_send_adopt(struct hf_volume_run *v, uint32_t leg, const struct hf_adopt *m);
void hf_volume_send_synced(struct hf_volume_run *v, uint32_t leg);
void hf_volume_send_release(struct hf_volume_run *v, uint32_t leg);
/* Blocks as of `seq` for one leg; false: no room now. `zero`: bit i, the block is zeros. */
bool hf_volume_send_resync(struct hf_volume_run *v, uint32_t leg, hf_seq seq, uint64_t lba, uint32_t nblocks,
			   uint64_t zero, const uint8_t *blocks);
/* One block that no leg can give back: marked lost there too. False: no room now. */
bool hf_volume_send_lost(struct hf_volume_run *v, uint32_t leg, hf_seq seq, uint64_t lba);

/*
 * Internal read: blocks into `buf`; done(arg, op, result) with op->zero. Not bound to leases: never shown to a
 * client.
 */
struct hf_read_op {
	struct hf_list link;
	struct hf_volume_run *v;
	struct hf_request *req;
	void (*done)(struct hf_read_op *op, int result);
	void *arg;
	uint32_t arg_leg;
	uint64_t lba;
	uint32_t nblocks;
	struct hf_buf *buf;
	uint64_t zero;
	hf_seq seq;
	uint64_t tag;
	uint32_t index;
	uint32_t tries;
	hf_nsec asked_at;
	hf_legs plan, waiting;
	hf_legs bad;			/* legs that answered, and cannot give the blocks */
	hf_legs silent;			/* legs that did not answer in time: left out, but not given up */
	uint32_t lost_rounds;		/* rounds in which every leg answered and the blocks could not be had */
	hf_legs repair;			/* legs with a bad block */
	uint64_t repair_blocks[HF_LEGS_MAX];
	struct hf_store_read rd;
	bool local;
	uint8_t *frag[HF_LEGS_MAX];	/* what each leg sent, until all have */
	uint64_t frag_zero[HF_LEGS_MAX], frag_bad[HF_LEGS_MAX];
	uint32_t crc[HF_LEGS_MAX][HF_WRITE_BLOCKS_MAX];
};
void hf_volume_read_request(struct hf_volume_run *v, struct hf_request *q);
bool hf_volume_read_blocks(struct hf_volume_run *v, uint64_t lba, uint32_t nblocks, struct hf_buf *buf,
			   void (*done)(struct hf_read_op *op, int result), void *arg, uint32_t arg_leg);
void hf_volume_read_answer(struct hf_volume_run *v, uint32_t leg, struct hf_conn *c, const struct hf_wire_header *h,
			   const uint8_t *meta, const uint8_t *data);
void hf_volume_read_leg_lost(struct hf_volume_run *v, uint32_t leg);
void hf_volume_read_retry(struct hf_volume_run *v);
void hf_volume_read_stop(struct hf_volume_run *v);

void hf_volume_survey_start(struct hf_volume_run *v, uint32_t leg, hf_seq from, hf_seq to);
void hf_volume_load_start(struct hf_volume_run *v, hf_seq from, hf_seq to);
void hf_volume_load_answer(struct hf_volume_run *v, uint32_t leg, const struct hf_wire_header *h, const uint8_t *meta,
			   const uint8_t *data);
void hf_volume_load_leg_lost(struct hf_volume_run *v, uint32_t leg);
void hf_volume_load_retry(struct hf_volume_run *v);
void hf_volume_resync_start(struct hf_volume_run *v, uint32_t leg, hf_seq from);
void hf_volume_resync_stop(struct hf_volume_run *v, uint32_t leg);
void hf_volume_resync_acked(struct hf_volume_run *v, uint32_t leg, uint64_t done, uint64_t redo);
void hf_volume_resync_map(struct hf_volume_run *v, uint64_t tag, const struct hf_wire_map_data *m);
void hf_volume_resync_pump(struct hf_volume_run *v, uint32_t leg);
/* Ask a leg that can be read for its change map; tag comes back. False: none can be asked now. */
bool hf_volume_ask_map(struct hf_volume_run *v, hf_legs exclude, hf_seq after, uint64_t cursor, uint64_t tag);

#endif

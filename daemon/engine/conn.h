/* SPDX-License-Identifier: MIT */
/*
 * conn - one framed connection between two hosts, or between two parts of one host (a local pair: same frames, no
 * socket).
 *
 * Owns: the socket, receive and send buffers, framing and its checks. Does not own: what frames mean, redialling
 * (peer.h). Frames of one turn leave as one send; while it is under way the next gathers. Bounded: a data frame that
 * finds the send buffer full is refused until `room`; control frames have slack kept for them, and a peer that lets
 * even that fill is cut off.
 */
#ifndef HF_ENGINE_CONN_H
#define HF_ENGINE_CONN_H

#include "format/wire.h"
#include "io/reactor.h"

struct hf_conn;

struct hf_conn_events {
	/* One whole frame, header and meta checked. */
	void (*frame)(struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta, const uint8_t *data);
	void (*room)(struct hf_conn *c);
	/* Once, from the loop: nothing is under way any more. The owner frees the conn here or later. */
	void (*closed)(struct hf_conn *c, const char *why);
};

struct hf_conn {
	struct hf_reactor *r;
	const struct hf_conn_events *events;
	void *ctx;
	int fd;				/* -1: local */
	struct hf_conn *pair;		/* local: the other side */
	char name[HF_NAME_MAX];		/* of the remote host, once known */
	uint64_t generation;		/* of the dialling run; grows with each dial (H25) */
	struct hf_uuid instance;	/* of the remote run */
	hf_nsec last_rx;
	uint64_t tx_bytes, rx_bytes;
	const char *why;
	bool dead, closed, want_room, sending;
	/* send */
	uint8_t *tx[2];
	uint32_t tx_len[2], fill;	/* tx[fill] gathers; the other is on its way */
	uint32_t reserved;
	struct hf_io send;
	struct hf_task flush, close_task;
	/* receive; local: the pair's tx buffer that is being delivered */
	uint8_t *rx;
	uint32_t rx_head, rx_tail;
	bool delivering;
	struct hf_io recv;
	struct hf_task deliver;
	struct hf_list link;		/* the owner's */
};

/* Over a connected socket; starts to receive. 0, or -ENOMEM. */
int hf_conn_start(struct hf_conn *c, struct hf_reactor *r, int fd, const struct hf_conn_events *events, void *ctx);
/* Two conns that are each other's remote; they die together. */
int hf_conn_start_pair(struct hf_conn *a, struct hf_conn *b, struct hf_reactor *r,
		       const struct hf_conn_events *a_events, void *a_ctx, const struct hf_conn_events *b_events,
		       void *b_ctx);
/* `why`: static words. Idempotent. */
void hf_conn_kill(struct hf_conn *c, const char *why);
/* After `closed`. */
void hf_conn_fini(struct hf_conn *c);

/*
 * Room for a frame of at most HF_WIRE_META_MAX meta and `data` bytes of data: where its meta begins; data follow the
 * meta. NULL: dead, or (data frames only) full now: `room` will tell. Then hf_conn_commit() exactly once.
 */
uint8_t *hf_conn_reserve(struct hf_conn *c, uint32_t meta, uint32_t data, bool control);
void hf_conn_commit(struct hf_conn *c, const struct hf_wire_header *h);
/* Has the other side taken everything that was committed? */
bool hf_conn_is_drained(const struct hf_conn *c);

#endif

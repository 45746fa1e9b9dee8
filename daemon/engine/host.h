/* SPDX-License-Identifier: MIT */
/*
 * host - this daemon among its peers: inbound connections, the legs kept here, the volumes that are primary here;
 * frames find their leg or volume by leg uuid.
 *
 * Owns: the listening socket, inbound connections, the registries. Does not own: legs, volumes and peers (each its
 * own file).
 */
#ifndef HF_ENGINE_HOST_H
#define HF_ENGINE_HOST_H

#include "engine/conn.h"
#include "io/buf.h"

struct hf_leg_run;
struct hf_volume_run;
struct hf_peer;

struct hf_host;

struct hf_host_ops {
	/* Make or remove a leg's file (FORMAT, DELETE). Answer later by hf_host_admin_done(). */
	void (*format)(void *ctx, const struct hf_wire_format *m, void *call);
	void (*delete)(void *ctx, const struct hf_uuid *leg, void *call);
	/* Is this leg's store still being opened? Then its primary should ask again instead of giving it up. */
	bool (*is_opening)(void *ctx, const struct hf_uuid *leg);
	/* Stop being primary of the volume of this leg (STEP_DOWN). Answer later by hf_host_admin_done(). */
	void (*step_down)(void *ctx, const struct hf_uuid *leg, void *call);
};

#define HF_HOST_BUCKETS 256u

struct hf_host {
	struct hf_reactor *r;
	struct hf_buf_pool *pool;
	/* bytes that ops of one volume take in a log, from admission to commit; at most a quarter of every leg's log */
	uint32_t in_flight_max;
	char name[HF_NAME_MAX];
	struct hf_uuid cluster, instance;
	const struct hf_host_ops *ops;
	void *ctx;
	uint64_t generation;		/* of the last dial */
	int listen_fd;
	struct hf_io accept;
	bool accept_again;		/* it failed (no descriptors?): from the next tick on */
	struct hf_timer tick;
	bool stopping;
	struct hf_list inbound;		/* struct inbound */
	struct hf_list peers;		/* struct hf_peer */
	struct hf_list legs[HF_HOST_BUCKETS];	/* struct hf_leg_run, by uuid */
	struct hf_list volumes;		/* struct hf_volume_run */
	struct hf_list calls;		/* admin calls we made, waiting for an answer */
	uint64_t call_next;
	uint64_t rejected;		/* inbound connections and frames refused */
};

/* `listen_fd`: from hf_sock_listen(); taken over. */
void hf_host_init(struct hf_host *h, struct hf_reactor *r, struct hf_buf_pool *pool, const char *name,
		  const struct hf_uuid *cluster, const struct hf_host_ops *ops, void *ctx, int listen_fd);
/* Close every connection; what is under way completes from the loop. */
void hf_host_stop(struct hf_host *h);

struct hf_leg_run *hf_host_find_leg(struct hf_host *h, const struct hf_uuid *leg);
void hf_host_add_leg(struct hf_host *h, struct hf_leg_run *l);
/* The volume that is primary here and has this leg; *index: which. NULL: none. */
struct hf_volume_run *hf_host_find_volume(struct hf_host *h, const struct hf_uuid *leg, uint32_t *index);

/* A host of the cluster record: dial it, or dial its new address. Our own name makes the local pair. */
struct hf_peer *hf_host_peer(struct hf_host *h, const char *name);
void hf_host_set_address(struct hf_host *h, const char *name, const char *addr);

/* Frames from another host that ask something of a leg here; also used by the local pair. */
void hf_host_request(struct hf_host *h, struct hf_conn *c, const struct hf_wire_header *hdr, const uint8_t *meta,
		     const uint8_t *data);
/* Frames that answer a volume here. */
void hf_host_answer(struct hf_host *h, struct hf_conn *c, const struct hf_wire_header *hdr, const uint8_t *meta,
		    const uint8_t *data);

/*
 * Ask `host` to make, remove or look at a leg, or to step down from its volume; `done` later: 0 or -errno with words.
 * -EHOSTUNREACH at once when it is not connected.
 */
struct hf_admin_call {
	void (*done)(struct hf_admin_call *c, int result, const char *words);
	void *ctx;
	struct hf_promise *promise;	/* LOOK: where the answer goes; its result tells whether the leg is there */
	/* host's */
	struct hf_list link;
	uint64_t tag;
	struct hf_peer *peer;
};
int hf_host_format(struct hf_host *h, const char *host, const struct hf_wire_format *m, struct hf_admin_call *call);
int hf_host_delete(struct hf_host *h, const char *host, const struct hf_uuid *leg, struct hf_admin_call *call);
int hf_host_look(struct hf_host *h, const char *host, const struct hf_uuid *leg, struct hf_admin_call *call);
int hf_host_step_down(struct hf_host *h, const char *host, const struct hf_uuid *leg, struct hf_admin_call *call);
/* Being asked: remember who asked until hf_host_admin_done(). */
struct hf_remote_call;
struct hf_remote_call *hf_remote_call_new(struct hf_host *h, struct hf_conn *c, const struct hf_wire_header *hdr);
void hf_host_admin_done(struct hf_host *h, void *call, int result, const char *words);
/* A peer's connection ended: its calls fail. */
void hf_host_peer_lost(struct hf_host *h, struct hf_peer *p);

#endif

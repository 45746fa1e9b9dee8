/* SPDX-License-Identifier: MIT */
/*
 * peer - the connection that this host dials to another one: hello, heartbeats, redial with backoff and jitter.
 *
 * Requests of our volumes go out on it and answers come back on it. Our own host is a peer too, over a local pair.
 */
#ifndef HF_ENGINE_PEER_H
#define HF_ENGINE_PEER_H

#include "engine/host.h"

enum hf_peer_state { HF_PEER_IDLE, HF_PEER_CONNECTING, HF_PEER_HELLO, HF_PEER_UP, HF_PEER_CLOSING };

struct hf_peer {
	struct hf_host *host;
	char name[HF_NAME_MAX], addr[HF_ADDR_MAX], dialled[HF_ADDR_MAX];
	enum hf_peer_state state;
	bool local, reported_down;
	uint32_t tries;
	uint64_t gen;			/* of the current connection */
	hf_nsec dialled_at, retry_at, ping_at, up_at;
	hf_nsec heard_at;		/* the last time on the last connection that was up; 0: none was */
	const char *why;		/* why it is not up */
	struct hf_conn conn;		/* valid from HELLO to CLOSING */
	struct hf_conn far;		/* local: the side that the legs answer on */
	uint32_t pair_open;		/* local: sides that have not told `closed` */
	struct hf_io connect;
	struct hf_list link;
};

struct hf_peer *hf_peer_new(struct hf_host *h, const char *name);
void hf_peer_set_address(struct hf_peer *p, const char *addr);
void hf_peer_tick(struct hf_peer *p, hf_nsec now);
void hf_peer_stop(struct hf_peer *p);
static inline bool hf_peer_is_up(const struct hf_peer *p)
{
	return p->state == HF_PEER_UP;
}

#endif

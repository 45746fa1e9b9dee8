/* SPDX-License-Identifier: MIT */
/*
 * etcd_session - what a request to the cluster store takes in calls of etcd, and what of an answer is believed.
 *
 * Owns: keys and their prefixes, the cluster's identity, this host's lease, what is known of the store's past. Does not
 * own: threads and callbacks (cluster_etcd.c), texts (etcd_proto.c), connections (etcd_http.c). Calls block, on one
 * connection per thread. Results are those of cluster.h and etcd_http.h.
 *
 * Keys: PREFIX "data/" KEY is the store; PREFIX "live/" HOST is there while that host's daemon lives, bound to its
 * lease. A lease says who is probably alive; it fences nobody (H8).
 */
#ifndef HF_CLUSTER_ETCD_SESSION_H
#define HF_CLUSTER_ETCD_SESSION_H

#include "base/uuid.h"
#include "cluster/etcd_http.h"
#include "cluster/request.h"

#define HF_ETCD_LEASE_S 5u		/* a host that died is seen dead after this */

struct hf_etcd_session {
	struct hf_etcd_http http;
	char data[HF_ETCD_PREFIX_MAX], live[HF_ETCD_PREFIX_MAX];
	struct hf_uuid fresh_uuid;	/* of the cluster, should the store be empty */
	char nonce[HF_UUID_TEXT];	/* of this daemon, in its key under "live/" */
	pthread_mutex_t lock;		/* guards the next group */
	bool has_identity;		/* key "cluster" is there */
	uint64_t seen;			/* highest revision in a linearizable answer */
	struct hf_errmsg went_back;	/* empty: it did not */
	/* of the one ANNOUNCE or KEEP_ALIVE under way */
	char host[HF_CLUSTER_KEY_MAX];	/* announced; empty: not yet */
	uint64_t lease;			/* 0: none */
	uint32_t lease_s;
};

/* 0 or -errno with a message that names the option. `random` are fresh random bytes. */
int hf_etcd_session_init(struct hf_etcd_session *s, const struct hf_cluster_etcd_params *p,
			 const struct hf_uuid random[2], struct hf_errmsg *err);
void hf_etcd_session_fini(struct hf_etcd_session *s);

/* Run one request and set its result, rows and version; no ALIVE, no REFUSED; one ANNOUNCE or KEEP_ALIVE at a time. */
void hf_etcd_request_run(struct hf_etcd_session *s, struct hf_etcd_conn *c, struct hf_cluster_request *q);
/* One look for all ALIVE requests of a list. */
void hf_etcd_alive_run(struct hf_etcd_session *s, struct hf_etcd_conn *c, struct hf_list *asked);
/* At the end, when no thread uses the session: give the lease back, so that nobody waits for its end. */
void hf_etcd_farewell(struct hf_etcd_session *s, struct hf_etcd_conn *c);

#endif

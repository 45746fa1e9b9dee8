/* SPDX-License-Identifier: MIT */
/*
 * cluster - the cluster store: who is primary, the in-sync set, what exists. A small set of keys with values, changed
 * by compare-and-swap only; never on the data path (docs/ARCHITECTURE.md, docs/SAFETY.md R5-R7, H8).
 *
 * Contract (tests/contract/test_cluster.c runs it on every backend):
 *  - get and list are linearizable; they never answer from a cache.
 *  - cas(key, ver, was, value): takes effect only if the key's version is `ver` (0: the key must not exist; value NULL:
 *    delete) and its value is `was` (NULL: any). Versions come from one counter of the whole store that only grows, so
 *    A -> B -> A is noticed (H7); a store that was put back to a copy counts some of them anew, for which `was` is
 *    compared: no two records of volumes are the same (H26).
 *  - The answer of a cas may be lost: then its effect is unknown and the caller reads again and compares the nonce
 *    inside the value (H8). -ESTALE (another version), -EINVAL, -EACCES, -ENOSPC: it had no effect and never will. Any
 *    other error (-ETIMEDOUT, -EIO, -EPROTO, ...) says nothing of its effect.
 *  - watch tells that something under a prefix may have changed: a hint to read, never data to decide on.
 *  - Liveness of hosts is a hint as well: never a fence.
 * Callbacks come from the reactor, never from inside a call. Values are at most HF_CLUSTER_VALUE_MAX bytes of UTF-8
 * text.
 */
#ifndef HF_CLUSTER_CLUSTER_H
#define HF_CLUSTER_CLUSTER_H

#include "base/err.h"
#include "base/list.h"
#include "io/reactor.h"

#define HF_CLUSTER_KEY_MAX 192u		/* bytes with NUL */
#define HF_CLUSTER_VALUE_MAX 65536u	/* bytes */
#define HF_CLUSTER_WHY_MAX 256u		/* bytes with NUL */

struct hf_cluster;

struct hf_cluster_item {
	const char *key;
	const char *value;		/* NUL-terminated */
	size_t value_len;
	uint64_t ver;
};

/* One request; the caller keeps it until `done`. key, was and value are copied at the call. */
struct hf_cluster_req {
	/* result: 0 or -errno (get of a missing key: -ENOENT, items NULL). Items are valid inside `done` only. */
	void (*done)(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		     uint64_t ver);	/* cas: the new version of the key */
	void *ctx;
	void *priv;			/* the backend's */
	struct hf_list link;		/* the backend's */
};

struct hf_cluster_watch {
	void (*changed)(struct hf_cluster_watch *w);
	void *ctx;
	char prefix[HF_CLUSTER_KEY_MAX];
	struct hf_list link;		/* the backend's */
};

struct hf_cluster_ops {
	void (*get)(struct hf_cluster *c, struct hf_cluster_req *q, const char *key);
	void (*list)(struct hf_cluster *c, struct hf_cluster_req *q, const char *prefix);
	void (*cas)(struct hf_cluster *c, struct hf_cluster_req *q, const char *key, uint64_t ver, const char *was,
		    const char *value);
	void (*watch)(struct hf_cluster *c, struct hf_cluster_watch *w);
	void (*unwatch)(struct hf_cluster *c, struct hf_cluster_watch *w);
	/* This daemon is `host` from now until it dies; -EEXIST (by done): another live daemon says the same. */
	void (*announce)(struct hf_cluster *c, struct hf_cluster_req *q, const char *host);
	/* Result 1: a daemon announced as `host` lives; 0: none does. */
	void (*alive)(struct hf_cluster *c, struct hf_cluster_req *q, const char *host);
	/*
	 * Requests under way are dropped, watches end; no callback follows. May block for a second: the daemon stops.
	 * The reactor goes on for a turn or two before everything is given back.
	 */
	void (*free)(struct hf_cluster *c);
};

struct hf_cluster {
	const struct hf_cluster_ops *ops;
	/* What became of the last request that needed the store; set by the backend before `done`. */
	hf_nsec away_since;		/* 0: it was answered; else since when none is */
	char away_why[HF_CLUSTER_WHY_MAX];	/* one line: what the store, or the way to it, says */
};

/*
 * Embedded store in the SQLite file `path`, shared by the daemons of one machine (single machine only: H26). Creates
 * it when missing, with a fresh cluster uuid in key "cluster". Statements run on a helper thread. 0 or -errno with
 * `err`.
 */
int hf_cluster_sqlite_new(struct hf_reactor *r, const char *path, struct hf_cluster **out, struct hf_errmsg *err);

struct hf_cluster_etcd_params {
	const char *endpoints;		/* "https://a:2379,https://b:2379": members of one etcd cluster */
	const char *prefix;		/* of this cluster's keys: "/holdfast/NAME/" */
	const char *ca;			/* PEM file: who signed etcd's certificates; needed for https */
	const char *cert, *key;		/* PEM files: our own certificate; both or NULL */
	const char *user, *password;	/* both or NULL */
};

/*
 * etcd 3.4 or later by its v3 JSON gateway. Whether it answers is not waited for: a fresh one gets a cluster uuid in
 * key "cluster" with the first request. Strings are copied. 0 or -errno with `err`, which names the option to look at.
 *
 * A version is the revision of the key's last change (ModRevision). Calls take at most 5 s each, on threads of its own.
 * A store whose revision goes back, or that answers as another etcd cluster, was restored or made anew: -EUCLEAN until
 * the daemon is started again, when the legs judge it (R15).
 */
int hf_cluster_etcd_new(struct hf_reactor *r, const struct hf_cluster_etcd_params *p, struct hf_cluster **out,
			struct hf_errmsg *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * request - what both backends of cluster/cluster.h keep of a request between the call and `done`, and rows of answers.
 *
 * Owns: copies of key, value and rows; what is refused before the store is asked. Does not own: the store.
 */
#ifndef HF_CLUSTER_REQUEST_H
#define HF_CLUSTER_REQUEST_H

#include "cluster/cluster.h"

#define HF_CLUSTER_ROWS_BYTES_MAX (64u << 20)	/* keys and values of one list */

/* Rows of a result; keys and values are heap copies. */
struct hf_cluster_rows {
	struct hf_cluster_item *item;
	size_t count, bytes;
};

/*
 * Copy a row to the end. 0, or with the rows as they were: -EUCLEAN: key or value has a NUL byte or is longer than the
 * contract allows; -E2BIG: more than a list may have; -ENOMEM.
 */
int hf_cluster_rows_add(struct hf_cluster_rows *rows, const char *key, size_t key_len, const char *value,
			size_t value_len, uint64_t ver);
void hf_cluster_rows_fini(struct hf_cluster_rows *rows);

enum hf_cluster_request_kind {
	HF_CLUSTER_GET,
	HF_CLUSTER_LIST,
	HF_CLUSTER_CAS,
	HF_CLUSTER_ANNOUNCE,
	HF_CLUSTER_ALIVE,
	HF_CLUSTER_KEEP_ALIVE,		/* the backend's own, without a caller */
	HF_CLUSTER_REFUSED,		/* `result` is set already */
};

struct hf_cluster_request {
	struct hf_list link;
	enum hf_cluster_request_kind kind;
	struct hf_cluster_req *caller;
	char key[HF_CLUSTER_KEY_MAX];	/* or prefix, or host name */
	char *was;			/* cas: NULL: any */
	char *value;			/* cas: NULL deletes */
	uint64_t ver;			/* cas: in the expected version, out the new one; get: out */
	int result;
	struct hf_cluster_rows rows;
	struct hf_errmsg why;		/* of a failure; may be empty */
};

/* Copies; what the contract does not allow becomes HF_CLUSTER_REFUSED with -EINVAL. The backend frees it. */
struct hf_cluster_request *hf_cluster_request_new(struct hf_cluster_req *caller, enum hf_cluster_request_kind kind,
						  const char *key);
struct hf_cluster_request *hf_cluster_request_cas(struct hf_cluster_req *caller, const char *key, uint64_t ver,
						  const char *was, const char *value);
/* ANNOUNCE or ALIVE: the host's name becomes part of a path or key. */
struct hf_cluster_request *hf_cluster_request_host(struct hf_cluster_req *caller, enum hf_cluster_request_kind kind,
						   const char *host);
void hf_cluster_request_free(struct hf_cluster_request *q);
void hf_cluster_requests_drop(struct hf_list *list);
/* Call `done`. */
void hf_cluster_request_tell(struct hf_cluster_request *q);

/* Keep away_since and away_why of `c` up to date, and log when the store goes away and when it is back. */
void hf_cluster_note_answer(struct hf_cluster *c, const struct hf_cluster_request *q, hf_nsec now);

bool hf_cluster_has_prefix(const char *key, const char *prefix);

#endif

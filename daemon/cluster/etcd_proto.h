/* SPDX-License-Identifier: MIT */
/*
 * etcd_proto - requests to and answers of etcd's v3 JSON gateway, as text.
 *
 * Owns: JSON and base64, and what an answer must satisfy to be believed. Does not own: HTTP, endpoints, tokens
 * (etcd_http.c), what follows from an answer (etcd_session.c). Pure: no I/O.
 *
 * Nothing in an answer is trusted: what is not there, of another type, out of range or not asked for is -EPROTO with a
 * message, and outputs are untouched. An answer without etcd's header is no answer: {} is not "compare failed".
 *
 * Keys in etcd are PREFIX + our key; functions that take `prefix` add or check and remove it.
 */
#ifndef HF_CLUSTER_ETCD_PROTO_H
#define HF_CLUSTER_ETCD_PROTO_H

#include "cluster/request.h"

#define HF_ETCD_PREFIX_MAX 96u		/* bytes with NUL */
#define HF_ETCD_TOKEN_MAX 4096u		/* bytes with NUL: a JWT may be long */
#define HF_ETCD_PAGE 256u		/* rows of one answer to a range */
#define HF_ETCD_VALUES_MAX 16384u	/* JSON values of one answer: bounds what it takes in memory */
/* Bytes of one answer: a page of the largest rows in base64, and room for names. */
#define HF_ETCD_ANSWER_MAX ((size_t)HF_ETCD_PAGE * (HF_CLUSTER_VALUE_MAX / 3 * 4 + 1024))

/* Requests: JSON text that the caller frees. */

/* One key. `keys_only`: its value is not wanted. */
char *hf_etcd_get_text(const char *prefix, const char *key, bool keys_only);
/*
 * Keys that start with `key_prefix`, a page of them, after the key `after` (NULL: from the first), as they were at
 * `revision` (0: now).
 */
char *hf_etcd_list_text(const char *prefix, const char *key_prefix, const char *after, uint64_t revision,
			bool keys_only);
/*
 * If the key's version is `ver` and its value `was` (NULL: any): put, bound to `lease` (0: none), or delete (value
 * NULL); else tell its version.
 */
char *hf_etcd_cas_text(const char *prefix, const char *key, uint64_t ver, const char *was, const char *value,
		       uint64_t lease);
/* Changes of every key under the prefix from `revision` on (0: from now on). */
char *hf_etcd_watch_text(const char *prefix, uint64_t revision);
char *hf_etcd_grant_text(uint32_t ttl_s);
/* For keepalive and revoke. */
char *hf_etcd_lease_text(uint64_t lease);
char *hf_etcd_login_text(const char *user, const char *password);

/* Answers. */

struct hf_etcd_header {
	uint64_t cluster;		/* id of the etcd cluster that answered, never 0 */
	uint64_t revision;		/* of its store when it answered, never 0 */
};

struct hf_etcd_range {
	struct hf_etcd_header header;
	bool more;			/* there are keys behind the last row */
};

/* Adds the rows to `rows`, in ascending order and each above `after` (NULL: any), or leaves them as they were. */
int hf_etcd_range_parse(const char *text, size_t len, const char *prefix, const char *key_prefix, const char *after,
			struct hf_cluster_rows *rows, struct hf_etcd_range *out, struct hf_errmsg *err);

struct hf_etcd_cas {
	struct hf_etcd_header header;
	bool succeeded;
	uint64_t found_ver;		/* not succeeded: the key's version; 0: no such key */
};

/* `has_was`: the value was compared as well; without, a refusal with version `ver` proves nothing and is refused. */
int hf_etcd_cas_parse(const char *text, size_t len, uint64_t ver, bool has_was, struct hf_etcd_cas *out,
		      struct hf_errmsg *err);

struct hf_etcd_lease {
	struct hf_etcd_header header;
	uint64_t id;
	uint32_t ttl_s;			/* 0: there is no such lease any more */
};

/* The answer to a grant, or (`keep_alive`) to a keepalive. */
int hf_etcd_lease_parse(const char *text, size_t len, bool keep_alive, struct hf_etcd_lease *out,
			struct hf_errmsg *err);
/* Printable ASCII without blanks: fit for a header line. */
int hf_etcd_login_parse(const char *text, size_t len, char out[HF_ETCD_TOKEN_MAX], struct hf_errmsg *err);

/* One message of a watch. Keys are ours, without the prefix; values are dropped. */
struct hf_etcd_news {
	struct hf_etcd_header header;
	bool created, canceled;
	uint64_t compacted;		/* canceled: changes below this revision are gone */
	struct hf_cluster_rows changed;	/* the caller's to hf_cluster_rows_fini() on success */
};

int hf_etcd_news_parse(const char *text, size_t len, const char *prefix, struct hf_etcd_news *out,
		       struct hf_errmsg *err);

enum hf_etcd_refusal {
	HF_ETCD_OTHER,			/* nothing is known of the effect */
	HF_ETCD_TOKEN,			/* the token is not or no longer good; nothing was done */
	HF_ETCD_DENIED,			/* user, password or permission; nothing was done */
	HF_ETCD_COMPACTED,		/* the revision asked for is gone */
	HF_ETCD_FULL,			/* etcd's space quota; nothing was done */
};

/* What etcd says when it refuses (HTTP status other than 200): what of it, and its words, fit to be shown. */
enum hf_etcd_refusal hf_etcd_refusal_parse(const char *text, size_t len, char words[160]);

#endif

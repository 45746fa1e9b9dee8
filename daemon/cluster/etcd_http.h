/* SPDX-License-Identifier: MIT */
/*
 * etcd_http - blocking calls of etcd's JSON gateway: endpoints and their failover, TLS, tokens, time and size limits.
 *
 * Owns: what is sent to whom, when a request may be sent again. Does not own: what requests and answers mean
 * (etcd_proto.c), threads (cluster_etcd.c). The only file that knows libcurl.
 *
 * One struct hf_etcd_http for all threads; each thread has its own struct hf_etcd_conn. Set `stopping` and
 * wake each connection, and what is under way in every thread ends.
 *
 * Results are 0 or -errno with a message that names the endpoint:
 *   ETIMEDOUT  no answer in time, or no endpoint could be reached; of HF_ETCD_ONCE the effect is unknown
 *   EIO        the connection broke, or etcd refused for a passing reason; of HF_ETCD_ONCE the effect is unknown
 *   EPROTO     what answered is not etcd, or says too much; of HF_ETCD_ONCE the effect is unknown
 *   EACCES     user, password, permission or certificate; nothing was done
 *   ENOSPC     etcd is over its space quota; nothing was done
 *   ERANGE     the revision asked for was compacted
 *   ECANCELED  `stopping` was set
 */
#ifndef HF_CLUSTER_ETCD_HTTP_H
#define HF_CLUSTER_ETCD_HTTP_H

#include <pthread.h>
#include <stdatomic.h>

#include "cluster/etcd_proto.h"

#define HF_ETCD_ENDPOINTS_MAX 8u
#define HF_ETCD_URL_MAX 200u		/* bytes with NUL */
#define HF_ETCD_CALL_MS 5000u		/* one call over all endpoints */
#define HF_ETCD_LINE_MAX (4u << 20)	/* bytes of one message of a watch */

typedef void CURL;
typedef void CURLM;

struct hf_etcd_http {
	char endpoint[HF_ETCD_ENDPOINTS_MAX][HF_ETCD_URL_MAX];
	unsigned endpoint_count;
	char *ca, *cert, *key, *user, *password;	/* NULL: none */
	atomic_bool stopping;
	pthread_mutex_t lock;		/* guards what follows */
	unsigned preferred;		/* the endpoint that is tried first */
	char token[HF_ETCD_TOKEN_MAX];	/* empty: none yet */
	uint64_t cluster;		/* id of the etcd cluster that answered first; 0: none did */
};

struct hf_etcd_conn {
	struct hf_etcd_http *http;
	CURL *easy;
	CURLM *multi;
	char *text;			/* the answer, NUL-terminated, until the next call */
	size_t len, cap;
	const char *from;		/* the endpoint that was asked last */
	unsigned limit_ms;		/* of one call over all endpoints: HF_ETCD_CALL_MS */
	/* of the call under way */
	size_t max;
	bool is_too_large;
	void (*line)(struct hf_etcd_conn *c, const char *text, size_t len);	/* a stream's; NULL: no stream */
	void *ctx;
	bool has_line, is_done;		/* a message came; the stream's owner has enough */
};

/*
 * Copies of p's strings. 0, or -EINVAL with a message that names the option: an endpoint that is no URL, http:// to
 * another machine, https:// without an authority, a file that cannot be read.
 */
int hf_etcd_http_init(struct hf_etcd_http *h, const struct hf_cluster_etcd_params *p, struct hf_errmsg *err);
void hf_etcd_http_fini(struct hf_etcd_http *h);

/* 0 or -ENOMEM. */
int hf_etcd_conn_init(struct hf_etcd_conn *c, struct hf_etcd_http *h);
void hf_etcd_conn_fini(struct hf_etcd_conn *c);
/* Any thread, after hf_etcd_http::stopping was set: a call under way on `c` returns at once. */
void hf_etcd_conn_wake(struct hf_etcd_conn *c);

enum hf_etcd_how {
	HF_ETCD_AGAIN,			/* doing it twice is doing it once: may be sent to one after the other */
	HF_ETCD_ONCE,			/* never sent again once a byte of it may have arrived (H8) */
};

/* POST `body` to `path`; the answer is in c->text, c->len. */
int hf_etcd_call(struct hf_etcd_conn *c, const char *path, const char *body, enum hf_etcd_how how,
		 struct hf_errmsg *err);
/*
 * POST `body` and hand each line of the answer to `line` as it comes, until age_ms have passed or c->is_done: 0. The
 * first line has to come in the time of a call. Another end of the stream is an error; the next call goes to the next
 * endpoint.
 */
int hf_etcd_stream(struct hf_etcd_conn *c, const char *path, const char *body, unsigned age_ms,
		   struct hf_errmsg *err);
/* Wait for `ms` or until the connection is woken; false: the store stops. */
bool hf_etcd_pause(struct hf_etcd_conn *c, unsigned ms);
/*
 * Is this the etcd cluster that answered before? Endpoints of two clusters are two truths. 0, or -EUCLEAN with a
 * message.
 */
int hf_etcd_same_cluster(struct hf_etcd_conn *c, uint64_t cluster, struct hf_errmsg *err);

#endif

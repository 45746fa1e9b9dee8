/* SPDX-License-Identifier: MIT */
/*
 * cluster_ask - calls of an etcd store that wait for their answer, for cmocka tests on one reactor.
 *
 * Each test gets a reactor and a prefix of its own by ask_setup() and ask_teardown().
 */
#ifndef HF_TESTS_LIB_CLUSTER_ASK_H
#define HF_TESTS_LIB_CLUSTER_ASK_H

#include "base/limits.h"
#include "cluster/cluster.h"
#include "lib/tcp_proxy.h"

#define TURNS_MAX 4000			/* of 10 ms: the deadline of a wait */

extern char ask_prefix[64];		/* of the test that runs */
int ask_setup(void **state);
int ask_teardown(void **state);

struct answer {
	struct hf_cluster_req req;
	bool arrived;
	int result;
	uint64_t ver;			/* of the change, or of the first row */
	size_t count;
	char value[256], last_key[HF_CLUSTER_KEY_MAX];
	bool ascends;
};

void turn(void);			/* let at most 10 ms pass */
void ask(struct answer *a);		/* ready for a call */
int await(struct answer *a);		/* its result */
int get(struct hf_cluster *c, const char *key, struct answer *a);
int cas(struct hf_cluster *c, const char *key, uint64_t ver, const char *value, uint64_t *out_ver);
/* As the core does (H8): after a lost answer or a choice of a leader, look whether it was made. */
void change(struct hf_cluster *c, const char *key, const char *value);
int alive(struct hf_cluster *c, const char *host);
int announce(struct hf_cluster *c, const char *host);
void await_alive(struct hf_cluster *c, const char *host, int want);

struct hf_cluster *open_with(const struct hf_cluster_etcd_params *p);
struct hf_cluster *open_at(const char *endpoints);
void close_store(struct hf_cluster *c);
const char *proxy_url(const struct tcp_proxy *p);	/* static storage, for a few calls */

struct watcher {
	struct hf_cluster_watch watch;
	int count;
};

void watch(struct hf_cluster *c, struct watcher *x, const char *of);
void await_change(struct watcher *x, int above);
/*
 * The stream of `c` stands: a change that `by` makes under "volume/" is told to its watch x, and `other`, a watch of
 * something else, has nothing to look for.
 */
void await_stream(struct hf_cluster *c, struct hf_cluster *by, struct watcher *x, struct watcher *other);

#endif

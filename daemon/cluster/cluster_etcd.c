// SPDX-License-Identifier: MIT
/*
 * cluster_etcd - etcd behind cluster/cluster.h.
 *
 * Owns: the threads, what is handed between them and the reactor, watches. Does not own: what a request takes
 * (etcd_session.c), texts (etcd_proto.c), connections and endpoints (etcd_http.c).
 *
 * Threads: WORKERS run requests, each a few blocking calls in a row; one more holds the watch. They are our own, not
 * the reactor's helpers: a call may take seconds while etcd is away, and must not keep a leg from being opened. The
 * reactor hears of results by a byte on a socket pair.
 *
 * Watch: a stream from the revision behind the last change that was told. Where it cannot go on from there (compacted,
 * a message too large, a store that went back) everyone is told, and it starts anew from now. While it cannot be had
 * again, everyone is told each second: they look for themselves.
 */
#include "cluster/cluster.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "cluster/etcd_session.h"

#define WORKERS 4u
#define KEEP_ALIVE_NS (HF_SEC * HF_ETCD_LEASE_S / 3)
#define WATCH_AGE_MS 30000u		/* of one stream: a connection that died in silence is noticed within this */
#define WATCH_AGAIN_MS 100u		/* before a stream that ended goes on */
#define WATCH_RETRY_MS 1000u		/* before one that could not be had is tried again */
#define CHANGED_MAX 64u			/* keys that are told one by one */

struct etcd_store;

struct worker {
	struct etcd_store *store;
	struct hf_etcd_conn conn;
	pthread_t thread;
	bool is_running;
};

struct etcd_store {
	struct hf_cluster cluster;
	struct hf_reactor *reactor;
	struct hf_etcd_session session;
	struct worker worker[WORKERS + 1];	/* the last one holds the watch */

	pthread_mutex_t lock;		/* guards the next group; `more` waits on it */
	pthread_cond_t more;
	bool stopping;
	struct hf_list waiting, finished;	/* struct hf_cluster_request */
	struct hf_cluster_rows changed;	/* keys of changes that are not told yet */
	bool all_changed, bell_rings;

	/* of the watching thread */
	uint64_t next;			/* the first revision that was not told; 0: from now on */

	/* the reactor's */
	int bell[2];			/* threads write to [1] */
	struct hf_io ear;
	char ear_bytes[8];
	struct hf_list watches;
	struct hf_timer keep_alive;
	bool keeping_alive, is_telling, freed;
};

static struct etcd_store *store_of(struct hf_cluster *c)
{
	return hf_container_of(c, struct etcd_store, cluster);
}

/* With the lock held: the reactor is to look at what there is. */
static void ring(struct etcd_store *s)
{
	if (s->bell_rings)
		return;
	s->bell_rings = true;
	hf_assert(write(s->bell[1], "", 1) == 1);
}

/* requests, on a thread */

/* With the lock held: all requests of the kind ALIVE. */
static void take_alive(struct etcd_store *s, struct hf_list *to)
{
	hf_list_each(&s->waiting, n) {
		if (hf_container_of(n, struct hf_cluster_request, link)->kind != HF_CLUSTER_ALIVE)
			continue;
		hf_list_del(n);
		hf_list_add_tail(to, n);
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct etcd_store *s = w->store;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		struct hf_list batch, *n = hf_list_pop(&s->waiting);
		struct hf_cluster_request *q;

		if (!n) {
			pthread_cond_wait(&s->more, &s->lock);
			continue;
		}
		hf_list_init(&batch);
		hf_list_add_tail(&batch, n);
		q = hf_container_of(n, struct hf_cluster_request, link);
		if (q->kind == HF_CLUSTER_ALIVE)
			take_alive(s, &batch);
		pthread_mutex_unlock(&s->lock);
		if (q->kind == HF_CLUSTER_ALIVE)
			hf_etcd_alive_run(&s->session, &w->conn, &batch);
		else if (q->kind != HF_CLUSTER_REFUSED)
			hf_etcd_request_run(&s->session, &w->conn, q);
		pthread_mutex_lock(&s->lock);
		hf_list_splice(&s->finished, &batch);
		ring(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* the watch, on its thread */

static void tell_all(struct etcd_store *s)
{
	pthread_mutex_lock(&s->lock);
	s->all_changed = true;
	ring(s);
	pthread_mutex_unlock(&s->lock);
}

static void tell_changed(struct etcd_store *s, const struct hf_cluster_rows *rows)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < rows->count && !s->all_changed; i++) {
		const char *key = rows->item[i].key;

		s->all_changed = s->changed.count == CHANGED_MAX ||
				 hf_cluster_rows_add(&s->changed, key, strlen(key), "", 0, 0) < 0;
	}
	ring(s);
	pthread_mutex_unlock(&s->lock);
}

static void start_over(struct worker *w)
{
	w->store->next = 0;
	w->conn.is_done = true;
}

static void take_news(struct hf_etcd_conn *c, const char *text, size_t len)
{
	struct worker *w = c->ctx;
	struct etcd_store *s = w->store;
	struct hf_etcd_news news;

	if (hf_etcd_news_parse(text, len, s->session.data, &news, NULL) < 0) {
		start_over(w);
		return;
	}
	if (news.canceled || hf_etcd_same_cluster(c, news.header.cluster, NULL) < 0 ||
	    (news.created && news.header.revision + 1 < s->next)) {
		start_over(w);
	} else if (news.created && s->next == 0) {
		s->next = news.header.revision + 1;
		tell_all(s);		/* what happened before this instant was not seen */
	} else if (news.changed.count) {
		/* The header's revision may be ahead of changes that are still to come. */
		s->next = news.changed.item[news.changed.count - 1].ver + 1;
		tell_changed(s, &news.changed);
	}
	hf_cluster_rows_fini(&news.changed);
}

static void *watcher_main(void *arg)
{
	struct worker *w = arg;
	struct etcd_store *s = w->store;
	unsigned failures = 0;		/* in a row */
	bool go_on = true;

	w->conn.ctx = w;
	while (go_on) {
		char *body = hf_etcd_watch_text(s->session.data, s->next);
		int rc;

		w->conn.line = take_news;
		rc = hf_etcd_stream(&w->conn, "/v3/watch", body, WATCH_AGE_MS, NULL);
		free(body);
		if (w->conn.is_too_large)
			s->next = 0;
		failures = rc < 0 ? failures + 1 : 0;
		/* A stream that broke and goes on where it was misses nothing. */
		if (failures > 1 || s->next == 0)
			tell_all(s);
		/* Neither an etcd that is away nor one that ends every stream is asked in a hurry. */
		go_on = hf_etcd_pause(&w->conn, failures > 1 || s->next == 0 ? WATCH_RETRY_MS : WATCH_AGAIN_MS);
	}
	return NULL;
}

/* results, on the reactor */

static void request_start(struct etcd_store *s, struct hf_cluster_request *q);

static void keep_alive_fire(struct hf_timer *t)
{
	struct etcd_store *s = hf_container_of(t, struct etcd_store, keep_alive);

	hf_timer_set(s->reactor, t, hf_reactor_now(s->reactor) + KEEP_ALIVE_NS);
	if (s->keeping_alive)
		return;
	s->keeping_alive = true;
	request_start(s, hf_cluster_request_new(NULL, HF_CLUSTER_KEEP_ALIVE, ""));
}

static void finish(struct etcd_store *s, struct hf_cluster_request *q)
{
	hf_cluster_note_answer(&s->cluster, q, hf_reactor_now(s->reactor));
	if (q->kind == HF_CLUSTER_KEEP_ALIVE) {
		s->keeping_alive = false;
		return;
	}
	if (q->kind == HF_CLUSTER_ANNOUNCE && q->result == 0)
		hf_timer_set(s->reactor, &s->keep_alive, hf_reactor_now(s->reactor) + KEEP_ALIVE_NS);
	hf_cluster_request_tell(q);
}

static bool is_changed(const struct hf_cluster_rows *changed, bool all, const char *prefix)
{
	for (size_t i = 0; i < changed->count && !all; i++)
		all = hf_cluster_has_prefix(changed->item[i].key, prefix);
	return all;
}

/* A callback may add and remove any watch, so those to look at wait in a list of their own. */
static void tell_watches(struct etcd_store *s, const struct hf_cluster_rows *changed, bool all)
{
	struct hf_list todo, *n;

	hf_list_init(&todo);
	hf_list_splice(&todo, &s->watches);
	while ((n = hf_list_pop(&todo))) {
		struct hf_cluster_watch *w = hf_container_of(n, struct hf_cluster_watch, link);

		hf_list_add_tail(&s->watches, &w->link);
		if (!s->freed && is_changed(changed, all, w->prefix))
			w->changed(w);
	}
}

static void store_release(struct etcd_store *s)
{
	hf_close(s->reactor, s->bell[0]);
	close(s->bell[1]);
	pthread_cond_destroy(&s->more);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void tell(struct etcd_store *s)
{
	struct hf_cluster_rows changed;
	struct hf_list finished;
	bool all;

	hf_list_init(&finished);
	pthread_mutex_lock(&s->lock);
	s->bell_rings = false;
	hf_list_splice(&finished, &s->finished);
	changed = s->changed;
	all = s->all_changed;
	s->changed = (struct hf_cluster_rows){ 0 };
	s->all_changed = false;
	pthread_mutex_unlock(&s->lock);
	hf_list_each(&finished, n)
		if (!s->freed)
			finish(s, hf_container_of(n, struct hf_cluster_request, link));
	if (!s->freed)
		tell_watches(s, &changed, all);
	hf_cluster_requests_drop(&finished);
	hf_cluster_rows_fini(&changed);
}

static void on_ear(struct hf_io *io)
{
	struct etcd_store *s = hf_container_of(io, struct etcd_store, ear);

	if (!s->freed && io->result > 0) {
		s->is_telling = true;
		tell(s);
		s->is_telling = false;
	}
	if (s->freed)
		store_release(s);
	else
		hf_io_submit(s->reactor, io);
}

/* calls, on the reactor */

static void request_start(struct etcd_store *s, struct hf_cluster_request *q)
{
	hf_assert(!s->freed);
	pthread_mutex_lock(&s->lock);
	hf_list_add_tail(&s->waiting, &q->link);
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->lock);
}

static void etcd_get(struct hf_cluster *c, struct hf_cluster_req *caller, const char *key)
{
	request_start(store_of(c), hf_cluster_request_new(caller, HF_CLUSTER_GET, key));
}

static void etcd_list(struct hf_cluster *c, struct hf_cluster_req *caller, const char *prefix)
{
	request_start(store_of(c), hf_cluster_request_new(caller, HF_CLUSTER_LIST, prefix));
}

static void etcd_cas(struct hf_cluster *c, struct hf_cluster_req *caller, const char *key, uint64_t ver,
		     const char *was, const char *value)
{
	request_start(store_of(c), hf_cluster_request_cas(caller, key, ver, was, value));
}

static void etcd_announce(struct hf_cluster *c, struct hf_cluster_req *caller, const char *host)
{
	request_start(store_of(c), hf_cluster_request_host(caller, HF_CLUSTER_ANNOUNCE, host));
}

static void etcd_alive(struct hf_cluster *c, struct hf_cluster_req *caller, const char *host)
{
	request_start(store_of(c), hf_cluster_request_host(caller, HF_CLUSTER_ALIVE, host));
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	return w == &w->store->worker[WORKERS] ? watcher_main(w) : worker_main(w);
}

/* Signals are the main thread's business. */
static int thread_start(struct worker *w)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	rc = pthread_create(&w->thread, NULL, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->is_running = rc == 0;
	return -rc;
}

static void etcd_watch(struct hf_cluster *c, struct hf_cluster_watch *x)
{
	struct etcd_store *s = store_of(c);

	hf_list_add_tail(&s->watches, &x->link);
}

static void etcd_unwatch(struct hf_cluster *c, struct hf_cluster_watch *x)
{
	(void)c;
	hf_list_del(&x->link);
}

/* Threads end; what they held is given back. */
static void threads_stop(struct etcd_store *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->more);
	pthread_mutex_unlock(&s->lock);
	atomic_store(&s->session.http.stopping, true);
	for (unsigned i = 0; i <= WORKERS; i++)
		if (s->worker[i].is_running)
			hf_etcd_conn_wake(&s->worker[i].conn);
	for (unsigned i = 0; i <= WORKERS; i++)
		if (s->worker[i].is_running)
			pthread_join(s->worker[i].thread, NULL);
	if (s->worker[0].is_running)
		hf_etcd_farewell(&s->session, &s->worker[0].conn);
	for (unsigned i = 0; i <= WORKERS; i++)
		hf_etcd_conn_fini(&s->worker[i].conn);
	hf_etcd_session_fini(&s->session);
	hf_cluster_requests_drop(&s->waiting);
	hf_cluster_requests_drop(&s->finished);
	hf_cluster_rows_fini(&s->changed);
}

static void etcd_free(struct hf_cluster *c)
{
	struct etcd_store *s = store_of(c);

	hf_timer_clear(&s->keep_alive);
	threads_stop(s);
	s->freed = true;
	if (!s->is_telling)		/* else what called us releases it */
		hf_io_cancel(s->reactor, &s->ear);
}

static const struct hf_cluster_ops etcd_ops = {
	.get = etcd_get,
	.list = etcd_list,
	.cas = etcd_cas,
	.watch = etcd_watch,
	.unwatch = etcd_unwatch,
	.announce = etcd_announce,
	.alive = etcd_alive,
	.free = etcd_free,
};

static int threads_start(struct etcd_store *s)
{
	int rc = 0;

	for (unsigned i = 0; i <= WORKERS && rc == 0; i++) {
		s->worker[i].store = s;
		rc = hf_etcd_conn_init(&s->worker[i].conn, &s->session.http);
	}
	for (unsigned i = 0; i <= WORKERS && rc == 0; i++)
		rc = thread_start(&s->worker[i]);
	return rc;
}

static void store_init(struct etcd_store *s, struct hf_reactor *r)
{
	s->cluster.ops = &etcd_ops;
	s->reactor = r;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->more, NULL);
	hf_list_init(&s->waiting);
	hf_list_init(&s->finished);
	hf_list_init(&s->watches);
	hf_timer_init(&s->keep_alive, keep_alive_fire);
	hf_io_init(&s->ear, HF_IO_RECV, s->bell[0], on_ear);
	s->ear.buf = s->ear_bytes;
	s->ear.len = sizeof(s->ear_bytes);
}

int hf_cluster_etcd_new(struct hf_reactor *r, const struct hf_cluster_etcd_params *p, struct hf_cluster **out,
			struct hf_errmsg *err)
{
	struct etcd_store *s = calloc(1, sizeof(*s));
	struct hf_uuid random[2];
	int rc;

	if (!s)
		return hf_fail(err, -ENOMEM, "cluster store: there is not enough memory");
	hf_reactor_random(r, random, sizeof(random));
	rc = hf_etcd_session_init(&s->session, p, random, err);
	if (rc < 0)
		goto out_free;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->bell)) {
		rc = hf_fail(err, -errno, "cluster store: no socket pair: %s", hf_strerror(errno));
		goto out_session;
	}
	store_init(s, r);
	rc = threads_start(s);
	if (rc < 0) {
		hf_fail(err, rc, "cluster store: its threads cannot be started: %s", hf_strerror(rc));
		threads_stop(s);
		store_release(s);
		return rc;
	}
	hf_io_submit(r, &s->ear);
	*out = &s->cluster;
	return 0;
out_session:
	hf_etcd_session_fini(&s->session);
out_free:
	free(s);
	return rc;
}

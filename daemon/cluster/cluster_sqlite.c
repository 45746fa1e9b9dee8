// SPDX-License-Identifier: MIT
/*
 * cluster_sqlite - the embedded backend of cluster/cluster.h.
 *
 * Owns: the queue of requests, the one job that runs them on a helper thread, watches, liveness locks. Does not own:
 * SQL (sqlite_db.c). At most one job is under way, so the connection is used by one thread at a time and requests take
 * effect in the order in which they were made.
 *
 * Watch: our own changes are told at once; those of other daemons are found by a look at SQLite's data_version every
 * POLL_NS while anyone watches.
 * Liveness: a daemon holds an open-file-description lock on "PATH.host.NAME" for life; the kernel drops it on kill -9.
 */
#include "cluster/cluster.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "cluster/request.h"
#include "cluster/sqlite_db.h"

#define POLL_NS (250 * HF_MS)

struct sqlite_store {
	struct hf_cluster cluster;
	struct hf_reactor *reactor;
	char *path;
	struct hf_list waiting;		/* requests for the next job */
	struct hf_list watches;
	struct hf_timer poll;
	bool poll_due, job_busy, freed;
	struct hf_job job;
	/* the job's while job_busy */
	struct hf_sqlite_db db;
	struct hf_list running;
	bool polling;
	struct hf_cluster_rows changed;	/* by others */
	bool all_changed;
	int lock_fd;			/* our liveness lock; -1: not announced */
	char announced[HF_NAME_MAX];
};

static struct sqlite_store *store_of(struct hf_cluster *c)
{
	return hf_container_of(c, struct sqlite_store, cluster);
}

/* liveness, on the helper thread */

static int lock_path(struct sqlite_store *s, const char *host, char out[], size_t size)
{
	int len = snprintf(out, size, "%s.host.%s", s->path, host);

	return len > 0 && (size_t)len < size ? 0 : -ENAMETOOLONG;
}

static int announce(struct sqlite_store *s, const char *host)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[4096];
	int fd;

	if (s->lock_fd >= 0)
		return strcmp(s->announced, host) == 0 ? 0 : -EINVAL;
	if (lock_path(s, host, path, sizeof(path)) < 0)
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		int rc = errno == EAGAIN || errno == EACCES ? -EEXIST : -errno;

		close(fd);
		return rc;
	}
	/* For people only: the lock is what counts. */
	if (ftruncate(fd, 0) == 0)
		(void)dprintf(fd, "%d\n", (int)getpid());
	s->lock_fd = fd;
	snprintf(s->announced, sizeof(s->announced), "%s", host);
	return 0;
}

static int alive(struct sqlite_store *s, const char *host)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[4096];
	int fd, rc;

	if (s->lock_fd >= 0 && strcmp(s->announced, host) == 0)
		return 1;
	if (lock_path(s, host, path, sizeof(path)) < 0)
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	rc = fcntl(fd, F_OFD_GETLK, &lock) < 0 ? -errno : lock.l_type != F_UNLCK;
	close(fd);
	return rc;
}

/* the job */

static void request_run(struct sqlite_store *s, struct hf_cluster_request *q)
{
	switch (q->kind) {
	case HF_CLUSTER_GET:
		q->result = hf_sqlite_db_get(&s->db, q->key, &q->rows);
		q->ver = q->result == 0 ? q->rows.item[0].ver : 0;
		break;
	case HF_CLUSTER_LIST:
		q->result = hf_sqlite_db_list(&s->db, q->key, &q->rows);
		q->ver = 0;
		break;
	case HF_CLUSTER_CAS:
		q->result = hf_sqlite_db_cas(&s->db, q->key, q->ver, q->was, q->value, &q->ver);
		break;
	case HF_CLUSTER_ANNOUNCE:
		q->result = announce(s, q->key);
		break;
	case HF_CLUSTER_ALIVE:
		q->result = alive(s, q->key);
		break;
	case HF_CLUSTER_KEEP_ALIVE:
	case HF_CLUSTER_REFUSED:
		break;
	}
}

static void job_work(struct hf_job *j)
{
	struct sqlite_store *s = hf_container_of(j, struct sqlite_store, job);

	hf_list_each(&s->running, n)
		request_run(s, hf_container_of(n, struct hf_cluster_request, link));
	if (s->polling && hf_sqlite_db_changes(&s->db, &s->changed, &s->all_changed) < 0)
		s->all_changed = true;	/* a reader will meet the error itself */
}

static bool is_changed(const struct sqlite_store *s, const char *prefix)
{
	if (s->all_changed)
		return true;
	for (size_t i = 0; i < s->changed.count; i++)
		if (hf_cluster_has_prefix(s->changed.item[i].key, prefix))
			return true;
	hf_list_each((struct hf_list *)&s->running, n) {
		const struct hf_cluster_request *q = hf_container_of(n, struct hf_cluster_request, link);

		/* A change whose fate is unknown may have happened. */
		if (q->kind == HF_CLUSTER_CAS && q->result != -ESTALE && hf_cluster_has_prefix(q->key, prefix))
			return true;
	}
	return false;
}

static void store_release(struct sqlite_store *s)
{
	hf_sqlite_db_close(&s->db);
	hf_cluster_rows_fini(&s->changed);
	hf_cluster_requests_drop(&s->running);
	hf_cluster_requests_drop(&s->waiting);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s->path);
	free(s);
}

/* Every request's caller hears of it; a caller may free the store in its callback. */
static void tell_callers(struct sqlite_store *s)
{
	hf_list_each(&s->running, n) {
		struct hf_cluster_request *q = hf_container_of(n, struct hf_cluster_request, link);

		if (s->freed)
			return;
		hf_cluster_note_answer(&s->cluster, q, hf_reactor_now(s->reactor));
		hf_cluster_request_tell(q);
	}
}

/* A callback may add and remove any watch, so those to look at wait in a list of their own. */
static void tell_watches(struct sqlite_store *s)
{
	struct hf_list todo, *n;

	hf_list_init(&todo);
	hf_list_splice(&todo, &s->watches);
	while ((n = hf_list_pop(&todo))) {
		struct hf_cluster_watch *w = hf_container_of(n, struct hf_cluster_watch, link);

		hf_list_add_tail(&s->watches, &w->link);
		if (!s->freed && is_changed(s, w->prefix))
			w->changed(w);
	}
}

static void job_start(struct sqlite_store *s);

static void arm_poll(struct sqlite_store *s)
{
	if (!hf_list_is_empty(&s->watches) && s->poll.at == HF_NEVER)
		hf_timer_set(s->reactor, &s->poll, hf_reactor_now(s->reactor) + POLL_NS);
}

static void job_done(struct hf_job *j)
{
	struct sqlite_store *s = hf_container_of(j, struct sqlite_store, job);

	tell_callers(s);
	if (!s->freed)
		tell_watches(s);
	if (s->freed) {
		store_release(s);
		return;
	}
	hf_cluster_requests_drop(&s->running);
	hf_cluster_rows_fini(&s->changed);
	s->all_changed = s->polling = false;
	s->job_busy = false;
	arm_poll(s);
	job_start(s);
}

/* Nothing happens while a job is under way: its end calls this again. */
static void job_start(struct sqlite_store *s)
{
	if (s->job_busy || (hf_list_is_empty(&s->waiting) && !s->poll_due))
		return;
	hf_list_splice(&s->running, &s->waiting);
	s->polling = s->poll_due;
	s->poll_due = false;
	s->job_busy = true;
	hf_job_run(s->reactor, &s->job);
}

static void poll_fire(struct hf_timer *t)
{
	struct sqlite_store *s = hf_container_of(t, struct sqlite_store, poll);

	s->poll_due = !hf_list_is_empty(&s->watches);
	job_start(s);
}

/* requests */

static void request_start(struct sqlite_store *s, struct hf_cluster_request *q)
{
	hf_assert(!s->freed);
	hf_list_add_tail(&s->waiting, &q->link);
	job_start(s);
}

static void sqlite_get(struct hf_cluster *c, struct hf_cluster_req *caller, const char *key)
{
	request_start(store_of(c), hf_cluster_request_new(caller, HF_CLUSTER_GET, key));
}

static void sqlite_list(struct hf_cluster *c, struct hf_cluster_req *caller, const char *prefix)
{
	request_start(store_of(c), hf_cluster_request_new(caller, HF_CLUSTER_LIST, prefix));
}

static void sqlite_cas(struct hf_cluster *c, struct hf_cluster_req *caller, const char *key, uint64_t ver,
		       const char *was, const char *value)
{
	request_start(store_of(c), hf_cluster_request_cas(caller, key, ver, was, value));
}

static void sqlite_announce(struct hf_cluster *c, struct hf_cluster_req *caller, const char *host)
{
	request_start(store_of(c), hf_cluster_request_host(caller, HF_CLUSTER_ANNOUNCE, host));
}

static void sqlite_alive(struct hf_cluster *c, struct hf_cluster_req *caller, const char *host)
{
	request_start(store_of(c), hf_cluster_request_host(caller, HF_CLUSTER_ALIVE, host));
}

static void sqlite_watch(struct hf_cluster *c, struct hf_cluster_watch *w)
{
	struct sqlite_store *s = store_of(c);

	hf_list_add_tail(&s->watches, &w->link);
	arm_poll(s);
}

static void sqlite_unwatch(struct hf_cluster *c, struct hf_cluster_watch *w)
{
	struct sqlite_store *s = store_of(c);

	hf_list_del(&w->link);
	if (hf_list_is_empty(&s->watches) && !s->job_busy)
		hf_timer_clear(&s->poll);
}

static void sqlite_free(struct hf_cluster *c)
{
	struct sqlite_store *s = store_of(c);

	hf_timer_clear(&s->poll);
	if (s->job_busy)
		s->freed = true;	/* the job's end releases it */
	else
		store_release(s);
}

static const struct hf_cluster_ops sqlite_ops = {
	.get = sqlite_get,
	.list = sqlite_list,
	.cas = sqlite_cas,
	.watch = sqlite_watch,
	.unwatch = sqlite_unwatch,
	.announce = sqlite_announce,
	.alive = sqlite_alive,
	.free = sqlite_free,
};

int hf_cluster_sqlite_new(struct hf_reactor *r, const char *path, struct hf_cluster **out, struct hf_errmsg *err)
{
	struct sqlite_store *s = calloc(1, sizeof(*s));
	char *copy = strdup(path);
	struct hf_uuid uuid;
	int rc;

	if (!s || !copy) {
		rc = hf_fail(err, -ENOMEM, "cluster store %s: there is not enough memory to open it", path);
		goto fail;
	}
	hf_reactor_random(r, &uuid, sizeof(uuid));
	hf_uuid_stamp(&uuid);
	rc = hf_sqlite_db_open(&s->db, path, &uuid, err);
	if (rc < 0)
		goto fail;
	s->cluster.ops = &sqlite_ops;
	s->reactor = r;
	s->path = copy;
	s->lock_fd = -1;
	s->job = (struct hf_job){ .work = job_work, .done = job_done };
	hf_list_init(&s->job.link);
	hf_list_init(&s->waiting);
	hf_list_init(&s->running);
	hf_list_init(&s->watches);
	hf_timer_init(&s->poll, poll_fire);
	*out = &s->cluster;
	return 0;
fail:
	free(copy);
	free(s);
	return rc;
}

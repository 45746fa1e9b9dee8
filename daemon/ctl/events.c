// SPDX-License-Identifier: MIT
/*
 * events - the event log's file and its job.
 *
 * One job at a time appends what waits, syncs it, then answers readers; so a reader sees everything added before it
 * asked. A failed append is undone (the file is cut back to its last good line) and tried again: the chain never has a
 * hole.
 */
#include "ctl/events.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "ctl/event_chain.h"

#define WAITING_MAX (4u << 20) /* bytes in memory while the disk does not take them; then events are counted only */
#define RETRY_NS (1 * HF_SEC)

/* A reader between its question and `done`. */
struct tail {
	struct hf_list link;
	char volume[HF_NAME_MAX];
	size_t count;
	void (*done)(void *ctx, int result, json_t *events);
	void *ctx;
	int result;
	json_t *events;
};

struct hf_events {
	struct hf_reactor *reactor;
	char host[HF_NAME_MAX];
	struct hf_event_chain chain;	/* of the newest line, written or not */
	char *waiting;			/* lines for the next job */
	size_t waiting_len;
	uint64_t dropped;		/* events since `waiting` was full */
	struct hf_list tails;
	struct hf_timer retry;
	bool job_busy, failing;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
	struct hf_task end;
	struct hf_job job;
	/* the job's while job_busy */
	int fd;
	uint64_t size;			/* bytes of complete, synced lines */
	char *batch;
	size_t batch_len;
	int result;
	struct hf_list answering;
};

static void job_start(struct hf_events *ev);

/* the job */

static int append(struct hf_events *ev)
{
	size_t done = 0;

	while (done < ev->batch_len) {
		ssize_t n = pwrite(ev->fd, ev->batch + done, ev->batch_len - done, (off_t)(ev->size + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		done += (size_t)n;
	}
	return fdatasync(ev->fd) < 0 ? -errno : 0;
}

static void job_work(struct hf_job *j)
{
	struct hf_events *ev = hf_container_of(j, struct hf_events, job);

	ev->result = ev->batch_len ? append(ev) : 0;
	if (ev->result == 0)
		ev->size += ev->batch_len;
	else
		(void)!ftruncate(ev->fd,
				 (off_t)ev->size); /* it is cut again before the next try matters: same offset */
	hf_list_each(&ev->answering, n) {
		struct tail *t = hf_container_of(n, struct tail, link);

		t->result = hf_event_read_tail(ev->fd, ev->size, t->volume[0] ? t->volume : NULL, t->count, &t->events);
	}
}

/* Nothing is left to do, and nothing will come. */
static void end_run(struct hf_task *task)
{
	struct hf_events *ev = hf_container_of(task, struct hf_events, end);
	void (*stopped)(void *ctx) = ev->stopped;
	void *ctx = ev->stopped_ctx;

	if (ev->waiting_len || ev->batch_len)
		hf_error("events: %zu bytes of events could not be written and are lost",
			 ev->waiting_len + ev->batch_len);
	hf_timer_clear(&ev->retry);
	close(ev->fd);
	free(ev->waiting);
	free(ev->batch);
	free(ev);
	stopped(ctx);
}

static void answer_tails(struct hf_events *ev)
{
	struct hf_list *n;

	while ((n = hf_list_pop(&ev->answering))) {
		struct tail *t = hf_container_of(n, struct tail, link);

		t->done(t->ctx, t->result, t->result == 0 ? t->events : NULL);
		free(t);
	}
}

/* The batch stays until it is written: later lines are chained to it. */
static void note_result(struct hf_events *ev)
{
	if (ev->result < 0) {
		if (!ev->failing)
			hf_error("events: cannot write the event log: %s; trying again every second",
				 hf_strerror(ev->result));
		ev->failing = true;
		hf_timer_set(ev->reactor, &ev->retry, hf_reactor_now(ev->reactor) + RETRY_NS);
		return;
	}
	if (ev->failing)
		hf_info("events: the event log is written again");
	ev->failing = false;
	free(ev->batch);
	ev->batch = NULL;
	ev->batch_len = 0;
}

static void job_done(struct hf_job *j)
{
	struct hf_events *ev = hf_container_of(j, struct hf_events, job);
	uint64_t dropped = ev->dropped;

	note_result(ev);
	answer_tails(ev);
	ev->job_busy = false;
	if (!ev->failing && dropped > 0) {
		ev->dropped = 0;
		hf_events_add(ev, "events-dropped", NULL, json_pack("{s:I}", "count", (json_int_t)dropped));
	}
	job_start(ev);
}

/* What is there to do, when no job is under way? A batch that failed waits for the timer, but readers do not. */
static void job_start(struct hf_events *ev)
{
	bool can_write = !ev->failing || ev->retry.at == HF_NEVER;

	if (ev->job_busy)
		return;
	if (ev->batch_len == 0 && ev->waiting_len > 0) {
		ev->batch = ev->waiting;
		ev->batch_len = ev->waiting_len;
		ev->waiting = NULL;
		ev->waiting_len = 0;
	}
	if (hf_list_is_empty(&ev->tails) && (ev->batch_len == 0 || !can_write)) {
		if (ev->stopped)
			hf_task_defer(ev->reactor, &ev->end);
		return;
	}
	hf_task_cancel(&ev->end);
	hf_list_splice(&ev->answering, &ev->tails);
	ev->job_busy = true;
	hf_job_run(ev->reactor, &ev->job);
}

static void retry_fire(struct hf_timer *t)
{
	job_start(hf_container_of(t, struct hf_events, retry));
}

/* the log */

void hf_events_add(struct hf_events *ev, const char *kind, const char *volume, json_t *detail)
{
	size_t len = 0;
	char *line, *all;

	if (ev->waiting_len >= WAITING_MAX) {
		ev->dropped++;
		json_decref(detail);
		return;
	}
	line = hf_event_line(&ev->chain, hf_reactor_wall(ev->reactor), ev->host, kind, volume, detail, &len);
	all = realloc(ev->waiting, ev->waiting_len + len);
	hf_assert(all);
	memcpy(all + ev->waiting_len, line, len);
	ev->waiting = all;
	ev->waiting_len += len;
	free(line);
	job_start(ev);
}

void hf_events_tail(struct hf_events *ev, const char *volume, size_t count,
		    void (*done)(void *ctx, int result, json_t *events), void *ctx)
{
	struct tail *t = calloc(1, sizeof(*t));

	hf_assert(t && !ev->stopped);
	hf_list_init(&t->link);
	snprintf(t->volume, sizeof(t->volume), "%s", volume ? volume : "");
	t->count = count;
	t->done = done;
	t->ctx = ctx;
	hf_list_add_tail(&ev->tails, &t->link);
	job_start(ev);
}

/* Make the file end with a complete line, and tell what was found wrong. */
static int recover(struct hf_events *ev, const char *path, struct hf_errmsg *err)
{
	struct hf_event_scan scan;
	int rc = hf_event_scan_file(ev->fd, &scan);

	if (rc == 0 && scan.torn_bytes && (ftruncate(ev->fd, (off_t)scan.bytes) < 0 || fsync(ev->fd) < 0))
		rc = -errno;
	if (rc < 0)
		return hf_fail(err, rc, "cannot read event log %s: %s", path, hf_strerror(rc));
	ev->chain = scan.last;
	ev->size = scan.bytes;
	if (scan.torn_bytes) {
		hf_warn("events: %s ended in the middle of a line; %llu bytes dropped", path,
			(unsigned long long)scan.torn_bytes);
		hf_events_add(ev, "events-torn", NULL, json_pack("{s:I}", "bytes", (json_int_t)scan.torn_bytes));
	}
	if (scan.bad_line) {
		hf_error("events: the chain of %s is broken at line %llu: %s", path, (unsigned long long)scan.bad_line,
			 scan.bad_why.text);
		hf_events_add(ev, "events-chain-broken", NULL,
			      json_pack("{s:I, s:s}", "line", (json_int_t)scan.bad_line, "why", scan.bad_why.text));
	}
	return 0;
}

/* The directory entry of a new file must last as well. */
static int open_log(const char *path, struct hf_errmsg *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	char *dir = strdup(path), *slash;
	int dir_fd;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return hf_fail(err, -ENOMEM, "cannot open event log %s: there is not enough memory", path);
	}
	slash = strrchr(dir, '/');
	if (slash)
		slash[1] = '\0';
	if (fd >= 0) {
		dir_fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir_fd >= 0)
			(void)fsync(dir_fd); /* some file systems cannot; the file itself is synced with each batch */
		if (dir_fd >= 0)
			close(dir_fd);
	}
	free(dir);
	if (fd < 0)
		return hf_fail(err, -errno,
			       "cannot open event log %s: %s; check that its directory exists and is writable", path,
			       hf_strerror(errno));
	return fd;
}

int hf_events_new(struct hf_reactor *r, const char *path, const char *host, struct hf_events **out,
		  struct hf_errmsg *err)
{
	struct hf_events *ev = calloc(1, sizeof(*ev));
	int rc;

	if (!ev)
		return hf_fail(err, -ENOMEM, "cannot open event log %s: there is not enough memory", path);
	ev->reactor = r;
	snprintf(ev->host, sizeof(ev->host), "%s", host);
	hf_list_init(&ev->tails);
	hf_list_init(&ev->answering);
	hf_timer_init(&ev->retry, retry_fire);
	hf_task_init(&ev->end, end_run);
	ev->job = (struct hf_job){ .work = job_work, .done = job_done };
	hf_list_init(&ev->job.link);
	json_object_seed(0);		/* before a second thread could */
	ev->fd = rc = open_log(path, err);
	if (rc >= 0)
		rc = recover(ev, path, err);
	if (rc < 0) {
		if (ev->fd >= 0)
			close(ev->fd);
		free(ev);
		return rc;
	}
	*out = ev;
	return 0;
}

void hf_events_stop(struct hf_events *ev, void (*stopped)(void *ctx), void *ctx)
{
	hf_assert(!ev->stopped);
	ev->stopped = stopped;
	ev->stopped_ctx = ctx;
	job_start(ev);
}

int hf_events_verify(const char *path, uint64_t *out_count, struct hf_errmsg *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	struct hf_event_scan scan;

	if (fd < 0)
		return hf_fail(err, -errno, "cannot open event log %s: %s", path, hf_strerror(errno));
	rc = hf_event_scan_file(fd, &scan);
	close(fd);
	if (rc < 0)
		return hf_fail(err, rc, "cannot read event log %s: %s", path, hf_strerror(rc));
	if (scan.bad_line)
		return hf_fail(err, -EBADMSG, "%s, line %llu: %s", path, (unsigned long long)scan.bad_line,
			       scan.bad_why.text);
	if (scan.torn_bytes)
		return hf_fail(err, -EBADMSG, "%s ends in the middle of line %llu: a crash, or it is being written",
			       path, (unsigned long long)scan.lines + 1);
	*out_count = scan.lines;
	return 0;
}

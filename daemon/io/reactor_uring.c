// SPDX-License-Identifier: MIT
/*
 * reactor_uring - io/reactor.h over io_uring.
 *
 * Owns: the ring, what is under way on it, pinned ranges. Does not own: opening things (io/sys.c), helper threads
 * (io/jobs.c).
 *
 * A turn costs one system call: what the last turn queued is submitted by the same io_uring_enter() that waits for
 * the next completion. Kernel work of a completion is deferred to that call (DEFER_TASKRUN), so nothing interrupts a
 * turn.
 *
 * There is no table of registered files: before Linux 6.13 a file leaves such a table only when older requests have
 * ended, so closing a socket could wait for hours behind another socket's RECV. It would save some 20 ns per io.
 */
#include "io/reactor_uring.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "io/jobs.h"
#include "io/sys.h"
#include "io/uring_open.h"

#define PINS_MAX 16u
#define PIN_LEN_MAX (1ull << 30)	/* the kernel's limit for one registered buffer */
#define TRANSFER_MAX (1u << 30)		/* bytes in one request; more is sent as a continued transfer */

struct pin {
	uint8_t *base;			/* NULL: free */
	size_t len;
	void *range;			/* what hf_reactor_pin() was given: a long range takes several slots */
};

struct uring {
	struct hf_reactor base;
	struct io_uring ring;
	struct hf_list queued;		/* QUEUED: no SQE yet */
	struct hf_list cancels;		/* IN_KERNEL: a cancel SQE is owed */
	struct hf_list done;		/* DONE: callback is due */
	uint32_t in_kernel;		/* CQEs to come: ios and the mailbox, not cancels */
	bool is_stopping;
	struct pin pins[PINS_MAX];
	bool has_pin_table;
	struct hf_jobs jobs;
	uint32_t job_count;		/* started and not yet called back */
	bool is_bell_armed;
	uint64_t bell_value;
	struct hf_list finished_jobs;
};

/* What an io keeps in priv: one of these. */
struct __attribute__((may_alias)) priv_send {
	struct msghdr msg;
};

struct __attribute__((may_alias)) priv_connect {
	struct hf_sys_addr addr;
	int fd;
};

_Static_assert(sizeof(struct priv_send) <= sizeof(((struct hf_io *)0)->priv), "priv holds a msghdr");
_Static_assert(sizeof(struct priv_connect) <= sizeof(((struct hf_io *)0)->priv), "priv holds an address");

static struct priv_send *priv_send(struct hf_io *io)
{
	return (struct priv_send *)io->priv;
}

static struct priv_connect *priv_connect(struct hf_io *io)
{
	return (struct priv_connect *)io->priv;
}

static struct uring *uring_of(struct hf_reactor *r)
{
	return hf_container_of(r, struct uring, base);
}

/* user_data: a pointer whose three low bits say what it is. */
enum tag { TAG_IO, TAG_CANCEL, TAG_BELL };

static uint64_t tag_encode(enum tag tag, const struct hf_io *io)
{
	return (uint64_t)(uintptr_t)io | tag;
}

static enum tag tag_decode(uint64_t data, struct hf_io **io)
{
	*io = (struct hf_io *)(uintptr_t)(data & ~(uint64_t)7);
	return (enum tag)(data & 7);
}

static hf_nsec clock_now(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		hf_unreachable();
	return (hf_nsec)ts.tv_sec * HF_SEC + (hf_nsec)ts.tv_nsec;
}

static void finish(struct uring *u, struct hf_io *io, int64_t result)
{
	hf_list_del(&io->link);
	io->state = HF_IO_DONE;
	io->result = result;
	hf_list_add_tail(&u->done, &io->link);
}

/* Filling of SQEs. */

static int find_pin(const struct uring *u, const uint8_t *at, size_t len)
{
	for (uint32_t i = 0; i < PINS_MAX; i++) {
		const struct pin *p = &u->pins[i];

		if (p->base && at >= p->base && at + len <= p->base + p->len)
			return (int)i;
	}
	return -1;
}

static uint32_t rest(const struct hf_io *io)
{
	size_t left = io->len - io->progress;

	return left > TRANSFER_MAX ? TRANSFER_MAX : (uint32_t)left;
}

static void fill_file(struct uring *u, struct io_uring_sqe *sqe, struct hf_io *io)
{
	uint8_t *at = (uint8_t *)io->buf + io->progress;
	uint64_t off = io->off + io->progress;
	uint32_t len = rest(io);
	int pin;

	if (io->iov_count > 0) {
		io_uring_prep_writev(sqe, io->fd, io->iov, io->iov_count, off);
	} else {
		pin = find_pin(u, at, len);
		if (io->kind == HF_IO_READ && pin >= 0)
			io_uring_prep_read_fixed(sqe, io->fd, at, len, off, pin);
		else if (io->kind == HF_IO_READ)
			io_uring_prep_read(sqe, io->fd, at, len, off);
		else if (pin >= 0)
			io_uring_prep_write_fixed(sqe, io->fd, at, len, off, pin);
		else
			io_uring_prep_write(sqe, io->fd, at, len, off);
	}
	if (io->dsync)
		sqe->rw_flags = RWF_DSYNC;
}

static void fill_send(struct io_uring_sqe *sqe, struct hf_io *io)
{
	const int flags = MSG_NOSIGNAL | MSG_WAITALL;
	struct priv_send *priv = priv_send(io);

	if (io->iov_count == 0) {
		io_uring_prep_send(sqe, io->fd, (uint8_t *)io->buf + io->progress, rest(io), flags);
		return;
	}
	priv->msg = (struct msghdr){ .msg_iov = io->iov, .msg_iovlen = io->iov_count };
	io_uring_prep_sendmsg(sqe, io->fd, &priv->msg, flags);
}

static void fill(struct uring *u, struct io_uring_sqe *sqe, struct hf_io *io)
{
	struct priv_connect *priv = priv_connect(io);

	switch (io->kind) {
	case HF_IO_READ:
	case HF_IO_WRITE:
		fill_file(u, sqe, io);
		break;
	case HF_IO_SYNC:
		io_uring_prep_fsync(sqe, io->fd, IORING_FSYNC_DATASYNC);
		break;
	case HF_IO_DISCARD:
		io_uring_prep_fallocate(sqe, io->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)io->off,
					(off_t)io->len);
		break;
	case HF_IO_RECV:
		io_uring_prep_recv(sqe, io->fd, io->buf, rest(io), 0);
		break;
	case HF_IO_SEND:
		fill_send(sqe, io);
		break;
	case HF_IO_ACCEPT:
		io_uring_prep_accept(sqe, io->fd, NULL, NULL, SOCK_CLOEXEC);
		break;
	case HF_IO_CONNECT:
		io_uring_prep_connect(sqe, priv->fd, &priv->addr.any, priv->addr.len);
		break;
	}
	io_uring_sqe_set_data64(sqe, tag_encode(TAG_IO, io));
}

/* Submission. */

/*
 * Results of io_uring_enter() that mean "go on": a signal came (EINTR), the time is over (ETIME), the kernel is short
 * of memory or wants its completions read first (EAGAIN, EBUSY). What was not taken stays in the ring for the next
 * call.
 */
static void check_enter(int rc)
{
	hf_assert(rc >= 0 || rc == -EINTR || rc == -ETIME || rc == -EAGAIN || rc == -EBUSY);
}

/* NULL: the ring is full and the kernel takes nothing now. */
static struct io_uring_sqe *next_sqe(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (sqe)
		return sqe;
	check_enter(io_uring_submit(&u->ring));
	return io_uring_get_sqe(&u->ring);
}

static void flush_cancels(struct uring *u)
{
	while (!hf_list_is_empty(&u->cancels)) {
		struct hf_list *n = u->cancels.next;
		struct io_uring_sqe *sqe = next_sqe(u);

		if (!sqe)
			return;
		hf_list_del(n);
		io_uring_prep_cancel64(sqe, tag_encode(TAG_IO, hf_container_of(n, struct hf_io, link)), 0);
		io_uring_sqe_set_data64(sqe, tag_encode(TAG_CANCEL, NULL));
	}
}

static void arm_bell(struct uring *u)
{
	struct io_uring_sqe *sqe;

	if (u->is_bell_armed || u->job_count == 0)
		return;
	sqe = next_sqe(u);
	if (!sqe)
		return;
	io_uring_prep_read(sqe, u->jobs.bell, &u->bell_value, sizeof(u->bell_value), 0);
	io_uring_sqe_set_data64(sqe, tag_encode(TAG_BELL, NULL));
	u->is_bell_armed = true;
	u->in_kernel++;
}

static void flush(struct uring *u)
{
	flush_cancels(u);
	arm_bell(u);
	while (!hf_list_is_empty(&u->queued)) {
		struct hf_io *io = hf_container_of(u->queued.next, struct hf_io, link);
		struct io_uring_sqe *sqe = next_sqe(u);

		if (!sqe)
			return;
		hf_list_del(&io->link);
		io->state = HF_IO_IN_KERNEL;
		fill(u, sqe, io);
		u->in_kernel++;
	}
}

/* Hand over what is queued and look for completions, without a wait; no call when there is neither. */
static void enter_now(struct uring *u)
{
	uint32_t flags = IO_URING_READ_ONCE(*u->ring.sq.kflags);

	if (io_uring_sq_ready(&u->ring) > 0)
		check_enter(io_uring_submit_and_get_events(&u->ring));
	else if (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
		check_enter(io_uring_get_events(&u->ring));
}

/* The ring counts time on CLOCK_MONOTONIC: a machine that was suspended wakes us late by what it slept, never early. */
static void enter_and_wait(struct uring *u, hf_nsec until)
{
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	hf_nsec now, left;

	if (until == HF_NEVER) {
		check_enter(io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, NULL, NULL));
		return;
	}
	now = clock_now(CLOCK_BOOTTIME);
	if (until <= now) {
		enter_now(u);
		return;
	}
	left = until - now;
	ts = (struct __kernel_timespec){ .tv_sec = (long long)(left / HF_SEC), .tv_nsec = (long long)(left % HF_SEC) };
	check_enter(io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL));
}

/* Completion. */

static void advance_iov(struct hf_io *io, size_t done)
{
	while (done > 0) {
		size_t part = io->iov->iov_len < done ? io->iov->iov_len : done;

		io->iov->iov_base = (uint8_t *)io->iov->iov_base + part;
		io->iov->iov_len -= part;
		done -= part;
		if (io->iov->iov_len == 0) {
			io->iov++;
			io->iov_count--;
		}
	}
}

/* Once more, from where it stands; taken back instead when its owner asked for that. */
static void go_on(struct uring *u, struct hf_io *io)
{
	if (io->cancelled) {
		finish(u, io, -ECANCELED);
		return;
	}
	io->state = HF_IO_QUEUED;
	hf_list_add_tail(&u->queued, &io->link);
}

static void complete_transfer(struct uring *u, struct hf_io *io, int res)
{
	if (res == 0) {
		/* Past the end of the file; a socket or device that takes nothing is as bad. */
		finish(u, io, -EIO);
		return;
	}
	io->progress += (uint32_t)res;
	hf_assert(io->progress <= io->len);
	if (io->progress == io->len) {
		finish(u, io, (int64_t)io->len);
		return;
	}
	/* A file that ends between two sectors: what follows could not be read directly. */
	if (io->kind == HF_IO_READ && res % 512 != 0) {
		finish(u, io, -EIO);
		return;
	}
	if (io->iov_count > 0)
		advance_iov(io, (size_t)res);
	go_on(u, io);
}

static void complete_failure(struct uring *u, struct hf_io *io, int res)
{
	struct priv_connect *priv = priv_connect(io);

	/* A full backlog of a unix socket is EAGAIN too, and asking again at once would spin. */
	if ((res == -EINTR || res == -EAGAIN) && io->kind != HF_IO_CONNECT) {
		go_on(u, io);
		return;
	}
	if (io->cancelled && res == -EINTR)
		res = -ECANCELED;
	if (io->kind == HF_IO_CONNECT)
		close(priv->fd);
	finish(u, io, res);
}

static void complete(struct uring *u, struct hf_io *io, int res)
{
	struct priv_connect *priv = priv_connect(io);

	hf_assert(io->state == HF_IO_IN_KERNEL);
	hf_list_del(&io->link);		/* it may wait for its cancel */
	if (res < 0) {
		complete_failure(u, io, res);
		return;
	}
	switch (io->kind) {
	case HF_IO_READ:
	case HF_IO_WRITE:
	case HF_IO_SEND:
		complete_transfer(u, io, res);
		break;
	case HF_IO_RECV:
		finish(u, io, res);
		break;
	case HF_IO_ACCEPT:
		hf_sys_nodelay(res);
		finish(u, io, res);
		break;
	case HF_IO_CONNECT:
		finish(u, io, priv->fd);
		break;
	case HF_IO_SYNC:
	case HF_IO_DISCARD:
		finish(u, io, 0);
		break;
	}
}

static void take_cqe(struct uring *u, const struct io_uring_cqe *cqe)
{
	struct hf_io *io;

	switch (tag_decode(cqe->user_data, &io)) {
	case TAG_IO:
		u->in_kernel--;
		complete(u, io, cqe->res);
		break;
	case TAG_CANCEL:
		/* Found or not, the io's own completion tells. */
		break;
	case TAG_BELL:
		u->in_kernel--;
		u->is_bell_armed = false;
		break;
	default:
		hf_unreachable();
	}
}

static void collect(struct uring *u)
{
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned int head, count = 0;

		io_uring_for_each_cqe(&u->ring, head, cqe) {
			take_cqe(u, cqe);
			count++;
		}
		io_uring_cq_advance(&u->ring, count);
		if (!io_uring_cq_has_overflow(&u->ring))
			return;
		/* The kernel keeps what did not fit; with room made, ask for it. */
		check_enter(io_uring_get_events(&u->ring));
	}
}

static void run_done(struct uring *u)
{
	struct hf_list batch;
	struct hf_list *n;

	hf_list_init(&batch);
	hf_list_splice(&batch, &u->done);
	while ((n = hf_list_pop(&batch))) {
		struct hf_io *io = hf_container_of(n, struct hf_io, link);

		io->state = HF_IO_IDLE;
		io->done(io);
	}
}

static void run_jobs(struct uring *u)
{
	struct hf_list *n;

	if (u->job_count == 0)
		return;
	/* The bell is only to wake us; without a look at the list a job could be missed for a turn. */
	hf_jobs_take(&u->jobs, &u->finished_jobs);
	while ((n = hf_list_pop(&u->finished_jobs))) {
		struct hf_job *job = hf_container_of(n, struct hf_job, link);

		u->job_count--;
		job->done(job);
	}
}

void hf_reactor_uring_turn(struct hf_reactor *r, hf_nsec deadline)
{
	struct uring *u = uring_of(r);
	hf_nsec timer = hf_reactor_next_timer(r);

	flush(u);
	if (!hf_list_is_empty(&u->done) || !hf_list_is_empty(&r->tasks) || !hf_list_is_empty(&u->queued))
		enter_now(u);
	else
		enter_and_wait(u, timer < deadline ? timer : deadline);
	collect(u);
	r->now = clock_now(CLOCK_BOOTTIME);	/* after: what has completed did so before now */
	run_done(u);
	hf_reactor_run_timers(r);
	run_jobs(u);
	hf_reactor_run_tasks(r);
}

void hf_reactor_uring_run(struct hf_reactor *r)
{
	struct uring *u = uring_of(r);

	u->is_stopping = false;
	while (!u->is_stopping)
		hf_reactor_uring_turn(r, HF_NEVER);
}

void hf_reactor_uring_stop(struct hf_reactor *r)
{
	uring_of(r)->is_stopping = true;
}

/* Operations. */

static void uring_submit(struct hf_reactor *r, struct hf_io *io)
{
	struct priv_connect *priv = priv_connect(io);
	struct uring *u = uring_of(r);

	if (io->kind == HF_IO_CONNECT) {
		int rc = hf_sys_addr_parse(io->addr, &priv->addr);

		if (rc == 0)
			rc = priv->fd = hf_sys_socket(&priv->addr);
		if (rc < 0) {
			finish(u, io, rc);
			return;
		}
	}
	hf_list_add_tail(&u->queued, &io->link);
}

static void uring_cancel(struct hf_reactor *r, struct hf_io *io)
{
	struct priv_connect *priv = priv_connect(io);
	struct uring *u = uring_of(r);

	if (io->state == HF_IO_IN_KERNEL) {
		hf_list_add_tail(&u->cancels, &io->link);
		return;
	}
	if (io->kind == HF_IO_CONNECT)
		close(priv->fd);
	finish(u, io, -ECANCELED);
}

static int uring_file_open(struct hf_reactor *r, const char *path, enum hf_file_mode mode, uint64_t size,
			   struct hf_file_info *info, struct hf_errmsg *err)
{
	(void)r;
	return hf_sys_file_open(path, mode, size, info, err);
}

static int uring_file_unlink(struct hf_reactor *r, const char *path)
{
	(void)r;
	return hf_sys_file_unlink(path);
}

static int uring_sock_listen(struct hf_reactor *r, const char *addr, struct hf_errmsg *err)
{
	(void)r;
	return hf_sys_listen(addr, err);
}

static void uring_close(struct hf_reactor *r, int fd)
{
	(void)r;
	hf_assert(fd >= 0);
	if (close(fd) && errno == EBADF)
		hf_unreachable();
}

static void uring_job(struct hf_reactor *r, struct hf_job *job)
{
	struct uring *u = uring_of(r);

	u->job_count++;
	hf_jobs_add(&u->jobs, job);
}

static void uring_random(struct hf_reactor *r, void *buf, size_t len)
{
	uint8_t *at = buf;

	(void)r;
	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		hf_assert(n > 0 || errno == EINTR);
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
}

static hf_nsec uring_wall(struct hf_reactor *r)
{
	(void)r;
	return clock_now(CLOCK_REALTIME);
}

static void drop_pins(struct uring *u, const void *range)
{
	for (uint32_t i = 0; i < PINS_MAX; i++) {
		struct iovec none = { 0 };

		if (!u->pins[i].base || u->pins[i].range != range)
			continue;
		(void)io_uring_register_buffers_update_tag(&u->ring, i, &none, NULL, 1);
		u->pins[i] = (struct pin){ 0 };
	}
}

static int pin_part(struct uring *u, uint8_t *at, size_t len, void *range)
{
	struct iovec iov = { .iov_base = at, .iov_len = len };
	int rc;

	for (uint32_t i = 0; i < PINS_MAX; i++) {
		if (u->pins[i].base)
			continue;
		rc = io_uring_register_buffers_update_tag(&u->ring, i, &iov, NULL, 1);
		if (rc < 0)
			return rc;
		u->pins[i] = (struct pin){ .base = at, .len = len, .range = range };
		return 0;
	}
	return -ENOSPC;
}

static int uring_pin(struct hf_reactor *r, void *base, size_t len)
{
	struct uring *u = uring_of(r);
	uint8_t *at = base;
	int rc;

	if (!u->has_pin_table) {
		rc = io_uring_register_buffers_sparse(&u->ring, PINS_MAX);
		if (rc < 0)
			return rc;
		u->has_pin_table = true;
	}
	while (len > 0) {
		size_t part = len > PIN_LEN_MAX ? PIN_LEN_MAX : len;

		rc = pin_part(u, at, part, base);
		if (rc < 0) {
			drop_pins(u, base);
			return rc;
		}
		at += part;
		len -= part;
	}
	return 0;
}

static void uring_unpin(struct hf_reactor *r, void *base)
{
	drop_pins(uring_of(r), base);
}

static const struct hf_reactor_ops uring_ops = {
	.submit = uring_submit,
	.cancel = uring_cancel,
	.file_open = uring_file_open,
	.file_unlink = uring_file_unlink,
	.sock_listen = uring_sock_listen,
	.close = uring_close,
	.job = uring_job,
	.random = uring_random,
	.wall = uring_wall,
	.pin = uring_pin,
	.unpin = uring_unpin,
};

/* Start and end. */

int hf_reactor_uring_new(struct hf_reactor **out, struct hf_errmsg *err)
{
	struct uring *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return hf_fail(err, -ENOMEM, "no memory for a reactor");
	rc = hf_uring_open(&u->ring, err);
	if (rc < 0) {
		free(u);
		return rc;
	}
	rc = hf_jobs_init(&u->jobs);
	if (rc < 0) {
		io_uring_queue_exit(&u->ring);
		free(u);
		return hf_fail(err, rc, "no eventfd for helper threads: %s", hf_strerror(rc));
	}
	hf_reactor_init(&u->base, &uring_ops);
	hf_list_init(&u->queued);
	hf_list_init(&u->cancels);
	hf_list_init(&u->done);
	hf_list_init(&u->finished_jobs);
	u->base.now = clock_now(CLOCK_BOOTTIME);
	*out = &u->base;
	return 0;
}

/* Buffers may be freed after us, so the kernel must have let go of them: take all back and wait, without callbacks. */
static void take_all_back(struct uring *u)
{
	struct io_uring_sqe *sqe = NULL;

	hf_list_init(&u->cancels);
	while (!sqe)
		sqe = next_sqe(u);
	io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	io_uring_sqe_set_data64(sqe, tag_encode(TAG_CANCEL, NULL));
	while (u->in_kernel > 0) {
		enter_and_wait(u, HF_NEVER);
		collect(u);
		/* What went on with a short transfer stays behind in `queued`. */
	}
}

/* Sockets that nobody will hear of. */
static void close_orphans(struct uring *u)
{
	struct hf_list *n;

	while ((n = hf_list_pop(&u->done))) {
		struct hf_io *io = hf_container_of(n, struct hf_io, link);

		if (io->result >= 0 && (io->kind == HF_IO_ACCEPT || io->kind == HF_IO_CONNECT))
			close((int)io->result);
	}
	while ((n = hf_list_pop(&u->queued))) {
		struct hf_io *io = hf_container_of(n, struct hf_io, link);

		if (io->kind == HF_IO_CONNECT)
			close(priv_connect(io)->fd);
	}
}

void hf_reactor_uring_free(struct hf_reactor *r)
{
	struct uring *u;

	if (!r)
		return;
	u = uring_of(r);
	hf_jobs_fini(&u->jobs);
	if (u->in_kernel > 0)
		take_all_back(u);
	close_orphans(u);
	io_uring_queue_exit(&u->ring);
	free(u);
}

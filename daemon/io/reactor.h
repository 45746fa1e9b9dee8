/* SPDX-License-Identifier: MIT */
/*
 * reactor - the one door to files, sockets, time, randomness and helper threads.
 *
 * Owns: completion of every submitted io, timers, tasks, the clock of a turn. Does not own: buffers, policy.
 * Backends: reactor_uring.c; a simulated one in tests/sim; a libaio + epoll one can follow: nothing below names
 * io_uring.
 *
 * Contract, checked by tests/contract/test_reactor.c on every backend:
 *  1. An io is `struct hf_io`, embedded in its owner; the reactor allocates nothing per io.
 *  2. An io was made by hf_io_init(). From submit until `done` it and its buffers belong to the reactor.
 *     IDLE -> QUEUED -> (IN_KERNEL) -> DONE -> IDLE.
 *  3. Every submitted io completes exactly once, cancelled or not. Multishot is hidden: an ACCEPT completes once per
 *     submit.
 *  4. Callbacks (io, timer, task, job) run only from a turn of the backend's loop, never inside submit, cancel, set
 *     or defer. Inside `done` the io is IDLE and may be submitted again or freed.
 *  5. result >= 0 or -errno. READ, WRITE and SEND are finished inside: result == len, or an error (READ past the end
 *     of a file: -EIO). RECV gives 1..len bytes, or 0 at end of stream. A refused or reset connection is an errno.
 *  6. A full submission queue is not an error: what is queued is handed to the kernel and the call goes on.
 *  7. One thread owns a reactor and calls everything here. hf_job::work runs on a helper thread.
 *  8. hf_reactor_now() is read once per turn.
 *  9. Two ios on one socket: at most one RECV and one SEND at a time. Files: any number, in any order; who needs
 *     order waits for `done` (H15: a SYNC covers only writes that completed before it was submitted).
 * 10. Order in a turn: completions are collected, their callbacks run; due timers run; finished jobs run; then tasks
 *     deferred so far (also by one another, until none is left); then everything queued leaves in one submission,
 *     which on a kernel backend is the same system call as the wait that opens the next turn.
 */
#ifndef HF_IO_REACTOR_H
#define HF_IO_REACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/list.h"
#include "base/time.h"

struct hf_reactor;
struct hf_io;

enum hf_io_kind {
	HF_IO_READ,			/* file: buf/len at off, all aligned to 4096 (O_DIRECT) */
	HF_IO_WRITE,			/* file: as READ; or iov, each part aligned; `dsync`: durable when done */
	HF_IO_SYNC,			/* file: data and what is needed to read it back are durable */
	HF_IO_DISCARD,			/* file: aligned range reads as zeros or as before; may be -EOPNOTSUPP */
	HF_IO_RECV,			/* socket: up to len bytes into buf */
	HF_IO_SEND,			/* socket: buf/len, or iov/iov_count */
	HF_IO_ACCEPT,			/* listening socket: result = new socket */
	HF_IO_CONNECT,			/* `addr`: result = new connected socket */
};

enum hf_io_state { HF_IO_IDLE, HF_IO_QUEUED, HF_IO_IN_KERNEL, HF_IO_DONE };

typedef void hf_io_done(struct hf_io *io);

struct hf_io {
	/* set by the owner before submit */
	enum hf_io_kind kind;
	int fd;				/* handle from hf_file_open, hf_sock_listen, ACCEPT or CONNECT */
	bool dsync;
	uint32_t iov_count;		/* > 0: iov in place of buf; the backend may change the array itself */
	struct iovec *iov;		/* at most 1024 */
	void *buf;
	size_t len;			/* bytes, also the sum of iov */
	uint64_t off;			/* bytes, files only */
	const char *addr;		/* CONNECT: "unix:/path", "tcp:1.2.3.4:port"; stays valid until done */
	hf_io_done *done;
	/* read by the owner in done */
	int64_t result;
	/* the reactor's */
	enum hf_io_state state;
	bool cancelled;
	struct hf_list link;
	size_t progress;
	uint64_t priv[20];		/* backend: no allocation per io (holds a msghdr or a sockaddr) */
};

static inline void hf_io_init(struct hf_io *io, enum hf_io_kind kind, int fd, hf_io_done *done)
{
	*io = (struct hf_io){ .kind = kind, .fd = fd, .done = done };
	hf_list_init(&io->link);
}

static inline bool hf_io_is_idle(const struct hf_io *io)
{
	return io->state == HF_IO_IDLE;
}

struct hf_timer {
	hf_nsec at;			/* HF_NEVER: not set */
	void (*fire)(struct hf_timer *t);
	struct hf_list link;		/* the reactor's */
};

struct hf_task {
	void (*run)(struct hf_task *t);
	bool queued;
	struct hf_list link;		/* the reactor's */
};

struct hf_job {
	void (*work)(struct hf_job *j);	/* on a helper thread: may block; touches only what the job owns */
	void (*done)(struct hf_job *j);	/* on the reactor */
	struct hf_list link;		/* the reactor's */
};

struct hf_file_info {
	uint64_t size;			/* bytes */
	bool is_block;			/* a block device: its size is fixed */
};

enum hf_file_mode {
	HF_FILE_OPEN,			/* must exist */
	HF_FILE_CREATE,			/* must not exist */
	HF_FILE_READ_ONLY,		/* must exist */
};

/* What a backend provides; see the wrappers below for meaning. */
struct hf_reactor_ops {
	void (*submit)(struct hf_reactor *r, struct hf_io *io);
	void (*cancel)(struct hf_reactor *r, struct hf_io *io);
	int (*file_open)(struct hf_reactor *r, const char *path, enum hf_file_mode mode, uint64_t size,
			 struct hf_file_info *info, struct hf_errmsg *err);
	int (*file_unlink)(struct hf_reactor *r, const char *path);
	int (*sock_listen)(struct hf_reactor *r, const char *addr, struct hf_errmsg *err);
	void (*close)(struct hf_reactor *r, int fd);
	void (*job)(struct hf_reactor *r, struct hf_job *j);
	void (*random)(struct hf_reactor *r, void *buf, size_t len);
	hf_nsec (*wall)(struct hf_reactor *r);
	int (*pin)(struct hf_reactor *r, void *base, size_t len);
	void (*unpin)(struct hf_reactor *r, void *base);
};

/* Backends embed this first and fill ops; the rest is kept by reactor.c. */
struct hf_reactor {
	const struct hf_reactor_ops *ops;
	hf_nsec now;
	struct hf_list timers;		/* ascending in `at` */
	struct hf_list tasks;
};

/* For backends: ready an empty base; run due timers; run tasks until none is left; deadline of the next timer. */
void hf_reactor_init(struct hf_reactor *r, const struct hf_reactor_ops *ops);
void hf_reactor_run_timers(struct hf_reactor *r);
void hf_reactor_run_tasks(struct hf_reactor *r);
hf_nsec hf_reactor_next_timer(const struct hf_reactor *r);

/* Nanoseconds of CLOCK_BOOTTIME at the start of this turn. */
static inline hf_nsec hf_reactor_now(const struct hf_reactor *r)
{
	return r->now;
}

/* Wall clock, nanoseconds since 1970: for people's eyes only, never for a decision. */
static inline hf_nsec hf_reactor_wall(struct hf_reactor *r)
{
	return r->ops->wall(r);
}

static inline void hf_reactor_random(struct hf_reactor *r, void *buf, size_t len)
{
	r->ops->random(r, buf, len);
}

/* Hand over an IDLE io; `done` is called in a later step of the loop. */
void hf_io_submit(struct hf_reactor *r, struct hf_io *io);
/* Ask for an early end; `done` still comes, with -ECANCELED or the real result. IDLE: no effect. */
void hf_io_cancel(struct hf_reactor *r, struct hf_io *io);

/* (Re)set to an absolute time; a time in the past fires in the next step of the loop. */
void hf_timer_init(struct hf_timer *t, void (*fire)(struct hf_timer *t));
void hf_timer_set(struct hf_reactor *r, struct hf_timer *t, hf_nsec at);
void hf_timer_clear(struct hf_timer *t);

/* Run once at the end of this turn (step 10 above); deferring a queued task has no effect. */
void hf_task_init(struct hf_task *t, void (*run)(struct hf_task *t));
void hf_task_defer(struct hf_reactor *r, struct hf_task *t);
void hf_task_cancel(struct hf_task *t);

static inline void hf_job_run(struct hf_reactor *r, struct hf_job *j)
{
	r->ops->job(r, j);
}

/*
 * Open a file or block device with O_DIRECT (CREATE: mode 0600, sparse, `size` bytes; its directory entry is durable
 * on return). May block: call at start or from a job. Returns a handle, or -errno with `err` filled; nothing is left
 * behind. A file opened for writing is locked until close: -EBUSY when any process, this one too, has it open for
 * writing.
 */
static inline int hf_file_open(struct hf_reactor *r, const char *path, enum hf_file_mode mode, uint64_t size,
			       struct hf_file_info *info, struct hf_errmsg *err)
{
	return r->ops->file_open(r, path, mode, size, info, err);
}

/* Remove a file and make that durable; 0 or -errno. */
static inline int hf_file_unlink(struct hf_reactor *r, const char *path)
{
	return r->ops->file_unlink(r, path);
}

/* A listening handle or -errno. A unix socket file that nobody answers on is replaced; a live one: -EADDRINUSE. */
static inline int hf_sock_listen(struct hf_reactor *r, const char *addr, struct hf_errmsg *err)
{
	return r->ops->sock_listen(r, addr, err);
}
/*
 * The same for a daemon that starts: waits, blocking, for up to 2 s while the address is in use. A process that was
 * killed leaves its ring, and with it its sockets, a moment later than itself.
 */
int hf_sock_listen_at_start(struct hf_reactor *r, const char *addr, struct hf_errmsg *err);

/*
 * A long-lived memory range that ios will use again and again: the backend may register it with the kernel. A hint:
 * failure (-errno) costs speed only. Unpin before freeing, with no io under way on it.
 */
static inline int hf_reactor_pin(struct hf_reactor *r, void *base, size_t len)
{
	return r->ops->pin ? r->ops->pin(r, base, len) : 0;
}

static inline void hf_reactor_unpin(struct hf_reactor *r, void *base)
{
	if (r->ops->unpin)
		r->ops->unpin(r, base);
}

/* The owner has no io under way on it. */
static inline void hf_close(struct hf_reactor *r, int fd)
{
	r->ops->close(r, fd);
}

#endif

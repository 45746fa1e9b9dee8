// SPDX-License-Identifier: MIT
/* fuzz_reactor - the backend of io/reactor.h that fuzzers run on: memory only, no system call, no chance. */
#include <stdlib.h>

#include "fuzz/fuzz.h"

#define PAGE 4096u
#define PAGES (FUZZ_DISK_BYTES / PAGE)
#define SOCKS 64
#define FD_FILE 100000			/* handles that no system call takes for its own */
#define FD_LISTEN 200000
#define FD_SOCK 300000
#define DIALS 4

struct fuzz_reactor {
	struct hf_reactor base;
	struct hf_list queued, done, pending, jobs;	/* pending: until it is cancelled, or a client dials */
	struct fuzz_sock *sock[SOCKS];
	struct fuzz_sock *dial[DIALS];
	uint8_t *disk, *frozen;
	uint8_t dirty[PAGES];
	uint64_t random;
};

void fuzz_take(struct fuzz_in *in, void *out, size_t len)
{
	size_t n = len < in->left ? len : in->left;

	memset(out, 0, len);
	if (n)
		memcpy(out, in->p, n);
	in->p += n;
	in->left -= n;
}

static struct fuzz_reactor *of(struct hf_reactor *r)
{
	return hf_container_of(r, struct fuzz_reactor, base);
}

static void end(struct fuzz_reactor *x, struct hf_io *io, int64_t result)
{
	io->state = HF_IO_DONE;
	io->result = result;
	hf_list_add_tail(&x->done, &io->link);
}

/* ---------------------------------------------------------------- file */

static void disk_write(struct fuzz_reactor *x, uint64_t off, const void *from, size_t len)
{
	size_t n = off >= FUZZ_DISK_BYTES ? 0 : FUZZ_DISK_BYTES - off < len ? FUZZ_DISK_BYTES - off : len;

	if (!n)
		return;
	memcpy(x->disk + off, from, n);
	for (uint64_t p = off / PAGE; p <= (off + n - 1) / PAGE; p++)
		x->dirty[p] = 1;
}

void fuzz_disk_put(struct fuzz_reactor *x, uint64_t off, const void *bytes, size_t len)
{
	disk_write(x, off, bytes, len);
}

uint8_t *fuzz_disk(struct fuzz_reactor *x)
{
	return x->disk;
}

void fuzz_disk_reset(struct fuzz_reactor *x)
{
	for (uint32_t p = 0; p < PAGES; p++)
		if (x->dirty[p])
			memcpy(x->disk + p * PAGE, x->frozen + p * PAGE, PAGE);
	memset(x->dirty, 0, sizeof(x->dirty));
}

void fuzz_disk_freeze(struct fuzz_reactor *x)
{
	memcpy(x->frozen, x->disk, FUZZ_DISK_BYTES);
	memset(x->dirty, 0, sizeof(x->dirty));
}

static void file_io(struct fuzz_reactor *x, struct hf_io *io)
{
	uint64_t at = io->off;

	hf_assert(io->fd == FD_FILE);
	switch (io->kind) {
	case HF_IO_READ:
		if (io->off > FUZZ_DISK_BYTES || io->len > FUZZ_DISK_BYTES - io->off) {
			end(x, io, -EIO);
			return;
		}
		memcpy(io->buf, x->disk + io->off, io->len);
		break;
	case HF_IO_WRITE:
		if (!io->iov_count)
			disk_write(x, at, io->buf, io->len);
		for (uint32_t i = 0; i < io->iov_count; i++) {
			disk_write(x, at, io->iov[i].iov_base, io->iov[i].iov_len);
			at += io->iov[i].iov_len;
		}
		break;
	default:			/* SYNC; a DISCARD leaves what was there */
		end(x, io, 0);
		return;
	}
	end(x, io, (int64_t)io->len);
}

/* ---------------------------------------------------------------- sockets */

static struct fuzz_sock *sock_of(struct fuzz_reactor *x, int fd)
{
	hf_assert(fd >= FD_SOCK && fd < FD_SOCK + SOCKS && x->sock[fd - FD_SOCK]);
	return x->sock[fd - FD_SOCK];
}

static int accepted(struct fuzz_reactor *x)
{
	int fd = 0;

	if (!x->dial[0])
		return -1;
	while (fd < SOCKS && x->sock[fd])
		fd++;
	hf_assert(fd < SOCKS);
	x->sock[fd] = x->dial[0];
	x->sock[fd]->is_open = true;
	memmove(&x->dial[0], &x->dial[1], (DIALS - 1) * sizeof(x->dial[0]));
	x->dial[DIALS - 1] = NULL;
	return FD_SOCK + fd;
}

static void pend(struct fuzz_reactor *x, struct hf_io *io)
{
	io->state = HF_IO_IN_KERNEL;
	hf_list_add_tail(&x->pending, &io->link);
}

static void recv_io(struct fuzz_reactor *x, struct hf_io *io)
{
	struct fuzz_sock *s = sock_of(x, io->fd);
	size_t n = s->len - s->at;

	if (!n && s->stays_open && !s->is_gone) {
		pend(x, io);
		return;
	}
	n = n < io->len ? n : io->len;
	n = s->chop && s->chop < n ? s->chop : n;
	if (n)
		memcpy(io->buf, s->data + s->at, n);
	s->at += n;
	end(x, io, (int64_t)n);
}

static void send_io(struct fuzz_reactor *x, struct hf_io *io)
{
	struct fuzz_sock *s = sock_of(x, io->fd);
	struct iovec one = { io->buf, io->len }, *v = io->iov_count ? io->iov : &one;
	uint32_t count = io->iov_count ? io->iov_count : 1;
	static volatile uint8_t sum;

	if (s->is_gone) {
		end(x, io, -EPIPE);
		return;
	}
	if (s->deaf_after && s->sends >= s->deaf_after) {
		pend(x, io);
		return;
	}
	s->sends++;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *p = v[i].iov_base;

		for (size_t k = 0; k < v[i].iov_len; k += 64)	/* whose memory is it? */
			sum = (uint8_t)(sum ^ p[k]);
		sum = (uint8_t)(sum ^ (v[i].iov_len ? p[v[i].iov_len - 1] : 0));
		if (s->sent)
			s->sent(s->ctx, p, v[i].iov_len);
	}
	end(x, io, (int64_t)io->len);
}

static void start(struct fuzz_reactor *x, struct hf_io *io)
{
	int fd;

	switch (io->kind) {
	case HF_IO_ACCEPT:
		fd = accepted(x);
		if (fd < 0)
			pend(x, io);
		else
			end(x, io, fd);
		break;
	case HF_IO_CONNECT:
		end(x, io, -ECONNREFUSED);
		break;
	case HF_IO_RECV:
		recv_io(x, io);
		break;
	case HF_IO_SEND:
		send_io(x, io);
		break;
	default:
		file_io(x, io);
		break;
	}
}

void fuzz_dial(struct fuzz_reactor *x, struct fuzz_sock *s)
{
	uint32_t i = 0;

	while (i < DIALS && x->dial[i])
		i++;
	hf_assert(i < DIALS);
	s->at = 0;
	s->sends = 0;
	s->is_gone = false;
	s->is_open = true;
	x->dial[i] = s;
	hf_list_each(&x->pending, n) {
		struct hf_io *io = hf_container_of(n, struct hf_io, link);

		if (io->kind != HF_IO_ACCEPT)
			continue;
		hf_list_del(n);
		start(x, io);
		return;
	}
}

void fuzz_say(struct fuzz_reactor *x, struct fuzz_sock *s, size_t more)
{
	s->len += more;
	hf_list_each(&x->pending, n) {
		struct hf_io *io = hf_container_of(n, struct hf_io, link);

		if (io->kind != HF_IO_RECV || sock_of(x, io->fd) != s)
			continue;
		hf_list_del(n);
		start(x, io);
	}
}

void fuzz_hang_up(struct fuzz_reactor *x, struct fuzz_sock *s)
{
	s->is_gone = true;
	s->at = s->len;
	hf_list_each(&x->pending, n) {
		struct hf_io *io = hf_container_of(n, struct hf_io, link);

		if (io->fd < FD_SOCK || sock_of(x, io->fd) != s)
			continue;
		hf_list_del(n);
		end(x, io, io->kind == HF_IO_RECV ? 0 : -EPIPE);
	}
}

/* ---------------------------------------------------------------- operations */

static void op_submit(struct hf_reactor *r, struct hf_io *io)
{
	hf_list_add_tail(&of(r)->queued, &io->link);
}

static void op_cancel(struct hf_reactor *r, struct hf_io *io)
{
	hf_list_del(&io->link);
	end(of(r), io, -ECANCELED);
}

static int op_file_open(struct hf_reactor *r, const char *path, enum hf_file_mode mode, uint64_t size,
			struct hf_file_info *info, struct hf_errmsg *err)
{
	(void)r;
	(void)path;
	(void)mode;
	(void)size;
	(void)err;
	*info = (struct hf_file_info){ .size = FUZZ_DISK_BYTES };
	return FD_FILE;
}

static int op_file_unlink(struct hf_reactor *r, const char *path)
{
	(void)r;
	(void)path;
	return 0;
}

static int op_sock_listen(struct hf_reactor *r, const char *addr, struct hf_errmsg *err)
{
	(void)r;
	(void)addr;
	(void)err;
	return FD_LISTEN;
}

static void op_close(struct hf_reactor *r, int fd)
{
	struct fuzz_reactor *x = of(r);

	hf_list_each(&x->pending, n)	/* the owner has no io under way on it */
		hf_assert(hf_container_of(n, struct hf_io, link)->fd != fd);
	if (fd < FD_SOCK)
		return;
	sock_of(x, fd)->is_open = false;
	x->sock[fd - FD_SOCK] = NULL;
}

static void op_job(struct hf_reactor *r, struct hf_job *j)
{
	hf_list_init(&j->link);
	hf_list_add_tail(&of(r)->jobs, &j->link);
}

static void op_random(struct hf_reactor *r, void *buf, size_t len)
{
	uint8_t *to = buf;

	for (size_t i = 0; i < len; i++) {
		of(r)->random = of(r)->random * 6364136223846793005ull + 1442695040888963407ull;
		to[i] = (uint8_t)(of(r)->random >> 56);
	}
}

static hf_nsec op_wall(struct hf_reactor *r)
{
	return 1780000000 * HF_SEC + r->now;
}

static const struct hf_reactor_ops ops = {
	.submit = op_submit,
	.cancel = op_cancel,
	.file_open = op_file_open,
	.file_unlink = op_file_unlink,
	.sock_listen = op_sock_listen,
	.close = op_close,
	.job = op_job,
	.random = op_random,
	.wall = op_wall,
};

struct fuzz_reactor *fuzz_reactor_new(void)
{
	struct fuzz_reactor *x = calloc(1, sizeof(*x));

	hf_assert(x);
	hf_reactor_init(&x->base, &ops);
	x->base.now = 1000 * HF_SEC;
	hf_list_init(&x->queued);
	hf_list_init(&x->done);
	hf_list_init(&x->pending);
	hf_list_init(&x->jobs);
	x->disk = aligned_alloc(PAGE, FUZZ_DISK_BYTES);
	x->frozen = aligned_alloc(PAGE, FUZZ_DISK_BYTES);
	hf_assert(x->disk && x->frozen);
	memset(x->disk, 0, FUZZ_DISK_BYTES);
	memset(x->frozen, 0, FUZZ_DISK_BYTES);
	return x;
}

void fuzz_reactor_free(struct fuzz_reactor *x)
{
	free(x->disk);
	free(x->frozen);
	free(x);
}

struct hf_reactor *fuzz_reactor(struct fuzz_reactor *x)
{
	return &x->base;
}

static void run_done(struct fuzz_reactor *x)
{
	struct hf_list batch, *n;

	hf_list_init(&batch);
	hf_list_splice(&batch, &x->done);
	while ((n = hf_list_pop(&batch))) {
		struct hf_io *io = hf_container_of(n, struct hf_io, link);

		io->state = HF_IO_IDLE;
		io->done(io);
	}
}

bool fuzz_turn(struct fuzz_reactor *x)
{
	struct hf_list *n;
	bool busy = !hf_list_is_empty(&x->done) || !hf_list_is_empty(&x->jobs) || !hf_list_is_empty(&x->queued) ||
		    !hf_list_is_empty(&x->base.tasks) || hf_reactor_next_timer(&x->base) <= x->base.now;

	if (!busy)
		return false;
	x->base.now += 1000;
	run_done(x);
	hf_reactor_run_timers(&x->base);
	while ((n = hf_list_pop(&x->jobs))) {
		struct hf_job *j = hf_container_of(n, struct hf_job, link);

		j->work(j);
		j->done(j);
	}
	hf_reactor_run_tasks(&x->base);
	while ((n = hf_list_pop(&x->queued)))
		start(x, hf_container_of(n, struct hf_io, link));
	return true;
}

bool fuzz_wait(struct fuzz_reactor *x, const bool *flag, uint32_t turns)
{
	while (!*flag && turns-- > 0) {
		if (fuzz_turn(x))
			continue;
		if (hf_reactor_next_timer(&x->base) == HF_NEVER)
			break;
		x->base.now = hf_reactor_next_timer(&x->base);
	}
	return *flag;
}

void fuzz_tick(struct fuzz_reactor *x)
{
	if (hf_reactor_next_timer(&x->base) != HF_NEVER)
		x->base.now = hf_reactor_next_timer(&x->base);
	fuzz_settle(x);
}

void fuzz_settle(struct fuzz_reactor *x)
{
	uint32_t turns = 0;

	while (fuzz_turn(x))
		hf_assert(++turns < 1000000);	/* or it runs in circles */
}

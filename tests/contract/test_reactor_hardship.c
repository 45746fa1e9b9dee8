// SPDX-License-Identifier: MIT
/*
 * test_reactor_hardship - the io_uring backend when the kernel gives less than it was asked for: the nth call of
 * io_uring_enter() is refused, the nth transfer is short, the nth file io ends with EINTR or EAGAIN, for every n; the
 * submission ring and the completion ring are too small for what is under way.
 *
 * The program is linked with --wrap for liburing's submitting functions. What cannot be provoked so: a RECV or ACCEPT
 * that fails after it took something, which would be the kernel's own loss.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "io/reactor_uring.h"

#define FILE_BYTES (64u << 10)
#define STREAM_BYTES (48u << 10)
#define TURNS_MAX 5000u
#define MANY 12000u			/* more than either ring holds */
#define ALIGNED __attribute__((aligned(4096)))

enum hardship { ENTER_FAILS, TRANSFER_IS_SHORT, FILE_IO_FAILS };

static struct {
	enum hardship what;
	uint32_t nth;			/* counts down; 0: over, or never begun */
	int arg;			/* an errno, or bytes that a transfer is cut to */
	uint64_t victim;		/* user_data whose completion is changed */
	unsigned int seen;		/* submission queue entries looked at */
	bool came;
} order;

static bool is_nth(enum hardship what)
{
	if (order.what != what || order.nth == 0 || --order.nth > 0)
		return false;
	order.came = true;
	return true;
}

static bool is_file_op(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_READ || sqe->opcode == IORING_OP_WRITE || sqe->opcode == IORING_OP_READV ||
	       sqe->opcode == IORING_OP_WRITEV || sqe->opcode == IORING_OP_FSYNC || sqe->opcode == IORING_OP_FALLOCATE;
}

/* A part is asked for, so a part is what comes. */
static void cut(struct io_uring_sqe *sqe)
{
	struct msghdr *msg = (struct msghdr *)(uintptr_t)sqe->addr;

	switch (sqe->opcode) {
	case IORING_OP_READ:
	case IORING_OP_WRITE:
		if (sqe->len > (uint32_t)order.arg && order.arg % 4096 == 0 && is_nth(TRANSFER_IS_SHORT))
			sqe->len = (uint32_t)order.arg;
		break;
	case IORING_OP_SEND:
	case IORING_OP_RECV:
		if (sqe->len > (uint32_t)order.arg && is_nth(TRANSFER_IS_SHORT))
			sqe->len = (uint32_t)order.arg;
		break;
	case IORING_OP_READV:
	case IORING_OP_WRITEV:
		if (sqe->len > 1 && is_nth(TRANSFER_IS_SHORT))
			sqe->len = 1;
		break;
	case IORING_OP_SENDMSG:
		if (msg->msg_iovlen > 1 && is_nth(TRANSFER_IS_SHORT))
			msg->msg_iovlen = 1;
		break;
	default:
		break;
	}
}

/* Entries that are on their way to the kernel for the first time. */
static void look_at_queue(struct io_uring *ring)
{
	for (; order.seen != ring->sq.sqe_tail; order.seen++) {
		struct io_uring_sqe *sqe = &ring->sq.sqes[order.seen & ring->sq.ring_mask];

		cut(sqe);
		if (is_file_op(sqe) && is_nth(FILE_IO_FAILS))
			order.victim = sqe->user_data;
	}
}

/* A file io that was done is said not to have been: to do it again is the same. */
static void look_at_completions(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned int head;

	io_uring_for_each_cqe(ring, head, cqe) {
		if (!order.victim || cqe->user_data != order.victim)
			continue;
		cqe->res = -order.arg;
		order.victim = 0;
	}
}

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring);
int __real_io_uring_get_events(struct io_uring *ring);
int __wrap_io_uring_get_events(struct io_uring *ring);
int __real_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned int wait_nr,
					    struct __kernel_timespec *ts, sigset_t *mask);
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned int wait_nr,
					    struct __kernel_timespec *ts, sigset_t *mask);

#define ENTER(call) \
	do { \
		int rc; \
\
		look_at_queue(ring); \
		if (is_nth(ENTER_FAILS)) \
			return -order.arg; \
		rc = (call); \
		look_at_completions(ring); \
		return rc; \
	} while (0)

int __wrap_io_uring_submit(struct io_uring *ring)
{
	ENTER(__real_io_uring_submit(ring));
}

int __wrap_io_uring_submit_and_get_events(struct io_uring *ring)
{
	ENTER(__real_io_uring_submit_and_get_events(ring));
}

int __wrap_io_uring_get_events(struct io_uring *ring)
{
	ENTER(__real_io_uring_get_events(ring));
}

int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned int wait_nr,
					    struct __kernel_timespec *ts, sigset_t *mask)
{
	ENTER(__real_io_uring_submit_and_wait_timeout(ring, cqe, wait_nr, ts, mask));
}

/* One life of a reactor: every kind of io, one after the other, with the right end. */

static struct hf_reactor *r;
static char dir[64], path[96], addr[112];
static uint8_t data[FILE_BYTES] ALIGNED, back[FILE_BYTES] ALIGNED;
static bool job_is_done;

static void on_io(struct hf_io *io)
{
	(void)io;
}

static void turn(void)
{
	hf_reactor_uring_turn(r, hf_reactor_now(r) + 2 * HF_MS);
}

static int64_t wait_for(struct hf_io *io)
{
	for (uint32_t i = 0; i < TURNS_MAX && !hf_io_is_idle(io); i++)
		turn();
	assert_true(hf_io_is_idle(io));
	return io->result;
}

static int64_t file_io(enum hf_io_kind kind, int fd, void *buf, size_t len, uint64_t off)
{
	struct hf_io io;

	hf_io_init(&io, kind, fd, on_io);
	io.buf = buf;
	io.len = len;
	io.off = off;
	hf_io_submit(r, &io);
	return wait_for(&io);
}

static int64_t write_parts(int fd, uint64_t off)
{
	struct iovec iov[3] = { { data, 4096 }, { data + 4096, 8192 }, { data + 12288, 4096 } };
	struct hf_io io;

	hf_io_init(&io, HF_IO_WRITE, fd, on_io);
	io.iov = iov;
	io.iov_count = 3;
	io.len = 16384;
	io.off = off;
	hf_io_submit(r, &io);
	return wait_for(&io);
}

static void use_file(void)
{
	struct hf_file_info info;
	struct hf_errmsg err;
	int fd = hf_file_open(r, path, HF_FILE_CREATE, 2 * FILE_BYTES, &info, &err);

	assert_true(fd >= 0);
	assert_int_equal(file_io(HF_IO_WRITE, fd, data, FILE_BYTES, 0), FILE_BYTES);
	assert_int_equal(write_parts(fd, FILE_BYTES), 16384);
	assert_int_equal(file_io(HF_IO_SYNC, fd, NULL, 0, 0), 0);
	memset(back, 0, sizeof(back));
	assert_int_equal(file_io(HF_IO_READ, fd, back, FILE_BYTES, 0), FILE_BYTES);
	assert_memory_equal(back, data, FILE_BYTES);
	assert_int_equal(file_io(HF_IO_READ, fd, back, 16384, FILE_BYTES), 16384);
	assert_memory_equal(back, data, 16384);
	hf_close(r, fd);
	assert_int_equal(hf_file_unlink(r, path), 0);
}

static void send_and_recv(int from, int to)
{
	struct iovec iov[3] = { { data, 100 }, { data + 100, 30000 }, { data + 30100, STREAM_BYTES - 30100 } };
	struct hf_io send, recv;
	size_t have = 0;

	hf_io_init(&send, HF_IO_SEND, from, on_io);
	send.iov = iov;
	send.iov_count = 3;
	send.len = STREAM_BYTES;
	hf_io_submit(r, &send);
	while (have < STREAM_BYTES) {
		hf_io_init(&recv, HF_IO_RECV, to, on_io);
		recv.buf = back + have;
		recv.len = STREAM_BYTES - have;
		hf_io_submit(r, &recv);
		assert_true(wait_for(&recv) > 0);
		have += (size_t)recv.result;
	}
	assert_int_equal(wait_for(&send), STREAM_BYTES);
	assert_memory_equal(back, data, STREAM_BYTES);
}

static void send_one_buffer(int from, int to)
{
	struct hf_io send;
	size_t have = 0;

	hf_io_init(&send, HF_IO_SEND, from, on_io);
	send.buf = data;
	send.len = STREAM_BYTES;
	hf_io_submit(r, &send);
	while (have < STREAM_BYTES) {
		int64_t n = file_io(HF_IO_RECV, to, back + have, STREAM_BYTES - have, 0);

		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_int_equal(wait_for(&send), STREAM_BYTES);
	assert_memory_equal(back, data, STREAM_BYTES);
}

static void use_sockets(void)
{
	struct hf_io accept, connect;
	struct hf_errmsg err;
	int fd = hf_sock_listen(r, addr, &err);

	assert_true(fd >= 0);
	hf_io_init(&accept, HF_IO_ACCEPT, fd, on_io);
	hf_io_init(&connect, HF_IO_CONNECT, -1, on_io);
	connect.addr = addr;
	hf_io_submit(r, &accept);
	hf_io_submit(r, &connect);
	assert_true(wait_for(&connect) >= 0 && wait_for(&accept) >= 0);
	send_and_recv((int)connect.result, (int)accept.result);
	send_one_buffer((int)accept.result, (int)connect.result);
	hf_close(r, (int)connect.result);
	hf_close(r, (int)accept.result);
	hf_close(r, fd);
	unlink(addr + strlen("unix:"));
}

static void do_work(struct hf_job *j)
{
	(void)j;
	usleep(100);
}

static void on_job(struct hf_job *j)
{
	(void)j;
	job_is_done = true;
}

static void use_helper(void)
{
	static struct hf_job job;

	job = (struct hf_job){ .work = do_work, .done = on_job };
	job_is_done = false;
	hf_job_run(r, &job);
	for (uint32_t i = 0; i < TURNS_MAX && !job_is_done; i++)
		turn();
	assert_true(job_is_done);
}

/* False: the run had no nth chance. */
static bool live_under(enum hardship what, int arg, uint32_t nth)
{
	struct hf_errmsg err;

	memset(&order, 0, sizeof(order));
	assert_int_equal(hf_reactor_uring_new(&r, &err), 0);
	order.seen = 1;			/* the entry that tried the ring */
	order.what = what;
	order.arg = arg;
	order.nth = nth;
	use_file();
	use_sockets();
	use_helper();
	order.nth = 0;
	hf_reactor_uring_free(r);
	return order.came;
}

static uint32_t every_nth(enum hardship what, int arg)
{
	uint32_t nth = 1;

	while (live_under(what, arg, nth))
		nth++;
	return nth - 1;
}

static void test_a_call_that_the_kernel_refuses_is_made_again(void **state)
{
	static const int errs[] = { EINTR, EAGAIN, EBUSY, ETIME };
	uint32_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		n += every_nth(ENTER_FAILS, errs[i]);
	printf("# figure: io_uring: %u refused calls\n", n);
	assert_true(n > 20);
}

static void test_short_transfers_go_on_where_they_stopped(void **state)
{
	static const int sizes[] = { 1, 7, 99, 100, 101, 4095, 4096, 8192, 12288, 30100, 45056 };
	uint32_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		n += every_nth(TRANSFER_IS_SHORT, sizes[i]);
	printf("# figure: io_uring: %u short transfers\n", n);
	assert_true(n > 20);
}

static void test_file_ios_that_were_interrupted_are_done_again(void **state)
{
	uint32_t n = every_nth(FILE_IO_FAILS, EINTR) + every_nth(FILE_IO_FAILS, EAGAIN);

	(void)state;
	printf("# figure: io_uring: %u interrupted file ios\n", n);
	assert_true(n >= 8);
}

static uint32_t completed;

static void on_one_of_many(struct hf_io *io)
{
	assert_int_equal(io->result, 4096);
	completed++;
}

/* Both rings are full many times over, with nobody looking at completions in between. */
static void test_more_ios_than_the_rings_hold_all_come_back(void **state)
{
	struct hf_io *io = calloc(MANY, sizeof(*io));
	struct hf_file_info info;
	struct hf_errmsg err;
	int fd;

	(void)state;
	assert_non_null(io);
	memset(&order, 0, sizeof(order));
	completed = 0;
	assert_int_equal(hf_reactor_uring_new(&r, &err), 0);
	fd = hf_file_open(r, path, HF_FILE_CREATE, FILE_BYTES, &info, &err);
	assert_true(fd >= 0);
	assert_int_equal(file_io(HF_IO_WRITE, fd, data, FILE_BYTES, 0), FILE_BYTES);
	for (uint32_t i = 0; i < MANY; i++) {
		hf_io_init(&io[i], HF_IO_READ, fd, on_one_of_many);
		io[i].buf = back;
		io[i].len = 4096;
		io[i].off = (uint64_t)(i % 16) * 4096;
		hf_io_submit(r, &io[i]);
	}
	order.what = ENTER_FAILS;
	order.arg = EBUSY;
	order.nth = 3;			/* what the kernel says when the completion ring is full */
	for (uint32_t i = 0; i < TURNS_MAX && completed < MANY; i++)
		turn();
	assert_int_equal(completed, MANY);
	hf_close(r, fd);
	assert_int_equal(hf_file_unlink(r, path), 0);
	hf_reactor_uring_free(r);
	free(io);
}

static int group_setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/hf-hardship-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	snprintf(addr, sizeof(addr), "unix:%s/sock", dir);
	for (uint32_t i = 0; i < FILE_BYTES; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_call_that_the_kernel_refuses_is_made_again),
		cmocka_unit_test(test_short_transfers_go_on_where_they_stopped),
		cmocka_unit_test(test_file_ios_that_were_interrupted_are_done_again),
		cmocka_unit_test(test_more_ios_than_the_rings_hold_all_come_back),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

// SPDX-License-Identifier: MIT
/*
 * test_reactor - the contract of io/reactor.h, one suite for every backend.
 *
 * A driver makes a reactor and lets it turn; every test runs once per driver. What only one backend can show is at
 * the end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "io/reactor_uring.h"
#include "io/sys.h"
#include "sim/sim.h"

#define TURNS_MAX 20000u		/* bound of every wait */
#define ALIGNED __attribute__((aligned(4096)))

struct driver {
	const char *name;
	void (*start)(void);
	void (*turn)(void);
	void (*stop)(void);
	bool is_sim;
};

static const struct driver *drv;
static struct hf_reactor *r;
static struct sim_world *world;
static char dir[96];
static char path[128], addr[128];
static struct hf_errmsg err;
static uint8_t data[1 << 20] ALIGNED;
static uint8_t back[1 << 20] ALIGNED;

static void uring_start(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%.60s/hf-reactor-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	snprintf(addr, sizeof(addr), "unix:%s/sock", dir);
	assert_int_equal(hf_reactor_uring_new(&r, &err), 0);
}

static void uring_turn(void)
{
	hf_reactor_uring_turn(r, hf_reactor_now(r) + 10 * HF_MS);
}

static void uring_stop(void)
{
	char cmd[160];

	hf_reactor_uring_free(r);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	assert_int_equal(system(cmd), 0);
}

static void sim_driver_start(void)
{
	world = sim_world_new(42, 1);
	r = sim_host_start(world, 0);
	snprintf(path, sizeof(path), "/disk/file");
	snprintf(addr, sizeof(addr), "unix:/run/sock");
}

static void sim_driver_turn(void)
{
	sim_turn(world, 0);
}

static void sim_driver_stop(void)
{
	sim_world_free(world);
}

static const struct driver drivers[] = {
	{ "uring", uring_start, uring_turn, uring_stop, false },
	{ "sim", sim_driver_start, sim_driver_turn, sim_driver_stop, true },
};

static int setup(void **state)
{
	drv = *state;
	drv->start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	drv->stop();
	return 0;
}

/* An io with what became of it. */
struct probe {
	struct hf_io io;
	uint32_t calls;
	int64_t result;
	bool was_idle;
	hf_nsec now;
	uint32_t again;			/* submit again, so many times */
};

static uint32_t calls_total;
static bool in_callback_forbidden;

static void probe_done(struct hf_io *io)
{
	struct probe *p = hf_container_of(io, struct probe, io);

	assert_false(in_callback_forbidden);
	p->calls++;
	calls_total++;
	p->result = io->result;
	p->was_idle = hf_io_is_idle(io);
	p->now = hf_reactor_now(r);
	if (p->again > 0) {
		p->again--;
		hf_io_submit(r, io);
	}
}

static void start(struct probe *p, enum hf_io_kind kind, int fd, void *buf, size_t len, uint64_t off)
{
	*p = (struct probe){ 0 };
	hf_io_init(&p->io, kind, fd, probe_done);
	p->io.buf = buf;
	p->io.len = len;
	p->io.off = off;
	in_callback_forbidden = true;
	hf_io_submit(r, &p->io);
	in_callback_forbidden = false;
}

static void turn_until(const uint32_t *count, uint32_t want)
{
	for (uint32_t i = 0; i < TURNS_MAX && *(volatile const uint32_t *)count < want; i++)
		drv->turn();
	assert_int_equal(*count, want);
}

static int64_t finish(struct probe *p)
{
	turn_until(&p->calls, 1);
	assert_true(p->was_idle);
	assert_true(hf_io_is_idle(&p->io));
	return p->result;
}

static int64_t run(enum hf_io_kind kind, int fd, void *buf, size_t len, uint64_t off)
{
	struct probe p;

	start(&p, kind, fd, buf, len, off);
	return finish(&p);
}

static int64_t try_connect(const char *to)
{
	struct probe p = { 0 };

	hf_io_init(&p.io, HF_IO_CONNECT, -1, probe_done);
	p.io.addr = to;
	hf_io_submit(r, &p.io);
	return finish(&p);
}

static int make_file(uint64_t size)
{
	struct hf_file_info info;
	int fd = hf_file_open(r, path, HF_FILE_CREATE, size, &info, &err);

	assert_true(fd >= 0);
	assert_true(info.size == size && !info.is_block);
	return fd;
}

static void fill(uint8_t *at, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)((i * 2654435761u >> 11) + seed + (i >> 12));
}

struct pair {
	int listener;
	int a, b;			/* a connected, b accepted */
};

static struct pair make_pair(void)
{
	struct pair s;
	struct probe accept, connect = { 0 };

	s.listener = hf_sock_listen(r, addr, &err);
	assert_true(s.listener >= 0);
	start(&accept, HF_IO_ACCEPT, s.listener, NULL, 0, 0);
	hf_io_init(&connect.io, HF_IO_CONNECT, -1, probe_done);
	connect.io.addr = addr;
	hf_io_submit(r, &connect.io);
	s.a = (int)finish(&connect);
	s.b = (int)finish(&accept);
	assert_true(s.a >= 0 && s.b >= 0);
	return s;
}

static void close_pair(const struct pair *s)
{
	hf_close(r, s->a);
	hf_close(r, s->b);
	hf_close(r, s->listener);
}

/* Timers. */

static uint32_t fired[16], fired_count;

struct tick {
	struct hf_timer timer;
	uint32_t id;
	struct hf_timer *set_again;
	struct hf_timer *clear;
};

static void fire(struct hf_timer *t)
{
	struct tick *k = hf_container_of(t, struct tick, timer);

	assert_true(t->at == HF_NEVER);
	fired[fired_count++ % 16] = k->id;
	if (k->clear)
		hf_timer_clear(k->clear);
	if (k->set_again)
		hf_timer_set(r, k->set_again, 1);
}

static void tick_init(struct tick *k, uint32_t id)
{
	*k = (struct tick){ .id = id };
	hf_timer_init(&k->timer, fire);
	if (id == 0)
		fired_count = 0;
}

static void timers_fire_in_order_of_time(void **state)
{
	struct tick k[4];
	hf_nsec now = hf_reactor_now(r);

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		tick_init(&k[i], i);
	hf_timer_set(r, &k[0].timer, now + 3 * HF_MS);
	hf_timer_set(r, &k[1].timer, now + 1 * HF_MS);
	hf_timer_set(r, &k[2].timer, now + 2 * HF_MS);
	hf_timer_set(r, &k[3].timer, now + 2 * HF_MS);
	hf_timer_set(r, &k[1].timer, now + 4 * HF_MS);
	turn_until(&fired_count, 4);
	assert_true(fired[0] == 2 && fired[1] == 3 && fired[2] == 0 && fired[3] == 1);
	assert_true(hf_reactor_now(r) >= now + 4 * HF_MS);
}

static void timer_is_never_early(void **state)
{
	struct tick k;

	(void)state;
	for (uint32_t i = 0; i < 20; i++) {
		hf_nsec at = hf_reactor_now(r) + 100000 + i;

		tick_init(&k, 0);
		hf_timer_set(r, &k.timer, at);
		turn_until(&fired_count, 1);
		assert_true(hf_reactor_now(r) >= at);
	}
}

static void timer_cleared_does_not_fire(void **state)
{
	struct tick k[3];

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		tick_init(&k[i], i);
	hf_timer_set(r, &k[0].timer, 1);
	hf_timer_set(r, &k[1].timer, 1);
	hf_timer_set(r, &k[2].timer, 2);
	k[0].clear = &k[2].timer;
	hf_timer_clear(&k[1].timer);
	hf_timer_clear(&k[1].timer);
	turn_until(&fired_count, 1);
	for (uint32_t i = 0; i < 3; i++)
		if (!drv->is_sim)
			drv->turn();
	assert_int_equal(fired_count, 1);
}

static void timer_set_to_the_past_waits_for_the_next_turn(void **state)
{
	struct tick k;

	(void)state;
	tick_init(&k, 0);
	k.set_again = &k.timer;
	hf_timer_set(r, &k.timer, 1);
	drv->turn();
	assert_int_equal(fired_count, 1);
	drv->turn();
	assert_int_equal(fired_count, 2);
	hf_timer_clear(&k.timer);
}

/* Tasks. */

struct chore {
	struct hf_task task;
	struct chore *next;
	uint32_t runs;
};

static void chore_run(struct hf_task *t)
{
	struct chore *c = hf_container_of(t, struct chore, task);

	c->runs++;
	if (c->next)
		hf_task_defer(r, &c->next->task);
}

static void tasks_run_once_and_until_none_is_left(void **state)
{
	struct chore a = { 0 }, b = { 0 }, c = { 0 };
	struct tick k;

	(void)state;
	hf_task_init(&a.task, chore_run);
	hf_task_init(&b.task, chore_run);
	hf_task_init(&c.task, chore_run);
	a.next = &b;
	hf_task_defer(r, &a.task);
	hf_task_defer(r, &a.task);
	hf_task_defer(r, &c.task);
	hf_task_cancel(&c.task);
	assert_int_equal(a.runs, 0);
	drv->turn();
	assert_true(a.runs == 1 && b.runs == 1 && c.runs == 0);
	hf_task_defer(r, &a.task);
	tick_init(&k, 0);
	hf_timer_set(r, &k.timer, 1);
	drv->turn();
	assert_true(a.runs == 2 && b.runs == 2);
	assert_int_equal(fired_count, 1);
}

/* Order of a turn: io, timers, tasks. */

static uint32_t order[8], order_count;
static struct hf_task order_task;
static struct hf_timer order_timer;

static void order_run(struct hf_task *t)
{
	(void)t;
	order[order_count++] = 3;
}

static void order_fire(struct hf_timer *t)
{
	(void)t;
	order[order_count++] = 2;
}

static void order_done(struct hf_io *io)
{
	(void)io;
	order[order_count++] = 1;
	hf_task_defer(r, &order_task);
	hf_timer_set(r, &order_timer, hf_reactor_now(r));
}

static void a_turn_runs_completions_then_timers_then_tasks(void **state)
{
	struct hf_io io;
	int fd = make_file(8192);

	(void)state;
	order_count = 0;
	hf_task_init(&order_task, order_run);
	hf_timer_init(&order_timer, order_fire);
	hf_io_init(&io, HF_IO_READ, fd, order_done);
	io.buf = back;
	io.len = 4096;
	hf_io_submit(r, &io);
	for (uint32_t i = 0; i < TURNS_MAX && order_count == 0; i++)
		drv->turn();
	assert_true(order_count == 3 && order[0] == 1 && order[1] == 2 && order[2] == 3);
	hf_close(r, fd);
}

/* Files. */

static void file_reads_back_what_was_written(void **state)
{
	int fd = make_file(1 << 20);

	(void)state;
	fill(data, sizeof(data), 1);
	assert_int_equal(run(HF_IO_WRITE, fd, data, 65536, 4096), 65536);
	assert_int_equal(run(HF_IO_SYNC, fd, NULL, 0, 0), 0);
	assert_int_equal(run(HF_IO_READ, fd, back, 65536 + 8192, 0), 65536 + 8192);
	for (size_t i = 0; i < 4096; i++)
		assert_true(back[i] == 0 && back[69632 + i] == 0);
	assert_memory_equal(back + 4096, data, 65536);
	hf_close(r, fd);
}

static void write_takes_a_vector_and_dsync(void **state)
{
	struct iovec iov[3] = {
		{ data + 8192, 4096 }, { data, 8192 }, { data + 65536, 16384 },
	};
	struct probe p = { 0 };
	int fd = make_file(1 << 20);

	(void)state;
	fill(data, sizeof(data), 2);
	hf_io_init(&p.io, HF_IO_WRITE, fd, probe_done);
	p.io.iov = iov;
	p.io.iov_count = 3;
	p.io.len = 4096 + 8192 + 16384;
	p.io.off = 12288;
	p.io.dsync = true;
	hf_io_submit(r, &p.io);
	assert_int_equal(finish(&p), 4096 + 8192 + 16384);
	assert_int_equal(run(HF_IO_READ, fd, back, 28672, 12288), 28672);
	assert_memory_equal(back, data + 8192, 4096);
	assert_memory_equal(back + 4096, data, 8192);
	assert_memory_equal(back + 12288, data + 65536, 16384);
	hf_close(r, fd);
}

static void read_past_the_end_is_eio(void **state)
{
	int fd = make_file(16384);

	(void)state;
	assert_int_equal(run(HF_IO_READ, fd, back, 8192, 8192), 8192);
	assert_int_equal(run(HF_IO_READ, fd, back, 16384, 8192), -EIO);
	assert_int_equal(run(HF_IO_READ, fd, back, 4096, 1 << 20), -EIO);
	hf_close(r, fd);
}

static void discard_reads_as_zeros_or_as_before(void **state)
{
	int fd = make_file(65536);
	int64_t rc;
	bool is_zero;

	(void)state;
	fill(data, 65536, 3);
	data[8192] = 7;
	assert_int_equal(run(HF_IO_WRITE, fd, data, 65536, 0), 65536);
	rc = run(HF_IO_DISCARD, fd, NULL, 16384, 8192);
	assert_true(rc == 0 || rc == -EOPNOTSUPP);
	assert_int_equal(run(HF_IO_READ, fd, back, 65536, 0), 65536);
	is_zero = back[8192] == 0;
	for (size_t i = 0; i < 16384; i++)
		assert_int_equal(back[8192 + i], is_zero ? 0 : data[8192 + i]);
	assert_memory_equal(back, data, 8192);
	assert_memory_equal(back + 24576, data + 24576, 65536 - 24576);
	hf_close(r, fd);
}

static void file_modes_refuse_with_words(void **state)
{
	struct hf_file_info info = { .size = 77 };
	int fd, second;

	(void)state;
	assert_int_equal(hf_file_open(r, path, HF_FILE_OPEN, 0, &info, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(info.size, 77);
	fd = make_file(8192);
	assert_int_equal(hf_file_open(r, path, HF_FILE_CREATE, 4096, &info, &err), -EEXIST);
	assert_int_equal(hf_file_open(r, path, HF_FILE_OPEN, 0, &info, &err), -EBUSY);
	assert_int_equal(hf_file_open(r, path, HF_FILE_OPEN, 0, &info, NULL), -EBUSY);
	second = hf_file_open(r, path, HF_FILE_READ_ONLY, 0, &info, &err);
	assert_true(second >= 0 && info.size == 8192);
	assert_int_equal(run(HF_IO_WRITE, second, data, 4096, 0), -EBADF);
	hf_close(r, second);
	hf_close(r, fd);
	fd = hf_file_open(r, path, HF_FILE_OPEN, 0, &info, &err);
	assert_true(fd >= 0);
	hf_close(r, fd);
	assert_int_equal(hf_file_unlink(r, path), 0);
	assert_int_equal(hf_file_unlink(r, path), -ENOENT);
}

/* More than any queue holds: the kernel's completion queue (8192) overflows. */
static void many_ios_complete_exactly_once(void **state)
{
	enum { COUNT = 20000 };
	struct probe *p = calloc(COUNT, sizeof(*p));
	int fd = make_file(1 << 20);

	(void)state;
	assert_non_null(p);
	calls_total = 0;
	for (uint32_t i = 0; i < COUNT; i++)
		start(&p[i], i % 4 ? HF_IO_READ : HF_IO_DISCARD, fd, back, 4096, i % 256 * 4096);
	turn_until(&calls_total, COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(p[i].calls, 1);
		assert_int_equal(p[i].result, i % 4 ? 4096 : 0);
	}
	for (uint32_t i = 0; i < 3; i++)
		run(HF_IO_SYNC, fd, NULL, 0, 0);
	assert_int_equal(calls_total, COUNT + 3);
	hf_close(r, fd);
	free(p);
}

static void io_may_be_submitted_again_inside_done(void **state)
{
	struct probe p;
	int fd = make_file(8192);

	(void)state;
	start(&p, HF_IO_READ, fd, back, 4096, 0);
	p.again = 9;
	turn_until(&p.calls, 10);
	assert_int_equal(p.result, 4096);
	hf_close(r, fd);
}

static void pinned_memory_reads_and_writes(void **state)
{
	int fd = make_file(1 << 20);

	(void)state;
	fill(data, sizeof(data), 4);
	(void)hf_reactor_pin(r, data, sizeof(data));
	(void)hf_reactor_pin(r, back, sizeof(back));
	assert_int_equal(run(HF_IO_WRITE, fd, data + 8192, 65536, 0), 65536);
	assert_int_equal(run(HF_IO_READ, fd, back + 4096, 65536, 0), 65536);
	assert_memory_equal(back + 4096, data + 8192, 65536);
	hf_reactor_unpin(r, data);
	hf_reactor_unpin(r, back);
	assert_int_equal(run(HF_IO_READ, fd, back, 65536, 0), 65536);
	assert_memory_equal(back, data + 8192, 65536);
	hf_close(r, fd);
}

/* Sockets. */

static void recv_all(int fd, uint8_t *to, size_t len)
{
	size_t got = 0;

	while (got < len) {
		int64_t n = run(HF_IO_RECV, fd, to + got, len - got, 0);

		assert_true(n > 0);
		got += (size_t)n;
	}
}

static void sockets_carry_bytes_both_ways(void **state)
{
	struct pair s = make_pair();

	(void)state;
	fill(data, 1000, 5);
	assert_int_equal(run(HF_IO_SEND, s.a, data, 1000, 0), 1000);
	recv_all(s.b, back, 1000);
	assert_memory_equal(back, data, 1000);
	assert_int_equal(run(HF_IO_SEND, s.b, data + 1, 10, 0), 10);
	recv_all(s.a, back, 10);
	assert_memory_equal(back, data + 1, 10);
	close_pair(&s);
}

/* Larger than any socket buffer: the SEND is done only when the reader has taken most of it, and then it is whole. */
static void send_is_finished_inside(void **state)
{
	struct pair s = make_pair();
	struct probe p;

	(void)state;
	fill(data, sizeof(data), 6);
	start(&p, HF_IO_SEND, s.a, data, sizeof(data), 0);
	for (uint32_t i = 0; i < 5; i++)
		run(HF_IO_RECV, s.b, back, 1, 0);
	assert_int_equal(p.calls, 0);
	memcpy(back, data, 5);
	recv_all(s.b, back + 5, sizeof(back) - 5);
	assert_int_equal(finish(&p), sizeof(data));
	assert_memory_equal(back, data, sizeof(data));
	close_pair(&s);
}

static void send_takes_a_vector(void **state)
{
	struct pair s = make_pair();
	struct probe p = { 0 };
	struct iovec iov[64];
	size_t at = 0;

	(void)state;
	fill(data, sizeof(data), 7);
	for (uint32_t i = 0; i < 64; i++) {
		size_t len = i == 63 ? sizeof(data) - at : 1 + i * 517 % 20000;

		iov[i] = (struct iovec){ data + at, len };
		at += len;
	}
	hf_io_init(&p.io, HF_IO_SEND, s.a, probe_done);
	p.io.iov = iov;
	p.io.iov_count = 64;
	p.io.len = sizeof(data);
	hf_io_submit(r, &p.io);
	recv_all(s.b, back, sizeof(back));
	assert_int_equal(finish(&p), sizeof(data));
	assert_memory_equal(back, data, sizeof(data));
	close_pair(&s);
}

static void recv_gives_zero_at_the_end_of_stream(void **state)
{
	struct pair s = make_pair();
	struct probe p;

	(void)state;
	start(&p, HF_IO_RECV, s.b, back, 100, 0);
	assert_int_equal(run(HF_IO_SEND, s.a, data, 3, 0), 3);
	assert_true(finish(&p) > 0);
	while (p.result < 3)
		p.result += run(HF_IO_RECV, s.b, back, 100, 0);
	hf_close(r, s.a);
	assert_int_equal(run(HF_IO_RECV, s.b, back, 100, 0), 0);
	hf_close(r, s.b);
	hf_close(r, s.listener);
}

static void send_to_a_closed_peer_is_an_errno(void **state)
{
	struct pair s = make_pair();
	int64_t rc = 1;

	(void)state;
	hf_close(r, s.b);
	for (uint32_t i = 0; i < 1000 && rc > 0; i++)
		rc = run(HF_IO_SEND, s.a, data, 1000, 0);
	assert_true(rc == -EPIPE || rc == -ECONNRESET);
	hf_close(r, s.a);
	hf_close(r, s.listener);
}

static void connect_to_nobody_is_refused(void **state)
{
	int64_t rc;

	(void)state;
	assert_int_equal(try_connect("nonsense"), -EINVAL);
	assert_int_equal(try_connect("tcp:1.2.3.4"), -EINVAL);
	rc = try_connect(addr);
	assert_true(rc == -ECONNREFUSED || rc == -ENOENT);
}

static void listen_refuses_an_address_in_use(void **state)
{
	int fd = hf_sock_listen(r, addr, &err);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(hf_sock_listen(r, addr, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, addr));
	assert_int_equal(hf_sock_listen(r, "tcp:nowhere", &err), -EINVAL);
	hf_close(r, fd);
	fd = hf_sock_listen(r, addr, &err);
	assert_true(fd >= 0);
	hf_close(r, fd);
}

static void accept_takes_connections_in_any_number(void **state)
{
	enum { COUNT = 40 };
	int listener = hf_sock_listen(r, addr, &err);
	struct probe c[COUNT], a[COUNT];

	(void)state;
	calls_total = 0;
	for (uint32_t i = 0; i < COUNT; i++) {
		c[i] = (struct probe){ 0 };
		hf_io_init(&c[i].io, HF_IO_CONNECT, -1, probe_done);
		c[i].io.addr = addr;
		hf_io_submit(r, &c[i].io);
	}
	turn_until(&calls_total, COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		start(&a[i], HF_IO_ACCEPT, listener, NULL, 0, 0);
	turn_until(&calls_total, 2 * COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_true(c[i].result >= 0 && a[i].result >= 0);
		hf_close(r, (int)c[i].result);
		hf_close(r, (int)a[i].result);
	}
	hf_close(r, listener);
}

/* Cancel. */

static void cancel_gives_one_completion(void **state)
{
	struct pair s = make_pair();
	struct probe recv, accept, queued;

	(void)state;
	start(&recv, HF_IO_RECV, s.a, back, 100, 0);
	start(&accept, HF_IO_ACCEPT, s.listener, NULL, 0, 0);
	assert_int_equal(run(HF_IO_SEND, s.a, data, 1, 0), 1);
	hf_io_cancel(r, &recv.io);
	hf_io_cancel(r, &recv.io);
	hf_io_cancel(r, &accept.io);
	start(&queued, HF_IO_RECV, s.b, back + 4096, 100, 0);
	hf_io_cancel(r, &queued.io);
	assert_int_equal(recv.calls + accept.calls + queued.calls, 0);
	assert_int_equal(finish(&recv), -ECANCELED);
	assert_int_equal(finish(&accept), -ECANCELED);
	assert_int_equal(finish(&queued), -ECANCELED);
	hf_io_cancel(r, &recv.io);
	recv_all(s.b, back, 1);
	assert_true(recv.calls == 1 && accept.calls == 1 && queued.calls == 1);
	close_pair(&s);
}

static void cancel_of_a_blocked_send_ends_it(void **state)
{
	struct pair s = make_pair();
	struct probe p;

	(void)state;
	start(&p, HF_IO_SEND, s.a, data, sizeof(data), 0);
	run(HF_IO_RECV, s.b, back, 1, 0);
	hf_io_cancel(r, &p.io);
	assert_int_equal(finish(&p), -ECANCELED);
	close_pair(&s);
}

static void cancel_of_file_ios_completes_them(void **state)
{
	enum { COUNT = 64 };
	struct probe p[COUNT];
	int fd = make_file(1 << 20);

	(void)state;
	fill(data, sizeof(data), 8);
	calls_total = 0;
	for (uint32_t i = 0; i < COUNT; i++)
		start(&p[i], HF_IO_WRITE, fd, data + i * 4096, 4096, i * 4096);
	if (!drv->is_sim)
		drv->turn();
	for (uint32_t i = 0; i < COUNT; i += 2)
		hf_io_cancel(r, &p[i].io);
	turn_until(&calls_total, COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_true(p[i].result == 4096 || (i % 2 == 0 && p[i].result == -ECANCELED));
	for (uint32_t i = 1; i < COUNT; i += 2) {
		assert_int_equal(run(HF_IO_READ, fd, back, 4096, i * 4096), 4096);
		assert_memory_equal(back, data + i * 4096, 4096);
	}
	hf_close(r, fd);
}

static struct probe *victim;

static void done_cancels_another(struct hf_io *io)
{
	probe_done(io);
	hf_io_cancel(r, &victim->io);
}

static void cancel_of_an_io_that_is_done_has_no_effect(void **state)
{
	struct probe a, b;
	int fd = make_file(8192);

	(void)state;
	/* Both complete in one turn or in two; either way each completes once. */
	start(&a, HF_IO_READ, fd, back, 4096, 0);
	start(&b, HF_IO_READ, fd, back + 4096, 4096, 0);
	a.io.done = done_cancels_another;
	victim = &b;
	turn_until(&a.calls, 1);
	turn_until(&b.calls, 1);
	assert_true(b.result == 4096 || b.result == -ECANCELED);
	assert_int_equal(run(HF_IO_READ, fd, back, 4096, 0), 4096);
	assert_true(a.calls == 1 && b.calls == 1);
	hf_close(r, fd);
}

/* Jobs, clock, chance. */

struct work {
	struct hf_job job;
	uint32_t worked, done;
	int rc;
};

static uint32_t jobs_done;

static void work_work(struct hf_job *j)
{
	struct work *w = hf_container_of(j, struct work, job);
	struct hf_file_info info;

	w->worked++;
	if (w->rc == 1)
		w->rc = hf_file_open(r, path, HF_FILE_CREATE, 4096, &info, NULL);
}

static void work_done(struct hf_job *j)
{
	struct work *w = hf_container_of(j, struct work, job);

	assert_false(in_callback_forbidden);
	assert_int_equal(w->worked, 1);
	w->done++;
	jobs_done++;
}

static void jobs_come_back_once(void **state)
{
	struct work w[20] = { 0 };

	(void)state;
	jobs_done = 0;
	w[3].rc = 1;
	in_callback_forbidden = true;
	for (uint32_t i = 0; i < 20; i++) {
		w[i].job.work = work_work;
		w[i].job.done = work_done;
		hf_job_run(r, &w[i].job);
	}
	in_callback_forbidden = false;
	turn_until(&jobs_done, 20);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(w[i].done, 1);
	assert_true(w[3].rc >= 0);
	hf_close(r, w[3].rc);
}

static void one_turn_sees_one_now(void **state)
{
	enum { COUNT = 32 };
	struct probe p[COUNT];
	hf_nsec before = hf_reactor_now(r);
	int fd = make_file(1 << 20);

	(void)state;
	calls_total = 0;
	for (uint32_t i = 0; i < COUNT; i++)
		start(&p[i], HF_IO_READ, fd, back, 4096, 0);
	turn_until(&calls_total, COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_true(p[i].now >= before && p[i].now <= hf_reactor_now(r));
	before = hf_reactor_now(r);
	drv->turn();
	assert_true(hf_reactor_now(r) >= before);
	assert_true(hf_reactor_wall(r) > 1600000000 * HF_SEC);
	hf_close(r, fd);
}

static void random_fills_every_byte(void **state)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };
	uint8_t seen[64] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 16; i++) {
		hf_reactor_random(r, a, sizeof(a));
		for (uint32_t k = 0; k < 64; k++)
			seen[k] |= a[k];
	}
	hf_reactor_random(r, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	for (uint32_t k = 0; k < 64; k++)
		assert_true(seen[k] != 0);
}

/* What only io_uring can show. */

static void uring_replaces_a_stale_socket_only(void **state)
{
	struct hf_sys_addr a;
	int fd;

	(void)state;
	assert_int_equal(hf_sys_addr_parse(addr, &a), 0);
	fd = hf_sock_listen(r, addr, &err);
	assert_true(fd >= 0);
	hf_close(r, fd);
	assert_int_equal(access(a.un.sun_path, F_OK), 0);
	fd = hf_sock_listen(r, addr, &err);
	assert_true(fd >= 0);
	hf_close(r, fd);
	assert_int_equal(unlink(a.un.sun_path), 0);
	fd = open(a.un.sun_path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(hf_sock_listen(r, addr, &err), -EADDRINUSE);
	assert_int_equal(access(a.un.sun_path, F_OK), 0);
}

static void uring_speaks_tcp_without_delay(void **state)
{
	static const char *const any[] = { "tcp:127.0.0.1:0", "tcp:[::1]:0" };
	char to[64];

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct hf_sys_addr a = { .len = sizeof(a.in6) };
		int listener = hf_sock_listen(r, any[i], &err);
		int64_t c, s;

		if (listener < 0 && i == 1)
			continue;	/* a machine without IPv6 */
		assert_true(listener >= 0);
		assert_int_equal(getsockname(listener, &a.any, &a.len), 0);
		snprintf(to, sizeof(to), "%.*s%d", (int)strlen(any[i]) - 1, any[i],
			 ntohs(i == 0 ? a.in.sin_port : a.in6.sin6_port));
		c = try_connect(to);
		assert_true(c >= 0);
		s = run(HF_IO_ACCEPT, listener, NULL, 0, 0);
		assert_true(s >= 0);
		assert_int_equal(run(HF_IO_SEND, (int)s, data, 100, 0), 100);
		recv_all((int)c, back, 100);
		hf_close(r, (int)c);
		hf_close(r, (int)s);
		hf_close(r, listener);
		assert_int_equal(try_connect(to), -ECONNREFUSED);
	}
}

static void uring_reads_no_file_that_ends_within_a_sector(void **state)
{
	struct hf_file_info info;
	int fd = make_file(6000);

	(void)state;
	assert_int_equal(run(HF_IO_READ, fd, back, 8192, 0), -EIO);
	hf_close(r, fd);
	assert_int_equal(hf_file_open(r, dir, HF_FILE_OPEN, 0, &info, &err), -EINVAL);
	assert_non_null(strstr(err.text, "neither"));
}

static void uring_sleeps_when_idle(void **state)
{
	struct rusage before, after;
	struct tick k;

	(void)state;
	tick_init(&k, 0);
	drv->turn();
	hf_timer_set(r, &k.timer, hf_reactor_now(r) + 50 * HF_MS);
	getrusage(RUSAGE_THREAD, &before);
	hf_reactor_uring_turn(r, HF_NEVER);
	getrusage(RUSAGE_THREAD, &after);
	assert_true(fired_count == 1);
	assert_true(after.ru_nvcsw - before.ru_nvcsw < 10);
}

static void uring_free_takes_back_what_is_under_way(void **state)
{
	struct pair s = make_pair();
	struct probe recv, accept;

	(void)state;
	start(&recv, HF_IO_RECV, s.a, back, 100, 0);
	start(&accept, HF_IO_ACCEPT, s.listener, NULL, 0, 0);
	run(HF_IO_SEND, s.a, data, 1, 0);
	hf_reactor_uring_free(r);
	assert_true(recv.calls == 0 && accept.calls == 0);
	close(s.a);
	close(s.b);
	close(s.listener);
	assert_int_equal(hf_reactor_uring_new(&r, &err), 0);
}

/* A child whose system call `nr` fails with `error` tries to start. */
static void start_without(int nr, int error, int want, const char *word)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = code };
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct hf_reactor *child = NULL;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
			_exit(77);
		if (hf_reactor_uring_new(&child, &err) != want || child)
			_exit(1);
		_exit(strstr(err.text, word) ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void uring_refusal_names_the_cause(void **state)
{
	(void)state;
	start_without(SYS_io_uring_setup, EPERM, -EPERM, "seccomp");
	start_without(SYS_io_uring_setup, ENOSYS, -ENOSYS, "6.1");
	start_without(SYS_io_uring_setup, EINVAL, -EINVAL, "too old");
	start_without(SYS_io_uring_setup, ENOMEM, -ENOMEM, "locked memory");
	start_without(SYS_io_uring_setup, EMFILE, -EMFILE, "open files");
	start_without(SYS_io_uring_enter, EPERM, -EPERM, "io_uring_enter");
}

#define BOTH(f) { #f, f, setup, teardown, NULL }

static const struct CMUnitTest both[] = {
	BOTH(timers_fire_in_order_of_time),
	BOTH(timer_is_never_early),
	BOTH(timer_cleared_does_not_fire),
	BOTH(timer_set_to_the_past_waits_for_the_next_turn),
	BOTH(tasks_run_once_and_until_none_is_left),
	BOTH(a_turn_runs_completions_then_timers_then_tasks),
	BOTH(file_reads_back_what_was_written),
	BOTH(write_takes_a_vector_and_dsync),
	BOTH(read_past_the_end_is_eio),
	BOTH(discard_reads_as_zeros_or_as_before),
	BOTH(file_modes_refuse_with_words),
	BOTH(many_ios_complete_exactly_once),
	BOTH(io_may_be_submitted_again_inside_done),
	BOTH(pinned_memory_reads_and_writes),
	BOTH(sockets_carry_bytes_both_ways),
	BOTH(send_is_finished_inside),
	BOTH(send_takes_a_vector),
	BOTH(recv_gives_zero_at_the_end_of_stream),
	BOTH(send_to_a_closed_peer_is_an_errno),
	BOTH(connect_to_nobody_is_refused),
	BOTH(listen_refuses_an_address_in_use),
	BOTH(accept_takes_connections_in_any_number),
	BOTH(cancel_gives_one_completion),
	BOTH(cancel_of_a_blocked_send_ends_it),
	BOTH(cancel_of_file_ios_completes_them),
	BOTH(cancel_of_an_io_that_is_done_has_no_effect),
	BOTH(jobs_come_back_once),
	BOTH(one_turn_sees_one_now),
	BOTH(random_fills_every_byte),
};

static const struct CMUnitTest uring_only[] = {
	BOTH(uring_replaces_a_stale_socket_only),
	BOTH(uring_speaks_tcp_without_delay),
	BOTH(uring_reads_no_file_that_ends_within_a_sector),
	BOTH(uring_sleeps_when_idle),
	BOTH(uring_free_takes_back_what_is_under_way),
	BOTH(uring_refusal_names_the_cause),
};

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define DRIVER_COUNT COUNT_OF(drivers)

static struct CMUnitTest all[DRIVER_COUNT * COUNT_OF(both) + COUNT_OF(uring_only)];
static char names[COUNT_OF(all)][96];

static size_t add(size_t at, const struct CMUnitTest *from, size_t count, const struct driver *d)
{
	for (size_t i = 0; i < count; i++, at++) {
		snprintf(names[at], sizeof(names[at]), "%s: %s", d->name, from[i].name);
		all[at] = from[i];
		all[at].name = names[at];
		all[at].initial_state = (void *)(uintptr_t)d;
	}
	return at;
}

int main(void)
{
	size_t count = 0;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	for (size_t i = 0; i < DRIVER_COUNT; i++)
		count = add(count, both, COUNT_OF(both), &drivers[i]);
	count = add(count, uring_only, COUNT_OF(uring_only), &drivers[0]);
	return _cmocka_run_group_tests("reactor", all, count, NULL, NULL);
}

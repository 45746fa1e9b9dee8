// SPDX-License-Identifier: MIT
/*
 * test_memory_start - the nth allocation fails, once or for good, while records are written and read, the cluster store
 * is opened and asked, and servers start and take a client: for every n up to 64, and beyond in steps that grow.
 * Before anything runs it is an answer and all is given back; afterwards the process may stop by an assertion. Nothing
 * is answered wrongly, and what comes next finds things as they were told.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "cluster/cluster.h"
#include "ctl/ctl.h"
#include "ctl/events.h"
#include "format/record.h"
#include "front/nbd_server.h"
#include "io/reactor_uring.h"
#include "lib/failing_alloc.h"
#include "lib/nbd_raw.h"
#include "lib/shards.h"

#define GRAIN 64u			/* beyond so many cases a step is 1/64 of n */
#define TURNS_MAX 4000u			/* of a millisecond at most */

/* RUNS: it is set up, the process may stop itself; TOLD: the result of the compare-and-swap. */
enum count { CAME, RUNS, TOLD, BAD, COUNTS };

struct run {
	uint64_t nth;
	bool is_sticky;
	char dir[64];
};

static void wrong(struct shard *s, const struct run *x, const char *what, long a)
{
	s->count[BAD]++;
	printf("# allocation %llu, %s: %s (%ld)\n", (unsigned long long)x->nth, x->is_sticky ? "for good" : "once",
	       what, a);
}

/* Set up under the fault: 0, or -ENOMEM with everything given back, and then it works. */
static bool set_up(struct shard *s, const struct run *x, int (*begin)(const struct run *x, struct hf_errmsg *err))
{
	struct hf_errmsg err = { "" };
	int64_t before = failing_alloc_live();
	int rc;

	failing_alloc_arm(x->nth, x->is_sticky);
	rc = begin(x, &err);
	if (!rc)
		return true;
	failing_alloc_disarm();
	s->count[CAME] = failing_alloc_came();
	if (rc != -ENOMEM || !s->count[CAME])
		wrong(s, x, err.text, rc);
	if (failing_alloc_live() != before)
		wrong(s, x, "kept by what did not begin", (long)(failing_alloc_live() - before));
	rc = begin(x, &err);
	if (rc)
		wrong(s, x, err.text, rc);
	return false;
}

/* Records. */

static const struct hf_record record = {
	.cluster.b = { 1 }, .volume.b = { 2 }, .lineage.b = { 3 }, .nonce.b = { 4 }, .incarnation.b = { 5 },
	.name = "db42", .tenant = "acme", .primary = "hostA", .size_blocks = 1000, .geometry = { 2, 1 }, .epoch = 7,
	.leg_count = 4,
	.leg = { { .uuid.b = { 6 }, .host = "hostA", .frag = HF_FRAG_FULL, .insync = true, .activated = 7 },
		 { .uuid.b = { 7 }, .host = "hostB", .frag = 0, .insync = true, .activated = 7 },
		 { .uuid.b = { 8 }, .host = "hostC", .frag = 1, .insync = true, .activated = 6 },
		 { .uuid.b = { 9 }, .host = "hostD", .frag = 2, .insync = false } },
};

static void record_case(struct shard *s, void *ctx)
{
	const struct run *x = ctx;
	char *text = NULL, *good = NULL;
	struct hf_record out = { 0 };
	int64_t before = failing_alloc_live();
	struct hf_errmsg err;
	int rc;

	s->count[RUNS] = 1;		/* jansson cannot say that it has no memory: the process stops */
	if (hf_record_encode(&record, &good))
		wrong(s, x, "no text", 0);
	failing_alloc_arm(x->nth, x->is_sticky);
	rc = hf_record_encode(&record, &text);
	s->count[CAME] |= failing_alloc_came();
	if (rc ? rc != -ENOMEM : strcmp(text, good) != 0)
		wrong(s, x, "another record was written", rc);
	rc = hf_record_decode(good, &out, &err);
	failing_alloc_disarm();
	s->count[CAME] |= failing_alloc_came();
	if (rc ? rc != -ENOMEM : memcmp(&out, &record, sizeof(out)) != 0)
		wrong(s, x, "a good record is taken for another, or for a bad one", rc);
	failing_alloc_free(text);
	failing_alloc_free(good);
	if (failing_alloc_live() != before)
		wrong(s, x, "records keep memory", (long)(failing_alloc_live() - before));
}

/* The cluster store. */

static struct hf_reactor *reactor;
static struct hf_cluster *store;

static int store_begin(const struct run *x, struct hf_errmsg *err)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/cluster.db", x->dir);
	return hf_cluster_sqlite_new(reactor, path, &store, err);
}

struct asked {
	struct hf_cluster_req q;
	bool is_done;
	int result;
	char value[64];
};

static void on_answer(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		      uint64_t ver)
{
	struct asked *a = hf_container_of(q, struct asked, q);

	(void)ver;
	a->is_done = true;
	a->result = result;
	if (count)
		snprintf(a->value, sizeof(a->value), "%s", items[0].value);
}

static int wait_for(struct asked *a)
{
	for (uint32_t i = 0; i < TURNS_MAX && !a->is_done; i++)
		hf_reactor_uring_turn(reactor, hf_reactor_now(reactor) + HF_MS);
	return a->is_done ? a->result : -ETIMEDOUT;
}

static void begin_reactor(void)
{
	struct hf_errmsg err;

	reactor = NULL;
	if (hf_reactor_uring_new(&reactor, &err))
		hf_panic(__FILE__, __LINE__, err.text);
}

static void store_case(struct shard *s, void *ctx)
{
	const struct run *x = ctx;
	struct asked put = { .q.done = on_answer }, get = { .q.done = on_answer };
	int rc;

	begin_reactor();
	s->count[TOLD] = UINT64_MAX;
	if (!set_up(s, x, store_begin))
		return;
	s->count[RUNS] = 1;
	store->ops->cas(store, &put.q, "volume/db42", 0, NULL, "once");
	s->count[TOLD] = (uint64_t)(int64_t)wait_for(&put);
	store->ops->get(store, &get.q, "volume/db42");
	rc = wait_for(&get);
	failing_alloc_disarm();
	s->count[CAME] = failing_alloc_came();
	if (rc == 0 && strcmp(get.value, "once") != 0)
		wrong(s, x, "the store answered with something else", rc);
	if (s->count[TOLD] == 0 && rc == -ENOENT)
		wrong(s, x, "what was told as written is not there", rc);
}

/* What the next daemon finds. */
static void store_after(struct shard *s, void *ctx)
{
	const struct run *x = ctx;
	struct asked get = { .q.done = on_answer };
	struct hf_errmsg err;

	begin_reactor();
	if (store_begin(x, &err)) {
		wrong(s, x, err.text, 0);
		return;
	}
	store->ops->get(store, &get.q, "volume/db42");
	s->count[TOLD] = (uint64_t)(int64_t)wait_for(&get);
	if (get.result != -ENOENT && (get.result || strcmp(get.value, "once") != 0))
		wrong(s, x, "the next daemon finds something else", get.result);
}

/* Servers: a client sends some bytes and gets the answer that it should, or is shown out. */

static const char *sock_path(const struct run *x)
{
	static char path[96];

	snprintf(path, sizeof(path), "%s/s", x->dir);
	return path;
}

/* Bytes that came until there were `want`, or the server closed. */
static size_t talk(const struct run *x, const void *bytes, size_t len, uint8_t *got, size_t want)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	size_t have = 0;
	ssize_t n = -1;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", sock_path(x));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) || send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len) {
		close(fd);
		return 0;
	}
	for (uint32_t i = 0; i < TURNS_MAX && have < want; i++) {
		hf_reactor_uring_turn(reactor, hf_reactor_now(reactor) + HF_MS);
		n = recv(fd, got + have, want - have, 0);
		have += n > 0 ? (size_t)n : 0;
		if (n == 0)
			break;
	}
	close(fd);
	return n == 0 || have == want ? have : SIZE_MAX;	/* neither served nor shown out */
}

static void serve_case(struct shard *s, const struct run *x, int (*begin)(const struct run *x, struct hf_errmsg *err),
		       const void *ask, size_t ask_len, const void *answer, size_t answer_len)
{
	static uint8_t got[8192];
	size_t n;

	begin_reactor();
	unlink(sock_path(x));
	if (set_up(s, x, begin)) {
		s->count[RUNS] = 1;
		n = talk(x, ask, ask_len, got, answer_len);
		failing_alloc_disarm();
		s->count[CAME] = failing_alloc_came();
		if (n > answer_len || memcmp(got, answer, n) != 0)
			wrong(s, x, "a client under the fault", (long)n);
	}
	n = talk(x, ask, ask_len, got, answer_len);
	if (n != answer_len || memcmp(got, answer, answer_len) != 0)
		wrong(s, x, "the next client", (long)n);
}

static void on_ping(struct hf_ctl_call *call, const json_t *args)
{
	(void)args;
	hf_ctl_reply(call, json_object());
}

static int ctl_begin(const struct run *x, struct hf_errmsg *err)
{
	static const struct hf_ctl_command commands[] = { { "ping", on_ping } };
	struct hf_ctl_config c = { .path = sock_path(x), .commands = commands, .command_count = 1 };
	struct hf_ctl *ctl;

	return hf_ctl_start(reactor, &c, &ctl, err);
}

static void ctl_case(struct shard *s, void *ctx)
{
	static const char ask[] = "{\"id\":1,\"cmd\":\"ping\"}\n", answer[] = "{\"id\":1,\"ok\":true,\"result\":{}}\n";

	serve_case(s, ctx, ctl_begin, ask, sizeof(ask) - 1, answer, sizeof(answer) - 1);
}

static int nbd_begin(const struct run *x, struct hf_errmsg *err)
{
	static struct ram_export ram;
	struct hf_buf_pool *pool;
	struct hf_nbd_server *server;
	struct hf_nbd_params p = { 0 };
	char addr[112];
	int rc;

	snprintf(addr, sizeof(addr), "unix:%s", sock_path(x));
	p.addr = addr;
	pool = hf_buf_pool_new(4u << 20);
	if (!pool)
		return -ENOMEM;
	if (ram.r != reactor && ram_export_init(&ram, reactor, "vol", 256))
		return -EIO;
	rc = hf_nbd_server_new(reactor, pool, &ram_export_backend, &ram, &p, &server, err);
	if (rc)
		hf_buf_pool_free(pool);
	return rc;
}

/* Greeting, GO, one block read; the answer is learnt from a run without a fault. */
static const uint8_t nbd_ask[] = {
	0, 0, 0, 3, 'I', 'H', 'A', 'V', 'E', 'O', 'P', 'T', 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 3, 'v', 'o', 'l', 0, 0,
	0x25, 0x60, 0x95, 0x13, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0,
};
static uint8_t nbd_answer[8192];
static size_t nbd_answer_len;

static void nbd_case(struct shard *s, void *ctx)
{
	serve_case(s, ctx, nbd_begin, nbd_ask, sizeof(nbd_ask), nbd_answer, nbd_answer_len);
}

static void learn_nbd(struct run *x)
{
	struct hf_errmsg err;

	begin_reactor();
	unlink(sock_path(x));
	assert_int_equal(nbd_begin(x, &err), 0);
	/* Greeting 18, export info 20 + 12, block sizes 20 + 14, acknowledgement 20, simple reply 16 + a block. */
	nbd_answer_len = 18 + 32 + 34 + 20 + 16 + 4096;
	assert_int_equal(talk(x, nbd_ask, sizeof(nbd_ask), nbd_answer, nbd_answer_len), nbd_answer_len);
	assert_memory_equal(nbd_answer, "NBDMAGIC", 8);
}

static int events_begin(const struct run *x, struct hf_errmsg *err)
{
	struct hf_events *ev;
	char path[96];

	snprintf(path, sizeof(path), "%s/events.log", x->dir);
	return hf_events_new(reactor, path, "hostA", &ev, err);
}

static void events_case(struct shard *s, void *ctx)
{
	begin_reactor();
	set_up(s, ctx, events_begin);
	failing_alloc_disarm();
	s->count[CAME] |= failing_alloc_came();
}

/* Every n. */

static void after_a_case(shard_work *after, struct run *x, uint64_t told, uint64_t sum[COUNTS])
{
	uint64_t count[SHARDS_COUNTS];
	char path[96];

	if (shards_case(after, x, count) || count[BAD] || (told == 0 && count[TOLD]))
		sum[BAD]++;
	snprintf(path, sizeof(path), "%s/cluster.db", x->dir);
	unlink(path);
}

static void every_nth(shard_work *work, shard_work *after, uint64_t sum[COUNTS])
{
	struct run x = { .dir = "/tmp/hf-memory-XXXXXX" };

	assert_non_null(mkdtemp(x.dir));
	for (uint32_t sticky = 0; sticky < 2; sticky++) {
		uint64_t count[SHARDS_COUNTS] = { 1 };

		x.is_sticky = sticky;
		for (x.nth = 1; count[CAME]; x.nth += 1 + x.nth / GRAIN) {
			int status = shards_case(work, &x, count);

			/* One that stopped itself cannot say that the fault came. */
			if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && count[RUNS]) {
				count[CAME] = 1;
				sum[RUNS]++;
			} else if (status) {
				printf("# allocation %llu, sticky %u: died, %#x\n", (unsigned long long)x.nth, sticky,
				       (unsigned int)status);
				count[BAD]++;
			}
			sum[CAME] += count[CAME];
			sum[BAD] += count[BAD];
			if (after)
				after_a_case(after, &x, count[TOLD], sum);
		}
	}
}

static void tell(const char *what, const uint64_t sum[COUNTS])
{
	printf("# figure: %s: %llu allocations failed, %llu stopped the process, %llu wrong\n", what,
	       (unsigned long long)sum[CAME], (unsigned long long)sum[RUNS], (unsigned long long)sum[BAD]);
	assert_int_equal(sum[BAD], 0);
}

static void test_records_are_whole_or_not_at_all(void **state)
{
	uint64_t sum[COUNTS] = { 0 };

	(void)state;
	every_nth(record_case, NULL, sum);
	tell("config record", sum);
	assert_true(sum[CAME] > 100);
}

static void test_the_cluster_store_says_what_it_does(void **state)
{
	uint64_t sum[COUNTS] = { 0 };

	(void)state;
	every_nth(store_case, store_after, sum);
	tell("cluster store", sum);
	assert_true(sum[CAME] > 40);
}

static void test_the_control_socket_serves_or_refuses(void **state)
{
	uint64_t sum[COUNTS] = { 0 };

	(void)state;
	every_nth(ctl_case, NULL, sum);
	tell("control socket", sum);
	assert_true(sum[CAME] > 10);
}

static void test_nbd_serves_or_refuses(void **state)
{
	uint64_t sum[COUNTS] = { 0 };

	(void)state;
	every_nth(nbd_case, NULL, sum);
	tell("NBD", sum);
	assert_true(sum[CAME] > 10);
}

static void test_the_event_log_opens_or_refuses(void **state)
{
	uint64_t sum[COUNTS] = { 0 };

	(void)state;
	every_nth(events_case, NULL, sum);
	tell("event log", sum);
	assert_true(sum[CAME] > 2);
}

static int group_setup(void **state)
{
	struct run x = { .dir = "/tmp/hf-memory-XXXXXX" };

	(void)state;
	if (!mkdtemp(x.dir))
		return -1;
	learn_nbd(&x);
	unlink(sock_path(&x));
	return rmdir(x.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_are_whole_or_not_at_all),
		cmocka_unit_test(test_the_cluster_store_says_what_it_does),
		cmocka_unit_test(test_the_control_socket_serves_or_refuses),
		cmocka_unit_test(test_nbd_serves_or_refuses),
		cmocka_unit_test(test_the_event_log_opens_or_refuses),
	};

	failing_alloc_init();
	hf_log_init(NULL, NULL, HF_LOG_ERROR);
	return cmocka_run_group_tests(tests, group_setup, NULL);
}

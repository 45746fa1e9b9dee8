// SPDX-License-Identifier: MIT
/*
 * test_cell_faults - a volume is made, loses a leg, takes it back, fails over, grows and moves, while the nth chance of
 * one fault on one host is taken, for every n until a run does not get that far: it comes to the same end, and every
 * acknowledged write is there.
 *
 * Compare-and-swaps fail before their effect, or only their answer is lost, once or from then on for a while; every
 * one of them. Connections are reset after some byte of a segment, ios of a disk fail: every one of the first, beyond
 * that in steps that grow. What arrives comes in pieces of each size.
 *
 * `test_cell_faults NUMBER HOST NTH` runs one: NUMBER is a line of `kinds`.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "lib/shards.h"
#include "sim/cell.h"

#define LONG (8 * HF_SEC)		/* how long a fault that stays does so */
#define HOSTS 3u

static const struct kind {
	enum sim_fault fault;
	bool is_sticky;
	uint32_t grain;			/* beyond `grain` cases a step is 1/grain of n; 0: every n */
} kinds[] = {
	{ SIM_CLUSTER_LOST_REQUEST, false, 0 },
	{ SIM_CLUSTER_LOST_REQUEST, true, 0 },
	{ SIM_CLUSTER_LOST_ANSWER, false, 0 },
	{ SIM_CLUSTER_LOST_ANSWER, true, 0 },
	{ SIM_NET_RESET, false, 24 },
	{ SIM_NET_RESET, true, 12 },
	{ SIM_READ_EIO, false, 24 },
	{ SIM_WRITE_EIO, false, 24 },
	{ SIM_SYNC_EIO, false, 24 },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct run {
	const struct kind *kind;	/* NULL: none */
	uint32_t host, nth, chop;
};

enum count { CAME, ACKED, CHECKED, BAD, COUNTS };

static void heal(struct sim_world *w, void *ctx)
{
	const struct run *x = ctx;

	sim_fault_nth(w, x->host, x->kind->fault, 0, false);
}

/* What stays away is back some time after it went. */
static void watch(struct sim_world *w, void *ctx)
{
	const struct run *x = ctx;

	if (sim_count(w, x->kind->fault) == 0)
		sim_at(w, sim_now(w) + 100 * HF_MS, watch, ctx);
	else
		sim_at(w, sim_now(w) + LONG, heal, ctx);
}

static bool story(struct cell *c)
{
	return cell_start_hosts(c) && cell_create(c) && cell_write(c, 0, 4) && cell_write(c, 10, 1) &&
	       cell_kill(c, 2, SIM_KILL_PROCESS) && cell_write(c, 2, 8) && cell_in_sync(c, 2) && cell_restart(c, 2) &&
	       cell_in_sync(c, 3) && cell_write(c, 40, 2) && cell_kill(c, 0, SIM_KILL_POWER) && cell_promote(c, 1) &&
	       cell_write(c, 0, 2) && cell_restart(c, 0) && cell_in_sync(c, 3) &&
	       cell_resize(c, 200) && cell_promote(c, 2) && cell_write(c, 20, 1) && cell_in_sync(c, 3) && cell_check(c);
}

static void run_case(struct shard *s, void *ctx)
{
	struct run *x = ctx;
	static struct cell c;

	hf_log_init(NULL, NULL, HF_LOG_ERROR);
	cell_init(&c, 1, 1, HOSTS - 1);
	if (x->kind)
		sim_fault_nth(c.sim, x->host, x->kind->fault, x->nth, x->kind->is_sticky);
	if (x->kind && x->kind->is_sticky)
		sim_at(c.sim, 0, watch, x);
	for (uint32_t i = 0; i < HOSTS; i++)
		sim_config(c.sim, i)->net_chop = x->chop;
	if (!story(&c))
		printf("# kind %ld (%s) host %u, %uth, pieces of %u: %s\n", x->kind ? (long)(x->kind - kinds) : -1L,
		       x->kind ? sim_fault_words(x->kind->fault) : "none", x->host, x->nth, x->chop, c.failure);
	s->count[CAME] = x->kind ? sim_count(c.sim, x->kind->fault) > 0 : 1;
	s->count[ACKED] = c.acked;
	s->count[CHECKED] = c.checked;
	s->count[BAD] = c.failure[0] != 0;
}

static bool run_apart(struct run *x, struct shard *s)
{
	uint64_t count[SHARDS_COUNTS];
	int status = shards_case(run_case, x, count);

	if (status) {
		printf("# kind %ld host %u, %uth, pieces of %u: died, %#x\n", x->kind ? (long)(x->kind - kinds) : -1L,
		       x->host, x->nth, x->chop, (unsigned int)status);
		count[BAD]++;
	}
	for (uint32_t i = 0; i < COUNTS; i++)
		s->count[i] += count[i];
	return count[CAME];
}

static void run_kinds(struct shard *s, void *ctx)
{
	(void)ctx;
	for (uint32_t i = s->number; i < KINDS * HOSTS; i += s->of) {
		struct run x = { .kind = &kinds[i / HOSTS], .host = i % HOSTS, .nth = 1 };

		while (run_apart(&x, s) && s->count[BAD] < 20)
			x.nth += x.kind->grain ? 1 + x.nth / x.kind->grain : 1;
	}
}

static void test_every_failure_of_a_store_a_disk_or_a_connection_is_got_over(void **state)
{
	uint64_t sum[SHARDS_COUNTS];

	(void)state;
	assert_true(shards_run(run_kinds, NULL, sum));
	printf("# figure: small cluster: %llu single faults, %llu runs did not converge or lost a write\n",
	       (unsigned long long)sum[CAME], (unsigned long long)sum[BAD]);
	printf("# score: {\"name\":\"single_faults\",\"value\":%llu,\"bad\":%llu}\n", (unsigned long long)sum[CAME],
	       (unsigned long long)sum[BAD]);
	assert_true(sum[CAME] > 200);
	assert_int_equal(sum[BAD], 0);
}

/* Sizes around each length that a frame or one of its parts has. */
static void run_pieces(struct shard *s, void *ctx)
{
	static const uint32_t more[] = { 100, 127, 128, 129, 200, 255, 256, 512, 1000, 4095, 4096, 4097 };

	(void)ctx;
	for (uint32_t i = s->number; i < 72 + sizeof(more) / sizeof(more[0]); i += s->of) {
		struct run x = { .chop = i < 72 ? i + 1 : more[i - 72] };

		run_apart(&x, s);
	}
}

static void test_bytes_that_come_in_pieces_of_each_size_change_nothing(void **state)
{
	uint64_t sum[SHARDS_COUNTS];

	(void)state;
	assert_true(shards_run(run_pieces, NULL, sum));
	printf("# figure: small cluster: %llu sizes of pieces, %llu runs did not converge or lost a write\n",
	       (unsigned long long)sum[CAME], (unsigned long long)sum[BAD]);
	assert_int_equal(sum[BAD], 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_failure_of_a_store_a_disk_or_a_connection_is_got_over),
		cmocka_unit_test(test_bytes_that_come_in_pieces_of_each_size_change_nothing),
	};

	if (argc == 4 && (uint32_t)atoi(argv[1]) < KINDS) {
		struct run x = { .kind = &kinds[atoi(argv[1])], .host = (uint32_t)atoi(argv[2]),
				 .nth = (uint32_t)atoi(argv[3]) };
		struct shard s = { 0 };

		run_case(&s, &x);
		printf("came %llu, %llu writes, %llu blocks checked, %llu bad\n", (unsigned long long)s.count[CAME],
		       (unsigned long long)s.count[ACKED], (unsigned long long)s.count[CHECKED],
		       (unsigned long long)s.count[BAD]);
		return s.count[BAD] != 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * test_memory_cell - the nth allocation of the daemons of a small cluster fails, once or from then on for a while: what
 * cannot be refused stops its daemon, which is started again; a volume that is made, written, failed over and taken
 * back comes to the same end, and every acknowledged write is there. Every n at first, beyond that in steps that grow.
 *
 * `test_memory_cell NTH once|long` runs one.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "lib/failing_alloc.h"
#include "lib/shards.h"
#include "sim/cell.h"

#define LONG (2 * HF_SEC)
#define GRAIN 24u

enum count { CAME, STOPPED, ACKED, BAD, COUNTS };

struct run {
	uint64_t nth;
	bool is_sticky;
	uint64_t stops;
};

struct stretch {
	struct cell *c;
	hf_nsec until;
};

static struct run now;

static void go(void *ctx)
{
	const struct stretch *x = ctx;

	sim_run(x->c->sim, x->until);
}

/* As sim_run(); a daemon that stops itself is dead, and the world goes on without it. */
static void run_world(struct cell *c, hf_nsec until)
{
	struct stretch x = { c, until };

	while (!failing_alloc_try(go, &x)) {
		uint32_t host = sim_host_abandon(c->sim);

		if (host == SIM_HOSTS_MAX)
			hf_panic(__FILE__, __LINE__, "it was not a daemon that stopped");
		cell_host_died(c, host);
		now.stops++;
	}
}

static void enough(struct sim_world *w, void *ctx)
{
	(void)w;
	(void)ctx;
	failing_alloc_disarm();
}

static void watch(struct sim_world *w, void *ctx)
{
	if (failing_alloc_came())
		sim_at(w, sim_now(w) + LONG, enough, ctx);
	else
		sim_at(w, sim_now(w) + 50 * HF_MS, watch, ctx);
}

static bool story(struct cell *c)
{
	return cell_start_hosts(c) && cell_create(c) && cell_write(c, 0, 4) && cell_kill(c, 2, SIM_KILL_PROCESS) &&
	       cell_write(c, 2, 8) && cell_restart(c, 2) && cell_in_sync(c, 3) && cell_write(c, 40, 2) &&
	       cell_kill(c, 0, SIM_KILL_POWER) && cell_promote(c, 1) && cell_write(c, 0, 2) && cell_restart(c, 0) &&
	       cell_in_sync(c, 3) && cell_resize(c, 1000) && cell_write(c, 20, 1) && cell_check(c);
}

static void run_case(struct shard *s, void *ctx)
{
	static struct cell c;

	now = *(struct run *)ctx;
	hf_log_init(NULL, NULL, HF_LOG_ERROR);
	cell_init(&c, 1, 1, 2);
	c.run = run_world;
	if (now.is_sticky)
		sim_at(c.sim, 0, watch, NULL);
	failing_alloc_arm(now.nth, now.is_sticky);
	if (!story(&c))
		printf("# allocation %llu, %s: %s\n", (unsigned long long)now.nth, now.is_sticky ? "long" : "once",
		       c.failure);
	failing_alloc_disarm();
	s->count[CAME] = failing_alloc_came();
	s->count[STOPPED] = now.stops;
	s->count[ACKED] = c.acked;
	s->count[BAD] = c.failure[0] != 0;
}

static void run_shard(struct shard *s, void *ctx)
{
	(void)ctx;
	for (uint32_t sticky = s->number; sticky < 2; sticky += s->of) {
		struct run x = { .nth = 1, .is_sticky = sticky };
		uint64_t count[SHARDS_COUNTS] = { 1 };

		for (; count[CAME] && s->count[BAD] < 10; x.nth += 1 + x.nth / GRAIN) {
			int status = shards_case(run_case, &x, count);

			if (status) {
				printf("# allocation %llu, sticky %u: died, %#x\n", (unsigned long long)x.nth, sticky,
				       (unsigned int)status);
				count[BAD]++;
				count[CAME] = 1;
			}
			for (uint32_t i = 0; i < COUNTS; i++)
				s->count[i] += count[i];
		}
	}
}

static void test_daemons_without_memory_lose_nothing(void **state)
{
	uint64_t sum[SHARDS_COUNTS];

	(void)state;
	assert_true(shards_run(run_shard, NULL, sum));
	printf("# figure: small cluster: %llu allocations failed, %llu daemons stopped, %llu runs did not converge or "
	       "lost a write\n",
	       (unsigned long long)sum[CAME], (unsigned long long)sum[STOPPED], (unsigned long long)sum[BAD]);
	assert_true(sum[CAME] > 100 && sum[STOPPED] > 50);
	assert_int_equal(sum[BAD], 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemons_without_memory_lose_nothing),
	};

	failing_alloc_init();
	if (argc == 3) {
		struct run x = { .nth = strtoull(argv[1], NULL, 10), .is_sticky = strcmp(argv[2], "long") == 0 };
		struct shard s = { 0 };

		run_case(&s, &x);
		printf("came %llu, %llu stopped, %llu writes, %llu bad\n", (unsigned long long)s.count[CAME],
		       (unsigned long long)s.count[STOPPED], (unsigned long long)s.count[ACKED],
		       (unsigned long long)s.count[BAD]);
		return s.count[BAD] != 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * test_cell_cluster - the nth compare-and-swap of each host is lost before its effect, or its answer after it, once or
 * from then on for a while, for every n until a run does not get that far: a volume that is made, loses a leg, takes it
 * back, fails over, grows and moves comes to the same end, and every acknowledged write is there.
 *
 * `test_cell_cluster HOST answer|request NTH once|long` runs one.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/shards.h"
#include "sim/cell.h"

#define LONG (8 * HF_SEC)		/* how long the cluster store stays away */

struct fault {
	uint32_t host, nth;
	enum sim_fault kind;
	bool is_sticky;
};

enum count { CAME, ACKED, CHECKED, BAD };

static void heal(struct sim_world *w, void *ctx)
{
	const struct fault *f = ctx;

	sim_fault_nth(w, f->host, f->kind, 0, false);
}

/* The cluster store is back some time after it went. */
static void watch(struct sim_world *w, void *ctx)
{
	const struct fault *f = ctx;

	if (sim_count(w, f->kind) == 0)
		sim_at(w, sim_now(w) + 100 * HF_MS, watch, ctx);
	else
		sim_at(w, sim_now(w) + LONG, heal, ctx);
}

static bool story(struct cell *c)
{
	return cell_start_hosts(c) && cell_create(c) && cell_write(c, 0, 4) && cell_write(c, 10, 1) &&
	       cell_kill(c, 2, SIM_KILL_PROCESS) && cell_write(c, 2, 8) && cell_in_sync(c, 2) && cell_restart(c, 2) &&
	       cell_in_sync(c, 3) && cell_write(c, 40, 2) && cell_kill(c, 0, SIM_KILL_POWER) && cell_promote(c, 1) &&
	       cell_write(c, 0, 2) && cell_restart(c, 0) && cell_in_sync(c, 3) && cell_resize(c, 200) &&
	       cell_promote(c, 2) && cell_write(c, 20, 1) && cell_in_sync(c, 3) && cell_check(c);
}

static void run_case(struct shard *s, void *ctx)
{
	struct fault *f = ctx;
	static struct cell c;

	cell_init(&c, 1, 1, 2);
	sim_fault_nth(c.sim, f->host, f->kind, f->nth, f->is_sticky);
	if (f->is_sticky)
		sim_at(c.sim, 0, watch, f);
	if (!story(&c))
		printf("# host %u, %s, compare-and-swap %u, %s: %s\n", f->host, sim_fault_words(f->kind), f->nth,
		       f->is_sticky ? "long" : "once", c.failure);
	s->count[CAME] = sim_count(c.sim, f->kind) > 0;
	s->count[ACKED] = c.acked;
	s->count[CHECKED] = c.checked;
	s->count[BAD] = c.failure[0] != 0;
}

static void run_shard(struct shard *s, void *ctx)
{
	static const enum sim_fault kinds[] = { SIM_CLUSTER_LOST_REQUEST, SIM_CLUSTER_LOST_ANSWER };

	(void)ctx;
	for (uint32_t i = s->number; i < 12; i += s->of) {
		struct fault f = { .host = i / 4, .kind = kinds[i / 2 % 2], .is_sticky = i % 2 };
		uint64_t count[SHARDS_COUNTS] = { 1 };

		for (f.nth = 1; count[CAME]; f.nth++) {
			int status = shards_case(run_case, &f, count);

			if (status) {
				printf("# host %u, kind %d, compare-and-swap %u, sticky %d: died, %#x\n", f.host,
				       f.kind, f.nth, f.is_sticky, (unsigned int)status);
				count[BAD]++;
			}
			for (uint32_t k = 0; k <= BAD; k++)
				s->count[k] += count[k];
		}
	}
}

static void test_every_lost_compare_and_swap_is_got_over(void **state)
{
	uint64_t sum[SHARDS_COUNTS];

	(void)state;
	assert_true(shards_run(run_shard, NULL, sum));
	printf("# figure: cluster store: %llu compare-and-swaps failed, %llu runs did not converge or lost a write\n",
	       (unsigned long long)sum[CAME], (unsigned long long)sum[BAD]);
	printf("# score: {\"name\":\"failed_cas\",\"value\":%llu,\"bad\":%llu}\n", (unsigned long long)sum[CAME],
	       (unsigned long long)sum[BAD]);
	assert_true(sum[CAME] > 20);
	assert_int_equal(sum[BAD], 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_lost_compare_and_swap_is_got_over),
	};

	if (argc == 5) {
		struct fault f = { .host = (uint32_t)atoi(argv[1]), .nth = (uint32_t)atoi(argv[3]) };
		struct shard s = { 0 };

		f.kind = strcmp(argv[2], "answer") ? SIM_CLUSTER_LOST_REQUEST : SIM_CLUSTER_LOST_ANSWER;
		f.is_sticky = strcmp(argv[4], "long") == 0;
		run_case(&s, &f);
		printf("came %llu, %llu writes, %llu blocks checked, %llu bad\n", (unsigned long long)s.count[CAME],
		       (unsigned long long)s.count[ACKED], (unsigned long long)s.count[CHECKED],
		       (unsigned long long)s.count[BAD]);
		return s.count[BAD] != 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

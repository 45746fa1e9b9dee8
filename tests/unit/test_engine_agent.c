// SPDX-License-Identifier: MIT
/* test_engine_agent - what a host makes of records that the cluster store shows it, in a small simulated cluster. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "format/record.h"
#include "sim/cell.h"

static uint64_t ver_of_volume(struct cell *c)
{
	char key[HF_RECORD_KEY_MAX];
	uint64_t ver = 0;

	assert_non_null(sim_cluster_peek(c->sim, hf_record_volume_key(c->record.name, key), &ver));
	return ver;
}

static void order_promotion(struct sim_world *w, void *ctx)
{
	struct cell_host *h = ctx;
	struct hf_agent_volume *av = hf_agent_find_volume(h->agent, h->cell->record.name);

	(void)w;
	assert_non_null(av);
	hf_agent_promote(h->agent, av, false);
}

/*
 * H26: somebody puts an old copy of the store back; hosts change it until its versions are beyond those of the true
 * one, and then that is put back. The host that it names as primary was started meanwhile and has seen newer versions;
 * nobody tells it.
 */
static void test_agent_believes_a_store_that_was_put_back(void **state)
{
	static struct cell c;
	struct sim_cluster_state *old, *now;
	uint64_t ver;

	(void)state;
	assert_true(cell_init(&c, 1, 1, 1) && cell_start_hosts(&c) && cell_create(&c) && cell_write(&c, 0, 4));
	old = sim_cluster_save(c.sim);
	assert_true(cell_promote(&c, 1) && cell_in_sync(&c, 2) && cell_write(&c, 4, 4) &&
		    cell_kill(&c, 1, SIM_KILL_PROCESS));
	now = sim_cluster_save(c.sim);
	ver = ver_of_volume(&c);
	sim_cluster_restore(c.sim, old);
	for (int i = 0; i < 20 && ver_of_volume(&c) <= ver; i++) {
		sim_call(c.sim, 0, sim_now(c.sim), order_promotion, &c.host[0]);
		sim_run(c.sim, sim_now(c.sim) + 2 * HF_SEC);
	}
	assert_true(ver_of_volume(&c) > ver);
	assert_true(cell_restart(&c, 1));
	assert_true(cell_kill(&c, 0, SIM_KILL_PROCESS));
	sim_run(c.sim, sim_now(c.sim) + HF_SEC);
	sim_cluster_restore(c.sim, now);
	for (int i = 0; i < 60 && !cell_serving(&c); i++)
		sim_run(c.sim, sim_now(c.sim) + HF_SEC);
	assert_non_null(cell_serving(&c));
	assert_string_equal(cell_serving(&c)->core->record.primary, "hostB");
	assert_true(cell_check(&c));
	assert_string_equal(c.failure, "");
	sim_cluster_state_free(old);
	sim_cluster_state_free(now);
}

/*
 * H26: the true store is put back while its version of the record is the one that a host knows from the old copy: what
 * that host makes of its own does not replace a record that it never saw.
 */
static void test_agent_does_not_claim_over_a_record_that_it_never_saw(void **state)
{
	static struct cell c;
	struct sim_cluster_state *old, *now;
	const struct hf_agent_volume *av;
	char key[HF_RECORD_KEY_MAX], *text;
	uint64_t ver;

	(void)state;
	assert_true(cell_init(&c, 1, 1, 1) && cell_start_hosts(&c) && cell_create(&c) && cell_write(&c, 0, 4));
	old = sim_cluster_save(c.sim);
	/* The set changes, so that legs refuse the old copy, whatever is claimed in it. */
	assert_true(cell_kill(&c, 1, SIM_KILL_PROCESS) && cell_write(&c, 0, 4) && cell_restart(&c, 1) &&
		    cell_in_sync(&c, 2) && cell_promote(&c, 1) && cell_kill(&c, 1, SIM_KILL_PROCESS));
	now = sim_cluster_save(c.sim);
	ver = ver_of_volume(&c);
	text = strdup(sim_cluster_peek(c.sim, hf_record_volume_key(c.record.name, key), NULL));
	sim_cluster_restore(c.sim, old);
	sim_call(c.sim, 0, sim_now(c.sim), order_promotion, &c.host[0]);
	av = hf_agent_find_volume(c.host[0].agent, c.record.name);
	assert_non_null(av);
	for (int i = 0; i < 60000 && (av->run || av->ver != ver || ver_of_volume(&c) != ver); i++)
		sim_run(c.sim, sim_now(c.sim) + HF_MS);
	assert_true(!av->run && av->ver == ver && ver_of_volume(&c) == ver);
	assert_string_equal(av->record.primary, "hostA");
	sim_cluster_restore(c.sim, now);
	sim_run(c.sim, sim_now(c.sim) + 30 * HF_SEC);
	assert_string_equal(sim_cluster_peek(c.sim, key, NULL), text);
	free(text);
	sim_cluster_state_free(old);
	sim_cluster_state_free(now);
}

static const struct hf_volume_run *served_by(struct cell *c, uint32_t host)
{
	const struct hf_agent_volume *av = hf_agent_find_volume(c->host[host].agent, c->record.name);

	return av && av->run && av->run->open ? av->run : NULL;
}

/* How long until that host serves; never more than a second after the leases are over. */
static hf_nsec wait_for(struct cell *c, uint32_t host)
{
	hf_nsec begin = sim_now(c->sim);

	while (!served_by(c, host) && sim_now(c->sim) < begin + HF_LEASE_NS + HF_SEC)
		sim_run(c->sim, sim_now(c->sim) + HF_MS);
	assert_non_null(served_by(c, host));
	return sim_now(c->sim) - begin;
}

/* Nobody gives an order; and the volume is where the best leg is, within little more than a lease. */
static void test_agent_promotes_a_volume_whose_primary_died(void **state)
{
	static struct cell c;
	(void)state;

	for (int how = 0; how < 2; how++) {
		assert_true(cell_init(&c, 1 + (uint64_t)how, 1, 2) && cell_start_hosts(&c));
		c.record.auto_failover = true;
		assert_true(cell_create(&c) && cell_write(&c, 0, 4));
		sim_run(c.sim, sim_now(c.sim) + 5 * HF_SEC);
		if (how)
			sim_host_pause(c.sim, 0);
		else
			assert_true(cell_kill(&c, 0, SIM_KILL_POWER));
		printf("# figure: simulated host %s: another serves after %.2f s, with leases of %.2f s\n",
		       how ? "freezes" : "loses power", (double)wait_for(&c, 1) / 1e9, (double)HF_LEASE_NS / 1e9);
		assert_int_equal(served_by(&c, 1)->core->epoch, 2);
		if (how)
			sim_host_resume(c.sim, 0);
		assert_true(cell_write(&c, 8, 2) && cell_check(&c));
		assert_ptr_equal(cell_serving(&c), served_by(&c, 1));
		assert_int_equal(served_by(&c, 1)->core->epoch, 2);
	}
}

static void order_stop(struct sim_world *w, void *ctx)
{
	struct cell_host *h = ctx;

	(void)w;
	hf_agent_stop(h->agent);
}

/* The legs are being asked, and the host that asks stops: it promotes nothing any more. */
static void test_agent_that_stops_promotes_nothing(void **state)
{
	static struct cell c;
	const struct hf_agent_volume *av;
	(void)state;

	assert_true(cell_init(&c, 5, 1, 2) && cell_start_hosts(&c));
	c.record.auto_failover = true;
	assert_true(cell_create(&c) && cell_write(&c, 0, 4) && cell_kill(&c, 0, SIM_KILL_POWER));
	av = hf_agent_find_volume(c.host[1].agent, c.record.name);
	for (int i = 0; i < 400000 && !(av->round && !av->run && av->dead_since == 0); i++)
		sim_step(c.sim);
	assert_non_null(av->round);
	sim_call(c.sim, 1, sim_now(c.sim), order_stop, &c.host[1]);
	sim_run(c.sim, sim_now(c.sim) + 100 * HF_MS);
	assert_null(av->round);
	assert_null(av->run);
}

/* One host does not see the primary: the others do, and it goes on. */
static void test_agent_leaves_a_primary_alone_that_others_hear_of(void **state)
{
	static struct cell c;
	(void)state;

	assert_true(cell_init(&c, 3, 1, 2) && cell_start_hosts(&c));
	c.record.auto_failover = true;
	assert_true(cell_create(&c) && cell_write(&c, 0, 4));
	sim_net_cut(c.sim, 0, 1);
	sim_net_cut(c.sim, 1, 0);
	sim_run(c.sim, sim_now(c.sim) + 20 * HF_SEC);
	assert_true(cell_write(&c, 4, 4));
	assert_int_equal(cell_serving(&c)->core->epoch, 1);
	assert_string_equal(cell_serving(&c)->core->self, "hostA");
	assert_true(cell_check(&c));
}

/* What is promoted by hand stays where it is until somebody says so. */
static void test_agent_waits_for_an_order_where_failover_is_manual(void **state)
{
	static struct cell c;
	(void)state;

	assert_true(cell_init(&c, 4, 1, 2) && cell_start_hosts(&c) && cell_create(&c) && cell_write(&c, 0, 4) &&
		    cell_kill(&c, 0, SIM_KILL_POWER));
	sim_run(c.sim, sim_now(c.sim) + 30 * HF_SEC);
	assert_null(cell_serving(&c));
	assert_true(cell_promote(&c, 2) && cell_check(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agent_believes_a_store_that_was_put_back),
		cmocka_unit_test(test_agent_promotes_a_volume_whose_primary_died),
		cmocka_unit_test(test_agent_that_stops_promotes_nothing),
		cmocka_unit_test(test_agent_leaves_a_primary_alone_that_others_hear_of),
		cmocka_unit_test(test_agent_waits_for_an_order_where_failover_is_manual),
		cmocka_unit_test(test_agent_does_not_claim_over_a_record_that_it_never_saw),
	};

	hf_log_init(NULL, NULL, HF_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* cluster_driver_sim - the simulated cluster store under the contract tests of cluster/cluster.h. */
#include "lib/cluster_driver.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/limits.h"
#include "sim/sim.h"

#define HOSTS 8u

struct backend {
	struct sim_world *world;
	struct hf_cluster *of[HOSTS];
};

static void *setup(void)
{
	struct backend *b = calloc(1, sizeof(*b));

	hf_assert(b);
	b->world = sim_world_new(7, HOSTS);
	return b;
}

static struct hf_cluster *open_store(void *backend)
{
	struct backend *b = backend;
	uint32_t i = 0;

	while (b->of[i])
		i++;
	hf_assert(i < HOSTS);
	sim_host_start(b->world, i);
	b->of[i] = sim_cluster_open(b->world, i);
	return b->of[i];
}

static void kill_daemon(void *backend, struct hf_cluster *c)
{
	struct backend *b = backend;

	for (uint32_t i = 0; i < HOSTS; i++) {
		if (b->of[i] != c)
			continue;
		sim_host_kill(b->world, i, SIM_KILL_PROCESS);
		b->of[i] = NULL;
	}
}

static void turn(void *backend)
{
	struct backend *b = backend;

	sim_run(b->world, sim_now(b->world) + 10 * HF_MS);
}

static void teardown(void *backend)
{
	struct backend *b = backend;

	sim_world_free(b->world);
	free(b);
}

const struct cluster_driver cluster_driver_sim = { "sim", setup, open_store, kill_daemon, turn, teardown };

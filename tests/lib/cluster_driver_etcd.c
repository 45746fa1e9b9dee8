// SPDX-License-Identifier: MIT
/*
 * cluster_driver_etcd - a real etcd; every daemon of a test reaches it through a proxy of its own, whose end is the
 * daemon's sudden death. One etcd serves the whole program: each test has its own prefix.
 */
#include "lib/cluster_driver.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/limits.h"
#include "io/reactor_uring.h"
#include "lib/etcd_rig.h"
#include "lib/tcp_proxy.h"

#define DAEMONS_MAX 8u

struct backend {
	struct hf_reactor *reactor;
	char prefix[64];
	struct {
		struct hf_cluster *cluster;
		struct tcp_proxy *proxy;
	} daemon[DAEMONS_MAX];
};

static struct etcd_rig *rig;

static void stop_rig(void)
{
	etcd_rig_free(rig);
}

static void *setup(void)
{
	struct backend *b = calloc(1, sizeof(*b));
	static unsigned number;
	struct hf_errmsg err;

	hf_assert(b);
	if (!rig) {
		rig = etcd_rig_new(1, false);
		atexit(stop_rig);
	}
	snprintf(b->prefix, sizeof(b->prefix), "/holdfast/test-%u/", number++);
	if (hf_reactor_uring_new(&b->reactor, &err) < 0) {
		free(b);
		return NULL;
	}
	return b;
}

static struct hf_cluster *open_store(void *backend)
{
	struct backend *b = backend;
	struct hf_cluster_etcd_params p = { .prefix = b->prefix };
	struct hf_errmsg err;
	char url[64];
	unsigned i = 0;

	while (b->daemon[i].cluster)
		i++;
	hf_assert(i < DAEMONS_MAX);
	b->daemon[i].proxy = tcp_proxy_new(etcd_rig_port(rig, 0));
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", tcp_proxy_port(b->daemon[i].proxy));
	p.endpoints = url;
	if (hf_cluster_etcd_new(b->reactor, &p, &b->daemon[i].cluster, &err) < 0)
		hf_panic(__FILE__, __LINE__, err.text);
	return b->daemon[i].cluster;
}

static void turn(void *backend)
{
	struct backend *b = backend;

	hf_reactor_uring_turn(b->reactor, hf_reactor_now(b->reactor) + 10 * HF_MS);
}

static void kill_store(void *backend, struct hf_cluster *c)
{
	struct backend *b = backend;

	for (unsigned i = 0; i < DAEMONS_MAX; i++) {
		if (b->daemon[i].cluster != c)
			continue;
		tcp_proxy_free(b->daemon[i].proxy);	/* not even its farewell is heard */
		b->daemon[i].cluster = NULL;
	}
	c->ops->free(c);
	/* What it had under way on the reactor is seen off. */
	for (int i = 0; i < 4; i++)
		turn(backend);
}

static void teardown(void *backend)
{
	struct backend *b = backend;

	hf_reactor_uring_free(b->reactor);
	free(b);
}

const struct cluster_driver cluster_driver_etcd = {
	.name = "cluster_etcd",
	.setup = setup,
	.open = open_store,
	.kill = kill_store,
	.turn = turn,
	.teardown = teardown,
};

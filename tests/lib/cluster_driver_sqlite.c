// SPDX-License-Identifier: MIT
/* cluster_driver_sqlite - the embedded store in a directory of its own; every daemon a connection on one reactor. */
#include "lib/cluster_driver.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "io/reactor_uring.h"

struct backend {
	struct hf_reactor *reactor;
	char dir[64];
	char path[80];
};

static void *setup(void)
{
	struct backend *b = calloc(1, sizeof(*b));
	struct hf_errmsg err;

	hf_assert(b);
	snprintf(b->dir, sizeof(b->dir), "/tmp/holdfast-cluster-XXXXXX");
	if (!mkdtemp(b->dir) || hf_reactor_uring_new(&b->reactor, &err) < 0) {
		free(b);
		return NULL;
	}
	snprintf(b->path, sizeof(b->path), "%s/cluster.db", b->dir);
	return b;
}

static struct hf_cluster *open_store(void *backend)
{
	struct backend *b = backend;
	struct hf_cluster *c = NULL;
	struct hf_errmsg err;

	if (hf_cluster_sqlite_new(b->reactor, b->path, &c, &err) < 0)
		hf_panic(__FILE__, __LINE__, err.text);
	return c;
}

static void turn(void *backend)
{
	struct backend *b = backend;

	hf_reactor_uring_turn(b->reactor, hf_reactor_now(b->reactor) + 5 * HF_MS);
}

static void kill_store(void *backend, struct hf_cluster *c)
{
	c->ops->free(c);
	/* A job that was under way is seen off. */
	for (int i = 0; i < 4; i++)
		turn(backend);
}

static void teardown(void *backend)
{
	struct backend *b = backend;
	DIR *d = opendir(b->dir);
	struct dirent *e;

	hf_reactor_uring_free(b->reactor);
	while (d && (e = readdir(d)))
		(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(b->dir);
	free(b);
}

const struct cluster_driver cluster_driver_sqlite = {
	.name = "cluster_sqlite",
	.setup = setup,
	.open = open_store,
	.kill = kill_store,
	.turn = turn,
	.teardown = teardown,
};

/* SPDX-License-Identifier: MIT */
/* cluster_driver - what a backend of cluster/cluster.h brings to its contract tests. */
#ifndef HF_TESTS_LIB_CLUSTER_DRIVER_H
#define HF_TESTS_LIB_CLUSTER_DRIVER_H

#include "cluster/cluster.h"

struct cluster_driver {
	const char *name;
	void *(*setup)(void);				/* an empty store that daemons may open */
	struct hf_cluster *(*open)(void *backend);	/* as one more daemon */
	void (*kill)(void *backend, struct hf_cluster *c); /* that daemon dies: nothing is said, `c` is gone */
	void (*turn)(void *backend);			/* let at most 10 ms pass and callbacks run */
	void (*teardown)(void *backend);		/* every daemon is dead */
};

extern const struct cluster_driver cluster_driver_sqlite;	/* tests/lib */
extern const struct cluster_driver cluster_driver_etcd;		/* tests/lib */
extern const struct cluster_driver cluster_driver_sim;		/* tests/sim */

#endif

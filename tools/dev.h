/* SPDX-License-Identifier: MIT */
/*
 * dev - a whole cluster in one directory, on one machine, without root: what `holdfast dev` starts, finds and ends.
 *
 *   DIR/dev.json            the hosts and the arguments of their daemons
 *   DIR/cluster.db          the embedded cluster store
 *   DIR/HOST/               a host: ctl.sock, pid, holdfastd.log, legs
 *   DIR/nbd/VOLUME.sock     a volume, served by whichever host is its primary
 *
 * A daemon is ours when the process named by its pid file has our "--dir DIR/HOST" on its command line; it is held by a
 * pidfd from before that look until the signal, so that a reused pid is never hit.
 */
#ifndef HF_TOOLS_DEV_H
#define HF_TOOLS_DEV_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "client.h"

#define DEV_HOSTS_MAX 26u		/* hostA .. hostZ */

/* dev.json of a directory, or NULL after a message. The caller frees it. */
json_t *dev_load(const char *dir);
/*
 * Write dev.json for `host_count` hosts; DIR is made when missing. `store`: for --cluster of their daemons; NULL: a
 * file in DIR. 0 or an exit code after a message.
 */
int dev_create(const char *dir, unsigned host_count, const char *store, const char *holdfastd);
/* The control sockets of a dev cluster. */
int dev_daemons(const char *dir, struct daemons *out);
/* The entry of a host, borrowed from `cluster`; NULL after a message. */
const json_t *dev_host(const json_t *cluster, const char *dir, const char *name);

/* The daemon beside this program; $HOLDFASTD names another. 0, or an exit code after a message. */
int dev_find_holdfastd(char out[PATH_MAX]);
/*
 * Start a host's daemon, detached; its pid, or -1 after a message. It may still fail to come up. `bound`: it is killed
 * when this process ends, however it ends.
 */
pid_t dev_spawn(const json_t *cluster, const json_t *host, const char *dir, bool bound);
/* Start every host, then wait for all: they come up side by side. On failure those that did are ended again. */
int dev_start_all(const struct context *cx, const json_t *cluster, const char *dir, bool bound);
/* Wait until it answers. 0, or an exit code after a message with the end of its log. */
int dev_wait_up(const struct context *cx, const json_t *host, const char *dir, pid_t pid);
/* Wait until each host's daemon is connected to every other. 0, or an exit code after a message. */
int dev_wait_connected(const struct context *cx, const json_t *cluster, const char *dir);
/* A pidfd of the running daemon, and its pid; -1: it does not run. */
int dev_open_process(const json_t *host, const char *dir, pid_t *out_pid);
/* Send `signal` to a process that dev_open_process() found, or wait for its end; 0, or an exit code after a message. */
int dev_signal(int pidfd, int signal);
bool dev_wait_end(int pidfd, unsigned wait_ms);
/* Signal a host's daemon, when it runs, and see it end; 0, or an exit code after a message. */
int dev_end_host(const json_t *host, const char *dir, int sig, unsigned wait_ms, bool *was_running);

#endif

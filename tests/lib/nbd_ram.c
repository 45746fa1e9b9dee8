// SPDX-License-Identifier: MIT
/*
 * nbd_ram - an NBD server on memory: the real server and reactor without an engine, for tests with real clients.
 *
 *   nbd_ram --listen ADDR [--size BYTES] [--name NAME] [--only] [--pool BYTES] [--clients N] [--extra N]
 *
 * Prints "ready" when it listens, serves until SIGTERM or SIGINT, then prints its counters. A second writing session
 * takes over from a first one that is dead. Needs: libhf_front libhf_io libhf_base, tests/lib/ram_export.c.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "front/nbd_server.h"
#include "io/reactor_uring.h"
#include "lib/ram_export.h"

struct nbd_ram {
	struct hf_reactor *r;
	struct hf_nbd_server *server;
	struct hf_job job;
	sigset_t signals;
};

static const struct option options[] = {
	{ "listen", required_argument, NULL, 'l' },
	{ "size", required_argument, NULL, 's' },
	{ "name", required_argument, NULL, 'n' },
	{ "only", no_argument, NULL, 'o' },
	{ "pool", required_argument, NULL, 'p' },
	{ "clients", required_argument, NULL, 'c' },
	{ "extra", required_argument, NULL, 'x' },
	{ 0 },
};

static void stopped(void *ctx)
{
	struct nbd_ram *m = ctx;

	hf_reactor_uring_stop(m->r);
}

static void signal_work(struct hf_job *j)
{
	struct nbd_ram *m = hf_container_of(j, struct nbd_ram, job);
	int sig;

	sigwait(&m->signals, &sig);
}

static void signal_done(struct hf_job *j)
{
	struct nbd_ram *m = hf_container_of(j, struct nbd_ram, job);
	struct hf_nbd_stats s;

	hf_nbd_server_stats(m->server, &s);
	printf("connections %" PRIu64 " requests %" PRIu64 " read %" PRIu64 " written %" PRIu64 " errors %" PRIu64 "\n",
	       s.connections, s.requests, s.bytes_read, s.bytes_written, s.protocol_errors);
	hf_nbd_server_stop(m->server, stopped, m);
}

static int fail(const char *what, const struct hf_errmsg *err)
{
	fprintf(stderr, "nbd_ram: %s: %s\n", what, err->text);
	return 1;
}

static int serve(struct nbd_ram *m, struct hf_buf_pool *pool, struct ram_export *x, const struct hf_nbd_params *params)
{
	struct hf_errmsg err = { "" };

	if (hf_nbd_server_new(m->r, pool, &ram_export_backend, x, params, &m->server, &err) < 0)
		return fail("serve", &err);
	m->job = (struct hf_job){ .work = signal_work, .done = signal_done };
	hf_job_run(m->r, &m->job);
	printf("ready\n");
	fflush(stdout);
	hf_reactor_uring_run(m->r);
	return 0;
}

int main(int argc, char **argv)
{
	struct hf_nbd_params params = { 0 };
	uint64_t size = 1u << 30, pool_bytes = 64u << 20;
	const char *name = "ram";
	struct nbd_ram m = { 0 };
	struct ram_export x;
	struct hf_buf_pool *pool;
	struct hf_errmsg err = { "" };
	uint32_t extra = 0;
	bool only = false;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'l': params.addr = optarg; break;
		case 's': size = strtoull(optarg, NULL, 0); break;
		case 'n': name = optarg; break;
		case 'o': only = true; break;
		case 'p': pool_bytes = strtoull(optarg, NULL, 0); break;
		case 'c': params.connections_max = (uint32_t)atoi(optarg); break;
		case 'x': extra = (uint32_t)atoi(optarg); break;
		default: return 2;
		}
	}
	if (!params.addr)
		return 2;
	params.only = only ? name : NULL;
	sigemptyset(&m.signals);
	sigaddset(&m.signals, SIGTERM);
	sigaddset(&m.signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &m.signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (hf_reactor_uring_new(&m.r, &err) < 0)
		return fail("reactor", &err);
	pool = hf_buf_pool_new(pool_bytes);
	hf_assert(pool && ram_export_init(&x, m.r, name, size / HF_BLOCK) == 0);
	x.is_alive = hf_nbd_session_is_alive;
	x.extra_exports = extra;
	ret = serve(&m, pool, &x, &params);
	ram_export_fini(&x);
	hf_buf_pool_free(pool);
	hf_reactor_uring_free(m.r);
	return ret;
}

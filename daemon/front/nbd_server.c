// SPDX-License-Identifier: MIT
/*
 * nbd_server - listen, accept, stop, count.
 *
 * Owns: the listening socket and the list of connections. Does not own: what is said on them (nbd_conn.c and the rest).
 */
#include "front/nbd_server.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "front/nbd_int.h"

static void accept_done(struct hf_io *io);
static void retry_fire(struct hf_timer *t);
static void server_task(struct hf_task *t);

/* One buffer is kept for zeros; a pool without a second of its size could never serve a large request. */
static int make_zeros(struct hf_nbd_server *n, struct hf_errmsg *err)
{
	struct hf_buf *second;

	n->zeros = hf_buf_new(n->pool, NBD_PIECE_BYTES);
	second = n->zeros ? hf_buf_new(n->pool, NBD_PIECE_BYTES) : NULL;
	if (!second) {
		if (n->zeros)
			hf_buf_put(n->zeros);
		return hf_fail(err, -ENOMEM, "NBD server: the buffer pool has not two free buffers of %u KiB; make it "
			       "larger", NBD_PIECE_BYTES / 1024);
	}
	hf_buf_put(second);
	memset(n->zeros->data, 0, NBD_PIECE_BYTES);
	return 0;
}

static int server_open(struct hf_nbd_server *n, const struct hf_nbd_params *params, struct hf_errmsg *err)
{
	int ret;

	if (params->only && strlen(params->only) >= sizeof(n->only))
		return hf_fail(err, -EINVAL, "NBD server: export name '%s' is longer than %zu bytes", params->only,
			       sizeof(n->only) - 1);
	snprintf(n->only, sizeof(n->only), "%s", params->only ? params->only : "");
	ret = hf_nbd_sock_check_address(params->addr, err);
	if (ret < 0)
		return ret;
	ret = make_zeros(n, err);
	if (ret < 0)
		return ret;
	n->fd = hf_sock_listen(n->r, params->addr, err);
	if (n->fd < 0) {
		hf_buf_put(n->zeros);
		return n->fd;
	}
	return 0;
}

int hf_nbd_server_new(struct hf_reactor *r, struct hf_buf_pool *pool, const struct hf_front_backend *backend,
		      void *backend_ctx, const struct hf_nbd_params *params, struct hf_nbd_server **out,
		      struct hf_errmsg *err)
{
	struct hf_nbd_server *n = calloc(1, sizeof(*n));
	int ret;

	if (!n)
		return hf_fail(err, -ENOMEM, "NBD server on %s: out of memory", params->addr);
	n->r = r;
	n->pool = pool;
	n->backend = backend;
	n->backend_ctx = backend_ctx;
	n->conns_max = params->connections_max ? params->connections_max : NBD_CONNECTIONS_DEFAULT;
	hf_list_init(&n->conns);
	ret = server_open(n, params, err);
	if (ret < 0) {
		free(n);
		return ret;
	}
	hf_io_init(&n->accept, HF_IO_ACCEPT, n->fd, accept_done);
	hf_timer_init(&n->retry, retry_fire);
	hf_task_init(&n->task, server_task);
	hf_io_submit(r, &n->accept);
	*out = n;
	return 0;
}

static void adopt(struct hf_nbd_server *n, int fd)
{
	struct nbd_conn *c = NULL;

	if (n->conns_count >= n->conns_max)
		hf_warn("nbd: a client was turned away: %u connections are open, which is the limit", n->conns_count);
	else
		c = hf_nbd_conn_new(n, fd);
	if (!c) {
		hf_close(n->r, fd);
		return;
	}
	hf_list_add_tail(&n->conns, &c->link);
	n->conns_count++;
	n->stats.connections++;
}

static void accept_done(struct hf_io *io)
{
	struct hf_nbd_server *n = hf_container_of(io, struct hf_nbd_server, accept);

	if (n->is_stopping) {
		if (io->result >= 0)
			hf_close(n->r, (int)io->result);
		hf_task_defer(n->r, &n->task);
	} else if (io->result >= 0) {
		adopt(n, (int)io->result);
		hf_io_submit(n->r, &n->accept);
	} else {
		hf_error("nbd: cannot accept a client: %s; trying again", hf_strerror((int)io->result));
		hf_timer_set(n->r, &n->retry, hf_reactor_now(n->r) + NBD_ACCEPT_RETRY_NS);
	}
}

static void retry_fire(struct hf_timer *t)
{
	struct hf_nbd_server *n = hf_container_of(t, struct hf_nbd_server, retry);

	hf_io_submit(n->r, &n->accept);
}

void hf_nbd_server_forget(struct hf_nbd_server *n, struct nbd_conn *c)
{
	hf_list_del(&c->link);
	n->conns_count--;
	if (n->is_stopping)
		hf_task_defer(n->r, &n->task);
}

void hf_nbd_server_stop(struct hf_nbd_server *n, void (*stopped)(void *ctx), void *ctx)
{
	hf_assert(!n->is_stopping);
	n->is_stopping = true;
	n->stopped = stopped;
	n->stopped_ctx = ctx;
	hf_timer_clear(&n->retry);
	hf_io_cancel(n->r, &n->accept);
	hf_list_each(&n->conns, at) {
		struct nbd_conn *c = hf_container_of(at, struct nbd_conn, link);

		hf_nbd_conn_end(c, c->phase == NBD_TRANSMISSION ? NBD_DRAINING : NBD_DEAD);
	}
	hf_task_defer(n->r, &n->task);
}

/* Stopping: gone when nothing is left that could call us. */
static void server_task(struct hf_task *t)
{
	struct hf_nbd_server *n = hf_container_of(t, struct hf_nbd_server, task);
	void (*stopped)(void *ctx) = n->stopped;
	void *ctx = n->stopped_ctx;

	if (!hf_list_is_empty(&n->conns) || !hf_io_is_idle(&n->accept))
		return;
	hf_close(n->r, n->fd);
	hf_buf_put(n->zeros);
	free(n);
	stopped(ctx);
}

bool hf_nbd_session_is_alive(const struct hf_session *s)
{
	const struct nbd_conn *c = hf_container_of(s, const struct nbd_conn, session);

	return c->end == NBD_LIVE && !hf_nbd_sock_is_closed(c->fd);
}

void hf_nbd_server_stats(const struct hf_nbd_server *n, struct hf_nbd_stats *out)
{
	*out = n->stats;
}

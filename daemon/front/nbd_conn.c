// SPDX-License-Identifier: MIT
/*
 * nbd_conn - one connection's life: bytes in, bytes out, and its end.
 *
 * Owns: the socket, one receive and one send at a time, the connection's memory, the session. Does not own: what the
 * bytes mean.
 *
 * Live -> (draining) -> dead -> freed. It is freed when no receive, send, piece or session opening is under way;
 * until then its memory belongs to them.
 */
#include "front/nbd_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

static void conn_task(struct hf_task *t);
static void recv_done(struct hf_io *io);
static void send_done(struct hf_io *io);
static void timer_fire(struct hf_timer *t);

struct nbd_conn *hf_nbd_conn_new(struct hf_nbd_server *n, int fd)
{
	struct nbd_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->rx.data = malloc(NBD_RX_HANDSHAKE);
	c->rx.size = NBD_RX_HANDSHAKE;
	c->tx = malloc(sizeof(*c->tx));
	if (!c->rx.data || !c->tx) {
		free(c->rx.data);
		free(c->tx);
		free(c);
		return NULL;
	}
	memset(c->tx, 0, sizeof(*c->tx));
	c->server = n;
	c->fd = fd;
	hf_list_init(&c->link);
	hf_list_init(&c->free_reqs);
	hf_list_init(&c->free_pieces);
	hf_list_init(&c->out);
	hf_io_init(&c->recv, HF_IO_RECV, fd, recv_done);
	hf_io_init(&c->send, HF_IO_SEND, fd, send_done);
	hf_task_init(&c->task, conn_task);
	hf_timer_init(&c->timer, timer_fire);
	hf_timer_set(n->r, &c->timer, hf_reactor_now(n->r) + NBD_HANDSHAKE_NS);
	hf_nbd_sock_name(fd, ++n->serial, c->who);
	hf_nbd_sock_tune(fd);
	hf_nbd_handshake_start(c);
	hf_nbd_conn_wake(c);
	return c;
}

int hf_nbd_conn_grow(struct nbd_conn *c)
{
	c->rx_next = malloc(NBD_RX_BYTES);
	c->reqs = calloc(NBD_REQUESTS_MAX, sizeof(*c->reqs));
	c->pieces = calloc(NBD_PIECES_MAX, sizeof(*c->pieces));
	if (!c->rx_next || !c->reqs || !c->pieces)
		return -ENOMEM;		/* the connection ends and frees the rest */
	/* Touched here, once: a page fault later would cost more than the write that meets it. */
	memset(c->rx_next, 0, NBD_RX_BYTES);
	for (uint32_t i = 0; i < NBD_REQUESTS_MAX; i++)
		hf_list_add_tail(&c->free_reqs, &c->reqs[i].link);
	for (uint32_t i = 0; i < NBD_PIECES_MAX; i++)
		hf_list_add_tail(&c->free_pieces, &c->pieces[i].link);
	return 0;
}

void hf_nbd_conn_wake(struct nbd_conn *c)
{
	hf_task_defer(c->server->r, &c->task);
}

void hf_nbd_conn_end(struct nbd_conn *c, enum nbd_end how)
{
	if (how <= c->end)
		return;
	if (c->end == NBD_LIVE)
		hf_timer_clear(&c->timer);
	c->end = how;
	hf_io_cancel(c->server->r, &c->recv);
	if (how == NBD_DEAD)
		hf_io_cancel(c->server->r, &c->send);
	hf_nbd_conn_wake(c);
}

void hf_nbd_conn_fail(struct nbd_conn *c, const char *format, ...)
{
	char why[256];
	va_list ap;

	if (c->end == NBD_DEAD)
		return;
	va_start(ap, format);
	vsnprintf(why, sizeof(why), format, ap);
	va_end(ap);
	c->server->stats.protocol_errors++;
	hf_warn("nbd: %s%s%s: %s; connection closed", c->who, c->name[0] ? ", export " : "", c->name, why);
	hf_nbd_conn_end(c, NBD_DEAD);
}

/* ---------------------------------------------------------------- bytes out */

bool hf_nbd_tx_has_room(const struct nbd_conn *c, uint32_t iovs, uint32_t heads)
{
	return c->tx->iov_count + iovs <= NBD_TX_IOV && c->tx->heads_used + heads <= NBD_TX_HEADS;
}

void *hf_nbd_tx_head(struct nbd_conn *c, uint32_t n)
{
	struct nbd_tx *tx = c->tx;
	struct iovec *last = tx->iov_count ? &tx->iov[tx->iov_count - 1] : NULL;
	uint8_t *at = tx->heads + tx->heads_used;

	hf_assert(hf_io_is_idle(&c->send));
	if (!hf_nbd_tx_has_room(c, 1, n))
		return NULL;
	tx->heads_used += n;
	tx->bytes += n;
	if (last && (uint8_t *)last->iov_base + last->iov_len == at)
		last->iov_len += n;
	else
		tx->iov[tx->iov_count++] = (struct iovec){ .iov_base = at, .iov_len = n };
	return at;
}

void hf_nbd_tx_buf(struct nbd_conn *c, struct hf_buf *b, uint32_t bytes, uint32_t held)
{
	struct nbd_tx *tx = c->tx;

	hf_assert(hf_io_is_idle(&c->send) && tx->iov_count < NBD_TX_IOV && bytes <= b->size);
	tx->iov[tx->iov_count++] = (struct iovec){ .iov_base = b->data, .iov_len = bytes };
	tx->bufs[tx->buf_count++] = b;
	tx->bytes += bytes;
	tx->held += held;
}

static void tx_reset(struct nbd_conn *c)
{
	struct nbd_tx *tx = c->tx;

	for (uint32_t i = 0; i < tx->buf_count; i++)
		hf_buf_put(tx->bufs[i]);
	c->held -= tx->held;
	tx->iov_count = tx->buf_count = tx->heads_used = 0;
	tx->bytes = 0;
	tx->held = 0;
}

static void tx_start(struct nbd_conn *c)
{
	struct nbd_tx *tx = c->tx;

	if (c->end == NBD_DEAD || !hf_io_is_idle(&c->send) || tx->iov_count == 0)
		return;
	c->send.buf = tx->iov[0].iov_base;
	c->send.iov = tx->iov;
	c->send.iov_count = tx->iov_count > 1 ? tx->iov_count : 0;
	c->send.len = tx->bytes;
	hf_io_submit(c->server->r, &c->send);
}

static void send_done(struct hf_io *io)
{
	struct nbd_conn *c = hf_container_of(io, struct nbd_conn, send);

	if (io->result < 0)
		hf_nbd_conn_end(c, NBD_DEAD);
	tx_reset(c);
	hf_nbd_conn_wake(c);
}

/* ---------------------------------------------------------------- bytes in */

static bool wants_direct(const struct nbd_conn *c)
{
	return c->filling && nbd_rx_used(&c->rx) == 0 && c->filling->bytes - c->filled >= NBD_DIRECT_MIN;
}

/* From the handshake's buffer to the large one, as soon as no receive is under way into the first. */
static void rx_grow(struct nbd_conn *c)
{
	struct nbd_rx *rx = &c->rx;
	size_t used = nbd_rx_used(rx);

	memcpy(c->rx_next, rx->data + rx->head, used);
	free(rx->data);
	*rx = (struct nbd_rx){ .data = c->rx_next, .size = NBD_RX_BYTES, .tail = used };
	c->rx_next = NULL;
}

/*
 * Room behind tail, made by moving what is unused to the front: a header's fragment, or a backlog while we are
 * stalled.
 */
static size_t rx_room(struct nbd_rx *rx)
{
	size_t used = nbd_rx_used(rx);

	if (used == 0)
		rx->head = rx->tail = 0;
	else if (rx->head > 0 && (used < NBD_DIRECT_MIN || rx->tail == rx->size)) {
		memmove(rx->data, rx->data + rx->head, used);
		rx->head = 0;
		rx->tail = used;
	}
	return rx->size - rx->tail;
}

/*
 * A receive is posted even while requests are stalled, as long as there is room: that is how a vanished client is
 * noticed.
 */
static void rx_start(struct nbd_conn *c)
{
	size_t room;

	if (c->end != NBD_LIVE || !hf_io_is_idle(&c->recv))
		return;
	if (c->rx_next)
		rx_grow(c);
	c->recv_is_direct = wants_direct(c);
	if (c->recv_is_direct) {
		c->recv.buf = c->filling->q.buf->data + c->filled;
		c->recv.len = c->filling->bytes - c->filled;
	} else {
		room = rx_room(&c->rx);
		if (room == 0)
			return;
		c->recv.buf = c->rx.data + c->rx.tail;
		c->recv.len = room;
	}
	hf_io_submit(c->server->r, &c->recv);
}

/* The client has closed its side. What it asked in full is still carried out. */
static void rx_end(struct nbd_conn *c, int64_t result)
{
	bool is_cut = c->issuing || nbd_rx_used(&c->rx) > 0;

	if (result != 0)
		hf_info("nbd: %s: connection lost: %s", c->who, hf_strerror((int)result));
	else if (is_cut)
		hf_info("nbd: %s: left in the middle of a request", c->who);
	hf_nbd_conn_end(c, result != 0 || is_cut || c->phase != NBD_TRANSMISSION ? NBD_DEAD : NBD_DRAINING);
}

static void recv_done(struct hf_io *io)
{
	struct nbd_conn *c = hf_container_of(io, struct nbd_conn, recv);

	hf_nbd_conn_wake(c);
	if (c->end != NBD_LIVE)
		return;
	if (io->result <= 0)
		rx_end(c, io->result);
	else if (c->recv_is_direct)
		c->filled += (uint32_t)io->result;
	else
		c->rx.tail += (size_t)io->result;
}

/* ---------------------------------------------------------------- the turn, and the end */

static void timer_fire(struct hf_timer *t)
{
	struct nbd_conn *c = hf_container_of(t, struct nbd_conn, timer);

	if (c->end == NBD_DRAINING)
		hf_nbd_conn_end(c, NBD_DEAD);
	else
		hf_nbd_conn_fail(c, "no export chosen within %u s", (unsigned int)(NBD_HANDSHAKE_NS / HF_SEC));
}

static bool is_idle(const struct nbd_conn *c)
{
	return c->under_way == 0 && c->phase != NBD_OPENING && hf_io_is_idle(&c->recv) && hf_io_is_idle(&c->send);
}

static void conn_free(struct nbd_conn *c)
{
	struct hf_nbd_server *n = c->server;

	hf_nbd_transmit_drop(c);
	tx_reset(c);
	hf_assert(c->held == 0);
	if (c->session_is_open)
		n->backend->close(n->backend_ctx, &c->session);
	hf_timer_clear(&c->timer);
	hf_task_cancel(&c->task);
	hf_close(n->r, c->fd);
	hf_nbd_server_forget(n, c);
	free(c->reqs);
	free(c->pieces);
	free(c->rx.data);
	free(c->rx_next);
	free(c->tx);
	free(c);
}

/*
 * An end is under way; true: the connection is gone. A drain that only waits for the client to take its answers is
 * timed.
 */
static bool work_on_end(struct nbd_conn *c)
{
	if (c->end == NBD_DRAINING && c->under_way == 0) {
		if (hf_list_is_empty(&c->out) && hf_io_is_idle(&c->send))
			hf_nbd_conn_end(c, NBD_DEAD);
		else if (c->timer.at == HF_NEVER)
			hf_timer_set(c->server->r, &c->timer, hf_reactor_now(c->server->r) + NBD_DRAIN_NS);
	}
	if (c->end != NBD_DEAD || !is_idle(c))
		return false;
	conn_free(c);
	return true;
}

static void conn_task(struct hf_task *t)
{
	struct nbd_conn *c = hf_container_of(t, struct nbd_conn, task);
	bool was_full;

	if (c->phase != NBD_TRANSMISSION) {
		hf_nbd_handshake_work(c);
		tx_start(c);
	}
	if (c->phase == NBD_TRANSMISSION) {
		hf_nbd_transmit_work(c);
		was_full = c->issuing || hf_list_is_empty(&c->free_reqs);
		hf_nbd_reply_work(c);
		tx_start(c);
		if (was_full)
			hf_nbd_transmit_work(c);
	}
	rx_start(c);
	if (c->end != NBD_LIVE)
		(void)work_on_end(c);
}

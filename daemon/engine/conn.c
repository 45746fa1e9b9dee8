// SPDX-License-Identifier: MIT
/* conn - framing over a socket or a local pair (docs/man/holdfast-wire.7). */
#include "engine/conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"

#define TX_DATA_MAX HF_WIRE_FRAME_MAX		/* data frames gather up to here */
#define TX_CAP (2 * HF_WIRE_FRAME_MAX)		/* the rest is for control frames */
#define RX_CAP (2 * HF_WIRE_FRAME_MAX)

static void maybe_closed(struct hf_conn *c)
{
	if (!c->dead || c->closed || !hf_io_is_idle(&c->recv) || !hf_io_is_idle(&c->send))
		return;
	c->closed = true;
	hf_task_defer(c->r, &c->close_task);
}

static void on_close_task(struct hf_task *t)
{
	struct hf_conn *c = hf_container_of(t, struct hf_conn, close_task);

	if (c->fd >= 0)
		hf_close(c->r, c->fd);
	c->fd = -1;
	c->events->closed(c, c->why ? c->why : "closed");
}

void hf_conn_kill(struct hf_conn *c, const char *why)
{
	if (c->dead)
		return;
	c->dead = true;
	c->why = why;
	hf_task_cancel(&c->flush);
	hf_task_cancel(&c->deliver);
	hf_io_cancel(c->r, &c->recv);
	hf_io_cancel(c->r, &c->send);
	maybe_closed(c);
	if (c->pair)
		hf_conn_kill(c->pair, why);
}

/* Take whole frames from [head, tail); returns bytes consumed, or -1 when the connection was killed. */
static int64_t take_frames(struct hf_conn *c, const uint8_t *p, uint32_t len)
{
	uint32_t at = 0;

	while (!c->dead && len - at >= HF_WIRE_HEADER) {
		struct hf_wire_header h;
		const char *why = hf_wire_header_check(p + at);
		uint32_t total;

		if (why) {
			HF_SOMETIMES(CONN_BAD_HEADER);
			hf_conn_kill(c, why);
			return -1;
		}
		hf_wire_header_decode(p + at, &h);
		total = HF_WIRE_HEADER + h.meta_len + h.data_len;
		HF_SOMETIMES_IF(CONN_SPLIT_FRAME, len - at < total);
		if (len - at < total)
			break;
		if (!hf_wire_meta_check(p + at, p + at + HF_WIRE_HEADER)) {
			HF_SOMETIMES(CONN_BAD_META);
			hf_conn_kill(c, "bad meta checksum");
			return -1;
		}
		c->events->frame(c, &h, p + at + HF_WIRE_HEADER, p + at + HF_WIRE_HEADER + h.meta_len);
		at += total;
	}
	return c->dead ? -1 : (int64_t)at;
}

static void start_recv(struct hf_conn *c)
{
	if (c->dead || !hf_io_is_idle(&c->recv))
		return;
	if (c->rx_head == c->rx_tail) {
		c->rx_head = c->rx_tail = 0;	/* the common case: the same warm bytes again */
	} else if (RX_CAP - c->rx_head < HF_WIRE_FRAME_MAX) {
		HF_SOMETIMES(CONN_BYTES_MOVED);
		memmove(c->rx, c->rx + c->rx_head, c->rx_tail - c->rx_head);
		c->rx_tail -= c->rx_head;
		c->rx_head = 0;
	}
	c->recv.buf = c->rx + c->rx_tail;
	c->recv.len = RX_CAP - c->rx_tail;
	hf_io_submit(c->r, &c->recv);
}

static void parse_rx(struct hf_conn *c)
{
	int64_t n = take_frames(c, c->rx + c->rx_head, c->rx_tail - c->rx_head);

	if (n < 0)
		return;
	c->rx_head += (uint32_t)n;
	start_recv(c);
}

static void on_recv(struct hf_io *io)
{
	struct hf_conn *c = hf_container_of(io, struct hf_conn, recv);

	if (c->dead) {
		maybe_closed(c);
		return;
	}
	if (io->result <= 0) {
		hf_conn_kill(c, io->result == 0 ? "the other side closed it" : hf_strerror((int)io->result));
		return;
	}
	c->last_rx = hf_reactor_now(c->r);
	c->rx_bytes += (uint64_t)io->result;
	c->rx_tail += (uint32_t)io->result;
	parse_rx(c);
}

static void tell_room(struct hf_conn *c)
{
	if (!c->want_room || c->dead)
		return;
	c->want_room = false;
	c->events->room(c);
}

static void on_send(struct hf_io *io)
{
	struct hf_conn *c = hf_container_of(io, struct hf_conn, send);

	c->sending = false;
	if (c->dead) {
		maybe_closed(c);
		return;
	}
	if (io->result < 0) {
		hf_conn_kill(c, hf_strerror((int)io->result));
		return;
	}
	c->tx_len[1 - c->fill] = 0;
	if (c->tx_len[c->fill])
		hf_task_defer(c->r, &c->flush);
	tell_room(c);
}

/* Hand what has gathered to the kernel, or to the other side of the pair. */
static void on_flush(struct hf_task *t)
{
	struct hf_conn *c = hf_container_of(t, struct hf_conn, flush);
	uint32_t full = c->fill;

	if (c->dead || c->sending || c->tx_len[full] == 0)
		return;
	hf_assert(!c->reserved);
	c->sending = true;
	c->fill = 1 - full;
	c->tx_bytes += c->tx_len[full];
	if (c->pair) {
		c->pair->rx = c->tx[full];
		c->pair->rx_head = 0;
		c->pair->rx_tail = c->tx_len[full];
		hf_task_defer(c->r, &c->pair->deliver);
		return;
	}
	c->send.buf = c->tx[full];
	c->send.len = c->tx_len[full];
	hf_io_submit(c->r, &c->send);
}

/* Local: the pair's frames arrive. */
static void on_deliver(struct hf_task *t)
{
	struct hf_conn *c = hf_container_of(t, struct hf_conn, deliver);
	struct hf_conn *from = c->pair;

	if (c->dead || !c->rx)
		return;
	c->last_rx = hf_reactor_now(c->r);
	if (take_frames(c, c->rx, c->rx_tail) < 0)
		return;
	c->rx_bytes += c->rx_tail;
	c->rx = NULL;
	from->tx_len[1 - from->fill] = 0;
	from->sending = false;
	if (from->tx_len[from->fill])
		hf_task_defer(from->r, &from->flush);
	tell_room(from);
}

static int conn_init(struct hf_conn *c, struct hf_reactor *r, int fd, const struct hf_conn_events *events, void *ctx)
{
	memset(c, 0, sizeof(*c));
	c->r = r;
	c->fd = fd;
	c->events = events;
	c->ctx = ctx;
	c->last_rx = hf_reactor_now(r);
	hf_list_init(&c->link);
	hf_io_init(&c->recv, HF_IO_RECV, fd, on_recv);
	hf_io_init(&c->send, HF_IO_SEND, fd, on_send);
	hf_task_init(&c->flush, on_flush);
	hf_task_init(&c->close_task, on_close_task);
	hf_task_init(&c->deliver, on_deliver);
	c->tx[0] = malloc(TX_CAP);
	c->tx[1] = malloc(TX_CAP);
	if (!c->tx[0] || !c->tx[1])
		return -ENOMEM;
	return 0;
}

int hf_conn_start(struct hf_conn *c, struct hf_reactor *r, int fd, const struct hf_conn_events *events, void *ctx)
{
	int err = conn_init(c, r, fd, events, ctx);

	c->rx = err ? NULL : malloc(RX_CAP);
	if (!c->rx) {
		hf_conn_fini(c);
		return -ENOMEM;
	}
	start_recv(c);
	return 0;
}

int hf_conn_start_pair(struct hf_conn *a, struct hf_conn *b, struct hf_reactor *r,
		       const struct hf_conn_events *a_events, void *a_ctx, const struct hf_conn_events *b_events,
		       void *b_ctx)
{
	int err = conn_init(a, r, -1, a_events, a_ctx);

	err = conn_init(b, r, -1, b_events, b_ctx) || err;	/* both: both are given back */
	if (err) {
		hf_conn_fini(a);
		hf_conn_fini(b);
		return -ENOMEM;
	}
	a->pair = b;
	b->pair = a;
	return 0;
}

void hf_conn_fini(struct hf_conn *c)
{
	hf_task_cancel(&c->flush);
	hf_task_cancel(&c->deliver);
	hf_task_cancel(&c->close_task);
	free(c->tx[0]);
	free(c->tx[1]);
	if (!c->pair)
		free(c->rx);
	c->tx[0] = c->tx[1] = c->rx = NULL;
}

uint8_t *hf_conn_reserve(struct hf_conn *c, uint32_t meta, uint32_t data, bool control)
{
	uint32_t need = HF_WIRE_HEADER + meta + data, have = c->tx_len[c->fill];

	hf_assert(!c->reserved && meta <= HF_WIRE_META_MAX && data <= HF_FRAME_PAYLOAD_MAX);
	if (c->dead)
		return NULL;
	if (!control && have && have + need > TX_DATA_MAX) {
		HF_SOMETIMES(CONN_FULL);
		c->want_room = true;
		return NULL;
	}
	if (have + need > TX_CAP) {
		hf_conn_kill(c, "the other side does not read");
		return NULL;
	}
	c->reserved = need;
	return c->tx[c->fill] + have + HF_WIRE_HEADER;
}

void hf_conn_commit(struct hf_conn *c, const struct hf_wire_header *h)
{
	uint8_t *at = c->tx[c->fill] + c->tx_len[c->fill];
	uint32_t total = HF_WIRE_HEADER + h->meta_len + h->data_len;

	hf_assert(c->reserved && total <= c->reserved);
	c->reserved = 0;
	hf_wire_header_encode(at, h, at + HF_WIRE_HEADER);
	c->tx_len[c->fill] += total;
	if (!c->sending)
		hf_task_defer(c->r, &c->flush);
}

bool hf_conn_is_drained(const struct hf_conn *c)
{
	return !c->sending && c->tx_len[c->fill] == 0;
}

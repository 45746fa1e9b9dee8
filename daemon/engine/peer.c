// SPDX-License-Identifier: MIT
/* peer - dial, greet, watch over and redial another host. */
#include "engine/peer.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/sometimes.h"
#include "engine/leg_run.h"
#include "engine/volume_run.h"

#define PING_NS (400 * HF_MS)
#define SILENCE_NS (1500 * HF_MS)	/* nothing heard: the connection is dead */
#define DIAL_NS (1000 * HF_MS)
#define RETRY_MIN_NS (50 * HF_MS)
#define RETRY_MAX_NS (2 * HF_SEC)

static void tell_volumes(struct hf_peer *p, bool up)
{
	hf_list_each(&p->host->volumes, n)
		hf_volume_run_peer_changed(hf_container_of(n, struct hf_volume_run, link), p, up);
}

static void lost(struct hf_peer *p, const char *why)
{
	struct hf_host *h = p->host;
	hf_nsec wait = RETRY_MIN_NS << (p->tries < 6 ? p->tries : 6);
	uint64_t jitter;

	if (wait > RETRY_MAX_NS)
		wait = RETRY_MAX_NS;
	hf_reactor_random(h->r, &jitter, sizeof(jitter));
	p->retry_at = hf_reactor_now(h->r) + wait / 2 + jitter % (wait / 2 + 1);
	p->tries++;
	p->why = why;
	p->state = HF_PEER_IDLE;
	hf_host_peer_lost(h, p);
	if (!h->stopping)
		tell_volumes(p, false);
}

static void is_up(struct hf_peer *p)
{
	p->state = HF_PEER_UP;
	p->tries = 0;
	p->why = NULL;
	p->up_at = hf_reactor_now(p->host->r);
	p->ping_at = p->up_at;
	tell_volumes(p, true);
}

static void on_welcome(struct hf_peer *p, struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta)
{
	struct hf_hello m;

	if (p->state != HF_PEER_HELLO || hf_wire_hello_decode(meta, h->meta_len, &m)) {
		hf_conn_kill(c, "unexpected greeting");
		return;
	}
	if (!hf_uuid_is_equal(&m.cluster, &p->host->cluster) || strcmp(m.host, p->name) != 0) {
		hf_warn("peer %s at %s: another cluster or host (%s) answers; check the host record", p->name,
			p->dialled, m.host);
		hf_conn_kill(c, "another cluster or host answers at its address");
		return;
	}
	c->instance = m.instance;
	is_up(p);
}

static void on_frame(struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta, const uint8_t *data)
{
	struct hf_peer *p = c->ctx;

	if (h->type == HF_WIRE_WELCOME)
		on_welcome(p, c, h, meta);
	else if (h->type == HF_WIRE_PONG)
		;			/* that it came is what counts: last_rx */
	else if (p->state != HF_PEER_UP || (h->type & 1))
		hf_conn_kill(c, "a request on a connection for answers");
	else
		hf_host_answer(p->host, c, h, meta, data);
}

static void on_room(struct hf_conn *c)
{
	struct hf_peer *p = c->ctx;

	hf_list_each(&p->host->volumes, n)
		hf_volume_run_room(hf_container_of(n, struct hf_volume_run, link), p);
}

/* Both sides of the local pair have to be at rest before it is made again. */
static void on_closed(struct hf_conn *c, const char *why)
{
	struct hf_peer *p = c->ctx;

	if (c == &p->far)
		hf_leg_run_conn_gone(p->host, c);
	if (p->local && --p->pair_open > 0)
		return;
	if (p->local) {
		hf_conn_fini(&p->far);
		c = &p->conn;
	}
	if (p->state == HF_PEER_UP) {
		p->heard_at = p->conn.last_rx;
		hf_info("peer %s: connection lost: %s", p->name, why);
	}
	hf_conn_fini(c);
	lost(p, why);
}

static const struct hf_conn_events peer_events = { .frame = on_frame, .room = on_room, .closed = on_closed };

static void send_hello(struct hf_peer *p)
{
	struct hf_host *h = p->host;
	struct hf_hello m = {
		.cluster = h->cluster,
		.instance = h->instance,
		.generation = p->gen,
		.version_min = HF_WIRE_VERSION,
		.version_max = HF_WIRE_VERSION,
	};
	struct hf_wire_header hdr = { .type = HF_WIRE_HELLO };
	uint8_t *meta = hf_conn_reserve(&p->conn, 256, 0, true);

	if (!meta)
		return;
	memcpy(m.host, h->name, HF_NAME_MAX);
	hdr.meta_len = hf_wire_hello_encode(meta, &m);
	hf_conn_commit(&p->conn, &hdr);
}

static void on_connected(struct hf_io *io)
{
	struct hf_peer *p = hf_container_of(io, struct hf_peer, connect);

	HF_SOMETIMES_IF(PEER_REFUSED, io->result < 0);
	if (p->host->stopping || io->result < 0) {
		if (io->result >= 0)
			hf_close(p->host->r, (int)io->result);
		lost(p, hf_strerror((int)io->result));
		return;
	}
	if (hf_conn_start(&p->conn, p->host->r, (int)io->result, &peer_events, p)) {
		hf_close(p->host->r, (int)io->result);
		lost(p, "out of memory");
		return;
	}
	memcpy(p->conn.name, p->name, HF_NAME_MAX);
	p->conn.generation = p->gen;
	p->state = HF_PEER_HELLO;
	send_hello(p);
}

static void dial(struct hf_peer *p, hf_nsec now)
{
	p->gen = ++p->host->generation;
	p->dialled_at = now;
	p->state = HF_PEER_CONNECTING;
	memcpy(p->dialled, p->addr, sizeof(p->dialled));
	hf_io_init(&p->connect, HF_IO_CONNECT, -1, on_connected);
	p->connect.addr = p->dialled;
	hf_io_submit(p->host->r, &p->connect);
}

static void ping(struct hf_peer *p)
{
	struct hf_wire_header hdr = { .type = HF_WIRE_PING };

	if (hf_conn_reserve(&p->conn, 0, 0, true))
		hf_conn_commit(&p->conn, &hdr);
}

static void on_far_frame(struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta, const uint8_t *data)
{
	struct hf_peer *p = c->ctx;

	hf_host_request(p->host, c, h, meta, data);
}

static void on_far_room(struct hf_conn *c)
{
	struct hf_peer *p = c->ctx;

	hf_leg_run_conn_room(p->host, c);
}

static const struct hf_conn_events far_events = { .frame = on_far_frame, .room = on_far_room, .closed = on_closed };

/* Our own host: no socket, the same frames. */
static void pair_up(struct hf_peer *p)
{
	struct hf_host *h = p->host;

	p->gen = ++h->generation;
	hf_assert(hf_conn_start_pair(&p->conn, &p->far, h->r, &peer_events, p, &far_events, p) == 0);
	p->pair_open = 2;
	p->conn.generation = p->gen;
	p->far.generation = p->gen;
	memcpy(p->conn.name, h->name, HF_NAME_MAX);
	memcpy(p->far.name, h->name, HF_NAME_MAX);
	is_up(p);
}

void hf_peer_tick(struct hf_peer *p, hf_nsec now)
{
	if (p->local) {
		if (p->state == HF_PEER_IDLE && now >= p->retry_at)
			pair_up(p);
		return;
	}
	switch (p->state) {
	case HF_PEER_IDLE:
		if (p->addr[0] && now >= p->retry_at)
			dial(p, now);
		break;
	case HF_PEER_CONNECTING:
		HF_SOMETIMES_IF(PEER_DIAL_TIMEOUT, now >= p->dialled_at + DIAL_NS);
		if (now >= p->dialled_at + DIAL_NS)
			hf_io_cancel(p->host->r, &p->connect);
		break;
	case HF_PEER_HELLO:
	case HF_PEER_UP:
		HF_SOMETIMES_IF(PEER_SILENT, now >= p->conn.last_rx + SILENCE_NS && !p->conn.dead);
		HF_SOMETIMES_IF(PEER_NO_WELCOME, now >= p->conn.last_rx + SILENCE_NS && p->state == HF_PEER_HELLO);
		if (now >= p->conn.last_rx + SILENCE_NS)
			hf_conn_kill(&p->conn, "no heartbeat");
		else if (strcmp(p->addr, p->dialled) != 0)
			hf_conn_kill(&p->conn, "its address changed");
		else if (p->state == HF_PEER_UP && now >= p->ping_at) {
			p->ping_at = now + PING_NS;
			ping(p);
		}
		break;
	case HF_PEER_CLOSING:
		break;
	}
}

struct hf_peer *hf_peer_new(struct hf_host *h, const char *name)
{
	struct hf_peer *p = calloc(1, sizeof(*p));

	hf_assert(p);
	p->host = h;
	strncpy(p->name, name, HF_NAME_MAX - 1);
	hf_io_init(&p->connect, HF_IO_CONNECT, -1, on_connected);
	hf_list_add_tail(&h->peers, &p->link);
	if (strcmp(name, h->name) == 0) {
		p->local = true;
		pair_up(p);
	}
	return p;
}

void hf_peer_set_address(struct hf_peer *p, const char *addr)
{
	if (p->local || strcmp(p->addr, addr) == 0)
		return;
	memset(p->addr, 0, sizeof(p->addr));
	strncpy(p->addr, addr, sizeof(p->addr) - 1);
	p->retry_at = 0;
	p->tries = 0;
}

void hf_peer_stop(struct hf_peer *p)
{
	if (p->state == HF_PEER_CONNECTING)
		hf_io_cancel(p->host->r, &p->connect);
	else if ((p->state == HF_PEER_UP || p->state == HF_PEER_HELLO) && !p->local)
		hf_conn_kill(&p->conn, "stopping");
}

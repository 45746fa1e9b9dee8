// SPDX-License-Identifier: MIT
/*
 * host - accept peers, route frames. Refuses other clusters, unknown versions and connections that a newer one
 * replaced (H25).
 */
#include "engine/host.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/sometimes.h"
#include "engine/leg_run.h"
#include "engine/peer.h"
#include "engine/volume_run.h"

#define TICK_NS (50 * HF_MS)
#define INBOUND_SILENCE_NS (3 * HF_SEC)
#define INBOUND_MAX 256u

struct inbound {
	struct hf_conn conn;
	struct hf_host *host;
	bool greeted;
	struct hf_list link;
};

static struct hf_list *bucket(struct hf_host *h, const struct hf_uuid *u)
{
	return &h->legs[u->b[0] % HF_HOST_BUCKETS];
}

struct hf_leg_run *hf_host_find_leg(struct hf_host *h, const struct hf_uuid *leg)
{
	hf_list_each(bucket(h, leg), n) {
		struct hf_leg_run *l = hf_container_of(n, struct hf_leg_run, link);

		if (hf_uuid_is_equal(&l->id.leg, leg))
			return l;
	}
	return NULL;
}

void hf_host_add_leg(struct hf_host *h, struct hf_leg_run *l)
{
	hf_list_add_tail(bucket(h, &l->id.leg), &l->link);
}

struct hf_volume_run *hf_host_find_volume(struct hf_host *h, const struct hf_uuid *leg, uint32_t *index)
{
	hf_list_each(&h->volumes, n) {
		struct hf_volume_run *v = hf_container_of(n, struct hf_volume_run, link);

		for (uint32_t i = 0; i < v->core->record.leg_count; i++) {
			if (hf_uuid_is_equal(&v->core->record.leg[i].uuid, leg)) {
				*index = i;
				return v;
			}
		}
	}
	return NULL;
}

struct hf_peer *hf_host_peer(struct hf_host *h, const char *name)
{
	hf_list_each(&h->peers, n) {
		struct hf_peer *p = hf_container_of(n, struct hf_peer, link);

		if (strcmp(p->name, name) == 0)
			return p;
	}
	return hf_peer_new(h, name);
}

void hf_host_set_address(struct hf_host *h, const char *name, const char *addr)
{
	hf_peer_set_address(hf_host_peer(h, name), addr);
}

static void reply_none(struct hf_host *h, struct hf_conn *c, const struct hf_wire_header *hdr)
{
	uint8_t result = h->ops->is_opening(h->ctx, &hdr->leg) ? HF_LEG_WRONG_STATE : HF_LEG_NONE;
	struct hf_wire_header out = { .type = (uint8_t)(hdr->type + 1), .leg = hdr->leg, .tag = hdr->tag };
	uint8_t *meta = hf_conn_reserve(c, 1024, 0, true);

	HF_SOMETIMES_IF(HOST_LEG_OPENING, result == HF_LEG_WRONG_STATE);
	HF_SOMETIMES_IF(HOST_LEG_UNKNOWN, result == HF_LEG_NONE);
	if (!meta)
		return;
	switch (hdr->type) {
	case HF_WIRE_PREPARE:
	case HF_WIRE_LOOK:
		out.meta_len = hf_wire_promise_encode(meta, &(struct hf_promise){ .result = result });
		break;
	case HF_WIRE_ADOPT:
		out.meta_len =
			hf_wire_adopted_encode(meta, &(struct hf_adopted){.result = result, .epoch = hdr->epoch});
		break;
	case HF_WIRE_READ:
		out.meta_len = hf_wire_read_data_encode(meta, &(struct hf_wire_read_data){ .result = -ENOENT });
		break;
	case HF_WIRE_MAP:
	case HF_WIRE_FETCH:
		out.count = 0;
		break;
	default:
		out.type = HF_WIRE_ACK;
		out.meta_len = hf_wire_ack_encode(meta, &(struct hf_ack){ .result = result });
		break;
	}
	hf_conn_commit(c, &out);
}

void hf_host_request(struct hf_host *h, struct hf_conn *c, const struct hf_wire_header *hdr, const uint8_t *meta,
		     const uint8_t *data)
{
	struct hf_leg_run *l;

	if (hdr->type == HF_WIRE_FORMAT || hdr->type == HF_WIRE_DELETE || hdr->type == HF_WIRE_STEP_DOWN) {
		struct hf_remote_call *call;
		struct hf_wire_format m;

		if (hdr->type == HF_WIRE_FORMAT && hf_wire_format_decode(meta, hdr->meta_len, &m)) {
			hf_conn_kill(c, "malformed FORMAT");
			return;
		}
		call = hf_remote_call_new(h, c, hdr);
		if (hdr->type == HF_WIRE_FORMAT)
			h->ops->format(h->ctx, &m, call);
		else if (hdr->type == HF_WIRE_STEP_DOWN)
			h->ops->step_down(h->ctx, &hdr->leg, call);
		else
			h->ops->delete(h->ctx, &hdr->leg, call);
		return;
	}
	l = hf_host_find_leg(h, &hdr->leg);
	if (l)
		hf_leg_run_frame(l, c, hdr, meta, data);
	else
		reply_none(h, c, hdr);
}

static bool greet(struct inbound *in, const struct hf_wire_header *hdr, const uint8_t *meta)
{
	struct hf_host *h = in->host;
	struct hf_wire_header out = { .type = HF_WIRE_WELCOME };
	struct hf_hello m, mine = { .cluster = h->cluster, .instance = h->instance, .version_min = HF_WIRE_VERSION,
				    .version_max = HF_WIRE_VERSION };
	uint8_t *reply;

	if (hdr->type != HF_WIRE_HELLO || hf_wire_hello_decode(meta, hdr->meta_len, &m)) {
		hf_conn_kill(&in->conn, "no greeting");
		return false;
	}
	if (!hf_uuid_is_equal(&m.cluster, &h->cluster)) {
		hf_warn("inbound connection from host %s: it is of another cluster; refused", m.host);
		hf_conn_kill(&in->conn, "a host of another cluster");
		return false;
	}
	if (m.version_min > HF_WIRE_VERSION || m.version_max < HF_WIRE_VERSION) {
		hf_warn("inbound connection from host %s: it speaks protocol %u to %u, this host %u; upgrade the older "
			"one",
			m.host, m.version_min, m.version_max, HF_WIRE_VERSION);
		hf_conn_kill(&in->conn, "no common protocol version");
		return false;
	}
	memcpy(in->conn.name, m.host, HF_NAME_MAX);
	in->conn.instance = m.instance;
	in->conn.generation = m.generation;
	/* guard: one connection a host; bytes of an older one are refused from here on (H25) */
	hf_list_each(&h->inbound, n) {
		struct inbound *old = hf_container_of(n, struct inbound, link);

		if (old == in || !old->greeted || strcmp(old->conn.name, m.host) != 0)
			continue;
		if (hf_uuid_is_equal(&old->conn.instance, &m.instance) && old->conn.generation > m.generation) {
			HF_SOMETIMES(HOST_OLD_CONN_REFUSED);
			hf_conn_kill(&in->conn, "older than the connection that is there");
			return false;
		}
		HF_SOMETIMES(HOST_CONN_REPLACED);
		hf_conn_kill(&old->conn, "replaced by a newer connection");
		hf_leg_run_conn_gone(h, &old->conn);
	}
	in->greeted = true;
	reply = hf_conn_reserve(&in->conn, 256, 0, true);
	if (!reply)
		return false;
	memcpy(mine.host, h->name, HF_NAME_MAX);
	out.meta_len = hf_wire_hello_encode(reply, &mine);
	hf_conn_commit(&in->conn, &out);
	return true;
}

static void on_inbound_frame(struct hf_conn *c, const struct hf_wire_header *hdr, const uint8_t *meta,
			     const uint8_t *data)
{
	struct inbound *in = hf_container_of(c, struct inbound, conn);

	if (!in->greeted) {
		if (!greet(in, hdr, meta))
			in->host->rejected++;
		return;
	}
	if (hdr->type == HF_WIRE_PING) {
		struct hf_wire_header pong = { .type = HF_WIRE_PONG };

		if (hf_conn_reserve(c, 0, 0, true))
			hf_conn_commit(c, &pong);
		return;
	}
	if (!(hdr->type & 1) || hdr->type == HF_WIRE_HELLO) {
		hf_conn_kill(c, "an answer on a connection for requests");
		return;
	}
	hf_host_request(in->host, c, hdr, meta, data);
}

static void on_inbound_room(struct hf_conn *c)
{
	struct inbound *in = hf_container_of(c, struct inbound, conn);

	hf_leg_run_conn_room(in->host, c);
}

static void on_inbound_closed(struct hf_conn *c, const char *why)
{
	struct inbound *in = hf_container_of(c, struct inbound, conn);

	if (!in->host->stopping)
		hf_info("inbound connection from %s ended: %s", c->name[0] ? c->name : "an unknown host", why);
	hf_leg_run_conn_gone(in->host, c);
	hf_list_del(&in->link);
	hf_conn_fini(c);
	free(in);
}

static const struct hf_conn_events inbound_events = {
	.frame = on_inbound_frame,
	.room = on_inbound_room,
	.closed = on_inbound_closed,
};

static uint32_t inbound_count(const struct hf_host *h)
{
	uint32_t n = 0;

	for (const struct hf_list *i = h->inbound.next; i != &h->inbound; i = i->next)
		n++;
	return n;
}

static void on_accept(struct hf_io *io)
{
	struct hf_host *h = hf_container_of(io, struct hf_host, accept);
	struct inbound *in;

	if (h->stopping) {
		if (io->result >= 0)
			hf_close(h->r, (int)io->result);
		hf_close(h->r, h->listen_fd);
		return;
	}
	if (io->result >= 0) {
		in = inbound_count(h) < INBOUND_MAX ? calloc(1, sizeof(*in)) : NULL;
		if (in)
			in->host = h;
		if (!in || hf_conn_start(&in->conn, h->r, (int)io->result, &inbound_events, NULL)) {
			hf_close(h->r, (int)io->result);
			free(in);
			h->rejected++;
		} else {
			hf_list_add_tail(&h->inbound, &in->link);
		}
		hf_io_submit(h->r, &h->accept);
		return;
	}
	h->accept_again = true;		/* not at once: what is short now would be short again */
}

static void on_tick(struct hf_timer *t)
{
	struct hf_host *h = hf_container_of(t, struct hf_host, tick);
	hf_nsec now = hf_reactor_now(h->r);

	if (h->stopping)
		return;
	if (h->accept_again) {
		h->accept_again = false;
		hf_io_submit(h->r, &h->accept);
	}
	hf_list_each(&h->peers, n)
		hf_peer_tick(hf_container_of(n, struct hf_peer, link), now);
	hf_list_each(&h->inbound, n) {
		struct inbound *in = hf_container_of(n, struct inbound, link);

		HF_SOMETIMES_IF(HOST_CONN_SILENT, now >= in->conn.last_rx + INBOUND_SILENCE_NS && !in->conn.dead);
		if (now >= in->conn.last_rx + INBOUND_SILENCE_NS)
			hf_conn_kill(&in->conn, "silent");
	}
	hf_list_each(&h->volumes, n)
		hf_volume_run_tick(hf_container_of(n, struct hf_volume_run, link));
	hf_timer_set(h->r, &h->tick, now + TICK_NS);
}

void hf_host_init(struct hf_host *h, struct hf_reactor *r, struct hf_buf_pool *pool, const char *name,
		  const struct hf_uuid *cluster, const struct hf_host_ops *ops, void *ctx, int listen_fd)
{
	memset(h, 0, sizeof(*h));
	h->r = r;
	h->pool = pool;
	h->in_flight_max = HF_IN_FLIGHT_MAX;
	strncpy(h->name, name, HF_NAME_MAX - 1);
	h->cluster = *cluster;
	hf_reactor_random(r, &h->instance, sizeof(h->instance));
	hf_uuid_stamp(&h->instance);
	h->ops = ops;
	h->ctx = ctx;
	h->listen_fd = listen_fd;
	hf_list_init(&h->inbound);
	hf_list_init(&h->peers);
	hf_list_init(&h->volumes);
	hf_list_init(&h->calls);
	for (uint32_t b = 0; b < HF_HOST_BUCKETS; b++)
		hf_list_init(&h->legs[b]);
	hf_timer_init(&h->tick, on_tick);
	hf_timer_set(r, &h->tick, hf_reactor_now(r) + TICK_NS);
	hf_io_init(&h->accept, HF_IO_ACCEPT, listen_fd, on_accept);
	hf_io_submit(r, &h->accept);
	hf_host_peer(h, name);
}

void hf_host_stop(struct hf_host *h)
{
	h->stopping = true;
	hf_timer_clear(&h->tick);
	if (h->accept_again)
		hf_close(h->r, h->listen_fd);
	else
		hf_io_cancel(h->r, &h->accept);
	hf_list_each(&h->peers, n)
		hf_peer_stop(hf_container_of(n, struct hf_peer, link));
	hf_list_each(&h->inbound, n)
		hf_conn_kill(&hf_container_of(n, struct inbound, link)->conn, "stopping");
}

/* Admin calls: we ask (hf_admin_call), or we are asked (hf_remote_call). */

struct hf_remote_call {
	struct hf_host *host;
	char from[HF_NAME_MAX];
	struct hf_uuid instance;
	uint64_t generation;
	struct hf_conn *local;		/* asked by our own host */
	struct hf_wire_header hdr;
};

struct hf_remote_call *hf_remote_call_new(struct hf_host *h, struct hf_conn *c, const struct hf_wire_header *hdr)
{
	struct hf_remote_call *call = calloc(1, sizeof(*call));

	hf_assert(call);
	call->host = h;
	memcpy(call->from, c->name, HF_NAME_MAX);
	call->instance = c->instance;
	call->generation = c->generation;
	call->local = c->pair ? c : NULL;
	call->hdr = *hdr;
	return call;
}

/* The connection that a call came on, when it is still there. */
static struct hf_conn *call_conn(struct hf_remote_call *call)
{
	if (call->local)
		return call->local;
	hf_list_each(&call->host->inbound, n) {
		struct inbound *in = hf_container_of(n, struct inbound, link);

		if (in->greeted && in->conn.generation == call->generation &&
		    hf_uuid_is_equal(&in->conn.instance, &call->instance) && strcmp(in->conn.name, call->from) == 0)
			return &in->conn;
	}
	return NULL;
}

void hf_host_admin_done(struct hf_host *h, void *opaque, int result, const char *words)
{
	struct hf_remote_call *call = opaque;
	struct hf_conn *c = call_conn(call);
	struct hf_wire_header out = {.type = (uint8_t)(call->hdr.type + 1), .leg = call->hdr.leg, .tag = call->hdr.tag};
	struct hf_wire_done m = { .result = result };
	uint8_t *meta = c ? hf_conn_reserve(c, 512, 0, true) : NULL;

	(void)h;
	HF_SOMETIMES_IF(HOST_CALLER_GONE, !c);
	if (meta) {
		strncpy(m.words, words ? words : "", sizeof(m.words) - 1);
		out.meta_len = hf_wire_done_encode(meta, &m);
		hf_conn_commit(c, &out);
	}
	free(call);
}

static int admin_call(struct hf_host *h, const char *host, uint8_t type, const struct hf_uuid *leg,
		      const struct hf_wire_format *m, struct hf_admin_call *call)
{
	struct hf_peer *p = hf_host_peer(h, host);
	struct hf_wire_header hdr = { .type = type, .leg = *leg };
	uint8_t *meta;

	if (!hf_peer_is_up(p))
		return -EHOSTUNREACH;
	meta = hf_conn_reserve(&p->conn, 512, 0, true);
	if (!meta)
		return -EHOSTUNREACH;
	call->tag = ++h->call_next;
	call->peer = p;
	hdr.tag = call->tag;
	hdr.meta_len = m ? hf_wire_format_encode(meta, m) : 0;
	hf_conn_commit(&p->conn, &hdr);
	hf_list_add_tail(&h->calls, &call->link);
	return 0;
}

int hf_host_format(struct hf_host *h, const char *host, const struct hf_wire_format *m, struct hf_admin_call *call)
{
	return admin_call(h, host, HF_WIRE_FORMAT, &m->id.leg, m, call);
}

int hf_host_delete(struct hf_host *h, const char *host, const struct hf_uuid *leg, struct hf_admin_call *call)
{
	return admin_call(h, host, HF_WIRE_DELETE, leg, NULL, call);
}

int hf_host_look(struct hf_host *h, const char *host, const struct hf_uuid *leg, struct hf_admin_call *call)
{
	return admin_call(h, host, HF_WIRE_LOOK, leg, NULL, call);
}

int hf_host_step_down(struct hf_host *h, const char *host, const struct hf_uuid *leg, struct hf_admin_call *call)
{
	return admin_call(h, host, HF_WIRE_STEP_DOWN, leg, NULL, call);
}

void hf_host_peer_lost(struct hf_host *h, struct hf_peer *p)
{
	hf_list_each(&h->calls, n) {
		struct hf_admin_call *call = hf_container_of(n, struct hf_admin_call, link);

		if (call->peer != p)
			continue;
		HF_SOMETIMES(HOST_CALL_LOST);
		hf_list_del(&call->link);
		call->done(call, -EHOSTUNREACH, "the connection to the host was lost");
	}
}

static void admin_answer(struct hf_host *h, struct hf_conn *c, const struct hf_wire_header *hdr, const uint8_t *meta)
{
	struct hf_wire_done m = { 0 };
	struct hf_promise promise;
	bool look = hdr->type == HF_WIRE_LOOKED;

	if (look ? hf_wire_promise_decode(meta, hdr->meta_len, &promise)
		 : hf_wire_done_decode(meta, hdr->meta_len, &m)) {
		hf_conn_kill(c, "malformed answer");
		return;
	}
	hf_list_each(&h->calls, n) {
		struct hf_admin_call *call = hf_container_of(n, struct hf_admin_call, link);

		if (call->tag != hdr->tag || look != (call->promise != NULL))
			continue;
		hf_list_del(&call->link);
		if (look)
			*call->promise = promise;
		call->done(call, m.result, m.words);
		return;
	}
}

void hf_host_answer(struct hf_host *h, struct hf_conn *c, const struct hf_wire_header *hdr, const uint8_t *meta,
		    const uint8_t *data)
{
	struct hf_volume_run *v;
	uint32_t leg;

	if (hdr->type == HF_WIRE_FORMATTED || hdr->type == HF_WIRE_DELETED || hdr->type == HF_WIRE_LOOKED ||
	    hdr->type == HF_WIRE_STEPPED_DOWN) {
		admin_answer(h, c, hdr, meta);
		return;
	}
	v = hf_host_find_volume(h, &hdr->leg, &leg);
	if (v)
		hf_volume_run_answer(v, leg, c, hdr, meta, data);
}

// SPDX-License-Identifier: MIT
/*
 * sim_net - connections between hosts, and what can go wrong with them.
 *
 * A connection is two pipes. A pipe is a ring of bytes with four marks, acked <= head <= vis <= tail:
 *   tail    accepted from the sender (its SEND is done when all its bytes are)
 *   vis     arrived at the receiver's host
 *   head    read by the receiver
 *   acked   the sender knows that: room = size - (tail - acked)
 * Segments carry accepted bytes to `vis`, each at its own time, in order. A cut stops `vis` in one direction and
 * `acked` in the other. Nothing is lost on a connection but by its end: a reset, or silence for ever (half-open).
 */
#include "sim/sim_int.h"

#include <stdlib.h>
#include <string.h>

#include "codec/csum.h"

#define RING (1u << 20)			/* bytes; config.net_buffer is at most this */
#define SEGS 32u			/* under way in one pipe; more are joined */
#define BACKLOG 128u
#define CONNECT_NS (127 * HF_SEC)	/* a kernel gives up after its last SYN */

struct seg {
	uint64_t end;
	hf_nsec at;
};

struct pipe {
	struct conn *conn;
	uint32_t from;			/* side that sends */
	uint8_t *ring;
	uint64_t acked, head, vis, tail;
	struct seg seg[SEGS];
	uint32_t seg_first, seg_count;
	hf_nsec last_at;
	bool is_planned;		/* an event for the first segment is due */
	bool is_stalled;		/* it came, and a cut or a dead host stopped it */
	bool is_fin_sent, is_fin_seen;
};

struct sock {
	struct conn *conn;
	uint32_t side;
	struct host *host;
	struct hf_list link;		/* listener's backlog */
	bool is_closed;			/* by its owner, or the host died */
	bool is_reset;
	bool is_lost;			/* bytes that arrived before the reset are gone too */
	struct req *recv, *send;	/* waiting */
};

struct conn {
	struct pool_item item;
	uint32_t gen;
	struct hf_list link;
	struct sock sock[2];
	struct pipe pipe[2];		/* pipe[i] carries what sock[i] sends */
	bool is_silent;			/* half-open */
};

struct listener {
	struct hf_list link;
	struct host *host;
	char addr[HF_ADDR_MAX];
	bool is_private;
	struct hf_list backlog;		/* sock.link */
	uint32_t backlog_count;
	struct hf_list accepts;		/* req.wait */
};

void sim_net_init(struct sim_world *w)
{
	w->conns.size = sizeof(struct conn);
	w->rings.size = RING;
	hf_list_init(&w->conns_live);
	hf_list_init(&w->listeners);
}

static struct sock *peer(const struct sock *s)
{
	return &s->conn->sock[1 - s->side];
}

static struct pipe *pipe_out(const struct sock *s)
{
	return &s->conn->pipe[s->side];
}

static struct pipe *pipe_in(const struct sock *s)
{
	return &s->conn->pipe[1 - s->side];
}

static bool is_cut(const struct host *from, const struct host *to)
{
	return from->world->cut[from->index][to->index];
}

static struct sim_world *world_of(const struct sock *s)
{
	return s->host->world;
}

/* One-way time of a packet; `to` NULL: some other host. */
static hf_nsec delay(struct host *from, const struct host *to)
{
	hf_nsec t = sim_latency(&from->rng[STREAM_NET], from->config.net_delay);

	if (from == to)
		return t / 8;
	if (sim_chance(from, SIM_NET_SPIKE))
		t += rng_below(&from->rng[SIM_NET_SPIKE], from->config.net_spike);
	return t;
}

/* Life of a connection. */

static struct conn *conn_new(struct host *a, struct host *b)
{
	struct sim_world *w = a->world;
	struct conn *c = pool_get(&w->conns);
	uint32_t gen = c->gen;

	memset(c, 0, sizeof(*c));
	c->gen = gen;
	for (uint32_t i = 0; i < 2; i++) {
		c->sock[i] = (struct sock){ .conn = c, .side = i, .host = i ? b : a };
		hf_list_init(&c->sock[i].link);
		c->pipe[i].conn = c;
		c->pipe[i].from = i;
	}
	hf_list_add_tail(&w->conns_live, &c->link);
	return c;
}

static void conn_free(struct conn *c)
{
	struct sim_world *w = world_of(&c->sock[0]);

	for (uint32_t i = 0; i < 2; i++) {
		hf_assert(!c->sock[i].recv && !c->sock[i].send);
		if (c->pipe[i].ring)
			pool_put(&w->rings, c->pipe[i].ring);
	}
	c->gen++;
	hf_list_del(&c->link);
	pool_put(&w->conns, c);
}

static void release(struct conn *c)
{
	if (c->sock[0].is_closed && c->sock[1].is_closed)
		conn_free(c);
}

static struct seg *first_seg(struct pipe *p)
{
	return &p->seg[p->seg_first % SEGS];
}

static void plan_pipe(struct pipe *p)
{
	struct sim_world *w = world_of(&p->conn->sock[0]);

	if (p->is_planned || p->is_stalled || p->seg_count == 0)
		return;
	p->is_planned = true;
	sim_event_add(w, first_seg(p)->at, EVENT_PIPE, p, p->conn->gen);
}

/* Bytes up to tail (or the end of the stream) leave for the other side. */
static void send_segment(struct pipe *p, uint64_t bytes)
{
	struct sock *s = &p->conn->sock[p->from];
	struct host *from = s->host, *to = peer(s)->host;
	hf_nsec now = world_of(s)->now;
	hf_nsec at;

	if (from->nic_until < now)
		from->nic_until = now;
	if (from != to)
		from->nic_until += bytes * HF_SEC / (from->config.net_bandwidth ? from->config.net_bandwidth : 1);
	at = (from == to ? now : from->nic_until) + delay(from, to);
	if (at <= p->last_at)
		at = p->last_at + 1;
	p->last_at = at;
	if (p->seg_count == SEGS) {
		p->seg[(p->seg_first + SEGS - 1) % SEGS] = (struct seg){ .end = p->tail, .at = at };
	} else {
		p->seg[(p->seg_first + p->seg_count) % SEGS] = (struct seg){ .end = p->tail, .at = at };
		p->seg_count++;
	}
	plan_pipe(p);
}

/* Receiving and sending. */

static void ring_read(const struct pipe *p, uint64_t at, uint8_t *to, size_t len)
{
	size_t first = RING - at % RING < len ? RING - at % RING : len;

	memcpy(to, p->ring + at % RING, first);
	memcpy(to + first, p->ring, len - first);
}

static void ring_write(struct pipe *p, const uint8_t *from, size_t len)
{
	size_t first = RING - p->tail % RING < len ? RING - p->tail % RING : len;

	memcpy(p->ring + p->tail % RING, from, first);
	memcpy(p->ring, from + first, len - first);
	sim_fold(world_of(&p->conn->sock[0]), hf_crc32c(from, len));
	p->tail += len;
}

static void finish_recv(struct sock *s, int64_t result)
{
	struct req *q = s->recv;

	s->recv = NULL;
	sim_req_done(q, result);
}

static void finish_send(struct sock *s, int64_t result)
{
	struct req *q = s->send;

	s->send = NULL;
	sim_req_done(q, result);
}

static size_t copy_out(struct hf_io *io, struct pipe *p, size_t room)
{
	size_t left = io->len - io->progress;
	size_t n = left < room ? left : room;
	size_t skip = io->progress, todo = n;

	/* An empty pipe starts over: few bytes stay in few pages. */
	if (p->acked == p->tail && p->seg_count == 0)
		p->acked = p->head = p->vis = p->tail = 0;
	/* A ring is large: made when the first byte is sent. */
	if (n > 0 && !p->ring)
		p->ring = pool_get(&world_of(&p->conn->sock[0])->rings);
	if (io->iov_count == 0)
		ring_write(p, (uint8_t *)io->buf + io->progress, n);
	for (uint32_t i = 0; i < io->iov_count && todo > 0; i++) {
		size_t len = io->iov[i].iov_len, part;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		part = len - skip < todo ? len - skip : todo;
		ring_write(p, (uint8_t *)io->iov[i].iov_base + skip, part);
		todo -= part;
		skip = 0;
	}
	io->progress += n;
	return n;
}

static void serve_send(struct sock *s)
{
	struct pipe *p = pipe_out(s);
	uint32_t size = s->host->config.net_buffer;
	size_t room, n;

	if (!s->send)
		return;
	if (s->is_reset) {
		finish_send(s, peer(s)->is_closed ? -EPIPE : -ECONNRESET);
		return;
	}
	hf_assert(size > 0 && size <= RING);
	room = p->tail - p->acked < size ? size - (p->tail - p->acked) : 0;
	n = copy_out(s->send->io, p, room);
	if (n > 0)
		send_segment(p, n);
	if (s->send->io->progress == s->send->io->len)
		finish_send(s, (int64_t)s->send->io->len);
}

/* The reader's progress goes back to the sender, unless that way is cut. */
static void acknowledge(struct pipe *p)
{
	struct sock *from = &p->conn->sock[p->from];

	if (is_cut(peer(from)->host, from->host) || p->conn->is_silent || from->is_closed)
		return;
	p->acked = p->head;
	serve_send(from);
}

static void serve_recv(struct sock *s)
{
	struct pipe *p = pipe_in(s);
	struct rng *g = &s->host->rng[STREAM_CHOP];
	uint64_t n = p->vis - p->head;

	if (!s->recv)
		return;
	if (n > 0 && !s->is_lost) {
		if (n > s->recv->io->len)
			n = s->recv->io->len;
		if (rng_below(g, 4) == 0)
			n = 1 + rng_below(g, n);
		ring_read(p, p->head, s->recv->io->buf, n);
		p->head += n;
		finish_recv(s, (int64_t)n);
		acknowledge(p);
		return;
	}
	if (s->is_reset)
		finish_recv(s, -ECONNRESET);
	else if (p->is_fin_seen && p->vis == p->tail)
		finish_recv(s, 0);
}

/* Ends of a connection. */

static void reset_now(struct sock *s)
{
	if (s->is_reset || s->is_closed)
		return;
	s->is_reset = true;
	s->is_lost = rng_below(&s->host->rng[STREAM_CHOP], 2);
	serve_recv(s);
	serve_send(s);
}

/* A reset packet travels to `s`; a cut loses it. */
static void send_reset(struct sock *s)
{
	sim_event_add(world_of(s), world_of(s)->now + delay(peer(s)->host, s->host), EVENT_RESET, s, s->conn->gen);
}

static void reset_event(struct sock *s)
{
	if (!is_cut(peer(s)->host, s->host))
		reset_now(s);
}

static void hang_up(struct sock *s)
{
	struct conn *c = s->conn;
	struct pipe *in = pipe_in(s), *out = pipe_out(s);

	hf_assert(!s->is_closed && !s->recv && !s->send);
	s->is_closed = true;
	if (s->is_reset) {
		/* the other side knows or is on its own */
	} else if (in->vis > in->head) {
		send_reset(peer(s));
	} else {
		out->is_fin_sent = true;
		send_segment(out, 0);
	}
	release(c);
}

/* A segment has come to the other host. */

static void corrupt(struct pipe *p, uint64_t end)
{
	struct rng *g = &p->conn->sock[p->from].host->rng[SIM_NET_CORRUPT];

	if (end > p->vis) {
		uint8_t bit = (uint8_t)(1u << rng_below(g, 8));

		p->ring[(p->vis + rng_below(g, end - p->vis)) % RING] ^= bit;
	}
}

/* false: the connection ended. */
static bool suffer(struct pipe *p, struct sock *src, struct sock *dst, uint64_t end)
{
	struct rng *g = &src->host->rng[SIM_NET_RESET];

	if (src->host == dst->host)
		return true;
	if (sim_chance(src->host, SIM_NET_CORRUPT))
		corrupt(p, end);
	if (sim_chance(src->host, SIM_NET_HALF_OPEN)) {
		p->conn->is_silent = true;
		return false;
	}
	if (!sim_chance(src->host, SIM_NET_RESET) && !sim_is_nth(src->host, SIM_NET_RESET))
		return true;
	p->vis += rng_below(g, end - p->vis + 1);
	send_reset(src);
	send_reset(dst);
	return false;
}

/* Part of a segment may come first: what TCP cuts is not what was sent. */
static uint64_t chop(struct pipe *p, struct sock *dst, uint64_t end)
{
	struct rng *g = &dst->host->rng[STREAM_CHOP];
	uint32_t most = dst->host->config.net_chop;

	if (most && end - p->vis > most)
		return p->vis + most;
	if (end - p->vis < 2 || rng_below(g, 8))
		return end;
	return p->vis + 1 + rng_below(g, end - p->vis - 1);
}

static void pipe_event(struct pipe *p)
{
	struct sock *src = &p->conn->sock[p->from];
	struct sock *dst = peer(src);
	struct seg *s = first_seg(p);
	uint64_t end = s->end;

	p->is_planned = false;
	if (p->conn->is_silent || src->is_reset || p->seg_count == 0)
		return;
	if (is_cut(src->host, dst->host) || (dst->is_closed && !dst->host->is_powered)) {
		p->is_stalled = true;
		return;
	}
	if (dst->is_closed) {
		if (end > p->vis)
			send_reset(src);
		return;
	}
	if (!suffer(p, src, dst, end))
		return;
	p->vis = chop(p, dst, end);
	if (p->vis == end) {
		p->seg_first = (p->seg_first + 1) % SEGS;
		p->seg_count--;
		p->is_fin_seen = p->is_fin_sent && p->seg_count == 0;
	} else {
		s->at = world_of(src)->now + 1 + rng_below(&dst->host->rng[STREAM_CHOP], 20000);
	}
	plan_pipe(p);
	serve_recv(dst);
}

/* What a cut or a dead host stopped is sent again, some time later. */
static void unstall(struct pipe *p)
{
	struct sock *src = &p->conn->sock[p->from];
	hf_nsec now = world_of(src)->now;

	if (!p->is_stalled)
		return;
	p->is_stalled = false;
	if (p->seg_count == 0)
		return;
	first_seg(p)->at = now + rng_below(&src->host->rng[STREAM_NET], 400 * HF_MS);
	plan_pipe(p);
}

/* Listening and connecting. */

static bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Host and port, or a path: nothing finer is needed here. */
static bool is_address(const char *addr)
{
	if (starts_with(addr, "unix:"))
		return addr[5] && strlen(addr) < HF_ADDR_MAX;
	return starts_with(addr, "tcp:") && strchr(addr + 4, ':') && strlen(addr) < HF_ADDR_MAX;
}

static struct listener *find_listener(const struct host *h, const char *addr)
{
	hf_list_each(&h->world->listeners, n) {
		struct listener *l = hf_container_of(n, struct listener, link);

		if (strcmp(l->addr, addr) == 0 && (!l->is_private || l->host == h))
			return l;
	}
	return NULL;
}

int sim_net_listen(struct host *h, const char *addr, struct hf_errmsg *err)
{
	struct listener *l;
	int fd;

	if (!is_address(addr))
		return hf_fail(err, -EINVAL, "'%s' is not an address", addr);
	if (find_listener(h, addr))
		return hf_fail(err, -EADDRINUSE, "cannot listen on %s: something answers there already", addr);
	l = calloc(1, sizeof(*l));
	hf_assert(l);
	l->host = h;
	memcpy(l->addr, addr, strlen(addr) + 1);
	l->is_private = starts_with(addr, "unix:");
	hf_list_init(&l->backlog);
	hf_list_init(&l->accepts);
	hf_list_add_tail(&h->world->listeners, &l->link);
	fd = sim_handle_new(h, HANDLE_LISTEN);
	sim_handle(h, fd)->listener = l;
	return fd;
}

static int adopt(struct host *h, struct sock *s)
{
	int fd = sim_handle_new(h, HANDLE_SOCK);

	sim_handle(h, fd)->sock = s;
	return fd;
}

static void serve_accept(struct listener *l)
{
	while (!hf_list_is_empty(&l->accepts) && !hf_list_is_empty(&l->backlog)) {
		struct req *q = hf_container_of(l->accepts.next, struct req, wait);
		struct sock *s = hf_container_of(hf_list_pop(&l->backlog), struct sock, link);

		l->backlog_count--;
		hf_list_del(&q->wait);
		sim_req_done(q, adopt(l->host, s));
	}
}

/* The host of an address that nobody listens on, by the convention of sim.h. */
static struct host *host_by_name(struct sim_world *w, const char *addr)
{
	uint64_t index = 0;
	const char *at = addr + strlen("tcp:10.0.0.");

	if (!starts_with(addr, "tcp:10.0.0.") || *at < '0' || *at > '9')
		return NULL;
	for (; *at >= '0' && *at <= '9' && index < 1000; at++)
		index = index * 10 + (uint64_t)(*at - '0');
	return *at == ':' && index < w->host_count ? &w->host[index] : NULL;
}

static void connect_later(struct req *q)
{
	struct host *h = q->host;
	hf_nsec waited = ((1ull << q->attempt) - 1) * HF_SEC;

	if (waited >= CONNECT_NS) {
		sim_req_done(q, -ETIMEDOUT);
		return;
	}
	sim_event_add(h->world, h->world->now + ((hf_nsec)HF_SEC << q->attempt), EVENT_CONNECT, q, q->gen);
	q->attempt++;
}

static void connect_event(struct req *q)
{
	struct host *h = q->host;
	const char *addr = q->io->addr;
	struct listener *l = find_listener(h, addr);
	struct host *to = l ? l->host : host_by_name(h->world, addr);
	struct conn *c;

	if (starts_with(addr, "unix:") && !l) {
		sim_req_done(q, -ECONNREFUSED);
		return;
	}
	if (to && (is_cut(h, to) || is_cut(to, h) || !to->is_powered)) {
		connect_later(q);
		return;
	}
	if (!l || sim_chance(h, SIM_NET_REFUSED)) {
		sim_req_done(q, -ECONNREFUSED);
		return;
	}
	if (l->backlog_count >= BACKLOG) {
		if (l->is_private)
			sim_req_done(q, -EAGAIN);
		else
			connect_later(q);
		return;
	}
	c = conn_new(h, to);
	hf_list_add_tail(&l->backlog, &c->sock[1].link);
	l->backlog_count++;
	sim_req_done(q, adopt(h, &c->sock[0]));
	serve_accept(l);
}

static void listener_free(struct listener *l, enum sim_kill how)
{
	struct hf_list *n;

	while ((n = hf_list_pop(&l->backlog))) {
		struct sock *s = hf_container_of(n, struct sock, link);

		if (how == SIM_KILL_PROCESS)
			send_reset(peer(s));
		s->is_closed = true;
		release(s->conn);
	}
	hf_list_del(&l->link);
	free(l);
}

/* Entry points. */

void sim_net_start(struct req *q)
{
	struct host *h = q->host;
	struct sim_world *w = h->world;
	struct hf_io *io = q->io;
	struct handle *n = io->kind == HF_IO_CONNECT ? NULL : sim_handle(h, io->fd);

	hf_assert(!n || n->kind == (io->kind == HF_IO_ACCEPT ? HANDLE_LISTEN : HANDLE_SOCK));
	switch (io->kind) {
	case HF_IO_CONNECT:
		if (is_address(io->addr))
			sim_event_add(w, w->now + 2 * delay(h, starts_with(io->addr, "unix:") ? h : NULL),
				      EVENT_CONNECT, q, q->gen);
		else
			sim_req_done(q, -EINVAL);
		break;
	case HF_IO_ACCEPT:
		hf_list_add_tail(&n->listener->accepts, &q->wait);
		serve_accept(n->listener);
		break;
	case HF_IO_RECV:
		hf_assert(!n->sock->recv);
		n->sock->recv = q;
		serve_recv(n->sock);
		break;
	case HF_IO_SEND:
		hf_assert(!n->sock->send);
		n->sock->send = q;
		/* A kernel may look at the bytes at once or later. */
		if (rng_below(&h->rng[STREAM_CHOP], 4))
			serve_send(n->sock);
		else
			sim_event_add(w, w->now + rng_below(&h->rng[STREAM_CHOP], 5000), EVENT_SEND, q, q->gen);
		break;
	default:
		hf_unreachable();
	}
}

void sim_net_event(struct sim_world *w, const struct event *e)
{
	struct req *q = e->obj;
	struct pipe *p = e->obj;
	struct sock *s = e->obj;

	(void)w;
	switch ((enum event_kind)e->kind) {
	case EVENT_SEND:
		if (q->gen == e->gen)
			serve_send(sim_handle(q->host, q->io->fd)->sock);
		break;
	case EVENT_CONNECT:
		if (q->gen == e->gen)
			connect_event(q);
		break;
	case EVENT_PIPE:
		if (p->conn->gen == e->gen)
			pipe_event(p);
		break;
	case EVENT_RESET:
		if (s->conn->gen == e->gen)
			reset_event(s);
		break;
	default:
		hf_unreachable();
	}
}

void sim_net_cancel(struct req *q)
{
	struct handle *n = q->io->kind == HF_IO_CONNECT ? NULL : sim_handle(q->host, q->io->fd);

	hf_list_del(&q->wait);
	if (n && n->kind == HANDLE_SOCK) {
		if (n->sock->recv == q)
			n->sock->recv = NULL;
		if (n->sock->send == q)
			n->sock->send = NULL;
	}
	sim_req_done(q, -ECANCELED);
}

void sim_net_close(struct host *h, struct handle *n)
{
	(void)h;
	if (n->kind == HANDLE_LISTEN)
		listener_free(n->listener, SIM_KILL_PROCESS);
	else
		hang_up(n->sock);
}

/* Only what was on the wire already may still arrive. */
static void cut_off(struct sock *s)
{
	struct pipe *p = pipe_out(s);

	if (p->seg_count > 0)
		p->seg_count = (uint32_t)rng_below(&s->host->rng[STREAM_CRASH], p->seg_count + 1);
	s->is_closed = true;
	release(s->conn);
}

/* Its reqs are gone already. */
void sim_net_crash(struct host *h, enum sim_kill how)
{
	hf_list_each(&h->world->listeners, n) {
		struct listener *l = hf_container_of(n, struct listener, link);

		if (l->host == h)
			listener_free(l, how);
	}
	hf_list_each(&h->world->conns_live, n) {
		struct conn *c = hf_container_of(n, struct conn, link);
		uint32_t gen = c->gen;

		for (uint32_t i = 0; i < 2 && c->gen == gen; i++) {
			struct sock *s = &c->sock[i];

			if (s->host != h || s->is_closed)
				continue;
			s->recv = s->send = NULL;
			/* Both ends on the host that died: nobody is left to tell. */
			if (how == SIM_KILL_PROCESS)
				hang_up(s);
			else
				cut_off(s);
		}
	}
}

/* The kernel is back and knows none of the old connections: what is sent to them again is answered by a reset. */
void sim_net_boot(struct host *h)
{
	hf_list_each(&h->world->conns_live, n) {
		struct conn *c = hf_container_of(n, struct conn, link);

		for (uint32_t i = 0; i < 2; i++)
			if (c->sock[1 - i].host == h)
				unstall(&c->pipe[i]);
	}
}

void sim_net_fini(struct sim_world *w)
{
	hf_list_each(&w->listeners, n)
		free(hf_container_of(n, struct listener, link));
}

/* Calls of the world's owner. */

void sim_net_cut(struct sim_world *w, uint32_t from, uint32_t to)
{
	hf_assert(from < w->host_count && to < w->host_count && from != to);
	w->counts[SIM_NET_CUT] += !w->cut[from][to];
	w->cut[from][to] = true;
}

void sim_net_heal(struct sim_world *w, uint32_t from, uint32_t to)
{
	hf_assert(from < w->host_count && to < w->host_count);
	if (!w->cut[from][to])
		return;
	w->cut[from][to] = false;
	hf_list_each(&w->conns_live, n) {
		struct conn *c = hf_container_of(n, struct conn, link);

		for (uint32_t i = 0; i < 2; i++) {
			struct pipe *p = &c->pipe[i];

			if (c->sock[i].host->index == from && c->sock[1 - i].host->index == to)
				unstall(p);
			else if (c->sock[i].host->index == to && c->sock[1 - i].host->index == from)
				acknowledge(p);
		}
	}
}

void sim_net_heal_all(struct sim_world *w)
{
	for (uint32_t a = 0; a < w->host_count; a++)
		for (uint32_t b = 0; b < w->host_count; b++)
			sim_net_heal(w, a, b);
}

void sim_net_reset(struct sim_world *w, uint32_t a, uint32_t b)
{
	hf_list_each(&w->conns_live, n) {
		struct conn *c = hf_container_of(n, struct conn, link);
		uint32_t x = c->sock[0].host->index, y = c->sock[1].host->index;

		if (!((x == a && y == b) || (x == b && y == a)))
			continue;
		w->counts[SIM_NET_RESET]++;
		send_reset(&c->sock[0]);
		send_reset(&c->sock[1]);
	}
}

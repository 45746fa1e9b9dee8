// SPDX-License-Identifier: MIT
/*
 * nbd_transmit - requests: parse, check, cut into pieces, hand to the volume.
 *
 * Owns: the limits on what a client may ask. Does not own: answers (nbd_reply.c), sockets (nbd_conn.c), the data's
 * fate.
 */
#include "front/nbd_int.h"

/* ---------------------------------------------------------------- objects */

void hf_nbd_req_free(struct nbd_conn *c, struct nbd_req *req)
{
	hf_assert(req->pieces == 0 && hf_list_is_empty(&req->parts) && c->active > 0);
	hf_list_del(&req->link);
	if (c->streaming == req)
		c->streaming = NULL;
	c->active--;
	hf_list_add_head(&c->free_reqs, &req->link);
}

void hf_nbd_piece_free(struct nbd_piece *p)
{
	struct nbd_conn *c = p->conn;

	if (p->q.buf)
		hf_buf_put(p->q.buf);
	hf_assert(c->held >= p->held);
	c->held -= p->held;
	hf_list_del(&p->link);
	hf_list_add_head(&c->free_pieces, &p->link);
}

void hf_nbd_transmit_drop(struct nbd_conn *c)
{
	hf_assert(c->under_way == 0);
	if (c->is_waiting)
		hf_buf_wait_cancel(&c->waiter);
	c->is_waiting = false;
	if (c->filling)
		hf_nbd_piece_free(c->filling);
	c->filling = NULL;
	for (uint32_t i = 0; c->reqs && i < NBD_REQUESTS_MAX; i++) {
		struct hf_list *parts = &c->reqs[i].parts;

		while (parts->next && !hf_list_is_empty(parts))
			hf_nbd_piece_free(hf_container_of(parts->next, struct nbd_piece, link));
	}
}

static void pool_ready(struct hf_buf_waiter *w)
{
	struct nbd_conn *c = hf_container_of(w, struct nbd_conn, waiter);

	c->is_waiting = false;
	hf_nbd_conn_wake(c);
}

/*
 * A piece of the request being issued, with a buffer for its payload when `with_buf`. NULL: not now; what we lack
 * will wake us: a piece or the connection's share by an end of our own work, a buffer by the pool.
 */
static struct nbd_piece *piece_new(struct nbd_conn *c, struct nbd_req *req, uint64_t done, uint32_t bytes,
				   bool with_buf)
{
	struct hf_buf *buf = NULL;
	struct nbd_piece *p;

	if (hf_list_is_empty(&c->free_pieces) || (with_buf && c->is_waiting))
		return NULL;
	if (with_buf) {
		if (c->held + bytes > NBD_HELD_MAX)
			return NULL;
		buf = hf_buf_new(c->server->pool, bytes);
	}
	if (with_buf && !buf) {
		hf_buf_wait(c->server->pool, &c->waiter, bytes, pool_ready);
		c->is_waiting = true;
		return NULL;
	}
	p = hf_container_of(hf_list_take(&c->free_pieces), struct nbd_piece, link);
	*p = (struct nbd_piece){ .conn = c, .req = req, .offset = req->offset + done, .bytes = bytes };
	hf_list_init(&p->link);
	hf_list_init(&p->q.link);
	p->held = with_buf ? bytes : 0;
	c->held += p->held;
	p->q.buf = buf;
	return p;
}

/* ---------------------------------------------------------------- results */

uint32_t hf_nbd_error_of(int result)
{
	switch (result) {
	case 0:
		return NBD_SUCCESS;
	case -EPERM:
	case -EROFS:
		return NBD_EPERM;
	case -ENOMEM:
		return NBD_ENOMEM;
	case -EINVAL:
		return NBD_EINVAL;
	case -ENOSPC:
		return NBD_ENOSPC;
	case -EOPNOTSUPP:
		return NBD_ENOTSUP;
	case -ESHUTDOWN:
		return NBD_ESHUTDOWN;
	}
	return NBD_EIO;
}

static void submit(struct nbd_conn *c, struct nbd_piece *p, enum hf_request_kind kind);

static bool is_writing(const struct nbd_req *req)
{
	return req->command == NBD_CMD_WRITE || req->command == NBD_CMD_TRIM || req->command == NBD_CMD_WRITE_ZEROES;
}

/*
 * Every piece is back. FUA: the volume may promise durability only for what is flushed, so a flush follows the write
 * (R12).
 */
static void req_complete(struct nbd_conn *c, struct nbd_req *req)
{
	bool wants_flush = (req->flags & NBD_CMD_FLAG_FUA) && is_writing(req) && req->error == 0 && !req->is_flushed;

	if (wants_flush && c->end != NBD_DEAD) {
		struct nbd_piece *p = piece_new(c, req, 0, 0, false);

		hf_assert(p);		/* the one that was freed just now, and no buffer is needed */
		req->is_flushed = true;
		submit(c, p, HF_REQUEST_FLUSH);
		return;
	}
	hf_nbd_reply_queue(c, req);
}

/* Parts of a reply that must be in order are kept so; others in the order in which they came. */
static void add_part(struct nbd_req *req, struct nbd_piece *p)
{
	struct hf_list *before = req->parts.prev;

	while (req->answer != NBD_ANSWER_CHUNKS && before != &req->parts &&
	       hf_container_of(before, struct nbd_piece, link)->offset > p->offset)
		before = before->prev;
	hf_list_add_head(before, &p->link);
}

static void read_done(struct nbd_conn *c, struct nbd_req *req, struct nbd_piece *p)
{
	c->server->stats.bytes_read += p->error ? 0 : p->bytes;
	add_part(req, p);
	if (req->answer != NBD_ANSWER_WHOLE || (req->is_issued && req->pieces == 0))
		hf_nbd_reply_queue(c, req);
}

static void piece_done(struct hf_request *q, int result)
{
	struct nbd_piece *p = hf_container_of(q, struct nbd_piece, q);
	struct nbd_conn *c = p->conn;
	struct nbd_req *req = p->req;

	hf_assert(req->pieces > 0 && c->under_way > 0 && result <= 0);
	req->pieces--;
	c->under_way--;
	hf_nbd_conn_wake(c);
	p->error = hf_nbd_error_of(result);
	if (req->error == 0)
		req->error = p->error;
	if (q->kind == HF_REQUEST_READ) {
		read_done(c, req, p);
		return;
	}
	if (q->kind == HF_REQUEST_WRITE && result == 0)
		c->server->stats.bytes_written += p->bytes;
	hf_nbd_piece_free(p);
	if (req->is_issued && req->pieces == 0)
		req_complete(c, req);
}

static void submit(struct nbd_conn *c, struct nbd_piece *p, enum hf_request_kind kind)
{
	struct hf_nbd_server *n = c->server;

	p->q.kind = kind;
	p->q.lba = p->offset / HF_BLOCK;
	p->q.nblocks = p->bytes / HF_BLOCK;
	p->q.session = &c->session;
	p->q.done = piece_done;
	p->req->pieces++;
	c->under_way++;
	n->backend->submit(n->backend_ctx, &c->session, &p->q);
}

/*
 * ---------------------------------------------------------------- issue; true: all of the request is with the volume
 */

static uint32_t min_bytes(uint64_t a, uint64_t b)
{
	return (uint32_t)(a < b ? a : b);
}

/* A write that is refused: its payload is on the way and must be read past. */
static bool skip_payload(struct nbd_conn *c, struct nbd_req *req)
{
	uint32_t n = min_bytes(nbd_rx_used(&c->rx), req->length - req->issued);

	c->rx.head += n;
	req->issued += n;
	return req->issued == req->length;
}

/* Copy what was received into the piece; what is far from complete is received in its place later (nbd_conn.c). */
static bool fill(struct nbd_conn *c)
{
	struct nbd_piece *p = c->filling;
	uint32_t n = min_bytes(nbd_rx_used(&c->rx), p->bytes - c->filled);

	memcpy(p->q.buf->data + c->filled, c->rx.data + c->rx.head, n);
	c->rx.head += n;
	c->filled += n;
	return c->filled == p->bytes;
}

static bool issue_write(struct nbd_conn *c, struct nbd_req *req)
{
	while (req->issued < req->length) {
		struct nbd_piece *p = c->filling;

		if (!p) {
			p = piece_new(c, req, req->issued, min_bytes(req->length - req->issued, NBD_PIECE_BYTES), true);
			if (!p)
				return false;
			c->filling = p;
			c->filled = 0;
		}
		if (!hf_io_is_idle(&c->recv) && c->recv_is_direct)
			return false;		/* its buffer belongs to the reactor */
		if (!fill(c))
			return false;
		c->filling = NULL;
		req->issued += p->bytes;
		submit(c, p, HF_REQUEST_WRITE);
	}
	return true;
}

static bool issue_read(struct nbd_conn *c, struct nbd_req *req)
{
	while (req->issued < req->length) {
		uint32_t bytes = min_bytes(req->length - req->issued, NBD_PIECE_BYTES);
		struct nbd_piece *p = piece_new(c, req, req->issued, bytes, true);

		if (!p)
			return false;
		req->issued += bytes;
		submit(c, p, HF_REQUEST_READ);
	}
	return true;
}

/*
 * Its pieces go out one behind the other with nothing between: it waits until it is alone, and others until it is
 * answered.
 */
static bool issue_stream(struct nbd_conn *c, struct nbd_req *req)
{
	if (c->active > 1)
		return false;
	c->streaming = req;
	return issue_read(c, req);
}

/*
 * A read that is answered as a whole holds all its buffers until the last is filled: all of them are taken at once.
 * When the pool has only some, it becomes a stream, which can hold one at a time.
 */
static bool issue_whole(struct nbd_conn *c, struct nbd_req *req)
{
	uint64_t taken = 0;

	if (c->held + req->length > NBD_HELD_MAX)
		return false;
	while (taken < req->length) {
		uint32_t bytes = min_bytes(req->length - taken, NBD_PIECE_BYTES);
		struct nbd_piece *p = piece_new(c, req, taken, bytes, true);

		if (!p)
			break;
		taken += bytes;
		hf_list_add_tail(&req->parts, &p->link);
	}
	if (taken < req->length) {
		while (!hf_list_is_empty(&req->parts))
			hf_nbd_piece_free(hf_container_of(req->parts.next, struct nbd_piece, link));
		if (taken == 0)
			return false;
		req->answer = NBD_ANSWER_STREAM;
		return issue_stream(c, req);
	}
	for (struct hf_list *n; req->issued < req->length; ) {
		n = hf_list_take(&req->parts);
		req->issued += hf_container_of(n, struct nbd_piece, link)->bytes;
		submit(c, hf_container_of(n, struct nbd_piece, link), HF_REQUEST_READ);
	}
	return true;
}

/* Zeroes and trims carry no payload; NO_HOLE asks for real blocks, so it writes zeros. */
static bool issue_zero(struct nbd_conn *c, struct nbd_req *req)
{
	bool is_write = req->flags & NBD_CMD_FLAG_NO_HOLE;

	while (req->issued < req->length) {
		uint32_t max = is_write ? NBD_PIECE_BYTES : NBD_ZERO_BYTES;
		uint32_t bytes = min_bytes(req->length - req->issued, max);
		struct nbd_piece *p = piece_new(c, req, req->issued, bytes, false);

		if (!p)
			return false;
		if (is_write)
			p->q.buf = hf_buf_get(c->server->zeros);
		req->issued += bytes;
		submit(c, p, is_write ? HF_REQUEST_WRITE : HF_REQUEST_ZERO);
	}
	return true;
}

static bool issue_flush(struct nbd_conn *c, struct nbd_req *req)
{
	struct nbd_piece *p = piece_new(c, req, 0, 0, false);

	if (p)
		submit(c, p, HF_REQUEST_FLUSH);
	return p != NULL;
}

static bool issue(struct nbd_conn *c, struct nbd_req *req)
{
	if (req->is_refused)
		return req->command != NBD_CMD_WRITE || skip_payload(c, req);
	switch (req->command) {
	case NBD_CMD_READ:
		if (req->answer == NBD_ANSWER_CHUNKS)
			return issue_read(c, req);
		return req->answer == NBD_ANSWER_WHOLE ? issue_whole(c, req) : issue_stream(c, req);
	case NBD_CMD_WRITE:
		return issue_write(c, req);
	case NBD_CMD_TRIM:
	case NBD_CMD_WRITE_ZEROES:
		return issue_zero(c, req);
	case NBD_CMD_FLUSH:
		return issue_flush(c, req);
	}
	return true;		/* CACHE: a hint; BLOCK_STATUS: answered when its turn to be sent comes */
}

/* ---------------------------------------------------------------- checks */

static void refuse(struct nbd_req *req, uint32_t error, const char *why)
{
	if (req->error != 0)
		return;
	req->error = error;
	req->why = why;
	req->is_refused = true;
}

/* Flags that a command may have beside FUA, which is allowed everywhere. */
static uint16_t flags_of(const struct nbd_conn *c, uint16_t command)
{
	switch (command) {
	case NBD_CMD_READ:
		return c->structured ? NBD_CMD_FLAG_DF : 0;
	case NBD_CMD_WRITE:
		return c->extended ? NBD_CMD_FLAG_PAYLOAD_LEN : 0;
	case NBD_CMD_WRITE_ZEROES:
		return NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO;
	case NBD_CMD_BLOCK_STATUS:
		return NBD_CMD_FLAG_REQ_ONE;
	}
	return 0;
}

static void check_range(const struct nbd_conn *c, struct nbd_req *req)
{
	bool grows = req->command == NBD_CMD_WRITE || req->command == NBD_CMD_WRITE_ZEROES;

	if (req->length == 0)
		refuse(req, NBD_EINVAL, "length is zero");
	else if (req->offset % HF_BLOCK != 0 || req->length % HF_BLOCK != 0)
		refuse(req, NBD_EINVAL, "offset and length must be multiples of 4096, the minimum block size");
	else if (req->offset > c->size || req->length > c->size - req->offset)
		refuse(req, grows ? NBD_ENOSPC : NBD_EINVAL, "beyond the end of the export");
}

static void check(const struct nbd_conn *c, struct nbd_req *req)
{

	if (req->flags & ~(flags_of(c, req->command) | NBD_CMD_FLAG_FUA))
		refuse(req, NBD_EINVAL, "a flag that this command does not have");
	if (is_writing(req) && c->session.read_only)
		refuse(req, NBD_EPERM, "this session is read-only");
	switch (req->command) {
	case NBD_CMD_FLUSH:
		if (req->offset != 0 || req->length != 0)
			refuse(req, NBD_EINVAL, "flush takes no range");
		return;
	case NBD_CMD_READ:
		if (req->length > NBD_PAYLOAD_MAX)
			refuse(req, NBD_EINVAL, "more than 32 MiB in one request");
		break;
	case NBD_CMD_WRITE_ZEROES:
		if ((req->flags & NBD_CMD_FLAG_FAST_ZERO) && (req->flags & NBD_CMD_FLAG_NO_HOLE))
			refuse(req, NBD_ENOTSUP, "zeroes without a hole are written: not fast");
		break;
	case NBD_CMD_BLOCK_STATUS:
		if (!c->meta_selected)
			refuse(req, NBD_EINVAL, "no metadata context was selected");
		break;
	case NBD_CMD_WRITE:
	case NBD_CMD_TRIM:
	case NBD_CMD_CACHE:
		break;
	default:
		refuse(req, NBD_EINVAL, "unknown command");
		return;
	}
	check_range(c, req);
}

static enum nbd_answer answer_of(const struct nbd_conn *c, const struct nbd_req *req)
{
	if (req->command == NBD_CMD_BLOCK_STATUS)
		return NBD_ANSWER_EXTENTS;
	if (req->command != NBD_CMD_READ || req->error != 0)
		return NBD_ANSWER_STATUS;
	if (c->structured && !(req->flags & NBD_CMD_FLAG_DF))
		return NBD_ANSWER_CHUNKS;
	return req->length <= (uint64_t)NBD_WHOLE_PIECES * NBD_PIECE_BYTES ? NBD_ANSWER_WHOLE : NBD_ANSWER_STREAM;
}

/* ---------------------------------------------------------------- parse */

/* The next request's header into *out; false: not there yet, or the connection failed. */
static bool parse_head(struct nbd_conn *c, struct nbd_req *out)
{
	size_t need = c->extended ? sizeof(struct nbd_request_ext) : sizeof(struct nbd_request);
	struct nbd_request_ext h = { 0 };
	uint32_t magic;

	if (nbd_rx_used(&c->rx) < need)
		return false;
	memcpy(&h, c->rx.data + c->rx.head, need);
	magic = hf_get_be32(h.magic);
	if (magic != (c->extended ? NBD_REQUEST_EXT_MAGIC : NBD_REQUEST_MAGIC)) {
		hf_nbd_conn_fail(c, "bad request magic 0x%08x", magic);
		return false;
	}
	*out = (struct nbd_req){
		.cookie = hf_get_be64(h.cookie),
		.offset = hf_get_be64(h.offset),
		/* The plain length is the upper half of where the extended one lies. */
		.length = c->extended ? hf_get_be64(h.length) : hf_get_be64(h.length) >> 32,
		.command = hf_get_be16(h.type),
		.flags = hf_get_be16(h.flags),
	};
	c->rx.head += need;
	return true;
}

/* True when the connection may go on with it. */
static bool admit(struct nbd_conn *c, const struct nbd_req *head)
{
	bool has_payload = head->command == NBD_CMD_WRITE ||
			   (c->extended && (head->flags & NBD_CMD_FLAG_PAYLOAD_LEN));

	if (head->command == NBD_CMD_DISC) {
		hf_nbd_conn_end(c, NBD_DRAINING);
		return false;
	}
	if (has_payload && head->length > NBD_PAYLOAD_MAX) {
		hf_nbd_conn_fail(c, "%s with a payload of %llu bytes: the maximum is %d",
				 hf_nbd_command_name(head->command), (unsigned long long)head->length, NBD_PAYLOAD_MAX);
		return false;
	}
	if (has_payload && head->command != NBD_CMD_WRITE) {
		hf_nbd_conn_fail(c, "%s with a payload", hf_nbd_command_name(head->command));
		return false;
	}
	return true;
}

/* Begin the next request; false: nothing to begin. */
static bool begin(struct nbd_conn *c)
{
	struct nbd_req head, *req;

	if (c->streaming || hf_list_is_empty(&c->free_reqs))
		return false;
	if (!parse_head(c, &head) || !admit(c, &head))
		return false;
	req = hf_container_of(hf_list_take(&c->free_reqs), struct nbd_req, link);
	*req = head;
	hf_list_init(&req->link);
	hf_list_init(&req->parts);
	c->active++;
	c->server->stats.requests++;
	check(c, req);
	req->answer = answer_of(c, req);
	c->issuing = req;
	return true;
}

void hf_nbd_transmit_work(struct nbd_conn *c)
{
	while (c->end == NBD_LIVE) {
		struct nbd_req *req = c->issuing;

		if (!req && !begin(c))
			return;
		req = c->issuing;
		if (!issue(c, req))
			return;
		c->issuing = NULL;
		req->is_issued = true;
		if (req->pieces == 0)
			hf_nbd_reply_queue(c, req);
	}
}

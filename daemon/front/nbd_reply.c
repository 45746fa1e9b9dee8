// SPDX-License-Identifier: MIT
/*
 * nbd_reply - answers: from requests that have something to say to the bytes of one send.
 *
 * Owns: the order of answers and their layout in the three dialects (simple, structured, extended). While a send is
 * under way, requests wait in conn->out; that is the second batch.
 */
#include "front/nbd_int.h"

#include "base/log.h"

enum {
	CHUNK_HEAD_MAX = sizeof(struct nbd_chunk_head_ext),
	WHY_MAX = 128,					/* bytes of an error's text */
	EXTENTS_BYTES_MAX = 8 + NBD_EXTENTS_MAX * sizeof(struct nbd_extent_ext),
	ANSWER_HEADS_MAX = CHUNK_HEAD_MAX + sizeof(struct nbd_chunk_error) + WHY_MAX + 8,	/* without extents */
};

void hf_nbd_reply_queue(struct nbd_conn *c, struct nbd_req *req)
{
	if (req->is_queued)
		return;
	req->is_queued = true;
	hf_list_add_tail(&c->out, &req->link);
}

/* ---------------------------------------------------------------- layouts; the caller made sure of the room */

static void put_simple(struct nbd_conn *c, const struct nbd_req *req)
{
	struct nbd_simple_reply *h = hf_nbd_tx_head(c, sizeof(*h));

	hf_assert(h);
	*h = (struct nbd_simple_reply){
		.magic = hf_put_be32(NBD_SIMPLE_REPLY_MAGIC),
		.error = hf_put_be32(req->error),
		.cookie = hf_put_be64(req->cookie),
	};
}

/* A chunk's header; `length` bytes are to follow, of which `now` are in headers: returns where those go. */
static uint8_t *put_chunk(struct nbd_conn *c, const struct nbd_req *req, enum nbd_chunk type, bool is_last,
			  uint32_t length, uint32_t now)
{
	uint32_t head = c->extended ? sizeof(struct nbd_chunk_head_ext) : sizeof(struct nbd_chunk_head);
	uint8_t *at = hf_nbd_tx_head(c, head + now);
	hf_be16 flags = hf_put_be16(is_last ? NBD_CHUNK_FLAG_DONE : 0);

	hf_assert(at);
	if (c->extended) {
		struct nbd_chunk_head_ext h = {
			hf_put_be32(NBD_CHUNK_EXT_MAGIC), flags, hf_put_be16((uint16_t)type), hf_put_be64(req->cookie),
			hf_put_be64(req->offset), hf_put_be64(length),
		};

		memcpy(at, &h, sizeof(h));
	} else {
		struct nbd_chunk_head h = {
			hf_put_be32(NBD_CHUNK_MAGIC), flags, hf_put_be16((uint16_t)type), hf_put_be64(req->cookie),
			hf_put_be32(length),
		};

		memcpy(at, &h, sizeof(h));
	}
	return at + head;
}

/* ERROR, or ERROR_OFFSET when `offset` is given. */
static void put_error(struct nbd_conn *c, const struct nbd_req *req, uint32_t error, const uint64_t *offset,
		      bool is_last)
{
	const char *why = req->why ? req->why : hf_nbd_error_name(error);
	uint32_t why_len = (uint32_t)strnlen(why, WHY_MAX);
	uint32_t length = (uint32_t)sizeof(struct nbd_chunk_error) + why_len + (offset ? 8 : 0);
	uint8_t *at = put_chunk(c, req, offset ? NBD_CHUNK_ERROR_OFFSET : NBD_CHUNK_ERROR, is_last, length, length);
	struct nbd_chunk_error e = { hf_put_be32(error), hf_put_be16((uint16_t)why_len) };
	hf_be64 where = hf_put_be64(offset ? *offset : 0);

	memcpy(at, &e, sizeof(e));
	memcpy(at + sizeof(e), why, why_len);
	if (offset)
		memcpy(at + sizeof(e) + why_len, &where, sizeof(where));
}

static void put_part(struct nbd_conn *c, struct nbd_piece *p)
{
	hf_nbd_tx_buf(c, p->q.buf, p->bytes, p->held);
	p->q.buf = NULL;		/* both are the send's now */
	p->held = 0;
	hf_nbd_piece_free(p);
}

static struct nbd_piece *first_part(const struct nbd_req *req)
{
	if (hf_list_is_empty(&req->parts))
		return NULL;
	return hf_container_of(req->parts.next, struct nbd_piece, link);
}

static void drop_parts(struct nbd_req *req)
{
	struct nbd_piece *p;

	while ((p = first_part(req)))
		hf_nbd_piece_free(p);
}

/* ---------------------------------------------------------------- one request; true: it is answered to the end */

static bool is_complete(const struct nbd_req *req)
{
	return req->is_issued && req->pieces == 0;
}

static bool answer_status(struct nbd_conn *c, struct nbd_req *req)
{
	if (!is_complete(req) || !hf_nbd_tx_has_room(c, 1, ANSWER_HEADS_MAX))
		return false;
	if (req->error != 0 && c->structured)
		put_error(c, req, req->error, NULL, true);
	else if (c->extended)
		put_chunk(c, req, NBD_CHUNK_NONE, true, 0, 0);
	else
		put_simple(c, req);
	return true;
}

static void put_extent(struct nbd_conn *c, uint8_t *at, uint64_t length, uint32_t flags)
{
	if (c->extended) {
		struct nbd_extent_ext e = { hf_put_be64(length), hf_put_be64(flags) };

		memcpy(at, &e, sizeof(e));
	} else {
		struct nbd_extent e = { hf_put_be32((uint32_t)length), hf_put_be32(flags) };

		memcpy(at, &e, sizeof(e));
	}
}

/* Extents never reach beyond the request, so they fit 32 bits whenever its length did. */
static uint32_t collect_extents(struct nbd_conn *c, const struct nbd_req *req, uint8_t *to, uint32_t each)
{
	const struct hf_nbd_server *n = c->server;
	uint64_t lba = req->offset / HF_BLOCK, end = (req->offset + req->length) / HF_BLOCK;
	uint32_t count = 0, max = req->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : NBD_EXTENTS_MAX;

	while (count < max && lba < end) {
		bool allocated = true;
		uint64_t run = n->backend->extent(n->backend_ctx, &c->session, lba, end - lba, &allocated);

		hf_assert(run <= end - lba);
		if (run == 0)
			break;
		put_extent(c, to + count * each, run * HF_BLOCK, allocated ? 0 : NBD_STATE_HOLE | NBD_STATE_ZERO);
		lba += run;
		count++;
	}
	return count;
}

static bool answer_extents(struct nbd_conn *c, struct nbd_req *req)
{
	uint8_t extents[NBD_EXTENTS_MAX * sizeof(struct nbd_extent_ext)];
	uint32_t each = c->extended ? sizeof(struct nbd_extent_ext) : sizeof(struct nbd_extent);
	uint32_t head = c->extended ? 8 : 4, count;
	hf_be32 words[2];
	uint8_t *at;

	if (req->error != 0)
		return answer_status(c, req);
	if (!hf_nbd_tx_has_room(c, 1, CHUNK_HEAD_MAX + EXTENTS_BYTES_MAX))
		return false;
	count = collect_extents(c, req, extents, each);
	if (count == 0) {
		req->error = NBD_EIO;
		return answer_status(c, req);
	}
	words[0] = hf_put_be32(1);		/* the id that SET_META_CONTEXT gave to base:allocation */
	words[1] = hf_put_be32(count);		/* extended only */
	at = put_chunk(c, req, c->extended ? NBD_CHUNK_BLOCK_STATUS_EXT : NBD_CHUNK_BLOCK_STATUS, true,
		       head + count * each, head + count * each);
	memcpy(at, words, head);
	memcpy(at + head, extents, count * each);
	return true;
}

static bool answer_chunks(struct nbd_conn *c, struct nbd_req *req)
{
	struct nbd_piece *p;
	bool is_last = false;

	while ((p = first_part(req))) {
		hf_be64 offset = hf_put_be64(p->offset);

		if (!hf_nbd_tx_has_room(c, 2, ANSWER_HEADS_MAX))
			return false;
		is_last = is_complete(req) && p->link.next == &req->parts;
		if (p->error != 0) {
			put_error(c, req, p->error, &p->offset, is_last);
			hf_nbd_piece_free(p);
			continue;
		}
		memcpy(put_chunk(c, req, NBD_CHUNK_OFFSET_DATA, is_last, 8 + p->bytes, 8), &offset, 8);
		put_part(c, p);
	}
	return is_last;
}

/* The header before `req->length` bytes of data in one piece. */
static void put_read_head(struct nbd_conn *c, struct nbd_req *req)
{
	hf_be64 offset = hf_put_be64(req->offset);

	if (c->structured)
		memcpy(put_chunk(c, req, NBD_CHUNK_OFFSET_DATA, true, 8 + (uint32_t)req->length, 8), &offset, 8);
	else
		put_simple(c, req);
}

static bool answer_whole(struct nbd_conn *c, struct nbd_req *req)
{
	struct nbd_piece *p;

	if (!is_complete(req) || !hf_nbd_tx_has_room(c, 1 + NBD_WHOLE_PIECES, ANSWER_HEADS_MAX))
		return false;
	if (req->error != 0) {
		drop_parts(req);
		return answer_status(c, req);
	}
	put_read_head(c, req);
	while ((p = first_part(req)))
		put_part(c, p);
	return true;
}

/* Once the header is out, there is no way to say that a later piece failed but to hang up. */
static bool answer_stream(struct nbd_conn *c, struct nbd_req *req)
{
	struct nbd_piece *p;

	if (req->error != 0) {
		drop_parts(req);
		if (req->is_headed) {
			hf_warn("nbd: %s: a read failed after its answer had begun; connection closed", c->who);
			hf_nbd_conn_end(c, NBD_DEAD);
		}
		return !req->is_headed && answer_status(c, req);
	}
	while ((p = first_part(req)) && p->offset == req->offset + req->sent) {
		if (!hf_nbd_tx_has_room(c, 2, ANSWER_HEADS_MAX))
			return false;
		if (!req->is_headed)
			put_read_head(c, req);
		req->is_headed = true;
		req->sent += p->bytes;
		put_part(c, p);
	}
	return req->sent == req->length;
}

static bool answer(struct nbd_conn *c, struct nbd_req *req)
{
	switch (req->answer) {
	case NBD_ANSWER_STATUS:
		return answer_status(c, req);
	case NBD_ANSWER_EXTENTS:
		return answer_extents(c, req);
	case NBD_ANSWER_CHUNKS:
		return answer_chunks(c, req);
	case NBD_ANSWER_WHOLE:
		return answer_whole(c, req);
	case NBD_ANSWER_STREAM:
		return answer_stream(c, req);
	}
	hf_unreachable();
}

void hf_nbd_reply_work(struct nbd_conn *c)
{
	while (c->end != NBD_DEAD && hf_io_is_idle(&c->send) && !hf_list_is_empty(&c->out)) {
		struct nbd_req *req = hf_container_of(c->out.next, struct nbd_req, link);

		if (!hf_nbd_tx_has_room(c, 1 + NBD_WHOLE_PIECES, CHUNK_HEAD_MAX + EXTENTS_BYTES_MAX))
			return;		/* the send goes out as it is; its end wakes us */
		if (answer(c, req)) {
			hf_nbd_req_free(c, req);
		} else if (hf_nbd_tx_has_room(c, 2, ANSWER_HEADS_MAX)) {
			/* All that was ready is said; the next piece puts it in line again. */
			hf_list_del(&req->link);
			req->is_queued = false;
		}
	}
}

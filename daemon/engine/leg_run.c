// SPDX-License-Identifier: MIT
/*
 * leg_run - a leg's frames, log and durable promises (docs/SAFETY.md R3, R6, R7, R9, R11). Decisions are in
 * core/leg.c.
 */
#include "engine/leg_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/sometimes.h"
#include "codec/csum.h"
#include "core/entry.h"
#include "core/guard.h"

#define REST_NS (5 * HF_SEC)		/* without an op: then the log is emptied */

static void next_control(struct hf_leg_run *l);
static void maybe_promise(struct hf_leg_run *l);

static uint32_t frag_size(const struct hf_leg_run *l)
{
	return hf_frag_size(l->id.geometry, l->id.frag);
}

static void send_ack(struct hf_leg_run *l, struct hf_conn *c, uint8_t result, hf_epoch epoch, uint64_t cookie,
		     uint64_t redo)
{
	struct hf_wire_header out = { .type = HF_WIRE_ACK, .leg = l->id.leg, .epoch = epoch, .tag = redo };
	struct hf_ack m = {
		.result = result,
		.epoch = epoch,
		.durable = HF_GUARD(DURABLE) ? l->durable : l->core.last,
		.resync_done = l->resync_done,
		.cookie = cookie,
		.ver = l->core.state.ver,
	};
	uint8_t *meta = hf_conn_reserve(c, 128, 0, true);

	if (!meta)
		return;
	out.meta_len = hf_wire_ack_encode(meta, &m);
	hf_conn_commit(c, &out);
}

/* One cumulative answer for everything of this turn. */
static void on_ack_task(struct hf_task *t)
{
	struct hf_leg_run *l = hf_container_of(t, struct hf_leg_run, ack);
	uint64_t cookie = 0;

	if (!l->stream)
		return;
	if (l->failed) {
		send_ack(l, l->stream, HF_LEG_FAILED, l->stream_epoch, 0, 0);
		return;
	}
	if (l->cookie && hf_leg_grant_lease(&l->core, l->stream_epoch, hf_reactor_now(l->host->r)))
		cookie = l->cookie;
	l->cookie = 0;
	send_ack(l, l->stream, HF_LEG_OK, l->stream_epoch, cookie, 0);
}

static void ack_later(struct hf_leg_run *l)
{
	hf_task_defer(l->host->r, &l->ack);
}

/* A primary that another one has replaced learns so from each frame it sends (R3). */
static void refuse_stale(struct hf_leg_run *l, struct hf_conn *c, hf_epoch epoch)
{
	struct hf_ack m = { .result = HF_LEG_STALE, .epoch = l->core.state.promised };
	struct hf_wire_header out = { .type = HF_WIRE_ACK, .leg = l->id.leg, .epoch = epoch };
	uint8_t *meta = hf_conn_reserve(c, 128, 0, true);

	HF_SOMETIMES(RUN_REFUSES_DEPOSED);
	if (!meta)
		return;
	out.meta_len = hf_wire_ack_encode(meta, &m);
	hf_conn_commit(c, &out);
}

/* An APPEND frame that found the log full. */
struct held {
	struct hf_list link;
	struct hf_conn *conn;
	struct hf_wire_header hdr;
	uint8_t bytes[];		/* meta, then data */
};

static void held_free(struct hf_leg_run *l, struct held *x)
{
	hf_list_del(&x->link);
	l->held_bytes -= x->hdr.meta_len + x->hdr.data_len;
	free(x);
}

/* The stream begins anew: what its sender had not been told of as durable comes again. */
static void drop_held(struct hf_leg_run *l)
{
	hf_list_each(&l->held, n) {
		struct held *x = hf_container_of(n, struct held, link);

		HF_SOMETIMES(RUN_HELD_DROPPED);
		if (x->hdr.epoch < l->core.state.promised)
			refuse_stale(l, x->conn, x->hdr.epoch);
		held_free(l, x);
	}
}

static void hold(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta,
		 const uint8_t *data)
{
	uint32_t len = h->meta_len + h->data_len;
	struct held *x = l->held_bytes + len <= HF_LEG_HELD_MAX ? malloc(sizeof(*x) + len) : NULL;

	if (!x) {			/* more than a volume has in flight: not one of ours, or memory is short */
		drop_held(l);
		send_ack(l, c, HF_LEG_WRONG_STATE, h->epoch, 0, 0);
		return;
	}
	x->conn = c;
	x->hdr = *h;
	memcpy(x->bytes, meta, h->meta_len);
	HF_SOMETIMES(RUN_HELD);
	memcpy(x->bytes + h->meta_len, data, h->data_len);
	hf_list_init(&x->link);
	hf_list_add_tail(&l->held, &x->link);
	l->held_bytes += len;
}

void hf_leg_run_fail(struct hf_leg_run *l, const char *why)
{
	if (l->failed)
		return;
	l->failed = true;
	l->fail_why = why;
	l->core.state.failed = true;
	hf_error("leg of volume %s at %s has failed: %s; it takes no more writes and has to be rebuilt", l->volume,
		 l->path, why);
	if (l->events)
		l->events->failed(l->ctx, l, why);
	ack_later(l);
	drop_held(l);
	HF_SOMETIMES_IF(RUN_FAILS_AT_PROMISE, l->promise_ready);
	if (l->promise_ready)
		maybe_promise(l);	/* what it waited for never becomes durable: the answer is FAILED */
}

/* Answers to control messages. */

static void reply_promise(struct hf_leg_run *l, const struct hf_leg_control *q, uint8_t result)
{
	struct hf_wire_header out = { .type = HF_WIRE_PROMISE, .leg = l->id.leg, .epoch = q->hdr.epoch };
	struct hf_promise m = { .result = result, .promised = l->core.state.promised, .ver = l->core.state.ver };
	uint8_t *meta = q->conn ? hf_conn_reserve(q->conn, 2048, 0, true) : NULL;

	if (!meta)
		return;
	if (result == HF_LEG_OK) {
		struct hf_store_status st;

		hf_store_status(l->store, &st);
		hf_leg_promise(&l->core, &q->m.prepare, st.first_seq, st.size_blocks, hf_reactor_now(l->host->r), &m);
	}
	out.meta_len = hf_wire_promise_encode(meta, &m);
	hf_conn_commit(q->conn, &out);
}

static void reply_adopted(struct hf_leg_run *l, struct hf_conn *c, uint8_t result, hf_epoch epoch, bool active)
{
	struct hf_wire_header out = { .type = HF_WIRE_ADOPTED, .leg = l->id.leg, .epoch = epoch };
	struct hf_adopted m = {
		.result = result, .active = active, .epoch = epoch, .last = l->core.last, .chain = l->core.chain};
	uint8_t *meta = c ? hf_conn_reserve(c, 128, 0, true) : NULL;

	if (!meta)
		return;
	out.meta_len = hf_wire_adopted_encode(meta, &m);
	hf_conn_commit(c, &out);
}

static void reply_synced(struct hf_leg_run *l, const struct hf_leg_control *q, uint8_t result)
{
	struct hf_wire_header out = { .type = HF_WIRE_SYNCED_ACK, .leg = l->id.leg, .epoch = q->hdr.epoch };
	struct hf_ack m = { .result = result, .epoch = q->hdr.epoch, .durable = l->durable };
	uint8_t *meta = q->conn ? hf_conn_reserve(q->conn, 128, 0, true) : NULL;

	if (!meta)
		return;
	out.meta_len = hf_wire_ack_encode(meta, &m);
	hf_conn_commit(q->conn, &out);
}

/* Control messages, one at a time: queue[queue_head] is being served while busy. */

static struct hf_leg_control *current(struct hf_leg_run *l)
{
	return &l->queue[l->queue_head];
}

static void control_done(struct hf_leg_run *l)
{
	l->busy = false;
	l->queue_head = (l->queue_head + 1) % HF_LEG_CONTROL_MAX;
	l->queue_count--;
	next_control(l);
}

/*
 * guards PROMISE, PROMISE_LOG: the promise is durable, and so is all that was appended before it: what the reply says
 * can only grow stale (I5).
 */
static void maybe_promise(struct hf_leg_run *l)
{
	struct hf_leg_control *q = current(l);

	l->promise_ready = true;
	HF_SOMETIMES_IF(RUN_PROMISE_WAITS, l->durable_ticket < l->appended_ticket && !l->failed);
	if (HF_GUARD(PROMISE_LOG) && l->durable_ticket < l->appended_ticket && !l->failed)
		return;
	l->promise_ready = false;
	if (HF_GUARD(FENCE) || !l->stream) {	/* from here on ops of this epoch come from there */
		l->stream = q->conn;
		l->stream_epoch = q->hdr.epoch;
	}
	reply_promise(l, current(l), l->failed ? HF_LEG_FAILED : HF_LEG_OK);
	control_done(l);
}

static void on_promise_durable(struct hf_store_put *p, int result)
{
	struct hf_leg_run *l = hf_container_of(p, struct hf_leg_run, put);

	if (result)
		hf_leg_run_fail(l, "the promise could not be written");
	maybe_promise(l);
}

static void serve_prepare(struct hf_leg_run *l)
{
	struct hf_leg_control *q = current(l);
	bool persist = false;
	int result = hf_leg_prepare(&l->core, &q->m.prepare, &persist);

	if (result != HF_LEG_OK) {
		reply_promise(l, q, (uint8_t)result);
		control_done(l);
		return;
	}
	HF_SOMETIMES_IF(RUN_STREAM_TAKEN_OVER, l->stream && l->stream != q->conn && l->stream_epoch < q->hdr.epoch);
	if (HF_GUARD(FENCE) && l->stream_epoch < q->hdr.epoch)
		l->stream = NULL;	/* the old primary gets no more answers but a refusal */
	drop_held(l);
	HF_SOMETIMES_IF(RUN_PROMISED_ALREADY, !persist);
	if (!persist || !HF_GUARD(PROMISE)) {
		maybe_promise(l);
		return;
	}
	l->put.state = l->core.state;
	l->put.done = on_promise_durable;
	hf_store_put_state(l->store, &l->put);
}

static void adopt_finished(struct hf_leg_run *l, int result)
{
	struct hf_leg_control *q = current(l);
	struct hf_store_status st;

	if (result) {
		HF_SOMETIMES(RUN_FAILS_AT_ADOPT);
		hf_leg_run_fail(l, "the adopted history could not be written");
		reply_adopted(l, q->conn, HF_LEG_FAILED, q->m.adopt.epoch, false);
		control_done(l);
		return;
	}
	hf_store_status(l->store, &st);
	hf_leg_adopt_done(&l->core, &q->m.adopt, &l->plan, st.last_epoch, st.last_chain);
	hf_assert(st.last_seq == l->core.last);
	l->durable = st.last_seq;
	if (l->plan.reset)		/* what was appended before is in the image, or given up */
		l->durable_ticket = l->appended_ticket;
	l->stream = q->conn;
	l->stream_epoch = q->m.adopt.epoch;
	l->resync_head = l->resync_count = 0;
	l->resync_done = 0;
	l->cookie = 0;
	reply_adopted(l, q->conn, HF_LEG_OK, q->m.adopt.epoch, l->plan.active);
	control_done(l);
}

static void on_adopt_put(struct hf_store_put *p, int result)
{
	adopt_finished(hf_container_of(p, struct hf_leg_run, put), result);
}

static void on_adopt_reset(struct hf_store_reset *x, int result)
{
	adopt_finished(hf_container_of(x, struct hf_leg_run, reset), result);
}

static void serve_adopt(struct hf_leg_run *l)
{
	struct hf_leg_control *q = current(l);
	struct hf_adopt_plan *plan = &l->plan;
	int result = hf_leg_adopt(&l->core, &q->m.adopt, plan);
	hf_epoch epoch = 0;
	uint32_t chain = 0;

	drop_held(l);
	HF_SOMETIMES_IF(RUN_ADOPT_STALE, result == HF_LEG_STALE);
	if (result == HF_LEG_OK && plan->need_chain && hf_store_chain(l->store, plan->base, &epoch, &chain) != 0)
		result = HF_LEG_WRONG_STATE;
	if (result != HF_LEG_OK) {
		reply_adopted(l, q->conn, (uint8_t)result, q->m.adopt.epoch, false);
		control_done(l);
		return;
	}
	if (plan->reset) {
		l->reset = (struct hf_store_reset){
			.keep = plan->keep,
			.base_epoch = plan->need_chain ? epoch : plan->base_epoch,
			.base_seq = plan->base,
			.base_chain = plan->need_chain ? chain : plan->base_chain,
			.size_blocks = plan->need_chain ? 0 : plan->size_blocks,
			.state = plan->state,
			.wipe = plan->state.inconsistent && plan->state.resync_from == 0,
			.done = on_adopt_reset,
		};
		hf_store_reset(l->store, &l->reset);
		return;
	}
	if (plan->truncate)
		hf_store_truncate(l->store, plan->keep);
	if (!HF_GUARD(ADOPT)) {
		adopt_finished(l, 0);
		return;
	}
	l->put.state = plan->state;
	l->put.done = on_adopt_put;
	hf_store_put_state(l->store, &l->put);
}

static void on_synced_put(struct hf_store_put *p, int result)
{
	struct hf_leg_run *l = hf_container_of(p, struct hf_leg_run, put);

	if (result == 0) {
		l->core.state.inconsistent = false;
		l->core.state.resync_from = 0;
	} else {
		hf_leg_run_fail(l, "the end of the resync could not be written");
	}
	reply_synced(l, current(l), result ? HF_LEG_FAILED : HF_LEG_OK);
	control_done(l);
}

static void on_synced_applied(struct hf_store_flush *f, int result)
{
	struct hf_leg_run *l = hf_container_of(f, struct hf_leg_run, synced);
	struct hf_leg_control *q = current(l);
	int verdict = result ? HF_LEG_FAILED : hf_leg_synced(&l->core, q->hdr.epoch, &l->put.state);

	if (verdict != HF_LEG_OK) {
		reply_synced(l, q, (uint8_t)verdict);
		control_done(l);
		return;
	}
	l->put.done = on_synced_put;
	hf_store_put_state(l->store, &l->put);
}

/*
 * What was copied goes into the image first. It stands in no other log at its place: if the end of this one rotted, the
 * leg would fetch the ops that it misses, and never know of the copies (H3, H23).
 */
static void serve_synced(struct hf_leg_run *l)
{
	struct hf_leg_control *q = current(l);
	int result = hf_leg_synced(&l->core, q->hdr.epoch, &l->put.state);

	if (result != HF_LEG_OK) {
		HF_SOMETIMES(RUN_SYNCED_STALE);
		reply_synced(l, q, (uint8_t)result);
		control_done(l);
		return;
	}
	l->synced.done = on_synced_applied;
	hf_store_checkpoint(l->store, &l->synced);
}

static void next_control(struct hf_leg_run *l)
{
	while (!l->busy && l->queue_count > 0) {
		l->busy = true;
		switch (current(l)->hdr.type) {
		case HF_WIRE_PREPARE:
			serve_prepare(l);
			break;
		case HF_WIRE_ADOPT:
			serve_adopt(l);
			break;
		default:
			serve_synced(l);
			break;
		}
	}
}

static void queue_control(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta)
{
	struct hf_leg_control *q = &l->queue[(l->queue_head + l->queue_count) % HF_LEG_CONTROL_MAX];
	int err = 0;

	if (l->queue_count == HF_LEG_CONTROL_MAX) {
		hf_conn_kill(c, "too many control messages for one leg");
		return;
	}
	q->conn = c;
	q->hdr = *h;
	if (h->type == HF_WIRE_PREPARE)
		err = hf_wire_prepare_decode(meta, h->meta_len, &q->m.prepare);
	else if (h->type == HF_WIRE_ADOPT)
		err = hf_wire_adopt_decode(meta, h->meta_len, &q->m.adopt);
	if (err) {
		hf_conn_kill(c, "malformed control message");
		return;
	}
	q->hdr.epoch = h->type == HF_WIRE_PREPARE ? q->m.prepare.epoch
		       : h->type == HF_WIRE_ADOPT ? q->m.adopt.epoch
						  : h->epoch;
	l->queue_count++;
	HF_SOMETIMES_IF(RUN_CONTROL_WAITS, l->busy);
	HF_SOMETIMES_IF(RUN_PREPARE_DURING_ADOPT, l->busy && h->type == HF_WIRE_PREPARE &&
							  current(l)->hdr.type == HF_WIRE_ADOPT);
	next_control(l);
}

/* Ops. */

static bool data_is_intact(const struct hf_leg_run *l, const struct hf_entry *e, const uint8_t *data)
{
	uint32_t fs = frag_size(l);

	for (uint32_t i = 0; hf_entry_has_payload(e) && i < e->nblocks; i++)
		if (!hf_frag_is_intact(data + (size_t)i * fs, fs, e->frag_crc[i]))
			return false;
	return true;
}

/*
 * guard COPIED: copied blocks count once they can be read. One behind an op that is not committed yet is durable, but a
 * read would still find what was there before the resync (H23).
 */
static void count_resync(struct hf_leg_run *l)
{
	uint64_t before = l->resync_done;
	uint64_t upto = HF_GUARD(COPIED) ? hf_store_visible(l->store) : l->durable_ticket;

	while (l->resync_count && l->resync_ticket[l->resync_head] <= upto) {
		l->resync_head = (l->resync_head + 1) % HF_LEG_RESYNC_MAX;
		l->resync_count--;
		l->resync_done++;
	}
	if (l->resync_done != before)
		ack_later(l);
}

static void take_commit(struct hf_leg_run *l, hf_seq commit)
{
	if (commit > l->core.last)
		commit = l->core.last;
	if (commit <= l->core.commit)
		return;
	l->core.commit = commit;
	hf_store_commit(l->store, commit);
	count_resync(l);
}

#define APPEND_NO_ROOM (-1)		/* beside enum hf_leg_result */

static int append_error(int err)
{
	return err == -EAGAIN ? APPEND_NO_ROOM : err == -EIO ? HF_LEG_FAILED : HF_LEG_WRONG_STATE;
}

static int append_resync(struct hf_leg_run *l, struct hf_conn *c, const struct hf_entry *e, const uint8_t *data)
{
	uint64_t ticket;
	int err;

	/* Only a resync counts what it sends; a repair of single blocks on an in-sync leg does not. */
	bool counted = l->core.state.inconsistent;

	if (!hf_leg_takes_resync(&l->core, l->stream_epoch) || (counted && l->resync_count == HF_LEG_RESYNC_MAX))
		return HF_LEG_WRONG_STATE;
	take_commit(l, e->seq);
	err = hf_store_append(l->store, e, data, &ticket);
	if (err == -ESTALE) {
		/* The table cannot tell any more which is newer: the primary reads that chunk again (H23). */
		HF_SOMETIMES(RUN_RESYNC_REDO);
		l->resync_done++;
		send_ack(l, c, HF_LEG_OK, l->stream_epoch, 0, e->lba + 1);
		return HF_LEG_OK;
	}
	if (err)
		return append_error(err);
	l->appended_ticket = ticket;
	HF_SOMETIMES_IF(RUN_REPAIRED, !counted);
	if (counted)
		l->resync_ticket[(l->resync_head + l->resync_count++) % HF_LEG_RESYNC_MAX] = ticket;
	return HF_LEG_OK;
}

static int append_op(struct hf_leg_run *l, const struct hf_wire_header *h, const struct hf_entry *e,
		     const uint8_t *data)
{
	uint64_t ticket;
	int err;

	switch (hf_leg_append(&l->core, h->epoch, e)) {
	case HF_APPEND_OK:
		break;
	case HF_APPEND_DUPLICATE:
		return HF_LEG_OK;
	case HF_APPEND_STALE:
		return HF_LEG_STALE;
	case HF_APPEND_WRONG_STATE:
		return HF_LEG_WRONG_STATE;
	}
	err = hf_store_append(l->store, e, data, &ticket);
	if (err)
		return append_error(err);
	l->appended_ticket = ticket;
	hf_leg_appended(&l->core, e);
	if (e->ver > l->core.state.ver)
		l->core.state.ver = e->ver;
	l->ops++;
	return HF_LEG_OK;
}

/*
 * What a frame's entries want of the log: blocks of payload (the heads of four entries take less than one small
 * fragment) and chunks touched. False: malformed.
 */
static bool frame_wants(const struct hf_wire_header *h, const uint8_t *meta, uint32_t *blocks, uint32_t *chunks)
{
	struct hf_entry e;
	uint32_t pos = 0;

	*blocks = 1 + h->count / 4;
	*chunks = 0;
	for (uint32_t i = 0; i < h->count; i++) {
		if (hf_wire_entry_decode(meta, h->meta_len, &pos, &e))
			return false;
		*blocks += hf_entry_has_payload(&e) ? e.nblocks : 0;
		*chunks += hf_op_chunks(e.type, e.lba, e.nblocks);
	}
	return pos == h->meta_len;
}

/* The frame into the log; false: no room for all of it now. What was taken then is a duplicate the next time. */
static bool append_frame(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta,
			 const uint8_t *data)
{
	uint32_t pos = 0, at = 0, blocks, chunks;
	uint64_t before = l->appended_ticket;
	struct hf_entry e;
	int result = HF_LEG_OK;

	if (!frame_wants(h, meta, &blocks, &chunks)) {
		hf_conn_kill(c, "malformed APPEND");
		return true;
	}
	if (h->count && !hf_store_has_room(l->store, blocks, chunks))
		return false;
	for (uint32_t i = 0; i < h->count && result == HF_LEG_OK; i++) {
		uint32_t len;

		hf_wire_entry_decode(meta, h->meta_len, &pos, &e);
		len = hf_entry_has_payload(&e) ? e.nblocks * frag_size(l) : 0;
		if (len > h->data_len - at || !data_is_intact(l, &e, data + at)) {
			HF_SOMETIMES(RUN_BAD_DATA);
			hf_conn_kill(c, "bad data checksum");
			return true;
		}
		result = e.type == HF_OP_RESYNC ? append_resync(l, c, &e, data + at) : append_op(l, h, &e, data + at);
		at += len;
		l->bytes += len;
	}
	HF_SOMETIMES_IF(RUN_FRAME_REFUSED, result != HF_LEG_OK && result != APPEND_NO_ROOM);
	if (result == APPEND_NO_ROOM)
		return false;
	if (result != HF_LEG_OK) {
		send_ack(l, c, (uint8_t)result, h->epoch, 0, 0);
		return true;
	}
	take_commit(l, h->commit);
	if (h->tag > l->cookie)
		l->cookie = h->tag;
	/* The lease rides on the acknowledgement of the ops; a frame that brought no new ones is answered at once. */
	if (l->appended_ticket == before)
		ack_later(l);
	return true;
}

static void on_append(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta,
		      const uint8_t *data)
{
	bool adopting = l->busy && current(l)->hdr.type == HF_WIRE_ADOPT;

	if (HF_GUARD(FENCE) && h->epoch < l->core.state.promised) {
		refuse_stale(l, c, h->epoch);
		return;
	}
	if (c != l->stream || h->epoch != l->stream_epoch || (adopting && h->count)) {
		HF_SOMETIMES_IF(RUN_OTHER_STREAM, c != l->stream || h->epoch != l->stream_epoch);
		send_ack(l, c, l->failed ? HF_LEG_FAILED : HF_LEG_WRONG_STATE, h->epoch, 0, 0);
		return;
	}
	if (l->failed) {
		ack_later(l);
		return;
	}
	/* First, so that what is committed can be applied: or a log full of ops that wait for this would stay full. */
	take_commit(l, h->commit);
	HF_SOMETIMES_IF(RUN_BEHIND_HELD, h->count && !hf_list_is_empty(&l->held));
	if ((h->count && !hf_list_is_empty(&l->held)) || !append_frame(l, c, h, meta, data))
		hold(l, c, h, meta, data);
}

static void on_activated(struct hf_store_put *p, int result)
{
	struct hf_leg_run *l = hf_container_of(p, struct hf_leg_run, activate);

	l->activating = false;
	HF_SOMETIMES_IF(RUN_ACTIVATED_NO_STREAM, !result && !l->stream);
	if (result) {
		hf_leg_run_fail(l, "the adopted history could not be written");
		return;
	}
	hf_leg_activated(&l->core, &p->state);
	if (l->core.state.activated == p->state.activated && l->stream && l->stream_epoch == p->state.activated)
		reply_adopted(l, l->stream, HF_LEG_OK, l->stream_epoch, true);
}

static void on_store_durable(void *ctx, uint64_t ticket, hf_seq seq)
{
	struct hf_leg_run *l = ctx;

	l->durable_ticket = ticket;
	if (seq > l->durable)
		l->durable = seq;
	count_resync(l);
	if (!l->activating && hf_leg_durable(&l->core, l->durable, &l->activate.state)) {
		l->activating = true;
		l->activate.done = on_activated;
		hf_store_put_state(l->store, &l->activate);
	}
	if (l->promise_ready)
		maybe_promise(l);
	ack_later(l);
}

static void on_store_room(void *ctx)
{
	struct hf_leg_run *l = ctx;
	struct hf_list *n = l->held.next;

	while (n != &l->held && !l->failed) {
		struct held *x = hf_container_of(n, struct held, link);

		if (!append_frame(l, x->conn, &x->hdr, x->bytes, x->bytes + x->hdr.meta_len)) {
			HF_SOMETIMES(RUN_HELD_STILL);
			return;
		}
		HF_SOMETIMES(RUN_HELD_TAKEN);
		held_free(l, x);
		n = l->held.next;
	}
}

static void on_store_failed(void *ctx, int err, const char *what)
{
	struct hf_leg_run *l = ctx;

	hf_error("leg of volume %s at %s: %s: %s", l->volume, l->path, what, hf_strerror(err));
	hf_leg_run_fail(l, what);
}

const struct hf_store_events hf_leg_run_store_events = {
	.durable = on_store_durable,
	.room = on_store_room,
	.failed = on_store_failed,
};

/* Reads for other hosts. */

struct leg_read {
	struct hf_list link;
	struct hf_leg_run *l;
	struct hf_conn *conn;		/* NULL: it went away */
	struct hf_wire_header hdr;
	struct hf_store_read rd;
	void *buf;			/* not of the pool: its users may be waiting for this very read */
	int result;
	bool finished;
};

static void read_free(struct leg_read *r)
{
	hf_list_del(&r->link);
	free(r->buf);
	r->l->reads_under_way--;
	free(r);
}

static void read_reply(struct leg_read *r)
{
	struct hf_leg_run *l = r->l;
	struct hf_wire_header out = { .type = HF_WIRE_READ_DATA, .leg = l->id.leg, .tag = r->hdr.tag };
	struct hf_wire_read_data m = {
		.result = r->result, .nblocks = r->rd.nblocks, .zero = r->rd.zero, .bad = r->rd.bad};
	uint32_t len = r->result ? 0 : r->rd.nblocks * frag_size(l);
	uint8_t *meta;

	if (!r->conn) {
		HF_SOMETIMES(RUN_READ_UNWANTED);
		read_free(r);
		return;
	}
	meta = hf_conn_reserve(r->conn, 1024, len, false);
	HF_SOMETIMES_IF(RUN_READ_NO_ROOM, !meta && !r->conn->dead);
	if (!meta)
		return;			/* again when the connection has room, or never when it is gone */
	memcpy(m.block_crc, r->rd.block_crc, r->rd.nblocks * sizeof(m.block_crc[0]));
	out.meta_len = hf_wire_read_data_encode(meta, &m);
	out.data_len = len;
	memcpy(meta + out.meta_len, r->buf, len);
	hf_conn_commit(r->conn, &out);
	l->bad_blocks += (uint64_t)__builtin_popcountll(r->rd.bad);
	read_free(r);
}

static void on_read_done(struct hf_store_read *rd, int result)
{
	struct leg_read *r = rd->ctx;

	r->result = result;
	r->finished = true;
	read_reply(r);
}

static void refuse_read(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h, int err)
{
	struct hf_wire_header out = { .type = HF_WIRE_READ_DATA, .leg = l->id.leg, .tag = h->tag };
	uint8_t *meta = hf_conn_reserve(c, 128, 0, true);

	if (!meta)
		return;
	out.meta_len = hf_wire_read_data_encode(meta, &(struct hf_wire_read_data){ .result = err });
	hf_conn_commit(c, &out);
}

static void on_read(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta)
{
	struct hf_wire_read m;
	struct leg_read *r;

	if (hf_wire_read_decode(meta, h->meta_len, &m)) {
		hf_conn_kill(c, "malformed READ");
		return;
	}
	if (l->failed || l->core.state.inconsistent || h->epoch != l->core.state.promised || l->core.last < m.seq) {
		HF_SOMETIMES_IF(RUN_READ_FAILED, l->failed);
		HF_SOMETIMES_IF(RUN_READ_DEPOSED, !l->failed && h->epoch < l->core.state.promised);
		refuse_read(l, c, h, l->failed ? -EIO : -ESTALE);
		return;
	}
	r = calloc(1, sizeof(*r));
	if (r)
		r->buf = aligned_alloc(HF_SECTOR, (m.nblocks * frag_size(l) + HF_SECTOR - 1) / HF_SECTOR * HF_SECTOR);
	if (!r || !r->buf) {
		free(r);
		refuse_read(l, c, h, -EAGAIN);
		return;
	}
	take_commit(l, m.seq);		/* the primary says that this is committed (H21) */
	r->l = l;
	r->conn = c;
	r->hdr = *h;
	r->rd.lba = m.lba;
	r->rd.nblocks = m.nblocks;
	r->rd.buf = r->buf;
	r->rd.done = on_read_done;
	r->rd.ctx = r;
	hf_list_add_tail(&l->reads, &r->link);
	l->reads_under_way++;
	hf_store_read(l->store, &r->rd);
}

/* Entries of the log for a promotion (R9): as many as fit into one frame. */
struct leg_fetch {
	struct hf_list link;
	struct hf_conn *conn;
	struct hf_wire_header hdr;
	struct hf_wire_fetch m;
};

/* False: the connection has no room now. */
static bool fetch_reply(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h,
			const struct hf_wire_fetch *m)
{
	struct hf_wire_header out = { .type = HF_WIRE_FETCH_DATA, .leg = l->id.leg, .tag = h->tag };
	uint32_t fs = frag_size(l), meta_max = 64 * 1024, data_max = HF_WRITE_BLOCKS_MAX * HF_BLOCK;
	uint8_t *reply = hf_conn_reserve(c, meta_max, data_max, false), *data;
	struct hf_entry e;

	if (!reply)
		return c->dead;
	data = reply + meta_max;	/* moved behind the meta once its length is known */
	for (hf_seq s = m->from; s <= m->to && !l->failed && h->epoch == l->core.state.promised; s++) {
		uint32_t len;

		if (hf_store_entry(l->store, s, &e, NULL))
			break;
		len = hf_entry_has_payload(&e) && !m->heads_only ? e.nblocks * fs : 0;
		if (out.meta_len + hf_wire_entry_size(&e) > meta_max || out.data_len + len > data_max)
			break;
		if (len)
			hf_assert(hf_store_entry(l->store, s, &e, data + out.data_len) == 0);
		out.meta_len += hf_wire_entry_encode(reply + out.meta_len, &e);
		out.data_len += len;
		out.count++;
	}
	memmove(reply + out.meta_len, data, out.data_len);
	hf_conn_commit(c, &out);
	return true;
}

static void fetch_free(struct leg_fetch *x)
{
	hf_list_del(&x->link);
	free(x);
}

static void on_fetch(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta)
{
	struct hf_wire_fetch m;
	struct leg_fetch *x;

	if (hf_wire_fetch_decode(meta, h->meta_len, &m)) {
		hf_conn_kill(c, "malformed FETCH");
		return;
	}
	if (fetch_reply(l, c, h, &m))
		return;
	HF_SOMETIMES(RUN_FETCH_NO_ROOM);
	x = malloc(sizeof(*x));
	if (!x)
		return;			/* the primary asks again */
	*x = (struct leg_fetch){ .conn = c, .hdr = *h, .m = m };
	hf_list_init(&x->link);
	hf_list_add_tail(&l->fetches, &x->link);
}

void hf_leg_run_conn_room(struct hf_host *h, struct hf_conn *c)
{
	for (uint32_t b = 0; b < HF_HOST_BUCKETS; b++) {
		hf_list_each(&h->legs[b], n) {
			struct hf_leg_run *l = hf_container_of(n, struct hf_leg_run, link);

			hf_list_each(&l->reads, rn) {
				struct leg_read *r = hf_container_of(rn, struct leg_read, link);

				if (r->conn == c && r->finished)
					read_reply(r);
			}
			hf_list_each(&l->fetches, fn) {
				struct leg_fetch *x = hf_container_of(fn, struct leg_fetch, link);

				if (x->conn == c && fetch_reply(l, c, &x->hdr, &x->m))
					fetch_free(x);
			}
		}
	}
}

static void on_map(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta)
{
	struct hf_wire_header out = { .type = HF_WIRE_MAP_DATA, .leg = l->id.leg, .tag = h->tag };
	struct hf_wire_map m;
	struct hf_wire_map_data d = { 0 };
	struct hf_store_status st;
	uint8_t *reply;

	if (hf_wire_map_decode(meta, h->meta_len, &m)) {
		hf_conn_kill(c, "malformed MAP");
		return;
	}
	reply = hf_conn_reserve(c, HF_WIRE_MAP_MAX * 8 + 64, 0, true);
	if (!reply)
		return;
	if (!l->failed && !l->core.state.inconsistent && h->epoch == l->core.state.promised) {
		take_commit(l, h->commit);
		hf_store_status(l->store, &st);
		d.cursor = m.cursor;
		d.size_blocks = st.size_blocks;
		d.count = m.after == HF_NEVER
				  ? 0
				  : hf_store_changed(l->store, m.after, &d.cursor, d.chunk, HF_WIRE_MAP_MAX);
		if (d.count < HF_WIRE_MAP_MAX)
			d.cursor = HF_NEVER;
		out.meta_len = hf_wire_map_data_encode(reply, &d);
		out.count = 1;
	}
	hf_conn_commit(c, &out);
}

/* What a PREPARE would be answered now; nothing is promised and nobody is fenced. */
static void on_look(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h)
{
	struct hf_wire_header out = { .type = HF_WIRE_LOOKED, .leg = l->id.leg, .tag = h->tag };
	struct hf_prepare any = { .epoch = HF_NEVER };
	struct hf_promise m = { .result = HF_LEG_FAILED };
	uint8_t *meta = hf_conn_reserve(c, 2048, 0, true);
	struct hf_store_status st;

	if (!meta)
		return;
	if (!l->failed) {
		hf_store_status(l->store, &st);
		hf_leg_promise(&l->core, &any, st.first_seq, st.size_blocks, hf_reactor_now(l->host->r), &m);
	}
	out.meta_len = hf_wire_promise_encode(meta, &m);
	hf_conn_commit(c, &out);
}

static void on_release(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h)
{
	struct hf_wire_header out = { .type = HF_WIRE_RELEASED, .leg = l->id.leg, .epoch = h->epoch };

	hf_leg_release_lease(&l->core, h->epoch);
	l->cookie = 0;
	if (hf_conn_reserve(c, 0, 0, true))
		hf_conn_commit(c, &out);
}

void hf_leg_run_frame(struct hf_leg_run *l, struct hf_conn *c, const struct hf_wire_header *h, const uint8_t *meta,
		      const uint8_t *data)
{
	switch (h->type) {
	case HF_WIRE_APPEND:
		on_append(l, c, h, meta, data);
		break;
	case HF_WIRE_PREPARE:
	case HF_WIRE_ADOPT:
	case HF_WIRE_SYNCED:
		queue_control(l, c, h, meta);
		break;
	case HF_WIRE_READ:
		on_read(l, c, h, meta);
		break;
	case HF_WIRE_FETCH:
		on_fetch(l, c, h, meta);
		break;
	case HF_WIRE_MAP:
		on_map(l, c, h, meta);
		break;
	case HF_WIRE_LOOK:
		on_look(l, c, h);
		break;
	case HF_WIRE_RELEASE:
		on_release(l, c, h);
		break;
	default:
		hf_conn_kill(c, "unexpected message for a leg");
		break;
	}
}

/* Nothing that this leg keeps points to `c` any more; NULL: to any connection. */
static void forget_conn(struct hf_leg_run *l, const struct hf_conn *c)
{
	if (!c || l->stream == c)
		l->stream = NULL;
	for (uint32_t i = 0; i < HF_LEG_CONTROL_MAX; i++)
		if (!c || l->queue[i].conn == c)
			l->queue[i].conn = NULL;
	hf_list_each(&l->held, hn) {
		struct held *x = hf_container_of(hn, struct held, link);

		HF_SOMETIMES_IF(RUN_HELD_CUT_OFF, c && x->conn == c);
		if (!c || x->conn == c)
			held_free(l, x);
	}
	hf_list_each(&l->fetches, fn) {
		struct leg_fetch *x = hf_container_of(fn, struct leg_fetch, link);

		if (!c || x->conn == c)
			fetch_free(x);
	}
	hf_list_each(&l->reads, rn) {
		struct leg_read *r = hf_container_of(rn, struct leg_read, link);

		if (c && r->conn != c)
			continue;
		r->conn = NULL;
		if (r->finished)
			read_free(r);
	}
}

void hf_leg_run_conn_gone(struct hf_host *h, struct hf_conn *c)
{
	for (uint32_t b = 0; b < HF_HOST_BUCKETS; b++)
		hf_list_each(&h->legs[b], n)
			forget_conn(hf_container_of(n, struct hf_leg_run, link), c);
}

static void on_flushed(struct hf_store_flush *f, int result)
{
	struct hf_leg_run *l = hf_container_of(f, struct hf_leg_run, flush);

	(void)result;			/* a failure is told by the store's own event */
	l->flushing = false;
}

/*
 * What rests in the log of a quiet volume goes to the image: discards give their space back, and the next start has
 * little to read. Not without a primary that serves: the next one may need what the log still shows.
 */
void hf_leg_run_tick(struct hf_leg_run *l)
{
	hf_nsec now = hf_reactor_now(l->host->r);

	if (l->failed || l->flushing || !l->stream || l->core.state.activated != l->core.state.promised)
		return;
	if (l->rest_ticket != l->appended_ticket) {
		l->rest_ticket = l->appended_ticket;
		l->rest_since = now;
	}
	if (l->flushed_ticket == l->rest_ticket || now < l->rest_since + REST_NS)
		return;
	HF_SOMETIMES(RUN_RESTS);
	l->flushing = true;
	l->flushed_ticket = l->rest_ticket;
	l->flush.done = on_flushed;
	hf_store_checkpoint(l->store, &l->flush);
}

void hf_leg_run_fini(struct hf_leg_run *l)
{
	l->failed = l->core.state.failed = true;
	hf_task_cancel(&l->ack);
	forget_conn(l, NULL);
}

void hf_leg_run_init(struct hf_leg_run *l, struct hf_host *h, struct hf_store *s, const struct hf_leg_events *events,
		     void *ctx)
{
	struct hf_store_status st;

	l->host = h;
	l->store = s;
	l->events = events;
	l->ctx = ctx;
	hf_list_init(&l->link);
	hf_list_init(&l->reads);
	hf_list_init(&l->held);
	hf_list_init(&l->fetches);
	hf_task_init(&l->ack, on_ack_task);
	hf_store_status(s, &st);
	l->id = st.id;
	l->durable = st.last_seq;
	l->rest_since = hf_reactor_now(h->r);
	l->flushed_ticket = UINT64_MAX;	/* what recovery found in the log counts as new */
	hf_leg_init(&l->core, &st.id, hf_store_state(s), st.last_epoch, st.last_seq, st.last_chain, st.commit,
		    st.suspect, hf_reactor_now(h->r), HF_LEASE_NS);
}

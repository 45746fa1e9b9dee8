// SPDX-License-Identifier: MIT
/* volume_run - life of a volume that is primary here: actions of the core, requests of clients, the config record. */
#include "engine/volume_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/sometimes.h"
#include "codec/csum.h"
#include "core/guard.h"
#include "engine/leg_run.h"
#include "engine/peer.h"
#include "format/record.h"

static hf_nsec now_of(const struct hf_volume_run *v)
{
	return hf_reactor_now(v->host->r);
}

struct hf_conn *hf_volume_run_conn(struct hf_volume_run *v, uint32_t leg)
{
	struct hf_peer *p = v->peer[leg];

	return p && hf_peer_is_up(p) && !p->conn.dead ? &p->conn : NULL;
}

struct hf_leg_run *hf_volume_run_local_leg(const struct hf_volume_run *v, uint32_t leg)
{
	if (!v->core->leg[leg].local)
		return NULL;
	return hf_host_find_leg(v->host, &v->core->record.leg[leg].uuid);
}

/* Cluster store. */

static void know_text(struct hf_record_text *t, const struct hf_uuid *nonce, const char *text)
{
	free(t->text);
	t->nonce = *nonce;
	t->text = strdup(text);
	hf_assert(t->text);
}

/* The core may have taken the record that was read last, or sent last: a change compares with that one now. */
const char *hf_volume_run_record_text(struct hf_volume_run *v)
{
	struct hf_record_text *from[] = { &v->text_read, &v->text_sent };

	for (uint32_t i = 0; i < 2; i++) {
		struct hf_record_text old = v->text_base;

		if (hf_uuid_is_equal(&v->core->record.nonce, &v->text_base.nonce))
			break;
		if (!hf_uuid_is_equal(&v->core->record.nonce, &from[i]->nonce))
			continue;
		v->text_base = *from[i];
		*from[i] = old;
	}
	hf_assert(hf_uuid_is_equal(&v->core->record.nonce, &v->text_base.nonce));
	return v->text_base.text;
}

static void get_record(struct hf_volume_run *v);

static void feed_record(struct hf_volume_run *v, int result, const struct hf_record *r, uint64_t ver)
{
	struct hf_event e = { .kind = HF_EV_RECORD, .result = result, .record = r, .ver = ver };

	hf_volume_run_step(v, &e);
}

static void on_got(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		   uint64_t ver)
{
	struct hf_volume_run *v = q->ctx;
	struct hf_errmsg err;
	struct hf_record r;

	(void)ver;
	v->getting = false;
	if (v->stopping)
		return;
	if (result == 0 && count == 1 && hf_record_decode(items[0].value, &r, &err)) {
		hf_error("volume %s: its config record is damaged: %s", v->core->record.name, err.text);
		result = -EPROTO;
	}
	if (result == 0 && !hf_uuid_is_equal(&r.volume, &v->core->record.volume))
		result = -ENOENT;	/* deleted and made anew under the same name */
	if (result == 0) {
		hf_volume_run_record_text(v);
		know_text(&v->text_read, &r.nonce, items[0].value);
	}
	if (result && result != -ENOENT && !v->get_failed)
		hf_warn("volume %s: cluster store: %s; trying again", v->core->record.name, hf_strerror(result));
	v->get_failed = result && result != -ENOENT;
	feed_record(v, result, &r, result ? 0 : items[0].ver);
	if (v->get_again) {
		v->get_again = false;
		get_record(v);
	}
}

static void get_record(struct hf_volume_run *v)
{
	if (v->getting) {
		HF_SOMETIMES(VOLUME_GET_AGAIN);
		v->get_again = true;
		return;
	}
	v->getting = true;
	v->get_req.done = on_got;
	v->get_req.ctx = v;
	v->cluster->ops->get(v->cluster, &v->get_req, v->key);
}

void hf_volume_run_poke(struct hf_volume_run *v)
{
	if (!v->stopping)
		get_record(v);
}

static void on_cas(struct hf_cluster_req *q, int result, const struct hf_cluster_item *items, size_t count,
		   uint64_t ver)
{
	struct hf_volume_run *v = q->ctx;
	struct hf_event e = { .kind = HF_EV_CAS_DONE, .result = result, .ver = ver };

	(void)items;
	(void)count;
	v->cas_under_way = false;
	if (!v->stopping)
		hf_volume_run_step(v, &e);
}

static void compare_and_swap(struct hf_volume_run *v)
{
	const char *was = hf_volume_run_record_text(v);

	free(v->text_sent.text);
	v->text_sent = (struct hf_record_text){ .nonce = v->core->proposal.nonce };
	hf_assert(!v->cas_under_way && hf_record_encode(&v->core->proposal, &v->text_sent.text) == 0);
	v->cas_under_way = true;
	v->cas_req.done = on_cas;
	v->cas_req.ctx = v;
	v->cluster->ops->cas(v->cluster, &v->cas_req, v->key, v->core->ver, was, v->text_sent.text);
}

/* Requests. */

static void on_complete(struct hf_task *t)
{
	struct hf_volume_run *v = hf_container_of(t, struct hf_volume_run, complete);
	struct hf_list batch, *n;

	hf_list_init(&batch);
	hf_list_splice(&batch, &v->finished);
	while ((n = hf_list_pop(&batch))) {
		struct hf_request *q = hf_container_of(n, struct hf_request, link);

		q->done(q, (int)(intptr_t)q->priv[0]);
	}
}

/* Answer a request later in this turn. */
void hf_volume_run_finish(struct hf_volume_run *v, struct hf_request *q, int result)
{
	q->priv[0] = (void *)(intptr_t)result;
	hf_list_add_tail(&v->finished, &q->link);
	hf_task_defer(v->host->r, &v->complete);
}

static void release_slot(struct hf_slot *s)
{
	if (s->buf)
		hf_buf_put(s->buf);
	s->buf = NULL;
	s->req = NULL;
	s->lost = false;
}

static void admit_op(struct hf_volume_run *v, struct hf_request *q)
{
	struct hf_slot *s = &v->slot[v->core->next % HF_WINDOW];
	struct hf_entry e = {
		.type = q->kind == HF_REQUEST_WRITE ? HF_OP_WRITE : HF_OP_ZERO, .lba = q->lba, .nblocks = q->nblocks};
	struct hf_event ev = { .kind = HF_EV_OP, .entry = &e };

	hf_assert(!s->buf && !s->req);
	if (q->kind == HF_REQUEST_WRITE) {
		for (uint32_t i = 0; i < q->nblocks; i++)
			e.block_crc[i] = hf_crc32c(q->buf->data + (size_t)i * HF_BLOCK, HF_BLOCK);
		s->buf = hf_buf_get(q->buf);
		s->bytes = q->nblocks * HF_BLOCK;
		v->write_bytes += (uint64_t)q->nblocks * HF_BLOCK;
	}
	if (q->kind == HF_REQUEST_ZERO)	/* no payload, but as much memory of the log as small writes over it */
		s->bytes = hf_op_chunks(e.type, e.lba, e.nblocks) * 512;
	s->bytes += HF_BLOCK;		/* alone in a batch of the log, it takes up to a page more */
	v->in_flight += s->bytes;
	s->req = q;
	q->priv[1] = (void *)(uintptr_t)now_of(v);
	v->writes++;
	hf_volume_run_step(v, &ev);
}

static bool is_within(struct hf_volume_run *v, struct hf_request *q)
{
	if (q->lba + q->nblocks <= v->size_blocks)
		return true;
	hf_volume_run_finish(v, q, -ENOSPC);
	return false;
}

/* Reads do not queue behind writes that wait for room or for tolerance. */
static void drain_pending(struct hf_volume_run *v)
{
	while (v->open && v->reads < HF_READS_MAX - HF_READS_INTERNAL && !hf_list_is_empty(&v->pending_reads)) {
		struct hf_request *q = hf_container_of(hf_list_pop(&v->pending_reads), struct hf_request, link);

		if (is_within(v, q))
			hf_volume_read_request(v, q);
	}
	HF_SOMETIMES_IF(VOLUME_IN_FLIGHT_FULL, v->open && v->in_flight >= v->host->in_flight_max &&
						       !hf_list_is_empty(&v->pending));
	/* A leg's log must be able to hold all that it does not know as committed, or it would wait for itself. */
	while (v->open && v->in_flight < v->host->in_flight_max && hf_volume_can_admit(v->core) &&
	       !hf_list_is_empty(&v->pending)) {
		struct hf_request *q = hf_container_of(hf_list_pop(&v->pending), struct hf_request, link);

		if (is_within(v, q))
			admit_op(v, q);
	}
}

void hf_volume_run_submit(struct hf_volume_run *v, struct hf_session *s, struct hf_request *q)
{
	q->session = s;
	hf_list_init(&q->link);
	if (v->stopping) {
		hf_volume_run_finish(v, q, -ESHUTDOWN);
		return;
	}
	/* Durable is durable: what was answered before is on every in-sync leg already (R12). */
	if (q->kind == HF_REQUEST_FLUSH) {
		hf_volume_run_finish(v, q, 0);
		return;
	}
	hf_list_add_tail(q->kind == HF_REQUEST_READ ? &v->pending_reads : &v->pending, &q->link);
	hf_task_defer(v->host->r, &v->turn);
}

uint64_t hf_volume_run_extent(struct hf_volume_run *v, uint64_t lba, uint64_t max, bool *allocated)
{
	for (uint32_t i = 0; i < v->core->record.leg_count; i++) {
		struct hf_leg_run *l = hf_volume_run_local_leg(v, i);

		if (l && !l->failed && v->core->record.leg[i].insync && v->core->leg[i].adopted)
			return hf_store_extent(l->store, lba, max, allocated);
	}
	*allocated = true;		/* no leg here: unknown counts as data */
	return max;
}

int hf_volume_run_attach(struct hf_volume_run *v, struct hf_session *s, const char **why)
{
	if (v->stopping || !v->open) {
		*why = "the volume is not served here now";
		return -EAGAIN;
	}
	if (HF_GUARD(SESSION) && !s->read_only && v->writer) {
		*why = "another client has the volume open for writing; close that one, or open VOLUME@ro to read "
		       "beside it";
		return -EBUSY;
	}
	if (!s->read_only)
		v->writer = s;
	s->volume = v;
	hf_list_add_tail(&v->sessions, &s->link);
	return 0;
}

/* Of one session; NULL: all. */
static void drop_pending(struct hf_volume_run *v, struct hf_list *list, const struct hf_session *s)
{
	hf_list_each(list, n) {
		struct hf_request *q = hf_container_of(n, struct hf_request, link);

		HF_SOMETIMES_IF(VOLUME_PENDING_LEFT, s && q->session == s);
		if (s && q->session != s)
			continue;
		hf_list_del(&q->link);
		hf_volume_run_finish(v, q, -ESHUTDOWN);
	}
}

void hf_volume_run_detach(struct hf_volume_run *v, struct hf_session *s)
{
	/*
	 * What it had sent and was not ordered yet is dropped; what was ordered comes before the next session's first
	 * op (R14).
	 */
	drop_pending(v, &v->pending, s);
	drop_pending(v, &v->pending_reads, s);
	if (v->writer == s)
		v->writer = NULL;
	hf_list_del(&s->link);
	s->volume = NULL;
}

int hf_volume_run_resize(struct hf_volume_run *v, uint64_t size_blocks,
			 void (*done)(void *ctx, struct hf_volume_run *v, int result), void *ctx)
{
	struct hf_entry e = { .type = HF_OP_RESIZE, .lba = size_blocks };
	struct hf_event ev = { .kind = HF_EV_OP, .entry = &e };

	if (v->resized || !v->open || !hf_volume_can_admit(v->core))
		return -EBUSY;
	v->resized = done;
	v->resized_ctx = ctx;
	v->resize_seq = v->core->next;
	v->resize_blocks = size_blocks;
	hf_volume_run_step(v, &ev);
	return 0;
}

/* Everything <= to is on every in-sync leg: answer. */
static void answer_committed(struct hf_volume_run *v, hf_seq to)
{
	hf_nsec now = now_of(v);

	while (v->answered < to) {
		struct hf_slot *s = &v->slot[++v->answered % HF_WINDOW];
		struct hf_request *q = s->req;

		v->in_flight -= s->bytes;
		s->bytes = 0;
		s->req = NULL;
		if (q) {
			hf_nsec took = now - (hf_nsec)(uintptr_t)q->priv[1];

			if (took > v->stall_max)
				v->stall_max = took;
			hf_volume_run_finish(v, q, 0);
		}
	}
	if (v->resized && v->resize_seq <= to) {
		void (*done)(void *ctx, struct hf_volume_run *v, int result) = v->resized;

		v->resized = NULL;
		v->size_blocks = v->resize_blocks;
		done(v->resized_ctx, v, 0);
	}
}

/* Ask an in-sync leg for the size, now that it knows everything decided as committed. */
static void ask_size(struct hf_volume_run *v)
{
	for (uint32_t i = 0; i < v->core->record.leg_count; i++)
		if (v->core->record.leg[i].insync)
			hf_volume_send_lease(v, i);
	v->sizing = true;
	v->sizing_at = now_of(v);
	hf_volume_ask_map(v, 0, HF_NEVER, 0, UINT64_MAX);
}

static void have_size(struct hf_volume_run *v, uint64_t size_blocks)
{
	if (!v->sizing || size_blocks == 0)
		return;
	v->sizing = false;
	v->size_blocks = size_blocks;
	hf_volume_sized(v->core, size_blocks);
	v->open = true;
	v->owner->serving(v->ctx, v);
	hf_task_defer(v->host->r, &v->turn);
}

static void begin_stop(struct hf_volume_run *v)
{
	if (v->stopping)
		return;
	v->stopping = true;
	v->open = false;
	for (uint32_t i = 0; i < v->core->record.leg_count; i++) {
		hf_volume_resync_stop(v, i);
		hf_volume_send_release(v, i);
	}
	hf_list_each(&v->sessions, sn) {
		struct hf_session *s = hf_container_of(sn, struct hf_session, link);

		s->fenced(s, v->core->stop_why);
	}
	for (uint32_t i = 0; i < HF_WINDOW; i++) {
		HF_SOMETIMES_IF(VOLUME_STOPS_IN_WRITE, v->slot[i].req != NULL);
		if (v->slot[i].req)
			hf_volume_run_finish(v, v->slot[i].req, -ESHUTDOWN);
		release_slot(&v->slot[i]);
	}
	drop_pending(v, &v->pending, NULL);
	drop_pending(v, &v->pending_reads, NULL);
	if (v->resized) {
		void (*done)(void *ctx, struct hf_volume_run *v, int result) = v->resized;

		v->resized = NULL;
		done(v->resized_ctx, v, -ESHUTDOWN);
	}
	hf_volume_read_stop(v);
	hf_task_defer(v->host->r, &v->stop_task);
}

/* Nothing is under way any more? Then the owner may free us. */
static void on_stop_task(struct hf_task *t)
{
	struct hf_volume_run *v = hf_container_of(t, struct hf_volume_run, stop_task);

	HF_SOMETIMES_IF(VOLUME_STOP_WAITS_STORE, v->stopping && !v->stopped_told && (v->getting || v->cas_under_way));
	HF_SOMETIMES_IF(VOLUME_STOP_WAITS_READS, v->stopping && !v->stopped_told && v->reads);
	if (!v->stopping || v->stopped_told || v->getting || v->cas_under_way || v->reads ||
	    !hf_list_is_empty(&v->finished))
		return;
	if (!hf_list_is_empty(&v->sessions))
		return;
	v->stopped_told = true;
	v->owner->stopped(v->ctx, v);
}

/* A blank leg with a uuid of its own in the place of one that is gone (H9). */
struct replacement {
	struct hf_admin_call call;
	struct hf_host *host;
	struct hf_uuid volume, leg, old;
};

static void on_replaced(struct hf_admin_call *call, int result, const char *words)
{
	struct replacement *x = call->ctx;
	struct hf_event e = { .kind = HF_EV_REPLACED, .incarnation = x->leg };
	struct hf_volume_run *v = hf_host_find_volume(x->host, &x->old, &e.leg);

	if (result)
		hf_warn("a leg that is gone could not be made anew: %s", words);
	else if (v && !v->stopping)
		hf_volume_run_step(v, &e);
	free(x);
}

static void replace_leg(struct hf_volume_run *v, uint32_t leg)
{
	const struct hf_record *r = &v->core->record;
	struct replacement *x = calloc(1, sizeof(*x));
	struct hf_wire_format m = { .size_blocks = v->size_blocks };

	hf_assert(x);
	x->host = v->host;
	x->old = r->leg[leg].uuid;
	hf_reactor_random(v->host->r, &x->leg, sizeof(x->leg));
	hf_uuid_stamp(&x->leg);
	m.id = (struct hf_leg_identity){ .cluster = r->cluster,
					 .volume = r->volume,
					 .leg = x->leg,
					 .geometry = r->geometry,
					 .frag = r->leg[leg].frag };
	memcpy(m.volume, r->name, HF_NAME_MAX);
	x->call.done = on_replaced;
	x->call.ctx = x;
	if (!v->size_blocks || hf_host_format(v->host, r->leg[leg].host, &m, &x->call))
		free(x);
}

static void do_action(struct hf_volume_run *v, const struct hf_action *a)
{
	switch (a->kind) {
	case HF_ACT_GET_RECORD:
		get_record(v);
		break;
	case HF_ACT_CAS:
		compare_and_swap(v);
		break;
	case HF_ACT_PREPARE:
		hf_volume_send_prepare(v, a->leg);
		break;
	case HF_ACT_ADOPT:
		hf_volume_send_adopt(v, a->leg, &a->adopt);
		break;
	case HF_ACT_SURVEY:
		hf_volume_survey_start(v, a->leg, a->from, a->to);
		break;
	case HF_ACT_LOAD:
		hf_volume_load_start(v, a->from, a->to);
		break;
	case HF_ACT_APPEND:
		hf_volume_send_append(v, a->leg, a->from, a->to);
		break;
	case HF_ACT_LEASE:
		hf_volume_send_lease(v, a->leg);
		break;
	case HF_ACT_COMMITTED:
		answer_committed(v, a->to);
		break;
	case HF_ACT_RELEASE:
		for (hf_seq s = a->from; s <= a->to; s++)
			release_slot(&v->slot[s % HF_WINDOW]);
		break;
	case HF_ACT_RESYNC:
		hf_volume_resync_start(v, a->leg, a->from);
		break;
	case HF_ACT_RESYNC_STOP:
		hf_volume_resync_stop(v, a->leg);
		break;
	case HF_ACT_SYNCED:
		hf_volume_send_synced(v, a->leg);
		break;
	case HF_ACT_REPLACE:
		replace_leg(v, a->leg);
		break;
	case HF_ACT_SERVING:
		v->answered = v->core->committed;
		ask_size(v);
		break;
	case HF_ACT_STOPPED:
		begin_stop(v);
		break;
	case HF_ACT_NOTE:
		v->owner->note(v->ctx, v, a->note, a->leg);
		break;
	}
}

void hf_volume_run_step(struct hf_volume_run *v, struct hf_event *e)
{
	struct hf_actions out;

	out.count = 0;
	e->now = now_of(v);
	hf_volume_step(v->core, e, &out);
#ifdef HF_DEBUG
	hf_volume_check(v->core);
#endif
	for (uint32_t i = 0; i < out.count; i++)
		do_action(v, &out.at[i]);
	if (e->kind != HF_EV_TURN)
		hf_task_defer(v->host->r, &v->turn);
}

/* The end of a turn: admit what waits, send what is ready. */
static void on_turn(struct hf_task *t)
{
	struct hf_volume_run *v = hf_container_of(t, struct hf_volume_run, turn);
	struct hf_event e = { .kind = HF_EV_TURN };

	if (v->stopping)
		return;
	drain_pending(v);
	hf_volume_run_step(v, &e);
}

/* Legs. */

/* Oldest seq that a whole leg on this host can give back from its log. */
static void update_replay_floor(struct hf_volume_run *v)
{
	v->core->replay_floor = HF_NEVER;
	for (uint32_t i = 0; i < v->core->record.leg_count; i++) {
		struct hf_leg_run *l = hf_volume_run_local_leg(v, i);
		struct hf_store_status st;

		if (!l || l->failed || !v->core->leg[i].adopted || !v->core->record.leg[i].insync ||
		    !hf_frag_is_whole(l->id.geometry, l->id.frag))
			continue;
		hf_store_status(l->store, &st);
		v->core->replay_floor = st.first_seq;
	}
}

void hf_volume_run_peer_changed(struct hf_volume_run *v, struct hf_peer *p, bool up)
{
	if (v->stopping)
		return;
	update_replay_floor(v);
	for (uint32_t i = 0; i < v->core->record.leg_count; i++) {
		struct hf_event e = { .kind = up ? HF_EV_LEG_UP : HF_EV_LEG_DOWN, .leg = i, .gen = p->gen };

		if (v->peer[i] != p)
			continue;
		hf_volume_run_step(v, &e);
		if (v->stopping)
			return;
		if (!up) {
			hf_volume_read_leg_lost(v, i);
			hf_volume_load_leg_lost(v, i);
		}
	}
}

static void on_ack(struct hf_volume_run *v, uint32_t leg, struct hf_event *e, const struct hf_wire_header *h,
		   const uint8_t *meta)
{
	struct hf_ack m;

	if (hf_wire_ack_decode(meta, h->meta_len, &m))
		return;
	e->kind = h->type == HF_WIRE_ACK ? HF_EV_ACKED : HF_EV_SYNCED;
	/* cppcheck-suppress autoVariables; events are taken in before the step returns, none is kept */
	e->ack = &m;
	hf_volume_run_step(v, e);
	if (h->type == HF_WIRE_ACK && m.result == HF_LEG_OK && !v->stopping)
		hf_volume_resync_acked(v, leg, m.resync_done, h->tag);
	if (!hf_list_is_empty(&v->parked) && !v->stopping)
		hf_volume_read_retry(v);
}

void hf_volume_run_answer(struct hf_volume_run *v, uint32_t leg, struct hf_conn *c, const struct hf_wire_header *h,
			  const uint8_t *meta, const uint8_t *data)
{
	struct hf_event e = { .leg = leg, .gen = c->generation };
	struct hf_promise promise;
	struct hf_adopted adopted;
	struct hf_wire_map_data map;

	if (v->stopping) {
		if (h->type == HF_WIRE_READ_DATA)
			hf_volume_read_answer(v, leg, c, h, meta, data);
		return;
	}
	switch (h->type) {
	case HF_WIRE_PROMISE:
		HF_SOMETIMES_IF(VOLUME_OLD_PROMISE, h->epoch && h->epoch < v->core->epoch);
		if (hf_wire_promise_decode(meta, h->meta_len, &promise) ||
		    (h->epoch != v->core->epoch && promise.result == HF_LEG_OK))
			return;
		update_replay_floor(v);
		e.kind = HF_EV_PROMISED;
		e.promise = &promise;
		hf_volume_run_step(v, &e);
		break;
	case HF_WIRE_ADOPTED:
		if (hf_wire_adopted_decode(meta, h->meta_len, &adopted))
			return;
		update_replay_floor(v);
		e.kind = HF_EV_ADOPTED;
		e.adopted = &adopted;
		hf_volume_run_step(v, &e);
		break;
	case HF_WIRE_ACK:
	case HF_WIRE_SYNCED_ACK:
		on_ack(v, leg, &e, h, meta);
		break;
	case HF_WIRE_READ_DATA:
		hf_volume_read_answer(v, leg, c, h, meta, data);
		break;
	case HF_WIRE_FETCH_DATA:
		hf_volume_load_answer(v, leg, h, meta, data);
		break;
	case HF_WIRE_MAP_DATA:
		if (h->count != 1 || hf_wire_map_data_decode(meta, h->meta_len, &map))
			return;
		if (h->tag == UINT64_MAX)
			have_size(v, map.size_blocks);
		else
			hf_volume_resync_map(v, h->tag, &map);
		break;
	default:
		break;
	}
}

void hf_volume_run_room(struct hf_volume_run *v, struct hf_peer *p)
{
	if (v->stopping)
		return;
	hf_task_defer(v->host->r, &v->turn);
	hf_volume_read_retry(v);
	for (uint32_t i = 0; i < v->core->record.leg_count; i++)
		if (v->peer[i] == p)
			hf_volume_resync_pump(v, i);
}

void hf_volume_run_tick(struct hf_volume_run *v)
{
	struct hf_event e = { .kind = HF_EV_TICK };

	if (v->stopping) {
		hf_task_defer(v->host->r, &v->stop_task);
		return;
	}
	update_replay_floor(v);
	hf_volume_run_step(v, &e);
	if (v->stopping)
		return;
	hf_volume_read_retry(v);
	hf_volume_load_retry(v);
	HF_SOMETIMES_IF(VOLUME_SIZE_AGAIN, v->sizing && now_of(v) >= v->sizing_at + 200 * HF_MS);
	if (v->sizing && now_of(v) >= v->sizing_at + 200 * HF_MS)
		ask_size(v);
	for (uint32_t i = 0; i < v->core->record.leg_count; i++)
		hf_volume_resync_pump(v, i);
}

/* Life. */

struct hf_volume_run *hf_volume_run_new(struct hf_host *h, struct hf_cluster *c, const struct hf_record *record,
					const char *text, uint64_t ver, bool forced, bool accept_loss,
					const struct hf_volume_owner *owner, void *ctx)
{
	struct hf_volume_run *v = calloc(1, sizeof(*v));
	struct hf_event e = {
		.kind = HF_EV_START, .record = record, .ver = ver, .forced = forced, .accept_loss = accept_loss};

	hf_assert(v);
	v->core = calloc(1, sizeof(*v->core));
	v->replay = malloc(HF_WRITE_BLOCKS_MAX * HF_BLOCK);
	know_text(&v->text_base, &record->nonce, text);
	hf_assert(v->core && v->replay);
	v->host = h;
	v->cluster = c;
	v->owner = owner;
	v->ctx = ctx;
	hf_list_init(&v->pending);
	hf_list_init(&v->pending_reads);
	hf_list_init(&v->finished);
	hf_list_init(&v->sessions);
	hf_list_init(&v->read_free);
	hf_list_init(&v->parked);
	hf_task_init(&v->turn, on_turn);
	hf_task_init(&v->complete, on_complete);
	hf_task_init(&v->stop_task, on_stop_task);
	hf_assert(hf_ec_init(&v->ec, record->geometry.k, record->geometry.m) == 0);
	snprintf(v->key, sizeof(v->key), "volume/%s", record->name);
	hf_volume_init(v->core, h->name, HF_LEASE_NS);
	hf_reactor_random(h->r, &e.incarnation, sizeof(e.incarnation));
	hf_uuid_stamp(&e.incarnation);
	hf_list_add_tail(&h->volumes, &v->link);
	for (uint32_t i = 0; i < record->leg_count; i++) {
		v->peer[i] = hf_host_peer(h, record->leg[i].host);
		v->core->leg[i].local = strcmp(record->leg[i].host, h->name) == 0;
	}
	hf_volume_run_step(v, &e);
	for (uint32_t i = 0; i < record->leg_count; i++) {
		struct hf_event up = { .kind = HF_EV_LEG_UP, .leg = i, .gen = v->peer[i]->gen };

		if (!hf_peer_is_up(v->peer[i]))
			up.kind = HF_EV_LEG_DOWN;
		/* A host that was silent for as long as a promotion waits has been waited for. */
		if (hf_peer_is_up(v->peer[i]) ||
		    (v->peer[i]->heard_at && now_of(v) >= v->peer[i]->heard_at + HF_PREPARE_WAIT_NS))
			hf_volume_run_step(v, &up);
	}
	return v;
}

void hf_volume_run_stop(struct hf_volume_run *v, const char *why)
{
	struct hf_event e = { .kind = HF_EV_STOP, .why = why };

	hf_volume_run_step(v, &e);
}

void hf_volume_run_free(struct hf_volume_run *v)
{
	struct hf_list *n;

	hf_assert(v->stopped_told);
	hf_list_del(&v->link);
	hf_task_cancel(&v->turn);
	hf_task_cancel(&v->complete);
	hf_task_cancel(&v->stop_task);
	for (uint32_t i = 0; i < HF_LEGS_MAX; i++) {
		free(v->resync[i]);
		free(v->load.frag[i]);
	}
	while ((n = hf_list_pop(&v->read_free)))
		free(hf_container_of(n, struct hf_read_op, link));
	free(v->text_base.text);
	free(v->text_read.text);
	free(v->text_sent.text);
	free(v->core);
	free(v->replay);
	free(v);
}

// SPDX-License-Identifier: MIT
/*
 * volume_read - reads: from a whole leg, or from k fragments that agree on the version; verified end to end, answered
 * only under leases; what was bad on a leg is repaired there (docs/SAFETY.md R11, H20, H21, H31).
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "codec/csum.h"
#include "core/guard.h"
#include "engine/leg_run.h"
#include "engine/peer.h"
#include "engine/volume_run.h"

#define INDEX_BITS 10u
#define TRIES_MAX 2000u			/* mixed versions: legs apply at different speed, so again */
#define READ_WAIT_NS (2 * HF_SEC)	/* a leg that does not answer this long is asked no more for this read */

static void start(struct hf_read_op *op);

static struct hf_read_op *op_new(struct hf_volume_run *v)
{
	struct hf_list *n;
	struct hf_read_op *op;
	uint32_t i = v->read_next;

	for (uint32_t n_tried = 0; v->read[i]; n_tried++) {
		if (n_tried == HF_READS_MAX)
			return NULL;
		i = (i + 1) % HF_READS_MAX;
	}
	n = hf_list_pop(&v->read_free);
	op = n ? hf_container_of(n, struct hf_read_op, link) : malloc(sizeof(*op));
	hf_assert(op);
	memset(op, 0, offsetof(struct hf_read_op, frag));
	memset(op->frag, 0, sizeof(op->frag));
	hf_list_init(&op->link);
	op->v = v;
	op->index = i;
	v->read[i] = op;
	v->read_next = (i + 1) % HF_READS_MAX;
	v->reads++;
	return op;
}

static void drop_frags(struct hf_read_op *op)
{
	for (uint32_t i = 0; i < HF_LEGS_MAX; i++) {
		free(op->frag[i]);
		op->frag[i] = NULL;
	}
}

static void op_done(struct hf_read_op *op, int result)
{
	struct hf_volume_run *v = op->v;

	hf_list_del(&op->link);
	drop_frags(op);
	v->read[op->index] = NULL;
	v->reads--;
	if (op->req)
		hf_volume_run_finish(v, op->req, result);
	else
		op->done(op, result);
	hf_list_add_tail(&v->read_free, &op->link);
	if (!hf_list_is_empty(&v->pending_reads))
		hf_task_defer(v->host->r, &v->turn);
	if (v->stopping)
		hf_task_defer(v->host->r, &v->stop_task);
}

static void park(struct hf_read_op *op)
{
	hf_list_del(&op->link);
	hf_list_add_tail(&op->v->parked, &op->link);
}

/* What the legs had wrong is written to them again from the good copy at hand. */
static void repair(struct hf_read_op *op)
{
	struct hf_volume_run *v = op->v;

	for (uint32_t i = 0; op->repair && i < v->core->record.leg_count; i++) {
		HF_SOMETIMES_IF(READ_REPAIR_TOO_LATE, (op->repair & HF_LEG_BIT(i)) &&
							      !hf_volume_is_readable(v->core, i));
		/* One that has left the set meanwhile gets its blocks by its resync. */
		if (!(op->repair & HF_LEG_BIT(i)) || !hf_volume_is_readable(v->core, i))
			continue;
		for (uint32_t b = 0; b < op->nblocks; b++) {
			if (!(op->repair_blocks[i] >> b & 1))
				continue;
			if (!hf_volume_send_resync(v, i, op->seq, op->lba + b, 1, op->zero >> b & 1,
						   op->buf->data + (size_t)b * HF_BLOCK))
				break;
			HF_SOMETIMES(READ_REPAIRED);
			v->repaired_blocks++;
			v->owner->repaired(v->ctx, v, i, op->lba + b);
		}
	}
	op->repair = 0;
}

/* The data are in op->buf and verified. */
static void have_data(struct hf_read_op *op)
{
	struct hf_volume_run *v = op->v;

	if (v->stopping) {
		op_done(op, -ESHUTDOWN);
		return;
	}
	repair(op);
	if (!op->req) {
		op_done(op, 0);
		return;
	}
	/* guard I10: the check comes after the data; a pause of this host in between is harmless (H42) */
	if (!hf_volume_may_answer_read(v->core, hf_reactor_now(v->host->r))) {
		HF_SOMETIMES(READ_LEASE_REFUSED);
		op->plan = 0;
		park(op);		/* read again once the leases are back: the data may be old by then */
		return;
	}
	v->read_count++;
	v->read_bytes += (uint64_t)op->nblocks * HF_BLOCK;
	op_done(op, 0);
}

static void note_bad(struct hf_read_op *op, uint32_t leg, uint64_t blocks)
{
	op->bad |= HF_LEG_BIT(leg);
	if (blocks) {
		op->repair |= HF_LEG_BIT(leg);
		op->repair_blocks[leg] |= blocks;
	}
}

static uint64_t all_blocks(const struct hf_read_op *op)
{
	return op->nblocks == 64 ? UINT64_MAX : (1ull << op->nblocks) - 1;
}

/* A whole leg answered into op->buf. `crc` were told by the leg. */
static void whole_answer(struct hf_read_op *op, uint32_t leg, uint64_t zero, uint64_t bad, const uint32_t *crc,
			 bool verify)
{
	for (uint32_t b = 0; verify && b < op->nblocks; b++)
		if (hf_crc32c(op->buf->data + (size_t)b * HF_BLOCK, HF_BLOCK) != crc[b])
			bad |= 1ull << b;
	HF_SOMETIMES_IF(READ_BAD_WHOLE, bad != 0);
	if (bad) {
		note_bad(op, leg, bad);
		start(op);
		return;
	}
	op->zero = zero;
	have_data(op);
}

static void on_local(struct hf_store_read *rd, int result)
{
	struct hf_read_op *op = rd->ctx;
	uint32_t leg = (uint32_t)__builtin_ctz(op->plan);

	op->local = false;
	if (op->v->stopping) {
		op_done(op, -ESHUTDOWN);
		return;
	}
	if (result) {
		note_bad(op, leg, 0);
		start(op);
		return;
	}
	whole_answer(op, leg, rd->zero, rd->bad, rd->block_crc, false);
}

/* k fragments of one version of each block: decode and check against the whole block's checksum. */
static void decode(struct hf_read_op *op)
{
	struct hf_volume_run *v = op->v;
	const struct hf_record *r = &v->core->record;
	uint32_t fs = HF_BLOCK / r->geometry.k, first = (uint32_t)__builtin_ctz(op->plan);
	bool again = false, mixed = false;

	op->zero = all_blocks(op);
	for (uint32_t i = 0; i < r->leg_count; i++) {
		if (!(op->plan & HF_LEG_BIT(i)))
			continue;
		op->zero &= op->frag_zero[i];
		if (op->frag_bad[i]) {
			HF_SOMETIMES(READ_BAD_FRAGMENT);
			note_bad(op, i, op->frag_bad[i]);
			again = true;
		}
		for (uint32_t b = 0; b < op->nblocks; b++)
			mixed |= HF_GUARD(VERSION) && op->crc[i][b] != op->crc[first][b];
	}
	for (uint32_t b = 0; !again && !mixed && b < op->nblocks; b++) {
		const void *frag[HF_K_MAX + HF_M_MAX] = { 0 };
		uint8_t *block = op->buf->data + (size_t)b * HF_BLOCK;

		for (uint32_t i = 0; i < r->leg_count; i++)
			if (op->plan & HF_LEG_BIT(i))
				frag[r->leg[i].frag] = op->frag[i] + (size_t)b * fs;
		if (hf_ec_decode(&v->ec, frag, block) ||
		    (HF_GUARD(DECODED) && hf_crc32c(block, HF_BLOCK) != op->crc[first][b])) {
			/* Each fragment fits its own checksum, yet they are no block: leave out one after the other. */
			note_bad(op, first, 0);
			again = true;
		}
	}
	drop_frags(op);
	HF_SOMETIMES_IF(READ_MIXED, mixed);
	if (mixed && !again && ++op->tries < TRIES_MAX) {
		op->plan = 0;
		park(op);		/* guard VERSION: equal versions only (H21) */
		return;
	}
	if (again || mixed)
		start(op);
	else
		have_data(op);
}

static void ask(struct hf_read_op *op, uint32_t leg)
{
	struct hf_volume_run *v = op->v;
	struct hf_wire_header h = {
		.type = HF_WIRE_READ, .leg = v->core->record.leg[leg].uuid, .epoch = v->core->epoch, .tag = op->tag};
	struct hf_wire_read m = { .lba = op->lba, .nblocks = op->nblocks, .seq = op->seq };
	struct hf_conn *c = hf_volume_run_conn(v, leg);
	uint8_t *meta = c ? hf_conn_reserve(c, 64, 0, true) : NULL;

	if (!meta)
		return;
	h.commit = v->core->committed;
	h.meta_len = hf_wire_read_encode(meta, &m);
	hf_conn_commit(c, &h);
}

/* Is leg i being filled from nothing? */
static bool is_blank(const struct hf_volume_run *v, uint32_t i)
{
	return v->resync[i] && v->resync[i]->active && v->resync[i]->from == 0;
}

/*
 * Nobody can give these blocks now. When every leg is here, has answered, and none has them, again and again, they are
 * lost; otherwise legs are awaited: silence never becomes an error.
 */
static void no_plan(struct hf_read_op *op)
{
	struct hf_volume_run *v = op->v;
	bool all_here = !op->silent;

	/* A leg that is out may come back with the blocks, but for one that is made from nothing. */
	for (uint32_t i = 0; i < v->core->record.leg_count; i++)
		all_here &= hf_volume_is_readable(v->core, i) || is_blank(v, i);
	op->lost_rounds = all_here && op->bad ? op->lost_rounds + 1 : 0;
	if (op->lost_rounds > 3) {
		v->owner->lost_block(v->ctx, v, op->lba);
		op_done(op, -EIO);
		return;
	}
	HF_SOMETIMES_IF(READ_WAITS_FOR_LEGS, !op->bad && !op->silent);
	HF_SOMETIMES_IF(READ_ALL_TRIED, op->bad != 0);
	op->bad = op->silent = 0;
	op->plan = 0;
	park(op);
}

static void start(struct hf_read_op *op)
{
	struct hf_volume_run *v = op->v;
	uint32_t leg;

	hf_list_del(&op->link);
	drop_frags(op);
	if (v->stopping) {
		op_done(op, -ESHUTDOWN);
		return;
	}
	op->seq = v->core->committed;
	op->plan = hf_volume_read_plan(v->core, op->bad | op->silent);
	op->waiting = op->plan;
	op->asked_at = hf_reactor_now(v->host->r);
	op->tag = (++v->tag_generation << INDEX_BITS) | op->index;
	if (!op->plan) {
		no_plan(op);
		return;
	}
	leg = (uint32_t)__builtin_ctz(op->plan);
	if (hf_frag_is_whole(v->core->record.geometry, v->core->record.leg[leg].frag) && v->core->leg[leg].local) {
		struct hf_leg_run *l = hf_volume_run_local_leg(v, leg);

		if (!l || l->failed) {
			HF_SOMETIMES(READ_LOCAL_FAILED);
			note_bad(op, leg, 0);
			start(op);
			return;
		}
		if (op->seq > l->core.commit) {
			hf_store_commit(l->store, op->seq);
			l->core.commit = op->seq;
		}
		op->local = true;
		op->rd = (struct hf_store_read){
			.lba = op->lba, .nblocks = op->nblocks, .buf = op->buf->data, .done = on_local, .ctx = op};
		hf_store_read(l->store, &op->rd);
		return;
	}
	for (uint32_t i = 0; i < v->core->record.leg_count; i++)
		if (op->plan & HF_LEG_BIT(i))
			ask(op, i);
}

void hf_volume_read_answer(struct hf_volume_run *v, uint32_t leg, struct hf_conn *c, const struct hf_wire_header *h,
			   const uint8_t *meta, const uint8_t *data)
{
	struct hf_read_op *op = v->read[h->tag & (HF_READS_MAX - 1)];
	struct hf_wire_read_data m;
	uint32_t fs = hf_frag_size(v->core->record.geometry, v->core->record.leg[leg].frag);

	HF_SOMETIMES_IF(READ_ANSWER_LATE, !op || op->tag != h->tag);
	if (!op || op->tag != h->tag || !(op->waiting & HF_LEG_BIT(leg)))
		return;
	if (hf_wire_read_data_decode(meta, h->meta_len, &m) ||
	    (m.result == 0 && (m.nblocks != op->nblocks || h->data_len != m.nblocks * fs))) {
		hf_conn_kill(c, "malformed READ_DATA");
		return;
	}
	op->waiting &= ~HF_LEG_BIT(leg);
	if (v->stopping) {
		if (!op->waiting)
			op_done(op, -ESHUTDOWN);
		return;
	}
	if (m.result == -EAGAIN || m.result == -ESTALE) {
		HF_SOMETIMES(READ_NOT_NOW);
		op->plan = 0;
		op->waiting = 0;
		drop_frags(op);
		park(op);		/* not now: no buffer there, or the leg is between two states */
		return;
	}
	if (m.result) {
		note_bad(op, leg, 0);
		start(op);
		return;
	}
	if (hf_frag_is_whole(v->core->record.geometry, v->core->record.leg[leg].frag)) {
		memcpy(op->buf->data, data, h->data_len);
		whole_answer(op, leg, m.zero, m.bad, m.block_crc, true);
		return;
	}
	/* Not from the pool: reads that each hold a part of what they need would wait for one another for ever. */
	op->frag[leg] = malloc(h->data_len);
	hf_assert(op->frag[leg]);
	memcpy(op->frag[leg], data, h->data_len);
	op->frag_zero[leg] = m.zero;
	op->frag_bad[leg] = m.bad;
	memcpy(op->crc[leg], m.block_crc, m.nblocks * sizeof(m.block_crc[0]));
	if (!op->waiting)
		decode(op);
}

void hf_volume_read_request(struct hf_volume_run *v, struct hf_request *q)
{
	struct hf_read_op *op = op_new(v);

	hf_assert(op);			/* the caller counts */
	op->req = q;
	op->lba = q->lba;
	op->nblocks = q->nblocks;
	op->buf = q->buf;
	start(op);
}

bool hf_volume_read_blocks(struct hf_volume_run *v, uint64_t lba, uint32_t nblocks, struct hf_buf *buf,
			   void (*done)(struct hf_read_op *op, int result), void *arg, uint32_t arg_leg)
{
	struct hf_read_op *op = op_new(v);

	if (!op)
		return false;
	op->done = done;
	op->arg = arg;
	op->arg_leg = arg_leg;
	op->lba = lba;
	op->nblocks = nblocks;
	op->buf = buf;
	start(op);
	return true;
}

void hf_volume_read_leg_lost(struct hf_volume_run *v, uint32_t leg)
{
	for (uint32_t i = 0; i < HF_READS_MAX && v->reads; i++) {
		struct hf_read_op *op = v->read[i];

		HF_SOMETIMES_IF(READ_LEG_LOST, op && (op->waiting & HF_LEG_BIT(leg)) && !op->local);
		if (op && (op->waiting & HF_LEG_BIT(leg)) && !op->local)
			start(op);
	}
}

/* Legs or leases may be back; and legs that keep silent are left out. */
void hf_volume_read_retry(struct hf_volume_run *v)
{
	hf_nsec now = hf_reactor_now(v->host->r);
	struct hf_list batch, *n;

	hf_list_init(&batch);
	hf_list_splice(&batch, &v->parked);
	while ((n = hf_list_pop(&batch)))
		start(hf_container_of(n, struct hf_read_op, link));
	for (uint32_t i = 0; i < HF_READS_MAX && v->reads; i++) {
		struct hf_read_op *op = v->read[i];

		if (!op || op->local || !op->waiting || now < op->asked_at + READ_WAIT_NS)
			continue;
		HF_SOMETIMES(READ_LEG_SILENT);
		op->silent |= op->waiting;
		start(op);
	}
}

void hf_volume_read_stop(struct hf_volume_run *v)
{
	for (uint32_t i = 0; i < HF_READS_MAX; i++)
		if (v->read[i] && !v->read[i]->local)
			op_done(v->read[i], -ESHUTDOWN);
}

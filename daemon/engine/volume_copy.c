// SPDX-License-Identifier: MIT
/*
 * volume_copy - read ops back from legs' logs for a promotion (R9), and copy changed chunks to a returning leg (R6,
 * H22, H23).
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "codec/csum.h"
#include "core/entry.h"
#include "core/guard.h"
#include "engine/leg_run.h"
#include "engine/peer.h"
#include "engine/volume_run.h"

#define MAP_WAIT_NS (1 * HF_SEC)

/* LOAD: one op at a time, from one whole leg or k fragments. */

static void load_failed(struct hf_volume_run *v)
{
	struct hf_event e = { .kind = HF_EV_LOADED, .result = -EIO };

	v->load.active = false;
	hf_volume_run_step(v, &e);
}

static void load_drop(struct hf_load *l)
{
	for (uint32_t i = 0; i < HF_LEGS_MAX; i++) {
		free(l->frag[i]);
		l->frag[i] = NULL;
	}
}

static hf_legs load_sources(struct hf_volume_run *v, hf_seq seq)
{
	hf_legs holders = hf_volume_holders(v->core, seq), frags = 0;
	uint32_t count = 0;

	for (uint32_t i = 0; i < v->core->record.leg_count; i++) {
		if (!(holders & HF_LEG_BIT(i)) || !hf_volume_run_conn(v, i) ||
		    v->core->leg[i].state != HF_VLEG_PROMISED)
			continue;
		if (hf_frag_is_whole(v->core->record.geometry, v->core->record.leg[i].frag)) {
			HF_SOMETIMES(LOAD_FROM_WHOLE);
			return HF_LEG_BIT(i);
		}
		if (count < v->core->record.geometry.k) {
			frags |= HF_LEG_BIT(i);
			count++;
		}
	}
	HF_SOMETIMES_IF(LOAD_FROM_FRAGMENTS, count == v->core->record.geometry.k);
	return count == v->core->record.geometry.k ? frags : 0;
}

static bool send_fetch(struct hf_volume_run *v, uint32_t leg, const struct hf_wire_fetch *m, uint64_t tag)
{
	struct hf_wire_header h = {
		.type = HF_WIRE_FETCH, .leg = v->core->record.leg[leg].uuid, .epoch = v->core->epoch, .tag = tag};
	struct hf_conn *c = hf_volume_run_conn(v, leg);
	uint8_t *meta = c ? hf_conn_reserve(c, 64, 0, true) : NULL;

	if (!meta)
		return false;
	h.meta_len = hf_wire_fetch_encode(meta, m);
	hf_conn_commit(c, &h);
	return true;
}

/* Somebody who has the head of an op whose content is given up. */
static hf_legs head_source(struct hf_volume_run *v, hf_seq seq)
{
	hf_legs holders = hf_volume_holders(v->core, seq);

	for (uint32_t i = 0; i < v->core->record.leg_count; i++)
		if ((holders & HF_LEG_BIT(i)) && hf_volume_run_conn(v, i))
			return HF_LEG_BIT(i);
	return 0;
}

static void load_next(struct hf_volume_run *v)
{
	struct hf_load *l = &v->load;
	struct hf_wire_fetch m = { .from = l->next, .to = l->next };

	load_drop(l);
	l->got = 0;
	l->asked_at = hf_reactor_now(v->host->r);
	l->lost = m.heads_only = hf_volume_is_lost(v->core, l->next);
	l->asked = l->lost ? head_source(v, l->next) : load_sources(v, l->next);
	l->tag = ++v->tag_generation;
	if (!l->asked) {
		load_failed(v);
		return;
	}
	for (uint32_t i = 0; i < v->core->record.leg_count; i++) {
		if (l->asked & HF_LEG_BIT(i))
			send_fetch(v, i, &m, l->tag);
	}
}

void hf_volume_load_start(struct hf_volume_run *v, hf_seq from, hf_seq to)
{
	v->load.active = true;
	v->load.next = from;
	v->load.to = to;
	load_next(v);
}

/*
 * Every fragment of the op is here: plaintext into a buffer of the window. Not of the pool: promotions that each hold a
 * part of what they need would wait for one another for ever. Bounded by what the old primary had in flight.
 */
static struct hf_buf *load_decode(struct hf_volume_run *v)
{
	struct hf_load *l = &v->load;
	const struct hf_record *r = &v->core->record;
	struct hf_buf *buf = hf_buf_new_heap(l->entry.nblocks * HF_BLOCK);
	uint32_t fs = HF_BLOCK / r->geometry.k;

	if (!buf)
		return NULL;
	for (uint32_t b = 0; b < l->entry.nblocks; b++) {
		const void *frag[HF_K_MAX + HF_M_MAX] = { 0 };
		uint8_t *block = buf->data + (size_t)b * HF_BLOCK;
		bool whole = false;

		for (uint32_t i = 0; i < r->leg_count; i++) {
			if (!(l->asked & HF_LEG_BIT(i)))
				continue;
			whole = hf_frag_is_whole(r->geometry, r->leg[i].frag);
			if (whole)
				memcpy(block, l->frag[i] + (size_t)b * HF_BLOCK, HF_BLOCK);
			else
				frag[r->leg[i].frag] = l->frag[i] + (size_t)b * fs;
		}
		if ((!whole && hf_ec_decode(&v->ec, frag, block)) ||
		    hf_crc32c(block, HF_BLOCK) != l->entry.block_crc[b]) {
			hf_buf_put(buf);
			return NULL;
		}
	}
	return buf;
}

static void load_complete(struct hf_volume_run *v)
{
	struct hf_load *l = &v->load;
	struct hf_event e = { .kind = HF_EV_LOADED, .entry = &l->entry };
	struct hf_slot *s = &v->slot[l->next % HF_WINDOW];
	struct hf_buf *buf = NULL;

	if (l->entry.type == HF_OP_WRITE && !l->lost) {
		buf = load_decode(v);
		if (!buf) {
			load_failed(v);
			return;
		}
	}
	load_drop(l);
	hf_assert(!s->buf && !s->req);
	s->buf = buf;
	s->lost = l->lost;
	if (l->next == l->to)
		l->active = false;
	l->next++;
	hf_volume_run_step(v, &e);
	l->active &= v->core->phase == HF_PHASE_LOADING;	/* the core may have refused it and decide again */
	if (l->active)
		load_next(v);
}

/* SURVEY: heads of entries from one leg. */

static void survey_end(struct hf_volume_run *v, uint32_t leg, int result)
{
	struct hf_event e = { .kind = HF_EV_SURVEYED, .leg = leg, .result = result };

	v->survey[leg].tag = 0;
	hf_volume_run_step(v, &e);
}

static void survey_next(struct hf_volume_run *v, uint32_t leg)
{
	struct hf_survey *x = &v->survey[leg];
	struct hf_wire_fetch m = { .from = x->next, .to = x->to, .heads_only = true };

	x->tag = ++v->tag_generation;
	if (!send_fetch(v, leg, &m, x->tag))
		survey_end(v, leg, -EIO);
}

void hf_volume_survey_start(struct hf_volume_run *v, uint32_t leg, hf_seq from, hf_seq to)
{
	v->survey[leg] = (struct hf_survey){ .next = from, .to = to };
	survey_next(v, leg);
}

static void survey_answer(struct hf_volume_run *v, uint32_t leg, const struct hf_wire_header *h, const uint8_t *meta)
{
	struct hf_survey *x = &v->survey[leg];
	struct hf_entry entry;
	struct hf_event e = { .kind = HF_EV_SURVEYED, .leg = leg, .entry = &entry };
	uint32_t pos = 0;

	for (uint32_t i = 0; i < h->count; i++) {
		if (hf_wire_entry_decode(meta, h->meta_len, &pos, &entry) || entry.seq != x->next) {
			survey_end(v, leg, -EPROTO);
			return;
		}
		x->next++;
		hf_volume_run_step(v, &e);
	}
	if (h->count && x->next <= x->to)
		survey_next(v, leg);
	else
		survey_end(v, leg, x->next <= x->to ? -EIO : 0);
}

void hf_volume_load_answer(struct hf_volume_run *v, uint32_t leg, const struct hf_wire_header *h, const uint8_t *meta,
			   const uint8_t *data)
{
	struct hf_load *l = &v->load;
	uint32_t pos = 0, want, fs;
	struct hf_entry e;
	bool heads;

	if (v->survey[leg].tag && h->tag == v->survey[leg].tag) {
		survey_answer(v, leg, h, meta);
		return;
	}
	if (!l->active || h->tag != l->tag || !(l->asked & ~l->got & HF_LEG_BIT(leg)))
		return;
	if (h->count != 1 || hf_wire_entry_decode(meta, h->meta_len, &pos, &e) || e.seq != l->next) {
		load_failed(v);
		return;
	}
	/* guard R8: fragments of equal (epoch, seq, checksum) only */
	if (l->got && (e.epoch != l->entry.epoch || e.chain != l->entry.chain)) {
		load_failed(v);
		return;
	}
	fs = hf_frag_size(v->core->record.geometry, v->core->record.leg[leg].frag);
	heads = hf_volume_is_lost(v->core, l->next);
	want = hf_entry_has_payload(&e) && !heads ? e.nblocks * fs : 0;
	if (h->data_len != want || hf_entry_chain(e.prev_chain, &e) != e.chain) {
		load_failed(v);
		return;
	}
	/* An earlier promotion may have given its content up: then it stays given up. */
	for (uint32_t b = 0; want && b < e.nblocks; b++)
		l->lost |= hf_crc32c(data + (size_t)b * fs, fs) == hf_crc32c_lost(e.frag_crc[b]);
	l->entry = e;
	l->got |= HF_LEG_BIT(leg);
	if (want) {
		l->frag[leg] = malloc(want);
		hf_assert(l->frag[leg]);
		memcpy(l->frag[leg], data, want);
	}
	if (l->got == l->asked)
		load_complete(v);
}

void hf_volume_load_leg_lost(struct hf_volume_run *v, uint32_t leg)
{
	HF_SOMETIMES_IF(LOAD_LEG_LOST, v->load.active && (v->load.asked & ~v->load.got & HF_LEG_BIT(leg)));
	if (v->load.active && (v->load.asked & ~v->load.got & HF_LEG_BIT(leg)))
		load_next(v);
}

/* An answer that never comes: ask again, perhaps others. */
void hf_volume_load_retry(struct hf_volume_run *v)
{
	HF_SOMETIMES_IF(LOAD_SILENT, v->load.active && hf_reactor_now(v->host->r) >= v->load.asked_at + MAP_WAIT_NS);
	if (v->load.active && hf_reactor_now(v->host->r) >= v->load.asked_at + MAP_WAIT_NS)
		load_next(v);
}

/* RESYNC. */

bool hf_volume_ask_map(struct hf_volume_run *v, hf_legs exclude, hf_seq after, uint64_t cursor, uint64_t tag)
{
	hf_legs plan = hf_volume_read_plan(v->core, exclude);
	struct hf_wire_map m = { .after = after, .cursor = cursor };
	struct hf_wire_header h = {
		.type = HF_WIRE_MAP, .epoch = v->core->epoch, .tag = tag, .commit = v->core->committed};
	struct hf_conn *c;
	uint8_t *meta;
	uint32_t leg;

	if (!plan)
		return false;
	leg = (uint32_t)__builtin_ctz(plan);
	h.leg = v->core->record.leg[leg].uuid;
	c = hf_volume_run_conn(v, leg);
	meta = c ? hf_conn_reserve(c, 64, 0, true) : NULL;
	if (!meta)
		return false;
	h.meta_len = hf_wire_map_encode(meta, &m);
	hf_conn_commit(c, &h);
	return true;
}

void hf_volume_resync_start(struct hf_volume_run *v, uint32_t leg, hf_seq from)
{
	struct hf_resync *x = v->resync[leg];

	if (!x)
		x = v->resync[leg] = malloc(sizeof(*x));
	hf_assert(x);
	memset(x, 0, offsetof(struct hf_resync, chunk));
	x->chunk_count = x->chunk_next = x->redo_count = x->reading = 0;
	x->sent = x->done = x->copied_bytes = 0;
	x->active = true;
	x->from = from;
	x->started = hf_reactor_now(v->host->r);
	x->run = ++v->tag_generation;
	hf_volume_resync_pump(v, leg);
}

void hf_volume_resync_stop(struct hf_volume_run *v, uint32_t leg)
{
	HF_SOMETIMES_IF(COPY_INTERRUPTED, v->resync[leg] && v->resync[leg]->active);
	if (v->resync[leg])
		v->resync[leg]->active = false;
}

/*
 * A read of a run that was stopped meanwhile is dropped: `run` tells. When a chunk cannot be read, its blocks are, one
 * after the other; one that is lost is marked so on the leg that is copied to.
 */
struct copy {
	uint64_t run;
	struct hf_buf *buf;
	uint64_t end;			/* of the chunk, while it goes block by block; 0: as a whole */
};

static void put_back(struct hf_resync *x, uint64_t chunk)
{
	HF_SOMETIMES(COPY_CHUNK_AGAIN);
	if (x->redo_count < HF_RESYNC_REDO)
		x->redo[x->redo_count++] = chunk;
	else
		x->map_asked = x->map_done = false;	/* cannot be: parallel reads are fewer; ask for the map again */
}

static void on_chunk_read(struct hf_read_op *op, int result);

static bool by_block(struct hf_read_op *op, struct copy *c)
{
	c->end = op->lba + op->nblocks;
	return hf_volume_read_blocks(op->v, op->lba, 1, c->buf, on_chunk_read, c, op->arg_leg);
}

static void on_chunk_read(struct hf_read_op *op, int result)
{
	struct hf_volume_run *v = op->v;
	struct copy *c = op->arg;
	struct hf_resync *x = v->resync[op->arg_leg];

	if (x->active && x->run == c->run) {
		uint64_t next = op->lba + op->nblocks;
		bool sent = true;

		if (result == 0)
			sent = hf_volume_send_resync(v, op->arg_leg, op->seq, op->lba, op->nblocks, op->zero,
						     c->buf->data);
		else if (result == -EIO && op->nblocks == 1)
			sent = hf_volume_send_lost(v, op->arg_leg, op->seq, op->lba);
		else if (result == -EIO && by_block(op, c))
			return;
		else
			sent = false;
		if (sent) {
			x->sent++;
			x->copied_bytes += (uint64_t)op->nblocks * HF_BLOCK;
		}
		/* A leg takes a bounded number that it has not acknowledged: the rest of the chunk comes later. */
		if (sent && next < c->end && x->sent - x->done < 4 * HF_RESYNC_PARALLEL &&
		    hf_volume_read_blocks(v, next, 1, c->buf, on_chunk_read, c, op->arg_leg))
			return;
		x->reading--;
		if (!sent || next < c->end)
			put_back(x, op->lba / HF_CHUNK_BLOCKS);
	}
	HF_SOMETIMES_IF(COPY_READ_TOO_LATE, !x->active || x->run != c->run);
	hf_buf_put(c->buf);
	free(c);
}

static bool copy_chunk(struct hf_volume_run *v, uint32_t leg, uint64_t chunk)
{
	struct hf_resync *x = v->resync[leg];
	uint64_t lba = chunk * HF_CHUNK_BLOCKS, left;
	struct copy *c;

	if (lba >= v->size_blocks)
		return true;		/* beyond the end since a resize */
	left = v->size_blocks - lba;
	c = malloc(sizeof(*c));
	hf_assert(c);
	c->run = x->run;
	c->end = 0;
	/* Never waits for the pool: writes that wait for this leg may hold all of it. A few for each leg at most. */
	c->buf = hf_buf_new(v->host->pool, HF_CHUNK_BLOCKS * HF_BLOCK);
	if (!c->buf) {
		HF_SOMETIMES(COPY_NO_BUFFER);
		c->buf = hf_buf_new_heap(HF_CHUNK_BLOCKS * HF_BLOCK);
	}
	x->reading++;
	if (!hf_volume_read_blocks(v, lba, left < HF_CHUNK_BLOCKS ? (uint32_t)left : HF_CHUNK_BLOCKS, c->buf,
				   on_chunk_read, c, leg)) {
		x->reading--;
		hf_buf_put(c->buf);
		free(c);
		return false;
	}
	return true;
}

void hf_volume_resync_pump(struct hf_volume_run *v, uint32_t leg)
{
	struct hf_resync *x = v->resync[leg];
	struct hf_event e = { .kind = HF_EV_RESYNC_DONE, .leg = leg };

	if (!x || !x->active || v->stopping || !v->open)
		return;
	while (x->reading + (x->sent - x->done) < HF_RESYNC_PARALLEL) {
		uint64_t chunk;

		if (x->redo_count)
			chunk = x->redo[--x->redo_count];
		else if (x->chunk_next < x->chunk_count)
			chunk = x->chunk[x->chunk_next++];
		else
			break;
		if (!copy_chunk(v, leg, chunk)) {
			put_back(x, chunk);
			return;		/* no buffers now: the tick tries again */
		}
	}
	/* A leg that was asked may go away without an answer. */
	HF_SOMETIMES_IF(COPY_MAP_SILENT, x->map_asked && hf_reactor_now(v->host->r) >= x->map_asked_at + MAP_WAIT_NS);
	if (x->map_asked && hf_reactor_now(v->host->r) >= x->map_asked_at + MAP_WAIT_NS)
		x->map_asked = false;
	if (x->chunk_next == x->chunk_count && !x->map_done && !x->map_asked) {
		x->map_asked = hf_volume_ask_map(v, HF_LEG_BIT(leg), x->from, x->cursor, x->run << 8 | leg);
		x->map_asked_at = hf_reactor_now(v->host->r);
	}
	if (x->map_done && x->chunk_next == x->chunk_count && !x->redo_count && !x->reading && x->sent == x->done) {
		x->active = false;
		hf_volume_run_step(v, &e);
	}
}

void hf_volume_resync_map(struct hf_volume_run *v, uint64_t tag, const struct hf_wire_map_data *m)
{
	uint32_t target = (uint32_t)(tag & 0xff);
	struct hf_resync *x = target < HF_LEGS_MAX ? v->resync[target] : NULL;

	/* guard MAP: one asked for by an earlier run is older than this run's base: it lacks what changed (H22) */
	HF_SOMETIMES_IF(COPY_MAP_TOO_LATE, x && (!x->active || x->run != tag >> 8));
	if (!x || !x->active || (HF_GUARD(MAP) && x->run != tag >> 8) || !x->map_asked ||
	    x->chunk_next != x->chunk_count)
		return;
	memcpy(x->chunk, m->chunk, m->count * sizeof(m->chunk[0]));
	x->chunk_next = 0;
	x->chunk_count = m->count;
	x->cursor = m->cursor;
	x->map_asked = false;
	x->map_done = m->cursor == HF_NEVER;
	hf_volume_resync_pump(v, target);
}

void hf_volume_resync_acked(struct hf_volume_run *v, uint32_t leg, uint64_t done, uint64_t redo)
{
	struct hf_resync *x = v->resync[leg];

	if (!x || !x->active)
		return;
	if (redo && redo - 1 < HF_VOLUME_BLOCKS_MAX)
		put_back(x, (redo - 1) / HF_CHUNK_BLOCKS);
	if (done > x->done && done <= x->sent)
		x->done = done;
	hf_volume_resync_pump(v, leg);
}

int hf_volume_run_resync_percent(const struct hf_volume_run *v, uint32_t leg)
{
	const struct hf_resync *x = v->resync[leg];
	uint64_t chunks = v->size_blocks / HF_CHUNK_BLOCKS, at;

	if (!x || !x->active)
		return -1;
	at = x->chunk_next < x->chunk_count ? x->chunk[x->chunk_next] : x->map_done ? chunks : x->cursor;
	return chunks ? (int)((at < chunks ? at : chunks) * 100 / chunks) : 100;
}

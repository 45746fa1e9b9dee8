// SPDX-License-Identifier: MIT
/*
 * volume_send - build the frames that a primary sends to its legs. Each leg gets its own encoding of the same ops
 * (docs/ARCHITECTURE.md 2); fragments are coded straight into the send buffer.
 */
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "codec/csum.h"
#include "engine/leg_run.h"
#include "engine/volume_run.h"

#define APPEND_META_MAX (64u << 10)
#define APPEND_DATA_MAX (HF_WRITE_BLOCKS_MAX * HF_BLOCK) /* a frame has to fit into the smallest log as a whole */

static struct hf_wire_header header(struct hf_volume_run *v, uint32_t leg, uint8_t type)
{
	return (struct hf_wire_header){
		.type = type,
		.leg = v->core->record.leg[leg].uuid,
		.epoch = v->core->epoch,
		.commit = v->core->committed,
	};
}

static uint8_t *begin(struct hf_volume_run *v, uint32_t leg, uint32_t meta, struct hf_conn **conn)
{
	*conn = hf_volume_run_conn(v, leg);
	return *conn ? hf_conn_reserve(*conn, meta, 0, true) : NULL;
}

void hf_volume_send_prepare(struct hf_volume_run *v, uint32_t leg)
{
	struct hf_wire_header h = header(v, leg, HF_WIRE_PREPARE);
	struct hf_prepare m = {.epoch = v->core->epoch,
			       .incarnation = v->core->incarnation,
			       .ver = hf_volume_shown_ver(v->core)};
	struct hf_conn *c;
	uint8_t *meta = begin(v, leg, 128, &c);

	if (!meta)
		return;
	h.meta_len = hf_wire_prepare_encode(meta, &m);
	hf_conn_commit(c, &h);
}

/* Before a leg has told the size as of the decision: the largest that a member showed. */
static uint64_t known_size(const struct hf_volume_run *v)
{
	uint64_t size = v->size_blocks;

	for (uint32_t i = 0; !v->size_blocks && i < v->core->record.leg_count; i++)
		if ((v->core->promotion.valid & HF_LEG_BIT(i)) && v->core->promotion.reply[i].size_blocks > size)
			size = v->core->promotion.reply[i].size_blocks;
	return size;
}

void hf_volume_send_adopt(struct hf_volume_run *v, uint32_t leg, const struct hf_adopt *m)
{
	struct hf_wire_header h = header(v, leg, HF_WIRE_ADOPT);
	struct hf_adopt with_size = *m;
	struct hf_conn *c;
	uint8_t *meta = begin(v, leg, 2048, &c);

	if (!meta)
		return;
	with_size.size_blocks = known_size(v);
	h.meta_len = hf_wire_adopt_encode(meta, &with_size);
	hf_conn_commit(c, &h);
}

void hf_volume_send_lease(struct hf_volume_run *v, uint32_t leg)
{
	struct hf_wire_header h = header(v, leg, HF_WIRE_APPEND);
	struct hf_conn *c;

	h.tag = hf_reactor_now(v->host->r);
	if (begin(v, leg, 0, &c))
		hf_conn_commit(c, &h);
}

void hf_volume_send_synced(struct hf_volume_run *v, uint32_t leg)
{
	struct hf_wire_header h = header(v, leg, HF_WIRE_SYNCED);
	struct hf_conn *c;

	if (begin(v, leg, 0, &c))
		hf_conn_commit(c, &h);
}

void hf_volume_send_release(struct hf_volume_run *v, uint32_t leg)
{
	struct hf_wire_header h = header(v, leg, HF_WIRE_RELEASE);
	struct hf_conn *c;

	if (v->core->epoch && begin(v, leg, 0, &c))
		hf_conn_commit(c, &h);
}

/* This leg's share of one plaintext block, and its checksum. */
static uint32_t encode_block(struct hf_volume_run *v, uint32_t leg, const uint8_t *block, uint32_t block_crc,
			     uint8_t *out)
{
	const struct hf_record *r = &v->core->record;
	uint8_t frag = r->leg[leg].frag;

	if (hf_frag_is_whole(r->geometry, frag)) {
		memcpy(out, block, HF_BLOCK);
		return block_crc;
	}
	hf_ec_encode(&v->ec, frag, block, out);
	return hf_crc32c(out, hf_frag_size(r->geometry, frag));
}

/* One whose blocks are marked lost cannot be sent on as data: chunks, and their marks, go instead. */
static bool is_whole(const struct hf_entry *e, const uint8_t *blocks)
{
	for (uint32_t b = 0; hf_entry_has_payload(e) && b < e->nblocks; b++)
		if (hf_crc32c(blocks + (size_t)b * HF_BLOCK, HF_BLOCK) != e->block_crc[b])
			return false;
	return true;
}

/* An op that left the window, and its plaintext in v->replay: from the log of a whole in-sync leg here. */
static bool op_from_log(struct hf_volume_run *v, hf_seq seq, struct hf_entry *e)
{
	for (uint32_t i = 0; i < v->core->record.leg_count; i++) {
		struct hf_leg_run *l = hf_volume_run_local_leg(v, i);

		if (!l || l->failed || !hf_volume_is_readable(v->core, i) ||
		    !hf_frag_is_whole(l->id.geometry, l->id.frag))
			continue;
		if (hf_store_entry(l->store, seq, e, v->replay) == 0)
			return is_whole(e, v->replay);
	}
	return false;
}

/* How many ops of the window from `from` on fit into one frame. */
static hf_seq frame_end(struct hf_volume_run *v, hf_seq from, hf_seq to, uint32_t frag, uint32_t *meta, uint32_t *data)
{
	hf_seq s;

	*meta = *data = 0;
	for (s = from; s <= to; s++) {
		const struct hf_entry *e = &v->core->window[s % HF_WINDOW];
		uint32_t m = hf_wire_entry_size(e), d = hf_entry_has_payload(e) ? e->nblocks * frag : 0;

		HF_SOMETIMES_IF(SEND_SPLIT, *data + d > APPEND_DATA_MAX);
		if (*meta + m > APPEND_META_MAX || *data + d > APPEND_DATA_MAX)
			break;
		*meta += m;
		*data += d;
	}
	return s - 1;
}

/* Zeros that are marked lost, in place of this leg's share of one block. */
static uint32_t encode_lost(uint32_t frag, uint8_t *out)
{
	memset(out, 0, frag);
	return hf_crc32c_lost(hf_crc32c(out, frag));
}

/* Add an op to the frame that begins at `meta`; its data follow meta_len bytes of meta. `blocks` NULL: lost. */
static void put_op(struct hf_volume_run *v, uint32_t leg, struct hf_wire_header *h, uint8_t *meta, uint32_t meta_len,
		   struct hf_entry *e, const uint8_t *blocks)
{
	uint32_t frag = hf_frag_size(v->core->record.geometry, v->core->record.leg[leg].frag);

	for (uint32_t b = 0; hf_entry_has_payload(e) && b < e->nblocks; b++, h->data_len += frag) {
		uint8_t *out = meta + meta_len + h->data_len;

		e->frag_crc[b] = blocks ? encode_block(v, leg, blocks + (size_t)b * HF_BLOCK, e->block_crc[b], out)
					: encode_lost(frag, out);
	}
	h->meta_len += hf_wire_entry_encode(meta + h->meta_len, e);
	h->count++;
}

static void commit_append(struct hf_volume_run *v, uint32_t leg, struct hf_conn *c, struct hf_wire_header *h,
			  hf_seq end)
{
	h->tag = hf_reactor_now(v->host->r);
	hf_conn_commit(c, h);
	hf_volume_sent(v->core, leg, end, h->tag);
	hf_volume_send_done(v->core, leg);
}

/* One op for a leg that catches up. False: no room, or the log has been trimmed beyond it since the leg adopted. */
static bool send_from_log(struct hf_volume_run *v, uint32_t leg, struct hf_conn *c, hf_seq seq)
{
	struct hf_wire_header h = header(v, leg, HF_WIRE_APPEND);
	struct hf_event e = { .kind = HF_EV_UNSENDABLE, .leg = leg };
	struct hf_entry op;
	uint32_t meta_len;
	uint8_t *meta;

	HF_SOMETIMES(SEND_FROM_LOG);
	if (!op_from_log(v, seq, &op)) {
		hf_volume_run_step(v, &e);
		return false;
	}
	meta_len = hf_wire_entry_size(&op);
	meta = hf_conn_reserve(c, meta_len, hf_entry_has_payload(&op) ? op.nblocks * HF_BLOCK : 0, false);
	if (!meta)
		return false;
	put_op(v, leg, &h, meta, meta_len, &op, v->replay);
	commit_append(v, leg, c, &h, seq);
	return true;
}

/* Frames of ops, as many as the connection has room for; what is left goes with a later turn. */
void hf_volume_send_append(struct hf_volume_run *v, uint32_t leg, hf_seq from, hf_seq to)
{
	uint32_t frag = hf_frag_size(v->core->record.geometry, v->core->record.leg[leg].frag);
	struct hf_conn *c = hf_volume_run_conn(v, leg);

	while (c && from < v->core->base && from <= to)
		if (!send_from_log(v, leg, c, from++))
			return;
	while (c && from <= to) {
		struct hf_wire_header h = header(v, leg, HF_WIRE_APPEND);
		uint32_t meta_len, data_len;
		hf_seq end = frame_end(v, from, to, frag, &meta_len, &data_len);
		uint8_t *meta = hf_conn_reserve(c, meta_len, data_len, false);

		HF_SOMETIMES_IF(SEND_NO_ROOM, !meta && !c->dead);
		if (!meta)
			return;
		for (hf_seq s = from; s <= end; s++) {
			const struct hf_slot *slot = &v->slot[s % HF_WINDOW];

			hf_assert(slot->buf || slot->lost || v->core->window[s % HF_WINDOW].type != HF_OP_WRITE);
			put_op(v, leg, &h, meta, meta_len, &v->core->window[s % HF_WINDOW],
			       slot->buf ? slot->buf->data : NULL);
		}
		commit_append(v, leg, c, &h, end);
		from = end + 1;
	}
}

/* RESYNC of blocks as of `seq`; `blocks` NULL: they are lost. */
static bool send_resync(struct hf_volume_run *v, uint32_t leg, struct hf_entry *e, const uint8_t *blocks)
{
	uint32_t frag = hf_frag_size(v->core->record.geometry, v->core->record.leg[leg].frag);
	struct hf_wire_header h = header(v, leg, HF_WIRE_APPEND);
	struct hf_conn *c = hf_volume_run_conn(v, leg);
	uint32_t meta_len = hf_wire_entry_size(e);
	uint8_t *meta = c ? hf_conn_reserve(c, meta_len, e->nblocks * frag, false) : NULL;

	if (!meta)
		return false;
	for (uint32_t b = 0; b < e->nblocks; b++)
		e->block_crc[b] = blocks ? hf_crc32c(blocks + (size_t)b * HF_BLOCK, HF_BLOCK) : hf_crc32c_zero_block();
	put_op(v, leg, &h, meta, meta_len, e, blocks);
	h.tag = hf_reactor_now(v->host->r);
	hf_conn_commit(c, &h);
	return true;
}

bool hf_volume_send_resync(struct hf_volume_run *v, uint32_t leg, hf_seq seq, uint64_t lba, uint32_t nblocks,
			   uint64_t zero, const uint8_t *blocks)
{
	struct hf_entry e = {.type = HF_OP_RESYNC,
			     .epoch = v->core->epoch,
			     .ver = v->core->ver,
			     .seq = seq,
			     .lba = lba,
			     .nblocks = nblocks,
			     .zero = zero};

	return send_resync(v, leg, &e, blocks);
}

bool hf_volume_send_lost(struct hf_volume_run *v, uint32_t leg, hf_seq seq, uint64_t lba)
{
	struct hf_entry e = {.type = HF_OP_RESYNC,
			     .epoch = v->core->epoch,
			     .ver = v->core->ver,
			     .seq = seq,
			     .lba = lba,
			     .nblocks = 1};

	return send_resync(v, leg, &e, NULL);
}

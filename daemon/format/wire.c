// SPDX-License-Identifier: MIT
/* wire - frames and messages between hosts (docs/man/holdfast-wire.7). Does no I/O and keeps no state. */
#include "format/wire.h"

#include <errno.h>

#include "base/assert.h"
#include "base/cursor.h"
#include "codec/csum.h"

/*
 *  0 magic 4      4 version 1   5 type 1      6 count 2
 *  8 meta_len 4  12 data_len 4 16 meta_crc 4
 * 20 leg 16      36 epoch 8    44 tag 8      52 commit 8
 * 60 header crc 4, over bytes 0..59
 */
struct header {
	hf_le32 magic;
	uint8_t version, type;
	hf_le16 count;
	hf_le32 meta_len, data_len, meta_crc;
	uint8_t leg[16];
	hf_le64 epoch, tag, commit;
	hf_le32 header_crc;
};

_Static_assert(sizeof(struct header) == HF_WIRE_HEADER, "header is 64 bytes");
_Static_assert(offsetof(struct header, meta_len) == 8, "meta_len");
_Static_assert(offsetof(struct header, leg) == 20, "leg");
_Static_assert(offsetof(struct header, epoch) == 36, "epoch");
_Static_assert(offsetof(struct header, header_crc) == 60, "header_crc");

static uint32_t header_crc(const struct header *h)
{
	return hf_crc32c(h, offsetof(struct header, header_crc));
}

const char *hf_wire_header_check(const void *bytes)
{
	const struct header *h = bytes;

	if (hf_get_le32(h->magic) != HF_WIRE_MAGIC)
		return "bad magic";
	if (hf_get_le32(h->header_crc) != header_crc(h))
		return "bad header checksum";
	if (h->version != HF_WIRE_VERSION)
		return "unknown protocol version";
	if (h->type == 0 || h->type > HF_WIRE_TYPE_MAX)
		return "unknown message type";
	if (hf_get_le32(h->meta_len) > HF_WIRE_META_MAX)
		return "meta too long";
	if (hf_get_le32(h->data_len) > HF_FRAME_PAYLOAD_MAX)
		return "data too long";
	return NULL;
}

void hf_wire_header_decode(const void *bytes, struct hf_wire_header *out)
{
	const struct header *h = bytes;

	out->type = h->type;
	out->meta_len = hf_get_le32(h->meta_len);
	out->data_len = hf_get_le32(h->data_len);
	out->count = hf_get_le16(h->count);
	memcpy(out->leg.b, h->leg, sizeof(out->leg.b));
	out->epoch = hf_get_le64(h->epoch);
	out->tag = hf_get_le64(h->tag);
	out->commit = hf_get_le64(h->commit);
}

bool hf_wire_meta_check(const void *header, const void *meta)
{
	const struct header *h = header;

	return hf_crc32c(meta, hf_get_le32(h->meta_len)) == hf_get_le32(h->meta_crc);
}

void hf_wire_header_encode(void *bytes, const struct hf_wire_header *m, const void *meta)
{
	struct header *h = bytes;

	hf_assert(m->meta_len <= HF_WIRE_META_MAX && m->data_len <= HF_FRAME_PAYLOAD_MAX && m->count <= UINT16_MAX);
	h->magic = hf_put_le32(HF_WIRE_MAGIC);
	h->version = HF_WIRE_VERSION;
	h->type = m->type;
	h->count = hf_put_le16((uint16_t)m->count);
	h->meta_len = hf_put_le32(m->meta_len);
	h->data_len = hf_put_le32(m->data_len);
	h->meta_crc = hf_put_le32(hf_crc32c(meta, m->meta_len));
	memcpy(h->leg, m->leg.b, sizeof(h->leg));
	h->epoch = hf_put_le64(m->epoch);
	h->tag = hf_put_le64(m->tag);
	h->commit = hf_put_le64(m->commit);
	h->header_crc = hf_put_le32(header_crc(h));
}

const char *hf_wire_type_name(uint8_t type)
{
	switch (type) {
#define X(number, name) \
	case number: \
		return #name;
	HF_WIRE_TYPES(X)
#undef X
	}
	return "unknown";
}

static struct hf_cursor writer(void *meta)
{
	return hf_cursor_over(meta, HF_WIRE_META_MAX);
}

static uint32_t written(const struct hf_cursor *c)
{
	hf_assert(!c->bad);
	return (uint32_t)(HF_WIRE_META_MAX - c->left);
}

/* Takes over a decoded message when all of it was there and in range. */
#define FINISH(c, out, m) \
	do { \
		if (!hf_cursor_is_done(c)) \
			return -EPROTO; \
		*(out) = (m); \
		return 0; \
	} while (0)

static void put_epochs(struct hf_cursor *c, const struct hf_epoch_cache *e)
{
	hf_cursor_put32(c, e->count);
	for (uint32_t i = 0; i < e->count; i++) {
		hf_cursor_put64(c, e->at[i].epoch);
		hf_cursor_put64(c, e->at[i].start);
	}
}

static void get_epochs(struct hf_cursor *c, struct hf_epoch_cache *e)
{
	e->count = hf_cursor_get32(c);
	if (e->count > HF_EPOCHS_MAX) {
		c->bad = true;
		e->count = 0;
	}
	for (uint32_t i = 0; i < e->count; i++) {
		e->at[i].epoch = hf_cursor_get64(c);
		e->at[i].start = hf_cursor_get64(c);
		if (!hf_epoch_cache_is_next(e, i))
			c->bad = true;
	}
}

uint32_t hf_wire_hello_encode(void *meta, const struct hf_hello *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put_uuid(&c, &m->cluster);
	hf_cursor_put_uuid(&c, &m->instance);
	hf_cursor_put64(&c, m->generation);
	hf_cursor_put32(&c, m->version_min);
	hf_cursor_put32(&c, m->version_max);
	hf_cursor_put64(&c, m->features);
	hf_cursor_put_bytes(&c, m->host, HF_NAME_MAX);
	return written(&c);
}

int hf_wire_hello_decode(const void *meta, uint32_t len, struct hf_hello *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_hello m = { 0 };

	hf_cursor_get_uuid(&c, &m.cluster);
	hf_cursor_get_uuid(&c, &m.instance);
	m.generation = hf_cursor_get64(&c);
	m.version_min = hf_cursor_get32(&c);
	m.version_max = hf_cursor_get32(&c);
	m.features = hf_cursor_get64(&c);
	hf_cursor_get_text(&c, m.host, HF_NAME_MAX);
	FINISH(&c, out, m);
}

uint32_t hf_wire_prepare_encode(void *meta, const struct hf_prepare *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put64(&c, m->epoch);
	hf_cursor_put_uuid(&c, &m->incarnation);
	hf_cursor_put64(&c, m->ver);
	return written(&c);
}

int hf_wire_prepare_decode(const void *meta, uint32_t len, struct hf_prepare *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_prepare m = { 0 };

	m.epoch = hf_cursor_get64(&c);
	hf_cursor_get_uuid(&c, &m.incarnation);
	m.ver = hf_cursor_get64(&c);
	if (m.epoch == 0)
		c.bad = true;
	FINISH(&c, out, m);
}

uint32_t hf_wire_promise_encode(void *meta, const struct hf_promise *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put8(&c, m->result);
	hf_cursor_put8(&c, m->suspect);
	hf_cursor_put8(&c, m->inconsistent);
	hf_cursor_put8(&c, m->adopting);
	hf_cursor_put32(&c, m->chain);
	hf_cursor_put64(&c, m->promised);
	hf_cursor_put64(&c, m->activated);
	hf_cursor_put64(&c, m->last_epoch);
	hf_cursor_put64(&c, m->last);
	hf_cursor_put64(&c, m->commit);
	hf_cursor_put64(&c, m->first);
	hf_cursor_put64(&c, m->resync_from);
	hf_cursor_put64(&c, m->ver);
	hf_cursor_put64(&c, m->size_blocks);
	hf_cursor_put64(&c, m->lease_left);
	put_epochs(&c, &m->epochs);
	return written(&c);
}

int hf_wire_promise_decode(const void *meta, uint32_t len, struct hf_promise *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_promise m = { 0 };

	m.result = hf_cursor_get8(&c);
	m.suspect = hf_cursor_get_bool(&c);
	m.inconsistent = hf_cursor_get_bool(&c);
	m.adopting = hf_cursor_get_bool(&c);
	m.chain = hf_cursor_get32(&c);
	m.promised = hf_cursor_get64(&c);
	m.activated = hf_cursor_get64(&c);
	m.last_epoch = hf_cursor_get64(&c);
	m.last = hf_cursor_get64(&c);
	m.commit = hf_cursor_get64(&c);
	m.first = hf_cursor_get64(&c);
	m.resync_from = hf_cursor_get64(&c);
	m.ver = hf_cursor_get64(&c);
	m.size_blocks = hf_cursor_get64(&c);
	m.lease_left = hf_cursor_get64(&c);
	get_epochs(&c, &m.epochs);
	if (m.result > HF_LEG_WOULD_CUT_COMMITTED || m.commit > m.last || m.lease_left > 3600 * HF_SEC ||
	    m.size_blocks > HF_VOLUME_BLOCKS_MAX)
		c.bad = true;
	FINISH(&c, out, m);
}

uint32_t hf_wire_adopt_encode(void *meta, const struct hf_adopt *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put64(&c, m->epoch);
	hf_cursor_put64(&c, m->ver);
	hf_cursor_put64(&c, m->target);
	hf_cursor_put64(&c, m->base_epoch);
	hf_cursor_put64(&c, m->base);
	hf_cursor_put32(&c, m->base_chain);
	hf_cursor_put8(&c, m->mode);
	hf_cursor_put_zeros(&c, 3);
	hf_cursor_put64(&c, m->resync_from);
	hf_cursor_put64(&c, m->size_blocks);
	put_epochs(&c, &m->epochs);
	return written(&c);
}

int hf_wire_adopt_decode(const void *meta, uint32_t len, struct hf_adopt *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_adopt m = { 0 };

	m.epoch = hf_cursor_get64(&c);
	m.ver = hf_cursor_get64(&c);
	m.target = hf_cursor_get64(&c);
	m.base_epoch = hf_cursor_get64(&c);
	m.base = hf_cursor_get64(&c);
	m.base_chain = hf_cursor_get32(&c);
	m.mode = hf_cursor_get8(&c);
	hf_cursor_get_zeros(&c, 3);
	m.resync_from = hf_cursor_get64(&c);
	m.size_blocks = hf_cursor_get64(&c);
	get_epochs(&c, &m.epochs);
	if (m.mode > HF_ADOPT_RESYNC || m.epochs.count == 0 || m.epochs.at[m.epochs.count - 1].epoch != m.epoch ||
	    m.size_blocks > HF_VOLUME_BLOCKS_MAX || (m.mode == HF_ADOPT_RESYNC && m.size_blocks == 0))
		c.bad = true;
	FINISH(&c, out, m);
}

uint32_t hf_wire_adopted_encode(void *meta, const struct hf_adopted *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put8(&c, m->result);
	hf_cursor_put8(&c, m->active);
	hf_cursor_put_zeros(&c, 2);
	hf_cursor_put32(&c, m->chain);
	hf_cursor_put64(&c, m->epoch);
	hf_cursor_put64(&c, m->last);
	return written(&c);
}

int hf_wire_adopted_decode(const void *meta, uint32_t len, struct hf_adopted *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_adopted m = { 0 };

	m.result = hf_cursor_get8(&c);
	m.active = hf_cursor_get_bool(&c);
	hf_cursor_get_zeros(&c, 2);
	m.chain = hf_cursor_get32(&c);
	m.epoch = hf_cursor_get64(&c);
	m.last = hf_cursor_get64(&c);
	if (m.result > HF_LEG_WOULD_CUT_COMMITTED)
		c.bad = true;
	FINISH(&c, out, m);
}

uint32_t hf_wire_ack_encode(void *meta, const struct hf_ack *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put8(&c, m->result);
	hf_cursor_put_zeros(&c, 7);
	hf_cursor_put64(&c, m->epoch);
	hf_cursor_put64(&c, m->durable);
	hf_cursor_put64(&c, m->resync_done);
	hf_cursor_put64(&c, m->cookie);
	hf_cursor_put64(&c, m->ver);
	return written(&c);
}

int hf_wire_ack_decode(const void *meta, uint32_t len, struct hf_ack *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_ack m = { 0 };

	m.result = hf_cursor_get8(&c);
	hf_cursor_get_zeros(&c, 7);
	m.epoch = hf_cursor_get64(&c);
	m.durable = hf_cursor_get64(&c);
	m.resync_done = hf_cursor_get64(&c);
	m.cookie = hf_cursor_get64(&c);
	m.ver = hf_cursor_get64(&c);
	if (m.result > HF_LEG_WOULD_CUT_COMMITTED)
		c.bad = true;
	FINISH(&c, out, m);
}

struct entry_head {
	hf_le64 epoch, seq, lba, ver;
	hf_le32 nblocks, prev_chain, chain;
	uint8_t type, reserved[3];
	hf_le64 skip, zero;
};

_Static_assert(sizeof(struct entry_head) == HF_WIRE_ENTRY, "entry head");

uint32_t hf_wire_entry_encode(void *meta, const struct hf_entry *e)
{
	struct entry_head *h = meta;
	hf_le32 *crc = (hf_le32 *)(h + 1);

	h->epoch = hf_put_le64(e->epoch);
	h->seq = hf_put_le64(e->seq);
	h->lba = hf_put_le64(e->lba);
	h->ver = hf_put_le64(e->ver);
	h->nblocks = hf_put_le32(e->nblocks);
	h->prev_chain = hf_put_le32(e->prev_chain);
	h->chain = hf_put_le32(e->chain);
	h->type = e->type;
	memset(h->reserved, 0, sizeof(h->reserved));
	h->skip = hf_put_le64(e->skip);
	h->zero = hf_put_le64(e->zero);
	if (!hf_entry_has_payload(e))
		return HF_WIRE_ENTRY;
	for (uint32_t i = 0; i < e->nblocks; i++)
		crc[i] = hf_put_le32(e->block_crc[i]);
	for (uint32_t i = 0; i < e->nblocks; i++)
		crc[e->nblocks + i] = hf_put_le32(e->frag_crc[i]);
	return hf_wire_entry_size(e);
}

static bool range_is_valid(const struct hf_entry *e)
{
	switch (e->type) {
	case HF_OP_WRITE:
	case HF_OP_RESYNC:
		return e->nblocks >= 1 && e->nblocks <= HF_WRITE_BLOCKS_MAX &&
		       e->lba <= HF_VOLUME_BLOCKS_MAX - e->nblocks;
	case HF_OP_ZERO:
		return e->nblocks >= 1 && e->nblocks <= HF_ZERO_BLOCKS_MAX &&
		       e->lba <= HF_VOLUME_BLOCKS_MAX - e->nblocks;
	case HF_OP_RESIZE:
		return e->nblocks == 0 && e->lba >= 1 && e->lba <= HF_VOLUME_BLOCKS_MAX;
	case HF_OP_NOP:
		return e->nblocks == 0;
	}
	return false;
}

int hf_wire_entry_decode(const void *meta, uint32_t len, uint32_t *pos, struct hf_entry *out)
{
	const struct entry_head *h;
	const hf_le32 *crc;
	struct hf_entry e;

	if (*pos > len || len - *pos < HF_WIRE_ENTRY)
		return -EPROTO;
	memset(&e, 0, offsetof(struct hf_entry, block_crc));
	h = (const void *)((const uint8_t *)meta + *pos);
	e.epoch = hf_get_le64(h->epoch);
	e.seq = hf_get_le64(h->seq);
	e.lba = hf_get_le64(h->lba);
	e.ver = hf_get_le64(h->ver);
	e.nblocks = hf_get_le32(h->nblocks);
	e.prev_chain = hf_get_le32(h->prev_chain);
	e.chain = hf_get_le32(h->chain);
	e.type = h->type;
	e.skip = hf_get_le64(h->skip);
	e.zero = hf_get_le64(h->zero);
	if (!range_is_valid(&e) || h->reserved[0] || h->reserved[1] || h->reserved[2])
		return -EPROTO;
	if (len - *pos < hf_wire_entry_size(&e))
		return -EPROTO;
	memcpy(out, &e, offsetof(struct hf_entry, block_crc));
	*pos += hf_wire_entry_size(out);
	if (!hf_entry_has_payload(out))
		return 0;
	crc = (const hf_le32 *)(h + 1);
	for (uint32_t i = 0; i < out->nblocks; i++)
		out->block_crc[i] = hf_get_le32(crc[i]);
	for (uint32_t i = 0; i < out->nblocks; i++)
		out->frag_crc[i] = hf_get_le32(crc[out->nblocks + i]);
	return 0;
}

uint32_t hf_wire_read_encode(void *meta, const struct hf_wire_read *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put64(&c, m->lba);
	hf_cursor_put32(&c, m->nblocks);
	hf_cursor_put_zeros(&c, 4);
	hf_cursor_put64(&c, m->seq);
	return written(&c);
}

int hf_wire_read_decode(const void *meta, uint32_t len, struct hf_wire_read *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_wire_read m = { 0 };

	m.lba = hf_cursor_get64(&c);
	m.nblocks = hf_cursor_get32(&c);
	hf_cursor_get_zeros(&c, 4);
	m.seq = hf_cursor_get64(&c);
	if (m.nblocks < 1 || m.nblocks > HF_WRITE_BLOCKS_MAX || m.lba > HF_VOLUME_BLOCKS_MAX - m.nblocks)
		c.bad = true;
	FINISH(&c, out, m);
}

uint32_t hf_wire_read_data_encode(void *meta, const struct hf_wire_read_data *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put32(&c, (uint32_t)m->result);
	hf_cursor_put32(&c, m->nblocks);
	hf_cursor_put64(&c, m->zero);
	hf_cursor_put64(&c, m->bad);
	for (uint32_t i = 0; i < m->nblocks; i++)
		hf_cursor_put32(&c, m->block_crc[i]);
	return written(&c);
}

int hf_wire_read_data_decode(const void *meta, uint32_t len, struct hf_wire_read_data *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_wire_read_data m = { 0 };

	m.result = (int32_t)hf_cursor_get32(&c);
	m.nblocks = hf_cursor_get32(&c);
	m.zero = hf_cursor_get64(&c);
	m.bad = hf_cursor_get64(&c);
	if (m.nblocks > HF_WRITE_BLOCKS_MAX || m.result > 0) {
		c.bad = true;
		m.nblocks = 0;
	}
	for (uint32_t i = 0; i < m.nblocks; i++)
		m.block_crc[i] = hf_cursor_get32(&c);
	FINISH(&c, out, m);
}

uint32_t hf_wire_fetch_encode(void *meta, const struct hf_wire_fetch *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put64(&c, m->from);
	hf_cursor_put64(&c, m->to);
	hf_cursor_put8(&c, m->heads_only);
	hf_cursor_put_zeros(&c, 7);
	return written(&c);
}

int hf_wire_fetch_decode(const void *meta, uint32_t len, struct hf_wire_fetch *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_wire_fetch m = { 0 };

	uint8_t heads_only;

	m.from = hf_cursor_get64(&c);
	m.to = hf_cursor_get64(&c);
	heads_only = hf_cursor_get8(&c);
	hf_cursor_get_zeros(&c, 7);
	m.heads_only = heads_only;
	if (m.from == 0 || m.from > m.to || heads_only > 1)
		c.bad = true;
	FINISH(&c, out, m);
}

uint32_t hf_wire_map_encode(void *meta, const struct hf_wire_map *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put64(&c, m->after);
	hf_cursor_put64(&c, m->cursor);
	return written(&c);
}

int hf_wire_map_decode(const void *meta, uint32_t len, struct hf_wire_map *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_wire_map m = { 0 };

	m.after = hf_cursor_get64(&c);
	m.cursor = hf_cursor_get64(&c);
	FINISH(&c, out, m);
}

uint32_t hf_wire_map_data_encode(void *meta, const struct hf_wire_map_data *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put64(&c, m->cursor);
	hf_cursor_put64(&c, m->size_blocks);
	hf_cursor_put32(&c, m->count);
	hf_cursor_put_zeros(&c, 4);
	for (uint32_t i = 0; i < m->count; i++)
		hf_cursor_put64(&c, m->chunk[i]);
	return written(&c);
}

int hf_wire_map_data_decode(const void *meta, uint32_t len, struct hf_wire_map_data *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_wire_map_data m = { 0 };

	m.cursor = hf_cursor_get64(&c);
	m.size_blocks = hf_cursor_get64(&c);
	m.count = hf_cursor_get32(&c);
	hf_cursor_get_zeros(&c, 4);
	if (m.count > HF_WIRE_MAP_MAX || m.size_blocks > HF_VOLUME_BLOCKS_MAX) {
		c.bad = true;
		m.count = 0;
	}
	for (uint32_t i = 0; i < m.count; i++) {
		m.chunk[i] = hf_cursor_get64(&c);
		if (m.chunk[i] >= HF_VOLUME_BLOCKS_MAX / HF_CHUNK_BLOCKS)
			c.bad = true;
	}
	FINISH(&c, out, m);
}

uint32_t hf_wire_format_encode(void *meta, const struct hf_wire_format *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put_uuid(&c, &m->id.cluster);
	hf_cursor_put_uuid(&c, &m->id.volume);
	hf_cursor_put_uuid(&c, &m->id.leg);
	hf_cursor_put8(&c, m->id.geometry.k);
	hf_cursor_put8(&c, m->id.geometry.m);
	hf_cursor_put8(&c, m->id.frag);
	hf_cursor_put_zeros(&c, 5);
	hf_cursor_put64(&c, m->size_blocks);
	hf_cursor_put_bytes(&c, m->volume, HF_NAME_MAX);
	return written(&c);
}

int hf_wire_format_decode(const void *meta, uint32_t len, struct hf_wire_format *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_wire_format m = { 0 };

	hf_cursor_get_uuid(&c, &m.id.cluster);
	hf_cursor_get_uuid(&c, &m.id.volume);
	hf_cursor_get_uuid(&c, &m.id.leg);
	m.id.geometry.k = hf_cursor_get8(&c);
	m.id.geometry.m = hf_cursor_get8(&c);
	m.id.frag = hf_cursor_get8(&c);
	hf_cursor_get_zeros(&c, 5);
	m.size_blocks = hf_cursor_get64(&c);
	hf_cursor_get_text(&c, m.volume, HF_NAME_MAX);
	if (m.size_blocks < 1 || m.size_blocks > HF_VOLUME_BLOCKS_MAX || !hf_leg_identity_is_valid(&m.id))
		c.bad = true;
	FINISH(&c, out, m);
}

uint32_t hf_wire_done_encode(void *meta, const struct hf_wire_done *m)
{
	struct hf_cursor c = writer(meta);

	hf_cursor_put32(&c, (uint32_t)m->result);
	hf_cursor_put_bytes(&c, m->words, sizeof(m->words));
	return written(&c);
}

int hf_wire_done_decode(const void *meta, uint32_t len, struct hf_wire_done *out)
{
	struct hf_cursor c = hf_cursor_over(meta, len);
	struct hf_wire_done m = { 0 };

	m.result = (int32_t)hf_cursor_get32(&c);
	hf_cursor_get_text(&c, m.words, sizeof(m.words));
	FINISH(&c, out, m);
}

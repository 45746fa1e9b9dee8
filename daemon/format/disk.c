// SPDX-License-Identifier: MIT
/* disk - bytes <-> structs of a leg (docs/man/holdfast-leg.5). Keeps nothing, decides nothing. */
#include "format/disk.h"

#include <errno.h>

#include "base/assert.h"
#include "base/cursor.h"
#include "codec/csum.h"

#define SUPER_MAGIC 0x474c464855504552ull
#define BATCH_MAGIC 0x48434254u
#define PAGE_MAGIC 0x45474150u
#define DW_MAGIC 0x45545257u

static void put_epochs(struct hf_cursor *c, const struct hf_epoch_cache *e)
{
	hf_cursor_put32(c, e->count);
	for (uint32_t i = 0; i < HF_EPOCHS_MAX; i++) {
		hf_cursor_put64(c, i < e->count ? e->at[i].epoch : 0);
		hf_cursor_put64(c, i < e->count ? e->at[i].start : 0);
	}
}

static void get_epochs(struct hf_cursor *c, struct hf_epoch_cache *e)
{
	e->count = hf_cursor_get32(c);
	if (e->count > HF_EPOCHS_MAX) {
		c->bad = true;
		e->count = 0;
	}
	for (uint32_t i = 0; i < HF_EPOCHS_MAX; i++) {
		e->at[i].epoch = hf_cursor_get64(c);
		e->at[i].start = hf_cursor_get64(c);
		if (i >= e->count && (e->at[i].epoch || e->at[i].start))
			c->bad = true;
		if (i < e->count && !hf_epoch_cache_is_next(e, i))
			c->bad = true;
	}
}

static void put_state(struct hf_cursor *c, const struct hf_leg_state *s)
{
	hf_cursor_put64(c, s->promised);
	hf_cursor_put_uuid(c, &s->promised_incarnation);
	hf_cursor_put64(c, s->activated);
	hf_cursor_put64(c, s->ver);
	hf_cursor_put64(c, s->size_blocks);
	hf_cursor_put64(c, s->resync_from);
	hf_cursor_put8(c, s->inconsistent);
	hf_cursor_put8(c, s->suspect);
	hf_cursor_put8(c, s->failed);
	hf_cursor_put8(c, 0);
	put_epochs(c, &s->epochs);
}

static void get_state(struct hf_cursor *c, struct hf_leg_state *s)
{
	s->promised = hf_cursor_get64(c);
	hf_cursor_get_uuid(c, &s->promised_incarnation);
	s->activated = hf_cursor_get64(c);
	s->ver = hf_cursor_get64(c);
	s->size_blocks = hf_cursor_get64(c);
	s->resync_from = hf_cursor_get64(c);
	s->inconsistent = hf_cursor_get_bool(c);
	s->suspect = hf_cursor_get_bool(c);
	s->failed = hf_cursor_get_bool(c);
	hf_cursor_get_zeros(c, 1);
	get_epochs(c, &s->epochs);
}

static void put_checkpoint(struct hf_cursor *c, const struct hf_disk_checkpoint *k)
{
	hf_cursor_put64(c, k->applied);
	hf_cursor_put64(c, k->epoch);
	hf_cursor_put32(c, k->chain);
	hf_cursor_put32(c, k->log_pos);
	hf_cursor_put64(c, k->commit);
	hf_cursor_put64(c, k->size_blocks);
	hf_cursor_put64(c, k->batch);
	hf_cursor_put64(c, k->dw);
	hf_cursor_put64(c, k->digest);
}

static void get_checkpoint(struct hf_cursor *c, struct hf_disk_checkpoint *k)
{
	k->applied = hf_cursor_get64(c);
	k->epoch = hf_cursor_get64(c);
	k->chain = hf_cursor_get32(c);
	k->log_pos = hf_cursor_get32(c);
	k->commit = hf_cursor_get64(c);
	k->size_blocks = hf_cursor_get64(c);
	k->batch = hf_cursor_get64(c);
	k->dw = hf_cursor_get64(c);
	k->digest = hf_cursor_get64(c);
}

static void put_layout(struct hf_cursor *c, const struct hf_disk_super *s)
{
	hf_cursor_put_uuid(c, &s->id.cluster);
	hf_cursor_put_uuid(c, &s->id.volume);
	hf_cursor_put_uuid(c, &s->id.leg);
	hf_cursor_put8(c, s->id.geometry.k);
	hf_cursor_put8(c, s->id.geometry.m);
	hf_cursor_put8(c, s->id.frag);
	hf_cursor_put8(c, 0);
	hf_cursor_put32(c, s->log_bytes);
	hf_cursor_put64(c, s->log_off);
	hf_cursor_put64(c, s->dw_off);
	hf_cursor_put64(c, s->table_off);
	hf_cursor_put64(c, s->data_off);
	hf_cursor_put32(c, s->dw_pages);
	hf_cursor_put32(c, 0);
	hf_cursor_put64(c, s->chunks_max);
}

static void get_layout(struct hf_cursor *c, struct hf_disk_super *s)
{
	hf_cursor_get_uuid(c, &s->id.cluster);
	hf_cursor_get_uuid(c, &s->id.volume);
	hf_cursor_get_uuid(c, &s->id.leg);
	s->id.geometry.k = hf_cursor_get8(c);
	s->id.geometry.m = hf_cursor_get8(c);
	s->id.frag = hf_cursor_get8(c);
	hf_cursor_get_zeros(c, 1);
	s->log_bytes = hf_cursor_get32(c);
	s->log_off = hf_cursor_get64(c);
	s->dw_off = hf_cursor_get64(c);
	s->table_off = hf_cursor_get64(c);
	s->data_off = hf_cursor_get64(c);
	s->dw_pages = hf_cursor_get32(c);
	hf_cursor_get_zeros(c, 4);
	s->chunks_max = hf_cursor_get64(c);
}

/* The last 4 bytes of a page: crc32c over the salt and all before. 0 is left out: it stands for "never written". */
static uint32_t page_crc(const void *page, uint32_t salt)
{
	hf_le32 s = hf_put_le32(salt);
	uint32_t crc = hf_crc32c_extend(hf_crc32c(&s, sizeof(s)), page, HF_DISK_PAGE - 4);

	return crc ? crc : 1;
}

static uint32_t page_seal(void *page, uint32_t salt)
{
	hf_le32 crc = hf_put_le32(page_crc(page, salt));

	memcpy((uint8_t *)page + HF_DISK_PAGE - 4, &crc, sizeof(crc));
	return hf_get_le32(crc);
}

static bool page_is_sealed(const void *page, uint32_t salt)
{
	hf_le32 crc;

	memcpy(&crc, (const uint8_t *)page + HF_DISK_PAGE - 4, sizeof(crc));
	return hf_get_le32(crc) == page_crc(page, salt);
}

void hf_disk_super_encode(void *page, const struct hf_disk_super *s)
{
	struct hf_cursor c = hf_cursor_over(page, HF_DISK_PAGE - 4);

	memset(page, 0, HF_DISK_PAGE);
	hf_cursor_put64(&c, SUPER_MAGIC);
	hf_cursor_put32(&c, HF_DISK_VERSION);
	hf_cursor_put_zeros(&c, 12);	/* features: compat, read-only compat, incompat */
	hf_cursor_put64(&c, s->generation);
	put_layout(&c, s);
	put_checkpoint(&c, &s->checkpoint);
	put_state(&c, &s->state);
	hf_assert(!c.bad);
	(void)page_seal(page, 0);
}

#define OFF_MAX (1ull << 62)		/* bytes: sums of offsets and lengths do not wrap around */

/* One region after the other, each at a page, none longer than the room before the next. */
static bool regions_are_sane(const struct hf_disk_super *s)
{
	uint64_t table_pages = (s->chunks_max + HF_DISK_CHUNKS_PER_PAGE - 1) / HF_DISK_CHUNKS_PER_PAGE;

	if (s->dw_off > OFF_MAX || s->table_off > OFF_MAX || s->data_off > OFF_MAX)
		return false;
	if (s->dw_off % HF_DISK_PAGE || s->table_off % HF_DISK_PAGE || s->data_off % HF_DISK_PAGE)
		return false;
	return s->log_off == HF_DISK_LOG_OFF && s->dw_off >= s->log_off + s->log_bytes &&
	       s->table_off >= s->dw_off + 2ull * (s->dw_pages + 1) * HF_DISK_PAGE &&
	       s->data_off >= s->table_off + table_pages * HF_DISK_PAGE;
}

static bool layout_is_sane(const struct hf_disk_super *s)
{
	if (!hf_leg_identity_is_valid(&s->id))
		return false;
	if (s->log_bytes < 65536 || s->log_bytes % HF_DISK_PAGE || s->log_bytes > (1u << 30))
		return false;
	if (s->dw_pages < 64 || s->dw_pages > HF_DISK_DW_PAGES_MAX)
		return false;
	if (s->checkpoint.log_pos >= s->log_bytes || s->checkpoint.log_pos % HF_DISK_PAGE)
		return false;
	if (s->chunks_max == 0 || s->chunks_max > HF_VOLUME_BLOCKS_MAX / HF_CHUNK_BLOCKS)
		return false;
	if (s->checkpoint.commit < s->checkpoint.applied)
		return false;
	if (s->checkpoint.size_blocks < 1 || s->checkpoint.size_blocks > s->chunks_max * HF_CHUNK_BLOCKS)
		return false;
	return regions_are_sane(s);
}

int hf_disk_super_decode(const void *page, struct hf_disk_super *out, const char **why)
{
	struct hf_cursor c = hf_cursor_over(page, HF_DISK_PAGE - 4);
	struct hf_disk_super s = { 0 };
	uint32_t version, ro, incompat;

	*why = "there is no superblock";
	if (hf_cursor_get64(&c) != SUPER_MAGIC)
		return -EUCLEAN;
	*why = "the superblock is damaged";
	if (!page_is_sealed(page, 0))
		return -EUCLEAN;
	version = hf_cursor_get32(&c);
	(void)hf_cursor_get32(&c);	/* compat: a reader that does not know a bit goes on */
	ro = hf_cursor_get32(&c);
	incompat = hf_cursor_get32(&c);
	*why = "it was written by a newer version";
	if (version != HF_DISK_VERSION || (ro & ~HF_DISK_RO_KNOWN) || (incompat & ~HF_DISK_INCOMPAT_KNOWN))
		return -EUCLEAN;
	s.generation = hf_cursor_get64(&c);
	get_layout(&c, &s);
	get_checkpoint(&c, &s.checkpoint);
	get_state(&c, &s.state);
	*why = "the superblock contradicts itself";
	if (c.bad || s.generation == 0 || !layout_is_sane(&s))
		return -EUCLEAN;
	*why = NULL;
	*out = s;
	return 0;
}

uint32_t hf_disk_salt(const struct hf_uuid *leg)
{
	return hf_crc32c(leg->b, sizeof(leg->b));
}

#define STAMP_SPREAD 0x9e3779b1u

uint64_t hf_disk_stamp(uint32_t salt, uint64_t batch, uint32_t sector)
{
	return (uint64_t)(uint32_t)batch << 32 | (salt ^ (sector * STAMP_SPREAD) ^ (uint32_t)(batch >> 32));
}

bool hf_disk_stamp_decode(uint64_t stamp, uint32_t salt, uint64_t near, uint64_t *batch, uint32_t *sector)
{
	int32_t apart = (int32_t)((uint32_t)(stamp >> 32) - (uint32_t)near);
	uint32_t inverse = STAMP_SPREAD;

	for (int i = 0; i < 5; i++)		/* Newton: the inverse of an odd number modulo 2^32 */
		inverse *= 2 - STAMP_SPREAD * inverse;
	if (apart < 0 && (uint64_t)-(int64_t)apart > near)
		return false;
	*batch = near + (uint64_t)(int64_t)apart;
	*sector = ((uint32_t)stamp ^ salt ^ (uint32_t)(*batch >> 32)) * inverse;
	return *sector < HF_DISK_BATCH_SECTORS_MAX;
}

void hf_disk_batch_encode(void *head, uint32_t salt, const struct hf_disk_batch *b)
{
	struct hf_cursor c = hf_cursor_over(head, HF_DISK_BATCH_HEAD - 4);
	hf_le32 crc;

	memset(head, 0, HF_DISK_BATCH_HEAD);
	hf_cursor_put32(&c, BATCH_MAGIC);
	hf_cursor_put32(&c, salt);
	hf_cursor_put64(&c, b->no);
	hf_cursor_put64(&c, b->commit);
	hf_cursor_put32(&c, b->stream_len);
	hf_cursor_put32(&c, b->pages);
	hf_cursor_put32(&c, b->count);
	crc = hf_put_le32(hf_crc32c(head, HF_DISK_BATCH_HEAD - 4));
	memcpy((uint8_t *)head + HF_DISK_BATCH_HEAD - 4, &crc, sizeof(crc));
}

int hf_disk_batch_decode(const void *head, uint32_t salt, struct hf_disk_batch *out)
{
	struct hf_cursor c = hf_cursor_over(head, HF_DISK_BATCH_HEAD - 4);
	struct hf_disk_batch b = { 0 };
	hf_le32 crc;

	memcpy(&crc, (const uint8_t *)head + HF_DISK_BATCH_HEAD - 4, sizeof(crc));
	if (hf_get_le32(crc) != hf_crc32c(head, HF_DISK_BATCH_HEAD - 4))
		return -EBADMSG;
	if (hf_cursor_get32(&c) != BATCH_MAGIC || hf_cursor_get32(&c) != salt)
		return -EBADMSG;
	b.no = hf_cursor_get64(&c);
	b.commit = hf_cursor_get64(&c);
	b.stream_len = hf_cursor_get32(&c);
	b.pages = hf_cursor_get32(&c);
	b.count = hf_cursor_get32(&c);
	hf_cursor_get_zeros(&c, c.left);
	if (c.bad)
		return -EBADMSG;
	*out = b;
	return 0;
}

struct entry_head {
	hf_le32 crc;			/* over salt, the rest of the head, and the checksums that follow */
	uint8_t type, reserved[3];
	hf_le32 nblocks, prev_chain;
	hf_le64 epoch, seq, lba, ver;
	hf_le32 chain, reserved2;
	hf_le64 skip, zero;
};

_Static_assert(sizeof(struct entry_head) == HF_DISK_ENTRY_HEAD, "entry head");
_Static_assert(offsetof(struct entry_head, epoch) == 16, "epoch");
_Static_assert(offsetof(struct entry_head, chain) == 48, "chain");
_Static_assert(offsetof(struct entry_head, skip) == 56, "skip");

static uint32_t entry_crc(const struct entry_head *h, uint32_t salt, uint32_t size)
{
	hf_le32 s = hf_put_le32(salt);

	return hf_crc32c_extend(hf_crc32c(&s, sizeof(s)), (const uint8_t *)h + 4, size - 4);
}

uint32_t hf_disk_entry_encode(void *out, uint32_t salt, const struct hf_entry *e)
{
	struct entry_head *h = out;
	hf_le32 *crc = (hf_le32 *)(h + 1);
	uint32_t size = hf_disk_entry_size(e->type, e->nblocks);

	memset(h, 0, sizeof(*h));
	h->type = e->type;
	h->nblocks = hf_put_le32(e->nblocks);
	h->prev_chain = hf_put_le32(e->prev_chain);
	h->epoch = hf_put_le64(e->epoch);
	h->seq = hf_put_le64(e->seq);
	h->lba = hf_put_le64(e->lba);
	h->ver = hf_put_le64(e->ver);
	h->chain = hf_put_le32(e->chain);
	h->skip = hf_put_le64(e->skip);
	h->zero = hf_put_le64(e->zero);
	for (uint32_t i = 0; hf_entry_has_payload(e) && i < e->nblocks; i++) {
		crc[2 * i] = hf_put_le32(e->block_crc[i]);
		crc[2 * i + 1] = hf_put_le32(e->frag_crc[i]);
	}
	h->crc = hf_put_le32(entry_crc(h, salt, size));
	return size;
}

uint32_t hf_disk_entry_peek(const void *head)
{
	const struct entry_head *h = head;
	uint32_t n = hf_get_le32(h->nblocks);

	switch (h->type) {
	case HF_OP_WRITE:
	case HF_OP_RESYNC:
		return n >= 1 && n <= HF_WRITE_BLOCKS_MAX ? hf_disk_entry_size(h->type, n) : 0;
	case HF_OP_ZERO:
		return n >= 1 && n <= HF_ZERO_BLOCKS_MAX ? HF_DISK_ENTRY_HEAD : 0;
	case HF_OP_RESIZE:
	case HF_OP_NOP:
		return n == 0 ? HF_DISK_ENTRY_HEAD : 0;
	}
	return 0;
}

int hf_disk_entry_decode(const void *in, uint32_t salt, struct hf_entry *out)
{
	const struct entry_head *h = in;
	const hf_le32 *crc = (const hf_le32 *)(h + 1);
	uint32_t size = hf_disk_entry_peek(in);

	if (!size || hf_get_le32(h->crc) != entry_crc(h, salt, size))
		return -EBADMSG;
	if (h->reserved[0] || h->reserved[1] || h->reserved[2] || hf_get_le32(h->reserved2))
		return -EBADMSG;
	out->type = h->type;
	out->nblocks = hf_get_le32(h->nblocks);
	out->prev_chain = hf_get_le32(h->prev_chain);
	out->epoch = hf_get_le64(h->epoch);
	out->seq = hf_get_le64(h->seq);
	out->lba = hf_get_le64(h->lba);
	out->ver = hf_get_le64(h->ver);
	out->chain = hf_get_le32(h->chain);
	out->skip = hf_get_le64(h->skip);
	out->zero = hf_get_le64(h->zero);
	for (uint32_t i = 0; hf_entry_has_payload(out) && i < out->nblocks; i++) {
		out->block_crc[i] = hf_get_le32(crc[2 * i]);
		out->frag_crc[i] = hf_get_le32(crc[2 * i + 1]);
	}
	return 0;
}

uint32_t hf_disk_page_encode(void *page, uint32_t salt, uint64_t number,
			     const struct hf_disk_chunk chunks[HF_DISK_CHUNKS_PER_PAGE])
{
	struct hf_cursor c = hf_cursor_over(page, HF_DISK_PAGE - 4);

	memset(page, 0, HF_DISK_PAGE);
	hf_cursor_put32(&c, PAGE_MAGIC);
	hf_cursor_put32(&c, 0);
	hf_cursor_put64(&c, number);
	for (uint32_t i = 0; i < HF_DISK_CHUNKS_PER_PAGE; i++) {
		hf_cursor_put32(&c, chunks[i].phys);
		hf_cursor_put16(&c, chunks[i].present);
		hf_cursor_put16(&c, chunks[i].flags);
		hf_cursor_put64(&c, chunks[i].epoch);
		hf_cursor_put64(&c, chunks[i].seq);
		for (uint32_t b = 0; b < HF_CHUNK_BLOCKS; b++) {
			hf_cursor_put32(&c, chunks[i].frag_crc[b]);
			hf_cursor_put32(&c, chunks[i].block_crc[b]);
		}
	}
	hf_assert(!c.bad);
	return page_seal(page, salt);
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

int hf_disk_page_decode(const void *page, uint32_t salt, uint64_t number,
			struct hf_disk_chunk chunks[HF_DISK_CHUNKS_PER_PAGE], uint32_t *crc)
{
	struct hf_cursor c = hf_cursor_over(page, HF_DISK_PAGE - 4);

	if (is_zero(page, HF_DISK_PAGE))
		return 0;
	if (!page_is_sealed(page, salt))
		return -EBADMSG;
	if (hf_cursor_get32(&c) != PAGE_MAGIC || hf_cursor_get32(&c) != 0 || hf_cursor_get64(&c) != number)
		return -EBADMSG;
	for (uint32_t i = 0; i < HF_DISK_CHUNKS_PER_PAGE; i++) {
		chunks[i].phys = hf_cursor_get32(&c);
		chunks[i].present = hf_cursor_get16(&c);
		chunks[i].flags = hf_cursor_get16(&c);
		chunks[i].epoch = hf_cursor_get64(&c);
		chunks[i].seq = hf_cursor_get64(&c);
		for (uint32_t b = 0; b < HF_CHUNK_BLOCKS; b++) {
			chunks[i].frag_crc[b] = hf_cursor_get32(&c);
			chunks[i].block_crc[b] = hf_cursor_get32(&c);
		}
		if (chunks[i].flags || (chunks[i].present && !chunks[i].phys))
			return -EBADMSG;
	}
	hf_cursor_get_zeros(&c, c.left);
	if (c.bad)
		return -EBADMSG;
	*crc = page_crc(page, salt);
	return 1;
}

uint32_t hf_disk_dw_content(const void *pages, uint32_t count)
{
	const uint8_t *p = pages;
	uint32_t crc = hf_crc32c(NULL, 0);

	for (uint32_t i = 0; i < count; i++)
		crc = hf_crc32c_extend(crc, p + (size_t)(i + 1) * HF_DISK_PAGE - 4, 4);
	for (uint32_t i = 0; i < count; i++)
		crc = hf_crc32c_extend(crc, p + (size_t)i * HF_DISK_PAGE, HF_DISK_PAGE - 4);
	return crc;
}

void hf_disk_dw_encode(void *page, uint32_t salt, const struct hf_disk_dw *d)
{
	struct hf_cursor c = hf_cursor_over(page, HF_DISK_PAGE - 4);

	memset(page, 0, HF_DISK_PAGE);
	hf_cursor_put32(&c, DW_MAGIC);
	hf_cursor_put32(&c, d->count);
	hf_cursor_put64(&c, d->no);
	hf_cursor_put64(&c, d->digest);
	hf_cursor_put32(&c, d->content_crc);
	hf_cursor_put32(&c, 0);
	for (uint32_t i = 0; i < d->count; i++)
		hf_cursor_put64(&c, d->off[i]);
	hf_assert(!c.bad);
	(void)page_seal(page, salt);
}

int hf_disk_dw_decode(const void *page, uint32_t salt, struct hf_disk_dw *out)
{
	struct hf_cursor c = hf_cursor_over(page, HF_DISK_PAGE - 4);

	if (!page_is_sealed(page, salt) || hf_cursor_get32(&c) != DW_MAGIC)
		return -EBADMSG;
	out->count = hf_cursor_get32(&c);
	out->no = hf_cursor_get64(&c);
	out->digest = hf_cursor_get64(&c);
	out->content_crc = hf_cursor_get32(&c);
	if (hf_cursor_get32(&c) != 0 || out->count > HF_DISK_DW_PAGES_MAX || out->no == 0)
		return -EBADMSG;
	for (uint32_t i = 0; i < out->count; i++)
		out->off[i] = hf_cursor_get64(&c);
	hf_cursor_get_zeros(&c, c.left);
	return c.bad ? -EBADMSG : 0;
}

// SPDX-License-Identifier: MIT
/*
 * fuzz_table - the chunk table and the doublewrite slots: format/disk.c decodes them, store/leg_open.c puts a
 * doublewrite in place and loads the table.
 *
 * First byte: what is done with a leg that opens. Second byte, bits: 0, 1 a doublewrite in slot 0, 1; 2 its digest is
 * left as it is; 3 so is the checkpoint's; 4 checksums of pages as they are; 5 of contents; 6, 7 the geometry.
 */
#include "codec/csum.h"
#include "fuzz/fuzz_leg.h"

#define PAGES 2u			/* of the table */
#define DW_PAGES 4u			/* at most, of a doublewrite */

enum { KEEP_DW_DIGEST = 4, KEEP_DIGEST = 8, KEEP_SEAL = 16, KEEP_CONTENT = 32 };

static struct fuzz_reactor *x;

static void seal(const struct fuzz_leg *l, uint8_t *page)
{
	hf_le32 salt = hf_put_le32(l->salt);
	uint32_t crc = hf_crc32c_extend(hf_crc32c(&salt, sizeof(salt)), page, HF_DISK_PAGE - 4);

	salt = hf_put_le32(crc ? crc : 1);
	memcpy(page + HF_DISK_PAGE - 4, &salt, sizeof(salt));
}

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, HF_DISK_PAGE - 1) == 0;
}

static void spoil(struct fuzz_in *in, const struct fuzz_leg *l, uint8_t *page, bool keep)
{
	uint8_t n = fuzz_u8(in);

	for (; n > 0 && in->left; n--) {
		uint32_t at = fuzz_u16(in) % HF_DISK_PAGE;

		page[at] = fuzz_u8(in);
	}
	if (!keep && !is_zero(page))
		seal(l, page);
}

/* Chunks as the input says; each may lie where another one does, or nowhere. */
static void table_page(struct fuzz_in *in, const struct fuzz_leg *l, uint64_t number, uint8_t *page, bool keep)
{
	struct hf_disk_chunk chunk[HF_DISK_CHUNKS_PER_PAGE] = { 0 };
	uint8_t n = fuzz_u8(in) % (HF_DISK_CHUNKS_PER_PAGE + 1);

	memset(page, 0, HF_DISK_PAGE);
	for (uint8_t i = 0; i < n; i++) {
		struct hf_disk_chunk *c = &chunk[fuzz_u8(in) % HF_DISK_CHUNKS_PER_PAGE];

		c->phys = fuzz_u8(in) % (FUZZ_LEG_CHUNKS + 3);
		c->present = fuzz_u16(in);
		c->seq = fuzz_u8(in);
		c->epoch = c->seq < 10 ? 1 : 3;
		c->frag_crc[0] = fuzz_u8(in) & 1 ? hf_crc32c_zero_block() : 0;
	}
	if (n)
		hf_disk_page_encode(page, l->salt, number, chunk);
	spoil(in, l, page, keep);
}

static uint64_t digest_with(const struct fuzz_leg *l, const uint8_t *dw, const struct hf_disk_dw *d)
{
	const uint8_t *at[PAGES];
	uint64_t sum = 0;

	for (uint64_t p = 0; p < PAGES; p++)
		at[p] = fuzz_disk(x) + l->sb.table_off + p * HF_DISK_PAGE;
	for (uint32_t i = 0; d && i < d->count; i++)
		for (uint64_t p = 0; p < PAGES; p++)
			if (d->off[i] == l->sb.table_off + p * HF_DISK_PAGE)
				at[p] = dw + (size_t)(1 + i) * HF_DISK_PAGE;
	for (uint64_t p = 0; p * HF_DISK_CHUNKS_PER_PAGE * HF_CHUNK_BLOCKS < l->sb.checkpoint.size_blocks; p++)
		sum += fuzz_leg_digest_of(l, p, at[p]);
	return sum;
}

static void judge(const struct fuzz_leg *l, const uint8_t *page)
{
	struct hf_disk_chunk chunk[HF_DISK_CHUNKS_PER_PAGE];
	uint8_t again[HF_DISK_PAGE];
	static struct hf_disk_dw d;
	uint32_t crc;

	for (uint64_t number = 0; number < PAGES; number++) {
		if (hf_disk_page_decode(page, l->salt, number, chunk, &crc) != 1)
			continue;
		hf_assert(hf_disk_page_encode(again, l->salt, number, chunk) == crc);
		hf_assert(memcmp(again, page, sizeof(again)) == 0);
	}
	if (hf_disk_dw_decode(page, l->salt, &d))
		return;
	hf_disk_dw_encode(again, l->salt, &d);
	hf_assert(memcmp(again, page, sizeof(again)) == 0);
}

static uint64_t place(struct fuzz_in *in, const struct fuzz_leg *l)
{
	uint8_t where = fuzz_u8(in);

	switch (where >> 6) {
	case 0:
		return l->sb.table_off + where % PAGES * HF_DISK_PAGE;
	case 1:
		return l->sb.data_off + where % 64 * HF_DISK_PAGE;
	case 2:
		return where % 64 * (uint64_t)HF_DISK_PAGE;
	}
	return fuzz_u64(in);
}

static void doublewrite(struct fuzz_in *in, const struct fuzz_leg *l, uint32_t slot, uint8_t bits)
{
	static uint8_t area[(1 + DW_PAGES) * HF_DISK_PAGE];
	static struct hf_disk_dw d;
	uint64_t off = l->sb.dw_off + slot * (uint64_t)(l->sb.dw_pages + 1) * HF_DISK_PAGE;

	memset(&d, 0, sizeof(d));
	d.count = fuzz_u8(in) % (DW_PAGES + 1);
	d.no = fuzz_u8(in) * 2ull + slot;
	for (uint32_t i = 0; i < d.count; i++) {
		uint8_t *page = area + (size_t)(1 + i) * HF_DISK_PAGE;

		d.off[i] = place(in, l);
		if (d.off[i] < l->sb.data_off)
			table_page(in, l, (d.off[i] - l->sb.table_off) / HF_DISK_PAGE, page, bits & KEEP_SEAL);
		else
			memset(page, fuzz_u8(in), HF_DISK_PAGE);
		judge(l, page);
	}
	d.digest = bits & KEEP_DW_DIGEST ? fuzz_u64(in) : digest_with(l, area, &d);
	d.content_crc = bits & KEEP_CONTENT ? fuzz_u32(in) : hf_disk_dw_content(area + HF_DISK_PAGE, d.count);
	hf_disk_dw_encode(area, l->salt, &d);
	spoil(in, l, area, bits & KEEP_SEAL);
	judge(l, area);
	fuzz_disk_put(x, off, area, (size_t)(1 + d.count) * HF_DISK_PAGE);
}

void fuzz_one(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	uint8_t how = fuzz_u8(&in), bits = fuzz_u8(&in), page[HF_DISK_PAGE];
	struct fuzz_leg leg;

	if (!x)
		x = fuzz_reactor_new();
	fuzz_leg_make(&leg, x, (uint8_t)(1u << (bits >> 6)));
	leg.sb.checkpoint.dw = how >> 6;
	leg.sb.checkpoint.applied = leg.sb.checkpoint.commit = 20;
	leg.sb.checkpoint.epoch = 3;
	if (how & 16)
		leg.sb.checkpoint.size_blocks = FUZZ_LEG_CHUNKS * HF_CHUNK_BLOCKS;
	for (uint64_t p = 0; p < PAGES; p++) {
		table_page(&in, &leg, p, page, bits & KEEP_SEAL);
		judge(&leg, page);
		fuzz_disk_put(x, leg.sb.table_off + p * HF_DISK_PAGE, page, sizeof(page));
	}
	if (!(bits & KEEP_DIGEST))
		leg.sb.checkpoint.digest = digest_with(&leg, NULL, NULL);
	for (uint32_t slot = 0; slot < 2; slot++)
		if (bits >> slot & 1)
			doublewrite(&in, &leg, slot, bits);
	fuzz_leg_super(&leg);
	fuzz_leg_judge(&leg, how);
}

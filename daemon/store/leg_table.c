// SPDX-License-Identifier: MIT
/*
 * leg_table - the chunk table in memory and the data chunks that are taken (docs/ARCHITECTURE.md). Pages exist once
 * they were written.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "store/leg_int.h"

static uint64_t pages_for(uint64_t size_blocks)
{
	uint64_t chunks = (size_blocks + HF_CHUNK_BLOCKS - 1) / HF_CHUNK_BLOCKS;

	return (chunks + HF_DISK_CHUNKS_PER_PAGE - 1) / HF_DISK_CHUNKS_PER_PAGE;
}

int hf_leg_table_init(struct hf_store *s)
{
	s->phys_max = s->sb.chunks_max;
	s->phys_map = calloc(1, s->phys_max / 8 + 1);
	s->page_count = pages_for(s->sb.checkpoint.size_blocks);
	s->page = calloc(s->page_count + 1, sizeof(s->page[0]));
	return s->phys_map && s->page ? 0 : -ENOMEM;
}

void hf_leg_table_fini(struct hf_store *s)
{
	for (uint64_t i = 0; s->page && i < s->page_count; i++)
		free(s->page[i]);
	free(s->page);
	free(s->phys_map);
	free(s->freed);
}

static int grow(struct hf_store *s, uint64_t pages)
{
	struct tpage **page;

	if (pages <= s->page_count)
		return 0;
	page = realloc(s->page, (pages + 1) * sizeof(s->page[0]));
	if (!page)
		return -ENOMEM;
	s->page = page;
	memset(s->page + s->page_count, 0, (pages + 1 - s->page_count) * sizeof(s->page[0]));
	s->page_count = pages;
	return 0;
}

struct hf_disk_chunk *hf_leg_chunk(const struct hf_store *s, uint64_t chunk)
{
	uint64_t p = chunk / HF_DISK_CHUNKS_PER_PAGE;

	if (p >= s->page_count || !s->page[p])
		return NULL;
	return &s->page[p]->chunk[chunk % HF_DISK_CHUNKS_PER_PAGE];
}

struct hf_disk_chunk *hf_leg_chunk_get(struct hf_store *s, uint64_t chunk)
{
	uint64_t p = chunk / HF_DISK_CHUNKS_PER_PAGE;

	if (grow(s, p + 1))
		return NULL;
	if (!s->page[p])
		s->page[p] = calloc(1, sizeof(struct tpage));
	if (!s->page[p])
		return NULL;
	return &s->page[p]->chunk[chunk % HF_DISK_CHUNKS_PER_PAGE];
}

void hf_leg_page_dirty(struct hf_store *s, uint64_t page)
{
	if (s->page[page]->dirty)
		return;
	s->page[page]->dirty = true;
	s->dirty_pages++;
}

uint64_t hf_leg_data_off(const struct hf_store *s, uint32_t phys)
{
	return s->sb.data_off + (uint64_t)(phys - 1) * HF_CHUNK_BLOCKS * s->frag;
}

int hf_leg_phys_alloc(struct hf_store *s, struct hf_disk_chunk *c)
{
	for (uint64_t n = 0; n < s->phys_max; n++) {
		uint64_t i = s->phys_next;

		s->phys_next = i + 1 < s->phys_max ? i + 1 : 0;
		if (s->phys_map[i / 8] == 0xff && i % 8 == 0 && n + 8 < s->phys_max && i + 8 < s->phys_max) {
			s->phys_next = i + 8;
			n += 7;
			continue;
		}
		if (s->phys_map[i / 8] >> (i % 8) & 1)
			continue;
		s->phys_map[i / 8] |= (uint8_t)(1 << (i % 8));
		s->chunks_used++;
		c->phys = (uint32_t)i + 1;
		return 0;
	}
	return -ENOSPC;
}

/* Its space is for others only once the checkpoint that says so is durable. */
void hf_leg_phys_free(struct hf_store *s, struct hf_disk_chunk *c)
{
	if (!c->phys)
		return;
	if (s->freed_count == s->freed_room) {
		s->freed_room = s->freed_room ? 2 * s->freed_room : 256;
		s->freed = realloc(s->freed, s->freed_room * sizeof(s->freed[0]));
		hf_assert(s->freed);
	}
	HF_SOMETIMES(SPACE_GIVEN_BACK);
	s->freed[s->freed_count++] = c->phys;
	c->phys = 0;
	c->present = 0;
	s->chunks_used--;
}

/* A committed RESIZE: room for more, or what lies beyond the new end is gone for good. */
void hf_leg_resize(struct hf_store *s, uint64_t size_blocks)
{
	uint64_t from = (size_blocks + HF_CHUNK_BLOCKS - 1) / HF_CHUNK_BLOCKS,
		 old = (s->size_blocks + HF_CHUNK_BLOCKS - 1) / HF_CHUNK_BLOCKS;
	struct hf_disk_chunk *c;

	if (size_blocks > s->sb.chunks_max * HF_CHUNK_BLOCKS) {
		hf_leg_fail(s, -ENOSPC, "the volume has grown beyond what this leg was made for");
		return;
	}
	if (grow(s, pages_for(size_blocks))) {
		hf_leg_fail(s, -ENOMEM, "there is not enough memory for the table of the volume as it has grown");
		return;
	}
	for (uint64_t i = from; i < old; i++) {
		c = hf_leg_chunk(s, i);
		if (!c)
			continue;
		hf_leg_phys_free(s, c);
		memset(c, 0, sizeof(*c));
		hf_leg_page_dirty(s, i / HF_DISK_CHUNKS_PER_PAGE);
	}
	if (size_blocks < s->size_blocks)
		hf_leg_overlay_cut(s, size_blocks);
	c = size_blocks < s->size_blocks && size_blocks % HF_CHUNK_BLOCKS
		    ? hf_leg_chunk(s, size_blocks / HF_CHUNK_BLOCKS)
		    : NULL;
	if (c && c->present) {
		c->present &= (uint16_t)((1u << (size_blocks % HF_CHUNK_BLOCKS)) - 1);
		hf_leg_page_dirty(s, size_blocks / HF_CHUNK_BLOCKS / HF_DISK_CHUNKS_PER_PAGE);
	}
	s->size_blocks = size_blocks;
}

void hf_leg_wipe(struct hf_store *s)
{
	for (uint64_t p = 0; p < s->page_count; p++) {
		if (!s->page[p])
			continue;
		for (uint32_t i = 0; i < HF_DISK_CHUNKS_PER_PAGE; i++)
			hf_leg_phys_free(s, &s->page[p]->chunk[i]);
		memset(s->page[p]->chunk, 0, sizeof(s->page[p]->chunk));
		hf_leg_page_dirty(s, p);
	}
}

uint64_t hf_leg_page_mix(uint64_t page, uint32_t crc)
{
	uint64_t x = page * 0x9e3779b97f4a7c15ull + crc;

	if (!crc)
		return 0;
	x = (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9ull;
	return x ^ (x >> 29);
}

int hf_leg_page_load(struct hf_store *s, uint64_t page, const void *bytes)
{
	struct hf_disk_chunk chunks[HF_DISK_CHUNKS_PER_PAGE];
	uint32_t crc;
	int ret = hf_disk_page_decode(bytes, s->salt, page, chunks, &crc);

	if (ret <= 0)
		return ret;
	if (!hf_leg_chunk_get(s, page * HF_DISK_CHUNKS_PER_PAGE))
		return -ENOMEM;
	memcpy(s->page[page]->chunk, chunks, sizeof(chunks));
	s->page[page]->crc = crc;
	s->digest += hf_leg_page_mix(page, crc);
	for (uint32_t i = 0; i < HF_DISK_CHUNKS_PER_PAGE; i++) {
		uint64_t p = chunks[i].phys;

		if (!p)
			continue;
		if (p > s->phys_max || (s->phys_map[(p - 1) / 8] >> ((p - 1) % 8) & 1))
			return -EBADMSG;	/* outside, or taken twice */
		s->phys_map[(p - 1) / 8] |= (uint8_t)(1 << ((p - 1) % 8));
		s->chunks_used++;
	}
	return 0;
}

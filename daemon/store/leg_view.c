// SPDX-License-Identifier: MIT
/*
 * leg_view - what readers see: the overlay of committed entries first, then the image; every fragment against its
 * checksum.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "codec/csum.h"
#include "core/guard.h"
#include "store/leg_int.h"

static uint32_t bucket_of(const struct hf_store *s, uint64_t chunk)
{
	return (uint32_t)((chunk * 0x9e3779b97f4a7c15ull) >> 40) & s->bucket_mask;
}

struct onode *hf_leg_node(const struct hf_store *s, uint64_t chunk)
{
	for (uint32_t i = s->bucket[bucket_of(s, chunk)]; i; i = s->node[i].next)
		if (s->node[i].chunk == chunk)
			return &s->node[i];
	return NULL;
}

static struct onode *node_get(struct hf_store *s, uint64_t chunk)
{
	uint32_t *head = &s->bucket[bucket_of(s, chunk)], i;
	struct onode *n = hf_leg_node(s, chunk);

	if (n)
		return n;
	i = s->node_free;
	if (!i && s->node_fresh < s->node_count)
		i = s->node_fresh++;	/* its memory was not touched yet */
	hf_assert(i);			/* appends reserve their nodes */
	s->node_free = s->node[i].next;
	s->nodes_used++;
	n = &s->node[i];
	memset(n, 0, sizeof(*n));
	n->chunk = chunk;
	n->next = *head;
	*head = i;
	return n;
}

/*
 * Nothing beyond the end of the volume: its table pages are not read at the next open. An op of before a RESIZE that
 * recovery finds again comes so, and content of a resync that was read before it.
 */
void hf_leg_overlay_add(struct hf_store *s, uint64_t ticket)
{
	const struct ent *e = hf_leg_ent(s, ticket);

	for (uint32_t b = 0; b < e->nblocks && e->lba + b < s->size_blocks; b++) {
		uint64_t lba = e->lba + b;
		struct onode *n;

		if (e->type == HF_OP_RESYNC && (e->skip >> b & 1))
			continue;
		n = node_get(s, lba / HF_CHUNK_BLOCKS);
		if (!n->ticket[lba % HF_CHUNK_BLOCKS])
			n->used++;
		n->ticket[lba % HF_CHUNK_BLOCKS] = ticket;
	}
}

/* Tickets <= upto, and of blocks from `end` on, go. */
static void overlay_drop(struct hf_store *s, uint64_t upto, uint64_t end)
{
	for (uint32_t h = 0; h <= s->bucket_mask; h++) {
		uint32_t *link = &s->bucket[h];

		while (*link) {
			struct onode *n = &s->node[*link];
			uint32_t i = *link;

			for (uint32_t b = 0; b < HF_CHUNK_BLOCKS; b++) {
				if (n->ticket[b] && (n->ticket[b] <= upto || n->chunk * HF_CHUNK_BLOCKS + b >= end)) {
					n->ticket[b] = 0;
					n->used--;
				}
			}
			if (n->used) {
				link = &n->next;
				continue;
			}
			*link = n->next;
			n->next = s->node_free;
			s->node_free = i;
			s->nodes_used--;
		}
	}
}

/* Entries <= upto are in the image. */
void hf_leg_overlay_drop(struct hf_store *s, uint64_t upto)
{
	overlay_drop(s, upto, UINT64_MAX);
}

/* The volume ends here now. */
void hf_leg_overlay_cut(struct hf_store *s, uint64_t size_blocks)
{
	overlay_drop(s, 0, size_blocks);
}

/*
 * Reads. priv[0]: store; priv[1]: bounce buffer; priv[2]: where the io's data begin in it; priv[3]: blocks of this io
 * << 32 | first.
 */

#define NOT_FROM_IMAGE 0

struct expected {
	uint32_t frag_crc[HF_WRITE_BLOCKS_MAX];
	uint32_t phys[HF_WRITE_BLOCKS_MAX];	/* 0: not from the image */
	uint32_t at;			/* block to go on with */
	uint8_t bounce[] __attribute__((aligned(8)));
};

static void read_next(struct hf_store *s, struct hf_store_read *rd);

static void read_done(struct hf_store *s, struct hf_store_read *rd, int result)
{
	free(rd->priv[1]);
	free(rd->priv[2]);
	rd->priv[1] = rd->priv[2] = NULL;
	s->reads--;
	rd->done(rd, result);
	hf_leg_maybe_closed(s);
}

/* What fails its checksum goes to nobody, and no more does what lay in the buffer before: zeros and the mark. */
static void mark_bad(const struct hf_store *s, struct hf_store_read *rd, uint32_t i)
{
	memset((uint8_t *)rd->buf + (size_t)i * s->frag, 0, s->frag);
	rd->bad |= 1ull << i;
}

/* Fill what the overlay has, and note what the image has to give. */
static void plan(struct hf_store *s, struct hf_store_read *rd)
{
	struct expected *x = rd->priv[1];

	rd->zero = rd->bad = 0;
	x->at = 0;
	for (uint32_t i = 0; i < rd->nblocks; i++) {
		uint64_t lba = rd->lba + i;
		uint32_t b = lba % HF_CHUNK_BLOCKS;
		const struct onode *n = hf_leg_node(s, lba / HF_CHUNK_BLOCKS);
		const struct hf_disk_chunk *c = hf_leg_chunk(s, lba / HF_CHUNK_BLOCKS);
		uint8_t *out = (uint8_t *)rd->buf + (size_t)i * s->frag;

		x->phys[i] = NOT_FROM_IMAGE;
		if (n && n->ticket[b]) {
			const struct ent *e = hf_leg_ent(s, n->ticket[b]);
			uint32_t in = (uint32_t)(lba - e->lba), crc;
			bool zero = e->type == HF_OP_ZERO || (e->type == HF_OP_RESYNC && (e->zero >> in & 1));

			if (!zero) {
				hf_leg_ent_crcs(s, e, in, &rd->block_crc[i], &crc);
				hf_leg_ent_payload(s, e, in, out);
				HF_SOMETIMES(READ_FROM_LOG);
				if (hf_crc32c(out, s->frag) != crc)	/* lost: marked so, or in this memory */
					mark_bad(s, rd, i);
				continue;
			}
		} else if (c && (c->present >> b & 1)) {
			rd->block_crc[i] = c->block_crc[b];
			x->frag_crc[i] = c->frag_crc[b];
			x->phys[i] = c->phys;
			continue;
		}
		memset(out, 0, s->frag);
		rd->zero |= 1ull << i;
		rd->block_crc[i] = hf_crc32c_zero_block();
	}
}

/* Is what the image was asked for still what it should hold? */
static bool has_moved(struct hf_store *s, const struct hf_store_read *rd, uint32_t i)
{
	const struct expected *x = rd->priv[1];
	uint64_t lba = rd->lba + i;
	uint32_t b = lba % HF_CHUNK_BLOCKS;
	const struct onode *n = hf_leg_node(s, lba / HF_CHUNK_BLOCKS);
	const struct hf_disk_chunk *c = hf_leg_chunk(s, lba / HF_CHUNK_BLOCKS);

	return (n && n->ticket[b]) || !c || !(c->present >> b & 1) || c->phys != x->phys[i] ||
	       c->frag_crc[b] != x->frag_crc[i];
}

static void on_image(struct hf_io *io)
{
	struct hf_store_read *rd = hf_container_of(io, struct hf_store_read, io);
	struct hf_store *s = rd->priv[0];
	struct expected *x = rd->priv[1];
	uint32_t first = (uint32_t)(uintptr_t)rd->priv[3], count = (uint32_t)(uintptr_t)rd->priv[4];
	const uint8_t *from = (const uint8_t *)rd->priv[5];

	for (uint32_t i = first; i < first + count; i++) {
		const uint8_t *p = from + (size_t)(i - first) * s->frag;

		if (io->result >= 0 && (!HF_GUARD(CHECKSUM) || hf_crc32c(p, s->frag) == x->frag_crc[i])) {
			if (p != (uint8_t *)rd->buf + (size_t)i * s->frag)
				memcpy((uint8_t *)rd->buf + (size_t)i * s->frag, p, s->frag);
			continue;
		}
		if (has_moved(s, rd, i)) {	/* a checkpoint went by: all over again */
			HF_SOMETIMES(READ_MOVED);
			plan(s, rd);
			read_next(s, rd);
			return;
		}
		HF_SOMETIMES_IF(READ_IMAGE_BAD, io->result >= 0);
		HF_SOMETIMES_IF(READ_IMAGE_UNREADABLE, io->result < 0);
		mark_bad(s, rd, i);
	}
	x->at = first + count;
	read_next(s, rd);
}

/* One io for blocks that lie next to each other in one chunk; then the next. */
static void read_next(struct hf_store *s, struct hf_store_read *rd)
{
	struct expected *x = rd->priv[1];
	uint32_t i = x->at, n = 1, b;
	uint64_t start, end, off;

	while (i < rd->nblocks && x->phys[i] == NOT_FROM_IMAGE)
		i++;
	if (i == rd->nblocks) {
		read_done(s, rd, 0);
		return;
	}
	b = (rd->lba + i) % HF_CHUNK_BLOCKS;
	while (i + n < rd->nblocks && b + n < HF_CHUNK_BLOCKS && x->phys[i + n] == x->phys[i])
		n++;
	off = hf_leg_data_off(s, x->phys[i]) + (uint64_t)b * s->frag;
	start = off / HF_SECTOR * HF_SECTOR;
	end = (off + (uint64_t)n * s->frag + HF_SECTOR - 1) / HF_SECTOR * HF_SECTOR;
	hf_io_init(&rd->io, HF_IO_READ, s->fd, on_image);
	rd->io.off = start;
	rd->io.len = end - start;
	rd->priv[3] = (void *)(uintptr_t)i;
	rd->priv[4] = (void *)(uintptr_t)n;
	if (s->frag == HF_BLOCK) {
		rd->io.buf = (uint8_t *)rd->buf + (size_t)i * HF_BLOCK;
		rd->priv[5] = rd->io.buf;
	} else {
		if (!rd->priv[2]) {
			rd->priv[2] = aligned_alloc(HF_SECTOR, HF_CHUNK_BLOCKS * HF_BLOCK);
			hf_assert(rd->priv[2]);
		}
		rd->io.buf = rd->priv[2];
		rd->priv[5] = (uint8_t *)rd->priv[2] + (off - start);
	}
	hf_io_submit(s->r, &rd->io);
}

static void on_retry(struct hf_task *t);

void hf_leg_view_init(struct hf_store *s)
{
	hf_list_init(&s->retry);
	hf_task_init(&s->retry_task, on_retry);
}

static void on_retry(struct hf_task *t)
{
	struct hf_store *s = hf_container_of(t, struct hf_store, retry_task);
	struct hf_list batch, *n;

	hf_list_init(&batch);
	hf_list_splice(&batch, &s->retry);
	while ((n = hf_list_pop(&batch))) {
		struct hf_store_read *rd = hf_container_of(n, struct hf_store_read, link);

		plan(s, rd);
		read_next(s, rd);
	}
}

void hf_store_read(struct hf_store *s, struct hf_store_read *rd)
{
	hf_assert(rd->nblocks >= 1 && rd->nblocks <= HF_WRITE_BLOCKS_MAX);
	memset(rd->priv, 0, sizeof(rd->priv));
	rd->priv[0] = s;
	rd->priv[1] = malloc(sizeof(struct expected));
	hf_assert(rd->priv[1]);
	s->reads++;
	hf_list_init(&rd->link);
	hf_list_add_tail(&s->retry, &rd->link);
	hf_task_defer(s->r, &s->retry_task);
}

uint64_t hf_store_extent(const struct hf_store *s, uint64_t lba, uint64_t max, bool *allocated)
{
	uint64_t n = 0;
	bool first = false;

	for (; n < max; n++) {
		uint64_t at = lba + n;
		uint32_t b = at % HF_CHUNK_BLOCKS;
		const struct onode *o = hf_leg_node(s, at / HF_CHUNK_BLOCKS);
		const struct hf_disk_chunk *c = hf_leg_chunk(s, at / HF_CHUNK_BLOCKS);
		bool here;

		if (!o && !c && b == 0 && max - n >= HF_CHUNK_BLOCKS && (n == 0 || !first)) {
			first = false;
			n += HF_CHUNK_BLOCKS - 1;
			continue;
		}
		if (o && o->ticket[b]) {
			const struct ent *e = hf_leg_ent(s, o->ticket[b]);

			here = !(e->type == HF_OP_ZERO || (e->type == HF_OP_RESYNC && (e->zero >> (at - e->lba) & 1)));
		} else {
			here = c && (c->present >> b & 1);
		}
		if (n == 0)
			first = here;
		else if (here != first)
			break;
	}
	*allocated = first;
	return n;
}

uint32_t hf_store_changed(const struct hf_store *s, hf_seq after, uint64_t *cursor, uint64_t *out, uint32_t max)
{
	uint64_t chunks = (s->size_blocks + HF_CHUNK_BLOCKS - 1) / HF_CHUNK_BLOCKS, c;
	uint32_t n = 0;

	for (c = *cursor; c < chunks && n < max; c++) {
		const struct hf_disk_chunk *k = hf_leg_chunk(s, c);
		const struct onode *o = s->nodes_used ? hf_leg_node(s, c) : NULL;
		bool changed = k && k->seq > after;

		for (uint32_t b = 0; o && !changed && b < HF_CHUNK_BLOCKS; b++)
			changed = o->ticket[b] && hf_leg_ent(s, o->ticket[b])->seq > after;
		HF_SOMETIMES_IF(MAP_BY_LOG, changed && !(k && k->seq > after));
		if (changed)
			out[n++] = c;
	}
	*cursor = c;
	return n;
}

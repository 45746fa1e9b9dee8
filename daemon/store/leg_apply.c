// SPDX-License-Identifier: MIT
/*
 * leg_apply - checkpoints: committed entries go from the log into the image, in rounds. A round reads the neighbours
 * that share a sector with what changes, writes their after-images and the table pages to the doublewrite slot, then
 * everything to its place, then syncs (H17). The superblock comes last, then the log is trimmed and freed space is
 * given back.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "core/guard.h"
#include "store/leg_int.h"

static void next_round(struct hf_store *s);
static void on_reset_poll(struct hf_timer *t);
static void flushes_done(struct hf_store *s, int result);

static int cmp64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void gather(struct hf_store *s)
{
	struct apply *a = &s->apply;

	a->chunk_count = 0;
	for (uint32_t h = 0; h <= s->bucket_mask; h++)
		for (uint32_t i = s->bucket[h]; i; i = s->node[i].next)
			a->chunk[a->chunk_count++] = s->node[i].chunk;
	if (a->chunk_count)
		qsort(a->chunk, a->chunk_count, sizeof(uint64_t), cmp64);
	a->chunk_next = 0;
}

static void fail_apply(struct hf_store *s, int err, const char *what)
{
	hf_leg_fail(s, err, what);
	s->apply.phase = APPLY_IDLE;
	flushes_done(s, -EIO);
	hf_leg_maybe_closed(s);
}

/*
 * A volume that has grown: recovery reads the table as far as the superblock's size says, so it says so before a page
 * beyond is written. The RESIZE is committed and stays in the log until the checkpoint is complete.
 */
static void fill_size(struct hf_store *s, struct sb_req *q)
{
	(void)q;
	s->sb.checkpoint.size_blocks = s->apply.size_blocks;
}

static void size_written(struct hf_store *s, struct sb_req *q, int result)
{
	(void)q;
	if (result)
		fail_apply(s, result, "the new size cannot be written");
	else
		next_round(s);
}

void hf_leg_apply_start(struct hf_store *s)
{
	struct apply *a = &s->apply;

	if (a->phase != APPLY_IDLE || s->failed || s->closing)
		return;
	/*
	 * What was cut while it was on its way would be the first entry behind this checkpoint, and not continue it: a
	 * crash between them would look like damage. Once it is written, its batch is trimmed with the others.
	 */
	if (s->durable_ticket < s->cut_ticket)
		return;
	a->upto = s->visible_ticket;
	a->seq = s->sb.checkpoint.applied;
	a->epoch = s->sb.checkpoint.epoch;
	a->chain = s->sb.checkpoint.chain;
	for (uint64_t t = s->first_ticket; t <= a->upto; t++) {
		const struct ent *e = hf_leg_ent(s, t);

		if (e->type && e->type != HF_OP_RESYNC && e->seq > a->seq) {
			a->seq = e->seq;
			a->epoch = e->epoch;
			a->chain = e->chain;
		}
	}
	a->size_blocks = s->size_blocks;
	hf_list_splice(&s->flushing, &s->flushes);
	gather(s);
	if (a->size_blocks > s->sb.checkpoint.size_blocks) {
		a->phase = APPLY_SIZE;
		a->sb.fill = fill_size;
		a->sb.done = size_written;
		hf_leg_super_write(s, &a->sb);
		return;
	}
	next_round(s);
}

void hf_leg_apply_maybe(struct hf_store *s)
{
	bool full = s->used > s->sb.log_bytes / 2 || s->want_room || s->nodes_reserved > s->node_count / 2 ||
		    s->next_ticket - s->first_ticket > s->ent_room / 2;
	/* Trying gives no room before the whole of the oldest batch is committed. */
	bool trims = s->batch_first < s->batch_sent &&
		     s->batch[s->batch_first % s->batch_room].last_ticket <= s->visible_ticket;
	bool need = !hf_list_is_empty(&s->flushes) || s->reset;

	if (s->apply.phase == APPLY_IDLE && !s->failed && !s->closing &&
	    ((full && trims) || (need && !s->reset)))
		hf_leg_apply_start(s);
}

/* Put one chunk's overlay into sectors of the round; false: no room in this round; negative errors. */
static int take_chunk(struct hf_store *s, uint64_t chunk)
{
	struct apply *a = &s->apply;
	struct onode *n = hf_leg_node(s, chunk);
	struct hf_disk_chunk *c;
	uint32_t page = (uint32_t)(chunk / HF_DISK_CHUNKS_PER_PAGE), per = s->per_sector;
	uint16_t data = 0;
	bool new_page = a->pages == 0 || a->page[a->pages - 1] != page;

	if (!n)
		return 0;
	if (a->sects + HF_CHUNK_BLOCKS > HF_SECTS_MAX ||
	    a->pages + new_page + a->dw_pages + HF_CHUNK_BLOCKS > s->sb.dw_pages)
		return 1;
	c = hf_leg_chunk_get(s, chunk);
	hf_assert(c);
	for (uint32_t b = 0; b < HF_CHUNK_BLOCKS; b++) {
		const struct ent *e;
		uint32_t in;

		if (!n->ticket[b])
			continue;
		e = hf_leg_ent(s, n->ticket[b]);
		in = (uint32_t)(chunk * HF_CHUNK_BLOCKS + b - e->lba);
		if (e->seq > c->seq) {
			c->seq = e->seq;
			c->epoch = e->epoch;
		}
		HF_SOMETIMES_IF(APPLY_RESYNC_ZERO, e->type == HF_OP_RESYNC && (e->zero >> in & 1));
		if (e->type == HF_OP_ZERO || (e->type == HF_OP_RESYNC && (e->zero >> in & 1)))
			c->present &= (uint16_t)~(1u << b);
		else
			data |= (uint16_t)(1u << b);
	}
	hf_leg_page_dirty(s, page);
	if (new_page)
		a->page[a->pages++] = page;
	if (!data && !c->present) {
		hf_leg_phys_free(s, c);
		return 0;
	}
	if (!data)
		return 0;
	if (!c->phys && hf_leg_phys_alloc(s, c))
		return -ENOSPC;
	for (uint32_t first = 0; first < HF_CHUNK_BLOCKS; first += per) {
		uint16_t mask = (uint16_t)(((1u << per) - 1) << first);
		struct sect *x;

		if (!(data & mask))
			continue;
		x = &s->sect[a->sects++];
		x->off = hf_leg_data_off(s, c->phys) + first * s->frag;
		x->chunk = chunk;
		x->first = first;
		x->read = (c->present & ~data & mask) != 0;
		HF_SOMETIMES_IF(APPLY_KEEPS_NEIGHBOURS, x->read);
		if (x->read)
			a->dw_pages++;
	}
	return 0;
}

/* Lay the new fragments over a sector's (read or zero) content, and set the table. */
static void build_sector(struct hf_store *s, uint32_t i)
{
	struct sect *x = &s->sect[i];
	struct onode *n = hf_leg_node(s, x->chunk);
	struct hf_disk_chunk *c = hf_leg_chunk(s, x->chunk);
	uint8_t *buf = s->arena + (size_t)i * HF_SECTOR;

	if (!x->read)
		memset(buf, 0, HF_SECTOR);
	if (!c->phys || hf_leg_data_off(s, c->phys) + x->first * s->frag != x->off)
		return;			/* a resize took the chunk away meanwhile */
	for (uint32_t b = x->first; b < x->first + s->per_sector; b++) {
		const struct ent *e;
		uint32_t in;

		if (!n || !n->ticket[b])
			continue;
		e = hf_leg_ent(s, n->ticket[b]);
		in = (uint32_t)(x->chunk * HF_CHUNK_BLOCKS + b - e->lba);
		if (e->type == HF_OP_ZERO || (e->type == HF_OP_RESYNC && (e->zero >> in & 1)))
			continue;
		hf_leg_ent_payload(s, e, in, buf + (b - x->first) * s->frag);
		hf_leg_ent_crcs(s, e, in, &c->block_crc[b], &c->frag_crc[b]);
		c->present |= (uint16_t)(1u << b);
		if (e->seq > c->seq) {
			c->seq = e->seq;
			c->epoch = e->epoch;
		}
	}
}

static void round_synced(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct hf_store, sync_io);

	if (HF_GUARD(FAILED) && io->result < 0) {
		HF_SOMETIMES(STORE_SYNC_FAILS);
		fail_apply(s, (int)io->result, "a sync failed");
		return;
	}
	s->digest = s->apply.digest;
	s->dw_synced = s->dw_no;
	next_round(s);
}

static void one_written(struct hf_store *s, int64_t result)
{
	HF_SOMETIMES_IF(STORE_IMAGE_FAILS, result < 0);
	if (result < 0)
		hf_leg_fail(s, (int)result, "the image cannot be written");
	if (--s->apply.pending)
		return;
	if (s->failed) {
		fail_apply(s, -EIO, "the image cannot be written");
		return;
	}
	s->apply.phase = APPLY_SYNC;
	hf_io_init(&s->sync_io, HF_IO_SYNC, s->fd, round_synced);
	hf_io_submit(s->r, &s->sync_io);
}

static void on_page_written(struct hf_io *io)
{
	one_written(hf_container_of(io, struct page_write, io)->s, io->result);
}

static void on_sect_written(struct hf_io *io)
{
	one_written(hf_container_of(io, struct sect, io)->s, io->result);
}

static void write_in_place(struct hf_store *s)
{
	struct apply *a = &s->apply;

	a->phase = APPLY_WRITE;
	a->pending = 1;
	for (uint32_t i = 0; i < a->sects;) {
		struct sect *x = &s->sect[i];

		x->run = 1;
		while (i + x->run < a->sects && s->sect[i + x->run].off == x->off + (uint64_t)x->run * HF_SECTOR)
			x->run++;
		hf_io_init(&x->io, HF_IO_WRITE, s->fd, on_sect_written);
		x->s = s;
		x->io.buf = s->arena + (size_t)i * HF_SECTOR;
		x->io.len = x->run * HF_SECTOR;
		x->io.off = x->off;
		a->pending++;
		hf_io_submit(s->r, &x->io);
		i += x->run;
	}
	for (uint32_t i = 0; i < a->pages; i++) {
		struct hf_io *io = &s->page_write[i].io;

		hf_io_init(io, HF_IO_WRITE, s->fd, on_page_written);
		s->page_write[i].s = s;
		io->buf = s->dw + (size_t)(1 + i) * HF_DISK_PAGE;
		io->len = HF_DISK_PAGE;
		io->off = s->sb.table_off + a->page[i] * HF_DISK_PAGE;
		a->pending++;
		hf_io_submit(s->r, io);
	}
	one_written(s, 0);
}

static void on_dw(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct hf_store, dw_io);

	if (io->result < 0) {
		HF_SOMETIMES(STORE_DW_FAILS);
		fail_apply(s, (int)io->result, "the doublewrite area cannot be written");
		return;
	}
	write_in_place(s);
}

/* A page that says nothing is written as zeros, as if it never was: it may lie beyond the end of the volume. */
static uint32_t encode_page(struct hf_store *s, uint64_t number, void *to)
{
	static const struct hf_disk_chunk none[HF_DISK_CHUNKS_PER_PAGE];
	const struct tpage *p = s->page[number];

	if (memcmp(p->chunk, none, sizeof(none)) != 0)
		return hf_disk_page_encode(to, s->salt, number, p->chunk);
	HF_SOMETIMES(APPLY_PAGE_EMPTY);
	memset(to, 0, HF_DISK_PAGE);
	return 0;
}

static void write_dw(struct hf_store *s)
{
	struct apply *a = &s->apply;
	struct hf_disk_dw d = { 0 };
	uint32_t n = 0;

	for (uint32_t i = 0; i < a->sects; i++)
		build_sector(s, i);
	a->digest = s->digest;
	for (; n < a->pages; n++) {
		struct tpage *p = s->page[a->page[n]];

		a->digest -= hf_leg_page_mix(a->page[n], p->crc);
		p->crc = encode_page(s, a->page[n], s->dw + (size_t)(1 + n) * HF_DISK_PAGE);
		a->digest += hf_leg_page_mix(a->page[n], p->crc);
		if (p->dirty)
			s->dirty_pages--;
		p->dirty = false;
		d.off[n] = s->sb.table_off + a->page[n] * HF_DISK_PAGE;
	}
	for (uint32_t i = 0; i < a->sects; i++) {
		if (!s->sect[i].read)
			continue;
		memcpy(s->dw + (size_t)(1 + n) * HF_DISK_PAGE, s->arena + (size_t)i * HF_SECTOR, HF_SECTOR);
		d.off[n++] = s->sect[i].off;
	}
	d.no = ++s->dw_no;
	d.digest = a->digest;
	d.count = n;
	d.content_crc = hf_disk_dw_content(s->dw + HF_DISK_PAGE, n);
	hf_disk_dw_encode(s->dw, s->salt, &d);
	if (!HF_GUARD(DOUBLEWRITE)) {
		write_in_place(s);
		return;
	}
	a->phase = APPLY_DW;
	hf_io_init(&s->dw_io, HF_IO_WRITE, s->fd, on_dw);
	s->dw_io.buf = s->dw;
	s->dw_io.len = (size_t)(1 + n) * HF_DISK_PAGE;
	s->dw_io.off = s->sb.dw_off + (d.no & 1) * (uint64_t)(s->sb.dw_pages + 1) * HF_DISK_PAGE;
	s->dw_io.dsync = HF_GUARD(DSYNC);
	hf_io_submit(s->r, &s->dw_io);
}

static void on_sect_read(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct sect, io)->s;

	/* Unreadable neighbours: their checksums tell readers, peers repair them. */
	HF_SOMETIMES_IF(APPLY_NEIGHBOUR_UNREADABLE, io->result < 0);
	if (io->result < 0)
		memset(io->buf, 0xee, HF_SECTOR);
	if (--s->apply.pending == 0)
		write_dw(s);
}

static void finish(struct hf_store *s);

static void next_round(struct hf_store *s)
{
	struct apply *a = &s->apply;
	int ret = 0;

	if (s->failed) {
		fail_apply(s, -EIO, "failed");
		return;
	}
	a->sects = a->pages = a->dw_pages = 0;
	while (a->chunk_next < a->chunk_count && (ret = take_chunk(s, a->chunk[a->chunk_next])) == 0)
		a->chunk_next++;
	HF_SOMETIMES_IF(APPLY_MORE_ROUNDS, ret > 0);
	if (ret < 0) {
		fail_apply(s, ret, "there is no space left on its disk");
		return;
	}
	if (a->chunk_next == a->chunk_count && s->dirty_pages) {
		for (uint64_t p = 0; p < s->page_count && a->pages + a->dw_pages < s->sb.dw_pages; p++) {
			bool in = false;

			if (!s->page[p] || !s->page[p]->dirty)
				continue;
			for (uint32_t i = 0; i < a->pages; i++)
				in |= a->page[i] == p;
			if (!in)
				a->page[a->pages++] = p;
		}
	}
	if (!a->pages) {
		finish(s);
		return;
	}
	a->phase = APPLY_READ;
	a->pending = 1;
	for (uint32_t i = 0; i < a->sects; i++) {
		struct sect *x = &s->sect[i];

		if (!x->read)
			continue;
		hf_io_init(&x->io, HF_IO_READ, s->fd, on_sect_read);
		x->s = s;
		x->io.buf = s->arena + (size_t)i * HF_SECTOR;
		x->io.len = HF_SECTOR;
		x->io.off = x->off;
		a->pending++;
		hf_io_submit(s->r, &x->io);
	}
	if (--a->pending == 0)
		write_dw(s);
}

static void fill_checkpoint(struct hf_store *s, struct sb_req *q)
{
	struct apply *a = &s->apply;
	struct hf_disk_checkpoint *k = &s->sb.checkpoint;
	uint64_t b = s->batch_first;

	(void)q;
	k->applied = a->seq;
	k->epoch = a->epoch;
	k->chain = a->chain;
	k->commit = s->commit > a->seq ? s->commit : a->seq;
	k->size_blocks = a->size_blocks;
	k->digest = s->digest;
	k->dw = s->dw_synced;
	while (b < s->batch_sent && s->batch[b % s->batch_room].last_ticket <= a->upto)
		b++;
	k->batch = b;
	if (b < s->batch_next)
		k->log_pos = s->batch[b % s->batch_room].off;
	else
		k->log_pos = s->fill_len ? s->fill_off : s->wpos;
}

static void discard_next(struct hf_store *s);

static void idle(struct hf_store *s)
{
	s->apply.phase = APPLY_IDLE;
	flushes_done(s, s->failed ? -EIO : 0);
	hf_leg_maybe_closed(s);
	if (!s->closing && !s->failed)
		hf_leg_apply_maybe(s);
}

static void on_discarded(struct hf_io *io)
{
	discard_next(hf_container_of(io, struct hf_store, discard_io));
}

static void discard_next(struct hf_store *s)
{
	uint64_t p;

	if (s->freed_old == 0 || s->failed) {
		idle(s);
		return;
	}
	HF_SOMETIMES(APPLY_DISCARDS);
	p = s->freed[--s->freed_old];
	s->freed[s->freed_old] = s->freed[--s->freed_count];
	s->phys_map[(p - 1) / 8] &= (uint8_t)~(1u << ((p - 1) % 8));
	hf_io_init(&s->discard_io, HF_IO_DISCARD, s->fd, on_discarded);
	s->discard_io.off = hf_leg_data_off(s, (uint32_t)p);
	s->discard_io.len = (size_t)HF_CHUNK_BLOCKS * s->frag;
	hf_io_submit(s->r, &s->discard_io);
}

static void checkpointed(struct hf_store *s, struct sb_req *q, int result)
{
	(void)q;
	if (result) {
		fail_apply(s, result, "the checkpoint cannot be written");
		return;
	}
	hf_leg_overlay_drop(s, s->apply.upto);
	hf_leg_log_trim(s, s->apply.upto);
	s->apply.phase = APPLY_DISCARD;
	discard_next(s);
}

static void finish(struct hf_store *s)
{
	struct apply *a = &s->apply;

	s->freed_old = s->freed_count;	/* no page is dirty: the table on disk knows of all of them */
	a->phase = APPLY_SUPER;
	a->sb.fill = fill_checkpoint;
	a->sb.done = checkpointed;
	hf_leg_super_write(s, &a->sb);
}

static void reset_next(struct hf_store *s);

static void flushes_done(struct hf_store *s, int result)
{
	struct hf_list batch, *n;

	/* One that was asked for meanwhile waits for a checkpoint of its own. */
	hf_list_init(&batch);
	hf_list_splice(&batch, &s->flushing);
	if (result)
		hf_list_splice(&batch, &s->flushes);
	while ((n = hf_list_pop(&batch))) {
		struct hf_store_flush *f = hf_container_of(n, struct hf_store_flush, link);

		f->done(f, result);
	}
	if (s->reset)
		reset_next(s);
}

static void on_flush_task(struct hf_task *t)
{
	struct hf_store *s = hf_container_of(t, struct hf_store, flush_task);

	if (s->failed && s->apply.phase == APPLY_IDLE)
		flushes_done(s, -EIO);
}

void hf_leg_apply_init(struct hf_store *s)
{
	hf_list_init(&s->flushes);
	hf_list_init(&s->flushing);
	hf_task_init(&s->flush_task, on_flush_task);
	hf_timer_init(&s->apply_timer, on_reset_poll);
}

void hf_store_checkpoint(struct hf_store *s, struct hf_store_flush *f)
{
	hf_list_init(&f->link);
	HF_SOMETIMES_IF(FLUSH_DURING_CHECKPOINT, s->apply.phase != APPLY_IDLE);
	hf_list_add_tail(&s->flushes, &f->link);
	if (s->failed)
		hf_task_defer(s->r, &s->flush_task);
	hf_leg_apply_maybe(s);
}

static void fill_reset(struct hf_store *s, struct sb_req *q)
{
	struct hf_store_reset *x = s->reset;
	struct hf_disk_checkpoint *k = &s->sb.checkpoint;

	(void)q;
	s->sb.state = x->state;
	k->applied = k->commit = x->base_seq;
	k->epoch = x->base_epoch;
	k->chain = x->base_chain;
	k->size_blocks = s->size_blocks;
	k->digest = s->digest;
	k->dw = s->dw_synced;
	k->batch = s->batch_next;
	k->log_pos = s->wpos;
}

static void reset_end(struct hf_store *s, int result)
{
	struct hf_store_reset *x = s->reset;

	s->reset = NULL;
	x->done(x, result);
	if (s->want_room && !s->closing && !s->failed) {
		s->want_room = false;
		s->events->room(s->ctx);
	}
}

static void reset_done(struct hf_store *s, struct sb_req *q, int result)
{
	struct hf_store_reset *x = s->reset;

	(void)q;
	if (result) {
		reset_end(s, result);
		return;
	}
	s->last = s->commit = s->durable_seq = x->base_seq;
	s->last_epoch = x->base_epoch;
	s->chain = x->base_chain;
	s->suspect = false;
	if (!x->wipe) {
		reset_end(s, 0);
		return;
	}
	s->reset_step = RESET_APPLY;
	hf_leg_wipe(s);
	hf_leg_resize(s, x->size_blocks);
	hf_leg_apply_start(s);
}

static void drop_all(struct hf_store *s)
{
	for (uint64_t t = s->first_ticket; t < s->next_ticket; t++)
		hf_leg_ent(s, t)->type = 0;
	hf_leg_overlay_drop(s, s->next_ticket);
	s->first_ticket = s->next_ticket;
	s->visible_ticket = s->durable_ticket = s->next_ticket - 1;
	/* The superblock is going to name the next batch: beyond all numbers that damage may have left in the ring. */
	HF_SOMETIMES_IF(RESET_BEHIND_DAMAGE, s->batch_next <= s->batch_newest);
	if (s->batch_next <= s->batch_newest)
		s->batch_next = s->batch_newest + 1;
	s->batch_first = s->batch_sent = s->batch_next;
	s->fill_len = 0;
	s->used = 0;
	s->tpos = s->wpos;
	s->nodes_reserved = 0;
}

static void reset_super(struct hf_store *s)
{
	drop_all(s);
	s->reset_step = RESET_SUPER;
	s->reset_sb.fill = fill_reset;
	s->reset_sb.done = reset_done;
	hf_leg_super_write(s, &s->reset_sb);
}

/*
 * Everything that is kept is in the log for good, then in the image, then the superblock says where the log goes on. A
 * wipe comes behind the superblock: a leg whose content is going says so before (H23).
 */
static void reset_next(struct hf_store *s)
{
	struct hf_store_reset *x = s->reset;

	HF_SOMETIMES_IF(RESET_WAITS_FOR_LOG, !hf_io_is_idle(&s->log_io));
	HF_SOMETIMES_IF(RESET_WAITS_FOR_CHECKPOINT, s->reset_step == RESET_DRAIN && s->apply.phase != APPLY_IDLE);
	if (!hf_io_is_idle(&s->log_io) || s->apply.phase != APPLY_IDLE)
		return;
	if (s->failed) {
		reset_end(s, -EIO);
		return;
	}
	switch (s->reset_step) {
	case RESET_DRAIN:
		if (!x->wipe && s->durable_ticket + 1 < s->next_ticket) {
			hf_task_defer(s->r, &s->kick);
			return;
		}
		HF_SOMETIMES_IF(RESET_WIPES, x->wipe);
		HF_SOMETIMES_IF(RESET_KEEPS, !x->wipe);
		HF_SOMETIMES_IF(RESET_KEEPS_UNCOMMITTED, !x->wipe && s->commit < s->last);
		if (x->wipe) {
			if (x->size_blocks > s->size_blocks)
				hf_leg_resize(s, x->size_blocks);
			reset_super(s);
			break;
		}
		s->reset_step = RESET_APPLY;
		if (s->commit < s->last)	/* last is what is kept */
			s->commit = s->last;
		hf_leg_visible(s);		/* and with it a RESIZE that was not committed yet */
		if (x->size_blocks)
			hf_leg_resize(s, x->size_blocks);
		hf_leg_apply_start(s);
		break;
	case RESET_APPLY:
		if (x->wipe)
			reset_end(s, 0);
		else
			reset_super(s);
		break;
	case RESET_SUPER:
		break;
	}
}

static void on_reset_poll(struct hf_timer *t)
{
	struct hf_store *s = hf_container_of(t, struct hf_store, apply_timer);

	if (s->reset && s->reset_step == RESET_DRAIN) {
		reset_next(s);
		if (s->reset && s->reset_step == RESET_DRAIN)
			hf_timer_set(s->r, t, hf_reactor_now(s->r) + HF_MS);
	}
}

void hf_store_reset(struct hf_store *s, struct hf_store_reset *x)
{
	hf_assert(!s->reset);
	s->reset_step = RESET_DRAIN;
	if (x->keep < s->last)
		hf_store_truncate(s, x->keep > s->commit ? x->keep : s->commit);
	s->reset = x;
	hf_timer_set(s->r, &s->apply_timer, hf_reactor_now(s->r) + 1000);
}

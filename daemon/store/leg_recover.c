// SPDX-License-Identifier: MIT
/*
 * leg_recover - read the log back: which batches are whole, and whether what follows was torn (never acknowledged,
 * dropped) or is corrupt (may have been acknowledged: the leg is suspect until its peers have repaired it). PROTOCOL
 * rules H3, H10, H28.
 *
 * Sectors tell: each carries the number of its batch. Some of the last batch's sectors still old: it never completed.
 * All of them new, but a checksum wrong, or a later batch behind it: corrupt.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "codec/csum.h"
#include "core/entry.h"
#include "core/guard.h"
#include "store/leg_int.h"

static uint64_t stamp_at(const struct hf_store *s, uint32_t off)
{
	hf_le64 v;

	memcpy(&v, s->ring + off + HF_DISK_SECTOR_DATA, sizeof(v));
	return hf_get_le64(v);
}

static bool is_stamped(const struct hf_store *s, uint32_t off, uint64_t no, uint32_t i)
{
	return stamp_at(s, off + i * HF_DISK_SECTOR) == hf_disk_stamp(s->salt, no, i);
}

/* Does the sector still hold what was there before batch `no`: zeros, or a sector of an older batch? */
static bool is_older(const struct hf_store *s, uint32_t off, uint64_t no)
{
	uint64_t stamp = stamp_at(s, off), batch;
	uint32_t sector;

	return stamp == 0 || (hf_disk_stamp_decode(stamp, s->salt, no, &batch, &sector) && batch < no);
}

enum found { FOUND_NONE, FOUND_TORN, FOUND_CORRUPT, FOUND_WHOLE };

/*
 * Nothing of batch `no` is there: has it never been written, or was its page overwritten by something else altogether,
 * with all that tells of the batch (H3)?
 */
static enum found look_deeper(const struct hf_store *s, uint32_t off, uint64_t no)
{
	for (uint32_t i = 0; i < HF_DISK_PAGE / HF_DISK_SECTOR; i++)
		if (!is_older(s, off + i * HF_DISK_SECTOR, no))
			return FOUND_CORRUPT;
	return FOUND_NONE;
}

/* What is there of batch `no` at ring offset `off`? */
static enum found look(const struct hf_store *s, uint32_t off, uint64_t no, struct hf_disk_batch *b)
{
	uint32_t sectors = (s->sb.log_bytes - off) / HF_DISK_SECTOR, any = 0;
	uint8_t head[HF_DISK_BATCH_HEAD];
	enum found what = FOUND_WHOLE;

	if (sectors > HF_DISK_BATCH_SECTORS_MAX)
		sectors = HF_DISK_BATCH_SECTORS_MAX;
	for (uint32_t i = 0; i < sectors; i++)
		any += is_stamped(s, off, no, i);
	if (!any)
		return look_deeper(s, off, no);
	if (!is_stamped(s, off, no, 0))
		return is_older(s, off, no) ? FOUND_TORN : FOUND_CORRUPT;
	hf_leg_stream_out(s, off, 0, head, sizeof(head));
	if (hf_disk_batch_decode(head, s->salt, b) || b->no != no || b->pages == 0 ||
	    b->pages > sectors / (HF_DISK_PAGE / HF_DISK_SECTOR) ||
	    b->stream_len > b->pages * (HF_DISK_PAGE / HF_DISK_SECTOR) * HF_DISK_SECTOR_DATA)
		return FOUND_CORRUPT;
	for (uint32_t i = 0; i < b->pages * (HF_DISK_PAGE / HF_DISK_SECTOR); i++)
		if (!is_stamped(s, off, no, i)) {
			if (!is_older(s, off + i * HF_DISK_SECTOR, no))
				return FOUND_CORRUPT;
			what = FOUND_TORN;
		}
	return what;
}

/*
 * Payloads are laid out in the arena, which nobody uses before a checkpoint: an open that is out of memory is told by
 * an answer.
 */
_Static_assert(HF_WRITE_BLOCKS_MAX * HF_BLOCK <= HF_SECTS_MAX * HF_SECTOR, "one entry's payload fits the arena");

/* Is there room on this leg for what the op touches? A volume of no size at all cannot be. */
static bool is_inside(const struct hf_store *s, const struct hf_entry *e)
{
	uint64_t max = s->sb.chunks_max * HF_CHUNK_BLOCKS;

	if (e->type == HF_OP_RESIZE)
		return e->lba > 0;
	return e->lba <= max && e->nblocks <= max - e->lba;
}

/* Entries of a whole batch; false: one of them is corrupt, or does not continue the chain. */
static bool take_entries(struct hf_store *s, uint32_t off, const struct hf_disk_batch *b)
{
	uint8_t head[HF_DISK_ENTRY_HEAD + 8 * HF_WRITE_BLOCKS_MAX], *data = s->arena;
	uint32_t at = HF_DISK_BATCH_HEAD, nodes;
	struct hf_entry e;
	bool good = true;

	for (uint32_t i = 0; i < b->count && good; i++) {
		uint32_t size, len;
		struct ent *x;

		good = at + HF_DISK_ENTRY_HEAD <= b->stream_len;
		if (!good)
			break;
		hf_leg_stream_out(s, off, at, head, HF_DISK_ENTRY_HEAD);
		size = hf_disk_entry_peek(head);
		good = size && at + size <= b->stream_len;
		if (!good)
			break;
		hf_leg_stream_out(s, off, at, head, size);
		good = hf_disk_entry_decode(head, s->salt, &e) == 0;
		if (!good)
			break;
		len = hf_entry_has_payload(&e) ? e.nblocks * s->frag : 0;
		nodes = hf_op_chunks(e.type, e.lba, e.nblocks);
		/* as hf_store_append() limits them */
		good = at + size + len <= b->stream_len && s->next_ticket - s->first_ticket < s->ent_room &&
		       s->nodes_reserved + nodes <= s->node_count - 1 && is_inside(s, &e);
		if (!good)
			break;
		if (len) {
			hf_leg_stream_out(s, off, at + size, data, len);
			for (uint32_t k = 0; k < e.nblocks; k++)
				good &= hf_frag_is_intact(data + k * s->frag, s->frag, e.frag_crc[k]);
			if (!good)
				break;
		}
		hf_leg_saw_ver(s, e.ver);
		x = hf_leg_ent(s, s->next_ticket);
		*x = (struct ent){.epoch = e.epoch,
				  .seq = e.seq,
				  .lba = e.lba,
				  .skip = e.skip,
				  .zero = e.zero,
				  .nblocks = e.nblocks,
				  .chain = e.chain,
				  .prev_chain = e.prev_chain,
				  .batch_off = off,
				  .stream = at,
				  .type = e.type};
		s->nodes_reserved += nodes;
		if (HF_GUARD(GHOST) && e.type != HF_OP_RESYNC &&
		    !hf_epoch_cache_is_alive(&s->sb.state.epochs, e.epoch, e.seq)) {
			HF_SOMETIMES(RECOVER_GHOST);
			x->type = 0;
		} else if (e.type != HF_OP_RESYNC) {
			HF_SOMETIMES_IF(RECOVER_APPLIED_ALREADY, e.seq <= s->last);
			if (e.seq > s->last) {
				if (e.seq != s->last + 1 || e.prev_chain != s->chain) {
					good = false;
					break;
				}
				s->last = e.seq;
				s->last_epoch = e.epoch;
				s->chain = e.chain;
			}
		}
		s->next_ticket++;
		at += size + len;
	}
	return good;
}


/* The next batch follows the last one, or begins the ring again. */
static enum found look_both(const struct hf_store *s, uint32_t pos, uint64_t no, uint32_t *at, struct hf_disk_batch *b)
{
	struct hf_disk_batch other;
	enum found here, there;

	*at = pos;
	here = look(s, pos, no, b);
	if (pos == 0 || here == FOUND_WHOLE)
		return here;
	there = look(s, 0, no, &other);
	if (there <= here)
		return here;
	*at = 0;
	*b = other;
	return there;
}

static void take_batch(struct hf_store *s, uint64_t no, uint32_t at, const struct hf_disk_batch *b)
{
	uint32_t skip = at < s->wpos ? s->sb.log_bytes - s->wpos : 0;

	s->batch[no % s->batch_room] = (struct batch){
		.no = no,
		.off = at,
		.pages = b->pages,
		.skip = skip,
		.last_ticket = s->next_ticket - 1,
		.last_seq = s->last,
	};
	s->used += skip + b->pages * HF_DISK_PAGE;
	s->wpos = (at + b->pages * HF_DISK_PAGE) % s->sb.log_bytes;
	s->batch_next = no + 1;
	HF_SOMETIMES_IF(RECOVER_ROUND, skip != 0);
	if (b->commit > s->commit)
		s->commit = b->commit;
}

/* The newest batch that any sector of the ring tells of. */
static uint64_t newest_in_ring(const struct hf_store *s)
{
	uint64_t newest = 0, no;
	uint32_t sector;

	for (uint32_t off = 0; off < s->sb.log_bytes; off += HF_DISK_SECTOR)
		if (hf_disk_stamp_decode(stamp_at(s, off), s->salt, s->batch_next, &no, &sector) &&
		    off >= sector * HF_DISK_SECTOR && no > newest)
			newest = no;
	return newest;
}

static void recovered(struct hf_store *s)
{
	HF_SOMETIMES_IF(RECOVER_COMMITTED_LOST, s->commit > s->last);
	HF_SOMETIMES_IF(RECOVER_UNCOMMITTED, s->commit < s->last);
	HF_SOMETIMES_IF(RECOVER_EMPTY, s->first_ticket == s->next_ticket);
	if (s->commit > s->last)
		s->commit = s->last;
	s->batch_sent = s->batch_next;
	s->durable_seq = s->last;
	s->durable_ticket = s->next_ticket - 1;
	hf_leg_log_init(s);
	hf_leg_view_init(s);
	hf_leg_apply_init(s);
	hf_leg_super_init(s);
	free(s->open_buf);
	s->open_buf = NULL;
	hf_leg_visible(s);
	s->opened(s->ctx, s, 0, NULL);
}

static void on_durable(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct hf_store, open_io);

	if (io->result < 0) {
		hf_leg_opened_fail(s, (int)io->result, "what its disk holds cannot be made durable");
		return;
	}
	recovered(s);
}

/*
 * A process that was killed leaves writes that the disk took and nobody waited for: they can be read, and a power cut
 * would still take them. Nothing of it is told before it is durable (H12, H16).
 */
static void make_durable(struct hf_store *s)
{
	hf_io_init(&s->open_io, HF_IO_SYNC, s->fd, on_durable);
	hf_io_submit(s->r, &s->open_io);
}

static void on_cleared(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct hf_store, open_io);

	if (io->result < 0) {
		hf_leg_opened_fail(s, (int)io->result, "its log cannot be written");
		return;
	}
	make_durable(s);
}

/*
 * The number of a torn batch is used again: what is left of it goes first, or a later recovery could take its sectors
 * for a part of the new one. Only space that no batch holds is cleared.
 */
static void clear_torn(struct hf_store *s, uint32_t at)
{
	uint32_t end = s->used && s->tpos > at ? s->tpos : s->sb.log_bytes;

	if (end - at > HF_BATCH_MAX)
		end = at + HF_BATCH_MAX;
	memset(s->ring + at, 0, end - at);
	hf_io_init(&s->open_io, HF_IO_WRITE, s->fd, on_cleared);
	s->open_io.buf = s->ring + at;
	s->open_io.len = end - at;
	s->open_io.off = s->sb.log_off + at;
	s->open_io.dsync = true;
	hf_io_submit(s->r, &s->open_io);
}

void hf_leg_recover(struct hf_store *s)
{
	struct hf_disk_checkpoint *k = &s->sb.checkpoint;
	struct hf_disk_batch b;
	enum found what;
	uint32_t at;

	s->first_ticket = s->next_ticket = 1;
	s->last = k->applied;
	s->last_epoch = k->epoch;
	s->chain = k->chain;
	s->commit = k->commit;
	s->batch_first = s->batch_next = k->batch;
	s->wpos = s->tpos = k->log_pos;
	while ((what = look_both(s, s->wpos, s->batch_next, &at, &b)) == FOUND_WHOLE) {
		if (!take_entries(s, at, &b)) {
			what = FOUND_CORRUPT;
			break;
		}
		take_batch(s, s->batch_next, at, &b);
	}
	s->batch_newest = newest_in_ring(s);
	HF_SOMETIMES_IF(RECOVER_TORN, what == FOUND_TORN);
	HF_SOMETIMES_IF(RECOVER_CORRUPT, what == FOUND_CORRUPT);
	HF_SOMETIMES_IF(RECOVER_GAP, what != FOUND_CORRUPT && s->batch_newest > s->batch_next);
	s->torn = what == FOUND_TORN;
	s->suspect = what == FOUND_CORRUPT || s->batch_newest > s->batch_next;
	if (s->torn && !s->suspect)
		clear_torn(s, at);
	else
		make_durable(s);
}

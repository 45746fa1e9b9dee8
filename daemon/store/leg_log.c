// SPDX-License-Identifier: MIT
/*
 * leg_log - the log ring: append into its memory copy, write batches from there, trim (docs/SAFETY.md R3, H3, H10,
 * H16).
 *
 * The ring is a sequence of 512-byte sectors, 504 bytes of stream and 8 of stamp each. A batch is whole pages,
 * contiguous in the ring; one is written at a time, durable when done, and what arrives meanwhile gathers in the
 * next.
 */
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "core/entry.h"
#include "core/guard.h"
#include "store/leg_int.h"

static uint32_t pages_of(uint32_t stream)
{
	uint32_t sectors = (stream + HF_DISK_SECTOR_DATA - 1) / HF_DISK_SECTOR_DATA;

	return (sectors * HF_DISK_SECTOR + HF_DISK_PAGE - 1) / HF_DISK_PAGE;
}

/* Stream bytes that fit into `bytes` of ring. */
static uint32_t stream_of(uint32_t bytes)
{
	return bytes / HF_DISK_SECTOR * HF_DISK_SECTOR_DATA;
}

/* Out of line: where the compiler sees how short a sector is, it copies word by word. */
static __attribute__((noinline)) void copy(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
}

static void stream_in(struct hf_store *s, uint32_t stream, const void *src, uint32_t len)
{
	const uint8_t *p = src;

	while (len) {
		uint32_t in = stream % HF_DISK_SECTOR_DATA, n = HF_DISK_SECTOR_DATA - in;

		if (n > len)
			n = len;
		copy(s->ring + s->fill_off + stream / HF_DISK_SECTOR_DATA * HF_DISK_SECTOR + in, p, n);
		p += n;
		stream += n;
		len -= n;
	}
}

void hf_leg_stream_out(const struct hf_store *s, uint32_t batch_off, uint32_t stream, void *dst, uint32_t len)
{
	uint8_t *p = dst;

	while (len) {
		uint32_t in = stream % HF_DISK_SECTOR_DATA, n = HF_DISK_SECTOR_DATA - in;

		if (n > len)
			n = len;
		copy(p, s->ring + batch_off + stream / HF_DISK_SECTOR_DATA * HF_DISK_SECTOR + in, n);
		p += n;
		stream += n;
		len -= n;
	}
}

void hf_leg_ent_crcs(const struct hf_store *s, const struct ent *e, uint32_t b, uint32_t *block_crc, uint32_t *frag_crc)
{
	hf_le32 crc[2];

	hf_leg_stream_out(s, e->batch_off, e->stream + HF_DISK_ENTRY_HEAD + 8 * b, crc, sizeof(crc));
	*block_crc = hf_get_le32(crc[0]);
	*frag_crc = hf_get_le32(crc[1]);
}

void hf_leg_ent_payload(const struct hf_store *s, const struct ent *e, uint32_t b, void *dst)
{
	hf_leg_stream_out(s, e->batch_off, e->stream + hf_disk_entry_size(e->type, e->nblocks) + b * s->frag, dst,
			  s->frag);
}

static void tell_failed(struct hf_task *t)
{
	struct hf_store *s = hf_container_of(t, struct hf_store, fail_task);

	if (s->events)
		s->events->failed(s->ctx, s->fail_err, s->fail_why);
}

void hf_leg_fail(struct hf_store *s, int err, const char *what)
{
	if (s->failed)
		return;
	s->failed = true;
	s->fail_err = err;
	s->fail_why = what;
	if (!s->closing)
		hf_task_defer(s->r, &s->fail_task);
}

/* Contiguous ring bytes from wpos, and from the beginning when wpos may wrap. */
static uint32_t room_ahead(const struct hf_store *s)
{
	if (s->used == 0)
		return s->sb.log_bytes - s->wpos;
	if (s->wpos == s->tpos)
		return 0;
	return s->wpos > s->tpos ? s->sb.log_bytes - s->wpos : s->tpos - s->wpos;
}

static uint32_t room_wrapped(const struct hf_store *s)
{
	if (s->used == 0)
		return s->wpos ? s->sb.log_bytes : 0;
	return s->wpos > s->tpos ? s->tpos : 0;
}

static uint32_t batch_max(const struct hf_store *s)
{
	return s->sb.log_bytes / 2 < HF_BATCH_MAX ? s->sb.log_bytes / 2 : HF_BATCH_MAX;
}

/* Stream bytes of an entry with its payload. */
static uint32_t entry_stream(const struct hf_store *s, uint8_t type, uint32_t nblocks)
{
	bool payload = type == HF_OP_WRITE || type == HF_OP_RESYNC;

	return hf_disk_entry_size(type, nblocks) + (payload ? nblocks * s->frag : 0);
}

/* Begin a batch where `stream` bytes fit; false: nowhere. */
static bool open_batch(struct hf_store *s, uint32_t stream)
{
	uint32_t need = pages_of(HF_DISK_BATCH_HEAD + stream) * HF_DISK_PAGE, ahead = room_ahead(s), limit;

	if (s->batch_next - s->batch_first >= s->batch_room)
		return false;
	s->fill_skip = 0;
	if (ahead < need) {
		if (room_wrapped(s) < need)
			return false;
		HF_SOMETIMES(LOG_GOES_ROUND);
		s->fill_skip = s->sb.log_bytes - s->wpos;
		ahead = room_wrapped(s);
	}
	s->fill_off = s->fill_skip ? 0 : s->wpos;
	limit = ahead < batch_max(s) ? ahead : batch_max(s);
	if (limit < need)
		limit = need;
	s->fill_limit = stream_of(limit);
	s->fill_len = HF_DISK_BATCH_HEAD;
	s->fill_count = 0;
	return true;
}

/* No more entries into the open batch: head, stamps, place in the ring taken. */
static void close_batch(struct hf_store *s)
{
	struct batch *b = &s->batch[s->batch_next % s->batch_room];
	struct hf_disk_batch d = {
		.no = s->batch_next, .stream_len = s->fill_len, .count = s->fill_count, .commit = s->commit};
	uint8_t head[HF_DISK_BATCH_HEAD];
	uint32_t tail;

	d.pages = pages_of(s->fill_len);
	tail = stream_of(d.pages * HF_DISK_PAGE) - s->fill_len;
	while (tail) {			/* nothing old reaches the disk */
		static const uint8_t zeros[HF_DISK_SECTOR_DATA];
		uint32_t n = tail < sizeof(zeros) ? tail : sizeof(zeros);

		stream_in(s, stream_of(d.pages * HF_DISK_PAGE) - tail, zeros, n);
		tail -= n;
	}
	hf_disk_batch_encode(head, s->salt, &d);
	stream_in(s, 0, head, sizeof(head));
	for (uint32_t i = 0; i < d.pages * (HF_DISK_PAGE / HF_DISK_SECTOR); i++) {
		hf_le64 stamp = hf_put_le64(hf_disk_stamp(s->salt, d.no, i));

		memcpy(s->ring + s->fill_off + i * HF_DISK_SECTOR + HF_DISK_SECTOR_DATA, &stamp, 8);
	}
	*b = (struct batch){ .no = d.no, .off = s->fill_off, .pages = d.pages, .skip = s->fill_skip,
			     .last_ticket = s->next_ticket - 1, .last_seq = s->last };
	s->used += s->fill_skip + d.pages * HF_DISK_PAGE;
	s->wpos = (s->fill_off + d.pages * HF_DISK_PAGE) % s->sb.log_bytes;
	s->batch_next++;
	s->fill_len = 0;
}

static void on_log_written(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct hf_store, log_io);
	struct batch *b = &s->batch[s->batch_sent % s->batch_room];

	if (HF_GUARD(FAILED) && io->result < 0) {
		HF_SOMETIMES(STORE_LOG_FAILS);
		hf_leg_fail(s, (int)io->result, "the log cannot be written");
		hf_leg_maybe_closed(s);
		return;
	}
	s->batch_sent++;
	s->durable_ticket = b->last_ticket;
	s->durable_seq = b->last_seq;
	hf_leg_visible(s);
	hf_task_defer(s->r, &s->kick);
	if (s->events && !s->closing && !s->failed)
		s->events->durable(s->ctx, s->durable_ticket, s->durable_seq);
	hf_leg_maybe_closed(s);
}

/* The end of a turn: what has gathered leaves, unless a write is under way. */
static void on_kick(struct hf_task *t)
{
	struct hf_store *s = hf_container_of(t, struct hf_store, kick);
	struct batch *b;

	HF_SOMETIMES_IF(LOG_GATHERS, s->fill_len && !hf_io_is_idle(&s->log_io));
	HF_SOMETIMES_IF(LOG_TWO_BATCHES_WAIT, s->batch_next - s->batch_sent > 1);
	if (s->failed || !hf_io_is_idle(&s->log_io))
		return;
	if (s->batch_sent == s->batch_next && s->fill_len)
		close_batch(s);
	if (s->batch_sent == s->batch_next)
		return;
	b = &s->batch[s->batch_sent % s->batch_room];
	hf_io_init(&s->log_io, HF_IO_WRITE, s->fd, on_log_written);
	s->log_io.buf = s->ring + b->off;
	s->log_io.len = b->pages * HF_DISK_PAGE;
	s->log_io.off = s->sb.log_off + b->off;
	s->log_io.dsync = HF_GUARD(DSYNC);
	hf_io_submit(s->r, &s->log_io);
}

void hf_leg_log_init(struct hf_store *s)
{
	hf_io_init(&s->log_io, HF_IO_WRITE, s->fd, on_log_written);
	hf_task_init(&s->kick, on_kick);
	hf_task_init(&s->fail_task, tell_failed);
}

static bool fits(const struct hf_store *s, uint32_t stream, uint32_t nodes)
{
	uint32_t need = pages_of(HF_DISK_BATCH_HEAD + stream) * HF_DISK_PAGE;
	uint32_t open = s->fill_len ? pages_of(s->fill_len) * HF_DISK_PAGE + s->fill_skip : 0;

	if (s->next_ticket - s->first_ticket + 64 >= s->ent_room || s->nodes_reserved + nodes > s->node_count - 1)
		return false;
	if (s->batch_next - s->batch_first + 2 >= s->batch_room)
		return false;
	if (room_ahead(s) >= open + need + HF_DISK_PAGE)
		return true;
	return room_wrapped(s) >= open + need + HF_DISK_PAGE;
}

bool hf_store_has_room(const struct hf_store *s, uint32_t nblocks, uint32_t chunks)
{
	struct hf_store *m = (struct hf_store *)(uintptr_t)s;

	if (s->failed || s->closing)
		return true;		/* the append will say why not */
	if (!s->reset && fits(s, nblocks * (s->frag + 8 + HF_DISK_ENTRY_HEAD), chunks))
		return true;
	HF_SOMETIMES_IF(LOG_FULL, !s->reset);
	HF_SOMETIMES_IF(LOG_IN_RESET, s->reset != NULL);
	m->want_room = true;
	hf_leg_apply_maybe(m);
	return false;
}

/* H23: blocks that an op newer than `seq` in the log owns are not touched by a RESYNC. */
static uint64_t newer_blocks(const struct hf_store *s, hf_seq seq, uint64_t lba, uint32_t nblocks)
{
	uint64_t mask = 0;

	for (uint64_t t = s->next_ticket; t-- > s->first_ticket;) {
		const struct ent *e = hf_leg_ent(s, t);

		if (e->type == 0 || e->type == HF_OP_RESYNC)
			continue;
		if (e->seq <= seq)
			break;
		for (uint32_t b = 0; b < nblocks; b++)
			if (lba + b >= e->lba && lba + b < e->lba + e->nblocks)
				mask |= 1ull << b;
	}
	HF_SOMETIMES_IF(RESYNC_SKIPS_NEWER, mask != 0);
	return mask;
}

/* Has a newer op touched these blocks that is no longer in the log? */
static bool is_too_old(const struct hf_store *s, hf_seq seq, uint64_t lba, uint32_t nblocks)
{
	if (seq >= s->sb.checkpoint.applied)
		return false;
	for (uint64_t c = lba / HF_CHUNK_BLOCKS; c <= (lba + nblocks - 1) / HF_CHUNK_BLOCKS; c++) {
		const struct hf_disk_chunk *k = hf_leg_chunk(s, c);

		if (k && k->seq > seq) {
			HF_SOMETIMES(RESYNC_TOO_OLD);
			return true;
		}
	}
	return false;
}

int hf_store_append(struct hf_store *s, const struct hf_entry *in, const void *payload, uint64_t *ticket)
{
	uint32_t stream = entry_stream(s, in->type, in->nblocks),
		 nodes = hf_op_chunks(in->type, in->lba, in->nblocks);
	uint8_t head[HF_DISK_ENTRY_HEAD + 8 * HF_WRITE_BLOCKS_MAX];
	struct hf_entry e = *in;
	struct ent *x;
	uint32_t size;

	if (s->failed || s->closing || s->suspect)
		return -EIO;
	if (s->reset) {
		s->want_room = true;
		return -EAGAIN;
	}
	if (e.type != HF_OP_RESIZE && e.lba + e.nblocks > s->sb.chunks_max * HF_CHUNK_BLOCKS)
		return -EINVAL;
	if (e.type == HF_OP_RESYNC) {
		if (HF_GUARD(NEWER) && is_too_old(s, e.seq, e.lba, e.nblocks))
			return -ESTALE;
		if (HF_GUARD(NEWER))
			e.skip |= newer_blocks(s, e.seq, e.lba, e.nblocks);
	} else {
		hf_assert(e.seq == s->last + 1 && e.prev_chain == s->chain);
	}
	if (s->next_ticket - s->first_ticket >= s->ent_room || s->nodes_reserved + nodes > s->node_count - 1) {
		s->want_room = true;
		hf_leg_apply_maybe(s);
		return -EAGAIN;
	}
	HF_SOMETIMES_IF(LOG_BATCH_FULL, s->fill_len && s->fill_len + stream > s->fill_limit);
	if (s->fill_len && s->fill_len + stream > s->fill_limit)
		close_batch(s);
	if (!s->fill_len && !open_batch(s, stream)) {
		s->want_room = true;
		hf_leg_apply_maybe(s);
		return -EAGAIN;
	}
	x = hf_leg_ent(s, s->next_ticket);
	*x = (struct ent){.epoch = e.epoch,
			  .seq = e.seq,
			  .lba = e.lba,
			  .skip = e.skip,
			  .zero = e.zero,
			  .nblocks = e.nblocks,
			  .chain = e.chain,
			  .prev_chain = e.prev_chain,
			  .batch_off = s->fill_off,
			  .stream = s->fill_len,
			  .type = e.type};
	size = hf_disk_entry_encode(head, s->salt, &e);
	stream_in(s, s->fill_len, head, size);
	if (stream > size)
		stream_in(s, s->fill_len + size, payload, stream - size);
	s->fill_len += stream;
	s->fill_count++;
	s->nodes_reserved += nodes;
	hf_leg_saw_ver(s, e.ver);
	*ticket = s->next_ticket++;
	if (e.type != HF_OP_RESYNC) {
		s->last = e.seq;
		s->last_epoch = e.epoch;
		s->chain = e.chain;
	}
	hf_task_defer(s->r, &s->kick);
	return 0;
}

/* Move entries into the overlay, in their order, as far as they are committed and durable. */
void hf_leg_visible(struct hf_store *s)
{
	while (s->visible_ticket < s->durable_ticket) {
		struct ent *e = hf_leg_ent(s, s->visible_ticket + 1);

		HF_SOMETIMES_IF(RESYNC_BEHIND_UNCOMMITTED, e->type == HF_OP_RESYNC && e->seq > s->commit);
		HF_SOMETIMES_IF(LOG_TRUNCATED_SEEN, e->type == 0);
		if (HF_GUARD(APPLY) && e->type && e->seq > s->commit)
			break;
		s->visible_ticket++;
		if (e->type == HF_OP_RESIZE)
			hf_leg_resize(s, e->lba);
		else if (e->type)
			hf_leg_overlay_add(s, s->visible_ticket);
	}
	hf_leg_apply_maybe(s);
}

uint64_t hf_store_visible(const struct hf_store *s)
{
	return s->visible_ticket;
}

void hf_store_commit(struct hf_store *s, hf_seq seq)
{
	if (seq > s->last)
		seq = s->last;
	if (seq <= s->commit)
		return;
	s->commit = seq;
	hf_leg_visible(s);
}

void hf_store_truncate(struct hf_store *s, hf_seq seq)
{
	hf_assert(seq >= s->commit && seq <= s->last);
	for (uint64_t t = s->next_ticket; t-- > s->first_ticket;) {
		struct ent *e = hf_leg_ent(s, t);

		if (e->type == 0 || e->type == HF_OP_RESYNC)
			continue;
		if (e->seq <= seq)
			break;
		s->chain = e->prev_chain;
		e->type = 0;
		s->cut_ticket = s->next_ticket - 1;
	}
	HF_SOMETIMES_IF(TRUNCATE_ON_ITS_WAY, seq < s->last && s->durable_ticket + 1 < s->next_ticket);
	HF_SOMETIMES_IF(TRUNCATE_TO_CHECKPOINT, seq < s->last && seq == s->sb.checkpoint.applied);
	if (seq < s->last)
		hf_assert(hf_store_chain(s, seq, &s->last_epoch, &s->chain) == 0);
	s->last = seq;
	if (s->durable_seq > seq)
		s->durable_seq = seq;
	/* What is on its way says nothing about the entries that will have these numbers next. */
	for (uint64_t n = s->batch_sent; n < s->batch_next; n++)
		if (s->batch[n % s->batch_room].last_seq > seq)
			s->batch[n % s->batch_room].last_seq = seq;
}

/* Entries with tickets <= upto are in the image for good: their batches' space is free. */
void hf_leg_log_trim(struct hf_store *s, uint64_t upto)
{
	while (s->batch_first < s->batch_sent) {
		struct batch *b = &s->batch[s->batch_first % s->batch_room];

		if (b->last_ticket > upto)
			break;
		for (; s->first_ticket <= b->last_ticket; s->first_ticket++) {
			struct ent *e = hf_leg_ent(s, s->first_ticket);

			s->nodes_reserved -= hf_op_chunks(e->type, e->lba, e->nblocks);
		}
		s->used -= b->skip + b->pages * HF_DISK_PAGE;
		s->tpos = (b->off + b->pages * HF_DISK_PAGE) % s->sb.log_bytes;
		s->batch_first++;
	}
	if (s->want_room && !s->closing) {
		HF_SOMETIMES(LOG_ROOM_AGAIN);
		s->want_room = false;
		s->events->room(s->ctx);
	}
}

/*
 * A ticket above that of the entry `seq`, and next to it when only ops follow: each op after it took a ticket of its
 * own, so did each RESYNC and each entry that was cut.
 */
static uint64_t above(const struct hf_store *s, hf_seq seq)
{
	uint64_t ops = seq < s->last ? s->last - seq : 0, held = s->next_ticket - s->first_ticket;

	return s->next_ticket - (ops < held ? ops : held);
}

int hf_store_entry(const struct hf_store *s, hf_seq seq, struct hf_entry *out, void *payload)
{
	uint8_t head[HF_DISK_ENTRY_HEAD + 8 * HF_WRITE_BLOCKS_MAX];

	for (uint64_t t = above(s, seq); t-- > s->first_ticket;) {
		const struct ent *e = hf_leg_ent(s, t);

		if (e->type == 0 || e->type == HF_OP_RESYNC || e->seq > seq)
			continue;
		if (e->seq < seq)
			break;
		HF_SOMETIMES_IF(FETCH_UNWRITTEN, t > s->durable_ticket);
		hf_leg_stream_out(s, e->batch_off, e->stream, head, hf_disk_entry_size(e->type, e->nblocks));
		hf_assert(hf_disk_entry_decode(head, s->salt, out) == 0);
		if (payload && hf_leg_has_payload(e))
			hf_leg_stream_out(s, e->batch_off, e->stream + hf_disk_entry_size(e->type, e->nblocks), payload,
					  e->nblocks * s->frag);
		return 0;
	}
	return -ENOENT;
}

int hf_store_chain(const struct hf_store *s, hf_seq seq, hf_epoch *epoch, uint32_t *chain)
{
	if (seq == s->sb.checkpoint.applied && seq <= s->last) {
		*epoch = s->sb.checkpoint.epoch;
		*chain = s->sb.checkpoint.chain;
		return 0;
	}
	for (uint64_t t = above(s, seq); t-- > s->first_ticket;) {
		const struct ent *e = hf_leg_ent(s, t);

		if (e->type == 0 || e->type == HF_OP_RESYNC || e->seq > seq)
			continue;
		if (e->seq < seq)
			break;
		*epoch = e->epoch;
		*chain = e->chain;
		return 0;
	}
	return -ENOENT;
}

static hf_seq first_seq(const struct hf_store *s)
{
	for (uint64_t t = s->first_ticket; t < s->next_ticket; t++) {
		const struct ent *e = hf_leg_ent(s, t);

		if (e->type && e->type != HF_OP_RESYNC)
			return e->seq;
	}
	return s->last + 1;
}

void hf_store_status(const struct hf_store *s, struct hf_store_status *out)
{
	*out = (struct hf_store_status){
		.id = s->sb.id,
		.last_epoch = s->last_epoch,
		.last_seq = s->last,
		.last_chain = s->chain,
		.first_seq = first_seq(s),
		.commit = s->commit,
		.applied = s->sb.checkpoint.applied,
		.suspect = s->suspect,
		.torn = s->torn,
		.size_blocks = s->size_blocks,
		.chunks_used = s->chunks_used,
		.chunks_total = s->sb.chunks_max,
		.log_bytes = s->sb.log_bytes,
		.log_used = s->used,
	};
}

/* open, recover, close, format */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"
#include "codec/csum.h"
#include "core/entry.h"
#include "store/leg_int.h"

static void opened_fail(struct hf_store *s, int err, const char *why)
{
	hf_store_opened *f = s->opened;
	void *ctx = s->ctx;
	char words[200];

	snprintf(words, sizeof(words), "%s", why);
	if (s->fd >= 0)
		hf_close(s->r, s->fd);
	hf_leg_table_fini(s);
	free(s->ring); free(s->ent); free(s->batch); free(s->node); free(s->bucket); free(s->sb_buf); free(s->sect); free(s->arena); free(s->dw); free(s->open_buf);
	free(s);
	f(ctx, NULL, err, words);
}

static void on_open_read(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct hf_store, open_io);

	if (io->result < 0) {
		opened_fail(s, (int)io->result, "it cannot be read");
		return;
	}
	s->open_next(s);
}

static void rd(struct hf_store *s, uint64_t off, void *buf, uint32_t len, void (*next)(struct hf_store *s))
{
	hf_io_init(&s->open_io, HF_IO_READ, s->fd, on_open_read);
	s->open_io.off = off;
	s->open_io.buf = buf;
	s->open_io.len = len;
	s->open_next = next;
	hf_io_submit(s->r, &s->open_io);
}

static void got_super(struct hf_store *s);
static void got_dw(struct hf_store *s);
static void load_table(struct hf_store *s);

static uint32_t dw_bytes(const struct hf_store *s) { return (s->sb.dw_pages + 1) * HF_DISK_PAGE; }

struct ident { struct hf_leg_identity id; bool any; };

static void got_super(struct hf_store *s)
{
	struct hf_disk_super x[2];
	const char *why[2];
	int a = hf_disk_super_decode(s->open_buf, &x[0], &why[0]), b = hf_disk_super_decode(s->open_buf + 4096, &x[1], &why[1]);
	struct ident *want = (struct ident *)s->closed_ctx;

	if (a && b) {
		free(want);
		opened_fail(s, -EUCLEAN, why[0]);
		return;
	}
	s->sb = a ? x[1] : b ? x[0] : x[0].generation > x[1].generation ? x[0] : x[1];
	if (!want->any && memcmp(&want->id, &s->sb.id, sizeof(want->id))) {
		free(want);
		opened_fail(s, -ESTALE, "another leg's disk");
		return;
	}
	free(want);
	s->salt = hf_disk_salt(&s->sb.id.leg);
	s->frag = hf_frag_size(s->sb.id.geometry, s->sb.id.frag);
	s->per_sector = HF_SECTOR / s->frag;
	s->size_blocks = s->sb.checkpoint.size_blocks;
	free(s->open_buf);
	s->open_buf = aligned_alloc(4096, 2 * (size_t)dw_bytes(s) + (1 << 20));
	s->ring = aligned_alloc(4096, s->sb.log_bytes);
	s->batch_room = s->sb.log_bytes / HF_DISK_PAGE + 8;
	s->batch = calloc(s->batch_room, sizeof(*s->batch));
	s->ent_room = s->sb.log_bytes / 512;
	s->ent = calloc(s->ent_room, sizeof(*s->ent));
	s->node_count = s->sb.log_bytes / 512 < 2048 ? 2048 : s->sb.log_bytes / 512;
	s->node = calloc(s->node_count, sizeof(*s->node));
	for (s->bucket_mask = 1; s->bucket_mask < s->node_count; s->bucket_mask *= 2)
		;
	s->bucket = calloc(s->bucket_mask, sizeof(uint32_t));
	s->bucket_mask--;
	for (uint32_t i = 1; i < s->node_count; i++)
		s->node[i].next = i + 1 < s->node_count ? i + 1 : 0;
	s->node_free = 1;
	s->sb_buf = aligned_alloc(4096, 4096);
	s->sect = calloc(HF_SECTS_MAX, sizeof(*s->sect));
	s->arena = aligned_alloc(4096, HF_SECTS_MAX * HF_SECTOR);
	s->dw = aligned_alloc(4096, dw_bytes(s));
	hf_assert(hf_leg_table_init(s) == 0);
	rd(s, s->sb.dw_off, s->open_buf, 2 * dw_bytes(s), got_dw);
}

static struct hf_disk_dw *replay_dw;
static void replay_step(struct hf_store *s);

static void on_replayed(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct hf_store, open_io);

	if (io->result < 0) {
		opened_fail(s, (int)io->result, "cannot write");
		return;
	}
	replay_step(s);
}

static void on_replay_synced(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct hf_store, open_io);

	if (io->result < 0) {
		opened_fail(s, (int)io->result, "cannot sync");
		return;
	}
	free(s->apply.chunk);
	s->apply.chunk = NULL;
	s->at = 0;
	load_table(s);
}

static void replay_step(struct hf_store *s)
{
	struct hf_disk_dw *d = (struct hf_disk_dw *)s->apply.chunk;
	uint32_t half = (uint32_t)(d->no & 1);

	if (s->open_step == (int)d->count) {
		hf_io_init(&s->open_io, HF_IO_SYNC, s->fd, on_replay_synced);
		hf_io_submit(s->r, &s->open_io);
		return;
	}
	hf_io_init(&s->open_io, HF_IO_WRITE, s->fd, on_replayed);
	s->open_io.buf = s->open_buf + (size_t)half * dw_bytes(s) + (size_t)(1 + s->open_step) * HF_DISK_PAGE;
	s->open_io.len = HF_DISK_PAGE;
	s->open_io.off = d->off[s->open_step++];
	hf_io_submit(s->r, &s->open_io);
}

static void got_dw(struct hf_store *s)
{
	struct hf_disk_dw d, *best = NULL;

	(void)replay_dw;
	for (int i = 0; i < 2; i++) {
		const uint8_t *p = s->open_buf + (size_t)i * dw_bytes(s);

		if (hf_disk_dw_decode(p, s->salt, &d) || d.count > s->sb.dw_pages ||
		    hf_crc32c(p + HF_DISK_PAGE, (size_t)d.count * HF_DISK_PAGE) != d.content_crc)
			continue;
		if (d.no <= s->sb.checkpoint.dw || (best && best->no > d.no))
			continue;
		if (!best)
			best = malloc(sizeof(*best));
		*best = d;
	}
	if (best) {
		s->sb.checkpoint.dw = best->no;
		s->sb.checkpoint.digest = best->digest;
		s->apply.chunk = (uint64_t *)best;
		s->open_step = 0;
		replay_step(s);
		return;
	}
	s->at = 0;
	load_table(s);
}

static void got_table(struct hf_store *s);
static void got_ring(struct hf_store *s);

static void load_table(struct hf_store *s)
{
	uint64_t left = s->page_count - s->at;
	uint32_t n = left > 256 ? 256 : (uint32_t)left;

	if (!n) {
		if (s->digest != s->sb.checkpoint.digest) {
			opened_fail(s, -EBADMSG, "the chunk table does not match its digest");
			return;
		}
		rd(s, s->sb.log_off, s->ring, s->sb.log_bytes, got_ring);
		return;
	}
	s->open_len = n;
	rd(s, s->sb.table_off + s->at * HF_DISK_PAGE, s->open_buf, n * HF_DISK_PAGE, got_table);
}

static void got_table(struct hf_store *s)
{
	for (uint32_t i = 0; i < s->open_len; i++)
		if (hf_leg_page_load(s, s->at + i, s->open_buf + (size_t)i * HF_DISK_PAGE)) {
			opened_fail(s, -EBADMSG, "a page of the chunk table is damaged");
			return;
		}
	s->at += s->open_len;
	load_table(s);
}

static uint32_t batch_of(const struct hf_store *s, uint32_t sector)
{
	hf_le64 x;
	uint64_t v;

	memcpy(&x, s->ring + (size_t)sector * 512 + 504, 8);
	v = hf_get_le64(x);
	return (uint32_t)(v >> 32);
}

static bool stamped(const struct hf_store *s, uint32_t off, uint64_t no, uint32_t i)
{
	hf_le64 x;

	memcpy(&x, s->ring + off + (size_t)i * 512 + 504, 8);
	return hf_get_le64(x) == hf_disk_stamp(s->salt, no, i);
}

/* Is there any sector of batch `no` at `off`? */
static bool any_at(const struct hf_store *s, uint32_t off, uint64_t no)
{
	for (uint32_t i = 0; off + i * 512 < s->sb.log_bytes && i < HF_BATCH_MAX / 512; i++)
		if (stamped(s, off, no, i))
			return true;
	return false;
}

enum { B_NONE, B_OK, B_TORN, B_CORRUPT };

static int look(struct hf_store *s, uint32_t off, uint64_t no, struct hf_disk_batch *b)
{
	uint8_t head[64];
	bool whole = true;

	if (off >= s->sb.log_bytes || !any_at(s, off, no))
		return B_NONE;
	hf_leg_stream_out(s, off, 0, head, 64);
	if (!stamped(s, off, no, 0))
		return B_TORN;
	if (hf_disk_batch_decode(head, s->salt, b) || b->no != no || (uint64_t)off + b->pages * 4096ull > s->sb.log_bytes)
		return B_CORRUPT;
	for (uint32_t i = 0; i < b->pages * 8; i++)
		whole &= stamped(s, off, no, i);
	return whole ? B_OK : B_TORN;
}

static bool take_entries(struct hf_store *s, uint32_t off, const struct hf_disk_batch *b, struct batch *out)
{
	uint8_t head[72 + 8 * 64], *data = malloc(64 * 4096);
	uint32_t at = 64;
	struct hf_entry e;
	bool good = true;

	for (uint32_t i = 0; i < b->count && good; i++) {
		uint32_t size, len;
		struct ent *x;

		good = at + 72 <= b->stream_len;
		if (!good)
			break;
		hf_leg_stream_out(s, off, at, head, 72);
		size = hf_disk_entry_peek(head);
		good = size && at + size <= b->stream_len;
		if (!good)
			break;
		hf_leg_stream_out(s, off, at, head, size);
		good = hf_disk_entry_decode(head, s->salt, &e) == 0;
		if (!good)
			break;
		len = hf_entry_has_payload(&e) ? e.nblocks * s->frag : 0;
		good = at + size + len <= b->stream_len;
		if (!good)
			break;
		if (len) {
			hf_leg_stream_out(s, off, at + size, data, len);
			for (uint32_t k = 0; k < e.nblocks; k++)
				good &= hf_crc32c(data + k * s->frag, s->frag) == e.frag_crc[k];
			if (!good)
				break;
		}
		x = hf_leg_ent(s, s->next_ticket);
		*x = (struct ent){ .epoch = e.epoch, .seq = e.seq, .lba = e.lba, .skip = e.skip, .zero = e.zero, .nblocks = e.nblocks, .chain = e.chain, .prev_chain = e.prev_chain, .batch_off = off, .stream = at, .type = e.type };
		s->nodes_reserved += e.type == HF_OP_RESIZE ? 0 : hf_leg_nodes_for(e.lba, e.nblocks);
		if (e.type != HF_OP_RESYNC && !hf_epoch_cache_is_alive(&s->sb.state.epochs, e.epoch, e.seq)) {
			x->type = 0;
		} else if (e.type != HF_OP_RESYNC) {
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
	free(data);
	(void)out;
	return good;
}

static void got_ring(struct hf_store *s)
{
	struct hf_disk_checkpoint *k = &s->sb.checkpoint;
	uint64_t no = k->batch;
	uint32_t pos = k->log_pos, newest;
	hf_store_opened *f = s->opened;
	bool later = false;

	s->first_ticket = s->next_ticket = 1;
	s->last = k->applied;
	s->last_epoch = k->epoch;
	s->chain = k->chain;
	s->commit = k->commit;
	s->batch_first = s->batch_next = s->batch_sent = no;
	s->wpos = s->tpos = pos;
	for (;;) {
		struct hf_disk_batch b;
		uint32_t at = pos;
		int what = look(s, at, no, &b);
		struct batch *x;

		if (what == B_NONE && pos != 0) {
			at = 0;
			what = look(s, at, no, &b);
		}
		if (what == B_NONE)
			break;
		if (what == B_TORN) {
			s->torn = true;
			break;
		}
		if (what == B_CORRUPT || !take_entries(s, at, &b, NULL)) {
			s->suspect = true;
			break;
		}
		x = &s->batch[no % s->batch_room];
		*x = (struct batch){ .no = no, .off = at, .pages = b.pages, .skip = at < pos ? s->sb.log_bytes - pos : 0, .last_ticket = s->next_ticket - 1, .last_seq = s->last };
		s->used += x->skip + b.pages * 4096;
		if (b.commit > s->commit)
			s->commit = b.commit;
		pos = (at + b.pages * 4096) % s->sb.log_bytes;
		no++;
	}
	s->wpos = pos;
	newest = (uint32_t)no;
	for (uint32_t i = 0; i < s->sb.log_bytes / 512; i++) {
		uint32_t n = batch_of(s, i);

		if (stamped(s, i * 512, 0, 0))
			continue;
		if ((int32_t)(n - (uint32_t)no) > 0 && (int32_t)(n - (uint32_t)no) < 1 << 20) {
			/* must be a real stamp: check against any in-batch index */
			hf_le64 v;
			memcpy(&v, s->ring + (size_t)i * 512 + 504, 8);
			for (uint32_t j = 0; j < 1024 && !later; j++)
				if (hf_get_le64(v) == hf_disk_stamp(s->salt, (no & ~0xffffffffull) | n, j))
					later = true;
			if (later && (int32_t)(n - newest) > 0)
				newest = n;
		}
	}
	if (later)
		s->suspect = true;
	/* numbers are never used twice */
	s->batch_next = s->batch_sent = no;
	if (s->torn || s->suspect) {
		uint64_t jump = (uint64_t)(newest - (uint32_t)no) + 2;
		s->open_step = (int)jump;
	} else
		s->open_step = 0;
	if (s->commit > s->last)
		s->commit = s->last;
	s->durable_seq = s->last;
	s->durable_ticket = s->next_ticket - 1;
	hf_leg_log_init(s);
	hf_list_init(&s->sb_queue);
	hf_list_init(&s->flushes);
	hf_list_init(&s->retry);
	hf_io_init(&s->sb_io, HF_IO_WRITE, s->fd, NULL);
	free(s->open_buf);
	s->open_buf = NULL;
	s->closed_ctx = NULL;
	hf_leg_visible(s);
	f(s->ctx, s, 0, NULL);
}

void hf_store_open(struct hf_reactor *r, const char *path, const struct hf_leg_identity *expect, const struct hf_store_events *events, void *ctx, hf_store_opened *opened)
{
	struct hf_store *s = calloc(1, sizeof(*s));
	struct ident *want = calloc(1, sizeof(*want));
	struct hf_file_info info;
	struct hf_errmsg err;

	s->r = r;
	s->events = events;
	s->ctx = ctx;
	s->opened = opened;
	want->any = !expect;
	if (expect)
		want->id = *expect;
	s->closed_ctx = want;
	s->fd = hf_file_open(r, path, HF_FILE_OPEN, 0, &info, &err);
	if (s->fd < 0) {
		int e = s->fd;

		free(want);
		opened_fail(s, e, err.text);
		return;
	}
	s->open_buf = aligned_alloc(4096, 8192);
	rd(s, 0, s->open_buf, 8192, got_super);
}

static void on_close_task(struct hf_task *t)
{
	struct hf_store *s = hf_container_of(t, struct hf_store, close_task);
	void (*closed)(void *ctx) = s->closed;
	void *ctx = s->closed_ctx;

	hf_close(s->r, s->fd);
	hf_task_cancel(&s->kick);
	hf_task_cancel(&s->fail_task);
	hf_leg_table_fini(s);
	free(s->apply.chunk);
	free(s->ring); free(s->ent); free(s->batch); free(s->node); free(s->bucket); free(s->sb_buf); free(s->sect); free(s->arena); free(s->dw);
	free(s);
	closed(ctx);
}

void hf_leg_maybe_closed(struct hf_store *s)
{
	if (!s->closing || s->reads || s->sb_now || s->apply.phase != APPLY_IDLE || !hf_io_is_idle(&s->log_io) || s->close_task.queued)
		return;
	hf_task_defer(s->r, &s->close_task);
}

void hf_store_close(struct hf_store *s, void (*closed)(void *ctx), void *ctx)
{
	s->closing = true;
	s->closed = closed;
	s->closed_ctx = ctx;
	hf_task_init(&s->close_task, on_close_task);
	hf_leg_maybe_closed(s);
}

struct fmt { struct hf_store_format *f; struct hf_reactor *r; struct hf_io io; int fd; uint64_t at, end; uint8_t *buf; struct hf_disk_super sb; int step; struct hf_task task; int result; };

static void fmt_end(struct fmt *x, int result)
{
	struct hf_store_format *f = x->f;

	if (x->fd >= 0)
		hf_close(x->r, x->fd);
	if (result && x->fd >= 0)
		hf_file_unlink(x->r, f->path);
	free(x->buf);
	free(x);
	f->done(f, result);
}

static void fmt_step(struct fmt *x);

static void on_fmt(struct hf_io *io)
{
	struct fmt *x = hf_container_of(io, struct fmt, io);

	if (io->result < 0) {
		hf_fail(&x->f->err, (int)io->result, "leg %s cannot be written: %s", x->f->path, hf_strerror((int)io->result));
		fmt_end(x, (int)io->result);
		return;
	}
	fmt_step(x);
}

static void fmt_step(struct fmt *x)
{
	hf_io_init(&x->io, HF_IO_WRITE, x->fd, on_fmt);
	x->io.buf = x->buf;
	if (x->at < x->end) {
		x->io.len = x->end - x->at < (1 << 20) ? x->end - x->at : 1 << 20;
		x->io.off = x->at;
		x->at += x->io.len;
	} else if (x->step == 0) {
		x->step = 1;
		hf_disk_super_encode(x->buf, &x->sb);
		x->io.len = 4096;
		x->io.off = (x->sb.generation & 1) * 4096;
		x->io.dsync = true;
	} else {
		fmt_end(x, 0);
		return;
	}
	hf_io_submit(x->r, &x->io);
}

static void fmt_fail(struct hf_task *t)
{
	struct fmt *x = hf_container_of(t, struct fmt, task);

	fmt_end(x, x->result);
}

void hf_store_format(struct hf_reactor *r, struct hf_store_format *f)
{
	struct fmt *x = calloc(1, sizeof(*x));
	struct hf_disk_super *s = &x->sb;
	struct hf_file_info info;
	uint64_t max = f->params.size_blocks_max ? f->params.size_blocks_max : f->params.size_blocks * 16 + (1ull << 28), pages;
	uint32_t frag = hf_frag_size(f->params.id.geometry, f->params.id.frag);

	x->f = f;
	x->r = r;
	s->generation = 1;
	s->id = f->params.id;
	s->log_bytes = f->params.log_bytes ? f->params.log_bytes : 16 << 20;
	s->dw_pages = 400;
	s->chunks_max = (max + 15) / 16;
	pages = (s->chunks_max + 25) / 26;
	s->log_off = HF_DISK_LOG_OFF;
	s->dw_off = s->log_off + s->log_bytes;
	s->table_off = s->dw_off + 2 * 401 * 4096;
	s->data_off = s->table_off + pages * 4096;
	s->checkpoint.size_blocks = f->params.size_blocks;
	s->checkpoint.batch = 1;
	x->fd = hf_file_open(r, f->path, HF_FILE_CREATE, s->data_off + s->chunks_max * 16 * frag, &info, &f->err);
	if (x->fd < 0) {
		x->result = x->fd;
		hf_task_init(&x->task, fmt_fail);
		hf_task_defer(r, &x->task);
		return;
	}
	x->buf = aligned_alloc(4096, 1 << 20);
	memset(x->buf, 0, 1 << 20);
	x->at = s->log_off;
	x->end = s->log_off + s->log_bytes;
	fmt_step(x);
}

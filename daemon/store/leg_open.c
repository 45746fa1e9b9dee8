// SPDX-License-Identifier: MIT
/*
 * leg_open - open a leg: the newer superblock, the doublewrite that may have been cut short, the table against its
 * digest, the log (leg_recover.c); and close it again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "store/leg_int.h"

#define NO_MEMORY "there is not enough memory for its log and table"

static void free_memory(struct hf_store *s)
{
	hf_leg_table_fini(s);
	free(s->apply.chunk);
	free(s->ring);
	free(s->ent);
	free(s->batch);
	free(s->node);
	free(s->bucket);
	free(s->sb_buf);
	free(s->sect);
	free(s->arena);
	free(s->dw);
	free(s->open_buf);
	free(s);
}

void hf_leg_opened_fail(struct hf_store *s, int err, const char *why)
{
	hf_store_opened *f = s->opened;
	void *ctx = s->ctx;
	struct hf_errmsg words;

	/* `why` may lie in what is about to be freed. */
	snprintf(words.text, sizeof(words.text), "%s", why);
	if (s->fd >= 0)
		hf_close(s->r, s->fd);
	free_memory(s);
	f(ctx, NULL, err, words.text);
}

static void on_open_read(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct hf_store, open_io);

	if (io->result < 0) {
		HF_SOMETIMES(OPEN_UNREADABLE);
		hf_leg_opened_fail(s, (int)io->result, "it cannot be read");
		return;
	}
	s->open_next(s);
}

static void read_range(struct hf_store *s, uint64_t off, void *buf, uint32_t len, void (*next)(struct hf_store *s))
{
	hf_io_init(&s->open_io, HF_IO_READ, s->fd, on_open_read);
	s->open_io.off = off;
	s->open_io.buf = buf;
	s->open_io.len = len;
	s->open_next = next;
	hf_io_submit(s->r, &s->open_io);
}

static void got_super(struct hf_store *s);
static void next_dw(struct hf_store *s);
static void load_table(struct hf_store *s);

static uint32_t dw_bytes(const struct hf_store *s)
{
	return (s->sb.dw_pages + 1) * HF_DISK_PAGE;
}

static uint64_t dw_off(const struct hf_store *s)
{
	return s->sb.dw_off + (uint64_t)s->open_step * dw_bytes(s);
}

static uint8_t *dw_slot(const struct hf_store *s)
{
	return s->open_buf + (size_t)s->open_step * dw_bytes(s);
}

static void got_super(struct hf_store *s)
{
	struct hf_disk_super x[2];
	const char *why[2];
	int a = hf_disk_super_decode(s->open_buf, &x[0], &why[0]),
	    b = hf_disk_super_decode(s->open_buf + 4096, &x[1], &why[1]);

	if (a && b) {
		HF_SOMETIMES(OPEN_NO_SUPER);
		hf_leg_opened_fail(s, -EUCLEAN, why[0]);
		return;
	}
	HF_SOMETIMES_IF(OPEN_ONE_SUPER, (a != 0) != (b != 0) && (a ? x[1].generation : x[0].generation) > 1);
	s->sb = a ? x[1] : b ? x[0] : x[0].generation > x[1].generation ? x[0] : x[1];
	if (!s->expect_any && memcmp(&s->expect, &s->sb.id, sizeof(s->expect)) != 0) {
		HF_SOMETIMES(OPEN_OTHER_LEG);
		hf_leg_opened_fail(s, -ESTALE, "the disk of another leg or volume is in its place");
		return;
	}
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
	s->sb_buf = aligned_alloc(HF_DISK_PAGE, HF_DISK_PAGE);
	s->sect = calloc(HF_SECTS_MAX, sizeof(*s->sect));
	s->arena = aligned_alloc(HF_DISK_PAGE, HF_SECTS_MAX * HF_SECTOR);
	s->dw = aligned_alloc(HF_DISK_PAGE, dw_bytes(s));
	for (s->bucket_mask = 1; s->bucket_mask < s->node_count; s->bucket_mask *= 2)
		;
	s->bucket = calloc(s->bucket_mask, sizeof(uint32_t));
	s->bucket_mask--;
	s->node_fresh = 1;
	s->apply.chunk = malloc(s->node_count * sizeof(s->apply.chunk[0]));
	if (!s->open_buf || !s->apply.chunk || !s->ring || !s->batch || !s->ent || !s->node || !s->bucket ||
	    !s->sb_buf || !s->sect || !s->arena || !s->dw || hf_leg_table_init(s)) {
		hf_leg_opened_fail(s, -ENOMEM, NO_MEMORY);
		return;
	}
	s->dw_no = s->sb.checkpoint.dw;
	s->open_step = 0;
	next_dw(s);
}

static void replay_step(struct hf_store *s);

static void on_replayed(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct hf_store, open_io);

	if (io->result < 0) {
		hf_leg_opened_fail(s, (int)io->result, "cannot write");
		return;
	}
	replay_step(s);
}

static void on_replay_synced(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct hf_store, open_io);

	if (io->result < 0) {
		hf_leg_opened_fail(s, (int)io->result, "cannot sync");
		return;
	}
	s->at = 0;
	load_table(s);
}

static void replay_step(struct hf_store *s)
{
	const struct hf_disk_dw *d = &s->replay;
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

/* Every page of it belongs into the table or the image. */
static bool dw_is_inside(const struct hf_store *s, const struct hf_disk_dw *d)
{
	uint64_t end = hf_leg_data_off(s, (uint32_t)s->phys_max + 1);

	for (uint32_t i = 0; i < d->count; i++)
		if (d->off[i] % HF_DISK_PAGE || d->off[i] < s->sb.table_off || d->off[i] > end - HF_DISK_PAGE)
			return false;
	return true;
}

/* The doublewrite in slot `open_step`, when it is newer than what was synced; its pages are read only then. */
static bool dw_head(const struct hf_store *s, struct hf_disk_dw *d)
{
	return hf_disk_dw_decode(dw_slot(s), s->salt, d) == 0 && d->count <= s->sb.dw_pages && d->no > s->dw_no &&
	       dw_is_inside(s, d);
}

static void got_dw_pages(struct hf_store *s)
{
	struct hf_disk_dw d;

	HF_SOMETIMES_IF(OPEN_DW_TORN, dw_head(s, &d) && hf_disk_dw_content(dw_slot(s) + HF_DISK_PAGE, d.count) !=
								d.content_crc);
	if (dw_head(s, &d) && hf_disk_dw_content(dw_slot(s) + HF_DISK_PAGE, d.count) == d.content_crc) {
		s->dw_no = d.no;
		s->sb.checkpoint.digest = d.digest;
		s->replay = d;
	}
	s->open_step++;
	next_dw(s);
}

static void got_dw_head(struct hf_store *s)
{
	struct hf_disk_dw d;

	if (dw_head(s, &d) && d.count) {
		read_range(s, dw_off(s) + HF_DISK_PAGE, dw_slot(s) + HF_DISK_PAGE, d.count * HF_DISK_PAGE,
			   got_dw_pages);
		return;
	}
	got_dw_pages(s);
}

static void next_dw(struct hf_store *s)
{
	if (s->open_step < 2) {
		read_range(s, dw_off(s), dw_slot(s), HF_DISK_PAGE, got_dw_head);
		return;
	}
	s->dw_synced = s->dw_no;
	HF_SOMETIMES_IF(OPEN_DW_REPLAYED, s->replay.no != 0);
	if (s->replay.no) {
		s->open_step = 0;
		replay_step(s);
		return;
	}
	s->at = 0;
	load_table(s);
}

static void got_table(struct hf_store *s);

static void load_table(struct hf_store *s)
{
	uint64_t left = s->page_count - s->at;
	uint32_t n = left > 256 ? 256 : (uint32_t)left;

	if (!n) {
		if (s->digest != s->sb.checkpoint.digest) {
			HF_SOMETIMES(OPEN_TABLE_OLD);
			hf_leg_opened_fail(s, -EBADMSG, "the chunk table does not match its digest");
			return;
		}
		read_range(s, s->sb.log_off, s->ring, s->sb.log_bytes, hf_leg_recover);
		return;
	}
	s->open_len = n;
	read_range(s, s->sb.table_off + s->at * HF_DISK_PAGE, s->open_buf, n * HF_DISK_PAGE, got_table);
}

static void got_table(struct hf_store *s)
{
	for (uint32_t i = 0; i < s->open_len; i++) {
		int err = hf_leg_page_load(s, s->at + i, s->open_buf + (size_t)i * HF_DISK_PAGE);

		if (!err)
			continue;
		HF_SOMETIMES_IF(OPEN_TABLE_DAMAGED, err == -EBADMSG);
		hf_leg_opened_fail(s, err, err == -ENOMEM ? NO_MEMORY : "a page of the chunk table is damaged");
		return;
	}
	s->at += s->open_len;
	load_table(s);
}

void hf_store_open(struct hf_reactor *r, const char *path, const struct hf_leg_identity *expect,
		   const struct hf_store_events *events, void *ctx, hf_store_opened *opened)
{
	struct hf_store *s = calloc(1, sizeof(*s));
	struct hf_file_info info;
	struct hf_errmsg err;

	if (!s) {
		opened(ctx, NULL, -ENOMEM, NO_MEMORY);
		return;
	}
	s->r = r;
	s->events = events;
	s->ctx = ctx;
	s->opened = opened;
	s->expect_any = !expect;
	if (expect)
		s->expect = *expect;
	s->fd = hf_file_open(r, path, HF_FILE_OPEN, 0, &info, &err);
	if (s->fd < 0) {
		int e = s->fd;

		hf_leg_opened_fail(s, e, err.text);
		return;
	}
	s->open_buf = aligned_alloc(4096, 8192);
	if (!s->open_buf) {
		hf_leg_opened_fail(s, -ENOMEM, NO_MEMORY);
		return;
	}
	read_range(s, 0, s->open_buf, 8192, got_super);
}

static void on_close_task(struct hf_task *t)
{
	struct hf_store *s = hf_container_of(t, struct hf_store, close_task);
	void (*closed)(void *ctx) = s->closed;
	void *ctx = s->closed_ctx;

	hf_close(s->r, s->fd);
	hf_task_cancel(&s->kick);
	hf_task_cancel(&s->sb_task);
	hf_task_cancel(&s->fail_task);
	hf_task_cancel(&s->retry_task);
	hf_task_cancel(&s->flush_task);
	hf_timer_clear(&s->apply_timer);
	free_memory(s);
	closed(ctx);
}

void hf_leg_maybe_closed(struct hf_store *s)
{
	if (!s->closing || s->reads || s->sb_now || !hf_list_is_empty(&s->sb_queue) ||
	    s->apply.phase != APPLY_IDLE || !hf_io_is_idle(&s->log_io) ||
	    s->close_task.queued)
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

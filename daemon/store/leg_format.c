// SPDX-License-Identifier: MIT
/*
 * leg_format - make a leg: a sparse file, its log written once, the superblock last. On failure the file is removed
 * again.
 */
#include <stdlib.h>
#include <string.h>

#include "store/leg_int.h"

#define WRITE_BYTES (1u << 20)
#define DW_PAGES 400u
#define GROWTH 16u			/* room for this many times the size .. */
#define GROWTH_MIN (1ull << 28)		/* .. and at least this many blocks: 1 TiB */

struct fmt {
	struct hf_store_format *f;
	struct hf_reactor *r;
	struct hf_io io;
	struct hf_task task;
	struct hf_disk_super sb;
	uint64_t at, end;		/* of the log, which is written with zeros once */
	uint8_t *buf;
	int fd, result;
	bool log_synced, super_written;
};

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
		hf_fail(&x->f->err, (int)io->result, "leg %s cannot be written: %s", x->f->path,
			hf_strerror((int)io->result));
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
		x->io.len = x->end - x->at < WRITE_BYTES ? x->end - x->at : WRITE_BYTES;
		x->io.off = x->at;
		x->at += x->io.len;
	} else if (!x->log_synced) {
		x->log_synced = true;
		x->io.kind = HF_IO_SYNC;
		x->io.buf = NULL;
	} else if (!x->super_written) {
		x->super_written = true;
		hf_disk_super_encode(x->buf, &x->sb);
		x->io.len = HF_DISK_PAGE;
		x->io.off = (x->sb.generation & 1) * HF_DISK_PAGE;
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

static void no_memory(struct hf_task *t)
{
	struct hf_store_format *f = hf_container_of(t, struct hf_store_format, task);

	f->done(f, -ENOMEM);
}

static void refuse(struct hf_reactor *r, struct hf_store_format *f)
{
	hf_fail(&f->err, -ENOMEM, "leg %s cannot be made: there is not enough memory", f->path);
	hf_task_init(&f->task, no_memory);
	hf_task_defer(r, &f->task);
}

void hf_store_format(struct hf_reactor *r, struct hf_store_format *f)
{
	struct fmt *x = calloc(1, sizeof(*x));
	struct hf_disk_super *s;
	struct hf_file_info info;
	uint64_t max = f->params.size_blocks_max, pages;
	uint32_t frag = hf_frag_size(f->params.id.geometry, f->params.id.frag);

	if (!x) {
		refuse(r, f);
		return;
	}
	if (!max)
		max = f->params.size_blocks * GROWTH > GROWTH_MIN ? f->params.size_blocks * GROWTH : GROWTH_MIN;
	if (max > HF_VOLUME_BLOCKS_MAX)
		max = HF_VOLUME_BLOCKS_MAX;
	x->f = f;
	x->r = r;
	s = &x->sb;
	s->generation = 1;
	s->id = f->params.id;
	s->log_bytes = f->params.log_bytes ? f->params.log_bytes : 16 << 20;
	s->dw_pages = DW_PAGES;
	s->chunks_max = (max + HF_CHUNK_BLOCKS - 1) / HF_CHUNK_BLOCKS;
	pages = (s->chunks_max + HF_DISK_CHUNKS_PER_PAGE - 1) / HF_DISK_CHUNKS_PER_PAGE;
	s->log_off = HF_DISK_LOG_OFF;
	s->dw_off = s->log_off + s->log_bytes;
	s->table_off = s->dw_off + 2ull * (DW_PAGES + 1) * HF_DISK_PAGE;
	s->data_off = s->table_off + pages * HF_DISK_PAGE;
	s->checkpoint.size_blocks = f->params.size_blocks;
	s->checkpoint.batch = 1;
	x->buf = aligned_alloc(HF_DISK_PAGE, WRITE_BYTES);
	if (!x->buf) {
		free(x);
		refuse(r, f);
		return;
	}
	x->fd = hf_file_open(r, f->path, HF_FILE_CREATE, s->data_off + s->chunks_max * HF_CHUNK_BLOCKS * frag, &info,
			     &f->err);
	if (x->fd < 0) {
		x->result = x->fd;
		hf_task_init(&x->task, fmt_fail);
		hf_task_defer(r, &x->task);
		return;
	}
	memset(x->buf, 0, WRITE_BYTES);
	x->at = s->log_off;
	x->end = s->log_off + s->log_bytes;
	fmt_step(x);
}

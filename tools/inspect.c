// SPDX-License-Identifier: MIT
/*
 * inspect - look at a leg's file without its daemon: identity, layout, durable state, log and table, every checksum
 * checked.
 *
 * Read-only. Owns nothing of the format (format/disk.h); finds its way through the log by itself, not by the store's
 * code. Exit codes: 0 clean, 1 damaged, 2 usage, 5 no such file.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/csum.h"
#include "format/disk.h"

struct findings {
	uint64_t batches, entries, ops, resyncs, chunks, bad_chunks, bad_blocks, table_pages, damaged_pages;
	hf_seq first, last;
	hf_epoch last_epoch;
	bool torn, corrupt;
};

struct leg {
	int fd;
	struct hf_disk_super sb;
	uint32_t salt, frag;
	uint8_t *ring;
	struct findings f;
};

static bool read_at(const struct leg *l, uint64_t off, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = pread(l->fd, p, len, (off_t)off);

		if (n <= 0)
			return false;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

static bool read_super(struct leg *l, const char *path)
{
	struct hf_disk_super x[2];
	bool ok[2];
	const char *why = "it cannot be read";
	uint8_t page[HF_DISK_PAGE];

	for (int i = 0; i < 2; i++)
		ok[i] = read_at(l, (uint64_t)i * HF_DISK_PAGE, page, sizeof(page)) &&
			hf_disk_super_decode(page, &x[i], &why) == 0;
	if (!ok[0] && !ok[1]) {
		fprintf(stderr, "holdfast-inspect: %s is not a leg: %s\n", path, why);
		return false;
	}
	l->sb = ok[0] && (!ok[1] || x[0].generation > x[1].generation) ? x[0] : x[1];
	l->salt = hf_disk_salt(&l->sb.id.leg);
	l->frag = hf_frag_size(l->sb.id.geometry, l->sb.id.frag);
	return true;
}

/* `len` bytes of the stream of the batch at ring offset `off`. */
static void stream(const struct leg *l, uint32_t off, uint32_t pos, void *out, uint32_t len)
{
	uint8_t *p = out;

	for (uint32_t i = 0; i < len; i++, pos++)
		p[i] = l->ring[off + pos / HF_DISK_SECTOR_DATA * HF_DISK_SECTOR + pos % HF_DISK_SECTOR_DATA];
}

static uint32_t stamped_sectors(const struct leg *l, uint32_t off, uint64_t no, uint32_t sectors)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < sectors && off + (i + 1) * HF_DISK_SECTOR <= l->sb.log_bytes; i++) {
		hf_le64 v;

		memcpy(&v, l->ring + off + i * HF_DISK_SECTOR + HF_DISK_SECTOR_DATA, sizeof(v));
		n += hf_get_le64(v) == hf_disk_stamp(l->salt, no, i);
	}
	return n;
}

static void show_entry(const struct hf_entry *e)
{
	static const char *const name[] = { "?", "write", "zero", "resize", "nop", "resync" };

	printf("  %-6s epoch %llu seq %llu lba %llu blocks %u chain %08x\n", name[e->type],
	       (unsigned long long)e->epoch, (unsigned long long)e->seq, (unsigned long long)e->lba, e->nblocks,
	       e->chain);
}

static bool check_payload(const struct leg *l, uint32_t off, uint32_t pos, const struct hf_entry *e)
{
	uint8_t frag[HF_BLOCK];

	for (uint32_t b = 0; hf_entry_has_payload(e) && b < e->nblocks; b++) {
		stream(l, off, pos + b * l->frag, frag, l->frag);
		if (hf_crc32c(frag, l->frag) != e->frag_crc[b])
			return false;
	}
	return true;
}

static bool walk_batch(struct leg *l, uint32_t off, const struct hf_disk_batch *b, bool show)
{
	uint8_t head[HF_DISK_ENTRY_HEAD + 8 * HF_WRITE_BLOCKS_MAX];
	uint32_t pos = HF_DISK_BATCH_HEAD;
	struct hf_entry e;

	for (uint32_t i = 0; i < b->count; i++) {
		uint32_t size;

		if (pos + HF_DISK_ENTRY_HEAD > b->stream_len)
			return false;
		stream(l, off, pos, head, HF_DISK_ENTRY_HEAD);
		size = hf_disk_entry_peek(head);
		if (!size || pos + size > b->stream_len)
			return false;
		stream(l, off, pos, head, size);
		if (hf_disk_entry_decode(head, l->salt, &e))
			return false;
		pos += size;
		if (hf_entry_has_payload(&e) && pos + e.nblocks * l->frag > b->stream_len)
			return false;
		if (!check_payload(l, off, pos, &e))
			return false;
		pos += hf_entry_has_payload(&e) ? e.nblocks * l->frag : 0;
		l->f.entries++;
		if (show)
			show_entry(&e);
		if (e.type == HF_OP_RESYNC) {
			l->f.resyncs++;
			continue;
		}
		l->f.ops++;
		if (!l->f.first)
			l->f.first = e.seq;
		l->f.last = e.seq;
		l->f.last_epoch = e.epoch;
	}
	return true;
}

/* From the checkpoint's batch on: each right behind the last one, or at the ring's beginning. */
static void walk_log(struct leg *l, bool show)
{
	uint32_t pos = l->sb.checkpoint.log_pos, at;
	uint64_t no = l->sb.checkpoint.batch;

	for (;; no++) {
		struct hf_disk_batch b;
		uint8_t head[HF_DISK_BATCH_HEAD];
		bool found = false;

		for (int where = 0; where < 2 && !found; where++) {
			at = where ? 0 : pos;
			if (!stamped_sectors(l, at, no, 1))
				continue;
			stream(l, at, 0, head, sizeof(head));
			if (hf_disk_batch_decode(head, l->salt, &b) || b.no != no) {
				l->f.corrupt = true;
				return;
			}
			found = stamped_sectors(l, at, no, b.pages * 8) == b.pages * 8;
			l->f.torn |= !found;
		}
		if (!found)
			return;
		l->f.torn = false;
		if (!walk_batch(l, at, &b, show)) {
			l->f.corrupt = true;
			return;
		}
		l->f.batches++;
		pos = (at + b.pages * HF_DISK_PAGE) % l->sb.log_bytes;
	}
}

static void check_chunk(struct leg *l, const struct hf_disk_chunk *c)
{
	uint64_t off = l->sb.data_off + (uint64_t)(c->phys - 1) * HF_CHUNK_BLOCKS * l->frag;
	uint8_t frag[HF_BLOCK];
	uint64_t bad = 0;

	for (uint32_t b = 0; b < HF_CHUNK_BLOCKS; b++) {
		if (!(c->present >> b & 1))
			continue;
		if (!read_at(l, off + b * l->frag, frag, l->frag) || hf_crc32c(frag, l->frag) != c->frag_crc[b])
			bad++;
	}
	l->f.bad_blocks += bad;
	l->f.bad_chunks += bad != 0;
}

static void walk_table(struct leg *l, bool data)
{
	uint64_t chunks = (l->sb.checkpoint.size_blocks + HF_CHUNK_BLOCKS - 1) / HF_CHUNK_BLOCKS;
	struct hf_disk_chunk chunk[HF_DISK_CHUNKS_PER_PAGE];
	uint8_t page[HF_DISK_PAGE];
	uint32_t crc;

	for (uint64_t p = 0; p * HF_DISK_CHUNKS_PER_PAGE < chunks; p++) {
		int ret = read_at(l, l->sb.table_off + p * HF_DISK_PAGE, page, sizeof(page)) ?
				  hf_disk_page_decode(page, l->salt, p, chunk, &crc) :
				  -1;

		if (ret < 0)
			l->f.damaged_pages++;
		if (ret <= 0)
			continue;
		l->f.table_pages++;
		for (uint32_t i = 0; i < HF_DISK_CHUNKS_PER_PAGE; i++) {
			if (!chunk[i].phys)
				continue;
			l->f.chunks++;
			if (data)
				check_chunk(l, &chunk[i]);
		}
	}
}

static json_t *uuid_json(const struct hf_uuid *u)
{
	char text[HF_UUID_TEXT];

	return json_string(hf_uuid_format(u, text));
}

static json_t *describe(const struct leg *l, bool clean)
{
	const struct hf_disk_super *s = &l->sb;
	const struct findings *f = &l->f;
	json_t *epochs = json_array();

	for (uint32_t i = 0; i < s->state.epochs.count; i++)
		json_array_append_new(epochs, json_pack("{s:I, s:I}", "epoch", (json_int_t)s->state.epochs.at[i].epoch,
							"start", (json_int_t)s->state.epochs.at[i].start));
	return json_pack("{s:b, s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o, s:I, "
			 "s:I, s:I, s:I, s:b, s:b, s:I, s:I, s:I}",
			 "clean", clean, "cluster", uuid_json(&s->id.cluster), "volume", uuid_json(&s->id.volume),
			 "leg", uuid_json(&s->id.leg), "kind", s->id.frag == HF_FRAG_FULL ? "full" : "fragment", "k",
			 (json_int_t)s->id.geometry.k, "m", (json_int_t)s->id.geometry.m, "fragment",
			 (json_int_t)s->id.frag, "generation", (json_int_t)s->generation, "log_bytes",
			 (json_int_t)s->log_bytes, "data_offset", (json_int_t)s->data_off, "size",
			 (json_int_t)(s->checkpoint.size_blocks * HF_BLOCK), "promised", (json_int_t)s->state.promised,
			 "activated", (json_int_t)s->state.activated, "inconsistent", s->state.inconsistent, "suspect",
			 s->state.suspect, "epochs", epochs, "applied", (json_int_t)s->checkpoint.applied, "commit",
			 (json_int_t)s->checkpoint.commit, "log_first", (json_int_t)f->first, "log_last",
			 (json_int_t)(f->last ? f->last : s->checkpoint.applied), "torn", f->torn, "corrupt",
			 f->corrupt, "chunks", (json_int_t)f->chunks, "damaged_pages", (json_int_t)f->damaged_pages,
			 "bad_blocks", (json_int_t)f->bad_blocks);
}

static int usage(void)
{
	fputs("usage: holdfast-inspect [--json] [--entries] [--verify-data] LEGFILE\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	bool as_json = false, entries = false, data = false, clean;
	const char *path = NULL, *key;
	struct leg l = { 0 };
	json_t *out, *value;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			as_json = true;
		else if (strcmp(argv[i], "--entries") == 0)
			entries = true;
		else if (strcmp(argv[i], "--verify-data") == 0)
			data = true;
		else if (argv[i][0] == '-' || path)
			return usage();
		else
			path = argv[i];
	}
	if (!path)
		return usage();
	l.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (l.fd < 0) {
		fprintf(stderr, "holdfast-inspect: %s cannot be opened: %s\n", path, strerror(errno));
		return 5;
	}
	if (!read_super(&l, path))
		return 1;
	l.ring = malloc(l.sb.log_bytes);
	if (!l.ring || !read_at(&l, l.sb.log_off, l.ring, l.sb.log_bytes)) {
		fprintf(stderr, "holdfast-inspect: the log of %s cannot be read\n", path);
		return 1;
	}
	walk_log(&l, entries && !as_json);
	walk_table(&l, data);
	clean = !l.f.corrupt && !l.f.damaged_pages && !l.f.bad_blocks;
	out = describe(&l, clean);
	if (as_json) {
		json_dumpf(out, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		json_object_foreach(out, key, value) {
			char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

			printf("%-14s %s\n", key, text);
			free(text);
		}
	}
	json_decref(out);
	return clean ? 0 : 1;
}

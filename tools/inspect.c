// SPDX-License-Identifier: MIT
/*
 * inspect - look at a leg's file without its daemon: identity, layout, durable state, log and table, every checksum
 * checked.
 *
 * Read-only. Owns nothing of the format (format/disk.h) nor of the way through the log (leglog.h). Exit codes: 0 clean,
 * 1 damaged, 2 usage, 5 no such file.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/csum.h"
#include "format/json_read.h"
#include "leglog.h"

struct findings {
	uint64_t entries, ops, resyncs, chunks, bad_chunks, bad_blocks, table_pages, damaged_pages;
	hf_seq first, last;
};

struct leg {
	struct leglog log;
	struct findings f;
	const char *path;
	bool show;
};

static bool read_at(const struct leg *l, uint64_t off, void *buf, size_t len)
{
	return pread(l->log.fd, buf, len, (off_t)off) == (ssize_t)len;
}

static void show_entry(const struct leglog *log, const struct leglog_place *at, const struct hf_entry *e)
{
	static const char *const name[] = { "?", "write", "zero", "resize", "nop", "resync" };

	printf("  %-6s epoch %llu seq %llu lba %llu blocks %u chain %08x at %llu%s\n", name[e->type],
	       (unsigned long long)e->epoch, (unsigned long long)e->seq, (unsigned long long)e->lba, e->nblocks,
	       e->chain, (unsigned long long)leglog_file_offset(log, at, at->payload), at->alive ? "" : " (cut)");
}

static void on_entry(void *ctx, const struct leglog *log, const struct leglog_place *at, const struct hf_entry *e)
{
	struct leg *l = ctx;

	l->f.entries++;
	if (l->show)
		show_entry(log, at, e);
	if (e->type == HF_OP_RESYNC) {
		l->f.resyncs++;
		return;
	}
	if (!at->alive)
		return;
	l->f.ops++;
	if (!l->f.first)
		l->f.first = e->seq;
	l->f.last = e->seq;
}

static void on_damage(void *ctx, const struct leglog *log, bool trimmed, const char *what)
{
	const struct leg *l = ctx;

	(void)log;
	(void)trimmed;
	fprintf(stderr, "holdfast-inspect: %s: %s\n", l->path, what);
}

static void check_chunk(struct leg *l, const struct hf_disk_chunk *c)
{
	uint64_t off = l->log.sb.data_off + (uint64_t)(c->phys - 1) * HF_CHUNK_BLOCKS * l->log.frag;
	uint8_t frag[HF_BLOCK];
	uint64_t bad = 0;

	for (uint32_t b = 0; b < HF_CHUNK_BLOCKS; b++) {
		if (!(c->present >> b & 1))
			continue;
		if (!read_at(l, off + b * l->log.frag, frag, l->log.frag) ||
		    !hf_frag_is_intact(frag, l->log.frag, c->frag_crc[b]))
			bad++;
	}
	l->f.bad_blocks += bad;
	l->f.bad_chunks += bad != 0;
}

static void walk_table(struct leg *l, bool data)
{
	uint64_t chunks = (l->log.sb.checkpoint.size_blocks + HF_CHUNK_BLOCKS - 1) / HF_CHUNK_BLOCKS;
	struct hf_disk_chunk chunk[HF_DISK_CHUNKS_PER_PAGE];
	uint8_t page[HF_DISK_PAGE];
	uint32_t crc;

	for (uint64_t p = 0; p * HF_DISK_CHUNKS_PER_PAGE < chunks; p++) {
		int ret = read_at(l, l->log.sb.table_off + p * HF_DISK_PAGE, page, sizeof(page)) ?
				  hf_disk_page_decode(page, l->log.salt, p, chunk, &crc) :
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
	const struct hf_disk_super *s = &l->log.sb;
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
			 (json_int_t)s->checkpoint.size_blocks * HF_BLOCK, "promised", (json_int_t)s->state.promised,
			 "activated", (json_int_t)s->state.activated, "inconsistent", s->state.inconsistent, "suspect",
			 s->state.suspect, "epochs", epochs, "applied", (json_int_t)s->checkpoint.applied, "commit",
			 (json_int_t)s->checkpoint.commit, "log_first", (json_int_t)f->first, "log_last",
			 (json_int_t)(f->last ? f->last : s->checkpoint.applied), "torn", l->log.torn, "corrupt",
			 l->log.damages > 0, "chunks", (json_int_t)f->chunks, "damaged_pages",
			 (json_int_t)f->damaged_pages, "bad_blocks", (json_int_t)f->bad_blocks);
}

static int usage(void)
{
	fputs("usage: holdfast-inspect [--json] [--entries] [--verify-data] LEGFILE\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	bool as_json = false, data = false, clean;
	struct leg l = { 0 };
	const struct leglog_visitor visitor = { .entry = on_entry, .damage = on_damage, .ctx = &l };
	const char *key, *why;
	json_t *out, *value;
	int ret;

	hf_json_init();
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			as_json = true;
		else if (strcmp(argv[i], "--entries") == 0)
			l.show = true;
		else if (strcmp(argv[i], "--verify-data") == 0)
			data = true;
		else if (argv[i][0] == '-' || l.path)
			return usage();
		else
			l.path = argv[i];
	}
	if (!l.path)
		return usage();
	l.show &= !as_json;
	ret = leglog_open(&l.log, l.path, &why);
	if (ret) {
		bool unopened = l.log.fd < 0;

		fprintf(stderr, "holdfast-inspect: %s %s: %s\n", l.path,
			unopened ? "cannot be opened" : ret == -EUCLEAN ? "is not a leg" : "cannot be inspected", why);
		leglog_close(&l.log);
		return unopened ? 5 : 1;
	}
	leglog_walk(&l.log, false, &visitor);
	walk_table(&l, data);
	clean = !l.log.damages && !l.f.damaged_pages && !l.f.bad_blocks;
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
	leglog_close(&l.log);
	return clean ? 0 : 1;
}

// SPDX-License-Identifier: MIT
/* leglog - read a leg's log ring from its file; see leglog.h. PROTOCOL rules H3, H10, H25. */
#include "leglog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "codec/csum.h"
#include "core/entry.h"

#define PAGE_SECTORS (HF_DISK_PAGE / HF_DISK_SECTOR)
#define SNAPSHOTS_MAX 5 /* a tail that moves this often is told as it is */

static bool read_at(int fd, uint64_t off, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

static int read_super(int fd, struct hf_disk_super *out, const char **why)
{
	struct hf_disk_super x;
	uint8_t page[HF_DISK_PAGE];
	bool found = false;

	*why = "it is too short";
	for (int i = 0; i < 2; i++) {
		if (!read_at(fd, (uint64_t)i * HF_DISK_PAGE, page, sizeof(page)))
			continue;
		if (hf_disk_super_decode(page, &x, why) || (found && x.generation < out->generation))
			continue;
		*out = x;
		found = true;
	}
	return found ? 0 : -EUCLEAN;
}

static uint64_t stamp_at(const struct leglog *l, uint32_t off)
{
	hf_le64 v;

	memcpy(&v, l->ring + off + HF_DISK_SECTOR_DATA, sizeof(v));
	return hf_get_le64(v);
}

/* `len` bytes of the stream of the batch at ring offset `off`; the caller keeps within the ring. */
static void stream(const struct leglog *l, uint32_t off, uint32_t pos, void *out, uint32_t len)
{
	uint8_t *p = out;

	while (len) {
		uint32_t in = pos % HF_DISK_SECTOR_DATA, n = HF_DISK_SECTOR_DATA - in;

		if (n > len)
			n = len;
		memcpy(p, l->ring + off + pos / HF_DISK_SECTOR_DATA * HF_DISK_SECTOR + in, n);
		p += n;
		pos += n;
		len -= n;
	}
}

void leglog_fragment(const struct leglog *l, const struct leglog_place *at, uint32_t block, void *out)
{
	stream(l, at->off, at->payload + block * l->frag, out, l->frag);
}

uint64_t leglog_file_offset(const struct leglog *l, const struct leglog_place *at, uint32_t pos)
{
	return l->sb.log_off + at->off + pos / HF_DISK_SECTOR_DATA * HF_DISK_SECTOR + pos % HF_DISK_SECTOR_DATA;
}

void leglog_entry(const struct leglog *l, const struct leglog_place *at, struct hf_entry *out)
{
	uint8_t head[HF_DISK_ENTRY_HEAD + 8 * HF_WRITE_BLOCKS_MAX];

	stream(l, at->off, at->head, head, at->payload - at->head);
	hf_assert(hf_disk_entry_decode(head, l->salt, out) == 0);
}

/* Sectors in a row from `off` that belong to batch `no`. */
static uint32_t stamped(const struct leglog *l, uint32_t off, uint64_t no)
{
	uint32_t n = 0;

	while (n < HF_DISK_BATCH_SECTORS_MAX && off + n * HF_DISK_SECTOR < l->sb.log_bytes &&
	       stamp_at(l, off + n * HF_DISK_SECTOR) == hf_disk_stamp(l->salt, no, n))
		n++;
	return n;
}

enum found { FOUND_NONE, FOUND_TORN, FOUND_CORRUPT, FOUND_WHOLE };

/* What is there of batch `no` at ring offset `off`? */
static enum found look(const struct leglog *l, uint32_t off, uint64_t no, struct hf_disk_batch *b)
{
	uint32_t sectors = stamped(l, off, no), room = (l->sb.log_bytes - off) / HF_DISK_SECTOR;
	uint8_t head[HF_DISK_BATCH_HEAD];

	if (!sectors)
		return FOUND_NONE;
	stream(l, off, 0, head, sizeof(head));
	if (hf_disk_batch_decode(head, l->salt, b) || b->no != no || b->pages == 0 || b->pages > room / PAGE_SECTORS ||
	    b->pages > HF_DISK_BATCH_SECTORS_MAX / PAGE_SECTORS || b->stream_len < HF_DISK_BATCH_HEAD ||
	    b->stream_len > b->pages * PAGE_SECTORS * HF_DISK_SECTOR_DATA)
		return FOUND_CORRUPT;
	return sectors < b->pages * PAGE_SECTORS ? FOUND_TORN : FOUND_WHOLE;
}

static int by_number(const void *a, const void *b)
{
	const struct leglog_slot *x = a, *y = b;

	return (x->no > y->no) - (x->no < y->no);
}

/* Where batches begin, and the newest that any sector tells of. */
static void index_ring(struct leglog *l)
{
	uint64_t no;
	uint32_t sector;

	l->slot_count = 0;
	l->newest = 0;
	for (uint32_t off = 0; off < l->sb.log_bytes; off += HF_DISK_SECTOR) {
		if (!hf_disk_stamp_decode(stamp_at(l, off), l->salt, l->sb.checkpoint.batch, &no, &sector) ||
		    off < sector * HF_DISK_SECTOR)
			continue;
		if (no > l->newest)
			l->newest = no;
		if (sector == 0 && off % HF_DISK_PAGE == 0)
			l->slots[l->slot_count++] = (struct leglog_slot){.no = no, .off = off};
	}
	qsort(l->slots, l->slot_count, sizeof(l->slots[0]), by_number);
}

static const struct leglog_slot *slot_from(const struct leglog *l, uint64_t no)
{
	for (size_t i = 0; i < l->slot_count; i++)
		if (l->slots[i].no >= no)
			return &l->slots[i];
	return NULL;
}

/* The next batch follows the last one, or begins the ring again. */
static enum found look_both(const struct leglog *l, uint32_t pos, uint64_t no, uint32_t *at, struct hf_disk_batch *b)
{
	struct hf_disk_batch other;
	enum found here, there;

	*at = pos;
	here = look(l, pos, no, b);
	if (pos == 0 || here == FOUND_WHOLE)
		return here;
	there = look(l, 0, no, &other);
	if (there <= here)
		return here;
	*at = 0;
	*b = other;
	return there;
}

/* How far the batches go without a gap; true: that is where the log ends, nothing newer lies behind. */
static bool find_end(struct leglog *l)
{
	uint32_t pos = l->sb.checkpoint.log_pos, at;
	struct hf_disk_batch b;
	enum found what;

	l->end = l->sb.checkpoint.batch;
	while ((what = look_both(l, pos, l->end, &at, &b)) == FOUND_WHOLE) {
		pos = (at + b.pages * HF_DISK_PAGE) % l->sb.log_bytes;
		l->end++;
	}
	l->torn = what <= FOUND_TORN && l->newest == l->end;
	return what == FOUND_NONE && l->newest < l->end;
}

/*
 * The ring between two looks at the superblock that agree: until the later one nothing behind the checkpoint was used
 * again. The tail may be caught half written; a second look tells that from damage, which stays as it is.
 */
static int snapshot(struct leglog *l, const char **why)
{
	struct hf_disk_super after;
	uint64_t last_end = 0;

	for (int i = 0; i < SNAPSHOTS_MAX; i++) {
		bool same, whole;

		if (i)
			nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
		if (read_super(l->fd, &l->sb, why))
			return -EUCLEAN;
		*why = "its log cannot be read";
		if (!read_at(l->fd, l->sb.log_off, l->ring, l->sb.log_bytes) || read_super(l->fd, &after, why))
			return -EIO;
		same = after.generation == l->sb.generation && after.log_bytes == l->sb.log_bytes;
		index_ring(l);
		whole = find_end(l);
		l->moving |= !same || (last_end && l->end != last_end);
		if (same && (whole || l->end == last_end))
			return 0;
		last_end = l->end;
	}
	*why = "it is written faster than it can be read; try again, or copy it first";
	return -EBUSY;
}

/* Was anything appended since? */
static void note_tail(struct leglog *l)
{
	uint32_t pos = l->sb.checkpoint.log_pos, at;
	uint64_t no = l->sb.checkpoint.batch;
	uint8_t sector[HF_DISK_SECTOR];
	struct hf_disk_batch b;

	for (; no < l->end && look_both(l, pos, no, &at, &b) == FOUND_WHOLE; no++)
		pos = (at + b.pages * HF_DISK_PAGE) % l->sb.log_bytes;
	for (int i = 0; i < 2; i++) {
		uint32_t off = i ? 0 : pos;

		if (read_at(l->fd, l->sb.log_off + off, sector, sizeof(sector)) &&
		    memcmp(sector, l->ring + off, sizeof(sector)) != 0)
			l->moving = true;
	}
}

int leglog_open(struct leglog *l, const char *path, const char **why)
{
	int ret;

	memset(l, 0, sizeof(*l));
	l->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (l->fd < 0) {
		ret = -errno;
		*why = strerror(errno);
		return ret;
	}
	ret = read_super(l->fd, &l->sb, why);
	if (ret)
		return ret;
	l->salt = hf_disk_salt(&l->sb.id.leg);
	l->frag = hf_frag_size(l->sb.id.geometry, l->sb.id.frag);
	l->ring = malloc(l->sb.log_bytes);
	l->slots = calloc(l->sb.log_bytes / HF_DISK_PAGE, sizeof(l->slots[0]));
	*why = "there is not enough memory for its log";
	if (!l->ring || !l->slots)
		return -ENOMEM;
	ret = snapshot(l, why);
	if (ret == 0)
		note_tail(l);
	return ret;
}

void leglog_close(struct leglog *l)
{
	if (l->fd >= 0)
		close(l->fd);
	free(l->ring);
	free(l->slots);
	l->fd = -1;
	l->ring = NULL;
	l->slots = NULL;
}

/* walking */

struct walk {
	struct leglog *l;
	const struct leglog_visitor *v;
	bool trimmed;
	bool follows; /* seq and chain below are those of the entry before, or of the checkpoint */
	hf_seq seq;
	uint32_t chain;
};

static void damage(struct walk *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void damage(struct walk *w, const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (!w->trimmed)
		w->l->damages++;
	w->follows = false;
	if (w->v->damage)
		w->v->damage(w->v->ctx, w->l, w->trimmed, text);
}

/* Does a live op of the log continue what was before it? */
static void check_chain(struct walk *w, const struct leglog_place *at, const struct hf_entry *e)
{
	const struct hf_disk_checkpoint *k = &w->l->sb.checkpoint;
	unsigned long long epoch = e->epoch, seq = e->seq, batch = at->batch;

	if (e->seq == k->applied && e->epoch == k->epoch && e->chain != k->chain)
		damage(w, "epoch %llu seq %llu in batch %llu: its chain is not the checkpoint's", epoch, seq, batch);
	if (w->follows && e->seq == w->seq + 1 && e->prev_chain != w->chain)
		damage(w, "epoch %llu seq %llu in batch %llu does not continue the chain of seq %llu", epoch, seq,
		       batch, seq - 1);
	else if (w->follows && !w->trimmed && e->seq > w->seq + 1)
		damage(w, "epoch %llu seq %llu in batch %llu comes after seq %llu: ops are missing", epoch, seq, batch,
		       (unsigned long long)w->seq);
	if (w->trimmed || e->seq > k->applied) {
		w->follows = true;
		w->seq = e->seq;
		w->chain = e->chain;
	}
}

static void take_entry(struct walk *w, struct leglog_place *at, const struct hf_entry *e)
{
	const struct leglog *l = w->l;
	unsigned long long file_off = l->sb.log_off + at->off;
	uint8_t frag[HF_BLOCK];

	at->good = true;
	at->alive = e->type == HF_OP_RESYNC || hf_epoch_cache_is_alive(&l->sb.state.epochs, e->epoch, e->seq);
	for (uint32_t b = 0; hf_entry_has_payload(e) && b < e->nblocks; b++) {
		leglog_fragment(l, at, b, frag);
		if (hf_frag_is_intact(frag, l->frag, e->frag_crc[b]))
			continue;
		at->good = false;
		damage(w,
		       "epoch %llu seq %llu, block %llu: the fragment does not match its checksum (batch %llu, at %llu "
		       "in the file)",
		       (unsigned long long)e->epoch, (unsigned long long)e->seq, (unsigned long long)e->lba + b,
		       (unsigned long long)at->batch, file_off);
	}
	if (e->type != HF_OP_RESYNC && hf_entry_chain(e->prev_chain, e) != e->chain) {
		at->good = false;
		damage(w, "epoch %llu seq %llu: its chain is not that of its content (batch %llu, at %llu in the file)",
		       (unsigned long long)e->epoch, (unsigned long long)e->seq, (unsigned long long)at->batch,
		       file_off);
	}
	if (e->type != HF_OP_RESYNC && at->alive && at->good)
		check_chain(w, at, e);
	if (w->v->entry)
		w->v->entry(w->v->ctx, l, at, e);
}

static void walk_batch(struct walk *w, uint32_t off, const struct hf_disk_batch *b)
{
	uint8_t head[HF_DISK_ENTRY_HEAD + 8 * HF_WRITE_BLOCKS_MAX];
	uint32_t pos = HF_DISK_BATCH_HEAD;
	const struct leglog *l = w->l;
	struct hf_entry e;

	for (uint32_t i = 0; i < b->count; i++) {
		struct leglog_place at = {.batch = b->no, .commit = b->commit, .off = off, .trimmed = w->trimmed};
		uint32_t size = 0, len;
		bool ok = pos + HF_DISK_ENTRY_HEAD <= b->stream_len;

		if (ok) {
			stream(l, off, pos, head, HF_DISK_ENTRY_HEAD);
			size = hf_disk_entry_peek(head);
			ok = size && pos + size <= b->stream_len;
		}
		if (ok) {
			stream(l, off, pos, head, size);
			ok = hf_disk_entry_decode(head, l->salt, &e) == 0;
		}
		len = ok && hf_entry_has_payload(&e) ? e.nblocks * l->frag : 0;
		if (!ok || pos + size + len > b->stream_len) {
			damage(w,
			       "batch %llu at %llu in the file: entry %u of %u, behind seq %llu, is damaged; what "
			       "follows "
			       "in the batch is lost",
			       (unsigned long long)b->no, (unsigned long long)l->sb.log_off + off, i + 1, b->count,
			       (unsigned long long)w->seq);
			return;
		}
		at.head = pos;
		at.payload = pos + size;
		take_entry(w, &at, &e);
		pos += size + len;
	}
}

/* Back from the checkpoint's batch as far as the batches adjoin and are whole. */
static void walk_older(struct walk *w)
{
	struct leglog *l = w->l;
	uint64_t first = l->sb.checkpoint.batch, no;
	uint32_t next = l->sb.checkpoint.log_pos;
	const struct leglog_slot *slot = slot_from(l, first);
	struct hf_disk_batch b;

	if (slot && slot->no == first && look(l, slot->off, first, &b) == FOUND_WHOLE)
		next = slot->off;
	while (first > 0 && (slot = slot_from(l, first - 1)) && slot->no == first - 1 &&
	       look(l, slot->off, slot->no, &b) == FOUND_WHOLE) {
		uint32_t end = (slot->off + b.pages * HF_DISK_PAGE) % l->sb.log_bytes;

		if (end != next && next != 0)
			break;
		next = slot->off;
		first--;
	}
	w->trimmed = true;
	w->follows = false;
	for (no = first; no < l->sb.checkpoint.batch; no++) {
		slot = slot_from(l, no);
		if (look(l, slot->off, no, &b) == FOUND_WHOLE)
			walk_batch(w, slot->off, &b);
	}
}

void leglog_walk(struct leglog *l, bool older, const struct leglog_visitor *v)
{
	struct walk w = {.l = l, .v = v};
	uint32_t pos = l->sb.checkpoint.log_pos, at;
	uint64_t no = l->sb.checkpoint.batch;

	l->batches = 0;
	l->damages = 0;
	if (older)
		walk_older(&w);
	w.trimmed = false;
	w.follows = true;
	w.seq = l->sb.checkpoint.applied;
	w.chain = l->sb.checkpoint.chain;
	for (;;) {
		const struct leglog_slot *slot;
		struct hf_disk_batch b;
		enum found what = look_both(l, pos, no, &at, &b);

		if (what == FOUND_WHOLE) {
			walk_batch(&w, at, &b);
			l->batches++;
			pos = (at + b.pages * HF_DISK_PAGE) % l->sb.log_bytes;
			no++;
			continue;
		}
		slot = slot_from(l, no + 1);
		if (what != FOUND_CORRUPT && l->newest <= no)
			return;
		damage(&w, "batch %llu at %llu in the file is damaged, behind seq %llu%s", (unsigned long long)no,
		       (unsigned long long)l->sb.log_off + at, (unsigned long long)w.seq,
		       slot ? "; later ones stand behind it" : "");
		if (!slot)
			return;
		pos = slot->off;
		no = slot->no;
	}
}

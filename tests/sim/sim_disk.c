// SPDX-License-Identifier: MIT
/*
 * sim_disk - files of a host: what is durable, what a crash may still take, and faults.
 *
 * A file is a map of 4 KiB pages. A page has its durable content and a chain of records: writes that completed and
 * are not synced, oldest first; a READ sees the newest. A SYNC turns those that completed before it was submitted
 * into durable content. When power fails each write that is not durable is kept, dropped, or decided page by page,
 * and a page that is torn page by page may also mix old and new sectors of 512 bytes. Records of one page stay in
 * order, as in a disk's cache; different pages are independent, which is every order there is.
 *
 * A write is taken from its owner's memory page by page, some at submit and some when it is done, as a kernel may: an
 * owner that touches a buffer too early writes garbage here.
 */
#include "sim/sim_int.h"

#include <stdlib.h>
#include <string.h>

#include "codec/csum.h"

#define BUCKETS_MIN 64u
#define TEAR 512u

/* A completed write of one page. */
struct rec {
	struct pool_item item;
	struct hf_list link;		/* file's records, by id */
	struct rec *next;		/* of the page, newer */
	struct page *page;
	uint8_t *data;			/* NULL: zeros */
	uint64_t id;			/* order of completion */
	uint64_t write;			/* pages of one write share it */
	bool is_stuck;			/* a failed sync covered it: no sync will */
};

struct page {
	struct pool_item item;
	struct page *hash_next;
	uint64_t no;
	uint8_t *durable;		/* NULL: zeros */
	struct rec *first, *last;
	bool is_bad;			/* cannot be read */
};

struct file {
	struct hf_list link;		/* host's files, by creation */
	struct host *host;
	char *name;
	uint64_t size;
	uint32_t writers;		/* handles that may write: the lock */
	uint32_t handles;
	bool is_unlinked;
	bool fails_writes, fails_syncs;
	struct page **bucket;
	uint32_t bucket_count, page_count;
	struct hf_list recs;
	uint64_t last_id;
};

void sim_disk_init(struct sim_world *w)
{
	w->recs.size = sizeof(struct rec);
	w->page_nodes.size = sizeof(struct page);
}

/* Pages. */

static uint8_t *data_copy(struct sim_world *w, const uint8_t *from)
{
	uint8_t *to = pool_get(&w->pages);

	memcpy(to, from, PAGE);
	return to;
}

static void data_free(struct sim_world *w, uint8_t *data)
{
	if (data)
		pool_put(&w->pages, data);
}

static uint32_t bucket_of(const struct file *f, uint64_t no)
{
	return (uint32_t)sim_mix(no) & (f->bucket_count - 1);
}

static void rehash(struct file *f, uint32_t count)
{
	struct page **old = f->bucket;
	uint32_t old_count = f->bucket_count;

	f->bucket = calloc(count, sizeof(*f->bucket));
	hf_assert(f->bucket);
	f->bucket_count = count;
	for (uint32_t i = 0; i < old_count; i++) {
		for (struct page *p = old[i], *next; p; p = next) {
			uint32_t b = bucket_of(f, p->no);

			next = p->hash_next;
			p->hash_next = f->bucket[b];
			f->bucket[b] = p;
		}
	}
	free(old);
}

static struct page *page_find(const struct file *f, uint64_t no)
{
	struct page *p = f->bucket[bucket_of(f, no)];

	while (p && p->no != no)
		p = p->hash_next;
	return p;
}

static struct page *page_make(struct file *f, uint64_t no)
{
	struct page *p = page_find(f, no);
	uint32_t b;

	if (p)
		return p;
	if (f->page_count >= f->bucket_count)
		rehash(f, f->bucket_count * 4);
	p = pool_get(&f->host->world->page_nodes);
	b = bucket_of(f, no);
	*p = (struct page){ .no = no, .hash_next = f->bucket[b] };
	f->bucket[b] = p;
	f->page_count++;
	return p;
}

static uint8_t *page_now(const struct page *p)
{
	if (!p)
		return NULL;
	return p->last ? p->last->data : p->durable;
}

/* Forget the oldest record; its data goes with it. */
static void rec_drop_first(struct sim_world *w, struct page *p)
{
	struct rec *c = p->first;

	p->first = c->next;
	if (!p->first)
		p->last = NULL;
	hf_list_del(&c->link);
	data_free(w, c->data);
	pool_put(&w->recs, c);
}

/* `c` and what is older of its page become history; its data is durable. */
static void rec_harden(struct sim_world *w, struct rec *c)
{
	struct page *p = c->page;

	data_free(w, p->durable);
	p->durable = c->data;
	c->data = NULL;
	while (p->first != c)
		rec_drop_first(w, p);
	rec_drop_first(w, p);
}

/* Takes `data`. */
static void page_write(struct file *f, uint64_t no, uint8_t *data, uint64_t write, bool is_durable)
{
	struct sim_world *w = f->host->world;
	struct page *p = page_make(f, no);
	struct rec *c = pool_get(&w->recs);

	*c = (struct rec){ .page = p, .data = data, .id = ++f->last_id, .write = write };
	hf_list_add_tail(&f->recs, &c->link);
	if (p->last)
		p->last->next = c;
	else
		p->first = c;
	p->last = c;
	p->is_bad = false;
	if (is_durable)
		rec_harden(w, c);
	if ((no + 1) * PAGE > f->size)
		f->size = (no + 1) * PAGE;
}

static void drop_content(struct file *f)
{
	struct sim_world *w = f->host->world;

	for (uint32_t i = 0; i < f->bucket_count; i++) {
		while (f->bucket[i]) {
			struct page *p = f->bucket[i];

			f->bucket[i] = p->hash_next;
			while (p->first)
				rec_drop_first(w, p);
			data_free(w, p->durable);
			pool_put(&w->page_nodes, p);
		}
	}
	f->page_count = 0;
	hf_assert(hf_list_is_empty(&f->recs));
}

/* Files. */

static struct file *file_find(const struct host *h, const char *name)
{
	hf_list_each(&h->files, n) {
		struct file *f = hf_container_of(n, struct file, link);

		if (!f->is_unlinked && strcmp(f->name, name) == 0)
			return f;
	}
	return NULL;
}

static struct file *file_new(struct host *h, const char *name, uint64_t size)
{
	struct file *f = calloc(1, sizeof(*f));

	hf_assert(f);
	f->host = h;
	f->name = strdup(name);
	f->size = size;
	hf_list_init(&f->recs);
	rehash(f, BUCKETS_MIN);
	hf_list_add_tail(&h->files, &f->link);
	return f;
}

static void file_free(struct file *f)
{
	drop_content(f);
	hf_list_del(&f->link);
	free(f->bucket);
	free(f->name);
	free(f);
}

int sim_disk_open(struct host *h, const char *name, enum hf_file_mode mode, uint64_t size, struct hf_file_info *info,
		  struct hf_errmsg *err)
{
	struct file *f = file_find(h, name);
	bool is_read_only = mode == HF_FILE_READ_ONLY;
	struct handle *n;
	int fd;

	if (mode == HF_FILE_CREATE && f)
		return hf_fail(err, -EEXIST, "cannot open %s: it exists", name);
	if (mode == HF_FILE_CREATE && h->is_disk_full)
		return hf_fail(err, -ENOSPC, "cannot open %s: no space", name);
	if (mode != HF_FILE_CREATE && !f)
		return hf_fail(err, -ENOENT, "cannot open %s: there is no such file", name);
	if (!is_read_only && f && f->writers > 0)
		return hf_fail(err, -EBUSY, "%s is in use", name);
	if (!f)
		f = file_new(h, name, size);
	fd = sim_handle_new(h, HANDLE_FILE);
	n = sim_handle(h, fd);
	n->file = f;
	n->is_read_only = is_read_only;
	f->handles++;
	f->writers += !is_read_only;
	*info = (struct hf_file_info){ .size = f->size };
	return fd;
}

static void file_release(struct file *f)
{
	if (f->is_unlinked && f->handles == 0)
		file_free(f);
}

void sim_disk_close(struct handle *n)
{
	struct file *f = n->file;

	hf_assert(f->handles > 0);
	f->handles--;
	if (!n->is_read_only)
		f->writers--;
	file_release(f);
}

int sim_disk_unlink(struct host *h, const char *name)
{
	struct file *f = file_find(h, name);

	if (!f)
		return -ENOENT;
	f->is_unlinked = true;
	file_release(f);
	return 0;
}

/* Taking the data of a write. */

static uint32_t page_count(const struct hf_io *io)
{
	return (uint32_t)(io->len / PAGE);
}

/* Walks the pages of an io, through its iov when it has one. */
struct cursor {
	const struct hf_io *io;
	uint32_t part;
	size_t at;
};

static uint8_t *cursor_next(struct cursor *c)
{
	const struct hf_io *io = c->io;
	uint8_t *page;

	if (io->iov_count == 0) {
		page = (uint8_t *)io->buf + c->at;
		c->at += PAGE;
		return page;
	}
	while (c->at == io->iov[c->part].iov_len) {
		c->part++;
		c->at = 0;
	}
	page = (uint8_t *)io->iov[c->part].iov_base + c->at;
	c->at += PAGE;
	return page;
}

/* Pages of `q` that are not taken yet and whose bit is set. */
static void take_pages(struct req *q, uint64_t mask)
{
	struct cursor c = { .io = q->io };

	for (uint32_t i = 0; i < page_count(q->io); i++) {
		const uint8_t *from = cursor_next(&c);

		if (q->pages[i] || !(mask >> i % 64 & 1))
			continue;
		q->pages[i] = data_copy(q->host->world, from);
		sim_fold(q->host->world, hf_crc32c(from, PAGE));
	}
}

static void prepare_pages(struct req *q)
{
	uint32_t count = page_count(q->io);

	if (q->page_cap < count) {
		q->pages = realloc(q->pages, count * sizeof(*q->pages));
		hf_assert(q->pages);
		q->page_cap = count;
	}
	memset(q->pages, 0, count * sizeof(*q->pages));
}

static void free_pages(struct req *q)
{
	for (uint32_t i = 0; i < page_count(q->io); i++) {
		data_free(q->host->world, q->pages[i]);
		q->pages[i] = NULL;
	}
}

/* Start of an io. */

static hf_nsec latency(struct host *h, const struct hf_io *io)
{
	struct sim_config *c = &h->config;
	hf_nsec typical = c->disk_write;
	hf_nsec t;

	if (io->kind == HF_IO_READ)
		typical = c->disk_read;
	else if (io->kind == HF_IO_SYNC || io->dsync)
		typical = c->disk_sync;
	t = sim_latency(&h->rng[STREAM_DISK], typical * c->disk_slow);
	if (sim_chance(h, SIM_DISK_STALL))
		t += rng_below(&h->rng[SIM_DISK_STALL], c->disk_stall);
	return t;
}

static int first_of(struct host *h, const enum sim_fault *list, size_t count)
{
	int found = -1;

	/* Every stream draws, so that one kind does not depend on another. */
	for (size_t i = 0; i < count; i++) {
		if (sim_chance(h, list[i]) && found < 0)
			found = (int)list[i];
		if (sim_is_nth(h, list[i]))
			found = (int)list[i];
	}
	return found;
}

static int choose_fault(struct host *h, const struct hf_io *io)
{
	static const enum sim_fault reads[] = { SIM_READ_EIO, SIM_READ_EIO_STICKY, SIM_BIT_ROT };
	static const enum sim_fault writes[] = {
		SIM_WRITE_EIO, SIM_WRITE_EIO_STICKY, SIM_LOST_WRITE, SIM_MISDIRECTED_WRITE, SIM_NO_SPACE,
	};
	static const enum sim_fault syncs[] = { SIM_SYNC_EIO, SIM_SYNC_EIO_STICKY, SIM_LYING_SYNC };

	switch (io->kind) {
	case HF_IO_READ:
		return first_of(h, reads, sizeof(reads) / sizeof(reads[0]));
	case HF_IO_WRITE:
		return first_of(h, writes, sizeof(writes) / sizeof(writes[0]));
	case HF_IO_SYNC:
		return first_of(h, syncs, sizeof(syncs) / sizeof(syncs[0]));
	default:
		return -1;
	}
}

void sim_disk_start(struct req *q)
{
	struct host *h = q->host;
	struct hf_io *io = q->io;
	struct handle *n = sim_handle(h, io->fd);

	hf_assert(n->kind == HANDLE_FILE);
	q->file = n->file;
	if (n->is_read_only && (io->kind == HF_IO_WRITE || io->kind == HF_IO_DISCARD)) {
		sim_req_done(q, -EBADF);
		return;
	}
	q->fault = choose_fault(h, io);
	q->snap = q->file->last_id;
	if (io->kind == HF_IO_WRITE) {
		prepare_pages(q);
		take_pages(q, rng_next(&h->rng[STREAM_DISK]));
	} else if (io->kind == HF_IO_READ) {
		/* Who looks before the end sees this. */
		memset(io->buf, 0xa5, io->len);
	}
	sim_event_add(h->world, h->world->now + latency(h, io), EVENT_DISK, q, q->gen);
}

/* End of an io. */

static uint64_t count_fault(struct host *h, enum sim_fault f)
{
	return ++h->world->counts[f];
}

static bool flip(struct file *f, uint64_t off, uint32_t bit)
{
	struct page *p = page_make(f, off / PAGE);
	uint8_t *data = page_now(p);

	if (!data) {
		/* Zeros have no place of their own yet. */
		data = pool_get(&f->host->world->pages);
		memset(data, 0, PAGE);
		if (p->last)
			p->last->data = data;
		else
			p->durable = data;
	}
	data[off % PAGE] ^= (uint8_t)(1u << bit % 8);
	return true;
}

static int64_t end_read(struct req *q)
{
	struct hf_io *io = q->io;
	struct file *f = q->file;
	struct rng *g = &q->host->rng[STREAM_DISK];
	uint64_t first = io->off / PAGE;

	if (io->off + io->len > f->size)
		return -EIO;
	if (q->fault == SIM_READ_EIO)
		return -EIO;
	if (q->fault == SIM_READ_EIO_STICKY)
		page_make(f, first + rng_below(g, page_count(io)))->is_bad = true;
	if (q->fault == SIM_BIT_ROT) {
		uint32_t bit = (uint32_t)rng_below(g, 8);

		flip(f, io->off + rng_below(g, io->len), bit);
	}
	for (uint32_t i = 0; i < page_count(io); i++) {
		const struct page *p = page_find(f, first + i);
		const uint8_t *data = page_now(p);
		uint8_t *to = (uint8_t *)io->buf + (size_t)i * PAGE;

		if (p && p->is_bad)
			return -EIO;
		if (data)
			memcpy(to, data, PAGE);
		else
			memset(to, 0, PAGE);
	}
	return (int64_t)io->len;
}

/* Where a misdirected write lands: some pages away, or at the same place of another file of the host. */
static void misdirect(struct req *q, struct file **f, uint64_t *first)
{
	struct rng *g = &q->host->rng[SIM_MISDIRECTED_WRITE];
	uint64_t pages = (*f)->size / PAGE;
	uint64_t shift = 1 + rng_below(g, 16);

	if (rng_below(g, 2) && q->host->files.next->next != &q->host->files) {
		hf_list_each(&q->host->files, n) {
			struct file *other = hf_container_of(n, struct file, link);

			if (other != *f && rng_below(g, 2) && (*first + page_count(q->io)) * PAGE <= other->size) {
				*f = other;
				return;
			}
		}
	}
	if (*first + shift + page_count(q->io) <= pages)
		*first += shift;
	else if (*first >= shift)
		*first -= shift;
}

static bool lacks_space(const struct req *q)
{
	if (!q->host->is_disk_full)
		return false;
	for (uint32_t i = 0; i < page_count(q->io); i++)
		if (!page_find(q->file, q->io->off / PAGE + i))
			return true;
	return false;
}

/* Write the taken pages whose bit is set (by page, modulo 64) and let go of the others. */
static void put_pages(struct req *q, struct file *f, uint64_t first, uint64_t mask, bool is_durable)
{
	uint64_t write = q->host->world->next_id++;

	for (uint32_t i = 0; i < page_count(q->io); i++) {
		if (q->pages[i] && mask >> i % 64 & 1) {
			page_write(f, first + i, q->pages[i], write, is_durable);
			q->pages[i] = NULL;
		}
	}
	free_pages(q);
}

static int64_t end_write(struct req *q)
{
	struct rng *g = &q->host->rng[STREAM_DISK];
	struct hf_io *io = q->io;
	struct file *f = q->file;
	uint64_t first = io->off / PAGE;
	uint64_t mask = UINT64_MAX;
	int64_t result = (int64_t)io->len;

	take_pages(q, UINT64_MAX);
	if (q->fault == SIM_WRITE_EIO_STICKY)
		f->fails_writes = true;
	if (q->fault == SIM_NO_SPACE || lacks_space(q)) {
		result = -ENOSPC;
		mask = 0;
	} else if (q->fault == SIM_WRITE_EIO || f->fails_writes) {
		result = -EIO;
		mask = rng_next(g) & rng_next(g);
	} else if (q->fault == SIM_LOST_WRITE) {
		mask = 0;
	} else if (q->fault == SIM_MISDIRECTED_WRITE) {
		misdirect(q, &f, &first);
	}
	put_pages(q, f, first, mask, io->dsync && result > 0);
	return result;
}

static int64_t end_discard(struct req *q)
{
	struct rng *g = &q->host->rng[STREAM_DISK];
	struct hf_io *io = q->io;
	uint64_t write = q->host->world->next_id++;
	uint64_t last = (io->off + io->len) / PAGE;

	if (rng_below(g, 4) == 0)
		return 0;	/* reads as before */
	for (uint64_t no = io->off / PAGE; no < last; no++)
		if (page_find(q->file, no))
			page_write(q->file, no, NULL, write, false);
	return 0;
}

static int64_t end_sync(struct req *q)
{
	struct rng *g = &q->host->rng[SIM_SYNC_EIO];
	struct file *f = q->file;
	bool fails;

	if (q->fault == SIM_SYNC_EIO_STICKY)
		f->fails_syncs = true;
	fails = q->fault == SIM_SYNC_EIO || f->fails_syncs;
	if (q->fault == SIM_LYING_SYNC)
		return 0;
	hf_list_each(&f->recs, n) {
		struct rec *c = hf_container_of(n, struct rec, link);

		if (c->id > q->snap)
			break;
		if (fails)
			c->is_stuck |= rng_below(g, 2);
		else if (!c->is_stuck)
			rec_harden(f->host->world, c);
	}
	return fails ? -EIO : 0;
}

void sim_disk_event(struct req *q)
{
	int64_t result = 0;

	switch (q->io->kind) {
	case HF_IO_READ:
		result = end_read(q);
		break;
	case HF_IO_WRITE:
		result = end_write(q);
		break;
	case HF_IO_SYNC:
		result = end_sync(q);
		break;
	case HF_IO_DISCARD:
		result = end_discard(q);
		break;
	default:
		hf_unreachable();
	}
	sim_req_done(q, result);
}

/* Too late for most; some are stopped on the way, a write in part. */
void sim_disk_cancel(struct req *q)
{
	struct rng *g = &q->host->rng[STREAM_DISK];

	if (rng_below(g, 2))
		return;
	if (q->io->kind == HF_IO_WRITE)
		put_pages(q, q->file, q->io->off / PAGE, rng_next(g) & rng_next(g), false);
	sim_req_done(q, -ECANCELED);
}

/* Crash. */

/* A write under way when its host dies: the disk may have got any part of it. */
void sim_disk_crash_req(struct req *q, enum sim_kill how)
{
	struct rng *g = &q->host->rng[STREAM_CRASH];
	uint64_t mask = UINT64_MAX;

	if (!q->io || q->io->kind != HF_IO_WRITE || !q->file)
		return;
	if (rng_below(g, 2))
		mask = rng_next(g);
	/* With power lost, the lottery over records decides. */
	take_pages(q, how == SIM_KILL_POWER ? UINT64_MAX : mask);
	put_pages(q, q->file, q->io->off / PAGE, how == SIM_KILL_POWER ? UINT64_MAX : mask, false);
}

enum fate { FATE_KEPT, FATE_DROPPED, FATE_TORN };

static enum fate fate_of(const struct host *h, const struct rec *c)
{
	/* By number, not by stream: the fate of one write does not depend on how many others there are. */
	uint64_t v = sim_mix(h->world->seed ^ sim_mix(c->write + h->world->crashes * 0x9e3779b97f4a7c15ull));
	uint64_t w = sim_mix(v + c->page->no);

	if (v % 3 < 2)
		return v % 3 == 0 ? FATE_KEPT : FATE_DROPPED;
	if (w % 3 < 2)
		return w % 3 == 0 ? FATE_KEPT : FATE_DROPPED;
	return h->config.tears_sectors ? FATE_TORN : FATE_DROPPED;
}

static void tear(struct sim_world *w, struct page *p, const uint8_t *data, uint64_t mask)
{
	if (!p->durable) {
		p->durable = pool_get(&w->pages);
		memset(p->durable, 0, PAGE);
	}
	for (uint32_t at = 0; at < PAGE; at += TEAR) {
		if (!(mask >> at / TEAR & 1))
			continue;
		if (data)
			memcpy(p->durable + at, data + at, TEAR);
		else
			memset(p->durable + at, 0, TEAR);
	}
}

static void crash_file(struct file *f)
{
	struct host *h = f->host;
	struct sim_world *w = h->world;

	while (!hf_list_is_empty(&f->recs)) {
		struct rec *c = hf_container_of(f->recs.next, struct rec, link);
		struct page *p = c->page;

		/* By id, so every older record of its page was decided before. */
		hf_assert(p->first == c);
		switch (fate_of(h, c)) {
		case FATE_KEPT:
			count_fault(h, SIM_CRASH_KEPT);
			rec_harden(w, c);
			break;
		case FATE_DROPPED:
			count_fault(h, SIM_CRASH_DROPPED);
			rec_drop_first(w, p);
			break;
		case FATE_TORN:
			count_fault(h, SIM_CRASH_TORN);
			tear(w, p, c->data, rng_next(&h->rng[STREAM_CRASH]));
			rec_drop_first(w, p);
			break;
		}
	}
}

void sim_disk_crash(struct host *h, enum sim_kill how)
{
	h->world->crashes++;
	hf_list_each(&h->files, n) {
		struct file *f = hf_container_of(n, struct file, link);

		f->handles = f->writers = 0;
		if (f->is_unlinked)
			file_free(f);
		else if (how == SIM_KILL_POWER)
			crash_file(f);
	}
}

void sim_disk_fini(struct host *h)
{
	while (!hf_list_is_empty(&h->files))
		file_free(hf_container_of(h->files.next, struct file, link));
}

/* Calls of the world's owner. */

static struct file *named(struct sim_world *w, uint32_t host, const char *name)
{
	hf_assert(host < w->host_count);
	return file_find(&w->host[host], name);
}

bool sim_disk_size(struct sim_world *w, uint32_t host, const char *name, uint64_t *size)
{
	struct file *f = named(w, host, name);

	if (f)
		*size = f->size;
	return f;
}

bool sim_disk_peek(struct sim_world *w, uint32_t host, const char *name, uint64_t off, void *buf, size_t len,
		   bool durable)
{
	struct file *f = named(w, host, name);
	uint8_t *to = buf;

	if (!f)
		return false;
	while (len > 0) {
		const struct page *p = page_find(f, off / PAGE);
		const uint8_t *data = durable ? (p ? p->durable : NULL) : page_now(p);
		size_t part = PAGE - off % PAGE < len ? PAGE - off % PAGE : len;

		if (data)
			memcpy(to, data + off % PAGE, part);
		else
			memset(to, 0, part);
		to += part;
		off += part;
		len -= part;
	}
	return true;
}

bool sim_disk_flip(struct sim_world *w, uint32_t host, const char *name, uint64_t off, uint32_t bit)
{
	struct file *f = named(w, host, name);

	if (!f || off >= f->size)
		return false;
	count_fault(f->host, SIM_BIT_FLIP);
	return flip(f, off, bit);
}

bool sim_disk_blank(struct sim_world *w, uint32_t host, const char *name)
{
	struct file *f = named(w, host, name);

	if (!f)
		return false;
	count_fault(f->host, SIM_DISK_BLANK);
	drop_content(f);
	return true;
}

bool sim_disk_remove(struct sim_world *w, uint32_t host, const char *name)
{
	struct file *f = named(w, host, name);

	return f && sim_disk_unlink(f->host, name) == 0;
}

static void adopt_pages(struct file *f, struct page **bucket, uint32_t bucket_count, uint32_t count)
{
	f->bucket = bucket;
	f->bucket_count = bucket_count;
	f->page_count = count;
}

/* Contents change places; names, handles and locks stay. */
bool sim_disk_swap(struct sim_world *w, uint32_t host_a, const char *name_a, uint32_t host_b, const char *name_b)
{
	struct file *a = named(w, host_a, name_a);
	struct file *b = named(w, host_b, name_b);
	struct file old;
	struct hf_list recs;

	if (!a || !b || a == b)
		return false;
	count_fault(a->host, SIM_DISK_SWAP);
	old = *a;
	hf_list_init(&recs);
	hf_list_splice(&recs, &a->recs);
	hf_list_splice(&a->recs, &b->recs);
	hf_list_splice(&b->recs, &recs);
	adopt_pages(a, b->bucket, b->bucket_count, b->page_count);
	adopt_pages(b, old.bucket, old.bucket_count, old.page_count);
	a->size = b->size;
	b->size = old.size;
	/* One counter for both from here: ids keep growing in each. */
	a->last_id = b->last_id = a->last_id > b->last_id ? a->last_id : b->last_id;
	return true;
}

void sim_disk_full(struct sim_world *w, uint32_t host, bool is_full)
{
	hf_assert(host < w->host_count);
	w->counts[SIM_DISK_FULL] += is_full;
	w->host[host].is_disk_full = is_full;
}

void sim_disk_heal(struct sim_world *w, uint32_t host)
{
	hf_assert(host < w->host_count);
	hf_list_each(&w->host[host].files, n) {
		struct file *f = hf_container_of(n, struct file, link);

		f->fails_writes = f->fails_syncs = false;
		for (uint32_t i = 0; i < f->bucket_count; i++)
			for (struct page *p = f->bucket[i]; p; p = p->hash_next)
				p->is_bad = false;
	}
}

struct sim_image {
	uint32_t host;
	char *name;
	uint64_t size;
	size_t count;
	struct {
		uint64_t no;
		uint8_t data[PAGE];
	} page[];
};

struct sim_image *sim_disk_save(struct sim_world *w, uint32_t host, const char *name)
{
	struct file *f = named(w, host, name);
	struct sim_image *image;

	if (!f)
		return NULL;
	image = malloc(sizeof(*image) + f->page_count * sizeof(image->page[0]));
	hf_assert(image);
	*image = (struct sim_image){ .host = host, .name = strdup(name), .size = f->size };
	for (uint32_t i = 0; i < f->bucket_count; i++) {
		for (struct page *p = f->bucket[i]; p; p = p->hash_next) {
			if (!p->durable)
				continue;
			image->page[image->count].no = p->no;
			memcpy(image->page[image->count++].data, p->durable, PAGE);
		}
	}
	return image;
}

void sim_disk_restore(struct sim_world *w, const struct sim_image *image)
{
	struct host *h = &w->host[image->host];
	struct file *f = file_find(h, image->name);

	count_fault(h, SIM_DISK_ROLLBACK);
	if (!f)
		f = file_new(h, image->name, image->size);
	drop_content(f);
	f->size = image->size;
	for (size_t i = 0; i < image->count; i++)
		page_make(f, image->page[i].no)->durable = data_copy(w, image->page[i].data);
}

/* Writes of a file that are under way: the disk may have got any part of them. */
static bool is_under_way(const struct req *q, const struct file *f)
{
	return q->io && q->file == f && q->io->kind == HF_IO_WRITE;
}

uint32_t sim_disk_at_risk(struct sim_world *w, uint32_t host, const char *name)
{
	struct file *f = named(w, host, name);
	uint32_t n = 0;

	hf_assert(f);
	hf_list_each(&f->recs, l)
		n++;
	hf_list_each(&f->host->reqs, l) {
		const struct req *q = hf_container_of(l, struct req, link);

		n += is_under_way(q, f) ? page_count(q->io) : 0;
	}
	return n;
}

static uint8_t sectors_that_differ(const uint8_t *a, const uint8_t *b)
{
	static const uint8_t zeros[PAGE];
	uint8_t mask = 0;

	a = a ? a : zeros;
	b = b ? b : zeros;
	for (uint32_t i = 0; i < PAGE / TEAR; i++)
		if (memcmp(a + (size_t)i * TEAR, b + (size_t)i * TEAR, TEAR) != 0)
			mask |= (uint8_t)(1u << i);
	return mask;
}

static bool is_twice_under_way(const struct file *f, const struct req *q, uint64_t no)
{
	hf_list_each(&f->host->reqs, l) {
		const struct req *o = hf_container_of(l, struct req, link);
		uint64_t first = o->io && o->file == f ? o->io->off / PAGE : 0;

		if (o != q && is_under_way(o, f) && no >= first && no < first + page_count(o->io))
			return true;
	}
	return false;
}

uint32_t sim_disk_risks(struct sim_world *w, uint32_t host, const char *name, uint8_t *changed, uint32_t max,
			uint64_t *print)
{
	struct file *f = named(w, host, name);
	uint32_t n = 0;

	hf_assert(f);
	*print = sim_mix(f->last_id);
	hf_list_each(&f->recs, l) {
		const struct rec *c = hf_container_of(l, struct rec, link);

		*print = sim_mix(*print ^ c->id);
		if (n < max)
			changed[n] = c == c->page->first ? sectors_that_differ(c->data, c->page->durable) : 0xff;
		n++;
	}
	hf_list_each(&f->host->reqs, l) {
		const struct req *q = hf_container_of(l, struct req, link);
		struct cursor at = { .io = q->io };

		for (uint32_t i = 0; is_under_way(q, f) && i < page_count(q->io); i++, n++) {
			uint64_t no = q->io->off / PAGE + i;
			const struct page *p = page_find(f, no);
			const uint8_t *now = cursor_next(&at), *data = q->pages[i] ? q->pages[i] : now;

			*print = sim_mix(*print ^ no << 32 ^ i);
			if (n >= max)
				continue;
			changed[n] = 0xff;	/* two of one page: what lies beneath depends */
			if ((!p || !p->first) && !is_twice_under_way(f, q, no))
				changed[n] = sectors_that_differ(data, p ? p->durable : NULL);
		}
	}
	return n;
}

static void image_put(struct sim_image *image, uint64_t no, const uint8_t *data, uint8_t sectors)
{
	size_t i = 0;

	if (!sectors)
		return;
	while (i < image->count && image->page[i].no != no)
		i++;
	if (i == image->count) {
		image->page[image->count++].no = no;
		memset(image->page[i].data, 0, PAGE);
	}
	for (uint32_t at = 0; at < PAGE; at += TEAR) {
		if (!(sectors >> at / TEAR & 1))
			continue;
		if (data)
			memcpy(image->page[i].data + at, data + at, TEAR);
		else
			memset(image->page[i].data + at, 0, TEAR);
	}
}

struct sim_image *sim_disk_cut(struct sim_world *w, uint32_t host, const char *name, sim_choose *choose, void *ctx)
{
	struct sim_image *image = sim_disk_save(w, host, name);
	struct file *f = named(w, host, name);
	uint32_t asked = 0;

	hf_assert(image);
	image = realloc(image, sizeof(*image) +
			(image->count + sim_disk_at_risk(w, host, name)) * sizeof(image->page[0]));
	hf_assert(image);
	hf_list_each(&f->recs, l) {
		const struct rec *c = hf_container_of(l, struct rec, link);

		image_put(image, c->page->no, c->data, choose(ctx, asked++));
	}
	hf_list_each(&f->host->reqs, l) {
		const struct req *q = hf_container_of(l, struct req, link);
		struct cursor at = { .io = q->io };

		for (uint32_t i = 0; is_under_way(q, f) && i < page_count(q->io); i++) {
			const uint8_t *now = cursor_next(&at);

			image_put(image, q->io->off / PAGE + i, q->pages[i] ? q->pages[i] : now, choose(ctx, asked++));
		}
	}
	return image;
}

void sim_image_free(struct sim_image *image)
{
	if (!image)
		return;
	free(image->name);
	free(image);
}

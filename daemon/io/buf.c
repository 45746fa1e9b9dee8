// SPDX-License-Identifier: MIT
/*
 * buf - the pool behind io/buf.h: one mapping, touched once at start, cut into four classes.
 *
 * Owns: the memory and who waits for it. Does not own: what is in a buffer. A buffer is never touched for the first
 * time on the data path (a page fault costs more than a whole write), hence the fill in hf_buf_pool_new().
 */
#include "io/buf.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/limits.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(base, len) ((void)(base), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(base, len) ((void)(base), (void)(len))
#endif

#define CLASS_COUNT 4u

static const uint32_t class_size[CLASS_COUNT] = { 4096, 16384, 65536, 262144 };

struct hf_buf_pool {
	uint8_t *base;
	size_t len;
	struct hf_buf *bufs;
	size_t buf_count;
	size_t used;			/* buffers with a reference */
	struct hf_list free[CLASS_COUNT];
	struct hf_list waiters;		/* first come, first served */
	bool is_waking;
};

static uint32_t class_of(uint32_t size)
{
	uint32_t c = 0;

	hf_assert(size > 0 && size <= class_size[CLASS_COUNT - 1]);
	while (class_size[c] < size)
		c++;
	return c;
}

/* A quarter of the bytes for each class; what does not divide goes to the smaller ones. */
static size_t split(size_t bytes, size_t count[CLASS_COUNT])
{
	size_t total = 0;

	for (uint32_t c = CLASS_COUNT; c-- > 0;) {
		count[c] = bytes / (c + 1) / class_size[c];
		bytes -= count[c] * class_size[c];
		total += count[c];
	}
	return total;
}

static void cut(struct hf_buf_pool *p, const size_t count[CLASS_COUNT])
{
	struct hf_buf *b = p->bufs;
	uint8_t *at = p->base;

	for (uint32_t c = 0; c < CLASS_COUNT; c++) {
		hf_list_init(&p->free[c]);
		for (size_t i = 0; i < count[c]; i++, b++) {
			*b = (struct hf_buf){ .pool = p, .size = class_size[c], .data = at };
			hf_list_add_tail(&p->free[c], &b->link);
			at += class_size[c];
		}
	}
	hf_assert(at <= p->base + p->len);
}

struct hf_buf_pool *hf_buf_pool_new(size_t bytes)
{
	struct hf_buf_pool *p = calloc(1, sizeof(*p));
	size_t count[CLASS_COUNT] = { 0 };

	if (!p)
		return NULL;
	p->len = bytes & ~(size_t)(class_size[0] - 1);
	p->buf_count = split(p->len, count);
	hf_list_init(&p->waiters);
	p->bufs = calloc(p->buf_count ? p->buf_count : 1, sizeof(*p->bufs));
	if (!p->bufs || p->len == 0)
		goto fail;
	p->base = mmap(NULL, p->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->base == MAP_FAILED)
		goto fail;
	(void)madvise(p->base, p->len, MADV_HUGEPAGE);	/* fewer pages to pin and to walk; only a wish */
	memset(p->base, 0, p->len);
	cut(p, count);
	ASAN_POISON_MEMORY_REGION(p->base, p->len);
	return p;
fail:
	free(p->bufs);
	free(p);
	return NULL;
}

void hf_buf_pool_free(struct hf_buf_pool *p)
{
	if (!p)
		return;
	hf_assert(p->used == 0);
	hf_assert(hf_list_is_empty(&p->waiters));
	ASAN_UNPOISON_MEMORY_REGION(p->base, p->len);
	munmap(p->base, p->len);
	free(p->bufs);
	free(p);
}

void hf_buf_pool_range(const struct hf_buf_pool *p, void **base, size_t *len)
{
	*base = p->base;
	*len = p->len;
}

/* The smallest class that has one: a larger buffer is better than a wait. */
static struct hf_list *find_free(struct hf_buf_pool *p, uint32_t size)
{
	for (uint32_t c = class_of(size); c < CLASS_COUNT; c++)
		if (!hf_list_is_empty(&p->free[c]))
			return &p->free[c];
	return NULL;
}

struct hf_buf *hf_buf_new(struct hf_buf_pool *p, uint32_t size)
{
	struct hf_list *from = find_free(p, size);
	struct hf_buf *b;

	if (!from)
		return NULL;
	b = hf_container_of(hf_list_pop(from), struct hf_buf, link);
	hf_assert(b->refs == 0);
	b->refs = 1;
	p->used++;
	ASAN_UNPOISON_MEMORY_REGION(b->data, b->size);
	return b;
}

struct hf_buf *hf_buf_new_heap(uint32_t size)
{
	struct hf_buf *b = calloc(1, sizeof(*b));

	hf_assert(b);
	hf_list_init(&b->link);
	b->refs = 1;
	b->size = size;
	b->data = aligned_alloc(HF_BLOCK, (size + HF_BLOCK - 1) / HF_BLOCK * HF_BLOCK);
	hf_assert(b->data);
	return b;
}

struct hf_buf *hf_buf_get(struct hf_buf *b)
{
	hf_assert(b->refs > 0 && b->refs < UINT32_MAX);
	b->refs++;
	return b;
}

static struct hf_buf_waiter *find_waiter(struct hf_buf_pool *p)
{
	hf_list_each(&p->waiters, n) {
		struct hf_buf_waiter *w = hf_container_of(n, struct hf_buf_waiter, link);

		if (find_free(p, w->size))
			return w;
	}
	return NULL;
}

/* A put inside `ready` only fills the free list; the outer loop sees it. So waiters never nest. */
static void wake(struct hf_buf_pool *p)
{
	struct hf_buf_waiter *w;

	if (p->is_waking)
		return;
	p->is_waking = true;
	while ((w = find_waiter(p))) {
		hf_list_del(&w->link);
		w->ready(w);
	}
	p->is_waking = false;
}

void hf_buf_put(struct hf_buf *b)
{
	struct hf_buf_pool *p = b->pool;

	hf_assert(b->refs > 0);
	if (--b->refs > 0)
		return;
	if (!p) {
		free(b->data);
		free(b);
		return;
	}
	hf_assert(p->used > 0);
	p->used--;
	ASAN_POISON_MEMORY_REGION(b->data, b->size);
	/* To the head: the buffer used last is the warmest. */
	hf_list_add_head(&p->free[class_of(b->size)], &b->link);
	if (!hf_list_is_empty(&p->waiters))
		wake(p);
}

void hf_buf_wait(struct hf_buf_pool *p, struct hf_buf_waiter *w, uint32_t size,
		 void (*ready)(struct hf_buf_waiter *w))
{
	/* Waiting while there is one would be woken by a put that may never come. */
	hf_assert(!find_free(p, size));
	*w = (struct hf_buf_waiter){ .size = size, .ready = ready };
	hf_list_add_tail(&p->waiters, &w->link);
}

void hf_buf_wait_cancel(struct hf_buf_waiter *w)
{
	hf_list_del(&w->link);
}

// SPDX-License-Identifier: MIT
/*
 * arena - see arena.h. Blocks are cut from one range and kept in lists by size when they are freed; large ones are
 * mapped, for most of them is never touched.
 */
#include "sim/arena.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RANGE ((size_t)2 << 30)
#define LARGE ((size_t)96 << 10)
#define POOL ((size_t)1 << 20)		/* and more: touched as a whole */
#define CLASSES 256u
#define PAGE 4096u

/* Of the C library; the plain names are wrapped. Weak: a program that is not linked so has no __real_ names. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);
void *__libc_memalign(size_t align, size_t size);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off) __attribute__((weak));
int __real_munmap(void *addr, size_t len) __attribute__((weak));

/* In front of each block. A mapped one begins a page before it. */
struct head {
	uint32_t class;			/* MAPPED: not of the range */
	uint32_t skipped;		/* bytes between the head of the whole block and this one, for alignment */
	size_t size;
};
#define MAPPED UINT32_MAX

struct mapped {
	struct mapped *next, *prev;
	size_t bytes;
};

static struct {
	char *base, *top, *high;	/* [base, top) is cut; [base, high) was touched once */
	struct block { struct block *next; } *free[CLASSES];
	struct mapped mapped;
	bool open;
} a;

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);
void *__wrap_aligned_alloc(size_t align, size_t size);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int __wrap_munmap(void *addr, size_t len);

static bool is_ours(const void *p)
{
	return a.base && (const char *)p >= a.base && (const char *)p < a.base + RANGE;
}

/* Four classes for each power of two, from 16 bytes. */
static uint32_t class_of(size_t *size)
{
	size_t n = *size < 16 ? 16 : *size;
	uint32_t log = 63u - (uint32_t)__builtin_clzl(n);
	size_t step = ((size_t)1 << log) / 4;
	uint32_t quarter;

	if (step < 16)
		step = 16;
	n = (n + step - 1) / step * step;
	log = 63u - (uint32_t)__builtin_clzl(n);
	quarter = (uint32_t)((n >> (log - 2)) & 3);
	*size = n;
	return log * 4 + quarter;
}

/* *fresh: nobody wrote to it yet, it is zeros. */
static void *cut(size_t size, bool *fresh)
{
	uint32_t class = class_of(&size);
	struct head *h = (struct head *)(void *)a.free[class];

	*fresh = false;
	if (h) {
		a.free[class] = ((struct block *)(void *)h)->next;
	} else {
		h = (struct head *)(void *)a.top;
		a.top += sizeof(*h) + size;
		if (a.top > a.base + RANGE)
			abort();
		if (a.top > a.high) {
			*fresh = (char *)h >= a.high;
			a.high = a.top;
		}
	}
	*h = (struct head){ .class = class, .size = size };
	return h + 1;
}

static void *map(size_t size)
{
	size_t bytes = PAGE + (size + PAGE - 1) / PAGE * PAGE;
	struct mapped *m = __real_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct head *h;

	if (m == MAP_FAILED)
		abort();
	*m = (struct mapped){ .next = a.mapped.next, .prev = &a.mapped, .bytes = bytes };
	m->next->prev = m->prev->next = m;
	h = (struct head *)(void *)((char *)m + PAGE) - 1;
	*h = (struct head){ .class = MAPPED, .size = size };
	return h + 1;
}

/* A mapped block lies outside of the range; those that are ours are few. */
static struct mapped *find_mapped(const void *p)
{
	for (struct mapped *m = a.mapped.next; m && m != &a.mapped; m = m->next)
		if ((const char *)m + PAGE == (const char *)p)
			return m;
	return NULL;
}

static void unmap(struct mapped *m)
{
	m->prev->next = m->next;
	m->next->prev = m->prev;
	__real_munmap(m, m->bytes);
}

void *__wrap_malloc(size_t size)
{
	bool fresh;

	if (!a.open)
		return __libc_malloc(size);
	return size >= LARGE ? map(size) : cut(size, &fresh);
}

void *__wrap_calloc(size_t n, size_t size)
{
	size_t bytes;
	bool fresh;
	void *p;

	if (!a.open)
		return __libc_calloc(n, size);
	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	if (bytes >= LARGE)
		return map(bytes);
	p = cut(bytes, &fresh);
	return fresh ? p : memset(p, 0, bytes);
}

static struct head *whole(void *p)
{
	struct head *h = (struct head *)p - 1;

	return (struct head *)(void *)((char *)h - h->skipped);
}

void __wrap_free(void *p)
{
	struct mapped *m;
	struct head *h;

	if (is_ours(p)) {
		h = whole(p);
		if (h->class >= CLASSES)
			abort();
		uint32_t class = h->class;

		((struct block *)(void *)h)->next = a.free[class];
		a.free[class] = (struct block *)(void *)h;
	} else if (p && ((uintptr_t)p & (PAGE - 1)) == 0 && (m = find_mapped(p))) {
		unmap(m);
	} else {
		__libc_free(p);
	}
}

static size_t room_of(void *p)
{
	const struct head *h = whole(p);

	return h->size - (size_t)((char *)p - (const char *)(h + 1));
}

void *__wrap_realloc(void *p, size_t size)
{
	struct mapped *m = p && !is_ours(p) && ((uintptr_t)p & (PAGE - 1)) == 0 ? find_mapped(p) : NULL;
	size_t room;
	void *q;

	if (!p)
		return __wrap_malloc(size);
	if (!is_ours(p) && !m)
		return __libc_realloc(p, size);
	room = m ? m->bytes - PAGE : room_of(p);
	if (room >= size)
		return p;
	q = __wrap_malloc(size);
	if (q) {
		memcpy(q, p, room);
		__wrap_free(p);
	}
	return q;
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	struct head *h, *inner;
	uintptr_t at;
	bool fresh;

	if (!a.open)
		return __libc_memalign(align, size);
	if (size >= LARGE && size < POOL)
		return map(size);
	h = (struct head *)cut(size + align, &fresh) - 1;
	at = ((uintptr_t)(h + 1) + align - 1) / align * align;
	inner = (struct head *)at - 1;
	if (inner != h)
		*inner = (struct head){ .skipped = (uint32_t)((char *)inner - (char *)h) };
	return (void *)at;
}

/* A pool of payload buffers, which each life of a host has and touches: the one mapping that the daemon makes here. */
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (!a.open || fd >= 0)
		return __real_mmap(addr, len, prot, flags, fd, off);
	return memset(__wrap_aligned_alloc(PAGE, len), 0, len);
}

int __wrap_munmap(void *addr, size_t len)
{
	if (!is_ours(addr))
		return __real_munmap(addr, len);
	__wrap_free(addr);
	return 0;
}

bool arena_is_linked(void)
{
	void *volatile p;
	bool linked;

	if (!__real_mmap)
		return false;
	arena_open();
	p = malloc(16);
	linked = is_ours(p);
	free(p);
	arena_close();
	return linked;
}

void arena_open(void)
{
	if (!a.base) {
		a.base = __real_mmap(NULL, RANGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (a.base == MAP_FAILED)
			abort();
		a.high = a.base;
		a.mapped.next = a.mapped.prev = &a.mapped;
	}
	while (a.mapped.next != &a.mapped)
		unmap(a.mapped.next);
	memset(a.free, 0, sizeof(a.free));
	a.top = a.base;
	a.open = true;
}

void arena_close(void)
{
	a.open = false;
}

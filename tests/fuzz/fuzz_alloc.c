// SPDX-License-Identifier: MIT
/*
 * fuzz_alloc - large blocks of memory stay with the fuzzer from run to run.
 *
 * A leg takes some megabytes when it opens. The sanitizer's allocator asks the kernel for each of them and gives it
 * back at free, which costs more than the run; here a block that is freed waits, poisoned, for the next of its size.
 * What is in use is fenced by poison on both sides; a block that a run leaves behind is found by fuzz_alloc_live().
 */
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fuzz/fuzz.h"

#define LARGE (64u << 10)		/* bytes: what the sanitizer's allocator would map */
#define ARENA (96u << 20)		/* beyond it, it does */
#define FENCE 4096u

void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *p, size_t len);
void *__real_aligned_alloc(size_t to, size_t len);
void __real_free(void *p);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *p, size_t len);
void *__wrap_aligned_alloc(size_t to, size_t len);
void __wrap_free(void *p);

struct block {
	uint8_t *data;
	size_t len, room;		/* asked for; whole pages */
	bool is_used;
};

static uint8_t *arena;
static size_t arena_used;
static struct block blocks[512];
static uint32_t block_count, live;

uint32_t fuzz_alloc_live(void)
{
	return live;
}

static struct block *block_of(const void *p)
{
	for (uint32_t i = 0; arena && (const uint8_t *)p >= arena && (const uint8_t *)p < arena + ARENA; i++) {
		hf_assert(i < block_count);
		if (blocks[i].data == p)
			return &blocks[i];
	}
	return NULL;
}

static void arena_init(void)
{
	arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	hf_assert(arena != MAP_FAILED);
	__asan_poison_memory_region(arena, ARENA);
	__lsan_register_root_region(arena, ARENA);
}

/* NULL: it is for the sanitizer's allocator. */
static void *take(size_t len)
{
	size_t room = (len + FENCE - 1) / FENCE * FENCE;
	struct block *b = NULL;

	if (len < LARGE || len > ARENA)
		return NULL;
	if (!arena)
		arena_init();
	for (uint32_t i = 0; i < block_count && !b; i++)
		if (!blocks[i].is_used && blocks[i].room == room)
			b = &blocks[i];
	if (!b) {
		if (block_count == sizeof(blocks) / sizeof(blocks[0]) || arena_used + room + 2 * FENCE > ARENA)
			return NULL;
		b = &blocks[block_count++];
		*b = (struct block){ .data = arena + arena_used + FENCE, .room = room };
		arena_used += room + FENCE;
	}
	b->is_used = true;
	b->len = len;
	live++;
	__asan_unpoison_memory_region(b->data, len);
	return b->data;
}

void __wrap_free(void *p)
{
	struct block *b = block_of(p);

	if (!b) {
		__real_free(p);
		return;
	}
	hf_assert(b->is_used);		/* or it is freed twice */
	b->is_used = false;
	live--;
	__asan_poison_memory_region(b->data, b->room);
}

void *__wrap_malloc(size_t len)
{
	void *p = take(len);

	return p ? p : __real_malloc(len);
}

void *__wrap_aligned_alloc(size_t to, size_t len)
{
	void *p = to <= FENCE ? take(len) : NULL;

	return p ? p : __real_aligned_alloc(to, len);
}

void *__wrap_calloc(size_t count, size_t len)
{
	size_t all;
	void *p = __builtin_mul_overflow(count, len, &all) ? NULL : take(all);

	if (!p)
		return __real_calloc(count, len);
	memset(p, 0, all);
	return p;
}

void *__wrap_realloc(void *p, size_t len)
{
	struct block *b = block_of(p);
	void *q;

	if (!b)
		return __real_realloc(p, len);
	q = __wrap_malloc(len);
	if (q) {
		memcpy(q, p, len < b->len ? len : b->len);
		__wrap_free(p);
	}
	return q;
}

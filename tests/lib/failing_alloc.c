// SPDX-License-Identifier: MIT
/* failing_alloc - allocations that are counted, and fail when ordered. Any thread may allocate. */
#include "lib/failing_alloc.h"

#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "format/json_read.h"

/* The names that the product's calls get by failing_alloc.syms. */
void *hf_test_malloc(size_t size);
void *hf_test_calloc(size_t count, size_t size);
void *hf_test_realloc(void *p, size_t size);
void *hf_test_reallocarray(void *p, size_t count, size_t size);
void *hf_test_aligned_alloc(size_t align, size_t size);
char *hf_test_strdup(const char *s);
char *hf_test_strndup(const char *s, size_t n);
void hf_test_free(void *p);

static int64_t live, left;		/* left: allocations until one fails; 0: not armed */
static bool is_sticky_now, has_failed;
static sigjmp_buf stopped;

static bool fails(void)
{
	int64_t before = __atomic_load_n(&left, __ATOMIC_SEQ_CST);

	if (before == 0)
		return false;
	if (before > 1) {
		__atomic_fetch_sub(&left, 1, __ATOMIC_SEQ_CST);
		return false;
	}
	if (!is_sticky_now)
		__atomic_store_n(&left, 0, __ATOMIC_SEQ_CST);
	has_failed = true;
	return true;
}

static void *counted(void *p)
{
	if (p)
		__atomic_fetch_add(&live, 1, __ATOMIC_SEQ_CST);
	return p;
}

void *hf_test_malloc(size_t size)
{
	return fails() ? NULL : counted(malloc(size));
}

void *hf_test_calloc(size_t count, size_t size)
{
	return fails() ? NULL : counted(calloc(count, size));
}

void *hf_test_realloc(void *p, size_t size)
{
	if (fails())
		return NULL;
	return p ? realloc(p, size) : counted(realloc(p, size));
}

void *hf_test_reallocarray(void *p, size_t count, size_t size)
{
	if (fails())
		return NULL;
	return p ? reallocarray(p, count, size) : counted(reallocarray(p, count, size));
}

void *hf_test_aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : counted(aligned_alloc(align, size));
}

char *hf_test_strdup(const char *s)
{
	return fails() ? NULL : counted(strdup(s));
}

char *hf_test_strndup(const char *s, size_t n)
{
	return fails() ? NULL : counted(strndup(s, n));
}

void hf_test_free(void *p)
{
	if (p)
		__atomic_fetch_sub(&live, 1, __ATOMIC_SEQ_CST);
	free(p);
}

/* SQLite asks for the size of a block: it stands before it. */
#define HEAD 16u

static void *sqlite_take(int size)
{
	uint8_t *p = hf_test_malloc((size_t)size + HEAD);

	if (!p)
		return NULL;
	memcpy(p, &size, sizeof(size));
	return p + HEAD;
}

static void sqlite_give(void *p)
{
	hf_test_free((uint8_t *)p - HEAD);
}

static int sqlite_size(void *p)
{
	int size = 0;

	if (p)
		memcpy(&size, (uint8_t *)p - HEAD, sizeof(size));
	return size;
}

static void *sqlite_retake(void *p, int size)
{
	uint8_t *q = hf_test_realloc((uint8_t *)p - HEAD, (size_t)size + HEAD);

	if (!q)
		return NULL;
	memcpy(q, &size, sizeof(size));
	return q + HEAD;
}

static int sqlite_round(int size)
{
	return (size + 7) & ~7;
}

static int sqlite_begin(void *ctx)
{
	(void)ctx;
	return SQLITE_OK;
}

static void sqlite_end(void *ctx)
{
	(void)ctx;
}

static void on_abort(int sig)
{
	(void)sig;
	siglongjmp(stopped, 1);
}

void failing_alloc_init(void)
{
	static const sqlite3_mem_methods methods = { sqlite_take,  sqlite_give,	 sqlite_retake, sqlite_size,
						     sqlite_round, sqlite_begin, sqlite_end,	NULL };

	json_object_seed(1);
	hf_json_init();
	hf_assert(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
	hf_assert(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) == SQLITE_OK);
}

void failing_alloc_arm(uint64_t nth, bool is_sticky)
{
	is_sticky_now = is_sticky;
	has_failed = false;
	__atomic_store_n(&left, (int64_t)nth, __ATOMIC_SEQ_CST);
}

void failing_alloc_disarm(void)
{
	__atomic_store_n(&left, 0, __ATOMIC_SEQ_CST);
}

bool failing_alloc_came(void)
{
	return has_failed;
}

int64_t failing_alloc_live(void)
{
	return __atomic_load_n(&live, __ATOMIC_SEQ_CST);
}

bool failing_alloc_try(void (*fn)(void *ctx), void *ctx)
{
	struct sigaction act = { .sa_handler = on_abort, .sa_flags = SA_NODEFER }, old;

	sigaction(SIGABRT, &act, &old);
	if (sigsetjmp(stopped, 1)) {
		sigaction(SIGABRT, &old, NULL);
		return false;
	}
	fn(ctx);
	sigaction(SIGABRT, &old, NULL);
	return true;
}

void failing_alloc_free(void *p)
{
	hf_test_free(p);
}

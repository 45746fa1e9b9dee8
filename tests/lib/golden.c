// SPDX-License-Identifier: MIT
/* golden - hex files of frozen bytes: written, read, compared. */
#include "lib/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIR "tests/golden"
#define ROW 16u
#define LEN_MAX (1u << 20)

static char *path_of(const char *name, char out[256])
{
	snprintf(out, 256, DIR "/%s.hex", name);
	return out;
}

static void put_row(FILE *f, const char *before, const uint8_t *bytes, size_t at, size_t len)
{
	fprintf(f, "%s%06zx:", before, at);
	for (size_t i = at; i < at + ROW && i < len; i++)
		fprintf(f, " %02x", bytes[i]);
	fputs(" |", f);
	for (size_t i = at; i < at + ROW && i < len; i++)
		fputc(bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '.', f);
	fputs("|\n", f);
}

static bool row_is_zero(const uint8_t *bytes, size_t at, size_t len)
{
	for (size_t i = at; i < at + ROW && i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static void write_file(const char *name, const char *man, const uint8_t *bytes, size_t len)
{
	char path[256];
	FILE *f = fopen(path_of(name, path), "w");

	assert_non_null(f);
	fprintf(f, "# SPDX-License-Identifier: MIT\n# %s: %s\n", name, man);
	for (size_t at = 0; at < len; at += ROW)
		if (!row_is_zero(bytes, at, len))
			put_row(f, "", bytes, at, len);
	fprintf(f, "length %zu\n", len);
	assert_int_equal(fclose(f), 0);
}

/* One "offset: hex |text|" line into bytes[]. */
static void take_row(const char *path, const char *line, uint8_t *bytes)
{
	char *p;
	unsigned long at = strtoul(line, &p, 16);

	if (*p++ != ':' || at + ROW > LEN_MAX)
		fail_msg("%s: a line that is no row: %s", path, line);
	for (int n; sscanf(p, " %2hhx%n", &bytes[at], &n) == 1; at++)
		p += n;
	if (strncmp(p, " |", 2) != 0)
		fail_msg("%s: a row without an end: %s", path, line);
}

static uint8_t *read_file(const char *name, size_t *len)
{
	char path[256], line[256];
	uint8_t *bytes = calloc(1, LEN_MAX), *exact;
	FILE *f = fopen(path_of(name, path), "r");
	bool closed = false;

	assert_non_null(bytes);
	if (!f)
		fail_msg("%s is missing; programs run from the root of the tree, HF_GOLDEN_WRITE=1 writes it", path);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (sscanf(line, "length %zu", len) == 1)
			closed = true;
		else
			take_row(path, line, bytes);
	}
	fclose(f);
	if (!closed || *len > LEN_MAX)
		fail_msg("%s has no length", path);
	exact = golden_cut(bytes, *len);
	free(bytes);
	return exact;
}

static bool row_is_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len, size_t at)
{
	size_t n = at < a_len ? a_len - at : 0, m = at < b_len ? b_len - at : 0;

	n = n < ROW ? n : ROW;
	m = m < ROW ? m : ROW;
	return n == m && memcmp(a + at, b + at, n) == 0;
}

static void compare(const char *name, const uint8_t *want, size_t want_len, const uint8_t *got, size_t got_len)
{
	size_t longest = want_len > got_len ? want_len : got_len, first = 0;

	while (first < want_len && first < got_len && want[first] == got[first])
		first++;
	if (first == longest)
		return;
	fprintf(stderr, "%s: the first difference is at offset %zu (0x%zx)\n", name, first, first);
	for (size_t at = 0; at < longest; at += ROW) {
		if (row_is_equal(want, want_len, got, got_len, at))
			continue;
		if (at < want_len)
			put_row(stderr, "-", want, at, want_len);
		if (at < got_len)
			put_row(stderr, "+", got, at, got_len);
	}
	fail_msg("%s: %zu bytes frozen, %zu written now; they differ at offset %zu", name, want_len, got_len, first);
}

uint8_t *golden_check(const char *name, const char *man, const void *bytes, size_t len)
{
	const char *write = getenv("HF_GOLDEN_WRITE");
	size_t frozen_len = 0;
	uint8_t *frozen;

	if (write && strcmp(write, "1") == 0)
		write_file(name, man, bytes, len);
	frozen = read_file(name, &frozen_len);
	compare(name, frozen, frozen_len, bytes, len);
	return frozen;
}

uint8_t *golden_cut(const void *bytes, size_t n)
{
	uint8_t *p = malloc(n ? n : 1);	/* malloc(0) may be NULL */

	assert_non_null(p);
	memcpy(p, bytes, n);
	return p;
}

void golden_refuses_flips(const char *name, const uint8_t *bytes, size_t len, golden_taken *taken, void *ctx)
{
	uint8_t *p = golden_cut(bytes, len);

	if (!taken(p, ctx))
		fail_msg("%s is refused as it is", name);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (taken(p, ctx))
			fail_msg("%s: bit %zu of byte %zu flipped, and it is taken", name, bit % 8, bit / 8);
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(p);
}

void golden_refuses_torn(const char *name, const uint8_t *bytes, size_t len, golden_taken *taken, void *ctx)
{
	uint8_t *p = golden_cut(bytes, len);

	for (size_t n = len; n-- > 0;) {
		p[n] = 0;
		if (memcmp(p, bytes, len) != 0 && taken(p, ctx))
			fail_msg("%s: only %zu of %zu bytes are there, and it is taken", name, n, len);
	}
	free(p);
}

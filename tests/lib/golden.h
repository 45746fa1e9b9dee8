/* SPDX-License-Identifier: MIT */
/*
 * golden - bytes that were frozen in tests/golden/NAME.hex, and buffers that end where the format says they end.
 *
 * A file has lines of up to 16 bytes, "offset: hex |text|"; lines of zeros are left out; "length N" closes it. Programs
 * run from the root of the tree. HF_GOLDEN_WRITE=1 writes the files instead of comparing.
 */
#ifndef HF_TESTS_LIB_GOLDEN_H
#define HF_TESTS_LIB_GOLDEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Compares with NAME.hex; the test fails with a diff when a byte differs. `man` is the page and section that describe
 * the bytes. Returns what the file holds in a heap buffer of just that length; the caller frees it.
 */
uint8_t *golden_check(const char *name, const char *man, const void *bytes, size_t len);
/* The first n bytes, the end of a heap block, so that a sanitizer sees one byte too many being read. */
uint8_t *golden_cut(const void *bytes, size_t n);

/* Does a decoder take these bytes? */
typedef bool golden_taken(const uint8_t *bytes, void *ctx);
/* Every single flipped bit is refused. */
void golden_refuses_flips(const char *name, const uint8_t *bytes, size_t len, golden_taken *taken, void *ctx);
/* So is a write of which only the first n bytes arrived on zeros, for every n that leaves a difference. */
void golden_refuses_torn(const char *name, const uint8_t *bytes, size_t len, golden_taken *taken, void *ctx);

#endif

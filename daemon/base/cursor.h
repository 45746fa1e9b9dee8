/* SPDX-License-Identifier: MIT */
/*
 * cursor - bounds-checked little-endian reader and writer over a byte range.
 *
 * A cursor that runs past its end turns bad and stays bad: readers return zeros, writers write nothing. Check once at
 * the end.
 */
#ifndef HF_BASE_CURSOR_H
#define HF_BASE_CURSOR_H

#include <stdbool.h>

#include "base/le.h"
#include "base/uuid.h"

struct hf_cursor {
	uint8_t *p;
	size_t left;
	bool bad;
};

static inline struct hf_cursor hf_cursor_over(const void *p, size_t len)
{
	return (struct hf_cursor){ .p = (uint8_t *)(uintptr_t)p, .left = len };
}

/* The next n bytes, or NULL. */
static inline void *hf_cursor_take(struct hf_cursor *c, size_t n)
{
	uint8_t *p = c->p;

	if (c->bad || n > c->left) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	c->left -= n;
	return p;
}

static inline void hf_cursor_get_bytes(struct hf_cursor *c, void *out, size_t n)
{
	const void *p = hf_cursor_take(c, n);

	if (p)
		memcpy(out, p, n);
	else
		memset(out, 0, n);
}

static inline void hf_cursor_put_bytes(struct hf_cursor *c, const void *in, size_t n)
{
	void *p = hf_cursor_take(c, n);

	if (p)
		memcpy(p, in, n);
}

#define HF_CURSOR_DEFINE(bits) \
	static inline uint##bits##_t hf_cursor_get##bits(struct hf_cursor *c) \
	{ \
		hf_le##bits x; \
		hf_cursor_get_bytes(c, &x, sizeof(x)); \
		return hf_get_le##bits(x); \
	} \
	static inline void hf_cursor_put##bits(struct hf_cursor *c, uint##bits##_t v) \
	{ \
		hf_le##bits x = hf_put_le##bits(v); \
		hf_cursor_put_bytes(c, &x, sizeof(x)); \
	}

HF_CURSOR_DEFINE(16)
HF_CURSOR_DEFINE(32)
HF_CURSOR_DEFINE(64)

static inline uint8_t hf_cursor_get8(struct hf_cursor *c)
{
	uint8_t v;

	hf_cursor_get_bytes(c, &v, 1);
	return v;
}

static inline void hf_cursor_put8(struct hf_cursor *c, uint8_t v)
{
	hf_cursor_put_bytes(c, &v, 1);
}

/* A boolean is 0 or 1; anything else is bad. */
static inline bool hf_cursor_get_bool(struct hf_cursor *c)
{
	uint8_t v = hf_cursor_get8(c);

	if (v > 1)
		c->bad = true;
	return v == 1;
}

/* n bytes that have to be zero. */
static inline void hf_cursor_get_zeros(struct hf_cursor *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (hf_cursor_get8(c) != 0)
			c->bad = true;
}

static inline void hf_cursor_put_zeros(struct hf_cursor *c, size_t n)
{
	void *p = hf_cursor_take(c, n);

	if (p)
		memset(p, 0, n);
}

static inline void hf_cursor_get_uuid(struct hf_cursor *c, struct hf_uuid *u)
{
	hf_cursor_get_bytes(c, u->b, sizeof(u->b));
}

static inline void hf_cursor_put_uuid(struct hf_cursor *c, const struct hf_uuid *u)
{
	hf_cursor_put_bytes(c, u->b, sizeof(u->b));
}

/* A fixed field of n bytes that holds a NUL-terminated string padded with zeros. */
static inline void hf_cursor_get_text(struct hf_cursor *c, char *out, size_t n)
{
	hf_cursor_get_bytes(c, out, n);
	if (out[n - 1] != '\0')
		c->bad = true;
	out[n - 1] = '\0';
}

/* Nothing bad, and nothing left over. */
static inline bool hf_cursor_is_done(const struct hf_cursor *c)
{
	return !c->bad && c->left == 0;
}

#endif

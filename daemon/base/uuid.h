/* SPDX-License-Identifier: MIT */
/* uuid - 16-byte identities; made from random bytes that the caller brings. */
#ifndef HF_BASE_UUID_H
#define HF_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define HF_UUID_TEXT 37			/* bytes with the final NUL */

struct hf_uuid {
	uint8_t b[16];
};

static inline bool hf_uuid_is_equal(const struct hf_uuid *a, const struct hf_uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool hf_uuid_is_zero(const struct hf_uuid *u);
/* Text form 8-4-4-4-12, lower case; returns `out`. */
char *hf_uuid_format(const struct hf_uuid *u, char out[HF_UUID_TEXT]);
/* 0, or -EINVAL with *out untouched. */
int hf_uuid_parse(const char *text, struct hf_uuid *out);
/* Version 4 bits set into 16 random bytes (RFC 9562 5.4). */
void hf_uuid_stamp(struct hf_uuid *u);

#endif

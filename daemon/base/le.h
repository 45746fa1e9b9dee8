/* SPDX-License-Identifier: MIT */
/*
 * le - little-endian integers as byte arrays: alignment 1, no padding, no forgotten conversion.
 * Everything on disk and on the wire is made of these.
 */
#ifndef HF_BASE_LE_H
#define HF_BASE_LE_H

#include <stdint.h>
#include <string.h>

typedef struct { uint8_t b[2]; } hf_le16;
typedef struct { uint8_t b[4]; } hf_le32;
typedef struct { uint8_t b[8]; } hf_le64;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HF_LE_FIX(bits, v) (v)
#else
#define HF_LE_FIX(bits, v) __builtin_bswap##bits(v)
#endif

#define HF_LE_DEFINE(bits) \
	static inline uint##bits##_t hf_get_le##bits(hf_le##bits x) \
	{ \
		uint##bits##_t v; \
		memcpy(&v, x.b, sizeof(v)); \
		return HF_LE_FIX(bits, v); \
	} \
	static inline hf_le##bits hf_put_le##bits(uint##bits##_t v) \
	{ \
		hf_le##bits x; \
		v = HF_LE_FIX(bits, v); \
		memcpy(x.b, &v, sizeof(v)); \
		return x; \
	}

HF_LE_DEFINE(16)
HF_LE_DEFINE(32)
HF_LE_DEFINE(64)

#endif

// SPDX-License-Identifier: MIT
/*
 * csum - the one place that knows how isa-l seeds its crc32c (RFC 3720 inverts at both ends, isa-l leaves that to
 * us).
 */
#include "codec/csum.h"

#include <isa-l/crc.h>

#include "base/assert.h"
#include "base/limits.h"

/* isa-l takes an int: longer ranges go in steps. */
#define STEP_BYTES (1u << 30)

uint32_t hf_crc32c_extend(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	crc = ~crc;
	while (len > 0) {
		size_t step = len < STEP_BYTES ? len : STEP_BYTES;

		crc = crc32_iscsi((uint8_t *)(uintptr_t)p, (int)step, crc);
		p += step;
		len -= step;
	}
	return ~crc;
}

uint32_t hf_crc32c(const void *data, size_t len)
{
	return hf_crc32c_extend(0, data, len);
}

uint32_t hf_crc32c_zero_block(void)
{
	return 0x98f94189; /* of HF_BLOCK zeros; test_codec_csum.c computes it again */
}

bool hf_frag_is_intact(const void *frag, size_t len, uint32_t crc)
{
	uint32_t is = hf_crc32c(frag, len);

	return is == crc || is == hf_crc32c_lost(crc);
}

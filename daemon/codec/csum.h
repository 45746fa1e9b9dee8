/* SPDX-License-Identifier: MIT */
/* csum - crc32c (Castagnoli, RFC 3720 B.4) by isa-l. */
#ifndef HF_CODEC_CSUM_H
#define HF_CODEC_CSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* crc32c of `len` bytes; hf_crc32c("123456789", 9) == 0xe3069283. */
uint32_t hf_crc32c(const void *data, size_t len);
/* Go on from an earlier result: crc of a+b == extend(crc(a), b). */
uint32_t hf_crc32c_extend(uint32_t crc, const void *data, size_t len);
/* crc32c of a block of zeros. */
uint32_t hf_crc32c_zero_block(void);

/*
 * A block that is lost keeps its place in logs and images: its fragments stand under the inverted checksum. So every
 * reader finds it bad and none takes it for data, until a write makes it whole again.
 */
static inline uint32_t hf_crc32c_lost(uint32_t crc)
{
	return ~crc;
}
/* Is this fragment as it was sent or stored? True for one that is marked lost as well. */
bool hf_frag_is_intact(const void *frag, size_t len, uint32_t crc);

#endif

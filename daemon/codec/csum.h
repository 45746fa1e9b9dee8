/* SPDX-License-Identifier: MIT */
/* csum - crc32c (Castagnoli, RFC 3720 B.4) by isa-l. */
#ifndef HF_CODEC_CSUM_H
#define HF_CODEC_CSUM_H

#include <stddef.h>
#include <stdint.h>

/* crc32c of `len` bytes; hf_crc32c("123456789", 9) == 0xe3069283. */
uint32_t hf_crc32c(const void *data, size_t len);
/* Go on from an earlier result: crc of a+b == extend(crc(a), b). */
uint32_t hf_crc32c_extend(uint32_t crc, const void *data, size_t len);
/* crc32c of a block of zeros. */
uint32_t hf_crc32c_zero_block(void);

#endif

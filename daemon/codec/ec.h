/* SPDX-License-Identifier: MIT */
/*
 * ec - Reed-Solomon of one 4 KiB block: systematic Cauchy matrix over GF(2^8), poly 0x11d (isa-l erasure_code).
 *
 * Fragment i < k is bytes [i*4096/k, (i+1)*4096/k) of the block; fragments k..k+m-1 are parity. k == 1: all are copies.
 */
#ifndef HF_CODEC_EC_H
#define HF_CODEC_EC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

struct hf_ec {
	uint8_t k, m;
	uint8_t matrix[(HF_K_MAX + HF_M_MAX) * HF_K_MAX];
	uint8_t tables[HF_M_MAX][HF_K_MAX * 32]; /* isa-l's expanded row of each parity fragment */
};

/* Is this k, m allowed? k in {1,2,4,8}, m in 1..4 (m == 0 with k == 1: whole legs only). */
bool hf_ec_is_allowed(unsigned k, unsigned m);
/* Ready the tables; 0 or -EINVAL. */
int hf_ec_init(struct hf_ec *ec, unsigned k, unsigned m);
/* Bytes of a fragment. */
uint32_t hf_ec_frag_size(const struct hf_ec *ec);
/* Fragment `frag` of `block` (4096 bytes) into `out` (hf_ec_frag_size bytes). */
void hf_ec_encode(const struct hf_ec *ec, unsigned frag, const void *block, void *out);
/*
 * Rebuild the block from any k fragments: frag[i] is fragment i or NULL when missing. 0, or -EBADMSG when fewer than
 * k are present (out is then undefined).
 */
int hf_ec_decode(const struct hf_ec *ec, const void *const frag[], void *block);
/*
 * As hf_ec_decode, with proof: tries k-subsets of the fragments present until the block's crc32c equals `block_crc`.
 * *bad_mask gets a bit for every present fragment that does not belong to that block. 0, or -EBADMSG when no subset
 * fits.
 */
int hf_ec_decode_checked(const struct hf_ec *ec, const void *const frag[], uint32_t block_crc, void *block,
			 uint32_t *bad_mask);

#endif

// SPDX-License-Identifier: MIT
/*
 * ec - the only file that knows isa-l's erasure code; k == 1 never reaches it: every fragment is a copy of the block.
 */
#include "codec/ec.h"

#include <errno.h>
#include <isa-l/erasure_code.h>
#include <string.h>

#include "base/assert.h"
#include "codec/csum.h"

#define N_MAX (HF_K_MAX + HF_M_MAX)

bool hf_ec_is_allowed(unsigned k, unsigned m)
{
	if (m > HF_M_MAX || (m == 0 && k != 1))
		return false;
	return k == 1 || k == 2 || k == 4 || k == 8;
}

int hf_ec_init(struct hf_ec *ec, unsigned k, unsigned m)
{
	if (!hf_ec_is_allowed(k, m))
		return -EINVAL;
	memset(ec, 0, sizeof(*ec));
	ec->k = (uint8_t)k;
	ec->m = (uint8_t)m;
	gf_gen_cauchy1_matrix(ec->matrix, (int)(k + m), (int)k);
	for (unsigned i = 0; i < m; i++)
		ec_init_tables((int)k, 1, &ec->matrix[(k + i) * k], ec->tables[i]);
	return 0;
}

uint32_t hf_ec_frag_size(const struct hf_ec *ec)
{
	return HF_BLOCK / ec->k;
}

void hf_ec_encode(const struct hf_ec *ec, unsigned frag, const void *block, void *out)
{
	uint32_t size = hf_ec_frag_size(ec);
	uint8_t *data[HF_K_MAX], *coding[1] = { out };

	hf_assert(frag < (unsigned)ec->k + ec->m);
	if (ec->k == 1 || frag < ec->k) {
		memcpy(out, (const uint8_t *)block + (ec->k == 1 ? 0 : frag * size), size);
		return;
	}
	for (unsigned i = 0; i < ec->k; i++)
		data[i] = (uint8_t *)(uintptr_t)block + i * size;
	ec_encode_data((int)size, ec->k, 1, (uint8_t *)(uintptr_t)ec->tables[frag - ec->k], data, coding);
}

/* Rebuild the data fragments that `use` (k fragments, bit mask) lacks. */
static void rebuild(const struct hf_ec *ec, const void *const frag[], uint32_t use, uint8_t *block)
{
	uint8_t part[HF_K_MAX * HF_K_MAX], inverse[HF_K_MAX * HF_K_MAX];
	uint8_t rows[HF_M_MAX * HF_K_MAX], tables[HF_M_MAX * HF_K_MAX * 32];
	uint8_t *from[HF_K_MAX], *to[HF_M_MAX];
	uint32_t k = ec->k, size = hf_ec_frag_size(ec), used = 0, missing = 0;

	for (uint32_t i = 0; i < k + ec->m; i++) {
		if (!(use & 1u << i))
			continue;
		memcpy(&part[used * k], &ec->matrix[i * k], k);
		from[used++] = (uint8_t *)(uintptr_t)frag[i];
	}
	hf_assert(used == k);
	/* Every square part of an identity over Cauchy matrix can be inverted. */
	hf_assert(gf_invert_matrix(part, inverse, (int)k) == 0);
	for (uint32_t i = 0; i < k; i++) {
		if (use & 1u << i)
			continue;
		memcpy(&rows[missing * k], &inverse[i * k], k);
		to[missing++] = block + i * size;
	}
	ec_init_tables((int)k, (int)missing, rows, tables);
	ec_encode_data((int)size, (int)k, (int)missing, tables, from, to);
}

static void decode_from(const struct hf_ec *ec, const void *const frag[], uint32_t use, uint8_t *block)
{
	uint32_t size = hf_ec_frag_size(ec);

	if (ec->k == 1) {
		memcpy(block, frag[__builtin_ctz(use)], HF_BLOCK);
		return;
	}
	for (uint32_t i = 0; i < ec->k; i++)
		if (use & 1u << i)
			memcpy(block + i * size, frag[i], size);
	if (use != (1u << ec->k) - 1)
		rebuild(ec, frag, use, block);
}

static uint32_t present_mask(const struct hf_ec *ec, const void *const frag[])
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < (uint32_t)ec->k + ec->m; i++)
		if (frag[i])
			mask |= 1u << i;
	return mask;
}

int hf_ec_decode(const struct hf_ec *ec, const void *const frag[], void *block)
{
	uint32_t present = present_mask(ec, frag), use = 0;

	/* The lowest fragments first: data is copied, parity costs arithmetic. */
	for (uint32_t i = 0; i < ec->k; i++) {
		if (present == 0)
			return -EBADMSG;
		use |= present & -present;
		present &= present - 1;
	}
	decode_from(ec, frag, use, block);
	return 0;
}

/* Present fragments that the block does not encode to. */
static uint32_t strangers(const struct hf_ec *ec, const void *const frag[], uint32_t check, const void *block)
{
	uint32_t bad = 0;
	uint8_t own[HF_BLOCK];

	for (uint32_t i = 0; i < (uint32_t)ec->k + ec->m; i++) {
		if (!(check & 1u << i))
			continue;
		hf_ec_encode(ec, i, block, own);
		if (memcmp(own, frag[i], hf_ec_frag_size(ec)) != 0)
			bad |= 1u << i;
	}
	return bad;
}

/* Subsets in ascending order of their mask: the one of the lowest fragments first. At most C(12,8) = 495. */
int hf_ec_decode_checked(const struct hf_ec *ec, const void *const frag[], uint32_t block_crc, void *block,
			 uint32_t *bad_mask)
{
	uint32_t present = present_mask(ec, frag), end = 1u << (ec->k + ec->m);

	for (uint32_t use = (1u << ec->k) - 1; use < end; use++) {
		if ((use & ~present) != 0 || __builtin_popcount(use) != ec->k)
			continue;
		decode_from(ec, frag, use, block);
		if (hf_crc32c(block, HF_BLOCK) != block_crc)
			continue;
		*bad_mask = strangers(ec, frag, present & ~use, block);
		return 0;
	}
	return -EBADMSG;
}

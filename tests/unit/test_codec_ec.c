// SPDX-License-Identifier: MIT
/* Needs: libhf_codec libhf_base, isa-l. Every geometry, every set of missing fragments, every single bad fragment. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/csum.h"
#include "codec/ec.h"

#define N_MAX (HF_K_MAX + HF_M_MAX)

static struct hf_ec ec;
static uint8_t block[HF_BLOCK], out[HF_BLOCK], frags[N_MAX][HF_BLOCK];
static const uint8_t ks[] = { 1, 2, 4, 8 };

static void fill(uint32_t seed)
{
	for (uint32_t i = 0; i < HF_BLOCK; i++) {
		seed = seed * 1664525u + 1013904223u;
		block[i] = (uint8_t)(seed >> 24);
	}
	for (unsigned i = 0; i < (unsigned)ec.k + ec.m; i++)
		hf_ec_encode(&ec, i, block, frags[i]);
}

static void pick(uint32_t mask, const void *frag[N_MAX])
{
	for (unsigned i = 0; i < N_MAX; i++)
		frag[i] = mask & 1u << i ? frags[i] : NULL;
}

static void test_ec_allows_only_the_geometries_of_the_design(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 12; k++)
		for (unsigned m = 0; m < 8; m++) {
			bool good = (k == 1 && m == 0) || ((k == 1 || k == 2 || k == 4 || k == 8) && m >= 1 && m <= 4);

			assert_int_equal(hf_ec_is_allowed(k, m), good);
			assert_int_equal(hf_ec_init(&ec, k, m), good ? 0 : -EINVAL);
		}
}

static void test_ec_data_fragments_are_slices_and_k1_is_copies(void **state)
{
	(void)state;
	for (unsigned g = 0; g < 4; g++) {
		assert_int_equal(hf_ec_init(&ec, ks[g], 4), 0);
		fill(g);
		for (unsigned i = 0; i < ec.k; i++)
			assert_memory_equal(frags[i], block + i * hf_ec_frag_size(&ec), hf_ec_frag_size(&ec));
		for (unsigned i = 0; ec.k == 1 && i < 5; i++)
			assert_memory_equal(frags[i], block, HF_BLOCK);
	}
}

static void test_ec_zeros_encode_to_zeros(void **state)
{
	static const uint8_t zeros[HF_BLOCK];

	(void)state;
	for (unsigned g = 0; g < 4; g++) {
		assert_int_equal(hf_ec_init(&ec, ks[g], 4), 0);
		for (unsigned i = 0; i < ec.k + 4u; i++) {
			memset(out, 1, sizeof(out));
			hf_ec_encode(&ec, i, zeros, out);
			assert_memory_equal(out, zeros, hf_ec_frag_size(&ec));
		}
	}
}

/* Computed apart, by long multiplication: what is on disks must decode for ever, so the matrix is pinned. */
static void test_ec_parity_bytes_are_frozen(void **state)
{
	uint8_t parity[HF_BLOCK];

	(void)state;
	for (unsigned i = 0; i < HF_BLOCK; i++)
		block[i] = (uint8_t)(i * 7 + (i >> 8));
	assert_int_equal(hf_ec_init(&ec, 2, 1), 0);
	hf_ec_encode(&ec, 2, block, parity);
	assert_int_equal(hf_crc32c(parity, 2048), 0xb9343dbc);
	assert_int_equal(hf_ec_init(&ec, 8, 4), 0);
	hf_ec_encode(&ec, 11, block, parity);
	assert_int_equal(hf_crc32c(parity, 512), 0x03ec64a0);
}

static void test_ec_any_k_fragments_give_the_block_back(void **state)
{
	const void *frag[N_MAX];

	(void)state;
	for (unsigned g = 0; g < 4; g++)
		for (unsigned m = 1; m <= 4; m++) {
			assert_int_equal(hf_ec_init(&ec, ks[g], m), 0);
			fill(g * 5 + m);
			for (uint32_t mask = 0; mask < 1u << (ec.k + m); mask++) {
				pick(mask, frag);
				if (__builtin_popcount(mask) < ec.k) {
					assert_int_equal(hf_ec_decode(&ec, frag, out), -EBADMSG);
					continue;
				}
				memset(out, 0xee, sizeof(out));
				assert_int_equal(hf_ec_decode(&ec, frag, out), 0);
				assert_memory_equal(out, block, HF_BLOCK);
			}
		}
}

static void test_ec_checked_decode_names_the_bad_fragments(void **state)
{
	const void *frag[N_MAX];

	(void)state;
	for (unsigned g = 0; g < 4; g++)
		for (unsigned m = 1; m <= 4; m++) {
			uint32_t all, bad, crc;

			assert_int_equal(hf_ec_init(&ec, ks[g], m), 0);
			fill(g * 7 + m);
			crc = hf_crc32c(block, HF_BLOCK);
			all = (1u << (ec.k + m)) - 1;
			for (unsigned i = 0; i < (unsigned)ec.k + m; i++) {
				frags[i][i * 31 % hf_ec_frag_size(&ec)] ^= 0x40;
				pick(all, frag);
				memset(out, 0xee, sizeof(out));
				assert_int_equal(hf_ec_decode_checked(&ec, frag, crc, out, &bad), 0);
				assert_memory_equal(out, block, HF_BLOCK);
				assert_int_equal(bad, 1u << i);
				frags[i][i * 31 % hf_ec_frag_size(&ec)] ^= 0x40;
			}
		}
}

static void test_ec_checked_decode_refuses_what_no_subset_proves(void **state)
{
	const void *frag[N_MAX];
	uint32_t bad = 77;

	(void)state;
	assert_int_equal(hf_ec_init(&ec, 4, 2), 0);
	fill(3);
	for (unsigned i = 0; i < 3; i++)
		frags[i][0] ^= 1;
	pick(0x3f, frag);
	assert_int_equal(hf_ec_decode_checked(&ec, frag, hf_crc32c(block, HF_BLOCK), out, &bad), -EBADMSG);
	assert_int_equal(bad, 77);
	pick(0x07, frag);
	assert_int_equal(hf_ec_decode_checked(&ec, frag, hf_crc32c(block, HF_BLOCK), out, &bad), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ec_allows_only_the_geometries_of_the_design),
		cmocka_unit_test(test_ec_data_fragments_are_slices_and_k1_is_copies),
		cmocka_unit_test(test_ec_zeros_encode_to_zeros),
		cmocka_unit_test(test_ec_parity_bytes_are_frozen),
		cmocka_unit_test(test_ec_any_k_fragments_give_the_block_back),
		cmocka_unit_test(test_ec_checked_decode_names_the_bad_fragments),
		cmocka_unit_test(test_ec_checked_decode_refuses_what_no_subset_proves),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

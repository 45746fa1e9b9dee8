// SPDX-License-Identifier: MIT
/*
 * fuzz_super - the superblock: format/disk.c decodes it, and the store opens the leg that it describes.
 *
 * First byte: what is done with a leg that opens; bit 7: leave the checksums alone. Then for each slot which bytes of a
 * good superblock are others: a count, and so many (offset, byte).
 */
#include "codec/csum.h"
#include "fuzz/fuzz_leg.h"

#define UNTOUCHED 0xa5

static struct fuzz_reactor *x;

/* The last 4 bytes, as format/disk.c seals a page with salt 0. */
static void seal(uint8_t *page)
{
	static const uint8_t salt[4];
	uint32_t crc = hf_crc32c_extend(hf_crc32c(salt, sizeof(salt)), page, HF_DISK_PAGE - 4);
	hf_le32 le = hf_put_le32(crc ? crc : 1);

	memcpy(page + HF_DISK_PAGE - 4, &le, sizeof(le));
}

/* What is taken over says the same when it is written again; what is refused leaves the output alone. */
static void judge(const uint8_t *page)
{
	static struct hf_disk_super a, b;
	uint8_t again[HF_DISK_PAGE], twice[HF_DISK_PAGE];
	const uint8_t *p = (const uint8_t *)&a;
	const char *why;
	int ret;

	memset(&a, UNTOUCHED, sizeof(a));
	ret = hf_disk_super_decode(page, &a, &why);
	hf_assert(ret == 0 ? !why : ret == -EUCLEAN && why);
	if (ret) {
		for (size_t i = 0; i < sizeof(a); i++)
			hf_assert(p[i] == UNTOUCHED);
		return;
	}
	hf_disk_super_encode(again, &a);
	hf_assert(hf_disk_super_decode(again, &b, &why) == 0);
	hf_disk_super_encode(twice, &b);
	hf_assert(memcmp(again, twice, HF_DISK_PAGE) == 0);
}

static void spoil(struct fuzz_in *in, uint8_t *page, bool sealed)
{
	for (uint8_t n = fuzz_u8(in); n > 0 && in->left; n--) {
		uint32_t at = fuzz_u16(in);

		/* mostly what is said, seldom the zeros behind it */
		page[at & 0x8000 ? at % HF_DISK_PAGE : at % 320] = fuzz_u8(in);
	}
	if (sealed)
		seal(page);
}

void fuzz_one(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	uint8_t how = fuzz_u8(&in), page[HF_DISK_PAGE];
	struct fuzz_leg leg;

	if (!x)
		x = fuzz_reactor_new();
	fuzz_leg_make(&leg, x, (uint8_t)(1u << (how >> 4 & 3)));
	for (uint32_t slot = 0; slot < 2; slot++) {
		leg.sb.generation = 4 + slot;
		hf_disk_super_encode(page, &leg.sb);
		spoil(&in, page, !(how & 128));
		judge(page);
		fuzz_disk_put(x, slot * HF_DISK_PAGE, page, sizeof(page));
	}
	fuzz_leg_judge(&leg, how);
}

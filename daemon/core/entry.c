// SPDX-License-Identifier: MIT
/* entry - chain checksum of an op and questions to the epoch cache; implements H10, H11 and H25 of the protocol. */
#include "core/entry.h"

#include "base/assert.h"
#include "base/le.h"
#include "base/sometimes.h"
#include "codec/csum.h"
#include "core/guard.h"

struct chain_head {
	hf_le64 epoch, seq, lba;
	hf_le32 nblocks;
	uint8_t type;
};

_Static_assert(sizeof(struct chain_head) == 29, "chained bytes have no padding");

uint32_t hf_entry_chain(uint32_t prev, const struct hf_entry *e)
{
	struct chain_head h = {
		.epoch = hf_put_le64(e->epoch),
		.seq = hf_put_le64(e->seq),
		.lba = hf_put_le64(e->lba),
		.nblocks = hf_put_le32(e->nblocks),
		.type = e->type,
	};
	hf_le32 crc[HF_WRITE_BLOCKS_MAX];
	uint32_t chain = hf_crc32c_extend(prev, &h, sizeof(h));

	if (e->type != HF_OP_WRITE)
		return chain;
	hf_assert(e->nblocks <= HF_WRITE_BLOCKS_MAX);
	for (uint32_t i = 0; i < e->nblocks; i++)
		crc[i] = hf_put_le32(e->block_crc[i]);
	return hf_crc32c_extend(chain, crc, e->nblocks * sizeof(crc[0]));
}

/* Index of the epoch that `seq` belongs to, or -1. */
static int index_at(const struct hf_epoch_cache *c, hf_seq seq)
{
	for (int i = (int)c->count - 1; i >= 0; i--)
		if (c->at[i].start <= seq)
			return i;
	return -1;
}

hf_epoch hf_epoch_cache_at(const struct hf_epoch_cache *c, hf_seq seq)
{
	int i = index_at(c, seq);

	return i < 0 ? 0 : c->at[i].epoch;
}

bool hf_epoch_cache_is_alive(const struct hf_epoch_cache *c, hf_epoch epoch, hf_seq seq)
{
	return epoch != 0 && hf_epoch_cache_at(c, seq) == epoch;
}

void hf_epoch_cache_add(struct hf_epoch_cache *c, hf_epoch epoch, hf_seq start)
{
	hf_assert(epoch != 0 && c->count <= HF_EPOCHS_MAX);
	hf_assert(c->count == 0 || c->at[c->count - 1].epoch < epoch);
	while (c->count > 0 && c->at[c->count - 1].start >= start)
		c->count--;
	if (c->count == HF_EPOCHS_MAX) {
		memmove(&c->at[0], &c->at[1], (HF_EPOCHS_MAX - 1) * sizeof(c->at[0]));
		c->count--;
	}
	c->at[c->count++] = (struct hf_epoch_start){ .epoch = epoch, .start = start };
}

/* Each turn of the loop leaves one epoch of a or b behind, so it ends. */
hf_seq hf_epoch_cache_common(const struct hf_epoch_cache *a, hf_seq a_last, const struct hf_epoch_cache *b,
			     hf_seq b_last)
{
	hf_seq s = a_last < b_last ? a_last : b_last;

	while (s > 0) {
		int i = index_at(a, s), j = index_at(b, s);

		if (i < 0 || j < 0)
			return 0;
		if (!HF_GUARD(MATCH) || a->at[i].epoch == b->at[j].epoch)
			return s;
		HF_SOMETIMES(EPOCH_LOGS_PART);
		s = a->at[i].epoch > b->at[j].epoch ? a->at[i].start : b->at[j].start;
		if (s > 0)
			s--;
	}
	return 0;
}

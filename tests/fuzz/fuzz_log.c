// SPDX-License-Identifier: MIT
/*
 * fuzz_log - recovery of a leg's log, store/leg_recover.c. The input says how the ring came to be: batches of entries,
 * each right unless the input bends it; the checksums are put right so that what is behind them is reached.
 *
 * First byte: layout, and what is done with the leg that opens. Then batches; see batch() and entry().
 */
#include <stdlib.h>

#include "codec/csum.h"
#include "core/entry.h"
#include "fuzz/fuzz_leg.h"

#define STREAM_MAX (FUZZ_LEG_LOG / HF_DISK_SECTOR * HF_DISK_SECTOR_DATA)

enum { BEND_SEQ = 8, BEND_CHAIN = 16, BEND_EPOCH = 32, BEND_LBA = 64, BEND_CRC = 128 };
enum { TEAR = 1, BEND_HEAD = 2, BEND_NUMBER = 4, TO_START = 8, COMMIT_ALL = 16, FLIP = 32 };

static struct fuzz_reactor *x;
static uint8_t ring[FUZZ_LEG_LOG], stream[STREAM_MAX];

/* Where the log goes on. */
struct writer {
	struct fuzz_leg leg;
	struct fuzz_in *in;
	uint32_t at;			/* bytes in the ring */
	uint64_t no;
	hf_seq seq;
	uint32_t chain;
};

/* One entry into the stream at `len`; bytes that it took, 0: no room. */
static uint32_t entry(struct writer *w, uint32_t len)
{
	uint8_t flags = fuzz_u8(w->in), fill = fuzz_u8(w->in);
	struct hf_entry e = { .type = flags & 7, .seq = w->seq + 1, .prev_chain = w->chain, .ver = fill };
	uint32_t size, data;

	e.lba = fuzz_u16(w->in) % (FUZZ_LEG_CHUNKS * HF_CHUNK_BLOCKS + 8);
	e.nblocks = e.type == HF_OP_ZERO ? fuzz_u16(w->in) : fuzz_u8(w->in) % (HF_WRITE_BLOCKS_MAX + 2);
	if (e.type == HF_OP_NOP || e.type == HF_OP_RESIZE)
		e.nblocks = 0;
	if (e.type == HF_OP_RESYNC) {
		e.seq = fuzz_u8(w->in);
		e.skip = fuzz_u64(w->in);
		e.zero = fuzz_u64(w->in);
	}
	if (flags & BEND_SEQ)
		e.seq = w->seq + (uint64_t)(int64_t)(int8_t)fuzz_u8(w->in);
	e.epoch = e.seq < 10 ? 1 : 3;
	if (flags & BEND_EPOCH)
		e.epoch = fuzz_u8(w->in) & 3;
	if (flags & BEND_LBA)
		e.lba = fuzz_u64(w->in);
	if (!hf_entry_has_payload(&e))
		data = 0;
	else if (e.nblocks > HF_WRITE_BLOCKS_MAX)
		e.nblocks = data = 0;	/* encodes as none: refused by its length */
	else
		data = e.nblocks * w->leg.frag;
	size = hf_disk_entry_size(e.type, e.nblocks);
	if (len + size + data > STREAM_MAX)
		return 0;
	memset(stream + len + size, fill, data);
	for (uint32_t i = 0; data && i < e.nblocks; i++)
		e.frag_crc[i] = e.block_crc[i] = hf_crc32c(stream + len + size, w->leg.frag);
	if (flags & BEND_CHAIN)
		e.prev_chain ^= 1;
	e.chain = hf_entry_chain(e.prev_chain, &e);
	if (flags & BEND_CRC && data)
		e.frag_crc[fill % e.nblocks] = fill & 1 ? hf_crc32c_lost(e.frag_crc[0]) : 0;
	hf_disk_entry_encode(stream + len, w->leg.salt, &e);
	if (e.type != HF_OP_RESYNC && e.seq == w->seq + 1) {
		w->seq = e.seq;
		w->chain = e.chain;
	}
	return size + data;
}

/* Sectors of the stream into the ring, but for those that `torn` names (over and over again). */
static void put(struct writer *w, uint64_t no, uint32_t pages, uint8_t torn)
{
	for (uint32_t i = 0; i < pages * (HF_DISK_PAGE / HF_DISK_SECTOR); i++) {
		uint32_t to = w->at + i * HF_DISK_SECTOR;
		hf_le64 stamp = hf_put_le64(hf_disk_stamp(w->leg.salt, no, i));

		if (to + HF_DISK_SECTOR > FUZZ_LEG_LOG || torn >> (i % 8) & 1)
			continue;
		memcpy(ring + to, stream + i * HF_DISK_SECTOR_DATA, HF_DISK_SECTOR_DATA);
		memcpy(ring + to + HF_DISK_SECTOR_DATA, &stamp, sizeof(stamp));
	}
}

static void batch(struct writer *w)
{
	uint8_t flags = fuzz_u8(w->in), count = fuzz_u8(w->in) % 32;
	struct hf_disk_batch b = { .no = w->no, .stream_len = HF_DISK_BATCH_HEAD };
	uint32_t sectors, took, flip;

	memset(stream, 0, sizeof(stream));
	for (; b.count < count; b.count++) {
		took = entry(w, b.stream_len);
		if (!took)
			break;
		b.stream_len += took;
	}
	sectors = (b.stream_len + HF_DISK_SECTOR_DATA - 1) / HF_DISK_SECTOR_DATA;
	b.pages = (sectors * HF_DISK_SECTOR + HF_DISK_PAGE - 1) / HF_DISK_PAGE;
	b.commit = flags & COMMIT_ALL ? w->seq : fuzz_u8(w->in);
	if (flags & BEND_NUMBER)
		b.no += (uint64_t)(int64_t)(int8_t)fuzz_u8(w->in);
	if (w->at + b.pages * HF_DISK_PAGE > FUZZ_LEG_LOG || flags & TO_START)
		w->at = 0;
	sectors = b.pages;
	if (flags & BEND_HEAD) {
		b.stream_len = fuzz_u32(w->in);
		b.pages = fuzz_u8(w->in);
		b.count = fuzz_u16(w->in);
	}
	hf_disk_batch_encode(stream, w->leg.salt, &b);
	if (flags & FLIP) {
		flip = fuzz_u16(w->in) % STREAM_MAX;
		stream[flip] ^= (uint8_t)(1u << (fuzz_u8(w->in) % 8));
	}
	put(w, b.no, sectors, flags & TEAR ? fuzz_u8(w->in) : 0);
	w->at = (w->at + sectors * HF_DISK_PAGE) % FUZZ_LEG_LOG;
	w->no++;
}

void fuzz_one(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct writer w = { .in = &in };
	uint8_t layout = fuzz_u8(&in), how = fuzz_u8(&in);

	if (!x)
		x = fuzz_reactor_new();
	fuzz_leg_make(&w.leg, x, (uint8_t)(1u << (layout & 3)));
	if (layout & 4) {
		w.leg.sb.checkpoint.batch = fuzz_u32(&in) | 1;
		w.leg.sb.checkpoint.log_pos = fuzz_u8(&in) % 16 * HF_DISK_PAGE;
	}
	if (layout & 8) {
		w.leg.sb.checkpoint.applied = w.leg.sb.checkpoint.commit = fuzz_u8(&in);
		w.leg.sb.checkpoint.epoch = w.leg.sb.checkpoint.applied < 10 ? 1 : 3;
	}
	w.at = w.leg.sb.checkpoint.log_pos;
	w.no = w.leg.sb.checkpoint.batch;
	w.seq = w.leg.sb.checkpoint.applied;
	memset(ring, 0, sizeof(ring));
	for (int i = 0; i < 24 && in.left; i++)
		batch(&w);
	fuzz_leg_super(&w.leg);
	fuzz_disk_put(x, w.leg.sb.log_off, ring, sizeof(ring));
	fuzz_leg_judge(&w.leg, how);
}

/* SPDX-License-Identifier: MIT */
/*
 * disk - what stands on a leg: superblock, log sectors and batches, doublewrite header, table pages. Bytes <-> structs.
 *
 * Little-endian throughout; every structure carries the leg's identity or salt inside its checksum, so that bytes of
 * another leg never fit. docs/man/holdfast-leg.5 has the byte tables, tests/golden pins them.
 *
 *   0          superblock, slot 0        4096       superblock, slot 1
 *   64 KiB     log ring                  then       two doublewrite slots
 *   then       chunk table               then       data chunks
 */
#ifndef HF_FORMAT_DISK_H
#define HF_FORMAT_DISK_H

#include "base/le.h"
#include "core/types.h"

#define HF_DISK_VERSION 1u
#define HF_DISK_PAGE 4096u
#define HF_DISK_LOG_OFF 65536u
#define HF_DISK_SECTOR 512u		/* of the log: 504 bytes of stream, 8 bytes of stamp (H3) */
#define HF_DISK_SECTOR_DATA 504u
#define HF_DISK_BATCH_HEAD 64u		/* bytes of stream */
#define HF_DISK_ENTRY_HEAD 72u		/* bytes of stream, before the checksums and the payload */
#define HF_DISK_CHUNKS_PER_PAGE 26u
#define HF_DISK_DW_PAGES_MAX 500u
#define HF_DISK_BATCH_SECTORS_MAX 1024u	/* 512 KiB: the largest log write */

/* Feature words: a reader that does not know a bit may go on (compat), only read (ro), or must not open (incompat). */
#define HF_DISK_RO_KNOWN 0u
#define HF_DISK_INCOMPAT_KNOWN 0u

struct hf_disk_checkpoint {
	hf_seq applied;			/* the image holds everything up to here */
	hf_epoch epoch;			/* of the op at applied */
	uint32_t chain;			/* at applied */
	hf_seq commit;
	uint64_t size_blocks;
	uint64_t batch;			/* number of the first batch to scan */
	uint32_t log_pos;		/* where it is expected, bytes in the ring */
	uint64_t dw;			/* number of the last doublewrite whose pages are in place for good */
	uint64_t digest;		/* over all table pages, as of that doublewrite */
};

struct hf_disk_super {
	uint64_t generation;
	struct hf_leg_identity id;
	uint64_t log_off, dw_off, table_off, data_off; /* bytes */
	uint32_t log_bytes, dw_pages;	/* dw_pages: pages after the header page, in each of two slots */
	uint64_t chunks_max;		/* table entries, and data chunks, that there is room for */
	struct hf_disk_checkpoint checkpoint;
	struct hf_leg_state state;
};

/* Into 4096 bytes. */
void hf_disk_super_encode(void *page, const struct hf_disk_super *s);
/* 0; -EUCLEAN: not a superblock, damaged, contradictory, or of a version or feature not known; *why says which. */
int hf_disk_super_decode(const void *page, struct hf_disk_super *out, const char **why);

/* One number per leg, made of its uuid. */
uint32_t hf_disk_salt(const struct hf_uuid *leg);
/*
 * The 8 bytes that end each log sector, as a number: batch (low half) and a mix of salt, batch and sector in the
 * batch.
 */
uint64_t hf_disk_stamp(uint32_t salt, uint64_t batch, uint32_t sector);

/* Take a stamp apart: the batch nearest to `near`, and the sector. False: it is not a stamp of this leg. */
bool hf_disk_stamp_decode(uint64_t stamp, uint32_t salt, uint64_t near, uint64_t *batch, uint32_t *sector);

struct hf_disk_batch {
	uint64_t no;
	uint32_t stream_len;		/* bytes, this head included */
	uint32_t pages, count;
	hf_seq commit;			/* highest seq known committed when it was written */
};
void hf_disk_batch_encode(void *head, uint32_t salt, const struct hf_disk_batch *b);
/* 0, or -EBADMSG with *out untouched. */
int hf_disk_batch_decode(const void *head, uint32_t salt, struct hf_disk_batch *out);

/* Bytes of head and checksums (8 a block when there is a payload), without the payload. */
static inline uint32_t hf_disk_entry_size(uint8_t type, uint32_t nblocks)
{
	return HF_DISK_ENTRY_HEAD + (type == HF_OP_WRITE || type == HF_OP_RESYNC ? 8 * nblocks : 0);
}
/* Head and checksums; returns hf_disk_entry_size(). */
uint32_t hf_disk_entry_encode(void *out, uint32_t salt, const struct hf_entry *e);
/* From an unchecked head: how many bytes hf_disk_entry_decode() needs; 0: no head that can be. */
uint32_t hf_disk_entry_peek(const void *head);
/* 0, or -EBADMSG; *out is then undefined. */
int hf_disk_entry_decode(const void *in, uint32_t salt, struct hf_entry *out);

struct hf_disk_chunk {
	uint32_t phys;			/* data chunk + 1; 0: no space taken */
	uint16_t present;		/* bit i: block i is in the image, else it is zeros */
	uint16_t flags;			/* reserved for reference counts and redirected writes: zero */
	hf_epoch epoch;
	hf_seq seq;			/* newest op that touched the chunk */
	uint32_t frag_crc[HF_CHUNK_BLOCKS], block_crc[HF_CHUNK_BLOCKS];
};

/* A page of the table; returns its checksum (never 0). */
uint32_t hf_disk_page_encode(void *page, uint32_t salt, uint64_t number,
			     const struct hf_disk_chunk chunks[HF_DISK_CHUNKS_PER_PAGE]);
/* 1: loaded; 0: never written (all zeros); -EBADMSG. */
int hf_disk_page_decode(const void *page, uint32_t salt, uint64_t number,
			struct hf_disk_chunk chunks[HF_DISK_CHUNKS_PER_PAGE], uint32_t *crc);

struct hf_disk_dw {
	uint64_t no, digest;		/* digest: over all table pages once these are in place */
	uint32_t count;
	uint32_t content_crc;		/* hf_disk_dw_content() of the pages that follow */
	uint64_t off[HF_DISK_DW_PAGES_MAX]; /* where each belongs, bytes in the file */
};
/*
 * Checksum of pages: the last 4 bytes of each, then the others of each. A table page ends with its own crc32c, and the
 * crc32c of bytes that are followed by their crc32c is the same for all of them.
 */
uint32_t hf_disk_dw_content(const void *pages, uint32_t count);
void hf_disk_dw_encode(void *page, uint32_t salt, const struct hf_disk_dw *d);
/* 0, or -EBADMSG; *out is then undefined. */
int hf_disk_dw_decode(const void *page, uint32_t salt, struct hf_disk_dw *out);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * leg_int - what the files of store/ share: the store's object.
 *
 * leg_open.c open and close; leg_recover.c the log read back; leg_format.c make; leg_super.c durable state; leg_log.c
 * append and group commit; leg_view.c overlay and reads; leg_apply.c checkpoints; leg_table.c chunk table and space.
 */
#ifndef HF_STORE_LEG_INT_H
#define HF_STORE_LEG_INT_H

#include "format/disk.h"
#include "store/store.h"

#define HF_SECTS_MAX 512u		/* image sectors of one checkpoint round */
#define HF_BATCH_MAX (HF_DISK_BATCH_SECTORS_MAX * HF_DISK_SECTOR) /* bytes of one log write */

/* One entry of the log that is not trimmed, in memory. */
struct ent {
	hf_epoch epoch;
	hf_seq seq;
	uint64_t lba, skip, zero;
	uint32_t nblocks, chain, prev_chain;
	uint32_t batch_off;		/* ring offset of its batch */
	uint32_t stream;		/* offset of its head in the batch's stream */
	uint8_t type;			/* 0: truncated */
};

struct batch {
	uint64_t no;
	uint64_t last_ticket;
	hf_seq last_seq;
	uint32_t off, pages, skip;	/* skip: bytes left unused at the end of the ring before it */
};

/* Overlay: where the newest committed, not yet applied version of each block of a chunk is. */
struct onode {
	uint64_t chunk;
	uint32_t next;			/* in its bucket or the free list; 0: none */
	uint32_t used;			/* slots with a ticket */
	uint64_t ticket[HF_CHUNK_BLOCKS];
};

struct tpage {
	struct hf_disk_chunk chunk[HF_DISK_CHUNKS_PER_PAGE];
	uint32_t crc;			/* as written; 0: never written */
	bool dirty;
};

/* A superblock write waiting for its turn. */
struct sb_req {
	struct hf_list link;
	void (*fill)(struct hf_store *s, struct sb_req *q);	/* change s->sb just before it is encoded */
	void (*done)(struct hf_store *s, struct sb_req *q, int result);
};

struct sect {
	struct hf_io io;
	struct hf_store *s;
	uint64_t off;			/* in the file */
	uint64_t chunk;
	uint32_t first;			/* block index in the chunk of the first fragment in the sector */
	bool read;			/* keeps neighbours: read first, after-image through the doublewrite */
	uint32_t run;			/* sectors written together with this one */
};

enum apply_phase { APPLY_IDLE, APPLY_SIZE, APPLY_READ, APPLY_DW, APPLY_WRITE, APPLY_SYNC, APPLY_SUPER, APPLY_DISCARD };

/* A table page on its way to its place. */
struct page_write {
	struct hf_io io;
	struct hf_store *s;
};

enum reset_step { RESET_DRAIN, RESET_APPLY, RESET_SUPER };

struct apply {
	enum apply_phase phase;
	uint64_t upto;			/* ticket: the log is trimmed to here at the end */
	hf_seq seq;			/* ops <= seq are then in the image */
	hf_epoch epoch;
	uint32_t chain;
	uint64_t size_blocks;		/* of the volume when it began: table pages beyond are not touched */
	uint64_t *chunk;		/* sorted; room for all nodes */
	uint32_t chunk_count, chunk_next;
	uint32_t sects, pending;
	uint64_t page[HF_DISK_DW_PAGES_MAX];	/* table pages of this round */
	uint32_t pages, dw_pages;
	uint64_t digest;		/* after this round */
	bool again;
	struct sb_req sb;
};

struct hf_store {
	struct hf_reactor *r;
	const struct hf_store_events *events;
	void *ctx;
	hf_store_opened *opened;
	int fd;
	uint32_t salt;			/* mixed into every stamp and checksum: other legs' bytes never fit */
	struct hf_disk_super sb;	/* newest that is durable or on its way */
	uint32_t frag;			/* bytes of a fragment */
	uint32_t per_sector;		/* fragments in a 4 KiB sector */
	bool failed, closing, suspect, torn;
	const char *fail_why;
	int fail_err;
	struct hf_task fail_task;
	/* log */
	uint8_t *ring;
	struct ent *ent;		/* ticket t at ent[t % ent_room] */
	uint32_t ent_room;
	uint64_t first_ticket, next_ticket, durable_ticket, visible_ticket; /* visible: <= is in the overlay */
	uint64_t cut_ticket;		/* newest ticket when entries were cut last */
	struct batch *batch;		/* no n at batch[n % batch_room] */
	uint32_t batch_room;
	uint64_t batch_first, batch_next;	/* [first, next): not trimmed; next is being filled when fill_len > 0 */
	uint64_t batch_sent;		/* next batch to write */
	uint64_t batch_newest;		/* highest number that recovery saw anywhere in the ring */
	uint32_t wpos, tpos, used;	/* ring bytes; used counts skips */
	uint32_t fill_off, fill_len, fill_limit, fill_count, fill_skip; /* open batch: stream bytes, 0: none */
	struct hf_io log_io;
	struct hf_task kick;
	bool want_room;
	hf_seq last, commit, durable_seq;
	hf_epoch last_epoch;
	uint32_t chain;
	/* overlay */
	struct onode *node;
	uint32_t *bucket, bucket_mask, node_count, node_free, node_fresh, nodes_reserved, nodes_used;
	/* table */
	struct tpage **page;
	uint64_t page_count, chunks_used;
	uint8_t *phys_map;
	uint64_t phys_max, phys_next;
	uint64_t *freed;		/* given back by the checkpoint under way */
	uint32_t freed_count, freed_room, freed_old;
	uint64_t size_blocks;
	uint64_t digest, dw_no;		/* of the table as synced; of the last doublewrite begun */
	uint64_t dw_synced;
	uint32_t dirty_pages;
	/* superblock */
	struct hf_list sb_queue;
	struct sb_req *sb_now;
	struct hf_task sb_task;
	struct hf_io sb_io;
	uint8_t *sb_buf;
	/* checkpoint */
	struct apply apply;
	struct sect *sect;
	uint8_t *arena, *dw;
	struct hf_io dw_io, sync_io, discard_io;
	struct page_write page_write[HF_DISK_DW_PAGES_MAX];
	struct hf_list flushes, flushing; /* struct hf_store_flush: for the next checkpoint, of the one under way */
	struct hf_task flush_task;
	struct hf_timer apply_timer;
	struct hf_store_reset *reset;
	enum reset_step reset_step;
	struct sb_req reset_sb;
	/* reads */
	uint32_t reads;
	struct hf_list retry;		/* struct hf_store_read */
	struct hf_task retry_task;
	/* open and close */
	struct hf_io open_io;
	uint64_t at;			/* table page being read at open */
	struct hf_disk_dw replay;	/* doublewrite that is put in place again at open */
	struct hf_leg_identity expect;
	bool expect_any;
	uint8_t *open_buf;
	uint32_t open_len;
	void (*open_next)(struct hf_store *s);
	int open_step;
	char why[160];
	void (*closed)(void *ctx);
	void *closed_ctx;
	struct hf_task close_task;
};

/* leg_super.c */
void hf_leg_super_init(struct hf_store *s);
void hf_leg_super_write(struct hf_store *s, struct sb_req *q);
/* leg_log.c */
void hf_leg_log_init(struct hf_store *s);
void hf_leg_log_trim(struct hf_store *s, uint64_t upto);
void hf_leg_visible(struct hf_store *s);
void hf_leg_fail(struct hf_store *s, int err, const char *what);
void hf_leg_stream_out(const struct hf_store *s, uint32_t batch_off, uint32_t stream, void *dst, uint32_t len);
/* R15: the newest config version that an op told of goes into the next superblock; until then the log has it. */
static inline void hf_leg_saw_ver(struct hf_store *s, uint64_t ver)
{
	if (ver > s->sb.state.ver)
		s->sb.state.ver = ver;
}
static inline struct ent *hf_leg_ent(const struct hf_store *s, uint64_t ticket)
{
	return &s->ent[ticket % s->ent_room];
}
static inline bool hf_leg_has_payload(const struct ent *e)
{
	return e->type == HF_OP_WRITE || e->type == HF_OP_RESYNC;
}
/* Checksums of block b of an entry, from the ring. */
void hf_leg_ent_crcs(const struct hf_store *s, const struct ent *e, uint32_t b, uint32_t *block_crc,
		     uint32_t *frag_crc);
void hf_leg_ent_payload(const struct hf_store *s, const struct ent *e, uint32_t b, void *dst);
/* leg_view.c */
void hf_leg_view_init(struct hf_store *s);
struct onode *hf_leg_node(const struct hf_store *s, uint64_t chunk);
void hf_leg_overlay_add(struct hf_store *s, uint64_t ticket);
void hf_leg_overlay_drop(struct hf_store *s, uint64_t upto);
void hf_leg_overlay_cut(struct hf_store *s, uint64_t size_blocks);
/* leg_table.c */
int hf_leg_table_init(struct hf_store *s);
void hf_leg_table_fini(struct hf_store *s);
struct hf_disk_chunk *hf_leg_chunk(const struct hf_store *s, uint64_t chunk);	/* NULL: never written */
struct hf_disk_chunk *hf_leg_chunk_get(struct hf_store *s, uint64_t chunk);	/* NULL: no memory */
void hf_leg_page_dirty(struct hf_store *s, uint64_t page);
int hf_leg_phys_alloc(struct hf_store *s, struct hf_disk_chunk *c);
void hf_leg_phys_free(struct hf_store *s, struct hf_disk_chunk *c);
void hf_leg_resize(struct hf_store *s, uint64_t size_blocks);
void hf_leg_wipe(struct hf_store *s);
int hf_leg_page_load(struct hf_store *s, uint64_t page, const void *bytes);
uint64_t hf_leg_page_mix(uint64_t page, uint32_t crc);
uint64_t hf_leg_data_off(const struct hf_store *s, uint32_t phys);
/* leg_apply.c */
void hf_leg_apply_init(struct hf_store *s);
void hf_leg_apply_start(struct hf_store *s);
void hf_leg_apply_maybe(struct hf_store *s);
/* leg_open.c */
void hf_leg_maybe_closed(struct hf_store *s);
void hf_leg_opened_fail(struct hf_store *s, int err, const char *why);
/* leg_recover.c: the ring has been read; ends in opened(). */
void hf_leg_recover(struct hf_store *s);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * leglog - read a leg's log ring from its file, without its daemon: which batches stand there, their entries, every
 * checksum and the chain checked, damage named by place.
 *
 * Read-only, also while a daemon writes: then what is read is one moment's, and `moving` says so. Owns finding the way
 * through the ring; not the format (format/disk.h), and on purpose not the store's code: two readers that agree.
 */
#ifndef HF_TOOLS_LEGLOG_H
#define HF_TOOLS_LEGLOG_H

#include <stdbool.h>
#include <stddef.h>

#include "format/disk.h"

struct leglog_slot {
	uint64_t no;
	uint32_t off; /* bytes in the ring */
};

struct leglog {
	int fd;
	struct hf_disk_super sb;
	uint32_t salt, frag;	   /* frag: bytes of a fragment */
	uint8_t *ring;		   /* as it was at one moment */
	struct leglog_slot *slots; /* pages that begin a batch, by their stamp; ascending in number */
	size_t slot_count;
	uint64_t newest;  /* highest batch that any sector tells of */
	uint64_t end;	  /* number of the batch that would come next */
	bool moving;	  /* a daemon wrote to it meanwhile */
	bool torn;	  /* the last batch never completed: nobody was told that it is durable */
	uint64_t batches; /* whole ones, from the checkpoint's on */
	uint32_t damages; /* found from the checkpoint's batch on */
};

/* Where an entry was found. */
struct leglog_place {
	uint64_t batch;
	hf_seq commit;		/* highest seq that the leg knew committed when it wrote the batch */
	uint32_t off;		/* of the batch, bytes in the ring */
	uint32_t head, payload; /* bytes into the batch's stream */
	bool trimmed;		/* before the checkpoint: in the image, not yet overwritten in the ring */
	bool alive;		/* its epoch owns its seq, by the leg's own superblock; true for RESYNC */
	bool good;		/* every fragment matches its checksum */
};

struct leglog_visitor {
	void (*entry)(void *ctx, const struct leglog *l, const struct leglog_place *at, const struct hf_entry *e);
	/* One sentence, with the place; `trimmed`: nothing that the leg still relies on. */
	void (*damage)(void *ctx, const struct leglog *l, bool trimmed, const char *what);
	void *ctx;
};

/* 0; -ENOENT and the like: it cannot be opened; -EUCLEAN: not a leg; -EIO. *why says which; leglog_close() anyway. */
int leglog_open(struct leglog *l, const char *path, const char **why);
void leglog_close(struct leglog *l);
/* `older`: also what lies before the checkpoint and was not overwritten, first. Batches in their order. */
void leglog_walk(struct leglog *l, bool older, const struct leglog_visitor *v);
/* Where byte `pos` of the stream of the batch at `at` stands in the file. */
uint64_t leglog_file_offset(const struct leglog *l, const struct leglog_place *at, uint32_t pos);
/* The entry found at `at`, again. */
void leglog_entry(const struct leglog *l, const struct leglog_place *at, struct hf_entry *out);
/* Fragment `block` of the entry found at `at`. */
void leglog_fragment(const struct leglog *l, const struct leglog_place *at, uint32_t block, void *out);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * front - the contract between a front (NBD, ublk) and the volumes behind it.
 *
 * A front parses, limits, makes the one private copy of a write's payload (H19) and splits requests into pieces of at
 * most HF_WRITE_BLOCKS_MAX blocks. The volume orders, codes, replicates and answers. Sessions: R14.
 */
#ifndef HF_FRONT_FRONT_H
#define HF_FRONT_FRONT_H

#include "base/err.h"
#include "base/limits.h"
#include "io/buf.h"
#include "io/reactor.h"

enum hf_request_kind {
	HF_REQUEST_READ,
	HF_REQUEST_WRITE,
	HF_REQUEST_ZERO,		/* write-zeroes or trim */
	HF_REQUEST_FLUSH,		/* completes when every write that completed before is durable (R12) */
};

struct hf_session;

struct hf_request {
	enum hf_request_kind kind;
	uint64_t lba;			/* first block */
	uint32_t nblocks;		/* READ, WRITE: 1..HF_WRITE_BLOCKS_MAX; ZERO: 1..HF_ZERO_BLOCKS_MAX */
	struct hf_buf *buf;		/* READ, WRITE: nblocks * 4096 bytes of data; the volume takes a reference */
	void (*done)(struct hf_request *q, int result); /* 0, or -EIO, -EINVAL, -ENOSPC, -ESHUTDOWN (session fenced) */
	struct hf_session *session;	/* set by the volume */
	struct hf_list link;		/* the volume's while it is under way */
	void *priv[4];			/* the volume's */
};

struct hf_export_info {
	char name[HF_NAME_MAX];
	uint64_t size_blocks;
	bool read_only;
	char description[128];
};

/* One client's use of one volume. */
struct hf_session {
	bool read_only;
	void *volume;			/* the backend's */
	/* The session was fenced (taken over, or the volume is no longer served here): drop the client, then close. */
	void (*fenced)(struct hf_session *s, const char *why);
	struct hf_list link;		/* the backend's */
	void *ctx;			/* the front's */
};

struct hf_front_backend {
	/* Next export after `*cursor` (0 to begin); false: no more. */
	bool (*list)(void *ctx, size_t *cursor, struct hf_export_info *out);
	/*
	 * What is behind an export name ("VOLUME" or "VOLUME@ro"); 0, -ENOENT, or -EAGAIN: known but not served here
	 * now.
	 */
	int (*info)(void *ctx, const char *name, struct hf_export_info *out, struct hf_errmsg *err);
	/*
	 * Open a session. A second writing session waits while the volume asks the first one's front whether its
	 * client is alive: `opened` gets 0; -EBUSY with why, when the first lives; -ENOENT. Called later, never from
	 * inside.
	 */
	void (*open)(void *ctx, const char *name, struct hf_session *s,
		     void (*opened)(struct hf_session *s, int result, const char *why));
	/* Every request has completed. The session is the front's again. */
	void (*close)(void *ctx, struct hf_session *s);
	/*
	 * Begin a request; q->done comes later, never from inside. Requests below a volume's tolerance wait (never
	 * EIO).
	 */
	void (*submit)(void *ctx, struct hf_session *s, struct hf_request *q);
	/* Length in blocks, at most `max`, of the run from lba that is all allocated or all zeros. */
	uint64_t (*extent)(void *ctx, struct hf_session *s, uint64_t lba, uint64_t max, bool *allocated);
};

#endif

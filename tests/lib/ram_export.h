/* SPDX-License-Identifier: MIT */
/*
 * ram_export - a struct hf_front_backend on memory, so that fronts are tested without an engine.
 *
 * Owns: one volume in memory, thin in units of a block; who has a session on it (R14). Exports "NAME" and "NAME@ro".
 * Requests complete from a task, in order of submission, unless they are held.
 */
#ifndef HF_TESTS_LIB_RAM_EXPORT_H
#define HF_TESTS_LIB_RAM_EXPORT_H

#include "front/front.h"

struct ram_export {
	struct hf_reactor *r;
	char name[HF_NAME_MAX];
	uint64_t size_blocks;
	uint8_t *data;				/* reserved, not touched: size_blocks * 4096 bytes */
	uint8_t *allocated;			/* one byte a block */
	struct hf_list sessions;		/* open ones */
	struct hf_list requests;		/* submitted, not answered */
	struct hf_task task;
	struct hf_task open_task;
	/* who waits to be admitted */
	struct hf_session *opening[64];
	void (*opened[64])(struct hf_session *s, int result, const char *why);
	size_t opening_count;
	/* knobs */
	bool hold;				/* answer nothing until ram_export_release() */
	bool reverse;				/* answer the newest first */
	int fail;				/* this result for the next `fail_count` requests of kind `fail_kind` */
	uint32_t fail_count;
	enum hf_request_kind fail_kind;
	int info_result;			/* info answers this when not 0 */
	bool hold_open;				/* answer no open */
	uint32_t extra_exports;			/* LIST shows "extra-N" as well */
	bool (*is_alive)(const struct hf_session *s); /* asked before a takeover; NULL: always */
	/* counts */
	uint64_t reads, writes, zeroes, flushes, opens, closes;
	uint64_t under_way, under_way_max;
};

extern const struct hf_front_backend ram_export_backend;	/* its ctx is a struct ram_export */

int ram_export_init(struct ram_export *x, struct hf_reactor *r, const char *name, uint64_t size_blocks);
/* No session is open. */
void ram_export_fini(struct ram_export *x);
/* Stop holding; everything held is answered in the next turn. */
void ram_export_release(struct ram_export *x);
/* Fence the writing session, as an operator's takeover would; false: there is none. */
bool ram_export_fence(struct ram_export *x, const char *why);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * event_chain - the lines of an event log: made, chained, checked, read back. The format is described in events.h.
 *
 * Owns: the format. Does not own: when lines are written (events.c). File functions block.
 */
#ifndef HF_CTL_EVENT_CHAIN_H
#define HF_CTL_EVENT_CHAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define HF_EVENT_LINE_MAX (256u << 10)	/* bytes with the newline; a larger detail is left out */
#define HF_EVENT_HASH_TEXT 65		/* bytes with the final NUL: SHA-256 in hex */

/* The last line: its number and hash; { 0, "000..." } before the first. */
struct hf_event_chain {
	uint64_t n;
	char hash[HF_EVENT_HASH_TEXT];
};

/* What a scan of a whole file found. */
struct hf_event_scan {
	struct hf_event_chain last;
	uint64_t lines;			/* complete ones */
	uint64_t bytes;			/* of complete lines */
	uint64_t torn_bytes;		/* behind the last newline */
	uint64_t bad_line;		/* first that breaks the chain, from 1; 0: none */
	struct hf_errmsg bad_why;
};

void hf_event_chain_init(struct hf_event_chain *chain);
/* Make the next line, with its newline; takes `detail` over. Heap; *chain moves on. */
char *hf_event_line(struct hf_event_chain *chain, uint64_t wall_ns, const char *host, const char *kind,
		    const char *volume, json_t *detail, size_t *out_len);
/*
 * Does this line (without newline) follow *chain? In both cases *chain moves on to it, so that a chain can be followed
 * behind a break. 0 or -EBADMSG.
 */
int hf_event_line_check(struct hf_event_chain *chain, const char *line, size_t len, struct hf_errmsg *err);
/* Read a whole file; 0 or -errno of reading. */
int hf_event_scan_file(int fd, struct hf_event_scan *out);
/* The newest `count` lines of the file's first `size` bytes, oldest first, of one volume unless NULL. 0 or -errno. */
int hf_event_read_tail(int fd, uint64_t size, const char *volume, size_t count, json_t **out_events);

#endif

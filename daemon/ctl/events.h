/* SPDX-License-Identifier: MIT */
/*
 * events - the host's event log: every change of state, one JSON line each, append-only and chained by SHA-256.
 *
 * Owns: the file, the chain, batches and their fsync. Does not own: what is an event (its callers).
 * A line:
 * {"n":7,"time":"2026-01-31T12:00:00.123456789Z","host":"hostA","volume":"db42","kind":"promoted","detail":{...},
 * "prev":"<hash of line n-1>","hash":"<sha256>"}, without spaces; volume and detail only when there are any. The hash
 * is over the line's bytes up to, not including, `,"hash":`. The first prev is 64 zeros. See
 * docs/man/holdfast-events.5.
 *
 * Nothing blocks the reactor: lines wait in memory (bounded) for a job that appends and syncs all that arrived
 * meanwhile.
 */
#ifndef HF_CTL_EVENTS_H
#define HF_CTL_EVENTS_H

#include <jansson.h>

#include "base/err.h"
#include "io/reactor.h"

struct hf_events;

/*
 * Open or create the log at `path` for `host`; blocks: at start only. What a crash left unfinished at the end is
 * dropped, and an event says so; a broken chain is kept as it is, reported by an event and in the log, and goes on from
 * its last line.
 */
int hf_events_new(struct hf_reactor *r, const char *path, const char *host, struct hf_events **out,
		  struct hf_errmsg *err);
/* Append what waits, then `stopped`, then free. */
void hf_events_stop(struct hf_events *ev, void (*stopped)(void *ctx), void *ctx);

/*
 * Note an event. `kind`: past tense, words joined by '-' ("leg-lost"). `volume` may be NULL; `detail` is an object that
 * is taken over, or NULL. Durable soon after; lost only by a crash within that time, or when the disk fails.
 */
void hf_events_add(struct hf_events *ev, const char *kind, const char *volume, json_t *detail);

/*
 * The newest `count` events, oldest first; of `volume` only unless NULL. `done` comes later with an array that it owns,
 * or NULL and -errno.
 */
void hf_events_tail(struct hf_events *ev, const char *volume, size_t count,
		    void (*done)(void *ctx, int result, json_t *events), void *ctx);

/* Check a log's whole chain; blocks. 0 with the number of lines, or -EBADMSG with a message that names the first bad
 * line. */
int hf_events_verify(const char *path, uint64_t *out_count, struct hf_errmsg *err);

#endif

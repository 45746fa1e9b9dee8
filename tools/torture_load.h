/* SPDX-License-Identifier: MIT */
/*
 * torture_load - a verifying load in a thread of its own: sessions that write and read a volume without rest, an oracle
 * that judges every answer, and clocks of what a client notices.
 *
 * Three sessions. The main one writes and reads, and finds the volume again when its connection ends. The reader is
 * read-only and stays with one host's own socket, whoever is primary by then. When the main session leaves a primary
 * that does not answer, its old connection is kept as the ghost, whose late answers are judged as well.
 */
#ifndef HF_TOOLS_TORTURE_LOAD_H
#define HF_TOOLS_TORTURE_LOAD_H

#include "torture_oracle.h"

struct load;

struct load_config {
	const char *path, *volume;	/* the volume's socket, whoever serves it; copied */
	uint64_t seed;
	unsigned depth, rate;		/* operations in flight; at most so many begin in a second */
};

struct load_figures {
	uint64_t acked, blocks_written, unanswered, late, judged, overheard, sessions, errors;
	uint64_t found[ORACLE_FAULTS], total_found;
	uint64_t failover_ns;		/* since load_expect_failover(); 0: not over yet */
	uint64_t stall_ns;		/* longest time without an answer since load_begin_fault() */
	uint64_t answers;		/* since load_begin_fault(), of the main session */
	bool is_open, reader_open, ghost_open, pass_over, burst_sent;
	unsigned reader_in_flight;
	char error[64];			/* what the main session was told; empty: nothing but successes */
};

/* On a volume of zeros. 0 or -errno. */
int load_start(struct load **out, const struct load_config *config);
void load_stop(struct load *l);
void load_look(struct load *l, struct load_figures *out);
/* The findings so far; how many of them there are. */
size_t load_findings(struct load *l, struct oracle_finding out[ORACLE_FINDINGS_MAX]);

/* Fault `number` begins: its window of time, and the fault that findings name from now on. */
void load_begin_fault(struct load *l, uint64_t number);
/* The primary has just gone: the clock runs until a write is acknowledged by a session that is opened later. */
void load_expect_failover(struct load *l);
/* The main session, if it is still the one of load_expect_failover(), leaves its connection as the ghost. */
void load_leave(struct load *l);
void load_drop_ghost(struct load *l);
/* The reader goes to this socket, at once; NULL: nowhere. */
void load_read_at(struct load *l, const char *path);
/* The reader asks for blocks that were acknowledged just now, in one go: figures.burst_sent tells when all is sent. */
void load_burst(struct load *l);
/* Read, or write anew, every block once: figures.pass_over. */
void load_pass(struct load *l, bool write);

#endif

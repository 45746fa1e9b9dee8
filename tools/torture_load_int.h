/* SPDX-License-Identifier: MIT */
/* torture_load_int - the state of a load, shared by its thread (torture_load.c) and its orders (torture_orders.c). */
#ifndef HF_TOOLS_TORTURE_LOAD_INT_H
#define HF_TOOLS_TORTURE_LOAD_INT_H

#include <pthread.h>
#include <time.h>

#include "torture_load.h"
#include "torture_session.h"

#define SEC 1000000000ull
#define OPEN_MS 1000u			/* for each answer of a handshake */
#define RECENT 64u			/* blocks acknowledged last, for the reader */
#define BURST 24u			/* further reads at once */

struct unanswered {
	uint64_t block, value;
	uint32_t count;
};

struct load {
	pthread_t thread;
	pthread_mutex_t lock;		/* over all below; not held while the thread polls or opens */
	char path[108], volume[72], reader_path[108];
	uint64_t rng;
	unsigned depth, rate;
	struct oracle oracle;
	struct session session[3], *main, *reader, *ghost;
	uint64_t generation;		/* of the main session */
	struct unanswered unanswered[SESSION_DEPTH_MAX];
	size_t unanswered_count;
	uint64_t recent[RECENT];
	unsigned recent_at;
	uint64_t credit_ns, reader_ns;	/* when the next operation may begin */
	uint64_t last_answer_ns, window_ns, gap_ns;
	uint64_t failover_from_ns, failover_generation;
	uint64_t pass_next;
	unsigned burst;			/* reads of a burst that are still to be issued */
	bool stop, leave, drop_ghost, move_reader, burst_wanted;
	bool pass, pass_writes, main_ends;
	struct load_figures f;
};

static inline uint64_t load_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SEC + (uint64_t)t.tv_nsec;
}

/* The thread, with a struct load that has its main session open. */
void *load_run(void *load);
/* Each answer of its sessions. */
void load_on_done(void *load, struct session *s, struct session_op *op, uint32_t error);

#endif

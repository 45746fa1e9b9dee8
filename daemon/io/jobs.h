/* SPDX-License-Identifier: MIT */
/*
 * jobs - helper threads for blocking work, and the mailbox that brings finished jobs back to their reactor.
 *
 * The only place in io/ where two threads meet. Threads start with the first job.
 */
#ifndef HF_IO_JOBS_H
#define HF_IO_JOBS_H

#include <pthread.h>

#include "io/reactor.h"

#define HF_JOBS_THREADS 2u		/* one slow fsync does not hold up the next job */

struct hf_jobs {
	pthread_mutex_t lock;		/* guards what follows, but not `bell` and `threads` */
	pthread_cond_t more;
	struct hf_list waiting;
	struct hf_list finished;
	uint32_t idle;			/* threads that wait for work */
	bool stopping;
	int bell;			/* eventfd: written when `finished` stops being empty */
	pthread_t threads[HF_JOBS_THREADS];
	uint32_t thread_count;
};

int hf_jobs_init(struct hf_jobs *j);
/* Waits for the jobs at work; the others are dropped. No callback. */
void hf_jobs_fini(struct hf_jobs *j);
void hf_jobs_add(struct hf_jobs *j, struct hf_job *job);
/* Move the finished jobs to the tail of `to`. */
void hf_jobs_take(struct hf_jobs *j, struct hf_list *to);

#endif

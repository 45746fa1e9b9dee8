// SPDX-License-Identifier: MIT
/* jobs - helper threads of one reactor. Owns: threads, queue, mailbox. Does not own: what a job does. */
#include "io/jobs.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"

int hf_jobs_init(struct hf_jobs *j)
{
	int bell = eventfd(0, EFD_CLOEXEC);

	if (bell < 0)
		return -errno;
	*j = (struct hf_jobs){ .bell = bell };
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->more, NULL);
	hf_list_init(&j->waiting);
	hf_list_init(&j->finished);
	return 0;
}

/* The bell rings outside the lock: who it wakes wants the lock. */
static void finish(struct hf_jobs *j, struct hf_job *job)
{
	bool ring;

	pthread_mutex_lock(&j->lock);
	ring = hf_list_is_empty(&j->finished);
	hf_list_add_tail(&j->finished, &job->link);
	pthread_mutex_unlock(&j->lock);
	if (ring && eventfd_write(j->bell, 1))
		hf_unreachable();
}

static void *helper(void *arg)
{
	struct hf_jobs *j = arg;

	pthread_mutex_lock(&j->lock);
	while (!j->stopping) {
		struct hf_list *n = hf_list_pop(&j->waiting);
		struct hf_job *job;

		if (!n) {
			j->idle++;
			pthread_cond_wait(&j->more, &j->lock);
			j->idle--;
			continue;
		}
		job = hf_container_of(n, struct hf_job, link);
		pthread_mutex_unlock(&j->lock);
		job->work(job);
		finish(j, job);
		pthread_mutex_lock(&j->lock);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

/* Signals are the main thread's business. */
static void start_thread(struct hf_jobs *j)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (pthread_create(&j->threads[j->thread_count], NULL, helper, j) == 0)
		j->thread_count++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void hf_jobs_add(struct hf_jobs *j, struct hf_job *job)
{
	bool is_short;

	hf_assert(job->work && job->done);
	pthread_mutex_lock(&j->lock);
	is_short = j->idle == 0;
	pthread_mutex_unlock(&j->lock);
	if (is_short && j->thread_count < HF_JOBS_THREADS)
		start_thread(j);
	/* No thread to be had: slow is better than never. */
	if (j->thread_count == 0) {
		job->work(job);
		finish(j, job);
		return;
	}
	pthread_mutex_lock(&j->lock);
	hf_list_add_tail(&j->waiting, &job->link);
	pthread_cond_signal(&j->more);
	pthread_mutex_unlock(&j->lock);
}

void hf_jobs_take(struct hf_jobs *j, struct hf_list *to)
{
	pthread_mutex_lock(&j->lock);
	hf_list_splice(to, &j->finished);
	pthread_mutex_unlock(&j->lock);
}

void hf_jobs_fini(struct hf_jobs *j)
{
	pthread_mutex_lock(&j->lock);
	j->stopping = true;
	pthread_cond_broadcast(&j->more);
	pthread_mutex_unlock(&j->lock);
	for (uint32_t i = 0; i < j->thread_count; i++)
		pthread_join(j->threads[i], NULL);
	pthread_cond_destroy(&j->more);
	pthread_mutex_destroy(&j->lock);
	close(j->bell);
}

// SPDX-License-Identifier: MIT
/* torture_orders - a load is begun, looked at, given orders and ended, from another thread than its own. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "torture_load_int.h"

static int first_session(struct load *l, uint64_t seed)
{
	int rc = session_open(l->main, l->path, l->volume, 10 * OPEN_MS);

	if (rc == 0)
		rc = oracle_init(&l->oracle, l->main->size_bytes / ORACLE_BLOCK, seed);
	if (rc == 0 && l->oracle.blocks < ORACLE_RUN_MAX)
		rc = -ENOSPC;
	l->generation = l->f.sessions = 1;
	return rc;
}

static void load_free(struct load *l)
{
	for (int i = 0; i < 3; i++)
		session_fini(&l->session[i]);
	oracle_fini(&l->oracle);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

int load_start(struct load **out, const struct load_config *config)
{
	struct load *l = calloc(1, sizeof(*l));
	sigset_t all, before;
	int rc;

	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	snprintf(l->path, sizeof(l->path), "%s", config->path);
	snprintf(l->volume, sizeof(l->volume), "%s", config->volume);
	l->rng = config->seed * 2 + 1;
	l->depth = config->depth;
	l->rate = config->rate;
	for (int i = 0; i < 3; i++) {
		l->session[i].fd = -1;
		l->session[i].done = load_on_done;
		l->session[i].ctx = l;
	}
	l->main = &l->session[0];
	l->reader = &l->session[1];
	l->ghost = &l->session[2];
	l->last_answer_ns = l->window_ns = load_now_ns();
	rc = first_session(l, config->seed);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the thread that injects the faults */
	if (rc == 0)
		rc = -pthread_create(&l->thread, NULL, load_run, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		load_free(l);
	else
		*out = l;
	return rc;
}

void load_stop(struct load *l)
{
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	load_free(l);
}

void load_look(struct load *l, struct load_figures *out)
{
	uint64_t from, gap;

	pthread_mutex_lock(&l->lock);
	from = l->last_answer_ns > l->window_ns ? l->last_answer_ns : l->window_ns;
	gap = load_now_ns() - from;
	*out = l->f;
	out->acked = l->oracle.acked;
	out->blocks_written = l->oracle.acked_blocks;
	out->late = l->oracle.late;
	out->judged = l->oracle.judged;
	memcpy(out->found, l->oracle.found, sizeof(out->found));
	out->total_found = oracle_total(&l->oracle);
	out->stall_ns = gap > l->gap_ns ? gap : l->gap_ns;
	out->is_open = l->main->fd >= 0;
	out->reader_open = l->reader->fd >= 0 && !l->move_reader;
	out->ghost_open = l->ghost->fd >= 0;
	out->reader_in_flight = l->reader->in_flight;
	pthread_mutex_unlock(&l->lock);
}

size_t load_findings(struct load *l, struct oracle_finding out[ORACLE_FINDINGS_MAX])
{
	size_t n;

	pthread_mutex_lock(&l->lock);
	n = l->oracle.finding_count;
	memcpy(out, l->oracle.finding, n * sizeof(*out));
	pthread_mutex_unlock(&l->lock);
	return n;
}

void load_begin_fault(struct load *l, uint64_t number)
{
	pthread_mutex_lock(&l->lock);
	l->oracle.fault = number;
	l->window_ns = load_now_ns();
	l->gap_ns = 0;
	l->f.answers = l->f.failover_ns = 0;
	pthread_mutex_unlock(&l->lock);
}

void load_expect_failover(struct load *l)
{
	pthread_mutex_lock(&l->lock);
	l->failover_from_ns = load_now_ns();
	l->failover_generation = l->generation;
	l->f.failover_ns = 0;
	pthread_mutex_unlock(&l->lock);
}

void load_leave(struct load *l)
{
	pthread_mutex_lock(&l->lock);
	l->leave = true;
	pthread_mutex_unlock(&l->lock);
}

void load_drop_ghost(struct load *l)
{
	pthread_mutex_lock(&l->lock);
	l->drop_ghost = true;
	pthread_mutex_unlock(&l->lock);
}

void load_read_at(struct load *l, const char *path)
{
	pthread_mutex_lock(&l->lock);
	snprintf(l->reader_path, sizeof(l->reader_path), "%s", path ? path : "");
	l->move_reader = true;
	l->burst = 0;
	l->burst_wanted = false;
	pthread_mutex_unlock(&l->lock);
}

void load_burst(struct load *l)
{
	pthread_mutex_lock(&l->lock);
	l->burst = BURST;
	l->burst_wanted = true;
	l->f.burst_sent = false;
	pthread_mutex_unlock(&l->lock);
}

void load_pass(struct load *l, bool write)
{
	pthread_mutex_lock(&l->lock);
	l->pass = true;
	l->pass_writes = write;
	l->pass_next = 0;
	l->f.pass_over = false;
	pthread_mutex_unlock(&l->lock);
}

// SPDX-License-Identifier: MIT
/*
 * sim_reactor - the simulated backend of io/reactor.h.
 *
 * Owns: what is queued and done, handles, jobs. The disk and the network have their own files. Breaches of the
 * contract that a kernel would let pass (a handle closed with an io under way, a stale handle) stop the run here.
 */
#include "sim/sim_int.h"

#include <stdlib.h>
#include <string.h>

#define HANDLE_BITS 12u			/* of a handle: its place; the rest is its generation */
#define HANDLES_MAX (1u << HANDLE_BITS)
#define HANDLE_GEN_MASK 0x3ffffu

static struct host *host_of(struct hf_reactor *r)
{
	return hf_container_of(r, struct host, base);
}

struct req *sim_req_new(struct host *h)
{
	struct req *q = pool_get(&h->world->reqs);

	q->host = h;
	q->io = NULL;
	q->job = NULL;
	q->file = NULL;
	q->fault = -1;
	q->attempt = 0;
	hf_list_init(&q->wait);
	hf_list_add_tail(&h->reqs, &q->link);
	return q;
}

void sim_req_free(struct req *q)
{
	q->gen++;
	hf_list_del(&q->link);
	hf_list_del(&q->wait);
	pool_put(&q->host->world->reqs, q);
}

static void io_done(struct host *h, struct hf_io *io, int64_t result)
{
	io->state = HF_IO_DONE;
	io->result = result;
	sim_fold(h->world, (uint64_t)result ^ (uint64_t)io->kind << 48 ^ (uint64_t)h->index << 52);
	hf_list_add_tail(&h->done, &io->link);
	sim_wake(h);
}

void sim_req_done(struct req *q, int64_t result)
{
	struct hf_io *io = q->io;
	struct host *h = q->host;

	if (io->kind != HF_IO_CONNECT)
		sim_handle(h, io->fd)->under_way--;
	sim_req_free(q);
	io_done(h, io, result);
}

/* Handles. */

int sim_handle_new(struct host *h, enum handle_kind kind)
{
	uint32_t i = 0;

	while (i < h->handle_count && h->handles[i].kind != HANDLE_FREE)
		i++;
	hf_assert(i < HANDLES_MAX);
	if (i == h->handle_count) {
		uint32_t count = i ? i * 2 : 64;

		h->handles = realloc(h->handles, count * sizeof(*h->handles));
		hf_assert(h->handles);
		memset(h->handles + i, 0, (count - i) * sizeof(*h->handles));
		h->handle_count = count;
	}
	h->handles[i].kind = kind;
	h->handles[i].under_way = 0;
	h->handles[i].is_read_only = false;
	return (int)((h->handles[i].gen & HANDLE_GEN_MASK) << HANDLE_BITS | i);
}

struct handle *sim_handle(struct host *h, int fd)
{
	uint32_t i = (uint32_t)fd & (HANDLES_MAX - 1);
	struct handle *n;

	hf_assert(fd >= 0 && i < h->handle_count);
	n = &h->handles[i];
	/* A handle that was closed, or one of an earlier life. */
	hf_assert(n->kind != HANDLE_FREE && (n->gen & HANDLE_GEN_MASK) == (uint32_t)fd >> HANDLE_BITS);
	return n;
}

/* Operations. */

static void sim_submit(struct hf_reactor *r, struct hf_io *io)
{
	struct host *h = host_of(r);

	hf_assert(h->is_up);
	hf_list_add_tail(&h->queued, &io->link);
	sim_wake(h);
}

static bool is_file_io(const struct hf_io *io)
{
	return io->kind <= HF_IO_DISCARD;
}

static struct req *req_of(const struct hf_io *io)
{
	return (struct req *)(uintptr_t)io->priv[0];
}

static void sim_cancel(struct hf_reactor *r, struct hf_io *io)
{
	struct host *h = host_of(r);

	if (io->state == HF_IO_QUEUED) {
		hf_list_del(&io->link);
		io_done(h, io, -ECANCELED);
	} else if (is_file_io(io)) {
		sim_disk_cancel(req_of(io));
	} else {
		sim_net_cancel(req_of(io));
	}
}

static void start(struct host *h, struct hf_io *io)
{
	struct req *q = sim_req_new(h);

	io->state = HF_IO_IN_KERNEL;
	io->priv[0] = (uintptr_t)q;
	q->io = io;
	if (io->kind != HF_IO_CONNECT)
		sim_handle(h, io->fd)->under_way++;
	if (is_file_io(io))
		sim_disk_start(q);
	else
		sim_net_start(q);
}

static int sim_file_open(struct hf_reactor *r, const char *path, enum hf_file_mode mode, uint64_t size,
			 struct hf_file_info *info, struct hf_errmsg *err)
{
	return sim_disk_open(host_of(r), path, mode, size, info, err);
}

static int sim_file_unlink(struct hf_reactor *r, const char *path)
{
	return sim_disk_unlink(host_of(r), path);
}

static int sim_sock_listen(struct hf_reactor *r, const char *addr, struct hf_errmsg *err)
{
	return sim_net_listen(host_of(r), addr, err);
}

static void sim_close(struct hf_reactor *r, int fd)
{
	struct host *h = host_of(r);
	struct handle *n = sim_handle(h, fd);

	hf_assert(n->under_way == 0);
	if (n->kind == HANDLE_FILE)
		sim_disk_close(n);
	else
		sim_net_close(h, n);
	n->kind = HANDLE_FREE;
	n->gen++;
}

static void sim_job(struct hf_reactor *r, struct hf_job *j)
{
	struct host *h = host_of(r);
	struct req *q = sim_req_new(h);

	hf_assert(j->work && j->done);
	q->job = j;
	sim_event_add(h->world, h->world->now + sim_latency(&h->rng[STREAM_JOB], h->config.job), EVENT_JOB_WORK, q,
		      q->gen);
}

/* Work and its news are two events: a host may die in between. */
void sim_job_event(struct req *q, enum event_kind kind)
{
	struct host *h = q->host;
	struct sim_world *w = h->world;

	if (kind == EVENT_JOB_WORK) {
		w->current = h->index;
		q->job->work(q->job);
		w->current = SIM_HOSTS_MAX;
		sim_event_add(w, w->now + rng_below(&h->rng[STREAM_JOB], 50000), EVENT_JOB_DONE, q, q->gen);
		return;
	}
	hf_list_add_tail(&h->jobs, &q->job->link);
	sim_req_free(q);
	sim_wake(h);
}

static void sim_fill_random(struct hf_reactor *r, void *buf, size_t len)
{
	struct host *h = host_of(r);
	uint8_t *at = buf;

	while (len > 0) {
		uint64_t v = rng_next(&h->rng[STREAM_RANDOM]);
		size_t n = len < sizeof(v) ? len : sizeof(v);

		memcpy(at, &v, n);
		at += n;
		len -= n;
	}
}

static hf_nsec sim_wall(struct hf_reactor *r)
{
	return 1780000000 * HF_SEC + host_of(r)->world->now;
}

const struct hf_reactor_ops sim_reactor_ops = {
	.submit = sim_submit,
	.cancel = sim_cancel,
	.file_open = sim_file_open,
	.file_unlink = sim_file_unlink,
	.sock_listen = sim_sock_listen,
	.close = sim_close,
	.job = sim_job,
	.random = sim_fill_random,
	.wall = sim_wall,
};

/* A turn, in the order of the contract (10). */

static void run_done(struct host *h)
{
	struct hf_list batch;
	struct hf_list *n;

	hf_list_init(&batch);
	hf_list_splice(&batch, &h->done);
	while ((n = hf_list_pop(&batch))) {
		struct hf_io *io = hf_container_of(n, struct hf_io, link);

		io->state = HF_IO_IDLE;
		io->done(io);
	}
}

static void run_jobs(struct host *h)
{
	struct hf_list *n;

	while ((n = hf_list_pop(&h->jobs))) {
		struct hf_job *j = hf_container_of(n, struct hf_job, link);

		j->done(j);
	}
}

static void run_calls(struct host *h)
{
	struct hf_list *n;

	while ((n = hf_list_pop(&h->calls))) {
		struct call *c = hf_container_of(n, struct call, link);
		sim_fn *fn = c->fn;
		void *ctx = c->ctx;

		c->gen++;
		pool_put(&h->world->calls, c);
		fn(h->world, ctx);
	}
}

void sim_host_turn(struct host *h)
{
	struct hf_list *n;

	run_done(h);
	hf_reactor_run_timers(&h->base);
	run_jobs(h);
	run_calls(h);
	hf_reactor_run_tasks(&h->base);
	while ((n = hf_list_pop(&h->queued)))
		start(h, hf_container_of(n, struct hf_io, link));
}

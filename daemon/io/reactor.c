// SPDX-License-Identifier: MIT
/*
 * reactor - the part of io/reactor.h that every backend shares: states of an io, timers, tasks.
 *
 * Owns: the checks at the door (an owner that breaks the contract stops here, on every backend alike), the timer
 * list, the task list. Does not own: any system call.
 */
#include "io/reactor.h"

#include "base/assert.h"
#include "base/limits.h"

#define IOV_COUNT_MAX 1024u		/* IOV_MAX of Linux */

static bool is_aligned(uint64_t v)
{
	return v % HF_SECTOR == 0;
}

/* Direct I/O wants every segment aligned, on the strictest disk there is. */
static void check_file_io(const struct hf_io *io)
{
	hf_assert(is_aligned(io->off) && is_aligned(io->len) && io->len > 0);
	hf_assert(io->off <= INT64_MAX - io->len);
	if (io->kind == HF_IO_DISCARD)
		return;
	if (io->iov_count == 0)
		hf_assert(is_aligned((uintptr_t)io->buf));
	for (uint32_t i = 0; i < io->iov_count; i++)
		hf_assert(is_aligned((uintptr_t)io->iov[i].iov_base) && is_aligned(io->iov[i].iov_len));
}

static void check_iov(const struct hf_io *io)
{
	size_t sum = 0;

	hf_assert(io->iov_count <= IOV_COUNT_MAX);
	hf_assert(io->kind == HF_IO_WRITE || io->kind == HF_IO_SEND);
	for (uint32_t i = 0; i < io->iov_count; i++)
		sum += io->iov[i].iov_len;
	hf_assert(sum == io->len);
}

static void check_io(const struct hf_io *io)
{
	hf_assert(io->done);
	hf_assert(hf_list_is_empty(&io->link));
	hf_assert(!io->dsync || io->kind == HF_IO_WRITE);
	if (io->iov_count > 0)
		check_iov(io);
	switch (io->kind) {
	case HF_IO_READ:
	case HF_IO_WRITE:
	case HF_IO_DISCARD:
		check_file_io(io);
		break;
	case HF_IO_RECV:
	case HF_IO_SEND:
		hf_assert(io->len > 0 && (io->buf || io->iov_count > 0));
		break;
	case HF_IO_CONNECT:
		hf_assert(io->addr);
		break;
	case HF_IO_SYNC:
	case HF_IO_ACCEPT:
		break;
	}
}

void hf_io_submit(struct hf_reactor *r, struct hf_io *io)
{
	hf_assert(io->state == HF_IO_IDLE);
	check_io(io);
	io->state = HF_IO_QUEUED;
	io->cancelled = false;
	io->progress = 0;
	io->result = 0;
	r->ops->submit(r, io);
}

void hf_io_cancel(struct hf_reactor *r, struct hf_io *io)
{
	if (io->cancelled || io->state == HF_IO_IDLE || io->state == HF_IO_DONE)
		return;
	io->cancelled = true;
	r->ops->cancel(r, io);
}

void hf_reactor_init(struct hf_reactor *r, const struct hf_reactor_ops *ops)
{
	*r = (struct hf_reactor){ .ops = ops };
	hf_list_init(&r->timers);
	hf_list_init(&r->tasks);
}

void hf_timer_init(struct hf_timer *t, void (*fire)(struct hf_timer *t))
{
	*t = (struct hf_timer){ .at = HF_NEVER, .fire = fire };
	hf_list_init(&t->link);
}

/*
 * A sorted list, searched from its end: a daemon keeps tens of timers and nearly every set is later than what is there
 * already, so this is a few steps. Equal times fire in the order in which they were set.
 */
void hf_timer_set(struct hf_reactor *r, struct hf_timer *t, hf_nsec at)
{
	struct hf_list *before;

	hf_assert(t->fire);
	hf_timer_clear(t);
	if (at == HF_NEVER)
		return;
	before = r->timers.prev;
	while (before != &r->timers && hf_container_of(before, struct hf_timer, link)->at > at)
		before = before->prev;
	t->at = at;
	hf_list_add_head(before, &t->link);
}

void hf_timer_clear(struct hf_timer *t)
{
	hf_list_del(&t->link);
	t->at = HF_NEVER;
}

hf_nsec hf_reactor_next_timer(const struct hf_reactor *r)
{
	if (hf_list_is_empty(&r->timers))
		return HF_NEVER;
	return hf_container_of(r->timers.next, struct hf_timer, link)->at;
}

/* What is due is taken out first: a timer that sets itself to the past waits for the next turn, so a turn ends. */
void hf_reactor_run_timers(struct hf_reactor *r)
{
	struct hf_list due;
	struct hf_list *n;

	hf_list_init(&due);
	while (hf_reactor_next_timer(r) <= r->now && !hf_list_is_empty(&r->timers))
		hf_list_add_tail(&due, hf_list_pop(&r->timers));
	while ((n = hf_list_pop(&due))) {
		struct hf_timer *t = hf_container_of(n, struct hf_timer, link);

		t->at = HF_NEVER;
		t->fire(t);
	}
}

void hf_task_init(struct hf_task *t, void (*run)(struct hf_task *t))
{
	*t = (struct hf_task){ .run = run };
	hf_list_init(&t->link);
}

void hf_task_defer(struct hf_reactor *r, struct hf_task *t)
{
	hf_assert(t->run);
	if (t->queued)
		return;
	t->queued = true;
	hf_list_add_tail(&r->tasks, &t->link);
}

void hf_task_cancel(struct hf_task *t)
{
	hf_list_del(&t->link);
	t->queued = false;
}

void hf_reactor_run_tasks(struct hf_reactor *r)
{
	struct hf_list *n;

	while ((n = hf_list_pop(&r->tasks))) {
		struct hf_task *t = hf_container_of(n, struct hf_task, link);

		t->queued = false;
		t->run(t);
	}
}

// SPDX-License-Identifier: MIT
/*
 * leg_super - superblock writes, one after the other, into the slot that does not hold the newest one; durable state
 * of a leg.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/sometimes.h"
#include "core/guard.h"
#include "store/leg_int.h"

static void next_write(struct hf_store *s);

static void on_written(struct hf_io *io)
{
	struct hf_store *s = hf_container_of(io, struct hf_store, sb_io);
	struct sb_req *q = s->sb_now;
	int result = io->result < 0 ? (int)io->result : 0;

	s->sb_now = NULL;
	HF_SOMETIMES_IF(STORE_SUPER_FAILS, result != 0);
	if (result)
		hf_leg_fail(s, result, "the superblock cannot be written");
	q->done(s, q, result);
	next_write(s);
	hf_leg_maybe_closed(s);
}

static void next_write(struct hf_store *s)
{
	struct hf_list *n;

	HF_SOMETIMES_IF(SUPER_WAITS, s->sb_now && !hf_list_is_empty(&s->sb_queue));
	if (s->sb_now || hf_list_is_empty(&s->sb_queue))
		return;
	if (s->failed) {	/* the other slot holds the last good one: it stays (H15) */
		hf_task_defer(s->r, &s->sb_task);
		return;
	}
	n = hf_list_pop(&s->sb_queue);
	s->sb_now = hf_container_of(n, struct sb_req, link);
	s->sb_now->fill(s, s->sb_now);
	s->sb.generation++;
	hf_disk_super_encode(s->sb_buf, &s->sb);
	hf_io_init(&s->sb_io, HF_IO_WRITE, s->fd, on_written);
	s->sb_io.buf = s->sb_buf;
	s->sb_io.len = HF_DISK_PAGE;
	s->sb_io.off = (s->sb.generation & 1) * HF_DISK_PAGE;
	s->sb_io.dsync = HF_GUARD(DSYNC);
	hf_io_submit(s->r, &s->sb_io);
}

static void on_refuse(struct hf_task *t)
{
	struct hf_store *s = hf_container_of(t, struct hf_store, sb_task);
	struct hf_list *n;

	while (!s->sb_now && (n = hf_list_pop(&s->sb_queue))) {
		struct sb_req *q = hf_container_of(n, struct sb_req, link);

		HF_SOMETIMES(SUPER_REFUSED);
		q->done(s, q, -EIO);
	}
	hf_leg_maybe_closed(s);
}

void hf_leg_super_init(struct hf_store *s)
{
	hf_list_init(&s->sb_queue);
	hf_io_init(&s->sb_io, HF_IO_WRITE, s->fd, on_written);
	hf_task_init(&s->sb_task, on_refuse);
}

void hf_leg_super_write(struct hf_store *s, struct sb_req *q)
{
	hf_list_init(&q->link);
	hf_list_add_tail(&s->sb_queue, &q->link);
	next_write(s);
}

/* hf_store_put_state: the request lives in a small object of the store's. */
struct put {
	struct sb_req q;
	struct hf_store_put *p;
};

static void fill_put(struct hf_store *s, struct sb_req *q)
{
	struct hf_store_put *p = hf_container_of(q, struct put, q)->p;

	uint64_t ver = s->sb.state.ver;

	s->sb.state = p->state;
	hf_leg_saw_ver(s, ver);
}

static void put_done(struct hf_store *s, struct sb_req *q, int result)
{
	struct put *x = hf_container_of(q, struct put, q);
	struct hf_store_put *p = x->p;

	free(x);
	p->done(p, s->failed && !result ? -EIO : result);
}

void hf_store_put_state(struct hf_store *s, struct hf_store_put *p)
{
	struct put *x = malloc(sizeof(*x));

	hf_assert(x);
	x->q.fill = fill_put;
	x->q.done = put_done;
	x->p = p;
	hf_leg_super_write(s, &x->q);
}

const struct hf_leg_state *hf_store_state(const struct hf_store *s)
{
	return &s->sb.state;
}

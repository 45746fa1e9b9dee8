/* SPDX-License-Identifier: MIT */
/*
 * buf - reference-counted payload buffers, aligned to 4096, from a pool that is allocated and touched once.
 *
 * Size classes 4 KiB, 16 KiB, 64 KiB, 256 KiB. One reactor's; no locks.
 */
#ifndef HF_IO_BUF_H
#define HF_IO_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct hf_buf_pool;

struct hf_buf {
	struct hf_list link;		/* free list */
	struct hf_buf_pool *pool;	/* NULL: of the heap */
	uint32_t refs;
	uint32_t size;			/* bytes of data: its class */
	uint8_t *data;
};

/* A pool of `bytes` in all, split over the classes. NULL when memory is short. */
struct hf_buf_pool *hf_buf_pool_new(size_t bytes);
void hf_buf_pool_free(struct hf_buf_pool *p);	/* every buffer was put back */

/* The pool's one memory range, for hf_reactor_pin() and, before the pool is freed, hf_reactor_unpin(). */
void hf_buf_pool_range(const struct hf_buf_pool *p, void **base, size_t *len);

/*
 * A buffer of at least `size` bytes (1..256 KiB) with one reference; NULL: none free now, see hf_buf_wait(). A larger
 * class may serve. Its content is whatever was there before.
 */
struct hf_buf *hf_buf_new(struct hf_buf_pool *p, uint32_t size);
/* One of exactly `size` bytes outside every pool, for what must not wait; asserts on memory. */
struct hf_buf *hf_buf_new_heap(uint32_t size);
struct hf_buf *hf_buf_get(struct hf_buf *b);
void hf_buf_put(struct hf_buf *b);

/*
 * After hf_buf_new() gave NULL. `ready` is called once, from inside the put that makes the pool able to serve `size`
 * again (waiters do not nest: a put inside `ready` is seen when it returns). Cancel: an unlinked waiter may be
 * cancelled again.
 */
struct hf_buf_waiter {
	struct hf_list link;
	uint32_t size;
	void (*ready)(struct hf_buf_waiter *w);
};
void hf_buf_wait(struct hf_buf_pool *p, struct hf_buf_waiter *w, uint32_t size,
		 void (*ready)(struct hf_buf_waiter *w));
void hf_buf_wait_cancel(struct hf_buf_waiter *w);

#endif

// SPDX-License-Identifier: MIT
/* test_io_buf - the promises of io/buf.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "io/buf.h"

static struct hf_buf_pool *pool;

static int setup(void **state)
{
	(void)state;
	pool = hf_buf_pool_new(2 << 20);
	return pool ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	hf_buf_pool_free(pool);
	return 0;
}

/* Take every buffer that can serve `size`; their number. */
static uint32_t drain(struct hf_buf **list, uint32_t size)
{
	uint32_t count = 0;

	while ((list[count] = hf_buf_new(pool, size)))
		count++;
	return count;
}

static void give_back(struct hf_buf **list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		hf_buf_put(list[i]);
}

static void test_buffers_are_aligned_and_large_enough(void **state)
{
	static const uint32_t size[] = { 1, 4096, 4097, 16384, 16385, 65536, 65537, 262144 };
	struct hf_buf *b[8];

	(void)state;
	for (uint32_t i = 0; i < 8; i++) {
		b[i] = hf_buf_new(pool, size[i]);
		assert_non_null(b[i]);
		assert_true(b[i]->size >= size[i] && b[i]->size < 4 * size[i] + 4096);
		assert_int_equal((uintptr_t)b[i]->data % 4096, 0);
		memset(b[i]->data, (int)i + 1, b[i]->size);
	}
	for (uint32_t i = 0; i < 8; i++)
		assert_true(b[i]->data[0] == i + 1 && b[i]->data[b[i]->size - 1] == i + 1);
	give_back(b, 8);
}

static void test_a_buffer_lives_until_its_last_reference(void **state)
{
	struct hf_buf *b = hf_buf_new(pool, 4096);
	struct hf_buf *other;

	(void)state;
	assert_ptr_equal(hf_buf_get(b), b);
	hf_buf_put(b);
	other = hf_buf_new(pool, 4096);
	assert_ptr_not_equal(other, b);
	hf_buf_put(other);
	hf_buf_put(b);
	assert_ptr_equal(hf_buf_new(pool, 4096), b);
	hf_buf_put(b);
}

static void test_a_larger_class_serves_when_the_own_one_is_empty(void **state)
{
	struct hf_buf *b[1024];
	uint32_t count = drain(b, 4096), larger = 0;
	uint64_t bytes = 0;

	(void)state;
	for (uint32_t i = 0; i < count; i++) {
		bytes += b[i]->size;
		larger += b[i]->size > 4096;
	}
	assert_true(larger > 0);
	assert_true(bytes > (2 << 20) * 9 / 10);
	give_back(b, count);
}

static void test_all_buffers_lie_in_the_pools_range(void **state)
{
	struct hf_buf *b[1024];
	uint32_t count = drain(b, 1);
	uint8_t *base;
	size_t len;

	(void)state;
	hf_buf_pool_range(pool, (void **)&base, &len);
	assert_true(len <= 2 << 20);
	for (uint32_t i = 0; i < count; i++)
		assert_true(b[i]->data >= base && b[i]->data + b[i]->size <= base + len);
	give_back(b, count);
}

struct waiter {
	struct hf_buf_waiter w;
	uint32_t calls;
	bool keeps;
	struct hf_buf *got;
};

static void ready(struct hf_buf_waiter *w)
{
	struct waiter *x = hf_container_of(w, struct waiter, w);

	x->calls++;
	x->got = hf_buf_new(pool, w->size);
	assert_non_null(x->got);
	if (!x->keeps)
		hf_buf_put(x->got);
}

static void test_waiters_are_served_in_order_as_buffers_come_back(void **state)
{
	struct hf_buf *b[1024];
	uint32_t count = drain(b, 4096);
	struct waiter x[3] = { { .keeps = true }, { .keeps = true }, { .keeps = true } };

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		hf_buf_wait(pool, &x[i].w, 4096, ready);
	hf_buf_put(b[0]);
	assert_true(x[0].calls == 1 && x[1].calls == 0 && x[2].calls == 0);
	hf_buf_wait_cancel(&x[1].w);
	hf_buf_put(b[1]);
	assert_true(x[0].calls == 1 && x[1].calls == 0 && x[2].calls == 1);
	hf_buf_wait_cancel(&x[2].w);
	hf_buf_put(x[0].got);
	hf_buf_put(x[2].got);
	give_back(b + 2, count - 2);
}

static void test_a_large_waiter_does_not_hold_up_a_small_one(void **state)
{
	struct hf_buf *b[1024];
	uint32_t count = drain(b, 4096);
	struct waiter large = { .keeps = true }, small = { .keeps = true };

	(void)state;
	hf_buf_wait(pool, &large.w, 262144, ready);
	hf_buf_wait(pool, &small.w, 4096, ready);
	assert_int_equal(b[0]->size, 4096);
	hf_buf_put(b[0]);
	assert_true(small.calls == 1 && large.calls == 0);
	assert_int_equal(b[count - 1]->size, 262144);
	hf_buf_put(b[count - 1]);
	assert_int_equal(large.calls, 1);
	hf_buf_put(large.got);
	hf_buf_put(small.got);
	give_back(b + 1, count - 2);
}

static void test_a_put_inside_ready_wakes_the_next_waiter_without_nesting(void **state)
{
	struct hf_buf *b[1024];
	uint32_t count = drain(b, 4096);
	struct waiter x[200] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 200; i++)
		hf_buf_wait(pool, &x[i].w, 4096, ready);
	hf_buf_put(b[0]);
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(x[i].calls, 1);
	give_back(b + 1, count - 1);
}

static void test_a_tiny_pool_serves_small_buffers(void **state)
{
	struct hf_buf_pool *p = hf_buf_pool_new(8192);
	struct hf_buf *b;

	(void)state;
	assert_null(hf_buf_pool_new(0));
	b = hf_buf_new(p, 4096);
	assert_non_null(b);
	assert_null(hf_buf_new(p, 16384));
	hf_buf_put(b);
	hf_buf_pool_free(p);
	hf_buf_pool_free(NULL);
}

#define PROMISE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		PROMISE(test_buffers_are_aligned_and_large_enough),
		PROMISE(test_a_buffer_lives_until_its_last_reference),
		PROMISE(test_a_larger_class_serves_when_the_own_one_is_empty),
		PROMISE(test_all_buffers_lie_in_the_pools_range),
		PROMISE(test_waiters_are_served_in_order_as_buffers_come_back),
		PROMISE(test_a_large_waiter_does_not_hold_up_a_small_one),
		PROMISE(test_a_put_inside_ready_wakes_the_next_waiter_without_nesting),
		PROMISE(test_a_tiny_pool_serves_small_buffers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

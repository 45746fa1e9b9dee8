// SPDX-License-Identifier: MIT
/* ram_export - see ram_export.h. Requests of a fenced session are answered -ESHUTDOWN. */
#include "lib/ram_export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"

static void requests_task(struct hf_task *t);
static void open_task(struct hf_task *t);

int ram_export_init(struct ram_export *x, struct hf_reactor *r, const char *name, uint64_t size_blocks)
{
	*x = (struct ram_export){ .r = r, .size_blocks = size_blocks };
	snprintf(x->name, sizeof(x->name), "%s", name);
	x->data = mmap(NULL, size_blocks * HF_BLOCK, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	x->allocated = calloc(size_blocks, 1);
	if (x->data == MAP_FAILED || !x->allocated) {
		free(x->allocated);
		return -ENOMEM;
	}
	hf_list_init(&x->sessions);
	hf_list_init(&x->requests);
	hf_task_init(&x->task, requests_task);
	hf_task_init(&x->open_task, open_task);
	return 0;
}

void ram_export_fini(struct ram_export *x)
{
	hf_assert(hf_list_is_empty(&x->sessions) && hf_list_is_empty(&x->requests));
	hf_task_cancel(&x->task);
	hf_task_cancel(&x->open_task);
	munmap(x->data, x->size_blocks * HF_BLOCK);
	free(x->allocated);
}

void ram_export_release(struct ram_export *x)
{
	x->hold = false;
	x->hold_open = false;
	hf_task_defer(x->r, &x->task);
	hf_task_defer(x->r, &x->open_task);
}

/* ---------------------------------------------------------------- exports */

static bool ram_list(void *ctx, size_t *cursor, struct hf_export_info *out)
{
	struct ram_export *x = ctx;
	size_t at = (*cursor)++;

	*out = (struct hf_export_info){ .size_blocks = x->size_blocks };
	snprintf(out->description, sizeof(out->description), "memory");
	if (at == 0)
		snprintf(out->name, sizeof(out->name), "%s", x->name);
	else
		snprintf(out->name, sizeof(out->name), "extra-%zu", at);
	return at <= x->extra_exports;
}

static int ram_info(void *ctx, const char *name, struct hf_export_info *out, struct hf_errmsg *err)
{
	struct ram_export *x = ctx;
	size_t len = strlen(x->name);
	bool is_ro = strncmp(name, x->name, len) == 0 && strcmp(name + len, "@ro") == 0;

	if (x->info_result != 0)
		return hf_fail(err, x->info_result, "the volume is not served here now");
	if (strcmp(name, x->name) != 0 && !is_ro)
		return hf_fail(err, -ENOENT, "there is no volume '%s'", name);
	*out = (struct hf_export_info){ .size_blocks = x->size_blocks, .read_only = is_ro };
	snprintf(out->name, sizeof(out->name), "%s", x->name);
	snprintf(out->description, sizeof(out->description), "memory");
	return 0;
}

/* ---------------------------------------------------------------- sessions */

static struct hf_session *writer_of(struct ram_export *x)
{
	hf_list_each(&x->sessions, n) {
		struct hf_session *s = hf_container_of(n, struct hf_session, link);

		if (!s->read_only)
			return s;
	}
	return NULL;
}

static void ram_open(void *ctx, const char *name, struct hf_session *s,
		     void (*opened)(struct hf_session *s, int result, const char *why))
{
	struct ram_export *x = ctx;

	(void)name;
	hf_assert(x->opening_count < sizeof(x->opening) / sizeof(x->opening[0]));
	x->opening[x->opening_count] = s;
	x->opened[x->opening_count++] = opened;
	hf_task_defer(x->r, &x->open_task);
}

bool ram_export_fence(struct ram_export *x, const char *why)
{
	struct hf_session *s = writer_of(x);

	if (!s)
		return false;
	if (s->volume == x) {
		s->volume = NULL;	/* fenced */
		s->fenced(s, why);
	}
	hf_task_defer(x->r, &x->task);
	return true;
}

/* 1: still waiting. */
static int admit(struct ram_export *x, struct hf_session *s, const char **why)
{
	struct hf_session *first = s->read_only ? NULL : writer_of(x);

	if (x->hold_open)
		return 1;
	if (first && first->volume == x && (!x->is_alive || x->is_alive(first))) {
		*why = "another client has the volume open";
		return -EBUSY;
	}
	if (first) {
		ram_export_fence(x, "another client took over");
		return 1;
	}
	s->volume = x;
	hf_list_add_tail(&x->sessions, &s->link);
	x->opens++;
	return 0;
}

static void open_task(struct hf_task *t)
{
	struct ram_export *x = hf_container_of(t, struct ram_export, open_task);
	size_t count = x->opening_count, left = 0;

	for (size_t i = 0; i < count; i++) {
		struct hf_session *s = x->opening[i];
		void (*opened)(struct hf_session *s, int result, const char *why) = x->opened[i];
		const char *why = NULL;
		int ret = admit(x, s, &why);

		if (ret <= 0) {
			opened(s, ret, why);
		} else {
			x->opening[left] = s;
			x->opened[left++] = opened;
		}
	}
	x->opening_count = left;
}

static void ram_close(void *ctx, struct hf_session *s)
{
	struct ram_export *x = ctx;

	hf_list_each(&x->requests, n)
		hf_assert(hf_container_of(n, struct hf_request, link)->session != s);
	hf_list_del(&s->link);
	x->closes++;
	if (x->opening_count > 0)
		hf_task_defer(x->r, &x->open_task);
}

/* ---------------------------------------------------------------- requests */

static int check(const struct ram_export *x, const struct hf_request *q)
{
	uint32_t max = q->kind == HF_REQUEST_ZERO ? HF_ZERO_BLOCKS_MAX : HF_WRITE_BLOCKS_MAX;

	if (q->kind == HF_REQUEST_FLUSH)
		return 0;
	hf_assert(q->nblocks > 0 && q->nblocks <= max);
	if (q->kind != HF_REQUEST_ZERO)
		hf_assert(q->buf && q->buf->refs > 0 && q->buf->size >= q->nblocks * HF_BLOCK);
	if (q->kind != HF_REQUEST_READ)
		hf_assert(!q->session->read_only);
	return q->lba > x->size_blocks || q->nblocks > x->size_blocks - q->lba ? -EINVAL : 0;
}

static void carry_out(struct ram_export *x, struct hf_request *q)
{
	uint8_t *at = x->data + q->lba * HF_BLOCK;
	size_t len = (size_t)q->nblocks * HF_BLOCK;

	switch (q->kind) {
	case HF_REQUEST_READ:
		x->reads++;
		memcpy(q->buf->data, at, len);
		break;
	case HF_REQUEST_WRITE:
		x->writes++;
		memcpy(at, q->buf->data, len);
		memset(x->allocated + q->lba, 1, q->nblocks);
		break;
	case HF_REQUEST_ZERO:
		x->zeroes++;
		for (uint32_t i = 0; i < q->nblocks; i++)
			if (x->allocated[q->lba + i])
				memset(at + (size_t)i * HF_BLOCK, 0, HF_BLOCK);
		memset(x->allocated + q->lba, 0, q->nblocks);
		break;
	case HF_REQUEST_FLUSH:
		x->flushes++;
		break;
	}
}

static void answer(struct ram_export *x, struct hf_request *q)
{
	int ret = check(x, q);

	if (q->session->volume != x) {
		ret = -ESHUTDOWN;
	} else if (x->fail_count > 0 && q->kind == x->fail_kind) {
		x->fail_count--;
		ret = x->fail;
	}
	if (ret == 0)
		carry_out(x, q);
	if ((q->kind == HF_REQUEST_READ || q->kind == HF_REQUEST_WRITE) && q->buf)
		hf_buf_put(q->buf);
	x->under_way--;
	q->done(q, ret);
}

static bool is_held(const struct ram_export *x, const struct hf_request *q)
{
	return x->hold && q->session->volume == x;
}

static void requests_task(struct hf_task *t)
{
	struct ram_export *x = hf_container_of(t, struct ram_export, task);
	struct hf_list batch;

	hf_list_init(&batch);
	hf_list_splice(&batch, &x->requests);
	while (!hf_list_is_empty(&batch)) {
		struct hf_list *n = x->reverse ? batch.prev : batch.next;
		struct hf_request *q = hf_container_of(n, struct hf_request, link);

		hf_list_del(n);
		if (is_held(x, q))
			hf_list_add_tail(&x->requests, n);
		else
			answer(x, q);
	}
}

static void ram_submit(void *ctx, struct hf_session *s, struct hf_request *q)
{
	struct ram_export *x = ctx;

	hf_assert(q->session == s && hf_list_is_empty(&q->link));
	if (q->buf)
		hf_buf_get(q->buf);
	if (++x->under_way > x->under_way_max)
		x->under_way_max = x->under_way;
	hf_list_add_tail(&x->requests, &q->link);
	hf_task_defer(x->r, &x->task);
}

static uint64_t ram_extent(void *ctx, struct hf_session *s, uint64_t lba, uint64_t max, bool *allocated)
{
	struct ram_export *x = ctx;
	uint64_t n = 1;

	(void)s;
	hf_assert(lba < x->size_blocks && max > 0 && max <= x->size_blocks - lba);
	*allocated = x->allocated[lba];
	while (n < max && x->allocated[lba + n] == *allocated)
		n++;
	return n;
}

const struct hf_front_backend ram_export_backend = {
	.list = ram_list,
	.info = ram_info,
	.open = ram_open,
	.close = ram_close,
	.submit = ram_submit,
	.extent = ram_extent,
};

// SPDX-License-Identifier: MIT
/* request - requests and rows on the heap, for every backend. */
#include "cluster/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/parse.h"

/* rows */

static char *copy_of(const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy) {
		memcpy(copy, text, len);
		copy[len] = '\0';
	}
	return copy;
}

int hf_cluster_rows_add(struct hf_cluster_rows *rows, const char *key, size_t key_len, const char *value,
			size_t value_len, uint64_t ver)
{
	struct hf_cluster_item item = { .value_len = value_len, .ver = ver };

	if (key_len >= HF_CLUSTER_KEY_MAX || memchr(key, 0, key_len) || value_len > HF_CLUSTER_VALUE_MAX ||
	    memchr(value, 0, value_len))
		return -EUCLEAN;
	if (rows->bytes + key_len + value_len > HF_CLUSTER_ROWS_BYTES_MAX)
		return -E2BIG;
	if ((rows->count & (rows->count - 1)) == 0) {
		struct hf_cluster_item *more =
			reallocarray(rows->item, rows->count ? rows->count * 2 : 1, sizeof(*more));

		if (!more)
			return -ENOMEM;
		rows->item = more;
	}
	item.key = copy_of(key, key_len);
	item.value = copy_of(value, value_len);
	if (!item.key || !item.value) {
		free((char *)(uintptr_t)item.key);
		free((char *)(uintptr_t)item.value);
		/* cppcheck-suppress memleak ; it does not see through the casts */
		return -ENOMEM;
	}
	rows->item[rows->count++] = item;
	rows->bytes += key_len + value_len;
	return 0;
}

void hf_cluster_rows_fini(struct hf_cluster_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		free((char *)(uintptr_t)rows->item[i].key);
		free((char *)(uintptr_t)rows->item[i].value);
	}
	free(rows->item);
	*rows = (struct hf_cluster_rows){ 0 };
}

/* requests */

static void refuse(struct hf_cluster_request *q)
{
	q->kind = HF_CLUSTER_REFUSED;
	q->result = -EINVAL;
}

struct hf_cluster_request *hf_cluster_request_new(struct hf_cluster_req *caller, enum hf_cluster_request_kind kind,
						  const char *key)
{
	struct hf_cluster_request *q = calloc(1, sizeof(*q));
	size_t len = strlen(key);

	hf_assert(q);
	hf_list_init(&q->link);
	q->kind = kind;
	q->caller = caller;
	if (len < sizeof(q->key))
		memcpy(q->key, key, len + 1);
	else
		refuse(q);
	return q;
}

/* NULL stays NULL. */
static char *text_copy(const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	hf_assert(!text || copy);
	return copy;
}

struct hf_cluster_request *hf_cluster_request_cas(struct hf_cluster_req *caller, const char *key, uint64_t ver,
						  const char *was, const char *value)
{
	struct hf_cluster_request *q = hf_cluster_request_new(caller, HF_CLUSTER_CAS, key);

	q->ver = ver;
	if (!key[0] || ver > INT64_MAX || (value && strlen(value) > HF_CLUSTER_VALUE_MAX)) {
		refuse(q);
	} else {
		q->was = text_copy(was);
		q->value = text_copy(value);
	}
	return q;
}

struct hf_cluster_request *hf_cluster_request_host(struct hf_cluster_req *caller, enum hf_cluster_request_kind kind,
						   const char *host)
{
	struct hf_cluster_request *q = hf_cluster_request_new(caller, kind, host);

	if (hf_name_check("host name", host, NULL) < 0)
		refuse(q);
	return q;
}

void hf_cluster_request_free(struct hf_cluster_request *q)
{
	hf_cluster_rows_fini(&q->rows);
	free(q->was);
	free(q->value);
	free(q);
}

void hf_cluster_requests_drop(struct hf_list *list)
{
	struct hf_list *n;

	while ((n = hf_list_pop(list)))
		hf_cluster_request_free(hf_container_of(n, struct hf_cluster_request, link));
}

void hf_cluster_request_tell(struct hf_cluster_request *q)
{
	bool has_rows = q->rows.count > 0;

	q->caller->done(q->caller, q->result, has_rows ? q->rows.item : NULL, q->rows.count, q->ver);
}

static bool is_answer(int result)
{
	return result >= 0 || result == -ENOENT || result == -ESTALE || result == -EEXIST;
}

void hf_cluster_note_answer(struct hf_cluster *c, const struct hf_cluster_request *q, hf_nsec now)
{
	if (q->result == -EINVAL || q->result == -ECANCELED)
		return;			/* refused before the store was asked */
	if (is_answer(q->result)) {
		if (c->away_since)
			hf_info("cluster store: it answers again after %llu ms",
				(unsigned long long)((now - c->away_since) / HF_MS));
		c->away_since = 0;
		return;
	}
	snprintf(c->away_why, sizeof(c->away_why), "%.*s", (int)sizeof(c->away_why) - 1,
		 q->why.text[0] ? q->why.text : hf_strerror(q->result));
	if (c->away_since)
		return;
	c->away_since = now ? now : 1;
	hf_warn("cluster store: %s; volumes go on, changes of their in-sync sets wait", c->away_why);
}

bool hf_cluster_has_prefix(const char *key, const char *prefix)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}

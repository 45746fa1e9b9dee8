/* SPDX-License-Identifier: MIT */
/* list - intrusive doubly linked list; the head is a node; an unlinked node points to itself. */
#ifndef HF_BASE_LIST_H
#define HF_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

struct hf_list {
	struct hf_list *next, *prev;
};

#define hf_container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline void hf_list_init(struct hf_list *l)
{
	l->next = l->prev = l;
}

static inline bool hf_list_is_empty(const struct hf_list *l)
{
	return l->next == l;
}

static inline void hf_list_add_tail(struct hf_list *head, struct hf_list *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

static inline void hf_list_add_head(struct hf_list *head, struct hf_list *n)
{
	hf_list_add_tail(head->next, n);
}

static inline void hf_list_del(struct hf_list *n)
{
	n->next->prev = n->prev;
	n->prev->next = n->next;
	hf_list_init(n);
}

/* First node, unlinked from the list; NULL when empty. */
static inline struct hf_list *hf_list_pop(struct hf_list *head)
{
	struct hf_list *n = head->next;

	if (n == head)
		return NULL;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it takes the next node for the one popped and freed before */
	hf_list_del(n);
	return n;
}

/* First node of a list that is not empty, unlinked. */
static inline struct hf_list *hf_list_take(struct hf_list *head)
{
	struct hf_list *n = hf_list_pop(head);

	hf_assert(n);
	return n;
}

/* Move every node of `from` to the tail of `to`. */
static inline void hf_list_splice(struct hf_list *to, struct hf_list *from)
{
	if (hf_list_is_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	hf_list_init(from);
}

/* `n` may be unlinked inside the loop. */
#define hf_list_each(head, n) \
	for (struct hf_list *n = (head)->next, *n##_next = n->next; n != (head); \
	     n = n##_next, n##_next = n->next)

#endif

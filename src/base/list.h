/*
 * base/list.h - a doubly linked list whose links live in the elements.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/base.h"

#include <stdbool.h>

struct list {
	struct list *prev, *next;
};

/* Walks elements of `type` linked by `member`. The current element may be
 * removed or freed; others may not. */
#define LIST_EACH(it, head, type, member)                                      \
	for (type *it = container_of((head)->next, type, member),              \
		  *it##_next = container_of(it->member.next, type, member);    \
	     &it->member != (head); it = it##_next,                            \
		  it##_next = container_of(it->member.next, type, member))

static inline void
list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool
list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void
list_add(struct list *head, struct list *l) /* at the end */
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void
list_add_first(struct list *head, struct list *l)
{
	list_add(head->next, l);
}

/* Leaves `l` as an empty list, so that removing twice is harmless. */
static inline void
list_del(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

/* Moves all of `from` to the end of `to`. */
static inline void
list_join(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	from->prev->next = to;
	to->prev->next = from->next;
	to->prev = from->prev;
	list_init(from);
}

#define list_first(head, type, member)                                         \
	(list_empty(head) ? NULL : container_of((head)->next, type, member))

#endif

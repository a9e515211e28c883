/*
 * base/heap.h - what is due next: a heap of times embedded in their owners.
 *
 * One thread at a time. Zero-initialise both; container_of() leads from an item
 * to its owner.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_item {
	int64_t at;
	size_t pos; /* the heap's own: place + 1; 0: not in it */
};

struct heap {
	struct heap_item **items; /* items[0] is the earliest */
	size_t n, cap;
};

/* Adds it, or moves it to another time. */
void heap_put(struct heap *h, struct heap_item *item, int64_t at);
void heap_del(struct heap *h, struct heap_item *item); /* absent: nothing */
static inline struct heap_item *
heap_first(const struct heap *h) /* NULL: empty */
{
	return h->n > 0 ? h->items[0] : NULL;
}
void heap_fini(struct heap *h); /* items are the caller's */

#endif

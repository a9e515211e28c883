/*
 * base/heap.c - see heap.h.
 */
#include "base/heap.h"

#include "base/mem.h"

#include <stdlib.h>

static void
set(struct heap *h, size_t i, struct heap_item *item)
{
	h->items[i] = item;
	item->pos = i + 1;
}

static void
sift_up(struct heap *h, size_t i)
{
	struct heap_item *item = h->items[i];

	while (i > 0 && h->items[(i - 1) / 2]->at > item->at) {
		set(h, i, h->items[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	set(h, i, item);
}

static void
sift_down(struct heap *h, size_t i)
{
	struct heap_item *item = h->items[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n &&
		    h->items[child + 1]->at < h->items[child]->at)
			child++;
		if (h->items[child]->at >= item->at)
			break;
		set(h, i, h->items[child]);
		i = child;
	}
	set(h, i, item);
}

void
heap_put(struct heap *h, struct heap_item *item, int64_t at)
{
	item->at = at;
	if (item->pos == 0) {
		if (h->n == h->cap) {
			h->cap = h->cap * 2 + 16;
			h->items =
			    mem_resize(h->items, h->cap, sizeof(*h->items));
		}
		set(h, h->n++, item);
	}
	sift_up(h, item->pos - 1);
	sift_down(h, item->pos - 1);
}

void
heap_del(struct heap *h, struct heap_item *item)
{
	size_t i = item->pos - 1;

	if (item->pos == 0)
		return;
	item->pos = 0;
	h->n--;
	if (i == h->n)
		return;
	set(h, i, h->items[h->n]);
	sift_up(h, i);
	sift_down(h, h->items[i]->pos - 1);
}

void
heap_fini(struct heap *h)
{
	free(h->items);
	*h = (struct heap){ 0 };
}

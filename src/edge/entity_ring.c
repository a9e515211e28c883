/*
 * edge/entity_ring.c - messages that wait for their entity; see entity.h.
 */
#include "edge/entity.h"

#include "base/base.h"
#include "base/mem.h"

#include <stdlib.h>

#define RING_MAX 100
#define RING_BYTES ((size_t)256 << 10)

struct waiting {
	struct list link;
	struct str id;
	struct te_early m;
	size_t bytes;
};

struct te_ring {
	struct list all;
	uint32_t n, max;
	size_t bytes, max_bytes;
	uint64_t lost;
};

struct te_ring *
te_ring_new(uint32_t max, size_t max_bytes)
{
	struct te_ring *r = mem_new(struct te_ring);

	list_init(&r->all);
	r->max = max > 0 ? max : RING_MAX;
	r->max_bytes = max_bytes > 0 ? max_bytes : RING_BYTES;
	return r;
}

static void
drop(struct waiting *w)
{
	list_del(&w->link);
	str_free(w->id);
	str_free(w->m.topic);
	str_free(w->m.payload);
	free(w);
}

void
te_ring_free(struct te_ring *r)
{
	if (r == NULL)
		return;
	LIST_EACH (w, &r->all, struct waiting, link)
		drop(w);
	free(r);
}

bool
te_ring_put(struct te_ring *r, struct str id, const struct te_early *m)
{
	size_t bytes =
	    sizeof(struct waiting) + id.len + m->topic.len + m->payload.len;
	struct waiting *w;

	if (bytes > r->max_bytes) {
		r->lost++;
		return false;
	}
	while (r->n == r->max || r->bytes + bytes > r->max_bytes) {
		w = list_first(&r->all, struct waiting, link);
		r->n--;
		r->bytes -= w->bytes;
		r->lost++;
		drop(w);
	}
	w = mem_new(struct waiting);
	w->id = str_copy(id);
	w->m = *m;
	w->m.topic = str_copy(m->topic);
	w->m.payload = str_copy(m->payload);
	w->bytes = bytes;
	list_add(&r->all, &w->link);
	r->n++;
	r->bytes += bytes;
	return true;
}

void
te_ring_take(struct te_ring *r, struct str id,
    void (*each)(void *ctx, const struct te_early *m), void *ctx)
{
	struct list taken;

	list_init(&taken);
	LIST_EACH (w, &r->all, struct waiting, link) {
		if (!str_eq(w->id, id))
			continue;
		r->n--;
		r->bytes -= w->bytes;
		list_del(&w->link);
		list_add(&taken, &w->link);
	}
	while (!list_empty(&taken)) {
		struct waiting *w = list_first(&taken, struct waiting, link);

		each(ctx, &w->m);
		drop(w);
	}
}

size_t
te_ring_count(const struct te_ring *r)
{
	return r->n;
}

uint64_t
te_ring_lost(const struct te_ring *r)
{
	return r->lost;
}

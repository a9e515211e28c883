/*
 * plug/metric/ring.c - the last points, in a ring in memory: the example of
 * docs/guide/metric-engine.md, and a double for tests.
 *
 * It keeps `bufferPoints` points of all series together and forgets the oldest
 * written; a restart forgets all. The contract test runs it like the others.
 */
#include "plug/metric/ops.h"

#include "base/base.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct ring {
	pthread_mutex_t lock;
	size_t size, next; /* next: the slot to write, the oldest once full */
	uint64_t written;
	struct slot {
		struct metric_point point; /* series 0: unused */
		uint64_t order;            /* of writing */
	} * slot;
};

static struct ring *
ring_of(struct engine *g)
{
	return (struct ring *)(void *)g;
}

static int
ring_open(const struct metric_settings *set, const char *path,
    const struct metric_host *host, struct engine **ret, struct err *err)
{
	struct ring *r = mem_new(struct ring);

	(void)path;
	(void)host; /* it remembers no series */
	(void)err;
	pthread_mutex_init(&r->lock, NULL);
	r->size = (size_t)set->buffer_points;
	r->slot = mem_array(r->size, sizeof(*r->slot));
	*ret = (struct engine *)(void *)r;
	return 0;
}

static void
ring_close(struct engine *g)
{
	struct ring *r = ring_of(g);

	for (size_t i = 0; i < r->size; i++)
		str_free(r->slot[i].point.text);
	pthread_mutex_destroy(&r->lock);
	free(r->slot);
	free(r);
}

static int
ring_write(struct engine *g, const struct metric_point *p, size_t n,
    struct metric_commit *commit, struct err *err)
{
	struct ring *r = ring_of(g);

	(void)err;
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < n; i++) {
		struct slot *s = &r->slot[r->next];

		str_free(s->point.text);
		s->point = p[i];
		s->point.text = str_copy(p[i].text);
		s->order = r->written++;
		r->next = (r->next + 1) % r->size;
	}
	pthread_mutex_unlock(&r->lock);
	if (commit != NULL)
		commit->done(commit, 0, NULL);
	return 0;
}

static int
by_time(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	if (x->point.at != y->point.at)
		return x->point.at < y->point.at ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int
ring_read(struct engine *g, const struct metric_series *s, int64_t from,
    int64_t to, metric_visit *visit, void *ctx, struct err *err)
{
	struct ring *r = ring_of(g);
	struct arena a = { 0 };
	struct buf found = { 0 };
	struct slot *f;
	size_t n;

	(void)err;
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->size; i++) {
		struct slot copy = r->slot[i];

		if (copy.point.series != s->id || copy.point.at < from ||
		    copy.point.at >= to)
			continue;
		copy.point.text = arena_str(&a, copy.point.text);
		buf_add(&found, &copy, sizeof(copy));
	}
	pthread_mutex_unlock(&r->lock);

	/* The visitor runs without the lock: it may write. */
	f = (struct slot *)(void *)found.ptr;
	n = found.len / sizeof(*f);
	if (n > 0)
		qsort(f, n, sizeof(*f), by_time);
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || f[i].point.at != f[i + 1].point.at)
			if (!visit(ctx, &f[i].point, 1))
				break;
	buf_free(&found);
	arena_fini(&a);
	return 0;
}

const struct metric_ops metric_ring = {
	.name = "ring",
	.open = ring_open,
	.close = ring_close,
	.write = ring_write,
	.read = ring_read,
};

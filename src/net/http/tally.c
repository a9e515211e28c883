/*
 * net/http/tally.c - see tally.h.
 */
#include "net/http/tally.h"

#include "base/base.h"
#include "base/counter.h"
#include "base/mem.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#define STATUSES 8 /* different ones of one route; more fall into the last */

/* Upper ends of the histogram's buckets, in ms; then everything. */
static const int64_t bounds[] = { 5, 10, 25, 50, 100, 250, 500, 1000, 2500,
	5000, 10000 };

struct tally {
	int status[STATUSES];
	int64_t count[STATUSES];
	int64_t within[COUNT_OF(bounds) + 1];
	int64_t ms, total;
};

struct tallies {
	const struct http_route *const *routes;
	size_t n;
	counter_t pending;
	pthread_mutex_t lock; /* guards what follows */
	struct tally at[];    /* one per route, and one for all else */
};

struct tallies *
tallies_new(const struct http_route *const *routes)
{
	struct tallies *t;
	size_t n = 0;

	while (routes != NULL && routes[n] != NULL)
		n++;
	t = mem_alloc(sizeof(*t) + (n + 1) * sizeof(t->at[0]));
	t->routes = routes;
	t->n = n;
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void
tallies_free(struct tallies *t)
{
	if (t == NULL)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void
tallies_begin(struct tallies *t)
{
	counter_add(&t->pending, 1);
}

void
tallies_undo(struct tallies *t)
{
	counter_add(&t->pending, -1);
}

void
tallies_end(
    struct tallies *t, const struct http_route *route, int status, int64_t ms)
{
	struct tally *x;
	size_t i = 0, k = 0, b = 0;

	while (i < t->n && t->routes[i] != route)
		i++;
	x = &t->at[i];
	while (b < COUNT_OF(bounds) && ms > bounds[b])
		b++;
	pthread_mutex_lock(&t->lock);
	while (k < STATUSES - 1 && x->status[k] != 0 && x->status[k] != status)
		k++;
	x->status[k] = status;
	x->count[k]++;
	x->within[b]++;
	x->ms += ms;
	x->total++;
	pthread_mutex_unlock(&t->lock);
	counter_add(&t->pending, -1);
}

static void
write_times(struct buf *out, const struct tally *x, const char *method,
    const char *path)
{
	static const char name[] = "axum_http_requests_duration_seconds";
	int64_t sum = 0;

	for (size_t b = 0; b <= COUNT_OF(bounds); b++) {
		sum += x->within[b];
		buf_addf(out, "%s_bucket{method=\"%s\",endpoint=\"%s\",le=\"",
		    name, method, path);
		if (b < COUNT_OF(bounds))
			buf_addf(out, "%g", (double)bounds[b] / 1000);
		else
			buf_addz(out, "+Inf");
		buf_addf(out, "\"} %" PRId64 "\n", sum);
	}
	buf_addf(out, "%s_sum{method=\"%s\",endpoint=\"%s\"} %.3f\n", name,
	    method, path, (double)x->ms / 1000);
	buf_addf(out, "%s_count{method=\"%s\",endpoint=\"%s\"} %" PRId64 "\n",
	    name, method, path, x->total);
}

void
tallies_write(struct tallies *t, struct buf *out)
{
	pthread_mutex_lock(&t->lock);
	buf_addz(out, "# TYPE axum_http_requests_total counter\n");
	for (size_t i = 0; i <= t->n; i++)
		for (size_t k = 0; k < STATUSES && t->at[i].status[k] != 0; k++)
			buf_addf(out,
			    "axum_http_requests_total{method=\"%s\","
			    "status=\"%d\",endpoint=\"%s\"} %" PRId64 "\n",
			    i < t->n ? t->routes[i]->method : "",
			    t->at[i].status[k],
			    i < t->n ? t->routes[i]->path : "other",
			    t->at[i].count[k]);
	buf_addz(out, "# TYPE axum_http_requests_duration_seconds histogram\n");
	for (size_t i = 0; i < t->n; i++)
		if (t->at[i].total > 0)
			write_times(out, &t->at[i], t->routes[i]->method,
			    t->routes[i]->path);
	pthread_mutex_unlock(&t->lock);
	buf_addz(out, "# TYPE axum_http_requests_pending gauge\n");
	buf_addf(out, "axum_http_requests_pending %" PRId64 "\n",
	    counter_get(&t->pending));
}

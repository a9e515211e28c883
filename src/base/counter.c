/*
 * base/counter.c - see counter.h.
 */
#include "base/counter.h"

#include <inttypes.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct counter_group *groups; /* a group is added once, never removed */

void
counter_register(struct counter_group *g)
{
	struct counter_group **at;

	pthread_mutex_lock(&lock);
	for (at = &groups; *at != NULL && *at != g; at = &(*at)->next)
		;
	if (*at == NULL) {
		g->next = NULL;
		*at = g;
	}
	pthread_mutex_unlock(&lock);
}

void
counter_each(void (*visit)(void *ctx, const struct counter_group *g,
		 const struct counter_row *row, int64_t value),
    void *ctx)
{
	struct counter_group *g;

	pthread_mutex_lock(&lock);
	g = groups;
	pthread_mutex_unlock(&lock);
	for (; g != NULL; g = g->next)
		for (size_t i = 0; i < g->n; i++) {
			const void *at =
			    (const char *)g->values + g->rows[i].offset;

			visit(ctx, g, &g->rows[i],
			    counter_get((const counter_t *)at));
		}
}

static void
write_row(void *ctx, const struct counter_group *g,
    const struct counter_row *row, int64_t value)
{
	struct buf *out = ctx;

	/* a total in Prometheus has "_total" behind its name */
	buf_addf(out, "# HELP marram_%s_%s%s %s\n", g->prefix, row->name,
	    row->gauge ? "" : "_total", row->help);
	buf_addf(out, "# TYPE marram_%s_%s%s %s\n", g->prefix, row->name,
	    row->gauge ? "" : "_total", row->gauge ? "gauge" : "counter");
	buf_addf(out, "marram_%s_%s%s %" PRId64 "\n", g->prefix, row->name,
	    row->gauge ? "" : "_total", value);
}

void
counter_write(struct buf *out)
{
	counter_each(write_row, out);
}

/*
 * base/counter.h - what can be watched in production, said once.
 *
 * A module lists its counters in a `counters.def` of rows
 *
 *     COUNTER(publish_in, "messages", "PUBLISH packets accepted.")
 *     GAUGE(sessions, "sessions", "Clients connected or remembered.")
 *
 * and includes it twice: as the members of a struct of numbers, and as the rows
 * that /metrics, $SYS and the docs page are made from.
 * Numbers are written with counter_add() from any thread.
 */
#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H

#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef _Atomic int64_t counter_t;

struct counter_row {
	const char *name;
	const char *unit;
	const char *help;
	bool gauge;
	size_t offset; /* of its counter_t */
};

struct counter_group {
	const char *prefix; /* "mqtt": marram_mqtt_publish_in */
	const struct counter_row *rows;
	size_t n;
	const void *values; /* borrowed */
	struct counter_group *next;
};

static inline void
counter_add(counter_t *c, int64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static inline void
counter_set(counter_t *c, int64_t n)
{
	atomic_store_explicit(c, n, memory_order_relaxed);
}

static inline int64_t
counter_get(const counter_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/* Puts a group on the list that /metrics shows. `g` is borrowed for ever. */
void counter_register(struct counter_group *g);
/* Writes all groups as Prometheus text. */
void counter_write(struct buf *out);
/* Visits each number. */
void counter_each(void (*visit)(void *ctx, const struct counter_group *g,
		      const struct counter_row *row, int64_t value),
    void *ctx);

#endif

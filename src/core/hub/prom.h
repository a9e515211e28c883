/*
 * core/hub/prom.h - between prom.c, which answers, and prom_points.c, which
 * reads.
 */
#ifndef CORE_HUB_PROM_H
#define CORE_HUB_PROM_H

#include "codec/promql.h"
#include "plug/metric/metric.h"

struct hub;

#define PROM_SERIES_MAX 10000 /* of a selector */

/* One query; the `ctx` of a struct promql_source. */
struct prom_door {
	struct hub *hub;
	struct arena *arena;   /* the call's */
	int64_t now, deadline; /* wall; monotonic */
};

int prom_fetch(void *ctx, const struct promql_ask *ask,
    struct promql_sink *sink, struct err *err);
bool prom_late(void *ctx);

/* The same matchers for the metric store. */
const struct metric_matcher *prom_matchers(
    struct arena *a, const struct promql_matcher *m, size_t n);

#endif

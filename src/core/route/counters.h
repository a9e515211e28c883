/*
 * core/route/counters.h - the counters of counters.def as a struct.
 */
#ifndef CORE_ROUTE_COUNTERS_H
#define CORE_ROUTE_COUNTERS_H

#include "base/counter.h"

struct route_counters {
#define COUNTER(name, unit, help) counter_t name;
#define GAUGE(name, unit, help) counter_t name;
#include "core/route/counters.def"
#undef COUNTER
#undef GAUGE
};

extern const struct counter_row route_counter_rows[];
extern const size_t route_counter_rows_n;

#endif

/*
 * core/hub/counters.h - the counters of counters.def as a struct.
 */
#ifndef CORE_HUB_COUNTERS_H
#define CORE_HUB_COUNTERS_H

#include "base/counter.h"

struct hub_counters {
#define COUNTER(name, unit, help) counter_t name;
#define GAUGE(name, unit, help) counter_t name;
#include "core/hub/counters.def"
#undef COUNTER
#undef GAUGE
};

extern const struct counter_row hub_counter_rows[];
extern const size_t hub_counter_rows_n;

#endif

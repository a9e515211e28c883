/*
 * net/mqtt/counters.h - the numbers of counters.def, for all MQTT servers of
 * this process together.
 */
#ifndef NET_MQTT_COUNTERS_H
#define NET_MQTT_COUNTERS_H

#include "base/counter.h"

struct mqtt_counters {
#define COUNTER(name, unit, help) counter_t name;
#define GAUGE(name, unit, help) counter_t name;
#include "net/mqtt/counters.def"
#undef COUNTER
#undef GAUGE
};

extern struct mqtt_counters mqtt_counters;

#define COUNT(name) counter_add(&mqtt_counters.name, 1)
#define COUNT_BY(name, by) counter_add(&mqtt_counters.name, (int64_t)(by))

/* Puts them on the list of base/counter.h, once. */
void mqtt_counters_register(void);

#endif

/*
 * net/mqtt/counters.c - see counters.h.
 */
#include "net/mqtt/counters.h"

#include "base/base.h"

#include <pthread.h>

struct mqtt_counters mqtt_counters;

static const struct counter_row rows[] = {
#define ROW(name, unit, help, gauge)                                           \
	{ #name, unit, help, gauge, offsetof(struct mqtt_counters, name) },
#define COUNTER(name, unit, help) ROW(name, unit, help, false)
#define GAUGE(name, unit, help) ROW(name, unit, help, true)
#include "net/mqtt/counters.def"
};

static void
put_on_list(void)
{
	static struct counter_group group = {
		.prefix = "mqtt",
		.rows = rows,
		.n = COUNT_OF(rows),
		.values = &mqtt_counters,
	};

	counter_register(&group);
}

void
mqtt_counters_register(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, put_on_list);
}

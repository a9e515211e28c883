/*
 * plug/metric/test_influx.h - Debian's InfluxDB 1.x and VictoriaMetrics, on a
 * free port, for tests.
 */
#ifndef PLUG_METRIC_TEST_INFLUX_H
#define PLUG_METRIC_TEST_INFLUX_H

#include <stdbool.h>
#include <sys/types.h>

struct test_influx {
	pid_t pid; /* 0: not started */
	char dir[32];
	char url[64];
};

/* False if there is none on this machine. */
bool test_influx_start(struct test_influx *s);
bool test_victoria_start(struct test_influx *s);
/* What VictoriaMetrics has taken can be found when this returns. */
bool test_victoria_flush(const struct test_influx *s);
void test_influx_stop(struct test_influx *s);

#endif

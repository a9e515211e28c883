/*
 * app/cli/sensor.h - a believable thermometer that does not exist.
 *
 * Its values follow the time of day: warmest in the afternoon, the air drier
 * when it is warm, a battery that wears down in a year and is then replaced.
 */
#ifndef APP_CLI_SENSOR_H
#define APP_CLI_SENSOR_H

#include "base/str.h"

#include <stdint.h>

struct sensor {
	uint32_t place; /* sensors differ by it */
};

struct sensor_values {
	double temperature; /* degrees Celsius */
	double humidity;    /* percent */
	double battery;     /* volts */
};

struct sensor_values sensor_read(const struct sensor *s, int64_t now_ms);

/* In Cayenne LPP, as hex: channel 1 temperature, 2 humidity, 3 analog input
 * (the battery). */
void sensor_encode(struct buf *hex, const struct sensor_values *v);

#endif

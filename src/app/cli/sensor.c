/*
 * app/cli/sensor.c - see sensor.h.
 */
#include "app/cli/sensor.h"

#include "base/base.h"

#include <math.h>

#define DAY_MS 86400000.0
#define YEAR_MS (365.0 * DAY_MS)

/* -1 to 1, the same for the same two numbers (an integer hash). */
static double
noise(uint32_t a, uint32_t b)
{
	uint32_t x = a * 2654435761u ^ b * 2246822519u;

	x ^= x >> 15;
	x *= 2246822519u;
	x ^= x >> 13;
	x *= 3266489917u;
	x ^= x >> 16;
	return (double)x / 2147483648.0 - 1.0;
}

struct sensor_values
sensor_read(const struct sensor *s, int64_t now_ms)
{
	double day = fmod((double)now_ms, DAY_MS) / DAY_MS;
	double warmth = sin(2 * M_PI * (day - 0.375)); /* top at 15 h UTC */
	double aged =
	    fmod((double)now_ms / YEAR_MS + (noise(s->place, 3) + 1) / 2, 1.0);
	uint32_t now = (uint32_t)(now_ms / 1000);
	struct sensor_values v;

	v.temperature = 18 + 3 * noise(s->place, 1) + 6 * warmth +
	    0.3 * noise(s->place, now);
	v.humidity = 55 + 8 * noise(s->place, 2) - 15 * warmth +
	    noise(s->place, now + 1);
	v.humidity = MIN_OF(MAX_OF(v.humidity, 0), 100);
	v.battery = 3.6 - 0.6 * aged + 0.01 * noise(s->place, now + 2);
	return v;
}

static void
put16(unsigned char *at, double value)
{
	uint16_t n = (uint16_t)(int16_t)lrint(value);

	at[0] = (unsigned char)(n >> 8);
	at[1] = (unsigned char)n;
}

void
sensor_encode(struct buf *hex, const struct sensor_values *v)
{
	unsigned char b[11] = { 1, 0x67, 0, 0, 2, 0x68, 0, 3, 0x02, 0, 0 };

	put16(&b[2], v->temperature * 10);
	b[6] = (unsigned char)lrint(v->humidity * 2);
	put16(&b[9], v->battery * 100);
	hex_encode(hex, b, sizeof(b));
}

/*
 * codec/sun.h - when the sun rises and sets.
 *
 * By the equations of NOAA's solar calculator, which are good to a minute up to
 * 72 degrees of latitude and for a century on both sides of 2000. The sun is up
 * when its upper edge is seen over a flat horizon (centre at -0.833 degrees).
 */
#ifndef CODEC_SUN_H
#define CODEC_SUN_H

#include <stdbool.h>
#include <stdint.h>

enum sun_day {
	SUN_RISES,      /* and sets: an ordinary day */
	SUN_STAYS_UP,   /* polar day; there is no rise and no set */
	SUN_STAYS_DOWN, /* polar night */
};

/* `latitude` and `longitude` in degrees, north and east are positive. `noon_ms`
 * is 12:00 of the day in question on the clock of the place (zone_moment() with
 * hour 12): the times are those around the noon of the sun that is nearest to
 * it. `*rise` and `*set` are untouched unless SUN_RISES is returned. */
enum sun_day sun_times(double latitude, double longitude, int64_t noon_ms,
    int64_t *rise, int64_t *set);
/* Numbers from a setting: finite, within 90 and 180 degrees. */
bool sun_place_ok(double latitude, double longitude);

#endif

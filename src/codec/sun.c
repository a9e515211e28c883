/*
 * codec/sun.c - see sun.h. The series are those of Jean Meeus, "Astronomical
 * Algorithms", chapter 25, in the short form of NOAA's calculator.
 */
#include "codec/sun.h"

#include <math.h>

#define RAD (M_PI / 180)
#define MINUTE 60000.0
#define EDGE 90.833 /* degrees from the zenith, refraction in it */

struct sun {
	double declination; /* radians */
	double equation;    /* of time, minutes */
};

static struct sun
sun_at(double ms)
{
	double t = (ms / 86400000.0 + 2440587.5 - 2451545.0) / 36525.0;
	double mean = fmod(280.46646 + t * (36000.76983 + t * 0.0003032), 360);
	double anomaly = (357.52911 + t * (35999.05029 - 0.0001537 * t)) * RAD;
	double e = 0.016708634 - t * (0.000042037 + 0.0000001267 * t);
	double centre =
	    sin(anomaly) * (1.914602 - t * (0.004817 + 0.000014 * t)) +
	    sin(2 * anomaly) * (0.019993 - 0.000101 * t) +
	    sin(3 * anomaly) * 0.000289;
	double node = (125.04 - 1934.136 * t) * RAD;
	double longitude =
	    (mean + centre - 0.00569 - 0.00478 * sin(node)) * RAD;
	double tilt =
	    (23.0 +
		(26.0 +
		    (21.448 - t * (46.815 + t * (0.00059 - t * 0.001813))) /
			60.0) /
		    60.0 +
		0.00256 * cos(node)) *
	    RAD;
	double y = pow(tan(tilt / 2), 2), l = mean * RAD;

	return (struct sun){
		.declination = asin(sin(tilt) * sin(longitude)),
		.equation = 4 / RAD *
		    (y * sin(2 * l) - 2 * e * sin(anomaly) +
			4 * e * y * sin(anomaly) * cos(2 * l) -
			0.5 * y * y * sin(4 * l) -
			1.25 * e * e * sin(2 * anomaly)),
	};
}

/* Minutes from the sun's noon that is nearest, by the place's sundial. */
static double
from_noon(double ms, double longitude, const struct sun *sun)
{
	double minutes =
	    fmod(ms / MINUTE, 1440) + sun->equation + 4 * longitude;

	return remainder(minutes - 720, 1440);
}

bool
sun_place_ok(double latitude, double longitude)
{
	return isfinite(latitude) && isfinite(longitude) &&
	    fabs(latitude) <= 90 && fabs(longitude) <= 180;
}

/* Cosine of the hour angle at which the edge is on the horizon; beyond 1 it
 * stays below, beyond -1 above. */
static double
cos_hour_angle(double latitude, double declination)
{
	return (cos(EDGE * RAD) - sin(latitude) * sin(declination)) /
	    (cos(latitude) * cos(declination));
}

enum sun_day
sun_times(double latitude, double longitude, int64_t noon_ms, int64_t *rise,
    int64_t *set)
{
	double edges[2], noon = (double)noon_ms;
	struct sun sun = sun_at(noon);

	/* At the poles themselves a division by nothing. */
	latitude = fmin(fmax(latitude, -89.9999), 89.9999) * RAD;
	noon -= from_noon(noon, longitude, &sun) * MINUTE;
	for (int i = 0; i < 2; i++) {
		double at = noon;

		for (int round = 0; round < 6; round++) {
			double angle;

			sun = sun_at(at);
			angle = cos_hour_angle(latitude, sun.declination);
			if (angle > 1)
				return SUN_STAYS_DOWN;
			if (angle < -1)
				return SUN_STAYS_UP;
			angle = acos(angle) / RAD * 4 * (i == 0 ? -1 : 1);
			at += remainder(angle - from_noon(at, longitude, &sun),
				  1440) *
			    MINUTE;
		}
		edges[i] = at;
	}
	*rise = llround(edges[0]);
	*set = llround(edges[1]);
	return SUN_RISES;
}

/*
 * codec/cron.h - when is a schedule due next?
 *
 * Five fields (minute hour day-of-month month day-of-week) or six, with seconds
 * before them. In each: "*" or "?", a number, a range "8-18", a list "1,15", a
 * step "*" "/5" or "10-30/5"; months and days also by name ("JAN", "mon"),
 * Sunday is 0 and 7. When day of month and day of week are both given, one of
 * them is enough. "@yearly" (or "@annually"), "@monthly", "@weekly", "@daily"
 * (or "@midnight"), "@hourly"; "@every 1h30m" counts from the moment asked for,
 * in whole seconds.
 *
 * When the clock is set forward, what was due at a time that it leaps over is
 * due at the leap. When it is set back, what is due at a time that it shows
 * twice is due the first time only. Schedules whose hours are "*" (or any step
 * or list that has all 24) follow the time that passes instead: nothing is
 * moved and both hours count.
 */
#ifndef CODEC_CRON_H
#define CODEC_CRON_H

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/zone.h"

#include <stdbool.h>
#include <stdint.h>

struct cron {
	uint64_t seconds, minutes; /* bit i: due at i */
	uint32_t hours, days, months;
	uint8_t weekdays;
	bool any_day, any_weekday;
	int64_t every_ms; /* not 0: "@every" */
};

/* ERR_PARAM with a sentence that names the field. */
int cron_parse(struct str text, struct cron *ret, struct err *err);
/* The first moment after `after_ms`, by the clock of `zone` (NULL: UTC).
 * TIME_NULL: never ("30 February"). */
int64_t cron_next(
    const struct cron *c, int64_t after_ms, const struct zone *zone);

#endif

/*
 * codec/zone.h - time zones, from the bytes of a TZif file (RFC 8536).
 *
 * The C library knows one zone per process; a schedule may have its own. A zone
 * is read once and then only looked at, by any thread.
 *
 *	path = zone_path(&a, STR("Europe/Berlin"));
 *	if (path == NULL || file_read(path, &bytes, err) != 0) ...
 *	zone_new(buf_str(&bytes), STR("Europe/Berlin"), &zone, err)
 */
#ifndef CODEC_ZONE_H
#define CODEC_ZONE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct zone;

#define ZONE_NAME_MAX 64
#define ZONE_FILE_MAX (256 * 1024)

/* Where the system keeps the zone, for file_read(): "/usr/share/zoneinfo/" and
 * the name, or "/etc/localtime" for "" and "Local". NULL: that is no name of a
 * zone ("../..", "/etc/passwd"). The file need not be there. */
const char *zone_path(struct arena *a, struct str name);

/* Reads the bytes of such a file, and keeps nothing of them. ERR_PARAM: they
 * are not TZif. */
int zone_new(
    struct str bytes, struct str name, struct zone **ret, struct err *err);
void zone_free(struct zone *z); /* NULL is fine */

/* In all of these a NULL zone is UTC. */
const char *zone_name(const struct zone *z);

struct zone_time {
	int64_t year;
	int month, day, hour, minute, second, ms; /* month and day from 1 */
	int weekday;                              /* 0: Sunday */
	int yearday;                              /* from 1 */
	int offset_s;                             /* east of Greenwich */
	char abbr[12];                            /* "CEST" */
};

/* What the clock on the wall shows at that moment. */
void zone_local(const struct zone *z, int64_t ms, struct zone_time *ret);

enum zone_kind {
	ZONE_ONCE,  /* the clock shows this once */
	ZONE_TWICE, /* it is set back: the first of the two moments */
	ZONE_NEVER, /* it is set forward over it: the moment of that leap */
};

/* The moment at which the clock shows this; months, days and so on may lie
 * outside of their ranges and are carried over (day 0: the last of the month
 * before). `second`, NULL or set to the later of two moments, else the same. */
enum zone_kind zone_moment(const struct zone *z, int64_t year, int month,
    int day, int hour, int minute, int second_of_minute, int64_t *ret,
    int64_t *second);

/* Days from 1970-01-01 of a date of the Gregorian calendar. */
int64_t zone_days(int64_t year, int month, int day);

#endif

/*
 * base/clock.h - time, which a test can move.
 *
 * All times are milliseconds. Wall time counts from 1970 in UTC; monotonic
 * time counts from some moment and never goes back.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/arena.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define TIME_NULL INT64_MIN /* no time: JSON null, SQL NULL */

int64_t clock_now(void);  /* wall */
int64_t clock_mono(void); /* monotonic */

/* Moves both clocks forward, for this process. Tests only. */
void clock_advance(int64_t ms);

/* RFC 3339 in UTC with three digits: "2022-01-01T02:23:47.053Z" (24 bytes). */
#define TIME_TEXT_LEN 24
void time_format(int64_t ms, char text[TIME_TEXT_LEN + 1]);
struct str time_text(struct arena *a, int64_t ms);

/* RFC 3339 with any offset and any number of fractional digits (cut to
 * milliseconds), 'T', 't' or a space between date and time. */
bool time_parse(struct str s, int64_t *ret);

#endif

/*
 * codec/duration.h - spans of time as Go writes them: "1h20m5s", "-10m",
 * "1.5h", "250ms".
 *
 * Units are ns, us, µs, ms, s, m, h, and d for 24 hours; a sign stands once, at
 * the front; "0" needs no unit. Values are nanoseconds, up to 292 years.
 */
#ifndef CODEC_DURATION_H
#define CODEC_DURATION_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define DURATION_US ((int64_t)1000)
#define DURATION_MS (1000 * DURATION_US)
#define DURATION_S (1000 * DURATION_MS)
#define DURATION_M (60 * DURATION_S)
#define DURATION_H (60 * DURATION_M)
#define DURATION_D (24 * DURATION_H)

/* False, with `*ret` untouched, when `s` is no duration or too long a one. */
bool duration_parse(struct str s, int64_t *ret);
/* The same in whole milliseconds, cut towards zero. */
bool duration_parse_ms(struct str s, int64_t *ret);
/* As Go prints it: "1h20m5s", "1.5s", "250ms", "0s". */
void duration_text(struct buf *out, int64_t ns);

#endif

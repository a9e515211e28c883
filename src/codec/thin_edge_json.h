/*
 * codec/thin_edge_json.h - Thin Edge JSON: measurements as programs on a device
 * publish them.
 *
 *	{
 *	    "time": "2020-10-15T05:30:47+00:00",
 *	    "temperature": 25,
 *	    "location": {"latitude": 32.54, "longitude": -117.67}
 *	}
 *
 * An object of numbers, or of objects of numbers (groups), and some words that
 * are none of them. There are two generations of it. THIN_EDGE_STRICT is that
 * of `tedge/measurements`: names of letters, digits and "_", which they do not
 * begin with; `time` is an ISO 8601 text; `type` is reserved; there are no
 *other texts. Without it, it is that of `te/.../m/...`: any name, `time` as a
 *text or in seconds since 1970, a text `type`, `properties`, and other texts
 *passed over. The sentences of errors are those that users of either know.
 *
 * Nothing is allocated but names with escapes, and texts of errors that hold
 * names. A message is read twice: the visitor hears nothing of one with a
 *fault.
 */
#ifndef CODEC_THIN_EDGE_JSON_H
#define CODEC_THIN_EDGE_JSON_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THIN_EDGE_STRICT 1u

/* A moment, to the nanosecond, as it was written. */
struct thin_edge_time {
	struct str text;  /* inside of its quotes; or the number */
	bool unix_time;   /* it was a number */
	int64_t seconds;  /* since 1970 */
	uint32_t nanos;   /* behind them: 0 to 999999999 */
	int32_t offset_s; /* of the clock it was written by, east of UTC */
};

/* What is heard, in the order of the message; any may be NULL. All is lent for
 * the call. A name or group that comes twice is heard twice. */
struct thin_edge_visitor {
	void (*time)(void *owner, const struct thin_edge_time *t);
	void (*type)(void *owner, struct str type);
	/* A group begins and ends. */
	void (*open)(void *owner, struct str group);
	void (*close)(void *owner, struct str group);
	/* `group` is STR_NULL outside of one; `text` is the number as it was
	 * typed. */
	void (*value)(void *owner, struct str group, struct str name,
	    struct str text, double number);
	void (*properties)(void *owner, struct str json); /* an object */
	void (*ignored)(void *owner, struct str name);    /* another text */
};

/* Reads one message of at most `max` bytes (0: any). ERR_LIMIT: it is longer;
 * ERR_PARAM: it is none; the sentence is to be told as it is. */
int thin_edge_json_read(struct str payload, unsigned flags, size_t max,
    struct arena *a, const struct thin_edge_visitor *v, void *owner,
    struct err *err);

/* What is known of measurements: {"group.name": {"unit": "A"}, ...}. Hears of
 * each that has a unit; `group` is STR_NULL for a name without a dot. An empty
 * payload knows nothing. ERR_PARAM: it is no object. */
int thin_edge_json_units(struct str payload, struct arena *a,
    void (*unit)(
	void *owner, struct str group, struct str name, struct str unit),
    void *owner, struct err *err);

/* Seconds since 1970, a number of JSON and what it is. False: out of range. */
bool thin_edge_time_unix(
    struct str number, double d, struct thin_edge_time *ret);

/* The same of a text, inside of its quotes. False: it is no RFC 3339. */
bool thin_edge_time_text(struct str text, struct thin_edge_time *ret);

/* In ms since 1970, cut. */
static inline int64_t
thin_edge_time_ms(const struct thin_edge_time *t)
{
	return t->seconds * 1000 + (int64_t)(t->nanos / 1000000);
}

#endif

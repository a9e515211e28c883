/*
 * codec/go_template.h - Go text templates over JSON data, the part of the
 * language that people's rules use.
 *
 * Actions: {{ pipeline }}, {{ if }}, {{ else if }}, {{ else }}, {{ range }}
 * (also `$i, $x :=`), {{ with }}, {{ break }}, {{ continue }}, {{ end }},
 * {{ $x := pipeline }}, {{ $x = pipeline }}, comments, and "-" beside a mark to
 * cut white space. There is no define, template or block.
 *
 * Functions: and or not eq ne lt le gt ge, print printf println, len index
 * slice, html js urlquery; now sunrise sunset (times), version, marshal toJson
 * (JSON text), keyPath, ternary, default. Of a time: Format (Go's layouts), Add
 * AddDate Sub, Before After Equal IsZero, Unix UnixMilli UnixNano, Year Month
 * Day Hour Minute Second Weekday YearDay, UTC Local, String. Of a duration:
 * Hours Minutes Seconds Milliseconds String.
 *
 * `.a.b` looks a member up by its name and, when there is none, without regard
 * to case: `.taskEvent.Entity.Current.Value` finds
 * `taskEvent.entity.current.value`. What is not there is printed as
 * "<no value>", is false, and equals only nil. A text that is an RFC 3339 time
 * has the methods of a time; a duration may be given as text ("-10m").
 *
 * Where Go stops with an error and we do not: values of different kinds are
 * not equal, and %d, %f take whole numbers of either kind. Numbers below 1e21
 * are shown without an exponent.
 */
#ifndef CODEC_GO_TEMPLATE_H
#define CODEC_GO_TEMPLATE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/zone.h"

#include <stdbool.h>
#include <stdint.h>

#define GO_TEMPLATE_MAX (256 * 1024) /* bytes of a template */

/* What a template may ask of the program around it. */
struct go_template_host {
	void *ctx;
	int64_t now_ms;          /* `now` is the same throughout a template */
	const struct zone *zone; /* for Format and so on; NULL: UTC */
	/* Today's sunrise or sunset; its error is the template's. NULL: the
	 * functions are refused. */
	int (*sun)(void *ctx, bool set, int64_t *ret_ms, struct err *err);
	const char *version; /* NULL: "" */
	/* Limits; 0: the default. */
	uint32_t max_output; /* bytes, also of any text on the way: 1 MiB */
	uint32_t max_steps;  /* actions run, calls, items looked at: 1000000 */
	uint32_t max_depth;  /* of actions and parentheses: 64, at most 200 */
};

/* Adds the result to `out`, which on an error is as before. Reads `data`, one
 * JSON value (STR_NULL: an empty object), in place; scratch is in `a`, bounded
 * by the limits. ERR_PARAM: "line 3: ..."; ERR_LIMIT: a limit was reached. */
int go_template_render(struct arena *a, struct str text, struct str data,
    const struct go_template_host *host, struct buf *out, struct err *err);
/* The same for a JSON value whose texts are templates: adds it as JSON with
 * each text rendered, names of members as they are. The limits are for all of
 * them together. The first error ends it; the sentence begins with the place:
 * "data: [1]: line 2: ...". */
int go_template_render_json(struct arena *a, struct str json, struct str data,
    const struct go_template_host *host, struct buf *out, struct err *err);
/* 0 when `text` is well-formed and all its functions are known. */
int go_template_check(struct str text, struct err *err);

#endif

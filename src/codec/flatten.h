/*
 * codec/flatten.h - nested JSON as values that have a source and a name.
 *
 *	{"battery": 3.1, "air": {"t": 21, "pm": [4, 7], "in": {"t": 20}}}
 *
 * is battery of "", and t, pm_0, pm_1 and in_t of "air". Null is passed over.
 * Dots, blanks and control characters of names become "_", since ids hold none;
 * what lies deeper than FLATTEN_DEEP is passed over, too.
 */
#ifndef CODEC_FLATTEN_H
#define CODEC_FLATTEN_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define FLATTEN_DEEP 8

/* One value, as JSON. A value that has no name is called "value". Texts are
 * lent from the source, or in the arena. Not 0: it ends with that. */
typedef int flatten_each(void *ctx, struct str source, struct str name,
    struct str value, struct err *err);
/* ERR_PARAM: it is not JSON. */
int flatten(struct str json, struct arena *a, flatten_each *each, void *ctx,
    struct err *err);
/* A name as it becomes an id. */
struct str flatten_name(struct arena *a, struct str name);

#endif

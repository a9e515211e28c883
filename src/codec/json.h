/*
 * codec/json.h - the one JSON reader and writer (RFC 8259; JSON5 by flag).
 *
 * The reader walks a text once, front to back, and allocates only for strings
 * that contain escapes (into the arena it was given). Errors stick: after the
 * first one every function returns false or null and moves no further, so a
 * reader of a document checks once, at the end, with json_done().
 *
 *	json_open(&j, text, 0, &arena);
 *	if (json_object(&j))
 *		while (json_member(&j, &key)) {
 *			if (str_eqz(key, "data"))
 *				json_str(&j, &data);
 *			else
 *				json_skip(&j);
 *		}
 *	if (json_done(&j, &err) != 0) ...
 */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum json_type {
	JSON_NONE, /* an error, or the end */
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

#define JSON_5                                                                 \
	1u /* accept JSON5: comments, trailing commas, bare keys, ...          \
	    */
#define JSON_DEPTH_MAX 128

struct json {
	const char *p, *end, *start;
	struct arena *arena; /* NULL: a string with escapes is an error */
	unsigned flags;
	unsigned depth;
	bool fresh;      /* a container was just entered */
	const char *why; /* what is wrong; NULL while all is well */
	const char *at;  /* where */
};

void json_open(
    struct json *j, struct str text, unsigned flags, struct arena *arena);

/* What stands next, without moving. */
enum json_type json_peek(struct json *j);

/* Enter a container; false, and an error, if something else stands there. */
bool json_object(struct json *j);
bool json_array(struct json *j);
/* The next member's key, or false and out of the container at its end. The
 * value must be read or skipped before the next call. */
bool json_member(struct json *j, struct str *key);
/* True when another item stands next; else out of the array. */
bool json_item(struct json *j);

/* Each reads one value of its type; false, and an error, for another type. */
bool json_str(struct json *j, struct str *ret);
bool json_bool(struct json *j, bool *ret);
bool json_null(struct json *j);
/* The number's text as it stands. */
bool json_num(struct json *j, struct str *ret);
bool json_i64(struct json *j, int64_t *ret); /* whole numbers only */
bool json_real(struct json *j, double *ret);
/* Any value, as the text it has (JSON5 stays JSON5). */
bool json_raw(struct json *j, struct str *ret);
bool json_skip(struct json *j);

/* Records an error of the caller's own at the place last read. */
void json_fail(struct json *j, const char *why);
bool json_ok(const struct json *j);
/* 0 when the text was read to its end without error; else ERR_PARAM with
 * "line 3 column 7: ...". */
int json_done(struct json *j, struct err *err);

/* What kind of value `text` begins with. */
enum json_type json_type_of(struct str text);
/* The value of a member of the object `text`, as it stands; of several with
 * that name the first. STR_NULL: there is none, or `text` is no object. The
 * second one takes a key in any case (ASCII). */
struct str json_find(struct arena *a, struct str text, struct str key);
struct str json_find_nocase(struct arena *a, struct str text, struct str key);

/* True if `text` is one JSON value and nothing else. */
bool json_valid(struct str text, unsigned flags);
/* Writes `text`, which must be valid, again: strict and without white space. */
bool json_compact(struct buf *out, struct str text, unsigned flags);

/* The writer puts commas and, when `indent` is set, new lines by itself. Keys
 * and values alternate as the caller gives them. */
struct json_out {
	struct buf *buf;
	unsigned depth;
	bool comma; /* something stands before, in this container */
	bool after_key;
	bool indent;
};

void json_out_init(struct json_out *o, struct buf *buf, bool indent);
void json_out_object(struct json_out *o);
void json_out_end_object(struct json_out *o);
void json_out_array(struct json_out *o);
void json_out_end_array(struct json_out *o);
void json_out_key(struct json_out *o, const char *key);
void json_out_key_str(struct json_out *o, struct str key);
void json_out_str(struct json_out *o, struct str s); /* STR_NULL: null */
void json_out_int(struct json_out *o, int64_t n);
void json_out_real(struct json_out *o, double d); /* not finite: null */
void json_out_bool(struct json_out *o, bool b);
void json_out_null(struct json_out *o);
void json_out_time(struct json_out *o, int64_t ms);     /* TIME_NULL: null */
void json_out_raw(struct json_out *o, struct str json); /* STR_NULL: null */

/* Writes the value that stands next in `j`, strict, in the order it has. */
void json_copy(struct json *j, struct json_out *o);

/* The text of a JSON string with its quotes. Bytes that are not UTF-8 become
 * U+FFFD. */
void json_quote(struct buf *out, struct str s);

#endif

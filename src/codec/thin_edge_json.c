/*
 * codec/thin_edge_json.c - see thin_edge_json.h.
 *
 * The first pass has no visitor and finds what is wrong; the second one only
 * tells. Strict messages are looked at as JSON before, since of two faults the
 * one in the JSON was always told first.
 */
#include "codec/thin_edge_json.h"

#include "base/base.h"
#include "codec/json.h"
#include "codec/zone.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define EXCERPT_MAX 80 /* characters */
#define UNIX_MIN (-377705116800)
#define UNIX_MAX 253402300799

struct parser {
	struct json j;
	struct str input;
	const struct thin_edge_visitor *v; /* NULL: the first pass */
	void *owner;
	bool strict;
	size_t members;
	struct err *err;
};

/* --- what is wrong ------------------------------------------------------- */

/* Some characters of a text; `solid`: those that are no blanks. */
static struct str
excerpt(struct arena *a, struct str s, bool solid)
{
	char *out = arena_alloc(a, s.len + 1);
	size_t n = 0, chars = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (solid && (c == ' ' || (c >= '\t' && c <= '\r')))
			continue;
		if (((unsigned char)c & 0xC0) != 0x80 && ++chars > EXCERPT_MAX)
			break;
		out[n++] = c;
	}
	return (struct str){ out, n };
}

static int
place_of(const struct parser *p, const char *at, int *column)
{
	int line = 1;

	*column = 1;
	for (const char *q = p->input.ptr; q < at; q++) {
		++*column;
		if (*q == '\n') {
			line++;
			*column = 1;
		}
	}
	return line;
}

/* Today's sentences say where, and show what stands there. */
static int
fail_at(struct parser *p, const char *at, const char *cause)
{
	const char *end = p->input.ptr + p->input.len;
	int line, column;
	struct str rest;

	if (at >= end && p->input.len > 0)
		at = end - 1; /* the end is where the last one stands */
	if (at < p->input.ptr)
		at = p->input.ptr;
	line = place_of(p, at, &column);
	rest =
	    excerpt(p->j.arena, (struct str){ at, (size_t)(end - at) }, false);
	return err_set(p->err, ERR_PARAM,
	    "Invalid JSON: %s at line %d column %d: `" STR_FMT "\n`", cause,
	    line, column, STR_ARG(rest));
}

static int fail(struct parser *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Something is wrong with what was read last. */
static int
fail(struct parser *p, const char *fmt, ...)
{
	struct str cause;
	va_list ap;

	va_start(ap, fmt);
	cause = arena_vprintf(p->j.arena, fmt, ap);
	va_end(ap);
	if (p->strict)
		return err_set(p->err, ERR_PARAM, STR_FMT, STR_ARG(cause));
	return fail_at(p, p->j.p - 1, cause.ptr);
}

/* Behind a colon or a comma, or inside of a word or number, a value is missing;
 * else the rest of the object. */
static const char *
end_of_what(const struct parser *p, const struct json *j)
{
	size_t n = p->input.len;
	char last;

	if (strcmp(j->why, "string without its end") == 0)
		return "EOF while parsing a string";
	if (j->at < j->end)
		return "EOF while parsing a value";
	while (n > 0 && memchr(" \t\r\n", p->input.ptr[n - 1], 4) != NULL)
		n--;
	last = n > 0 ? p->input.ptr[n - 1] : ':';
	return last == ':' || last == ',' ? "EOF while parsing a value"
					  : "EOF while parsing an object";
}

/* Does the text end inside of a word or number? */
static bool
ends_early(const struct json *j)
{
	static const char *const words[] = { "true", "false", "null" };
	size_t left = (size_t)(j->end - j->at);

	if (left == 0 || strcmp(j->why, "string without its end") == 0)
		return true;
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (left < strlen(words[i]) &&
		    memcmp(j->at, words[i], left) == 0)
			return true;
	for (size_t i = 0; i < left; i++)
		if (memchr("0123456789.-+eE", j->at[i], 15) == NULL)
			return false;
	return memchr("-.+eE", j->end[-1], 5) != NULL;
}

/* How others say it. */
static const char *
other_words(const char *why)
{
	static const char *const all[][2] = {
		{ "expected , or }", "expected `,` or `}`" },
		{ "expected , or ]", "expected `,` or `]`" },
		{ "expected :", "expected `:`" },
		{ "comma before the end", "trailing comma" },
		{ "expected a member name in quotes", "key must be a string" },
		{ "control character in a string",
		    "control character (\\u0000-\\u001F) found while parsing a "
		    "string" },
		{ "bad \\u escape", "invalid escape" },
		{ "bad escape", "invalid escape" },
		{ "half of a surrogate pair",
		    "lone leading surrogate in hex escape" },
		{ "not a JSON value", "expected value" },
		{ "something follows the value", "trailing characters" },
		{ "nested too deeply", "recursion limit exceeded" },
	};

	for (size_t i = 0; i < COUNT_OF(all); i++)
		if (strcmp(why, all[i][0]) == 0)
			return all[i][1];
	return "invalid number";
}

static size_t
char_len(const char *p, const char *end)
{
	size_t n = 1;

	while (p + n < end && ((unsigned char)p[n] & 0xC0) == 0x80)
		n++;
	return n;
}

/* The reader has met what is no JSON. */
static int
bad_json(struct parser *p, const struct json *j)
{
	bool early = ends_early(j);
	int line, column;
	struct str cause;

	if (!p->strict)
		return early ? fail_at(p, j->end, end_of_what(p, j))
			     : fail_at(p, j->at, other_words(j->why));
	line = place_of(p, j->at, &column);
	if (early)
		cause = STR("Unexpected end of JSON");
	else if (strcmp(j->why, "nested too deeply") == 0)
		cause = STR("Exceeded depth limit");
	else
		cause = arena_printf(j->arena,
		    "Unexpected character: %.*s at (%d:%d)",
		    (int)char_len(j->at, j->end), j->at, line, column);
	return err_set(p->err, ERR_PARAM, "Invalid JSON: " STR_FMT ": " STR_FMT,
	    STR_ARG(cause), STR_ARG(excerpt(j->arena, p->input, true)));
}

/* What stands next, in words: "a string", or `string "x"`. Steps over it; NULL:
 * it is no JSON. */
static const char *
what_is_next(struct parser *p)
{
	struct arena *a = p->j.arena;
	enum json_type t = json_peek(&p->j);
	struct str raw;

	if (!json_raw(&p->j, &raw))
		return NULL;
	switch (t) {
	case JSON_NULL:
		return "null";
	case JSON_BOOL:
		return p->strict
		    ? "a boolean"
		    : arena_printf(a, "boolean `" STR_FMT "`", STR_ARG(raw))
			  .ptr;
	case JSON_NUMBER:
		return p->strict ? "a number"
				 : arena_printf(a, "%s `" STR_FMT "`",
				       memchr(raw.ptr, '.', raw.len) != NULL
					   ? "floating point"
					   : "integer",
				       STR_ARG(raw))
				       .ptr;
	case JSON_STRING:
		return p->strict
		    ? "a string"
		    : arena_printf(a, "string " STR_FMT, STR_ARG(raw)).ptr;
	case JSON_ARRAY:
		return p->strict ? "an array" : "sequence";
	default:
		return p->strict ? "an object" : "map";
	}
}

/* --- time ---------------------------------------------------------------- */

enum reading { READ_OK, READ_EARLY, READ_BAD, READ_RANGE, READ_LONG };

static const char *const reading_words[] = { [READ_EARLY] =
						 "premature end of input",
	[READ_BAD] = "input contains invalid characters",
	[READ_RANGE] = "input is out of range",
	[READ_LONG] = "trailing input" };

static enum reading
digits(struct str *s, size_t n, int *ret)
{
	*ret = 0;
	for (size_t i = 0; i < n; i++) {
		if (s->len == 0)
			return READ_EARLY;
		if (s->ptr[0] < '0' || s->ptr[0] > '9')
			return READ_BAD;
		*ret = *ret * 10 + (s->ptr[0] - '0');
		s->ptr++;
		s->len--;
	}
	return READ_OK;
}

static enum reading
one_of(struct str *s, const char *all, char *ret)
{
	if (s->len == 0)
		return READ_EARLY;
	if (s->ptr[0] == '\0' || strchr(all, s->ptr[0]) == NULL)
		return READ_BAD;
	*ret = s->ptr[0];
	s->ptr++;
	s->len--;
	return READ_OK;
}

/* Digits behind a point; those beyond nanoseconds are cut. */
static enum reading
fraction(struct str *s, uint32_t *nanos)
{
	uint32_t scale = 100000000;
	size_t n = 0;

	*nanos = 0;
	for (; s->len > 0 && s->ptr[0] >= '0' && s->ptr[0] <= '9'; n++) {
		*nanos += (uint32_t)(s->ptr[0] - '0') * scale;
		scale /= 10;
		s->ptr++;
		s->len--;
	}
	return n > 0 ? READ_OK : s->len == 0 ? READ_EARLY : READ_BAD;
}

static int
days_in(int year, int month)
{
	return (int)(zone_days(year + month / 12, month % 12 + 1, 1) -
	    zone_days(year, month, 1));
}

static enum reading
iso_offset(struct str *s, int32_t *ret)
{
	enum reading r;
	int hours, minutes;
	char c;

	*ret = 0;
	r = one_of(s, "Zz+-", &c);
	if (r != READ_OK || c == 'Z' || c == 'z')
		return r;
	if ((r = digits(s, 2, &hours)) != READ_OK ||
	    (r = one_of(s, ":", &(char){ 0 })) != READ_OK ||
	    (r = digits(s, 2, &minutes)) != READ_OK)
		return r;
	if (hours > 23 || minutes > 59)
		return READ_RANGE;
	*ret = (hours * 60 + minutes) * (c == '-' ? -60 : 60);
	return READ_OK;
}

/* RFC 3339, what ISO 8601 is here. */
static enum reading
iso_time(struct str s, struct thin_edge_time *t)
{
	static const struct {
		size_t digits;
		const char *then;
	} parts[] = { { 4, "-" }, { 2, "-" }, { 2, "Tt " }, { 2, ":" },
		{ 2, ":" }, { 2, NULL } };
	enum reading r;
	int n[6];
	char c;

	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		r = digits(&s, parts[i].digits, &n[i]);
		if (r == READ_OK && parts[i].then != NULL)
			r = one_of(&s, parts[i].then, &c);
		if (r != READ_OK)
			return r;
	}
	if (n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > days_in(n[0], n[1]) ||
	    n[3] > 23 || n[4] > 59 || n[5] > 60)
		return READ_RANGE;
	t->nanos = 0;
	if (s.len > 0 && s.ptr[0] == '.') {
		s.ptr++;
		s.len--;
		r = fraction(&s, &t->nanos);
		if (r != READ_OK)
			return r;
	}
	r = iso_offset(&s, &t->offset_s);
	if (r != READ_OK)
		return r;
	if (s.len > 0)
		return READ_LONG;
	t->seconds = zone_days(n[0], n[1], n[2]) * 86400 + n[3] * 3600 +
	    n[4] * 60 + n[5] - t->offset_s;
	return READ_OK;
}

/* Seconds with a fraction or an exponent. False: out of range. */
static bool
real_seconds(struct str text, double d, struct thin_edge_time *t)
{
	struct str behind = text, whole = str_cut(&behind, '.');
	int64_t n;

	if (!(d >= (double)UNIX_MIN && d <= (double)UNIX_MAX + 1))
		return false;
	if (behind.ptr != NULL && str_to_i64(whole, &n) &&
	    fraction(&behind, &t->nanos) == READ_OK && behind.len == 0) {
		t->seconds = n; /* as typed: a double would round it */
		if (text.ptr[0] == '-' && t->nanos > 0) {
			t->seconds--;
			t->nanos = 1000000000 - t->nanos;
		}
	} else {
		double down = floor(d);

		t->seconds = (int64_t)down;
		t->nanos = (uint32_t)MIN_OF((d - down) * 1e9, 999999999.0);
	}
	return t->seconds >= UNIX_MIN && t->seconds <= UNIX_MAX;
}

/* Reads a number; `d` is not finite where it is too large. */
static bool
read_number(struct parser *p, struct str *text, double *d)
{
	struct json again;

	(void)json_peek(&p->j); /* over white space */
	again = p->j;
	return json_num(&p->j, text) && json_real(&again, d);
}

static bool
is_whole(struct str number)
{
	for (size_t i = 0; i < number.len; i++)
		if (memchr(".eE", number.ptr[i], 3) != NULL)
			return false;
	return true;
}

bool
thin_edge_time_unix(struct str number, double d, struct thin_edge_time *ret)
{
	*ret = (struct thin_edge_time){ .text = number, .unix_time = true };
	return is_whole(number) ? str_to_i64(number, &ret->seconds) &&
		ret->seconds >= UNIX_MIN && ret->seconds <= UNIX_MAX
				: real_seconds(number, d, ret);
}

static int
unix_time(struct parser *p, struct thin_edge_time *t)
{
	struct str text;
	double d;

	if (!read_number(p, &text, &d))
		return bad_json(p, &p->j);
	if (thin_edge_time_unix(text, d, t))
		return 0;
	return fail(p,
	    "Invalid unix timestamp (reading %s value in seconds): " STR_FMT
	    "; timestamp must be in the range %lld..=%lld",
	    is_whole(text) ? "integer" : "decimal", STR_ARG(text),
	    (long long)UNIX_MIN, (long long)UNIX_MAX);
}

bool
thin_edge_time_text(struct str text, struct thin_edge_time *ret)
{
	*ret = (struct thin_edge_time){ .text = text };
	return iso_time(text, ret) == READ_OK;
}

static int
text_time(struct parser *p, struct thin_edge_time *t)
{
	enum reading r;

	if (!json_str(&p->j, &t->text))
		return bad_json(p, &p->j);
	r = iso_time(t->text, t);
	if (r == READ_OK)
		return 0;
	return fail(p,
	    "Invalid ISO8601 timestamp (expected "
	    "YYYY-MM-DDThh:mm:ss.sss.±hh:mm): \"" STR_FMT "\": %s",
	    STR_ARG(t->text), reading_words[r]);
}

static int
read_time(struct parser *p)
{
	struct thin_edge_time t = { 0 };
	enum json_type next = json_peek(&p->j);
	const char *what;
	int rc;

	if (next == JSON_STRING) {
		rc = text_time(p, &t);
	} else if (next == JSON_NUMBER && !p->strict) {
		rc = unix_time(p, &t);
	} else {
		what = what_is_next(p);
		if (what == NULL)
			return bad_json(p, &p->j);
		return p->strict
		    ? fail(p,
			  "Not a timestamp: the time value must be an ISO8601 "
			  "timestamp string in the "
			  "YYYY-MM-DDThh:mm:ss.sss.±hh:mm format, not %s.",
			  what)
		    : fail(p,
			  "invalid type: %s, expected a date formatted as a "
			  "unix timestamp (as an integer number of seconds) or "
			  "an ISO-8601 string",
			  what);
	}
	if (rc == 0 && p->v != NULL && p->v->time != NULL)
		p->v->time(p->owner, &t);
	return rc;
}

/* --- values -------------------------------------------------------------- */

static bool
is_name(struct str s)
{
	if (s.len == 0 || s.ptr[0] == '_')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return true;
}

static int
check_name(struct parser *p, struct str name)
{
	if (!p->strict || is_name(name))
		return 0;
	return fail(p,
	    "Invalid measurement name: \"" STR_FMT
	    "\" must be of letters, digits and \"_\", and not begin with "
	    "\"_\".",
	    STR_ARG(name));
}

static int
read_value(struct parser *p, struct str group, struct str name)
{
	struct str text;
	double d;

	if (!read_number(p, &text, &d))
		return bad_json(p, &p->j);
	if (!isfinite(d) || (p->strict && d != 0 && fabs(d) < DBL_MIN))
		return fail(p,
		    "Number out-of-range: the \"" STR_FMT
		    "\" value is too large to be represented as a float64.",
		    STR_ARG(name));
	if (p->v != NULL && p->v->value != NULL)
		p->v->value(p->owner, group, name, text, d);
	return 0;
}

/* Something that is neither a number nor a group. */
static int
no_value(struct parser *p, struct str name, bool in_group)
{
	const char *what = what_is_next(p);

	if (what == NULL)
		return bad_json(p, &p->j);
	if (p->strict)
		return fail(p,
		    "Not a number: the \"" STR_FMT
		    "\" value must be a number, not %s.",
		    STR_ARG(name), what);
	return fail(p, "invalid type: %s, expected ThinEdge %s measurement",
	    what, in_group ? "single-value" : "single or multi-value");
}

static int
in_group(struct parser *p, struct str group, struct str name)
{
	int rc;

	if (str_eqz(name, "time"))
		return fail(p, "Unexpected time stamp within a group");
	rc = check_name(p, name);
	if (rc != 0)
		return rc;
	switch (json_peek(&p->j)) {
	case JSON_NUMBER:
		return read_value(p, group, name);
	case JSON_OBJECT:
		if (p->strict)
			return fail(p,
			    "More than 2 nested levels: the record for "
			    "\"" STR_FMT "\" must be flattened.",
			    STR_ARG(name));
		(void)json_object(&p->j);
		return fail(p, "Expect single-value measurement");
	default:
		return no_value(p, name, true);
	}
}

static int
read_group(struct parser *p, struct str group)
{
	struct str name;
	size_t n = 0;
	int rc = 0;

	(void)json_object(&p->j);
	if (p->v != NULL && p->v->open != NULL)
		p->v->open(p->owner, group);
	for (; rc == 0 && json_member(&p->j, &name); n++)
		rc = in_group(p, group, name);
	if (rc == 0 && !json_ok(&p->j))
		rc = bad_json(p, &p->j);
	if (rc == 0 && n == 0)
		rc = fail(p,
		    "Empty Thin Edge measurement: \"" STR_FMT
		    "\" must contain at least one measurement",
		    STR_ARG(group));
	if (rc == 0 && p->v != NULL && p->v->close != NULL)
		p->v->close(p->owner, group);
	return rc;
}

/* --- the message --------------------------------------------------------- */

static int
read_properties(struct parser *p)
{
	bool object = json_peek(&p->j) == JSON_OBJECT;
	struct str raw;

	if (!json_raw(&p->j, &raw))
		return bad_json(p, &p->j);
	if (object && p->v != NULL && p->v->properties != NULL)
		p->v->properties(p->owner, raw);
	return 0;
}

/* `type`, or a text that means nothing here. */
static int
read_text(struct parser *p, struct str name)
{
	struct str text;

	if (!json_str(&p->j, &text))
		return bad_json(p, &p->j);
	p->members++;
	if (p->v == NULL)
		return 0;
	if (str_eqz(name, "type")) {
		if (p->v->type != NULL)
			p->v->type(p->owner, text);
	} else if (p->v->ignored != NULL) {
		p->v->ignored(p->owner, name);
	}
	return 0;
}

static int
read_member(struct parser *p, struct str name)
{
	enum json_type next;
	int rc;

	if (str_eqz(name, "time"))
		return read_time(p);
	if (p->strict && str_eqz(name, "type"))
		return fail(p,
		    "Invalid measurement name: \"type\" is a reserved word.");
	if (!p->strict && str_eqz(name, "properties"))
		return read_properties(p);
	rc = check_name(p, name);
	if (rc != 0)
		return rc;
	next = json_peek(&p->j);
	if (next == JSON_STRING && !p->strict)
		return read_text(p, name);
	p->members++;
	if (next == JSON_NUMBER)
		return read_value(p, STR_NULL, name);
	return next == JSON_OBJECT ? read_group(p, name)
				   : no_value(p, name, false);
}

static int
not_an_object(struct parser *p)
{
	const char *what = what_is_next(p);

	if (what == NULL)
		return bad_json(p, &p->j);
	if (!p->strict)
		return fail(p,
		    "invalid type: %s, expected a map of measurements", what);
	return fail(p,
	    "Invalid Thin Edge measurement: it cannot be %s: " STR_FMT, what,
	    STR_ARG(excerpt(p->j.arena, p->input, true)));
}

static int
pass(struct parser *p, struct arena *a, const struct thin_edge_visitor *v)
{
	struct str name;
	int rc = 0;

	json_open(&p->j, p->input, 0, a);
	p->v = v;
	p->members = 0;
	if (json_peek(&p->j) != JSON_OBJECT)
		return not_an_object(p);
	(void)json_object(&p->j);
	while (rc == 0 && json_member(&p->j, &name))
		rc = read_member(p, name);
	if (rc == 0 && json_ok(&p->j) && p->members == 0)
		rc = fail(p,
		    "Empty Thin Edge measurement: it must contain at least one "
		    "measurement");
	if (rc == 0 && json_done(&p->j, NULL) != 0)
		rc = bad_json(p, &p->j);
	return rc;
}

/* Where the first byte that is no UTF-8 stands. */
static size_t
utf8_until(struct str s)
{
	size_t low = 0;

	while (low < s.len) {
		size_t n = char_len(s.ptr + low, s.ptr + s.len);

		if (!str_is_utf8((struct str){ s.ptr + low, n }))
			break;
		low += n;
	}
	return low;
}

static int
not_utf8(struct parser *p, struct arena *a)
{
	size_t n = utf8_until(p->input);

	return err_set(p->err, ERR_PARAM,
	    "Invalid UTF8: invalid utf-8 sequence from index %zu: " STR_FMT
	    "...",
	    n, STR_ARG(excerpt(a, (struct str){ p->input.ptr, n }, true)));
}

int
thin_edge_json_read(struct str payload, unsigned flags, size_t max,
    struct arena *a, const struct thin_edge_visitor *v, void *owner,
    struct err *err)
{
	struct parser p = { .input = payload,
		.owner = owner,
		.strict = flags & THIN_EDGE_STRICT,
		.err = err };
	struct json j;
	int rc;

	if (max > 0 && payload.len > max)
		return err_set(err, ERR_LIMIT,
		    "The input size %zu is too big. The threshold is %zu.",
		    payload.len, max);
	if (payload.ptr == NULL)
		p.input = STR("");
	if (!str_is_utf8(p.input))
		return not_utf8(&p, a);
	if (p.strict) {
		json_open(&j, p.input, 0, a);
		(void)json_skip(&j);
		if (json_done(&j, NULL) != 0)
			return bad_json(&p, &j);
	}
	rc = pass(&p, a, NULL);
	return rc != 0 || v == NULL ? rc : pass(&p, a, v);
}

/* --- units --------------------------------------------------------------- */

static bool
read_unit(struct json *j, struct str *unit)
{
	bool found = false;
	struct str key;

	if (json_peek(j) != JSON_OBJECT) {
		json_skip(j);
		return false;
	}
	(void)json_object(j);
	while (json_member(j, &key))
		if (str_eqz(key, "unit") && json_peek(j) == JSON_STRING)
			found = json_str(j, unit);
		else
			json_skip(j);
	return found;
}

int
thin_edge_json_units(struct str payload, struct arena *a,
    void (*unit)(
	void *owner, struct str group, struct str name, struct str unit),
    void *owner, struct err *err)
{
	struct parser p = { .input = payload, .err = err };
	struct str name, text;

	if (payload.len == 0)
		return 0;
	if (!str_is_utf8(payload))
		return not_utf8(&p, a);
	if (!json_valid(payload, 0)) {
		json_open(&p.j, payload, 0, a);
		(void)json_skip(&p.j);
		(void)json_done(&p.j, NULL);
		return bad_json(&p, &p.j);
	}
	json_open(&p.j, payload, 0, a);
	if (json_peek(&p.j) != JSON_OBJECT)
		return fail(&p, "invalid type: %s, expected a map of units",
		    what_is_next(&p));
	(void)json_object(&p.j);
	while (json_member(&p.j, &name))
		if (read_unit(&p.j, &text)) {
			struct str rest = name, group = str_cut(&rest, '.');

			if (rest.ptr == NULL)
				unit(owner, STR_NULL, name, text);
			else
				unit(owner, group, rest, text);
		}
	return 0;
}

/*
 * codec/json.c - see json.h.
 *
 * A cursor moves over the text. `depth` counts the containers entered and
 * `fresh` tells that one was just entered, so that json_member() and
 * json_item() know whether a comma must come first. Everything that can go
 * wrong ends in bad(), which keeps the first reason.
 */
#include "codec/json.h"

#include "base/clock.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
bad(struct json *j, const char *why)
{
	if (j->why == NULL) {
		j->why = why;
		j->at = j->p;
	}
	j->p = j->end;
	return false;
}

void
json_open(struct json *j, struct str text, unsigned flags, struct arena *arena)
{
	if (text.ptr == NULL)
		text = STR("");
	*j = (struct json){ .p = text.ptr,
		.end = text.ptr + text.len,
		.start = text.ptr,
		.arena = arena,
		.flags = flags };
}

/* --- white space --------------------------------------------------------- */

/* Length of a JSON5 white space character at p, 0 if it is none. */
static size_t
space5(const char *p, const char *end)
{
	const unsigned char *u = (const unsigned char *)p;

	if (*u == '\v' || *u == '\f')
		return 1;
	if (*u == 0xC2 && end - p >= 2 && u[1] == 0xA0)
		return 2;
	if (end - p >= 3 &&
	    ((*u == 0xEF && u[1] == 0xBB && u[2] == 0xBF) ||
		(*u == 0xE2 && u[1] == 0x80 &&
		    ((u[2] >= 0x80 && u[2] <= 0x8A) || u[2] == 0xA8 ||
			u[2] == 0xA9 || u[2] == 0xAF))))
		return 3;
	return 0;
}

/* Steps over a comment; false if there is none. */
static bool
comment(struct json *j)
{
	const char *p = j->p;

	if (j->end - p < 2 || p[0] != '/' || (p[1] != '/' && p[1] != '*'))
		return false;
	if (p[1] == '/') {
		p = memchr(p, '\n', (size_t)(j->end - p));
		j->p = p == NULL ? j->end : p;
		return true;
	}
	for (p += 2; j->end - p >= 2; p++)
		if (p[0] == '*' && p[1] == '/') {
			j->p = p + 2;
			return true;
		}
	return bad(j, "comment without its end");
}

static void
skip_space(struct json *j)
{
	while (j->p < j->end) {
		size_t n;

		if (*j->p == ' ' || *j->p == '\n' || *j->p == '\r' ||
		    *j->p == '\t') {
			j->p++;
		} else if (j->flags & JSON_5) {
			n = space5(j->p, j->end);
			j->p += n;
			if (n == 0 && !comment(j))
				break;
		} else {
			break;
		}
	}
}

/* --- what stands next ---------------------------------------------------- */

static bool
is_word(const struct json *j, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(j->end - j->p) >= len && memcmp(j->p, word, len) == 0;
}

enum json_type
json_peek(struct json *j)
{
	if (j->why != NULL)
		return JSON_NONE;
	skip_space(j);
	if (j->p == j->end)
		return JSON_NONE;
	switch (*j->p) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
	case 'f':
		return JSON_BOOL;
	case 'n':
		return JSON_NULL;
	case '-':
	case '0' ... '9':
		return JSON_NUMBER;
	case '\'':
		return j->flags & JSON_5 ? JSON_STRING : JSON_NONE;
	case '+':
	case '.':
	case 'I':
	case 'N':
		return j->flags & JSON_5 ? JSON_NUMBER : JSON_NONE;
	default:
		return JSON_NONE;
	}
}

static bool
expect(struct json *j, enum json_type type, const char *why)
{
	enum json_type next = json_peek(j);

	if (next == type)
		return true;
	if (j->why != NULL)
		return false;
	if (j->p == j->end)
		return bad(j, "unexpected end");
	return bad(j, next == JSON_NONE ? "not a JSON value" : why);
}

/* --- containers ---------------------------------------------------------- */

static bool
enter(struct json *j)
{
	if (++j->depth > JSON_DEPTH_MAX)
		return bad(j, "nested too deeply");
	j->p++;
	j->fresh = true;
	return true;
}

bool
json_object(struct json *j)
{
	return expect(j, JSON_OBJECT, "must be an object") && enter(j);
}

bool
json_array(struct json *j)
{
	return expect(j, JSON_ARRAY, "must be an array") && enter(j);
}

/* At the start of a container or behind an item: true when another item
 * follows, with the cursor on it; false at `close`, stepped over. */
static bool
another(struct json *j, char close)
{
	bool fresh = j->fresh;

	if (j->why != NULL)
		return false;
	j->fresh = false;
	skip_space(j);
	if (j->p == j->end)
		return bad(j, "unexpected end");
	if (*j->p == close) {
		j->p++;
		j->depth--;
		return false;
	}
	if (fresh)
		return true;
	if (*j->p != ',')
		return bad(
		    j, close == '}' ? "expected , or }" : "expected , or ]");
	j->p++;
	skip_space(j);
	if (j->p == j->end)
		return bad(j, "unexpected end");
	if (*j->p == close) {
		if (!(j->flags & JSON_5))
			return bad(j, "comma before the end");
		j->p++;
		j->depth--;
		return false;
	}
	return true;
}

bool
json_item(struct json *j)
{
	return another(j, ']');
}

static bool
is_name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    c == '$' || (unsigned char)c >= 0x80 ||
	    (!first && c >= '0' && c <= '9');
}

static bool
bare_key(struct json *j, struct str *key)
{
	const char *from = j->p;

	while (j->p < j->end && is_name_char(*j->p, j->p == from))
		j->p++;
	if (j->p == from)
		return bad(j, "expected a member name");
	*key = (struct str){ from, (size_t)(j->p - from) };
	if (!str_is_utf8(*key))
		return bad(j, "not UTF-8");
	return true;
}

bool
json_member(struct json *j, struct str *key)
{
	if (!another(j, '}'))
		return false;
	if (*j->p == '"' || (*j->p == '\'' && j->flags & JSON_5)) {
		if (!json_str(j, key))
			return false;
	} else if (!(j->flags & JSON_5)) {
		return bad(j, "expected a member name in quotes");
	} else if (!bare_key(j, key)) {
		return false;
	}
	skip_space(j);
	if (j->p == j->end || *j->p != ':')
		return bad(j, "expected :");
	j->p++;
	return true;
}

/* --- strings ------------------------------------------------------------- */

/* The end of the string whose opening quote was at p[-1], or NULL; whether it
 * has escapes, and whether anything but ASCII. */
static const char *
string_end(
    struct json *j, const char *p, char quote, bool *escaped, bool *plain)
{
	*escaped = false;
	*plain = true;
	for (; p < j->end; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == (unsigned char)quote)
			return p;
		if (c == '\\') {
			*escaped = true;
			if (++p == j->end)
				break;
		} else if (c < 0x20) {
			if (!(j->flags & JSON_5) || c == '\n' || c == '\r') {
				j->p = p;
				bad(j, "control character in a string");
				return NULL;
			}
		} else if (c >= 0x80) {
			*plain = false;
		}
	}
	bad(j, "string without its end");
	return NULL;
}

static int
hex4(const char *p, const char *end, int digits, uint32_t *ret)
{
	uint32_t v = 0;

	if (end - p < digits)
		return -1;
	for (int i = 0; i < digits; i++) {
		int d = hex_digit(p[i]);

		if (d < 0)
			return -1;
		v = v << 4 | (uint32_t)d;
	}
	*ret = v;
	return 0;
}

/* \uXXXX, with its second half when it is a surrogate. `*pp` is behind the u.
 * A surrogate without its partner is refused: it has no UTF-8. */
static bool
unicode_escape(struct json *j, const char **pp, const char *end, char **to)
{
	uint32_t c, low;

	if (hex4(*pp, end, 4, &c) != 0)
		return bad(j, "bad \\u escape");
	*pp += 4;
	if (c >= 0xD800 && c <= 0xDBFF) {
		if (end - *pp < 6 || (*pp)[0] != '\\' || (*pp)[1] != 'u' ||
		    hex4(*pp + 2, end, 4, &low) != 0 || low < 0xDC00 ||
		    low > 0xDFFF)
			return bad(j, "half of a surrogate pair");
		*pp += 6;
		c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
	} else if (c >= 0xDC00 && c <= 0xDFFF) {
		return bad(j, "half of a surrogate pair");
	}
	*to = utf8_put(*to, c);
	return true;
}

/* Escapes that only JSON5 knows; `c` stood behind the backslash. */
static bool
escape5(struct json *j, char c, const char **pp, const char *end, char **to)
{
	uint32_t x;

	switch (c) {
	case 'v':
		*(*to)++ = '\v';
		return true;
	case '0':
		*(*to)++ = '\0';
		return true;
	case 'x':
		if (hex4(*pp, end, 2, &x) != 0)
			return bad(j, "bad \\x escape");
		*pp += 2;
		*to = utf8_put(*to, x);
		return true;
	case '\r': /* the line goes on */
		if (*pp < end && **pp == '\n')
			++*pp;
		return true;
	case '\n':
		return true;
	case '1' ... '9':
		return bad(j, "bad escape");
	default:
		*(*to)++ = c;
		return true;
	}
}

static bool
unescape(struct json *j, const char *p, const char *end, struct str *ret)
{
	char *text, *to;

	if (j->arena == NULL)
		return bad(j, "escapes are not accepted here");
	/* no escape is longer than what it stands for */
	text = to = arena_alloc(j->arena, (size_t)(end - p) + 1);
	while (p < end) {
		static const char from[] = "\"\\/bfnrt",
				  into[] = "\"\\/\b\f\n\r\t";
		const char *known;
		char c = *p++;

		if (c != '\\') {
			*to++ = c;
			continue;
		}
		c = *p++;
		known = c != '\0' ? strchr(from, c) : NULL;
		if (known != NULL) {
			*to++ = into[known - from];
		} else if (c == 'u') {
			if (!unicode_escape(j, &p, end, &to))
				return false;
		} else if (!(j->flags & JSON_5)) {
			return bad(j, "bad escape");
		} else if (!escape5(j, c, &p, end, &to)) {
			return false;
		}
	}
	*ret = (struct str){ text, (size_t)(to - text) };
	return true;
}

bool
json_str(struct json *j, struct str *ret)
{
	bool escaped, plain;
	const char *from, *end;
	struct str s;

	if (!expect(j, JSON_STRING, "must be a string"))
		return false;
	from = j->p + 1;
	end = string_end(j, from, *j->p, &escaped, &plain);
	if (end == NULL)
		return false;
	s = (struct str){ from, (size_t)(end - from) };
	if (!plain && !str_is_utf8(s))
		return bad(j, "not UTF-8");
	if (escaped && !unescape(j, from, end, &s))
		return false;
	j->p = end + 1;
	*ret = s;
	return true;
}

/* --- other values -------------------------------------------------------- */

static bool
word(struct json *j, const char *w)
{
	size_t len = strlen(w);

	if (!is_word(j, w) ||
	    (j->p + len < j->end && is_name_char(j->p[len], false)))
		return bad(j, "not a JSON value");
	j->p += len;
	return true;
}

bool
json_bool(struct json *j, bool *ret)
{
	bool value;

	if (!expect(j, JSON_BOOL, "must be true or false"))
		return false;
	value = *j->p == 't';
	if (!word(j, value ? "true" : "false"))
		return false;
	*ret = value;
	return true;
}

bool
json_null(struct json *j)
{
	return expect(j, JSON_NULL, "must be null") && word(j, "null");
}

static size_t
digits_at(const char *p, const char *end)
{
	const char *from = p;

	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return (size_t)(p - from);
}

static bool
number5(struct json *j, const char *p, struct str *ret)
{
	size_t whole, part = 0;

	if (p < j->end && (*p == 'I' || *p == 'N')) {
		struct json at = *j;

		at.p = p;
		if (!word(&at, *p == 'I' ? "Infinity" : "NaN"))
			return bad(j, "not a number");
		p = at.p;
		goto out;
	}
	if (j->end - p >= 3 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		const char *from = p += 2;

		while (p < j->end &&
		    ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f') ||
			(*p >= 'A' && *p <= 'F')))
			p++;
		if (p == from)
			return bad(j, "not a number");
		goto out;
	}
	whole = digits_at(p, j->end);
	if (whole > 1 && *p == '0')
		return bad(j, "number with a leading 0");
	p += whole;
	if (p < j->end && *p == '.') {
		part = digits_at(++p, j->end);
		p += part;
	}
	if (whole + part == 0)
		return bad(j, "not a number");
	if (p < j->end && (*p == 'e' || *p == 'E')) {
		size_t n;

		p++;
		if (p < j->end && (*p == '+' || *p == '-'))
			p++;
		n = digits_at(p, j->end);
		if (n == 0)
			return bad(j, "number without digits behind e");
		p += n;
	}
out:
	*ret = (struct str){ j->p, (size_t)(p - j->p) };
	j->p = p;
	return true;
}

bool
json_num(struct json *j, struct str *ret)
{
	const char *p;
	size_t n;

	if (!expect(j, JSON_NUMBER, "must be a number"))
		return false;
	p = j->p;
	if (*p == '-' || (*p == '+' && j->flags & JSON_5))
		p++;
	if (j->flags & JSON_5)
		return number5(j, p, ret);
	n = digits_at(p, j->end);
	if (n == 0)
		return bad(j, "not a number");
	if (n > 1 && *p == '0')
		return bad(j, "number with a leading 0");
	p += n;
	if (p < j->end && *p == '.') {
		n = digits_at(++p, j->end);
		if (n == 0)
			return bad(j, "number without digits behind the point");
		p += n;
	}
	if (p < j->end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < j->end && (*p == '+' || *p == '-'))
			p++;
		n = digits_at(p, j->end);
		if (n == 0)
			return bad(j, "number without digits behind e");
		p += n;
	}
	*ret = (struct str){ j->p, (size_t)(p - j->p) };
	j->p = p;
	return true;
}

static double
to_real(struct str s)
{
	char text[64], *z = text;
	double d;

	/* a number with more digits than fit is read from the heap */
	if (s.len >= sizeof(text))
		z = str_dupz(s);
	else {
		memcpy(text, s.ptr, s.len);
		text[s.len] = '\0';
	}
	d = strtod(z, NULL);
	if (z != text)
		free(z);
	return d;
}

bool
json_real(struct json *j, double *ret)
{
	struct str s;

	if (!json_num(j, &s))
		return false;
	*ret = to_real(s);
	return true;
}

bool
json_i64(struct json *j, int64_t *ret)
{
	const char *at = j->p;
	struct str s;
	double d;

	if (!json_num(j, &s))
		return false;
	if (str_to_i64(s, ret))
		return true;
	d = to_real(s); /* 1e3, 0x10 and 5.0 are whole numbers too */
	if (d != floor(d) || fabs(d) > 9007199254740992.0) {
		j->p = at;
		return bad(j, "must be a whole number");
	}
	*ret = (int64_t)d;
	return true;
}

bool
json_skip(struct json *j)
{
	struct arena scratch = { 0 }, *own = j->arena;
	unsigned base = j->depth;
	bool ok = true;

	/* Not recursive: the stack is 128 bits, set for objects. */
	unsigned char is_object[JSON_DEPTH_MAX + 1];

	if (own == NULL)
		j->arena = &scratch;
	do {
		struct str s;
		bool b;

		if (j->depth > base) {
			bool more = is_object[j->depth] ? json_member(j, &s)
							: json_item(j);

			if (!more) {
				ok = j->why == NULL;
				continue;
			}
		}
		switch (json_peek(j)) {
		case JSON_OBJECT:
			ok = json_object(j);
			if (ok)
				is_object[j->depth] = true;
			break;
		case JSON_ARRAY:
			ok = json_array(j);
			if (ok)
				is_object[j->depth] = false;
			break;
		case JSON_STRING:
			ok = json_str(j, &s);
			break;
		case JSON_NUMBER:
			ok = json_num(j, &s);
			break;
		case JSON_BOOL:
			ok = json_bool(j, &b);
			break;
		default:
			ok = json_null(j);
		}
	} while (ok && j->depth > base);
	j->arena = own;
	arena_fini(&scratch);
	return ok;
}

bool
json_raw(struct json *j, struct str *ret)
{
	const char *from;

	if (json_peek(j) == JSON_NONE)
		return expect(j, JSON_NULL, "not a JSON value");
	from = j->p;
	if (!json_skip(j))
		return false;
	*ret = (struct str){ from, (size_t)(j->p - from) };
	return true;
}

void
json_fail(struct json *j, const char *why)
{
	bad(j, why);
}

bool
json_ok(const struct json *j)
{
	return j->why == NULL;
}

int
json_done(struct json *j, struct err *err)
{
	int line = 1, column = 1;

	if (j->why == NULL) {
		skip_space(j);
		if (j->p != j->end)
			bad(j, "something follows the value");
		else if (j->depth > 0)
			bad(j, "unexpected end");
	}
	if (j->why == NULL)
		return 0;
	for (const char *p = j->start; p < j->at; p++) {
		column++;
		if (*p == '\n') {
			line++;
			column = 1;
		}
	}
	return err_set(
	    err, ERR_PARAM, "line %d column %d: %s", line, column, j->why);
}

enum json_type
json_type_of(struct str text)
{
	struct json j;

	json_open(&j, text, 0, NULL);
	return json_peek(&j);
}

static struct str
find(struct arena *a, struct str text, struct str key,
    bool same(struct str a, struct str b))
{
	struct str ret = STR_NULL, name;
	struct json j;

	json_open(&j, text, 0, a);
	if (json_peek(&j) != JSON_OBJECT || !json_object(&j))
		return STR_NULL;
	while (json_member(&j, &name))
		if (ret.ptr == NULL && same(name, key))
			(void)json_raw(&j, &ret);
		else
			(void)json_skip(&j);
	return json_done(&j, NULL) == 0 ? ret : STR_NULL;
}

struct str
json_find(struct arena *a, struct str text, struct str key)
{
	return find(a, text, key, str_eq);
}

struct str
json_find_nocase(struct arena *a, struct str text, struct str key)
{
	return find(a, text, key, str_eq_nocase);
}

bool
json_valid(struct str text, unsigned flags)
{
	struct json j;

	json_open(&j, text, flags, NULL);
	json_skip(&j);
	return json_done(&j, NULL) == 0;
}

/* A number of JSON5 in the words of JSON. */
static void
put_number(struct json_out *o, struct str s)
{
	int64_t n;

	if (str_to_i64(s, &n) && s.ptr[0] != '+') {
		json_out_raw(o, s);
	} else {
		struct json j;
		struct str again;

		json_open(&j, s, 0, NULL);
		if (json_num(&j, &again) && json_done(&j, NULL) == 0)
			json_out_raw(o, s);
		else
			json_out_real(o, to_real(s));
	}
}

void
json_copy(struct json *j, struct json_out *o)
{
	struct str s;
	bool b;

	switch (json_peek(j)) {
	case JSON_OBJECT:
		json_object(j);
		json_out_object(o);
		while (json_member(j, &s)) {
			json_out_key_str(o, s);
			json_copy(j, o);
		}
		json_out_end_object(o);
		break;
	case JSON_ARRAY:
		json_array(j);
		json_out_array(o);
		while (json_item(j))
			json_copy(j, o);
		json_out_end_array(o);
		break;
	case JSON_STRING:
		if (json_str(j, &s))
			json_out_str(o, s);
		break;
	case JSON_NUMBER:
		if (json_num(j, &s))
			put_number(o, s);
		break;
	case JSON_BOOL:
		if (json_bool(j, &b))
			json_out_bool(o, b);
		break;
	default:
		if (json_null(j))
			json_out_null(o);
	}
}

bool
json_compact(struct buf *out, struct str text, unsigned flags)
{
	struct arena arena = { 0 };
	size_t start = out->len;
	struct json_out o;
	struct json j;
	bool ok;

	json_open(&j, text, flags, &arena);
	json_out_init(&o, out, false);
	json_copy(&j, &o);
	ok = json_done(&j, NULL) == 0;
	if (!ok)
		out->len = start;
	arena_fini(&arena);
	return ok;
}

/* --- the writer ---------------------------------------------------------- */

void
json_out_init(struct json_out *o, struct buf *buf, bool indent)
{
	*o = (struct json_out){ .buf = buf, .indent = indent };
}

static void
new_line(struct json_out *o)
{
	if (!o->indent)
		return;
	buf_addc(o->buf, '\n');
	for (unsigned i = 0; i < o->depth; i++)
		buf_addz(o->buf, "  ");
}

/* What comes before any value or key. */
static void
before(struct json_out *o)
{
	if (o->after_key) {
		o->after_key = false;
		return;
	}
	if (o->comma)
		buf_addc(o->buf, ',');
	if (o->depth > 0)
		new_line(o);
	o->comma = true;
}

static void
begin(struct json_out *o, char c)
{
	before(o);
	buf_addc(o->buf, c);
	o->depth++;
	o->comma = false;
}

static void
end(struct json_out *o, char c)
{
	bool empty = !o->comma;

	o->depth--;
	if (!empty)
		new_line(o);
	buf_addc(o->buf, c);
	o->comma = true;
}

void
json_out_object(struct json_out *o)
{
	begin(o, '{');
}

void
json_out_end_object(struct json_out *o)
{
	end(o, '}');
}

void
json_out_array(struct json_out *o)
{
	begin(o, '[');
}

void
json_out_end_array(struct json_out *o)
{
	end(o, ']');
}

void
json_out_key_str(struct json_out *o, struct str key)
{
	before(o);
	json_quote(o->buf, key);
	buf_addz(o->buf, o->indent ? ": " : ":");
	o->after_key = true;
}

void
json_out_key(struct json_out *o, const char *key)
{
	json_out_key_str(o, str_of(key));
}

void
json_out_raw(struct json_out *o, struct str json)
{
	before(o);
	if (json.ptr == NULL)
		buf_addz(o->buf, "null");
	else
		buf_add_str(o->buf, json);
}

void
json_out_null(struct json_out *o)
{
	json_out_raw(o, STR_NULL);
}

void
json_out_str(struct json_out *o, struct str s)
{
	if (s.ptr == NULL) {
		json_out_null(o);
		return;
	}
	before(o);
	json_quote(o->buf, s);
}

void
json_out_int(struct json_out *o, int64_t n)
{
	before(o);
	buf_addf(o->buf, "%" PRId64, n);
}

void
json_out_real(struct json_out *o, double d)
{
	char text[40];

	if (!isfinite(d)) {
		json_out_null(o);
		return;
	}
	before(o);
	/* the shortest form that reads back as the same number */
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	buf_addz(o->buf, text);
}

void
json_out_bool(struct json_out *o, bool b)
{
	json_out_raw(o, b ? STR("true") : STR("false"));
}

void
json_out_time(struct json_out *o, int64_t ms)
{
	char text[TIME_TEXT_LEN + 1];

	if (ms == TIME_NULL) {
		json_out_null(o);
		return;
	}
	time_format(ms, text);
	json_out_str(o, (struct str){ text, TIME_TEXT_LEN });
}

void
json_quote(struct buf *out, struct str s)
{
	static const char hex[] = "0123456789abcdef";
	const char *p = s.ptr, *from = p, *end_of = p + s.len;
	bool utf8 = str_is_utf8(s);

	buf_reserve(out, s.len + 2);
	buf_addc(out, '"');
	for (; p < end_of; p++) {
		unsigned char c = (unsigned char)*p;
		const char *known;

		if (c >= 0x20 && c != '"' && c != '\\' && (c < 0x80 || utf8))
			continue;
		buf_add(out, from, (size_t)(p - from));
		from = p + 1;
		if (c >= 0x80) {
			buf_addz(out, "\xEF\xBF\xBD");
			continue;
		}
		known = c != '\0' ? strchr("\"\"\\\\\bb\ff\nn\rr\tt", c) : NULL;
		buf_addc(out, '\\');
		if (known != NULL) {
			buf_addc(out, known[1]);
		} else {
			buf_addz(out, "u00");
			buf_addc(out, hex[c >> 4]);
			buf_addc(out, hex[c & 15]);
		}
	}
	buf_add(out, from, (size_t)(end_of - from));
	buf_addc(out, '"');
}

/*
 * codec/toml.c - the reader: see toml.h. It walks the text once. The editor is
 * in toml_edit.c.
 */
#include "codec/toml_private.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct arena *arena;
	struct str text;
	const char *p, *end;
	uint32_t line;
	const char *line_start;
	int code; /* 0 while all is well */
	const char *why;
	const char *at;
};

static bool
fail_at(struct reader *r, const char *at, const char *why)
{
	if (r->code == 0) {
		r->code = ERR_PARAM;
		r->why = why;
		r->at = at;
	}
	return false;
}

static bool
fail(struct reader *r, const char *why)
{
	return fail_at(r, r->p, why);
}

static bool
limit(struct reader *r, const char *why)
{
	if (r->code == 0) {
		fail(r, why);
		r->code = ERR_LIMIT;
	}
	return false;
}

static bool
at(const struct reader *r, char c)
{
	return r->p < r->end && *r->p == c;
}

static bool
starts(const struct reader *r, const char *z)
{
	size_t n = strlen(z);

	return (size_t)(r->end - r->p) >= n && memcmp(r->p, z, n) == 0;
}

static uint32_t
place(const struct reader *r, const char *p)
{
	return (uint32_t)(p - r->text.ptr);
}

static void
next_line(struct reader *r)
{
	r->line++;
	r->line_start = r->p;
}

static void
blanks(struct reader *r)
{
	while (at(r, ' ') || at(r, '\t'))
		r->p++;
}

static bool
is_control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static bool
comment(struct reader *r)
{
	if (!at(r, '#'))
		return true;
	while (r->p < r->end && *r->p != '\n' && !starts(r, "\r\n")) {
		if (is_control(*r->p))
			return fail(r, "a control character in a comment");
		r->p++;
	}
	return true;
}

/* A line end; false and no error: something else stands here. */
static bool
newline(struct reader *r)
{
	if (starts(r, "\r\n"))
		r->p++;
	if (!at(r, '\n'))
		return false;
	r->p++;
	next_line(r);
	return true;
}

/* Blanks, comments and line ends. */
static bool
space(struct reader *r)
{
	do {
		blanks(r);
		if (!comment(r))
			return false;
	} while (newline(r));
	return true;
}

/* --- strings ------------------------------------------------------------- */

static bool
add_utf8(struct reader *r, struct buf *b, uint32_t c)
{
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return fail(r, "no such character");
	buf_add_utf8(b, c);
	return true;
}

/* Behind the backslash. */
static bool
escape(struct reader *r, struct buf *b)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	const char *found;
	uint32_t c = 0;
	int digits;

	if (r->p >= r->end)
		return fail(r, "the string does not end");
	if (*r->p == 'u' || *r->p == 'U') {
		digits = *r->p++ == 'u' ? 4 : 8;
		for (int i = 0; i < digits; i++) {
			int d = r->p < r->end ? hex_digit(*r->p) : -1;

			if (d < 0)
				return fail(r, "a hex digit must stand here");
			c = c << 4 | (uint32_t)d;
			r->p++;
		}
		return add_utf8(r, b, c);
	}
	found = *r->p == '\0' ? NULL : strchr(from, *r->p);
	if (found == NULL)
		return fail(r, "no such escape");
	buf_addc(b, to[found - from]);
	r->p++;
	return true;
}

/* `\` at the end of a line of a long string: what is blank behind it is none of
 * the string. False and no error: it is another escape. */
static bool
folded(struct reader *r)
{
	const char *was = r->p, *start = r->line_start;
	uint32_t line = r->line;

	blanks(r);
	if (!newline(r)) {
		r->p = was;
		r->line = line;
		r->line_start = start;
		return false;
	}
	do
		blanks(r);
	while (newline(r));
	return true;
}

static bool
long_string(struct reader *r, char quote, struct buf *b)
{
	r->p += 3;
	newline(r); /* the first one does not count */
	while (r->p < r->end) {
		char c = *r->p;

		if (c == quote && starts(r, quote == '"' ? "\"\"\"" : "'''")) {
			r->p += 3;
			/* up to two quotes may stand before the end */
			for (int i = 0; i < 2 && at(r, quote); i++, r->p++)
				buf_addc(b, quote);
			return true;
		}
		if (c == '\\' && quote == '"') {
			r->p++;
			if (!folded(r) && !escape(r, b))
				return false;
		} else if (newline(r)) {
			buf_addc(b, '\n');
		} else if (is_control(c)) {
			return fail(r, "a control character in a string");
		} else {
			buf_addc(b, c);
			r->p++;
		}
	}
	return fail(r, "the string does not end");
}

static bool
short_string(struct reader *r, char quote, struct buf *b)
{
	r->p++;
	while (r->p < r->end && *r->p != quote) {
		char c = *r->p;

		if (c == '\n' || starts(r, "\r\n"))
			return fail(r, "the string does not end on its line");
		if (is_control(c))
			return fail(r, "a control character in a string");
		r->p++;
		if (c != '\\' || quote == '\'')
			buf_addc(b, c);
		else if (!escape(r, b))
			return false;
	}
	if (r->p >= r->end)
		return fail(r, "the string does not end");
	r->p++;
	return true;
}

static bool
string(struct reader *r, bool may_be_long, struct str *ret)
{
	struct buf b = { 0 };
	char quote = *r->p;
	bool ok;

	if (may_be_long && starts(r, quote == '"' ? "\"\"\"" : "'''"))
		ok = long_string(r, quote, &b);
	else
		ok = short_string(r, quote, &b);
	if (ok)
		*ret = arena_str(r->arena, (struct str){ buf_z(&b), b.len });
	buf_free(&b);
	return ok;
}

/* --- numbers, dates ------------------------------------------------------ */

/* Digits with single underscores between them, copied without. False: there is
 * none, or an underscore stands elsewhere. */
static bool
digits(struct str *s, int base, struct buf *b)
{
	size_t i = 0;
	bool digit = false;

	for (; i < s->len; i++) {
		char c = s->ptr[i];
		int d = hex_digit(c);

		if (d >= 0 && d < base) {
			buf_addc(b, c);
			digit = true;
		} else if (c == '_' && digit) {
			digit = false;
		} else {
			break;
		}
	}
	s->ptr += i;
	s->len -= i;
	return i > 0 && digit;
}

static bool
take(struct str *s, const char *any)
{
	if (s->len == 0 || strchr(any, s->ptr[0]) == NULL)
		return false;
	s->ptr++;
	s->len--;
	return true;
}

/* 0, or why not. */
static const char *
whole(const char *z, int base, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(z, &end, base);
	return errno != 0 || *end != '\0' ? "the number is out of range" : NULL;
}

static const char *
based(struct str s, int base, struct toml *v)
{
	struct buf b = { 0 };
	const char *why = "not a number";

	if (digits(&s, base, &b) && s.len == 0)
		why = whole(buf_z(&b), base, &v->number);
	buf_free(&b);
	v->type = TOML_INT;
	v->real = (double)v->number;
	return why;
}

static const char *
decimal(struct str s, struct buf *b, struct toml *v)
{
	size_t start;

	v->type = TOML_INT;
	if (s.len > 0 && strchr("+-", s.ptr[0]) != NULL)
		buf_addc(b, s.ptr[0]);
	take(&s, "+-");
	if (str_eqz(s, "inf") || str_eqz(s, "nan")) {
		bool minus = b->len > 0 && b->ptr[0] == '-';

		v->type = TOML_REAL;
		v->real = s.ptr[0] == 'i' ? INFINITY : NAN;
		if (minus)
			v->real = -v->real;
		return NULL;
	}
	start = b->len;
	if (!digits(&s, 10, b))
		return "not a value";
	if (b->len - start > 1 && b->ptr[start] == '0')
		return "a number with a zero at its beginning";
	if (s.len > 0 && s.ptr[0] == '.') {
		v->type = TOML_REAL;
		take(&s, ".");
		buf_addc(b, '.');
		if (!digits(&s, 10, b))
			return "a digit must follow the point";
	}
	if (take(&s, "eE")) {
		v->type = TOML_REAL;
		buf_addc(b, 'e');
		if (s.len > 0 && strchr("+-", s.ptr[0]) != NULL)
			buf_addc(b, s.ptr[0]);
		take(&s, "+-");
		if (!digits(&s, 10, b))
			return "a number must follow the e";
	}
	if (s.len > 0)
		return "not a number";
	if (v->type == TOML_REAL) {
		v->real = strtod(buf_z(b), NULL);
		return NULL;
	}
	v->real = strtod(buf_z(b), NULL);
	return whole(buf_z(b), 10, &v->number);
}

/* Exactly `n` digits, in lo..hi. */
static bool
part(struct str *s, size_t n, int lo, int hi, int *ret)
{
	int value = 0;

	if (s->len < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s->ptr[i] < '0' || s->ptr[i] > '9')
			return false;
		value = value * 10 + (s->ptr[i] - '0');
	}
	s->ptr += n;
	s->len -= n;
	*ret = value;
	return value >= lo && value <= hi;
}

static bool
clock_part(struct str *s)
{
	int v;

	if (!part(s, 2, 0, 23, &v) || !take(s, ":") || !part(s, 2, 0, 59, &v) ||
	    !take(s, ":") || !part(s, 2, 0, 60, &v))
		return false;
	if (take(s, ".")) {
		if (s->len == 0 || s->ptr[0] < '0' || s->ptr[0] > '9')
			return false;
		while (take(s, "0123456789"))
			;
	}
	return true;
}

static bool
date_part(struct str *s)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30,
		31 };
	int y, m, d, last;

	if (!part(s, 4, 0, 9999, &y) || !take(s, "-") ||
	    !part(s, 2, 1, 12, &m) || !take(s, "-"))
		return false;
	last = days[m - 1];
	if (m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0))
		last = 29;
	return part(s, 2, 1, last, &d);
}

static bool
is_time(struct str s)
{
	int v;

	if (s.len > 2 && s.ptr[2] == ':')
		return clock_part(&s) && s.len == 0;
	if (!date_part(&s))
		return false;
	if (s.len == 0)
		return true;
	if (!take(&s, "Tt ") || !clock_part(&s))
		return false;
	if (s.len == 0 || (take(&s, "Zz") && s.len == 0))
		return true;
	return take(&s, "+-") && part(&s, 2, 0, 23, &v) && take(&s, ":") &&
	    part(&s, 2, 0, 59, &v) && s.len == 0;
}

static bool
looks_like_time(struct str s)
{
	return (s.len > 4 && s.ptr[4] == '-' && s.ptr[0] != '-' &&
		   s.ptr[0] != '+' && memchr(s.ptr, 'e', 4) == NULL &&
		   memchr(s.ptr, 'E', 4) == NULL) ||
	    (s.len > 2 && s.ptr[2] == ':');
}

/* A value of no quotes and brackets. */
static bool
bare(struct reader *r, struct toml *v)
{
	const char *start = r->p, *why;
	struct buf b = { 0 };
	struct str s;

	while (r->p < r->end && strchr(" \t\r\n,]}#=[{\"'", *r->p) == NULL)
		r->p++;
	s = (struct str){ start, (size_t)(r->p - start) };
	if (s.len == 10 && s.ptr[4] == '-' && r->end - r->p > 3 &&
	    r->p[0] == ' ' && r->p[1] >= '0' && r->p[1] <= '9' &&
	    r->p[3] == ':') { /* a blank in place of the T */
		r->p++;
		while (r->p < r->end && strchr(" \t\r\n,]}#", *r->p) == NULL)
			r->p++;
		s.len = (size_t)(r->p - start);
	}
	v->text = s;
	if (s.len == 0)
		return fail(r, "a value must stand here");
	if (str_eqz(s, "true") || str_eqz(s, "false")) {
		v->type = TOML_BOOL;
		v->yes = s.ptr[0] == 't';
		return true;
	}
	if (looks_like_time(s)) {
		v->type = TOML_TIME;
		return is_time(s) || fail_at(r, start, "not a date or time");
	}
	if (s.len > 2 && s.ptr[0] == '0' && strchr("xob", s.ptr[1]) != NULL)
		why = based((struct str){ s.ptr + 2, s.len - 2 },
		    s.ptr[1] == 'x'       ? 16
			: s.ptr[1] == 'o' ? 8
					  : 2,
		    v);
	else
		why = decimal(s, &b, v);
	buf_free(&b);
	return why == NULL || fail_at(r, start, why);
}

/* --- tables -------------------------------------------------------------- */

struct toml *
toml_find(const struct toml *table, struct str key)
{
	for (struct toml *m = table->first; m != NULL; m = m->next)
		if (str_eq(m->key, key))
			return m;
	return NULL;
}

static struct toml *
node(struct reader *r, enum toml_type type, enum made made)
{
	struct toml *v = arena_new(r->arena, struct toml);

	v->type = type;
	v->made = (uint8_t)made;
	v->line = r->line;
	return v;
}

static bool
append(struct reader *r, struct toml *to, struct toml *v)
{
	if (to->type == TOML_TABLE && to->n >= TOML_TABLE_MAX)
		return limit(r, "too many keys in a table");
	v->depth = to->depth + 1;
	if (v->depth > TOML_DEPTH_MAX)
		return limit(r, "nested too deep");
	if (to->last != NULL)
		to->last->next = v;
	else
		to->first = v;
	to->last = v;
	to->n++;
	return true;
}

static bool
simple_key(struct reader *r, struct str *ret)
{
	const char *start = r->p;

	if (at(r, '"') || at(r, '\''))
		return string(r, false, ret);
	while (r->p < r->end &&
	    ((*r->p >= 'a' && *r->p <= 'z') || (*r->p >= 'A' && *r->p <= 'Z') ||
		(*r->p >= '0' && *r->p <= '9') || *r->p == '-' || *r->p == '_'))
		r->p++;
	*ret = (struct str){ start, (size_t)(r->p - start) };
	return ret->len > 0 || fail(r, "a key must stand here");
}

/* Goes into `*table` by the keys of a dotted one but the last, which is left in
 * `*last`. In a header the tables on the way may be there already. */
static bool
dotted(struct reader *r, bool header, struct toml **table, struct str *last)
{
	for (;;) {
		struct toml *into;

		blanks(r);
		if (!simple_key(r, last))
			return false;
		blanks(r);
		if (!at(r, '.'))
			return true;
		into = toml_find(*table, *last);
		if (into == NULL) {
			into = node(r, TOML_TABLE, header ? IMPLICIT : DOTTED);
			into->key = *last;
			if (!append(r, *table, into))
				return false;
		} else if (header && into->type == TOML_ARRAY &&
		    into->made == ITEMS) {
			into = into->last;
		} else if (into->type != TOML_TABLE || into->made == CLOSED ||
		    (!header && into->made == HEADER)) {
			return fail(r, "this was given another value before");
		} else if (!header) {
			into->made = DOTTED;
		}
		*table = into;
		r->p++;
	}
}

static bool value(struct reader *r, struct toml *v, uint32_t depth);

/* KEY = VALUE, into `table`; `*ret` is what was added. */
static bool
pair(struct reader *r, struct toml *table, struct toml **ret)
{
	struct toml *v;
	struct str key;
	uint32_t head = place(r, r->p);
	const char *key_at = r->p;

	if (!dotted(r, false, &table, &key))
		return false;
	if (toml_find(table, key) != NULL)
		return fail_at(r, key_at, "this key is there twice");
	if (!at(r, '='))
		return fail(r, "\"=\" must stand here");
	r->p++;
	blanks(r);
	v = node(r, TOML_TEXT, CLOSED);
	v->key = key;
	v->head = head;
	if (!append(r, table, v) || !value(r, v, v->depth))
		return false;
	*ret = v;
	return true;
}

static bool
array(struct reader *r, struct toml *v)
{
	v->type = TOML_ARRAY;
	r->p++;
	for (;;) {
		struct toml *item;

		if (!space(r))
			return false;
		if (at(r, ']')) {
			r->p++;
			return true;
		}
		item = node(r, TOML_TEXT, CLOSED);
		if (!append(r, v, item) || !value(r, item, item->depth) ||
		    !space(r))
			return false;
		if (at(r, ','))
			r->p++;
		else if (!at(r, ']'))
			return fail(r, "\",\" or \"]\" must stand here");
	}
}

static bool
braces(struct reader *r, struct toml *v)
{
	struct toml *member = NULL;

	v->type = TOML_TABLE;
	v->made = HEADER; /* open to its own keys */
	r->p++;
	blanks(r);
	if (!at(r, '}')) {
		for (;;) {
			uint32_t from = place(r, r->p);

			blanks(r);
			if (!pair(r, v, &member))
				return false;
			member->from = from;
			blanks(r);
			member->to = place(r, r->p);
			if (at(r, '}'))
				break;
			if (!at(r, ','))
				return fail(
				    r, "\",\" or \"}\" must stand here");
			r->p++;
		}
	}
	r->p++;
	v->made = CLOSED;
	return true;
}

static bool
value(struct reader *r, struct toml *v, uint32_t depth)
{
	bool ok;

	v->depth = depth;
	v->line = r->line;
	v->begin = place(r, r->p);
	if (at(r, '"') || at(r, '\'')) {
		v->type = TOML_TEXT;
		ok = string(r, true, &v->text);
	} else if (at(r, '[')) {
		ok = array(r, v);
	} else if (at(r, '{')) {
		ok = braces(r, v);
	} else {
		ok = bare(r, v);
	}
	v->end = place(r, r->p);
	return ok;
}

/* [a.b] or [[a.b]]: `*table` is what the lines below it belong to. */
static bool
header(struct reader *r, struct toml *root, struct toml **table)
{
	bool item = starts(r, "[[");
	struct toml *in = root, *found;
	uint32_t head = place(r, r->p);
	const char *start = r->p;
	struct str key;

	r->p += item ? 2 : 1;
	if (!dotted(r, true, &in, &key))
		return false;
	if (!starts(r, item ? "]]" : "]"))
		return fail(r, "\"]\" must stand here");
	r->p += item ? 2 : 1;
	found = toml_find(in, key);
	if (item) {
		if (found == NULL) {
			found = node(r, TOML_ARRAY, ITEMS);
			found->key = key;
			if (!append(r, in, found))
				return false;
		} else if (found->type != TOML_ARRAY || found->made != ITEMS) {
			return fail_at(
			    r, start, "this was given another value before");
		}
		in = found;
		found = node(r, TOML_TABLE, HEADER);
		if (!append(r, in, found))
			return false;
	} else if (found == NULL) {
		found = node(r, TOML_TABLE, HEADER);
		found->key = key;
		if (!append(r, in, found))
			return false;
	} else if (found->type != TOML_TABLE || found->made != IMPLICIT) {
		return fail_at(r, start, "this table is there twice");
	}
	found->made = HEADER;
	found->line = r->line;
	found->head = head;
	*table = found;
	return true;
}

/* The rest of a line: nothing, or a comment. */
static bool
line_end(struct reader *r, struct toml *table)
{
	blanks(r);
	if (!comment(r))
		return false;
	if (r->p < r->end && !newline(r))
		return fail(r, "the line must end here");
	table->tail = place(r, r->p);
	return true;
}

static void
begin(struct reader *r, struct arena *a, struct str text)
{
	*r = (struct reader){ .arena = a, .text = text, .line = 1 };
	r->p = r->line_start = text.ptr;
	r->end = text.ptr + text.len;
	if (text.len > TOML_TEXT_MAX)
		limit(r, "the text is too long");
	else if (!str_is_utf8(text))
		fail(r, "the text is not UTF-8");
	else if (starts(r, "\xef\xbb\xbf"))
		r->p += 3;
}

static int
ended(const struct reader *r, struct err *err)
{
	if (r->code == 0)
		return 0;
	return err_set(err, r->code, "line %u column %d: %s", r->line,
	    r->at >= r->line_start ? (int)(r->at - r->line_start) + 1 : 1,
	    r->why);
}

int
toml_read(struct arena *a, struct str text, struct toml **ret, struct err *err)
{
	struct reader r;
	struct toml *root, *table, *member;

	begin(&r, a, text);
	root = node(&r, TOML_TABLE, HEADER);
	root->tail = place(&r, r.p);
	table = root;
	while (r.code == 0 && space(&r) && r.p < r.end) {
		bool ok = at(&r, '[') ? header(&r, root, &table)
				      : pair(&r, table, &member);

		if (!ok || !line_end(&r, table))
			break;
	}
	if (r.code != 0)
		return ended(&r, err);
	*ret = root;
	return 0;
}

int
toml_read_value(
    struct arena *a, struct str text, struct toml **ret, struct err *err)
{
	struct reader r;
	struct toml *v;

	begin(&r, a, text);
	v = node(&r, TOML_TEXT, CLOSED);
	if (r.code == 0 && value(&r, v, 0) && space(&r) && r.p < r.end)
		fail(&r, "nothing more may stand here");
	if (r.code != 0)
		return ended(&r, err);
	*ret = v;
	return 0;
}

const struct toml *
toml_get(const struct toml *table, struct str key)
{
	if (table == NULL || table->type != TOML_TABLE)
		return NULL;
	return toml_find(table, key);
}

const struct toml *
toml_at(const struct toml *table, const char *path)
{
	struct str rest = str_of(path);

	while (table != NULL && rest.ptr != NULL)
		table = toml_get(table, str_cut(&rest, '.'));
	return table;
}

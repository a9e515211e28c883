/*
 * codec/lineproto.c - see lineproto.h.
 *
 * A line is parsed where it lies: undoing escapes only makes it shorter, so
 * names and texts are shortened in place when they have some. Whole lines of a
 * portion are copied once into `part`, since the portion is not ours to change;
 * most lines have no escape and are parsed without a copy.
 */
#include "codec/lineproto.h"

#include "base/base.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	enum lineproto_precision precision;
} precisions[] = {
	{ "", LINEPROTO_NS },
	{ "ns", LINEPROTO_NS },
	{ "n", LINEPROTO_NS },
	{ "us", LINEPROTO_US },
	{ "u", LINEPROTO_US },
	{ "ms", LINEPROTO_MS },
	{ "s", LINEPROTO_S },
	{ "m", LINEPROTO_M },
	{ "h", LINEPROTO_H },
};

bool
lineproto_precision(struct str s, enum lineproto_precision *ret)
{
	for (size_t i = 0; i < COUNT_OF(precisions); i++)
		if (str_eqz(s, precisions[i].name)) {
			*ret = precisions[i].precision;
			return true;
		}
	return false;
}

/* --- a line -------------------------------------------------------------- */

/* What of a line has not been read. With `own` it may be written to. */
struct cursor {
	const char *p, *end;
	bool own;
	const char *why; /* it is bad */
	bool need_own;   /* an escape was met, and the line is not ours */
};

static bool
is_escaped(char c, bool equals)
{
	return c == ',' || c == ' ' || (equals && c == '=');
}

/* A name up to a comma, a space or (with `equals`) "=", escapes undone. */
static struct str
get_name(struct cursor *c, bool equals)
{
	const char *from = c->p;
	char *to = NULL;

	while (c->p < c->end) {
		char ch = *c->p;

		if (ch == '\\' && c->p + 1 < c->end &&
		    is_escaped(c->p[1], equals)) {
			if (!c->own) {
				c->need_own = true;
				return STR_NULL;
			}
			if (to == NULL)
				to = (char *)c->p;
			ch = c->p[1];
			c->p++;
		} else if (ch == ',' || ch == ' ' || (equals && ch == '=')) {
			break;
		}
		if (to != NULL)
			*to++ = ch;
		c->p++;
	}
	return (struct str){ from, (size_t)((to == NULL ? c->p : to) - from) };
}

static bool
accept(struct cursor *c, char ch)
{
	if (c->p == c->end || *c->p != ch)
		return false;
	c->p++;
	return true;
}

static bool
bad(struct cursor *c, const char *why)
{
	if (c->why == NULL)
		c->why = why;
	return false;
}

static bool
get_tags(struct cursor *c, struct lineproto_reader *r, struct lineproto_line *l)
{
	while (accept(c, ',')) {
		struct lineproto_tag *t = &r->tags[l->n_tags];

		if (l->n_tags == LINEPROTO_TAGS_MAX)
			return bad(c, "too many tags");
		t->name = get_name(c, true);
		if (c->need_own)
			return false;
		if (t->name.len == 0)
			return bad(c, "a tag without a name");
		if (!accept(c, '='))
			return bad(c, "a tag without a value");
		t->value = get_name(c, true);
		if (c->need_own)
			return false;
		if (t->value.len == 0)
			return bad(c, "a tag without a value");
		if (c->p < c->end && *c->p == '=')
			return bad(c, "a \"=\" in a tag is not escaped");
		l->n_tags++;
	}
	l->tags = r->tags;
	return true;
}

static bool
get_text(struct cursor *c, struct str *ret)
{
	const char *from = ++c->p;
	char *to = NULL;

	for (; c->p < c->end && *c->p != '"'; c->p++) {
		if (*c->p == '\\' && c->p + 1 < c->end &&
		    (c->p[1] == '"' || c->p[1] == '\\')) {
			if (!c->own) {
				c->need_own = true;
				return false;
			}
			if (to == NULL)
				to = (char *)c->p;
			c->p++;
		}
		if (to != NULL)
			*to++ = *c->p;
	}
	*ret = (struct str){ from, (size_t)((to == NULL ? c->p : to) - from) };
	return accept(c, '"') || bad(c, "a text without its end");
}

static bool
get_bool(struct str s, bool *ret)
{
	static const char *const words[] = { "f", "F", "false", "False",
		"FALSE", "t", "T", "true", "True", "TRUE" };

	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (str_eqz(s, words[i])) {
			*ret = i >= COUNT_OF(words) / 2;
			return true;
		}
	return false;
}

/* Most numbers have few digits: their integer and a power of ten are exact, so
 * one division is rounded rightly. */
static bool
short_number(struct str s, double *ret)
{
	static const double ten[] = { 1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8,
		1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
	bool minus = s.len > 0 && s.ptr[0] == '-', point = false;
	size_t digits = 0, behind = 0;
	uint64_t n = 0;

	for (size_t i = minus; i < s.len; i++) {
		if (s.ptr[i] == '.' && !point && digits > 0) {
			point = true;
		} else if (s.ptr[i] >= '0' && s.ptr[i] <= '9') {
			n = n * 10 + (uint64_t)(s.ptr[i] - '0');
			digits++;
			behind += point;
		} else {
			return false;
		}
	}
	if (digits == 0 || digits > 15)
		return false;
	*ret = (double)n / ten[behind];
	if (minus)
		*ret = -*ret;
	return true;
}

/* Sign, digits, point, digits, exponent; nothing else that strtod() knows. */
static bool
get_number(struct str s, double *ret)
{
	char text[64], *end;

	if (short_number(s, ret))
		return true;
	if (s.len == 0 || s.len >= sizeof(text))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (strchr("0123456789+-.eE", s.ptr[i]) == NULL)
			return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	*ret = strtod(text, &end);
	return *end == '\0' && isfinite(*ret);
}

static bool
get_value(struct cursor *c, struct lineproto_field *f)
{
	struct str s = { c->p, 0 };
	char unit;

	if (c->p < c->end && *c->p == '"') {
		f->type = LINEPROTO_TEXT;
		f->number = 0;
		return get_text(c, &f->text);
	}
	while (c->p < c->end && *c->p != ',' && *c->p != ' ')
		c->p++;
	s.len = (size_t)(c->p - s.ptr);
	unit = s.len > 1 ? s.ptr[s.len - 1] : '\0';
	if (unit == 'i') {
		s.len--;
		f->type = LINEPROTO_INT;
		if (!str_to_i64(s, &f->i64))
			return bad(c, "a bad integer");
		f->number = (double)f->i64;
	} else if (unit == 'u') {
		s.len--;
		f->type = LINEPROTO_UINT;
		if (!str_to_u64(s, &f->u64))
			return bad(c, "a bad integer");
		f->number = (double)f->u64;
	} else if (get_bool(s, &f->boolean)) {
		f->type = LINEPROTO_BOOL;
		f->number = f->boolean;
	} else {
		f->type = LINEPROTO_FLOAT;
		if (!get_number(s, &f->number))
			return bad(c, "a bad value of a field");
	}
	return true;
}

static bool
get_fields(
    struct cursor *c, struct lineproto_reader *r, struct lineproto_line *l)
{
	do {
		struct lineproto_field *f = &r->fields[l->n_fields];

		if (l->n_fields == LINEPROTO_FIELDS_MAX)
			return bad(c, "too many fields");
		f->name = get_name(c, true);
		if (c->need_own)
			return false;
		if (f->name.len == 0 || !accept(c, '='))
			return bad(c, "a field without a name or a value");
		if (!get_value(c, f))
			return false;
		l->n_fields++;
	} while (accept(c, ','));
	l->fields = r->fields;
	return true;
}

static bool
get_time(struct cursor *c, enum lineproto_precision precision,
    struct lineproto_line *l)
{
	static const int64_t times[] = { [LINEPROTO_MS] = 1,
		[LINEPROTO_S] = 1000,
		[LINEPROTO_M] = 60000,
		[LINEPROTO_H] = 3600000 };
	struct str s = { c->p, (size_t)(c->end - c->p) };
	int64_t v, by;

	while (s.len > 0 && s.ptr[s.len - 1] == ' ')
		s.len--;
	if (s.len == 0)
		return true;
	if (!str_to_i64(s, &v))
		return bad(c, "a bad time");
	l->has_time = true;
	if (precision <= LINEPROTO_US) {
		by = precision == LINEPROTO_NS ? 1000000 : 1000;
		l->at_ms = v / by - (v % by < 0);
	} else if (__builtin_mul_overflow(v, times[precision], &l->at_ms)) {
		return bad(c, "a bad time");
	}
	return true;
}

static bool
parse(struct cursor *c, struct lineproto_reader *r, struct lineproto_line *l)
{
	l->measurement = get_name(c, false);
	if (c->need_own)
		return false;
	if (l->measurement.len == 0)
		return bad(c, "a line without a measurement");
	if (!get_tags(c, r, l))
		return false;
	if (!accept(c, ' '))
		return bad(c, "a line without fields");
	while (accept(c, ' '))
		;
	if (!get_fields(c, r, l))
		return false;
	if (c->p < c->end && !accept(c, ' '))
		return bad(c, "something behind a value");
	while (accept(c, ' '))
		;
	return get_time(c, r->precision, l);
}

/* A whole line, without "\n". */
static void
take_line(struct lineproto_reader *r, struct str text, bool own)
{
	struct lineproto_line l = { .number = ++r->number };
	struct cursor c;

	if (text.len > 0 && text.ptr[text.len - 1] == '\r')
		text.len--;
	while (text.len > 0 && (*text.ptr == ' ' || *text.ptr == '\t')) {
		text.ptr++;
		text.len--;
	}
	if (text.len == 0 || *text.ptr == '#')
		return;
	c = (struct cursor){ text.ptr, text.ptr + text.len, own, NULL, false };
	if (!parse(&c, r, &l) && c.need_own) {
		/* once more, on a copy that may be changed */
		buf_clear(&r->part);
		buf_add_str(&r->part, text);
		l = (struct lineproto_line){ .number = l.number };
		c = (struct cursor){ r->part.ptr, r->part.ptr + r->part.len,
			true, NULL, false };
		(void)parse(&c, r, &l);
	}
	if (c.why != NULL)
		r->events->bad(r->owner, l.number, c.why);
	else
		r->events->line(r->owner, &l);
}

/* --- portions ------------------------------------------------------------ */

void
lineproto_feed(struct lineproto_reader *r, const char *bytes, size_t n)
{
	const char *end = bytes + n, *nl;

	while (bytes < end) {
		nl = memchr(bytes, '\n', (size_t)(end - bytes));
		size_t len = (size_t)((nl == NULL ? end : nl) - bytes);

		if (!r->too_long && r->part.len + len > LINEPROTO_LINE_MAX) {
			r->too_long = true;
			buf_clear(&r->part);
		}
		if (nl != NULL && r->too_long) {
			r->too_long = false;
			r->events->bad(
			    r->owner, ++r->number, "a line is too long");
		} else if (nl != NULL && r->part.len == 0) {
			take_line(r, (struct str){ bytes, len }, false);
			buf_clear(&r->part);
		} else if (!r->too_long) {
			buf_add(&r->part, bytes, len);
			if (nl != NULL) {
				take_line(r, buf_str(&r->part), true);
				buf_clear(&r->part);
			}
		}
		bytes += len + (nl != NULL);
	}
}

void
lineproto_end(struct lineproto_reader *r)
{
	if (r->too_long)
		r->events->bad(r->owner, ++r->number, "a line is too long");
	else if (r->part.len > 0)
		take_line(r, buf_str(&r->part), true);
	r->too_long = false;
	buf_clear(&r->part);
	r->number = 0;
}

void
lineproto_fini(struct lineproto_reader *r)
{
	buf_free(&r->part);
}

/* --- writing ------------------------------------------------------------- */

static void
put_name(struct buf *out, struct str s, bool equals)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '\n' || c == '\r')
			c = ' ';
		if (is_escaped(c, equals))
			buf_addc(out, '\\');
		buf_addc(out, c);
	}
	/* a "\" at the end would escape what follows */
	if (s.len > 0 && s.ptr[s.len - 1] == '\\')
		buf_addz(out, "\\ ");
}

void
lineproto_put_measurement(struct buf *out, struct str name)
{
	if (name.len > 0 && name.ptr[0] == '#')
		buf_addc(out, '_'); /* it would be a comment */
	put_name(out, name, false);
}

void
lineproto_put_tag(struct buf *out, struct str name, struct str value)
{
	if (value.len == 0 || name.len == 0)
		return;
	buf_addc(out, ',');
	put_name(out, name, true);
	buf_addc(out, '=');
	put_name(out, value, true);
}

static void
put_field(struct buf *out, bool first, struct str name)
{
	buf_addc(out, first ? ' ' : ',');
	put_name(out, name, true);
	buf_addc(out, '=');
}

void
lineproto_number(struct buf *out, double value)
{
	char text[40];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	buf_addz(out, text);
}

void
lineproto_put_float(struct buf *out, bool first, struct str name, double value)
{
	put_field(out, first, name);
	lineproto_number(out, value);
}

void
lineproto_put_int(struct buf *out, bool first, struct str name, int64_t value)
{
	put_field(out, first, name);
	buf_addf(out, "%" PRId64 "i", value);
}

void
lineproto_put_bool(struct buf *out, bool first, struct str name, bool value)
{
	put_field(out, first, name);
	buf_addz(out, value ? "true" : "false");
}

void
lineproto_put_text(
    struct buf *out, bool first, struct str name, struct str value)
{
	put_field(out, first, name);
	buf_addc(out, '"');
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] == '"' || value.ptr[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, value.ptr[i] == '\n' ? ' ' : value.ptr[i]);
	}
	buf_addc(out, '"');
}

void
lineproto_put_time(struct buf *out, int64_t at_ms, const char *unit)
{
	buf_addf(out, " %" PRId64 "%s\n", at_ms, at_ms == 0 ? "" : unit);
}

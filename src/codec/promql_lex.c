/*
 * codec/promql_lex.c - text to tokens; patterns of RE2 to POSIX ones.
 */
#include "codec/promql_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static char
peek(const struct lexer *l, size_t ahead)
{
	return l->at + ahead < l->text.len ? l->text.ptr[l->at + ahead] : '\0';
}

/* --- durations ----------------------------------------------------------- */

static const struct {
	const char *name;
	int64_t ms;
} units[] = {
	{ "y", INT64_C(365) * 86400000 },
	{ "w", INT64_C(7) * 86400000 },
	{ "d", 86400000 },
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
};

bool
promql_duration(struct str s, int64_t *ret)
{
	int64_t sum = 0, n;
	size_t i = 0, least = 0;

	if (s.len == 0)
		return false;
	if (str_eqz(s, "0")) {
		*ret = 0;
		return true;
	}
	while (i < s.len) {
		size_t from = i, unit;
		struct str name;

		while (i < s.len && is_digit(s.ptr[i]))
			i++;
		if (!str_to_i64((struct str){ s.ptr + from, i - from }, &n))
			return false;
		from = i;
		while (i < s.len && is_alpha(s.ptr[i]))
			i++;
		name = (struct str){ s.ptr + from, i - from };
		for (unit = 0; unit < COUNT_OF(units); unit++)
			if (str_eqz(name, units[unit].name))
				break;
		/* from the largest to the smallest, each once */
		if (unit == COUNT_OF(units) || unit < least ||
		    n > INT64_MAX / 4 / units[unit].ms)
			return false;
		least = unit + 1;
		sum += n * units[unit].ms;
		if (sum > INT64_MAX / 4)
			return false;
	}
	*ret = sum;
	return true;
}

/* --- tokens -------------------------------------------------------------- */

static void
bad(struct lexer *l, struct token *t, const char *why, size_t at)
{
	t->kind = TOKEN_BAD;
	t->at = at;
	snprintf(l->why, sizeof(l->why), "%s", why);
}

static void
take_number(struct lexer *l, struct token *t)
{
	char *z, *end;
	int64_t ms;

	while (is_digit(peek(l, 0)) || is_alpha(peek(l, 0)) ||
	    peek(l, 0) == '.' ||
	    ((peek(l, 0) == '+' || peek(l, 0) == '-') &&
		(l->text.ptr[l->at - 1] == 'e' ||
		    l->text.ptr[l->at - 1] == 'E') &&
		is_digit(peek(l, 1)) && l->text.ptr[t->at + 1] != 'x' &&
		l->text.ptr[t->at + 1] != 'X'))
		l->at++;
	t->kind = TOKEN_NUMBER;
	t->text = (struct str){ l->text.ptr + t->at, l->at - t->at };
	if (t->text.len > 1 && promql_duration(t->text, &ms)) {
		t->number = (double)ms / 1000;
		t->duration = true;
		return;
	}
	if (t->text.len > 200) {
		bad(l, t, "bad number or duration syntax", t->at);
		return;
	}
	z = arena_z(l->arena, t->text);
	t->number = strtod(z, &end);
	if (*end != '\0' || memchr(z, 'p', t->text.len) != NULL ||
	    memchr(z, 'P', t->text.len) != NULL) {
		bad(l, t, "", t->at);
		snprintf(l->why, sizeof(l->why),
		    "bad number or duration syntax: \"%.80s\"", z);
	}
}

/* Behind a backslash; false: no such escape. */
static bool
take_escape(struct lexer *l, struct buf *b, char quote)
{
	static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
	char c = peek(l, 0);
	const char *found = c == '\0' ? NULL : strchr(from, c);
	unsigned digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
	uint32_t n = 0;

	if (c == quote || found != NULL) {
		buf_addc(b, found != NULL ? to[found - from] : quote);
		l->at++;
		return true;
	}
	if (c >= '0' && c <= '7') {
		for (int i = 0; i < 3; i++, l->at++) {
			if (peek(l, 0) < '0' || peek(l, 0) > '7')
				return false;
			n = n * 8 + (uint32_t)(peek(l, 0) - '0');
		}
		if (n > 255)
			return false;
		buf_addc(b, (char)n);
		return true;
	}
	if (digits == 0)
		return false;
	l->at++;
	for (unsigned i = 0; i < digits; i++, l->at++) {
		int d = hex_digit(peek(l, 0));

		if (d < 0)
			return false;
		n = n << 4 | (uint32_t)d;
	}
	if (c == 'x') {
		buf_addc(b, (char)n);
		return true;
	}
	if (n > 0x10FFFF || (n >= 0xD800 && n < 0xE000))
		return false;
	buf_add_utf8(b, n);
	return true;
}

static void
take_string(struct lexer *l, struct token *t)
{
	char quote = l->text.ptr[l->at++];
	struct buf b = { 0 };

	for (;;) {
		char c;

		if (l->at >= l->text.len ||
		    (quote != '`' && l->text.ptr[l->at] == '\n')) {
			bad(l, t,
			    quote == '`' ? "unterminated raw string"
					 : "unterminated quoted string",
			    t->at);
			break;
		}
		c = l->text.ptr[l->at++];
		if (c == quote) {
			t->kind = TOKEN_STRING;
			t->string = arena_str(
			    l->arena, b.ptr == NULL ? STR("") : buf_str(&b));
			break;
		}
		if (c != '\\' || quote == '`') {
			buf_addc(&b, c);
		} else if (!take_escape(l, &b, quote)) {
			bad(l, t, "unknown escape sequence", l->at);
			break;
		}
	}
	if (t->kind == TOKEN_STRING &&
	    (!str_is_utf8(t->string) ||
		memchr(t->string.ptr, '\0', t->string.len) != NULL))
		bad(l, t, "a string that is no UTF-8 text", t->at);
	buf_free(&b);
}

static void
skip_blanks(struct lexer *l)
{
	for (; l->at < l->text.len; l->at++) {
		char c = l->text.ptr[l->at];

		if (c == '#')
			while (l->at + 1 < l->text.len &&
			    l->text.ptr[l->at + 1] != '\n')
				l->at++;
		else if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
			return;
	}
}

void
promql_next(struct lexer *l, struct token *t)
{
	static const char *const twice[] = { "==", "!=", "=~", "!~",
		">=", "<=" };
	char c;

	skip_blanks(l);
	*t = (struct token){ .kind = TOKEN_END, .at = l->at };
	if (l->at >= l->text.len)
		return;
	c = l->text.ptr[l->at];
	if (is_digit(c) || (c == '.' && is_digit(peek(l, 1)))) {
		take_number(l, t);
		return;
	}
	if (c == '"' || c == '\'' || c == '`') {
		take_string(l, t);
		return;
	}
	if (is_alpha(c) || (c == ':' && !l->in_braces)) {
		while (is_alpha(peek(l, 0)) || is_digit(peek(l, 0)) ||
		    (peek(l, 0) == ':' && !l->in_braces))
			l->at++;
		t->kind = TOKEN_NAME;
		t->text = (struct str){ l->text.ptr + t->at, l->at - t->at };
		return;
	}
	t->kind = TOKEN_MARK;
	for (size_t i = 0; i < COUNT_OF(twice); i++)
		if (str_starts((struct str){ l->text.ptr + l->at,
				   l->text.len - l->at },
			str_of(twice[i]))) {
			t->text = (struct str){ l->text.ptr + l->at, 2 };
			l->at += 2;
			return;
		}
	if (strchr("+-*/%^()[]{},=<>@:", c) != NULL && c != '\0') {
		t->text = (struct str){ l->text.ptr + l->at++, 1 };
		return;
	}
	bad(l, t, "", l->at);
	if (c > ' ' && c < 0x7F)
		snprintf(
		    l->why, sizeof(l->why), "unexpected character: '%c'", c);
	else
		snprintf(l->why, sizeof(l->why),
		    "unexpected character: '\\x%02x'", (unsigned char)c);
}

/* --- patterns ------------------------------------------------------------ */

/* \d, \w, \s: what stands for them in a bracket expression. */
static const char *
class_of(char c)
{
	switch (c) {
	case 'd':
		return "0-9";
	case 'w':
		return "a-zA-Z0-9_";
	case 's':
		return "[:space:]";
	default:
		return NULL;
	}
}

/* A bracket expression: in POSIX a backslash is itself there, so what was
 * escaped is moved to where it means itself. `*i` behind "[". */
static bool
put_set(struct buf *out, struct str s, size_t *i)
{
	bool no = false, bracket = false, dash = false, caret = false;
	size_t first, mark;

	if (*i < s.len && s.ptr[*i] == '^') {
		no = true;
		(*i)++;
	}
	first = *i;
	buf_addz(out, no ? "[^" : "[");
	mark = out->len;
	for (; *i < s.len; (*i)++) {
		char c = s.ptr[*i];

		if (c == ']' && *i > first)
			break;
		if (c == '[' && *i + 1 < s.len && s.ptr[*i + 1] == ':') {
			const char *end =
			    memmem(s.ptr + *i, s.len - *i, ":]", 2);

			if (end == NULL)
				return false;
			buf_add(
			    out, s.ptr + *i, (size_t)(end + 2 - (s.ptr + *i)));
			*i = (size_t)(end + 1 - s.ptr);
			continue;
		}
		if (c == '\\') {
			if (++*i == s.len)
				return false;
			c = s.ptr[*i];
			if (class_of(c) != NULL) {
				buf_addz(out, class_of(c));
				continue;
			}
			if (c == 'n' || c == 't' || c == 'r') {
				c = c == 'n' ? '\n' : c == 't' ? '\t' : '\r';
			} else if ((c >= 'a' && c <= 'z') ||
			    (c >= 'A' && c <= 'Z') || is_digit(c)) {
				return false;
			} else if (c == '-') {
				dash = true;
				continue;
			}
		}
		if (c == ']')
			bracket = true;
		else if (c == '^')
			caret = true;
		else if (c == '[' && *i + 1 < s.len &&
		    (s.ptr[*i + 1] == '.' || s.ptr[*i + 1] == '='))
			return false;
		else
			buf_addc(out, c);
	}
	if (*i >= s.len)
		return false;
	if (bracket) {
		buf_addc(out, ']');
		memmove(
		    out->ptr + mark + 1, out->ptr + mark, out->len - mark - 1);
		out->ptr[mark] = ']';
	}
	if (caret) {
		/* alone it can not be said but by its neighbour */
		if (out->len == mark && !no) {
			out->len = mark - 1;
			buf_addz(out, "\\^");
			return !dash;
		}
		buf_addc(out, '^');
	}
	if (dash)
		buf_addc(out, '-');
	buf_addc(out, ']');
	return true;
}

struct str
promql_pattern(struct arena *a, struct str s)
{
	struct buf out = { 0 };
	struct str ret = STR_NULL;
	unsigned depth = 0;

	if (s.len > PROMQL_PATTERN_MAX / 2)
		return STR_NULL;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '[') {
			i++;
			if (!put_set(&out, s, &i))
				goto done;
		} else if (c == '\\') {
			if (++i == s.len)
				goto done;
			c = s.ptr[i];
			if (class_of(c) != NULL)
				buf_addf(&out, "[%s]", class_of(c));
			else if (c == 'D' || c == 'W' || c == 'S')
				buf_addf(&out, "[^%s]",
				    class_of((char)(c - 'A' + 'a')));
			else if (c == 'b' || c == 'B')
				buf_addf(&out, "\\%c", c);
			else if (c == 'n' || c == 't' || c == 'r')
				buf_addc(&out,
				    c == 'n'       ? '\n'
					: c == 't' ? '\t'
						   : '\r');
			else if (c == '{' || c == '}')
				buf_addf(&out, "[%c]", c);
			else if (is_digit(c) || is_alpha(c))
				goto done;
			else if (strchr(".+*?()|[]^$\\", c) != NULL)
				buf_addf(&out, "\\%c", c);
			else
				buf_addc(&out, c);
		} else if (c == '{') {
			goto done;
		} else if (c == '}') {
			buf_addz(&out, "[}]");
		} else if (c == '(') {
			if (++depth > 50)
				goto done;
			buf_addc(&out, '(');
			if (i + 1 < s.len && s.ptr[i + 1] == '?') {
				if (i + 2 >= s.len || s.ptr[i + 2] != ':')
					goto done;
				i += 2;
			}
		} else if (c == ')') {
			if (depth-- == 0)
				goto done;
			buf_addc(&out, ')');
		} else if ((c == '*' || c == '+' || c == '?')) {
			buf_addc(&out, c);
			/* for a match of the whole, lazy is the same; twice is
			 * an error in RE2 */
			if (i + 1 < s.len && s.ptr[i + 1] == '?')
				i++;
			if (i + 1 < s.len && strchr("*+?", s.ptr[i + 1]))
				goto done;
		} else {
			buf_addc(&out, c);
		}
	}
	if (depth == 0)
		ret = arena_str(a, out.ptr == NULL ? STR("") : buf_str(&out));
done:
	buf_free(&out);
	return ret;
}

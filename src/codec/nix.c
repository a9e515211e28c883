/*
 * codec/nix.c - see nix.h.
 *
 * What the lexer of Nix does decides here: in a string only `"`, `\` and `${`
 * mean something (`$$` does not escape), a carriage return is dropped in front
 * of a new line, `1e5` is the number 1 and the name e5, and a minus is an
 * operator, so that a negative number behind a function or in a list needs its
 * parentheses.
 */
#include "codec/nix.h"

#include "base/base.h"
#include "codec/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- texts and names ------------------------------------------------------ */

void
nix_string(struct buf *out, struct str s)
{
	buf_reserve(out, s.len + 2);
	buf_addc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		switch (c) {
		case '"':
		case '\\':
			buf_addc(out, '\\');
			buf_addc(out, c);
			break;
		case '\n':
			buf_addz(out, "\\n");
			break;
		case '\r':
			buf_addz(out, "\\r");
			break;
		case '\t':
			buf_addz(out, "\\t");
			break;
		case '\0':
			buf_addz(out, "\xef\xbf\xbd");
			break;
		case '$':
			if (i + 1 < s.len && s.ptr[i + 1] == '{')
				buf_addc(out, '\\');
			buf_addc(out, c);
			break;
		default:
			buf_addc(out, c);
		}
	}
	buf_addc(out, '"');
}

static const char *const words[] = { "assert", "else", "if", "in", "inherit",
	"let", "or", "rec", "then", "with" };

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static size_t
identifier_len(struct str s)
{
	size_t n = 0;

	if (s.len == 0 || !is_letter(s.ptr[0]))
		return 0;
	while (n < s.len &&
	    (is_letter(s.ptr[n]) || (s.ptr[n] >= '0' && s.ptr[n] <= '9') ||
		s.ptr[n] == '-' || s.ptr[n] == '\''))
		n++;
	return n;
}

bool
nix_is_identifier(struct str s)
{
	if (s.len == 0 || identifier_len(s) != s.len)
		return false;
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (str_eqz(s, words[i]))
			return false;
	return true;
}

void
nix_name(struct buf *out, struct str s)
{
	if (nix_is_identifier(s))
		buf_add_str(out, s);
	else
		nix_string(out, s);
}

/* Length of a name in quotes that has nothing to escape. */
static size_t
quoted_len(struct str s)
{
	if (s.len == 0 || s.ptr[0] != '"')
		return 0;
	for (size_t i = 1; i < s.len; i++) {
		if (s.ptr[i] == '"')
			return i + 1;
		if (s.ptr[i] == '\\' || s.ptr[i] == '$' ||
		    (unsigned char)s.ptr[i] < ' ')
			return 0;
	}
	return 0;
}

bool
nix_is_path(struct str s)
{
	for (;;) {
		size_t n = identifier_len(s);

		if (n > 0 && !nix_is_identifier((struct str){ s.ptr, n }))
			return false;
		if (n == 0)
			n = quoted_len(s);
		if (n == 0)
			return false;
		s.ptr += n;
		s.len -= n;
		if (s.len == 0)
			return true;
		if (s.ptr[0] != '.')
			return false;
		s.ptr++;
		s.len--;
	}
}

/* --- values --------------------------------------------------------------- */

struct writer {
	struct buf *out;
	struct json j;
	struct arena arena;
};

static void
new_line(struct buf *out, unsigned indent)
{
	buf_addc(out, '\n');
	for (unsigned i = 0; i < indent; i++)
		buf_addc(out, ' ');
}

static void
put_number(struct writer *w, struct str text)
{
	char digits[64];
	double d;
	int64_t n;

	if (str_to_i64(text, &n)) {
		if (n == INT64_MIN) /* its digits are beyond the largest */
			buf_addz(w->out, "(-9223372036854775807 - 1)");
		else if (n < 0)
			buf_addf(w->out, "(%" PRId64 ")", n);
		else
			buf_addf(w->out, "%" PRId64, n);
		return;
	}
	d = strtod(arena_z(&w->arena, text), NULL);
	if (!isfinite(d)) {
		json_fail(&w->j, "number that Nix can not hold");
		return;
	}
	/* Nix reads 1.5e+20 and 0.5, but not 1e+20: the point must be there */
	for (int precision = 1; precision <= 17; precision++) {
		snprintf(digits, sizeof(digits), "%.*e", precision, fabs(d));
		if (strtod(digits, NULL) == fabs(d))
			break;
	}
	if (digits[0] == '0') { /* nothing but 0.0 begins so */
		buf_addz(w->out, "0.0");
		return;
	}
	buf_addf(w->out, d < 0 ? "(-%s)" : "%s", digits);
}

static bool
get_text(struct writer *w, struct str *s)
{
	if (!json_str(&w->j, s))
		return false;
	if (s->len > 0 && memchr(s->ptr, '\0', s->len) != NULL) {
		json_fail(&w->j, "zero byte in a text");
		return false;
	}
	return true;
}

static int
by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The set that stands next: may its names be those of one set? Nix would say
 * so as late as in a build. */
static void
check_names(struct writer *w)
{
	struct json j = w->j;
	struct str key, *names = NULL;
	size_t n = 0, room = 0;

	for (json_object(&j); json_member(&j, &key); json_skip(&j)) {
		if (n == room) {
			struct str *more;

			room = room == 0 ? 16 : room * 2;
			more = arena_array(&w->arena, room, struct str);
			if (n > 0)
				memcpy(more, names, n * sizeof(*names));
			names = more;
		}
		names[n++] = key;
	}
	if (n > 1)
		qsort(names, n, sizeof(*names), by_text);
	for (size_t i = 1; i < n; i++)
		if (str_eq(names[i - 1], names[i]))
			json_fail(&w->j, "a name that is twice there");
}

static void put(struct writer *w, unsigned indent);

/* Names and values of a set, each behind `path`, which ends with a dot. */
static void
put_members(struct writer *w, struct buf *path, unsigned indent)
{
	size_t len = path->len;
	struct str key;

	check_names(w);
	json_object(&w->j);
	while (json_member(&w->j, &key)) {
		struct json ahead = w->j;
		bool deeper = false;

		if (key.len > 0 && memchr(key.ptr, '\0', key.len) != NULL)
			json_fail(&w->j, "zero byte in a name");
		nix_name(path, key);
		if (json_peek(&ahead) == JSON_OBJECT && json_object(&ahead))
			deeper = json_member(&ahead, &key);
		if (deeper) {
			buf_addc(path, '.');
			put_members(w, path, indent);
		} else {
			new_line(w->out, indent);
			buf_add_str(w->out, buf_str(path));
			buf_addz(w->out, " = ");
			put(w, indent);
			buf_addc(w->out, ';');
		}
		path->len = len;
	}
}

static void
put_set(struct writer *w, unsigned indent)
{
	struct json ahead = w->j;
	struct buf path = { 0 };
	struct str key;

	json_object(&ahead);
	if (!json_member(&ahead, &key)) {
		json_skip(&w->j);
		buf_addz(w->out, "{}");
		return;
	}
	buf_addc(w->out, '{');
	put_members(w, &path, indent + 2);
	new_line(w->out, indent);
	buf_addc(w->out, '}');
	buf_free(&path);
}

static void
put(struct writer *w, unsigned indent)
{
	struct str s;
	bool b;

	switch (json_peek(&w->j)) {
	case JSON_OBJECT:
		put_set(w, indent);
		break;
	case JSON_ARRAY:
		json_array(&w->j);
		buf_addc(w->out, '[');
		while (json_item(&w->j)) {
			if (json_peek(&w->j) == JSON_NULL) {
				json_null(&w->j);
				continue;
			}
			new_line(w->out, indent + 2);
			put(w, indent + 2);
		}
		new_line(w->out, indent);
		buf_addc(w->out, ']');
		break;
	case JSON_STRING:
		if (get_text(w, &s))
			nix_string(w->out, s);
		break;
	case JSON_NUMBER:
		if (json_num(&w->j, &s))
			put_number(w, s);
		break;
	case JSON_BOOL:
		if (json_bool(&w->j, &b))
			buf_addz(w->out, b ? "true" : "false");
		break;
	default:
		if (json_null(&w->j))
			buf_addz(w->out, "null");
	}
}

int
nix_value(struct buf *out, struct str json, unsigned indent, struct err *err)
{
	struct writer w = { .out = out };
	size_t start = out->len;
	int rc;

	json_open(&w.j, json, 0, &w.arena);
	put(&w, indent);
	rc = json_done(&w.j, err);
	if (rc != 0)
		out->len = start;
	arena_fini(&w.arena);
	return rc;
}

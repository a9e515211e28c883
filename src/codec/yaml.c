/*
 * codec/yaml.c - see yaml.h. A text between double quotes means the same in
 * JSON and in YAML, so quoting is that of JSON, except for characters that YAML
 * 1.1 takes for line ends or does not allow as they are.
 */
#include "codec/yaml.h"

#include "base/base.h"
#include "codec/json.h"

#include <string.h>

struct writer {
	struct json j;
	struct buf *out;
};

static void write_value(struct writer *w, unsigned indent, bool after_key);

static bool
is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || (c != '\0' && strchr("_-./", c) != NULL);
}

/* Words with a letter first, which no reader takes for anything but text. */
static bool
is_plain(struct str s)
{
	static const char *const taken[] = { "true", "false", "yes", "no", "on",
		"off", "null", "y", "n" };

	if (s.len == 0 || s.len > 200 || !is_word_char(s.ptr[0]) ||
	    strchr("0123456789_-./", s.ptr[0]) != NULL ||
	    s.ptr[s.len - 1] == ' ')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!is_word_char(s.ptr[i]) && s.ptr[i] != ' ')
			return false;
	for (size_t i = 0; i < COUNT_OF(taken); i++)
		if (str_eq_nocase(s, str_of(taken[i])))
			return false;
	return true;
}

/* The code of a letter of three bytes at most that may not stand as it is, or
 * 0; `*len` are its bytes. */
static unsigned
is_unsafe(struct str s, size_t *len)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	unsigned c = 0;

	*len = 1;
	if (p[0] == 0x7f)
		return 0x7f;
	if (s.len >= 2 && p[0] == 0xc2 && p[1] < 0xa0) {
		*len = 2;
		return p[1];
	}
	if (s.len < 3 || (p[0] & 0xf0) != 0xe0)
		return 0;
	*len = 3;
	c = (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	return c == 0x2028 || c == 0x2029 || c == 0xfeff || c >= 0xfffe ? c : 0;
}

static void
write_text(struct writer *w, struct str s)
{
	struct buf quoted = { 0 };
	struct str rest;
	size_t len;

	if (is_plain(s)) {
		buf_add_str(w->out, s);
		return;
	}
	json_quote(&quoted, s);
	for (rest = buf_str(&quoted); rest.len > 0;) {
		unsigned c = is_unsafe(rest, &len);

		if (c != 0)
			buf_addf(w->out, "\\u%04X", c);
		else
			buf_add(w->out, rest.ptr, len);
		rest.ptr += len;
		rest.len -= len;
	}
	buf_free(&quoted);
}

/* YAML 1.1 wants a point and a sign where there is an exponent. */
static void
write_number(struct writer *w, struct str s)
{
	bool point = false;

	for (size_t i = 0; i < s.len; i++) {
		point |= s.ptr[i] == '.';
		if ((s.ptr[i] | 0x20) != 'e') {
			buf_addc(w->out, s.ptr[i]);
			continue;
		}
		if (!point)
			buf_addz(w->out, ".0");
		buf_addc(w->out, 'e');
		if (i + 1 < s.len && s.ptr[i + 1] >= '0')
			buf_addc(w->out, '+');
	}
}

static void
start_line(struct writer *w, unsigned indent)
{
	while (indent-- > 0)
		buf_addc(w->out, ' ');
}

static void
write_object(struct writer *w, unsigned indent, bool after_key)
{
	struct str key;
	bool first = true;

	json_object(&w->j);
	while (json_member(&w->j, &key)) {
		if (first && after_key)
			buf_addc(w->out, '\n');
		if (!first || after_key)
			start_line(w, indent);
		first = false;
		write_text(w, key);
		buf_addc(w->out, ':');
		write_value(w, indent + 2, true);
	}
	if (first)
		buf_addz(w->out, after_key ? " {}\n" : "{}\n");
}

/* The lines of a list begin where its key does. */
static void
write_array(struct writer *w, unsigned indent, bool after_key)
{
	bool first = true;

	if (after_key)
		indent -= 2;
	json_array(&w->j);
	while (json_item(&w->j)) {
		if (first && after_key)
			buf_addc(w->out, '\n');
		if (!first || after_key)
			start_line(w, indent);
		first = false;
		buf_addz(w->out, "- ");
		write_value(w, indent + 2, false);
	}
	if (first)
		buf_addz(w->out, after_key ? " []\n" : "[]\n");
}

static void
write_value(struct writer *w, unsigned indent, bool after_key)
{
	struct str text;

	switch (json_peek(&w->j)) {
	case JSON_OBJECT:
		write_object(w, indent, after_key);
		return;
	case JSON_ARRAY:
		write_array(w, indent, after_key);
		return;
	case JSON_STRING:
		if (after_key)
			buf_addc(w->out, ' ');
		json_str(&w->j, &text);
		write_text(w, text);
		break;
	case JSON_NUMBER:
		if (after_key)
			buf_addc(w->out, ' ');
		json_num(&w->j, &text);
		write_number(w, text);
		break;
	default:
		if (after_key)
			buf_addc(w->out, ' ');
		if (json_raw(&w->j, &text))
			buf_add_str(w->out, text);
		break;
	}
	buf_addc(w->out, '\n');
}

bool
yaml_write(struct buf *out, struct str json)
{
	struct arena scratch = { 0 };
	struct writer w = { .out = out };

	if (!json_valid(json, 0))
		return false;
	json_open(&w.j, json, 0, &scratch);
	write_value(&w, 0, false);
	arena_fini(&scratch);
	return true;
}

/*
 * codec/smartrest.c - see smartrest.h.
 */
#include "codec/smartrest.h"

#include "base/base.h"

#include <string.h>

#define TRIMMED "...<trimmed>"

/* --- writing ------------------------------------------------------------- */

static bool
is_control(char c)
{
	return ((unsigned char)c < ' ' && c != '\t' && c != '\n' &&
		   c != '\r') ||
	    c == 0x7F;
}

static void
add_inside(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (is_control(s.ptr[i]))
			continue;
		if (s.ptr[i] == '"')
			buf_addc(out, '"');
		buf_addc(out, s.ptr[i]);
	}
}

void
smartrest_add_quoted(struct buf *out, struct str field)
{
	buf_add(out, ",\"", 2);
	add_inside(out, field);
	buf_addc(out, '"');
}

void
smartrest_add(struct buf *out, struct str field)
{
	for (size_t i = 0; i < field.len; i++)
		if (memchr("\",\r\n", field.ptr[i], 4) != NULL) {
			smartrest_add_quoted(out, field);
			return;
		}
	buf_addc(out, ',');
	add_inside(out, field);
}

/* Bytes that the character at `s.ptr[i]` takes inside of quotes; `*n` are those
 * it has in the text. */
static size_t
char_cost(struct str s, size_t i, size_t *n)
{
	*n = 1;
	while (i + *n < s.len && ((unsigned char)s.ptr[i + *n] & 0xC0) == 0x80)
		++*n;
	return is_control(s.ptr[i]) ? *n - 1 : s.ptr[i] == '"' ? *n + 1 : *n;
}

void
smartrest_add_result(struct buf *out, struct str field, size_t max)
{
	size_t used = out->len + 3, fits = 0, cost = 0, n; /* ,"" */
	size_t room = max > used ? max - used : 0;
	size_t cut_room =
	    room > sizeof(TRIMMED) - 1 ? room - (sizeof(TRIMMED) - 1) : 0;
	bool quote = false;

	for (size_t i = 0; i < field.len; i += n) {
		cost += char_cost(field, i, &n);
		if (cost <= cut_room)
			fits = i + n;
		if (memchr("\",\r\n", field.ptr[i], 4) != NULL)
			quote = true;
	}
	if (cost <= room) {
		smartrest_add(out, field);
		return;
	}
	buf_addz(out, quote ? ",\"" : ",");
	add_inside(out, (struct str){ field.ptr, fits });
	if (room >= sizeof(TRIMMED) - 1)
		buf_addz(out, TRIMMED);
	if (quote)
		buf_addc(out, '"');
}

/* --- reading ------------------------------------------------------------- */

/* Where the field at `p` ends: a comma, the end of a line, or `end`. */
static const char *
field_end(const char *p, const char *end, bool *open)
{
	bool in = false;

	if (p < end && *p == '"') {
		in = true;
		p++;
	}
	for (; p < end; p++) {
		if (*p == '"' && in) {
			if (p + 1 < end && p[1] == '"')
				p++;
			else
				in = false;
		} else if (!in && (*p == ',' || *p == '\n')) {
			break;
		}
	}
	*open = in;
	return p;
}

static struct str
field_text(struct str raw, struct arena *a)
{
	size_t n = 0;
	char *out;

	if (raw.len == 0 || raw.ptr[0] != '"')
		return raw;
	raw.ptr++;
	raw.len--;
	if (memchr(raw.ptr, '"', raw.len) == raw.ptr + raw.len - 1)
		return (struct str){ raw.ptr, raw.len - 1 };
	out = arena_alloc(a, raw.len + 1);
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.ptr[i] == '"') {
			if (i + 1 < raw.len && raw.ptr[i + 1] == '"')
				i++;
			else
				continue; /* the closing one */
		}
		out[n++] = raw.ptr[i];
	}
	return (struct str){ out, n };
}

/* Calls for each field of the record at `p`; returns where the record ends. */
static const char *
walk(const char *p, const char *end, struct arena *a, struct strs *ret,
    bool *open)
{
	struct strs all = { ret->at, 0 };
	const char *q;

	for (;; p = q + 1) {
		struct str raw;

		q = field_end(p, end, open);
		raw = (struct str){ p, (size_t)(q - p) };
		if (q == end || *q == '\n')
			while (raw.len > 0 && raw.ptr[raw.len - 1] == '\r')
				raw.len--;
		if (all.at != NULL)
			all.at[all.n] = field_text(raw, a);
		all.n++;
		if (q == end || *q == '\n')
			break;
	}
	*ret = all;
	return q;
}

int
smartrest_read(
    struct str *text, struct arena *a, struct strs *ret, struct err *err)
{
	const char *p = text->ptr, *end = text->ptr + text->len, *q;
	struct strs all = { NULL, 0 };
	bool open;

	while (p < end && (*p == '\n' || *p == '\r'))
		p++;
	if (p == end) {
		*text = (struct str){ end, 0 };
		return err_set(err, ERR_NOT_FOUND, "no more records");
	}
	q = walk(p, end, a, &all, &open);
	*text = (struct str){ q, (size_t)(end - q) };
	if (open)
		return err_set(err, ERR_PARAM,
		    "a field begins with a quote and has no end");
	if (all.n > SMARTREST_FIELDS_MAX)
		return err_set(err, ERR_LIMIT,
		    "%zu fields; at most %d are read", all.n,
		    SMARTREST_FIELDS_MAX);
	all.at = arena_array(a, all.n, struct str);
	(void)walk(p, end, a, &all, &open);
	*ret = all;
	return 0;
}

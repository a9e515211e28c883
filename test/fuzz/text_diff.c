/*
 * test/fuzz/text_diff.c - two texts, with a NUL between: the diff, applied to
 * the first one as patch would, makes the second.
 */
#include "codec/text_diff.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* A line without its end, which may be said not to be there. */
static struct str
next_line(struct str *diff)
{
	const char *end = memchr(diff->ptr, '\n', diff->len);
	struct str line = { diff->ptr, (size_t)(end - diff->ptr) };

	must(end != NULL);
	diff->ptr = end + 1;
	diff->len -= line.len + 1;
	return line;
}

static bool
has_no_end(struct str *diff)
{
	if (diff->len == 0 || diff->ptr[0] != '\\')
		return false;
	(void)next_line(diff);
	return true;
}

/* One line of `from`, which must be this one. */
static void
take(struct str *from, struct str line, bool has_end)
{
	must(from->len >= line.len + has_end);
	must(line.len == 0 || memcmp(from->ptr, line.ptr, line.len) == 0);
	must(!has_end || from->ptr[line.len] == '\n');
	from->ptr += line.len + has_end;
	from->len -= line.len + has_end;
}

static size_t
number(struct str *s)
{
	size_t n = 0;

	while (s->len > 0 && *s->ptr >= '0' && *s->ptr <= '9') {
		n = n * 10 + (size_t)(*s->ptr - '0');
		s->ptr++;
		s->len--;
	}
	return n;
}

static void
apply(struct str from, struct str diff, struct buf *to)
{
	size_t at = 1;

	while (diff.len > 0) {
		struct str line = next_line(&diff);
		bool is_end;

		if (line.len > 0 && line.ptr[0] == '@') {
			size_t begin;
			bool none;

			line.ptr += 4;
			line.len -= 4;
			begin = number(&line);
			none = line.len > 1 && line.ptr[0] == ',' &&
			    line.ptr[1] == '0';
			for (; at < begin + none; at++) {
				const char *end =
				    memchr(from.ptr, '\n', from.len);
				size_t len = (size_t)(end - from.ptr) + 1;

				must(end != NULL);
				buf_add(to, from.ptr, len);
				from.ptr += len;
				from.len -= len;
			}
			continue;
		}
		must(line.len > 0);
		is_end = !has_no_end(&diff);
		if (line.ptr[0] != '+') {
			take(&from, (struct str){ line.ptr + 1, line.len - 1 },
			    is_end);
			at++;
		}
		if (line.ptr[0] != '-') {
			buf_add(to, line.ptr + 1, line.len - 1);
			if (is_end)
				buf_addc(to, '\n');
		}
	}
	buf_add_str(to, from);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *nul = size > 0 ? memchr(text, '\0', size) : NULL;
	struct str from = { text, nul != NULL ? (size_t)(nul - text) : size };
	struct str to = { nul != NULL ? nul + 1 : text,
		nul != NULL ? size - from.len - 1 : 0 };
	struct buf diff = { 0 }, made = { 0 };

	text_diff(&diff, from, to);
	must((diff.len == 0) == str_eq(from, to));
	apply(from, buf_str(&diff), &made);
	must(str_eq(buf_str(&made), to));
	buf_free(&diff);
	buf_free(&made);
	return 0;
}

/*
 * plug/gateway/split.c - see split.h.
 */
#include "plug/gateway/split.h"

#include <string.h>

static void
take(struct str *bytes, size_t n)
{
	bytes->ptr += n;
	bytes->len -= n;
}

/* `text` up to its end; false: there is nothing in it. */
static bool
finish(struct str text, struct str *line)
{
	if (text.len > 0 && text.ptr[text.len - 1] == '\r')
		text.len--;
	*line = text;
	return text.len > 0;
}

enum split_result
split_next(struct split *s, struct str *bytes, size_t max, struct str *line)
{
	if (s->used)
		buf_clear(&s->part);
	s->used = false;
	while (bytes->len > 0) {
		const char *end = memchr(bytes->ptr, '\n', bytes->len);
		struct str piece = { bytes->ptr,
			end != NULL ? (size_t)(end - bytes->ptr) : bytes->len };

		take(bytes, piece.len + (end != NULL));
		if (s->skipping) {
			s->skipping = end == NULL;
			continue;
		}
		if (s->part.len + piece.len > max) {
			buf_clear(&s->part);
			s->skipping = end == NULL;
			return SPLIT_DROPPED;
		}
		if (end == NULL || s->part.len > 0)
			buf_add_str(&s->part, piece);
		if (end == NULL)
			break;
		if (s->part.len > 0) {
			s->used = true;
			piece = buf_str(&s->part);
		}
		if (finish(piece, line))
			return SPLIT_LINE;
		if (s->used)
			buf_clear(&s->part);
		s->used = false;
	}
	return SPLIT_MORE;
}

void
split_reset(struct split *s)
{
	buf_clear(&s->part);
	s->used = s->skipping = false;
}

void
split_fini(struct split *s)
{
	buf_free(&s->part);
	split_reset(s);
}

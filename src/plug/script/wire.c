/*
 * plug/script/wire.c - see wire.h.
 */
#include "plug/script/wire.h"

#include "base/err.h"

#include <string.h>

static const struct wire nothing = { .bad = true };

static void
put_u32(char *p, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(n >> (8 * i) & 255);
}

static uint32_t
read_u32(const char *p)
{
	uint32_t n = 0;

	for (int i = 0; i < 4; i++)
		n |= (uint32_t)(unsigned char)p[i] << (8 * i);
	return n;
}

size_t
wire_begin(struct buf *b, enum wire_kind kind)
{
	size_t begin = b->len;

	wire_u32(b, 0);
	wire_u8(b, (uint8_t)kind);
	return begin;
}

void
wire_u8(struct buf *b, uint8_t n)
{
	buf_addc(b, (char)n);
}

void
wire_u32(struct buf *b, uint32_t n)
{
	char bytes[4];

	put_u32(bytes, n);
	buf_add(b, bytes, sizeof(bytes));
}

void
wire_text(struct buf *b, struct str s)
{
	wire_u32(b, (uint32_t)s.len);
	buf_add_str(b, s);
}

void
wire_end(struct buf *b, size_t begin)
{
	put_u32(b->ptr + begin, (uint32_t)(b->len - begin - WIRE_HEAD));
}

int
wire_next(struct str bytes, size_t max, struct wire_frame *ret)
{
	size_t len;

	if (bytes.len < WIRE_HEAD)
		return 0;
	len = read_u32(bytes.ptr);
	if (len > max)
		return ERR_PROTO;
	if (bytes.len - WIRE_HEAD < len)
		return 0;
	ret->kind = (enum wire_kind)(unsigned char)bytes.ptr[4];
	ret->body.p = bytes.ptr + WIRE_HEAD;
	ret->body.end = ret->body.p + len;
	ret->body.bad = false;
	ret->size = WIRE_HEAD + len;
	return 1;
}

/* The next `n` bytes; NULL, and bad from now on, when there are fewer. */
static const char *
take(struct wire *w, size_t n)
{
	const char *p = w->p;

	if (w->bad || (size_t)(w->end - w->p) < n) {
		*w = nothing;
		return NULL;
	}
	w->p += n;
	return p;
}

uint8_t
wire_get_u8(struct wire *w)
{
	const char *p = take(w, 1);

	return p != NULL ? (uint8_t)*p : 0;
}

uint32_t
wire_get_u32(struct wire *w)
{
	const char *p = take(w, 4);

	return p != NULL ? read_u32(p) : 0;
}

struct str
wire_get_text(struct wire *w)
{
	uint32_t len = wire_get_u32(w);
	const char *p = take(w, len);

	return p != NULL ? (struct str){ p, len } : STR("");
}

bool
wire_done(const struct wire *w)
{
	return !w->bad && w->p == w->end;
}

bool
wire_read_result(struct wire w, struct wire_result *ret)
{
	ret->seq = wire_get_u32(&w);
	ret->good = wire_get_u8(&w) == 1;
	ret->code = wire_get_u8(&w);
	ret->line = wire_get_u32(&w);
	ret->console = wire_get_text(&w);
	ret->text = wire_get_text(&w);
	return wire_done(&w) && str_is_utf8(ret->console) &&
	    str_is_utf8(ret->text);
}

bool
wire_read_ask(struct wire w, struct wire_ask *ret)
{
	ret->seq = wire_get_u32(&w);
	ret->insecure = wire_get_u8(&w) == 1;
	ret->timeout = wire_get_u32(&w);
	ret->method = wire_get_text(&w);
	ret->url = wire_get_text(&w);
	ret->headers = wire_get_text(&w);
	ret->body = wire_get_text(&w);
	return wire_done(&w) && str_is_utf8(ret->method) &&
	    str_is_utf8(ret->url) && str_is_utf8(ret->headers) &&
	    str_is_utf8(ret->body);
}

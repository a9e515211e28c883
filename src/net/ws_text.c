/*
 * net/ws_text.c - see ws_text.h.
 */
#include "net/ws_text.h"

#include "base/base.h"

#include <string.h>

#define RAW_KEPT 4096 /* bytes used up in front before the rest moves there */

void
ws_text_put(struct ws_text *w, const void *bytes, size_t len)
{
	buf_add(&w->raw, bytes, len);
}

static void
give(struct buf *b)
{
	if (b->ptr != NULL)
		explicit_bzero(b->ptr, b->cap);
	buf_free(b);
	*b = (struct buf){ 0 };
}

void
ws_text_fini(struct ws_text *w)
{
	give(&w->raw);
	give(&w->message);
	give(&w->control);
}

/* Forgets bytes that were used up. */
static void
tidy(struct ws_text *w)
{
	if (w->at == w->raw.len) {
		give(&w->raw);
		w->at = 0;
	} else if (w->at > RAW_KEPT) {
		memmove(w->raw.ptr, w->raw.ptr + w->at, w->raw.len - w->at);
		w->raw.len -= w->at;
		w->at = 0;
	}
}

/* What a head breaks, seen together with what came before. The code, or 0. */
static int
check_head(const struct ws_text *w, const struct websocket_head *h)
{
	if (websocket_is_control(h->opcode))
		return 0;
	if (h->opcode == WEBSOCKET_BINARY && !w->binary)
		return WEBSOCKET_UNSUPPORTED;
	if ((h->opcode == WEBSOCKET_MORE) != w->in_message)
		return WEBSOCKET_PROTOCOL;
	if (h->len > w->max - w->message.len)
		return WEBSOCKET_TOO_BIG;
	return 0;
}

/* 1: a frame begins; 0: more is needed; negative as above. */
static int
take_head(struct ws_text *w)
{
	struct str in = { w->raw.ptr + w->at, w->raw.len - w->at };
	size_t size;
	int rc, code;

	if (in.len == 0)
		return 0;
	rc = websocket_parse(in, !w->client, &w->head, &size, NULL);
	if (rc == ERR_AGAIN)
		return 0;
	if (rc != 0)
		return -WEBSOCKET_PROTOCOL;
	code = check_head(w, &w->head);
	if (code != 0)
		return -code;
	w->at += size;
	w->left = w->head.len;
	w->in_frame = true;
	if (websocket_is_control(w->head.opcode))
		buf_clear(&w->control);
	else if (w->head.opcode != WEBSOCKET_MORE)
		w->is_binary = w->head.opcode == WEBSOCKET_BINARY;
	if (!websocket_is_control(w->head.opcode))
		w->in_message = !w->head.fin;
	return 1;
}

/* Takes what there is of a frame's payload; true when that is all. */
static bool
take_payload(struct ws_text *w, struct buf *to)
{
	size_t n = (size_t)MIN_OF(w->left, (uint64_t)(w->raw.len - w->at));

	if (n > 0) {
		buf_add(to, w->raw.ptr + w->at, n);
		if (w->head.masked)
			websocket_mask(to->ptr + to->len - n, n, w->head.mask,
			    w->head.len - w->left);
		w->at += n;
		w->left -= n;
	}
	return w->left == 0;
}

static struct str
text_of(const struct buf *b)
{
	return b->len > 0 ? buf_str(b) : STR("");
}

int
ws_text_next(
    struct ws_text *w, enum websocket_opcode *kind, struct str *payload)
{
	if (w->whole)
		give(&w->message);
	w->whole = false;
	for (;;) {
		bool control;
		int rc = w->in_frame ? 1 : take_head(w);

		if (rc <= 0) {
			if (rc == 0)
				tidy(w);
			return rc;
		}
		control = websocket_is_control(w->head.opcode);
		if (!take_payload(w, control ? &w->control : &w->message)) {
			tidy(w);
			return 0;
		}
		w->in_frame = false;
		if (control) {
			*kind = w->head.opcode;
			*payload = text_of(&w->control);
			return 1;
		}
		if (w->in_message)
			continue;
		if (!w->is_binary && !str_is_utf8(text_of(&w->message)))
			return -WEBSOCKET_INVALID;
		w->whole = true;
		*kind = w->is_binary ? WEBSOCKET_BINARY : WEBSOCKET_TEXT;
		*payload = text_of(&w->message);
		return 1;
	}
}

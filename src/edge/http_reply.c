/*
 * edge/http_reply.c - see http_reply.h.
 *
 *	STATUS --> HEADER* --> BODY (by length, or until the end) --> over
 *	  ^  |        |    \-> SIZE --> CHUNK --> CHUNK_END -> SIZE ...
 *	  +--+--------+             \-> TRAILER* --> over
 *	   1xx: another follows
 */
#include "edge/http_reply.h"

#include "base/base.h"

#include <string.h>

enum { STATUS, HEADER, BODY, SIZE, CHUNK, CHUNK_END, TRAILER };

static int
bad(struct err *err, const char *what, struct str line)
{
	return err_set(err, ERR_PROTO,
	    "that is no HTTP server: %s \"" STR_FMT "\"", what,
	    (int)MIN_OF(line.len, 60u), line.ptr);
}

static int
on_status(struct http_reply *r, struct str line, struct err *err)
{
	struct str rest = line, word = str_cut(&rest, ' ');
	uint64_t status;

	if (!str_starts(word, STR("HTTP/1.")) || rest.ptr == NULL ||
	    !str_to_u64(str_cut(&rest, ' '), &status) || status < 100 ||
	    status > 999)
		return bad(err, "it begins with", line);
	r->status = (int)status;
	buf_clear(&r->reason);
	if (rest.ptr != NULL)
		buf_add_str(&r->reason, rest);
	r->chunked = r->has_length = false;
	r->state = HEADER;
	return 0;
}

static void
end_of_head(struct http_reply *r)
{
	if (r->status < 200) {
		r->state = STATUS;
	} else if (r->no_body || r->status == 204 || r->status == 304) {
		r->over = true;
	} else if (r->chunked) {
		r->state = SIZE;
	} else {
		r->state = BODY;
		r->over = r->has_length && r->left == 0;
	}
}

static int
on_header(struct http_reply *r, struct str line, struct err *err)
{
	struct str value = line, name = str_cut(&value, ':');

	if (line.len == 0) {
		end_of_head(r);
		return 0;
	}
	if (value.ptr == NULL)
		return bad(err, "a header is", line);
	value = str_trim(value);
	if (str_eq_nocase(name, STR("content-length"))) {
		if (!str_to_u64(value, &r->left))
			return bad(err, "its length is", value);
		r->has_length = true;
	} else if (str_eq_nocase(name, STR("transfer-encoding"))) {
		r->chunked = str_eq_nocase(value, STR("chunked"));
		if (!r->chunked)
			return bad(err, "it is coded as", value);
	}
	return 0;
}

static int
on_size(struct http_reply *r, struct str line, struct err *err)
{
	struct str digits = str_trim(str_cut(&line, ';'));

	r->left = 0;
	if (digits.len == 0 || digits.len > 15)
		return bad(err, "a chunk's length is", digits);
	for (size_t i = 0; i < digits.len; i++) {
		const char *hex = "0123456789abcdef", *at;
		char c = digits.ptr[i];

		if (c >= 'A' && c <= 'F')
			c = (char)(c - 'A' + 'a');
		at = c != '\0' ? strchr(hex, c) : NULL;
		if (at == NULL)
			return bad(err, "a chunk's length is", digits);
		r->left = r->left * 16 + (uint64_t)(at - hex);
	}
	r->state = r->left > 0 ? CHUNK : TRAILER;
	return 0;
}

static int
on_line(struct http_reply *r, struct str line, struct err *err)
{
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	switch (r->state) {
	case STATUS:
		return on_status(r, line, err);
	case HEADER:
		return on_header(r, line, err);
	case SIZE:
		return on_size(r, line, err);
	case CHUNK_END:
		r->state = SIZE;
		return line.len == 0 ? 0 : bad(err, "a chunk ends with", line);
	default: /* TRAILER */
		r->over = line.len == 0;
		return 0;
	}
}

/* Takes a line, or the start of one, from `*in`. */
static int
feed_line(struct http_reply *r, struct str *in, struct err *err)
{
	const char *end = memchr(in->ptr, '\n', in->len);
	size_t n = end != NULL ? (size_t)(end - in->ptr) : in->len;
	int rc = 0;

	if (r->line.len + n > HTTP_REPLY_LINE_MAX)
		return err_set(err, ERR_PROTO,
		    "a line of the answer is longer than %d bytes",
		    HTTP_REPLY_LINE_MAX);
	if (r->state == STATUS || r->state == HEADER || r->state == TRAILER)
		r->heads += n + 1;
	if (r->heads > 4 * HTTP_REPLY_LINE_MAX)
		return err_set(
		    err, ERR_PROTO, "the answer's head does not end");
	buf_add(&r->line, in->ptr, n);
	in->ptr += n + (end != NULL);
	in->len -= n + (end != NULL);
	if (end == NULL)
		return 0;
	if (r->line.ptr == NULL)
		buf_reserve(&r->line, 1);
	rc = on_line(r, buf_str(&r->line), err);
	buf_clear(&r->line);
	return rc;
}

static void
feed_body(struct http_reply *r, struct str *in)
{
	bool counted = r->state == CHUNK || r->has_length;
	struct str now = *in;

	if (counted && now.len > r->left)
		now.len = (size_t)r->left;
	r->body(r->ctx, r, now);
	in->ptr += now.len;
	in->len -= now.len;
	if (!counted)
		return;
	r->left -= now.len;
	if (r->left > 0)
		return;
	if (r->state == CHUNK)
		r->state = CHUNK_END;
	else
		r->over = true;
}

int
http_reply_feed(struct http_reply *r, struct str bytes, struct err *err)
{
	int rc = 0;

	while (rc == 0 && bytes.len > 0 && !r->over) {
		if (r->state == BODY || r->state == CHUNK)
			feed_body(r, &bytes);
		else
			rc = feed_line(r, &bytes, err);
	}
	return rc;
}

int
http_reply_end(struct http_reply *r, struct err *err)
{
	if (r->state == BODY && !r->has_length)
		r->over = true;
	if (r->over)
		return 0;
	return err_set(err, ERR_CLOSED,
	    r->status == 0 ? "the connection was closed without an answer"
			   : "the connection was closed within the answer");
}

void
http_reply_fini(struct http_reply *r)
{
	buf_free(&r->reason);
	buf_free(&r->line);
}

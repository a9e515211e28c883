/*
 * edge/http_reply.h - the answer to one HTTP/1.1 request, read as it comes.
 */
#ifndef EDGE_HTTP_REPLY_H
#define EDGE_HTTP_REPLY_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_REPLY_LINE_MAX 16384 /* of the head, and of a chunk's */

struct http_reply {
	bool no_body; /* set before: it belongs to a HEAD */
	/* Hears the body, after `status` is known. */
	void (*body)(void *ctx, const struct http_reply *r, struct str bytes);
	void *ctx;

	int status;
	struct buf reason; /* "Not Found" */
	bool over;         /* it is whole; what else came is passed over */

	/* the reader's own */
	int state;
	struct buf line;
	size_t heads; /* bytes of them */
	bool chunked, has_length;
	uint64_t left; /* of the body, or of a chunk */
};

/* Zero-initialise. ERR_PROTO: it is no answer. */
int http_reply_feed(struct http_reply *r, struct str bytes, struct err *err);
/* The connection has ended. ERR_CLOSED: too early. */
int http_reply_end(struct http_reply *r, struct err *err);
void http_reply_fini(struct http_reply *r);

#endif

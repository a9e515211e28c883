/*
 * net/http/call.h - one request and its answer, as a handler sees them.
 *
 * A handler is an ordinary function that runs on a worker, from the whole
 * request to the whole answer. It may block. Everything it is lent lives until
 * the call is over; what it allocates in `arena` too.
 */
#ifndef NET_HTTP_CALL_H
#define NET_HTTP_CALL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/json.h"
#include "codec/url.h"

#include <stdbool.h>
#include <stdint.h>

struct http_route;

#define HTTP_PATH_VARS 4
#define HTTP_HEADERS_MAX 12

struct http_header {
	const char *name;
	struct str value;
};

struct http_call {
	const struct http_route *route; /* NULL: nothing matched */
	struct arena arena;

	/* the request */
	const char *method;
	struct str path;   /* decoded */
	struct str target; /* path and query as they came */
	struct url_form query;
	struct str body;
	struct str content_type;
	struct str authorization; /* the header; STR_NULL: none */
	bool many_authorizations;
	struct str origin;
	struct str accept;
	struct str host;
	struct str if_none_match, if_match;
	struct str accept_encoding;
	struct str cookie;
	struct str fetch_site; /* Sec-Fetch-Site, of browsers */
	struct str app;        /* X-Marram, of our own web application */
	struct str thymis_token, thymis_key; /* X-Thymis-..., of devices */
	struct str remote;                   /* "address:port" */
	struct str vars[HTTP_PATH_VARS];     /* of the path, in its order */
	bool secure;                         /* came by TLS */
	int64_t came_at;                     /* wall clock */
	int64_t came_mono;

	/* what the access check found out, for the handler */
	void *who;

	void *parts; /* the owner's, of a body that comes in parts */

	/* what the handler of a HTTP_UPGRADE row leaves for the connection;
	 * in `arena` */
	void *upgrade;

	/* the answer */
	int status;
	const char *type; /* content type; NULL: no body */
	struct buf out;
	struct json_out json; /* over `out` */
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t n_headers;

	/* When set, the body goes on: called on a worker each time `out` (then
	 * empty) has been sent, adds more; false ends the answer. What it
	 * needs is in `stream_state`; `stream_end` is called once, at the end
	 * or when the client is gone. */
	bool (*stream)(struct http_call *c);
	void *stream_state;
	void (*stream_end)(struct http_call *c);
};

/* A path variable by its place, a query value by its name (STR_NULL: not
 * there). */
struct str http_var(const struct http_call *c, unsigned i);
struct str http_query(const struct http_call *c, const char *name);

/* Begin a JSON answer with this status; the caller writes to c->json. */
struct json_out *http_json(struct http_call *c, int status);
/* An answer without a body. */
void http_empty(struct http_call *c, int status);
void http_text(
    struct http_call *c, int status, const char *type, struct str text);
/* {"code":…,"message":…}; no message when fmt is NULL. Replaces what was
 * written before. */
void http_error(struct http_call *c, int status, const char *code,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* 302 with `Location`. */
void http_redirect(struct http_call *c, struct str where);
/* Adds a header; name is borrowed, value copied. */
void http_header(struct http_call *c, const char *name, struct str value);

#endif

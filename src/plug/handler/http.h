/*
 * plug/handler/http.h - HTTP requests on the loop, by libcurl.
 *
 * A pool keeps connections for reuse. It belongs to one loop, as its requests.
 */
#ifndef PLUG_HANDLER_HTTP_H
#define PLUG_HANDLER_HTTP_H

#include "base/arena.h"
#include "base/loop.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_BODY_MAX 65536 /* of an answer; what is beyond is not kept */

struct http_pool;
struct http_call;

struct http_pool *http_pool_new(struct loop *loop);
/* Its calls must have ended or been cancelled. NULL is fine. */
void http_pool_free(struct http_pool *p);

/* The host that a request to `url` would go to, as libcurl reads it; false: it
 * is no address that begins with http:// or https://. */
bool http_host(struct arena *a, struct str url, struct str *ret);

struct http_request {
	const char *method;  /* "POST" */
	const char *url;     /* http or https, checked by the caller */
	struct strs headers; /* "Name: value", without line ends */
	struct str body;     /* STR_NULL: none. Lent until the end. */
	bool insecure;       /* certificates are not checked */
	bool follow;         /* redirections, five at most */
	const char *ca_file; /* NULL: what the system trusts */
};

struct http_answer {
	int status;      /* 0: there was none, and `why` says why not */
	struct str body; /* lent */
	int64_t retry_after_ms;
	bool again;      /* without an answer: may it go better later? */
	const char *why; /* never holds URL, header or body */
};

/* The call is over when this is called, once, never before http_start() has
 * returned. It may call any function here. */
typedef void http_done(void *ctx, const struct http_answer *a);
struct http_call *http_start(struct http_pool *p, const struct http_request *r,
    http_done *done, void *ctx);
/* `done` will not be called. NULL is fine. */
void http_cancel(struct http_call *c);

#endif

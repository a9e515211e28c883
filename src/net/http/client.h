/*
 * net/http/client.h - HTTP requests on the loop, by libcurl.
 *
 * A client keeps connections for reuse. It belongs to one loop, as its
 * requests. Nothing here blocks: names are looked up elsewhere.
 */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_BODY_MAX 65536 /* of an answer, where the request says nothing */

struct http_client;
struct http_fetch;
struct json;

/* What is beyond waits, by the time of each request. */
struct http_client_limits {
	long at_once; /* connections; 0: no limit */
	long per_host;
};

/* `limits` may be NULL: none. */
struct http_client *http_client_new(
    struct loop *loop, const struct http_client_limits *limits);
/* Its requests must have ended or been cancelled. NULL is fine. */
void http_client_free(struct http_client *c);

/* The host that a request to `url` would go to, as libcurl reads it; false: it
 * is no address that begins with http:// or https://. */
bool http_host(struct arena *a, struct str url, struct str *ret);
/* Is it in the list "a.example, *.b.example"? */
bool http_host_in(struct str list, struct str host);

enum http_follow {
	HTTP_STAY,      /* a redirection is an answer like any other */
	HTTP_SAME_HOST, /* followed to the same scheme, host and port only */
	HTTP_FOLLOW,    /* anywhere; five at most, as in the one above */
};

struct http_request {
	const char *method;  /* "POST" */
	const char *url;     /* http or https, checked by the caller */
	struct strs headers; /* "Name: value", without line ends */
	struct str body;     /* STR_NULL: none. Lent until the end. */
	bool insecure;       /* certificates are not checked */
	enum http_follow follow;
	const char *ca_file; /* NULL: what the system trusts */
	int64_t timeout_ms;  /* all in all; 0: the caller looks after it */
	size_t size_max;     /* of the answer's body; what is beyond is not
			      * kept. 0: HTTP_BODY_MAX */
	bool whole;          /* a longer body is no answer */
};

struct http_answer {
	int status;         /* 0: there was none, and `why` says why not */
	struct str body;    /* lent, as the rest */
	struct str headers; /* JSON object of texts, names in lower case */
	int64_t retry_after_ms;
	bool again;      /* without an answer: may it go better later? */
	const char *why; /* never holds URL, header or body */
};

/* The request is over when this is called, once, never before
 * http_fetch_start() has returned. It may call any function here. */
typedef void http_fetch_done(void *ctx, const struct http_answer *a);
struct http_fetch *http_fetch_start(struct http_client *c,
    const struct http_request *r, http_fetch_done *done, void *ctx);
/* `done` will not be called. NULL is fine. */
void http_fetch_cancel(struct http_fetch *f);

/* --- requests as people write them (client_json.c) ----------------------- */

#define HTTP_URL_MAX 8192

/* GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS, in any case. */
int http_method(struct str method, const char **ret, struct err *err);
/* Adds the members of an object to a URL, behind "?" or "&". */
int http_add_query(
    struct arena *a, struct buf *url, struct str object, struct err *err);
/* Adds the members of an object as header lines; of two with a name the later
 * one counts. Names and values that could begin a header of their own are
 * refused. */
int http_add_headers(
    struct arena *a, struct strs *list, struct str object, struct err *err);
/* Text or number that stands next, as text; null as "". */
struct str http_plain(struct json *j);
bool http_has_header(const struct strs *list, struct str name);
void http_add_header(struct arena *a, struct strs *list, struct str line);
/* No space or control character, not too long, http or https; its host. */
int http_check_url(
    struct arena *a, struct str url, struct str *host, struct err *err);

#endif

/*
 * net/http/server.h - HTTP on a loop, handlers on workers.
 *
 * One libmicrohttpd daemon (and one for TLS) is driven by the loop. A body is
 * gathered up to the route's limit, then a worker runs access check and
 * handler, then the loop sends. No worker waits for a client and the loop
 * waits for no worker.
 */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include "base/err.h"
#include "base/loop.h"
#include "base/worker.h"
#include "net/http/route.h"

#include <stdbool.h>
#include <stdint.h>

struct http_server;

struct http_server_conf {
	const char *address;            /* "127.0.0.1", "::" */
	uint16_t port;                  /* 0: the kernel chooses */
	uint16_t tls_port;              /* used when both PEM texts are there */
	const char *tls_cert, *tls_key; /* PEM text, or NULL */
	const char *tls_ca; /* PEM text: whoever comes by TLS shows a
			     * certificate that one of these has signed. NULL:
			     * nobody must */
	bool one_port;      /* HTTPS on `port`, too: with a certificate who
			     * comes there in clear is sent to https: */
	int listening;      /* with one_port: a socket (net/listen.h) instead of
			     * address and port; the server's when
			     * http_server_start() has gone well. 0: none */
	uint32_t max_connections;
	uint32_t max_connections_per_address; /* 0: no limit */
	size_t body_max;                      /* bytes of a request's body */
	const char *body_setting;             /* which says so; NULL: none */
	int64_t request_ms; /* from the whole request to the answer: 408 */
	uint32_t idle_s;    /* of a connection */
	const char *cors_origins; /* "*" or a list with spaces; "": none */
	struct worker_pool *workers, *slow; /* borrowed */
};

struct http_tunnel;

/* A connection that was answered with 101. */
struct http_upgraded {
	const struct http_route *route;
	struct http_call *call;     /* as its handler left it; lent */
	int fd;                     /* non-blocking; the owner's from now on */
	const void *address;        /* a sockaddr, lent; NULL: not known */
	struct str already;         /* read behind the request; lent */
	struct http_tunnel *tunnel; /* the owner's, until it ends it */
};

struct http_server_events {
	/* Asked on a worker before the handler of a HTTP_TOKEN route. False:
	 * the call holds the refusal. May set c->who. */
	bool (*access)(void *owner, struct http_call *c);
	/* On the worker, after the handler (also after a refusal). */
	void (*after)(void *owner, struct http_call *c);
	/* Nothing matched: an answer of the owner's own (static files), on a
	 * worker. NULL: 404. */
	void (*unmatched)(void *owner, struct http_call *c);
	/* On the loop, after a HTTP_UPGRADE route has answered with 101. */
	void (*upgraded)(void *owner, const struct http_upgraded *u);
	/* On the loop, when the request is whole: true if it has been answered
	 * at once. NULL: all goes to workers. */
	bool (*quick)(void *owner, struct http_call *c);
	/* On the loop, when the headers are there: more than 0 if the body,
	 * which may have so many bytes, is to be given in parts. NULL: it never
	 * is. */
	size_t (*in_parts)(void *owner, const struct http_call *c);
	/* On a worker: `body` is its next part. What is left is there when the
	 * call is handled. False: the call holds a refusal, and what else comes
	 * is thrown away. */
	bool (*part)(void *owner, struct http_call *c);
	/* On the loop: a call whose body came in parts is over, however it
	 * ended. */
	void (*ended)(void *owner, struct http_call *c);
};

/* Routes are borrowed and stay; `routes` ends with a method NULL. To be called
 * before http_server_start(). */
struct http_server *http_server_new(struct loop *loop,
    const struct http_server_conf *conf, const struct http_server_events *ev,
    void *owner);
void http_server_add(struct http_server *s, const struct http_route *routes);
int http_server_start(struct http_server *s, struct err *err);
uint16_t http_server_port(const struct http_server *s);
uint16_t http_server_tls_port(const struct http_server *s); /* 0: no TLS */
/* Uses another certificate, PEM as in the settings, for new connections of
 * HTTPS; those that are up go on. On failure all stays as it was. [any thread]
 */
int http_server_certify(struct http_server *s, const char *tls_cert,
    const char *tls_key, struct err *err);
/* Gives nothing more to workers: a new request is answered with 503, a stream
 * breaks off. To be called on the loop's thread, before the pools are freed.
 * NULL is fine. */
void http_server_stop(struct http_server *s);
/* Ends all connections. The pools must have been freed, and the loop have
 * turned once after it. NULL is fine. */
void http_server_free(struct http_server *s);

/* A call of our own, as if it had come: found, checked, handled and told to
 * `after`, on this worker. The caller fills in method, target, body and who
 * asks (authorization, remote), and frees `out` and `arena`. A list comes
 * whole. */
void http_server_call(struct http_server *s, struct http_call *c);

/* Visits the headers of a request, within the handler of a HTTP_UPGRADE route.
 * Texts last until the handler returns. */
void http_server_headers(const struct http_call *c,
    void (*each)(void *ctx, struct str name, struct str value), void *ctx);
/* May a page of this request's Origin use us? Without one: yes. */
bool http_server_origin_ok(const struct http_call *c);
/* The owner has closed the descriptor. It may come after http_server_free(),
 * while the loop is there. [any thread] NULL is fine. */
void http_tunnel_end(struct http_tunnel *t);

/* Requests per route as Prometheus text. [any thread] */
void http_server_metrics(struct http_server *s, struct buf *out);

/* All routes in the order they were added, for OpenAPI; NULL ends. */
const struct http_route *const *http_server_routes(const struct http_server *s);

#endif

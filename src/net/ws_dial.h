/*
 * net/ws_dial.h - the client's way to a WebSocket: name, connection, TLS,
 * request. What comes out is given to ws_conn_new().
 */
#ifndef NET_WS_DIAL_H
#define NET_WS_DIAL_H

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"
#include "net/stream.h"

#include <stdbool.h>
#include <stdint.h>

struct tls_client;
struct ws_dial;

/* An HTTP proxy that opens the way by CONNECT. */
struct ws_dial_proxy {
	struct str host; /* STR_NULL: there is none */
	uint16_t port;
	struct tls_client *tls;    /* to the proxy itself; NULL: without */
	struct str user, password; /* STR_NULL: none */
};

struct ws_dial_conf {
	struct str url;         /* http, https, ws or wss; its path is ours */
	struct tls_client *tls; /* for https and wss; borrowed */
	struct ws_dial_proxy proxy;
	int64_t timeout_ms; /* of all; 0: 30 s */
	/* Puts TLS on; as tls_client_stream(), which it is where TLS is not
	 * loaded late. NULL: there is no TLS. */
	struct stream *(*wrap)(struct tls_client *t, struct stream *below,
	    const char *host, struct err *err);
};

/* `fd` and `top` are the callee's; -1: `why` says why not. ERR_DENIED: 401 or
 * 403, ERR_NOT_FOUND: 404. `already` is lent. */
typedef void ws_dialed(void *owner, int fd, struct stream *top,
    struct str already, const struct err *why);

/* Calls `done` once, never before this returns. Copies `conf`;
 * `tls` and the texts of `proxy` are borrowed. ERR_PARAM: it is
 * no such URL, or TLS is asked for and there is none. */
int ws_dial_start(struct loop *loop, const struct ws_dial_conf *conf,
    ws_dialed *done, void *owner, struct ws_dial **ret, struct err *err);
/* `done` will not be called. Not after it was. NULL is fine. */
void ws_dial_cancel(struct ws_dial *d);

#endif

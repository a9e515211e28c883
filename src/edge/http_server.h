/*
 * edge/http_server.h - the agent's HTTP server: files that devices and the
 * agent exchange, and the store of entities.
 *
 *	/te/v1/files/<path>             PUT, GET, DELETE:
 *<data.path>/file-transfer /tedge/file-transfer/<path>     the same, as in the
 *first years /te/v1/entities...              see edge/entity_api.h
 *	/te/v1/health                   GET: it answers
 *
 * Only the socket is there from the start. What serves it is a module,
 * marram-edge-http.so, that is loaded when the first connection comes: until
 * then there is no HTTP server, and no TLS, in the device's memory. Files are
 * read and written on one thread of its own, entities are asked on the loop.
 */
#ifndef EDGE_HTTP_SERVER_H
#define EDGE_HTTP_SERVER_H

#include "base/err.h"
#include "base/loop.h"
#include "edge/entity_api.h"

struct edge_http;

struct edge_http_conf {
	struct loop *loop;
	const char *address; /* a number; "0.0.0.0" */
	uint16_t port;       /* 0: the kernel chooses */
	/* Files of PEM; NULL or "": none. With a certificate it speaks HTTPS,
	 * and sends who comes in clear there. With `ca_path`, which may be a
	 * folder, clients must show a certificate. */
	const char *cert_path, *key_path, *ca_path;
	const char *files_dir; /* made if need be */
	uint64_t file_max;     /* bytes of one; more is refused with 413 */
	uint32_t max_connections;
};

struct edge_http_host {
	void *owner;
	/* A request for entities; on the loop. */
	void (*entities)(void *owner, struct entity_call *c);
	/* Somebody has come, and there is nothing to serve with: the module is
	 * not good, or a file of the settings. It listens no more, and is to be
	 * stopped, which may be done at once. */
	void (*failed)(void *owner, const struct err *why);
};

/* Begins to listen. Nothing of `conf` is kept. ERR_PARAM: settings do not go
 * together. ERR_IO: a file of them can not be read, or the address is taken.
 * ERR_NOT_FOUND: there is no module; the sentence says where it was looked for.
 */
int edge_http_start(const struct edge_http_conf *conf,
    const struct edge_http_host *host, struct edge_http **ret, struct err *err);
uint16_t edge_http_port(const struct edge_http *h);
/* Listens no more, and waits for what is being written. The rest of it goes
 * when the loop has turned. NULL is fine. */
void edge_http_stop(struct edge_http *h);

/* --- what the module is --------------------------------------------------- */

#define EDGE_HTTP_VERSION 2
#define EDGE_HTTP_SYMBOL "marram_edge_http"

struct edge_site; /* what serves a socket */

struct edge_http_module {
	unsigned version;
	/* The socket listens already, and is the site's when this has gone
	 * well. */
	int (*start)(const struct edge_http_conf *conf,
	    const struct edge_http_host *host, int listening,
	    struct edge_site **ret, struct err *err);
	void (*stop)(struct edge_site *s); /* and closes it */
};

extern const struct edge_http_module marram_edge_http; /* within it */

#endif

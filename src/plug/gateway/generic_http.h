/*
 * plug/gateway/generic_http.h - what the files of generic_http share:
 * generic_http_conf.c (what people have written, made into requests),
 * generic_http.c (the requests' rounds).
 */
#ifndef PLUG_GATEWAY_GENERIC_HTTP_H
#define PLUG_GATEWAY_GENERIC_HTTP_H

#include "net/http/client.h"
#include "plug/gateway/generic.h"

struct protocol {
	struct str headers, query, endpoints, nodes;
};

/* A request, ready but for the body of a message. */
struct call {
	struct str name;
	struct http_request request;
	int64_t code; /* 0: any from 200 to 299 */
};

struct calls {
	struct call *at;
	size_t n;
};

struct place { /* an endpoint or a node */
	struct http *h;
	struct str name, json;
	struct str script;
	struct call call;
	struct calls before, after;
	bool disabled;
	/* endpoints */
	int64_t interval_ms;
	struct loop_timer timer;
	struct round *round; /* while it is being asked */
	int64_t asked_ms;    /* when it began */
	bool known, good;    /* how the last round went */
};

struct http {
	struct gateway *g;
	struct arena arena;
	struct str on_receive;
	int64_t retries;
	struct protocol protocol;
	const char *ca_file;
	struct http_client *client;
	struct generic_scripts scripts;
	struct place **endpoints, **nodes;
	size_t n_endpoints, n_nodes;
};

/* Reads `protocol`, and makes h->endpoints and h->nodes. */
int generic_http_conf(struct http *h, struct err *err);
/* The call of `p` with members of `change`, an object, in their place; in `a`.
 */
int generic_http_change(struct place *p, struct arena *a, struct str change,
    struct call *ret, struct err *err);

#endif

/*
 * net/http/router.h - from method and path to a row of the route table.
 */
#ifndef NET_HTTP_ROUTER_H
#define NET_HTTP_ROUTER_H

#include "base/map.h"
#include "net/http/route.h"

struct router {
	const struct http_route **routes; /* in the order added, NULL ends */
	size_t n;
	struct map fixed; /* "GET /path" of routes without variables */
	struct arena arena;
};

void router_add(struct router *r, const struct http_route *routes);
/* Sets c->route and c->vars. False: nothing matches; `*other_method` tells
 * that another method would. A slash at the end does not count. */
bool router_find(
    const struct router *r, struct http_call *c, bool *other_method);
void router_fini(struct router *r);

#endif

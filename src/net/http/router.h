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
/* Sets c->route and c->vars. False: nothing matches; `*allowed` lists
 * the methods that would (STR_NULL: none). A slash at the end does not count.
 */
bool router_find(
    const struct router *r, struct http_call *c, struct str *allowed);
void router_fini(struct router *r);

#endif

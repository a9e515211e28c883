/*
 * edge/proxy_way.h - the HTTP proxy that a host is reached by, of proxy.*.
 */
#ifndef EDGE_PROXY_WAY_H
#define EDGE_PROXY_WAY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct config;

struct proxy_way {
	const char *host; /* NULL: there is none, or not for that host */
	uint16_t port;
	bool tls;                  /* to the proxy itself */
	struct str user, password; /* STR_NULL: none */
};

/* Texts in `a`, or lent by the settings. ERR_PARAM: proxy.address is none. */
int proxy_way_read(const struct config *c, const char *host, struct arena *a,
    struct proxy_way *ret, struct err *err);

#endif

/*
 * net/proxy.h - the PROXY protocol, versions 1 and 2: what a load balancer says
 * of the connection that it passes on, before the connection's own bytes.
 *
 * It is believed without any proof: only for listeners that nobody but the load
 * balancer can reach.
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define PROXY_MAX 4096 /* bytes of a header; a longer one is refused */

struct proxy_header {
	size_t len; /* of the header; what follows is the connection's own */
	bool local; /* the balancer itself speaks (a health check) */
	/* Whose connection it is; ss_family AF_UNSPEC: not said, or nothing
	 * with an address, and the socket's own peer is as good. */
	struct sockaddr_storage source;
	/* The common name of the client certificate that the balancer has
	 * verified, lent from the bytes; STR_NULL: there is none. */
	struct str cn;
};

/* Reads the header at the start of `in`. 0: it is there. ERR_AGAIN: so far it
 * is one, and its end is not there. ERR_PROTO: it is none. ERR_LIMIT: it is
 * longer than PROXY_MAX. */
int proxy_parse(struct str in, struct proxy_header *ret, struct err *err);

#endif

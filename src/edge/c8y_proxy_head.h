/*
 * edge/c8y_proxy_head.h - the head of a request to the device's proxy: what is
 * in it, and what becomes of it on its way to the cloud.
 */
#ifndef EDGE_C8Y_PROXY_HEAD_H
#define EDGE_C8Y_PROXY_HEAD_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define C8Y_PROXY_HEAD_MAX 16384

struct c8y_proxy_head {
	struct str method, target, version; /* of /c8y/a?b: /a?b */
	struct str host;                    /* as it was asked for */
	struct str headers;                 /* all of their lines */
	bool authorized;                    /* it shows who it is by itself */
	bool upgrade;                       /* to another protocol: WebSocket */
	bool chunked;                       /* the body tells where it ends */
	uint64_t body;                      /* else its length */
};

/* The length of the head at the beginning of `bytes`, with the empty line; 0:
 * it has not ended. */
size_t c8y_proxy_head_end(struct str bytes);
/* Takes a whole one apart; lent. 0, or the status to refuse it with, and `why`
 * for people. `host` is good also then, if it was there. */
int c8y_proxy_head_read(
    struct str raw, struct c8y_proxy_head *ret, const char **why);
/* As the cloud gets it. `authorization` STR_NULL: none is added. */
void c8y_proxy_head_write(const struct c8y_proxy_head *h, struct str host,
    struct str authorization, struct buf *out);

#endif

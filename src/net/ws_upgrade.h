/*
 * net/ws_upgrade.h - the HTTP request that a WebSocket begins with, and its
 * answer.
 */
#ifndef NET_WS_UPGRADE_H
#define NET_WS_UPGRADE_H

#include "base/str.h"

#include <stdbool.h>

#define WS_REQUEST_MAX 8192 /* bytes of a request, else 431 */

/* Reads a whole request, its empty line included, and adds the answer to it to
 * `answer`. Returns the status: 101, or what is wrong. `path` is the one that
 * is served; NULL: any. */
int ws_upgrade(struct str request, const char *path, struct buf *answer);

/* Adds the answer to a request that can not be read (status 400, 431). */
void ws_refuse(int status, struct buf *answer);

/* For those who read the request themselves. Texts are lent, and must last
 * until it was judged. Give it method and target, then each header. */
struct ws_request {
	struct str method, target;
	bool host, body;
	bool upgrade;    /* Upgrade has "websocket" */
	bool connection; /* Connection has "upgrade" */
	struct str version, key;
	struct str protocol; /* the one to answer with */
	bool any_protocol;   /* the caller looks at the subprotocols itself */
	unsigned keys;       /* how many were sent */
};

void ws_request_header(struct ws_request *r, struct str name, struct str value);
/* The status of the answer: 101, or what is wrong. `path` as above. */
int ws_request_judge(const struct ws_request *r, const char *path);

/* The subprotocol for us in a list "a, b"; STR_NULL if there is none. */
struct str ws_subprotocol(struct str list);
/* Is it a well-formed Sec-WebSocket-Key? */
bool ws_key_ok(struct str key);
/* Adds the Sec-WebSocket-Accept of a key. */
void ws_accept(struct str key, struct buf *b);

#endif

/*
 * net/http/door.h - one port for HTTP in clear and by TLS: who comes in is told
 * apart by the first byte.
 */
#ifndef NET_HTTP_DOOR_H
#define NET_HTTP_DOOR_H

#include "base/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct http_door;

struct http_door_conf {
	int fd;           /* it listens; the door's from now on */
	bool tls;         /* false: all come in clear */
	uint32_t waiting; /* who has not said a byte; more are sent away */
	int64_t wait_ms;  /* so long at most */
	/* Takes `fd`. */
	void (*came)(void *owner, int fd, const struct sockaddr *address,
	    socklen_t len, bool tls);
	void *owner;
};

struct http_door *http_door_new(
    struct loop *loop, const struct http_door_conf *conf);
/* Nobody comes in any more. NULL is fine. */
void http_door_free(struct http_door *d);

#endif

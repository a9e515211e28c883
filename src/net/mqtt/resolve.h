/*
 * net/mqtt/resolve.h - the addresses of a host name, asked for on a thread of
 * its own, so that no loop waits for it.
 */
#ifndef NET_MQTT_RESOLVE_H
#define NET_MQTT_RESOLVE_H

#include "base/err.h"
#include "base/loop.h"

#include <netdb.h>
#include <stdint.h>

struct mqtt_resolve;

/* The callee takes `found`, for freeaddrinfo(); NULL: `why` says why not. */
typedef void mqtt_resolved(
    void *owner, struct addrinfo *found, const struct err *why);

/* Numeric addresses only, at once. NULL: it is none. */
struct addrinfo *mqtt_resolve_numeric(const char *host, uint16_t port);

/* Calls `done` once on the loop's thread, never before this returns. NULL: too
 * many are being asked for already. */
struct mqtt_resolve *mqtt_resolve_start(struct loop *loop, const char *host,
    uint16_t port, mqtt_resolved *done, void *owner);
/* `done` will not be called. Not after it was. NULL is fine. */
void mqtt_resolve_cancel(struct mqtt_resolve *r);

#endif

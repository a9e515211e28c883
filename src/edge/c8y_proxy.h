/*
 * edge/c8y_proxy.h - the device's own way to Cumulocity's HTTP: who asks for
 * /c8y/PATH here asks https://<c8y.http>/PATH there, as the device.
 *
 * Any method, bodies of any size and WebSocket pass through, piece by piece.
 * Who brings an Authorization keeps it; else the device's token is added, or
 * its account. One connection is one request.
 */
#ifndef EDGE_C8Y_PROXY_H
#define EDGE_C8Y_PROXY_H

#include "base/arena.h"
#include "edge/config.h"
#include "net/mqtt/client.h"

struct c8y_proxy;

/* Listens, or logs why it can not, and tries again. Copies `cloud`; borrows the
 * rest: the client is that of the local broker. `name` is for the log. */
struct c8y_proxy *c8y_proxy_new(struct loop *loop, const struct cloud *cloud,
    struct mqtt_client *client, const char *name);
void c8y_proxy_free(struct c8y_proxy *p); /* NULL is fine */

/* Where others of the device reach it: "http://127.0.0.1:8001/c8y". */
struct str c8y_proxy_root(const struct cloud *cloud, struct arena *a);

#endif

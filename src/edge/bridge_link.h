/*
 * edge/bridge_link.h - how a cloud is reached over MQTT: address, TLS, account.
 * For the bridge, and for `tedge connect`, which asks the cloud itself.
 */
#ifndef EDGE_BRIDGE_LINK_H
#define EDGE_BRIDGE_LINK_H

#include "edge/bridge_plan.h"
#include "net/mqtt/client.h"

struct tls_client;

struct bridge_link {
	const struct bridge_plan *plan; /* borrowed */
	/* Made when a first connection is there: until then a device whose
	 * cloud is away has no TLS in its memory. */
	struct tls_client *tls;
	struct tls_client *proxy_tls; /* to the proxy */
};

/* Sets all of `conf` that the plan says; the caller adds sessions and the
 * like. `l` stays in place, and open while the client lives. ERR_PARAM, ERR_IO:
 * a file is missing or must not be read; then `l` is closed. That one is wrong
 * the client is told, when it has a connection. */
int bridge_link_open(struct bridge_link *l, const struct bridge_plan *p,
    struct mqtt_client_conf *conf, struct err *err);
void bridge_link_close(struct bridge_link *l); /* a zero one is fine */

#endif

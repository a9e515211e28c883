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
	struct tls_client *tls;         /* NULL: in clear */
	struct tls_client *proxy_tls;   /* to the proxy; NULL: in clear */
};

/* Sets all of `conf` that the plan says; the caller adds sessions and the
 * like. `l` stays in place, and open while the client lives. ERR_PARAM, ERR_IO:
 * a file is missing or wrong. Then `l` is closed. */
int bridge_link_open(struct bridge_link *l, const struct bridge_plan *p,
    struct mqtt_client_conf *conf, struct err *err);
void bridge_link_close(struct bridge_link *l); /* a zero one is fine */

#endif

/*
 * edge/local.h - how the device's MQTT broker is reached as any program reaches
 * it: mqtt.client.*. For the commands of `tedge`, and for parts whose broker is
 * another process.
 */
#ifndef EDGE_LOCAL_H
#define EDGE_LOCAL_H

#include "base/arena.h"
#include "edge/config.h"
#include "net/mqtt/client.h"

struct tls_client;

struct local {
	struct mqtt_client_conf conf; /* to be copied */
	struct tls_client *tls;       /* NULL: in clear */
	struct arena arena;           /* of its texts */
};

/* `l` stays in place while clients live that were made of it. ERR_PARAM,
 * ERR_IO: a setting is wrong, or a file of it; the sentence names it. Then it
 * is closed. */
int local_open(struct local *l, const struct config *c, struct err *err);
void local_close(struct local *l); /* a zero one is fine */

#endif

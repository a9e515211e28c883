/*
 * edge/expose.h - a retained message that belongs to one service: it is
 * published, and again when somebody else has written there.
 */
#ifndef EDGE_EXPOSE_H
#define EDGE_EXPOSE_H

#include "base/loop.h"
#include "edge/part.h"
#include "net/mqtt/client.h"

/* How long after it was overwritten, so that two who both say they are this
 * service do not keep each other busy. */
#define EXPOSE_AGAIN_MS 1000

struct expose {
	struct loop *loop;
	struct mqtt_client *client;
	struct str topic, payload; /* its own */
	struct loop_timer again;
};

/* Subscribes; copies the texts, borrows the rest. To be called before
 * mqtt_client_start(). `x` stays where it is. */
void expose_init(struct expose *x, struct loop *loop, struct mqtt_client *c,
    struct str topic, struct str payload);
/* The same for the settings that are exposed of a service: those of `cloud`, or
 * with NULL those of none, on its channel `config`. */
void expose_config(struct expose *x, struct edge *e, struct mqtt_client *c,
    const char *service, const struct cloud *cloud);
/* Publishes it: at each start. */
void expose_tell(struct expose *x);
/* The client must not turn any more, or have been freed. */
void expose_fini(struct expose *x);

#endif

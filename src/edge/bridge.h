/*
 * edge/bridge.h - the bridge between the device's broker and a cloud, in this
 * process: the rules of edge/bridge_plan.h over net/mqtt/bridge.h.
 *
 * On its local side it has a persistent session under the name of its service,
 * "tedge-mapper-bridge-PREFIX": what is to go to the cloud while that is away,
 * or while nothing runs here, waits in the broker, on its disk, up to the
 * limits that hold there. A message leaves that queue when the cloud has
 * answered for it.
 *
 * A message larger than mapper.mqtt.max_payload_size would end the connection,
 * and do so again: it is dropped, logged, and told to the owner for the errors
 * topic.
 *
 * Health, retained: {"pid":1,"status":"up"} on ROOT/device/main/service/
 * tedge-mapper-bridge-PREFIX/status/health.
 */
#ifndef EDGE_BRIDGE_H
#define EDGE_BRIDGE_H

#include "edge/config.h"
#include "edge/part.h"

struct bridge;

/* What the owner hears; each may be NULL. Must not stop the bridge. */
struct bridge_events {
	void (*up)(void *owner);
	/* It is tried again; told once, and when the reason changes. */
	void (*down)(void *owner, const struct err *why);
	/* For people, to the errors topic. Lent. */
	void (*error)(void *owner, struct str text);
};

/* Begins to connect, and keeps at it. `cloud` is copied, its texts and `e`
 * borrowed. ERR_PARAM, ERR_IO: a setting is missing or wrong, or a file of
 * it; the sentence names it. */
int bridge_start(struct edge *e, const struct cloud *cloud,
    const struct bridge_events *events, void *owner, struct bridge **ret,
    struct err *err);
/* Says goodbye on both sides and forgets it. NULL is fine. */
void bridge_stop(struct bridge *b);
bool bridge_is_up(const struct bridge *b);

#endif

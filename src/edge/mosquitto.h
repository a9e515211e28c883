/*
 * edge/mosquitto.h - the files under mosquitto-conf/: what a Mosquitto is to do
 * for the device, and, by being there, which clouds it is connected to.
 *
 *	tedge-mosquitto.conf         listeners and log
 *	<cloud>[@profile]-bridge.conf  the bridge; with the one in this process
 *	                             it holds only a comment
 */
#ifndef EDGE_MOSQUITTO_H
#define EDGE_MOSQUITTO_H

#include "edge/bridge_plan.h"

/* Is there one on this machine that serves the device? */
bool mosquitto_is_used(const struct config *c);
/* Is the bridge to the cloud Mosquitto's? */
bool mosquitto_bridges(const struct config *c);

/* "2.0.11". ERR_NOT_FOUND: it is not installed. */
int mosquitto_version(struct buf *out, struct err *err);

/* What the files hold. `version`: "" if it is not known. */
void mosquitto_common_text(const struct config *c, struct buf *out);
void mosquitto_bridge_text(
    const struct bridge_plan *p, struct str version, struct buf *out);

/* "DIR/mosquitto-conf/c8y@p-bridge.conf" */
struct str mosquitto_bridge_file(const struct cloud *cloud, struct arena *a);
bool mosquitto_is_connected(const struct cloud *cloud);

/* Write them, with their folder; Mosquitto's user, if there is one, can read
 * them. `*changed` (may be NULL): it was not so before. */
int mosquitto_write_common(
    const struct config *c, bool *changed, struct err *err);
int mosquitto_write_bridge(const struct bridge_plan *p, struct err *err);
/* ERR_NOT_FOUND: there is none. */
int mosquitto_remove_bridge(const struct cloud *cloud, struct err *err);

/* Calls `each` for each cloud that is connected, by its file. */
void mosquitto_each_bridge(const struct config *c,
    void (*each)(void *ctx, const struct cloud *cloud), void *ctx);

/* Sees to it that Mosquitto's own file (mqtt.bridge.mosquitto_conf) includes
 * the folder, before any other that it includes: per_listener_settings must
 * come first. Nothing if that file is not there. */
int mosquitto_include(const struct config *c, struct err *err);

#endif

/*
 * edge/part.h - the parts of marram-edge: the agent, and each mapper.
 *
 * One process runs them all; each starts, stops and restarts by itself, under
 * the name of its service ("tedge-agent", "tedge-mapper-c8y@PROFILE"). A part
 * takes part in the life of the device as a client of the local MQTT broker,
 * with a persistent session of its name: what is published while it is stopped
 * waits for it there. So it is the same to it whether that broker is the one in
 * this process or a Mosquitto beside it.
 *
 * All of it runs on one loop; nothing here blocks.
 */
#ifndef EDGE_PART_H
#define EDGE_PART_H

#include "base/loop.h"
#include "edge/config.h"
#include "net/mqtt/client.h"

struct edge;
struct mqtt_server;

/* What the control socket tells of it. */
enum part_state { PART_STOPPED, PART_STARTING, PART_UP, PART_FAILED };

struct part_type {
	const char *name;  /* "tedge-agent", "tedge-mapper-c8y" */
	const char *cloud; /* may have profiles, each a part of its own; NULL */
	const char *help;
	bool by_name; /* `name` is what its parts' names begin with; the rest of
		       * a name is given as `profile` */
	/* Begins. `*ret` is the part's own; ERR_PARAM: a setting is missing or
	 * wrong, and the sentence names it. `e` and `profile` are borrowed. */
	int (*start)(
	    struct edge *e, struct str profile, void **ret, struct err *err);
	/* Ends now, says goodbye to the broker, frees. */
	void (*stop)(void *part);
};

extern const struct part_type part_agent, part_fleet;
extern const struct part_type *const part_types[]; /* NULL ends */

/* --- what a part is given ------------------------------------------------ */

struct loop *edge_loop(struct edge *e);
/* Within start() those that hold from now on, for as long as the part runs:
 * tedge.toml is read again if it has changed. Else those of the program. */
const struct config *edge_config(struct edge *e);
/* Stops the part and starts it again, with new settings, when the loop turns
 * next: a part may ask for it itself. `part` is what start() returned. */
void edge_restart_later(struct edge *e, const void *part);
/* Ends the process, and not well: whoever supervises it is to start it again.
 * `why` is a literal. */
void edge_end(struct edge *e, const char *why);
/* The device's external id: device.id. */
struct str edge_device_id(struct edge *e);
/* mqtt.topic_root and mqtt.device_topic_id: "te", "device/main//". */
struct str edge_root(struct edge *e);
struct str edge_device_topic(struct edge *e);

/* `who` finds a message to be wrong, which others hear, too: is it for it to
 * tell? See edge/told.h. */
bool edge_tells(
    struct edge *e, const char *who, struct str topic, struct str payload);

/* Do all parts that are enabled run in this process? */
bool edge_is_whole(struct edge *e);

/* How to reach the local broker, into `conf`: address, dial or TLS, account,
 * retries. The caller adds client_id, keep_session, will and the rest. */
void edge_local(struct edge *e, struct mqtt_client_conf *conf);

/* --- health -------------------------------------------------------------- */

/* The health of a service, for who looks: retained on
 * ROOT/device/main/service/NAME/status/health, and on tedge/health/NAME, with
 * its registration; and told again to who asks. */
struct health {
	struct edge *edge;
	struct mqtt_client *client;
	const char *service;
};

/* Into `conf`: the last will. Its texts are the edge's, and good until the next
 * call: mqtt_client_new() copies them. */
void health_will(
    struct edge *e, const char *service, struct mqtt_client_conf *conf);
/* Subscribes to the requests; borrows all. Before mqtt_client_start(). */
void health_init(struct health *h, struct edge *e, struct mqtt_client *c,
    const char *service);
/* Tells it: "up", "down". */
void health_tell(const struct health *h, const char *status);

#endif

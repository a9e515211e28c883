/*
 * net/mqtt/bridge.h - carries messages between two MQTT servers, the local one
 * and a remote one, by rules.
 *
 * A bridge is a client of both. A QoS 1 or 2 message is acknowledged to the
 * server it comes from only after the server it goes to has answered for it.
 * Both sessions are kept by their servers, so that what has not been carried
 * over lies in the source's queue, on its disk, while a side or the bridge is
 * away; the bridge itself keeps nothing but what is on its way, at most
 * `max_received` of the source's settings. Messages of one QoS keep their
 * order. What may happen twice, and only when the bridge itself is killed: a
 * message that the target had and the source was not yet told of.
 *
 * A message that the target refuses (a reason from 0x80, or too large) would be
 * refused again: it is counted, told, and acknowledged to the source. So is a
 * QoS 0 message that comes while the target is away or does not keep up.
 *
 * Loops: neither server is to send the bridge what the bridge published. In
 * level 5 the subscriptions say so (no local), in level 4 the bridge bit of
 * CONNECT. With a server that knows neither, the bridge recognises its own
 * messages by topic and content, among the last BRIDGE_ECHOES, if they would go
 * round: where a rule says that they come back on another topic, they do. Loops
 * over more than two servers are for their rules to avoid.
 *
 * Response topics and user properties are carried as they are.
 */
#ifndef NET_MQTT_BRIDGE_H
#define NET_MQTT_BRIDGE_H

#include "net/mqtt/client.h"

struct mqtt_bridge;

#define BRIDGE_ECHOES 1024

enum mqtt_bridge_direction {
	MQTT_BRIDGE_IN = 1, /* from remote to local */
	MQTT_BRIDGE_OUT = 2,
	MQTT_BRIDGE_BOTH = 3,
};

/* As a line `topic PATTERN DIRECTION QOS LOCAL REMOTE` of Mosquitto: what is
 * under LOCAL on the one side is under REMOTE on the other. An empty pattern
 * stands for the prefixes alone. Rules of one direction should not overlap;
 * where they do, the first that matches carries the message. */
struct mqtt_bridge_rule {
	const char *pattern;
	enum mqtt_bridge_direction direction;
	uint8_t qos;               /* the highest */
	const char *local_prefix;  /* NULL: none */
	const char *remote_prefix; /* NULL: none */
};

struct mqtt_bridge_conf {
	const char *name; /* for client ids, where none are given: NAME and
			   * "local." NAME */
	/* How to connect. The local session is always kept; the wills are
	 * ours. */
	struct mqtt_client_conf local, remote;
	bool forget_remote; /* the remote server is to keep no session: what it
			     * has to say while the bridge is away is lost */
	bool remote_as_client; /* the remote server is not told that this is a
				* bridge: there are some that end the connection
				* on that */
	uint32_t max_payload;  /* of what is carried to the remote side; 0: any
				*/
	const struct mqtt_bridge_rule *rules;
	size_t n_rules;
	/* Retained, QoS 1: says whether the remote side is up. NULL: none. */
	const char *notification_topic;
	const char *notify_up, *notify_down; /* NULL: "1", "0" */
	bool notify_local_only; /* else to the remote server, too */
	/* With notify_local_only: what the remote server is told instead, on a
	 * topic of its own: "1" and "0". NULL: nothing. */
	const char *remote_topic;
};

enum mqtt_bridge_side { MQTT_BRIDGE_LOCAL, MQTT_BRIDGE_REMOTE };

/* What the owner hears; each may be NULL. A callback may call any function
 * below, mqtt_bridge_free() included. Texts and errors are lent. */
struct mqtt_bridge_events {
	void (*up)(void *owner, enum mqtt_bridge_side side);
	/* It is tried again; told once, and when the reason changes. */
	void (*down)(
	    void *owner, enum mqtt_bridge_side side, const struct err *why);
	/* `side` has refused a message to `topic`, or the subscription to the
	 * filter `topic`. */
	void (*refused)(void *owner, enum mqtt_bridge_side side,
	    struct str topic, uint8_t reason);
};

/* Makes an idle bridge. Copies `conf` and all texts; borrows the rest.
 * ERR_PARAM: a bad rule or setting, which `err` names. */
int mqtt_bridge_new(struct loop *loop, const struct mqtt_bridge_conf *conf,
    const struct mqtt_bridge_events *events, void *owner,
    struct mqtt_bridge **ret, struct err *err);
/* Connects both sides, and keeps at it until mqtt_bridge_stop(). */
void mqtt_bridge_start(struct mqtt_bridge *b);
/* Says goodbye to both sides, which keep what comes meanwhile. */
void mqtt_bridge_stop(struct mqtt_bridge *b);
/* Stops and forgets it; the sessions stay on the servers. NULL is fine. */
void mqtt_bridge_free(struct mqtt_bridge *b);
bool mqtt_bridge_is_up(const struct mqtt_bridge *b, enum mqtt_bridge_side side);

/* There may be a refusal for each message: then some stand for all. One per
 * side of a bridge, zero at first. */
struct mqtt_bridge_refusals {
	uint8_t reason; /* 0: none yet */
	int64_t told_ms;
	uint64_t untold;
};
/* Is this one to be told? Then `*untold` are those before it that were not. */
bool mqtt_bridge_refusal_due(
    struct mqtt_bridge_refusals *r, uint8_t reason, uint64_t *untold);

#endif

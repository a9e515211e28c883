/*
 * net/mqtt/client.h - an MQTT client that heals itself; MQTT 5.0 and 3.1.1.
 *
 * It connects, subscribes to what it was told, and when the connection breaks
 * tries again, each time after a longer wait of which up to half is chance. A
 * QoS 1 or 2 message that mqtt_client_publish() accepted is kept and sent, over
 * as many connections as it takes, until the server has answered it; messages
 * of one QoS arrive in the order they were accepted.
 *
 * What the server says of itself is respected: its receive maximum, maximum
 * packet, maximum QoS (a message is sent with less), no retained messages (it
 * is sent without that flag), topic aliases, keep-alive, assigned client id.
 *
 * A client belongs to one loop and is used on that loop's thread only.
 */
#ifndef NET_MQTT_CLIENT_H
#define NET_MQTT_CLIENT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"
#include "codec/mqtt.h"

#include <stdbool.h>
#include <stdint.h>

struct mqtt_client;
struct stream;

struct mqtt_client_conf {
	const char *address; /* a name, an IP address, or "unix:" and a path */
	uint16_t port;
	uint8_t level; /* 5 or 4; 0: 5, or 4 with a server that has no 5 */
	bool bridge;   /* in level 4, ask not to be sent what we published and
			* to be sent retain flags as published; servers that
			* do not know how are asked again without */
	const char *client_id; /* NULL or "": the server makes one up */
	const char *user;      /* NULL: anonymous */
	const char *password;
	bool keep_session;         /* "clean session", "clean start" off */
	uint32_t session_expiry_s; /* with keep_session; 0: never; level 5 */
	uint16_t keepalive_s;      /* 0: none */
	uint32_t retry_min_ms;     /* 0: 1000 */
	uint32_t retry_max_ms;     /* 0: 60000 */
	uint32_t retry_reset_ms;   /* a connection that lasted so long lets the
				    * waits begin anew; 0: retry_max_ms */
	bool subscribe_first; /* QoS 1 and 2 are not sent before subscribed() */
	uint32_t max_inflight; /* sent and unanswered at a time; 0: 100 */
	uint32_t max_waiting;  /* QoS 1 and 2 accepted in all; 0: 10000 */
	uint16_t max_received; /* heard and not acknowledged; 0: 100. Level 4
				* has no way to tell the server. */
	bool
	    lenient; /* with a server that sends more all the same, as Mosquitto
		      * does in a session that it has read from its disk */
	uint32_t max_packet;    /* that we take; 0: 16 MiB */
	const char *will_topic; /* NULL: no will */
	struct str will_payload;
	uint8_t will_qos;
	bool will_retain;
	/* Connects instead of us: returns a connected, non-blocking socket, or
	 * a negative `err`. `address` then is only for people. NULL: none. */
	int (*dial)(void *dial_ctx, struct err *err);
	void *dial_ctx; /* borrowed */
	/* Puts a layer, such as TLS, on a connection; NULL: none. Takes
	 * `below`, also when it fails and returns NULL. `host` is `address`. */
	struct stream *(*wrap)(void *wrap_ctx, struct stream *below,
	    const char *host, struct err *err);
	/* Adds what the layer has against the connection, for people, when it
	 * says EPROTO; may be NULL. */
	void (*wrap_why)(const struct stream *top, struct buf *ret);
	/* Adds what can be done about that; may be NULL. */
	void (*wrap_advice)(
	    void *wrap_ctx, const struct stream *top, struct buf *ret);
	/* Has the layer done its own greeting? NULL: that is not told. */
	bool (*wrap_is_up)(const struct stream *top);
	void *wrap_ctx; /* borrowed */
};

/* What a connection is at, in this order. */
enum mqtt_client_stage {
	MQTT_STAGE_RESOLVE, /* not with a number for an address */
	MQTT_STAGE_CONNECT,
	MQTT_STAGE_SECURE,  /* the layer, if there is one */
	MQTT_STAGE_SIGN_IN, /* until up() */
};

/* What the owner hears; each may be NULL. A callback may call any function
 * below, mqtt_client_free() included. Errors are lent. */
struct mqtt_client_events {
	void (*up)(void *owner, bool session_present);
	/* It will be tried again. ERR_DENIED: the server refused us.
	 * ERR_CLOSED: it has ended the connection, or its side of it. */
	void (*down)(void *owner, const struct err *why);
	/* On this connection the server has answered for every subscription
	 * that was made before; a refused one was told by itself. */
	void (*subscribed)(void *owner);
	/* It has come this far. `about` says where it connects to, and `top` is
	 * the layer that has been put on; else NULL. Must not free the client.
	 */
	void (*stage)(void *owner, enum mqtt_client_stage stage,
	    const char *about, const struct stream *top);
};

/* Makes an idle client. Copies `conf` and its texts; borrows the rest.
 * ERR_PARAM: not an address, or a bad setting. */
int mqtt_client_new(struct loop *loop, const struct mqtt_client_conf *conf,
    const struct mqtt_client_events *events, void *owner,
    struct mqtt_client **ret, struct err *err);
/* Begins to connect, and keeps at it until mqtt_client_stop(). */
void mqtt_client_start(struct mqtt_client *c);
/* Sends what waits, as far as that goes without waiting, says goodbye and
 * returns to idle; down() is not called. QoS 1 and 2 messages that were not
 * answered are kept for the next start. */
void mqtt_client_stop(struct mqtt_client *c);
/* Stops and forgets it; completions that are due are not called. NULL is
 * fine. */
void mqtt_client_free(struct mqtt_client *c);

/* Sets address and port of `conf`, in `a`, from "tcp://host:1883" (also mqtt)
 * or "tls://host:8883" (also ssl, mqtts); `*tls` says which. ERR_PARAM: it is
 * no such address. */
int mqtt_client_url(struct arena *a, struct str url,
    struct mqtt_client_conf *conf, bool *tls, struct err *err);

bool mqtt_client_is_up(const struct mqtt_client *c);
/* Is it up, and has every subscription been answered? */
bool mqtt_client_is_subscribed(const struct mqtt_client *c);
/* The level spoken on this connection, or asked for on the next. */
uint8_t mqtt_client_level(const struct mqtt_client *c);
/* Will the server of this connection send us what we publish ourselves? False
 * with `bridge` in level 4; in level 5 each subscription says it. */
bool mqtt_client_echoes(const struct mqtt_client *c);
/* Ours, or what the server has made up. Lent until it connects again. */
const char *mqtt_client_id(const struct mqtt_client *c);
/* Why the server last refused a connection or ended it; 0: it did not say. */
uint8_t mqtt_client_reason(const struct mqtt_client *c);

/* A message, to be sent or heard. */
struct mqtt_client_msg {
	struct str topic;
	struct str payload;
	uint8_t qos;
	bool retain;
	/* Level 5; NULL: none. To be sent: those of PUBLISH that belong to the
	 * message are taken from their members, and `raw` is added behind. */
	const struct mqtt_props *props;
	uint8_t reason; /* heard with a NULL topic: see below */
};

/* `done` (may be NULL) is called once, never before this returns: when the
 * server has the message, or `expiry` passed before it was sent, with a reason
 * below 0x80; or with the reason for which it is refused. With QoS 0, when it
 * is written to the socket buffer. */
typedef void mqtt_client_done(void *ctx, uint8_t reason);
/* Publishes a copy of `m`. ERR_CLOSED: QoS 0 and not connected. ERR_LIMIT:
 * `max_waiting` is reached, or the connection is slow and it is QoS 0.
 * ERR_PARAM: bad topic or QoS, or too long for MQTT. */
int mqtt_client_send(struct mqtt_client *c, const struct mqtt_client_msg *m,
    mqtt_client_done *done, void *ctx);
/* The same for a message without properties. */
int mqtt_client_publish(struct mqtt_client *c, struct str topic,
    struct str payload, uint8_t qos, bool retain, mqtt_client_done *done,
    void *ctx);
/* QoS 1 and 2 messages accepted and not yet answered. */
uint32_t mqtt_client_waiting(const struct mqtt_client *c);

/* Hears what matches the filter, on this and every later connection.
 * `m` is lent. A refusal by the server is told with a NULL topic, its reason
 * (0x80 in level 4) in `m->reason`. */
typedef void mqtt_client_heard(void *ctx, const struct mqtt_client_msg *m);
/* Subscribing again replaces options and callback. `$share/...` is fine.
 * ERR_PARAM: bad filter or option. */
int mqtt_client_subscribe_with(struct mqtt_client *c,
    const struct mqtt_filter *f, mqtt_client_heard *heard, void *ctx);
int mqtt_client_subscribe(struct mqtt_client *c, struct str filter, uint8_t qos,
    mqtt_client_heard *heard, void *ctx);
void mqtt_client_unsubscribe(struct mqtt_client *c, struct str filter);

/* A QoS 1 or 2 message is acknowledged when the callbacks that hear it have
 * returned, unless one of them calls this: then only when each token has been
 * given to mqtt_client_ack(). Messages are acknowledged in their order, so one
 * that is held holds those behind it. A token of a lost connection does no
 * harm: with `keep_session` the message is recognised when the server sends it
 * again, and is not heard twice. 0: it is QoS 0 and needs no acknowledgement.
 */
uint64_t mqtt_client_hold(struct mqtt_client *c);
/* `reason` is told to a server of level 5: MQTT_R_OK, or why not. */
void mqtt_client_ack(struct mqtt_client *c, uint64_t token, uint8_t reason);

#endif

/*
 * net/mqtt/client.h - a small MQTT 3.1.1 client that heals itself.
 *
 * It connects, subscribes to what it was told, and when the connection breaks
 * tries again, waiting twice as long each time. A QoS 1 message that was
 * accepted by mqtt_client_publish() is kept and sent, over as many connections
 * as it takes, until the server has acknowledged it.
 *
 * A client belongs to one loop and is used on that loop's thread only. It asks
 * the server for QoS 0 or 1 only, and acknowledges a message when the callbacks
 * that hear it have returned.
 */
#ifndef NET_MQTT_CLIENT_H
#define NET_MQTT_CLIENT_H

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct mqtt_client;

struct mqtt_client_conf {
	const char *address; /* numeric: clients never block on names */
	uint16_t port;
	const char *client_id; /* NULL or "": the server makes one up */
	const char *user;      /* NULL: anonymous */
	const char *password;
	bool keep_session;      /* "clean session" off */
	uint16_t keepalive_s;   /* 0: none */
	uint32_t retry_min_ms;  /* 0: 1000 */
	uint32_t retry_max_ms;  /* 0: 60000 */
	uint32_t max_inflight;  /* QoS 1 unanswered at a time; 0: 100 */
	uint32_t max_waiting;   /* QoS 1 accepted in all; 0: 10000 */
	uint32_t max_packet;    /* 0: 16 MiB */
	const char *will_topic; /* NULL: no will */
	struct str will_payload;
	uint8_t will_qos;
	bool will_retain;
};

/* What the owner hears; each may be NULL. A callback may call any function
 * below, mqtt_client_free() included. Errors are lent. */
struct mqtt_client_events {
	void (*up)(void *owner, bool session_present);
	/* It will be tried again. ERR_DENIED: the server refused us. */
	void (*down)(void *owner, const struct err *why);
};

/* Makes an idle client. Copies `conf` and its texts; borrows the rest.
 * ERR_PARAM: not an address. */
int mqtt_client_new(struct loop *loop, const struct mqtt_client_conf *conf,
    const struct mqtt_client_events *events, void *owner,
    struct mqtt_client **ret, struct err *err);
/* Begins to connect, and keeps at it until mqtt_client_stop(). */
void mqtt_client_start(struct mqtt_client *c);
/* Says goodbye and returns to idle; down() is not called. QoS 1 messages that
 * wait are kept for the next start. */
void mqtt_client_stop(struct mqtt_client *c);
/* Stops and forgets it; completions that are due are not called. NULL is
 * fine. */
void mqtt_client_free(struct mqtt_client *c);
bool mqtt_client_is_up(const struct mqtt_client *c);

/* Publishes a copy of `payload`, with QoS 0 or 1. `done` (may be NULL) is
 * called once when it is acknowledged or, with QoS 0, written to the socket
 * buffer; never before this returns. ERR_CLOSED: QoS 0 and not connected.
 * ERR_LIMIT: `max_waiting` is reached. ERR_PARAM: bad topic or QoS. */
typedef void mqtt_client_done(void *ctx);
int mqtt_client_publish(struct mqtt_client *c, struct str topic,
    struct str payload, uint8_t qos, bool retain, mqtt_client_done *done,
    void *ctx);
/* Messages accepted and not yet acknowledged. */
uint32_t mqtt_client_waiting(const struct mqtt_client *c);

/* Hears what matches `filter`, on this and every later connection. Texts are
 * lent. Subscribing again replaces QoS and callback. `$share/...` is fine.
 * ERR_PARAM: bad filter or QoS. A refusal by the server is told by `heard`
 * with a NULL topic. */
typedef void mqtt_client_heard(
    void *ctx, struct str topic, struct str payload, bool retain);
int mqtt_client_subscribe(struct mqtt_client *c, struct str filter, uint8_t qos,
    mqtt_client_heard *heard, void *ctx);
void mqtt_client_unsubscribe(struct mqtt_client *c, struct str filter);

#endif

/*
 * app/mqtt_listeners.h - what the MQTT server listens on, as the settings say:
 * mqtt.port, mqtt.tlsPort, and mqtt.listener1 to 8.
 */
#ifndef APP_MQTT_LISTENERS_H
#define APP_MQTT_LISTENERS_H

#include "app/settings.h"
#include "net/mqtt/server.h"

struct mqtt_listeners;

/* Checks what the settings say, and reads certificates. A sentence that tells
 * of a mistake names the key. Borrows both. */
int mqtt_listeners_new(const struct settings *set, const struct conf *conf,
    struct mqtt_listeners **ret, struct err *err);
/* The server is closed. NULL is fine. */
void mqtt_listeners_free(struct mqtt_listeners *l);

/* Begins to listen. */
int mqtt_listeners_open(
    struct mqtt_listeners *l, struct mqtt_server *mqtt, struct err *err);

/* Reads certificates, keys and lists of revoked ones again. What can not be
 * read is logged, and stays as it was. [any thread] */
void mqtt_listeners_reload(struct mqtt_listeners *l);

/* Does any of them keep what its clients send? */
bool mqtt_listeners_durable(const struct mqtt_listeners *l);
/* Can nobody come in without a user name, nor with a certificate for one? */
bool mqtt_listeners_need_password(const struct mqtt_listeners *l);
/* Adds " mqtt://localhost:1883" for each. */
void mqtt_listeners_say(const struct mqtt_listeners *l, struct buf *out);
/* Those that are no sockets of this machine; texts are lent for the call. */
struct mqtt_listener_place {
	const char *scheme, *host; /* "mqtts"; "": any address */
	uint16_t port;
	bool local; /* only this machine can reach it */
};
void mqtt_listeners_each(const struct mqtt_listeners *l,
    void (*each)(void *ctx, const struct mqtt_listener_place *p), void *ctx);
/* Logs which of them are open to others, and in clear. */
void mqtt_listeners_warn(const struct mqtt_listeners *l);

/* Can only this machine reach it? */
bool address_is_loopback(const char *address);
/* The name by which it can be reached from here: "localhost", "[::1]". Into
 * `out`, which is cleared before. */
const char *address_host(const char *address, struct buf *out);

#endif

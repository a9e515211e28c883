/*
 * app/mqtt_http.h - MQTT clients that come by WebSocket to /mqtt on the HTTP
 * ports: net/http reads and answers the request, the MQTT server takes over
 * the connection.
 */
#ifndef APP_MQTT_HTTP_H
#define APP_MQTT_HTTP_H

#include "base/loop.h"
#include "net/http/server.h"
#include "net/mqtt/server.h"

struct mqtt_http;

struct mqtt_http_conf {
	uint32_t max_connections; /* at a time; 0: there is no such path */
	uint32_t max_packet;
	bool allow_anonymous;
	enum mqtt_durability durability;
};

/* `loop` is the MQTT server's; borrows both. */
struct mqtt_http *mqtt_http_new(struct loop *loop, struct mqtt_server *mqtt,
    const struct mqtt_http_conf *conf);
/* Both servers are closed. NULL is fine. */
void mqtt_http_free(struct mqtt_http *m);

/* The route; `m` NULL: nothing behind it. */
void mqtt_http_routes(struct mqtt_http *m, http_add_routes *add, void *ctx);
/* For http_server_events. When the HTTP server has ended, the MQTT server's
 * loop must turn once more before that is closed. */
void mqtt_http_upgraded(struct mqtt_http *m, const struct http_upgraded *u);

#endif

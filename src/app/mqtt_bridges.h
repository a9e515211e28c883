/*
 * app/mqtt_bridges.h - bridges from our MQTT server to others, as the settings
 * say: mqtt.bridge1 to 4.
 */
#ifndef APP_MQTT_BRIDGES_H
#define APP_MQTT_BRIDGES_H

#include "app/settings.h"
#include "base/loop.h"
#include "net/mqtt/server.h"

struct mqtt_bridges;

/* Checks what the settings say, and reads certificates. A sentence that tells
 * of a mistake names the key. Borrows both. */
int mqtt_bridges_new(const struct settings *set, const struct conf *conf,
    struct mqtt_bridges **ret, struct err *err);
/* Begins to connect. `loop` is the server's; borrows both. To be called on its
 * thread, or before it runs. What the server remembers of bridges that are not
 * there any more is forgotten. */
int mqtt_bridges_start(struct mqtt_bridges *b, struct loop *loop,
    struct mqtt_server *mqtt, struct err *err);
/* Says goodbye to both sides. On the loop's thread, before the server is
 * closed. NULL is fine. */
void mqtt_bridges_stop(struct mqtt_bridges *b);
/* They are stopped. NULL is fine. */
void mqtt_bridges_free(struct mqtt_bridges *b);

#endif

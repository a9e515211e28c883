/*
 * app/simulator.h - simulated devices that a user starts and stops:
 * /hub/api/v1/simulator.
 *
 * It makes in a unit what is not there yet, by the same calls and with the same
 * rights as the user himself: a network, an application, profiles, devices.
 * Then the devices send, by the network's own queue, until somebody stops it,
 * time is over, or the program ends; and they do what is sent down to them.
 */
#ifndef APP_SIMULATOR_H
#define APP_SIMULATOR_H

#include "app/settings.h"
#include "base/loop.h"
#include "net/http/server.h"
#include "net/mqtt/server.h"

struct simulator;

/* Borrows all. `loop` is that of `mqtt`. */
struct simulator *simulator_new(const struct simulator_conf *conf,
    struct http_server *http, struct route *route, struct loop *loop,
    struct mqtt_server *mqtt);
/* The routes; `s` NULL: nothing behind them. */
void simulator_routes(struct simulator *s, http_add_routes *add, void *ctx);
/* Ends all runs: on the loop, when no call can come any more. NULL is fine. */
void simulator_stop(struct simulator *s);
void simulator_free(struct simulator *s); /* NULL is fine */

#endif

/*
 * app/app.h - the programs' entry points.
 *
 * Each runs one command and returns the exit status: 0 done, 1 it failed, 2 it
 * was called wrongly.
 */
#ifndef APP_APP_H
#define APP_APP_H

#include "base/conf.h"
#include "net/http/route.h"

/* `marram serve`, which also answers to sylvia-iot-core. argv[0] is the name
 * the program was called by, the options follow. */
int serve_main(int argc, char **argv);

/* The command groups (login, unit, device, ...), which also answer to
 * sylvia-iot-coremgr-cli. argv[1] is the first word behind the program. */
int cli_main(int argc, char **argv);

/* `marram demo`: a unit with simulated devices. */
int demo_main(int argc, char **argv);

/* `marram mqtt passwd FILE USER`: users of `marram serve --only mqtt`. */
int mqtt_main(int argc, char **argv);

/* `marram config sample|reference`. */
int config_main(int argc, char **argv);

/* Every route of the platform, in the order it is served, with nothing behind
 * them: for OpenAPI and the command line. */
void app_each_route(http_add_routes *add, void *ctx);

#endif

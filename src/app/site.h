/*
 * app/site.h - GET /hub/api/v1/site: where the platform listens, since when it
 * runs, and how full its disk is.
 */
#ifndef APP_SITE_H
#define APP_SITE_H

#include "app/mqtt_listeners.h"
#include "net/http/route.h"

struct site;

/* `name`, `dir` and `listeners` are borrowed. */
struct site *site_new(
    const char *name, const char *dir, const struct mqtt_listeners *listeners);
void site_free(struct site *s); /* NULL is fine */

void site_routes(struct site *s, http_add_routes *add, void *ctx);

#endif

/*
 * net/http/tally.h - how many requests each route had, how they were answered
 * and how long it took; for /metrics. [any thread]
 */
#ifndef NET_HTTP_TALLY_H
#define NET_HTTP_TALLY_H

#include "net/http/route.h"

struct tallies;

/* `routes` (NULL ends) is borrowed. */
struct tallies *tallies_new(const struct http_route *const *routes);
void tallies_free(struct tallies *t); /* NULL is fine */

/* A request begins; it ends with its answer. `route` NULL: none matched. */
void tallies_begin(struct tallies *t);
void tallies_end(
    struct tallies *t, const struct http_route *route, int status, int64_t ms);
/* A request that began was refused before it reached a worker. */
void tallies_undo(struct tallies *t);

/* Prometheus text under Sylvia-IoT's names. */
void tallies_write(struct tallies *t, struct buf *out);

#endif

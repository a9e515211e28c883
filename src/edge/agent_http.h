/*
 * edge/agent_http.h - the agent's HTTP server, as the settings say (http.*). A
 * port that is taken is tried again; a device without the module goes without.
 */
#ifndef EDGE_AGENT_HTTP_H
#define EDGE_AGENT_HTTP_H

#include "edge/entity.h"
#include "edge/part.h"

struct agent_http;

/* Borrows all. ERR_PARAM: a setting is wrong, and the sentence names it. */
int agent_http_start(struct edge *e, struct te_store *store,
    struct agent_http **ret, struct err *err);
void agent_http_stop(struct agent_http *h); /* NULL is fine */

#endif

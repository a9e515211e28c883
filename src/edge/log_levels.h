/*
 * edge/log_levels.h - how much each service says: [log] of system.toml.
 *
 *	[log]
 *	tedge-agent = "debug"
 *	tedge-mapper = "warn"          every mapper that has no line of its own
 *	tedge-mapper-c8y = "info"
 *	marram-edge = "error"          broker, control socket, starting and
 *ending
 *
 * What mappers share, the bridge above all, says as much as the most talkative
 * of those that run. A level on the command line is above all of this.
 */
#ifndef EDGE_LOG_LEVELS_H
#define EDGE_LOG_LEVELS_H

#include "base/err.h"

struct edge;
struct levels;

/* Reads them. ERR_PARAM: system.toml is wrong, and nothing has changed. */
int levels_read(struct edge *e, struct err *err);
/* Other parts run now. */
void levels_apply(struct edge *e);
void levels_free(struct levels *l); /* NULL is fine */

#endif

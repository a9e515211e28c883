/*
 * plug/gateway/marram_edge.h - what the files of the marram-edge provider
 * share.
 *
 * The topics of one device, below its own ID/
 *(docs/decisions/edge-platform.md):
 *
 *	online                             1, or 0 as its last will; retained
 *	up/DEVICE/SERVICE/m[/TYPE]         a measurement, Thin Edge JSON
 *	up/DEVICE/SERVICE/e[/TYPE]         an event
 *	up/DEVICE/SERVICE/a[/TYPE]         an alarm; empty: it is over
 *	up/DEVICE/SERVICE/twin/KEY         what it tells of itself
 *	up/DEVICE/SERVICE/entity           that it is there: name, type, parent
 *	up/DEVICE/SERVICE/status/health    {"status":"up"}
 *	up/DEVICE/SERVICE/cmd/OP           it can do that; empty: no more
 *	up/DEVICE/SERVICE/cmd/OP/NO        how far it has come
 *	up/DEVICE/SERVICE/software/N/OF    a page of what is installed
 *	down/DEVICE/SERVICE/cmd/OP/NO      do that
 *	down/DEVICE/SERVICE/done/OP/NO     its end is known
 *	down/main/-/sync                   tell everything again
 *
 * DEVICE is "main", or a child's topic id with ":" for its slashes; SERVICE is
 * "-" for the device itself. A node is ID or ID:DEVICE.
 *
 * The extension of a frame that was heard:
 *
 *	topic    from behind SERVICE on; or "online"
 *	service  there is one
 *	time     RFC 3339, as the payload has it
 *
 * and of one to be sent: "command", "service", and "slot".
 */
#ifndef PLUG_GATEWAY_MARRAM_EDGE_H
#define PLUG_GATEWAY_MARRAM_EDGE_H

#include "plug/gateway/ops.h"

#define EDGE_MAIN "main"
#define EDGE_NO_SERVICE "-"
#define EDGE_SET "set" /* the operation that sets a field */

/* Not empty, and it can stand as a level of a topic. */
bool marram_edge_is_level(struct str s);
/* A member of an object: a text, or of anything else its JSON; STR_NULL: there
 * is none, or it is no object. */
struct str marram_edge_member(
    struct arena *a, struct str json, const char *name, bool *is_text);
/* The time that a payload tells, TIME_NULL: none that can be read. */
int64_t marram_edge_time(struct arena *a, struct str json);

/* What a frame says, into `m`; nothing for those that say nothing. ERR_PARAM:
 * it can not be read; ERR_LIMIT: more than GATEWAY_PAYLOADS_MAX values. */
int marram_edge_read(
    const struct gateway_frame *f, struct gateway_messages *m, struct err *err);
/* The frame for a message of one payload. */
void marram_edge_write(const struct gateway_message *msg, struct arena *a,
    struct gateway_frame *ret);

#endif

/*
 * edge/topic.h - topics of a device's own bus: ROOT/<entity>/<channel>.
 *
 *	te/device/child01/service/nodered/m/environment
 *	   '----- four segments ---------' ' '-- type
 *	                                   channel
 *
 * An entity's topic id has exactly four segments, which may be empty. The
 * second scheme, that of the first years, begins with "tedge/".
 */
#ifndef EDGE_TOPIC_H
#define EDGE_TOPIC_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum te_channel {
	TE_ENTITY,      /* none: its registration */
	TE_MEASUREMENT, /* m/<type> */
	TE_MEASUREMENT_META,
	TE_EVENT,
	TE_EVENT_META,
	TE_ALARM,
	TE_ALARM_META,
	TE_TWIN,         /* twin/<key> */
	TE_CONFIG,       /* config */
	TE_HEALTH,       /* status/health */
	TE_STATUS,       /* status/<component> */
	TE_CMD_META,     /* cmd/<op>: a capability */
	TE_CMD,          /* cmd/<op>/<id> */
	TE_HEALTH_CHECK, /* cmd/health/check */
	TE_SIGNAL,       /* signal/<type> */
};

/* Parts are lent out of the topic. */
struct te_topic {
	struct str entity; /* the four segments: "device/main//" */
	enum te_channel channel;
	struct str type; /* of m, e, a, twin, status, signal; the operation */
	struct str id;   /* of a command */
};

/* ERR_NOT_FOUND: not below `root`; ERR_PARAM: below it, and none ('Invalid
 * category: "x"'). */
int te_topic_read(
    struct str root, struct str topic, struct te_topic *ret, struct err *err);
/* Adds ROOT/ENTITY and what the channel asks for. */
void te_topic_add(struct buf *out, struct str root, const struct te_topic *t);

/* Checks an entity's id and adds it with its empty segments: "device/child01"
 * gives "device/child01//". ERR_PARAM with the sentence of the spec. */
int te_entity_normal(struct buf *out, struct str id, struct err *err);

/* device/main//, device/X//, device/X/service/Y: the default scheme. */
bool te_entity_is_default(struct str entity);
bool te_entity_is_service(struct str entity); /* device/X/service/Y */
/* The device of a default service: "device/X//"; lent in part, so copied. */
void te_entity_device(struct buf *out, struct str entity);
/* Adds the id of a service of that device; of one that is not of the default
 * scheme it is the main device's. */
void te_entity_service(struct buf *out, struct str device, const char *service);
/* The second segment of a device, the fourth of a service. */
struct str te_entity_name(struct str entity);

/* A topic of the first scheme. */
enum tedge_kind {
	TEDGE_MEASUREMENT,
	TEDGE_EVENT,
	TEDGE_ALARM,
	TEDGE_HEALTH,
	TEDGE_HEALTH_CHECK,
	TEDGE_COMMAND_REQ, /* tedge/commands/req/software/list */
	TEDGE_COMMAND_RES,
	TEDGE_OTHER,
};

struct tedge_topic {
	enum tedge_kind kind;
	struct str severity, type; /* the command: "software/list" */
	struct str child;          /* STR_NULL: the main device */
};

/* ERR_NOT_FOUND: it does not begin with "tedge/". */
int tedge_topic_read(
    struct str topic, struct tedge_topic *ret, struct err *err);

#endif

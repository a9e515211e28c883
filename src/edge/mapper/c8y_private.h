/*
 * edge/mapper/c8y_private.h - what the files of the Cumulocity mapper share.
 *
 *	c8y.c            the table of functions; who hears what
 *	c8y_entity.c     devices and services: registration, early data
 *	c8y_device.c     what they say of themselves: twin, health, capabilities
 *	c8y_measure.c    measurements
 *	c8y_fact.c       events and alarms, and which alarms the cloud knows
 *	c8y_op.c         operations of the cloud become commands
 *	c8y_state.c      and states of commands its answers
 *	c8y_custom.c     operations that a file describes
 *	c8y_http.c       what goes by HTTP
 */
#ifndef EDGE_MAPPER_C8Y_PRIVATE_H
#define EDGE_MAPPER_C8Y_PRIVATE_H

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "codec/json.h"
#include "edge/entity.h"
#include "edge/mapper.h"
#include "edge/mapper/common.h"

#define LOG_MODULE "tedge-mapper-c8y"

#define C8Y_LEGACY_MAX (16 * 1024) /* bytes, of the first generation */
#define C8Y_SETTLE_MS 1000         /* retained messages have come */
#define C8Y_AUTO_MS 5000           /* till an entity is taken as it is */
#define C8Y_REASON_MAX 500         /* bytes */

enum c8y_kind { C8Y_MAIN, C8Y_CHILD, C8Y_SERVICE };

/* A list of texts that it owns, sorted. */
struct c8y_words {
	struct str *at;
	size_t n;
};

struct c8y_entity {
	struct list link;
	struct str topic; /* "device/child01//"; the key in by_topic */
	struct str xid;   /* the external id; the key in by_xid */
	enum c8y_kind kind;
	struct str name, type;
	struct str parent;   /* a topic id; STR_NULL: the main device */
	struct str health;   /* the service that says whether it lives */
	struct str internal; /* its id in the cloud, once asked for */
	bool registered;     /* else it was only heard of */
	bool told;           /* to the cloud */
	bool marked;         /* told before we started */
	bool first;          /* known by the first generation */
	bool up;             /* of a service: its last status */
	int64_t since_ms;    /* when its first message came; -1: never */
	/* Fragments of what it can do: by its capabilities, and by files. */
	struct c8y_words can, files, templates;
	struct c8y_words commands;                 /* that are not built in */
	struct c8y_words logs, snapshots, updates; /* types of each */
	bool ops_changed;
	bool availability_told;
};

struct c8y {
	struct mapper_host host;
	struct cloud cloud;
	struct str device_id, root, prefix, url;
	size_t max_packet;
	bool use_id;

	struct list entities; /* in order of their registration */
	struct map by_topic, by_xid;
	struct c8y_entity *main;

	struct te_ring *early;

	struct map units; /* by the topic of the measurement */

	struct map alarms;    /* struct alarm, by topic */
	struct list held;     /* alarms to compare when all have come */
	int64_t settle_ms;    /* when that is; -1: done */
	int64_t heartbeat_ms; /* -1: none */
	bool later;           /* there is something new to wait for */

	struct list ops; /* ids that are known, struct op_seen */
	size_t n_ops;
	struct list lines; /* SmartREST that waits, struct line */
	bool json_seen;    /* the cloud sends operations as JSON */
	bool missed;       /* one came for a device that was not known yet */
	uint64_t serial;   /* of ids of our own */

	struct list jobs; /* struct job */
	size_t n_jobs;
	uint64_t next_tag;

	struct list custom; /* struct custom: files that say what to run */
	struct list runs;   /* struct run */

	/* Of the message at hand; kept for its memory. */
	struct buf topic, out, extra;
	struct str now_on; /* the topic it came on, for errors */
};

/* --- c8y.c --------------------------------------------------------------- */

/* Publishes c->out on c->topic, QoS 1, unless it is too large: then that is
 * told, and false. */
bool c8y_send(struct c8y *c);
/* The same, without looking at the size. */
void c8y_publish(struct c8y *c, bool retain);
void c8y_error(struct c8y *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* c->topic becomes PREFIX and `path`. */
void c8y_topic(struct c8y *c, const char *path);
/* 500: the cloud sends operations that are pending. */
void c8y_ask_pending(struct c8y *c);
/* ... PREFIX/s/us, and the external id of a device that is not the main one. */
void c8y_topic_us(struct c8y *c, const struct c8y_entity *device);
void c8y_add_now(struct c8y *c, struct buf *out, bool utc);
/* {"externalId":"...","type":"c8y_Serial"} behind its key and a comma. */
void c8y_add_source(struct c8y *c, struct buf *out, const struct c8y_entity *e);
/* Sees to it that the timer comes at the next thing that is due; `later` says
 * that this may be another. */
void c8y_schedule(struct c8y *c);
/* An id that was not there before: for commands of our own. */
struct str c8y_new_id(struct c8y *c, struct arena *a);

void c8y_words_set(struct c8y_words *w, struct strs from);
void c8y_words_clear(struct c8y_words *w);
bool c8y_words_add(struct c8y_words *w, struct str s);
bool c8y_words_del(struct c8y_words *w, struct str s);

/* --- c8y_entity.c -------------------------------------------------------- */

void c8y_entities_init(struct c8y *c, struct str main_topic);
void c8y_entities_fini(struct c8y *c);
struct c8y_entity *c8y_by_topic(const struct c8y *c, struct str topic);
struct c8y_entity *c8y_by_xid(const struct c8y *c, struct str xid);
/* The device that it is or belongs to. */
struct c8y_entity *c8y_device_of(const struct c8y *c, struct c8y_entity *e);
/* The child of the first generation; STR_NULL: the main device. */
struct c8y_entity *c8y_legacy_child(struct c8y *c, struct str child);
/* Who is meant, if the cloud knows of it; else the message is kept, and NULL.
 */
struct c8y_entity *c8y_source(
    struct c8y *c, const struct mapper_msg *msg, const struct te_topic *t);
void c8y_register(struct c8y *c, const struct mapper_msg *msg,
    const struct te_topic *t, struct arena *a);
void c8y_marker(struct c8y *c, struct str topic, struct str payload);
/* Retained registrations have come; and what waits too long. */
void c8y_entities_settled(struct c8y *c);
void c8y_entities_due(struct c8y *c, int64_t now, int64_t *next);
/* One that is not told of yet. */
struct c8y_entity *c8y_entity_add(struct c8y *c, struct str topic);
/* The external id by the scheme of names. */
void c8y_default_xid(struct c8y *c, struct c8y_entity *e);
/* 102: its status, by which the cloud knows it, too. */
void c8y_tell_service(struct c8y *c, struct c8y_entity *e, struct str status);
/* A text that we own gives way to another. */
void c8y_replace(struct str *old, struct str text);

/* --- c8y_device.c -------------------------------------------------------- */

void c8y_twin(struct c8y *c, struct c8y_entity *e, struct str key,
    struct str value, struct arena *a);
void c8y_health(
    struct c8y *c, struct c8y_entity *e, struct str payload, struct arena *a);
void c8y_legacy_health(struct c8y *c, const struct tedge_topic *t,
    struct str payload, struct arena *a);
void c8y_capability(struct c8y *c, struct c8y_entity *e, struct str op,
    struct str payload, struct arena *a);
void c8y_tell_operations(struct c8y *c, struct c8y_entity *e);
/* Those that changed. */
void c8y_tell_changed(struct c8y *c);
/* 117. */
void c8y_tell_availability(struct c8y *c, struct c8y_entity *e);
void c8y_heartbeat(struct c8y *c);

/* --- c8y_measure.c ------------------------------------------------------- */

void c8y_measure_legacy(
    struct c8y *c, struct str child, struct str payload, struct arena *a);
void c8y_measure(struct c8y *c, const struct mapper_msg *msg,
    const struct te_topic *t, struct c8y_entity *e, struct arena *a);
void c8y_units(struct c8y *c, struct str topic, struct str payload);
void c8y_units_fini(struct c8y *c);

/* --- c8y_fact.c ---------------------------------------------------------- */

void c8y_event(struct c8y *c, struct c8y_entity *e, struct str type,
    struct str payload, bool legacy, struct arena *a);
void c8y_alarm(struct c8y *c, const struct mapper_msg *msg,
    struct c8y_entity *e, struct str type, struct str severity,
    struct arena *a);
/* A copy of our own, of an alarm that was sent. */
void c8y_alarm_copy(struct c8y *c, const struct mapper_msg *msg);
void c8y_alarms_settle(struct c8y *c);
void c8y_alarms_begin(struct c8y *c);
void c8y_alarms_fini(struct c8y *c);

/* --- c8y_op.c ------------------------------------------------------------ */

struct c8y_op_kind {
	const char *fragment; /* "c8y_Restart" */
	const char *command;  /* "restart" */
	const char *enable;   /* the setting that switches it off */
	/* Adds the members of the command; false: told in `err`. */
	bool (*make)(struct c8y *c, const struct c8y_entity *e, struct str id,
	    struct str fragment, struct str name, struct json_out *o,
	    struct arena *a, struct err *err);
};

extern const struct c8y_op_kind c8y_op_kinds[]; /* fragment NULL ends */
const struct c8y_op_kind *c8y_op_of_command(struct str command);

void c8y_op_json(struct c8y *c, struct str payload, struct arena *a);
void c8y_op_smartrest(struct c8y *c, struct str payload, struct arena *a);
/* Remembers an id; false: it is known. */
bool c8y_op_remember(struct c8y *c, struct str id, bool finished);
void c8y_ops_due(struct c8y *c, int64_t now, int64_t *next);
void c8y_ops_fini(struct c8y *c);
/* Publishes a command, its payload in c->out. */
void c8y_command(
    struct c8y *c, const struct c8y_entity *e, const char *op, struct str id);
void c8y_ask_software_list(
    struct c8y *c, const struct c8y_entity *e, struct arena *a);
/* The URL by which the device gets it: the local proxy for one of the cloud. */
struct str c8y_proxy_url(struct c8y *c, struct str url, struct arena *a);

/* --- c8y_state.c --------------------------------------------------------- */

void c8y_state(struct c8y *c, const struct mapper_msg *msg,
    const struct te_topic *t, struct c8y_entity *e, struct arena *a);
/* 501/504, 502/505, 503/506. `id` is that of the cloud; STR_NULL: it has none.
 */
void c8y_executing(struct c8y *c, const struct c8y_entity *e, struct str id,
    const char *fragment);
void c8y_failed(struct c8y *c, const struct c8y_entity *e, struct str id,
    const char *fragment, struct str reason);
void c8y_successful(struct c8y *c, const struct c8y_entity *e, struct str id,
    const char *fragment, struct str result, bool csv);
/* The command's retained state is taken away. */
void c8y_clear_command(struct c8y *c, struct str topic);

/* --- c8y_http.c ---------------------------------------------------------- */

/* An event that is too large for MQTT: PREFIX/http/events/create/XID. */
void c8y_http_event(struct c8y *c, struct str xid, struct str payload);
/* The inventory's list of software. */
void c8y_http_software(struct c8y *c, struct c8y_entity *e, struct str body);

/* A file that becomes the binary of an event; then the command's end is told.
 */
struct c8y_upload {
	struct str xid, type, text, from, mime;
	struct str topic; /* the command; cleared at the end */
	struct str id;    /* of the operation; STR_NULL: none */
	const char *fragment;
	struct str reason; /* its failure is told, not its success */
	bool failed;       /* see reason */
	bool plain;        /* success without a result */
	bool remove;       /* the file from the file transfer service */
};
void c8y_http_upload(struct c8y *c, const struct c8y_upload *u);
void c8y_http_done(struct c8y *c, uint64_t tag, int status, struct str body);
void c8y_http_due(struct c8y *c, int64_t now, int64_t *next);
void c8y_http_fini(struct c8y *c);

/* --- c8y_custom.c -------------------------------------------------------- */

void c8y_custom_open(struct c8y *c);
void c8y_custom_close(struct c8y *c);
/* Reads the folders again. */
void c8y_custom_changed(struct c8y *c);
/* The folder of one entity was not looked into yet. */
void c8y_custom_entity(struct c8y *c, struct c8y_entity *e);
void c8y_custom_filters(
    struct c8y *c, void (*each)(void *ctx, struct str filter), void *ctx);
/* Something of ours comes on this topic. */
bool c8y_custom_topic(const struct c8y *c, struct str topic);
/* An operation for which no command is built in; false: there is no file for
 * it. */
bool c8y_custom_json(struct c8y *c, struct c8y_entity *e, struct str id,
    struct str operation, struct arena *a);
/* One record of SmartREST, and its text. */
bool c8y_custom_line(
    struct c8y *c, const struct strs *line, struct str text, struct arena *a);
/* A command that a template made: `ours` is its member "c8y-mapper". */
void c8y_custom_state(struct c8y *c, struct c8y_entity *e,
    const struct mapper_msg *msg, struct str id, struct str ours,
    struct str status, struct str reason, struct arena *a);
/* A device can do `command`, for which there may be templates. */
void c8y_custom_capability(
    struct c8y *c, struct c8y_entity *e, struct str command, bool can);
void c8y_custom_ran(struct c8y *c, uint64_t tag, const struct child_end *end);

#endif

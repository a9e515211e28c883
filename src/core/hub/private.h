/*
 * core/hub/private.h - what the files of core/hub share.
 *
 *    hub.c       opening, ending; the loop
 *    entities.c  the rows
 *    objects.c   them over HTTP, and what a change means for the loop
 *    heard.c     uplink: to its device, in order, read by its profile
 *    decode.c    payloads to readings
 *    model.c     devices, sources and fields in memory; a reading arrives
 *    writer.c    groups of what has changed, to the store
 *    inbox.c     addresses that no device has
 *    event.c     what happened, as JSON, to who listens
 *    task.c      tasks;  evaluate.c  their verdict;  variable.c  what they read
 *    action.c    what is done: handlers, fields set, forwards
 *
 * The hub's loop owns the model and the rules; nothing of them is locked. REST
 * handlers change the store and post to the loop what they did. The writer has
 * one group at a time; the next one gathers meanwhile.
 */
#ifndef CORE_HUB_PRIVATE_H
#define CORE_HUB_PRIVATE_H

#include "base/list.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/worker.h"
#include "core/hub/counters.h"
#include "core/hub/hub.h"

#include <pthread.h>

/* --- rows ---------------------------------------------------------------- */

struct hub_profile {
	struct str id, unit_id;
	struct str code, name, codec, script, paths, fields;
	int64_t modified_at;
};

struct hub_state {
	struct str status, message;
	int64_t since;
};

struct hub_node {
	struct str id, unit_id;
	struct str gateway_id, node_id, name;
	struct hub_state state;
	struct str labels, others;
	int64_t last_seen, modified_at;
};

struct hub_source {
	struct str id, unit_id;
	struct str device_id, gateway_id, node_id, source_id, name;
	struct str labels, others;
	int64_t last_seen, modified_at;
};

struct hub_value {
	struct str value; /* JSON */
	bool is_received;
	int64_t timestamp;
};

struct hub_formatter {
	struct str on_receive;
};

struct hub_field {
	struct str id, unit_id;
	struct str device_id, gateway_id, node_id, source_id, field_id, name;
	struct str metric_type;
	struct hub_value current, previous;
	struct hub_formatter formatter;
	struct str unit, labels, others;
	int64_t no_change_since, last_seen, modified_at;
};

struct hub_inbox {
	struct str id, unit_id;
	struct str network_id, network_code, network_addr, guess, data;
	int64_t count, first_seen, last_seen;
};

struct hub_handler {
	struct str id, unit_id;
	struct str description;
	bool enabled;
	struct str labels, type, spec;
	struct hub_state state;
	int64_t modified_at;
};

struct hub_forward {
	struct str id, unit_id;
	struct str description;
	bool enabled;
	struct str src_field_id, dst_field_id, labels;
	int64_t modified_at;
};

struct hub_repository {
	struct str id, unit_id;
	struct str description;
	bool read_only;
	struct str labels, data;
	int64_t modified_at;
};

struct hub_dampening {
	struct str type;
	int64_t occurrences, evaluation;
	struct str active_duration;
};

struct hub_event_filter {
	struct strs event_types, entity_types;
	struct str filters;
};

struct hub_task_state {
	int64_t last_evaluation, last_success;
	struct str message;
	bool last_status;
	int64_t executed_count, active_since;
	struct str history;
};

struct hub_task {
	struct str id, unit_id;
	struct str description, labels;
	bool enabled, ignore_duplicate, auto_disable, re_enable;
	struct str re_enable_duration, variables;
	struct hub_dampening dampening;
	bool trigger_on_event;
	struct hub_event_filter event_filter;
	struct str execution_interval, evaluation_type, evaluation_config,
	    handler_parameters;
	struct strs handlers;
	struct hub_task_state state;
	int64_t modified_at;
};

struct hub_trace {
	struct str id, unit_id;
	struct str rule;
	int64_t at;
	struct str event, variables;
	bool triggered, fired;
	struct str message, actions;
};

extern const struct entity hub_profile_entity, hub_node_entity,
    hub_source_entity, hub_field_entity, hub_inbox_entity, hub_handler_entity,
    hub_forward_entity, hub_repository_entity, hub_task_entity,
    hub_trace_entity;
extern const struct entity *const hub_entities[];
extern const char *const hub_metric_types[];

/* --- the model (model.c) ------------------------------------------------- */

/* A row in memory: it, and the memory it points to. Replaced as a whole. */
#define MODEL_ROW(T)                                                           \
	struct T row;                                                          \
	struct arena arena;                                                    \
	struct list dirty; /* in hub->dirty_...: differs from the store */     \
	bool stored        /* the store has it */

struct source {
	MODEL_ROW(hub_source);
	struct device *device;
	struct list link; /* in device->sources */
};

/* A field in memory. */
struct cell {
	MODEL_ROW(hub_field);
	struct device *device;
	struct str key;          /* in device->fields; owned */
	struct str quick;        /* in hub->quick; owned */
	bool pin_unit, pin_type; /* labels ignore_... */
	bool kind_changed;       /* unit or metric type; to be stored */
	bool told;               /* somebody has heard of it */
	/* `row.current.value` and `previous.value` point to these, owned */
	struct str now, before;
};

/* A device as far as the hub knows it. */
struct device {
	MODEL_ROW(hub_node);
	struct hub *hub;
	struct str profile; /* its code; owned */
	struct list sources;
	struct map fields;    /* key -> field */
	struct list waiting;  /* messages; the first one is being read */
	struct str unit_code; /* of its network; owned */
};

/* One value that was read out of a payload. Texts are lent. */
struct reading {
	struct str source, field, name; /* name null: the field's */
	struct str value;               /* JSON */
	struct str metric_type, unit;   /* null: not said */
};

/* --- what was heard (heard.c) -------------------------------------------- */

struct heard {
	struct list link; /* in hub->heard, then in device->waiting */
	struct hub *hub;
	struct route_uplink up; /* texts in `arena` */
	struct route_commit *commit;
	struct heard *next_done;
	struct device *device;
	struct arena arena;
};

bool heard_uplink(
    void *owner, const struct route_uplink *u, struct route_commit *commit);
void heard_run(struct loop_post *p);
/* It has been read, or can not be: its commit goes with the group that
 * gathers. Takes `m`. */
void heard_done(struct heard *m);

/* --- reading (decode.c) -------------------------------------------------- */

extern const char *const hub_codecs[];

#define READINGS_MAX 512

struct readings {
	struct reading at[READINGS_MAX];
	size_t n;
	struct arena arena;
};

/* Bytes by the profile's codec. ERR_PARAM: the payload does not fit, says
 * why. ERR_LIMIT: more than READINGS_MAX. */
int decode(struct hub *h, const struct hub_profile *p, struct str bytes,
    struct readings *ret, struct err *err);
/* What codec would make something of these bytes: "json", "cayenne", "". */
const char *decode_guess(struct str bytes);
/* An object of values, as readings: an object inside is a source, what is
 * deeper is a field by its dotted path. */
int decode_object(struct str json, struct readings *ret, struct err *err);

/* --- groups (writer.c) --------------------------------------------------- */

struct group {
	struct hub *hub;
	struct arena arena;
	struct change_row *first, **last; /* in the order they are to be done */
	size_t n;
	struct heard *done; /* whose commits wait */
	struct worker_job job;
	struct loop_post told, finished;
	bool failed;
};

/* A row for the store: copied. `add`: it is new; else `fields` (a list of
 * names, lent for ever) are changed where the first key is the same. */
void writer_put(struct hub *h, const struct entity *e, const void *row,
    bool add, const char *fields);
/* Sends the gathered group off, unless one is under way. */
void writer_kick(struct hub *h);
/* The row with this id goes. */
void writer_gone(struct hub *h, const struct entity *e, struct str id);
void writer_init(struct hub *h);
void writer_fini(struct hub *h);

/* --- the whole ----------------------------------------------------------- */

struct hub {
	struct hub_conf conf;
	struct route *route;
	struct store *store;
	struct rest_mounts mounts;
	struct hub_counters counters;
	struct counter_group counter_group;

	struct loop *routing; /* where commits are told */
	struct loop *loop;    /* ours */
	pthread_t thread;
	bool running;

	pthread_mutex_t lock; /* guards: */
	struct list heard;
	size_t n_heard; /* not yet done, all stages */
	struct loop_post heard_post;
	bool heard_posted;
	struct loop_post end_post;

	/* the loop's own */
	struct worker_pool *writer;
	struct group groups[2];
	struct group *gathers;
	bool writing;
	bool ending; /* the loop ends when nothing is left to do */
	struct route_notes *notes; /* to be published; NULL: none */
	struct list dirty_nodes, dirty_sources, dirty_fields;
	struct loop_defer kick;
	struct map devices;  /* id -> device */
	struct map profiles; /* "unit code" -> profile */
	struct map quick;    /* "unit gateway.node.source.field" -> field */
	size_t n_fields;
	struct map inbox; /* "network addr" -> item */
	struct list inbox_order;
};

/* model.c */
int model_load(struct hub *h, struct err *err);
void model_free(struct hub *h);
struct device *model_device(struct hub *h, const struct route_uplink *u);
/* One reading of a device; false: a limit. */
bool model_read(struct device *d, const struct reading *r, int64_t at);
void model_seen(struct device *d, int64_t at);
/* Into the history, when its metric type has one. */
void model_point(struct cell *f, struct str value, int64_t at);
/* Is this text one of those that mean yes? */
bool hub_truth(struct str text);
bool hub_number(struct str text, double *ret); /* finite */
/* A JSON value as the metric type has it; false: it can not be. */
bool hub_convert(
    struct arena *a, struct str type, struct str value, struct str *ret);
struct cell *model_field(struct hub *h, struct str unit_id, struct str quick);
/* Everything that differs from the store goes into the gathering group. */
void model_gather(struct hub *h);
bool hub_is_metric_type(struct str name);
/* The JSON value at a dotted path, in any case; false: there is none. */
bool hub_json_at(
    struct arena *a, struct str json, struct str path, struct str *value);
const struct hub_profile *model_profile(
    struct hub *h, struct str unit_id, struct str code);
/* On the loop: read again what a call has changed. */
void model_reload_profile(struct hub *h, struct str id);
void model_reload_field(struct hub *h, struct str id);
void model_reload_node(struct hub *h, struct str id);
/* Forgets devices that are not there any more: that of "network\naddress",
 * those of "network\n", or of "" any. */
void model_check(struct hub *h, struct str place);

/* event.c: `type` is created, updated, deleted, requested. */
void event_field(struct cell *f, const char *type);
/* What has gathered goes to the routing loop. */
void event_kick(struct hub *h);

/* inbox.c */
void inbox_heard(struct hub *h, const struct route_uplink *u);
int inbox_load(struct hub *h, struct err *err);
void inbox_free(struct hub *h);
void inbox_forget(struct hub *h, struct str id);
/* A device has this address now. */
void inbox_known(struct hub *h, const struct route_uplink *u);
extern const struct http_route hub_inbox_rows[];

/* hub.c */
void hub_maybe_end(struct hub *h);

/* objects.c */
void objects_mount(struct hub *h, http_add_routes *add, void *ctx);
/* Runs fn(h, id) on the loop. [any thread] */
void hub_post(
    struct hub *h, void (*fn)(struct hub *h, struct str id), struct str id);

/* duration.c: "1h20m5s", "" gives `def`. */
int hub_duration(struct str s, int64_t def, int64_t *ret, struct err *err);

extern const char *const hub_evaluations[], *const hub_dampenings[];
const char *const *hub_handler_types(void);

#endif

/*
 * core/hub/private.h - what the files of core/hub share.
 *
 *    hub.c       opening, ending; the loop
 *    rest.c      standing still while the store is exchanged
 *    entities.c  the rows
 *    objects.c   them over HTTP, and what a change means for the loop
 *    heard.c     uplink: to its device, in order, read by its profile
 *    decode.c    payloads to readings;  format.c  what fields' scripts say
 *    model.c     devices, sources and fields in memory; a reading arrives
 *    writer.c    groups of what has changed, to the store
 *    silence.c   devices that have not been heard of for long
 *    try.c       a profile tried out on a payload
 *    inspect.c   who looks at what passes the MQTT server (live.h)
 *    inbox.c     addresses that no device has
 *    event.c     what happened, as JSON, to who listens
 *    live*.c     who listens by WebSocket (live.h)
 *    announce.c  devices for Home Assistant
 *    task.c      tasks;  evaluate.c  their verdict;  variable.c  what they read
 *    webhook.c   what they and their scripts ask over HTTP
 *    schedule.c  schedules;  forward.c  forwards
 *    history.c   values over time;  downlink.c  a field is to be set
 *    seal.c      secrets at rest
 *    sent.c      downlinks until their result;  delayed.c  what waits
 *    path.c      what lies where in JSON
 *    prom.c      PromQL over HTTP;  prom_points.c  what it reads
 *    write.c     points in line protocol
 *    gateway.c   networks that are driven from here
 *    gateway_api.c  them over HTTP;  message.c  what they say of devices
 *    firmware.c  files for devices
 *    operation.c what they are told to do, and what is installed on them
 *    operation_file.c files that they hand over
 *    setting.c   settings that change while it runs
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
#include "base/rand.h"
#include "base/worker.h"
#include "codec/json.h"
#include "core/hub/counters.h"
#include "core/hub/hub.h"
#include "plug/gateway/gateway.h"
#include "plug/metric/metric.h"
#include "plug/script/script.h"

#include <pthread.h>

/* --- rows ---------------------------------------------------------------- */

/* How every row but a setting begins. */
struct hub_any {
	struct str id, unit_id;
};

struct hub_setting {
	struct str id, value, user_id;
	int64_t modified_at;
};

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

struct hub_operation {
	struct str id, unit_id;
	struct str device_id, gateway_id, node_id, operation, service, payload;
	struct str status, reason, result, user_id;
	int64_t created_at, modified_at;
};

struct hub_software {
	struct str id, unit_id;
	struct str device_id;
	int64_t page, of;
	struct str modules;
	int64_t modified_at;
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

struct hub_dashboard {
	struct str id, unit_id;
	struct str type, title, description;
	bool favorite, disabled;
	struct str labels, widgets;
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

/* From when to when; each may be empty. */
struct hub_span {
	struct str from, to;
};

struct hub_validity {
	bool enabled;
	struct hub_span date, time;
	bool every_day; /* the times are those of each day */
};

struct hub_schedule_state {
	int64_t last_run;
	bool last_status;
	struct str message;
	int64_t executed_count;
};

struct hub_schedule {
	struct str id, unit_id;
	struct str description;
	bool enabled;
	struct str labels;
	struct hub_validity validity;
	struct str type, spec, variables, custom_type, custom_config,
	    handler_parameters;
	struct strs handlers;
	struct hub_schedule_state state;
	int64_t modified_at;
};

struct hub_trace {
	struct str id, unit_id;
	struct str rule;
	int64_t at;
	struct str event, variables;
	bool triggered, fired;
	struct str message, actions;
	int64_t took_ms;
};

/* An action that waits for its preDelay. */
struct hub_delayed {
	struct str id, unit_id;
	struct str rule, handler, parameter, wish;
	int64_t due;
};

extern const struct entity hub_profile_entity, hub_node_entity,
    hub_source_entity, hub_field_entity, hub_inbox_entity, hub_handler_entity,
    hub_forward_entity, hub_repository_entity, hub_task_entity,
    hub_schedule_entity, hub_trace_entity, hub_dashboard_entity,
    hub_delayed_entity, hub_setting_entity, hub_operation_entity,
    hub_software_entity;
extern const struct record hub_state_record;
extern const char *const hub_metric_types[];
/* Ids that people choose. */
int hub_check_id(struct str s, struct err *err);

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
	struct list link;   /* in device->sources */
	bool facts_changed; /* name, labels, others; to be stored */
};

/* A field in memory. */
struct cell {
	MODEL_ROW(hub_field);
	struct device *device;
	struct str key;          /* in device->fields; owned */
	struct str quick;        /* in hub->quick; owned */
	bool pin_unit, pin_type; /* labels ignore_... */
	bool kind_changed;       /* unit or metric type; to be stored */
	bool notes_changed;      /* labels or others */
	bool told;               /* somebody has heard of it */
	uint32_t series;         /* of its history; 0: not known yet */
	bool no_series;          /* the history refused it; told once */
	/* `row.current.value` and `previous.value` point to these, owned */
	struct str now, before;
	struct str asked;   /* what it was set to and has not reported; owned */
	int64_t asked_till; /* monotonic; then it has not been heard */
};

/* A device as far as the hub knows it. */
struct device {
	MODEL_ROW(hub_node);
	struct hub *hub;
	struct str place;   /* in hub->places; owned */
	struct str profile; /* its code; owned */
	bool facts_changed; /* name, labels, others; to be stored */
	struct list sources;
	struct map fields;        /* key -> field */
	struct list waiting;      /* messages; the first one is being read */
	struct str unit_code;     /* of its unit; owned */
	bool on_public;           /* its network is of no unit */
	bool looked;              /* profile and the two above are known */
	bool no_series;           /* the history refused one of its own */
	bool busy;                /* a script reads the first one */
	bool reading;             /* the first one is being looked at */
	bool announced;           /* as it is now */
	bool told;                /* somebody has heard of it */
	struct str trouble;       /* state.message; owned */
	struct heap_item silence; /* in hub->silent, while it is up */
	int64_t heard;            /* monotonic */
	int64_t inactive_ms;      /* by its label; 0: by the setting */
};

/* One value that was read out of a payload. Texts are lent. */
struct reading {
	struct str source, field, name; /* name null: the field's */
	struct str value;               /* JSON */
	struct str metric_type, unit;   /* null: not said */
	struct str labels, others;      /* objects, for the field; or null */
	struct str node_other;          /* it is this of the device, too */
};

/* --- what was heard (heard.c) -------------------------------------------- */

struct heard {
	struct list link; /* in hub->heard, then in device->waiting */
	struct hub *hub;
	struct route_uplink up; /* texts in `arena` */
	struct route_commit *commit;
	struct heard *next_done;
	struct device *device;
	int64_t at;               /* of its values */
	struct gateway_read read; /* by its gateway */
	struct script_call call;  /* by its profile's script */
	struct arena arena;
};

bool heard_uplink(
    void *owner, const struct route_uplink *u, struct route_commit *commit);
void heard_run(struct loop_post *p);
/* It has been read, or can not be: its commit goes with the group that
 * gathers. Takes `m`. */
void heard_done(struct heard *m);
/* What came of it is stored with the group that gathers; `trouble` (may be
 * null) is what was wrong with a part of it. */
void heard_keep(
    struct heard *m, const struct reading *at, size_t n, struct str trouble);
/* A message that waited for scripts has been kept; the next one. Takes `m`. */
void heard_go_on(struct heard *m);

/* What a script is given of an uplink: {"bytes":[1,2],"fPort":1,
 * "recvTime":"...","variables":{}}; `hex` is the payload, `port` JSON. */
struct str heard_argument(
    struct arena *a, struct str hex, struct str port, int64_t at);

/* --- reading (decode.c) -------------------------------------------------- */

extern const char *const hub_codecs[];

#define READINGS_MAX 512

struct readings {
	struct reading at[READINGS_MAX];
	size_t n;
	int64_t at_ms; /* when they were taken; TIME_NULL: not said */
	struct arena arena;
};

/* Bytes by the profile's codec. ERR_PARAM: the payload does not fit, says
 * why. ERR_LIMIT: more than READINGS_MAX. */
int decode(const struct hub_profile *p, struct str bytes, struct readings *ret,
    struct err *err);
/* Adds what the profile knows of its fields. */
void decode_known(const struct hub_profile *p, struct readings *all);
/* What codec would make something of these bytes: "json", "cayenne", "". */
const char *decode_guess(struct str bytes);
/* An object of values, as readings: an object inside is a source, what is
 * deeper is a field by its dotted path. */
int decode_object(struct str json, struct readings *ret, struct err *err);

/* --- formatters (format.c) ----------------------------------------------- */

enum format_end {
	FORMAT_NONE,  /* no field of these has one */
	FORMAT_DONE,  /* heard_keep() was called */
	FORMAT_LATER, /* heard_keep() and heard_go_on() follow */
};
enum format_end format_begin(
    struct device *d, struct heard *m, const struct readings *r);

/* --- groups (writer.c) --------------------------------------------------- */

struct group {
	struct hub *hub;
	struct arena arena;
	struct change_row *first, **last; /* in the order they are to be done */
	size_t n;
	struct heard *done;          /* whose commits wait */
	struct metric_point *points; /* texts in `arena` */
	size_t n_points, cap_points;
	struct live_batch *live, **live_last; /* given when it is stored */
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
/* The rows whose member `by` ("id") has this value go. */
void writer_gone(
    struct hub *h, const struct entity *e, const char *by, struct str value);
/* Gives `b` to the live loop when all that has changed up to now is stored. */
void writer_tell(struct hub *h, struct live_batch *b);
/* [at the end] Gives what has not been given. */
void writer_tell_rest(struct hub *h);
/* What has gathered is dropped. */
void writer_forget(struct hub *h);
void writer_init(struct hub *h);
void writer_fini(struct hub *h);

/* --- history (history.c) -------------------------------------------------- */

/* A value goes into the history, with the group that gathers, when its metric
 * type has one. */
void history_add(struct cell *f, struct str value, int64_t at);
/* A number of the device itself, in its `others` by this name. */
void history_add_node(
    struct device *d, struct str name, double value, int64_t at);
/* The group's points, durable when it returns. On the writer's thread. */
int history_write(struct group *g, struct err *err);
extern const struct http_route hub_history_rows[];
/* prom.c: PromQL;  write.c: points as to InfluxDB. */
extern const struct http_route hub_prom_rows[], hub_write_rows[];
extern const struct http_route hub_live_rows[]; /* live.c */
extern const struct http_route hub_try_rows[];  /* try.c */
extern const struct http_route hub_inspect_rows[];

/* --- the whole ----------------------------------------------------------- */

/* Where the site is, and what its clock shows. */
struct hub_place {
	const struct zone *zone; /* NULL: UTC */
	double latitude, longitude;
	bool known; /* they are set */
};

struct live;
struct feed;

struct hub {
	struct hub_conf conf;
	pthread_mutex_t place_lock; /* for all but the loop, which writes */
	struct hub_place place;
	struct zone *zone;
	struct str site[3]; /* what it was made of; hub_reconfigure()'s own */
	struct settings_view *settings;
	struct route *route;
	struct store *store;
	struct metric *metric;
	hub_backup *backup; /* NULL: none can be made */
	void *backup_ctx;
	int metric_trouble; /* as it was last told; for hub_clean() */
	struct script_pool *codecs, *scripts; /* of profiles, of tasks */
	unsigned char key[32];                /* that seals secrets */
	bool has_key;
	struct str key_path; /* owned */
	struct rest_mounts mounts;
	struct versions *versions;
	struct http_call *actor; /* whose action the loop does, or NULL */
	struct hub_counters counters;
	struct counter_group counter_group;

	struct loop *routing;     /* where commits are told */
	struct mqtt_server *mqtt; /* on that loop */
	struct loop *loop;        /* ours */
	pthread_t thread;
	bool running;

	pthread_mutex_t lock;     /* guards: */
	pthread_cond_t conf_done; /* with `lock` */
	struct list heard;
	size_t n_heard; /* not yet done, all stages */
	enum { HUB_RUNS, HUB_PAUSING, HUB_RESTS, HUB_READS } rest;
	pthread_cond_t rest_cond;
	struct str listens; /* addresses of the MQTT server; owned */
	bool rest_changed;  /* everything is to be read again */
	int rest_rc;        /* of that */
	struct err rest_err;
	struct loop_post heard_post;
	bool heard_posted;
	struct loop_post end_post;
	struct loop_post ready_post, begin_post;

	/* the loop's own */
	struct worker_pool *writer;
	struct group groups[2];
	struct group *gathers;
	bool writing;
	bool ending;       /* the loop ends when nothing is left to do */
	size_t n_reading;  /* messages with their devices */
	bool intake_waits; /* heard_run() came while pausing */
	struct route_notes *notes; /* to be published; NULL: none */
	struct list dirty_nodes, dirty_sources, dirty_fields;
	struct loop_defer kick;
	struct map devices;     /* id -> device */
	uint64_t moves;         /* of devices, to another place */
	struct map places;      /* "unit_id network addr" -> device */
	struct map gates;       /* by id */
	struct map gate_places; /* "unit_id code" -> gate */
	struct map held;        /* messages to gateways; see gateway.c */
	uint64_t last_held;
	struct list tests;           /* of connections, see trial.c */
	struct worker_pool *errands; /* of gateways: the store, files */
	char *log_dir, *firmware_dir, *operation_dir;
	struct map profiles; /* "unit code" -> profile */
	struct map quick;    /* "unit gateway.node.source.field" -> field */
	size_t n_fields;
	struct map tasks, schedules, handlers, forwards; /* by id */
	struct map forward_sources; /* the first of each source */
	struct map listeners;       /* what tasks listen to -> them */
	struct list delayed;        /* actions */
	int64_t last_trace;         /* time of the newest trace */
	struct map operations;      /* id -> one that has not ended */
	struct loop_timer resend;   /* of them */
	struct map sent;            /* data id -> downlink */
	struct list sent_order;
	bool closing, begun;
	struct http_client *http; /* of rules and scripts */
	struct list script_fetches;
	struct readings readings; /* of the message in hand */
	struct heap silent; /* devices that are up, by when they are not */
	struct loop_timer silence;
	struct map inbox; /* "network addr" -> item */
	struct list inbox_order;
	struct feed *feed; /* to who follows by WebSocket */
	struct live *live; /* their own loop; any thread */
};

/* model.c */
int model_load(struct hub *h, struct err *err);
void model_free(struct hub *h);
struct device *model_device(struct hub *h, const struct route_uplink *u);
struct device *model_at(struct hub *h, struct str unit_id,
    struct str network_code, struct str addr);
/* Its source, made when there is none. */
struct source *model_source(struct device *d, struct str id, int64_t at);
/* Its field; made for a reading; NULL: there is none, or a limit. */
struct cell *model_find(struct device *d, struct str source, struct str field);
struct cell *model_cell(struct device *d, const struct reading *r);
/* What it is to become: what it was set to and may still report, or is. */
struct str model_wanted(const struct cell *f);
void model_asked(struct cell *f, struct str value);
/* Name, labels and others of `row`, which borrows. */
void model_take_node(struct device *d, const struct hub_node *row);
void model_take_source(struct source *s, const struct hub_source *row);
/* `have` and over it the members of `more`, but for those that a label
 * ignore_KEY keeps as they are. `texts`: values are texts. */
struct str hub_grown(struct arena *a, struct str have, struct str more,
    struct str labels, bool texts);
/* message.c: one message of a device's gateway; values are added to `all`.
 * False: it says that the device can not be reached. Then: objects of texts
 * into its row; one text of `others`. */
bool model_message(struct device *d, const struct gateway_message *m,
    int64_t at, struct readings *all);
void model_merge_node(struct device *d, struct str labels, struct str others);
void model_note(struct device *d, const char *key, struct str text);
/* One reading of a device; false: a limit. */
bool model_read(struct device *d, const struct reading *r, int64_t at);
void model_seen(struct device *d, int64_t at);
void model_heard(struct device *d, int64_t at); /* the state stays */
/* Something else it told of itself, to be found in its `others`; the number
 * `battery_level` is kept over time, too. `value` is JSON. */
void model_node_other(
    struct device *d, struct str key, struct str value, int64_t at);
/* The device asks what a field is: event `requested`, and it is told. */
void model_request(struct device *d, struct str source, struct str field);
/* Looks up what a message would have told. */
void model_know(struct device *d);
/* Tells Home Assistant how it is, and what there is when that is new. */
void model_announce(struct device *d, bool again);
/* Home Assistant is to know of devices, or of none any more. */
void model_announce_all(struct hub *h, bool on);
/* Its last message could be read; it could not. */
void model_well(struct device *d, int64_t at);
void model_trouble(struct device *d, const char *text, int64_t at);
/* It is not there any more, as far as we know. `why` is lent for ever. */
void model_down(struct device *d, const char *why, int64_t at);
/* Is this text one of those that mean yes? */
bool hub_truth(struct str text);
bool hub_has_label(struct str labels, const char *key); /* and it is true */
bool hub_number(struct str text, double *ret);          /* finite */
/* The metric type of a new field with this value. */
struct str model_guessed_type(struct str value);
/* A JSON value as the metric type has it; false: it can not be. */
bool hub_convert(
    struct arena *a, struct str type, struct str value, struct str *ret);
struct cell *model_field(struct hub *h, struct str unit_id, struct str quick);
/* NULL: it has none of this name. */
struct source *model_find_source(struct device *d, struct str name);
/* Everything that differs from the store goes into the gathering group. */
void model_gather(struct hub *h);
/* A group has failed: whatever changes next is written as a whole. */
void model_unsure(struct hub *h);
bool hub_is_metric_type(struct str name);
/* Is it one of these, in any case? An empty list has all. */
bool hub_has(const struct strs *list, struct str s);
/* Has the entity, at all the key paths of an object, the texts it names? */
bool hub_passes(struct str filters, struct str entity);
/* The JSON value at a dotted path, in any case; false: there is none. */
bool hub_json_at(
    struct arena *a, struct str json, struct str path, struct str *value);
/* Reads members of an object, by keys in any case, into texts of a struct: what
 * is no text as its JSON, null not at all. False: it is no object. */
struct hub_text {
	const char *key;
	size_t offset; /* of a struct str */
};
/* The text behind a JSON value: of a string what is in it. */
struct str hub_plain(struct arena *a, struct str value);
/* A member as a text, by its key in any case; STR_NULL: there is none. */
struct str hub_text_at(struct arena *a, struct str json, const char *key);
bool hub_read_texts(struct arena *a, struct str json,
    const struct hub_text *texts, size_t n, void *to);
const struct hub_profile *model_profile(
    struct hub *h, struct str unit_id, struct str code);
/* On the loop: read again what a call has changed. */
void model_reload_profile(struct hub *h, struct str id);
void model_reload_field(struct hub *h, struct str id);
void model_reload_source(struct hub *h, struct str id);
void model_reload_node(struct hub *h, struct str id);
/* Forgets devices that are not there any more: that of "network\naddress",
 * those of "network\n", or of "" any. */
void model_check(struct hub *h, struct str place);

/* event.c: `type` is created, updated, deleted, requested. */
void event_field(struct cell *f, const char *type);
void event_source(struct source *src, const char *type);
void event_node(struct device *d, const char *type);
/* A call has added, changed or deleted a row; the loop itself has changed one
 * in the store. [any thread] */
struct hub_object;
/* Something that is no object of ours: to who follows. [any thread] */
void event_told(void *hub, const struct route_told *t);
bool event_is_wanted(void *hub);
void event_called(struct hub *h, const struct hub_object *o,
    enum rest_verb verb, const void *row);
void event_updated(struct hub *h, const struct hub_object *o, struct str id);
/* On the loop: a row goes to the store; an item of the inbox goes away. */
void event_written(
    struct hub *h, const struct entity *e, const void *row, bool add);
void event_gone(struct hub *h, const struct entity *e, const void *row);
/* The field as it is, for the subscription with this number. */
void event_initial(struct cell *f, uint64_t no);
/* Begins a topic of the device's unit: "marram/demo/". */
void event_topic(struct buf *b, struct device *d);
/* The same for what is of no device; nothing when the unit is gone. */
void event_unit_topic(struct buf *b, struct hub *h, struct str unit_id);
/* Adds one level, with "_" for what a level can not hold. */
void event_level(struct buf *b, struct str s);
/* Publishes; frees both. */
void event_note(
    struct hub *h, struct buf *topic, struct buf *payload, bool retain);
void event_note_at(struct hub *h, struct buf *topic, struct buf *payload,
    uint8_t qos, bool retain);

/* announce.c: Home Assistant. */
void announce_device(struct device *d);
void announce_state(struct device *d);
void announce_gone(struct device *d);
void announce_set(
    struct hub *h, struct str unit_code, struct str place, struct str payload);

/* What has gathered goes to the routing loop. */
void event_kick(struct hub *h);

/* silence.c */
void silence_heard(struct device *d);
/* State or labels have changed. */
void silence_watch(struct device *d);
void silence_forget(struct device *d);
void silence_start(struct hub *h);   /* all devices are loaded */
void silence_changed(struct hub *h); /* its settings have */
void silence_end(struct hub *h);

/* inbox.c */
void inbox_heard(struct hub *h, const struct route_uplink *u);
int inbox_load(struct hub *h, struct err *err);
void inbox_free(struct hub *h);
void inbox_forget(struct hub *h, struct str id);
/* A device has this address now. */
void inbox_known(struct hub *h, const struct route_uplink *u);
extern const struct http_route hub_inbox_rows[];

/* hub.c */
int hub_load(struct hub *h, struct err *err); /* what the store has */
void hub_forget(struct hub *h);               /* all of that */
void hub_maybe_end(struct hub *h);
/* What belongs to units that are not there any more goes. */
void hub_check_units(struct hub *h);

/* rest.c: on the loop; does not return while the hub is at rest. */
void hub_maybe_rest(struct hub *h);
bool hub_is_pausing(struct hub *h);
/* What was loaded begins to act. */
void hub_begin(struct hub *h);

/* objects.c: all that is served, said once. */
struct hub_object {
	const struct rest_object *object;
	unsigned verbs;    /* REST_NO(...) */
	const char *event; /* its entityType */
	/* On the loop: read again what a call has changed. NULL: nothing to. */
	void (*reload)(struct hub *h, struct str id);
	unsigned flags;
};
#define OBJECT_MODEL 1u   /* events of what the loop writes come from model.c */
#define OBJECT_RELOAD 2u  /* events of what calls change come from `reload` */
#define OBJECT_NETWORK 8u /* it is kept beside the networks */
#define OBJECT_RULES 4u   /* tasks hear of it (of fields and the like, too) */
const struct hub_object *hub_object_of(const struct entity *e);
bool hub_is_entity_type(struct str name);
/* objects.c: what access to every object comes down to. */
extern const struct record hub_query_record;
bool hub_limit(struct rest *r, enum rest_verb verb, struct filter *f);
bool hub_may(struct rest *r, enum rest_verb verb, const void *row);
bool hub_before_add(struct rest *r, void *row, void *extra, void *beside);
void hub_changed(struct rest *r, enum rest_verb verb, const void *row);
/* May the caller have handlers of this type? False: answered. */
bool hub_may_have_handler(struct http_call *c, struct str type);
/* inspect.c: what fits into `max` bytes, and does not end within a character.
 */
struct str hub_text_head(struct str s, size_t max);
/* A filter of a list. */
#define BY(param, member)                                                      \
	{                                                                      \
		param, member, COND_EQ                                         \
	}
#define HUB_SHARED                                                             \
	.id = "id", .id_len = ID_LONG, .query = &hub_query_record,             \
	.limit = hub_limit, .may = hub_may, .changed = hub_changed
/* secrets.c: JSON without what is secret; and with what it does not say of
 * that. */
struct str hub_secrets_hidden(struct arena *a, struct str json);
struct str hub_secrets_kept(struct arena *a, struct str now, struct str old);
/* Runs fn(h, ctx) on the loop and waits. [a worker] */
void hub_ask(struct hub *h, void (*fn)(struct hub *h, void *ctx), void *ctx);
/* The same for what takes its time: waits until hub_answer(w) is called, on the
 * loop, by `fn` or later. Then `w` may be gone. [a worker] */
struct hub_wait {
	struct loop_post post;
	struct hub *hub;
	void (*fn)(struct hub *h, struct hub_wait *w);
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};
void hub_await(struct hub *h, void (*fn)(struct hub *h, struct hub_wait *w),
    struct hub_wait *w);
void hub_answer(struct hub_wait *w);
void objects_mount(struct hub *h, http_add_routes *add, void *ctx);
void objects_version(struct hub *h); /* what has versions */
/* Runs fn(h, id) on the loop. [any thread] */
void hub_post(
    struct hub *h, void (*fn)(struct hub *h, struct str id), struct str id);

/* setting.c */
int settings_open(struct hub *h, struct err *err);
void settings_close(struct hub *h);
extern const struct rest_object hub_setting_object;
void settings_mount(struct hub *h, http_add_routes *add, void *ctx);
int hub_check_zone(struct str s, struct err *err);
int hub_check_latitude(struct str s, struct err *err);
int hub_check_longitude(struct str s, struct err *err);

/* A span as Go writes it, in ms; "" gives `def`. */
int hub_duration(struct str s, int64_t def, int64_t *ret, struct err *err);

/* --- gateways (gateway.c) ------------------------------------------------- */

struct gate {
	struct route_gateway row; /* texts in `arena`, as `place` */
	struct hub *hub;
	struct gateway *plug; /* NULL: it could not be opened; see `state` */
	struct gateway_host host;
	unsigned refs, round; /* a plug that was closed has another round */
	bool gone, stale;     /* what is known must be read again */
	bool full;            /* nobody more becomes a device */
	bool stored;          /* gates_check() has found its row */
	struct map known;     /* addr -> known */
	struct map births;    /* addr -> birth */
	struct hub_state state;
	struct str trouble; /* state.message; owned */
	struct str place;   /* in hub->gate_places */
	struct str root;    /* of its topics on our own server */
	struct arena arena;
};

void gate_unref(struct gate *g);
struct gate *gate_by_id(struct hub *h, struct str id);
struct gate *gate_at(struct hub *h, struct str unit_id, struct str code);
/* A device's address as it is spoken. */
struct str gate_spoken(struct gate *g, struct arena *a, struct str addr);
void gate_state(struct gate *g, const char *status, const char *text);
void gate_trouble(struct gate *g, const char *text);
bool gate_order(
    void *owner, const struct route_order *of, struct route_ticket *ticket);
/* Does something on a node, or with "" on the gateway. ERR_PARAM: it can not,
 * says what it can. */
int gate_act(
    struct gate *g, struct str node, struct str action, struct err *err);
/* It as JSON, with its state and without secrets. */
/* Hears what is published on our own server below `root`, which ends with a
 * slash, until gate_ear_end(). */
void *gate_ear(struct hub *h, struct str root, struct str filter,
    gateway_heard *heard, void *heard_ctx);
void gate_ear_end(void *handle);
/* What was heard with this number is stored. */
void gate_taken(struct hub *h, uint64_t number);
struct str gate_json(struct arena *a, const struct gate *g);
/* Devices have changed: "CODE\nADDR", all on networks of that code (ADDR
 * empty), any (""). */
void gates_stale(struct hub *h, struct str place);
int gates_load(struct hub *h, struct err *err);
void gates_start(struct hub *h);
void gates_stop(struct hub *h);
void gates_reload(struct hub *h, struct str id);
void gates_check(struct hub *h);  /* those whose rows have gone end */
void gates_forget(struct hub *h); /* they may be loaded again */
void gates_free(struct hub *h);
void event_gateway(struct gate *g, const char *type);
/* gateway_api.c */
/* gateway_host.publish of one that is only tried: refuses. */
int hub_no_publish(void *ctx, struct str topic, struct str payload, uint8_t qos,
    bool retain, struct err *err);
extern const struct rest_object hub_gateway_object;
extern const struct http_route hub_gateway_rows[];
/* trial.c: connection tests. */
extern const struct http_route hub_trial_rows[];
void trials_end(struct hub *h);
/* firmware.c */
extern const struct entity hub_firmware_entity;
extern const struct rest_object hub_firmware_object;
extern const struct http_route hub_firmware_rows[];
/* Its files go; the rows are the caller's. */
void firmware_unit_gone(struct hub *h, struct str unit_id);
void firmware_for(
    void *ctx, struct str id, gateway_firmware_done *done, void *done_ctx);

/* operation.c */
extern const struct rest_object hub_operation_object, hub_software_object,
    hub_enrolment_object;
int operations_load(struct hub *h, struct err *err);
void operations_free(struct hub *h);
/* On the loop: a call has ordered or deleted one. */
void operation_reload(struct hub *h, struct str id);
/* enrolment.c */
void enrolment_reload(struct hub *h, struct str id);
/* operation_file.c: where a device is to put the file of an operation; with the
 * key, when it is that. Files without an operation go. */
struct str operation_file_url(struct http_call *c, struct str id);
struct str operation_file_keyed(
    struct hub *h, struct arena *a, struct str id, struct str url);
void operation_files_clean(struct hub *h);
extern const struct http_route hub_operation_rows[];
/* Messages can be sent. */
void operations_begin(struct hub *h);
void operations_end(struct hub *h);
/* Those that took too long have failed. */
void operations_check(struct hub *h, struct str unused);
void operations_gone(struct hub *h, struct str device_id);
/* Its device says how far one has come; what is installed on it. */
void operation_heard(struct device *d, struct str id, struct str state);
void software_heard(struct device *d, struct str page);
/* Its network says what became of it. */
void operation_result(
    struct hub *h, struct str id, int64_t status, struct str message);

/* --- rules --------------------------------------------------------------- */

extern const char *const hub_evaluations[], *const hub_dampenings[];
const char *const *hub_handler_types(void);

/* What happened. Texts are lent. */
struct hub_event {
	struct str unit_id, type, entity_type;
	struct str json, entity; /* the whole event; the entity in it */
	struct str place[4];     /* nodeId, fieldId, sourceId, gatewayId */
};

/* One more variable that is there without being asked for. */
struct hub_extra {
	const char *name;
	struct str json; /* STR_NULL: not there */
};

/* A request of a rule that is under way, by webhook.c. Zero-initialise. */
struct hub_hook {
	void (*done)(struct hub_hook *k); /* may end it */
	struct err err;                   /* code 0: it went well */
	struct str answer;                /* lent until done() returns */
	/* its own */
	struct hub *hub;
	struct http_fetch *fetch;
	int64_t code;
	struct arena arena;
};
/* Asks what `config` says: {url or server, api, method, headers,
 * queryParameters, data, insecure, responseCode}, with `body` (STR_NULL: its
 * `data`) unless the method has none. Then done() is called once, later. */
int hub_hook_start(struct hub_hook *k, struct hub *h, struct str config,
    const char *method, struct str body, struct err *err);
void hub_hook_end(struct hub_hook *k); /* done() is not called any more */

/* For the script pool: mcUtils.httpClient. */
int hub_script_http(void *owner, struct script_http *http, struct err *err);
void hub_script_http_end(struct hub *h);

/* Variables being looked up, one after another: a webhook among them takes its
 * time. Zero-initialise; ended by hub_lookup_end(). */
struct hub_lookup {
	struct hub *hub;
	struct str unit_id;
	struct arena *arena; /* of what it finds */
	/* Called once, when hub_lookup() said so; not from within. */
	void (*done)(struct hub_lookup *l, int rc);
	struct err err;
	struct str variables; /* one JSON object; on an error those before it */
	/* its own */
	struct json at;
	struct str name, path; /* of the webhook that is under way */
	struct buf so_far;
	struct hub_hook hook;
};
/* Looks up `variables` beside those that are there already. 0: `l->variables`
 * has them all. 1: done() follows. Negative: see l->err. */
int hub_lookup(struct hub_lookup *l, struct str variables,
    const struct hub_extra *extra, size_t n);
void hub_lookup_end(struct hub_lookup *l);
/* An object of the unit as JSON; a longer quick id goes on inside of it. */
bool hub_object_by_quick_id(struct hub *h, struct str unit_id, struct str type,
    struct str quick, struct arena *a, struct str *ret);
bool hub_labels_match(struct str labels, struct str wanted);
/* Renders a template; what is none is copied. */
int hub_render(struct hub *h, struct arena *a, struct str text, struct str data,
    struct buf *out, struct err *err);
/* The verdict of {"rule":{...}}. */
int hub_rule(struct hub *h, struct str config, struct str variables,
    struct arena *a, bool *triggered, struct err *err);
/* `json` with the value at a dotted path, made if need be, set to `text`: JSON
 * when it begins as an object or list, else a text. */
void hub_json_set(struct arena *a, struct str json, struct str path,
    struct str text, struct buf *out);

/* A run of a rule that has ended: does what it says, when it fired, and writes
 * the trace. All is copied. */
struct action {
	struct str unit_id, rule, event, variables, message;
	bool triggered, fired;
	struct strs handlers;
	struct str parameters;
	struct str more; /* variables that only parameters see; null: none */
	int64_t at;
};
void action_fire(struct hub *h, const struct action *act);
/* What it would tell handlers, as rows of the record. Nobody is told. */
extern const struct record hub_preview_record;
struct rows action_preview(
    struct hub *h, const struct action *act, struct arena *a);
/* Gives a parameter to one handler; `done` as of handler_post(), but it may
 * come before this returns. Else an error, in *stage "open" or "take". */
int handler_try(struct hub *h, struct str unit_id, struct str id,
    struct str json, handler_done *done, void *ctx, const char **stage,
    struct err *err);
/* Acts on what a quick id names ("field:..."). */
int hub_action(struct hub *h, struct str unit_id, struct str resource,
    struct str key_path, struct str payload, struct err *err);

/* One thing that a run has done, in its trace (action.c). The three below may
 * end the run, so `x` is not to be used after them. */
struct outcome;
/* What the trace says of one that had been put off. */
void outcome_end(struct outcome *x, int code, const char *text);
/* Now it is done: `wish` is its parameter. */
void outcome_do(struct outcome *x, struct str wish);
/* One whose run is not known any more gets a trace of its own. */
struct outcome *outcome_later(struct hub *h, struct str unit_id,
    struct str rule, struct str handler, struct str parameter);
/* It has sent a downlink; action_told() is to follow, once with another state
 * than DOWN_WAITS. */
enum down_state { DOWN_WAITS, DOWN_OK, DOWN_FAILED, DOWN_UNKNOWN };
struct down *outcome_down(
    struct outcome *x, struct str field, struct str data_id);
void action_told(
    struct down *d, enum down_state state, int64_t status, struct str message);

/* sent.c: `down` (NULL: nobody) is told what became of it. */
void sent_add(struct hub *h, struct str data_id, struct down *down);
void sent_result(
    struct hub *h, struct str data_id, int64_t status, struct str message);
void sent_forget(struct hub *h);
/* For struct route_tap. */
void sent_heard(
    void *owner, struct str data_id, int64_t status, struct str message);

/* delayed.c: copies; `x` is told. */
void delay(struct hub *h, const struct hub_delayed *what, int64_t ms,
    struct outcome *x);
int delayed_load(struct hub *h, struct err *err);
void delayed_begin(struct hub *h); /* messages can be sent */
void delayed_gone(struct hub *h, struct str unit_id);
void delayed_forget(struct hub *h);

int handlers_load(struct hub *h, struct err *err);
void handlers_reload(struct hub *h, struct str id);
void handlers_free(struct hub *h);

/* seal.c: secrets at rest. A spec (a JSON object) with the members that `r`
 * (may be NULL: none) marks as secret sealed, or readable again. ERR_IO,
 * ERR_DENIED: with a sentence that names the member and the key file. [any
 * thread] */
int hub_seal(struct hub *h, struct arena *a, const struct record *r,
    struct str spec, struct str *ret, struct err *err);
int hub_unseal(struct hub *h, struct arena *a, const struct record *r,
    struct str spec, struct str *ret, struct err *err);
bool hub_is_secret(const struct record *r, struct str member);
/* The same for texts at any depth, by their names (secrets.c). */
int hub_seal_deep(struct hub *h, struct arena *a, struct str json,
    struct str *ret, struct err *err);
int hub_unseal_deep(struct hub *h, struct arena *a, struct str json,
    struct str *ret, struct err *err);
/* Is a member of this name and kind not shown again? */
bool hub_hides(struct str key, enum json_type type);
int seal_open(struct hub *h, const char *dir, struct err *err);
void seal_close(struct hub *h);

/* A spec without its secrets; `secrets` (may be NULL) gets their members, each
 * with a comma before it. */
struct str spec_without_secrets(struct arena *a, const struct record *r,
    struct str spec, struct buf *secrets);
/* `spec` with the secrets of `old` that it does not have. */
struct str spec_with_secrets_of(
    struct arena *a, const struct record *r, struct str spec, struct str old);
/* The rows of a handler's spec. */
const struct record *hub_handler_spec(struct arena *a, struct str type);

/* downlink.c: bytes to a device, with an extension (JSON, or null). */
void device_send(struct device *d, struct str data_id, struct str bytes,
    struct str extension);
/* A script's list of numbers as bytes; false: it is none. */
bool hub_read_bytes(struct arena *a, struct str list, struct buf *out);
/* Asks the device to set a field. `x` (may be NULL) is what does
 * it, and is told what became of it. */
int field_set_to(
    struct cell *f, struct str payload, struct outcome *x, struct err *err);
/* Tells the device what the field is: it has asked, so it is awake. */
int field_tell(struct cell *f, struct err *err);

/* task.c */
int tasks_load(struct hub *h, struct err *err);
void tasks_reload(struct hub *h, struct str id);
void tasks_begin(struct hub *h); /* messages can be sent */
void tasks_hear(struct hub *h, const struct hub_event *e);
void tasks_free(struct hub *h);
/* A task that is only tried: evaluated once, nothing is done or kept. */
struct hub_trial {
	const struct hub_task *row; /* copied */
	struct str event;           /* JSON, or STR_NULL; copied */
	/* Called once, perhaps before task_try() returns. `end` is lent. */
	void (*done)(struct hub_trial *t, const struct action *end);
	struct task *task; /* its own */
};
void task_try(struct hub *h, struct hub_trial *t);
void task_try_end(struct hub_trial *t); /* done() is not called any more */

/* Variables, and over them the members of another object. */
struct str hub_merged(struct arena *a, struct str variables, struct str more);
/* How long a rule's script may run: its label `script_timeout`, or 10 s. */
int64_t hub_script_timeout(struct str labels);
/* Each variable as a global of a script; one more of that name when it is not
 * among them and `json` is not null. */
struct script_var *hub_globals(struct arena *a, struct str variables,
    const char *name, struct str json, size_t *n);
/* A row as JSON, all of it. */
struct str hub_row_json(
    struct arena *a, const struct record *r, const void *row);

/* schedule.c: when it is due next after a moment (TIME_NULL: never), whether it
 * counts then, and what is wrong with it. */
extern const char *const hub_schedule_types[];
int hub_schedule_next(const struct hub_schedule *s,
    const struct hub_place *place, int64_t after, int64_t *ret,
    struct err *err);
bool hub_schedule_valid(
    const struct hub_schedule *s, const struct hub_place *place, int64_t now);
int hub_schedule_check(const struct hub_schedule *s,
    const struct hub_place *place, struct err *err);
int schedules_load(struct hub *h, struct err *err);
void schedules_reload(struct hub *h, struct str id);
/* The place is another: when they are due is found anew. */
void schedules_moved(struct hub *h);
void schedules_free(struct hub *h);
/* Now, whatever the time; it is not counted. ERR_AGAIN: it runs. */
int schedule_run(
    struct hub *h, struct str unit_id, struct str id, struct err *err);

/* rehearse.c */
#define HUB_TASK_MEMBERS                                                       \
	"description labels enabled ignoreDuplicate autoDisable reEnable "     \
	"reEnableDuration variables dampening triggerOnEvent eventFilter "     \
	"executionInterval evaluationType evaluationConfig "                   \
	"handlerParameters handlers"
#define HUB_SCHEDULE_MEMBERS                                                   \
	"description enabled labels validity variables customVariableType "    \
	"customVariableConfig handlerParameters handlers"
extern const struct http_route hub_rehearse_rows[];

/* forward.c */
int forwards_load(struct hub *h, struct err *err);
void forwards_reload(struct hub *h, struct str id);
void forwards_hear(struct hub *h, struct cell *f);
void forwards_free(struct hub *h);

#endif

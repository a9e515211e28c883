/*
 * core/hub/entities.c - what values and rules are made of: the rows.
 *
 * Members have MyController's names. Every row begins with its id and its unit,
 * so that access is decided in one place for all (objects.c).
 */
#include "core/hub/private.h"

#include "core/rest/check.h"
#include "plug/handler/handler.h"

const char *const hub_metric_types[] = { "none", "string", "counter", "gauge",
	"gauge_float", "binary", "geo", NULL };

bool
hub_is_metric_type(struct str name)
{
	const struct field any = { .one_of = hub_metric_types };

	return field_choose(&any, name, NULL) == 0;
}

/* Ids that people choose become parts of quick ids and of paths. */
int
hub_check_id(struct str s, struct err *err)
{
	if (s.len == 0)
		return err_set(err, ERR_PARAM, "must not be empty");
	for (size_t i = 0; i < s.len; i++)
		if ((s.ptr[i] < 'a' || s.ptr[i] > 'z') &&
		    (s.ptr[i] < 'A' || s.ptr[i] > 'Z') &&
		    (s.ptr[i] < '0' || s.ptr[i] > '9') && s.ptr[i] != '_' &&
		    s.ptr[i] != '-')
			return err_set(err, ERR_PARAM,
			    "may hold letters, digits, \"_\" and \"-\"");
	if (str_eqz(s, "count") || str_eqz(s, "list"))
		return err_set(err, ERR_PARAM, "is a word of the API");
	return 0;
}

static int
check_duration(struct str s, struct err *err)
{
	int64_t ms;

	return hub_duration(s, 0, &ms, err);
}

#define IDS(S, ...)                                                            \
	F_TEXT(S, id, "id", .max = 128, __VA_ARGS__),                          \
	    F_TEXT(S, unit_id, "unitId", .help = "The unit it belongs to.")
#define CHOSEN(S, what)                                                        \
	IDS(S, .check = hub_check_id,                                          \
	    .help = "Identifies the " what                                     \
		    "; chosen at will, it never changes. Left out: one is "    \
		    "made.")
#define DESCRIPTION(S)                                                         \
	F_TEXT(S, description, "description", .def = "\"\"", .max = 4096,      \
	    .help = "What people read.")
#define LABELS(S)                                                              \
	F_JSON(S, labels, "labels", .flags = FIELD_OBJECT, .def = "{}",        \
	    .help = "Texts by key, to find it by.")
#define OTHERS(S)                                                              \
	F_JSON(S, others, "others", .flags = FIELD_OBJECT, .def = "{}",        \
	    .help = "What else it told of itself.")
#define ENABLED(S)                                                             \
	F_BOOL(S, enabled, "enabled", .def = "true",                           \
	    .help = "Whether it does anything.")
#define MODIFIED(S) F_TIME(S, modified_at, "modifiedOn", .flags = FIELD_NULL)
#define UNIT_INDEX                                                             \
	(const struct entity_key[])                                            \
	{                                                                      \
		{ "unitId", { "unitId" } },                                    \
		{                                                              \
			0                                                      \
		}                                                              \
	}
#define ID_KEY                                                                 \
	(const struct entity_key[])                                            \
	{                                                                      \
		{ "id", { "id" } },                                            \
		{                                                              \
			0                                                      \
		}                                                              \
	}

/* --- profiles ------------------------------------------------------------ */

#define P struct hub_profile
static const struct field profile_fields[] = {
	IDS(P, .help = "Identifies the profile."),
	F_TEXT(P, code, "code", .flags = FIELD_LOWER, .check = check_code,
	    .max = 128, .help = "What devices name as their profile."),
	F_TEXT(P, name, "name", .def = "\"\"", .max = 1024,
	    .help = "What people read."),
	F_TEXT(P, codec, "codec", .def = "\"json\"", .one_of = hub_codecs,
	    .help =
		"How payloads are read: `json` (values at `paths`, or all "
		"there are), `cayenne`, `thin_edge_json`, `javascript` (the "
		"functions of LoRaWAN codecs), or `none`."),
	F_TEXT(P, script, "script", .def = "\"\"", .max = 256 << 10,
	    .format = "text/javascript", .help = "Of a JavaScript codec."),
	F_JSON(P, paths, "paths", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "For `json`: names of fields, each with the dotted path "
		    "of its value. Empty: all values, by their own names."),
	F_JSON(P, fields, "fields", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "What is known of its fields, by name: {\"unit\", "
		    "\"metricType\", \"name\", \"nodeOther\"}; the last "
		    "one is the name it has among the device's others, as "
		    "battery_level."),
	MODIFIED(P),
	{ 0 },
};
const struct entity hub_profile_entity = {
	.record = { "profile", sizeof(P), profile_fields },
	.table = "profile",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "code", { "unitId", "code" } }, { 0 } },
	.help = "What kind of device it is: how its payloads are read.",
};

/* --- devices, sources, fields -------------------------------------------- */

static const char *const states[] = { "unavailable", "up", "down", "ok",
	"error", NULL };

static const struct field state_fields[] = {
	F_TEXT(struct hub_state, status, "status", .def = "\"unavailable\"",
	    .one_of = states),
	F_TEXT(struct hub_state, message, "message", .def = "\"\""),
	F_TIME(struct hub_state, since, "since", .flags = FIELD_NULL),
	{ 0 },
};
const struct record hub_state_record = { "state", sizeof(struct hub_state),
	state_fields };

#define PLACE(S)                                                               \
	F_TEXT(S, gateway_id, "gatewayId", .help = "Code of the network."),    \
	    F_TEXT(S, node_id, "nodeId", .help = "Address of the device.")

#define N struct hub_node
static const struct field node_fields[] = {
	IDS(N, .help = "The device's id."),
	PLACE(N),
	F_TEXT(N, name, "name", .def = "\"\"", .max = 1024,
	    .help = "What people read."),
	F_RECORD(
	    N, state, struct hub_state, "state", .record = &hub_state_record),
	LABELS(N),
	OTHERS(N),
	F_TIME(N, last_seen, "lastSeen", .flags = FIELD_NULL),
	MODIFIED(N),
	{ 0 },
};
const struct entity hub_node_entity = {
	.record = { "node", sizeof(N), node_fields },
	.table = "node",
	.version = 1,
	.keys = ID_KEY,
	.indexes = UNIT_INDEX,
	.help = "What is known of a device beside its row.",
};

#define S struct hub_source
static const struct field source_fields[] = {
	IDS(S, .help = "Identifies the source."),
	F_TEXT(S, device_id, "deviceId", .help = "The device it is a part of."),
	PLACE(S),
	F_TEXT(S, source_id, "sourceId", .help = "Its name on the device."),
	F_TEXT(S, name, "name", .def = "\"\"", .max = 1024,
	    .help = "What people read."),
	LABELS(S),
	OTHERS(S),
	F_TIME(S, last_seen, "lastSeen", .flags = FIELD_NULL),
	MODIFIED(S),
	{ 0 },
};
const struct entity hub_source_entity = {
	.record = { "source", sizeof(S), source_fields },
	.table = "source",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "place", { "deviceId", "sourceId" } }, { 0 } },
	.indexes = UNIT_INDEX,
	.refs =
	    (const struct entity_ref[]){
		{ "deviceId", "node", "id", ENTITY_CASCADE }, { 0 } },
	.help = "A part of a device: a group of values.",
};

static const struct field value_fields[] = {
	F_JSON(struct hub_value, value, "value", .flags = FIELD_NULL),
	F_BOOL(struct hub_value, is_received, "isReceived", .def = "false"),
	F_TIME(struct hub_value, timestamp, "timestamp", .flags = FIELD_NULL),
	{ 0 },
};
static const struct record value_record = { "value", sizeof(struct hub_value),
	value_fields };

static const struct field formatter_fields[] = {
	F_TEXT(struct hub_formatter, on_receive, "onReceive", .def = "\"\"",
	    .format = "text/javascript", .max = 64 << 10,
	    .help = "JavaScript that turns `value` into what is kept: a value, "
		    "an object {value, fieldId, sourceId, name, unit, "
		    "metricType, labels, others}, or a list of such. It sees "
		    "lastValue and previousValue, too."),
	{ 0 },
};
static const struct record formatter_record = { "formatter",
	sizeof(struct hub_formatter), formatter_fields };

#define F struct hub_field
static const struct field field_fields[] = {
	IDS(F, .help = "Identifies the field."),
	F_TEXT(F, device_id, "deviceId", .help = "The device it is a part of."),
	PLACE(F),
	F_TEXT(F, source_id, "sourceId", .help = "The part of the device."),
	F_TEXT(F, field_id, "fieldId", .help = "Its name there."),
	F_TEXT(F, name, "name", .def = "\"\"", .max = 1024,
	    .help = "What people read."),
	F_TEXT(F, metric_type, "metricType", .def = "\"none\"",
	    .one_of = hub_metric_types,
	    .help = "What is kept of its history: none, string, counter, "
		    "gauge, gauge_float, binary or geo."),
	F_RECORD(
	    F, current, struct hub_value, "current", .record = &value_record),
	F_RECORD(
	    F, previous, struct hub_value, "previous", .record = &value_record),
	F_RECORD(F, formatter, struct hub_formatter, "formatter",
	    .record = &formatter_record,
	    .help = "{\"onReceive\"}: JavaScript that turns what the device "
		    "sent into what is kept."),
	F_TEXT(F, unit, "unit", .def = "\"\"", .max = 64,
	    .help = "Of measurement."),
	LABELS(F),
	OTHERS(F),
	F_TIME(F, no_change_since, "noChangeSince", .flags = FIELD_NULL),
	F_TIME(F, last_seen, "lastSeen", .flags = FIELD_NULL),
	MODIFIED(F),
	{ 0 },
};
const struct entity hub_field_entity = {
	.record = { "field", sizeof(F), field_fields },
	.table = "field",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "place", { "deviceId", "sourceId", "fieldId" } }, { 0 } },
	.indexes = UNIT_INDEX,
	.refs =
	    (const struct entity_ref[]){
		{ "deviceId", "node", "id", ENTITY_CASCADE }, { 0 } },
	.help = "One value of a device, now and before.",
};

/* --- the inbox ----------------------------------------------------------- */

#define I struct hub_inbox
static const struct field inbox_fields[] = {
	IDS(I, .help = "Identifies what was heard."),
	F_TEXT(I, network_id, "networkId", .help = "The network it is on."),
	F_TEXT(I, network_code, "networkCode"),
	F_TEXT(I, network_addr, "networkAddr", .help = "Its address there."),
	F_TEXT(I, guess, "guess", .def = "\"\"",
	    .help = "The codec that seems to fit its last payload."),
	F_TEXT(I, data, "data", .def = "\"\"", .help = "That payload, in hex."),
	F_INT(I, count, "count", .help = "Messages so far."),
	F_TIME(I, first_seen, "firstSeen"),
	F_TIME(I, last_seen, "lastSeen"),
	{ 0 },
};
const struct entity hub_inbox_entity = {
	.record = { "inbox", sizeof(I), inbox_fields },
	.table = "inbox",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "address", { "networkId", "networkAddr" } }, { 0 } },
	.indexes = UNIT_INDEX,
	.help = "An address that was heard and that no device has.",
};

/* --- what rules share
 * --------------------------------------------------------------- */

#define D struct hub_repository
static const struct field repository_fields[] = {
	CHOSEN(D, "record"),
	DESCRIPTION(D),
	F_BOOL(D, read_only, "readOnly", .def = "false",
	    .help = "Rules may not change it."),
	LABELS(D),
	F_JSON(D, data, "data", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "Anything, for rules to read and to keep."),
	MODIFIED(D),
	{ 0 },
};
const struct entity hub_repository_entity = {
	.record = { "dataRepository", sizeof(D), repository_fields },
	.table = "data_repository",
	.version = 1,
	.keys = ID_KEY,
	.indexes = UNIT_INDEX,
	.help = "Data that rules share.",
};

#define H struct hub_handler
static const struct field handler_rows[] = {
	CHOSEN(H, "handler"),
	DESCRIPTION(H),
	ENABLED(H),
	LABELS(H),
	F_TEXT(H, type, "type", .one_of_fn = hub_handler_types,
	    .help = "What it does: see the guide."),
	F_JSON(H, spec, "spec", .flags = FIELD_OBJECT | FIELD_SECRET,
	    .def = "{}", .one_of_fn = hub_handler_types, .spec = handler_spec,
	    .help = "Its settings, by type."),
	F_RECORD(
	    H, state, struct hub_state, "state", .record = &hub_state_record),
	MODIFIED(H),
	{ 0 },
};
const struct entity hub_handler_entity = {
	.record = { "handler", sizeof(H), handler_rows },
	.table = "handler",
	.version = 1,
	.keys = ID_KEY,
	.indexes = UNIT_INDEX,
	.help = "Where what rules have decided is done.",
};

#define W struct hub_forward
static const struct field forward_fields[] = {
	CHOSEN(W, "forward"),
	DESCRIPTION(W),
	ENABLED(W),
	F_TEXT(W, src_field_id, "srcFieldId", .max = 1024,
	    .help = "Quick id of the field whose values are forwarded."),
	F_TEXT(W, dst_field_id, "dstFieldId", .max = 1024,
	    .help = "Quick id of the field that is set to them."),
	LABELS(W),
	MODIFIED(W),
	{ 0 },
};
const struct entity hub_forward_entity = {
	.record = { "forwardPayload", sizeof(W), forward_fields },
	.table = "forward_payload",
	.version = 1,
	.keys = ID_KEY,
	.indexes = UNIT_INDEX,
	.help = "Each new value of one field is sent to another.",
};

static const struct field dampening_fields[] = {
	F_TEXT(struct hub_dampening, type, "type", .def = "\"none\"",
	    .one_of = hub_dampenings, .flags = FIELD_BLANK,
	    .help = "none, consecutive, evaluation or active_duration."),
	F_INT(struct hub_dampening, occurrences, "occurrences", .def = "0",
	    .min = 0, .max = 1000, .help = "How often it must be true."),
	F_INT(struct hub_dampening, evaluation, "evaluation", .def = "0",
	    .min = 0, .max = 1000, .help = "Among how many evaluations."),
	F_TEXT(struct hub_dampening, active_duration, "activeDuration",
	    .def = "\"\"", .check = check_duration,
	    .help = "For how long it must be true."),
	{ 0 },
};
static const struct record dampening_record = { "dampening",
	sizeof(struct hub_dampening), dampening_fields };

static const char *const event_types[] = { "created", "updated", "deleted",
	"requested", NULL };

static const struct field event_filter_fields[] = {
	F_TEXTS(struct hub_event_filter, event_types, "eventTypes",
	    .one_of = event_types,
	    .help = "created, updated, deleted, requested; empty: all."),
	F_TEXTS(struct hub_event_filter, entity_types, "entityTypes",
	    .help = "node, source, field, data_repository; empty: all."),
	F_JSON(struct hub_event_filter, filters, "filters",
	    .flags = FIELD_OBJECT, .def = "{}",
	    .help = "Key paths and the texts they must have."),
	{ 0 },
};
static const struct record event_filter_record = { "eventFilter",
	sizeof(struct hub_event_filter), event_filter_fields };

static const struct field task_state_fields[] = {
	F_TIME(struct hub_task_state, last_evaluation, "lastEvaluation",
	    .flags = FIELD_NULL),
	F_TIME(struct hub_task_state, last_success, "lastSuccess",
	    .flags = FIELD_NULL),
	F_TEXT(struct hub_task_state, message, "message", .def = "\"\""),
	F_BOOL(struct hub_task_state, last_status, "lastStatus"),
	F_INT(
	    struct hub_task_state, executed_count, "executedCount", .def = "0"),
	F_TIME(struct hub_task_state, active_since, "activeSince",
	    .flags = FIELD_NULL),
	F_JSON(
	    struct hub_task_state, history, "executionsHistory", .def = "[]"),
	{ 0 },
};
static const struct record task_state_record = { "taskState",
	sizeof(struct hub_task_state), task_state_fields };

#define T struct hub_task
static const struct field task_fields[] = {
	CHOSEN(T, "task"),
	DESCRIPTION(T),
	LABELS(T),
	ENABLED(T),
	F_BOOL(T, ignore_duplicate, "ignoreDuplicate", .def = "false",
	    .help = "Do nothing while it goes on being true."),
	F_BOOL(T, auto_disable, "autoDisable", .def = "false",
	    .help = "Disable it once it has fired."),
	F_BOOL(T, re_enable, "reEnable", .def = "false",
	    .help = "Enable it again after a while."),
	F_TEXT(T, re_enable_duration, "reEnableDuration", .def = "\"\"",
	    .check = check_duration, .help = "That while."),
	F_JSON(T, variables, "variables", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "What is looked up before an evaluation, by name."),
	F_RECORD(T, dampening, struct hub_dampening, "dampening",
	    .record = &dampening_record,
	    .help = "How often, or for how long, it must be true before "
		    "handlers are told."),
	F_BOOL(T, trigger_on_event, "triggerOnEvent", .def = "true",
	    .help = "Evaluate on events; else every executionInterval."),
	F_RECORD(T, event_filter, struct hub_event_filter, "eventFilter",
	    .record = &event_filter_record,
	    .help = "Which events bring about an evaluation."),
	F_TEXT(T, execution_interval, "executionInterval", .def = "\"\"",
	    .check = check_duration, .help = "Between evaluations."),
	F_TEXT(T, evaluation_type, "evaluationType", .def = "\"rule\"",
	    .one_of = hub_evaluations, .help = "rule, javascript or webhook."),
	F_JSON(T, evaluation_config, "evaluationConfig", .flags = FIELD_OBJECT,
	    .def = "{}",
	    .help = "{\"rule\":{\"matchAll\",\"conditions\"}}, "
		    "{\"javascript\":\"...\"} or {\"webhook\":{\"url\", "
		    "\"method\", \"headers\", \"queryParameters\", "
		    "\"insecure\", \"includeConfig\"}}."),
	F_JSON(T, handler_parameters, "handlerParameters",
	    .flags = FIELD_OBJECT, .def = "{}",
	    .help = "What handlers are given, by name."),
	F_TEXTS(T, handlers, "handlers", .max = 100,
	    .help = "Ids of the handlers."),
	F_RECORD(T, state, struct hub_task_state, "state",
	    .record = &task_state_record),
	MODIFIED(T),
	{ 0 },
};
const struct entity hub_task_entity = {
	.record = { "task", sizeof(T), task_fields },
	.table = "task",
	.version = 1,
	.keys = ID_KEY,
	.indexes = UNIT_INDEX,
	.help = "When something is so, handlers are told.",
};

static const char *const custom_types[] = { "none", "javascript", "webhook",
	NULL };

#define SPAN struct hub_span
static const struct field span_fields[] = {
	F_TEXT(SPAN, from, "from", .def = "\"\""),
	F_TEXT(SPAN, to, "to", .def = "\"\""),
	{ 0 },
};
static const struct record span_record = { "span", sizeof(SPAN), span_fields };

#define V struct hub_validity
static const struct field validity_fields[] = {
	F_BOOL(V, enabled, "enabled", .def = "false",
	    .help = "Whether it counts only then."),
	F_RECORD(V, date, SPAN, "date", .record = &span_record,
	    .help = "Days, as 2026-05-01."),
	F_RECORD(V, time, SPAN, "time", .record = &span_record,
	    .help = "Times, as 07:30."),
	F_BOOL(V, every_day, "validateTimeEveryday", .def = "false",
	    .help = "The times are those of each day; else of the first and "
		    "the last one."),
	{ 0 },
};
static const struct record validity_record = { "validity", sizeof(V),
	validity_fields };

#define SS struct hub_schedule_state
static const struct field schedule_state_fields[] = {
	F_TIME(SS, last_run, "lastRun", .flags = FIELD_NULL),
	F_BOOL(SS, last_status, "lastStatus"),
	F_TEXT(SS, message, "message", .def = "\"\""),
	F_INT(SS, executed_count, "executedCount", .def = "0"),
	{ 0 },
};
static const struct record schedule_state_record = { "scheduleState",
	sizeof(SS), schedule_state_fields };

#define L struct hub_schedule
static const struct field schedule_fields[] = {
	CHOSEN(L, "schedule"),
	DESCRIPTION(L),
	ENABLED(L),
	LABELS(L),
	F_RECORD(L, validity, V, "validity", .record = &validity_record,
	    .help = "Days and hours at which it counts."),
	F_TEXT(L, type, "type", .one_of = hub_schedule_types,
	    .help = "repeat, cron, simple, sunrise or sunset."),
	F_JSON(L, spec, "spec", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "repeat: interval, repeatCount; cron: cronExpression; "
		    "else frequency (daily, weekly, monthly, on_date), "
		    "dayOfWeek, dateOfMonth, date, time, offset."),
	F_JSON(L, variables, "variables", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "What is looked up, by name."),
	F_TEXT(L, custom_type, "customVariableType", .def = "\"none\"",
	    .one_of = custom_types, .help = "none, javascript or webhook."),
	F_JSON(L, custom_config, "customVariableConfig", .flags = FIELD_OBJECT,
	    .def = "{}",
	    .help = "{\"javascript\":\"...\"} or {\"webhook\":{...}} as of "
		    "tasks: the object it gives adds variables."),
	F_JSON(L, handler_parameters, "handlerParameters",
	    .flags = FIELD_OBJECT, .def = "{}",
	    .help = "What handlers are given, by name."),
	F_TEXTS(L, handlers, "handlers", .max = 100,
	    .help = "Ids of the handlers."),
	F_RECORD(L, state, SS, "state", .record = &schedule_state_record),
	MODIFIED(L),
	{ 0 },
};
const struct entity hub_schedule_entity = {
	.record = { "schedule", sizeof(L), schedule_fields },
	.table = "schedule",
	.version = 1,
	.keys = ID_KEY,
	.indexes = UNIT_INDEX,
	.help = "At some time, handlers are told.",
};

#define R struct hub_trace
static const struct field trace_fields[] = {
	IDS(R, .help = "Identifies the run."),
	F_TEXT(R, rule, "rule", .help = "Quick id: task:fan_on."),
	F_TIME(R, at, "timestamp"),
	F_JSON(R, event, "event", .flags = FIELD_NULL,
	    .help = "What brought it about."),
	F_JSON(R, variables, "variables", .flags = FIELD_NULL,
	    .help = "What was looked up."),
	F_BOOL(R, triggered, "isTriggered", .help = "The verdict."),
	F_BOOL(R, fired, "isFired",
	    .help = "Whether, with dampening, handlers were told."),
	F_TEXT(R, message, "message", .def = "\"\"",
	    .help = "Why not, or what went wrong."),
	F_JSON(R, actions, "actions", .def = "[]",
	    .help = "What each handler did, and what became of the "
		    "downlinks it sent."),
	F_INT(R, took_ms, "took", .def = "0",
	    .help = "Milliseconds, from what brought it about to the last "
		    "handler's answer."),
	{ 0 },
};
const struct entity hub_trace_entity = {
	.record = { "trace", sizeof(R), trace_fields },
	.table = "trace",
	.version = 1,
	.keys = ID_KEY,
	.indexes = (const struct entity_key[]){ { "unitId", { "unitId" } },
	    { "rule", { "rule", "timestamp" } }, { "at", { "timestamp" } },
	    { 0 } },
	.help = "One run of a rule: why, with what, and what was done.",
};

#define Y struct hub_delayed
static const struct field delayed_fields[] = {
	IDS(Y, .help = "Identifies what waits."),
	F_TEXT(Y, rule, "rule", .help = "Quick id of the rule."),
	F_TEXT(Y, handler, "handler", .help = "The handler it was given to."),
	F_TEXT(Y, parameter, "parameter", .help = "The parameter's name."),
	F_JSON(Y, wish, "wish", .help = "The parameter, rendered."),
	F_TIME(Y, due, "due", .help = "When it is to be done."),
	{ 0 },
};
const struct entity hub_delayed_entity = {
	.record = { "delayedAction", sizeof(Y), delayed_fields },
	.table = "delayed_action",
	.version = 1,
	.keys = ID_KEY,
	.indexes = UNIT_INDEX,
	.help = "An action that waits for its preDelay.",
};

#define B struct hub_dashboard
static int
check_widgets(struct str s, struct err *err)
{
	return s.len > 0 && s.ptr[0] == '['
	    ? 0
	    : err_set(err, ERR_PARAM, "must be a list of widgets");
}

static const struct field dashboard_fields[] = {
	CHOSEN(B, "dashboard"),
	F_TEXT(B, type, "type", .def = "\"desktop\"", .max = 32,
	    .help = "What screen it is for."),
	F_TEXT(B, title, "title", .max = 256, .help = "What people read."),
	DESCRIPTION(B),
	F_BOOL(
	    B, favorite, "favorite", .def = "false", .help = "Listed first."),
	F_BOOL(B, disabled, "disabled", .def = "false",
	    .help = "Not shown to choose from."),
	LABELS(B),
	F_JSON(B, widgets, "widgets", .check = check_widgets, .def = "[]",
	    .help = "A list of {id, title, showTitle, type, layout, config}."),
	MODIFIED(B),
	{ 0 },
};
const struct entity hub_dashboard_entity = {
	.record = { "dashboard", sizeof(B), dashboard_fields },
	.table = "dashboard",
	.version = 1,
	.keys = ID_KEY,
	.indexes = UNIT_INDEX,
	.help = "Widgets on a page.",
};

#define G struct hub_setting
static const struct field setting_fields[] = {
	F_TEXT(G, id, "id"),
	F_TEXT(G, value, "value"),
	F_TEXT(G, user_id, "userId"),
	F_TIME(G, modified_at, "modifiedOn"),
	{ 0 },
};
const struct entity hub_setting_entity = {
	.record = { "setting", sizeof(G), setting_fields },
	.table = "setting",
	.version = 1,
	.keys = ID_KEY,
	.help = "A setting that was changed while the program ran.",
};

/* The last one is of no unit. */
const struct entity *const hub_entities[] = { &hub_profile_entity,
	&hub_node_entity, &hub_source_entity, &hub_field_entity,
	&hub_firmware_entity, &hub_inbox_entity, &hub_repository_entity,
	&hub_handler_entity, &hub_forward_entity, &hub_task_entity,
	&hub_schedule_entity, &hub_trace_entity, &hub_dashboard_entity,
	&hub_delayed_entity, &hub_operation_entity, &hub_software_entity,
	&hub_setting_entity, &rest_version_entity, NULL };

/* --- settings ------------------------------------------------------------ */

#define C struct hub_conf
const struct conf_field hub_fields[] = {
	STORE_ROWS(C, "hub.db", "hub", "values and rules"),
	CONF_TEXT(C, key_file, "keyFile",
	    .help = "File with the key that seals passwords and tokens of "
		    "handlers in the database; made at the first start. Not "
		    "set: hub.key in the data folder. Keep a copy, apart from "
		    "those of the database."),
	CONF_BOOL(C, home_assistant, "homeAssistant", .def = "true",
	    .live = true,
	    .help = "Announce devices by MQTT discovery. In Home Assistant the "
		    "discovery prefix is marram/UNIT/ha, the account that of "
		    "an application of the unit."),
	CONF_TEXT(C, time_zone, "timeZone", .live = true,
	    .check = hub_check_zone,
	    .help = "Whose clock schedules go by, as Europe/Berlin. Not set: "
		    "the machine's."),
	CONF_TEXT(C, latitude, "latitude", .live = true,
	    .check = hub_check_latitude,
	    .help = "Where the site is, in degrees, for sunrise and sunset."),
	CONF_TEXT(C, longitude, "longitude", .live = true,
	    .check = hub_check_longitude, .help = "The same, to the east."),
	CONF_SIZE(C, firmware_max, "firmwareMax", .def = "16MiB", .min = 1024,
	    .max = 256 << 20, .help = "Bytes of one file of firmware."),
	CONF_INT(C, queue_max, "queueMax", .def = "100000", .min = 100,
	    .max = 10000000,
	    .help = "Uplink messages that may wait to be read; beyond it they "
		    "are not acknowledged."),
	CONF_INT(C, inbox_max, "inboxMax", .def = "10000", .min = 0,
	    .live = true, .max = 10000000,
	    .help = "Unknown addresses that are listed; 0: none."),
	CONF_INT(C, fields_max, "fieldsMax", .def = "1000000", .min = 1,
	    .live = true, .max = 100000000, .help = "Fields at most."),
	CONF_INT(C, fields_per_device, "fieldsPerDevice", .def = "1000",
	    .live = true, .min = 1, .max = 1000000,
	    .help = "Fields of one device at most."),
	CONF_SIZE(C, notes_max, "notesMax", .def = "16KiB", .min = 256,
	    .max = 1 << 20,
	    .help = "Bytes of the labels, and of what else it told, that a "
		    "device, a source or a field may gather from messages. "
		    "What goes beyond is not taken, and counted."),
	CONF_MS(C, trace_ms, "traceRetention", .def = "7d", .min = 60000,
	    .live = true, .max = (int64_t)3650 * 86400000,
	    .help = "How long the runs of rules are kept."),
	CONF_MS(C, node_state_ms, "nodeState.interval", .def = "15m",
	    .live = true, .min = 100, .max = 86400000,
	    .help = "How often it is looked for devices that are down."),
	CONF_MS(C, node_inactive_ms, "nodeState.inactive", .def = "15m",
	    .live = true, .min = 0, .max = (int64_t)3650 * 86400000,
	    .help = "A device that was not heard of for so long is down, "
		    "unless its label inactive_duration says another time. "
		    "0s: only those with the label."),
	CONF_INT(C, task_queue, "taskQueue", .def = "100", .min = 1,
	    .max = 100000,
	    .help = "Events that may wait for one task while its script or "
		    "webhook decides; more are not heard."),
	CONF_INT(C, delayed_max, "preDelayMax", .def = "10000", .min = 1,
	    .max = 1000000,
	    .help = "Actions that may wait for their preDelay."),
	CONF_MS(C, delayed_late_ms, "preDelayLate", .def = "1m", .min = 0,
	    .max = (int64_t)3650 * 86400000,
	    .help = "How late such an action is still done when it fell due "
		    "while the program did not run; one that is later is "
		    "dropped, which is logged."),
	CONF_INT(C, downlinks_max, "downlinksMax", .def = "10000", .min = 1,
	    .max = 1000000,
	    .help = "Downlinks of rules whose result is waited for; of older "
		    "ones it is not shown."),
	CONF_MS(C, downlink_result_ms, "downlinkResult", .def = "1d",
	    .min = 1000, .max = (int64_t)365 * 86400000,
	    .help = "How long it is waited for."),
	CONF_INT(C, operations_open, "operationsOpen", .def = "20", .min = 1,
	    .max = 10000,
	    .help = "Operations of one device that may wait for their end."),
	CONF_MS(C, operation_ms, "operationTime", .def = "7d", .min = 1000,
	    .max = (int64_t)365 * 86400000,
	    .help = "An operation that has not ended by then has failed; its "
		    "gateway may give it less."),
	CONF_MS(C, operation_kept_ms, "operationRetention", .def = "90d",
	    .min = 60000, .max = (int64_t)3650 * 86400000,
	    .help = "How long operations are kept."),
	CONF_MS(C, webhook_ms, "webhookTimeout", .def = "10s", .min = 100,
	    .max = 600000,
	    .help = "Longest time for a webhook of a task, schedule or "
		    "variable."),
	CONF_SIZE(C, webhook_size, "webhookSize", .def = "256KiB", .min = 1024,
	    .max = 16 << 20, .help = "Longest answer to it."),
	CONF_INT(C, http_at_once, "httpAtOnce", .def = "64", .min = 1,
	    .max = 10000,
	    .help = "Connections that webhooks and scripts have at a time; "
		    "more requests wait, by their own time."),
	CONF_INT(C, http_per_host, "httpPerHost", .def = "8", .min = 1,
	    .max = 10000, .help = "Of them, to one host."),
	CONF_MS(C, try_ms, "tryTimeout", .def = "30s", .min = 100,
	    .max = 600000,
	    .help = "How long it is waited for the end of a task, or of a "
		    "handler's message, that is only tried."),
	CONF_INT(C, trace_max, "traceMax", .def = "100000", .min = 100,
	    .live = true, .max = 100000000,
	    .help = "Runs of rules that are kept at most."),
	{ 0 },
};

#undef C
#define C struct live_conf
const struct conf_field hub_live_fields[] = {
	CONF_INT(C, connections, "connections", .def = "1000", .min = 0,
	    .max = 100000,
	    .help = "WebSocket connections to /ws at a time; 0: there is no "
		    "such path."),
	CONF_INT(C, logins, "logins", .def = "100", .min = 1, .max = 100000,
	    .help = "Of them, those that have not shown a valid token yet."),
	CONF_MS(C, login_ms, "loginTimeout", .def = "10s", .min = 100,
	    .max = 600000,
	    .help = "How long a connection may take to show its token."),
	CONF_MS(C, check_ms, "checkInterval", .def = "30s", .min = 100,
	    .max = 60000,
	    .help = "How often tokens and memberships of those who are "
		    "connected are looked up again."),
	CONF_MS(C, ping_ms, "pingInterval", .def = "30s", .min = 100,
	    .max = 3600000,
	    .help = "How often a client is asked whether it is there. One that "
		    "was silent for two of them is dropped."),
	CONF_INT(C, subscriptions, "subscriptions", .def = "100", .min = 1,
	    .max = 10000, .help = "Subscriptions of one connection at most."),
	CONF_INT(C, initial_max, "initialMax", .def = "100000", .min = 0,
	    .max = 10000000,
	    .help = "Fields whose values one subscription may ask for first."),
	CONF_SIZE(C, message_max, "messageMax", .def = "64KiB", .min = 1024,
	    .max = 16 << 20, .help = "Largest message of a client."),
	CONF_SIZE(C, queue_max, "queueMax", .def = "1MiB", .min = 65536,
	    .max = 1 << 30,
	    .help = "What may wait for one slow client. From a quarter of it "
		    "on only the newest state of an object is kept; beyond it "
		    "events are dropped, and the client is told how many."),
	CONF_SIZE(C, backlog_max, "backlogMax", .def = "64MiB", .min = 1 << 20,
	    .max = (int64_t)1 << 34,
	    .help = "Events that may wait to be shared out to clients."),
	CONF_INT(C, topic_rate, "topicRate", .def = "200", .min = 1,
	    .max = 100000,
	    .help = "Messages a second that a subscription to topics gets; of "
		    "what passes beyond, it is told the number."),
	CONF_SIZE(C, payload_max, "payloadMax", .def = "4KiB", .min = 64,
	    .max = 1 << 20,
	    .help = "Of each of them so much of the payload is shown."),
	{ 0 },
};

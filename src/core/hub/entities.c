/*
 * core/hub/entities.c - what values and rules are made of: the rows.
 *
 * Members have MyController's names. Every row begins with its id and its unit,
 * so that access is decided in one place for all (objects.c).
 */
#include "core/hub/private.h"

#include "core/rest/check.h"

const char *const hub_metric_types[] = { "none", "string", "counter", "gauge",
	"gauge_float", "binary", "geo", NULL };

static int
one_of(
    struct str s, const char *const *names, const char *what, struct err *err)
{
	struct buf b = { 0 };

	for (size_t i = 0; names[i] != NULL; i++)
		if (str_eqz(s, names[i]))
			return 0;
	for (size_t i = 0; names[i] != NULL; i++)
		buf_addf(&b, "%s%s", i > 0 ? ", " : "", names[i]);
	err_set(err, ERR_PARAM, "no such %s; there are: %s", what, buf_z(&b));
	buf_free(&b);
	return ERR_PARAM;
}

bool
hub_is_metric_type(struct str name)
{
	return one_of(name, hub_metric_types, "metric type", NULL) == 0;
}

/* Ids that people choose become parts of quick ids and of paths. */
static int
check_id(struct str s, struct err *err)
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
check_codec(struct str s, struct err *err)
{
	return one_of(s, hub_codecs, "codec", err);
}

static int
check_metric_type(struct str s, struct err *err)
{
	return one_of(s, hub_metric_types, "metric type", err);
}

#define IDS(S, ...)                                                            \
	F_TEXT(S, id, "id", .max = 128, __VA_ARGS__),                          \
	    F_TEXT(S, unit_id, "unitId", .help = "The unit it belongs to.")
#define CHOSEN(S, what)                                                        \
	IDS(S, .check = check_id,                                              \
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
	F_TEXT(P, codec, "codec", .def = "\"json\"", .check = check_codec,
	    .help = "How payloads are read: `json` (values at `paths`, or all "
		    "there are), `cayenne`, `javascript` (the functions of "
		    "LoRaWAN codecs), or `none`."),
	F_TEXT(P, script, "script", .def = "\"\"", .max = 256 << 10,
	    .help = "Of a JavaScript codec."),
	F_JSON(P, paths, "paths", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "For `json`: names of fields, each with the dotted path "
		    "of its value. Empty: all values, by their own names."),
	F_JSON(P, fields, "fields", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "What is known of its fields, by name: {\"unit\", "
		    "\"metricType\", \"name\"}."),
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

static const struct field state_fields[] = {
	F_TEXT(struct hub_state, status, "status", .def = "\"unavailable\""),
	F_TEXT(struct hub_state, message, "message", .def = "\"\""),
	F_TIME(struct hub_state, since, "since", .flags = FIELD_NULL),
	{ 0 },
};
static const struct record state_record = { "state", sizeof(struct hub_state),
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
	F_RECORD(N, state, struct hub_state, "state", .record = &state_record),
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
	    .max = 64 << 10,
	    .help = "JavaScript that turns `value` into what is kept."),
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
	    .check = check_metric_type,
	    .help = "What is kept of its history: none, string, counter, "
		    "gauge, gauge_float, binary or geo."),
	F_RECORD(
	    F, current, struct hub_value, "current", .record = &value_record),
	F_RECORD(
	    F, previous, struct hub_value, "previous", .record = &value_record),
	F_RECORD(F, formatter, struct hub_formatter, "formatter",
	    .record = &formatter_record),
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

const struct entity *const hub_entities[] = { &hub_profile_entity,
	&hub_node_entity, &hub_source_entity, &hub_field_entity,
	&hub_inbox_entity, &hub_repository_entity, NULL };

/* --- settings ------------------------------------------------------------ */

#define C struct hub_conf
const struct conf_field hub_fields[] = {
	STORE_ROWS(C, "hub.db", "hub", "values and rules"),
	CONF_INT(C, queue_max, "queueMax", .def = "100000", .min = 100,
	    .max = 10000000,
	    .help = "Uplink messages that may wait to be read; beyond it they "
		    "are not acknowledged."),
	CONF_INT(C, inbox_max, "inboxMax", .def = "10000", .min = 0,
	    .max = 10000000,
	    .help = "Unknown addresses that are listed; 0: none."),
	CONF_INT(C, fields_max, "fieldsMax", .def = "1000000", .min = 1,
	    .max = 100000000, .help = "Fields at most."),
	CONF_INT(C, fields_per_device, "fieldsPerDevice", .def = "1000",
	    .min = 1, .max = 1000000, .help = "Fields of one device at most."),
	{ 0 },
};

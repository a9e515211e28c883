/*
 * core/data/entities.c - the history's tables, and its settings.
 *
 * Tables and columns are those of Sylvia-IoT 0.4.5.
 */
#include "base/base.h"
#include "core/data/private.h"

#define R struct data_row
#define DATA_ID F_TEXT(R, data_id, "dataId")
#define PROC F_TIME(R, proc, "proc")
#define PUB F_TIME(R, pub, "pub")
#define RESP F_TIME(R, resp, "resp", .flags = FIELD_NULL | FIELD_ABSENT)
#define STATUS F_INT(R, status, "status")
#define MAYBE(m, name)                                                         \
	F_TEXT(R, m, name, .flags = FIELD_NULL | FIELD_ABSENT | FIELD_EMPTY)
#define UNIT_CODE                                                              \
	F_TEXT(R, unit_code, "unitCode", .flags = FIELD_NULL | FIELD_EMPTY)
#define TIME F_TIME(R, time, "time")
#define PAYLOAD                                                                \
	F_TEXT(R, profile, "profile"), F_TEXT(R, data, "data"),                \
	    F_JSON(R, extension, "extension",                                  \
		.flags = FIELD_NULL | FIELD_ABSENT | FIELD_EMPTY)

static const struct field application_uldata_fields[] = {
	DATA_ID,
	PROC,
	PUB,
	UNIT_CODE,
	F_TEXT(R, network_code, "networkCode"),
	F_TEXT(R, network_addr, "networkAddr"),
	F_TEXT(R, unit_id, "unitId"),
	F_TEXT(R, device_id, "deviceId"),
	TIME,
	PAYLOAD,
	{ 0 },
};
static const struct field application_dldata_fields[] = {
	DATA_ID,
	PROC,
	RESP,
	STATUS,
	F_TEXT(R, unit_id, "unitId"),
	MAYBE(device_id, "deviceId"),
	MAYBE(network_code, "networkCode"),
	MAYBE(network_addr, "networkAddr"),
	PAYLOAD,
	{ 0 },
};
static const struct field network_uldata_fields[] = {
	DATA_ID,
	PROC,
	UNIT_CODE,
	F_TEXT(R, network_code, "networkCode"),
	F_TEXT(R, network_addr, "networkAddr"),
	MAYBE(unit_id, "unitId"),
	MAYBE(device_id, "deviceId"),
	TIME,
	PAYLOAD,
	{ 0 },
};
static const struct field network_dldata_fields[] = {
	DATA_ID,
	PROC,
	PUB,
	RESP,
	STATUS,
	F_TEXT(R, unit_id, "unitId"),
	F_TEXT(R, device_id, "deviceId"),
	F_TEXT(R, network_code, "networkCode"),
	F_TEXT(R, network_addr, "networkAddr"),
	PAYLOAD,
	{ 0 },
};

#define O struct data_operation
static const struct field operation_fields[] = {
	F_TEXT(O, data_id, "dataId"),
	F_TIME(O, req_time, "reqTime"),
	F_TIME(O, res_time, "resTime"),
	F_INT(O, latency_ms, "latencyMs"),
	F_INT(O, status, "status"),
	F_TEXT(O, source_ip, "sourceIp"),
	F_TEXT(O, method, "method"),
	F_TEXT(O, path, "path"),
	F_JSON(
	    O, body, "body", .flags = FIELD_NULL | FIELD_ABSENT | FIELD_EMPTY),
	F_TEXT(O, user_id, "userId"),
	F_TEXT(O, client_id, "clientId"),
	F_TEXT(O, err_code, "errCode",
	    .flags = FIELD_NULL | FIELD_ABSENT | FIELD_EMPTY),
	F_TEXT(O, err_message, "errMessage",
	    .flags = FIELD_NULL | FIELD_ABSENT | FIELD_EMPTY),
	{ 0 },
};

#define KEY                                                                    \
	(const struct entity_key[])                                            \
	{                                                                      \
		{ "dataId", { "dataId" } },                                    \
		{                                                              \
			0                                                      \
		}                                                              \
	}
#define INDEXES                                                                \
	(const struct entity_key[])                                            \
	{                                                                      \
		{ "proc", { "proc" } }, { "device", { "deviceId", "proc" } },  \
		{                                                              \
			0                                                      \
		}                                                              \
	}

#define ENTITY(sym, rec, tab, text)                                            \
	static const struct entity sym##_entity = {                            \
		.record = { rec, sizeof(R), sym##_fields },                    \
		.table = tab,                                                  \
		.version = 1,                                                  \
		.keys = KEY,                                                   \
		.indexes = INDEXES,                                            \
		.help = text,                                                  \
	}

ENTITY(application_uldata, "applicationUldata", "application_uldata",
    "What applications were given.");
ENTITY(application_dldata, "applicationDldata", "application_dldata",
    "What applications sent.");
ENTITY(
    network_uldata, "networkUldata", "network_uldata", "What networks sent.");
ENTITY(network_dldata, "networkDldata", "network_dldata",
    "What networks were given.");
static const struct entity operation_entity = {
	.record = { "coremgrOpdata", sizeof(O), operation_fields },
	.table = "coremgr_opdata",
	.version = 1,
	.keys = KEY,
	.indexes = (const struct entity_key[]){ { "time", { "reqTime" } },
	    { "user", { "userId", "reqTime" } }, { 0 } },
	.help = "What people did.",
};

const struct entity *const data_entities[] = { &application_uldata_entity,
	&application_dldata_entity, &network_uldata_entity,
	&network_dldata_entity, &operation_entity, NULL };
const struct entity *const data_kind_entities[DATA_KINDS] = {
	[DATA_APPLICATION_ULDATA] = &application_uldata_entity,
	[DATA_APPLICATION_DLDATA] = &application_dldata_entity,
	[DATA_NETWORK_ULDATA] = &network_uldata_entity,
	[DATA_NETWORK_DLDATA] = &network_dldata_entity,
	[DATA_OPERATION] = &operation_entity,
};

#define C struct data_conf
#define CHANNEL(m, key, what)                                                  \
	CONF_TEXT(C, m.url, "mqChannels." key ".url",                          \
	    .def = "amqp://localhost",                                         \
	    .inert = "records come from the same process",                     \
	    .help = "Host of the channel on which " what " come."),            \
	    CONF_INT(C, m.prefetch, "mqChannels." key ".prefetch",             \
		.def = "100", .min = 1, .max = 65535,                          \
		.inert = "records come from the same process",                 \
		.help = "Records taken at once from that channel."),           \
	    CONF_TEXT(C, m.shared_prefix, "mqChannels." key ".sharedPrefix",   \
		.def = "$share/sylvia-iot-data/",                              \
		.inert = "records come from the same process",                 \
		.help = "Shared subscription of that channel.")

const struct conf_field data_fields[] = {
	CONF_TEXT(C, auth_url, "auth", .def = "http://localhost:1080/auth",
	    .inert = "auth runs in the same process",
	    .help = "URL of the auth module."),
	CONF_TEXT(C, broker_url, "broker",
	    .def = "http://localhost:2080/broker",
	    .inert = "the broker module runs in the same process",
	    .help = "URL of the broker module."),
	STORE_ROWS(C, "data.db", "data", "the history"),
	CONF_MS(C, retention_ms, "retention", .def = "100d",
	    .max = (int64_t)36500 * 86400000, .min = 0, .live = true,
	    .help = "How long records are kept; 0: for ever."),
	CONF_INT(C, queue_max, "queueMax", .def = "100000", .min = 100,
	    .max = 10000000,
	    .help = "Records that may wait for the disk; beyond that messages "
		    "are not acknowledged."),
	CHANNEL(broker, "broker", "messages' records"),
	CHANNEL(coremgr, "coremgr", "operations"),
	{ 0 },
};

const struct counter_row data_counter_rows[] = {
#define COUNTER(name, unit, help)                                              \
	{ #name, unit, help, false, offsetof(struct data_counters, name) },
#define GAUGE(name, unit, help)                                                \
	{ #name, unit, help, true, offsetof(struct data_counters, name) },
#include "core/data/counters.def"
#undef COUNTER
#undef GAUGE
};
const size_t data_counter_rows_n = COUNT_OF(data_counter_rows);

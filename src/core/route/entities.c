/*
 * core/route/entities.c - the objects of the message path, and its settings.
 *
 * Tables and columns are those of Sylvia-IoT 0.4.5. What is ours is the table
 * queue_account: who may use which queue of the embedded server; and gateway,
 * the networks that we drive ourselves (gateway.c).
 */
#include "base/base.h"
#include "core/rest/check.h"
#include "core/route/private.h"

#define NAME(S)                                                                \
	F_TEXT(S, name, "name", .def = "\"\"", .max = 1024,                    \
	    .help = "What people read.")
#define INFO(S)                                                                \
	F_JSON(S, info, "info", .flags = FIELD_OBJECT, .def = "{}",            \
	    .help = "Anything you like, as an object.")
#define CODE(S)                                                                \
	F_TEXT(S, code, "code", .flags = FIELD_LOWER, .check = check_code,     \
	    .max = 128,                                                        \
	    .help = "The short name in queue names; it never changes.")
/* A network of somebody else, or a gateway. */
#define ON_NETWORK                                                             \
	{ "networkId", "network", "networkId", ENTITY_CASCADE },               \
	{                                                                      \
		"networkId", "gateway", "id", ENTITY_CASCADE                   \
	}
#define PLAIN_INDEX(field)                                                     \
	{                                                                      \
		field,                                                         \
		{                                                              \
			field                                                  \
		}                                                              \
	}

#define U struct unit
static const struct field unit_fields[] = {
	F_TEXT(U, unit_id, "unitId", .help = "Identifies the unit."),
	CODE(U),
	F_TIME(U, created_at, "createdAt"),
	F_TIME(U, modified_at, "modifiedAt"),
	F_TEXT(U, owner_id, "ownerId", .help = "The user who owns it."),
	F_TEXTS(U, member_ids, "memberIds", .flags = FIELD_UNIQ | FIELD_SPACED,
	    .max = 128, .help = "The users who may read in it."),
	NAME(U),
	INFO(U),
	{ 0 },
};
const struct entity route_unit_entity = {
	.record = { "unit", sizeof(U), unit_fields },
	.table = "unit",
	.version = 1,
	.keys = (const struct entity_key[]){ { "unitId", { "unitId" } },
	    { "code", { "code" } }, { 0 } },
	.indexes = (const struct entity_key[]){ PLAIN_INDEX("ownerId"), { 0 } },
	.help = "A tenant: one owner, members; it owns everything below.",
};

#define E struct route_end
#define HOST                                                                   \
	F_TEXT(E, host_uri, "hostUri", .check = check_url, .max = 2048,        \
	    .format = "uri",                                                   \
	    .help = "Where its queues are: mqtt://localhost is this server.")

static const struct field application_fields[] = {
	F_TEXT(E, application_id, "applicationId",
	    .help = "Identifies the application."),
	CODE(E),
	F_TEXT(E, unit_id, "unitId", .help = "The unit it belongs to."),
	F_TEXT(E, unit_code, "unitCode"),
	F_TIME(E, created_at, "createdAt"),
	F_TIME(E, modified_at, "modifiedAt"),
	HOST,
	NAME(E),
	INFO(E),
	{ 0 },
};
static const struct field network_fields[] = {
	F_TEXT(E, network_id, "networkId", .help = "Identifies the network."),
	CODE(E),
	F_TEXT(E, unit_id, "unitId", .flags = FIELD_NULL | FIELD_EMPTY,
	    .help = "The unit it belongs to; null: a public network."),
	F_TEXT(E, unit_code, "unitCode", .flags = FIELD_NULL | FIELD_EMPTY),
	F_TIME(E, created_at, "createdAt"),
	F_TIME(E, modified_at, "modifiedAt"),
	HOST,
	NAME(E),
	INFO(E),
	{ 0 },
};

const struct entity route_application_entity = {
	.record = { "application", sizeof(E), application_fields },
	.table = "application",
	.version = 1,
	.keys = (const struct entity_key[]){ { "applicationId",
						 { "applicationId" } },
	    { "code", { "unitId", "code" } }, { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "unitId", "unit", "unitId", ENTITY_CASCADE }, { 0 } },
	.help = "Who receives device data and sends downlink.",
};
const struct entity route_network_entity = {
	.record = { "network", sizeof(E), network_fields },
	.table = "network",
	.version = 1,
	.keys = (const struct entity_key[]){ { "networkId", { "networkId" } },
	    { "code", { "unitId", "code" } }, { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "unitId", "unit", "unitId", ENTITY_CASCADE }, { 0 } },
	.help = "Where devices' messages come from.",
};

#define D struct device
static const struct field device_fields[] = {
	F_TEXT(D, device_id, "deviceId", .help = "Identifies the device."),
	F_TEXT(D, unit_id, "unitId", .help = "The unit it belongs to."),
	F_TEXT(D, unit_code, "unitCode", .flags = FIELD_NULL | FIELD_EMPTY),
	F_TEXT(D, network_id, "networkId", .help = "The network it is on."),
	F_TEXT(D, network_code, "networkCode"),
	F_TEXT(D, network_addr, "networkAddr",
	    .flags = FIELD_LOWER | FIELD_TRIM, .check = check_filled,
	    .max = 256, .help = "Its address there."),
	F_TIME(D, created_at, "createdAt"),
	F_TIME(D, modified_at, "modifiedAt"),
	F_TEXT(D, profile, "profile", .flags = FIELD_LOWER,
	    .check = check_profile, .max = 128, .def = "\"\"",
	    .help = "What kind of device it is."),
	NAME(D),
	INFO(D),
	{ 0 },
};
const struct entity route_device_entity = {
	.record = { "device", sizeof(D), device_fields },
	.table = "device",
	.version = 1,
	.keys = (const struct entity_key[]){ { "deviceId", { "deviceId" } },
	    { "address", { "unitCode", "networkCode", "networkAddr" } },
	    { 0 } },
	.indexes = (const struct entity_key[]){ PLAIN_INDEX("unitId"),
	    { "network", { "networkId", "networkAddr" } }, { 0 } },
	.refs = (const struct entity_ref[]){ { "unitId", "unit", "unitId",
						 ENTITY_CASCADE },
	    ON_NETWORK, { 0 } },
	.help = "One thing in the field, at one address of one network.",
};

#define DR struct device_route
static const struct field device_route_fields[] = {
	F_TEXT(DR, route_id, "routeId", .help = "Identifies the route."),
	F_TEXT(DR, unit_id, "unitId"),
	F_TEXT(DR, unit_code, "unitCode"),
	F_TEXT(
	    DR, application_id, "applicationId", .help = "Who is to receive."),
	F_TEXT(DR, application_code, "applicationCode"),
	F_TEXT(DR, device_id, "deviceId", .help = "Whose data."),
	F_TEXT(DR, network_id, "networkId"),
	F_TEXT(DR, network_code, "networkCode"),
	F_TEXT(DR, network_addr, "networkAddr"),
	F_TEXT(DR, profile, "profile"),
	F_TIME(DR, created_at, "createdAt"),
	F_TIME(DR, modified_at, "modifiedAt"),
	{ 0 },
};
const struct entity route_device_route_entity = {
	.record = { "deviceRoute", sizeof(DR), device_route_fields },
	.table = "device_route",
	.version = 1,
	.keys = (const struct entity_key[]){ { "routeId", { "routeId" } },
	    { "pair", { "applicationId", "deviceId" } }, { 0 } },
	.indexes = (const struct entity_key[]){ PLAIN_INDEX("deviceId"),
	    PLAIN_INDEX("networkId"), PLAIN_INDEX("unitId"), { 0 } },
	.refs =
	    (const struct entity_ref[]){ { "applicationId", "application",
					     "applicationId", ENTITY_CASCADE },
		{ "deviceId", "device", "deviceId", ENTITY_CASCADE }, { 0 } },
	.help = "Data of one device to one application.",
};

#define NR struct network_route
static const struct field network_route_fields[] = {
	F_TEXT(NR, route_id, "routeId", .help = "Identifies the route."),
	F_TEXT(NR, unit_id, "unitId"),
	F_TEXT(NR, unit_code, "unitCode"),
	F_TEXT(
	    NR, application_id, "applicationId", .help = "Who is to receive."),
	F_TEXT(NR, application_code, "applicationCode"),
	F_TEXT(NR, network_id, "networkId", .help = "Whose devices' data."),
	F_TEXT(NR, network_code, "networkCode"),
	F_TIME(NR, created_at, "createdAt"),
	{ 0 },
};
const struct entity route_network_route_entity = {
	.record = { "networkRoute", sizeof(NR), network_route_fields },
	.table = "network_route",
	.version = 1,
	.keys = (const struct entity_key[]){ { "routeId", { "routeId" } },
	    { "pair", { "applicationId", "networkId" } }, { 0 } },
	.indexes = (const struct entity_key[]){ PLAIN_INDEX("networkId"),
	    PLAIN_INDEX("unitId"), { 0 } },
	.refs =
	    (const struct entity_ref[]){ { "applicationId", "application",
					     "applicationId", ENTITY_CASCADE },
		ON_NETWORK, { 0 } },
	.help = "Data of all devices of a network to one application.",
};

#define B struct dldata_buffer
static const struct field dldata_fields[] = {
	F_TEXT(B, data_id, "dataId", .help = "Identifies the downlink."),
	F_TEXT(B, unit_id, "unitId"),
	F_TEXT(B, unit_code, "unitCode"),
	F_TEXT(B, application_id, "applicationId"),
	F_TEXT(B, application_code, "applicationCode"),
	F_TEXT(B, device_id, "deviceId"),
	F_TEXT(B, network_id, "networkId"),
	F_TEXT(B, network_addr, "networkAddr"),
	F_TIME(B, created_at, "createdAt"),
	F_TIME(B, expired_at, "expiredAt"),
	{ 0 },
};
const struct entity route_dldata_entity = {
	.record = { "dldataBuffer", sizeof(B), dldata_fields },
	.table = "dldata_buffer",
	.version = 1,
	.keys =
	    (const struct entity_key[]){ { "dataId", { "dataId" } }, { 0 } },
	.indexes = (const struct entity_key[]){ PLAIN_INDEX("applicationId"),
	    PLAIN_INDEX("deviceId"), PLAIN_INDEX("networkId"),
	    PLAIN_INDEX("expiredAt"), { 0 } },
	.refs =
	    (const struct entity_ref[]){ { "applicationId", "application",
					     "applicationId", ENTITY_CASCADE },
		ON_NETWORK,
		{ "deviceId", "device", "deviceId", ENTITY_CASCADE }, { 0 } },
	.help = "A downlink that waits for its result.",
};

#define Q struct route_account
static const struct field account_fields[] = {
	F_TEXT(Q, owner_id, "ownerId"),
	F_TEXT(Q, application_id, "applicationId", .flags = FIELD_NULL),
	F_TEXT(Q, network_id, "networkId", .flags = FIELD_NULL),
	F_TEXT(Q, user_name, "userName"),
	F_TEXT(Q, code, "code"),
	F_TEXT(Q, password, "password", .flags = FIELD_SECRET),
	F_INT(Q, ttl, "ttl"),
	F_INT(Q, length, "length"),
	F_TIME(Q, modified_at, "modifiedAt"),
	{ 0 },
};
const struct entity route_account_entity = {
	.record = { "queueAccount", sizeof(Q), account_fields },
	.table = "queue_account",
	.version = 1,
	.keys = (const struct entity_key[]){ { "ownerId", { "ownerId" } },
	    { "userName", { "userName" } }, { 0 } },
	.indexes = (const struct entity_key[]){ PLAIN_INDEX("code"),
	    PLAIN_INDEX("applicationId"), PLAIN_INDEX("networkId"), { 0 } },
	.refs =
	    (const struct entity_ref[]){ { "applicationId", "application",
					     "applicationId", ENTITY_CASCADE },
		ON_NETWORK, { 0 } },
	.help = "Who may use the queues of an application or network.",
};

/* --- devices that have signed in with a gateway's key ----------------------
 */

#define V struct route_enrolment
static const struct field enrolment_fields[] = {
	F_TEXT(V, id, "id", .max = 128, .help = "Identifies the enrolment."),
	F_TEXT(V, unit_id, "unitId", .help = "The unit of its gateway."),
	F_TEXT(V, gateway_id, "gatewayId", .help = "The gateway."),
	F_TEXT(V, addr, "networkAddr",
	    .help = "The device's address, as devices have it."),
	F_TEXT(V, name, "name", .help = "The device's id as it signs in."),
	F_TEXT(V, secret, "secret", .flags = FIELD_SECRET),
	F_TEXT(V, cert_key, "certKey", .since = 2, .def = "\"\"",
	    .help = "SHA-256 of the key of its certificate; empty: it signs in "
		    "with a secret, or with a certificate that is signed by "
		    "who may."),
	F_TEXT(V, thumbprint, "thumbprint", .since = 2, .def = "\"\"",
	    .max = 128,
	    .help = "SHA-1 of its certificate, as tedge cert show prints it."),
	F_BOOL(V, blocked, "blocked", .since = 2, .def = "false",
	    .help = "It is not let in, whatever it shows."),
	F_TIME(V, created_at, "createdAt", .help = "When it first signed in."),
	{ 0 },
};
const struct entity route_enrolment_entity = {
	.record = { "enrolment", sizeof(V), enrolment_fields },
	.table = "enrolment",
	.version = 2,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "address", { "gatewayId", "networkAddr" } }, { 0 } },
	.indexes = (const struct entity_key[]){ PLAIN_INDEX("unitId"), { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "gatewayId", "gateway", "id", ENTITY_CASCADE }, { 0 } },
	.help = "A device that may speak to a gateway, and how it is known.",
};

const struct entity *const route_entities[] = { &route_unit_entity,
	&route_application_entity, &route_network_entity, &route_gateway_entity,
	&route_device_entity, &route_device_route_entity,
	&route_network_route_entity, &route_dldata_entity,
	&route_account_entity, &route_enrolment_entity, &rest_version_entity,
	NULL };

/* --- settings ------------------------------------------------------------ */

static const char *const cache_engines[] = { "none", "memory", NULL };

#define C struct route_conf
#define NO_AMQP "this version keeps its control channels inside the process"
#define CHANNEL(m, key, what)                                                  \
	CONF_TEXT(C, m.url, "mqChannels." key ".url",                          \
	    .def = "amqp://localhost", .inert = NO_AMQP,                       \
	    .help = "Host of the control channel for " what "."),              \
	    CONF_INT(C, m.prefetch, "mqChannels." key ".prefetch",             \
		.def = "100", .min = 1, .max = 65535, .inert = NO_AMQP,        \
		.help = "Messages taken at once from that channel.")

const struct conf_field route_fields[] = {
	CONF_TEXT(C, auth_url, "auth", .def = "http://localhost:1080/auth",
	    .inert = "auth runs in the same process",
	    .help = "URL of the auth module."),
	STORE_ROWS(
	    C, "broker.db", "broker", "units, networks, devices and routes"),
	CONF_ENUM(C, cache.engine, "cache.engine", .def = "memory",
	    .choices = cache_engines, .fallback = true,
	    .help = "Keep devices and routes of the message path in memory; "
		    "`none` asks the store for every message."),
	CONF_INT(C, cache.device, "cache.memory.device", .def = "1000000",
	    .min = 1, .max = 100000000, .help = "Devices in the cache."),
	CONF_INT(C, cache.device_route, "cache.memory.deviceRoute",
	    .def = "1000000", .min = 1, .max = 100000000,
	    .help = "Devices whose routes are in the cache."),
	CONF_INT(C, cache.network_route, "cache.memory.networkRoute",
	    .def = "1000000", .min = 1, .max = 100000000,
	    .help = "Networks whose routes are in the cache."),
	CONF_MS(C, cache.max_age_ms, "cache.memory.maxAge", .def = "10m",
	    .min = 1000, .max = 86400000,
	    .help = "How long an entry is believed."),
	CONF_INT(C, mq.prefetch, "mq.prefetch", .def = "100", .min = 1,
	    .max = 65535, .inert = "it is for AMQP hosts",
	    .help = "Messages taken at once from an AMQP queue."),
	CONF_BOOL(C, mq.persistent, "mq.persistent", .def = "false",
	    .inert = "it is for AMQP hosts",
	    .help = "Ask an AMQP host to keep messages on disk."),
	CONF_TEXT(C, mq.shared_prefix, "mq.sharedPrefix",
	    .def = "$share/sylvia-iot-broker/",
	    .inert = "it is for foreign MQTT hosts",
	    .help = "Shared subscription under which queues of a foreign MQTT "
		    "host are read."),
	CHANNEL(unit, "unit", "units"),
	CHANNEL(application, "application", "applications"),
	CHANNEL(network, "network", "networks"),
	CHANNEL(device, "device", "devices"),
	CHANNEL(device_route, "deviceRoute", "device routes"),
	CHANNEL(network_route, "networkRoute", "network routes"),
	CONF_TEXT(C, data_url, "mqChannels.data.url",
	    .help = "Host of the data channel. Not set, or any host: data go "
		    "to the data module of this process; null: no data are "
		    "kept."),
	CONF_BOOL(C, data_persistent, "mqChannels.data.persistent",
	    .def = "false", .inert = "data.sync says how durable data are",
	    .help = "Ask the data channel's host to keep messages on disk."),
	CONF_JSON(C, api_scopes, "apiScopes", .def = "{}",
	    .alias = (const char *const[]){ "broker.db.apiScopes", NULL },
	    .help = "For each API scope the token scopes of which a call needs "
		    "one; an empty list means no restriction."),
	CONF_MS(C, downlink_ms, "downlinkExpiry", .def = "1d", .min = 1000,
	    .max = (int64_t)365 * 86400000,
	    .help = "How long a downlink waits for its result; then it stays "
		    "unreported and a late result is dropped."),
	CONF_BOOL(C, public_routes, "publicNetworkRoutes", .def = "false",
	    .help = "Let administrators route a whole public network, with the "
		    "devices of every unit, to an application."),
	{ 0 },
};

const struct counter_row route_counter_rows[] = {
#define COUNTER(name, unit, help)                                              \
	{ #name, unit, help, false, offsetof(struct route_counters, name) },
#define GAUGE(name, unit, help)                                                \
	{ #name, unit, help, true, offsetof(struct route_counters, name) },
#include "core/route/counters.def"
#undef COUNTER
#undef GAUGE
};
const size_t route_counter_rows_n = COUNT_OF(route_counter_rows);

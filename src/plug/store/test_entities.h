/*
 * plug/store/test_entities.h - awkward entities, for tests of the store.
 *
 *    device        nullable fields in a unique key; refers to two others
 *    accessToken   is taken once
 *    task          nested records, lists of records, free JSON
 *    taskProcess   a key of two fields, and bytes
 *
 * and small ones around them for each kind of reference.
 */
#ifndef PLUG_STORE_TEST_ENTITIES_H
#define PLUG_STORE_TEST_ENTITIES_H

#include "base/entity.h"

struct t_unit {
	struct str unit_id, code;
	struct strs member_ids;
};

static const struct entity unit_entity = {
	.record = { "unit", sizeof(struct t_unit),
	    (const struct field[]){ F_TEXT(struct t_unit, unit_id, "unitId"),
		F_TEXT(struct t_unit, code, "code"),
		F_TEXTS(struct t_unit, member_ids, "memberIds",
		    .flags = FIELD_SPACED),
		{ 0 } } },
	.table = "unit",
	.version = 1,
	.keys = (const struct entity_key[]){ { "unitId", { "unitId" } },
	    { "code", { "code" } }, { 0 } },
};

struct t_network {
	struct str network_id, unit_id, code;
};

static const struct entity network_entity = {
	.record = { "network", sizeof(struct t_network),
	    (const struct field[]){
		F_TEXT(struct t_network, network_id, "networkId"),
		F_TEXT(struct t_network, unit_id, "unitId",
		    .flags = FIELD_NULL | FIELD_EMPTY),
		F_TEXT(struct t_network, code, "code"), { 0 } } },
	.table = "network",
	.version = 1,
	.keys = (const struct entity_key[]){ { "networkId", { "networkId" } },
	    { "code", { "unitId", "code" } }, { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "unitId", "unit", "unitId", ENTITY_CASCADE }, { 0 } },
};

struct t_device {
	struct str device_id, unit_id, unit_code, network_id, network_code,
	    network_addr, profile, name, info;
	int64_t created_at, rank;
	double level;
	bool enabled;
	struct strs tags;
};

static const struct entity device_entity = {
	.record = { "device", sizeof(struct t_device),
	    (const struct field[]){
		F_TEXT(struct t_device, device_id, "deviceId"),
		F_TEXT(struct t_device, unit_id, "unitId"),
		F_TEXT(struct t_device, unit_code, "unitCode",
		    .flags = FIELD_NULL),
		F_TEXT(struct t_device, network_id, "networkId"),
		F_TEXT(struct t_device, network_code, "networkCode"),
		F_TEXT(struct t_device, network_addr, "networkAddr"),
		F_TEXT(struct t_device, profile, "profile",
		    .flags = FIELD_NULL | FIELD_EMPTY),
		F_TEXT(struct t_device, name, "name", .flags = FIELD_NULL),
		F_JSON(struct t_device, info, "info",
		    .flags = FIELD_NULL | FIELD_EMPTY),
		F_TIME(struct t_device, created_at, "createdAt"),
		F_INT(struct t_device, rank, "rank", .flags = FIELD_NULL),
		F_REAL(struct t_device, level, "level", .flags = FIELD_NULL),
		F_BOOL(struct t_device, enabled, "enabled"),
		F_TEXTS(struct t_device, tags, "tags"), { 0 } } },
	.table = "device",
	.version = 1,
	.keys = (const struct entity_key[]){ { "deviceId", { "deviceId" } },
	    { "address", { "unitCode", "networkCode", "networkAddr" } },
	    { 0 } },
	.indexes =
	    (const struct entity_key[]){
		{ "createdAt", { "createdAt" } }, { 0 } },
	.refs = (const struct entity_ref[]){ { "unitId", "unit", "unitId",
						 ENTITY_CASCADE },
	    { "networkId", "network", "networkId", ENTITY_CASCADE }, { 0 } },
};

struct t_token {
	struct str access_token, user_id;
	int64_t expires_at;
};

static const struct entity token_entity = {
	.record = { "accessToken", sizeof(struct t_token),
	    (const struct field[]){ F_TEXT(struct t_token, access_token,
					"accessToken", .flags = FIELD_SECRET),
		F_TEXT(struct t_token, user_id, "userId"),
		F_TIME(struct t_token, expires_at, "expiresAt"), { 0 } } },
	.table = "access_token",
	.version = 1,
	.keys =
	    (const struct entity_key[]){
		{ "accessToken", { "accessToken" } }, { 0 } },
};

struct t_dampening {
	struct str type;
	int64_t occurrences;
	struct str active_duration;
};

static const struct record dampening_record = { "dampening",
	sizeof(struct t_dampening),
	(const struct field[]){
	    F_TEXT(struct t_dampening, type, "type", .flags = FIELD_NULL),
	    F_INT(struct t_dampening, occurrences, "occurrences",
		.flags = FIELD_NULL),
	    F_TEXT(struct t_dampening, active_duration, "activeDuration",
		.flags = FIELD_NULL),
	    { 0 } } };

struct t_event_filter {
	struct strs event_types;
	struct str filters;
};

static const struct record event_filter_record = { "eventFilter",
	sizeof(struct t_event_filter),
	(const struct field[]){
	    F_TEXTS(struct t_event_filter, event_types, "eventTypes"),
	    F_JSON(struct t_event_filter, filters, "filters",
		.flags = FIELD_NULL | FIELD_OBJECT),
	    { 0 } } };

struct t_condition {
	struct str variable, operator, value;
};

static const struct record condition_record = { "condition",
	sizeof(struct t_condition),
	(const struct field[]){
	    F_TEXT(struct t_condition, variable, "variable"),
	    F_TEXT(struct t_condition, operator, "operator", .def = "\"eq\""),
	    F_JSON(struct t_condition, value, "value", .flags = FIELD_NULL),
	    { 0 } } };

struct t_rule {
	bool match_all;
	struct rows conditions;
};

static const struct record rule_record = { "rule", sizeof(struct t_rule),
	(const struct field[]){
	    F_BOOL(struct t_rule, match_all, "matchAll", .def = "true"),
	    F_RECORDS(struct t_rule, conditions, "conditions",
		.record = &condition_record),
	    { 0 } } };

struct t_evaluation {
	struct t_rule rule;
	struct str javascript;
};

static const struct record evaluation_record = { "evaluationConfig",
	sizeof(struct t_evaluation),
	(const struct field[]){
	    F_RECORD(struct t_evaluation, rule, struct t_rule, "rule",
		.record = &rule_record),
	    F_TEXT(struct t_evaluation, javascript, "javascript",
		.flags = FIELD_NULL),
	    { 0 } } };

struct t_execution {
	bool triggered;
	int64_t timestamp;
};

static const struct record execution_record = { "execution",
	sizeof(struct t_execution),
	(const struct field[]){
	    F_BOOL(struct t_execution, triggered, "triggered"),
	    F_TIME(struct t_execution, timestamp, "timestamp"), { 0 } } };

struct t_state {
	int64_t last_success;
	double load;
	struct rows executions;
};

static const struct record state_record = { "state", sizeof(struct t_state),
	(const struct field[]){ F_TIME(struct t_state, last_success,
				    "lastSuccess", .flags = FIELD_NULL),
	    F_REAL(struct t_state, load, "load", .flags = FIELD_NULL),
	    F_RECORDS(struct t_state, executions, "executionsHistory",
		.record = &execution_record),
	    { 0 } } };

struct t_task {
	struct str id, description, labels, variables;
	bool enabled;
	struct t_dampening dampening;
	struct t_event_filter event_filter;
	struct t_evaluation evaluation_config;
	struct str handler_parameters;
	struct strs handlers;
	struct t_state state;
};

static const struct entity task_entity = {
	.record = { "task", sizeof(struct t_task),
	    (const struct field[]){ F_TEXT(struct t_task, id, "id"),
		F_TEXT(struct t_task, description, "description",
		    .flags = FIELD_NULL),
		F_JSON(struct t_task, labels, "labels", .flags = FIELD_OBJECT,
		    .def = "{}"),
		F_JSON(
		    struct t_task, variables, "variables", .flags = FIELD_NULL),
		F_BOOL(struct t_task, enabled, "enabled"),
		F_RECORD(struct t_task, dampening, struct t_dampening,
		    "dampening", .record = &dampening_record),
		F_RECORD(struct t_task, event_filter, struct t_event_filter,
		    "eventFilter", .record = &event_filter_record),
		F_RECORD(struct t_task, evaluation_config, struct t_evaluation,
		    "evaluationConfig", .record = &evaluation_record),
		F_JSON(struct t_task, handler_parameters, "handlerParameters",
		    .flags = FIELD_NULL),
		F_TEXTS(struct t_task, handlers, "handlers"),
		F_RECORD(struct t_task, state, struct t_state, "state",
		    .record = &state_record),
		{ 0 } } },
	.table = "task",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
};

struct t_process {
	struct str task_id;
	int64_t process_index;
	struct str process_program, process_stdout, process_stderr;
};

static const struct entity process_entity = {
	.record = { "taskProcess", sizeof(struct t_process),
	    (const struct field[]){ F_TEXT(struct t_process, task_id, "taskId"),
		F_INT(struct t_process, process_index, "processIndex"),
		F_TEXT(struct t_process, process_program, "processProgram",
		    .flags = FIELD_NULL),
		F_BLOB(struct t_process, process_stdout, "processStdout",
		    .flags = FIELD_NULL),
		F_BLOB(struct t_process, process_stderr, "processStderr",
		    .flags = FIELD_NULL),
		{ 0 } } },
	.table = "task_processes",
	.version = 1,
	.keys =
	    (const struct entity_key[]){
		{ "process", { "taskId", "processIndex" } }, { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "taskId", "task", "id", ENTITY_CASCADE }, { 0 } },
};

/* Rows with an id and the id of something else; four entities share it. */
struct t_tie {
	struct str id, to;
};

static const struct field tie_fields[] = { F_TEXT(struct t_tie, id, "id"),
	F_TEXT(struct t_tie, to, "to", .flags = FIELD_NULL), { 0 } };

static const struct entity_key tie_keys[] = { { "id", { "id" } }, { 0 } };

#define TIE_ENTITY(var, n, target, target_field, kind)                         \
	static const struct entity var = {                                     \
		.record = { n, sizeof(struct t_tie), tie_fields },             \
		.table = n,                                                    \
		.version = 1,                                                  \
		.keys = tie_keys,                                              \
		.refs =                                                        \
		    (const struct entity_ref[]){                               \
			{ "to", target, target_field, kind }, { 0 } },         \
	}

TIE_ENTITY(route_entity, "route", "device", "deviceId", ENTITY_CASCADE);
TIE_ENTITY(stat_entity, "stat", "route", "id", ENTITY_CASCADE);
TIE_ENTITY(note_entity, "note", "device", "deviceId", ENTITY_CLEAR);
TIE_ENTITY(pledge_entity, "pledge", "device", "deviceId", ENTITY_REFUSE);
TIE_ENTITY(folder_entity, "folder", "folder", "id", ENTITY_CASCADE);

static const struct entity *const test_entities[] = { &unit_entity,
	&network_entity, &device_entity, &token_entity, &task_entity,
	&process_entity, &route_entity, &stat_entity, &note_entity,
	&pledge_entity, &folder_entity, NULL };

#endif

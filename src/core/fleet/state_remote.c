/*
 * core/fleet/state_remote.c - remotes.
 */
#include "core/fleet/state.h"
#include "core/rest/check.h"

struct fleet_remote {
	struct str id, unit_id, name, url;
	int64_t created_at, modified_at;
};
#define R struct fleet_remote
static const struct field remote_fields[] = {
	F_TEXT(R, id, "id", .max = 64, .help = "Identifies the remote."),
	F_TEXT(R, unit_id, "unitId", .help = "The unit it belongs to."),
	F_TEXT(R, name, "name", .check = check_code, .max = 63,
	    .help = "What people call it; no two of a unit have the same."),
	F_TEXT(R, url, "url", .max = 2048, .help = "Where it is."),
	F_TIME(R, created_at, "createdAt"),
	F_TIME(R, modified_at, "modifiedOn", .flags = FIELD_NULL),
	{ 0 },
};
const struct entity fleet_remote_entity = {
	.record = { "fleetRemote", sizeof(R), remote_fields },
	.table = "remote",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "name", { "unitId", "name" } }, { 0 } },
	.help = "Another place for the repository of a unit.",
};
#undef R

const struct rest_object fleet_remote_object = {
	.name = "remote",
	.entity = &fleet_remote_entity,
	.id = "id",
	.id_len = 20,
	.sorts = (const struct rest_sort[]){ { "name", "name" }, { 0 } },
	.sort = "name:asc",
	.add = "unitId! name! url!",
	.patch = "name url",
	.scope = "fleet.state",
	.help = "other places for the repository of a unit.",
	.limit = fleet_limit,
	.may = fleet_may,
	.before_add = fleet_before_add,
};
const struct http_route fleet_remote_rows[] = {
	{ 0 },
};

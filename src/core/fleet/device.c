/*
 * core/fleet/device.c - devices of the fleet: what is known of each.
 */
#include "core/fleet/private.h"

static const char *const states[] = { "waiting", "active", "archived", NULL };

#define D struct fleet_device
static const struct field device_fields[] = {
	F_TEXT(D, id, "id", .max = 64, .help = "Identifies the device."),
	F_TEXT(D, unit_id, "unitId", .help = "The unit it belongs to."),
	F_TEXT(D, name, "name", .def = "\"\"", .max = 255,
	    .help = "What people call it; its host name follows from it."),
	F_TEXT(D, hub_device_id, "hubDeviceId", .def = "\"\"",
	    .help = "The device of the unit whose values it sends."),
	F_TEXT(D, ssh_public_key, "sshPublicKey", .def = "\"\"", .max = 4096,
	    .help = "The public half of its SSH host key, as "
		    "\"ssh-ed25519 AAAA...\"; it is what the device is known "
		    "by."),
	F_TEXT(D, address, "address", .def = "\"\"", .max = 255,
	    .help = "Host name or address for SSH; empty: it is reached "
		    "through its agent."),
	F_INT(D, ssh_port, "sshPort", .def = "22", .help = "Port of SSH."),
	F_TEXT(D, ssh_user, "sshUser", .def = "\"root\"", .max = 64,
	    .help = "Who signs in by SSH."),
	F_TEXT(D, config, "config", .def = "\"\"", .max = 63,
	    .help = "The configuration that it is to have."),
	F_TEXT(D, deployed_config, "deployedConfig", .def = "\"\"",
	    .help = "The configuration that it has."),
	F_TEXT(D, deployed_commit, "deployedCommit", .def = "\"\"",
	    .help = "The commit of it."),
	F_TEXT(D, deployed_built, "deployedBuilt", .def = "\"\"",
	    .help = "What was made of it: a store path, or a checksum."),
	F_TEXT(D, pending_config, "pendingConfig", .def = "\"\"",
	    .help = "The configuration that is on its way."),
	F_TEXT(D, state, "state", .def = "\"active\"", .one_of = states,
	    .help = "`waiting`: it has enrolled and waits for approval; "
		    "`archived`: it is not in use any more."),
	F_JSON(D, drift, "drift", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "How it differs from what was deployed: {\"at\", "
		    "\"changes\": [...]}; empty: it was not asked yet."),
	F_TEXT(D, location, "location", .def = "\"\"", .max = 1024,
	    .help = "Where it stands."),
	F_TEXT(D, notes, "notes", .def = "\"\"", .max = 65536,
	    .help = "What people note of it."),
	F_JSON(D, network_interfaces, "networkInterfaces", .def = "[]",
	    .help = "What it said of its interfaces."),
	F_INT(D, ram_bytes, "ramBytes", .def = "0", .help = "Its memory."),
	F_TIME(D, first_seen, "firstSeen", .flags = FIELD_NULL),
	F_TIME(D, last_seen, "lastSeen", .flags = FIELD_NULL),
	F_TEXT(D, enrolled_by, "enrolledBy", .def = "\"\"",
	    .help = "The token it came with."),
	F_TIME(D, created_at, "createdAt"),
	F_TIME(D, modified_at, "modifiedOn", .flags = FIELD_NULL),
	{ 0 },
};
const struct entity fleet_device_entity = {
	.record = { "fleetDevice", sizeof(D), device_fields },
	.table = "device",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.indexes = (const struct entity_key[]){ { "unitId", { "unitId" } },
	    { "key", { "sshPublicKey" } }, { 0 } },
	.help = "A machine whose configuration is declared.",
};

static const struct rest_object device_object = {
	.name = "device",
	.entity = &fleet_device_entity,
	.id = "id",
	.id_len = 20,
	.filters =
	    (const struct rest_filter[]){ { "config", "config", COND_EQ },
		{ "state", "state", COND_IN },
		{ "name", "name", COND_CONTAINS }, { 0 } },
	.sorts = (const struct rest_sort[]){ { "name", "name" },
	    { "created", "createdAt" }, { "lastSeen", "lastSeen" },
	    { "config", "config" }, { 0 } },
	.sort = "created:desc",
	.add = "unitId! name address sshPort sshUser sshPublicKey config "
	       "location notes hubDeviceId",
	.patch = "name address sshPort sshUser sshPublicKey config location "
		 "notes hubDeviceId state",
	.scope = "fleet.device",
	.help = "machines whose configuration is declared.",
	.limit = fleet_limit,
	.may = fleet_may,
	.before_add = fleet_before_add,
};

static void
routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	rest_mount(f != NULL ? &f->mounts : NULL, &device_object, FLEET_API,
	    f != NULL ? f->store : NULL, f, 0, add, ctx);
}

static const struct entity *const entities[] = { &fleet_device_entity, NULL };

const struct fleet_part fleet_part_device = {
	.name = "device",
	.entities = entities,
	.routes = routes,
};

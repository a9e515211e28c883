/*
 * core/fleet/device.c - devices of the fleet: what is known of each.
 */
#include "core/fleet/agent.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/ssh_key.h"

#include <string.h>

#define LOG_MODULE "fleet"
#define RESTART_MS 30000

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
	    .check = check_ssh_key,
	    .help = "The public half of its SSH host key, as "
		    "\"ssh-ed25519 AAAA...\"; it is what the device is known "
		    "by."),
	F_TEXT(D, address, "address", .def = "\"\"", .max = 255,
	    .check = check_address,
	    .help = "Host name or address for SSH; empty: it is reached "
		    "through its agent."),
	F_INT(D, ssh_port, "sshPort", .def = "22", .min = 1, .max = 65535,
	    .help = "Port of SSH."),
	F_TEXT(D, ssh_user, "sshUser", .def = "\"root\"", .max = 64,
	    .check = check_ssh_user, .help = "Who signs in by SSH."),
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
		    "\"changed\", \"config\", \"commit\", \"changes\": "
		    "[...]}; empty: it was not asked yet."),
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

/* --- from other parts ----------------------------------------------------- */

int
fleet_device_get(struct fleet *f, struct str id, struct arena *a,
    struct fleet_device *ret, struct err *err)
{
	struct filter by = { 0 };
	bool found;
	int rc;

	filter_text(&by, "id", id);
	rc =
	    store_get(f->store, &fleet_device_entity, &by, a, ret, &found, err);
	return rc == 0 && !found
	    ? err_set(err, ERR_NOT_FOUND, "there is no such device")
	    : rc;
}

int
fleet_device_set(struct fleet *f, const struct fleet_device *row,
    const char *members, struct err *err)
{
	const struct record *rec = &fleet_device_entity.record;
	struct fleet_device copy = *row;
	struct change changes[64];
	struct arena a = { 0 };
	struct filter by = { 0 };
	size_t n;
	int64_t done;
	int rc;

	copy.modified_at = clock_now();
	n = rest_changes(rec,
	    field_bits(rec, members, NULL) | field_bit(rec, "modifiedOn"), &a,
	    &copy, changes);
	filter_text(&by, "id", row->id);
	rc = store_update(
	    f->store, &fleet_device_entity, &by, changes, n, &done, err);
	if (rc == 0 && done == 0)
		rc = err_set(err, ERR_NOT_FOUND, "there is no such device");
	arena_fini(&a);
	return rc;
}

/* --- REST ----------------------------------------------------------------- */

static void
show_more(struct rest *r, enum rest_verb verb, const void *row)
{
	const struct fleet_device *d = row;
	struct fleet *f = r->module;

	(void)verb;
	json_out_key(&r->c->json, "connected");
	json_out_bool(&r->c->json, fleet_agent_is(f, d->id));
}

struct more {
	bool connected;
};
static const struct field more_fields[] = {
	F_BOOL(struct more, connected, "connected",
	    .help = "Its agent is connected now."),
	{ 0 },
};
static const struct record more_record = { "fleetDeviceMore",
	sizeof(struct more), more_fields };

/* What an agent that is there has to hear of. */
static void
device_changed(struct rest *r, enum rest_verb verb, const void *row)
{
	const struct fleet_device *d = row;
	struct fleet *f = r->module;

	if (verb == REST_DEL)
		agent_device_gone(f, d);
}

static void
push_name(struct fleet *f, const struct fleet_device *d, struct arena *a)
{
	const struct relay_message m = { .kind = RELAY_HOSTNAME,
		.hostname = fleet_host_name(f, d, a) };
	struct buf b = { 0 };

	relay_write(&m, &b);
	(void)agent_send_to(f->agents, d->id, buf_str(&b));
	buf_free(&b);
}

static void
after_patch(struct rest *r, const void *old_row, const void *row,
    field_set_t present, void *extra, field_set_t extra_present)
{
	const struct fleet_device *old = old_row, *d = row;
	struct fleet *f = r->module;

	(void)present;
	(void)extra;
	(void)extra_present;
	if (!fleet_agent_is(f, d->id))
		return;
	if (str_eqz(d->state, "archived"))
		agent_drop(f->agents, d->id, "the device was archived");
	else if (!str_eq(old->ssh_public_key, d->ssh_public_key))
		agent_drop(f->agents, d->id, "the device has another key now");
	if (!str_eq(old->name, d->name) || !str_eq(old->config, d->config))
		push_name(f, d, &r->c->arena);
	if (!str_eq(old->config, d->config) || !str_eq(old->state, d->state))
		fleet_secrets_push(f, d->id);
}

/* As we write it, so that it is found. */
static bool
normal_key(struct rest *r, struct fleet_device *d)
{
	struct buf key = { 0 };
	struct err err;
	bool good = d->ssh_public_key.len == 0 ||
	    ssh_public_normal(d->ssh_public_key, &key, &err) == 0;

	if (key.len > 0)
		d->ssh_public_key = arena_str(&r->c->arena, buf_str(&key));
	if (!good)
		http_error(
		    r->c, 400, "err_param", "sshPublicKey: %s", err.text);
	buf_free(&key);
	return good;
}

static bool
before_add(struct rest *r, void *row, void *extra, void *beside)
{
	const struct fleet_device *d = row;
	struct fleet *f = r->module;
	struct err err;
	int rc;

	if (!normal_key(r, row) || !fleet_before_add(r, row, extra, beside))
		return false;
	rc = fleet_device_room(f, f->store, d->unit_id, &err);
	if (rc == ERR_LIMIT)
		http_error(r->c, 429, "err_rsc", "%s", err.text);
	else if (rc != 0)
		rest_db_error(r->c, &err);
	return rc == 0;
}

static bool
before_patch(struct rest *r, const void *old, void *row, field_set_t *present,
    void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	(void)old;
	(void)present;
	(void)extra;
	(void)extra_present;
	(void)beside;
	(void)beside_present;
	return normal_key(r, row);
}

const struct rest_object fleet_device_object = {
	.name = "device",
	.entity = &fleet_device_entity,
	.id = "id",
	.id_len = 20,
	.filters = (const struct rest_filter[]){ { "config", "config",
						     COND_EQ },
	    { "state", "state", COND_IN }, { "name", "name", COND_CONTAINS },
	    { "token", "enrolledBy", COND_EQ }, { 0 } },
	.sorts = (const struct rest_sort[]){ { "name", "name" },
	    { "created", "createdAt" }, { "lastSeen", "lastSeen" },
	    { "config", "config" }, { 0 } },
	.sort = "created:desc",
	.add = "unitId! name address sshPort sshUser sshPublicKey config "
	       "location notes hubDeviceId",
	.patch = "name address sshPort sshUser sshPublicKey config location "
		 "notes hubDeviceId state",
	.shown_more = &more_record,
	.scope = "fleet.device",
	.help = "machines whose configuration is declared.",
	.limit = fleet_limit,
	.may = fleet_may,
	.before_add = before_add,
	.before_patch = before_patch,
	.after_patch = after_patch,
	.changed = device_changed,
	.more = show_more,
};

static bool
set_state(struct fleet *f, struct http_call *c, struct fleet_device *d,
    const char *state)
{
	struct err err;

	d->state = str_of(state);
	if (fleet_device_set(f, d, "state", &err) == 0)
		return true;
	rest_db_error(c, &err);
	return false;
}

static void
handle_approve(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_device d;

	if (!fleet_call_row(c, f, &fleet_device_entity, REST_PATCH, &d) ||
	    !set_state(f, c, &d, "active"))
		return;
	fleet_secrets_push(f, d.id);
	if (fleet_agent_is(f, d.id))
		fleet_deploy_back(f, d.id);
	http_empty(c, 204);
}

static void
handle_archive(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_device d;

	if (!fleet_call_row(c, f, &fleet_device_entity, REST_PATCH, &d) ||
	    !set_state(f, c, &d, "archived"))
		return;
	agent_drop(f->agents, d.id, "the device was archived");
	http_empty(c, 204);
}

static void
handle_restart(struct http_call *c)
{
	/* it answers before the connection is cut */
	static const char *const argv[] = { "sh", "-c",
		"nohup sh -c 'sleep 1; systemctl reboot || reboot' "
		">/dev/null 2>&1 </dev/null &",
		NULL };
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct target_result out;
	struct fleet_device d;
	struct err err;
	int rc;

	if (!fleet_call_row(c, f, &fleet_device_entity, REST_PATCH, &d))
		return;
	rc = fleet_ssh_run(
	    f, &d, argv, STR_NULL, RESTART_MS, &c->arena, &out, &err);
	if (rc != 0)
		http_error(c, rc == ERR_AGAIN ? 409 : 502, "err_device", "%s",
		    err.text);
	else if (out.status != 0)
		http_error(c, 502, "err_device", "ssh: " STR_FMT,
		    STR_ARG(str_trim(out.err)));
	else
		http_empty(c, 204);
}

/* --- hardware, connections, load ------------------------------------------ */

#define H struct fleet_hardware
static const struct field hardware_fields[] = {
	F_TEXT(H, id, "id", .max = 64),
	F_TEXT(H, unit_id, "unitId"),
	F_JSON(H, hardware_ids, "hardwareIds", .flags = FIELD_OBJECT,
	    .help = "Its serial numbers, by kind."),
	F_TEXT(H, device_id, "deviceId", .def = "\"\"",
	    .help = "The device that runs on it; empty: none."),
	F_TIME(H, last_seen, "lastSeen", .flags = FIELD_NULL),
	F_TIME(H, created_at, "createdAt"),
	{ 0 },
};
#undef H
const struct entity fleet_hardware_entity = {
	.record = { "fleetHardware", sizeof(struct fleet_hardware),
	    hardware_fields },
	.table = "hardware",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.indexes = (const struct entity_key[]){ { "unitId", { "unitId" } },
	    { "deviceId", { "deviceId" } }, { 0 } },
	.help = "A machine, known by its serial numbers.",
};

#define P struct fleet_hardware_pair
static const struct field pair_fields[] = {
	F_TEXT(P, id, "id", .max = 64),
	F_TEXT(P, unit_id, "unitId"),
	F_TEXT(P, hardware_id, "hardwareId"),
	F_TEXT(P, pair, "pair"),
	{ 0 },
};
#undef P
const struct entity fleet_hardware_pair_entity = {
	.record = { "fleetHardwarePair", sizeof(struct fleet_hardware_pair),
	    pair_fields },
	.table = "hardware_pair",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.indexes =
	    (const struct entity_key[]){ { "pair", { "unitId", "pair" } },
		{ "hardwareId", { "hardwareId" } }, { 0 } },
	.refs = (const struct entity_ref[]){ { "hardwareId", "fleetHardware",
						 "id", ENTITY_CASCADE },
	    { 0 } },
	.help = "One serial number of a machine.",
};

const struct rest_object fleet_hardware_object = {
	.name = "hardware",
	.entity = &fleet_hardware_entity,
	.id = "id",
	.id_len = ID_LONG,
	.filters =
	    (const struct rest_filter[]){
		{ "device", "deviceId", COND_EQ }, { 0 } },
	.sorts = (const struct rest_sort[]){ { "lastSeen", "lastSeen" },
	    { "created", "createdAt" }, { 0 } },
	.sort = "lastSeen:desc",
	.scope = "fleet.device",
	.help = "machines that devices run on, by their serial numbers.",
	.limit = fleet_limit,
	.may = fleet_may,
};

#define C struct fleet_connection
static const struct field connection_fields[] = {
	F_TEXT(C, id, "id", .max = 64),
	F_TEXT(C, unit_id, "unitId"),
	F_TEXT(C, device_id, "deviceId"),
	F_TEXT(C, address, "address", .help = "Where it came from."),
	F_TIME(C, connected_at, "connectedAt"),
	F_TIME(C, disconnected_at, "disconnectedAt", .flags = FIELD_NULL,
	    .help = "null: it is there."),
	F_TEXT(C, reason, "reason", .def = "\"\"", .help = "Why it ended."),
	{ 0 },
};
#undef C
#define OF_DEVICE                                                              \
	(const struct entity_ref[])                                            \
	{                                                                      \
		{ "deviceId", "fleetDevice", "id", ENTITY_CASCADE },           \
		{                                                              \
			0                                                      \
		}                                                              \
	}
const struct entity fleet_connection_entity = {
	.record = { "fleetConnection", sizeof(struct fleet_connection),
	    connection_fields },
	.table = "connection",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.indexes =
	    (const struct entity_key[]){
		{ "deviceId", { "deviceId", "connectedAt" } },
		{ "open", { "disconnectedAt" } }, { 0 } },
	.refs = OF_DEVICE,
	.help = "A time that the agent of a device was connected.",
};

#define M struct fleet_metric
static const struct field metric_fields[] = {
	F_TEXT(M, id, "id", .max = 64),
	F_TEXT(M, unit_id, "unitId"),
	F_TEXT(M, device_id, "deviceId"),
	F_TIME(M, timestamp, "timestamp"),
	F_REAL(M, cpu_percent, "cpuPercent", .flags = FIELD_NULL),
	F_REAL(M, ram_percent, "ramPercent", .flags = FIELD_NULL),
	F_REAL(M, disk_percent, "diskPercent", .flags = FIELD_NULL),
	{ 0 },
};
#undef M
const struct entity fleet_metric_entity = {
	.record = { "fleetMetric", sizeof(struct fleet_metric), metric_fields },
	.table = "metric",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.indexes =
	    (const struct entity_key[]){
		{ "deviceId", { "deviceId", "timestamp" } },
		{ "timestamp", { "timestamp" } }, { 0 } },
	.refs = OF_DEVICE,
	.help = "The load of a device.",
};

/* --- lists of one device -------------------------------------------------- */

struct list_query {
	int64_t offset, limit;
	int64_t from, to;
	struct str program, contains;
	int64_t severity;
};
#define Q struct list_query
static const struct field list_query_fields[] = {
	F_INT(Q, offset, "offset", .def = "0", .min = 0, .max = 1000000000,
	    .help = "Rows to pass over."),
	F_INT(Q, limit, "limit", .def = "100", .min = 1, .max = 1000,
	    .help = "Rows at most."),
	F_TIME(
	    Q, from, "from", .flags = FIELD_NULL, .help = "Not before then."),
	F_TIME(Q, to, "to", .flags = FIELD_NULL, .help = "Before then."),
	F_TEXT(Q, program, "program", .help = "Of this program only."),
	F_TEXT(Q, contains, "contains", .help = "With this text in it."),
	F_INT(Q, severity, "severity", .min = 0, .max = 7, .def = "7",
	    .help = "As urgent as this, or more: 3 are errors."),
	{ 0 },
};
#undef Q
static const struct record list_query_record = { "fleetListQuery",
	sizeof(struct list_query), list_query_fields };

/* False: answered. */
static bool
read_query(struct http_call *c, struct list_query *q)
{
	memset(q, 0, sizeof(*q));
	record_init(&list_query_record, q);
	(void)record_defaults(&list_query_record, &c->arena, 0, q, NULL);
	for (const struct field *f = list_query_fields; f->name != NULL; f++) {
		struct str text = http_query(c, f->name);
		struct value v;
		struct err err;

		if (text.len == 0)
			continue;
		if (field_from_text(f, &c->arena, text, &v, &err) != 0) {
			http_error(
			    c, 400, "err_param", "%s: %s", f->name, err.text);
			return false;
		}
		field_set(f, (char *)q + f->offset, &v);
	}
	return true;
}

struct put {
	struct json_out *o;
	const struct record *rec;
};

static int
put_row(void *ctx, const void *row, struct err *err)
{
	const struct put *p = ctx;

	(void)err;
	record_to_json(p->o, p->rec, FIELD_ALL, row);
	return 0;
}

static void
answer_list(
    struct http_call *c, const struct entity *e, const char *time, bool is_log)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct filter by = { 0 };
	struct list_query q;
	struct store_query query = {
		.filter = &by, .sort = { { time, true } }, .n_sort = 1
	};
	struct put p = { .rec = &e->record };
	struct fleet_device d;
	struct err err;

	if (!fleet_call_row(c, f, &fleet_device_entity, REST_GET, &d) ||
	    !read_query(c, &q))
		return;
	filter_text(&by, "deviceId", d.id);
	if (q.from != TIME_NULL)
		filter_add(&by, time, COND_GE, value_time(q.from));
	if (q.to != TIME_NULL)
		filter_add(&by, time, COND_LT, value_time(q.to));
	if (is_log && q.severity < 7)
		filter_add(&by, "severity", COND_LE, value_int(q.severity));
	if (is_log && q.program.len > 0)
		filter_text(&by, "program", q.program);
	if (is_log && q.contains.len > 0)
		filter_add(
		    &by, "message", COND_CONTAINS, value_text(q.contains));
	query.offset = (uint64_t)q.offset;
	query.limit = (uint64_t)q.limit;
	p.o = http_json(c, 200);
	json_out_object(p.o);
	json_out_key(p.o, "data");
	json_out_array(p.o);
	if (store_list(f->store, e, &query, put_row, &p, &err) != 0) {
		rest_db_error(c, &err);
		return;
	}
	json_out_end_array(p.o);
	json_out_end_object(p.o);
}

static void
handle_connections(struct http_call *c)
{
	answer_list(c, &fleet_connection_entity, "connectedAt", false);
}

static void
handle_logs(struct http_call *c)
{
	answer_list(c, &fleet_log_entity, "timestamp", true);
}

static void
handle_metrics(struct http_call *c)
{
	answer_list(c, &fleet_metric_entity, "timestamp", false);
}

static const struct http_route device_rows[] = {
	{ "POST", "/device/{id}/approve", HTTP_TOKEN,
	    .scope = "fleet.device.post.approve", .handle = handle_approve,
	    .help = "A device that waits is let in: it gets its secrets, and "
		    "what was deployed to it." },
	{ "POST", "/device/{id}/archive", HTTP_TOKEN,
	    .scope = "fleet.device.post.archive", .handle = handle_archive,
	    .help = "The device is not in use any more: its agent is put out "
		    "until somebody approves of it again." },
	{ "POST", "/device/{id}/restart", HTTP_TOKEN,
	    .scope = "fleet.device.post.restart", .handle = handle_restart,
	    .flags = HTTP_SLOW, .help = "Restarts this device, by SSH." },
	{ "GET", "/device/{id}/connection/list", HTTP_TOKEN,
	    .scope = "fleet.device.get.connection", .query = &list_query_record,
	    .query_members = "from to",
	    .reply = { .record = &fleet_connection_entity.record,
		.list = true },
	    .handle = handle_connections,
	    .help = "When its agent was connected, the newest first." },
	{ "GET", "/device/{id}/log/list", HTTP_TOKEN,
	    .scope = "fleet.device.get.log", .query = &list_query_record,
	    .query_members = "from to program contains severity",
	    .reply = { .record = &fleet_log_entity.record, .list = true },
	    .handle = handle_logs,
	    .help = "What it has logged, the newest first." },
	{ "GET", "/device/{id}/metric/list", HTTP_TOKEN,
	    .scope = "fleet.device.get.metric", .query = &list_query_record,
	    .query_members = "from to",
	    .reply = { .record = &fleet_metric_entity.record, .list = true },
	    .handle = handle_metrics, .help = "Its load, the newest first." },
	{ 0 },
};

static void
routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	struct rest_mounts *m = f != NULL ? &f->mounts : NULL;
	struct store *s = f != NULL ? f->store : NULL;

	rest_mount_rows(m, device_rows, FLEET_API, f, add, ctx);
	rest_mount(m, &fleet_device_object, FLEET_API, s, f, 0, add, ctx);
	rest_mount(m, &fleet_hardware_object, FLEET_API, s, f,
	    REST_NO(REST_ADD) | REST_NO(REST_PATCH), add, ctx);
}

static const struct entity *const entities[] = { &fleet_device_entity,
	&fleet_hardware_entity, &fleet_hardware_pair_entity, NULL };

const struct fleet_part fleet_part_device = {
	.name = "device",
	.entities = entities,
	.routes = routes,
};

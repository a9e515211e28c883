/*
 * core/route/device.c - devices over HTTP, one by one and many at once.
 */
#include "core/route/private.h"
#include "core/rest/check.h"

#include "base/clock.h"
#include "base/rand.h"

#define D struct device

struct device_query {
	struct str unit, network, addr, profile, contains;
};

static const struct field query_fields[] = {
	F_TEXT(struct device_query, unit, "unit",
	    .help = "Devices of this unit; administrators may leave it out."),
	F_TEXT(struct device_query, network, "network",
	    .help = "Devices on the network of this code or id."),
	F_TEXT(
	    struct device_query, addr, "addr", .help = "Exactly this address."),
	F_TEXT(struct device_query, profile, "profile",
	    .help = "Exactly this profile."),
	F_TEXT(struct device_query, contains, "contains",
	    .help = "Names that contain this text."),
	{ 0 },
};
static const struct record query_record = { "deviceQuery",
	sizeof(struct device_query), query_fields };

/* --- JSON for the ctrl queue --------------------------------------------- */

static struct str
ctrl_addr(struct arena *a, struct str addr)
{
	struct buf b = { 0 };
	struct str s;

	buf_addz(&b, "{\"networkAddr\":");
	json_quote(&b, addr);
	buf_addc(&b, '}');
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

static struct str
ctrl_addrs(struct arena *a, struct strs list)
{
	struct buf b = { 0 };
	struct json_out o;
	struct str s;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "networkAddrs");
	json_out_array(&o);
	for (size_t i = 0; i < list.n; i++)
		json_out_str(&o, list.at[i]);
	json_out_end_array(&o);
	json_out_end_object(&o);
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

static void
tell(struct rest *r, const struct device *d, const char *operation)
{
	change_ctrl(r->module, d->unit_code, d->network_code, operation,
	    ctrl_addr(&r->c->arena, d->network_addr));
}

/* --- one device ---------------------------------------------------------- */

/* Puts the device on a network of its unit, or a public one. */
static bool
place_on(struct rest *r, struct device *d)
{
	struct route_end net;

	if (!network_for(r, d->network_id, d->unit_id, &net))
		return false;
	d->network_code = net.code;
	d->unit_code = net.unit_id.len > 0 ? net.unit_code : STR_NULL;
	return true;
}

static bool
device_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct device *d = row;

	(void)extra;
	(void)beside;
	return unit_for(r, d->unit_id, RIGHT_WRITE, "err_broker_unit_not_exist",
		   NULL) &&
	    place_on(r, d);
}

static void
device_after_add(struct rest *r, const void *row, void *extra)
{
	const struct device *d = row;

	(void)extra;
	change_device(
	    r->module, d->unit_code, d->network_code, d->network_addr);
	tell(r, d, "add-device");
}

static bool
moved(const struct device *a, const struct device *b)
{
	return !str_eq(a->network_id, b->network_id) ||
	    !str_eq(a->network_addr, b->network_addr);
}

static bool
device_before_patch(struct rest *r, const void *old, void *row,
    field_set_t *present, void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	const struct record *rec = &route_device_entity.record;

	(void)extra;
	(void)extra_present;
	(void)beside;
	(void)beside_present;
	if (!moved(old, row))
		return true;
	*present |= field_bits(rec, "networkCode unitCode", NULL);
	return place_on(r, row);
}

/* Routes and waiting downlinks of a device carry its network, address and
 * profile: they move with it. */
static int
device_in_patch(struct rest *r, struct store *tx, const void *old,
    const void *row, field_set_t present, struct err *err)
{
	const struct device *was = old, *d = row;
	struct change changes[5] = {
		{ "networkId", value_text(d->network_id) },
		{ "networkCode", value_text(d->network_code) },
		{ "networkAddr", value_text(d->network_addr) },
		{ "profile", value_text(d->profile) },
		{ "modifiedAt", value_time(d->modified_at) },
	};
	struct change address[2] = { changes[0], changes[2] };
	struct filter f = { 0 };
	int rc;

	(void)r;
	(void)present;
	if (!moved(was, d) && str_eq(was->profile, d->profile))
		return 0;
	filter_text(&f, "deviceId", d->device_id);
	rc = store_update(
	    tx, &route_device_route_entity, &f, changes, 5, NULL, err);
	if (rc == 0 && moved(was, d))
		rc = store_update(
		    tx, &route_dldata_entity, &f, address, 2, NULL, err);
	return rc;
}

static void
device_after_patch(struct rest *r, const void *old, const void *row,
    field_set_t present, void *extra, field_set_t extra_present)
{
	const struct device *was = old, *d = row;

	(void)present;
	(void)extra;
	(void)extra_present;
	change_device(
	    r->module, was->unit_code, was->network_code, was->network_addr);
	if (!moved(was, d))
		return;
	change_device(
	    r->module, d->unit_code, d->network_code, d->network_addr);
	tell(r, was, "del-device");
	tell(r, d, "add-device");
}

static void
device_after_del(struct rest *r, const void *row)
{
	const struct device *d = row;

	change_device(
	    r->module, d->unit_code, d->network_code, d->network_addr);
	change_device_route(r->module, d->device_id);
	tell(r, d, "del-device");
}

static bool
device_may(struct rest *r, enum rest_verb verb, const void *row)
{
	return may_in_unit(r, verb, ((const struct device *)row)->unit_id);
}

/* `network` is a code in upstream's program and an id in its documents; an id
 * has letters that no code has. */
static bool
device_limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	struct str network = http_query(r->c, "network");

	(void)verb;
	if (network.len > 0)
		filter_text(f,
		    check_code(network, NULL) == 0 &&
			    str_eq(
				network, arena_lower(&r->c->arena, network)) &&
			    network.len < 22
			? "networkCode"
			: "networkId",
		    network);
	return unit_filtered(r, f);
}

const struct rest_object route_device_object = {
	.name = "device",
	.entity = &route_device_entity,
	.id = "deviceId",
	.id_len = ID_SHORT,
	.filters = (const struct rest_filter[]){ { "addr", "networkAddr",
						     COND_EQ, .lower = true },
	    { "profile", "profile", COND_EQ, .lower = true },
	    { "ids", "deviceId", COND_IN },
	    { "contains", "name", COND_CONTAINS }, { 0 } },
	.query = &query_record,
	.sorts = (const struct rest_sort[]){ { "network", "networkCode" },
	    { "addr", "networkAddr" }, { "created", "createdAt" },
	    { "modified", "modifiedAt" }, { "profile", "profile" },
	    { "name", "name" }, { 0 } },
	.sort = "network:asc,addr:asc",
	.add = "unitId! networkId! networkAddr! profile name info",
	.patch = "networkId networkAddr profile name info",
	.exists =
	    (const struct rest_exists[]){
		{ "address", "err_broker_network_addr_exist" }, { 0 } },
	.help = "devices.",
	.limit = device_limit,
	.may = device_may,
	.before_add = device_before_add,
	.after_add = device_after_add,
	.before_patch = device_before_patch,
	.in_patch = device_in_patch,
	.after_patch = device_after_patch,
	.after_del = device_after_del,
};

/* On a network of this unit, or a public one for an administrator. */
static int
make(struct rest *rest, struct arena *a, struct device *d, bool admin,
    struct err *err)
{
	struct route *r = rest->module;
	struct route_end net;
	int rc = network_get(r, d->network_id, a, &net, err);

	if (rc != 0)
		return rc;
	if (net.unit_id.len > 0 ? !str_eq(net.unit_id, d->unit_id) : !admin)
		return err_set(err, ERR_NOT_FOUND, "no such network");
	d->network_code = net.code;
	d->unit_code = net.unit_id.len > 0 ? net.unit_code : STR_NULL;
	d->network_addr = arena_lower(a, d->network_addr);
	d->device_id = rand_id(a, d->created_at, ID_SHORT);
	d->info = STR("{}");
	return versions_store_add_many(
	    r->versions, rest->c, &route_device_entity, d, 1, false, err);
}

int
route_device_make(struct route *r, struct http_call *c, struct str unit_id,
    struct str network_id, struct str addr, struct str profile, struct str name,
    struct str *device_id, struct err *err)
{
	struct rest rest = { .c = c, .store = r->store, .module = r };
	struct device d = { .unit_id = unit_id,
		.network_id = network_id,
		.network_addr = addr,
		.profile = profile.ptr != NULL ? profile : STR(""),
		.name = name.ptr != NULL ? name : STR(""),
		.created_at = c->came_at,
		.modified_at = c->came_at };
	int rc;

	if (!may_in_unit(&rest, REST_ADD, unit_id))
		return err_set(err, ERR_NOT_FOUND, "no such unit");
	rc = make(&rest, &c->arena, &d, is_admin(c), err);
	if (rc != 0)
		return rc;
	device_after_add(&rest, &d, NULL);
	*device_id = d.device_id;
	return 0;
}

int
route_device_born(struct route *r, const struct route_newborn *n,
    struct arena *a, struct str *device_id, struct err *err)
{
	struct rest rest = { .store = r->store, .module = r };
	int64_t now = clock_now();
	struct device d = { .unit_id = n->unit_id,
		.network_id = n->network_id,
		.network_addr = n->addr,
		.profile = n->profile,
		.name = n->name,
		.created_at = now,
		.modified_at = now };
	int rc = make(&rest, a, &d, false, err);

	if (rc != 0)
		return rc;
	change_device(r, d.unit_code, d.network_code, d.network_addr);
	*device_id = d.device_id;
	return 0;
}

int
route_device_look(struct route *r, struct str device_id, struct arena *a,
    struct route_device_facts *ret, struct err *err)
{
	struct filter f = { 0 }, g = { 0 };
	struct device d;
	struct unit u;
	bool found;
	int rc;

	filter_text(&f, "deviceId", device_id);
	rc = store_get(r->store, &route_device_entity, &f, a, &d, &found, err);
	if (rc != 0 || !found)
		return rc;
	filter_text(&g, "unitId", d.unit_id);
	rc = store_get(r->store, &route_unit_entity, &g, a, &u, &found, err);
	if (rc != 0 || !found)
		return rc;
	*ret = (struct route_device_facts){ d.profile, u.code,
		d.unit_code.len == 0, d.network_code, d.network_addr };
	return 1;
}

/* --- many devices -------------------------------------------------------- */

struct many {
	struct str unit_id, network_id;
	struct strs network_addrs;
	struct str start_addr, end_addr;
	struct str profile;
};

#define M struct many
static const struct field bulk_fields[] = {
	F_TEXT(M, unit_id, "unitId", .check = check_filled,
	    .help = "The unit of the devices."),
	F_TEXT(M, network_id, "networkId", .check = check_filled,
	    .help = "The network they are on."),
	F_TEXTS(
	    M, network_addrs, "networkAddrs", .help = "Up to 1024 addresses."),
	F_TEXT(M, start_addr, "startAddr", .help = "First address, in hex."),
	F_TEXT(M, end_addr, "endAddr", .help = "Last address, in hex."),
	F_TEXT(M, profile, "profile", .flags = FIELD_LOWER,
	    .check = check_profile, .max = 128, .help = "Their profile."),
	{ 0 },
};
static const struct record bulk_record = { "devices", sizeof(M), bulk_fields };

/* What a call on many devices is about, once it is checked. */
struct many_devices {
	struct rest r;
	struct route *route;
	const struct many *body;
	struct route_end net;
	struct strs addrs;
	bool range;
	struct rows rows; /* the devices themselves, for deletion */
};

static bool
many_begin(struct many_devices *m, struct http_call *c, bool range)
{
	struct rest_body b;

	m->route = (struct route *)c->route->ctx;
	m->r = (struct rest){
		.c = c, .store = m->route->store, .module = m->route
	};
	m->range = range;
	if (!rest_read(c, &c->route->body, NULL, &b))
		return false;
	m->body = b.row;
	if (range ? !addresses_range(
			c, m->body->start_addr, m->body->end_addr, &m->addrs)
		  : !addresses_listed(c, m->body->network_addrs, &m->addrs))
		return false;
	return unit_for(&m->r, m->body->unit_id, RIGHT_WRITE,
		   "err_broker_unit_not_exist", NULL) &&
	    network_for(&m->r, m->body->network_id, m->body->unit_id, &m->net);
}

/* Tells caches and the network; `verb` "add" or "del". */
static void
many_end(struct many_devices *m, const char *bulk, const char *range)
{
	struct http_call *c = m->r.c;
	struct str unit = m->net.unit_id.len > 0 ? m->net.unit_code : STR_NULL;

	for (size_t i = 0; i < m->addrs.n; i++)
		change_device(m->route, unit, m->net.code, m->addrs.at[i]);
	if (m->range)
		change_ctrl(m->route, unit, m->net.code, range,
		    arena_printf(&c->arena,
			"{\"startAddr\":\"" STR_FMT "\",\"endAddr\":\"" STR_FMT
			"\"}",
			STR_ARG(m->addrs.at[0]),
			STR_ARG(m->addrs.at[m->addrs.n - 1])));
	else
		change_ctrl(m->route, unit, m->net.code, bulk,
		    ctrl_addrs(&c->arena, m->addrs));
	http_empty(c, 204);
}

static void
add_many(struct http_call *c, bool range)
{
	struct many_devices m = { 0 };
	struct device *rows;
	struct err err;

	if (!many_begin(&m, c, range))
		return;
	rows = arena_array(&c->arena, m.addrs.n, struct device);
	for (size_t i = 0; i < m.addrs.n; i++)
		rows[i] = (struct device){
			.device_id = rand_id(&c->arena, c->came_at, ID_SHORT),
			.unit_id = m.body->unit_id,
			.unit_code =
			    m.net.unit_id.len > 0 ? m.net.unit_code : STR_NULL,
			.network_id = m.net.id,
			.network_code = m.net.code,
			.network_addr = m.addrs.at[i],
			.created_at = c->came_at,
			.modified_at = c->came_at,
			.profile = m.body->profile.ptr != NULL ? m.body->profile
							       : STR(""),
			.name = m.addrs.at[i],
			.info = STR("{}"),
		};
	if (versions_store_add_many(m.route->versions, c, &route_device_entity,
		rows, m.addrs.n, true, &err) != 0)
		rest_db_error(c, &err);
	else
		many_end(&m, "add-device-bulk", "add-device-range");
}

static int
del_many_tx(struct store *tx, void *ctx, struct err *err)
{
	struct many_devices *m = ctx;
	struct http_call *c = m->r.c;
	struct value *list = arena_array(&c->arena, m->addrs.n, struct value);
	struct store_query q = { 0 };
	struct filter f = { 0 };
	int rc;

	for (size_t i = 0; i < m->addrs.n; i++)
		list[i] = value_text(m->addrs.at[i]);
	filter_text(&f, "networkId", m->net.id);
	filter_text(&f, "unitId", m->body->unit_id);
	filter_in(&f, "networkAddr", list, m->addrs.n);
	q.filter = &f;
	rc = store_all(tx, &route_device_entity, &q, &c->arena, &m->rows, err);
	if (rc == 0)
		rc = store_del(tx, &route_device_entity, &f, NULL, err);
	return rc;
}

static void
del_many(struct http_call *c, bool range)
{
	struct many_devices m = { 0 };
	const struct device *rows;
	struct err err;

	if (!many_begin(&m, c, range))
		return;
	if (versions_tx(m.route->versions, NULL, c, del_many_tx, &m, &err) !=
	    0) {
		rest_db_error(c, &err);
		return;
	}
	rows = m.rows.at;
	for (size_t i = 0; i < m.rows.n; i++)
		change_device_route(m.route, rows[i].device_id);
	many_end(&m, "del-device-bulk", "del-device-range");
}

static void
bulk(struct http_call *c)
{
	add_many(c, false);
}

static void
bulk_delete(struct http_call *c)
{
	del_many(c, false);
}

static void
range(struct http_call *c)
{
	add_many(c, true);
}

static void
range_delete(struct http_call *c)
{
	del_many(c, true);
}

#define BULK "unitId! networkId! networkAddrs!"
#define RANGE "unitId! networkId! startAddr! endAddr!"

const struct http_route route_device_rows[] = {
	{ "POST", "/device/bulk", HTTP_TOKEN, .scope = "device.post",
	    .body = { .record = &bulk_record, .members = BULK " profile" },
	    .handle = bulk,
	    .help = "Adds devices of these addresses; those that exist are "
		    "passed over." },
	{ "POST", "/device/bulk-delete", HTTP_TOKEN, .scope = "device.delete",
	    .body = { .record = &bulk_record, .members = BULK },
	    .handle = bulk_delete,
	    .help = "Deletes the devices of these addresses." },
	{ "POST", "/device/range", HTTP_TOKEN, .scope = "device.post",
	    .body = { .record = &bulk_record, .members = RANGE " profile" },
	    .handle = range, .help = "Adds devices of a range of addresses." },
	{ "POST", "/device/range-delete", HTTP_TOKEN, .scope = "device.delete",
	    .body = { .record = &bulk_record, .members = RANGE },
	    .handle = range_delete,
	    .help = "Deletes the devices of a range of addresses." },
	{ 0 },
};

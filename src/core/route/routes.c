/*
 * core/route/routes.c - device routes, network routes and waiting downlinks
 * over HTTP.
 */
#include "core/rest/check.h"
#include "core/route/private.h"

#include "base/rand.h"

struct ends_query {
	struct str unit, application, network, device;
};

#define Q struct ends_query
#define QUERY_ENDS                                                             \
	F_TEXT(Q, unit, "unit",                                                \
	    .help = "Those of this unit; administrators may leave it out."),   \
	    F_TEXT(Q, application, "application",                              \
		.help = "Those of the application with this id."),             \
	    F_TEXT(Q, network, "network",                                      \
		.help = "Those of the network with this id.")

static const struct field query_fields[] = {
	QUERY_ENDS,
	F_TEXT(
	    Q, device, "device", .help = "Those of the device with this id."),
	{ 0 },
};
static const struct record query_record = { "endsQuery", sizeof(Q),
	query_fields };
static const struct field network_query_fields[] = { QUERY_ENDS, { 0 } };
static const struct record network_query_record = { "networkEndsQuery",
	sizeof(Q), network_query_fields };

#define FILTERS                                                                \
	{ "application", "applicationId", COND_EQ },                           \
	{                                                                      \
		"network", "networkId", COND_EQ                                \
	}

static bool
limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	(void)verb;
	return unit_filtered(r, f);
}

/* --- device routes ------------------------------------------------------- */

static bool
device_route_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct device_route *dr = row;
	struct route_end app;
	struct device d;
	bool found;

	(void)extra;
	(void)beside;
	if (!get_row(r->c, r->store, &route_device_entity, "deviceId",
		dr->device_id, &d, &found))
		return false;
	if (!found || !may_in_unit(r, REST_ADD, d.unit_id)) {
		if (r->c->status == 0)
			http_error(
			    r->c, 400, "err_broker_device_not_exist", NULL);
		return false;
	}
	if (!application_for(r, dr->application_id, &app))
		return false;
	if (!str_eq(app.unit_id, d.unit_id)) {
		http_error(r->c, 400, "err_broker_unit_not_match", NULL);
		return false;
	}
	dr->unit_id = app.unit_id;
	dr->unit_code = app.unit_code;
	dr->application_code = app.code;
	dr->network_id = d.network_id;
	dr->network_code = d.network_code;
	dr->network_addr = d.network_addr;
	dr->profile = d.profile;
	return true;
}

static void
device_route_after_add(struct rest *r, const void *row, void *extra)
{
	(void)extra;
	change_device_route(
	    r->module, ((const struct device_route *)row)->device_id);
}

static void
device_route_after_del(struct rest *r, const void *row)
{
	change_device_route(
	    r->module, ((const struct device_route *)row)->device_id);
}

static bool
device_route_may(struct rest *r, enum rest_verb verb, const void *row)
{
	return may_in_unit(
	    r, verb, ((const struct device_route *)row)->unit_id);
}

const struct rest_object route_device_route_object = {
	.name = "device-route",
	.entity = &route_device_route_entity,
	.id = "routeId",
	.id_len = ID_LONG,
	.shown = "routeId unitId applicationId applicationCode deviceId "
		 "networkId networkCode networkAddr profile createdAt "
		 "modifiedAt",
	.filters = (const struct rest_filter[]){ FILTERS,
	    { "device", "deviceId", COND_EQ }, { 0 } },
	.query = &query_record,
	.sorts = (const struct rest_sort[]){ { "application",
						 "applicationCode" },
	    { "network", "networkCode" }, { "addr", "networkAddr" },
	    { "created", "createdAt" }, { "modified", "modifiedAt" }, { 0 } },
	.sort = "network:asc,addr:asc,created:desc",
	.add = "deviceId! applicationId!",
	.exists =
	    (const struct rest_exists[]){
		{ "pair", "err_broker_route_exist" }, { 0 } },
	.help = "device routes.",
	.limit = limit,
	.may = device_route_may,
	.before_add = device_route_before_add,
	.after_add = device_route_after_add,
	.after_del = device_route_after_del,
};

/* --- many device routes -------------------------------------------------- */

struct many {
	struct str application_id, network_id;
	struct strs network_addrs;
	struct str start_addr, end_addr;
};

#define M struct many
static const struct field many_fields[] = {
	F_TEXT(M, application_id, "applicationId", .check = check_filled,
	    .help = "Who is to receive."),
	F_TEXT(M, network_id, "networkId", .check = check_filled,
	    .help = "The network of the devices."),
	F_TEXTS(
	    M, network_addrs, "networkAddrs", .help = "Up to 1024 addresses."),
	F_TEXT(M, start_addr, "startAddr", .help = "First address, in hex."),
	F_TEXT(M, end_addr, "endAddr", .help = "Last address, in hex."),
	{ 0 },
};
static const struct record many_record = { "deviceRoutes", sizeof(M),
	many_fields };

struct many_routes {
	struct rest r;
	struct route *route;
	struct route_end app, net;
	struct rows devices; /* those that there are */
};

/* Reads and checks the call, and finds the devices: those of the application's
 * unit, so that nobody routes another unit's devices of a public network. */
static bool
many_begin(struct many_routes *m, struct http_call *c, bool is_range)
{
	struct store_query q = { 0 };
	struct filter f = { 0 };
	const struct many *body;
	struct value *list;
	struct strs addrs;
	struct rest_body b;
	struct err err;

	m->route = (struct route *)c->route->ctx;
	m->r = (struct rest){
		.c = c, .store = m->route->store, .module = m->route
	};
	if (!rest_read(c, &c->route->body, NULL, &b))
		return false;
	body = b.row;
	if (is_range
		? !addresses_range(c, body->start_addr, body->end_addr, &addrs)
		: !addresses_listed(c, body->network_addrs, &addrs))
		return false;
	if (!application_for(&m->r, body->application_id, &m->app) ||
	    !network_for(&m->r, body->network_id, STR_NULL, &m->net))
		return false;
	if (m->net.unit_id.len > 0 && !str_eq(m->net.unit_id, m->app.unit_id)) {
		http_error(c, 400, "err_broker_unit_not_match", NULL);
		return false;
	}
	list = arena_array(&c->arena, addrs.n, struct value);
	for (size_t i = 0; i < addrs.n; i++)
		list[i] = value_text(addrs.at[i]);
	filter_text(&f, "networkId", m->net.id);
	filter_text(&f, "unitId", m->app.unit_id);
	filter_in(&f, "networkAddr", list, addrs.n);
	q.filter = &f;
	if (store_all(m->route->store, &route_device_entity, &q, &c->arena,
		&m->devices, &err) == 0)
		return true;
	rest_db_error(c, &err);
	return false;
}

static void
many_end(struct many_routes *m)
{
	const struct device *d = m->devices.at;

	for (size_t i = 0; i < m->devices.n; i++)
		change_device_route(m->route, d[i].device_id);
	http_empty(m->r.c, 204);
}

static void
add_many(struct http_call *c, bool is_range)
{
	struct many_routes m = { 0 };
	struct device_route *rows;
	const struct device *d;
	struct err err;

	if (!many_begin(&m, c, is_range))
		return;
	if (m.devices.n == 0) {
		http_error(c, 400, "err_broker_device_not_exist", NULL);
		return;
	}
	d = m.devices.at;
	rows = arena_array(&c->arena, m.devices.n, struct device_route);
	for (size_t i = 0; i < m.devices.n; i++)
		rows[i] = (struct device_route){
			.route_id = rand_id(&c->arena, c->came_at, ID_LONG),
			.unit_id = m.app.unit_id,
			.unit_code = m.app.unit_code,
			.application_id = m.app.id,
			.application_code = m.app.code,
			.device_id = d[i].device_id,
			.network_id = d[i].network_id,
			.network_code = d[i].network_code,
			.network_addr = d[i].network_addr,
			.profile = d[i].profile,
			.created_at = c->came_at,
			.modified_at = c->came_at,
		};
	if (versions_store_add_many(m.route->versions, c,
		&route_device_route_entity, rows, m.devices.n, true, &err) != 0)
		rest_db_error(c, &err);
	else
		many_end(&m);
}

static void
del_many(struct http_call *c, bool is_range)
{
	struct many_routes m = { 0 };
	struct filter f = { 0 };
	const struct device *d;
	struct value *list;
	struct err err;

	if (!many_begin(&m, c, is_range))
		return;
	d = m.devices.at;
	list = arena_array(&c->arena, m.devices.n, struct value);
	for (size_t i = 0; i < m.devices.n; i++)
		list[i] = value_text(d[i].device_id);
	filter_text(&f, "applicationId", m.app.id);
	filter_in(&f, "deviceId", list, m.devices.n);
	if (versions_store_del(m.route->versions, c, &route_device_route_entity,
		&f, &err) != 0)
		rest_db_error(c, &err);
	else
		many_end(&m);
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

#define BULK "applicationId! networkId! networkAddrs!"
#define RANGE "applicationId! networkId! startAddr! endAddr!"

const struct http_route route_device_route_rows[] = {
	{ "POST", "/device-route/bulk", HTTP_TOKEN,
	    .scope = "device-route.post",
	    .body = { .record = &many_record, .members = BULK }, .handle = bulk,
	    .help = "Routes the devices of these addresses to an application; "
		    "routes that exist are passed over." },
	{ "POST", "/device-route/bulk-delete", HTTP_TOKEN,
	    .scope = "device-route.delete",
	    .body = { .record = &many_record, .members = BULK },
	    .handle = bulk_delete,
	    .help = "Deletes the routes of these addresses." },
	{ "POST", "/device-route/range", HTTP_TOKEN,
	    .scope = "device-route.post",
	    .body = { .record = &many_record, .members = RANGE },
	    .handle = range,
	    .help = "Routes the devices of a range of addresses." },
	{ "POST", "/device-route/range-delete", HTTP_TOKEN,
	    .scope = "device-route.delete",
	    .body = { .record = &many_record, .members = RANGE },
	    .handle = range_delete,
	    .help = "Deletes the routes of a range of addresses." },
	{ 0 },
};

/* --- network routes ------------------------------------------------------ */

static bool
network_route_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	const struct route *route = r->module;
	struct network_route *nr = row;
	struct route_end app, net;

	(void)extra;
	(void)beside;
	if (!network_for(r, nr->network_id, STR_NULL, &net) ||
	    !application_for(r, nr->application_id, &app))
		return false;
	if (net.unit_id.len == 0 && !route->conf.public_routes) {
		http_error(r->c, 400, "err_broker_unit_not_match",
		    "a public network is routed only where "
		    "broker.publicNetworkRoutes allows it");
		return false;
	}
	if (net.unit_id.len > 0 && !str_eq(net.unit_id, app.unit_id)) {
		http_error(r->c, 400, "err_broker_unit_not_match", NULL);
		return false;
	}
	nr->unit_id = app.unit_id;
	nr->unit_code = app.unit_code;
	nr->application_code = app.code;
	nr->network_code = net.code;
	return true;
}

static void
network_route_after_add(struct rest *r, const void *row, void *extra)
{
	(void)extra;
	change_network_route(
	    r->module, ((const struct network_route *)row)->network_id);
}

static void
network_route_after_del(struct rest *r, const void *row)
{
	change_network_route(
	    r->module, ((const struct network_route *)row)->network_id);
}

static bool
network_route_may(struct rest *r, enum rest_verb verb, const void *row)
{
	return may_in_unit(
	    r, verb, ((const struct network_route *)row)->unit_id);
}

const struct rest_object route_network_route_object = {
	.name = "network-route",
	.entity = &route_network_route_entity,
	.id = "routeId",
	.id_len = ID_LONG,
	.shown = "routeId unitId applicationId applicationCode networkId "
		 "networkCode createdAt",
	.filters = (const struct rest_filter[]){ FILTERS, { 0 } },
	.query = &network_query_record,
	.sorts = (const struct rest_sort[]){ { "application",
						 "applicationCode" },
	    { "network", "networkCode" }, { "created", "createdAt" }, { 0 } },
	.sort = "network:asc,created:desc",
	.add = "networkId! applicationId!",
	.exists =
	    (const struct rest_exists[]){
		{ "pair", "err_broker_route_exist" }, { 0 } },
	.help = "network routes.",
	.limit = limit,
	.may = network_route_may,
	.before_add = network_route_before_add,
	.after_add = network_route_after_add,
	.after_del = network_route_after_del,
};

/* --- waiting downlinks --------------------------------------------------- */

static bool
dldata_may(struct rest *r, enum rest_verb verb, const void *row)
{
	return may_in_unit(
	    r, verb, ((const struct dldata_buffer *)row)->unit_id);
}

const struct rest_object route_dldata_object = {
	.name = "dldata-buffer",
	.entity = &route_dldata_entity,
	.id = "dataId",
	.id_len = ID_LONG,
	.shown = "dataId unitId applicationId applicationCode deviceId "
		 "networkId networkAddr createdAt expiredAt",
	.filters = (const struct rest_filter[]){ FILTERS,
	    { "device", "deviceId", COND_EQ }, { 0 } },
	.query = &query_record,
	.sorts =
	    (const struct rest_sort[]){ { "application", "applicationCode" },
		{ "created", "createdAt" }, { "expired", "expiredAt" }, { 0 } },
	.sort = "application:asc,created:desc",
	.csv = "dataId unitId applicationId applicationCode deviceId "
	       "networkId createdAt expiredAt",
	.help = "downlinks that wait for their result.",
	.limit = limit,
	.may = dldata_may,
};

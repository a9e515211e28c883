/*
 * core/coremgr/coremgr.c - see coremgr.h.
 *
 * The two objects here are those of core/route with some decisions replaced:
 * what was decided there is asked first.
 */
#include "core/coremgr/coremgr.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/url.h"
#include "core/rest/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PASSWORD_LEN 8

struct coremgr {
	struct coremgr_conf conf;
	struct auth *auth;
	struct route *route;
	struct data *data;
	struct rest_mounts mounts;
};

/* --- settings ------------------------------------------------------------ */

static const char *const amqp_engines[] = { "rabbitmq", NULL };
static const char *const mqtt_engines[] = { "emqx", "rumqttd", NULL };

#define C struct coremgr_conf
#define NO_RABBITMQ "AMQP hosts are not part of this version"
#define NO_EMQX "foreign MQTT hosts are not part of this version"

const struct conf_field coremgr_fields[] = {
	CONF_TEXT(C, auth_url, "auth", .def = "http://localhost:1080/auth",
	    .inert = "auth runs in the same process",
	    .help = "URL of the auth module."),
	CONF_TEXT(C, broker_url, "broker",
	    .def = "http://localhost:2080/broker",
	    .inert = "the broker module runs in the same process",
	    .help = "URL of the broker module."),
	CONF_ENUM(C, engine_amqp, "mq.engine.amqp", .def = "rabbitmq",
	    .choices = amqp_engines, .fallback = true,
	    .help = "What serves amqp:// hosts. Until that engine is built in, "
		    "such a host is refused."),
	CONF_ENUM(C, engine_mqtt, "mq.engine.mqtt", .def = "rumqttd",
	    .choices = mqtt_engines, .fallback = true,
	    .help = "What serves mqtt:// hosts: `rumqttd` is the server inside "
		    "this program; with `emqx` they are refused until that "
		    "engine is built in."),
	CONF_TEXT(C, rabbitmq.username, "mq.rabbitmq.username", .def = "guest",
	    .inert = NO_RABBITMQ, .help = "Who manages RabbitMQ."),
	CONF_TEXT(C, rabbitmq.password, "mq.rabbitmq.password", .def = "guest",
	    .secret = true, .inert = NO_RABBITMQ, .help = "The password."),
	CONF_INT(C, rabbitmq.ttl_s, "mq.rabbitmq.ttl", .inert = NO_RABBITMQ,
	    .help = "Seconds that messages wait in new queues."),
	CONF_INT(C, rabbitmq.length, "mq.rabbitmq.length", .inert = NO_RABBITMQ,
	    .help = "Messages that wait in new queues."),
	CONF_TEXT(C, rabbitmq.hosts, "mq.rabbitmq.hosts", .inert = NO_RABBITMQ,
	    .help = "Reserved by Sylvia-IoT."),
	CONF_TEXT(C, emqx.api_key, "mq.emqx.apiKey", .def = "",
	    .inert = NO_EMQX, .help = "Key of EMQX's API."),
	CONF_TEXT(C, emqx.api_secret, "mq.emqx.apiSecret", .def = "",
	    .secret = true, .inert = NO_EMQX, .help = "Its secret."),
	CONF_TEXT(C, emqx.hosts, "mq.emqx.hosts", .inert = NO_EMQX,
	    .help = "Reserved by Sylvia-IoT."),
	CONF_INT(C, rumqttd.console_port, "mq.rumqttd.consolePort",
	    .def = "18083", .max = 65535,
	    .inert = "there is no console; see /metrics",
	    .help = "Port of rumqttd's console."),
	CONF_TEXT(C, data_url, "mqChannels.data.url",
	    .help = "Host of the channel for operations. Not set, or any "
		    "host: they go to the data module of this process; null: "
		    "operations are not put on record."),
	CONF_BOOL(C, data_persistent, "mqChannels.data.persistent",
	    .def = "false", .inert = "data.db.sqlite.sync says how durable",
	    .help = "Ask that channel's host to keep messages on disk."),
	{ 0 },
};

/* --- applications and networks ------------------------------------------- */

struct limits {
	int64_t ttl, length;
	struct str password;
};

#define L struct limits
#define LIMIT_FIELDS                                                           \
	F_INT(L, ttl, "ttl", .flags = FIELD_NULL,                              \
	    .max = (int64_t)3650 * 86400000,                                   \
	    .help = "How long messages wait in its queues, in ms; 0: the "     \
		    "server's limit."),                                        \
	    F_INT(L, length, "length", .flags = FIELD_NULL, .max = 10000000,   \
		.help = "How many messages wait in a queue; 0: the server's "  \
			"limit.")
static const struct field add_fields[] = { LIMIT_FIELDS, { 0 } };
static const struct record add_record = { "queueLimits", sizeof(L),
	add_fields };
static const struct field patch_fields[] = {
	LIMIT_FIELDS,
	F_TEXT(L, password, "password", .flags = FIELD_SECRET,
	    .check = check_filled, .max = 256,
	    .help = "The password for its queues."),
	{ 0 },
};
static const struct record patch_record = { "queueAccess", sizeof(L),
	patch_fields };

static const struct field more_fields[] = {
	F_INT(L, ttl, "ttl", .flags = FIELD_ABSENT),
	F_INT(L, length, "length", .flags = FIELD_ABSENT),
	{ 0 },
};
static const struct record more_record = { "queueLimits", sizeof(L),
	more_fields };
static const struct field added_fields[] = {
	F_TEXT(L, password, "password", .help = "For its queues."),
	{ 0 },
};
static const struct record added_record = { "queueAccountAdded", sizeof(L),
	added_fields };

static bool
is_application(const struct rest *r)
{
	return r->o->entity == route_application_object.entity;
}

static const struct rest_object *
base_of(const struct rest *r)
{
	return is_application(r) ? &route_application_object
				 : &route_network_object;
}

/* Until other engines are built in, only this server's queues can be had. */
static bool
host_served(struct rest *r, const struct route_end *end)
{
	if (route_host_embedded(r->module, end->host_uri))
		return true;
	http_error(r->c, 503, "err_int_msg",
	    "queues on " STR_FMT " can not be made: this version serves "
	    "mqtt://localhost only",
	    STR_ARG(end->host_uri));
	return false;
}

struct note {
	struct route_account account;
	char password[PASSWORD_LEN + 1];
	bool store; /* the account is new or changed */
	bool kick;
};

static bool
make_account(struct rest *r, const struct route_end *end, struct str password,
    int64_t ttl, int64_t length, struct note *note)
{
	struct err err;

	note->store = true;
	if (route_account_make(&r->c->arena, is_application(r), end, password,
		ttl == FIELD_INT_NULL ? 0 : ttl,
		length == FIELD_INT_NULL ? 0 : length, &note->account,
		&err) == 0)
		return true;
	http_error(r->c, 503, "err_rsc", "%s", err.text);
	return false;
}

static bool
before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct note *note = arena_new(&r->c->arena, struct note);
	const struct limits *limits = extra;

	if (!base_of(r)->before_add(r, row, extra, beside) ||
	    !host_served(r, row))
		return false;
	r->note = note;
	rand_text(note->password, PASSWORD_LEN);
	return make_account(
	    r, row, str_of(note->password), limits->ttl, limits->length, note);
}

static int
in_add(struct rest *r, struct store *tx, const void *row, struct err *err)
{
	const struct note *note = r->note;

	(void)row;
	return store_add(tx, &route_account_entity, &note->account, err);
}

static void
after_add(struct rest *r, const void *row, void *extra)
{
	struct note *note = r->note;

	(void)extra;
	route_account_changed(
	    r->module, is_application(r), row, &note->account, false);
	json_out_key(&r->c->json, "password");
	json_out_str(&r->c->json, str_of(note->password));
}

static bool
same_host(struct arena *a, struct str x, struct str y)
{
	struct url ux, uy;

	return url_parse(a, x, &ux) && url_parse(a, y, &uy) &&
	    str_eq(ux.scheme, uy.scheme) && str_eq(ux.host, uy.host) &&
	    url_port(&ux) == url_port(&uy);
}

static bool
load_account(
    struct rest *r, struct str owner_id, struct route_account *ret, bool *found)
{
	struct filter f = { 0 };
	struct err err;

	filter_text(&f, "ownerId", owner_id);
	if (store_get(r->store, &route_account_entity, &f, &r->c->arena, ret,
		found, &err) == 0)
		return true;
	rest_db_error(r->c, &err);
	return false;
}

/* The account as it is, or one that nobody can use yet. */
static bool
current_account(struct rest *r, const struct route_end *end, struct note *note)
{
	bool found;

	if (!load_account(r, end->id, &note->account, &found))
		return false;
	if (!found)
		note->account = (struct route_account){ .owner_id = end->id,
			.application_id =
			    is_application(r) ? end->id : STR_NULL,
			.network_id = is_application(r) ? STR_NULL : end->id,
			.user_name = route_user_name(
			    &r->c->arena, is_application(r), end),
			.code = end->code,
			.password = STR("") };
	return true;
}

static bool
before_patch(struct rest *r, const void *old, void *row, field_set_t *present,
    void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	field_set_t host = field_bit(&r->o->entity->record, "hostUri");
	field_set_t bounds = field_bits(&patch_record, "ttl length", NULL);
	struct note *note = arena_new(&r->c->arena, struct note);
	const struct route_end *was = old;
	const struct limits *limits = extra;
	struct route_end *end = row;

	r->note = note;
	if (!base_of(r)->before_patch(r, old, row, present, extra,
		extra_present, beside, beside_present) ||
	    !current_account(r, was, note))
		return false;
	if (*present & host &&
	    same_host(&r->c->arena, was->host_uri, end->host_uri)) {
		*present &= ~host;
		end->host_uri = was->host_uri;
	}
	if (*present & host && limits->password.ptr == NULL) {
		http_error(r->c, 400, "err_param", "missing `password`");
		return false;
	}
	if (*present & host && !host_served(r, end))
		return false;
	if (extra_present & bounds) {
		note->account.ttl =
		    limits->ttl == FIELD_INT_NULL ? 0 : limits->ttl;
		note->account.length =
		    limits->length == FIELD_INT_NULL ? 0 : limits->length;
		note->store = true;
	}
	if (limits->password.ptr == NULL)
		return true;
	note->kick = true;
	return make_account(r, end, limits->password, note->account.ttl,
	    note->account.length, note);
}

static int
in_patch(struct rest *r, struct store *tx, const void *old, const void *row,
    field_set_t present, struct err *err)
{
	const struct note *note = r->note;

	(void)old;
	(void)row;
	(void)present;
	if (!note->store)
		return 0;
	return store_upsert(tx, &route_account_entity, &note->account, err);
}

static void
after_patch(struct rest *r, const void *old, const void *row,
    field_set_t present, void *extra, field_set_t extra_present)
{
	const struct note *note = r->note;

	(void)old;
	(void)present;
	(void)extra;
	(void)extra_present;
	route_account_changed(
	    r->module, is_application(r), row, &note->account, note->kick);
}

/* Users see where the queues are, not with which credentials we reach them. */
static void
show(struct rest *r, enum rest_verb verb, void *row)
{
	struct route_end *end = row;
	struct url u;

	(void)verb;
	if (url_parse(&r->c->arena, end->host_uri, &u))
		end->host_uri = url_origin(&r->c->arena, &u);
}

static void
more(struct rest *r, enum rest_verb verb, const void *row)
{
	struct route_account account;
	bool found;

	if (verb != REST_GET ||
	    !load_account(
		r, ((const struct route_end *)row)->id, &account, &found))
		return;
	json_out_key(&r->c->json, "ttl");
	json_out_int(&r->c->json, found ? account.ttl : 0);
	json_out_key(&r->c->json, "length");
	json_out_int(&r->c->json, found ? account.length : 0);
}

static struct rest_object application_object, network_object;

static void
vary(struct rest_object *o, const struct rest_object *base)
{
	*o = *base;
	o->add_extra = &add_record;
	o->patch_extra = &patch_record;
	o->added = &added_record;
	o->shown_more = &more_record;
	o->before_add = before_add;
	o->in_add = in_add;
	o->after_add = after_add;
	o->before_patch = before_patch;
	o->in_patch = in_patch;
	o->after_patch = after_patch;
	o->show = show;
	o->more = more;
	o->slow = 1u << REST_ADD | 1u << REST_PATCH;
}

static void
vary_objects(void)
{
	vary(&application_object, &route_application_object);
	vary(&network_object, &route_network_object);
}

/* --- figures and trial messages ------------------------------------------ */

static struct coremgr *
coremgr_of(const struct http_call *c)
{
	return (struct coremgr *)c->route->ctx;
}

/* The application or network of the path, if the caller may see it. False: the
 * call is answered. */
static bool
end_of_path(struct http_call *c, bool application, enum rest_verb verb,
    struct route_end *ret)
{
	const struct rest_object *o =
	    application ? &route_application_object : &route_network_object;
	struct coremgr *m = coremgr_of(c);
	struct filter f = { 0 };
	bool found, may = false;
	struct err err;
	int rc;

	filter_text(&f, o->id, http_var(c, 0));
	if (store_get(route_store(m->route), o->entity, &f, &c->arena, ret,
		&found, &err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	if (found && ret->unit_id.len == 0) {
		may = auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER);
	} else if (found) {
		rc = route_may_unit(m->route, c, ret->unit_id, verb);
		if (rc < 0)
			return false;
		may = rc == 1;
	}
	if (!may)
		http_error(c, 404, "err_not_found", NULL);
	return may;
}

static void
write_figures(struct json_out *o, const struct mqtt_queue_stats *st)
{
	json_out_key(o, "consumers");
	json_out_int(o, st->consumers);
	json_out_key(o, "messages");
	json_out_int(o, (int64_t)st->messages);
	json_out_key(o, "publishRate");
	json_out_real(o, st->publish_rate);
	json_out_key(o, "deliverRate");
	json_out_real(o, st->deliver_rate);
}

struct queue_name {
	const char *queue,
	    *member; /* in Sylvia-IoT's answer; NULL: not there */
};
static const struct queue_name application_queues[] = { { "uldata", "uldata" },
	{ "dldata-resp", "dldataResp" }, { "dldata-result", "dldataResult" },
	{ 0 } };
static const struct queue_name network_queues[] = { { "dldata", "dldata" },
	{ "ctrl", "ctrl" }, { 0 } };
#define QUEUES_MAX 3 /* of one of them */

static const struct queue_name *
queues_of(bool application)
{
	return application ? application_queues : network_queues;
}

static void
stats(struct http_call *c, bool application)
{
	const struct queue_name *q = queues_of(application);
	struct route_look looks[QUEUES_MAX];
	struct route_end end;
	size_t n = 0;

	if (!end_of_path(c, application, REST_GET, &end))
		return;
	for (; q[n].queue != NULL; n++)
		looks[n] = (struct route_look){ application, &end, q[n].queue };
	route_stats(coremgr_of(c)->route, looks, n);
	rest_data(c);
	for (size_t i = 0; i < n; i++) {
		json_out_key(&c->json, q[i].member);
		json_out_object(&c->json);
		write_figures(&c->json, &looks[i].stats);
		json_out_end_object(&c->json);
	}
	rest_data_end(c);
}

static void
application_stats(struct http_call *c)
{
	stats(c, true);
}

static void
network_stats(struct http_call *c)
{
	stats(c, false);
}

/* --- the queues of many --------------------------------------------------- */

#define IDS_MAX 200

struct queue_query {
	struct str unit, ids;
};
static const struct field queue_fields[] = {
	F_TEXT(struct queue_query, unit, "unit",
	    .help = "The unit; without it, those of public networks, for "
		    "administrators."),
	F_TEXT(struct queue_query, ids, "ids",
	    .help = "Ids of applications, networks and gateways, with commas "
		    "between; 200 at most."),
	{ 0 },
};
static const struct record queue_record = { "queueQuery",
	sizeof(struct queue_query), queue_fields };

struct owner {
	struct route_end end;
	bool application;
};

static int
find_gateway(struct coremgr *m, struct http_call *c, struct str id,
    struct owner *ret, bool *found, struct err *err)
{
	struct filter f = { 0 };
	struct route_gateway g;
	int rc;

	filter_text(&f, "id", id);
	rc = store_get(route_store(m->route), &route_gateway_entity, &f,
	    &c->arena, &g, found, err);
	if (rc == 0 && *found)
		route_gateway_end(&g, &ret->end);
	return rc;
}

/* Whose queues they are, whichever kind it is. False: the call is answered. */
static bool
find_owner(struct coremgr *m, struct http_call *c, struct str id,
    struct owner *ret, bool *found)
{
	struct err err;
	int rc = 0;

	*found = false;
	for (int application = 1; rc == 0 && !*found && application >= 0;
	     application--) {
		const struct rest_object *o = application
		    ? &route_application_object
		    : &route_network_object;
		struct filter f = { 0 };

		filter_text(&f, o->id, id);
		*ret = (struct owner){ .application = application };
		rc = store_get(route_store(m->route), o->entity, &f, &c->arena,
		    &ret->end, found, &err);
		ret->end.driven = false;
	}
	if (rc == 0 && !*found)
		rc = find_gateway(m, c, id, ret, found, &err);
	if (rc != 0)
		rest_db_error(c, &err);
	return rc == 0;
}

static bool
may_see_queues(struct coremgr *m, struct http_call *c, struct str unit)
{
	int may;

	if (unit.len == 0 && auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER))
		return true;
	if (unit.len == 0) {
		http_error(c, 400, "err_param", "missing `unit`");
		return false;
	}
	may = route_may_unit(m->route, c, unit, REST_GET);
	if (may == 0)
		http_error(c, 400, "err_broker_unit_not_exist", NULL);
	return may == 1;
}

static void
write_queues(struct json_out *o, const struct owner *w,
    const struct route_look *looks, size_t n)
{
	json_out_object(o);
	json_out_key(o, "id");
	json_out_str(o, w->end.id);
	json_out_key(o, "received");
	json_out_int(o, (int64_t)looks[0].heard);
	json_out_key(o, "lastReceived");
	json_out_time(o, looks[0].heard_at);
	json_out_key(o, "queues");
	json_out_array(o);
	for (size_t i = 1; i < n; i++) {
		const struct mqtt_queue_stats *st = &looks[i].stats;

		json_out_object(o);
		json_out_key(o, "name");
		json_out_str(o, str_of(looks[i].queue));
		write_figures(o, st);
		json_out_key(o, "bytes");
		json_out_int(o, (int64_t)st->bytes);
		json_out_key(o, "refused");
		json_out_int(o, (int64_t)st->refused);
		json_out_key(o, "expired");
		json_out_int(o, (int64_t)st->expired);
		json_out_key(o, "last");
		json_out_time(o, st->last_ms);
		json_out_end_object(o);
	}
	json_out_end_array(o);
	json_out_end_object(o);
}

/* One that is not there, or is another unit's, is left out. */
static void
queue_list(struct http_call *c)
{
	struct coremgr *m = coremgr_of(c);
	struct str unit = http_query(c, "unit"), ids = http_query(c, "ids");
	struct owner *owners;
	struct route_look *looks;
	size_t *first, n = 0, n_looks = 0, asked = 0;

	if (!may_see_queues(m, c, unit))
		return;
	owners = arena_array(&c->arena, IDS_MAX, struct owner);
	first = arena_array(&c->arena, IDS_MAX + 1, size_t);
	looks = arena_array(
	    &c->arena, IDS_MAX * (QUEUES_MAX + 1), struct route_look);
	while (ids.len > 0) {
		struct str id = str_trim(str_cut(&ids, ','));
		struct owner *w = &owners[n];
		bool found;

		if (asked++ == IDS_MAX) {
			http_error(c, 400, "err_param",
			    "ids: %d at most in one call", IDS_MAX);
			return;
		}
		if (!find_owner(m, c, id, w, &found))
			return;
		if (!found ||
		    (unit.len > 0 ? !str_eq(w->end.unit_id, unit)
				  : w->end.unit_id.len > 0))
			continue;
		first[n++] = n_looks;
		looks[n_looks++] =
		    (struct route_look){ w->application, &w->end, NULL };
		for (const struct queue_name *q = queues_of(w->application);
		     q->queue != NULL; q++)
			if (!w->end.driven || strcmp(q->queue, "ctrl") != 0)
				looks[n_looks++] =
				    (struct route_look){ w->application,
					    &w->end, q->queue };
	}
	first[n] = n_looks;
	route_stats(m->route, looks, n_looks);
	http_json(c, 200);
	json_out_object(&c->json);
	json_out_key(&c->json, "data");
	json_out_array(&c->json);
	for (size_t i = 0; i < n; i++)
		write_queues(&c->json, &owners[i], looks + first[i],
		    first[i + 1] - first[i]);
	json_out_end_array(&c->json);
	json_out_end_object(&c->json);
}

struct trial {
	struct str device_id, payload;
};

static int
check_hex(struct str s, struct err *err)
{
	return str_is_hex(s) ? 0 : err_set(err, ERR_PARAM, "must be hex");
}

static const struct field trial_fields[] = {
	F_TEXT(struct trial, device_id, "deviceId", .check = check_filled,
	    .help = "The device."),
	F_TEXT(struct trial, payload, "payload", .flags = FIELD_LOWER,
	    .check = check_hex, .help = "The data, in hex; may be empty."),
	{ 0 },
};
static const struct record trial_record = { "trialData", sizeof(struct trial),
	trial_fields };

/* Reads the body and finds the device; false: answered. */
static bool
read_trial(struct http_call *c, struct trial **ret, struct str *addr)
{
	struct rest_body b;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return false;
	*ret = b.row;
	if (route_device_addr(coremgr_of(c)->route, c, (*ret)->device_id, addr))
		return true;
	if (c->status == 0)
		http_error(c, 400, "err_broker_device_not_exist", NULL);
	return false;
}

static void
publish_trial(struct http_call *c, bool application,
    const struct route_end *end, const char *queue, struct buf *payload)
{
	route_inject(
	    coremgr_of(c)->route, application, end, queue, buf_str(payload));
	buf_free(payload);
	http_empty(c, 204);
}

static void
send_dldata(struct http_call *c)
{
	struct route_end end;
	struct buf b = { 0 };
	struct trial *t;
	struct json_out o;
	struct str addr;

	if (!end_of_path(c, true, REST_ADD, &end) || !read_trial(c, &t, &addr))
		return;
	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "correlationId");
	json_out_str(&o, STR("1"));
	json_out_key(&o, "deviceId");
	json_out_str(&o, t->device_id);
	json_out_key(&o, "data");
	json_out_str(&o, t->payload);
	json_out_end_object(&o);
	publish_trial(c, true, &end, "dldata", &b);
}

static void
send_uldata(struct http_call *c)
{
	struct route_end end;
	struct buf b = { 0 };
	struct trial *t;
	struct json_out o;
	struct str addr;

	if (!end_of_path(c, false, REST_ADD, &end) || !read_trial(c, &t, &addr))
		return;
	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "time");
	json_out_time(&o, c->came_at);
	json_out_key(&o, "networkAddr");
	json_out_str(&o, addr);
	json_out_key(&o, "data");
	json_out_str(&o, t->payload);
	json_out_end_object(&o);
	publish_trial(c, false, &end, "uldata", &b);
}

struct figures {
	int64_t consumers, messages;
	double published, delivered;
};
#define Q struct figures
static const struct field figures_fields[] = {
	F_INT(Q, consumers, "consumers", .help = "Who reads it now."),
	F_INT(Q, messages, "messages", .help = "Waiting."),
	F_REAL(Q, published, "publishRate", .help = "Messages in a second."),
	F_REAL(Q, delivered, "deliverRate", .help = "Messages in a second."),
	{ 0 },
};
static const struct record figures_record = { "queueFigures", sizeof(Q),
	figures_fields };

struct stats {
	struct figures a, b, c;
};
static const struct field application_stats_fields[] = {
	F_RECORD(struct stats, a, Q, "uldata", .record = &figures_record),
	F_RECORD(struct stats, b, Q, "dldataResp", .record = &figures_record),
	F_RECORD(struct stats, c, Q, "dldataResult", .record = &figures_record),
	{ 0 },
};
static const struct record application_stats_record = { "applicationStats",
	sizeof(struct stats), application_stats_fields };
static const struct field network_stats_fields[] = {
	F_RECORD(struct stats, a, Q, "dldata", .record = &figures_record),
	F_RECORD(struct stats, b, Q, "ctrl", .record = &figures_record),
	{ 0 },
};
static const struct record network_stats_record = { "networkStats",
	sizeof(struct stats), network_stats_fields };
#undef Q

struct queue_now {
	struct str name;
	struct figures now;
	int64_t bytes, refused, expired, last;
};
#define Q struct queue_now
static const struct field queue_now_fields[] = {
	F_TEXT(Q, name, "name"),
	F_INT(Q, now.consumers, "consumers"),
	F_INT(Q, now.messages, "messages"),
	F_REAL(Q, now.published, "publishRate"),
	F_REAL(Q, now.delivered, "deliverRate"),
	F_INT(Q, bytes, "bytes"),
	F_INT(Q, refused, "refused"),
	F_INT(Q, expired, "expired"),
	F_TIME(Q, last, "last", .flags = FIELD_NULL),
	{ 0 },
};
static const struct record queue_now_record = { "queue", sizeof(Q),
	queue_now_fields };
struct queue_end {
	struct str id;
	int64_t received, last;
	struct rows queues;
};
#undef Q
#define Q struct queue_end
static const struct field queue_end_fields[] = {
	F_TEXT(Q, id, "id"),
	F_INT(Q, received, "received"),
	F_TIME(Q, last, "lastReceived", .flags = FIELD_NULL),
	F_RECORDS(Q, queues, "queues", .record = &queue_now_record),
	{ 0 },
};
static const struct record queue_end_record = { "queueEnd", sizeof(Q),
	queue_end_fields };
#undef Q

static const struct http_route own_rows[] = {
	{ "GET", "/queue/list", HTTP_TOKEN, .scope = "network.get",
	    .query = &queue_record,
	    .reply = { .record = &queue_end_record, .list = true },
	    .handle = queue_list,
	    .help = "Shows what waits in the queues of some applications, "
		    "networks and gateways, and what came through them." },
	{ "GET", "/application/{applicationId}/stats", HTTP_TOKEN,
	    .scope = "application.get",
	    .reply = { .record = &application_stats_record },
	    .handle = application_stats,
	    .help = "Shows the figures of the application's queues." },
	{ "POST", "/application/{applicationId}/dldata", HTTP_TOKEN,
	    .scope = "application.post",
	    .body = { .record = &trial_record,
		.members = "deviceId! payload!" },
	    .handle = send_dldata,
	    .help = "Sends downlink data in the application's name." },
	{ "GET", "/network/{networkId}/stats", HTTP_TOKEN,
	    .scope = "network.get",
	    .reply = { .record = &network_stats_record },
	    .handle = network_stats,
	    .help = "Shows the figures of the network's queues." },
	{ "POST", "/network/{networkId}/uldata", HTTP_TOKEN,
	    .scope = "network.post",
	    .body = { .record = &trial_record,
		.members = "deviceId! payload!" },
	    .handle = send_uldata,
	    .help = "Sends uplink data in the network's name." },
	{ 0 },
};

/* --- start and end ------------------------------------------------------- */

struct coremgr *
coremgr_new(const struct coremgr_conf *conf, struct auth *auth,
    struct route *route, struct data *data)
{
	struct coremgr *m = mem_new(struct coremgr);

	m->conf = *conf;
	m->auth = auth;
	m->route = route;
	m->mounts.versions[0] = route_versions(route);
	m->data = data;
	return m;
}

void
coremgr_free(struct coremgr *m)
{
	if (m == NULL)
		return;
	rest_mounts_free(&m->mounts);
	free(m);
}

#define PREFIX "/coremgr/api/v1"

void
coremgr_routes(struct coremgr *m, struct auth *auth, struct route *route,
    http_add_routes *add, void *ctx)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct rest_mounts *mounts = m != NULL ? &m->mounts : NULL;
	struct store *s = route_store(route);

	pthread_once(&once, vary_objects);
	auth_routes(auth, PREFIX, REST_CSV, add, ctx);
	route_routes(route, PREFIX,
	    REST_CSV | ROUTE_NO_QUEUES | ROUTE_NO_UNIT_USER, add, ctx);
	rest_mount_rows(mounts, own_rows, PREFIX, m, add, ctx);
	rest_mount(
	    mounts, &application_object, PREFIX, s, route, REST_CSV, add, ctx);
	rest_mount(
	    mounts, &network_object, PREFIX, s, route, REST_CSV, add, ctx);
}

/* --- the record of what people did --------------------------------------- */

/* Any header or query parameter may be a key. */
static bool
is_secret(struct str key)
{
	return is_secret_name(key) || str_eq_nocase(key, STR("headers")) ||
	    str_eq_nocase(key, STR("queryParameters"));
}

/* Copies an object; what a password is set to becomes "". */
static void
copy_masked(struct json *j, struct json_out *o)
{
	struct str key, raw;

	if (json_peek(j) == JSON_ARRAY && json_array(j)) {
		json_out_array(o);
		while (json_item(j))
			copy_masked(j, o);
		json_out_end_array(o);
		return;
	}
	if (json_peek(j) != JSON_OBJECT) {
		if (json_raw(j, &raw))
			json_out_raw(o, raw);
		return;
	}
	json_object(j);
	json_out_object(o);
	while (json_member(j, &key)) {
		json_out_key_str(o, key);
		if (is_secret(key)) {
			json_skip(j);
			json_out_str(o, STR(""));
		} else {
			copy_masked(j, o);
		}
	}
	json_out_end_object(o);
}

static struct str
masked_body(struct http_call *c)
{
	struct buf b = { 0 }, compact = { 0 };
	struct str text = STR_NULL;
	struct json_out o;
	struct json j;

	json_open(&j, c->body, 0, &c->arena);
	json_out_init(&o, &b, false);
	if (c->body.len > 0 && json_peek(&j) == JSON_OBJECT) {
		copy_masked(&j, &o);
		if (json_done(&j, NULL) == 0 &&
		    json_compact(&compact, buf_str(&b), 0))
			text = arena_str(&c->arena, buf_str(&compact));
	}
	buf_free(&b);
	buf_free(&compact);
	return text;
}

/* "code" and "message" of an error answer. */
static void
read_error(struct http_call *c, struct data_operation *op)
{
	struct str key;
	struct json j;

	if (c->status < 400 || c->out.len == 0)
		return;
	json_open(&j, buf_str(&c->out), 0, &c->arena);
	if (!json_object(&j))
		return;
	while (json_member(&j, &key)) {
		if (str_eqz(key, "code"))
			json_str(&j, &op->err_code);
		else if (str_eqz(key, "message"))
			json_str(&j, &op->err_message);
		else
			json_skip(&j);
	}
}

/* A change by way of an API that people use. Lines of values, sign-in and MQTT
 * over HTTP are none. */
static bool
is_change(const struct http_call *c)
{
	static const struct str apis[] = { STR("/auth/api/"), STR("/broker/"),
		STR("/coremgr/"), STR("/data/"), STR("/fleet/"), STR("/hub/") };
	static const char *const methods[] = { "POST", "PATCH", "PUT",
		"DELETE" };
	bool api = false, method = false;

	for (size_t i = 0; i < COUNT_OF(apis); i++)
		api = api || str_starts(c->path, apis[i]);
	for (size_t i = 0; i < COUNT_OF(methods); i++)
		method = method || strcmp(c->method, methods[i]) == 0;
	return api && method && c->route != NULL &&
	    c->authorization.ptr != NULL;
}

void
coremgr_record(struct coremgr *m, struct http_call *c)
{
	struct data_operation op = { 0 };
	const struct auth_who *who = auth_who(c);

	if (m->data == NULL || !is_change(c))
		return;
	/* as they were when they asked: their token may have gone with it */
	if (who == NULL)
		who = auth_whois(m->auth, c);
	if (who == NULL)
		return;
	op.req_time = c->came_at;
	op.res_time = clock_now();
	op.latency_ms = clock_mono() - c->came_mono;
	op.status = c->status;
	op.data_id = rand_id(&c->arena, op.req_time, ID_LONG);
	op.source_ip = c->remote;
	op.method = str_of(c->method);
	op.path = c->target;
	op.body = masked_body(c);
	op.user_id = who->user_id;
	op.client_id = who->client_id;
	read_error(c, &op);
	data_put_operation(m->data, &op);
}

/*
 * core/hub/gateway_api.c - gateways over HTTP: the object, and what waits for
 * nodes that sleep.
 *
 * What a provider needs is asked of the plug itself, on the hub's loop, before
 * anything is stored: a gateway that could not be opened is refused.
 */
#include "core/hub/private.h"

#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>

/* --- checks -------------------------------------------------------------- */

struct trial {
	const struct route_gateway *row;
	int rc;
	struct err err;
};

int
hub_no_publish(void *ctx, struct str topic, struct str payload, uint8_t qos,
    bool retain, struct err *err)
{
	(void)ctx;
	(void)topic;
	(void)payload;
	(void)qos;
	(void)retain;
	return err_set(err, ERR_CLOSED, "it is only tried");
}

static void *
no_listen(void *ctx, struct str filter, gateway_heard *heard, void *heard_ctx,
    struct err *err)
{
	(void)ctx;
	(void)filter;
	(void)heard;
	(void)heard_ctx;
	(void)err_set(err, ERR_CLOSED, "it is only tried");
	return NULL;
}

/* On the loop. It is never started. */
static void
try_it(struct hub *h, void *ctx)
{
	struct trial *t = ctx;
	const struct gateway_host host = { .loop = h->loop,
		.settings = &h->conf.gateway,
		.publish = hub_no_publish,
		.listen = no_listen };
	const struct gateway_conf conf = { .name = "trial",
		.provider = t->row->provider,
		.logger = t->row->logger,
		.reconnect_ms = 15000 };
	struct gateway *plug;

	t->rc = gateway_open(&conf, &host, &plug, &t->err);
	if (t->rc == 0)
		gateway_close(plug);
}

static bool
can_be_opened(struct rest *r, const struct route_gateway *row)
{
	struct route_gateway clear = *row;
	struct trial t = { .row = &clear };

	/* secrets that were kept are sealed */
	t.rc = hub_unseal_deep(
	    r->module, &r->c->arena, row->provider, &clear.provider, &t.err);
	if (t.rc == 0)
		hub_ask(r->module, try_it, &t);
	if (t.rc != 0)
		http_error(r->c, 400, "err_param", "%s", t.err.text);
	return t.rc == 0;
}

/* --- the account of its devices ------------------------------------------- */

struct secret {
	struct str password;
};
static const struct field secret_fields[] = {
	F_TEXT(struct secret, password, "password",
	    .flags = FIELD_SECRET | FIELD_NULL, .max = 256,
	    .help = "For devices that speak to a gateway without a broker of "
		    "its own: they sign in to our MQTT server as "
		    "network.UNIT.CODE, and their topics begin with "
		    "marram/UNIT/gateway/CODE/."),
	{ 0 },
};
static const struct record secret_record = { "gatewayAccount",
	sizeof(struct secret), secret_fields };

/* The account is made when there is a password, beside the row. */
static bool
note_account(
    struct rest *r, const struct route_gateway *row, const struct secret *s)
{
	struct route_account *account;
	struct route_end end;
	struct err err;

	r->note = NULL;
	if (s == NULL || s->password.len == 0)
		return true;
	account = arena_new(&r->c->arena, struct route_account);
	route_gateway_end(row, &end);
	if (route_account_make(&r->c->arena, false, &end, s->password, 0, 0,
		account, &err) != 0) {
		http_error(r->c, 503, "err_rsc", "%s", err.text);
		return false;
	}
	r->note = account;
	return true;
}

static int
in_add(struct rest *r, struct store *tx, const void *row, struct err *err)
{
	(void)row;
	return r->note == NULL
	    ? 0
	    : store_upsert(tx, &route_account_entity, r->note, err);
}

static int
in_patch(struct rest *r, struct store *tx, const void *old, const void *row,
    field_set_t present, struct err *err)
{
	(void)old;
	(void)present;
	return in_add(r, tx, row, err);
}

/* --- decisions ------------------------------------------------------------ */

/* What is stored has its secrets sealed. */
static bool
sealed(struct rest *r, struct route_gateway *row)
{
	struct err err;

	if (hub_seal_deep(r->module, &r->c->arena, row->provider,
		&row->provider, &err) == 0)
		return true;
	http_error(r->c, 503, "err_int_msg", "%s", err.text);
	return false;
}

static bool
gateway_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct route_gateway *g = row;
	struct hub *h = r->module;
	struct err err;
	int rc;

	if (!hub_before_add(r, row, extra, beside))
		return false;
	rc = route_unit_code(
	    h->route, g->unit_id, &r->c->arena, &g->unit_code, &err);
	if (rc < 0)
		rest_db_error(r->c, &err);
	else if (rc == 0)
		http_error(r->c, 400, "err_hub_unit_not_exist", NULL);
	return rc == 1 &&
	    route_code_free(h->route, r->c, &route_network_entity, g->unit_id,
		g->code, "err_hub_exist") &&
	    can_be_opened(r, g) && sealed(r, g) && note_account(r, g, extra);
}

static bool
gateway_before_patch(struct rest *r, const void *old, void *row,
    field_set_t *present, void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	const struct route_gateway *was = old;
	struct route_gateway *g = row;

	(void)extra_present;
	(void)beside;
	(void)beside_present;
	if (!note_account(r, g, extra))
		return false;
	if (!(*present &
		field_bits(&route_gateway_entity.record,
		    "provider messageLogger", NULL)))
		return true;
	g->provider =
	    hub_secrets_kept(&r->c->arena, g->provider, was->provider);
	return can_be_opened(r, g) && sealed(r, g);
}

/* --- what changes mean --------------------------------------------------- */

static void
changed(struct rest *r, const void *row, bool gone)
{
	const struct route_gateway *g = row;
	struct hub *h = r->module;

	if (r->note != NULL) {
		struct route_end end;

		route_gateway_end(g, &end);
		route_account_changed(h->route, false, &end, r->note, true);
	} else {
		route_gateway_changed(h->route, g, gone);
	}
}

static void
gateway_after_add(struct rest *r, const void *row, void *extra)
{
	(void)extra;
	changed(r, row, false);
}

static void
gateway_after_patch(struct rest *r, const void *old, const void *row,
    field_set_t present, void *extra, field_set_t extra_present)
{
	(void)old;
	(void)present;
	(void)extra;
	(void)extra_present;
	changed(r, row, false);
}

static void
gateway_after_del(struct rest *r, const void *row)
{
	changed(r, row, true);
}

/* --- what is shown ------------------------------------------------------- */

static void
gateway_show(struct rest *r, enum rest_verb verb, void *row)
{
	struct route_gateway *g = row;

	(void)verb;
	g->provider = hub_secrets_hidden(&r->c->arena, g->provider);
}

static void
write_hub_state(struct json_out *o, const struct gate *g)
{
	json_out_key(o, "state");
	json_out_object(o);
	json_out_key(o, "status");
	json_out_str(o, g != NULL ? g->state.status : STR("unavailable"));
	json_out_key(o, "message");
	json_out_str(o, g != NULL ? g->state.message : STR(""));
	json_out_key(o, "since");
	json_out_time(o, g != NULL ? g->state.since : TIME_NULL);
	json_out_end_object(o);
}

struct str
gate_json(struct arena *a, const struct gate *g)
{
	struct route_gateway row = g->row;
	struct buf b = { 0 };
	struct json_out o;
	struct str ret;

	row.provider = hub_secrets_hidden(a, row.provider);
	json_out_init(&o, &b, false);
	json_out_object(&o);
	record_members_to_json(
	    &o, &route_gateway_entity.record, FIELD_ALL, &row);
	write_hub_state(&o, g);
	json_out_end_object(&o);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

struct look {
	struct str id;
	struct json_out *o;
};

static void
count(struct json_out *o, const char *key, uint64_t n)
{
	json_out_key(o, key);
	json_out_int(o, (int64_t)n);
}

/* On the loop, while the worker waits. */
static void
write_state(struct hub *h, void *ctx)
{
	struct look *l = ctx;
	struct gate *g = gate_by_id(h, l->id);
	struct gateway_state s = { .last_heard = TIME_NULL,
		.last_sent = TIME_NULL };

	if (g != NULL && g->plug != NULL)
		gateway_state(g->plug, &s);
	write_hub_state(l->o, g);
	json_out_key(l->o, "lastTransaction");
	json_out_time(l->o, MAX_OF(s.last_heard, s.last_sent));
	json_out_key(l->o, "counters");
	json_out_object(l->o);
	count(l->o, "heard", s.heard);
	count(l->o, "taken", s.taken);
	count(l->o, "sent", s.sent);
	count(l->o, "failed", s.failed);
	count(l->o, "bad", s.bad);
	count(l->o, "dropped", s.dropped);
	count(l->o, "waiting", s.waiting);
	count(l->o, "sleeping", s.sleeping);
	json_out_end_object(l->o);
}

static void
gateway_more(struct rest *r, enum rest_verb verb, const void *row)
{
	struct look l = { ((const struct route_gateway *)row)->id,
		&r->c->json };

	(void)verb;
	hub_ask(r->module, write_state, &l);
}

struct gateway_now {
	struct hub_state state;
	int64_t last;
	struct gateway_counts {
		int64_t heard, taken, sent, failed, bad, dropped, waiting;
		int64_t sleeping;
	} counts;
};
#define K struct gateway_counts
static const struct field counts_fields[] = {
	F_INT(K, heard, "heard"),
	F_INT(K, taken, "taken"),
	F_INT(K, sent, "sent"),
	F_INT(K, failed, "failed"),
	F_INT(K, bad, "bad"),
	F_INT(K, dropped, "dropped"),
	F_INT(K, waiting, "waiting"),
	F_INT(K, sleeping, "sleeping"),
	{ 0 },
};
static const struct record counts_record = { "gatewayCounters", sizeof(K),
	counts_fields };
#define X struct gateway_now
static const struct field now_fields[] = {
	F_RECORD(
	    X, state, struct hub_state, "state", .record = &hub_state_record),
	F_TIME(X, last, "lastTransaction", .flags = FIELD_NULL),
	F_RECORD(X, counts, K, "counters", .record = &counts_record),
	{ 0 },
};
static const struct record now_record = { "gatewayNow", sizeof(X), now_fields };

#define MEMBERS                                                                \
	"description enabled claim reconnectDelay queueFailedMessage "         \
	"provider messageLogger labels"
const struct rest_object hub_gateway_object = {
	HUB_SHARED,
	.name = "gateway",
	.entity = &route_gateway_entity,
	.filters = (const struct rest_filter[]){ { "code", "code", COND_EQ,
						     .lower = true },
	    { "contains", "code", COND_CONTAINS }, { 0 } },
	.sorts = (const struct rest_sort[]){ { "code", "code" },
	    { "created", "createdAt" }, { "modified", "modifiedOn" }, { 0 } },
	.sort = "code:asc",
	.add = "id unitId! code! provider! " MEMBERS,
	.add_extra = &secret_record,
	.patch = MEMBERS,
	.patch_extra = &secret_record,
	.shown_more = &now_record,
	.exists = (const struct rest_exists[]){ { "id", "err_hub_exist" },
	    { "code", "err_hub_exist" }, { 0 } },
	.help = "gateways: networks that are driven from here.",
	.before_add = gateway_before_add,
	.in_add = in_add,
	.in_patch = in_patch,
	.after_add = gateway_after_add,
	.before_patch = gateway_before_patch,
	.after_patch = gateway_after_patch,
	.after_del = gateway_after_del,
	.show = gateway_show,
	.more = gateway_more,
};

/* --- what waits for nodes that sleep -------------------------------------- */

static void
write_sleeping(
    void *ctx, const struct gateway_frame *f, int64_t since, int64_t until)
{
	struct json_out *o = ctx;
	struct buf hex = { 0 };

	hex_encode(&hex, f->data.ptr, f->data.len);
	json_out_object(o);
	json_out_key(o, "nodeId");
	json_out_str(o, f->node);
	json_out_key(o, "data");
	json_out_str(o, hex.len > 0 ? buf_str(&hex) : STR(""));
	json_out_key(o, "extension");
	json_out_raw(o, f->extension);
	json_out_key(o, "since");
	json_out_time(o, since);
	json_out_key(o, "until");
	json_out_time(o, until);
	json_out_end_object(o);
	buf_free(&hex);
}

static void
list_sleeping(struct hub *h, void *ctx)
{
	struct look *l = ctx;
	struct gate *g = gate_by_id(h, l->id);

	if (g != NULL && g->plug != NULL)
		gateway_sleeping(g->plug, write_sleeping, l->o);
}

/* The gateway of the path, if the caller has this right. */
static bool
gateway_of(struct http_call *c, enum rest_verb verb)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct rest r = { .c = c, .module = h };
	struct route_gateway row;
	struct filter f = { 0 };
	struct err err;
	bool found;

	filter_text(&f, "id", http_var(c, 0));
	if (store_get(route_store(h->route), &route_gateway_entity, &f,
		&c->arena, &row, &found, &err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	if (found && hub_may(&r, verb, &row))
		return true;
	if (c->status == 0)
		http_error(c, 404, "err_not_found", NULL);
	return false;
}

static void
handle_sleeping(struct http_call *c)
{
	struct look l = { .id = http_var(c, 0) };

	if (!gateway_of(c, REST_GET))
		return;
	l.o = http_json(c, 200);
	json_out_object(l.o);
	json_out_key(l.o, "data");
	json_out_array(l.o);
	hub_ask((struct hub *)c->route->ctx, list_sleeping, &l);
	json_out_end_array(l.o);
	json_out_end_object(l.o);
}

struct clearing {
	struct str id, node;
};

static void
clear_sleeping(struct hub *h, void *ctx)
{
	const struct clearing *what = ctx;
	struct gate *g = gate_by_id(h, what->id);

	if (g != NULL && g->plug != NULL)
		gateway_sleeping_clear(g->plug, what->node);
}

static void
handle_clear(struct http_call *c)
{
	struct clearing what = { http_var(c, 0), http_query(c, "nodeId") };

	if (!gateway_of(c, REST_PATCH))
		return;
	if (what.node.ptr == NULL)
		what.node = STR("");
	hub_ask((struct hub *)c->route->ctx, clear_sleeping, &what);
	http_empty(c, 204);
}

struct sleeping {
	struct str node_id, data, extension;
	int64_t since, until;
};
#define Z struct sleeping
static const struct field waits_fields[] = {
	F_TEXT(Z, node_id, "nodeId"),
	F_TEXT(Z, data, "data", .help = "In hex."),
	F_JSON(Z, extension, "extension"),
	F_TIME(Z, since, "since"),
	F_TIME(Z, until, "until", .flags = FIELD_NULL),
	{ 0 },
};
static const struct record waits_record = { "sleeping", sizeof(Z),
	waits_fields };

struct sleeping_query {
	struct str node_id;
};
static const struct field sleeping_fields[] = {
	F_TEXT(struct sleeping_query, node_id, "nodeId",
	    .help = "Of this node only."),
	{ 0 },
};
static const struct record sleeping_record = { "sleepingQuery",
	sizeof(struct sleeping_query), sleeping_fields };

const struct http_route hub_gateway_rows[] = {
	{ "GET", "/gateway/{id}/sleeping", HTTP_TOKEN,
	    .scope = "gateway.get.sleeping",
	    .reply = { .record = &waits_record, .list = true },
	    .handle = handle_sleeping,
	    .help = "What waits for nodes that sleep." },
	{ "DELETE", "/gateway/{id}/sleeping", HTTP_TOKEN,
	    .scope = "gateway.delete.sleeping", .query = &sleeping_record,
	    .handle = handle_clear,
	    .help = "Drops what waits for nodes that sleep." },
	{ 0 },
};

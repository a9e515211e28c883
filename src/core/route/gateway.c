/*
 * core/route/gateway.c - networks that we drive ourselves, as far as routing
 * knows them: their rows, their queues, what goes down to them.
 *
 * A gateway has the queues of a network, but no account: nobody signs in. What
 * goes down waits in its queue until core/hub has dealt with it, so it outlives
 * the process as queues do.
 */
#include "core/route/private.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/duration.h"
#include "core/rest/check.h"
#include "plug/gateway/gateway.h"

#include <stdlib.h>

/* --- rows ---------------------------------------------------------------- */

static const char *const claims[] = { "auto", "inbox", NULL };

static int
check_delay(struct str s, struct err *err)
{
	int64_t ms;

	if (duration_parse_ms(s, &ms) && ms >= 1000)
		return 0;
	return err_set(
	    err, ERR_PARAM, "must be a duration of 1s or more, as 15s");
}

#define G struct route_gateway
static const struct field gateway_rows[] = {
	F_TEXT(G, id, "id", .max = 128, .help = "Identifies the gateway."),
	F_TEXT(G, unit_id, "unitId", .help = "The unit it belongs to."),
	F_TEXT(G, unit_code, "unitCode"),
	F_TEXT(G, code, "code", .flags = FIELD_LOWER, .check = check_code,
	    .max = 128,
	    .help = "The name of its network, in quick ids and topics; it "
		    "never changes."),
	F_TEXT(G, description, "description", .def = "\"\"", .max = 4096,
	    .help = "What people read."),
	F_BOOL(G, enabled, "enabled", .def = "true",
	    .help = "Whether it connects."),
	F_TEXT(G, claim, "claim", .def = "\"auto\"", .one_of = claims,
	    .help = "`auto`: whoever is heard becomes a device; `inbox`: it "
		    "waits in the inbox to be claimed."),
	F_TEXT(G, reconnect_delay, "reconnectDelay", .def = "\"15s\"",
	    .check = check_delay,
	    .help = "Wait before it connects again; later ones are longer."),
	F_BOOL(G, queue_failed, "queueFailedMessage", .def = "false",
	    .help = "Keep what could not be sent until the node is heard "
		    "again, as for one that sleeps."),
	F_JSON(G, provider, "provider", .flags = FIELD_OBJECT,
	    .one_of_fn = gateway_providers, .spec = gateway_provider_spec,
	    .record = &gateway_head_record,
	    .help = "`type`: who speaks its protocol, and what that one "
		    "needs; `protocol`: over what, with its `type`."),
	F_JSON(G, logger, "messageLogger", .flags = FIELD_OBJECT,
	    .def = "{\"type\":\"none\"}",
	    .help = "`type` none or file_logger, with flushInterval, "
		    "logRotateInterval, maxSize, maxAge, maxBackup."),
	F_JSON(G, labels, "labels", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "Texts by key, to find it by."),
	F_TIME(G, created_at, "createdAt"),
	F_TIME(G, modified_at, "modifiedOn", .flags = FIELD_NULL),
	{ 0 },
};
const struct entity route_gateway_entity = {
	.record = { "gateway", sizeof(G), gateway_rows },
	.table = "gateway",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "code", { "unitId", "code" } }, { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "unitId", "unit", "unitId", ENTITY_CASCADE }, { 0 } },
	.help = "A network that is driven from here.",
};

void
route_gateway_end(const struct route_gateway *g, struct route_end *ret)
{
	*ret = (struct route_end){ .id = g->id,
		.code = g->code,
		.unit_id = g->unit_id,
		.unit_code = g->unit_code,
		.created_at = g->created_at,
		.modified_at = g->modified_at,
		.host_uri = STR(""),
		.name = g->description,
		.info = STR("{}"),
		.driven = true };
}

int
network_get(struct route *r, struct str network_id, struct arena *a,
    struct route_end *ret, struct err *err)
{
	struct filter f = { 0 }, by_id = { 0 };
	struct route_gateway g;
	bool found;
	int rc;

	filter_text(&f, "networkId", network_id);
	rc =
	    store_get(r->store, &route_network_entity, &f, a, ret, &found, err);
	if (rc != 0)
		return rc;
	ret->driven = false;
	if (found)
		return 0;
	filter_text(&by_id, "id", network_id);
	rc = store_get(
	    r->store, &route_gateway_entity, &by_id, a, &g, &found, err);
	if (rc != 0)
		return rc;
	if (!found)
		return err_set(err, ERR_NOT_FOUND, "no such network");
	route_gateway_end(&g, ret);
	return 0;
}

struct str
route_gateway_root(struct arena *a, struct str unit_code, struct str code)
{
	return arena_printf(a, "marram/" STR_FMT "/gateway/" STR_FMT "/",
	    STR_ARG(unit_code), STR_ARG(code));
}

bool
route_code_free(struct route *r, struct http_call *c,
    const struct entity *other, struct str unit_id, struct str code,
    const char *error)
{
	struct filter f = { 0 };
	struct err err;
	int64_t n;

	filter_text(&f, "unitId", unit_id);
	filter_text(&f, "code", arena_lower(&c->arena, code));
	if (store_count(r->store, other, &f, &n, &err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	if (n > 0)
		http_error(c, 400, error, NULL);
	return n == 0;
}

void
route_gateway_changed(struct route *r, const struct route_gateway *g, bool gone)
{
	struct route_end end;

	route_gateway_end(g, &end);
	if (gone) {
		change_endpoint_gone(r, false, &end);
		change_network_devices(r, end.unit_code, end.code);
	} else {
		change_endpoint(r, false, &end, NULL);
	}
}

struct devices_on {
	void (*each)(void *ctx, struct str addr, struct str device_id);
	void *ctx;
};

static int
tell_device(void *ctx, const void *row, struct err *err)
{
	const struct devices_on *on = ctx;
	const struct device *d = row;

	(void)err;
	on->each(on->ctx, d->network_addr, d->device_id);
	return 0;
}

int
route_devices_on(struct route *r, struct str network_id, struct str addr,
    void (*each)(void *ctx, struct str addr, struct str device_id), void *ctx,
    struct err *err)
{
	struct devices_on on = { each, ctx };
	struct store_query q = { 0 };
	struct filter f = { 0 };

	filter_text(&f, "networkId", network_id);
	if (addr.len > 0)
		filter_text(&f, "networkAddr", addr);
	q.filter = &f;
	return store_list(
	    r->store, &route_device_entity, &q, tell_device, &on, err);
}

/* --- what goes down ------------------------------------------------------ */

struct route_ticket {
	struct endpoint *net;
	struct mqtt_msg *msg;
	struct str data_id; /* in `arena` */
	struct arena arena;
};

static void
ticket_free(struct route_ticket *t, bool ok)
{
	mqtt_msg_done(t->msg, ok);
	mqtt_msg_unref(t->msg);
	endpoint_unref(t->net);
	arena_fini(&t->arena);
	free(t);
}

static bool
read_order(struct arena *a, struct str payload, struct route_order *o)
{
	struct str key;
	struct json j;

	json_open(&j, payload, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "dataId"))
				json_str(&j, &o->data_id);
			else if (str_eqz(key, "networkAddr"))
				json_str(&j, &o->addr);
			else if (str_eqz(key, "data"))
				json_str(&j, &o->data);
			else if (str_eqz(key, "extension"))
				read_extension(&j, &o->extension);
			else
				json_skip(&j);
		}
	return json_done(&j, NULL) == 0 && o->data_id.len > 0 &&
	    o->addr.ptr != NULL && o->data.ptr != NULL && str_is_hex(o->data);
}

void
order_heard(void *owner, struct mqtt_msg *msg)
{
	struct endpoint *net = owner;
	struct route *r = net->route;
	struct route_ticket *t = mem_new(struct route_ticket);
	struct route_order o = { .gateway_id = net->id,
		.data_id = STR_NULL,
		.addr = STR_NULL,
		.data = STR_NULL,
		.extension = STR_NULL };

	net->refs++;
	t->net = net;
	t->msg = mqtt_msg_ref(msg);
	if (!read_order(&t->arena, mqtt_msg_payload(msg), &o)) {
		ticket_free(t, true); /* nobody but us writes there */
		return;
	}
	t->data_id = o.data_id;
	if (r->tap.order == NULL || !r->tap.order(r->tap.owner, &o, t))
		ticket_free(t, false);
}

struct report {
	struct loop_post post;
	struct route_ticket *ticket;
	int64_t status;
	struct buf payload;
};

static void
run_report(struct loop_post *post)
{
	struct report *p = container_of(post, struct report, post);
	struct endpoint *net = p->ticket->net;

	if (!net->gone)
		(void)mqtt_publish(net->route->mqtt, net->dldata_result,
		    buf_str(&p->payload), 1, false, NULL);
	if (p->status >= 0)
		ticket_free(p->ticket, true);
	buf_free(&p->payload);
	free(p);
}

void
route_report(struct route *r, struct route_ticket *ticket, int64_t status,
    struct str message)
{
	struct report *p = mem_new(struct report);
	struct json_out o;

	p->post.run = run_report;
	p->ticket = ticket;
	p->status = status;
	json_out_init(&o, &p->payload, false);
	json_out_object(&o);
	json_out_key(&o, "dataId");
	json_out_str(&o, ticket->data_id);
	json_out_key(&o, "status");
	json_out_int(&o, status);
	if (message.len > 0) {
		json_out_key(&o, "message");
		json_out_str(&o, message);
	}
	json_out_end_object(&o);
	loop_post(r->loop, &p->post);
}

struct giving_back {
	struct loop_post post;
	struct route_ticket *ticket;
};

static void
run_giving_back(struct loop_post *post)
{
	struct giving_back *g = container_of(post, struct giving_back, post);

	ticket_free(g->ticket, false);
	free(g);
}

void
route_return(struct route *r, struct route_ticket *ticket)
{
	struct giving_back *g = mem_new(struct giving_back);

	g->post.run = run_giving_back;
	g->ticket = ticket;
	loop_post(r->loop, &g->post);
}

/* --- listening on our own server ------------------------------------------ */

struct route_ear {
	struct loop_post begin, end;
	struct route *route;
	struct mqtt_consumer *consumer;
	struct str filter; /* owned */
	struct map open;   /* token -> ear_msg */
	uint64_t last;     /* token */
	void (*heard)(void *ctx, struct str topic, struct str payload,
	    bool retain, uint64_t token);
	void (*ended)(void *ctx);
	void *ctx;
};

/* Heard and not taken yet. */
struct ear_msg {
	uint64_t token;
	struct mqtt_msg *msg;
};

static struct str
token_key(const uint64_t *token)
{
	return (struct str){ (const char *)token, sizeof(*token) };
}

static void
ear_msg_end(struct ear_msg *m, bool ok)
{
	mqtt_msg_done(m->msg, ok);
	mqtt_msg_unref(m->msg);
	free(m);
}

static void
on_ear(void *owner, struct mqtt_msg *msg)
{
	struct route_ear *e = owner;
	bool retained =
	    e->consumer != NULL && mqtt_consume_is_retained(e->consumer);
	struct ear_msg *m = NULL;

	if (!retained && mqtt_msg_qos(msg) > 0) {
		m = mem_new(struct ear_msg);
		m->token = ++e->last;
		m->msg = mqtt_msg_ref(msg);
		map_put(&e->open, token_key(&m->token), m);
	}
	e->heard(e->ctx, mqtt_msg_topic(msg), mqtt_msg_payload(msg), retained,
	    m != NULL ? m->token : 0);
	if (m == NULL)
		mqtt_msg_done(msg, true);
}

struct ear_done {
	struct loop_post post;
	struct route_ear *ear;
	uint64_t token;
};

static void
run_ear_done(struct loop_post *post)
{
	struct ear_done *d = container_of(post, struct ear_done, post);
	struct ear_msg *m = map_get(&d->ear->open, token_key(&d->token));

	if (m != NULL) {
		map_del(&d->ear->open, token_key(&m->token));
		ear_msg_end(m, true);
	}
	free(d);
}

void
route_ear_done(struct route_ear *e, uint64_t token)
{
	struct ear_done *d = mem_new(struct ear_done);

	d->post.run = run_ear_done;
	d->ear = e;
	d->token = token;
	loop_post(e->route->loop, &d->post);
}

static void
run_ear(struct loop_post *post)
{
	struct route_ear *e = container_of(post, struct route_ear, begin);

	e->consumer = mqtt_consume_start(e->route->mqtt, e->filter, on_ear, e);
	if (e->consumer != NULL)
		mqtt_consume_retained(e->consumer);
}

static void
run_ear_end(struct loop_post *post)
{
	struct route_ear *e = container_of(post, struct route_ear, end);

	struct ear_msg *m;
	size_t pos = 0;

	mqtt_consume_stop(e->consumer);
	while ((m = map_next(&e->open, &pos)) != NULL)
		ear_msg_end(m, false);
	map_fini(&e->open);
	e->ended(e->ctx);
	str_free(e->filter);
	free(e);
}

struct route_ear *
route_ear_new(struct route *r, struct str filter,
    void (*heard)(void *ctx, struct str topic, struct str payload, bool retain,
	uint64_t token),
    void (*ended)(void *ctx), void *ctx)
{
	struct route_ear *e = mem_new(struct route_ear);

	e->begin.run = run_ear;
	e->end.run = run_ear_end;
	e->route = r;
	e->filter = str_copy(filter);
	e->heard = heard;
	e->ended = ended;
	e->ctx = ctx;
	loop_post(r->loop, &e->begin);
	return e;
}

void
route_ear_free(struct route_ear *e)
{
	if (e != NULL)
		loop_post(e->route->loop, &e->end);
}

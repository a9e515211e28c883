/*
 * core/hub/operation.c - what devices are told to do: restart, install
 * software, send a configuration; and what is installed on them.
 *
 *    POST: pending --> executing --> successful
 *             |            |
 *             +------------+-------> failed, with its reason
 *
 * One that is deleted, or was not answered in time, is taken back from its
 * gateway; what its device has already been told of goes on there.
 *
 * An operation is a downlink whose data id is its own id. How far it has come
 * its device tells by uplink; that it could not be sent, or was not answered,
 * its gateway.
 *
 * Between its row and its place in the gateway's queue the program may end. So
 * after a start those that no device has spoken of, and no gateway has, are
 * sent once more; a device that knows the number does nothing twice.
 *
 *  (1) Those that have not ended are in `hub->operations`, and nobody else.
 *  (2) A device speaks of its own operations only.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>

#define PAGES_MAX 64 /* of a list of software */
#define REASON_MAX 2000
#define RESEND_MS 3000 /* after a start; the queues have been heard by then */

/* --- rows ---------------------------------------------------------------- */

static const char *const states[] = { "pending", "executing", "successful",
	"failed", NULL };

static int
check_operation(struct str s, struct err *err)
{
	bool good = s.len > 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		good = good &&
		    ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			c == '_' || c == '-');
	}
	return good ? 0
		    : err_set(err, ERR_PARAM,
			  "must be of a-z, 0-9, - and _, as software_update");
}

/* One level of a topic. */
static int
check_service(struct str s, struct err *err)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == '/' ||
		    s.ptr[i] == '+' || s.ptr[i] == '#')
			return err_set(
			    err, ERR_PARAM, "must be the name of a service");
	return 0;
}

#define O struct hub_operation
static const struct field operation_fields[] = {
	F_TEXT(O, id, "id", .max = 128,
	    .help = "Identifies the operation, and its downlink."),
	F_TEXT(O, unit_id, "unitId", .help = "The unit it belongs to."),
	F_TEXT(O, device_id, "deviceId", .help = "The device that does it."),
	F_TEXT(O, gateway_id, "gatewayId", .help = "Code of its network."),
	F_TEXT(O, node_id, "nodeId", .help = "Its address."),
	F_TEXT(O, operation, "operation", .max = 64, .check = check_operation,
	    .help = "What is to be done: restart, software_list, "
		    "software_update, config_snapshot, config_update, "
		    "log_upload, or what else the device says it supports."),
	F_TEXT(O, service, "service", .max = 128, .check = check_service,
	    .def = "\"\"", .help = "By which service of it; empty: itself."),
	F_JSON(O, payload, "payload", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "What goes with it, as thin-edge has it: "
		    "{\"updateList\":[{\"type\":\"apt\",\"modules\":[{"
		    "\"name\":\"x\",\"action\":\"install\"}]}]}."),
	F_TEXT(O, status, "status", .def = "\"pending\"", .one_of = states,
	    .help = "How far it has come."),
	F_TEXT(O, reason, "reason", .def = "\"\"", .help = "Why it failed."),
	F_JSON(O, result, "result", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "What else the device has said of it."),
	F_TEXT(O, user_id, "userId", .def = "\"\"", .help = "Who ordered it."),
	F_TIME(O, created_at, "createdAt"),
	F_TIME(O, modified_at, "modifiedOn", .flags = FIELD_NULL),
	{ 0 },
};
#define OF_DEVICE                                                              \
	(const struct entity_ref[])                                            \
	{                                                                      \
		{ "deviceId", "node", "id", ENTITY_CASCADE },                  \
		{                                                              \
			0                                                      \
		}                                                              \
	}
#define BY_DEVICE                                                              \
	(const struct entity_key[])                                            \
	{                                                                      \
		{ "unitId", { "unitId" } }, { "deviceId", { "deviceId" } },    \
		{                                                              \
			0                                                      \
		}                                                              \
	}
#define BY_ID                                                                  \
	(const struct entity_key[])                                            \
	{                                                                      \
		{ "id", { "id" } },                                            \
		{                                                              \
			0                                                      \
		}                                                              \
	}
const struct entity hub_operation_entity = {
	.record = { "operation", sizeof(O), operation_fields },
	.table = "operation",
	.version = 1,
	.keys = BY_ID,
	.indexes = BY_DEVICE,
	.refs = OF_DEVICE,
	.help = "What a device was told to do, and what became of it.",
};

#define W struct hub_software
static const struct field software_fields[] = {
	F_TEXT(W, id, "id", .max = 160),
	F_TEXT(W, unit_id, "unitId", .help = "The unit of the device."),
	F_TEXT(W, device_id, "deviceId", .help = "Where it is installed."),
	F_INT(W, page, "page", .help = "Which part of the list, from 0 on."),
	F_INT(W, of, "of", .help = "How many parts it has."),
	F_JSON(W, modules, "modules", .def = "[]",
	    .help = "A list of {type, name, version}."),
	F_TIME(W, modified_at, "modifiedOn", .flags = FIELD_NULL),
	{ 0 },
};
const struct entity hub_software_entity = {
	.record = { "software", sizeof(W), software_fields },
	.table = "software",
	.version = 1,
	.keys = BY_ID,
	.indexes = BY_DEVICE,
	.refs = OF_DEVICE,
	.help = "What is installed on a device.",
};

/* --- those that have not ended -------------------------------------------- */

struct open_operation {
	struct hub_operation row; /* texts in `arena` */
	struct arena arena;
	bool sent; /* since the program began */
};

static bool
has_ended(struct str status)
{
	return str_eqz(status, "successful") || str_eqz(status, "failed");
}

static struct open_operation *
open_new(struct hub *h, const struct hub_operation *row)
{
	struct open_operation *o = mem_new(struct open_operation);

	record_copy(&hub_operation_entity.record, &o->arena, &o->row, row);
	map_put(&h->operations, o->row.id, o);
	return o;
}

static void
open_free(struct hub *h, struct open_operation *o)
{
	map_del(&h->operations, o->row.id);
	arena_fini(&o->arena);
	free(o);
}

/* Nobody waits for its end any more, so it is not to be begun. */
static void
take_back(struct hub *h, const struct open_operation *o)
{
	struct gate *g = gate_at(h, o->row.unit_id, o->row.gateway_id);

	if (g != NULL && g->plug != NULL)
		(void)gateway_take_back(g->plug, o->row.id);
}

/* Its texts anew: a device may tell of one as often as it likes. */
static void
open_pack(struct hub *h, struct open_operation *o)
{
	struct hub_operation row = o->row;
	struct arena old = o->arena;

	map_del(&h->operations, row.id);
	o->arena = (struct arena){ 0 };
	record_copy(&hub_operation_entity.record, &o->arena, &o->row, &row);
	map_put(&h->operations, o->row.id, o);
	arena_fini(&old);
}

/* `reason` and `result` may be null: they stay. May free it. */
static void
come_to(struct hub *h, struct open_operation *o, struct str status,
    struct str reason, struct str result)
{
	for (size_t i = 0; states[i] != NULL; i++)
		if (str_eqz(status, states[i]))
			o->row.status = str_of(states[i]);
	if (reason.ptr != NULL)
		o->row.reason = hub_text_head(reason, REASON_MAX);
	if (result.ptr != NULL)
		o->row.result = result;
	open_pack(h, o);
	o->row.modified_at = clock_now();
	writer_put(h, &hub_operation_entity, &o->row, false,
	    "status reason result modifiedOn");
	if (has_ended(o->row.status))
		open_free(h, o);
}

static int
load(void *ctx, const void *row, struct err *err)
{
	const struct hub_operation *o = row;

	(void)err;
	if (!has_ended(o->status))
		(void)open_new(ctx, o);
	return 0;
}

int
operations_load(struct hub *h, struct err *err)
{
	const struct value open[] = { value_text(STR("pending")),
		value_text(STR("executing")) };
	struct store_query q = { 0 };
	struct filter f = { 0 };

	/* also those whose time was over while there was nobody to see it */
	filter_in(&f, "status", open, COUNT_OF(open));
	q.filter = &f;
	return store_list(h->store, &hub_operation_entity, &q, load, h, err);
}

void
operations_free(struct hub *h)
{
	struct open_operation *o;
	size_t pos = 0;

	while ((o = map_next(&h->operations, &pos)) != NULL) {
		open_free(h, o);
		pos = 0;
	}
	map_fini(&h->operations);
}

void
operations_gone(struct hub *h, struct str device_id)
{
	struct open_operation *o;
	size_t pos = 0;

	while ((o = map_next(&h->operations, &pos)) != NULL)
		if (str_eq(o->row.device_id, device_id)) {
			take_back(h, o);
			open_free(h, o);
			pos = 0;
		}
}

void
operations_check(struct hub *h, struct str unused)
{
	int64_t until = clock_now() - h->conf.operation_ms;
	struct open_operation *o;
	size_t pos = 0;

	(void)unused;
	while ((o = map_next(&h->operations, &pos)) != NULL)
		if (o->row.created_at < until) {
			take_back(h, o);
			come_to(h, o, STR("failed"),
			    STR("no result came in time "
				"(hub.operationTime)"),
			    STR_NULL);
			pos = 0;
		}
}

/* --- what is told of them --------------------------------------------------
 */

/* What is left when status and reason are taken out, and the list that has its
 * own place. */
static struct str
rest_of(struct arena *a, struct str state)
{
	static const char *const told[] = { "status", "reason", "tedgeUrl",
		"currentSoftwareList", "updateList" };
	struct buf b = { 0 };
	struct json_out o;
	struct str key, ret;
	struct json j;

	json_open(&j, state, 0, a);
	json_out_init(&o, &b, false);
	json_out_object(&o);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			bool skip = false;

			for (size_t i = 0; i < COUNT_OF(told); i++)
				skip = skip || str_eqz(key, told[i]);
			if (skip) {
				(void)json_skip(&j);
			} else {
				json_out_key_str(&o, key);
				json_copy(&j, &o);
			}
		}
	json_out_end_object(&o);
	ret = json_done(&j, NULL) == 0 ? arena_str(a, buf_str(&b)) : STR("{}");
	buf_free(&b);
	return ret;
}

void
operation_heard(struct device *d, struct str id, struct str state)
{
	struct open_operation *o = map_get(&d->hub->operations, id);
	struct arena a = { 0 };
	struct str status = hub_text_at(&a, state, "status"),
		   reason = hub_text_at(&a, state, "reason");

	if (o != NULL && str_eq(o->row.device_id, d->row.id) && /* (2) */
	    !str_eqz(status, "init"))
		come_to(d->hub, o,
		    has_ended(status) ? status : STR("executing"), reason,
		    rest_of(&a, state));
	arena_fini(&a);
}

void
operation_result(
    struct hub *h, struct str id, int64_t status, struct str message)
{
	struct open_operation *o = map_get(&h->operations, id);

	/* that it is done its device says, and more */
	if (o != NULL && status > 0)
		come_to(h, o, STR("failed"), message, STR_NULL);
}

/* --- what is installed ------------------------------------------------------
 */

void
software_heard(struct device *d, struct str page)
{
	struct hub *h = d->hub;
	struct arena a = { 0 };
	struct hub_software row = { .unit_id = d->row.unit_id,
		.device_id = d->row.id,
		.page = -1,
		.modules = STR("[]"),
		.modified_at = clock_now() };
	struct str key;
	struct json j;

	json_open(&j, page, 0, &a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "page"))
				(void)json_i64(&j, &row.page);
			else if (str_eqz(key, "of"))
				(void)json_i64(&j, &row.of);
			else if (str_eqz(key, "modules"))
				(void)json_raw(&j, &row.modules);
			else
				(void)json_skip(&j);
		}
	if (json_done(&j, NULL) != 0 || row.page < 0 || row.page >= PAGES_MAX ||
	    row.page >= row.of) {
		counter_add(&h->counters.limited, 1);
		arena_fini(&a);
		return;
	}
#define PAGE(n) arena_printf(&a, STR_FMT ".%d", STR_ARG(d->row.id), (int)(n))
	row.id = PAGE(row.page);
	writer_put(h, &hub_software_entity, &row, true, NULL);
	if (row.page == 0) /* those of a longer list */
		for (int64_t n = row.of; n < PAGES_MAX; n++)
			writer_gone(h, &hub_software_entity, "id", PAGE(n));
#undef PAGE
	arena_fini(&a);
}

/* --- over HTTP -------------------------------------------------------------
 */

struct asked {
	struct hub_operation *row;
	struct arena *a;
	int rc;
	struct err err;
};

static int64_t
open_of(struct hub *h, struct str device_id)
{
	struct open_operation *o;
	size_t pos = 0;
	int64_t n = 0;

	while ((o = map_next(&h->operations, &pos)) != NULL)
		n += str_eq(o->row.device_id, device_id);
	return n;
}

/* On the loop: may it be ordered, and of whom? */
static void
look(struct hub *h, void *ctx)
{
	struct asked *x = ctx;
	struct device *d = map_get(&h->devices, x->row->device_id);
	struct gate *g;

	if (d == NULL || !str_eq(d->row.unit_id, x->row->unit_id)) {
		x->rc = err_set(&x->err, ERR_NOT_FOUND,
		    "there is no such device in the unit, or it was not heard "
		    "yet");
		return;
	}
	g = gate_at(h, d->row.unit_id, d->row.gateway_id);
	if (g == NULL || g->plug == NULL || !gateway_has_operations(g->plug)) {
		x->rc = err_set(&x->err, ERR_PARAM,
		    "the device is on no gateway that takes operations (of "
		    "type marram_edge)");
		return;
	}
	if (open_of(h, d->row.id) >= h->conf.operations_open) {
		x->rc = err_set(&x->err, ERR_LIMIT,
		    "too many operations of the device have not ended "
		    "(hub.operationsOpen)");
		return;
	}
	x->row->gateway_id = arena_str(x->a, d->row.gateway_id);
	x->row->node_id = arena_str(x->a, d->row.node_id);
}

/* Files come here unless it is said where else they are to go. */
static void
ask_for_file(struct rest *r, struct hub_operation *row)
{
	struct arena *a = &r->c->arena;
	struct buf b = { 0 };

	if ((!str_eqz(row->operation, "config_snapshot") &&
		!str_eqz(row->operation, "log_upload")) ||
	    r->c->host.len == 0 ||
	    hub_text_at(a, row->payload, "tedgeUrl").len > 0)
		return;
	buf_addz(&b, "{\"tedgeUrl\":");
	json_quote(&b, operation_file_url(r->c, row->id));
	buf_addc(&b, '}');
	row->payload = hub_merged(a, row->payload, buf_str(&b));
	buf_free(&b);
}

static bool
operation_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct asked x = { .row = row, .a = &r->c->arena };

	if (!hub_before_add(r, row, extra, beside))
		return false;
	hub_ask(r->module, look, &x);
	if (x.rc == ERR_NOT_FOUND)
		http_error(r->c, 404, "err_not_found", "%s", x.err.text);
	else if (x.rc != 0)
		http_error(r->c, 400, "err_param", "%s", x.err.text);
	x.row->status = STR("pending");
	x.row->reason = STR("");
	x.row->result = STR("{}");
	x.row->user_id = auth_who(r->c)->user_id;
	x.row->created_at = x.row->modified_at = clock_now();
	ask_for_file(r, x.row);
	return x.rc == 0;
}

/* What the device gets: with a key, when it is to hand over a file. */
static struct str
payload_of(struct hub *h, struct arena *a, const struct hub_operation *row)
{
	struct str url = hub_text_at(a, row->payload, "tedgeUrl"), keyed;
	struct buf b = { 0 };
	struct str ret;

	if (url.len == 0)
		return row->payload;
	keyed = operation_file_keyed(h, a, row->id, url);
	buf_addz(&b, "{\"tedgeUrl\":");
	json_quote(&b, keyed);
	buf_addc(&b, '}');
	ret = hub_merged(a, row->payload, buf_str(&b));
	buf_free(&b);
	return ret;
}

/* May free it. */
static void
send(struct hub *h, struct open_operation *o)
{
	const struct hub_operation *row = &o->row;
	struct device *d = map_get(&h->devices, row->device_id);
	struct arena a = { 0 };
	struct buf ext = { 0 };
	struct json_out out;

	if (d == NULL) {
		come_to(
		    h, o, STR("failed"), STR("the device is gone"), STR_NULL);
		return;
	}
	json_out_init(&out, &ext, false);
	json_out_object(&out);
	json_out_key(&out, "command");
	json_out_str(&out, row->operation);
	if (row->service.len > 0) {
		json_out_key(&out, "service");
		json_out_str(&out, row->service);
	}
	json_out_end_object(&out);
	o->sent = true;
	sent_add(h, row->id, NULL);
	device_send(d, row->id, payload_of(h, &a, row), buf_str(&ext));
	buf_free(&ext);
	arena_fini(&a);
}

static void
on_resend(struct loop_timer *t)
{
	struct hub *h = container_of(t, struct hub, resend);
	struct open_operation *o;
	struct arena a = { 0 };
	struct strs lost = { arena_array(&a, h->operations.n + 1, struct str),
		0 };
	size_t pos = 0;

	operations_check(h, STR(""));
	while ((o = map_next(&h->operations, &pos)) != NULL) {
		struct gate *g = gate_at(h, o->row.unit_id, o->row.gateway_id);

		if (!o->sent && str_eqz(o->row.status, "pending") &&
		    (g == NULL || g->plug == NULL ||
			!gateway_has(g->plug, o->row.id)))
			lost.at[lost.n++] = arena_str(&a, o->row.id);
	}
	for (size_t i = 0; i < lost.n; i++) {
		o = map_get(&h->operations, lost.at[i]);
		if (o != NULL)
			send(h, o);
	}
	arena_fini(&a);
}

void
operations_begin(struct hub *h)
{
	h->resend.fire = on_resend;
	loop_after(h->loop, &h->resend, RESEND_MS);
}

void
operations_end(struct hub *h)
{
	loop_cancel(h->loop, &h->resend);
}

/* It has come or gone by a call. */
void
operation_reload(struct hub *h, struct str id)
{
	struct open_operation *o = map_get(&h->operations, id);
	struct arena a = { 0 };
	struct filter f = { 0 };
	struct hub_operation row;
	bool found = false;

	filter_text(&f, "id", id);
	if (store_get(h->store, &hub_operation_entity, &f, &a, &row, &found,
		NULL) == 0) {
		if (!found && o != NULL) {
			take_back(h, o);
			open_free(h, o);
		} else if (found && o == NULL && !has_ended(row.status))
			send(h, open_new(h, &row));
	}
	arena_fini(&a);
}

const struct rest_object hub_operation_object = {
	HUB_SHARED,
	.name = "operation",
	.entity = &hub_operation_entity,
	.filters = (const struct rest_filter[]){ BY("device", "deviceId"),
	    BY("gatewayId", "gatewayId"), BY("operation", "operation"),
	    { "status", "status", COND_IN }, { 0 } },
	.sorts = (const struct rest_sort[]){ { "created", "createdAt" },
	    { "modified", "modifiedOn" }, { 0 } },
	.sort = "created:desc",
	.add = "unitId! deviceId! operation! service payload",
	.exists =
	    (const struct rest_exists[]){ { "id", "err_hub_exist" }, { 0 } },
	.help = "operations: what devices are told to do.",
	.before_add = operation_before_add,
};

const struct rest_object hub_software_object = {
	HUB_SHARED,
	.name = "software",
	.entity = &hub_software_entity,
	.filters =
	    (const struct rest_filter[]){ BY("device", "deviceId"), { 0 } },
	.sorts = (const struct rest_sort[]){ { "deviceId", "deviceId" },
	    { "page", "page" }, { 0 } },
	.sort = "deviceId:asc,page:asc",
	.help = "software: what is installed on devices.",
};

/*
 * core/hub/objects.c - the hub's objects over HTTP.
 *
 * Who may do what is the same for all: administrators everything, the owner of
 * the unit changes, its members read. A change goes to the store; then the loop
 * is told, before the call is answered.
 */
#include "core/hub/private.h"

#include "base/mem.h"
#include "base/rand.h"

#include <stdlib.h>

struct unit_query {
	struct str unit, contains;
};

static const struct field query_fields[] = {
	F_TEXT(struct unit_query, unit, "unit",
	    .help = "Those of this unit; administrators may leave it out."),
	{ 0 },
};
const struct record hub_query_record = { "hubQuery", sizeof(struct unit_query),
	query_fields };

/* --- telling the loop ---------------------------------------------------- */

struct told {
	struct loop_post post;
	struct hub *hub;
	void (*fn)(struct hub *h, struct str id);
	struct str id; /* owned */
};

static void
run_told(struct loop_post *p)
{
	struct told *t = container_of(p, struct told, post);

	t->fn(t->hub, t->id);
	str_free(t->id);
	free(t);
}

void
hub_post(struct hub *h, void (*fn)(struct hub *h, struct str id), struct str id)
{
	struct told *t = mem_new(struct told);

	t->post.run = run_told;
	t->hub = h;
	t->fn = fn;
	t->id = str_copy(id);
	loop_post(h->loop, &t->post);
}

static void
run_wait(struct loop_post *p)
{
	struct hub_wait *w = container_of(p, struct hub_wait, post);

	w->fn(w->hub, w);
}

void
hub_await(struct hub *h, void (*fn)(struct hub *h, struct hub_wait *w),
    struct hub_wait *w)
{
	*w = (struct hub_wait){ .post.run = run_wait,
		.hub = h,
		.fn = fn,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER };
	loop_post(h->loop, &w->post);
	pthread_mutex_lock(&w->lock);
	while (!w->done)
		pthread_cond_wait(&w->cond, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

void
hub_answer(struct hub_wait *w)
{
	pthread_mutex_lock(&w->lock);
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

struct asking {
	struct hub *hub;
	void (*fn)(struct hub *h, void *ctx);
	void *ctx;
};

static void
run_asking(void *arg)
{
	const struct asking *a = arg;

	a->fn(a->hub, a->ctx);
}

void
hub_ask(struct hub *h, void (*fn)(struct hub *h, void *ctx), void *ctx)
{
	struct asking a = { h, fn, ctx };

	loop_ask(h->loop, run_asking, &a);
}

/* --- access -------------------------------------------------------------- */

static bool
is_admin(const struct http_call *c)
{
	return auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER);
}

static bool
may_unit(struct rest *r, enum rest_verb verb, struct str unit_id)
{
	struct hub *h = r->module;
	int may;

	if (is_admin(r->c))
		return true;
	may = route_may_unit(h->route, r->c, unit_id, verb);
	return may == 1;
}

bool
hub_limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	struct str unit = http_query(r->c, "unit");

	(void)verb;
	if (unit.len == 0 && is_admin(r->c))
		return true;
	if (unit.len == 0) {
		http_error(r->c, 400, "err_param", "missing `unit`");
		return false;
	}
	if (!may_unit(r, REST_GET, unit)) {
		if (r->c->status == 0)
			http_error(r->c, 400, "err_hub_unit_not_exist", NULL);
		return false;
	}
	filter_text(f, "unitId", unit);
	return true;
}

bool
hub_may(struct rest *r, enum rest_verb verb, const void *row)
{
	return may_unit(r, verb, ((const struct hub_any *)row)->unit_id);
}

bool
hub_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct hub_any *any = row;
	struct hub *h = r->module;
	int rc;

	(void)extra;
	(void)beside;
	rc = route_may_unit(h->route, r->c, any->unit_id, REST_ADD);
	if (rc == 0)
		http_error(r->c, 400, "err_hub_unit_not_exist", NULL);
	return rc == 1;
}

/* --- the objects --------------------------------------------------------- */

#define PLACES                                                                 \
	BY("device", "deviceId"), BY("gatewayId", "gatewayId"),                \
	    BY("nodeId", "nodeId"), BY("sourceId", "sourceId")
#define SORTS(...)                                                             \
	(const struct rest_sort[])                                             \
	{                                                                      \
		__VA_ARGS__,                                                   \
		{                                                              \
			0                                                      \
		}                                                              \
	}
#define COMMON HUB_SHARED, .before_add = hub_before_add
#define EXISTS                                                                 \
	(const struct rest_exists[])                                           \
	{                                                                      \
		{ "id", "err_hub_exist" }, { "code", "err_hub_exist" },        \
		{                                                              \
			0                                                      \
		}                                                              \
	}

static const struct rest_object profile_object = {
	COMMON,
	.name = "profile",
	.entity = &hub_profile_entity,
	.filters = (const struct rest_filter[]){ BY("code", "code"),
	    { "contains", "code", COND_CONTAINS }, { 0 } },
	.sorts = SORTS({ "code", "code" }, { "name", "name" }),
	.sort = "code:asc",
	.add = "unitId! code! name codec script paths fields",
	.patch = "name codec script paths fields",
	.exists = EXISTS,
	.help = "profiles: how devices' payloads are read.",
};

static const struct rest_object node_object = {
	COMMON,
	.name = "node",
	.entity = &hub_node_entity,
	.filters = (const struct rest_filter[]){ BY("gatewayId", "gatewayId"),
	    BY("nodeId", "nodeId"), { "ids", "id", COND_IN },
	    { "state", "state.status", COND_IN },
	    { "contains", "name", COND_CONTAINS }, { 0 } },
	.sorts = SORTS({ "nodeId", "nodeId" }, { "name", "name" },
	    { "gatewayId", "gatewayId" }, { "state", "state.status" },
	    { "lastSeen", "lastSeen" }),
	.sort = "nodeId:asc",
	.patch = "name labels",
	.fleeting = "state others lastSeen",
	.help = "devices, as the hub knows them.",
};

static const struct rest_object source_object = {
	COMMON,
	.name = "source",
	.entity = &hub_source_entity,
	.filters = (const struct rest_filter[]){ PLACES, { 0 } },
	.sorts = SORTS({ "sourceId", "sourceId" }, { "nodeId", "nodeId" },
	    { "lastSeen", "lastSeen" }),
	.sort = "nodeId:asc,sourceId:asc",
	.patch = "name labels",
	.fleeting = "others lastSeen",
	.help = "sources: parts of devices.",
};

static const struct rest_object field_object = {
	COMMON,
	.name = "field",
	.entity = &hub_field_entity,
	.filters = (const struct rest_filter[]){ PLACES,
	    BY("fieldId", "fieldId"), BY("metricType", "metricType"),
	    { "devices", "deviceId", COND_IN },
	    { "contains", "name", COND_CONTAINS }, { 0 } },
	.sorts = SORTS({ "fieldId", "fieldId" }, { "sourceId", "sourceId" },
	    { "nodeId", "nodeId" }, { "name", "name" },
	    { "lastSeen", "lastSeen" }),
	.sort = "nodeId:asc,sourceId:asc,fieldId:asc",
	.patch = "name metricType unit labels formatter",
	.fleeting = "current previous others noChangeSince lastSeen",
	.help = "fields: values of devices, now and before.",
};

static const struct rest_object inbox_object = {
	COMMON,
	.name = "inbox",
	.entity = &hub_inbox_entity,
	.filters = (const struct rest_filter[]){ BY("network", "networkCode"),
	    { "contains", "networkAddr", COND_CONTAINS }, { 0 } },
	.sorts = SORTS({ "lastSeen", "lastSeen" }, { "firstSeen", "firstSeen" },
	    { "count", "count" }, { "networkAddr", "networkAddr" }),
	.sort = "lastSeen:desc",
	.help = "addresses that were heard and that no device has.",
};

static const struct rest_object repository_object = {
	COMMON,
	.name = "data-repository",
	.entity = &hub_repository_entity,
	.filters =
	    (const struct rest_filter[]){
		{ "contains", "id", COND_CONTAINS }, { 0 } },
	.sorts = SORTS({ "id", "id" }, { "modified", "modifiedOn" }),
	.sort = "id:asc",
	.add = "id unitId! description readOnly labels data",
	.patch = "description readOnly labels data",
	.exists = EXISTS,
	.help = "data that rules share.",
};

#define RULES(before)                                                          \
	HUB_SHARED,                                                            \
	    .before_add = before, .exists = EXISTS,                            \
	    .filters = (const struct rest_filter[]){ { "contains", "id",       \
							 COND_CONTAINS },      \
		    { 0 } },                                                   \
	    .sorts = SORTS({ "id", "id" }, { "modified", "modifiedOn" }),      \
	    .sort = "id:asc"
#define RULE RULES(hub_before_add)

/* What was secret when it was written is not read again. */
static void
handler_show(struct rest *r, enum rest_verb verb, void *row)
{
	struct hub_handler *h = row;

	(void)verb;
	h->spec = spec_without_secrets(&r->c->arena,
	    hub_handler_spec(&r->c->arena, h->type), h->spec, NULL);
}

/* Secrets lie in the store only sealed. */
static bool
seal_handler(struct rest *r, struct hub_handler *h)
{
	struct arena *a = &r->c->arena;
	struct err err;

	if (hub_seal(r->module, a, hub_handler_spec(a, h->type), h->spec,
		&h->spec, &err) == 0)
		return true;
	http_error(r->c, 503, "err_int_msg", "%s", err.text);
	return false;
}

/* A backup holds what every unit has. */
bool
hub_may_have_handler(struct http_call *c, struct str type)
{
	if (!str_eqz(type, "backup") || auth_is(c, HTTP_ROLE_ADMIN))
		return true;
	http_error(c, 403, "err_perm",
	    "handlers of type backup are for administrators");
	return false;
}

static bool
handler_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	const struct hub_handler *h = row;

	return hub_may_have_handler(r->c, h->type) &&
	    hub_before_add(r, row, extra, beside) && seal_handler(r, row);
}

/* A secret that is left out stays as it was. */
static bool
handler_before_patch(struct rest *r, const void *old, void *row,
    field_set_t *present, void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	const struct hub_handler *was = old;
	struct hub_handler *h = row;

	(void)extra;
	(void)extra_present;
	(void)beside;
	(void)beside_present;
	if (!hub_may_have_handler(r->c, h->type))
		return false;
	if (!(*present & field_bit(&hub_handler_entity.record, "spec")))
		return true;
	h->spec = spec_with_secrets_of(&r->c->arena,
	    hub_handler_spec(&r->c->arena, h->type), h->spec, was->spec);
	return seal_handler(r, h);
}

static const struct rest_object handler_object = {
	RULES(handler_before_add),
	.name = "handler",
	.entity = &hub_handler_entity,
	.add = "id unitId! type! description enabled labels spec",
	.patch = "description enabled labels spec",
	.fleeting = "state",
	.help = "handlers: where what rules have decided is done.",
	.show = handler_show,
	.before_patch = handler_before_patch,
};

static const struct rest_object forward_object = {
	RULE,
	.name = "forward-payload",
	.entity = &hub_forward_entity,
	.add = "id unitId! srcFieldId! dstFieldId! description enabled labels",
	.patch = "srcFieldId dstFieldId description enabled labels",
	.help = "forwards: each new value of a field is sent to another.",
};

static const struct rest_object task_object = {
	RULE,
	.name = "task",
	.entity = &hub_task_entity,
	.add = "id unitId! " HUB_TASK_MEMBERS,
	.patch = HUB_TASK_MEMBERS,
	.fleeting = "state",
	.help = "tasks: when something is so, handlers are told.",
};

static bool
schedule_is_right(struct rest *r, const void *row)
{
	struct hub *h = r->module;
	struct err err;
	int rc;

	pthread_mutex_lock(&h->place_lock);
	rc = hub_schedule_check(row, &h->place, &err);
	pthread_mutex_unlock(&h->place_lock);
	if (rc == 0)
		return true;
	http_error(r->c, 400, "err_param", "%s", err.text);
	return false;
}

static bool
schedule_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	return hub_before_add(r, row, extra, beside) &&
	    schedule_is_right(r, row);
}

static bool
schedule_before_patch(struct rest *r, const void *old, void *row,
    field_set_t *present, void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	(void)old;
	(void)present;
	(void)extra;
	(void)extra_present;
	(void)beside;
	(void)beside_present;
	return schedule_is_right(r, row);
}

static const struct rest_object schedule_object = {
	RULES(schedule_before_add),
	.name = "schedule",
	.entity = &hub_schedule_entity,
	.add = "id unitId! type! spec! " HUB_SCHEDULE_MEMBERS,
	.patch = "type spec " HUB_SCHEDULE_MEMBERS,
	.fleeting = "state",
	.help = "schedules: at some time, handlers are told.",
	.before_patch = schedule_before_patch,
};

static const struct rest_object dashboard_object = {
	COMMON,
	.name = "dashboard",
	.entity = &hub_dashboard_entity,
	.filters =
	    (const struct rest_filter[]){
		{ "contains", "title", COND_CONTAINS }, { 0 } },
	.sorts = SORTS({ "title", "title" }, { "favorite", "favorite" },
	    { "modified", "modifiedOn" }),
	.sort = "favorite:desc,title:asc",
	.add = "id unitId! title! type description favorite disabled labels "
	       "widgets",
	.patch = "title type description favorite disabled labels widgets",
	.exists = EXISTS,
	.help = "dashboards: widgets on a page.",
};

static const struct rest_object trace_object = {
	COMMON,
	.name = "trace",
	.entity = &hub_trace_entity,
	.filters = (const struct rest_filter[]){ BY("rule", "rule"),
	    BY("isTriggered", "isTriggered"), BY("isFired", "isFired"),
	    { "contains", "rule", COND_CONTAINS }, { 0 } },
	.sorts = SORTS({ "timestamp", "timestamp" }),
	.sort = "timestamp:desc",
	.help = "traces: what rules saw, decided and did.",
};

/* --- acting on things ---------------------------------------------------- */

struct deed {
	struct str unit_id, resource, payload, key_path;
};
#define A struct deed
static const struct field deed_fields[] = {
	F_TEXT(A, unit_id, "unitId", .help = "The unit of what is acted on."),
	F_TEXT(A, resource, "resource", .max = 1024,
	    .help = "Quick id: field:gateway.node.source.field, "
		    "node:gateway.node, gateway:code, "
		    "data_repository:ID, task:ID, schedule:ID, "
		    "handler:ID."),
	F_TEXT(A, payload, "payload", .def = "\"\"", .max = 65536,
	    .help = "What a field or shared data is set to (toggle "
		    "turns a field over); enable or "
		    "disable for a rule, handler or gateway; run for a "
		    "schedule; reload, or "
		    "what its provider can do, as reboot of a node."),
	F_TEXT(A, key_path, "keyPath", .def = "\"\"", .max = 1024,
	    .help = "Of a data repository: where in its data."),
	{ 0 },
};
static const struct record deed_record = { "action", sizeof(A), deed_fields };

struct deed_done {
	const struct deed *deed;
	struct http_call *c;
	int rc;
	struct err err;
};

static void
do_deed(struct hub *h, void *ctx)
{
	struct deed_done *d = ctx;

	h->actor = d->c;
	d->rc = hub_action(h, d->deed->unit_id, d->deed->resource,
	    d->deed->key_path, d->deed->payload, &d->err);
	h->actor = NULL;
}

static void
handle_action(struct http_call *c)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct deed_done e = { .c = c };
	struct rest_body b;
	int may_do;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	e.deed = b.row;
	may_do = route_may_unit(h->route, c, e.deed->unit_id, REST_PATCH);
	if (may_do == 0)
		http_error(c, 400, "err_hub_unit_not_exist", NULL);
	if (may_do != 1)
		return;
	hub_ask(h, do_deed, &e);
	if (e.rc == 0)
		http_empty(c, 204);
	else if (e.rc == ERR_NOT_FOUND)
		http_error(c, 404, "err_not_found", "%s", e.err.text);
	else if (e.rc == ERR_PARAM || e.rc == ERR_DENIED)
		http_error(c, 400, "err_param", "%s", e.err.text);
	else
		http_error(c, 503, "err_int_msg", "%s", e.err.text);
}

static const struct http_route action_rows[] = {
	{ "POST", "/action", HTTP_TOKEN, .scope = "action.post",
	    .body = { .record = &deed_record,
		.members = "unitId! resource! payload keyPath" },
	    .handle = handle_action,
	    .help =
		"Sets a field, changes shared data, enables a rule, or has a "
		"gateway or node do something." },
	{ 0 },
};

/* --- all of them --------------------------------------------------------- */

#define NO_ADD REST_NO(REST_ADD)
#define NO_PATCH REST_NO(REST_PATCH)
#define NO_DEL REST_NO(REST_DEL)

/* clang-format off */
static const struct hub_object objects[] = {
	{ &profile_object, 0, "profile", model_reload_profile, 0 },
	{ &hub_gateway_object, 0, "gateway", gates_reload,
	    OBJECT_RELOAD | OBJECT_NETWORK },
	{ &hub_enrolment_object, 0, "enrolment", enrolment_reload,
	    OBJECT_NETWORK },
	{ &hub_firmware_object, 0, "firmware", NULL, 0 },
	{ &node_object, NO_ADD, "node", model_reload_node,
	    OBJECT_MODEL | OBJECT_RELOAD },
	{ &source_object, NO_ADD | NO_DEL, "source", model_reload_source,
	    OBJECT_MODEL | OBJECT_RELOAD },
	{ &field_object, NO_ADD, "field", model_reload_field,
	    OBJECT_MODEL | OBJECT_RELOAD },
	{ &inbox_object, NO_ADD | NO_PATCH, "inbox", inbox_forget,
	    OBJECT_RELOAD },
	{ &hub_operation_object, NO_PATCH, "operation", operation_reload, 0 },
	{ &hub_software_object, NO_ADD | NO_PATCH | NO_DEL, "software", NULL,
	    0 },
	{ &repository_object, 0, "data_repository", NULL, OBJECT_RULES },
	{ &handler_object, 0, "handler", handlers_reload, 0 },
	{ &forward_object, 0, "forward_payload", forwards_reload, 0 },
	{ &task_object, 0, "task", tasks_reload, 0 },
	{ &schedule_object, 0, "schedule", schedules_reload, 0 },
	{ &dashboard_object, 0, "dashboard", NULL, 0 },
	{ &trace_object, NO_ADD | NO_PATCH | NO_DEL, "trace", NULL, 0 },
};
/* clang-format on */

const struct hub_object *
hub_object_of(const struct entity *e)
{
	for (size_t i = 0; i < COUNT_OF(objects); i++)
		if (objects[i].object->entity == e)
			return &objects[i];
	return NULL;
}

/* Of others, told by WebSocket only. */
static const char *const other_types[] = { "unit", "network", "application",
	"device", "device_route", "network_route", "version", "deployment",
	"deployment_device", "deployment_task" };

bool
hub_is_entity_type(struct str name)
{
	for (size_t i = 0; i < COUNT_OF(other_types); i++)
		if (str_eqz(name, other_types[i]))
			return true;
	for (size_t i = 0; i < COUNT_OF(objects); i++)
		if (str_eqz(name, objects[i].event))
			return true;
	return false;
}

/* A call has changed a row: the loop is to know, and who listens. What the loop
 * makes of it (a state) is told between the row's beginning and its end. */
void
hub_changed(struct rest *r, enum rest_verb verb, const void *row)
{
	const struct hub_object *o = hub_object_of(r->o->entity);
	struct str id = ((const struct hub_any *)row)->id;
	bool tell = !(o->flags & OBJECT_RELOAD);

	if (tell && verb != REST_DEL)
		event_called(r->module, o, verb, row);
	if (o->reload != NULL)
		hub_post(r->module, o->reload, id);
	if (tell && verb == REST_DEL)
		event_called(r->module, o, verb, row);
}

/* --- versions ------------------------------------------------------------ */

static bool
may_call(void *module, struct http_call *c)
{
	return route_may_call(((struct hub *)module)->route, c);
}

static void
told(void *module, const struct versions_change *change)
{
	struct buf b = { 0 };

	if (!event_is_wanted(module))
		return;
	rest_version_to_json(&b, change->version);
	event_told(module,
	    &(struct route_told){ "version", "created",
		change->version->unit_id, change->version->version_id,
		buf_str(&b) });
	buf_free(&b);
}

void
objects_version(struct hub *h)
{
	static const struct rest_object *const versioned[] = { &profile_object,
		&node_object, &source_object, &field_object, &repository_object,
		&handler_object, &forward_object, &task_object,
		&schedule_object, &dashboard_object, &hub_setting_object };

	h->versions = versions_new(&h->conf.versions,
	    &(struct versions_host){ .store = h->store,
		.module = h,
		.entities = hub_entities,
		.who = auth_caller,
		.access = may_call,
		.limit = hub_limit,
		.told = told });
	for (size_t i = 0; i < COUNT_OF(versioned); i++)
		versions_add(h->versions, versioned[i]);
	/* gateways lie where the networks are */
	versions_add(route_versions(h->route), &hub_gateway_object);
	h->mounts.versions[0] = h->versions;
	h->mounts.versions[1] = route_versions(h->route);
}

void
objects_mount(struct hub *h, http_add_routes *add, void *ctx)
{
	struct rest_mounts *m = h != NULL ? &h->mounts : NULL;
	struct store *s = h != NULL ? h->store : NULL;

	versions_mount(m, h != NULL ? h->versions : NULL, "/hub/api/v1",
	    REST_CSV, add, ctx);
	rest_mount_rows(m, action_rows, "/hub/api/v1", h, add, ctx);
	rest_mount_rows(m, hub_prom_rows, "/prom/api/v1", h, add, ctx);
	rest_mount_rows(m, hub_write_rows, "", h, add, ctx);
	if (h == NULL || h->conf.live.connections > 0)
		rest_mount_rows(m, hub_live_rows, "", h, add, ctx);
	rest_mount_rows(m, hub_history_rows, "/hub/api/v1", h, add, ctx);
	rest_mount_rows(m, hub_gateway_rows, "/hub/api/v1", h, add, ctx);
	rest_mount_rows(m, hub_trial_rows, "/hub/api/v1", h, add, ctx);
	rest_mount_rows(m, hub_firmware_rows, "/hub/api/v1", h, add, ctx);
	rest_mount_rows(m, hub_operation_rows, "/hub/api/v1", h, add, ctx);
	rest_mount_rows(m, hub_inbox_rows, "/hub/api/v1", h, add, ctx);
	rest_mount_rows(m, hub_rehearse_rows, "/hub/api/v1", h, add, ctx);
	rest_mount_rows(m, hub_try_rows, "/hub/api/v1", h, add, ctx);
	rest_mount_rows(m, hub_inspect_rows, "/hub/api/v1", h, add, ctx);
	settings_mount(h, add, ctx);
	for (size_t i = 0; i < COUNT_OF(objects); i++)
		rest_mount(m, objects[i].object, "/hub/api/v1",
		    h != NULL && objects[i].flags & OBJECT_NETWORK
			? route_store(h->route)
			: s,
		    h, objects[i].verbs | REST_CSV, add, ctx);
}

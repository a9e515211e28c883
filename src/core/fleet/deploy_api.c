/*
 * core/fleet/deploy_api.c - deployments over HTTP: plan, deploy, cancel, retry.
 *
 * What is asked for by configurations and tags becomes a list of devices here,
 * as the state of the commit has them; it does not change afterwards.
 */
#include "core/fleet/deploy.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "core/rest/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICES_MAX 100000 /* of one deployment */

void
deploy_tell(struct fleet *f, const char *kind, const char *type,
    const struct entity *e, const void *row)
{
	const struct fleet_any *any = row;
	struct buf b = { 0 };
	struct json_out o;

	if (f->route == NULL || !route_is_heard(f->route))
		return;
	json_out_init(&o, &b, false);
	record_to_json(&o, &e->record, FIELD_ALL, row);
	route_tell_of(f->route,
	    &(struct route_told){
		kind, type, any->unit_id, any->id, buf_str(&b) });
	buf_free(&b);
}

/* --- which devices -------------------------------------------------------- */

struct choosing {
	const struct fleet_deployment *d;
	const struct fleet_state *state;
	struct arena *a;
	struct fleet_deployment_device *rows;
	size_t n, cap;
};

static bool
has(struct strs list, struct str s)
{
	for (size_t i = 0; i < list.n; i++)
		if (str_eq(list.at[i], s))
			return true;
	return false;
}

static bool
is_asked_for(const struct choosing *x, const struct fleet_device *d,
    const struct fleet_config *c)
{
	const struct fleet_deployment *w = x->d;

	if (has(w->devices, d->id))
		return true;
	if (w->devices.n + w->configs.n + w->tags.n == 0)
		return true;
	if (has(w->configs, d->config))
		return true;
	for (size_t i = 0; c != NULL && i < c->tags.n; i++)
		if (has(w->tags, c->tags.at[i]))
			return true;
	return false;
}

static int
choose(void *ctx, const void *row, struct err *err)
{
	struct choosing *x = ctx;
	const struct fleet_device *d = row;
	const struct fleet_config *c =
	    d->config.len > 0 ? fleet_config_find(x->state, d->config) : NULL;
	bool named = has(x->d->devices, d->id);
	struct str name = d->name.len > 0 ? d->name : d->id;
	struct fleet_deployment_device *to;

	if (!named &&
	    (d->config.len == 0 || !str_eqz(d->state, "active") ||
		!is_asked_for(x, d, c)))
		return 0;
	if (!str_eqz(d->state, "active"))
		return err_set(err, ERR_PARAM, "device " STR_FMT " is %s",
		    STR_ARG(name),
		    str_eqz(d->state, "waiting") ? "not approved yet"
						 : "archived");
	if (d->config.len == 0)
		return err_set(err, ERR_PARAM,
		    "device " STR_FMT " has no configuration: choose one for "
		    "it",
		    STR_ARG(name));
	if (c == NULL)
		return err_set(err, ERR_PARAM,
		    "device " STR_FMT " is to have the configuration " STR_FMT
		    ", which this commit does not have",
		    STR_ARG(name), STR_ARG(d->config));
	if (target_of(c) == NULL)
		return err_set(err, ERR_PARAM,
		    "the configuration " STR_FMT
		    " does not say for what kind of device it is: choose one "
		    "in its module Device",
		    STR_ARG(d->config));
	if (x->n == DEVICES_MAX)
		return err_set(
		    err, ERR_PARAM, "more than %d devices", DEVICES_MAX);
	if (x->n == x->cap) {
		x->cap = x->cap == 0 ? 16 : 2 * x->cap;
		x->rows = mem_resize(x->rows, x->cap, sizeof(*x->rows));
	}
	to = &x->rows[x->n];
	memset(to, 0, sizeof(*to));
	record_init(&fleet_deployment_device_entity.record, to);
	to->id = rand_id(x->a, clock_now(), 12);
	to->unit_id = x->d->unit_id;
	to->deployment_id = x->d->id;
	to->device_id = arena_str(x->a, d->id);
	to->device_name = arena_str(x->a, d->name);
	to->config = arena_str(x->a, d->config);
	to->position = (int64_t)x->n++;
	to->state = STR("queued");
	to->reason = to->built = to->run = STR("");
	to->before_built = to->before_config = to->before_commit = STR("");
	to->changes = STR("[]");
	to->attempts = 0;
	to->created_at = x->d->created_at;
	return 0;
}

/* Every device that is named must be there. */
static int
check_named(const struct choosing *x, struct err *err)
{
	for (size_t i = 0; i < x->d->devices.n; i++) {
		bool found = false;

		for (size_t k = 0; k < x->n && !found; k++)
			found =
			    str_eq(x->rows[k].device_id, x->d->devices.at[i]);
		if (!found)
			return err_set(err, ERR_PARAM,
			    "there is no device " STR_FMT " in the unit",
			    STR_ARG(x->d->devices.at[i]));
	}
	for (size_t i = 0; i < x->d->configs.n; i++)
		if (fleet_config_find(x->state, x->d->configs.at[i]) == NULL)
			return err_set(err, ERR_PARAM,
			    "there is no configuration " STR_FMT,
			    STR_ARG(x->d->configs.at[i]));
	for (size_t i = 0; i < x->d->tags.n; i++)
		if (fleet_tag_find(x->state, x->d->tags.at[i]) == NULL)
			return err_set(err, ERR_PARAM,
			    "there is no tag " STR_FMT,
			    STR_ARG(x->d->tags.at[i]));
	if (x->n == 0)
		return err_set(err, ERR_PARAM,
		    "there is no such device: give devices the configuration "
		    "first");
	return 0;
}

/* --- a new one ------------------------------------------------------------ */

struct adding {
	const struct fleet_deployment *d;
	const struct choosing *chosen;
};

static int
add_tx(struct store *tx, void *ctx, struct err *err)
{
	const struct adding *x = ctx;
	int rc = store_add(tx, &fleet_deployment_entity, x->d, err);

	if (rc == 0)
		rc = store_add_many(tx, &fleet_deployment_device_entity,
		    x->chosen->rows, x->chosen->n, false, NULL, err);
	return rc;
}

/* Answers the call: with its id, or why not. */
static void
create(struct http_call *c, struct fleet *f, struct fleet_deployment *d)
{
	struct choosing x = { .d = d, .a = &c->arena };
	struct fleet_snapshot s = { 0 };
	struct filter filter = { 0 };
	struct store_query q = { .filter = &filter,
		.sort = { { "name", false }, { "id", false } },
		.n_sort = 2 };
	struct adding adding = { d, &x };
	struct err err = { 0 };
	int rc = 0;

	d->id = rand_id(&c->arena, c->came_at, 12);
	d->created_at = c->came_at;
	d->started_at = str_eqz(d->state, "running") ? c->came_at : TIME_NULL;
	d->ended_at = TIME_NULL;
	d->reason = d->outcome = d->user_id = d->account = STR("");
	auth_caller(c, &d->user_id, &d->account);
	if (d->commit.len == 0)
		rc = fleet_head(f, d->unit_id, &c->arena, &d->commit, &err);
	if (rc == ERR_AGAIN) {
		http_error(c, 409, "err_fleet_dirty",
		    "there are changes that are not committed: commit or "
		    "revert them, or name a commit");
		return;
	}
	if (rc == 0)
		rc = fleet_snapshot(f, d->unit_id, d->commit, &s, &err);
	if (rc == ERR_NOT_FOUND)
		(void)err_wrap(&err, "no such commit");
	if (rc == 0) /* a branch goes on meanwhile; this does not */
		d->commit = arena_str(&c->arena, s.commit);
	x.state = &s.state;
	filter_text(&filter, "unitId", d->unit_id);
	if (rc == 0)
		rc = store_list(
		    f->store, &fleet_device_entity, &q, choose, &x, &err);
	if (rc == 0)
		rc = check_named(&x, &err);
	d->n_devices = (int64_t)x.n;
	if (rc != 0)
		http_error(c, 400, "err_param", "%s", err.text);
	else if (deploy_room(f, &err) != 0) {
		http_error(c, 429, "err_rsc", "%s", err.text);
		rc = ERR_LIMIT;
	}
	if (rc == 0) {
		rc = store_tx(f->store, add_tx, &adding, &err);
		if (rc == 0)
			rc = deploy_load(f, d, false, &err);
		deploy_room_taken(f);
		if (rc != 0)
			rest_db_error(c, &err);
	}
	if (rc == 0) {
		struct json_out *o = rest_data(c);

		deploy_tell(
		    f, "deployment", "created", &fleet_deployment_entity, d);
		if (str_eqz(d->state, "running"))
			deploy_supersede(f, d->id);
		deploy_kick(f);
		json_out_key(o, "id");
		json_out_str(o, d->id);
		rest_data_end(c);
	}
	free(x.rows);
	arena_fini(&s.arena);
}

/* The body of POST /deployment and /plan, in a unit where the caller may. */
static bool
read_wish(struct http_call *c, struct fleet *f, struct fleet_deployment **ret)
{
	struct rest_body b;
	struct str unit;

	if (!fleet_call_unit(f, c, REST_ADD, &unit) ||
	    !rest_read(c, &c->route->body, NULL, &b) ||
	    !rest_defaults(c, &fleet_deployment_entity.record, &b))
		return false;
	*ret = b.row;
	(*ret)->unit_id = arena_str(&c->arena, unit);
	return true;
}

static void
handle_deploy(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_deployment *d;

	if (!read_wish(c, f, &d))
		return;
	d->state = STR("running");
	create(c, f, d);
}

static void
handle_plan(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_deployment *d;

	if (!read_wish(c, f, &d))
		return;
	d->state = STR("planning");
	create(c, f, d);
}

/* --- what is there -------------------------------------------------------- */

static void
handle_start(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_deployment d;
	struct err err;
	int rc;

	if (!fleet_call_row(c, f, &fleet_deployment_entity, REST_PATCH, &d))
		return;
	rc = deploy_begin(f, d.id, &err);
	if (rc == ERR_AGAIN)
		http_error(c, 409, "err_fleet_state", "%s", err.text);
	else if (rc != 0)
		rest_db_error(c, &err);
	else
		http_empty(c, 204);
}

static void
cancel(struct http_call *c, struct fleet *f, struct str deployment_id,
    struct str device_row_id)
{
	struct err err;
	int rc = deploy_cancel(f, deployment_id, device_row_id, &err);

	if (rc < 0)
		rest_db_error(c, &err);
	else if (rc == 0)
		http_error(c, 409, "err_fleet_state", "it has ended");
	else
		http_empty(c, 204);
}

static void
handle_cancel(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_deployment d;

	if (fleet_call_row(c, f, &fleet_deployment_entity, REST_PATCH, &d))
		cancel(c, f, d.id, STR(""));
}

static void
handle_device_cancel(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_deployment_device d;

	if (fleet_call_row(
		c, f, &fleet_deployment_device_entity, REST_PATCH, &d))
		cancel(c, f, d.deployment_id, d.id);
}

static void
handle_task_cancel(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_task t;

	if (!fleet_call_row(c, f, &fleet_task_entity, REST_PATCH, &t))
		return;
	if (task_has_ended(t.state))
		http_error(c, 409, "err_fleet_state", "it has ended");
	else
		cancel(c, f, t.deployment_id, t.deployment_device_id);
}

struct again {
	struct arena *a;
	struct strs devices;
	size_t cap;
	struct str only; /* one row of it; "": all */
	bool open;       /* some device has not ended */
};

static int
take_again(void *ctx, const void *row, struct err *err)
{
	struct again *x = ctx;
	const struct fleet_deployment_device *d = row;

	(void)err;
	if (x->only.len > 0 && !str_eq(x->only, d->id))
		return 0;
	x->open = x->open || !device_has_ended(d->state);
	if (str_eqz(d->state, "done") || str_eqz(d->state, "superseded"))
		return 0;
	if (x->devices.n == x->cap) {
		size_t cap = x->cap == 0 ? 16 : 2 * x->cap;
		struct str *more = arena_array(x->a, cap, struct str);

		if (x->devices.n > 0)
			memcpy(
			    more, x->devices.at, x->devices.n * sizeof(*more));
		x->devices.at = more;
		x->cap = cap;
	}
	x->devices.at[x->devices.n++] = arena_str(x->a, d->device_id);
	return 0;
}

/* The same commit, by a new deployment, to those that do not have it. */
static void
retry(struct http_call *c, struct fleet *f, struct str deployment_id,
    struct str device_row_id)
{
	struct again x = { .a = &c->arena, .only = device_row_id };
	struct fleet_deployment d;
	struct filter filter = { 0 }, by = { 0 };
	struct store_query q = { .filter = &by };
	bool found = false;
	struct err err;

	filter_text(&filter, "id", deployment_id);
	filter_text(&by, "deploymentId", deployment_id);
	if (store_get(f->store, &fleet_deployment_entity, &filter, &c->arena,
		&d, &found, &err) != 0 ||
	    store_list(f->store, &fleet_deployment_device_entity, &q,
		take_again, &x, &err) != 0) {
		rest_db_error(c, &err);
	} else if (!found) {
		http_error(c, 404, "err_not_found", NULL);
	} else if (x.open) {
		http_error(c, 409, "err_fleet_state",
		    "it is under way: cancel it first");
	} else if (x.devices.n == 0) {
		http_error(c, 409, "err_fleet_state",
		    "there is nothing to do again: all is done");
	} else {
		d.configs = d.tags = (struct strs){ 0 };
		d.devices = x.devices;
		d.state = STR("running");
		create(c, f, &d);
	}
}

static void
handle_retry(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_deployment d;

	if (fleet_call_row(c, f, &fleet_deployment_entity, REST_ADD, &d))
		retry(c, f, d.id, STR(""));
}

static void
handle_device_retry(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_deployment_device d;

	if (fleet_call_row(c, f, &fleet_deployment_device_entity, REST_ADD, &d))
		retry(c, f, d.deployment_id, d.id);
}

static void
handle_task_retry(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_task t;

	if (fleet_call_row(c, f, &fleet_task_entity, REST_ADD, &t))
		retry(c, f, t.deployment_id, t.deployment_device_id);
}

/* --- tables --------------------------------------------------------------- */

static bool
before_del(struct rest *r, const void *row)
{
	const struct fleet_deployment *d = row;
	struct err err;

	if (!deployment_has_ended(d->state)) {
		http_error(r->c, 409, "err_fleet_state",
		    "it is under way: cancel it first");
		return false;
	}
	if (fleet_tasks_gone(r->module, d->id, &err) == 0)
		return true;
	rest_db_error(r->c, &err);
	return false;
}

static void
changed(struct rest *r, enum rest_verb verb, const void *row)
{
	if (verb == REST_DEL)
		deploy_tell(r->module, "deployment", "deleted",
		    &fleet_deployment_entity, row);
}

static const struct rest_object deployment_object = {
	.name = "deployment",
	.entity = &fleet_deployment_entity,
	.id = "id",
	.id_len = 12,
	.filters = (const struct rest_filter[]){ { "state", "state", COND_IN },
	    { "commit", "commit", COND_EQ },
	    { "message", "message", COND_CONTAINS }, { 0 } },
	.sorts = (const struct rest_sort[]){ { "created", "createdAt" },
	    { "ended", "endedAt" }, { 0 } },
	.sort = "created:desc",
	.scope = "fleet.deploy",
	.help = "deployments: commits that are carried to devices.",
	.limit = fleet_limit,
	.may = fleet_may,
	.before_del = before_del,
	.changed = changed,
};

static const struct rest_object device_object = {
	.name = "deployment-device",
	.entity = &fleet_deployment_device_entity,
	.id = "id",
	.id_len = 12,
	.filters = (const struct rest_filter[]){ { "deployment", "deploymentId",
						     COND_EQ },
	    { "device", "deviceId", COND_EQ }, { "state", "state", COND_IN },
	    { 0 } },
	.sorts = (const struct rest_sort[]){ { "position", "position" },
	    { "created", "createdAt" }, { 0 } },
	.sort = "created:desc,position:asc",
	.scope = "fleet.deploy",
	.help = "the devices of deployments, and how far each is.",
	.limit = fleet_limit,
	.may = fleet_may,
};

struct unit_query {
	struct str unit;
};
static const struct field unit_fields[] = {
	F_TEXT(struct unit_query, unit, "unit", .help = "Which unit."),
	{ 0 },
};
static const struct record unit_record = { "fleetUnit",
	sizeof(struct unit_query), unit_fields };

#define WISH                                                                   \
	"commit message configs tags devices canary atOnce maxFailures "       \
	"checks rollback"
#define NEW(path_, handle_, help_)                                             \
	{                                                                      \
		"POST", path_, HTTP_TOKEN,                                     \
		    .scope = "fleet.deploy.post", .query = &unit_record,       \
		    .query_members = "unit!",                                  \
		    .body = { .record = &fleet_deployment_entity.record,       \
			    .members = WISH },                                 \
		    .reply = { .record = &fleet_deployment_entity.record,      \
			    .members = "id" },                                 \
		    .flags = HTTP_SLOW, .handle = handle_, .help = help_       \
	}
#define DO(path_, handle_, help_)                                              \
	{                                                                      \
		"POST", path_, HTTP_TOKEN, .scope = "fleet.deploy.post",       \
					   .flags = HTTP_SLOW,                 \
					   .handle = handle_, .help = help_    \
	}
#define AGAIN(path_, handle_, help_)                                           \
	{                                                                      \
		"POST", path_, HTTP_TOKEN,                                     \
		    .scope = "fleet.deploy.post",                              \
		    .reply = { .record = &fleet_deployment_entity.record,      \
			    .members = "id" },                                 \
		    .flags = HTTP_SLOW, .handle = handle_, .help = help_       \
	}
static const struct http_route rows[] = {
	NEW("/plan", handle_plan,
	    "Plans a deployment: builds, asks each device, and changes "
	    "nothing. What would be changed is in /deployment-device/list when "
	    "its state is `planned`; /deployment/{id}/start carries it out."),
	NEW("/deployment", handle_deploy,
	    "Deploys to the devices that are named, or have these "
	    "configurations or tags. 409: there are changes that are not "
	    "committed."),
	DO("/deployment/{id}/start", handle_start,
	    "Carries out what was planned."),
	DO("/deployment/{id}/cancel", handle_cancel,
	    "Ends a deployment; a device that has applied it and is not "
	    "confirmed takes it back."),
	AGAIN("/deployment/{id}/retry", handle_retry,
	    "Deploys the same commit to those devices that did not get it, "
	    "as a new deployment."),
	DO("/deployment-device/{id}/cancel", handle_device_cancel,
	    "Ends it for one device."),
	AGAIN("/deployment-device/{id}/retry", handle_device_retry,
	    "Deploys the same commit to this device, as a new deployment."),
	DO("/task/{id}/cancel", handle_task_cancel,
	    "Ends a step, and with it the deployment to its device."),
	AGAIN("/task/{id}/retry", handle_task_retry,
	    "Deploys the same commit to the device of the task, as a new "
	    "deployment."),
	{ 0 },
};

void
deploy_routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	struct rest_mounts *m = f != NULL ? &f->mounts : NULL;
	struct store *s = f != NULL ? f->store : NULL;

	rest_mount(m, &deployment_object, FLEET_API, s, f,
	    REST_NO(REST_ADD) | REST_NO(REST_PATCH), add, ctx);
	rest_mount(m, &device_object, FLEET_API, s, f,
	    REST_NO(REST_ADD) | REST_NO(REST_PATCH) | REST_NO(REST_DEL), add,
	    ctx);
	rest_mount_rows(m, rows, FLEET_API, f, add, ctx);
	deploy_drift_routes(f, add, ctx);
}

/*
 * core/fleet/deploy_drift.c - drift: in what a device is not as it was
 * deployed.
 *
 * A deployment ends with a device that has none. From then on it is what was
 * found last, in the device's row; to ask again is to plan what it has already,
 * which changes nothing. A device that is being worked on is not asked.
 */
#include "core/fleet/deploy.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

#define CHANGES_MAX 1000
#define DIFF_MAX 16384
#define ASK_MS 120000

/* --- as JSON -------------------------------------------------------------- */

static void
add_change(struct json_out *o, const struct target_change *c)
{
	static const char *const actions[] = { "add", "change", "remove",
		"run" };
	const struct {
		const char *key;
		struct str value;
	} members[] = { { "kind", c->kind }, { "name", c->name },
		{ "from", c->from }, { "to", c->to },
		{ "diff",
		    { c->diff.ptr, MIN_OF(c->diff.len, (size_t)DIFF_MAX) } } };

	json_out_object(o);
	json_out_key(o, "action");
	json_out_str(o, str_of(actions[c->action]));
	for (size_t i = 0; i < COUNT_OF(members); i++)
		if (members[i].value.ptr != NULL) {
			json_out_key(o, members[i].key);
			json_out_str(o, members[i].value);
		}
	json_out_end_object(o);
}

struct str
deploy_changes(struct arena *a, const struct target_plan *p)
{
	struct buf b = { 0 };
	struct json_out o;
	struct str ret;

	json_out_init(&o, &b, false);
	json_out_array(&o);
	for (size_t i = 0; i < p->n && i < CHANGES_MAX; i++)
		add_change(&o, &p->changes[i]);
	if (p->n > CHANGES_MAX)
		add_change(&o,
		    &(struct target_change){ .action = TARGET_RUN,
			.kind = STR("more"),
			.name =
			    arena_printf(a, "%zu more", p->n - CHANGES_MAX) });
	json_out_end_array(&o);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

struct str
deploy_drift(struct arena *a, struct str config, struct str commit,
    const struct target_plan *p)
{
	char at[TIME_TEXT_LEN + 1];
	struct buf b = { 0 };
	struct json_out o;
	struct str ret;

	time_format(clock_now(), at);
	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "at");
	json_out_str(&o, str_of(at));
	json_out_key(&o, "changed");
	json_out_bool(&o, p->n > 0);
	json_out_key(&o, "config");
	json_out_str(&o, config);
	json_out_key(&o, "commit");
	json_out_str(&o, commit);
	json_out_key(&o, "changes");
	json_out_raw(&o, deploy_changes(a, p));
	json_out_end_object(&o);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

/* --- asking --------------------------------------------------------------- */

static bool
is_worked_on(struct fleet_deploys *dep, struct str device_id)
{
	bool is = false;

	pthread_mutex_lock(&dep->lock);
	LIST_EACH (o, &dep->active, struct deployment, link)
		for (size_t i = 0; i < o->n; i++)
			is = is ||
			    (o->devices[i]->working &&
				str_eq(
				    o->devices[i]->row.device_id, device_id));
	pthread_mutex_unlock(&dep->lock);
	return is;
}

static int
find_target(struct fleet *f, const struct fleet_device *d,
    const struct target **ret, struct err *err)
{
	const struct fleet_config *c;
	struct fleet_snapshot s = { 0 };
	int rc = fleet_snapshot(f, d->unit_id, d->deployed_commit, &s, err);

	if (rc != 0)
		return err_wrap(err, "the state");
	c = fleet_config_find(&s.state, d->deployed_config);
	*ret = c != NULL ? target_of(c) : NULL;
	arena_fini(&s.arena);
	return *ret != NULL
	    ? 0
	    : err_set(err, ERR_NOT_FOUND,
		  "there is no configuration " STR_FMT " in the commit that "
		  "was deployed",
		  STR_ARG(d->deployed_config));
}

/* A deployment that was faster has the last word. */
static int
keep(struct fleet *f, const struct fleet_device *d, struct err *err)
{
	const struct change c[] = { { "drift", value_json(d->drift) } };
	struct filter by = { 0 };

	filter_text(&by, "id", d->id);
	filter_text(&by, "deployedBuilt", d->deployed_built);
	filter_text(&by, "deployedCommit", d->deployed_commit);
	return store_update(
	    f->store, &fleet_device_entity, &by, c, 1, NULL, err);
}

/* `d->drift` becomes what is found, in `a`. ERR_AGAIN: not now. */
static int
ask(struct fleet *f, struct fleet_device *d, struct arena *a, struct err *err)
{
	struct deployment of = { .row.commit = d->deployed_commit };
	struct target_device device = { .row = { .device_id = d->id,
					    .unit_id = d->unit_id,
					    .config = d->deployed_config,
					    .run = STR("") },
		.of = &of };
	const struct target *target;
	struct target_plan plan = { 0 };
	struct job j;
	int rc;

	if (d->deployed_built.len == 0)
		return err_set(
		    err, ERR_AGAIN, "nothing was deployed to the device yet");
	if (is_worked_on(f->deploys, d->id))
		return err_set(
		    err, ERR_AGAIN, "a deployment is working on the device");
	rc = find_target(f, d, &target, err);
	if (rc == 0)
		rc = job_open(&j, f, &device, NULL, err);
	if (rc != 0)
		return rc;
	j.timeout_ms = ASK_MS;
	rc = job_reach(&j, err);
	if (rc == 0)
		rc = target->plan(&j.target, d->deployed_built, &plan, err);
	if (rc == 0)
		d->drift = deploy_drift(
		    a, d->deployed_config, d->deployed_commit, &plan);
	job_close(&j);
	return rc == 0 ? keep(f, d, err) : rc;
}

/* --- over HTTP ------------------------------------------------------------ */

struct drift_told {
	int64_t at;
	bool changed;
	struct str config, commit;
	struct str changes; /* JSON */
};
#define D struct drift_told
static const struct field told_fields[] = {
	F_TIME(D, at, "at", .flags = FIELD_NULL,
	    .help = "When it was found; null: the device was not asked since "
		    "it is here."),
	F_BOOL(D, changed, "changed", .help = "It is not as it was deployed."),
	F_TEXT(D, config, "config", .help = "What it was compared with."),
	F_TEXT(D, commit, "commit", .help = "The commit of that."),
	F_JSON(D, changes, "changes", .def = "[]",
	    .help = "What a deployment of that would change: action, kind, "
		    "name, and from, to and diff where there is something to "
		    "say."),
	{ 0 },
};
#undef D
static const struct record told_record = { "fleetDrift",
	sizeof(struct drift_told), told_fields };

static void
answer(struct http_call *c, const struct fleet_device *d)
{
	struct arena *a = &c->arena;
	struct drift_told t = { .at = TIME_NULL,
		.config = d->deployed_config,
		.commit = d->deployed_commit,
		.changes = STR("[]") };
	struct str at, key, value;
	struct json j;

	json_open(&j, d->drift, 0, a);
	if (d->drift.len > 0 && json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "changed") &&
			    json_peek(&j) == JSON_BOOL) {
				json_bool(&j, &t.changed);
			} else if (str_eqz(key, "at") && json_str(&j, &at)) {
				(void)time_parse(at, &t.at);
			} else if (str_eqz(key, "config")) {
				json_str(&j, &t.config);
			} else if (str_eqz(key, "commit")) {
				json_str(&j, &t.commit);
			} else if (json_raw(&j, &value) &&
			    str_eqz(key, "changes")) {
				t.changes = value;
			}
		}
	rest_answer(c, &told_record, &t);
}

static bool
call_device(struct http_call *c, enum rest_verb verb, struct fleet_device *d)
{
	struct fleet *f = (struct fleet *)c->route->ctx;

	return fleet_call_row(c, f, &fleet_device_entity, verb, d);
}

static void
handle_get(struct http_call *c)
{
	struct fleet_device d;

	if (call_device(c, REST_GET, &d))
		answer(c, &d);
}

static void
handle_ask(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_device d;
	struct err err;
	int rc;

	/* it reaches into the device, as a plan does */
	if (!call_device(c, REST_PATCH, &d))
		return;
	rc = ask(f, &d, &c->arena, &err);
	if (rc == 0)
		answer(c, &d);
	else if (rc == ERR_AGAIN)
		http_error(c, 409, "err_fleet_state", "%s", err.text);
	else
		http_error(c, 502, "err_device", "%s", err.text);
}

static const struct http_route rows[] = {
	{ "GET", "/device/{id}/drift", HTTP_TOKEN,
	    .scope = "fleet.device.get.drift",
	    .reply = { .record = &told_record }, .handle = handle_get,
	    .help = "In what the device is not as it was deployed, as it was "
		    "found last." },
	{ "POST", "/device/{id}/drift", HTTP_TOKEN,
	    .scope = "fleet.device.post.drift",
	    .reply = { .record = &told_record }, .flags = HTTP_SLOW,
	    .handle = handle_ask,
	    .help = "Asks the device now, and changes nothing. 409: it can "
		    "not be reached, is being worked on, or has nothing yet." },
	{ 0 },
};

void
deploy_drift_routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	rest_mount_rows(
	    f != NULL ? &f->mounts : NULL, rows, FLEET_API, f, add, ctx);
}

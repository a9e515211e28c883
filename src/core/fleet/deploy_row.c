/*
 * core/fleet/deploy_row.c - deployments and their devices as rows, and how far
 * they are: in the store first, then in memory.
 */
#include "core/fleet/deploy.h"

#include "base/clock.h"

#include <stdlib.h>

static const char *const deployment_states[] = { "planning", "planned",
	"running", "done", "failed", "rolledBack", "cancelled", NULL };
static const char *const device_states[] = { "queued", "waiting", "build",
	"plan", "planned", "copy", "apply", "checks", "confirm", "rollback",
	"done", "failed", "rolledBack", "cancelled", "superseded", "missed",
	NULL };
static const char *const rollbacks[] = { "all", "device", NULL };

#define D struct fleet_deployment
static const struct field deployment_fields[] = {
	F_TEXT(D, id, "id", .max = 64, .help = "Identifies the deployment."),
	F_TEXT(D, unit_id, "unitId", .help = "The unit it belongs to."),
	F_TEXT(D, commit, "commit", .def = "\"\"", .max = 64,
	    .help = "What is deployed. Left out: the newest, if nothing is "
		    "changed since."),
	F_TEXT(D, message, "message", .def = "\"\"", .max = 1024,
	    .help = "What people note of it."),
	F_TEXTS(D, configs, "configs", .max = 63,
	    .help = "To the devices that are to have these configurations. "
		    "None of configs, tags and devices: to all."),
	F_TEXTS(D, tags, "tags", .max = 63,
	    .help = "And to those whose configuration has one of these tags."),
	F_TEXTS(
	    D, devices, "devices", .max = 64, .help = "And to these devices."),
	F_INT(D, canary, "canary", .def = "1", .min = 0, .max = 1000000,
	    .help = "So many devices go first; when one of them fails, no "
		    "other is touched. 0: none."),
	F_INT(D, at_once, "atOnce", .def = "0", .min = 0, .max = 1000000,
	    .help = "Devices at a time; 0: as many as fleet.deploy.atOnce "
		    "says, which is the most."),
	F_INT(D, max_failures, "maxFailures", .def = "0", .min = 0,
	    .max = 1000000,
	    .help = "Of the devices behind the first ones so many may fail; "
		    "with one more it stops."),
	F_JSON(D, checks, "checks", .def = "[]", .check = deploy_checks_valid,
	    .help = "What must be well on each device before it is "
		    "confirmed: [{\"service\":\"nginx.service\"}, {\"argv\":"
		    "[\"/bin/test\",\"-e\",\"/srv/x\"],\"timeout\":30}]."),
	F_TEXT(D, rollback, "rollback", .def = "\"all\"", .one_of = rollbacks,
	    .help = "What is taken back when it stops: `all` devices that "
		    "have it, or only the `device` that has failed."),
	F_TEXT(D, state, "state", .def = "\"running\"",
	    .one_of = deployment_states, .help = "How far it is."),
	F_TEXT(D, reason, "reason", .def = "\"\"",
	    .help = "Why it did not go well."),
	F_TEXT(D, outcome, "outcome", .def = "\"\"",
	    .help = "What it is going to be when all devices have ended; "
		    "empty: that depends on them."),
	F_TEXT(D, user_id, "userId", .def = "\"\"", .help = "Who ordered it."),
	F_TEXT(D, account, "account", .def = "\"\"",
	    .help = "That user's account, as it was."),
	F_INT(D, n_devices, "deviceCount", .def = "0",
	    .help = "How many devices it is for."),
	F_TIME(D, created_at, "createdAt"),
	F_TIME(D, started_at, "startedAt", .flags = FIELD_NULL),
	F_TIME(D, ended_at, "endedAt", .flags = FIELD_NULL),
	{ 0 },
};
const struct entity fleet_deployment_entity = {
	.record = { "fleetDeployment", sizeof(D), deployment_fields },
	.table = "deployment",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.indexes = (const struct entity_key[]){ { "unitId", { "unitId" } },
	    { "state", { "state" } }, { 0 } },
	.help = "A commit that is carried to devices.",
};

#undef D
#define D struct fleet_deployment_device
static const struct field device_fields[] = {
	F_TEXT(D, id, "id", .max = 64, .help = "Identifies the row."),
	F_TEXT(D, unit_id, "unitId", .help = "The unit it belongs to."),
	F_TEXT(D, deployment_id, "deploymentId", .help = "The deployment."),
	F_TEXT(D, device_id, "deviceId", .help = "The device."),
	F_TEXT(D, device_name, "deviceName", .def = "\"\"",
	    .help = "Its name, as it was."),
	F_TEXT(D, config, "config", .help = "The configuration it gets."),
	F_INT(D, position, "position", .def = "0",
	    .help = "Its place in the order."),
	F_BOOL(D, canary, "canary", .def = "false",
	    .help = "It was among those that went first."),
	F_TEXT(D, state, "state", .one_of = device_states,
	    .help = "How far it is; `waiting`: it is offline, `missed`: it "
		    "was so for too long."),
	F_TEXT(D, reason, "reason", .def = "\"\"",
	    .help = "Why it waits, or did not go well."),
	F_TEXT(D, built, "built", .def = "\"\"",
	    .help = "What was made of the configuration."),
	F_TEXT(D, run, "run", .def = "\"\"",
	    .help = "Names the attempt; empty: nothing was applied."),
	F_INT(D, attempts, "attempts", .def = "0",
	    .help = "How often it was applied."),
	F_TEXT(D, before_built, "beforeBuilt", .def = "\"\"",
	    .help = "What the device had before."),
	F_TEXT(D, before_config, "beforeConfig", .def = "\"\"",
	    .help = "Its configuration before."),
	F_TEXT(D, before_commit, "beforeCommit", .def = "\"\"",
	    .help = "The commit of that."),
	F_JSON(D, changes, "changes", .def = "[]",
	    .help = "What is changed: a list of {action, kind, name, from, "
		    "to, diff}."),
	F_TIME(D, created_at, "createdAt"),
	F_TIME(D, started_at, "startedAt", .flags = FIELD_NULL),
	F_TIME(D, ended_at, "endedAt", .flags = FIELD_NULL),
	{ 0 },
};
const struct entity fleet_deployment_device_entity = {
	.record = { "fleetDeploymentDevice", sizeof(D), device_fields },
	.table = "deployment_device",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.indexes = (const struct entity_key[]){ { "unitId", { "unitId" } },
	    { "deployment", { "deploymentId" } }, { "device", { "deviceId" } },
	    { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "deploymentId", "fleetDeployment", "id", ENTITY_CASCADE },
		{ 0 } },
	.help = "A device that a deployment is for.",
};

/* The word of the list itself, which lives for ever. */
static struct str
word_of(const char *const *list, struct str s)
{
	for (; *list != NULL; list++)
		if (str_eqz(s, *list))
			return str_of(*list);
	return STR("failed");
}

static bool
is_one_of(struct str s, const char *const *list)
{
	for (; *list != NULL; list++)
		if (str_eqz(s, *list))
			return true;
	return false;
}

bool
device_has_ended(struct str state)
{
	static const char *const ended[] = { "done", "failed", "rolledBack",
		"cancelled", "superseded", "missed", NULL };

	return is_one_of(state, ended);
}

bool
deployment_has_ended(struct str state)
{
	static const char *const ended[] = { "done", "failed", "rolledBack",
		"cancelled", NULL };

	return is_one_of(state, ended);
}

bool
device_is_new(struct str state)
{
	return str_eqz(state, "queued") || str_eqz(state, "waiting");
}

bool
device_is_open(struct str state)
{
	return str_eqz(state, "apply") || str_eqz(state, "checks") ||
	    str_eqz(state, "confirm");
}

bool
device_has_failed(struct str state)
{
	return str_eqz(state, "failed") || str_eqz(state, "rolledBack");
}

void
device_keep(struct target_device *d, const struct fleet_deployment_device *from)
{
	struct fleet_deployment_device row = *from;

	row.changes = STR("[]");
	record_copy(
	    &fleet_deployment_device_entity.record, &d->arena, &row, &row);
	row.state = word_of(device_states, row.state);
	d->row = row;
}

void
deployment_keep(struct deployment *d, const struct fleet_deployment *row)
{
	record_copy(&fleet_deployment_entity.record, &d->arena, &d->row, row);
	d->row.state = word_of(deployment_states, d->row.state);
}

int
deploy_save(struct fleet *f, const struct entity *e, const void *row,
    const char *members, struct err *err)
{
	struct filter filter = { 0 };
	struct change changes[16];
	struct arena a = { 0 };
	size_t n;
	int rc;

	filter_text(&filter, "id", ((const struct fleet_any *)row)->id);
	n = rest_changes(&e->record, field_bits(&e->record, members, NULL), &a,
	    row, changes);
	rc = store_update(f->store, e, &filter, changes, n, NULL, err);
	arena_fini(&a);
	return rc;
}

int
device_state(struct fleet *f, struct target_device *d,
    const struct fleet_deployment_device *to, const char *state,
    const char *reason, const char *more, struct err *err)
{
	const struct entity *e = &fleet_deployment_device_entity;
	struct fleet_deployment_device row = to != NULL ? *to : d->row;
	struct arena a = { 0 };
	struct str members =
	    arena_printf(&a, "state reason canary startedAt endedAt %s",
		more != NULL ? more : "");
	int rc;

	row.state = word_of(device_states, str_of(state));
	row.reason = str_of(reason);
	row.canary = d->row.canary;
	if (row.started_at == TIME_NULL && !device_is_new(row.state))
		row.started_at = clock_now();
	row.ended_at = device_has_ended(row.state) ? clock_now() : TIME_NULL;
	rc = deploy_save(f, e, &row, arena_z(&a, str_trim(members)), err);
	if (rc == 0) {
		deploy_tell(f, "deployment_device", "updated", e, &row);
		pthread_mutex_lock(&f->deploys->lock);
		device_keep(d, &row);
		pthread_mutex_unlock(&f->deploys->lock);
	}
	arena_fini(&a);
	return rc;
}

int
deployment_state(struct fleet *f, struct deployment *d, const char *state,
    struct str reason, const char *outcome, struct err *err)
{
	const struct entity *e = &fleet_deployment_entity;
	struct fleet_deployment row = d->row;
	int rc;

	row.state = word_of(deployment_states, str_of(state));
	row.reason = reason;
	row.outcome = outcome[0] != '\0'
	    ? word_of(deployment_states, str_of(outcome))
	    : STR("");
	if (row.started_at == TIME_NULL && str_eqz(row.state, "running"))
		row.started_at = clock_now();
	row.ended_at =
	    deployment_has_ended(row.state) ? clock_now() : TIME_NULL;
	rc = deploy_save(
	    f, e, &row, "state reason outcome startedAt endedAt", err);
	if (rc != 0)
		return rc;
	deploy_tell(f, "deployment", "updated", e, &row);
	row.reason = arena_str(&d->arena, row.reason);
	pthread_mutex_lock(&f->deploys->lock);
	d->row = row;
	pthread_mutex_unlock(&f->deploys->lock);
	return 0;
}

bool
deployment_is(struct fleet *f, struct deployment *d, const char *state)
{
	bool is;

	pthread_mutex_lock(&f->deploys->lock);
	is = str_eqz(d->row.state, state);
	pthread_mutex_unlock(&f->deploys->lock);
	return is;
}

struct str
device_state_now(struct fleet *f, struct target_device *d)
{
	struct str state;

	pthread_mutex_lock(&f->deploys->lock);
	state = d->row.state;
	pthread_mutex_unlock(&f->deploys->lock);
	return state;
}

bool
device_is_in_hand(const struct target_device *d)
{
	return d->working ||
	    (!device_has_ended(d->row.state) && !device_is_new(d->row.state) &&
		!str_eqz(d->row.state, "planned"));
}

struct tally
deploy_count(const struct deployment *d)
{
	struct tally t = { 0 };

	for (size_t i = 0; i < d->n; i++) {
		struct str state = d->devices[i]->row.state;

		t.in_hand += device_is_in_hand(d->devices[i]);
		t.done += str_eqz(state, "done");
		t.failed +=
		    device_has_failed(state) || str_eqz(state, "rollback");
		t.rolled_back += str_eqz(state, "rolledBack");
		t.missed += str_eqz(state, "missed");
		t.open += !device_has_ended(state);
	}
	return t;
}

bool
deploy_is_first(const struct deployment *d, const struct tally *t)
{
	return str_eqz(d->row.state, "running") &&
	    t->done < MIN_OF(d->row.canary, (int64_t)d->n);
}

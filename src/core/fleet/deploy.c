/*
 * core/fleet/deploy.c - deployments: a commit is carried to devices.
 *
 * Those under way are in memory as they are in the store; threads take the
 * devices whose turn it is. Who goes first, how many at a time, when it stops,
 * and what is taken back is decided here; see deploy.h for the picture.
 */
#include "core/fleet/deploy.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOG_MODULE "fleet"
#include "base/log.h"

#define IDLE_MS 60000 /* a thread looks again at least so often */

/* --- rows ----------------------------------------------------------------- */

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

/* Nothing was done at the device yet. */
static bool
has_not_begun(struct str state)
{
	return str_eqz(state, "queued") || str_eqz(state, "waiting");
}

/* It has, or may have, the new configuration, and nobody has said it stays. */
static bool
is_open(struct str state)
{
	return str_eqz(state, "apply") || str_eqz(state, "checks") ||
	    str_eqz(state, "confirm");
}

static bool
has_failed(struct str state)
{
	return str_eqz(state, "failed") || str_eqz(state, "rolledBack");
}

/* In memory. What the device has had there before stays until the deployment
 * has ended, since others may look at it; so what is long is left out. */
static void
keep_device(struct target_device *d, const struct fleet_deployment_device *from)
{
	struct fleet_deployment_device row = *from;

	row.changes = STR("[]");
	record_copy(
	    &fleet_deployment_device_entity.record, &d->arena, &row, &row);
	row.state = word_of(device_states, row.state);
	d->row = row;
}

/* Keeps members of a row. */
static int
save(struct fleet *f, const struct entity *e, const void *row,
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
	if (row.started_at == TIME_NULL && !has_not_begun(row.state))
		row.started_at = clock_now();
	row.ended_at = device_has_ended(row.state) ? clock_now() : TIME_NULL;
	rc = save(f, e, &row, arena_z(&a, str_trim(members)), err);
	if (rc == 0) {
		deploy_tell(f, "deployment_device", "updated", e, &row);
		pthread_mutex_lock(&f->deploys->lock);
		keep_device(d, &row);
		pthread_mutex_unlock(&f->deploys->lock);
	}
	arena_fini(&a);
	return rc;
}

static int
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
	rc = save(f, e, &row, "state reason outcome startedAt endedAt", err);
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

/* What the device is at now; a word that lives for ever. */
static struct str
state_of(struct fleet *f, struct target_device *d)
{
	struct str state;

	pthread_mutex_lock(&f->deploys->lock);
	state = d->row.state;
	pthread_mutex_unlock(&f->deploys->lock);
	return state;
}

/* --- those under way ------------------------------------------------------ */

#define EACH_DEPLOYMENT(d, dep)                                                \
	LIST_EACH (d, &(dep)->active, struct deployment, link)

static struct deployment *
find(struct fleet_deploys *dep, struct str id)
{
	EACH_DEPLOYMENT(d, dep)
	if (str_eq(d->row.id, id))
		return d;
	return NULL;
}

static void
forget(struct deployment *d)
{
	for (size_t i = 0; i < d->n; i++) {
		arena_fini(&d->devices[i]->arena);
		free(d->devices[i]);
	}
	free(d->devices);
	arena_fini(&d->arena);
	free(d);
}

struct loading {
	struct deployment *d;
	bool resumed;
};

static int
load_device(void *ctx, const void *row, struct err *err)
{
	struct loading *l = ctx;
	struct deployment *d = l->d;
	struct target_device *t = mem_new(struct target_device);

	(void)err;
	keep_device(t, row);
	t->of = d;
	t->resumed = l->resumed;
	d->devices = mem_resize(d->devices, d->n + 1, sizeof(*d->devices));
	d->devices[d->n++] = t;
	return 0;
}

int
deploy_load(struct fleet *f, const struct fleet_deployment *row, bool resumed,
    struct err *err)
{
	struct fleet_deploys *dep = f->deploys;
	struct deployment *d = mem_new(struct deployment);
	struct loading l = { d, resumed };
	struct filter filter = { 0 };
	struct store_query q = { .filter = &filter,
		.sort = { { "position", false } },
		.n_sort = 1 };
	int rc;

	record_copy(&fleet_deployment_entity.record, &d->arena, &d->row, row);
	d->row.state = word_of(deployment_states, d->row.state);
	d->offline_until = row->created_at + f->conf.offline_ms;
	filter_text(&filter, "deploymentId", row->id);
	rc = store_list(f->store, &fleet_deployment_device_entity, &q,
	    load_device, &l, err);
	if (rc != 0) {
		forget(d);
		return rc;
	}
	pthread_mutex_lock(&dep->lock);
	list_add(&dep->active, &d->link);
	pthread_mutex_unlock(&dep->lock);
	return 0;
}

/* --- whose turn it is ----------------------------------------------------- */

/* It was begun and has not ended. */
static bool
is_in_hand(const struct target_device *d)
{
	return d->working ||
	    (!device_has_ended(d->row.state) && !has_not_begun(d->row.state) &&
		!str_eqz(d->row.state, "planned"));
}

/* (2) Somebody else is at this device. */
static bool
is_taken(struct fleet_deploys *dep, const struct target_device *d)
{
	bool plans = str_eqz(d->of->row.state, "planning");

	EACH_DEPLOYMENT(o, dep)
	for (size_t i = 0; i < o->n; i++) {
		const struct target_device *x = o->devices[i];

		if (x != d && str_eq(x->row.device_id, d->row.device_id) &&
		    (plans || str_eqz(o->row.state, "planning")
			    ? x->working
			    : is_in_hand(x)))
			return true;
	}
	return false;
}

static bool
is_being_built(struct fleet_deploys *dep, const struct target_device *d)
{
	LIST_EACH (b, &dep->builds, struct building, link)
		if (str_eq(b->unit_id, d->row.unit_id) &&
		    str_eq(b->commit, d->of->row.commit) &&
		    str_eq(b->config, d->row.config))
			return true;
	return false;
}

struct tally {
	int64_t in_hand, done, failed, missed, rolled_back, open, canaries;
};

static struct tally
count(const struct deployment *d)
{
	struct tally t = { 0 };

	for (size_t i = 0; i < d->n; i++) {
		struct str state = d->devices[i]->row.state;

		t.in_hand += is_in_hand(d->devices[i]);
		t.done += str_eqz(state, "done");
		t.failed += has_failed(state) || str_eqz(state, "rollback");
		t.rolled_back += str_eqz(state, "rolledBack");
		t.missed += str_eqz(state, "missed");
		t.open += !device_has_ended(state);
	}
	return t;
}

/* Have those that go first not all gone well yet? */
static bool
is_first(const struct deployment *d, const struct tally *t)
{
	return str_eqz(d->row.state, "running") &&
	    t->done < MIN_OF(d->row.canary, (int64_t)d->n);
}

/* Whose turn it is; `*wait_ms` is lowered to when it may be somebody's. */
static struct target_device *
pick(struct fleet_deploys *dep, int64_t *wait_ms)
{
	int64_t now = clock_mono();

	EACH_DEPLOYMENT(o, dep)
	{
		struct tally t = count(o);
		bool first = is_first(o, &t);
		int64_t limit = o->row.at_once > 0 ? o->row.at_once : INT64_MAX;

		if (str_eqz(o->row.state, "planned"))
			continue;
		if (first)
			limit = MIN_OF(limit,
			    MIN_OF(o->row.canary, (int64_t)o->n) - t.done);
		for (size_t i = 0; i < o->n; i++) {
			struct target_device *d = o->devices[i];

			if (d->working || device_has_ended(d->row.state) ||
			    str_eqz(d->row.state, "planned"))
				continue;
			if (!is_in_hand(d) && t.in_hand >= limit)
				continue;
			if (d->try_at > now) {
				*wait_ms = MIN_OF(*wait_ms, d->try_at - now);
				continue;
			}
			if (str_eqz(d->row.state, "build") &&
			    is_being_built(dep, d))
				continue;
			if (is_taken(dep, d))
				continue;
			d->row.canary = d->row.canary || first;
			return d;
		}
	}
	return NULL;
}

static void *
thread_main(void *arg)
{
	struct fleet *f = arg;
	struct fleet_deploys *dep = f->deploys;
	struct target_device *d;

	pthread_mutex_lock(&dep->lock);
	while (!atomic_load(&dep->stopping)) {
		int64_t wait_ms = IDLE_MS;
		struct timespec until;

		d = pick(dep, &wait_ms);
		if (d == NULL) {
			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_sec += wait_ms / 1000;
			until.tv_nsec += wait_ms % 1000 * 1000000;
			if (until.tv_nsec >= 1000000000) {
				until.tv_sec++;
				until.tv_nsec -= 1000000000;
			}
			pthread_cond_timedwait(&dep->cond, &dep->lock, &until);
			continue;
		}
		d->working = true;
		pthread_mutex_unlock(&dep->lock);
		deploy_work(f, d);
		pthread_mutex_lock(&dep->lock);
		d->working = false;
		pthread_mutex_unlock(&dep->lock);
		deploy_settle(f);
		pthread_mutex_lock(&dep->lock);
		pthread_cond_broadcast(&dep->cond);
	}
	pthread_mutex_unlock(&dep->lock);
	return NULL;
}

void
deploy_kick(struct fleet *f)
{
	struct fleet_deploys *dep = f->deploys;

	pthread_mutex_lock(&dep->lock);
	while (!list_empty(&dep->active) && !atomic_load(&dep->stopping) &&
	    dep->n_threads < (size_t)f->conf.jobs) {
		if (pthread_create(&dep->threads[dep->n_threads], NULL,
			thread_main, f) != 0) {
			if (dep->n_threads == 0)
				log_error("no thread for deployments could be "
					  "started");
			break;
		}
		dep->n_threads++;
	}
	pthread_cond_broadcast(&dep->cond);
	pthread_mutex_unlock(&dep->lock);
}

void
fleet_deploy_back(struct fleet *f, struct str device_id)
{
	struct fleet_deploys *dep = f->deploys;

	if (dep == NULL)
		return;
	pthread_mutex_lock(&dep->lock);
	EACH_DEPLOYMENT(o, dep)
	for (size_t i = 0; i < o->n; i++)
		if (str_eq(o->devices[i]->row.device_id, device_id))
			o->devices[i]->try_at = 0;
	pthread_cond_broadcast(&dep->cond);
	pthread_mutex_unlock(&dep->lock);
}

/* --- what follows --------------------------------------------------------- */

/* Takes a device that nobody works on, so that nobody begins. */
static bool
claim(struct fleet_deploys *dep, struct target_device *d)
{
	bool got;

	pthread_mutex_lock(&dep->lock);
	got = !d->working && !device_has_ended(d->row.state);
	if (got)
		d->working = true;
	pthread_mutex_unlock(&dep->lock);
	return got;
}

static void
unclaim(struct fleet_deploys *dep, struct target_device *d)
{
	pthread_mutex_lock(&dep->lock);
	d->working = false;
	pthread_mutex_unlock(&dep->lock);
}

/* Ends a device: at once if nobody works on it, else soon. What has been
 * applied and not confirmed is taken back. */
static void
end_device(struct fleet *f, struct target_device *d, const char *state,
    const char *reason)
{
	struct err err;
	int rc;

	if (!claim(f->deploys, d)) {
		atomic_store(&d->cancel, true);
		return;
	}
	if (str_eqz(state_of(f, d), "rollback"))
		rc = 0; /* it ends like that */
	else if (is_open(state_of(f, d)))
		rc = device_state(f, d, NULL, "rollback", reason, NULL, &err);
	else
		rc = device_state(f, d, NULL, state, reason, NULL, &err);
	if (rc != 0)
		log_warn("device " STR_FMT " of a deployment: %s",
		    STR_ARG(d->row.device_id), err.text);
	unclaim(f->deploys, d);
}

/* A device that has what is not to stay. */
static void
take_back(struct fleet *f, struct target_device *d, const char *reason)
{
	struct err err;

	if (!str_eqz(state_of(f, d), "done") || d->row.run.len == 0)
		return;
	d->try_at = 0;
	d->tries = 0;
	atomic_store(&d->cancel, false);
	if (device_state(f, d, NULL, "rollback", reason, NULL, &err) != 0)
		log_warn("device " STR_FMT " is not rolled back: %s",
		    STR_ARG(d->row.device_id), err.text);
}

static const struct target_device *
first_failed(const struct deployment *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (has_failed(d->devices[i]->row.state) ||
		    str_eqz(d->devices[i]->row.state, "rollback"))
			return d->devices[i];
	return NULL;
}

/* "pi-3: it took itself back". */
static struct str
say_failed(struct arena *a, const struct deployment *d)
{
	const struct target_device *x = first_failed(d);

	if (x == NULL)
		return STR("");
	return arena_printf(a, STR_FMT ": " STR_FMT,
	    STR_ARG(x->row.device_name.len > 0 ? x->row.device_name
					       : x->row.device_id),
	    STR_ARG(x->row.reason));
}

/* Nothing more is begun, and with `back` what was done is undone. */
static void
stop(struct fleet *f, struct deployment *d, const char *outcome,
    struct str reason, bool back)
{
	struct err err;

	if (deployment_state(f, d, "running", reason, outcome, &err) != 0) {
		log_warn(
		    "deployment " STR_FMT ": %s", STR_ARG(d->row.id), err.text);
		return;
	}
	for (size_t i = 0; i < d->n; i++) {
		struct target_device *x = d->devices[i];

		if (!device_has_ended(state_of(f, x)) &&
		    !str_eqz(state_of(f, x), "rollback"))
			end_device(
			    f, x, "cancelled", "the deployment was stopped");
		else if (back)
			take_back(f, x, "the deployment was rolled back");
	}
}

/* One deployment. True: it has ended, and nobody is at it. */
static bool
settle(struct fleet *f, struct deployment *d)
{
	struct fleet_deploys *dep = f->deploys;
	bool plans = str_eqz(d->row.state, "planning");
	struct arena a = { 0 };
	struct str reason;
	const char *state;
	struct tally t;
	struct err err;
	bool planned = true;
	int rc = 0;

	pthread_mutex_lock(&dep->lock);
	t = count(d);
	reason = say_failed(&a, d);
	for (size_t i = 0; i < d->n; i++)
		planned = planned &&
		    (device_has_ended(d->devices[i]->row.state) ||
			(str_eqz(d->devices[i]->row.state, "planned") &&
			    !d->devices[i]->working));
	pthread_mutex_unlock(&dep->lock);

	if (d->row.outcome.len > 0) { /* whoever came by meanwhile */
		for (size_t i = 0; i < d->n; i++)
			if (!device_has_ended(state_of(f, d->devices[i])) &&
			    !str_eqz(state_of(f, d->devices[i]), "rollback"))
				end_device(f, d->devices[i], "cancelled",
				    "the deployment was stopped");
		pthread_mutex_lock(&dep->lock);
		t = count(d);
		pthread_mutex_unlock(&dep->lock);
	} else if (plans && planned && t.open > 0)
		rc = deployment_state(f, d, "planned", reason, "", &err);
	else if (str_eqz(d->row.state, "running") &&
	    t.failed > (is_first(d, &t) ? 0 : d->row.max_failures)) {
		stop(f, d, "failed", reason, str_eqz(d->row.rollback, "all"));
		pthread_mutex_lock(&dep->lock);
		t = count(d);
		pthread_mutex_unlock(&dep->lock);
	}
	if (t.open > 0 || t.in_hand > 0 || rc != 0) {
		if (rc != 0)
			log_warn("deployment " STR_FMT ": %s",
			    STR_ARG(d->row.id), err.text);
		arena_fini(&a);
		return false;
	}
	if (str_eqz(d->row.outcome, "cancelled"))
		state = "cancelled";
	else if (str_eqz(d->row.outcome, "failed"))
		state =
		    str_eqz(d->row.rollback, "all") && t.rolled_back == t.failed
		    ? "rolledBack"
		    : "failed";
	else
		state = t.failed + t.missed > 0 ? "failed" : "done";
	if (reason.len == 0 || d->row.outcome.len > 0)
		reason = d->row.reason; /* why it was stopped */
	if (reason.len == 0 && t.missed > 0)
		reason = arena_printf(&a,
		    "%" PRId64 " of %zu devices were offline for too long",
		    t.missed, d->n);
	rc = deployment_state(
	    f, d, state, reason, arena_z(&a, d->row.outcome), &err);
	if (rc != 0)
		log_warn(
		    "deployment " STR_FMT ": %s", STR_ARG(d->row.id), err.text);
	arena_fini(&a);
	return rc == 0;
}

void
deploy_settle(struct fleet *f)
{
	struct fleet_deploys *dep = f->deploys;

	if (atomic_load(&dep->stopping))
		return;
	pthread_mutex_lock(&dep->settle);
	/* only who holds `settle` takes from the list */
	EACH_DEPLOYMENT(d, dep)
	{
		if (!settle(f, d))
			continue;
		pthread_mutex_lock(&dep->lock);
		list_del(&d->link);
		pthread_mutex_unlock(&dep->lock);
		forget(d);
	}
	pthread_mutex_unlock(&dep->settle);
}

void
deploy_supersede(struct fleet *f, struct str deployment_id)
{
	struct fleet_deploys *dep = f->deploys;
	const struct deployment *by;

	pthread_mutex_lock(&dep->settle);
	by = find(dep, deployment_id);
	EACH_DEPLOYMENT(o, dep)
	for (size_t i = 0; by != NULL && o != by && i < o->n; i++) {
		struct target_device *d = o->devices[i];
		bool same = false;

		for (size_t k = 0; k < by->n && !same; k++)
			same = str_eq(
			    d->row.device_id, by->devices[k]->row.device_id);
		if (same && has_not_begun(state_of(f, d)) &&
		    str_eqz(o->row.state, "running"))
			end_device(f, d, "superseded",
			    "a newer deployment is for this device");
	}
	pthread_mutex_unlock(&dep->settle);
	deploy_settle(f);
}

int
deploy_cancel(struct fleet *f, struct str deployment_id,
    struct str device_row_id, struct err *err)
{
	struct fleet_deploys *dep = f->deploys;
	struct deployment *d;
	int rc = 0;

	pthread_mutex_lock(&dep->settle);
	d = find(dep, deployment_id);
	if (d != NULL && device_row_id.len == 0) {
		rc = deployment_state(f, d, arena_z(&d->arena, d->row.state),
		    STR("cancelled"), "cancelled", err);
		rc = rc == 0 ? 1 : rc;
	}
	for (size_t i = 0; d != NULL && rc >= 0 && i < d->n; i++) {
		struct target_device *x = d->devices[i];

		if (device_has_ended(state_of(f, x)) ||
		    (device_row_id.len > 0 &&
			!str_eq(x->row.id, device_row_id)))
			continue;
		end_device(f, x, "cancelled", "cancelled");
		rc = 1;
	}
	pthread_mutex_unlock(&dep->settle);
	deploy_settle(f);
	deploy_kick(f);
	return rc;
}

int
deploy_begin(struct fleet *f, struct str deployment_id, struct err *err)
{
	struct fleet_deploys *dep = f->deploys;
	struct deployment *d;
	int rc;

	pthread_mutex_lock(&dep->settle);
	d = find(dep, deployment_id);
	if (d == NULL || !str_eqz(d->row.state, "planned"))
		rc = err_set(err, ERR_AGAIN,
		    d == NULL ? "it has ended, or was not planned"
			: str_eqz(d->row.state, "planning")
			? "it is still being planned"
			: "it is under way already");
	else
		rc = deployment_state(f, d, "running", STR(""), "", err);
	for (size_t i = 0; rc == 0 && i < d->n; i++)
		if (str_eqz(state_of(f, d->devices[i]), "planned"))
			rc = device_state(
			    f, d->devices[i], NULL, "queued", "", NULL, err);
	if (rc == 0)
		d->offline_until = clock_now() + f->conf.offline_ms;
	pthread_mutex_unlock(&dep->settle);
	if (rc == 0) {
		deploy_supersede(f, deployment_id);
		deploy_kick(f);
	}
	return rc;
}

/* --- the part ------------------------------------------------------------- */

static int
part_open(struct fleet *f, struct err *err)
{
	struct fleet_deploys *dep = f->deploys = mem_new(struct fleet_deploys);
	pthread_condattr_t attr;

	(void)err;
	dep->fleet = f;
	list_init(&dep->active);
	list_init(&dep->builds);
	dep->threads = mem_array((size_t)f->conf.jobs, sizeof(*dep->threads));
	pthread_mutex_init(&dep->settle, NULL);
	pthread_mutex_init(&dep->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&dep->cond, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

static int
part_start(struct fleet *f, struct err *err)
{
	const struct value open[] = { value_text(STR("planning")),
		value_text(STR("planned")), value_text(STR("running")) };
	struct filter filter = { 0 };
	struct store_query q = { .filter = &filter,
		.sort = { { "createdAt", false } },
		.n_sort = 1 };
	struct arena a = { 0 };
	struct rows rows;
	int rc;

	filter_in(&filter, "state", open, COUNT_OF(open));
	rc = fleet_tasks_load(f, err);
	if (rc == 0)
		rc = store_all(
		    f->store, &fleet_deployment_entity, &q, &a, &rows, err);
	for (size_t i = 0; rc == 0 && i < rows.n; i++)
		rc = deploy_load(f,
		    &((const struct fleet_deployment *)rows.at)[i], true, err);
	arena_fini(&a);
	if (rc != 0)
		return err_wrap(err, "deployments");
	deploy_settle(f);
	deploy_kick(f);
	return 0;
}

static void
part_stop(struct fleet *f)
{
	struct fleet_deploys *dep = f->deploys;

	if (dep == NULL)
		return;
	pthread_mutex_lock(&dep->lock);
	atomic_store(&dep->stopping, true);
	pthread_cond_broadcast(&dep->cond);
	pthread_mutex_unlock(&dep->lock);
	for (size_t i = 0; i < dep->n_threads; i++)
		pthread_join(dep->threads[i], NULL);
	dep->n_threads = 0;
}

static void
part_close(struct fleet *f)
{
	struct fleet_deploys *dep = f->deploys;

	if (dep == NULL)
		return;
	EACH_DEPLOYMENT(d, dep)
	{
		list_del(&d->link);
		forget(d);
	}
	pthread_cond_destroy(&dep->cond);
	pthread_mutex_destroy(&dep->lock);
	pthread_mutex_destroy(&dep->settle);
	free(dep->threads);
	free(dep);
	f->deploys = NULL;
}

static void
part_routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	deploy_routes(f, add, ctx);
	fleet_tasks_routes(f, add, ctx);
}

static int
part_clean(struct fleet *f, struct err *err)
{
	return deploy_clean(f, clock_now() - f->conf.tasks_kept_ms, err);
}

static const struct entity *const entities[] = { &fleet_deployment_entity,
	&fleet_deployment_device_entity, &fleet_task_entity, NULL };

const struct fleet_part fleet_part_deploy = {
	.name = "deploy",
	.entities = entities,
	.open = part_open,
	.start = part_start,
	.stop = part_stop,
	.close = part_close,
	.routes = part_routes,
	.clean = part_clean,
};

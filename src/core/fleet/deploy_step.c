/*
 * core/fleet/deploy_step.c - one device of a deployment, step by step.
 *
 * A table of steps, each of which does its work and then sets the next state.
 * What a step did can be done again: so when the program ends between two, or
 * in the middle of one, the same step is done after the next start. Where the
 * device may have changed meanwhile it is asked what it has.
 */
#include "core/fleet/deploy.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "fleet"
#include "base/log.h"

#define AGAIN_MIN_MS 5000   /* between tries to reach a device... */
#define AGAIN_MAX_MS 600000 /* ...twice as long each time, up to this */
#define TRIES_MIN 10        /* of one that was applied and is out of reach */
#define STORE_AGAIN_MS 10000
#define ATTEMPTS_MAX 3
#define RUN_LEN 16

enum next { MORE, LEAVE };

struct work {
	struct fleet *f;
	struct target_device *d;
	struct job job;
	struct task *task;
	const struct target *target;
	struct fleet_deployment_device row; /* as it is going to be */
	struct arena arena;                 /* of what is set there */
};

/* --- what every step needs ------------------------------------------------ */

/* Sets the state; when that can not be kept, the step is done again later. */
static enum next
become(struct work *w, const char *state, const char *reason, const char *more)
{
	struct err err;

	int rc = device_state(w->f, w->d, &w->row, state, reason, more, &err);

	w->row = w->d->row;
	if (rc == 0)
		return device_has_ended(w->row.state) ||
			str_eqz(w->row.state, "planned")
		    ? LEAVE
		    : MORE;
	log_error("a step of device " STR_FMT " could not be kept: %s",
	    STR_ARG(w->d->row.device_id), err.text);
	w->d->try_at = clock_mono() + STORE_AGAIN_MS;
	return LEAVE;
}

/* It can not be reached: it is tried again, or when it comes by itself. */
static enum next
try_later(struct work *w, const char *state, const char *reason)
{
	struct target_device *d = w->d;
	int64_t wait = AGAIN_MIN_MS << MIN_OF(d->tries, 7);
	bool waits = strcmp(state, "waiting") == 0;

	if (deployment_is(w->f, d->of, "planning"))
		return become(w, "planned", reason, NULL);
	if (clock_now() >= d->of->offline_until &&
	    (waits || d->tries >= TRIES_MIN))
		return become(w, waits ? "missed" : "failed", reason, NULL);
	d->tries++;
	pthread_mutex_lock(&w->f->deploys->lock);
	d->try_at = clock_mono() + MIN_OF(wait, AGAIN_MAX_MS);
	pthread_mutex_unlock(&w->f->deploys->lock);
	if (!str_eqz(d->row.state, state) || !str_eqz(d->row.reason, reason))
		(void)become(w, state, reason, NULL);
	/* it may have come while we gave up */
	if (fleet_agent_is(w->f, d->row.device_id)) {
		pthread_mutex_lock(&w->f->deploys->lock);
		d->try_at = MIN_OF(d->try_at, clock_mono() + 1000);
		pthread_mutex_unlock(&w->f->deploys->lock);
	}
	return LEAVE;
}

static int
begin(struct work *w, const char *kind, struct err *err)
{
	const struct fleet_conf *c = &w->f->conf;
	int rc;

	w->task = task_begin(w->f, w->d, w->d->of->row.commit, kind);
	rc = job_open(&w->job, w->f, w->d, w->task, err);
	if (rc != 0)
		return rc;
	w->job.timeout_ms = c->apply_ms;
	w->job.setting = "fleet.deploy.applyTime";
	if (strcmp(kind, "build") == 0) {
		w->job.timeout_ms = c->build_ms;
		w->job.setting = "fleet.deploy.buildTime";
	} else if (strcmp(kind, "copy") == 0) {
		w->job.timeout_ms = c->copy_ms;
		w->job.setting = "fleet.deploy.copyTime";
	}
	w->job.undoes = strcmp(kind, "rollback") == 0;
	return 0;
}

/* `err` loses what is secret in it: it becomes the reason of more than this. */
static void
end(struct work *w, int rc, struct err *err)
{
	if (rc != 0)
		task_redact(w->task, err);
	if (rc != 0 && rc != ERR_CANCELLED)
		task_line(w->task, str_of(err->text));
	job_close(&w->job);
	task_end(w->task,
	    rc == 0                   ? "done"
		: rc == ERR_CANCELLED ? "cancelled"
				      : "failed",
	    rc == 0 ? "" : err->text);
	w->task = NULL;
}

static bool
is_ending(const struct work *w)
{
	return atomic_load(&w->f->ending);
}

/* A step did not go well, before anything was applied. */
static enum next
not_begun(struct work *w, int rc, const struct err *err)
{
	if (is_ending(w))
		return LEAVE; /* as it stands, for the next start */
	if (rc == ERR_CANCELLED)
		return become(w, "cancelled", "cancelled", NULL);
	if (rc == ERR_AGAIN)
		return try_later(w, "waiting", err->text);
	return become(w, "failed", err->text, NULL);
}

/* The same when it may have the new configuration. */
static enum next
not_well(struct work *w, int rc, const struct err *err)
{
	if (is_ending(w))
		return LEAVE;
	return become(
	    w, "rollback", rc == ERR_CANCELLED ? "cancelled" : err->text, NULL);
}

static int
find_target(struct work *w, struct err *err)
{
	const struct fleet_deployment_device *row = &w->d->row;
	const struct fleet_config *c;
	struct fleet_snapshot s = { 0 };
	int rc;

	if (w->target != NULL)
		return 0;
	rc = fleet_snapshot(w->f, row->unit_id, w->d->of->row.commit, &s, err);
	if (rc != 0)
		return rc == ERR_AGAIN ? err_set(err, ERR_INTERNAL, "state")
				       : err_wrap(err, "the state");
	c = fleet_config_find(&s.state, row->config);
	w->target = c != NULL ? target_of(c) : NULL;
	rc = w->target != NULL ? 0
	    : c == NULL
	    ? err_set(err, ERR_NOT_FOUND,
		  "there is no configuration " STR_FMT " in this commit",
		  STR_ARG(row->config))
	    : err_set(err, ERR_PARAM,
		  "the configuration " STR_FMT
		  " does not say for what kind of device it is: choose one in "
		  "its module Device",
		  STR_ARG(row->config));
	arena_fini(&s.arena);
	return rc;
}

static void
told(struct work *w)
{
	w->d->tries = 0;
	w->d->resumed = w->d->lost = false;
}

/* --- the steps ------------------------------------------------------------ */

static enum next
step_reach(struct work *w)
{
	struct err err = { 0 };
	int rc = job_open(&w->job, w->f, w->d, NULL, &err);

	if (rc == 0) {
		rc = job_reach(&w->job, &err);
		job_close(&w->job);
	}
	if (rc != 0)
		task_redact(NULL, &err);
	if (rc != 0)
		return not_begun(w, rc, &err);
	told(w);
	return become(w, "build", "", NULL);
}

/* What another device of this commit and configuration has had built. */
static bool
built_before(struct work *w, struct str *built)
{
	struct fleet_deploys *dep = w->f->deploys;
	const struct target_device *d = w->d;

	pthread_mutex_lock(&dep->lock);
	LIST_EACH (o, &dep->active, struct deployment, link) {
		if (!str_eq(o->row.commit, d->of->row.commit) ||
		    !str_eq(o->row.unit_id, d->of->row.unit_id))
			continue;
		for (size_t i = 0; i < o->n && built->len == 0; i++)
			if (o->devices[i]->row.built.len > 0 &&
			    str_eq(o->devices[i]->row.config, d->row.config))
				*built = arena_str(
				    &w->arena, o->devices[i]->row.built);
	}
	pthread_mutex_unlock(&dep->lock);
	return built->len > 0;
}

/* False: another thread builds the same; our turn comes when it is done. */
static bool
may_build(struct work *w, struct building *b)
{
	struct fleet_deploys *dep = w->f->deploys;
	bool may = true;

	b->unit_id = arena_str(&w->arena, w->d->row.unit_id);
	b->commit = arena_str(&w->arena, w->d->of->row.commit);
	b->config = arena_str(&w->arena, w->d->row.config);
	pthread_mutex_lock(&dep->lock);
	LIST_EACH (x, &dep->builds, struct building, link)
		may = may &&
		    !(str_eq(x->unit_id, b->unit_id) &&
			str_eq(x->commit, b->commit) &&
			str_eq(x->config, b->config));
	if (may)
		list_add(&dep->builds, &b->link);
	pthread_mutex_unlock(&dep->lock);
	return may;
}

static enum next
step_build(struct work *w)
{
	struct fleet_deploys *dep = w->f->deploys;
	struct str built = STR_NULL;
	struct building b;
	struct err err = { 0 };
	enum next next;
	int rc;

	if (built_before(w, &built)) {
		w->row.built = built;
		return become(w, "plan", "", "built");
	}
	if (!may_build(w, &b))
		return LEAVE;
	rc = find_target(w, &err);
	if (rc == 0)
		rc = begin(w, "build", &err);
	if (rc == 0)
		rc = w->target->build(&w->job.target, &built, &err);
	built = arena_str(&w->arena, built);
	if (w->task != NULL)
		end(w, rc, &err);
	if (rc == 0)
		w->row.built = built;
	next =
	    rc == 0 ? become(w, "plan", "", "built") : not_begun(w, rc, &err);
	pthread_mutex_lock(&dep->lock);
	list_del(&b.link);
	pthread_cond_broadcast(&dep->cond);
	pthread_mutex_unlock(&dep->lock);
	return next;
}

static void
tell_changes(struct work *w, const struct target_plan *p)
{
	static const char *const marks[] = { "+", "~", "-", ">" };

	for (size_t i = 0; i < p->n; i++) {
		const struct target_change *c = &p->changes[i];

		w->job.host.tell(&w->job,
		    arena_printf(&w->job.arena,
			"%s " STR_FMT " " STR_FMT "%s" STR_FMT "%s" STR_FMT,
			marks[c->action], STR_ARG(c->kind), STR_ARG(c->name),
			c->from.len > 0 ? ": " : "", STR_ARG(c->from),
			c->to.len > 0 ? " -> " : "", STR_ARG(c->to)));
	}
	if (p->n == 0)
		w->job.host.tell(&w->job, STR("it is as declared"));
}

static bool
has_it(const struct target_plan *p, struct str built)
{
	return p->n == 0 || (p->current.len > 0 && str_eq(p->current, built));
}

/* The device has it, and it stays. */
static int
note_deployed(struct work *w, struct err *err)
{
	const struct fleet_device row = { .id = w->d->row.device_id,
		.unit_id = w->d->row.unit_id,
		.deployed_config = w->d->row.config,
		.deployed_commit = w->d->of->row.commit,
		.deployed_built = w->d->row.built,
		.pending_config = STR(""),
		.drift = deploy_drift(&w->arena, w->d->row.config,
		    w->d->of->row.commit, &(struct target_plan){ 0 }) };

	return fleet_device_set(w->f, &row,
	    "deployedConfig deployedCommit deployedBuilt pendingConfig drift",
	    err);
}

static enum next
step_plan(struct work *w)
{
	struct fleet_deployment_device *row = &w->row;
	struct target_plan p = { 0 };
	struct err err = { 0 };
	bool same;
	int rc = find_target(w, &err);

	if (rc == 0)
		rc = begin(w, "plan", &err);
	if (rc == 0)
		rc = w->target->plan(&w->job.target, row->built, &p, &err);
	if (rc == 0) {
		tell_changes(w, &p);
		row->changes = deploy_changes(&w->arena, &p);
		row->before_built = arena_str(
		    &w->arena, p.current.ptr != NULL ? p.current : STR(""));
		row->before_config =
		    arena_str(&w->arena, w->job.row.deployed_config);
		row->before_commit =
		    arena_str(&w->arena, w->job.row.deployed_commit);
	}
	same = rc == 0 && p.n == 0; /* the same, but not changed by hand */
	if (w->task != NULL)
		end(w, rc, &err);
	if (rc != 0)
		return not_begun(w, rc, &err);
	told(w);
	if (atomic_load(&w->d->cancel))
		return become(w, "cancelled", "cancelled", NULL);
#define PLANNED "changes beforeBuilt beforeConfig beforeCommit"
	if (deployment_is(w->f, w->d->of, "planning"))
		return become(w, "planned", "", PLANNED);
	if (same && note_deployed(w, &err) == 0)
		return become(w, "done", "it was as declared", PLANNED);
	return become(w, "copy", "", PLANNED);
}

static void
new_run(struct work *w)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char bytes[RUN_LEN / 2];
	char text[RUN_LEN + 1] = "";

	rand_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	w->row.run = arena_str(&w->arena, str_of(text));
	w->row.attempts++;
}

static enum next
step_copy(struct work *w)
{
	struct err err = { 0 };
	int rc = find_target(w, &err);

	if (rc == 0)
		rc = begin(w, "copy", &err);
	if (rc == 0)
		rc = w->target->copy(&w->job.target, w->d->row.built, &err);
	if (w->task != NULL)
		end(w, rc, &err);
	if (rc != 0)
		return not_begun(w, rc, &err);
	told(w);
	new_run(w);
	return become(w, "apply", "", "run attempts");
}

static enum next
step_apply(struct work *w)
{
	struct err err = { 0 };
	int rc = find_target(w, &err);

	if (rc == 0)
		rc = begin(w, "apply", &err);
	if (rc == 0)
		rc = w->target->apply(&w->job.target, w->d->row.built, &err);
	if (w->task != NULL)
		end(w, rc, &err);
	if (rc == ERR_AGAIN && !is_ending(w) &&
	    !atomic_load(&w->d->cancel)) /* nothing was done */
		return try_later(w, "apply", err.text);
	if (rc != 0)
		return not_well(w, rc, &err);
	told(w);
	return become(w, "checks", "", NULL);
}

/* The program ended when this device had applied it and was not confirmed, or
 * the device went away while that was done: does it still have it? MORE: yes.
 * Of one that went away it is not known how far it came, and what it boots:
 * it goes back to what it has. */
static enum next
ask_again(struct work *w)
{
	struct target_plan p = { 0 };
	struct err err = { 0 };
	bool has = false, lost = w->d->lost;
	int rc;

	if (!w->d->resumed && !lost)
		return MORE;
	rc = begin(w, "plan", &err);
	if (rc == 0)
		rc = w->target->plan(&w->job.target, w->d->row.built, &p, &err);
	if (rc == 0) {
		has = has_it(&p, w->d->row.built);
		task_line(w->task,
		    has ? STR("it still has the new configuration")
			: STR("it has taken itself back"));
	}
	end(w, rc, &err);
	if (is_ending(w))
		return LEAVE;
	if (rc == ERR_AGAIN)
		return try_later(
		    w, arena_z(&w->arena, w->d->row.state), err.text);
	if (rc != 0)
		return not_well(w, rc, &err);
	told(w);
	if (has)
		return MORE;
	if (lost) {
		(void)become(w, "rollback",
		    "the device went away while it was confirmed, and came "
		    "back with what it had before",
		    NULL);
		return LEAVE;
	}
	if (w->d->row.attempts >= ATTEMPTS_MAX) {
		(void)become(w, "rollback",
		    "it has taken itself back more than once", NULL);
		return LEAVE;
	}
	new_run(w);
	(void)become(w, "apply", "", "run attempts");
	return LEAVE; /* and taken up again at once */
}

static enum next
step_checks(struct work *w)
{
	struct fleet *f = w->f;
	int64_t wait_ms = MIN_OF(f->conf.check_ms, f->conf.confirm_ms * 3 / 4);
	struct err err = { 0 };
	int rc = find_target(w, &err);

	if (rc == 0 && ask_again(w) == LEAVE)
		return LEAVE;
	if (rc == 0)
		rc = begin(w, "checks", &err);
	if (rc == 0)
		rc = deploy_check(&w->job, w->d->of->row.checks,
		    w->job.row.address.len == 0, wait_ms, &err);
	if (w->task != NULL)
		end(w, rc, &err);
	if (rc != 0)
		return not_well(w, rc, &err);
	return become(w, "confirm", "", NULL);
}

static enum next
step_confirm(struct work *w)
{
	struct err err = { 0 };
	int rc = find_target(w, &err);

	if (rc == 0 && ask_again(w) == LEAVE)
		return LEAVE;
	if (rc == 0)
		rc = begin(w, "confirm", &err);
	if (rc == 0)
		rc = w->target->confirm(&w->job.target, w->d->row.built, &err);
	if (rc == 0)
		rc = note_deployed(w, &err);
	if (w->task != NULL)
		end(w, rc, &err);
	if (rc == ERR_AGAIN && !is_ending(w) && !atomic_load(&w->d->cancel)) {
		w->d->lost = true;
		return try_later(w, "confirm", err.text);
	}
	if (rc != 0)
		return not_well(w, rc, &err);
	return become(w, "done", "", NULL);
}

static enum next
step_rollback(struct work *w)
{
	const struct fleet_deployment_device *row = &w->d->row;
	const struct fleet_device back = { .id = row->device_id,
		.unit_id = row->unit_id,
		.deployed_config = row->before_config,
		.deployed_commit = row->before_commit,
		.deployed_built = row->before_built,
		.pending_config = STR("") };
	struct err err = { 0 };
	struct str why;
	int rc = find_target(w, &err);

	if (rc == 0)
		rc = begin(w, "rollback", &err);
	if (rc == 0)
		rc = job_reach(&w->job, &err);
	if (rc == 0)
		rc = w->target->rollback(&w->job.target, row->built, &err);
	if (rc == 0)
		rc = fleet_device_set(w->f, &back,
		    "deployedConfig deployedCommit deployedBuilt "
		    "pendingConfig",
		    &err);
	if (w->task != NULL)
		end(w, rc, &err);
	if (is_ending(w))
		return LEAVE;
	if (rc == 0)
		return become(
		    w, "rolledBack", arena_z(&w->arena, row->reason), NULL);
	if (rc == ERR_AGAIN || rc == ERR_TIMEOUT)
		return try_later(
		    w, "rollback", arena_z(&w->arena, row->reason));
	why = arena_printf(&w->arena, STR_FMT "; it was not rolled back: %s",
	    STR_ARG(row->reason), err.text);
	return become(w, "failed", arena_z(&w->arena, why), NULL);
}

static const struct {
	const char *state;
	enum next (*run)(struct work *w);
} steps[] = {
	{ "queued", step_reach },
	{ "waiting", step_reach },
	{ "build", step_build },
	{ "plan", step_plan },
	{ "copy", step_copy },
	{ "apply", step_apply },
	{ "checks", step_checks },
	{ "confirm", step_confirm },
	{ "rollback", step_rollback },
};

/* It is on its way: for who looks at the device. */
static void
note_pending(struct work *w)
{
	struct fleet_device row = { .id = w->d->row.device_id,
		.unit_id = w->d->row.unit_id,
		.pending_config = device_has_ended(w->d->row.state)
		    ? STR("")
		    : w->d->row.config };
	struct err err;

	if (!deployment_is(w->f, w->d->of, "planning") &&
	    fleet_device_set(w->f, &row, "pendingConfig", &err) != 0)
		log_debug("device " STR_FMT ": %s",
		    STR_ARG(w->d->row.device_id), err.text);
}

static enum next
take_step(struct work *w)
{
	struct str state = w->d->row.state;

	for (size_t i = 0; i < COUNT_OF(steps); i++)
		if (str_eqz(state, steps[i].state))
			return steps[i].run(w);
	return LEAVE;
}

void
deploy_work(struct fleet *f, struct target_device *d)
{
	struct work w = { .f = f, .d = d, .row = d->row };
	bool began = str_eqz(d->row.state, "queued");

	if (began)
		note_pending(&w);
	while (!is_ending(&w)) {
		if (atomic_load(&d->cancel) &&
		    !str_eqz(d->row.state, "rollback")) {
			struct err none = { .text = "cancelled" };
			bool open = str_eqz(d->row.state, "apply") ||
			    str_eqz(d->row.state, "checks") ||
			    str_eqz(d->row.state, "confirm");

			/* not where it ends at once anyway */
			if ((open ? not_well(&w, ERR_CANCELLED, &none)
				  : not_begun(&w, ERR_CANCELLED, &none)) ==
			    LEAVE)
				break;
			continue;
		}
		if (take_step(&w) == LEAVE)
			break;
	}
	if (device_has_ended(d->row.state))
		note_pending(&w);
	arena_fini(&w.arena);
}

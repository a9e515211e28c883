/*
 * core/fleet/deploy_settle.c - what follows from how far the devices are: the
 * rest may go, a deployment stops, what was done is taken back, it has ended.
 *
 * Who decides holds `settle`, so that one decides at a time, and nothing leaves
 * the list of those under way meanwhile.
 */
#include "core/fleet/deploy.h"

#include "base/base.h"
#include "base/clock.h"

#include <inttypes.h>

#define LOG_MODULE "fleet"
#include "base/log.h"

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
	if (str_eqz(device_state_now(f, d), "rollback"))
		rc = 0; /* it ends like that */
	else if (device_is_open(device_state_now(f, d)))
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

	if (!str_eqz(device_state_now(f, d), "done") || d->row.run.len == 0)
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
		if (device_has_failed(d->devices[i]->row.state) ||
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

		if (!device_has_ended(device_state_now(f, x)) &&
		    !str_eqz(device_state_now(f, x), "rollback"))
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
	t = deploy_count(d);
	reason = say_failed(&a, d);
	for (size_t i = 0; i < d->n; i++)
		planned = planned &&
		    (device_has_ended(d->devices[i]->row.state) ||
			(str_eqz(d->devices[i]->row.state, "planned") &&
			    !d->devices[i]->working));
	pthread_mutex_unlock(&dep->lock);

	if (d->row.outcome.len > 0) { /* whoever came by meanwhile */
		for (size_t i = 0; i < d->n; i++)
			if (!device_has_ended(
				device_state_now(f, d->devices[i])) &&
			    !str_eqz(
				device_state_now(f, d->devices[i]), "rollback"))
				end_device(f, d->devices[i], "cancelled",
				    "the deployment was stopped");
		pthread_mutex_lock(&dep->lock);
		t = deploy_count(d);
		pthread_mutex_unlock(&dep->lock);
	} else if (plans && planned && t.open > 0)
		rc = deployment_state(f, d, "planned", reason, "", &err);
	else if (str_eqz(d->row.state, "running") &&
	    t.failed > (deploy_is_first(d, &t) ? 0 : d->row.max_failures)) {
		stop(f, d, "failed", reason, str_eqz(d->row.rollback, "all"));
		pthread_mutex_lock(&dep->lock);
		t = deploy_count(d);
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
		    "%" PRId64 " of %zu devices were offline for too long "
		    "(fleet.deploy.offlineTime)",
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

	if (atomic_load(&dep->fleet->ending))
		return;
	pthread_mutex_lock(&dep->settle);
	/* only who holds `settle` takes from the list */
	LIST_EACH (d, &dep->active, struct deployment, link) {
		if (!settle(f, d))
			continue;
		pthread_mutex_lock(&dep->lock);
		list_del(&d->link);
		pthread_mutex_unlock(&dep->lock);
		deploy_forget(d);
	}
	pthread_mutex_unlock(&dep->settle);
}

void
deploy_supersede(struct fleet *f, struct str deployment_id)
{
	struct fleet_deploys *dep = f->deploys;
	const struct deployment *by;

	pthread_mutex_lock(&dep->settle);
	by = deploy_under_way(dep, deployment_id);
	LIST_EACH (o, &dep->active, struct deployment, link)
		for (size_t i = 0; by != NULL && o != by && i < o->n; i++) {
			struct target_device *d = o->devices[i];
			bool same = false;

			for (size_t k = 0; k < by->n && !same; k++)
				same = str_eq(d->row.device_id,
				    by->devices[k]->row.device_id);
			if (same && device_is_new(device_state_now(f, d)) &&
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
	d = deploy_under_way(dep, deployment_id);
	if (d != NULL && device_row_id.len == 0) {
		rc = deployment_state(f, d, arena_z(&d->arena, d->row.state),
		    STR("cancelled"), "cancelled", err);
		rc = rc == 0 ? 1 : rc;
	}
	for (size_t i = 0; d != NULL && rc >= 0 && i < d->n; i++) {
		struct target_device *x = d->devices[i];

		if (device_has_ended(device_state_now(f, x)) ||
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
	d = deploy_under_way(dep, deployment_id);
	if (d == NULL || !str_eqz(d->row.state, "planned"))
		rc = err_set(err, ERR_AGAIN,
		    d == NULL ? "it has ended, or was not planned"
			: str_eqz(d->row.state, "planning")
			? "it is still being planned"
			: "it is under way already");
	else
		rc = deployment_state(f, d, "running", STR(""), "", err);
	for (size_t i = 0; rc == 0 && i < d->n; i++)
		if (str_eqz(device_state_now(f, d->devices[i]), "planned"))
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

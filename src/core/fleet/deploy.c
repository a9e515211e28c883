/*
 * core/fleet/deploy.c - deployments: a commit is carried to devices.
 *
 * Those under way are in memory as they are in the store; threads take the
 * devices whose turn it is: who goes first, and how many at a time. See
 * deploy.h for the picture.
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
/* --- those under way ------------------------------------------------------ */

struct deployment *
deploy_under_way(struct fleet_deploys *dep, struct str id)
{
	LIST_EACH (d, &dep->active, struct deployment, link)
		if (str_eq(d->row.id, id))
			return d;
	return NULL;
}

void
deploy_forget(struct deployment *d)
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
	device_keep(t, row);
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

	deployment_keep(d, row);
	d->offline_until = row->created_at + f->conf.offline_ms;
	filter_text(&filter, "deploymentId", row->id);
	rc = store_list(f->store, &fleet_deployment_device_entity, &q,
	    load_device, &l, err);
	if (rc != 0) {
		deploy_forget(d);
		return rc;
	}
	pthread_mutex_lock(&dep->lock);
	list_add(&dep->active, &d->link);
	pthread_mutex_unlock(&dep->lock);
	return 0;
}
/* --- whose turn it is ----------------------------------------------------- */

/* (2) Somebody else is at this device. */
static bool
is_taken(struct fleet_deploys *dep, const struct target_device *d)
{
	bool plans = str_eqz(d->of->row.state, "planning");

	LIST_EACH (o, &dep->active, struct deployment, link)
		for (size_t i = 0; i < o->n; i++) {
			const struct target_device *x = o->devices[i];

			if (x != d &&
			    str_eq(x->row.device_id, d->row.device_id) &&
			    (plans || str_eqz(o->row.state, "planning")
				    ? x->working
				    : device_is_in_hand(x)))
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
/* Whose turn it is; `*wait_ms` is lowered to when it may be somebody's. */
static struct target_device *
pick(struct fleet_deploys *dep, int64_t *wait_ms)
{
	int64_t now = clock_mono();

	LIST_EACH (o, &dep->active, struct deployment, link) {
		struct tally t = deploy_count(o);
		bool first = deploy_is_first(o, &t);
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
			if (!device_is_in_hand(d) && t.in_hand >= limit)
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
	while (!atomic_load(&dep->fleet->ending)) {
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
	while (!list_empty(&dep->active) && !atomic_load(&dep->fleet->ending) &&
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
	LIST_EACH (o, &dep->active, struct deployment, link)
		for (size_t i = 0; i < o->n; i++)
			if (str_eq(o->devices[i]->row.device_id, device_id))
				o->devices[i]->try_at = 0;
	pthread_cond_broadcast(&dep->cond);
	pthread_mutex_unlock(&dep->lock);
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
	pthread_mutex_lock(&dep->lock); /* `ending` is set, and seen by all */
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
	LIST_EACH (d, &dep->active, struct deployment, link) {
		list_del(&d->link);
		deploy_forget(d);
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

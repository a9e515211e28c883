/*
 * core/fleet/deploy_clean.c - what is too old goes: deployments with their
 * tasks and outputs, and the links that keep what was built.
 *
 * A link stays as long as a device has what it leads to, or a deployment that
 * is kept has made it or would go back to it.
 */
#include "core/fleet/deploy.h"

#include "base/base.h"
#include "base/clock.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRESH_MS ((int64_t)24 * 3600 * 1000) /* links that are left alone */

/* --- deployments ---------------------------------------------------------- */

struct old {
	struct arena arena;
	struct strs ids;
};

static int
note_old(void *ctx, const void *row, struct err *err)
{
	struct old *o = ctx;
	const struct fleet_deployment *d = row;

	(void)err;
	o->ids.at[o->ids.n++] = arena_str(&o->arena, d->id);
	return 0;
}

#define OLD_AT_ONCE 100

/* Those that ended before that, but for the last `kept`. */
static int
clean_rows(struct fleet *f, int64_t before, int64_t kept, struct err *err)
{
	struct old o = { 0 };
	struct filter filter = { 0 }, one;
	struct store_query q = { .filter = &filter,
		.sort = { { "endedAt", true } },
		.n_sort = 1,
		.offset = (uint64_t)kept,
		.limit = OLD_AT_ONCE };
	int rc;

	/* those under way have not ended: null is before nothing */
	filter_add(&filter, "endedAt", COND_LT, value_time(before));
	do {
		arena_clear(&o.arena);
		o.ids = (struct strs){
			arena_array(&o.arena, OLD_AT_ONCE, struct str), 0
		};
		rc = store_list(
		    f->store, &fleet_deployment_entity, &q, note_old, &o, err);
		for (size_t i = 0; rc == 0 && i < o.ids.n; i++) {
			one = (struct filter){ 0 };
			filter_text(&one, "id", o.ids.at[i]);
			rc = fleet_tasks_gone(f, o.ids.at[i], err);
			if (rc == 0)
				rc = store_del(f->store,
				    &fleet_deployment_entity, &one, NULL, err);
		}
	} while (rc == 0 && o.ids.n == OLD_AT_ONCE);
	arena_fini(&o.arena);
	return rc;
}

struct outputs {
	int64_t room;  /* bytes */
	int64_t since; /* the oldest task that has some */
};

static int
take_room(void *ctx, const void *row, struct err *err)
{
	struct outputs *o = ctx;
	const struct fleet_task *t = row;

	(void)err;
	o->room -= t->output_size;
	o->since = t->created_at;
	return o->room < 0;
}

/* Deployments that ended before the task with which it is too much. */
static int
clean_outputs(struct fleet *f, struct err *err)
{
	struct outputs o = { .room = f->conf.outputs_max };
	struct filter none = { 0 };
	struct store_query q = {
		.filter = &none, .sort = { { "createdAt", true } }, .n_sort = 1
	};
	int rc =
	    store_list(f->store, &fleet_task_entity, &q, take_room, &o, err);

	if (rc < 0 || o.room >= 0)
		return MIN_OF(rc, 0);
	return clean_rows(f, o.since + 1, 0, err);
}

/* Plans that nobody has carried out. */
static int
clean_plans(struct fleet *f, int64_t before, struct err *err)
{
	struct old o = { 0 };
	struct filter filter = { 0 };
	struct store_query q = { .filter = &filter, .limit = OLD_AT_ONCE };
	int rc;

	filter_text(&filter, "state", STR("planned"));
	filter_add(&filter, "createdAt", COND_LT, value_time(before));
	o.ids.at = arena_array(&o.arena, OLD_AT_ONCE, struct str);
	rc = store_list(
	    f->store, &fleet_deployment_entity, &q, note_old, &o, err);
	for (size_t i = 0; rc >= 0 && i < o.ids.n; i++)
		rc = deploy_cancel(f, o.ids.at[i], STR(""), err);
	arena_fini(&o.arena);
	return rc < 0 ? rc : 0;
}

/* --- what was built ------------------------------------------------------- */

static int
is_used(struct fleet *f, struct str path, bool *used, struct err *err)
{
	static const struct {
		const struct entity *entity;
		const char *field;
	} places[] = { { &fleet_device_entity, "deployedBuilt" },
		{ &fleet_deployment_device_entity, "built" },
		{ &fleet_deployment_device_entity, "beforeBuilt" } };
	int64_t n = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && n == 0 && i < COUNT_OF(places); i++) {
		struct filter filter = { 0 };

		filter_text(&filter, places[i].field, path);
		rc = store_count(f->store, places[i].entity, &filter, &n, err);
	}
	*used = n > 0;
	return rc;
}

static int
clean_links(struct fleet *f, const char *dir, struct err *err)
{
	DIR *links = opendir(dir);
	const struct dirent *d;
	struct arena a = { 0 };
	int rc = 0;

	while (links != NULL && rc == 0 && (d = readdir(links)) != NULL) {
		const char *path =
		    arena_z(&a, arena_printf(&a, "%s/%s", dir, d->d_name));
		char to[PATH_MAX];
		struct stat st;
		ssize_t n = readlink(path, to, sizeof(to));
		bool used = true;

		if (n <= 0 || (size_t)n == sizeof(to) ||
		    lstat(path, &st) != 0 ||
		    (int64_t)st.st_mtime * 1000 > clock_now() - FRESH_MS)
			continue;
		rc = is_used(f, (struct str){ to, (size_t)n }, &used, err);
		if (rc == 0 && !used)
			(void)unlink(path);
		arena_clear(&a);
	}
	if (links != NULL)
		closedir(links);
	arena_fini(&a);
	return rc;
}

int
deploy_clean(struct fleet *f, int64_t before, struct err *err)
{
	DIR *units;
	const struct dirent *d;
	struct arena a = { 0 };
	int rc = clean_plans(f, before, err);

	if (rc == 0)
		rc = clean_rows(f, before, 0, err);
	if (rc == 0)
		rc = clean_rows(f, INT64_MAX, f->conf.deployments_kept, err);
	if (rc == 0)
		rc = clean_outputs(f, err);
	units = opendir(f->dir);
	while (units != NULL && rc == 0 && (d = readdir(units)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		rc = clean_links(f,
		    arena_z(&a,
			arena_printf(&a, "%s/%s/builds", f->dir, d->d_name)),
		    err);
		arena_clear(&a);
	}
	if (units != NULL)
		closedir(units);
	arena_fini(&a);
	return rc;
}

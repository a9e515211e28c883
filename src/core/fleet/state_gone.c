/*
 * core/fleet/state_gone.c - units that were deleted: their rows go, and their
 * folder stands aside for as long as old tasks are kept; it comes back when the
 * unit does.
 */
#include "core/fleet/state.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "fleet"
#define ASIDE ".deleted-"

static char *
aside(struct fleet *f, const char *unit)
{
	return mem_printf("%s/" ASIDE "%s", f->dir, unit);
}

void
fleet_unit_back(struct fleet *f, struct str unit_id)
{
	char *unit = str_dupz(unit_id), *from = aside(f, unit);
	char *to = mem_printf("%s/%s", f->dir, unit);
	char *repository = mem_printf("%s/repository", to);

	/* the empty folder that was made by who has asked for it */
	if (access(from, F_OK) == 0 && access(repository, F_OK) != 0 &&
	    (rmdir(to) == 0 || access(to, F_OK) != 0) && rename(from, to) == 0)
		log_info("the fleet of unit %s is back", unit);
	free(unit);
	free(from);
	free(to);
	free(repository);
}

static bool
has_unit(const struct entity *e)
{
	for (const struct field *x = e->record.fields; x->name != NULL; x++)
		if (strcmp(x->name, "unitId") == 0)
			return true;
	return false;
}

static void
unit_gone(struct fleet *f, const char *unit)
{
	struct filter of = { 0 };
	struct fleet_repo *r = fleet_repo_lock(f, str_of(unit));
	char *from = mem_printf("%s/%s", f->dir, unit), *to = aside(f, unit);
	struct err err;

	log_info("unit %s is gone: so is its fleet", unit);
	filter_text(&of, "unitId", str_of(unit));
	for (size_t i = 0; fleet_entities[i] != NULL; i++)
		if (has_unit(fleet_entities[i]) &&
		    store_del(f->store, fleet_entities[i], &of, NULL, &err) !=
			0)
			log_error("delete %s of unit %s: %s",
			    fleet_entities[i]->record.name, unit, err.text);
	fleet_repo_close(r);
	fleet_remove_tree(to);
	if (rename(from, to) != 0 || utimensat(AT_FDCWD, to, NULL, 0) != 0)
		log_error("put %s aside: %m", from);
	fleet_repo_give(r);
	free(from);
	free(to);
}

static bool
is_old(const struct fleet *f, const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 &&
	    (int64_t)st.st_mtim.tv_sec * 1000 + f->conf.tasks_kept_ms <
	    clock_now();
}

/* Other folders lie there, too. */
static bool
is_unit(const char *path)
{
	char *repository = mem_printf("%s/repository", path);
	char *key = mem_printf("%s/id_thymis", path);
	bool is = access(repository, F_OK) == 0 || access(key, F_OK) == 0;

	free(repository);
	free(key);
	return is;
}

static int
look_at(struct fleet *f, const char *name, struct err *err)
{
	size_t len = strlen(ASIDE);
	bool is_aside = strncmp(name, ASIDE, len) == 0;
	struct str unit = str_of(is_aside ? name + len : name);
	int there = route_unit_exists(f->route, unit, err);

	if (there < 0)
		return there;
	if (is_aside && there == 1) {
		fleet_unit_back(f, unit);
	} else if (is_aside) {
		char *path = mem_printf("%s/%s", f->dir, name);

		if (is_old(f, path))
			fleet_remove_tree(path);
		free(path);
	} else if (there == 0) {
		unit_gone(f, name);
	}
	return 0;
}

int
fleet_units_clean(struct fleet *f, struct err *err)
{
	DIR *d = f->route != NULL ? opendir(f->dir) : NULL;
	const struct dirent *e;
	int rc = 0;

	while (rc == 0 && d != NULL && (e = readdir(d)) != NULL) {
		char *path = mem_printf("%s/%s", f->dir, e->d_name);

		if (strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0 && is_unit(path))
			rc = look_at(f, e->d_name, err);
		free(path);
	}
	if (d != NULL)
		closedir(d);
	return rc;
}

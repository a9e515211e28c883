/*
 * core/fleet/limit.c - how much of the fleet there may be: each has a setting,
 * and who comes up against it is told which.
 */
#include "core/fleet/deploy.h"
#include "core/fleet/state.h"

#include <fts.h>
#include <inttypes.h>
#include <stdlib.h>

#define MIB ((int64_t)1 << 20)

int64_t
fleet_tree_size(const char *dir)
{
	char *const roots[] = { (char *)(uintptr_t)dir, NULL };
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	int64_t size = 0;
	FTSENT *e;

	if (tree == NULL)
		return 0;
	while ((e = fts_read(tree)) != NULL)
		if (e->fts_info == FTS_F || e->fts_info == FTS_SL)
			size += e->fts_statp->st_size;
	(void)fts_close(tree);
	return size;
}

int
fleet_repo_room(struct fleet *f, const char *dir, int64_t more, struct err *err)
{
	int64_t max = f->conf.repository_max, size = fleet_tree_size(dir);

	if (size + more <= max)
		return 0;
	return err_set(err, ERR_LIMIT,
	    "the unit's repository has %" PRId64 " MiB, and may have %" PRId64
	    ": remove artifacts, or raise fleet.repository.max",
	    (size + more + MIB - 1) / MIB, max / MIB);
}

int
fleet_device_room(
    struct fleet *f, struct store *s, struct str unit_id, struct err *err)
{
	struct filter filter = { 0 };
	int64_t n = 0;
	int rc;

	filter_text(&filter, "unitId", unit_id);
	rc = store_count(s, &fleet_device_entity, &filter, &n, err);
	if (rc != 0 || n < f->conf.devices)
		return rc;
	return err_set(err, ERR_LIMIT,
	    "the unit has %" PRId64
	    " devices: delete some, or raise fleet.device.max",
	    n);
}

int
deploy_room(struct fleet *f, struct err *err)
{
	struct fleet_deploys *dep = f->deploys;
	int64_t n;

	pthread_mutex_lock(&dep->lock);
	n = dep->beginning;
	LIST_EACH (d, &dep->active, struct deployment, link)
		n++;
	if (n < f->conf.under_way)
		dep->beginning++;
	pthread_mutex_unlock(&dep->lock);
	if (n < f->conf.under_way)
		return 0;
	return err_set(err, ERR_LIMIT,
	    "%" PRId64
	    " deployments are planned or under way: let them end, cancel "
	    "some, or raise fleet.deploy.underWay",
	    n);
}

void
deploy_room_taken(struct fleet *f)
{
	struct fleet_deploys *dep = f->deploys;

	pthread_mutex_lock(&dep->lock);
	dep->beginning--;
	pthread_mutex_unlock(&dep->lock);
}

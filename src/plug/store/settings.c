/*
 * plug/store/settings.c - see settings.h.
 */
#include "plug/store/settings.h"

#include <string.h>

const char *const store_setting_engines[] = { "sqlite", "memory", "mongodb",
	NULL };

static bool
is_built_in(const char *engine)
{
	for (const char *const *e = store_engines(); *e != NULL; e++)
		if (strcmp(*e, engine) == 0)
			return true;
	return false;
}

int
store_open_settings(const struct store_settings *set, const char *section,
    const char *dir, const struct entity *const *entities, struct store **ret,
    struct err *err)
{
	struct store_conf conf = { .engine = store_setting_engines[set->engine],
		.sync = set->sync,
		.cache = set->cache,
		.entities = entities };
	struct arena scratch = { 0 };
	int rc;

	if (!is_built_in(conf.engine))
		return err_set(err, ERR_PARAM,
		    "%s.db.engine: %s is not part of this version; use sqlite",
		    section, conf.engine);
	conf.path = set->path.len > 0 && set->path.ptr[0] == '/'
	    ? arena_z(&scratch, set->path)
	    : arena_printf(&scratch, "%s/" STR_FMT, dir, STR_ARG(set->path))
		  .ptr;
	rc = store_open(&conf, ret, err);
	arena_fini(&scratch);
	return rc == 0 ? 0 : err_wrap(err, "%s.db", section);
}

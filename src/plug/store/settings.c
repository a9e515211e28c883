/*
 * plug/store/settings.c - see settings.h.
 */
#include "plug/store/settings.h"

#include "base/log.h"

#include <string.h>

#define LOG_MODULE "store"

const char *const store_setting_engines[] = { "sqlite", "memory", "mongodb",
	NULL };

const char *const store_dump_formats[] = { "json", "yaml", NULL };

static bool
is_built_in(const char *engine)
{
	for (const char *const *e = store_engines(); *e != NULL; e++)
		if (strcmp(*e, engine) == 0)
			return true;
	return false;
}

static void
tell_trouble(const char *text)
{
	if (text != NULL)
		log_error("a dump of the store in memory: %s", text);
	else
		log_info("dumps of the store in memory are made again");
}

static char *
whole_path(struct arena *a, const char *dir, struct str path)
{
	if (path.len > 0 && path.ptr[0] == '/')
		return arena_z(a, path);
	return arena_z(a, arena_printf(a, "%s/" STR_FMT, dir, STR_ARG(path)));
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
	conf.path = whole_path(&scratch, dir, set->path);
	conf.memory_max = set->memory_max;
	if (set->dump_ms > 0) {
		conf.dump_dir = whole_path(&scratch, dir, set->dump_dir);
		conf.dump_ms = set->dump_ms;
		conf.dump_yaml = set->dump_format == 1;
		conf.trouble = tell_trouble;
	}
	rc = store_open(&conf, ret, err);
	arena_fini(&scratch);
	return rc == 0 ? 0 : err_wrap(err, "%s.db", section);
}

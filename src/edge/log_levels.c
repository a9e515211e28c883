/*
 * edge/log_levels.c - see log_levels.h.
 */
#include "edge/log_levels.h"

#include "base/mem.h"
#include "edge/private.h"
#include "edge/system.h"

#include <stdlib.h>
#include <string.h>

#define PROCESS "marram-edge"
#define AGENT "tedge-agent"
#define MAPPER "tedge-mapper"
#define C8Y "tedge-mapper-c8y"

/* Who writes under which name of a module. */
static const struct {
	const char *module, *service; /* NULL: all mappers */
} modules[] = { { "agent", AGENT }, { "entities", AGENT }, { "http", AGENT },
	{ C8Y, C8Y }, { "proxy", C8Y }, { "mapper", NULL },
	{ "bridge", NULL } };

struct levels {
	struct arena arena; /* of what was read */
	struct system system;
	struct log_module rows[COUNT_OF(modules) + 1];
};

/* A profile is as its cloud. */
static enum log_level
level_of(const struct levels *l, struct str service)
{
	struct str rest = service, name = str_cut(&rest, '@');
	enum log_level level = LOG_INFO;

	if (str_starts(name, STR(MAPPER)))
		level = system_log_level(&l->system, STR(MAPPER), level);
	return system_log_level(&l->system, name, level);
}

static enum log_level
level_of_mappers(const struct edge *e)
{
	enum log_level most = LOG_OFF;

	LIST_EACH (p, &((struct edge *)e)->parts, struct part, link) {
		struct str name = str_of(p->name);

		if (p->state != PART_STOPPED && str_starts(name, STR(MAPPER)))
			most = MAX_OF(most, level_of(e->levels, name));
	}
	return most != LOG_OFF ? most : level_of(e->levels, STR(MAPPER));
}

void
levels_apply(struct edge *e)
{
	struct levels *l = e->levels;
	bool alone = e->conf.parts != NULL && e->conf.n_parts == 1;

	if (l == NULL)
		return;
	for (size_t i = 0; i < COUNT_OF(modules); i++)
		l->rows[i] = (struct log_module){ modules[i].module,
			modules[i].service != NULL
			    ? level_of(l, str_of(modules[i].service))
			    : level_of_mappers(e) };
	log_setup(
	    level_of(l, str_of(alone ? e->conf.parts[0] : PROCESS)), LOG_LOG4J);
	log_modules(l->rows);
}

int
levels_read(struct edge *e, struct err *err)
{
	struct levels *l = mem_new(struct levels);
	int rc = system_read(e->conf.config, &l->arena, &l->system, err);

	if (rc != 0) {
		levels_free(l);
		return rc;
	}
	if (e->conf.log_level_given) {
		levels_free(l);
		return 0;
	}
	log_modules(NULL);
	levels_free(e->levels);
	e->levels = l;
	levels_apply(e);
	return 0;
}

void
levels_free(struct levels *l)
{
	if (l == NULL)
		return;
	arena_fini(&l->arena);
	free(l);
}

/*
 * edge/mapper/custom.c - a mapper that a user has made: the folder
 * mappers/NAME. It converts nothing itself; it is the life of its bridge, whose
 * rules are the files of mappers/NAME/bridge. See edge/mapper_settings.h.
 */
#include "base/log.h"
#include "base/mem.h"
#include "edge/bridge_plan.h"
#include "edge/mapper.h"

#include <dirent.h>
#include <stdlib.h>

#define LOG_MODULE "mapper"

struct custom {
	struct arena arena;
	const struct mapper_host *host; /* borrowed */
	struct mapper_settings settings;
	struct str root;
	bool has_bridge;
};

/* There may be flows, of which this version runs none: it is said. */
static void
look_for_flows(const struct custom *m)
{
	struct arena a = { 0 };
	const char *folder =
	    arena_printf(&a, "%s/flows", m->settings.folder).ptr;
	const struct dirent *e;
	DIR *d = opendir(folder);
	bool any = false;

	while (d != NULL && (e = readdir(d)) != NULL)
		any = any || e->d_name[0] != '.';
	if (d != NULL)
		(void)closedir(d);
	if (any)
		log_warn("%s: flows are not part of this version: what is in "
			 "%s is not run",
		    m->settings.name, folder);
	arena_fini(&a);
}

static void
close_custom(void *mapper)
{
	struct custom *m = mapper;

	arena_fini(&m->arena);
	free(m);
}

static int
open_custom(const struct mapper_conf *conf, const struct mapper_host *host,
    void **ret, struct err *err)
{
	struct custom *m = mem_new(struct custom);
	int rc;

	m->host = host;
	m->root = arena_str(&m->arena, conf->root);
	rc = mapper_settings_read(
	    conf->cloud.config, conf->cloud.name, &m->arena, &m->settings, err);
	if (rc != 0) {
		close_custom(m);
		return rc;
	}
	m->has_bridge = bridge_is_wanted(&m->settings);
	look_for_flows(m);
	*ret = m;
	return 0;
}

bool
mapper_custom_has_bridge(const void *mapper)
{
	return ((const struct custom *)mapper)->has_bridge;
}

static void
filters(void *m, void (*each)(void *ctx, struct str filter), void *ctx)
{
	(void)m;
	(void)each;
	(void)ctx;
}

/* A bridge that it had once may have left its health behind. */
static void
up(void *mapper)
{
	struct custom *m = mapper;

	if (!m->has_bridge)
		m->host->publish(m->host->owner,
		    &(struct mapper_msg){
			.topic = arena_printf(&m->arena,
			    STR_FMT "/device/main/service/tedge-mapper-bridge-"
				    "%s/status/health",
			    STR_ARG(m->root), m->settings.name),
			.payload = STR(""),
			.qos = 1,
			.retain = true });
}

static void
message(void *m, const struct mapper_msg *msg, struct arena *a)
{
	(void)m;
	(void)msg;
	(void)a;
}

const struct mapper_ops mapper_custom = {
	.name = "custom",
	.help = "A mapper that a user has made.",
	.open = open_custom,
	.close = close_custom,
	.filters = filters,
	.up = up,
	.message = message,
};

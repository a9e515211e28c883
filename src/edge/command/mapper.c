/*
 * edge/command/mapper.c - `mapper list` and `mapper config get`: the mappers of
 * this device, and what they are set to. See edge/mapper_settings.h.
 */
#include "edge/command.h"

#include "base/base.h"
#include "base/mem.h"
#include "edge/bridge_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The settings of a folder's mapper: "c8y", "c8y.second", "thingsboard". */
static int
settings_of(const struct config *c, const char *folder, struct arena *a,
    struct mapper_settings *ret, struct err *err)
{
	struct str profile = str_of(folder), name = str_cut(&profile, '.');
	struct cloud cloud = { c, arena_z(a, name), STR_NULL };

	if (bridge_title(cloud.name) == NULL)
		return mapper_settings_read(c, folder, a, ret, err);
	if (config_cloud(c, cloud.name,
		profile.ptr != NULL ? arena_str(a, profile) : STR_NULL, &cloud,
		err) != 0)
		return ERR_NOT_FOUND;
	return bridge_settings(&cloud, a, ret, err);
}

/* --- list ---------------------------------------------------------------- */

struct listing {
	struct config *config;
	unsigned n;
};

/* What is wrong with one mapper hides none of the others. */
static void
list_one(void *ctx, const char *folder)
{
	struct listing *l = ctx;
	struct arena a = { 0 };
	struct mapper_settings m;
	struct mapper_found url = { 0 }, id = { 0 };
	const char *type = "", *tag = "tedge.toml";
	struct err err;

	l->n++;
	if (settings_of(l->config, folder, &a, &m, &err) != 0) {
		command_say("warning", "%s", err.text);
	} else {
		(void)mapper_setting(&m, STR("url"), &a, &url, &err);
		if (mapper_setting(&m, STR("device.id"), &a, &id, &err) != 0)
			id.text = STR_NULL;
		type = m.cloud.name != NULL ? m.cloud.name
		    : m.cloud_type != NULL  ? m.cloud_type
					    : "";
		if (m.id.tag != NULL)
			tag = m.id.tag;
		if (m.cloud.name == NULL && m.own == NULL) { /* no settings */
			url.text = id.text = STR_NULL;
			if (bridge_is_wanted(&m))
				command_say("warning",
				    "Mapper '%s' has a 'bridge/' directory but "
				    "no 'mapper.toml': the mapper will fail to "
				    "start. Add 'mapper.toml' to configure the "
				    "connection or remove the 'bridge/' "
				    "directory.",
				    folder);
		}
	}
	if (url.text.len == 0 && id.text.len == 0 && *type == '\0')
		printf("%s\n", folder);
	else if (id.text.len == 0)
		printf(
		    "%s\t" STR_FMT "\t\t%s\n", folder, STR_ARG(url.text), type);
	else
		printf("%s\t" STR_FMT "\t" STR_FMT " [%s]\t%s\n", folder,
		    STR_ARG(url.text), STR_ARG(id.text), tag, type);
	arena_fini(&a);
}

static int
list(struct command_call *c)
{
	struct listing l = { command_config(c), 0 };

	if (l.config == NULL)
		return 1;
	mapper_each_folder(l.config, list_one, &l);
	if (l.n == 0)
		fprintf(stderr, "No mappers found under '%s/mappers'\n",
		    config_dir(l.config));
	return 0;
}

/* --- config get ---------------------------------------------------------- */

struct search {
	struct str key;
	struct str best; /* the longest folder's name that it begins with */
	struct buf names;
};

static void
search_one(void *ctx, const char *folder)
{
	struct search *s = ctx;
	struct str name = str_of(folder);

	buf_addf(&s->names, "%s%s", s->names.len > 0 ? ", " : "", folder);
	if (str_starts(s->key, name) && s->key.len > name.len &&
	    s->key.ptr[name.len] == '.' && name.len > s->best.len)
		s->best = (struct str){ s->key.ptr, name.len };
}

/* "c8y.second.url": the mapper's folder, and the rest. The mappers of clouds
 * need no folder. */
static int
divide(const struct config *c, struct str key, struct arena *a,
    const char **folder, struct str *rest, struct err *err)
{
	struct search s = { .key = key };
	struct str behind = key, name = str_cut(&behind, '.');
	int rc = 0;

	mapper_each_folder(c, search_one, &s);
	if (s.best.len > 0)
		name = s.best;
	*folder = arena_z(a, name);
	if (behind.len == 0 || name.len == 0)
		rc = err_set(err, ERR_PARAM,
		    "Invalid key '" STR_FMT
		    "': expected format '<mapper-name>.<toml-key>', e.g. "
		    "'thingsboard.url'",
		    STR_ARG(key));
	else if (s.best.len == 0 && bridge_title(*folder) == NULL)
		rc = s.names.len > 0
		    ? err_set(err, ERR_NOT_FOUND,
			  "Mapper '%s' not found. Available mappers: %s",
			  *folder, buf_z(&s.names))
		    : err_set(err, ERR_NOT_FOUND,
			  "Mapper '%s' not found. No mappers configured under "
			  "'%s/mappers'.",
			  *folder, config_dir(c));
	else
		*rest = (struct str){ key.ptr + name.len + 1,
			key.len - name.len - 1 };
	buf_free(&s.names);
	return rc;
}

static int
find(const struct mapper_settings *m, const char *folder, struct str key,
    struct arena *a, struct mapper_found *ret, struct err *err)
{
	int rc;

	if (m->cloud.name == NULL && m->own == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "Mapper '%s' has no mapper.toml at '%s'", folder,
		    m->folder);
	rc = mapper_setting(m, key, a, ret, err);
	if (rc != ERR_NOT_FOUND)
		return rc;
	if (str_eqz(key, "device.id") && !m->by_account)
		return err_set(err, rc,
		    "Cannot determine device.id for mapper '%s': certificate "
		    "authentication is configured but the certificate is "
		    "unreadable. Set 'device.id' explicitly in "
		    "'%s/mapper.toml' to override.",
		    folder, m->folder);
	return err_set(err, rc, "Key '" STR_FMT "' is not set for mapper '%s'",
	    STR_ARG(key), folder);
}

static void
put(const struct mapper_found *f)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < f->list.n; i++)
		buf_addf(&out, "%s\"" STR_FMT "\"", i > 0 ? ", " : "",
		    STR_ARG(f->list.at[i]));
	if (f->is_list)
		printf("[%s]\n", buf_z(&out));
	else
		printf(STR_FMT "\n", STR_ARG(f->text));
	fprintf(stderr, "# %s\n", f->from);
	buf_free(&out);
}

static int
config_get(struct command_call *c)
{
	const char *key = command_arg(c, "MAPPER_KEY");
	struct config *config = command_config(c);
	struct arena a = { 0 };
	struct mapper_settings m;
	struct mapper_found found;
	const char *folder;
	struct str rest = STR_NULL;
	struct err err;
	char *doing;
	int rc;

	if (config == NULL)
		return 1;
	rc = divide(config, str_of(key), &a, &folder, &rest, &err);
	if (rc == 0)
		rc = settings_of(config, folder, &a, &m, &err);
	if (rc == 0)
		rc = find(&m, folder, rest, &a, &found, &err);
	if (rc == 0) {
		put(&found);
	} else {
		doing = mem_printf("get config key '%s'", key);
		rc = command_failed(doing, &err);
		free(doing);
	}
	arena_fini(&a);
	return rc;
}

const struct command mapper_commands[] = {
	{ .words = "mapper list",
	    .args = "",
	    .help = "List the folders of mappers: name, url, device id and "
		    "where it is from, type of cloud",
	    .run = list },
	{ .words = "mapper config get",
	    .args = "MAPPER_KEY",
	    .help = "Print what a mapper is set to, as thingsboard.url; on "
		    "standard error where it is from",
	    .run = config_get },
	{ 0 },
};

/*
 * edge/config_own.c - what a cloud has in a file of its own, as `tedge config
 * upgrade` of thin-edge.io 2 makes them: mappers/c8y/mapper.toml has what else
 * stands in the table c8y of tedge.toml, and mappers/c8y.NAME/mapper.toml what
 * stands in c8y.profiles.NAME.
 */
#include "edge/config_private.h"

#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const clouds[] = { "c8y", "az", "aws" };

static const struct {
	const char *theirs, *ours;
} spellings[] = {
	{ "max_payload_size", "mapper.mqtt.max_payload_size" },
	{ "timestamp", "mapper.timestamp" },
	{ "timestamp_format", "mapper.timestamp_format" },
	{ "bridge_include.local_cleansession",
	    "bridge.include.local_cleansession" },
};

struct str
config_own_key(struct str alias)
{
	for (size_t i = 0; i < COUNT_OF(spellings); i++)
		if (str_eqz(alias, spellings[i].theirs))
			return str_of(spellings[i].ours);
	return alias;
}

struct str
config_own_alias(struct str key)
{
	for (size_t i = 0; i < COUNT_OF(spellings); i++)
		if (str_eqz(key, spellings[i].ours))
			return str_of(spellings[i].theirs);
	return STR_NULL;
}

const struct own_file *
config_own_file(const struct config *c, const char *cloud, struct str profile)
{
	for (const struct own_file *o = c->owns; o != NULL; o = o->next)
		if (strcmp(o->cloud, cloud) == 0 &&
		    (o->profile.ptr == NULL) == (profile.ptr == NULL) &&
		    str_eq_nocase(o->profile, profile))
			return o;
	return NULL;
}

const char *
config_file_of(const struct cloud *of)
{
	const struct own_file *own =
	    config_own_file(of->config, of->name, of->profile);

	return own != NULL ? own->path : of->config->path;
}

static int
take(struct config *c, const char *folder, const char *name, struct err *err)
{
	struct str profile = str_of(name), cloud = str_cut(&profile, '.');
	struct own_file *o;

	if (profile.ptr != NULL && !config_profile_ok(profile))
		return 0;
	for (size_t i = 0; i < COUNT_OF(clouds); i++) {
		if (!str_eqz(cloud, clouds[i]))
			continue;
		o = arena_new(&c->arena, struct own_file);
		o->path =
		    arena_printf(&c->arena, "%s/%s/mapper.toml", folder, name)
			.ptr;
		o->cloud = clouds[i];
		o->profile = profile.ptr == NULL
		    ? STR_NULL
		    : arena_str(&c->arena, profile);
		if (access(o->path, F_OK) != 0 && errno == ENOENT)
			return 0;
		o->next = c->owns;
		c->owns = o;
		return config_take_file(c, o->path, o, err);
	}
	return 0;
}

int
config_read_own(struct config *c, struct err *err)
{
	struct str folder = arena_printf(&c->arena, "%s/mappers", c->dir);
	struct dirent **names;
	int n = scandir(folder.ptr, &names, NULL, alphasort), rc = 0;

	if (n < 0)
		return errno == ENOENT || errno == ENOTDIR
		    ? 0
		    : err_errno(err, "read %s", folder.ptr);
	for (int i = 0; i < n; i++) {
		if (rc == 0)
			rc = take(c, folder.ptr, names[i]->d_name, err);
		free(names[i]);
	}
	free(names);
	return rc;
}

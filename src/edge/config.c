/*
 * edge/config.c - see config.h.
 *
 * What was set is a short list (`at`), by row and profile; the value of a key
 * is looked for there, then where its row says it comes from, then in its row.
 */
#include "edge/config_private.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROFILE_MAX 64

static const char *const clouds[] = { "c8y", "az", "aws", "marram" };

/* --- keys ---------------------------------------------------------------- */

static size_t
config_index(const struct config_key *row)
{
	return (size_t)(row - config_keys);
}

static const struct config_key *
find_plain(struct str key, const char **alias)
{
	for (const struct config_key *k = config_keys; k->key != NULL; k++) {
		if (str_eqz(key, k->key))
			return k;
		for (const char *const *a = k->aliases; a != NULL && *a != NULL;
		     a++)
			if (str_eqz(key, *a)) {
				*alias = *a;
				return k;
			}
	}
	return NULL;
}

/* The cloud that a key is of, or NULL. */
const char *
config_cloud_of(struct str key)
{
	struct str first = str_cut(&key, '.');

	for (size_t i = 0; key.ptr != NULL && i < COUNT_OF(clouds); i++)
		if (str_eqz(first, clouds[i]))
			return clouds[i];
	return NULL;
}

bool
config_profile_ok(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			(c >= 'A' && c <= 'Z')))
			return false;
	}
	return name.len > 0 && name.len <= PROFILE_MAX;
}

/* CLOUD.profiles.NAME.KEY: the row of CLOUD.KEY, and NAME. */
const struct config_key *
config_locate(struct str key, struct str *profile, const char **alias)
{
	const char *cloud = config_cloud_of(key);
	struct str rest = key;
	char plain[160];
	int n;

	*profile = STR_NULL;
	*alias = NULL;
	if (cloud == NULL)
		return find_plain(key, alias);
	str_cut(&rest, '.');
	if (!str_starts(rest, STR("profiles.")))
		return find_plain(key, alias);
	str_cut(&rest, '.');
	*profile = str_cut(&rest, '.');
	if (rest.ptr == NULL || !config_profile_ok(*profile))
		return NULL;
	n = snprintf(plain, sizeof(plain), "%s." STR_FMT, cloud, STR_ARG(rest));
	if (n < 0 || (size_t)n >= sizeof(plain))
		return NULL;
	return find_plain((struct str){ plain, (size_t)n }, alias);
}

const struct config_key *
config_find(struct str key)
{
	struct str profile;
	const char *alias;

	return config_locate(key, &profile, &alias);
}

struct setting *
config_setting(
    const struct config *c, const struct config_key *row, struct str profile)
{
	for (struct setting *s = c->first; s != NULL; s = s->next)
		if (s->row == row &&
		    (s->profile.ptr == NULL) == (profile.ptr == NULL) &&
		    str_eq_nocase(s->profile, profile))
			return s;
	return NULL;
}

/* Of some profile of this cloud? */
static bool
config_is_of(const struct setting *s, const char *cloud)
{
	const char *its = config_cloud_of(str_of(s->row->key));

	return s->profile.ptr != NULL && its != NULL && strcmp(its, cloud) == 0;
}

/* How the file, or whoever came first, spells a profile. */
struct str
config_spelt(const struct config *c, const char *cloud, struct str profile)
{
	for (struct setting *s = c->first; s != NULL; s = s->next)
		if (config_is_of(s, cloud) &&
		    str_eq_nocase(s->profile, profile))
			return s->profile;
	return STR_NULL;
}

/* --- the value of a key -------------------------------------------------- */

bool
config_is_device_id(const struct config_key *row)
{
	return str_eqz(str_of(row->key), "device.id") ||
	    str_ends(str_of(row->key), STR(".device.id"));
}

static struct str
own(const struct config *c, const struct config_key *row, struct str profile)
{
	const struct setting *s = config_setting(c, row, profile);

	if (s == NULL)
		return STR_NULL;
	if (s->env.ptr != NULL)
		return s->env.len > 0 ? s->env : STR_NULL;
	return s->file;
}

struct str
config_value(
    const struct config *c, const struct config_key *row, struct str profile)
{
	struct str v = own(c, row, profile);
	struct str from = str_of(row->from);
	const char *cloud = config_cloud_of(str_of(row->key));

	while (v.ptr == NULL && from.ptr != NULL) {
		struct str key = str_cut(&from, ',');
		const struct config_key *other = config_find(key);

		v = config_value(c, other,
		    cloud != NULL && config_cloud_of(key) == cloud ? profile
								   : STR_NULL);
	}
	return v.ptr != NULL ? v : c->defs[config_index(row)];
}

/* --- life ---------------------------------------------------------------- */

/* Paths of settings are built upon it: they hold wherever we go. */
static char *
absolute(const char *dir)
{
	char *here = dir[0] == '/' ? NULL : getcwd(NULL, 0), *ret;

	ret = here == NULL ? mem_printf("%s", dir)
			   : mem_printf("%s/%s", here, dir);
	free(here);
	return ret;
}

int
config_open(const char *dir, struct config **ret, struct err *err)
{
	struct config *c = mem_new(struct config);
	int rc;

	c->dir = absolute(dir);
	c->path = mem_printf("%s/tedge.toml", c->dir);
	rc = config_load(c, err);
	if (rc != 0)
		config_close(c);
	else
		*ret = c;
	return rc;
}

void
config_close(struct config *c)
{
	if (c == NULL)
		return;
	arena_fini(&c->arena);
	free(c->dir);
	free(c->path);
	free(c);
}

const char *
config_dir(const struct config *c)
{
	return c->dir;
}

/* --- asking -------------------------------------------------------------- */

struct str
config_text(const struct config *c, const char *key)
{
	struct str profile;
	const char *alias;
	const struct config_key *row =
	    config_locate(str_of(key), &profile, &alias);

	assert(row != NULL);
	return config_value(c, row, profile);
}

static int64_t
as_int(struct str text)
{
	int64_t n = 0;

	(void)str_to_i64(text, &n); /* it was checked */
	return n;
}

static int64_t
as_ms(struct str text)
{
	int64_t ms = 0;

	if (text.ptr != NULL)
		(void)config_duration(text, &ms);
	return ms;
}

struct strs
config_as_list(const struct config *c, struct str text)
{
	struct config *own = (struct config *)(uintptr_t)c; /* a cache */
	struct divided *d;
	struct str rest = text;
	size_t n = 1;

	if (text.ptr == NULL)
		return (struct strs){ 0 };
	for (d = c->divided; d != NULL; d = d->next)
		if (d->text.ptr == text.ptr)
			return d->list;
	for (size_t i = 0; i < text.len; i++)
		n += text.ptr[i] == ',';
	d = arena_new(&own->arena, struct divided);
	d->text = text;
	d->list.at = arena_array(&own->arena, n, struct str);
	while (rest.ptr != NULL) {
		struct str item = str_trim(str_cut(&rest, ','));

		if (item.len > 0)
			d->list.at[d->list.n++] = item;
	}
	d->next = c->divided;
	own->divided = d;
	return d->list;
}

int64_t
config_int(const struct config *c, const char *key)
{
	return as_int(config_text(c, key));
}

bool
config_bool(const struct config *c, const char *key)
{
	return str_eqz(config_text(c, key), "true");
}

int64_t
config_ms(const struct config *c, const char *key)
{
	return as_ms(config_text(c, key));
}

struct strs
config_list(const struct config *c, const char *key)
{
	return config_as_list(c, config_text(c, key));
}

struct str
cloud_text(const struct cloud *of, const char *key)
{
	const struct config_key *row;
	const char *alias;
	char whole[160];

	snprintf(whole, sizeof(whole), "%s.%s", of->name, key);
	row = find_plain(str_of(whole), &alias);
	assert(row != NULL);
	return config_value(of->config, row, of->profile);
}

int64_t
cloud_int(const struct cloud *of, const char *key)
{
	return as_int(cloud_text(of, key));
}

bool
cloud_bool(const struct cloud *of, const char *key)
{
	return str_eqz(cloud_text(of, key), "true");
}

int64_t
cloud_ms(const struct cloud *of, const char *key)
{
	return as_ms(cloud_text(of, key));
}

struct strs
cloud_list(const struct cloud *of, const char *key)
{
	return config_as_list(of->config, cloud_text(of, key));
}

void
config_profiles(const struct config *c, const char *cloud,
    void (*each)(void *ctx, struct str profile), void *ctx)
{
	for (const struct setting *s = c->first; s != NULL; s = s->next) {
		bool first = true;

		if (!config_is_of(s, cloud))
			continue;
		for (const struct setting *t = c->first; t != s; t = t->next)
			if (config_is_of(t, cloud) &&
			    str_eq_nocase(t->profile, s->profile))
				first = false;
		if (first)
			each(ctx, s->profile);
	}
}

int
config_cloud(const struct config *c, const char *name, struct str profile,
    struct cloud *ret, struct err *err)
{
	for (size_t i = 0; i < COUNT_OF(clouds); i++) {
		if (strcmp(clouds[i], name) != 0)
			continue;
		if (profile.ptr != NULL &&
		    config_spelt(c, name, profile).ptr == NULL)
			return err_set(err, ERR_NOT_FOUND,
			    "there is no profile \"" STR_FMT "\" of %s; "
			    "`tedge config set %s.url URL --profile " STR_FMT
			    "` makes it",
			    STR_ARG(profile), name, name, STR_ARG(profile));
		*ret = (struct cloud){ c, clouds[i], profile };
		return 0;
	}
	return err_set(err, ERR_NOT_FOUND,
	    "\"%s\" is no cloud; they are c8y, az, aws and marram", name);
}

/* --- all of them --------------------------------------------------------- */

struct visit {
	const struct config *c;
	const struct config_key *row; /* the cloud's first */
	const char *cloud;
	void (*each)(void *ctx, const struct config_key *row, struct str key,
	    struct str value);
	void *ctx;
};

static void
visit_profile(void *ctx, struct str profile)
{
	const struct visit *v = ctx;
	struct buf key = { 0 };

	for (const struct config_key *k = v->row;
	     k->key != NULL && config_cloud_of(str_of(k->key)) == v->cloud;
	     k++) {
		buf_clear(&key);
		buf_addf(&key, "%s.profiles." STR_FMT "%s", v->cloud,
		    STR_ARG(profile), k->key + strlen(v->cloud));
		v->each(
		    v->ctx, k, buf_str(&key), config_value(v->c, k, profile));
	}
	buf_free(&key);
}

void
config_each(const struct config *c,
    void (*each)(void *ctx, const struct config_key *row, struct str key,
	struct str value),
    void *ctx)
{
	struct visit v = { c, config_keys, NULL, each, ctx };

	for (const struct config_key *k = config_keys; k->key != NULL; k++) {
		const char *cloud = config_cloud_of(str_of(k->key));

		if (cloud != v.cloud) {
			v.cloud = cloud;
			v.row = k;
		}
		each(ctx, k, str_of(k->key), config_value(c, k, STR_NULL));
		if (cloud != NULL &&
		    (k[1].key == NULL ||
			config_cloud_of(str_of(k[1].key)) != cloud))
			config_profiles(c, cloud, visit_profile, &v);
	}
}

void
config_exposed(const struct config *c, const struct cloud *of, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	for (const struct config_key *k = config_keys; k->key != NULL; k++) {
		const char *cloud = config_cloud_of(str_of(k->key));
		struct str v;
		struct strs list;

		if (!k->exposed ||
		    (of == NULL
			    ? cloud != NULL
			    : cloud == NULL || strcmp(cloud, of->name) != 0))
			continue;
		v = config_value(c, k, of == NULL ? STR_NULL : of->profile);
		if (v.ptr == NULL)
			continue;
		json_out_key(
		    &o, of == NULL ? k->key : k->key + strlen(cloud) + 1);
		switch (k->type) {
		case CONFIG_INT:
			json_out_int(&o, as_int(v));
			break;
		case CONFIG_BOOL:
			json_out_bool(&o, str_eqz(v, "true"));
			break;
		case CONFIG_LIST:
			list = config_as_list(c, v);
			json_out_array(&o);
			for (size_t i = 0; i < list.n; i++)
				json_out_str(&o, list.at[i]);
			json_out_end_array(&o);
			break;
		default:
			json_out_str(&o, v);
		}
	}
	json_out_end_object(&o);
}

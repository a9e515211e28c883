/*
 * edge/config.c - see config.h.
 *
 * What was set is a short list (`at`), by row and profile; the value of a key
 * is looked for there, then where its row says it comes from, then in its row.
 */
#include "edge/config.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/duration.h"
#include "codec/json.h"
#include "codec/toml.h"
#include "codec/x509.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define LOG_MODULE "config"

#define PROFILE_MAX 64

struct setting {
	const struct config_key *row;
	struct str profile;   /* STR_NULL: none */
	struct str file, env; /* STR_NULL: not there; env "": unset */
	uint32_t line;
	bool certified; /* a device's id: it is its certificate's */
	struct setting *next;
};

/* What a list's text was divided into. */
struct divided {
	struct str text;
	struct strs list;
	struct divided *next;
};

struct config {
	struct arena arena; /* all below; made anew when the file changes */
	char *dir, *path;
	struct setting *first, *last;
	struct str *defs; /* by row, "${config_dir}" replaced */
	struct divided *divided;
};

static const char *const clouds[] = { "c8y", "az", "aws", "marram" };

/* --- keys ---------------------------------------------------------------- */

static size_t
index_of(const struct config_key *row)
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
static const char *
cloud_of(struct str key)
{
	struct str first = str_cut(&key, '.');

	for (size_t i = 0; key.ptr != NULL && i < COUNT_OF(clouds); i++)
		if (str_eqz(first, clouds[i]))
			return clouds[i];
	return NULL;
}

static bool
profile_ok(struct str name)
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
static const struct config_key *
locate(struct str key, struct str *profile, const char **alias)
{
	const char *cloud = cloud_of(key);
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
	if (rest.ptr == NULL || !profile_ok(*profile))
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

	return locate(key, &profile, &alias);
}

/* --- values -------------------------------------------------------------- */

bool
config_duration(struct str text, int64_t *ms)
{
	uint64_t s;

	if (str_to_u64(text, &s)) {
		if (s > (uint64_t)INT64_MAX / 1000)
			return false;
		*ms = (int64_t)s * 1000;
		return true;
	}
	return duration_parse_ms(text, ms) && *ms >= 0;
}

/* "host", "host:1883", "[::1]:1883" */
static bool
host_ok(struct str text)
{
	struct str host = text;
	const char *colon = memrchr(text.ptr, ':', text.len);
	int64_t port;

	if (memchr(text.ptr, '/', text.len) != NULL ||
	    memchr(text.ptr, ' ', text.len) != NULL)
		return false;
	if (colon != NULL && text.ptr[0] != '[' &&
	    memchr(text.ptr, ':', text.len) == colon)
		host.len = (size_t)(colon - text.ptr);
	else if (colon != NULL && text.ptr[0] == '[' && colon[-1] == ']')
		host.len = (size_t)(colon - text.ptr);
	if (host.len < text.len) {
		struct str number = { text.ptr + host.len + 1,
			text.len - host.len - 1 };

		if (!str_to_i64(number, &port) || port < 1 || port > 65535)
			return false;
	}
	return host.len > 0;
}

static void
int_range(const struct config_key *k, int64_t *min, int64_t *max)
{
	*min = k->min;
	*max = k->min == 0 && k->max == 0 ? 65535 : k->max;
}

static int
check(const struct config_key *k, struct str text, struct err *err)
{
	int64_t n, min, max;
	struct buf b = { 0 };

	if (!str_is_utf8(text) || memchr(text.ptr, '\0', text.len) != NULL)
		return err_set(err, ERR_PARAM, "must be text in UTF-8");
	switch (k->type) {
	case CONFIG_TEXT:
	case CONFIG_LIST:
		return 0;
	case CONFIG_PATH:
		if (text.len == 0 || text.ptr[0] != '/')
			return err_set(err, ERR_PARAM,
			    "must be a path that begins with \"/\", not "
			    "\"" STR_FMT "\"",
			    STR_ARG(text));
		return 0;
	case CONFIG_HOST:
		if (!host_ok(text))
			return err_set(err, ERR_PARAM,
			    "must be a host, with or without \":port\", not "
			    "\"" STR_FMT "\"",
			    STR_ARG(text));
		return 0;
	case CONFIG_INT:
		int_range(k, &min, &max);
		if (!str_to_i64(text, &n) || n < min || n > max)
			return err_set(err, ERR_PARAM,
			    "must be a number of %lld to %lld, not \"" STR_FMT
			    "\"",
			    (long long)min, (long long)max, STR_ARG(text));
		return 0;
	case CONFIG_BOOL:
		if (!str_eqz(text, "true") && !str_eqz(text, "false"))
			return err_set(err, ERR_PARAM,
			    "must be true or false, not \"" STR_FMT "\"",
			    STR_ARG(text));
		return 0;
	case CONFIG_DURATION:
		if (!config_duration(text, &n))
			return err_set(err, ERR_PARAM,
			    "must be seconds, or a time such as 60s, 10m, 1h, "
			    "30d, not \"" STR_FMT "\"",
			    STR_ARG(text));
		return 0;
	case CONFIG_ENUM:
		for (const char *const *c = k->choices; *c != NULL; c++) {
			if (str_eqz(text, *c)) {
				buf_free(&b);
				return 0;
			}
			buf_addf(&b, "%s%s", b.len > 0 ? ", " : "", *c);
		}
		err_set(err, ERR_PARAM,
		    "must be one of %s, not \"" STR_FMT "\"", buf_z(&b),
		    STR_ARG(text));
		buf_free(&b);
		return ERR_PARAM;
	}
	return err_set(err, ERR_INTERNAL, "no such type");
}

/* A value of the file, or one written like it, as it would be typed. False: it
 * is a table, or a list of such. */
static bool
as_typed(struct arena *a, const struct toml *v, struct str *ret)
{
	struct buf b = { 0 };
	bool ok = v->type != TOML_TABLE;

	if (ok && v->type != TOML_ARRAY) {
		*ret = arena_str(a, v->text);
		return true;
	}
	for (const struct toml *m = v->first; ok && m != NULL; m = m->next) {
		ok = m->type != TOML_TABLE && m->type != TOML_ARRAY;
		if (b.len > 0)
			buf_addc(&b, ',');
		buf_add_str(&b, m->text);
	}
	if (ok)
		*ret = arena_str(a, (struct str){ buf_z(&b), b.len });
	buf_free(&b);
	return ok;
}

/* --- what was set -------------------------------------------------------- */

static struct setting *
find(const struct config *c, const struct config_key *row, struct str profile)
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
is_of(const struct setting *s, const char *cloud)
{
	const char *its = cloud_of(str_of(s->row->key));

	return s->profile.ptr != NULL && its != NULL && strcmp(its, cloud) == 0;
}

/* How the file, or whoever came first, spells a profile. */
static struct str
spelt(const struct config *c, const char *cloud, struct str profile)
{
	for (struct setting *s = c->first; s != NULL; s = s->next)
		if (is_of(s, cloud) && str_eq_nocase(s->profile, profile))
			return s->profile;
	return STR_NULL;
}

static struct setting *
get(struct config *c, const struct config_key *row, struct str profile)
{
	struct setting *s = find(c, row, profile);
	struct str known;

	if (s != NULL)
		return s;
	s = arena_new(&c->arena, struct setting);
	s->row = row;
	if (profile.ptr != NULL) {
		known = spelt(c, cloud_of(str_of(row->key)), profile);
		s->profile =
		    known.ptr != NULL ? known : arena_str(&c->arena, profile);
	}
	if (c->last != NULL)
		c->last->next = s;
	else
		c->first = s;
	c->last = s;
	return s;
}

static int
take_file(
    struct config *c, struct str key, const struct toml *v, struct err *err)
{
	const struct config_key *row;
	struct setting *s;
	struct str profile, text;
	const char *alias;

	if (str_starts(key, STR("config.")))
		return 0; /* the file's own version */
	row = locate(key, &profile, &alias);
	if (row == NULL) {
		log_warn("%s: line %u: unknown configuration field \"" STR_FMT
			 "\"",
		    c->path, v->line, STR_ARG(key));
		return 0;
	}
	s = get(c, row, profile);
	if (s->file.ptr != NULL) {
		log_warn("%s: line %u: \"" STR_FMT "\" is \"%s\" of line %u "
			 "again; the one with the older name is passed over",
		    c->path, v->line, STR_ARG(key), row->key, s->line);
		if (alias != NULL)
			return 0;
	}
	if (!as_typed(&c->arena, v, &text))
		err_set(err, ERR_PARAM, "must be one value");
	else if (check(row, text, err) == 0) {
		s->file = text;
		s->line = v->line;
		return 0;
	}
	return err_wrap(err, "%s: line %u: %s", c->path, v->line, row->key);
}

static int
take_table(struct config *c, const struct toml *table, struct str prefix,
    struct err *err)
{
	for (const struct toml *m = table->first; m != NULL; m = m->next) {
		struct buf key = { 0 };
		int rc;

		if (prefix.len > 0) {
			buf_add_str(&key, prefix);
			buf_addc(&key, '.');
		}
		buf_add_str(&key, m->key);
		rc = m->type == TOML_TABLE
		    ? take_table(c, m, buf_str(&key), err)
		    : take_file(c, buf_str(&key), m, err);
		buf_free(&key);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
read_file(struct config *c, struct err *err)
{
	struct arena a = { 0 };
	struct buf text = { 0 };
	struct toml *root;
	int rc = 0;

	if (access(c->path, F_OK) != 0 && errno == ENOENT)
		return 0;
	rc = file_read(c->path, &text, err);
	if (rc == 0) {
		rc = toml_read(
		    &a, (struct str){ buf_z(&text), text.len }, &root, err);
		if (rc != 0)
			err_wrap(err, "%s", c->path);
		else
			rc = take_table(c, root, STR(""), err);
	}
	buf_free(&text);
	arena_fini(&a);
	return rc;
}

/* --- the environment ----------------------------------------------------- */

/* Does `name` spell `key`? "C8Y_URL" is "c8y.url". */
static bool
env_is(struct str name, const char *key)
{
	size_t i;

	for (i = 0; i < name.len && key[i] != '\0'; i++) {
		char c = key[i];

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		else if (c == '.')
			c = '_';
		if (c != name.ptr[i])
			return false;
	}
	return i == name.len && key[i] == '\0';
}

static const struct config_key *
env_find(struct str name)
{
	for (const struct config_key *k = config_keys; k->key != NULL; k++) {
		if (env_is(name, k->key))
			return k;
		for (const char *const *a = k->aliases; a != NULL && *a != NULL;
		     a++)
			if (env_is(name, *a))
				return k;
	}
	return NULL;
}

/* C8Y_PROFILES_NAME_URL */
static const struct config_key *
env_locate(struct str name, struct str *profile)
{
	*profile = STR_NULL;
	for (size_t i = 0; i < COUNT_OF(clouds); i++) {
		char start[32], plain[160];
		struct str rest = name;
		int n = 0;

		for (; clouds[i][n] != '\0'; n++)
			start[n] = clouds[i][n] >= 'a' && clouds[i][n] <= 'z'
			    ? (char)(clouds[i][n] - 'a' + 'A')
			    : clouds[i][n];
		snprintf(start + n, sizeof(start) - (size_t)n, "_PROFILES_");
		if (!str_starts(name, str_of(start)))
			continue;
		rest.ptr += strlen(start);
		rest.len -= strlen(start);
		*profile = str_cut(&rest, '_');
		if (rest.ptr == NULL || !profile_ok(*profile))
			return NULL;
		n = snprintf(plain, sizeof(plain), "%.*s_" STR_FMT, n, start,
		    STR_ARG(rest));
		return n < 0 || (size_t)n >= sizeof(plain)
		    ? NULL
		    : env_find((struct str){ plain, (size_t)n });
	}
	return env_find(name);
}

static int
take_env(struct config *c, struct str name, struct str value, struct err *err)
{
	static const char *const others[] = { "CONFIG_DIR", "CLOUD_PROFILE" };
	const struct config_key *row;
	struct setting *s;
	struct str profile;
	struct toml *v;

	for (size_t i = 0; i < COUNT_OF(others); i++)
		if (str_eqz(name, others[i]))
			return 0;
	row = env_locate(name, &profile);
	if (row == NULL) {
		struct str key = arena_lower(&c->arena, name);

		log_warn("Unknown configuration field \"" STR_FMT
			 "\" from environment variable TEDGE_" STR_FMT,
		    STR_ARG(key), STR_ARG(name));
		return 0;
	}
	if (value.len > 0 && (value.ptr[0] == '"' || value.ptr[0] == '[')) {
		if (toml_read_value(&c->arena, value, &v, err) != 0)
			goto bad;
		if (!as_typed(&c->arena, v, &value)) {
			err_set(err, ERR_PARAM, "must be one value");
			goto bad;
		}
	}
	if (value.len > 0 && check(row, value, err) != 0)
		goto bad;
	s = get(c, row, arena_lower(&c->arena, profile));
	s->env = arena_str(&c->arena, value);
	return 0;
bad:
	return err_wrap(err, "TEDGE_" STR_FMT, STR_ARG(name));
}

static int
read_env(struct config *c, struct err *err)
{
	for (char **e = environ; e != NULL && *e != NULL; e++) {
		struct str value = str_of(*e), name;
		int rc;

		if (!str_starts(value, STR("TEDGE_")))
			continue;
		name = str_cut(&value, '=');
		name.ptr += 6;
		name.len -= 6;
		rc = value.ptr == NULL ? 0 : take_env(c, name, value, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* --- the value of a key -------------------------------------------------- */

static bool
is_device_id(const struct config_key *row)
{
	return str_eqz(str_of(row->key), "device.id") ||
	    str_ends(str_of(row->key), STR(".device.id"));
}

static struct str
own(const struct config *c, const struct config_key *row, struct str profile)
{
	const struct setting *s = find(c, row, profile);

	if (s == NULL)
		return STR_NULL;
	if (s->env.ptr != NULL)
		return s->env.len > 0 ? s->env : STR_NULL;
	return s->file;
}

static struct str
value_of(
    const struct config *c, const struct config_key *row, struct str profile)
{
	struct str v = own(c, row, profile);
	struct str from = str_of(row->from);
	const char *cloud = cloud_of(str_of(row->key));

	while (v.ptr == NULL && from.ptr != NULL) {
		struct str key = str_cut(&from, ',');
		const struct config_key *other = config_find(key);

		v = value_of(c, other,
		    cloud != NULL && cloud_of(key) == cloud ? profile
							    : STR_NULL);
	}
	return v.ptr != NULL ? v : c->defs[index_of(row)];
}

/* The common name of the certificate takes the place of every device id that is
 * of it. */
static void
take_certificate(
    struct config *c, const struct config_key *row, struct str profile)
{
	struct buf path = { 0 }, pem = { 0 }, name = { 0 };
	struct str key = str_of(row->key), where;
	struct setting *s;

	key.len -= 2; /* "id" */
	buf_addf(&path, STR_FMT "cert_path", STR_ARG(key));
	where = value_of(c, config_find(buf_str(&path)), profile);
	buf_clear(&path);
	buf_add_str(&path, where);
	if (where.ptr != NULL && file_read(buf_z(&path), &pem, NULL) == 0 &&
	    x509_common_name(buf_str(&pem), &name)) {
		s = get(c, row, profile);
		s->env = arena_str(&c->arena, buf_str(&name));
		s->certified = true;
	}
	buf_free(&path);
	buf_free(&pem);
	buf_free(&name);
}

static void
read_certificates(struct config *c)
{
	const struct setting *last = c->last;

	for (const struct config_key *k = config_keys; k->key != NULL; k++)
		if (is_device_id(k))
			take_certificate(c, k, STR_NULL);
	for (const struct setting *s = c->first; s != NULL; s = s->next) {
		char key[64];

		if (s->profile.ptr != NULL) {
			snprintf(key, sizeof(key), "%s.device.id",
			    cloud_of(str_of(s->row->key)));
			take_certificate(
			    c, config_find(str_of(key)), s->profile);
		}
		if (s == last)
			break;
	}
}

/* --- life ---------------------------------------------------------------- */

static int
load(struct config *c, struct err *err)
{
	static const char dir[] = "${config_dir}";
	size_t n = 0;
	int rc;

	while (config_keys[n].key != NULL)
		n++;
	c->first = c->last = NULL;
	c->divided = NULL;
	c->defs = arena_array(&c->arena, n, struct str);
	for (size_t i = 0; i < n; i++) {
		c->defs[i] = str_of(config_keys[i].def);
		if (str_starts(c->defs[i], STR("${config_dir}")))
			c->defs[i] = arena_printf(&c->arena, "%s%s", c->dir,
			    config_keys[i].def + sizeof(dir) - 1);
	}
	rc = read_file(c, err);
	if (rc == 0)
		rc = read_env(c, err);
	if (rc == 0)
		read_certificates(c);
	return rc;
}

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
	rc = load(c, err);
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
	const struct config_key *row = locate(str_of(key), &profile, &alias);

	assert(row != NULL);
	return value_of(c, row, profile);
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

static struct strs
as_list(const struct config *c, struct str text)
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
	return as_list(c, config_text(c, key));
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
	return value_of(of->config, row, of->profile);
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
	return as_list(of->config, cloud_text(of, key));
}

void
config_profiles(const struct config *c, const char *cloud,
    void (*each)(void *ctx, struct str profile), void *ctx)
{
	for (const struct setting *s = c->first; s != NULL; s = s->next) {
		bool first = true;

		if (!is_of(s, cloud))
			continue;
		for (const struct setting *t = c->first; t != s; t = t->next)
			if (is_of(t, cloud) &&
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
		if (profile.ptr != NULL && spelt(c, name, profile).ptr == NULL)
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

/* --- changing ------------------------------------------------------------ */

/* The path of a key in the file: its words, and those of the profile. */
static struct strs
path_of(struct arena *a, const char *key, struct str profile)
{
	struct str rest = str_of(key);
	struct strs path = { arena_array(a, 16, struct str), 0 };

	path.at[path.n++] = str_cut(&rest, '.');
	if (profile.ptr != NULL) {
		path.at[path.n++] = STR("profiles");
		path.at[path.n++] = profile;
	}
	while (rest.ptr != NULL)
		path.at[path.n++] = str_cut(&rest, '.');
	return path;
}

static struct str
as_toml(const struct config *c, struct arena *a, const struct config_key *row,
    struct str value)
{
	struct buf b = { 0 };
	struct strs list;
	struct str ret;

	switch (row->type) {
	case CONFIG_INT:
	case CONFIG_BOOL:
		buf_add_str(&b, value);
		break;
	case CONFIG_LIST:
		list = as_list(c, arena_str(a, value));
		buf_addc(&b, '[');
		for (size_t i = 0; i < list.n; i++) {
			if (i > 0)
				buf_addz(&b, ", ");
			toml_quote(&b, list.at[i]);
		}
		buf_addc(&b, ']');
		break;
	default:
		toml_quote(&b, value);
	}
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

/* `out`: the text with all old spellings taken away and the value set. */
static int
edit(struct config *c, struct arena *a, const struct config_key *row,
    struct str profile, struct str value, struct str text, struct buf *out,
    struct err *err)
{
	struct buf was = { 0 };
	int rc = 0;

	buf_add_str(out, text);
	for (const char *const *old = row->aliases;
	     rc == 0 && old != NULL && *old != NULL; old++) {
		struct buf t = was;

		was = *out;
		*out = t;
		buf_clear(out);
		rc = toml_set(buf_str(&was), path_of(a, *old, profile),
		    STR_NULL, out, err);
		if (rc == ERR_PARAM) { /* the place is another table's */
			buf_clear(out);
			buf_add_str(out, buf_str(&was));
			rc = 0;
		}
	}
	if (rc == 0) {
		struct buf t = was;

		was = *out;
		*out = t;
		buf_clear(out);
		rc = toml_set(buf_str(&was), path_of(a, row->key, profile),
		    value.ptr == NULL ? STR_NULL : as_toml(c, a, row, value),
		    out, err);
	}
	buf_free(&was);
	return rc;
}

/* Changes are made by one at a time: from the reading of what is there to the
 * writing. -1: no lock, and why. */
static int
lock(const struct config *c, struct err *err)
{
	int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		err_errno(err, "open %s", c->dir);
	} else if (flock(fd, LOCK_EX) < 0) {
		err_errno(err, "lock %s", c->dir);
		close(fd);
		fd = -1;
	}
	return fd;
}

static int
reload(struct config *c, struct err *err)
{
	struct config was = *c;
	int rc;

	c->arena = (struct arena){ 0 };
	rc = load(c, err);
	if (rc != 0) {
		arena_fini(&c->arena);
		*c = was;
	} else {
		arena_fini(&was.arena);
	}
	return rc;
}

/* Reads the file, changes it and writes it. */
static int
change(struct config *c, const struct config_key *row, struct str profile,
    struct str value, struct err *err)
{
	struct arena a = { 0 };
	struct buf text = { 0 }, out = { 0 };
	int rc = 0;

	if (access(c->path, F_OK) == 0 || errno != ENOENT)
		rc = file_read(c->path, &text, err);
	else
		buf_addz(&text, "[config]\nversion = \"1\"\n");
	if (rc == 0)
		rc =
		    edit(c, &a, row, profile, value, buf_str(&text), &out, err);
	if (rc != 0)
		err_wrap(err, "%s", c->path);
	else
		rc = file_replace(c->path, buf_str(&out), err);
	buf_free(&text);
	buf_free(&out);
	arena_fini(&a);
	return rc;
}

/* The row that may be changed, and the profile as the file spells it. */
static int
to_change(struct config *c, struct arena *a, struct str key,
    const struct config_key **row, struct str *profile, struct err *err)
{
	const char *alias;
	struct str known;

	*row = locate(key, profile, &alias);
	if (*row == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "Invalid key `" STR_FMT "'. See `tedge config list --doc` "
		    "for a list of valid keys.",
		    STR_ARG(key));
	if ((*row)->read_only)
		return err_set(err, ERR_PARAM, "%s can not be set. %s",
		    (*row)->key, (*row)->note);
	if (profile->ptr != NULL) {
		known = spelt(c, cloud_of(str_of((*row)->key)), *profile);
		*profile = known.ptr != NULL ? arena_str(a, known)
					     : arena_lower(a, *profile);
	}
	return 0;
}

/* Under the lock. */
static int
set(struct config *c, const struct config_key *row, struct str profile,
    struct str value, struct err *err)
{
	int rc;

	if (value.ptr != NULL && check(row, value, err) != 0)
		return err_wrap(err, "%s", row->key);
	rc = change(c, row, profile, value, err);
	return rc != 0 ? rc : reload(c, err);
}

int
config_set(struct config *c, struct str key, struct str value, struct err *err)
{
	const struct config_key *row;
	struct arena a = { 0 };
	struct str profile;
	int rc = to_change(c, &a, key, &row, &profile, err);

	if (rc == 0 && value.ptr != NULL && is_device_id(row)) {
		const struct setting *s = find(c, row, profile);

		if (s != NULL && s->certified)
			rc = err_set(err, ERR_PARAM,
			    "%s is read from the device certificate and "
			    "cannot be set directly. To change it, remove the "
			    "certificate by `tedge cert remove` and make one "
			    "by `tedge cert create --device-id <id>`.",
			    row->key);
	}
	if (rc == 0) {
		int locked = lock(c, err);

		rc = locked < 0 ? ERR_IO : set(c, row, profile, value, err);
		if (locked >= 0)
			close(locked);
	}
	arena_fini(&a);
	return rc;
}

/* The list's text with some items more or less. */
static void
join(struct strs list, struct strs items, bool add, struct buf *text)
{
	for (size_t i = 0; i < list.n; i++) {
		bool named = false;

		for (size_t j = 0; j < items.n; j++)
			named = named || str_eq(list.at[i], items.at[j]);
		if (!named)
			buf_addf(text, "%s" STR_FMT, text->len > 0 ? "," : "",
			    STR_ARG(list.at[i]));
	}
	for (size_t j = 0; add && j < items.n; j++)
		buf_addf(text, "%s" STR_FMT, text->len > 0 ? "," : "",
		    STR_ARG(items.at[j]));
}

static int
change_list(struct config *c, struct str key, struct str items, bool add,
    struct err *err)
{
	const struct config_key *row;
	struct arena a = { 0 };
	struct buf text = { 0 };
	struct str profile;
	int locked = -1, rc = to_change(c, &a, key, &row, &profile, err);

	if (rc != 0)
		goto done;
	if (row->type != CONFIG_LIST) {
		rc = err_set(err, ERR_PARAM,
		    "%s is no list; use `tedge config %s`", row->key,
		    add ? "set" : "unset");
		goto done;
	}
	items = arena_str(&a, items);
	locked = lock(c, err);
	rc = locked < 0 ? ERR_IO : reload(c, err);
	if (rc != 0)
		goto done;
	join(as_list(c, value_of(c, row, profile)),
	    as_list(c, arena_str(&c->arena, items)), add, &text);
	rc = set(c, row, profile, (struct str){ buf_z(&text), text.len }, err);
done:
	if (locked >= 0)
		close(locked);
	buf_free(&text);
	arena_fini(&a);
	return rc;
}

int
config_add(struct config *c, struct str key, struct str value, struct err *err)
{
	return change_list(c, key, value, true, err);
}

int
config_remove(
    struct config *c, struct str key, struct str value, struct err *err)
{
	return change_list(c, key, value, false, err);
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
	     k->key != NULL && cloud_of(str_of(k->key)) == v->cloud; k++) {
		buf_clear(&key);
		buf_addf(&key, "%s.profiles." STR_FMT "%s", v->cloud,
		    STR_ARG(profile), k->key + strlen(v->cloud));
		v->each(v->ctx, k, buf_str(&key), value_of(v->c, k, profile));
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
		const char *cloud = cloud_of(str_of(k->key));

		if (cloud != v.cloud) {
			v.cloud = cloud;
			v.row = k;
		}
		each(ctx, k, str_of(k->key), value_of(c, k, STR_NULL));
		if (cloud != NULL &&
		    (k[1].key == NULL || cloud_of(str_of(k[1].key)) != cloud))
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
		const char *cloud = cloud_of(str_of(k->key));
		struct str v;
		struct strs list;

		if (!k->exposed ||
		    (of == NULL
			    ? cloud != NULL
			    : cloud == NULL || strcmp(cloud, of->name) != 0))
			continue;
		v = value_of(c, k, of == NULL ? STR_NULL : of->profile);
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
			list = as_list(c, v);
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

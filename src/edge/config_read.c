/*
 * edge/config_read.c - what was set: in tedge.toml and the clouds' own files
 * (config_own.c), in the environment, and by the device's certificate. See
 * config.h.
 */
#include "edge/config_private.h"

#include "base/base.h"
#include "base/file.h"
#include "base/log.h"
#include "codec/x509.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_MODULE "config"

static const char *const clouds[] = { "c8y", "az", "aws", "marram" };

/* --- what was set -------------------------------------------------------- */

static struct setting *
get(struct config *c, const struct config_key *row, struct str profile)
{
	struct setting *s = config_setting(c, row, profile);
	struct str known;

	if (s != NULL)
		return s;
	s = arena_new(&c->arena, struct setting);
	s->row = row;
	if (profile.ptr != NULL) {
		known =
		    config_spelt(c, config_cloud_of(str_of(row->key)), profile);
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

/* A file that is read. */
struct source {
	const char *path;
	const struct own_file *of; /* NULL: it is tedge.toml */
};

/* The key as tedge.toml has it; STR_NULL: it is none. */
static struct str
whole_key(const struct source *from, struct str key, struct arena *a)
{
	const struct own_file *of = from->of;

	if (of == NULL)
		return str_starts(key, STR("config.")) ? STR_NULL : key;
	if (str_eqz(key, "cloud_type")) /* its folder says so */
		return STR_NULL;
	key = config_own_key(key);
	return of->profile.ptr == NULL
	    ? arena_printf(a, "%s." STR_FMT, of->cloud, STR_ARG(key))
	    : arena_printf(a, "%s.profiles." STR_FMT "." STR_FMT, of->cloud,
		  STR_ARG(of->profile), STR_ARG(key));
}

static int
take_key(struct config *c, const struct source *from, struct str key,
    const struct toml *v, struct err *err)
{
	const struct config_key *row;
	struct setting *s;
	struct str profile, text, whole = whole_key(from, key, &c->arena);
	const char *alias;

	if (whole.ptr == NULL)
		return 0;
	row = config_locate(whole, &profile, &alias);
	if (row == NULL) {
		log_warn("%s: line %u: unknown configuration field \"" STR_FMT
			 "\"",
		    from->path, v->line, STR_ARG(key));
		return 0;
	}
	s = get(c, row, profile);
	if (s->file.ptr != NULL && s->path == from->path) {
		log_warn("%s: line %u: \"" STR_FMT "\" is \"%s\" of line %u "
			 "again; the one with the older name is passed over",
		    from->path, v->line, STR_ARG(key), row->key, s->line);
		if (alias != NULL)
			return 0;
	}
	if (!config_as_typed(&c->arena, v, &text))
		err_set(err, ERR_PARAM, "must be one value");
	else if (config_check(row, text, err) == 0) {
		s->file = text;
		s->path = from->path;
		s->line = v->line;
		return 0;
	}
	return err_wrap(err, "%s: line %u: %s", from->path, v->line, row->key);
}

static int
take_table(struct config *c, const struct source *from,
    const struct toml *table, struct str prefix, struct err *err)
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
		    ? take_table(c, from, m, buf_str(&key), err)
		    : take_key(c, from, buf_str(&key), m, err);
		buf_free(&key);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
config_take_file(struct config *c, const char *path, const struct own_file *of,
    struct err *err)
{
	const struct source from = { path, of };
	struct arena a = { 0 };
	struct buf text = { 0 };
	struct toml *root;
	int rc = 0;

	if (access(path, F_OK) != 0 && errno == ENOENT)
		return 0;
	rc = file_read(path, &text, err);
	if (rc == 0) {
		rc = toml_read(
		    &a, (struct str){ buf_z(&text), text.len }, &root, err);
		if (rc != 0)
			err_wrap(err, "%s", path);
		else
			rc = take_table(c, &from, root, STR(""), err);
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
		if (rest.ptr == NULL || !config_profile_ok(*profile))
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
		if (!config_as_typed(&c->arena, v, &value)) {
			err_set(err, ERR_PARAM, "must be one value");
			goto bad;
		}
	}
	if (value.len > 0 && config_check(row, value, err) != 0)
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
	where = config_value(c, config_find(buf_str(&path)), profile);
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
		if (config_is_device_id(k))
			take_certificate(c, k, STR_NULL);
	for (const struct setting *s = c->first; s != NULL; s = s->next) {
		char key[64];

		if (s->profile.ptr != NULL) {
			snprintf(key, sizeof(key), "%s.device.id",
			    config_cloud_of(str_of(s->row->key)));
			take_certificate(
			    c, config_find(str_of(key)), s->profile);
		}
		if (s == last)
			break;
	}
}

int
config_load(struct config *c, struct err *err)
{
	static const char dir[] = "${config_dir}";
	size_t n = 0;
	int rc;

	while (config_keys[n].key != NULL)
		n++;
	c->first = c->last = NULL;
	c->owns = NULL;
	c->divided = NULL;
	c->defs = arena_array(&c->arena, n, struct str);
	for (size_t i = 0; i < n; i++) {
		c->defs[i] = str_of(config_keys[i].def);
		if (str_starts(c->defs[i], STR("${config_dir}")))
			c->defs[i] = arena_printf(&c->arena, "%s%s", c->dir,
			    config_keys[i].def + sizeof(dir) - 1);
	}
	rc = config_take_file(c, c->path, NULL, err);
	if (rc == 0)
		rc = config_read_own(c, err);
	if (rc == 0)
		rc = read_env(c, err);
	if (rc == 0)
		read_certificates(c);
	return rc;
}

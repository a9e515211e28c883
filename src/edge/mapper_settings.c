/*
 * edge/mapper_settings.c - see mapper_settings.h.
 */
#include "edge/mapper_settings.h"

#include "base/base.h"
#include "base/file.h"
#include "base/log.h"
#include "codec/mqtt.h"
#include "codec/toml.h"
#include "codec/x509.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_MODULE "mapper"
#define PORT_TLS 8883
#define PORT_CLEAR 1883
#define KEEPALIVE_MS 60000
#define PACKET_MAX 268435455
#define FOLDERS_MAX 1000

#define FROM_OWN "from mapper.toml"
#define FROM_DEVICE "not set in mapper.toml, inherited from tedge.toml"
#define FROM_TEDGE "from tedge.toml"
#define FROM_DEFAULT "schema default"

/* Mappers that need no folder of their own. */
static const char *const built_in[] = { "c8y", "az", "aws", "marram",
	"collectd", "local" };

/* --- folders ------------------------------------------------------------- */

const char *
mapper_folder(const struct config *c, const char *name, struct str profile,
    struct arena *a)
{
	return arena_printf(a, "%s/mappers/%s%s" STR_FMT, config_dir(c), name,
	    profile.len > 0 ? "." : "", STR_ARG(profile))
	    .ptr;
}

static bool
is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool
is_built_in(struct str name)
{
	for (size_t i = 0; i < COUNT_OF(built_in); i++)
		if (str_eqz(name, built_in[i]))
			return true;
	return false;
}

bool
mapper_name_ok(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!((c >= 'a' && c <= 'z') ||
			(i > 0 && ((c >= '0' && c <= '9') || c == '-'))))
			return false;
	}
	return name.len > 0 && name.len <= 64 &&
	    !str_starts(name, STR("bridge-"));
}

bool
mapper_is_custom(const struct config *c, struct str name)
{
	struct arena a = { 0 };
	bool is = mapper_name_ok(name) && !is_built_in(name) &&
	    is_folder(mapper_folder(c, arena_z(&a, name), STR_NULL, &a));

	arena_fini(&a);
	return is;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void
mapper_each_folder(const struct config *c,
    void (*each)(void *ctx, const char *name), void *ctx)
{
	struct arena a = { 0 };
	struct str dir = arena_printf(&a, "%s/mappers", config_dir(c));
	const char **names = arena_array(&a, FOLDERS_MAX, const char *);
	const struct dirent *e;
	DIR *d = opendir(dir.ptr);
	size_t n = 0;

	while (d != NULL && n < FOLDERS_MAX && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' &&
		    is_folder(
			arena_printf(&a, "%s/%s", dir.ptr, e->d_name).ptr))
			names[n++] = arena_z(&a, str_of(e->d_name));
	if (d != NULL)
		(void)closedir(d);
	qsort(names, n, sizeof(*names), compare);
	for (size_t i = 0; i < n; i++)
		each(ctx, names[i]);
	arena_fini(&a);
}

/* --- mapper.toml --------------------------------------------------------- */

static int
wrong(const struct toml *v, const char *key, const char *must, struct err *err)
{
	return err_set(
	    err, ERR_PARAM, "line %u: %s: must be %s", v->line, key, must);
}

/* What stands at `key`, a text; NULL: nothing does. */
static int
get_text(const struct mapper_settings *m, const char *key, const char **ret,
    struct arena *a, struct err *err)
{
	const struct toml *v = toml_at(m->own, key);

	*ret = NULL;
	if (v == NULL)
		return 0;
	if (v->type != TOML_TEXT || v->text.len == 0 ||
	    memchr(v->text.ptr, '\0', v->text.len) != NULL)
		return wrong(v, key, "a text", err);
	*ret = arena_z(a, v->text);
	return 0;
}

/* "a/./b/../c" is "a/c"; nothing is looked at on disk. */
static const char *
without_dots(struct str path, struct arena *a)
{
	struct buf b = { 0 };
	const char *ret;

	while (path.ptr != NULL) {
		struct str part = str_cut(&path, '/');

		if (part.len == 0 || str_eqz(part, "."))
			continue;
		if (str_eqz(part, "..")) {
			while (b.len > 0 && b.ptr[--b.len] != '/')
				;
			continue;
		}
		buf_addf(&b, "/" STR_FMT, STR_ARG(part));
	}
	ret = b.len > 0 ? arena_z(a, buf_str(&b)) : "/";
	buf_free(&b);
	return ret;
}

/* A path, which may be relative to the mapper's folder; else that of the
 * device. */
static int
get_path(const struct mapper_settings *m, const char *key,
    const char *device_key, struct mapper_value *ret, struct arena *a,
    struct err *err)
{
	const char *text;
	struct str device;
	int rc = get_text(m, key, &text, a, err);

	if (rc != 0)
		return rc;
	if (text != NULL && text[0] == '/') {
		*ret = (struct mapper_value){ text, FROM_OWN, "mapper.toml" };
	} else if (text != NULL) {
		*ret = (struct mapper_value){
			without_dots(
			    arena_printf(a, "%s/%s", m->folder, text), a),
			arena_printf(a,
			    "relative path '%s' in mapper.toml, resolved to "
			    "absolute",
			    text)
			    .ptr,
			"mapper.toml"
		};
	} else if (device_key != NULL) {
		device = config_text(m->config, device_key);
		if (device.len > 0)
			*ret = (struct mapper_value){ arena_z(a, device),
				FROM_DEVICE, "tedge.toml" };
	}
	return 0;
}

/* One of some words; the first stands for nothing said. */
static int
get_word(const struct mapper_settings *m, const char *key,
    const char *const *words, unsigned *ret, struct err *err)
{
	const struct toml *v = toml_at(m->own, key);
	char must[120] = "one of";

	*ret = 0;
	if (v == NULL)
		return 0;
	for (unsigned i = 0; words[i] != NULL; i++) {
		size_t len = strlen(must);

		if (str_eqz(v->text, words[i]) &&
		    (v->type == TOML_TEXT || v->type == TOML_BOOL)) {
			*ret = i;
			return 0;
		}
		snprintf(must + len, sizeof(must) - len, "%s %s",
		    i > 0 ? "," : "", words[i]);
	}
	return wrong(v, key, must, err);
}

static int
read_url(struct mapper_settings *m, struct arena *a, struct err *err)
{
	const char *text, *colon;
	struct str rest, host, port;
	int64_t n;
	int rc = get_text(m, "url", &text, a, err);

	if (rc != 0 || text == NULL)
		return rc;
	rest = str_of(text);
	colon = strrchr(text, ':');
	host = rest;
	n = PORT_TLS;
	if (colon != NULL && (text[0] != '[' || colon[-1] == ']')) {
		host.len = (size_t)(colon - text);
		port = str_of(colon + 1);
		if (!str_to_i64(port, &n) || n < 1 || n > 65535)
			host.len = 0;
	}
	if (host.len > 1 && host.ptr[0] == '[') { /* [::1] */
		host.ptr++;
		host.len -= 2;
	}
	if (host.len == 0 || strpbrk(text, "/ @\t\r\n") != NULL)
		return wrong(toml_at(m->own, "url"), "url",
		    "a host, with or without \":port\"", err);
	m->url = (struct mapper_value){ text, FROM_OWN, "mapper.toml" };
	m->host = arena_z(a, host);
	m->port = (uint16_t)n;
	return 0;
}

static int
read_bridge(struct mapper_settings *m, struct err *err)
{
	static const char *const tls[] = { "auto", "on", "off", "true", "false",
		NULL };
	const struct toml *clean = toml_at(m->own, "bridge.clean_session");
	const struct toml *keep = toml_at(m->own, "bridge.keepalive_interval");
	const struct toml *max = toml_at(m->own, "bridge.max_payload_size");
	unsigned word;
	int rc = get_word(m, "bridge.tls.enable", tls, &word, err);

	m->tls = word == 0 ? m->port != PORT_CLEAR : word % 2 == 1;
	m->tls_said = (struct mapper_value){ tls[word],
		word == 0 ? FROM_DEFAULT : FROM_OWN,
		word == 0 ? "default" : "mapper.toml" };
	m->keepalive_ms = KEEPALIVE_MS;
	m->max_payload = PACKET_MAX;
	if (rc == 0 && clean != NULL && clean->type != TOML_BOOL)
		rc = wrong(clean, "bridge.clean_session", "true or false", err);
	if (rc == 0 && keep != NULL &&
	    ((keep->type != TOML_TEXT && keep->type != TOML_INT) ||
		!config_duration(keep->text, &m->keepalive_ms) ||
		m->keepalive_ms > (int64_t)UINT16_MAX * 1000))
		rc = wrong(keep, "bridge.keepalive_interval",
		    "seconds, or a time such as 60s or 2m, up to 65535s", err);
	if (rc == 0 && max != NULL) {
		if (max->type != TOML_INT || max->number < 128 ||
		    max->number > PACKET_MAX)
			rc = wrong(max, "bridge.max_payload_size",
			    "a number of 128 to 268435455", err);
		else
			m->max_payload = (uint32_t)max->number;
	}
	m->clean_session = clean != NULL && clean->yes;
	return rc;
}

/* As it is said; else that of the certificate, or of the device where there is
 * none. */
static int
read_id(struct mapper_settings *m, struct arena *a, struct err *err)
{
	const char *text;
	struct buf pem = { 0 }, name = { 0 };
	struct str device;
	int rc = get_text(m, "device.id", &text, a, err);

	if (rc != 0)
		return rc;
	if (text != NULL) {
		m->id = (struct mapper_value){ text, FROM_OWN, "mapper.toml" };
	} else if (m->by_account) {
		device = config_text(m->config, "device.id");
		if (device.len > 0)
			m->id = (struct mapper_value){ arena_z(a, device),
				FROM_DEVICE, "tedge.toml" };
	} else if (m->cert.text != NULL &&
	    file_read(m->cert.text, &pem, NULL) == 0 &&
	    x509_common_name(buf_str(&pem), &name)) {
		m->id = (struct mapper_value){ arena_z(a, buf_str(&name)),
			arena_printf(a, "inferred from certificate CN (%s)",
			    m->cert.text)
			    .ptr,
			"cert CN" };
	}
	buf_free(&pem);
	buf_free(&name);
	return 0;
}

static int
read_own(struct mapper_settings *m, struct arena *a, struct err *err)
{
	static const char *const methods[] = { "auto", "certificate",
		"password", "basic", NULL };
	static const char *const types[] = { "", "c8y", "az", "aws", NULL };
	unsigned method, type;
	int rc = read_url(m, a, err);

	if (rc == 0)
		rc = get_word(m, "auth_method", methods, &method, err);
	if (rc == 0)
		rc = get_word(m, "cloud_type", types, &type, err);
	if (rc == 0)
		rc = get_path(
		    m, "credentials_path", NULL, &m->credentials, a, err);
	if (rc == 0)
		rc = get_path(m, "device.cert_path", "device.cert_path",
		    &m->cert, a, err);
	if (rc == 0)
		rc = get_path(
		    m, "device.key_path", "device.key_path", &m->key, a, err);
	if (rc == 0)
		rc = get_path(
		    m, "device.root_cert_path", NULL, &m->roots, a, err);
	if (rc == 0)
		rc = read_bridge(m, err);
	if (rc != 0)
		return rc;
	if (m->roots.text == NULL)
		m->roots = (struct mapper_value){ "/etc/ssl/certs",
			FROM_DEFAULT, "default" };
	m->cloud_type = types[type];
	m->by_account =
	    method >= 2 || (method == 0 && m->credentials.text != NULL);
	m->auth =
	    (struct mapper_value){ m->by_account ? "password" : "certificate",
		    method == 0 ? FROM_DEFAULT : FROM_OWN,
		    method == 0 ? "default" : "mapper.toml" };
	return read_id(m, a, err);
}

static void
add_name(void *ctx, const char *name)
{
	struct buf *names = ctx;

	buf_addf(names, "%s%s", names->len > 0 ? ", " : "", name);
}

static int
no_folder(const struct mapper_settings *m, struct err *err)
{
	struct buf names = { 0 };
	int rc;

	mapper_each_folder(m->config, add_name, &names);
	if (names.len > 0)
		rc = err_set(err, ERR_NOT_FOUND,
		    "Mapper directory '%s' does not exist. Available mappers: "
		    "%s",
		    m->folder, buf_z(&names));
	else
		rc = err_set(err, ERR_NOT_FOUND,
		    "Mapper directory '%s' does not exist. No mappers found "
		    "under '%s/mappers'.",
		    m->folder, config_dir(m->config));
	buf_free(&names);
	return rc;
}

int
mapper_settings_read(const struct config *c, const char *name, struct arena *a,
    struct mapper_settings *ret, struct err *err)
{
	struct mapper_settings m = { .config = c, .name = name };
	struct buf text = { 0 };
	struct toml *own = NULL;
	const char *file;
	struct stat st;
	int rc = 0;

	m.folder = mapper_folder(c, name, STR_NULL, a);
	if (!is_folder(m.folder))
		return no_folder(&m, err);
	file = arena_printf(a, "%s/mapper.toml", m.folder).ptr;
	if (stat(file, &st) == 0) {
		rc = file_read(file, &text, err);
		if (rc == 0)
			rc = toml_read(
			    a, arena_str(a, buf_str(&text)), &own, err);
		buf_free(&text);
	} else {
		rc = toml_read(a, STR(""), &own, err);
	}
	m.own = own;
	if (rc == 0)
		rc = read_own(&m, a, err);
	if (stat(file, &st) != 0)
		m.own = NULL;
	if (rc != 0)
		return err_wrap(err, "%s", file);
	*ret = m;
	return 0;
}

void
mapper_settings_cloud(const struct cloud *cloud, bool by_account,
    struct arena *a, struct mapper_settings *ret)
{
	*ret = (struct mapper_settings){ .config = cloud->config,
		.name = cloud->name,
		.folder = mapper_folder(
		    cloud->config, cloud->name, cloud->profile, a),
		.cloud = *cloud,
		.by_account = by_account };
}

/* --- asking -------------------------------------------------------------- */

static int
not_set(const struct mapper_settings *m, struct str key, const char *shown,
    struct err *err)
{
	struct str profile = m->cloud.profile;

	if (m->cloud.name == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "A value for '%s' is not set. Set '" STR_FMT
		    "' in mapper.toml",
		    shown, STR_ARG(key));
	return err_set(err, ERR_NOT_FOUND,
	    "A value for '%s' is not set. Configure this via 'tedge config set "
	    "%s." STR_FMT " <value>%s" STR_FMT "'",
	    shown, m->name, STR_ARG(key), profile.len > 0 ? " --profile " : "",
	    STR_ARG(profile));
}

static int
of_cloud(const struct mapper_settings *m, struct str key, struct arena *a,
    struct mapper_found *ret, struct err *err)
{
	const char *plain = arena_z(a, key);
	struct str whole = arena_printf(a, "%s.%s", m->name, plain);
	const struct config_key *row = config_find(whole);
	struct str profile = m->cloud.profile;

	*ret = (struct mapper_found){ .from = FROM_TEDGE };
	ret->shown = profile.len > 0 ? arena_printf(a, "%s." STR_FMT ".%s",
					   m->name, STR_ARG(profile), plain)
					   .ptr
				     : whole.ptr;
	if (str_eqz(key, "auth_method")) {
		ret->text =
		    m->by_account ? STR("password") : STR("certificate");
		return 0;
	}
	if (row == NULL || str_starts(key, STR("profiles.")))
		return err_set(err, ERR_PARAM, "Unknown mapper config key: %s",
		    ret->shown);
	if (row->secret)
		return err_set(err, ERR_PARAM, "%s is a secret", ret->shown);
	if (str_eqz(key, "device.id") && m->device_id != NULL) {
		ret->text = str_of(m->device_id);
		return 0;
	}
	/* the row's own spelling: `key` may be an older one */
	plain = row->key + strlen(m->name) + 1;
	ret->text = cloud_text(&m->cloud, plain);
	ret->is_list = row->type == CONFIG_LIST;
	if (ret->is_list)
		ret->list = cloud_list(&m->cloud, plain);
	if (ret->text.ptr == NULL || (ret->text.len == 0 && !ret->is_list))
		return not_set(m, key, ret->shown, err);
	return 0;
}

static int
list_of(const struct toml *v, const char *shown, struct arena *a,
    struct mapper_found *ret, struct err *err)
{
	struct buf text = { 0 };

	ret->is_list = true;
	ret->list.at = arena_array(a, v->n + 1, struct str);
	for (const struct toml *m = v->first; m != NULL; m = m->next) {
		if (m->type != TOML_TEXT) {
			buf_free(&text);
			return err_set(err, ERR_PARAM,
			    "%s: line %u: must be a list of texts", shown,
			    m->line);
		}
		ret->list.at[ret->list.n++] = m->text;
		buf_addf(&text, "%s" STR_FMT, text.len > 0 ? "," : "",
		    STR_ARG(m->text));
	}
	ret->text = arena_str(a, (struct str){ buf_z(&text), text.len });
	buf_free(&text);
	return 0;
}

static int
of_file(const struct mapper_settings *m, struct str key, struct arena *a,
    struct mapper_found *ret, struct err *err)
{
	const struct {
		const char *key;
		const struct mapper_value *value;
	} known[] = {
		{ "url", &m->url },
		{ "auth_method", &m->auth },
		{ "credentials_path", &m->credentials },
		{ "device.id", &m->id },
		{ "device.cert_path", &m->cert },
		{ "device.key_path", &m->key },
		{ "device.root_cert_path", &m->roots },
		{ "cloud_type", NULL },
		{ "bridge.clean_session", NULL },
		{ "bridge.keepalive_interval", NULL },
		{ "bridge.max_payload_size", NULL },
		{ "bridge.tls.enable", &m->tls_said },
	};
	const char *plain = arena_z(a, key);
	const struct toml *v;

	*ret = (struct mapper_found){ .from = FROM_OWN, .shown = plain };
	for (size_t i = 0; i < COUNT_OF(known); i++)
		if (str_eqz(key, known[i].key) && known[i].value != NULL &&
		    known[i].value->text != NULL) {
			ret->text = str_of(known[i].value->text);
			ret->from = known[i].value->from;
			return 0;
		}
	v = m->own != NULL ? toml_at(m->own, plain) : NULL;
	if (v == NULL) {
		for (size_t i = 0; i < COUNT_OF(known); i++)
			if (str_eqz(key, known[i].key))
				return not_set(m, key, plain, err);
		return err_set(err, ERR_PARAM,
		    "Unknown mapper config key: %s.%s", m->name, plain);
	}
	if (v->type == TOML_TABLE)
		return err_set(err, ERR_PARAM,
		    "'%s' is a table; ask for a key in it", plain);
	if (v->type == TOML_ARRAY)
		return list_of(v, plain, a, ret, err);
	ret->text = v->text;
	return 0;
}

int
mapper_setting(const struct mapper_settings *m, struct str key, struct arena *a,
    struct mapper_found *ret, struct err *err)
{
	return m->cloud.name != NULL ? of_cloud(m, key, a, ret, err)
				     : of_file(m, key, a, ret, err);
}

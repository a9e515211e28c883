/*
 * edge/bridge_plan.c - see bridge_plan.h.
 */
#include "edge/bridge_plan.h"
#include "edge/device_key.h"
#include "edge/proxy_way.h"

#include "base/base.h"
#include "base/file.h"
#include "base/log.h"
#include "codec/toml.h"
#include "codec/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "bridge"
#define PORT_TLS 8883
#define PORT_SERVICE 9883 /* of Cumulocity's MQTT service */

/* --- the clouds ---------------------------------------------------------- */

struct kind {
	const char *name, *title, *client;
	bool forget_remote; /* as the cloud asks for */
	bool may_be_clear;  /* where the url says mqtt:// */
	uint8_t level;      /* of MQTT; 0: 5, or 4 */
	const char *user;   /* with its certificate; NULL: none */
	const char *online; /* told there: the remote_topic of a bridge */
};

static const struct kind kinds[] = {
	{ "c8y", "Cumulocity", "Cumulocity", .level = 4,
	    .forget_remote = true },
	{ "az", "Azure", "Azure", .level = 4,
	    .user = "{host}/{id}/?api-version=2018-06-30" },
	{ "aws", "AWS", "Aws", .level = 4, .user = "{id}" },
	{ "marram", "Marram", "Marram", .may_be_clear = true,
	    .user = "edge.{unit}.{gateway}.{id}",
	    .online = "marram/{unit}/gateway/{gateway}/{id}/online" },
};

/* --- settings ------------------------------------------------------------ */

/* Has this cloud the setting? */
static bool
is_key(const struct cloud *of, const char *key)
{
	char whole[128];
	int n = snprintf(whole, sizeof(whole), "%s.%s", of->name, key);

	return config_find((struct str){ whole, (size_t)n }) != NULL;
}

static struct str
text_of(const struct cloud *of, const char *key)
{
	return is_key(of, key) ? cloud_text(of, key) : STR_NULL;
}

static const char *
zero(struct arena *a, struct str s)
{
	return s.len > 0 ? arena_z(a, s) : NULL;
}

static int
not_set(const struct bridge_plan *p, const char *key, const char *example,
    struct err *err)
{
	struct str profile = p->cloud.profile;

	return err_set(err, ERR_PARAM,
	    "'%s.%s' is not set%s" STR_FMT
	    "; set it by: tedge config set %s.%s %s%s" STR_FMT,
	    p->cloud.name, key, profile.len > 0 ? " in profile " : "",
	    STR_ARG(profile), p->cloud.name, key, example,
	    profile.len > 0 ? " --profile " : "", STR_ARG(profile));
}

/* `text` with what stands in braces replaced. */
static const char *
filled(const struct bridge_plan *p, struct arena *a, const char *text)
{
	const struct {
		struct str name, value;
	} names[] = {
		{ STR("{host}"), str_of(p->host) },
		{ STR("{id}"), str_of(p->device_id) },
		{ STR("{unit}"), text_of(&p->cloud, "unit") },
		{ STR("{gateway}"), text_of(&p->cloud, "gateway") },
	};
	struct str rest = str_of(text);
	struct buf b = { 0 };
	const char *ret;

	while (rest.len > 0) {
		size_t i = 0;

		while (i < COUNT_OF(names) && !str_starts(rest, names[i].name))
			i++;
		if (i < COUNT_OF(names)) {
			buf_add_str(&b, names[i].value);
			rest.ptr += names[i].name.len;
			rest.len -= names[i].name.len;
		} else {
			buf_addc(&b, *rest.ptr++);
			rest.len--;
		}
	}
	ret = arena_z(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

/* --- where to, and as whom ----------------------------------------------- */

static int
read_address(struct bridge_plan *p, struct arena *a, const struct kind *k,
    struct err *err)
{
	const char *key = is_key(&p->cloud, "mqtt") ? "mqtt" : "url";
	struct str text = cloud_text(&p->cloud, key), url = text;
	struct mqtt_client_conf c = { 0 };

	if (text.len == 0)
		return not_set(p, "url", "HOST", err);
	if (!k->may_be_clear || !str_contains_nocase(text, STR("://")))
		url = arena_printf(a, "tls://" STR_FMT, STR_ARG(text));
	if (mqtt_client_url(a, url, &c, &p->tls, err) != 0)
		return err_set(err, ERR_PARAM,
		    "%s.%s: \"" STR_FMT "\" is no host, nor HOST:PORT",
		    p->cloud.name, key, STR_ARG(text));
	p->host = c.address;
	p->port = c.port;
	if (p->port == PORT_TLS && is_key(&p->cloud, "mqtt_service.enabled") &&
	    cloud_bool(&p->cloud, "mqtt_service.enabled"))
		p->port = PORT_SERVICE;
	return 0;
}

static int
read_proxy(struct bridge_plan *p, struct arena *a, struct err *err)
{
	struct proxy_way way;
	int rc = proxy_way_read(p->cloud.config, p->host, a, &way, err);

	p->proxy = way.host;
	p->proxy_port = way.port;
	p->proxy_tls = way.tls;
	p->proxy_user = way.user;
	p->proxy_password = way.password;
	return rc;
}

/* [c8y] username = "...", password = "..." The name may be missing where there
 * is one that is its `user` anyway. */
static int
read_credentials(struct bridge_plan *p, struct arena *a, const char *section,
    const char *user_, struct err *err)
{
	const struct toml *table, *user, *password;
	struct buf text = { 0 };
	struct toml *all;
	int rc = file_read(p->credentials, &text, err);

	if (rc == 0)
		rc = toml_read(a, arena_str(a, buf_str(&text)), &all, err);
	if (text.ptr != NULL)
		memset(text.ptr, 0, text.len);
	buf_free(&text);
	if (rc != 0)
		return err_wrap(err, "load %s", p->credentials);
	table = toml_get(all, str_of(section));
	user = table != NULL ? toml_get(table, STR("username")) : NULL;
	password = table != NULL ? toml_get(table, STR("password")) : NULL;
	if ((user == NULL && user_ == NULL) ||
	    (user != NULL && user->type != TOML_TEXT) || password == NULL ||
	    password->type != TOML_TEXT)
		return err_set(err, ERR_PARAM,
		    "load %s: username and password are expected as texts "
		    "under [%s]",
		    p->credentials, section);
	p->user = user != NULL ? arena_z(a, user->text) : user_;
	p->password = arena_z(a, password->text);
	return 0;
}

static int
read_certificate(struct bridge_plan *p, struct arena *a, const struct kind *k,
    struct err *err)
{
	struct device_key key;
	int rc;

	p->cert_file = zero(a, text_of(&p->cloud, "device.cert_path"));
	if (p->cert_file == NULL)
		return not_set(p, "device.cert_path", "FILE", err);
	rc = device_key(p->cloud.config, &p->cloud, a, &key, err);
	if (rc != 0)
		return rc;
	p->key_file = key.path;
	p->key_module = key.module;
	p->key_pin = key.pin;
	if (k->user != NULL)
		p->user = filled(p, a, k->user);
	return 0;
}

/* Does the file of credentials, which all clouds may share, speak of this one?
 * One that can not be read does, so that it is told. */
static bool
has_account(const struct cloud *cloud, const char *credentials)
{
	struct arena a = { 0 };
	struct buf text = { 0 };
	struct toml *all;
	struct err err;
	bool has;

	if (credentials == NULL || access(credentials, F_OK) < 0)
		return false;
	has = file_read(credentials, &text, &err) != 0 ||
	    toml_read(&a, buf_str(&text), &all, &err) != 0 ||
	    toml_get(all, str_of(cloud->name)) != NULL;
	if (text.ptr != NULL)
		memset(text.ptr, 0, text.len);
	buf_free(&text);
	arena_fini(&a);
	return has;
}

static bool
is_by_account(const struct cloud *cloud, const char *credentials)
{
	struct str method = text_of(cloud, "auth_method");

	return str_eqz(method, "basic") ||
	    (str_eqz(method, "auto") && has_account(cloud, credentials));
}

static int
read_identity(struct bridge_plan *p, struct arena *a, const struct kind *k,
    struct err *err)
{
	p->credentials = zero(a, text_of(&p->cloud, "credentials_path"));
	p->by_account = is_by_account(&p->cloud, p->credentials);
	if (!p->by_account && !p->tls)
		return err_set(err, ERR_PARAM,
		    "%s.url says mqtt://, where no certificate can be shown; "
		    "give the device a secret of its own by: tedge connect %s "
		    "--key KEY",
		    p->cloud.name, p->cloud.name);
	if (!p->by_account)
		return read_certificate(p, a, k, err);
	if (p->credentials == NULL)
		return not_set(p, "credentials_path", "FILE", err);
	return read_credentials(p, a, p->cloud.name,
	    k->user != NULL ? filled(p, a, k->user) : NULL, err);
}

/* The platform knows a certificate by the whole name of the device there,
 * "edge.UNIT.GATEWAY.ID", of which ID is ours. */
static void
shorten_id(struct bridge_plan *p, struct arena *a, const struct kind *k)
{
	const char *id = p->device_id;
	const char *prefix;
	size_t len;

	if (strcmp(k->name, "marram") != 0)
		return;
	p->device_id = "";
	prefix = filled(p, a, k->user);
	len = strlen(prefix);
	p->device_id =
	    strncmp(id, prefix, len) == 0 && id[len] != '\0' ? id + len : id;
}

static uint32_t
ms_of(const struct config *c, const char *key)
{
	int64_t ms = config_ms(c, key);

	return (uint32_t)MIN_OF(MAX_OF(ms, 1), UINT32_MAX);
}

static uint16_t
seconds(int64_t ms)
{
	return (uint16_t)MIN_OF((ms + 999) / 1000, UINT16_MAX);
}

static void
read_policy(struct bridge_plan *p, const struct config *c)
{
	p->retry_min_ms =
	    ms_of(c, "mqtt.bridge.reconnect_policy.initial_interval");
	p->retry_max_ms =
	    ms_of(c, "mqtt.bridge.reconnect_policy.maximum_interval");
	p->retry_reset_ms =
	    ms_of(c, "mqtt.bridge.reconnect_policy.reset_window");
}

static const struct kind *
kind_of(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

const char *
bridge_title(const char *cloud)
{
	const struct kind *k = kind_of(cloud);

	return k != NULL ? k->title : NULL;
}

int
bridge_settings(const struct cloud *cloud, struct arena *a,
    struct mapper_settings *ret, struct err *err)
{
	const struct kind *k = kind_of(cloud->name);
	struct bridge_plan p = { .cloud = *cloud };

	if (k == NULL)
		return mapper_settings_read(
		    cloud->config, cloud->name, a, ret, err);
	mapper_settings_cloud(cloud,
	    is_by_account(cloud, zero(a, text_of(cloud, "credentials_path"))),
	    a, ret);
	p.device_id = zero(a, text_of(cloud, "device.id"));
	if (p.device_id != NULL)
		shorten_id(&p, a, k);
	ret->device_id = p.device_id;
	return 0;
}

static int
read_program_rules(struct bridge_plan *p, struct arena *a, struct err *err)
{
	const struct rule_text *t = rule_text_of(p->cloud.name);
	struct buf text = { 0 };
	int rc;

	p->rules = (struct rule_set){ .arena = a };
	rule_text_add(t, &text);
	rc = rule_file_read(&p->rules, &p->settings, t->file,
	    arena_str(a, buf_str(&text)), err);
	buf_free(&text);
	return rc;
}

int
bridge_plan(const struct cloud *cloud, struct arena *a, struct bridge_plan *ret,
    struct err *err)
{
	const struct kind *k = kind_of(cloud->name);
	struct bridge_plan p = { .cloud = *cloud };
	int rc;

	if (k == NULL)
		return err_set(
		    err, ERR_PARAM, "there is no bridge to %s", cloud->name);
	p.title = k->title;
	p.client = k->client;
	p.level = k->level;
	p.forget_remote = k->forget_remote;
	p.label = cloud->profile.len > 0
	    ? arena_printf(
		  a, "%s@" STR_FMT, cloud->name, STR_ARG(cloud->profile))
		  .ptr
	    : cloud->name;
	p.mapper = arena_printf(a, "tedge-mapper-%s", p.label).ptr;
	p.device_id = zero(a, text_of(cloud, "device.id"));
	p.prefix = zero(a, text_of(cloud, "bridge.topic_prefix"));
	p.ca_path = zero(a, text_of(cloud, "root_cert_path"));
	if (p.device_id == NULL)
		return err_set(err, ERR_PARAM,
		    "the device has no id; make a certificate by: tedge cert "
		    "create --device-id NAME");
	if (p.prefix == NULL)
		return not_set(&p, "bridge.topic_prefix", cloud->name, err);
	p.service = arena_printf(a, "tedge-mapper-bridge-%s", p.prefix).ptr;
	if (is_key(cloud, "unit") && cloud_text(cloud, "unit").len == 0)
		return not_set(&p, "unit", "CODE", err);
	if (is_key(cloud, "gateway") && cloud_text(cloud, "gateway").len == 0)
		return not_set(&p, "gateway", "CODE", err);
	shorten_id(&p, a, k);
	rc = read_address(&p, a, k, err);
	if (rc == 0)
		rc = read_proxy(&p, a, err);
	if (rc == 0)
		rc = read_identity(&p, a, k, err);
	if (rc != 0)
		return rc;
	if (k->online != NULL)
		p.online = filled(&p, a, k->online);
	read_policy(&p, cloud->config);
	p.keepalive_s =
	    seconds(cloud_ms(&p.cloud, "bridge.keepalive_interval"));
	p.max_payload =
	    (uint32_t)cloud_int(&p.cloud, "mapper.mqtt.max_payload_size");
	p.limit =
	    arena_printf(a, "%s.mapper.mqtt.max_payload_size", k->name).ptr;
	mapper_settings_cloud(cloud, p.by_account, a, &p.settings);
	p.settings.device_id = p.device_id;
	rc = read_program_rules(&p, a, err);
	if (rc == 0)
		*ret = p;
	return rc;
}

/* --- a user's mapper ----------------------------------------------------- */

const char *
bridge_rule_folder(const struct mapper_settings *m, struct arena *a)
{
	return arena_printf(a, "%s/bridge", m->folder).ptr;
}

bool
bridge_is_wanted(const struct mapper_settings *m)
{
	struct arena a = { 0 };
	struct stat st;
	bool is =
	    stat(bridge_rule_folder(m, &a), &st) == 0 && S_ISDIR(st.st_mode);

	arena_fini(&a);
	return is;
}

/* The device's own key may be in a token; one of the mapper is a file. */
static int
read_own_key(struct bridge_plan *p, struct arena *a, struct err *err)
{
	const struct mapper_settings *m = &p->settings;
	struct device_key key;
	int rc;

	if (m->key.text != NULL && strcmp(m->key.tag, "mapper.toml") == 0) {
		p->key_file = m->key.text;
		return 0;
	}
	rc = device_key(m->config, NULL, a, &key, err);
	if (rc != 0)
		return rc;
	p->key_file = key.path;
	p->key_module = key.module;
	p->key_pin = key.pin;
	return 0;
}

static int
read_own_identity(struct bridge_plan *p, struct arena *a, struct err *err)
{
	const struct mapper_settings *m = &p->settings;

	if (m->by_account && m->credentials.text == NULL)
		return err_set(err, ERR_PARAM,
		    "'%s/mapper.toml' sets auth_method = \"password\" but no "
		    "credentials_path is configured",
		    m->folder);
	if (m->by_account) {
		p->credentials = m->credentials.text;
		return read_credentials(p, a, "credentials", NULL, err);
	}
	if (!p->tls)
		return err_set(err, ERR_PARAM,
		    "certificate authentication requires TLS, but TLS is "
		    "disabled for this mapper. Either set `tls.enable = "
		    "\"on\"` under [bridge] in mapper.toml, or change the auth "
		    "method.");
	p->cert_file = m->cert.text;
	if (p->cert_file == NULL)
		return err_set(err, ERR_PARAM,
		    "'%s/mapper.toml' requires a device certificate for "
		    "certificate authentication",
		    m->folder);
	return read_own_key(p, a, err);
}

static int
check_own(const struct mapper_settings *m, struct err *err)
{
	if (m->own == NULL)
		return err_set(err, ERR_PARAM,
		    "Mapper directory '%s' contains a 'bridge/' subdirectory "
		    "but no 'mapper.toml' connection config. Create a "
		    "mapper.toml with a top-level 'url' field (e.g. url = "
		    "\"host:8883\")",
		    m->folder);
	if (m->host == NULL)
		return err_set(err, ERR_PARAM,
		    "'%s/mapper.toml' is missing a 'url' field required for "
		    "the MQTT bridge",
		    m->folder);
	return 0;
}

/* --- of the bridge in this process --------------------------------------- */

static int
read_own_rules(struct bridge_plan *p, struct arena *a, struct err *err)
{
	const char *folder = bridge_rule_folder(&p->settings, a);
	const struct rule_text *t = rule_text_of(p->settings.name);
	struct rule_set set = { .arena = a };
	struct err why;
	int rc;

	if (t != NULL && rule_text_put(t, folder, &why) != 0)
		log_warn("%s: the rules of the bridge are not brought up to "
			 "date: %s",
		    p->label, why.text);
	rc = rule_folder_read(&set, &p->settings, folder, err);
	if (rc == ERR_NOT_FOUND && t != NULL)
		return 0; /* those of the program */
	if (rc != 0)
		return rc;
	if (set.n == 0)
		log_warn("%s: the files in %s have no rule that holds: nothing "
			 "is carried",
		    p->label, folder);
	p->rules = set;
	return 0;
}

static int
plan_of_user(const struct cloud *cloud, struct arena *a,
    struct bridge_plan *ret, struct err *err)
{
	struct bridge_plan p = { .cloud = *cloud };
	const struct mapper_settings *m = &p.settings;
	int rc = mapper_settings_read(
	    cloud->config, cloud->name, a, &p.settings, err);

	if (rc == 0)
		rc = check_own(m, err);
	if (rc != 0)
		return rc;
	p.title = p.client = p.label = m->name;
	p.level = 4;
	p.mapper = arena_printf(a, "tedge-mapper-%s", m->name).ptr;
	p.service = arena_printf(a, "tedge-mapper-bridge-%s", m->name).ptr;
	p.host = m->host;
	p.port = m->port;
	p.tls = m->tls;
	p.device_id = m->id.text;
	p.by_account = m->by_account;
	p.ca_path = m->roots.text;
	p.forget_remote = m->clean_session;
	p.keepalive_s = seconds(m->keepalive_ms);
	p.max_payload = m->max_payload;
	p.limit = "bridge.max_payload_size of mapper.toml";
	read_policy(&p, m->config);
	rc = read_own_identity(&p, a, err);
	if (rc == 0 && p.device_id == NULL)
		rc = err_set(err, ERR_PARAM,
		    "No MQTT client ID could be determined: configure "
		    "'device.id' in '%s/mapper.toml'",
		    m->folder);
	if (rc == 0)
		rc = read_proxy(&p, a, err);
	if (rc == 0)
		rc = read_own_rules(&p, a, err);
	if (rc == 0)
		*ret = p;
	return rc;
}

int
bridge_plan_own(const struct cloud *cloud, struct arena *a,
    struct bridge_plan *ret, struct err *err)
{
	struct bridge_plan p;
	int rc;

	if (kind_of(cloud->name) == NULL)
		return plan_of_user(cloud, a, ret, err);
	rc = bridge_plan(cloud, a, &p, err);
	if (rc == 0)
		rc = read_own_rules(&p, a, err);
	if (rc == 0)
		*ret = p;
	return rc;
}

/* --- for others ---------------------------------------------------------- */

static const char *
word(const char *z)
{
	return z == NULL || z[0] == '\0' ? "\"\"" : z;
}

void
bridge_plan_rules(const struct bridge_plan *p, struct buf *out)
{
	static const char *const directions[] = { "", "in", "out", "both" };

	for (size_t i = 0; i < p->rules.n; i++) {
		const struct mqtt_bridge_rule *r = &p->rules.rules[i];

		buf_addf(out, "topic %s %s %u %s %s\n", word(r->pattern),
		    directions[r->direction], r->qos, word(r->local_prefix),
		    word(r->remote_prefix));
	}
}

struct str
bridge_health_topic(const struct bridge_plan *p, bool built_in, struct arena *a)
{
	struct str root = config_text(p->cloud.config, "mqtt.topic_root");

	if (built_in)
		return arena_printf(a,
		    STR_FMT "/device/main/service/%s/status/health",
		    STR_ARG(root), p->service);
	return arena_printf(a,
	    STR_FMT "/device/main/service/mosquitto-%s-bridge/status/health",
	    STR_ARG(root), p->prefix);
}

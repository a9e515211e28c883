/*
 * edge/bridge_plan.c - see bridge_plan.h.
 */
#include "edge/bridge_plan.h"
#include "edge/device_key.h"

#include "base/base.h"
#include "base/file.h"
#include "codec/toml.h"
#include "codec/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PORT_TLS 8883
#define PORT_SERVICE 9883 /* of Cumulocity's MQTT service */

/* --- the clouds ---------------------------------------------------------- */

/* Of one device, at a gateway of the platform. */
#define MARRAM_ROOT "marram/{unit}/gateway/{gateway}/{id}/"

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
	    .online = MARRAM_ROOT "online" },
};

/* --- their topics -------------------------------------------------------- */

#define IN MQTT_BRIDGE_IN
#define OUT MQTT_BRIDGE_OUT
#define BOTH MQTT_BRIDGE_BOTH

enum when { ALWAYS, CERTIFICATE, SMARTREST_1, MQTT_SERVICE };

struct row {
	const char *pattern; /* "{}": an item of `each` */
	enum mqtt_bridge_direction direction;
	uint8_t qos;
	const char *local;  /* behind the prefix and a slash */
	const char *remote; /* with "{id}" and the like: see filled() */
	enum when when;
	const char *each; /* a list of the cloud: a rule for each item */
};

static const struct row c8y_rows[] = {
	{ "s/ut/#", OUT, 1 },
	{ "s/us/#", OUT, 1 },
	{ "t/us/#", OUT, 1 },
	{ "q/us/#", OUT, 1 },
	{ "c/us/#", OUT, 1 },
	{ "s/uc/#", OUT, 1 },
	{ "t/uc/#", OUT, 1 },
	{ "q/uc/#", OUT, 1 },
	{ "c/uc/#", OUT, 1 },
	{ "inventory/managedObjects/update/#", OUT, 1 },
	{ "measurement/measurements/create", OUT, 1 },
	{ "measurement/measurements/createBulk", OUT, 1 },
	{ "event/events/create", OUT, 1 },
	{ "event/events/createBulk", OUT, 1 },
	{ "alarm/alarms/create", OUT, 1 },
	{ "alarm/alarms/createBulk", OUT, 1 },
	{ "s/uat", OUT, 0, .when = CERTIFICATE },
	{ "s/dt", IN, 1 },
	{ "s/ds", IN, 1 },
	{ "s/e", IN, 0 },
	{ "s/dc/#", IN, 1 },
	{ "devicecontrol/notifications", IN, 1 },
	{ "error", IN, 1 },
	{ "s/dat", IN, 0, .when = CERTIFICATE },
	{ "s/uc/{}", OUT, 1, .each = "smartrest.templates" },
	{ "s/dc/{}", IN, 1, .each = "smartrest.templates" },
	{ "s/ul/#", OUT, 1, .when = SMARTREST_1 },
	{ "t/ul/#", OUT, 1, .when = SMARTREST_1 },
	{ "q/ul/#", OUT, 1, .when = SMARTREST_1 },
	{ "c/ul/#", OUT, 1, .when = SMARTREST_1 },
	{ "s/dl", IN, 1, .when = SMARTREST_1 },
	{ "s/ul/{}", OUT, 1, .each = "smartrest1.templates" },
	{ "s/dl/{}", IN, 1, .each = "smartrest1.templates" },
	{ "s/ol/{}", IN, 1, .each = "smartrest1.templates" },
	{ "#", OUT, 1, .local = "mqtt/out/", .when = MQTT_SERVICE },
	{ "{}", IN, 1, .local = "mqtt/in/", .when = MQTT_SERVICE,
	    .each = "mqtt_service.topics" },
	{ 0 },
};

static const struct row az_rows[] = {
	{ "messages/events/#", OUT, 1, .remote = "devices/{id}/" },
	{ "messages/devicebound/#", IN, 1, .remote = "devices/{id}/" },
	{ "methods/POST/#", IN, 1, .remote = "$iothub/" },
	{ "methods/res/#", OUT, 1, .remote = "$iothub/" },
	{ "twin/res/#", IN, 1, .remote = "$iothub/" },
	{ "twin/GET/#", OUT, 1, .remote = "$iothub/" },
	{ "twin/PATCH/#", OUT, 1, .remote = "$iothub/" },
	{ 0 },
};

static const struct row aws_rows[] = {
	{ "td/#", OUT, 1, .remote = "thinedge/{id}/" },
	{ "cmd/#", IN, 1, .remote = "thinedge/{id}/" },
	{ "shadow/#", BOTH, 1, .remote = "$aws/things/{id}/" },
	{ "", OUT, 1, "test-connection",
	    "thinedge/devices/{id}/test-connection" },
	{ "", IN, 1, "connection-success",
	    "thinedge/devices/{id}/test-connection" },
	{ 0 },
};

static const struct row marram_rows[] = {
	{ "up/#", OUT, 1, .remote = MARRAM_ROOT },
	{ "down/#", IN, 1, .remote = MARRAM_ROOT },
	{ 0 },
};

static const struct row *const rows_of[] = { c8y_rows, az_rows, aws_rows,
	marram_rows };

_Static_assert(COUNT_OF(rows_of) == COUNT_OF(kinds), "a row for each");

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

/* `text` with what stands in braces replaced, and "{}" by `item`. */
static const char *
filled(const struct bridge_plan *p, struct arena *a, const char *text,
    struct str item)
{
	const struct {
		struct str name, value;
	} names[] = {
		{ STR("{host}"), str_of(p->host) },
		{ STR("{id}"), str_of(p->device_id) },
		{ STR("{unit}"), text_of(&p->cloud, "unit") },
		{ STR("{gateway}"), text_of(&p->cloud, "gateway") },
		{ STR("{}"), item },
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

/* --- rules --------------------------------------------------------------- */

static bool
applies(const struct bridge_plan *p, const struct row *r)
{
	switch (r->when) {
	case CERTIFICATE:
		return p->cert_file != NULL;
	case SMARTREST_1:
		return cloud_list(&p->cloud, "smartrest1.templates").n > 0;
	case MQTT_SERVICE:
		return cloud_bool(&p->cloud, "mqtt_service.enabled");
	case ALWAYS:
		break;
	}
	return true;
}

static size_t
count_of(const struct bridge_plan *p, const struct row *r)
{
	if (!applies(p, r))
		return 0;
	return r->each == NULL ? 1 : cloud_list(&p->cloud, r->each).n;
}

static int
add_row(struct bridge_plan *p, struct arena *a, const struct row *r,
    struct str item, struct err *err)
{
	struct mqtt_bridge_rule *rule = &p->rules[p->n_rules++];
	bool is_filter = r->pattern[0] != '\0';

	*rule = (struct mqtt_bridge_rule){
		.pattern = filled(p, a, r->pattern, item),
		.direction = r->direction,
		.qos = r->qos,
		.local_prefix = arena_printf(
		    a, "%s/%s", p->prefix, r->local != NULL ? r->local : "")
				    .ptr,
		.remote_prefix = r->remote != NULL
		    ? filled(p, a, r->remote, STR_NULL)
		    : NULL,
	};
	/* Blanks would end the word in Mosquitto's file. */
	if (is_filter &&
	    (!mqtt_filter_ok(str_of(rule->pattern)) ||
		strpbrk(rule->pattern, " \t\r\n\"") != NULL))
		return err_set(err, ERR_PARAM,
		    "%s.%s: \"" STR_FMT "\" can be no part of a topic",
		    p->cloud.name, r->each, STR_ARG(item));
	return 0;
}

static int
make_rules(struct bridge_plan *p, struct arena *a, const struct row *rows,
    struct err *err)
{
	size_t n = 0;
	int rc = 0;

	for (const struct row *r = rows; r->pattern != NULL; r++)
		n += count_of(p, r);
	p->rules = arena_array(a, n, struct mqtt_bridge_rule);
	for (const struct row *r = rows; r->pattern != NULL; r++) {
		size_t times = count_of(p, r);
		struct strs items = r->each != NULL && times > 0
		    ? cloud_list(&p->cloud, r->each)
		    : (struct strs){ 0 };

		for (size_t i = 0; i < times && rc == 0; i++)
			rc = add_row(
			    p, a, r, items.n > 0 ? items.at[i] : STR_NULL, err);
	}
	return rc;
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

/* An address within NETWORK/BITS? */
static bool
is_within(const char *address, struct str network)
{
	unsigned char a[16], n[16];
	struct str bits = network, base = str_cut(&bits, '/');
	char *z = str_dupz(base);
	int family = strchr(z, ':') != NULL ? AF_INET6 : AF_INET;
	size_t len = family == AF_INET6 ? 16 : 4;
	bool within;
	uint64_t left;

	within = inet_pton(family, z, n) == 1 &&
	    inet_pton(family, address, a) == 1 && str_to_u64(bits, &left) &&
	    left <= len * 8;
	free(z);
	for (size_t i = 0; within && left > 0; i++) {
		unsigned shift = left < 8 ? 8 - (unsigned)left : 0;

		within = a[i] >> shift == n[i] >> shift;
		left -= MIN_OF(left, 8u);
	}
	return within;
}

/* In a list as "127.0.0.1,192.168.0.0/16,example.org", where a name stands for
 * all below it, too? */
static bool
is_listed(struct str list, const char *host)
{
	struct str name = str_of(host);

	while (list.len > 0) {
		struct str one = str_trim(str_cut(&list, ','));

		if (one.len > 1 && one.ptr[0] == '.') {
			one.ptr++;
			one.len--;
		}
		if (str_eqz(one, "*") || str_eq_nocase(one, name) ||
		    is_within(host, one))
			return true;
		if (one.len > 0 && one.len < name.len &&
		    name.ptr[name.len - one.len - 1] == '.' &&
		    str_eq_nocase(one,
			(struct str){ name.ptr + name.len - one.len, one.len }))
			return true;
	}
	return false;
}

static int
read_proxy(struct bridge_plan *p, struct arena *a, struct err *err)
{
	const struct config *c = p->cloud.config;
	struct str address = config_text(c, "proxy.address");
	struct url url;

	if (address.len == 0 ||
	    is_listed(config_text(c, "proxy.no_proxy"), p->host))
		return 0;
	if (!url_parse(a, address, &url) ||
	    (!str_eqz(url.scheme, "http") && !str_eqz(url.scheme, "https")) ||
	    url.host.len == 0)
		return err_set(err, ERR_PARAM,
		    "proxy.address: \"" STR_FMT
		    "\" is no address like http://HOST:PORT",
		    STR_ARG(address));
	p->proxy = arena_z(a, url.host);
	p->proxy_port = (uint16_t)url_port(&url);
	p->proxy_tls = str_eqz(url.scheme, "https");
	p->proxy_user = config_text(c, "proxy.username");
	p->proxy_password = config_text(c, "proxy.password");
	return 0;
}

/* Does the file of credentials, which all clouds may share, speak of this one?
 * One that can not be read does, so that it is told. */
static bool
has_account(const struct bridge_plan *p)
{
	struct arena a = { 0 };
	struct buf text = { 0 };
	struct toml *all;
	struct err err;
	bool has;

	if (p->credentials == NULL || access(p->credentials, F_OK) < 0)
		return false;
	has = file_read(p->credentials, &text, &err) != 0 ||
	    toml_read(&a, buf_str(&text), &all, &err) != 0 ||
	    toml_get(all, str_of(p->cloud.name)) != NULL;
	if (text.ptr != NULL)
		memset(text.ptr, 0, text.len);
	buf_free(&text);
	arena_fini(&a);
	return has;
}

/* [c8y] username = "...", password = "..." */
static int
read_credentials(struct bridge_plan *p, struct arena *a, const struct kind *k,
    struct err *err)
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
	table = toml_get(all, str_of(p->cloud.name));
	user = table != NULL ? toml_get(table, STR("username")) : NULL;
	password = table != NULL ? toml_get(table, STR("password")) : NULL;
	if ((user == NULL && k->user == NULL) ||
	    (user != NULL && user->type != TOML_TEXT) || password == NULL ||
	    password->type != TOML_TEXT)
		return err_set(err, ERR_PARAM,
		    "load %s: username and password are expected as texts "
		    "under [%s]",
		    p->credentials, p->cloud.name);
	p->user = user != NULL ? arena_z(a, user->text)
			       : filled(p, a, k->user, STR_NULL);
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
		p->user = filled(p, a, k->user, STR_NULL);
	return 0;
}

static int
read_identity(struct bridge_plan *p, struct arena *a, const struct kind *k,
    struct err *err)
{
	struct str method = text_of(&p->cloud, "auth_method");

	p->credentials = zero(a, text_of(&p->cloud, "credentials_path"));
	p->by_account = str_eqz(method, "basic") ||
	    (str_eqz(method, "auto") && has_account(p));
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
	return read_credentials(p, a, k, err);
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
	prefix = filled(p, a, k->user, STR_NULL);
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

static void
read_policy(struct bridge_plan *p, const struct config *c)
{
	int64_t keepalive = cloud_ms(&p->cloud, "bridge.keepalive_interval");

	p->keepalive_s = (uint16_t)MIN_OF((keepalive + 999) / 1000, UINT16_MAX);
	p->max_payload =
	    (uint32_t)cloud_int(&p->cloud, "mapper.mqtt.max_payload_size");
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
		p.online = filled(&p, a, k->online, STR_NULL);
	read_policy(&p, cloud->config);
	rc = make_rules(&p, a, rows_of[k - kinds], err);
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

	for (size_t i = 0; i < p->n_rules; i++) {
		const struct mqtt_bridge_rule *r = &p->rules[i];

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

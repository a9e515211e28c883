/*
 * edge/command/connect.c - `connect`, `disconnect`, `reconnect` and
 * `refresh-bridges`.
 *
 * To connect is a table of steps, each shown with a tick or a cross. The file
 * of the bridge (edge/mosquitto.h) is there exactly while the cloud is
 * connected: a step that fails takes it away again.
 */
#include "edge/command_private.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/json.h"
#include "codec/toml.h"
#include "edge/bridge_link.h"
#include "edge/bridge_plan.h"
#include "edge/edge.h"
#include "edge/exchange.h"
#include "edge/local.h"
#include "edge/mosquitto.h"
#include "edge/system.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXIT_OLD_CERTIFICATE 3

#define KEY_VARIABLE "MARRAM_KEY"
#define SECRET_LEN 40
#define ANSWER_MS 10000 /* of the cloud */
#define CLOUD_MS 20000  /* to be let in by it */
#define LISTEN_MS 20000 /* until Mosquitto answers */
#define VERIFY_TIMES 5
#define TEST_TIMES 2
#define VERIFY_FIRST_S 2 /* between those, doubled each time */
#define VERIFY_MAX_S 30

struct job {
	struct command_call *call;
	struct config *config;
	struct arena arena;
	struct cloud cloud;
	struct bridge_plan plan;
	struct system system;
	struct local local;
	bool offline;
	bool unserved;        /* nothing is there to start services with */
	bool old_certificate; /* the new one was not taken */
	struct buf answer;    /* of the cloud, when it was verified */
	struct err err;
};

/* --- questions ----------------------------------------------------------- */

static bool
is_device_existing(struct str topic, struct str payload)
{
	(void)topic;
	return str_starts(payload, STR("41,100"));
}

static bool
is_token(struct str topic, struct str payload)
{
	(void)topic;
	return str_starts(payload, STR("71,"));
}

static bool
is_twin(struct str topic, struct str payload)
{
	(void)payload;
	return str_contains_nocase(topic, STR("/twin/res/200"));
}

static bool
is_up(struct str topic, struct str payload)
{
	(void)topic;
	return str_eqz(payload, "1") ||
	    str_contains_nocase(payload, STR("\"up\""));
}

/* What a cloud is asked over the bridge, to see that it answers. */
struct check {
	const char *cloud;
	bool by_account;                      /* without a certificate */
	const char *topic, *payload, *filter; /* behind the prefix */
	uint8_t qos;
	bool (*is_answer)(struct str topic, struct str payload);
};

static const struct check checks[] = {
	{ "c8y", false, "s/uat", "", "s/dat", 0, is_token },
	{ "c8y", true, "s/us", "123", "s/ds", 1, NULL },
	{ "az", false, "twin/GET/?$rid=1", "", "twin/res/#", 1, is_twin },
	{ "aws", false, "test-connection", "test", "connection-success", 1,
	    NULL },
};

/* NULL: that its bridge is up is all that there is to see. */
static const struct check *
check_of(const struct bridge_plan *p)
{
	for (size_t i = 0; i < COUNT_OF(checks); i++)
		if (strcmp(checks[i].cloud, p->cloud.name) == 0 &&
		    checks[i].by_account == (p->cert_file == NULL))
			return &checks[i];
	return NULL;
}

/* --- the cloud itself ---------------------------------------------------- */

static bool
is_marram(const struct job *j)
{
	return strcmp(j->cloud.name, "marram") == 0;
}

/* The platform does not say why: it would say it to anybody. */
static void
explain_refusal(struct job *j)
{
	struct err said = j->err;

	if (command_option(j->call, "key") != NULL)
		(void)err_set(&j->err, said.code,
		    "%s: either the key is not that of the gateway any more, "
		    "or %s is known there already, or blocked (tab Enrolment)",
		    said.text, j->plan.device_id);
	else
		(void)err_set(&j->err, said.code,
		    "%s: %s is not known there by this %s, or is blocked (tab "
		    "Enrolment); the first time it needs --key KEY",
		    said.text, j->plan.device_id,
		    j->plan.by_account ? "secret" : "certificate");
}

static int
ask_cloud(struct job *j, const struct bridge_plan *p, struct exchange *x)
{
	struct mqtt_client_conf conf;
	struct bridge_link link;
	int rc = bridge_link_open(&link, p, &conf, &j->err);

	x->conf = &conf;
	x->timeout_ms = CLOUD_MS;
	if (rc == 0)
		rc = exchange(x, NULL, &j->err);
	bridge_link_close(&link);
	if (rc == ERR_CLOSED && p->cert_file != NULL)
		(void)err_set(&j->err, rc,
		    "closed by the server: it may not know the device's "
		    "certificate, or not under the id %s",
		    p->device_id);
	if (rc == ERR_DENIED && is_marram(j))
		explain_refusal(j);
	return rc == 0 ? 0 : err_wrap(&j->err, "%s, port %u", p->host, p->port);
}

static bool
asks_cloud(const struct job *j)
{
	return !j->offline;
}

static bool
has_new_certificate(const struct job *j)
{
	const char *cert = j->plan.cert_file;
	char *new;
	bool has;

	if (cert == NULL || j->offline)
		return false;
	new = mem_printf("%s.new", cert);
	has = access(new, F_OK) == 0;
	free(new);
	return has;
}

static int
try_new_certificate(struct job *j)
{
	struct bridge_plan p = j->plan;
	struct exchange x = { .conf = NULL };
	int rc;

	p.cert_file = arena_printf(&j->arena, "%s.new", j->plan.cert_file).ptr;
	rc = ask_cloud(j, &p, &x);
	if (rc == 0 && rename(p.cert_file, j->plan.cert_file) < 0)
		rc = err_errno(&j->err, "put %s into place", p.cert_file);
	j->old_certificate = rc != 0;
	return rc;
}

static bool
is_cumulocity(const struct job *j)
{
	return asks_cloud(j) && strcmp(j->cloud.name, "c8y") == 0;
}

static bool
is_another_cloud(const struct job *j)
{
	return asks_cloud(j) && !is_cumulocity(j);
}

/* Said twice: the first makes the device, the second is told that it exists. */
static int
create_device(struct job *j)
{
	struct str type = config_text(j->config, "device.type");
	struct exchange x = {
		.filter = "s/e",
		.topic = "s/us",
		.payload = arena_printf(&j->arena, "100,%s," STR_FMT,
		    j->plan.device_id, STR_ARG(type)),
		.qos = 1,
		.times = 2,
		.is_answer = is_device_existing,
	};

	return ask_cloud(j, &j->plan, &x);
}

/* The first time with the key of the gateway, behind the secret, if that is
 * what it has. */
static int
try_cloud(struct job *j)
{
	const char *key = command_option(j->call, "key");
	struct bridge_plan p = j->plan;
	struct exchange x = { .conf = NULL };

	if (key != NULL)
		p.password = arena_printf(&j->arena, "%s:%s",
		    p.password != NULL ? p.password : "", key)
				 .ptr;
	return ask_cloud(j, &p, &x);
}

/* --- enrolment ----------------------------------------------------------- */

/* A secret that only this device has, in the file of credentials; one that is
 * there stays. */
static int
make_secret(struct job *j)
{
	struct str words[] = { str_of(j->cloud.name), STR("password") };
	char *path = str_dupz(cloud_text(&j->cloud, "credentials_path"));
	struct buf before = { 0 }, after = { 0 }, quoted = { 0 };
	char secret[SECRET_LEN + 1];
	struct toml *all;
	int rc = 0;

	if (access(path, F_OK) == 0)
		rc = file_read(path, &before, &j->err);
	if (rc == 0)
		rc = toml_read(&j->arena, buf_str(&before), &all, &j->err);
	if (rc == 0 && toml_get(toml_get(all, words[0]), words[1]) == NULL) {
		rand_text(secret, SECRET_LEN);
		toml_quote(&quoted, str_of(secret));
		rc = toml_set(buf_str(&before),
		    (struct strs){ words, COUNT_OF(words) }, buf_str(&quoted),
		    &after, &j->err);
		if (rc == 0)
			rc = file_write(path, buf_str(&after), &j->err);
	}
	if (rc != 0)
		(void)err_wrap(&j->err, "keep a secret in %s", path);
	free(path);
	buf_free(&before);
	buf_free(&after);
	buf_free(&quoted);
	return rc;
}

/* Is there what it would sign in by? */
static bool
has_identity(const struct bridge_plan *p)
{
	return p->cert_file == NULL || access(p->cert_file, F_OK) == 0;
}

/* Who has a key, and nothing else to sign in by, is given a secret. */
static int
make_plan(struct job *j)
{
	const char *key = command_option(j->call, "key");
	int rc;

	/* the variable may be there for other commands */
	if (key != NULL && !is_marram(j) && key != getenv(KEY_VARIABLE))
		return err_set(&j->err, ERR_PARAM, "--key is for marram only");
	rc = bridge_plan(&j->cloud, &j->arena, &j->plan, &j->err);
	if (key == NULL || !is_marram(j) || (rc == 0 && has_identity(&j->plan)))
		return rc;
	rc = make_secret(j);
	return rc == 0 ? bridge_plan(&j->cloud, &j->arena, &j->plan, &j->err)
		       : rc;
}

/* --- the device ---------------------------------------------------------- */

static bool
bridges_by_mosquitto(const struct job *j)
{
	return mosquitto_bridges(j->config);
}

static bool
uses_mosquitto(const struct job *j)
{
	return mosquitto_is_used(j->config);
}

/* The bridge reads certificate and key as the user it runs as. */
static void
give_certificate(const struct job *j)
{
	const char *user =
	    bridges_by_mosquitto(j) ? "mosquitto" : j->system.user;
	const char *const files[] = { j->plan.cert_file, j->plan.key_file,
		j->plan.by_account ? j->plan.credentials : NULL };
	const struct passwd *pw;

	if (geteuid() != 0 || (pw = getpwnam(user)) == NULL)
		return;
	for (size_t i = 0; i < COUNT_OF(files); i++)
		if (files[i] != NULL && files[i][0] == '/' &&
		    chown(files[i], pw->pw_uid, pw->pw_gid) < 0)
			command_say("warning", "%s can not be given to %s: %s",
			    files[i], user, strerror(errno));
}

static int
write_bridge(struct job *j)
{
	give_certificate(j);
	return mosquitto_write_bridge(&j->plan, &j->err);
}

static int
write_mosquitto(struct job *j)
{
	int rc = mosquitto_write_common(j->config, NULL, &j->err);

	if (rc == 0)
		rc = mosquitto_include(j->config, &j->err);
	return rc;
}

static int
restart_mosquitto(struct job *j)
{
	int rc =
	    system_service(&j->system, SYSTEM_RESTART, "mosquitto", &j->err);

	if (rc == ERR_CLOSED) {
		j->unserved = true;
		return 0;
	}
	return rc;
}

static int
wait_for_mosquitto(struct job *j)
{
	struct exchange x = { .conf = &j->local.conf, .timeout_ms = ANSWER_MS };
	time_t end = time(NULL) + LISTEN_MS / 1000;

	while (exchange(&x, NULL, &j->err) != 0) {
		if (time(NULL) >= end)
			return err_set(&j->err, ERR_AGAIN,
			    "Operation timed out. Is mosquitto running?");
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	return 0;
}

static bool
is_served(const struct job *j)
{
	return uses_mosquitto(j) && !j->unserved;
}

/* Of a part that nothing can start now: it starts with the program. */
static int
enable(struct job *j, const char *service, enum system_do begin)
{
	int rc = system_service(&j->system, SYSTEM_ENABLE, service, &j->err);

	if (rc == 0)
		rc = system_service(&j->system, begin, service, &j->err);
	if (rc == ERR_CLOSED) {
		j->unserved = true;
		return 0;
	}
	return rc;
}

static int
enable_mapper(struct job *j)
{
	return enable(j, j->plan.mapper, SYSTEM_RESTART);
}

static int
enable_agent(struct job *j)
{
	return enable(j, "tedge-agent", SYSTEM_START);
}

/* --- does it work? ------------------------------------------------------- */

/* The way from here to the bridge, and from the bridge to the cloud. */
static int
verify_once(struct job *j)
{
	const struct bridge_plan *p = &j->plan;
	const struct check *c = check_of(p);
	struct exchange x = { .conf = &j->local.conf,
		.filter =
		    bridge_health_topic(p, !bridges_by_mosquitto(j), &j->arena)
			.ptr,
		.is_answer = is_up,
		.timeout_ms = ANSWER_MS };
	int rc = exchange(&x, NULL, &j->err);

	if (rc == ERR_AGAIN)
		return err_set(&j->err, ERR_AGAIN,
		    "the bridge to %s is not connected", p->title);
	if (rc != 0)
		return err_wrap(&j->err, "ask the device's MQTT broker");
	if (c == NULL)
		return 0;
	x.filter = arena_printf(&j->arena, "%s/%s", p->prefix, c->filter).ptr;
	x.topic = arena_printf(&j->arena, "%s/%s", p->prefix, c->topic).ptr;
	x.payload = str_of(c->payload);
	x.qos = c->qos;
	x.is_answer = c->is_answer;
	buf_clear(&j->answer);
	rc = exchange(&x, &j->answer, &j->err);
	return rc == 0 ? 0
		       : err_wrap(&j->err, "ask %s over the bridge", p->title);
}

static bool
is_verified(const struct job *j)
{
	return !j->offline && !j->unserved;
}

static int
verify_times(struct job *j, int times)
{
	int wait_s = VERIFY_FIRST_S;
	int rc = 0;

	for (int i = 0; i < times; i++) {
		if (i > 0) {
			(void)sleep((unsigned)wait_s);
			wait_s = MIN_OF(wait_s * 2, VERIFY_MAX_S);
		}
		rc = verify_once(j);
		if (rc == 0)
			return 0;
	}
	return err_wrap(&j->err, "Connection check failed");
}

static int
verify(struct job *j)
{
	return verify_times(j, VERIFY_TIMES);
}

static bool
has_token(const struct job *j)
{
	return is_verified(j) && str_starts(buf_str(&j->answer), STR("71,"));
}

/* Adds the issuer of the token: "acme.cumulocity.com". */
static int
issuer_of(struct str token, struct arena *a, struct buf *out)
{
	struct buf claims = { 0 };
	struct str part, key, issuer = STR_NULL;
	struct json json;

	(void)str_cut(&token, '.');
	part = str_cut(&token, '.');
	if (part.ptr == NULL || !base64_decode(&claims, part)) {
		buf_free(&claims);
		return ERR_PARAM;
	}
	json_open(&json, buf_str(&claims), 0, a);
	if (json_object(&json))
		while (json_member(&json, &key)) {
			if (str_eqz(key, "iss"))
				json_str(&json, &issuer);
			else
				json_skip(&json);
		}
	buf_add_str(out, issuer);
	buf_free(&claims);
	return out->len > 0 ? 0 : ERR_PARAM;
}

/* The host alone. */
static struct str
host_of(struct str url)
{
	return str_cut(&url, ':');
}

static int
check_tenant(struct job *j)
{
	struct str url = host_of(cloud_text(&j->cloud, "url"));
	struct buf issuer = { 0 };
	int rc = issuer_of(buf_str(&j->answer), &j->arena, &issuer);

	if (rc != 0)
		rc = err_set(&j->err, ERR_PROTO,
		    "The token that Cumulocity has given can not be read");
	else if (!str_eq_nocase(host_of(buf_str(&issuer)), url))
		rc = err_set(&j->err, ERR_PARAM,
		    "The device is connected to " STR_FMT
		    ", but the configured URL is " STR_FMT,
		    STR_ARG(buf_str(&issuer)), STR_ARG(url));
	buf_free(&issuer);
	return rc;
}

/* --- the table ----------------------------------------------------------- */

enum if_failed { GIVE_UP, WARN };

struct step {
	const char *title; /* "%s": the mapper; NULL: it is not shown */
	bool (*applies)(const struct job *j);
	int (*run)(struct job *j); /* why not is in j->err */
	enum if_failed if_failed;
};

static bool
always(const struct job *j)
{
	(void)j;
	return true;
}

static const struct step connect_steps[] = {
	{ "Trying the new certificate", has_new_certificate,
	    try_new_certificate, WARN },
	{ "Creating device in Cumulocity cloud", is_cumulocity, create_device,
	    GIVE_UP },
	{ "Trying to connect to the cloud", is_another_cloud, try_cloud,
	    GIVE_UP },
	{ "Creating mosquitto bridge", bridges_by_mosquitto, write_bridge,
	    GIVE_UP },
	{ NULL, always, write_bridge, GIVE_UP },
	{ NULL, uses_mosquitto, write_mosquitto, GIVE_UP },
	{ "Restarting mosquitto", uses_mosquitto, restart_mosquitto, GIVE_UP },
	{ "Waiting for mosquitto to be listening for connections", is_served,
	    wait_for_mosquitto, GIVE_UP },
	{ "Enabling %s", always, enable_mapper, GIVE_UP },
	{ "Verifying device is connected to cloud", is_verified, verify,
	    GIVE_UP },
	{ "Checking Cumulocity is connected to intended tenant", has_token,
	    check_tenant, WARN },
	{ "Enabling tedge-agent", always, enable_agent, GIVE_UP },
};

static int
take_step(struct job *j, const struct step *s)
{
	char title[128];
	int rc;

	if (s->title != NULL) {
		snprintf(title, sizeof(title), s->title, j->plan.mapper);
		command_step(title);
	}
	rc = s->run(j);
	if (s->title != NULL)
		command_step_done(rc == 0);
	if (rc == 0 || s->if_failed == GIVE_UP)
		return rc;
	command_say("warning", "%s", j->err.text);
	return 0;
}

/* --- before and around --------------------------------------------------- */

/* False: what was wrong is told. */
static bool
job_begin(struct job *j, struct command_call *call)
{
	*j = (struct job){ .call = call, .config = command_config(call) };
	return j->config != NULL &&
	    command_cloud(call, command_arg(call, "CLOUD"), &j->cloud);
}

static void
job_end(struct job *j)
{
	local_close(&j->local);
	buf_free(&j->answer);
	arena_fini(&j->arena);
}

static int
job_failed(struct job *j, const char *verb)
{
	char doing[160];

	snprintf(doing, sizeof(doing), "%s %s%s" STR_FMT, verb,
	    j->plan.title != NULL ? j->plan.title : j->cloud.name,
	    j->cloud.profile.len > 0 ? " with profile " : " cloud",
	    STR_ARG(j->cloud.profile));
	return command_failed(doing, &j->err);
}

static int
read_plan(struct job *j)
{
	int rc = make_plan(j);

	if (rc == 0)
		rc = system_read(j->config, &j->arena, &j->system, &j->err);
	if (rc == 0)
		rc = local_open(&j->local, j->config, &j->err);
	return rc;
}

/* What two profiles of one cloud may not share. */
struct clash {
	struct job *job;
	int rc;
};

static struct str
key_of(struct job *j, struct str profile, const char *key)
{
	if (profile.len == 0)
		return arena_printf(&j->arena, "%s.%s", j->cloud.name, key);
	return arena_printf(&j->arena, "%s.profiles." STR_FMT ".%s",
	    j->cloud.name, STR_ARG(profile), key);
}

static bool
is_same(const struct cloud *a, const struct cloud *b, const char *key)
{
	struct str one = cloud_text(a, key), other = cloud_text(b, key);

	return one.len > 0 && str_eq_nocase(one, other);
}

static void
look_for_clash(void *ctx, const struct cloud *other)
{
	struct clash *c = ctx;
	struct job *j = c->job;
	const struct cloud *own = &j->cloud;
	const char *key = NULL;

	if (c->rc != 0 || strcmp(other->name, own->name) != 0 ||
	    str_eq(other->profile, own->profile) ||
	    (other->profile.len == 0 && own->profile.len == 0))
		return;
	if (is_same(own, other, "url") && is_same(own, other, "device.id"))
		key = "url";
	else if (is_same(own, other, "bridge.topic_prefix"))
		key = "bridge.topic_prefix";
	else if (strcmp(own->name, "c8y") == 0 &&
	    cloud_int(own, "proxy.bind.port") ==
		cloud_int(other, "proxy.bind.port"))
		key = "proxy.bind.port";
	if (key == NULL)
		return;
	c->rc = err_set(&j->err, ERR_PARAM,
	    "The configurations: " STR_FMT ", " STR_FMT
	    " should be set to different values before connecting, but are "
	    "currently set to the same value",
	    STR_ARG(key_of(j, own->profile, key)),
	    STR_ARG(key_of(j, other->profile, key)));
}

static int
check_profiles(struct job *j)
{
	struct clash c = { .job = j };

	mosquitto_each_bridge(j->config, look_for_clash, &c);
	return c.rc;
}

static int
check_modes(struct job *j)
{
	if (mosquitto_bridges(j->config) && !mosquitto_is_used(j->config))
		return err_set(&j->err, ERR_PARAM,
		    "mqtt.bridge.built_in is false, so that a Mosquitto is to "
		    "be the bridge; then mqtt.broker.built_in must be false, "
		    "too, and mqtt.client.host this machine");
	return 0;
}

/* " --profile p" */
static const char *
profile_option(struct job *j)
{
	return j->cloud.profile.len > 0
	    ? arena_printf(
		  &j->arena, " --profile " STR_FMT, STR_ARG(j->cloud.profile))
		  .ptr
	    : "";
}

static void show_line(const char *name, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
show_line(const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "\t%s: ", name);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

static void
show_config(struct job *j)
{
	const struct bridge_plan *p = &j->plan;
	struct str proxy = config_text(j->config, "proxy.address");
	struct buf version = { 0 };
	struct err ignored;

	fprintf(stderr, "Connecting to %s with config:\n", p->title);
	show_line("mapper configuration file", "%s/tedge.toml",
	    config_dir(j->config));
	show_line("device id", "%s", p->device_id);
	if (j->cloud.profile.len > 0)
		show_line("cloud profile", STR_FMT, STR_ARG(j->cloud.profile));
	else
		show_line("cloud profile", "<none>");
	show_line("cloud host", "%s:%u", p->host, p->port);
	show_line(
	    "auth type", "%s", p->cert_file != NULL ? "certificate" : "basic");
	if (p->cert_file != NULL)
		show_line("certificate file", "%s", p->cert_file);
	show_line("cryptoki", STR_FMT,
	    STR_ARG(config_text(j->config, "device.cryptoki.mode")));
	show_line(
	    "bridge", "%s", bridges_by_mosquitto(j) ? "mosquitto" : "built-in");
	show_line("service manager", "%s",
	    system_is_available(&j->system) ? j->system.manager : "none");
	if (uses_mosquitto(j) && mosquitto_version(&version, &ignored) == 0)
		show_line(
		    "mosquitto version", STR_FMT, STR_ARG(buf_str(&version)));
	if (proxy.len > 0)
		show_line("proxy", STR_FMT, STR_ARG(proxy));
	else
		show_line("proxy", "not configured");
	buf_free(&version);
}

/* --- connect ------------------------------------------------------------- */

static int
test_connection(struct job *j)
{
	int rc = 0;

	if (!mosquitto_is_connected(&j->cloud))
		rc = err_set(&j->err, ERR_NOT_FOUND,
		    "Device is not connected to %s cloud", j->plan.title);
	if (rc == 0) {
		command_step("Verifying device is connected to cloud");
		rc = verify_times(j, TEST_TIMES);
		command_step_done(rc == 0);
	}
	if (rc != 0)
		return job_failed(j, "test the connection to");
	fprintf(stderr, "Connection check to %s cloud is successful.\n",
	    j->plan.title);
	return 0;
}

static void
undo(struct job *j)
{
	struct err ignored;

	if (mosquitto_remove_bridge(&j->cloud, &ignored) != 0)
		return; /* it had not come so far */
	(void)system_service(&j->system, SYSTEM_STOP, j->plan.mapper, &ignored);
	(void)system_service(
	    &j->system, SYSTEM_DISABLE, j->plan.mapper, &ignored);
	if (bridges_by_mosquitto(j))
		(void)system_service(
		    &j->system, SYSTEM_RESTART, "mosquitto", &ignored);
}

static int
connect_now(struct job *j)
{
	int rc = 0;

	if (mosquitto_is_connected(&j->cloud))
		return err_set(&j->err, ERR_EXISTS,
		    "Connection is already established. To remove the existing "
		    "connection, run 'tedge disconnect %s%s' and try again.",
		    j->cloud.name, profile_option(j));
	rc = check_modes(j);
	if (rc == 0)
		rc = check_profiles(j);
	if (rc != 0)
		return rc;
	show_config(j);
	for (size_t i = 0; i < COUNT_OF(connect_steps); i++) {
		struct err why;

		if (!connect_steps[i].applies(j))
			continue;
		rc = take_step(j, &connect_steps[i]);
		if (rc == 0)
			continue;
		why = j->err;
		undo(j);
		j->err = why;
		return rc;
	}
	if (j->unserved)
		command_say("warning",
		    "There is no service manager to start services by, and "
		    "marram-edge is not running. What was set holds when you "
		    "start them by hand: marram-edge run");
	return 0;
}

static int
connect_or_test(struct job *j)
{
	if (read_plan(j) != 0)
		return job_failed(j, "connect to");
	if (command_option(j->call, "test") != NULL)
		return test_connection(j);
	j->offline = command_option(j->call, "offline") != NULL;
	if (connect_now(j) != 0)
		return job_failed(j, "connect to");
	if (!j->old_certificate)
		return 0;
	command_say("warning",
	    "Successfully connected, however not using the new certificate");
	return EXIT_OLD_CERTIFICATE;
}

/* A mapper of the user's own is started as a service; that is all there is to
 * connect. */
static bool
is_own(struct command_call *c)
{
	const struct config *config = command_config(c);

	return config != NULL &&
	    mapper_is_custom(config, str_of(command_arg(c, "CLOUD")));
}

static int
run_own(struct command_call *c, const char *verb)
{
	const char *name = command_arg(c, "CLOUD");

	if (command_option(c, "test") != NULL)
		return command_test_own(c, name);
	fprintf(stderr,
	    "Error: 'tedge %s' is not supported for custom mappers (only "
	    "--test is available). Start it by: marram-edge part enable "
	    "tedge-mapper-%s\n",
	    verb, name);
	return 1;
}

static int
run_connect(struct command_call *c)
{
	struct job j;
	int status;

	if (is_own(c))
		return run_own(c, "connect");
	status = job_begin(&j, c) ? connect_or_test(&j) : 1;
	job_end(&j);
	return status;
}

/* --- disconnect ---------------------------------------------------------- */

static int
do_shown(
    struct job *j, enum system_do what, const char *verb, const char *service)
{
	char title[128];
	int rc;

	snprintf(title, sizeof(title), "%s %s", verb, service);
	command_step(title);
	rc = system_service(&j->system, what, service, &j->err);
	if (rc == ERR_CLOSED) /* then it does not run */
		rc = 0;
	command_step_done(rc == 0);
	return rc;
}

/* What waits for the cloud goes with the connection: it would be told to
 * whichever cloud is connected next, and lie on the disk until then. */
static void
forget(struct job *j, const char *mapper)
{
	struct str prefix = cloud_text(&j->cloud, "bridge.topic_prefix");
	const char *const clients[] = { mapper,
		arena_printf(
		    &j->arena, "tedge-mapper-bridge-" STR_FMT, STR_ARG(prefix))
		    .ptr };
	struct err err;

	for (size_t i = 0; i < COUNT_OF(clients); i++)
		if (command_forget(j->config, clients[i], &err) != 0) {
			command_say("warning",
			    "what waits for %s stays with the broker, and is "
			    "sent when it is connected again: %s",
			    j->cloud.name, err.text);
			return;
		}
}

/* `for_good`: else it is connected again at once. */
static int
disconnect_now(struct job *j, bool for_good)
{
	const char *mapper =
	    arena_printf(&j->arena, "tedge-mapper-%s%s" STR_FMT, j->cloud.name,
		j->cloud.profile.len > 0 ? "@" : "", STR_ARG(j->cloud.profile))
		.ptr;
	int rc = system_read(j->config, &j->arena, &j->system, &j->err);

	if (rc == 0)
		rc = mosquitto_remove_bridge(&j->cloud, &j->err);
	if (rc == ERR_NOT_FOUND) {
		fprintf(stderr, "Bridge doesn't exist. Operation finished!\n");
		return 0;
	}
	if (rc == 0 && mosquitto_is_used(j->config) &&
	    mosquitto_bridges(j->config))
		rc = do_shown(j, SYSTEM_RESTART, "Restarting", "mosquitto");
	if (rc == 0)
		rc = do_shown(j, SYSTEM_STOP, "Stopping", mapper);
	if (rc == 0)
		rc = do_shown(j, SYSTEM_DISABLE, "Disabling", mapper);
	if (rc == 0 && for_good)
		forget(j, mapper);
	return rc;
}

static int
run_disconnect(struct command_call *c)
{
	struct job j;
	int status = 1;

	if (job_begin(&j, c))
		status = disconnect_now(&j, true) == 0
		    ? 0
		    : job_failed(&j, "disconnect from");
	job_end(&j);
	return status;
}

static int
run_reconnect(struct command_call *c)
{
	struct job j;
	int status = 1;

	if (is_own(c))
		return run_own(c, "reconnect");
	if (job_begin(&j, c)) {
		fprintf(stderr, "Disconnecting from %s:\n", j.cloud.name);
		status = disconnect_now(&j, false) == 0
		    ? connect_or_test(&j)
		    : job_failed(&j, "disconnect from");
	}
	job_end(&j);
	return status;
}

/* --- refresh-bridges ----------------------------------------------------- */

struct refresh {
	struct config *config;
	unsigned done;
	int rc;
	struct err err;
};

static void
refresh_one(void *ctx, const struct cloud *cloud)
{
	struct refresh *r = ctx;
	struct arena a = { 0 };
	struct bridge_plan plan;

	if (r->rc == 0)
		r->rc = bridge_plan(cloud, &a, &plan, &r->err);
	if (r->rc == 0) {
		fprintf(stderr, "Refreshing bridge %s\n", plan.label);
		r->rc = mosquitto_write_bridge(&plan, &r->err);
		r->done++;
	}
	arena_fini(&a);
}

static int
run_refresh(struct command_call *c)
{
	struct refresh r = { .config = command_config(c) };
	struct arena a = { 0 };
	struct system system;

	if (r.config == NULL)
		return 1;
	if (mosquitto_bridges(r.config))
		mosquitto_each_bridge(r.config, refresh_one, &r);
	if (r.rc == 0 && r.done == 0) {
		fprintf(stderr, "No bridges to refresh.\n");
		return 0;
	}
	if (r.rc == 0)
		r.rc = mosquitto_write_common(r.config, NULL, &r.err);
	if (r.rc == 0)
		r.rc = system_read(r.config, &a, &system, &r.err);
	if (r.rc == 0) {
		command_step("Restarting mosquitto");
		r.rc = system_service(
		    &system, SYSTEM_RESTART, "mosquitto", &r.err);
		command_step_done(r.rc == 0);
	}
	arena_fini(&a);
	return r.rc == 0 ? 0 : command_failed("refresh bridges", &r.err);
}

/* --- rows ---------------------------------------------------------------- */

#define PROFILE                                                                \
	{                                                                      \
		.name = "profile", .arg = "NAME",                              \
		.env = "TEDGE_CLOUD_PROFILE",                                  \
		.help = "the profile of the cloud to use"                      \
	}

static const struct command_option connect_options[] = {
	{ .name = "key",
	    .arg = "KEY",
	    .env = KEY_VARIABLE,
	    .help = "marram: the key of the gateway, by which the device is "
		    "let in the first time" },
	{ .name = "test", .help = "only see whether the connection works" },
	{ .name = "offline",
	    .help = "set it up without asking the cloud anything" },
	PROFILE,
	{ 0 },
};

static const struct command_option profile_options[] = { PROFILE, { 0 } };

const struct command connect_commands[] = {
	{ .words = "connect",
	    .args = "CLOUD",
	    .options = connect_options,
	    .help = "Connect the device to c8y, az, aws or marram; with --test "
		    "also to a mapper of your own",
	    .run = run_connect },
	{ .words = "disconnect",
	    .args = "CLOUD",
	    .options = profile_options,
	    .help = "Disconnect the device from a cloud",
	    .run = run_disconnect },
	{ .words = "reconnect",
	    .args = "CLOUD",
	    .options = connect_options,
	    .help = "Disconnect from a cloud, and connect to it again",
	    .run = run_reconnect },
	{ .words = "refresh-bridges",
	    .args = "",
	    .help = "Write Mosquitto's files of the clouds that are connected "
		    "again, and restart it",
	    .run = run_refresh },
	{ 0 },
};

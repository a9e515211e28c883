/*
 * edge/command/connect_steps.c - what is done to connect, step by step; and
 * whether it works.
 */
#include "edge/command/connect_private.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/json.h"
#include "edge/bridge_link.h"
#include "edge/exchange.h"
#include "edge/mosquitto.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECRET_LEN 40
#define ANSWER_MS 10000 /* of the cloud */
#define CLOUD_MS 20000  /* to be let in by it */
#define LISTEN_MS 20000 /* until Mosquitto answers */
#define VERIFY_TIMES 5
#define VERIFY_FIRST_S 2 /* between those, doubled each time */
#define VERIFY_MAX_S 30

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
is_marram(const struct connect_job *j)
{
	return strcmp(j->cloud.name, "marram") == 0;
}

/* The platform does not say why: it would say it to anybody. */
static void
explain_refusal(struct connect_job *j)
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
ask_cloud(
    struct connect_job *j, const struct bridge_plan *p, struct exchange *x)
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
asks_cloud(const struct connect_job *j)
{
	return !j->offline;
}

static bool
has_new_certificate(const struct connect_job *j)
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
try_new_certificate(struct connect_job *j)
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
is_cumulocity(const struct connect_job *j)
{
	return asks_cloud(j) && strcmp(j->cloud.name, "c8y") == 0;
}

static bool
is_another_cloud(const struct connect_job *j)
{
	return asks_cloud(j) && !is_cumulocity(j);
}

/* Said twice: the first makes the device, the second is told that it exists. */
static int
create_device(struct connect_job *j)
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
try_cloud(struct connect_job *j)
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
make_secret(struct connect_job *j)
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

int
connect_plan(struct connect_job *j)
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

bool
connect_by_mosquitto(const struct connect_job *j)
{
	return mosquitto_bridges(j->config);
}

bool
connect_uses_mosquitto(const struct connect_job *j)
{
	return mosquitto_is_used(j->config);
}

/* The bridge reads certificate and key as the user it runs as. */
static void
give_certificate(const struct connect_job *j)
{
	const char *user =
	    connect_by_mosquitto(j) ? "mosquitto" : j->system.user;
	const char *const files[] = { j->plan.cert_file, j->plan.key_file,
		j->plan.by_account ? j->plan.credentials : NULL };
	const struct passwd *pw;
	struct err err;

	if (geteuid() != 0 || (pw = getpwnam(user)) == NULL)
		return;
	for (size_t i = 0; i < COUNT_OF(files); i++)
		if (files[i] != NULL && files[i][0] == '/' &&
		    file_give(files[i], pw->pw_uid, pw->pw_gid, &err) != 0)
			command_say("warning", "it can not be %s's: %s", user,
			    err.text);
}

static int
write_bridge(struct connect_job *j)
{
	give_certificate(j);
	return mosquitto_write_bridge(&j->plan, &j->err);
}

static int
write_mosquitto(struct connect_job *j)
{
	int rc = mosquitto_write_common(j->config, NULL, &j->err);

	if (rc == 0)
		rc = mosquitto_include(j->config, &j->err);
	return rc;
}

static int
restart_mosquitto(struct connect_job *j)
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
wait_for_mosquitto(struct connect_job *j)
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
is_served(const struct connect_job *j)
{
	return connect_uses_mosquitto(j) && !j->unserved;
}

/* Of a part that nothing can start now: it starts with the program. */
static int
enable(struct connect_job *j, const char *service, enum system_do begin)
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
enable_mapper(struct connect_job *j)
{
	return enable(j, j->plan.mapper, SYSTEM_RESTART);
}

static int
enable_agent(struct connect_job *j)
{
	return enable(j, "tedge-agent", SYSTEM_START);
}

/* --- does it work? ------------------------------------------------------- */

/* The way from here to the bridge, and from the bridge to the cloud. */
static int
verify_once(struct connect_job *j)
{
	const struct bridge_plan *p = &j->plan;
	const struct check *c = check_of(p);
	struct exchange x = { .conf = &j->local.conf,
		.filter =
		    bridge_health_topic(p, !connect_by_mosquitto(j), &j->arena)
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
is_verified(const struct connect_job *j)
{
	return !j->offline && !j->unserved;
}

int
connect_verify(struct connect_job *j, int times)
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
verify(struct connect_job *j)
{
	return connect_verify(j, VERIFY_TIMES);
}

static bool
has_token(const struct connect_job *j)
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
check_tenant(struct connect_job *j)
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
	bool (*applies)(const struct connect_job *j);
	int (*run)(struct connect_job *j); /* why not is in j->err */
	enum if_failed if_failed;
};

static bool
always(const struct connect_job *j)
{
	(void)j;
	return true;
}

static const struct step steps[] = {
	{ "Trying the new certificate", has_new_certificate,
	    try_new_certificate, WARN },
	{ "Creating device in Cumulocity cloud", is_cumulocity, create_device,
	    GIVE_UP },
	{ "Trying to connect to the cloud", is_another_cloud, try_cloud,
	    GIVE_UP },
	{ "Creating mosquitto bridge", connect_by_mosquitto, write_bridge,
	    GIVE_UP },
	{ NULL, always, write_bridge, GIVE_UP },
	{ NULL, connect_uses_mosquitto, write_mosquitto, GIVE_UP },
	{ "Restarting mosquitto", connect_uses_mosquitto, restart_mosquitto,
	    GIVE_UP },
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
take_step(struct connect_job *j, const struct step *s)
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

int
connect_steps(struct connect_job *j)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < COUNT_OF(steps); i++)
		if (steps[i].applies(j))
			rc = take_step(j, &steps[i]);
	return rc;
}

/*
 * edge/command/connect.c - `connect`, `disconnect`, `reconnect` and
 * `refresh-bridges`.
 *
 * To connect is a table of steps, each shown with a tick or a cross. The file
 * of the bridge (edge/mosquitto.h) is there exactly while the cloud is
 * connected: a step that fails takes it away again.
 */
#include "edge/command/connect_private.h"
#include "edge/command_private.h"

#include "edge/mosquitto.h"

#include <stdio.h>
#include <string.h>

#define EXIT_OLD_CERTIFICATE 3
#define TEST_TIMES 2

/* --- before and around --------------------------------------------------- */

/* False: what was wrong is told. */
static bool
job_begin(struct connect_job *j, struct command_call *call)
{
	*j = (struct connect_job){ .call = call,
		.config = command_config(call) };
	return j->config != NULL &&
	    command_cloud(call, command_arg(call, "CLOUD"), &j->cloud);
}

static void
job_end(struct connect_job *j)
{
	local_close(&j->local);
	buf_free(&j->answer);
	arena_fini(&j->arena);
}

static int
job_failed(struct connect_job *j, const char *verb)
{
	char doing[160];

	snprintf(doing, sizeof(doing), "%s %s%s" STR_FMT, verb,
	    j->plan.title != NULL ? j->plan.title : j->cloud.name,
	    j->cloud.profile.len > 0 ? " with profile " : " cloud",
	    STR_ARG(j->cloud.profile));
	return command_failed(doing, &j->err);
}

static int
read_plan(struct connect_job *j)
{
	int rc = connect_plan(j);

	if (rc == 0)
		rc = system_read(j->config, &j->arena, &j->system, &j->err);
	if (rc == 0)
		rc = local_open(&j->local, j->config, &j->err);
	return rc;
}

/* What two profiles of one cloud may not share. */
struct clash {
	struct connect_job *job;
	int rc;
};

static struct str
key_of(struct connect_job *j, struct str profile, const char *key)
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
	struct connect_job *j = c->job;
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
check_profiles(struct connect_job *j)
{
	struct clash c = { .job = j };

	mosquitto_each_bridge(j->config, look_for_clash, &c);
	return c.rc;
}

static int
check_modes(struct connect_job *j)
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
profile_option(struct connect_job *j)
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
show_config(struct connect_job *j)
{
	const struct bridge_plan *p = &j->plan;
	struct str proxy = config_text(j->config, "proxy.address");
	struct buf version = { 0 };
	struct err ignored;

	fprintf(stderr, "Connecting to %s with config:\n", p->title);
	show_line("mapper configuration file", "%s", config_file_of(&j->cloud));
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
	    "bridge", "%s", connect_by_mosquitto(j) ? "mosquitto" : "built-in");
	show_line("service manager", "%s",
	    system_is_available(&j->system) ? j->system.manager : "none");
	if (connect_uses_mosquitto(j) &&
	    mosquitto_version(&version, &ignored) == 0)
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
test_connection(struct connect_job *j)
{
	int rc = 0;

	if (!mosquitto_is_connected(&j->cloud))
		rc = err_set(&j->err, ERR_NOT_FOUND,
		    "Device is not connected to %s cloud", j->plan.title);
	if (rc == 0) {
		command_step("Verifying device is connected to cloud");
		rc = connect_verify(j, TEST_TIMES);
		command_step_done(rc == 0);
	}
	if (rc != 0)
		return job_failed(j, "test the connection to");
	fprintf(stderr, "Connection check to %s cloud is successful.\n",
	    j->plan.title);
	return 0;
}

static void
undo(struct connect_job *j)
{
	struct err ignored;

	if (mosquitto_remove_bridge(&j->cloud, &ignored) != 0)
		return; /* it had not come so far */
	(void)system_service(&j->system, SYSTEM_STOP, j->plan.mapper, &ignored);
	(void)system_service(
	    &j->system, SYSTEM_DISABLE, j->plan.mapper, &ignored);
	if (connect_by_mosquitto(j))
		(void)system_service(
		    &j->system, SYSTEM_RESTART, "mosquitto", &ignored);
}

static int
connect_now(struct connect_job *j)
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
	rc = connect_steps(j);
	if (rc != 0) {
		struct err why = j->err;

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
connect_or_test(struct connect_job *j)
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
	struct connect_job j;
	int status;

	if (is_own(c))
		return run_own(c, "connect");
	status = job_begin(&j, c) ? connect_or_test(&j) : 1;
	job_end(&j);
	return status;
}

/* --- disconnect ---------------------------------------------------------- */

static int
do_shown(struct connect_job *j, enum system_do what, const char *verb,
    const char *service)
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
forget(struct connect_job *j, const char *mapper)
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
disconnect_now(struct connect_job *j, bool for_good)
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
	struct connect_job j;
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
	struct connect_job j;
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

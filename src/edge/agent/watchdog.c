/*
 * edge/agent/watchdog.c - tedge-watchdog: asks each service of the device for
 * its health, and tells systemd of those that answer.
 *
 * A service is watched when its unit has a WatchdogSec and it is active. It is
 * asked four times in that time.
 *
 * Where the unit is a process, an answer that it is up, which is not older than
 * the question, is passed on as WATCHDOG=1 in the name of the process that the
 * answer names: who does not answer is restarted by systemd. A oneshot has no
 * process that systemd would watch; so are the units of our own parts, which
 * live in marram-edge. Who does not answer four times is restarted from here.
 */
#include "edge/agent/programs.h"

#include "base/base.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"
#include "edge/local.h"
#include "edge/notify.h"
#include "edge/system.h"
#include "edge/topic.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LOG_MODULE "watchdog"
#define NOTIFY_MS 10000
#define MANAGER_MS 90000 /* a service may take its time to stop */
#define QUESTIONS 4      /* in the time of a unit */

static const char *const names[] = { "tedge-agent", "tedge-mapper-c8y",
	"tedge-mapper-az", "tedge-mapper-aws", "tedge-mapper-marram",
	"tedge-mapper-collectd" };
static const char *const folders[] = { "/etc/systemd/system",
	"/run/systemd/system", "/usr/lib/systemd/system",
	"/lib/systemd/system" };

struct watchdog;

struct watched {
	struct watchdog *dog;
	const char *name;
	int64_t every_ms;
	bool oneshot;
	bool stopped;  /* by somebody: it is not asked until it is active */
	int missed;    /* answers, one after the other */
	int64_t asked; /* wall, ms; 0: it is not waited for */
	struct loop_timer timer;
	struct child *child; /* a notice, or the service manager */
	struct buf topic;    /* of its health */
};

struct watchdog {
	struct loop *loop;
	const struct system *system;
	struct mqtt_client *client;
	struct notify notify;
	struct loop_io signals;
	struct watched at[COUNT_OF(names)];
	size_t n;
};

/* --- units ---------------------------------------------------------------- */

/* "30", "30s", "1min 30s", "500ms"; 0: none of these. */
static int64_t
read_span(struct str text)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = { { "ms", 1 }, { "msec", 1 }, { "", 1000 }, { "s", 1000 },
		{ "sec", 1000 }, { "m", 60000 }, { "min", 60000 },
		{ "h", 3600000 }, { "hr", 3600000 } };
	int64_t total = 0;

	text = str_trim(text);
	while (text.len > 0) {
		struct str digits = text, unit;
		size_t i = 0, k;
		uint64_t n;

		while (i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9')
			i++;
		digits.len = i;
		if (!str_to_u64(digits, &n) || n > 1000000)
			return 0;
		text = str_trim((struct str){ text.ptr + i, text.len - i });
		for (i = 0;
		     i < text.len && text.ptr[i] >= 'a' && text.ptr[i] <= 'z';
		     i++)
			;
		unit = (struct str){ text.ptr, i };
		text = str_trim((struct str){ text.ptr + i, text.len - i });
		for (k = 0; k < COUNT_OF(units); k++)
			if (str_eqz(unit, units[k].unit))
				break;
		if (k == COUNT_OF(units))
			return 0;
		total += (int64_t)n * units[k].ms;
	}
	return total;
}

/* WatchdogSec of its unit; 0: it has none. */
static int64_t
read_unit(const char *dir, const char *name, bool *oneshot)
{
	char *path = mem_printf("%s/%s.service", dir, name);
	struct buf text = { 0 };
	struct str rest;
	int64_t ms = 0;

	if (access(path, R_OK) == 0)
		(void)file_read(path, &text, NULL);
	for (rest = buf_str(&text); rest.len > 0;) {
		struct str value = str_trim(str_cut(&rest, '\n')), key;

		key = str_trim(str_cut(&value, '='));
		if (str_eqz(key, "WatchdogSec") && value.ptr != NULL)
			ms = read_span(value);
		if (str_eqz(key, "Type") && value.ptr != NULL)
			*oneshot = str_eqz(str_trim(value), "oneshot");
	}
	buf_free(&text);
	free(path);
	return ms;
}

/* Returns how many of them are active. */
static size_t
find_services(struct watchdog *d, const struct system *s, const char *dir)
{
	size_t active = 0;

	d->system = s;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct watched *w = &d->at[d->n];
		int64_t ms = 0;

		for (size_t k = 0;
		     ms == 0 && dir == NULL && k < COUNT_OF(folders); k++)
			ms = read_unit(folders[k], names[i], &w->oneshot);
		if (dir != NULL)
			ms = read_unit(dir, names[i], &w->oneshot);
		if (ms == 0)
			continue;
		w->dog = d;
		w->name = names[i];
		w->every_ms = MAX_OF(ms / QUESTIONS, 1);
		w->stopped = !system_is_active(s, names[i]);
		d->n++;
		if (w->stopped)
			continue;
		active++;
		log_info("%s is watched, and asked each %lld ms", w->name,
		    (long long)w->every_ms);
	}
	return active;
}

/* --- asking --------------------------------------------------------------- */

static void
manage(struct watched *w, enum system_do what,
    void (*done)(void *ctx, const struct child_end *end))
{
	struct arena a = { 0 };
	struct err err;

	if (w->child == NULL &&
	    child_start(w->dog->loop,
		&(struct child_conf){
		    .argv = system_argv(w->dog->system, what, w->name, &a),
		    .timeout_ms = MANAGER_MS },
		done, w, &w->child, &err) != 0)
		log_warn("%s", err.text);
	arena_fini(&a);
}

static void
tell_failure(
    const struct watched *w, const char *what, const struct child_end *end)
{
	struct buf how = { 0 };

	if (end->status == 0 && !end->timed_out)
		return;
	child_end_text(end, &how);
	log_warn("%s %s %s: " STR_FMT, what, w->name, buf_z(&how),
	    STR_ARG(str_trim(end->err)));
	buf_free(&how);
}

static void
on_restarted(void *ctx, const struct child_end *end)
{
	struct watched *w = ctx;

	w->child = NULL;
	tell_failure(w, "to restart", end);
}

/* Is it still wanted, or wanted again? */
static void
on_looked(void *ctx, const struct child_end *end)
{
	struct watched *w = ctx;
	bool active = end->status == 0 && !end->timed_out;

	w->child = NULL;
	w->asked = 0;
	w->missed = 0;
	if (active == w->stopped) {
		w->stopped = !active;
		log_info("%s was %s", w->name,
		    active ? "started: it is watched"
			   : "stopped: it is not watched until it is started");
	} else if (active && w->oneshot) {
		log_warn("%s does not answer, and is restarted", w->name);
		manage(w, SYSTEM_RESTART, on_restarted);
	}
}

static void
on_time(struct loop_timer *t)
{
	struct watched *w = container_of(t, struct watched, timer);
	struct buf topic = { 0 };

	loop_after(w->dog->loop, t, w->every_ms);
	if (w->asked != 0) {
		w->missed++;
		log_warn("%s has not answered within %lld ms", w->name,
		    (long long)w->every_ms);
	}
	if (w->stopped || w->missed >= QUESTIONS) {
		manage(w, SYSTEM_IS_ACTIVE, on_looked);
		return;
	}
	w->asked = clock_now();
	buf_add(
	    &topic, w->topic.ptr, w->topic.len - (sizeof("status/health") - 1));
	buf_addz(&topic, "cmd/health/check");
	(void)mqtt_client_publish(
	    w->dog->client, buf_str(&topic), STR("{}"), 1, false, NULL, NULL);
	buf_free(&topic);
}

static void
on_notified(void *ctx, const struct child_end *end)
{
	struct watched *w = ctx;

	w->child = NULL;
	tell_failure(w, "systemd-notify for", end);
}

static void
pass_on(struct watched *w, int64_t pid)
{
	char *option = mem_printf("--pid=%lld", (long long)pid);
	const char *argv[] = { "systemd-notify", option, "WATCHDOG=1", NULL };
	struct err err;

	if (w->child == NULL &&
	    child_start(w->dog->loop,
		&(struct child_conf){ .argv = argv, .timeout_ms = NOTIFY_MS },
		on_notified, w, &w->child, &err) != 0)
		log_warn("%s", err.text);
	free(option);
}

/* {"pid":..., "status":"up", "time":...}; the time in seconds since 1970, or as
 * RFC 3339. */
static bool
read_health(struct str payload, int64_t *pid, int64_t *at)
{
	struct arena a = { 0 };
	struct str key, text;
	struct json in;
	bool up = false;
	double s;

	*pid = *at = 0;
	json_open(&in, payload, 0, &a);
	if (json_object(&in))
		while (json_member(&in, &key)) {
			if (str_eqz(key, "pid") &&
			    json_peek(&in) == JSON_NUMBER)
				json_i64(&in, pid);
			else if (str_eqz(key, "status") &&
			    json_peek(&in) == JSON_STRING)
				up =
				    json_str(&in, &text) && str_eqz(text, "up");
			else if (str_eqz(key, "time") &&
			    json_peek(&in) == JSON_NUMBER) {
				if (json_real(&in, &s) && fabs(s) < 1e12)
					*at = (int64_t)(s * 1000 + 0.5);
			} else if (str_eqz(key, "time") &&
			    json_peek(&in) == JSON_STRING) {
				if (json_str(&in, &text))
					(void)time_parse(text, at);
			} else
				json_skip(&in);
		}
	up = up && json_done(&in, NULL) == 0 && *pid > 0;
	arena_fini(&a);
	return up;
}

static void
on_health(void *ctx, const struct mqtt_client_msg *m)
{
	struct watched *w = ctx;
	int64_t pid, at;

	/* A time in whole seconds may seem to be before the question. */
	if (m->topic.ptr == NULL || w->asked == 0 ||
	    !read_health(m->payload, &pid, &at) || at + 999 < w->asked)
		return;
	w->asked = 0;
	w->missed = 0;
	if (!w->oneshot)
		pass_on(w, pid);
}

/* -------------------------------------------------------------------------- */

static void
on_signal(struct loop_io *io, unsigned what)
{
	struct watchdog *d = container_of(io, struct watchdog, signals);

	(void)what;
	loop_stop(d->loop);
}

static void
on_subscribed(void *owner)
{
	struct watchdog *d = owner;

	if (d->notify.loop == NULL)
		notify_ready(&d->notify, d->loop);
	for (size_t i = 0; i < d->n; i++)
		if (!loop_is_running(&d->at[i].timer))
			loop_after(d->loop, &d->at[i].timer, 0);
}

static void
on_down(void *owner, const struct err *why)
{
	(void)owner;
	log_warn("the local broker is away: %s; it is tried again", why->text);
}

static const struct mqtt_client_events events = { .down = on_down,
	.subscribed = on_subscribed };

static int
watch(struct watchdog *d, const struct config *c, struct err *err)
{
	struct local local = { 0 };
	struct mqtt_client_conf conf;
	struct buf device = { 0 };
	sigset_t set;
	int rc = te_entity_normal(
	    &device, config_text(c, "mqtt.device_topic_id"), err);

	if (rc == 0)
		rc = local_open(&local, c, err);
	if (rc != 0) {
		buf_free(&device);
		return rc;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	d->loop = loop_new();
	d->signals.ready = on_signal;
	d->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	loop_watch(d->loop, &d->signals, LOOP_READ);
	conf = local.conf;
	conf.client_id = "tedge-watchdog";
	rc = mqtt_client_new(d->loop, &conf, &events, d, &d->client, err);
	for (size_t i = 0; rc == 0 && i < d->n; i++) {
		struct watched *w = &d->at[i];

		w->timer.fire = on_time;
		buf_addf(&w->topic, STR_FMT "/",
		    STR_ARG(config_text(c, "mqtt.topic_root")));
		te_entity_service(&w->topic, buf_str(&device), w->name);
		buf_addz(&w->topic, "/status/health");
		rc = mqtt_client_subscribe(
		    d->client, buf_str(&w->topic), 1, on_health, w);
	}
	if (rc == 0) {
		mqtt_client_start(d->client);
		loop_run(d->loop);
	}
	notify_stopping(&d->notify);
	for (size_t i = 0; i < d->n; i++) {
		loop_cancel(d->loop, &d->at[i].timer);
		child_free(d->at[i].child);
		buf_free(&d->at[i].topic);
	}
	mqtt_client_free(d->client);
	loop_unwatch(d->loop, &d->signals);
	close(d->signals.fd);
	loop_free(d->loop);
	local_close(&local);
	buf_free(&device);
	return rc;
}

int
watchdog_main(int argc, char **argv)
{
	const char *const options[] = { "config-dir", "unit-dir", NULL };
	const char *values[2] = { 0 };
	struct watchdog d = { 0 };
	struct arena a = { 0 };
	struct config *c = NULL;
	struct system s;
	struct err err;
	size_t n;
	int rc;

	if (!program_args(argc, argv, options, values, NULL, 0, &n))
		return 2;
	rc = config_open(
	    values[0] != NULL ? values[0] : program_config_dir(), &c, &err);
	if (rc == 0)
		rc = system_read(c, &a, &s, &err);
	if (rc == 0) {
		log_setup(system_log_level(&s, STR("tedge-watchdog"), LOG_INFO),
		    LOG_LOG4J);
		if (find_services(&d, &s, values[1]) == 0)
			log_info("no service is active that has a WatchdogSec: "
				 "there is nothing to watch");
		else
			rc = watch(&d, c, &err);
	}
	config_close(c);
	arena_fini(&a);
	return rc == 0 ? 0 : program_fail(1, "tedge-watchdog: %s", err.text);
}

/*
 * edge/run.c - see edge.h. Signals: SIGTERM and SIGINT end (a second one at
 * once), SIGUSR1 restarts the mappers, SIGHUP reads the levels of the log
 * again.
 */
#include "edge/private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "edge/topic.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "edge"
#define LAST_TURNS 8
#define LAST_TURN_MS 10

/* --- what a part is given ------------------------------------------------ */

struct loop *
edge_loop(struct edge *e)
{
	return e->loop;
}

const struct config *
edge_config(struct edge *e)
{
	return parts_config(e);
}

struct str
edge_device_id(struct edge *e)
{
	return config_text(parts_config(e), "device.id");
}

struct str
edge_root(struct edge *e)
{
	return config_text(parts_config(e), "mqtt.topic_root");
}

struct str
edge_device_topic(struct edge *e)
{
	return buf_str(&e->device_topic);
}

bool
edge_tells(
    struct edge *e, const char *who, struct str topic, struct str payload)
{
	return told_first(&e->told, clock_mono(), str_of(who), topic, payload);
}

bool
edge_is_whole(struct edge *e)
{
	return e->conf.parts == NULL;
}

static int
dial(void *ctx, struct err *err)
{
	struct edge *e = ctx;
	const struct mqtt_listener_conf conf = { .inside = MQTT_INSIDE "edge",
		.durability = MQTT_OS };
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		fds) < 0)
		return err_errno(err, "socketpair");
	mqtt_server_adopt(e->broker, NULL, fds[1], NULL, STR_NULL, &conf);
	return fds[0];
}

void
edge_local(struct edge *e, struct mqtt_client_conf *conf)
{
	*conf = e->local.conf;
	conf->retry_min_ms = 500;
	conf->retry_max_ms = 10000;
	if (e->broker == NULL)
		return;
	conf->address = "this process";
	conf->level = 5;
	conf->dial = dial;
	conf->dial_ctx = e;
}

void
edge_end(struct edge *e, const char *why)
{
	e->ended = why;
	loop_stop(e->loop);
}

/* --- signals ------------------------------------------------------------- */

static void
on_signal(struct loop_io *io, unsigned what)
{
	struct edge *e = container_of(io, struct edge, signals);
	struct signalfd_siginfo info;

	(void)what;
	if (read(io->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		struct err err;

		if (levels_read(e, &err) != 0)
			log_error("the levels of the log stay: %s", err.text);
		else
			log_info("the levels of the log have been read");
	} else if (info.ssi_signo == SIGUSR1) {
		log_info("restarting the mappers");
		parts_restart(e, "tedge-mapper");
	} else if (e->ending) {
		_exit(1);
	} else {
		e->ending = true;
		log_info("ending on signal %u", info.ssi_signo);
		loop_stop(e->loop);
	}
}

static int
watch_signals(struct edge *e, struct err *err)
{
	static const int all[] = { SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGHUP };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < COUNT_OF(all); i++)
		sigaddset(&set, all[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* threads inherit it */
	signal(SIGPIPE, SIG_IGN);
	e->signals.ready = on_signal;
	e->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (e->signals.fd < 0)
		return err_errno(err, "signalfd");
	loop_watch(e->loop, &e->signals, LOOP_READ);
	return 0;
}

/* --- memory -------------------------------------------------------------- */

static void
on_memory(struct loop_timer *t)
{
	struct edge *e = container_of(t, struct edge, memory);
	long page = sysconf(_SC_PAGESIZE) / 1024, all, shared;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f != NULL && fscanf(f, "%*d %ld %ld", &all, &shared) == 2)
		log_info("memory in use: %ld KiB, and %ld KiB of files",
		    (all - shared) * page, shared * page);
	if (f != NULL)
		fclose(f);
	loop_after(
	    e->loop, t, config_ms(e->conf.config, "run.log_memory_interval"));
}

static void
watch_memory(struct edge *e)
{
	e->memory.fire = on_memory;
	if (config_ms(e->conf.config, "run.log_memory_interval") > 0)
		on_memory(&e->memory);
}

/* --- start and end ------------------------------------------------------- */

int
edge_make_dir(struct str path, struct err *err)
{
	char *z = str_dupz(path);
	int rc = 0;

	if (mkdir(z, 0775) < 0 && errno != EEXIST)
		rc = err_errno(err,
		    "make the folder %s (`tedge init` makes all with the right "
		    "owners)",
		    z);
	free(z);
	return rc;
}

static int
start_parts(struct edge *e, struct err *err)
{
	struct buf lines = { 0 };
	struct str rest, name;
	struct err why;
	int rc = 0;

	for (size_t i = 0; i < e->conf.n_parts; i++) {
		struct str profile;

		if (part_find(e->conf.config, str_of(e->conf.parts[i]),
			&profile) == NULL)
			return edge_start(e, str_of(e->conf.parts[i]), err);
		/* Another process has it: that is not for us to wait for. */
		if (edge_start(e, str_of(e->conf.parts[i]), &why) == ERR_EXISTS)
			return err_set(err, ERR_EXISTS, "%s", why.text);
	}
	if (e->conf.parts != NULL)
		return 0;
	rc = parts_enabled(e->conf.config, &lines, err);
	for (rest = buf_str(&lines); rc == 0 && rest.len > 0;) {
		name = str_trim(str_cut(&rest, '\n'));
		if (name.len > 0 && edge_start(e, name, &why) == ERR_NOT_FOUND)
			log_warn("%s", why.text);
	}
	buf_free(&lines);
	return rc;
}

static int
open_all(struct edge *e, struct err *err)
{
	const struct config *c = e->conf.config;
	int rc = te_entity_normal(
	    &e->device_topic, config_text(c, "mqtt.device_topic_id"), err);

	if (rc != 0)
		return err_wrap(err, "mqtt.device_topic_id");
	rc = levels_read(e, err);
	if (rc == 0)
		rc = parts_begin(e, err);
	if (rc == 0)
		rc = watch_signals(e, err);
	if (rc == 0)
		rc = edge_make_dir(config_text(c, "run.path"), err);
	if (rc == 0)
		rc = edge_make_dir(config_text(c, "data.path"), err);
	if (rc == 0)
		rc = broker_open(e, err);
	if (rc == 0 && e->conf.control)
		rc = control_open(e, &e->control, err);
	return rc == 0 ? start_parts(e, err) : rc;
}

static void
close_all(struct edge *e)
{
	notify_stopping(&e->notify);
	control_close(e->control);
	forget_close(e);
	parts_free(e);
	for (int i = 0; i < LAST_TURNS; i++) /* the last words of the parts */
		loop_turn(e->loop, LAST_TURN_MS);
	broker_close(e);
	loop_cancel(e->loop, &e->memory);
	if (e->signals.fd > 0) {
		loop_unwatch(e->loop, &e->signals);
		close(e->signals.fd);
	}
	loop_free(e->loop);
	log_modules(NULL);
	levels_free(e->levels);
	told_free(e->told);
	buf_free(&e->device_topic);
	buf_free(&e->text);
	buf_free(&e->will);
}

int
edge_run(const struct edge_conf *conf, struct err *err)
{
	struct edge e = { .conf = *conf, .loop = loop_new() };
	int rc;

	list_init(&e.parts);
	list_init(&e.forgets);
	buf_addf(&e.will, "{\"pid\":%ld,\"status\":\"down\"}", (long)getpid());
	rc = open_all(&e, err);
	if (rc == 0) {
		log_info("marram-edge " MARRAM_VERSION " is ready");
		notify_ready(&e.notify, e.loop);
		watch_memory(&e);
		loop_run(e.loop);
		if (e.ended != NULL)
			rc = err_set(err, ERR_AGAIN, "%s", e.ended);
	}
	close_all(&e);
	return rc;
}

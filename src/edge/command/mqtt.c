/*
 * edge/command/mqtt.c - `mqtt pub` and `mqtt sub`, on the device's broker.
 *
 *    CONNECTING ---- up ----> UP ---- all was said or heard ----> end
 *        |  ^                  |
 *        |  +------ down ------+
 *        +-- --connection-timeout ----> end, exit status 1
 *
 * `timer` is the connection's while it is CONNECTING; in UP it is that between
 * two messages (pub), or that after which there was enough (sub).
 */
#include "edge/command.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "edge/local.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define ID_RANDOM 8

struct job {
	struct loop *loop;
	struct local local;
	struct mqtt_client *client;
	struct loop_io signals;
	struct loop_timer connecting, timer;
	int64_t patience_ms;
	struct err last; /* why there is no connection */
	struct err err;
	int rc;    /* 0, or that of `err` */
	bool over; /* done, one way or the other */

	struct str topic, payload;
	int64_t qos;
	bool retain, base64;
	/* pub */
	int64_t times, sleep_ms; /* times 0: for ever */
	int64_t said;
	bool waiting; /* for the answer to one */
	/* sub */
	int64_t count, duration_ms; /* 0: no limit */
	int64_t heard;
	bool no_topic, retained_only;
	struct buf line;
};

static void
end(struct job *j, int rc)
{
	j->over = true;
	j->rc = rc;
	loop_stop(j->loop);
}

static void
refused(struct job *j, uint8_t reason)
{
	end(j,
	    err_set(&j->err, ERR_DENIED, "the broker refused it: %s",
		mqtt_reason_text(reason)));
}

/* --- the connection ------------------------------------------------------ */

static void
on_no_connection(struct loop_timer *t)
{
	struct job *j = container_of(t, struct job, connecting);

	end(j,
	    err_set(&j->err, ERR_AGAIN,
		"Operation timed out. Is mosquitto running? (%s:%u: %s)",
		j->local.conf.address, j->local.conf.port,
		j->last.text[0] != '\0' ? j->last.text : "no answer"));
}

static void
on_down(void *owner, const struct err *why)
{
	struct job *j = owner;

	if (why->code == ERR_DENIED) {
		j->err = *why;
		end(j, ERR_DENIED);
		return;
	}
	if (!loop_is_running(&j->connecting))
		loop_after(j->loop, &j->connecting, j->patience_ms);
	j->last = *why;
}

static void
on_signal(struct loop_io *io, unsigned what)
{
	(void)what;
	end(container_of(io, struct job, signals), 0);
}

static int
watch_signals(struct job *j)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	j->signals.ready = on_signal;
	j->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (j->signals.fd < 0)
		return err_errno(&j->err, "signalfd");
	loop_watch(j->loop, &j->signals, LOOP_READ);
	return 0;
}

static int
open_job(struct job *j, const struct config *config, const char *kind,
    const struct mqtt_client_events *events)
{
	struct mqtt_client_conf conf;
	char id[32], random[ID_RANDOM + 1];
	int rc;

	j->loop = loop_new();
	rc = local_open(&j->local, config, &j->err);
	if (rc != 0)
		return rc;
	rand_text(random, ID_RANDOM);
	snprintf(id, sizeof(id), "tedge-%s-%s", kind, random);
	conf = j->local.conf;
	conf.client_id = id;
	conf.keepalive_s = 60;
	conf.retry_min_ms = 100;
	conf.retry_max_ms = 1000;
	conf.max_packet = 256u << 20;
	j->connecting.fire = on_no_connection;
	rc = watch_signals(j);
	if (rc == 0)
		rc = mqtt_client_new(
		    j->loop, &conf, events, j, &j->client, &j->err);
	return rc;
}

static void
run_job(struct job *j)
{
	loop_after(j->loop, &j->connecting, j->patience_ms);
	mqtt_client_start(j->client);
	while (!j->over)
		loop_run(j->loop);
}

static void
close_job(struct job *j)
{
	loop_cancel(j->loop, &j->connecting);
	loop_cancel(j->loop, &j->timer);
	mqtt_client_free(j->client);
	if (j->signals.ready != NULL && j->signals.fd >= 0) {
		loop_unwatch(j->loop, &j->signals);
		close(j->signals.fd);
	}
	loop_free(j->loop);
	local_close(&j->local);
	buf_free(&j->line);
}

/* Takes `doing`. */
static int
finish(struct job *j, int rc, char *doing)
{
	if (rc == 0) {
		run_job(j);
		rc = j->rc;
	}
	if (rc != 0)
		rc = command_failed(doing, &j->err);
	close_job(j);
	free(doing);
	return rc;
}

/* --- pub ----------------------------------------------------------------- */

static void say(struct job *j);

static void
on_said(void *ctx, uint8_t reason)
{
	struct job *j = ctx;

	j->waiting = false;
	if (reason >= 0x80) {
		refused(j, reason);
		return;
	}
	j->said++;
	if (j->times > 0 && j->said == j->times)
		end(j, 0);
	else
		loop_after(j->loop, &j->timer, j->sleep_ms);
}

static void
say(struct job *j)
{
	int rc;

	if (j->waiting || !mqtt_client_is_up(j->client))
		return; /* it is repeated by the client, or when it is up */
	rc = mqtt_client_publish(j->client, j->topic, j->payload,
	    (uint8_t)j->qos, j->retain, on_said, j);
	if (rc == 0)
		j->waiting = true;
	else if (rc != ERR_CLOSED)
		end(j,
		    err_set(&j->err, rc,
			"\"" STR_FMT "\" is not a topic to publish to",
			STR_ARG(j->topic)));
}

static void
on_next(struct loop_timer *t)
{
	say(container_of(t, struct job, timer));
}

static void
pub_up(void *owner, bool session_present)
{
	struct job *j = owner;

	(void)session_present;
	loop_cancel(j->loop, &j->connecting);
	if (j->qos == 0)
		j->waiting = false; /* what became of it is not known */
	if (!loop_is_running(&j->timer))
		say(j);
}

static int
pub(struct command_call *c)
{
	static const struct mqtt_client_events events = { .up = pub_up,
		.down = on_down };
	struct job j = { .topic = str_of(command_arg(c, "TOPIC")),
		.payload = str_of(command_arg(c, "MESSAGE")),
		.retain = command_option(c, "retain") != NULL,
		.timer.fire = on_next };
	struct buf decoded = { 0 };
	struct config *config;
	char *doing;
	int rc = 1;

	if (!command_number(c, "qos", 0, 2, &j.qos) ||
	    !command_number(c, "repeat", 0, INT64_MAX, &j.times) ||
	    !command_ms(c, "sleep", &j.sleep_ms) ||
	    !command_ms(c, "connection-timeout", &j.patience_ms))
		return 2;
	config = command_config(c);
	if (config == NULL)
		return 1;
	doing = mem_printf("publish the message \"%s\" on the topic \"%s\"",
	    command_arg(c, "MESSAGE"), command_arg(c, "TOPIC"));
	if (command_option(c, "base64") != NULL) {
		if (!base64_decode(&decoded, j.payload)) {
			err_set(&j.err, ERR_PARAM, "it is not base64");
			rc = command_failed(doing, &j.err);
			free(doing);
			goto done;
		}
		buf_reserve(&decoded, 1);
		j.payload = buf_str(&decoded);
	}
	rc = finish(&j, open_job(&j, config, "pub", &events), doing);
done:
	buf_free(&decoded);
	return rc;
}

/* --- sub ----------------------------------------------------------------- */

static void
put_payload(struct buf *line, struct str payload, bool base64)
{
	if (base64) {
		base64_encode(line, payload.ptr, payload.len, false);
	} else if (str_is_utf8(payload)) {
		buf_add_str(line, payload);
	} else {
		buf_addz(line, "<ERR=NON-UTF8> ");
		base64_encode(line, payload.ptr, payload.len, false);
	}
}

static void
on_heard(void *ctx, const struct mqtt_client_msg *m)
{
	struct job *j = ctx;

	if (j->over)
		return; /* of the same packet */
	if (m->topic.ptr == NULL) {
		refused(j, m->reason);
		return;
	}
	if (j->retained_only && !m->retain) {
		end(j, 0);
		return;
	}
	buf_clear(&j->line);
	if (!j->no_topic)
		buf_addf(&j->line, "[" STR_FMT "] ", STR_ARG(m->topic));
	put_payload(&j->line, m->payload, j->base64);
	buf_addc(&j->line, '\n');
	if (fwrite(j->line.ptr, 1, j->line.len, stdout) != j->line.len ||
	    fflush(stdout) != 0) {
		end(j, err_errno(&j->err, "standard output"));
		return;
	}
	if (++j->heard == j->count)
		end(j, 0);
}

static void
on_enough(struct loop_timer *t)
{
	end(container_of(t, struct job, timer), 0);
}

static void
sub_subscribed(void *owner)
{
	struct job *j = owner;

	loop_cancel(j->loop, &j->connecting);
	if (j->duration_ms > 0 && !loop_is_running(&j->timer))
		loop_after(j->loop, &j->timer, j->duration_ms);
}

static int
sub(struct command_call *c)
{
	static const struct mqtt_client_events events = { .down = on_down,
		.subscribed = sub_subscribed };
	struct job j = { .topic = str_of(command_arg(c, "TOPIC")),
		.base64 = command_option(c, "base64") != NULL,
		.no_topic = command_option(c, "no-topic") != NULL,
		.retained_only = command_option(c, "retained-only") != NULL,
		.timer.fire = on_enough };
	struct config *config;
	char *doing;
	int rc;

	if (!command_number(c, "qos", 0, 2, &j.qos) ||
	    !command_number(c, "count", 1, INT64_MAX, &j.count) ||
	    !command_ms(c, "duration", &j.duration_ms) ||
	    !command_ms(c, "connection-timeout", &j.patience_ms))
		return 2;
	config = command_config(c);
	if (config == NULL)
		return 1;
	doing = mem_printf(
	    "subscribe to the topic \"%s\"", command_arg(c, "TOPIC"));
	rc = open_job(&j, config, "sub", &events);
	if (rc == 0 &&
	    mqtt_client_subscribe(
		j.client, j.topic, (uint8_t)j.qos, on_heard, &j) != 0)
		rc = err_set(&j.err, ERR_PARAM,
		    "\"" STR_FMT "\" is not a topic filter", STR_ARG(j.topic));
	return finish(&j, rc, doing);
}

/* --- rows ---------------------------------------------------------------- */

#define CONNECTION_TIMEOUT                                                     \
	{                                                                      \
		.name = "connection-timeout", .arg = "TIME", .def = "10s",     \
		.help = "give up after so long without a connection"           \
	}

static const struct command_option pub_options[] = {
	{ .name = "qos",
	    .letter = 'q',
	    .arg = "QOS",
	    .def = "1",
	    .help = "0, 1 or 2; the command ends when the broker has the "
		    "message" },
	{ .name = "retain",
	    .letter = 'r',
	    .help = "the broker keeps it for who subscribes later" },
	{ .name = "base64", .help = "MESSAGE is base64 of what is published" },
	{ .name = "repeat",
	    .arg = "N",
	    .def = "1",
	    .help = "publish it so many times; 0: until told to end" },
	{ .name = "sleep",
	    .arg = "TIME",
	    .def = "1s",
	    .help = "wait so long between two" },
	CONNECTION_TIMEOUT,
	{ 0 },
};

static const struct command_option sub_options[] = {
	{ .name = "qos",
	    .letter = 'q',
	    .arg = "QOS",
	    .def = "0",
	    .help = "0, 1 or 2: the highest to be heard with" },
	{ .name = "no-topic", .help = "print the messages alone" },
	{ .name = "base64", .help = "print messages as base64" },
	{ .name = "duration",
	    .letter = 'W',
	    .arg = "TIME",
	    .help = "end after so long" },
	{ .name = "count",
	    .letter = 'C',
	    .arg = "N",
	    .help = "end after so many messages" },
	{ .name = "retained-only",
	    .help = "print what was retained, and end with the first message "
		    "that was not" },
	CONNECTION_TIMEOUT,
	{ 0 },
};

const struct command mqtt_commands[] = {
	{ .words = "mqtt pub",
	    .args = "TOPIC MESSAGE",
	    .options = pub_options,
	    .help = "publish a message on the device's broker",
	    .run = pub },
	{ .words = "mqtt sub",
	    .args = "TOPIC",
	    .options = sub_options,
	    .help = "print what comes on a topic, or on all that match a "
		    "filter",
	    .run = sub },
	{ 0 },
};

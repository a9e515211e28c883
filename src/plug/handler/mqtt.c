/*
 * plug/handler/mqtt.c - a message to a topic: of another MQTT server, or, with
 * an empty `broker`, of our own.
 *
 * To another server a message is sent when it has answered for it (QoS 1, 2) or
 * the socket has taken it (QoS 0); a message waits for the connection as long
 * as one attempt may take. At QoS 1 and 2 an attempt that ran into its time may
 * have arrived all the same, and then arrives twice.
 */
#include "base/base.h"
#include "base/list.h"
#include "base/mem.h"
#include "codec/duration.h"
#include "codec/url.h"
#include "net/mqtt/client_spec.h"
#include "net/tls.h"
#include "plug/handler/ops.h"

#include <stdio.h>
#include <stdlib.h>

struct spec {
	struct mqtt_client_spec server;
	struct str publish, delay;
};

#define S struct spec
static const struct field spec_fields[] = {
	MQTT_CLIENT_SPEC_FIELDS(S, "Empty: the server makes one up."),
	F_TEXT(S, publish, "publish",
	    .help = "The topic of messages that name none."),
	F_TEXT(S, delay, "reconnectDelay", .def = "\"30s\"",
	    .help = "Longest wait between two attempts to connect."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "mqtt", sizeof(struct spec),
	spec_fields };

struct parameter {
	struct str publish, data;
	int64_t qos;
};

#define P struct parameter
static const struct field parameter_fields[] = {
	F_TEXT(P, publish, "publish"),
	F_INT(P, qos, "qos", .def = "-1", .min = -1, .max = 2,
	    .help = "-1: that of the handler."),
	F_TEXT(P, data, "data"),
	{ 0 },
};
#undef P
static const struct record parameter_record = { "mqtt parameter",
	sizeof(struct parameter), parameter_fields };

/* What send() needs. */
struct message {
	struct str topic, data;
	uint8_t qos;
};

struct mqtt {
	struct handler *h;
	struct arena arena;
	struct spec spec;
	struct mqtt_client *client; /* NULL: our own server */
	struct tls_client *tls;
	struct list all;               /* of struct sending */
	struct sending *sending;       /* the one of this attempt */
	const struct message *waiting; /* for the connection */
};

/* A publish that may outlive its attempt: the client calls back for it when
 * `owner` has lost interest. */
struct sending {
	struct list link;
	struct mqtt *owner; /* NULL: it was cancelled */
};

/* --- the connection ------------------------------------------------------ */

static void send_there(struct mqtt *m, const struct message *msg);

static void
on_up(void *owner, bool session_present)
{
	struct mqtt *m = owner;

	const struct message *msg = m->waiting;

	(void)session_present;
	handler_report(m->h, HANDLER_UP, "");
	m->waiting = NULL;
	if (msg != NULL)
		send_there(m, msg);
}

static void
on_down(void *owner, const struct err *why)
{
	struct mqtt *m = owner;

	handler_report(m->h, HANDLER_DOWN, why->text);
}

static const struct mqtt_client_events events = {
	.up = on_up,
	.down = on_down,
};

static int
make_client(struct mqtt *m, struct err *err)
{
	const struct handler_host *host = handler_host_of(m->h);
	struct mqtt_client_conf conf = { .retry_min_ms = 1000 };
	int64_t delay;
	int rc = mqtt_client_spec_conf(&m->spec.server, host->settings->ca_file,
	    &m->arena, &conf, &m->tls, err);

	if (rc == 0)
		rc = handler_check_host(m->h, str_of(conf.address), err);
	if (rc != 0)
		return rc;
	if (!duration_parse_ms(m->spec.delay, &delay) || delay < 1 ||
	    delay > 86400000)
		return err_set(err, ERR_PARAM,
		    "reconnectDelay: a duration like 30s is needed");
	conf.keepalive_s = 60;
	conf.retry_max_ms = (uint32_t)delay;
	conf.retry_min_ms = MIN_OF(conf.retry_min_ms, conf.retry_max_ms);
	rc = mqtt_client_new(host->loop, &conf, &events, m, &m->client, err);
	if (rc == 0)
		mqtt_client_start(m->client);
	return rc;
}

static void
mqtt_close(void *own)
{
	struct mqtt *m = own;
	struct sending *s;

	mqtt_client_free(m->client); /* calls back no more */
	while ((s = list_first(&m->all, struct sending, link)) != NULL) {
		list_del(&s->link);
		free(s);
	}
	tls_client_free(m->tls);
	arena_fini(&m->arena);
	free(m);
}

static int
mqtt_open(struct handler *h, const void *spec, void **ret, struct err *err)
{
	struct mqtt *m = mem_new(struct mqtt);
	struct url url;
	int rc = 0;

	m->h = h;
	list_init(&m->all);
	record_copy(&spec_record, &m->arena, &m->spec, spec);
	handler_secret(h, m->spec.server.password);
	if (url_parse(&m->arena, m->spec.server.broker, &url))
		handler_secret(h, url.password);
	if (m->spec.server.broker.len > 0)
		rc = make_client(m, err);
	else if (handler_host_of(h)->publish == NULL)
		rc = err_set(err, ERR_PARAM,
		    "broker: there is no server of our own, so one must be "
		    "named");
	if (rc != 0)
		mqtt_close(m);
	else
		*ret = m;
	return rc;
}

/* --- a message ----------------------------------------------------------- */

static int
mqtt_prepare(
    void *own, struct handler_job *j, const void *parameter, struct err *err)
{
	struct mqtt *m = own;
	const struct parameter *p = parameter;
	struct message *msg = arena_new(&j->arena, struct message);

	msg->topic = p->publish.len > 0 ? p->publish : m->spec.publish;
	msg->data = p->data;
	msg->qos = (uint8_t)(p->qos >= 0 ? p->qos : m->spec.server.qos);
	if (!mqtt_topic_ok(msg->topic))
		return err_set(err, ERR_PARAM,
		    "publish: a topic without wildcards is needed");
	j->own = msg;
	return 0;
}

/* --- sending ------------------------------------------------------------- */

static void
on_done(void *ctx, uint8_t reason)
{
	struct sending *s = ctx;
	struct mqtt *m = s->owner;
	char text[80];

	list_del(&s->link);
	free(s);
	if (m == NULL)
		return;
	m->sending = NULL;
	if (reason < 0x80) {
		handler_sent(m->h, HANDLER_SENT, 0, 0, "");
		return;
	}
	snprintf(text, sizeof(text),
	    "the MQTT server refused the message: reason 0x%02x", reason);
	handler_sent(m->h, HANDLER_REFUSED,
	    reason == MQTT_R_NOT_AUTHORIZED ? ERR_DENIED : ERR_PROTO, 0, text);
}

static void
send_here(struct mqtt *m, const struct message *msg)
{
	const struct handler_host *host = handler_host_of(m->h);
	struct err err = { 0 };
	int rc = host->publish(
	    host->ctx, msg->topic, msg->data, msg->qos, false, &err);

	handler_sent(m->h,
	    rc == 0                                  ? HANDLER_SENT
		: rc == ERR_AGAIN || rc == ERR_LIMIT ? HANDLER_LATER
						     : HANDLER_REFUSED,
	    rc, 0, err.text);
}

static void
send_there(struct mqtt *m, const struct message *msg)
{
	struct sending *s;
	int rc;

	s = mem_new(struct sending);
	s->owner = m;
	m->sending = s;
	list_add(&m->all, &s->link);
	rc = mqtt_client_publish(
	    m->client, msg->topic, msg->data, msg->qos, false, on_done, s);
	if (rc == 0)
		return;
	m->sending = NULL;
	list_del(&s->link);
	free(s);
	handler_sent(m->h, rc == ERR_PARAM ? HANDLER_REFUSED : HANDLER_LATER,
	    rc, 0, "the MQTT client can not take the message now");
}

static void
mqtt_send(void *own, struct handler_job *j)
{
	struct mqtt *m = own;
	const struct message *msg = j->own;

	if (m->client == NULL) {
		send_here(m, msg);
		return;
	}
	if (mqtt_client_is_up(m->client))
		send_there(m, msg);
	else
		m->waiting = msg;
}

static void
mqtt_cancel(void *own, struct handler_job *j)
{
	struct mqtt *m = own;

	(void)j;
	m->waiting = NULL;
	if (m->sending != NULL)
		m->sending->owner = NULL;
	m->sending = NULL;
}

const struct handler_ops handler_mqtt = {
	.name = "mqtt",
	.parameter = "mqtt",
	.spec = &spec_record,
	.takes = &parameter_record,
	.open = mqtt_open,
	.prepare = mqtt_prepare,
	.send = mqtt_send,
	.cancel = mqtt_cancel,
	.close = mqtt_close,
};

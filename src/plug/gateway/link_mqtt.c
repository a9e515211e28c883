/*
 * plug/gateway/link_mqtt.c - messages of an MQTT server, or, with an empty
 * `broker`, of our own.
 *
 * With `qos` 1 or 2 the server keeps a session for us: what came while we were
 * away, or was not taken, comes again. A message of these that we send when the
 * connection breaks may arrive twice: the client sends it again, and so does
 * the job it was for.
 *
 * The link is up when all subscriptions have been answered; one that is refused
 * takes it down.
 */
#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/entity_json.h"
#include "net/mqtt/client_spec.h"
#include "net/tls.h"
#include "plug/gateway/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SESSION_S (7 * 86400) /* how long the server keeps it */
#define KEEPALIVE_S 60
#define OUT_MAX 1000 /* messages in the client */
#define TRIED_LEN 8

struct spec {
	struct mqtt_client_spec server;
	struct str publish, delay;
	struct strs subscribe;
};

#define S struct spec
static const struct field spec_fields[] = {
	MQTT_CLIENT_SPEC_FIELDS(S, "Empty: made of the gateway's name."),
	F_TEXTS(S, subscribe, "subscribe", .max = 32,
	    .help = "Topic filters, with commas between. Empty: what the "
		    "provider needs."),
	F_TEXT(S, publish, "publish",
	    .help = "What stands before the topics that we publish to."),
	F_TEXT(S, delay, "transmitPreDelay", .def = "\"1µs\"",
	    .help = "Wait before each frame is sent."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "mqtt", sizeof(struct spec),
	spec_fields };

struct mqtt {
	struct gateway_link base;
	const struct spec *spec;
	struct str prefix; /* without a slash at its end */
	struct arena arena;
	struct mqtt_client *client; /* NULL: our own server */
	struct tls_client *tls;
	struct filter *filters; /* allocated */
	size_t n_filters, cap;

	/* our own server */
	struct loop_defer begin, tell;
	struct list sent; /* of puts that are to be told */
};

/* What we hear. */
struct filter {
	struct str text; /* in the arena */
	void *handle;    /* our own server's; NULL: not now */
};

/* Without slashes at its end. */
static struct str
prefix_of(struct str publish)
{
	struct str s = publish.ptr != NULL ? publish : STR("");

	while (s.len > 0 && s.ptr[s.len - 1] == '/')
		s.len--;
	return s;
}

int
gateway_mqtt_root(
    struct gateway *g, struct arena *a, struct str *ret, struct err *err)
{
	struct str prefix;
	struct spec spec;
	int rc =
	    record_read(&spec_record, a, gateway_protocol_json(g), &spec, err);

	if (rc != 0)
		return err_wrap(err, "protocol");
	prefix = prefix_of(spec.publish);
	*ret = prefix.len == 0 ? STR("")
			       : arena_printf(a, STR_FMT "/", STR_ARG(prefix));
	return 0;
}

static uint8_t
qos_of(const struct mqtt *m)
{
	return MAX_OF((uint8_t)m->spec->server.qos, gateway_qos(m->base.g));
}

static struct loop *
loop_of(const struct mqtt *m)
{
	return gateway_host_of(m->base.g)->loop;
}

/* --- another server ------------------------------------------------------- */

static void
on_subscribed(void *owner)
{
	struct mqtt *m = owner;

	gateway_link_up(m->base.g);
}

static void
on_up(void *owner, bool session_present)
{
	struct mqtt *m = owner;

	(void)session_present;
	if (m->n_filters > 0)
		gateway_stage(m->base.g, "subscribe");
	if (mqtt_client_is_subscribed(m->client))
		gateway_link_up(m->base.g);
}

static void
on_down(void *owner, const struct err *why)
{
	struct mqtt *m = owner;

	gateway_link_down(m->base.g, why->text);
}

static void
on_stage(void *owner, enum mqtt_client_stage stage, const char *about,
    const struct stream *top)
{
	static const char *const names[] = { [MQTT_STAGE_RESOLVE] = "resolve",
		[MQTT_STAGE_CONNECT] = "connect",
		[MQTT_STAGE_SECURE] = "tls",
		[MQTT_STAGE_SIGN_IN] = "signIn" };
	struct mqtt *m = owner;
	struct buf text = { 0 };

	if (stage == MQTT_STAGE_SIGN_IN && m->tls != NULL)
		tls_stream_about(top, &text);
	if (text.len > 0) /* of what it was at until now */
		gateway_stage_note(m->base.g, buf_z(&text));
	buf_free(&text);
	gateway_stage(m->base.g, names[stage]);
	if (about != NULL)
		gateway_stage_note(m->base.g, about);
}

static const struct mqtt_client_events events = {
	.up = on_up,
	.down = on_down,
	.subscribed = on_subscribed,
	.stage = on_stage,
};

static void
on_heard(void *ctx, const struct mqtt_client_msg *msg)
{
	struct mqtt *m = ctx;
	struct gateway_in in = { msg->topic, msg->payload, msg->retain };
	char why[100];

	if (msg->topic.ptr != NULL) {
		gateway_link_heard(m->base.g, &in, mqtt_client_hold(m->client));
		return;
	}
	snprintf(why, sizeof(why),
	    "the MQTT server refused to subscribe: reason 0x%02x", msg->reason);
	gateway_link_down(m->base.g, why);
}

/* By a filter that a device asked for: if it is refused, the others are still
 * heard. */
static void
on_heard_more(void *ctx, const struct mqtt_client_msg *msg)
{
	struct mqtt *m = ctx;

	if (msg->topic.ptr != NULL)
		on_heard(ctx, msg);
	else
		gateway_bad(m->base.g,
		    "the MQTT server does not let us hear a device's topics");
}

static int
subscribe(struct mqtt *m, struct str filter, mqtt_client_heard *heard,
    struct err *err)
{
	int rc = mqtt_client_subscribe(m->client, filter, qos_of(m), heard, m);

	return rc == 0 ? 0
		       : err_set(err, ERR_PARAM,
			     "subscribe: " STR_FMT " is no topic filter",
			     (int)MIN_OF(filter.len, 100), filter.ptr);
}

static int
make_client(struct mqtt *m, struct gateway *g, struct err *err)
{
	const struct gateway_host *host = gateway_host_of(g);
	const struct spec *s = m->spec;
	struct mqtt_client_conf conf = { .keepalive_s = KEEPALIVE_S,
		.keep_session = qos_of(m) > 0 && !gateway_is_trial(g),
		.session_expiry_s = qos_of(m) > 0 ? SESSION_S : 0,
		.max_waiting = OUT_MAX,
		.max_received =
		    (uint16_t)MIN_OF(host->settings->heard, UINT16_MAX) };
	char tried[TRIED_LEN + 1] = "";
	int rc = mqtt_client_spec_conf(&s->server, host->settings->ca_file,
	    &m->arena, &conf, &m->tls, err);

	if (rc == 0)
		rc = gateway_check_host(g, str_of(conf.address), err);
	if (rc != 0)
		return rc;
	rand_text(tried, TRIED_LEN);
	if (gateway_is_trial(g))
		conf.client_id =
		    arena_printf(&m->arena, "marram-test-%s", tried).ptr;
	else if (s->server.client_id.len == 0)
		conf.client_id =
		    arena_printf(&m->arena, "marram-%s", gateway_name(g)).ptr;
	rc = mqtt_client_new(host->loop, &conf, &events, m, &m->client, err);
	for (size_t i = 0; rc == 0 && i < m->n_filters; i++)
		rc = subscribe(m, m->filters[i].text, on_heard, err);
	return rc;
}

static void
on_sent(void *ctx, uint8_t reason)
{
	gateway_link_sent(ctx, reason < 0x80);
}

/* --- our own server ------------------------------------------------------- */

static void
on_own_heard(void *ctx, struct str topic, struct str payload, bool retained,
    uint64_t token)
{
	struct mqtt *m = ctx;
	struct gateway_in in = { topic, payload, retained };

	gateway_link_heard(m->base.g, &in, token);
}

static void
unlisten(struct mqtt *m)
{
	const struct gateway_host *host = gateway_host_of(m->base.g);

	for (size_t i = 0; i < m->n_filters; i++) {
		if (m->filters[i].handle != NULL)
			host->unlisten(host->ctx, m->filters[i].handle);
		m->filters[i].handle = NULL;
	}
}

/* What is retained may be heard before it returns, and more be listened to
 * then. */
static int
listen_own(struct mqtt *m, size_t i, struct err *err)
{
	const struct gateway_host *host = gateway_host_of(m->base.g);
	void *handle =
	    host->listen(host->ctx, m->filters[i].text, on_own_heard, m, err);

	m->filters[i].handle = handle;
	return handle != NULL ? 0 : ERR_PARAM;
}

static void
on_begin(struct loop_defer *d)
{
	struct mqtt *m = container_of(d, struct mqtt, begin);
	struct err err;

	gateway_stage(m->base.g, "subscribe");
	for (size_t i = 0; i < m->n_filters; i++)
		if (m->filters[i].handle == NULL &&
		    listen_own(m, i, &err) != 0) {
			gateway_link_down(m->base.g, err.text);
			return;
		}
	gateway_link_up(m->base.g);
}

static void
on_tell(struct loop_defer *d)
{
	struct mqtt *m = container_of(d, struct mqtt, tell);
	struct gateway_put *p;

	while ((p = list_first(&m->sent, struct gateway_put, own)) != NULL) {
		list_del(&p->own);
		gateway_link_sent(p, true);
	}
}

/* --- both ----------------------------------------------------------------- */

static void
mqtt_start(struct gateway_link *base)
{
	struct mqtt *m = container_of(base, struct mqtt, base);

	if (m->client != NULL)
		mqtt_client_start(m->client);
	else
		loop_defer(loop_of(m), &m->begin);
}

static void
mqtt_stop(struct gateway_link *base)
{
	struct mqtt *m = container_of(base, struct mqtt, base);

	if (m->client != NULL) {
		mqtt_client_stop(m->client);
		return;
	}
	loop_undefer(loop_of(m), &m->begin);
	unlisten(m);
}

/* The part of a shared subscription that is compared with topics. */
static struct str
unshared(struct str filter)
{
	if (str_starts(filter, STR("$share/"))) {
		(void)str_cut(&filter, '/');
		(void)str_cut(&filter, '/');
	}
	return filter;
}

static void
add_filter(struct mqtt *m, struct str filter)
{
	if (m->n_filters == m->cap) {
		m->cap = MAX_OF(m->cap * 2, 4);
		m->filters =
		    mem_resize(m->filters, m->cap, sizeof(*m->filters));
	}
	if (gateway_is_trial(m->base.g)) /* takes nothing from others */
		filter = unshared(filter);
	m->filters[m->n_filters++] =
	    (struct filter){ .text = arena_str(&m->arena, filter) };
}

/* A filter that another one covers would bring everything twice. */
static int
mqtt_listen(struct gateway_link *base, struct str filter, struct err *err)
{
	struct mqtt *m = container_of(base, struct mqtt, base);
	int64_t max = gateway_host_of(base->g)->settings->filters;

	for (size_t i = 0; i < m->n_filters; i++)
		if (mqtt_filter_matches(unshared(m->filters[i].text), filter))
			return 0;
	if ((int64_t)m->n_filters >= max)
		return err_set(err, ERR_LIMIT,
		    "more than %" PRId64
		    " topic filters (hub.gateway.filters); name one for all "
		    "in protocol.subscribe",
		    max);
	if (m->client != NULL && subscribe(m, filter, on_heard_more, err) != 0)
		return ERR_PARAM;
	add_filter(m, filter);
	return m->client == NULL && gateway_is_up(base->g)
	    ? listen_own(m, m->n_filters - 1, err)
	    : 0;
}

static int
mqtt_put(struct gateway_link *base, struct str topic, struct str data,
    struct gateway_put *p, struct err *err)
{
	struct mqtt *m = container_of(base, struct mqtt, base);
	const struct gateway_host *host = gateway_host_of(base->g);
	uint8_t qos = qos_of(m);
	struct buf whole = { 0 };
	int rc = 0;

	buf_add_str(&whole, m->prefix);
	if (m->prefix.len > 0 && topic.len > 0)
		buf_addc(&whole, '/');
	buf_add_str(&whole, topic);
	if (!mqtt_topic_ok(buf_str(&whole))) {
		rc = err_set(err, ERR_PARAM, "no topic can be made of it");
	} else if (m->client == NULL) {
		rc = host->publish(
		    host->ctx, buf_str(&whole), data, qos, false, err);
		if (rc == 0) {
			list_add(&m->sent, &p->own);
			loop_defer(loop_of(m), &m->tell);
		}
	} else {
		rc = mqtt_client_publish(
		    m->client, buf_str(&whole), data, qos, false, on_sent, p);
		if (rc != 0)
			err_set(err, rc,
			    "the MQTT client can not take the message now");
	}
	buf_free(&whole);
	return rc;
}

static void
mqtt_ack(struct gateway_link *base, uint64_t token)
{
	struct mqtt *m = container_of(base, struct mqtt, base);

	const struct gateway_host *host = gateway_host_of(base->g);

	if (m->client != NULL)
		mqtt_client_ack(m->client, token, MQTT_R_OK);
	else
		host->taken(host->ctx, token);
}

static void
mqtt_close(struct gateway_link *base)
{
	struct mqtt *m = container_of(base, struct mqtt, base);

	mqtt_client_free(m->client); /* calls back no more */
	tls_client_free(m->tls);
	loop_undefer(gateway_host_of(base->g)->loop, &m->tell);
	free(m->filters);
	arena_fini(&m->arena);
	free(m);
}

static int
mqtt_open(struct gateway *g, const void *spec, struct gateway_link **ret,
    struct err *err)
{
	const struct gateway_host *host = gateway_host_of(g);
	const struct spec *s = spec;
	struct mqtt *m = mem_new(struct mqtt);
	int rc;

	m->base.g = g;
	m->spec = s;
	m->begin.run = on_begin;
	m->tell.run = on_tell;
	list_init(&m->sent);
	gateway_secret(g, s->server.password);
	m->prefix = prefix_of(s->publish);
	for (size_t i = 0; i < s->subscribe.n; i++)
		add_filter(m, s->subscribe.at[i]);
	for (struct str left = s->subscribe.n == 0 ? gateway_filters(g)
						   : STR_NULL;
	     left.ptr != NULL;)
		add_filter(m, str_cut(&left, ','));
	rc = gateway_duration(
	    s->delay, "transmitPreDelay", &m->base.delay_ms, err);
	if (rc == 0 && s->server.broker.len > 0)
		rc = make_client(m, g, err);
	else if (rc == 0 && (host->publish == NULL || host->listen == NULL))
		rc = err_set(err, ERR_PARAM,
		    "broker: there is no server of our own, so one must be "
		    "named");
	if (rc != 0)
		mqtt_close(&m->base);
	else
		*ret = &m->base;
	return rc;
}

const struct gateway_link_ops gateway_link_mqtt = {
	.name = "mqtt",
	.protocol = GATEWAY_MQTT,
	.spec = &spec_record,
	.open = mqtt_open,
	.start = mqtt_start,
	.stop = mqtt_stop,
	.put = mqtt_put,
	.listen = mqtt_listen,
	.ack = mqtt_ack,
	.close = mqtt_close,
};

/*
 * edge/mapper/plain.c - Azure IoT Hub and AWS IoT: the device's messages as
 * they are, with a time, below a size, on the topics of the cloud.
 *
 *	te/device/main///m/env {"temperature":23}
 *	az/messages/events/    {"temperature":23,"time":1637042400.123}
 *	aws/td/device:main/m/env
 *
 * Azure has the first generation too: what is on tedge/measurements must be
 * Thin Edge JSON by its strict rules, and has its time in local time:
 *
 *	tedge/measurements  {"temperature": 23}
 *	az/messages/events/
 *{"temperature":23,"time":"2021-06-01T17:24:48.7...+02:00"}
 *
 * AWS has no first generation: it gets the copies that are published on te/.
 */
#include "edge/mapper/common.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/thin_edge_json.h"

#include <stdlib.h>
#include <string.h>

#define LEGACY_MAX (255 * 1024) /* 1 KiB below Azure's 256, for its own */

struct plain {
	struct mapper_conf conf; /* its texts are in `arena` */
	struct arena arena;
	struct mapper_host host;
	bool azure, stamp, rfc3339;
	size_t max_packet;
	struct buf topic, out;
};

static int
open_plain(const struct mapper_conf *conf, const struct mapper_host *host,
    bool azure, void **ret, struct err *err)
{
	struct plain *p = mem_new(struct plain);
	const struct cloud *c = &conf->cloud;
	int64_t max = cloud_int(c, "mapper.mqtt.max_payload_size");

	(void)err;
	p->conf = *conf;
	p->conf.root = arena_str(&p->arena, conf->root);
	p->conf.main_entity = arena_str(&p->arena, conf->main_entity);
	p->host = *host;
	p->azure = azure;
	p->stamp = cloud_bool(c, "mapper.timestamp");
	p->rfc3339 =
	    str_eqz(cloud_text(c, "mapper.timestamp_format"), "rfc-3339");
	p->max_packet = max > 0 ? (size_t)max : SIZE_MAX;
	*ret = p;
	return 0;
}

static int
open_az(const struct mapper_conf *conf, const struct mapper_host *host,
    void **ret, struct err *err)
{
	return open_plain(conf, host, true, ret, err);
}

static int
open_aws(const struct mapper_conf *conf, const struct mapper_host *host,
    void **ret, struct err *err)
{
	return open_plain(conf, host, false, ret, err);
}

static void
close_plain(void *m)
{
	struct plain *p = m;

	buf_free(&p->topic);
	buf_free(&p->out);
	arena_fini(&p->arena);
	free(p);
}

static void
filters(void *m, void (*each)(void *ctx, struct str filter), void *ctx)
{
	const struct plain *p = m;

	if (p->azure) {
		each(ctx, STR("tedge/measurements"));
		each(ctx, STR("tedge/measurements/+"));
	}
	mapper_topics(&p->conf.cloud, p->conf.root, each, ctx);
}

static void
up(void *m)
{
	(void)m;
}

/* --- the first generation ------------------------------------------------ */

struct measure {
	struct mapper_values values; /* first */
	bool has_time;
};

static void
on_time(void *owner, const struct thin_edge_time *t)
{
	struct measure *m = owner;

	m->has_time = true;
	mapper_values_name(&m->values, STR("time"));
	buf_addf(m->values.out, "\"" STR_FMT "\"", STR_ARG(t->text));
}

static void
on_value(void *owner, struct str group, struct str name, struct str text,
    double number)
{
	struct measure *m = owner;

	(void)group;
	(void)number;
	mapper_values_name(&m->values, name);
	buf_add_str(m->values.out, text);
}

static const struct thin_edge_visitor visitor = { .time = on_time,
	.open = mapper_values_open,
	.close = mapper_values_close,
	.value = on_value };

static void
publish(struct plain *p)
{
	p->host.publish(p->host.owner,
	    &(struct mapper_msg){ .topic = buf_str(&p->topic),
		.payload = buf_str(&p->out),
		.qos = 1 });
}

static void
set_topic(struct plain *p, const char *rest)
{
	buf_clear(&p->topic);
	buf_add_str(
	    &p->topic, cloud_text(&p->conf.cloud, "bridge.topic_prefix"));
	buf_addz(&p->topic, rest);
}

static void
legacy(struct plain *p, const struct mapper_msg *msg, struct arena *a)
{
	struct measure m = { .values.out = &p->out };
	struct err err;

	buf_addc(&p->out, '{');
	if (thin_edge_json_read(msg->payload, THIN_EDGE_STRICT, 0, a, &visitor,
		&m, &err) != 0) {
		mapper_error(
		    &p->host, p->conf.root, msg->topic, "%s", err.text);
		return;
	}
	if (!m.has_time && p->stamp) {
		mapper_values_name(&m.values, STR("time"));
		buf_addc(&p->out, '"');
		mapper_add_now(&p->host, &p->out, false);
		buf_addc(&p->out, '"');
	}
	buf_addc(&p->out, '}');
	if (p->out.len > LEGACY_MAX) {
		mapper_input_too_large(
		    &p->host, p->conf.root, msg->topic, p->out.len, LEGACY_MAX);
		return;
	}
	set_topic(p, "/messages/events/");
	publish(p);
}

/* --- today's ------------------------------------------------------------- */

/* The bridge of a Mosquitto tells its health in words of its own. */
static bool
is_mosquitto(const struct te_topic *t)
{
	struct str name = te_entity_name(t->entity);

	return t->channel == TE_HEALTH && te_entity_is_service(t->entity) &&
	    str_starts(name, STR("mosquitto-")) &&
	    str_ends(name, STR("-bridge"));
}

/* "1637042400.25"; `nanos` go up from `seconds`, also before 1970. */
static void
add_unix(struct buf *out, int64_t seconds, uint32_t nanos)
{
	bool before = seconds < 0 && nanos > 0;

	if (before)
		nanos = 1000000000 - nanos;
	buf_addf(out, "%s%lld", before ? "-" : "",
	    (long long)(before ? -(seconds + 1) : seconds));
	if (nanos == 0)
		return;
	buf_addf(out, ".%09u", nanos);
	while (out->ptr[out->len - 1] == '0')
		out->len--;
}

/* A time as JSON has it: a text, or seconds since 1970. */
static bool
read_moment(struct str json, struct thin_edge_time *t, struct arena *a)
{
	struct str text;
	struct json j;
	double d;

	json_open(&j, json, 0, a);
	if (json_peek(&j) == JSON_STRING)
		return json_str(&j, &text) && thin_edge_time_text(text, t);
	return json_peek(&j) == JSON_NUMBER && json_real(&j, &d) &&
	    thin_edge_time_unix(json, d, t);
}

/* As the settings ask for. One that can not be read stays as it is. */
static void
add_moment(struct plain *p, struct str json, struct arena *a)
{
	struct thin_edge_time t;

	if (!read_moment(json, &t, a) || t.unix_time != p->rfc3339) {
		buf_add_str(&p->out, json);
	} else if (p->rfc3339) {
		buf_addc(&p->out, '"');
		mapper_add_time(&p->out, t.seconds, t.nanos, 0, true);
		buf_addc(&p->out, '"');
	} else {
		add_unix(&p->out, t.seconds, t.nanos);
	}
}

static void
add_now(struct plain *p)
{
	int64_t ms = p->host.now_ns(p->host.owner) / 1000000;

	if (p->rfc3339) {
		buf_addc(&p->out, '"');
		mapper_add_now(&p->host, &p->out, true);
		buf_addc(&p->out, '"');
	} else {
		add_unix(&p->out, ms / 1000, (uint32_t)(ms % 1000) * 1000000);
	}
}

/* The object again, without its blanks, and with a time. */
static int
rewrite(struct plain *p, struct str payload, struct arena *a, struct err *err)
{
	bool has_time = false, first = true;
	struct str key, value;
	struct json j;

	if (!p->stamp) {
		json_open(&j, payload, 0, a);
		if (!json_object(&j))
			return json_done(&j, err);
		while (json_member(&j, &key))
			json_skip(&j);
		buf_add_str(&p->out, payload);
		return json_done(&j, err);
	}
	buf_addc(&p->out, '{');
	json_open(&j, payload, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &value)) {
			if (!first)
				buf_addc(&p->out, ',');
			first = false;
			json_quote(&p->out, key);
			buf_addc(&p->out, ':');
			if (str_eqz(key, "time")) {
				has_time = true;
				add_moment(p, value, a);
			} else {
				json_compact(&p->out, value, 0);
			}
		}
	if (!has_time) {
		buf_addz(&p->out, first ? "\"time\":" : ",\"time\":");
		add_now(p);
	}
	buf_addc(&p->out, '}');
	return json_done(&j, err);
}

static void
set_aws_topic(struct plain *p, const struct te_topic *t)
{
	struct str entity = t->entity;
	static const char *const channels[] = { [TE_MEASUREMENT] = "m",
		[TE_EVENT] = "e",
		[TE_ALARM] = "a",
		[TE_TWIN] = "twin",
		[TE_STATUS] = "status" };

	while (entity.len > 0 && entity.ptr[entity.len - 1] == '/')
		entity.len--;
	set_topic(p, "/td/");
	for (size_t i = 0; i < entity.len; i++)
		buf_addc(&p->topic, entity.ptr[i] == '/' ? ':' : entity.ptr[i]);
	if (t->channel == TE_HEALTH)
		buf_addz(&p->topic, "/status/health");
	else
		buf_addf(&p->topic, "/%s/" STR_FMT, channels[t->channel],
		    STR_ARG(t->type));
}

static bool
is_data(enum te_channel c)
{
	return c == TE_MEASUREMENT || c == TE_EVENT || c == TE_ALARM ||
	    c == TE_HEALTH || c == TE_TWIN || c == TE_STATUS;
}

static void
today(struct plain *p, const struct mapper_msg *msg, const struct te_topic *t,
    struct arena *a)
{
	struct err err;
	size_t size;

	if (rewrite(p, msg->payload, a, &err) != 0) {
		mapper_error(&p->host, p->conf.root, msg->topic,
		    "Invalid JSON: %s", err.text);
		return;
	}
	if (p->azure)
		set_topic(p, "/messages/events/");
	else
		set_aws_topic(p, t);
	size = mapper_packet_size(p->topic.len, p->out.len);
	if (size > p->max_packet) {
		mapper_too_large(&p->host, p->conf.root, msg->topic,
		    buf_str(&p->out), size, p->max_packet);
		return;
	}
	publish(p);
}

static void
message(void *m, const struct mapper_msg *msg, struct arena *a)
{
	struct plain *p = m;
	struct tedge_topic first;
	struct te_topic t;

	buf_clear(&p->out);
	if (tedge_topic_read(msg->topic, &first, NULL) == 0) {
		if (p->azure && first.kind == TEDGE_MEASUREMENT)
			legacy(p, msg, a);
		return;
	}
	if (te_topic_read(p->conf.root, msg->topic, &t, NULL) != 0 ||
	    !is_data(t.channel) || is_mosquitto(&t) ||
	    msg->payload.len == 0) /* an alarm, or health, is gone */
		return;
	if (p->azure && msg->origin && t.channel == TE_MEASUREMENT)
		return;
	today(p, msg, &t, a);
}

const struct mapper_ops mapper_az = { .name = "az",
	.help = "Azure IoT Hub",
	.open = open_az,
	.close = close_plain,
	.filters = filters,
	.up = up,
	.message = message };

const struct mapper_ops mapper_aws = { .name = "aws",
	.help = "AWS IoT",
	.open = open_aws,
	.close = close_plain,
	.filters = filters,
	.up = up,
	.message = message };

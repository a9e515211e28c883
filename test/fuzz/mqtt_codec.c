/*
 * test/fuzz/mqtt_codec.c - any bytes into the MQTT parser (libFuzzer).
 *
 * The bytes are a stream of packets, read once as each level would read them.
 * What is taken must keep the promises of codec/mqtt.h, and must come out of
 * the encoders in a form that says the same: encoding that once more gives the
 * same bytes.
 *
 * The seeds in corpus/mqtt_codec are the samples of the codec's unit test:
 * `build/src/codec/test_codec_mqtt --seeds test/fuzz/corpus/mqtt_codec`.
 */
#include "codec/mqtt.h"

#include <stdlib.h>
#include <string.h>

#define FILTERS_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool promise)
{
	if (!promise)
		abort();
}

static size_t
read_filters(const struct mqtt_packet *p, uint8_t level, struct mqtt_filter *f)
{
	struct str rest = p->filters, group, inner;
	size_t n = 0;

	while (n < FILTERS_MAX && mqtt_next_filter(&rest, p->type, &f[n])) {
		struct mqtt_filter *one = &f[n++];

		check(one->qos <= 2 && one->retain_handling <= 2);
		check(mqtt_text_ok(one->filter) && one->filter.len > 0);
		check(level == 5 || mqtt_filter_ok(one->filter));
		(void)mqtt_filter_matches(one->filter, STR("a/b/c"));
		if (mqtt_share_split(one->filter, &group, &inner) == 0)
			check(mqtt_filter_ok(inner) && !one->no_local);
	}
	check(n == p->n_filters || n == FILTERS_MAX);
	check(rest.len == 0 || n == FILTERS_MAX);
	return n;
}

static void
check_props(const struct mqtt_props *props, struct buf *kept)
{
	struct str rest = props->raw, name, value;
	uint32_t id = 0, last = 0;
	bool any = false;

	while (mqtt_next_user(&rest, &name, &value)) {
		check(mqtt_text_ok(name) && mqtt_text_ok(value));
		any = true;
	}
	check(any == mqtt_has(props, MQTT_P_USER));
	rest = props->raw;
	while (mqtt_next_sub_id(&rest, &id))
		last = id;
	check(
	    mqtt_has(props, MQTT_P_SUB_ID) ? last == props->sub_id : last == 0);
	check((props->has == 0) == (props->raw.len == 0));
	mqtt_kept_props(props->raw, kept);
	check(kept->len <= props->raw.len);
}

/* Properties as an encoder would be given them: each value from its member,
 * user properties from `raw`. */
static struct mqtt_props
rebuilt(const struct mqtt_props *props, struct buf *raw)
{
	struct mqtt_props ret = *props;
	struct str rest = props->raw, name, value;

	if (ret.has == 0)
		return (struct mqtt_props){ 0 };
	while (mqtt_next_user(&rest, &name, &value))
		mqtt_put_user(raw, name, value);
	ret.raw = buf_str(raw);
	return ret;
}

static void
encode(const struct mqtt_packet *p, uint8_t level, struct buf *out)
{
	static struct mqtt_filter filters[FILTERS_MAX];
	struct mqtt_publish_flags f = { 0 };
	struct buf raw = { 0 }, will_raw = { 0 };
	struct mqtt_props props = rebuilt(&p->props, &raw);
	struct mqtt_connect c;

	if (p->type == MQTT_PUBLISH)
		f = (struct mqtt_publish_flags){ p->qos, p->dup, p->retain,
			p->qos > 0 ? p->id : 0 };

	switch (p->type) {
	case MQTT_CONNECT:
		c = p->connect;
		c.will_props = rebuilt(&p->connect.will_props, &will_raw);
		mqtt_put_connect(out, &c, &props);
		break;
	case MQTT_CONNACK:
		mqtt_put_connack(
		    out, level, p->session_present, p->code, &props);
		break;
	case MQTT_PUBLISH:
		check(mqtt_put_publish(
		    out, level, f, p->topic, &props, p->payload));
		break;
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
		mqtt_put_ack(out, level, p->type, p->id, p->code, &props);
		break;
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		mqtt_put_subscribe(out, level, p->type, p->id, filters,
		    read_filters(p, level, filters), &props);
		break;
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		mqtt_put_suback(out, level, p->type, p->id,
		    (const uint8_t *)p->codes.ptr, p->codes.len, &props);
		break;
	case MQTT_PINGREQ:
	case MQTT_PINGRESP:
		mqtt_put_empty(out, p->type);
		break;
	case MQTT_DISCONNECT:
	case MQTT_AUTH:
		mqtt_put_end(out, level, p->type, p->code, &props);
		break;
	}
	buf_free(&raw);
	buf_free(&will_raw);
}

static void
check_packet(const struct mqtt_packet *p, uint8_t level)
{
	struct buf one = { 0 }, two = { 0 }, kept = { 0 };
	struct mqtt_packet again;
	size_t len;

	if (p->type == MQTT_CONNECT) {
		level = p->connect.level;
		check_props(&p->connect.will_props, &kept);
		buf_clear(&kept);
	}
	if (p->type == MQTT_CONNACK && p->code > 0 && p->code < 0x80)
		level = 4; /* a refusal in the form of older levels */
	if (p->type == MQTT_PUBLISH)
		check(p->topic.len == 0 ? level == 5 : mqtt_topic_ok(p->topic));
	check(level == 5 || p->props.has == 0);
	check_props(&p->props, &kept);

	encode(p, level, &one);
	check(
	    mqtt_parse(buf_str(&one), level, one.len, &again, &len, NULL) == 0);
	check(len == one.len && again.type == p->type);
	check(again.props.has == p->props.has);
	encode(&again, level, &two);
	check(str_eq(buf_str(&one), buf_str(&two)));

	buf_free(&one);
	buf_free(&two);
	buf_free(&kept);
}

static void
read_stream(struct str rest, uint8_t level)
{
	struct mqtt_packet p;
	struct err err;
	size_t len;
	int rc;

	while ((rc = mqtt_parse(rest, level, 1 << 20, &p, &len, &err)) == 0) {
		check(len >= 2 && len <= rest.len);
		if (p.type == MQTT_CONNECT && !p.connect.supported)
			return;
		check_packet(&p, level);
		if (level == 0 && p.type == MQTT_CONNECT)
			level = p.connect.level;
		rest.ptr += len;
		rest.len -= len;
	}
	check(rc == ERR_AGAIN     ? len > rest.len
		: rc == ERR_PROTO ? p.code >= MQTT_R_MALFORMED
				  : rc == ERR_LIMIT);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t levels[] = { 0, 3, 4, 5 };

	for (size_t i = 0; i < sizeof(levels); i++)
		read_stream(
		    (struct str){ (const char *)data, size }, levels[i]);
	return 0;
}

/*
 * test/fuzz/mqtt_codec.c - any bytes into the MQTT parser (libFuzzer).
 *
 * What it takes must keep the promises of codec/mqtt.h, and a PUBLISH must come
 * out of the encoder as it went in.
 */
#include "codec/mqtt.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool promise)
{
	if (!promise)
		abort();
}

static void
check_filters(const struct mqtt_packet *p)
{
	struct str rest = p->filters, filter, group, inner;
	uint8_t qos;
	unsigned n = 0;

	while (mqtt_next_filter(
	    &rest, &filter, p->type == MQTT_SUBSCRIBE ? &qos : NULL)) {
		check(mqtt_filter_ok(filter));
		(void)mqtt_filter_matches(filter, STR("a/b/c"));
		if (mqtt_share_split(filter, &group, &inner) == 0)
			check(mqtt_filter_ok(inner));
		n++;
	}
	check(n == p->n_filters && rest.len == 0);
}

static void
check_publish(const struct mqtt_packet *p)
{
	struct mqtt_publish_flags f = { p->qos, p->dup, p->retain, p->id };
	struct mqtt_packet again;
	struct buf b = { 0 };
	size_t len;

	check(mqtt_topic_ok(p->topic));
	check(mqtt_put_publish(&b, f, p->topic, p->payload));
	check(mqtt_parse(buf_str(&b), b.len, &again, &len, NULL) == 0);
	check(len == b.len && str_eq(again.topic, p->topic) &&
	    str_eq(again.payload, p->payload) && again.qos == p->qos);
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size };
	struct mqtt_packet p;
	struct err err;
	size_t len;

	while (mqtt_parse(rest, 1 << 20, &p, &len, &err) == 0) {
		check(len >= 2 && len <= rest.len);
		if (p.type == MQTT_PUBLISH)
			check_publish(&p);
		if (p.type == MQTT_SUBSCRIBE || p.type == MQTT_UNSUBSCRIBE)
			check_filters(&p);
		rest.ptr += len;
		rest.len -= len;
	}
	return 0;
}

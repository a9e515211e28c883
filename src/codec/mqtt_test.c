/*
 * codec/mqtt_test.c - `test_codec_mqtt --seeds DIR` writes the samples below to
 * files, as test/fuzz/corpus/mqtt_codec was made.
 */
#include "codec/mqtt.h"

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 300000

/* A packet given as a literal with any bytes in it. */
#define RAW(literal) ((struct str){ literal, sizeof(literal) - 1 })

static int
parse(struct str in, uint8_t level, struct mqtt_packet *p)
{
	/* An exact copy on the heap, so that ASan sees a read beyond it. */
	char *copy = malloc(in.len + 1);
	struct err err = { .code = 1 };
	size_t len;
	int rc;

	memcpy(copy, in.ptr, in.len);
	rc =
	    mqtt_parse((struct str){ copy, in.len }, level, MAX, p, &len, &err);
	if (rc == 0)
		assert_int_equal(len, in.len);
	free(copy);
	return rc;
}

/* Parses what stays in `b`, so that the texts of `p` live on. */
static void
parse_whole(const struct buf *b, uint8_t level, struct mqtt_packet *p)
{
	struct err err = { 0 };
	size_t len;

	if (mqtt_parse(buf_str(b), level, MAX, p, &len, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(len, b->len);
}

static void
assert_str(struct str s, const char *z)
{
	if (!str_eqz(s, z))
		fail_msg("\"" STR_FMT "\" is not \"%s\"", STR_ARG(s), z);
}

/* Every property that may stand in some packet, with its own value. */
static const struct mqtt_props full = {
	.message_expiry_s = 0x01020304,
	.session_expiry_s = MQTT_EXPIRY_NEVER,
	.will_delay_s = 5,
	.max_packet = 70000,
	.sub_id = 268435455,
	.keepalive_s = 600,
	.receive_max = 10,
	.alias_max = 0x1234,
	.alias = 7,
	.payload_format = 1,
	.max_qos = 1,
	.want_problem = true,
	.want_response = true,
	.has_retain = true,
	.has_wildcard = true,
	.has_sub_ids = true,
	.has_shared = true,
	.content_type = RAW("text/plain"),
	.response_topic = RAW("re/ply"),
	.correlation = RAW("\0\xff"),
	.client_id = RAW("assigned"),
	.auth_method = RAW("SCRAM"),
	.auth_data = RAW("\0"),
	.response_info = RAW("info"),
	.server_reference = RAW("elsewhere"),
	.reason = RAW("because"),
	.raw = RAW("\x26\0\1k\0\1v\x26\0\1k\0\0"),
};

#define BIT(p) ((uint64_t)1 << MQTT_P_##p)
#define WITH_USER BIT(USER)

static struct mqtt_props
pick(uint64_t has)
{
	struct mqtt_props p = full;

	p.has = has;
	if (!(has & WITH_USER))
		p.raw = STR_NULL;
	return p;
}

static const struct {
	enum mqtt_type type;
	uint64_t has;
} allowed[] = {
	{ MQTT_CONNECT,
	    BIT(SESSION_EXPIRY) | BIT(AUTH_METHOD) | BIT(AUTH_DATA) |
		BIT(WANT_PROBLEM) | BIT(WANT_RESPONSE) | BIT(RECEIVE_MAX) |
		BIT(ALIAS_MAX) | BIT(USER) | BIT(MAX_PACKET) },
	{ 0, /* the will */
	    BIT(PAYLOAD_FORMAT) | BIT(MESSAGE_EXPIRY) | BIT(CONTENT_TYPE) |
		BIT(RESPONSE_TOPIC) | BIT(CORRELATION) | BIT(WILL_DELAY) |
		BIT(USER) },
	{ MQTT_CONNACK,
	    BIT(SESSION_EXPIRY) | BIT(CLIENT_ID) | BIT(KEEPALIVE) |
		BIT(AUTH_METHOD) | BIT(AUTH_DATA) | BIT(RESPONSE_INFO) |
		BIT(SERVER_REFERENCE) | BIT(REASON) | BIT(RECEIVE_MAX) |
		BIT(ALIAS_MAX) | BIT(MAX_QOS) | BIT(HAS_RETAIN) | BIT(USER) |
		BIT(MAX_PACKET) | BIT(HAS_WILDCARD) | BIT(HAS_SUB_IDS) |
		BIT(HAS_SHARED) },
	{ MQTT_PUBLISH,
	    BIT(PAYLOAD_FORMAT) | BIT(MESSAGE_EXPIRY) | BIT(CONTENT_TYPE) |
		BIT(RESPONSE_TOPIC) | BIT(CORRELATION) | BIT(SUB_ID) |
		BIT(ALIAS) | BIT(USER) },
	{ MQTT_PUBACK, BIT(REASON) | BIT(USER) },
	{ MQTT_PUBREC, BIT(REASON) | BIT(USER) },
	{ MQTT_PUBREL, BIT(REASON) | BIT(USER) },
	{ MQTT_PUBCOMP, BIT(REASON) | BIT(USER) },
	{ MQTT_SUBSCRIBE, BIT(SUB_ID) | BIT(USER) },
	{ MQTT_SUBACK, BIT(REASON) | BIT(USER) },
	{ MQTT_UNSUBSCRIBE, BIT(USER) },
	{ MQTT_UNSUBACK, BIT(REASON) | BIT(USER) },
	{ MQTT_DISCONNECT,
	    BIT(SESSION_EXPIRY) | BIT(SERVER_REFERENCE) | BIT(REASON) |
		BIT(USER) },
	{ MQTT_AUTH,
	    BIT(AUTH_METHOD) | BIT(AUTH_DATA) | BIT(REASON) | BIT(USER) },
};

/* One packet of each type; type 0 is a CONNECT whose will has `props`. */
static void
put_sample(struct buf *b, uint8_t level, enum mqtt_type type,
    const struct mqtt_props *props)
{
	struct mqtt_connect c = {
		.level = level,
		.clean = true,
		.keepalive_s = 60,
		.client_id = STR("me"),
		.will = true,
		.will_qos = 1,
		.will_retain = true,
		.will_topic = STR("w/t"),
		.will_payload = STR("gone"),
		.user = STR("ann"),
		.password = RAW("s\0t"),
	};
	struct mqtt_filter filters[] = {
		{ STR("a/+"), 1, true, false, 2 },
		{ STR("#"), 2, false, true, 1 },
	};
	struct mqtt_publish_flags f = { 2, true, true, 0x1234 };
	static const uint8_t granted[] = { 1, 0x80 }, gone[] = { 0, 0x80 };

	switch ((int)type) {
	case 0:
		c.will_props = *props;
		mqtt_put_connect(b, &c, NULL);
		break;
	case MQTT_CONNECT:
		mqtt_put_connect(b, &c, props);
		break;
	case MQTT_CONNACK:
		mqtt_put_connack(b, level, true, 0, props);
		break;
	case MQTT_PUBLISH:
		assert_true(mqtt_put_publish(
		    b, level, f, STR("t"), props, STR("hello")));
		break;
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		mqtt_put_subscribe(b, level, type, 7, filters, 2, props);
		break;
	case MQTT_SUBACK:
		mqtt_put_suback(b, level, type, 7, granted, 2, props);
		break;
	case MQTT_UNSUBACK:
		mqtt_put_suback(b, level, type, 7, gone, 2, props);
		break;
	case MQTT_PINGREQ:
	case MQTT_PINGRESP:
		mqtt_put_empty(b, type);
		break;
	case MQTT_DISCONNECT:
	case MQTT_AUTH:
		mqtt_put_end(b, level, type, 0, props);
		break;
	default:
		mqtt_put_ack(b, level, type, 9, 0, props);
		break;
	}
}

static void
assert_same(const struct mqtt_props *got, uint64_t has)
{
	struct str rest = got->raw, name, value;

	assert_true(got->has == has);
#define SAME(id, member)                                                       \
	if (has & BIT(id))                                                     \
	assert_true(got->member == full.member)
#define SAME_STR(id, member)                                                   \
	if (has & BIT(id))                                                     \
	assert_true(str_eq(got->member, full.member))
	SAME(MESSAGE_EXPIRY, message_expiry_s);
	SAME(SESSION_EXPIRY, session_expiry_s);
	SAME(WILL_DELAY, will_delay_s);
	SAME(MAX_PACKET, max_packet);
	SAME(SUB_ID, sub_id);
	SAME(KEEPALIVE, keepalive_s);
	SAME(RECEIVE_MAX, receive_max);
	SAME(ALIAS_MAX, alias_max);
	SAME(ALIAS, alias);
	SAME(PAYLOAD_FORMAT, payload_format);
	SAME(MAX_QOS, max_qos);
	SAME(WANT_PROBLEM, want_problem);
	SAME(WANT_RESPONSE, want_response);
	SAME(HAS_RETAIN, has_retain);
	SAME(HAS_WILDCARD, has_wildcard);
	SAME(HAS_SUB_IDS, has_sub_ids);
	SAME(HAS_SHARED, has_shared);
	SAME_STR(CONTENT_TYPE, content_type);
	SAME_STR(RESPONSE_TOPIC, response_topic);
	SAME_STR(CORRELATION, correlation);
	SAME_STR(CLIENT_ID, client_id);
	SAME_STR(AUTH_METHOD, auth_method);
	SAME_STR(AUTH_DATA, auth_data);
	SAME_STR(RESPONSE_INFO, response_info);
	SAME_STR(SERVER_REFERENCE, server_reference);
	SAME_STR(REASON, reason);
	if (!(has & BIT(USER)))
		return;
	assert_true(mqtt_next_user(&rest, &name, &value));
	assert_str(name, "k");
	assert_str(value, "v");
	assert_true(mqtt_next_user(&rest, &name, &value));
	assert_str(value, "");
	assert_false(mqtt_next_user(&rest, &name, &value));
}

static void
every_allowed_property_is_encoded_and_parsed(void **state)
{
	struct mqtt_packet p;
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(allowed); i++) {
		struct mqtt_props props = pick(allowed[i].has);

		buf_clear(&b);
		put_sample(&b, 5, allowed[i].type, &props);
		parse_whole(&b, 5, &p);
		assert_same(
		    allowed[i].type == 0 ? &p.connect.will_props : &p.props,
		    allowed[i].has);
	}
	buf_free(&b);
}

static void
a_property_in_the_wrong_packet_is_malformed(void **state)
{
	struct mqtt_packet p;
	struct buf b = { 0 };
	uint64_t known = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(allowed); i++)
		known |= allowed[i].has;
	for (size_t i = 0; i < COUNT_OF(allowed); i++) {
		for (unsigned id = 1; id < 64; id++) {
			uint64_t bit = known & (uint64_t)1 << id;
			struct mqtt_props props = pick(bit);

			if (bit == 0 || allowed[i].has & bit)
				continue;
			buf_clear(&b);
			put_sample(&b, 5, allowed[i].type, &props);
			assert_int_equal(parse(buf_str(&b), 5, &p), ERR_PROTO);
			assert_int_equal(p.code, MQTT_R_MALFORMED);
		}
	}
	buf_free(&b);
}

static void
a_property_twice_is_a_protocol_error(void **state)
{
	struct mqtt_packet p;
	struct buf b = { 0 }, twice = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(allowed); i++) {
		for (unsigned id = 1; id < 64; id++) {
			uint64_t bit = allowed[i].has & (uint64_t)1 << id;
			struct mqtt_props props = pick(bit);
			bool many = id == MQTT_P_USER ||
			    (id == MQTT_P_SUB_ID &&
				allowed[i].type == MQTT_PUBLISH);

			if (bit == 0)
				continue;
			buf_clear(&twice);
			mqtt_put_props(&twice, &props);
			props.raw =
			    (struct str){ twice.ptr + 1, twice.len - 1 };
			props.has |= allowed[i].type == MQTT_AUTH ||
				id == MQTT_P_AUTH_DATA
			    ? BIT(AUTH_METHOD)
			    : 0;
			buf_clear(&b);
			put_sample(&b, 5, allowed[i].type, &props);
			if (many) {
				parse_whole(&b, 5, &p);
				continue;
			}
			assert_int_equal(parse(buf_str(&b), 5, &p), ERR_PROTO);
			assert_int_equal(p.code, MQTT_R_PROTOCOL);
		}
	}
	buf_free(&twice);
	buf_free(&b);
}

static void
what_is_encoded_is_parsed_again(void **state)
{
	struct mqtt_filter f;
	struct mqtt_packet p;
	struct buf b = { 0 };
	struct str rest;

	(void)state;
	for (uint8_t level = 3; level <= 5; level++) {
		buf_clear(&b);
		put_sample(&b, level, MQTT_CONNECT, NULL);
		parse_whole(&b, 0, &p);
		assert_int_equal(p.connect.level, level);
		assert_true(p.connect.supported && p.connect.clean);
		assert_true(p.connect.will && p.connect.will_retain);
		assert_false(p.connect.bridge);
		assert_int_equal(p.connect.will_qos, 1);
		assert_int_equal(p.connect.keepalive_s, 60);
		assert_str(p.connect.client_id, "me");
		assert_str(p.connect.will_topic, "w/t");
		assert_str(p.connect.will_payload, "gone");
		assert_str(p.connect.user, "ann");
		assert_true(str_eq(p.connect.password, RAW("s\0t")));

		buf_clear(&b);
		put_sample(&b, level, MQTT_PUBLISH, NULL);
		parse_whole(&b, level, &p);
		assert_true(p.dup && p.retain && p.qos == 2 && p.id == 0x1234);
		assert_str(p.topic, "t");
		assert_str(p.payload, "hello");

		buf_clear(&b);
		put_sample(&b, level, MQTT_SUBSCRIBE, NULL);
		parse_whole(&b, level, &p);
		assert_int_equal(p.n_filters, 2);
		rest = p.filters;
		assert_true(mqtt_next_filter(&rest, p.type, &f));
		assert_str(f.filter, "a/+");
		assert_true(f.qos == 1 && !f.retain_as_published);
		assert_true(f.no_local == (level == 5));
		assert_int_equal(f.retain_handling, level == 5 ? 2 : 0);
		assert_true(mqtt_next_filter(&rest, p.type, &f));
		assert_str(f.filter, "#");
		assert_true(f.qos == 2 && !f.no_local);
		assert_true(f.retain_as_published == (level == 5));
		assert_false(mqtt_next_filter(&rest, p.type, &f));

		buf_clear(&b);
		put_sample(&b, level, MQTT_UNSUBACK, NULL);
		parse_whole(&b, level, &p);
		assert_int_equal(p.codes.len, level == 5 ? 2 : 0);
	}
	buf_free(&b);
}

static void
the_shortest_form_is_written(void **state)
{
	static const struct mqtt_props none = { 0 };
	struct mqtt_props why = pick(BIT(REASON));
	struct buf b = { 0 };

	(void)state;
	mqtt_put_ack(&b, 5, MQTT_PUBACK, 1, 0, &none);
	mqtt_put_ack(&b, 5, MQTT_PUBACK, 1, 0x10, NULL);
	mqtt_put_ack(&b, 4, MQTT_PUBREL, 1, 0x92, &why);
	mqtt_put_end(&b, 5, MQTT_DISCONNECT, 0, NULL);
	mqtt_put_end(&b, 5, MQTT_DISCONNECT, 4, NULL);
	mqtt_put_end(&b, 4, MQTT_DISCONNECT, 4, &why);
	mqtt_put_connack(&b, 4, true, 0, &why);
	assert_true(str_eq(buf_str(&b),
	    RAW("\x40\2\0\1"
		"\x40\3\0\1\x10"
		"\x62\2\0\1"
		"\xe0\0"
		"\xe0\1\4"
		"\xe0\0"
		"\x20\2\1\0")));
	buf_clear(&b);
	mqtt_put_end(&b, 5, MQTT_DISCONNECT, 0, &why);
	assert_true(str_eq(buf_str(&b), RAW("\xe0\x0c\0\x0a\x1f\0\7because")));
	buf_free(&b);
}

static void
a_bridge_says_so_in_its_level(void **state)
{
	struct mqtt_connect c = { .level = 4, .bridge = true };
	struct mqtt_packet p;
	struct buf b = { 0 };

	(void)state;
	c.client_id = STR("b");
	mqtt_put_connect(&b, &c, NULL);
	assert_int_equal((uint8_t)b.ptr[8], 0x84);
	parse_whole(&b, 0, &p);
	assert_true(p.connect.supported && p.connect.bridge);
	assert_int_equal(p.connect.level, 4);
	assert_int_equal(
	    parse(RAW("\x10\x0d\0\4MQTT\x85\2\0\0\0\0\0"), 0, &p), 0);
	assert_false(p.connect.supported);
	buf_free(&b);
}

static void
every_beginning_of_a_packet_asks_for_more(void **state)
{
	struct mqtt_packet p;
	struct buf b = { 0 };
	size_t len;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(allowed); i++) {
		struct mqtt_props props = pick(allowed[i].has);

		buf_clear(&b);
		put_sample(&b, 5, allowed[i].type, &props);
		for (size_t n = 0; n < b.len; n++) {
			struct str cut = { b.ptr, n };

			assert_int_equal(parse(cut, 5, &p), ERR_AGAIN);
			(void)mqtt_parse(cut, 5, MAX, &p, &len, NULL);
			assert_true(len > n && len <= b.len);
		}
	}
	buf_free(&b);
}

/* A body that ends too early is refused, whatever is cut off. */
static void
a_body_cut_short_is_never_taken_for_whole(void **state)
{
	struct mqtt_packet p;
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(allowed); i++) {
		struct mqtt_props props = pick(allowed[i].has);
		size_t head = 3; /* each body has 128 bytes or fewer */

		buf_clear(&b);
		put_sample(&b, 5, allowed[i].type, &props);
		head = (uint8_t)b.ptr[1] & 0x80 ? 3 : 2;
		for (size_t n = 4; n < b.len - head; n++) {
			struct buf cut = { 0 };
			int rc;

			buf_addc(&cut, b.ptr[0]);
			buf_addc(&cut, (char)(n & 0x7f));
			if (n > 0x7f) {
				cut.ptr[1] |= (char)0x80;
				buf_addc(&cut, (char)(n >> 7));
			}
			buf_add(&cut, b.ptr + head, n);
			rc = parse(buf_str(&cut), 5, &p);
			/* what ends in a payload or a list may be shorter */
			if (rc == 0)
				assert_true(p.type == MQTT_PUBLISH ||
				    p.type == MQTT_SUBSCRIBE ||
				    p.type == MQTT_UNSUBSCRIBE ||
				    p.type == MQTT_SUBACK ||
				    p.type == MQTT_UNSUBACK);
			else
				assert_int_equal(rc, ERR_PROTO);
			buf_free(&cut);
		}
	}
	buf_free(&b);
}

static void
what_breaks_a_rule_is_refused(void **state)
{
	static const struct str bad[] = {
		RAW("\x00"),
		RAW("\xf0"),
		RAW("\x11"),
		RAW("\x36"),
		RAW("\x38"),
		RAW("\x60"),
		RAW("\x80"),
		RAW("\xa0"),
		RAW("\xc1"),
		RAW("\xe1"),
		RAW("\x30\xff\xff\xff\xff"),
		RAW("\xc0\x01x"),
		RAW("\x40\x02\0\0"),
		RAW("\x40\x03\0\1\0"),
		RAW("\x40\x01\0"),
		RAW("\x30\x02\0\0"),
		RAW("\x30\x03\0\2a"),
		RAW("\x30\x03\0\1+"),
		RAW("\x30\x03\0\1\0"),
		RAW("\x32\x05\0\1t\0\0"),
		RAW("\x32\x04\0\1t\1"),
		RAW("\x82\x02\0\1"),
		RAW("\x82\x06\0\0\0\1a\0"),
		RAW("\x82\x06\0\1\0\1a\3"),
		RAW("\x82\x06\0\1\0\1a\4"),
		RAW("\x82\x05\0\1\0\1a"),
		RAW("\x82\x05\0\1\0\0\0"),
		RAW("\xa2\x02\0\1"),
		RAW("\xa2\x06\0\1\0\2a#"),
		RAW("\xe0\x01\0"),
		RAW("\xb0\x03\0\1\0"),
		RAW("\x20\x02\2\0"),
		RAW("\x20\x02\1\1"),
		RAW("\x20\x01\0"),
		RAW("\x20\x03\0\0\0"),
		RAW("\x90\x03\0\1\3"),
		RAW("\x90\x02\0\1"),
		/* CONNECT: name, reserved flag, no user, will flags, id */
		RAW("\x10\x0c\0\4MQTX\4\2\0\0\0\0"),
		RAW("\x10\x0c\0\4MQTT\4\3\0\0\0\0"),
		RAW("\x10\x0e\0\4MQTT\4\x42\0\0\0\0\0\0"),
		RAW("\x10\x0c\0\4MQTT\4\x22\0\0\0\0"),
		RAW("\x10\x0c\0\4MQTT\4\x0a\0\0\0\0"),
		RAW("\x10\x0d\0\4MQTT\4\2\0\0\0\1\xff"),
		RAW("\x10\x0d\0\4MQTT\4\2\0\0\0\0x"),
		RAW("\x10\x0b\0\4MQTT\4\2\0\0\0"),
		RAW("\x10\x10\0\4MQTT\4\6\0\0\0\0\0\0\0\0"),
	};
	struct mqtt_packet p;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		if (parse(bad[i], 4, &p) != ERR_PROTO)
			fail_msg("case %zu was taken", i);
	}
}

static void
level_5_is_told_the_reason(void **state)
{
	enum {
		OK = 0,
		MALF = MQTT_R_MALFORMED,
		PROTO = MQTT_R_PROTOCOL,
		TOPIC = MQTT_R_BAD_TOPIC,
	};
	static const struct {
		struct str in;
		int reason;
	} cases[] = {
		/* the first bytes */
		{ RAW("\x36"), MALF },
		{ RAW("\xf1"), MALF },
		{ RAW("\xc0\x80\x00"), MALF },
		{ RAW("\xd0\x80\x80\x80\x80"), MALF },
		/* PUBLISH */
		{ RAW("\x30\4\0\1t\0"), OK },
		{ RAW("\x30\3\0\0\0"), OK },
		{ RAW("\x30\3\0\1t"), MALF },
		{ RAW("\x30\4\0\1t\1"), MALF },
		{ RAW("\x30\5\0\1t\x80\0"), MALF },
		{ RAW("\x30\4\0\1+\0"), TOPIC },
		{ RAW("\x30\4\0\1#\0"), TOPIC },
		{ RAW("\x30\4\0\1\xff\0"), MALF },
		{ RAW("\x32\6\0\1t\0\0\0"), PROTO },
		{ RAW("\x30\7\0\1t\3\x23\0\0"), OK }, /* alias 0: later */
		{ RAW("\x30\6\0\1t\2\1\2"), PROTO },
		{ RAW("\x30\6\0\1t\2\1\1"), OK },
		{ RAW("\x30\7\0\1t\3\x81\0\1"), MALF },
		{ RAW("\x30\6\0\1t\2\x0b\0"), PROTO },
		{ RAW("\x30\x08\0\1t\4\x0b\1\x0b\2"), OK },
		{ RAW("\x30\x08\0\1t\4\x08\0\1+"), PROTO },
		{ RAW("\x30\x07\0\1t\3\x08\0\0"), PROTO },
		{ RAW("\x30\x08\0\1t\4\x03\0\1\xff"), MALF },
		{ RAW("\x30\x08\0\1t\4\x09\0\1\xff"), OK },
		{ RAW("\x30\x08\0\1t\4\x09\0\2\xff"), MALF },
		/* a value that only the packet's end would stop */
		{ RAW("\x30\x07\0\1t\2\x23\0\1"), MALF },
		/* SUBSCRIBE */
		{ RAW("\x82\7\0\1\0\0\1a\x2e"), OK },
		{ RAW("\x82\7\0\1\0\0\1a\x30"), PROTO },
		{ RAW("\x82\7\0\1\0\0\1a\3"), PROTO },
		{ RAW("\x82\7\0\1\0\0\1a\x40"), MALF },
		{ RAW("\x82\7\0\1\0\0\1a\x80"), MALF },
		{ RAW("\x82\3\0\1\0"), PROTO },
		{ RAW("\x82\6\0\1\0\0\0\0"), MALF },
		{ RAW("\x82\7\0\1\0\0\1\xff\0"), MALF },
		{ RAW("\x82\x08\0\1\0\0\2a+\0"), OK }, /* server: 0x8f */
		{ RAW("\x82\x10\0\1\0\0\x0a$share/g/a\4"), PROTO },
		{ RAW("\x82\x10\0\1\0\0\x0a$share/g/a\1"), OK },
		{ RAW("\x82\x09\0\1\2\x0b\0\0\1a\0"), PROTO },
		{ RAW("\x82\x0c\0\1\5\x0b\xff\xff\xff\xff\0\1a\0"), MALF },
		{ RAW("\xa2\3\0\1\0"), PROTO },
		{ RAW("\xa2\6\0\1\0\0\1a"), OK },
		/* answers */
		{ RAW("\x40\2\0\1"), OK },
		{ RAW("\x40\3\0\1\x10"), OK },
		{ RAW("\x40\4\0\1\x10\0"), OK },
		{ RAW("\x40\5\0\1\x10\0x"), MALF },
		{ RAW("\x40\3\0\1\x92"), PROTO },
		{ RAW("\x62\3\0\1\x92"), OK },
		{ RAW("\x62\3\0\1\x80"), PROTO },
		{ RAW("\x40\3\0\1\xff"), PROTO },
		{ RAW("\x90\4\0\1\0\2"), OK },
		{ RAW("\x90\4\0\1\0\3"), PROTO },
		{ RAW("\x90\3\0\1\0"), MALF },
		{ RAW("\xb0\4\0\1\0\x11"), OK },
		{ RAW("\xb0\4\0\1\0\1"), PROTO },
		{ RAW("\x20\3\0\x8a\0"), OK },
		{ RAW("\x20\3\1\x8a\0"), PROTO },
		{ RAW("\x20\3\2\0\0"), MALF },
		{ RAW("\x20\3\0\1\0"), PROTO },
		{ RAW("\x20\2\0\0"), MALF },
		{ RAW("\x20\2\0\1"), OK }, /* from a server of level 4 */
		{ RAW("\x20\6\0\0\3\x21\0\0"), PROTO },
		{ RAW("\x20\x08\0\0\5\x27\0\0\0\0"), PROTO },
		{ RAW("\x20\5\0\0\2\x24\2"), PROTO },
		/* DISCONNECT, AUTH */
		{ RAW("\xe0\0"), OK },
		{ RAW("\xe0\1\4"), OK },
		{ RAW("\xe0\1\1"), PROTO },
		{ RAW("\xe0\2\x8e\0"), OK },
		{ RAW("\xe0\3\x8e\0x"), MALF },
		{ RAW("\xf0\0"), OK },
		{ RAW("\xf0\1\x18"), MALF },
		{ RAW("\xf0\2\x18\0"), PROTO },
		{ RAW("\xf0\6\x18\4\x15\0\1m"), OK },
		{ RAW("\xf0\6\x1a\4\x15\0\1m"), PROTO },
		{ RAW("\xf0\6\x18\4\x16\0\1m"), PROTO },
		/* CONNECT */
		{ RAW("\x10\x0d\0\4MQTT\5\2\0\0\0\0\0"), OK },
		{ RAW("\x10\x8d\0\0\4MQTT\5\2\0\0\0\0\0"), MALF },
		{ RAW("\x10\x0d\0\4MQTX\5\2\0\0\0\0\0"), PROTO },
		{ RAW("\x10\x0d\0\4MQTT\5\3\0\0\0\0\0"), MALF },
		{ RAW("\x10\x0d\0\4MQTT\5\x0a\0\0\0\0\0"), MALF },
		{ RAW("\x10\x0f\0\4MQTT\5\x42\0\0\0\0\0\0\0"), OK },
		{ RAW("\x10\x10\0\4MQTT\5\2\0\0\3\x21\0\0\0\0"), PROTO },
		{ RAW("\x10\x13\0\4MQTT\5\6\0\0\0\0\0\0\0\1#\0\0"), TOPIC },
		{ RAW("\x10\x12\0\4MQTT\5\6\0\0\0\0\0\0\0\0\0\0"), MALF },
		{ RAW("\x10\x10\0\4MQTT\5\2\0\0\3\x16\0\0\0\0"), PROTO },
	};
	struct mqtt_packet p;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int rc = parse(cases[i].in, 5, &p);

		if (rc == ERR_PROTO ? p.code != cases[i].reason
				    : rc != 0 || cases[i].reason != OK)
			fail_msg("case %zu (type %d): %d, reason %#x not %#x",
			    i, p.type, rc, p.code, cases[i].reason);
	}
}

static void
an_unknown_level_is_told_and_nothing_else_is_read(void **state)
{
	struct mqtt_packet p;

	(void)state;
	assert_int_equal(
	    parse(RAW("\x10\x0d\0\4MQTT\6\2\0\0\0\0\0"), 0, &p), 0);
	assert_false(p.connect.supported);
	assert_int_equal(p.connect.level, 6);
	assert_int_equal(
	    parse(RAW("\x10\x0e\0\6MQIsdp\3\2\0\0\0\0"), 0, &p), 0);
	assert_true(p.connect.supported);
}

static void
an_old_server_refuses_in_its_own_form(void **state)
{
	struct mqtt_packet p;

	(void)state;
	assert_int_equal(parse(RAW("\x20\2\0\1"), 5, &p), 0);
	assert_int_equal(p.code, MQTT_BAD_LEVEL);
	assert_true(p.props.has == 0);
}

static void
kept_properties_are_those_of_the_message(void **state)
{
	struct mqtt_props props = pick(BIT(PAYLOAD_FORMAT) |
	    BIT(MESSAGE_EXPIRY) | BIT(CONTENT_TYPE) | BIT(RESPONSE_TOPIC) |
	    BIT(CORRELATION) | BIT(SUB_ID) | BIT(ALIAS) | BIT(USER));
	struct mqtt_props again = { 0 };
	struct mqtt_packet p;
	struct buf b = { 0 }, kept = { 0 };

	(void)state;
	put_sample(&b, 5, MQTT_PUBLISH, &props);
	parse_whole(&b, 5, &p);
	mqtt_kept_props(p.props.raw, &kept);
	again.raw = buf_str(&kept);
	buf_clear(&b);
	put_sample(&b, 5, MQTT_PUBLISH, &again);
	parse_whole(&b, 5, &p);
	assert_same(&p.props,
	    BIT(PAYLOAD_FORMAT) | BIT(CONTENT_TYPE) | BIT(RESPONSE_TOPIC) |
		BIT(CORRELATION) | BIT(USER));
	buf_free(&b);
	buf_free(&kept);
}

static void
all_subscription_ids_are_handed_out(void **state)
{
	struct str raw = RAW("\x0b\x81\x01\x26\0\1a\0\1b\x0b\5"), rest = raw;
	uint32_t id;

	(void)state;
	assert_true(mqtt_next_sub_id(&rest, &id));
	assert_int_equal(id, 129);
	assert_true(mqtt_next_sub_id(&rest, &id));
	assert_int_equal(id, 5);
	assert_false(mqtt_next_sub_id(&rest, &id));
}

static void
user_properties_are_written_in_their_order(void **state)
{
	struct mqtt_props props = { 0 };
	struct buf raw = { 0 }, b = { 0 };
	struct str rest, name, value;
	struct mqtt_packet p;

	(void)state;
	mqtt_put_user(&raw, STR("a"), STR("1"));
	mqtt_put_user(&raw, STR("b"), STR("2"));
	props.raw = buf_str(&raw);
	put_sample(&b, 5, MQTT_PUBLISH, &props);
	parse_whole(&b, 5, &p);
	rest = p.props.raw;
	assert_true(mqtt_next_user(&rest, &name, &value));
	assert_str(name, "a");
	assert_true(mqtt_next_user(&rest, &name, &value));
	assert_str(value, "2");
	assert_false(mqtt_next_user(&rest, &name, &value));
	buf_free(&raw);
	buf_free(&b);
}

static void
numbers_take_one_to_four_bytes(void **state)
{
	static const uint32_t edges[] = { 0, 127, 128, 16383, 16384, 2097151,
		2097152, MQTT_REMAINING_MAX };
	static const size_t size[] = { 1, 1, 2, 2, 3, 3, 4, 4 };
	uint8_t p[MQTT_HEAD_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(edges); i++) {
		assert_int_equal(mqtt_varint_size(edges[i]), size[i]);
		assert_int_equal(mqtt_varint_put(p, edges[i]), size[i]);
	}
	assert_int_equal(
	    mqtt_publish_head(p,
		(struct mqtt_publish_flags){ .qos = 1, .retain = true }, 130),
	    3);
	assert_memory_equal(p, "\x33\x82\x01", 3);
}

static void
a_packet_that_mqtt_cannot_say_is_not_written(void **state)
{
	struct str huge = { "", MQTT_REMAINING_MAX };
	struct buf b = { 0 };

	(void)state;
	assert_false(mqtt_put_publish(
	    &b, 4, (struct mqtt_publish_flags){ 0 }, STR("t"), NULL, huge));
	assert_int_equal(b.len, 0);
}

static void
a_packet_over_the_limit_is_refused_by_its_head(void **state)
{
	struct mqtt_packet p;
	size_t len;

	(void)state;
	assert_int_equal(
	    mqtt_parse(RAW("\x30\x80\x01"), 4, 130, &p, &len, NULL), ERR_LIMIT);
	assert_int_equal(p.type, MQTT_PUBLISH);
	assert_int_equal(p.code, MQTT_R_TOO_LARGE);
	assert_int_equal(
	    mqtt_parse(RAW("\x30\x80\x01"), 4, 131, &p, &len, NULL), ERR_AGAIN);
	assert_int_equal(len, 131);
}

static void
text_is_utf8_without_nul_and_surrogates(void **state)
{
	static const struct {
		struct str s;
		bool ok;
	} cases[] = {
		{ RAW(""), true },
		{ RAW("a\x01\x7f"), true },
		{ RAW("\xc3\xa4"), true },
		{ RAW("\xef\xbb\xbf"), true }, /* [1.5.3-3] kept as it is */
		{ RAW("\xf4\x8f\xbf\xbf"), true },
		{ RAW("\0"), false },
		{ RAW("a\0b"), false },
		{ RAW("\x80"), false },
		{ RAW("\xc3"), false },
		{ RAW("\xc0\x80"), false },
		{ RAW("\xe0\x9f\xbf"), false },
		{ RAW("\xed\xa0\x80"), false },
		{ RAW("\xf0\x8f\xbf\xbf"), false },
		{ RAW("\xf4\x90\x80\x80"), false },
		{ RAW("\xe2\x82"), false },
		{ RAW("long enough for eight at a time"), true },
		{ RAW("long enough for \0 eight at a time"), false },
		{ RAW("long enough for \xc3\xa4 at a time, eight"), true },
		{ RAW("long enough for eight \xff at a time"), false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		if (mqtt_text_ok(cases[i].s) != cases[i].ok)
			fail_msg("case %zu", i);
	}
}

static void
filters_match_as_the_standard_says(void **state)
{
	static const struct {
		const char *filter, *topic;
		bool match;
	} cases[] = {
		{ "a/b", "a/b", true },
		{ "a/b", "a/b/", false },
		{ "a/+", "a/", true },
		{ "a/+", "a", false },
		{ "a/#", "a", true },
		{ "a/#", "a/b/c", true },
		{ "a/#", "ab", false },
		{ "+", "/a", false },
		{ "/+", "/a", true },
		{ "+/+", "/a", true },
		{ "#", "$SYS/x", false },
		{ "+/x", "$SYS/x", false },
		{ "$SYS/#", "$SYS/x", true },
		{ "#", "/", true },
		{ "a/+/c", "a//c", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		if (mqtt_filter_matches(str_of(cases[i].filter),
			str_of(cases[i].topic)) != cases[i].match)
			fail_msg("%s %s", cases[i].filter, cases[i].topic);
	}
	assert_true(mqtt_filter_ok(STR("+/a/+/#")));
	assert_false(mqtt_filter_ok(STR("a+/b")));
	assert_false(mqtt_filter_ok(STR("#/a")));
	assert_false(mqtt_filter_ok(STR("")));
	assert_true(mqtt_has_wildcard(STR("0123456789/+")));
	assert_true(mqtt_has_wildcard(STR("012/+456789")));
	assert_true(mqtt_has_wildcard(STR("0123456/#")));
	assert_true(mqtt_has_wildcard(STR("0/#/456789")));
	assert_false(mqtt_has_wildcard(STR("0123*456/\"789,\xab\xa3")));
}

static void
a_shared_filter_is_split(void **state)
{
	struct str g, f;

	(void)state;
	assert_int_equal(mqtt_share_split(STR("$share/g/a/+"), &g, &f), 0);
	assert_true(str_eqz(g, "g") && str_eqz(f, "a/+"));
	assert_int_equal(mqtt_share_split(STR("$share/g//"), &g, &f), 0);
	assert_true(str_eqz(f, "/"));
	assert_int_equal(
	    mqtt_share_split(STR("a/$share"), &g, &f), ERR_NOT_FOUND);
	assert_int_equal(mqtt_share_split(STR("$share/g"), &g, &f), ERR_PARAM);
	assert_int_equal(mqtt_share_split(STR("$share/g/"), &g, &f), ERR_PARAM);
	assert_int_equal(mqtt_share_split(STR("$share//a"), &g, &f), ERR_PARAM);
	assert_int_equal(
	    mqtt_share_split(STR("$share/+/a"), &g, &f), ERR_PARAM);
}

static void
write_seed(const char *dir, const char *name, unsigned n, const struct buf *b)
{
	char path[1000];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s_%02u", dir, name, n);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(b->ptr, 1, b->len, f) != b->len) {
		perror(path);
		exit(1);
	}
	fclose(f);
}

static int
write_seeds(const char *dir)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < COUNT_OF(allowed); i++) {
		struct mqtt_props props = pick(allowed[i].has);

		buf_clear(&b);
		put_sample(&b, 5, allowed[i].type, &props);
		write_seed(dir, "level5", (unsigned)allowed[i].type, &b);
		if (allowed[i].type == 0 || allowed[i].type == MQTT_AUTH)
			continue;
		buf_clear(&b);
		put_sample(&b, 4, allowed[i].type, NULL);
		write_seed(dir, "level4", (unsigned)allowed[i].type, &b);
	}
	buf_clear(&b);
	put_sample(&b, 3, MQTT_CONNECT, NULL);
	put_sample(&b, 3, MQTT_PINGREQ, NULL);
	put_sample(&b, 3, MQTT_DISCONNECT, NULL);
	write_seed(dir, "level3", MQTT_CONNECT, &b);
	buf_free(&b);
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allowed_property_is_encoded_and_parsed),
		cmocka_unit_test(a_property_in_the_wrong_packet_is_malformed),
		cmocka_unit_test(a_property_twice_is_a_protocol_error),
		cmocka_unit_test(what_is_encoded_is_parsed_again),
		cmocka_unit_test(the_shortest_form_is_written),
		cmocka_unit_test(a_bridge_says_so_in_its_level),
		cmocka_unit_test(every_beginning_of_a_packet_asks_for_more),
		cmocka_unit_test(a_body_cut_short_is_never_taken_for_whole),
		cmocka_unit_test(what_breaks_a_rule_is_refused),
		cmocka_unit_test(level_5_is_told_the_reason),
		cmocka_unit_test(
		    an_unknown_level_is_told_and_nothing_else_is_read),
		cmocka_unit_test(an_old_server_refuses_in_its_own_form),
		cmocka_unit_test(kept_properties_are_those_of_the_message),
		cmocka_unit_test(all_subscription_ids_are_handed_out),
		cmocka_unit_test(user_properties_are_written_in_their_order),
		cmocka_unit_test(numbers_take_one_to_four_bytes),
		cmocka_unit_test(a_packet_that_mqtt_cannot_say_is_not_written),
		cmocka_unit_test(
		    a_packet_over_the_limit_is_refused_by_its_head),
		cmocka_unit_test(text_is_utf8_without_nul_and_surrogates),
		cmocka_unit_test(filters_match_as_the_standard_says),
		cmocka_unit_test(a_shared_filter_is_split),
	};

	if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
		return write_seeds(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

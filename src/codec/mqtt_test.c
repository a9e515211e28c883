#include "codec/mqtt.h"

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 300000

/* A packet given as a literal with any bytes in it. */
#define RAW(literal) ((struct str){ literal, sizeof(literal) - 1 })

static int
parse(struct str in, struct mqtt_packet *p)
{
	/* An exact copy on the heap, so that ASan sees a read beyond it. */
	char *copy = malloc(in.len + 1);
	struct err err = { .code = 1 };
	size_t len;
	int rc;

	memcpy(copy, in.ptr, in.len);
	rc = mqtt_parse((struct str){ copy, in.len }, MAX, p, &len, &err);
	if (rc == 0)
		assert_int_equal(len, in.len);
	free(copy);
	return rc;
}

static void
what_is_encoded_is_parsed_again(void **state)
{
	struct mqtt_connect c = {
		.level = 4,
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
	struct str filters[2] = { STR("a/+"), STR("#") }, rest, f;
	struct buf b = { 0 };
	struct mqtt_packet p;
	uint8_t qos[2] = { 1, 2 }, q;
	size_t len;

	(void)state;
	mqtt_put_connect(&b, &c);
	assert_int_equal(mqtt_parse(buf_str(&b), MAX, &p, &len, NULL), 0);
	assert_int_equal(len, b.len);
	assert_true(p.connect.supported && p.connect.clean && p.connect.will);
	assert_true(p.connect.will_retain);
	assert_int_equal(p.connect.will_qos, 1);
	assert_int_equal(p.connect.keepalive_s, 60);
	assert_true(str_eq(p.connect.client_id, c.client_id));
	assert_true(str_eq(p.connect.will_topic, c.will_topic));
	assert_true(str_eq(p.connect.will_payload, c.will_payload));
	assert_true(str_eq(p.connect.user, c.user));
	assert_true(str_eq(p.connect.password, c.password));

	buf_clear(&b);
	assert_true(mqtt_put_publish(&b,
	    (struct mqtt_publish_flags){
		.qos = 2, .dup = true, .retain = true, .id = 0x1234 },
	    STR("t"), STR("hello")));
	assert_int_equal(b.len, mqtt_publish_size(2, 1, 5));
	assert_int_equal(mqtt_parse(buf_str(&b), MAX, &p, &len, NULL), 0);
	assert_true(p.dup && p.retain && p.qos == 2 && p.id == 0x1234);
	assert_true(str_eqz(p.topic, "t") && str_eqz(p.payload, "hello"));

	buf_clear(&b);
	mqtt_put_subscribe(&b, 7, filters, qos, 2);
	assert_int_equal(mqtt_parse(buf_str(&b), MAX, &p, &len, NULL), 0);
	assert_int_equal(p.n_filters, 2);
	rest = p.filters;
	for (int i = 0; i < 2; i++) {
		assert_true(mqtt_next_filter(&rest, &f, &q));
		assert_true(str_eq(f, filters[i]) && q == qos[i]);
	}
	assert_false(mqtt_next_filter(&rest, &f, &q));
	buf_free(&b);
}

static void
every_beginning_of_a_packet_asks_for_more(void **state)
{
	static const struct str whole[] = {
		RAW("\x10\x0d\0\4MQTT\4\2\0\x3c\0\1a"),
		RAW("\x32\x06\0\1t\0\1x"),
		RAW("\x82\x06\0\1\0\1a\0"),
		RAW("\xc0\0"),
	};
	struct mqtt_packet p;
	size_t len;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(whole); i++) {
		assert_int_equal(parse(whole[i], &p), 0);
		for (size_t n = 0; n < whole[i].len; n++) {
			assert_int_equal(
			    parse((struct str){ whole[i].ptr, n }, &p),
			    ERR_AGAIN);
			(void)mqtt_parse((struct str){ whole[i].ptr, n }, MAX,
			    &p, &len, NULL);
			assert_true(len > n && len <= whole[i].len);
		}
	}
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
		RAW("\x82\x05\0\1\0\1a"),
		RAW("\x82\x05\0\1\0\0\0"),
		RAW("\xa2\x02\0\1"),
		RAW("\xa2\x06\0\1\0\2a#"),
		RAW("\x20\x02\2\0"),
		RAW("\x20\x02\1\1"),
		RAW("\x20\x01\0"),
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
		if (parse(bad[i], &p) != ERR_PROTO)
			fail_msg("case %zu was taken", i);
	}
}

static void
an_unknown_level_is_told_and_nothing_else_is_read(void **state)
{
	struct mqtt_packet p;

	(void)state;
	assert_int_equal(parse(RAW("\x10\x0d\0\4MQTT\5\2\0\0\0\0\0"), &p), 0);
	assert_false(p.connect.supported);
	assert_int_equal(p.connect.level, 5);
	assert_int_equal(parse(RAW("\x10\x0e\0\6MQIsdp\3\2\0\0\0\0"), &p), 0);
	assert_true(p.connect.supported);
}

static void
a_packet_over_the_limit_is_refused_by_its_head(void **state)
{
	struct mqtt_packet p;
	size_t len;

	(void)state;
	assert_int_equal(
	    mqtt_parse(RAW("\x30\x80\x01"), 130, &p, &len, NULL), ERR_LIMIT);
	assert_int_equal(
	    mqtt_parse(RAW("\x30\x80\x01"), 131, &p, &len, NULL), ERR_AGAIN);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_encoded_is_parsed_again),
		cmocka_unit_test(every_beginning_of_a_packet_asks_for_more),
		cmocka_unit_test(what_breaks_a_rule_is_refused),
		cmocka_unit_test(
		    an_unknown_level_is_told_and_nothing_else_is_read),
		cmocka_unit_test(
		    a_packet_over_the_limit_is_refused_by_its_head),
		cmocka_unit_test(text_is_utf8_without_nul_and_surrogates),
		cmocka_unit_test(filters_match_as_the_standard_says),
		cmocka_unit_test(a_shared_filter_is_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * plug/gateway/mysensors_test.c - the provider mysensors_v2 as the other end of
 * a TCP connection sees it, and what it tells its host.
 */
#include "plug/gateway/test_mysensors.h"

#include "base/base.h"
#include "base/clock.h"
#include "codec/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- reading ------------------------------------------------------------- */

struct reader {
	struct gateway_read read;
	struct buf out;
	bool done;
};

static void
put_json(struct buf *out, struct str json)
{
	buf_addc(out, ' ');
	if (json.ptr == NULL) {
		buf_addc(out, '-');
		return;
	}
	assert_true(json_valid(json, 0));
	buf_add_str(out, json);
}

static void
put_text(struct buf *out, struct str text)
{
	buf_addc(out, ' ');
	buf_add_str(out, text.ptr != NULL ? text : STR("-"));
}

static void
on_read(struct gateway_read *r, const struct err *err)
{
	struct reader *rd = container_of(r, struct reader, read);

	rd->done = true;
	if (err->code != 0) {
		assert_int_equal(err->code, ERR_PARAM);
		buf_addf(&rd->out, "%s", err->text);
		return;
	}
	for (size_t i = 0; i < r->n_messages; i++) {
		const struct gateway_message *m = &r->messages[i];

		buf_addf(&rd->out, "%s " STR_FMT "/" STR_FMT "%s",
		    gateway_types[m->type], STR_ARG(m->node),
		    STR_ARG(m->source), m->is_ack ? " ack" : "");
		for (size_t k = 0; k < m->n_payloads; k++) {
			const struct gateway_payload *p = &m->payloads[k];

			put_text(&rd->out, p->key);
			put_json(&rd->out, p->value);
			put_text(&rd->out, p->metric_type);
			put_text(&rd->out, p->unit);
			put_json(&rd->out, p->labels);
			put_json(&rd->out, p->others);
		}
	}
}

static void
assert_read(struct fixture *x, const char *line, const char *want)
{
	struct reader rd = { .read = {
				 .frame = { STR("7"), str_of(line), STR_NULL },
				 .done = on_read,
			     } };

	gateway_read(x->g, &rd.read);
	assert_true(rd.done);
	assert_string_equal(buf_z(&rd.out), want);
	arena_fini(&rd.read.arena);
	buf_free(&rd.out);
}

#define LABELS(type, child, more)                                              \
	"{\"ms_type\":\"" type                                                 \
	"\",\"ms_node_id\":\"7\",\"ms_sensor_id\":\"" child "\"" more "}"
#define NAMED(type, child, name)                                               \
	LABELS(type, child, ",\"ms_type_string\":\"" name "\"")

static void
frames_are_read(void **state)
{
	static const struct {
		const char *line, *want;
	} cases[] = {
		/* children and their values */
		{ "7;1;0;0;6;Hall",
		    "presentation 7/1 name \"Hall\" - - " NAMED(
			"6", "1", "S_TEMP") " -" },
		{ "7;1;0;0;6;",
		    "presentation 7/1 name - - - " NAMED(
			"6", "1", "S_TEMP") " -" },
		{ "7;3;0;0;99;x",
		    "presentation 7/3 name \"x\" - - " NAMED(
			"99", "3", "S_CUSTOM") " -" },
		{ "7;1;1;0;0;21.5",
		    "set 7/1 V_TEMP 21.5 gauge_float °C " NAMED(
			"0", "1", "V_TEMP") " -" },
		{ "7;1;1;0;0;+07.50",
		    "set 7/1 V_TEMP 7.5 gauge_float °C " NAMED(
			"0", "1", "V_TEMP") " -" },
		{ "7;1;1;0;0;nan",
		    "set 7/1 V_TEMP \"nan\" gauge_float °C " NAMED(
			"0", "1", "V_TEMP") " -" },
		{ "7;1;1;0;0;",
		    "set 7/1 V_TEMP - gauge_float °C " NAMED(
			"0", "1", "V_TEMP") " -" },
		{ "7;2;1;0;2;1",
		    "set 7/2 V_STATUS true binary - " NAMED(
			"2", "2", "V_STATUS") " -" },
		{ "7;2;1;0;2;0",
		    "set 7/2 V_STATUS false binary - " NAMED(
			"2", "2", "V_STATUS") " -" },
		{ "7;2;1;0;16;2",
		    "set 7/2 V_TRIPPED true binary - " NAMED(
			"16", "2", "V_TRIPPED") " -" },
		{ "7;2;1;1;2;1",
		    "set 7/2 ack V_STATUS true binary - " NAMED(
			"2", "2", "V_STATUS") " -" },
		{ "7;4;1;0;5;12",
		    "set 7/4 V_FORECAST \"12\" string - " NAMED(
			"5", "4", "V_FORECAST") " -" },
		{ "7;4;1;0;24;12",
		    "set 7/4 V_VAR1 \"12\" none - " NAMED(
			"24", "4", "V_VAR1") " -" },
		{ "7;4;1;0;49;1.5;2.5;30",
		    "set 7/4 V_POSITION \"1.5;2.5;30\" none - " NAMED(
			"49", "4", "V_POSITION") " -" },
		{ "7;4;1;0;38;3.30",
		    "set 7/4 V_VOLTAGE 3.30 gauge_float V " NAMED(
			"38", "4", "V_VOLTAGE") " -" },
		{ "7;4;1;0;200;q",
		    "set 7/4 V_CUSTOM \"q\" none - " NAMED(
			"200", "4", "V_CUSTOM") " -" },
		{ "7;2;2;0;2;",
		    "request 7/2 V_STATUS - binary - " NAMED(
			"2", "2", "V_STATUS") " -" },
		/* the node itself */
		{ "7;255;0;0;17;2.3.2",
		    "presentation 7/ library_version - - - " LABELS(
			"17", "255", ",\"library_version\":\"2.3.2\"") " -" },
		{ "7;255;0;0;18;2.3.2",
		    "presentation 7/ library_version - - - " LABELS("18", "255",
			",\"library_version\":\"2.3.2\","
			"\"ms_node_type\":\"repeater\"") " -" },
		{ "7;255;3;0;0;87",
		    "set 7/ battery_level 87 - - " LABELS(
			"0", "255", "") " -" },
		{ "7;255;3;0;2;2.3.2",
		    "set 7/ library_version \"2.3.2\" - - " LABELS(
			"2", "255", "") " -" },
		{ "7;255;3;0;11;Hall \"A\"",
		    "set 7/ name \"Hall \\\"A\\\"\" - - " LABELS(
			"11", "255", "") " -" },
		{ "7;255;3;0;12;1.0",
		    "set 7/ version \"1.0\" - - " LABELS(
			"12", "255", ",\"version\":\"1.0\"") " -" },
		{ "7;255;3;0;21;0",
		    "set 7/ parent_id \"0\" - - " LABELS(
			"21", "255", ",\"parent_id\":\"0\"") " -" },
		{ "7;255;3;0;22;12345",
		    "set 7/ heartbeat 12345 - - " LABELS(
			"22", "255", "") " -" },
		{ "7;255;3;0;23;LDB",
		    "set 7/ locked true - - " LABELS(
			"23", "255", "") " {\"ms_"
					 "locked_reason\":\"LDB\"}" },
		{ "7;255;3;0;31;-71",
		    "set 7/ signal_strength -71 - - " LABELS(
			"31", "255", "") " -" },
		{ "7;255;3;0;32;500",
		    "set 7/ awake_duration 500 - - " LABELS("32", "255",
			",\"sleep_node\":\"true\",\"ms_smart_sleep_node\":"
			"\"true\"") " -" },
		{ "7;255;3;0;33;60000",
		    "set 7/ sleep_duration 60000 - - " LABELS("33", "255",
			",\"sleep_node\":\"true\",\"ms_smart_sleep_node\":"
			"\"true\"") " -" },
		/* nothing is said */
		{ "7;255;3;1;0;87", "" },
		{ "7;255;3;0;6;0", "" },
		{ "7;255;3;0;9;TSF:MSG", "" },
		{ "7;255;1;0;0;1", "" },
		{ "7;255;4;0;2;010001000000", "" },
		/* no frame */
		{ "7;1;1;0;0", "5 parts and not six with \";\" between them" },
		{ "255;1;1;0;0;1", "of a node without an id" },
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_read(x, cases[i].line, cases[i].want);
}

static void
americans_have_fahrenheit(void **state)
{
	struct fixture *x = *state;

	label(x, "", "ms_imperial_system", "true");
	assert_read(x, "7;1;1;0;0;70",
	    "set 7/1 V_TEMP 70 gauge_float °F " NAMED("0", "1", "V_TEMP") " -");
	assert_read(x, "7;1;1;0;1;70",
	    "set 7/1 V_HUM 70 gauge_float % " NAMED("1", "1", "V_HUM") " -");
}

/* --- writing ------------------------------------------------------------- */

struct writer {
	struct gateway_write write;
	struct buf out;
};

static void
on_written(struct gateway_write *w, const struct err *err)
{
	struct writer *wr = container_of(w, struct writer, write);

	if (err->code != 0) {
		assert_int_equal(err->code, ERR_PARAM);
		assert_int_equal(w->n_frames, 0);
		buf_addf(&wr->out, "%s", err->text);
		return;
	}
	assert_int_equal(w->n_frames, 1);
	buf_addf(&wr->out, STR_FMT "|" STR_FMT "|" STR_FMT,
	    STR_ARG(w->frame.node), STR_ARG(w->frame.data),
	    STR_ARG(w->frame.extension));
}

static void
messages_are_written(void **state)
{
	static const struct {
		enum gateway_type type;
		const char *node, *source, *key, *value, *labels, *want;
	} cases[] = {
		{ GATEWAY_SET, "13", "1", "V_STATUS", "true", NULL,
		    "13|13;1;1;1;2;1|{\"slot\":\"1/1/2\"}" },
		{ GATEWAY_SET, "13", "1", "V_STATUS", "\"ON\"", NULL,
		    "13|13;1;1;1;2;1|{\"slot\":\"1/1/2\"}" },
		{ GATEWAY_SET, "13", "1", "V_STATUS", "\"off\"", NULL,
		    "13|13;1;1;1;2;0|{\"slot\":\"1/1/2\"}" },
		{ GATEWAY_SET, "13", "1", "V_STATUS", "false", NULL,
		    "13|13;1;1;1;2;0|{\"slot\":\"1/1/2\"}" },
		{ GATEWAY_SET, "13", "1", "V_STATUS", "1", NULL,
		    "13|13;1;1;1;2;1|{\"slot\":\"1/1/2\"}" },
		{ GATEWAY_SET, "13", "1", "V_STATUS", "\"perhaps\"", NULL,
		    "\"perhaps\" is neither on nor off" },
		{ GATEWAY_SET, "13", "1", "V_PERCENTAGE", "42.5", NULL,
		    "13|13;1;1;1;3;42.5|{\"slot\":\"1/1/3\"}" },
		{ GATEWAY_SET, "13", "1", "V_TEXT", "\"a \\\"b\\\"\"", NULL,
		    "13|13;1;1;1;47;a \"b\"|{\"slot\":\"1/1/47\"}" },
		{ GATEWAY_SET, "13", "1", "V_TEXT", "true", NULL,
		    "13|13;1;1;1;47;true|{\"slot\":\"1/1/47\"}" },
		{ GATEWAY_SET, "13", "1", "V_VAR1", "{\"a\":1}", NULL,
		    "13|13;1;1;1;24;{\"a\":1}|{\"slot\":\"1/1/24\"}" },
		{ GATEWAY_SET, "13", "1", "lamp", "true", "{\"ms_type\":\"2\"}",
		    "13|13;1;1;1;2;1|{\"slot\":\"1/1/2\"}" },
		{ GATEWAY_SET, "13", "1", "V_TEXT", "true", "{\"ms_type\":2}",
		    "13|13;1;1;1;2;1|{\"slot\":\"1/1/2\"}" },
		{ GATEWAY_SET, "255", "1", "V_STATUS", "true", NULL,
		    "255|255;1;1;0;2;1|{\"slot\":\"1/1/2\"}" },
		{ GATEWAY_REQUEST, "13", "1", "V_TEMP", NULL, NULL,
		    "13|13;1;2;1;0;|{\"slot\":\"1/2/0\"}" },
		{ GATEWAY_SET, "13", "1", "lamp", "true", "{\"a\":\"2\"}",
		    "\"lamp\" is no value of MySensors like V_STATUS, and the "
		    "field has no label ms_type" },
		{ GATEWAY_SET, "13", "1", "lamp", "true",
		    "{\"ms_type\":\"256\"}",
		    "label ms_type is \"256\" and not a number from 0 to 255" },
		{ GATEWAY_SET, "256", "1", "V_STATUS", "true", NULL,
		    "node is \"256\" and not a number from 0 to 255" },
		{ GATEWAY_SET, "", "1", "V_STATUS", "true", NULL,
		    "node is \"\" and not a number from 0 to 255" },
		{ GATEWAY_SET, "13", "", "V_STATUS", "true", NULL,
		    "source is \"\" and not a number from 0 to 254" },
		{ GATEWAY_SET, "13", "255", "V_STATUS", "true", NULL,
		    "source is \"255\" and not a number from 0 to 254" },
		{ GATEWAY_SET, "13", "1", "V_STATUS", "null", NULL,
		    "there is no value to set" },
		{ GATEWAY_SET, "13", "1", "V_TEXT",
		    "\"12345678901234567890123456\"", NULL,
		    "the payload has 26 bytes; a MySensors message holds 25" },
		{ GATEWAY_SET, "13", "1", "V_TEXT", "\"1\\n7;255;3;0;13;\"",
		    NULL, "the payload has a line end or a NUL" },
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct gateway_payload pay = { .key = str_of(cases[i].key),
			.value = str_of(cases[i].value),
			.labels = str_of(cases[i].labels) };
		struct writer w = { .write = {
					.message = { .type = cases[i].type,
					    .node = str_of(cases[i].node),
					    .source = str_of(cases[i].source),
					    .payloads = &pay,
					    .n_payloads = 1 },
					.done = on_written,
				    } };

		gateway_write(x->g, &w.write);
		assert_string_equal(buf_z(&w.out), cases[i].want);
		arena_fini(&w.write.arena);
		buf_free(&w.out);
	}
}

/* --- what goes up -------------------------------------------------------- */

static void
news_goes_up_and_the_protocol_stays(void **state)
{
	static const char *const news[] = { "7;255;0;0;17;2.3.2",
		"7;1;0;0;6;Hall", "7;1;1;0;0;21.5", "7;2;2;0;2;",
		"7;255;3;0;0;87", "7;255;3;0;2;2.3.2", "7;255;3;0;11;Hall",
		"7;255;3;0;12;1.0", "7;255;3;0;21;0", "7;255;3;0;22;5",
		"7;255;3;0;23;x", "7;255;3;0;31;-70", "7;255;3;0;32;500",
		"7;255;3;0;33;500", "7;2;1;1;2;1", "0;255;0;0;18;2.3.2" };
	static const char *const others[] = { "7;2;2;1;2;", "7;255;3;1;0;87",
		"7;255;3;0;9;hello", "7;255;3;0;24;1", "7;255;3;0;99;1",
		"7;255;4;0;1;00", "7;255;4;0;9;00", "nonsense",
		"255;255;0;0;17;2.3.2", "255;1;1;0;0;1", "7;255;1;0;0;1" };
	struct fixture *x = *state;
	struct buf want = { 0 };
	struct gateway_state s;

	for (size_t i = 0; i < COUNT_OF(news); i++) {
		say(x, news[i]);
		buf_addf(&want, "%.*s|%s|-\n", (int)strcspn(news[i], ";"),
		    news[i], news[i]);
	}
	for (size_t i = 0; i < COUNT_OF(others); i++)
		say(x, others[i]);
	expect_nothing(x);
	assert_string_equal(buf_z(&x->heard), buf_z(&want));
	gateway_state(x->g, &s);
	assert_int_equal(s.bad, 4);
	buf_free(&want);
}

/* --- ids, units, time ---------------------------------------------------- */

static void
ids_are_given_once(void **state)
{
	struct fixture *x = *state;

	x->known[1] = x->known[2] = x->known[4] = true;
	say(x, "5;1;1;0;0;1"); /* heard, and nobody knows it */
	say(x, "255;255;3;0;3;");
	say(x, "255;255;3;0;3;");
	expect(x, "255;255;3;0;4;3");
	expect(x, "255;255;3;0;4;6");
	/* 3 presents itself, 6 is never heard of again */
	say(x, "3;255;0;0;17;2.3.2");
	say(x, "255;255;3;0;3;");
	expect(x, "255;255;3;0;4;7");
	clock_advance(10 * 60 * 1000 + 1000);
	say(x, "255;255;3;0;3;");
	expect(x, "255;255;3;0;4;6");
}

static void
when_all_ids_are_taken_none_is_given(void **state)
{
	struct fixture *x = *state;
	struct gateway_state s;

	for (int i = 1; i < 254; i++)
		x->known[i] = true;
	say(x, "255;255;3;0;3;");
	expect(x, "255;255;3;0;4;254");
	say(x, "255;255;3;0;3;");
	expect_nothing(x);
	gateway_state(x->g, &s);
	assert_int_equal(s.status, GATEWAY_UP);
	assert_non_null(strstr(s.text, "all of 1 to 254 are taken"));
	x->known[9] = false; /* it was deleted */
	say(x, "255;255;3;0;3;");
	expect(x, "255;255;3;0;4;9");
	gateway_state(x->g, &s);
	assert_string_equal(s.text, "connected");
}

static void
two_gateways_share_nothing(void **state)
{
	struct fixture *x = *state, *y;

	setup((void **)&y);
	say(x, "255;255;3;0;3;");
	expect(x, "255;255;3;0;4;1");
	say(y, "255;255;3;0;3;");
	expect(y, "255;255;3;0;4;1");
	say(x, "9;1;1;0;0;1");
	expect_nothing(x);
	expect_nothing(y);
	assert_int_equal(y->heard.len, 0);
	teardown((void **)&y);
}

static void
units_are_told(void **state)
{
	struct fixture *x = *state;

	say(x, "7;255;3;0;6;0");
	expect(x, "7;255;3;0;6;M");
	label(x, "", "ms_imperial_system", "false");
	say(x, "255;255;3;0;6;0");
	expect(x, "255;255;3;0;6;M");
	label(x, "", "ms_imperial_system", "True");
	say(x, "7;255;3;0;6;0");
	expect(x, "7;255;3;0;6;I");
}

static int64_t
told_time(struct fixture *x)
{
	static const char front[] = "7;255;3;0;1;";
	char text[100];
	int64_t at;

	say(x, "7;255;3;0;1;");
	next_line(x, text, sizeof(text));
	assert_memory_equal(text, front, sizeof(front) - 1);
	assert_true(str_to_i64(str_of(text + sizeof(front) - 1), &at));
	return at - clock_now() / 1000;
}

static void
assert_about(int64_t seconds, int64_t want)
{
	if (seconds < want - 5 || seconds > want + 5)
		fail_msg("%" PRId64 " and not %" PRId64, seconds, want);
}

static void
time_is_told_in_the_gateways_zone(void **state)
{
	struct fixture *x = *state;
	time_t now = time(NULL);
	struct gateway_state s;
	struct tm tm;

	localtime_r(&now, &tm);
	assert_about(told_time(x), tm.tm_gmtoff);
	label(x, "", "timezone", "Etc/GMT-5"); /* five hours east */
	assert_about(told_time(x), 5 * 3600);
	label(x, "", "timezone", "Asia/Kathmandu");
	assert_about(told_time(x), 5 * 3600 + 45 * 60);
	gateway_state(x->g, &s);
	assert_string_equal(s.text, "connected");
	label(x, "", "timezone", "../../etc/passwd");
	assert_about(told_time(x), tm.tm_gmtoff);
	gateway_state(x->g, &s);
	assert_string_equal(s.text,
	    "there is no time zone ../../etc/passwd (label timezone): nodes "
	    "are told the machine's time");
}

/* --- sending ------------------------------------------------------------- */

static void
on_sent(void *ctx, enum gateway_outcome outcome, const struct err *err)
{
	struct fixture *x = ctx;

	x->outcomes[outcome]++;
	x->answered++;
	snprintf(x->why, sizeof(x->why), "%s", err != NULL ? err->text : "");
}

static int
send_line(struct fixture *x, const char *line, bool asleep, struct err *err)
{
	char node[8];
	struct gateway_frame f = { .data = str_of(line),
		.extension = STR_NULL };

	snprintf(node, sizeof(node), "%.*s", (int)strcspn(line, ";"), line);
	f.node = str_of(node);
	return gateway_send(x->g, &f, asleep, 0, on_sent, x, err);
}

static void
a_value_is_sent_until_its_echo_comes(void **state)
{
	struct fixture *x = *state;
	struct err err;

	open_it(x, ",\"timeout\":\"10s\"");
	assert_int_equal(send_line(x, "7;2;1;0;2;1", false, &err), 0);
	expect(x, "7;2;1;1;2;1");
	/* others, and one of another kind, are not it */
	say(x, "7;2;1;0;2;1");
	say(x, "7;3;1;1;2;1");
	say(x, "8;2;1;1;2;1");
	say(x, "7;2;1;1;3;1");
	expect_nothing(x);
	assert_int_equal(x->answered, 0);
	say(x, "7;2;1;1;2;1");
	until_answered(x, 1);
	assert_int_equal(x->outcomes[GATEWAY_SENT], 1);
	until_has(x, &x->heard, "7|7;2;1;1;2;1|-\n"); /* a value, too */
}

static void
what_nobody_acknowledges_fails(void **state)
{
	struct fixture *x = *state;
	struct err err;
	int64_t began;

	open_it(x, ",\"timeout\":\"50ms\",\"retryCount\":4");
	began = now_ms();
	assert_int_equal(send_line(x, "7;2;1;0;2;1", false, &err), 0);
	assert_int_equal(send_line(x, "8;2;1;0;2;0", false, &err), 0);
	for (int i = 0; i < 4; i++)
		expect(x, "7;2;1;1;2;1");
	expect(x, "8;2;1;1;2;0");
	assert_true(now_ms() - began >= 200);
	say(x, "8;2;1;1;2;0");
	until_answered(x, 2);
	assert_int_equal(x->outcomes[GATEWAY_FAILED], 1);
	assert_int_equal(x->outcomes[GATEWAY_SENT], 1);
}

static void
why_it_failed_is_said(void **state)
{
	struct fixture *x = *state;

	open_it(x, ",\"timeout\":\"10ms\"");
	assert_int_equal(send_line(x, "7;2;2;0;2;", false, NULL), 0);
	until_answered(x, 1);
	assert_string_equal(
	    x->why, "node 7 has not acknowledged it in 3 attempts");
}

static void
not_everything_is_acknowledged(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(send_line(x, "255;2;1;1;2;1", false, NULL), 0);
	expect(x, "255;2;1;0;2;1");
	assert_int_equal(send_line(x, "7;255;3;0;13;", false, NULL), 0);
	expect(x, "7;255;3;0;13;");
	assert_int_equal(send_line(x, "7;255;4;0;1;00", false, NULL), 0);
	expect(x, "7;255;4;0;1;00");
	until_answered(x, 3);
	assert_int_equal(x->outcomes[GATEWAY_SENT], 3);
	/* but who asks for it gets it */
	assert_int_equal(send_line(x, "7;255;3;1;13;", false, NULL), 0);
	expect(x, "7;255;3;1;13;");
	say(x, "7;255;3;1;13;");
	until_answered(x, 4);
	assert_int_equal(x->outcomes[GATEWAY_SENT], 4);
}

static void
answers_are_acknowledged_when_wanted(void **state)
{
	struct fixture *x = *state;

	open_it(x,
	    ",\"timeout\":\"40ms\",\"retryCount\":\"2\","
	    "\"enableInternalMessageAck\":true,"
	    "\"enableStreamMessageAck\":true");
	say(x, "7;255;3;0;6;0");
	expect(x, "7;255;3;1;6;M");
	expect(x, "7;255;3;1;6;M"); /* no echo: again, and no more */
	say(x, "255;255;3;0;3;");
	expect(x, "255;255;3;0;4;1");
	say(x, "8;255;3;0;6;0");
	expect(x, "8;255;3;1;6;M");
	say(x, "8;255;3;1;6;M");
	assert_int_equal(send_line(x, "7;255;4;0;1;00", false, NULL), 0);
	expect(x, "7;255;4;1;1;00");
	say(x, "7;255;4;1;1;00");
	until_answered(x, 1);
	assert_int_equal(x->outcomes[GATEWAY_SENT], 1);
}

static void
what_is_no_message_is_not_sent(void **state)
{
	static const struct {
		const char *node, *line, *why;
	} bad[] = {
		{ "7", "hello", "1 parts and not six with \";\" between them" },
		{ "8", "7;2;1;0;2;1",
		    "a message to node 7 can not go to node 8" },
		{ "7", "7;2;1;0;2;12345678901234567890123456",
		    "the payload has 26 bytes; a MySensors message holds 25" },
		{ "7", "7;2;1;0;2;1\n8;2;1;0;2;1",
		    "the payload has a line end or a NUL" },
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct gateway_frame f = { str_of(bad[i].node),
			str_of(bad[i].line), STR_NULL };
		struct err err;

		assert_int_equal(
		    gateway_send(x->g, &f, false, 0, on_sent, x, &err),
		    ERR_PARAM);
		assert_string_equal(err.text, bad[i].why);
	}
	expect_nothing(x);
	assert_int_equal(x->answered, 0);
}

static void
a_lost_link_loses_no_message(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(send_line(x, "7;2;1;0;2;1", false, NULL), 0);
	expect(x, "7;2;1;1;2;1");
	close(x->peer);
	x->peer = -1;
	expect(x, "7;2;1;1;2;1"); /* on the next connection */
	say(x, "7;2;1;1;2;1");
	until_answered(x, 1);
	assert_int_equal(x->outcomes[GATEWAY_SENT], 1);
}

/* --- sleep --------------------------------------------------------------- */

static void
sleepers_get_it_when_they_are_awake(void **state)
{
	static const char *const signs[] = { "7;255;3;0;32;500",
		"7;255;3;0;22;1", "7;255;3;0;21;0" };
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT_OF(signs); i++) {
		assert_int_equal(send_line(x, "7;2;1;0;2;1", true, NULL), 0);
		say(x, "7;1;1;0;0;20");
		say(x, "8;255;3;0;32;500");
		say(x, "7;255;3;0;33;500");
		expect_nothing(x);
		say(x, signs[i]);
		expect(x, "7;2;1;1;2;1");
		say(x, "7;2;1;1;2;1");
		until_answered(x, (int)i + 1);
		assert_int_equal(x->outcomes[GATEWAY_SENT], i + 1);
	}
}

static void
who_says_that_it_sleeps_is_noted_once(void **state)
{
	struct fixture *x = *state;
	const char *want = "7|{\"sleep_node\":\"true\",\"ms_smart_sleep_node\":"
			   "\"true\"}|-\n";

	say(x, "7;255;3;0;32;500");
	say(x, "7;255;3;0;33;500");
	say(x, "7;255;3;0;32;500");
	expect_nothing(x);
	assert_string_equal(buf_z(&x->noted), want);
}

/* --- actions ------------------------------------------------------------- */

static void
actions_are_done(void **state)
{
	static const struct {
		const char *node, *action, *line;
	} cases[] = {
		{ "", "discover_nodes", "255;255;3;0;20;" },
		{ "7", "heartbeat_request", "7;255;3;0;18;" },
		{ "7", "reboot", "7;255;3;0;13;" },
		{ "0", "refresh_node_info", "0;255;3;0;19;" },
		{ "7", "reset", "7;255;3;0;13;" },
	};
	static const struct {
		const char *node, *action;
		int code;
	} bad[] = {
		{ "7", "discover_nodes", ERR_PARAM },
		{ "", "reboot", ERR_PARAM },
		{ "255", "reboot", ERR_PARAM },
		{ "x", "reset", ERR_PARAM },
		{ "7", "dance", ERR_NOT_FOUND },
		{ "7", "firmware_update", ERR_PARAM },
	};
	struct fixture *x = *state;
	struct err err;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(gateway_act(x->g, str_of(cases[i].node),
				     str_of(cases[i].action), &err),
		    0);
		expect(x, cases[i].line);
	}
	assert_string_equal(
	    buf_z(&x->noted), "7|{\"ms_erase_eeprom\":\"true\"}|-\n");
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(gateway_act(x->g, str_of(bad[i].node),
				     str_of(bad[i].action), &err),
		    bad[i].code);
	gateway_stop(x->g);
	assert_int_equal(
	    gateway_act(x->g, STR("7"), STR("reboot"), &err), ERR_CLOSED);
}

static void
an_action_waits_for_a_sleeper(void **state)
{
	struct fixture *x = *state;

	label(x, "7", "sleep_node", "true");
	assert_int_equal(gateway_act(x->g, STR("7"), STR("reboot"), NULL), 0);
	expect_nothing(x);
	say(x, "7;255;3;0;32;500");
	expect(x, "7;255;3;0;13;");
	label(x, "7", "sleep_queue_disabled", "true");
	assert_int_equal(gateway_act(x->g, STR("7"), STR("reboot"), NULL), 0);
	expect(x, "7;255;3;0;13;");
}

static void
nodes_are_discovered_now_and_then(void **state)
{
	struct fixture *x = *state;

	clock_advance(14 * 60 * 1000);
	expect_nothing(x);
	for (int i = 0; i < 3; i++) {
		clock_advance(15 * 60 * 1000);
		expect(x, "255;255;3;0;20;");
	}
	say(x, "0;255;3;0;14;Gateway startup complete.");
	expect(x, "255;255;3;0;20;");
	open_it(x, ",\"discoverInterval\":\"1h\"");
	clock_advance(59 * 60 * 1000);
	expect_nothing(x);
	clock_advance(2 * 60 * 1000);
	expect(x, "255;255;3;0;20;");
	open_it(x, ",\"discoverInterval\":\"0\"");
	clock_advance((int64_t)24 * 3600 * 1000);
	expect_nothing(x);
}

static void
wrong_settings_are_told(void **state)
{
	static const struct {
		const char *more, *why;
	} bad[] = {
		{ ",\"timeout\":\"9ms\"", "timeout: must be at least 10ms" },
		{ ",\"timeout\":\"11s\"", "at most 10s" },
		{ ",\"timeout\":\"soon\"", "timeout: a duration" },
		{ ",\"retryCount\":0", "retryCount" },
		{ ",\"retryCount\":21", "retryCount" },
		{ ",\"discoverInterval\":\"1ms\"", "discoverInterval" },
		{ ",\"idReservation\":\"0s\"", "idReservation" },
	};
	struct fixture *x = *state;

	gateway_close(x->g);
	x->g = NULL;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct err err = { 0 };

		assert_int_equal(try_open(x, bad[i].more, &err), ERR_PARAM);
		if (strstr(err.text, bad[i].why) == NULL)
			fail_msg("%s: %s", bad[i].more, err.text);
	}
}

/* --- by our own MQTT server ---------------------------------------------- */

static gateway_heard *listener;
static void *listener_ctx;

static int
on_publish(void *ctx, struct str topic, struct str payload, uint8_t qos,
    bool retain, struct err *err)
{
	struct fixture *x = ctx;

	(void)qos;
	(void)err;
	assert_false(retain);
	buf_addf(&x->got, STR_FMT " " STR_FMT "\n", STR_ARG(topic),
	    STR_ARG(payload));
	return 0;
}

static void *
on_listen(void *ctx, struct str filter, gateway_heard *heard, void *heard_ctx,
    struct err *err)
{
	(void)err;
	assert_str(filter, "home/out/#");
	listener = heard;
	listener_ctx = heard_ctx;
	return ctx;
}

static void
on_unlisten(void *ctx, void *handle)
{
	assert_ptr_equal(ctx, handle);
	listener = NULL;
}

static void
the_protocol_is_spoken_over_mqtt(void **state)
{
	struct fixture *x = *state;
	struct gateway_conf conf = { .name = "radio",
		.reconnect_ms = 1000,
		.provider = STR("{\"type\":\"MySensors_V2\",\"protocol\":{"
				"\"type\":\"mqtt\",\"subscribe\":"
				"\"home/out/#\",\"publish\":\"home/in\"}}") };
	struct err err;

	gateway_close(x->g);
	x->host.publish = on_publish;
	x->host.listen = on_listen;
	x->host.unlisten = on_unlisten;
	assert_int_equal(gateway_open(&conf, &x->host, &x->g, &err), 0);
	gateway_start(x->g);
	while (listener == NULL)
		turn(x);
	listener(
	    listener_ctx, STR("home/out/255/255/3/0/3"), STR(""), false, 0);
	expect(x, "home/in/255/255/3/0/4 1");
	/* one that was kept by the server was answered long ago */
	listener(listener_ctx, STR("home/out/255/255/3/0/3"), STR(""), true, 0);
	listener(listener_ctx, STR("home/out/7/255/3/0/6"), STR("0"), false, 0);
	expect(x, "home/in/7/255/3/0/6 M");
	listener(listener_ctx, STR("home/out/7/1/1/0/0"), STR("21.5"), true, 0);
	assert_string_equal(buf_z(&x->heard),
	    "7|7;1;1;0;0;21.5|{\"topic\":\"home/out/7/1/1/0/0\"}\n");
	assert_int_equal(send_line(x, "7;2;1;0;2;1", false, &err), 0);
	expect(x, "home/in/7/2/1/1/2 1");
	listener(listener_ctx, STR("home/out/7/2/1/1/2"), STR("1"), false, 0);
	until_answered(x, 1);
	assert_int_equal(x->outcomes[GATEWAY_SENT], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_are_read),
		TEST(americans_have_fahrenheit),
		TEST(messages_are_written),
		TEST(news_goes_up_and_the_protocol_stays),
		TEST(ids_are_given_once),
		TEST(when_all_ids_are_taken_none_is_given),
		TEST(two_gateways_share_nothing),
		TEST(units_are_told),
		TEST(time_is_told_in_the_gateways_zone),
		TEST(a_value_is_sent_until_its_echo_comes),
		TEST(what_nobody_acknowledges_fails),
		TEST(why_it_failed_is_said),
		TEST(not_everything_is_acknowledged),
		TEST(answers_are_acknowledged_when_wanted),
		TEST(what_is_no_message_is_not_sent),
		TEST(a_lost_link_loses_no_message),
		TEST(sleepers_get_it_when_they_are_awake),
		TEST(who_says_that_it_sleeps_is_noted_once),
		TEST(actions_are_done),
		TEST(an_action_waits_for_a_sleeper),
		TEST(nodes_are_discovered_now_and_then),
		TEST(wrong_settings_are_told),
		TEST(the_protocol_is_spoken_over_mqtt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * codec/mysensors_test.c - every row of the tables, lines as they are heard,
 * and what is none.
 */
#include "base/test.h"

#include "codec/mysensors.h"

#include "base/base.h"

#include <stdio.h>
#include <string.h>

/* --- tables -------------------------------------------------------------- */

/* Written as people list them: the place of a name is its number. */
static const char children[] =
    "DOOR MOTION SMOKE BINARY DIMMER COVER TEMP HUM BARO WIND RAIN UV WEIGHT "
    "POWER HEATER DISTANCE LIGHT_LEVEL ARDUINO_NODE ARDUINO_REPEATER_NODE LOCK "
    "IR WATER AIR_QUALITY CUSTOM DUST SCENE_CONTROLLER RGB_LIGHT RGBW_LIGHT "
    "COLOR_SENSOR HVAC MULTIMETER SPRINKLER WATER_LEAK SOUND VIBRATION "
    "MOISTURE INFO GAS GPS WATER_QUALITY";
/* f: gauge_float, b: binary, s: string, -: none; behind it the unit. */
static const char values[] =
    "TEMP=f°C HUM=f% STATUS=b PERCENTAGE=f% PRESSURE=f FORECAST=s RAIN=f "
    "RAINRATE=f WIND=f GUST=f DIRECTION=f UV=f WEIGHT=f DISTANCE=f IMPEDANCE=f "
    "ARMED=b TRIPPED=b WATT=f KWH=f SCENE_ON=- SCENE_OFF=- HVAC_FLOW_STATE=f "
    "HVAC_SPEED=f LIGHT_LEVEL=f% VAR1=- VAR2=- VAR3=- VAR4=- VAR5=- UP=b "
    "DOWN=b STOP=b IR_SEND=- IR_RECEIVE=- FLOW=f VOLUME=f LOCK_STATUS=b "
    "LEVEL=f VOLTAGE=fV CURRENT=fA RGB=- RGBW=- ID=- UNIT_PREFIX=- "
    "HVAC_SETPOINT_COOL=f HVAC_SETPOINT_HEAT=f HVAC_FLOW_MODE=- TEXT=- "
    "CUSTOM=- POSITION=- IR_RECORD=- PH=f ORP=f EC=f VAR=f VA=f "
    "POWER_FACTOR=f";
static const char internals[] =
    "BATTERY_LEVEL TIME VERSION ID_REQUEST ID_RESPONSE INCLUSION_MODE CONFIG "
    "FIND_PARENT FIND_PARENT_RESPONSE LOG_MESSAGE CHILDREN SKETCH_NAME "
    "SKETCH_VERSION REBOOT GATEWAY_READY SIGNING_PRESENTATION NONCE_REQUEST "
    "NONCE_RESPONSE HEARTBEAT_REQUEST PRESENTATION DISCOVER_REQUEST "
    "DISCOVER_RESPONSE HEARTBEAT_RESPONSE LOCKED PING PONG "
    "REGISTRATION_REQUEST REGISTRATION_RESPONSE DEBUG SIGNAL_REPORT_REQUEST "
    "SIGNAL_REPORT_REVERSE SIGNAL_REPORT_RESPONSE PRE_SLEEP_NOTIFICATION "
    "POST_SLEEP_NOTIFICATION";
static const char streams[] =
    "FIRMWARE_CONFIG_REQUEST FIRMWARE_CONFIG_RESPONSE FIRMWARE_REQUEST "
    "FIRMWARE_RESPONSE";

static void
check_names(const char *list, const char *prefix, const char *(*name)(uint8_t),
    unsigned n)
{
	struct str rest = str_of(list);
	char want[60];
	unsigned i;

	for (i = 0; rest.ptr != NULL; i++) {
		struct str word = str_cut(&rest, ' ');

		snprintf(
		    want, sizeof(want), "%s" STR_FMT, prefix, STR_ARG(word));
		assert_string_equal(name((uint8_t)i), want);
	}
	assert_int_equal(i, n);
}

static void
names_are_those_of_the_protocol(void **state)
{
	(void)state;
	check_names(children, "S_", mysensors_child_name, MYSENSORS_CHILDREN);
	check_names(
	    internals, "I_", mysensors_internal_name, MYSENSORS_INTERNALS);
	check_names(streams, "ST_", mysensors_stream_name, MYSENSORS_STREAMS);
	assert_string_equal(mysensors_child_name(40), "S_CUSTOM");
	assert_string_equal(mysensors_child_name(255), "S_CUSTOM");
	assert_null(mysensors_internal_name(34));
	assert_null(mysensors_stream_name(4));
}

static void
values_have_type_and_unit(void **state)
{
	static const char *const types[] = { "fgauge_float", "bbinary",
		"sstring", "-none" };
	struct str rest = str_of(values);
	int i;

	(void)state;
	for (i = 0; rest.ptr != NULL; i++) {
		struct str unit = str_cut(&rest, ' ');
		struct str name = str_cut(&unit, '=');
		const struct mysensors_value *v =
		    mysensors_value_of((uint8_t)i);
		size_t t = 0;

		assert_true(str_eqz(name, v->name + 2));
		assert_memory_equal(v->name, "V_", 2);
		while (t < COUNT_OF(types) && types[t][0] != unit.ptr[0])
			t++;
		assert_string_equal(v->metric_type, types[t] + 1);
		unit.ptr++;
		unit.len--;
		assert_true(
		    unit.len == 0 ? v->unit == NULL : str_eqz(unit, v->unit));
		assert_int_equal(mysensors_value_type(str_of(v->name)), i);
	}
	assert_int_equal(i, MYSENSORS_VALUES);
	assert_string_equal(mysensors_value_of(57)->name, "V_CUSTOM");
	assert_string_equal(mysensors_value_of(255)->name, "V_CUSTOM");
	assert_int_equal(mysensors_value_type(STR("v_status")), V_STATUS);
	assert_int_equal(mysensors_value_type(STR("STATUS")), -1);
	assert_int_equal(mysensors_value_type(STR("")), -1);
}

/* --- messages ------------------------------------------------------------ */

static const struct {
	const char *line, *topic;
	struct mysensors_message m;
} cases[] = {
	{ "255;255;3;0;3;", "255/255/3/0/3",
	    { 255, 255, MYSENSORS_INTERNAL, false, I_ID_REQUEST, { "", 0 } } },
	{ "255;255;3;0;4;7", "255/255/3/0/4",
	    { 255, 255, MYSENSORS_INTERNAL, false, I_ID_RESPONSE,
		{ "7", 1 } } },
	{ "7;255;0;0;17;2.3.2", "7/255/0/0/17",
	    { 7, 255, MYSENSORS_PRESENTATION, false, 17, { "2.3.2", 5 } } },
	{ "7;1;0;0;6;Hall", "7/1/0/0/6",
	    { 7, 1, MYSENSORS_PRESENTATION, false, 6, { "Hall", 4 } } },
	{ "7;1;1;0;0;21.5", "7/1/1/0/0",
	    { 7, 1, MYSENSORS_SET, false, V_TEMP, { "21.5", 4 } } },
	{ "7;255;3;0;6;M", "7/255/3/0/6",
	    { 7, 255, MYSENSORS_INTERNAL, false, I_CONFIG, { "M", 1 } } },
	{ "7;2;1;1;2;1", "7/2/1/1/2",
	    { 7, 2, MYSENSORS_SET, true, V_STATUS, { "1", 1 } } },
	{ "0;0;2;0;255;", "0/0/2/0/255",
	    { 0, 0, MYSENSORS_REQUEST, false, 255, { "", 0 } } },
	{ "254;9;1;0;49;55.7;13.0;18", "254/9/1/0/49",
	    { 254, 9, MYSENSORS_SET, false, 49, { "55.7;13.0;18", 12 } } },
	{ "7;255;4;0;0;01000100280261C40103", "7/255/4/0/0",
	    { 7, 255, MYSENSORS_STREAM, false, ST_FIRMWARE_CONFIG_REQUEST,
		{ "01000100280261C40103", 20 } } },
};

static void
assert_same(
    const struct mysensors_message *a, const struct mysensors_message *b)
{
	assert_int_equal(a->node, b->node);
	assert_int_equal(a->child, b->child);
	assert_int_equal(a->command, b->command);
	assert_int_equal(a->ack, b->ack);
	assert_int_equal(a->type, b->type);
	assert_true(str_eq(a->payload, b->payload));
}

static void
lines_become_messages_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct mysensors_message m;
		struct buf out = { 0 };
		struct err err;

		if (mysensors_from_line(str_of(cases[i].line), &m, &err) != 0)
			fail_msg("%s: %s", cases[i].line, err.text);
		assert_same(&m, &cases[i].m);
		mysensors_to_line(&out, &m);
		assert_string_equal(buf_z(&out), cases[i].line);
		buf_free(&out);
	}
}

static void
topics_become_messages_and_back(void **state)
{
	static const char *const prefixes[] = { "", "out/", "a/7/1/1/0/" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		for (size_t k = 0; k < COUNT_OF(prefixes); k++) {
			struct mysensors_message m;
			struct buf topic = { 0 };
			struct err err;

			buf_addz(&topic, prefixes[k]);
			buf_addz(&topic, cases[i].topic);
			if (mysensors_from_topic(buf_str(&topic),
				cases[i].m.payload, &m, &err) != 0)
				fail_msg("%s: %s", buf_z(&topic), err.text);
			assert_same(&m, &cases[i].m);
			buf_clear(&topic);
			mysensors_to_topic(&topic, &m);
			assert_string_equal(buf_z(&topic), cases[i].topic);
			buf_free(&topic);
		}
}

static void
a_carriage_return_is_no_payload(void **state)
{
	struct mysensors_message m;

	(void)state;
	assert_int_equal(
	    mysensors_from_line(STR("7;1;1;0;0;21.5\r"), &m, NULL), 0);
	assert_str(m.payload, "21.5");
	assert_int_equal(mysensors_from_line(STR("7;1;1;0;0;\r"), &m, NULL), 0);
	assert_str(m.payload, "");
	assert_int_equal(
	    mysensors_from_topic(STR("7/1/1/0/0"), STR_NULL, &m, NULL), 0);
	assert_str(m.payload, "");
}

static void
what_is_no_message_is_refused(void **state)
{
	static const struct {
		const char *line, *why;
	} bad[] = {
		{ "", "1 parts and not six with \";\" between them" },
		{ "Hello", "1 parts and not six with \";\" between them" },
		{ "7;1;1;0;0", "5 parts and not six with \";\" between them" },
		{ "256;1;1;0;0;1",
		    "node is \"256\" and not a number from 0 to 255" },
		{ "7;256;1;0;0;1",
		    "child is \"256\" and not a number from 0 to 255" },
		{ "7;1;5;0;0;1",
		    "command is \"5\" and not a number from 0 to 4" },
		{ "7;1;1;2;0;1", "ack is \"2\" and not a number from 0 to 1" },
		{ "7;1;1;0;256;1",
		    "type is \"256\" and not a number from 0 to 255" },
		{ ";1;1;0;0;1", "node is \"\" and not a number from 0 to 255" },
		{ "-1;1;1;0;0;1",
		    "node is \"-1\" and not a number from 0 to 255" },
		{ " 7;1;1;0;0;1",
		    "node is \" 7\" and not a number from 0 to 255" },
		{ "0007;1;1;0;0;1",
		    "node is \"0007\" and not a number from 0 to 255" },
		{ "7;1;1;0;0;a\rb", "the payload has a line end or a NUL" },
		{ "7;1;1;0;0;a\nb", "the payload has a line end or a NUL" },
	};
	static const struct {
		const char *topic, *why;
	} topics[] = {
		{ "", "a topic of 1 levels and not five or more" },
		{ "1/1/0/0", "a topic of 4 levels and not five or more" },
		{ "a/1/1/0/0", "node is \"a\" and not a number from 0 to 255" },
		{ "7/1/1/0/0/", "type is \"\" and not a number from 0 to 255" },
	};
	struct mysensors_message m;
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(
		    mysensors_from_line(str_of(bad[i].line), &m, &err),
		    ERR_PROTO);
		assert_string_equal(err.text, bad[i].why);
	}
	for (size_t i = 0; i < COUNT_OF(topics); i++) {
		assert_int_equal(mysensors_from_topic(str_of(topics[i].topic),
				     STR("1"), &m, &err),
		    ERR_PROTO);
		assert_string_equal(err.text, topics[i].why);
	}
	assert_int_equal(mysensors_from_topic(STR("7/1/1/0/0"),
			     ((struct str){ "a\0b", 3 }), &m, &err),
	    ERR_PROTO);
}

static void
only_what_fits_may_be_sent(void **state)
{
	struct mysensors_message m = { 7, 1, MYSENSORS_SET, true, 47,
		STR("1234567890123456789012345") };
	struct err err;

	(void)state;
	assert_int_equal(mysensors_can_send(&m, &err), 0);
	m.payload = STR("12345678901234567890123456");
	assert_int_equal(mysensors_can_send(&m, &err), ERR_PARAM);
	assert_string_equal(
	    err.text, "the payload has 26 bytes; a MySensors message holds 25");
	m.command = MYSENSORS_STREAM;
	assert_int_equal(mysensors_can_send(&m, &err), 0);
	m.command = MYSENSORS_SET;
	m.payload = STR("1\n7;255;3;0;13;");
	assert_int_equal(mysensors_can_send(&m, &err), ERR_PARAM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_the_protocol),
		cmocka_unit_test(values_have_type_and_unit),
		cmocka_unit_test(lines_become_messages_and_back),
		cmocka_unit_test(topics_become_messages_and_back),
		cmocka_unit_test(a_carriage_return_is_no_payload),
		cmocka_unit_test(what_is_no_message_is_refused),
		cmocka_unit_test(only_what_fits_may_be_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * codec/cayenne_test.c - payloads of the format's own description, and others.
 */
#include "base/test.h"

#include "codec/cayenne.h"

#include "base/base.h"

#include <math.h>
#include <string.h>

static const struct {
	const char *hex, *json;
} cases[] = {
	{ "", "{}" },
	{ "03670110056700ff",
	    "{\"temperature_3\":27.2,\"temperature_5\":25.5}" },
	{ "0167ffd7", "{\"temperature_1\":-4.1}" },
	{ "067104d2fb2e0000",
	    "{\"accelerometer_6\":{\"x\":1.234,\"y\":-1.234,\"z\":0}}" },
	{ "018806765ff2960a0003e8",
	    "{\"gps_1\":{\"latitude\":42.3519,\"longitude\":-87.9094,"
	    "\"altitude\":10}}" },
	{ "000001", "{\"digital_in_0\":1}" },
	{ "ff0164", "{\"digital_out_255\":100}" },
	{ "0102ff9c0203007b", "{\"analog_in_1\":-1,\"analog_out_2\":1.23}" },
	{ "0164ffffffff", "{\"generic_1\":4294967295}" },
	{ "0165ffff", "{\"illuminance_1\":65535}" },
	{ "016601026600", "{\"presence_1\":true,\"presence_2\":false}" },
	{ "016850", "{\"humidity_1\":40}" },
	{ "016851", "{\"humidity_1\":40.5}" },
	{ "01732794", "{\"barometer_1\":1013.2}" },
	{ "0174014a", "{\"voltage_1\":3.3}" },
	{ "017505dc", "{\"current_1\":1.5}" },
	{ "017600000032", "{\"frequency_1\":50}" },
	{ "017863", "{\"percentage_1\":99}" },
	{ "0179fff6", "{\"altitude_1\":-10}" },
	{ "017d01f4", "{\"concentration_1\":500}" },
	{ "018003e8", "{\"power_1\":1000}" },
	{ "0182000003e9", "{\"distance_1\":1.001}" },
	{ "018300000001", "{\"energy_1\":0.001}" },
	{ "0184010e", "{\"direction_1\":270}" },
	{ "018565920080", "{\"time_1\":1704067200}" },
	{ "0186006400c8ff38", "{\"gyrometer_1\":{\"x\":1,\"y\":2,\"z\":-2}}" },
	{ "018710ff00", "{\"colour_1\":{\"r\":16,\"g\":255,\"b\":0}}" },
	{ "018e01", "{\"switch_1\":1}" },
};

static void
payloads_become_json_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf bytes = { 0 }, json = { 0 }, again = { 0 };
		struct err err;

		assert_true(hex_decode(&bytes, str_of(cases[i].hex)));
		if (cayenne_decode(buf_str(&bytes), &json, &err) != 0)
			fail_msg("%s: %s", cases[i].hex, err.text);
		assert_string_equal(buf_z(&json), cases[i].json);
		if (cayenne_encode(buf_str(&json), &again, &err) != 0)
			fail_msg("%s: %s", cases[i].json, err.text);
		assert_int_equal(again.len, bytes.len);
		if (bytes.len > 0)
			assert_memory_equal(again.ptr, bytes.ptr, bytes.len);
		buf_free(&bytes);
		buf_free(&json);
		buf_free(&again);
	}
}

static void
what_is_no_payload_is_refused(void **state)
{
	static const struct {
		const char *hex, *why;
	} bad[] = {
		{ "01", "a channel and no type at the end" },
		{ "0137", "type 55 of channel 1 is not known" },
		{ "016701", "temperature of channel 1 has 2 bytes, not 1" },
		{ "0188000000000000", "gps of channel 1 has 9 bytes, not 6" },
		{ "0168500168", "humidity of channel 1 has 1 bytes, not 0" },
		{ "0168500268500168ff", "humidity of channel 1 twice" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct buf bytes = { 0 }, json = { 0 };
		struct err err;

		buf_addz(&json, "before");
		assert_true(hex_decode(&bytes, str_of(bad[i].hex)));
		assert_int_equal(
		    cayenne_decode(buf_str(&bytes), &json, &err), ERR_PROTO);
		assert_string_equal(err.text, bad[i].why);
		assert_string_equal(buf_z(&json), "before");
		buf_free(&bytes);
		buf_free(&json);
	}
}

static void
what_does_not_fit_is_refused(void **state)
{
	static const struct {
		const char *json, *why;
	} bad[] = {
		{ "{\"temperature_1\":4000}",
		    "temperature of channel 1: 4000 is not from -3276.8 to "
		    "3276.7" },
		{ "{\"humidity_1\":-1}",
		    "humidity of channel 1: -1 is not from 0 to 127.5" },
		{ "{\"temperature\":1}",
		    "\"temperature\" is no type and channel" },
		{ "{\"temperature_256\":1}",
		    "\"temperature_256\" is no type and channel" },
		{ "{\"warmth_1\":1}", "\"warmth_1\" is no type and channel" },
	};
	static const char *const no_json[] = { "", "[]",
		"{\"switch_1\":\"on\"}", "{\"gps_1\":5}",
		"{\"gps_1\":{\"latitude\":1}}",
		"{\"colour_1\":{\"r\":1,\"g\":2,\"b\":3,\"a\":4}}",
		"{\"switch_1\":1" };
	struct buf bytes = { 0 };
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(
		    cayenne_encode(str_of(bad[i].json), &bytes, &err),
		    ERR_PARAM);
		assert_string_equal(err.text, bad[i].why);
		assert_int_equal(bytes.len, 0);
	}
	for (size_t i = 0; i < COUNT_OF(no_json); i++) {
		assert_int_equal(
		    cayenne_encode(str_of(no_json[i]), &bytes, &err),
		    ERR_PARAM);
		assert_int_equal(bytes.len, 0);
	}
	assert_int_equal(
	    cayenne_encode(STR("{\"digital_out_1\":true}"), &bytes, &err), 0);
	assert_memory_equal(bytes.ptr, "\1\1\1", 3);
	buf_free(&bytes);
}

static void
no_number_is_no_value(void **state)
{
	struct cayenne_value v = { .type = cayenne_types };
	struct buf bytes = { 0 };

	(void)state;
	v.parts[0] = NAN;
	assert_int_equal(cayenne_put(&bytes, &v, NULL), ERR_PARAM);
	v.parts[0] = INFINITY;
	assert_int_equal(cayenne_put(&bytes, &v, NULL), ERR_PARAM);
	assert_int_equal(bytes.len, 0);
	buf_free(&bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(payloads_become_json_and_back),
		cmocka_unit_test(what_is_no_payload_is_refused),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(no_number_is_no_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

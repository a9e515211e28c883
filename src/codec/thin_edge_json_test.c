/*
 * codec/thin_edge_json_test.c - measurements of both generations: what is
 * heard of a message, and what is said of one that is none.
 */
#include "base/test.h"

#include "base/base.h"
#include "codec/thin_edge_json.h"

#include <inttypes.h>
#include <string.h>

/* --- a transcript -------------------------------------------------------- */

static struct arena arena;
static struct buf heard;

static void
on_time(void *owner, const struct thin_edge_time *t)
{
	(void)owner;
	buf_addf(&heard, "time %" PRId64 ".%09u", t->seconds, t->nanos);
	if (t->unix_time)
		buf_addz(&heard, " unix");
	else
		buf_addf(&heard, " %+d", t->offset_s / 60);
	buf_addz(&heard, ";");
}

static void
on_type(void *owner, struct str type)
{
	(void)owner;
	buf_addf(&heard, "type " STR_FMT ";", STR_ARG(type));
}

static void
on_open(void *owner, struct str group)
{
	(void)owner;
	buf_addf(&heard, STR_FMT "{", STR_ARG(group));
}

static void
on_close(void *owner, struct str group)
{
	(void)owner;
	(void)group;
	buf_addz(&heard, "}");
}

static void
on_value(void *owner, struct str group, struct str name, struct str text,
    double number)
{
	(void)owner;
	if (group.ptr != NULL)
		buf_addf(&heard, STR_FMT ".", STR_ARG(group));
	buf_addf(&heard, STR_FMT "=" STR_FMT "(%.17g);", STR_ARG(name),
	    STR_ARG(text), number);
}

static void
on_properties(void *owner, struct str json)
{
	(void)owner;
	buf_addf(&heard, "properties " STR_FMT ";", STR_ARG(json));
}

static void
on_ignored(void *owner, struct str name)
{
	(void)owner;
	buf_addf(&heard, "ignored " STR_FMT ";", STR_ARG(name));
}

static const struct thin_edge_visitor visitor = { on_time, on_type, on_open,
	on_close, on_value, on_properties, on_ignored };

/* What was heard, or "! " and the error. */
static const char *
told(struct str text, unsigned flags, size_t max)
{
	struct err err;

	arena_clear(&arena);
	buf_clear(&heard);
	if (thin_edge_json_read(
		text, flags, max, &arena, &visitor, NULL, &err) != 0) {
		assert_int_equal(heard.len, 0); /* nothing of a bad one */
		buf_addf(&heard, "! %s", err.text);
	}
	return buf_z(&heard);
}

struct example {
	const char *text, *heard;
};

static void
check(const struct example *all, unsigned flags)
{
	for (; all->text != NULL; all++) {
		const char *got = told(str_of(all->text), flags, 0);

		if (strcmp(got, all->heard) != 0)
			fail_msg("%s\nwanted %s\ngot    %s", all->text,
			    all->heard, got);
	}
}

/* --- what is good -------------------------------------------------------- */

/* The examples of the documents. */
static const struct example documents[] = {
	{ "{\n    \"temperature\": 25\n}", "temperature=25(25);" },
	{ "{\"three_phase_current\":{\"L1\":9.5,\"L2\":10.3,\"L3\":8.8}}",
	    "three_phase_current{three_phase_current.L1=9.5(9.5);"
	    "three_phase_current.L2=10.3(10.300000000000001);"
	    "three_phase_current.L3=8.8(8.8000000000000007);}" },
	{ "{\"temperature\": 25, \"three_phase_current\": {\"L1\": 9.5},"
	  "\"pressure\": 98}",
	    "temperature=25(25);three_phase_current{"
	    "three_phase_current.L1=9.5(9.5);}pressure=98(98);" },
	{ "{\"time\": \"2020-10-15T05:30:47+00:00\", \"temperature\": 25,"
	  "\"location\": {\"latitude\": 32.54, \"longitude\": -117.67,"
	  "\"altitude\": 98.6}, \"pressure\": 98}",
	    "time 1602739847.000000000 +0;temperature=25(25);location{"
	    "location.latitude=32.54(32.539999999999999);"
	    "location.longitude=-117.67(-117.67);"
	    "location.altitude=98.6(98.599999999999994);}pressure=98(98);" },
	{ "{\"temperature\": 23}", "temperature=23(23);" },
	{ "{\"time\":\"2021-06-01T17:24:48.709803664+02:00\",\"a\":1}",
	    "time 1622561088.709803664 +120;a=1(1);" },
	{ "{\"a\":1,\"time\":\"2021-04-30T17:03:14.123-05:30\"}",
	    "a=1(1);time 1619821994.123000000 -330;" },
	{ "{\"time\":\"2021-04-30T17:03:14Z\",\"a\":1}",
	    "time 1619802194.000000000 +0;a=1(1);" },
	/* the same name twice, zero, an exponent, digits as they were typed */
	{ "{\"a\":1,\"a\":2.50}", "a=1(1);a=2.50(2.5);" },
	{ "{\"g\":{\"a\":0},\"g\":{\"a\":-0.0}}",
	    "g{g.a=0(0);}g{g.a=-0.0(-0);}" },
	{ "{\"a\":1e3,\"b\":12345678901234567890}",
	    "a=1e3(1000);b=12345678901234567890(1.2345678901234567e+19);" },
	{ "{\"0a\":1,\"A_b\":2}", "0a=1(1);A_b=2(2);" },
	/* a name with an escape */
	{ "{\"\\u0061\":1}", "a=1(1);" },
	{ 0 },
};

static void
the_examples_of_the_documents_are_read_in_both_ways(void **state)
{
	(void)state;
	check(documents, 0);
	check(documents, THIN_EDGE_STRICT);
}

static void
today_any_name_is_good_and_texts_are_passed_over(void **state)
{
	static const struct example all[] = {
		{ "{\"-temperature\":1,\"X-Axis\":2,\"a b\":3,\"_x\":4}",
		    "-temperature=1(1);X-Axis=2(2);a b=3(3);_x=4(4);" },
		{ "{\"escaped\\\\\":1,\"\":2}", "escaped\\=1(1);=2(2);" },
		{ "{\"g\":{\"_x\":1,\"type\":2}}",
		    "g{g._x=1(1);g.type=2(2);}" },
		{ "{\"type\":\"outdoor\",\"a\":1}", "type outdoor;a=1(1);" },
		{ "{\"type\":\"only\"}", "type only;" },
		{ "{\"type\":7}", "type=7(7);" },
		{ "{\"note\":\"x\"}", "ignored note;" },
		{ "{\"properties\":{\"p\":[1,{\"q\":null}]},\"a\":1}",
		    "properties {\"p\":[1,{\"q\":null}]};a=1(1);" },
		{ "{\"properties\":5,\"a\":1}", "a=1(1);" },
		{ 0 },
	};

	(void)state;
	check(all, 0);
}

static void
today_a_time_may_be_seconds(void **state)
{
	static const struct example all[] = {
		{ "{\"time\":1701949168,\"a\":1}",
		    "time 1701949168.000000000 unix;a=1(1);" },
		{ "{\"time\":1701949168.001,\"a\":1}",
		    "time 1701949168.001000000 unix;a=1(1);" },
		{ "{\"time\":-1.25,\"a\":1}",
		    "time -2.750000000 unix;a=1(1);" },
		{ "{\"time\":-0.5,\"a\":1}", "time -1.500000000 unix;a=1(1);" },
		{ "{\"time\":1.5e3,\"a\":1}",
		    "time 1500.000000000 unix;a=1(1);" },
		{ "{\"time\":253402300799.5,\"a\":1}",
		    "time 253402300799.500000000 unix;a=1(1);" },
		{ "{\"time\":-377705116800,\"a\":1}",
		    "time -377705116800.000000000 unix;a=1(1);" },
		{ 0 },
	};

	(void)state;
	check(all, 0);
}

static void
a_time_is_read_to_the_nanosecond_and_by_the_calendar(void **state)
{
	static const struct example all[] = {
		{ "{\"time\":\"2024-02-29T23:59:60.1234567899+00:00\","
		  "\"a\":1}",
		    "time 1709251200.123456789 +0;a=1(1);" },
		{ "{\"time\":\"1969-12-31t23:59:59z\",\"a\":1}",
		    "time -1.000000000 +0;a=1(1);" },
		{ "{\"time\":\"2026-12-31 00:00:00+01:00\",\"a\":1}",
		    "time 1798671600.000000000 +60;a=1(1);" },
		{ 0 },
	};

	(void)state;
	check(all, 0);
	check(all, THIN_EDGE_STRICT);
}

/* --- what is not --------------------------------------------------------- */

#define ISO                                                                    \
	"! Invalid ISO8601 timestamp (expected "                               \
	"YYYY-MM-DDThh:mm:ss.sss.±hh:mm): "
#define NO_TIME                                                                \
	"! Not a timestamp: the time value must be an ISO8601 timestamp "      \
	"string in the YYYY-MM-DDThh:mm:ss.sss.±hh:mm format, not "

static void
the_old_sentences_are_told_of_strict_ones(void **state)
{
	static const struct example all[] = {
		/* the two of the documents */
		{ "{\"temperature\": 23,\"pressure\": 220",
		    "! Invalid JSON: Unexpected end of JSON: "
		    "{\"temperature\":23,\"pressure\":220" },
		{ "{\"temperature\": 23,\"time\": 220}", NO_TIME "a number." },
		{ "{\"three_phase_current\":{\"phase1\":{\"L1\":9.5},"
		  "\"phase2\":{\"L2\":10.3}}}",
		    "! More than 2 nested levels: the record for \"phase1\" "
		    "must be flattened." },
		{ "", "! Invalid JSON: Unexpected end of JSON: " },
		{ "{\"a\": nul",
		    "! Invalid JSON: Unexpected end of JSON: "
		    "{\"a\":nul" },
		{ "{\"a\": \"b",
		    "! Invalid JSON: Unexpected end of JSON: {\"a\":\"b" },
		{ "{\"a\": -",
		    "! Invalid JSON: Unexpected end of JSON: {\"a\":-" },
		{ "{\"a\": 1} x",
		    "! Invalid JSON: Unexpected character: x at (1:10): "
		    "{\"a\":1}x" },
		{ "{\"a\": 1\n \"b\": 2}",
		    "! Invalid JSON: Unexpected character: \" at (2:2): "
		    "{\"a\":1\"b\":2}" },
		{ "{\"a\": \xC3\xA9}",
		    "! Invalid JSON: Unexpected character: \xC3\xA9 at (1:7): "
		    "{\"a\":\xC3\xA9}" },
		{ "[1]",
		    "! Invalid Thin Edge measurement: it cannot be an array: "
		    "[1]" },
		{ "\"a\"",
		    "! Invalid Thin Edge measurement: it cannot be a string: "
		    "\"a\"" },
		{ "null",
		    "! Invalid Thin Edge measurement: it cannot be null: "
		    "null" },
		{ "{}",
		    "! Empty Thin Edge measurement: it must contain at least "
		    "one measurement" },
		{ "{\"time\":\"2020-10-15T05:30:47+00:00\"}",
		    "! Empty Thin Edge measurement: it must contain at least "
		    "one measurement" },
		{ "{\"g\":{}}",
		    "! Empty Thin Edge measurement: \"g\" must contain at "
		    "least one measurement" },
		{ "{\"a\":\"x\"}",
		    "! Not a number: the \"a\" value must be a number, not a "
		    "string." },
		{ "{\"a\":true}",
		    "! Not a number: the \"a\" value must be a number, not a "
		    "boolean." },
		{ "{\"a\":null}",
		    "! Not a number: the \"a\" value must be a number, not "
		    "null." },
		{ "{\"g\":{\"a\":[1]}}",
		    "! Not a number: the \"a\" value must be a number, not an "
		    "array." },
		{ "{\"a\":1,\"type\":\"x\"}",
		    "! Invalid measurement name: \"type\" is a reserved "
		    "word." },
		{ "{\"type\":1}",
		    "! Invalid measurement name: \"type\" is a reserved "
		    "word." },
		{ "{\"_a\":1}",
		    "! Invalid measurement name: \"_a\" must be of letters, "
		    "digits and \"_\", and not begin with \"_\"." },
		{ "{\"g\":{\"a-b\":1}}",
		    "! Invalid measurement name: \"a-b\" must be of letters, "
		    "digits and \"_\", and not begin with \"_\"." },
		{ "{\"\":1}",
		    "! Invalid measurement name: \"\" must be of letters, "
		    "digits and \"_\", and not begin with \"_\"." },
		{ "{\"g\":{\"time\":\"2020-10-15T05:30:47+00:00\"}}",
		    "! Unexpected time stamp within a group" },
		{ "{\"a\":1e400}",
		    "! Number out-of-range: the \"a\" value is too large to "
		    "be represented as a float64." },
		{ "{\"a\":1e-310}",
		    "! Number out-of-range: the \"a\" value is too large to "
		    "be represented as a float64." },
		{ "{\"time\":\"2020-10-15T05:30\",\"a\":1}",
		    ISO "\"2020-10-15T05:30\": premature end of input" },
		{ "{\"time\":\"2020-10-15T05:30:47\",\"a\":1}",
		    ISO "\"2020-10-15T05:30:47\": premature end of input" },
		{ "{\"time\":\"yesterday\",\"a\":1}",
		    ISO "\"yesterday\": input contains invalid characters" },
		{ "{\"time\":\"2020-13-15T05:30:47Z\",\"a\":1}",
		    ISO "\"2020-13-15T05:30:47Z\": input is out of range" },
		{ "{\"time\":\"2021-02-29T05:30:47Z\",\"a\":1}",
		    ISO "\"2021-02-29T05:30:47Z\": input is out of range" },
		{ "{\"time\":\"2020-12-15T05:30:47Z!\",\"a\":1}",
		    ISO "\"2020-12-15T05:30:47Z!\": trailing input" },
		{ "{\"time\":null,\"a\":1}", NO_TIME "null." },
		/* of two faults the one in the JSON is told */
		{ "{\"a\":\"x\"",
		    "! Invalid JSON: Unexpected end of JSON: "
		    "{\"a\":\"x\"" },
		{ 0 },
	};

	(void)state;
	check(all, THIN_EDGE_STRICT);
}

static void
the_sentences_of_today_say_where_and_show_it(void **state)
{
	static const struct example all[] = {
		{ "{\"temperature\": 23,\n\"pressure\": 220",
		    "! Invalid JSON: EOF while parsing an object at line 2 "
		    "column 15: `0\n`" },
		{ "{\"a\":",
		    "! Invalid JSON: EOF while parsing a value at line 1 "
		    "column 5: `:\n`" },
		{ "{\"a\":tru",
		    "! Invalid JSON: EOF while parsing a value at line 1 "
		    "column 8: `u\n`" },
		{ "{\"a",
		    "! Invalid JSON: EOF while parsing a string at line 1 "
		    "column 3: `a\n`" },
		{ "",
		    "! Invalid JSON: EOF while parsing a value at line 1 "
		    "column 1: `\n`" },
		{ "{\"a\":x}",
		    "! Invalid JSON: expected value at line 1 column 6: "
		    "`x}\n`" },
		{ "{\"a\":1,}",
		    "! Invalid JSON: trailing comma at line 1 column 8: "
		    "`}\n`" },
		{ "{a:1}",
		    "! Invalid JSON: key must be a string at line 1 column 2: "
		    "`a:1}\n`" },
		{ "{\"a\" 1}",
		    "! Invalid JSON: expected `:` at line 1 column 6: `1}\n`" },
		{ "{\"a\":1 \"b\":2}",
		    "! Invalid JSON: expected `,` or `}` at line 1 column 8: "
		    "`\"b\":2}\n`" },
		{ "{\"a\":1}{",
		    "! Invalid JSON: trailing characters at line 1 column 8: "
		    "`{\n`" },
		{ "{}",
		    "! Invalid JSON: Empty Thin Edge measurement: it must "
		    "contain at least one measurement at line 1 column 2: "
		    "`}\n`" },
		{ "{\"properties\":{\"a\":1}}",
		    "! Invalid JSON: Empty Thin Edge measurement: it must "
		    "contain at least one measurement at line 1 column 22: "
		    "`}\n`" },
		{ "{\"g\":{}}",
		    "! Invalid JSON: Empty Thin Edge measurement: \"g\" must "
		    "contain at least one measurement at line 1 column 7: "
		    "`}}\n`" },
		{ "{\"g\":{\"h\":{\"a\":1}}}",
		    "! Invalid JSON: Expect single-value measurement at line "
		    "1 column 11: `{\"a\":1}}}\n`" },
		{ "{\"a\":true}",
		    "! Invalid JSON: invalid type: boolean `true`, expected "
		    "ThinEdge single or multi-value measurement at line 1 "
		    "column 9: `e}\n`" },
		{ "{\"a\":[1]}",
		    "! Invalid JSON: invalid type: sequence, expected "
		    "ThinEdge single or multi-value measurement at line 1 "
		    "column 8: `]}\n`" },
		{ "{\"g\":{\"a\":\"x\"}}",
		    "! Invalid JSON: invalid type: string \"x\", expected "
		    "ThinEdge single-value measurement at line 1 column 13: "
		    "`\"}}\n`" },
		{ "{\"g\":{\"a\":null}}",
		    "! Invalid JSON: invalid type: null, expected ThinEdge "
		    "single-value measurement at line 1 column 14: `l}}\n`" },
		{ "{\"g\":{\"time\":1}}",
		    "! Invalid JSON: Unexpected time stamp within a group at "
		    "line 1 column 13: `:1}}\n`" },
		{ "{\"a\":1e400}",
		    "! Invalid JSON: Number out-of-range: the \"a\" value is "
		    "too large to be represented as a float64. at line 1 "
		    "column 10: `0}\n`" },
		{ "{\"time\":\"x\",\"a\":1}",
		    "! Invalid JSON: Invalid ISO8601 timestamp (expected "
		    "YYYY-MM-DDThh:mm:ss.sss.±hh:mm): \"x\": input contains "
		    "invalid characters at line 1 column 11: "
		    "`\",\"a\":1}\n`" },
		{ "{\"time\":null,\"a\":1}",
		    "! Invalid JSON: invalid type: null, expected a date "
		    "formatted as a unix timestamp (as an integer number of "
		    "seconds) or an ISO-8601 string at line 1 column 12: "
		    "`l,\"a\":1}\n`" },
		{ "{\"time\":253402300800,\"a\":1}",
		    "! Invalid JSON: Invalid unix timestamp (reading integer "
		    "value in seconds): 253402300800; timestamp must be in "
		    "the range -377705116800..=253402300799 at line 1 column "
		    "20: `0,\"a\":1}\n`" },
		{ "{\"time\":1e30,\"a\":1}",
		    "! Invalid JSON: Invalid unix timestamp (reading decimal "
		    "value in seconds): 1e30; timestamp must be in the range "
		    "-377705116800..=253402300799 at line 1 column 12: "
		    "`0,\"a\":1}\n`" },
		{ "5",
		    "! Invalid JSON: invalid type: integer `5`, expected a map "
		    "of measurements at line 1 column 1: `5\n`" },
		{ 0 },
	};

	(void)state;
	check(all, 0);
}

static void
an_excerpt_has_eighty_characters_and_keeps_them_whole(void **state)
{
	struct buf b = { 0 }, want = { 0 };

	(void)state;
	buf_addz(&b, "[");
	for (int i = 0; i < 100; i++)
		buf_addz(&b, " \"");
	(void)told(buf_str(&b), THIN_EDGE_STRICT, 0);
	buf_addz(&want, "! Invalid JSON: Unexpected character: \" at (1:7): [");
	for (int i = 0; i < 79; i++)
		buf_addz(&want, "\"");
	assert_string_equal(buf_z(&heard), buf_z(&want));
	buf_clear(&b);
	buf_clear(&want);
	buf_addz(&b, "{\"a\":");
	for (int i = 0; i < 100; i++)
		buf_addz(&b, "x");
	(void)told(buf_str(&b), 0, 0);
	buf_addz(&want, "! Invalid JSON: expected value at line 1 column 6: `");
	for (int i = 0; i < 80; i++)
		buf_addz(&want, "x");
	buf_addz(&want, "\n`");
	assert_string_equal(buf_z(&heard), buf_z(&want));
	buf_free(&b);
	buf_free(&want);
}

static void
bytes_that_are_no_text_and_too_many_are_refused(void **state)
{
	(void)state;
	assert_string_equal(told(STR("{\"a\": 1, \"b\xFF\": 2}"), 0, 0),
	    "! Invalid UTF8: invalid utf-8 sequence from index 11: "
	    "{\"a\":1,\"b...");
	assert_string_equal(told(STR("{\"abc\":1}"), 0, 9), "abc=1(1);");
	assert_string_equal(told(STR("{\"abc\":1}"), 0, 8),
	    "! The input size 9 is too big. The threshold is 8.");
	assert_string_equal(told(STR_NULL, THIN_EDGE_STRICT, 8),
	    "! Invalid JSON: Unexpected end of JSON: ");
}

static void
depth_has_an_end(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_addz(&b, "{\"properties\":");
	for (int i = 0; i < 1000; i++)
		buf_addz(&b, "[");
	assert_non_null(strstr(told(buf_str(&b), THIN_EDGE_STRICT, 0),
	    "! Invalid JSON: Exceeded depth limit: {"));
	assert_non_null(strstr(told(buf_str(&b), 0, 0),
	    "! Invalid JSON: recursion limit exceeded at line 1 column "));
	buf_free(&b);
}

static void
who_hears_nothing_still_learns_of_faults(void **state)
{
	static const struct thin_edge_visitor deaf = { 0 };
	struct err err;

	(void)state;
	arena_clear(&arena);
	for (int i = 0; i < 2; i++) {
		const struct thin_edge_visitor *v = i == 0 ? NULL : &deaf;

		assert_int_equal(
		    thin_edge_json_read(STR("{\"time\":1,\"type\":\"x\","
					    "\"g\":{\"a\":1},\"s\":\"x\","
					    "\"properties\":{}}"),
			0, 0, &arena, v, NULL, &err),
		    0);
		assert_int_equal(thin_edge_json_read(STR("{\"a\":1,\"b\":{}}"),
				     0, 0, &arena, v, NULL, &err),
		    ERR_PARAM);
	}
}

/* --- units --------------------------------------------------------------- */

static void
on_unit(void *owner, struct str group, struct str name, struct str unit)
{
	(void)owner;
	if (group.ptr != NULL)
		buf_addf(&heard, STR_FMT "/", STR_ARG(group));
	buf_addf(&heard, STR_FMT "=" STR_FMT ";", STR_ARG(name), STR_ARG(unit));
}

static const char *
units(const char *text)
{
	struct err err;

	arena_clear(&arena);
	buf_clear(&heard);
	if (thin_edge_json_units(str_of(text), &arena, on_unit, NULL, &err) !=
	    0)
		buf_addf(&heard, "! %s", err.text);
	return buf_z(&heard);
}

static void
units_are_known_by_name_or_group_and_name(void **state)
{
	(void)state;
	assert_string_equal(units("{\"temperature\":{\"unit\":\"°C\"},"
				  "\"current.L1\":{\"unit\":\"A\",\"min\":0},"
				  "\"a.b.c\":{\"unit\":\"x\"},"
				  "\"p\":{\"precision\":2},\"q\":{\"unit\":5},"
				  "\"r\":7}"),
	    "temperature=°C;current/L1=A;a/b.c=x;");
	assert_string_equal(units(""), "");
	assert_string_equal(units("{}"), "");
	assert_string_equal(units("[]"),
	    "! Invalid JSON: invalid type: sequence, expected a map of units "
	    "at line 1 column 2: `]\n`");
	assert_string_equal(units("{\"a\":"),
	    "! Invalid JSON: EOF while parsing a value at line 1 column 5: "
	    "`:\n`");
}

static int
tear_down(void **state)
{
	(void)state;
	arena_fini(&arena);
	buf_free(&heard);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    the_examples_of_the_documents_are_read_in_both_ways),
		cmocka_unit_test(
		    today_any_name_is_good_and_texts_are_passed_over),
		cmocka_unit_test(today_a_time_may_be_seconds),
		cmocka_unit_test(
		    a_time_is_read_to_the_nanosecond_and_by_the_calendar),
		cmocka_unit_test(the_old_sentences_are_told_of_strict_ones),
		cmocka_unit_test(the_sentences_of_today_say_where_and_show_it),
		cmocka_unit_test(
		    an_excerpt_has_eighty_characters_and_keeps_them_whole),
		cmocka_unit_test(
		    bytes_that_are_no_text_and_too_many_are_refused),
		cmocka_unit_test(depth_has_an_end),
		cmocka_unit_test(who_hears_nothing_still_learns_of_faults),
		cmocka_unit_test(units_are_known_by_name_or_group_and_name),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}

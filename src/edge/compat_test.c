/*
 * edge/compat_test.c - what has a copy on the other scheme, and which.
 */
#include "base/test.h"

#include "base/base.h"
#include "edge/compat.h"

static const struct compat_conf conf = { { "te", 2 }, { "device/main//", 13 } };

static void
each_message_has_the_copy_that_it_should_have(void **state)
{
	static const struct {
		const char *topic, *payload, *to, *copy; /* NULL: none */
		bool retain;
	} cases[] = {
		{ "tedge/measurements", "{ \"t\": 23 }", "te/device/main///m/",
		    "{ \"t\": 23 }" },
		{ "tedge/measurements/c1", "{\"g\":{\"a\":1}}",
		    "te/device/c1///m/", "{\"g\":{\"a\":1}}" },
		/* the strict rules hold */
		{ "tedge/measurements", "{\"-t\":23}", NULL, NULL },
		{ "tedge/measurements", "{\"t\":\"x\"}", NULL, NULL },
		{ "tedge/measurements", "{\"type\":\"x\",\"t\":1}", NULL,
		    NULL },
		{ "tedge/measurements", "{\"time\":1,\"t\":1}", NULL, NULL },
		{ "tedge/measurements", "", NULL, NULL },
		{ "tedge/measurements/", "{\"t\":1}", NULL, NULL },
		{ "tedge/events/login", "{\"text\":\"in\"}",
		    "te/device/main///e/login", "{\"text\":\"in\"}" },
		{ "tedge/events/login/c1", "", "te/device/c1///e/login", "" },
		{ "tedge/events/login", "[1]", NULL, NULL },
		{ "tedge/events/login", "{", NULL, NULL },
		{ "tedge/alarms/major/hot", "{\"text\":\"h\"}",
		    "te/device/main///a/hot",
		    "{\"text\":\"h\",\"severity\":\"major\"}", true },
		{ "tedge/alarms/minor/hot/c1",
		    "{\"severity\":\"major\",\"text\":\"h\"}",
		    "te/device/c1///a/hot",
		    "{\"text\":\"h\",\"severity\":\"minor\"}", true },
		{ "tedge/alarms/critical/hot", "{}", "te/device/main///a/hot",
		    "{\"severity\":\"critical\"}", true },
		{ "tedge/alarms/warning/hot", "", "te/device/main///a/hot", "",
		    true },
		{ "tedge/alarms/bad/hot", "{\"text\":\"h\"}", NULL, NULL },
		{ "tedge/alarms/major/hot", "no", NULL, NULL },
		{ "te/errors", "it failed", "tedge/errors", "it failed" },
		{ "tedge/errors", "it failed", NULL, NULL },
		{ "tedge/health/s", "{}", NULL, NULL },
		{ "te/device/main///m/", "{\"t\":1}", NULL, NULL },
		{ "tez/errors", "x", NULL, NULL },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct mapper_msg m = { str_of(cases[i].topic),
			str_of(cases[i].payload), 2, false, false };
		struct mapper_msg copy;
		bool has = compat_copy(&conf, &m, &copy, &a);

		assert_int_equal(has, cases[i].to != NULL);
		if (has) {
			assert_true(str_eqz(copy.topic, cases[i].to));
			assert_true(str_eqz(copy.payload, cases[i].copy));
			assert_int_equal(copy.retain, cases[i].retain);
			assert_int_equal(copy.qos, 2);
			assert_true(copy.origin);
			/* and a copy has none */
			m.origin = true;
			assert_false(compat_copy(&conf, &m, &copy, &a));
		}
		arena_clear(&a);
	}
	arena_fini(&a);
}

static void
why_there_is_no_copy_is_told_of_bad_ones_alone(void **state)
{
	static const struct {
		const char *topic, *payload, *why; /* NULL: it is good */
	} cases[] = {
		{ "tedge/measurements", "{\"t\":1}", NULL },
		{ "tedge/measurements", "{\"temperature\": 23,\"time\": 220}",
		    "Not a timestamp: the time value must be an ISO8601 "
		    "timestamp string in the YYYY-MM-DDThh:mm:ss.sss.±hh:mm "
		    "format, not a number." },
		{ "tedge/events/login", "", NULL },
		{ "tedge/events/login", "[1]",
		    "Parsing of event message received on topic: "
		    "tedge/events/login failed due to error: line 1 column 1: "
		    "must be an object. Snipped payload: [1]" },
		{ "tedge/alarms/bad/hot", "{}",
		    "Unsupported alarm severity in topic: "
		    "tedge/alarms/bad/hot" },
		{ "tedge/alarms/major/hot", "no",
		    "Parsing of alarm message for the type: hot failed due to "
		    "error: line 1 column 1: must be an object. Snipped "
		    "payload: "
		    "no" },
		{ "tedge/health/s", "{", NULL },
		{ "te/errors", "it failed", NULL },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct mapper_msg m = { str_of(cases[i].topic),
			str_of(cases[i].payload), 1, false, false };
		struct buf why = { 0 };

		assert_int_equal(
		    compat_why(&m, &why, &a), cases[i].why != NULL);
		if (cases[i].why != NULL)
			assert_string_equal(buf_z(&why), cases[i].why);
		buf_free(&why);
		arena_clear(&a);
	}
	arena_fini(&a);
}

static void
errors_of_a_root_named_tedge_are_not_doubled(void **state)
{
	const struct compat_conf same = { STR("tedge"), STR("device/main//") };
	struct mapper_msg m = { STR("tedge/errors"), STR("x"), 1, false,
		false };
	struct mapper_msg copy;
	struct arena a = { 0 };

	(void)state;
	assert_false(compat_copy(&same, &m, &copy, &a));
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_has_the_copy_that_it_should_have),
		cmocka_unit_test(
		    why_there_is_no_copy_is_told_of_bad_ones_alone),
		cmocka_unit_test(errors_of_a_root_named_tedge_are_not_doubled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

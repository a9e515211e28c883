/*
 * core/hub/evaluate_test.c - the verdict of conditions, operator by operator.
 */
#include "base/test.h"

#include "core/hub/private.h"

#include <stdio.h>
#include <string.h>

static const char variables[] =
    "{\"n\":21.5,\"s\":\"Warm Hall\",\"b\":true,\"digits\":\"7\",\"no\":null,"
    "\"empty\":\"\",\"o\":{\"deep\":{\"x\":3}}}";

/* 1, 0, or -1 with a sentence in `err`. */
static int
verdict(const char *rule, struct err *err)
{
	struct arena a = { 0 };
	struct hub hub = { 0 };
	bool yes = false;
	int rc = hub_rule(&hub, arena_printf(&a, "{\"rule\":%s}", rule),
	    str_of(variables), &a, &yes, err);

	arena_fini(&a);
	return rc == 0 ? yes : -1;
}

static void
every_operator_means_what_it_says(void **state)
{
	static const struct {
		const char *variable, *operator, * value;
		int is;
	} cases[] = {
		{ "n", "eq", "\"21.50\"", 1 },
		{ "n", "", "21.5", 1 },
		{ "n", "ne", "21.5", 0 },
		{ "n", "gt", "\"21\"", 1 },
		{ "n", "gt", "21.5", 0 },
		{ "n", "gte", "21.5", 1 },
		{ "n", "lt", "21.5", 0 },
		{ "n", "lte", "21.5", 1 },
		{ "n", "gt", "\"warm\"", 0 },
		{ "n", "in", "[1, 21.5]", 1 },
		{ "n", "in", "\"[1, 2]\"", 0 },
		{ "n", "nin", "[1, 2]", 1 },
		/* the ends are outside */
		{ "n", "range_in", "[21.5, 30]", 0 },
		{ "n", "range_in", "[21, 22]", 1 },
		{ "n", "range_not_in", "[21.5, 30]", 0 },
		{ "n", "range_not_in", "[22, 30]", 1 },
		{ "n", "range_in", "[22]", 0 },
		{ "s", "eq", "\"Warm Hall\"", 1 },
		{ "s", "eq", "\"warm hall\"", 0 },
		{ "s", "gt", "\"A\"", 0 },
		{ "s", "regex", "\"^warm\"", 1 },
		{ "s", "regex", "\"cold|hall$\"", 1 },
		{ "s", "regex", "\"(\"", 0 },
		{ "s", "regex", "\"(a)\\\\1\"", 0 }, /* could take for ever */
		{ "s", "in", "[\"x\",\"Warm Hall\"]", 1 },
		{ "s", "exists", "\"\"", 1 },
		{ "empty", "exists", "\"\"", 0 },
		{ "no", "exists", "\"\"", 0 },
		{ "b", "eq", "\"TRUE\"", 1 },
		{ "b", "ne", "false", 1 },
		{ "b", "in", "[true]", 1 },
		{ "b", "gt", "0", 0 },
		{ "digits", "gt", "6", 1 },
		{ "o.deep.x", "eq", "3", 1 },
		{ "O.Deep.X", "eq", "3", 1 },
		{ "n", "eq", "\"{{ .o.deep.x }}\"", 0 },
		{ "o.deep.x", "eq", "\"{{ .o.deep.x }}\"", 1 },
		{ "n", "magic", "21.5", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct err err = { 0 };
		char rule[256];

		snprintf(rule, sizeof(rule),
		    "{\"conditions\":[{\"variable\":\"%s\",\"operator\":"
		    "\"%s\",\"value\":%s}]}",
		    cases[i].variable, cases[i].operator, cases[i].value);
		if (verdict(rule, &err) != cases[i].is)
			fail_msg("%s: %s", rule, err.text);
	}
}

static void
all_or_any_must_hold(void **state)
{
	struct err err = { 0 };

	(void)state;
#define YES "{\"variable\":\"n\",\"operator\":\"gt\",\"value\":\"1\"}"
#define NO "{\"variable\":\"n\",\"operator\":\"lt\",\"value\":\"1\"}"
	assert_int_equal(verdict("{}", &err), 1);
	assert_int_equal(verdict("{\"conditions\":[" YES "," NO "]}", &err), 1);
	assert_int_equal(
	    verdict(
		"{\"matchAll\":true,\"conditions\":[" YES "," NO "]}", &err),
	    0);
	assert_int_equal(
	    verdict(
		"{\"matchAll\":true,\"conditions\":[" YES "," YES "]}", &err),
	    1);
	assert_int_equal(verdict("{\"conditions\":[" NO "," NO "]}", &err), 0);
}

static void
a_missing_variable_makes_the_rule_false_and_is_named(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(
	    verdict("{\"conditions\":[" YES
		    ",{\"variable\":\"o.shallow\",\"value\":\"1\"}]}",
		&err),
	    -1);
	assert_non_null(strstr(err.text, "o.shallow"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operator_means_what_it_says),
		cmocka_unit_test(all_or_any_must_hold),
		cmocka_unit_test(
		    a_missing_variable_makes_the_rule_false_and_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

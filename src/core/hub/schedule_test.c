/*
 * core/hub/schedule_test.c - when schedules are due, and when they count.
 */
#include "base/test.h"

#include "core/hub/private.h"

#include "base/clock.h"

#include <string.h>

static const struct hub_place munich = {
	.latitude = 48.14, .longitude = 11.58, .known = true
};

static int64_t
at(const char *text)
{
	int64_t ms;

	assert_true(time_parse(str_of(text), &ms));
	return ms;
}

struct due {
	const char *type, *spec, *after, *next; /* NULL: never */
};

static void
each_type_is_due_when_its_spec_says(void **state)
{
	static const struct due cases[] = {
		{ "repeat", "{\"interval\":\"90s\"}", "2026-05-01T00:00:00Z",
		    "2026-05-01T00:01:30Z" },
		{ "cron", "{\"cronExpression\":\"0 30 7 * * *\"}",
		    "2026-05-01T08:00:00Z", "2026-05-02T07:30:00Z" },
		{ "cron", "{\"CRONexpression\":\"30 7 * * mon\"}",
		    "2026-05-01T08:00:00Z", "2026-05-04T07:30:00Z" },
		{ "simple", "{\"frequency\":\"daily\",\"time\":\"07:30\"}",
		    "2026-05-01T07:29:59Z", "2026-05-01T07:30:00Z" },
		{ "simple", "{\"frequency\":\"daily\",\"time\":\"07:30\"}",
		    "2026-05-01T07:30:00Z", "2026-05-02T07:30:00Z" },
		{ "simple",
		    "{\"frequency\":\"daily\",\"time\":\"7:30:15\","
		    "\"dayOfWeek\":\"mon, wed\"}",
		    "2026-05-01T00:00:00Z", "2026-05-04T07:30:15Z" },
		{ "simple",
		    "{\"frequency\":\"weekly\",\"time\":\"00:00\","
		    "\"dayOfWeek\":\"sun\"}",
		    "2026-05-01T00:00:00Z", "2026-05-03T00:00:00Z" },
		/* months without the 31st are passed over */
		{ "simple",
		    "{\"frequency\":\"monthly\",\"time\":\"12:00\","
		    "\"dateOfMonth\":31}",
		    "2026-05-31T12:00:00Z", "2026-07-31T12:00:00Z" },
		{ "simple",
		    "{\"frequency\":\"on_date\",\"time\":\"12:00\","
		    "\"date\":\"2026-12-24\"}",
		    "2026-05-01T00:00:00Z", "2026-12-24T12:00:00Z" },
		{ "simple",
		    "{\"frequency\":\"on_date\",\"time\":\"12:00\","
		    "\"date\":\"2025-12-24\"}",
		    "2026-05-01T00:00:00Z", NULL },
		{ "simple",
		    "{\"frequency\":\"daily\",\"time\":\"00:10\","
		    "\"offset\":\"-20m\"}",
		    "2026-05-01T00:00:00Z", "2026-05-01T23:50:00Z" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct hub_schedule s = { .type = str_of(cases[i].type),
			.spec = str_of(cases[i].spec) };
		int64_t next = 0;
		struct err err;

		assert_int_equal(hub_schedule_next(&s, &munich,
				     at(cases[i].after), &next, &err),
		    0);
		assert_true(next ==
		    (cases[i].next != NULL ? at(cases[i].next) : TIME_NULL));
	}
}

static void
the_sun_is_followed_through_the_year(void **state)
{
	const struct hub_schedule rise = { .type = STR("sunrise"),
		.spec = STR("{\"frequency\":\"daily\",\"offset\":\"\"}") };
	const struct hub_schedule set = { .type = STR("sunset"),
		.spec = STR("{\"offset\":\"-10m\"}") };
	const struct hub_place nowhere = { 0 };
	int64_t next;
	struct err err;

	(void)state;
	/* in Munich: 3:13 and 19:17 UTC at midsummer, 7:01 at midwinter */
	assert_int_equal(hub_schedule_next(&rise, &munich,
			     at("2026-06-21T00:00:00Z"), &next, &err),
	    0);
	assert_in_range(
	    next, at("2026-06-21T03:11:00Z"), at("2026-06-21T03:15:00Z"));
	assert_int_equal(hub_schedule_next(&set, &munich,
			     at("2026-06-21T00:00:00Z"), &next, &err),
	    0);
	assert_in_range(
	    next, at("2026-06-21T19:05:00Z"), at("2026-06-21T19:09:00Z"));
	assert_int_equal(hub_schedule_next(&rise, &munich,
			     at("2026-12-21T00:00:00Z"), &next, &err),
	    0);
	assert_in_range(
	    next, at("2026-12-21T06:59:00Z"), at("2026-12-21T07:03:00Z"));
	assert_int_equal(hub_schedule_next(&rise, &nowhere,
			     at("2026-12-21T00:00:00Z"), &next, &err),
	    ERR_PARAM);
	assert_non_null(strstr(err.text, "hub.latitude"));
}

static void
what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *type, *spec, *says;
	} cases[] = {
		{ "repeat", "{}", "spec.interval" },
		{ "repeat", "{\"interval\":\"soon\"}", "soon" },
		{ "cron", "{\"cronExpression\":\"61 * * * *\"}",
		    "spec.cronExpression" },
		{ "simple", "{\"frequency\":\"daily\"}", "spec.time" },
		{ "simple", "{\"frequency\":\"daily\",\"time\":\"24:00\"}",
		    "spec.time" },
		{ "simple", "{\"frequency\":\"often\",\"time\":\"1:00\"}",
		    "spec.frequency" },
		{ "simple",
		    "{\"frequency\":\"weekly\",\"time\":\"1:00\","
		    "\"dayOfWeek\":\"moon\"}",
		    "spec.dayOfWeek" },
		{ "simple",
		    "{\"frequency\":\"monthly\",\"time\":\"1:00\","
		    "\"dateOfMonth\":32}",
		    "spec.dateOfMonth" },
		{ "simple",
		    "{\"frequency\":\"on_date\",\"time\":\"1:00\","
		    "\"date\":\"today\"}",
		    "spec.date" },
		{ "sunset", "{\"offset\":\"x\"}", "spec.offset" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct hub_schedule s = { .type = str_of(cases[i].type),
			.spec = str_of(cases[i].spec) };
		struct err err;

		assert_int_equal(
		    hub_schedule_check(&s, &munich, &err), ERR_PARAM);
		assert_non_null(strstr(err.text, cases[i].says));
	}
}

static void
validity_has_days_and_times(void **state)
{
	struct hub_schedule s = {
		.validity = { .enabled = true,
		    .date = { STR("2026-05-01"), STR("2026-05-31") },
		    .time = { STR("08:00"), STR("17:00") } }
	};

	(void)state;
	/* from the first day at 8 to the last one at 17 */
	assert_false(
	    hub_schedule_valid(&s, &munich, at("2026-05-01T07:59:59Z")));
	assert_true(
	    hub_schedule_valid(&s, &munich, at("2026-05-01T08:00:00Z")));
	assert_true(
	    hub_schedule_valid(&s, &munich, at("2026-05-02T03:00:00Z")));
	assert_true(
	    hub_schedule_valid(&s, &munich, at("2026-05-31T17:00:00Z")));
	assert_false(
	    hub_schedule_valid(&s, &munich, at("2026-05-31T17:00:01Z")));
	/* only between 8 and 17 of each day */
	s.validity.every_day = true;
	assert_false(
	    hub_schedule_valid(&s, &munich, at("2026-05-02T03:00:00Z")));
	assert_true(
	    hub_schedule_valid(&s, &munich, at("2026-05-31T12:00:00Z")));
	/* over midnight */
	s.validity.time = (struct hub_span){ STR("22:00"), STR("06:00") };
	assert_true(
	    hub_schedule_valid(&s, &munich, at("2026-05-02T03:00:00Z")));
	assert_false(
	    hub_schedule_valid(&s, &munich, at("2026-05-02T12:00:00Z")));
	s.validity.enabled = false;
	assert_true(
	    hub_schedule_valid(&s, &munich, at("1999-05-02T12:00:00Z")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_is_due_when_its_spec_says),
		cmocka_unit_test(the_sun_is_followed_through_the_year),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(validity_has_days_and_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

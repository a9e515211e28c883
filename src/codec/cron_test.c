/*
 * codec/cron_test.c - when schedules are due, in summer, winter and between.
 */
#include "codec/cron.h"

#include "base/base.h"
#include "base/file.h"
#include "base/test.h"

#include <stdio.h>
#include <string.h>

static struct zone *
load(const char *name)
{
	struct arena a = { 0 };
	struct buf bytes = { 0 };
	struct zone *z = NULL;
	struct err err;

	if (name == NULL)
		return NULL;
	if (file_read(zone_path(&a, str_of(name)), &bytes, &err) != 0 ||
	    zone_new(buf_str(&bytes), str_of(name), &z, &err) != 0)
		fail_msg("%s", err.text);
	buf_free(&bytes);
	arena_fini(&a);
	return z;
}

/* The next `n` firings, as the clock shows them. */
static const char *
due(const char *text, const char *after, const char *zone, int n)
{
	static char said[1000];
	struct zone *z = load(zone);
	struct cron c;
	struct err err;
	int64_t at;
	size_t len = 0;

	assert_true(time_parse(str_of(after), &at));
	if (cron_parse(str_of(text), &c, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	said[0] = '\0';
	while (n-- > 0) {
		struct zone_time t;

		at = cron_next(&c, at, z);
		if (at == TIME_NULL) {
			len += (size_t)snprintf(
			    said + len, sizeof(said) - len, "never");
			break;
		}
		zone_local(z, at, &t);
		len += (size_t)snprintf(said + len, sizeof(said) - len,
		    "%s%04d-%02d-%02d %02d:%02d:%02d%s%s", len > 0 ? ", " : "",
		    (int)t.year, t.month, t.day, t.hour, t.minute, t.second,
		    z == NULL ? "" : " ", z == NULL ? "" : t.abbr);
	}
	zone_free(z);
	return said;
}

static void
fields_say_when(void **state)
{
	static const struct {
		const char *text, *after, *due;
		int n;
	} cases[] = {
		{ "30 6 * * *", "2024-01-31T06:30:00Z", "2024-02-01 06:30:00",
		    1 },
		{ "30 6 * * *", "2024-01-31T06:29:59.999Z",
		    "2024-01-31 06:30:00", 1 },
		{ "15 30 6 * * *", "2024-01-31T00:00:00Z",
		    "2024-01-31 06:30:15", 1 },
		{ "*/20 * * * * *", "2024-01-31T23:59:30Z",
		    "2024-01-31 23:59:40, 2024-02-01 00:00:00, "
		    "2024-02-01 00:00:20",
		    3 },
		{ "0 9-17/4,22 * * *", "2024-01-01T00:00:00Z",
		    "2024-01-01 09:00:00, 2024-01-01 13:00:00, "
		    "2024-01-01 17:00:00, 2024-01-01 22:00:00",
		    4 },
		{ "50/5 0 * * *", "2024-01-01T00:00:00Z",
		    "2024-01-01 00:50:00, 2024-01-01 00:55:00, "
		    "2024-01-02 00:50:00",
		    3 },
		{ "0 0 29 feb ?", "2024-03-01T00:00:00Z", "2028-02-29 00:00:00",
		    1 },
		{ "0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29 00:00:00",
		    1 },
		{ "0 0 31 * *", "2024-01-31T12:00:00Z",
		    "2024-03-31 00:00:00, 2024-05-31 00:00:00", 2 },
		{ "0 12 * * Mon-fri", "2024-06-07T12:00:00Z",
		    "2024-06-10 12:00:00", 1 },
		{ "0 12 * * fri-sun", "2024-06-07T12:00:00Z",
		    "2024-06-08 12:00:00, 2024-06-09 12:00:00, "
		    "2024-06-14 12:00:00",
		    3 },
		{ "0 12 * * 7", "2024-06-07T12:00:00Z", "2024-06-09 12:00:00",
		    1 },
		/* either day, when both are given */
		{ "0 0 13 * 5", "2024-09-01T00:00:00Z",
		    "2024-09-06 00:00:00, 2024-09-13 00:00:00, "
		    "2024-09-20 00:00:00",
		    3 },
		{ "0 0 13 9 5", "2024-09-27T00:00:00Z", "2025-09-05 00:00:00",
		    1 },
		{ "@yearly", "2024-05-05T05:05:05Z", "2025-01-01 00:00:00", 1 },
		{ "@monthly", "2024-05-05T05:05:05Z", "2024-06-01 00:00:00",
		    1 },
		{ "@weekly", "2024-05-05T05:05:05Z", "2024-05-12 00:00:00", 1 },
		{ "@midnight", "2024-05-05T05:05:05Z", "2024-05-06 00:00:00",
		    1 },
		{ "@Hourly", "2024-05-05T05:05:05Z", "2024-05-05 06:00:00", 1 },
		{ "@every 1h30m", "2024-05-05T05:05:05.700Z",
		    "2024-05-05 06:35:05, 2024-05-05 08:05:05", 2 },
		{ "  0\t0  1 1 * ", "2024-05-05T05:05:05Z",
		    "2025-01-01 00:00:00", 1 },
		{ "0 0 30 2 *", "2024-01-01T00:00:00Z", "never", 1 },
		{ "* * 31 11 *", "2024-01-01T00:00:00Z", "never", 1 },
		{ "* * * * * *", "1969-12-31T23:59:58.500Z",
		    "1969-12-31 23:59:59, 1970-01-01 00:00:00", 2 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *said =
		    due(cases[i].text, cases[i].after, NULL, cases[i].n);

		if (strcmp(said, cases[i].due) != 0)
			fail_msg("%s: %s, not %s", cases[i].text, said,
			    cases[i].due);
	}
}

static void
what_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "",
		    "cron: five or six fields are needed (second, if wanted, "
		    "minute hour day month weekday)" },
		{ "* * * *",
		    "cron: five or six fields are needed (second, if wanted, "
		    "minute hour day month weekday)" },
		{ "* * * * * * *",
		    "cron: five or six fields are needed (second, if wanted, "
		    "minute hour day month weekday)" },
		{ "60 * * * *", "cron: 60 is no minute" },
		{ "* 24 * * *", "cron: 24 is no hour" },
		{ "* * 0 * *", "cron: 0 is no day of month" },
		{ "* * * 13 *", "cron: 13 is no month" },
		{ "* * * * 8", "cron: 8 is no day of week" },
		{ "* * * mon *", "cron: mon is no month" },
		{ "5-1 * * * *", "cron: 5-1 is no minute" },
		{ "1-2-3 * * * *", "cron: 1-2-3 is no minute" },
		{ "*/0 * * * *", "cron: */0 is no minute" },
		{ "*/ * * * *", "cron: */ is no minute" },
		{ "1,,2 * * * *", "cron: 1,,2 is no minute" },
		{ "-1 * * * *", "cron: -1 is no minute" },
		{ "+1 * * * *", "cron: +1 is no minute" },
		{ "*5 * * * *", "cron: *5 is no minute" },
		{ "@fortnightly", "cron: unknown word @fortnightly" },
		{ "@every", "cron: unknown word @every" },
		{ "@every 10ms",
		    "cron: @every needs a duration of a second or more, such "
		    "as 1h30m" },
		{ "@every -1h",
		    "cron: @every needs a duration of a second or more, such "
		    "as 1h30m" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct cron c;
		struct err err = { 0 };

		assert_int_equal(
		    cron_parse(str_of(cases[i].text), &c, &err), ERR_PARAM);
		assert_string_equal(err.text, cases[i].why);
	}
}

static void
a_daily_time_that_is_leapt_over_is_due_at_the_leap(void **state)
{
	(void)state;
	assert_string_equal(
	    due("30 2 * * *", "2024-03-29T12:00:00Z", "Europe/Berlin", 3),
	    "2024-03-30 02:30:00 CET, 2024-03-31 03:00:00 CEST, "
	    "2024-04-01 02:30:00 CEST");
	/* midnight itself is missing there */
	assert_string_equal(
	    due("@daily", "2024-09-07T12:00:00Z", "America/Santiago", 2),
	    "2024-09-08 01:00:00 -03, 2024-09-09 00:00:00 -03");
	/* several of them are due once */
	assert_string_equal(due("0,20,40 2,4 * * *", "2024-03-30T04:00:00Z",
				"Europe/Berlin", 3),
	    "2024-03-31 03:00:00 CEST, 2024-03-31 04:00:00 CEST, "
	    "2024-03-31 04:20:00 CEST");
}

static void
a_daily_time_that_comes_twice_is_due_once(void **state)
{
	(void)state;
	assert_string_equal(
	    due("30 2 * * *", "2024-10-26T12:00:00Z", "Europe/Berlin", 2),
	    "2024-10-27 02:30:00 CEST, 2024-10-28 02:30:00 CET");
	/* asked between the two */
	assert_string_equal(
	    due("30 2 * * *", "2024-10-27T01:10:00Z", "Europe/Berlin", 1),
	    "2024-10-28 02:30:00 CET");
	assert_string_equal(
	    due("0 0-3 * * *", "2024-10-26T23:30:00Z", "Europe/Berlin", 3),
	    "2024-10-27 02:00:00 CEST, 2024-10-27 03:00:00 CET, "
	    "2024-10-28 00:00:00 CET");
}

static void
what_is_due_every_hour_follows_the_time_that_passes(void **state)
{
	(void)state;
	assert_string_equal(
	    due("30 * * * *", "2024-10-26T23:00:00Z", "Europe/Berlin", 4),
	    "2024-10-27 01:30:00 CEST, 2024-10-27 02:30:00 CEST, "
	    "2024-10-27 02:30:00 CET, 2024-10-27 03:30:00 CET");
	assert_string_equal(
	    due("30 * * * *", "2024-03-31T00:00:00Z", "Europe/Berlin", 2),
	    "2024-03-31 01:30:00 CET, 2024-03-31 03:30:00 CEST");
	/* set back by half an hour at 02:00 */
	assert_string_equal(due("*/15 * * * *", "2024-04-06T14:30:00Z",
				"Australia/Lord_Howe", 4),
	    "2024-04-07 01:45:00 +11, 2024-04-07 01:30:00 +1030, "
	    "2024-04-07 01:45:00 +1030, 2024-04-07 02:00:00 +1030");
	/* the day begins at one */
	assert_string_equal(
	    due("0 * 8 9 *", "2024-09-01T00:00:00Z", "America/Santiago", 2),
	    "2024-09-08 01:00:00 -03, 2024-09-08 02:00:00 -03");
}

static void
firings_always_move_on(void **state)
{
	static const char *const texts[] = { "* * * * * *", "*/7 * * * *",
		"0 0 * * *", "13 2,3 * * *", "0 0 1 * 1", "*/30 59 1-3 * * *" };
	static const char *const zones[] = { "Europe/Berlin",
		"America/Santiago", "Africa/Casablanca", "Pacific/Apia",
		"Australia/Lord_Howe" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts) * COUNT_OF(zones); i++) {
		struct zone *z = load(zones[i / COUNT_OF(texts)]);
		struct cron c;
		int64_t at, next;

		assert_true(time_parse(STR("2011-12-29T00:00:00Z"), &at));
		assert_int_equal(
		    cron_parse(str_of(texts[i % COUNT_OF(texts)]), &c, NULL),
		    0);
		for (int n = 0; n < 3000; n++) {
			next = cron_next(&c, at, z);
			assert_true(next > at);
			/* and none is jumped over */
			assert_int_equal(cron_next(&c, next - 1, z), next);
			at = next;
		}
		zone_free(z);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_say_when),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(
		    a_daily_time_that_is_leapt_over_is_due_at_the_leap),
		cmocka_unit_test(a_daily_time_that_comes_twice_is_due_once),
		cmocka_unit_test(
		    what_is_due_every_hour_follows_the_time_that_passes),
		cmocka_unit_test(firings_always_move_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * codec/zone_test.c - zones of the system, and zones made here.
 */
#include "codec/zone.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct zone *
load(const char *name)
{
	struct arena a = { 0 };
	struct buf bytes = { 0 };
	struct zone *z = NULL;
	struct err err;

	if (file_read(zone_path(&a, str_of(name)), &bytes, &err) != 0 ||
	    zone_new(buf_str(&bytes), str_of(name), &z, &err) != 0)
		fail_msg("%s", err.text);
	buf_free(&bytes);
	arena_fini(&a);
	return z;
}

/* A file of version 2 without any change, only a rule. */
static struct zone *
by_rule(const char *rule, struct err *err)
{
	static const char header[44] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				       "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				       "\0\0\0\1\0\0\0\4";
	struct buf b = { 0 };
	struct zone *z = NULL;

	for (int i = 0; i < 2; i++) {
		buf_add(&b, header, sizeof(header));
		buf_add(&b, "\0\0\0\0\0\0LMT\0", 10);
	}
	buf_addf(&b, "\n%s\n", rule);
	(void)zone_new(buf_str(&b), STR("rule"), &z, err);
	buf_free(&b);
	return z;
}

static const char *
shown(const struct zone *z, const char *utc)
{
	static char text[80];
	struct zone_time t;
	int64_t ms;

	assert_true(time_parse(str_of(utc), &ms));
	zone_local(z, ms, &t);
	snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d:%02d %s",
	    (int)t.year, t.month, t.day, t.hour, t.minute, t.second, t.abbr);
	return text;
}

static void
clocks_show_what_the_zone_says(void **state)
{
	struct zone *berlin = load("Europe/Berlin"),
		    *sydney = load("Australia/Sydney");

	(void)state;
	assert_string_equal(
	    shown(berlin, "2024-03-31T00:59:59Z"), "2024-03-31 01:59:59 CET");
	assert_string_equal(
	    shown(berlin, "2024-03-31T01:00:00Z"), "2024-03-31 03:00:00 CEST");
	assert_string_equal(
	    shown(berlin, "2024-10-27T00:59:59Z"), "2024-10-27 02:59:59 CEST");
	assert_string_equal(
	    shown(berlin, "2024-10-27T01:00:00Z"), "2024-10-27 02:00:00 CET");
	/* behind the table, by the rule */
	assert_string_equal(
	    shown(berlin, "2099-07-01T12:00:00Z"), "2099-07-01 14:00:00 CEST");
	assert_string_equal(
	    shown(sydney, "2099-01-01T12:00:00Z"), "2099-01-01 23:00:00 AEDT");
	assert_string_equal(
	    shown(sydney, "2099-07-01T12:00:00Z"), "2099-07-01 22:00:00 AEST");
	assert_string_equal(
	    shown(NULL, "1969-12-31T23:59:59Z"), "1969-12-31 23:59:59 UTC");
	assert_string_equal(zone_name(NULL), "UTC");
	assert_string_equal(zone_name(berlin), "Europe/Berlin");
	zone_free(berlin);
	zone_free(sydney);
}

static void
clocks_agree_with_the_c_library(void **state)
{
	static const char *const names[] = { "Europe/Berlin",
		"America/New_York", "Australia/Lord_Howe", "Asia/Kolkata",
		"America/Santiago", "Africa/Casablanca", "Europe/Dublin",
		"Pacific/Apia", "Asia/Tehran", "America/Nuuk" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct zone *z = load(names[i]);

		setenv("TZ", names[i], 1);
		tzset();
		for (int64_t s = -2000000000; s < 4300000000; s += 7654321) {
			time_t when = (time_t)s;
			struct tm tm;
			struct zone_time t;

			localtime_r(&when, &tm);
			zone_local(z, s * 1000, &t);
			if (t.offset_s != tm.tm_gmtoff ||
			    t.hour != tm.tm_hour || t.day != tm.tm_mday ||
			    t.month != tm.tm_mon + 1 ||
			    t.year != tm.tm_year + 1900 ||
			    t.weekday != tm.tm_wday ||
			    t.yearday != tm.tm_yday + 1 ||
			    strcmp(t.abbr, tm.tm_zone) != 0)
				fail_msg("%s %" PRId64 ": %s %d, not %s %d",
				    names[i], s, t.abbr, t.offset_s, tm.tm_zone,
				    (int)tm.tm_gmtoff);
		}
		zone_free(z);
	}
	unsetenv("TZ");
	tzset();
}

static void
a_rule_alone_is_a_zone(void **state)
{
	static const struct {
		const char *rule, *utc, *shown;
	} cases[] = {
		{ "<+0330>-3:30", "2024-01-01T00:00:00Z",
		    "2024-01-01 03:30:00 +0330" },
		{ "EST5EDT,M3.2.0,M11.1.0", "2024-03-10T06:59:59Z",
		    "2024-03-10 01:59:59 EST" },
		{ "EST5EDT,M3.2.0,M11.1.0", "2024-03-10T07:00:00Z",
		    "2024-03-10 03:00:00 EDT" },
		{ "IST-1GMT0,M10.5.0,M3.5.0/1", "2024-12-01T12:00:00Z",
		    "2024-12-01 12:00:00 GMT" },
		{ "IST-1GMT0,M10.5.0,M3.5.0/1", "2024-06-01T12:00:00Z",
		    "2024-06-01 13:00:00 IST" },
		{ "A0B,J60/0,J300", "2024-02-29T23:59:59Z",
		    "2024-02-29 23:59:59 A" },
		{ "A0B,J60/0,J300", "2024-03-01T00:00:00Z",
		    "2024-03-01 01:00:00 B" },
		{ "A0B,59/0,300", "2024-02-29T00:00:00Z",
		    "2024-02-29 01:00:00 B" },
		{ "A3B,M3.5.0/-2,M10.5.0/-1", "2024-03-31T01:00:00Z",
		    "2024-03-30 23:00:00 B" },
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct zone *z = by_rule(cases[i].rule, &err);

		if (z == NULL)
			fail_msg("%s: %s", cases[i].rule, err.text);
		assert_string_equal(shown(z, cases[i].utc), cases[i].shown);
		zone_free(z);
	}
}

static void
a_bad_rule_or_file_is_refused(void **state)
{
	static const char *const rules[] = { "CET", "CET-1CEST", "5", "<A",
		"A30", "A1B,M13.1.0,M1.1.0", "A1B,M3.6.0,M1.1.0", "A1B,J0,J1",
		"A1B,M3.1.0", "A1B,M3.1.0,M4.1.0x", "A1B,M3.1.0/168,M4.1.0" };
	struct zone *z = NULL;
	struct buf bytes = { 0 };
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rules); i++)
		if (by_rule(rules[i], &err) != NULL)
			fail_msg("taken: %s", rules[i]);
	assert_int_equal(
	    file_read("/usr/share/zoneinfo/Europe/Berlin", &bytes, &err), 0);
	for (size_t n = 0; n + 1 < bytes.len; n += n < 100 ? 1 : 7) {
		char *copy = malloc(n + 1); /* so that a read beyond is seen */

		memcpy(copy, bytes.ptr, n);
		if (zone_new((struct str){ copy, n }, STR("x"), &z, &err) == 0)
			zone_free(z);
		free(copy);
	}
	assert_int_equal(zone_new(STR("TZif"), STR("x"), &z, &err), ERR_PARAM);
	assert_string_equal(err.text, "time zone x: not a TZif file");
	buf_free(&bytes);
}

static void
names_can_not_leave_the_folder(void **state)
{
	static const char *const bad[] = { "/etc/passwd", "../../etc/passwd",
		"Europe//Berlin", "Europe/", "a b", ".", "posix/../x", "-x" };
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_null(zone_path(&a, str_of(bad[i])));
	assert_null(zone_path(&a, (struct str){ "UT\0C", 4 }));
	assert_string_equal(
	    zone_path(&a, STR("Etc/GMT+5")), "/usr/share/zoneinfo/Etc/GMT+5");
	assert_string_equal(zone_path(&a, STR("")), "/etc/localtime");
	arena_fini(&a);
}

static const char *
moment(const struct zone *z, int y, int m, int d, int h, int min)
{
	static char text[80];
	static const char *const kinds[] = { "once", "twice", "never" };
	char first[TIME_TEXT_LEN + 1], last[TIME_TEXT_LEN + 1];
	int64_t at, second;
	enum zone_kind kind = zone_moment(z, y, m, d, h, min, 0, &at, &second);

	time_format(at, first);
	time_format(second, last);
	snprintf(text, sizeof(text), "%s %.16s%s%.5s", kinds[kind], first,
	    at == second ? "" : " ", at == second ? "" : last + 11);
	return text;
}

static void
moments_are_found_where_the_clock_leaps(void **state)
{
	struct zone *berlin = load("Europe/Berlin"),
		    *howe = load("Australia/Lord_Howe"),
		    *apia = load("Pacific/Apia");

	(void)state;
	assert_string_equal(
	    moment(berlin, 2024, 7, 1, 12, 0), "once 2024-07-01T10:00");
	assert_string_equal(
	    moment(berlin, 2024, 3, 31, 2, 30), "never 2024-03-31T01:00");
	assert_string_equal(
	    moment(berlin, 2024, 3, 31, 3, 0), "once 2024-03-31T01:00");
	assert_string_equal(moment(berlin, 2024, 10, 27, 2, 30),
	    "twice 2024-10-27T00:30 01:30");
	assert_string_equal(
	    moment(berlin, 2024, 10, 27, 3, 0), "once 2024-10-27T02:00");
	assert_string_equal(moment(howe, 2024, 4, 7, 1, 45),
	    "twice 2024-04-06T14:45 15:15"); /* by half an hour */
	/* a whole day left out */
	assert_string_equal(
	    moment(apia, 2011, 12, 30, 12, 0), "never 2011-12-30T10:00");
	/* what is carried over */
	assert_string_equal(
	    moment(NULL, 2024, 14, 0, 25, 61), "once 2025-02-01T02:01");
	assert_string_equal(
	    moment(NULL, 2024, 0, 1, 0, -1), "once 2023-11-30T23:59");
	zone_free(berlin);
	zone_free(howe);
	zone_free(apia);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_show_what_the_zone_says),
		cmocka_unit_test(clocks_agree_with_the_c_library),
		cmocka_unit_test(a_rule_alone_is_a_zone),
		cmocka_unit_test(a_bad_rule_or_file_is_refused),
		cmocka_unit_test(names_can_not_leave_the_folder),
		cmocka_unit_test(moments_are_found_where_the_clock_leaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

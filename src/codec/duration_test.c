/*
 * codec/duration_test.c - spans of time from and to text.
 */
#include "codec/duration.h"

#include "base/base.h"
#include "base/test.h"

#include <inttypes.h>

static void
durations_are_read_as_go_reads_them(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} cases[] = {
		{ "0", 0 },
		{ "+0", 0 },
		{ "0s", 0 },
		{ "5s", 5 * DURATION_S },
		{ "-10m", -10 * DURATION_M },
		{ "+10m", 10 * DURATION_M },
		{ "1.5h", 90 * DURATION_M },
		{ ".5s", 500 * DURATION_MS },
		{ "1.s", DURATION_S },
		{ "1h20m5s", 4805 * DURATION_S },
		{ "5s1h", 3605 * DURATION_S },
		{ "250ms", 250 * DURATION_MS },
		{ "3us", 3000 },
		{ "3\xc2\xb5s", 3000 },
		{ "3\xce\xbcs", 3000 },
		{ "7ns", 7 },
		{ "2d", 48 * DURATION_H },
		{ "0.000000001s", 1 },
		{ "0.3333333333333333333h", 1199999999999 },
		{ "106751d", 106751 * DURATION_D },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int64_t ns = -1;

		if (!duration_parse(str_of(cases[i].text), &ns) ||
		    ns != cases[i].ns)
			fail_msg("%s: %" PRId64, cases[i].text, ns);
	}
}

static void
what_is_no_duration_is_refused(void **state)
{
	static const char *const cases[] = { "", "-", "3", "s", ".s", "1x",
		"1 s", " 1s", "1s ", "--1s", "1h-1m", "1.2.3s", "1e3s",
		"106752d", "99999999999999999999s", "9223372036854775808ns",
		"106751d999h", "1hour" };
	int64_t ns = 42;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (duration_parse(str_of(cases[i]), &ns))
			fail_msg("taken: %s", cases[i]);
	assert_int_equal(ns, 42);
	assert_false(duration_parse_ms(STR("1"), &ns));
	assert_true(duration_parse_ms(STR("-1.9ms"), &ns));
	assert_int_equal(ns, -1);
}

static void
durations_are_written_as_go_writes_them(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0s" },
		{ 1, "1ns" },
		{ 1100, "1.1\xc2\xb5s" },
		{ 2200000, "2.2ms" },
		{ 3300 * DURATION_MS, "3.3s" },
		{ 4 * DURATION_M + 5001 * DURATION_MS, "4m5.001s" },
		{ 5 * DURATION_H + 6 * DURATION_S, "5h0m6s" },
		{ -90 * DURATION_M, "-1h30m0s" },
		{ INT64_MAX, "2562047h47m16.854775807s" },
		{ INT64_MIN, "-2562047h47m16.854775808s" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf b = { 0 };

		duration_text(&b, cases[i].ns);
		assert_string_equal(buf_z(&b), cases[i].text);
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_read_as_go_reads_them),
		cmocka_unit_test(what_is_no_duration_is_refused),
		cmocka_unit_test(durations_are_written_as_go_writes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * plug/gateway/split_test.c - lines, whole however they were cut.
 */
#include "plug/gateway/split.h"

#include "base/test.h"

#include <stdio.h>
#include <string.h>

/* Everything that comes of `text` when it is fed in pieces of `step` bytes. */
static const char *
lines_of(const char *text, size_t step, size_t max)
{
	static char out[500];
	struct split s = { 0 };
	size_t all = strlen(text), n = 0;

	out[0] = '\0';
	for (size_t at = 0; at < all; at += step) {
		struct str line,
		    bytes = { text + at, all - at < step ? all - at : step };
		enum split_result what;

		while (
		    (what = split_next(&s, &bytes, max, &line)) != SPLIT_MORE)
			n += (size_t)(what == SPLIT_LINE
				? snprintf(out + n, sizeof(out) - n,
				      "[" STR_FMT "]", STR_ARG(line))
				: snprintf(out + n, sizeof(out) - n, "!"));
	}
	split_fini(&s);
	return out;
}

static void
lines_are_the_same_however_they_come(void **state)
{
	static const struct {
		const char *text, *lines;
	} cases[] = {
		{ "a\nbc\n", "[a][bc]" },
		{ "a\r\nb\r\n\r\n\n", "[a][b]" },
		{ "12345678\n", "[12345678]" },
		{ "123456789\na\n", "![a]" },
		{ "12345678901234567890", "!" },
		{ "123456789\n123456789\n", "!!" },
		{ "a\rb\n", "[a\rb]" },
		{ "no end", "" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step < 12; step++)
			assert_string_equal(
			    lines_of(cases[i].text, step, 8), cases[i].lines);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_the_same_however_they_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * base/err_test.c - sentences, and where they end.
 */
#include "base/test.h"

#include "base/err.h"
#include "base/str.h"

#include <string.h>

static void
a_sentence_that_is_too_long_is_cut_between_characters(void **state)
{
	char text[400];
	struct err err;

	(void)state;
	for (size_t shift = 0; shift < 3; shift++) { /* of three bytes each */
		memset(text, 'x', sizeof(text));
		for (size_t i = shift; i + 3 < sizeof(text); i += 3)
			memcpy(text + i, "€", 3);
		text[sizeof(text) - 1] = '\0';
		assert_int_equal(
		    err_set(&err, ERR_PARAM, "%s", text), ERR_PARAM);
		assert_true(str_is_utf8(str_of(err.text)));
		assert_in_range(strlen(err.text), sizeof(err.text) - 3,
		    sizeof(err.text) - 1);
		(void)err_wrap(&err, "y");
		assert_true(str_is_utf8(str_of(err.text)));
	}
}

static void
what_is_no_text_stays_as_it_is(void **state)
{
	struct err err;

	(void)state;
	(void)err_set(&err, ERR_PARAM, "a\xFF");
	assert_string_equal(err.text, "a\xFF");
	(void)err_set(&err, ERR_PARAM, "%s", "");
	assert_string_equal(err.text, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_sentence_that_is_too_long_is_cut_between_characters),
		cmocka_unit_test(what_is_no_text_stays_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

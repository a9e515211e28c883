/*
 * codec/smartrest_test.c - records as they are written, and read again.
 */
#include "codec/smartrest.h"

#include "base/base.h"
#include "base/test.h"

#include <string.h>

static void
fields_are_quoted_when_they_must_be(void **state)
{
	static const char *const table[][2] = {
		{ "plain", "1,plain" },
		{ "", "1," },
		{ "two words", "1,two words" },
		{ "a,b", "1,\"a,b\"" },
		{ "say \"hi\"", "1,\"say \"\"hi\"\"\"" },
		{ "\"", "1,\"\"\"\"" },
		{ "a\nb", "1,\"a\nb\"" },
		{ "a\r", "1,\"a\r\"" },
		{ "bell\a and \x7F"
		  "del",
		    "1,bell and del" },
		{ "tab\there", "1,tab\there" },
		{ "gr\xC3\xBCn", "1,gr\xC3\xBCn" },
	};
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		buf_clear(&out);
		buf_addc(&out, '1');
		smartrest_add(&out, str_of(table[i][0]));
		assert_string_equal(buf_z(&out), table[i][1]);
	}
	buf_clear(&out);
	smartrest_add_quoted(&out, STR("x"));
	smartrest_add_quoted(&out, STR_NULL);
	assert_string_equal(buf_z(&out), ",\"x\",\"\"");
	buf_free(&out);
}

static void
a_long_result_is_cut_between_characters(void **state)
{
	static const struct {
		const char *field;
		size_t max;
		const char *want;
	} table[] = {
		{ "0123456789", 100, "503,0123456789" },
		{ "0123456789abcdefghij", 25, "503,0123456...<trimmed>" },
		{ "0123456789abcdefghi", 25, "503,0123456789abcdefghi" },
		/* Never through a doubled quote ... */
		{ "01\"\"\"\"6789abcdefghij", 21, "503,\"01...<trimmed>\"" },
		{ "01\"\"\"\"6789abcdefghij", 22,
		    "503,\"01\"\"...<trimmed>\"" },
		/* ... nor a character. */
		{ "01\xC3\xBC"
		  "456789abcdefghij",
		    21, "503,01...<trimmed>" },
		{ "01\xC3\xBC"
		  "456789abcdefghij",
		    22, "503,01\xC3\xBC...<trimmed>" },
		{ "0123456789", 5, "503," },
	};
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		buf_clear(&out);
		buf_addz(&out, "503");
		smartrest_add_result(
		    &out, str_of(table[i].field), table[i].max);
		assert_string_equal(buf_z(&out), table[i].want);
	}
	buf_free(&out);
}

static void
records_are_read_field_by_field(void **state)
{
	static const char *const table[][2] = {
		{ "528,dev,name", "[528][dev][name]" },
		{ "510,dev\n511,dev,ls\n", "[510][dev]|[511][dev][ls]" },
		{ "510,dev\r\n\r\n511,dev", "[510][dev]|[511][dev]" },
		{ "1,\"a,b\",c", "[1][a,b][c]" },
		{ "1,\"say \"\"hi\"\"\"", "[1][say \"hi\"]" },
		{ "1,\"two\nlines\",x", "[1][two\nlines][x]" },
		{ "1,,", "[1][][]" },
		{ "1,\"\",\"\"\"\"", "[1][][\"]" },
		{ "1, ,x", "[1][ ][x]" },
		{ "1,a\"b", "[1][a\"b]" },
		{ "1,\"a\"b,c", "[1][ab][c]" },
		{ "", "" },
		{ "\n\r\n", "" },
		{ "1,\"open\n2,x",
		    "!a field begins with a quote and has no "
		    "end" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct str text = str_of(table[i][0]);
		struct buf heard = { 0 };
		struct arena a = { 0 };
		struct err err = { 0 };
		struct strs r;
		int rc;

		while ((rc = smartrest_read(&text, &a, &r, &err)) == 0) {
			if (heard.len > 0)
				buf_addc(&heard, '|');
			for (size_t k = 0; k < r.n; k++)
				buf_addf(
				    &heard, "[" STR_FMT "]", STR_ARG(r.at[k]));
		}
		if (rc != ERR_NOT_FOUND)
			buf_addf(&heard, "!%s", err.text);
		assert_string_equal(buf_z(&heard), table[i][1]);
		buf_free(&heard);
		arena_fini(&a);
	}
}

static void
too_many_fields_are_refused(void **state)
{
	struct arena a = { 0 };
	struct buf line = { 0 };
	struct err err = { 0 };
	struct str text;
	struct strs r;

	(void)state;
	for (int i = 0; i < SMARTREST_FIELDS_MAX; i++)
		buf_addc(&line, ',');
	buf_addz(&line, "\n1,x");
	text = buf_str(&line);
	assert_int_equal(smartrest_read(&text, &a, &r, &err), ERR_LIMIT);
	assert_non_null(strstr(err.text, "4097 fields"));
	assert_int_equal(smartrest_read(&text, &a, &r, &err), 0);
	assert_int_equal(r.n, 2);
	assert_str(r.at[1], "x");
	buf_free(&line);
	arena_fini(&a);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_quoted_when_they_must_be),
		cmocka_unit_test(a_long_result_is_cut_between_characters),
		cmocka_unit_test(records_are_read_field_by_field),
		cmocka_unit_test(too_many_fields_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

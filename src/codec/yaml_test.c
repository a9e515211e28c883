/*
 * codec/yaml_test.c - JSON as YAML.
 */
#include "codec/yaml.h"

#include "base/base.h"
#include "base/test.h"
#include "codec/json.h"

#include <string.h>

static void
values_are_written_in_blocks(void **state)
{
	static const struct {
		const char *json, *yaml;
	} cases[] = {
		{ "{}", "{}\n" },
		{ "[]", "[]\n" },
		{ "21.50", "21.50\n" },
		{ "[1e5,-1.5E-3,2e+7]", "- 1.0e+5\n- -1.5e-3\n- 2.0e+7\n" },
		{ "\"x\"", "x\n" },
		{ "{\"a\":1,\"b\":null,\"c\":true,\"d\":\"two words\"}",
		    "a: 1\nb: null\nc: true\nd: two words\n" },
		{ "{\"a\":{\"b\":{\"c\":1},\"d\":{}},\"e\":[]}",
		    "a:\n  b:\n    c: 1\n  d: {}\ne: []\n" },
		{ "{\"l\":[1,\"x\",{\"a\":1,\"b\":[2,3]},[4,[5]],[],{}]}",
		    "l:\n- 1\n- x\n- a: 1\n  b:\n  - 2\n  - 3\n"
		    "- - 4\n  - - 5\n- []\n- {}\n" },
		{ "[{\"a\":{\"b\":1}}]", "- a:\n    b: 1\n" },
		{ "{\"a b\":\"x\",\"1\":\"y\",\"\":\"z\"}",
		    "a b: x\n\"1\": \"y\"\n\"\": z\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf b = { 0 };

		assert_true(yaml_write(&b, str_of(cases[i].json)));
		assert_string_equal(buf_z(&b), cases[i].yaml);
		buf_free(&b);
	}
}

static void
what_could_be_something_else_is_quoted(void **state)
{
	static const char *const quoted[] = { "", " a", "a ", "true", "NO",
		"Off", "null", "y", "1", "1e3", "-", "- a", "a: b", "a #b",
		"#a", "&a", "*a", "!a", "%a", "@a", "[a", "{a", "'a", ".5",
		"2024-01-01", "0x1f", "a,b", "a:", "? a", "| a", "> a",
		"\xc3\xa4", "=", "~", "<<" };
	static const char *const plain[] = { "a", "a-b", "http", "a/b.c",
		"nope", "ON2", "x 1" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(quoted) + COUNT_OF(plain); i++) {
		bool want = i < COUNT_OF(quoted);
		const char *text =
		    want ? quoted[i] : plain[i - COUNT_OF(quoted)];
		struct buf json = { 0 }, b = { 0 };

		json_quote(&json, str_of(text));
		assert_true(yaml_write(&b, buf_str(&json)));
		if ((b.ptr[0] == '"') != want)
			fail_msg("%s", buf_z(&b));
		buf_free(&json);
		buf_free(&b);
	}
}

static void
line_ends_stay_in_their_text(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_true(yaml_write(&b, STR("{\"a\":\"x\\ny: 1\\u0085\"}")));
	assert_null(memchr(b.ptr, '\n', b.len - 1));
	assert_non_null(strstr(buf_z(&b), "\\u0085"));
	buf_clear(&b);
	assert_true(yaml_write(&b, STR("\"\xe2\x80\xa8\x7f\xe2\x82\xac\"")));
	assert_string_equal(buf_z(&b), "\"\\u2028\\u007F\xe2\x82\xac\"\n");
	buf_clear(&b);
	assert_false(yaml_write(&b, STR("{\"a\":")));
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_written_in_blocks),
		cmocka_unit_test(what_could_be_something_else_is_quoted),
		cmocka_unit_test(line_ends_stay_in_their_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void
yaml_is_read(void **state)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{ "", "null" },
		{ "# nothing\n", "null" },
		{ "a: 1\nb: [x, \"2\", 2.5, -3, +4, 1e+06]\n",
		    "{\"a\":1,\"b\":[\"x\",\"2\",2.5,-3,4,1e+06]}" },
		{ "a: ~\nb:\nc: null\nd: \"\"\ne: .nan\n",
		    "{\"a\":null,\"b\":null,\"c\":null,\"d\":\"\","
		    "\"e\":null}" },
		{ "- true\n- False\n- yes\n- 0x1F\n- 007\n- !!str 5\n",
		    "[true,false,\"yes\",31,\"007\",\"5\"]" },
		{ "a: |\n  if (x) {\n    y\n  }\nb: >-\n  one\n  two\n",
		    "{\"a\":\"if (x) {\\n  y\\n}\\n\",\"b\":\"one two\"}" },
		{ "at: 2026-05-01T10:00:00.12+02:00\n\"k 1\": {}\n",
		    "{\"at\":\"2026-05-01T10:00:00.12+02:00\",\"k 1\":{}}" },
		{ "- a: 1\n  b:\n  - 2\n- []\n", "[{\"a\":1,\"b\":[2]},[]]" },
		{ "{\"a\":[1,\"x\\u00e9\"]}", "{\"a\":[1,\"x\xc3\xa9\"]}" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf b = { 0 };
		struct err err = { 0 };

		if (yaml_read(&b, str_of(cases[i].yaml), &err) != 0)
			fail_msg("%s: %s", cases[i].yaml, err.text);
		assert_string_equal(buf_z(&b), cases[i].json);
		buf_free(&b);
	}
}

static void
what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *yaml, *said;
	} cases[] = {
		{ "a: [1, 2", "YAML" },
		{ "a: \"x", "YAML" },
		{ "a: &x 1\nb: *x\n", "aliases" },
		{ "a: 1\n---\nb: 2\n", "more than one" },
		{ "? [a]\n: 1\n", "key" },
		{ "%:,a:", "directives" },
		{ "a: 1\n%YAML 1.1\n", "directives" },
		{ "a: 1\n b: 2\n", "YAML" },
		{ "\"\xff\"", "YAML" },
	};
	struct buf deep = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf b = { 0 };
		struct err err = { 0 };

		buf_addz(&b, "before");
		assert_int_not_equal(
		    yaml_read(&b, str_of(cases[i].yaml), &err), 0);
		if (strstr(err.text, cases[i].said) == NULL)
			fail_msg("%s: %s", cases[i].yaml, err.text);
		assert_string_equal(buf_z(&b), "before");
		buf_free(&b);
	}
	for (int i = 0; i < 100000; i++)
		buf_addc(&deep, '[');
	{
		struct buf b = { 0 };
		struct err err = { 0 };

		assert_int_not_equal(yaml_read(&b, buf_str(&deep), &err), 0);
		buf_free(&b);
	}
	buf_free(&deep);
}

/* What the writer writes the reader reads, as it was. */
static void
there_and_back(void **state)
{
	static const char *const values[] = { "{\"a\":[1,2.5,-3e+5,\"1e5\"],"
					      "\"b\":{\"c\":null,\"d\":true}}",
		"[\"no\",\"~\",\"\",\" x\",\"a: b\",\"# c\",\"- d\","
		"\"line\\nline\",\"\\u0007\",\"\xe2\x80\xa8\",\"0x1\"]",
		"\"text\"", "[]", "{}", "null" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		struct buf yaml = { 0 }, back = { 0 }, want = { 0 };
		struct err err = { 0 };

		assert_true(yaml_write(&yaml, str_of(values[i])));
		if (yaml_read(&back, buf_str(&yaml), &err) != 0)
			fail_msg("%s: %s", buf_z(&yaml), err.text);
		assert_true(json_compact(&want, str_of(values[i]), 0));
		if (i > 0) /* of numbers only the value stays */
			assert_string_equal(buf_z(&back), buf_z(&want));
		buf_free(&yaml);
		buf_free(&back);
		buf_free(&want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(yaml_is_read),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(values_are_written_in_blocks),
		cmocka_unit_test(what_could_be_something_else_is_quoted),
		cmocka_unit_test(line_ends_stay_in_their_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * codec/toml_test.c - TOML is read, and changed without touching the rest.
 */
#include "codec/toml.h"

#include "base/base.h"
#include "base/test.h"
#include "codec/json.h"

#include <string.h>

static void
put(struct json_out *o, const struct toml *v)
{
	switch (v->type) {
	case TOML_TEXT:
		json_out_str(o, v->text);
		break;
	case TOML_INT:
		json_out_int(o, v->number);
		break;
	case TOML_REAL:
		json_out_real(o, v->real);
		break;
	case TOML_BOOL:
		json_out_bool(o, v->yes);
		break;
	case TOML_TIME:
		json_out_str(o, v->text);
		break;
	case TOML_ARRAY:
		json_out_array(o);
		for (const struct toml *m = v->first; m != NULL; m = m->next)
			put(o, m);
		json_out_end_array(o);
		break;
	case TOML_TABLE:
		json_out_object(o);
		for (const struct toml *m = v->first; m != NULL; m = m->next) {
			json_out_key_str(o, m->key);
			put(o, m);
		}
		json_out_end_object(o);
		break;
	}
}

/* The text as JSON, or what is wrong with it. */
static void
as_json(struct str text, struct buf *out)
{
	struct arena a = { 0 };
	struct toml *root;
	struct json_out o;
	struct err err;

	buf_clear(out);
	json_out_init(&o, out, false);
	if (toml_read(&a, text, &root, &err) == 0)
		put(&o, root);
	else
		buf_addz(out, err.text);
	arena_fini(&a);
}

static void
texts_are_read_as_toml_1_0_says(void **state)
{
	static const struct {
		const char *text, *json;
	} cases[] = {
		{ "", "{}" },
		{ "\xef\xbb\xbf# only this", "{}" },
		{ "a=1", "{\"a\":1}" },
		{ "a = 1 # one\r\nb = 'x'\r\n", "{\"a\":1,\"b\":\"x\"}" },
		{ "[c8y]\nurl = \"x\"\n[c8y.proxy.bind]\nport = 8001\n",
		    "{\"c8y\":{\"url\":\"x\",\"proxy\":{\"bind\":{\"port\":"
		    "8001}"
		    "}}}" },
		{ "a.b.c = 1\na.d = 2\n[a.e]\nf = 3",
		    "{\"a\":{\"b\":{\"c\":1},\"d\":2,\"e\":{\"f\":3}}}" },
		{ "[a.b]\nx=1\n[a]\ny=2", "{\"a\":{\"b\":{\"x\":1},\"y\":2}}" },
		{ "\"a.b\" . 'c d' = 1", "{\"a.b\":{\"c d\":1}}" },
		{ "1234 = 0", "{\"1234\":0}" },
		{ "\"\" = 0", "{\"\":0}" },
		/* strings */
		{ "a = \"\\b\\t\\n\\f\\r\\\"\\\\\\u00e9\\U0001F600\"",
		    "{\"a\":\"\\b\\t\\n\\f\\r\\\"\\\\\xc3\xa9\xf0\x9f\x98\x80\""
		    "}" },
		{ "a = 'c:\\x'", "{\"a\":\"c:\\\\x\"}" },
		{ "a = \"\"\"\nx\ny\\\n   z\"\"\"", "{\"a\":\"x\\nyz\"}" },
		{ "a = '''\n'x'\\'''", "{\"a\":\"'x'\\\\\"}" },
		{ "a = \"\"\"\"q\"\"\"\"\"", "{\"a\":\"\\\"q\\\"\\\"\"}" },
		{ "a = \"\"", "{\"a\":\"\"}" },
		/* numbers */
		{ "a = [0, -0, +7, 1_000, 0xfF, 0o17, 0b101, "
		  "-9223372036854775808]",
		    "{\"a\":[0,0,7,1000,255,15,5,-9223372036854775808]}" },
		{ "a = [1.5, -2e3, 1E-2, 6.02_1e+2, inf, -inf, nan]",
		    "{\"a\":[1.5,-2000,0.01,602.1,null,null,null]}" },
		{ "a = [true,false,]", "{\"a\":[true,false]}" },
		{ "a = [ # one\n 1, # two\n\n 2\n ]", "{\"a\":[1,2]}" },
		/* times */
		{ "a = 1979-05-27T07:32:00Z\nb = 1979-05-27 07:32:00.5-07:00\n"
		  "c = 2024-02-29\nd = 07:32:00",
		    "{\"a\":\"1979-05-27T07:32:00Z\",\"b\":\"1979-05-27 "
		    "07:32:00.5-07:00\",\"c\":\"2024-02-29\",\"d\":\"07:32:00\""
		    "}" },
		/* tables */
		{ "a = {}\nb = { x = 1, y.z = [ {} , {q=1} ] }",
		    "{\"a\":{},\"b\":{\"x\":1,\"y\":{\"z\":[{},{\"q\":1}]}}}" },
		{ "[[f]]\na=1\n[f.g]\nh=2\n[[f]]\n[[f.i]]\nj=1\n[[f.i]]",
		    "{\"f\":[{\"a\":1,\"g\":{\"h\":2}},{\"i\":[{\"j\":1},{}]}]}"
		    "" },
	};
	struct buf got = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		as_json(str_of(cases[i].text), &got);
		if (!str_eqz(buf_str(&got), cases[i].json))
			fail_msg("%s\ngives %s\nnot   %s", cases[i].text,
			    buf_z(&got), cases[i].json);
	}
	buf_free(&got);
}

static void
what_is_no_toml_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "a", "line 1 column 2: \"=\" must stand here" },
		{ "a = ", "line 1 column 5: a value must stand here" },
		{ "\n\n  = 1", "line 3 column 3: a key must stand here" },
		{ "a = 1 b = 2", "line 1 column 7: the line must end here" },
		{ "a = 1\na = 2", "line 2 column 1: this key is there twice" },
		{ "[a]\n[a]", "line 2 column 1: this table is there twice" },
		{ "a.b=1\n[a]", "line 2 column 1: this table is there twice" },
		{ "a=1\n[a]", "line 2 column 1: this table is there twice" },
		{ "a=1\na.b=1",
		    "line 2 column 2: this was given another value before" },
		{ "a={x=1}\n[a.b]",
		    "line 2 column 3: this was given another value before" },
		{ "a={x=1}\na.y=1",
		    "line 2 column 2: this was given another value before" },
		{ "a=[]\n[[a]]",
		    "line 2 column 1: this was given another value before" },
		{ "[a.b.c]\nz=9\n[a]\nb.c.t=1",
		    "line 4 column 4: this was given another value before" },
		{ "[a.b]\nx=1\n[a]\nq.r=1\n[c]\n[a.q]",
		    "line 6 column 1: this table is there twice" },
		{ "[[a]]\n[a]", "line 2 column 1: this table is there twice" },
		{ "[a", "line 1 column 3: \"]\" must stand here" },
		{ "[[a]", "line 1 column 4: \"]\" must stand here" },
		{ "a = \"x", "line 1 column 7: the string does not end" },
		{ "a = \"x\n\"",
		    "line 1 column 7: the string does not end on its line" },
		{ "a = '''x\ny", "line 2 column 2: the string does not end" },
		{ "a = \"\\q\"", "line 1 column 7: no such escape" },
		{ "a = \"\\ud800\"", "line 1 column 12: no such character" },
		{ "a = \"\\u12\"",
		    "line 1 column 10: a hex digit must stand here" },
		{ "a = \"\x01\"",
		    "line 1 column 6: a control character in a string" },
		{ "# \x01",
		    "line 1 column 3: a control character in a comment" },
		{ "a = \xff", "line 1 column 1: the text is not UTF-8" },
		{ "a = 01",
		    "line 1 column 5: a number with a zero at its beginning" },
		{ "a = 1__0", "line 1 column 5: not a value" },
		{ "a = _1", "line 1 column 5: not a value" },
		{ "a = 1.", "line 1 column 5: a digit must follow the point" },
		{ "a = 1e", "line 1 column 5: a number must follow the e" },
		{ "a = 1x", "line 1 column 5: not a number" },
		{ "a = 0x", "line 1 column 5: not a number" },
		{ "a = +0x1", "line 1 column 5: not a number" },
		{ "a = yes", "line 1 column 5: not a value" },
		{ "a = 9223372036854775808",
		    "line 1 column 5: the number is out of range" },
		{ "a = 2023-02-29", "line 1 column 5: not a date or time" },
		{ "a = 24:00:00", "line 1 column 5: not a date or time" },
		{ "a = [1 2]",
		    "line 1 column 8: \",\" or \"]\" must stand here" },
		{ "a = {x=1,}", "line 1 column 10: a key must stand here" },
		{ "a = {x=1\n}",
		    "line 1 column 9: \",\" or \"}\" must stand here" },
		{ "a = {x=1,x=2}",
		    "line 1 column 10: this key is there twice" },
	};
	struct buf got = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		as_json(str_of(cases[i].text), &got);
		if (!str_eqz(buf_str(&got), cases[i].why))
			fail_msg("%s\ngives %s\nnot   %s", cases[i].text,
			    buf_z(&got), cases[i].why);
	}
	buf_free(&got);
}

static void
depth_and_number_of_keys_are_bounded(void **state)
{
	struct arena a = { 0 };
	struct buf text = { 0 };
	struct toml *root;
	struct err err;

	(void)state;
	buf_addz(&text, "a = ");
	for (int i = 0; i < 100000; i++)
		buf_addc(&text, '[');
	assert_int_equal(toml_read(&a, buf_str(&text), &root, &err), ERR_LIMIT);
	buf_clear(&text);
	for (int i = 0; i < TOML_TABLE_MAX; i++)
		buf_addf(&text, "k%d = %d\n", i, i);
	assert_int_equal(toml_read(&a, buf_str(&text), &root, &err), 0);
	buf_addz(&text, "more = 1");
	assert_int_equal(toml_read(&a, buf_str(&text), &root, &err), ERR_LIMIT);
	buf_free(&text);
	arena_fini(&a);
}

static void
a_value_is_found_by_its_path(void **state)
{
	struct arena a = { 0 };
	struct toml *root;

	(void)state;
	assert_int_equal(
	    toml_read(&a, STR("[a]\nb.c = 5\nd = 1"), &root, NULL), 0);
	assert_int_equal(toml_at(root, "a.b.c")->number, 5);
	assert_int_equal(toml_at(root, "a.b.c")->line, 2);
	assert_null(toml_at(root, "a.x.c"));
	assert_null(toml_at(root, "a.d.c"));
	assert_int_equal(toml_read_value(&a, STR("[1, 'x']"), &root, NULL), 0);
	assert_int_equal(root->n, 2);
	assert_int_equal(
	    toml_read_value(&a, STR("1 2"), &root, NULL), ERR_PARAM);
	arena_fini(&a);
}

static void
one_value_is_changed_and_every_other_byte_stays(void **state)
{
	static const struct {
		const char *text, *path, *value, *gives;
	} cases[] = {
		{ "", "a.b", "1", "[a]\nb = 1\n" },
		{ "# mine\n[a] # t\nb = 2   # why\n", "a.b", "\"x\"",
		    "# mine\n[a] # t\nb = \"x\"   # why\n" },
		{ "[a]\nb = [\n 1, # x\n]\nc = 1", "a.b", "2",
		    "[a]\nb = 2\nc = 1" },
		/* added where its table is */
		{ "[a]\nb = 1 # x\n\n# about c\n[c]\nd = 1\n", "a.e", "2",
		    "[a]\nb = 1 # x\ne = 2\n\n# about c\n[c]\nd = 1\n" },
		{ "[c]\nd = 1", "c.e", "2", "[c]\nd = 1\ne = 2\n" },
		{ "[a]\nb.c = 1\n[x]\n", "a.b.d", "2",
		    "[a]\nb.c = 1\nb.d = 2\n[x]\n" },
		{ "a.b = 1\n[x]\n", "a.c.d", "2", "a.b = 1\na.c.d = 2\n[x]\n" },
		{ "[a]\nx=1", "a.b.c", "2", "[a]\nx=1\n\n[a.b]\nc = 2\n" },
		{ "[a.b]\nx=1\n", "a.c", "2", "[a.b]\nx=1\n\n[a]\nc = 2\n" },
		{ "[a]\r\nx=1\r\n", "a.y", "2", "[a]\r\nx=1\r\ny = 2\r\n" },
		{ "[a]\n", "a.'b c'.d", "1", "[a]\n\n[a.\"b c\"]\nd = 1\n" },
		{ "# top\n[a]\n", "b", "1", "b = 1\n# top\n[a]\n" },
		/* within braces */
		{ "a = { b = 1 } # x\n", "a.c", "2",
		    "a = { b = 1, c = 2 } # x\n" },
		{ "a = {}\n", "a.c.d", "2", "a = { c.d = 2 }\n" },
		{ "a = {b.c = 1}\n", "a.b.d", "2",
		    "a = {b.c = 1, b.d = 2 }\n" },
		{ "a = {b=1,c=2}\n", "a.b", "7", "a = {b=7,c=2}\n" },
		/* taken away */
		{ "[a]\n# about\nb = 1 # x\nc = 2\n", "a.b", NULL,
		    "[a]\n# about\nc = 2\n" },
		{ "[a]\nb = [\n1,\n]\nc = 2", "a.b", NULL, "[a]\nc = 2" },
		{ "a = {b=1, c=2, d=3}", "a.b", NULL, "a = { c=2, d=3}" },
		{ "a = {b=1, c=2, d=3}", "a.c", NULL, "a = {b=1, d=3}" },
		{ "a = {b=1, c=2, d=3 }", "a.d", NULL, "a = {b=1, c=2 }" },
		{ "a = { b=1 }", "a.b", NULL, "a = {  }" },
		{ "[a]\nb=1\n", "a.c", NULL, "[a]\nb=1\n" },
	};
	struct buf got = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct str parts[8], rest = str_of(cases[i].path);
		struct strs path = { parts, 0 };
		struct arena a = { 0 };
		struct toml *root;
		struct err err = { 0 };

		while (rest.ptr != NULL) {
			parts[path.n] = str_cut(&rest, '.');
			if (parts[path.n].ptr[0] == '\'') {
				parts[path.n].ptr++;
				parts[path.n].len -= 2;
			}
			path.n++;
		}
		buf_clear(&got);
		if (toml_set(str_of(cases[i].text), path,
			str_of(cases[i].value), &got, &err) != 0 ||
		    !str_eqz(buf_str(&got), cases[i].gives))
			fail_msg("%s\n%s\ngives %s\nnot   %s", cases[i].text,
			    err.text, buf_z(&got), cases[i].gives);
		assert_int_equal(toml_read(&a, buf_str(&got), &root, &err), 0);
		arena_fini(&a);
	}
	buf_free(&got);
}

static void
a_table_is_not_replaced_by_a_value(void **state)
{
	struct str path[] = { STR("a"), STR("b") };
	struct buf out = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(toml_set(STR("[a.b]\nc=1"), (struct strs){ path, 2 },
			     STR("1"), &out, &err),
	    ERR_PARAM);
	assert_string_equal(err.text, "line 1: \"b\" is a table, not a value");
	assert_int_equal(toml_set(STR("a=1"), (struct strs){ path, 2 },
			     STR("1"), &out, &err),
	    ERR_PARAM);
	assert_string_equal(err.text, "line 1: \"a\" is no table");
	assert_int_equal(toml_set(STR("a = {b.c = 1}"),
			     (struct strs){ path, 2 }, STR("1"), &out, &err),
	    ERR_PARAM);
	assert_string_equal(err.text, "line 1: \"b\" is a table, not a value");
	assert_int_equal(out.len, 0);
	buf_free(&out);
}

static void
texts_are_quoted_so_that_they_come_back(void **state)
{
	struct buf out = { 0 };

	(void)state;
	toml_quote(&out, STR("a\"b\\c\n\t\x01\x7f\xc3\xa9"));
	assert_string_equal(
	    buf_z(&out), "\"a\\\"b\\\\c\\n\\t\\u0001\\u007F\xc3\xa9\"");
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_read_as_toml_1_0_says),
		cmocka_unit_test(what_is_no_toml_is_refused_with_its_place),
		cmocka_unit_test(depth_and_number_of_keys_are_bounded),
		cmocka_unit_test(a_value_is_found_by_its_path),
		cmocka_unit_test(
		    one_value_is_changed_and_every_other_byte_stays),
		cmocka_unit_test(a_table_is_not_replaced_by_a_value),
		cmocka_unit_test(texts_are_quoted_so_that_they_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

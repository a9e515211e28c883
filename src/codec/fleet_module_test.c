/*
 * codec/fleet_module_test.c - files of modules: what is read, what is refused,
 * and what templates do with values.
 */
#include "codec/fleet_module_private.h"

#include "base/base.h"
#include "base/test.h"

#include <stdio.h>
#include <string.h>

#define HEAD                                                                   \
	"type: 'x.Y', name: {en: 'X', de: 'Ix'}, targets: ['nixos','linux'], "

static struct fleet_module *
module(struct arena *a, const char *text)
{
	struct fleet_module *m;
	struct err err;

	if (fleet_module_read(str_of(text), a, &m, &err) != 0)
		fail_msg("%s", err.text);
	return m;
}

static void
a_file_is_read_and_shown(void **state)
{
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct json_out o;
	struct fleet_module *m = module(&a,
	    "{" HEAD "settings: { // a comment\n"
	    "k: {name: 'K', type: {type: 'list', 'list-of': {"
	    "n: {name: {en: 'N', de: 'Enn'}, type: {type: 'int', min: 1, max: "
	    "9}, default: 3, required: true}}, 'element-name': 'one'}, merge: "
	    "{by: 'n'}, option: ['a.b', 'c.\"d e\"'], each: 'n'}}}");

	(void)state;
	json_out_init(&o, &b, false);
	fleet_module_write(m, STR("de"), &o);
	assert_string_equal(buf_z(&b),
	    "{\"type\":\"x.Y\",\"displayName\":\"Ix\",\"description\":null,"
	    "\"category\":null,\"icon\":null,\"iconDark\":null,\"targets\":["
	    "\"nixos\",\"linux\"],\"eachSource\":false,\"input\":null,"
	    "\"settings\":{\"k\":{\"displayName\":\"K\",\"type\":{\"type\":"
	    "\"list\",\"list-of\":{\"n\":{\"displayName\":\"Enn\",\"type\":{"
	    "\"type\":\"int\",\"min\":1,\"max\":9},\"description\":null,"
	    "\"default\":3,\"example\":null,\"order\":10,\"required\":true}},"
	    "\"element-name\":\"one\"},\"description\":null,\"default\":null,"
	    "\"example\":null,\"order\":10,\"option\":[\"a.b\",\"c.\\\"d "
	    "e\\\"\"],\"merge\":\"by\",\"mergeBy\":\"n\"}}}");
	buf_free(&b);
	arena_fini(&a);
}

static void
slips_are_told(void **state)
{
	static const char *const cases[][2] = {
		{ "{", "" },
		{ "{}", "`type` is missing" },
		{ "{type: '../x', name: 'X', targets: []}", "`type`" },
		{ "{type: 'x', targets: ['nixos']}", "`name` is missing" },
		{ "{type: 'x', name: 'X'}", "`targets` is missing" },
		{ "{" HEAD "setings: {}}", "member \"setings\" is not known" },
		{ "{" HEAD "targets: ['bsd']}", "a target is" },
		{ "{" HEAD "settings: {a: {type: 'string'}}}",
		    "setting \"a\": a setting without a name" },
		{ "{" HEAD "settings: {a: {name: 'A', type: 'strng'}}}",
		    "type of a setting that is not known" },
		{ "{" HEAD "settings: {a: {name: 'A', type: 'int', default: "
		  "'1'}}}",
		    "its default is no value" },
		{ "{" HEAD "settings: {a: {name: 'A', type: 'string', option: "
		  "'a.${b}'}}}",
		    "`option` is no path" },
		{ "{" HEAD "settings: {a: {name: 'A', type: 'string', merge: "
		  "'append'}}}",
		    "only lists" },
		{ "{" HEAD "settings: {a: {name: 'A', type: {type: 'secret'}, "
		  "option: 'a'}}}",
		    "needs on-device-path" },
		{ "{" HEAD "nixos: {function: '../evil.nix'}}",
		    "`nixos.function`" },
		{ "{" HEAD "name: {fr: 'X'}}", "another language" },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct fleet_module *m;
		struct err err;

		assert_int_equal(
		    fleet_module_read(str_of(cases[i][0]), &a, &m, &err),
		    ERR_PARAM);
		if (strstr(err.text, cases[i][1]) == NULL)
			fail_msg("%s: %s", cases[i][0], err.text);
	}
	arena_fini(&a);
}

static void
values_are_checked_by_their_type(void **state)
{
	static const char *const cases[][3] = {
		{ "'int'", "1.5", "k: must be a whole number" },
		{ "{type: 'int', min: 1, max: 3}", "4", "k: must be 1 to 3" },
		{ "'bool'", "1", "k: must be true or false" },
		{ "'string'", "[]", "k: must be a text" },
		{ "'string'", "\"a\\u0000\"", "k: holds a zero byte" },
		{ "{type: 'string', format: 'path'}", "\"a\"",
		    "k: must be an absolute path" },
		{ "{type: 'string', format: 'path'}", "\"/a/../b\"",
		    "k: must be a path without \"..\"" },
		{ "{type: 'string', format: 'mode'}", "\"9\"",
		    "k: must be octal, as 0644" },
		{ "{type: 'string', format: 'name'}", "\"a b\"",
		    "k: must have only letters, digits, '.', '-', '_', '@' "
		    "and '+'" },
		{ "{type: 'select-one', 'select-one': [['A', 'a']]}", "\"b\"",
		    "k: is none of the choices" },
		{ "{type: 'artifact'}", "\"../x\"",
		    "k: must be the name of a file, without a folder" },
		{ "{type: 'list', 'list-of': {a: {name: 'A', type: 'int'}}}",
		    "[{}, {\"a\":\"x\"}]", "k[1].a: must be a whole number" },
		{ "{type: 'list', 'list-of': {a: {name: 'A', type: 'string', "
		  "required: true}}}",
		    "[{\"a\":\"\"}]", "k[0].a: is missing" },
		{ "{type: 'systemd-timer'}", "{\"timer_type\":\"x\"}",
		    "k: timer_type is none of realtime, monotonic, "
		    "continuous" },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct str text = arena_printf(&a,
		    "{%s settings: {k: {name: 'K', type: %s}}}", HEAD,
		    cases[i][0]);
		struct fleet_module *m = module(&a, arena_z(&a, text));
		struct err err;

		assert_int_equal(fleet_value_check(&m->settings[0],
				     str_of(cases[i][1]), &err),
		    ERR_PARAM);
		assert_string_equal(err.text, cases[i][2]);
		assert_int_equal(
		    fleet_value_check(&m->settings[0], STR("null"), NULL), 0);
	}
	arena_fini(&a);
}

static void
templates_keep_values_data(void **state)
{
	static const char settings[] =
	    "{\"t\":\"a'b \\\"%$\\\\\",\"n\":7,\"empty\":\"\",\"no\":null,"
	    "\"line\":\"one\\ntwo\",\"rows\":[{\"k\":\"A\",\"v\":\"1\"},"
	    "{\"k\":\"B\"}],\"o\":{\"x\":\"deep\"},\"hole\":\"{{t}}\"}";
	static const char *const cases[][2] = {
		{ "'{{t}}'", "\"a'b \\\"%$\\\\\"" },
		{ "'{{n}}'", "7" },
		{ "'<{{n}}>'", "\"<7>\"" },
		{ "'{{hole}}'", "\"{{t}}\"" }, /* a value is no template */
		{ "'{{t | shell}}'", "\"'a'\\\\''b \\\"%$\\\\'\"" },
		{ "'{{t | systemd}}'", "\"\\\"a'b \\\\\\\"%%$$\\\\\\\\\\\"\"" },
		{ "'{{line | systemd}}'", "\"\\\"one\\\\x0atwo\\\"\"" },
		{ "'{{n | hex}}'", "\"37\"" },
		{ "'{{line | name}}'", "\"one-two\"" },
		{ "'{{o.x}}'", "\"deep\"" },
		{ "{a: '{{no}}', b: '{{missing}}', c: 1}", "{\"c\":1}" },
		{ "['{{no}}', 'x']", "[\"x\"]" },
		{ "{$if: 'empty', $then: 1, $else: 2}", "2" },
		{ "{$if: '!empty', $then: 1}", "1" },
		{ "{$if: 'n', $is: ['7', '8'], $then: 'y'}", "\"y\"" },
		{ "[{$each: 'rows', $do: '{{k}}{{number}}'}, 'end']",
		    "[\"A1\",\"B2\",\"end\"]" },
		{ "{$map: 'rows', $key: '{{k}}', $value: '{{v}}'}",
		    "{\"A\":\"1\",\"B\":\"\"}" },
		{ "{$text: ['x={{n}}', {$each: 'rows', $do: 'k={{k}}'}, "
		  "'{{no}}']}",
		    "\"x=7\\nk=A\\nk=B\\n\"" },
		{ "{$text: ['{{line | raw}}']}", "\"one\\ntwo\\n\"" },
		{ "{$line: ['a', {$each: 'rows', $do: '{{k}}'}]}",
		    "\"a A B\"" },
	};
	static const char *const bad[][2] = {
		{ "{$text: ['{{line}}']}", "must be one line" },
		{ "'{{t | evil}}'", "filter that is not known" },
		{ "'x{{rows}}'", "a list or an object within a text" },
		{ "{$evil: 1}", "word of templates that is not known" },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases) + COUNT_OF(bad); i++) {
		bool fine = i < COUNT_OF(cases);
		const char *t =
		    fine ? cases[i][0] : bad[i - COUNT_OF(cases)][0];
		struct fleet_module *m = module(&a,
		    arena_z(
			&a, arena_printf(&a, "{%s linux: {t: %s}}", HEAD, t)));
		struct str made;
		struct err err;

		if (fleet_template(
			m, str_of(settings), STR("{}"), &a, &made, &err) == 0) {
			made = json_find(&a, made, STR("t"));
			assert_true(fine);
			assert_string_equal(arena_z(&a, made), cases[i][1]);
		} else {
			assert_false(fine);
			assert_non_null(
			    strstr(err.text, bad[i - COUNT_OF(cases)][1]));
		}
	}
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_read_and_shown),
		cmocka_unit_test(slips_are_told),
		cmocka_unit_test(values_are_checked_by_their_type),
		cmocka_unit_test(templates_keep_values_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

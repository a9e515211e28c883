/*
 * codec/nix_test.c - the text that is written, and what the real Nix reads in
 * it, where it is at hand.
 */
#include "codec/nix.h"

#include "base/base.h"
#include "base/file.h"
#include "base/test.h"
#include "codec/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct buf out;

static const char *
value(const char *json)
{
	struct err err;

	buf_clear(&out);
	if (nix_value(&out, str_of(json), 0, &err) != 0)
		fail_msg("%s: %s", json, err.text);
	return buf_z(&out);
}

static void
values_have_the_text_that_thymis_gives_them(void **state)
{
	static const char *const cases[][2] = {
		{ "null", "null" },
		{ "true", "true" },
		{ "false", "false" },
		{ "42", "42" },
		{ "\"a\\\"b\\\\c\"", "\"a\\\"b\\\\c\"" },
		{ "\"${x}$${y}$z\"", "\"\\${x}$\\${y}$z\"" },
		{ "\"a\\nb\\tc\\rd\"", "\"a\\nb\\tc\\rd\"" },
		{ "{}", "{}" },
		{ "[]", "[\n]" },
		{ "[\"a\",\"b\"]", "[\n  \"a\"\n  \"b\"\n]" },
		{ "[\"a\",null,\"b\"]", "[\n  \"a\"\n  \"b\"\n]" },
		{ "[[1],{\"a\":2}]",
		    "[\n  [\n    1\n  ]\n  {\n    a = 2;\n  }\n]" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\n  a.b = \"c\";\n}" },
		{ "{\"a\":{\"b c\":{\"d\":\"e\"}}}",
		    "{\n  a.\"b c\".d = \"e\";\n}" },
		{ "{\"\":\"\"}", "{\n  \"\" = \"\";\n}" },
		{ "{\"a\":{},\"b\":{\"c\":{}}}",
		    "{\n  a = {};\n  b.c = {};\n}" },
		{ "{\"if\":1,\"or\":2,\"x'-y\":3,\"9\":4}",
		    "{\n  \"if\" = 1;\n  \"or\" = 2;\n  x'-y = 3;\n  "
		    "\"9\" = 4;\n}" },
		{ "-1", "(-1)" },
		{ "-9223372036854775808", "(-9223372036854775807 - 1)" },
		{ "1e5", "1.0e+05" },
		{ "0.25", "2.5e-01" },
		{ "-0.0", "0.0" },
		{ "9223372036854775808", "9.223372036854775808e+18" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases) - 1; i++)
		assert_string_equal(value(cases[i][0]), cases[i][1]);
	assert_int_equal(strncmp(value("9223372036854775808"), "9.22", 4), 0);
}

static void
what_nix_can_not_hold_is_refused(void **state)
{
	static const char *const bad[] = { "\"a\\u0000b\"", "{\"\\u0000\":1}",
		"{\"a\":1,\"a\":2}", "[{\"b\":{\"a\":1,\"a\":{}}}]", "1e999",
		"[1", "1 2", "" };
	struct err err;

	(void)state;
	buf_clear(&out);
	buf_addz(&out, "x = ");
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(
		    nix_value(&out, str_of(bad[i]), 0, &err), ERR_PARAM);
		assert_string_equal(buf_z(&out), "x = ");
	}
}

static void
names_and_paths_are_told_from_expressions(void **state)
{
	static const char *const paths[] = { "a", "a.b", "a.\"b c\".d'", "\"\"",
		"services.x-y._z" };
	static const char *const none[] = { "", ".", "a.", ".a", "a..b", "a b",
		"a.${b}", "a.\"${b}\"", "a.\"b\\\"\"", "a.\"b", "9", "a.if",
		"a;b", "a = b", "a.\"b\nc\"" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(paths); i++)
		assert_true(nix_is_path(str_of(paths[i])));
	for (size_t i = 0; i < COUNT_OF(none); i++)
		assert_false(nix_is_path(str_of(none[i])));
	assert_true(nix_is_identifier(STR("nixpkgs-unstable")));
	assert_false(nix_is_identifier(STR("rec")));
	assert_false(nix_is_identifier(STR("a.b")));
}

/* --- with the real one ---------------------------------------------------- */

/* What `nix-instantiate --eval --strict --json` says of the text. */
static void
evaluate(struct str text, struct buf *ret)
{
	char path[] = "/tmp/marram-nix-XXXXXX";
	char command[256];
	char bytes[65536];
	size_t n;
	int fd = mkstemp(path);
	FILE *f;

	assert_true(fd >= 0);
	for (size_t at = 0; at < text.len;) {
		ssize_t done = write(fd, text.ptr + at, text.len - at);

		assert_true(done > 0);
		at += (size_t)done;
	}
	close(fd);
	snprintf(command, sizeof(command),
	    "exec nix-instantiate --eval --strict --json --readonly-mode %s",
	    path);
	f = popen(command, "r");
	assert_non_null(f);
	while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		buf_add(ret, bytes, n);
	assert_int_equal(pclose(f), 0);
	unlink(path);
	ret->len = str_trim(buf_str(ret)).len;
}

static bool
is_here(const char *program)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	return system(command) == 0;
}

static const char *const hostile[] = { "", "\"", "\"; evil = 1; \"", "\\",
	"\\\"", "${builtins.abort \"x\"}", "$${x}", "\\${x}", "$\\{x}",
	"$$${x}", "''", "''${x}", "'''", "a''\\nb", "\n", "\r\n", "\t", "a\rb",
	"$", "${", "$(id)", "`id`", "; rm -rf /", "| & < > * ? [ ] ~ # !", "/*",
	"*/", "#", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\x01\x1b[31m\x7f",
	"<nixpkgs>", "./x", "http://x.y", "let", "@x@", "%s%n", "\xef\xbb\xbf",
	"\\n", "ends with $", "ends with \\" };

static void
the_real_nix_reads_every_text_as_it_was(void **state)
{
	struct buf json = { 0 }, text = { 0 }, got = { 0 };
	struct json_out o;
	struct err err;

	(void)state;
	if (!is_here("nix-instantiate"))
		skip();
	json_out_init(&o, &json, false);
	json_out_object(&o);
	json_out_key(&o, "list");
	json_out_array(&o);
	for (size_t i = 0; i < COUNT_OF(hostile); i++)
		json_out_str(&o, str_of(hostile[i]));
	/* and every byte that may stand alone */
	for (int c = 1; c < 128; c++) {
		char three[3] = { '$', (char)c, '{' };

		json_out_str(&o, (struct str){ three, 3 });
	}
	json_out_end_array(&o);
	json_out_key(&o, "names");
	json_out_object(&o);
	/* Nix puts names in their order; so do we, to compare */
	for (int c = 1; c < 128; c++) {
		char name = (char)c;

		json_out_key_str(&o, (struct str){ &name, 1 });
		json_out_int(&o, c - 64);
	}
	json_out_end_object(&o);
	json_out_key(&o, "numbers");
	json_out_raw(&o,
	    STR("[0,-1,9223372036854775807,-9223372036854775808,0.25,-1.5e+"
		"300]"));
	json_out_end_object(&o);

	assert_int_equal(nix_value(&text, buf_str(&json), 0, &err), 0);
	evaluate(buf_str(&text), &got);
	buf_clear(&text);
	assert_true(json_compact(&text, buf_str(&got), 0));
	assert_string_equal(buf_z(&text), buf_z(&json));
	buf_free(&json);
	buf_free(&text);
	buf_free(&got);
}

static void
a_text_of_a_mebibyte_arrives(void **state)
{
	struct buf raw = { 0 }, text = { 0 }, got = { 0 }, json = { 0 };

	(void)state;
	if (!is_here("nix-instantiate"))
		skip();
	while (raw.len < (1 << 20))
		buf_addz(&raw, "\"''${x}\\ $$\n");
	nix_string(&text, buf_str(&raw));
	evaluate(buf_str(&text), &got);
	json_quote(&json, buf_str(&raw));
	assert_string_equal(buf_z(&got), buf_z(&json));
	buf_free(&raw);
	buf_free(&text);
	buf_free(&got);
	buf_free(&json);
}

static int
finish(void **state)
{
	(void)state;
	buf_free(&out);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_have_the_text_that_thymis_gives_them),
		cmocka_unit_test(what_nix_can_not_hold_is_refused),
		cmocka_unit_test(names_and_paths_are_told_from_expressions),
		cmocka_unit_test(the_real_nix_reads_every_text_as_it_was),
		cmocka_unit_test(a_text_of_a_mebibyte_arrives),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}

/*
 * codec/json_test.c - the reader and the writer of JSON.
 *
 * With JSON_TEST_SUITE naming a folder of files y_*, n_* and i_*, all y_ must
 * be accepted and all n_ refused as well.
 */
#include "base/test.h"

#include "base/base.h"
#include "codec/json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const good[] = { "null", " true ", "-0", "1e5", "0.5E-3",
	"\"\"", "[]", "{}", "[1,[2,{\"a\":null}]]", "\"\\u00e4\\ud83c\\udf3e\"",
	"{\"a\":1,\"a\":2}", "\"\x7f\"" };
static const char *const bad[] = { "", " ", "nul", "nulll", "01", "1.", ".5",
	"+1", "1e", "-", "\"", "\"\\x41\"", "\"\t\"", "\"\\ud800\"",
	"\"\\udc00\"", "\"\xff\"", "[1,]", "[,1]", "[1 2]", "{\"a\"}",
	"{\"a\":}", "{a:1}", "{\"a\":1,}", "[1]]", "1 2", "'a'", "// x\n1",
	"Infinity", "[", "{", "\xEF\xBB\xBF{}" };

static void
what_the_standard_allows_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++)
		if (!json_valid(str_of(good[i]), 0))
			fail_msg("refused: %s", good[i]);
}

static void
everything_else_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (json_valid(str_of(bad[i]), 0))
			fail_msg("accepted: %s", bad[i]);
}

static void
the_suite_agrees(void **state)
{
	const char *dir = getenv("JSON_TEST_SUITE");
	struct dirent *e;
	DIR *d = dir != NULL ? opendir(dir) : NULL;

	(void)state;
	while (d != NULL && (e = readdir(d)) != NULL) {
		static char text[1 << 20];
		char path[1024];
		size_t len;
		bool ok;
		FILE *f;

		if (strstr(e->d_name, ".json") == NULL)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		f = fopen(path, "r");
		assert_non_null(f);
		len = fread(text, 1, sizeof(text), f);
		fclose(f);
		ok = json_valid((struct str){ text, len }, 0);
		if ((e->d_name[0] == 'y' && !ok) || (e->d_name[0] == 'n' && ok))
			fail_msg("%s", e->d_name);
	}
	if (d != NULL)
		closedir(d);
}

static void
members_are_walked_once_and_unknown_ones_skipped(void **state)
{
	struct arena a = { 0 };
	struct str key, text = STR_NULL;
	int64_t n = 0;
	struct json j;

	(void)state;
	json_open(
	    &j, STR("{\"x\":[1,{\"y\":[]}],\"n\":-5,\"t\":\"a\\nb\"}"), 0, &a);
	assert_true(json_object(&j));
	while (json_member(&j, &key))
		if (str_eqz(key, "n"))
			json_i64(&j, &n);
		else if (str_eqz(key, "t"))
			json_str(&j, &text);
		else
			json_skip(&j);
	assert_int_equal(json_done(&j, NULL), 0);
	assert_int_equal(n, -5);
	assert_str(text, "a\nb");
	arena_fini(&a);
}

static void
a_member_is_found_by_its_name(void **state)
{
	static const struct {
		const char *json, *exact, *any;
	} all[] = {
		{ "{\"x\":{\"Name\":1},\"name\":[2, 3],\"name\":4}", "[2, 3]",
		    "[2, 3]" },
		{ "{\"NAME\":\"a\",\"name\":null}", "null", "\"a\"" },
		{ "{\"n\\u0061me\":7}", "7", "7" },
		{ "{\"names\":1}", NULL, NULL },
		{ "[{\"name\":1}]", NULL, NULL },
		{ "{\"name\":1", NULL, NULL },
		{ "{\"name\":1} {}", NULL, NULL },
		{ "", NULL, NULL },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct str json = str_of(all[i].json);

		assert_true(str_eq(
		    json_find(&a, json, STR("name")), str_of(all[i].exact)));
		assert_true(str_eq(json_find_nocase(&a, json, STR("name")),
		    str_of(all[i].any)));
	}
	assert_int_equal(json_type_of(STR(" [1")), JSON_ARRAY);
	assert_int_equal(json_type_of(STR("")), JSON_NONE);
	arena_fini(&a);
}

static void
the_first_error_stays_and_says_where(void **state)
{
	struct str key, text;
	struct err err;
	struct json j;

	(void)state;
	json_open(&j, STR("{\n \"a\": 5}"), 0, NULL);
	json_object(&j);
	json_member(&j, &key);
	assert_false(json_str(&j, &text));
	assert_false(json_member(&j, &key));
	assert_int_equal(json_done(&j, &err), ERR_PARAM);
	assert_string_equal(err.text, "line 2 column 7: must be a string");
}

static void
depth_has_an_end(void **state)
{
	char deep[2 * 1000 + 1];

	(void)state;
	memset(deep, '[', 1000);
	memset(deep + 1000, ']', 1000);
	deep[2000] = '\0';
	assert_false(json_valid(str_of(deep), 0));
	assert_true(json_valid((struct str){ deep + 900, 200 }, 0));
}

static void
json5_is_rewritten_as_json(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_true(json_compact(&b,
	    STR("/* x */ {a: +.5, 'b': [0x1F, 1.,], // c\n \"d\": '\"\\x41'}"),
	    JSON_5));
	assert_str(buf_str(&b), "{\"a\":0.5,\"b\":[31,1],\"d\":\"\\\"A\"}");
	buf_free(&b);
}

static void
what_is_written_reads_back(void **state)
{
	static const double numbers[] = { 0, 21.5, 0.1, 1e300, -1.0 / 3,
		12345678901234567.0 };
	struct buf b = { 0 };
	struct json_out o;
	struct json j;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		double d;

		buf_clear(&b);
		json_out_init(&o, &b, false);
		json_out_real(&o, numbers[i]);
		json_open(&j, buf_str(&b), 0, NULL);
		assert_true(json_real(&j, &d));
		assert_true(d == numbers[i]);
	}
	buf_clear(&b);
	json_quote(&b, STR("\"\\/\b\n\x01 \xC3\xA4 \xFF"));
	/* one bad byte makes the whole text doubtful */
	assert_true(json_valid(buf_str(&b), 0));
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_standard_allows_is_read),
		cmocka_unit_test(everything_else_is_refused),
		cmocka_unit_test(the_suite_agrees),
		cmocka_unit_test(
		    members_are_walked_once_and_unknown_ones_skipped),
		cmocka_unit_test(a_member_is_found_by_its_name),
		cmocka_unit_test(the_first_error_stays_and_says_where),
		cmocka_unit_test(depth_has_an_end),
		cmocka_unit_test(json5_is_rewritten_as_json),
		cmocka_unit_test(what_is_written_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

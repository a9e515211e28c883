/*
 * app/cli/output_test.c - answers, token files and simulated values.
 */
#include "app/cli/output.h"
#include "app/simulated.h"
#include "app/cli/token.h"

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void
shows(const char *json, const char *want)
{
	struct buf b = { 0 };

	assert_true(output_json(&b, str_of(json)));
	assert_string_equal(buf_z(&b), want);
	buf_free(&b);
}

static void
an_answer_is_indented_in_its_own_order(void **state)
{
	(void)state;
	shows("{\"z\":1,\"a\":[1.50,\"\\u00e4\\n\"]}",
	    "{\n  \"z\": 1,\n  \"a\": [\n    1.50,\n    \"\xC3\xA4\\n\"\n  "
	    "]\n}\n");
	shows("5", "5\n");
}

static void
the_envelope_is_taken_off(void **state)
{
	(void)state;
	shows("{\"data\":{\"unitId\":\"1\"}}", "{\n  \"unitId\": \"1\"\n}\n");
	shows("{\"data\":[5]}", "[\n  5\n]\n");
}

static void
what_is_no_json_is_not_shown_as_json(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_addz(&b, "before");
	assert_false(output_json(&b, STR("{\"a\":1,\"b\":")));
	assert_false(output_json(&b, STR("<html>")));
	assert_false(output_json(&b, STR("")));
	assert_string_equal(buf_z(&b), "before");
	buf_free(&b);
}

static void
refusal_is(long status, const char *body, const char *want)
{
	const struct fetched r = { .status = status, .body = str_of(body) };
	struct buf b = { 0 };

	output_error(&b, &r);
	assert_string_equal(buf_z(&b), want);
	buf_free(&b);
}

static void
every_refusal_has_a_code(void **state)
{
	(void)state;
	refusal_is(400,
	    "{\"code\":\"err_param\",\"message\":\"missing \\\"x\\\"\"}",
	    "{\"code\":\"err_param\",\"message\":\"missing \\\"x\\\"\"}");
	refusal_is(404, "{\"code\":\"err_not_found\"}",
	    "{\"code\":\"err_not_found\"}");
	refusal_is(400,
	    "{\"error\":\"invalid_request\",\"error_description\":\"no\"}",
	    "{\"code\":\"invalid_request\",\"message\":\"no\"}");
	refusal_is(401, "",
	    "{\"code\":\"err_auth\",\"message\":\"the sign-in has expired: run "
	    "`login` again\"}");
	refusal_is(502, "<html>bad gateway</html>",
	    "{\"code\":\"err_unknown\",\"message\":\"the server answered "
	    "502\"}");
}

static void
file_is(const char *disposition, const char *want)
{
	struct arena a = { 0 };
	struct str name = output_file_name(&a, str_of(disposition));

	assert_string_equal(arena_z(&a, name), want);
	arena_fini(&a);
}

static void
a_file_is_saved_in_the_current_folder_only(void **state)
{
	(void)state;
	file_is("attachment;filename=unit.csv", "unit.csv");
	file_is("attachment; filename=\"unit.csv\"", "unit.csv");
	file_is("attachment; filename=\"../../etc/passwd\"", "passwd");
	file_is("attachment; filename=/etc/cron.d/x", "x");
	file_is("attachment; filename=..\\..\\x.csv", "x.csv");
	file_is("attachment; filename=..", "list.csv");
	file_is("attachment; filename=.bashrc", "bashrc");
	file_is("attachment; filename=a b;c", "a_b");
	file_is("attachment", "list.csv");
	file_is(NULL, "list.csv");
}

/* --- token files --------------------------------------------------------- */

static char home[] = "/tmp/cli-test-XXXXXX";

static int
make_home(void **state)
{
	(void)state;
	strcpy(home + strlen(home) - 6, "XXXXXX");
	assert_non_null(mkdtemp(home));
	setenv("HOME", home, 1);
	unsetenv("XDG_CONFIG_HOME");
	return 0;
}

static void
forget(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", home, name);
	if (unlink(path) < 0)
		rmdir(path);
}

static int
remove_home(void **state)
{
	(void)state;
	forget(".sylvia-iot-coremgr-cli.json");
	forget(".config/marram/token.json");
	forget("marram/token.json");
	forget(".config/marram");
	forget(".config");
	forget("marram");
	return rmdir(home); /* fails when anything else was left there */
}

static void
kept_is(bool old_name, const char *access, const char *refresh)
{
	struct arena a = { 0 };
	struct tokens t;

	assert_int_equal(tokens_load(old_name, &a, &t, NULL), 0);
	assert_true(str_eqz(t.access, access));
	assert_true(str_eqz(t.refresh, refresh));
	arena_fini(&a);
}

static void
tokens_are_kept_for_their_owner_only(void **state)
{
	const struct tokens t = { STR("a\"b"), STR("r") };
	char path[200];
	struct stat st;

	(void)state;
	assert_int_equal(tokens_store(false, &t, NULL), 0);
	assert_int_equal(tokens_store(false, &t, NULL), 0);
	snprintf(path, sizeof(path), "%s/.config/marram/token.json", home);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	kept_is(false, "a\"b", "r");
	setenv("XDG_CONFIG_HOME", home, 1);
	assert_int_equal(tokens_store(false, &t, NULL), 0);
	snprintf(path, sizeof(path), "%s/marram/token.json", home);
	assert_int_equal(stat(path, &st), 0);
}

static void
the_old_file_is_read_where_there_is_no_new_one(void **state)
{
	const struct tokens old = { STR("old"), STR("r1") };
	const struct tokens own = { STR("own"), STR("r2") };

	(void)state;
	assert_int_equal(tokens_store(true, &old, NULL), 0);
	kept_is(true, "old", "r1");
	kept_is(false, "old", "r1");
	assert_int_equal(tokens_store(false, &own, NULL), 0);
	kept_is(false, "own", "r2");
	kept_is(true, "old", "r1");
}

static void
no_file_means_no_tokens_and_a_broken_one_is_told(void **state)
{
	struct arena a = { 0 };
	struct tokens t;
	struct err err;
	char path[200];
	FILE *f;

	(void)state;
	assert_int_equal(tokens_load(true, &a, &t, NULL), 0);
	assert_null(t.access.ptr);
	snprintf(path, sizeof(path), "%s/.sylvia-iot-coremgr-cli.json", home);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("{\"accessToken\":", f);
	fclose(f);
	assert_int_equal(tokens_load(true, &a, &t, &err), ERR_PARAM);
	assert_non_null(strstr(err.text, ".sylvia-iot-coremgr-cli.json"));
	arena_fini(&a);
}

/* --- simulated values ---------------------------------------------------- */

#define HOUR_MS 3600000

static void
it_is_warmer_and_drier_at_noon_than_at_night(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 50; i++) {
		struct simulated_climate night =
		    simulated_climate(i, 3 * HOUR_MS);
		struct simulated_climate noon =
		    simulated_climate(i, 15 * HOUR_MS);

		assert_true(noon.temperature > night.temperature + 5);
		assert_true(noon.humidity < night.humidity - 10);
		assert_true(noon.battery > 2.9 && noon.battery < 3.7);
	}
}

static void
values_are_written_as_cayenne_lpp(void **state)
{
	const struct simulated_climate v = { -4.1, 50.5, 3.25 };
	struct buf b = { 0 };

	(void)state;
	simulated_encode(&b, &v);
	assert_string_equal(buf_z(&b), "0167ffd702686503020145");
	buf_free(&b);
}

#define FILES(t) cmocka_unit_test_setup_teardown(t, make_home, remove_home)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_indented_in_its_own_order),
		cmocka_unit_test(the_envelope_is_taken_off),
		cmocka_unit_test(what_is_no_json_is_not_shown_as_json),
		cmocka_unit_test(every_refusal_has_a_code),
		cmocka_unit_test(a_file_is_saved_in_the_current_folder_only),
		FILES(tokens_are_kept_for_their_owner_only),
		FILES(the_old_file_is_read_where_there_is_no_new_one),
		FILES(no_file_means_no_tokens_and_a_broken_one_is_told),
		cmocka_unit_test(it_is_warmer_and_drier_at_noon_than_at_night),
		cmocka_unit_test(values_are_written_as_cayenne_lpp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * codec/nix_log_test.c - what people see of a build.
 */
#include "codec/nix_log.h"

#include "base/base.h"
#include "base/test.h"

#include <stdio.h>
#include <string.h>

/* What is heard of lines, each ended by a new line. */
static struct str
heard(struct nix_log *l, const char *lines, struct buf *out)
{
	struct str rest = str_of(lines);

	while (rest.ptr != NULL && rest.len > 0)
		(void)nix_log_line(l, str_cut(&rest, '\n'), out);
	return (struct str){ out->len > 0 ? buf_z(out) : "", out->len };
}

#define START(id, level, type, text)                                           \
	"@nix {\"action\":\"start\",\"id\":" #id ",\"level\":" #level          \
	",\"text\":\"" text "\",\"type\":" #type ",\"fields\":[\"/nix/store/"  \
	"iqwd2nwnlw5wyysmcv9dmlzvmds84xfc-top-1.2.drv\",\"\",1,1]}\n"
#define PROGRESS(id, d, e, r, f)                                               \
	"@nix {\"action\":\"result\",\"fields\":[" #d "," #e "," #r "," #f     \
	"],\"id\":" #id ",\"type\":105}\n"

static void
a_build_is_told_with_its_name(void **state)
{
	struct nix_log l = { 0 };
	struct buf out = { 0 };

	(void)state;
	assert_string_equal(
	    heard(&l,
		START(1, 0, 104, "") PROGRESS(1, 0, 2, 1, 0) START(
		    2, 3, 105, "building top") START(3, 6, 0,
		    "not for people") "@nix "
				      "{\"action\":\"result\",\"fields\":["
				      "\"hello "
				      "\\u001b[31mred\\u001b[0m\"],\"id\":2,"
				      "\"type\":101}\n"
				      "@nix "
				      "{\"action\":\"result\",\"fields\":["
				      "\"install\"],"
				      "\"id\":2,\"type\":104}\n"
				      "@nix {\"action\":\"stop\",\"id\":2}\n",
		&out)
		.ptr,
	    "building top\ntop-1.2> hello red\ntop-1.2> phase: install\n");
	assert_int_equal(nix_log_progress(&l).expected, 2);
	assert_int_equal(nix_log_progress(&l).running, 1);
	buf_free(&out);
	nix_log_fini(&l);
}

static void
what_has_ended_still_counts(void **state)
{
	struct nix_log l = { 0 };
	struct buf out = { 0 };

	(void)state;
	heard(&l,
	    START(1, 0, 104, "") PROGRESS(1, 2, 3, 1, 1) START(2, 0, 103, "")
		PROGRESS(2, 1, 4, 0, 0) "@nix {\"action\":\"stop\",\"id\":1}\n",
	    &out);
	assert_int_equal(nix_log_progress(&l).done, 3);
	assert_int_equal(nix_log_progress(&l).expected, 7);
	assert_int_equal(nix_log_progress(&l).running, 0);
	assert_int_equal(nix_log_progress(&l).failed, 1);
	buf_free(&out);
	nix_log_fini(&l);
}

static void
the_last_error_is_kept(void **state)
{
	struct nix_log l = { 0 };
	struct buf out = { 0 };

	(void)state;
	assert_string_equal(
	    heard(&l,
		"@nix {\"action\":\"msg\",\"level\":1,\"msg\":\"warning: "
		"w\"}\n"
		"@nix {\"action\":\"msg\",\"level\":4,\"msg\":\"talk\"}\n"
		"@nix {\"action\":\"msg\",\"level\":0,\"line\":null,\"msg\":"
		"\"\\u001b[31;1merror:\\u001b[0m no way\"}\n",
		&out)
		.ptr,
	    "warning: w\nerror: no way\n");
	assert_string_equal(buf_z(&l.error), "error: no way");
	buf_free(&out);
	nix_log_fini(&l);
}

static void
what_is_not_of_nix_passes(void **state)
{
	static const char *const cases[][2] = {
		{ "plain", "plain\n" },
		{ "", "" },
		{ "@nix {broken", "@nix {broken\n" },
		{ "@nix {\"action\":\"result\",\"id\":9,\"type\":101}", "" },
		{ "@nix {\"action\":\"stop\",\"id\":9}", "" },
		{ "@nix []", "@nix []\n" },
		{ "a\x1b[2Kb\rc", "abc\n" },
		{ "@nix "
		  "{\"action\":\"start\",\"id\":\"x\",\"text\":7,\"fields\":{"
		  "}}",
		    "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct nix_log l = { 0 };
		struct buf out = { 0 };

		(void)nix_log_line(&l, str_of(cases[i][0]), &out);
		assert_string_equal(
		    out.len > 0 ? buf_z(&out) : "", cases[i][1]);
		buf_free(&out);
		nix_log_fini(&l);
	}
}

static void
no_number_of_activities_is_too_many(void **state)
{
	struct nix_log l = { 0 };
	struct buf out = { 0 };
	char line[80];

	(void)state;
	for (int i = 0; i < NIX_LOG_ACTIVITIES + 10; i++) {
		snprintf(line, sizeof(line),
		    "@nix {\"action\":\"start\",\"id\":%d,\"level\":5}", i);
		(void)nix_log_line(&l, str_of(line), &out);
	}
	assert_int_equal(l.n, NIX_LOG_ACTIVITIES);
	buf_free(&out);
	nix_log_fini(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_build_is_told_with_its_name),
		cmocka_unit_test(what_has_ended_still_counts),
		cmocka_unit_test(the_last_error_is_kept),
		cmocka_unit_test(what_is_not_of_nix_passes),
		cmocka_unit_test(no_number_of_activities_is_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

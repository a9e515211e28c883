/*
 * codec/text_diff_test.c - diffs, and that `patch` makes the new text of them.
 */
#include "codec/text_diff.h"

#include "base/base.h"
#include "base/file.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *from, *to, *diff;
} cases[] = {
	{ "", "", "" },
	{ "a\n", "a\n", "" },
	{ "", "a\n", "@@ -0,0 +1 @@\n+a\n" },
	{ "a\n", "", "@@ -1 +0,0 @@\n-a\n" },
	{ "a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n" },
	{ "a", "a\n", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n" },
	{ "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n5\n6\n7\n8\n9\n",
	    "@@ -2,6 +2,7 @@\n 2\n 3\n 4\n+x\n 5\n 6\n 7\n" },
	/* Two changes that are near are one hunk, that are far are two. */
	{ "a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
	    "@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n" },
	{ "a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
	    "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n"
	    "@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n" },
};

static void
lines_that_changed_are_shown_with_their_neighbours(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf b = { 0 };

		text_diff(&b, str_of(cases[i].from), str_of(cases[i].to));
		assert_string_equal(buf_z(&b), cases[i].diff);
		buf_free(&b);
	}
}

/* A text of random lines of few kinds, so that many are the same. */
static void
random_text(struct buf *b, unsigned *seed)
{
	int n = rand_r(seed) % 60;

	for (int i = 0; i < n; i++)
		buf_addf(b, "%d\n", rand_r(seed) % 8);
	if (rand_r(seed) % 4 == 0)
		buf_addz(b, "no end");
}

static void
patch_makes_the_new_text_of_the_old(void **state)
{
	char dir[] = "/tmp/text_diff_test.XXXXXX", command[400], at[3][60];
	unsigned seed = 7;

	(void)state;
	if (system("patch --version >/dev/null 2>&1") != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(at[0], sizeof(at[0]), "%s/from", dir);
	snprintf(at[1], sizeof(at[1]), "%s/diff", dir);
	snprintf(at[2], sizeof(at[2]), "%s/to", dir);
	snprintf(command, sizeof(command),
	    "patch -s -f -F0 -o %s %s %s && rm -f %s/*.orig", at[2], at[0],
	    at[1], dir);
	for (int i = 0; i < 60; i++) {
		struct buf from = { 0 }, to = { 0 }, diff = { 0 }, got = { 0 };
		struct buf file = { 0 };

		buf_addz(&from, "first\n");
		buf_addz(&to, "first\n");
		random_text(&from, &seed);
		random_text(&to, &seed);
		text_diff(&diff, buf_str(&from), buf_str(&to));
		if (diff.len > 0) {
			buf_addf(&file, "--- a\n+++ b\n" STR_FMT,
			    STR_ARG(buf_str(&diff)));
			assert_int_equal(
			    file_write(at[0], buf_str(&from), NULL), 0);
			assert_int_equal(
			    file_write(at[1], buf_str(&file), NULL), 0);
			assert_int_equal(system(command), 0);
			assert_int_equal(file_read(at[2], &got, NULL), 0);
			assert_int_equal(got.len, to.len);
			assert_memory_equal(got.ptr, to.ptr, to.len);
		}
		buf_free(&from);
		buf_free(&to);
		buf_free(&diff);
		buf_free(&got);
		buf_free(&file);
	}
	for (int i = 0; i < 3; i++)
		unlink(at[i]);
	rmdir(dir);
}

static void
what_differs_too_much_is_one_change(void **state)
{
	struct buf from = { 0 }, to = { 0 }, diff = { 0 };

	(void)state;
	for (int i = 0; i < 2000; i++) {
		buf_addf(&from, "a%d\n", i);
		buf_addf(&to, "b%d\n", i);
	}
	text_diff(&diff, buf_str(&from), buf_str(&to));
	assert_true(
	    str_starts(buf_str(&diff), STR("@@ -1,2000 +1,2000 @@\n-a0\n")));
	buf_free(&from);
	buf_free(&to);
	buf_free(&diff);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    lines_that_changed_are_shown_with_their_neighbours),
		cmocka_unit_test(patch_makes_the_new_text_of_the_old),
		cmocka_unit_test(what_differs_too_much_is_one_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

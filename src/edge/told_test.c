/*
 * edge/told_test.c - who tells what is wrong with a message.
 */
#include "base/test.h"

#include "base/mem.h"
#include "edge/told.h"

#include <stdio.h>

#define A STR("tedge-mapper-c8y")
#define B STR("tedge-mapper-az")

static bool
first(struct told **t, int64_t now, struct str who, const char *payload)
{
	return told_first(
	    t, now, who, STR("tedge/measurements"), str_of(payload));
}

static void
the_first_to_find_it_tells_it(void **state)
{
	struct told *t = NULL;

	(void)state;
	assert_true(first(&t, 0, A, "{"));
	assert_false(first(&t, 1, B, "{"));
	assert_true(first(&t, 2, B, "["));
	assert_false(first(&t, 3, A, "["));
	/* on another topic it is another message */
	assert_true(told_first(&t, 4, A, STR("te/x"), STR("{")));
	told_free(t);
}

static void
one_that_is_sent_again_is_told_again(void **state)
{
	struct told *t = NULL;

	(void)state;
	assert_true(first(&t, 0, A, "{"));
	assert_true(first(&t, 1, A, "{"));
	assert_false(first(&t, 2, B, "{"));
	assert_false(first(&t, 3, B, "{"));
	assert_true(first(&t, 4, B, "{"));
	assert_false(first(&t, 5, A, "{"));
	told_free(t);
}

static void
it_is_remembered_for_a_time(void **state)
{
	struct told *t = NULL;

	(void)state;
	assert_true(first(&t, 0, A, "{"));
	assert_false(first(&t, TOLD_MS, B, "{"));
	assert_true(first(&t, 2 * TOLD_MS + 1, B, "{"));
	told_free(t);
}

static void
the_oldest_of_many_is_forgotten(void **state)
{
	struct told *t = NULL;
	char text[16];

	(void)state;
	for (int i = 0; i <= TOLD_MESSAGES; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_true(first(&t, 0, A, text));
	}
	assert_false(first(&t, 0, B, "1"));
	assert_true(first(&t, 0, B, "0"));
	told_free(t);
}

static void
more_parts_than_are_counted_tell_it_themselves(void **state)
{
	struct told *t = NULL;
	char name[16];

	(void)state;
	for (int i = 0; i < TOLD_PARTS; i++) {
		snprintf(name, sizeof(name), "part%d", i);
		assert_int_equal(first(&t, 0, str_of(name), "{"), i == 0);
	}
	assert_true(first(&t, 0, STR("one more"), "{"));
	told_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_to_find_it_tells_it),
		cmocka_unit_test(one_that_is_sent_again_is_told_again),
		cmocka_unit_test(it_is_remembered_for_a_time),
		cmocka_unit_test(the_oldest_of_many_is_forgotten),
		cmocka_unit_test(
		    more_parts_than_are_counted_tell_it_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

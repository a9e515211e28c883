/*
 * base/secret_test.c - what must not be seen is not seen.
 */
#include "base/secret.h"

#include "base/test.h"

static void
secrets_become_stars(void **state)
{
	struct secrets s = { 0 };
	char text[40], small[8];

	(void)state;
	secrets_add(&s, STR("pass"));
	secrets_add(&s, STR("password")); /* the longer one counts */
	secrets_add(&s, STR("pass"));
	secrets_add(&s, STR("ab")); /* too short to be one */
	secrets_add(&s, STR_NULL);
	assert_int_equal(s.list.n, 2);
	secrets_scrub(&s, "a password, ab\n pass\tpas", text, sizeof(text));
	assert_string_equal(text, "a ***, ab  *** pas");
	secrets_scrub(&s, "xxpassword", small, sizeof(small));
	assert_string_equal(small, "xx***");
	secrets_scrub(&s, "xxxxxxpassword", small, sizeof(small));
	assert_string_equal(small, "xxxx"); /* no piece of it */
	assert_int_equal(secrets_at(&s, STR("passwords")), 8);
	assert_int_equal(secrets_at(&s, STR("pas")), 0);
	secrets_fini(&s);
	secrets_scrub(&s, "pass", text, sizeof(text));
	assert_string_equal(text, "pass");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_become_stars),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

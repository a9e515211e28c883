/*
 * edge/c8y_token_test.c - how long a token is good.
 */
#include "base/test.h"

#include "base/base.h"
#include "base/clock.h"
#include "edge/c8y_token.h"

static const struct {
	const char *said; /* the middle of the token; NULL: there is none */
	int64_t life;
} cases[] = {
	{ "{\"iat\":1700000000,\"exp\":1700003600}", 3600 },
	{ "{\"exp\":1.7000036e9,\"sub\":\"a\",\"iat\":1.7e9}", 3600 },
	{ "{\"a\":{\"exp\":1},\"iat\":5,\"exp\":7,\"b\":[1]}", 2 },
	{ "{\"iat\":7,\"exp\":5}", 0 },
	{ "{\"iat\":0,\"exp\":99999999999}", 366 * 86400 },
	{ "{\"iat\":7}", 0 },
	{ "{\"exp\":5}", 0 }, /* of 1970 */
	{ "{\"iat\":1,\"exp\":\"soon\"}", 0 },
	{ "{\"iat\":1,\"exp\":-5}", 0 },
	{ "{\"iat\":1,\"exp\":5", 0 },
	{ "[1]", 0 },
	{ "", 0 },
	{ NULL, 0 },
};

static struct str
token_of(const char *said, struct buf *out)
{
	buf_addz(out, "eyJ9");
	if (said != NULL) {
		buf_addc(out, '.');
		base64_encode(out, said, str_of(said).len, true);
		buf_addz(out, ".c2ln");
	}
	return buf_str(out);
}

static void
a_token_says_how_long_it_is_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf b = { 0 };

		assert_int_equal(
		    c8y_token_life(token_of(cases[i].said, &b)), cases[i].life);
		buf_free(&b);
	}
	assert_int_equal(c8y_token_life(STR("a.!!!.b")), 0);
}

static void
one_that_does_not_say_when_it_was_made_is_held_against_our_clock(void **state)
{
	struct buf said = { 0 }, b = { 0 };
	int64_t life;

	(void)state;
	buf_addf(
	    &said, "{\"exp\":%lld}", (long long)(clock_now() / 1000 + 1000));
	life = c8y_token_life(token_of(buf_z(&said), &b));
	assert_in_range(life, 990, 1000);
	buf_free(&said);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_says_how_long_it_is_good),
		cmocka_unit_test(
		    one_that_does_not_say_when_it_was_made_is_held_against_our_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

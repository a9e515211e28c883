/*
 * base/str_test.c - text, encodings, times and ids.
 */
#include "base/test.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/rand.h"

#include <string.h>

static void
cutting_leaves_what_follows(void **state)
{
	struct str s = STR("a:b"), head;

	(void)state;
	head = str_cut(&s, ':');
	assert_str(head, "a");
	assert_str(s, "b");
	head = str_cut(&s, ':');
	assert_str(head, "b");
	assert_null(s.ptr);
}

static void
null_and_empty_are_different(void **state)
{
	(void)state;
	assert_false(str_eq(STR_NULL, STR("")));
	assert_true(str_eq(STR_NULL, STR_NULL));
	assert_true(str_cmp(STR_NULL, STR("")) < 0);
}

static void
numbers_are_read_whole_or_not_at_all(void **state)
{
	int64_t n;

	(void)state;
	assert_true(str_to_i64(STR("-9223372036854775808"), &n));
	assert_true(n == INT64_MIN);
	assert_true(str_to_i64(STR("9223372036854775807"), &n));
	assert_true(n == INT64_MAX);
	assert_false(str_to_i64(STR("9223372036854775808"), &n));
	assert_false(str_to_i64(STR("12x"), &n));
	assert_false(str_to_i64(STR(""), &n));
	assert_false(str_to_i64(STR("-"), &n));
}

static void
utf8_is_checked_to_the_letter(void **state)
{
	(void)state;
	assert_true(str_is_utf8(STR("gr\xC3\xBC\xC3\x9F \xF0\x9F\x8C\xBE")));
	assert_false(str_is_utf8(STR("\xC0\x80")));         /* overlong */
	assert_false(str_is_utf8(STR("\xED\xA0\x80")));     /* surrogate */
	assert_false(str_is_utf8(STR("\xF4\x90\x80\x80"))); /* too high */
	assert_false(str_is_utf8(STR("\xE2\x82")));         /* cut off */
}

static void
hex_and_base64_go_both_ways(void **state)
{
	struct buf b = { 0 };

	(void)state;
	hex_encode(&b, "\x00\xAB\xFF", 3);
	assert_str(buf_str(&b), "00abff");
	buf_clear(&b);
	assert_true(hex_decode(&b, STR("00ABff")));
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.ptr, "\x00\xAB\xFF", 3);
	assert_false(hex_decode(&b, STR("abc")));
	assert_false(hex_decode(&b, STR("zz")));
	buf_clear(&b);
	base64_encode(&b, "any carnal", 10, false);
	assert_str(buf_str(&b), "YW55IGNhcm5hbA==");
	buf_clear(&b);
	assert_true(base64_decode(&b, STR("YW55IGNhcm5hbA")));
	assert_str(buf_str(&b), "any carnal");
	buf_clear(&b);
	assert_false(base64_decode(&b, STR("YW5*")));
	assert_false(base64_decode(&b, STR("A")));
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void
times_have_three_digits_and_a_z(void **state)
{
	char text[TIME_TEXT_LEN + 1];

	(void)state;
	time_format(1641003767053, text);
	assert_string_equal(text, "2022-01-01T02:22:47.053Z");
	time_format(-1, text);
	assert_string_equal(text, "1969-12-31T23:59:59.999Z");
	time_format(951782400000, text);
	assert_string_equal(text, "2000-02-29T00:00:00.000Z");
}

static void
times_are_read_with_any_offset(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{ "2022-01-01T02:22:47.053Z", 1641003767053 },
		{ "2022-01-01T10:22:47.053+08:00", 1641003767053 },
		{ "2021-12-31 21:22:47.0539-05:00", 1641003767053 },
		{ "1970-01-01t00:00:00z", 0 },
	};
	static const char *const bad[] = { "", "2022-01-01",
		"2022-13-01T00:00:00Z", "2022-02-29T00:00:00Z",
		"2022-01-01T24:00:00Z", "2022-01-01T00:00:00",
		"2022-01-01T00:00:00.Z", "2022-01-01T00:00:00Zx",
		"2022-01-01T00:00:00+0800" };
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		assert_true(time_parse(str_of(good[i].text), &ms));
		assert_true(ms == good[i].ms);
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(time_parse(str_of(bad[i]), &ms));
}

static void
ids_carry_their_time(void **state)
{
	struct arena a = { 0 };
	struct str x = rand_id(&a, 1688799672075, ID_LONG);
	struct str y = rand_id(&a, 1688799672075, ID_LONG);

	(void)state;
	assert_int_equal(x.len, 13 + 1 + 12);
	assert_true(str_starts(x, STR("1688799672075-")));
	assert_false(str_eq(x, y));
	arena_fini(&a);
}

static void
an_arena_keeps_its_pieces_apart(void **state)
{
	struct arena a = { 0 };
	char *p[200];

	(void)state;
	for (int i = 0; i < 200; i++) {
		p[i] = arena_alloc(&a, (size_t)i * 50 + 1);
		memset(p[i], i, (size_t)i * 50 + 1);
	}
	for (int i = 0; i < 200; i++)
		assert_int_equal((unsigned char)p[i][i * 50], i);
	arena_clear(&a);
	assert_int_equal(a.used, 0);
	assert_str(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cutting_leaves_what_follows),
		cmocka_unit_test(null_and_empty_are_different),
		cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
		cmocka_unit_test(utf8_is_checked_to_the_letter),
		cmocka_unit_test(hex_and_base64_go_both_ways),
		cmocka_unit_test(times_have_three_digits_and_a_z),
		cmocka_unit_test(times_are_read_with_any_offset),
		cmocka_unit_test(ids_carry_their_time),
		cmocka_unit_test(an_arena_keeps_its_pieces_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * codec/sha1_test.c - the examples of FIPS 180, and every length around a
 * block's end.
 */
#include "codec/sha1.h"

#include "base/base.h"
#include "base/test.h"

#include <stdlib.h>
#include <string.h>

static void
check(struct str s, const char *hex)
{
	unsigned char digest[SHA1_LEN];
	struct buf text = { 0 };

	sha1(s, digest);
	hex_encode(&text, digest, sizeof(digest));
	assert_string_equal(buf_z(&text), hex);
	buf_free(&text);
}

static void
the_examples_of_the_standard_come_out(void **state)
{
	char *many = malloc(1000000);

	(void)state;
	check(STR(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
	check(STR("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
	check(STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
	    "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
	memset(many, 'a', 1000000);
	check((struct str){ many, 1000000 },
	    "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
	free(many);
}

static void
a_text_may_end_anywhere_in_a_block(void **state)
{
	static const struct {
		size_t len;
		const char *hex;
	} cases[] = {
		{ 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a" },
		{ 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699" },
		{ 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5" },
		{ 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d" },
		{ 65, "11655326c708d70319be2610e8a57d9a5b959d3b" },
	};
	char text[65];

	(void)state;
	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		check((struct str){ text, cases[i].len }, cases[i].hex);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_standard_come_out),
		cmocka_unit_test(a_text_may_end_anywhere_in_a_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

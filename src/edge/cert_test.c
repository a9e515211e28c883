/*
 * edge/cert_test.c - names that devices may have; and, by the module, keys and
 * certificates that belong together.
 */
#include "edge/cert.h"

#include "base/base.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1795856000

static const struct cert_subject subject = { { "dev-1", 5 }, { "Marsh", 5 },
	{ "Birds", 5 } };

static void
a_name_has_1_to_64_of_the_signs_allowed(void **state)
{
	char longest[CERT_ID_MAX + 1];
	struct err err;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(cert_check_id(STR("Az0'=(),-.?%*_!@"), &err), 0);
	assert_int_equal(
	    cert_check_id((struct str){ longest, CERT_ID_MAX }, &err), 0);
	assert_int_equal(
	    cert_check_id((struct str){ longest, CERT_ID_MAX + 1 }, &err),
	    ERR_PARAM);
	assert_non_null(strstr(err.text, "is more than 64 characters long"));
	assert_int_equal(cert_check_id(STR(""), &err), ERR_PARAM);
	assert_string_equal(
	    err.text, "The empty string cannot be used as a name");
	for (int c = 0; c < 256; c++) {
		const char one = (char)c;
		bool fine = c != 0 && c < 128 &&
		    (strchr("'=(),-.?%*_!@", c) != NULL ||
			(c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			(c >= 'a' && c <= 'z'));

		assert_int_equal(cert_check_id((struct str){ &one, 1 }, &err),
		    fine ? 0 : ERR_PARAM);
	}
}

static const struct cert_maker *
maker(void)
{
	struct err err;
	const struct cert_maker *m = cert_with(&err);

	if (m == NULL)
		fail_msg("%s", err.text);
	return m;
}

static void
a_certificate_says_what_it_was_made_with(void **state)
{
	const struct cert_maker *m = maker();
	struct buf secret = { 0 }, pem = { 0 };
	struct cert_about about;
	struct cert_key key = { 0 };
	struct arena a = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(m->new_key(&secret, &err), 0);
	key.text = buf_str(&secret);
	assert_int_equal(
	    m->self_sign(&key, &subject, NOW, NOW + 3600, &pem, &err), 0);
	assert_int_equal(m->read(&a, buf_str(&pem), &about, &err), 0);
	assert_true(str_eqz(about.subject, "CN=dev-1, O=Marsh, OU=Birds"));
	assert_true(str_eq(about.subject, about.issuer));
	assert_int_equal(about.from_s, NOW);
	assert_int_equal(about.until_s, NOW + 3600);
	assert_int_equal(about.sha1.len, 20);
	assert_true(m->belong(&key, buf_str(&pem)));
	buf_clear(&secret);
	assert_int_equal(m->new_key(&secret, &err), 0);
	key.text = buf_str(&secret);
	assert_false(m->belong(&key, buf_str(&pem)));
	arena_fini(&a);
	buf_free(&secret);
	buf_free(&pem);
}

static void
what_is_no_key_and_no_certificate_is_told(void **state)
{
	static const struct str bad[] = { { "", 0 }, { "x", 1 },
		{ "-----BEGIN CERTIFICATE-----\nMAA=\n-----END "
		  "CERTIFICATE-----\n",
		    58 },
		{ "pkcs11:", 7 } };
	const struct cert_maker *m = maker();
	struct cert_about about;
	struct buf out = { 0 };
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		const struct cert_key key = { .text = bad[i],
			.module = "/nowhere.so" };
		struct err err = { 0 };

		assert_int_not_equal(m->read(&a, bad[i], &about, &err), 0);
		assert_true(err.text[0] != '\0');
		assert_int_not_equal(m->request(&key, &subject, &out, &err), 0);
		assert_int_not_equal(m->from_pkcs7(bad[i], &out, &err), 0);
		assert_false(m->belong(&key, bad[i]));
	}
	assert_int_equal(out.len, 0);
	arena_fini(&a);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_has_1_to_64_of_the_signs_allowed),
		cmocka_unit_test(a_certificate_says_what_it_was_made_with),
		cmocka_unit_test(what_is_no_key_and_no_certificate_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

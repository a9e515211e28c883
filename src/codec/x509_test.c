/*
 * codec/x509_test.c - whose a certificate is.
 */
#include "codec/x509.h"

#include "base/base.h"
#include "base/test.h"
#include "codec/x509_sample.h"

#include <string.h>

static void
the_common_name_is_found(void **state)
{
	struct buf out = { 0 }, text = { 0 };

	(void)state;
	assert_true(x509_common_name(str_of(x509_sample), &out));
	assert_string_equal(buf_z(&out), "my-device_01");
	/* behind other text, and only the first counts */
	buf_addf(&text,
	    "Bag Attributes\n%s-----BEGIN CERTIFICATE-----\nAAAA\n"
	    "-----END CERTIFICATE-----\n",
	    x509_sample);
	buf_clear(&out);
	assert_true(x509_common_name(buf_str(&text), &out));
	assert_string_equal(buf_z(&out), "my-device_01");
	buf_free(&out);
	buf_free(&text);
}

static void
what_is_no_certificate_has_none(void **state)
{
	static const char *const cases[] = { "", "x",
		"-----BEGIN CERTIFICATE-----",
		"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
		"-----BEGIN CERTIFICATE-----\nAAAA",     /* no sequence */
		"-----BEGIN CERTIFICATE-----\nMIQ/////", /* longer than it is */
		"-----BEGIN CERTIFICATE-----\nMIA=",     /* no length */
		"-----BEGIN PRIVATE KEY-----\nMAA=" };
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (x509_common_name(str_of(cases[i]), &out) || out.len > 0)
			fail_msg("%s", cases[i]);
	/* every cut of a good one, to behind its subject */
	for (size_t i = 0; i < 300; i++)
		if (x509_common_name((struct str){ x509_sample, i }, &out))
			fail_msg("%zu", i);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_common_name_is_found),
		cmocka_unit_test(what_is_no_certificate_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

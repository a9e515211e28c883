/*
 * core/backup/convert_test.c - values of MyController as ours.
 */
#include "core/backup/convert.h"

#include "base/base.h"
#include "base/test.h"

#include <string.h>

/* "hunter2", by the key of "my-secret" with zeros or spaces before it, and of
 * a secret longer than a key. */
#define BY_ZEROS                                                               \
	"ENCRYPTED;MC;AES256;BASE64;"                                          \
	"AAECAwQFBgcICQoLVWkpUQqr/u4+dc7wJlG0LhS+93Oun2E="
#define BY_SPACES                                                              \
	"ENCRYPTED;MC;AES256;BASE64;"                                          \
	"AAECAwQFBgcICQoLoIMYQ6rlYqlQx+OrNdVj4yzklqjn154="
#define BY_A_LONG_ONE                                                          \
	"ENCRYPTED;MC;AES256;BASE64;"                                          \
	"AAECAwQFBgcICQoLALVjWEGaYEyyYB0I3mqIgs/JRjjrLLg="

static void
secrets_are_read_whatever_the_padding(void **state)
{
	static const struct {
		const char *text, *secret, *clear; /* NULL: refused */
	} cases[] = {
		{ BY_ZEROS, "my-secret", "hunter2" },
		{ BY_SPACES, "my-secret", "hunter2" },
		{ BY_A_LONG_ONE, "a-very-long-secret-of-more-than-32-bytes",
		    "hunter2" },
		{ "plain", "", "plain" },
		{ BY_ZEROS, "another", NULL },
		{ BY_ZEROS, "", NULL },
		{ "ENCRYPTED;MC;AES256;BASE64;AAEC", "my-secret", NULL },
		{ "ENCRYPTED;MC;AES256;BASE64;*", "my-secret", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena a = { 0 };
		struct err err;
		struct str clear;
		int rc = mc_decrypt(&a, str_of(cases[i].text),
		    str_of(cases[i].secret), &clear, &err);

		if (cases[i].clear == NULL) {
			assert_int_equal(rc, ERR_DENIED);
			assert_null(strstr(err.text, "hunter2"));
		} else {
			assert_int_equal(rc, 0);
			assert_true(str_eqz(clear, cases[i].clear));
		}
		arena_fini(&a);
	}
}

static void
values_are_converted_at_any_depth(void **state)
{
	static const struct {
		const char *theirs, *ours;
	} cases[] = {
		{ "{\"spec\":{\"password\":\"" BY_ZEROS "\",\"port\":25}}",
		    "{\"spec\":{\"password\":\"hunter2\",\"port\":25}}" },
		{ "[{\"selector\":\"a.b\",\"insecureSkipVerify\":true}]",
		    "[{\"keyPath\":\"a.b\",\"insecure\":true}]" },
		{ "{\"modifiedOn\":\"0001-01-01T00:00:00Z\"}",
		    "{\"modifiedOn\":null}" },
		{ "{\"resourceType\":\"field\",\"quickId\":"
		  "\"Tas.0B8E.Src.POWER\"}",
		    "{\"resourceType\":\"field\",\"quickId\":"
		    "\"tas.0b8e.Src.POWER\"}" },
		{ "{\"quickId\":\"Limits\",\"resourceType\":"
		  "\"data_repository\"}",
		    "{\"quickId\":\"Limits\",\"resourceType\":"
		    "\"data_repository\"}" },
		{ "{\"srcFieldId\":\"field:A.B.C.D\",\"text\":\"field: A.B\"}",
		    "{\"srcFieldId\":\"field:a.b.C.D\",\"text\":"
		    "\"field: A.B\"}" },
		{ "{\"filters\":{\"nodeId\":\"N1\",\"fieldId\":\"V_TEMP\"}}",
		    "{\"filters\":{\"nodeId\":\"n1\",\"fieldId\":"
		    "\"V_TEMP\"}}" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena a = { 0 };
		struct err err;
		struct str ours;

		if (mc_convert(&a, str_of(cases[i].theirs), STR("my-secret"),
			&ours, &err) != 0)
			fail_msg("%s", err.text);
		assert_string_equal(arena_z(&a, ours), cases[i].ours);
		arena_fini(&a);
	}
}

static void
old_variables_become_objects(void **state)
{
	/* of base64: "quickId: limits\nselector: data.x\n" */
	static const char old[] =
	    "{\"a\":\"{\\\"type\\\":\\\"resource_by_quick_id\\\","
	    "\\\"disabled\\\":\\\"\\\",\\\"data\\\":"
	    "\\\"cXVpY2tJZDogbGltaXRzCnNlbGVjdG9yOiBkYXRhLngK\\\"}\","
	    "\"b\":\"text\",\"c\":{\"type\":\"string\"}}";
	struct arena a = { 0 };
	struct err err;
	struct str ours;

	(void)state;
	if (mc_unfold(&a, str_of(old), &ours, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(arena_z(&a, ours),
	    "{\"a\":{\"type\":\"resource_by_quick_id\",\"disabled\":\"\","
	    "\"quickId\":\"limits\",\"selector\":\"data.x\"},"
	    "\"b\":\"text\",\"c\":{\"type\":\"string\"}}");
	assert_int_equal(
	    mc_unfold(
		&a, STR("{\"a\":\"{\\\"data\\\":\\\"?\\\"}\"}"), &ours, &err),
	    ERR_PARAM);
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_read_whatever_the_padding),
		cmocka_unit_test(values_are_converted_at_any_depth),
		cmocka_unit_test(old_variables_become_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * codec/redact_test.c - what is left of lines with secrets in them.
 */
#include "codec/redact.h"

#include "base/base.h"
#include "base/test.h"

#include <string.h>

static void
secrets_go_and_the_rest_stays(void **state)
{
	static const char *const cases[][2] = {
		{ "nothing to hide", "nothing to hide" },
		{ "", "" },
		{ "the word is hunter2hunter2, you know",
		    "the word is " REDACTED ", you know" },
		{ "fetching https://me:pass@host/x",
		    "fetching https://" REDACTED "@host/x" },
		{ "clone ssh://git@host/x", "clone ssh://git@host/x" },
		{ "ssh-ng://root@127.0.0.1", "ssh-ng://root@127.0.0.1" },
		{ "https://0123456789abcdef0123@github.com/a",
		    "https://" REDACTED "@github.com/a" },
		{ "Authorization: Bearer abcdefghijkl and more",
		    "Authorization: Bearer " REDACTED " and more" },
		{ "access-tokens = github.com=abc gitlab.com=def",
		    "access-tokens" REDACTED },
		{ "access-tokens2 = a", "access-t" REDACTED },
		{ "token ghp_0123456789012345678901 ok",
		    "token ghp_" REDACTED " ok" },
		{ "ghp_short stays", "ghp_short stays" },
		{ "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQ",
		    "AGE-SECRET-KEY-" REDACTED },
		{ "starting thymis-agent.service",
		    "starting thymis-agent.service" },
	};
	struct str known[] = { STR("hunter2hunter2"), STR("is"),
		STR("okens2 = ") };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct redact r = { 0 };
		struct buf out = { 0 };

		redact_line(&r, str_of(cases[i][0]),
		    (struct strs){ known, COUNT_OF(known) }, &out);
		assert_string_equal(
		    out.len > 0 ? buf_z(&out) : "", cases[i][1]);
		buf_free(&out);
	}
}

static void
a_private_key_goes_with_all_its_lines(void **state)
{
	static const char *const lines[] = { "before",
		"-----BEGIN OPENSSH PRIVATE KEY-----", "b3BlbnNzaC1rZXk",
		"AAAA==", "-----END OPENSSH PRIVATE KEY-----", "behind" };
	struct redact r = { 0 };
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		redact_line(&r, str_of(lines[i]), (struct strs){ 0 }, &out);
		buf_addc(&out, '|');
	}
	assert_string_equal(
	    buf_z(&out), "before|" REDACTED "|||" REDACTED "|behind|");
	buf_free(&out);
}

static void
a_key_without_an_end_hides_no_later_lines(void **state)
{
	struct redact r = { 0 };
	struct buf out = { 0 };

	(void)state;
	redact_line(
	    &r, STR("-----BEGIN PRIVATE KEY-----"), (struct strs){ 0 }, &out);
	redact_line(&r, STR("a sentence again"), (struct strs){ 0 }, &out);
	redact_line(&r, STR("word"), (struct strs){ 0 }, &out);
	assert_string_equal(buf_z(&out), REDACTED "a sentence againword");
	buf_free(&out);
}

static void
what_is_known_goes_as_a_whole(void **state)
{
	static const char *const cases[][2] = {
		/* the longest of those that fit */
		{ "say hunter2hunter2-more", "say " REDACTED },
		/* also where a form would see less of it */
		{ "Authorization: Bearer correct horse battery ok",
		    "Authorization: Bearer " REDACTED " ok" },
		{ "x://me:my/pass-word@host", "x://me:" REDACTED "@host" },
		{ "ghp_012345678901234567890123 4567 ok", REDACTED " ok" },
	};
	struct str known[] = { STR("hunter2hunter2"),
		STR("hunter2hunter2-more"), STR("correct horse battery"),
		STR("my/pass-word"), STR("ghp_012345678901234567890123 4567") };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct redact r = { 0 };
		struct buf out = { 0 };

		redact_line(&r, str_of(cases[i][0]),
		    (struct strs){ known, COUNT_OF(known) }, &out);
		assert_string_equal(buf_z(&out), cases[i][1]);
		buf_free(&out);
	}
}

static void
a_private_key_goes_however_it_stands_there(void **state)
{
	static const char *const lines[] = {
		"    -----BEGIN RSA PRIVATE KEY-----", /* as in YAML */
		"    Proc-Type: 4,ENCRYPTED",
		"    DEK-Info: AES-128-CBC,0123456789ABCDEF", "",
		"    MIIEpAIBAAKCAQEA", "\tAAAA==\r",
		"    -----END RSA PRIVATE KEY-----", "behind"
	};
	struct redact r = { 0 };
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		redact_line(&r, str_of(lines[i]), (struct strs){ 0 }, &out);
		buf_addc(&out, '|');
	}
	assert_string_equal(buf_z(&out), REDACTED "||||||" REDACTED "|behind|");
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_go_and_the_rest_stays),
		cmocka_unit_test(a_private_key_goes_with_all_its_lines),
		cmocka_unit_test(a_key_without_an_end_hides_no_later_lines),
		cmocka_unit_test(what_is_known_goes_as_a_whole),
		cmocka_unit_test(a_private_key_goes_however_it_stands_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * codec/mail_test.c - messages, and what must not get into their headers.
 */
#include "codec/mail.h"

#include "base/base.h"
#include "base/test.h"

#include <stdio.h>
#include <string.h>

static struct mail
sample(void)
{
	static struct str to[] = { { "ben@example.org", 15 },
		{ "\"J\xc3\xb6rg, O\" <joerg@example.org>", 30 } };

	return (struct mail){ .from = STR("Marram <hub@example.com>"),
		.to = { to, 2 },
		.subject = STR("Door is open"),
		.body = STR("One\nTwo"),
		.date_ms = 1719837045250,
		.message_id = STR("abc@example.com") };
}

static const char *
written(const struct mail *m)
{
	static char text[4000];
	struct buf b = { 0 };
	struct err err;

	if (mail_write(&b, m, &err) != 0)
		snprintf(text, sizeof(text), "error: %s", err.text);
	else
		snprintf(text, sizeof(text), "%s", buf_z(&b));
	buf_free(&b);
	return text;
}

/* A header's value with what is folded behind it. */
static const char *
header(const struct mail *m, const char *name)
{
	static char value[2000];
	const char *text = written(m), *p = strstr(text, name), *end;

	assert_non_null(p);
	end = strstr(p, "\r\n");
	while (end[2] == ' ')
		end = strstr(end + 2, "\r\n");
	snprintf(value, sizeof(value), "%.*s",
	    (int)(end - p - (long)strlen(name)), p + strlen(name));
	return value;
}

static void
a_message_has_what_a_server_expects(void **state)
{
	struct mail m = sample();

	(void)state;
	assert_string_equal(written(&m),
	    "From: \"Marram\" <hub@example.com>\r\n"
	    "To: ben@example.org, =?UTF-8?B?SsO2cmcsIE8=?= "
	    "<joerg@example.org>\r\n"
	    "Subject: Door is open\r\n"
	    "Date: Mon, 1 Jul 2024 12:30:45 +0000\r\n"
	    "Message-ID: <abc@example.com>\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=UTF-8\r\n"
	    "Content-Transfer-Encoding: 7bit\r\n\r\n"
	    "One\r\nTwo\r\n");
}

static void
other_alphabets_are_encoded_and_folded(void **state)
{
	struct mail m = sample();

	(void)state;
	m.subject = STR("T\xc3\xbcr offen");
	assert_string_equal(
	    header(&m, "Subject:"), " =?UTF-8?B?VMO8ciBvZmZlbg==?=");
	/* no letter is cut in two */
	m.subject = STR("\xe6\xb8\xa9\xe5\xba\xa6\xe8\xb6\x85\xe8\xbf\x87"
			"\xe4\xb8\x8a\xe9\x99\x90\xe8\xaf\xb7\xe6\xa3\x80"
			"\xe6\x9f\xa5\xe8\xae\xbe\xe5\xa4\x87\xe7\x8a\xb6"
			"\xe6\x80\x81\xe5\xb9\xb6\xe5\x9b\x9e\xe5\xa4\x8d"
			"\xe7\xa1\xae\xe8\xae\xa4");
	assert_string_equal(header(&m, "Subject:"),
	    "\r\n =?UTF-8?B?5rip5bqm6LaF6L+H5LiK6ZmQ6K+35qOA5p+l6K6+5aSH"
	    "54q25oCB5bm2?="
	    "\r\n =?UTF-8?B?5Zue5aSN56Gu6K6k?=");
	/* nor here, where it would fall into a letter */
	m.subject = STR("x\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
			"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
			"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
			"\xc3\xa4\xc3\xa4\xc3\xa4");
	assert_string_equal(header(&m, "Subject:"),
	    "\r\n =?UTF-8?B?eMOkw6TDpMOkw6TDpMOkw6TDpMOk"
	    "w6TDpMOkw6TDpMOkw6TDpMOkw6Q=?="
	    "\r\n =?UTF-8?B?w6Q=?=");
	/* what looks encoded is encoded */
	m.subject = STR("=?UTF-8?Q?x?=");
	assert_string_equal(
	    header(&m, "Subject:"), " =?UTF-8?B?PT9VVEYtOD9RP3g/PQ==?=");
	m.body = STR("T\xc3\xbcr");
	assert_non_null(strstr(written(&m), "base64\r\n\r\nVMO8cg==\r\n"));
}

static void
long_headers_are_folded(void **state)
{
	struct mail m = sample();
	struct str many[30];
	const char *text, *end;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(many); i++)
		many[i] = STR("somebody@a-long-domain.example.org");
	m.to = (struct strs){ many, COUNT_OF(many) };
	m.subject = STR("one two three four five six seven eight nine ten "
			"eleven twelve thirteen fourteen fifteen sixteen "
			"seventeen");
	text = written(&m);
	for (; (end = strstr(text, "\r\n")) != NULL; text = end + 2)
		assert_true(end - text <= 78);
}

static void
nothing_gets_into_the_headers(void **state)
{
	static const char *const bad[] = { "a@b\r\nBcc: c@d", "a@b\nx",
		"Ann\r\nBcc: <c@d> <a@b>", "a@b>", "<a@b", "a b@c", "a@", "@b",
		"a", "", "a@b@c", "a@b, c@d", "a@b> RCPT TO:<c@d", "\xc3\xa4@b",
		"a@b\x7f" };
	struct mail m = sample();
	struct str name, address;

	(void)state;
	m.subject = STR("hello\r\nBcc: spy@example.com\r\n\r\nbody");
	assert_string_equal(
	    header(&m, "Subject:"), " hello  Bcc: spy@example.com    body");
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		if (mail_address(str_of(bad[i]), &name, &address))
			fail_msg("taken: %s", bad[i]);
		m.from = str_of(bad[i]);
		assert_non_null(strstr(written(&m), "is no e-mail address"));
	}
	assert_true(mail_address(
	    STR("  Ann \"A\" <ann@example.com> "), &name, &address));
	assert_str(name, "Ann \"A\"");
	assert_str(address, "ann@example.com");
	assert_true(mail_address(STR("<ann@b>"), &name, &address));
	assert_str(address, "ann@b");
	m.from = STR("a\\b\"c <a@b>");
	assert_string_equal(header(&m, "From:"), " \"a\\\\b\\\"c\" <a@b>");
}

static void
bodies_are_lines(void **state)
{
	struct mail m = sample();
	static char wide[1200];

	(void)state;
	m.body = STR("a\r\nb\n\n.\n");
	assert_non_null(strstr(written(&m), "\r\n\r\na\r\nb\r\n\r\n.\r\n"));
	m.body = STR("");
	assert_non_null(strstr(written(&m), "7bit\r\n\r\n"));
	m.body = STR("a\rb");
	assert_non_null(strstr(written(&m), "base64"));
	memset(wide, 'x', sizeof(wide) - 1);
	m.body = str_of(wide); /* longer than a line may be */
	assert_non_null(strstr(written(&m), "base64"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_has_what_a_server_expects),
		cmocka_unit_test(other_alphabets_are_encoded_and_folded),
		cmocka_unit_test(long_headers_are_folded),
		cmocka_unit_test(nothing_gets_into_the_headers),
		cmocka_unit_test(bodies_are_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "codec/url.h"

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;

static int
set_up(void **state)
{
	(void)state;
	arena = (struct arena){ 0 };
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static void
is_text(struct str got, const char *want)
{
	if (want == NULL) {
		assert_null(got.ptr);
		return;
	}
	assert_non_null(got.ptr);
	assert_string_equal(arena_z(&arena, got), want);
}

static void
a_form_keeps_letters_digits_and_four_marks(void **state)
{
	struct buf b = { 0 };

	(void)state;
	url_form_encode(&b, STR("aZ09*-._ ~+&=%/\xC3\xA9\n"));
	url_form_encode(&b, (struct str){ "\0", 1 });
	is_text(buf_str(&b), "aZ09*-._+%7E%2B%26%3D%25%2F%C3%A9%0A%00");
	buf_free(&b);
}

static void
a_url_keeps_unreserved_characters(void **state)
{
	struct buf b = { 0 };

	(void)state;
	url_encode(&b, STR("aZ09-._~ *+/"));
	is_text(buf_str(&b), "aZ09-._~%20%2A%2B%2F");
	buf_free(&b);
}

static void
decoding_undoes_both(void **state)
{
	(void)state;
	is_text(url_decode(&arena, STR("a+b%20c%2B"), true), "a b c+");
	is_text(url_decode(&arena, STR("a+b%20c%2b"), false), "a+b c+");
	is_text(url_decode(&arena, STR("100%"), true), "100%");
	is_text(url_decode(&arena, STR("%4"), true), "%4");
	is_text(url_decode(&arena, STR("%zz%41%"), true), "%zzA%");
	is_text(url_decode(&arena, STR_NULL, true), "");
	is_text(url_decode(&arena, STR("%2541"), true), "%41");
}

static void
every_byte_survives_a_round_trip(void **state)
{
	struct buf b = { 0 };
	char all[256];
	struct str s = { all, sizeof(all) };

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	url_form_encode(&b, s);
	assert_true(str_eq(url_decode(&arena, buf_str(&b), true), s));
	buf_clear(&b);
	url_encode(&b, s);
	assert_true(str_eq(url_decode(&arena, buf_str(&b), false), s));
	buf_free(&b);
}

static void
pairs_are_joined_by_an_ampersand(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_addz(&b, "/x?");
	url_form_add(&b, "a", STR("1 2"));
	url_form_add(&b, "b", STR("&"));
	url_form_add(&b, "c", STR_NULL);
	is_text(buf_str(&b), "/x?a=1+2&b=%26&c=");
	buf_clear(&b);
	url_form_add(&b, "a", STR("1"));
	is_text(buf_str(&b), "a=1");
	buf_free(&b);
}

static void
a_form_is_split_and_decoded(void **state)
{
	struct url_form f =
	    url_form_parse(&arena, STR("a=1&&b=x%3Dy=z&flag&c=&a=2&%61b=+&=v"));

	(void)state;
	assert_int_equal(f.n, 7);
	is_text(url_form_get(&f, "a"), "1");
	is_text(url_form_get(&f, "b"), "x=y=z");
	is_text(url_form_get(&f, "flag"), "");
	is_text(url_form_get(&f, "c"), "");
	is_text(url_form_get(&f, "ab"), " ");
	is_text(url_form_get(&f, "none"), NULL);
	f = url_form_parse(&arena, STR(""));
	assert_int_equal(f.n, 0);
	f = url_form_parse(&arena, STR_NULL);
	is_text(url_form_get(&f, "a"), NULL);
}

static void
a_form_has_a_limit_of_pairs(void **state)
{
	struct buf b = { 0 };
	struct url_form f;

	(void)state;
	for (int i = 0; i < URL_PAIRS_MAX + 50; i++)
		buf_addf(&b, "n%d=%d&", i, i);
	f = url_form_parse(&arena, buf_str(&b));
	assert_int_equal(f.n, URL_PAIRS_MAX);
	is_text(url_form_get(&f, "n255"), "255");
	is_text(url_form_get(&f, "n256"), NULL);
	buf_free(&b);
}

static void
a_url_falls_into_its_parts(void **state)
{
	struct url u;

	(void)state;
	assert_true(url_parse(&arena,
	    STR("HTTPS://me:p%40s:s@Example.COM:8443/a/b;c?x=1?&y#z?#"), &u));
	is_text(u.scheme, "https");
	is_text(u.user, "me");
	is_text(u.password, "p%40s:s");
	is_text(u.host, "example.com");
	assert_int_equal(u.port, 8443);
	is_text(u.path, "/a/b;c");
	is_text(u.query, "x=1?&y");
	is_text(u.fragment, "z?#");
	assert_true(u.has_authority);

	assert_true(url_parse(&arena, STR("amqp://u@host"), &u));
	is_text(u.user, "u");
	is_text(u.password, NULL);
	is_text(u.path, "");
	is_text(u.query, NULL);
	is_text(u.fragment, NULL);
	assert_int_equal(u.port, 0);

	assert_true(url_parse(&arena, STR("http://h?q#"), &u));
	is_text(u.path, "");
	is_text(u.query, "q");
	is_text(u.fragment, "");

	assert_true(url_parse(&arena, STR("http://a@b@c/"), &u));
	is_text(u.user, "a@b");
	is_text(u.host, "c");

	assert_true(url_parse(&arena, STR("mailto:a@b"), &u));
	is_text(u.path, "a@b");
	assert_false(u.has_authority);
	assert_true(url_parse(&arena, STR("file:///etc"), &u));
	is_text(u.path, "/etc");
	assert_true(url_parse(&arena, STR(" http://h/ "), &u));
	is_text(u.host, "h");
}

static void
an_ip_address_keeps_its_brackets(void **state)
{
	struct url u;

	(void)state;
	assert_true(url_parse(&arena, STR("http://[FE80::1]:80/x"), &u));
	is_text(u.host, "[fe80::1]");
	assert_int_equal(u.port, 80);
	assert_true(url_parse(&arena, STR("mqtt://[::1]"), &u));
	is_text(u.host, "[::1]");
	assert_int_equal(u.port, 0);
}

static void
what_is_no_absolute_url_is_refused(void **state)
{
	static const char *const bad[] = { "", " ", "localhost", "/path", "//h",
		"?q", "#f", ":", "://h", "1http://h", "+a://h", "-a:b", ".a:b",
		"ht tp://h", "h\xC3\xA9:x", "http://", "http:///x", "http:x",
		"https:", "http://:80", "http://u@", "http://u@:1",
		"http://h:x", "http://h:-1", "http://h:65536",
		"http://h:99999999999999999999", "http://a b/", "http://a<b/",
		"http://[::1", "http://[::1]x", "http://[::1]x:1", "http://[]/",
		"http://[x]/", "http://a]b/", "http://a[b/", "http://h\x01/",
		"http://h/a\nb", "http://h/\r\nX: y", "http://h/?a\tb",
		"mqtt://h\x7F", "http://a%41/" };
	struct url u;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (url_parse(&arena, str_of(bad[i]), &u))
			fail_msg("\"%s\" was taken", bad[i]);
	assert_false(url_parse(&arena, STR_NULL, &u));
	assert_false(url_parse(&arena, (struct str){ "http://h\0x/", 11 }, &u));
	assert_false(url_parse(&arena, (struct str){ "http://h/\0x", 11 }, &u));
}

static void
a_scheme_has_its_port(void **state)
{
	static const struct {
		const char *url;
		int port;
	} rows[] = { { "http://h", 80 }, { "https://h", 443 },
		{ "amqp://h", 5672 }, { "amqps://h", 5671 },
		{ "mqtt://h", 1883 }, { "mqtts://h", 8883 },
		{ "MQTT://h:7", 7 }, { "foo://h", 0 }, { "http://h:", 80 },
		{ "http://h:65535", 65535 } };
	struct url u;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_true(url_parse(&arena, str_of(rows[i].url), &u));
		assert_int_equal(url_port(&u), rows[i].port);
	}
}

static void
origin_and_normal_form_are_those_of_a_browser(void **state)
{
	static const struct {
		const char *url, *origin, *normal;
	} rows[] = {
		{ "HTTP://Host:80", "http://host:80", "http://host/" },
		{ "https://h:443/x", "https://h:443", "https://h/x" },
		{ "http://h:8080?q", "http://h:8080", "http://h:8080/?q" },
		{ "mqtt://u:p@H:1883/v#f", "mqtt://h:1883",
		    "mqtt://u:p@h:1883/v#f" },
		{ "amqp://:p@h", "amqp://h", "amqp://:p@h" },
		{ "amqp://u@h", "amqp://h", "amqp://u@h" },
		{ "http://h/?", "http://h", "http://h/?" },
	};
	struct url u;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_true(url_parse(&arena, str_of(rows[i].url), &u));
		is_text(url_origin(&arena, &u), rows[i].origin);
		is_text(url_normal(&arena, &u), rows[i].normal);
	}
}

static void
a_normal_form_is_its_own_normal_form(void **state)
{
	static const char *const urls[] = { "HTTP://Host:80", "mailto:a@B",
		"file:///x?y#z", "https://[::1]:443/?#", "ws://u:@h" };
	struct url u;
	struct str once;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(urls); i++) {
		assert_true(url_parse(&arena, str_of(urls[i]), &u));
		once = url_normal(&arena, &u);
		assert_true(url_parse(&arena, once, &u));
		is_text(url_normal(&arena, &u), arena_z(&arena, once));
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_form_keeps_letters_digits_and_four_marks),
		CASE(a_url_keeps_unreserved_characters),
		CASE(decoding_undoes_both),
		CASE(every_byte_survives_a_round_trip),
		CASE(pairs_are_joined_by_an_ampersand),
		CASE(a_form_is_split_and_decoded),
		CASE(a_form_has_a_limit_of_pairs),
		CASE(a_url_falls_into_its_parts),
		CASE(an_ip_address_keeps_its_brackets),
		CASE(what_is_no_absolute_url_is_refused),
		CASE(a_scheme_has_its_port),
		CASE(origin_and_normal_form_are_those_of_a_browser),
		CASE(a_normal_form_is_its_own_normal_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * net/proxy_test.c - headers of both versions, as the specification of the
 * PROXY protocol has them, and what is none.
 */
#include "base/test.h"

#include "base/base.h"
#include "base/crc32c.h"
#include "net/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define MAGIC "\r\n\r\n\0\r\nQUIT\n"

/* "address port" of a source, "-" for none. */
static void
assert_source(const struct proxy_header *h, const char *wanted)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&h->source;
	const struct sockaddr_in6 *in6 =
	    (const struct sockaddr_in6 *)&h->source;
	char address[INET6_ADDRSTRLEN], text[80] = "-";

	if (h->source.ss_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, address, sizeof(address));
		snprintf(
		    text, sizeof(text), "%s %u", address, ntohs(in->sin_port));
	} else if (h->source.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, address, sizeof(address));
		snprintf(text, sizeof(text), "%s %u", address,
		    ntohs(in6->sin6_port));
	}
	assert_string_equal(text, wanted);
}

struct good {
	struct str bytes;
	const char *source;
	const char *cn; /* "": none */
	bool local;
};

static const struct good goods[] = {
	{ STR("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),
	    "192.168.0.1 56324", "", false },
	{ STR("PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n"),
	    "255.255.255.255 65535", "", false },
	{ STR("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"), "2001:db8::1 1", "",
	    false },
	{ STR("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535", "", false },
	{ STR("PROXY UNKNOWN\r\n"), "-", "", false },
	{ STR("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	    "-", "", false },
	/* local, with addresses that do not count, and without any */
	{ STR(MAGIC "\x20\x11\0\x0c\1\2\3\4\5\6\7\x08\0\1\0\2"), "-", "",
	    true },
	{ STR(MAGIC "\x20\0\0\0"), "-", "", true },
	{ STR(MAGIC "\x21\x11\0\x0c\xc0\xa8\0\1\xc0\xa8\0\x0b\xdc\4\1\xbb"),
	    "192.168.0.1 56324", "", false },
	{ STR(MAGIC "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
		    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\x50\1\xbb"),
	    "2001:db8::1 80", "", false },
	/* nothing that has an address */
	{ STR(MAGIC "\x21\0\0\3\4\0\0"), "-", "", false },
	/* rows behind: ALPN, no operation of 3 bytes, an empty one */
	{ STR(MAGIC "\x21\x11\0\x1c\xc0\xa8\0\1\xc0\xa8\0\x0b\xdc\4\1\xbb"
		    "\1\0\4mqtt\4\0\3\0\0\0\x05\0\0"),
	    "192.168.0.1 56324", "", false },
	/* SSL with version and common name: verified, with a certificate */
	{ STR(MAGIC "\x21\x11\0\x2a\xc0\xa8\0\1\xc0\xa8\0\x0b\xdc\4\1\xbb"
		    "\x20\0\x1b\7\0\0\0\0\x21\0\7TLSv1.3\x22\0\x09"
		    "device 42"),
	    "192.168.0.1 56324", "device 42", false },
	/* the same, not verified */
	{ STR(MAGIC "\x21\x11\0\x2a\xc0\xa8\0\1\xc0\xa8\0\x0b\xdc\4\1\xbb"
		    "\x20\0\x1b\7\0\0\0\1\x21\0\7TLSv1.3\x22\0\x09"
		    "device 42"),
	    "192.168.0.1 56324", "", false },
	/* and without a certificate */
	{ STR(MAGIC "\x21\x11\0\x2a\xc0\xa8\0\1\xc0\xa8\0\x0b\xdc\4\1\xbb"
		    "\x20\0\x1b\1\0\0\0\0\x21\0\7TLSv1.3\x22\0\x09"
		    "device 42"),
	    "192.168.0.1 56324", "", false },
};

static void
headers_are_read_when_they_are_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(goods); i++) {
		const struct good *g = &goods[i];
		struct proxy_header h;
		struct buf more = { 0 };

		for (size_t n = 0; n < g->bytes.len; n++)
			assert_int_equal(
			    proxy_parse(
				(struct str){ g->bytes.ptr, n }, &h, NULL),
			    ERR_AGAIN);
		buf_add_str(&more, g->bytes);
		buf_addz(&more, "\x10\x0cMQTT");
		assert_int_equal(proxy_parse(buf_str(&more), &h, NULL), 0);
		assert_int_equal(h.len, g->bytes.len);
		assert_int_equal(h.local, g->local);
		assert_source(&h, g->source);
		assert_int_equal(h.cn.len, strlen(g->cn));
		if (h.cn.len > 0)
			assert_memory_equal(h.cn.ptr, g->cn, h.cn.len);
		buf_free(&more);
	}
}

static void
a_long_unix_address_is_skipped(void **state)
{
	struct buf b = { 0 };
	struct proxy_header h;

	(void)state;
	buf_add(&b, MAGIC "\x21\x31\0\xd8", 16);
	for (int i = 0; i < 216; i++)
		buf_addc(&b, 'u');
	assert_int_equal(proxy_parse(buf_str(&b), &h, NULL), 0);
	assert_int_equal(h.len, 232);
	assert_source(&h, "-");
	buf_free(&b);
}

static void
a_checksum_is_checked(void **state)
{
	char bytes[] = MAGIC "\x21\x11\0\x13\xc0\xa8\0\1\xc0\xa8\0\x0b"
			     "\xdc\4\1\xbb\3\0\4\0\0\0\0";
	struct str header = { bytes, sizeof(bytes) - 1 };
	uint32_t sum = htonl(crc32c(0, bytes, header.len));
	struct proxy_header h;

	(void)state;
	assert_int_equal(proxy_parse(header, &h, NULL), ERR_PROTO);
	memcpy(bytes + header.len - 4, &sum, 4);
	assert_int_equal(proxy_parse(header, &h, NULL), 0);
	assert_source(&h, "192.168.0.1 56324");
	bytes[16] ^= 1;
	assert_int_equal(proxy_parse(header, &h, NULL), ERR_PROTO);
}

static void
what_is_no_header_is_refused(void **state)
{
	static const struct str bad[] = {
		STR("GET / HTTP/1.1\r\n\r\n"),
		STR("\x10\x0c"),
		STR("PROXX"),
		STR("proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n"),
		STR("PROXY \r\n"),
		STR("PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n"),
		STR("PROXY TCP4\r\n"),
		STR("PROXY TCP4 1.2.3.4\r\n"),
		STR("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"),
		STR("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n"),
		STR("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n"),
		STR("PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n"),
		STR("PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n"),
		STR("PROXY TCP4 1.2.3.256 1.2.3.4 1 1\r\n"),
		STR("PROXY TCP4 ::1 ::1 1 1\r\n"),
		STR("PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n"),
		STR("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 1\r\n"),
		STR("PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n"),
		STR("PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n"),
		STR("PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n"),
		STR("PROXY TCP4 1.2.3.4 1.2.3.4 1 x\r\n"),
		STR("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n\r\n"),
		/* 108 bytes without an end */
		STR("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
		STR("\r\n\r\n\0\r\nQUIX"),
		STR(MAGIC "\x11\x11\0\0"), /* version 1 in binary */
		STR(MAGIC "\x22\x11\0\0"), /* no such command */
		STR(MAGIC "\x21\x41\0\0"), /* no such family */
		STR(MAGIC "\x21\x13\0\0"),
		STR(MAGIC "\x21\x11\0\x0b\1\2\3\4\5\6\7\x08\0\1\0"),
		STR(MAGIC "\x21\x21\0\x0c\1\2\3\4\5\6\7\x08\0\1\0\2"),
		/* rows that overrun, or are no rows */
		STR(MAGIC "\x21\x11\0\x0e\1\2\3\4\5\6\7\x08\0\1\0\2\1\0"),
		STR(MAGIC "\x21\x11\0\x10\1\2\3\4\5\6\7\x08\0\1\0\2\1\0\2x"),
		STR(MAGIC "\x21\x11\0\x11\1\2\3\4\5\6\7\x08\0\1\0\2"
			  "\x20\0\2\7\0"),
		STR(MAGIC "\x21\x11\0\x16\1\2\3\4\5\6\7\x08\0\1\0\2"
			  "\x20\0\7\7\0\0\0\0\x22\0"),
		STR(MAGIC "\x21\x11\0\x10\1\2\3\4\5\6\7\x08\0\1\0\2\3\0\1x"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct proxy_header h;
		struct err err;

		if (proxy_parse(bad[i], &h, &err) != ERR_PROTO)
			fail_msg("%zu: %.40s", i, bad[i].ptr);
	}
}

static void
a_giant_header_is_refused_at_once(void **state)
{
	struct proxy_header h;

	(void)state;
	assert_int_equal(
	    proxy_parse(STR(MAGIC "\x21\x11\xff\xff"), &h, NULL), ERR_LIMIT);
	assert_int_equal(
	    proxy_parse(STR(MAGIC "\x20\0\x0f\xf1"), &h, NULL), ERR_LIMIT);
	assert_int_equal(
	    proxy_parse(STR(MAGIC "\x20\0\x0f\xf0"), &h, NULL), ERR_AGAIN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_read_when_they_are_whole),
		cmocka_unit_test(a_long_unix_address_is_skipped),
		cmocka_unit_test(a_checksum_is_checked),
		cmocka_unit_test(what_is_no_header_is_refused),
		cmocka_unit_test(a_giant_header_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

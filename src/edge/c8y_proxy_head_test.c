/*
 * edge/c8y_proxy_head_test.c - what comes to the proxy, and what goes on.
 */
#include "base/test.h"

#include "base/base.h"
#include "edge/c8y_proxy_head.h"

#include <string.h>

#define FIRST "GET /c8y/x HTTP/1.1\r\n"

static const struct {
	const char *in, *out; /* out NULL: refused with `status` */
	int status;
	bool upgrade, chunked;
	uint64_t body;
} cases[] = {
	{ "GET /c8y/a/b?c=d HTTP/1.1\r\nHost: localhost:8001\r\nAccept: */*\r\n"
	  "Connection: keep-alive\r\n\r\n",
	    "GET /a/b?c=d HTTP/1.1\r\nHost: cloud\r\nAccept: */*\r\n"
	    "Authorization: Bearer t\r\nConnection: close\r\n\r\n",
	    0, false, false, 0 },
	{ "GET /c8y HTTP/1.0\r\n\r\n",
	    "GET / HTTP/1.0\r\nHost: cloud\r\nAuthorization: Bearer t\r\n"
	    "Connection: close\r\n\r\n",
	    0, false, false, 0 },
	{ "GET /c8y?q HTTP/1.1\r\n\r\n",
	    "GET /?q HTTP/1.1\r\nHost: cloud\r\nAuthorization: Bearer t\r\n"
	    "Connection: close\r\n\r\n",
	    0, false, false, 0 },
	{ "PUT /c8y/f HTTP/1.1\r\nauthorization: Basic eDp5\r\n"
	  "CONTENT-LENGTH: 12\r\nTE: gzip\r\nUpgrade: h2c\r\n\r\n",
	    "PUT /f HTTP/1.1\r\nHost: cloud\r\nauthorization: Basic eDp5\r\n"
	    "CONTENT-LENGTH: 12\r\nConnection: close\r\n\r\n",
	    0, false, false, 12 },
	{ "POST /c8y/f HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n",
	    "POST /f HTTP/1.1\r\nHost: cloud\r\nTransfer-Encoding: Chunked\r\n"
	    "Authorization: Bearer t\r\nConnection: close\r\n\r\n",
	    0, false, true, 0 },
	{ "GET /c8y/ws HTTP/1.1\r\nUpgrade: WebSocket\r\n"
	  "Connection: keep-alive, Upgrade\r\n\r\n",
	    "GET /ws HTTP/1.1\r\nHost: cloud\r\nUpgrade: WebSocket\r\n"
	    "Authorization: Bearer t\r\nConnection: Upgrade\r\n\r\n",
	    0, true, false, 0 },
	{ "GET /c8yx HTTP/1.1\r\n\r\n", NULL, 404, false, false, 0 },
	{ "GET /te/v1 HTTP/1.1\r\n\r\n", NULL, 404, false, false, 0 },
	{ "GET http://h/c8y/x HTTP/1.1\r\n\r\n", NULL, 404, false, false, 0 },
	{ "CONNECT h:1 HTTP/1.1\r\n\r\n", NULL, 405, false, false, 0 },
	{ "GET /c8y/x HTTP/2\r\n\r\n", NULL, 400, false, false, 0 },
	{ "GET /c8y/x y HTTP/1.1\r\n\r\n", NULL, 400, false, false, 0 },
	{ "GET /c8y/\x01 HTTP/1.1\r\n\r\n", NULL, 400, false, false, 0 },
	{ "\r\n\r\n", NULL, 400, false, false, 0 },
	{ FIRST "nothing\r\n\r\n", NULL, 400, false, false, 0 },
	{ FIRST "A: b\r\n folded\r\n\r\n", NULL, 400, false, false, 0 },
	{ FIRST "A : b\r\n\r\n", NULL, 400, false, false, 0 },
	{ FIRST "A: b\nAuthorization: x\r\n\r\n", NULL, 400, false, false, 0 },
	{ FIRST "Content-Length: -1\r\n\r\n", NULL, 400, false, false, 0 },
	{ FIRST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", NULL, 400,
	    false, false, 0 },
	{ FIRST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", NULL,
	    400, false, false, 0 },
	{ FIRST "Transfer-Encoding: gzip, chunked\r\n\r\n", NULL, 501, false,
	    false, 0 },
};

static void
a_request_goes_on_as_the_device(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct str raw = str_of(cases[i].in);
		struct c8y_proxy_head h;
		const char *why = NULL;
		struct buf out = { 0 };

		assert_int_equal(c8y_proxy_head_end(raw), raw.len);
		assert_int_equal(
		    c8y_proxy_head_read(raw, &h, &why), cases[i].status);
		if (cases[i].out == NULL) {
			assert_non_null(why);
			continue;
		}
		c8y_proxy_head_write(&h, STR("cloud"),
		    h.authorized ? STR_NULL : STR("Bearer t"), &out);
		assert_string_equal(buf_z(&out), cases[i].out);
		assert_int_equal(h.upgrade, cases[i].upgrade);
		assert_int_equal(h.chunked, cases[i].chunked);
		assert_int_equal(h.body, cases[i].body);
		buf_free(&out);
	}
}

static void
a_head_ends_with_an_empty_line(void **state)
{
	(void)state;
	assert_int_equal(c8y_proxy_head_end(STR_NULL), 0);
	assert_int_equal(c8y_proxy_head_end(STR(FIRST "\r")), 0);
	assert_int_equal(
	    c8y_proxy_head_end(STR(FIRST "\r\nbody")), strlen(FIRST) + 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_goes_on_as_the_device),
		cmocka_unit_test(a_head_ends_with_an_empty_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

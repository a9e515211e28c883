/*
 * edge/http_reply_test.c - answers, whole and byte by byte.
 */
#include "base/test.h"

#include "base/base.h"
#include "edge/http_reply.h"

#include <string.h>

static void
add(void *ctx, const struct http_reply *r, struct str bytes)
{
	assert_true(r->status >= 200);
	buf_add_str(ctx, bytes);
}

#define HEAD "HTTP/1.1 200 OK\r\n"

static const struct {
	const char *text;
	bool ends; /* the connection, behind it */
	int status;
	const char *reason, *body;
	const char *error; /* NULL: it is good */
} cases[] = {
	{ HEAD "Content-Length: 5\r\n\r\nhello", false, 200, "OK", "hello",
	    NULL },
	{ HEAD "content-length:0\r\n\r\n", false, 200, "OK", "", NULL },
	{ HEAD "\r\nuntil the end", true, 200, "OK", "until the end", NULL },
	{ HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
	       "A;x=y\r\n, you there\r\n0\r\nX: y\r\n\r\nrest",
	    false, 200, "OK", NULL, "a chunk ends with" },
	{ HEAD "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n"
	       "b;x=y\r\n, you there\r\n0\r\nX: y\r\n\r\nrest",
	    false, 200, "OK", "hello, you there", NULL },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n"
	  "Content-Length: 2\r\n\r\nno",
	    false, 404, "Not Found", "no", NULL },
	{ "HTTP/1.1 204\r\n\r\n", false, 204, "", "", NULL },
	{ HEAD "Content-Length: 9\r\n\r\nhello", true, 200, "OK", NULL,
	    "closed within the answer" },
	{ "", true, 0, "", NULL, "closed without an answer" },
	{ "SSH-2.0-OpenSSH\r\n", false, 0, "", NULL, "no HTTP server" },
	{ HEAD "nothing\r\n", false, 200, "OK", NULL, "a header is" },
	{ HEAD "Content-Length: -1\r\n", false, 200, "OK", NULL,
	    "its length is" },
	{ HEAD "Transfer-Encoding: gzip\r\n", false, 200, "OK", NULL,
	    "it is coded as" },
	{ HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", false, 200, "OK",
	    NULL, "a chunk's length is" },
	{ HEAD "Transfer-Encoding: chunked\r\n\r\n1111111111111111\r\n", false,
	    200, "OK", NULL, "a chunk's length is" },
};

static void
answers_are_read_however_they_are_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		for (size_t step = 1; step < 100; step += 7) {
			struct buf body = { 0 };
			struct http_reply r = { .body = add, .ctx = &body };
			struct str rest = str_of(cases[i].text);
			struct err err = { 0 };
			int rc = 0;

			while (rc == 0 && rest.len > 0) {
				struct str now = { rest.ptr,
					MIN_OF(step, rest.len) };

				rc = http_reply_feed(&r, now, &err);
				rest.ptr += now.len;
				rest.len -= now.len;
			}
			if (rc == 0 && cases[i].ends)
				rc = http_reply_end(&r, &err);
			assert_int_equal(rc != 0, cases[i].error != NULL);
			assert_int_equal(r.status, cases[i].status);
			assert_string_equal(buf_z(&r.reason), cases[i].reason);
			if (rc == 0) {
				assert_true(r.over);
				assert_string_equal(
				    buf_z(&body), cases[i].body);
			} else
				assert_non_null(
				    strstr(err.text, cases[i].error));
			http_reply_fini(&r);
			buf_free(&body);
		}
}

static void
a_line_has_an_end(void **state)
{
	struct http_reply r = { .body = add };
	struct buf line = { 0 };
	struct err err;

	(void)state;
	while (line.len <= HTTP_REPLY_LINE_MAX)
		buf_addz(&line, "HTTP/1.1 ");
	assert_int_equal(http_reply_feed(&r, buf_str(&line), &err), ERR_PROTO);
	http_reply_fini(&r);
	buf_free(&line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_read_however_they_are_cut),
		cmocka_unit_test(a_line_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

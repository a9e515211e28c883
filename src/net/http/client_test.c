/*
 * Requests against a small server on a thread: what it answers lies in the
 * path.
 */
#include "base/test.h"

#include "base/base.h"
#include "net/http/client.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
	struct loop *loop;
	struct http_client *client;
	int listener, other;
	int port, other_port;
	pthread_t thread;
	char asked[1024]; /* the last request line */

	int answers, status;
	char body[64], headers[256], why[128];
};

/* --- the server ---------------------------------------------------------- */

static int
listen_on(int *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void
reply(struct fixture *f, int fd, const char *path)
{
	char text[2048];
	const char *body = "hello";

	if (strncmp(path, "/silent", 7) == 0)
		return; /* the other side gives up */
	if (strncmp(path, "/here", 5) == 0)
		snprintf(text, sizeof(text),
		    "HTTP/1.1 302 x\r\nLocation: /end\r\n"
		    "Content-Length: 0\r\nConnection: close\r\n\r\n");
	else if (strncmp(path, "/there", 6) == 0)
		snprintf(text, sizeof(text),
		    "HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:%d/end\r\n"
		    "Content-Length: 0\r\nConnection: close\r\n\r\n",
		    f->other_port);
	else
		snprintf(text, sizeof(text),
		    "HTTP/1.1 200 x\r\nX-Two: a\r\nX-Two: b\r\n"
		    "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
		    strlen(body), body);
	(void)!write(fd, text, strlen(text));
	shutdown(fd, SHUT_WR);
}

static void *
serve(void *arg)
{
	struct fixture *f = arg;
	int fd;

	while ((fd = accept(f->listener, NULL, NULL)) >= 0) {
		size_t len = 0;
		ssize_t n;
		char path[64] = "";

		memset(f->asked, 0, sizeof(f->asked));
		while (strstr(f->asked, "\r\n\r\n") == NULL &&
		    (n = read(fd, f->asked + len, sizeof(f->asked) - 1 - len)) >
			0)
			len += (size_t)n;
		sscanf(f->asked, "%*s %63s", path);
		reply(f, fd, path);
		while (read(fd, path, sizeof(path)) > 0)
			;
		close(fd);
	}
	return NULL;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->loop = loop_new();
	f->client = http_client_new(f->loop, NULL);
	f->listener = listen_on(&f->port);
	f->other = listen_on(&f->other_port);
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	http_client_free(f->client);
	loop_free(f->loop);
	shutdown(f->listener, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->listener);
	close(f->other);
	free(f);
	return 0;
}

/* --- asking -------------------------------------------------------------- */

static void
on_answer(void *ctx, const struct http_answer *a)
{
	struct fixture *f = ctx;

	f->answers++;
	f->status = a->status;
	snprintf(f->body, sizeof(f->body), STR_FMT, STR_ARG(a->body));
	snprintf(f->headers, sizeof(f->headers), STR_FMT, STR_ARG(a->headers));
	snprintf(f->why, sizeof(f->why), "%s", a->why);
}

static void
ask(struct fixture *f, const char *path, struct http_request r)
{
	char url[128];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", f->port, path);
	r.method = r.method != NULL ? r.method : "GET";
	r.url = url;
	f->answers = 0;
	(void)http_fetch_start(f->client, &r, on_answer, f);
	while (f->answers == 0)
		loop_turn(f->loop, 100);
	assert_int_equal(f->answers, 1);
}

static void
an_answer_has_status_body_and_headers(void **state)
{
	struct fixture *f = *state;

	ask(f, "/x", (struct http_request){ 0 });
	assert_int_equal(f->status, 200);
	assert_string_equal(f->body, "hello");
	assert_string_equal(f->headers,
	    "{\"x-two\":\"a, b\",\"content-length\":\"5\","
	    "\"connection\":\"close\"}");
}

static void
an_answer_has_a_limit(void **state)
{
	struct fixture *f = *state;

	ask(f, "/x", (struct http_request){ .size_max = 4 });
	assert_string_equal(f->body, "hell");
	ask(f, "/x", (struct http_request){ .size_max = 5, .whole = true });
	assert_string_equal(f->body, "hello");
	ask(f, "/x", (struct http_request){ .size_max = 4, .whole = true });
	assert_int_equal(f->status, 0);
	assert_string_equal(f->why, "the answer is too long");
}

static void
a_request_has_a_time(void **state)
{
	struct fixture *f = *state;

	ask(f, "/silent", (struct http_request){ .timeout_ms = 50 });
	assert_int_equal(f->status, 0);
	assert_string_equal(f->why, "no answer within 50 ms");
}

static void
redirections_are_followed_within_one_host_only(void **state)
{
	struct fixture *f = *state;

	ask(f, "/here", (struct http_request){ 0 });
	assert_int_equal(f->status, 302);
	ask(f, "/here",
	    (struct http_request){
		.method = "POST", .body = STR("x"), .follow = HTTP_SAME_HOST });
	assert_int_equal(f->status, 200);
	assert_non_null(strstr(f->asked, "GET /end "));
	ask(f, "/there", (struct http_request){ .follow = HTTP_SAME_HOST });
	assert_int_equal(f->status, 302);
}

static void
a_cancelled_request_is_not_answered(void **state)
{
	struct fixture *f = *state;
	struct http_request r = { .method = "GET", .timeout_ms = 30 };
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/silent", f->port);
	r.url = url;
	http_fetch_cancel(http_fetch_start(f->client, &r, on_answer, f));
	ask(f, "/x", (struct http_request){ 0 });
	assert_int_equal(f->status, 200);
}

static void
hosts_can_be_listed(void **state)
{
	struct str list = STR("a.example, *.b.example");

	(void)state;
	assert_true(http_host_in(list, STR("A.example")));
	assert_true(http_host_in(list, STR("x.b.example")));
	assert_false(http_host_in(list, STR("b.example")));
	assert_false(http_host_in(list, STR("xb.example")));
	assert_false(http_host_in(STR(""), STR("a.example")));
	assert_false(http_host_in(STR_NULL, STR("a.example")));
}

static void
requests_are_made_of_json(void **state)
{
	struct arena a = { 0 };
	struct strs list = { 0 };
	struct buf url = { 0 };
	struct str host;
	struct err err;
	const char *method;

	(void)state;
	assert_int_equal(http_method(STR("put"), &method, &err), 0);
	assert_string_equal(method, "PUT");
	assert_int_equal(http_method(STR("BREW"), &method, &err), ERR_PARAM);
	buf_addz(&url, "http://h/x?a=1");
	assert_int_equal(
	    http_add_query(&a, &url, STR("{\"b\":\"c d\",\"n\":2}"), &err), 0);
	assert_str(buf_str(&url), "http://h/x?a=1&b=c+d&n=2");
	buf_free(&url);
	assert_int_equal(http_add_headers(&a, &list,
			     STR("{\"X\":\"1\",\"Y\":2,\"x\":\"3\"}"), &err),
	    0);
	assert_int_equal(list.n, 2);
	assert_true(http_has_header(&list, STR("y:")));
	assert_int_equal(
	    http_add_headers(&a, &list, STR("{\"X\":\"1\\r\\nZ: 2\"}"), &err),
	    ERR_PARAM);
	assert_int_equal(
	    http_check_url(&a, STR("http://H:1/x"), &host, &err), 0);
	assert_str(host, "H");
	assert_int_equal(
	    http_check_url(&a, STR("file:///x"), &host, &err), ERR_PARAM);
	assert_int_equal(
	    http_check_url(&a, STR("http://h/a b"), &host, &err), ERR_PARAM);
	arena_fini(&a);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_answer_has_status_body_and_headers),
		TEST(an_answer_has_a_limit),
		TEST(a_request_has_a_time),
		TEST(redirections_are_followed_within_one_host_only),
		TEST(a_cancelled_request_is_not_answered),
		cmocka_unit_test(hosts_can_be_listed),
		cmocka_unit_test(requests_are_made_of_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * net/http/test_server.h - for tests: an HTTP server whose loop has a thread of
 * its own, and a client that sends bytes and reads answers.
 *
 * The functions fail the test rather than return an error.
 */
#ifndef NET_HTTP_TEST_SERVER_H
#define NET_HTTP_TEST_SERVER_H

#include "base/clock.h"
#include "base/loop.h"
#include "base/worker.h"
#include "net/http/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TEST_WAIT_MS 90000 /* a client gives up after it */

struct test_server {
	struct loop *loop;
	struct worker_pool *workers, *slow;
	struct http_server *http;
	pthread_t thread;
};

/* Settings that do not get in a test's way. */
static inline struct http_server_conf
test_server_conf(void)
{
	return (struct http_server_conf){ .address = "127.0.0.1",
		.max_connections = 64,
		.body_max = 1 << 20,
		.request_ms = 60000,
		.idle_s = 60,
		.cors_origins = "*" };
}

/* Makes loop, pools of `threads` and the server; routes are added to ->http
 * next. Pools in `conf` are set here. */
static inline void
test_server_new(struct test_server *t, struct http_server_conf conf,
    const struct http_server_events *ev, void *owner, size_t threads,
    size_t queue)
{
	t->loop = loop_new();
	conf.workers = t->workers = worker_pool_new("work", threads, queue);
	conf.slow = t->slow = worker_pool_new("slow", threads, queue);
	t->http = http_server_new(t->loop, &conf, ev, owner);
}

static inline void *
test_server_turn(void *arg)
{
	loop_run(arg);
	return NULL;
}

static inline void
test_server_start(struct test_server *t)
{
	struct err err;

	if (http_server_start(t->http, &err) != 0)
		fail_msg("%s", err.text);
	pthread_create(&t->thread, NULL, test_server_turn, t->loop);
}

/* Ends it as app/server.c does. */
static inline void
test_server_stop(struct test_server *t)
{
	loop_stop(t->loop);
	pthread_join(t->thread, NULL);
	http_server_stop(t->http);
	worker_pool_free(t->workers);
	worker_pool_free(t->slow);
	loop_turn(t->loop, 0);
	http_server_free(t->http);
	loop_free(t->loop);
}

struct test_poke {
	struct loop_post post;
	pthread_mutex_t lock;
	pthread_cond_t ran;
	bool done;
};

static inline void
test_poke_run(struct loop_post *p)
{
	struct test_poke *k = container_of(p, struct test_poke, post);

	pthread_mutex_lock(&k->lock);
	k->done = true;
	pthread_cond_signal(&k->ran);
	pthread_mutex_unlock(&k->lock);
}

/* Returns when the loop has run what was posted before. */
static inline void
test_server_poke(struct test_server *t)
{
	struct test_poke k = { .post.run = test_poke_run,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.ran = PTHREAD_COND_INITIALIZER };

	loop_post(t->loop, &k.post);
	pthread_mutex_lock(&k.lock);
	while (!k.done)
		pthread_cond_wait(&k.ran, &k.lock);
	pthread_mutex_unlock(&k.lock);
}

/* Moves the clock; the loop looks at its timers anew. */
static inline void
test_server_advance(struct test_server *t, int64_t ms)
{
	clock_advance(ms);
	test_server_poke(t);
}

/* --- the client ---------------------------------------------------------- */

struct test_client {
	int fd;
	struct buf in; /* read, not yet used */
};

struct test_reply {
	int status;
	struct str head, body; /* NUL-terminated, in the arena given */
	bool whole;            /* as long as it said it would be */
};

static inline struct test_client
test_connect(const struct test_server *t)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(http_server_port(t->http)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct test_client c = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
		{ 0 } };

	if (connect(c.fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		fail_msg("the server can not be reached");
	return c;
}

static inline void
test_close(struct test_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	buf_free(&c->in);
}

/* False when the server has closed. */
static inline bool
test_send_bytes(struct test_client *c, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static inline void
test_send(struct test_client *c, const char *text)
{
	assert_true(test_send_bytes(c, text, strlen(text)));
}

/* Reads something more; false: the server has closed. */
static inline bool
test_more(struct test_client *c)
{
	struct pollfd p = { c->fd, POLLIN, 0 };
	char some[16384];
	ssize_t n;

	if (poll(&p, 1, TEST_WAIT_MS) != 1)
		fail_msg("no answer within %d ms", TEST_WAIT_MS);
	n = recv(c->fd, some, sizeof(some), 0);
	if (n > 0)
		buf_add(&c->in, some, (size_t)n);
	return n > 0;
}

static inline void
test_used(struct test_client *c, size_t n)
{
	c->in.len -= n;
	if (n > 0)
		memmove(c->in.ptr, c->in.ptr + n, c->in.len);
}

/* The value of a header, STR_NULL when there is none. */
static inline struct str
test_header(const struct test_reply *r, const char *name)
{
	struct str rest = r->head;

	while (rest.ptr != NULL) {
		struct str value = str_cut(&rest, '\n');
		struct str key = str_cut(&value, ':');

		if (value.ptr != NULL && str_eq_nocase(key, str_of(name)))
			return str_trim(value);
	}
	return STR_NULL;
}

/* Takes `n` bytes of the body; false when the server closed before. */
static inline bool
test_take(struct test_client *c, struct buf *to, size_t n)
{
	while (c->in.len < n)
		if (!test_more(c))
			return false;
	buf_add(to, c->in.ptr, n);
	test_used(c, n);
	return true;
}

/* One line, without its end; false when the server closed before. */
static inline bool
test_line(struct test_client *c, struct buf *to)
{
	char *end;

	buf_clear(to);
	while (c->in.len == 0 ||
	    (end = memmem(c->in.ptr, c->in.len, "\r\n", 2)) == NULL)
		if (!test_more(c))
			return false;
	buf_add(to, c->in.ptr, (size_t)(end - c->in.ptr));
	test_used(c, (size_t)(end - c->in.ptr) + 2);
	return true;
}

static inline bool
test_chunks(struct test_client *c, struct buf *body)
{
	struct buf line = { 0 };
	bool ok = true;
	size_t n = 1;

	while (ok && n > 0) {
		ok = test_line(c, &line);
		n = ok ? strtoul(buf_z(&line), NULL, 16) : 0;
		ok = ok && test_take(c, body, n) && test_line(c, &line);
	}
	buf_free(&line);
	return ok;
}

/* Reads one answer. `bodiless`: it belongs to a HEAD. */
static inline struct test_reply
test_read(struct test_client *c, struct arena *a, bool bodiless)
{
	struct buf head = { 0 }, line = { 0 }, body = { 0 };
	struct test_reply r = { .whole = true };
	struct str length, coding;

	while (test_line(c, &line) && line.len > 0) {
		buf_add_str(&head, buf_str(&line));
		buf_addc(&head, '\n');
	}
	if (head.len < 12)
		fail_msg("the server closed without an answer");
	r.head = arena_str(a, buf_str(&head));
	r.status = atoi(r.head.ptr + sizeof("HTTP/1.1"));
	length = test_header(&r, "Content-Length");
	coding = test_header(&r, "Transfer-Encoding");
	if (bodiless || r.status == 204)
		;
	else if (str_eqz(coding, "chunked"))
		r.whole = test_chunks(c, &body);
	else if (length.ptr != NULL)
		r.whole = test_take(c, &body, strtoul(length.ptr, NULL, 10));
	else {
		while (test_more(c))
			;
		test_take(c, &body, c->in.len);
	}
	r.body = arena_str(a, (struct str){ buf_z(&body), body.len });
	buf_free(&head);
	buf_free(&line);
	buf_free(&body);
	return r;
}

#endif

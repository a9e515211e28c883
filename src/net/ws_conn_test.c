/*
 * net/ws_conn_test.c - a server and a client of WebSocket on one loop, by a
 * real socket; the server's side of the request is bytes.
 */
#include "net/ws_conn.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/test.h"
#include "net/ws_dial.h"
#include "net/ws_upgrade.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
	struct ws_conn *conn;
	struct buf heard; /* "text hello;bytes 3;room;closed;" */
	size_t bytes;     /* of binary messages */
	bool close_on_message;
};

struct fixture {
	struct loop *loop;
	int listener;
	uint16_t port;
	struct side server, client;
	struct ws_dial *dial;
	struct err why; /* of a dial that failed */
	bool failed;
	const char *answer; /* NULL: a good one */
};

static void
on_message(void *owner, bool binary, struct str payload)
{
	struct side *s = owner;

	if (binary)
		s->bytes += payload.len;
	if (binary && payload.len > 100)
		return;
	buf_addf(&s->heard, binary ? "bytes %zu;" : "text ", payload.len);
	if (!binary)
		buf_addf(&s->heard, STR_FMT ";", STR_ARG(payload));
	if (s->close_on_message) {
		ws_conn_close(s->conn, WEBSOCKET_NORMAL);
		s->conn = NULL;
	}
}

static void
on_room(void *owner)
{
	struct side *s = owner;

	buf_addz(&s->heard, "room;");
}

static void
on_closed(void *owner, const struct err *why)
{
	struct side *s = owner;

	(void)why;
	s->conn = NULL;
	buf_addz(&s->heard, "closed;");
}

static void
on_pong(void *owner, struct str payload)
{
	struct side *s = owner;

	buf_addf(&s->heard, "pong " STR_FMT ";", STR_ARG(payload));
}

static const struct ws_conn_events events = { on_message, on_room, on_closed,
	on_pong };

static void
open_side(
    struct fixture *f, struct side *s, int fd, struct stream *top, bool client)
{
	const struct ws_conn_conf conf = {
		.message_max = 200000, .client = client, .low = 1000
	};

	s->conn = ws_conn_new(f->loop, &conf, fd, top, STR(""), &events, s);
}

static void
on_dialed(void *owner, int fd, struct stream *top, struct str already,
    const struct err *why)
{
	struct fixture *f = owner;

	f->dial = NULL;
	f->failed = fd < 0;
	if (f->failed) {
		f->why = *why;
		return;
	}
	assert_int_equal(already.len, 0);
	open_side(f, &f->client, fd, top, true);
}

static void
good_answer(struct str in, struct buf *out)
{
	static const char name[] = "Sec-WebSocket-Key: ";
	const char *at = memmem(in.ptr, in.len, name, sizeof(name) - 1);
	struct str key;

	assert_true(str_starts(in, STR("GET /a/b?c=d HTTP/1.1\r\n")));
	assert_non_null(at);
	at += sizeof(name) - 1;
	key = (struct str){ at, 24 };
	assert_true(ws_key_ok(key));
	buf_addz(out,
	    "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: ");
	ws_accept(key, out);
	buf_addz(out, "\r\n\r\n");
}

/* Reads the request off `fd` and answers it. */
static void
answer(struct fixture *f, int fd)
{
	struct buf in = { 0 }, out = { 0 };
	char p[4096];
	ssize_t n;

	while (in.len < 4 || memmem(in.ptr, in.len, "\r\n\r\n", 4) == NULL) {
		loop_turn(f->loop, 10);
		n = recv(fd, p, sizeof(p), MSG_DONTWAIT);
		if (n > 0)
			buf_add(&in, p, (size_t)n);
		else
			assert_true(n < 0 && errno == EAGAIN);
	}
	if (f->answer != NULL)
		buf_addz(&out, f->answer);
	else
		good_answer(buf_str(&in), &out);
	assert_int_equal(write(fd, out.ptr, out.len), out.len);
	buf_free(&in);
	buf_free(&out);
}

static int
setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sa);

	f->loop = loop_new();
	f->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(f->listener, (void *)&sa, len), 0);
	assert_int_equal(listen(f->listener, 4), 0);
	assert_int_equal(getsockname(f->listener, (void *)&sa, &len), 0);
	f->port = ntohs(sa.sin_port);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	ws_dial_cancel(f->dial);
	ws_conn_close(f->client.conn, 0);
	ws_conn_close(f->server.conn, 0);
	loop_turn(f->loop, 0);
	loop_free(f->loop);
	close(f->listener);
	buf_free(&f->server.heard);
	buf_free(&f->client.heard);
	free(f);
	return 0;
}

static int
dial(struct fixture *f, const char *path)
{
	char *url = mem_printf("ws://127.0.0.1:%u%s", f->port, path);
	const struct ws_dial_conf conf = { .url = str_of(url) };
	int fd;

	assert_int_equal(
	    ws_dial_start(f->loop, &conf, on_dialed, f, &f->dial, NULL), 0);
	free(url);
	loop_turn(f->loop, 0);
	fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(fd >= 0);
	answer(f, fd);
	return fd;
}

static void
connect_both(struct fixture *f)
{
	int fd = dial(f, "/a/b?c=d");

	open_side(f, &f->server, fd, NULL, false);
	while (f->client.conn == NULL && !f->failed)
		loop_turn(f->loop, 100);
	assert_false(f->failed);
}

static void
turn_until(struct fixture *f, struct side *s, const char *heard)
{
	for (int i = 0; i < 3000; i++) {
		if (s->heard.len > 0 && strcmp(buf_z(&s->heard), heard) == 0)
			return;
		loop_turn(f->loop, 10);
	}
	assert_string_equal(buf_z(&s->heard), heard);
}

static void
messages_go_both_ways(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	ws_conn_send(f->client.conn, false, STR("hello"));
	ws_conn_send2(f->client.conn, true, STR("ab"), STR("c"));
	ws_conn_ping(f->client.conn, STR("seen?"));
	turn_until(f, &f->server, "text hello;bytes 3;");
	turn_until(f, &f->client, "pong seen?;");
	buf_clear(&f->client.heard);
	ws_conn_send(f->server.conn, false, STR(""));
	ws_conn_send(f->server.conn, true, STR("xy"));
	turn_until(f, &f->client, "text ;bytes 2;");
}

static void
what_waits_is_told_and_held_messages_come_later(void **state)
{
	struct fixture *f = *state;
	char *block = mem_alloc(100000);
	size_t n = 0;

	connect_both(f);
	ws_conn_hold(f->server.conn);
	/* until the kernel takes no more */
	while (ws_conn_waiting(f->client.conn) < 1000000) {
		ws_conn_send(
		    f->client.conn, true, (struct str){ block, 100000 });
		n++;
		loop_turn(f->loop, 0);
	}
	assert_int_equal(f->server.bytes, 0);
	buf_clear(&f->client.heard);
	ws_conn_release(f->server.conn);
	turn_until(f, &f->client, "room;");
	while (f->server.bytes < n * 100000)
		loop_turn(f->loop, 10);
	free(block);
}

static void
an_owner_may_close_within_a_message(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	f->server.close_on_message = true;
	ws_conn_send(f->client.conn, false, STR("one"));
	ws_conn_send(f->client.conn, false, STR("two"));
	turn_until(f, &f->client, "closed;");
	assert_string_equal(buf_z(&f->server.heard), "text one;");
}

static void
a_message_that_is_too_long_ends_it(void **state)
{
	struct fixture *f = *state;
	char *block = mem_alloc(200001);

	connect_both(f);
	ws_conn_send(f->client.conn, true, (struct str){ block, 200001 });
	turn_until(f, &f->server, "closed;");
	turn_until(f, &f->client, "room;closed;");
	free(block);
}

static void
a_peer_that_is_gone_is_told(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	ws_conn_close(f->client.conn, 0);
	f->client.conn = NULL;
	turn_until(f, &f->server, "closed;");
}

static void
answers_that_are_no_websocket_are_told(void **state)
{
	static const struct {
		const char *answer;
		int code;
	} cases[] = {
		{ "HTTP/1.1 404 Not Found\r\n\r\n", ERR_NOT_FOUND },
		{ "HTTP/1.1 401 Unauthorized\r\n\r\n", ERR_DENIED },
		{ "HTTP/1.1 200 OK\r\n\r\n", ERR_PROTO },
		{ "SSH-2.0-x\r\n\r\n", ERR_PROTO },
		{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n"
		  "Sec-WebSocket-Accept: wrong\r\n\r\n",
		    ERR_PROTO },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int fd;

		f->answer = cases[i].answer;
		f->failed = false;
		fd = dial(f, "/");
		for (int k = 0; k < 3000 && !f->failed; k++)
			loop_turn(f->loop, 10);
		assert_true(f->failed);
		if (f->why.code != cases[i].code)
			fail_msg("%s: %s", cases[i].answer, f->why.text);
		close(fd);
	}
}

static void
addresses_that_are_none_are_refused(void **state)
{
	static const char *const urls[] = { "", "x", "ftp://x/", "ws://",
		"ws://a/b c", "https://no.tls.here/" };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(urls); i++)
		if (ws_dial_start(f->loop,
			&(struct ws_dial_conf){ .url = str_of(urls[i]) },
			on_dialed, f, &f->dial, NULL) != ERR_PARAM)
			fail_msg("%s", urls[i]);
}

static void
give_pings(int peer, struct loop *loop, size_t n)
{
	char ping[6 + 125] = { (char)0x89, (char)(0x80 | 125) };

	for (size_t i = 0; i < n; i++) {
		size_t at = 0;

		while (at < sizeof(ping)) {
			ssize_t sent = send(
			    peer, ping + at, sizeof(ping) - at, MSG_DONTWAIT);

			if (sent > 0)
				at += (size_t)sent;
			else
				loop_turn(loop, 10);
		}
	}
	loop_turn(loop, 0);
}

static size_t
read_all(int peer, struct loop *loop)
{
	static char p[65536];
	size_t all = 0;
	ssize_t n;

	for (int quiet = 0; quiet < 3;) {
		loop_turn(loop, 10);
		n = recv(peer, p, sizeof(p), MSG_DONTWAIT);
		if (n > 0)
			all += (size_t)n;
		else
			quiet++;
	}
	return all;
}

static void
who_asks_and_does_not_read_takes_no_memory(void **state)
{
	const struct ws_conn_conf conf = { .message_max = 1000, .low = 1000 };
	struct fixture *f = *state;
	int fds[2], small = 4096;

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	f->server.conn = ws_conn_new(
	    f->loop, &conf, fds[0], NULL, STR(""), &events, &f->server);
	give_pings(fds[1], f->loop, 20000);
	assert_non_null(f->server.conn);
	assert_true(ws_conn_waiting(f->server.conn) > 0);
	assert_true(ws_conn_waiting(f->server.conn) < 4096);
	/* who reads again is answered again */
	assert_true(read_all(fds[1], f->loop) > 0);
	give_pings(fds[1], f->loop, 1);
	assert_int_equal(read_all(fds[1], f->loop), 2 + 125);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    messages_go_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_waits_is_told_and_held_messages_come_later, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    an_owner_may_close_within_a_message, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_message_that_is_too_long_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_peer_that_is_gone_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    who_asks_and_does_not_read_takes_no_memory, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    answers_that_are_no_websocket_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    addresses_that_are_none_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

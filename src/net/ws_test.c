/*
 * net/ws_test.c - WebSocket over a pair of sockets; the client is bytes that we
 * write, and bytes that we expect.
 */
#include "base/test.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/websocket.h"
#include "net/ws.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The key of RFC 6455, 1.3, and what it asks for. */
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define REST                                                                   \
	"Upgrade: websocket\r\nConnection: Upgrade\r\n" KEY                    \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n"
#define REQUEST "GET /mqtt HTTP/1.1\r\nHost: x\r\n" REST "\r\n"
#define ANSWER                                                                 \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"           \
	"Connection: Upgrade\r\n"                                              \
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"               \
	"Sec-WebSocket-Protocol: mqtt\r\n\r\n"

struct fixture {
	struct ws_conf conf;
	struct stream *s;
	int fds[2]; /* ours, the client's */
	struct buf heard;
};

static void
begin(struct fixture *f, bool upgraded)
{
	struct stream *below;

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f->fds), 0);
	below = stream_socket(f->fds[0]);
	f->s = upgraded ? ws_stream_upgraded(&f->conf, below, STR_NULL)
			: ws_stream(&f->conf, below);
	buf_clear(&f->heard);
}

static void
end(struct fixture *f)
{
	stream_free(f->s);
	close(f->fds[0]);
	close(f->fds[1]);
}

static int
setup_upgraded(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	begin(f, true);
	*state = f;
	return 0;
}

static int
setup_request(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	begin(f, false);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	end(f);
	buf_free(&f->heard);
	free(f);
	return 0;
}

static void
client_says(struct fixture *f, struct str bytes)
{
	assert_int_equal(write(f->fds[1], bytes.ptr, bytes.len), bytes.len);
}

/* Adds a frame of the client's, masked. */
static void
add_frame(
    struct buf *b, bool fin, enum websocket_opcode opcode, struct str payload)
{
	struct websocket_head h = { .opcode = opcode,
		.fin = fin,
		.masked = true,
		.mask = { 1, 0x80, 3, 0xff },
		.len = payload.len };
	char head[WEBSOCKET_HEAD_MAX];
	size_t at;

	buf_add(b, head, websocket_put(head, &h));
	at = b->len;
	buf_add_str(b, payload);
	websocket_mask(b->ptr + at, payload.len, h.mask, 0);
}

static void
client_sends(struct fixture *f, bool fin, enum websocket_opcode opcode,
    struct str payload)
{
	struct buf b = { 0 };

	add_frame(&b, fin, opcode, payload);
	client_says(f, buf_str(&b));
	buf_free(&b);
}

/* Reads all there is into `heard`, `piece` bytes at a time; returns how the
 * last read() went: 0, or -errno. */
static int
hear(struct fixture *f, size_t piece)
{
	char bytes[70000];
	ssize_t n;

	while ((n = stream_read(f->s, bytes, piece)) > 0)
		buf_add(&f->heard, bytes, (size_t)n);
	return n == 0 ? 0 : -errno;
}

/* What the client has been sent is exactly this. */
static void
assert_sent(struct fixture *f, struct str wanted)
{
	char bytes[70000];
	ssize_t n = read(f->fds[1], bytes, sizeof(bytes));

	n = n < 0 ? 0 : n;
	if ((size_t)n != wanted.len || memcmp(bytes, wanted.ptr, wanted.len))
		fail_msg("sent %zd bytes: %.*s", n, (int)n, bytes);
}

#define ASSERT_SENT(f, z) assert_sent(f, STR(z))

static void
assert_sent_status(struct fixture *f, const char *wanted)
{
	char bytes[1000];
	ssize_t n = read(f->fds[1], bytes, sizeof(bytes) - 1);

	assert_true(n > 0);
	bytes[n] = '\0';
	if (strncmp(bytes + 9, wanted, strlen(wanted)) != 0 ||
	    strncmp(bytes, "HTTP/1.1 ", 9) != 0 ||
	    strstr(bytes, "Connection: close") == NULL ||
	    strstr(bytes, "\r\n\r\n") == NULL)
		fail_msg("%s: %s", wanted, bytes);
}

/* The request */

static void
a_request_is_answered_and_frames_follow(void **state)
{
	struct fixture *f = *state;
	struct iovec iov = { (void *)"x", 1 };

	client_says(f, STR(REQUEST));
	assert_false(ws_stream_is_up(f->s));
	assert_int_equal(stream_writev(f->s, &iov, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(hear(f, 100), -EAGAIN);
	assert_true(ws_stream_is_up(f->s));
	ASSERT_SENT(f, ANSWER);
	client_sends(f, true, WEBSOCKET_BINARY, STR("hello"));
	assert_int_equal(hear(f, 100), -EAGAIN);
	assert_str(buf_str(&f->heard), "hello");
	assert_int_equal(stream_writev(f->s, &iov, 1), 1);
	ASSERT_SENT(f, "\x82\1x");
}

static void
a_request_may_come_in_any_pieces(void **state)
{
	struct fixture *f = *state;
	struct buf all = { 0 };

	buf_addz(&all, REQUEST);
	add_frame(&all, true, WEBSOCKET_BINARY, STR("early"));
	for (size_t cut = 0; cut <= all.len; cut++) {
		client_says(f, (struct str){ all.ptr, cut });
		assert_int_equal(hear(f, 1 + cut % 300), -EAGAIN);
		client_says(f, (struct str){ all.ptr + cut, all.len - cut });
		assert_int_equal(hear(f, 1 + cut % 300), -EAGAIN);
		assert_str(buf_str(&f->heard), "early");
		assert_int_equal(stream_wants(f->s), 0);
		ASSERT_SENT(f, ANSWER);
		end(f);
		begin(f, false);
	}
	buf_free(&all);
}

static void
what_came_too_early_is_told_of(void **state)
{
	struct fixture *f = *state;
	struct buf all = { 0 };
	char byte;

	buf_addz(&all, REQUEST);
	add_frame(&all, true, WEBSOCKET_BINARY, STR("early"));
	client_says(f, buf_str(&all));
	/* the socket is empty after that; nobody else knows */
	while (stream_read(f->s, &byte, 1) < 0)
		assert_int_equal(stream_wants(f->s), 0);
	assert_int_equal(byte, 'e');
	end(f);

	begin(f, true);
	stream_free(f->s);
	all.len = 0;
	add_frame(&all, true, WEBSOCKET_BINARY, STR("early"));
	f->s = ws_stream_upgraded(
	    &f->conf, stream_socket(f->fds[0]), buf_str(&all));
	assert_int_equal(stream_wants(f->s), LOOP_READ);
	assert_int_equal(hear(f, 2), -EAGAIN);
	assert_str(buf_str(&f->heard), "early");
	assert_int_equal(stream_wants(f->s), 0);
	buf_free(&all);
}

static void
requests_are_judged(void **state)
{
#define GET "GET /mqtt HTTP/1.1\r\n"
#define HOST "Host: x\r\n"
	static const struct {
		const char *request, *status;
	} cases[] = {
		{ GET HOST REST "\r\n", "101" },
		{ "GET /mqtt?a=b HTTP/1.1\r\n" HOST REST "\r\n", "101" },
		{ GET "hOST:x\r\nUPGRADE:\tWebSocket , h2c\r\n"
		      "connection: keep-alive, UPGRADE\r\n"
		      "sec-websocket-KEY: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		      "sec-websocket-version:13\r\n"
		      "sec-websocket-protocol: other\r\n"
		      "sec-websocket-protocol: x, mqtt\r\n\r\n",
		    "101" },
		{ "GET / HTTP/1.1\r\n" HOST REST "\r\n", "404 Not Found" },
		{ "GET /mqtt/ HTTP/1.1\r\n" HOST REST "\r\n", "404" },
		{ "POST /mqtt HTTP/1.1\r\n" HOST REST "\r\n",
		    "405 Method Not Allowed" },
		{ "get /mqtt HTTP/1.1\r\n" HOST REST "\r\n", "405" },
		{ GET HOST "\r\n", "426 Upgrade Required" },
		{ GET HOST "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
		    "426" },
		{ GET HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n" KEY
			   "Sec-WebSocket-Version: 8\r\n"
			   "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
		    "426" },
		{ GET HOST "Upgrade: websocket\r\nConnection: close\r\n" KEY
			   "Sec-WebSocket-Version: 13\r\n"
			   "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
		    "400 Bad Request" },
		{ GET HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n"
			   "Sec-WebSocket-Version: 13\r\n"
			   "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
		    "400" },                         /* no key */
		{ GET HOST KEY REST "\r\n", "400" }, /* two keys */
		{ GET HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n"
			   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n"
			   "Sec-WebSocket-Version: 13\r\n"
			   "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
		    "400" }, /* a short key */
		{ GET HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n" KEY
			   "Sec-WebSocket-Version: 13\r\n"
			   "Sec-WebSocket-Protocol: soap, wamp\r\n\r\n",
		    "400" },
		{ GET HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n" KEY
			   "Sec-WebSocket-Version: 13\r\n\r\n",
		    "400" },
		{ GET REST "\r\n", "400" }, /* no host */
		{ GET HOST REST "Content-Length: 3\r\n\r\n", "400" },
		{ GET HOST REST "Transfer-Encoding: chunked\r\n\r\n", "400" },
		{ "GET /mqtt HTTP/1.0\r\n" HOST REST "\r\n", "400" },
		{ "GET /mqtt HTTP/2\r\n" HOST REST "\r\n", "400" },
		{ "GET /mqtt\r\n" HOST REST "\r\n", "400" },
		{ "GET  /mqtt HTTP/1.1\r\n" HOST REST "\r\n", "400" },
		{ "\r\n\r\n", "400" },
		{ GET HOST REST "no colon\r\n\r\n", "400" },
		{ GET HOST REST " folded: x\r\n\r\n", "400" },
		{ GET HOST REST "space : x\r\n\r\n", "400" },
		{ GET HOST REST ": x\r\n\r\n", "400" },
		{ GET HOST REST "bare: x\ny: z\r\n\r\n", "400" },
	};
	struct fixture *f = *state;

	f->conf.path = "/mqtt";
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		bool good = strcmp(cases[i].status, "101") == 0;

		client_says(f, str_of(cases[i].request));
		assert_int_equal(hear(f, 1000), good ? -EAGAIN : -EPROTO);
		assert_int_equal(ws_stream_is_up(f->s), good);
		if (good)
			ASSERT_SENT(f, ANSWER);
		else
			assert_sent_status(f, cases[i].status);
		end(f);
		begin(f, false);
	}
}

static void
the_old_subprotocol_is_answered_by_its_name(void **state)
{
	struct fixture *f = *state;
	char bytes[1000];
	ssize_t n;

	client_says(f,
	    STR("GET /any HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\n" KEY "Sec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Protocol: mqttv3.1\r\n\r\n"));
	assert_int_equal(hear(f, 1000), -EAGAIN);
	n = read(f->fds[1], bytes, sizeof(bytes) - 1);
	assert_true(n > 0);
	bytes[n] = '\0';
	assert_non_null(strstr(bytes, "Protocol: mqttv3.1\r\n\r\n"));
}

static void
a_request_without_end_is_ended(void **state)
{
	struct fixture *f = *state;
	struct buf b = { 0 };

	buf_addz(&b, "GET / HTTP/1.1\r\nHost: ");
	for (int i = 0; i < 8000; i++)
		buf_addc(&b, 'x');
	client_says(f, buf_str(&b));
	assert_int_equal(hear(f, 1000), -EAGAIN);
	client_says(f, buf_str(&b));
	assert_int_equal(hear(f, 1000), -EPROTO);
	assert_sent_status(f, "431");
	assert_int_equal(hear(f, 1000), -EPROTO);
	stream_bye(f->s); /* that was the last word already */
	ASSERT_SENT(f, "");
	buf_free(&b);
}

/* Frames */

static void
frames_are_one_row_of_bytes(void **state)
{
	struct fixture *f = *state;

	client_sends(f, true, WEBSOCKET_BINARY, STR("one "));
	client_sends(f, true, WEBSOCKET_BINARY, STR(""));
	client_sends(f, false, WEBSOCKET_BINARY, STR("two "));
	client_sends(f, true, WEBSOCKET_PING, STR("in between"));
	client_sends(f, false, WEBSOCKET_MORE, STR(""));
	client_sends(f, false, WEBSOCKET_MORE, STR("three "));
	client_sends(f, true, WEBSOCKET_MORE, STR("four"));
	client_sends(f, true, WEBSOCKET_PONG, STR("nobody asked"));
	client_sends(f, true, WEBSOCKET_PING, STR(""));
	assert_int_equal(hear(f, 1000), -EAGAIN);
	assert_str(buf_str(&f->heard), "one two three four");
	ASSERT_SENT(f, "\x8a\x0ain between\x8a\0");
}

static void
bytes_one_at_a_time_are_enough(void **state)
{
	struct fixture *f = *state;
	struct buf all = { 0 }, want = { 0 };

	for (size_t len = 0; len < 300; len += 7) {
		struct buf payload = { 0 };

		for (size_t i = 0; i < len; i++)
			buf_addc(&payload, (char)(i + len));
		buf_add_str(&want, buf_str(&payload));
		add_frame(&all, true, WEBSOCKET_BINARY, buf_str(&payload));
		add_frame(&all, true, WEBSOCKET_PING, STR("?"));
		buf_free(&payload);
	}
	for (size_t i = 0; i < all.len; i++) {
		client_says(f, (struct str){ all.ptr + i, 1 });
		assert_int_equal(hear(f, 1 + i % 3), -EAGAIN);
	}
	assert_true(str_eq(buf_str(&f->heard), buf_str(&want)));

	buf_clear(&f->heard); /* and the other way round */
	client_says(f, buf_str(&all));
	while (hear(f, 1) == -EAGAIN && f->heard.len < want.len)
		;
	assert_true(str_eq(buf_str(&f->heard), buf_str(&want)));
	buf_free(&all);
	buf_free(&want);
}

static void
every_length_has_its_head(void **state)
{
	static const size_t lens[] = { 1, 125, 126, 127, 65535 };
	struct fixture *f = *state;
	char *bytes = mem_alloc(70000);

	for (size_t i = 0; i < 70000; i++)
		bytes[i] = (char)(i * 3);
	for (size_t i = 0; i < COUNT_OF(lens); i++) {
		struct websocket_head h = {
			.opcode = WEBSOCKET_BINARY, .fin = true, .len = lens[i]
		};
		char head[WEBSOCKET_HEAD_MAX];
		struct iovec iov[3] = { { bytes, lens[i] / 2 }, { bytes, 0 },
			{ bytes + lens[i] / 2, lens[i] - lens[i] / 2 } };
		struct buf want = { 0 };

		buf_add(&want, head, websocket_put(head, &h));
		buf_add(&want, bytes, lens[i]);
		assert_int_equal(stream_writev(f->s, iov, 3), lens[i]);
		assert_sent(f, buf_str(&want));
		buf_free(&want);

		client_sends(
		    f, true, WEBSOCKET_BINARY, (struct str){ bytes, lens[i] });
		buf_clear(&f->heard);
		assert_int_equal(hear(f, 10000), -EAGAIN);
		assert_true(
		    str_eq(buf_str(&f->heard), (struct str){ bytes, lens[i] }));
	}
	free(bytes);
}

static void
broken_rules_close_with_their_code(void **state)
{
	static const struct {
		struct str bytes;
		const char *heard;
		int code;
	} cases[] = {
		/* [MQTT-6.0.0-1]: text */
		{ STR("\x81\x81\0\0\0\0x"), "", WEBSOCKET_UNSUPPORTED },
		/* what came before it counts */
		{ STR("\x82\x81\0\0\0\0a\x81\x81\0\0\0\0x"), "a",
		    WEBSOCKET_UNSUPPORTED },
		/* not masked */
		{ STR("\x82\1x"), "", WEBSOCKET_PROTOCOL },
		{ STR("\xc2\x81\0\0\0\0x"), "", WEBSOCKET_PROTOCOL },
		/* goes on with nothing */
		{ STR("\x80\x81\0\0\0\0x"), "", WEBSOCKET_PROTOCOL },
		/* begins anew before the end */
		{ STR("\x02\x81\0\0\0\0x\x02\x81\0\0\0\0y"), "x",
		    WEBSOCKET_PROTOCOL },
		{ STR("\x82\xfe\x03\xe9\0\0\0\0"), "", WEBSOCKET_TOO_BIG },
		{ STR("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"), "",
		    WEBSOCKET_TOO_BIG },
		/* close frames that are none */
		{ STR("\x88\x81\0\0\0\0x"), "", WEBSOCKET_PROTOCOL },
		{ STR("\x88\x82\0\0\0\0\x03\xed"), "", WEBSOCKET_PROTOCOL },
		{ STR("\x88\x83\0\0\0\0\x03\xe8\xff"), "", WEBSOCKET_INVALID },
	};
	struct fixture *f = *state;
	struct iovec iov = { (void *)"x", 1 };

	f->conf.max_frame = 1000;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char want[4] = { '\x88', 2, (char)(cases[i].code >> 8),
			(char)cases[i].code };
		char bytes[100];

		client_says(f, cases[i].bytes);
		if (cases[i].heard[0] != '\0') {
			assert_int_equal(stream_read(f->s, bytes, 100),
			    strlen(cases[i].heard));
			/* the end is not to be waited for */
			assert_int_equal(stream_wants(f->s), LOOP_READ);
		}
		assert_int_equal(hear(f, 100), -EPROTO);
		assert_sent(f, (struct str){ want, 4 });
		assert_int_equal(stream_wants(f->s), 0);
		assert_int_equal(stream_writev(f->s, &iov, 1), -1);
		assert_int_equal(errno, EPIPE);
		end(f);
		begin(f, true);
	}
}

static void
a_frame_at_the_limit_is_taken(void **state)
{
	struct fixture *f = *state;
	char bytes[1000] = { 0 };

	f->conf.max_frame = 1000;
	client_sends(f, true, WEBSOCKET_BINARY, (struct str){ bytes, 1000 });
	assert_int_equal(hear(f, 300), -EAGAIN);
	assert_int_equal(f->heard.len, 1000);
}

static void
the_close_handshake_is_done_from_both_sides(void **state)
{
	struct fixture *f = *state;
	struct iovec iov = { (void *)"x", 1 };

	client_sends(f, true, WEBSOCKET_BINARY, STR("last"));
	client_sends(f, true, WEBSOCKET_CLOSE, STR("\x03\xe9going away"));
	client_sends(f, true, WEBSOCKET_BINARY, STR("too late"));
	assert_int_equal(hear(f, 100), 0);
	assert_str(buf_str(&f->heard), "last");
	ASSERT_SENT(f, "\x88\2\x03\xe9");
	assert_int_equal(hear(f, 100), 0);
	assert_int_equal(stream_writev(f->s, &iov, 1), -1);
	stream_bye(f->s);
	ASSERT_SENT(f, "");
	end(f);

	begin(f, true); /* a close without a code */
	client_sends(f, true, WEBSOCKET_CLOSE, STR(""));
	assert_int_equal(hear(f, 100), 0);
	ASSERT_SENT(f, "\x88\0");
	end(f);

	begin(f, true); /* we are the first */
	stream_bye(f->s);
	ASSERT_SENT(f, "\x88\2\x03\xe8");
	assert_int_equal(stream_writev(f->s, &iov, 1), -1);
	client_sends(f, true, WEBSOCKET_BINARY, STR("was on its way"));
	client_sends(f, true, WEBSOCKET_CLOSE, STR("\x03\xe8"));
	assert_int_equal(hear(f, 100), 0);
	assert_str(buf_str(&f->heard), "was on its way");
	ASSERT_SENT(f, "");
	end(f);

	begin(f, true); /* the socket ends without a word */
	shutdown(f->fds[1], SHUT_WR);
	assert_int_equal(hear(f, 100), 0);
}

/* Takes the frames off what the client was sent; their payload goes to `to`. */
static void
unframe(struct buf *raw, struct buf *to, unsigned *pongs)
{
	struct websocket_head h;
	size_t at = 0, len;

	while (websocket_parse((struct str){ raw->ptr + at, raw->len - at },
		   false, &h, &len, NULL) == 0 &&
	    raw->len - at >= len + h.len) {
		if (h.opcode == WEBSOCKET_BINARY)
			buf_add(to, raw->ptr + at + len, h.len);
		else
			*pongs += h.opcode == WEBSOCKET_PONG;
		at += len + h.len;
	}
	memmove(raw->ptr, raw->ptr + at, raw->len - at);
	raw->len -= at;
}

static void
much_passes_through_a_small_socket_with_pings_in_between(void **state)
{
	struct fixture *f = *state;
	size_t want = 3u << 20, sent = 0;
	struct buf raw = { 0 }, got = { 0 };
	char *out = mem_alloc(want);
	unsigned pongs = 0, pings = 0;
	bool was_full = false;
	int small = 4096;

	for (size_t i = 0; i < want; i++)
		out[i] = (char)(i * 7 + i / 251);
	setsockopt(f->fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (got.len < want) {
		char bytes[3000];
		ssize_t n;

		if (sent < want) {
			struct iovec iov[2] = { { out + sent,
						    MIN_OF(want - sent, 7) },
				{ out + sent + 7,
				    want - sent > 7
					? MIN_OF(want - sent - 7, 90000)
					: 0 } };

			n = stream_writev(f->s, iov, 2);
			if (n < 0)
				assert_int_equal(errno, EAGAIN);
			sent += n > 0 ? (size_t)n : 0;
		}
		if (pings < 1000) {
			client_sends(
			    f, true, WEBSOCKET_PING, STR("0123456789"));
			pings++;
		}
		assert_int_equal(hear(f, 100), -EAGAIN);
		was_full |= stream_wants(f->s) & LOOP_WRITE;
		if (stream_wants(f->s) & LOOP_WRITE)
			(void)stream_flush(f->s);
		n = read(f->fds[1], bytes, sizeof(bytes));
		if (n > 0)
			buf_add(&raw, bytes, (size_t)n);
		unframe(&raw, &got, &pongs);
	}
	assert_memory_equal(got.ptr, out, want);
	assert_true(was_full);
	assert_true(pongs > 0);
	free(out);
	buf_free(&raw);
	buf_free(&got);
}

/* A client that pings and never reads costs no more than a little. */
static void
pings_are_not_answered_into_the_void(void **state)
{
	struct fixture *f = *state;
	struct iovec iov = { NULL, 60000 };
	unsigned pongs = 0;
	struct buf raw = { 0 }, data = { 0 };
	char bytes[8000];
	ssize_t n;

	iov.iov_base = mem_alloc(60000);
	while (stream_writev(f->s, &iov, 1) > 0)
		;
	for (int i = 0; i < 10000; i++) {
		client_sends(f, true, WEBSOCKET_PING, STR("0123456789"));
		assert_int_equal(hear(f, 100), -EAGAIN);
	}
	do {
		n = read(f->fds[1], bytes, sizeof(bytes));
		if (n > 0)
			buf_add(&raw, bytes, (size_t)n);
	} while (stream_flush(f->s) < 0 || n > 0);
	unframe(&raw, &data, &pongs);
	assert_true(pongs < 200);
	assert_int_equal(data.len % 60000, 0);
	assert_int_equal(raw.len, 0);
	assert_int_equal(stream_wants(f->s), 0);
	free(iov.iov_base);
	buf_free(&raw);
	buf_free(&data);
}

/* One that sends nothing but frames without data leaves time for others. */
static void
a_reader_is_not_held_by_empty_frames(void **state)
{
	struct fixture *f = *state;
	struct buf all = { 0 };
	char byte;

	for (int i = 0; i < 1000; i++)
		add_frame(&all, true, WEBSOCKET_BINARY, STR(""));
	client_says(f, buf_str(&all));
	assert_int_equal(stream_read(f->s, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(recv(f->fds[0], &byte, 1, MSG_PEEK) == 1);
	buf_free(&all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define R(name) cmocka_unit_test_setup_teardown(name, setup_request, teardown)
#define T(name) cmocka_unit_test_setup_teardown(name, setup_upgraded, teardown)
		R(a_request_is_answered_and_frames_follow),
		R(a_request_may_come_in_any_pieces),
		R(what_came_too_early_is_told_of),
		R(requests_are_judged),
		R(the_old_subprotocol_is_answered_by_its_name),
		R(a_request_without_end_is_ended),
		T(frames_are_one_row_of_bytes),
		T(bytes_one_at_a_time_are_enough),
		T(every_length_has_its_head),
		T(broken_rules_close_with_their_code),
		T(a_frame_at_the_limit_is_taken),
		T(the_close_handshake_is_done_from_both_sides),
		T(much_passes_through_a_small_socket_with_pings_in_between),
		T(pings_are_not_answered_into_the_void),
		T(a_reader_is_not_held_by_empty_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * net/tunnel_test.c - a proxy's answers, whole and in pieces, over a pair of
 * sockets.
 */
#include "base/test.h"

#include "base/base.h"
#include "net/tunnel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASKED                                                                  \
	"CONNECT cloud.example:8883 HTTP/1.1\r\nHost: cloud.example:8883\r\n"

struct fixture {
	int proxy, fd;
	struct stream *s;
};

static void
begin(struct fixture *f, struct str user, struct str password)
{
	int fds[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	f->proxy = fds[0];
	f->fd = fds[1];
	f->s = tunnel_stream(
	    stream_socket(f->fd), "cloud.example", 8883, user, password);
}

static void
end(struct fixture *f)
{
	stream_free(f->s);
	close(f->fd);
	close(f->proxy);
}

static void
assert_heard(struct fixture *f, const char *want)
{
	char text[1024];
	ssize_t n = read(f->proxy, text, sizeof(text) - 1);

	text[MAX_OF(n, 0)] = '\0';
	assert_string_equal(text, want);
}

static void
say(struct fixture *f, const char *text)
{
	assert_int_equal(
	    write(f->proxy, text, strlen(text)), (ssize_t)strlen(text));
}

static ssize_t
put(struct fixture *f, const char *text)
{
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };

	return stream_writev(f->s, &iov, 1);
}

static void
assert_why(struct fixture *f, const char *want)
{
	struct buf why = { 0 };
	char c;

	assert_int_equal(stream_read(f->s, &c, 1), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(put(f, "x"), -1);
	assert_int_equal(errno, EPROTO);
	stream_why(f->s, &why);
	assert_string_equal(buf_z(&why), want);
	buf_free(&why);
}

static void
what_is_written_early_follows_when_it_is_open(void **state)
{
	static const char answer[] =
	    "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
	struct fixture f;
	char text[20];

	(void)state;
	begin(&f, STR_NULL, STR_NULL);
	assert_true(stream_wants(f.s) & LOOP_WRITE);
	assert_int_equal(put(&f, "hello"), 5);
	assert_heard(&f, ASKED "\r\n");
	assert_false(stream_wants(f.s) & LOOP_WRITE); /* no use in turning */
	for (size_t i = 0; answer[i] != '\0'; i++) {
		assert_int_equal(stream_read(f.s, text, sizeof(text)), -1);
		assert_int_equal(errno, EAGAIN);
		assert_int_equal(write(f.proxy, &answer[i], 1), 1);
	}
	say(&f, "world");
	assert_int_equal(stream_read(f.s, text, sizeof(text)), 5);
	assert_memory_equal(text, "world", 5);
	assert_heard(&f, "hello");
	assert_int_equal(put(&f, "more"), 4);
	assert_heard(&f, "more");
	end(&f);
}

static void
the_proxys_account_is_shown(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, STR("me"), STR("secret"));
	assert_int_equal(stream_flush(f.s), -1);
	assert_heard(
	    &f, ASKED "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n");
	end(&f);
}

static void
a_refusal_is_told_in_its_words(void **state)
{
	static const struct {
		const char *answer, *why;
	} cases[] = {
		{ "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
		    "the proxy says: 407 Proxy Authentication Required" },
		{ "HTTP/1.0 502 Bad gateway\r\nA: b\r\n\r\n",
		    "the proxy says: 502 Bad gateway" },
		{ "SSH-2.0-x\r\n\r\n", "the proxy does not speak HTTP" },
		{ "HTTP/1.1 2\r\n\r\n", "the proxy says: 2" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct fixture f;

		begin(&f, STR_NULL, STR_NULL);
		assert_int_equal(put(&f, "hello"), 5);
		say(&f, cases[i].answer);
		assert_why(&f, cases[i].why);
		assert_heard(&f, ASKED "\r\n"); /* and no hello */
		end(&f);
	}
}

static void
an_end_or_endless_words_are_a_refusal(void **state)
{
	struct fixture f;
	char words[9000];

	(void)state;
	begin(&f, STR_NULL, STR_NULL);
	assert_int_equal(put(&f, "hello"), 5);
	shutdown(f.proxy, SHUT_WR);
	assert_why(&f, "the proxy closes the connection");
	end(&f);

	begin(&f, STR_NULL, STR_NULL);
	assert_int_equal(put(&f, "hello"), 5);
	memset(words, 'x', sizeof(words));
	assert_int_equal(
	    write(f.proxy, words, sizeof(words)), (ssize_t)sizeof(words));
	assert_why(&f, "the proxy does not speak HTTP");
	end(&f);
}

static void
what_is_kept_has_a_limit(void **state)
{
	static char much[TUNNEL_KEPT_MAX + 10];
	struct fixture f;

	(void)state;
	begin(&f, STR_NULL, STR_NULL);
	memset(much, 'x', sizeof(much) - 1);
	assert_int_equal(put(&f, much), TUNNEL_KEPT_MAX);
	assert_int_equal(put(&f, "x"), -1);
	assert_int_equal(errno, EAGAIN);
	end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_early_follows_when_it_is_open),
		cmocka_unit_test(the_proxys_account_is_shown),
		cmocka_unit_test(a_refusal_is_told_in_its_words),
		cmocka_unit_test(an_end_or_endless_words_are_a_refusal),
		cmocka_unit_test(what_is_kept_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

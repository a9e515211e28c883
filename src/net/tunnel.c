/*
 * net/tunnel.c - see tunnel.h.
 *
 *              200                        below is broken
 *    ASKING ---------> OPEN
 *       |  another status, or no HTTP
 *       +------------> REFUSED
 *
 *    ASKING    `out` is the request and, behind it, what is kept; `answer` is
 *              what the proxy has said so far
 *    OPEN      `out` is what is left of that
 *
 * The answer is read byte by byte, so that nothing of what follows is.
 */
#include "net/tunnel.h"

#include "base/base.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX 8192

enum state { ASKING, OPEN, REFUSED };

struct tunnel {
	struct stream base;
	struct stream *below; /* ours */
	enum state state;
	struct buf out;
	size_t request_len; /* of `out` */
	size_t sent;        /* of `out` */
	struct buf answer;
};

static struct tunnel *
tunnel_of(const struct stream *s)
{
	return container_of((struct stream *)s, struct tunnel, base);
}

static int
not_now(void)
{
	errno = EAGAIN;
	return -1;
}

/* Before it is open only the request goes. 0, or -1 with errno. */
static int
send_out(struct tunnel *t)
{
	size_t end = t->state == OPEN ? t->out.len : t->request_len;

	while (t->sent < end) {
		struct iovec iov = { t->out.ptr + t->sent, end - t->sent };
		ssize_t n = stream_writev(t->below, &iov, 1);

		if (n < 0)
			return -1;
		t->sent += (size_t)n;
	}
	if (t->state == OPEN)
		buf_free(&t->out);
	return 0;
}

/* "HTTP/1.1 200 Connection established" */
static bool
says_open(struct str answer)
{
	uint64_t status;

	return str_starts(answer, STR("HTTP/1.")) && answer.len > 12 &&
	    answer.ptr[8] == ' ' &&
	    str_to_u64((struct str){ answer.ptr + 9, 3 }, &status) &&
	    status >= 200 && status < 300;
}

static int
refuse(struct tunnel *t)
{
	t->state = REFUSED;
	errno = EPROTO;
	return -1;
}

/* 0: the answer is whole, and it is yes. */
static int
read_answer(struct tunnel *t)
{
	while (!str_ends(buf_str(&t->answer), STR("\r\n\r\n"))) {
		ssize_t n;
		char c;

		if (t->answer.len == ANSWER_MAX)
			return refuse(t);
		n = stream_read(t->below, &c, 1);
		if (n < 0)
			return -1;
		if (n == 0)
			return refuse(t);
		buf_addc(&t->answer, c);
	}
	return says_open(buf_str(&t->answer)) ? 0 : refuse(t);
}

/* Goes on as far as it goes. 0: it is open. */
static int
go_on(struct tunnel *t)
{
	if (t->state == REFUSED)
		return refuse(t);
	if (t->state == ASKING) {
		if (send_out(t) < 0 || read_answer(t) < 0)
			return -1;
		t->state = OPEN;
	}
	return send_out(t) < 0 && errno != EAGAIN ? -1 : 0;
}

static ssize_t
tunnel_read(struct stream *s, void *p, size_t len)
{
	struct tunnel *t = tunnel_of(s);

	return go_on(t) < 0 ? -1 : stream_read(t->below, p, len);
}

static ssize_t
keep(struct tunnel *t, const struct iovec *iov, int n)
{
	size_t room = t->request_len + TUNNEL_KEPT_MAX - t->out.len;
	size_t taken = 0;

	for (int i = 0; i < n && taken < room; i++) {
		size_t more = MIN_OF(iov[i].iov_len, room - taken);

		buf_add(&t->out, iov[i].iov_base, more);
		taken += more;
	}
	return taken > 0 ? (ssize_t)taken : not_now();
}

static ssize_t
tunnel_writev(struct stream *s, const struct iovec *iov, int n)
{
	struct tunnel *t = tunnel_of(s);

	if (go_on(t) < 0 && errno != EAGAIN)
		return -1;
	if (t->state == ASKING)
		return keep(t, iov, n);
	return t->out.len > 0 ? not_now() : stream_writev(t->below, iov, n);
}

static int
tunnel_flush(struct stream *s)
{
	struct tunnel *t = tunnel_of(s);

	if (go_on(t) < 0)
		return -1;
	return t->out.len > 0 ? not_now() : stream_flush(t->below);
}

static unsigned
tunnel_wants(const struct stream *s)
{
	const struct tunnel *t = tunnel_of(s);
	unsigned wants = stream_wants(t->below);

	if (t->state == ASKING ? t->sent < t->request_len : t->out.len > 0)
		wants |= LOOP_WRITE;
	return wants;
}

static void
tunnel_bye(struct stream *s)
{
	stream_bye(tunnel_of(s)->below);
}

static void
tunnel_free(struct stream *s)
{
	struct tunnel *t = tunnel_of(s);

	stream_free(t->below);
	if (t->out.ptr != NULL) /* the account of the proxy is in it */
		memset(t->out.ptr, 0, t->out.cap);
	buf_free(&t->out);
	buf_free(&t->answer);
	free(t);
}

static void
tunnel_why(const struct stream *s, struct buf *ret)
{
	const struct tunnel *t = tunnel_of(s);
	struct str rest = buf_str(&t->answer), line;

	if (t->state != REFUSED)
		return;
	line = str_trim(str_cut(&rest, '\n'));
	if (str_starts(line, STR("HTTP/1.")) && line.len > 9)
		buf_addf(ret, "the proxy says: %.*s", (int)line.len - 9,
		    line.ptr + 9);
	else if (t->answer.len == 0)
		buf_addz(ret, "the proxy closes the connection");
	else
		buf_addz(ret, "the proxy does not speak HTTP");
}

static const struct stream_ops tunnel_ops = {
	.read = tunnel_read,
	.writev = tunnel_writev,
	.flush = tunnel_flush,
	.wants = tunnel_wants,
	.bye = tunnel_bye,
	.why = tunnel_why,
	.free = tunnel_free,
};

static void
add_account(struct buf *out, struct str user, struct str password)
{
	struct buf both = { 0 };

	buf_addf(&both, STR_FMT ":" STR_FMT, STR_ARG(user), STR_ARG(password));
	buf_addz(out, "Proxy-Authorization: Basic ");
	base64_encode(out, both.ptr, both.len, false);
	buf_addz(out, "\r\n");
	memset(both.ptr, 0, both.len);
	buf_free(&both);
}

struct stream *
tunnel_stream(struct stream *below, const char *host, uint16_t port,
    struct str user, struct str password)
{
	struct tunnel *t = mem_new(struct tunnel);
	bool v6 = strchr(host, ':') != NULL;
	const char *open = v6 ? "[" : "", *close = v6 ? "]" : "";

	t->base.ops = &tunnel_ops;
	t->below = below;
	buf_addf(&t->out, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n",
	    open, host, close, port, open, host, close, port);
	if (user.len > 0)
		add_account(&t->out, user, password);
	buf_addz(&t->out, "\r\n");
	t->request_len = t->out.len;
	return &t->base;
}

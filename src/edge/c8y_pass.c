/*
 * edge/c8y_pass.c - a request to the proxy, from its coming to its end.
 *
 *	SNIFF --> HEAD --> TOKEN --> RESOLVE --> CONNECT --> RELAY --> LINGER
 *	           |         |  ^       |           |         |  |        ^
 *	           |         |  '-------+-----------+- 401 ---'  |        |
 *	           '---------'----------'--> answer() -----------'--------'
 *
 *	SNIFF    with a certificate: is it TLS that comes? If not, it is sent
 *	         to https:
 *	HEAD     the head is gathered
 *	TOKEN    waits for the device's token
 *	RELAY    bytes go both ways until the cloud closes behind its answer
 *	LINGER   all is said; what still comes is thrown away, so that the
 *	         answer is not lost by it
 *
 * In each direction ROOM bytes are held; who is faster waits. What was sent to
 * the cloud is kept as well while it is no more than that: so it can be sent
 * again, once, with a new token, when the cloud answers 401 to the old one.
 */
#include "edge/c8y_proxy_private.h"

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/c8y_proxy_head.h"
#include "net/mqtt/resolve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_MODULE "proxy"
#define ROOM ((size_t)32 << 10)
#define SILENCE_MS 60000
#define CONNECT_MS 30000
#define LINGER_MS 2000
#define ROUNDS 16          /* of one request, before others have their turn */
#define TLS_HANDSHAKE 0x16 /* the first byte of TLS */
#define STATUS_AT 9        /* "HTTP/1.1 200" */
#define STATUS_END 12

enum state { SNIFF, HEAD, TOKEN, RESOLVE, CONNECT, RELAY, LINGER };

/* One of the two connections, with what is to be written to it. */
struct side {
	struct loop_io io;
	struct stream *stream;
	struct buf out;
	size_t sent; /* of `out` */
	bool eof;
	bool plain; /* no layer that says itself when it can be written to */
};

struct pass {
	struct list link;
	struct c8y_proxy *proxy;
	enum state state;
	struct side client, cloud;
	bool https_only;            /* it came in clear where TLS is spoken */
	struct buf head;            /* as it came */
	struct c8y_proxy_head what; /* lent by `head` */
	uint64_t body_left;         /* of the client's */
	size_t head_len;            /* of cloud.out */
	bool kept;                  /* cloud.out has all that was sent */
	bool answered;              /* and the answer goes on */
	bool retried;
	bool said_bye;
	struct buf used; /* the token */
	struct c8y_token_ask ask;
	struct mqtt_resolve *resolve;
	struct addrinfo *found, *next;
	struct loop_timer timer, again;
};

static void pump(struct pass *x);

/* --- the two sides ------------------------------------------------------- */

static void
side_close(struct loop *loop, struct side *s)
{
	stream_free(s->stream);
	s->stream = NULL;
	if (s->io.fd >= 0) {
		loop_unwatch(loop, &s->io);
		close(s->io.fd);
		s->io.fd = -1;
	}
}

static size_t
side_waiting(const struct side *s)
{
	return s->out.len - s->sent;
}

static void
cloud_close(struct pass *x)
{
	mqtt_resolve_cancel(x->resolve);
	x->resolve = NULL;
	if (x->found != NULL)
		freeaddrinfo(x->found);
	x->found = x->next = NULL;
	side_close(x->proxy->loop, &x->cloud);
	x->cloud.eof = false;
	x->cloud.sent = 0;
}

static void
wipe(struct buf *b)
{
	if (b->len > 0)
		explicit_bzero(b->ptr, b->len);
	buf_free(b);
	*b = (struct buf){ 0 };
}

static void
pass_free(struct pass *x)
{
	struct c8y_proxy *p = x->proxy;

	c8y_token_cancel(&x->ask);
	cloud_close(x);
	if (x->client.stream != NULL && !x->said_bye)
		stream_bye(x->client.stream);
	side_close(p->loop, &x->client);
	loop_cancel(p->loop, &x->timer);
	loop_cancel(p->loop, &x->again);
	wipe(&x->head);
	wipe(&x->used);
	wipe(&x->cloud.out);
	buf_free(&x->client.out);
	list_del(&x->link);
	p->n_passes--;
	loop_free_later(p->loop, x);
}

/* --- answers of our own -------------------------------------------------- */

static const char *
phrase(int status)
{
	static const struct {
		int status;
		const char *text;
	} phrases[] = { { 307, "Temporary Redirect" }, { 400, "Bad Request" },
		{ 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 431, "Request Header Fields Too Large" },
		{ 501, "Not Implemented" }, { 502, "Bad Gateway" },
		{ 503, "Service Unavailable" } };

	for (size_t i = 0; i < COUNT_OF(phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].text;
	return "Error";
}

static void
begin_linger(struct pass *x)
{
	cloud_close(x);
	x->state = LINGER;
	x->answered = true;
	loop_after(x->proxy->loop, &x->timer, SILENCE_MS);
}

/* `more`: lines of the head, or "". To be returned from at once. */
static void
answer(struct pass *x, int status, const char *more, const char *text)
{
	c8y_token_cancel(&x->ask);
	buf_clear(&x->client.out);
	x->client.sent = 0;
	buf_addf(&x->client.out,
	    "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n%s\r\n",
	    status, phrase(status), strlen(text) + 1, more);
	if (!str_eqz(x->what.method, "HEAD"))
		buf_addf(&x->client.out, "%s\n", text);
	begin_linger(x);
	loop_after(x->proxy->loop, &x->again, 0);
}

/* The cloud can not be asked. */
static void
unreachable(struct pass *x, const char *why)
{
	struct c8y_proxy *p = x->proxy;
	char *text = mem_printf(
	    "Cumulocity can not be reached at %s: %s", p->plan.host, why);

	if (!p->unreachable)
		log_warn("%s: %s", p->name, text);
	p->unreachable = true;
	if (x->answered) /* it breaks off */
		pass_free(x);
	else
		answer(x, 502, "", text);
	free(text);
}

/* --- to the cloud -------------------------------------------------------- */

static void
begin_relay(struct pass *x)
{
	const int one = 1;
	struct c8y_proxy *p = x->proxy;
	struct err err;

	(void)setsockopt(
	    x->cloud.io.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(
	    x->cloud.io.fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	x->cloud.stream = stream_socket(x->cloud.io.fd);
	if (p->way.wrap != NULL)
		x->cloud.stream = p->way.wrap(
		    p->way.wrap_ctx, x->cloud.stream, p->way.address, &err);
	if (x->cloud.stream == NULL) {
		unreachable(x, err.text);
		return;
	}
	x->state = RELAY;
	loop_after(p->loop, &x->timer, SILENCE_MS);
	pump(x);
}

/* The next address; with none left `why` holds. */
static void
try_next(struct pass *x, const struct err *why)
{
	struct err err = *why;

	x->state = CONNECT;
	for (; x->next != NULL; x->next = x->next->ai_next) {
		const struct addrinfo *a = x->next;

		side_close(x->proxy->loop, &x->cloud);
		x->cloud.io.fd = socket(a->ai_family,
		    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (x->cloud.io.fd >= 0 &&
		    (connect(x->cloud.io.fd, a->ai_addr, a->ai_addrlen) == 0 ||
			errno == EINPROGRESS)) {
			x->next = a->ai_next;
			loop_watch(x->proxy->loop, &x->cloud.io, LOOP_WRITE);
			return;
		}
		(void)err_errno(&err, "connect");
	}
	unreachable(x, err.text);
}

static void
on_connected(struct pass *x)
{
	socklen_t len = sizeof(int);
	struct err err;
	int e = 0;

	if (getsockopt(x->cloud.io.fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
		e = errno;
	if (e == 0) {
		begin_relay(x);
		return;
	}
	errno = e;
	(void)err_errno(&err, "connect");
	try_next(x, &err);
}

static void
on_resolved(void *owner, struct addrinfo *found, const struct err *why)
{
	struct pass *x = owner;
	struct err none;

	x->resolve = NULL;
	if (found == NULL) {
		unreachable(x, why->text);
		return;
	}
	x->found = x->next = found;
	(void)err_set(&none, ERR_IO, "it has no address");
	try_next(x, &none);
}

/* With what the request shows the cloud: STR_NULL is nothing of ours. */
static void
begin_asking(struct pass *x, struct str authorization)
{
	struct c8y_proxy *p = x->proxy;
	struct buf out = { 0 };
	size_t head;
	struct err err;

	c8y_proxy_head_write(&x->what, p->host, authorization, &out);
	head = out.len;
	if (x->cloud.out.len > x->head_len) /* what was read behind it */
		buf_add(&out, x->cloud.out.ptr + x->head_len,
		    x->cloud.out.len - x->head_len);
	x->head_len = head;
	wipe(&x->cloud.out);
	x->cloud.out = out;
	x->cloud.sent = 0;
	loop_after(p->loop, &x->timer, CONNECT_MS);
	x->state = RESOLVE;
	x->found = mqtt_resolve_numeric(p->way.address, p->way.port);
	x->next = x->found;
	(void)err_set(&err, ERR_IO, "it has no address");
	if (x->found != NULL) {
		try_next(x, &err);
		return;
	}
	x->resolve = mqtt_resolve_start(
	    p->loop, p->way.address, p->way.port, on_resolved, x);
	if (x->resolve == NULL)
		unreachable(x, "too many names are being looked up");
}

static void
ask_with(struct pass *x, struct str token)
{
	struct buf text = { 0 };

	wipe(&x->used);
	buf_add_str(&x->used, token);
	buf_addf(&text, "Bearer " STR_FMT, STR_ARG(token));
	begin_asking(x, buf_str(&text));
	wipe(&text);
}

static void
on_token(struct c8y_token_ask *ask, struct str token, const struct err *why)
{
	struct pass *x = container_of(ask, struct pass, ask);

	if (why != NULL)
		unreachable(x, why->text);
	else
		ask_with(x, token);
}

static void
need_token(struct pass *x)
{
	struct str kept = c8y_token_kept(x->proxy->token);

	if (kept.ptr != NULL) {
		ask_with(x, kept);
		return;
	}
	x->state = TOKEN;
	loop_cancel(x->proxy->loop, &x->timer); /* it has its own end */
	c8y_token_ask(x->proxy->token, &x->ask);
}

/* --- the head ------------------------------------------------------------ */

static void
redirect(struct pass *x)
{
	struct buf more = { 0 };
	struct str host = x->what.host;

	for (size_t i = 0; i < host.len; i++)
		if (host.ptr[i] <= ' ')
			host.len = 0;
	if (host.len == 0) {
		answer(x, 400, "", "HTTPS is spoken here");
		return;
	}
	buf_addf(&more, "Location: https://" STR_FMT "/c8y" STR_FMT "\r\n",
	    STR_ARG(host), STR_ARG(x->what.target));
	answer(x, 307, buf_z(&more), "HTTPS is spoken here");
	buf_free(&more);
}

static void
on_head(struct pass *x, size_t len)
{
	const char *why = "";
	struct str rest = { x->head.ptr + len, x->head.len - len };
	int status;

	status = c8y_proxy_head_read(
	    (struct str){ x->head.ptr, len }, &x->what, &why);
	if (status != 0) {
		answer(x, status, "", why);
		return;
	}
	if (x->https_only) {
		redirect(x);
		return;
	}
	x->body_left =
	    x->what.upgrade || x->what.chunked ? UINT64_MAX : x->what.body;
	rest.len = (size_t)MIN_OF(rest.len, x->body_left);
	if (x->body_left != UINT64_MAX)
		x->body_left -= rest.len;
	buf_add_str(&x->cloud.out, rest);
	x->kept = true;
	if (x->what.authorized)
		begin_asking(x, STR_NULL);
	else if (x->proxy->account.ptr != NULL)
		begin_asking(x, x->proxy->account);
	else
		need_token(x);
}

static void
gather_head(struct pass *x)
{
	ssize_t n;
	size_t end;

	do {
		/* never moves once it is whole: `what` points into it */
		buf_reserve(&x->head, C8Y_PROXY_HEAD_MAX - x->head.len);
		n = stream_read(x->client.stream, x->head.ptr + x->head.len,
		    C8Y_PROXY_HEAD_MAX - x->head.len);
		if (n > 0)
			x->head.len += (size_t)n;
		end = c8y_proxy_head_end(buf_str(&x->head));
		if (end > 0) {
			on_head(x, end);
			return;
		}
		if (x->head.len == C8Y_PROXY_HEAD_MAX) {
			answer(x, 431, "",
			    "the head of a request has at most 16 KiB");
			return;
		}
	} while (n > 0);
	if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
		pass_free(x); /* it has not said anything */
	else
		loop_watch(x->proxy->loop, &x->client.io,
		    LOOP_READ | stream_wants(x->client.stream));
}

static void
sniff(struct pass *x)
{
	struct c8y_proxy *p = x->proxy;
	unsigned char first;
	ssize_t n = recv(x->client.io.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		pass_free(x);
		return;
	}
	x->client.stream = stream_socket(x->client.io.fd);
	if (first == TLS_HANDSHAKE)
		x->client.stream =
		    tls_server_stream(p->tls, x->client.stream, NULL);
	else
		x->https_only = x->client.plain = true;
	if (x->client.stream == NULL) {
		pass_free(x);
		return;
	}
	x->state = HEAD;
	gather_head(x);
}

/* --- both ways ----------------------------------------------------------- */

enum moved { NOTHING, SOME, BROKEN };

static bool
is_not_now(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static enum moved
read_side(struct side *from, struct buf *to, size_t room, size_t *got)
{
	ssize_t n;

	*got = 0;
	if (from->stream == NULL || from->eof || room == 0)
		return NOTHING;
	buf_reserve(to, room);
	n = stream_read(from->stream, to->ptr + to->len, room);
	if (n < 0)
		return is_not_now() ? NOTHING : BROKEN;
	if (n == 0) {
		from->eof = true;
		return SOME;
	}
	to->len += (size_t)n;
	*got = (size_t)n;
	return SOME;
}

static enum moved
write_side(struct side *s)
{
	struct iovec io;
	ssize_t n;

	if (s->stream == NULL)
		return NOTHING;
	if (stream_wants(s->stream) & LOOP_WRITE &&
	    stream_flush(s->stream) < 0 && !is_not_now())
		return BROKEN;
	if (side_waiting(s) == 0)
		return NOTHING;
	io = (struct iovec){ s->out.ptr + s->sent, side_waiting(s) };
	n = stream_writev(s->stream, &io, 1);
	if (n < 0)
		return is_not_now() ? NOTHING : BROKEN;
	s->sent += (size_t)n;
	return n > 0 ? SOME : NOTHING;
}

/* Room for more in `out`; what was sent goes. */
static size_t
side_room(struct side *s)
{
	size_t waiting = side_waiting(s);

	if (s->sent > 0 && waiting < ROOM) {
		memmove(s->out.ptr, s->out.ptr + s->sent, waiting);
		s->out.len = waiting;
		s->sent = 0;
	}
	return ROOM - MIN_OF(waiting, ROOM);
}

/* From the client to the cloud. */
static enum moved
move_up(struct pass *x)
{
	enum moved a = NOTHING, b;
	size_t got, room;

	if (x->body_left > 0 && !x->client.eof) {
		/* A large one can not be kept to be sent again. */
		if (x->cloud.out.len - x->head_len >= ROOM || x->answered)
			x->kept = false;
		room = x->kept ? ROOM - (x->cloud.out.len - x->head_len)
			       : side_room(&x->cloud);
		room = (size_t)MIN_OF(room, x->body_left);
		a = read_side(&x->client, &x->cloud.out, room, &got);
		if (x->body_left != UINT64_MAX)
			x->body_left -= got;
		if (a == BROKEN ||
		    (x->client.eof && x->body_left > 0 && !x->what.chunked &&
			!x->what.upgrade))
			return BROKEN;
	}
	b = write_side(&x->cloud);
	/* A cloud that has answered need not hear the rest. */
	if (b == BROKEN)
		return NOTHING;
	return a == SOME || b == SOME ? SOME : NOTHING;
}

/* Looks at the status. False: it is asked again. */
static bool
look_at_answer(struct pass *x)
{
	struct c8y_proxy *p = x->proxy;
	const struct buf *b = &x->client.out;

	if (x->answered || b->len < STATUS_END)
		return true;
	p->unreachable = false;
	x->answered = true;
	if (x->used.len == 0 || memcmp(b->ptr + STATUS_AT, "401", 3) != 0)
		return true;
	c8y_token_refused(p->token, buf_str(&x->used));
	if (!x->kept || x->retried)
		return true;
	x->retried = true;
	x->answered = false;
	buf_clear(&x->client.out);
	cloud_close(x);
	need_token(x);
	return false;
}

static enum moved
move_down(struct pass *x)
{
	enum moved a, b = NOTHING;
	size_t got;

	a = read_side(&x->cloud, &x->client.out, side_room(&x->client), &got);
	if (x->answered)
		b = write_side(&x->client);
	if (b == BROKEN)
		return BROKEN;
	return a == BROKEN ? BROKEN : a == SOME || b == SOME ? SOME : NOTHING;
}

static void
broken(struct pass *x)
{
	struct buf why = { 0 };
	int e = errno;

	if (x->cloud.stream != NULL)
		stream_why(x->cloud.stream, &why);
	if (why.len == 0)
		buf_addz(&why, strerror(e));
	if (x->answered)
		pass_free(x);
	else
		unreachable(x, buf_z(&why));
	buf_free(&why);
}

static unsigned
writing(const struct side *s, bool may_write)
{
	return stream_wants(s->stream) & LOOP_WRITE ||
		(s->plain && may_write && side_waiting(s) > 0)
	    ? LOOP_WRITE
	    : 0;
}

static void
watch(struct pass *x)
{
	unsigned client = writing(&x->client, x->answered), cloud;

	if (!x->client.eof &&
	    (x->state == LINGER ||
		(x->state == RELAY && x->body_left > 0 &&
		    side_waiting(&x->cloud) < ROOM)))
		client |= LOOP_READ;
	loop_watch(x->proxy->loop, &x->client.io, client);
	if (x->state != RELAY || x->cloud.stream == NULL)
		return;
	cloud = writing(&x->cloud, true);
	if (!x->cloud.eof && side_waiting(&x->client) < ROOM)
		cloud |= LOOP_READ;
	loop_watch(x->proxy->loop, &x->cloud.io, cloud);
}

/* What is left is written; then its end is told, and awaited. */
static void
linger(struct pass *x)
{
	char waste[4096];
	enum moved moved;
	ssize_t n = 1;

	do
		moved = write_side(&x->client);
	while (moved == SOME);
	if (moved == NOTHING && side_waiting(&x->client) == 0 &&
	    !(stream_wants(x->client.stream) & LOOP_WRITE) && !x->said_bye) {
		x->said_bye = true;
		loop_after(x->proxy->loop, &x->timer, LINGER_MS);
		stream_bye(x->client.stream);
		(void)shutdown(x->client.io.fd, SHUT_WR);
	}
	for (int i = 0; moved == NOTHING && n > 0 && i < ROUNDS; i++)
		n = stream_read(x->client.stream, waste, sizeof(waste));
	if (n == 0 && side_waiting(&x->client) > 0) {
		x->client.eof = true; /* it only listens */
		n = 1;
	}
	if (moved == BROKEN || n == 0 || (n < 0 && !is_not_now()))
		pass_free(x);
	else
		watch(x);
}

static void
pump(struct pass *x)
{
	enum moved up = SOME, down = SOME;

	/* Twice at least: reading may have ended a handshake, and writing go.
	 */
	for (int i = 0; i < 2 || (i < ROUNDS && (up == SOME || down == SOME));
	     i++) {
		up = move_up(x);
		if (up == BROKEN) { /* the client has gone */
			pass_free(x);
			return;
		}
		down = move_down(x);
		if (down == BROKEN) {
			broken(x);
			return;
		}
		if (!look_at_answer(x))
			return;
		if (x->cloud.eof && !x->answered) {
			unreachable(x, "it has closed without an answer");
			return;
		}
		if (x->cloud.eof) {
			begin_linger(x);
			linger(x);
			return;
		}
		if (x->what.upgrade && x->client.eof &&
		    side_waiting(&x->cloud) == 0) {
			pass_free(x);
			return;
		}
		if (up == SOME || down == SOME)
			loop_after(x->proxy->loop, &x->timer, SILENCE_MS);
	}
	if (up == SOME || down == SOME)
		loop_after(x->proxy->loop, &x->again, 0);
	watch(x);
}

/* --- events -------------------------------------------------------------- */

static void
go_on(struct pass *x)
{
	switch (x->state) {
	case SNIFF:
		sniff(x);
		break;
	case HEAD:
		if (stream_wants(x->client.stream) & LOOP_WRITE)
			(void)stream_flush(x->client.stream);
		gather_head(x);
		break;
	case TOKEN:
	case RESOLVE:
	case CONNECT: /* the client has to wait */
		loop_watch(x->proxy->loop, &x->client.io, 0);
		break;
	case RELAY:
		pump(x);
		break;
	case LINGER:
		linger(x);
		break;
	}
}

static void
on_client(struct loop_io *io, unsigned what)
{
	(void)what;
	go_on(container_of(
	    container_of(io, struct side, io), struct pass, client));
}

static void
on_cloud(struct loop_io *io, unsigned what)
{
	struct pass *x =
	    container_of(container_of(io, struct side, io), struct pass, cloud);

	(void)what;
	if (x->state == CONNECT)
		on_connected(x);
	else if (x->state == RELAY)
		pump(x);
}

static void
on_again(struct loop_timer *t)
{
	go_on(container_of(t, struct pass, again));
}

static void
on_time(struct loop_timer *t)
{
	struct pass *x = container_of(t, struct pass, timer);

	if (x->state == RELAY && x->answered && x->what.upgrade)
		return; /* those have pings of their own */
	if (x->state == RESOLVE || x->state == CONNECT)
		unreachable(x, "no connection within 30 s");
	else if (x->state == RELAY && !x->answered)
		unreachable(x, "no answer within 60 s");
	else
		pass_free(x);
}

/* --- from the outside ---------------------------------------------------- */

void
c8y_pass_begin(struct c8y_proxy *p, int fd, bool refused)
{
	const int one = 1;
	struct pass *x = mem_new(struct pass);

	x->proxy = p;
	x->client.io = (struct loop_io){ .ready = on_client, .fd = fd };
	x->cloud.io = (struct loop_io){ .ready = on_cloud, .fd = -1 };
	x->ask.done = on_token;
	x->timer.fire = on_time;
	x->again.fire = on_again;
	list_add(&p->passes, &x->link);
	p->n_passes++;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (refused && p->tls != NULL) { /* no handshake for a refusal */
		pass_free(x);
		return;
	}
	loop_after(p->loop, &x->timer, SILENCE_MS);
	x->state = p->tls != NULL ? SNIFF : HEAD;
	x->client.plain = p->tls == NULL;
	if (p->tls == NULL)
		x->client.stream = stream_socket(fd);
	loop_watch(p->loop, &x->client.io, LOOP_READ);
	if (refused)
		answer(x, 503, "Retry-After: 1\r\n",
		    "too many requests at a time (c8y.proxy.max_connections)");
}

void
c8y_pass_end_all(struct c8y_proxy *p)
{
	LIST_EACH (x, &p->passes, struct pass, link)
		pass_free(x);
}

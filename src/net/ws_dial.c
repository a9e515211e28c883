/*
 * net/ws_dial.c - see ws_dial.h.
 *
 *    RESOLVING --> CONNECTING --> ASKING --> done
 *                   |      ^
 *                   +------+ the next address
 *
 * A proxy, and TLS, are layers of the stream: what is asked waits in them.
 */
#include "net/ws_dial.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/url.h"
#include "net/mqtt/resolve.h"
#include "net/tunnel.h"
#include "net/ws_upgrade.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_MS 30000
#define ANSWER_MAX 16384

struct ws_dial {
	struct loop *loop;
	struct ws_dial_conf conf;
	ws_dialed *done;
	void *owner;
	struct arena arena;
	char *host; /* of the server; what is connected to may be a proxy */
	uint16_t port;
	char *peer;
	uint16_t peer_port;
	bool secure;
	struct mqtt_resolve *resolve;
	struct addrinfo *found, *next;
	struct loop_timer timer;
	struct loop_defer begin;
	struct loop_io io;
	bool connected;
	struct stream *top;
	struct buf out, in;
	size_t sent;
	struct str accept; /* what the server must answer */
	struct err last;
};

static void
close_socket(struct ws_dial *d)
{
	stream_free(d->top);
	d->top = NULL;
	if (d->io.fd >= 0) {
		loop_unwatch(d->loop, &d->io);
		close(d->io.fd);
		d->io.fd = -1;
	}
}

static void
free_dial(struct ws_dial *d)
{
	close_socket(d);
	mqtt_resolve_cancel(d->resolve);
	if (d->found != NULL)
		freeaddrinfo(d->found);
	loop_cancel(d->loop, &d->timer);
	loop_undefer(d->loop, &d->begin);
	buf_free(&d->out);
	buf_free(&d->in);
	arena_fini(&d->arena);
	loop_free_later(d->loop, d);
}

void
ws_dial_cancel(struct ws_dial *d)
{
	if (d != NULL)
		free_dial(d);
}

static void
failed(struct ws_dial *d, const struct err *why)
{
	ws_dialed *done = d->done;
	void *owner = d->owner;
	const struct err copy = *why;

	free_dial(d);
	done(owner, -1, NULL, STR(""), &copy);
}

static void
failed_because(struct ws_dial *d, int code, const char *text)
{
	struct err why;

	(void)err_set(&why, code, "%s: %s", d->host, text);
	failed(d, &why);
}

static void
on_timeout(struct loop_timer *t)
{
	failed_because(container_of(t, struct ws_dial, timer), ERR_IO,
	    "it does not answer");
}

/* --- the request ---------------------------------------------------------- */

static void
write_request(struct ws_dial *d, const struct url *u)
{
	unsigned char nonce[16];
	struct buf key = { 0 }, accept = { 0 };
	struct str path = u->path.len > 0 ? u->path : STR("/");
	bool v6 = strchr(d->host, ':') != NULL;

	rand_bytes(nonce, sizeof(nonce));
	base64_encode(&key, nonce, sizeof(nonce), false);
	ws_accept(buf_str(&key), &accept);
	d->accept = arena_str(&d->arena, buf_str(&accept));
	buf_addf(&d->out, "GET " STR_FMT, STR_ARG(path));
	if (u->query.ptr != NULL)
		buf_addf(&d->out, "?" STR_FMT, STR_ARG(u->query));
	buf_addf(&d->out, " HTTP/1.1\r\nHost: %s%s%s", v6 ? "[" : "", d->host,
	    v6 ? "]" : "");
	if (u->port != 0)
		buf_addf(&d->out, ":%d", u->port);
	buf_addf(&d->out,
	    "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " STR_FMT
	    "\r\n\r\n",
	    STR_ARG(buf_str(&key)));
	buf_free(&key);
	buf_free(&accept);
}

static void
refused(struct ws_dial *d, int status)
{
	struct err why;

	(void)err_set(&why,
	    status == 401 || status == 403 ? ERR_DENIED
		: status == 404            ? ERR_NOT_FOUND
					   : ERR_PROTO,
	    "%s: it answered with status %d", d->host, status);
	failed(d, &why);
}

/* The head of the answer; false: it is over. */
static bool
read_answer(struct ws_dial *d, struct str head)
{
	struct str rest = head, line = str_cut(&rest, '\n'), status;
	bool upgrade = false, accept = false;

	(void)str_cut(&line, ' ');
	status = str_trim(str_cut(&line, ' '));
	if (!str_starts(head, STR("HTTP/1.1 ")) || status.len != 3) {
		failed_because(d, ERR_PROTO, "it speaks no HTTP/1.1");
		return false;
	}
	if (!str_eqz(status, "101")) {
		refused(d, atoi(status.ptr));
		return false;
	}
	while (rest.ptr != NULL) {
		struct str value = str_cut(&rest, '\n');
		struct str name = str_trim(str_cut(&value, ':'));

		value = value.ptr != NULL ? str_trim(value) : STR("");
		if (str_eq_nocase(name, STR("Upgrade")))
			upgrade = str_eq_nocase(value, STR("websocket"));
		else if (str_eq_nocase(name, STR("Sec-WebSocket-Accept")))
			accept = str_eq(value, d->accept);
	}
	if (!upgrade || !accept)
		failed_because(d, ERR_PROTO, "it speaks no WebSocket");
	return upgrade && accept;
}

static void
finish(struct ws_dial *d, size_t head_len)
{
	struct buf in = d->in;
	struct stream *top = d->top;
	ws_dialed *done = d->done;
	void *owner = d->owner;
	int fd = d->io.fd;

	loop_unwatch(d->loop, &d->io);
	d->io.fd = -1;
	d->top = NULL;
	d->in = (struct buf){ 0 };
	free_dial(d);
	done(owner, fd, top,
	    (struct str){ in.ptr + head_len, in.len - head_len }, NULL);
	buf_free(&in);
}

/* --- the connection ------------------------------------------------------- */

static void try_next(struct ws_dial *d);

static void
broke(struct ws_dial *d, const char *what)
{
	struct buf text = { 0 };

	(void)err_errno(&d->last, "%s: %s", d->host, what);
	if (d->top != NULL)
		stream_why(d->top, &text);
	if (text.len > 0)
		(void)err_set(&d->last, ERR_PROTO, "%s: " STR_FMT, d->host,
		    STR_ARG(buf_str(&text)));
	buf_free(&text);
	if (d->connected)
		failed(d, &d->last);
	else
		try_next(d);
}

/* False: it is over. */
static bool
send_request(struct ws_dial *d)
{
	if (stream_wants(d->top) & LOOP_WRITE && stream_flush(d->top) < 0 &&
	    errno != EAGAIN) {
		broke(d, "TLS");
		return false;
	}
	while (d->sent < d->out.len) {
		struct iovec iov = { d->out.ptr + d->sent,
			d->out.len - d->sent };
		ssize_t n = stream_writev(d->top, &iov, 1);

		if (n < 0 && errno != EAGAIN) {
			broke(d, "write");
			return false;
		}
		if (n <= 0)
			break;
		d->sent += (size_t)n;
	}
	return true;
}

static void
exchange(struct ws_dial *d)
{
	char p[4096];
	unsigned what = LOOP_READ;
	ssize_t n;

	if (!send_request(d))
		return;
	while ((n = stream_read(d->top, p, sizeof(p))) > 0) {
		const char *end;

		buf_add(&d->in, p, (size_t)n);
		end = memmem(d->in.ptr, d->in.len, "\r\n\r\n", 4);
		if (end != NULL) {
			size_t len = (size_t)(end - d->in.ptr);

			if (read_answer(d, (struct str){ d->in.ptr, len }))
				finish(d, len + 4);
			return;
		}
		if (d->in.len > ANSWER_MAX) {
			failed_because(d, ERR_PROTO, "its answer is too long");
			return;
		}
	}
	if (n == 0) {
		failed_because(d, ERR_CLOSED, "it closed the connection");
		return;
	}
	if (errno != EAGAIN && errno != EINTR) {
		broke(d, "read");
		return;
	}
	if (!send_request(d)) /* TLS has just come up */
		return;
	if (stream_wants(d->top) & LOOP_WRITE ||
	    (d->sent < d->out.len && !d->secure))
		what |= LOOP_WRITE;
	loop_watch(d->loop, &d->io, what);
}

/* NULL: `last` says why. */
static struct stream *
put_layers(struct ws_dial *d)
{
	const struct ws_dial_proxy *p = &d->conf.proxy;
	struct stream *top = stream_socket(d->io.fd);

	if (p->tls != NULL)
		top = d->conf.wrap(p->tls, top, d->peer, &d->last);
	if (top != NULL && p->host.len > 0)
		top =
		    tunnel_stream(top, d->host, d->port, p->user, p->password);
	if (top != NULL && d->secure)
		top = d->conf.wrap(d->conf.tls, top, d->host, &d->last);
	return top;
}

static void
on_ready(struct loop_io *io, unsigned what)
{
	struct ws_dial *d = container_of(io, struct ws_dial, io);
	socklen_t len = sizeof(int);
	int one = 1, error = 0;

	(void)what;
	if (!d->connected) {
		if (getsockopt(d->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) <
			0 ||
		    error != 0) {
			errno = error != 0 ? error : errno;
			broke(d, "connect");
			return;
		}
		d->connected = true;
		(void)setsockopt(
		    d->io.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		d->top = put_layers(d);
		if (d->top == NULL) {
			failed(d, &d->last);
			return;
		}
	}
	exchange(d);
}

static void
try_next(struct ws_dial *d)
{
	close_socket(d);
	while (d->next != NULL) {
		const struct addrinfo *a = d->next;
		int fd = socket(a->ai_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		d->next = a->ai_next;
		if (fd < 0)
			continue;
		if (connect(fd, a->ai_addr, a->ai_addrlen) < 0 &&
		    errno != EINPROGRESS) {
			(void)err_errno(&d->last, "%s: connect", d->peer);
			close(fd);
			continue;
		}
		d->io.fd = fd;
		loop_watch(d->loop, &d->io, LOOP_WRITE);
		return;
	}
	if (d->last.code == 0)
		(void)err_set(&d->last, ERR_IO, "%s: no address", d->peer);
	failed(d, &d->last);
}

static void
on_resolved(void *owner, struct addrinfo *found, const struct err *why)
{
	struct ws_dial *d = owner;

	d->resolve = NULL;
	if (found == NULL) {
		failed(d, why);
		return;
	}
	d->found = d->next = found;
	try_next(d);
}

static void
on_begin(struct loop_defer *defer)
{
	struct ws_dial *d = container_of(defer, struct ws_dial, begin);

	d->found = d->next = mqtt_resolve_numeric(d->peer, d->peer_port);
	if (d->found != NULL) {
		try_next(d);
		return;
	}
	d->resolve =
	    mqtt_resolve_start(d->loop, d->peer, d->peer_port, on_resolved, d);
	if (d->resolve == NULL)
		failed_because(d, ERR_LIMIT, "too many names are looked up");
}

int
ws_dial_start(struct loop *loop, const struct ws_dial_conf *conf,
    ws_dialed *done, void *owner, struct ws_dial **ret, struct err *err)
{
	struct ws_dial *d = mem_new(struct ws_dial);
	struct str host;
	struct url u;
	int port;

	d->io.fd = -1;
	d->loop = loop;
	d->conf = *conf;
	d->done = done;
	d->owner = owner;
	if (!url_parse(&d->arena, conf->url, &u) || u.host.len == 0)
		goto wrong;
	d->secure = str_eqz(u.scheme, "https") || str_eqz(u.scheme, "wss");
	if (!d->secure && !str_eqz(u.scheme, "http") &&
	    !str_eqz(u.scheme, "ws"))
		goto wrong;
	if ((d->secure || conf->proxy.tls != NULL) && conf->wrap == NULL)
		goto wrong;
	for (size_t i = 0; i < conf->url.len; i++)
		if ((unsigned char)conf->url.ptr[i] <= ' ')
			goto wrong;
	host = u.host;
	if (host.len > 2 && host.ptr[0] == '[')
		host = (struct str){ host.ptr + 1, host.len - 2 };
	d->host = arena_z(&d->arena, host);
	port = u.port != 0 ? u.port : d->secure ? 443 : 80;
	d->port = (uint16_t)port;
	d->peer = d->host;
	d->peer_port = d->port;
	if (conf->proxy.host.len > 0) {
		d->peer = arena_z(&d->arena, conf->proxy.host);
		d->peer_port = conf->proxy.port;
	}
	d->io.ready = on_ready;
	d->timer.fire = on_timeout;
	d->begin.run = on_begin;
	write_request(d, &u);
	loop_after(loop, &d->timer,
	    conf->timeout_ms > 0 ? conf->timeout_ms : TIMEOUT_MS);
	loop_defer(loop, &d->begin);
	*ret = d;
	return 0;
wrong:
	arena_fini(&d->arena);
	free(d);
	return err_set(
	    err, ERR_PARAM, "must be an address as https://fleet.example.org");
}

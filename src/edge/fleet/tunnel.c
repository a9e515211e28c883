/*
 * edge/fleet/tunnel.c - tunnels from the platform to what the settings allow.
 *
 *    CONNECTING --> OPEN --both sides have ended, or one is broken--> gone
 *
 * When a socket here does not take what comes, nothing more is read from the
 * platform; when the platform does not, nothing more from the sockets. What is
 * left when the platform has closed a tunnel is given a while to be taken.
 */
#include "edge/fleet/private.h"

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/mqtt/resolve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_MODULE "fleet"
#define TUNNELS_MAX 64
#define WAITING_MAX ((size_t)512 << 10)
#define LOW ((size_t)128 << 10)
#define CHUNK ((size_t)64 << 10)
#define CHUNK_TEXT ((size_t)12 << 10)
#define CONNECT_MS 10000
#define STALL_MS 30000
#define LAST_MS 10000

struct tunnel {
	struct fleet_agent *agent;
	struct list link;
	unsigned char id[RELAY_ID];
	char text[RELAY_ID_TEXT + 1];
	struct loop_io io;
	struct loop_timer timer;
	bool connected, binary, eof_known;
	bool held;              /* the platform is not read because of us */
	bool in_over, out_over; /* the socket's end; the platform's */
	bool shut;
	bool closed; /* by the platform: it knows nothing of us any more */
	struct buf out;
	size_t sent;
};

static void
forget(struct tunnel *t)
{
	struct fleet_agent *a = t->agent;

	loop_cancel(a->conf.loop, &t->timer);
	if (t->io.fd >= 0) {
		loop_unwatch(a->conf.loop, &t->io);
		close(t->io.fd);
	}
	if (t->held && a->ws != NULL)
		ws_conn_release(a->ws);
	list_del(&t->link);
	a->n_tunnels--;
	buf_free(&t->out);
	loop_free_later(a->conf.loop, t);
}

static void
say(struct tunnel *t, enum relay_kind kind, const char *why)
{
	agent_say(t->agent,
	    &(struct relay_message){ .kind = kind,
		.connection_id = str_of(t->text),
		.message = str_of(why) });
}

static void
end(struct tunnel *t, const char *why)
{
	if (!t->closed)
		say(t, t->connected ? RELAY_RESET : RELAY_CONNECT_ERROR, why);
	forget(t);
}

static void
send_bytes(struct tunnel *t, const char *p, size_t len)
{
	struct relay_message m = { .kind = RELAY_DATA,
		.connection_id = str_of(t->text) };
	struct buf b = { 0 };

	if (t->binary) {
		ws_conn_send2(t->agent->ws, true,
		    (struct str){ (const char *)t->id, RELAY_ID },
		    (struct str){ p, len });
		return;
	}
	base64_encode(&b, p, len, false);
	m.data_base64 = buf_str(&b);
	agent_say(t->agent, &m);
	buf_free(&b);
}

static void
release(struct tunnel *t)
{
	t->held = false;
	loop_cancel(t->agent->conf.loop, &t->timer);
	ws_conn_release(t->agent->ws);
}

static bool
has_room(const struct tunnel *t)
{
	return t->agent->ws != NULL &&
	    ws_conn_waiting(t->agent->ws) < WAITING_MAX;
}

/* False: it has ended. */
static bool
write_out(struct tunnel *t)
{
	while (t->sent < t->out.len) {
		ssize_t n = send(t->io.fd, t->out.ptr + t->sent,
		    t->out.len - t->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			end(t, strerror(errno));
			return false;
		}
		if (n <= 0)
			break;
		t->sent += (size_t)n;
		if (t->closed) /* it goes on, if slowly */
			loop_after(t->agent->conf.loop, &t->timer, LAST_MS);
	}
	if (t->sent == t->out.len) {
		buf_free(&t->out);
		t->out = (struct buf){ 0 };
		t->sent = 0;
	}
	if (t->held && t->out.len - t->sent < LOW)
		release(t);
	if (t->out_over && !t->shut && t->out.len == 0) {
		t->shut = true;
		(void)shutdown(t->io.fd, SHUT_WR);
	}
	return true;
}

static void
settle(struct tunnel *t)
{
	unsigned what = 0;

	if (t->connected && !write_out(t))
		return;
	if (t->connected && t->in_over && t->shut) {
		end(t, "done");
		return;
	}
	if (t->connected && !t->in_over && has_room(t))
		what |= LOOP_READ;
	if (!t->connected || t->sent < t->out.len)
		what |= LOOP_WRITE;
	loop_watch(t->agent->conf.loop, &t->io, what);
}

/* False: it has ended. */
static bool
read_in(struct tunnel *t)
{
	static char p[CHUNK];
	ssize_t n =
	    recv(t->io.fd, p, t->binary ? CHUNK : CHUNK_TEXT, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n > 0) {
		send_bytes(t, p, (size_t)n);
		return true;
	}
	if (n == 0 && t->eof_known && !t->out_over) {
		t->in_over = true;
		say(t, RELAY_EOF, NULL);
		return true;
	}
	end(t, n == 0 ? "closed" : strerror(errno));
	return false;
}

static void
on_ready(struct loop_io *io, unsigned what)
{
	struct tunnel *t = container_of(io, struct tunnel, io);
	socklen_t len = sizeof(int);
	int error = 0, one = 1;

	if (!t->connected) {
		(void)getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error != 0) {
			end(t, strerror(error));
			return;
		}
		t->connected = true;
		loop_cancel(t->agent->conf.loop, &t->timer);
		(void)setsockopt(
		    io->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		say(t, RELAY_CONNECT_OK, NULL);
	} else if (what & LOOP_READ && !read_in(t)) {
		return;
	}
	settle(t);
}

static void
on_timer(struct loop_timer *timer)
{
	struct tunnel *t = container_of(timer, struct tunnel, timer);

	end(t,
	    t->connected ? "what was sent was not taken for too long"
			 : "no answer");
}

/* --- opening -------------------------------------------------------------- */

static bool
is_local(struct str host)
{
	return str_eqz(host, "localhost") || str_eqz(host, "127.0.0.1") ||
	    str_eqz(host, "::1");
}

/* The list has host:port; the local names are one. */
static bool
may_go(const struct fleet_conf *c, struct str host, int64_t port)
{
	for (size_t i = 0; i < c->tunnels.n; i++) {
		struct str one = c->tunnels.at[i], h = one, p;
		const char *colon =
		    one.len > 0 ? memrchr(one.ptr, ':', one.len) : NULL;
		int64_t n;

		if (colon == NULL)
			continue;
		h.len = (size_t)(colon - one.ptr);
		p = (struct str){ colon + 1, one.len - h.len - 1 };
		if ((str_eq_nocase(h, host) ||
			(is_local(h) && is_local(host))) &&
		    str_to_i64(p, &n) && n == port)
			return true;
	}
	return false;
}

static int
dial_local(int64_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 &&
	    errno != EINPROGRESS) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* A number; names other than the local ones are not looked up here. */
static int
dial_number(struct str host, int64_t port)
{
	struct arena a = { 0 };
	struct addrinfo *found =
	    mqtt_resolve_numeric(arena_z(&a, host), (uint16_t)port);
	int fd = -1;

	if (found != NULL) {
		fd = socket(found->ai_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd >= 0 &&
		    connect(fd, found->ai_addr, found->ai_addrlen) < 0 &&
		    errno != EINPROGRESS) {
			close(fd);
			fd = -1;
		}
		freeaddrinfo(found);
	} else {
		errno = EADDRNOTAVAIL;
	}
	arena_fini(&a);
	return fd;
}

static void
refuse(struct fleet_agent *a, const struct relay_message *m, const char *why)
{
	agent_say(a,
	    &(struct relay_message){ .kind = RELAY_CONNECT_ERROR,
		.connection_id = m->connection_id,
		.message = str_of(why) });
}

void
tunnel_open(struct fleet_agent *a, const struct relay_message *m)
{
	int64_t port = m->target_port;
	unsigned char id[RELAY_ID];
	struct tunnel *t;
	int fd;

	if (!relay_id_read(m->connection_id, id) ||
	    !str_eqz(m->protocol, "tcp") || port < 1 || port > 65535) {
		refuse(a, m, "that is no TCP port");
		return;
	}
	if (!may_go(&a->conf, m->target_ip, port)) {
		log_warn("a tunnel to " STR_FMT ":%lld is refused; see "
			 "fleet.tunnels",
		    STR_ARG(m->target_ip), (long long)port);
		refuse(a, m,
		    "the device does not allow it; see fleet.tunnels there");
		return;
	}
	if (a->n_tunnels >= TUNNELS_MAX) {
		refuse(a, m, "there are too many tunnels");
		return;
	}
	fd = !is_local(m->target_ip)
	    ? dial_number(m->target_ip, port)
	    : dial_local(port == 22 ? a->conf.ssh_port : port);
	if (fd < 0) {
		refuse(a, m, strerror(errno));
		return;
	}
	t = mem_new(struct tunnel);
	t->agent = a;
	memcpy(t->id, id, sizeof(id));
	relay_id_text(id, t->text);
	t->binary = m->supports_binary;
	t->eof_known = m->supports_eof;
	t->timer.fire = on_timer;
	t->io = (struct loop_io){ .ready = on_ready, .fd = fd };
	list_add(&a->tunnels, &t->link);
	a->n_tunnels++;
	loop_after(a->conf.loop, &t->timer, CONNECT_MS);
	settle(t);
}

/* --- from the platform ---------------------------------------------------- */

static struct tunnel *
find(struct fleet_agent *a, const unsigned char id[RELAY_ID])
{
	LIST_EACH (t, &a->tunnels, struct tunnel, link)
		if (memcmp(t->id, id, RELAY_ID) == 0)
			return t;
	return NULL;
}

static void
take(struct tunnel *t, struct str bytes)
{
	if (t->out_over)
		return;
	buf_add_str(&t->out, bytes);
	if (!t->held && t->out.len - t->sent > WAITING_MAX) {
		t->held = true;
		ws_conn_hold(t->agent->ws);
		if (t->connected)
			loop_after(t->agent->conf.loop, &t->timer, STALL_MS);
	}
	settle(t);
}

void
tunnel_binary(struct fleet_agent *a, struct str frame)
{
	struct tunnel *t = frame.len >= RELAY_ID
	    ? find(a, (const unsigned char *)frame.ptr)
	    : NULL;

	if (t != NULL)
		take(t,
		    (struct str){ frame.ptr + RELAY_ID, frame.len - RELAY_ID });
}

void
tunnel_message(struct fleet_agent *a, const struct relay_message *m)
{
	unsigned char id[RELAY_ID];
	struct buf b = { 0 };
	struct tunnel *t =
	    m->connection_id.ptr != NULL && relay_id_read(m->connection_id, id)
	    ? find(a, id)
	    : NULL;

	if (t == NULL)
		return;
	if (m->kind == RELAY_CLOSE && t->connected && t->out.len > 0) {
		t->closed = true;
		t->in_over = t->out_over = true; /* what it sent comes first */
		if (t->held)
			release(t);
		loop_after(a->conf.loop, &t->timer, LAST_MS);
		settle(t);
	} else if (m->kind == RELAY_CLOSE) {
		forget(t);
	} else if (m->kind == RELAY_EOF) {
		t->out_over = true;
		settle(t);
	} else if (base64_decode(&b, m->data_base64) && b.len > 0) {
		take(t, buf_str(&b));
	}
	buf_free(&b);
}

void
tunnel_room(struct fleet_agent *a)
{
	LIST_EACH (t, &a->tunnels, struct tunnel, link)
		settle(t);
}

void
tunnels_end(struct fleet_agent *a)
{
	LIST_EACH (t, &a->tunnels, struct tunnel, link)
		forget(t);
}

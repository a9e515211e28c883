/*
 * net/mqtt/listener.c - what is listened on, and accepting.
 */
#include "net/mqtt/private.h"

#include "base/mem.h"
#include "net/tls.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPT_BATCH 64     /* connections taken per turn */
#define ACCEPT_PAUSE_MS 100 /* when descriptors have run out */

/* --- addresses ----------------------------------------------------------- */

/* What is counted by: an IPv4 address, or the network of an IPv6 one, in which
 * a host has as many addresses as it likes. Unix sockets are all one. */
void
mqtt_address_key(const void *sockaddr, uint8_t ret[16])
{
	const struct sockaddr *sa = sockaddr;

	memset(ret, 0, 16);
	if (sa == NULL)
		return;
	if (sa->sa_family == AF_INET) {
		memcpy(ret, &((const struct sockaddr_in *)sa)->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		const struct in6_addr *a =
		    &((const struct sockaddr_in6 *)sa)->sin6_addr;

		if (IN6_IS_ADDR_V4MAPPED(a))
			memcpy(ret, a->s6_addr + 12, 4);
		else
			memcpy(ret + 8, a->s6_addr, 8);
	}
}

/* --- accepting ----------------------------------------------------------- */

bool
mqtt_listener_wrap(struct conn *c)
{
	struct mqtt_listener *l = c->listener;
	struct stream *top;

	if (l->conf.tls == NULL && !l->conf.websocket)
		return true;
	top = stream_socket(c->io.fd);
	if (l->conf.tls != NULL)
		c->tls = top = tls_server_stream(l->conf.tls, top, NULL);
	if (top != NULL && l->conf.websocket)
		top = ws_stream(&l->ws, top);
	c->stream = top;
	return top != NULL;
}

bool
mqtt_listener_admits(struct mqtt_listener *l, const uint8_t address[16])
{
	struct mqtt_server *s = l->server;

	if (mqtt_address_connects(
		&s->addresses, address, s->conf.max_connect_rate))
		return true;
	COUNT(connections_limited);
	return false;
}

/* Is there room for one more, also from this address? */
static bool
may_come(struct mqtt_listener *l, const uint8_t address[16])
{
	struct mqtt_server *s = l->server;

	if (l->conf.inside != NULL)
		return true;
	if (s->n_conns + s->n_coming >= s->conf.max_connections ||
	    (l->conf.max_connections > 0 &&
		l->n_conns >= l->conf.max_connections)) {
		COUNT(connections_refused);
		return false;
	}
	/* behind a balancer the address is not known yet */
	return l->conf.proxy || mqtt_listener_admits(l, address);
}

static void
accepted(struct mqtt_listener *l, int fd, const struct sockaddr *sa)
{
	const int one = 1;
	uint8_t address[16];
	struct newcomer *n;

	mqtt_address_key(sa, address);
	if (!may_come(l, address)) {
		close(fd);
		return;
	}
	COUNT(connections_accepted);
	if (!l->is_unix)
		(void)setsockopt(
		    fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	n = mem_new(struct newcomer);
	n->listener = l;
	n->fd = fd;
	memcpy(n->address, address, 16);
	mqtt_lane_give(l->server, n);
}

static void
on_again(struct loop_timer *t)
{
	struct mqtt_listener *l = container_of(t, struct mqtt_listener, again);

	loop_watch(l->server->loop, &l->io, LOOP_READ);
}

static void
on_acceptable(struct loop_io *io, unsigned what)
{
	struct mqtt_listener *l = container_of(io, struct mqtt_listener, io);
	struct mqtt_server *s = l->server;

	(void)what;
	mqtt_lock(s);
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage ss = { 0 };
		socklen_t len = sizeof(ss);
		int fd = accept4(io->fd, (struct sockaddr *)&ss, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			accepted(l, fd, (struct sockaddr *)&ss);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			loop_watch(s->loop, io, 0);
			loop_after(s->loop, &l->again, ACCEPT_PAUSE_MS);
		}
		break;
	}
	mqtt_unlock(s);
}

/* --- listening ----------------------------------------------------------- */

static int
bind_and_listen(int fd, const struct sockaddr *sa, socklen_t len,
    const char *what, struct err *err)
{
	if (bind(fd, sa, len) < 0 || listen(fd, SOMAXCONN) < 0) {
		int rc = err_errno(err, "listen on %s", what);

		close(fd);
		return rc;
	}
	return fd;
}

static int
listen_inet(const char *address, uint16_t port, struct err *err)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	}, *ai = NULL;
	const int one = 1, zero = 0;
	char service[8], what[128];
	int fd, rc;

	snprintf(service, sizeof(service), "%u", port);
	snprintf(what, sizeof(what), "%s port %u", address, port);
	rc = getaddrinfo(address, service, &hints, &ai);
	if (rc != 0)
		return err_set(err, ERR_PARAM, "address %s: %s", address,
		    gai_strerror(rc));
	fd = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		rc = err_errno(err, "socket");
	} else {
		(void)setsockopt(
		    fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (ai->ai_family == AF_INET6) /* "::" is IPv4 too */
			(void)setsockopt(
			    fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
		rc =
		    bind_and_listen(fd, ai->ai_addr, ai->ai_addrlen, what, err);
	}
	freeaddrinfo(ai);
	return rc;
}

/* A socket file that nobody answers on is a dead server's. */
static void
remove_dead_socket(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd >= 0 && stat(sun->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0 &&
	    errno == ECONNREFUSED)
		(void)unlink(sun->sun_path);
	if (fd >= 0)
		close(fd);
}

static int
listen_unix(const char *path, unsigned mode, struct err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path))
		return err_set(
		    err, ERR_PARAM, "%s: too long for a socket", path);
	strcpy(sun.sun_path, path);
	remove_dead_socket(&sun);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, "socket");
	fd = bind_and_listen(
	    fd, (struct sockaddr *)&sun, sizeof(sun), path, err);
	if (fd >= 0 && chmod(path, mode != 0 ? mode : 0660) < 0) {
		int rc = err_errno(err, "permissions of %s", path);

		close(fd);
		return rc;
	}
	return fd;
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return 0;
	if (ss.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
	if (ss.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&ss)->sin_port);
	return 0;
}

static struct mqtt_listener *
listener_new(struct mqtt_server *s, const struct mqtt_listener_conf *conf)
{
	struct mqtt_listener *l = mem_new(struct mqtt_listener);

	l->server = s;
	l->conf = *conf;
	l->ws.max_frame = s->conf.max_packet;
	l->io.fd = -1;
	l->io.ready = on_acceptable;
	l->again.fire = on_again;
	if (conf->address != NULL)
		l->conf.address = l->address = str_dupz(str_of(conf->address));
	l->conf.inside = l->inside = str_dupz(str_of(conf->inside));
	list_add(&s->listeners, &l->link);
	return l;
}

int
mqtt_server_listen(struct mqtt_server *s, const struct mqtt_listener_conf *conf,
    uint16_t *port, struct err *err)
{
	bool is_unix = strncmp(conf->address, "unix:", 5) == 0;
	struct mqtt_listener *l;
	int fd;

	fd = is_unix ? listen_unix(conf->address + 5, conf->socket_mode, err)
		     : listen_inet(conf->address, conf->port, err);
	if (fd < 0)
		return fd;
	mqtt_lock(s);
	l = listener_new(s, conf);
	l->is_unix = is_unix;
	l->io.fd = fd;
	loop_watch(s->loop, &l->io, LOOP_READ);
	mqtt_unlock(s);
	if (port != NULL)
		*port = port_of(fd);
	return 0;
}

void
mqtt_listener_close(struct mqtt_listener *l)
{
	struct loop *loop = l->server->loop;

	loop_unwatch(loop, &l->io);
	loop_cancel(loop, &l->again);
	if (l->io.fd >= 0)
		close(l->io.fd);
	if (l->is_unix)
		(void)unlink(l->address + 5);
	list_del(&l->link);
	free(l->address);
	free(l->inside);
	free(l);
}

/* Adopted connections of equal terms share one listener. */
static struct mqtt_listener *
listener_of(struct mqtt_server *s, const struct mqtt_listener_conf *conf)
{
	LIST_EACH (l, &s->listeners, struct mqtt_listener, link) {
		if (l->io.fd < 0 && l->conf.durability == conf->durability &&
		    l->conf.allow_anonymous == conf->allow_anonymous &&
		    l->conf.max_connections == conf->max_connections &&
		    str_eq(str_of(l->conf.inside), str_of(conf->inside)))
			return l;
	}
	return listener_new(s, conf);
}

void
mqtt_server_adopt(struct mqtt_server *s, const void *address, int fd,
    struct stream *stream, struct str rest,
    const struct mqtt_listener_conf *conf)
{
	struct newcomer *n = mem_new(struct newcomer);

	mqtt_lock(s);
	n->listener = listener_of(s, conf);
	n->fd = fd;
	n->stream = stream;
	n->rest = rest.len > 0 ? str_copy(rest) : STR_NULL;
	mqtt_address_key(address, n->address);
	if (may_come(n->listener, n->address)) {
		COUNT(connections_accepted);
		mqtt_lane_give(s, n);
	} else {
		stream_free(stream);
		close(fd);
		str_free(n->rest);
		free(n);
	}
	mqtt_unlock(s);
}

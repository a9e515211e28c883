/*
 * plug/gateway/link_tcp.c - lines over TCP, or TLS over it.
 *
 *    RESOLVING ---> CONNECTING ---> the line's ---> the end
 *
 *    RESOLVING    `resolve` runs
 *    CONNECTING   `io` is watched for writing; further addresses in `next`
 */
#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/url.h"
#include "net/mqtt/resolve.h"
#include "net/tls.h"
#include "plug/gateway/line.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct spec {
	struct str server, delay;
	bool insecure;
};

#define S struct spec
static const struct field spec_fields[] = {
	F_TEXT(S, server, "server",
	    .help = "\"tcp://host:5003\" or \"tls://host:5003\"."),
	F_BOOL(S, insecure, "insecure",
	    .help = "Do not check the certificate of the server."),
	F_TEXT(S, delay, "transmitPreDelay", .def = "\"1ms\"",
	    .help = "Wait before each frame is sent."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "ethernet", sizeof(struct spec),
	spec_fields };

struct tcp {
	struct gateway_link base;
	struct line line;
	char *host;
	uint16_t port;
	struct tls_client *tls; /* NULL: none */
	struct loop_defer begin;
	struct mqtt_resolve *resolve;
	struct addrinfo *found, *next;
	struct loop_io io; /* while connecting */
};

static struct loop *
loop_of(const struct tcp *l)
{
	return gateway_host_of(l->base.g)->loop;
}

static void
forget_attempt(struct tcp *l)
{
	mqtt_resolve_cancel(l->resolve);
	l->resolve = NULL;
	if (l->found != NULL)
		freeaddrinfo(l->found);
	l->found = l->next = NULL;
	if (l->io.fd < 0)
		return;
	loop_unwatch(loop_of(l), &l->io);
	close(l->io.fd);
	l->io.fd = -1;
}

static void
connected(struct tcp *l)
{
	int fd = l->io.fd;
	struct stream *s;
	struct err why;

	loop_unwatch(loop_of(l), &l->io);
	l->io.fd = -1;
	forget_attempt(l);
	s = stream_socket(fd);
	if (l->tls != NULL) {
		gateway_stage(l->base.g, "tls");
		s = tls_client_stream(l->tls, s, l->host, &why);
	}
	if (s == NULL) {
		close(fd);
		gateway_link_down(l->base.g, why.text);
		return;
	}
	line_open(&l->line, fd, s);
}

static bool
connect_to(struct tcp *l, const struct addrinfo *to, struct err *why)
{
	const int one = 1;
	char host[NI_MAXHOST], port[NI_MAXSERV], about[160];

	gateway_stage(l->base.g, "connect");
	if (getnameinfo(to->ai_addr, to->ai_addrlen, host, sizeof(host), port,
		sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
		(void)snprintf(
		    about, sizeof(about), "%.100s, port %.10s", host, port);
		gateway_stage_note(l->base.g, about);
	}
	if (l->io.fd >= 0) {
		loop_unwatch(loop_of(l), &l->io);
		close(l->io.fd);
	}
	l->io.fd = socket(
	    to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->io.fd < 0) {
		err_errno(why, "socket");
		return false;
	}
	(void)setsockopt(l->io.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(l->io.fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (connect(l->io.fd, to->ai_addr, to->ai_addrlen) < 0 &&
	    errno != EINPROGRESS) {
		err_errno(why, "connect to %s", l->host);
		return false;
	}
	loop_watch(loop_of(l), &l->io, LOOP_WRITE);
	return true;
}

/* `why`: what was wrong with the address before. */
static void
try_next(struct tcp *l, struct err *why)
{
	while (l->next != NULL) {
		const struct addrinfo *to = l->next;

		l->next = to->ai_next;
		if (connect_to(l, to, why))
			return;
	}
	gateway_link_down(l->base.g, why->text);
}

static void
on_ready(struct loop_io *io, unsigned what)
{
	struct tcp *l = container_of(io, struct tcp, io);
	socklen_t len = sizeof(int);
	struct err why;
	int e = 0;

	(void)what;
	if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
		e = errno;
	if (e == 0) {
		connected(l);
		return;
	}
	errno = e;
	err_errno(&why, "connect to %s", l->host);
	try_next(l, &why);
}

static void
on_resolved(void *owner, struct addrinfo *found, const struct err *why)
{
	struct tcp *l = owner;
	struct err none;

	l->resolve = NULL;
	if (found == NULL) {
		gateway_link_down(l->base.g, why->text);
		return;
	}
	l->found = l->next = found;
	err_set(&none, ERR_IO, "no address");
	try_next(l, &none);
}

static void
on_begin(struct loop_defer *d)
{
	struct tcp *l = container_of(d, struct tcp, begin);
	struct addrinfo *found = mqtt_resolve_numeric(l->host, l->port);

	if (found != NULL) {
		on_resolved(l, found, NULL);
		return;
	}
	gateway_stage(l->base.g, "resolve");
	l->resolve =
	    mqtt_resolve_start(loop_of(l), l->host, l->port, on_resolved, l);
	if (l->resolve == NULL)
		gateway_link_down(l->base.g, "too many names to be found");
}

static void
tcp_start(struct gateway_link *base)
{
	struct tcp *l = container_of(base, struct tcp, base);

	loop_defer(loop_of(l), &l->begin);
}

static void
tcp_stop(struct gateway_link *base)
{
	struct tcp *l = container_of(base, struct tcp, base);

	loop_undefer(loop_of(l), &l->begin);
	forget_attempt(l);
	line_close(&l->line);
}

static int
tcp_put(struct gateway_link *base, struct str topic, struct str data,
    struct gateway_put *p, struct err *err)
{
	(void)topic;
	return line_put(
	    &container_of(base, struct tcp, base)->line, data, p, err);
}

static void
tcp_close(struct gateway_link *base)
{
	struct tcp *l = container_of(base, struct tcp, base);

	line_fini(&l->line);
	tls_client_free(l->tls);
	free(l->host);
	free(l);
}

/* --- open ----------------------------------------------------------------- */

static int
parse_server(struct tcp *l, struct gateway *g, const struct spec *s, bool *tls,
    struct err *err)
{
	struct arena a = { 0 };
	struct url url;
	int rc = 0;

	if (!url_parse(&a, s->server, &url) || url.host.len == 0 ||
	    url.port == 0 ||
	    !(str_eqz(url.scheme, "tcp") || str_eqz(url.scheme, "tls") ||
		str_eqz(url.scheme, "ssl")))
		rc = err_set(err, ERR_PARAM,
		    "server: an address like tcp://host:5003 is needed");
	if (rc == 0)
		rc = gateway_check_host(g, url.host, err);
	if (rc == 0) {
		*tls = !str_eqz(url.scheme, "tcp");
		l->host = str_dupz(url.host);
		l->port = (uint16_t)url.port;
	}
	arena_fini(&a);
	return rc;
}

static int
make_tls(
    struct tcp *l, struct gateway *g, const struct spec *s, struct err *err)
{
	struct str ca = gateway_host_of(g)->settings->ca_file;
	char *ca_file = ca.len > 0 ? str_dupz(ca) : NULL;
	struct tls_client_conf conf = { .verify = !s->insecure,
		.ca_file = ca_file };
	int rc = tls_client_new(&conf, &l->tls, err);

	free(ca_file);
	l->line.is_up = tls_stream_is_up;
	l->line.why = tls_stream_why;
	l->line.about = tls_stream_about;
	return rc;
}

static int
tcp_open(struct gateway *g, const void *spec, struct gateway_link **ret,
    struct err *err)
{
	const struct spec *s = spec;
	struct tcp *l = mem_new(struct tcp);
	bool tls = false;
	int rc;

	l->base.g = g;
	l->io.fd = -1;
	l->io.ready = on_ready;
	l->begin.run = on_begin;
	line_init(&l->line, g);
	rc = gateway_duration(
	    s->delay, "transmitPreDelay", &l->base.delay_ms, err);
	if (rc == 0)
		rc = parse_server(l, g, s, &tls, err);
	if (rc == 0 && tls)
		rc = make_tls(l, g, s, err);
	if (rc != 0)
		tcp_close(&l->base);
	else
		*ret = &l->base;
	return rc;
}

const struct gateway_link_ops gateway_link_tcp = {
	.name = "ethernet",
	.protocol = GATEWAY_TCP,
	.spec = &spec_record,
	.open = tcp_open,
	.start = tcp_start,
	.stop = tcp_stop,
	.put = tcp_put,
	.close = tcp_close,
};

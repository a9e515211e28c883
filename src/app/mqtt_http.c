/*
 * app/mqtt_http.c - see mqtt_http.h.
 *
 * A connection crosses from the loop of the HTTP server to that of the MQTT
 * server. Its lowest layer is one of our own: the MQTT server frees it when it
 * is done, on any thread, and then the HTTP server is told that the tunnel is
 * not needed any more.
 */
#include "app/mqtt_http.h"

#include "base/base.h"
#include "base/mem.h"
#include "net/stream.h"
#include "net/ws.h"
#include "net/ws_upgrade.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct mqtt_http {
	struct loop *loop;
	struct mqtt_server *mqtt;
	struct mqtt_listener_conf listener;
	struct ws_conf ws;
};

/* --- the lowest layer ---------------------------------------------------- */

struct end {
	struct stream base;
	struct stream *socket;
	struct http_tunnel *tunnel;
};

static struct end *
end_of(const struct stream *s)
{
	return container_of(s, struct end, base);
}

static ssize_t
end_read(struct stream *s, void *p, size_t len)
{
	return stream_read(end_of(s)->socket, p, len);
}

static ssize_t
end_writev(struct stream *s, const struct iovec *iov, int n)
{
	return stream_writev(end_of(s)->socket, iov, n);
}

static int
end_flush(struct stream *s)
{
	return stream_flush(end_of(s)->socket);
}

static unsigned
end_wants(const struct stream *s)
{
	return stream_wants(end_of(s)->socket);
}

static void
end_free(struct stream *s)
{
	struct end *e = end_of(s);

	stream_free(e->socket);
	http_tunnel_end(e->tunnel);
	free(e);
}

static const struct stream_ops end_ops = {
	.read = end_read,
	.writev = end_writev,
	.flush = end_flush,
	.wants = end_wants,
	.free = end_free,
};

static struct stream *
end_new(int fd, struct http_tunnel *tunnel)
{
	struct end *e = mem_new(struct end);

	e->base.ops = &end_ops;
	e->socket = stream_socket(fd);
	e->tunnel = tunnel;
	return &e->base;
}

/* --- crossing over ------------------------------------------------------- */

struct arrival {
	struct loop_post post;
	struct mqtt_http *to;
	int fd;
	struct sockaddr_storage address;
	bool has_address;
	struct str already; /* owned */
	struct http_tunnel *tunnel;
};

#define AHEAD 16384 /* more than net/http reads behind a request */

/* What came behind the request lies in the layers, where no descriptor tells
 * of it. */
static struct str
read_ahead(struct stream *s, char buf[AHEAD])
{
	struct str ret = { buf, 0 };
	ssize_t n = 1;

	while (n > 0 && ret.len < AHEAD) {
		n = stream_read(s, buf + ret.len, AHEAD - ret.len);
		ret.len += n > 0 ? (size_t)n : 0;
	}
	return ret;
}

/* On the MQTT server's loop. */
static void
arrive(struct loop_post *p)
{
	struct arrival *a = container_of(p, struct arrival, post);
	struct mqtt_http *m = a->to;
	struct stream *s =
	    ws_stream_upgraded(&m->ws, end_new(a->fd, a->tunnel), a->already);
	struct str rest = STR_NULL;
	char buf[AHEAD];

	if (a->already.len > 0)
		rest = read_ahead(s, buf);
	mqtt_server_adopt(m->mqtt, a->has_address ? &a->address : NULL, a->fd,
	    s, rest, &m->listener);
	str_free(a->already);
	free(a);
}

void
mqtt_http_upgraded(struct mqtt_http *m, const struct http_upgraded *u)
{
	struct arrival *a = mem_new(struct arrival);
	const struct sockaddr *sa = u->address;

	a->post.run = arrive;
	a->to = m;
	a->fd = u->fd;
	a->tunnel = u->tunnel;
	a->already = str_copy(u->already);
	a->has_address = sa != NULL;
	if (sa != NULL)
		memcpy(&a->address, sa,
		    sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					      : sizeof(struct sockaddr_in));
	loop_post(m->loop, &a->post);
}

/* --- the request --------------------------------------------------------- */

static void
take_header(void *ctx, struct str name, struct str value)
{
	ws_request_header(ctx, name, value);
}

static void
handle(struct http_call *c)
{
	struct ws_request r = { .method = str_of(c->method),
		.target = c->target };
	struct buf b = { 0 };
	int status;

	http_server_headers(c, take_header, &r);
	status = ws_request_judge(&r, NULL);
	if (status != 101) {
		if (status == 426) {
			http_header(c, "Sec-WebSocket-Version", STR("13"));
			http_header(c, "Upgrade", STR("websocket"));
		}
		http_error(c, status, "err_param",
		    "here MQTT is spoken over WebSocket, version 13, with the "
		    "subprotocol mqtt");
		return;
	}
	http_empty(c, 101);
	ws_accept(r.key, &b);
	http_header(c, "Upgrade", STR("websocket"));
	http_header(c, "Sec-WebSocket-Accept", buf_str(&b));
	http_header(c, "Sec-WebSocket-Protocol", r.protocol);
	buf_free(&b);
}

void
mqtt_http_routes(struct mqtt_http *m, http_add_routes *add, void *ctx)
{
	static const struct http_route rows[] = {
		{ "GET", "/mqtt", HTTP_OPEN, .handle = handle,
		    .flags = HTTP_UPGRADE | HTTP_HIDDEN,
		    .help = "MQTT over WebSocket." },
		{ 0 },
	};

	if (m == NULL || m->listener.max_connections > 0)
		add(ctx, rows);
}

/* --- its life ------------------------------------------------------------ */

struct mqtt_http *
mqtt_http_new(struct loop *loop, struct mqtt_server *mqtt,
    const struct mqtt_http_conf *conf)
{
	struct mqtt_http *m = mem_new(struct mqtt_http);

	m->loop = loop;
	m->mqtt = mqtt;
	m->ws.max_frame = conf->max_packet;
	m->listener.max_connections = conf->max_connections;
	m->listener.allow_anonymous = conf->allow_anonymous;
	m->listener.durability = conf->durability;
	return m;
}

void
mqtt_http_free(struct mqtt_http *m)
{
	free(m);
}

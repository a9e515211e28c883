/*
 * net/http/server.c - see server.h for the promises.
 *
 * A request's life:
 *
 *           body complete          worker done            all is sent
 *   GATHER ---------------> WORK ---------------> SEND ----------------> freed
 *     | too large            | request_ms over     | `out` sent and more to
 *     +----> SEND            v                     v come: a worker, then back
 *                           LATE (408 is sent; freed when the worker is done)
 *
 * A HTTP_UPGRADE route is answered in GATHER, by the loop itself. After 101
 * libmicrohttpd hands out a descriptor: of plain HTTP the connection, which it
 * then is made to forget; of HTTPS one end of a socket pair whose other end it
 * goes on serving until it is told of the end. So each has a tunnel:
 *
 *    upgraded --> OPEN ---http_tunnel_end()--> freed
 *                  | http_server_free()          ^
 *                  +--> server NULL -------------+
 *
 * A body that comes in parts stays in GATHER; whenever PART bytes of it are
 * there, the connection is suspended while a worker takes them.
 *
 * Once the server is stopping nothing is given to a worker: GATHER goes to SEND
 * with 503, a stream that wants more breaks off.
 *
 * In WORK, and in SEND while a worker adds to a stream, the connection is
 * suspended and libmicrohttpd does not touch the request. Resuming, and
 * running the daemon after it, happen on the loop only: resuming from a worker
 * hangs in epoll mode. libmicrohttpd does not notice a client that leaves
 * while suspended; we learn of it after resuming.
 */
#include "net/http/server.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/http/cert.h"
#include "net/http/door.h"
#include "net/http/router.h"
#include "net/http/tally.h"
#include "net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTION_MEMORY 8192
#define SWALLOW 8          /* times the largest body */
#define STREAM_RETRY_MS 20 /* when the worker queue was full */
#define PART (64u << 10)   /* a worker gets so much of a body at a time */

enum state { GATHER, WORK, SEND, LATE };

struct daemon {
	struct http_server *server;
	struct MHD_Daemon *mhd;
	struct loop_io io; /* the daemon's epoll descriptor */
	uint16_t port;
};

struct http_server {
	struct loop *loop;
	struct http_server_conf conf;
	struct http_server_events ev;
	void *owner;
	struct router router;
	struct daemon plain, tls;
	struct http_door *door; /* of one port for both; or NULL */
	struct http_cert *cert; /* of HTTPS, or NULL */
	struct loop_timer tick; /* libmicrohttpd's own time-outs */
	struct loop_defer run;
	bool stopping;
	struct list waiting; /* streams that found the worker queue full */
	struct tallies *tallies;
	struct list tunnels;
};

/* What libmicrohttpd still holds of an upgraded connection. */
struct http_tunnel {
	struct http_server *server; /* NULL: it has gone */
	struct loop *loop;
	struct list link;                      /* in server->tunnels */
	struct MHD_UpgradeResponseHandle *urh; /* NULL: nothing */
	struct loop_post ended;
};

struct request {
	struct http_call call; /* first: handlers get its address */
	struct http_server *server;
	struct daemon *daemon;
	struct MHD_Connection *connection;
	enum state state;
	bool seen; /* the headers were looked at */
	bool too_large;
	bool gone;    /* libmicrohttpd is through with it */
	bool working; /* a worker has it */
	bool suspended;
	bool stream_over;
	bool in_parts; /* the body is given away in parts */
	bool in_part;  /* a worker has one */
	bool refused;  /* and wants no more */
	/* the loop's own answer, once the body is over: libmicrohttpd closes
	 * the connection when one comes before */
	enum MHD_Result (*answer)(struct request *r);
	size_t sent; /* of call.out */
	size_t got;  /* of the body, kept or thrown away */
	size_t body_max;
	struct buf body;
	struct worker_job job;
	struct loop_post done;
	struct loop_timer late, again;
	struct list waiting; /* in the server's, while `again` runs */
};

/* --- the daemon on the loop ---------------------------------------------- */

/* Whose handshakes go on: GnuTLS asks for a certificate without saying for
 * whom. */
static _Thread_local struct daemon *running;

static void
run_daemon(struct daemon *d)
{
	if (d->mhd == NULL)
		return;
	running = d;
	MHD_run(d->mhd);
	running = NULL;
}

static int
on_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
    gnutls_pcert_st **certs, unsigned *n, gnutls_ocsp_data_st **ocsp,
    unsigned *n_ocsp, gnutls_privkey_t *key, unsigned *flags)
{
	(void)session;
	(void)info;
	*ocsp = NULL;
	*n_ocsp = 0;
	*flags = GNUTLS_CERT_RETR_DEINIT_ALL;
	return http_cert_copy(running->server->cert, certs, n, key);
}

static void
set_tick(struct http_server *s)
{
	unsigned long long wait, least = 1000;

	if (s->plain.mhd != NULL &&
	    MHD_get_timeout(s->plain.mhd, &wait) == MHD_YES && wait < least)
		least = wait;
	if (s->tls.mhd != NULL &&
	    MHD_get_timeout(s->tls.mhd, &wait) == MHD_YES && wait < least)
		least = wait;
	loop_after(s->loop, &s->tick, (int64_t)least);
}

static void
on_run(struct loop_defer *defer)
{
	struct http_server *s = container_of(defer, struct http_server, run);

	run_daemon(&s->plain);
	run_daemon(&s->tls);
	set_tick(s);
}

static void
on_tick(struct loop_timer *t)
{
	struct http_server *s = container_of(t, struct http_server, tick);

	loop_defer(s->loop, &s->run);
}

static void
on_epoll(struct loop_io *io, unsigned what)
{
	struct daemon *d = container_of(io, struct daemon, io);

	(void)what;
	loop_defer(d->server->loop, &d->server->run);
}

/* --- requests ------------------------------------------------------------ */

static void
request_free(struct request *r)
{
	loop_cancel(r->server->loop, &r->late);
	loop_cancel(r->server->loop, &r->again);
	list_del(&r->waiting);
	if (r->call.stream_end != NULL)
		r->call.stream_end(&r->call);
	if (r->in_parts)
		r->server->ev.ended(r->server->owner, &r->call);
	buf_free(&r->call.out);
	buf_free(&r->body);
	arena_fini(&r->call.arena);
	free(r);
}

static void
resume(struct request *r)
{
	if (!r->suspended)
		return;
	r->suspended = false;
	MHD_resume_connection(r->connection);
	loop_defer(r->server->loop, &r->server->run);
}

static void
suspend(struct request *r)
{
	r->suspended = true;
	MHD_suspend_connection(r->connection);
}

static void
on_worker_done(struct loop_post *p)
{
	struct request *r = container_of(p, struct request, done);

	r->working = false;
	loop_cancel(r->server->loop, &r->late);
	if (r->gone) {
		request_free(r);
		return;
	}
	if (r->state == LATE) /* 408 is on its way; freed when it is out */
		return;
	if (r->in_part) {
		r->in_part = false;
		buf_clear(&r->body);
		resume(r);
		return;
	}
	r->state = SEND;
	resume(r);
}

static void
on_late(struct loop_timer *t)
{
	struct request *r = container_of(t, struct request, late);

	r->state = LATE;
	resume(r);
}

static void
answer(struct http_server *s, struct http_call *c)
{
	if (c->route == NULL)
		s->ev.unmatched(s->owner, c);
	else if (c->route->access == HTTP_OPEN || s->ev.access(s->owner, c))
		c->route->handle(c);
	if (s->ev.after != NULL)
		s->ev.after(s->owner, c);
	tallies_end(
	    s->tallies, c->route, c->status, clock_mono() - c->came_mono);
}

static void
run_call(struct worker_job *job)
{
	struct request *r = container_of(job, struct request, job);

	answer(r->server, &r->call);
	loop_post(r->server->loop, &r->done);
}

static void
run_part(struct worker_job *job)
{
	struct request *r = container_of(job, struct request, job);

	r->refused = !r->server->ev.part(r->server->owner, &r->call);
	loop_post(r->server->loop, &r->done);
}

static void
gather_stream(struct http_call *c)
{
	struct buf all = { 0 };
	bool more = true;

	while (more) {
		buf_add_str(&all, buf_str(&c->out));
		buf_clear(&c->out);
		more = c->stream(c);
	}
	buf_add_str(&all, buf_str(&c->out));
	buf_free(&c->out);
	c->out = all;
	if (c->stream_end != NULL)
		c->stream_end(c);
}

void
http_server_call(struct http_server *s, struct http_call *c)
{
	struct str rest = c->target, path = str_cut(&rest, '?'), allowed;

	c->came_at = clock_now();
	c->came_mono = clock_mono();
	c->path = url_decode(&c->arena, path, false);
	c->query = url_form_parse(&c->arena, rest);
	c->content_type = STR("application/json");
	if (!router_find(&s->router, c, &allowed)) {
		http_error(c, 404, "err_not_found", NULL);
		return;
	}
	tallies_begin(s->tallies);
	answer(s, c);
	if (c->stream != NULL)
		gather_stream(c);
}

static void
run_stream(struct worker_job *job)
{
	struct request *r = container_of(job, struct request, job);

	buf_clear(&r->call.out);
	r->sent = 0;
	r->stream_over = !r->call.stream(&r->call);
	loop_post(r->server->loop, &r->done);
}

/* Gives the request to a worker; false when the pool's queue is full. */
static bool
submit(struct request *r, void (*run)(struct worker_job *job))
{
	const struct http_route *route = r->call.route;
	struct worker_pool *pool = route != NULL && route->flags & HTTP_SLOW
	    ? r->server->conf.slow
	    : r->server->conf.workers;

	if (r->server->stopping)
		return false;
	r->job.run = run;
	r->working = true;
	if (worker_submit(pool, &r->job) == 0)
		return true;
	r->working = false;
	return false;
}

/* Gives the stream to a worker, now or when the queue has room. */
static void
go_on(struct request *r)
{
	list_del(&r->waiting);
	if (submit(r, run_stream))
		return;
	list_add(&r->server->waiting, &r->waiting);
	loop_after(r->server->loop, &r->again, STREAM_RETRY_MS);
}

static void
on_again(struct loop_timer *t)
{
	go_on(container_of(t, struct request, again));
}

/* --- answers ------------------------------------------------------------- */

static ssize_t
read_answer(void *cls, uint64_t pos, char *to, size_t max)
{
	struct request *r = cls;
	size_t left = r->call.out.len - r->sent;

	(void)pos;
	if (left > 0) {
		size_t n = MIN_OF(left, max);

		memcpy(to, r->call.out.ptr + r->sent, n);
		r->sent += n;
		return (ssize_t)n;
	}
	if (r->stream_over)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (r->server->stopping)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	suspend(r);
	go_on(r);
	return 0;
}

static bool
origin_allowed(const struct http_server *s, struct str origin)
{
	struct str list = str_of(s->conf.cors_origins);

	if (str_eqz(list, "*"))
		return true;
	while (list.ptr != NULL)
		if (str_eq(str_cut(&list, ' '), origin))
			return true;
	return false;
}

/* Cross-origin headers. The API takes bearer tokens only, so any allowed
 * origin may read it; pages that set cookies or show forms name the origin. */
static void
add_cors(struct MHD_Response *resp, struct request *r)
{
	struct http_call *c = &r->call;
	bool oauth = c->route != NULL && c->route->flags & HTTP_CREDENTIALS;
	bool all = str_eqz(str_of(r->server->conf.cors_origins), "*");

	if (r->server->conf.cors_origins[0] == '\0')
		return;
	MHD_add_response_header(resp, "Vary",
	    "Origin, Access-Control-Request-Method, "
	    "Access-Control-Request-Headers");
	if (oauth) {
		MHD_add_response_header(
		    resp, "Access-Control-Allow-Credentials", "true");
		MHD_add_response_header(
		    resp, "Access-Control-Expose-Headers", "location");
	} else {
		MHD_add_response_header(
		    resp, "Access-Control-Expose-Headers", "*");
	}
	if (!oauth && all)
		MHD_add_response_header(
		    resp, "Access-Control-Allow-Origin", "*");
	else if (c->origin.ptr != NULL && origin_allowed(r->server, c->origin))
		MHD_add_response_header(resp, "Access-Control-Allow-Origin",
		    arena_z(&c->arena, c->origin));
}

static enum MHD_Result
send_response(struct request *r, int status, struct MHD_Response *resp)
{
	enum MHD_Result ok;

	add_cors(resp, r);
	ok = MHD_queue_response(r->connection, (unsigned)status, resp);
	MHD_destroy_response(resp);
	return ok;
}

static enum MHD_Result
send_call(struct request *r)
{
	struct http_call *c = &r->call;
	struct MHD_Response *resp;

	r->stream_over = c->stream == NULL;
	if (c->stream != NULL)
		resp = MHD_create_response_from_callback(
		    MHD_SIZE_UNKNOWN, 32 * 1024, read_answer, r, NULL);
	else /* `out` outlives the answer: it goes when the request is over */
		resp = MHD_create_response_from_buffer(c->out.len,
		    c->out.len > 0 ? c->out.ptr : (void *)"",
		    MHD_RESPMEM_PERSISTENT);
	if (c->type != NULL)
		MHD_add_response_header(resp, "Content-Type", c->type);
	for (size_t i = 0; i < c->n_headers; i++)
		MHD_add_response_header(
		    resp, c->headers[i].name, c->headers[i].value.ptr);
	return send_response(r, c->status, resp);
}

/* An answer from the loop itself, without a worker. */
static enum MHD_Result
send_error(struct request *r, int status, const char *code, const char *text)
{
	r->state = SEND;
	http_error(&r->call, status, code, "%s", text);
	return send_call(r);
}

static enum MHD_Result
send_too_large(struct request *r)
{
	const struct http_route *route = r->call.route;
	const char *setting = r->in_parts ? NULL
	    : route != NULL && route->body_max > 0
	    ? route->body_setting
	    : r->server->conf.body_setting;

	r->state = SEND;
	http_error(&r->call, 413, "err_param",
	    "the body is larger than %zu bytes%s%s", r->body_max,
	    setting != NULL ? "; see " : "", setting != NULL ? setting : "");
	return send_call(r);
}

static enum MHD_Result
send_no_method(struct request *r)
{
	return send_error(r, 405, "err_param", "this path has no such method");
}

static enum MHD_Result
send_nothing_there(struct request *r)
{
	return send_error(
	    r, 404, "err_not_found", "there is nothing at this path");
}

/* Who comes in clear where TLS is spoken, too. */
static enum MHD_Result
send_to_tls(struct request *r)
{
	struct http_call *c = &r->call;

	r->state = SEND;
	http_empty(c, 308);
	http_header(c, "Location",
	    arena_printf(&c->arena, "https://" STR_FMT STR_FMT,
		STR_ARG(c->host), STR_ARG(c->target)));
	return send_call(r);
}

static enum MHD_Result
send_late(struct request *r)
{
	static const char text[] =
	    "{\"code\":\"err_rsc\",\"message\":\"the request took too long\"}";
	struct MHD_Response *resp = MHD_create_response_from_buffer(
	    sizeof(text) - 1, (void *)text, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result ok;

	/* the worker still owns the call: nothing of it may be used here */
	MHD_add_response_header(resp, "Content-Type", "application/json");
	MHD_add_response_header(resp, "Connection", "close");
	ok = MHD_queue_response(r->connection, 408, resp);
	MHD_destroy_response(resp);
	return ok;
}

static enum MHD_Result
send_preflight(struct request *r)
{
	const char *wanted = MHD_lookup_connection_value(
	    r->connection, MHD_HEADER_KIND, "Access-Control-Request-Headers");
	struct MHD_Response *resp = MHD_create_response_from_buffer(
	    0, (void *)"", MHD_RESPMEM_PERSISTENT);

	r->state = SEND;
	MHD_add_response_header(resp, "Access-Control-Allow-Methods",
	    "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS");
	MHD_add_response_header(resp, "Access-Control-Allow-Headers",
	    wanted != NULL ? wanted : "*");
	MHD_add_response_header(resp, "Access-Control-Max-Age", "600");
	return send_response(r, 200, resp);
}

/* --- connections that become something else ------------------------------ */

static void
tunnel_close(struct http_tunnel *t)
{
	if (t->urh == NULL)
		return;
	MHD_upgrade_action(t->urh, MHD_UPGRADE_ACTION_CLOSE);
	t->urh = NULL;
	loop_defer(t->server->loop, &t->server->run);
}

static void
on_tunnel_ended(struct loop_post *p)
{
	struct http_tunnel *t = container_of(p, struct http_tunnel, ended);

	if (t->server != NULL) {
		tunnel_close(t);
		list_del(&t->link);
	}
	free(t);
}

void
http_tunnel_end(struct http_tunnel *t)
{
	if (t != NULL)
		loop_post(t->loop, &t->ended);
}

/* Such a connection may be silent for days: the system finds out whether the
 * peer's machine is still there, so that none stays of one that vanished. */
static void
keep_alive(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	static const int on = 1, idle_s = 60, again_s = 15, times = 4;

	if (info == NULL)
		return;
	/* of a connection that is none of TCP these fail, as they should */
	(void)setsockopt(
	    info->connect_fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(info->connect_fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s,
	    sizeof(idle_s));
	(void)setsockopt(info->connect_fd, IPPROTO_TCP, TCP_KEEPINTVL, &again_s,
	    sizeof(again_s));
	(void)setsockopt(
	    info->connect_fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
}

/* libmicrohttpd has sent 101. Our own descriptor for `sock` outlives its. */
static void
on_upgraded(void *cls, struct MHD_Connection *connection, void *con_cls,
    const char *extra, size_t extra_len, MHD_socket sock,
    struct MHD_UpgradeResponseHandle *urh)
{
	struct request *r = cls;
	struct http_server *s = r->server;
	struct http_tunnel *t = mem_new(struct http_tunnel);
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct http_upgraded u = { .route = r->call.route,
		.call = &r->call,
		.fd = fcntl(sock, F_DUPFD_CLOEXEC, 0),
		.address = info != NULL ? info->client_addr : NULL,
		.already = { extra, extra_len },
		.tunnel = t };

	(void)con_cls;
	t->server = s;
	t->loop = s->loop;
	t->urh = urh;
	t->ended.run = on_tunnel_ended;
	list_add(&s->tunnels, &t->link);
	if (u.fd < 0) { /* no descriptors are left */
		http_tunnel_end(t);
		return;
	}
	(void)fcntl(u.fd, F_SETFL, fcntl(u.fd, F_GETFL) | O_NONBLOCK);
	keep_alive(connection);
	s->ev.upgraded(s->owner, &u);
	/* the descriptor is the connection itself: nothing is between us */
	if (r->daemon == &s->plain)
		tunnel_close(t);
}

bool
http_server_origin_ok(const struct http_call *c)
{
	const struct request *r = container_of(c, struct request, call);
	struct str rest = c->origin;

	if (rest.ptr == NULL || origin_allowed(r->server, c->origin))
		return true;
	/* our own pages, whatever proxy is in front */
	while (rest.len > 0 && !str_starts(rest, STR("://")))
		rest = (struct str){ rest.ptr + 1, rest.len - 1 };
	return rest.len > 3 &&
	    str_eq_nocase((struct str){ rest.ptr + 3, rest.len - 3 }, c->host);
}

struct visit {
	void (*each)(void *ctx, struct str name, struct str value);
	void *ctx;
};

static enum MHD_Result
visit_header(
    void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct visit *v = cls;

	(void)kind;
	v->each(v->ctx, str_of(key), value != NULL ? str_of(value) : STR(""));
	return MHD_YES;
}

void
http_server_headers(const struct http_call *c,
    void (*each)(void *ctx, struct str name, struct str value), void *ctx)
{
	const struct request *r = container_of(c, struct request, call);
	struct visit v = { each, ctx };

	MHD_get_connection_values(
	    r->connection, MHD_HEADER_KIND, visit_header, &v);
}

static enum MHD_Result
send_upgrade(struct request *r)
{
	struct http_server *s = r->server;
	struct http_call *c = &r->call;
	struct MHD_Response *resp;

	if (s->stopping)
		return send_error(r, 503, "err_rsc", "the server is ending");
	r->state = SEND;
	tallies_begin(s->tallies);
	c->route->handle(c);
	tallies_end(
	    s->tallies, c->route, c->status, clock_mono() - c->came_mono);
	if (c->status != 101)
		return send_call(r);
	resp = MHD_create_response_for_upgrade(on_upgraded, r);
	for (size_t i = 0; i < c->n_headers; i++)
		MHD_add_response_header(
		    resp, c->headers[i].name, c->headers[i].value.ptr);
	return send_response(r, 101, resp);
}

/* --- libmicrohttpd calls us ---------------------------------------------- */

/* The first that is heard of a request: its target as it came. */
static void *
on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
	struct daemon *d = cls;
	struct request *r = mem_new(struct request);

	r->server = d->server;
	r->daemon = d;
	r->connection = connection;
	r->late.fire = on_late;
	r->again.fire = on_again;
	r->done.run = on_worker_done;
	list_init(&r->waiting);
	r->call.target = arena_str(&r->call.arena, str_of(target));
	r->call.secure = d == &d->server->tls;
	return r;
}

static struct str
header(struct request *r, const char *name)
{
	return arena_str(&r->call.arena,
	    str_of(MHD_lookup_connection_value(
		r->connection, MHD_HEADER_KIND, name)));
}

struct auth_count {
	int n;
};

static enum MHD_Result
count_authorization(
    void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct auth_count *a = cls;

	(void)kind;
	(void)value;
	if (strcasecmp(key, "authorization") == 0)
		a->n++;
	return MHD_YES;
}

static struct str
remote_of(struct request *r)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	char host[INET6_ADDRSTRLEN] = "?", port[8] = "0";
	socklen_t len;

	if (info == NULL || info->client_addr == NULL)
		return STR("?");
	len = info->client_addr->sa_family == AF_INET6
	    ? sizeof(struct sockaddr_in6)
	    : sizeof(struct sockaddr_in);
	getnameinfo(info->client_addr, len, host, sizeof(host), port,
	    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	if (strncmp(host, "::ffff:", 7) == 0)
		return arena_printf(&r->call.arena, "%s:%s", host + 7, port);
	return arena_printf(&r->call.arena,
	    strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static void
look_at_headers(struct request *r, const char *method)
{
	struct http_call *c = &r->call;
	struct auth_count a = { 0 };
	struct str rest = c->target, path = str_cut(&rest, '?');

	c->came_at = clock_now();
	c->came_mono = clock_mono();
	c->method = arena_z(&c->arena, str_of(method));
	c->path = url_decode(&c->arena, path, false);
	c->query = url_form_parse(&c->arena, rest);
	c->content_type = header(r, "Content-Type");
	c->authorization = header(r, "Authorization");
	c->origin = header(r, "Origin");
	c->accept = header(r, "Accept");
	c->host = header(r, "Host");
	c->if_none_match = header(r, "If-None-Match");
	c->if_match = header(r, "If-Match");
	c->accept_encoding = header(r, "Accept-Encoding");
	c->cookie = header(r, "Cookie");
	c->fetch_site = header(r, "Sec-Fetch-Site");
	c->app = header(r, "X-Marram");
	c->thymis_token = header(r, "X-Thymis-Token");
	c->thymis_key = header(r, "X-Thymis-Ssh-Pubkey");
	c->remote = remote_of(r);
	MHD_get_connection_values(
	    r->connection, MHD_HEADER_KIND, count_authorization, &a);
	c->many_authorizations = a.n > 1;
}

/* Has the client shown a certificate that we trust? */
static bool
is_certified(struct request *r)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    r->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	unsigned status = 1;

	return info != NULL &&
	    gnutls_certificate_verify_peers2(info->tls_session, &status) == 0 &&
	    status == 0;
}

static enum MHD_Result
begin(struct request *r, const char *method)
{
	struct http_server *s = r->server;
	struct http_call *c = &r->call;
	struct str length, allowed;
	size_t parts = 0;
	uint64_t n;

	r->seen = true;
	if (c->secure && s->conf.tls_ca != NULL && !is_certified(r))
		return MHD_NO;
	look_at_headers(r, method);
	if (!c->secure && s->conf.one_port && s->cert != NULL)
		r->answer = send_to_tls;
	else if (strcmp(method, "OPTIONS") == 0)
		r->answer = send_preflight;
	else if (!router_find(&s->router, c, &allowed) && allowed.ptr != NULL) {
		http_header(c, "Allow", allowed);
		r->answer = send_no_method;
	} else if (c->route == NULL && s->ev.unmatched == NULL)
		r->answer = send_nothing_there;
	else if (c->route != NULL && c->route->flags & HTTP_UPGRADE)
		r->answer = send_upgrade;
	r->body_max = c->route != NULL && c->route->body_max > 0
	    ? c->route->body_max
	    : s->conf.body_max;
	if (s->ev.in_parts != NULL && r->answer == NULL)
		parts = s->ev.in_parts(s->owner, c);
	if (parts > 0) {
		r->in_parts = true;
		r->body_max = parts;
	}
	length = header(r, "Content-Length");
	if (length.ptr != NULL && str_to_u64(length, &n)) {
		/* a somewhat larger one is read and thrown away, so that its
		 * sender gets to read the answer */
		r->too_large = n > r->body_max;
		if (n / SWALLOW > r->body_max)
			return send_too_large(r);
	}
	return MHD_YES;
}

static enum MHD_Result
gathered(struct request *r)
{
	struct http_call *c = &r->call;

	if (r->too_large)
		return send_too_large(r);
	if (r->answer != NULL)
		return r->answer(r);
	if (r->refused) {
		r->state = SEND;
		return send_call(r);
	}
	c->body = buf_str(&r->body);
	if (r->server->ev.quick != NULL &&
	    r->server->ev.quick(r->server->owner, c)) {
		r->state = SEND;
		return send_call(r);
	}
	tallies_begin(r->server->tallies);
	if (!submit(r, run_call)) {
		tallies_undo(r->server->tallies);
		return send_error(
		    r, 503, "err_rsc", "too many requests wait; try again");
	}
	r->state = WORK;
	loop_after(r->server->loop, &r->late, r->server->conf.request_ms);
	suspend(r);
	return MHD_YES;
}

static void
give_part(struct request *r)
{
	if (!r->in_parts || r->too_large || r->refused || r->body.len < PART)
		return;
	r->call.body = buf_str(&r->body);
	r->in_part = true;
	if (submit(r, run_part)) {
		suspend(r);
		return;
	}
	r->in_part = false;
	r->refused = true;
	http_error(
	    &r->call, 503, "err_rsc", "too many requests wait; try again");
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *upload,
    size_t *upload_len, void **con_cls)
{
	struct request *r = *con_cls;

	(void)cls;
	(void)connection;
	(void)url;
	(void)version;
	if (!r->seen)
		return begin(r, method);
	if (r->in_part) /* of a chunk it gives more at once; it comes again */
		return MHD_YES;
	if (*upload_len > 0) {
		r->got += *upload_len;
		if (r->got / SWALLOW > r->body_max)
			return MHD_NO; /* chunks without end */
		if ((r->in_parts ? r->got : r->body.len + *upload_len) >
		    r->body_max)
			r->too_large = true;
		if (!r->too_large && !r->refused && r->answer == NULL)
			buf_add(&r->body, upload, *upload_len);
		*upload_len = 0;
		give_part(r);
		return MHD_YES;
	}
	switch (r->state) {
	case GATHER:
		return gathered(r);
	case SEND:
		return send_call(r);
	case LATE:
		return send_late(r);
	case WORK:
		break;
	}
	return MHD_YES;
}

static void
on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
    enum MHD_RequestTerminationCode how)
{
	struct request *r = *con_cls;

	(void)cls;
	(void)connection;
	(void)how;
	*con_cls = NULL;
	if (r == NULL)
		return;
	r->gone = true;
	if (!r->working)
		request_free(r);
}

/* We decode the path ourselves, once the route is to be found. */
static size_t
keep_escapes(void *cls, struct MHD_Connection *connection, char *s)
{
	(void)cls;
	(void)connection;
	return strlen(s);
}

/* --- start and end ------------------------------------------------------- */

struct http_server *
http_server_new(struct loop *loop, const struct http_server_conf *conf,
    const struct http_server_events *ev, void *owner)
{
	struct http_server *s = mem_new(struct http_server);

	s->loop = loop;
	s->conf = *conf;
	s->ev = *ev;
	s->owner = owner;
	s->tick.fire = on_tick;
	s->run.run = on_run;
	s->plain.server = s->tls.server = s;
	s->plain.io.ready = s->tls.io.ready = on_epoll;
	list_init(&s->waiting);
	list_init(&s->tunnels);
	return s;
}

void
http_server_add(struct http_server *s, const struct http_route *routes)
{
	router_add(&s->router, routes);
}

static int
start_daemon(struct daemon *d, uint16_t port, bool tls, struct err *err)
{
	const struct http_server_conf *conf = &d->server->conf;
	const union MHD_DaemonInfo *info;
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
	    MHD_ALLOW_UPGRADE | (tls ? MHD_USE_TLS : 0) |
	    (conf->one_port ? MHD_USE_NO_LISTEN_SOCKET : 0);
	struct MHD_OptionItem some[3] = { { MHD_OPTION_END, 0, NULL } };
	unsigned n = 0;
	int fd = -1, rc = 0;

	if (!conf->one_port) {
		rc = net_listen(conf->address, port, &d->port, &fd, err);
		if (rc != 0)
			return rc;
		some[n++] = (struct MHD_OptionItem){ MHD_OPTION_LISTEN_SOCKET,
			fd, NULL };
	}
	if (tls && conf->tls_ca != NULL)
		some[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_TRUST,
			0, (void *)conf->tls_ca };
	some[n].option = MHD_OPTION_END;
	d->mhd = MHD_start_daemon(flags, 0, NULL, NULL, on_request, d,
	    MHD_OPTION_URI_LOG_CALLBACK, on_target, d, MHD_OPTION_ARRAY, some,
	    MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)conf->max_connections,
	    MHD_OPTION_PER_IP_CONNECTION_LIMIT,
	    (unsigned)conf->max_connections_per_address,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)conf->idle_s,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
	    tls ? MHD_OPTION_HTTPS_CERT_CALLBACK2 : MHD_OPTION_END,
	    on_certificate, MHD_OPTION_END);
	if (d->mhd == NULL) {
		if (fd >= 0)
			close(fd);
		return err_set(err, ERR_IO, "the HTTP server did not start");
	}
	info = MHD_get_daemon_info(d->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	d->io.fd = info->epoll_fd;
	loop_watch(d->server->loop, &d->io, LOOP_READ);
	return 0;
}

/* The door hands over who has come. */
static void
on_came(void *owner, int fd, const struct sockaddr *address, socklen_t len,
    bool tls)
{
	struct http_server *s = owner;

	/* on failure it has closed the descriptor */
	(void)MHD_add_connection(
	    tls ? s->tls.mhd : s->plain.mhd, fd, address, len);
	loop_defer(s->loop, &s->run);
}

static int
open_door(struct http_server *s, struct err *err)
{
	struct http_door_conf door = { .tls = s->tls.mhd != NULL,
		.waiting = s->conf.max_connections,
		.wait_ms = (int64_t)s->conf.idle_s * 1000,
		.came = on_came,
		.owner = s };
	int rc = 0;

	if (s->conf.listening > 0)
		door.fd = s->conf.listening;
	else
		rc = net_listen(s->conf.address, s->conf.port, &s->plain.port,
		    &door.fd, err);
	if (rc != 0)
		return rc;
	if (door.tls)
		s->tls.port = s->plain.port;
	s->door = http_door_new(s->loop, &door);
	return 0;
}

int
http_server_start(struct http_server *s, struct err *err)
{
	int rc;

	s->tallies = tallies_new(http_server_routes(s));
	rc = start_daemon(&s->plain, s->conf.port, false, err);
	if (rc == 0 && s->conf.tls_cert != NULL && s->conf.tls_key != NULL) {
		rc = http_cert_new(
		    s->conf.tls_cert, s->conf.tls_key, &s->cert, err);
		if (rc != 0)
			return err_wrap(err, "the certificate of HTTPS");
		rc = start_daemon(&s->tls, s->conf.tls_port, true, err);
	}
	if (rc == 0 && s->conf.one_port)
		rc = open_door(s, err);
	if (rc == 0)
		set_tick(s);
	return rc;
}

int
http_server_certify(struct http_server *s, const char *tls_cert,
    const char *tls_key, struct err *err)
{
	return http_cert_replace(s->cert, tls_cert, tls_key, err);
}

uint16_t
http_server_port(const struct http_server *s)
{
	return s->plain.port;
}

uint16_t
http_server_tls_port(const struct http_server *s)
{
	return s->tls.port;
}

void
http_server_stop(struct http_server *s)
{
	if (s == NULL)
		return;
	s->stopping = true;
	http_door_free(s->door);
	s->door = NULL;
	LIST_EACH (r, &s->waiting, struct request, waiting) {
		loop_cancel(s->loop, &r->again);
		list_del(&r->waiting);
		resume(r);
	}
}

static void
stop_daemon(struct daemon *d)
{
	if (d->mhd == NULL)
		return;
	loop_unwatch(d->server->loop, &d->io);
	run_daemon(d); /* what was resumed is taken up, then ended */
	MHD_stop_daemon(d->mhd);
	d->mhd = NULL;
}

void
http_server_free(struct http_server *s)
{
	if (s == NULL)
		return;
	LIST_EACH (t, &s->tunnels, struct http_tunnel, link) {
		tunnel_close(t); /* freed when its owner has ended it */
		list_del(&t->link);
		t->server = NULL;
	}
	http_door_free(s->door);
	stop_daemon(&s->plain);
	stop_daemon(&s->tls);
	loop_cancel(s->loop, &s->tick);
	loop_undefer(s->loop, &s->run);
	http_cert_free(s->cert);
	router_fini(&s->router);
	tallies_free(s->tallies);
	free(s);
}

const struct http_route *const *
http_server_routes(const struct http_server *s)
{
	return (const struct http_route *const *)s->router.routes;
}

void
http_server_metrics(struct http_server *s, struct buf *out)
{
	tallies_write(s->tallies, out);
}

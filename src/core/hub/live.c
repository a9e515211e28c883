/*
 * core/hub/live.c - see live.h: the way in, and events shared out.
 */
#include "core/hub/live.h"

#include "base/mem.h"
#include "net/ws_upgrade.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROTOCOL "marram.v1"
#define CHECK_THREADS 2

/* --- the request, on the loop of the HTTP server ------------------------- */

struct request {
	struct ws_request ws;
	struct str protocols; /* all that were offered */
	struct arena *arena;
};

static void
take_header(void *ctx, struct str name, struct str value)
{
	struct request *r = ctx;

	ws_request_header(&r->ws, name, value);
	if (!str_eq_nocase(name, STR("Sec-WebSocket-Protocol")))
		return;
	r->protocols = r->protocols.ptr == NULL
	    ? value
	    : arena_printf(r->arena, STR_FMT "," STR_FMT, STR_ARG(r->protocols),
		  STR_ARG(value));
}

/* Browsers can not set headers: new WebSocket(url, ["marram.v1", token]). The
 * token is the one beside our own. */
static bool
read_protocols(struct str list, struct str *token)
{
	bool ours = false;

	while (list.ptr != NULL) {
		struct str one = str_trim(str_cut(&list, ','));

		if (str_eqz(one, PROTOCOL))
			ours = true;
		else if (one.len > 0)
			*token = one;
	}
	if (!ours)
		*token = STR_NULL;
	return ours;
}

/* STR_NULL: it comes as the first message. False: answered. */
static bool
find_token(struct http_call *c, struct request *r, struct str *token)
{
	struct str rest = c->authorization;

	*token = STR_NULL;
	if (read_protocols(r->protocols, token))
		http_header(c, "Sec-WebSocket-Protocol", STR(PROTOCOL));
	if (rest.ptr == NULL)
		return true;
	if (c->many_authorizations ||
	    !str_eq_nocase(str_cut(&rest, ' '), STR("Bearer"))) {
		http_error(c, 400, "err_param",
		    "Authorization: must be one bearer token");
		return false;
	}
	*token = str_trim(rest);
	return true;
}

static bool
is_full(const struct live *l)
{
	return l == NULL || l->n_conns >= l->conf->connections ||
	    l->n_logins >= l->conf->logins;
}

static void
handle(struct http_call *c)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct request r = { .ws = { .method = str_of(c->method),
				 .target = c->target,
				 .any_protocol = true },
		.arena = &c->arena };
	struct buf b = { 0 };
	struct str *token = arena_new(&c->arena, struct str);
	int status;

	http_server_headers(c, take_header, &r);
	status = ws_request_judge(&r.ws, NULL);
	if (status != 101) {
		http_error(c, status, "err_param",
		    "here events are followed by WebSocket, version 13");
		if (status == 426) {
			http_header(c, "Sec-WebSocket-Version", STR("13"));
			http_header(c, "Upgrade", STR("websocket"));
		}
		return;
	}
	if (!http_server_origin_ok(c)) {
		http_error(c, 403, "err_perm",
		    "pages of this origin may not use it; see "
		    "server.corsOrigins");
		return;
	}
	if (is_full(h->live)) {
		counter_add(&h->counters.live_refused, 1);
		http_error(c, 503, "err_rsc",
		    "too many follow already; try again later");
		return;
	}
	http_empty(c, 101);
	if (!find_token(c, &r, token))
		return;
	ws_accept(r.ws.key, &b);
	http_header(c, "Upgrade", STR("websocket"));
	http_header(c, "Sec-WebSocket-Accept", buf_str(&b));
	buf_free(&b);
	c->upgrade = token;
}

const struct http_route hub_live_rows[] = {
	{ "GET", "/ws", HTTP_OPEN, .scope = "ws.get", .handle = handle,
	    .flags = HTTP_UPGRADE,
	    .help = "A WebSocket that tells what happens to objects, and new "
		    "values. The token comes in Authorization, beside the "
		    "subprotocol marram.v1, or as the first message." },
	{ 0 },
};

/* --- crossing over ------------------------------------------------------- */

struct arrival {
	struct loop_post post;
	struct live *live;
	int fd;
	struct http_tunnel *tunnel;
	struct str token, already; /* owned */
};

static void
arrive(struct loop_post *p)
{
	struct arrival *a = container_of(p, struct arrival, post);

	if (a->live->ending) { /* nothing is counted any more */
		close(a->fd);
		http_tunnel_end(a->tunnel);
	} else {
		conn_new(a->live, a->fd, a->tunnel, a->token, a->already);
	}
	if (a->token.len > 0)
		explicit_bzero((char *)a->token.ptr, a->token.len);
	str_free(a->token);
	str_free(a->already);
	free(a);
}

bool
hub_upgraded(struct hub *h, const struct http_upgraded *u)
{
	struct arrival *a;

	if (u->route->handle != handle)
		return false;
	if (is_full(h->live)) { /* several came at once */
		counter_add(&h->counters.live_refused, 1);
		close(u->fd);
		http_tunnel_end(u->tunnel);
		return true;
	}
	atomic_fetch_add(&h->live->n_conns, 1);
	atomic_fetch_add(&h->live->n_logins, 1);
	a = mem_new(struct arrival);
	a->post.run = arrive;
	a->live = h->live;
	a->fd = u->fd;
	a->tunnel = u->tunnel;
	a->token = str_copy(*(const struct str *)u->call->upgrade);
	a->already = str_copy(u->already);
	loop_post(h->live->loop, &a->post);
	return true;
}

/* --- events as frames ---------------------------------------------------- */

struct live_event *
live_event_new(enum live_kind kind, uint64_t no)
{
	struct live_event *e = mem_new(struct live_event);

	e->kind = kind;
	e->no = no;
	return e;
}

struct live_event *
live_frame_new(enum websocket_opcode opcode, const void *payload, size_t len)
{
	const struct websocket_head h = {
		.opcode = opcode, .fin = true, .len = len
	};
	char head[WEBSOCKET_HEAD_MAX];
	size_t n = websocket_put(head, &h);
	struct live_event *e = mem_alloc(sizeof(*e) + n + len);

	e->kind = LIVE_OWN;
	e->len = n + len;
	memcpy(e->frame, head, n);
	if (len > 0)
		memcpy(e->frame + n, payload, len);
	return e;
}

void
live_unref(struct live_event *e)
{
	if (--e->refs == 0)
		free(e);
}

/* --- sharing out --------------------------------------------------------- */

static void
offer_to(struct live_topic *t, struct live_event *e)
{
	LIST_EACH (k, &t->links, struct live_link, link) {
		struct live_sub *s = k->sub;

		if (s->conn->seen != e->no && live_wants(&s->ask, &s->ids, e)) {
			s->conn->seen = e->no; /* once, not for each */
			conn_offer(s->conn, e);
		}
	}
}

static void
offer(struct live *l, struct live_event *e)
{
	struct str parts[LIVE_PARTS];

	e->no = ++l->last_event;
	live_parts(e->key, e->unit_id.len, e->entity_type.len, parts);
	for (int i = 0; i < LIVE_PARTS; i++) {
		struct live_topic *t = map_get(&l->topics, parts[i]);

		if (t != NULL)
			offer_to(t, e);
	}
}

static struct live_sub *
sub_of(struct live *l, const struct live_event *e)
{
	return map_get(
	    &l->subs, (struct str){ (const char *)&e->no, sizeof(e->no) });
}

static void
share(struct live *l, struct live_event *e)
{
	struct live_sub *s;

	if (e->kind == LIVE_EVENT) {
		offer(l, e);
		return;
	}
	s = sub_of(l, e);
	if (s == NULL)
		return; /* it was ended meanwhile */
	if (e->kind == LIVE_OPENED)
		conn_opened(s);
	else if (e->kind == LIVE_INITIAL)
		conn_initial(s, e);
	else
		conn_slice(s, e->n);
}

static void
all_have_missed(struct live *l, int64_t n)
{
	LIST_EACH (c, &l->conns, struct live_conn, link)
		if (c->n_subs > 0) {
			c->dropped += n;
			conn_settle_later(c);
		}
}

static void
take_batch(struct loop_post *p)
{
	struct live_batch *b = container_of(p, struct live_batch, post);
	struct live *l = b->live;
	struct live_event *e, *next;

	if (b->dropped > 0)
		all_have_missed(l, b->dropped);
	for (e = b->first; e != NULL; e = next) {
		next = e->next;
		e->refs = 1;
		if (!l->ending)
			share(l, e);
		live_unref(e);
	}
	atomic_fetch_sub(&l->backlog, (int64_t)b->bytes);
	free(b);
	live_settle(l);
}

void
live_settle(struct live *l)
{
	while (!list_empty(&l->dirty))
		conn_settle(list_first(&l->dirty, struct live_conn, dirty));
}

void
live_give(struct live *l, struct live_batch *b)
{
	b->live = l;
	b->post.run = take_batch;
	loop_post(l->loop, &b->post);
}

/* --- its life ------------------------------------------------------------ */

struct live *
live_new(struct hub *h)
{
	struct live *l = mem_new(struct live);

	l->hub = h;
	l->conf = &h->conf.live;
	l->counters = &h->counters;
	l->loop = loop_new();
	list_init(&l->conns);
	list_init(&l->dirty);
	l->inspect = inspect_new(l);
	return l;
}

static void *
run(void *arg)
{
	struct live *l = arg;

	pthread_setname_np(pthread_self(), "live");
	loop_run(l->loop);
	return NULL;
}

int
live_start(struct live *l, struct err *err)
{
	if (l->conf->connections == 0)
		return 0;
	l->checks = worker_pool_new(
	    "live-check", CHECK_THREADS, (size_t)l->conf->connections * 2);
	if (pthread_create(&l->thread, NULL, run, l) != 0)
		return err_set(err, ERR_IO, "start a thread");
	l->running = true;
	return 0;
}

static void
on_end(struct loop_post *p)
{
	struct live *l = container_of(p, struct live, end_post);

	l->ending = true;
	LIST_EACH (c, &l->conns, struct live_conn, link)
		conn_away(c);
	loop_stop(l->loop);
}

void
live_stop(struct live *l)
{
	if (!l->running)
		return;
	l->running = false;
	l->end_post.run = on_end;
	loop_post(l->loop, &l->end_post);
	pthread_join(l->thread, NULL);
	worker_pool_free(l->checks);
	l->checks = NULL;
}

void
live_free(struct live *l)
{
	if (l == NULL)
		return;
	live_stop(l);
	worker_pool_free(l->checks);
	inspect_free(l->inspect);
	loop_free(l->loop);
	map_fini(&l->topics);
	map_fini(&l->subs);
	free(l);
}

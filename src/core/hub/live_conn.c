/*
 * core/hub/live_conn.c - one connection to /ws.
 *
 *            token good             rule broken, token ended, bye
 *    LOGIN ─────────────► OPEN ──────────────────────────────────► CLOSING
 *      │                   │                                         │
 *      │ late, no token    │ silent for too long, socket broken      │ EOF, or
 *      └──► CLOSING        └──────────────► DEAD ◄───────────────────┘ 2 s
 *
 * What happens to a connection changes its state and queue; conn_settle(),
 * called at the end of it, sends, reads on, and frees a DEAD one.
 *
 *  (1) A message is looked at when the one before it was answered: none while a
 *      check is under way, none while the queue is full. Then nothing is read.
 *  (2) The queue is in the order in which things happened. When it is long, the
 *      newest state of an object takes the place of an older one by going to
 *      the end; not across its deletion or creation, which stay.
 *  (3) When it is full, events are dropped until half of it is sent; then the
 *      client is told how many.
 */
#include "core/hub/live.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_MAX 16384
#define IOVS_MAX 64
#define CLOSING_MS 2000
#define UNSENT_MAX 65536 /* bytes that the kernel holds back */
#define TRY_EVERY 65536  /* bytes added to a long queue */

/* Codes of our own for closing. */
#define CLOSE_TOKEN 4401 /* none, wrong, or ended */

struct entry {
	struct list link;
	struct live_event *event; /* referred to */
	bool mapped;
};

static bool send_some(struct live_conn *c);

/* --- the queue ----------------------------------------------------------- */

/* What an event costs a queue, with all around it. */
static size_t
cost(const struct live_event *e)
{
	return sizeof(struct entry) + sizeof(*e) + e->len;
}

/* From here on it is long. */
static size_t
quarter(const struct live_conn *c)
{
	return (size_t)c->live->conf->queue_max / 4;
}

static void
entry_free(struct live_conn *c, struct entry *q)
{
	if (q->mapped && map_get(&c->keys, q->event->key) == q)
		map_del(&c->keys, q->event->key);
	c->bytes -= cost(q->event);
	list_del(&q->link);
	live_unref(q->event);
	free(q);
}

static void
push(struct live_conn *c, struct live_event *e)
{
	struct entry *q = mem_new(struct entry);

	e->refs++;
	q->event = e;
	if (e->kind == LIVE_EVENT &&
	    (c->bytes >= quarter(c) || c->keys.n > 0)) {
		q->mapped = true;
		map_put(&c->keys, e->key, q);
	}
	list_add(&c->queue, &q->link);
	c->bytes += cost(e);
	counter_add(&c->live->counters->live_sent, 1);
	conn_settle_later(c);
}

/* Its older state that waits, if nothing of it is sent yet. */
static struct entry *
older(struct live_conn *c, const struct live_event *e)
{
	struct entry *q;

	if (!e->updated || e->kind != LIVE_EVENT || c->keys.n == 0)
		return NULL;
	q = map_get(&c->keys, e->key);
	if (q == NULL || !q->event->updated ||
	    (c->at > 0 && c->queue.next == &q->link))
		return NULL;
	return q;
}

/* Much happens at once: some of it leaves before the rest is looked at. */
static void
make_room(struct live_conn *c)
{
	if (c->bytes < MAX_OF(c->try_at, quarter(c)))
		return;
	c->blocked = false;
	while (!c->blocked && send_some(c))
		;
	c->try_at = c->bytes + TRY_EVERY;
}

void
conn_offer(struct live_conn *c, struct live_event *e)
{
	struct hub_counters *counters = c->live->counters;
	size_t max = (size_t)c->live->conf->queue_max;
	struct entry *old;
	size_t less;

	if (c->state != CONN_OPEN)
		return;
	make_room(c);
	if (c->state != CONN_OPEN)
		return; /* its socket is broken */
	old = older(c, e);
	less = old != NULL ? cost(old->event) : 0;
	/* a single one may be as large as it likes */
	if ((c->bytes > less && c->bytes - less + cost(e) > max) ||
	    (c->dropped > 0 && old == NULL)) {
		c->dropped++;
		counter_add(&counters->live_dropped, 1);
		return;
	}
	if (old != NULL) {
		entry_free(c, old);
		counter_add(&counters->live_coalesced, 1);
	}
	push(c, e);
}

/* A frame for it alone; never dropped, as (1) bounds them. */
static void
push_frame(struct live_conn *c, enum websocket_opcode opcode, const void *p,
    size_t len)
{
	if (!c->shut)
		push(c, live_frame_new(opcode, p, len));
}

/* --- what it is told ----------------------------------------------------- */

struct answer {
	struct buf text;
	struct json_out o;
};

static void
answer_begin(struct answer *a, const char *type, struct str id)
{
	a->text = (struct buf){ 0 };
	json_out_init(&a->o, &a->text, false);
	json_out_object(&a->o);
	json_out_key(&a->o, "type");
	json_out_str(&a->o, str_of(type));
	if (id.ptr == NULL)
		return;
	json_out_key(&a->o, "id");
	json_out_str(&a->o, id);
}

static void
answer_end(struct answer *a, struct live_conn *c)
{
	json_out_end_object(&a->o);
	push_frame(c, WEBSOCKET_TEXT, a->text.ptr, a->text.len);
	buf_free(&a->text);
}

static void
tell(struct live_conn *c, const char *type, struct str id)
{
	struct answer a;

	answer_begin(&a, type, id);
	answer_end(&a, c);
}

static void
tell_count(struct live_conn *c, const char *type, struct str id,
    const char *key, int64_t n)
{
	struct answer a;

	answer_begin(&a, type, id);
	json_out_key(&a.o, key);
	json_out_int(&a.o, n);
	answer_end(&a, c);
}

static void
tell_error(
    struct live_conn *c, struct str id, struct str code, struct str message)
{
	struct answer a;

	answer_begin(&a, "error", id);
	json_out_key(&a.o, "code");
	json_out_str(&a.o, code);
	if (message.ptr != NULL) {
		json_out_key(&a.o, "message");
		json_out_str(&a.o, message);
	}
	answer_end(&a, c);
}

/* --- subscriptions ------------------------------------------------------- */

static struct str
number(const struct live_sub *s)
{
	return (struct str){ (const char *)&s->no, sizeof(s->no) };
}

static struct live_sub *
sub_find(struct live_conn *c, struct str id)
{
	LIST_EACH (s, &c->subs, struct live_sub, link)
		if (str_eq(s->ask.id, id))
			return s;
	return NULL;
}

static void
sub_new(struct live_conn *c, const struct live_ask *ask, struct strs roots)
{
	struct live_sub *s = mem_new(struct live_sub);
	struct live *l = c->live;

	s->conn = c;
	s->no = ++l->last_no;
	live_ask_copy(&s->arena, &s->ask, ask);
	for (size_t i = 0; i < s->ask.quick_ids.n; i++)
		map_put(&s->ids, s->ask.quick_ids.at[i], s);
	list_add(&c->subs, &s->link);
	c->n_subs++;
	map_put(&l->subs, number(s), s);
	counter_add(&l->counters->live_subscriptions, 1);
	if (s->ask.topics.n == 0) {
		feed_open(l->hub, s->no, &s->ask);
		return;
	}
	s->roots = arena_strs(&s->arena, roots);
	tell(c, "subscribed", s->ask.id);
	inspect_open(s);
}

static void
link_to(struct live_sub *s, struct str key)
{
	struct live_link *k = &s->links[s->n_links++];
	struct map *topics = &s->conn->live->topics;
	struct live_topic *t = map_get(topics, key);

	if (t == NULL) {
		t = mem_new(struct live_topic);
		t->key = str_copy(key);
		list_init(&t->links);
		map_put(topics, t->key, t);
	}
	k->sub = s;
	k->topic = t;
	list_add(&t->links, &k->link);
}

static void
unlink_from(struct live_link *k)
{
	struct live_topic *t = k->topic;

	list_del(&k->link);
	if (!list_empty(&t->links))
		return;
	map_del(&k->sub->conn->live->topics, t->key);
	str_free(t->key);
	free(t);
}

static void
sub_free(struct live_sub *s)
{
	struct live *l = s->conn->live;

	if (s->ask.topics.n > 0)
		inspect_close(s);
	else
		feed_close(l->hub, s->no);
	for (size_t i = 0; i < s->n_links; i++)
		unlink_from(&s->links[i]);
	map_del(&l->subs, number(s));
	list_del(&s->link);
	s->conn->n_subs--;
	counter_add(&l->counters->live_subscriptions, -1);
	map_fini(&s->ids);
	arena_fini(&s->arena);
	free(s);
}

void
conn_opened(struct live_sub *s)
{
	const struct strs keys = live_keys(&s->arena, &s->ask);

	s->links = arena_array(&s->arena, keys.n, struct live_link);
	for (size_t i = 0; i < keys.n; i++)
		link_to(s, keys.at[i]);
	tell(s->conn, "subscribed", s->ask.id);
}

void
conn_initial(struct live_sub *s, struct live_event *e)
{
	if (!live_wants(&s->ask, &s->ids, e))
		return;
	s->n_initial++;
	conn_offer(s->conn, e);
}

void
conn_slice(struct live_sub *s, int n)
{
	if (n == SLICE_TOO_MANY)
		tell_error(s->conn, s->ask.id, STR("err_limit"),
		    STR("there are more fields than hub.live.initialMax; ask "
			"for those of one unit, or by quickIds"));
	else if (n == SLICE_END)
		tell_count(
		    s->conn, "initial", s->ask.id, "count", s->n_initial);
	else
		s->ready = true;
	conn_settle_later(s->conn);
}

bool
conn_has_room(const struct live_conn *c)
{
	return c->state == CONN_OPEN && c->bytes <= quarter(c);
}

void
conn_messages(struct live_sub *s, struct str messages, int64_t left)
{
	struct answer a;

	answer_begin(&a, "messages", s->ask.id);
	json_out_key(&a.o, "left");
	json_out_int(&a.o, left);
	json_out_key(&a.o, "data");
	buf_addc(&a.text, '[');
	buf_add_str(&a.text, messages);
	buf_addc(&a.text, ']');
	answer_end(&a, s->conn);
}

/* What waited for room in the queue. */
static void
catch_up(struct live_conn *c)
{
	size_t max = (size_t)c->live->conf->queue_max;

	if (c->state != CONN_OPEN)
		return;
	if (c->dropped > 0 && c->bytes <= max / 2) {
		int64_t n = c->dropped;

		c->dropped = 0;
		tell_count(c, "lagged", STR_NULL, "dropped", n);
	}
	if (c->bytes > quarter(c))
		return;
	LIST_EACH (s, &c->subs, struct live_sub, link)
		if (s->ready) {
			s->ready = false;
			feed_more(c->live->hub, s->no);
			return; /* one after the other */
		}
}

/* --- its end ------------------------------------------------------------- */

static void
forget_subs(struct live_conn *c)
{
	LIST_EACH (s, &c->subs, struct live_sub, link)
		sub_free(s);
}

static void
login_over(struct live_conn *c)
{
	if (c->logging_in)
		atomic_fetch_sub(&c->live->n_logins, 1);
	c->logging_in = false;
}

/* The close frame is the last one that it gets. */
static void
conn_close(struct live_conn *c, int code)
{
	const char payload[2] = { (char)(code >> 8), (char)code };

	if (c->state >= CONN_CLOSING)
		return;
	login_over(c);
	c->state = CONN_CLOSING;
	forget_subs(c);
	if (c->check != NULL)
		c->check->conn = NULL;
	c->check = NULL;
	push_frame(c, WEBSOCKET_CLOSE, payload,
	    code == WEBSOCKET_NO_CODE ? 0 : sizeof(payload));
	c->shut = true;
	loop_cancel(c->live->loop, &c->recheck);
	loop_after(c->live->loop, &c->life, CLOSING_MS);
	conn_settle_later(c);
}

/* Events that wait are of no use to whom we part with in anger. */
static void
drop_queue(struct live_conn *c)
{
	LIST_EACH (q, &c->queue, struct entry, link)
		if (c->at == 0 || c->queue.next != &q->link)
			entry_free(c, q);
}

static void
deny(struct live_conn *c, struct str code, struct str message)
{
	counter_add(&c->live->counters->live_denied, 1);
	drop_queue(c);
	tell_error(c, STR_NULL, code, message);
	conn_close(c, CLOSE_TOKEN);
}

static void
conn_free(struct live_conn *c)
{
	struct live *l = c->live;

	login_over(c);
	c->state = CONN_DEAD;
	forget_subs(c);
	if (c->check != NULL)
		c->check->conn = NULL;
	LIST_EACH (q, &c->queue, struct entry, link)
		entry_free(c, q);
	loop_unwatch(l->loop, &c->io);
	loop_cancel(l->loop, &c->life);
	loop_cancel(l->loop, &c->recheck);
	list_del(&c->dirty);
	list_del(&c->link);
	close(c->fd);
	http_tunnel_end(c->tunnel);
	ws_text_fini(&c->in);
	map_fini(&c->keys);
	if (c->token.len > 0)
		explicit_bzero((char *)c->token.ptr, c->token.len);
	str_free(c->token);
	str_free(c->user_id);
	str_free(c->account);
	atomic_fetch_sub(&l->n_conns, 1);
	counter_add(&l->counters->live_connections, -1);
	free(c);
}

/* --- messages ------------------------------------------------------------ */

#define TOO_BUSY STR("too much is to be looked up; try again")

static void
begin_login(struct live_conn *c, struct str token)
{
	if (check_start(check_new(c, CHECK_LOGIN, token)))
		return;
	if (c->state == CONN_LOGIN)
		deny(c, STR("err_rsc"), TOO_BUSY);
	else
		tell_error(c, STR_NULL, STR("err_rsc"), TOO_BUSY);
}

static void
begin_subscribe(struct live_conn *c, const struct live_ask *ask)
{
	struct live_check *k;

	if (sub_find(c, ask->id) != NULL) {
		tell_error(c, ask->id, STR("err_exist"),
		    STR("there is such a subscription; unsubscribe it first"));
		return;
	}
	if (c->n_subs >= (size_t)c->live->conf->subscriptions) {
		tell_error(c, ask->id, STR("err_limit"),
		    STR("too many subscriptions; see "
			"hub.live.subscriptions"));
		return;
	}
	k = check_new(c, CHECK_SUBSCRIBE, c->token);
	live_ask_copy(&k->arena, &k->ask, ask);
	if (k->ask.unit.ptr == NULL)
		k->ask.unit = STR("");
	k->units = (struct strs){ &k->ask.unit, 1 };
	if (!check_start(k))
		tell_error(c, ask->id, STR("err_rsc"), TOO_BUSY);
}

static void
unsubscribe(struct live_conn *c, struct str id)
{
	struct live_sub *s = sub_find(c, id);

	if (s == NULL) {
		tell_error(c, id, STR("err_not_found"),
		    STR("there is no such subscription"));
		return;
	}
	sub_free(s);
	tell(c, "unsubscribed", id);
}

static void
obey(struct live_conn *c, const struct live_ask *ask)
{
	if (ask->verb == LIVE_AUTH)
		begin_login(c, ask->token);
	else if (c->state == CONN_LOGIN)
		deny(c, STR("err_auth"),
		    STR("the first message must be {\"type\":\"auth\","
			"\"token\":\"...\"}"));
	else if (ask->verb == LIVE_SUBSCRIBE)
		begin_subscribe(c, ask);
	else if (ask->verb == LIVE_UNSUBSCRIBE)
		unsubscribe(c, ask->id);
	else
		tell(c, "pong", ask->id);
}

static void
on_message(struct live_conn *c, struct str text)
{
	struct arena a = { 0 };
	struct live_ask ask;
	struct err err;

	if (live_ask_read(text, &a, &ask, &err) == 0)
		obey(c, &ask);
	else if (c->state == CONN_LOGIN)
		deny(c, STR("err_param"), str_of(err.text));
	else
		tell_error(c, ask.id, STR("err_param"), str_of(err.text));
	arena_fini(&a);
}

static void
on_close(struct live_conn *c, struct str payload)
{
	int code = websocket_close_code(payload);

	drop_queue(c);
	conn_close(c, code < 0 ? -code : code);
}

/* Looks at what has come; true when there was something. */
static bool
take(struct live_conn *c)
{
	size_t max = (size_t)c->live->conf->queue_max;
	bool any = false;

	while (c->state < CONN_CLOSING && c->check == NULL && c->bytes <= max) {
		enum websocket_opcode kind;
		struct str payload;
		int rc = ws_text_next(&c->in, &kind, &payload);

		if (rc < 0)
			conn_close(c, -rc);
		if (rc <= 0)
			break;
		any = true;
		if (kind == WEBSOCKET_TEXT)
			on_message(c, payload);
		else if (kind == WEBSOCKET_PING)
			push_frame(c, WEBSOCKET_PONG, payload.ptr, payload.len);
		else if (kind == WEBSOCKET_CLOSE)
			on_close(c, payload);
	}
	return any;
}

/* --- what checks have found ---------------------------------------------- */

static struct str
message_of(const struct live_check *k)
{
	if (k->message.ptr == NULL && k->status == 401)
		return STR("the token is not valid, or not any more");
	return k->message;
}

static void
logged_in(struct live_conn *c, struct live_check *k)
{
	struct answer a;

	if (c->user_id.ptr != NULL && !str_eq(c->user_id, k->user_id)) {
		tell_error(c, STR_NULL, STR("err_perm"),
		    STR("it is another user's token; connect anew"));
		return;
	}
	if (c->token.len > 0)
		explicit_bzero((char *)c->token.ptr, c->token.len);
	str_free(c->token);
	c->token = str_copy(k->token);
	if (c->state == CONN_LOGIN) {
		login_over(c);
		c->state = CONN_OPEN;
		c->user_id = str_copy(k->user_id);
		c->account = str_copy(k->account);
		loop_after(c->live->loop, &c->life, c->live->conf->ping_ms);
		loop_after(c->live->loop, &c->recheck, c->live->conf->check_ms);
	}
	answer_begin(&a, "authenticated", STR_NULL);
	json_out_key(&a.o, "account");
	json_out_str(&a.o, c->account);
	answer_end(&a, c);
}

static void
subscribe_checked(struct live_conn *c, struct live_check *k)
{
	if (k->may[0])
		sub_new(c, &k->ask, k->roots);
	else if (k->ask.unit.len == 0)
		tell_error(c, k->ask.id, STR("err_param"),
		    STR("missing `unit`: only administrators may leave it "
			"out"));
	else
		tell_error(c, k->ask.id, STR("err_hub_unit_not_exist"),
		    STR("there is no such unit, or you may not read it"));
}

/* Who is no member any more hears nothing more. */
static void
checked_again(struct live_conn *c, struct live_check *k)
{
	LIST_EACH (s, &c->subs, struct live_sub, link)
		for (size_t i = 0; i < k->units.n; i++)
			if (!k->may[i] && str_eq(k->units.at[i], s->ask.unit)) {
				tell_error(c, s->ask.id,
				    STR("err_hub_unit_not_exist"),
				    STR("you may not read the unit any more; "
					"the subscription has ended"));
				sub_free(s);
				break;
			}
}

static void
refused(struct live_conn *c, struct live_check *k)
{
	bool passing = k->status >= 500; /* the store, not the token */

	if (k->kind == CHECK_AGAIN && passing)
		return; /* it is asked again soon */
	if (c->state == CONN_OPEN && (k->kind == CHECK_LOGIN || passing))
		tell_error(c, k->ask.id, k->code, message_of(k));
	else
		deny(c, k->code, message_of(k));
}

static void
check_again(struct live_conn *c)
{
	struct live_check *k = check_new(c, CHECK_AGAIN, c->token);

	c->check_due = false;
	check_units(k, c);
	(void)check_start(k); /* or at the next time */
}

void
conn_checked(struct live_conn *c, struct live_check *k)
{
	c->check = NULL;
	if (k->status != 200)
		refused(c, k);
	else if (k->kind == CHECK_LOGIN)
		logged_in(c, k);
	else if (k->kind == CHECK_SUBSCRIBE)
		subscribe_checked(c, k);
	else
		checked_again(c, k);
	if (c->check_due && c->state == CONN_OPEN)
		check_again(c);
	conn_settle(c);
}

/* --- the socket ---------------------------------------------------------- */

/* Forgets `n` bytes in front of the queue. */
static void
sent(struct live_conn *c, size_t n)
{
	c->at += n;
	while (!list_empty(&c->queue)) {
		struct entry *q = list_first(&c->queue, struct entry, link);

		if (c->at < q->event->len)
			return;
		c->at -= q->event->len;
		entry_free(c, q);
	}
}

/* Sends some of the queue; false: that was all, or is for now. */
static bool
send_some(struct live_conn *c)
{
	struct iovec iov[IOVS_MAX];
	int n = 0;
	ssize_t len;

	LIST_EACH (q, &c->queue, struct entry, link) {
		size_t skip = n == 0 ? c->at : 0;

		iov[n].iov_base = q->event->frame + skip;
		iov[n++].iov_len = q->event->len - skip;
		if (n == IOVS_MAX)
			break;
	}
	if (n == 0)
		return false;
	len = writev(c->fd, iov, n);
	if (len >= 0) {
		sent(c, (size_t)len);
		return true;
	}
	if (errno == EAGAIN)
		c->blocked = true;
	else if (errno != EINTR)
		c->state = CONN_DEAD;
	return false;
}

static void
on_read(struct live_conn *c)
{
	char buf[READ_MAX];
	ssize_t n = read(c->fd, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c, WEBSOCKET_NO_CODE);
		c->state = CONN_DEAD;
		return;
	}
	c->heard = clock_mono();
	if (c->state < CONN_CLOSING)
		ws_text_put(&c->in, buf, (size_t)n);
	explicit_bzero(buf, (size_t)n); /* there may be a token in it */
}

static void
on_ready(struct loop_io *io, unsigned what)
{
	struct live_conn *c = container_of(io, struct live_conn, io);

	if (what & LOOP_WRITE) {
		if (c->blocked) /* it has taken what was sent before */
			c->heard = clock_mono();
		c->blocked = false;
	}
	if (what & LOOP_READ)
		on_read(c);
	conn_settle(c);
}

static void
watch(struct live_conn *c)
{
	unsigned events = 0;

	if (c->state == CONN_CLOSING ||
	    (c->check == NULL && c->bytes <= (size_t)c->live->conf->queue_max))
		events |= LOOP_READ;
	if (!list_empty(&c->queue))
		events |= LOOP_WRITE;
	loop_watch(c->live->loop, &c->io, events);
}

void
conn_settle(struct live_conn *c)
{
	bool more = true;

	while (more && c->state != CONN_DEAD) {
		while (!c->blocked && send_some(c))
			;
		more = take(c);
		catch_up(c);
		more |= !c->blocked && !list_empty(&c->queue);
	}
	c->try_at = 0;
	list_del(&c->dirty);
	if (c->state == CONN_DEAD) {
		conn_free(c);
		return;
	}
	if (c->state == CONN_CLOSING && list_empty(&c->queue))
		(void)shutdown(c->fd, SHUT_WR); /* the peer closes now */
	watch(c);
}

void
conn_settle_later(struct live_conn *c)
{
	if (list_empty(&c->dirty))
		list_add(&c->live->dirty, &c->dirty);
}

/* --- time ---------------------------------------------------------------- */

static void
on_life(struct loop_timer *t)
{
	struct live_conn *c = container_of(t, struct live_conn, life);
	int64_t ping = c->live->conf->ping_ms;

	if (c->state == CONN_LOGIN) {
		deny(c, STR("err_auth"), STR("no token has come in time"));
	} else if (c->state == CONN_CLOSING) {
		c->state = CONN_DEAD;
	} else if (clock_mono() - c->heard >= 2 * ping) {
		counter_add(&c->live->counters->live_dead, 1);
		c->state = CONN_DEAD;
	} else {
		push_frame(c, WEBSOCKET_PING, NULL, 0);
		loop_after(c->live->loop, &c->life, ping);
	}
	conn_settle(c);
}

static void
on_recheck(struct loop_timer *t)
{
	struct live_conn *c = container_of(t, struct live_conn, recheck);

	loop_after(c->live->loop, &c->recheck, c->live->conf->check_ms);
	c->check_due = c->check != NULL;
	if (!c->check_due)
		check_again(c);
}

void
conn_away(struct live_conn *c)
{
	drop_queue(c);
	conn_close(c, WEBSOCKET_AWAY);
	while (send_some(c))
		;
	conn_free(c);
}

void
conn_new(struct live *l, int fd, struct http_tunnel *tunnel, struct str token,
    struct str already)
{
	struct live_conn *c = mem_new(struct live_conn);
	int unsent = UNSENT_MAX, one = 1;

	/* on the inner end of a TLS connection these have no effect */
	(void)setsockopt(
	    fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->live = l;
	c->fd = fd;
	c->tunnel = tunnel;
	c->io.fd = fd;
	c->io.ready = on_ready;
	c->life.fire = on_life;
	c->recheck.fire = on_recheck;
	c->in.max = (size_t)l->conf->message_max;
	c->heard = clock_mono();
	c->logging_in = true;
	list_init(&c->queue);
	list_init(&c->subs);
	list_init(&c->dirty);
	list_add(&l->conns, &c->link);
	counter_add(&l->counters->live_connections, 1);
	if (already.len > 0)
		ws_text_put(&c->in, already.ptr, already.len);
	loop_after(l->loop, &c->life, l->conf->login_ms);
	if (token.ptr != NULL)
		begin_login(c, token);
	conn_settle(c);
}

/*
 * net/mqtt/client.c - see client.h for the promises; this is how they are kept.
 *
 *           start             connected             CONNACK 0
 *    IDLE --------> CONNECTING -------> GREETING -----------> ONLINE
 *                     |     ^              |                    |
 *                fail |     | retry timer  | refused, EOF       | EOF, silence,
 *                     v     |              v                    | bad packet
 *                    WAITING <-------------+--------------------+
 *
 * Any state goes to IDLE by mqtt_client_stop(). What holds in each:
 *
 *    IDLE         no descriptor, no timer
 *    CONNECTING   descriptor open, watched for writing; `timer` bounds it
 *    GREETING     CONNECT is sent; `timer` bounds the wait for CONNACK
 *    ONLINE       `timer` sends PINGREQ, and ends a silent connection
 *    WAITING      no descriptor, `timer` runs
 *
 * `waiting` holds QoS 1 messages in order: first those with a packet id, sent
 * and unanswered, then those without. After a break all are sent again.
 */
#include "net/mqtt/client.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/mqtt.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING_MS 30000 /* to connect, and to be answered */
#define READ_CHUNK 16384
#define OUT_MAX (1u << 20) /* unsent bytes beyond which we wait */

enum state { IDLE, CONNECTING, GREETING, ONLINE, WAITING };

struct outgoing {
	struct list link;
	struct str topic, payload; /* owned */
	uint8_t qos;
	bool retain;
	bool sent; /* once at least */
	uint16_t id;
	mqtt_client_done *done;
	void *ctx;
};

struct subscription {
	struct list link;
	struct str filter; /* owned */
	struct str inner;  /* without $share/GROUP/, within filter */
	uint8_t qos;
	uint16_t id; /* of the SUBSCRIBE that awaits its SUBACK, or 0 */
	bool dead;   /* unsubscribed while messages are being told */
	mqtt_client_heard *heard;
	void *ctx;
};

struct mqtt_client {
	struct loop *loop;
	const struct mqtt_client_events *events;
	void *owner;
	struct mqtt_client_conf conf;
	struct sockaddr_storage peer;
	socklen_t peer_len;

	enum state state;
	bool freed; /* by a callback; the memory goes when the turn is over */
	struct loop_io io;
	struct loop_timer timer;
	struct loop_defer flush;
	uint32_t delay_ms;
	int64_t heard_ms;
	bool pinged;
	bool blocked;
	unsigned epoch; /* counts connections */

	struct buf in, out;
	size_t out_sent;

	struct list waiting; /* QoS 1 */
	uint32_t n_waiting, n_inflight;
	struct list told; /* QoS 0, written; `done` is due */
	struct list subs;
	unsigned telling; /* depth of callbacks that walk `subs` */
	uint16_t next_id;
};

static void connect_now(struct mqtt_client *c);

/* --- state --------------------------------------------------------------- */

static void
enter(struct mqtt_client *c, enum state next)
{
	if (c->io.fd >= 0 && (next == IDLE || next == WAITING)) {
		loop_unwatch(c->loop, &c->io);
		close(c->io.fd);
		c->io.fd = -1;
		c->epoch++;
	}
	loop_cancel(c->loop, &c->timer);
	c->state = next;
}

static void
retry_later(struct mqtt_client *c)
{
	enter(c, WAITING);
	buf_clear(&c->in);
	buf_clear(&c->out);
	c->out_sent = 0;
	c->blocked = false;
	c->n_inflight = 0;
	LIST_EACH (o, &c->waiting, struct outgoing, link)
		o->id = 0;
	LIST_EACH (s, &c->subs, struct subscription, link)
		s->id = 0;
	loop_after(c->loop, &c->timer, c->delay_ms);
	c->delay_ms = c->delay_ms < c->conf.retry_max_ms / 2
	    ? c->delay_ms * 2
	    : c->conf.retry_max_ms;
}

static void
lost(struct mqtt_client *c, const struct err *why)
{
	retry_later(c);
	if (c->events != NULL && c->events->down != NULL)
		c->events->down(c->owner, why);
}

static void
lost_because(struct mqtt_client *c, int code, const char *what)
{
	struct err why;

	(void)err_set(&why, code, "%s", what);
	lost(c, &why);
}

/* --- out ----------------------------------------------------------------- */

static void
wake(struct mqtt_client *c)
{
	if (c->state == GREETING || c->state == ONLINE)
		loop_defer(c->loop, &c->flush);
}

static void
outgoing_free(struct outgoing *o)
{
	list_del(&o->link);
	str_free(o->topic);
	str_free(o->payload);
	free(o);
}

/* An id that no message and no SUBSCRIBE has. There are fewer than 65535. */
static uint16_t
new_id(struct mqtt_client *c)
{
	bool used;

	do {
		if (++c->next_id == 0)
			c->next_id = 1;
		used = false;
		LIST_EACH (o, &c->waiting, struct outgoing, link) {
			if (o->id == 0)
				break;
			used |= o->id == c->next_id;
		}
		LIST_EACH (s, &c->subs, struct subscription, link)
			used |= s->id == c->next_id;
	} while (used);
	return c->next_id;
}

static void
put_publish(struct mqtt_client *c, struct outgoing *o)
{
	(void)mqtt_put_publish(&c->out,
	    (struct mqtt_publish_flags){ .qos = o->qos,
		.dup = o->qos > 0 && o->sent,
		.retain = o->retain,
		.id = o->id },
	    o->topic, o->payload);
	o->sent = true;
}

/* Puts out what waits, as far as the window allows. */
static void
pump(struct mqtt_client *c)
{
	LIST_EACH (o, &c->waiting, struct outgoing, link) {
		if (c->n_inflight >= c->conf.max_inflight ||
		    c->out.len - c->out_sent > OUT_MAX)
			return;
		if (o->id != 0)
			continue;
		o->id = new_id(c);
		c->n_inflight++;
		put_publish(c, o);
	}
}

static bool
write_out(struct mqtt_client *c)
{
	while (!c->blocked && c->out_sent < c->out.len) {
		ssize_t n = send(c->io.fd, c->out.ptr + c->out_sent,
		    c->out.len - c->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
			return false;
		if (n < 0)
			c->blocked = true;
		else
			c->out_sent += (size_t)n;
	}
	if (c->out_sent == c->out.len) {
		c->out_sent = 0;
		buf_clear(&c->out);
	}
	return true;
}

static void
tell_done(struct mqtt_client *c, struct outgoing *o)
{
	mqtt_client_done *done = o->done;
	void *ctx = o->ctx;

	(void)c;
	outgoing_free(o);
	if (done != NULL)
		done(ctx);
}

static void
on_flush(struct loop_defer *d)
{
	struct mqtt_client *c = container_of(d, struct mqtt_client, flush);
	struct outgoing *o;

	if (c->state == ONLINE)
		pump(c);
	if ((c->state == ONLINE || c->state == GREETING)) {
		if (!write_out(c)) {
			struct err why;

			(void)err_errno(&why, "write");
			lost(c, &why);
		} else {
			loop_watch(c->loop, &c->io,
			    LOOP_READ | (c->blocked ? LOOP_WRITE : 0));
		}
	}
	while (!c->freed &&
	    (o = list_first(&c->told, struct outgoing, link)) != NULL)
		tell_done(c, o);
}

/* --- in ------------------------------------------------------------------ */

static void
subscription_free(struct subscription *s)
{
	list_del(&s->link);
	str_free(s->filter);
	free(s);
}

static void
send_subscribe(struct mqtt_client *c, struct subscription *s)
{
	s->id = new_id(c);
	mqtt_put_subscribe(&c->out, s->id, &s->filter, &s->qos, 1);
	wake(c);
}

static void
on_connack(struct mqtt_client *c, const struct mqtt_packet *p)
{
	static const char *const refusals[] = { "", "protocol level refused",
		"client id refused", "server unavailable",
		"bad user name or password", "not authorized" };

	if (p->code != 0) {
		lost_because(c, ERR_DENIED,
		    p->code < COUNT_OF(refusals) ? refusals[p->code]
						 : "refused");
		return;
	}
	enter(c, ONLINE);
	c->delay_ms = c->conf.retry_min_ms;
	if (c->conf.keepalive_s > 0)
		loop_after(
		    c->loop, &c->timer, (int64_t)c->conf.keepalive_s * 1000);
	LIST_EACH (s, &c->subs, struct subscription, link)
		send_subscribe(c, s);
	wake(c);
	if (c->events != NULL && c->events->up != NULL)
		c->events->up(c->owner, p->session_present);
}

/* Callbacks may subscribe and unsubscribe: entries are only marked while the
 * list is walked. */
static void
end_telling(struct mqtt_client *c)
{
	if (--c->telling > 0)
		return;
	LIST_EACH (s, &c->subs, struct subscription, link) {
		if (s->dead)
			subscription_free(s);
	}
}

static void
on_message(struct mqtt_client *c, const struct mqtt_packet *p)
{
	unsigned epoch = c->epoch;

	c->telling++;
	LIST_EACH (s, &c->subs, struct subscription, link) {
		if (c->freed || s->dead || s->heard == NULL ||
		    !mqtt_filter_matches(s->inner, p->topic))
			continue;
		s->heard(s->ctx, p->topic, p->payload, p->retain);
	}
	end_telling(c);
	if (p->qos == 1 && c->state == ONLINE && c->epoch == epoch) {
		mqtt_put_ack(&c->out, MQTT_PUBACK, p->id);
		wake(c);
	}
}

static void
on_puback(struct mqtt_client *c, uint16_t id)
{
	LIST_EACH (o, &c->waiting, struct outgoing, link) {
		if (o->id != id)
			continue;
		c->n_waiting--;
		c->n_inflight--;
		wake(c);
		tell_done(c, o);
		return;
	}
}

static void
on_suback(struct mqtt_client *c, const struct mqtt_packet *p)
{
	c->telling++;
	LIST_EACH (s, &c->subs, struct subscription, link) {
		if (s->id != p->id)
			continue;
		s->id = 0;
		if ((uint8_t)p->codes.ptr[0] == MQTT_SUB_FAILED && !s->dead &&
		    s->heard != NULL)
			s->heard(s->ctx, STR_NULL, STR_NULL, false);
	}
	end_telling(c);
}

/* False: the packet has no business here. */
static bool
serve(struct mqtt_client *c, const struct mqtt_packet *p)
{
	if (c->state == GREETING) {
		if (p->type != MQTT_CONNACK)
			return false;
		on_connack(c, p);
		return true;
	}
	switch (p->type) {
	case MQTT_PUBLISH:
		if (p->qos > 1)
			return false; /* we never ask for it */
		on_message(c, p);
		return true;
	case MQTT_PUBACK:
		on_puback(c, p->id);
		return true;
	case MQTT_SUBACK:
		on_suback(c, p);
		return true;
	case MQTT_UNSUBACK:
		return true;
	case MQTT_PINGRESP:
		c->pinged = false;
		return true;
	default:
		return false;
	}
}

static void
on_bytes(struct mqtt_client *c)
{
	unsigned epoch = c->epoch;
	struct buf bytes = c->in; /* ours while callbacks may do anything */
	struct str rest = buf_str(&bytes);
	struct mqtt_packet p;
	struct err why;
	size_t len;
	int rc = 0;

	c->in = (struct buf){ 0 };
	while (c->epoch == epoch) {
		rc = mqtt_parse(rest, c->conf.max_packet, &p, &len, &why);
		if (rc != 0)
			break;
		rest.ptr += len;
		rest.len -= len;
		if (!serve(c, &p) && c->epoch == epoch) {
			rc = err_set(&why, ERR_PROTO, "unexpected packet");
			break;
		}
	}
	if (c->epoch == epoch && rc == ERR_AGAIN)
		buf_add_str(&c->in, rest);
	else if (c->epoch == epoch)
		lost(c, &why);
	buf_free(&bytes);
}

static void
on_readable(struct mqtt_client *c)
{
	struct err why;
	ssize_t n;

	buf_reserve(&c->in, READ_CHUNK);
	n = recv(c->io.fd, c->in.ptr + c->in.len, c->in.cap - c->in.len,
	    MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		(void)err_errno(&why, "read");
		lost(c, &why);
		return;
	}
	if (n == 0) {
		lost_because(c, ERR_CLOSED, "closed by the server");
		return;
	}
	c->heard_ms = clock_mono();
	c->in.len += (size_t)n;
	on_bytes(c);
}

/* --- connecting ---------------------------------------------------------- */

static void
greet(struct mqtt_client *c)
{
	const struct mqtt_client_conf *conf = &c->conf;
	struct mqtt_connect p = {
		.level = 4,
		.clean = !conf->keep_session,
		.keepalive_s = conf->keepalive_s,
		.client_id = str_of(conf->client_id),
		.user = str_of(conf->user),
		.password = str_of(conf->password),
		.will = conf->will_topic != NULL,
		.will_topic = str_of(conf->will_topic),
		.will_payload = conf->will_payload,
		.will_qos = conf->will_qos,
		.will_retain = conf->will_retain,
	};

	enter(c, GREETING);
	loop_after(c->loop, &c->timer, GREETING_MS);
	c->pinged = false;
	c->heard_ms = clock_mono();
	mqtt_put_connect(&c->out, &p);
	loop_watch(c->loop, &c->io, LOOP_READ);
	wake(c);
}

static void
on_connected(struct mqtt_client *c)
{
	socklen_t len = sizeof(errno);
	int e = 0;

	if (getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
		e = errno;
	if (e != 0) {
		struct err why;

		errno = e;
		(void)err_errno(&why, "connect");
		lost(c, &why);
		return;
	}
	greet(c);
}

static void
on_ready(struct loop_io *io, unsigned what)
{
	struct mqtt_client *c = container_of(io, struct mqtt_client, io);

	if (c->state == CONNECTING) {
		on_connected(c);
		return;
	}
	if (what & LOOP_WRITE) {
		c->blocked = false;
		wake(c);
	}
	if (what & LOOP_READ)
		on_readable(c);
}

static void
connect_now(struct mqtt_client *c)
{
	const int one = 1;
	struct err why;

	c->io.fd = socket(
	    c->peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->io.fd < 0) {
		(void)err_errno(&why, "socket");
		lost(c, &why);
		return;
	}
	(void)setsockopt(c->io.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->io.fd, (struct sockaddr *)&c->peer, c->peer_len) < 0 &&
	    errno != EINPROGRESS) {
		(void)err_errno(&why, "connect");
		lost(c, &why);
		return;
	}
	enter(c, CONNECTING);
	loop_watch(c->loop, &c->io, LOOP_WRITE);
	loop_after(c->loop, &c->timer, GREETING_MS);
}

static void
keep_alive(struct mqtt_client *c)
{
	int64_t period = (int64_t)c->conf.keepalive_s * 1000;

	if (c->pinged && c->heard_ms + period * 3 / 2 <= clock_mono()) {
		lost_because(c, ERR_CLOSED, "the server is silent");
		return;
	}
	c->pinged = true;
	mqtt_put_empty(&c->out, MQTT_PINGREQ);
	wake(c);
	loop_after(c->loop, &c->timer, period);
}

static void
on_timer(struct loop_timer *t)
{
	struct mqtt_client *c = container_of(t, struct mqtt_client, timer);

	if (c->state == WAITING)
		connect_now(c);
	else if (c->state == ONLINE)
		keep_alive(c);
	else
		lost_because(c, ERR_CLOSED, "no answer");
}

/* --- life ---------------------------------------------------------------- */

static int
resolve(struct mqtt_client *c, struct err *err)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	}, *ai;
	char service[8];
	int rc;

	snprintf(service, sizeof(service), "%u", c->conf.port);
	rc = getaddrinfo(c->conf.address, service, &hints, &ai);
	if (rc != 0)
		return err_set(err, ERR_PARAM, "address %s: %s",
		    c->conf.address, gai_strerror(rc));
	memcpy(&c->peer, ai->ai_addr, ai->ai_addrlen);
	c->peer_len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return 0;
}

static void
copy_conf(struct mqtt_client *c, const struct mqtt_client_conf *conf)
{
	struct mqtt_client_conf *own = &c->conf;

	*own = *conf;
	own->address = str_dupz(str_of(conf->address));
	own->client_id =
	    str_dupz(str_of(conf->client_id != NULL ? conf->client_id : ""));
	own->user = str_dupz(str_of(conf->user));
	own->password = str_dupz(str_of(conf->password));
	own->will_topic = str_dupz(str_of(conf->will_topic));
	own->will_payload = str_copy(
	    conf->will_payload.ptr != NULL ? conf->will_payload : STR(""));
	if (own->retry_min_ms == 0)
		own->retry_min_ms = 1000;
	if (own->retry_max_ms == 0)
		own->retry_max_ms = 60000;
	if (own->max_inflight == 0)
		own->max_inflight = 100;
	own->max_inflight = MIN_OF(own->max_inflight, 10000u);
	if (own->max_waiting == 0)
		own->max_waiting = 10000;
	if (own->max_packet == 0)
		own->max_packet = 16u << 20;
	c->delay_ms = own->retry_min_ms;
}

int
mqtt_client_new(struct loop *loop, const struct mqtt_client_conf *conf,
    const struct mqtt_client_events *events, void *owner,
    struct mqtt_client **ret, struct err *err)
{
	struct mqtt_client *c = mem_new(struct mqtt_client);
	int rc;

	c->loop = loop;
	c->events = events;
	c->owner = owner;
	c->io.fd = -1;
	c->io.ready = on_ready;
	c->timer.fire = on_timer;
	c->flush.run = on_flush;
	list_init(&c->waiting);
	list_init(&c->told);
	list_init(&c->subs);
	copy_conf(c, conf);
	rc = resolve(c, err);
	if (rc != 0) {
		mqtt_client_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void
mqtt_client_start(struct mqtt_client *c)
{
	if (c->state != IDLE)
		return;
	c->delay_ms = c->conf.retry_min_ms;
	/* In the next turn, so that no callback comes before we return. */
	enter(c, WAITING);
	loop_after(c->loop, &c->timer, 0);
}

void
mqtt_client_stop(struct mqtt_client *c)
{
	if (c->state == IDLE)
		return;
	if (c->state == ONLINE) {
		mqtt_put_empty(&c->out, MQTT_DISCONNECT);
		(void)write_out(c); /* or the server finds out by itself */
	}
	retry_later(c);
	enter(c, IDLE);
}

void
mqtt_client_free(struct mqtt_client *c)
{
	struct outgoing *o;

	if (c == NULL)
		return;
	mqtt_client_stop(c);
	loop_undefer(c->loop, &c->flush);
	c->freed = true;
	c->epoch++;
	while ((o = list_first(&c->waiting, struct outgoing, link)) != NULL)
		outgoing_free(o);
	while ((o = list_first(&c->told, struct outgoing, link)) != NULL)
		outgoing_free(o);
	LIST_EACH (s, &c->subs, struct subscription, link) {
		s->dead = true;
		if (c->telling == 0)
			subscription_free(s);
	}
	buf_free(&c->in);
	buf_free(&c->out);
	free((char *)c->conf.address);
	free((char *)c->conf.client_id);
	free((char *)c->conf.user);
	free((char *)c->conf.password);
	free((char *)c->conf.will_topic);
	str_free(c->conf.will_payload);
	loop_free_later(c->loop, c);
}

bool
mqtt_client_is_up(const struct mqtt_client *c)
{
	return c->state == ONLINE;
}

uint32_t
mqtt_client_waiting(const struct mqtt_client *c)
{
	return c->n_waiting;
}

/* --- publishing and subscribing ------------------------------------------ */

int
mqtt_client_publish(struct mqtt_client *c, struct str topic, struct str payload,
    uint8_t qos, bool retain, mqtt_client_done *done, void *ctx)
{
	struct outgoing *o;

	if (!mqtt_topic_ok(topic) || qos > 1 ||
	    payload.len > MQTT_REMAINING_MAX - topic.len - 4)
		return ERR_PARAM;
	if (qos == 0 && c->state != ONLINE)
		return ERR_CLOSED;
	if (qos == 1 && c->n_waiting >= c->conf.max_waiting)
		return ERR_LIMIT;
	if (qos == 0 && c->out.len - c->out_sent > OUT_MAX)
		return ERR_LIMIT;

	o = mem_new(struct outgoing);
	o->topic = str_copy(topic);
	o->payload = str_copy(payload.ptr != NULL ? payload : STR(""));
	o->qos = qos;
	o->retain = retain;
	o->done = done;
	o->ctx = ctx;
	list_init(&o->link);
	if (qos == 0) {
		put_publish(c, o);
		list_add(&c->told, &o->link);
	} else {
		list_add(&c->waiting, &o->link);
		c->n_waiting++;
	}
	wake(c);
	return 0;
}

int
mqtt_client_subscribe(struct mqtt_client *c, struct str filter, uint8_t qos,
    mqtt_client_heard *heard, void *ctx)
{
	struct subscription *s = NULL;
	struct str group, inner;
	int rc;

	if (!mqtt_filter_ok(filter) || qos > 1)
		return ERR_PARAM;
	rc = mqtt_share_split(filter, &group, &inner);
	if (rc == ERR_PARAM)
		return rc;
	LIST_EACH (old, &c->subs, struct subscription, link) {
		if (!old->dead && str_eq(old->filter, filter))
			s = old;
	}
	if (s == NULL) {
		s = mem_new(struct subscription);
		s->filter = str_copy(filter);
		s->inner = s->filter;
		if (rc == 0) {
			s->inner.ptr += inner.ptr - filter.ptr;
			s->inner.len = inner.len;
		}
		list_add(&c->subs, &s->link);
	}
	s->qos = qos;
	s->heard = heard;
	s->ctx = ctx;
	if (c->state == ONLINE)
		send_subscribe(c, s);
	return 0;
}

void
mqtt_client_unsubscribe(struct mqtt_client *c, struct str filter)
{
	LIST_EACH (s, &c->subs, struct subscription, link) {
		if (s->dead || !str_eq(s->filter, filter))
			continue;
		if (c->state == ONLINE) {
			mqtt_put_unsubscribe(&c->out, new_id(c), &s->filter, 1);
			wake(c);
		}
		if (c->telling > 0)
			s->dead = true;
		else
			subscription_free(s);
		return;
	}
}

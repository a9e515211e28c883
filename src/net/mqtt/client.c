/*
 * net/mqtt/client.c - see client.h for the promises; this is how the connection
 * is kept. Publishing is in client_out.c, hearing in client_in.c.
 *
 *         start         a name         found
 *    IDLE -----> WAITING -----> RESOLVING ----+
 *                 |  ^  \ a number            v  connected         CONNACK 0
 *           timer |  |   +------------> CONNECTING -----> GREETING ---> ONLINE
 *                 +--+                        |  other address |          |
 *                    |          none is left  v  refused, EOF  v          |
 *                    +<-----------------------+----------------+----------+
 *                                               EOF, silence, bad packet
 *
 * Who has `dial` goes from WAITING to GREETING or back.
 * Any state goes to IDLE by mqtt_client_stop(). What holds in each:
 *
 *    IDLE         no descriptor, no timer
 *    RESOLVING    `resolve` runs; `timer` bounds it
 *    CONNECTING   descriptor open, watched for writing; `timer` bounds it
 *    GREETING     CONNECT is sent; `timer` bounds the wait for CONNACK
 *    ONLINE       `timer` sends PINGREQ, and ends a silent connection
 *    WAITING      no descriptor, `timer` runs
 */
#include "net/mqtt/client_private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/url.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define GREETING_MS 30000 /* to find, to connect, to be answered: each */
#define READ_CHUNK 16384
#define UNIX_PREFIX STR("unix:")

/* --- state --------------------------------------------------------------- */

static void
close_connection(struct mqtt_client *c)
{
	mqtt_resolve_cancel(c->resolve);
	c->resolve = NULL;
	stream_free(c->stream);
	c->stream = NULL;
	if (c->io.fd >= 0) {
		loop_unwatch(c->loop, &c->io);
		close(c->io.fd);
		c->io.fd = -1;
		c->epoch++;
	}
	buf_clear(&c->in);
	buf_clear(&c->out);
	c->out_sent = 0;
	c->blocked = false;
}

static void
enter(struct mqtt_client *c, enum state next)
{
	if (next == IDLE || next == WAITING) {
		close_connection(c);
		if (c->found != NULL)
			freeaddrinfo(c->found);
		c->found = c->next_address = NULL;
		mqtt_client_out_lost(c);
		mqtt_client_in_lost(c);
	}
	loop_cancel(c->loop, &c->timer);
	c->state = next;
}

/* Part of the wait is chance, so that the clients of a server that comes back
 * do not come back all at once. */
static int64_t
with_chance(int64_t ms)
{
	uint32_t chance;

	rand_bytes(&chance, sizeof(chance));
	return ms - (int64_t)((uint64_t)chance * (uint64_t)(ms / 2) >> 32);
}

static void
wait_to_retry(struct mqtt_client *c)
{
	int64_t max = c->conf.retry_max_ms;

	/* Only a connection that lasted starts over with short waits. */
	if (c->state == ONLINE &&
	    clock_mono() - c->up_ms >= c->conf.retry_reset_ms)
		c->delay_ms = c->conf.retry_min_ms;
	enter(c, WAITING);
	loop_after(c->loop, &c->timer, with_chance(c->delay_ms));
	c->delay_ms = MIN_OF(c->delay_ms * 2, max);
}

void
mqtt_client_lost(struct mqtt_client *c, const struct err *why)
{
	wait_to_retry(c);
	if (c->events != NULL && c->events->down != NULL)
		c->events->down(c->owner, why);
}

static void
lost_because(struct mqtt_client *c, int code, const char *what)
{
	struct err why;

	(void)err_set(&why, code, "%s", what);
	mqtt_client_lost(c, &why);
}

/* errno is what the stream has said of `what`. */
static void
stream_broke(struct mqtt_client *c, const char *what)
{
	bool by_layer = errno == EPROTO;
	bool by_peer = errno == ECONNRESET || errno == EPIPE;
	struct buf text = { 0 };
	struct err why;

	(void)err_errno(&why, "%s", what);
	if (by_peer)
		why.code = ERR_CLOSED;
	if (by_layer && c->conf.wrap_why != NULL)
		c->conf.wrap_why(c->stream, &text);
	if (text.len > 0 && c->conf.wrap_advice != NULL)
		c->conf.wrap_advice(c->conf.wrap_ctx, c->stream, &text);
	if (text.len > 0)
		(void)err_set(
		    &why, ERR_PROTO, STR_FMT, STR_ARG(buf_str(&text)));
	buf_free(&text);
	mqtt_client_lost(c, &why);
}

/* --- out ----------------------------------------------------------------- */

void
mqtt_client_wake(struct mqtt_client *c)
{
	if (c->state == GREETING || c->state == ONLINE || !list_empty(&c->told))
		loop_defer(c->loop, &c->flush);
}

static bool
write_out(struct mqtt_client *c)
{
	while (!c->blocked && c->out_sent < c->out.len) {
		struct iovec iov = { c->out.ptr + c->out_sent,
			c->out.len - c->out_sent };
		ssize_t n = stream_writev(c->stream, &iov, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
			return false;
		if (n <= 0)
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

/* A layer that takes nothing may wait for the peer: it says if it does not. */
static void
watch(struct mqtt_client *c)
{
	bool writing =
	    stream_wants(c->stream) & LOOP_WRITE || (c->plain && c->blocked);

	loop_watch(c->loop, &c->io, LOOP_READ | (writing ? LOOP_WRITE : 0));
}

static void
send_out(struct mqtt_client *c)
{
	bool more;

	do {
		more = c->state == ONLINE && mqtt_client_out_pump(c);
		if (!write_out(c)) {
			stream_broke(c, "write");
			return;
		}
	} while (more && !c->blocked);
	watch(c);
}

static void
on_flush(struct loop_defer *d)
{
	struct mqtt_client *c = container_of(d, struct mqtt_client, flush);

	if (c->state == ONLINE || c->state == GREETING)
		send_out(c);
	mqtt_client_out_tell(c);
}

/* A last packet, as far as that goes without waiting. */
static void
say_goodbye(struct mqtt_client *c, uint8_t reason)
{
	if (c->state != ONLINE)
		return;
	mqtt_put_end(&c->out, c->level, MQTT_DISCONNECT, reason, NULL);
	(void)write_out(c); /* or the server finds out by itself */
	stream_bye(c->stream);
}

void
mqtt_client_refuse(struct mqtt_client *c, uint8_t reason, const char *what)
{
	if (c->level == 5)
		say_goodbye(c, reason);
	lost_because(c, ERR_PROTO, what);
}

/* --- in ------------------------------------------------------------------ */

/* What to speak next with a server that does not take what we speak: level 5,
 * 4 as a bridge, 4. False: there is no more that `conf` allows. */
static bool
speak_less(struct mqtt_client *c)
{
	if (c->level == 4 && c->bridging)
		c->bridging = false;
	else if (c->level == 4 || c->conf.level != 0)
		return false;
	else
		c->bridging = c->conf.bridge;
	c->level = 4;
	return true;
}

static void
speak_most(struct mqtt_client *c)
{
	c->level = c->conf.level != 0 ? c->conf.level : 5;
	c->bridging = c->level == 4 && c->conf.bridge;
}

static void
refused(struct mqtt_client *c, const struct mqtt_packet *p)
{
	static const char *const old_texts[] = { "", "protocol level refused",
		"client id refused", "server unavailable",
		"bad user name or password", "not authorized" };
	struct err why;

	if ((p->code == MQTT_BAD_LEVEL || p->code == MQTT_R_BAD_VERSION) &&
	    speak_less(c)) {
		enter(c, WAITING);
		loop_after(c->loop, &c->timer, 0);
		return;
	}
	c->reason = p->code;
	(void)err_set(&why, ERR_DENIED, "%s",
	    p->code < COUNT_OF(old_texts) ? old_texts[p->code]
					  : mqtt_reason_text(p->code));
	if (mqtt_has(&p->props, MQTT_P_REASON) && p->props.reason.len > 0)
		(void)err_set(&why, ERR_DENIED, "%s: " STR_FMT,
		    mqtt_reason_text(p->code), STR_ARG(p->props.reason));
	mqtt_client_lost(c, &why);
}

static void
learn_limits(struct mqtt_client *c, const struct mqtt_props *p)
{
	struct server_limits *s = &c->server;

	*s = (struct server_limits){ .max_packet = UINT32_MAX,
		.keepalive_s = c->conf.keepalive_s,
		.receive_max = UINT16_MAX,
		.max_qos = 2,
		.has_retain = true,
		.has_sub_ids = c->level == 5 };
	if (mqtt_has(p, MQTT_P_MAX_PACKET))
		s->max_packet = p->max_packet;
	if (mqtt_has(p, MQTT_P_KEEPALIVE))
		s->keepalive_s = p->keepalive_s;
	if (mqtt_has(p, MQTT_P_RECEIVE_MAX))
		s->receive_max = p->receive_max;
	if (mqtt_has(p, MQTT_P_ALIAS_MAX))
		s->alias_max = MIN_OF(p->alias_max, CLIENT_ALIASES_MAX);
	if (mqtt_has(p, MQTT_P_MAX_QOS))
		s->max_qos = p->max_qos;
	if (mqtt_has(p, MQTT_P_HAS_RETAIN))
		s->has_retain = p->has_retain;
	if (mqtt_has(p, MQTT_P_HAS_SUB_IDS))
		s->has_sub_ids = p->has_sub_ids;
	if (mqtt_has(p, MQTT_P_CLIENT_ID)) {
		free((char *)c->conf.client_id);
		c->conf.client_id = str_dupz(p->client_id);
	}
}

static void
on_connack(struct mqtt_client *c, const struct mqtt_packet *p)
{
	if (p->code != 0) {
		refused(c, p);
		return;
	}
	enter(c, ONLINE);
	c->reason = 0;
	c->up_ms = clock_mono();
	learn_limits(c, &p->props);
	if (c->server.keepalive_s > 0)
		loop_after(
		    c->loop, &c->timer, (int64_t)c->server.keepalive_s * 1000);
	mqtt_client_out_begin(c, p->session_present);
	mqtt_client_in_begin(c, p->session_present);
	mqtt_client_wake(c);
	if (c->events != NULL && c->events->up != NULL)
		c->events->up(c->owner, p->session_present);
}

static void
on_disconnect(struct mqtt_client *c, const struct mqtt_packet *p)
{
	struct err why;

	c->reason = p->code;
	if (mqtt_has(&p->props, MQTT_P_REASON) && p->props.reason.len > 0)
		(void)err_set(&why, ERR_CLOSED, "%s: " STR_FMT,
		    mqtt_reason_text(p->code), STR_ARG(p->props.reason));
	else
		(void)err_set(
		    &why, ERR_CLOSED, "%s", mqtt_reason_text(p->code));
	mqtt_client_lost(c, &why);
}

static void
serve(struct mqtt_client *c, const struct mqtt_packet *p)
{
	if (c->state == GREETING) {
		if (p->type == MQTT_CONNACK)
			on_connack(c, p);
		else
			lost_because(c, ERR_PROTO, "no answer to CONNECT");
		return;
	}
	switch (p->type) {
	case MQTT_PUBLISH:
		if (mqtt_has(&p->props, MQTT_P_ALIAS) || p->topic.len == 0)
			mqtt_client_refuse(c, MQTT_R_BAD_ALIAS,
			    "topic alias, of which we allow none");
		else
			mqtt_client_in_publish(c, p);
		break;
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBCOMP:
		mqtt_client_out_answer(c, p);
		break;
	case MQTT_PUBREL:
		mqtt_client_in_pubrel(c, p->id);
		break;
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		mqtt_client_in_suback(c, p);
		break;
	case MQTT_PINGRESP:
		c->pinged = false;
		break;
	case MQTT_DISCONNECT:
		if (c->level == 5) {
			on_disconnect(c, p);
			break;
		} /* fall through */
	default:
		mqtt_client_refuse(c, MQTT_R_PROTOCOL, "unexpected packet");
		break;
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
		rc = mqtt_parse(
		    rest, c->level, c->conf.max_packet, &p, &len, &why);
		if (rc != 0)
			break;
		rest.ptr += len;
		rest.len -= len;
		serve(c, &p);
	}
	if (c->epoch == epoch && rc == ERR_AGAIN) {
		buf_add_str(&c->in, rest);
	} else if (c->epoch == epoch) {
		if (c->level == 5)
			say_goodbye(c, p.code);
		mqtt_client_lost(c, &why);
	}
	buf_free(&bytes);
}

static void
on_eof(struct mqtt_client *c)
{
	/* There are servers that answer a level they do not know with this. */
	if (c->state == GREETING && !speak_less(c))
		speak_most(c);
	lost_because(c, ERR_CLOSED, "closed by the server");
}

/* False: there is no more now. */
static bool
read_some(struct mqtt_client *c)
{
	unsigned epoch = c->epoch;
	ssize_t n;

	buf_reserve(&c->in, READ_CHUNK);
	n = stream_read(
	    c->stream, c->in.ptr + c->in.len, c->in.cap - c->in.len);
	if (n < 0 &&
	    (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return false;
	if (n < 0) {
		stream_broke(c, "read");
		return false;
	}
	if (n == 0) {
		on_eof(c);
		return false;
	}
	c->heard_ms = clock_mono();
	c->in.len += (size_t)n;
	on_bytes(c);
	return c->epoch == epoch && stream_wants(c->stream) & LOOP_READ;
}

/* --- connecting ---------------------------------------------------------- */

static void
at_stage(struct mqtt_client *c, enum mqtt_client_stage stage, const char *about)
{
	if (c->events != NULL && c->events->stage != NULL)
		c->events->stage(c->owner, stage, about, c->stream);
}

/* The layer that has been put on may have become usable. */
static void
look_if_secured(struct mqtt_client *c)
{
	if (c->secured || c->state != GREETING || c->conf.wrap_is_up == NULL ||
	    !c->conf.wrap_is_up(c->stream))
		return;
	c->secured = true;
	at_stage(c, MQTT_STAGE_SIGN_IN, NULL);
}

static void
put_connect(struct mqtt_client *c)
{
	const struct mqtt_client_conf *conf = &c->conf;
	struct mqtt_connect p = {
		.level = c->level,
		.bridge = c->bridging,
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
	struct mqtt_props props = {
		.has = 1ull << MQTT_P_RECEIVE_MAX | 1ull << MQTT_P_MAX_PACKET,
		.receive_max = conf->max_received,
		.max_packet = conf->max_packet,
	};

	if (conf->keep_session) {
		props.has |= 1ull << MQTT_P_SESSION_EXPIRY;
		props.session_expiry_s = conf->session_expiry_s != 0
		    ? conf->session_expiry_s
		    : MQTT_EXPIRY_NEVER;
	}
	mqtt_put_connect(&c->out, &p, &props);
}

static void
greet(struct mqtt_client *c)
{
	struct err why = { .code = ERR_INTERNAL };

	c->stream = stream_socket(c->io.fd);
	c->plain = c->conf.wrap == NULL;
	if (!c->plain) {
		c->stream = c->conf.wrap(
		    c->conf.wrap_ctx, c->stream, c->conf.address, &why);
		if (c->stream == NULL) {
			mqtt_client_lost(c, &why);
			return;
		}
	}
	enter(c, GREETING);
	c->secured = c->plain;
	at_stage(c, c->plain ? MQTT_STAGE_SIGN_IN : MQTT_STAGE_SECURE, NULL);
	loop_after(c->loop, &c->timer, GREETING_MS);
	c->pinged = false;
	c->heard_ms = clock_mono();
	put_connect(c);
	loop_watch(c->loop, &c->io, LOOP_READ);
	mqtt_client_wake(c);
}

static bool
begin_to_connect(struct mqtt_client *c, const struct sockaddr *to,
    socklen_t len, struct err *why)
{
	const int one = 1;
	char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "", about[NI_MAXHOST];

	close_connection(c);
	if (to->sa_family != AF_UNIX &&
	    getnameinfo(to, len, host, sizeof(host), port, sizeof(port),
		NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		(void)snprintf(
		    about, sizeof(about), "%.100s, port %.10s", host, port);
	else
		(void)snprintf(about, sizeof(about), "%.200s", c->conf.address);
	at_stage(c, MQTT_STAGE_CONNECT, about);
	c->io.fd = socket(
	    to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->io.fd < 0) {
		(void)err_errno(why, "socket");
		return false;
	}
	if (to->sa_family != AF_UNIX)
		(void)setsockopt(
		    c->io.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->io.fd, to, len) < 0 && errno != EINPROGRESS) {
		(void)err_errno(why, "connect to %s", c->conf.address);
		return false;
	}
	enter(c, CONNECTING);
	loop_watch(c->loop, &c->io, LOOP_WRITE);
	loop_after(c->loop, &c->timer, GREETING_MS);
	return true;
}

/* Goes on with the next address that there is. `why`: what was wrong with the
 * one before. */
static void
try_next(struct mqtt_client *c, struct err *why)
{
	while (c->next_address != NULL) {
		const struct addrinfo *ai = c->next_address;

		c->next_address = ai->ai_next;
		if (begin_to_connect(c, ai->ai_addr, ai->ai_addrlen, why))
			return;
	}
	mqtt_client_lost(c, why);
}

static void
on_connected(struct mqtt_client *c)
{
	socklen_t len = sizeof(int);
	struct err why;
	int e = 0;

	if (getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
		e = errno;
	if (e == 0) {
		greet(c);
		return;
	}
	errno = e;
	(void)err_errno(&why, "connect to %s", c->conf.address);
	try_next(c, &why);
}

static void
on_ready(struct loop_io *io, unsigned what)
{
	struct mqtt_client *c = container_of(io, struct mqtt_client, io);
	unsigned epoch = c->epoch;

	if (c->state == CONNECTING) {
		on_connected(c);
		return;
	}
	if (what & LOOP_WRITE && stream_flush(c->stream) < 0 &&
	    errno != EAGAIN && errno != EWOULDBLOCK) {
		stream_broke(c, "write");
		return;
	}
	look_if_secured(c);
	if (what & LOOP_READ)
		while (read_some(c))
			continue;
	if (c->epoch != epoch)
		return;
	look_if_secured(c);
	/* A handshake that went on may let writing go on as well. */
	if (what & LOOP_WRITE || !c->plain)
		c->blocked = false;
	if (c->out_sent < c->out.len || what & LOOP_WRITE)
		mqtt_client_wake(c);
	else
		watch(c);
}

static bool
unix_address(const char *address, struct sockaddr_un *ret)
{
	struct str path = str_of(address);

	if (!str_starts(path, UNIX_PREFIX))
		return false;
	path.ptr += UNIX_PREFIX.len;
	path.len -= UNIX_PREFIX.len;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (path.len >= sizeof(ret->sun_path))
		return false;
	memcpy(ret->sun_path, path.ptr, path.len);
	return true;
}

static void
on_resolved(void *owner, struct addrinfo *found, const struct err *why)
{
	struct mqtt_client *c = owner;
	struct err none;

	c->resolve = NULL;
	if (found == NULL) {
		mqtt_client_lost(c, why);
		return;
	}
	c->found = c->next_address = found;
	(void)err_set(&none, ERR_IO, "no address");
	try_next(c, &none);
}

static void
have_it_dialled(struct mqtt_client *c)
{
	struct err why;
	int fd;

	fd = c->conf.dial(c->conf.dial_ctx, &why);
	if (fd < 0) {
		mqtt_client_lost(c, &why);
		return;
	}
	c->io.fd = fd;
	greet(c);
}

static void
connect_now(struct mqtt_client *c)
{
	struct sockaddr_un local;
	struct err why;

	if (c->conf.dial != NULL) {
		have_it_dialled(c);
		return;
	}
	if (unix_address(c->conf.address, &local)) {
		if (!begin_to_connect(
			c, (struct sockaddr *)&local, sizeof(local), &why))
			mqtt_client_lost(c, &why);
		return;
	}
	c->found = mqtt_resolve_numeric(c->conf.address, c->conf.port);
	c->next_address = c->found;
	if (c->found != NULL) {
		try_next(c, &why);
		return;
	}
	enter(c, RESOLVING);
	at_stage(c, MQTT_STAGE_RESOLVE, NULL);
	loop_after(c->loop, &c->timer, GREETING_MS);
	c->resolve = mqtt_resolve_start(
	    c->loop, c->conf.address, c->conf.port, on_resolved, c);
	if (c->resolve == NULL)
		lost_because(c, ERR_LIMIT, "too many names to be found");
}

static void
keep_alive(struct mqtt_client *c)
{
	int64_t period = (int64_t)c->server.keepalive_s * 1000;

	if (c->pinged && c->heard_ms + period * 3 / 2 <= clock_mono()) {
		lost_because(c, ERR_CLOSED, "the server is silent");
		return;
	}
	c->pinged = true;
	mqtt_put_empty(&c->out, MQTT_PINGREQ);
	mqtt_client_wake(c);
	loop_after(c->loop, &c->timer, period);
}

static void
on_timer(struct loop_timer *t)
{
	struct mqtt_client *c = container_of(t, struct mqtt_client, timer);
	struct err why;

	(void)err_set(&why, ERR_CLOSED, "no answer from %s", c->conf.address);
	if (c->state == WAITING)
		connect_now(c);
	else if (c->state == ONLINE)
		keep_alive(c);
	else if (c->state == CONNECTING)
		try_next(c, &why);
	else
		mqtt_client_lost(c, &why);
}

/* --- life ---------------------------------------------------------------- */

#define OR(value, otherwise) ((value) != 0 ? (value) : (otherwise))

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
	own->retry_min_ms = OR(conf->retry_min_ms, 1000);
	own->retry_max_ms = OR(conf->retry_max_ms, 60000);
	own->retry_max_ms = MAX_OF(own->retry_max_ms, own->retry_min_ms);
	own->retry_reset_ms = OR(conf->retry_reset_ms, own->retry_max_ms);
	own->max_inflight = MIN_OF(OR(conf->max_inflight, 100), 10000u);
	own->max_waiting = OR(conf->max_waiting, 10000);
	own->max_received = OR(conf->max_received, 100);
	own->max_packet = OR(conf->max_packet, 16u << 20);
}

static int
check_conf(const struct mqtt_client_conf *conf, struct err *err)
{
	struct sockaddr_un local;

	if (conf->address == NULL || conf->address[0] == '\0')
		return err_set(err, ERR_PARAM, "no address");
	if (str_starts(str_of(conf->address), UNIX_PREFIX) &&
	    !unix_address(conf->address, &local))
		return err_set(
		    err, ERR_PARAM, "%s: path too long", conf->address);
	if (conf->level != 0 && conf->level != 4 && conf->level != 5)
		return err_set(err, ERR_PARAM, "level %u", conf->level);
	if (conf->will_topic != NULL &&
	    (!mqtt_topic_ok(str_of(conf->will_topic)) || conf->will_qos > 2 ||
		conf->will_payload.len > MQTT_TEXT_MAX))
		return err_set(err, ERR_PARAM, "bad will");
	return 0;
}

int
mqtt_client_new(struct loop *loop, const struct mqtt_client_conf *conf,
    const struct mqtt_client_events *events, void *owner,
    struct mqtt_client **ret, struct err *err)
{
	struct mqtt_client *c;
	int rc = check_conf(conf, err);

	if (rc != 0)
		return rc;
	c = mem_new(struct mqtt_client);
	c->loop = loop;
	c->events = events;
	c->owner = owner;
	c->io.fd = -1;
	c->io.ready = on_ready;
	c->timer.fire = on_timer;
	c->flush.run = on_flush;
	mqtt_client_out_init(c);
	mqtt_client_in_init(c);
	copy_conf(c, conf);
	*ret = c;
	return 0;
}

void
mqtt_client_start(struct mqtt_client *c)
{
	if (c->state != IDLE)
		return;
	c->delay_ms = c->conf.retry_min_ms;
	speak_most(c);
	/* In the next turn, so that no callback comes before we return. */
	enter(c, WAITING);
	loop_after(c->loop, &c->timer, 0);
}

void
mqtt_client_stop(struct mqtt_client *c)
{
	if (c->state == IDLE)
		return;
	if (c->state == ONLINE) /* what was given to it before this */
		(void)mqtt_client_out_pump(c);
	say_goodbye(c, MQTT_R_OK);
	enter(c, IDLE);
}

void
mqtt_client_free(struct mqtt_client *c)
{
	if (c == NULL)
		return;
	mqtt_client_stop(c);
	loop_undefer(c->loop, &c->flush);
	c->freed = true;
	c->epoch++;
	mqtt_client_out_fini(c);
	mqtt_client_in_fini(c);
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

int
mqtt_client_url(struct arena *a, struct str text, struct mqtt_client_conf *conf,
    bool *tls, struct err *err)
{
	static const struct {
		const char *scheme;
		uint16_t port;
		bool tls;
	} schemes[] = { { "tcp", 1883, false }, { "mqtt", 1883, false },
		{ "tls", 8883, true }, { "ssl", 8883, true },
		{ "mqtts", 8883, true } };
	struct url url;
	size_t i = 0;

	if (!url_parse(a, text, &url))
		url.scheme = STR("");
	while (i < COUNT_OF(schemes) && !str_eqz(url.scheme, schemes[i].scheme))
		i++;
	if (i == COUNT_OF(schemes) || url.host.len == 0)
		return err_set(err, ERR_PARAM,
		    "an address like tcp://host:1883 or tls://host:8883 is "
		    "needed");
	conf->address = arena_z(a, url.host);
	conf->port = url.port != 0 ? (uint16_t)url.port : schemes[i].port;
	*tls = schemes[i].tls;
	return 0;
}

bool
mqtt_client_is_up(const struct mqtt_client *c)
{
	return c->state == ONLINE;
}

uint8_t
mqtt_client_level(const struct mqtt_client *c)
{
	return c->level;
}

bool
mqtt_client_echoes(const struct mqtt_client *c)
{
	return c->level < 5 && !c->bridging;
}

const char *
mqtt_client_id(const struct mqtt_client *c)
{
	return c->conf.client_id;
}

uint8_t
mqtt_client_reason(const struct mqtt_client *c)
{
	return c->reason;
}

/*
 * net/mqtt/conn.c - one connection: bytes in, packets to serve.c, bytes out.
 *
 *    AWAIT_PROXY --> AWAIT_CONNECT --> AWAIT_VERDICT --> UP --> CLOSED
 *                                                        (see login.c)
 * Any state goes to CLOSED by mqtt_conn_close(). What holds in each:
 *
 *    AWAIT_PROXY    a PROXY header is due; `timer` bounds the wait
 *    AWAIT_CONNECT  watched for reading; `timer` bounds the wait
 *    AWAIT_VERDICT  `login` is set; not read
 *    UP             `session` is set; `timer` watches the keep-alive
 *    CLOSED         no session; in its lane's next turn the last words are
 *                   sent, the socket is closed, and it is freed. If it was us
 *                   who ended it, the socket lingers until the peer has closed,
 *                   too: or what it still sends would take our words back
 *
 * Reading. All connections of a lane read into one buffer; only a packet whose
 * end has not arrived is kept (`in`), so that an idle connection has no buffer
 * at all. While a packet must wait (a verdict, `publish_max`, the journal, a
 * peer that does not read) the socket is not read.
 *
 * Writing. What is to be sent gathers in `out`, by whatever thread, and is
 * written once, when the lane's turn ends: then it moves to `tx`, which only
 * the lane touches. mqtt_conn_has_room() keeps PUBLISHes within `max_output`;
 * answers are bounded because a peer that does not take them is not read.
 *
 * Waiting for the disk. A gate marks a place in `out`: what is behind it is
 * sent when the journal has got so far. So an answer can not overtake what it
 * promises, and the order of answers stays.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MAX (6u * (MQTT_TEXT_MAX + 2) + 4096)
#define ANSWERS_MAX (64u << 10) /* bytes beyond max_output */
#define READS_MAX 16            /* of one stream in a row */
#define LINGER_MS 2000          /* for the peer to close after us */
#define TURNS_MAX 64u           /* connections that are written together */

/* --- the socket ---------------------------------------------------------- */

static ssize_t
receive(struct conn *c, void *p, size_t len)
{
	return c->stream != NULL ? stream_read(c->stream, p, len)
				 : recv(c->io.fd, p, len, MSG_DONTWAIT);
}

static ssize_t
send_some(struct conn *c, const struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov,
		.msg_iovlen = (size_t)n };

	if (c->stream != NULL)
		return stream_writev(c->stream, iov, n);
	if (n == 1)
		return send(c->io.fd, iov->iov_base, iov->iov_len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	return sendmsg(c->io.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* --- the turn ------------------------------------------------------------ */

/* May the next packet be served? */
static bool
ready(struct conn *c)
{
	const struct mqtt_server_conf *conf = &c->server->conf;

	if ((c->state != AWAIT_CONNECT && c->state != UP &&
		c->state != AWAIT_PROXY) ||
	    c->doomed || c->limited || c->n_arrivals >= conf->publish_max ||
	    conn_unsent(c) >= conf->max_output + conf->max_packet + ANSWERS_MAX)
		return false;
	if (!list_empty(&c->held))
		return false;
	if (c->state == UP && mqtt_is_busy(c->server)) {
		list_add(&c->server->held, &c->held);
		return false;
	}
	return true;
}

/* Lane's own; under the lock because of what ready() looks at. */
static void
watch(struct conn *c)
{
	unsigned wants = c->stream != NULL ? stream_wants(c->stream) : 0;

	if (c->gone)
		return;
	loop_watch(c->lane->loop, &c->io,
	    (ready(c) ? LOOP_READ : 0) |
		(c->blocked || wants & LOOP_WRITE ? LOOP_WRITE : 0));
}

void
mqtt_conn_wake(struct conn *c)
{
	if (c->state == CLOSED && c->gone)
		return;
	if (c->server->n_lanes > 1 && mqtt_lane_here(c->server) != c->lane)
		mqtt_lane_wake(c);
	else if (!c->turning)
		mqtt_conn_due(c);
}

void
mqtt_conn_due(struct conn *c)
{
	if (list_empty(&c->due))
		list_add(&c->lane->due, &c->due);
	loop_defer(c->lane->loop, &c->lane->turns);
}

void
mqtt_conn_doom(struct conn *c)
{
	if (c->doomed || c->state == CLOSED)
		return;
	c->doomed = true;
	if (c->server->n_lanes == 1 || mqtt_lane_here(c->server) == c->lane)
		c->turning = false;
	mqtt_conn_wake(c);
}

void
mqtt_conn_end(struct conn *c, uint8_t reason, const char *text)
{
	struct mqtt_props props = { 0 };
	struct buf *out;
	size_t was;

	if (c->state == CLOSED || c->doomed)
		return;
	if (c->state == UP && c->level == 5) {
		if (text != NULL && text[0] != '\0' && c->want_problem) {
			props.has = 1ull << MQTT_P_REASON;
			props.reason = str_of(text);
		}
		out = mqtt_conn_begin(c);
		was = out->len;
		mqtt_put_end(out, 5, MQTT_DISCONNECT, reason, &props);
		if (out->len - was > c->max_packet) { /* [5:3.14.2-3] */
			out->len = was;
			mqtt_put_end(out, 5, MQTT_DISCONNECT, reason, NULL);
		}
		mqtt_conn_added(c, was);
	}
	mqtt_conn_doom(c);
}

/* Who has not logged in gets no more than a CONNECT may need. */
static size_t
packet_max(const struct conn *c)
{
	size_t max = c->server->conf.max_packet;

	return c->state == UP ? max : MIN_OF(max, CONNECT_MAX);
}

static void
broken_rule(struct conn *c, int rc, uint8_t reason, const struct err *err)
{
	if (rc == ERR_LIMIT) {
		COUNT(too_large);
		reason = MQTT_R_TOO_LARGE;
	} else {
		COUNT(protocol_errors);
	}
	if (c->state == UP && c->level == 5 && !c->doomed)
		mqtt_conn_end(c, reason, err->text);
	else if (!c->doomed)
		mqtt_conn_close(c);
}

/* Serves what is whole in `bytes`; returns how much that was. */
static size_t
serve_all(struct conn *c, struct str bytes)
{
	struct mqtt_packet p;
	struct str rest = bytes;
	struct err err = { 0 };
	uint8_t reason;
	size_t len;
	int rc;

	c->stalled = false;
	for (;;) {
		if (!ready(c)) {
			c->stalled = rest.len > 0;
			break;
		}
		rc = mqtt_parse(rest, c->level, packet_max(c), &p, &len, &err);
		if (rc == ERR_AGAIN)
			break;
		reason = p.code;
		if (rc == 0) {
			rest.ptr += len;
			rest.len -= len;
			c->lane->done.packets++;
			err.text[0] = '\0';
			rc = mqtt_serve(c, &p, &reason);
		}
		if (rc == 0)
			continue;
		broken_rule(c, rc, reason, &err);
		break;
	}
	return c->state == CLOSED ? bytes.len : bytes.len - rest.len;
}

/* Replaces what is kept. False: memory was refused. */
static bool
keep(struct conn *c, const char *p, size_t len)
{
	if (len == 0) {
		free(c->in);
		c->in = NULL;
		c->in_cap = 0;
	} else if (len > c->in_cap) {
		char *bigger = mem_try(len);

		if (bigger == NULL)
			return false;
		memcpy(bigger, p, len);
		free(c->in);
		c->in = bigger;
		c->in_cap = (uint32_t)len;
	} else {
		memmove(c->in, p, len);
	}
	c->in_len = (uint32_t)len;
	return true;
}

/* Serves `bytes`, which begin with all that was kept. */
static void
serve_and_keep(struct conn *c, struct str bytes)
{
	size_t used = serve_all(c, bytes);

	if (c->state != CLOSED && !keep(c, bytes.ptr + used, bytes.len - used))
		mqtt_conn_close(c);
}

/* Room for more of a long packet behind what is kept; twice as much each time,
 * so that a peer has to send what it wants us to hold. */
static bool
in_grow(struct conn *c)
{
	uint32_t cap = c->in_cap * 2;
	char *bigger;

	if (c->in_cap - c->in_len >= READ_SIZE / 2)
		return true;
	bigger = mem_try(cap);
	if (bigger == NULL)
		return false;
	memcpy(bigger, c->in, c->in_len);
	free(c->in);
	c->in = bigger;
	c->in_cap = cap;
	return true;
}

void
mqtt_conn_feed(struct conn *c, struct str bytes)
{
	struct buf all = { 0 };

	mqtt_lock(c->server);
	c->server->now_ms = c->heard_ms = clock_mono();
	TALLY(c->server, bytes_in, bytes.len);
	buf_add(&all, c->in, c->in_len);
	buf_add_str(&all, bytes);
	if (all.len > 0)
		serve_and_keep(c, buf_str(&all));
	mqtt_unlock(c->server);
	buf_free(&all);
}

/* Reads once. True: there may be more to read at once. */
static bool
read_some(struct conn *c)
{
	bool large = c->in_len >= READ_SIZE / 2;
	size_t have = c->in_len, cap = READ_SIZE;
	struct mqtt_server *s = c->server;
	char *buf = c->lane->read_buf;
	bool more;
	ssize_t n;

	if (large && !in_grow(c)) {
		n = 0;
	} else {
		if (large) {
			buf = c->in;
			cap = c->in_cap;
		} else if (have > 0) {
			memcpy(buf, c->in, have);
		}
		n = receive(c, buf + have, cap - have);
		if (n < 0 &&
		    (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
			return false;
	}
	if (n > 0) {
		c->lane->done.reads++;
		mqtt_lane_has_done(c->lane);
	}
	mqtt_lock(s);
	if (n <= 0) {
		mqtt_conn_close(c);
		more = false;
	} else {
		s->now_ms = c->heard_ms = clock_mono();
		TALLY(s, bytes_in, n);
		if (large)
			c->in_len += (uint32_t)n;
		serve_and_keep(c, (struct str){ buf, have + (size_t)n });
		more = c->stream != NULL && c->state != CLOSED && ready(c);
	}
	mqtt_unlock(s);
	return more;
}

/* --- PROXY --------------------------------------------------------------- */

/* Takes the header and not a byte more: what follows belongs to TLS, perhaps.
 */
static void
read_proxy(struct conn *c)
{
	char bytes[PROXY_MAX];
	struct proxy_header head;
	struct mqtt_server *s = c->server;
	size_t have = c->in_len, len = 0;
	ssize_t n;
	int rc;

	if (have > 0)
		memcpy(bytes, c->in, have);
	n = recv(c->io.fd, bytes + have, sizeof(bytes) - have,
	    MSG_DONTWAIT | MSG_PEEK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	rc = n <= 0
	    ? ERR_CLOSED
	    : proxy_parse((struct str){ bytes, have + (size_t)n }, &head, NULL);
	len = rc == 0 ? head.len : have + (size_t)n;
	if (rc == 0 || rc == ERR_AGAIN) /* all of it is ours */
		n = recv(c->io.fd, bytes + have, len - have, MSG_DONTWAIT);
	mqtt_lock(s);
	if (rc == ERR_AGAIN && have + (size_t)n < sizeof(bytes)) {
		if (!keep(c, bytes, have + (size_t)n))
			mqtt_conn_close(c);
	} else if (rc != 0) {
		COUNT(protocol_errors);
		mqtt_conn_close(c);
	} else {
		(void)keep(c, NULL, 0);
		if (!head.local && head.source.ss_family != AF_UNSPEC)
			mqtt_address_key(&head.source, c->address);
		if (head.cn.ptr != NULL)
			c->proxy_cn = str_copy(head.cn);
		c->state = AWAIT_CONNECT;
		if (!mqtt_listener_admits(c->listener, c->address) ||
		    !mqtt_listener_wrap(c))
			mqtt_conn_close(c);
	}
	mqtt_unlock(s);
}

/* --- writing ------------------------------------------------------------- */

/* Writes `tx` until the socket is full; returns the bytes, -1 if it is broken.
 * Without the lock: `tx` is changed by the caller. */
static ssize_t
write_tx(struct conn *c)
{
	struct iovec iov[IOV_MAX_USED];
	ssize_t n;

	for (;;) {
		n = send_some(c, iov, mqtt_output_gather(&c->tx, iov));
		if (n >= 0 || errno != EINTR)
			break;
	}
	if (n >= 0)
		return n;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		return -1;
	c->blocked = true;
	return 0;
}

/* Sends what may be sent still. */
static void
say_goodbye(struct conn *c)
{
	ssize_t n = 0;

	for (int i = 0; i < 2 && n >= 0; i++) {
		mqtt_conn_fill_tx(c);
		if (c->tx.unsent > 0 && (n = write_tx(c)) > 0)
			mqtt_output_sent(&c->tx, (size_t)n);
	}
	if (c->stream != NULL)
		stream_bye(c->stream);
}

static void
pump(struct conn *c)
{
	c->pump = false;
	if (c->state == UP)
		mqtt_session_pump(c->session);
}

/* What it has beside its socket. */
static void
release_all(struct conn *c)
{
	struct mqtt_server *s = c->server;

	mqtt_output_release(s, &c->out);
	mqtt_output_release(s, &c->tx);
	list_del(&c->gated);
	mqtt_aliases_free(c->aliases);
	c->aliases = NULL;
	mqtt_last_match_free(c->last);
	c->last = NULL;
	str_free(c->proxy_cn);
	c->proxy_cn = STR_NULL;
	free(c->gates);
	c->gates = NULL;
	c->n_gates = 0;
	loop_free_later(c->lane->loop, c->in); /* it may be being parsed */
	c->in = NULL;
}

/* Of a closed one: waits for the peer to close. */
static void
linger(struct conn *c)
{
	struct loop *loop = c->lane->loop;

	say_goodbye(c);
	release_all(c);
	c->lingers = true;
	(void)shutdown(c->io.fd, SHUT_WR);
	loop_watch(loop, &c->io, LOOP_READ);
	loop_after(loop, &c->timer, LINGER_MS);
}

static void
discard(struct conn *c)
{
	ssize_t n = recv(c->io.fd, c->lane->read_buf, READ_SIZE, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		mqtt_conn_bury(c);
}

void
mqtt_conn_bury(struct conn *c)
{
	struct mqtt_server *s = c->server;
	struct loop *loop = c->lane->loop;

	if (c->gone)
		return;
	c->gone = true;
	loop_unwatch(loop, &c->io);
	loop_cancel(loop, &c->timer);
	list_del(&c->due);
	list_del(&c->woken);
	if (!c->lingers)
		say_goodbye(c);
	stream_free(c->stream);
	close(c->io.fd);
	list_del(&c->link);
	s->n_conns--;
	c->lane->n_conns--;
	c->listener->n_conns--;
	COUNT_BY(connections, -1);
	release_all(c);
	loop_free_later(loop, c);
}

/* --- turns --------------------------------------------------------------- */

/* Has it something to write? What writing made room for is fetched, too. */
static bool
has_to_write(struct conn *c)
{
	if (c->state == CLOSED || c->blocked)
		return false;
	if (c->tx.unsent == 0)
		mqtt_conn_fill_tx(c);
	if (c->tx.unsent == 0 && c->starved && mqtt_conn_has_room(c)) {
		c->starved = false;
		pump(c);
		mqtt_conn_fill_tx(c);
	}
	if (c->tx.unsent == 0)
		mqtt_output_release(c->server, &c->tx);
	return c->tx.unsent > 0;
}

static void
has_written(struct conn *c, ssize_t n)
{
	if (n < 0) {
		mqtt_conn_close(c);
		return;
	}
	TALLY(c->server, bytes_out, n);
	c->lane->done.writes++;
	c->lane->done.bytes_out += (uint64_t)n;
	mqtt_lane_has_done(c->lane);
	mqtt_output_sent(&c->tx, (size_t)n);
}

/* All are fetched, then all are written, then all is accounted for: so the lock
 * is taken once for many. A connection that always has more must wait for its
 * next turn. Called with the lock, which is given up while it writes. */
static void
write_all(struct mqtt_server *s, struct conn *const *due, unsigned n)
{
	struct conn *c[TURNS_MAX];
	ssize_t sent[TURNS_MAX];

	for (int round = 0; round < 4; round++) {
		unsigned m = 0;

		for (unsigned i = 0; i < n; i++)
			if (has_to_write(due[i]))
				c[m++] = due[i];
		if (m == 0)
			break;
		mqtt_unlock(s);
		for (unsigned i = 0; i < m; i++)
			sent[i] = write_tx(c[i]);
		mqtt_lock(s);
		for (unsigned i = 0; i < m; i++)
			has_written(c[i], sent[i]);
		due = c;
		n = m;
	}
}

/* False: it has ended. */
static bool
begin_turn(struct conn *c)
{
	if (c->doomed)
		mqtt_conn_close(c);
	if (c->state == CLOSED) {
		list_del(&c->due);
		if (c->doomed && !c->lingers)
			linger(c);
		else if (!c->lingers)
			mqtt_conn_bury(c);
		return false;
	}
	c->turning = true;
	list_del(&c->due); /* reading may have asked for what comes now */
	mqtt_login_finish(c);
	if (c->stalled && ready(c))
		serve_and_keep(c, (struct str){ c->in, c->in_len });
	if (c->pump)
		pump(c);
	return true;
}

static void
end_turn(struct conn *c)
{
	c->turning = false;
	if (c->state == CLOSED) {
		mqtt_conn_wake(c);
		return;
	}
	if (c->doomed || (c->stalled && ready(c)) ||
	    (!c->blocked &&
		(c->tx.unsent > 0 || (c->out.unsent > 0 && c->n_gates == 0))))
		mqtt_conn_wake(c);
	watch(c);
	if (c->stream != NULL && ready(c) &&
	    stream_wants(c->stream) & LOOP_READ) {
		c->again = true;
		mqtt_conn_wake(c);
	}
}

void
mqtt_conn_turns(struct loop_defer *d)
{
	struct lane *lane = container_of(d, struct lane, turns);
	struct mqtt_server *s = lane->server;
	struct conn *due[TURNS_MAX], *c;
	unsigned n = 0, m = 0;

	while (n < TURNS_MAX &&
	    (c = list_first(&lane->due, struct conn, due)) != NULL) {
		list_del(&c->due);
		due[n++] = c;
	}
	for (unsigned i = 0; i < n; i++) {
		if (due[i]->again) {
			due[i]->again = false;
			(void)read_some(due[i]);
		}
	}
	mqtt_lock(s);
	for (unsigned i = 0; i < n; i++)
		if (begin_turn(due[i]))
			due[m++] = due[i];
	write_all(s, due, m);
	for (unsigned i = 0; i < m; i++)
		end_turn(due[i]);
	mqtt_turn_over(s);
	mqtt_unlock(s);
	if (!list_empty(&lane->due))
		loop_defer(lane->loop, &lane->turns);
}

static void
flush_stream(struct conn *c)
{
	if (stream_wants(c->stream) & LOOP_WRITE &&
	    stream_flush(c->stream) < 0 && errno != EAGAIN)
		mqtt_conn_close(c);
}

static void
on_ready(struct loop_io *io, unsigned what)
{
	struct conn *c = container_of(io, struct conn, io);
	struct mqtt_server *s = c->server;
	int rounds = READS_MAX;
	bool may;

	mqtt_lock(s);
	if (c->lingers) {
		discard(c);
		mqtt_unlock(s);
		return;
	}
	if (what & LOOP_WRITE) {
		c->blocked = false;
		if (c->stream != NULL)
			flush_stream(c);
		mqtt_conn_wake(c);
	}
	may = what & LOOP_READ && ready(c);
	mqtt_unlock(s);
	if (may && c->state == AWAIT_PROXY)
		read_proxy(c);
	else if (may)
		while (read_some(c) && --rounds > 0)
			;
	mqtt_lock(s);
	if (c->state != CLOSED) {
		watch(c);
		if (c->stream != NULL) /* are there bytes in a layer? */
			mqtt_conn_wake(c);
	}
	mqtt_turn_over(s);
	mqtt_unlock(s);
}

/* --- life ---------------------------------------------------------------- */

static void
on_timer(struct loop_timer *t)
{
	struct conn *c = container_of(t, struct conn, timer);
	struct mqtt_server *s = c->server;
	struct loop *loop = c->lane->loop;
	int64_t left;

	mqtt_lock(s);
	s->now_ms = clock_mono();
	if (c->lingers) {
		mqtt_conn_bury(c);
		mqtt_unlock(s);
		return;
	}
	left = c->heard_ms + c->silence_ms - clock_mono();
	if (c->limited) {
		c->limited = false;
		mqtt_conn_wake(c);
	}
	if (c->state == AWAIT_CONNECT || c->state == AWAIT_PROXY) {
		COUNT(connect_timeouts);
		mqtt_conn_close(c);
	} else if (c->state == CLOSED || c->silence_ms == 0) {
		;
	} else if (left > 0 || !ready(c)) {
		/* Heard since; or it is us who do not listen. */
		loop_after(loop, t, left > 0 ? left : c->silence_ms);
	} else {
		COUNT(keepalive_timeouts);
		if (c->level == 5)
			mqtt_conn_end(c, MQTT_R_KEEPALIVE, NULL);
		else
			mqtt_conn_close(c);
	}
	mqtt_unlock(s);
}

struct conn *
mqtt_conn_new(struct lane *lane, struct mqtt_listener *l, int fd,
    struct stream *stream, const uint8_t address[16])
{
	struct mqtt_server *s = lane->server;
	struct conn *c = mem_new(struct conn);

	c->server = s;
	c->lane = lane;
	c->listener = l;
	c->stream = stream;
	c->state = l->conf.proxy ? AWAIT_PROXY : AWAIT_CONNECT;
	c->io.fd = fd;
	c->io.ready = on_ready;
	c->timer.fire = on_timer;
	c->max_packet = UINT32_MAX;
	c->receive_max = UINT16_MAX;
	memcpy(c->address, address, sizeof(c->address));
	list_init(&c->arrivals);
	list_init(&c->due);
	list_init(&c->woken);
	list_init(&c->held);
	list_init(&c->gated);
	list_add(&s->conns, &c->link);
	s->n_conns++;
	lane->n_conns++;
	l->n_conns++;
	COUNT(connections);
	c->heard_ms = clock_mono();
	if (s->conf.connect_timeout_ms > 0)
		loop_after(lane->loop, &c->timer, s->conf.connect_timeout_ms);
	watch(c);
	return c;
}

void
mqtt_conn_close(struct conn *c)
{
	struct mqtt_server *s = c->server;
	struct session *session = c->session;
	struct will *will = c->will;

	if (c->state == CLOSED)
		return;
	c->state = CLOSED;
	list_del(&c->held);
	mqtt_login_leave(c);
	c->session = NULL;
	c->will = NULL;
	mqtt_arrivals_abandon(
	    c, session != NULL && session->expiry_s > 0 ? session : NULL);
	if (c->graceful || s->closing) {
		mqtt_will_free(will);
		will = NULL;
	}
	if (session != NULL)
		mqtt_session_detach(session, will);
	else
		mqtt_will_free(will);
	if (s->n_lanes == 1 || mqtt_lane_here(s) == c->lane)
		mqtt_conn_due(c);
	else
		mqtt_lane_wake(c);
}

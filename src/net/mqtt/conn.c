/*
 * net/mqtt/conn.c - one connection: bytes in, packets to serve.c, bytes out.
 *
 *    AWAIT_CONNECT --> AWAIT_VERDICT --> UP --> CLOSED     (see login.c)
 *
 * Any state goes to CLOSED by mqtt_conn_close(). What holds in each:
 *
 *    AWAIT_CONNECT  watched for reading; `timer` bounds the wait
 *    AWAIT_VERDICT  `login` is set; not read
 *    UP             `session` is set; `timer` watches the keep-alive
 *    CLOSED         no descriptor, timer or session; freed after this turn
 *
 * Reading. All connections read into one buffer of the server; only a packet
 * whose end has not arrived is kept (`in`), so that an idle connection has no
 * buffer at all. While a packet must wait (a verdict, `publish_max`, a peer
 * that does not read) the socket is not read.
 *
 * Writing. What is to be sent gathers in `out` and is written once, when the
 * turn ends. Small payloads are copied there, large ones are spliced in by
 * reference. mqtt_conn_has_room() keeps PUBLISHes within `max_output`; answers
 * are bounded because a peer that does not take them is not read.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPLICE_MIN 4096 /* payloads of this size are not copied */
#define CONNECT_MAX (5u * (MQTT_TEXT_MAX + 2) + 20)
#define IOV_MAX_USED 64
#define SPARE_OUT_CAP (256u << 10) /* larger buffers are not kept */
#define ANSWERS_MAX (64u << 10)    /* bytes beyond max_output */

/* --- TCP ----------------------------------------------------------------- */

static ssize_t
tcp_read(struct conn *c, void *p, size_t len)
{
	return recv(c->io.fd, p, len, MSG_DONTWAIT);
}

static ssize_t
tcp_writev(struct conn *c, const struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov,
		.msg_iovlen = (size_t)n };

	return sendmsg(c->io.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

const struct transport mqtt_tcp = { tcp_read, tcp_writev };

/* --- out ----------------------------------------------------------------- */

bool
mqtt_conn_has_room(struct conn *c)
{
	if (c->out_bytes < c->server->conf.max_output)
		return true;
	c->starved = true;
	return false;
}

/* The buffer to add to; a turn will write it. */
static struct buf *
begin(struct conn *c)
{
	struct mqtt_server *s = c->server;

	if (c->out.ptr == NULL && s->n_spare_out > 0)
		c->out = s->spare_out[--s->n_spare_out];
	mqtt_conn_wake(c);
	return &c->out;
}

static void
out_release(struct conn *c)
{
	struct mqtt_server *s = c->server;

	for (unsigned i = c->splice_first; i < c->n_splices; i++)
		mqtt_msg_unref(c->splices[i].msg);
	free(c->splices);
	c->splices = NULL;
	c->n_splices = c->cap_splices = c->splice_first = 0;
	c->splice_sent = 0;
	c->out_sent = 0;
	c->out_bytes = 0;
	if (c->out.ptr == NULL)
		return;
	if (s->n_spare_out < COUNT_OF(s->spare_out) &&
	    c->out.cap <= SPARE_OUT_CAP) {
		buf_clear(&c->out);
		s->spare_out[s->n_spare_out++] = c->out;
	} else {
		free(c->out.ptr);
	}
	c->out = (struct buf){ 0 };
}

static void
splice(struct conn *c, struct mqtt_msg *m)
{
	if (c->n_splices == c->cap_splices) {
		c->cap_splices = c->cap_splices * 2 + 8;
		c->splices =
		    mem_resize(c->splices, c->cap_splices, sizeof(*c->splices));
	}
	c->splices[c->n_splices++] =
	    (struct splice){ c->out.len, mqtt_msg_ref(m) };
}

void
mqtt_conn_send_publish(
    struct conn *c, struct mqtt_msg *m, struct mqtt_publish_flags f)
{
	struct buf *out = begin(c);
	size_t was = out->len, topic = 2u + m->topic_len;
	uint8_t *p;

	COUNT(publish_out);
	buf_reserve(out,
	    MQTT_HEAD_MAX + topic + 2 +
		(m->payload_len < SPLICE_MIN ? m->payload_len : 0));
	p = (uint8_t *)out->ptr + was;
	p += mqtt_publish_head(p, f, m->topic_len, m->payload_len);
	memcpy(p, m->wire, topic);
	p += topic;
	if (f.qos > 0) {
		*p++ = (uint8_t)(f.id >> 8);
		*p++ = (uint8_t)f.id;
	}
	if (m->payload_len < SPLICE_MIN) {
		memcpy(p, m->wire + topic, m->payload_len);
		p += m->payload_len;
	}
	out->len = (size_t)((char *)p - out->ptr);
	c->out_bytes += out->len - was;
	if (m->payload_len >= SPLICE_MIN) {
		c->out_bytes += m->payload_len;
		splice(c, m);
	}
}

void
mqtt_conn_send_connack(struct conn *c, bool present, uint8_t code)
{
	mqtt_put_connack(begin(c), present, code);
	c->out_bytes += 4;
}

void
mqtt_conn_send_ack(struct conn *c, enum mqtt_type type, uint16_t id)
{
	mqtt_put_ack(begin(c), type, id);
	c->out_bytes += 4;
}

void
mqtt_conn_send_suback(
    struct conn *c, uint16_t id, const uint8_t *codes, size_t n)
{
	struct buf *out = begin(c);
	size_t was = out->len;

	mqtt_put_suback(out, id, codes, n);
	c->out_bytes += out->len - was;
}

void
mqtt_conn_send_pingresp(struct conn *c)
{
	mqtt_put_empty(begin(c), MQTT_PINGRESP);
	c->out_bytes += 2;
}

static int
gather(struct conn *c, struct iovec iov[IOV_MAX_USED])
{
	size_t pos = c->out_sent, skip = c->splice_sent;
	unsigned i = c->splice_first;
	int n = 0;

	for (; i < c->n_splices && n + 2 < IOV_MAX_USED; i++) {
		struct str payload = mqtt_msg_payload(c->splices[i].msg);

		if (c->splices[i].at > pos)
			iov[n++] = (struct iovec){ c->out.ptr + pos,
				c->splices[i].at - pos };
		pos = c->splices[i].at;
		iov[n++] = (struct iovec){ (char *)payload.ptr + skip,
			payload.len - skip };
		skip = 0;
	}
	if (i == c->n_splices && pos < c->out.len)
		iov[n++] = (struct iovec){ c->out.ptr + pos, c->out.len - pos };
	return n;
}

/* Forgets the first `n` bytes. */
static void
sent(struct conn *c, size_t n)
{
	c->out_bytes -= n;
	while (n > 0) {
		struct splice *sp = c->splice_first < c->n_splices
		    ? &c->splices[c->splice_first]
		    : NULL;
		size_t end = sp != NULL ? sp->at : c->out.len;
		size_t take = MIN_OF(n, end - c->out_sent);

		c->out_sent += take;
		n -= take;
		if (n == 0 || sp == NULL)
			return;
		take = MIN_OF(n, sp->msg->payload_len - c->splice_sent);
		c->splice_sent += take;
		n -= take;
		if (c->splice_sent == sp->msg->payload_len) {
			mqtt_msg_unref(sp->msg);
			c->splice_first++;
			c->splice_sent = 0;
		}
	}
}

/* Moves the unsent bytes to the front when much before them is sent, or the
 * buffer of a peer that is always behind would grow for ever. */
static void
compact(struct conn *c)
{
	if (c->out_sent < READ_SIZE || c->out_sent < c->out.len / 2)
		return;
	memmove(c->out.ptr, c->out.ptr + c->out_sent, c->out.len - c->out_sent);
	c->out.len -= c->out_sent;
	c->n_splices -= c->splice_first;
	if (c->n_splices > 0)
		memmove(c->splices, c->splices + c->splice_first,
		    c->n_splices * sizeof(*c->splices));
	for (unsigned i = 0; i < c->n_splices; i++)
		c->splices[i].at -= c->out_sent;
	c->splice_first = 0;
	c->out_sent = 0;
}

/* Writes until all is sent or the socket is full. False: it is broken. */
static bool
write_out(struct conn *c)
{
	struct iovec iov[IOV_MAX_USED];
	ssize_t n;

	c->blocked = false;
	while (c->out_bytes > 0) {
		n = c->transport->writev(c, iov, gather(c, iov));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
			return false;
		if (n < 0) {
			c->blocked = true;
			compact(c);
			return true;
		}
		COUNT_BY(bytes_out, n);
		sent(c, (size_t)n);
	}
	out_release(c);
	return true;
}

/* --- the turn ------------------------------------------------------------ */

/* May the next packet be served? */
static bool
ready(const struct conn *c)
{
	const struct mqtt_server_conf *conf = &c->server->conf;

	return (c->state == AWAIT_CONNECT || c->state == UP) && !c->doomed &&
	    c->n_arrivals < conf->publish_max &&
	    c->out_bytes < conf->max_output + conf->max_packet + ANSWERS_MAX;
}

static void
watch(struct conn *c)
{
	loop_watch(c->server->loop, &c->io,
	    (ready(c) ? LOOP_READ : 0) | (c->blocked ? LOOP_WRITE : 0));
}

void
mqtt_conn_wake(struct conn *c)
{
	if (!c->turning && c->state != CLOSED)
		loop_defer(c->server->loop, &c->turn);
}

void
mqtt_conn_doom(struct conn *c)
{
	c->doomed = true;
	c->turning = false;
	mqtt_conn_wake(c);
}

/* Who has not logged in gets no more than a CONNECT may need. */
static size_t
packet_max(const struct conn *c)
{
	size_t max = c->server->conf.max_packet;

	return c->state == UP ? max : MIN_OF(max, CONNECT_MAX);
}

/* Serves what is whole in `bytes`; returns how much that was. */
static size_t
serve_all(struct conn *c, struct str bytes)
{
	struct mqtt_packet p;
	struct str rest = bytes;
	size_t len;
	int rc;

	c->stalled = false;
	for (;;) {
		if (!ready(c)) {
			c->stalled = rest.len > 0;
			break;
		}
		rc = mqtt_parse(rest, packet_max(c), &p, &len, NULL);
		if (rc == ERR_AGAIN)
			break;
		if (rc == 0) {
			rest.ptr += len;
			rest.len -= len;
			rc = mqtt_serve(c, &p);
		}
		if (rc == 0)
			continue;
		if (rc == ERR_LIMIT)
			COUNT(too_large);
		else
			COUNT(protocol_errors);
		mqtt_conn_close(c);
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
		c->in_cap = len;
	} else {
		memmove(c->in, p, len);
	}
	c->in_len = len;
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
	size_t cap = c->in_cap * 2;
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

	c->heard_ms = clock_mono();
	COUNT_BY(bytes_in, bytes.len);
	buf_add(&all, c->in, c->in_len);
	buf_add_str(&all, bytes);
	if (all.len > 0)
		serve_and_keep(c, buf_str(&all));
	buf_free(&all);
}

static void
on_readable(struct conn *c)
{
	bool large = c->in_len >= READ_SIZE / 2;
	char *buf = c->server->read_buf;
	size_t have = c->in_len, cap = READ_SIZE;
	ssize_t n;

	if (large) {
		if (!in_grow(c)) {
			mqtt_conn_close(c);
			return;
		}
		buf = c->in;
		cap = c->in_cap;
	} else if (have > 0) {
		memcpy(buf, c->in, have);
	}
	n = c->transport->read(c, buf + have, cap - have);
	if (n < 0 &&
	    (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		mqtt_conn_close(c);
		return;
	}
	c->heard_ms = clock_mono();
	COUNT_BY(bytes_in, n);
	if (large)
		c->in_len += (size_t)n;
	serve_and_keep(c, (struct str){ buf, have + (size_t)n });
}

/* The last words, CONNACK above all, should arrive: with unread bytes in the
 * socket, closing would take them back. */
static void
say_goodbye(struct conn *c)
{
	(void)write_out(c);
	(void)!c->transport->read(c, c->server->read_buf, READ_SIZE);
	mqtt_conn_close(c);
}

static void
pump(struct conn *c)
{
	c->pump = false;
	if (c->state == UP)
		mqtt_session_pump(c->session);
}

static void
take_turn(struct conn *c)
{
	if (c->doomed) {
		say_goodbye(c);
		return;
	}
	c->turning = true;
	if (c->stalled && ready(c))
		serve_and_keep(c, (struct str){ c->in, c->in_len });
	if (c->pump)
		pump(c);
	/* What writing makes room for is sent at once, but not for ever. */
	for (int round = 0; round < 4 && c->state != CLOSED; round++) {
		if (!c->blocked && !write_out(c)) {
			mqtt_conn_close(c);
			break;
		}
		if (!c->starved || !mqtt_conn_has_room(c))
			break;
		c->starved = false;
		pump(c);
	}
	c->turning = false;
	if (c->state == CLOSED)
		return;
	if (c->out_bytes > 0)
		c->blocked = true; /* go on when the socket says so */
	if (c->stalled && ready(c))
		mqtt_conn_wake(c);
	watch(c);
}

static void
on_turn(struct loop_defer *d)
{
	take_turn(container_of(d, struct conn, turn));
}

static void
on_ready(struct loop_io *io, unsigned what)
{
	struct conn *c = container_of(io, struct conn, io);

	if (what & LOOP_WRITE) {
		c->blocked = false;
		mqtt_conn_wake(c);
	}
	if (what & LOOP_READ && ready(c))
		on_readable(c);
	if (c->state != CLOSED)
		watch(c);
}

/* --- life ---------------------------------------------------------------- */

static void
on_timer(struct loop_timer *t)
{
	struct conn *c = container_of(t, struct conn, timer);
	int64_t left = c->heard_ms + c->silence_ms - clock_mono();

	if (c->state == AWAIT_CONNECT) {
		COUNT(connect_timeouts);
		mqtt_conn_close(c);
	} else if (left > 0 || !ready(c)) {
		/* Heard since; or it is us who do not listen. */
		loop_after(c->server->loop, t, left > 0 ? left : c->silence_ms);
	} else {
		COUNT(keepalive_timeouts);
		mqtt_conn_close(c);
	}
}

struct conn *
mqtt_conn_new(struct mqtt_server *s, int fd, const struct transport *transport,
    const uint8_t address[16])
{
	struct conn *c = mem_new(struct conn);

	c->server = s;
	c->transport = transport;
	c->io.fd = fd;
	c->io.ready = on_ready;
	c->timer.fire = on_timer;
	c->turn.run = on_turn;
	memcpy(c->address, address, sizeof(c->address));
	list_init(&c->arrivals);
	list_add(&s->conns, &c->link);
	s->n_conns++;
	COUNT(connections);
	c->heard_ms = clock_mono();
	if (s->conf.connect_timeout_ms > 0)
		loop_after(s->loop, &c->timer, s->conf.connect_timeout_ms);
	watch(c);
	return c;
}

void
mqtt_conn_close(struct conn *c)
{
	struct mqtt_server *s = c->server;
	struct session *session = c->session;
	struct account *account;

	if (c->state == CLOSED)
		return;
	c->state = CLOSED;
	loop_unwatch(s->loop, &c->io);
	loop_cancel(s->loop, &c->timer);
	loop_undefer(s->loop, &c->turn);
	close(c->io.fd);
	list_del(&c->link);
	s->n_conns--;
	COUNT_BY(connections, -1);
	out_release(c);
	if (c->login != NULL)
		c->login->conn = NULL;

	account = mqtt_account_ref(session != NULL ? session->account : NULL);
	mqtt_arrivals_abandon(
	    c, session != NULL && !session->clean ? session : NULL);
	c->session = NULL;
	if (session != NULL && !c->graceful && !s->closing && c->will != NULL) {
		if (account != NULL) /* the will still needs it */
			mqtt_account_enter(account, NULL);
		mqtt_session_detach(session);
		mqtt_will_publish(s, account, c->will);
		c->will = NULL;
		if (account != NULL)
			mqtt_account_leave(account, NULL);
	} else if (session != NULL) {
		mqtt_session_detach(session);
	}
	mqtt_account_unref(account);
	mqtt_will_free(c->will);
	c->will = NULL;
	if (c->in != NULL)
		loop_free_later(s->loop, c->in); /* it may be being parsed */
	c->in = NULL;
	c->in_len = c->in_cap = 0;
	loop_free_later(s->loop, c);
}

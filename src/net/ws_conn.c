/*
 * net/ws_conn.c - see ws_conn.h.
 *
 *    OPEN --close()-----------> CLOSING --sent, EOF or 2 s--> freed
 *      |  rule broken, peer's close
 *      +--socket broken, EOF--> freed
 */
#include "net/ws_conn.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "net/ws_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_MAX 65536
#define TURN_MAX (4 * READ_MAX) /* then others have a turn */
#define CLOSING_MS 2000
#define MOVE_AT ((size_t)256 * 1024)
#define PONGS_MAX 8 /* that wait; more pings get no answer */

struct ws_conn {
	struct loop *loop;
	struct ws_conn_conf conf;
	const struct ws_conn_events *events; /* NULL: the owner is done */
	void *owner;
	struct loop_io io;
	struct stream *top;
	struct loop_timer closing;
	struct loop_defer settle;
	struct ws_text in;
	struct buf out;
	size_t sent; /* of `out` */
	unsigned holds;
	unsigned pongs; /* in `out`, at most */
	bool shut;      /* the close frame is in `out`, nothing follows it */
	bool full;      /* more than `low` waited */
	bool dead;
	bool inside; /* ... one of our own functions */
	int64_t heard;
};

static void
free_conn(struct ws_conn *c)
{
	c->dead = true;
	loop_unwatch(c->loop, &c->io);
	loop_cancel(c->loop, &c->closing);
	loop_undefer(c->loop, &c->settle);
	stream_free(c->top);
	close(c->io.fd);
	if (c->conf.ended != NULL)
		c->conf.ended(c->conf.ended_ctx);
	ws_text_fini(&c->in);
	buf_free(&c->out);
	loop_free_later(c->loop, c);
}

static void
tell_closed(struct ws_conn *c, const struct err *why)
{
	const struct ws_conn_events *events = c->events;

	c->events = NULL;
	if (events != NULL)
		events->closed(c->owner, why);
}

/* The socket is of no use any more. */
static void
lost(struct ws_conn *c, const struct err *why)
{
	if (c->dead)
		return;
	c->dead = true;
	tell_closed(c, why);
	free_conn(c);
}

static void
lost_because(struct ws_conn *c, int code, const char *text)
{
	struct err why;

	(void)err_set(&why, code, "%s", text);
	lost(c, &why);
}

/* --- out ------------------------------------------------------------------ */

static void
put_frame(struct ws_conn *c, enum websocket_opcode opcode, struct str head,
    struct str payload)
{
	struct websocket_head h = { .opcode = opcode,
		.fin = true,
		.masked = c->conf.client,
		.len = head.len + payload.len };
	char p[WEBSOCKET_HEAD_MAX];
	size_t from;

	if (c->shut || c->dead)
		return;
	if (h.masked)
		rand_bytes(h.mask, sizeof(h.mask));
	buf_add(&c->out, p, websocket_put(p, &h));
	from = c->out.len;
	if (head.len > 0)
		buf_add_str(&c->out, head);
	if (payload.len > 0)
		buf_add_str(&c->out, payload);
	if (h.masked && h.len > 0)
		websocket_mask(c->out.ptr + from, (size_t)h.len, h.mask, 0);
	if (ws_conn_waiting(c) > c->conf.low)
		c->full = true;
	loop_defer(c->loop, &c->settle);
}

void
ws_conn_send2(
    struct ws_conn *c, bool binary, struct str head, struct str payload)
{
	put_frame(c, binary ? WEBSOCKET_BINARY : WEBSOCKET_TEXT, head, payload);
}

void
ws_conn_send(struct ws_conn *c, bool binary, struct str payload)
{
	ws_conn_send2(c, binary, STR(""), payload);
}

void
ws_conn_ping(struct ws_conn *c, struct str payload)
{
	put_frame(c, WEBSOCKET_PING, STR(""), payload);
}

size_t
ws_conn_waiting(const struct ws_conn *c)
{
	return c->out.len - c->sent;
}

static void
forget_sent(struct ws_conn *c)
{
	if (c->sent == c->out.len) {
		buf_free(&c->out);
		c->out = (struct buf){ 0 };
		c->sent = 0;
		c->pongs = 0;
	} else if (c->sent > MOVE_AT && c->sent > c->out.len / 2) {
		memmove(c->out.ptr, c->out.ptr + c->sent, c->out.len - c->sent);
		c->out.len -= c->sent;
		c->sent = 0;
	}
}

/* False: it is lost. */
static bool
write_out(struct ws_conn *c)
{
	while (c->sent < c->out.len) {
		struct iovec iov = { c->out.ptr + c->sent,
			c->out.len - c->sent };
		ssize_t n = stream_writev(c->top, &iov, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
			lost_because(c, ERR_CLOSED, "the connection broke");
			return false;
		}
		if (n <= 0)
			break;
		c->sent += (size_t)n;
	}
	forget_sent(c);
	if (stream_wants(c->top) & LOOP_WRITE && stream_flush(c->top) < 0 &&
	    errno != EAGAIN) {
		lost_because(c, ERR_CLOSED, "the connection broke");
		return false;
	}
	return true;
}

/* --- its end -------------------------------------------------------------- */

static void
shut(struct ws_conn *c, int code)
{
	const char payload[2] = { (char)(code >> 8), (char)code };

	if (c->shut)
		return;
	put_frame(c, WEBSOCKET_CLOSE, STR(""),
	    (struct str){ payload, code == WEBSOCKET_NO_CODE ? 0 : 2 });
	c->shut = true;
	loop_after(c->loop, &c->closing, CLOSING_MS);
}

static void
on_closing(struct loop_timer *t)
{
	lost_because(container_of(t, struct ws_conn, closing), ERR_CLOSED,
	    "the connection was closed");
}

void
ws_conn_close(struct ws_conn *c, int code)
{
	if (c == NULL)
		return;
	c->events = NULL;
	if (code != 0)
		shut(c, code);
	else if (!c->dead && !c->inside)
		free_conn(c);
	else if (!c->dead)
		loop_after(c->loop, &c->closing, 0);
}

/* --- in ------------------------------------------------------------------- */

static void
on_close_frame(struct ws_conn *c, struct str payload)
{
	int code = websocket_close_code(payload);
	struct err why;

	shut(c, code < 0 ? -code : code);
	(void)err_set(&why, ERR_CLOSED, "closed by the peer (%d)",
	    code < 0 ? -code : code);
	tell_closed(c, &why);
}

static bool
wants_more(const struct ws_conn *c)
{
	return !c->dead && c->events != NULL && c->holds == 0 && !c->shut;
}

static void
pong(struct ws_conn *c, struct str payload)
{
	c->pongs++;
	put_frame(c, WEBSOCKET_PONG, STR(""), payload);
}

/* Looks at what has come. */
static void
take(struct ws_conn *c)
{
	while (wants_more(c)) {
		enum websocket_opcode kind;
		struct str payload;
		int rc = ws_text_next(&c->in, &kind, &payload);

		if (rc < 0) {
			struct err why;

			shut(c, -rc);
			(void)err_set(&why, ERR_PROTO,
			    "the peer broke a rule of WebSocket (%d)", -rc);
			tell_closed(c, &why);
		}
		if (rc <= 0)
			return;
		if (kind == WEBSOCKET_TEXT || kind == WEBSOCKET_BINARY)
			c->events->message(
			    c->owner, kind == WEBSOCKET_BINARY, payload);
		else if (kind == WEBSOCKET_PING && c->pongs < PONGS_MAX)
			pong(c, payload);
		else if (kind == WEBSOCKET_PONG && c->events->pong != NULL)
			c->events->pong(c->owner, payload);
		else if (kind == WEBSOCKET_CLOSE)
			on_close_frame(c, payload);
	}
}

static void
read_in(struct ws_conn *c)
{
	static _Thread_local char p[READ_MAX];
	size_t all = 0;

	do {
		ssize_t n = stream_read(c->top, p, sizeof(p));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n <= 0) {
			struct buf text = { 0 };

			if (n < 0)
				stream_why(c->top, &text);
			lost_because(c, ERR_CLOSED,
			    text.len > 0 ? buf_z(&text)
				: n == 0 ? "closed by the peer"
					 : "the connection broke");
			buf_free(&text);
			return;
		}
		c->heard = clock_mono();
		all += (size_t)n;
		if (c->shut)
			continue; /* only its end is waited for */
		ws_text_put(&c->in, p, (size_t)n);
		take(c);
	} while (!c->dead && (c->holds == 0 || c->shut) &&
	    (all < TURN_MAX || stream_wants(c->top) & LOOP_READ));
}

/* Sends, tells of room, and watches for what is wanted now. */
static void
settle(struct ws_conn *c)
{
	unsigned what = 0;

	if (c->dead || !write_out(c))
		return;
	if (c->full && ws_conn_waiting(c) <= c->conf.low) {
		c->full = false;
		if (c->events != NULL && c->events->room != NULL)
			c->events->room(c->owner);
		if (c->dead)
			return;
	}
	if (c->shut && c->sent == c->out.len && c->events == NULL &&
	    (stream_wants(c->top) & LOOP_WRITE) == 0) {
		stream_bye(c->top);
		lost_because(c, ERR_CLOSED, "closed");
		return;
	}
	if (c->holds == 0 || c->shut)
		what |= LOOP_READ;
	if (c->sent < c->out.len || stream_wants(c->top) & LOOP_WRITE)
		what |= LOOP_WRITE;
	loop_watch(c->loop, &c->io, what);
}

static void
on_settle(struct loop_defer *d)
{
	struct ws_conn *c = container_of(d, struct ws_conn, settle);

	c->inside = true;
	/* messages that came before it was held, or with the request */
	take(c);
	if (!c->dead && c->holds == 0 && stream_wants(c->top) & LOOP_READ)
		read_in(c);
	settle(c);
	c->inside = false;
}

static void
on_ready(struct loop_io *io, unsigned what)
{
	struct ws_conn *c = container_of(io, struct ws_conn, io);

	c->inside = true;
	if (what & LOOP_READ)
		read_in(c);
	settle(c);
	c->inside = false;
}

void
ws_conn_hold(struct ws_conn *c)
{
	c->holds++;
	loop_defer(c->loop, &c->settle);
}

void
ws_conn_release(struct ws_conn *c)
{
	c->holds--;
	loop_defer(c->loop, &c->settle);
}

bool
ws_conn_is_held(const struct ws_conn *c)
{
	return c->holds > 0;
}

int64_t
ws_conn_heard(const struct ws_conn *c)
{
	return c->heard;
}

void
ws_conn_message_max(struct ws_conn *c, size_t bytes)
{
	c->in.max = bytes;
}

struct ws_conn *
ws_conn_new(struct loop *loop, const struct ws_conn_conf *conf, int fd,
    struct stream *top, struct str already, const struct ws_conn_events *events,
    void *owner)
{
	struct ws_conn *c = mem_new(struct ws_conn);

	c->loop = loop;
	c->conf = *conf;
	c->events = events;
	c->owner = owner;
	c->top = top != NULL ? top : stream_socket(fd);
	c->io = (struct loop_io){ .ready = on_ready, .fd = fd };
	c->closing.fire = on_closing;
	c->settle.run = on_settle;
	c->in.max = conf->message_max;
	c->in.binary = true;
	c->in.client = conf->client;
	c->heard = clock_mono();
	if (already.len > 0)
		ws_text_put(&c->in, already.ptr, already.len);
	loop_defer(loop, &c->settle);
	return c;
}

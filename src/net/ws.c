/*
 * net/ws.c - see ws.h.
 *
 *              request good            close frame, or end
 *    REQUEST ────────────────► OPEN ───────────────────────► ENDED
 *       │                       │ rule broken
 *       └─────────► FAILED ◄────┘
 *        request bad
 *
 * What is read from below goes straight into the reader's own memory and is
 * taken out of its frames there: the payload only ever moves towards the start.
 * So an OPEN connection with nothing on its way holds no memory but this
 * struct:
 *
 *  (1) `in` holds what was read too far: the request while it is not whole, and
 *      frames behind it. It goes when it is empty.
 *  (2) `control` exists while a control frame is being read.
 *  (3) `out` holds what the layer below has not taken: whole frames, and the
 *      rest of one that was begun. Nothing passes it.
 */
#include "net/ws.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/websocket.h"
#include "net/ws_upgrade.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MAX 65535u /* bytes of payload that we send in one frame */
#define IOVS_MAX 64      /* pieces of one frame; more make another frame */
#define PONGS_MAX 8      /* that wait in `out`; more pings get no answer */
#define ROUNDS_MAX 16    /* reads without data before others have their turn */
#define MAX_FRAME_DEFAULT (16u << 20)

enum state { REQUEST, OPEN, ENDED, FAILED };

struct control {
	uint8_t len;
	char bytes[WEBSOCKET_CONTROL_MAX];
};

struct ws {
	struct stream base;
	struct stream *below;       /* ours */
	const struct ws_conf *conf; /* borrowed */

	uint8_t state;
	bool in_message; /* a fragmented message was begun, and goes on */
	bool bye;        /* our close frame is in `out`, or was sent */
	bool told;       /* the reader knows that it is over */
	uint8_t pongs;   /* in `out`, at most */

	uint8_t head_len; /* of a head that is not whole yet */
	char head[WEBSOCKET_HEAD_MAX];
	uint64_t left;   /* bytes of the frame's payload that did not come */
	uint64_t masked; /* bytes of it that did */
	uint8_t mask[4];
	uint8_t opcode; /* of the frame */

	struct control *control;
	size_t in_at, out_at; /* what of them is used up */
	struct buf in, out;
};

static struct ws *
ws_of(struct stream *s)
{
	return container_of(s, struct ws, base);
}

/* Output */

/* Gives `out` to the layer below. */
static int
send_out(struct ws *w)
{
	while (w->out_at < w->out.len) {
		struct iovec iov = { w->out.ptr + w->out_at,
			w->out.len - w->out_at };
		ssize_t n = stream_writev(w->below, &iov, 1);

		if (n < 0)
			return -1;
		w->out_at += (size_t)n;
	}
	buf_free(&w->out);
	w->out = (struct buf){ 0 };
	w->out_at = 0;
	w->pongs = 0;
	return 0;
}

static void
put_frame(struct ws *w, enum websocket_opcode opcode, const void *p, size_t len)
{
	struct websocket_head h = { .opcode = opcode, .fin = true, .len = len };
	char head[WEBSOCKET_HEAD_MAX];

	buf_add(&w->out, head, websocket_put(head, &h));
	buf_add(&w->out, p, len);
	(void)send_out(w); /* or later: stream_flush() tells what is wrong */
}

static void
put_close(struct ws *w, int code)
{
	char payload[2] = { (char)(code >> 8), (char)code };

	if (w->bye)
		return;
	w->bye = true;
	put_frame(w, WEBSOCKET_CLOSE, payload,
	    code == WEBSOCKET_NO_CODE ? 0 : sizeof(payload));
}

/* The peer broke a rule. */
static void
fail(struct ws *w, int code)
{
	w->state = FAILED;
	put_close(w, code);
}

/* Control frames */

static void
on_close(struct ws *w, struct str payload)
{
	int code = websocket_close_code(payload);

	if (code < 0) {
		fail(w, -code);
		return;
	}
	w->state = ENDED;
	put_close(w, code);
}

static void
on_control(struct ws *w)
{
	struct str payload = { w->control->bytes, w->control->len };

	if (w->opcode == WEBSOCKET_CLOSE) {
		on_close(w, payload);
	} else if (w->opcode == WEBSOCKET_PING && w->pongs < PONGS_MAX) {
		w->pongs++;
		put_frame(w, WEBSOCKET_PONG, payload.ptr, payload.len);
	}
	free(w->control);
	w->control = NULL;
}

/* Input */

static uint64_t
max_frame(const struct ws *w)
{
	return w->conf->max_frame == 0 ? MAX_FRAME_DEFAULT : w->conf->max_frame;
}

/* What a head alone does not break, but here. The code, or 0. */
static int
check_head(const struct ws *w, const struct websocket_head *h)
{
	if (websocket_is_control(h->opcode))
		return 0;
	if (h->opcode == WEBSOCKET_TEXT)
		return WEBSOCKET_UNSUPPORTED; /* [MQTT-6.0.0-1] */
	if ((h->opcode == WEBSOCKET_MORE) != w->in_message)
		return WEBSOCKET_PROTOCOL;
	if (h->len > max_frame(w))
		return WEBSOCKET_TOO_BIG;
	return 0;
}

static void
begin_frame(struct ws *w, const struct websocket_head *h)
{
	int code = check_head(w, h);

	if (code != 0) {
		fail(w, code);
		return;
	}
	w->opcode = (uint8_t)h->opcode;
	w->left = h->len;
	w->masked = 0;
	memcpy(w->mask, h->mask, sizeof(w->mask));
	if (!websocket_is_control(h->opcode)) {
		w->in_message = !h->fin;
		return;
	}
	w->control = mem_new(struct control);
	if (h->len == 0)
		on_control(w);
}

/* Takes bytes of a head; returns how many. */
static size_t
take_head(struct ws *w, const char *p, size_t len)
{
	size_t had = w->head_len, n = MIN_OF(len, sizeof(w->head) - had), size;
	struct websocket_head h;

	memcpy(w->head + had, p, n);
	switch (websocket_parse(
	    (struct str){ w->head, had + n }, true, &h, &size, NULL)) {
	case 0:
		w->head_len = 0;
		begin_frame(w, &h);
		return size - had;
	case ERR_AGAIN:
		w->head_len = (uint8_t)(had + n);
		return n;
	default:
		fail(w, WEBSOCKET_PROTOCOL);
		return len;
	}
}

/* Takes bytes of a payload; those of data go to `*to`, which moves on. */
static size_t
take_payload(struct ws *w, char *p, size_t len, char **to)
{
	size_t n = (size_t)MIN_OF(len, w->left);

	websocket_mask(p, n, w->mask, w->masked);
	w->masked += n;
	w->left -= n;
	if (w->control == NULL) {
		memmove(*to, p, n);
		*to += n;
		return n;
	}
	memcpy(w->control->bytes + w->control->len, p, n);
	w->control->len = (uint8_t)(w->control->len + n);
	if (w->left == 0)
		on_control(w);
	return n;
}

/* Takes the data out of its frames; returns how much there is. */
static size_t
unwrap(struct ws *w, char *p, size_t len)
{
	char *to = p;
	size_t at = 0;

	while (at < len && w->state == OPEN) {
		if (w->left > 0)
			at += take_payload(w, p + at, len - at, &to);
		else
			at += take_head(w, p + at, len - at);
	}
	return (size_t)(to - p);
}

static void
drop_in(struct ws *w)
{
	buf_free(&w->in);
	w->in = (struct buf){ 0 };
	w->in_at = 0;
}

/* Reads what is in front: of `in`, or from below. */
static ssize_t
read_raw(struct ws *w, void *p, size_t len)
{
	size_t n = MIN_OF(len, w->in.len - w->in_at);

	if (n == 0)
		return stream_read(w->below, p, len);
	memcpy(p, w->in.ptr + w->in_at, n);
	w->in_at += n;
	if (w->in_at == w->in.len)
		drop_in(w);
	return (ssize_t)n;
}

static void
answer(struct ws *w, int status)
{
	w->state = status == 101 ? OPEN : FAILED;
	w->bye = status != 101; /* that was the last word */
	if (status != 101 || w->in_at == w->in.len)
		drop_in(w);
	(void)send_out(w);
}

/* Takes more of the request; `p` is only borrowed. Goes on like read(). */
static ssize_t
read_request(struct ws *w, void *p, size_t len)
{
	ssize_t n = stream_read(w->below, p, len);
	size_t from;
	const char *end;

	if (n <= 0)
		return n;
	from = w->in.len < 3 ? 0 : w->in.len - 3;
	buf_add(&w->in, p, (size_t)n);
	end = memmem(w->in.ptr + from, w->in.len - from, "\r\n\r\n", 4);
	w->in_at = end == NULL ? w->in.len : (size_t)(end - w->in.ptr) + 4;
	if (w->in_at > WS_REQUEST_MAX) {
		ws_refuse(431, &w->out);
		answer(w, 431);
	} else if (end != NULL) {
		answer(w,
		    ws_upgrade((struct str){ w->in.ptr, w->in_at },
			w->conf->path, &w->out));
	}
	return n;
}

static ssize_t
ws_read(struct stream *s, void *p, size_t len)
{
	struct ws *w = ws_of(s);
	ssize_t n;

	if (len == 0)
		return 0;
	while (w->state == REQUEST) {
		n = read_request(w, p, len);
		if (n <= 0)
			return n;
	}
	for (int i = 0; w->state == OPEN; i++) {
		if (i == ROUNDS_MAX) {
			errno = EAGAIN;
			return -1;
		}
		n = read_raw(w, p, len);
		if (n <= 0)
			return n;
		n = (ssize_t)unwrap(w, p, (size_t)n);
		if (n > 0)
			return n;
	}
	w->told = true;
	if (w->state == ENDED)
		return 0;
	errno = EPROTO;
	return -1;
}

/* Keeps what the layer below did not take of a frame that was begun. */
static void
keep_rest(struct ws *w, const struct iovec *iov, int n, size_t taken)
{
	for (int i = 0; i < n; i++) {
		size_t skip = MIN_OF(taken, iov[i].iov_len);

		buf_add(&w->out, (char *)iov[i].iov_base + skip,
		    iov[i].iov_len - skip);
		taken -= skip;
	}
}

/* Sends one frame with the bytes of iov[0..n), from `skip` on; as writev(). */
static ssize_t
send_frame(struct ws *w, const struct iovec *iov, int n, size_t skip)
{
	struct websocket_head h = { .opcode = WEBSOCKET_BINARY, .fin = true };
	char head[WEBSOCKET_HEAD_MAX];
	struct iovec all[1 + IOVS_MAX];
	int used = 1;
	ssize_t sent;

	for (int i = 0; i < n && used <= IOVS_MAX && h.len < FRAME_MAX; i++) {
		size_t pass = MIN_OF(skip, iov[i].iov_len);
		size_t len = MIN_OF(iov[i].iov_len - pass, FRAME_MAX - h.len);

		skip -= pass;
		if (len == 0)
			continue;
		all[used].iov_base = (char *)iov[i].iov_base + pass;
		all[used++].iov_len = len;
		h.len += len;
	}
	if (h.len == 0)
		return 0;
	all[0].iov_base = head;
	all[0].iov_len = websocket_put(head, &h);
	sent = stream_writev(w->below, all, used);
	if (sent < 0)
		return -1;
	if ((size_t)sent < all[0].iov_len + h.len)
		keep_rest(w, all, used, (size_t)sent);
	return (ssize_t)h.len;
}

static ssize_t
ws_writev(struct stream *s, const struct iovec *iov, int n)
{
	struct ws *w = ws_of(s);
	size_t taken = 0;
	ssize_t sent;

	if (w->state > OPEN || w->bye) {
		errno = EPIPE;
		return -1;
	}
	if (w->state == REQUEST) {
		errno = EAGAIN;
		return -1;
	}
	do {
		if (send_out(w) < 0)
			sent = -1;
		else
			sent = send_frame(w, iov, n, taken);
		if (sent > 0)
			taken += (size_t)sent;
	} while (sent > 0);
	return taken > 0 ? (ssize_t)taken : sent;
}

static int
ws_flush(struct stream *s)
{
	struct ws *w = ws_of(s);

	if (send_out(w) < 0)
		return -1;
	return stream_flush(w->below);
}

static unsigned
ws_wants(const struct stream *s)
{
	const struct ws *w = container_of(s, struct ws, base);
	unsigned wants = stream_wants(w->below);

	if (w->state == OPEN ? w->in_at < w->in.len
			     : w->state > OPEN && !w->told)
		wants |= LOOP_READ;
	if (w->out_at < w->out.len)
		wants |= LOOP_WRITE;
	return wants;
}

static void
ws_bye(struct stream *s)
{
	struct ws *w = ws_of(s);

	if (w->state == OPEN)
		put_close(w, WEBSOCKET_NORMAL);
	(void)ws_flush(s);
	stream_bye(w->below);
}

static void
ws_free(struct stream *s)
{
	struct ws *w = ws_of(s);

	stream_free(w->below);
	free(w->control);
	buf_free(&w->in);
	buf_free(&w->out);
	free(w);
}

static const struct stream_ops ws_ops = {
	.read = ws_read,
	.writev = ws_writev,
	.flush = ws_flush,
	.wants = ws_wants,
	.bye = ws_bye,
	.free = ws_free,
};

struct stream *
ws_stream(const struct ws_conf *conf, struct stream *below)
{
	struct ws *w = mem_new(struct ws);

	w->base.ops = &ws_ops;
	w->below = below;
	w->conf = conf;
	return &w->base;
}

struct stream *
ws_stream_upgraded(
    const struct ws_conf *conf, struct stream *below, struct str already)
{
	struct stream *s = ws_stream(conf, below);

	ws_of(s)->state = OPEN;
	if (already.len > 0)
		buf_add_str(&ws_of(s)->in, already);
	return s;
}

bool
ws_stream_is_up(const struct stream *s)
{
	return container_of(s, struct ws, base)->state == OPEN;
}

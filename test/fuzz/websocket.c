/*
 * test/fuzz/websocket.c - any bytes as frames, and as the request before them.
 *
 * The first byte chooses: a request first or not, and how the input is cut. The
 * data that comes out must be the same as a reader of whole frames finds.
 */
#include "base/base.h"
#include "codec/websocket.h"
#include "net/ws.h"
#include "net/ws_upgrade.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FRAME 5000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The layer below: gives the input in pieces, and takes what it likes. */
struct below {
	struct stream base;
	struct str rest;
	size_t piece;
	unsigned turn;
};

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static ssize_t
below_read(struct stream *s, void *p, size_t len)
{
	struct below *b = container_of(s, struct below, base);
	size_t n = MIN_OF(MIN_OF(len, b->piece), b->rest.len);

	if (n > 0)
		memcpy(p, b->rest.ptr, n);
	b->rest.ptr += n;
	b->rest.len -= n;
	return (ssize_t)n;
}

static ssize_t
below_writev(struct stream *s, const struct iovec *iov, int n)
{
	struct below *b = container_of(s, struct below, base);

	(void)n;
	if (b->turn++ % 3 == 0) {
		errno = EAGAIN;
		return -1;
	}
	return (ssize_t)MIN_OF(iov[0].iov_len, b->piece);
}

static int
below_flush(struct stream *s)
{
	(void)s;
	return 0;
}

static unsigned
below_wants(const struct stream *s)
{
	(void)s;
	return 0;
}

static void
below_free(struct stream *s)
{
	(void)s;
}

static const struct stream_ops below_ops = { below_read, below_writev,
	below_flush, below_wants, NULL, below_free };

/* What the frames hold, read the simple way. */
static void
expect(struct str in, struct buf *want)
{
	bool in_message = false;
	struct websocket_head h;
	size_t len;

	while (websocket_parse(in, true, &h, &len, NULL) == 0) {
		size_t n;

		if (!websocket_is_control(h.opcode)) {
			if (h.opcode == WEBSOCKET_TEXT || h.len > MAX_FRAME ||
			    (h.opcode == WEBSOCKET_MORE) != in_message)
				return;
			in_message = !h.fin;
		}
		in.ptr += len;
		in.len -= len;
		n = MIN_OF(h.len, in.len);
		if (!websocket_is_control(h.opcode)) {
			buf_add(want, in.ptr, n);
			websocket_mask(want->ptr + want->len - n, n, h.mask, 0);
		} else if (h.opcode == WEBSOCKET_CLOSE) {
			return;
		}
		in.ptr += n;
		in.len -= n;
	}
}

static void
read_all(struct stream *s, size_t len, struct buf *got)
{
	char bytes[300];
	ssize_t n;

	for (;;) {
		n = stream_read(s, bytes, len);
		if (n > 0)
			buf_add(got, bytes, (size_t)n);
		else if (n == 0 || errno != EAGAIN)
			break;
		(void)stream_flush(s);
	}
	must(n == 0 || errno == EPROTO);
}

static void
check_request(struct str in)
{
	struct buf answer = { 0 };
	int status = ws_upgrade(in, "/mqtt", &answer);

	must(answer.len > 0 && memcmp(answer.ptr, "HTTP/1.1 ", 9) == 0);
	must(status == 101 || status == 400 || status == 404 || status == 405 ||
	    status == 426);
	buf_free(&answer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ws_conf conf = { .max_frame = MAX_FRAME };
	struct below b = { .base.ops = &below_ops };
	struct buf got = { 0 }, want = { 0 };
	struct stream *s;
	struct str in;

	if (size < 1)
		return 0;
	in = (struct str){ (const char *)data + 1, size - 1 };
	b.rest = in;
	b.piece = 1 + data[0] / 2 % 32;
	if (data[0] & 1) {
		check_request(in);
		s = ws_stream(&conf, &b.base);
	} else {
		s = ws_stream_upgraded(&conf, &b.base, STR_NULL);
	}
	read_all(s, 1 + data[0] % 300, &got);
	if (!(data[0] & 1)) {
		expect(in, &want);
		must(str_eq(buf_str(&got), buf_str(&want)));
	}
	stream_bye(s);
	stream_free(s);
	buf_free(&got);
	buf_free(&want);
	return 0;
}

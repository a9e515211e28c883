/*
 * plug/gateway/line.c - see line.h. Bytes are written at the end of the turn,
 * or when the descriptor takes more.
 */
#include "plug/gateway/line.h"

#include "base/base.h"
#include "base/err.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define READ_CHUNK 4096
#define READS_MAX 16 /* per turn, so that others get theirs */

static struct loop *
loop_of(const struct line *l)
{
	return gateway_host_of(l->g)->loop;
}

static void
broke(struct line *l, const char *what, int e)
{
	struct buf text = { 0 };
	struct err why;

	errno = e;
	if (e == 0)
		err_set(&why, ERR_CLOSED, "closed by the peer");
	else
		err_errno(&why, "%s", what);
	if (e == EPROTO && l->why != NULL)
		l->why(l->stream, &text);
	if (text.len > 0)
		err_set(&why, ERR_PROTO, STR_FMT, STR_ARG(buf_str(&text)));
	buf_free(&text);
	gateway_link_down(l->g, why.text);
}

static void
watch(struct line *l)
{
	bool more =
	    l->sent < l->out.len || stream_wants(l->stream) & LOOP_WRITE;

	loop_watch(loop_of(l), &l->io, LOOP_READ | (more ? LOOP_WRITE : 0));
}

/* False: the connection is over. */
static bool
check_up(struct line *l)
{
	unsigned epoch = l->epoch;

	if (!l->up && (l->is_up == NULL || l->is_up(l->stream))) {
		struct buf about = { 0 };

		l->up = true;
		if (l->about != NULL)
			l->about(l->stream, &about);
		if (about.len > 0)
			gateway_stage_note(l->g, buf_z(&about));
		buf_free(&about);
		gateway_link_up(l->g);
	}
	return l->epoch == epoch;
}

/* --- out ------------------------------------------------------------------ */

static void
tell_sent(struct line *l)
{
	struct gateway_put *p;
	unsigned epoch = l->epoch;

	while (l->epoch == epoch &&
	    (p = list_first(&l->puts, struct gateway_put, own)) != NULL &&
	    p->end <= l->sent) {
		list_del(&p->own);
		gateway_link_sent(p, true);
	}
}

static void
forget_written(struct line *l)
{
	l->out.len -= l->sent;
	memmove(l->out.ptr, l->out.ptr + l->sent, l->out.len);
	LIST_EACH (p, &l->puts, struct gateway_put, own)
		p->end -= l->sent;
	l->sent = 0;
}

static void
flush(struct line *l)
{
	unsigned epoch = l->epoch;

	while (l->sent < l->out.len) {
		struct iovec iov = { l->out.ptr + l->sent,
			l->out.len - l->sent };
		ssize_t n = stream_writev(l->stream, &iov, 1);

		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
			broke(l, "write", errno);
			return;
		}
		if (n <= 0)
			break;
		l->sent += (size_t)n;
	}
	tell_sent(l);
	if (l->epoch != epoch)
		return;
	if (l->sent > 0)
		forget_written(l);
	watch(l);
}

static void
on_flush(struct loop_defer *d)
{
	struct line *l = container_of(d, struct line, flush);

	if (l->stream != NULL)
		flush(l);
}

int
line_put(
    struct line *l, struct str data, struct gateway_put *p, struct err *err)
{
	if (data.len > 0 && memchr(data.ptr, '\n', data.len) != NULL)
		return err_set(
		    err, ERR_PARAM, "a line can not hold a line end");
	if (l->stream == NULL)
		return err_set(err, ERR_CLOSED, "not connected");
	if (l->out.len - l->sent + data.len > LINE_OUT_MAX)
		return err_set(err, ERR_LIMIT, "the link is slow");
	buf_add_str(&l->out, data);
	buf_addc(&l->out, '\n');
	p->end = l->out.len;
	list_add(&l->puts, &p->own);
	loop_defer(loop_of(l), &l->flush);
	return 0;
}

/* --- in ------------------------------------------------------------------- */

/* False: the connection is over. */
static bool
take(struct line *l, struct str bytes)
{
	size_t max = (size_t)gateway_host_of(l->g)->settings->max_frame;
	unsigned epoch = l->epoch;
	struct gateway_in in = { .topic = STR_NULL };
	enum split_result what;

	while (
	    (what = split_next(&l->in, &bytes, max, &in.data)) != SPLIT_MORE) {
		if (what == SPLIT_DROPPED)
			gateway_bad(
			    l->g, "a line is longer than hub.gateway.maxFrame");
		else
			gateway_link_heard(l->g, &in, 0);
		if (l->epoch != epoch)
			return false;
	}
	return true;
}

static void
read_all(struct line *l)
{
	char bytes[READ_CHUNK];

	for (int i = 0; i < READS_MAX || stream_wants(l->stream) & LOOP_READ;
	     i++) {
		ssize_t n = stream_read(l->stream, bytes, sizeof(bytes));

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0) {
			broke(l, "read", n == 0 ? 0 : errno);
			return;
		}
		if (!check_up(l) || !take(l, (struct str){ bytes, (size_t)n }))
			return;
	}
	if (!check_up(l))
		return;
	if (l->sent < l->out.len)
		loop_defer(loop_of(l), &l->flush); /* a handshake went on */
	watch(l);
}

static void
on_ready(struct loop_io *io, unsigned what)
{
	struct line *l = container_of(io, struct line, io);
	unsigned epoch = l->epoch;

	if (what & LOOP_WRITE) {
		if (stream_flush(l->stream) < 0 && errno != EAGAIN &&
		    errno != EWOULDBLOCK) {
			broke(l, "write", errno);
			return;
		}
		if (!check_up(l))
			return;
		flush(l);
	}
	if (l->epoch == epoch && what & LOOP_READ)
		read_all(l);
}

/* --- life ----------------------------------------------------------------- */

void
line_init(struct line *l, struct gateway *g)
{
	l->g = g;
	l->io.ready = on_ready;
	l->io.fd = -1;
	l->flush.run = on_flush;
	list_init(&l->puts);
}

void
line_open(struct line *l, int fd, struct stream *s)
{
	l->io.fd = fd;
	l->stream = s;
	l->up = false;
	split_reset(&l->in);
	watch(l);
	(void)check_up(l);
}

void
line_close(struct line *l)
{
	struct gateway_put *p;

	if (l->stream == NULL)
		return;
	l->epoch++;
	loop_unwatch(loop_of(l), &l->io);
	loop_undefer(loop_of(l), &l->flush);
	stream_bye(l->stream);
	stream_free(l->stream);
	l->stream = NULL;
	close(l->io.fd);
	l->io.fd = -1;
	buf_clear(&l->out);
	l->sent = 0;
	while ((p = list_first(&l->puts, struct gateway_put, own)) != NULL) {
		list_del(&p->own);
		gateway_link_sent(p, false);
	}
}

void
line_fini(struct line *l)
{
	line_close(l);
	buf_free(&l->out);
	split_fini(&l->in);
}

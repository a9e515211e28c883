/*
 * plug/gateway/line.h - a connection that speaks in lines, for links over
 * serial ports and TCP. It tells gateway_link_up(), and at
 * its end gateway_link_down().
 */
#ifndef PLUG_GATEWAY_LINE_H
#define PLUG_GATEWAY_LINE_H

#include "net/stream.h"
#include "plug/gateway/link.h"
#include "plug/gateway/split.h"

#define LINE_OUT_MAX                                                           \
	(256u << 10) /* unsent bytes beyond which none is taken                \
		      */

struct line {
	struct gateway *g;
	struct stream *stream; /* NULL: closed */
	struct loop_io io;
	struct loop_defer flush;
	/* Is it up, such as after a handshake? What does it have against the
	 * connection? Both may be NULL. */
	bool (*is_up)(const struct stream *s);
	void (*why)(const struct stream *s, struct buf *ret);
	void (*about)(const struct stream *s, struct buf *ret); /* once up */
	bool up;        /* it was told */
	unsigned epoch; /* counts connections */
	struct split in;
	struct buf out;
	size_t sent;
	struct list puts; /* by where they end in `out` */
};

void line_init(struct line *l, struct gateway *g);
/* Takes both: an open, non-blocking descriptor and a stream over it. */
void line_open(struct line *l, int fd, struct stream *s);
void line_close(struct line *l); /* closed: nothing */
int line_put(
    struct line *l, struct str data, struct gateway_put *p, struct err *err);
void line_fini(struct line *l);

#endif

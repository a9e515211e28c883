/*
 * net/stream.h - bytes both ways over one connection, in layers: a socket, TLS
 * over it, WebSocket over either. Who uses a stream does not see which.
 *
 * A stream never blocks and knows no loop: its user watches the descriptor and
 * calls when something is ready. It is used by one thread at a time.
 *
 *  (1) stream_read() is to be called again at once while stream_wants() says
 *      LOOP_READ: bytes may lie in a layer where no descriptor tells of them.
 *  (2) While stream_wants() says LOOP_WRITE, the descriptor is to be watched
 *      for writing and stream_flush() called when it is ready: a layer has
 *      taken bytes that the one below has not (handshakes, too).
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "base/loop.h"
#include "base/str.h"

#include <sys/types.h>
#include <sys/uio.h>

struct stream;

struct stream_ops {
	ssize_t (*read)(struct stream *s, void *p, size_t len);
	ssize_t (*writev)(struct stream *s, const struct iovec *iov, int n);
	int (*flush)(struct stream *s);
	unsigned (*wants)(const struct stream *s);
	/* A last word (close notify, close frame), as far as that goes without
	 * waiting. May be NULL. */
	void (*bye)(struct stream *s);
	void (*free)(struct stream *s); /* and of all below, not the socket */
	/* Adds what has broken it, for people. May be NULL. */
	void (*why)(const struct stream *s, struct buf *ret);
};

/* The head of every layer's own struct. */
struct stream {
	const struct stream_ops *ops;
};

/* As read(2) and writev(2): 0 is the end, -1 with errno EAGAIN "not now", other
 * errno values mean that it is broken. What writev took may be less. */
static inline ssize_t
stream_read(struct stream *s, void *p, size_t len)
{
	return s->ops->read(s, p, len);
}

static inline ssize_t
stream_writev(struct stream *s, const struct iovec *iov, int n)
{
	return s->ops->writev(s, iov, n);
}

/* 0, or -1 with errno; EAGAIN: not all yet. */
static inline int
stream_flush(struct stream *s)
{
	return s->ops->flush(s);
}

static inline unsigned
stream_wants(const struct stream *s)
{
	return s->ops->wants(s);
}

static inline void
stream_bye(struct stream *s)
{
	if (s->ops->bye != NULL)
		s->ops->bye(s);
}

/* Nothing, where the layer has no words for it, as a socket. */
static inline void
stream_why(const struct stream *s, struct buf *ret)
{
	if (s->ops->why != NULL)
		s->ops->why(s, ret);
}

static inline void
stream_free(struct stream *s)
{
	if (s != NULL)
		s->ops->free(s);
}

/* The lowest layer: a non-blocking socket, which stays the caller's. */
struct stream *stream_socket(int fd);

#endif

/*
 * net/stream.c - the lowest layer; see stream.h. It takes no bytes that the
 * kernel has not taken, so it never wants anything by itself.
 */
#include "net/stream.h"

#include "base/base.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>

struct plain {
	struct stream base;
	int fd; /* the user's */
};

static ssize_t
plain_read(struct stream *s, void *p, size_t len)
{
	struct plain *plain = container_of(s, struct plain, base);
	ssize_t n;

	do
		n = recv(plain->fd, p, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n;
}

static ssize_t
plain_writev(struct stream *s, const struct iovec *iov, int n)
{
	struct plain *plain = container_of(s, struct plain, base);
	struct msghdr m = { .msg_iov = (struct iovec *)iov,
		.msg_iovlen = (size_t)MIN_OF(n, IOV_MAX) };
	ssize_t sent;

	do
		sent = sendmsg(plain->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

static int
plain_flush(struct stream *s)
{
	(void)s;
	return 0;
}

static unsigned
plain_wants(const struct stream *s)
{
	(void)s;
	return 0;
}

static void
plain_free(struct stream *s)
{
	free(container_of(s, struct plain, base));
}

static const struct stream_ops plain_ops = {
	.read = plain_read,
	.writev = plain_writev,
	.flush = plain_flush,
	.wants = plain_wants,
	.free = plain_free,
};

struct stream *
stream_socket(int fd)
{
	struct plain *plain = mem_new(struct plain);

	plain->base.ops = &plain_ops;
	plain->fd = fd;
	return &plain->base;
}

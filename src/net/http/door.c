/*
 * net/http/door.c - see door.h.
 */
#include "net/http/door.h"

#include "base/base.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define TLS_HANDSHAKE 0x16 /* the first byte of every TLS connection */
#define AT_ONCE 64         /* taken in one turn of the loop */

struct guest {
	struct http_door *door;
	struct list link;
	struct loop_io io;
	struct loop_timer late;
	struct sockaddr_storage address;
	socklen_t len;
};

struct http_door {
	struct loop *loop;
	struct http_door_conf conf;
	struct loop_io io;
	struct list guests; /* who wait for their first byte */
	uint32_t n;
};

static void
forget(struct guest *g)
{
	loop_unwatch(g->door->loop, &g->io);
	loop_cancel(g->door->loop, &g->late);
	list_del(&g->link);
	g->door->n--;
	loop_free_later(g->door->loop, g);
}

static void
on_first_byte(struct loop_io *io, unsigned what)
{
	struct guest *g = container_of(io, struct guest, io);
	struct http_door *d = g->door;
	unsigned char first;
	ssize_t n = recv(io->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	forget(g);
	if (n <= 0)
		close(io->fd);
	else
		d->conf.came(d->conf.owner, io->fd,
		    (struct sockaddr *)&g->address, g->len,
		    first == TLS_HANDSHAKE);
}

static void
on_late(struct loop_timer *t)
{
	struct guest *g = container_of(t, struct guest, late);

	close(g->io.fd);
	forget(g);
}

static void
wait_for_it(struct http_door *d, int fd, const struct sockaddr_storage *address,
    socklen_t len)
{
	struct guest *g;

	if (d->n >= d->conf.waiting) {
		close(fd);
		return;
	}
	g = mem_new(struct guest);
	g->door = d;
	g->address = *address;
	g->len = len;
	g->io.ready = on_first_byte;
	g->io.fd = fd;
	g->late.fire = on_late;
	list_add(&d->guests, &g->link);
	d->n++;
	loop_watch(d->loop, &g->io, LOOP_READ);
	loop_after(d->loop, &g->late, d->conf.wait_ms);
}

static void
on_guests(struct loop_io *io, unsigned what)
{
	struct http_door *d = container_of(io, struct http_door, io);

	(void)what;
	for (int i = 0; i < AT_ONCE; i++) {
		struct sockaddr_storage address;
		socklen_t len = sizeof(address);
		int fd = accept4(io->fd, (struct sockaddr *)&address, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return; /* all are in, or the kernel has no room */
		if (d->conf.tls)
			wait_for_it(d, fd, &address, len);
		else
			d->conf.came(d->conf.owner, fd,
			    (struct sockaddr *)&address, len, false);
	}
}

struct http_door *
http_door_new(struct loop *loop, const struct http_door_conf *conf)
{
	struct http_door *d = mem_new(struct http_door);

	d->loop = loop;
	d->conf = *conf;
	list_init(&d->guests);
	d->io.ready = on_guests;
	d->io.fd = conf->fd;
	loop_watch(loop, &d->io, LOOP_READ);
	return d;
}

void
http_door_free(struct http_door *d)
{
	if (d == NULL)
		return;
	loop_unwatch(d->loop, &d->io);
	close(d->io.fd);
	LIST_EACH (g, &d->guests, struct guest, link) {
		close(g->io.fd);
		forget(g);
	}
	free(d);
}

/*
 * net/mqtt/server.c - see server.h: the listener, and what needs a clock.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_BATCH 64     /* connections taken per turn */
#define ACCEPT_PAUSE_MS 100 /* when descriptors have run out */

bool
mqtt_levels_ok(const struct mqtt_server *s, struct str topic)
{
	uint32_t max = s->conf.max_topic_levels;

	if (max == 0 || max > LEVELS_MAX)
		max = LEVELS_MAX;
	return topic.len <= MQTT_TEXT_MAX && mqtt_levels(topic) <= max;
}

/* --- the tick ------------------------------------------------------------ */

static void
on_tick(struct loop_timer *t)
{
	struct mqtt_server *s = container_of(t, struct mqtt_server, tick);

	mqtt_sessions_expire(s);
	mqtt_queues_expire(s);
	mqtt_failures_expire(s);
	if (s->groups.n > 0 || s->n_detached > 0 ||
	    !list_empty(&s->queues_nonempty) || !list_empty(&s->failures))
		mqtt_server_tick(s);
}

void
mqtt_server_tick(struct mqtt_server *s)
{
	if (s->tick.pos == 0 && !s->closing)
		loop_after(s->loop, &s->tick, TICK_MS);
}

/* --- the listener -------------------------------------------------------- */

/* What logins are counted by: an IPv4 address, or the network of an IPv6 one,
 * in which a host has as many addresses as it likes. */
static void
remote_key(const struct sockaddr_storage *ss, uint8_t ret[16])
{
	memset(ret, 0, 16);
	if (ss->ss_family == AF_INET) {
		memcpy(ret, &((const struct sockaddr_in *)ss)->sin_addr, 4);
	} else if (ss->ss_family == AF_INET6) {
		const struct in6_addr *a =
		    &((const struct sockaddr_in6 *)ss)->sin6_addr;

		if (IN6_IS_ADDR_V4MAPPED(a))
			memcpy(ret, a->s6_addr + 12, 4);
		else
			memcpy(ret + 8, a->s6_addr, 8);
	}
}

static void
on_accept_again(struct loop_timer *t)
{
	struct mqtt_server *s =
	    container_of(t, struct mqtt_server, accept_again);

	loop_watch(s->loop, &s->listener, LOOP_READ);
}

static void
on_acceptable(struct loop_io *io, unsigned what)
{
	struct mqtt_server *s = container_of(io, struct mqtt_server, listener);
	const int one = 1;

	(void)what;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage ss = { 0 };
		socklen_t len = sizeof(ss);
		uint8_t address[16];
		int fd = accept4(io->fd, (struct sockaddr *)&ss, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOBUFS || errno == ENOMEM) {
				loop_watch(s->loop, io, 0);
				loop_after(
				    s->loop, &s->accept_again, ACCEPT_PAUSE_MS);
			}
			return;
		}
		if (s->n_conns >= s->conf.max_connections) {
			COUNT(connections_refused);
			close(fd);
			continue;
		}
		COUNT(connections_accepted);
		(void)setsockopt(
		    fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		remote_key(&ss, address);
		(void)mqtt_conn_new(s, fd, &mqtt_tcp, address);
	}
}

static int
listen_on(const char *address, uint16_t port, struct err *err)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	}, *ai = NULL;
	const int one = 1, zero = 0;
	char service[8];
	int fd, rc;

	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(address, service, &hints, &ai);
	if (rc != 0)
		return err_set(err, ERR_PARAM, "address %s: %s", address,
		    gai_strerror(rc));
	fd = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		rc = err_errno(err, "socket");
		goto done;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ai->ai_family == AF_INET6) /* "::" is IPv4 too */
		(void)setsockopt(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 ||
	    listen(fd, SOMAXCONN) < 0) {
		rc = err_errno(err, "listen on %s port %u", address, port);
		close(fd);
		goto done;
	}
	rc = fd;

done:
	freeaddrinfo(ai);
	return rc;
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return 0;
	return ntohs(ss.ss_family == AF_INET6
		? ((struct sockaddr_in6 *)&ss)->sin6_port
		: ((struct sockaddr_in *)&ss)->sin_port);
}

/* --- opening and closing ------------------------------------------------- */

static int
check_conf(const struct mqtt_server_conf *c, struct err *err)
{
	if (c->max_inflight == 0 || c->publish_max == 0)
		return err_set(err, ERR_PARAM,
		    "max_inflight and publish_max: must be 1 or more");
	if (c->max_packet < 128 ||
	    c->max_packet > MQTT_REMAINING_MAX + MQTT_HEAD_MAX)
		return err_set(err, ERR_PARAM, "max_packet: must be 128 to %u",
		    MQTT_REMAINING_MAX);
	if (c->max_output == 0)
		return err_set(err, ERR_PARAM, "max_output: must be 1 or more");
	return 0;
}

static struct mqtt_server *
server_new(struct loop *loop, const struct mqtt_server_conf *conf,
    const struct mqtt_server_events *events, void *owner)
{
	struct mqtt_server *s = mem_new(struct mqtt_server);

	s->loop = loop;
	s->conf = *conf;
	s->address = str_dupz(str_of(conf->address));
	s->conf.address = s->address;
	s->conf.max_inflight = MIN_OF(conf->max_inflight, 65535u);
	s->events = *events;
	s->owner = owner;
	s->read_buf = mem_alloc(READ_SIZE);
	s->tick.fire = on_tick;
	s->accept_again.fire = on_accept_again;
	s->listener.ready = on_acceptable;
	list_init(&s->conns);
	list_init(&s->detached);
	list_init(&s->queues);
	list_init(&s->queues_nonempty);
	list_init(&s->consumers);
	list_init(&s->logins);
	list_init(&s->failures);
	list_init(&s->spare_deliveries);
	mqtt_topics_init(&s->topics);
	mqtt_counters_register();
	return s;
}

int
mqtt_server_open(struct loop *loop, const struct mqtt_server_conf *conf,
    const struct mqtt_server_events *events, void *owner,
    struct mqtt_server **ret, struct err *err)
{
	struct mqtt_server *s;
	int fd, rc;

	rc = check_conf(conf, err);
	if (rc != 0)
		return rc;
	fd = listen_on(conf->address, conf->port, err);
	if (fd < 0)
		return fd;
	s = server_new(loop, conf, events, owner);
	s->listener.fd = fd;
	s->port = port_of(fd);
	loop_watch(loop, &s->listener, LOOP_READ);
	*ret = s;
	return 0;
}

uint16_t
mqtt_server_port(const struct mqtt_server *s)
{
	return s->port;
}

static void
end_everything(struct mqtt_server *s)
{
	struct session *session;
	struct conn *c;
	struct queue *q;
	size_t pos;

	while ((c = list_first(&s->conns, struct conn, link)) != NULL)
		mqtt_conn_close(c);
	mqtt_logins_abandon(s);
	while (pos = 0, (session = map_next(&s->sessions, &pos)) != NULL)
		mqtt_session_free(session);
	while ((q = list_first(&s->queues, struct queue, link)) != NULL)
		mqtt_queue_free(q);
}

void
mqtt_server_close(struct mqtt_server *s)
{
	if (s == NULL)
		return;
	assert(list_empty(&s->consumers));
	s->closing = true;
	loop_unwatch(s->loop, &s->listener);
	close(s->listener.fd);
	loop_cancel(s->loop, &s->tick);
	loop_cancel(s->loop, &s->accept_again);
	end_everything(s);

	mqtt_failures_clear(s);
	mqtt_topics_fini(&s->topics);
	map_fini(&s->sessions);
	map_fini(&s->groups);
	map_fini(&s->accounts);
	LIST_EACH (d, &s->spare_deliveries, struct delivery, link)
		free(d);
	for (unsigned i = 0; i < s->n_spare_out; i++)
		buf_free(&s->spare_out[i]);
	free(s->address);
	/* We may have been called by one of our own callbacks. */
	loop_free_later(s->loop, s->matches);
	loop_free_later(s->loop, s->read_buf);
	if (s->n_outstanding == 0) /* else with the last report */
		loop_free_later(s->loop, s);
}

void
mqtt_server_kick(struct mqtt_server *s, void *account)
{
	struct account *a;
	struct session *session;

	if (account == NULL)
		return;
	a = mqtt_account_get(s, account);
	while ((session = list_first(
		    &a->sessions, struct session, in_account)) != NULL) {
		session->clean = true; /* nothing is to be remembered */
		if (session->conn != NULL)
			mqtt_conn_close(session->conn);
		else
			mqtt_session_free(session);
	}
	mqtt_account_unref(a);
}

/*
 * test/fuzz/mqtt_conn.c - any bytes into connections of the MQTT server
 * (libFuzzer).
 *
 * The input is cut into pieces: a byte that says which of three connections
 * gets it, and sometimes that it is closed instead; a byte of length; the
 * piece. The first two begin with a CONNECT, for one client id, remembered or
 * not, of level 4 or 5 by the first byte; the third has to find its own.
 */
#include "base/base.h"
#include "base/clock.h"
#include "net/mqtt/private.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct mqtt_server *server;
static struct mqtt_listener listener; /* none: connections are made here */
static struct conn *conns[CONNS];
static int peers[CONNS];
static uint8_t level;

static void
heard(void *owner, struct mqtt_msg *m)
{
	(void)owner;
	mqtt_msg_done(m, mqtt_msg_payload(m).len != 3);
}

static void
set_up(void)
{
	const struct mqtt_server_conf conf = {
		.max_connections = 10,
		.max_packet = 1000,
		.max_inflight = 3,
		.publish_max = 2,
		.queue_messages = 5,
		.queue_bytes = 2000,
		.max_sessions = 2,
		.max_subscriptions = 5,
		.max_topic_levels = 5,
		.max_retained = 5,
		.max_retained_bytes = 2000,
		.max_output = 1000,
		.max_aliases = 3,
		.slow_ms = 1000,
	};
	const struct mqtt_listener_conf terms = { .allow_anonymous = true };
	static const struct mqtt_server_events events;

	if (loop == NULL)
		loop = loop_new();
	if (mqtt_server_open(loop, &conf, &events, NULL, &server, NULL) != 0)
		abort();
	mqtt_queue_declare(server, STR("q"), NULL);
	listener.conf = terms;
	listener.server = server;
}

/* Reads what was sent, so that output goes on. False: it is closed. */
static bool
drain(int fd)
{
	char bytes[4096];
	ssize_t n;

	do
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	while (n > 0);
	return n < 0;
}

static void
dial(int i)
{
	static const uint8_t address[16];
	struct mqtt_connect c = { .level = level, .clean = i == 0 };
	struct mqtt_props props = { .has = level == 5 && i == 1
		    ? 1ull << MQTT_P_SESSION_EXPIRY | 1ull << MQTT_P_ALIAS_MAX
		    : 0,
		.session_expiry_s = 100,
		.alias_max = 2 };
	struct buf b = { 0 };
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		abort();
	peers[i] = fds[1];
	conns[i] =
	    mqtt_conn_new(&server->lanes[0], &listener, fds[0], NULL, address);
	if (i == 2)
		return;
	c.client_id = i == 0 ? STR("a") : STR("b");
	c.will = true;
	c.will_topic = STR("t");
	c.will_payload = STR("w");
	c.will_qos = 1;
	mqtt_put_connect(&b, &c, &props);
	mqtt_conn_feed(conns[i], buf_str(&b));
	buf_free(&b);
	loop_turn(loop, 0);
}

static void
hang_up(int i)
{
	close(peers[i]);
	conns[i] = NULL;
	loop_turn(loop, 0);
	loop_turn(loop, 0);
}

/* One connection may have ended another, and hanging up on it a third. */
static void
look_around(void)
{
	bool again = true;

	loop_turn(loop, 0);
	while (again) {
		again = false;
		for (int i = 0; i < CONNS; i++) {
			if (conns[i] == NULL || drain(peers[i]))
				continue;
			hang_up(i);
			again = true;
		}
	}
}

static void
one_piece(int i, struct str piece)
{
	if (conns[i] == NULL) {
		dial(i);
		look_around();
	}
	if (conns[i] != NULL && !conns[i]->doomed && conns[i]->state != CLOSED)
		mqtt_conn_feed(conns[i], piece);
	look_around();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mqtt_consumer *c;

	set_up();
	level = size > 0 && data[0] & 1 ? 5 : 4;
	c = mqtt_consume_start(server, STR("c/#"), heard, NULL);
	while (size >= 2) {
		int i = data[0] % CONNS;
		size_t n = MIN_OF((size_t)data[1], size - 2);

		if (data[0] >= 240 && conns[i] != NULL)
			hang_up(i);
		else
			one_piece(i, (struct str){ (const char *)data + 2, n });
		data += 2 + n;
		size -= 2 + n;
	}
	for (int i = 0; i < CONNS; i++) {
		if (conns[i] != NULL)
			hang_up(i);
	}
	mqtt_consume_stop(c);
	mqtt_server_close(server);
	loop_turn(loop, 0);
	return 0;
}

/*
 * test/conformance/mqttd.c - the MQTT server alone, for tests from outside.
 *
 *    mqttd [--NAME VALUE]... [--user NAME:PASSWORD]... [--queue NAME]...
 *
 * NAME is a number of struct mqtt_server_conf, with "-" for "_". Without --user
 * everybody may come in. Everything is allowed but topics that begin with
 * "denied". A consumer inside hears "consume/#"; it takes a message "ok", fails
 * "fail", and takes "later" after 50 ms. Prints its port. On SIGUSR1 it prints
 * its counters and a line "end".
 */
#include "base/base.h"
#include "base/counter.h"
#include "base/loop.h"
#include "base/mem.h"
#include "net/mqtt/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USERS_MAX 16

struct daemon {
	struct loop *loop;
	struct mqtt_server *server;
	char *users[USERS_MAX]; /* "NAME:PASSWORD"; the account is the entry */
	size_t n_users;
};

struct later {
	struct loop_timer timer;
	struct mqtt_msg *msg;
};

struct number {
	const char *name;
	size_t offset, size;
};

#define N(member)                                                              \
	{                                                                      \
#member, offsetof(struct mqtt_server_conf, member),            \
		    sizeof(((struct mqtt_server_conf *)NULL)->member)          \
	}

static const struct number numbers[] = { N(port), N(max_connections),
	N(max_packet), N(max_inflight), N(publish_max), N(queue_messages),
	N(queue_bytes), N(queue_ttl_ms), N(max_sessions), N(session_expiry_ms),
	N(max_subscriptions), N(max_topic_levels), N(max_retained),
	N(max_retained_bytes), N(max_keepalive_s), N(connect_timeout_ms),
	N(max_auth_failures), N(max_output) };

static struct daemon self;

static void
login(void *owner, struct mqtt_login *l, struct str client_id, struct str user,
    struct str password)
{
	struct daemon *d = owner;

	(void)client_id;
	for (size_t i = 0; i < d->n_users; i++) {
		struct str rest = str_of(d->users[i]);
		struct str name = str_cut(&rest, ':');

		if (!str_eq(name, user))
			continue;
		if (str_eq(rest, password))
			mqtt_login_answer(l, true, false, d->users[i]);
		else
			mqtt_login_answer(l, false, true, NULL);
		return;
	}
	mqtt_login_answer(l, d->n_users == 0, false, NULL);
}

static bool
allowed(void *owner, void *account, struct str topic)
{
	(void)owner;
	(void)account;
	return !str_starts(topic, STR("denied"));
}

static void
unused(void *owner, void *account)
{
	(void)owner;
	(void)account;
}

static void
on_later(struct loop_timer *t)
{
	struct later *l = container_of(t, struct later, timer);

	mqtt_msg_done(l->msg, true);
	free(l);
}

static void
heard(void *owner, struct mqtt_msg *m)
{
	struct daemon *d = owner;
	struct str payload = mqtt_msg_payload(m);
	struct later *l;

	if (!str_eqz(payload, "later")) {
		mqtt_msg_done(m, !str_eqz(payload, "fail"));
		return;
	}
	l = mem_new(struct later);
	l->msg = m;
	l->timer.fire = on_later;
	loop_after(d->loop, &l->timer, 50);
}

static void
stop(int signo)
{
	(void)signo;
	loop_stop(self.loop);
}

static void
print_counters(struct loop_post *p)
{
	struct buf out = { 0 };

	(void)p;
	counter_write(&out);
	printf("%send\n", buf_z(&out));
	fflush(stdout);
	buf_free(&out);
}

static void
on_usr1(int signo)
{
	static struct loop_post post = { .run = print_counters };

	(void)signo; /* tests only: nothing else posts */
	loop_post(self.loop, &post);
}

static bool
set_number(struct mqtt_server_conf *conf, const char *name, uint64_t value)
{
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		const char *a = numbers[i].name, *b = name;

		while (*a != '\0' && (*a == *b || (*a == '_' && *b == '-')))
			a++, b++;
		if (*a != '\0' || *b != '\0')
			continue;
		memcpy((char *)conf + numbers[i].offset, &value,
		    numbers[i].size); /* little endian */
		return true;
	}
	return false;
}

static int
usage(const char *what)
{
	fprintf(stderr, "mqttd: %s: not understood\n", what);
	return 2;
}

int
main(int argc, char **argv)
{
	static const struct mqtt_server_events events = { login, allowed,
		allowed, unused };
	struct mqtt_server_conf conf = {
		.address = "127.0.0.1",
		.max_connections = 20000,
		.max_packet = 1 << 20,
		.max_inflight = 1000,
		.publish_max = 1000,
		.queue_messages = 100000,
		.queue_bytes = 256 << 20,
		.max_sessions = 10000,
		.max_subscriptions = 1000,
		.max_topic_levels = 32,
		.max_retained = 10000,
		.max_retained_bytes = 64 << 20,
		.connect_timeout_ms = 10000,
		.max_output = 16 << 20,
	};
	const char *queues[16];
	size_t n_queues = 0;
	struct mqtt_consumer *consumer;
	struct err err;

	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc || strncmp(argv[i], "--", 2) != 0)
			return usage(argv[i]);
		if (strcmp(argv[i], "--user") == 0 && self.n_users < USERS_MAX)
			self.users[self.n_users++] = argv[i + 1];
		else if (strcmp(argv[i], "--queue") == 0 && n_queues < 16)
			queues[n_queues++] = argv[i + 1];
		else if (strcmp(argv[i], "--address") == 0)
			conf.address = argv[i + 1];
		else if (!set_number(&conf, argv[i] + 2,
			     strtoull(argv[i + 1], NULL, 10)))
			return usage(argv[i]);
	}

	conf.allow_anonymous = self.n_users == 0;
	self.loop = loop_new();
	if (mqtt_server_open(
		self.loop, &conf, &events, &self, &self.server, &err) < 0) {
		fprintf(stderr, "mqttd: %s\n", err.text);
		return 1;
	}
	consumer =
	    mqtt_consume_start(self.server, STR("consume/#"), heard, &self);
	for (size_t i = 0; i < n_queues; i++)
		mqtt_queue_declare(self.server, str_of(queues[i]), NULL);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	signal(SIGUSR1, on_usr1);
	printf("%u\n", mqtt_server_port(self.server));
	fflush(stdout);
	loop_run(self.loop);

	mqtt_consume_stop(consumer);
	mqtt_server_close(self.server);
	loop_free(self.loop);
	return 0;
}

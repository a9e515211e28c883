/*
 * test/conformance/mqttd.c - the MQTT server alone, for tests from outside.
 *
 *    mqttd [--NAME VALUE]... [--user NAME:PASSWORD]... [--queue NAME]...
 *        [--dir DIR] [--durability none|os|disk] [--websocket 1] [--proxy 1]
 *        [--unix PATH] [--response-info TEXT]
 *
 * NAME is a number of struct mqtt_server_conf, with "-" for "_", or "port".
 * Without --user everybody may come in. Everything is allowed but topics that
 * begin with "denied", and subscribing to those that begin with "deaf" or are
 * given with --deny-subscribe. A consumer inside hears "consume/#"; it takes a
 * message "ok", fails "fail", takes "later" after 50 ms, and "slow..." after
 * --slow-consumer-ms. Prints its port, and behind it those of WebSocket and of
 * the PROXY protocol. On SIGUSR1 it prints its counters and a line "end".
 */
#include "base/base.h"
#include "base/counter.h"
#include "base/list.h"
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
	char *deaf[USERS_MAX]; /* filters that are refused */
	size_t n_deaf;
	int64_t slow_ms; /* that a consumer needs for a "slow..." */
	struct list later;
};

struct later {
	struct list link; /* in self.later */
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

static const struct number numbers[] = { N(threads), N(max_connections),
	N(max_packet), N(max_inflight), N(publish_max), N(queue_messages),
	N(queue_bytes), N(queue_ttl_ms), N(max_sessions), N(session_expiry_ms),
	N(max_subscriptions), N(max_topic_levels), N(max_retained),
	N(max_retained_bytes), N(max_keepalive_s), N(connect_timeout_ms),
	N(max_auth_failures), N(max_output), N(max_aliases), N(full),
	N(slow_ms), N(max_connect_rate), N(max_rate), N(sys_interval_ms),
	N(salvage) };

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
			mqtt_login_answer(
			    l, true, false, d->users[i], str_of(d->users[i]));
		else
			mqtt_login_answer(l, false, true, NULL, STR_NULL);
		return;
	}
	mqtt_login_answer(l, d->n_users == 0, false, NULL, STR_NULL);
}

static bool
allowed(void *owner, void *account, struct str topic)
{
	(void)owner;
	(void)account;
	return !str_starts(topic, STR("denied"));
}

static bool
may_subscribe(void *owner, void *account, struct str filter)
{
	const struct daemon *d = owner;

	for (size_t i = 0; i < d->n_deaf; i++)
		if (str_eqz(filter, d->deaf[i]))
			return false;
	return allowed(owner, account, filter);
}

static void
trouble(void *owner, const char *text)
{
	(void)owner;
	fprintf(stderr, "mqttd: %s\n", text != NULL ? text : "all is well");
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

	list_del(&l->link);
	mqtt_msg_done(l->msg, true);
	free(l);
}

static void
heard(void *owner, struct mqtt_msg *m)
{
	struct daemon *d = owner;
	struct str payload = mqtt_msg_payload(m);
	bool slow = str_starts(payload, STR("slow"));
	struct later *l;

	if (!slow && !str_eqz(payload, "later")) {
		mqtt_msg_done(m, !str_eqz(payload, "fail"));
		return;
	}
	l = mem_new(struct later);
	l->msg = m;
	l->timer.fire = on_later;
	list_add(&d->later, &l->link);
	loop_after(d->loop, &l->timer, slow ? d->slow_ms : 50);
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

/* What the command line says, beside the numbers. */
struct options {
	struct mqtt_server_conf conf;
	struct mqtt_listener_conf listener;
	const char *unix_path;
	bool websocket, proxy;
	const char *queues[16];
	size_t n_queues;
};

static bool
set_option(struct options *o, const char *name, char *value)
{
	static const char *const levels[] = { "none", "os", "disk" };

	if (strcmp(name, "user") == 0 && self.n_users < USERS_MAX) {
		self.users[self.n_users++] = value;
	} else if (strcmp(name, "deny-subscribe") == 0 &&
	    self.n_deaf < USERS_MAX) {
		self.deaf[self.n_deaf++] = value;
	} else if (strcmp(name, "queue") == 0 && o->n_queues < 16) {
		o->queues[o->n_queues++] = value;
	} else if (strcmp(name, "address") == 0) {
		o->listener.address = value;
	} else if (strcmp(name, "port") == 0) {
		o->listener.port = (uint16_t)strtoul(value, NULL, 10);
	} else if (strcmp(name, "dir") == 0) {
		o->conf.dir = value;
	} else if (strcmp(name, "unix") == 0) {
		o->unix_path = value;
	} else if (strcmp(name, "websocket") == 0) {
		o->websocket = true;
	} else if (strcmp(name, "proxy") == 0) {
		o->proxy = true;
	} else if (strcmp(name, "response-info") == 0) {
		o->conf.response_info = value;
	} else if (strcmp(name, "slow-consumer-ms") == 0) {
		self.slow_ms = strtoll(value, NULL, 10);
	} else if (strcmp(name, "durability") == 0) {
		for (unsigned i = 0; i < COUNT_OF(levels); i++)
			if (strcmp(value, levels[i]) == 0)
				o->conf.durability = o->listener.durability = i;
	} else {
		return set_number(&o->conf, name, strtoull(value, NULL, 10));
	}
	return true;
}

static int
listen_all(struct options *o, struct err *err)
{
	struct mqtt_listener_conf more = o->listener;
	uint16_t port, ws_port = 0, proxy_port = 0;
	char path[200];
	int rc;

	rc = mqtt_server_listen(self.server, &o->listener, &port, err);
	if (rc == 0 && o->websocket) {
		more.port = 0;
		more.websocket = true;
		rc = mqtt_server_listen(self.server, &more, &ws_port, err);
	}
	more.websocket = false;
	if (rc == 0 && o->proxy) {
		more.port = 0;
		more.proxy = true;
		rc = mqtt_server_listen(self.server, &more, &proxy_port, err);
	}
	more.proxy = false;
	if (rc == 0 && o->unix_path != NULL) {
		snprintf(path, sizeof(path), "unix:%s", o->unix_path);
		more.address = path;
		rc = mqtt_server_listen(self.server, &more, NULL, err);
	}
	printf("%u %u %u\n", port, ws_port, proxy_port);
	fflush(stdout);
	return rc;
}

int
main(int argc, char **argv)
{
	static const struct mqtt_server_events events = { login, allowed,
		may_subscribe, unused, trouble };
	struct options o = {
		.conf = {
			.max_connections = 20000,
			.max_packet = 1 << 20,
			.max_inflight = 1000,
			.publish_max = 1000,
			.max_aliases = 10,
			.queue_messages = 100000,
			.queue_bytes = 256 << 20,
			.slow_ms = 5000,
			.dir_bytes = 64 << 20,
			.max_sessions = 10000,
			.max_subscriptions = 1000,
			.max_topic_levels = 32,
			.max_retained = 10000,
			.max_retained_bytes = 64 << 20,
			.connect_timeout_ms = 10000,
			.max_output = 16 << 20,
		},
		.listener = { .address = "127.0.0.1" },
	};
	struct mqtt_consumer *consumer;
	struct err err = { 0 };

	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc || strncmp(argv[i], "--", 2) != 0 ||
		    !set_option(&o, argv[i] + 2, argv[i + 1]))
			return usage(argv[i]);
	}
	o.listener.allow_anonymous = self.n_users == 0;
	self.loop = loop_new();
	list_init(&self.later);
	if (mqtt_server_open(
		self.loop, &o.conf, &events, &self, &self.server, &err) != 0) {
		fprintf(stderr, "mqttd: %s\n", err.text);
		return 1;
	}
	consumer =
	    mqtt_consume_start(self.server, STR("consume/#"), heard, &self);
	for (size_t i = 0; i < o.n_queues; i++)
		mqtt_queue_declare(self.server, str_of(o.queues[i]), NULL);
	signal(SIGXFSZ, SIG_IGN); /* a limit on files is as a full disk */
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	signal(SIGUSR1, on_usr1);
	if (listen_all(&o, &err) != 0) {
		fprintf(stderr, "mqttd: %s\n", err.text);
		return 1;
	}
	loop_run(self.loop);

	LIST_EACH (l, &self.later, struct later, link) {
		loop_cancel(self.loop, &l->timer);
		on_later(&l->timer);
	}
	mqtt_consume_stop(consumer);
	mqtt_server_close(self.server);
	loop_free(self.loop);
	return 0;
}

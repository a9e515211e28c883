/*
 * net/mqtt/bridge_test.c - a bridge between two servers that are not ours
 * (Mosquitto, if it is installed), and between scripted ones.
 */
#include "net/mqtt/bridge.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/test_port.h"
#include "net/mqtt/counters.h"
#include "net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MOSQUITTO "/usr/sbin/mosquitto"
#define OPENSSL "/usr/bin/openssl"
#define PATIENCE_MS 60000
#define HAS(p) ((uint64_t)1 << MQTT_P_##p)

struct server {
	pid_t pid; /* 0: not running */
	uint16_t port;
	struct mqtt_client *client; /* of the test */
	struct buf heard;
};

struct fixture {
	struct loop *loop;
	struct server local, remote;
	struct mqtt_bridge *bridge;
	struct mqtt_bridge_conf conf;
	struct buf events;
	struct err why; /* a side was down */
	char dir[40];
	const char *extra;      /* lines for the remote server's settings */
	struct tls_client *tls; /* to the remote; NULL: none */
};

/* --- servers ------------------------------------------------------------- */

static uint16_t
free_port(int *fd)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

static bool
answers(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

	close(fd);
	return ok;
}

static void
start_server(struct fixture *f, struct server *s)
{
	char *data = mem_printf("%s/%u/", f->dir, s->port);
	char *path = mem_printf("%s/%u.conf", f->dir, s->port);
	FILE *file;
	int null;

	(void)mkdir(data, 0700);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file,
	    "listener %u 127.0.0.1\nallow_anonymous true\nuser root\n"
	    "persistence true\npersistence_location %s\n"
	    "max_queued_messages 10000\n%s",
	    s->port, data, s == &f->remote ? f->extra : "");
	fclose(file);

	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		execl(MOSQUITTO, MOSQUITTO, "-c", path, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < PATIENCE_MS && !answers(s->port); i++)
		(void)poll(NULL, 0, 1);
	free(data);
	free(path);
}

static void
stop_server(struct server *s)
{
	if (s->pid == 0)
		return;
	kill(s->pid, SIGTERM);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

/* --- waiting ------------------------------------------------------------- */

static void
turn(struct fixture *f)
{
	(void)poll(NULL, 0, 1);
	loop_turn(f->loop, 0);
}

static void
wait_for(struct fixture *f, struct buf *heard, const char *want)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (strcmp(buf_z(heard), want) == 0)
			break;
		turn(f);
	}
	/* and no more than that */
	for (int i = 0; i < 50; i++)
		turn(f);
	assert_string_equal(buf_z(heard), want);
	buf_clear(heard);
}

static void
wait_for_down(struct fixture *f, enum mqtt_bridge_side side)
{
	for (int i = 0; i < PATIENCE_MS && mqtt_bridge_is_up(f->bridge, side);
	     i++)
		turn(f);
	assert_true(str_starts(buf_str(&f->events),
	    side == MQTT_BRIDGE_LOCAL ? STR("local down;")
				      : STR("remote down;")));
	buf_clear(&f->events);
}

static bool
is_drained(const struct server *s)
{
	return mqtt_client_is_up(s->client) &&
	    mqtt_client_waiting(s->client) == 0;
}

static void
wait_until_sent(struct fixture *f, const struct server *s)
{
	for (int i = 0; i < PATIENCE_MS && !is_drained(s); i++)
		turn(f);
	assert_true(is_drained(s));
}

/* --- the bridge ---------------------------------------------------------- */

static void
on_bridge_up(void *owner, enum mqtt_bridge_side side)
{
	struct fixture *f = owner;

	buf_addf(&f->events, "%s up;",
	    side == MQTT_BRIDGE_LOCAL ? "local" : "remote");
}

static void
on_bridge_down(void *owner, enum mqtt_bridge_side side, const struct err *why)
{
	struct fixture *f = owner;

	f->why = *why;
	buf_addf(&f->events, "%s down;",
	    side == MQTT_BRIDGE_LOCAL ? "local" : "remote");
}

static void
on_bridge_refused(
    void *owner, enum mqtt_bridge_side side, struct str topic, uint8_t reason)
{
	struct fixture *f = owner;

	buf_addf(&f->events, "%s refused " STR_FMT " %x;",
	    side == MQTT_BRIDGE_LOCAL ? "local" : "remote", STR_ARG(topic),
	    reason);
}

static void
build(struct fixture *f)
{
	static const struct mqtt_bridge_events events = { on_bridge_up,
		on_bridge_down, on_bridge_refused };
	struct err err = { 0 };

	f->conf.local.port = f->local.port;
	f->conf.remote.port = f->remote.port;
	if (mqtt_bridge_new(f->loop, &f->conf, &events, f, &f->bridge, &err) !=
	    0)
		fail_msg("%s", err.text);
	mqtt_bridge_start(f->bridge);
	for (int i = 0; i < PATIENCE_MS &&
	     !(mqtt_bridge_is_up(f->bridge, MQTT_BRIDGE_LOCAL) &&
		 mqtt_bridge_is_up(f->bridge, MQTT_BRIDGE_REMOTE));
	     i++)
		turn(f);
	if (!mqtt_bridge_is_up(f->bridge, MQTT_BRIDGE_LOCAL) ||
	    !mqtt_bridge_is_up(f->bridge, MQTT_BRIDGE_REMOTE))
		fail_msg("%s", f->why.text);
	for (int i = 0; i < 50; i++) /* subscriptions */
		turn(f);
	buf_clear(&f->events);
}

static void
tear_down_bridge(struct fixture *f)
{
	mqtt_bridge_free(f->bridge);
	f->bridge = NULL;
}

/* --- the test's clients -------------------------------------------------- */

static void
on_message(void *ctx, const struct mqtt_client_msg *m)
{
	struct server *s = ctx;
	struct str rest, name, value;

	buf_addf(&s->heard, STR_FMT "=" STR_FMT "%s", STR_ARG(m->topic),
	    STR_ARG(m->payload), m->retain ? " retained" : "");
	if (mqtt_has(m->props, MQTT_P_CONTENT_TYPE))
		buf_addf(
		    &s->heard, " " STR_FMT, STR_ARG(m->props->content_type));
	rest = m->props->raw;
	while (mqtt_next_user(&rest, &name, &value))
		buf_addf(&s->heard, " " STR_FMT ":" STR_FMT, STR_ARG(name),
		    STR_ARG(value));
	buf_addc(&s->heard, ';');
}

static struct stream *
wrap(void *ctx, struct stream *below, const char *host, struct err *err)
{
	return tls_client_stream(ctx, below, host, err);
}

static void
visit(struct fixture *f, struct server *s)
{
	struct mqtt_client_conf conf = { .address = "127.0.0.1",
		.port = s->port,
		.client_id = "test",
		.keep_session = true,
		.retry_min_ms = 20,
		.retry_max_ms = 100 };
	const struct mqtt_filter all = { .filter = STR("#"),
		.qos = 2,
		.no_local = true,
		.retain_as_published = true,
		.retain_handling = 1 };

	if (s == &f->remote && f->tls != NULL) {
		conf.wrap = wrap;
		conf.wrap_ctx = f->tls;
	}
	assert_int_equal(
	    mqtt_client_new(f->loop, &conf, NULL, NULL, &s->client, NULL), 0);
	assert_int_equal(
	    mqtt_client_subscribe_with(s->client, &all, on_message, s), 0);
	mqtt_client_start(s->client);
	for (int i = 0; i < PATIENCE_MS && !mqtt_client_is_up(s->client); i++)
		turn(f);
	assert_true(mqtt_client_is_up(s->client));
	for (int i = 0; i < 50; i++)
		turn(f);
}

static void
publish(struct server *s, const char *topic, const char *payload, uint8_t qos)
{
	assert_int_equal(mqtt_client_publish(s->client, str_of(topic),
			     str_of(payload), qos, false, NULL, NULL),
	    0);
}

/* --- set up -------------------------------------------------------------- */

static const struct mqtt_bridge_rule rules[] = {
	{ "t/#", MQTT_BRIDGE_OUT, 2, "c8y/", NULL },
	{ "cmd/#", MQTT_BRIDGE_IN, 1, "c8y/", "far/" },
	{ "", MQTT_BRIDGE_OUT, 1, "here", "there" },
	{ "#", MQTT_BRIDGE_BOTH, 2, "shared/", "common/" },
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->loop = loop_new();
	f->extra = "";
	strcpy(f->dir, "/tmp/marram-bridge-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->local.port = test_port();
	f->remote.port = test_port();
	f->conf = (struct mqtt_bridge_conf){
		.name = "b",
		.local = { .address = "127.0.0.1",
		    .retry_min_ms = 20,
		    .retry_max_ms = 100 },
		.remote = { .address = "127.0.0.1",
		    .retry_min_ms = 20,
		    .retry_max_ms = 100 },
		.rules = rules,
		.n_rules = COUNT_OF(rules),
	};
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	char *remove;

	mqtt_bridge_free(f->bridge);
	mqtt_client_free(f->local.client);
	mqtt_client_free(f->remote.client);
	stop_server(&f->local);
	stop_server(&f->remote);
	loop_turn(f->loop, 0);
	loop_free(f->loop);
	buf_free(&f->local.heard);
	buf_free(&f->remote.heard);
	buf_free(&f->events);
	tls_client_free(f->tls);
	remove = mem_printf("rm -r %s", f->dir);
	assert_int_equal(system(remove), 0);
	free(remove);
	free(f);
	return 0;
}

static void
start_both(struct fixture *f)
{
	if (access(MOSQUITTO, X_OK) != 0)
		fail_msg("%s", "Debian's mosquitto and openssl are needed");
	start_server(f, &f->local);
	start_server(f, &f->remote);
	visit(f, &f->local);
	visit(f, &f->remote);
}

/* --- carrying ------------------------------------------------------------ */

static void
messages_are_carried_by_the_rules(void **state)
{
	struct fixture *f = *state;
	int64_t in = counter_get(&mqtt_counters.bridge_in);
	int64_t out = counter_get(&mqtt_counters.bridge_out);

	start_both(f);
	for (uint8_t level = 4; level <= 5; level++) {
		f->conf.local.level = f->conf.remote.level = level;
		build(f);
		publish(&f->local, "c8y/t/1", "a", 1);
		publish(&f->local, "c8y/t", "b", 1);
		publish(&f->local, "c8y/other", "no", 1);
		publish(&f->local, "here", "c", 1);
		wait_for(f, &f->remote.heard, "t/1=a;t=b;there=c;");
		publish(&f->remote, "far/cmd/x", "d", 2);
		publish(&f->remote, "cmd/x", "no", 2);
		wait_for(f, &f->local.heard, "c8y/cmd/x=d;");
		publish(&f->remote, "far/cmd/y", "e", 0);
		wait_for(f, &f->local.heard, "c8y/cmd/y=e;");
		wait_for(f, &f->remote.heard, "");
		tear_down_bridge(f);
	}
	assert_int_equal(counter_get(&mqtt_counters.bridge_in) - in, 4);
	assert_int_equal(counter_get(&mqtt_counters.bridge_out) - out, 6);
}

static void
a_rule_for_both_directions_makes_no_loop(void **state)
{
	struct fixture *f = *state;

	start_both(f);
	for (uint8_t level = 4; level <= 5; level++) {
		f->conf.local.level = f->conf.remote.level = level;
		build(f);
		publish(&f->local, "shared/x", "1", 2);
		wait_for(f, &f->remote.heard, "common/x=1;");
		publish(&f->remote, "common/y", "2", 2);
		wait_for(f, &f->local.heard, "shared/y=2;");
		wait_for(f, &f->remote.heard, "");
		/* the parent of a prefix matches the filter, and is not under
		 * the prefix */
		publish(&f->local, "shared", "3", 1);
		wait_for(f, &f->remote.heard, "");
		tear_down_bridge(f);
	}
}

static void
properties_and_the_retain_flag_are_carried(void **state)
{
	struct fixture *f = *state;
	struct mqtt_props props = { .has = HAS(CONTENT_TYPE),
		.content_type = STR("text") };
	struct mqtt_client_msg m = { .topic = STR("c8y/t/1"),
		.payload = STR("x"),
		.qos = 1,
		.retain = true,
		.props = &props };
	struct buf user = { 0 };

	start_both(f);
	build(f);
	mqtt_put_user(&user, STR("k"), STR("v"));
	props.raw = buf_str(&user);
	assert_int_equal(mqtt_client_send(f->local.client, &m, NULL, NULL), 0);
	wait_for(f, &f->remote.heard, "t/1=x retained text k:v;");
	buf_free(&user);
}

#define MANY 300

static void
expect_many(struct fixture *f, struct buf *heard, const char *topic)
{
	struct buf want = { 0 };

	for (int i = 0; i < MANY; i++)
		buf_addf(&want, "%s=%d;", topic, i);
	wait_for(f, heard, buf_z(&want));
	buf_free(&want);
}

static void
publish_many(struct fixture *f, struct server *s, const char *topic)
{
	char payload[20];

	for (int i = 0; i < MANY; i++) {
		snprintf(payload, sizeof(payload), "%d", i);
		publish(s, topic, payload, 2);
	}
	wait_until_sent(f, s);
}

static void
what_comes_while_the_remote_is_away_arrives_later_in_its_order(void **state)
{
	struct fixture *f = *state;

	start_both(f);
	build(f);
	stop_server(&f->remote);
	wait_for_down(f, MQTT_BRIDGE_REMOTE);
	publish_many(f, &f->local, "c8y/t/x");
	assert_int_equal(f->remote.heard.len, 0);
	start_server(f, &f->remote);
	expect_many(f, &f->remote.heard, "t/x");
}

static void
what_comes_while_the_local_is_away_arrives_later_in_its_order(void **state)
{
	struct fixture *f = *state;

	start_both(f);
	build(f);
	stop_server(&f->local);
	wait_for_down(f, MQTT_BRIDGE_LOCAL);
	publish_many(f, &f->remote, "common/x");
	start_server(f, &f->local);
	expect_many(f, &f->local.heard, "shared/x");
}

static void
what_comes_while_the_bridge_is_away_arrives_later_in_its_order(void **state)
{
	struct fixture *f = *state;

	start_both(f);
	build(f);
	tear_down_bridge(f);
	publish_many(f, &f->local, "c8y/t/x");
	build(f);
	expect_many(f, &f->remote.heard, "t/x");
}

static void
a_target_that_comes_and_goes_loses_and_doubles_nothing(void **state)
{
	struct fixture *f = *state;
	char payload[20];

	start_both(f);
	build(f);
	for (int i = 0; i < MANY; i++) {
		snprintf(payload, sizeof(payload), "%d", i);
		publish(&f->local, "c8y/t/x", payload, 2);
		for (int n = 0; n < 3; n++)
			loop_turn(f->loop, 0);
		if (i % 100 == 50) {
			stop_server(&f->remote);
			start_server(f, &f->remote);
		}
	}
	expect_many(f, &f->remote.heard, "t/x");
}

static void
the_remote_side_may_be_tls_with_certificates_on_both_ends(void **state)
{
	struct fixture *f = *state;
	char *cert = mem_printf("%s/c.pem", f->dir);
	char *key = mem_printf("%s/k.pem", f->dir);
	char *make = mem_printf(OPENSSL
	    " req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
	    "-keyout %s -out %s -days 2 -subj /CN=localhost "
	    "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null",
	    key, cert);
	char *lines = mem_printf("cafile %s\ncertfile %s\nkeyfile %s\n"
				 "require_certificate true\n"
				 "use_identity_as_username true\n",
	    cert, cert, key);
	const struct tls_client_conf conf = { .ca_file = cert,
		.cert_file = cert,
		.key_file = key,
		.verify = true };

	if (access(OPENSSL, X_OK) != 0)
		fail_msg("%s", "Debian's mosquitto and openssl are needed");
	assert_int_equal(system(make), 0);
	assert_int_equal(tls_client_new(&conf, &f->tls, NULL), 0);
	f->extra = lines;
	f->conf.remote.address = "localhost";
	f->conf.remote.wrap = wrap;
	f->conf.remote.wrap_why = tls_stream_why;
	f->conf.remote.wrap_ctx = f->tls;
	start_both(f);
	build(f);
	publish_many(f, &f->local, "c8y/t/x");
	expect_many(f, &f->remote.heard, "t/x");
	stop_server(&f->remote);
	publish(&f->local, "c8y/t/1", "after", 1);
	start_server(f, &f->remote);
	wait_for(f, &f->remote.heard, "t/1=after;");
	free(cert);
	free(key);
	free(make);
	free(lines);
}

/* --- refusals, notifications --------------------------------------------- */

static void
what_the_target_refuses_does_not_hold_the_rest(void **state)
{
	struct fixture *f = *state;
	int64_t refused = counter_get(&mqtt_counters.bridge_refused);
	char large[1001];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	f->extra = "max_packet_size 500\n";
	start_both(f);
	build(f);
	publish(&f->local, "c8y/t/1", "a", 1);
	publish(&f->local, "c8y/t/2", large, 1);
	publish(&f->local, "c8y/t/3", "b", 1);
	wait_for(f, &f->remote.heard, "t/1=a;t/3=b;");
	wait_for(f, &f->events, "remote refused t/2 95;");
	assert_int_equal(
	    counter_get(&mqtt_counters.bridge_refused) - refused, 1);
}

static void
what_is_too_large_for_the_remote_is_not_carried(void **state)
{
	struct fixture *f = *state;

	f->conf.max_payload = 3;
	start_both(f);
	build(f);
	publish(&f->local, "c8y/t/1", "abc", 1);
	publish(&f->local, "c8y/t/2", "abcd", 1);
	publish(&f->local, "c8y/t/3", "b", 1);
	wait_for(f, &f->remote.heard, "t/1=abc;t/3=b;");
	wait_for(f, &f->events, "remote refused t/2 95;");
	tear_down_bridge(f);
	build(f); /* and it has left the queue of the source */
	publish(&f->local, "c8y/t/4", "c", 1);
	wait_for(f, &f->remote.heard, "t/4=c;");
	assert_string_equal(buf_z(&f->events), "");
	publish(&f->remote, "far/cmd/1", "long enough", 1);
	wait_for(f, &f->local.heard, "c8y/cmd/1=long enough;");
}

static void
the_notification_says_whether_the_remote_is_up(void **state)
{
	struct fixture *f = *state;

	f->conf.notification_topic = "state";
	start_both(f);
	build(f);
	for (int i = 0; i < 50; i++)
		turn(f);
	assert_true(
	    str_ends(buf_str(&f->local.heard), STR("state=1 retained;")));
	buf_clear(&f->local.heard);
	wait_for(f, &f->remote.heard, "state=1 retained;");
	stop_server(&f->remote);
	wait_for(f, &f->local.heard, "state=0 retained;");
	start_server(f, &f->remote);
	wait_for(f, &f->local.heard, "state=1 retained;");
	for (int i = 0; i < 50; i++)
		turn(f);
	buf_clear(&f->remote.heard);
	mqtt_bridge_stop(f->bridge);
	wait_for(f, &f->local.heard, "state=0 retained;");
	wait_for(f, &f->remote.heard, "state=0 retained;");
}

static void
the_remote_may_be_told_on_a_topic_of_its_own(void **state)
{
	struct fixture *f = *state;

	f->conf.notification_topic = "state";
	f->conf.notify_up = "here";
	f->conf.notify_local_only = true;
	f->conf.remote_topic = "online";
	start_both(f);
	build(f);
	wait_for(f, &f->remote.heard, "online=1 retained;");
	mqtt_bridge_stop(f->bridge);
	wait_for(f, &f->remote.heard, "online=0 retained;");
	assert_non_null(strstr(buf_z(&f->local.heard), "state=here retained;"));
}

static void
bad_rules_are_refused(void **state)
{
	static const struct mqtt_bridge_rule bad[] = {
		{ "a#", MQTT_BRIDGE_OUT, 1, NULL, NULL },
		{ "#", MQTT_BRIDGE_OUT, 1, "+/", NULL },
		{ "#", MQTT_BRIDGE_OUT, 1, NULL, "x/#" },
		{ "#", MQTT_BRIDGE_OUT, 3, NULL, NULL },
		{ "", MQTT_BRIDGE_OUT, 1, "a", NULL },
		{ "", MQTT_BRIDGE_IN, 1, NULL, NULL },
		{ "#", 0, 1, NULL, NULL },
		{ "$share/g/#", MQTT_BRIDGE_IN, 1, NULL, NULL },
	};
	struct fixture *f = *state;
	struct mqtt_bridge *b;

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct err err = { 0 };

		f->conf.rules = &bad[i];
		f->conf.n_rules = 1;
		if (mqtt_bridge_new(f->loop, &f->conf, NULL, NULL, &b, &err) !=
		    ERR_PARAM)
			fail_msg("rule %zu was taken", i);
	}
}

/* --- scripted servers ---------------------------------------------------- */

/* Takes one connection, speaks only level 4 without the bridge bit, and
 * acknowledges nothing by itself. */
struct script {
	int listener, fd;
	bool echo;  /* sends back what it is sent */
	bool mute;  /* does not answer subscriptions */
	bool clean; /* as CONNECT said */
	bool asked; /* with the bridge bit */
	uint8_t level;
	uint16_t last_id;
	uint16_t ids[10]; /* of what it was sent on this connection */
	unsigned n_ids, n_answered;
	struct buf in, told;
};

static void
script_listen(struct script *s, uint16_t *port)
{
	*s = (struct script){ .fd = -1 };
	*port = free_port(&s->listener);
	assert_int_equal(listen(s->listener, 5), 0);
}

static void
script_say(struct script *s, struct buf *b)
{
	assert_int_equal(
	    send(s->fd, b->ptr, b->len, MSG_NOSIGNAL), (ssize_t)b->len);
	buf_free(b);
}

static void
script_close(struct script *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	buf_clear(&s->in);
}

static void
script_connack(struct script *s, const struct mqtt_connect *c)
{
	struct buf b = { 0 };
	bool known = c->level == 4 && !c->bridge;

	s->level = c->level;
	s->clean = c->clean;
	s->asked |= c->bridge;
	mqtt_put_connack(&b, 4, false, known ? 0 : MQTT_BAD_LEVEL, NULL);
	script_say(s, &b);
	if (!known)
		script_close(s);
}

static void
script_suback(struct script *s, const struct mqtt_packet *p)
{
	static const uint8_t granted[20];
	struct buf b = { 0 };

	mqtt_put_suback(&b, 4, MQTT_SUBACK, p->id, granted, p->n_filters, NULL);
	script_say(s, &b);
}

static void
script_publish(struct script *s, const char *topic, struct str payload)
{
	struct buf b = { 0 };

	assert_true(mqtt_put_publish(&b, 4,
	    (struct mqtt_publish_flags){ .qos = 1, .id = ++s->last_id },
	    str_of(topic), NULL, payload));
	script_say(s, &b);
}

/* Acknowledges the oldest message that it has not. */
static void
script_puback(struct script *s)
{
	struct buf b = { 0 };

	assert_true(s->n_answered < s->n_ids);
	mqtt_put_ack(&b, 4, MQTT_PUBACK, s->ids[s->n_answered++], 0, NULL);
	script_say(s, &b);
}

static void
script_serve(struct script *s, const struct mqtt_packet *p)
{
	char *topic;

	if (p->type == MQTT_CONNECT)
		script_connack(s, &p->connect);
	if (p->type == MQTT_SUBSCRIBE && !s->mute)
		script_suback(s, p);
	if (p->type == MQTT_PUBACK)
		buf_addf(&s->told, "PUBACK %u;", p->id);
	if (p->type != MQTT_PUBLISH)
		return;
	buf_addf(&s->told, STR_FMT "=" STR_FMT ";", STR_ARG(p->topic),
	    STR_ARG(p->payload));
	s->ids[s->n_ids++] = p->id;
	if (!s->echo)
		return;
	topic = str_dupz(p->topic);
	script_publish(s, topic, p->payload);
	free(topic);
}

static void
script_turn(struct script *s)
{
	const int one = 1;
	struct mqtt_packet p;
	char chunk[4096];
	struct str rest;
	size_t len;
	ssize_t n;

	if (s->fd < 0) {
		s->level = 0;
		s->n_ids = s->n_answered = 0;
		s->fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		if (s->fd < 0)
			return;
		(void)setsockopt(
		    s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	n = recv(s->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
	if (n == 0)
		script_close(s);
	if (n <= 0)
		return;
	buf_add(&s->in, chunk, (size_t)n);
	rest = buf_str(&s->in);
	while (s->fd >= 0 &&
	    mqtt_parse(rest, s->level, 100000, &p, &len, NULL) == 0) {
		rest.ptr += len;
		rest.len -= len;
		script_serve(s, &p);
	}
	if (s->fd < 0)
		return;
	if (rest.len > 0)
		memmove(s->in.ptr, rest.ptr, rest.len);
	s->in.len = rest.len;
}

static void
scripts_turn(struct fixture *f, struct script s[2])
{
	for (int i = 0; i < 100; i++) {
		turn(f);
		script_turn(&s[0]);
		script_turn(&s[1]);
	}
}

static void
assert_script(struct script *s, const char *want)
{
	assert_string_equal(buf_z(&s->told), want);
	buf_clear(&s->told);
}

static void
start_scripts(struct fixture *f, struct script s[2])
{
	script_listen(&s[0], &f->local.port);
	script_listen(&s[1], &f->remote.port);
	f->conf.local.port = f->local.port;
	f->conf.remote.port = f->remote.port;
	assert_int_equal(
	    mqtt_bridge_new(f->loop, &f->conf, NULL, NULL, &f->bridge, NULL),
	    0);
	mqtt_bridge_start(f->bridge);
	scripts_turn(f, s);
	assert_true(mqtt_bridge_is_up(f->bridge, MQTT_BRIDGE_LOCAL));
	assert_true(mqtt_bridge_is_up(f->bridge, MQTT_BRIDGE_REMOTE));
}

static void
stop_scripts(struct fixture *f, struct script s[2])
{
	mqtt_bridge_free(f->bridge);
	f->bridge = NULL;
	for (int i = 0; i < 2; i++) {
		script_close(&s[i]);
		close(s[i].listener);
		buf_free(&s[i].in);
		buf_free(&s[i].told);
	}
}

static void
what_a_simple_server_sends_back_is_recognised(void **state)
{
	struct fixture *f = *state;
	struct script s[2];

	start_scripts(f, s);
	s[0].echo = s[1].echo = true;
	script_publish(&s[0], "shared/x", STR("1"));
	scripts_turn(f, s);
	/* the remote got it and sent it back, which was only acknowledged */
	assert_script(&s[1], "common/x=1;PUBACK 1;");
	script_puback(&s[1]);
	scripts_turn(f, s);
	assert_script(&s[0], "PUBACK 1;");
	script_publish(&s[1], "common/x", STR("1"));
	scripts_turn(f, s);
	assert_script(&s[0], "shared/x=1;PUBACK 2;");
	stop_scripts(f, s);
}

static void
an_echo_that_is_wanted_elsewhere_is_carried(void **state)
{
	static const struct mqtt_bridge_rule rules_[] = {
		{ "", MQTT_BRIDGE_OUT, 1, "aws/ask", "things/1/test" },
		{ "", MQTT_BRIDGE_IN, 1, "aws/answer", "things/1/test" },
	};
	struct fixture *f = *state;
	struct script s[2];

	f->conf.rules = rules_;
	f->conf.n_rules = COUNT_OF(rules_);
	start_scripts(f, s);
	s[1].echo = true;
	script_publish(&s[0], "aws/ask", STR("?"));
	scripts_turn(f, s);
	assert_script(&s[1], "things/1/test=?;");
	assert_script(&s[0], "aws/answer=?;");
	stop_scripts(f, s);
}

static void
the_source_is_acknowledged_after_the_target_has_answered(void **state)
{
	struct fixture *f = *state;
	struct script s[2];

	start_scripts(f, s);
	script_publish(&s[0], "c8y/t/x", STR("1"));
	script_publish(&s[0], "c8y/t/x", STR("2"));
	scripts_turn(f, s);
	assert_script(&s[1], "t/x=1;t/x=2;");
	assert_script(&s[0], "");
	script_puback(&s[1]);
	scripts_turn(f, s);
	assert_script(&s[0], "PUBACK 1;");
	/* The target goes without a word about the second, and comes back. */
	script_close(&s[1]);
	scripts_turn(f, s);
	assert_script(&s[1], "t/x=2;");
	assert_script(&s[0], "");
	script_puback(&s[1]);
	scripts_turn(f, s);
	assert_script(&s[0], "PUBACK 2;");
	stop_scripts(f, s);
}

static void
a_remote_session_is_kept_unless_it_is_to_be_forgotten(void **state)
{
	struct fixture *f = *state;
	struct script s[2];

	start_scripts(f, s);
	assert_false(s[0].clean);
	assert_false(s[1].clean);
	stop_scripts(f, s);
	f->conf.forget_remote = true;
	start_scripts(f, s);
	assert_false(s[0].clean);
	assert_true(s[1].clean);
	stop_scripts(f, s);
}

static void
a_remote_may_be_asked_as_by_any_client(void **state)
{
	struct fixture *f = *state;
	struct script s[2];

	f->conf.local.level = f->conf.remote.level = 4;
	f->conf.remote_as_client = true;
	start_scripts(f, s);
	assert_true(s[0].asked);
	assert_false(s[1].asked);
	stop_scripts(f, s);
}

static void
nothing_is_sent_before_the_subscriptions_were_answered(void **state)
{
	struct fixture *f = *state;
	struct script s[2];

	f->conf.remote.subscribe_first = true;
	start_scripts(f, s);
	s[1].mute = true;
	script_close(&s[1]);
	scripts_turn(f, s);
	assert_true(mqtt_bridge_is_up(f->bridge, MQTT_BRIDGE_REMOTE));
	script_publish(&s[0], "c8y/t/x", STR("1"));
	scripts_turn(f, s);
	assert_script(&s[1], "");
	/* On the next connection they are. */
	s[1].mute = false;
	script_close(&s[1]);
	scripts_turn(f, s);
	assert_script(&s[1], "t/x=1;");
	stop_scripts(f, s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(messages_are_carried_by_the_rules),
		T(a_rule_for_both_directions_makes_no_loop),
		T(properties_and_the_retain_flag_are_carried),
		T(what_comes_while_the_remote_is_away_arrives_later_in_its_order),
		T(what_comes_while_the_local_is_away_arrives_later_in_its_order),
		T(what_comes_while_the_bridge_is_away_arrives_later_in_its_order),
		T(a_target_that_comes_and_goes_loses_and_doubles_nothing),
		T(the_remote_side_may_be_tls_with_certificates_on_both_ends),
		T(what_the_target_refuses_does_not_hold_the_rest),
		T(what_is_too_large_for_the_remote_is_not_carried),
		T(the_notification_says_whether_the_remote_is_up),
		T(the_remote_may_be_told_on_a_topic_of_its_own),
		T(bad_rules_are_refused),
		T(what_a_simple_server_sends_back_is_recognised),
		T(an_echo_that_is_wanted_elsewhere_is_carried),
		T(the_source_is_acknowledged_after_the_target_has_answered),
		T(a_remote_session_is_kept_unless_it_is_to_be_forgotten),
		T(a_remote_may_be_asked_as_by_any_client),
		T(nothing_is_sent_before_the_subscriptions_were_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

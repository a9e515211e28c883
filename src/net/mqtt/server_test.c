/*
 * What server.h promises to those inside the process. The rules of MQTT itself
 * are asked from outside, in test/conformance/mqtt_test.py.
 */
#include "net/mqtt/server.h"

#include "base/base.h"
#include "base/clock.h"
#include "codec/mqtt.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct loop *loop;
	struct mqtt_server *server;
	struct buf heard; /* what consumers and the owner heard */
	struct mqtt_msg *held[16];
	unsigned n_held;
	bool hold;  /* consumers answer later */
	bool fail;  /* they fail */
	bool async; /* so does login */
	bool deny;  /* nobody has any right */
	uint16_t port;
	struct mqtt_login *login;
	char dir[40];                    /* of the journal; "": none */
	enum mqtt_durability durability; /* of the server */
};

static char ann[] = "ann";

static void
on_login(void *owner, struct mqtt_login *l, struct str id, struct str user,
    struct str password)
{
	struct fixture *f = owner;

	(void)id;
	(void)password;
	if (f->async)
		f->login = l;
	else
		mqtt_login_answer(
		    l, str_eqz(user, "ann"), false, ann, STR("ann"));
}

static bool
on_may_publish(void *owner, void *account, struct str topic)
{
	struct fixture *f = owner;

	(void)account;
	(void)topic;
	return !f->deny;
}

static bool
on_may_subscribe(void *owner, void *account, struct str filter)
{
	return on_may_publish(owner, account, filter);
}

static void
on_unused(void *owner, void *account)
{
	struct fixture *f = owner;

	buf_addf(&f->heard, "unused %s;", (char *)account);
}

static void
on_heard(void *owner, struct mqtt_msg *m)
{
	struct fixture *f = owner;

	buf_addf(&f->heard, STR_FMT "=" STR_FMT ";", STR_ARG(mqtt_msg_topic(m)),
	    STR_ARG(mqtt_msg_payload(m)));
	if (f->hold)
		f->held[f->n_held++] = m;
	else
		mqtt_msg_done(m, !f->fail);
}

static void
remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL)
		(void)unlinkat(dirfd(dir), e->d_name, 0);
	closedir(dir);
	assert_int_equal(rmdir(path), 0);
}

static void
assert_heard(struct fixture *f, const char *want)
{
	for (int i = 0; i < 5000 && f->heard.len < strlen(want) &&
	     str_starts(str_of(want), buf_str(&f->heard));
	     i++)
		loop_turn(f->loop, 2);
	assert_string_equal(buf_z(&f->heard), want);
	buf_clear(&f->heard);
}

static void
settle(struct fixture *f)
{
	/* a journal has a thread, which this machine may let wait */
	for (int i = 0; i < (f->dir[0] != '\0' ? 30 : 8); i++)
		loop_turn(f->loop, 2);
}

static void
open_server(struct fixture *f)
{
	static const struct mqtt_server_events events = { on_login,
		on_may_publish, on_may_subscribe, on_unused, NULL };
	const struct mqtt_listener_conf listener = { .address = "::",
		.allow_anonymous = true,
		.durability = f->dir[0] != '\0' ? MQTT_OS : MQTT_NONE };
	const struct mqtt_server_conf conf = {
		.dir = f->dir[0] != '\0' ? f->dir : NULL,
		.dir_bytes = 64 << 20,
		.durability = f->durability,
		.max_connections = 10,
		.max_packet = 10000,
		.max_inflight = 10,
		.publish_max = 3,
		.queue_messages = 4,
		.queue_bytes = 10000,
		.queue_ttl_ms = 60000,
		.max_sessions = 10,
		.max_subscriptions = 10,
		.max_retained = 10,
		.max_retained_bytes = 10000,
		.max_output = 100000,
	};

	assert_int_equal(
	    mqtt_server_open(f->loop, &conf, &events, f, &f->server, NULL), 0);
	assert_int_equal(
	    mqtt_server_listen(f->server, &listener, &f->port, NULL), 0);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->loop = loop_new();
	open_server(f);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	mqtt_server_close(f->server);
	loop_turn(f->loop, 0);
	loop_free(f->loop);
	buf_free(&f->heard);
	free(f);
	return 0;
}

static void
reopen_server(struct fixture *f)
{
	mqtt_server_close(f->server);
	loop_turn(f->loop, 0);
	open_server(f);
}

static int
set_up_with_journal(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->loop = loop_new();
	strcpy(f->dir, "/tmp/marram-server-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	open_server(f);
	*state = f;
	return 0;
}

static int
tear_down_with_journal(void **state)
{
	char dir[40];

	memcpy(dir, ((struct fixture *)*state)->dir, sizeof(dir));
	tear_down(state);
	remove_dir(dir);
	return 0;
}

/* A client by hand: what it sends, and what has come to it. */
static int
dial(struct fixture *f)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(f->port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const int one = 1;

	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	settle(f);
	return fd;
}

static void
say(struct fixture *f, int fd, struct buf *b)
{
	assert_int_equal(write(fd, b->ptr, b->len), b->len);
	buf_free(b);
	*b = (struct buf){ 0 };
	settle(f);
}

static void
hello(struct fixture *f, int fd, const char *id, const char *user, bool clean)
{
	struct mqtt_connect c = { .level = 4,
		.clean = clean,
		.client_id = str_of(id),
		.user = str_of(user) };
	struct buf b = { 0 };

	mqtt_put_connect(&b, &c, NULL);
	say(f, fd, &b);
}

static void
publish(struct fixture *f, int fd, uint16_t id, const char *topic,
    const char *payload)
{
	struct buf b = { 0 };

	(void)mqtt_put_publish(&b, 4,
	    (struct mqtt_publish_flags){ .qos = id > 0, .id = id },
	    str_of(topic), NULL, str_of(payload));
	say(f, fd, &b);
}

static void
subscribe(struct fixture *f, int fd, const char *filter)
{
	const struct mqtt_filter s = { .filter = str_of(filter), .qos = 1 };
	struct buf b = { 0 };

	mqtt_put_subscribe(&b, 4, MQTT_SUBSCRIBE, 1, &s, 1, NULL);
	say(f, fd, &b);
}

/* The packets that have come, as text; "closed" at the end of all. */
static void
assert_got(int fd, const char *want)
{
	struct buf got = { 0 };
	char in[20000];
	ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT);
	struct str rest = { in, n > 0 ? (size_t)n : 0 };
	struct mqtt_packet p;
	size_t len;

	while (rest.len > 0) {
		assert_int_equal(
		    mqtt_parse(rest, 4, sizeof(in), &p, &len, NULL), 0);
		rest.ptr += len;
		rest.len -= len;
		if (p.type == MQTT_PUBLISH)
			buf_addf(&got, STR_FMT "=" STR_FMT ";",
			    STR_ARG(p.topic), STR_ARG(p.payload));
		else if (p.type == MQTT_CONNACK)
			buf_addf(&got, "connack %u;", p.code);
		else if (p.type == MQTT_PUBACK)
			buf_addf(&got, "ack %u;", p.id);
		else
			buf_addf(&got, "%u;", p.type);
	}
	if (n >= 0 && recv(fd, in, 1, MSG_DONTWAIT | MSG_PEEK) == 0)
		buf_addz(&got, "closed");
	assert_string_equal(buf_z(&got), want);
	buf_free(&got);
}

static void
a_message_is_acknowledged_when_its_consumers_are_done(void **state)
{
	struct fixture *f = *state;
	struct mqtt_consumer *a, *b;
	int fd = dial(f);

	a = mqtt_consume_start(f->server, STR("t/#"), on_heard, f);
	b = mqtt_consume_start(f->server, STR("t/1"), on_heard, f);
	f->hold = true;
	hello(f, fd, "c", NULL, true);
	publish(f, fd, 1, "t/1", "x");
	publish(f, fd, 2, "t/2", "y");
	publish(f, fd, 3, "nobody", "z");
	assert_heard(f, "t/1=x;t/1=x;t/2=y;");
	assert_got(fd, "connack 0;");

	mqtt_msg_done(f->held[2], true); /* the second waits for the first */
	mqtt_msg_done(f->held[0], true);
	settle(f);
	assert_got(fd, "");
	mqtt_msg_done(f->held[1], true);
	settle(f);
	assert_got(fd, "ack 1;ack 2;ack 3;");
	mqtt_consume_stop(a);
	mqtt_consume_stop(b);
	close(fd);
}

static void
a_publisher_with_too_many_unanswered_is_not_read(void **state)
{
	struct fixture *f = *state;
	struct mqtt_consumer *c =
	    mqtt_consume_start(f->server, STR("t"), on_heard, f);
	int fd = dial(f);

	f->hold = true;
	hello(f, fd, "c", NULL, true);
	for (uint16_t id = 1; id <= 5; id++)
		publish(f, fd, id, "t", "x");
	assert_heard(f, "t=x;t=x;t=x;");
	mqtt_msg_done(f->held[0], true);
	settle(f);
	assert_heard(f, "t=x;");
	assert_got(fd, "connack 0;ack 1;");
	for (unsigned i = 1; i < f->n_held; i++)
		mqtt_msg_done(f->held[i], true);
	settle(f);
	mqtt_msg_done(f->held[4], true);
	mqtt_consume_stop(c);
	close(fd);
}

static void
a_failure_ends_the_connection_without_an_answer(void **state)
{
	struct fixture *f = *state;
	struct mqtt_consumer *c =
	    mqtt_consume_start(f->server, STR("t"), on_heard, f);
	int fd = dial(f);

	hello(f, fd, "c", NULL, true);
	f->fail = true;
	publish(f, fd, 1, "t", "x");
	assert_got(fd, "connack 0;closed");
	mqtt_consume_stop(c);
	close(fd);
}

static void
a_report_may_come_after_connection_and_server_have_ended(void **state)
{
	struct fixture *f = *state;
	struct mqtt_consumer *c =
	    mqtt_consume_start(f->server, STR("t"), on_heard, f);
	int fd = dial(f);

	f->hold = true;
	hello(f, fd, "c", NULL, true);
	publish(f, fd, 1, "t", "x");
	publish(f, fd, 2, "t", "y");
	close(fd);
	settle(f);
	mqtt_msg_done(f->held[0], false);
	mqtt_consume_stop(c);
	mqtt_server_close(f->server);
	f->server = NULL;
	loop_turn(f->loop, 0);
	mqtt_msg_done(f->held[1], false);
}

static void
a_queue_keeps_what_nobody_hears_and_refuses_beyond_its_limit(void **state)
{
	struct fixture *f = *state;
	struct mqtt_queue_limits two = { .messages = 2 };
	struct mqtt_queue_stats st;
	struct mqtt_consumer *c;
	unsigned targets;

	assert_int_equal(
	    mqtt_publish(f->server, STR("q"), STR("0"), 1, false, &targets), 0);
	assert_int_equal(targets, 0); /* not a queue yet: gone */
	mqtt_queue_declare(f->server, STR("q"), &two);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		    mqtt_publish(f->server, STR("q"),
			i == 0 ? STR("1") : STR("2"), 1, false, &targets),
		    0);
		assert_int_equal(targets, 1);
	}
	assert_int_equal(
	    mqtt_publish(f->server, STR("q"), STR("3"), 1, false, &targets),
	    ERR_LIMIT);
	assert_int_equal(targets, 0);
	mqtt_queue_stats(f->server, STR("q"), &st);
	assert_int_equal(st.messages, 2);
	assert_int_equal(st.consumers, 0);
	assert_true(st.publish_rate > 0 && st.deliver_rate == 0);

	c = mqtt_consume_start(f->server, STR("+"), on_heard, f);
	(void)mqtt_publish(f->server, STR("q"), STR("4"), 1, false, NULL);
	settle(f);
	assert_heard(f, "q=1;q=2;q=4;");
	mqtt_queue_stats(f->server, STR("q"), &st);
	assert_int_equal(st.messages, 0);
	assert_int_equal(st.consumers, 1);
	assert_true(st.deliver_rate == st.publish_rate * 3 / 4);
	mqtt_consume_stop(c);
}

static void
what_a_consumer_failed_on_returns_to_its_queue_in_order(void **state)
{
	struct fixture *f = *state;
	struct mqtt_consumer *c =
	    mqtt_consume_start(f->server, STR("q"), on_heard, f);

	mqtt_queue_declare(f->server, STR("q"), NULL);
	f->hold = true;
	for (int i = 1; i <= 3; i++)
		(void)mqtt_publish(f->server, STR("q"),
		    (struct str){ &"123"[i - 1], 1 }, 1, false, NULL);
	settle(f);
	assert_heard(f, "q=1;q=2;q=3;");
	for (int i = 0; i < 3; i++)
		mqtt_msg_done(f->held[i], false);
	f->hold = false;
	settle(f);
	assert_heard(f, "");
	clock_advance(1000);
	settle(f);
	assert_heard(f, "q=1;q=2;q=3;");
	mqtt_consume_stop(c);
}

static void
messages_expire_in_their_queue(void **state)
{
	struct fixture *f = *state;
	struct mqtt_queue_stats st;

	mqtt_queue_declare(f->server, STR("q"), NULL);
	(void)mqtt_publish(f->server, STR("q"), STR("1"), 1, false, NULL);
	clock_advance(59000);
	(void)mqtt_publish(f->server, STR("q"), STR("2"), 1, false, NULL);
	settle(f);
	mqtt_queue_stats(f->server, STR("q"), &st);
	assert_int_equal(st.messages, 2);
	clock_advance(1000);
	settle(f);
	mqtt_queue_stats(f->server, STR("q"), &st);
	assert_int_equal(st.messages, 1);
	mqtt_queue_delete(f->server, STR("q"));
	mqtt_queue_stats(f->server, STR("q"), &st);
	assert_int_equal(st.messages, 0);
}

static void
what_a_vanished_subscriber_had_returns_to_the_queue(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	mqtt_queue_declare(f->server, STR("q"), NULL);
	hello(f, fd, "a", NULL, true);
	subscribe(f, fd, "q");
	(void)mqtt_publish(f->server, STR("q"), STR("1"), 1, false, NULL);
	(void)mqtt_publish(f->server, STR("q"), STR("2"), 1, false, NULL);
	settle(f);
	assert_got(fd, "connack 0;9;q=1;q=2;");
	close(fd);
	settle(f);
	fd = dial(f);
	hello(f, fd, "b", NULL, true);
	subscribe(f, fd, "$share/g/q");
	assert_got(fd, "connack 0;9;q=1;q=2;");
	close(fd);
}

static void
a_login_may_be_answered_later(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	f->async = true;
	hello(f, fd, "a", "ann", true);
	publish(f, fd, 1, "t", "x"); /* waits */
	assert_got(fd, "");
	mqtt_login_answer(f->login, true, false, ann, STR("ann"));
	settle(f);
	assert_got(fd, "connack 0;ack 1;");
	assert_heard(f, "");
	close(fd);
	settle(f);
	assert_heard(f, "unused ann;");
}

static void
a_refused_login_is_told_why(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	f->async = true;
	hello(f, fd, "a", "ann", true);
	mqtt_login_answer(f->login, false, true, NULL, STR_NULL);
	settle(f);
	assert_got(fd, "connack 4;closed");
	close(fd);
}

static void
a_login_outlives_connection_and_server(void **state)
{
	struct fixture *f = *state;
	struct mqtt_login *first;
	struct linger now = { 1, 0 };
	int fd = dial(f);

	f->async = true;
	hello(f, fd, "a", "ann", true);
	first = f->login;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
	settle(f);
	mqtt_login_answer(first, true, false, ann, STR("ann"));
	settle(f);
	assert_heard(f, "unused ann;");

	fd = dial(f);
	hello(f, fd, "a", "ann", true);
	mqtt_server_close(f->server);
	f->server = NULL;
	mqtt_login_answer(f->login, true, false, ann, STR("ann"));
	assert_heard(f, "");
	close(fd);
}

static void
kicking_ends_all_sessions_of_an_account(void **state)
{
	struct fixture *f = *state;
	int a = dial(f), b = dial(f), other = dial(f);

	hello(f, a, "a", "ann", false);
	close(a);
	hello(f, b, "b", "ann", true);
	hello(f, other, "c", NULL, true);
	mqtt_server_kick(f->server, STR("ann"));
	settle(f);
	assert_heard(f, "unused ann;");
	assert_got(b, "connack 0;closed");
	assert_got(other, "connack 0;");
	close(b);
	close(other);
}

static void
stop_and_publish(void *owner, struct mqtt_msg *m)
{
	struct fixture *f = owner;

	buf_addz(&f->heard, "first;");
	(void)mqtt_publish(f->server, STR("inner"), STR("i"), 0, false, NULL);
	mqtt_msg_done(m, true);
}

static void
a_consumer_may_publish(void **state)
{
	struct fixture *f = *state;
	struct mqtt_consumer *a, *b;

	a = mqtt_consume_start(f->server, STR("t"), stop_and_publish, f);
	b = mqtt_consume_start(f->server, STR("#"), on_heard, f);
	(void)mqtt_publish(f->server, STR("t"), STR("o"), 0, false, NULL);
	settle(f);
	assert_heard(f, "first;t=o;inner=i;");
	mqtt_consume_stop(a);
	mqtt_consume_stop(b);
}

static void
on_seen(void *owner, const struct mqtt_sight *m)
{
	struct fixture *f = owner;

	buf_addf(&f->heard, "%s " STR_FMT "=" STR_FMT ";",
	    m->held ? "held" : "saw", STR_ARG(m->topic), STR_ARG(m->payload));
}

static void
who_looks_sees_everything_and_is_no_subscriber(void **state)
{
	struct fixture *f = *state;
	struct mqtt_consumer *c;

	mqtt_queue_declare(f->server, STR("q"), NULL);
	mqtt_server_watch(f->server, on_seen, f);
	(void)mqtt_publish(f->server, STR("q"), STR("1"), 1, false, NULL);
	(void)mqtt_publish(f->server, STR("t"), STR("2"), 0, true, NULL);
	assert_heard(f, "saw q=1;saw t=2;");
	mqtt_server_look(f->server, STR("#"), on_seen, f);
	assert_heard(f, "held t=2;");
	mqtt_server_watch(f->server, NULL, NULL);
	(void)mqtt_publish(f->server, STR("t"), STR("3"), 0, false, NULL);
	assert_heard(f, "");
	/* the queue kept what came while somebody looked */
	c = mqtt_consume_start(f->server, STR("q"), on_heard, f);
	settle(f);
	assert_heard(f, "q=1;");
	mqtt_consume_stop(c);
}

/* A client that is at the other end of a pair. */
static int
come_from_inside(struct fixture *f, const char *name)
{
	const struct mqtt_listener_conf conf = { .inside = name };
	int fds[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	mqtt_server_adopt(f->server, NULL, fds[1], NULL, STR_NULL, &conf);
	return fds[0];
}

static void
who_is_inside_needs_no_login_and_may_do_everything(void **state)
{
	struct fixture *f = *state;
	struct mqtt_consumer *c =
	    mqtt_consume_start(f->server, STR("out"), on_heard, f);
	int in = come_from_inside(f, MQTT_INSIDE "b"), out;

	f->deny = true;
	hello(f, in, "c", "whoever", false);
	subscribe(f, in, "t");
	assert_got(in, "connack 0;9;");
	publish(f, in, 1, "out", "x");
	assert_heard(f, "out=x;");
	assert_got(in, "ack 1;");
	/* it has its client ids for itself */
	out = dial(f);
	hello(f, out, "c", NULL, true);
	publish(f, out, 1, "out", "y"); /* has no right */
	(void)mqtt_publish(f->server, STR("t"), STR("z"), 1, false, NULL);
	settle(f);
	assert_got(in, "t=z;");
	assert_heard(f, "");
	mqtt_consume_stop(c);
	close(in);
	close(out);
}

static void
who_is_inside_comes_back_to_its_session_until_it_is_kicked(void **state)
{
	struct fixture *f = *state;
	int fd = come_from_inside(f, MQTT_INSIDE "b");

	hello(f, fd, "c", NULL, false);
	subscribe(f, fd, "t");
	close(fd);
	settle(f);
	(void)mqtt_publish(f->server, STR("t"), STR("1"), 1, false, NULL);
	fd = come_from_inside(f, MQTT_INSIDE "other");
	hello(f, fd, "c", NULL, false);
	assert_got(fd, "connack 0;");
	close(fd);
	fd = come_from_inside(f, MQTT_INSIDE "b");
	hello(f, fd, "c", NULL, false);
	assert_got(fd, "connack 0;t=1;");
	mqtt_server_kick(f->server, STR(MQTT_INSIDE "b"));
	settle(f);
	assert_got(fd, "closed");
	close(fd);
	fd = come_from_inside(f, MQTT_INSIDE "b");
	hello(f, fd, "c", NULL, false);
	assert_got(fd, "connack 0;"); /* without what was not acknowledged */
	close(fd);
}

static void
no_limit_holds_for_who_is_inside(void **state)
{
	struct fixture *f = *state;
	int fds[11];

	for (unsigned i = 0; i < 10; i++)
		fds[i] = dial(f);
	fds[10] = come_from_inside(f, MQTT_INSIDE "b");
	hello(f, fds[10], "c", NULL, true);
	assert_got(fds[10], "connack 0;");
	for (unsigned i = 0; i < COUNT_OF(fds); i++)
		close(fds[i]);
}

static void
a_bad_topic_is_the_callers_mistake(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
	    mqtt_publish(f->server, STR("a/#"), STR(""), 0, false, NULL),
	    ERR_PARAM);
	assert_int_equal(
	    mqtt_publish(f->server, STR("a"), STR(""), 3, false, NULL),
	    ERR_PARAM);
	assert_null(mqtt_consume_start(f->server, STR("a#"), on_heard, f));
}

/* A member that has one message unanswered, while another waits. */
static int
a_member_of_a_group(struct fixture *f, enum mqtt_durability durability)
{
	int fd;

	mqtt_queue_declare_durable(f->server, STR("q"), NULL, durability);
	fd = dial(f);
	hello(f, fd, "c", NULL, false);
	subscribe(f, fd, "$share/g/q");
	(void)mqtt_publish(f->server, STR("q"), STR("1"), 1, false, NULL);
	settle(f);
	assert_got(fd, "connack 0;9;q=1;");
	return fd;
}

static void
come_back(struct fixture *f, const char *want)
{
	int fd = dial(f);

	hello(f, fd, "c", NULL, false);
	assert_got(fd, want);
	close(fd);
	settle(f);
}

static void
a_group_becomes_as_durable_as_its_queue(void **state)
{
	struct fixture *f = *state;
	int fd = a_member_of_a_group(f, MQTT_NONE);

	mqtt_queue_declare_durable(f->server, STR("q"), NULL, MQTT_OS);
	reopen_server(f);
	close(fd);
	come_back(f, "connack 0;q=1;");
	/* what waits, and what comes later, too */
	mqtt_queue_declare_durable(f->server, STR("q"), NULL, MQTT_NONE);
	(void)mqtt_publish(f->server, STR("q"), STR("2"), 1, false, NULL);
	mqtt_queue_declare_durable(f->server, STR("q"), NULL, MQTT_OS);
	(void)mqtt_publish(f->server, STR("q"), STR("3"), 1, false, NULL);
	reopen_server(f);
	come_back(f, "connack 0;q=1;q=2;q=3;");
}

static void
a_group_becomes_no_more_durable_than_its_queue(void **state)
{
	struct fixture *f = *state;
	int fd = a_member_of_a_group(f, MQTT_OS);

	close(fd);
	settle(f);
	(void)mqtt_publish(f->server, STR("q"), STR("2"), 1, false, NULL);
	mqtt_queue_declare_durable(f->server, STR("q"), NULL, MQTT_NONE);
	(void)mqtt_publish(f->server, STR("q"), STR("3"), 1, false, NULL);
	come_back(f, "connack 0;q=1;q=2;q=3;");
	reopen_server(f);
	come_back(f, "connack 0;");
}

static void
a_group_follows_a_queue_that_was_changed_between_two_runs(void **state)
{
	struct fixture *f = *state;

	close(a_member_of_a_group(f, MQTT_OS));
	reopen_server(f);
	mqtt_queue_declare_durable(f->server, STR("q"), NULL, MQTT_NONE);
	come_back(f, "connack 0;q=1;");
	reopen_server(f);
	mqtt_queue_declare_durable(f->server, STR("q"), NULL, MQTT_OS);
	come_back(f, "connack 0;");
	(void)mqtt_publish(f->server, STR("q"), STR("2"), 1, false, NULL);
	reopen_server(f);
	come_back(f, "connack 0;q=2;");
}

static void
a_group_follows_a_queue_that_is_declared_after_it(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	hello(f, fd, "c", NULL, false);
	subscribe(f, fd, "$share/g/q");
	close(fd);
	mqtt_queue_declare_durable(f->server, STR("q"), NULL, MQTT_OS);
	(void)mqtt_publish(f->server, STR("q"), STR("1"), 1, false, NULL);
	reopen_server(f);
	come_back(f, "connack 0;q=1;");
	mqtt_queue_delete(f->server, STR("q"));
	(void)mqtt_publish(f->server, STR("q"), STR("2"), 1, false, NULL);
	reopen_server(f); /* the server itself keeps nothing */
	come_back(f, "connack 0;");
}

static void
a_group_without_a_queue_is_as_durable_as_the_server_is_now(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	hello(f, fd, "c", NULL, false);
	subscribe(f, fd, "$share/g/t");
	close(fd);
	f->durability = MQTT_OS;
	reopen_server(f);
	(void)mqtt_publish(f->server, STR("t"), STR("1"), 1, false, NULL);
	reopen_server(f);
	come_back(f, "connack 0;t=1;");
	f->durability = MQTT_NONE;
	reopen_server(f);
	(void)mqtt_publish(f->server, STR("t"), STR("2"), 1, false, NULL);
	reopen_server(f);
	come_back(f, "connack 0;");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define J(name)                                                                \
	cmocka_unit_test_setup_teardown(                                       \
	    name, set_up_with_journal, tear_down_with_journal)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_message_is_acknowledged_when_its_consumers_are_done),
		T(a_publisher_with_too_many_unanswered_is_not_read),
		T(a_failure_ends_the_connection_without_an_answer),
		T(a_report_may_come_after_connection_and_server_have_ended),
		T(a_queue_keeps_what_nobody_hears_and_refuses_beyond_its_limit),
		T(what_a_consumer_failed_on_returns_to_its_queue_in_order),
		T(messages_expire_in_their_queue),
		T(what_a_vanished_subscriber_had_returns_to_the_queue),
		T(a_login_may_be_answered_later),
		T(a_refused_login_is_told_why),
		T(a_login_outlives_connection_and_server),
		T(kicking_ends_all_sessions_of_an_account),
		T(a_consumer_may_publish),
		T(who_looks_sees_everything_and_is_no_subscriber),
		T(who_is_inside_needs_no_login_and_may_do_everything),
		T(who_is_inside_comes_back_to_its_session_until_it_is_kicked),
		T(no_limit_holds_for_who_is_inside),
		J(a_group_becomes_as_durable_as_its_queue),
		J(a_group_becomes_no_more_durable_than_its_queue),
		J(a_group_follows_a_queue_that_was_changed_between_two_runs),
		J(a_group_follows_a_queue_that_is_declared_after_it),
		J(a_group_without_a_queue_is_as_durable_as_the_server_is_now),
		T(a_bad_topic_is_the_callers_mistake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

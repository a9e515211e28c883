/*
 * net/mqtt/client_test.c - the client against a peer that says exactly what a
 * test wants a server to say. `told` is what the peer was sent, `heard` what
 * the owner heard.
 */
#include "net/mqtt/client.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX 100000
#define HAS(p) ((uint64_t)1 << MQTT_P_##p)

struct fixture {
	struct loop *loop;
	struct mqtt_client *client;
	struct mqtt_client_conf conf;
	struct buf heard;

	int listener, peer; /* -1: none */
	uint16_t port;
	uint8_t level; /* of the peer's connection; 0: CONNECT has not come */
	uint8_t xor ;  /* what the test's layer does to each byte */
	struct buf in, told;

	uint64_t held[10];
	unsigned n_held;
	int down;      /* the last code */
	bool no_line;  /* nobody can be dialled */
	bool distrust; /* the layer ends its connection */
	bool hold, free_on_message, stop_on_message, show_props;
	char dir[40];
};

/* --- the peer ------------------------------------------------------------ */

static void
tell_props(struct buf *out, const struct mqtt_props *p)
{
	struct str rest = p->raw, name, value;

	if (mqtt_has(p, MQTT_P_MESSAGE_EXPIRY))
		buf_addf(out, " expiry=%u", p->message_expiry_s);
	if (mqtt_has(p, MQTT_P_PAYLOAD_FORMAT))
		buf_addf(out, " format=%u", p->payload_format);
	if (mqtt_has(p, MQTT_P_CONTENT_TYPE))
		buf_addf(out, " type=" STR_FMT, STR_ARG(p->content_type));
	if (mqtt_has(p, MQTT_P_RESPONSE_TOPIC))
		buf_addf(out, " response=" STR_FMT, STR_ARG(p->response_topic));
	if (mqtt_has(p, MQTT_P_CORRELATION))
		buf_addf(out, " correlation=" STR_FMT, STR_ARG(p->correlation));
	while (mqtt_next_user(&rest, &name, &value))
		buf_addf(out, " " STR_FMT ":" STR_FMT, STR_ARG(name),
		    STR_ARG(value));
}

static void
tell_connect(struct fixture *f, const struct mqtt_packet *p)
{
	const struct mqtt_connect *c = &p->connect;

	buf_addf(&f->told, "CONNECT %u%s%s " STR_FMT, c->level,
	    c->bridge ? " bridge" : "", c->clean ? " clean" : "",
	    STR_ARG(c->client_id));
	if (mqtt_has(&p->props, MQTT_P_SESSION_EXPIRY))
		buf_addf(&f->told, " expiry=%x", p->props.session_expiry_s);
	if (c->will)
		buf_addf(&f->told, " will " STR_FMT "=" STR_FMT "%s",
		    STR_ARG(c->will_topic), STR_ARG(c->will_payload),
		    c->will_retain ? " retain" : "");
	f->level = c->level;
}

static void
tell_filters(struct fixture *f, const struct mqtt_packet *p)
{
	struct str rest = p->filters;
	struct mqtt_filter one;

	while (mqtt_next_filter(&rest, p->type, &one))
		buf_addf(&f->told, " %u " STR_FMT " qos %u%s", p->id,
		    STR_ARG(one.filter), one.qos,
		    one.no_local ? " no local" : "");
}

static void
tell_packet(struct fixture *f, const struct mqtt_packet *p)
{
	static const char *const names[] = { "", "", "CONNACK", "PUBLISH",
		"PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
		"UNSUBSCRIBE", "UNSUBACK", "PING", "PONG", "DISCONNECT",
		"AUTH" };

	buf_addz(&f->told, names[p->type]);
	if (p->type == MQTT_CONNECT)
		tell_connect(f, p);
	if (p->type == MQTT_SUBSCRIBE || p->type == MQTT_UNSUBSCRIBE)
		tell_filters(f, p);
	if (p->type >= MQTT_PUBACK && p->type <= MQTT_PUBCOMP)
		buf_addf(&f->told, " %u", p->id);
	if (p->type == MQTT_PUBLISH) {
		if (p->qos > 0)
			buf_addf(&f->told, " %u", p->id);
		buf_addf(&f->told, " " STR_FMT "=" STR_FMT, STR_ARG(p->topic),
		    STR_ARG(p->payload));
		if (p->qos > 1)
			buf_addz(&f->told, " qos 2");
		if (p->dup)
			buf_addz(&f->told, " dup");
		if (p->retain)
			buf_addz(&f->told, " retain");
		if (mqtt_has(&p->props, MQTT_P_ALIAS))
			buf_addf(&f->told, " alias %u", p->props.alias);
		tell_props(&f->told, &p->props);
	} else if (p->type != MQTT_CONNECT && p->type != MQTT_SUBSCRIBE &&
	    p->type != MQTT_UNSUBSCRIBE && p->type < MQTT_PINGREQ &&
	    p->code != 0) {
		buf_addf(&f->told, " %x", p->code);
	} else if (p->type == MQTT_DISCONNECT && p->code != 0) {
		buf_addf(&f->told, " %x", p->code);
	}
	buf_addc(&f->told, ';');
}

static void
hang_up(struct fixture *f)
{
	if (f->peer >= 0)
		close(f->peer);
	f->peer = -1;
	f->level = 0;
	buf_clear(&f->in);
}

static void
peer_read(struct fixture *f)
{
	struct mqtt_packet p;
	char chunk[4096];
	struct str rest;
	size_t len;
	ssize_t n;

	n = recv(f->peer, chunk, sizeof(chunk), MSG_DONTWAIT);
	if (n < 0)
		return;
	for (ssize_t i = 0; i < n; i++)
		chunk[i] ^= (char)f->xor ;
	buf_add(&f->in, chunk, (size_t)n);
	rest = buf_str(&f->in);
	while (mqtt_parse(rest, f->level, MAX, &p, &len, NULL) == 0) {
		tell_packet(f, &p);
		rest.ptr += len;
		rest.len -= len;
	}
	if (rest.len > 0)
		memmove(f->in.ptr, rest.ptr, rest.len);
	f->in.len = rest.len;
	if (n == 0) {
		buf_addz(&f->told, "EOF;");
		hang_up(f);
	}
}

/* A peer that is not there yet, once it calls. */
static void
answer_call(struct fixture *f)
{
	const int one = 1;

	f->peer = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	if (f->peer >= 0) /* fails for a Unix socket, which needs it not */
		(void)setsockopt(
		    f->peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void
settle(struct fixture *f)
{
	for (int i = 0; i < 12; i++) {
		(void)poll(NULL, 0, 1); /* the kernel's time for loopback */
		loop_turn(f->loop, 0);
		if (f->peer < 0)
			answer_call(f);
		if (f->peer >= 0)
			peer_read(f);
	}
}

static void
say(struct fixture *f, struct buf *b)
{
	for (size_t i = 0; i < b->len; i++)
		b->ptr[i] ^= (char)f->xor ;
	assert_int_equal(
	    send(f->peer, b->ptr, b->len, MSG_NOSIGNAL), (ssize_t)b->len);
	buf_free(b);
	settle(f);
}

static void
say_connack(struct fixture *f, bool present, uint8_t code,
    const struct mqtt_props *props)
{
	struct buf b = { 0 };

	mqtt_put_connack(&b, f->level, present, code, props);
	say(f, &b);
}

static void
say_ack(struct fixture *f, enum mqtt_type type, uint16_t id, uint8_t code)
{
	struct buf b = { 0 };

	mqtt_put_ack(&b, f->level, type, id, code, NULL);
	say(f, &b);
}

static void
say_suback(struct fixture *f, uint16_t id, uint8_t code)
{
	struct buf b = { 0 };

	mqtt_put_suback(&b, f->level, MQTT_SUBACK, id, &code, 1, NULL);
	say(f, &b);
}

static void
say_publish(struct fixture *f, uint16_t id, uint8_t qos, bool dup,
    const char *topic, const char *payload)
{
	struct buf b = { 0 };

	assert_true(mqtt_put_publish(&b, f->level,
	    (struct mqtt_publish_flags){ .qos = qos, .dup = dup, .id = id },
	    str_of(topic), NULL, str_of(payload)));
	say(f, &b);
}

/* Gives what is still to come of `want` its time, on a busy machine. */
static void
settle_for(struct fixture *f, struct buf *have, const char *want)
{
	settle(f);
	for (int i = 0; i < 1000 && have->len < strlen(want) &&
	     str_starts(str_of(want), buf_str(have));
	     i++)
		settle(f);
}

static void
assert_told(struct fixture *f, const char *want)
{
	settle_for(f, &f->told, want);
	assert_string_equal(buf_z(&f->told), want);
	buf_clear(&f->told);
}

/* --- the owner ----------------------------------------------------------- */

static void
on_up(void *owner, bool present)
{
	struct fixture *f = owner;

	buf_addz(&f->heard, present ? "up again;" : "up;");
}

static void
on_down(void *owner, const struct err *why)
{
	struct fixture *f = owner;

	buf_addf(&f->heard, "down %s;", why->text);
	f->down = why->code;
}

static void
on_done(void *ctx, uint8_t reason)
{
	struct fixture *f = ctx;

	if (reason == 0)
		buf_addz(&f->heard, "done;");
	else
		buf_addf(&f->heard, "done %x;", reason);
}

static void
on_message(void *ctx, const struct mqtt_client_msg *m)
{
	struct fixture *f = ctx;

	if (m->topic.ptr == NULL) {
		buf_addf(&f->heard, "refused %x;", m->reason);
		return;
	}
	buf_addf(&f->heard, STR_FMT "=" STR_FMT "%s", STR_ARG(m->topic),
	    STR_ARG(m->payload), m->retain ? " retained" : "");
	if (f->show_props)
		tell_props(&f->heard, m->props);
	buf_addc(&f->heard, ';');
	if (f->hold)
		f->held[f->n_held++] = mqtt_client_hold(f->client);
	if (f->stop_on_message)
		mqtt_client_stop(f->client);
	if (f->free_on_message) {
		mqtt_client_free(f->client);
		f->client = NULL;
	}
}

static const struct mqtt_client_events client_events = { on_up, on_down };

static void
assert_heard(struct fixture *f, const char *want)
{
	settle_for(f, &f->heard, want);
	assert_string_equal(buf_z(&f->heard), want);
	buf_clear(&f->heard);
}

/* --- set up -------------------------------------------------------------- */

static void
listen_on_loopback(struct fixture *f)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	const int one = 1;

	f->listener =
	    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	(void)setsockopt(
	    f->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	a.sin_port = htons(f->port);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(f->listener, 5), 0);
	assert_int_equal(
	    getsockname(f->listener, (struct sockaddr *)&a, &len), 0);
	f->port = ntohs(a.sin_port);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->loop = loop_new();
	f->peer = -1;
	listen_on_loopback(f);
	f->conf = (struct mqtt_client_conf){ .address = "127.0.0.1",
		.port = f->port,
		.client_id = "c",
		.keepalive_s = 10,
		.max_inflight = 10,
		.max_waiting = 5 };
	strcpy(f->dir, "/tmp/marram-client-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	mqtt_client_free(f->client);
	hang_up(f);
	close(f->listener);
	loop_turn(f->loop, 0);
	loop_free(f->loop);
	buf_free(&f->heard);
	buf_free(&f->told);
	buf_free(&f->in);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void
dial(struct fixture *f)
{
	assert_int_equal(mqtt_client_new(f->loop, &f->conf, &client_events, f,
			     &f->client, NULL),
	    0);
	mqtt_client_start(f->client);
	settle(f);
}

/* Up, with what the server says of itself. */
static void
greet(struct fixture *f, bool present, const struct mqtt_props *props)
{
	settle(f);
	assert_true(f->level != 0);
	say_connack(f, present, 0, props);
	buf_clear(&f->told);
	assert_heard(f, present ? "up again;" : "up;");
}

static void
lose_connection(struct fixture *f)
{
	hang_up(f);
	settle(f);
	buf_clear(&f->heard); /* "down", with what the system says of it */
}

static void
publish(struct fixture *f, const char *topic, const char *payload, uint8_t qos)
{
	assert_int_equal(mqtt_client_publish(f->client, str_of(topic),
			     str_of(payload), qos, false, on_done, f),
	    0);
}

/* --- connecting ---------------------------------------------------------- */

static void
it_says_who_it_is(void **state)
{
	struct fixture *f = *state;

	f->conf.keep_session = true;
	f->conf.session_expiry_s = 0x77;
	f->conf.will_topic = "w";
	f->conf.will_payload = STR("gone");
	f->conf.will_retain = true;
	dial(f);
	assert_told(f, "CONNECT 5 c expiry=77 will w=gone retain;");
	say_connack(f, true, 0, NULL);
	assert_heard(f, "up again;");
	mqtt_client_stop(f->client);
	assert_told(f, "DISCONNECT;EOF;");
	f->conf.session_expiry_s = 0;
	f->conf.will_topic = NULL;
	mqtt_client_free(f->client);
	dial(f);
	assert_told(f, "CONNECT 5 c expiry=ffffffff;");
}

static int
be_dialled(void *ctx, struct err *err)
{
	struct fixture *f = ctx;
	int fds[2];

	if (f->no_line)
		return err_set(err, ERR_IO, "no line");
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	f->peer = fds[1];
	return fds[0];
}

static void
its_owner_may_dial_for_it(void **state)
{
	struct fixture *f = *state;

	f->conf.dial = be_dialled;
	f->conf.dial_ctx = f;
	dial(f);
	assert_told(f, "CONNECT 5 clean c;");
	say_connack(f, false, 0, NULL);
	assert_heard(f, "up;");
	lose_connection(f);
	f->no_line = true;
	clock_advance(1000);
	assert_heard(f, "down no line;");
	f->no_line = false;
	clock_advance(2000);
	assert_told(f, "CONNECT 5 clean c;");
}

static void
a_server_without_level_5_is_asked_with_level_4(void **state)
{
	struct fixture *f = *state;
	struct buf b = { 0 };

	dial(f);
	assert_told(f, "CONNECT 5 clean c;");
	buf_add(&b, "\x20\2\0\1", 4);
	say(f, &b);
	assert_told(f, "EOF;CONNECT 4 clean c;");
	say_connack(f, false, 0, NULL);
	assert_heard(f, "up;");
	assert_int_equal(mqtt_client_level(f->client), 4);
	/* and again when the connection is lost */
	lose_connection(f);
	clock_advance(1000);
	assert_told(f, "CONNECT 4 clean c;");
}

static void
a_server_that_hangs_up_on_level_5_is_asked_with_level_4(void **state)
{
	struct fixture *f = *state;

	dial(f);
	assert_told(f, "CONNECT 5 clean c;");
	hang_up(f);
	assert_heard(f, "down closed by the server;");
	clock_advance(1000);
	assert_told(f, "CONNECT 4 clean c;");
	hang_up(f);
	settle(f);
	clock_advance(2000);
	assert_told(f, "CONNECT 5 clean c;");
}

static void
the_bridge_bit_is_left_out_where_it_is_refused(void **state)
{
	struct fixture *f = *state;

	f->conf.bridge = true;
	dial(f);
	assert_told(f, "CONNECT 5 clean c;");
	say_connack(f, false, MQTT_R_BAD_VERSION, NULL);
	assert_told(f, "EOF;CONNECT 4 bridge clean c;");
	assert_false(mqtt_client_echoes(f->client));
	say_connack(f, false, MQTT_BAD_LEVEL, NULL);
	assert_told(f, "EOF;CONNECT 4 clean c;");
	assert_true(mqtt_client_echoes(f->client));
	say_connack(f, false, MQTT_BAD_LEVEL, NULL);
	assert_heard(f, "down protocol level refused;");
}

static void
a_level_that_was_demanded_is_kept(void **state)
{
	struct fixture *f = *state;

	f->conf.level = 5;
	dial(f);
	assert_told(f, "CONNECT 5 clean c;");
	say_connack(f, false, MQTT_R_BAD_VERSION, NULL);
	assert_heard(f, "down unsupported protocol version;");
	assert_int_equal(mqtt_client_reason(f->client), MQTT_R_BAD_VERSION);
}

static void
a_refusal_is_told_and_tried_again_after_longer_and_longer_waits(void **state)
{
	struct fixture *f = *state;
	struct mqtt_props props = { .has = HAS(REASON), .reason = STR("no") };

	f->conf.retry_min_ms = 100000; /* nothing here takes half of that */
	f->conf.retry_max_ms = 300000;
	dial(f);
	say_connack(f, false, MQTT_R_NOT_AUTHORIZED, &props);
	assert_heard(f, "down not authorized: no;");
	for (int64_t wait = 100000; wait <= 300000; wait += 100000) {
		buf_clear(&f->told);
		clock_advance(wait / 2 - 1000);
		assert_told(f, "");
		clock_advance(wait / 2 + 1000);
		assert_told(f, "CONNECT 5 clean c;");
		say_connack(f, false, MQTT_R_NOT_AUTHORIZED, &props);
		assert_heard(f, "down not authorized: no;");
	}
}

static void
the_id_that_the_server_assigned_is_kept(void **state)
{
	struct fixture *f = *state;
	struct mqtt_props props = { .has = HAS(CLIENT_ID),
		.client_id = STR("made-up") };

	f->conf.client_id = NULL;
	f->conf.keep_session = true;
	dial(f);
	greet(f, false, &props);
	assert_string_equal(mqtt_client_id(f->client), "made-up");
	lose_connection(f);
	clock_advance(1000);
	assert_told(f, "CONNECT 5 made-up expiry=ffffffff;");
}

static void
names_are_found_without_the_loop_waiting(void **state)
{
	struct fixture *f = *state;

	f->conf.address = "localhost";
	dial(f);
	for (int i = 0; i < 100 && f->level == 0; i++)
		settle(f);
	assert_told(f, "CONNECT 5 clean c;");
}

static void
a_name_without_an_address_is_told(void **state)
{
	struct fixture *f = *state;

	f->conf.address = "no such name.invalid";
	dial(f);
	for (int i = 0; i < 1000 && f->heard.len == 0; i++)
		settle(f);
	assert_true(str_starts(
	    buf_str(&f->heard), STR("down address of no such name.invalid: ")));
	buf_clear(&f->heard);
}

static void
a_client_may_go_while_its_name_is_being_found(void **state)
{
	struct fixture *f = *state;

	f->conf.address = "localhost";
	assert_int_equal(mqtt_client_new(f->loop, &f->conf, &client_events, f,
			     &f->client, NULL),
	    0);
	mqtt_client_start(f->client);
	loop_turn(f->loop, 10);
	mqtt_client_free(f->client);
	f->client = NULL;
	assert_heard(f, "");
}

static void
a_unix_socket_is_an_address(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char *address = mem_printf("unix:%s/s", f->dir);

	close(f->listener);
	f->listener =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	strcpy(a.sun_path, address + strlen("unix:"));
	assert_int_equal(
	    bind(f->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(f->listener, 1), 0);
	f->conf.address = address;
	dial(f);
	assert_told(f, "CONNECT 5 clean c;");
	unlink(a.sun_path);
	free(address);
}

static void
bad_settings_are_refused(void **state)
{
	struct fixture *f = *state;
	struct mqtt_client_conf conf = { .address = NULL };
	struct mqtt_client *c;
	char path[200] = "unix:";

	memset(path + 5, 'x', sizeof(path) - 6);
	assert_int_equal(
	    mqtt_client_new(f->loop, &conf, NULL, NULL, &c, NULL), ERR_PARAM);
	conf.address = path;
	assert_int_equal(
	    mqtt_client_new(f->loop, &conf, NULL, NULL, &c, NULL), ERR_PARAM);
	conf.address = "::1";
	conf.level = 3;
	assert_int_equal(
	    mqtt_client_new(f->loop, &conf, NULL, NULL, &c, NULL), ERR_PARAM);
	conf.level = 0;
	conf.will_topic = "a/#";
	assert_int_equal(
	    mqtt_client_new(f->loop, &conf, NULL, NULL, &c, NULL), ERR_PARAM);
}

/* A layer that inverts every byte, takes few at a time, and says nothing before
 * the peer has spoken. */
struct layer {
	struct stream base;
	struct stream *below;
	struct fixture *f;
	bool open;
};

static ssize_t
layer_read(struct stream *s, void *p, size_t len)
{
	struct layer *l = container_of(s, struct layer, base);
	ssize_t n;

	if (l->f->distrust) {
		errno = EPROTO;
		return -1;
	}
	n = stream_read(l->below, p, len);
	for (ssize_t i = 0; i < n; i++)
		((uint8_t *)p)[i] ^= 0xff;
	if (n > 0 && !l->open) {
		l->open = true; /* the first byte was the handshake */
		memmove(p, (char *)p + 1, (size_t)--n);
		errno = EAGAIN;
		return n > 0 ? n : -1;
	}
	return n;
}

static ssize_t
layer_writev(struct stream *s, const struct iovec *iov, int n)
{
	struct layer *l = container_of(s, struct layer, base);
	uint8_t few[7];
	struct iovec one = { few, MIN_OF(sizeof(few), iov->iov_len) };

	(void)n;
	errno = EAGAIN;
	if (!l->open)
		return -1;
	for (size_t i = 0; i < one.iov_len; i++)
		few[i] = ((const uint8_t *)iov->iov_base)[i] ^ 0xff;
	return stream_writev(l->below, &one, 1);
}

static int
layer_flush(struct stream *s)
{
	return stream_flush(container_of(s, struct layer, base)->below);
}

static unsigned
layer_wants(const struct stream *s)
{
	(void)s;
	return 0;
}

static void
layer_bye(struct stream *s)
{
	buf_addz(&container_of(s, struct layer, base)->f->heard, "bye;");
}

static void
layer_free(struct stream *s)
{
	struct layer *l = container_of(s, struct layer, base);

	stream_free(l->below);
	free(l);
}

static void
layer_why(const struct stream *s, struct buf *ret)
{
	(void)s;
	buf_addz(ret, "not trusted");
}

static struct stream *
wrap(void *ctx, struct stream *below, const char *host, struct err *err)
{
	static const struct stream_ops ops = { layer_read, layer_writev,
		layer_flush, layer_wants, layer_bye, layer_free };
	struct fixture *f = ctx;
	struct layer *l;

	assert_string_equal(host, "127.0.0.1");
	if (f->xor == 0) {
		stream_free(below);
		(void)err_set(err, ERR_PARAM, "no certificate");
		return NULL;
	}
	l = mem_new(struct layer);
	l->base.ops = &ops;
	l->below = below;
	l->f = f;
	return &l->base;
}

static void
a_layer_may_lie_over_the_connection(void **state)
{
	struct fixture *f = *state;
	struct buf hello = { 0 };

	f->conf.wrap = wrap;
	f->conf.wrap_ctx = f;
	f->xor = 0xff;
	dial(f);
	assert_told(f, "");
	buf_addc(&hello, '!');
	say(f, &hello);
	assert_told(f, "CONNECT 5 clean c;");
	greet(f, false, NULL);
	publish(f, "topic", "a payload that takes a few writes", 1);
	assert_told(f, "PUBLISH 1 topic=a payload that takes a few writes;");
	mqtt_client_stop(f->client);
	assert_told(f, "DISCONNECT;EOF;");
	assert_heard(f, "bye;");
}

static void
a_layer_that_cannot_be_made_is_told(void **state)
{
	struct fixture *f = *state;

	f->conf.wrap = wrap;
	f->conf.wrap_ctx = f;
	dial(f);
	assert_heard(f, "down no certificate;");
}

static void
a_layer_says_why_it_has_ended(void **state)
{
	struct fixture *f = *state;
	struct buf hello = { 0 };

	f->conf.wrap = wrap;
	f->conf.wrap_why = layer_why;
	f->conf.wrap_ctx = f;
	f->xor = 0xff;
	f->distrust = true;
	dial(f);
	buf_addc(&hello, '!');
	say(f, &hello);
	assert_heard(f, "down not trusted;");
}

static void
a_reset_is_an_end_by_the_other_side(void **state)
{
	const struct linger at_once = { .l_onoff = 1 };
	struct fixture *f = *state;

	dial(f);
	greet(f, false, NULL);
	setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	hang_up(f);
	assert_heard(f, "down read: Connection reset by peer;");
	assert_int_equal(f->down, ERR_CLOSED);
}

/* --- staying ------------------------------------------------------------- */

static void
the_keep_alive_of_the_server_is_kept(void **state)
{
	struct fixture *f = *state;
	struct mqtt_props props = { .has = HAS(KEEPALIVE), .keepalive_s = 5 };
	struct buf b = { 0 };

	dial(f);
	greet(f, false, &props);
	clock_advance(4900);
	assert_told(f, "");
	clock_advance(100);
	assert_told(f, "PING;");
	mqtt_put_empty(&b, MQTT_PINGRESP);
	say(f, &b);
	clock_advance(5000);
	assert_told(f, "PING;");
	assert_heard(f, "");
	clock_advance(5000); /* more than half a period without an answer */
	assert_heard(f, "down the server is silent;");
}

static void
the_reason_of_a_disconnect_is_told(void **state)
{
	struct fixture *f = *state;
	struct buf b = { 0 };

	dial(f);
	greet(f, false, NULL);
	mqtt_put_end(&b, 5, MQTT_DISCONNECT, MQTT_R_TAKEN_OVER, NULL);
	say(f, &b);
	assert_heard(f, "down session taken over;");
	assert_int_equal(mqtt_client_reason(f->client), MQTT_R_TAKEN_OVER);
	assert_false(mqtt_client_is_up(f->client));
}

static void
a_server_that_breaks_the_rules_is_told_so(void **state)
{
	struct fixture *f = *state;
	struct buf b = { 0 };

	dial(f);
	greet(f, false, NULL);
	buf_add(&b, "\x30\4\0\1+\0", 6);
	say(f, &b);
	assert_told(f, "DISCONNECT 90;EOF;");
	assert_heard(f, "down PUBLISH: bad topic name;");
	clock_advance(1000);
	settle(f);
	greet(f, false, NULL);
	buf_add(&b, "\xc0\0", 2);
	say(f, &b);
	assert_told(f, "DISCONNECT 82;EOF;");
}

static void
stopping_says_goodbye_and_starting_goes_on(void **state)
{
	struct fixture *f = *state;

	dial(f);
	greet(f, false, NULL);
	mqtt_client_stop(f->client);
	assert_told(f, "DISCONNECT;EOF;");
	assert_heard(f, "");
	publish(f, "t", "x", 1);
	mqtt_client_start(f->client);
	settle(f);
	greet(f, false, NULL);
	assert_int_equal(mqtt_client_waiting(f->client), 1);
	say_ack(f, MQTT_PUBACK, 1, 0);
	assert_heard(f, "done;");
	assert_int_equal(mqtt_client_waiting(f->client), 0);
}

/* --- publishing ---------------------------------------------------------- */

static void
each_qos_is_answered_in_its_way(void **state)
{
	struct fixture *f = *state;

	for (f->conf.level = 4; f->conf.level <= 5; f->conf.level++) {
		dial(f);
		greet(f, false, NULL);
		publish(f, "t", "0", 0);
		assert_heard(f, "done;");
		publish(f, "t", "1", 1);
		publish(f, "t", "2", 2);
		assert_told(
		    f, "PUBLISH t=0;PUBLISH 1 t=1;PUBLISH 2 t=2 qos 2;");
		say_ack(f, MQTT_PUBREC, 2, 0);
		assert_told(f, "PUBREL 2;");
		assert_heard(f, "");
		say_ack(f, MQTT_PUBCOMP, 2, 0);
		assert_heard(f, "done;");
		say_ack(f, MQTT_PUBACK, 1, 0);
		assert_heard(f, "done;");
		mqtt_client_free(f->client);
		f->client = NULL;
		settle(f);
		buf_clear(&f->told);
	}
}

static void
what_the_server_refuses_is_told_with_its_reason(void **state)
{
	struct fixture *f = *state;

	dial(f);
	greet(f, false, NULL);
	publish(f, "t", "1", 1);
	publish(f, "t", "2", 2);
	settle(f);
	say_ack(f, MQTT_PUBACK, 1, MQTT_R_QUOTA);
	say_ack(f, MQTT_PUBREC, 2, MQTT_R_NOT_AUTHORIZED);
	assert_heard(f, "done 97;done 87;");
	assert_int_equal(mqtt_client_waiting(f->client), 0);
}

static void
no_more_is_sent_than_the_server_can_receive(void **state)
{
	struct fixture *f = *state;
	struct mqtt_props props = { .has = HAS(RECEIVE_MAX), .receive_max = 2 };

	dial(f);
	greet(f, false, &props);
	for (int i = 0; i < 5; i++)
		publish(f, "t", (char[]){ (char)('1' + i), 0 }, 1);
	assert_int_equal(mqtt_client_publish(f->client, STR("t"), STR("6"), 1,
			     false, on_done, f),
	    ERR_LIMIT);
	assert_told(f, "PUBLISH 1 t=1;PUBLISH 2 t=2;");
	say_ack(f, MQTT_PUBACK, 1, 0);
	assert_told(f, "PUBLISH 3 t=3;");
	say_ack(f, MQTT_PUBACK, 2, 0);
	say_ack(f, MQTT_PUBACK, 3, 0);
	assert_told(f, "PUBLISH 4 t=4;PUBLISH 5 t=5;");
}

static void
what_the_server_cannot_do_is_not_asked_of_it(void **state)
{
	struct fixture *f = *state;
	struct mqtt_props props = {
		.has = HAS(MAX_QOS) | HAS(HAS_RETAIN) | HAS(MAX_PACKET),
		.max_qos = 1,
		.has_retain = false,
		.max_packet = 20,
	};

	dial(f);
	greet(f, false, &props);
	publish(f, "t", "a payload that is too large", 1);
	publish(f, "t", "a payload that is too large", 0);
	assert_heard(f, "done 95;done 95;");
	assert_int_equal(mqtt_client_publish(f->client, STR("t"), STR("x"), 2,
			     true, on_done, f),
	    0);
	assert_told(f, "PUBLISH 2 t=x;");
}

static void
a_topic_gets_an_alias_where_the_server_allows_it(void **state)
{
	struct fixture *f = *state;
	struct mqtt_props props = { .has = HAS(ALIAS_MAX), .alias_max = 2 };

	dial(f);
	greet(f, false, &props);
	publish(f, "one", "1", 0);
	publish(f, "one", "2", 0);
	publish(f, "two", "3", 0);
	publish(f, "three", "4", 0);
	publish(f, "two", "5", 0);
	assert_told(f,
	    "PUBLISH one=1 alias 1;PUBLISH =2 alias 1;"
	    "PUBLISH two=3 alias 2;PUBLISH three=4;PUBLISH =5 alias 2;");
	lose_connection(f);
	clock_advance(1000);
	settle(f);
	greet(f, false, &props);
	publish(f, "two", "6", 0);
	assert_told(f, "PUBLISH two=6 alias 1;");
}

static void
properties_go_with_the_message(void **state)
{
	struct fixture *f = *state;
	struct mqtt_props props = {
		.has = HAS(MESSAGE_EXPIRY) | HAS(CONTENT_TYPE) |
		    HAS(RESPONSE_TOPIC) | HAS(CORRELATION) |
		    HAS(PAYLOAD_FORMAT),
		.message_expiry_s = 10,
		.content_type = STR("text"),
		.response_topic = STR("r"),
		.correlation = STR("77"),
		.payload_format = 1,
	};
	struct mqtt_client_msg m = { .topic = STR("t"),
		.payload = STR("x"),
		.qos = 1,
		.props = &props };
	struct buf user = { 0 };

	mqtt_put_user(&user, STR("a"), STR("b"));
	props.raw = buf_str(&user);
	dial(f);
	assert_int_equal(mqtt_client_send(f->client, &m, on_done, f), 0);
	clock_advance(3000);
	greet(f, false, NULL);
	props.message_expiry_s = 7;
	assert_int_equal(mqtt_client_send(f->client, &m, on_done, f), 0);
	buf_clear(&f->told);
	settle(f);
	assert_true(str_ends(buf_str(&f->told),
	    STR("PUBLISH 2 t=x expiry=7 format=1 type=text response=r "
		"correlation=77 a:b;")));
	buf_free(&user);
}

static void
a_message_that_expires_before_it_is_sent_is_not_sent(void **state)
{
	struct fixture *f = *state;
	struct mqtt_props props = { .has = HAS(MESSAGE_EXPIRY),
		.message_expiry_s = 5 };
	struct mqtt_client_msg m = { .topic = STR("t"),
		.payload = STR("x"),
		.qos = 1,
		.props = &props };

	dial(f);
	assert_int_equal(mqtt_client_send(f->client, &m, on_done, f), 0);
	clock_advance(5000);
	say_connack(f, false, 0, NULL);
	assert_heard(f, "up;done;");
	assert_int_equal(mqtt_client_waiting(f->client), 0);
}

static void
what_was_not_answered_is_sent_again_in_a_session_that_goes_on(void **state)
{
	struct fixture *f = *state;

	f->conf.keep_session = true;
	f->conf.max_inflight = 4;
	dial(f);
	greet(f, false, NULL);
	publish(f, "t", "1", 1);
	publish(f, "t", "2", 2);
	publish(f, "t", "3", 2);
	publish(f, "t", "4", 1);
	publish(f, "t", "5", 1);
	settle(f);
	say_ack(f, MQTT_PUBREC, 2, 0);
	lose_connection(f);
	buf_clear(&f->told);
	clock_advance(1000);
	assert_told(f, "CONNECT 5 c expiry=ffffffff;");
	say_connack(f, true, 0, NULL);
	assert_told(f,
	    "PUBLISH 1 t=1 dup;PUBREL 2;PUBLISH 3 t=3 qos 2 dup;"
	    "PUBLISH 4 t=4 dup;");
	say_ack(f, MQTT_PUBCOMP, 2, 0);
	assert_told(f, "PUBLISH 5 t=5;");
	assert_heard(f, "up again;done;");
}

static void
it_is_sent_as_new_where_the_session_is_gone(void **state)
{
	struct fixture *f = *state;

	dial(f);
	greet(f, false, NULL);
	publish(f, "t", "1", 2);
	publish(f, "t", "2", 1);
	settle(f);
	say_ack(f, MQTT_PUBREC, 1, 0);
	lose_connection(f);
	publish(f, "t", "3", 1);
	assert_int_equal(mqtt_client_publish(f->client, STR("t"), STR("4"), 0,
			     false, on_done, f),
	    ERR_CLOSED);
	clock_advance(1000);
	settle(f);
	buf_clear(&f->told);
	say_connack(f, false, 0, NULL);
	assert_told(f, "PUBLISH 3 t=1 qos 2;PUBLISH 4 t=2;PUBLISH 5 t=3;");
	assert_int_equal(mqtt_client_waiting(f->client), 3);
	/* and what the server had said of the first is forgotten */
	lose_connection(f);
	clock_advance(2000);
	settle(f);
	buf_clear(&f->told);
	say_connack(f, true, 0, NULL);
	assert_told(
	    f, "PUBLISH 3 t=1 qos 2 dup;PUBLISH 4 t=2 dup;PUBLISH 5 t=3 dup;");
}

/* --- hearing ------------------------------------------------------------- */

static void
what_matches_is_heard_and_acknowledged(void **state)
{
	struct fixture *f = *state;

	dial(f);
	greet(f, false, NULL);
	assert_int_equal(
	    mqtt_client_subscribe(f->client, STR("t/+"), 2, on_message, f), 0);
	assert_told(f, "SUBSCRIBE 1 t/+ qos 2;");
	say_suback(f, 1, 2);
	say_publish(f, 0, 0, false, "t/0", "a");
	say_publish(f, 7, 1, false, "t/1", "b");
	say_publish(f, 8, 2, false, "t/2", "c");
	assert_told(f, "PUBACK 7;PUBREC 8;");
	say_publish(f, 8, 2, true, "t/2", "c");
	assert_told(f, "PUBREC 8;");
	say_ack(f, MQTT_PUBREL, 8, 0);
	say_ack(f, MQTT_PUBREL, 8, 0);
	assert_told(f, "PUBCOMP 8;PUBCOMP 8 92;");
	say_publish(f, 9, 1, false, "other", "d");
	assert_told(f, "PUBACK 9;");
	assert_heard(f, "t/0=a;t/1=b;t/2=c;");
	mqtt_client_unsubscribe(f->client, STR("t/+"));
	assert_told(f, "UNSUBSCRIBE 2 t/+ qos 0;");
	say_publish(f, 10, 1, false, "t/1", "late");
	assert_heard(f, "");
}

static void
a_refused_subscription_is_told(void **state)
{
	struct fixture *f = *state;
	struct mqtt_filter filter = {
		.filter = STR("a"), .qos = 1, .no_local = true
	};

	dial(f);
	greet(f, false, NULL);
	assert_int_equal(
	    mqtt_client_subscribe_with(f->client, &filter, on_message, f), 0);
	assert_told(f, "SUBSCRIBE 1 a qos 1 no local;");
	say_suback(f, 1, MQTT_R_NOT_AUTHORIZED);
	assert_heard(f, "refused 87;");
	filter.filter = STR("$share/g/a");
	assert_int_equal(
	    mqtt_client_subscribe_with(f->client, &filter, on_message, f),
	    ERR_PARAM);
	filter.filter = STR("a#");
	assert_int_equal(
	    mqtt_client_subscribe_with(f->client, &filter, on_message, f),
	    ERR_PARAM);
}

static void
on_subscribed(void *owner)
{
	struct fixture *f = owner;

	buf_addz(&f->heard, "subscribed;");
}

static void
it_is_told_when_all_subscriptions_are_answered(void **state)
{
	static const struct mqtt_client_events events = { .up = on_up,
		.subscribed = on_subscribed };
	struct fixture *f = *state;

	f->conf.keep_session = true;
	assert_int_equal(
	    mqtt_client_new(f->loop, &f->conf, &events, f, &f->client, NULL),
	    0);
	(void)mqtt_client_subscribe(f->client, STR("a"), 1, on_message, f);
	(void)mqtt_client_subscribe(f->client, STR("b"), 1, on_message, f);
	assert_false(mqtt_client_is_subscribed(f->client));
	mqtt_client_start(f->client);
	settle(f);
	say_connack(f, false, 0, NULL);
	say_suback(f, 2, 0x80);
	assert_heard(f, "up;refused 80;");
	assert_false(mqtt_client_is_subscribed(f->client));
	say_suback(f, 1, 1);
	assert_heard(f, "subscribed;");
	assert_true(mqtt_client_is_subscribed(f->client));
	mqtt_client_unsubscribe(f->client, STR("b"));
	lose_connection(f);
	assert_false(mqtt_client_is_subscribed(f->client));
	clock_advance(1000);
	settle(f);
	say_connack(f, true, 0, NULL); /* the session has it already */
	assert_heard(f, "up again;");
	assert_true(mqtt_client_is_subscribed(f->client));
}

static void
addresses_are_read(void **state)
{
	static const struct {
		const char *url, *host;
		int port;
		bool tls;
	} cases[] = { { "tcp://h", "h", 1883, false },
		{ "mqtt://h:7", "h", 7, false }, { "tls://h", "h", 8883, true },
		{ "SSL://h:7/", "h", 7, true },
		{ "mqtts://u:p@h", "h", 8883, true }, { "http://h" }, { "h" },
		{ "" } };
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct mqtt_client_conf conf = { 0 };
		struct err err;
		bool tls;
		int rc = mqtt_client_url(
		    &a, str_of(cases[i].url), &conf, &tls, &err);

		assert_int_equal(rc, cases[i].host != NULL ? 0 : ERR_PARAM);
		if (rc != 0)
			continue;
		assert_string_equal(conf.address, cases[i].host);
		assert_int_equal(conf.port, cases[i].port);
		assert_int_equal(tls, cases[i].tls);
	}
	arena_fini(&a);
}

static void
a_kept_session_is_not_subscribed_twice(void **state)
{
	struct fixture *f = *state;

	f->conf.keep_session = true;
	dial(f);
	(void)mqtt_client_subscribe(f->client, STR("a"), 1, on_message, f);
	(void)mqtt_client_subscribe(f->client, STR("b"), 1, on_message, f);
	buf_clear(&f->told);
	say_connack(f, false, 0, NULL);
	assert_told(f, "SUBSCRIBE 1 a qos 1;SUBSCRIBE 2 b qos 1;");
	say_suback(f, 1, 1);
	say_suback(f, 2, 1);
	lose_connection(f);
	mqtt_client_unsubscribe(f->client, STR("b"));
	clock_advance(1000);
	settle(f);
	buf_clear(&f->told);
	say_connack(f, true, 0, NULL);
	assert_told(f, "UNSUBSCRIBE 3 b qos 0;");
	lose_connection(f);
	clock_advance(4000);
	settle(f);
	buf_clear(&f->told);
	say_connack(f, false, 0, NULL);
	assert_told(f, "SUBSCRIBE 4 a qos 1;");
}

static void
properties_are_heard_with_the_message(void **state)
{
	struct fixture *f = *state;
	struct mqtt_props props = { .has = HAS(CONTENT_TYPE),
		.content_type = STR("text") };
	struct buf b = { 0 }, user = { 0 };

	f->show_props = true;
	dial(f);
	greet(f, false, NULL);
	(void)mqtt_client_subscribe(f->client, STR("t"), 0, on_message, f);
	settle(f);
	mqtt_put_user(&user, STR("k"), STR("v"));
	props.raw = buf_str(&user);
	assert_true(mqtt_put_publish(&b, 5, (struct mqtt_publish_flags){ 0 },
	    STR("t"), &props, STR("x")));
	say(f, &b);
	assert_heard(f, "t=x type=text k:v;");
	buf_free(&user);
}

/* Two filters match; the server says for which it is. */
static void
a_subscription_identifier_says_whose_message_it_is(void **state)
{
	struct fixture *f = *state;
	struct mqtt_props props = { .has = HAS(SUB_ID), .sub_id = 1 };
	struct buf b = { 0 };

	dial(f);
	greet(f, false, NULL);
	(void)mqtt_client_subscribe(f->client, STR("t"), 0, on_message, f);
	(void)mqtt_client_subscribe(f->client, STR("#"), 0, on_message, f);
	settle(f);
	for (props.sub_id = 1; props.sub_id <= 3; props.sub_id++) {
		assert_true(
		    mqtt_put_publish(&b, 5, (struct mqtt_publish_flags){ 0 },
			STR("t"), &props, STR("x")));
		say(f, &b);
		/* a number of an earlier life says nothing */
		assert_heard(f, props.sub_id < 3 ? "t=x;" : "t=x;t=x;");
	}
}

static void
held_messages_are_acknowledged_in_their_order(void **state)
{
	struct fixture *f = *state;

	dial(f);
	greet(f, false, NULL);
	(void)mqtt_client_subscribe(f->client, STR("t"), 2, on_message, f);
	settle(f);
	buf_clear(&f->told);
	f->hold = true;
	say_publish(f, 7, 1, false, "t", "a");
	say_publish(f, 8, 2, false, "t", "b");
	f->hold = false;
	say_publish(f, 9, 1, false, "t", "c");
	assert_heard(f, "t=a;t=b;t=c;");
	assert_told(f, "");
	mqtt_client_ack(f->client, f->held[1], 0);
	assert_told(f, "");
	mqtt_client_ack(f->client, f->held[0], MQTT_R_QUOTA);
	assert_told(f, "PUBACK 7 97;PUBREC 8;PUBACK 9;");
	mqtt_client_ack(f->client, f->held[0], 0); /* once more: nothing */
	mqtt_client_ack(f->client, 0, 0);
	assert_told(f, "");
}

static void
a_held_message_that_comes_again_is_not_heard_twice(void **state)
{
	struct fixture *f = *state;

	f->conf.keep_session = true;
	dial(f);
	greet(f, false, NULL);
	(void)mqtt_client_subscribe(f->client, STR("t"), 2, on_message, f);
	settle(f);
	f->hold = true;
	say_publish(f, 7, 1, false, "t", "a");
	say_publish(f, 8, 2, false, "t", "b");
	say_publish(f, 9, 1, false, "t", "c");
	assert_heard(f, "t=a;t=b;t=c;");
	lose_connection(f);
	mqtt_client_ack(f->client, f->held[0], 0);
	clock_advance(1000);
	settle(f);
	greet(f, true, NULL);
	settle(f);
	buf_clear(&f->told);
	say_publish(f, 7, 1, true, "t", "a");
	say_publish(f, 8, 2, true, "t", "b");
	assert_heard(f, "");
	assert_told(f, "PUBACK 7;");
	mqtt_client_ack(f->client, f->held[1], 0);
	assert_told(f, "PUBREC 8;");
	/* 9 is used for something else now */
	say_publish(f, 9, 1, true, "t", "d");
	mqtt_client_ack(f->client, f->held[2], 0);
	assert_told(f, "");
	assert_heard(f, "t=d;");
	mqtt_client_ack(f->client, f->held[3], 0);
	assert_told(f, "PUBACK 9;");
}

static void
what_is_not_sent_again_is_new(void **state)
{
	struct fixture *f = *state;

	f->conf.keep_session = true;
	dial(f);
	greet(f, false, NULL);
	(void)mqtt_client_subscribe(f->client, STR("t"), 2, on_message, f);
	settle(f);
	f->hold = true;
	say_publish(f, 7, 1, false, "t", "a");
	lose_connection(f);
	clock_advance(1000);
	settle(f);
	greet(f, true, NULL);
	say_publish(f, 7, 1, false, "t", "a");
	assert_heard(f, "t=a;");
}

static void
without_its_session_a_held_message_is_heard_again(void **state)
{
	struct fixture *f = *state;

	dial(f);
	greet(f, false, NULL);
	(void)mqtt_client_subscribe(f->client, STR("t"), 2, on_message, f);
	settle(f);
	f->hold = true;
	say_publish(f, 7, 1, false, "t", "a");
	lose_connection(f);
	clock_advance(1000);
	settle(f);
	say_connack(f, false, 0, NULL);
	say_publish(f, 7, 1, true, "t", "a");
	assert_heard(f, "up;t=a;");
	buf_clear(&f->told);
	mqtt_client_ack(f->client, f->held[0], 0);
	assert_told(f, "");
	mqtt_client_ack(f->client, f->held[1], 0);
	assert_told(f, "PUBACK 7;");
}

static void
a_lenient_client_bears_with_a_server_that_sends_too_much(void **state)
{
	struct fixture *f = *state;

	f->conf.max_received = 1;
	f->conf.lenient = true;
	dial(f);
	greet(f, false, NULL);
	(void)mqtt_client_subscribe(f->client, STR("t"), 2, on_message, f);
	settle(f);
	buf_clear(&f->told);
	f->hold = true;
	say_publish(f, 7, 1, false, "t", "a");
	say_publish(f, 8, 1, false, "t", "b");
	assert_heard(f, "t=a;t=b;");
	mqtt_client_ack(f->client, f->held[0], 0);
	mqtt_client_ack(f->client, f->held[1], 0);
	assert_told(f, "PUBACK 7;PUBACK 8;");
}

static void
a_server_that_sends_too_much_is_told_so(void **state)
{
	struct fixture *f = *state;

	f->conf.max_received = 2;
	dial(f);
	greet(f, false, NULL);
	(void)mqtt_client_subscribe(f->client, STR("t"), 2, on_message, f);
	settle(f);
	buf_clear(&f->told);
	f->hold = true;
	say_publish(f, 7, 1, false, "t", "a");
	say_publish(f, 8, 2, false, "t", "b");
	assert_told(f, "");
	say_publish(f, 9, 1, false, "t", "c");
	assert_told(f, "DISCONNECT 93;EOF;");
}

static void
the_owner_may_stop_the_client_from_a_callback(void **state)
{
	struct fixture *f = *state;

	dial(f);
	(void)mqtt_client_subscribe(f->client, STR("t"), 1, on_message, f);
	greet(f, false, NULL);
	settle(f);
	buf_clear(&f->told);
	f->stop_on_message = true;
	say_publish(f, 7, 1, false, "t", "a");
	assert_heard(f, "t=a;");
	assert_told(f, "DISCONNECT;EOF;");
}

static void
the_owner_may_free_the_client_from_a_callback(void **state)
{
	struct fixture *f = *state;

	dial(f);
	(void)mqtt_client_subscribe(f->client, STR("t"), 1, on_message, f);
	(void)mqtt_client_subscribe(f->client, STR("#"), 1, on_message, f);
	greet(f, false, NULL);
	f->free_on_message = true;
	f->hold = true;
	say_publish(f, 7, 1, false, "t", "x");
	assert_heard(f, "t=x;");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_says_who_it_is),
		T(its_owner_may_dial_for_it),
		T(a_server_without_level_5_is_asked_with_level_4),
		T(a_server_that_hangs_up_on_level_5_is_asked_with_level_4),
		T(the_bridge_bit_is_left_out_where_it_is_refused),
		T(a_level_that_was_demanded_is_kept),
		T(a_refusal_is_told_and_tried_again_after_longer_and_longer_waits),
		T(the_id_that_the_server_assigned_is_kept),
		T(names_are_found_without_the_loop_waiting),
		T(a_name_without_an_address_is_told),
		T(a_client_may_go_while_its_name_is_being_found),
		T(a_unix_socket_is_an_address),
		T(bad_settings_are_refused),
		T(a_layer_may_lie_over_the_connection),
		T(a_layer_that_cannot_be_made_is_told),
		T(a_layer_says_why_it_has_ended),
		T(a_reset_is_an_end_by_the_other_side),
		T(the_keep_alive_of_the_server_is_kept),
		T(the_reason_of_a_disconnect_is_told),
		T(a_server_that_breaks_the_rules_is_told_so),
		T(stopping_says_goodbye_and_starting_goes_on),
		T(each_qos_is_answered_in_its_way),
		T(what_the_server_refuses_is_told_with_its_reason),
		T(no_more_is_sent_than_the_server_can_receive),
		T(what_the_server_cannot_do_is_not_asked_of_it),
		T(a_topic_gets_an_alias_where_the_server_allows_it),
		T(properties_go_with_the_message),
		T(a_message_that_expires_before_it_is_sent_is_not_sent),
		T(what_was_not_answered_is_sent_again_in_a_session_that_goes_on),
		T(it_is_sent_as_new_where_the_session_is_gone),
		T(what_matches_is_heard_and_acknowledged),
		T(a_refused_subscription_is_told),
		T(it_is_told_when_all_subscriptions_are_answered),
		T(addresses_are_read),
		T(a_kept_session_is_not_subscribed_twice),
		T(properties_are_heard_with_the_message),
		T(a_subscription_identifier_says_whose_message_it_is),
		T(held_messages_are_acknowledged_in_their_order),
		T(a_held_message_that_comes_again_is_not_heard_twice),
		T(what_is_not_sent_again_is_new),
		T(without_its_session_a_held_message_is_heard_again),
		T(a_server_that_sends_too_much_is_told_so),
		T(a_lenient_client_bears_with_a_server_that_sends_too_much),
		T(the_owner_may_stop_the_client_from_a_callback),
		T(the_owner_may_free_the_client_from_a_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

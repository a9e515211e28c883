/*
 * plug/gateway/test_mysensors.c - see test_mysensors.h.
 */
#include "plug/gateway/test_mysensors.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 90000

/* --- the host ------------------------------------------------------------ */

static void
on_heard(void *ctx, const struct gateway_frame *f, struct gateway_taken *t)
{
	struct fixture *x = ctx;

	buf_addf(&x->heard, STR_FMT "|" STR_FMT "|" STR_FMT "\n",
	    STR_ARG(f->node), STR_ARG(f->data),
	    f->extension.ptr != NULL ? (int)f->extension.len : 1,
	    f->extension.ptr != NULL ? f->extension.ptr : "-");
	t->done(t, true);
}

static struct label *
find_label(struct fixture *x, struct str node, struct str key)
{
	struct label *l = x->labels;

	while (l < x->labels + LABELS_MAX - 1 && l->key[0] != '\0' &&
	    !(str_eqz(node, l->node) && str_eqz(key, l->key)))
		l++;
	return l;
}

static void
set_label(struct fixture *x, struct str node, struct str key, struct str value)
{
	struct label *l = find_label(x, node, key);

	snprintf(l->node, sizeof(l->node), STR_FMT, STR_ARG(node));
	snprintf(l->key, sizeof(l->key), STR_FMT, STR_ARG(key));
	snprintf(l->value, sizeof(l->value), STR_FMT, STR_ARG(value));
}

void
label(struct fixture *x, const char *node, const char *key, const char *value)
{
	set_label(x, str_of(node), str_of(key), str_of(value));
}

static struct str
on_label(void *ctx, struct arena *a, struct str node, const char *key)
{
	struct label *l = find_label(ctx, node, str_of(key));

	return l->key[0] != '\0' ? arena_str(a, str_of(l->value)) : STR_NULL;
}

static void
on_note(void *ctx, struct str node, struct str labels, struct str others)
{
	struct fixture *x = ctx;
	struct arena a = { 0 };
	struct str key, value;
	struct json j;

	buf_addf(&x->noted, STR_FMT "|" STR_FMT "|" STR_FMT "\n", STR_ARG(node),
	    STR_ARG(labels.ptr != NULL ? labels : STR("-")),
	    STR_ARG(others.ptr != NULL ? others : STR("-")));
	assert_true(labels.ptr == NULL || json_valid(labels, 0));
	assert_true(others.ptr == NULL || json_valid(others, 0));
	if (labels.ptr == NULL)
		return;
	json_open(&j, labels, 0, &a);
	assert_true(json_object(&j));
	while (json_member(&j, &key) && json_str(&j, &value))
		set_label(x, node, key, value);
	assert_int_equal(json_done(&j, NULL), 0);
	arena_fini(&a);
}

static bool
on_known(void *ctx, struct str node)
{
	struct fixture *x = ctx;
	uint64_t id;

	assert_true(str_to_u64(node, &id) && id < 256);
	return x->known[id];
}

static void
on_firmware(
    void *ctx, struct str id, gateway_firmware_done *done, void *done_ctx)
{
	struct fixture *x = ctx;

	assert_true(str_eqz(id, "relay") || str_eqz(id, "lamp"));
	assert_true(x->n_asked < COUNT_OF(x->asked));
	x->asked[x->n_asked].done = done;
	x->asked[x->n_asked++].ctx = done_ctx;
	x->loads++;
}

void
give_firmware(struct fixture *x)
{
	struct err err = { 0 };

	if (x->refuse)
		err_set(&err, ERR_NOT_FOUND, "no firmware relay");
	while (x->n_asked > 0) {
		struct asked a = x->asked[--x->n_asked];

		a.done(a.ctx, x->refuse ? NULL : &x->firmware,
		    x->refuse ? &err : NULL);
	}
}

/* --- time and bytes ------------------------------------------------------ */

int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
turn(struct fixture *x)
{
	char bytes[2000];
	ssize_t n;

	loop_turn(x->loop, 2);
	give_firmware(x);
	if (x->peer < 0)
		x->peer = accept4(x->listener, NULL, NULL, SOCK_NONBLOCK);
	if (x->peer >= 0 && (n = read(x->peer, bytes, sizeof(bytes))) > 0)
		buf_add(&x->got, bytes, (size_t)n);
}

void
say(struct fixture *x, const char *line)
{
	char text[400];
	int n = snprintf(text, sizeof(text), "%s\n", line);

	assert_int_equal(write(x->peer, text, (size_t)n), n);
}

/* The next line that the gateway sends, in `text`. */
void
next_line(struct fixture *x, char *text, size_t size)
{
	char *end;

	for (int64_t until = now_ms() + PATIENCE_MS;
	     (end = strchr(buf_z(&x->got), '\n')) == NULL;) {
		if (now_ms() > until)
			fail_msg("%s", "nothing was sent");
		turn(x);
	}
	snprintf(text, size, "%.*s", (int)(end - x->got.ptr), x->got.ptr);
	memmove(
	    x->got.ptr, end + 1, x->got.len - (size_t)(end + 1 - x->got.ptr));
	x->got.len -= (size_t)(end + 1 - x->got.ptr);
}

void
expect(struct fixture *x, const char *line)
{
	char text[400];

	next_line(x, text, sizeof(text));
	assert_string_equal(text, line);
}

void
expect_nothing(struct fixture *x)
{
	say(x, "200;255;3;0;6;0");
	expect(x, "200;255;3;0;6;M");
}

void
until_has(struct fixture *x, struct buf *b, const char *text)
{
	for (int64_t until = now_ms() + PATIENCE_MS;
	     strstr(buf_z(b), text) == NULL;) {
		if (now_ms() > until)
			fail_msg("[%s] is not in [%s]", text, buf_z(b));
		turn(x);
	}
}

void
until_answered(struct fixture *x, int n)
{
	for (int64_t until = now_ms() + PATIENCE_MS; x->answered < n;) {
		if (now_ms() > until)
			fail_msg("%d answered", x->answered);
		turn(x);
	}
}

/* --- setup --------------------------------------------------------------- */

int
try_open(struct fixture *x, const char *more, struct err *err)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	struct gateway_conf conf = { .name = "radio", .reconnect_ms = 1000 };
	char json[500];

	assert_int_equal(
	    getsockname(x->listener, (struct sockaddr *)&a, &len), 0);
	snprintf(json, sizeof(json),
	    "{\"type\":\"mysensors_v2\",\"protocol\":{\"type\":\"ethernet\","
	    "\"server\":\"tcp://127.0.0.1:%u\",\"transmitPreDelay\":\"0s\"}%s}",
	    ntohs(a.sin_port), more);
	conf.provider = str_of(json);
	return gateway_open(&conf, &x->host, &x->g, err);
}

void
open_it(struct fixture *x, const char *more)
{
	struct err err;

	gateway_close(x->g);
	x->g = NULL;
	if (x->peer >= 0)
		close(x->peer);
	x->peer = -1;
	buf_clear(&x->got);
	if (try_open(x, more, &err) != 0)
		fail_msg("%s", err.text);
	gateway_start(x->g);
	for (int64_t until = now_ms() + PATIENCE_MS;;) {
		struct gateway_state s;

		gateway_state(x->g, &s);
		if (s.status == GATEWAY_UP && x->peer >= 0)
			return;
		if (now_ms() > until)
			fail_msg("not up: %s", s.text);
		turn(x);
	}
}

int
setup(void **state)
{
	struct fixture *x = mem_new(struct fixture);
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	x->loop = loop_new();
	x->settings = (struct gateway_settings){ .queue = 1000,
		.heard = 1000,
		.max_frame = 65536,
		.sleeping = 20,
		.sleeping_ms = 86400000,
		.connect_ms = 10000,
		.log_size = 65536 };
	x->host = (struct gateway_host){ .ctx = x,
		.loop = x->loop,
		.settings = &x->settings,
		.heard = on_heard,
		.label = on_label,
		.note = on_note,
		.known = on_known,
		.firmware = on_firmware };
	x->peer = -1;
	x->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(
	    bind(x->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(x->listener, 4), 0);
	*state = x;
	open_it(x, "");
	return 0;
}

int
teardown(void **state)
{
	struct fixture *x = *state;

	gateway_close(x->g);
	give_firmware(x);
	close(x->listener);
	if (x->peer >= 0)
		close(x->peer);
	loop_turn(x->loop, 0);
	loop_free(x->loop);
	buf_free(&x->got);
	buf_free(&x->heard);
	buf_free(&x->noted);
	free(x);
	return 0;
}

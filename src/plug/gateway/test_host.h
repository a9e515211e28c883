/*
 * plug/gateway/test_host.h - a host with an MQTT server of its own that is a
 * list, for tests of what providers do over time. It keeps retained messages.
 *
 * `up` has the frames that went up, "node|data|extension\n"; `came` what was
 * published, "topic payload\n"; `told` how jobs ended, "sent;".
 */
#ifndef PLUG_GATEWAY_TEST_HOST_H
#define PLUG_GATEWAY_TEST_HOST_H

#include "base/base.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/test.h"
#include "codec/mqtt.h"
#include "plug/gateway/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_host {
	struct gateway_host host;
	struct gateway_settings settings;
	struct gateway *g;
	struct buf up, came, told;
	const char *labels; /* "key=value;" of any node */
	struct list listeners, retained;
	struct err err;
};

struct test_listener {
	struct list link;
	struct str filter;
	gateway_heard *heard;
	void *ctx;
};

struct test_retained {
	struct list link;
	struct str topic, payload;
};

static inline void
test_heard(void *ctx, const struct gateway_frame *f, struct gateway_taken *t)
{
	struct test_host *h = ctx;

	buf_addf(&h->up, STR_FMT "|" STR_FMT "|" STR_FMT "\n", STR_ARG(f->node),
	    STR_ARG(f->data), STR_ARG(f->extension));
	t->done(t, true);
}

static inline int
test_publish(void *ctx, struct str topic, struct str payload, uint8_t qos,
    bool retain, struct err *err)
{
	struct test_host *h = ctx;

	(void)qos;
	(void)err;
	assert_false(retain);
	buf_addf(&h->came, STR_FMT " " STR_FMT "\n", STR_ARG(topic),
	    STR_ARG(payload));
	return 0;
}

static inline void *
test_listen(void *ctx, struct str filter, gateway_heard *heard, void *heard_ctx,
    struct err *err)
{
	struct test_host *h = ctx;
	struct test_listener *l = mem_new(struct test_listener);

	(void)err;
	l->filter = str_copy(filter);
	l->heard = heard;
	l->ctx = heard_ctx;
	list_add(&h->listeners, &l->link);
	LIST_EACH (r, &h->retained, struct test_retained, link)
		if (mqtt_filter_matches(filter, r->topic))
			heard(heard_ctx, r->topic, r->payload, true, 0);
	return l;
}

static inline void
test_unlisten(void *ctx, void *handle)
{
	struct test_listener *l = handle;

	(void)ctx;
	list_del(&l->link);
	str_free(l->filter);
	free(l);
}

static inline struct str
test_label(void *ctx, struct arena *a, struct str node, const char *key)
{
	struct test_host *h = ctx;
	struct str rest = str_of(h->labels);

	(void)node;
	while (rest.ptr != NULL) {
		struct str value = str_cut(&rest, ';');

		if (str_eqz(str_cut(&value, '='), key))
			return arena_str(a, value);
	}
	return STR_NULL;
}

static inline void
test_told(void *ctx, enum gateway_outcome outcome, const struct err *err)
{
	static const char *const names[] = { "sent", "failed", "replaced",
		"expired" };
	struct test_host *h = ctx;

	buf_addf(&h->told, "%s%s%s;", names[outcome],
	    err->text[0] != '\0' ? " " : "", err->text);
}

static inline void
test_turn(struct test_host *h)
{
	for (int i = 0; i < 4; i++)
		loop_turn(h->host.loop, 0);
}

/* Somebody publishes. */
static inline void
test_say(struct test_host *h, const char *topic, const char *payload)
{
	LIST_EACH (l, &h->listeners, struct test_listener, link)
		if (mqtt_filter_matches(l->filter, str_of(topic)))
			l->heard(
			    l->ctx, str_of(topic), str_of(payload), false, 0);
	test_turn(h);
}

/* The same, to be told to those who listen later; "" takes it back. */
static inline void
test_retain(struct test_host *h, const char *topic, const char *payload)
{
	struct test_retained *r;

	LIST_EACH (old, &h->retained, struct test_retained, link)
		if (str_eqz(old->topic, topic)) {
			list_del(&old->link);
			free(old);
		}
	if (payload[0] != '\0') {
		r = mem_new(struct test_retained);
		r->topic = str_of(topic);
		r->payload = str_of(payload);
		list_add(&h->retained, &r->link);
	}
	if (h->g != NULL)
		test_say(h, topic, payload);
}

/* Opens and starts it. */
static inline void
test_open(struct test_host *h, const char *provider, bool queue_failed)
{
	struct gateway_conf conf = { .name = "g",
		.provider = str_of(provider),
		.queue_failed = queue_failed };
	struct gateway_state state;

	if (gateway_open(&conf, &h->host, &h->g, &h->err) != 0)
		fail_msg("%s", h->err.text);
	gateway_start(h->g);
	test_turn(h);
	gateway_state(h->g, &state);
	if (state.status != GATEWAY_UP)
		fail_msg("%s", state.text);
}

static inline int
test_send(struct test_host *h, const char *node, const char *data,
    const char *extension, bool asleep)
{
	struct gateway_frame f = { str_of(node), str_of(data),
		str_of(extension) };
	int rc = gateway_send(h->g, &f, asleep, 0, test_told, h, &h->err);

	test_turn(h);
	return rc;
}

static inline uint64_t
test_bad(struct test_host *h)
{
	struct gateway_state s;

	gateway_state(h->g, &s);
	return s.bad;
}

/* What was gathered is this; then it is forgotten. */
static inline void
test_was(struct buf *b, const char *text)
{
	assert_string_equal(b->len > 0 ? buf_z(b) : "", text);
	buf_clear(b);
}

static inline int
test_set_up(void **state)
{
	struct test_host *h = mem_new(struct test_host);

	*state = h;
	list_init(&h->listeners);
	list_init(&h->retained);
	h->settings = (struct gateway_settings){ .queue = 100,
		.heard = 100,
		.max_frame = 10000,
		.filters = 100,
		.connect_ms = 10000,
		.sleeping = 10,
		.sleeping_ms = 3600000 };
	h->host = (struct gateway_host){ .ctx = h,
		.loop = loop_new(),
		.settings = &h->settings,
		.heard = test_heard,
		.publish = test_publish,
		.listen = test_listen,
		.unlisten = test_unlisten,
		.label = test_label };
	return 0;
}

static inline int
test_tear_down(void **state)
{
	struct test_host *h = *state;

	gateway_close(h->g);
	test_turn(h);
	assert_true(list_empty(&h->listeners));
	LIST_EACH (r, &h->retained, struct test_retained, link)
		free(r);
	loop_free(h->host.loop);
	buf_free(&h->up);
	buf_free(&h->came);
	buf_free(&h->told);
	free(h);
	return 0;
}

#define TEST_FLOW(name)                                                        \
	cmocka_unit_test_setup_teardown(name, test_set_up, test_tear_down)

#endif

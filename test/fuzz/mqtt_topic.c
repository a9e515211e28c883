/*
 * test/fuzz/mqtt_topic.c - topics against filters (libFuzzer).
 *
 * The input is lines: filters, subscribed in a tree with "-" in front taken
 * away again, and topics with "=" in front. What the tree finds must be what
 * comparing one by one finds, for subscriptions and for retained messages.
 */
#include "base/base.h"
#include "base/mem.h"
#include "net/mqtt/private.h"

#include <stdlib.h>

#define SUBS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct found {
	struct sub *subs;
	unsigned n[SUBS_MAX];
};

static void
on_match(void *ctx, struct sub *sub)
{
	struct found *f = ctx;

	f->n[sub - f->subs]++;
}

static void
on_retained(void *ctx, struct mqtt_msg *m)
{
	unsigned *n = ctx;

	(void)m;
	++*n;
}

static void
check_topic(
    struct topics *t, struct sub *subs, unsigned n_subs, struct str topic)
{
	struct found f = { .subs = subs };

	mqtt_topics_match(t, topic, mqtt_topics_get(t, topic), on_match, &f);
	for (unsigned i = 0; i < n_subs; i++) {
		bool should = subs[i].filter.ptr != NULL &&
		    mqtt_filter_matches(subs[i].filter, topic);

		if (f.n[i] != should)
			abort();
	}
}

static void
check_retained(
    struct mqtt_server *s, struct sub *subs, unsigned n_subs, struct str topic)
{
	const struct incoming in = { .topic = topic, .payload = STR("x") };
	struct mqtt_msg *m = mqtt_msg_new(s, NULL, &in);

	(void)mqtt_retained_set(&s->topics, m, 100, 100000);
	mqtt_msg_release(m);
	for (unsigned i = 0; i < n_subs; i++) {
		unsigned n = 0;

		if (subs[i].filter.ptr == NULL)
			continue;
		mqtt_retained_match(
		    &s->topics, subs[i].filter, on_retained, &n);
		if (n != mqtt_filter_matches(subs[i].filter, topic))
			abort();
	}
	mqtt_retained_clear(&s->topics, topic);
	if (s->topics.n_retained != 0)
		abort();
}

static void
unsubscribe(struct topics *t, struct sub *sub)
{
	if (sub->filter.ptr == NULL)
		return;
	mqtt_topics_remove(t, sub);
	str_free(sub->filter);
	sub->filter = STR_NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size };
	struct mqtt_server s = { 0 };
	struct sub subs[SUBS_MAX] = { 0 };
	unsigned n = 0;

	mqtt_topics_init(&s.topics);
	while (rest.ptr != NULL && rest.len > 0) {
		struct str line = str_cut(&rest, '\n');
		struct str tail = { line.ptr + 1, line.len - 1 };

		if (line.len > 0 && line.ptr[0] == '=') {
			if (!mqtt_topic_ok(tail) ||
			    mqtt_levels(tail) > LEVELS_MAX)
				continue;
			check_topic(&s.topics, subs, n, tail);
			check_retained(&s, subs, n, tail);
		} else if (line.len > 0 && line.ptr[0] == '-') {
			unsubscribe(&s.topics, &subs[line.len % SUBS_MAX]);
		} else if (n < SUBS_MAX && mqtt_filter_ok(line) &&
		    mqtt_levels(line) <= LEVELS_MAX) {
			subs[n].filter = str_copy(line);
			mqtt_topics_add(&s.topics, subs[n].filter, &subs[n]);
			n++;
		}
	}
	for (unsigned i = 0; i < n; i++)
		unsubscribe(&s.topics, &subs[i]);
	if (s.topics.wild->children.n != 0 || s.topics.exact.n != 0)
		abort(); /* something was left */
	mqtt_topics_fini(&s.topics);
	return 0;
}

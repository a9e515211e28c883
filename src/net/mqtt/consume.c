/*
 * net/mqtt/consume.c - consumers inside the process. They are called on the
 * home loop, later than the message was routed and without the lock, so they
 * may do anything: publish, stop, kick a client.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

void
mqtt_consumer_unref(struct mqtt_consumer *c)
{
	if (--c->refs > 0)
		return;
	str_free(c->filter);
	free(c);
}

unsigned
mqtt_consume_hand(struct mqtt_server *s, struct mqtt_msg *m, size_t base)
{
	unsigned n = 0;

	for (size_t i = base; i < s->n_matches; i++) {
		struct mqtt_consumer *c = s->matches[i].target;

		if (s->matches[i].kind != SUB_CONSUMER)
			continue;
		c->refs++;
		m->waits++;
		n++;
		COUNT(consumed);
		mqtt_call(s, CALL_CONSUME, c, msg_ref(m));
	}
	return n;
}

void
mqtt_consumer_call(struct mqtt_consumer *c, struct mqtt_msg *m, bool retained)
{
	struct mqtt_server *s = c->server;

	c->retained = retained;
	if (c->stopped) /* nobody has heard it: to be repeated */
		mqtt_msg_done(m, retained);
	else
		c->heard(c->owner, m);
	mqtt_lock(s);
	mqtt_consumer_unref(c);
	mqtt_unlock(s);
}

struct mqtt_consumer *
mqtt_consume_start(
    struct mqtt_server *s, struct str filter, mqtt_consume *heard, void *owner)
{
	struct mqtt_consumer *c;

	if (!mqtt_filter_ok(filter) || !mqtt_levels_ok(s, filter))
		return NULL;
	c = mem_new(struct mqtt_consumer);
	c->server = s;
	c->filter = str_copy(filter);
	c->heard = heard;
	c->owner = owner;
	c->refs = 1;
	c->sub.kind = SUB_CONSUMER;
	c->sub.qos = 2;
	c->sub.consumer = c;
	mqtt_lock(s);
	list_add(&s->consumers, &c->link);
	mqtt_topics_add(&s->topics, c->filter, &c->sub);
	LIST_EACH (q, &s->queues_nonempty, struct queue, nonempty) {
		if (mqtt_filter_matches(c->filter, q->topic->name))
			mqtt_queue_drain(q);
	}
	mqtt_unlock(s);
	return c;
}

static void
hand_retained(void *ctx, struct mqtt_msg *m)
{
	struct mqtt_consumer *c = ctx;

	if (msg_has_expired(m, clock_mono()))
		return;
	c->refs++;
	m->waits++;
	mqtt_call(c->server, CALL_CONSUME_RETAINED, c, msg_ref(m));
}

bool
mqtt_consume_is_retained(const struct mqtt_consumer *c)
{
	return c->retained;
}

void
mqtt_consume_retained(struct mqtt_consumer *c)
{
	struct mqtt_server *s = c->server;

	mqtt_lock(s);
	mqtt_retained_match(&s->topics, c->filter, hand_retained, c);
	mqtt_unlock(s);
}

void
mqtt_consume_stop(struct mqtt_consumer *c)
{
	struct mqtt_server *s;

	if (c == NULL)
		return;
	s = c->server;
	mqtt_lock(s);
	c->stopped = true;
	mqtt_topics_remove(&s->topics, &c->sub);
	list_del(&c->link);
	mqtt_consumer_unref(c);
	mqtt_unlock(s);
}

/*
 * net/mqtt/route.c - from one published message to everyone who gets it.
 *
 * First all subscriptions that match are noted, with each client once at its
 * highest QoS; then sessions and groups get their copies, which calls nobody;
 * last the consumers inside the process are called, and they may do anything:
 * publish (the notes of an inner message lie above ours), stop, kick a client.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

static void
note_match(void *ctx, struct sub *sub)
{
	struct mqtt_server *s = ctx;
	struct match *m;

	if (sub->kind == SUB_SESSION) {
		struct session *who = sub->session;

		if (who->stamp == s->stamp) { /* overlapping filters */
			m = &s->matches[who->match];
			m->qos = MAX_OF(m->qos, sub->qos);
			return;
		}
		who->stamp = s->stamp;
		who->match = s->n_matches;
	}
	if (s->n_matches == s->cap_matches) {
		s->cap_matches = s->cap_matches * 2 + 64;
		s->matches =
		    mem_resize(s->matches, s->cap_matches, sizeof(*s->matches));
	}
	m = &s->matches[s->n_matches++];
	m->kind = sub->kind;
	m->qos = sub->qos;
	if (sub->kind == SUB_SESSION)
		m->target = sub->session;
	else if (sub->kind == SUB_GROUP)
		m->target = sub->group;
	else
		m->target = sub->consumer;
}

size_t
mqtt_match(struct mqtt_server *s, struct str name, struct topic *exact)
{
	size_t base = s->n_matches;

	s->stamp++;
	mqtt_topics_match(&s->topics, name, exact, note_match, s);
	return base;
}

bool
mqtt_topic_wanted(struct mqtt_server *s, struct str name)
{
	size_t base = mqtt_match(s, name, mqtt_topics_get(&s->topics, name));
	bool wanted = s->n_matches > base;

	s->n_matches = base;
	return wanted;
}

/* Copies for sessions and groups. */
static void
deliver(struct mqtt_server *s, struct mqtt_msg *m, struct queue *q, size_t base,
    struct routed *ret)
{
	uint32_t direct = 0;

	for (size_t i = base; i < s->n_matches; i++) {
		const struct match *to = &s->matches[i];
		enum accept a;

		if (to->kind == SUB_SESSION) {
			a = mqtt_session_deliver(to->target, m,
			    MIN_OF(m->qos, to->qos), false, false);
			direct += a == ACCEPTED;
		} else if (to->kind == SUB_GROUP) {
			a = mqtt_group_deliver(to->target, m);
		} else {
			a = ACCEPTED; /* later */
			direct++;
		}
		ret->targets += a == ACCEPTED;
		ret->refused |= a == REFUSED;
	}
	if (q != NULL && direct > 0)
		mqtt_rate_add(&q->out, m->at_ms, direct);
	if (q != NULL && s->n_matches == base) {
		if (mqtt_queue_put(q, m) == 0)
			ret->targets++;
		else
			ret->refused = true;
	}
}

void
mqtt_consume_hand(struct mqtt_server *s, struct mqtt_msg *m, size_t base)
{
	size_t end = s->n_matches;

	for (size_t i = base; i < end; i++) {
		if (s->matches[i].kind == SUB_CONSUMER)
			((struct mqtt_consumer *)s->matches[i].target)->refs++;
	}
	for (size_t i = base; i < end; i++) {
		struct mqtt_consumer *c = s->matches[i].target;

		if (s->matches[i].kind != SUB_CONSUMER)
			continue;
		if (!c->stopped) {
			m->waits++;
			COUNT(consumed);
			c->heard(c->owner, mqtt_msg_ref(m));
		}
		mqtt_consumer_unref(c);
	}
}

bool
mqtt_consume_over(struct mqtt_server *s, struct mqtt_msg *m)
{
	if (--m->waits == 0)
		return true;
	s->n_outstanding++;
	return false;
}

/* Calls the consumers and tells how it went. */
static void
consume(struct mqtt_server *s, struct mqtt_msg *m, size_t base, bool repeated,
    struct routed *ret)
{
	m->from_queue = !repeated;
	m->waits++; /* so that the verdict is not known before the last */
	mqtt_consume_hand(s, m, base);
	if (!mqtt_consume_over(s, m))
		ret->waiting = mqtt_msg_ref(m);
	else if (m->failed && repeated)
		ret->failed = true;
	else if (m->failed)
		mqtt_queue_return(s, m);
}

void
mqtt_route(struct mqtt_server *s, struct account *account, struct str name,
    struct str payload, struct mqtt_publish_flags f, bool repeated,
    struct routed *ret)
{
	struct topic *exact = mqtt_topics_get(&s->topics, name);
	struct queue *q = exact != NULL ? exact->queue : NULL;
	struct mqtt_msg *m;
	size_t base;

	*ret = (struct routed){ 0 };
	if (q != NULL) {
		mqtt_rate_add(&q->in, clock_mono(), 1);
		if (q->waiting.n > 0) { /* for a consumer that just came */
			mqtt_queue_drain(q);
			exact = mqtt_topics_get(&s->topics, name);
			q = exact != NULL ? exact->queue : NULL;
		}
	}
	if (f.retain && payload.len == 0)
		mqtt_retained_clear(&s->topics, name); /* [3.3.1-10] */

	base = mqtt_match(s, name, exact);
	if (s->n_matches == base && q == NULL && !(f.retain && payload.len > 0))
		return; /* nobody: not worth a copy */
	m = mqtt_msg_new(s, account, name, payload, f.qos, f.retain);
	if (m == NULL) {
		s->n_matches = base;
		COUNT(dropped_queue_full);
		ret->refused = true;
		return;
	}
	if (f.retain && payload.len > 0 &&
	    !mqtt_retained_set(&s->topics, m, s->conf.max_retained,
		s->conf.max_retained_bytes))
		COUNT(retained_refused);
	deliver(s, m, q, base, ret);
	if (!list_empty(&s->consumers))
		consume(s, m, base, repeated, ret);
	s->n_matches = base;
	mqtt_msg_unref(m);
}

/* --- from inside --------------------------------------------------------- */

int
mqtt_publish(struct mqtt_server *s, struct str topic, struct str payload,
    uint8_t qos, bool retain, unsigned *targets)
{
	struct mqtt_publish_flags f = { .qos = qos, .retain = retain };
	struct routed r;

	if (!mqtt_topic_ok(topic) || !mqtt_levels_ok(s, topic) || qos > 2 ||
	    payload.len > MQTT_REMAINING_MAX - topic.len - 4)
		return ERR_PARAM;
	COUNT(publish_local);
	mqtt_route(s, NULL, topic, payload, f, false, &r);
	mqtt_msg_unref(r.waiting);
	if (targets != NULL)
		*targets = r.targets;
	return r.refused ? ERR_LIMIT : 0;
}

bool
mqtt_may_publish(
    struct mqtt_server *s, struct account *account, struct str topic)
{
	if (!mqtt_levels_ok(s, topic) || str_eqz(topic, "$SYS") ||
	    str_starts(topic, STR("$SYS/")) ||
	    str_starts(topic, STR("$share/")))
		return false;
	return s->events.may_publish == NULL ||
	    s->events.may_publish(s->owner, account_ptr(account), topic);
}

void
mqtt_will_publish(
    struct mqtt_server *s, struct account *account, struct will *w)
{
	struct mqtt_publish_flags f = { .qos = w->qos, .retain = w->retain };
	struct routed r;

	if (mqtt_may_publish(s, account, w->topic)) {
		COUNT(wills);
		mqtt_route(s, account, w->topic, w->payload, f, false, &r);
		mqtt_msg_unref(r.waiting);
	} else {
		COUNT(publish_denied);
	}
	mqtt_will_free(w);
}

void
mqtt_will_free(struct will *w)
{
	if (w == NULL)
		return;
	str_free(w->topic);
	str_free(w->payload);
	free(w);
}

/* --- consumers ----------------------------------------------------------- */

/* Gives a new consumer what waited for it. The names are noted first: the
 * consumer may change the queues. */
static void
on_start(struct loop_defer *d)
{
	struct mqtt_consumer *c = container_of(d, struct mqtt_consumer, start);
	struct mqtt_server *s = c->server;
	struct str *names;
	size_t n = 0;

	LIST_EACH (q, &s->queues_nonempty, struct queue, nonempty)
		n++;
	names = mem_array(n + 1, sizeof(*names));
	n = 0;
	LIST_EACH (q, &s->queues_nonempty, struct queue, nonempty) {
		if (mqtt_filter_matches(c->filter, q->topic->name))
			names[n++] = str_copy(q->topic->name);
	}
	for (size_t i = 0; i < n; i++) {
		struct topic *t = mqtt_topics_get(&s->topics, names[i]);

		if (t != NULL && t->queue != NULL)
			mqtt_queue_drain(t->queue);
		str_free(names[i]);
	}
	free(names);
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
	c->start.run = on_start;
	list_add(&s->consumers, &c->link);
	mqtt_topics_add(&s->topics, c->filter, &c->sub);
	if (!list_empty(&s->queues_nonempty))
		loop_defer(s->loop, &c->start);
	return c;
}

void
mqtt_consumer_unref(struct mqtt_consumer *c)
{
	if (--c->refs > 0)
		return;
	str_free(c->filter);
	loop_free_later(c->server->loop, c); /* on_start() may be under way */
}

void
mqtt_consume_stop(struct mqtt_consumer *c)
{
	if (c == NULL)
		return;
	c->stopped = true;
	loop_undefer(c->server->loop, &c->start);
	mqtt_topics_remove(&c->server->topics, &c->sub);
	list_del(&c->link);
	mqtt_consumer_unref(c);
}

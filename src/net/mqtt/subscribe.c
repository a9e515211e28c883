/*
 * net/mqtt/subscribe.c - the subscriptions of a session: ordinary ones hang in
 * the topics, `$share/GROUP/FILTER` makes it a member of a group.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

/* The filter that topics are compared with: without its $share prefix. False:
 * malformed. */
static bool
inner_filter(struct str filter, bool *shared, struct str *ret)
{
	struct str group;
	int rc = mqtt_share_split(filter, &group, ret);

	*shared = rc == 0;
	if (rc == ERR_NOT_FOUND)
		*ret = filter;
	return rc == 0 || rc == ERR_NOT_FOUND;
}

static bool
may_subscribe(struct session *s, struct str filter)
{
	struct mqtt_server *server = s->server;

	return mqtt_levels_ok(server, filter) &&
	    (server->events.may_subscribe == NULL ||
		server->events.may_subscribe(
		    server->owner, account_ptr(s->account), filter));
}

uint8_t
mqtt_subscribe(struct session *s, struct str filter, uint8_t qos)
{
	struct mqtt_server *server = s->server;
	struct conn *conn = s->conn;
	struct sub *sub = map_get(&s->subs, filter);
	struct str inner;
	bool shared, allowed;

	if (!inner_filter(filter, &shared, &inner))
		goto refused;
	allowed = may_subscribe(s, inner);
	if (conn->state != UP) /* kicked from within: `s` may be gone */
		return MQTT_SUB_FAILED;
	if (!allowed)
		goto refused;
	if (sub != NULL) {
		sub->qos = qos;
		return qos;
	}
	if (s->subs.n >= server->conf.max_subscriptions)
		goto refused;

	sub = mem_new(struct sub);
	sub->kind = shared ? SUB_MEMBER : SUB_SESSION;
	sub->session = s;
	sub->qos = qos;
	sub->filter = str_copy(filter);
	(void)map_put(&s->subs, sub->filter, sub);
	if (shared)
		mqtt_group_join(sub, filter, inner);
	else
		mqtt_topics_add(&server->topics, filter, sub);
	COUNT(subscriptions);
	return qos;

refused:
	COUNT(subscribe_denied);
	return MQTT_SUB_FAILED;
}

struct start {
	struct session *session;
	uint8_t qos;
};

static void
give_retained(void *ctx, struct mqtt_msg *m)
{
	struct start *st = ctx;

	(void)mqtt_session_deliver(
	    st->session, m, MIN_OF(st->qos, m->qos), true, true);
}

static void
give_queue(struct session *s, uint8_t qos, struct queue *q)
{
	struct delivery *d;

	while ((d = mqtt_queue_take(q)) != NULL) {
		d->qos = MIN_OF(d->qos, qos);
		mqtt_rate_add(&q->out, clock_mono(), 1);
		mqtt_session_owe(s, d);
	}
}

void
mqtt_subscribe_start(struct session *s, struct str filter)
{
	struct sub *sub = map_get(&s->subs, filter);
	struct mqtt_server *server = s->server;
	struct str inner;
	bool shared;

	if (sub == NULL || !inner_filter(filter, &shared, &inner))
		return;
	LIST_EACH (q, &server->queues_nonempty, struct queue, nonempty) {
		if (!mqtt_filter_matches(inner, q->topic->name))
			continue;
		if (shared)
			mqtt_group_take_queue(sub->group, q);
		else
			give_queue(s, sub->qos, q);
	}
	if (shared) {
		mqtt_group_pump(sub->group);
	} else {
		struct start st = { s, sub->qos };

		mqtt_session_pump(s);
		mqtt_retained_match(&server->topics, inner, give_retained, &st);
	}
}

/* What this client has in flight from the group stays its own affair. */
static void
forget_group(struct session *s, const struct group *g)
{
	LIST_EACH (d, &s->inflight, struct delivery, link) {
		if (d->group == g)
			d->group = NULL;
	}
}

static void
sub_free(struct sub *sub)
{
	struct session *s = sub->session;

	(void)map_del(&s->subs, sub->filter);
	if (sub->kind == SUB_MEMBER) {
		forget_group(s, sub->group);
		mqtt_group_leave(sub);
	} else {
		mqtt_topics_remove(&s->server->topics, sub);
	}
	str_free(sub->filter);
	free(sub);
	COUNT_BY(subscriptions, -1);
}

void
mqtt_unsubscribe(struct session *s, struct str filter)
{
	struct sub *sub = map_get(&s->subs, filter);

	if (sub != NULL)
		sub_free(sub);
}

void
mqtt_unsubscribe_all(struct session *s)
{
	struct sub *sub;
	size_t pos = 0;

	/* What stood behind a deleted entry may have moved to its place. */
	while ((sub = map_next(&s->subs, &pos)) != NULL) {
		sub_free(sub);
		pos--;
	}
}

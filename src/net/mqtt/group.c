/*
 * net/mqtt/group.c - shared groups: `$share/GROUP/FILTER`, one message to one
 * member.
 *
 *  (1) A group has at least one member, and ends with its last.
 *  (2) Something waits only while no member can take more: each is away, or
 *      has `max_inflight` unanswered, or does not read.
 *  (3) What a vanished member has not acknowledged is at the head again, in
 *      its old order, before anything else is handed out.
 *  (4) It is as durable as the queue that is its filter; without one, as the
 *      server.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

/* --- in the journal ------------------------------------------------------ */

/* All that it owns there: what waits, and what members have not acknowledged.
 */
static void
forget_all(struct group *g)
{
	LIST_EACH (member, &g->members, struct sub, link) {
		LIST_EACH (d, &member->session->inflight, struct delivery, link)
			if (d->group == g)
				mqtt_keep_forget(g->server, &g->owner, d->msg);
	}
	mqtt_fifo_unpack_all(&g->waiting);
	LIST_EACH (d, &g->waiting.items, struct delivery, link)
		mqtt_keep_forget(g->server, &g->owner, d->msg);
}

static void
remember_all(struct group *g)
{
	struct mqtt_server *s = g->server;

	LIST_EACH (member, &g->members, struct sub, link) {
		LIST_EACH (d, &member->session->inflight, struct delivery, link)
			if (d->group == g)
				mqtt_keep_moved(
				    s, NULL, &g->owner, d->msg, NULL);
	}
	LIST_EACH (d, &g->waiting.items, struct delivery, link)
		mqtt_keep_moved(s, NULL, &g->owner, d->msg, NULL);
}

void
mqtt_group_keep(struct group *g)
{
	struct mqtt_server *s = g->server;
	bool was = g->owner.id != 0;
	enum mqtt_durability now = g->queue != NULL
	    ? (enum mqtt_durability)g->queue->owner.durability
	    : s->conf.durability;

	if (was && g->owner.durability == now)
		return;
	if (now == MQTT_NONE)
		forget_all(g);
	mqtt_keep_begin(s, &g->owner, OWNER_GROUP, now);
	if (!was)
		remember_all(g);
}

/* --- members ------------------------------------------------------------- */

static struct group *
group_new(struct mqtt_server *s, struct str key, struct str filter)
{
	struct group *g = mem_new(struct group);
	struct topic *topic;

	g->server = s;
	g->key = str_copy(key);
	g->filter =
	    (struct str){ g->key.ptr + (filter.ptr - key.ptr), filter.len };
	list_init(&g->members);
	mqtt_fifo_init(&g->waiting, &g->owner);
	g->sub.kind = SUB_GROUP;
	g->sub.group = g;
	mqtt_topics_add(&s->topics, g->filter, &g->sub);
	topic = mqtt_topics_get(&s->topics, g->filter);
	g->queue = topic != NULL ? topic->queue : NULL;
	(void)map_put(&s->groups, g->key, g);
	list_init(&g->owner.in_segment);
	mqtt_group_keep(g);
	return g;
}

/* What still waits goes back to its queue, if nobody else is subscribed. */
static void
group_free(struct group *g)
{
	struct mqtt_server *s = g->server;
	struct delivery *d;

	(void)map_del(&s->groups, g->key);
	mqtt_topics_remove(&s->topics, &g->sub);
	while ((d = mqtt_fifo_first(&g->waiting)) != NULL) {
		struct str name = mqtt_msg_topic(d->msg);
		struct topic *topic = mqtt_topics_get(&s->topics, name);

		mqtt_fifo_remove(&g->waiting, d);
		if (!s->closing)
			mqtt_keep_forget(s, &g->owner, d->msg);
		if (topic != NULL && topic->queue != NULL && !s->closing &&
		    !mqtt_topic_wanted(s, name) &&
		    mqtt_queue_put(topic->queue, d->msg) == 0)
			mqtt_keep_moved(
			    s, NULL, &topic->queue->owner, d->msg, NULL);
		else if (!s->closing)
			COUNT(dropped_abandoned);
		mqtt_delivery_free(s, d);
	}
	if (!s->closing)
		mqtt_keep_end(s, &g->owner);
	str_free(g->key);
	free(g);
}

void
mqtt_group_join(struct sub *member, struct str key, struct str filter)
{
	struct mqtt_server *s = member->session->server;
	struct group *g = map_get(&s->groups, key);

	if (g == NULL)
		g = group_new(s, key, filter);
	member->group = g;
	list_add_first(&g->members, &member->link);
	list_add(&member->session->memberships, &member->membership);
}

void
mqtt_group_leave(struct sub *member)
{
	struct group *g = member->group;

	list_del(&member->link);
	list_del(&member->membership);
	member->group = NULL;
	if (list_empty(&g->members))
		group_free(g);
}

/* --- messages ------------------------------------------------------------ */

/* The next member that can take a message; it goes to the end of the row. */
static struct sub *
next_member(struct group *g, uint8_t qos)
{
	LIST_EACH (member, &g->members, struct sub, link) {
		uint8_t q = MIN_OF(qos, member->qos);

		if (!mqtt_session_has_room(member->session, q))
			continue;
		list_del(&member->link);
		list_add(&g->members, &member->link);
		return member;
	}
	return NULL;
}

static void
hand(struct group *g, struct sub *member, struct delivery *d)
{
	d->qos = MIN_OF(d->qos, member->qos);
	d->group = g;
	d->ord = 0;
	d->sub_id = member->sub_id;
	if (d->qos == 0)
		mqtt_keep_gone(g->server, &g->owner, d->msg);
	if (g->queue != NULL)
		mqtt_rate_add(&g->queue->out, g->server->now_ms, 1);
	mqtt_session_send(member->session, d);
}

static void
expire(struct group *g)
{
	int64_t limit = INT64_MIN;

	if (g->queue != NULL && g->queue->ttl_ms > 0)
		limit = clock_mono() - g->queue->ttl_ms;
	(void)mqtt_fifo_expire(&g->waiting, g->server, &g->owner, limit);
}

static bool
fits(const struct group *g, const struct mqtt_msg *m)
{
	const struct mqtt_server_conf *conf = &g->server->conf;

	if (g->queue != NULL)
		return mqtt_fifo_fits(&g->waiting, g->queue->max_messages,
		    g->queue->max_bytes, m);
	return mqtt_fifo_fits(
	    &g->waiting, conf->queue_messages, conf->queue_bytes, m);
}

/* Makes room as the setting says. */
static bool
make_room(struct group *g, const struct mqtt_msg *m)
{
	struct delivery *d;

	expire(g);
	while (!fits(g, m)) {
		d = mqtt_fifo_first(&g->waiting);
		COUNT(dropped_queue_full);
		if (d == NULL || g->server->conf.full != MQTT_FULL_DROP_OLDEST)
			return false;
		mqtt_fifo_remove(&g->waiting, d);
		mqtt_keep_gone(g->server, &g->owner, d->msg);
		mqtt_delivery_free(g->server, d);
	}
	return true;
}

enum accept
mqtt_group_deliver(struct group *g, struct mqtt_msg *m)
{
	struct mqtt_server *s = g->server;
	struct sub *member;

	if (g->waiting.n == 0) {
		member = next_member(g, m->qos);
		if (member != NULL) {
			if (MIN_OF(m->qos, member->qos) > 0)
				mqtt_keep_target(s, &g->owner, NULL);
			hand(g, member, mqtt_delivery_new(s, m, m->qos, false));
			return ACCEPTED;
		}
	}
	if (!fits(g, m) && !make_room(g, m))
		return REFUSED;
	mqtt_fifo_add(&g->waiting, mqtt_delivery_new(s, m, m->qos, false));
	mqtt_keep_target(s, &g->owner, NULL);
	return ACCEPTED;
}

void
mqtt_group_return(struct group *g, struct delivery *d)
{
	d->ord = 0;
	d->qos = d->msg->qos;
	d->group = NULL;
	d->again = false; /* another member has not seen it */
	mqtt_fifo_add_first(&g->waiting, d);
}

void
mqtt_group_take_queue(struct group *g, struct queue *q)
{
	struct delivery *d;

	while ((d = mqtt_queue_take(q)) != NULL) {
		mqtt_fifo_add(&g->waiting, d);
		mqtt_keep_moved(g->server, &q->owner, &g->owner, d->msg, NULL);
	}
}

void
mqtt_group_pump(struct group *g)
{
	struct delivery *d;
	struct sub *member;

	expire(g);
	while ((d = mqtt_fifo_first(&g->waiting)) != NULL) {
		member = next_member(g, d->qos);
		if (member == NULL)
			return;
		mqtt_fifo_remove(&g->waiting, d);
		hand(g, member, d);
	}
}

void
mqtt_group_clear(struct group *g)
{
	COUNT_BY(dropped_abandoned,
	    mqtt_fifo_clear(&g->waiting, g->server, &g->owner));
}

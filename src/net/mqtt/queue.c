/*
 * net/mqtt/queue.c - named queues: topics whose messages wait for somebody to
 * subscribe; and the bounded list that sessions and groups use too.
 *
 *  (1) Something waits in a queue only while no subscription matches its name,
 *      or while a consumer that failed is given time (`retry_ms`).
 *  (2) A full queue refuses what is new; what it took it keeps until it is
 *      given away or has expired.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

/* --- deliveries ---------------------------------------------------------- */

struct delivery *
mqtt_delivery_new(
    struct mqtt_server *s, struct mqtt_msg *m, uint8_t qos, bool retain)
{
	struct delivery *d =
	    list_first(&s->spare_deliveries, struct delivery, link);

	if (d != NULL) {
		list_del(&d->link);
		s->n_spare--;
	} else {
		d = mem_new(struct delivery);
	}
	*d = (struct delivery){
		.msg = m != NULL ? msg_ref(m) : NULL,
		.qos = qos,
		.retain = retain,
	};
	list_init(&d->link);
	return d;
}

void
mqtt_delivery_free(struct mqtt_server *s, struct delivery *d)
{
	mqtt_msg_release(d->msg);
	free(d->more_ids);
	d->more_ids = NULL;
	if (s->n_spare >= 1024) {
		free(d);
		return;
	}
	list_add_first(&s->spare_deliveries, &d->link);
	s->n_spare++;
}

/* --- the list ------------------------------------------------------------ */

void
mqtt_fifo_init(struct fifo *f, const struct owner *owner)
{
	*f = (struct fifo){ .owner = owner };
	list_init(&f->items);
}

bool
mqtt_fifo_fits(const struct fifo *f, uint32_t messages, uint64_t bytes,
    const struct mqtt_msg *m)
{
	return f->n < messages && f->bytes + msg_bytes(m) <= bytes;
}

static void
grown(struct fifo *f, const struct delivery *d)
{
	f->n++;
	f->n_expiring += d->msg->expires_ms != 0;
	f->bytes += msg_bytes(d->msg);
	TALLY(d->msg->server, queued_messages, 1);
	TALLY(d->msg->server, queued_bytes, msg_bytes(d->msg));
}

void
mqtt_fifo_add(struct fifo *f, struct delivery *d)
{
	list_add(&f->items, &d->link);
	grown(f, d);
	if (++f->n_new >= PACK_N) {
		f->n_new = 0;
		if (f->n > PACK_FROM)
			mqtt_fifo_pack(f);
	}
}

void
mqtt_fifo_add_first(struct fifo *f, struct delivery *d)
{
	list_add_first(&f->items, &d->link);
	grown(f, d);
}

void
mqtt_fifo_add_by_age(struct fifo *f, struct delivery *d)
{
	struct list *at = f->items.next;

	while (at != &f->items) {
		struct delivery *each = container_of(at, struct delivery, link);

		if (each->packed && pack_of(each)->last_seq > d->msg->seq)
			at = &mqtt_fifo_unpack(f, each)->link;
		else if (!each->packed && each->msg->seq > d->msg->seq)
			break;
		else
			at = at->next;
	}
	list_add(at, &d->link); /* before it */
	grown(f, d);
}

struct delivery *
mqtt_fifo_first(struct fifo *f)
{
	struct delivery *d = list_first(&f->items, struct delivery, link);

	return d != NULL && d->packed ? mqtt_fifo_unpack(f, d) : d;
}

void
mqtt_fifo_remove(struct fifo *f, struct delivery *d)
{
	list_del(&d->link);
	f->n--;
	f->n_expiring -= d->msg->expires_ms != 0;
	f->bytes -= msg_bytes(d->msg);
	TALLY(d->msg->server, queued_messages, -1);
	TALLY(d->msg->server, queued_bytes, -(int64_t)msg_bytes(d->msg));
}

/* Its end, without having been delivered. */
static void
drop(struct fifo *f, struct mqtt_server *s, struct owner *owner,
    struct delivery *d)
{
	mqtt_fifo_remove(f, d);
	if (owner != NULL)
		mqtt_keep_gone_delivery(s, owner, d);
	mqtt_delivery_free(s, d);
}

unsigned
mqtt_fifo_clear(struct fifo *f, struct mqtt_server *s, struct owner *owner)
{
	struct delivery *d;
	unsigned n = 0;

	for (; (d = mqtt_fifo_first(f)) != NULL; n++)
		drop(f, s, owner, d);
	return n;
}

unsigned
mqtt_fifo_expire(struct fifo *f, struct mqtt_server *s, struct owner *owner,
    int64_t limit_ms)
{
	int64_t now = clock_mono();
	struct list *l, *next;
	unsigned n = 0;

	for (l = f->items.next; l != &f->items; l = next) {
		struct delivery *d = container_of(l, struct delivery, link);
		int64_t at_ms = d->packed ? pack_of(d)->at_ms : d->msg->at_ms;

		next = l->next;
		if (at_ms > limit_ms && f->n_expiring == 0)
			break;
		if (d->packed) {
			if (at_ms <= limit_ms)
				next = &mqtt_fifo_unpack(f, d)->link;
			continue;
		}
		if (at_ms > limit_ms && !msg_has_expired(d->msg, now))
			continue;
		drop(f, s, owner, d);
		n++;
	}
	COUNT_BY(dropped_expired, n);
	return n;
}

/* --- rates --------------------------------------------------------------- */

static void
rate_move(struct rate *r, int64_t now_ms)
{
	int64_t slot = now_ms / RATE_SLOT_MS;

	for (int i = 0; i < RATE_SLOTS && r->slot < slot; i++)
		r->n[++r->slot % RATE_SLOTS] = 0;
	r->slot = slot;
}

void
mqtt_rate_add(struct rate *r, int64_t now_ms, uint32_t n)
{
	if (r->slot != now_ms / RATE_SLOT_MS)
		rate_move(r, now_ms);
	r->n[r->slot % RATE_SLOTS] += n;
}

double
mqtt_rate_get(struct rate *r, int64_t now_ms)
{
	uint64_t sum = 0;

	rate_move(r, now_ms);
	for (int i = 0; i < RATE_SLOTS; i++)
		sum += r->n[i];
	return (double)sum * 1000 / (RATE_SLOTS * RATE_SLOT_MS);
}

/* --- named queues -------------------------------------------------------- */

static struct queue *
queue_new(struct mqtt_server *s, struct topic *topic)
{
	struct queue *q = mem_new(struct queue);

	q->server = s;
	q->topic = topic;
	q->last_ms = TIME_NULL;
	q->max_messages = s->conf.queue_messages;
	q->max_bytes = s->conf.queue_bytes;
	q->ttl_ms = s->conf.queue_ttl_ms;
	mqtt_fifo_init(&q->waiting, &q->owner);
	list_init(&q->nonempty);
	list_init(&q->owner.in_segment);
	list_add(&s->queues, &q->link);
	topic->queue = q;
	return q;
}

/* Tells the groups of just this topic whose limits and durability hold for
 * them. */
static void
tell_groups(struct mqtt_server *s, struct str name, struct queue *q)
{
	struct group *g;
	size_t pos = 0;

	while ((g = map_next(&s->groups, &pos)) != NULL) {
		if (!str_eq(g->filter, name))
			continue;
		g->queue = q;
		if (!s->closing)
			mqtt_group_keep(g);
	}
}

static void
set_durability(struct queue *q, enum mqtt_durability durability)
{
	struct mqtt_server *s = q->server;
	bool was = q->owner.id != 0;

	if (durability == MQTT_NONE) {
		mqtt_fifo_unpack_all(&q->waiting);
		LIST_EACH (d, &q->waiting.items, struct delivery, link)
			mqtt_keep_forget(s, &q->owner, d->msg);
	}
	mqtt_keep_begin(s, &q->owner, OWNER_QUEUE, durability);
	if (was)
		return;
	LIST_EACH (d, &q->waiting.items, struct delivery, link)
		mqtt_keep_moved(s, NULL, &q->owner, d->msg, NULL);
}

struct queue *
mqtt_queue_make(
    struct mqtt_server *s, struct str name, enum mqtt_durability durability)
{
	struct topic *topic;
	struct queue *q;
	bool changed;

	if (!mqtt_topic_ok(name) || !mqtt_levels_ok(s, name))
		return NULL; /* nobody can publish there */
	topic = mqtt_topics_make(&s->topics, name);
	q = topic->queue;
	changed = q == NULL || q->owner.durability != durability;
	if (q == NULL)
		q = queue_new(s, topic);
	if (q->owner.id == 0 || q->owner.durability != durability)
		set_durability(q, durability);
	if (changed)
		tell_groups(s, name, q);
	return q;
}

void
mqtt_queue_declare_durable(struct mqtt_server *s, struct str name,
    const struct mqtt_queue_limits *limits, enum mqtt_durability durability)
{
	struct queue *q;

	mqtt_lock(s);
	q = mqtt_queue_make(s, name, durability);
	if (q != NULL && limits != NULL) {
		if (limits->messages > 0)
			q->max_messages = limits->messages;
		if (limits->bytes > 0)
			q->max_bytes = limits->bytes;
		if (limits->ttl_ms > 0)
			q->ttl_ms = limits->ttl_ms;
	}
	mqtt_home_done(s);
	mqtt_unlock(s);
}

void
mqtt_queue_declare(struct mqtt_server *s, struct str name,
    const struct mqtt_queue_limits *limits)
{
	mqtt_queue_declare_durable(s, name, limits, s->conf.durability);
}

void
mqtt_queue_free(struct queue *q)
{
	struct mqtt_server *s = q->server;
	struct topic *topic = q->topic;
	struct delivery *d;
	unsigned n = 0;

	tell_groups(s, topic->name, NULL);
	for (; (d = mqtt_fifo_first(&q->waiting)) != NULL; n++) {
		mqtt_keep_forget(s, &q->owner, d->msg);
		drop(&q->waiting, s, NULL, d);
	}
	COUNT_BY(dropped_abandoned, n);
	if (!s->closing)
		mqtt_keep_end(s, &q->owner);
	list_del(&q->nonempty);
	list_del(&q->link);
	topic->queue = NULL;
	mqtt_topics_tidy(&s->topics, topic);
	free(q);
}

void
mqtt_queue_delete(struct mqtt_server *s, struct str name)
{
	struct topic *topic;
	struct group *g;
	size_t pos = 0;

	mqtt_lock(s);
	topic = mqtt_topics_get(&s->topics, name);
	if (topic != NULL && topic->queue != NULL) {
		while ((g = map_next(&s->groups, &pos)) != NULL) {
			if (g->queue == topic->queue)
				mqtt_group_clear(g);
		}
		mqtt_queue_free(topic->queue);
	}
	mqtt_home_done(s);
	mqtt_unlock(s);
}

static void
note_nonempty(struct queue *q)
{
	if (list_empty(&q->nonempty))
		list_add(&q->server->queues_nonempty, &q->nonempty);
}

static void
expire(struct queue *q)
{
	int64_t limit = q->ttl_ms > 0 ? clock_mono() - q->ttl_ms : INT64_MIN;

	q->expired +=
	    mqtt_fifo_expire(&q->waiting, q->server, &q->owner, limit);
	if (q->waiting.n == 0)
		list_del(&q->nonempty);
}

int
mqtt_queue_put(struct queue *q, struct mqtt_msg *m)
{
	if (!mqtt_fifo_fits(&q->waiting, q->max_messages, q->max_bytes, m)) {
		expire(q); /* there may be room after all */
		if (!mqtt_fifo_fits(
			&q->waiting, q->max_messages, q->max_bytes, m)) {
			COUNT(dropped_queue_full);
			q->refused++;
			return ERR_LIMIT;
		}
	}
	mqtt_fifo_add(
	    &q->waiting, mqtt_delivery_new(q->server, m, m->qos, false));
	note_nonempty(q);
	return 0;
}

void
mqtt_queue_restore(struct queue *q, struct delivery *d)
{
	mqtt_fifo_add(&q->waiting, d);
	note_nonempty(q);
}

void
mqtt_queue_settle(struct mqtt_server *s, struct mqtt_msg *m)
{
	struct topic *topic = NULL;
	struct queue *q;

	if (!s->closing)
		topic = mqtt_topics_get(&s->topics, mqtt_msg_topic(m));
	if (topic == NULL || topic->queue == NULL) {
		if (m->failed)
			COUNT(dropped_abandoned);
		return;
	}
	q = topic->queue;
	if (!m->failed) {
		if (m->queued)
			mqtt_keep_gone(s, &q->owner, m);
		return;
	}
	mqtt_fifo_add_by_age(
	    &q->waiting, mqtt_delivery_new(s, m, m->qos, false));
	if (!m->queued)
		mqtt_keep_moved(s, NULL, &q->owner, m, NULL);
	note_nonempty(q);
	q->retry_ms = clock_mono() + QUEUE_RETRY_MS;
}

struct delivery *
mqtt_queue_take(struct queue *q)
{
	struct delivery *d;

	expire(q);
	d = mqtt_fifo_first(&q->waiting);
	if (d == NULL)
		return NULL;
	mqtt_fifo_remove(&q->waiting, d);
	if (q->waiting.n == 0)
		list_del(&q->nonempty);
	return d;
}

bool
mqtt_has_consumer(const struct mqtt_server *s, size_t base)
{
	for (size_t i = base; i < s->n_matches; i++)
		if (s->matches[i].kind == SUB_CONSUMER)
			return true;
	return false;
}

/* The consumer that had failed is gone, and others have subscribed since. */
static void
give_all(struct queue *q, const struct match *to)
{
	struct session *who = to->target;
	struct delivery *d;

	if (to->kind == SUB_GROUP) {
		mqtt_group_take_queue(to->target, q);
		mqtt_group_pump(to->target);
		return;
	}
	while ((d = mqtt_queue_take(q)) != NULL) {
		d->qos = MIN_OF(d->qos, to->qos);
		d->sub_id = to->sub_id;
		mqtt_session_owe(who, d);
		mqtt_keep_moved(q->server, &q->owner,
		    d->qos > 0 ? &who->owner : NULL, d->msg, d);
	}
	mqtt_session_pump(who);
}

/* Only consumers can be there, or a session or group that came just now and
 * has taken everything; see (1). */
void
mqtt_queue_drain(struct queue *q)
{
	struct mqtt_server *s = q->server;
	struct delivery *d;
	size_t base;

	if (q->retry_ms > clock_mono())
		return;
	base = mqtt_match(s, q->topic->name, q->topic, NULL);
	if (!mqtt_has_consumer(s, base)) {
		if (s->n_matches > base)
			give_all(q, &s->matches[base]);
		s->n_matches = base;
		return;
	}
	q->retry_ms = 0;
	while (s->n_calls < CALLS_MAX && (d = mqtt_queue_take(q)) != NULL) {
		struct mqtt_msg *m = d->msg;

		mqtt_rate_add(&q->out, clock_mono(), 1);
		m->from_queue = true;
		m->queued = true;
		m->failed = false;
		(void)mqtt_consume_hand(s, m, base);
		mqtt_delivery_free(s, d);
	}
	s->n_matches = base;
	if (q->waiting.n > 0) /* when those have been heard */
		q->retry_ms = clock_mono();
}

void
mqtt_queues_go_on(struct mqtt_server *s)
{
	LIST_EACH (q, &s->queues_nonempty, struct queue, nonempty) {
		if (q->retry_ms != 0)
			mqtt_queue_drain(q);
	}
}

void
mqtt_queues_tick(struct mqtt_server *s)
{
	struct group *g;
	size_t pos = 0;

	LIST_EACH (q, &s->queues_nonempty, struct queue, nonempty)
		expire(q);
	mqtt_queues_go_on(s);
	while ((g = map_next(&s->groups, &pos)) != NULL) {
		if (g->queue != NULL && g->queue->ttl_ms > 0)
			(void)mqtt_fifo_expire(&g->waiting, s, &g->owner,
			    clock_mono() - g->queue->ttl_ms);
	}
}

/* --- statistics ---------------------------------------------------------- */

static uint64_t
owed_of_topic(const struct list *items, struct str name)
{
	uint64_t n = 0;

	LIST_EACH (d, items, struct delivery, link) {
		if (d->packed)
			n += mqtt_pack_of_topic(pack_of(d), name);
		else if (d->msg != NULL && str_eq(mqtt_msg_topic(d->msg), name))
			n++;
	}
	return n;
}

void
mqtt_queue_stats(
    struct mqtt_server *s, struct str name, struct mqtt_queue_stats *ret)
{
	struct topic *topic;
	size_t base;

	mqtt_lock(s);
	topic = mqtt_topics_get(&s->topics, name);
	base = mqtt_match(s, name, topic, NULL);
	*ret = (struct mqtt_queue_stats){ .last_ms = TIME_NULL };
	for (size_t i = base; i < s->n_matches; i++) {
		struct match *m = &s->matches[i];

		if (m->kind == SUB_SESSION) {
			struct session *who = m->target;

			ret->consumers++;
			ret->messages += owed_of_topic(&who->owed.items, name) +
			    owed_of_topic(&who->inflight, name);
		} else if (m->kind == SUB_GROUP) {
			struct group *g = m->target;

			LIST_EACH (member, &g->members, struct sub, link) {
				ret->consumers++;
				ret->messages += owed_of_topic(
				    &member->session->inflight, name);
			}
			ret->messages += owed_of_topic(&g->waiting.items, name);
		} else {
			ret->consumers++;
		}
	}
	s->n_matches = base;
	if (topic != NULL && topic->queue != NULL) {
		struct queue *q = topic->queue;
		int64_t now = clock_mono();

		expire(q);
		ret->messages += q->waiting.n;
		ret->publish_rate = mqtt_rate_get(&q->in, now);
		ret->deliver_rate = mqtt_rate_get(&q->out, now);
		ret->bytes = q->waiting.bytes;
		ret->refused = q->refused;
		ret->expired = q->expired;
		ret->last_ms = q->last_ms;
	}
	mqtt_unlock(s);
}

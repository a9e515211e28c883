/*
 * net/mqtt/session.c - what the server remembers about a client: messages owed
 * to it, packet ids in use, QoS 2 ids received.
 *
 * A session outlives its connection by its expiry (clean session off: by the
 * server's). At most one connection is attached; when the same client id of the
 * same account connects again, the new connection takes the session over.
 *
 *  (1) A QoS 1 or 2 message is in `owed` or `inflight` from the moment it was
 *      accepted until the client has acknowledged it.
 *  (2) Both lists are in order of arrival, `inflight` before `owed`; resuming
 *      sends in that order.
 *  (3) Each QoS 1 or 2 delivery gets a number when it is accepted, and the
 *      packet id follows from the number. So the ids are the same again after a
 *      crash, when they are read back, and an id is not used twice within 65535
 *      deliveries. Of those in flight the first and last differ by less.
 *  (4) `owed` is not empty only while the client is away, has as many messages
 *      unanswered as it or we allow, does not read, or has to wait for the
 *      disk: a QoS 2 message is sent to a session that is kept only when its
 *      number is safe, or it might come again under another.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define PRESSED 2 /* "so full that publishers wait": one part in so many */

/* --- life ---------------------------------------------------------------- */

/* Client ids belong to an account: a tenant can not take over, or guess, the
 * session of another. */
static struct str
make_key(struct mqtt_server *s, const struct account *a, struct str client_id)
{
	struct buf *b = &s->scratch;

	buf_clear(b);
	if (a != NULL)
		buf_add_str(b, a->name);
	buf_addc(b, '\0');
	buf_add_str(b, client_id);
	return buf_str(b);
}

struct session *
mqtt_session_find(
    struct mqtt_server *server, struct account *a, struct str client_id)
{
	return map_get(&server->sessions, make_key(server, a, client_id));
}

struct session *
mqtt_session_new(struct mqtt_server *server, struct account *a,
    struct str client_id, uint32_t expiry_s)
{
	struct session *s = mem_new(struct session);

	s->server = server;
	s->key = str_copy(make_key(server, a, client_id));
	s->key_account = (uint16_t)(s->key.len - client_id.len);
	s->account = a;
	s->expiry_s = expiry_s;
	list_init(&s->in_account);
	list_init(&s->detached);
	list_init(&s->subs);
	list_init(&s->memberships);
	list_init(&s->inflight);
	list_init(&s->orphans);
	list_init(&s->slowed);
	list_init(&s->owner.in_segment);
	mqtt_fifo_init(&s->owed, &s->owner);
	if (a != NULL)
		mqtt_account_enter(a, &s->in_account);
	(void)map_put(&server->sessions, s->key, s);
	COUNT(sessions);
	return s;
}

/* Nothing of it is kept any more. */
static void
forget_all(struct session *s)
{
	LIST_EACH (d, &s->inflight, struct delivery, link) {
		if (d->group == NULL && !d->released)
			mqtt_keep_forget(s->server, &s->owner, d->msg);
	}
	mqtt_fifo_unpack_all(&s->owed);
	LIST_EACH (d, &s->owed.items, struct delivery, link) {
		if (d->qos > 0)
			mqtt_keep_forget(s->server, &s->owner, d->msg);
	}
	mqtt_keep_end(s->server, &s->owner);
}

/* All of it is kept from now on. */
static void
remember_all(struct session *s)
{
	LIST_EACH (d, &s->inflight, struct delivery, link) {
		if (d->group == NULL && !d->released)
			mqtt_keep_moved(s->server, NULL, &s->owner, d->msg, d);
	}
	LIST_EACH (d, &s->owed.items, struct delivery, link) {
		if (d->qos > 0)
			mqtt_keep_moved(s->server, NULL, &s->owner, d->msg, d);
	}
}

void
mqtt_session_keep(struct session *s, enum mqtt_durability durability)
{
	bool was = s->owner.id != 0;

	if (s->expiry_s == 0 || durability == MQTT_NONE)
		forget_all(s);
	else if (!was || s->owner.durability != durability)
		mqtt_keep_begin(
		    s->server, &s->owner, OWNER_SESSION, durability);
	else
		mqtt_keep_away(s);
	s->owner.durability = (uint8_t)durability;
	if (!was && s->owner.id != 0)
		remember_all(s);
}

static void
no_longer_detached(struct session *s)
{
	heap_del(&s->server->due, &s->due);
	if (list_empty(&s->detached))
		return;
	list_del(&s->detached);
	s->server->n_detached--;
}

void
mqtt_session_attach(struct session *s, struct conn *conn)
{
	no_longer_detached(s);
	mqtt_will_free(s->will); /* the client is back in time */
	s->will = NULL;
	s->conn = conn;
	s->moved_ms = clock_mono();
}

/* Takes `d` out of flight; it is the caller's. */
static void
land(struct session *s, struct delivery *d)
{
	list_del(&d->link);
	s->n_inflight--;
	TALLY(s->server, inflight, -1);
}

/* What came from a group goes back there, newest first, so that the oldest is
 * at the head in the end. At QoS 2 it stays: it may have been received, and
 * nobody else may get it [5:4.8.2-4] [5:4.8.2-5]. */
static void
return_to_groups(struct session *s)
{
	struct list *l = s->inflight.prev, *prev;

	for (; l != &s->inflight; l = prev) {
		struct delivery *d = container_of(l, struct delivery, link);

		prev = l->prev;
		if (d->group == NULL || d->released)
			continue;
		if (d->qos == 2) {
			mqtt_keep_moved(
			    s->server, &d->group->owner, &s->owner, d->msg, d);
			d->group = NULL;
			continue;
		}
		land(s, d);
		mqtt_group_return(d->group, d);
	}
}

static void
pump_groups(struct session *s)
{
	LIST_EACH (member, &s->memberships, struct sub, membership) {
		if (member->group->waiting.n > 0)
			mqtt_group_pump(member->group);
	}
}

static void
release_slowed(struct session *s)
{
	struct conn *c;

	while ((c = list_first(&s->slowed, struct conn, held)) != NULL) {
		list_del(&c->held);
		mqtt_conn_wake(c);
	}
}

static void
set_due(struct session *s)
{
	int64_t at = s->expires_ms;

	if (s->will != NULL)
		at = MIN_OF(at, s->will_ms);
	if (at != INT64_MAX)
		heap_put(&s->server->due, &s->due, at);
	else
		heap_del(&s->server->due, &s->due);
}

void
mqtt_session_wait(struct session *s, int64_t left_ms)
{
	struct mqtt_server *server = s->server;

	s->expires_ms = s->expiry_s == MQTT_EXPIRY_NEVER
	    ? INT64_MAX
	    : clock_mono() + left_ms;
	list_add(&server->detached, &s->detached);
	server->n_detached++;
	set_due(s);
}

void
mqtt_session_detach(struct session *s, struct will *will)
{
	struct mqtt_server *server = s->server;
	bool ends = s->expiry_s == 0 || s->kicked;

	s->conn = NULL;
	if (s->received != NULL && s->received->n == 0) {
		free(s->received);
		s->received = NULL;
	}
	release_slowed(s);
	if (will != NULL && !ends && will->delay_s > 0) {
		s->will = will;
		s->will_ms = clock_mono() + (int64_t)will->delay_s * 1000;
	} else if (will != NULL) {
		mqtt_will_publish(server, s, will);
	}
	if (ends) {
		mqtt_session_free(s);
		return;
	}
	return_to_groups(s);
	pump_groups(s);
	s->detached_ms = clock_now();
	mqtt_keep_away(s);
	mqtt_session_wait(s, (int64_t)s->expiry_s * 1000);
	while (server->n_detached > server->conf.max_sessions) {
		COUNT(sessions_evicted);
		mqtt_session_free(
		    list_first(&server->detached, struct session, detached));
	}
}

/* A message that nobody got: back to its queue if it was sent to one that now
 * has no subscriber. */
static void
bequeath(struct session *s, struct delivery *d)
{
	struct mqtt_server *server = s->server;
	struct topic *topic;

	if (d->qos > 0 && d->msg != NULL && !server->closing)
		mqtt_keep_forget(server, &s->owner, d->msg);
	if (!d->retain && d->msg != NULL && !server->closing) {
		topic =
		    mqtt_topics_get(&server->topics, mqtt_msg_topic(d->msg));
		if (topic != NULL && topic->queue != NULL &&
		    !mqtt_topic_wanted(server, topic->name) &&
		    mqtt_queue_put(topic->queue, d->msg) == 0)
			mqtt_keep_moved(
			    server, NULL, &topic->queue->owner, d->msg, NULL);
		else
			COUNT(dropped_abandoned);
	}
	mqtt_delivery_free(server, d);
}

void
mqtt_session_free(struct session *s)
{
	struct mqtt_server *server = s->server;
	struct will *will = s->will;
	struct delivery *d;

	no_longer_detached(s);
	(void)map_del(&server->sessions, s->key);
	release_slowed(s);
	return_to_groups(s);
	pump_groups(s);
	mqtt_unsubscribe_all(s);
	if (will != NULL && !server->closing && !s->kicked)
		mqtt_will_publish(server, s, will); /* the session ends */
	else
		mqtt_will_free(will);

	while ((d = list_first(&s->inflight, struct delivery, link)) != NULL) {
		land(s, d);
		bequeath(s, d);
	}
	while ((d = mqtt_fifo_first(&s->owed)) != NULL) {
		mqtt_fifo_remove(&s->owed, d);
		bequeath(s, d);
	}
	LIST_EACH (a, &s->orphans, struct arrival, link) {
		list_del(&a->link);
		if (a->msg != NULL)
			a->msg->arrival = NULL;
		free(a);
	}
	if (!server->closing)
		mqtt_keep_end(server, &s->owner);
	if (s->account != NULL) {
		mqtt_account_leave(s->account, &s->in_account);
		mqtt_account_unref(s->account);
	}
	free(s->received);
	str_free(s->key);
	free(s);
	COUNT_BY(sessions, -1);
}

void
mqtt_sessions_expire(struct mqtt_server *server)
{
	int64_t now = clock_mono();
	struct heap_item *first;

	while ((first = heap_first(&server->due)) != NULL && first->at <= now) {
		struct session *s = container_of(first, struct session, due);
		struct will *will = s->will;

		if (s->expires_ms <= now) {
			COUNT(sessions_expired);
			mqtt_session_free(s);
			continue;
		}
		s->will = NULL;
		set_due(s);
		mqtt_will_publish(server, s, will);
	}
}

/* --- to the client ------------------------------------------------------- */

static uint32_t
window(const struct session *s)
{
	return MIN_OF(
	    s->server->conf.max_inflight, (uint32_t)s->conn->receive_max);
}

/* The journal gathers one group while it writes the one before: two places are
 * enough. */
static void
note_unsure(struct session *s)
{
	const struct keep *k = &s->server->keep;

	if (!s->server->conf.sure_window || k->journal == NULL)
		return;
	if (s->unsure[1].group != k->group) {
		s->unsure[0] = s->unsure[1];
		s->unsure[1] = (struct unsure){ .group = k->group };
	}
	s->unsure[1].n++;
}

/* Acknowledged, but the journal might still forget that. */
static uint32_t
unsure(const struct session *s)
{
	uint32_t n = 0;

	for (size_t i = 0; i < COUNT_OF(s->unsure); i++)
		if (s->unsure[i].n > 0 &&
		    !mqtt_keep_reached(
			&s->server->keep, s->unsure[i].group, MQTT_OS))
			n += s->unsure[i].n;
	return n;
}

/* May one more be in flight? */
static bool
has_window(struct session *s)
{
	uint32_t n;

	if (s->n_inflight >= window(s))
		return false;
	n = unsure(s);
	if (s->n_inflight + n < window(s))
		return true;
	mqtt_conn_wait_for_keep(s->conn);
	return false;
}

/* Is the packet id that `ord` gives still in use? */
static bool
id_is_taken(const struct session *s, uint64_t ord)
{
	const struct delivery *first =
	    list_first(&s->inflight, struct delivery, link);

	return first != NULL && ord - first->ord >= ID_COUNT;
}

bool
mqtt_session_has_room(struct session *s, uint8_t qos)
{
	return s->conn != NULL && s->owed.n == 0 &&
	    mqtt_conn_has_room(s->conn) &&
	    (qos == 0 || (has_window(s) && !id_is_taken(s, s->next_ord + 1)));
}

bool
mqtt_session_is_pressed(struct session *s)
{
	const struct mqtt_server_conf *conf = &s->server->conf;

	return conf->full == MQTT_FULL_SLOW && s->conn != NULL &&
	    (s->owed.n >= conf->queue_messages / PRESSED ||
		s->owed.bytes >= conf->queue_bytes / PRESSED) &&
	    s->server->now_ms - s->moved_ms < conf->slow_ms;
}

static struct copy
copy_of(const struct delivery *d)
{
	return (struct copy){ .qos = d->qos,
		.retain = d->retain,
		.sub_id = d->sub_id,
		.more_ids = d->more_ids };
}

static void
send_publish(struct session *s, const struct delivery *d)
{
	const struct copy copy = copy_of(d);

	mqtt_conn_send_publish(s->conn, d->msg,
	    (struct mqtt_publish_flags){ .qos = d->qos,
		.dup = d->again && d->qos > 0,
		.retain = d->retain,
		.id = d->qos > 0 ? delivery_id(d) : 0 },
	    &copy);
}

/* Would the client take it at all? What is too large for it is as good as
 * delivered [5:3.1.2-25]. */
static bool
fits_client(
    const struct session *s, const struct mqtt_msg *m, const struct copy *copy)
{
	if (s->conn->max_packet == UINT32_MAX ||
	    mqtt_conn_publish_size(s->conn, m, copy) <= s->conn->max_packet)
		return true;
	COUNT(dropped_too_large);
	return false;
}

static void
put_in_flight(struct session *s, struct delivery *d)
{
	list_add(&s->inflight, &d->link);
	s->n_inflight++;
	TALLY(s->server, inflight, 1);
}

static void
give_number(struct session *s, struct delivery *d)
{
	if (d->qos > 0 && d->ord == 0)
		d->ord = ++s->next_ord;
}

void
mqtt_session_send(struct session *s, struct delivery *d)
{
	const struct copy copy = copy_of(d);

	if (!fits_client(s, d->msg, &copy)) {
		if (d->group == NULL || d->qos > 0) /* else said already */
			mqtt_keep_gone_delivery(s->server,
			    d->group != NULL ? &d->group->owner : &s->owner, d);
		mqtt_delivery_free(s->server, d);
		return;
	}
	give_number(s, d);
	send_publish(s, d);
	d->again = true;
	if (d->qos == 0)
		mqtt_delivery_free(s->server, d);
	else
		put_in_flight(s, d);
}

/* Its number must be on disk before it may be sent; see (4). */
static bool
must_wait(const struct session *s, uint8_t qos)
{
	return qos == 2 && s->owner.id != 0 && s->server->keep.journal != NULL;
}

static struct delivery *
delivery_for(struct session *s, struct mqtt_msg *m, const struct copy *copy)
{
	struct delivery *d =
	    mqtt_delivery_new(s->server, m, copy->qos, copy->retain);
	size_t n = 0;

	d->sub_id = copy->sub_id;
	if (copy->more_ids != NULL) {
		while (copy->more_ids[n] != 0)
			n++;
		d->more_ids = mem_array(n + 1, sizeof(*d->more_ids));
		memcpy(d->more_ids, copy->more_ids, n * sizeof(*d->more_ids));
	}
	give_number(s, d);
	return d;
}

static void
count_owed_0(struct session *s)
{
	s->n_owed_0 = 0;
	LIST_EACH (d, &s->owed.items, struct delivery, link)
		s->n_owed_0 += d->qos == 0 && !d->packed;
}

/* Makes room by dropping what has expired, or as the setting says. */
static enum accept
make_room(struct session *s, const struct mqtt_msg *m)
{
	const struct mqtt_server_conf *conf = &s->server->conf;
	struct delivery *d;

	if (mqtt_fifo_expire(&s->owed, s->server, &s->owner, INT64_MIN) > 0)
		count_owed_0(s);
	while (!mqtt_fifo_fits(
	    &s->owed, conf->queue_messages, conf->queue_bytes, m)) {
		d = mqtt_fifo_first(&s->owed);
		if (conf->full != MQTT_FULL_DROP_OLDEST || d == NULL) {
			COUNT(dropped_queue_full);
			if (conf->full == MQTT_FULL_DISCONNECT &&
			    s->conn != NULL)
				mqtt_conn_end(s->conn, MQTT_R_QUOTA,
				    "too many messages wait for you");
			return REFUSED;
		}
		mqtt_fifo_remove(&s->owed, d);
		if (d->qos == 0)
			s->n_owed_0--;
		mqtt_keep_gone_delivery(s->server, &s->owner, d);
		mqtt_delivery_free(s->server, d);
		COUNT(dropped_queue_full);
	}
	return ACCEPTED;
}

static enum accept
deliver_later(struct session *s, struct mqtt_msg *m, const struct copy *copy)
{
	const struct mqtt_server_conf *conf = &s->server->conf;
	struct delivery *d;

	if (!mqtt_fifo_fits(
		&s->owed, conf->queue_messages, conf->queue_bytes, m) &&
	    make_room(s, m) != ACCEPTED)
		return REFUSED;
	d = delivery_for(s, m, copy);
	mqtt_fifo_add(&s->owed, d);
	if (d->qos == 0)
		s->n_owed_0++;
	else
		mqtt_keep_target(s->server, &s->owner, d);
	if (s->conn != NULL && must_wait(s, d->qos))
		mqtt_conn_wait_for_keep(s->conn);
	return ACCEPTED;
}

enum accept
mqtt_session_deliver(
    struct session *s, struct mqtt_msg *m, const struct copy *copy)
{
	if (copy->qos == 0 && !(copy->keep && s->conn != NULL) &&
	    s->n_owed_0 == 0) {
		if (s->conn == NULL)
			return DROPPED; /* as agreed at QoS 0 */
		if (!mqtt_conn_has_room(s->conn)) {
			COUNT(dropped_output_full);
			return DROPPED;
		}
	} else if (!mqtt_session_has_room(s, copy->qos) ||
	    must_wait(s, copy->qos)) {
		return deliver_later(s, m, copy);
	}
	if (copy->qos > 0) {
		struct delivery *d = delivery_for(s, m, copy);

		mqtt_keep_target(s->server, &s->owner, d);
		mqtt_session_send(s, d);
	} else if (fits_client(s, m, copy)) {
		mqtt_conn_send_publish(s->conn, m,
		    (struct mqtt_publish_flags){ .retain = copy->retain },
		    copy);
	}
	return ACCEPTED;
}

void
mqtt_session_owe(struct session *s, struct delivery *d)
{
	give_number(s, d);
	mqtt_fifo_add(&s->owed, d);
	if (d->qos == 0)
		s->n_owed_0++;
}

/* May the first of those owed be sent now? */
static bool
may_go(struct session *s, const struct delivery *d)
{
	if (d->qos == 0)
		return true;
	if (!has_window(s) || id_is_taken(s, d->ord))
		return false;
	if (must_wait(s, d->qos) && !mqtt_keep_has_msg(s->server, d->msg)) {
		mqtt_conn_wait_for_keep(s->conn);
		return false;
	}
	return true;
}

void
mqtt_session_pump(struct session *s)
{
	struct mqtt_server *server = s->server;
	int64_t now = server->now_ms;
	struct delivery *d;

	while (s->conn != NULL && mqtt_conn_has_room(s->conn) &&
	    (d = mqtt_fifo_first(&s->owed)) != NULL) {
		bool old = msg_has_expired(d->msg, now);

		if (!old && !may_go(s, d))
			break;
		mqtt_fifo_remove(&s->owed, d);
		if (d->qos == 0)
			s->n_owed_0--;
		s->moved_ms = now;
		if (old) {
			COUNT(dropped_expired);
			mqtt_keep_gone_delivery(server, &s->owner, d);
			mqtt_delivery_free(server, d);
		} else {
			mqtt_session_send(s, d);
		}
	}
	if (!list_empty(&s->slowed) && !mqtt_session_is_pressed(s))
		release_slowed(s);
	if (s->owed.n == 0)
		pump_groups(s);
}

static void settled(struct session *s, struct delivery *d);

/* This connection may allow less in flight than the last: the newest wait. */
static void
fit_window(struct session *s)
{
	struct list *l = s->inflight.prev, *prev;

	for (; l != &s->inflight && s->n_inflight > window(s); l = prev) {
		struct delivery *d = container_of(l, struct delivery, link);

		prev = l->prev;
		if (d->released)
			continue;
		land(s, d);
		mqtt_fifo_add_first(&s->owed, d);
	}
}

void
mqtt_session_resume(struct session *s)
{
	fit_window(s);
	LIST_EACH (d, &s->inflight, struct delivery, link) {
		const struct copy copy = copy_of(d);

		if (!d->released && !fits_client(s, d->msg, &copy)) {
			settled(s, d);
			continue;
		}
		if (d->released)
			mqtt_conn_send_ack(
			    s->conn, MQTT_PUBREL, delivery_id(d), 0);
		else
			send_publish(s, d); /* [4.4.0-1] */
	}
	mqtt_session_pump(s);
}

void
mqtt_session_restore(struct session *s, struct delivery *d)
{
	s->next_ord = MAX_OF(s->next_ord, d->ord);
	d->again = true;
	if (d->released)
		put_in_flight(s, d);
	else
		mqtt_fifo_add(&s->owed, d);
}

/* --- from the client ----------------------------------------------------- */

/* Answers mostly come in the order of sending, or nearly so. */
static struct delivery *
by_id(const struct session *s, uint16_t id)
{
	LIST_EACH (d, &s->inflight, struct delivery, link) {
		if (delivery_id(d) == id)
			return d;
	}
	return NULL;
}

static void
room_appeared(struct session *s)
{
	s->moved_ms = s->server->now_ms;
	if (s->owed.n == 0 && list_empty(&s->memberships) &&
	    list_empty(&s->slowed))
		return;
	s->conn->pump = true;
	mqtt_conn_wake(s->conn);
}

/* The client has it, or will not: nobody needs it for this one any more. */
static void
settled(struct session *s, struct delivery *d)
{
	mqtt_keep_gone(
	    s->server, d->group != NULL ? &d->group->owner : &s->owner, d->msg);
	note_unsure(s);
	land(s, d);
	mqtt_delivery_free(s->server, d);
	room_appeared(s);
}

/* An id that means nothing to us is no error: the client may answer to a
 * session that we have forgotten. */
bool
mqtt_session_puback(struct session *s, uint16_t id)
{
	struct delivery *d = by_id(s, id);

	if (d == NULL || d->qos != 1)
		return false;
	settled(s, d);
	return true;
}

bool
mqtt_session_pubrec(struct session *s, uint16_t id, uint8_t code)
{
	struct delivery *d = by_id(s, id);

	if (d == NULL || d->qos != 2)
		return false;
	if (code >= 0x80 && !d->released) {
		settled(s, d);
	} else if (!d->released) {
		mqtt_keep_released(s, d);
		d->released = true;
		d->group = NULL;
		mqtt_msg_release(d->msg);
		d->msg = NULL;
	}
	return true;
}

bool
mqtt_session_pubcomp(struct session *s, uint16_t id)
{
	struct delivery *d = by_id(s, id);

	if (d == NULL || !d->released)
		return false;
	mqtt_keep_completed(s, d);
	note_unsure(s);
	land(s, d);
	mqtt_delivery_free(s->server, d);
	room_appeared(s);
	return true;
}

bool
mqtt_session_received(const struct session *s, uint16_t id)
{
	return s->received != NULL && s->received->bits[id / 8] >> id % 8 & 1;
}

void
mqtt_session_set_received(struct session *s, uint16_t id, bool on)
{
	if (mqtt_session_received(s, id) == on)
		return;
	if (s->received == NULL)
		s->received = mem_new(struct received);
	s->received->bits[id / 8] ^= (uint8_t)(1 << id % 8);
	s->received->n += on ? 1 : -1u;
	if (!on)
		mqtt_keep_received(s, id, false);
}

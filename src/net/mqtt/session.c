/*
 * net/mqtt/session.c - what the server remembers about a client: messages owed
 * to it, packet ids in use, QoS 2 ids received.
 *
 * A session outlives its connection if the client asked for it (clean session
 * off). At most one connection is attached; when the same client id of the same
 * account connects again, the new connection takes the session over.
 *
 *  (1) A QoS 1 or 2 message is in `owed` or `inflight` from the moment it was
 *      accepted until the client has acknowledged it.
 *  (2) Both lists are in order of arrival, `inflight` before `owed`; resuming
 *      sends in that order.
 *  (3) A packet id is in use exactly while the delivery that has it is in
 *      `inflight`. Freed ids queue up, so that one is not used again soon.
 *  (4) `owed` is not empty only while the client is away, has `max_inflight`
 *      messages unanswered, or does not read.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define RECEIVED_BYTES (65536 / 8)

/* --- packet ids ---------------------------------------------------------- */

static void
id_put(struct session *s, uint16_t id)
{
	s->slots[id - 1] = (struct slot){ 0 };
	if (s->free_last != 0)
		s->slots[s->free_last - 1].next_free = id;
	else
		s->free_first = id;
	s->free_last = id;
}

/* More slots: 8, 32, ... up to max_inflight. */
static void
ids_grow(struct session *s)
{
	uint32_t max = MIN_OF(s->server->conf.max_inflight, 65535);
	uint32_t n = MIN_OF(s->n_slots == 0 ? 8 : s->n_slots * 4, max);

	s->slots = mem_resize(s->slots, n, sizeof(*s->slots));
	for (uint32_t id = s->n_slots + 1; id <= n; id++)
		id_put(s, (uint16_t)id);
	s->n_slots = n;
}

/* The caller has checked n_inflight. */
static uint16_t
id_take(struct session *s, struct delivery *d)
{
	uint16_t id;

	if (s->free_first == 0)
		ids_grow(s);
	id = s->free_first;
	s->free_first = s->slots[id - 1].next_free;
	if (s->free_first == 0)
		s->free_last = 0;
	s->slots[id - 1] = (struct slot){ .delivery = d };
	return id;
}

static struct delivery *
by_id(const struct session *s, uint16_t id)
{
	return id <= s->n_slots ? s->slots[id - 1].delivery : NULL;
}

/* Takes `d` out of flight; it is the caller's. */
static void
land(struct session *s, struct delivery *d)
{
	list_del(&d->link);
	id_put(s, d->id);
	d->id = 0;
	s->n_inflight--;
	COUNT_BY(inflight, -1);
}

/* --- life ---------------------------------------------------------------- */

/* Client ids belong to an account: a tenant can not take over, or guess, the
 * session of another. */
static void
make_key(struct buf *key, const struct account *a, struct str client_id)
{
	void *ptr = account_ptr(a);

	buf_add(key, &ptr, sizeof(ptr));
	buf_add_str(key, client_id);
}

struct session *
mqtt_session_find(
    struct mqtt_server *server, struct account *a, struct str client_id)
{
	struct buf key = { 0 };
	struct session *s;

	make_key(&key, a, client_id);
	s = map_get(&server->sessions, buf_str(&key));
	buf_free(&key);
	return s;
}

struct session *
mqtt_session_new(struct mqtt_server *server, struct account *a,
    struct str client_id, bool clean)
{
	struct session *s = mem_new(struct session);
	struct buf key = { 0 };

	make_key(&key, a, client_id);
	s->server = server;
	s->key = str_copy(buf_str(&key));
	s->client_id =
	    (struct str){ s->key.ptr + sizeof(void *), client_id.len };
	buf_free(&key);
	s->account = a;
	s->clean = clean;
	list_init(&s->in_account);
	list_init(&s->detached);
	list_init(&s->memberships);
	list_init(&s->inflight);
	list_init(&s->orphans);
	mqtt_fifo_init(&s->owed);
	if (a != NULL)
		mqtt_account_enter(a, &s->in_account);
	(void)map_put(&server->sessions, s->key, s);
	COUNT(sessions);
	return s;
}

void
mqtt_session_attach(struct session *s, struct conn *conn)
{
	if (!list_empty(&s->detached)) {
		list_del(&s->detached);
		s->server->n_detached--;
	}
	s->conn = conn;
}

/* What came from a group goes back there, newest first, so that the oldest is
 * at the head in the end. */
static void
return_to_groups(struct session *s)
{
	struct list *l = s->inflight.prev, *prev;

	for (; l != &s->inflight; l = prev) {
		struct delivery *d = container_of(l, struct delivery, link);

		prev = l->prev;
		if (d->group == NULL || d->released)
			continue;
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

void
mqtt_session_detach(struct session *s)
{
	struct mqtt_server *server = s->server;

	s->conn = NULL;
	if (s->n_received == 0) {
		free(s->received);
		s->received = NULL;
	}
	if (s->clean) {
		mqtt_session_free(s);
		return;
	}
	return_to_groups(s);
	pump_groups(s);
	s->detached_ms = clock_mono();
	list_add(&server->detached, &s->detached);
	server->n_detached++;
	mqtt_sessions_expire(server);
	mqtt_server_tick(server);
}

/* A message that nobody got: back to its queue if it was sent to one that now
 * has no subscriber. */
static void
bequeath(struct session *s, struct delivery *d)
{
	struct mqtt_server *server = s->server;
	struct topic *topic;

	if (!d->retain && d->msg != NULL && !server->closing) {
		topic =
		    mqtt_topics_get(&server->topics, mqtt_msg_topic(d->msg));
		if (topic != NULL && topic->queue != NULL &&
		    !mqtt_topic_wanted(server, topic->name)) {
			(void)mqtt_queue_put(topic->queue, d->msg);
			mqtt_delivery_free(server, d);
			return;
		}
	}
	if (!d->released)
		COUNT(dropped_abandoned);
	mqtt_delivery_free(server, d);
}

void
mqtt_session_free(struct session *s)
{
	struct mqtt_server *server = s->server;
	struct delivery *d;

	if (!list_empty(&s->detached)) {
		list_del(&s->detached);
		server->n_detached--;
	}
	(void)map_del(&server->sessions, s->key);
	return_to_groups(s);
	pump_groups(s);
	mqtt_unsubscribe_all(s);

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
	if (s->account != NULL) {
		mqtt_account_leave(s->account, &s->in_account);
		mqtt_account_unref(s->account);
	}
	map_fini(&s->subs);
	free(s->slots);
	free(s->received);
	str_free(s->key);
	free(s);
	COUNT_BY(sessions, -1);
}

void
mqtt_sessions_expire(struct mqtt_server *server)
{
	const struct mqtt_server_conf *conf = &server->conf;
	int64_t limit = clock_mono() - conf->session_expiry_ms;
	struct session *s;

	while ((s = list_first(&server->detached, struct session, detached)) !=
	    NULL) {
		bool old =
		    conf->session_expiry_ms > 0 && s->detached_ms <= limit;

		if (!old && server->n_detached <= conf->max_sessions)
			return;
		if (old)
			COUNT(sessions_expired);
		else
			COUNT(sessions_evicted);
		mqtt_session_free(s);
	}
}

/* --- to the client ------------------------------------------------------- */

bool
mqtt_session_has_room(const struct session *s, uint8_t qos)
{
	return s->conn != NULL && s->owed.n == 0 &&
	    mqtt_conn_has_room(s->conn) &&
	    (qos == 0 || s->n_inflight < s->server->conf.max_inflight);
}

static void
send_publish(struct session *s, const struct delivery *d, bool dup)
{
	mqtt_conn_send_publish(s->conn, d->msg,
	    (struct mqtt_publish_flags){
		.qos = d->qos, .dup = dup, .retain = d->retain, .id = d->id });
}

void
mqtt_session_send(struct session *s, struct delivery *d)
{
	if (d->qos == 0) {
		send_publish(s, d, false);
		mqtt_delivery_free(s->server, d);
		return;
	}
	d->id = id_take(s, d);
	list_add(&s->inflight, &d->link);
	s->n_inflight++;
	COUNT(inflight);
	send_publish(s, d, false);
}

enum accept
mqtt_session_deliver(
    struct session *s, struct mqtt_msg *m, uint8_t qos, bool retain, bool keep)
{
	const struct mqtt_server_conf *conf = &s->server->conf;

	if (qos == 0 && !(keep && s->conn != NULL) && s->n_owed_0 == 0) {
		if (s->conn == NULL)
			return DROPPED; /* as agreed at QoS 0 */
		if (!mqtt_conn_has_room(s->conn)) {
			COUNT(dropped_output_full);
			return DROPPED;
		}
	} else if (!mqtt_session_has_room(s, qos)) {
		if (!mqtt_fifo_fits(
			&s->owed, conf->queue_messages, conf->queue_bytes, m)) {
			COUNT(dropped_queue_full);
			return REFUSED;
		}
		mqtt_session_owe(
		    s, mqtt_delivery_new(s->server, m, qos, retain));
		return ACCEPTED;
	}
	if (qos == 0)
		mqtt_conn_send_publish(s->conn, m,
		    (struct mqtt_publish_flags){ .retain = retain });
	else
		mqtt_session_send(
		    s, mqtt_delivery_new(s->server, m, qos, retain));
	return ACCEPTED;
}

void
mqtt_session_owe(struct session *s, struct delivery *d)
{
	mqtt_fifo_add(&s->owed, d);
	if (d->qos == 0)
		s->n_owed_0++;
}

void
mqtt_session_pump(struct session *s)
{
	struct delivery *d;

	while (s->conn != NULL && mqtt_conn_has_room(s->conn) &&
	    (d = mqtt_fifo_first(&s->owed)) != NULL) {
		if (d->qos > 0 && s->n_inflight >= s->server->conf.max_inflight)
			return;
		mqtt_fifo_remove(&s->owed, d);
		if (d->qos == 0)
			s->n_owed_0--;
		mqtt_session_send(s, d);
	}
	if (s->owed.n == 0)
		pump_groups(s);
}

void
mqtt_session_resume(struct session *s)
{
	LIST_EACH (d, &s->inflight, struct delivery, link) {
		if (d->released)
			mqtt_conn_send_ack(s->conn, MQTT_PUBREL, d->id);
		else
			send_publish(s, d, true); /* [4.4.0-1] */
	}
	mqtt_session_pump(s);
}

/* --- from the client ----------------------------------------------------- */

static void
room_appeared(struct session *s)
{
	if (s->owed.n == 0 && list_empty(&s->memberships))
		return;
	s->conn->pump = true;
	mqtt_conn_wake(s->conn);
}

/* An id that means nothing to us is no error: the client may answer to a
 * session that we have forgotten. */
void
mqtt_session_puback(struct session *s, uint16_t id)
{
	struct delivery *d = by_id(s, id);

	if (d == NULL || d->qos != 1)
		return;
	land(s, d);
	mqtt_delivery_free(s->server, d);
	room_appeared(s);
}

bool
mqtt_session_pubrec(struct session *s, uint16_t id)
{
	struct delivery *d = by_id(s, id);

	if (d == NULL)
		return true; /* lets it end what it thinks is going on */
	if (d->qos != 2)
		return false;
	if (!d->released) {
		d->released = true;
		d->group = NULL;
		mqtt_msg_unref(d->msg);
		d->msg = NULL;
	}
	return true;
}

void
mqtt_session_pubcomp(struct session *s, uint16_t id)
{
	struct delivery *d = by_id(s, id);

	if (d == NULL || !d->released)
		return;
	land(s, d);
	mqtt_delivery_free(s->server, d);
	room_appeared(s);
}

bool
mqtt_session_received(const struct session *s, uint16_t id)
{
	return s->received != NULL && s->received[id / 8] >> id % 8 & 1;
}

void
mqtt_session_set_received(struct session *s, uint16_t id, bool on)
{
	if (mqtt_session_received(s, id) == on)
		return;
	if (s->received == NULL)
		s->received = mem_alloc(RECEIVED_BYTES);
	s->received[id / 8] ^= (uint8_t)(1 << id % 8);
	s->n_received += on ? 1 : -1u;
}

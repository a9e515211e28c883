/*
 * net/mqtt/client_out.c - what a client publishes, from mqtt_client_send()
 * until the server has it.
 *
 *              pump                   PUBACK, PUBCOMP, refused
 *    waiting --------> sent ------------------------------------> told
 *       ^               ^ |
 *       | session gone  | | connection lost
 *       +------------ owed<
 *
 * `owed` are messages that were sent, with the id they had: in a session that
 * goes on they are sent again before any other, as PUBREL where PUBREC came. In
 * all lists together messages are in the order in which they were accepted.
 */
#include "net/mqtt/client_private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct outgoing {
	struct list link;
	struct str topic, payload; /* owned */
	struct str props;          /* owned; those that stay as they are */
	int64_t expires_ms;        /* 0: never */
	uint8_t qos;
	bool retain;
	bool released; /* PUBREC has come: from now on it is PUBREL */
	uint16_t id;
	uint8_t reason; /* for `done` */
	mqtt_client_done *done;
	void *ctx;
};

/* --- ids ----------------------------------------------------------------- */

/* Some are always free: windows and subscriptions take fewer than all. */
uint16_t
mqtt_client_new_id(struct mqtt_client *c)
{
	do {
		if (++c->last_id == 0)
			c->last_id = 1;
	} while (c->ids[c->last_id / 64] >> (c->last_id % 64) & 1);
	c->ids[c->last_id / 64] |= (uint64_t)1 << (c->last_id % 64);
	return c->last_id;
}

void
mqtt_client_free_id(struct mqtt_client *c, uint16_t id)
{
	c->ids[id / 64] &= ~((uint64_t)1 << (id % 64));
}

/* --- messages ------------------------------------------------------------ */

static void
outgoing_free(struct outgoing *o)
{
	list_del(&o->link);
	str_free(o->topic);
	str_free(o->payload);
	str_free(o->props);
	free(o);
}

/* Moves it to `told`; it waits no more. */
static void
finish(struct mqtt_client *c, struct outgoing *o, uint8_t reason)
{
	if (o->id != 0)
		mqtt_client_free_id(c, o->id);
	o->id = 0;
	o->reason = reason;
	list_del(&o->link);
	list_add(&c->told, &o->link);
	mqtt_client_wake(c);
}

void
mqtt_client_out_tell(struct mqtt_client *c)
{
	struct outgoing *o;

	while (!c->freed &&
	    (o = list_first(&c->told, struct outgoing, link)) != NULL) {
		mqtt_client_done *done = o->done;
		uint8_t reason = o->reason;
		void *ctx = o->ctx;

		outgoing_free(o);
		if (done != NULL)
			done(ctx, reason);
	}
}

/* The properties of a message as bytes, without their length. */
static struct str
message_props(const struct mqtt_props *props)
{
	const uint64_t kept = 1ull << MQTT_P_PAYLOAD_FORMAT |
	    1ull << MQTT_P_CONTENT_TYPE | 1ull << MQTT_P_RESPONSE_TOPIC |
	    1ull << MQTT_P_CORRELATION;
	struct mqtt_props own = *props;
	struct buf b = { 0 };
	struct str ret;
	size_t len;

	own.has &= kept;
	mqtt_put_props(&b, &own);
	for (len = 0; b.ptr[len] & 0x80; len++)
		continue; /* the length in front */
	len++;
	ret = str_copy((struct str){ b.ptr + len, b.len - len });
	buf_free(&b);
	return ret;
}

/* --- aliases ------------------------------------------------------------- */

/* The first topics of a connection get an alias each, and keep it. Returns it,
 * or 0; `*known`: the server has been told. */
static uint16_t
alias_of(struct mqtt_client *c, struct str topic, bool *known)
{
	uintptr_t n = (uintptr_t)map_get(&c->aliases, topic);

	*known = n != 0;
	if (n == 0 && c->n_aliases < c->server.alias_max && topic.len > 2) {
		c->alias[c->n_aliases] = str_copy(topic);
		n = c->n_aliases + 1;
		(void)map_put(&c->aliases, c->alias[c->n_aliases], (void *)n);
		c->n_aliases++;
	}
	return (uint16_t)n;
}

static void
forget_last_alias(struct mqtt_client *c)
{
	struct str topic = c->alias[--c->n_aliases];

	(void)map_del(&c->aliases, topic);
	str_free(topic);
}

/* --- sending ------------------------------------------------------------- */

/* False: the server takes no packet of this size; nothing was added. */
static bool
put_publish(struct mqtt_client *c, struct outgoing *o, bool dup)
{
	struct mqtt_publish_flags f = { o->qos, dup,
		o->retain && c->server.has_retain, o->id };
	struct mqtt_props props = { .raw = o->props };
	struct str topic = o->topic;
	size_t at = c->out.len;
	bool known = true, ok;

	if (c->level == 5 && o->expires_ms != 0) {
		int64_t left = o->expires_ms - clock_mono();

		props.has |= 1ull << MQTT_P_MESSAGE_EXPIRY;
		props.message_expiry_s =
		    left > 0 ? (uint32_t)((left + 999) / 1000) : 0;
	}
	if (c->server.alias_max > 0)
		props.alias = alias_of(c, topic, &known);
	if (props.alias != 0) {
		props.has |= 1ull << MQTT_P_ALIAS;
		if (known)
			topic.len = 0;
	}
	ok = mqtt_put_publish(&c->out, c->level, f, topic, &props, o->payload);
	if (ok && c->out.len - at <= c->server.max_packet)
		return true;
	c->out.len = at;
	if (props.alias != 0 && !known)
		forget_last_alias(c);
	return false;
}

static void
send_first(struct mqtt_client *c, struct outgoing *o)
{
	if (o->expires_ms != 0 && o->expires_ms <= clock_mono()) {
		c->n_waiting--;
		finish(c, o, MQTT_R_OK);
		return;
	}
	o->qos = MIN_OF(o->qos, c->server.max_qos);
	if (o->qos > 0)
		o->id = mqtt_client_new_id(c);
	if (!put_publish(c, o, false)) {
		c->n_waiting--;
		finish(c, o, MQTT_R_TOO_LARGE);
	} else if (o->qos == 0) {
		c->n_waiting--;
		finish(c, o, MQTT_R_OK);
	} else {
		c->n_inflight++;
		list_del(&o->link);
		list_add(&c->sent, &o->link);
	}
}

static void
send_again(struct mqtt_client *c, struct outgoing *o)
{
	if (o->released) {
		mqtt_put_ack(&c->out, c->level, MQTT_PUBREL, o->id, 0, NULL);
	} else if (!put_publish(c, o, true)) {
		c->n_waiting--;
		finish(c, o, MQTT_R_TOO_LARGE);
		return;
	}
	c->n_inflight++;
	list_del(&o->link);
	list_add(&c->sent, &o->link);
}

bool
mqtt_client_out_pump(struct mqtt_client *c)
{
	uint32_t window = MIN_OF(c->conf.max_inflight, c->server.receive_max);

	if (c->conf.subscribe_first && !mqtt_client_is_subscribed(c))
		return false;
	while (c->n_inflight < window) {
		struct outgoing *again =
		    list_first(&c->owed, struct outgoing, link);
		struct outgoing *first =
		    list_first(&c->waiting, struct outgoing, link);

		if (again == NULL && first == NULL)
			return false;
		if (c->out.len - c->out_sent > CLIENT_OUT_MAX)
			return true;
		if (again != NULL)
			send_again(c, again);
		else
			send_first(c, first);
	}
	return false;
}

/* --- answers ------------------------------------------------------------- */

static void
over(struct mqtt_client *c, struct outgoing *o, uint8_t reason)
{
	c->n_waiting--;
	c->n_inflight--;
	finish(c, o, reason);
}

static void
on_pubrec(struct mqtt_client *c, struct outgoing *o, uint16_t id, uint8_t code)
{
	if (o != NULL && code >= 0x80) {
		over(c, o, code);
		return;
	}
	if (o != NULL)
		o->released = true;
	mqtt_put_ack(&c->out, c->level, MQTT_PUBREL, id,
	    o != NULL ? MQTT_R_OK : MQTT_R_ID_NOT_FOUND, NULL);
	mqtt_client_wake(c);
}

void
mqtt_client_out_answer(struct mqtt_client *c, const struct mqtt_packet *p)
{
	struct outgoing *found = NULL;
	uint8_t qos = p->type == MQTT_PUBACK ? 1 : 2;

	LIST_EACH (o, &c->sent, struct outgoing, link) {
		if (o->id == p->id) {
			found = o;
			break;
		}
	}
	if (found != NULL && found->qos != qos)
		mqtt_client_refuse(
		    c, MQTT_R_PROTOCOL, "acknowledgement of another QoS");
	else if (p->type == MQTT_PUBREC)
		on_pubrec(c, found, p->id, p->code);
	else if (found != NULL && (qos == 1 || found->released))
		over(c, found, p->type == MQTT_PUBACK ? p->code : MQTT_R_OK);
}

/* --- connections --------------------------------------------------------- */

void
mqtt_client_out_lost(struct mqtt_client *c)
{
	struct list both;

	list_init(&both);
	list_join(&both, &c->sent); /* what was sent again is the older */
	list_join(&both, &c->owed);
	list_join(&c->owed, &both);
	c->n_inflight = 0;
	while (c->n_aliases > 0)
		forget_last_alias(c);
}

void
mqtt_client_out_begin(struct mqtt_client *c, bool session_present)
{
	struct list all;

	if (session_present)
		return;
	LIST_EACH (o, &c->owed, struct outgoing, link) {
		mqtt_client_free_id(c, o->id);
		o->id = 0;
		o->released = false;
	}
	list_init(&all);
	list_join(&all, &c->owed);
	list_join(&all, &c->waiting);
	list_join(&c->waiting, &all);
}

/* --- life ---------------------------------------------------------------- */

void
mqtt_client_out_init(struct mqtt_client *c)
{
	list_init(&c->owed);
	list_init(&c->sent);
	list_init(&c->waiting);
	list_init(&c->told);
}

void
mqtt_client_out_fini(struct mqtt_client *c)
{
	struct list *lists[] = { &c->owed, &c->sent, &c->waiting, &c->told };

	for (size_t i = 0; i < COUNT_OF(lists); i++)
		LIST_EACH (o, lists[i], struct outgoing, link)
			outgoing_free(o);
	while (c->n_aliases > 0)
		forget_last_alias(c);
	map_fini(&c->aliases);
}

static struct outgoing *
outgoing_new(const struct mqtt_client_msg *m, mqtt_client_done *done, void *ctx)
{
	const struct mqtt_props *props = m->props;
	struct outgoing *o = mem_new(struct outgoing);

	o->topic = str_copy(m->topic);
	o->payload = str_copy(m->payload.ptr != NULL ? m->payload : STR(""));
	if (props != NULL) {
		o->props = message_props(props);
		if (mqtt_has(props, MQTT_P_MESSAGE_EXPIRY))
			o->expires_ms = clock_mono() +
			    (int64_t)props->message_expiry_s * 1000;
	}
	o->qos = m->qos;
	o->retain = m->retain;
	o->done = done;
	o->ctx = ctx;
	list_init(&o->link);
	return o;
}

int
mqtt_client_send(struct mqtt_client *c, const struct mqtt_client_msg *m,
    mqtt_client_done *done, void *ctx)
{
	struct outgoing *o;

	if (!mqtt_topic_ok(m->topic) || m->qos > 2 ||
	    m->payload.len > MQTT_REMAINING_MAX - m->topic.len - 4)
		return ERR_PARAM;
	if (m->qos == 0 && c->state != ONLINE)
		return ERR_CLOSED;
	if (m->qos == 0 && c->out.len - c->out_sent > CLIENT_OUT_MAX)
		return ERR_LIMIT;
	if (m->qos > 0 && c->n_waiting >= c->conf.max_waiting)
		return ERR_LIMIT;

	o = outgoing_new(m, done, ctx);
	if (m->qos == 0) {
		finish(c, o,
		    put_publish(c, o, false) ? MQTT_R_OK : MQTT_R_TOO_LARGE);
	} else {
		list_add(&c->waiting, &o->link);
		c->n_waiting++;
		mqtt_client_wake(c);
	}
	return 0;
}

int
mqtt_client_publish(struct mqtt_client *c, struct str topic, struct str payload,
    uint8_t qos, bool retain, mqtt_client_done *done, void *ctx)
{
	const struct mqtt_client_msg m = {
		.topic = topic, .payload = payload, .qos = qos, .retain = retain
	};

	return mqtt_client_send(c, &m, done, ctx);
}

uint32_t
mqtt_client_waiting(const struct mqtt_client *c)
{
	return c->n_waiting;
}

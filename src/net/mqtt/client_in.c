/*
 * net/mqtt/client_in.c - what a client subscribes to and hears.
 *
 * Acknowledgements leave in the order in which the messages came [4.6.0-2]:
 * `incoming` is that order, and the first in it that is held holds all behind.
 * With a kept session its entries outlive the connection (`stale`), so that
 * what the server sends again is recognised by its id and content, and neither
 * told twice nor acknowledged before its owner has said so.
 */
#include "net/mqtt/client_private.h"

#include "base/base.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SUBS_MAX 20000 /* ids are 16 bits, and messages need some, too */
#define NUMBER_MAX MQTT_REMAINING_MAX

struct subscription {
	struct list link;
	struct str filter; /* owned */
	struct str inner;  /* without $share/GROUP/, within filter */
	struct mqtt_filter options;
	uint32_t number; /* its subscription identifier */
	uint16_t id;     /* of the packet that awaits its answer, or 0 */
	bool known;      /* the session of the server has it */
	bool dead;       /* unsubscribed; it stays while it is told or known */
	mqtt_client_heard *heard;
	void *ctx;
};

/* --- subscriptions ------------------------------------------------------- */

static void
subscription_free(struct mqtt_client *c, struct subscription *s)
{
	if (s->id != 0)
		mqtt_client_free_id(c, s->id);
	list_del(&s->link);
	str_free(s->filter);
	free(s);
	c->n_subs--;
}

static void
send_subscribe(struct mqtt_client *c, struct subscription *s)
{
	struct mqtt_props props = { .sub_id = s->number };

	if (c->server.has_sub_ids)
		props.has = 1ull << MQTT_P_SUB_ID;
	if (s->id != 0)
		mqtt_client_free_id(c, s->id);
	s->id = mqtt_client_new_id(c);
	s->options.filter = s->filter;
	mqtt_put_subscribe(
	    &c->out, c->level, MQTT_SUBSCRIBE, s->id, &s->options, 1, &props);
	mqtt_client_wake(c);
}

static void
send_unsubscribe(struct mqtt_client *c, struct subscription *s)
{
	if (s->id != 0)
		mqtt_client_free_id(c, s->id);
	s->id = mqtt_client_new_id(c);
	s->options.filter = s->filter;
	mqtt_put_subscribe(
	    &c->out, c->level, MQTT_UNSUBSCRIBE, s->id, &s->options, 1, NULL);
	mqtt_client_wake(c);
}

/* Callbacks may subscribe and unsubscribe: entries are only marked while the
 * list is walked. */
static void
end_telling(struct mqtt_client *c)
{
	if (--c->telling > 0)
		return;
	LIST_EACH (s, &c->subs, struct subscription, link) {
		if (s->dead && (c->freed || (!s->known && s->id == 0)))
			subscription_free(c, s);
	}
}

static struct subscription *
subscription_of(struct mqtt_client *c, struct str filter)
{
	LIST_EACH (s, &c->subs, struct subscription, link) {
		if (!s->dead && str_eq(s->filter, filter))
			return s;
	}
	return NULL;
}

int
mqtt_client_subscribe_with(struct mqtt_client *c, const struct mqtt_filter *f,
    mqtt_client_heard *heard, void *ctx)
{
	struct subscription *s;
	struct str group, inner;
	int rc;

	if (!mqtt_filter_ok(f->filter) || f->qos > 2 || f->retain_handling > 2)
		return ERR_PARAM;
	rc = mqtt_share_split(f->filter, &group, &inner);
	if (rc == ERR_PARAM || (rc == 0 && f->no_local))
		return ERR_PARAM;
	s = subscription_of(c, f->filter);
	if (s == NULL) {
		if (c->n_subs == SUBS_MAX)
			return ERR_LIMIT;
		s = mem_new(struct subscription);
		s->number = c->last_number = c->last_number % NUMBER_MAX + 1;
		c->n_subs++;
		s->filter = str_copy(f->filter);
		s->inner = s->filter;
		if (rc == 0) {
			s->inner.ptr += inner.ptr - f->filter.ptr;
			s->inner.len = inner.len;
		}
		list_add(&c->subs, &s->link);
	}
	s->options = *f;
	s->heard = heard;
	s->ctx = ctx;
	s->known = false;
	if (c->state == ONLINE)
		send_subscribe(c, s);
	return 0;
}

int
mqtt_client_subscribe(struct mqtt_client *c, struct str filter, uint8_t qos,
    mqtt_client_heard *heard, void *ctx)
{
	const struct mqtt_filter f = { .filter = filter, .qos = qos };

	return mqtt_client_subscribe_with(c, &f, heard, ctx);
}

void
mqtt_client_unsubscribe(struct mqtt_client *c, struct str filter)
{
	struct subscription *s = subscription_of(c, filter);

	if (s == NULL)
		return;
	s->dead = true;
	if (c->state == ONLINE)
		send_unsubscribe(c, s);
	c->telling++;
	end_telling(c);
}

void
mqtt_client_in_suback(struct mqtt_client *c, const struct mqtt_packet *p)
{
	uint8_t code = p->codes.len > 0 ? (uint8_t)p->codes.ptr[0] : 0;

	c->telling++;
	LIST_EACH (s, &c->subs, struct subscription, link) {
		const struct mqtt_client_msg m = { .reason = code };

		if (s->id != p->id)
			continue;
		mqtt_client_free_id(c, s->id);
		s->id = 0;
		s->known = p->type == MQTT_SUBACK && code < 0x80;
		if (code >= 0x80 && !s->dead && s->heard != NULL)
			s->heard(s->ctx, &m);
	}
	end_telling(c);
	if (!mqtt_client_is_subscribed(c))
		return;
	if (c->conf.subscribe_first)
		mqtt_client_wake(c);
	if (c->events != NULL && c->events->subscribed != NULL)
		c->events->subscribed(c->owner);
}

bool
mqtt_client_is_subscribed(const struct mqtt_client *c)
{
	if (c->freed || c->state != ONLINE)
		return false;
	LIST_EACH (s, &c->subs, struct subscription, link)
		if (!s->dead && s->id != 0)
			return false;
	return true;
}

/* --- acknowledging ------------------------------------------------------- */

static void
incoming_free(struct mqtt_client *c, struct incoming *in)
{
	list_del(&in->link);
	c->n_incoming--;
	free(in);
}

static void
send_ack(struct mqtt_client *c, uint8_t qos, uint16_t id, uint8_t reason)
{
	struct incoming *in;

	mqtt_put_ack(&c->out, c->level, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
	    id, reason, NULL);
	mqtt_client_wake(c);
	if (qos == 1 || (c->level == 5 && reason >= 0x80))
		return;
	in = mem_new(struct incoming);
	in->id = id;
	list_add(&c->unreleased, &in->link);
	c->n_unreleased++;
}

/* What may be acknowledged now. */
static void
send_acks(struct mqtt_client *c)
{
	if (c->state != ONLINE)
		return;
	LIST_EACH (in, &c->incoming, struct incoming, link) {
		if (in->stale)
			continue; /* it has to come again first */
		if (in->holds > 0)
			return;
		send_ack(c, in->qos, in->id, in->reason);
		incoming_free(c, in);
	}
}

uint64_t
mqtt_client_hold(struct mqtt_client *c)
{
	if (c->now.token == 0)
		return 0;
	c->now.holds++;
	return c->now.token;
}

static void
unhold(struct incoming *in, uint8_t reason)
{
	if (in->holds > 0)
		in->holds--;
	in->reason = MAX_OF(in->reason, reason);
}

void
mqtt_client_ack(struct mqtt_client *c, uint64_t token, uint8_t reason)
{
	if (token == 0)
		return;
	if (token == c->now.token) {
		unhold(&c->now, reason);
		return;
	}
	LIST_EACH (in, &c->incoming, struct incoming, link) {
		if (in->token != token)
			continue;
		unhold(in, reason);
		send_acks(c);
		return;
	}
}

/* --- hearing ------------------------------------------------------------- */

static bool
has_number(struct str raw, uint32_t number)
{
	uint32_t id;

	while (mqtt_next_sub_id(&raw, &id)) {
		if (id == number)
			return true;
	}
	return false;
}

/* Tells those subscriptions that match and, if `by_number`, that the server
 * says it is for. False: there was none. */
static bool
tell(struct mqtt_client *c, const struct mqtt_packet *p, bool by_number)
{
	const struct mqtt_client_msg m = {
		.topic = p->topic,
		.payload = p->payload,
		.qos = p->qos,
		.retain = p->retain,
		.props = &p->props,
	};
	bool any = false;

	c->telling++;
	LIST_EACH (s, &c->subs, struct subscription, link) {
		if (c->freed || s->dead || s->heard == NULL ||
		    !mqtt_filter_matches(s->inner, p->topic) ||
		    (by_number && !has_number(p->props.raw, s->number)))
			continue;
		s->heard(s->ctx, &m);
		any = true;
	}
	end_telling(c);
	return any;
}

static void
deliver(struct mqtt_client *c, const struct mqtt_packet *p)
{
	/* A kept session may have numbers of an earlier life. */
	if (!mqtt_has(&p->props, MQTT_P_SUB_ID) || !tell(c, p, true)) {
		if (!c->freed)
			(void)tell(c, p, false);
	}
}

static uint64_t
hash_of(const struct mqtt_packet *p)
{
	return map_hash(p->topic) * 31 + map_hash(p->payload);
}

/* Sent again by the server in a session that goes on? It is answered then, or
 * will be by who holds it. */
static bool
is_known(struct mqtt_client *c, const struct mqtt_packet *p)
{
	LIST_EACH (in, &c->unreleased, struct incoming, link) {
		if (p->qos != 2 || in->id != p->id)
			continue;
		mqtt_put_ack(&c->out, c->level, MQTT_PUBREC, p->id, 0, NULL);
		mqtt_client_wake(c);
		return true;
	}
	LIST_EACH (in, &c->incoming, struct incoming, link) {
		if (!in->stale || in->id != p->id)
			continue;
		if (!p->dup || in->qos != p->qos || in->hash != hash_of(p)) {
			incoming_free(c, in); /* the id is used anew */
			return false;
		}
		in->stale = false;
		list_del(&in->link);
		list_add(&c->incoming, &in->link);
		send_acks(c);
		return true;
	}
	return false;
}

static void
keep_unacknowledged(struct mqtt_client *c, const struct mqtt_packet *p,
    const struct incoming *now, bool stale)
{
	struct incoming *in = mem_new(struct incoming);

	*in = *now;
	in->hash = hash_of(p);
	in->stale = stale;
	list_add(&c->incoming, &in->link);
	c->n_incoming++;
}

void
mqtt_client_in_publish(struct mqtt_client *c, const struct mqtt_packet *p)
{
	unsigned epoch = c->epoch;
	struct incoming now;

	if (p->qos == 0) {
		deliver(c, p);
		return;
	}
	if (is_known(c, p))
		return;
	if (c->n_incoming + c->n_unreleased >= c->conf.max_received &&
	    c->level == 5 && !c->conf.lenient) {
		mqtt_client_refuse(c, MQTT_R_RECEIVE_MAX,
		    "the server has sent more than we can receive");
		return;
	}

	c->now = (struct incoming){
		.token = ++c->last_token, .id = p->id, .qos = p->qos
	};
	deliver(c, p);
	now = c->now;
	c->now.token = 0;
	if (c->freed)
		return;
	if (c->epoch != epoch || c->state != ONLINE) {
		if (c->conf.keep_session)
			keep_unacknowledged(c, p, &now, true);
	} else if (now.holds == 0 && list_empty(&c->incoming)) {
		send_ack(c, now.qos, now.id, now.reason);
	} else {
		keep_unacknowledged(c, p, &now, false);
		send_acks(c);
	}
}

void
mqtt_client_in_pubrel(struct mqtt_client *c, uint16_t id)
{
	uint8_t code = MQTT_R_ID_NOT_FOUND;

	LIST_EACH (in, &c->unreleased, struct incoming, link) {
		if (in->id != id)
			continue;
		list_del(&in->link);
		free(in);
		c->n_unreleased--;
		code = MQTT_R_OK;
		break;
	}
	mqtt_put_ack(&c->out, c->level, MQTT_PUBCOMP, id, code, NULL);
	mqtt_client_wake(c);
}

/* --- connections, life --------------------------------------------------- */

static void
forget_received(struct mqtt_client *c)
{
	LIST_EACH (in, &c->incoming, struct incoming, link)
		incoming_free(c, in);
	LIST_EACH (in, &c->unreleased, struct incoming, link) {
		list_del(&in->link);
		free(in);
		c->n_unreleased--;
	}
}

void
mqtt_client_in_lost(struct mqtt_client *c)
{
	if (!c->conf.keep_session)
		forget_received(c);
	LIST_EACH (in, &c->incoming, struct incoming, link)
		in->stale = true;
	LIST_EACH (s, &c->subs, struct subscription, link) {
		if (s->id != 0)
			mqtt_client_free_id(c, s->id);
		s->id = 0;
	}
}

void
mqtt_client_in_begin(struct mqtt_client *c, bool session_present)
{
	if (!session_present)
		forget_received(c);
	c->telling++;
	LIST_EACH (s, &c->subs, struct subscription, link) {
		s->known &= session_present;
		if (s->dead && s->known)
			send_unsubscribe(c, s);
		else if (!s->dead && !s->known)
			send_subscribe(c, s);
	}
	end_telling(c);
}

void
mqtt_client_in_init(struct mqtt_client *c)
{
	list_init(&c->subs);
	list_init(&c->incoming);
	list_init(&c->unreleased);
}

void
mqtt_client_in_fini(struct mqtt_client *c)
{
	forget_received(c);
	LIST_EACH (s, &c->subs, struct subscription, link)
		s->dead = true;
	c->telling++;
	end_telling(c);
}

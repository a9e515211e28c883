/*
 * net/mqtt/serve.c - what each packet of a client does. Numbers like [4.6.0-2]
 * are rules of MQTT 3.1.1, [5:3.3.4-1] of MQTT 5.0.
 *
 * Answers to PUBLISH go out in the order in which the PUBLISHes came [4.6.0-2].
 * One that can not be answered yet, because a consumer has not reported, or
 * because an earlier one waits, becomes an `arrival`; the head of the list is
 * always one whose verdict is awaited. What waits for the disk only is written
 * to the connection behind a gate.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

/* --- answers to PUBLISH -------------------------------------------------- */

static void
send_answer(struct conn *c, uint8_t qos, uint16_t id, uint8_t code)
{
	if (qos == 0)
		return;
	mqtt_conn_gate_now(c);
	mqtt_conn_send_ack(c, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, id, code);
}

static struct arrival *
arrival_new(struct conn *c, const struct mqtt_packet *p, struct mqtt_msg *m,
    uint8_t code)
{
	struct arrival *a = mem_new(struct arrival);

	a->conn = c;
	a->msg = m;
	a->qos = p->qos;
	a->id = p->qos > 0 ? p->id : 0;
	a->code = code;
	if (m != NULL)
		m->arrival = a;
	list_add(&c->arrivals, &a->link);
	c->n_arrivals++;
	return a;
}

/* Now, or after those before it. */
static void
answer(struct conn *c, const struct mqtt_packet *p, uint8_t code)
{
	if (p->qos == 0)
		return;
	if (c->n_arrivals > 0)
		(void)arrival_new(c, p, NULL, code);
	else
		send_answer(c, p->qos, p->id, code);
}

/* Answers all that wait for nothing any more. */
static void
answer_ready(struct conn *c)
{
	bool full = c->n_arrivals >= c->server->conf.publish_max;

	LIST_EACH (a, &c->arrivals, struct arrival, link) {
		if (a->msg != NULL)
			break;
		send_answer(c, a->qos, a->id, a->code);
		list_del(&a->link);
		c->n_arrivals--;
		free(a);
	}
	if (c->stalled || full) /* it can be read again */
		mqtt_conn_wake(c);
}

/* The sender shall repeat it: no answer, and the connection ends. */
static void
not_taken(struct conn *c, uint8_t qos, uint16_t id)
{
	if (qos == 0)
		return;
	if (qos == 2)
		mqtt_session_set_received(c->session, id, false);
	mqtt_conn_end(c, MQTT_R_UNSPECIFIED, "the message could not be kept");
}

void
mqtt_verdict(struct mqtt_msg *m)
{
	struct arrival *a = m->arrival;

	m->arrival = NULL;
	if (a == NULL) {
		if (m->from_queue)
			mqtt_queue_settle(m->server, m);
		return;
	}
	a->msg = NULL;
	if (a->qos == 2 && !m->failed)
		mqtt_keep_received(
		    a->conn != NULL ? a->conn->session : a->session, a->id,
		    true);
	if (a->conn == NULL) {
		if (m->failed)
			mqtt_session_set_received(a->session, a->id, false);
		list_del(&a->link);
		free(a);
		return;
	}
	if (m->failed)
		not_taken(a->conn, a->qos, a->id);
	if (!a->conn->doomed)
		answer_ready(a->conn);
}

void
mqtt_arrivals_abandon(struct conn *c, struct session *keep)
{
	LIST_EACH (a, &c->arrivals, struct arrival, link) {
		list_del(&a->link);
		c->n_arrivals--;
		if (a->msg != NULL && a->qos == 2 && keep != NULL) {
			a->conn = NULL;
			a->session = keep;
			list_add(&keep->orphans, &a->link);
			continue;
		}
		if (a->msg != NULL)
			a->msg->arrival = NULL;
		free(a);
	}
}

/* A QoS 2 PUBLISH whose id we have already received. */
static void
repeated(struct conn *c, const struct mqtt_packet *p)
{
	LIST_EACH (a, &c->arrivals, struct arrival, link) {
		if (a->qos == 2 && a->id == p->id)
			return; /* its answer is on the way */
	}
	LIST_EACH (o, &c->session->orphans, struct arrival, link) {
		if (o->id != p->id)
			continue;
		list_del(&o->link); /* the new connection waits for it now */
		o->session = NULL;
		o->conn = c;
		list_add(&c->arrivals, &o->link);
		c->n_arrivals++;
		return;
	}
	answer(c, p, 0);
}

/* --- PUBLISH ------------------------------------------------------------- */

/* Puts the topic that an alias stands for into `p`, or learns it. */
static uint8_t
resolve_alias(struct conn *c, struct mqtt_packet *p)
{
	uint16_t max = (uint16_t)MIN_OF(c->server->conf.max_aliases, 65535u);
	uint16_t alias = p->props.alias;
	struct aliases *a = c->aliases;

	if (alias == 0 || alias > max)
		return MQTT_R_BAD_ALIAS; /* [5:3.3.2-8] [5:3.3.2-9] */
	if (a == NULL)
		a = c->aliases = mem_new(struct aliases);
	if (p->topic.len > 0) {
		if (alias > a->n_in) {
			a->in = mem_resize(a->in, alias, sizeof(*a->in));
			while (a->n_in < alias)
				a->in[a->n_in++] = STR_NULL;
		}
		str_free(a->in[alias - 1]);
		a->in[alias - 1] = str_copy(p->topic);
		return 0;
	}
	if (alias > a->n_in || a->in[alias - 1].ptr == NULL)
		return MQTT_R_PROTOCOL;
	p->topic = a->in[alias - 1];
	return 0;
}

/* Counts it against the client's rate. */
static void
count_message(struct conn *c)
{
	uint32_t rate = c->server->conf.max_rate;
	int64_t now;

	if (rate == 0 || c->listener->conf.inside != NULL)
		return;
	now = clock_mono();
	if (now - c->tokens_ms >= 1000) {
		c->tokens_ms = now;
		c->tokens = rate;
	}
	if (c->tokens > 0)
		c->tokens--;
	if (c->tokens > 0 || c->limited)
		return;
	COUNT(rate_limited);
	c->limited = true;
	loop_after(c->lane->loop, &c->timer, c->tokens_ms + 1000 - now);
}

/* More unanswered than we said we take [5:3.3.4-7]. */
static bool
over_receive_max(const struct conn *c)
{
	uint32_t n = c->n_arrivals;

	if (c->session->received != NULL)
		n = MAX_OF(n, c->session->received->n);
	return c->level == 5 && n >= c->server->conf.publish_max;
}

/* Its publisher should not be read until `slow` has caught up. */
static void
wait_for(struct conn *c, struct session *slow)
{
	if (c->state != UP || !list_empty(&c->held) || slow->conn == c)
		return;
	COUNT(slowed);
	list_add(&slow->slowed, &c->held);
}

static uint8_t
code_of(const struct conn *c, const struct routed *r)
{
	if (c->level < 5)
		return 0;
	return r->matches == 0 ? MQTT_R_NO_MATCH : 0;
}

static void
route(struct conn *c, const struct mqtt_packet *p)
{
	const struct incoming in = {
		.topic = p->topic,
		.payload = p->payload,
		.props = p->props.has != 0 ? p->props.raw : STR_NULL,
		.expires = mqtt_has(&p->props, MQTT_P_MESSAGE_EXPIRY),
		.expiry_s = p->props.message_expiry_s,
		.qos = p->qos,
		.retain = p->retain,
	};
	struct session *session = c->session;
	struct routed r;

	mqtt_route(c->server, session, session->account, &in,
	    (enum mqtt_durability)c->listener->conf.durability,
	    p->qos == 2 ? p->id : 0, &r);
	if (c->state != UP || c->doomed)
		;
	else if (r.unkept)
		not_taken(c, p->qos, p->id);
	else if (r.waiting != NULL)
		(void)arrival_new(c, p, r.waiting, code_of(c, &r));
	else
		answer(c, p, code_of(c, &r));
	if (r.slow != NULL)
		wait_for(c, r.slow);
	mqtt_msg_release(r.waiting); /* its consumers hold it */
}

/* What a PUBLISH must not be. */
static uint8_t
publish_refused(struct conn *c, struct mqtt_packet *p)
{
	if (c->level < 5)
		return 0;
	if (mqtt_has(&p->props, MQTT_P_SUB_ID))
		return MQTT_R_PROTOCOL; /* [5:3.3.4-6] */
	if (p->retain && c->server->conf.max_retained == 0)
		return MQTT_R_NO_RETAIN;
	if (mqtt_has(&p->props, MQTT_P_ALIAS))
		return resolve_alias(c, p);
	return p->topic.len == 0 ? MQTT_R_PROTOCOL : 0;
}

static int
on_publish(struct conn *c, struct mqtt_packet *p, uint8_t *reason)
{
	struct session *session = c->session;

	TALLY(c->server, publish_in, 1);
	*reason = publish_refused(c, p);
	if (*reason != 0)
		return ERR_PROTO;
	count_message(c);
	if (p->qos == 2 && mqtt_session_received(session, p->id)) {
		repeated(c, p);
		return 0;
	}
	if (p->qos > 0 && over_receive_max(c)) {
		*reason = MQTT_R_RECEIVE_MAX;
		return ERR_PROTO;
	}
	if (!mqtt_may_publish(c->server, session->account, p->topic)) {
		COUNT(publish_denied);
		if (p->qos == 2 && c->level < 5)
			mqtt_session_set_received(session, p->id, true);
		answer(c, p, c->level == 5 ? MQTT_R_NOT_AUTHORIZED : 0);
		return 0;
	}
	if (p->qos == 2)
		mqtt_session_set_received(session, p->id, true);
	route(c, p);
	return 0;
}

/* --- acknowledgements ---------------------------------------------------- */

static void
on_pubrec(struct conn *c, const struct mqtt_packet *p)
{
	bool known = mqtt_session_pubrec(c->session, p->id, p->code);

	if (p->code >= 0x80)
		return; /* it is over [5:4.3.3] */
	mqtt_conn_gate_now(
	    c); /* after a crash we must not send it again as new */
	mqtt_conn_send_ack(c, MQTT_PUBREL, p->id,
	    known || c->level < 5 ? 0 : MQTT_R_ID_NOT_FOUND);
}

static void
on_pubrel(struct conn *c, const struct mqtt_packet *p)
{
	bool known = mqtt_session_received(c->session, p->id);

	mqtt_session_set_received(c->session, p->id, false);
	mqtt_conn_gate_now(c); /* after a crash its id must be free */
	mqtt_conn_send_ack(c, MQTT_PUBCOMP, p->id,
	    known || c->level < 5 ? 0 : MQTT_R_ID_NOT_FOUND);
}

/* --- subscriptions ------------------------------------------------------- */

/* 3.1.1 has one code for every refusal. */
static uint8_t
suback_code(const struct conn *c, uint8_t reason)
{
	return c->level < 5 && reason >= 0x80 ? MQTT_SUB_FAILED : reason;
}

static void
send_suback(struct conn *c, const struct mqtt_packet *p, enum mqtt_type type,
    const uint8_t *codes)
{
	struct buf *out;
	size_t was;

	mqtt_conn_gate_now(c);
	out = mqtt_conn_begin(c);
	was = out->len;
	mqtt_put_suback(out, c->level, type, p->id, codes, p->n_filters, NULL);
	mqtt_conn_added_answer(c, was);
}

static int
on_subscribe(struct conn *c, const struct mqtt_packet *p)
{
	uint32_t id = mqtt_has(&p->props, MQTT_P_SUB_ID) ? p->props.sub_id : 0;
	uint8_t *codes = mem_try((size_t)p->n_filters * 2);
	struct str rest = p->filters;
	struct mqtt_filter f;
	size_t i = 0;

	if (codes == NULL)
		return ERR_LIMIT;
	while (mqtt_next_filter(&rest, MQTT_SUBSCRIBE, &f)) {
		bool fresh = false;

		if (c->bridge)
			f.no_local = f.retain_as_published = true;
		codes[i] =
		    suback_code(c, mqtt_subscribe(c->session, &f, id, &fresh));
		codes[p->n_filters + i] =
		    f.retain_handling == 0 || (f.retain_handling == 1 && fresh);
		i++;
	}
	send_suback(c, p, MQTT_SUBACK, codes);
	rest = p->filters;
	for (i = 0; mqtt_next_filter(&rest, MQTT_SUBSCRIBE, &f); i++) {
		if (codes[i] < 0x80)
			mqtt_subscribe_start(
			    c->session, f.filter, codes[p->n_filters + i]);
	}
	free(codes);
	return 0;
}

static int
on_unsubscribe(struct conn *c, const struct mqtt_packet *p)
{
	uint8_t *codes = mem_try(p->n_filters);
	struct str rest = p->filters;
	struct mqtt_filter f;
	size_t i = 0;

	if (codes == NULL)
		return ERR_LIMIT;
	while (mqtt_next_filter(&rest, MQTT_UNSUBSCRIBE, &f))
		codes[i++] = mqtt_unsubscribe(c->session, f.filter)
		    ? 0
		    : MQTT_R_NO_SUBSCRIPTION;
	send_suback(c, p, MQTT_UNSUBACK, codes);
	free(codes);
	return 0;
}

/* --- the rest ------------------------------------------------------------ */

static int
on_disconnect(struct conn *c, const struct mqtt_packet *p, uint8_t *reason)
{
	struct session *s = c->session;

	if (mqtt_has(&p->props, MQTT_P_SESSION_EXPIRY)) {
		uint32_t wanted = p->props.session_expiry_s;

		if (s->expiry_s == 0 && wanted != 0) {
			*reason = MQTT_R_PROTOCOL; /* [5:3.1.2.11.2] */
			return ERR_PROTO;
		}
		s->expiry_s = mqtt_expiry_allowed(c->server, wanted);
	}
	c->graceful = p->code != MQTT_R_WITH_WILL && p->code < 0x80;
	mqtt_conn_close(c);
	return 0;
}

static void
on_pingreq(struct conn *c)
{
	struct buf *out = mqtt_conn_begin(c);
	size_t was = out->len;

	mqtt_put_empty(out, MQTT_PINGRESP);
	mqtt_conn_added(c, was);
}

int
mqtt_serve(struct conn *c, struct mqtt_packet *p, uint8_t *reason)
{
	struct session *s = c->session;

	*reason = MQTT_R_PROTOCOL;
	if (c->state == AWAIT_CONNECT) {
		if (p->type != MQTT_CONNECT)
			return ERR_PROTO; /* [3.1.0-1] */
		return mqtt_login_begin(c, p);
	}
	switch (p->type) {
	case MQTT_PUBLISH:
		return on_publish(c, p, reason);
	case MQTT_PUBACK:
		(void)mqtt_session_puback(s, p->id);
		return 0;
	case MQTT_PUBREC:
		on_pubrec(c, p);
		return 0;
	case MQTT_PUBREL:
		on_pubrel(c, p);
		return 0;
	case MQTT_PUBCOMP:
		(void)mqtt_session_pubcomp(s, p->id);
		return 0;
	case MQTT_SUBSCRIBE:
		return on_subscribe(c, p);
	case MQTT_UNSUBSCRIBE:
		return on_unsubscribe(c, p);
	case MQTT_PINGREQ:
		on_pingreq(c);
		return 0;
	case MQTT_DISCONNECT:
		return on_disconnect(c, p, reason);
	case MQTT_AUTH:    /* we offer no method [5:4.12.0-1] */
	case MQTT_CONNECT: /* [3.1.0-2] */
	case MQTT_CONNACK:
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
	case MQTT_PINGRESP:
		break;
	}
	return ERR_PROTO;
}

/*
 * net/mqtt/serve.c - what each packet of a client does.
 *
 * Answers to PUBLISH go out in the order in which the PUBLISHes came [4.6.0-2].
 * One that can not be answered yet, because a consumer has not reported, or
 * because an earlier one waits, becomes an `arrival`; the head of the list is
 * always one whose verdict is awaited.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

/* --- answers to PUBLISH -------------------------------------------------- */

static void
send_answer(struct conn *c, uint8_t qos, uint16_t id)
{
	if (qos > 0)
		mqtt_conn_send_ack(c, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, id);
}

static struct arrival *
arrival_new(struct conn *c, const struct mqtt_packet *p, struct mqtt_msg *m)
{
	struct arrival *a = mem_new(struct arrival);

	a->conn = c;
	a->msg = m;
	a->qos = p->qos;
	a->id = p->qos > 0 ? p->id : 0;
	if (m != NULL)
		m->arrival = a;
	list_add(&c->arrivals, &a->link);
	c->n_arrivals++;
	return a;
}

/* Now, or after those before it. */
static void
answer(struct conn *c, const struct mqtt_packet *p)
{
	if (p->qos == 0)
		return;
	if (c->n_arrivals > 0)
		(void)arrival_new(c, p, NULL);
	else
		send_answer(c, p->qos, p->id);
}

/* Answers all that wait for nothing any more. */
static void
answer_ready(struct conn *c)
{
	LIST_EACH (a, &c->arrivals, struct arrival, link) {
		if (a->msg != NULL)
			break;
		send_answer(c, a->qos, a->id);
		list_del(&a->link);
		c->n_arrivals--;
		free(a);
	}
	if (c->stalled)
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
	mqtt_conn_doom(c);
}

void
mqtt_verdict(struct mqtt_msg *m)
{
	struct arrival *a = m->arrival;

	m->arrival = NULL;
	if (a == NULL) {
		if (m->failed && m->from_queue)
			mqtt_queue_return(m->server, m);
		return;
	}
	a->msg = NULL;
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
	answer(c, p);
}

static void
on_publish(struct conn *c, const struct mqtt_packet *p)
{
	struct mqtt_publish_flags f = { .qos = p->qos, .retain = p->retain };
	struct mqtt_server *s = c->server;
	struct session *session = c->session;
	struct routed r = { 0 };

	COUNT(publish_in);
	if (p->qos == 2) {
		if (mqtt_session_received(session, p->id)) {
			repeated(c, p);
			return;
		}
		mqtt_session_set_received(session, p->id, true);
	}
	if (mqtt_may_publish(s, session->account, p->topic)) {
		if (c->state == UP)
			mqtt_route(s, session->account, p->topic, p->payload, f,
			    true, &r);
	} else {
		COUNT(publish_denied);
	}

	if (c->state != UP) /* closed by somebody we called */
		;
	else if (r.failed)
		not_taken(c, p->qos, p->id);
	else if (r.waiting != NULL)
		(void)arrival_new(c, p, r.waiting);
	else if (!c->doomed)
		answer(c, p);
	mqtt_msg_unref(r.waiting); /* its consumers hold it */
}

/* --- subscriptions ------------------------------------------------------- */

static int
on_subscribe(struct conn *c, const struct mqtt_packet *p)
{
	uint8_t *codes = mem_try(p->n_filters), qos;
	struct str rest = p->filters, filter;
	size_t i = 0;

	if (codes == NULL)
		return ERR_LIMIT;
	while (c->state == UP && mqtt_next_filter(&rest, &filter, &qos))
		codes[i++] = mqtt_subscribe(c->session, filter, qos);
	if (c->state == UP) {
		mqtt_conn_send_suback(c, p->id, codes, i);
		rest = p->filters;
		for (i = 0; mqtt_next_filter(&rest, &filter, &qos); i++) {
			if (codes[i] != MQTT_SUB_FAILED)
				mqtt_subscribe_start(c->session, filter);
		}
	}
	free(codes);
	return 0;
}

static void
on_unsubscribe(struct conn *c, const struct mqtt_packet *p)
{
	struct str rest = p->filters, filter;

	while (mqtt_next_filter(&rest, &filter, NULL))
		mqtt_unsubscribe(c->session, filter);
	mqtt_conn_send_ack(c, MQTT_UNSUBACK, p->id);
}

static void
on_disconnect(struct conn *c)
{
	c->graceful = true;
	mqtt_conn_close(c);
}

int
mqtt_serve(struct conn *c, const struct mqtt_packet *p)
{
	struct session *s = c->session;

	if (c->state == AWAIT_CONNECT) {
		if (p->type != MQTT_CONNECT)
			return ERR_PROTO; /* [3.1.0-1] */
		return mqtt_login_begin(c, &p->connect);
	}
	switch (p->type) {
	case MQTT_PUBLISH:
		on_publish(c, p);
		return 0;
	case MQTT_PUBACK:
		mqtt_session_puback(s, p->id);
		return 0;
	case MQTT_PUBREC:
		if (mqtt_session_pubrec(s, p->id))
			mqtt_conn_send_ack(c, MQTT_PUBREL, p->id);
		return 0;
	case MQTT_PUBREL:
		mqtt_session_set_received(s, p->id, false);
		mqtt_conn_send_ack(c, MQTT_PUBCOMP, p->id);
		return 0;
	case MQTT_PUBCOMP:
		mqtt_session_pubcomp(s, p->id);
		return 0;
	case MQTT_SUBSCRIBE:
		return on_subscribe(c, p);
	case MQTT_UNSUBSCRIBE:
		on_unsubscribe(c, p);
		return 0;
	case MQTT_PINGREQ:
		mqtt_conn_send_pingresp(c);
		return 0;
	case MQTT_DISCONNECT:
		on_disconnect(c);
		return 0;
	case MQTT_CONNECT: /* [3.1.0-2] */
	case MQTT_CONNACK:
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
	case MQTT_PINGRESP:
		break;
	}
	return ERR_PROTO;
}

/*
 * net/mqtt/msg.c - one message, shared by all who get it.
 *
 * Topic, properties and payload lie behind each other nearly as they go over
 * the wire, so that a copy is two or three memcpy() behind the fixed header.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

char *
mqtt_msg_put_topic(struct mqtt_msg *m, struct str topic)
{
	char *p = m->wire;

	*p++ = (char)(topic.len >> 8);
	*p++ = (char)topic.len;
	return mempcpy(p, topic.ptr, topic.len);
}

struct mqtt_msg *
mqtt_msg_new(
    struct mqtt_server *s, struct account *account, const struct incoming *in)
{
	struct str props = in->props;
	struct mqtt_msg *m;
	char *p;

	if (props.len > 0 && !in->props_are_kept) {
		buf_clear(&s->scratch);
		mqtt_kept_props(props, &s->scratch);
		props = buf_str(&s->scratch);
	}
	m = mem_try(
	    sizeof(*m) + 2 + in->topic.len + props.len + in->payload.len);
	if (m == NULL)
		return NULL;
	*m = (struct mqtt_msg){
		.refs = 1,
		.payload_len = (uint32_t)in->payload.len,
		.props_len = (uint32_t)props.len,
		.topic_len = (uint16_t)in->topic.len,
		.qos = in->qos,
		.retain = in->retain,
		.at_ms = s->now_ms,
		.seq = ++s->seq,
		.server = s,
		.account = mqtt_account_ref(account),
	};
	list_init(&m->kept.in_segment);
	s->n_msgs++;
	if (in->expires)
		m->expires_ms = m->at_ms + (int64_t)in->expiry_s * 1000;
	p = mqtt_msg_put_topic(m, in->topic);
	if (props.len > 0)
		p = mempcpy(p, props.ptr, props.len);
	if (in->payload.len > 0)
		memcpy(p, in->payload.ptr, in->payload.len);
	return m;
}

void
mqtt_msg_release(struct mqtt_msg *m)
{
	if (m == NULL || --m->refs > 0)
		return;
	if (m->kept.seq != 0) /* only on disk from now on */
		mqtt_keep_dead(&m->server->keep, m);
	m->server->n_msgs--;
	mqtt_account_unref(m->account);
	free(m);
}

struct str
mqtt_msg_topic(const struct mqtt_msg *m)
{
	return (struct str){ m->wire + 2, m->topic_len };
}

struct str
mqtt_msg_props(const struct mqtt_msg *m)
{
	return (struct str){ m->wire + 2 + m->topic_len, m->props_len };
}

struct str
mqtt_msg_payload(const struct mqtt_msg *m)
{
	return (struct str){ m->wire + 2 + m->topic_len + m->props_len,
		m->payload_len };
}

uint8_t
mqtt_msg_qos(const struct mqtt_msg *m)
{
	return m->qos;
}

bool
mqtt_msg_retain(const struct mqtt_msg *m)
{
	return m->retain;
}

void *
mqtt_msg_account(const struct mqtt_msg *m)
{
	return account_ptr(m->account);
}

struct mqtt_msg *
mqtt_msg_ref(struct mqtt_msg *m)
{
	mqtt_lock(m->server);
	m->refs++;
	mqtt_unlock(m->server);
	return m;
}

void
mqtt_msg_unref(struct mqtt_msg *m)
{
	struct mqtt_server *s;

	if (m == NULL)
		return;
	s = m->server;
	mqtt_lock(s);
	mqtt_msg_release(m);
	mqtt_unlock(s);
	mqtt_server_maybe_free(s);
}

void
mqtt_msg_done(struct mqtt_msg *m, bool ok)
{
	struct mqtt_server *s = m->server;

	mqtt_lock(s);
	s->now_ms = clock_mono();
	if (!ok) {
		m->failed = true;
		COUNT(consume_failures);
	}
	if (--m->waits == 0)
		mqtt_verdict(m);
	mqtt_msg_release(m); /* the consumer's */
	if (!s->ended)
		mqtt_home_done(s);
	mqtt_unlock(s);
	mqtt_server_maybe_free(s);
}

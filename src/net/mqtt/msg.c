/*
 * net/mqtt/msg.c - one message, shared by all who get it.
 *
 * Topic and payload lie behind each other as they go over the wire, so that a
 * QoS 0 copy is one memcpy behind the fixed header.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct mqtt_msg *
mqtt_msg_new(struct mqtt_server *s, struct account *account, struct str topic,
    struct str payload, uint8_t qos, bool retain)
{
	struct mqtt_msg *m = mem_try(sizeof(*m) + 2 + topic.len + payload.len);

	if (m == NULL)
		return NULL;
	*m = (struct mqtt_msg){
		.refs = 1,
		.payload_len = (uint32_t)payload.len,
		.topic_len = (uint16_t)topic.len,
		.qos = qos,
		.retain = retain,
		.at_ms = clock_mono(),
		.seq = ++s->seq,
		.server = s,
		.account = mqtt_account_ref(account),
	};
	m->wire[0] = (char)(topic.len >> 8);
	m->wire[1] = (char)topic.len;
	memcpy(m->wire + 2, topic.ptr, topic.len);
	if (payload.len > 0)
		memcpy(m->wire + 2 + topic.len, payload.ptr, payload.len);
	return m;
}

struct str
mqtt_msg_topic(const struct mqtt_msg *m)
{
	return (struct str){ m->wire + 2, m->topic_len };
}

struct str
mqtt_msg_payload(const struct mqtt_msg *m)
{
	return (struct str){ m->wire + 2 + m->topic_len, m->payload_len };
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
	m->refs++;
	return m;
}

void
mqtt_msg_unref(struct mqtt_msg *m)
{
	if (m == NULL || --m->refs > 0)
		return;
	mqtt_account_unref(m->account);
	free(m);
}

void
mqtt_msg_done(struct mqtt_msg *m, bool ok)
{
	if (!ok) {
		m->failed = true;
		COUNT(consume_failures);
	}
	if (--m->waits == 0) {
		struct mqtt_server *s = m->server;

		mqtt_verdict(m);
		if (--s->n_outstanding == 0 && s->closing)
			free(s);
	}
	mqtt_msg_unref(m); /* the consumer's */
}

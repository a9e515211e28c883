/*
 * net/mqtt/send.c - what a connection is to send: packets into its output,
 * gates, PUBLISH in the form of the client's level, topic aliases.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SPLICE_MIN 4096 /* payloads of this size are not copied */

/* --- room and gates ------------------------------------------------------ */

bool
mqtt_conn_has_room(struct conn *c)
{
	if (conn_unsent(c) < c->server->conf.max_output)
		return true;
	c->starved = true;
	return false;
}

struct buf *
mqtt_conn_begin(struct conn *c)
{
	struct mqtt_server *s = c->server;

	if (c->out.bytes.ptr == NULL && s->n_spare_out > 0)
		c->out.bytes = s->spare_out[--s->n_spare_out];
	mqtt_conn_wake(c);
	return &c->out.bytes;
}

void
mqtt_conn_added(struct conn *c, size_t was)
{
	c->out.unsent += c->out.bytes.len - was;
}

void
mqtt_conn_added_answer(struct conn *c, size_t was)
{
	if (c->level == 5 && c->out.bytes.len - was > c->max_packet) {
		c->out.bytes.len = was; /* it would not take it [5:3.1.2-24] */
		mqtt_conn_end(
		    c, MQTT_R_TOO_LARGE, "the answer is too large for you");
	} else {
		mqtt_conn_added(c, was);
	}
}

void
mqtt_conn_gate(struct conn *c, uint64_t group, enum mqtt_durability durability)
{
	struct gate *g;

	if (mqtt_keep_reached(&c->server->keep, group, durability))
		return;
	if (c->gates == NULL)
		c->gates = mem_array(GATES_MAX, sizeof(*c->gates));
	if (c->n_gates > 0) {
		g = &c->gates[c->n_gates - 1];
		if ((g->group == group && (int)g->level >= (int)durability) ||
		    c->n_gates == GATES_MAX) {
			/* groups are committed in order: the newest says all */
			if (group > g->group)
				g->level = (enum journal_level)durability;
			g->group = MAX_OF(g->group, group);
			return;
		}
	}
	c->gates[c->n_gates++] = (struct gate){ c->out.bytes.len, group,
		(enum journal_level)durability };
	mqtt_conn_wait_for_keep(c);
}

void
mqtt_conn_gate_now(struct conn *c)
{
	const struct keep *k = &c->server->keep;

	mqtt_conn_gate(c, k->group,
	    (enum mqtt_durability)MIN_OF(
		(int)c->listener->conf.durability, k->level));
}

void
mqtt_conn_wait_for_keep(struct conn *c)
{
	if (list_empty(&c->gated))
		list_add(&c->server->gated, &c->gated);
}

/* How many bytes of `out` may be sent; gates that are open are forgotten. */
static size_t
open_gates(struct conn *c)
{
	unsigned n = 0;

	while (n < c->n_gates &&
	    mqtt_keep_reached(&c->server->keep, c->gates[n].group,
		(enum mqtt_durability)c->gates[n].level))
		n++;
	c->n_gates -= n;
	if (n > 0 && c->n_gates > 0)
		memmove(c->gates, c->gates + n, c->n_gates * sizeof(*c->gates));
	if (c->n_gates == 0)
		return c->out.bytes.len;
	mqtt_conn_wait_for_keep(c);
	return c->gates[0].at;
}

void
mqtt_conn_fill_tx(struct conn *c)
{
	size_t limit;

	if (c->out.bytes.len == 0)
		return;
	limit = open_gates(c);
	if (limit == 0)
		return;
	mqtt_output_move(c->server, &c->out, &c->tx, limit);
	for (unsigned i = 0; i < c->n_gates; i++)
		c->gates[i].at -= limit;
}

/* --- PUBLISH out --------------------------------------------------------- */

/* The properties of level 5 before those the message keeps. */
struct head_props {
	uint8_t bytes[16 + 3];
	size_t len;
};

static uint32_t
seconds_left(const struct mqtt_msg *m)
{
	int64_t ms = m->expires_ms - clock_mono();

	return ms > 0 ? (uint32_t)((ms + 999) / 1000) : 0;
}

static size_t
put_sub_id(uint8_t *p, uint32_t id)
{
	p[0] = MQTT_P_SUB_ID;
	return 1 + mqtt_varint_put(p + 1, id);
}

static void
head_props(struct head_props *h, const struct mqtt_msg *m,
    const struct copy *copy, uint16_t alias)
{
	uint8_t *p = h->bytes;

	if (m->expires_ms != 0) {
		uint32_t left = seconds_left(m);

		*p++ = MQTT_P_MESSAGE_EXPIRY;
		*p++ = (uint8_t)(left >> 24);
		*p++ = (uint8_t)(left >> 16);
		*p++ = (uint8_t)(left >> 8);
		*p++ = (uint8_t)left;
	}
	if (alias != 0) {
		*p++ = MQTT_P_ALIAS;
		*p++ = (uint8_t)(alias >> 8);
		*p++ = (uint8_t)alias;
	}
	if (copy->sub_id != 0)
		p += put_sub_id(p, copy->sub_id);
	h->len = (size_t)(p - h->bytes);
}

static size_t
more_ids_size(const struct copy *copy)
{
	size_t n = 0;

	for (const uint32_t *id = copy->more_ids; id != NULL && *id != 0; id++)
		n += 1 + mqtt_varint_size(*id);
	return n;
}

/* At most: a new alias is told beside the whole topic. */
size_t
mqtt_conn_publish_size(
    const struct conn *c, const struct mqtt_msg *m, const struct copy *copy)
{
	size_t n = 2u + m->topic_len + (copy->qos > 0 ? 2 : 0) + m->payload_len;
	struct head_props h;
	size_t props;

	if (c->level == 5) {
		head_props(&h, m, copy, 0);
		props = h.len + more_ids_size(copy) + m->props_len;
		n += mqtt_varint_size((uint32_t)props) + props;
		if (c->alias_max > 0)
			n += 4;
	}
	return 1 + mqtt_varint_size((uint32_t)n) + n;
}

/* The alias to use for a topic: *fresh if the client has to be told. 0: none.
 */
static uint16_t
alias_for(struct conn *c, struct str topic, bool *fresh)
{
	uint16_t max = (uint16_t)MIN_OF(
	    c->alias_max, MIN_OF(c->server->conf.max_aliases, 65535u));
	struct aliases *a = c->aliases;
	struct str *key;
	void *known;

	*fresh = false;
	if (max == 0)
		return 0;
	if (a == NULL)
		a = c->aliases = mem_new(struct aliases);
	known = map_get(&a->out, topic);
	if (known != NULL)
		return (uint16_t)(uintptr_t)known;
	if (a->n_out >= max)
		return 0;
	if (a->out_names == NULL)
		a->out_names = mem_array(max, sizeof(*a->out_names));
	key = &a->out_names[a->n_out++];
	*key = str_copy(topic);
	(void)map_put(&a->out, *key, (void *)(uintptr_t)a->n_out);
	*fresh = true;
	return a->n_out;
}

void
mqtt_aliases_free(struct aliases *a)
{
	if (a == NULL)
		return;
	for (unsigned i = 0; i < a->n_in; i++)
		str_free(a->in[i]);
	for (unsigned i = 0; i < a->n_out; i++)
		str_free(a->out_names[i]);
	free(a->in);
	free(a->out_names);
	map_fini(&a->out);
	free(a);
}

static void
publish_5(struct conn *c, struct mqtt_msg *m, struct mqtt_publish_flags f,
    const struct copy *copy)
{
	size_t copied = m->payload_len < SPLICE_MIN ? m->payload_len : 0;
	struct buf *out = mqtt_conn_begin(c);
	size_t was = out->len, more = 0, props, topic;
	struct head_props h;
	uint16_t alias = 0;
	bool fresh = true;
	uint8_t *p;

	if (c->alias_max > 0)
		alias = alias_for(c, mqtt_msg_topic(m), &fresh);
	topic = alias == 0 || fresh ? m->topic_len : 0;
	head_props(&h, m, copy, alias);
	if (copy->more_ids != NULL)
		more = more_ids_size(copy);
	props = h.len + more + m->props_len;
	buf_reserve(out, MQTT_HEAD_MAX + 2 + topic + 2 + 4 + props + copied);
	p = (uint8_t *)out->ptr + was;
	p += mqtt_publish_head(p, f,
	    2 + topic + (f.qos > 0 ? 2 : 0) +
		mqtt_varint_size((uint32_t)props) + props + m->payload_len);
	if (topic > 0) {
		p = mempcpy(p, m->wire, 2 + topic);
	} else {
		*p++ = 0;
		*p++ = 0;
	}
	if (f.qos > 0) {
		*p++ = (uint8_t)(f.id >> 8);
		*p++ = (uint8_t)f.id;
	}
	p += mqtt_varint_put(p, (uint32_t)props);
	p = mempcpy(p, h.bytes, h.len);
	for (const uint32_t *id = copy->more_ids; id != NULL && *id != 0; id++)
		p += put_sub_id(p, *id);
	/* kept properties and payload lie behind each other */
	p = mempcpy(p, m->wire + 2 + m->topic_len, m->props_len + copied);
	out->len = (size_t)((char *)p - out->ptr);
	mqtt_conn_added(c, was);
}

static void
publish_4(struct conn *c, struct mqtt_msg *m, struct mqtt_publish_flags f)
{
	size_t copied = m->payload_len < SPLICE_MIN ? m->payload_len : 0;
	struct buf *out = mqtt_conn_begin(c);
	size_t was = out->len, topic = 2u + m->topic_len;
	uint8_t *p;

	buf_reserve(out, MQTT_HEAD_MAX + topic + 2 + copied);
	p = (uint8_t *)out->ptr + was;
	p += mqtt_publish_head(
	    p, f, topic + (f.qos > 0 ? 2 : 0) + m->payload_len);
	p = mempcpy(p, m->wire, topic);
	if (f.qos > 0) {
		*p++ = (uint8_t)(f.id >> 8);
		*p++ = (uint8_t)f.id;
	}
	p = mempcpy(p, m->wire + topic + m->props_len, copied);
	out->len = (size_t)((char *)p - out->ptr);
	mqtt_conn_added(c, was);
}

void
mqtt_conn_send_publish(struct conn *c, struct mqtt_msg *m,
    struct mqtt_publish_flags f, const struct copy *copy)
{
	TALLY(c->server, publish_out, 1);
	if (c->level == 5)
		publish_5(c, m, f, copy);
	else
		publish_4(c, m, f);
	if (m->payload_len >= SPLICE_MIN)
		mqtt_output_splice(&c->out, m);
}

void
mqtt_conn_send_ack(
    struct conn *c, enum mqtt_type type, uint16_t id, uint8_t code)
{
	struct buf *out = mqtt_conn_begin(c);
	size_t was = out->len;

	mqtt_put_ack(out, c->level, type, id, code, NULL);
	mqtt_conn_added(c, was);
}

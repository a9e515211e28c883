/*
 * codec/mqtt_put.c - the encoders; see mqtt.h.
 */
#include "codec/mqtt_table.h"

#include "base/base.h"

size_t
mqtt_varint_size(uint32_t n)
{
	return n < 0x80 ? 1 : n < 0x4000 ? 2 : n < 0x200000 ? 3 : 4;
}

size_t
mqtt_varint_put(uint8_t *p, uint32_t n)
{
	size_t len = 0;

	do {
		uint8_t b = n & 0x7f;

		n >>= 7;
		p[len++] = n ? b | 0x80 : b;
	} while (n);
	return len;
}

static void
put_varint(struct buf *out, size_t n)
{
	uint8_t p[4];

	buf_add(out, p, mqtt_varint_put(p, (uint32_t)n));
}

static void
put_u16(struct buf *out, size_t n)
{
	uint8_t b[2] = { (uint8_t)(n >> 8), (uint8_t)n };

	buf_add(out, b, 2);
}

static void
put_bytes(struct buf *out, struct str s)
{
	put_u16(out, s.len);
	buf_add(out, s.ptr, s.len);
}

static void
put_head(struct buf *out, enum mqtt_type type, uint8_t flags, size_t remaining)
{
	buf_addc(out, (char)(type << 4 | flags));
	put_varint(out, remaining);
}

static size_t
value_size(const struct mqtt_property_row *k, const void *at)
{
	switch (k->kind) {
	case MQTT_BIT:
		return 1;
	case MQTT_U16:
		return 2;
	case MQTT_U32:
		return 4;
	case MQTT_VARINT:
		return mqtt_varint_size(*(const uint32_t *)at);
	default:
		return 2 + ((const struct str *)at)->len;
	}
}

static void
put_value(struct buf *out, const struct mqtt_property_row *k, const void *at)
{
	switch (k->kind) {
	case MQTT_BIT:
		buf_addc(out, *(const char *)at);
		break;
	case MQTT_U16:
		put_u16(out, *(const uint16_t *)at);
		break;
	case MQTT_U32:
		put_u16(out, *(const uint32_t *)at >> 16);
		put_u16(out, *(const uint32_t *)at & 0xffff);
		break;
	case MQTT_VARINT:
		put_varint(out, *(const uint32_t *)at);
		break;
	default:
		put_bytes(out, *(const struct str *)at);
		break;
	}
}

/* Takes the lowest identifier from `*set`. User properties are in `raw`. */
static const struct mqtt_property_row *
next_property(uint64_t *set, unsigned *id)
{
	*set &= ~(1ull << MQTT_P_USER);
	if (*set == 0)
		return NULL;
	*id = (unsigned)__builtin_ctzll(*set);
	*set &= *set - 1;
	return mqtt_property_row(*id);
}

static bool
no_props(const struct mqtt_props *props)
{
	return props == NULL || (props->has == 0 && props->raw.len == 0);
}

/* Without the length in front. */
static size_t
props_size(const struct mqtt_props *props)
{
	const struct mqtt_property_row *k;
	uint64_t set;
	size_t n;
	unsigned id;

	if (no_props(props))
		return 0;
	set = props->has;
	n = props->raw.len;
	while ((k = next_property(&set, &id)) != NULL)
		n += 1 + value_size(k, (const char *)props + k->offset);
	return n;
}

/* With the length in front; none in levels that have no properties. */
static size_t
props_room(uint8_t level, const struct mqtt_props *props)
{
	size_t n;

	if (level < 5)
		return 0;
	n = props_size(props);
	return n + mqtt_varint_size((uint32_t)MIN_OF(n, MQTT_REMAINING_MAX));
}

void
mqtt_put_props(struct buf *out, const struct mqtt_props *props)
{
	const struct mqtt_property_row *k;
	uint64_t set;
	unsigned id;

	put_varint(out, props_size(props));
	if (no_props(props))
		return;
	set = props->has;
	while ((k = next_property(&set, &id)) != NULL) {
		buf_addc(out, (char)id);
		put_value(out, k, (const char *)props + k->offset);
	}
	buf_add(out, props->raw.ptr, props->raw.len);
}

static void
put_props(struct buf *out, uint8_t level, const struct mqtt_props *props)
{
	if (level == 5)
		mqtt_put_props(out, props);
}

void
mqtt_put_user(struct buf *out, struct str name, struct str value)
{
	buf_addc(out, MQTT_P_USER);
	put_bytes(out, name);
	put_bytes(out, value);
}

static uint8_t
flags_of_connect(const struct mqtt_connect *c)
{
	unsigned flags = c->clean ? 0x02 : 0;

	if (c->will)
		flags |= 0x04u | (unsigned)c->will_qos << 3 |
		    (c->will_retain ? 0x20u : 0);
	if (c->user.ptr != NULL)
		flags |= 0x80;
	if (c->password.ptr != NULL)
		flags |= 0x40;
	return (uint8_t)flags;
}

void
mqtt_put_connect(struct buf *out, const struct mqtt_connect *c,
    const struct mqtt_props *props)
{
	struct str name = c->level == 3 ? STR("MQIsdp") : STR("MQTT");
	size_t len = 2 + name.len + 4 + props_room(c->level, props) + 2 +
	    c->client_id.len;

	if (c->will)
		len += props_room(c->level, &c->will_props) + 4 +
		    c->will_topic.len + c->will_payload.len;
	if (c->user.ptr != NULL)
		len += 2 + c->user.len;
	if (c->password.ptr != NULL)
		len += 2 + c->password.len;

	put_head(out, MQTT_CONNECT, 0, len);
	put_bytes(out, name);
	buf_addc(
	    out, (char)(c->level | (c->bridge && c->level < 5 ? 0x80 : 0)));
	buf_addc(out, (char)flags_of_connect(c));
	put_u16(out, c->keepalive_s);
	put_props(out, c->level, props);
	put_bytes(out, c->client_id);
	if (c->will) {
		put_props(out, c->level, &c->will_props);
		put_bytes(out, c->will_topic);
		put_bytes(out, c->will_payload);
	}
	if (c->user.ptr != NULL)
		put_bytes(out, c->user);
	if (c->password.ptr != NULL)
		put_bytes(out, c->password);
}

void
mqtt_put_connack(struct buf *out, uint8_t level, bool session_present,
    uint8_t code, const struct mqtt_props *props)
{
	put_head(out, MQTT_CONNACK, 0, 2 + props_room(level, props));
	buf_addc(out, session_present);
	buf_addc(out, (char)code);
	put_props(out, level, props);
}

void
mqtt_put_ack(struct buf *out, uint8_t level, enum mqtt_type type, uint16_t id,
    uint8_t code, const struct mqtt_props *props)
{
	uint8_t flags = type == MQTT_PUBREL ? 2 : 0;
	size_t len = 2;

	if (level == 5 && !no_props(props))
		len = 3 + props_room(level, props);
	else if (level == 5 && code != 0)
		len = 3;
	put_head(out, type, flags, len);
	put_u16(out, id);
	if (len > 2)
		buf_addc(out, (char)code);
	if (len > 3)
		put_props(out, level, props);
}

void
mqtt_put_empty(struct buf *out, enum mqtt_type type)
{
	put_head(out, type, 0, 0);
}

void
mqtt_put_end(struct buf *out, uint8_t level, enum mqtt_type type, uint8_t code,
    const struct mqtt_props *props)
{
	size_t len = 0;

	if (level == 5 && !no_props(props))
		len = 1 + props_room(level, props);
	else if (level == 5 && code != 0)
		len = 1;
	put_head(out, type, 0, len);
	if (len > 0)
		buf_addc(out, (char)code);
	if (len > 1)
		put_props(out, level, props);
}

void
mqtt_put_suback(struct buf *out, uint8_t level, enum mqtt_type type,
    uint16_t id, const uint8_t *codes, size_t n, const struct mqtt_props *props)
{
	if (level < 5 && type == MQTT_UNSUBACK)
		n = 0;
	put_head(out, type, 0, 2 + props_room(level, props) + n);
	put_u16(out, id);
	put_props(out, level, props);
	buf_add(out, codes, n);
}

static uint8_t
options_of(const struct mqtt_filter *f, uint8_t level)
{
	unsigned options = f->qos;

	if (level == 5)
		options |= (f->no_local ? 4u : 0) |
		    (f->retain_as_published ? 8u : 0) |
		    (unsigned)f->retain_handling << 4;
	return (uint8_t)options;
}

void
mqtt_put_subscribe(struct buf *out, uint8_t level, enum mqtt_type type,
    uint16_t id, const struct mqtt_filter *filters, size_t n,
    const struct mqtt_props *props)
{
	bool with_options = type == MQTT_SUBSCRIBE;
	size_t len = 2 + props_room(level, props);

	for (size_t i = 0; i < n; i++)
		len += 2 + filters[i].filter.len + with_options;
	put_head(out, type, 2, len);
	put_u16(out, id);
	put_props(out, level, props);
	for (size_t i = 0; i < n; i++) {
		put_bytes(out, filters[i].filter);
		if (with_options)
			buf_addc(out, (char)options_of(&filters[i], level));
	}
}

size_t
mqtt_publish_head(uint8_t *p, struct mqtt_publish_flags f, size_t body)
{
	p[0] = (uint8_t)(MQTT_PUBLISH << 4 | (f.dup ? 8 : 0) | f.qos << 1 |
	    (f.retain ? 1 : 0));
	return 1 + mqtt_varint_put(p + 1, (uint32_t)body);
}

bool
mqtt_put_publish(struct buf *out, uint8_t level, struct mqtt_publish_flags f,
    struct str topic, const struct mqtt_props *props, struct str payload)
{
	size_t body = 2 + topic.len + (f.qos > 0 ? 2 : 0) +
	    props_room(level, props) + payload.len;
	uint8_t head[MQTT_HEAD_MAX];

	if (topic.len > MQTT_TEXT_MAX || body > MQTT_REMAINING_MAX)
		return false;
	buf_add(out, head, mqtt_publish_head(head, f, body));
	put_bytes(out, topic);
	if (f.qos > 0)
		put_u16(out, f.id);
	put_props(out, level, props);
	buf_add(out, payload.ptr, payload.len);
	return true;
}

/*
 * codec/mqtt.c - see mqtt.h. Numbers like [4.7.1-2] are rules of the MQTT
 * 3.1.1 standard.
 */
#include "codec/mqtt.h"

#include "base/base.h"

#include <string.h>

/* What has not been read of a packet's body. */
struct cursor {
	const uint8_t *p;
	const uint8_t *end;
};

static bool
take_u8(struct cursor *c, uint8_t *ret)
{
	if (c->p == c->end)
		return false;
	*ret = *c->p++;
	return true;
}

static bool
take_u16(struct cursor *c, uint16_t *ret)
{
	if (c->end - c->p < 2)
		return false;
	*ret = (uint16_t)(c->p[0] << 8 | c->p[1]);
	c->p += 2;
	return true;
}

static bool
take_bytes(struct cursor *c, struct str *ret)
{
	uint16_t len;

	if (!take_u16(c, &len) || c->end - c->p < len)
		return false;
	*ret = (struct str){ (const char *)c->p, len };
	c->p += len;
	return true;
}

/* [1.5.3-1] [1.5.3-2] */
static bool
utf8_ok(const uint8_t *p, const uint8_t *end)
{
	while (p < end) {
		unsigned c = *p, n, min;

		if (c - 1 < 0x7f) {
			p++;
			continue;
		}
		if (c >= 0xc2 && c < 0xe0) {
			n = 1;
			min = 0x80;
			c &= 0x1f;
		} else if (c >= 0xe0 && c < 0xf0) {
			n = 2;
			min = 0x800;
			c &= 0x0f;
		} else if (c >= 0xf0 && c < 0xf5) {
			n = 3;
			min = 0x10000;
			c &= 0x07;
		} else {
			return false; /* NUL too */
		}
		if ((size_t)(end - p) <= n)
			return false;
		for (unsigned i = 1; i <= n; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (c < min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return false;
		p += n + 1;
	}
	return true;
}

bool
mqtt_text_ok(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.ptr;

	return s.len <= MQTT_TEXT_MAX && utf8_ok(p, p + s.len);
}

bool
mqtt_has_wildcard(struct str filter)
{
	for (size_t i = 0; i < filter.len; i++) {
		if (filter.ptr[i] == '+' || filter.ptr[i] == '#')
			return true;
	}
	return false;
}

bool
mqtt_topic_ok(struct str topic)
{
	return topic.len > 0 && !mqtt_has_wildcard(topic) &&
	    mqtt_text_ok(topic);
}

bool
mqtt_filter_ok(struct str filter)
{
	const char *p = filter.ptr;

	if (filter.len == 0 || !mqtt_text_ok(filter))
		return false;
	for (size_t i = 0; i < filter.len; i++) {
		bool first = i == 0 || p[i - 1] == '/';
		bool last = i + 1 == filter.len || p[i + 1] == '/';

		if (p[i] == '+' && !(first && last)) /* [4.7.1-3] */
			return false;
		if (p[i] == '#' && !(first && i + 1 == filter.len))
			return false; /* [4.7.1-2] */
	}
	return true;
}

unsigned
mqtt_levels(struct str topic)
{
	unsigned n = 1;

	for (size_t i = 0; i < topic.len; i++)
		n += topic.ptr[i] == '/';
	return n;
}

bool
mqtt_filter_matches(struct str filter, struct str topic)
{
	bool hidden = topic.len > 0 && topic.ptr[0] == '$'; /* [4.7.2-1] */
	struct str f = filter, t = topic;

	if (hidden && filter.len > 0 && filter.ptr[0] != '$')
		return false;
	while (f.ptr != NULL) {
		struct str fl = str_cut(&f, '/'), tl;

		if (fl.len == 1 && fl.ptr[0] == '#')
			return true; /* "a/#" matches "a" as well */
		if (t.ptr == NULL)
			return false;
		tl = str_cut(&t, '/');
		if (fl.len == 1 && fl.ptr[0] == '+')
			continue;
		if (!str_eq(fl, tl))
			return false;
	}
	return t.ptr == NULL;
}

int
mqtt_share_split(struct str filter, struct str *group, struct str *ret)
{
	struct str rest = filter, name;

	if (!str_starts(filter, STR("$share/")))
		return ERR_NOT_FOUND;
	(void)str_cut(&rest, '/');
	name = str_cut(&rest, '/');
	if (name.len == 0 || mqtt_has_wildcard(name) || rest.ptr == NULL ||
	    !mqtt_filter_ok(rest))
		return ERR_PARAM;
	*group = name;
	*ret = rest;
	return 0;
}

static int
bad(struct err *err, const char *what)
{
	return err_set(err, ERR_PROTO, "%s", what);
}

/* The eight bits that say what follows in CONNECT. */
static int
connect_flags(struct mqtt_connect *c, uint8_t flags, struct err *err)
{
	c->clean = flags & 0x02;
	c->will = flags & 0x04;
	c->will_qos = flags >> 3 & 3;
	c->will_retain = flags & 0x20;

	if (flags & 0x01 && c->level == 4)
		return bad(err, "CONNECT: reserved flag set"); /* [3.1.2-3] */
	if (c->will_qos == 3)
		return bad(err, "CONNECT: will QoS 3"); /* [3.1.2-14] */
	if (!c->will && c->level == 4 && (c->will_qos || c->will_retain))
		return bad(err, "CONNECT: will flags without a will");
	if (!(flags & 0x80) && flags & 0x40 && c->level == 4)
		return bad(err, "CONNECT: password without user name");
	if (!c->will)
		c->will_qos = c->will_retain = 0;
	return 0;
}

static int
parse_connect(struct cursor *in, struct mqtt_connect *c, struct err *err)
{
	struct str name;
	uint8_t flags;
	int rc;

	if (!take_bytes(in, &name))
		return bad(err, "CONNECT: cut short");
	if (!str_eqz(name, "MQTT") && !str_eqz(name, "MQIsdp"))
		return bad(err, "CONNECT: unknown protocol name");
	if (!take_u8(in, &c->level))
		return bad(err, "CONNECT: cut short");
	c->supported = c->level == (name.len == 4 ? 4 : 3);
	if (!c->supported)
		return 0; /* the rest has a form that we do not know */

	if (!take_u8(in, &flags) || !take_u16(in, &c->keepalive_s) ||
	    !take_bytes(in, &c->client_id))
		return bad(err, "CONNECT: cut short");
	rc = connect_flags(c, flags, err);
	if (rc != 0)
		return rc;
	if (!mqtt_text_ok(c->client_id))
		return bad(err, "CONNECT: client id is not UTF-8");

	c->will_topic = c->will_payload = c->user = c->password = STR_NULL;
	if (c->will) {
		if (!take_bytes(in, &c->will_topic) ||
		    !take_bytes(in, &c->will_payload))
			return bad(err, "CONNECT: will is missing");
		if (!mqtt_topic_ok(c->will_topic))
			return bad(err, "CONNECT: bad will topic");
	}
	if (flags & 0x80) {
		if (!take_bytes(in, &c->user))
			return bad(err, "CONNECT: user name is missing");
		if (!mqtt_text_ok(c->user))
			return bad(err, "CONNECT: user name is not UTF-8");
	}
	if (flags & 0x40 && !take_bytes(in, &c->password))
		return bad(err, "CONNECT: password is missing");
	if (in->p != in->end)
		return bad(err, "CONNECT: bytes left over");
	return 0;
}

static int
parse_publish(
    struct cursor *in, uint8_t flags, struct mqtt_packet *p, struct err *err)
{
	p->dup = flags & 8;
	p->qos = flags >> 1 & 3;
	p->retain = flags & 1;
	if (!take_bytes(in, &p->topic))
		return bad(err, "PUBLISH: cut short");
	if (!mqtt_topic_ok(p->topic))
		return bad(err, "PUBLISH: bad topic name"); /* [3.3.2-2] */
	if (p->qos > 0) {
		if (!take_u16(in, &p->id))
			return bad(err, "PUBLISH: cut short");
		if (p->id == 0)
			return bad(err, "PUBLISH: packet id 0");
	}
	p->payload =
	    (struct str){ (const char *)in->p, (size_t)(in->end - in->p) };
	return 0;
}

/* The filters are checked here and handed out by mqtt_next_filter(). */
static int
parse_filters(
    struct cursor *in, bool with_qos, struct mqtt_packet *p, struct err *err)
{
	struct str filter;
	uint8_t qos;

	if (!take_u16(in, &p->id))
		return bad(err, "SUBSCRIBE: cut short");
	if (p->id == 0)
		return bad(err, "SUBSCRIBE: packet id 0"); /* [2.3.1-1] */
	p->filters =
	    (struct str){ (const char *)in->p, (size_t)(in->end - in->p) };
	p->n_filters = 0;
	while (in->p != in->end) {
		if (!take_bytes(in, &filter))
			return bad(err, "SUBSCRIBE: cut short");
		if (!mqtt_filter_ok(filter))
			return bad(err, "SUBSCRIBE: bad topic filter");
		if (with_qos && (!take_u8(in, &qos) || qos > 2))
			return bad(err, "SUBSCRIBE: bad QoS"); /* [3.8.3-4] */
		p->n_filters++;
	}
	if (p->n_filters == 0)
		return bad(err, "SUBSCRIBE: no topic filter"); /* [3.8.3-3] */
	return 0;
}

static int
parse_suback(struct cursor *in, struct mqtt_packet *p, struct err *err)
{
	if (!take_u16(in, &p->id) || p->id == 0 || in->p == in->end)
		return bad(err, "SUBACK: cut short");
	p->codes =
	    (struct str){ (const char *)in->p, (size_t)(in->end - in->p) };
	for (; in->p != in->end; in->p++) {
		if (*in->p > 2 && *in->p != MQTT_SUB_FAILED)
			return bad(err, "SUBACK: reserved code");
	}
	return 0;
}

static int
parse_connack(struct cursor *in, struct mqtt_packet *p, struct err *err)
{
	uint8_t flags;

	if (in->end - in->p != 2 || !take_u8(in, &flags) ||
	    !take_u8(in, &p->code))
		return bad(err, "CONNACK: bad length");
	p->session_present = flags & 1;
	if (flags > 1 || (p->session_present && p->code != 0))
		return bad(err, "CONNACK: bad flags");
	return 0;
}

static int
parse_id_only(struct cursor *in, struct mqtt_packet *p, struct err *err)
{
	if (in->end - in->p != 2 || !take_u16(in, &p->id))
		return bad(err, "acknowledgement: bad length");
	if (p->id == 0)
		return bad(err, "acknowledgement: packet id 0");
	return 0;
}

static int
parse_body(
    struct cursor *in, uint8_t flags, struct mqtt_packet *p, struct err *err)
{
	switch (p->type) {
	case MQTT_CONNECT:
		return parse_connect(in, &p->connect, err);
	case MQTT_CONNACK:
		return parse_connack(in, p, err);
	case MQTT_PUBLISH:
		return parse_publish(in, flags, p, err);
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
	case MQTT_UNSUBACK:
		return parse_id_only(in, p, err);
	case MQTT_SUBSCRIBE:
		return parse_filters(in, true, p, err);
	case MQTT_UNSUBSCRIBE:
		return parse_filters(in, false, p, err);
	case MQTT_SUBACK:
		return parse_suback(in, p, err);
	case MQTT_PINGREQ:
	case MQTT_PINGRESP:
	case MQTT_DISCONNECT:
		if (in->p != in->end)
			return bad(err, "a packet that should be empty is not");
		return 0;
	}
	return bad(err, "reserved packet type");
}

/* [2.2.2-2] */
static bool
flags_ok(unsigned type, uint8_t flags)
{
	switch (type) {
	case MQTT_PUBLISH:
		return (flags & 6) != 6 && (flags & 0xe) != 8;
	case MQTT_PUBREL:
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		return flags == 2;
	case 0:
	case 15:
		return false;
	default:
		return flags == 0;
	}
}

int
mqtt_parse(struct str in, size_t max, struct mqtt_packet *ret, size_t *len,
    struct err *err)
{
	const uint8_t *p = (const uint8_t *)in.ptr;
	size_t remaining = 0, head = 1;
	struct cursor body;

	*len = 2;
	if (in.len == 0)
		return ERR_AGAIN;
	if (!flags_ok(p[0] >> 4, p[0] & 15))
		return bad(err, "reserved packet type or flags");

	for (unsigned shift = 0;; shift += 7) {
		if (head == MQTT_HEAD_MAX) /* [2.2.3] four bytes at most */
			return bad(err, "malformed remaining length");
		if (head == in.len) {
			*len = head + 1;
			return ERR_AGAIN;
		}
		remaining |= (size_t)(p[head] & 0x7f) << shift;
		if (!(p[head++] & 0x80))
			break;
	}

	if (head + remaining > max)
		return err_set(err, ERR_LIMIT,
		    "packet of %zu bytes, at most %zu", head + remaining, max);
	*len = head + remaining;
	if (in.len < *len)
		return ERR_AGAIN;

	ret->type = (enum mqtt_type)(p[0] >> 4);
	body = (struct cursor){ p + head, p + *len };
	return parse_body(&body, p[0] & 15, ret, err);
}

bool
mqtt_next_filter(struct str *rest, struct str *filter, uint8_t *qos)
{
	struct cursor in = { (const uint8_t *)rest->ptr,
		(const uint8_t *)rest->ptr + rest->len };

	if (!take_bytes(&in, filter))
		return false;
	if (qos != NULL && !take_u8(&in, qos))
		return false;
	*rest = (struct str){ (const char *)in.p, (size_t)(in.end - in.p) };
	return true;
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

/* The first byte and the remaining length. */
static size_t
make_head(uint8_t *p, uint8_t first, size_t remaining)
{
	size_t n = 0;

	p[n++] = first;
	do {
		uint8_t b = remaining & 0x7f;

		remaining >>= 7;
		p[n++] = remaining ? b | 0x80 : b;
	} while (remaining);
	return n;
}

static void
put_head(struct buf *out, enum mqtt_type type, uint8_t flags, size_t remaining)
{
	uint8_t p[MQTT_HEAD_MAX];

	buf_add(out, p, make_head(p, (uint8_t)(type << 4 | flags), remaining));
}

void
mqtt_put_connect(struct buf *out, const struct mqtt_connect *c)
{
	struct str name = c->level == 3 ? STR("MQIsdp") : STR("MQTT");
	size_t len = 2 + name.len + 4 + 2 + c->client_id.len;
	uint8_t flags = c->clean ? 0x02 : 0;

	if (c->will) {
		flags |= 0x04 | c->will_qos << 3 | (c->will_retain ? 0x20 : 0);
		len += 4 + c->will_topic.len + c->will_payload.len;
	}
	if (c->user.ptr != NULL) {
		flags |= 0x80;
		len += 2 + c->user.len;
	}
	if (c->password.ptr != NULL) {
		flags |= 0x40;
		len += 2 + c->password.len;
	}

	put_head(out, MQTT_CONNECT, 0, len);
	put_bytes(out, name);
	buf_addc(out, (char)c->level);
	buf_addc(out, (char)flags);
	put_u16(out, c->keepalive_s);
	put_bytes(out, c->client_id);
	if (c->will) {
		put_bytes(out, c->will_topic);
		put_bytes(out, c->will_payload);
	}
	if (c->user.ptr != NULL)
		put_bytes(out, c->user);
	if (c->password.ptr != NULL)
		put_bytes(out, c->password);
}

void
mqtt_put_connack(struct buf *out, bool session_present, uint8_t code)
{
	uint8_t p[4] = { MQTT_CONNACK << 4, 2, session_present, code };

	buf_add(out, p, sizeof(p));
}

void
mqtt_put_ack(struct buf *out, enum mqtt_type type, uint16_t id)
{
	uint8_t p[4] = { (uint8_t)(type << 4 | (type == MQTT_PUBREL ? 2 : 0)),
		2, (uint8_t)(id >> 8), (uint8_t)id };

	buf_add(out, p, sizeof(p));
}

void
mqtt_put_empty(struct buf *out, enum mqtt_type type)
{
	put_head(out, type, 0, 0);
}

void
mqtt_put_suback(struct buf *out, uint16_t id, const uint8_t *codes, size_t n)
{
	put_head(out, MQTT_SUBACK, 0, 2 + n);
	put_u16(out, id);
	buf_add(out, codes, n);
}

void
mqtt_put_subscribe(struct buf *out, uint16_t id, const struct str *filters,
    const uint8_t *qos, size_t n)
{
	size_t len = 2;

	for (size_t i = 0; i < n; i++)
		len += 3 + filters[i].len;
	put_head(out, MQTT_SUBSCRIBE, 2, len);
	put_u16(out, id);
	for (size_t i = 0; i < n; i++) {
		put_bytes(out, filters[i]);
		buf_addc(out, (char)qos[i]);
	}
}

void
mqtt_put_unsubscribe(
    struct buf *out, uint16_t id, const struct str *filters, size_t n)
{
	size_t len = 2;

	for (size_t i = 0; i < n; i++)
		len += 2 + filters[i].len;
	put_head(out, MQTT_UNSUBSCRIBE, 2, len);
	put_u16(out, id);
	for (size_t i = 0; i < n; i++)
		put_bytes(out, filters[i]);
}

static size_t
publish_remaining(uint8_t qos, size_t topic_len, size_t payload_len)
{
	return 2 + topic_len + (qos > 0 ? 2 : 0) + payload_len;
}

size_t
mqtt_publish_size(uint8_t qos, size_t topic_len, size_t payload_len)
{
	size_t n = publish_remaining(qos, topic_len, payload_len);

	return n + (n < 0x80 ? 2 : n < 0x4000 ? 3 : n < 0x200000 ? 4 : 5);
}

size_t
mqtt_publish_head(uint8_t *p, struct mqtt_publish_flags f, size_t topic_len,
    size_t payload_len)
{
	return make_head(p,
	    (uint8_t)(MQTT_PUBLISH << 4 | (f.dup ? 8 : 0) | f.qos << 1 |
		(f.retain ? 1 : 0)),
	    publish_remaining(f.qos, topic_len, payload_len));
}

bool
mqtt_put_publish(struct buf *out, struct mqtt_publish_flags f, struct str topic,
    struct str payload)
{
	uint8_t head[MQTT_HEAD_MAX];

	if (topic.len > MQTT_TEXT_MAX ||
	    publish_remaining(f.qos, topic.len, payload.len) >
		MQTT_REMAINING_MAX)
		return false;
	buf_add(out, head, mqtt_publish_head(head, f, topic.len, payload.len));
	put_bytes(out, topic);
	if (f.qos > 0)
		put_u16(out, f.id);
	buf_add(out, payload.ptr, payload.len);
	return true;
}

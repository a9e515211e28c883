/*
 * codec/mqtt.c - the parser; see mqtt.h. Numbers like [4.7.1-2] are rules of
 * the MQTT standards, of 5.0 where they differ.
 */
#include "codec/mqtt_table.h"

/* What has not been read of a packet's body, and what it is read for. */
struct reader {
	const uint8_t *p;
	const uint8_t *end;
	uint8_t level;
	uint8_t flags; /* of the first byte */
	struct mqtt_packet *ret;
	struct err *err;
};

static struct reader
reader_of(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.ptr;

	return (struct reader){ .p = p, .end = s.len > 0 ? p + s.len : p };
}

static struct str
left(const struct reader *in)
{
	return (struct str){ (const char *)in->p, (size_t)(in->end - in->p) };
}

static bool
take_u8(struct reader *in, uint8_t *ret)
{
	if (in->p == in->end)
		return false;
	*ret = *in->p++;
	return true;
}

static bool
take_u16(struct reader *in, uint16_t *ret)
{
	if (in->end - in->p < 2)
		return false;
	*ret = (uint16_t)(in->p[0] << 8 | in->p[1]);
	in->p += 2;
	return true;
}

static bool
take_u32(struct reader *in, uint32_t *ret)
{
	if (in->end - in->p < 4)
		return false;
	*ret = (uint32_t)in->p[0] << 24 | (uint32_t)in->p[1] << 16 |
	    (uint32_t)in->p[2] << 8 | in->p[3];
	in->p += 4;
	return true;
}

static bool
take_bytes(struct reader *in, struct str *ret)
{
	uint16_t len;

	if (!take_u16(in, &len) || in->end - in->p < len)
		return false;
	*ret = (struct str){ (const char *)in->p, len };
	in->p += len;
	return true;
}

/* In the fewest bytes that can say it: [1.5.5-1]. */
static bool
take_varint(struct reader *in, uint32_t *ret)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < 4 && in->p < in->end; i++) {
		uint8_t b = *in->p++;

		n |= (uint32_t)(b & 0x7f) << (7 * i);
		if (!(b & 0x80)) {
			*ret = n;
			return i == 0 || b != 0;
		}
	}
	return false;
}

static int
bad(struct reader *in, enum mqtt_reason reason, const char *what)
{
	in->ret->code = (uint8_t)reason;
	return err_set(in->err, ERR_PROTO, "%s", what);
}

static int
malformed(struct reader *in, const char *what)
{
	return bad(in, MQTT_R_MALFORMED, what);
}

/* Reads one value to `at`. 0 or a reason. */
static int
take_value(struct reader *in, const struct mqtt_property_row *k, void *at)
{
	struct str text;
	uint32_t n = 1;
	uint8_t bit;
	bool ok;

	switch (k->kind) {
	case MQTT_BIT:
		ok = take_u8(in, &bit);
		if (ok && bit > 1)
			return MQTT_R_PROTOCOL;
		if (ok)
			*(uint8_t *)at = bit;
		break;
	case MQTT_U16:
		ok = take_u16(in, at);
		n = ok ? *(uint16_t *)at : 0;
		break;
	case MQTT_U32:
		ok = take_u32(in, at);
		n = ok ? *(uint32_t *)at : 0;
		break;
	case MQTT_VARINT:
		ok = take_varint(in, at);
		n = ok ? *(uint32_t *)at : 0;
		break;
	case MQTT_TEXT:
		ok = take_bytes(in, at) && mqtt_text_ok(*(struct str *)at);
		break;
	case MQTT_BYTES:
		ok = take_bytes(in, at);
		break;
	default: /* PAIR */
		ok = take_bytes(in, &text) && mqtt_text_ok(text) &&
		    take_bytes(in, &text) && mqtt_text_ok(text);
		break;
	}
	if (!ok)
		return MQTT_R_MALFORMED;
	if ((k->check == MQTT_NOT_ZERO && n == 0) ||
	    (k->check == MQTT_TOPIC && !mqtt_topic_ok(*(struct str *)at)))
		return MQTT_R_PROTOCOL;
	return 0;
}

/* The properties that `in` is cut to. `where` is one bit of a row. */
static int
parse_properties(struct reader *in, unsigned where, struct mqtt_props *props)
{
	while (in->p != in->end) {
		const struct mqtt_property_row *k;
		uint64_t bit;
		uint32_t id;
		int reason;

		if (!take_varint(in, &id) ||
		    !(mqtt_property_row(id)->where & where))
			return malformed(in, "property that is not known here");
		k = mqtt_property_row(id);
		bit = (uint64_t)1 << id;
		if (props->has & bit && k->kind != MQTT_PAIR &&
		    !(id == MQTT_P_SUB_ID && where == MQTT_IN(MQTT_PUBLISH)))
			return bad(in, MQTT_R_PROTOCOL, "property given twice");
		reason = take_value(in, k, (char *)props + k->offset);
		if (reason != 0)
			return bad(in, reason, "property with a bad value");
		props->has |= bit;
	}
	return 0;
}

/* Length and properties, if the level has them. `props` begins empty. */
static inline int
take_props(struct reader *in, unsigned where, struct mqtt_props *props)
{
	struct reader inner = *in;
	uint32_t len;
	int rc;

	if (in->level < 5)
		return 0;
	if (in->p < in->end && *in->p == 0) { /* nearly always */
		in->p++;
		return 0;
	}
	if (!take_varint(in, &len) || len > (size_t)(in->end - in->p))
		return malformed(in, "bad length of properties");
	inner.p = in->p;
	inner.end = in->p = in->p + len;
	props->raw = left(&inner);
	rc = parse_properties(&inner, where, props);
	if (rc != 0)
		return rc;
	if (mqtt_has(props, MQTT_P_AUTH_DATA) &&
	    !mqtt_has(props, MQTT_P_AUTH_METHOD))
		return bad(in, MQTT_R_PROTOCOL, "AUTH data without a method");
	return 0;
}

/* 0 or the reason to refuse it. */
static int
topic_reason(struct str topic)
{
	if (topic.len == 0 || !mqtt_text_ok(topic))
		return MQTT_R_MALFORMED; /* [4.7.3-1] */
	return mqtt_has_wildcard(topic) ? MQTT_R_BAD_TOPIC : 0;
}

/* The eight bits that say what follows in CONNECT. */
static int
connect_flags(struct reader *in, struct mqtt_connect *c, uint8_t flags)
{
	c->clean = flags & 0x02;
	c->will = flags & 0x04;
	c->will_qos = flags >> 3 & 3;
	c->will_retain = flags & 0x20;

	if (flags & 0x01 && c->level >= 4) /* [3.1.2-3] */
		return malformed(in, "CONNECT: reserved flag set");
	if (c->will_qos == 3) /* [3.1.2-12] */
		return malformed(in, "CONNECT: will QoS 3");
	if (!c->will && c->level >= 4 && (c->will_qos || c->will_retain))
		return malformed(in, "CONNECT: will flags without a will");
	if (!(flags & 0x80) && flags & 0x40 && c->level == 4)
		return malformed(in, "CONNECT: password without user name");
	if (!c->will)
		c->will_qos = c->will_retain = 0;
	return 0;
}

static int
connect_will(struct reader *in, struct mqtt_connect *c)
{
	int rc = take_props(in, MQTT_IN_WILL, &c->will_props);

	if (rc != 0)
		return rc;
	if (!take_bytes(in, &c->will_topic) ||
	    !take_bytes(in, &c->will_payload))
		return malformed(in, "CONNECT: will is missing");
	rc = topic_reason(c->will_topic);
	return rc == 0 ? 0 : bad(in, rc, "CONNECT: bad will topic");
}

/* Protocol name and level. */
static int
connect_level(struct reader *in, struct mqtt_connect *c)
{
	struct str name;
	uint8_t level;

	if (!take_bytes(in, &name) || !take_u8(in, &level))
		return malformed(in, "CONNECT: cut short");
	c->bridge = level == 0x83 || level == 0x84;
	c->level = c->bridge ? level & 0x7f : level;
	if (str_eqz(name, "MQTT"))
		c->supported = c->level == 4 || c->level == 5;
	else if (str_eqz(name, "MQIsdp"))
		c->supported = c->level == 3;
	else
		return bad(in, MQTT_R_PROTOCOL, "CONNECT: unknown name");
	in->level = c->level;
	return 0;
}

static int
parse_connect(struct reader *in, struct mqtt_packet *p)
{
	struct mqtt_connect *c = &p->connect;
	uint8_t flags;
	int rc = connect_level(in, c);

	if (rc != 0 || !c->supported)
		return rc; /* the rest has a form that we do not know */

	if (!take_u8(in, &flags) || !take_u16(in, &c->keepalive_s))
		return malformed(in, "CONNECT: cut short");
	rc = connect_flags(in, c, flags);
	if (rc == 0)
		rc = take_props(in, MQTT_IN(MQTT_CONNECT), &p->props);
	if (rc != 0)
		return rc;
	if (!take_bytes(in, &c->client_id))
		return malformed(in, "CONNECT: cut short");
	if (!mqtt_text_ok(c->client_id))
		return malformed(in, "CONNECT: client id is not UTF-8");

	c->will_props.has = 0;
	c->will_props.raw = STR_NULL;
	c->will_topic = c->will_payload = c->user = c->password = STR_NULL;
	if (c->will) {
		rc = connect_will(in, c);
		if (rc != 0)
			return rc;
	}
	if (flags & 0x80) {
		if (!take_bytes(in, &c->user))
			return malformed(in, "CONNECT: user name is missing");
		if (!mqtt_text_ok(c->user))
			return malformed(in, "CONNECT: user name is not UTF-8");
	}
	if (flags & 0x40 && !take_bytes(in, &c->password))
		return malformed(in, "CONNECT: password is missing");
	if (in->p != in->end)
		return malformed(in, "CONNECT: bytes left over");
	return 0;
}

static int
take_id(struct reader *in, struct mqtt_packet *p)
{
	if (!take_u16(in, &p->id))
		return malformed(in, "cut short before its packet id");
	if (p->id == 0) /* [2.2.1-3] */
		return bad(in, MQTT_R_PROTOCOL, "packet id 0");
	return 0;
}

static int
parse_publish(struct reader *in, struct mqtt_packet *p)
{
	int rc;

	p->dup = in->flags & 8;
	p->qos = in->flags >> 1 & 3;
	p->retain = in->flags & 1;
	if (!take_bytes(in, &p->topic))
		return malformed(in, "PUBLISH: cut short");
	if (p->topic.len > 0 || in->level < 5) {
		rc = topic_reason(p->topic); /* [3.3.2-2] */
		if (rc != 0)
			return bad(in, rc, "PUBLISH: bad topic name");
	}
	if (p->qos > 0) {
		rc = take_id(in, p);
		if (rc != 0)
			return rc;
	}
	rc = take_props(in, MQTT_IN(MQTT_PUBLISH), &p->props);
	p->payload = left(in);
	return rc;
}

static int
check_options(struct reader *in, struct str filter, uint8_t options)
{
	struct str group, inner;

	if ((options & 3) == 3) /* [3.8.3-4] */
		return bad(in, MQTT_R_PROTOCOL, "SUBSCRIBE: QoS 3");
	if (options & (in->level == 5 ? 0xc0 : 0xfc)) /* [3.8.3-5] */
		return malformed(in, "SUBSCRIBE: reserved option set");
	if ((options >> 4 & 3) == 3)
		return bad(in, MQTT_R_PROTOCOL, "SUBSCRIBE: retain handling 3");
	if (options & 4 && mqtt_share_split(filter, &group, &inner) == 0)
		return bad(in, MQTT_R_PROTOCOL,
		    "SUBSCRIBE: no local on a shared filter"); /* [3.8.3-4] */
	return 0;
}

/* The filters are checked here and handed out by mqtt_next_filter(). */
static int
parse_filters(struct reader *in, struct mqtt_packet *p)
{
	struct str filter;
	uint8_t options;
	int rc;

	rc = take_id(in, p);
	if (rc == 0)
		rc = take_props(in, MQTT_IN(p->type), &p->props);
	if (rc != 0)
		return rc;
	p->filters = left(in);
	p->n_filters = 0;
	for (; in->p != in->end; p->n_filters++) {
		if (!take_bytes(in, &filter))
			return malformed(in, "SUBSCRIBE: cut short");
		if (in->level == 5 ? filter.len == 0 || !mqtt_text_ok(filter)
				   : !mqtt_filter_ok(filter))
			return malformed(in, "SUBSCRIBE: bad topic filter");
		if (p->type == MQTT_UNSUBSCRIBE)
			continue;
		if (!take_u8(in, &options))
			return malformed(in, "SUBSCRIBE: cut short");
		rc = check_options(in, filter, options);
		if (rc != 0)
			return rc;
	}
	if (p->n_filters == 0) /* [3.8.3-2] */
		return bad(in, MQTT_R_PROTOCOL, "SUBSCRIBE: no topic filter");
	return 0;
}

/* SUBACK, UNSUBACK */
static int
parse_suback(struct reader *in, struct mqtt_packet *p)
{
	int rc = take_id(in, p);

	if (rc == 0)
		rc = take_props(in, MQTT_IN(p->type), &p->props);
	if (rc != 0)
		return rc;
	p->codes = left(in);
	if (in->level < 5 && p->type == MQTT_UNSUBACK)
		return p->codes.len == 0 ? 0 : malformed(in, "UNSUBACK: long");
	if (p->codes.len == 0)
		return malformed(in, "SUBACK: cut short");
	for (; in->p != in->end; in->p++) {
		if (in->level < 5 ? *in->p > 2 && *in->p != MQTT_SUB_FAILED
				  : !mqtt_reason_ok(p->type, *in->p))
			return bad(in, MQTT_R_PROTOCOL, "SUBACK: bad code");
	}
	return 0;
}

/* An older server tells in its own form that it does not know level 5. */
static bool
is_old_refusal(const struct reader *in)
{
	return in->end - in->p == 2 && in->p[0] == 0 && in->p[1] > 0 &&
	    in->p[1] <= MQTT_NOT_AUTHORIZED;
}

static int
parse_connack(struct reader *in, struct mqtt_packet *p)
{
	uint8_t flags, code;
	int rc;

	if (is_old_refusal(in))
		in->level = 4;
	if (!take_u8(in, &flags) || !take_u8(in, &code))
		return malformed(in, "CONNACK: cut short");
	if (flags > 1)
		return malformed(in, "CONNACK: reserved flag set");
	if (in->level == 5 && !mqtt_reason_ok(p->type, code))
		return bad(in, MQTT_R_PROTOCOL, "CONNACK: bad reason");
	p->session_present = flags;
	if (p->session_present && code != 0) /* [3.2.2-6] */
		return bad(in, MQTT_R_PROTOCOL, "CONNACK: refused session");
	rc = take_props(in, MQTT_IN(MQTT_CONNACK), &p->props);
	if (rc != 0)
		return rc;
	if (in->p != in->end)
		return malformed(in, "CONNACK: bytes left over");
	p->code = code;
	return 0;
}

/* A reason and properties, of which level 5 allows to leave out the end. */
static int
take_reason(struct reader *in, struct mqtt_packet *p)
{
	uint8_t code = 0;
	int rc = 0;

	if (in->level == 5 && take_u8(in, &code)) {
		if (!mqtt_reason_ok(p->type, code))
			return bad(in, MQTT_R_PROTOCOL, "bad reason");
		if (in->p != in->end)
			rc = take_props(in, MQTT_IN(p->type), &p->props);
		else if (p->type == MQTT_AUTH)
			return malformed(in, "AUTH: cut short");
		if (rc != 0)
			return rc;
		if (p->type == MQTT_AUTH &&
		    !mqtt_has(&p->props, MQTT_P_AUTH_METHOD))
			return bad(in, MQTT_R_PROTOCOL, "AUTH: no method");
	}
	if (in->p != in->end)
		return malformed(in, "bytes left over");
	p->code = code;
	return 0;
}

static int
parse_body(struct reader *in, struct mqtt_packet *p)
{
	int rc;

	switch (p->type) {
	case MQTT_CONNECT:
		return parse_connect(in, p);
	case MQTT_CONNACK:
		return parse_connack(in, p);
	case MQTT_PUBLISH:
		return parse_publish(in, p);
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
		rc = take_id(in, p);
		return rc == 0 ? take_reason(in, p) : rc;
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		return parse_filters(in, p);
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		return parse_suback(in, p);
	case MQTT_DISCONNECT:
	case MQTT_AUTH:
		return take_reason(in, p);
	case MQTT_PINGREQ:
	case MQTT_PINGRESP:
		break;
	}
	return in->p == in->end ? 0 : malformed(in, "should be empty, is not");
}

/* [2.1.3-1] */
static bool
flags_ok(unsigned type, uint8_t flags, uint8_t level)
{
	switch (type) {
	case MQTT_PUBLISH:
		return (flags & 6) != 6 && (flags & 0xe) != 8;
	case MQTT_PUBREL:
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		return flags == 2;
	case 0:
		return false;
	case MQTT_AUTH:
		return flags == 0 && level == 5;
	default:
		return flags == 0;
	}
}

int
mqtt_parse(struct str in, uint8_t level, size_t max, struct mqtt_packet *ret,
    size_t *len, struct err *err)
{
	struct reader body = { .level = level, .ret = ret, .err = err };
	const uint8_t *p = (const uint8_t *)in.ptr;
	size_t remaining = 0, head = 1;
	int rc;

	*len = 2;
	if (in.len == 0)
		return ERR_AGAIN;
	ret->type = (enum mqtt_type)(p[0] >> 4);
	ret->props.has = 0;
	ret->props.raw = STR_NULL;
	body.flags = p[0] & 15;
	if (!flags_ok(ret->type, body.flags, level))
		return malformed(&body, "reserved packet type or flags");

	for (unsigned shift = 0;; shift += 7) {
		if (head == MQTT_HEAD_MAX) /* [1.5.5] four bytes at most */
			return malformed(&body, "bad remaining length");
		if (head == in.len) {
			*len = head + 1;
			return ERR_AGAIN;
		}
		remaining |= (size_t)(p[head] & 0x7f) << shift;
		if (!(p[head++] & 0x80))
			break;
	}

	if (head + remaining > max) {
		ret->code = MQTT_R_TOO_LARGE;
		return err_set(err, ERR_LIMIT,
		    "packet of %zu bytes, at most %zu", head + remaining, max);
	}
	*len = head + remaining;
	if (in.len < *len)
		return ERR_AGAIN;

	body.p = p + head;
	body.end = p + *len;
	rc = parse_body(&body, ret);
	if (rc == 0 && body.level == 5 && head > 2 && p[head - 1] == 0)
		return malformed(&body, "bad remaining length"); /* [1.5.5-1] */
	return rc;
}

bool
mqtt_next_filter(struct str *rest, enum mqtt_type type, struct mqtt_filter *ret)
{
	struct reader in = reader_of(*rest);
	uint8_t options = 0;

	if (!take_bytes(&in, &ret->filter))
		return false;
	if (type == MQTT_SUBSCRIBE && !take_u8(&in, &options))
		return false;
	ret->qos = options & 3;
	ret->no_local = options & 4;
	ret->retain_as_published = options & 8;
	ret->retain_handling = options >> 4 & 3;
	*rest = left(&in);
	return true;
}

/* Steps over one property and tells which. False at the end. */
static bool
skip_property(struct reader *in, uint32_t *id)
{
	static const uint8_t size[] = {
		[MQTT_BIT] = 1, [MQTT_U16] = 2, [MQTT_U32] = 4
	};
	const struct mqtt_property_row *k;
	struct str text;
	uint32_t n;

	if (!take_varint(in, id))
		return false;
	k = mqtt_property_row(*id);
	switch (k->kind) {
	case MQTT_VARINT:
		return take_varint(in, &n);
	case MQTT_TEXT:
	case MQTT_BYTES:
		return take_bytes(in, &text);
	case MQTT_PAIR:
		return take_bytes(in, &text) && take_bytes(in, &text);
	default:
		if (k->where == 0 || in->end - in->p < size[k->kind])
			return false;
		in->p += size[k->kind];
		return true;
	}
}

/* Goes to the value of the next property `which`, and `*rest` behind it. */
static bool
find_property(struct str *rest, enum mqtt_property which, struct reader *value)
{
	struct reader in = reader_of(*rest);
	const uint8_t *start = in.p;
	uint32_t id;

	for (; skip_property(&in, &id); start = in.p) {
		if (id != which)
			continue;
		*value = (struct reader){ .p = start + 1, .end = in.p };
		*rest = left(&in);
		return true;
	}
	return false;
}

bool
mqtt_next_user(struct str *rest, struct str *name, struct str *value)
{
	struct reader in;

	return find_property(rest, MQTT_P_USER, &in) && take_bytes(&in, name) &&
	    take_bytes(&in, value);
}

bool
mqtt_next_sub_id(struct str *rest, uint32_t *id)
{
	struct reader in;

	return find_property(rest, MQTT_P_SUB_ID, &in) && take_varint(&in, id);
}

void
mqtt_kept_props(struct str raw, struct buf *out)
{
	const uint64_t kept = 1ull << MQTT_P_PAYLOAD_FORMAT |
	    1ull << MQTT_P_CONTENT_TYPE | 1ull << MQTT_P_RESPONSE_TOPIC |
	    1ull << MQTT_P_CORRELATION | 1ull << MQTT_P_USER;
	struct reader in = reader_of(raw);
	const uint8_t *start = in.p;
	uint32_t id;

	for (; skip_property(&in, &id); start = in.p) {
		if (kept >> id & 1)
			buf_add(out, start, (size_t)(in.p - start));
	}
}

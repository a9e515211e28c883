/*
 * codec/mqtt.h - MQTT 5.0, 3.1.1 and 3.1 packets: bytes <-> structs.
 *
 * The parser is given bytes and lends out pieces of them: nothing is copied or
 * allocated. It checks every rule of the standards that can be seen in one
 * packet (flags, lengths, UTF-8, topic and filter syntax, packet ids, protocol
 * name, reserved bits, which property may stand where and how often, reason
 * codes that the packet may carry); rules about the order of packets are the
 * caller's.
 *
 * `level` is the protocol level of CONNECT: 3, 4 or 5. In levels 3 and 4 there
 * are no properties and reasons: encoders leave them out, the parser sets none.
 */
#ifndef CODEC_MQTT_H
#define CODEC_MQTT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mqtt_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK,
	MQTT_PUBLISH,
	MQTT_PUBACK,
	MQTT_PUBREC,
	MQTT_PUBREL,
	MQTT_PUBCOMP,
	MQTT_SUBSCRIBE,
	MQTT_SUBACK,
	MQTT_UNSUBSCRIBE,
	MQTT_UNSUBACK,
	MQTT_PINGREQ,
	MQTT_PINGRESP,
	MQTT_DISCONNECT,
	MQTT_AUTH, /* level 5 */
};

/* Answers to CONNECT in levels 3 and 4. */
enum mqtt_connack {
	MQTT_ACCEPTED,
	MQTT_BAD_LEVEL,
	MQTT_BAD_CLIENT_ID,
	MQTT_UNAVAILABLE,
	MQTT_BAD_PASSWORD,
	MQTT_NOT_AUTHORIZED,
};

/* Reason codes of level 5; [2.4] of its standard. Several names of the standard
 * share a number. */
enum mqtt_reason {
	MQTT_R_OK = 0x00,
	MQTT_R_WITH_WILL = 0x04,
	MQTT_R_NO_MATCH = 0x10,
	MQTT_R_NO_SUBSCRIPTION = 0x11,
	MQTT_R_CONTINUE_AUTH = 0x18,
	MQTT_R_REAUTH = 0x19,
	MQTT_R_UNSPECIFIED = 0x80,
	MQTT_R_MALFORMED = 0x81,
	MQTT_R_PROTOCOL = 0x82,
	MQTT_R_IMPLEMENTATION = 0x83,
	MQTT_R_BAD_VERSION = 0x84,
	MQTT_R_BAD_CLIENT_ID = 0x85,
	MQTT_R_BAD_PASSWORD = 0x86,
	MQTT_R_NOT_AUTHORIZED = 0x87,
	MQTT_R_UNAVAILABLE = 0x88,
	MQTT_R_BUSY = 0x89,
	MQTT_R_BANNED = 0x8a,
	MQTT_R_SHUTTING_DOWN = 0x8b,
	MQTT_R_BAD_AUTH_METHOD = 0x8c,
	MQTT_R_KEEPALIVE = 0x8d,
	MQTT_R_TAKEN_OVER = 0x8e,
	MQTT_R_BAD_FILTER = 0x8f,
	MQTT_R_BAD_TOPIC = 0x90,
	MQTT_R_ID_IN_USE = 0x91,
	MQTT_R_ID_NOT_FOUND = 0x92,
	MQTT_R_RECEIVE_MAX = 0x93,
	MQTT_R_BAD_ALIAS = 0x94,
	MQTT_R_TOO_LARGE = 0x95,
	MQTT_R_RATE = 0x96,
	MQTT_R_QUOTA = 0x97,
	MQTT_R_ADMIN = 0x98,
	MQTT_R_BAD_PAYLOAD = 0x99,
	MQTT_R_NO_RETAIN = 0x9a,
	MQTT_R_NO_QOS = 0x9b,
	MQTT_R_USE_ANOTHER = 0x9c,
	MQTT_R_MOVED = 0x9d,
	MQTT_R_NO_SHARED = 0x9e,
	MQTT_R_CONNECT_RATE = 0x9f,
	MQTT_R_CONNECT_TIME = 0xa0,
	MQTT_R_NO_SUB_IDS = 0xa1,
	MQTT_R_NO_WILDCARD = 0xa2,
};

/* A few words, such as "session taken over". */
const char *mqtt_reason_text(uint8_t code);

#define MQTT_SUB_FAILED 0x80 /* in SUBACK of level 4 */
#define MQTT_TEXT_MAX 65535u /* bytes of a topic, a client id, ... */
#define MQTT_REMAINING_MAX 268435455u
#define MQTT_HEAD_MAX 5u /* bytes before what "remaining length" counts */
#define MQTT_EXPIRY_NEVER UINT32_MAX /* as session expiry */

/* Properties of level 5: their identifiers, which all are below 64. */
enum mqtt_property {
	MQTT_P_PAYLOAD_FORMAT = 1,
	MQTT_P_MESSAGE_EXPIRY = 2,
	MQTT_P_CONTENT_TYPE = 3,
	MQTT_P_RESPONSE_TOPIC = 8,
	MQTT_P_CORRELATION = 9,
	MQTT_P_SUB_ID = 11,
	MQTT_P_SESSION_EXPIRY = 17,
	MQTT_P_CLIENT_ID = 18,
	MQTT_P_KEEPALIVE = 19,
	MQTT_P_AUTH_METHOD = 21,
	MQTT_P_AUTH_DATA = 22,
	MQTT_P_WANT_PROBLEM = 23,
	MQTT_P_WILL_DELAY = 24,
	MQTT_P_WANT_RESPONSE = 25,
	MQTT_P_RESPONSE_INFO = 26,
	MQTT_P_SERVER_REFERENCE = 28,
	MQTT_P_REASON = 31,
	MQTT_P_RECEIVE_MAX = 33,
	MQTT_P_ALIAS_MAX = 34,
	MQTT_P_ALIAS = 35,
	MQTT_P_MAX_QOS = 36,
	MQTT_P_HAS_RETAIN = 37,
	MQTT_P_USER = 38,
	MQTT_P_MAX_PACKET = 39,
	MQTT_P_HAS_WILDCARD = 40,
	MQTT_P_HAS_SUB_IDS = 41,
	MQTT_P_HAS_SHARED = 42,
};

/* The properties of one packet. `has` has the bit 1 << identifier of each that
 * is there; nothing else is set then. Several numbers share a member where no
 * packet may have both. */
struct mqtt_props {
	uint64_t has;
	uint32_t message_expiry_s;
	uint32_t session_expiry_s;
	uint32_t will_delay_s;
	uint32_t max_packet;  /* never 0 */
	uint32_t sub_id;      /* the last one; never 0 */
	uint16_t keepalive_s; /* the server's */
	uint16_t receive_max; /* never 0 */
	uint16_t alias_max;
	uint16_t alias; /* never 0 is not checked: that is reason 0x94 */
	uint8_t payload_format;
	uint8_t max_qos;
	bool want_problem, want_response;
	bool has_retain, has_wildcard, has_sub_ids, has_shared;
	struct str content_type;
	struct str response_topic; /* a well-formed topic name */
	struct str correlation;
	struct str client_id; /* assigned */
	struct str auth_method, auth_data;
	struct str response_info, server_reference, reason;
	struct str raw; /* all properties as they stand, without their length;
			 * for mqtt_next_user() and mqtt_kept_props() */
};

static inline bool
mqtt_has(const struct mqtt_props *p, enum mqtt_property id)
{
	return p->has >> id & 1;
}

/* Takes the next user property from `*rest` (a copy of `raw`), in their order.
 * False at the end. */
bool mqtt_next_user(struct str *rest, struct str *name, struct str *value);
/* The same for subscription identifiers. */
bool mqtt_next_sub_id(struct str *rest, uint32_t *id);
/* Adds those properties of a PUBLISH or will that every receiver gets as they
 * are, in their order: payload format, content type, response topic,
 * correlation data, user properties. */
void mqtt_kept_props(struct str raw, struct buf *out);

/* What CONNECT says. A text that is absent is STR_NULL. */
struct mqtt_connect {
	uint8_t level;  /* 3, 4 or 5; if not `supported`, what was asked */
	bool supported; /* false: nothing below is set; answer MQTT_BAD_LEVEL */
	bool clean;     /* clean session, clean start */
	bool bridge;    /* level 4 or 3 with bit 7 set, as bridges do */
	bool will;
	uint8_t will_qos;
	bool will_retain;
	uint16_t keepalive_s;
	struct str client_id; /* may be empty */
	struct str will_topic;
	struct str will_payload;
	struct str user;
	struct str password; /* any bytes */
	struct mqtt_props will_props;
};

/* One filter of SUBSCRIBE with its options. */
struct mqtt_filter {
	struct str filter;
	uint8_t qos;
	bool no_local;
	bool retain_as_published;
	uint8_t retain_handling; /* 0 send, 1 only if new, 2 do not */
};

/* One packet. Only what belongs to its type is set; texts point into the bytes
 * it was read from. `props.has` and `props.raw` are always set. */
struct mqtt_packet {
	enum mqtt_type type;
	uint16_t id;  /* never 0; not set in PUBLISH of QoS 0 */
	uint8_t code; /* CONNACK, PUBACK ... PUBCOMP, DISCONNECT, AUTH: the
		       * answer or reason; 0 if left out */

	bool dup; /* PUBLISH */
	bool retain;
	uint8_t qos;
	struct str topic; /* empty in level 5: props.alias says which */
	struct str payload;

	struct str filters; /* (UN)SUBSCRIBE: for mqtt_next_filter() */
	unsigned n_filters;
	struct str codes; /* SUBACK, UNSUBACK of level 5: a byte each, checked
			   */

	bool session_present; /* CONNACK */

	struct mqtt_connect connect;
	struct mqtt_props props;
};

/* Reads the packet at the start of `in`. 0: it is whole, `*len` bytes long.
 * ERR_AGAIN: `*len` is how many bytes there must be before it is worth trying
 * again. ERR_PROTO: it breaks a rule, ret->code is the reason (MALFORMED,
 * PROTOCOL, BAD_TOPIC, ...) and ret->type the type, if known, else 0.
 * ERR_LIMIT: it is, or will be, longer than `max` bytes. Errors are found as
 * early as the bytes allow. Before CONNECT `level` is 0; CONNECT tells its own.
 *
 * In level 5 a filter may be any UTF-8 but the empty text: a bad one is refused
 * alone, in SUBACK, by who serves it. A CONNACK with a code of level 4 is taken
 * in level 5 too: so servers answer that do not know it. DISCONNECT may have a
 * reason that only the other side may give. */
int mqtt_parse(struct str in, uint8_t level, size_t max,
    struct mqtt_packet *ret, size_t *len, struct err *err);

/* Takes the next filter of a (UN)SUBSCRIBE from `*rest` (a copy of its
 * `filters`). False at the end. */
bool mqtt_next_filter(
    struct str *rest, enum mqtt_type type, struct mqtt_filter *ret);

/* UTF-8 without U+0000 or surrogates, at most MQTT_TEXT_MAX bytes. */
bool mqtt_text_ok(struct str s);
/* The same, not empty and without wildcards. */
bool mqtt_topic_ok(struct str topic);
/* The same, not empty, "+" only as a whole level, "#" only as the last. */
bool mqtt_filter_ok(struct str filter);
bool mqtt_has_wildcard(struct str filter);
unsigned mqtt_levels(struct str topic);
/* Both must be well-formed. A wildcard at the start does not match "$...". */
bool mqtt_filter_matches(struct str filter, struct str topic);

/* Splits "$share/GROUP/FILTER". 0: it is one, well-formed. ERR_NOT_FOUND: it
 * is an ordinary filter. ERR_PARAM: it begins with "$share/" and is malformed.
 */
int mqtt_share_split(struct str filter, struct str *group, struct str *ret);

/* Encoders add one packet to `out`. Texts must be within MQTT_TEXT_MAX, and
 * well-formed: that is not checked again. `props` may be NULL: none. */

/* Writes what `has` names, and `raw` (if not empty) as it is behind that:
 * kept or user properties. Adds the length in front. */
void mqtt_put_props(struct buf *out, const struct mqtt_props *props);
/* Adds one user property, without length, as for `raw`. */
void mqtt_put_user(struct buf *out, struct str name, struct str value);

void mqtt_put_connect(struct buf *out, const struct mqtt_connect *c,
    const struct mqtt_props *props);
void mqtt_put_connack(struct buf *out, uint8_t level, bool session_present,
    uint8_t code, const struct mqtt_props *props);
/* PUBACK, PUBREC, PUBREL, PUBCOMP; in the short form where that says it all. */
void mqtt_put_ack(struct buf *out, uint8_t level, enum mqtt_type type,
    uint16_t id, uint8_t code, const struct mqtt_props *props);
/* PINGREQ, PINGRESP */
void mqtt_put_empty(struct buf *out, enum mqtt_type type);
/* DISCONNECT, AUTH; in levels 3 and 4 a bare DISCONNECT */
void mqtt_put_end(struct buf *out, uint8_t level, enum mqtt_type type,
    uint8_t code, const struct mqtt_props *props);
/* SUBACK, UNSUBACK; UNSUBACK has codes in level 5 only */
void mqtt_put_suback(struct buf *out, uint8_t level, enum mqtt_type type,
    uint16_t id, const uint8_t *codes, size_t n,
    const struct mqtt_props *props);
/* SUBSCRIBE, UNSUBSCRIBE */
void mqtt_put_subscribe(struct buf *out, uint8_t level, enum mqtt_type type,
    uint16_t id, const struct mqtt_filter *filters, size_t n,
    const struct mqtt_props *props);

/* What a PUBLISH is besides its topic, properties and payload. */
struct mqtt_publish_flags {
	uint8_t qos;
	bool dup;
	bool retain;
	uint16_t id; /* unused with QoS 0 */
};

/* False, with nothing added, if the packet would be longer than MQTT can say.
 */
bool mqtt_put_publish(struct buf *out, uint8_t level,
    struct mqtt_publish_flags f, struct str topic,
    const struct mqtt_props *props, struct str payload);

/* Bytes of a number in MQTT's variable length, 1 to 4, and writing it. */
size_t mqtt_varint_size(uint32_t n);
size_t mqtt_varint_put(uint8_t *p, uint32_t n);
/* Writes only the first byte and the remaining length `body` of a PUBLISH (at
 * most MQTT_HEAD_MAX bytes) and returns how many; for those who keep the rest
 * ready. */
size_t mqtt_publish_head(uint8_t *p, struct mqtt_publish_flags f, size_t body);

#endif

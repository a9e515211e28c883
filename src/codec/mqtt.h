/*
 * codec/mqtt.h - MQTT 3.1.1 (and 3.1) packets: bytes <-> structs.
 *
 * The parser is given bytes and lends out pieces of them: nothing is copied or
 * allocated. It checks every rule of the standard that can be seen in one
 * packet (flags, lengths, UTF-8, topic and filter syntax, packet ids, protocol
 * name, reserved bits); rules about the order of packets are the caller's.
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
};

/* Answers to CONNECT. */
enum mqtt_connack {
	MQTT_ACCEPTED,
	MQTT_BAD_LEVEL,
	MQTT_BAD_CLIENT_ID,
	MQTT_UNAVAILABLE,
	MQTT_BAD_PASSWORD,
	MQTT_NOT_AUTHORIZED,
};

#define MQTT_SUB_FAILED 0x80 /* in SUBACK */
#define MQTT_TEXT_MAX 65535u /* bytes of a topic, a client id, ... */
#define MQTT_REMAINING_MAX 268435455u
#define MQTT_HEAD_MAX 5u /* bytes before what "remaining length" counts */

/* What CONNECT says. A text that is absent is STR_NULL. */
struct mqtt_connect {
	uint8_t level;  /* 3 or 4; if not `supported`, whatever was asked */
	bool supported; /* false: nothing below is set; answer MQTT_BAD_LEVEL */
	bool clean;
	bool will;
	uint8_t will_qos;
	bool will_retain;
	uint16_t keepalive_s;
	struct str client_id; /* may be empty */
	struct str will_topic;
	struct str will_payload;
	struct str user;
	struct str password; /* any bytes */
};

/* One packet. Only what belongs to its type is set; texts point into the bytes
 * it was read from. */
struct mqtt_packet {
	enum mqtt_type type;
	uint16_t id; /* never 0; not set in PUBLISH of QoS 0 */

	bool dup; /* PUBLISH */
	bool retain;
	uint8_t qos;
	struct str topic;
	struct str payload;

	struct str filters; /* (UN)SUBSCRIBE: for mqtt_next_filter() */
	unsigned n_filters;
	struct str codes; /* SUBACK: one byte each, checked */

	bool session_present; /* CONNACK */
	uint8_t code;

	struct mqtt_connect connect;
};

/* Reads the packet at the start of `in`. 0: it is whole, `*len` bytes long.
 * ERR_AGAIN: `*len` is how many bytes there must be before it is worth trying
 * again. ERR_PROTO: it breaks a rule. ERR_LIMIT: it is, or will be, longer than
 * `max` bytes. Both errors are found as early as the bytes allow. */
int mqtt_parse(struct str in, size_t max, struct mqtt_packet *ret, size_t *len,
    struct err *err);

/* Takes the next filter of a (UN)SUBSCRIBE from `*rest` (a copy of its
 * `filters`). `qos` is NULL for UNSUBSCRIBE. False at the end. */
bool mqtt_next_filter(struct str *rest, struct str *filter, uint8_t *qos);

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
 * well-formed: that is not checked again. */
void mqtt_put_connect(struct buf *out, const struct mqtt_connect *c);
void mqtt_put_connack(struct buf *out, bool session_present, uint8_t code);
/* PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK */
void mqtt_put_ack(struct buf *out, enum mqtt_type type, uint16_t id);
/* PINGREQ, PINGRESP, DISCONNECT */
void mqtt_put_empty(struct buf *out, enum mqtt_type type);
void mqtt_put_suback(
    struct buf *out, uint16_t id, const uint8_t *codes, size_t n);
void mqtt_put_subscribe(struct buf *out, uint16_t id, const struct str *filters,
    const uint8_t *qos, size_t n);
void mqtt_put_unsubscribe(
    struct buf *out, uint16_t id, const struct str *filters, size_t n);

/* What a PUBLISH is besides its topic and payload. */
struct mqtt_publish_flags {
	uint8_t qos;
	bool dup;
	bool retain;
	uint16_t id; /* unused with QoS 0 */
};

/* False, with nothing added, if the packet would be longer than MQTT can say.
 */
bool mqtt_put_publish(struct buf *out, struct mqtt_publish_flags f,
    struct str topic, struct str payload);

/* Size of a whole PUBLISH. */
size_t mqtt_publish_size(uint8_t qos, size_t topic_len, size_t payload_len);
/* Writes only the first byte and the remaining length (at most MQTT_HEAD_MAX
 * bytes) and returns how many; for those who keep the rest ready. */
size_t mqtt_publish_head(uint8_t *p, struct mqtt_publish_flags f,
    size_t topic_len, size_t payload_len);

#endif

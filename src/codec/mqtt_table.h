/*
 * codec/mqtt_table.h - what MQTT 5.0 allows where; only for codec/mqtt*.c.
 *
 * What a property is, and where it may stand, is one row of a table; which
 * packets may carry a reason code is one row of another. The parser and the
 * encoders read both.
 */
#ifndef CODEC_MQTT_TABLE_H
#define CODEC_MQTT_TABLE_H

#include "codec/mqtt.h"

enum mqtt_kind {
	MQTT_BIT, /* a byte that is 0 or 1 */
	MQTT_U16,
	MQTT_U32,
	MQTT_VARINT,
	MQTT_TEXT,
	MQTT_BYTES,
	MQTT_PAIR, /* two texts; has no member */
};

enum mqtt_check { MQTT_ANY, MQTT_NOT_ZERO, MQTT_TOPIC };

#define MQTT_IN(type) (1u << (type)) /* a bit per packet type */
#define MQTT_IN_WILL 1u              /* type 0 is no packet */

struct mqtt_property_row {
	uint16_t where;  /* 0: there is no such property */
	uint16_t offset; /* in struct mqtt_props */
	uint8_t kind;
	uint8_t check;
};

/* Never NULL. */
const struct mqtt_property_row *mqtt_property_row(uint32_t id);
/* May a packet of this type carry this reason? */
bool mqtt_reason_ok(enum mqtt_type type, uint8_t code);

#endif

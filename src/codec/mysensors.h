/*
 * codec/mysensors.h - messages of MySensors 2: a line of text, or a topic and a
 * payload.
 *
 *     7;1;1;0;0;21.5         node; child; command; ack; type; payload
 *     prefix/7/1/1/0/0       the same as an MQTT topic, its last five levels
 *
 * Node 0 is the gateway, 255 everybody or nobody; child 255 is the node itself.
 * What `type` means depends on the command: a kind of child (S_...), of value
 * (V_...), of internal message (I_...), or of stream (ST_...).
 */
#ifndef CODEC_MYSENSORS_H
#define CODEC_MYSENSORS_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define MYSENSORS_ALL 255    /* as node: everybody, or one without an id */
#define MYSENSORS_ITSELF 255 /* as child: the node */
#define MYSENSORS_PAYLOAD 25 /* bytes that fit through the air */

enum mysensors_command {
	MYSENSORS_PRESENTATION,
	MYSENSORS_SET,
	MYSENSORS_REQUEST,
	MYSENSORS_INTERNAL,
	MYSENSORS_STREAM,
};

/* Types the program has to do with by name; the others are in the tables. */
enum {
	S_ARDUINO_REPEATER_NODE = 18,
	S_CUSTOM = 23,

	V_TEMP = 0,
	V_STATUS = 2,
	V_CUSTOM = 48,

	I_BATTERY_LEVEL = 0,
	I_TIME = 1,
	I_VERSION = 2,
	I_ID_REQUEST = 3,
	I_ID_RESPONSE = 4,
	I_CONFIG = 6,
	I_SKETCH_NAME = 11,
	I_SKETCH_VERSION = 12,
	I_REBOOT = 13,
	I_GATEWAY_READY = 14,
	I_HEARTBEAT_REQUEST = 18,
	I_PRESENTATION = 19,
	I_DISCOVER_REQUEST = 20,
	I_DISCOVER_RESPONSE = 21,
	I_HEARTBEAT_RESPONSE = 22,
	I_LOCKED = 23,
	I_SIGNAL_REPORT_RESPONSE = 31,
	I_PRE_SLEEP_NOTIFICATION = 32,
	I_POST_SLEEP_NOTIFICATION = 33,

	ST_FIRMWARE_CONFIG_REQUEST = 0,
	ST_FIRMWARE_CONFIG_RESPONSE = 1,
	ST_FIRMWARE_REQUEST = 2,
	ST_FIRMWARE_RESPONSE = 3,
};

struct mysensors_message {
	uint8_t node, child;
	enum mysensors_command command;
	bool ack; /* asks for an echo, or is one */
	uint8_t type;
	struct str payload; /* lent; "" for none */
};

/* Reads a line without its "\n" (a "\r" at its end is cut). ERR_PROTO: it is
 * none; every part must be there and in its range, a payload has no line ends
 * and no NUL. The payload may have any length. */
int mysensors_from_line(
    struct str line, struct mysensors_message *ret, struct err *err);
/* The same from the last five levels of a topic. */
int mysensors_from_topic(struct str topic, struct str payload,
    struct mysensors_message *ret, struct err *err);

/* Adds the line, without an end. Any message that was read can be written. */
void mysensors_to_line(struct buf *out, const struct mysensors_message *m);
/* Adds "7/1/1/0/0". */
void mysensors_to_topic(struct buf *out, const struct mysensors_message *m);

/* May it be sent? ERR_PARAM: its payload has line ends, or is too long for the
 * air (of a stream's hex digits two are one byte). */
int mysensors_can_send(const struct mysensors_message *m, struct err *err);

/* --- what types are called ----------------------------------------------- */

struct mysensors_value {
	const char *name;        /* "V_TEMP" */
	const char *metric_type; /* "gauge_float", "binary", "string", "none" */
	const char *unit;        /* NULL: none */
};

#define MYSENSORS_CHILDREN 40
#define MYSENSORS_VALUES 57
#define MYSENSORS_INTERNALS 34
#define MYSENSORS_STREAMS 4

/* By type. One that is not known is S_CUSTOM or V_CUSTOM. */
const char *mysensors_child_name(uint8_t type);
const struct mysensors_value *mysensors_value_of(uint8_t type);
/* By the name, in any case. -1: there is none. */
int mysensors_value_type(struct str name);
/* NULL: not known. */
const char *mysensors_internal_name(uint8_t type);
const char *mysensors_stream_name(uint8_t type);

#endif

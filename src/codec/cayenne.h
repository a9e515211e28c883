/*
 * codec/cayenne.h - Cayenne Low Power Payload: values of sensors in few bytes.
 *
 * A payload is a row of values, each `channel, type, bytes` (big-endian); the
 * type says how many bytes and what they mean. As JSON a value is the member
 * TYPE_CHANNEL: {"temperature_1": 27.2, "presence_2": true,
 * "gps_3": {"latitude": 42.3519, "longitude": -87.9094, "altitude": 10}}.
 */
#ifndef CODEC_CAYENNE_H
#define CODEC_CAYENNE_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define CAYENNE_PARTS 3

struct cayenne_type {
	uint8_t id;
	const char *name;
	const char *unit; /* NULL: none */
	bool boolean;     /* true or false as JSON */
	uint8_t size;     /* bytes of each part */
	bool is_signed;
	/* The number in the bytes is the value times this; 0: there is no such
	 * part. */
	int32_t div[CAYENNE_PARTS];
	const char *parts[CAYENNE_PARTS]; /* names; NULL: there is only one */
};

/* All types; a row without a name ends. */
extern const struct cayenne_type cayenne_types[];

struct cayenne_value {
	uint8_t channel;
	const struct cayenne_type *type;
	double parts[CAYENNE_PARTS];
};

/* Cuts the next value from the front of `*rest`: 1; 0 at its end; ERR_PROTO
 * when the type is not known or bytes are missing. */
int cayenne_next(struct str *rest, struct cayenne_value *ret, struct err *err);
/* ERR_PARAM: a part does not fit into its bytes; nothing was added. */
int cayenne_put(
    struct buf *out, const struct cayenne_value *v, struct err *err);

/* A payload as a JSON object, and back. On an error nothing was added.
 * Decoding: ERR_PROTO, also when one type comes twice on a channel. Encoding:
 * ERR_PARAM; members go in the order they have. */
int cayenne_decode(struct str bytes, struct buf *json, struct err *err);
int cayenne_encode(struct str json, struct buf *bytes, struct err *err);

#endif

/*
 * codec/websocket.h - the frames of WebSocket (RFC 6455), without the HTTP
 * before them and without any extension.
 */
#ifndef CODEC_WEBSOCKET_H
#define CODEC_WEBSOCKET_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum websocket_opcode {
	WEBSOCKET_MORE = 0x0, /* of the message that was begun */
	WEBSOCKET_TEXT = 0x1,
	WEBSOCKET_BINARY = 0x2,
	WEBSOCKET_CLOSE = 0x8, /* from here on: control */
	WEBSOCKET_PING = 0x9,
	WEBSOCKET_PONG = 0xa,
};

/* Why a connection is closed. */
enum websocket_code {
	WEBSOCKET_NORMAL = 1000,
	WEBSOCKET_AWAY = 1001, /* the server ends */
	WEBSOCKET_PROTOCOL = 1002,
	WEBSOCKET_UNSUPPORTED = 1003,
	WEBSOCKET_NO_CODE = 1005, /* never sent: the close had none */
	WEBSOCKET_INVALID = 1007,
	WEBSOCKET_TOO_BIG = 1009,
};

#define WEBSOCKET_HEAD_MAX 14     /* bytes */
#define WEBSOCKET_CONTROL_MAX 125 /* bytes of a control frame's payload */

struct websocket_head {
	enum websocket_opcode opcode;
	bool fin;    /* the message ends with this frame */
	bool masked; /* true in all frames of clients, in no other */
	uint8_t mask[4];
	uint64_t len; /* of the payload */
};

static inline bool
websocket_is_control(enum websocket_opcode opcode)
{
	return opcode >= WEBSOCKET_CLOSE;
}

/* Reads the head at the start of `in`, which is said to come from a client or
 * from a server. Returns 0 and in `*len` its length; ERR_AGAIN if its end is
 * not there yet; ERR_PROTO if it breaks a rule that one frame alone can break
 * (masking, reserved bits and opcodes, lengths written too long, control frames
 * in pieces or over 125 bytes). */
int websocket_parse(struct str in, bool client, struct websocket_head *ret,
    size_t *len, struct err *err);

/* Writes a head, in the shortest form, and returns its length. */
size_t websocket_put(
    char p[WEBSOCKET_HEAD_MAX], const struct websocket_head *h);

/* Masks, or unmasks, bytes that begin `at` bytes after the payload's start. */
void websocket_mask(void *p, size_t len, const uint8_t mask[4], uint64_t at);

/* Reads the payload of a close frame: the code (WEBSOCKET_NO_CODE: empty). An
 * error is the code to answer with, negated. */
int websocket_close_code(struct str payload);

#endif

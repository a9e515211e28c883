/*
 * net/ws_text.h - a WebSocket of messages without its socket: what was read
 * goes in, messages and control frames come out.
 *
 * It never waits and never writes; who uses it answers pings and closes.
 */
#ifndef NET_WS_TEXT_H
#define NET_WS_TEXT_H

#include "base/str.h"
#include "codec/websocket.h"

#include <stdbool.h>
#include <stdint.h>

struct ws_text {
	/* set by the owner */
	size_t max;  /* bytes of a message */
	bool binary; /* binary messages are taken, too */
	bool client; /* we are the client: the peer does not mask */
	/* its own */
	struct buf raw; /* read, not yet looked at... */
	size_t at;      /* ...from here on */
	struct buf message, control;
	struct websocket_head head;
	uint64_t left; /* bytes of the frame's payload that did not come */
	bool in_frame, in_message, whole, is_binary;
};

/* Adds bytes that were read; copied. */
void ws_text_put(struct ws_text *w, const void *bytes, size_t len);

/* What comes next: 1 and in `*kind` WEBSOCKET_TEXT (a whole message, which is
 * UTF-8), BINARY (where they are taken), PING, PONG or CLOSE, with its payload,
 * lent until the next call; 0 when more bytes are needed. Negative: the peer
 * broke a rule; it is the code to close with, negated, and nothing more is
 * read. */
int ws_text_next(
    struct ws_text *w, enum websocket_opcode *kind, struct str *payload);

/* Zeroes what was read, as it may hold secrets. */
void ws_text_fini(struct ws_text *w);

#endif

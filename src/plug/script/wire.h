/*
 * plug/script/wire.h - what pool and helper say to each other over two pipes.
 *
 * A frame is 4 bytes length of its body, 1 byte kind, body. Bodies are numbers
 * (little endian) and texts (4 bytes length, bytes), read in the order they
 * were put. The pool trusts nothing that a helper says: a frame that is too
 * long or a body that is not what it should be ends the helper.
 *
 *     pool to helper   SOURCE  u32 slot, text
 *                      CALL    u32 seq, u32 slot, u8 entry, u8 flags,
 *                              text argument,
 *                              u32 n, n times (text name, text JSON)
 *                      ANSWER  text JSON: {"status", "headers", "body"}, or
 *                              {"error"}
 *     helper to pool   READY   nothing: it is shut in and waits
 *                      FAILED  text why it cannot start
 *                      RESULT  u32 seq, u8 good, u8 code, u32 line,
 *                              text console, text JSON or sentence
 *                      ASK     u32 seq, u8 insecure, u32 timeout, text method,
 *                              text url, text headers, text body
 *
 * Beside the pipes both have one page of memory, `struct wire_mark`, where the
 * helper notes which call it is in.
 */
#ifndef PLUG_SCRIPT_WIRE_H
#define PLUG_SCRIPT_WIRE_H

#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_kind {
	WIRE_DONE, /* a frame that was read already */
	WIRE_SOURCE,
	WIRE_CALL,
	WIRE_ANSWER,
	WIRE_READY,
	WIRE_FAILED,
	WIRE_RESULT,
	WIRE_ASK,
};

#define WIRE_HEAD 5
#define WIRE_SLOTS 32u /* sources that a helper keeps */
#define WIRE_MARK_FD 3

#define WIRE_BOTH_SPELLINGS 1u

enum wire_code { WIRE_PARAM, WIRE_MISSING, WIRE_LIMIT };

struct wire_mark {
	_Atomic uint32_t seq; /* 0: none */
};

/* A frame being written: wire_begin(), then numbers and texts, wire_end(). */
size_t wire_begin(struct buf *b, enum wire_kind kind);
void wire_u8(struct buf *b, uint8_t n);
void wire_u32(struct buf *b, uint32_t n);
void wire_text(struct buf *b, struct str s);
void wire_end(struct buf *b, size_t begin);

/* The body that is left to be read. */
struct wire {
	const char *p, *end;
	bool bad; /* something was read that was not there */
};

struct wire_frame {
	enum wire_kind kind;
	struct wire body;
	size_t size; /* with its head */
};

/* 1 and a frame, lent from `bytes`; 0 when it is not all there; ERR_PROTO when
 * its body is longer than `max`. */
int wire_next(struct str bytes, size_t max, struct wire_frame *ret);

uint8_t wire_get_u8(struct wire *w);
uint32_t wire_get_u32(struct wire *w);
struct str wire_get_text(struct wire *w);
/* All was read and nothing was missing. */
bool wire_done(const struct wire *w);

/* What a helper says, checked. Texts are lent from the frame. */
struct wire_result {
	uint32_t seq;
	bool good;
	uint8_t code;
	uint32_t line;
	struct str console, text;
};

struct wire_ask {
	uint32_t seq;
	bool insecure;
	uint32_t timeout;
	struct str method, url, headers, body;
};

/* False: not what it should be; texts must be UTF-8. */
bool wire_read_result(struct wire w, struct wire_result *ret);
bool wire_read_ask(struct wire w, struct wire_ask *ret);

#endif

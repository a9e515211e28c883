/*
 * codec/websocket.c - see websocket.h.
 *
 *      0                   1
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
 *     +-+-+-+-+-------+-+-------------+   then, if len is 126, 2 bytes of
 *     |F|R|R|R|opcode |M|     len     |   length, if it is 127, 8; then, if M,
 *     +-+-+-+-+-------+-+-------------+   4 bytes of mask; then the payload
 */
#include "codec/websocket.h"

#include "base/base.h"

#include <string.h>

#define FIN 0x80u
#define RESERVED 0x70u
#define OPCODE 0x0fu
#define MASKED 0x80u
#define LEN 0x7fu
#define LEN_16 126
#define LEN_64 127

static uint64_t
get_big_endian(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static bool
known(unsigned opcode)
{
	return opcode <= WEBSOCKET_BINARY ||
	    (opcode >= WEBSOCKET_CLOSE && opcode <= WEBSOCKET_PONG);
}

/* What the first two bytes alone can break. */
static int
check(const uint8_t *p, bool client, struct err *err)
{
	unsigned opcode = p[0] & OPCODE;

	if (p[0] & RESERVED)
		return err_set(err, ERR_PROTO, "reserved bits in a frame");
	if (!known(opcode))
		return err_set(err, ERR_PROTO, "unknown opcode %u", opcode);
	if (((p[1] & MASKED) != 0) != client)
		return err_set(err, ERR_PROTO,
		    client ? "a frame without a mask" : "a frame with a mask");
	if (websocket_is_control(opcode) &&
	    (!(p[0] & FIN) || (p[1] & LEN) > WEBSOCKET_CONTROL_MAX))
		return err_set(
		    err, ERR_PROTO, "a control frame in pieces, or too long");
	return 0;
}

int
websocket_parse(struct str in, bool client, struct websocket_head *ret,
    size_t *len, struct err *err)
{
	const uint8_t *p = (const uint8_t *)in.ptr;
	size_t wide = 0, need;
	uint64_t payload;

	if (in.len < 2)
		return ERR_AGAIN;
	if (check(p, client, err) != 0)
		return ERR_PROTO;
	payload = p[1] & LEN;
	if (payload == LEN_16)
		wide = 2;
	else if (payload == LEN_64)
		wide = 8;
	need = 2 + wide + (client ? 4 : 0);
	if (in.len < need)
		return ERR_AGAIN;
	if (wide > 0)
		payload = get_big_endian(p + 2, wide);
	if ((wide == 2 && payload < LEN_16) ||
	    (wide == 8 && payload <= UINT16_MAX) || payload > INT64_MAX)
		return err_set(err, ERR_PROTO, "a length in the wrong form");
	*ret = (struct websocket_head){ .opcode = p[0] & OPCODE,
		.fin = p[0] & FIN,
		.masked = client,
		.len = payload };
	if (client)
		memcpy(ret->mask, p + 2 + wide, 4);
	*len = need;
	return 0;
}

size_t
websocket_put(char p[WEBSOCKET_HEAD_MAX], const struct websocket_head *h)
{
	size_t wide = h->len < LEN_16 ? 0 : h->len <= UINT16_MAX ? 2 : 8;
	unsigned len = wide == 0 ? (unsigned)h->len
	    : wide == 2          ? LEN_16
				 : LEN_64;
	size_t n = 2;

	p[0] = (char)((h->fin ? FIN : 0) | h->opcode);
	p[1] = (char)((h->masked ? MASKED : 0) | len);
	for (size_t i = wide; i > 0; i--)
		p[n++] = (char)(h->len >> (8 * (i - 1)));
	if (h->masked) {
		memcpy(p + n, h->mask, 4);
		n += 4;
	}
	return n;
}

void
websocket_mask(void *p, size_t len, const uint8_t mask[4], uint64_t at)
{
	uint8_t *byte = p;
	uint8_t turned[8];
	uint64_t eight, word;

	for (size_t i = 0; i < sizeof(turned); i++)
		turned[i] = mask[(at + i) % 4];
	memcpy(&eight, turned, sizeof(eight));
	for (; len >= sizeof(word); len -= sizeof(word), byte += sizeof(word)) {
		memcpy(&word, byte, sizeof(word));
		word ^= eight;
		memcpy(byte, &word, sizeof(word));
	}
	for (size_t i = 0; i < len; i++)
		byte[i] ^= turned[i];
}

/* Codes that may stand in a frame: those the RFC and its registry name, and
 * those of libraries and applications. */
static bool
may_be_sent(int code)
{
	return (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) ||
	    (code >= 3000 && code <= 4999);
}

int
websocket_close_code(struct str payload)
{
	struct str reason;
	int code;

	if (payload.len == 0)
		return WEBSOCKET_NO_CODE;
	if (payload.len == 1)
		return -WEBSOCKET_PROTOCOL;
	code = (int)get_big_endian((const uint8_t *)payload.ptr, 2);
	if (!may_be_sent(code))
		return -WEBSOCKET_PROTOCOL;
	reason = (struct str){ payload.ptr + 2, payload.len - 2 };
	if (!str_is_utf8(reason))
		return -WEBSOCKET_INVALID;
	return code;
}

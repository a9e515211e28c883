/*
 * codec/sha1.c - see sha1.h; FIPS 180-4, section 6.1.
 */
#include "codec/sha1.h"

#include <string.h>

#define BLOCK 64

static uint32_t
rotate(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

static void
add_block(uint32_t h[5], const unsigned char *p)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (int i = 0; i < 16; i++, p += 4)
		w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
		    (uint32_t)p[2] << 8 | p[3];
	for (int i = 16; i < 80; i++)
		w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (int i = 0; i < 80; i++) {
		uint32_t f, k, next;

		if (i < 20) {
			f = (b & c) | (~b & d);
			k = 0x5a827999;
		} else if (i < 40) {
			f = b ^ c ^ d;
			k = 0x6ed9eba1;
		} else if (i < 60) {
			f = (b & c) | (b & d) | (c & d);
			k = 0x8f1bbcdc;
		} else {
			f = b ^ c ^ d;
			k = 0xca62c1d6;
		}
		next = rotate(a, 5) + f + e + k + w[i];
		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

void
sha1(struct str s, unsigned char digest[SHA1_LEN])
{
	uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
		0xc3d2e1f0 };
	uint64_t bits = (uint64_t)s.len * 8;
	unsigned char end[2 * BLOCK] = { 0 };
	size_t rest, n;

	for (; s.len >= BLOCK; s.ptr += BLOCK, s.len -= BLOCK)
		add_block(h, (const unsigned char *)s.ptr);
	rest = s.len;
	if (rest > 0)
		memcpy(end, s.ptr, rest);
	end[rest] = 0x80;
	n = rest + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
	for (int i = 0; i < 8; i++)
		end[n - 1 - (size_t)i] = (unsigned char)(bits >> (8 * i));
	for (size_t i = 0; i < n; i += BLOCK)
		add_block(h, end + i);
	for (int i = 0; i < SHA1_LEN; i++)
		digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

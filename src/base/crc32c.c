/*
 * base/crc32c.c - eight bytes at a time: by the processor's own instruction
 * where it has one (SSE 4.2), else by eight tables.
 */
#include "base/crc32c.h"

#include <endian.h>
#include <string.h>

#define POLY 0x82f63b78u /* bits reversed */

/* tables[k][b]: what byte `b` does, followed by k zero bytes */
static uint32_t tables[8][256];
static uint32_t (*best)(uint32_t crc, const void *p, size_t len);

uint32_t
crc32c_table(uint32_t crc, const void *p, size_t len)
{
	const uint8_t *at = p;

	crc = ~crc;
	for (; len >= 8; len -= 8, at += 8) {
		uint64_t v;

		memcpy(&v, at, 8);
		v = le64toh(v) ^ crc;
		crc = 0;
		for (int k = 0; k < 8; k++)
			crc ^= tables[7 - k][v >> (8 * k) & 0xff];
	}
	for (; len > 0; len--, at++)
		crc = tables[0][(crc ^ *at) & 0xff] ^ crc >> 8;
	return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t
crc32c_sse42(uint32_t crc, const void *p, size_t len)
{
	const uint8_t *at = p;
	uint64_t c = ~crc;

	for (; len >= 8; len -= 8, at += 8) {
		uint64_t v;

		memcpy(&v, at, 8);
		c = _mm_crc32_u64(c, v);
	}
	for (; len > 0; len--, at++)
		c = _mm_crc32_u8((uint32_t)c, *at);
	return ~(uint32_t)c;
}
#endif

/* Before main(), so that no thread ever meets half a table. */
__attribute__((constructor)) static void
set_up(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t crc = b;

		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? POLY : 0);
		tables[0][b] = crc;
	}
	for (int k = 1; k < 8; k++) {
		for (int b = 0; b < 256; b++) {
			uint32_t crc = tables[k - 1][b];

			tables[k][b] = tables[0][crc & 0xff] ^ crc >> 8;
		}
	}
	best = crc32c_table;
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("sse4.2"))
		best = crc32c_sse42;
#endif
}

uint32_t
crc32c(uint32_t crc, const void *p, size_t len)
{
	return best(crc, p, len);
}

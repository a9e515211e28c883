/*
 * base/varint.c - see varint.h.
 */
#include "base/varint.h"

void
varint_put(struct buf *out, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	while (v >= 0x80) {
		bytes[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	bytes[n++] = (uint8_t)v;
	buf_add(out, bytes, n);
}

bool
varint_get(struct str *in, uint64_t *v)
{
	uint64_t ret = 0;

	for (size_t i = 0; i < in->len && i < 10; i++) {
		uint8_t b = (uint8_t)in->ptr[i];

		ret |= (uint64_t)(b & 0x7f) << (7 * i);
		if (b < 0x80) {
			in->ptr += i + 1;
			in->len -= i + 1;
			*v = ret;
			return true;
		}
	}
	return false;
}

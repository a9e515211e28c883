/*
 * base/varint.h - integers that are mostly small, in few bytes (LEB128).
 */
#ifndef BASE_VARINT_H
#define BASE_VARINT_H

#include "base/str.h"

void varint_put(struct buf *out, uint64_t v);
/* Reads one and cuts it off `*in`. False: there is none. */
bool varint_get(struct str *in, uint64_t *v);

/* Small again, whatever its sign. */
static inline uint64_t
zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t
unzigzag(uint64_t u)
{
	return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

#endif

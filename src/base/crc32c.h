/*
 * base/crc32c.h - CRC-32C (Castagnoli): notices damage, proves nothing against
 * somebody who wants to deceive.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, which is 0 at first: the checksum of two pieces is
 * crc32c(crc32c(0, a), b). [any thread] */
uint32_t crc32c(uint32_t crc, const void *p, size_t len);

/* The same without help of the processor; for the test of both. */
uint32_t crc32c_table(uint32_t crc, const void *p, size_t len);

#endif

/*
 * codec/intel_hex.h - programs as compilers for small machines write them.
 *
 * A line is a record: ":", count of bytes, address, type, bytes, sum, all in
 * hex digits. The bytes of an image are those of the records of type 00.
 */
#ifndef CODEC_INTEL_HEX_H
#define CODEC_INTEL_HEX_H

#include "base/err.h"
#include "base/str.h"

/* Adds the data bytes of `text` in the order it has them; addresses are not
 * looked at. ERR_PARAM, with nothing added, names the line: a broken record, a
 * wrong sum, an end that is missing or is not the end, no data, more than `max`
 * bytes. */
int intel_hex_read(
    struct str text, size_t max, struct buf *bytes, struct err *err);

#endif

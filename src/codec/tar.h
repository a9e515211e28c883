/*
 * codec/tar.h - files one behind the other (ustar), for `tar -x` on another
 * machine.
 */
#ifndef CODEC_TAR_H
#define CODEC_TAR_H

#include "base/str.h"

/* Adds a regular file of root's; `name` has less than 100 bytes. */
void tar_file(
    struct buf *out, const char *name, struct str text, unsigned mode);
void tar_end(struct buf *out);

#endif

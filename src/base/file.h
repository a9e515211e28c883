/*
 * base/file.h - whole files.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/err.h"
#include "base/str.h"

/* Adds what the file holds to `out`; on an error `out` is as before. */
int file_read(const char *path, struct buf *out, struct err *err);

/* Writes a file as a whole: beside its place, flushed, then renamed, so that
 * there is the old one or the new one. */
int file_write(
    const char *path, struct str bytes, unsigned mode, struct err *err);

#endif

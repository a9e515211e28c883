/*
 * base/file.h - whole files.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/err.h"
#include "base/str.h"

/* Adds what the file holds to `out`; on an error `out` is as before. */
int file_read(const char *path, struct buf *out, struct err *err);

#endif

/*
 * base/file.h - whole files.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

/* Adds what the file holds to `out`; on an error `out` is as before. */
int file_read(const char *path, struct buf *out, struct err *err);

/* Is there a file, or a folder, that can be read? */
int file_check(const char *path, struct err *err);

/* Puts `text` into a file that only its owner may read, so that a reader, and a
 * machine whose power is cut at any instant, finds the whole old file or the
 * whole new one. */
int file_write(const char *path, struct str text, struct err *err);
/* The same of a file that others may have to do with: it keeps its owner (if we
 * may give it away) and its mode, and a link to it stays one. Links of other
 * users than root and ourselves are not followed. A new file has mode 0644. */
int file_replace(const char *path, struct str text, struct err *err);

/* Makes the file, with `mode`; until it is whole only its owner may read it.
 * ERR_EXISTS: it is there, and stays. */
int file_create(
    const char *path, struct str text, unsigned mode, struct err *err);

/* Gives a file away. A link is left alone, and so is what is no file: it would
 * be another one that changes its owner. */
int file_give(const char *path, uid_t user, gid_t group, struct err *err);

/* Writes all of it to a descriptor that may block. 0, or -1 and errno. */
int file_write_all(int fd, struct str text);

#endif

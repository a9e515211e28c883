/*
 * core/backup/convert.h - values of MyController as ours.
 */
#ifndef CORE_BACKUP_CONVERT_H
#define CORE_BACKUP_CONVERT_H

#include "base/arena.h"
#include "base/err.h"

/* Any JSON value with its secrets in clear, old names replaced, places in lower
 * case, times of year 1 as null. ERR_DENIED: `secret` does not open what is
 * encrypted in it. The answer is in `a`. */
int mc_convert(struct arena *a, struct str json, struct str secret,
    struct str *ret, struct err *err);
/* A map of variables or parameters; those of old backups, which are texts,
 * become objects. */
int mc_unfold(
    struct arena *a, struct str json, struct str *ret, struct err *err);
/* A text that may be encrypted. */
int mc_decrypt(struct arena *a, struct str text, struct str secret,
    struct str *ret, struct err *err);
/* "GW.Node.Source.Field" with its first two parts in lower case. */
struct str mc_place(struct arena *a, struct str quick);

#endif

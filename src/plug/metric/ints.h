/*
 * plug/metric/ints.h - a column of integers in few bytes.
 *
 * A column is a prediction and what it missed by: the errors are nothing at
 * all, packed bits, or entropy coded (rANS), whatever is smallest. The format
 * is described in docs/decisions/metric-blocks.md.
 *
 * Pure functions; the readers take any bytes.
 */
#ifndef PLUG_METRIC_INTS_H
#define PLUG_METRIC_INTS_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTS_MAX (1u << 20) /* values in a column */

void ints_put(struct buf *out, const int64_t *v, size_t n);
/* Reads `n` values and cuts them off `*in`. False: no such column. */
bool ints_get(struct str *in, int64_t *v, size_t n);

#endif

/*
 * plug/metric/block.h - points of a series, and summaries of them, as bytes.
 *
 * A block stands alone: it holds columns (times, values; of summaries one for
 * each member) behind each other. Numbers come back bit by bit as they were (-0
 * as 0).
 * The format is described in docs/decisions/metric-blocks.md.
 *
 * Pure functions; the readers take any bytes.
 */
#ifndef PLUG_METRIC_BLOCK_H
#define PLUG_METRIC_BLOCK_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

/* Points by strictly increasing time. One of `value` and `text` is used. */
struct points {
	size_t n, cap;
	int64_t *at;
	double *value;
	struct str *text;
};

/* What is kept of the points of a minute or an hour. */
struct summary {
	int64_t at; /* the beginning of the minute or hour */
	int64_t n;
	double min, max, sum, first, last;
	double inc; /* of a counter: what was added from `first` on */
};

#define BLOCK_POINTS_MAX 65536 /* more in one block is a broken block */

void block_put_points(struct buf *out, const struct points *p);
/* `counter`: `inc` is kept too. */
void block_put_rows(
    struct buf *out, const struct summary *row, size_t n, bool counter);

/* Read a whole block; what they give is in `a`. ERR_PROTO: it is broken. */
int block_get_points(
    struct str in, struct arena *a, struct points *ret, struct err *err);
int block_get_rows(struct str in, struct arena *a, struct summary **ret,
    size_t *n, struct err *err);

/* Rounds the sum of values to the digits that they have, so that it needs as
 * few bits as they do. */
double block_round_sum(double sum, const double *v, size_t n);

#endif

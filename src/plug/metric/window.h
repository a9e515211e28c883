/*
 * plug/metric/window.h - the functions of metric_query over points and
 * summaries that come by increasing time.
 */
#ifndef PLUG_METRIC_WINDOW_H
#define PLUG_METRIC_WINDOW_H

#include "plug/metric/block.h"
#include "plug/metric/metric.h"

struct windows {
	const struct metric_query *q; /* borrowed */
	bool counter, sorted;         /* what is needed */

	int64_t end; /* of the window that is being filled; 0: none yet */
	struct summary now;
	bool inc_known, prev_known;
	double prev;       /* counter: the point before */
	struct buf values; /* doubles of this window, if `sorted` */

	struct buf at, out; /* finished windows */
};

/* Zero-initialise before; `q` is checked, and borrowed. */
void windows_init(
    struct windows *w, const struct metric_query *q, enum metric_kind kind);
/* The last point before q->from, if there is one; before all others. */
void windows_before(struct windows *w, double value);
/* Points and summaries outside [from, to) are passed over. */
void windows_points(
    struct windows *w, const int64_t *at, const double *v, size_t n);
void windows_rows(struct windows *w, const struct summary *row, size_t n);
/* Moves the answer into `a`; `ret->tier` is the caller's. */
void windows_end(
    struct windows *w, struct arena *a, struct metric_windows *ret);
void windows_fini(struct windows *w);

/* What a counter added from one value to the next. */
static inline double
counter_step(double from, double to)
{
	return to >= from ? to - from : to;
}

#endif

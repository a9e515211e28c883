/*
 * plug/metric/log.h - what stands in a record of the metric log: a series that
 * is new, points, a series that is gone, or how far a queue was emptied.
 *
 * Every record has a number, one above the last. Pure functions; the readers
 * take any bytes.
 */
#ifndef PLUG_METRIC_LOG_H
#define PLUG_METRIC_LOG_H

#include "plug/metric/metric.h"

enum log_type {
	LOG_SERIES = 1,
	LOG_POINTS,
	LOG_DELETE,
	LOG_SENT, /* points up to this number are not needed here any more */
};

/* Name and labels of a series, as bytes. */
void series_put(struct buf *out, const struct metric_series *s);
/* Fills in name and labels; texts are lent from `in`, the list is in `a`. */
bool series_get(struct str *in, struct arena *a, struct metric_series *s);

void log_put_series(
    struct buf *out, uint64_t seq, const struct metric_series *s);
/* A point has a text if `text.ptr` is not NULL. */
void log_put_points(
    struct buf *out, uint64_t seq, const struct metric_point *p, size_t n);
void log_put_sent(struct buf *out, uint64_t seq);
void log_put_delete(struct buf *out, uint64_t seq, uint32_t series);

/* Reads type and number, and cuts them off. */
bool log_get_head(struct str *in, enum log_type *type, uint64_t *seq);
bool log_get_series(struct str in, struct arena *a, struct metric_series *ret);
/* Reads one point after the other; `*last` starts as zeros and is where the
 * last one is left. 1: there is one; 0: the end; ERR_PROTO. Texts are lent. */
int log_get_point(struct str *in, struct metric_point *last);
bool log_get_delete(struct str in, uint32_t *series);

#endif

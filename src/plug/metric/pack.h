/*
 * plug/metric/pack.h - moves points into the blocks of the database, and older
 * ones from tier to tier.
 *
 *  (1) Every point that was packed is in a raw block, until clean_series()
 *      moves it: then it is in a row of a minute. So raw and minute together
 *      have each point once.
 *  (2) Every point that was packed is in a row of an hour, until the row is
 *      too old.
 *  (3) Hours from `raw_floor` on have all their points in raw blocks; what
 *      comes late for an older one is added to its row.
 *
 * A damaged block is set aside when it would be written again, so that it holds
 * up nobody; until then its readers are told.
 *
 * Small blocks are joined with the one before when that is not much larger, so
 * that a point is written again a few times only. The newest row of a tier is
 * a block of its own, since it will change.
 */
#ifndef PLUG_METRIC_PACK_H
#define PLUG_METRIC_PACK_H

#include "plug/metric/block.h"
#include "plug/metric/db.h"

#define PACK_POINTS 16384 /* in a block; the same second is not torn apart */
#define PACK_ROWS 2048

#define MINUTE_MS 60000
#define HOUR_MS 3600000

static inline int64_t
floor_to(int64_t at, int64_t width)
{
	return at / width * width;
}

/* Points by increasing time, each time once, of one series. In a transaction
 * of the writer. Uses `a` for scratch. */
int pack_series(struct db_conn *c, uint32_t series, enum metric_kind kind,
    const struct points *p, int64_t raw_floor, struct arena *a,
    struct err *err);

/* Moves raw blocks that end before `raw` to rows of minutes (all but the newest
 * block), and forgets rows that are older than `minute` and `hour`. */
int clean_series(struct db_conn *c, uint32_t series, enum metric_kind kind,
    int64_t raw, int64_t minute, int64_t hour, struct arena *a,
    struct err *err);

/* The summaries of points, by minute or hour. */
struct summary *rows_of(const struct points *p, int64_t width, bool counter,
    struct arena *a, size_t *n);
/* Two sets of points; where both have a time, `over` wins. In `a`. */
struct points merge_points(
    const struct points *under, const struct points *over, struct arena *a);
/* The part of `p` in [from, to), lent. */
struct points points_between(const struct points *p, int64_t from, int64_t to);

#endif

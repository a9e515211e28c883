/*
 * plug/metric/sqlite.h - the insides of the engine `sqlite`; private to
 * sqlite*.c.
 */
#ifndef PLUG_METRIC_SQLITE_H
#define PLUG_METRIC_SQLITE_H

#include "base/journal.h"
#include "plug/metric/block.h"
#include "plug/metric/commit.h"
#include "plug/metric/db.h"
#include "plug/metric/ops.h"

#include <pthread.h>

/* Points of one series that are in no block yet. */
struct head {
	struct points p; /* in the order they came */
	bool unsorted;   /* that is not the order of time, or a time is there
			  * twice */
};

/* Two generations: one takes points; the other is empty, or being packed. */
struct ser {
	uint32_t id;
	enum metric_kind kind;
	bool gone; /* deleted; freed by the packer */
	struct head head[2];
	struct ser *next_dirty[2]; /* of those with points in the generation */
};

struct gen {
	struct ser *dirty;
	size_t points;
	struct arena text;  /* of points, and descriptions of new series */
	struct buf added;   /* struct metric_series: to be stored */
	struct buf deleted; /* struct ser *: to be removed and freed */
	/* Of the generation that is not taking points any more: */
	uint64_t packed;  /* the last record of the log it has */
	uint64_t segment; /* of the log; older ones are not needed after it */
};

/* What the journal hands back: the host is used while it is opened. */
struct opening {
	struct sqlite *e;
	const struct metric_host *host;
	uint64_t packed; /* records up to it are in the database */
};

struct sqlite {
	struct db *db;
	struct commits log;
	struct opening opening;
	size_t buffer_points;
	int64_t keep_raw, keep_minute, keep_hour;

	pthread_mutex_t lock; /* what follows */
	struct ser **by_id;
	uint32_t end, cap;
	struct gen gen[2];
	int now;           /* the generation that takes points */
	uint64_t seq;      /* of the last record of the log */
	int64_t raw_floor; /* see pack.h */
	struct buf record; /* for building one */
	bool stop;
	pthread_cond_t wake; /* the packing thread */
	int trouble;
	char why[128];

	pthread_mutex_t pack_lock; /* the writer of `db`; outside `lock` */
	pthread_t packer;
};

static inline struct sqlite *
sqlite_of(struct engine *g)
{
	return (struct sqlite *)(void *)g;
}

/* The points of [from, to) by time, of each time the last that came; in `a`,
 * texts too. */
struct points head_points(
    const struct head *h, int64_t from, int64_t to, struct arena *a);

/* Frees the points; the head is empty then. */
void head_clear(struct head *h);
void ser_free(struct ser *s); /* NULL is fine */

/* The packing thread; `arg` is the engine. */
void *sqlite_packer(void *arg);
int sqlite_pack(struct engine *g, struct err *err);
int sqlite_clean(struct engine *g, int64_t now, struct err *err);

int sqlite_read(struct engine *g, const struct metric_series *s, int64_t from,
    int64_t to, metric_visit *visit, void *ctx, struct err *err);
int sqlite_last(struct engine *g, const struct metric_series *s,
    struct arena *a, struct metric_point *ret, struct err *err);
int sqlite_windows(struct engine *g, const struct metric_series *s,
    const struct metric_query *q, struct arena *a, struct metric_windows *ret,
    struct err *err);

#endif

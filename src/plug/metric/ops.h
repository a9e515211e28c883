/*
 * plug/metric/ops.h - what an engine implements, and what it is given.
 *
 * metric.c stands before every engine: it knows the series (names, labels,
 * kinds), finds them by matchers, checks points and queries, and computes
 * windows for engines that have no way of their own. An engine keeps points by
 * the number of their series. Private to this folder.
 */
#ifndef PLUG_METRIC_OPS_H
#define PLUG_METRIC_OPS_H

#include "plug/metric/metric.h"

struct engine; /* never defined: each engine has its own behind it */

/* While it is opened an engine says which series it remembers. */
struct metric_host {
	/* Copies `s`. ERR_PROTO: it can not be. */
	int (*known)(
	    void *owner, const struct metric_series *s, struct err *err);
	/* It was deleted after all. */
	void (*gone)(void *owner, uint32_t id);
	/* The numbers below were used; new series get others. */
	void (*used)(void *owner, uint32_t below);
	void *owner;
};

/* A NULL function: the engine can not, or need not; metric.c says what happens
 * then. All may be called by several threads at once, but add() comes alone,
 * without add() or write() beside it. */
struct metric_ops {
	const char *name; /* as in the settings */

	/* `path` is whole; settings and path are copied. May block. */
	int (*open)(const struct metric_settings *set, const char *path,
	    const struct metric_host *host, struct engine **ret,
	    struct err *err);
	/* Writes out, commits, and frees everything. May block. */
	void (*close)(struct engine *g);

	/* A new series, whose number is one above the last. It lives as long
	 * as the engine or until remove() returns. Never blocks. NULL: it need
	 * not know. */
	int (*add)(
	    struct engine *g, const struct metric_series *s, struct err *err);
	/* The series is not written to any more. May block. */
	int (*remove)(
	    struct engine *g, const struct metric_series *s, struct err *err);

	/* Points are of known series, finite, and in range. Never blocks. */
	int (*write)(struct engine *g, const struct metric_point *p, size_t n,
	    struct metric_commit *commit, struct err *err);
	int (*flush)(struct engine *g, struct err *err); /* NULL: nothing is
							  * to be done */

	/* NULL: there are no points. `s` is a copy, lent. */
	int (*read)(struct engine *g, const struct metric_series *s,
	    int64_t from, int64_t to, metric_visit *visit, void *ctx,
	    struct err *err);
	/* NULL: found by reading everything. */
	int (*last)(struct engine *g, const struct metric_series *s,
	    struct arena *a, struct metric_point *ret, struct err *err);
	/* NULL, or ERR_AGAIN: computed from read(). */
	int (*windows)(struct engine *g, const struct metric_series *s,
	    const struct metric_query *q, struct arena *a,
	    struct metric_windows *ret, struct err *err);

	int (*clean)(struct engine *g, int64_t now, struct err *err);
	int (*pack)(struct engine *g, struct err *err);
	/* Adds to what metric.c has filled in. NULL: nothing. */
	void (*stats)(struct engine *g, struct metric_stats *ret);
};

extern const struct metric_ops metric_sqlite;
extern const struct metric_ops metric_influx;
extern const struct metric_ops metric_void;
extern const struct metric_ops metric_ring; /* the guide's example; not in the
					     * list of engines */

/* metric_open() for an engine that need not be in the list. */
int metric_open_ops(const struct metric_ops *ops,
    const struct metric_settings *set, const char *dir, struct metric **ret,
    struct err *err);

/* --- the registry, for find.c -------------------------------------------- */

/* The series by number, NULL where there is none; [0] is not used. For reading
 * between metric_lock() and metric_unlock(). */
void metric_lock(struct metric *m);
void metric_unlock(struct metric *m);
const struct metric_series *metric_at(struct metric *m, uint32_t id);
uint32_t metric_end(struct metric *m); /* one above the last number */
/* A deep copy. */
struct metric_series metric_series_copy(
    struct arena *a, const struct metric_series *s);

#endif

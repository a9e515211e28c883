/*
 * plug/metric/metric.h - numbers over time, whatever keeps them.
 *
 * A series is a name with labels, of one kind; it has points (time, value).
 * Engines: `sqlite` (in our own files), `influx` (InfluxDB 1.x and 2.x, or
 * VictoriaMetrics, over HTTP) and `void` (keeps nothing). Times are
 * milliseconds since 1970, in [0, METRIC_TIME_MAX). Every function may be
 * called from any thread; those marked [blocks] wait for a disk or a server and
 * are for workers.
 *
 * Promises, each asked by contract_test.c of every engine:
 *  (1) Points may come in any order, and twice: of one series and time the one
 *      written last counts. (VictoriaMetrics: the larger one.)
 *  (2) What was told as committed survives kill -9, and power loss when `sync`
 *      is set. (`influx`: from then on it is in our queue on disk, and leaves
 *      it when the server has taken it. `void` keeps nothing.)
 *  (3) What metric_write() has taken is seen by every read that begins later
 *      (`influx`: after metric_flush() at the latest; VictoriaMetrics shows a
 *      point of a new series up to some seconds after that).
 *  (4) The number of a series never changes, over restarts too, and is not
 *      given to another one.
 *  (5) A window without points is not in the answer: gaps stay gaps.
 *  (6) A function that fails has changed nothing.
 *  (7) Nothing here writes a log line.
 *  (8) Numbers come back bit by bit (VictoriaMetrics: about 12 digits of them).
 */
#ifndef PLUG_METRIC_METRIC_H
#define PLUG_METRIC_METRIC_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "plug/metric/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct metric;

#define METRIC_TIME_MAX 7258118400000 /* the year 2200 */
#define METRIC_LABELS_MAX 32
#define METRIC_NAME_MAX 255   /* bytes of a name, or of a label's name */
#define METRIC_VALUE_MAX 1024 /* bytes of a label's value */
#define METRIC_TEXT_MAX 4096  /* bytes of a text point */

/* --- opening ------------------------------------------------------------- */

/* Opens what the settings say (see settings.h); copies them. `dir` is where a
 * relative `path` begins. [blocks] */
int metric_open(const struct metric_settings *set, const char *dir,
    struct metric **ret, struct err *err);
/* Writes out and commits what was taken, and frees everything. No other call
 * may be under way. NULL is fine. [blocks] */
void metric_close(struct metric *m);

/* The names of the engines there are, NULL ends. */
extern const char *const metric_engines[];

/* --- series -------------------------------------------------------------- */

enum metric_kind {
	METRIC_GAUGE = 1, /* any number */
	METRIC_COUNTER,   /* grows; a smaller number is a reset to 0 */
	METRIC_BINARY,    /* 0 or 1; any number but 0 is kept as 1 */
	METRIC_TEXT,      /* a short text */
};

struct metric_label {
	struct str name, value;
};

struct metric_series {
	uint32_t id; /* from 1 on, small */
	enum metric_kind kind;
	struct str name;
	const struct metric_label *labels; /* by name, each once */
	size_t n_labels;
};

/* Finds or makes the series and stores its number. Labels may come in any
 * order; one with an empty value is the same as none. Names and values are
 * UTF-8 without control characters. Quick for a series that is known.
 * ERR_EXISTS: it is of another kind. ERR_LIMIT: `maxSeries` are there.
 * ERR_PARAM: a bad name, too long, a label twice, or what the server can not
 * keep (VictoriaMetrics: texts). ERR_AGAIN, ERR_IO: as metric_write(). */
int metric_series(struct metric *m, enum metric_kind kind, struct str name,
    const struct metric_label *labels, size_t n, uint32_t *ret,
    struct err *err);

/* What a number stands for, deeply copied into `a`. ERR_NOT_FOUND. */
int metric_describe(struct metric *m, uint32_t series, struct arena *a,
    struct metric_series *ret, struct err *err);

/* Deletes the series with all its points. A series of the same name made later
 * has another number. ERR_NOT_FOUND. [blocks] */
int metric_delete(struct metric *m, uint32_t series, struct err *err);

enum metric_match { METRIC_EQ = 1, METRIC_NE, METRIC_RE, METRIC_NOT_RE };

/* As in Prometheus: the label "__name__" is the name, a label that a series
 * does not have is "", a pattern must match the whole value. Patterns are
 * POSIX extended ones, without "{m,n}" and "\1". */
struct metric_matcher {
	struct str label;
	enum metric_match op;
	struct str value;
};

#define METRIC_MATCHERS_MAX 16
#define METRIC_PATTERN_MAX 4096 /* bytes */

/* The series for which all matchers hold (none: every series), by number,
 * copied into `a`. ERR_LIMIT: more than `limit` (0: any number). ERR_PARAM: a
 * bad pattern, too many matchers. */
int metric_find(struct metric *m, const struct metric_matcher *match, size_t n,
    size_t limit, struct arena *a, struct metric_series **ret, size_t *n_ret,
    struct err *err);
/* The label names ("__name__" too) that such series have, sorted. */
int metric_label_names(struct metric *m, const struct metric_matcher *match,
    size_t n, struct arena *a, struct strs *ret, struct err *err);
/* The values that the label has in such series, sorted, without "". */
int metric_label_values(struct metric *m, struct str label,
    const struct metric_matcher *match, size_t n, struct arena *a,
    struct strs *ret, struct err *err);

/* --- writing ------------------------------------------------------------- */

struct metric_point {
	uint32_t series;
	int64_t at;
	double value;    /* not of a text series */
	struct str text; /* of a text series */
};

/* Lives in the caller's memory until done() is called: once for each write
 * that returned 0, on any thread, perhaps before metric_write() returns, and
 * at metric_close() at the latest. `rc` 0: committed, see (2). ERR_IO: the
 * disk failed, it may be lost. done() is quick, and may call metric_write(). */
struct metric_commit {
	void (*done)(struct metric_commit *c, int rc, const struct err *why);
	/* the engine's own */
	struct metric_commit *next;
	uint64_t group;
};

/* Takes the points, which are lent for the call; never waits for a disk or a
 * server. `commit` may be NULL. Points of an unknown series, outside the times
 * above, that are no finite number, or with a text that is too long are left
 * out and counted (`skipped`). ERR_AGAIN: too much waits to be written, nothing
 * was taken. ERR_IO: the disk has failed, nothing is taken until it is opened
 * anew. */
int metric_write(struct metric *m, const struct metric_point *p, size_t n,
    struct metric_commit *commit, struct err *err);

/* Returns when all that was taken before is committed; `influx`: and the server
 * has it. ERR_AGAIN: not within the `timeout` setting. [blocks] */
int metric_flush(struct metric *m, struct err *err);

/* --- reading ------------------------------------------------------------- */

/* Hears points by increasing time, many at once, lent until it returns; false
 * ends the reading. It may call any function but metric_close(). */
typedef bool metric_visit(void *ctx, const struct metric_point *p, size_t n);

/* The points in [from, to) that are still kept one by one. ERR_NOT_FOUND: no
 * such series. [blocks] */
int metric_read(struct metric *m, uint32_t series, int64_t from, int64_t to,
    metric_visit *visit, void *ctx, struct err *err);

/* The point with the largest time. ERR_NOT_FOUND: no such series, or no point
 * in it. A text is copied into `a`. [blocks] */
int metric_last(struct metric *m, uint32_t series, struct arena *a,
    struct metric_point *ret, struct err *err);

enum metric_func {
	METRIC_MEAN = 1,
	METRIC_MIN,
	METRIC_MAX,
	METRIC_SUM,
	METRIC_COUNT,
	METRIC_FIRST,
	METRIC_LAST,
	METRIC_MEDIAN,     /* percentile 50 */
	METRIC_PERCENTILE, /* between the two nearest, in proportion */
	METRIC_INCREASE,   /* counter: what was added since the point before the
			    * window (from the first of all points: since it) */
	METRIC_RATE,       /* counter: increase per second of the step */
};

struct metric_fn {
	enum metric_func func;
	double percent; /* of METRIC_PERCENTILE, 0 to 100 */
};

/* "mean", "percentile_99", "percentile_99.9", ...; false if it is none. */
bool metric_fn_parse(struct str s, struct metric_fn *ret);

/* Where an answer comes from. Points live as long as `retention.raw`; what is
 * older is kept as minimum, maximum, sum, count, first and last of a minute,
 * then of an hour. */
enum metric_tier { METRIC_RAW = 1, METRIC_MINUTE, METRIC_HOUR };

#define METRIC_FN_MAX 16
#define METRIC_WINDOWS_MAX 1000000

struct metric_query {
	uint32_t series; /* not a text series */
	int64_t from, to;
	int64_t step; /* ms; windows are [from, from+step), ... up to `to` */
	const struct metric_fn *fns;
	size_t n_fns;
};

struct metric_windows {
	enum metric_tier tier; /* the coarsest that was used */
	size_t n;              /* windows, by time, each with points in it */
	int64_t *at;           /* their beginnings */
	double *values;        /* n * n_fns; NaN: no value (INCREASE and RATE
				* where the first point of all is alone) */
};

/* The functions over each window; the answer is in `a`. Uses the coarsest
 * kept tier that gives the same answer. Where the points are gone, windows that
 * are finer than the tier or do not begin with it have what begins in them, and
 * percentiles are those of the means. ERR_PARAM: bad times, step or functions,
 * a text series. ERR_LIMIT: more than METRIC_WINDOWS_MAX. ERR_NOT_FOUND.
 * [blocks] */
int metric_windows(struct metric *m, const struct metric_query *q,
    struct arena *a, struct metric_windows *ret, struct err *err);

/* --- keeping house ------------------------------------------------------- */

/* Applies the retention settings as of `now`, to whole blocks of points; once
 * an hour is enough. [blocks] */
int metric_clean(struct metric *m, int64_t now, struct err *err);

/* Moves what is in the log into compressed blocks now, as it happens by itself
 * when enough has gathered. For tests and measurements. [blocks] */
int metric_pack(struct metric *m, struct err *err);

struct metric_stats {
	uint64_t series;
	uint64_t points_in; /* taken since opening */
	uint64_t skipped;   /* left out by metric_write() */
	uint64_t dropped;   /* influx: refused by the server, or over the
			     * queue's bound */
	uint64_t waiting;   /* points taken that are in no block (influx: not
			     * at the server) yet */
	uint64_t bytes;     /* on disk, the log excluded */
	uint64_t log_bytes; /* on disk, the log (influx: the queue) */
	uint64_t broken;    /* blocks on disk that were found damaged, and
			     * set aside */
	int trouble;        /* 0, or why writing does not get on: ERR_AGAIN,
			     * ERR_IO, ERR_CLOSED, ERR_DENIED */
	char why[128];
};

void metric_stats(struct metric *m, struct metric_stats *ret);

#endif

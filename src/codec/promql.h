/*
 * codec/promql.h - a subset of PromQL: text to tree, tree to numbers.
 *
 * Selectors with all matchers, ranges, `offset`, the functions of the table in
 * promql_fn.c, aggregations, arithmetic, comparisons and set operators with
 * vector matching, subqueries. Not there: `@`, histograms, staleness markers.
 *
 * Where series come from is the caller's: he is asked once for each selector
 * and hands the points on, so that he may take them from coarser tiers. Times
 * are milliseconds since 1970. All that is returned is in the arena; one thread
 * at a time.
 */
#ifndef CODEC_PROMQL_H
#define CODEC_PROMQL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct promql;

#define PROMQL_LENGTH_MAX 32768 /* bytes of an expression */
#define PROMQL_DEPTH_MAX 200    /* nodes above one another */
#define PROMQL_MATCHERS_MAX 15  /* of a selector */
#define PROMQL_PATTERN_MAX 4000 /* bytes */
#define PROMQL_LOOKBACK_MS 300000
#define PROMQL_POINTS_MAX 11000 /* of a series, as in Prometheus */

struct promql_label {
	struct str name, value; /* the name of a series is "__name__" */
};

enum promql_match { PROMQL_EQ = 1, PROMQL_NE, PROMQL_RE, PROMQL_NOT_RE };

/* Patterns are POSIX extended ones when they are handed out, translated from
 * what of RE2 can be said so. */
struct promql_matcher {
	struct str label;
	enum promql_match op;
	struct str value;
};

enum promql_type {
	PROMQL_SCALAR = 1,
	PROMQL_VECTOR,
	PROMQL_MATRIX,
	PROMQL_STRING,
};

/* --- reading ------------------------------------------------------------- */

/* `text` is copied. ERR_PARAM with "parse error at char 5: ...". */
int promql_parse(
    struct arena *a, struct str text, struct promql **ret, struct err *err);
enum promql_type promql_type(const struct promql *p);
/* A selector alone, as in `match[]`. */
int promql_parse_selector(struct arena *a, struct str text,
    struct promql_matcher **ret, size_t *n, struct err *err);
/* One more matcher (copied) for each selector in the tree. It does not count
 * for PROMQL_MATCHERS_MAX. */
void promql_restrict(
    struct arena *a, struct promql *p, const struct promql_matcher *m);

/* A time of the HTTP API: seconds with decimals, or RFC 3339. */
bool promql_time(struct str s, int64_t *ret);
/* Its step: seconds with decimals, or "1h30m"; > 0. */
bool promql_step(struct str s, int64_t *ret);

/* --- evaluating ---------------------------------------------------------- */

/* What the points of a selector are for. A source that keeps coarser tiers may
 * answer with one point for many: of these, the value that serves. */
enum promql_use {
	PROMQL_USE_POINTS, /* as they are; where they are gone, the last */
	PROMQL_USE_LAST,   /* the last */
	PROMQL_USE_MEAN,   /* the mean, and how many as weight */
	PROMQL_USE_MIN,
	PROMQL_USE_MAX,
	PROMQL_USE_COUNTER, /* the last, of what grows */
};

struct promql_ask {
	const struct promql_matcher *match;
	size_t n;
	int64_t from, to; /* points in [from, to) */
	int64_t step;     /* between evaluations; 0: there is one */
	int64_t range;    /* of a range selector; 0: the last point counts */
	enum promql_use use;
};

struct promql_sink;

/* What a source calls while it is asked: once per series, in any order, and
 * then its points by increasing time. `weights` (NULL: 1 each): how many points
 * one stands for. All is lent. False: stop, the ask has failed. */
bool promql_series(
    struct promql_sink *s, const struct promql_label *labels, size_t n_labels);
bool promql_points(struct promql_sink *s, const int64_t *at,
    const double *values, const double *weights, size_t n);

struct promql_source {
	/* A failure ends the evaluation with the source's error, unless the
	 * sink has failed before. */
	int (*fetch)(void *ctx, const struct promql_ask *ask,
	    struct promql_sink *sink, struct err *err);
	/* Asked now and then: is the time up? NULL: never. */
	bool (*late)(void *ctx);
	void *ctx;
};

struct promql_run {
	int64_t start, end; /* equal for an instant */
	int64_t step;       /* 0: at `start` alone */
	int64_t lookback;   /* 0: PROMQL_LOOKBACK_MS */
	size_t series_max;  /* of one selector or operation; 0: 10,000 */
	size_t samples_max; /* points read, and values made; 0: 50 million */
};

struct promql_series {
	const struct promql_label *labels; /* by name */
	size_t n_labels;
	size_t n;
	const int64_t *at;
	const double *values;
};

/* An instant gives what the expression is, a range always a matrix. */
struct promql_result {
	enum promql_type type;
	struct promql_series *series; /* scalar: one without labels */
	size_t n;
	struct str text; /* of a string */
	int64_t at;
};

/* ERR_PARAM: the expression can not be evaluated over this data. ERR_LIMIT: it
 * takes too much. ERR_AGAIN: the time was up. Else what the source said. */
int promql_eval(struct arena *a, const struct promql *p,
    const struct promql_run *run, const struct promql_source *source,
    struct promql_result *ret, struct err *err);

/* The "data" of Prometheus's answer. */
void promql_put(struct json_out *o, const struct promql_result *r);
/* {"__name__":"x",...} */
void promql_put_labels(
    struct json_out *o, const struct promql_label *labels, size_t n);
/* A number as Prometheus writes it: shortest, without exponent, "NaN",
 * "+Inf". */
void promql_number(struct buf *out, double v);

#endif

/*
 * codec/promql_private.h - what the files of codec/promql share.
 *
 *    promql_lex.c        text to tokens
 *    promql_parse.c      tokens to a tree, with its types
 *    promql_eval.c       a tree to grids, and a grid to the result
 *    promql_select.c     selectors and subqueries
 *    promql_aggregate.c  many rows to one
 *    promql_match.c      operators between vectors
 *    promql_fn.c         the functions
 *    promql_put.c        labels, numbers and results as text
 *
 * Every node is evaluated for all steps at once, to a grid: rows with a value,
 * or none, for each step.
 */
#ifndef CODEC_PROMQL_PRIVATE_H
#define CODEC_PROMQL_PRIVATE_H

#include "codec/promql.h"

#include "base/base.h"
#include "base/map.h"

#include <string.h>

/* --- tokens -------------------------------------------------------------- */

enum token_kind {
	TOKEN_END,
	TOKEN_NUMBER, /* a duration too: seconds */
	TOKEN_STRING,
	TOKEN_NAME, /* names and words */
	TOKEN_MARK, /* text: "+", ">=", "{", ... */
	TOKEN_BAD,
};

struct token {
	enum token_kind kind;
	size_t at; /* offset */
	struct str text;
	double number;
	bool duration;
	struct str string; /* unescaped */
};

struct lexer {
	struct str text;
	size_t at;
	struct arena *arena;
	bool in_braces; /* or brackets: ":" is no letter */
	char why[120];  /* of TOKEN_BAD */
};

void promql_next(struct lexer *l, struct token *t);
/* "1h30m" in ms. */
bool promql_duration(struct str s, int64_t *ret);

/* --- the tree ------------------------------------------------------------ */

enum node_kind {
	NODE_NUMBER,
	NODE_STRING,
	NODE_SELECTOR,
	NODE_SUBQUERY,
	NODE_NEGATE,
	NODE_BINARY,
	NODE_CALL,
	NODE_AGGREGATE,
};

enum op {
	OP_OR,
	OP_AND,
	OP_UNLESS,
	OP_EQ,
	OP_NE,
	OP_GT,
	OP_LT,
	OP_GE,
	OP_LE,
	OP_ADD,
	OP_SUB,
	OP_MUL,
	OP_DIV,
	OP_MOD,
	OP_ATAN2,
	OP_POW,
};

#define OP_IS_SET(op) ((op) <= OP_UNLESS)
#define OP_COMPARES(op) ((op) >= OP_EQ && (op) <= OP_LE)

enum aggregate {
	AGG_SUM,
	AGG_AVG,
	AGG_MIN,
	AGG_MAX,
	AGG_COUNT,
	AGG_STDDEV,
	AGG_STDVAR,
	AGG_QUANTILE,
	AGG_TOPK,
	AGG_BOTTOMK,
	AGG_GROUP,
};

enum side { SIDE_ONE, SIDE_LEFT, SIDE_RIGHT }; /* which side has many */

struct promql {
	enum node_kind kind;
	enum promql_type type;
	size_t at; /* offset in the text, for errors */
	unsigned depth;

	double number;
	struct str string;

	struct promql_matcher *match;
	size_t n_match;
	int64_t range, offset;
	int64_t step; /* of a subquery, whose expression is `left` */

	enum op op;
	struct promql *left, *right; /* operand of NEGATE: left */
	bool to_bool, on;
	struct strs labels; /* on, ignoring; by, without */
	enum side many;
	struct strs include;

	const struct fn *fn;
	struct promql **args;
	size_t n_args;

	enum aggregate agg;
	bool without;
	struct promql *param; /* of an aggregation; its body: left */
};

/* --- evaluating ---------------------------------------------------------- */

/* A value that is not there: a NaN of our own, which no arithmetic makes. */
#define GONE_BITS UINT64_C(0x7ff8dead0000dead)

static inline bool
is_gone(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return bits == GONE_BITS;
}

static inline double
gone(void)
{
	const uint64_t bits = GONE_BITS;
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

struct row {
	const struct promql_label *labels; /* by name, no empty values */
	size_t n_labels;
	double *v; /* one per step */
};

struct grid {
	enum promql_type type; /* scalar, vector */
	struct row *rows;
	size_t n, cap;
};

struct eval {
	struct arena *arena;
	const struct promql_run *run;
	const struct promql_source *source;
	size_t steps;
	int64_t lookback;
	size_t series_max, samples_max;
	size_t samples;
	struct err *err;
	int rc; /* the first failure */
};

static inline int64_t
step_time(const struct eval *e, size_t i)
{
	return e->run->start + (int64_t)i * e->run->step;
}

int promql_fail(struct eval *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Counts; false: too many, or the time is up. */
bool promql_count(struct eval *e, size_t samples);
int promql_grid(struct eval *e, const struct promql *p, struct grid *ret);
/* A new row without values; NULL: a limit. Labels are kept, not copied. */
struct row *promql_row(struct eval *e, struct grid *g,
    const struct promql_label *labels, size_t n);

/* Labels of a row as one text: those in `names` if `only`, else all others;
 * without the name unless `name`. */
struct str promql_key(struct eval *e, const struct row *r,
    const struct strs *names, bool only, bool name);
struct row promql_keep(struct eval *e, const struct row *r,
    const struct strs *names, bool only, bool name);
bool promql_names_have(const struct strs *names, struct str name);
struct str promql_label_of(const struct row *r, struct str name);
/* Sets (or with an empty value takes away) a label. */
void promql_label_set(
    struct eval *e, struct row *r, struct str name, struct str value);

/* A grid whose rows lose their names; equal ones become one if they are never
 * there at the same time. */
int promql_nameless(struct eval *e, struct grid *g);
int promql_merge(struct eval *e, struct grid *g); /* the latter alone */

int promql_labels_cmp(const struct promql_label *x, size_t n_x,
    const struct promql_label *y, size_t n_y);

/* promql_match.c */
int promql_binary(struct eval *e, const struct promql *p, struct grid *ret);

/* The points of one series in (start, end]. */
struct window {
	const int64_t *at;
	const double *v, *w; /* w may be NULL */
	size_t n;
	int64_t start, end;
	double param;
};

/* One point of an instant selector per step, or a window of many: `over` NULL
 * for the former; `times`: the point's time in place of its value. */
int promql_select(struct eval *e, const struct promql *p,
    bool (*over)(const struct window *w, double *ret), bool times,
    const double *params, enum promql_use use, struct grid *ret);

/* A range selector or subquery as it stands. */
int promql_raw(
    struct eval *e, const struct promql *p, struct promql_result *ret);

/* promql_aggregate.c */
int promql_aggregate(struct eval *e, const struct promql *p, struct grid *ret);
/* By value, NaN last. */
void promql_sort(struct eval *e, struct grid *g, bool down);
double promql_sum(const double *v, size_t n);
double promql_variance(const double *v, size_t n);

/* promql_fn.c */
struct fn {
	const char *name;
	const char *args; /* v vector, r range, n number, t text; behind a "?"
			   * they may be left out */
	enum promql_type type;
	/* one of these */
	double (*plain)(double v);
	bool (*over)(const struct window *w, double *ret);
	int (*run)(struct eval *e, const struct promql *p, struct grid *ret);
	enum promql_use use; /* of `over` */
	bool keeps_name;
};

const struct fn *promql_fn_find(struct str name);
int promql_call(struct eval *e, const struct promql *p, struct grid *ret);
double promql_quantile(double q, double *v, size_t n); /* sorts v */

/* A pattern of RE2 as a POSIX extended one; STR_NULL: it can not be. */
struct str promql_pattern(struct arena *a, struct str s);

/* {a="b", c="d"}, for messages. */
struct str promql_text(struct arena *a, const struct row *r);

#endif

/*
 * codec/promql_eval.c - a tree to grids, and a grid to the result.
 *
 * Every row made counts as many samples as there are steps, every point read
 * counts one: what an expression can take of memory and time is bounded by
 * samples_max.
 */
#include "codec/promql_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* --- limits -------------------------------------------------------------- */

int
promql_fail(struct eval *e, int code, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	if (e->rc != 0)
		return e->rc;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->rc = err_set(e->err, code, "%s", text);
	return e->rc;
}

bool
promql_count(struct eval *e, size_t samples)
{
	if (e->rc != 0)
		return false;
	e->samples += samples;
	if (e->samples > e->samples_max)
		promql_fail(e, ERR_LIMIT,
		    "query processing would load too many samples into memory "
		    "in query execution");
	else if (e->source->late != NULL && e->source->late(e->source->ctx))
		promql_fail(
		    e, ERR_AGAIN, "query timed out in expression evaluation");
	return e->rc == 0;
}

struct row *
promql_row(
    struct eval *e, struct grid *g, const struct promql_label *labels, size_t n)
{
	struct row *r;

	if (g->n == e->series_max) {
		promql_fail(
		    e, ERR_LIMIT, "more than %zu series", e->series_max);
		return NULL;
	}
	if (!promql_count(e, e->steps))
		return NULL;
	if (g->n == g->cap) {
		size_t cap = g->cap * 2 + 16;
		struct row *rows = arena_array(e->arena, cap, struct row);

		if (g->n > 0)
			memcpy(rows, g->rows, g->n * sizeof(*rows));
		g->rows = rows;
		g->cap = cap;
	}
	r = &g->rows[g->n++];
	*r = (struct row){ labels, n, arena_array(e->arena, e->steps, double) };
	for (size_t i = 0; i < e->steps; i++)
		r->v[i] = gone();
	return r;
}

/* --- labels -------------------------------------------------------------- */

bool
promql_names_have(const struct strs *names, struct str name)
{
	for (size_t i = 0; i < names->n; i++)
		if (str_eq(names->at[i], name))
			return true;
	return false;
}

struct str
promql_label_of(const struct row *r, struct str name)
{
	for (size_t i = 0; i < r->n_labels; i++)
		if (str_eq(r->labels[i].name, name))
			return r->labels[i].value;
	return STR("");
}

static bool
counts(struct str label, const struct strs *names, bool only, bool name)
{
	if (only)
		return promql_names_have(names, label);
	return (name || !str_eqz(label, "__name__")) &&
	    !promql_names_have(names, label);
}

struct str
promql_key(struct eval *e, const struct row *r, const struct strs *names,
    bool only, bool name)
{
	struct buf b = { 0 };
	struct str s;

	for (size_t i = 0; i < r->n_labels; i++)
		if (counts(r->labels[i].name, names, only, name)) {
			buf_add_str(&b, r->labels[i].name);
			buf_addc(&b, '\0');
			buf_add_str(&b, r->labels[i].value);
			buf_addc(&b, '\0');
		}
	s = arena_str(e->arena, b.ptr == NULL ? STR("") : buf_str(&b));
	buf_free(&b);
	return s;
}

struct row
promql_keep(struct eval *e, const struct row *r, const struct strs *names,
    bool only, bool name)
{
	struct promql_label *labels =
	    arena_array(e->arena, r->n_labels + 1, struct promql_label);
	struct row ret = { labels, 0, NULL };

	for (size_t i = 0; i < r->n_labels; i++)
		if (counts(r->labels[i].name, names, only, name))
			labels[ret.n_labels++] = r->labels[i];
	return ret;
}

void
promql_label_set(
    struct eval *e, struct row *r, struct str name, struct str value)
{
	struct promql_label *labels =
	    arena_array(e->arena, r->n_labels + 1, struct promql_label);
	size_t n = 0, i = 0;

	for (; i < r->n_labels && str_cmp(r->labels[i].name, name) < 0; i++)
		labels[n++] = r->labels[i];
	if (value.len > 0)
		labels[n++] = (struct promql_label){ name, value };
	if (i < r->n_labels && str_eq(r->labels[i].name, name))
		i++;
	for (; i < r->n_labels; i++)
		labels[n++] = r->labels[i];
	r->labels = labels;
	r->n_labels = n;
}

int
promql_labels_cmp(const struct promql_label *x, size_t n_x,
    const struct promql_label *y, size_t n_y)
{
	for (size_t i = 0; i < n_x && i < n_y; i++) {
		int d = str_cmp(x[i].name, y[i].name);

		if (d == 0)
			d = str_cmp(x[i].value, y[i].value);
		if (d != 0)
			return d;
	}
	return (n_x > n_y) - (n_x < n_y);
}

static int
by_labels(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return promql_labels_cmp(
	    x->labels, x->n_labels, y->labels, y->n_labels);
}

/* Rows with the same labels become one; an error if two of them have a value
 * at the same step. */
int
promql_merge(struct eval *e, struct grid *g)
{
	struct map seen = { 0 };
	const struct strs none = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < g->n && e->rc == 0; i++) {
		struct str key = promql_key(e, &g->rows[i], &none, false, true);
		uintptr_t place = (uintptr_t)map_get(&seen, key);
		struct row *there;

		if (place == 0) {
			g->rows[n++] = g->rows[i];
			(void)map_put(&seen, key, (void *)(uintptr_t)n);
			continue;
		}
		there = &g->rows[place - 1];
		for (size_t k = 0; k < e->steps; k++) {
			double v = g->rows[i].v[k];

			if (is_gone(v))
				continue;
			if (!is_gone(there->v[k])) {
				promql_fail(e, ERR_PARAM,
				    "vector cannot contain metrics with the "
				    "same labelset");
				break;
			}
			there->v[k] = v;
		}
	}
	g->n = n;
	map_fini(&seen);
	return e->rc;
}

int
promql_nameless(struct eval *e, struct grid *g)
{
	const struct strs none = { 0 };

	if (g->type != PROMQL_VECTOR)
		return e->rc;
	for (size_t i = 0; i < g->n; i++) {
		double *v = g->rows[i].v;

		g->rows[i] = promql_keep(e, &g->rows[i], &none, false, false);
		g->rows[i].v = v;
	}
	return promql_merge(e, g);
}

/* --- nodes --------------------------------------------------------------- */

int
promql_grid(struct eval *e, const struct promql *p, struct grid *ret)
{
	struct grid g = { .type = PROMQL_SCALAR };
	struct row *row;

	if (!promql_count(e, 0))
		return e->rc;
	switch (p->kind) {
	case NODE_NUMBER:
		row = promql_row(e, &g, NULL, 0);
		if (row == NULL)
			return e->rc;
		for (size_t i = 0; i < e->steps; i++)
			row->v[i] = p->number;
		*ret = g;
		return 0;
	case NODE_SELECTOR:
		return promql_select(
		    e, p, NULL, false, NULL, PROMQL_USE_LAST, ret);
	case NODE_NEGATE:
		if (promql_grid(e, p->left, &g) != 0)
			return e->rc;
		for (size_t r = 0; r < g.n; r++)
			for (size_t i = 0; i < e->steps; i++)
				if (!is_gone(g.rows[r].v[i]))
					g.rows[r].v[i] = -g.rows[r].v[i];
		*ret = g;
		return promql_nameless(e, ret);
	case NODE_BINARY:
		return promql_binary(e, p, ret);
	case NODE_CALL:
		return promql_call(e, p, ret);
	case NODE_AGGREGATE:
		return promql_aggregate(e, p, ret);
	default:
		return promql_fail(e, ERR_INTERNAL, "a text has no grid");
	}
}

/* --- the whole ----------------------------------------------------------- */

static bool
is_ordered(const struct promql *p)
{
	return (p->kind == NODE_CALL &&
		   (strcmp(p->fn->name, "sort") == 0 ||
		       strcmp(p->fn->name, "sort_desc") == 0)) ||
	    (p->kind == NODE_AGGREGATE &&
		(p->agg == AGG_TOPK || p->agg == AGG_BOTTOMK));
}

static void
to_result(
    struct eval *e, struct grid *g, bool instant, struct promql_result *ret)
{
	ret->series = arena_array(e->arena, g->n + 1, struct promql_series);
	for (size_t r = 0; r < g->n; r++) {
		struct row *row = &g->rows[r];
		int64_t *at = arena_array(e->arena, e->steps, int64_t);
		size_t n = 0;

		for (size_t i = 0; i < e->steps; i++)
			if (!is_gone(row->v[i])) {
				at[n] = step_time(e, i);
				row->v[n++] = row->v[i];
			}
		if (n > 0)
			ret->series[ret->n++] =
			    (struct promql_series){ row->labels, row->n_labels,
				    n, at, row->v };
	}
	ret->type = instant ? g->type : PROMQL_MATRIX;
}

int
promql_eval(struct arena *a, const struct promql *p,
    const struct promql_run *run, const struct promql_source *source,
    struct promql_result *ret, struct err *err)
{
	struct eval e = { .arena = a,
		.run = run,
		.source = source,
		.steps = 1,
		.lookback =
		    run->lookback > 0 ? run->lookback : PROMQL_LOOKBACK_MS,
		.series_max = run->series_max > 0 ? run->series_max : 10000,
		.samples_max =
		    run->samples_max > 0 ? run->samples_max : 50000000,
		.err = err };
	struct promql_result r = { .at = run->start };
	bool instant = run->step <= 0;
	struct grid g;

	if (!instant) {
		if (run->end < run->start)
			return err_set(err, ERR_PARAM,
			    "end timestamp must not be before start time");
		if ((run->end - run->start) / run->step > PROMQL_POINTS_MAX)
			return err_set(err, ERR_PARAM,
			    "exceeded maximum resolution of %d points per "
			    "timeseries. Try decreasing the query resolution "
			    "(?step=XX)",
			    PROMQL_POINTS_MAX);
		if (p->type != PROMQL_SCALAR && p->type != PROMQL_VECTOR)
			return err_set(err, ERR_PARAM,
			    "invalid expression type \"%s\" for range query, "
			    "must be Scalar or instant Vector",
			    p->type == PROMQL_MATRIX ? "range vector"
						     : "string");
		e.steps = (size_t)((run->end - run->start) / run->step) + 1;
	}
	if (p->type == PROMQL_STRING) {
		r.type = PROMQL_STRING;
		r.text = p->string;
	} else if (p->type == PROMQL_MATRIX) {
		if (promql_raw(&e, p, &r) != 0)
			return e.rc;
	} else {
		if (promql_grid(&e, p, &g) != 0)
			return e.rc;
		if (g.n > 1 && (!instant || !is_ordered(p)))
			qsort(g.rows, g.n, sizeof(*g.rows), by_labels);
		to_result(&e, &g, instant, &r);
	}
	*ret = r;
	return 0;
}

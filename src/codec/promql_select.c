/*
 * codec/promql_select.c - from points to grids: selectors and subqueries.
 *
 * Points of a range selector are held for one series at a time.
 */
#include "codec/promql_private.h"

#include "base/mem.h"

#include <stdlib.h>

static int
by_label(const void *a, const void *b)
{
	const struct promql_label *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

static int
series_by_labels(const void *a, const void *b)
{
	const struct promql_series *x = a, *y = b;

	return promql_labels_cmp(
	    x->labels, x->n_labels, y->labels, y->n_labels);
}

/*
 * Hears one series after the other. With `over` the points of the series are
 * gathered and, when the next one begins, read by windows; without, each goes
 * to the steps for which it is the last one within the lookback.
 */
struct promql_sink {
	struct eval *e;
	const struct promql *p;
	bool (*over)(const struct window *w, double *ret);
	bool times, raw;
	const double *params;
	struct grid *grid;

	struct row *row; /* of the series; NULL: none yet, or it has no value */
	const struct promql_label *labels;
	size_t n_labels;
	bool begun;

	size_t step;   /* instant: the first step that is still open */
	bool has_last; /* instant: the point before it */
	int64_t last_at;
	double last;

	int64_t *at; /* range: owned, as the next two */
	double *v, *w;
	size_t n, cap;
	bool weighted;

	struct promql_series *series; /* raw */
	size_t n_series, cap_series;
};

static bool
need_row(struct promql_sink *s)
{
	if (s->row == NULL)
		s->row = promql_row(s->e, s->grid, s->labels, s->n_labels);
	return s->row != NULL;
}

/* The open steps before `at` (exclusive) get the last point, if it is not too
 * old for them. */
static bool
fill_until(struct promql_sink *s, int64_t at)
{
	for (; s->step < s->e->steps; s->step++) {
		int64_t t = step_time(s->e, s->step) - s->p->offset;

		if (t >= at)
			break;
		if (!s->has_last)
			continue;
		if (s->last_at <= t - s->e->lookback)
			continue;
		if (!need_row(s))
			return false;
		s->row->v[s->step] =
		    s->times ? (double)s->last_at / 1000 : s->last;
	}
	return true;
}

static bool
read_windows(struct promql_sink *s)
{
	size_t from = 0, to = 0;

	for (size_t i = 0; i < s->e->steps; i++) {
		int64_t end = step_time(s->e, i) - s->p->offset;
		struct window w = { .start = end - s->p->range,
			.end = end,
			.param = s->params != NULL ? s->params[i] : 0 };
		double v;

		while (to < s->n && s->at[to] <= end)
			to++;
		while (from < to && s->at[from] <= w.start)
			from++;
		if (from == to)
			continue;
		w.at = s->at + from;
		w.v = s->v + from;
		w.w = s->weighted ? s->w + from : NULL;
		w.n = to - from;
		/* windows that overlap read points again */
		if (!promql_count(s->e, w.n / 16))
			return false;
		if (!s->over(&w, &v))
			continue;
		if (!need_row(s))
			return false;
		s->row->v[i] = v;
	}
	return true;
}

static bool
keep_raw(struct promql_sink *s)
{
	struct promql_series *last;
	int64_t *at;
	double *v;

	if (s->n == 0)
		return true;
	if (s->n_series == s->e->series_max) {
		promql_fail(
		    s->e, ERR_LIMIT, "more than %zu series", s->e->series_max);
		return false;
	}
	if (s->n_series == s->cap_series) {
		size_t cap = s->cap_series * 2 + 16;
		struct promql_series *more =
		    arena_array(s->e->arena, cap, struct promql_series);

		if (s->n_series > 0)
			memcpy(more, s->series, s->n_series * sizeof(*more));
		s->series = more;
		s->cap_series = cap;
	}
	at = arena_array(s->e->arena, s->n, int64_t);
	v = arena_array(s->e->arena, s->n, double);
	memcpy(at, s->at, s->n * sizeof(*at));
	memcpy(v, s->v, s->n * sizeof(*v));
	last = &s->series[s->n_series++];
	*last = (struct promql_series){ s->labels, s->n_labels, s->n, at, v };
	return true;
}

static bool
end_series(struct promql_sink *s)
{
	bool ok = true;

	if (!s->begun)
		return true;
	if (s->raw)
		ok = keep_raw(s);
	else if (s->over != NULL)
		ok = read_windows(s);
	else
		ok = fill_until(s, INT64_MAX);
	s->begun = s->has_last = s->weighted = false;
	s->row = NULL;
	s->n = s->step = 0;
	return ok;
}

bool
promql_series(
    struct promql_sink *s, const struct promql_label *labels, size_t n_labels)
{
	struct promql_label *copy;
	size_t n = 0;

	if (s->e->rc != 0 || !end_series(s) || !promql_count(s->e, 1))
		return false;
	copy = arena_array(s->e->arena, n_labels + 1, struct promql_label);
	for (size_t i = 0; i < n_labels; i++)
		if (labels[i].value.len > 0)
			copy[n++] = (struct promql_label){
				arena_str(s->e->arena, labels[i].name),
				arena_str(s->e->arena, labels[i].value)
			};
	qsort(copy, n, sizeof(*copy), by_label);
	s->labels = copy;
	s->n_labels = n;
	s->begun = true;
	return true;
}

static void
make_room(struct promql_sink *s, size_t more)
{
	if (s->n + more <= s->cap)
		return;
	s->cap = MAX_OF(s->cap * 2, s->n + more + 256);
	s->at = mem_resize(s->at, s->cap, sizeof(*s->at));
	s->v = mem_resize(s->v, s->cap, sizeof(*s->v));
	s->w = mem_resize(s->w, s->cap, sizeof(*s->w));
}

bool
promql_points(struct promql_sink *s, const int64_t *at, const double *values,
    const double *weights, size_t n)
{
	if (!s->begun || !promql_count(s->e, n))
		return false;
	if (s->over == NULL && !s->raw) {
		for (size_t i = 0; i < n; i++) {
			if (!fill_until(s, at[i]))
				return false;
			s->has_last = true;
			s->last_at = at[i];
			s->last = values[i];
		}
		return true;
	}
	make_room(s, n);
	for (size_t i = 0; i < n; i++, s->n++) {
		s->at[s->n] = at[i];
		s->v[s->n] = values[i];
		s->w[s->n] = weights != NULL ? weights[i] : 1;
	}
	s->weighted = s->weighted || weights != NULL;
	return true;
}

/* A subquery is a source, too: its expression at steps of its own, which are
 * whole multiples of their width. */
static int
ask_subquery(struct promql_sink *s)
{
	struct eval *e = s->e, sub = *e;
	const struct promql *p = s->p;
	int64_t from = e->run->start - p->offset - p->range;
	int64_t first = from - ((from % p->step) + p->step) % p->step + p->step;
	struct promql_run run = {
		.start = first, .end = e->run->end - p->offset, .step = p->step
	};
	struct grid g = { 0 };

	sub.run = &run;
	if (run.end >= first)
		sub.steps = (size_t)((run.end - first) / p->step) + 1;
	if (run.end >= first && promql_count(e, sub.steps)) {
		sub.samples = e->samples;
		(void)promql_grid(&sub, p->left, &g);
		e->samples = sub.samples;
		e->rc = sub.rc;
	}
	for (size_t r = 0; r < g.n && e->rc == 0; r++) {
		s->labels = g.rows[r].labels;
		s->n_labels = g.rows[r].n_labels;
		s->begun = true;
		make_room(s, sub.steps);
		for (size_t i = 0; i < sub.steps; i++)
			if (!is_gone(g.rows[r].v[i])) {
				s->at[s->n] = step_time(&sub, i);
				s->v[s->n++] = g.rows[r].v[i];
			}
		if (!end_series(s))
			break;
	}
	free(s->at);
	free(s->v);
	free(s->w);
	return e->rc;
}

static int
ask_source(struct promql_sink *s, enum promql_use use)
{
	struct eval *e = s->e;
	const struct promql *p = s->p;
	struct promql_ask ask = { .match = p->match,
		.n = p->n_match,
		.to = e->run->end - p->offset + 1,
		.step = e->steps > 1 ? e->run->step : 0,
		.range = p->range,
		.use = use };
	struct err why;
	int rc;

	if (p->kind == NODE_SUBQUERY)
		return ask_subquery(s);
	ask.from = e->run->start - p->offset + 1 -
	    (p->range > 0 ? p->range : e->lookback);
	rc = e->source->fetch(e->source->ctx, &ask, s, &why);
	if (e->rc == 0 && rc != 0)
		promql_fail(e, rc, "%s", why.text);
	if (e->rc == 0)
		(void)end_series(s);
	free(s->at);
	free(s->v);
	free(s->w);
	return e->rc;
}

int
promql_select(struct eval *e, const struct promql *p,
    bool (*over)(const struct window *w, double *ret), bool times,
    const double *params, enum promql_use use, struct grid *ret)
{
	struct grid g = { .type = PROMQL_VECTOR };
	struct promql_sink s = { .e = e,
		.p = p,
		.over = over,
		.times = times,
		.params = params,
		.grid = &g };

	if (ask_source(&s, use) != 0 || promql_merge(e, &g) != 0)
		return e->rc;
	*ret = g;
	return 0;
}

int
promql_raw(struct eval *e, const struct promql *p, struct promql_result *ret)
{
	struct promql_sink s = { .e = e, .p = p, .raw = true };

	if (ask_source(&s, PROMQL_USE_POINTS) != 0)
		return e->rc;
	if (s.n_series > 1)
		qsort(
		    s.series, s.n_series, sizeof(*s.series), series_by_labels);
	ret->type = PROMQL_MATRIX;
	ret->series = s.series;
	ret->n = s.n_series;
	return 0;
}

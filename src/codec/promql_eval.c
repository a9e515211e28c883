/*
 * codec/promql_eval.c - a tree to grids: selectors, aggregations, the result.
 *
 * Every row made counts as many samples as there are steps, every point read
 * counts one: what an expression can take of memory and time is bounded by
 * samples_max. Points of a range selector are held for one series at a time.
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

static int
by_label(const void *a, const void *b)
{
	const struct promql_label *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

static int
labels_cmp(const struct promql_label *x, size_t n_x,
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

	return labels_cmp(x->labels, x->n_labels, y->labels, y->n_labels);
}

static int
series_by_labels(const void *a, const void *b)
{
	const struct promql_series *x = a, *y = b;

	return labels_cmp(x->labels, x->n_labels, y->labels, y->n_labels);
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

/* --- selectors ----------------------------------------------------------- */

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

/* --- aggregations -------------------------------------------------------- */

struct group {
	struct row labels;
	size_t *members; /* rows */
	size_t n, cap;
};

struct groups {
	struct group *at;
	size_t n, cap;
};

static struct groups
group_rows(struct eval *e, const struct promql *p, const struct grid *g)
{
	struct groups all = { 0 };
	struct map known = { 0 };

	for (size_t i = 0; i < g->n; i++) {
		struct str key =
		    promql_key(e, &g->rows[i], &p->labels, !p->without, false);
		uintptr_t place = (uintptr_t)map_get(&known, key);
		struct group *group;

		if (place == 0) {
			if (all.n == all.cap) {
				size_t cap = all.cap * 2 + 16;
				struct group *more =
				    arena_array(e->arena, cap, struct group);

				if (all.n > 0)
					memcpy(more, all.at,
					    all.n * sizeof(*more));
				all.at = more;
				all.cap = cap;
			}
			all.at[all.n++] = (struct group){ promql_keep(
			    e, &g->rows[i], &p->labels, !p->without, false) };
			place = all.n;
			(void)map_put(&known, key, (void *)place);
		}
		group = &all.at[place - 1];
		if (group->n == group->cap) {
			size_t cap = group->cap * 2 + 8;
			size_t *more = arena_array(e->arena, cap, size_t);

			if (group->n > 0)
				memcpy(more, group->members,
				    group->n * sizeof(*more));
			group->members = more;
			group->cap = cap;
		}
		group->members[group->n++] = i;
	}
	map_fini(&known);
	return all;
}

double
promql_variance(const double *v, size_t n)
{
	double mean = 0, sum = 0;

	for (size_t i = 0; i < n; i++) {
		double d = v[i] - mean;

		mean += d / (double)(i + 1);
		sum += d * (v[i] - mean);
	}
	return sum / (double)n;
}

double
promql_sum(const double *v, size_t n)
{
	double sum = 0, c = 0;

	for (size_t i = 0; i < n; i++) {
		double t = sum + v[i];

		if (isinf(t))
			c = 0;
		else if (fabs(sum) >= fabs(v[i]))
			c += (sum - t) + v[i];
		else
			c += (v[i] - t) + sum;
		sum = t;
	}
	return sum + c;
}

/* `v` are those there at a step; at least one. */
static double
aggregate(enum aggregate agg, double *v, size_t n, double param)
{
	double x = v[0];

	switch (agg) {
	case AGG_SUM:
		return promql_sum(v, n);
	case AGG_AVG:
		return promql_sum(v, n) / (double)n;
	case AGG_COUNT:
		return (double)n;
	case AGG_GROUP:
		return 1;
	case AGG_MIN:
		for (size_t i = 1; i < n; i++)
			if (v[i] < x || isnan(x))
				x = v[i];
		return x;
	case AGG_MAX:
		for (size_t i = 1; i < n; i++)
			if (v[i] > x || isnan(x))
				x = v[i];
		return x;
	case AGG_STDDEV:
		return sqrt(promql_variance(v, n));
	case AGG_STDVAR:
		return promql_variance(v, n);
	default:
		return promql_quantile(param, v, n);
	}
}

struct ranked {
	double v;
	size_t row;
};

/* The smallest first, NaN behind all. */
static int
by_value(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (isnan(x->v) || isnan(y->v)) {
		if (isnan(x->v) != isnan(y->v))
			return isnan(x->v) ? 1 : -1;
	} else if (x->v != y->v) {
		return x->v < y->v ? -1 : 1;
	}
	return (x->row > y->row) - (x->row < y->row);
}

static int
by_value_down(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (!isnan(x->v) && !isnan(y->v) && x->v != y->v)
		return x->v > y->v ? -1 : 1;
	return by_value(a, b);
}

void
promql_sort(struct eval *e, struct grid *g, bool down)
{
	struct ranked *ranks = arena_array(e->arena, g->n + 1, struct ranked);
	struct row *rows = arena_array(e->arena, g->n + 1, struct row);
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		if (!is_gone(g->rows[i].v[0]))
			ranks[n++] = (struct ranked){ g->rows[i].v[0], i };
	qsort(ranks, n, sizeof(*ranks), down ? by_value_down : by_value);
	for (size_t i = 0; i < n; i++)
		rows[i] = g->rows[ranks[i].row];
	g->rows = rows;
	g->n = g->cap = n;
}

/* Of each group the k largest or smallest stay as they are. */
static int
pick(struct eval *e, const struct promql *p, const struct groups *all,
    const struct grid *k, struct grid *body, struct grid *ret)
{
	struct ranked *ranks =
	    arena_array(e->arena, body->n + 1, struct ranked);
	double *old = arena_array(e->arena, body->n + 1, double);
	size_t *order = arena_array(e->arena, body->n + 1, size_t), n_order = 0;
	int (*cmp)(const void *, const void *) =
	    p->agg == AGG_TOPK ? by_value_down : by_value;

	for (size_t i = 0; i < e->steps; i++) {
		double want = k->rows[0].v[i];

		if (!promql_count(e, body->n))
			return e->rc;
		if (isnan(want))
			return promql_fail(
			    e, ERR_PARAM, "Scalar value NaN overflows int64");
		for (size_t r = 0; r < body->n; r++) {
			old[r] = body->rows[r].v[i];
			body->rows[r].v[i] = gone();
		}
		for (size_t gr = 0; gr < all->n; gr++) {
			const struct group *group = &all->at[gr];
			size_t n = 0;

			for (size_t m = 0; m < group->n; m++)
				if (!is_gone(old[group->members[m]]))
					ranks[n++] = (struct ranked){
						old[group->members[m]],
						group->members[m]
					};
			qsort(ranks, n, sizeof(*ranks), cmp);
			for (size_t m = 0; m < n && (double)(m + 1) <= want;
			     m++) {
				body->rows[ranks[m].row].v[i] = ranks[m].v;
				if (e->steps == 1)
					order[n_order++] = ranks[m].row;
			}
		}
	}
	*ret = *body;
	if (e->steps == 1) { /* in their order */
		ret->rows = arena_array(e->arena, n_order + 1, struct row);
		ret->n = ret->cap = n_order;
		for (size_t i = 0; i < n_order; i++)
			ret->rows[i] = body->rows[order[i]];
	}
	return 0;
}

static int
eval_aggregate(struct eval *e, const struct promql *p, struct grid *ret)
{
	struct grid body, param = { 0 }, out = { .type = PROMQL_VECTOR };
	struct groups all;
	double *v;

	if (p->param != NULL && promql_grid(e, p->param, &param) != 0)
		return e->rc;
	if (promql_grid(e, p->left, &body) != 0)
		return e->rc;
	all = group_rows(e, p, &body);
	if (p->agg == AGG_TOPK || p->agg == AGG_BOTTOMK)
		return pick(e, p, &all, &param, &body, ret);
	v = arena_array(e->arena, body.n + 1, double);
	for (size_t i = 0; i < all.n; i++) {
		const struct group *group = &all.at[i];
		struct row *row = promql_row(
		    e, &out, group->labels.labels, group->labels.n_labels);

		if (row == NULL)
			return e->rc;
		for (size_t k = 0; k < e->steps; k++) {
			size_t n = 0;

			for (size_t m = 0; m < group->n; m++)
				if (!is_gone(body.rows[group->members[m]].v[k]))
					v[n++] =
					    body.rows[group->members[m]].v[k];
			if (n > 0)
				row->v[k] = aggregate(p->agg, v, n,
				    p->param != NULL ? param.rows[0].v[k] : 0);
		}
	}
	*ret = out;
	return e->rc;
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
		return eval_aggregate(e, p, ret);
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

static int
eval_raw(struct eval *e, const struct promql *p, struct promql_result *ret)
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
		if (eval_raw(&e, p, &r) != 0)
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

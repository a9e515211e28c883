/*
 * codec/promql_aggregate.c - many rows to one: sum, quantile, topk, ...
 */
#include "codec/promql_private.h"

#include <math.h>
#include <stdlib.h>

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

int
promql_aggregate(struct eval *e, const struct promql *p, struct grid *ret)
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

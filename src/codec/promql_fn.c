/*
 * codec/promql_fn.c - the functions: a row for each.
 */
#include "codec/promql_private.h"

#include <math.h>
#include <regex.h>
#include <stdlib.h>

/* --- of one number ------------------------------------------------------- */

static double
sign(double v)
{
	return v > 0 ? 1 : v < 0 ? -1 : v;
}

/* --- over a window ------------------------------------------------------- */

static double
weight(const struct window *w, size_t i)
{
	return w->w != NULL ? w->w[i] : 1;
}

static bool
over_sum(const struct window *w, double *ret)
{
	double sum = 0, c = 0;

	if (w->w == NULL) {
		*ret = promql_sum(w->v, w->n);
		return true;
	}
	for (size_t i = 0; i < w->n; i++) {
		double y = w->v[i] * w->w[i] - c, t = sum + y;

		c = isinf(t) ? 0 : (t - sum) - y;
		sum = t;
	}
	*ret = sum;
	return true;
}

static bool
over_count(const struct window *w, double *ret)
{
	*ret = w->w != NULL ? promql_sum(w->w, w->n) : (double)w->n;
	return true;
}

static bool
over_avg(const struct window *w, double *ret)
{
	double n;

	(void)over_count(w, &n);
	(void)over_sum(w, ret);
	*ret /= n;
	return true;
}

static bool
over_min(const struct window *w, double *ret)
{
	*ret = w->v[0];
	for (size_t i = 1; i < w->n; i++)
		if (w->v[i] < *ret || isnan(*ret))
			*ret = w->v[i];
	return true;
}

static bool
over_max(const struct window *w, double *ret)
{
	*ret = w->v[0];
	for (size_t i = 1; i < w->n; i++)
		if (w->v[i] > *ret || isnan(*ret))
			*ret = w->v[i];
	return true;
}

static bool
over_last(const struct window *w, double *ret)
{
	*ret = w->v[w->n - 1];
	return true;
}

static bool
over_present(const struct window *w, double *ret)
{
	(void)w;
	*ret = 1;
	return true;
}

static bool
over_stdvar(const struct window *w, double *ret)
{
	double mean = 0, sum = 0, n = 0;

	for (size_t i = 0; i < w->n; i++) {
		double d = w->v[i] - mean;

		n += weight(w, i);
		mean += d * weight(w, i) / n;
		sum += d * weight(w, i) * (w->v[i] - mean);
	}
	*ret = sum / n;
	return true;
}

static bool
over_stddev(const struct window *w, double *ret)
{
	(void)over_stdvar(w, ret);
	*ret = sqrt(*ret);
	return true;
}

static int
by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	if (isnan(x) || isnan(y))
		return isnan(y) - isnan(x); /* NaN is the smallest */
	return (x > y) - (x < y);
}

double
promql_quantile(double q, double *v, size_t n)
{
	double rank, below, part;
	size_t low;

	if (n == 0 || isnan(q))
		return (double)NAN;
	if (q < 0)
		return (double)-INFINITY;
	if (q > 1)
		return (double)INFINITY;
	qsort(v, n, sizeof(*v), by_number);
	rank = q * (double)(n - 1);
	below = floor(rank);
	part = rank - below;
	low = (size_t)below;
	return v[low] * (1 - part) + v[MIN_OF(low + 1, n - 1)] * part;
}

static bool
over_quantile(const struct window *w, double *ret)
{
	double *v = malloc(w->n * sizeof(*v));

	if (v == NULL)
		return false;
	memcpy(v, w->v, w->n * sizeof(*v));
	*ret = promql_quantile(w->param, v, w->n);
	free(v);
	return true;
}

/* As Prometheus does it: what lies between the first and the last point is
 * carried on to the ends of the window when they are near enough, a counter not
 * below zero. */
static bool
extrapolate(const struct window *w, bool counter, bool rate, double *ret)
{
	double sum, to_start, to_end, span, average, nearby;
	size_t last = w->n - 1;

	if (w->n < 2)
		return false;
	sum = w->v[last] - w->v[0];
	for (size_t i = 1; counter && i < w->n; i++)
		if (w->v[i] < w->v[i - 1])
			sum += w->v[i - 1];
	to_start = (double)(w->at[0] - w->start) / 1000;
	to_end = (double)(w->end - w->at[last]) / 1000;
	span = (double)(w->at[last] - w->at[0]) / 1000;
	if (span <= 0)
		return false;
	average = span / (double)last;
	nearby = average * 1.1;
	if (to_start >= nearby)
		to_start = average / 2;
	if (counter && sum > 0 && w->v[0] >= 0)
		to_start = fmin(to_start, span * (w->v[0] / sum));
	if (to_end >= nearby)
		to_end = average / 2;
	*ret = sum * ((span + to_start + to_end) / span);
	if (rate)
		*ret /= (double)(w->end - w->start) / 1000;
	return true;
}

static bool
over_rate(const struct window *w, double *ret)
{
	return extrapolate(w, true, true, ret);
}

static bool
over_increase(const struct window *w, double *ret)
{
	return extrapolate(w, true, false, ret);
}

static bool
over_delta(const struct window *w, double *ret)
{
	return extrapolate(w, false, false, ret);
}

static bool
over_idelta(const struct window *w, double *ret)
{
	if (w->n < 2)
		return false;
	*ret = w->v[w->n - 1] - w->v[w->n - 2];
	return true;
}

static bool
over_irate(const struct window *w, double *ret)
{
	double last, before, ms;

	if (w->n < 2)
		return false;
	last = w->v[w->n - 1];
	before = w->v[w->n - 2];
	ms = (double)(w->at[w->n - 1] - w->at[w->n - 2]);
	if (ms <= 0)
		return false;
	*ret = (last < before ? last : last - before) / (ms / 1000);
	return true;
}

static bool
over_changes(const struct window *w, double *ret)
{
	*ret = 0;
	for (size_t i = 1; i < w->n; i++)
		if (w->v[i] != w->v[i - 1] &&
		    !(isnan(w->v[i]) && isnan(w->v[i - 1])))
			(*ret)++;
	return true;
}

static bool
over_resets(const struct window *w, double *ret)
{
	*ret = 0;
	for (size_t i = 1; i < w->n; i++)
		if (w->v[i] < w->v[i - 1])
			(*ret)++;
	return true;
}

/* The slope of the line of least squares, per second. */
static bool
over_deriv(const struct window *w, double *ret)
{
	double n = (double)w->n, sx = 0, sy = 0, sxy = 0, sxx = 0, bottom;

	if (w->n < 2)
		return false;
	for (size_t i = 0; i < w->n; i++) {
		double x = (double)(w->at[i] - w->at[0]) / 1000;
		double y = w->v[i] - w->v[0];

		sx += x;
		sy += y;
		sxy += x * y;
		sxx += x * x;
	}
	bottom = sxx - sx * sx / n;
	if (bottom == 0)
		return false;
	*ret = (sxy - sx * sy / n) / bottom;
	return true;
}

/* --- of vectors and numbers ---------------------------------------------- */

static int
new_scalar(struct eval *e, struct grid *ret, double **v)
{
	struct grid g = { .type = PROMQL_SCALAR };
	struct row *row = promql_row(e, &g, NULL, 0);

	if (row == NULL)
		return e->rc;
	*v = row->v;
	*ret = g;
	return 0;
}

static int
run_time(struct eval *e, const struct promql *p, struct grid *ret)
{
	double *v;

	(void)p;
	if (new_scalar(e, ret, &v) != 0)
		return e->rc;
	for (size_t i = 0; i < e->steps; i++)
		v[i] = (double)step_time(e, i) / 1000;
	return 0;
}

static int
run_pi(struct eval *e, const struct promql *p, struct grid *ret)
{
	double *v;

	(void)p;
	if (new_scalar(e, ret, &v) != 0)
		return e->rc;
	for (size_t i = 0; i < e->steps; i++)
		v[i] = M_PI;
	return 0;
}

static int
run_vector(struct eval *e, const struct promql *p, struct grid *ret)
{
	if (promql_grid(e, p->args[0], ret) == 0)
		ret->type = PROMQL_VECTOR;
	return e->rc;
}

static int
run_scalar(struct eval *e, const struct promql *p, struct grid *ret)
{
	struct grid g;
	double *v;

	if (promql_grid(e, p->args[0], &g) != 0 || new_scalar(e, ret, &v) != 0)
		return e->rc;
	for (size_t i = 0; i < e->steps; i++) {
		size_t n = 0;

		for (size_t r = 0; r < g.n; r++)
			if (!is_gone(g.rows[r].v[i])) {
				v[i] = g.rows[r].v[i];
				n++;
			}
		if (n != 1)
			v[i] = (double)NAN;
	}
	return 0;
}

static int
run_timestamp(struct eval *e, const struct promql *p, struct grid *ret)
{
	if (p->args[0]->kind == NODE_SELECTOR) {
		(void)promql_select(
		    e, p->args[0], NULL, true, NULL, PROMQL_USE_LAST, ret);
		return e->rc;
	}
	if (promql_grid(e, p->args[0], ret) != 0)
		return e->rc;
	for (size_t r = 0; r < ret->n; r++)
		for (size_t i = 0; i < e->steps; i++)
			if (!is_gone(ret->rows[r].v[i]))
				ret->rows[r].v[i] =
				    (double)step_time(e, i) / 1000;
	return 0;
}

static int
run_sort(struct eval *e, const struct promql *p, struct grid *ret)
{
	if (promql_grid(e, p->args[0], ret) == 0 && e->steps == 1)
		promql_sort(e, ret, p->fn->name[4] == '_');
	return e->rc;
}

static int
run_round(struct eval *e, const struct promql *p, struct grid *ret)
{
	struct grid to = { 0 };

	if (promql_grid(e, p->args[0], ret) != 0 ||
	    (p->n_args > 1 && promql_grid(e, p->args[1], &to) != 0))
		return e->rc;
	for (size_t r = 0; r < ret->n; r++)
		for (size_t i = 0; i < e->steps; i++) {
			double inverse =
			    p->n_args > 1 ? 1.0 / to.rows[0].v[i] : 1.0;
			double *v = &ret->rows[r].v[i];

			if (!is_gone(*v))
				*v = floor(*v * inverse + 0.5) / inverse;
		}
	return 0;
}

static int
run_clamp(struct eval *e, const struct promql *p, struct grid *ret)
{
	bool has_min = strcmp(p->fn->name, "clamp_max") != 0;
	bool has_max = strcmp(p->fn->name, "clamp_min") != 0;
	struct grid min = { 0 }, max = { 0 };

	if (promql_grid(e, p->args[0], ret) != 0 ||
	    (has_min && promql_grid(e, p->args[1], &min) != 0) ||
	    (has_max && promql_grid(e, p->args[p->n_args - 1], &max) != 0))
		return e->rc;
	for (size_t r = 0; r < ret->n; r++)
		for (size_t i = 0; i < e->steps; i++) {
			double *v = &ret->rows[r].v[i];
			double low =
			    has_min ? min.rows[0].v[i] : (double)-INFINITY;
			double high =
			    has_max ? max.rows[0].v[i] : (double)INFINITY;

			if (is_gone(*v))
				continue;
			if (low > high)
				*v = gone();
			else if (isnan(low) || isnan(high))
				*v = (double)NAN;
			else if (*v < low)
				*v = low;
			else if (*v > high)
				*v = high;
		}
	return 0;
}

/* One row with what the selector says of its labels, where nothing is. */
static int
not_there(struct eval *e, const struct promql *arg, const struct grid *g,
    struct grid *ret)
{
	struct row labels = { 0 }, *row;
	struct grid out = { .type = PROMQL_VECTOR };

	for (size_t i = 0; arg->kind == NODE_SELECTOR && i < arg->n_match;
	     i++) {
		const struct promql_matcher *m = &arg->match[i];
		size_t same = 0;

		for (size_t k = 0; k < arg->n_match; k++)
			same += str_eq(arg->match[k].label, m->label);
		if (m->op == PROMQL_EQ && same == 1 &&
		    !str_eqz(m->label, "__name__"))
			promql_label_set(e, &labels, m->label, m->value);
	}
	row = promql_row(e, &out, labels.labels, labels.n_labels);
	if (row == NULL)
		return e->rc;
	for (size_t i = 0; i < e->steps; i++) {
		row->v[i] = 1;
		for (size_t r = 0; r < g->n; r++)
			if (!is_gone(g->rows[r].v[i]))
				row->v[i] = gone();
	}
	*ret = out;
	return 0;
}

static int
run_absent(struct eval *e, const struct promql *p, struct grid *ret)
{
	struct grid g;

	if (promql_grid(e, p->args[0], &g) != 0)
		return e->rc;
	return not_there(e, p->args[0], &g, ret);
}

static int
run_absent_over_time(struct eval *e, const struct promql *p, struct grid *ret)
{
	struct grid g;

	if (promql_select(e, p->args[0], over_present, false, NULL,
		PROMQL_USE_LAST, &g) != 0)
		return e->rc;
	return not_there(e, p->args[0], &g, ret);
}

/* --- labels -------------------------------------------------------------- */

static bool
is_label(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			c == '_' || (i > 0 && c >= '0' && c <= '9')))
			return false;
	}
	return s.len > 0;
}

#define GROUPS_MAX 20

/* $1, ${1} and $$ in `text`. */
static struct str
expand(struct arena *a, struct str text, const char *subject,
    const regmatch_t *found, size_t n)
{
	struct buf b = { 0 };
	struct str s;

	for (size_t i = 0; i < text.len; i++) {
		bool braces;
		size_t no = 0, k = i + 1, digits = 0;

		if (text.ptr[i] != '$' || k == text.len) {
			buf_addc(&b, text.ptr[i]);
			continue;
		}
		if (text.ptr[k] == '$') {
			buf_addc(&b, '$');
			i = k;
			continue;
		}
		braces = text.ptr[k] == '{';
		for (k += braces; k < text.len && text.ptr[k] >= '0' &&
		     text.ptr[k] <= '9' && digits < 3;
		     k++, digits++)
			no = no * 10 + (size_t)(text.ptr[k] - '0');
		if (digits == 0 ||
		    (braces && (k == text.len || text.ptr[k] != '}'))) {
			buf_addc(&b, '$');
			continue;
		}
		/* the pattern is in parentheses of its own: group 0 is 1 */
		if (no + 1 < n && found[no + 1].rm_so >= 0)
			buf_add(&b, subject + found[no + 1].rm_so,
			    (size_t)(found[no + 1].rm_eo -
				found[no + 1].rm_so));
		i = braces ? k : k - 1;
	}
	s = arena_str(a, b.ptr == NULL ? STR("") : buf_str(&b));
	buf_free(&b);
	return s;
}

static int
run_label_replace(struct eval *e, const struct promql *p, struct grid *ret)
{
	struct str to = p->args[1]->string, text = p->args[2]->string,
		   from = p->args[3]->string, raw = p->args[4]->string, pattern;
	regmatch_t found[GROUPS_MAX];
	struct buf whole = { 0 };
	regex_t re;
	int rc;

	if (!is_label(to))
		return promql_fail(e, ERR_PARAM,
		    "invalid destination label name in label_replace(): %.*s",
		    (int)MIN_OF(to.len, (size_t)80), to.ptr);
	pattern = promql_pattern(e->arena, raw);
	if (pattern.ptr == NULL || memmem(raw.ptr, raw.len, "(?:", 3) != NULL)
		rc = -1;
	else {
		buf_addf(&whole, "^(" STR_FMT ")$", STR_ARG(pattern));
		rc = regcomp(&re, buf_z(&whole), REG_EXTENDED);
		buf_free(&whole);
	}
	if (rc != 0)
		return promql_fail(e, ERR_PARAM,
		    "invalid regular expression in label_replace(): %.*s",
		    (int)MIN_OF(raw.len, (size_t)80), raw.ptr);
	if (promql_grid(e, p->args[0], ret) == 0)
		for (size_t r = 0; r < ret->n; r++) {
			char *subject = arena_z(
			    e->arena, promql_label_of(&ret->rows[r], from));

			if (!promql_count(e, 1))
				break;
			if (regexec(&re, subject, GROUPS_MAX, found, 0) == 0)
				promql_label_set(e, &ret->rows[r], to,
				    expand(e->arena, text, subject, found,
					GROUPS_MAX));
		}
	regfree(&re);
	return e->rc != 0 ? e->rc : promql_merge(e, ret);
}

/* --- the table ----------------------------------------------------------- */

#define V PROMQL_VECTOR
#define N PROMQL_SCALAR

#define PLAIN(n, f)                                                            \
	{                                                                      \
		.name = n, .args = "v", .type = V, .plain = f                  \
	}
#define OVER(n, f, u)                                                          \
	{                                                                      \
		.name = n, .args = "r", .type = V, .over = f, .use = u         \
	}
#define RUN(n, a, t, f)                                                        \
	{                                                                      \
		.name = n, .args = a, .type = t, .run = f                      \
	}

static const struct fn fns[] = {
	PLAIN("abs", fabs),
	PLAIN("ceil", ceil),
	PLAIN("exp", exp),
	PLAIN("floor", floor),
	PLAIN("ln", log),
	PLAIN("log10", log10),
	PLAIN("log2", log2),
	PLAIN("sgn", sign),
	PLAIN("sqrt", sqrt),

	OVER("avg_over_time", over_avg, PROMQL_USE_MEAN),
	OVER("changes", over_changes, PROMQL_USE_POINTS),
	OVER("count_over_time", over_count, PROMQL_USE_MEAN),
	OVER("delta", over_delta, PROMQL_USE_POINTS),
	OVER("deriv", over_deriv, PROMQL_USE_POINTS),
	OVER("idelta", over_idelta, PROMQL_USE_POINTS),
	OVER("increase", over_increase, PROMQL_USE_COUNTER),
	OVER("irate", over_irate, PROMQL_USE_POINTS),
	{ .name = "last_over_time",
	    .args = "r",
	    .type = V,
	    .over = over_last,
	    .use = PROMQL_USE_LAST,
	    .keeps_name = true },
	OVER("max_over_time", over_max, PROMQL_USE_MAX),
	OVER("min_over_time", over_min, PROMQL_USE_MIN),
	OVER("present_over_time", over_present, PROMQL_USE_LAST),
	{ .name = "quantile_over_time",
	    .args = "nr",
	    .type = V,
	    .over = over_quantile,
	    .use = PROMQL_USE_POINTS },
	OVER("rate", over_rate, PROMQL_USE_COUNTER),
	OVER("resets", over_resets, PROMQL_USE_POINTS),
	OVER("stddev_over_time", over_stddev, PROMQL_USE_POINTS),
	OVER("stdvar_over_time", over_stdvar, PROMQL_USE_POINTS),
	OVER("sum_over_time", over_sum, PROMQL_USE_MEAN),

	RUN("absent", "v", V, run_absent),
	RUN("absent_over_time", "r", V, run_absent_over_time),
	RUN("clamp", "vnn", V, run_clamp),
	RUN("clamp_max", "vn", V, run_clamp),
	RUN("clamp_min", "vn", V, run_clamp),
	{ .name = "label_replace",
	    .args = "vtttt",
	    .type = V,
	    .run = run_label_replace,
	    .keeps_name = true },
	RUN("pi", "", N, run_pi),
	RUN("round", "v?n", V, run_round),
	RUN("scalar", "v", N, run_scalar),
	{ .name = "sort",
	    .args = "v",
	    .type = V,
	    .run = run_sort,
	    .keeps_name = true },
	{ .name = "sort_desc",
	    .args = "v",
	    .type = V,
	    .run = run_sort,
	    .keeps_name = true },
	RUN("time", "", N, run_time),
	RUN("timestamp", "v", V, run_timestamp),
	RUN("vector", "n", V, run_vector),
};

const struct fn *
promql_fn_find(struct str name)
{
	for (size_t i = 0; i < COUNT_OF(fns); i++)
		if (str_eqz(name, fns[i].name))
			return &fns[i];
	return NULL;
}

int
promql_call(struct eval *e, const struct promql *p, struct grid *ret)
{
	const struct fn *fn = p->fn;
	struct grid param;

	if (fn->run != NULL) {
		if (fn->run(e, p, ret) != 0)
			return e->rc;
	} else if (fn->over != NULL) {
		bool has_param = fn->args[0] == 'n';

		if (has_param && promql_grid(e, p->args[0], &param) != 0)
			return e->rc;
		if (promql_select(e, p->args[has_param], fn->over, false,
			has_param ? param.rows[0].v : NULL, fn->use, ret) != 0)
			return e->rc;
	} else {
		if (promql_grid(e, p->args[0], ret) != 0)
			return e->rc;
		for (size_t r = 0; r < ret->n; r++)
			for (size_t i = 0; i < e->steps; i++)
				if (!is_gone(ret->rows[r].v[i]))
					ret->rows[r].v[i] =
					    fn->plain(ret->rows[r].v[i]);
	}
	return fn->keeps_name ? e->rc : promql_nameless(e, ret);
}

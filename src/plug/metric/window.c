/*
 * plug/metric/window.c - see window.h.
 */
#include "plug/metric/window.h"

#include "base/base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void
windows_init(
    struct windows *w, const struct metric_query *q, enum metric_kind kind)
{
	w->q = q;
	w->counter = kind == METRIC_COUNTER;
	for (size_t i = 0; i < q->n_fns; i++)
		w->sorted = w->sorted || q->fns[i].func == METRIC_MEDIAN ||
		    q->fns[i].func == METRIC_PERCENTILE;
}

void
windows_before(struct windows *w, double value)
{
	w->prev = value;
	w->prev_known = true;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Between the two nearest values, in proportion. */
static double
percentile(const double *v, size_t n, double percent)
{
	double place = percent / 100 * (double)(n - 1);
	size_t below = (size_t)place;

	if (below + 1 >= n)
		return v[n - 1];
	return v[below] + (v[below + 1] - v[below]) * (place - (double)below);
}

static double
value_of(const struct windows *w, const struct metric_fn *fn)
{
	const struct summary *s = &w->now;
	const double *v = (const double *)(const void *)w->values.ptr;
	size_t n = w->values.len / sizeof(double);

	switch (fn->func) {
	case METRIC_MEAN:
		return s->sum / (double)s->n;
	case METRIC_MIN:
		return s->min;
	case METRIC_MAX:
		return s->max;
	case METRIC_SUM:
		return s->sum;
	case METRIC_COUNT:
		return (double)s->n;
	case METRIC_FIRST:
		return s->first;
	case METRIC_LAST:
		return s->last;
	case METRIC_MEDIAN:
		return percentile(v, n, 50);
	case METRIC_PERCENTILE:
		return percentile(v, n, fn->percent);
	case METRIC_INCREASE:
		return w->inc_known ? s->inc : NAN;
	case METRIC_RATE:
		return w->inc_known ? s->inc * 1000 / (double)w->q->step : NAN;
	}
	return NAN;
}

static void
finish(struct windows *w)
{
	if (w->now.n == 0)
		return;
	if (w->sorted)
		qsort(w->values.ptr, w->values.len / sizeof(double),
		    sizeof(double), by_value);
	buf_add(&w->at, &w->now.at, sizeof(w->now.at));
	for (size_t i = 0; i < w->q->n_fns; i++) {
		double v = value_of(w, &w->q->fns[i]);

		buf_add(&w->out, &v, sizeof(v));
	}
	buf_clear(&w->values);
	w->now.n = 0;
}

/* Goes to the window of `at`, which is in range. */
static void
enter(struct windows *w, int64_t at)
{
	if (at < w->end)
		return;
	finish(w);
	w->now = (struct summary){
		.at = w->q->from + (at - w->q->from) / w->q->step * w->q->step,
		.min = INFINITY,
		.max = -INFINITY,
	};
	w->inc_known = false;
	w->end = w->now.at + w->q->step;
}

static void
count_up(struct windows *w, double first, double inc, double last)
{
	if (w->prev_known)
		inc += counter_step(w->prev, first);
	w->now.inc += inc;
	w->inc_known = w->inc_known || w->prev_known;
	w->prev = last;
	w->prev_known = true;
}

/* All `n` points are in one window. */
static void
add_points(struct windows *w, const double *v, size_t n)
{
	struct summary *s = &w->now;
	double sum[4] = { 0 }, min = s->min, max = s->max;
	size_t i = 0;

	if (s->n == 0)
		s->first = v[0];
	s->last = v[n - 1];
	/* four sums at a time: an addition waits for the one before */
	for (; i + 4 <= n; i += 4)
		for (size_t k = 0; k < 4; k++)
			sum[k] += v[i + k];
	for (; i < n; i++)
		sum[0] += v[i];
	for (i = 0; i < n; i++) {
		min = v[i] < min ? v[i] : min;
		max = v[i] > max ? v[i] : max;
	}
	s->sum += (sum[0] + sum[1]) + (sum[2] + sum[3]);
	s->min = min;
	s->max = max;
	s->n += (int64_t)n;
	if (w->counter)
		for (i = 0; i < n; i++)
			count_up(w, v[i], 0, v[i]);
	if (w->sorted)
		buf_add(&w->values, v, n * sizeof(*v));
}

void
windows_points(struct windows *w, const int64_t *at, const double *v, size_t n)
{
	size_t i = 0, k;

	while (i < n && at[i] < w->q->from)
		i++;
	while (i < n && at[i] < w->q->to) {
		int64_t end;

		enter(w, at[i]);
		end = MIN_OF(w->end, w->q->to);
		for (k = i + 1; k < n && at[k] < end;)
			k++;
		add_points(w, v + i, k - i);
		i = k;
	}
}

void
windows_rows(struct windows *w, const struct summary *row, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct summary *s = &w->now;
		double mean = row[i].sum / (double)row[i].n;

		if (row[i].at < w->q->from || row[i].at >= w->q->to)
			continue;
		enter(w, row[i].at);
		if (s->n == 0)
			s->first = row[i].first;
		s->last = row[i].last;
		s->sum += row[i].sum;
		s->min = MIN_OF(s->min, row[i].min);
		s->max = MAX_OF(s->max, row[i].max);
		s->n += row[i].n;
		if (w->counter) {
			bool known = w->prev_known || row[i].n > 1;

			count_up(w, row[i].first, row[i].inc, row[i].last);
			w->inc_known = w->inc_known || known;
		}
		if (w->sorted)
			buf_add(&w->values, &mean, sizeof(mean));
	}
}

void
windows_end(struct windows *w, struct arena *a, struct metric_windows *ret)
{
	finish(w);
	ret->n = w->at.len / sizeof(int64_t);
	ret->at = arena_array(a, ret->n + 1, int64_t);
	ret->values = arena_array(a, ret->n * w->q->n_fns + 1, double);
	if (ret->n > 0) {
		memcpy(ret->at, w->at.ptr, w->at.len);
		memcpy(ret->values, w->out.ptr, w->out.len);
	}
}

void
windows_fini(struct windows *w)
{
	buf_free(&w->values);
	buf_free(&w->at);
	buf_free(&w->out);
}

/*
 * core/hub/prom_points.c - series and points for PromQL.
 *
 * Points are read one by one where they are kept so, and where a question looks
 * at every one of them. Other questions over long times are answered from
 * windows of a minute; what is older from minutes, then from hours, each from
 * when on it is kept. What a window has stands at its end.
 *
 * A binary value is written when it changes, so it is taken to hold until the
 * next one, for HOLD_MS at most; the value of an hour holds for an hour. To
 * hold is to be repeated, so that whoever looks back finds it.
 */
#include "core/hub/private.h"
#include "core/hub/prom.h"

#include "base/clock.h"

#define HOLD_MS (INT64_C(30) * 86400000)
#define REPEAT_MS (PROMQL_LOOKBACK_MS / 2)
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS INT64_C(3600000)
#define WINDOWS_AT_ONCE INT64_C(100000)
#define COARSE_STEP_MS 600000
#define COARSE_RANGE_MS 3600000

const struct metric_matcher *
prom_matchers(struct arena *a, const struct promql_matcher *m, size_t n)
{
	static const enum metric_match ops[] = {
		[PROMQL_EQ] = METRIC_EQ,
		[PROMQL_NE] = METRIC_NE,
		[PROMQL_RE] = METRIC_RE,
		[PROMQL_NOT_RE] = METRIC_NOT_RE,
	};
	struct metric_matcher *ret =
	    arena_array(a, n + 1, struct metric_matcher);

	for (size_t i = 0; i < n; i++)
		ret[i] = (struct metric_matcher){ m[i].label, ops[m[i].op],
			m[i].value };
	return ret;
}

bool
prom_late(void *ctx)
{
	return clock_mono() > ((const struct prom_door *)ctx)->deadline;
}

#define BATCH 512

/* Points on their way to the sink. */
struct feed {
	const struct prom_door *door;
	const struct promql_ask *ask;
	struct promql_sink *sink;
	int64_t from, to;
	int64_t put_at; /* the last one; times only grow */
	bool binary;
	int64_t hold; /* how long a value lasts if no other comes; 0: it does
		       * not */
	bool has_last;
	int64_t last_at;
	double last;
	bool ok;

	int64_t at[BATCH];
	double v[BATCH], w[BATCH];
	size_t n;
	bool weighted;
};

static void
flush(struct feed *f)
{
	if (f->n > 0 && f->ok)
		f->ok = promql_points(
		    f->sink, f->at, f->v, f->weighted ? f->w : NULL, f->n);
	f->n = 0;
}

static void
put(struct feed *f, int64_t at, double v, double w)
{
	if (at < f->from || at >= f->to || at <= f->put_at)
		return;
	f->put_at = at;
	if (f->n == BATCH)
		flush(f);
	f->at[f->n] = at;
	f->v[f->n] = v;
	f->w[f->n++] = w;
}

/* The last value again and again until `until`, so that whoever looks back
 * finds it. */
static void
repeat(struct feed *f, int64_t until)
{
	int64_t end = MIN_OF(MIN_OF(until, f->to), f->door->now + 1);
	int64_t at;

	if (!f->has_last)
		return;
	end = MIN_OF(end, f->last_at + f->hold);
	at = f->last_at + REPEAT_MS;
	if (at < f->from)
		at += (f->from - at + REPEAT_MS - 1) / REPEAT_MS * REPEAT_MS;
	/* one at the very beginning, too */
	if (f->last_at < f->from && f->from < end && at > f->from)
		put(f, f->from, f->last, 1);
	for (; at < end && f->ok; at += REPEAT_MS)
		put(f, at, f->last, 1);
}

static bool
on_points(void *ctx, const struct metric_point *p, size_t n)
{
	struct feed *f = ctx;

	for (size_t i = 0; i < n && f->ok; i++) {
		if (f->hold > 0)
			repeat(f, p[i].at);
		f->has_last = true;
		f->last_at = p[i].at;
		f->last = p[i].value;
		put(f, p[i].at, p[i].value, 1);
	}
	return f->ok;
}

static int
feed_points(
    struct feed *f, uint32_t series, int64_t from, int64_t to, struct err *err)
{
	int rc;

	f->hold = f->binary ? HOLD_MS : 0;
	from = MAX_OF(from - f->hold, (int64_t)0);
	rc = metric_read(
	    f->door->hub->metric, series, from, to, on_points, f, err);
	if (rc == 0 && f->hold > 0)
		repeat(f, to);
	return rc;
}

static enum metric_func
func_for(enum promql_use use)
{
	switch (use) {
	case PROMQL_USE_MEAN:
		return METRIC_MEAN;
	case PROMQL_USE_MIN:
		return METRIC_MIN;
	case PROMQL_USE_MAX:
		return METRIC_MAX;
	default:
		return METRIC_LAST;
	}
}

/* What a window has stands at its end, so that nothing is known before it
 * happened. */
static void
put_windows(struct feed *f, const struct metric_windows *w, int64_t width)
{
	for (size_t i = 0; i < w->n && f->ok; i++) {
		int64_t at = MIN_OF(w->at[i] + width, f->to) - 1;

		if (f->hold > 0)
			repeat(f, at);
		f->has_last = true;
		f->last_at = at;
		f->last = w->values[2 * i];
		put(f, at, f->last, w->values[2 * i + 1]);
	}
}

static int
feed_windows(struct feed *f, uint32_t series, int64_t from, int64_t to,
    int64_t width, struct err *err)
{
	const struct metric_fn fns[] = { { func_for(f->ask->use), 0 },
		{ METRIC_COUNT, 0 } };
	int rc = 0;

	/* an hour is longer than what is looked back */
	if (!f->binary)
		f->hold = width == HOUR_MS && f->ask->range == 0 ? width : 0;
	from = MAX_OF(from - f->hold, (int64_t)0);
	from -= from % width;
	f->weighted = f->ask->use == PROMQL_USE_MEAN;
	while (rc == 0 && from < to && f->ok) {
		int64_t end = MIN_OF(to, from + WINDOWS_AT_ONCE * width);
		const struct metric_query q = { series, from, end, width, fns,
			COUNT_OF(fns) };
		struct metric_windows w;
		struct arena a = { 0 };

		if (prom_late((void *)f->door))
			rc = err_set(err, ERR_AGAIN,
			    "query timed out in expression evaluation");
		else
			rc = metric_windows(
			    f->door->hub->metric, &q, &a, &w, err);
		if (rc == 0)
			put_windows(f, &w, width);
		arena_fini(&a);
		from = end;
	}
	if (rc == 0 && f->hold > 0)
		repeat(f, to);
	return rc;
}

/* Since when there is what is kept for `keep`, as of whole windows. */
static int64_t
kept_since(const struct feed *f, int64_t keep, int64_t width)
{
	int64_t at = keep > 0 ? MAX_OF(f->door->now - keep, (int64_t)0) : 0;

	return at + (width - at % width) % width;
}

static int
feed_series(struct feed *f, const struct metric_series *s, struct err *err)
{
	const struct metric_settings *set = &f->door->hub->conf.metric;
	const struct promql_ask *ask = f->ask;
	int64_t minutes = kept_since(f, set->keep_minute, HOUR_MS);
	int64_t points = kept_since(f, set->keep_raw, MINUTE_MS);
	int64_t from = f->from;
	int rc = 0;

	f->binary = s->kind == METRIC_BINARY;
	f->hold = f->binary ? HOLD_MS : 0;
	if (!f->binary && ask->use != PROMQL_USE_POINTS &&
	    (ask->step >= COARSE_STEP_MS || ask->range >= COARSE_RANGE_MS))
		points = f->to;
	minutes = MIN_OF(minutes, points);
	if (from < minutes && from < f->to) {
		rc = feed_windows(
		    f, s->id, from, MIN_OF(minutes, f->to), HOUR_MS, err);
		flush(f);
		from = minutes;
	}
	if (rc == 0 && f->ok && from < points && from < f->to) {
		rc = feed_windows(
		    f, s->id, from, MIN_OF(points, f->to), MINUTE_MS, err);
		flush(f);
		from = points;
	}
	if (rc == 0 && f->ok && from < f->to)
		rc = feed_points(f, s->id, from, f->to, err);
	flush(f);
	return rc;
}

int
prom_fetch(void *ctx, const struct promql_ask *ask, struct promql_sink *sink,
    struct err *err)
{
	struct prom_door *d = ctx;
	struct metric_series *all;
	size_t n;
	int rc;

	rc = metric_find(d->hub->metric,
	    prom_matchers(d->arena, ask->match, ask->n), ask->n,
	    PROM_SERIES_MAX, d->arena, &all, &n, err);
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct promql_label labels[METRIC_LABELS_MAX + 1];
		struct feed f = { .door = d,
			.ask = ask,
			.sink = sink,
			.from = MAX_OF(ask->from, (int64_t)0),
			.to = MIN_OF(ask->to, METRIC_TIME_MAX),
			.put_at = -1,
			.ok = true };

		if (all[i].kind == METRIC_TEXT)
			continue;
		labels[0] =
		    (struct promql_label){ STR("__name__"), all[i].name };
		for (size_t k = 0; k < all[i].n_labels; k++)
			labels[k + 1] =
			    (struct promql_label){ all[i].labels[k].name,
				    all[i].labels[k].value };
		if (!promql_series(sink, labels, all[i].n_labels + 1))
			return 0; /* the sink knows why */
		rc = feed_series(&f, &all[i], err);
		if (rc == ERR_NOT_FOUND)
			rc = 0; /* deleted meanwhile */
		if (!f.ok)
			return 0;
	}
	return rc;
}

/*
 * plug/metric/pack.c - see pack.h.
 */
#include "plug/metric/pack.h"

#include "base/base.h"
#include "base/mem.h"
#include "plug/metric/window.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- points and rows ----------------------------------------------------- */

static size_t
place_of(const struct points *p, int64_t at) /* the first not before */
{
	size_t lo = 0, hi = p->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->at[mid] < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct points
points_between(const struct points *p, int64_t from, int64_t to)
{
	size_t i = place_of(p, from), end = place_of(p, to);
	struct points ret = { .n = end > i ? end - i : 0 };

	ret.at = p->at + i;
	ret.value = p->value == NULL ? NULL : p->value + i;
	ret.text = p->text == NULL ? NULL : p->text + i;
	return ret;
}

static struct points
points_new(size_t cap, bool text, struct arena *a)
{
	struct points ret = { .cap = cap };

	ret.at = arena_array(a, cap + 1, int64_t);
	if (text)
		ret.text = arena_array(a, cap + 1, struct str);
	else
		ret.value = arena_array(a, cap + 1, double);
	return ret;
}

static void
copy_points(struct points *to, const struct points *from, size_t at, size_t n)
{
	if (n == 0)
		return;
	memcpy(to->at + to->n, from->at + at, n * sizeof(*to->at));
	if (to->text != NULL)
		memcpy(
		    to->text + to->n, from->text + at, n * sizeof(*to->text));
	else
		memcpy(to->value + to->n, from->value + at,
		    n * sizeof(*to->value));
	to->n += n;
}

struct points
merge_points(
    const struct points *under, const struct points *over, struct arena *a)
{
	struct points ret =
	    points_new(under->n + over->n, over->text != NULL, a);
	size_t i = 0, k = 0;

	while (i < under->n && k < over->n) {
		size_t run;

		if (under->at[i] < over->at[k]) {
			run = place_of(under, over->at[k]) - i;
			copy_points(&ret, under, i, run);
			i += run;
		} else {
			if (under->at[i] == over->at[k])
				i++;
			copy_points(&ret, over, k++, 1);
		}
	}
	copy_points(&ret, under, i, under->n - i);
	copy_points(&ret, over, k, over->n - k);
	return ret;
}

static struct summary
row_of(const struct points *p, size_t from, size_t to, int64_t at, bool counter)
{
	const double *v = p->value;
	struct summary s = { .at = at,
		.n = (int64_t)(to - from),
		.min = INFINITY,
		.max = -INFINITY,
		.first = v[from],
		.last = v[to - 1] };

	for (size_t i = from; i < to; i++) {
		s.sum += v[i];
		s.min = MIN_OF(s.min, v[i]);
		s.max = MAX_OF(s.max, v[i]);
		if (counter && i > from)
			s.inc += counter_step(v[i - 1], v[i]);
	}
	s.sum = block_round_sum(s.sum, v + from, to - from);
	return s;
}

struct summary *
rows_of(const struct points *p, int64_t width, bool counter, struct arena *a,
    size_t *n)
{
	struct buf rows = { 0 };
	struct summary *ret;

	for (size_t i = 0, end; i < p->n; i = end) {
		int64_t at = floor_to(p->at[i], width);
		struct summary s;

		for (end = i + 1; end < p->n && p->at[end] < at + width;)
			end++;
		s = row_of(p, i, end, at, counter);
		buf_add(&rows, &s, sizeof(s));
	}
	*n = rows.len / sizeof(*ret);
	ret = arena_array(a, *n + 1, struct summary);
	if (*n > 0)
		memcpy(ret, rows.ptr, rows.len);
	buf_free(&rows);
	return ret;
}

/* `more` is of points that are not in `s` yet. `behind`: they come after those
 * in it; else nothing is known of their order. */
static void
row_add(struct summary *s, const struct summary *more, bool behind)
{
	const double sums[] = { s->sum, more->sum };

	s->n += more->n;
	s->min = MIN_OF(s->min, more->min);
	s->max = MAX_OF(s->max, more->max);
	s->sum = block_round_sum(s->sum + more->sum, sums, COUNT_OF(sums));
	if (behind) {
		s->inc += counter_step(s->last, more->first) + more->inc;
		s->last = more->last;
	}
}

/* --- joining blocks ------------------------------------------------------ */

/* Blocks to be read, taken away, and written anew with something added. */
struct taking {
	struct db_conn *c;
	int64_t first; /* of what is added */
	int64_t n;     /* to be written so far */
	int64_t full;  /* a block of so many stays as it is */
	struct arena *a;
	struct buf list; /* struct db_block, the newest first, copied */
};

static int
take(void *ctx, const struct db_block *b, struct err *err)
{
	struct taking *t = ctx;
	struct db_block copy = *b;

	(void)err;
	if (b->last < t->first && (b->n >= t->full || b->n > 4 * t->n))
		return 0;
	copy.data = arena_str(t->a, b->data);
	buf_add(&t->list, &copy, sizeof(copy));
	t->n += b->n;
	return 1;
}

/* Takes the blocks that overlap [first, last], and small ones before. */
static int
take_blocks(struct taking *t, uint32_t series, enum metric_tier tier,
    int64_t last, struct db_block **ret, size_t *n, struct err *err)
{
	int rc = db_blocks_down(t->c, series, tier, last, take, t, err);

	*n = t->list.len / sizeof(struct db_block);
	*ret = (struct db_block *)(void *)t->list.ptr;
	for (size_t i = 0; rc == 0 && i < *n; i++)
		rc = db_del_block(t->c, (*ret)[i].key, err);
	return rc;
}

static int
put_points(
    struct db_conn *c, uint32_t series, const struct points *p, struct err *err)
{
	struct buf out = { 0 };
	int rc = 0;

	for (size_t i = 0, end; rc == 0 && i < p->n; i = end) {
		struct points part;

		end = MIN_OF(i + PACK_POINTS, p->n);
		while (end < p->n && p->at[end] / 1000 == p->at[end - 1] / 1000)
			end++;
		part = points_between(p, p->at[i], p->at[end - 1] + 1);
		buf_clear(&out);
		block_put_points(&out, &part);
		rc = db_put_block(c, series, METRIC_RAW, part.at[0],
		    part.at[part.n - 1], part.n, buf_str(&out), err);
	}
	buf_free(&out);
	return rc;
}

static int
add_points(struct db_conn *c, uint32_t series, const struct points *p,
    struct arena *a, struct err *err)
{
	struct taking t = { .c = c,
		.first = floor_to(p->at[0], 1000),
		.n = (int64_t)p->n,
		.full = PACK_POINTS,
		.a = a };
	struct points all = *p, under;
	struct db_block *b;
	size_t n;
	int rc;

	/* a block may end, or begin, in the very second */
	rc = take_blocks(&t, series, METRIC_RAW,
	    floor_to(p->at[p->n - 1], 1000) + 999, &b, &n, err);
	if (rc == 0 && n > 0) {
		under = points_new((size_t)t.n, p->text != NULL, a);
		for (size_t i = n; rc == 0 && i-- > 0;) {
			struct points one;

			if (block_get_points(b[i].data, a, &one, err) == 0 &&
			    (one.text != NULL) == (p->text != NULL) &&
			    (int64_t)one.n == b[i].n)
				copy_points(&under, &one, 0, one.n);
			else
				rc = db_set_aside(c, &b[i], err);
		}
		if (rc == 0)
			all = merge_points(&under, p, a);
	}
	if (rc == 0)
		rc = put_points(c, series, &all, err);
	buf_free(&t.list);
	return rc;
}

/* --- rows of a tier ------------------------------------------------------ */

enum how {
	REPLACE, /* rows say everything of their time */
	BEHIND,  /* they are of points behind those that are known */
	BESIDE,  /* of more points, in no order */
};

static int
put_rows(struct db_conn *c, uint32_t series, enum metric_tier tier,
    const struct summary *row, size_t n, bool counter, bool newest,
    struct err *err)
{
	struct buf out = { 0 };
	size_t end, i;
	int rc = 0;

	for (i = 0; rc == 0 && i < n; i = end) {
		end = MIN_OF(i + PACK_ROWS, n);
		if (newest && end == n && n - i > 1)
			end--;
		buf_clear(&out);
		block_put_rows(&out, row + i, end - i, counter);
		rc = db_put_block(c, series, tier, row[i].at, row[end - 1].at,
		    end - i, buf_str(&out), err);
	}
	buf_free(&out);
	return rc;
}

static int
is_block(void *ctx, const struct db_block *b, struct err *err)
{
	(void)b;
	(void)err;
	*(bool *)ctx = true;
	return 0;
}

static int
add_rows(struct db_conn *c, uint32_t series, enum metric_tier tier,
    const struct summary *row, size_t n, bool counter, enum how how,
    struct arena *a, struct err *err)
{
	struct taking t = { .c = c,
		.first = row[0].at,
		.n = (int64_t)n,
		.full = PACK_ROWS,
		.a = a };
	struct summary *all;
	struct db_block *b;
	size_t n_blocks, have = 0, k = 0;
	bool later = false;
	int rc;

	rc = take_blocks(&t, series, tier, row[n - 1].at, &b, &n_blocks, err);
	all = arena_array(a, (size_t)t.n + n + 1, struct summary);
	/* the old rows at the end, the new ones run into them */
	for (size_t i = n_blocks; rc == 0 && i-- > 0;) {
		struct summary *old;
		size_t m;

		if (block_get_rows(b[i].data, a, &old, &m, err) != 0 ||
		    (int64_t)m != b[i].n) {
			rc = db_set_aside(c, &b[i], err);
			continue;
		}
		for (size_t o = 0; o < m; o++) {
			while (k < n && row[k].at < old[o].at)
				all[have++] = row[k++];
			if (k < n && row[k].at == old[o].at) {
				if (how == REPLACE)
					old[o] = row[k];
				else
					row_add(
					    &old[o], &row[k], how == BEHIND);
				k++;
			}
			all[have++] = old[o];
		}
	}
	while (rc == 0 && k < n)
		all[have++] = row[k++];
	buf_free(&t.list);
	if (rc == 0)
		rc = db_blocks(c, series, tier, all[have - 1].at + 1,
		    METRIC_TIME_MAX, is_block, &later, err);
	if (rc == 0)
		rc = put_rows(c, series, tier, all, have, counter, !later, err);
	return rc;
}

/* --- points come in ------------------------------------------------------ */

static int
note_last(void *ctx, const struct db_block *b, struct err *err)
{
	(void)err;
	*(int64_t *)ctx = b->last;
	return 0;
}

struct gather {
	struct points p;
	struct arena *a;
	int64_t from, to;
};

static int
gather(void *ctx, const struct db_block *b, struct err *err)
{
	struct gather *g = ctx;
	struct points all, part;

	if (block_get_points(b->data, g->a, &all, err) != 0)
		return 1; /* set aside when it is its turn */
	part = points_between(&all, g->from, g->to);
	if (g->p.n + part.n > g->p.cap) {
		struct points more = points_new(
		    MAX_OF(2 * g->p.cap, g->p.n + part.n), false, g->a);

		copy_points(&more, &g->p, 0, g->p.n);
		g->p = more;
	}
	copy_points(&g->p, &part, 0, part.n); /* blocks come by time */
	return 1;
}

/* Hours that got points somewhere in them are made anew from all they have. */
static int
renew_hours(struct db_conn *c, uint32_t series, const struct points *p,
    bool counter, struct arena *a, struct err *err)
{
	struct gather g = { .a = a };
	struct summary *row;
	size_t n;
	int rc = 0;

	for (size_t i = 0, end; rc == 0 && i < p->n; i = end) {
		/* a run of hours without long gaps */
		g.from = floor_to(p->at[i], HOUR_MS);
		g.to = g.from + HOUR_MS;
		for (end = i + 1;
		     end < p->n && p->at[end] < g.to + 24 * HOUR_MS; end++)
			g.to = floor_to(p->at[end], HOUR_MS) + HOUR_MS;
		g.p = points_new(0, false, a);
		rc = db_blocks(
		    c, series, METRIC_RAW, g.from, g.to, gather, &g, err);
		if (rc != 0 || g.p.n == 0)
			continue;
		row = rows_of(&g.p, HOUR_MS, counter, a, &n);
		rc = add_rows(
		    c, series, METRIC_HOUR, row, n, counter, REPLACE, a, err);
	}
	return rc;
}

int
pack_series(struct db_conn *c, uint32_t series, enum metric_kind kind,
    const struct points *p, int64_t raw_floor, struct arena *a, struct err *err)
{
	bool counter = kind == METRIC_COUNTER;
	struct points late = points_between(p, 0, raw_floor);
	struct points rest = points_between(p, raw_floor, METRIC_TIME_MAX);
	int64_t known = -1;
	struct summary *row;
	size_t n;
	int rc;

	rc = db_blocks_down(
	    c, series, METRIC_RAW, METRIC_TIME_MAX - 1, note_last, &known, err);
	if (rc == 0)
		rc = add_points(c, series, p, a, err);
	if (rc != 0 || kind == METRIC_TEXT)
		return rc;
	if (late.n > 0) {
		row = rows_of(&late, HOUR_MS, counter, a, &n);
		rc = add_rows(
		    c, series, METRIC_HOUR, row, n, counter, BESIDE, a, err);
	}
	if (rc != 0 || rest.n == 0)
		return rc;
	if (rest.at[0] <= known)
		return renew_hours(c, series, &rest, counter, a, err);
	row = rows_of(&rest, HOUR_MS, counter, a, &n);
	return add_rows(
	    c, series, METRIC_HOUR, row, n, counter, BEHIND, a, err);
}

/* --- points grow old ----------------------------------------------------- */

struct aging {
	struct db_conn *c;
	uint32_t series;
	bool counter, text;
	int64_t end;
	struct arena *a;
	struct buf old; /* struct db_block, copied */
	bool newest_seen;
};

static int
find_old(void *ctx, const struct db_block *b, struct err *err)
{
	struct aging *g = ctx;
	struct db_block copy = *b;

	(void)err;
	if (g->newest_seen && b->last < g->end) {
		copy.data = arena_str(g->a, b->data);
		buf_add(&g->old, &copy, sizeof(copy));
	}
	g->newest_seen = true;
	return 1;
}

static int
to_minutes(struct aging *g, const struct db_block *b, struct err *err)
{
	struct summary *row;
	struct points p;
	size_t n;
	int rc = 0;

	if (!g->text) {
		if (block_get_points(b->data, g->a, &p, err) == 0) {
			row = rows_of(&p, MINUTE_MS, g->counter, g->a, &n);
			rc = add_rows(g->c, g->series, METRIC_MINUTE, row, n,
			    g->counter, BEHIND, g->a, err);
		} else {
			rc = db_set_aside(g->c, b, err);
		}
	}
	return rc == 0 ? db_del_block(g->c, b->key, err) : rc;
}

int
clean_series(struct db_conn *c, uint32_t series, enum metric_kind kind,
    int64_t raw, int64_t minute, int64_t hour, struct arena *a, struct err *err)
{
	struct aging g = { .c = c,
		.series = series,
		.end = raw,
		.a = a,
		.counter = kind == METRIC_COUNTER,
		.text = kind == METRIC_TEXT };
	struct db_block *old;
	int rc = 0;

	if (raw > 0)
		rc = db_blocks_down(c, series, METRIC_RAW, METRIC_TIME_MAX - 1,
		    find_old, &g, err);
	old = (struct db_block *)(void *)g.old.ptr;
	for (size_t i = g.old.len / sizeof(*old); rc == 0 && i-- > 0;)
		rc = to_minutes(&g, &old[i], err);
	buf_free(&g.old);
	if (rc == 0 && minute > 0)
		rc = db_del_before(c, series, METRIC_MINUTE, minute, err);
	if (rc == 0 && hour > 0)
		rc = db_del_before(c, series, METRIC_HOUR, hour, err);
	return rc;
}

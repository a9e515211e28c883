/*
 * plug/metric/metric.c - see metric.h: which series there are, and the checks
 * before every engine.
 *
 * The registry is read far more often than changed. Its lock is held for
 * reading while an engine takes points, so that a series is never removed
 * under them, and for writing while one is added or removed. An engine never
 * blocks in either.
 */
#include "plug/metric/ops.h"

#include "base/base.h"
#include "base/map.h"
#include "base/mem.h"
#include "plug/metric/window.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct metric_ops *const engines[] = { &metric_sqlite,
	&metric_influx, &metric_void };

const char *const metric_engines[] = { "sqlite", "influx", "void", NULL };

/* One series; it, its key and its texts are one piece of memory. */
struct entry {
	struct metric_series s;
	struct str key;
	struct arena text;
};

struct metric {
	const struct metric_ops *ops;
	struct engine *engine;
	uint32_t max_series;

	pthread_rwlock_t lock;
	struct map by_key;    /* struct entry *, owned */
	struct entry **by_id; /* the same */
	uint32_t end, cap;

	atomic_uint_fast64_t points_in, skipped;
};

/* --- keys ---------------------------------------------------------------- */

static bool
text_ok(struct str s, size_t max)
{
	if (s.len == 0 || s.len > max || !str_is_utf8(s))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	return true;
}

static int
by_name(const void *a, const void *b)
{
	const struct metric_label *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

/* Sorts labels into `to` and leaves out empty ones. */
static int
order_labels(struct str name, const struct metric_label *from, size_t n,
    struct metric_label *to, size_t *n_to, struct err *err)
{
	size_t k = 0;

	if (!text_ok(name, METRIC_NAME_MAX))
		return err_set(err, ERR_PARAM, "a bad name of a series");
	if (n > METRIC_LABELS_MAX)
		return err_set(err, ERR_PARAM, "%zu labels, more than %d", n,
		    METRIC_LABELS_MAX);
	for (size_t i = 0; i < n; i++) {
		if (from[i].value.len == 0)
			continue;
		if (!text_ok(from[i].name, METRIC_NAME_MAX) ||
		    str_eqz(from[i].name, "__name__"))
			return err_set(err, ERR_PARAM,
			    "a bad label name in " STR_FMT, STR_ARG(name));
		if (!text_ok(from[i].value, METRIC_VALUE_MAX))
			return err_set(err, ERR_PARAM,
			    "a bad value of label " STR_FMT,
			    STR_ARG(from[i].name));
		to[k++] = from[i];
	}
	qsort(to, k, sizeof(*to), by_name);
	for (size_t i = 1; i < k; i++)
		if (str_eq(to[i].name, to[i - 1].name))
			return err_set(err, ERR_PARAM,
			    "label " STR_FMT " is there twice",
			    STR_ARG(to[i].name));
	*n_to = k;
	return 0;
}

/* Name and labels behind each other; no text has a NUL in it. */
static void
put_key(struct buf *out, struct str name, const struct metric_label *labels,
    size_t n)
{
	buf_add_str(out, name);
	for (size_t i = 0; i < n; i++) {
		buf_addc(out, '\0');
		buf_add_str(out, labels[i].name);
		buf_addc(out, '\0');
		buf_add_str(out, labels[i].value);
	}
}

/* --- the registry -------------------------------------------------------- */

struct metric_series
metric_series_copy(struct arena *a, const struct metric_series *s)
{
	struct metric_series ret = *s;
	struct metric_label *labels =
	    arena_array(a, s->n_labels + 1, struct metric_label);

	for (size_t i = 0; i < s->n_labels; i++) {
		labels[i].name = arena_str(a, s->labels[i].name);
		labels[i].value = arena_str(a, s->labels[i].value);
	}
	ret.name = arena_str(a, s->name);
	ret.labels = labels;
	return ret;
}

static struct entry *
entry_new(const struct metric_series *s, struct str key)
{
	struct arena text = { 0 };
	struct entry *e = arena_new(&text, struct entry);

	e->s = metric_series_copy(&text, s);
	e->key = arena_str(&text, key);
	e->text = text;
	return e;
}

static void
entry_free(struct entry *e)
{
	struct arena text;

	if (e == NULL)
		return;
	text = e->text;
	arena_fini(&text);
}

static void
enter(struct metric *m, struct entry *e)
{
	if (e->s.id >= m->cap) {
		uint32_t cap = MAX_OF(m->cap, 64u);

		while (cap <= e->s.id)
			cap *= 2;
		m->by_id = mem_resize(m->by_id, cap, sizeof(struct entry *));
		memset(m->by_id + m->cap, 0,
		    (cap - m->cap) * sizeof(struct entry *));
		m->cap = cap;
	}
	m->by_id[e->s.id] = e;
	(void)map_put(&m->by_key, e->key, e);
	m->end = MAX_OF(m->end, e->s.id + 1);
}

static struct entry *
entry_at(struct metric *m, uint32_t id)
{
	return id < m->end && id < m->cap ? m->by_id[id] : NULL;
}

static struct entry *
take_out(struct metric *m, uint32_t id)
{
	struct entry *e = entry_at(m, id);

	if (e != NULL) {
		(void)map_del(&m->by_key, e->key);
		m->by_id[id] = NULL;
	}
	return e;
}

void
metric_lock(struct metric *m)
{
	pthread_rwlock_rdlock(&m->lock);
}

void
metric_unlock(struct metric *m)
{
	pthread_rwlock_unlock(&m->lock);
}

const struct metric_series *
metric_at(struct metric *m, uint32_t id)
{
	struct entry *e = entry_at(m, id);

	return e == NULL ? NULL : &e->s;
}

uint32_t
metric_end(struct metric *m)
{
	return m->end;
}

static int
host_known(void *owner, const struct metric_series *s, struct err *err)
{
	struct metric *m = owner;
	struct metric_label labels[METRIC_LABELS_MAX];
	struct metric_series sorted = *s;
	struct buf key = { 0 };
	int rc;

	if (s->id == 0 || s->id >= UINT32_MAX / 2 || s->kind < METRIC_GAUGE ||
	    s->kind > METRIC_TEXT)
		return err_set(err, ERR_PROTO, "a broken series");
	rc = order_labels(
	    s->name, s->labels, s->n_labels, labels, &sorted.n_labels, err);
	if (rc != 0)
		return rc;
	sorted.labels = labels;
	put_key(&key, s->name, labels, sorted.n_labels);
	if (entry_at(m, s->id) != NULL ||
	    map_get(&m->by_key, buf_str(&key)) != NULL)
		rc = err_set(err, ERR_PROTO, "series %u is there twice", s->id);
	else
		enter(m, entry_new(&sorted, buf_str(&key)));
	buf_free(&key);
	return rc;
}

static void
host_gone(void *owner, uint32_t id)
{
	entry_free(take_out(owner, id));
}

static void
host_used(void *owner, uint32_t below)
{
	struct metric *m = owner;

	m->end = MAX_OF(m->end, below);
}

/* --- opening ------------------------------------------------------------- */

static void
free_all(struct metric *m)
{
	for (uint32_t i = 0; i < m->cap; i++)
		entry_free(m->by_id[i]);
	free(m->by_id);
	map_fini(&m->by_key);
	pthread_rwlock_destroy(&m->lock);
	free(m);
}

int
metric_open_ops(const struct metric_ops *ops, const struct metric_settings *set,
    const char *dir, struct metric **ret, struct err *err)
{
	struct metric *m = mem_new(struct metric);
	struct metric_host host = { host_known, host_gone, host_used, m };
	struct str path = set->path.ptr == NULL ? STR("metric") : set->path;
	char *whole;
	int rc;

	m->ops = ops;
	m->end = 1;
	m->max_series = (uint32_t)MIN_OF(set->max_series, 100000000);
	pthread_rwlock_init(&m->lock, NULL);
	whole = path.len > 0 && path.ptr[0] == '/'
	    ? str_dupz(path)
	    : mem_printf("%s/" STR_FMT, dir, STR_ARG(path));
	rc = ops->open(set, whole, &host, &m->engine, err);
	free(whole);
	if (rc != 0) {
		free_all(m);
		return err_wrap(err, "hub.metric: %s", ops->name);
	}
	*ret = m;
	return 0;
}

int
metric_open(const struct metric_settings *set, const char *dir,
    struct metric **ret, struct err *err)
{
	if (set->engine < 0 || (size_t)set->engine >= COUNT_OF(engines))
		return err_set(err, ERR_PARAM, "hub.metric.engine: unknown");
	return metric_open_ops(engines[set->engine], set, dir, ret, err);
}

void
metric_close(struct metric *m)
{
	if (m == NULL)
		return;
	m->ops->close(m->engine);
	free_all(m);
}

/* --- series -------------------------------------------------------------- */

static int
add_series(struct metric *m, const struct metric_series *like, struct str key,
    uint32_t *ret, struct err *err)
{
	struct metric_series s = *like;
	struct entry *e;
	int rc = 0;

	if (m->by_key.n >= m->max_series)
		return err_set(err, ERR_LIMIT,
		    "there are %u series, as many as hub.metric.maxSeries",
		    m->max_series);
	s.id = m->end;
	e = entry_new(&s, key);
	if (m->ops->add != NULL)
		rc = m->ops->add(m->engine, &e->s, err);
	if (rc != 0) {
		entry_free(e);
		return rc;
	}
	enter(m, e);
	*ret = s.id;
	return 0;
}

int
metric_series(struct metric *m, enum metric_kind kind, struct str name,
    const struct metric_label *labels, size_t n, uint32_t *ret, struct err *err)
{
	struct metric_label sorted[METRIC_LABELS_MAX];
	struct metric_series s = { 0, kind, name, sorted, 0 };
	struct buf key = { 0 };
	struct entry *e;
	int rc;

	if (kind < METRIC_GAUGE || kind > METRIC_TEXT)
		return err_set(err, ERR_PARAM, "no kind of series");
	rc = order_labels(name, labels, n, sorted, &s.n_labels, err);
	if (rc != 0)
		return rc;
	put_key(&key, name, sorted, s.n_labels);
	metric_lock(m);
	e = map_get(&m->by_key, buf_str(&key));
	if (e == NULL) {
		metric_unlock(m);
		pthread_rwlock_wrlock(&m->lock);
		e = map_get(&m->by_key, buf_str(&key));
		if (e == NULL)
			rc = add_series(m, &s, buf_str(&key), ret, err);
	}
	if (e != NULL && e->s.kind != kind)
		rc = err_set(err, ERR_EXISTS,
		    "series " STR_FMT " is of another kind", STR_ARG(name));
	else if (e != NULL)
		*ret = e->s.id;
	metric_unlock(m);
	buf_free(&key);
	return rc;
}

int
metric_describe(struct metric *m, uint32_t series, struct arena *a,
    struct metric_series *ret, struct err *err)
{
	struct entry *e;
	int rc = 0;

	metric_lock(m);
	e = entry_at(m, series);
	if (e == NULL)
		rc = err_set(err, ERR_NOT_FOUND, "no series %u", series);
	else
		*ret = metric_series_copy(a, &e->s);
	metric_unlock(m);
	return rc;
}

int
metric_delete(struct metric *m, uint32_t series, struct err *err)
{
	struct entry *e;
	int rc = 0;

	/* First nobody finds it or writes to it any more; the engine may need
	 * long for its part. */
	pthread_rwlock_wrlock(&m->lock);
	e = take_out(m, series);
	pthread_rwlock_unlock(&m->lock);
	if (e == NULL)
		return err_set(err, ERR_NOT_FOUND, "no series %u", series);
	if (m->ops->remove != NULL)
		rc = m->ops->remove(m->engine, &e->s, err);
	if (rc == 0) {
		entry_free(e);
		return 0;
	}
	pthread_rwlock_wrlock(&m->lock);
	if (map_get(&m->by_key, e->key) == NULL)
		enter(m, e);
	else
		entry_free(e); /* made anew meanwhile */
	pthread_rwlock_unlock(&m->lock);
	return rc;
}

/* --- writing ------------------------------------------------------------- */

enum verdict { GOOD, TO_CHANGE, BAD };

static enum verdict
judge(struct metric *m, const struct metric_point *p)
{
	struct entry *e = entry_at(m, p->series);

	if (e == NULL || p->at < 0 || p->at >= METRIC_TIME_MAX)
		return BAD;
	switch (e->s.kind) {
	case METRIC_TEXT:
		return p->text.len <= METRIC_TEXT_MAX ? GOOD : BAD;
	case METRIC_BINARY:
		if (!isfinite(p->value))
			return BAD;
		return p->value == 0 || p->value == 1 ? GOOD : TO_CHANGE;
	default:
		return isfinite(p->value) ? GOOD : BAD;
	}
}

/* Some points are not as the engine wants them: it gets others. */
static int
write_some(struct metric *m, const struct metric_point *p, size_t n,
    struct metric_commit *commit, size_t *taken, struct err *err)
{
	struct metric_point *good = mem_array(n, sizeof(*good));
	size_t k = 0;
	int rc;

	for (size_t i = 0; i < n; i++) {
		enum verdict v = judge(m, &p[i]);

		if (v == BAD)
			continue;
		good[k] = p[i];
		if (v == TO_CHANGE)
			good[k].value = 1;
		k++;
	}
	rc = m->ops->write(m->engine, good, k, commit, err);
	free(good);
	*taken = k;
	return rc;
}

int
metric_write(struct metric *m, const struct metric_point *p, size_t n,
    struct metric_commit *commit, struct err *err)
{
	size_t good = 0, taken = n;
	int rc;

	metric_lock(m);
	while (good < n && judge(m, &p[good]) == GOOD)
		good++;
	rc = good == n ? m->ops->write(m->engine, p, n, commit, err)
		       : write_some(m, p, n, commit, &taken, err);
	metric_unlock(m);
	if (rc == 0) {
		atomic_fetch_add_explicit(
		    &m->points_in, taken, memory_order_relaxed);
		atomic_fetch_add_explicit(
		    &m->skipped, n - taken, memory_order_relaxed);
	}
	return rc;
}

int
metric_flush(struct metric *m, struct err *err)
{
	return m->ops->flush == NULL ? 0 : m->ops->flush(m->engine, err);
}

/* --- reading ------------------------------------------------------------- */

int
metric_read(struct metric *m, uint32_t series, int64_t from, int64_t to,
    metric_visit *visit, void *ctx, struct err *err)
{
	struct arena a = { 0 };
	struct metric_series s;
	int rc;

	rc = metric_describe(m, series, &a, &s, err);
	from = MAX_OF(from, 0);
	to = MIN_OF(to, METRIC_TIME_MAX);
	if (rc == 0 && from < to && m->ops->read != NULL)
		rc = m->ops->read(m->engine, &s, from, to, visit, ctx, err);
	arena_fini(&a);
	return rc;
}

struct keep_last {
	struct arena *a;
	struct metric_point point;
	bool any;
};

static bool
visit_last(void *ctx, const struct metric_point *p, size_t n)
{
	struct keep_last *k = ctx;

	k->any = true;
	k->point = p[n - 1];
	k->point.text = arena_str(k->a, k->point.text);
	return true;
}

int
metric_last(struct metric *m, uint32_t series, struct arena *a,
    struct metric_point *ret, struct err *err)
{
	struct keep_last last = { .a = a };
	struct arena mine = { 0 };
	struct metric_series s;
	int rc;

	rc = metric_describe(m, series, &mine, &s, err);
	if (rc == 0 && m->ops->last != NULL) {
		rc = m->ops->last(m->engine, &s, a, ret, err);
	} else if (rc == 0 && m->ops->read != NULL) {
		rc = m->ops->read(
		    m->engine, &s, 0, METRIC_TIME_MAX, visit_last, &last, err);
		if (rc == 0 && last.any)
			*ret = last.point;
	}
	if (rc == 0 && m->ops->last == NULL && !last.any)
		rc = err_set(
		    err, ERR_NOT_FOUND, "no point in series %u", series);
	arena_fini(&mine);
	return rc;
}

static const struct {
	const char *name;
	enum metric_func func;
} functions[] = {
	{ "mean", METRIC_MEAN },
	{ "min", METRIC_MIN },
	{ "max", METRIC_MAX },
	{ "sum", METRIC_SUM },
	{ "count", METRIC_COUNT },
	{ "first", METRIC_FIRST },
	{ "last", METRIC_LAST },
	{ "median", METRIC_MEDIAN },
	{ "increase", METRIC_INCREASE },
	{ "rate", METRIC_RATE },
};

bool
metric_fn_parse(struct str s, struct metric_fn *ret)
{
	struct str prefix = STR("percentile_");
	char text[16], *end;
	double percent;

	for (size_t i = 0; i < COUNT_OF(functions); i++)
		if (str_eqz(s, functions[i].name)) {
			*ret = (struct metric_fn){ functions[i].func, 0 };
			return true;
		}
	if (!str_starts(s, prefix) || s.len - prefix.len >= sizeof(text) ||
	    s.len == prefix.len)
		return false;
	s.ptr += prefix.len;
	s.len -= prefix.len;
	for (size_t i = 0; i < s.len; i++)
		if ((s.ptr[i] < '0' || s.ptr[i] > '9') && s.ptr[i] != '.')
			return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	percent = strtod(text, &end);
	if (*end != '\0' || !(percent >= 0 && percent <= 100))
		return false;
	*ret = (struct metric_fn){ METRIC_PERCENTILE, percent };
	return true;
}

static int
check_query(const struct metric_query *q, const struct metric_series *s,
    struct err *err)
{
	if (s->kind == METRIC_TEXT)
		return err_set(
		    err, ERR_PARAM, "no windows over a series of texts");
	if (q->from < 0 || q->to > METRIC_TIME_MAX || q->from >= q->to)
		return err_set(err, ERR_PARAM, "no such range of time");
	if (q->step <= 0)
		return err_set(err, ERR_PARAM, "the step must be above 0");
	if (q->n_fns == 0 || q->n_fns > METRIC_FN_MAX)
		return err_set(err, ERR_PARAM, "1 to %d functions, not %zu",
		    METRIC_FN_MAX, q->n_fns);
	for (size_t i = 0; i < q->n_fns; i++) {
		const struct metric_fn *f = &q->fns[i];

		if (f->func < METRIC_MEAN || f->func > METRIC_RATE ||
		    !(f->percent >= 0 && f->percent <= 100))
			return err_set(err, ERR_PARAM, "no such function");
		if ((f->func == METRIC_INCREASE || f->func == METRIC_RATE) &&
		    s->kind != METRIC_COUNTER)
			return err_set(err, ERR_PARAM,
			    "increase and rate are for counters");
	}
	if ((q->to - q->from - 1) / q->step >= METRIC_WINDOWS_MAX)
		return err_set(
		    err, ERR_LIMIT, "more than %d windows", METRIC_WINDOWS_MAX);
	return 0;
}

/* Points of read() for windows; those before `from` only for the last. */
static bool
visit_windows(void *ctx, const struct metric_point *p, size_t n)
{
	struct windows *w = ctx;

	for (size_t i = 0; i < n; i++)
		if (p[i].at < w->q->from)
			windows_before(w, p[i].value);
		else
			windows_points(w, &p[i].at, &p[i].value, 1);
	return true;
}

static int
windows_by_reading(struct metric *m, const struct metric_series *s,
    const struct metric_query *q, struct arena *a, struct metric_windows *ret,
    struct err *err)
{
	struct windows w = { 0 };
	int rc = 0;

	windows_init(&w, q, s->kind);
	if (m->ops->read != NULL)
		rc = m->ops->read(m->engine, s, w.counter ? 0 : q->from, q->to,
		    visit_windows, &w, err);
	if (rc == 0) {
		ret->tier = METRIC_RAW;
		windows_end(&w, a, ret);
	}
	windows_fini(&w);
	return rc;
}

int
metric_windows(struct metric *m, const struct metric_query *q, struct arena *a,
    struct metric_windows *ret, struct err *err)
{
	struct arena mine = { 0 };
	struct metric_series s;
	int rc;

	rc = metric_describe(m, q->series, &mine, &s, err);
	if (rc == 0)
		rc = check_query(q, &s, err);
	if (rc == 0) {
		rc = m->ops->windows == NULL
		    ? ERR_AGAIN
		    : m->ops->windows(m->engine, &s, q, a, ret, err);
		if (rc == ERR_AGAIN)
			rc = windows_by_reading(m, &s, q, a, ret, err);
	}
	arena_fini(&mine);
	return rc;
}

/* --- keeping house ------------------------------------------------------- */

int
metric_clean(struct metric *m, int64_t now, struct err *err)
{
	return m->ops->clean == NULL ? 0 : m->ops->clean(m->engine, now, err);
}

int
metric_pack(struct metric *m, struct err *err)
{
	return m->ops->pack == NULL ? 0 : m->ops->pack(m->engine, err);
}

void
metric_stats(struct metric *m, struct metric_stats *ret)
{
	*ret = (struct metric_stats){
		.points_in = atomic_load(&m->points_in),
		.skipped = atomic_load(&m->skipped),
	};
	metric_lock(m);
	ret->series = m->by_key.n;
	metric_unlock(m);
	if (m->ops->stats != NULL)
		m->ops->stats(m->engine, ret);
}

/*
 * plug/metric/sqlite_read.c - what was written, from memory and blocks
 * together, and windows over it from the tier that suits.
 *
 * First a copy is taken of what is in memory, then the database is looked into:
 * what is packed in between is seen twice, never missed, and what is in memory
 * was written last.
 */
#include "plug/metric/sqlite.h"

#include "base/base.h"
#include "base/mem.h"
#include "plug/metric/pack.h"
#include "plug/metric/window.h"

#include <stdlib.h>
#include <string.h>

/* What was in memory, and by which records of the log one can tell whether it
 * has been packed since. */
struct memory {
	struct points older, newer;
	uint64_t older_seq, newer_seq;
};

static void
copy_memory(struct sqlite *e, uint32_t id, int64_t from, int64_t to,
    struct arena *a, struct memory *ret)
{
	struct ser *s;
	int now;

	*ret = (struct memory){ 0 };
	pthread_mutex_lock(&e->lock);
	s = id < e->cap ? e->by_id[id] : NULL;
	now = e->now;
	if (s != NULL) {
		ret->older = head_points(&s->head[!now], from, to, a);
		ret->newer = head_points(&s->head[now], from, to, a);
	}
	ret->older_seq = e->gen[!now].packed;
	ret->newer_seq = e->seq;
	pthread_mutex_unlock(&e->lock);
}

static struct points
merge_memory(const struct memory *m, struct arena *a)
{
	if (m->older.n == 0)
		return m->newer;
	if (m->newer.n == 0)
		return m->older;
	return merge_points(&m->older, &m->newer, a);
}

/* The points in memory of [from, to). */
static struct points
copy_heads(
    struct sqlite *e, uint32_t id, int64_t from, int64_t to, struct arena *a)
{
	struct memory m;

	copy_memory(e, id, from, to, a, &m);
	return merge_memory(&m, a);
}

/* --- points one by one --------------------------------------------------- */

/* Hears points by time, lent. 1: more; 0 or an error: no more. */
typedef int sink(void *ctx, const struct points *p, struct err *err);

struct walk {
	struct points head; /* what is left of those in memory */
	int64_t from, to;
	sink *sink;
	void *ctx;
	struct arena scratch; /* a block */
};

static struct points
cut_head(struct walk *w, int64_t until)
{
	struct points ret = points_between(&w->head, 0, until);

	w->head = points_between(&w->head, until, METRIC_TIME_MAX);
	return ret;
}

static int
walk_block(void *ctx, const struct db_block *b, struct err *err)
{
	struct walk *w = ctx;
	struct points all, part, head;
	int rc;

	arena_clear(&w->scratch);
	rc = block_get_points(b->data, &w->scratch, &all, err);
	if (rc != 0)
		return rc;
	part = points_between(&all, w->from, w->to);
	if (part.n == 0)
		return 1;
	if (w->head.n > 0) {
		head = cut_head(w, part.at[part.n - 1] + 1);
		if (head.n > 0)
			part = merge_points(&part, &head, &w->scratch);
	}
	return w->sink(w->ctx, &part, err);
}

/* 1: everything was heard; 0: it did not want more. */
static int
walk_points(struct db_conn *c, uint32_t id, struct walk *w, struct err *err)
{
	int rc = 1;

	if (w->from < w->to)
		rc = db_blocks(
		    c, id, METRIC_RAW, w->from, w->to, walk_block, w, err);
	if (rc >= 0 && w->head.n > 0)
		rc = w->sink(w->ctx, &w->head, err);
	arena_fini(&w->scratch);
	return rc;
}

#define AT_ONCE 256

struct visiting {
	uint32_t id;
	metric_visit *visit;
	void *ctx;
	bool ended;
};

static int
visit_points(void *ctx, const struct points *p, struct err *err)
{
	struct visiting *v = ctx;
	struct metric_point out[AT_ONCE];

	(void)err;
	for (size_t i = 0; i < p->n && !v->ended;) {
		size_t n = 0;

		for (; n < AT_ONCE && i < p->n; n++, i++)
			out[n] = (struct metric_point){ v->id, p->at[i],
				p->value == NULL ? 0 : p->value[i],
				p->text == NULL ? STR_NULL : p->text[i] };
		v->ended = !v->visit(v->ctx, out, n);
	}
	return !v->ended;
}

static int
visit_unless_ended(void *ctx, const struct points *p, struct err *err)
{
	struct visiting *v = ctx;

	return v->ended ? 0 : visit_points(ctx, p, err);
}

int
sqlite_read(struct engine *g, const struct metric_series *s, int64_t from,
    int64_t to, metric_visit *visit, void *ctx, struct err *err)
{
	struct sqlite *e = sqlite_of(g);
	struct visiting v = { s->id, visit, ctx, false };
	struct walk w = {
		.from = from, .to = to, .sink = visit_unless_ended, .ctx = &v
	};
	struct arena a = { 0 };
	struct db_conn *c;
	int rc;

	rc = db_take(e->db, &c, err);
	if (rc != 0)
		return rc;
	w.head = copy_heads(e, s->id, from, to, &a);
	rc = walk_points(c, s->id, &w, err);
	db_give(e->db, c);
	arena_fini(&a);
	return MIN_OF(rc, 0);
}

/* --- the last point before a time ---------------------------------------- */

struct before {
	int64_t before;
	bool any;
	int64_t at;
	double value;
	struct str text; /* in `a` */
	struct arena *a;
	struct arena scratch;
};

static void
note_point(struct before *b, const struct points *p, size_t i)
{
	b->any = true;
	b->at = p->at[i];
	if (p->text != NULL)
		b->text = arena_str(b->a, p->text[i]);
	else
		b->value = p->value[i];
}

/* Blocks come the newest first. */
static int
last_of_block(void *ctx, const struct db_block *block, struct err *err)
{
	struct before *b = ctx;
	struct points all, part;
	int rc;

	if (b->any && block->last <= b->at)
		return 0; /* memory has a later one */
	arena_clear(&b->scratch);
	rc = block_get_points(block->data, &b->scratch, &all, err);
	if (rc != 0)
		return rc;
	part = points_between(&all, 0, b->before);
	if (part.n == 0)
		return 1;
	if (!b->any || part.at[part.n - 1] > b->at)
		note_point(b, &part, part.n - 1);
	return 0;
}

static int
last_of_rows(void *ctx, const struct db_block *block, struct err *err)
{
	struct before *b = ctx;
	struct summary *row;
	size_t n;
	int rc;

	arena_clear(&b->scratch);
	rc = block_get_rows(block->data, &b->scratch, &row, &n, err);
	if (rc != 0)
		return rc;
	while (n > 0 && row[n - 1].at >= b->before)
		n--;
	if (n == 0)
		return 1;
	b->any = true;
	b->at = row[n - 1].at;
	b->value = row[n - 1].last;
	return 0;
}

static int
find_before(struct sqlite *e, struct db_conn *c, const struct metric_series *s,
    struct before *b, struct err *err)
{
	struct points head = copy_heads(e, s->id, 0, b->before, b->a);
	int rc;

	if (head.n > 0)
		note_point(b, &head, head.n - 1);
	rc = db_blocks_down(
	    c, s->id, METRIC_RAW, b->before - 1, last_of_block, b, err);
	for (int t = METRIC_MINUTE;
	     rc == 0 && !b->any && s->kind != METRIC_TEXT && t <= METRIC_HOUR;
	     t++)
		rc = db_blocks_down(c, s->id, (enum metric_tier)t,
		    b->before - 1, last_of_rows, b, err);
	arena_fini(&b->scratch);
	return rc;
}

int
sqlite_last(struct engine *g, const struct metric_series *s, struct arena *a,
    struct metric_point *ret, struct err *err)
{
	struct sqlite *e = sqlite_of(g);
	struct before b = { .before = METRIC_TIME_MAX };
	struct arena mine = { 0 };
	struct db_conn *c;
	int rc;

	rc = db_take(e->db, &c, err);
	if (rc != 0)
		return rc;
	b.a = &mine;
	rc = find_before(e, c, s, &b, err);
	db_give(e->db, c);
	if (rc == 0 && !b.any)
		rc =
		    err_set(err, ERR_NOT_FOUND, "no point in series %u", s->id);
	if (rc == 0)
		*ret = (struct metric_point){ s->id, b.at, b.value,
			arena_str(a, b.text) };
	arena_fini(&mine);
	return rc;
}

/* --- windows ------------------------------------------------------------- */

/* Rows and points are fed to the windows by time; the rows are few and lie
 * ready. */
struct feed {
	struct windows *w;
	struct buf rows; /* struct summary */
	size_t next;     /* row */
	int64_t from, to;
	bool any;
	struct arena scratch;
};

static int
feed_rows(void *ctx, const struct db_block *b, struct err *err)
{
	struct feed *f = ctx;
	struct summary *row;
	size_t n, i = 0;
	int rc;

	arena_clear(&f->scratch);
	rc = block_get_rows(b->data, &f->scratch, &row, &n, err);
	if (rc != 0)
		return rc;
	while (i < n && row[i].at < f->from)
		i++;
	while (n > i && row[n - 1].at >= f->to)
		n--;
	buf_add(&f->rows, row + i, (n - i) * sizeof(*row));
	f->any = f->any || n > i;
	return 1;
}

/* Rows that begin not after `at`. */
static void
feed_until(struct feed *f, int64_t at)
{
	struct summary *row = (struct summary *)(void *)f->rows.ptr;
	size_t n = f->rows.len / sizeof(*row), i = f->next;

	while (i < n && row[i].at <= at)
		i++;
	windows_rows(f->w, row + f->next, i - f->next);
	f->next = i;
}

static int
feed_points(void *ctx, const struct points *p, struct err *err)
{
	struct feed *f = ctx;
	struct summary *row = (struct summary *)(void *)f->rows.ptr;
	size_t n = f->rows.len / sizeof(*row);

	(void)err;
	for (size_t i = 0, end; i < p->n; i = end) {
		feed_until(f, p->at[i]);
		end = p->n;
		if (f->next < n) {
			struct points part =
			    points_between(p, p->at[i], row[f->next].at);

			end = i + part.n;
		}
		windows_points(f->w, p->at + i, p->value + i, end - i);
	}
	return 1;
}

/* Everything of [from, to): rows of the tier, and points. `raw`: packed ones
 * too, else those in memory only. */
static int
feed_part(struct db_conn *c, uint32_t id, struct windows *w, int64_t from,
    int64_t to, enum metric_tier tier, bool raw, const struct points *head,
    bool *any, struct err *err)
{
	struct feed f = { .w = w, .from = from, .to = to };
	struct walk walk = { .from = from,
		.to = raw ? to : from,
		.sink = feed_points,
		.ctx = &f };
	int rc;

	*any = false;
	if (from >= to)
		return 0;
	walk.head = points_between(head, from, to);
	rc = db_blocks(c, id, tier, from, to, feed_rows, &f, err);
	if (rc == 0)
		rc = MIN_OF(walk_points(c, id, &walk, err), 0);
	if (rc == 0)
		feed_until(&f, METRIC_TIME_MAX);
	*any = f.any;
	buf_free(&f.rows);
	arena_fini(&f.scratch);
	return rc;
}

/* What holds in the moment of the database that is being read. */
struct moment {
	int64_t raw;    /* see pack.h */
	int64_t fine;   /* below it there may be nothing but rows of hours */
	int64_t packed; /* the last record of the log that is in it */
};

static int
get_moment(struct db_conn *c, struct moment *m, struct err *err)
{
	int rc = db_get_number(c, "raw_floor", &m->raw, err);

	if (rc == 0)
		rc = db_get_number(c, "minute_floor", &m->fine, err);
	if (rc == 0)
		rc = db_get_number(c, "packed", &m->packed, err);
	m->fine = MIN_OF(m->raw, m->fine);
	return rc;
}

/* Up to where hours say the same as the points: to the first point that is in
 * memory only. Older ones than `raw` are added to their hour, as points. */
static int64_t
hours_end(const struct metric_query *q, bool sorted, const struct points *head,
    int64_t raw)
{
	struct points new;
	int64_t end;

	if (sorted || q->from % HOUR_MS != 0 || q->step % HOUR_MS != 0)
		return 0;
	end = floor_to(q->to, HOUR_MS);
	new = points_between(head, raw, METRIC_TIME_MAX);
	if (new.n > 0)
		end = MIN_OF(end, floor_to(new.at[0], HOUR_MS));
	return end;
}

static int
make_windows(struct sqlite *e, struct db_conn *c, const struct metric_series *s,
    const struct metric_query *q, struct windows *w, struct arena *a,
    enum metric_tier *tier, struct err *err)
{
	struct before b = { .before = q->from, .a = a };
	struct moment now = { 0 };
	struct memory m;
	struct points head;
	int64_t end;
	bool hours = false, minutes = false;
	int rc;

	copy_memory(e, s->id, q->from, q->to, a, &m);
	rc = get_moment(c, &now, err);
	/* A late point is added to its hour: it must not be there already. */
	if (m.older_seq <= (uint64_t)now.packed)
		m.older.n = 0;
	if (m.newer_seq <= (uint64_t)now.packed)
		m.newer.n = 0;
	head = merge_memory(&m, a);
	if (rc == 0 && w->counter && q->from > 0) {
		rc = find_before(e, c, s, &b, err);
		if (rc == 0 && b.any)
			windows_before(w, b.value);
	}
	if (rc != 0)
		return rc;
	end = MAX_OF(now.fine, hours_end(q, w->sorted, &head, now.raw));
	end = MAX_OF(q->from, MIN_OF(end, q->to));
	rc = feed_part(
	    c, s->id, w, q->from, end, METRIC_HOUR, false, &head, &hours, err);
	if (rc == 0)
		rc = feed_part(c, s->id, w, end, q->to, METRIC_MINUTE, true,
		    &head, &minutes, err);
	*tier = hours ? METRIC_HOUR : minutes ? METRIC_MINUTE : METRIC_RAW;
	return rc;
}

int
sqlite_windows(struct engine *g, const struct metric_series *s,
    const struct metric_query *q, struct arena *a, struct metric_windows *ret,
    struct err *err)
{
	struct sqlite *e = sqlite_of(g);
	struct arena mine = { 0 };
	struct windows w = { 0 };
	struct db_conn *c;
	int rc;

	rc = db_take(e->db, &c, err);
	if (rc != 0)
		return rc;
	windows_init(&w, q, s->kind);
	rc = make_windows(e, c, s, q, &w, &mine, &ret->tier, err);
	db_give(e->db, c);
	if (rc == 0)
		windows_end(&w, a, ret);
	windows_fini(&w);
	arena_fini(&mine);
	return rc;
}

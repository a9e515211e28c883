/*
 * plug/metric/sqlite.c - the embedded engine: a log that makes points durable
 * at once, and compressed blocks in an SQLite file, which are cut from memory
 * in the background.
 *
 *     metric_write() ──► log (base/journal) ──► committed
 *          │
 *          ▼
 *     gen[now]   points in memory, by series, as they came
 *          │ enough has gathered
 *          ▼
 *     gen[!now] ──► packer: blocks, rows of hours, one transaction
 *                        │ which says up to which record it holds all
 *                        ▼
 *                   the log is cut off before it
 *
 *  (1) What is in the log behind the record number `packed` of the database is
 *      in memory too; what is before is in the database. So a reader that first
 *      copies from memory and then looks into the database misses nothing; what
 *      it sees twice it drops.
 *  (2) Opening reads the log back into gen[now], without records that the
 *      database says it holds: a crash between the transaction and the cut of
 *      the log counts nothing twice.
 *  (3) `lock` is never held while something is read or written.
 */
#include "plug/metric/sqlite.h"

#include "base/base.h"
#include "base/mem.h"
#include "plug/metric/log.h"
#include "plug/metric/pack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* of the log; about so much of it is left when all is packed */
#define SEGMENT_MIN (16u << 10)
#define SEGMENT_MAX (1u << 20)
#define PENDING_BYTES (64u << 20)
#define FLUSH_MS 30000 /* longest wait for a full disk */

/* --- series -------------------------------------------------------------- */

static struct ser *
ser_at(struct sqlite *e, uint32_t id)
{
	return id < e->cap ? e->by_id[id] : NULL;
}

static struct ser *
ser_new(struct sqlite *e, uint32_t id, enum metric_kind kind)
{
	struct ser *s = mem_new(struct ser);

	s->id = id;
	s->kind = kind;
	if (id >= e->cap) {
		uint32_t cap = MAX_OF(e->cap, 64u);

		while (cap <= id)
			cap *= 2;
		e->by_id = mem_resize(e->by_id, cap, sizeof(struct ser *));
		memset(e->by_id + e->cap, 0,
		    (cap - e->cap) * sizeof(struct ser *));
		e->cap = cap;
	}
	e->by_id[id] = s;
	e->end = MAX_OF(e->end, id + 1);
	return s;
}

void
head_clear(struct head *h)
{
	free(h->p.at);
	free(h->p.value);
	free(h->p.text);
	*h = (struct head){ 0 };
}

void
ser_free(struct ser *s)
{
	if (s == NULL)
		return;
	head_clear(&s->head[0]);
	head_clear(&s->head[1]);
	free(s);
}

/* --- points in memory ---------------------------------------------------- */

static void
head_grow(struct head *h, bool text)
{
	size_t cap = h->p.cap == 0 ? 4 : 2 * h->p.cap;

	h->p.at = mem_resize(h->p.at, cap, sizeof(*h->p.at));
	if (text)
		h->p.text = mem_resize(h->p.text, cap, sizeof(*h->p.text));
	else
		h->p.value = mem_resize(h->p.value, cap, sizeof(*h->p.value));
	h->p.cap = cap;
}

static void
apply_point(struct sqlite *e, struct ser *s, const struct metric_point *p)
{
	struct gen *g = &e->gen[e->now];
	struct head *h = &s->head[e->now];
	size_t n = h->p.n;

	if (n == h->p.cap)
		head_grow(h, s->kind == METRIC_TEXT);
	if (n == 0) {
		s->next_dirty[e->now] = g->dirty;
		g->dirty = s;
	} else if (p->at <= h->p.at[n - 1]) {
		h->unsorted = true;
	}
	h->p.at[n] = p->at;
	if (s->kind == METRIC_TEXT)
		h->p.text[n] = arena_str(
		    &g->text, p->text.ptr == NULL ? STR("") : p->text);
	else
		h->p.value[n] = p->value;
	h->p.n = n + 1;
	g->points++;
}

struct order {
	int64_t at;
	size_t place;
};

static int
by_time(const void *a, const void *b)
{
	const struct order *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->place < y->place ? -1 : 1;
}

static struct points
sorted_points(const struct points *p, int64_t from, int64_t to, struct arena *a)
{
	struct order *o = mem_array(p->n, sizeof(*o));
	struct points ret = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		if (p->at[i] >= from && p->at[i] < to)
			o[n++] = (struct order){ p->at[i], i };
	qsort(o, n, sizeof(*o), by_time);
	ret.at = arena_array(a, n + 1, int64_t);
	if (p->text != NULL)
		ret.text = arena_array(a, n + 1, struct str);
	else
		ret.value = arena_array(a, n + 1, double);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && o[i].at == o[i + 1].at)
			continue;
		ret.at[ret.n] = o[i].at;
		if (p->text != NULL)
			ret.text[ret.n] = p->text[o[i].place];
		else
			ret.value[ret.n] = p->value[o[i].place];
		ret.n++;
	}
	free(o);
	return ret;
}

struct points
head_points(const struct head *h, int64_t from, int64_t to, struct arena *a)
{
	struct points none = { 0 }, part, ret;

	if (h->p.n == 0)
		return none;
	if (h->unsorted) {
		ret = sorted_points(&h->p, from, to, a);
	} else {
		part = points_between(&h->p, from, to);
		none.text = part.text; /* says which kind it is */
		ret = merge_points(&none, &part, a);
	}
	for (size_t i = 0; ret.text != NULL && i < ret.n; i++)
		ret.text[i] = arena_str(a, ret.text[i]);
	return ret;
}

/* --- writing ------------------------------------------------------------- */

static void
on_progress(void *owner)
{
	commits_tell(&((struct opening *)owner)->e->log);
}

/* Appends e->record; under the lock. */
static int
append(struct sqlite *e, struct metric_commit *commit, struct err *err)
{
	int rc =
	    commits_append(&e->log, buf_str(&e->record), commit, NULL, err);

	e->seq += rc == 0;
	return rc;
}

static int
sqlite_add(struct engine *g, const struct metric_series *s, struct err *err)
{
	struct sqlite *e = sqlite_of(g);
	struct metric_series copy;
	struct gen *gen;
	int rc;

	pthread_mutex_lock(&e->lock);
	buf_clear(&e->record);
	log_put_series(&e->record, e->seq + 1, s);
	rc = append(e, NULL, err);
	if (rc == 0) {
		gen = &e->gen[e->now];
		(void)ser_new(e, s->id, s->kind);
		copy = metric_series_copy(&gen->text, s);
		buf_add(&gen->added, &copy, sizeof(copy));
	}
	pthread_mutex_unlock(&e->lock);
	return rc;
}

/* Under the lock. */
static void
drop_series(struct sqlite *e, struct ser *s)
{
	struct gen *gen = &e->gen[e->now];

	e->by_id[s->id] = NULL;
	s->gone = true;
	buf_add(&gen->deleted, &s, sizeof(struct ser *));
}

static int
sqlite_remove(struct engine *g, const struct metric_series *s, struct err *err)
{
	struct sqlite *e = sqlite_of(g);
	struct ser *ser;
	int rc;

	pthread_mutex_lock(&e->lock);
	ser = ser_at(e, s->id);
	buf_clear(&e->record);
	log_put_delete(&e->record, e->seq + 1, s->id);
	rc = append(e, NULL, err);
	if (rc == 0 && ser != NULL)
		drop_series(e, ser);
	pthread_mutex_unlock(&e->lock);
	return rc;
}

static int
sqlite_write(struct engine *g, const struct metric_point *p, size_t n,
    struct metric_commit *commit, struct err *err)
{
	struct sqlite *e = sqlite_of(g);
	bool full = false;
	int rc = 0;

	pthread_mutex_lock(&e->lock);
	if (e->gen[e->now].points >= 4 * e->buffer_points)
		rc = err_set(
		    err, ERR_AGAIN, "points come faster than they are packed");
	if (rc == 0) {
		buf_clear(&e->record);
		log_put_points(&e->record, e->seq + 1, p, n);
		rc = append(e, commit, err);
	}
	if (rc == 0) {
		for (size_t i = 0; i < n; i++) {
			struct ser *s = ser_at(e, p[i].series);

			if (s != NULL)
				apply_point(e, s, &p[i]);
		}
		full = e->gen[e->now].points >= e->buffer_points;
		if (full)
			pthread_cond_signal(&e->wake);
	}
	pthread_mutex_unlock(&e->lock);
	return rc;
}

static int
sqlite_flush(struct engine *g, struct err *err)
{
	return commits_wait(&sqlite_of(g)->log, FLUSH_MS, err);
}

/* --- how it is ------------------------------------------------------------ */

static void
sqlite_stats(struct engine *g, struct metric_stats *ret)
{
	struct sqlite *e = sqlite_of(g);
	struct journal_progress p;
	struct db_conn *c;
	int64_t broken = 0;

	if (db_take(e->db, &c, NULL) == 0) {
		(void)db_count_aside(c, &broken, NULL);
		db_give(e->db, c);
	}
	ret->broken = (uint64_t)broken;

	journal_progress(e->log.journal, &p);
	ret->bytes = db_bytes(e->db);
	pthread_mutex_lock(&e->lock);
	ret->waiting = e->gen[0].points + e->gen[1].points;
	ret->log_bytes = journal_bytes(e->log.journal);
	ret->trouble = e->trouble;
	snprintf(ret->why, sizeof(ret->why), "%s", e->why);
	pthread_mutex_unlock(&e->lock);
	if (p.error != 0) {
		ret->trouble = p.error;
		snprintf(ret->why, sizeof(ret->why), "%.127s", p.text);
	}
}

/* --- opening ------------------------------------------------------------- */

static int
know_series(void *ctx, const struct metric_series *s, struct err *err)
{
	struct opening *o = ctx;
	int rc = o->host->known(o->host->owner, s, err);

	if (rc == 0)
		(void)ser_new(o->e, s->id, s->kind);
	return rc;
}

static int
replay_series(struct opening *o, struct str record, struct err *err)
{
	struct gen *gen = &o->e->gen[o->e->now];
	struct metric_series s, copy;
	struct arena a = { 0 };
	int rc;

	rc = log_get_series(record, &a, &s)
	    ? know_series(o, &s, err)
	    : err_set(err, ERR_PROTO, "a broken series in the log");
	if (rc == 0) {
		copy = metric_series_copy(&gen->text, &s);
		buf_add(&gen->added, &copy, sizeof(copy));
	}
	arena_fini(&a);
	return rc;
}

static int
replay(void *owner, uint64_t segment, struct str record, struct err *err)
{
	struct opening *o = owner;
	struct sqlite *e = o->e;
	struct metric_point p = { 0 };
	enum log_type type;
	uint32_t id;
	uint64_t seq;
	int more;

	(void)segment;
	if (!log_get_head(&record, &type, &seq))
		return err_set(err, ERR_PROTO, "a broken record in the log");
	if (seq <= o->packed)
		return 0;
	e->seq = MAX_OF(e->seq, seq);
	if (type == LOG_SERIES)
		return replay_series(o, record, err);
	if (type == LOG_DELETE) {
		if (!log_get_delete(record, &id))
			return err_set(
			    err, ERR_PROTO, "a broken record in the log");
		if (ser_at(e, id) != NULL) {
			drop_series(e, ser_at(e, id));
			o->host->gone(o->host->owner, id);
		}
		return 0;
	}
	while ((more = log_get_point(&record, &p)) == 1) {
		struct ser *s = ser_at(e, p.series);

		if (s != NULL && (s->kind == METRIC_TEXT || p.text.ptr == NULL))
			apply_point(e, s, &p);
	}
	if (more != 0)
		return err_set(err, ERR_PROTO, "broken points in the log");
	return 0;
}

static void
free_all(struct sqlite *e)
{
	journal_close(e->log.journal);
	db_close(e->db);
	for (uint32_t i = 0; i < e->cap; i++)
		ser_free(e->by_id[i]);
	free(e->by_id);
	for (int i = 0; i < 2; i++) {
		struct ser **gone =
		    (struct ser **)(void *)e->gen[i].deleted.ptr;

		for (size_t k = 0; k < e->gen[i].deleted.len / sizeof(*gone);
		     k++)
			ser_free(gone[k]);
		arena_fini(&e->gen[i].text);
		buf_free(&e->gen[i].added);
		buf_free(&e->gen[i].deleted);
	}
	buf_free(&e->record);
	pthread_cond_destroy(&e->wake);
	pthread_mutex_destroy(&e->lock);
	commits_fini(&e->log);
	pthread_mutex_destroy(&e->pack_lock);
	free(e);
}

static int
load(struct sqlite *e, const char *path, struct opening *o, struct err *err)
{
	struct journal_conf conf = {
		.segment_bytes = MIN_OF(
		    MAX_OF(e->buffer_points * 4, SEGMENT_MIN), SEGMENT_MAX),
		.pending_bytes = PENDING_BYTES,
		.progress = on_progress,
		.replay = replay,
		.owner = o
	};
	struct db_conn *c;
	struct journal *j;
	int64_t packed, end;
	char *dir;
	int rc;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return err_errno(err, "make %s", path);
	rc = db_open(path, e->log.sync, &e->db, err);
	if (rc != 0)
		return rc;
	c = db_writer(e->db);
	rc = db_get_number(c, "packed", &packed, err);
	if (rc == 0)
		rc = db_get_number(c, "series", &end, err);
	if (rc == 0)
		rc = db_get_number(c, "raw_floor", &e->raw_floor, err);
	if (rc == 0)
		rc = db_each_series(c, know_series, o, err);
	if (rc != 0)
		return rc;
	o->packed = e->seq = (uint64_t)packed;
	e->end = MAX_OF(e->end, (uint32_t)end);
	dir = mem_printf("%s/log", path);
	conf.dir = dir;
	rc = journal_open(&conf, &j, NULL, err);
	free(dir);
	if (rc == 0) {
		pthread_mutex_lock(&e->log.lock);
		e->log.journal = j;
		pthread_mutex_unlock(&e->log.lock);
	}
	o->host->used(o->host->owner, e->end);
	return rc;
}

static int
sqlite_open(const struct metric_settings *set, const char *path,
    const struct metric_host *host, struct engine **ret, struct err *err)
{
	struct sqlite *e = mem_new(struct sqlite);
	int rc;

	pthread_mutex_init(&e->lock, NULL);
	commits_init(&e->log, set->sync);
	pthread_mutex_init(&e->pack_lock, NULL);
	pthread_cond_init(&e->wake, NULL);
	e->buffer_points = (size_t)set->buffer_points;
	e->keep_raw = set->keep_raw;
	e->keep_minute = set->keep_minute;
	e->keep_hour = set->keep_hour;
	e->opening = (struct opening){ e, host, 0 };
	rc = load(e, path, &e->opening, err);
	if (rc == 0 && pthread_create(&e->packer, NULL, sqlite_packer, e) != 0)
		rc = err_set(err, ERR_IO, "no thread for packing");
	if (rc != 0) {
		free_all(e);
		return rc;
	}
	*ret = (struct engine *)(void *)e;
	return 0;
}

static void
sqlite_close(struct engine *g)
{
	struct sqlite *e = sqlite_of(g);

	pthread_mutex_lock(&e->lock);
	e->stop = true;
	pthread_cond_signal(&e->wake);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->packer, NULL);
	/* What can not be packed now stays in the log. */
	(void)sqlite_pack(g, NULL);
	free_all(e);
}

const struct metric_ops metric_sqlite = {
	.name = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.add = sqlite_add,
	.remove = sqlite_remove,
	.write = sqlite_write,
	.flush = sqlite_flush,
	.read = sqlite_read,
	.last = sqlite_last,
	.windows = sqlite_windows,
	.clean = sqlite_clean,
	.pack = sqlite_pack,
	.stats = sqlite_stats,
};

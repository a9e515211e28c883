/*
 * plug/metric/sqlite_pack.c - the packing thread of the engine `sqlite`, and
 * what grows old.
 *
 * Generations change under the lock; what follows needs none, since nobody
 * writes to the one that is packed. If packing fails, that one stays as it is
 * and is tried again, while the other gathers.
 */
#include "plug/metric/sqlite.h"

#include "base/base.h"
#include "plug/metric/pack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RETRY_MS 5000 /* after packing failed */

/* --- packing ------------------------------------------------------------- */

static int
pack_all(struct sqlite *e, struct gen *g, int which, int64_t raw_floor,
    struct err *err)
{
	struct db_conn *c = db_writer(e->db);
	const struct metric_series *added =
	    (const struct metric_series *)(void *)g->added.ptr;
	struct ser **gone = (struct ser **)(void *)g->deleted.ptr;
	struct arena scratch = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < g->added.len / sizeof(*added); i++)
		rc = db_put_series(c, &added[i], err);
	for (struct ser *s = g->dirty; rc == 0 && s != NULL;
	     s = s->next_dirty[which]) {
		struct points p;

		/* nobody writes to it any more, so it needs no lock */
		arena_clear(&scratch);
		p = head_points(&s->head[which], 0, METRIC_TIME_MAX, &scratch);
		rc = pack_series(
		    c, s->id, s->kind, &p, raw_floor, &scratch, err);
		if (rc != 0)
			err_wrap(err, "series %u", s->id);
	}
	for (size_t i = 0; rc == 0 && i < g->deleted.len / sizeof(*gone); i++)
		rc = db_del_series(c, gone[i]->id, err);
	arena_fini(&scratch);
	return rc;
}

/* Under the lock; the generation has been packed. */
static void
forget_gen(struct sqlite *e, int which)
{
	struct gen *g = &e->gen[which];
	struct ser **gone = (struct ser **)(void *)g->deleted.ptr;

	for (struct ser *s = g->dirty; s != NULL; s = s->next_dirty[which])
		head_clear(&s->head[which]);
	g->dirty = NULL;
	for (size_t i = 0; i < g->deleted.len / sizeof(*gone); i++)
		ser_free(gone[i]);
	g->points = 0;
	buf_clear(&g->added);
	buf_clear(&g->deleted);
	arena_clear(&g->text);
}

static bool
gen_empty(const struct gen *g)
{
	return g->points == 0 && g->added.len == 0 && g->deleted.len == 0;
}

/* Under the lock: the generation to be packed now. */
static int
next_gen(struct sqlite *e)
{
	int which = !e->now;
	struct gen *g;

	if (gen_empty(&e->gen[which])) { /* else the last attempt failed */
		which = e->now;
		g = &e->gen[which];
		if (gen_empty(g))
			return -1;
		g->packed = e->seq;
		g->segment = journal_newest(e->log.journal);
		e->now = !which;
	}
	return which;
}

/* Under pack_lock. If it fails the generation stays, and is tried again. */
static int
pack_once(struct sqlite *e, struct err *err)
{
	struct db_conn *c = db_writer(e->db);
	int64_t raw_floor, end;
	struct gen *g;
	int which, rc;

	pthread_mutex_lock(&e->lock);
	which = next_gen(e);
	end = e->end;
	raw_floor = e->raw_floor;
	pthread_mutex_unlock(&e->lock);
	if (which < 0)
		return 0;

	g = &e->gen[which];
	rc = db_begin(c, err);
	if (rc == 0) {
		rc = pack_all(e, g, which, raw_floor, err);
		if (rc == 0)
			rc =
			    db_set_number(c, "packed", (int64_t)g->packed, err);
		if (rc == 0)
			rc = db_set_number(c, "series", end, err);
		if (rc == 0)
			rc = db_end(c, true, err);
		else
			(void)db_end(c, false, NULL);
	}
	if (rc != 0)
		return rc;
	pthread_mutex_lock(&e->lock);
	forget_gen(e, which);
	journal_drop_before(e->log.journal, g->segment);
	pthread_mutex_unlock(&e->lock);
	db_settle(e->db);
	return 0;
}

int
sqlite_pack(struct engine *g, struct err *err)
{
	struct sqlite *e = sqlite_of(g);
	int rc;

	pthread_mutex_lock(&e->pack_lock);
	rc = pack_once(e, err); /* what an earlier attempt left, */
	if (rc == 0)
		rc = pack_once(e, err); /* and what came since */
	pthread_mutex_unlock(&e->pack_lock);
	return rc;
}

static void
set_trouble(struct sqlite *e, int rc, const struct err *err)
{
	e->trouble = rc;
	snprintf(e->why, sizeof(e->why), "%.127s", rc == 0 ? "" : err->text);
}

void *
sqlite_packer(void *arg)
{
	struct sqlite *e = arg;
	struct timespec until;
	struct err err;
	int rc;

	pthread_mutex_lock(&e->lock);
	while (!e->stop) {
		if (e->gen[e->now].points < e->buffer_points) {
			pthread_cond_wait(&e->wake, &e->lock);
			continue;
		}
		pthread_mutex_unlock(&e->lock);
		pthread_mutex_lock(&e->pack_lock);
		rc = pack_once(e, &err);
		pthread_mutex_unlock(&e->pack_lock);
		pthread_mutex_lock(&e->lock);
		set_trouble(e, rc, &err);
		if (rc != 0 && !e->stop) {
			until = time_from_now(RETRY_MS);
			/* each write wakes us: it is no reason to hurry */
			while (!e->stop &&
			    pthread_cond_timedwait(
				&e->wake, &e->lock, &until) != ETIMEDOUT)
				;
		}
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* --- keeping house ------------------------------------------------------- */

#define SERIES_AT_ONCE 64 /* in one transaction */

static int64_t
floor_of(int64_t now, int64_t keep)
{
	return keep == 0 || now <= keep ? 0 : floor_to(now - keep, HOUR_MS);
}

/* The floors only rise: what is gone does not come back. */
static int
raise_floor(
    struct db_conn *c, const char *name, int64_t *floor, struct err *err)
{
	int64_t known;
	int rc = db_get_number(c, name, &known, err);

	if (rc == 0 && known > *floor)
		*floor = known;
	return rc == 0 ? db_set_number(c, name, *floor, err) : rc;
}

static int
clean_some(struct sqlite *e, const struct ser *s, size_t n, int64_t raw,
    int64_t minute, int64_t hour, struct err *err)
{
	struct db_conn *c = db_writer(e->db);
	struct arena scratch = { 0 };
	int rc = db_begin(c, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		arena_clear(&scratch);
		rc = clean_series(
		    c, s[i].id, s[i].kind, raw, minute, hour, &scratch, err);
	}
	arena_fini(&scratch);
	if (rc == 0)
		return db_end(c, true, err);
	(void)db_end(c, false, NULL);
	return rc;
}

int
sqlite_clean(struct engine *g, int64_t now, struct err *err)
{
	struct sqlite *e = sqlite_of(g);
	struct db_conn *c = db_writer(e->db);
	int64_t raw = floor_of(now, e->keep_raw);
	int64_t minute = floor_of(now, e->keep_minute);
	int64_t hour = floor_of(now, e->keep_hour);
	struct buf list = { 0 };
	struct ser *s;
	size_t n;
	int rc;

	pthread_mutex_lock(&e->pack_lock);
	/* The floors rise first: they promise what is complete above them. */
	rc = db_begin(c, err);
	if (rc == 0) {
		rc = raise_floor(c, "raw_floor", &raw, err);
		if (rc == 0)
			rc = raise_floor(c, "minute_floor", &minute, err);
		if (rc == 0)
			rc = db_end(c, true, err);
		else
			(void)db_end(c, false, NULL);
	}
	pthread_mutex_lock(&e->lock);
	if (rc == 0)
		e->raw_floor = raw;
	for (uint32_t i = 0; i < e->cap; i++)
		if (e->by_id[i] != NULL)
			buf_add(&list, e->by_id[i], sizeof(struct ser));
	pthread_mutex_unlock(&e->lock);
	s = (struct ser *)(void *)list.ptr;
	n = list.len / sizeof(*s);
	for (size_t i = 0; rc == 0 && i < n; i += SERIES_AT_ONCE)
		rc = clean_some(e, s + i, MIN_OF(n - i, SERIES_AT_ONCE), raw,
		    minute, hour, err);
	if (rc == 0)
		db_settle(e->db);
	pthread_mutex_unlock(&e->pack_lock);
	buf_free(&list);
	return rc;
}

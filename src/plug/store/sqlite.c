/*
 * plug/store/sqlite.c - a store in one SQLite file with a write-ahead log.
 *
 * One connection writes, under a lock; a transaction holds the lock from
 * begin to end and does everything over that connection. Any number of others
 * read: a call takes one from the pool for as long as it runs, and the pool
 * grows when all are out, so that a visitor may ask for more while its list
 * goes on. Each statement sees the database as of its start (that is what the
 * log gives), so a list needs no transaction.
 *
 * Inside a transaction there is only one connection. There a list is read
 * whole before it is visited, unless the visitor is known to be quiet: else
 * what the visitor writes could show up in the list, or its undoing end it.
 *
 * When the disk fails or is full SQLite may undo the whole transaction by
 * itself. It is `lost` then: every further call in it fails, and so does its
 * end.
 */
#include "plug/store/sqlite.h"

#include "base/base.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MAX 8 /* readers kept open */

struct sqlite {
	char *path;
	pthread_mutex_t write_lock;
	struct conn *writer; /* under write_lock */
	bool lost;           /* the same */

	pthread_mutex_t pool_lock;
	struct list idle; /* readers; under pool_lock */
	size_t n_idle;
};

static struct sqlite *
sqlite_of(struct engine *g)
{
	return (struct sqlite *)(void *)g;
}

/* --- connections --------------------------------------------------------- */

static int
take_writer(struct sqlite *s, bool tx, struct err *err)
{
	if (!tx && pthread_mutex_lock(&s->write_lock) != 0)
		return err_set(err, ERR_INTERNAL,
		    "the store is used beside the transaction that is open");
	if (tx && s->lost)
		return err_set(
		    err, ERR_IO, "the transaction was lost by a disk error");
	return 0;
}

/* To be called after each use inside a transaction. */
static void
note_lost(struct sqlite *s)
{
	s->lost = sqlite3_get_autocommit(s->writer->db);
}

static void
give_writer(struct sqlite *s, bool tx)
{
	if (tx)
		note_lost(s);
	else
		pthread_mutex_unlock(&s->write_lock);
}

static int
take_reader(struct sqlite *s, bool tx, struct conn **ret, struct err *err)
{
	struct conn *c;
	int rc;

	if (tx) {
		rc = take_writer(s, true, err);
		if (rc == 0)
			*ret = s->writer;
		return rc;
	}
	pthread_mutex_lock(&s->pool_lock);
	c = list_first(&s->idle, struct conn, link);
	if (c != NULL) {
		list_del(&c->link);
		s->n_idle--;
	}
	pthread_mutex_unlock(&s->pool_lock);
	if (c == NULL)
		return conn_open(s->path, false, false, 0, ret, err);
	*ret = c;
	return 0;
}

static void
give_reader(struct sqlite *s, bool tx, struct conn *c)
{
	if (tx) {
		give_writer(s, true);
		return;
	}
	pthread_mutex_lock(&s->pool_lock);
	if (s->n_idle < IDLE_MAX) {
		list_add_first(&s->idle, &c->link);
		s->n_idle++;
		c = NULL;
	}
	pthread_mutex_unlock(&s->pool_lock);
	conn_close(c);
}

/* --- transactions -------------------------------------------------------- */

static int
sqlite_begin(struct engine *g, bool nested, struct err *err)
{
	struct sqlite *s = sqlite_of(g);
	int rc;

	rc = take_writer(s, nested, err);
	if (rc != 0)
		return rc;
	if (nested)
		return conn_exec(s->writer, "SAVEPOINT part", err);
	s->lost = false;
	rc = conn_exec(s->writer, "BEGIN IMMEDIATE", err);
	if (rc != 0)
		give_writer(s, false);
	return rc;
}

static int
end_part(struct sqlite *s, bool keep, struct err *err)
{
	int rc = 0;

	if (s->lost)
		return take_writer(s, true, err);
	if (!keep)
		rc = conn_exec(s->writer, "ROLLBACK TO part", err);
	if (rc == 0)
		rc = conn_exec(s->writer, "RELEASE part", err);
	return rc;
}

static int
end_all(struct sqlite *s, bool keep, struct err *err)
{
	int rc = 0;

	if (s->lost) {
		rc = take_writer(s, true, err);
	} else {
		if (keep)
			rc = conn_exec(s->writer, "COMMIT", err);
		if (!sqlite3_get_autocommit(s->writer->db))
			(void)conn_exec(s->writer, "ROLLBACK", NULL);
	}
	s->lost = false;
	give_writer(s, false);
	return rc;
}

static int
sqlite_end(struct engine *g, bool nested, bool keep, struct err *err)
{
	struct sqlite *s = sqlite_of(g);

	return nested ? end_part(s, keep, err) : end_all(s, keep, err);
}

/* --- reading ------------------------------------------------------------- */

static int
sqlite_count(struct engine *g, bool tx, const struct plan *p, int64_t *ret,
    struct err *err)
{
	struct sqlite *s = sqlite_of(g);
	struct sql q = { 0 };
	sqlite3_stmt *st;
	struct conn *c;
	int rc;

	rc = take_reader(s, tx, &c, err);
	if (rc != 0)
		return rc;
	sql_count(&q, p);
	rc = conn_prepare(c, buf_str(&q.text), &st, err);
	if (rc == 0) {
		sql_bind(&q, st);
		if (sqlite3_step(st) == SQLITE_ROW)
			*ret = sqlite3_column_int64(st, 0);
		else
			rc = conn_err(c, NULL, err);
		stmt_done(st);
	}
	give_reader(s, tx, c);
	sql_fini(&q);
	return rc;
}

/* Visits what the statement finds, row by row. */
static int
stream(struct conn *c, sqlite3_stmt *st, const struct entity *e,
    store_visit *visit, void *ctx, struct err *err)
{
	struct arena a = { 0 };
	void *row = mem_alloc(e->record.size);
	int rc = 0, step;

	while ((step = sqlite3_step(st)) == SQLITE_ROW) {
		arena_clear(&a);
		memset(row, 0, e->record.size);
		rc = row_read(st, e, row, &a, err);
		if (rc == 0)
			rc = visit(ctx, row, err);
		if (rc != 0)
			break;
	}
	if (rc == 0 && step != SQLITE_DONE)
		rc = conn_err(c, NULL, err);
	free(row);
	arena_fini(&a);
	return rc;
}

/* The rows of a list that is read whole first. */
struct kept {
	const struct entity *e;
	struct arena arena;
	void **rows;
	size_t n, cap;
};

static int
keep_row(void *ctx, const void *row, struct err *err)
{
	struct kept *k = ctx;

	(void)err;
	if (k->n == k->cap) {
		k->cap = k->cap == 0 ? 16 : k->cap * 2;
		k->rows = mem_resize(k->rows, k->cap, sizeof(*k->rows));
	}
	k->rows[k->n] = arena_alloc(&k->arena, k->e->record.size);
	record_copy(&k->e->record, &k->arena, k->rows[k->n++], row);
	return 0;
}

static int
sqlite_list(struct engine *g, bool tx, const struct plan *p, store_visit *visit,
    void *ctx, struct err *err)
{
	struct sqlite *s = sqlite_of(g);
	struct kept kept = { .e = p->entity };
	bool whole = tx && !p->quiet;
	struct sql q = { 0 };
	sqlite3_stmt *st;
	struct conn *c;
	int rc;

	rc = take_reader(s, tx, &c, err);
	if (rc != 0)
		return rc;
	sql_select(&q, p);
	rc = conn_prepare(c, buf_str(&q.text), &st, err);
	if (rc == 0) {
		sql_bind(&q, st);
		rc = stream(c, st, p->entity, whole ? keep_row : visit,
		    whole ? &kept : ctx, err);
		stmt_done(st);
	}
	give_reader(s, tx, c);
	sql_fini(&q);

	for (size_t i = 0; rc == 0 && i < kept.n; i++)
		rc = visit(ctx, kept.rows[i], err);
	free(kept.rows);
	arena_fini(&kept.arena);
	return rc;
}

/* --- writing ------------------------------------------------------------- */

/* Runs one statement that changes rows; a failing one changes none. */
static int
change(struct conn *c, const struct entity *e, sqlite3_stmt *st, int64_t *n,
    struct err *err)
{
	if (sqlite3_step(st) != SQLITE_DONE)
		return conn_err(c, e, err);
	*n += sqlite3_changes64(c->db);
	return 0;
}

static int
insert_rows(struct conn *c, const struct entity *e, const char *rows, size_t n,
    bool skip, int64_t *added, struct err *err)
{
	struct arena a = { 0 };
	struct sql q = { 0 };
	sqlite3_stmt *st = NULL;
	int rc;

	sql_insert(&q, e, skip);
	rc = conn_prepare(c, buf_str(&q.text), &st, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		row_bind(st, e, UINT64_MAX, rows + i * e->record.size, &a);
		rc = change(c, e, st, added, err);
		sqlite3_reset(st);
		arena_clear(&a);
	}
	if (st != NULL)
		stmt_done(st);
	sql_fini(&q);
	arena_fini(&a);
	return rc;
}

static int
sqlite_add(struct engine *g, bool tx, const struct entity *e, const void *rows,
    size_t n, bool skip, int64_t *added, struct err *err)
{
	struct sqlite *s = sqlite_of(g);
	int64_t count = 0;
	bool many = n > 1;
	int rc, ended;

	/* one row is one statement, and needs no transaction */
	rc = many ? sqlite_begin(g, tx, err) : take_writer(s, tx, err);
	if (rc != 0)
		return rc;
	rc = insert_rows(s->writer, e, rows, n, skip, &count, err);
	if (many) {
		note_lost(s);
		ended = sqlite_end(g, tx, rc == 0, rc == 0 ? err : NULL);
		rc = rc == 0 ? ended : rc;
	} else {
		give_writer(s, tx);
	}
	if (rc == 0)
		*added = count;
	return rc;
}

/* One statement with a row, a plan, or both. */
static int
write_one(struct engine *g, bool tx, const struct entity *e, struct sql *q,
    const void *row, uint64_t which, int64_t *n, struct err *err)
{
	struct sqlite *s = sqlite_of(g);
	struct arena a = { 0 };
	sqlite3_stmt *st;
	int rc;

	rc = take_writer(s, tx, err);
	if (rc != 0)
		goto done;
	rc = conn_prepare(s->writer, buf_str(&q->text), &st, err);
	if (rc == 0) {
		int64_t count = 0;

		if (row != NULL)
			row_bind(st, e, which, row, &a);
		sql_bind(q, st);
		rc = change(s->writer, e, st, &count, err);
		stmt_done(st);
		if (rc == 0)
			*n = count;
	}
	give_writer(s, tx);

done:
	arena_fini(&a);
	sql_fini(q);
	return rc;
}

static int
sqlite_upsert(struct engine *g, bool tx, const struct entity *e,
    const void *row, struct err *err)
{
	struct sql q = { 0 };
	int64_t n;

	sql_upsert(&q, e);
	return write_one(g, tx, e, &q, row, UINT64_MAX, &n, err);
}

static int
sqlite_update(struct engine *g, bool tx, const struct plan *p, const void *row,
    uint64_t which, int64_t *n, struct err *err)
{
	struct sql q = { 0 };

	sql_update(&q, p, which);
	return write_one(g, tx, p->entity, &q, row, which, n, err);
}

static int
sqlite_del(struct engine *g, bool tx, const struct plan *p, int64_t *n,
    struct err *err)
{
	struct sql q = { 0 };

	sql_delete(&q, p);
	return write_one(g, tx, p->entity, &q, NULL, 0, n, err);
}

/* The pages of the log go into the file, and both are flushed. Readers that are
 * at work keep some of them back, which is as well. */
static int
sqlite_flush(struct engine *g, struct err *err)
{
	struct sqlite *s = sqlite_of(g);
	int rc = take_writer(s, false, err);

	if (rc != 0)
		return rc;
	rc = conn_exec(s->writer, "PRAGMA wal_checkpoint(PASSIVE)", err);
	give_writer(s, false);
	return rc;
}

/* --- life ---------------------------------------------------------------- */

static void
sqlite_close(struct engine *g)
{
	struct sqlite *s = sqlite_of(g);

	while (!list_empty(&s->idle)) {
		struct conn *c = list_first(&s->idle, struct conn, link);

		list_del(&c->link);
		conn_close(c);
	}
	conn_close(s->writer); /* the last: it empties the log */
	pthread_mutex_destroy(&s->write_lock);
	pthread_mutex_destroy(&s->pool_lock);
	free(s->path);
	free(s);
}

static int
sqlite_open(const struct store_conf *conf, struct engine **ret, struct err *err)
{
	struct sqlite *s = mem_new(struct sqlite);
	struct engine *g = (struct engine *)(void *)s;
	pthread_mutexattr_t attr;
	int rc;

	list_init(&s->idle);
	pthread_mutex_init(&s->pool_lock, NULL);
	/* a call beside one's own transaction is an error, not a deadlock */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&s->write_lock, &attr);
	pthread_mutexattr_destroy(&attr);

	s->path = str_dupz(str_of(conf->path));
	rc = conn_open(s->path, true, conf->sync, conf->cache, &s->writer, err);
	if (rc == 0) {
		rc = schema_bring_up(s->writer, conf->entities, err);
		if (rc != 0)
			err_wrap(err, "%s", s->path);
	}
	if (rc != 0)
		sqlite_close(g);
	else
		*ret = g;
	return rc;
}

const struct store_ops store_sqlite = {
	.name = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.begin = sqlite_begin,
	.end = sqlite_end,
	.count = sqlite_count,
	.list = sqlite_list,
	.add = sqlite_add,
	.upsert = sqlite_upsert,
	.update = sqlite_update,
	.del = sqlite_del,
	.flush = sqlite_flush,
};

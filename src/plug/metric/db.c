/*
 * plug/metric/db.c - see db.h.
 */
#include "plug/metric/db.h"

#include "base/base.h"
#include "base/list.h"
#include "base/mem.h"
#include "plug/metric/log.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define IDLE_MAX 8
#define VERSION 1
#define PAGE_SIZE "1024" /* blocks leave little of their last page empty */

enum sql {
	BLOCKS,
	BLOCKS_DOWN,
	PUT_BLOCK,
	SET_ASIDE,
	COUNT_ASIDE,
	DEL_BLOCK,
	DEL_BEFORE,
	PUT_SERIES,
	DEL_SERIES,
	DEL_SERIES_BLOCKS,
	EACH_SERIES,
	GET_NUMBER,
	SET_NUMBER,
	BEGIN,
	COMMIT,
	ROLLBACK,
	STATEMENTS,
};

static const char *const sql[STATEMENTS] = {
	[BLOCKS] = "SELECT id, last, n, data FROM block WHERE id >= coalesce("
		   "(SELECT max(id) FROM block WHERE id BETWEEN ?1 AND ?2), ?2)"
		   " AND id <= ?3 AND last >= ?4 ORDER BY id",
	[BLOCKS_DOWN] = "SELECT id, last, n, data FROM block"
			" WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC",
	[PUT_BLOCK] = "INSERT OR REPLACE INTO block (id, last, n, data)"
		      " VALUES (?1, ?2, ?3, ?4)",
	[SET_ASIDE] = "INSERT INTO broken (id, last, n, data)"
		      " VALUES (?1, ?2, ?3, ?4)",
	[COUNT_ASIDE] = "SELECT count(*) FROM broken",
	[DEL_BLOCK] = "DELETE FROM block WHERE id = ?1",
	[DEL_BEFORE] = "DELETE FROM block WHERE id BETWEEN ?1 AND ?2"
		       " AND last < ?3",
	[PUT_SERIES] = "INSERT OR REPLACE INTO series (id, what)"
		       " VALUES (?1, ?2)",
	[DEL_SERIES] = "DELETE FROM series WHERE id = ?1",
	[DEL_SERIES_BLOCKS] = "DELETE FROM block WHERE id BETWEEN ?1 AND ?2",
	[EACH_SERIES] = "SELECT id, what FROM series ORDER BY id",
	[GET_NUMBER] = "SELECT value FROM number WHERE name = ?1",
	[SET_NUMBER] = "INSERT OR REPLACE INTO number (name, value)"
		       " VALUES (?1, ?2)",
	[BEGIN] = "BEGIN",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
};

static const char schema[] =
    "CREATE TABLE block (id INTEGER PRIMARY KEY, last INTEGER NOT NULL,"
    " n INTEGER NOT NULL, data BLOB NOT NULL);"
    "CREATE TABLE broken (id INTEGER, last INTEGER, n INTEGER, data BLOB);"
    "CREATE TABLE series (id INTEGER PRIMARY KEY, what BLOB NOT NULL);"
    "CREATE TABLE number (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "PRAGMA user_version = 1";

struct db_conn {
	sqlite3 *db;
	sqlite3_stmt *stmt[STATEMENTS];
	struct list link; /* in the pool */
};

struct db {
	char *path;
	struct db_conn *writer;
	pthread_mutex_t lock;
	struct list idle; /* under lock */
	size_t n_idle;
};

/* --- connections --------------------------------------------------------- */

static int
failed(struct db_conn *c, struct err *err)
{
	return err_set(err, ERR_IO, "metric database: %s",
	    c->db == NULL ? "no memory" : sqlite3_errmsg(c->db));
}

static int
run(struct db_conn *c, const char *text, struct err *err)
{
	if (sqlite3_exec(c->db, text, NULL, NULL, NULL) != SQLITE_OK)
		return failed(c, err);
	return 0;
}

static void
conn_close(struct db_conn *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(c->stmt[i]);
	sqlite3_close(c->db);
	free(c);
}

static int
conn_open(const char *path, bool write, struct db_conn **ret, struct err *err)
{
	struct db_conn *c = mem_new(struct db_conn);
	int flags = SQLITE_OPEN_NOMUTEX |
	    (write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
		   : SQLITE_OPEN_READONLY);
	int rc;

	if (sqlite3_open_v2(path, &c->db, flags, NULL) != SQLITE_OK) {
		rc = failed(c, err);
		conn_close(c);
		return rc;
	}
	sqlite3_busy_timeout(c->db, 10000);
	rc = run(c, "PRAGMA mmap_size = 1073741824", err);
	if (rc != 0) {
		conn_close(c);
		return rc;
	}
	*ret = c;
	return 0;
}

static int
get_version(struct db_conn *c, int64_t *ret, struct err *err)
{
	sqlite3_stmt *s;
	int rc = 0;

	if (sqlite3_prepare_v2(c->db, "PRAGMA user_version", -1, &s, NULL) !=
	    SQLITE_OK)
		return failed(c, err);
	if (sqlite3_step(s) == SQLITE_ROW)
		*ret = sqlite3_column_int64(s, 0);
	else
		rc = failed(c, err);
	sqlite3_finalize(s);
	return rc;
}

static int
prepare_file(struct db *d, bool sync, struct err *err)
{
	struct db_conn *c = d->writer;
	int64_t version = 0;
	int rc;

	rc = run(c,
	    "PRAGMA page_size = " PAGE_SIZE "; PRAGMA journal_mode = WAL;"
	    "PRAGMA journal_size_limit = 0;"
	    "PRAGMA cache_size = -16384",
	    err);
	if (rc == 0)
		rc = run(c,
		    sync ? "PRAGMA synchronous = FULL"
			 : "PRAGMA synchronous = OFF",
		    err);
	if (rc == 0)
		rc = get_version(c, &version, err);
	if (rc != 0)
		return rc;
	if (version > VERSION)
		return err_set(err, ERR_PARAM,
		    "%s was written by a newer version", d->path);
	if (version == VERSION)
		return 0;
	rc = run(c, "BEGIN IMMEDIATE", err);
	if (rc == 0)
		rc = run(c, schema, err);
	return rc == 0 ? run(c, "COMMIT", err) : rc;
}

int
db_open(const char *dir, bool sync, struct db **ret, struct err *err)
{
	struct db *d = mem_new(struct db);
	int rc;

	d->path = mem_printf("%s/metric.db", dir);
	pthread_mutex_init(&d->lock, NULL);
	list_init(&d->idle);
	rc = conn_open(d->path, true, &d->writer, err);
	if (rc == 0)
		rc = prepare_file(d, sync, err);
	if (rc != 0) {
		db_close(d);
		return rc;
	}
	*ret = d;
	return 0;
}

void
db_close(struct db *d)
{
	if (d == NULL)
		return;
	LIST_EACH (c, &d->idle, struct db_conn, link)
		conn_close(c);
	conn_close(d->writer);
	pthread_mutex_destroy(&d->lock);
	free(d->path);
	free(d);
}

struct db_conn *
db_writer(struct db *d)
{
	return d->writer;
}

int
db_take(struct db *d, struct db_conn **ret, struct err *err)
{
	struct db_conn *c;
	int rc;

	pthread_mutex_lock(&d->lock);
	c = list_first(&d->idle, struct db_conn, link);
	if (c != NULL) {
		list_del(&c->link);
		d->n_idle--;
	}
	pthread_mutex_unlock(&d->lock);
	if (c == NULL) {
		rc = conn_open(d->path, false, &c, err);
		if (rc != 0)
			return rc;
	}
	rc = db_begin(c, err);
	if (rc != 0) {
		conn_close(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void
db_give(struct db *d, struct db_conn *c)
{
	if (db_end(c, true, NULL) != 0) {
		conn_close(c);
		return;
	}
	pthread_mutex_lock(&d->lock);
	if (d->n_idle < IDLE_MAX) {
		list_add_first(&d->idle, &c->link);
		d->n_idle++;
		c = NULL;
	}
	pthread_mutex_unlock(&d->lock);
	conn_close(c);
}

/* --- statements ---------------------------------------------------------- */

/* NULL, with the error recorded (ERR_IO), if it can not be. */
static sqlite3_stmt *
use(struct db_conn *c, enum sql which, struct err *err)
{
	if (c->stmt[which] == NULL &&
	    sqlite3_prepare_v3(c->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT,
		&c->stmt[which], NULL) != SQLITE_OK) {
		(void)failed(c, err);
		return NULL;
	}
	return c->stmt[which];
}

/* Runs a statement that gives no rows. */
static int
finish(struct db_conn *c, sqlite3_stmt *s, struct err *err)
{
	int rc = sqlite3_step(s) == SQLITE_DONE ? 0 : failed(c, err);

	sqlite3_reset(s);
	return rc;
}

static int
simple(struct db_conn *c, enum sql which, struct err *err)
{
	sqlite3_stmt *s = use(c, which, err);

	return s == NULL ? ERR_IO : finish(c, s, err);
}

int
db_begin(struct db_conn *c, struct err *err)
{
	return simple(c, BEGIN, err);
}

int
db_end(struct db_conn *c, bool keep, struct err *err)
{
	int rc = 0;

	if (keep)
		rc = simple(c, COMMIT, err);
	if ((!keep || rc != 0) && !sqlite3_get_autocommit(c->db))
		(void)simple(c, ROLLBACK, NULL); /* it is undone anyway */
	return rc;
}

void
db_settle(struct db *d)
{
	(void)sqlite3_wal_checkpoint_v2(
	    d->writer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static uint64_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

uint64_t
db_bytes(struct db *d)
{
	char *wal = mem_printf("%s-wal", d->path);
	uint64_t ret = size_of(d->path) + size_of(wal);

	free(wal);
	return ret;
}

/* --- blocks -------------------------------------------------------------- */

#define SECOND_BITS 33 /* METRIC_TIME_MAX fits */

static int64_t
key_of(uint32_t series, enum metric_tier tier, int64_t at)
{
	return (int64_t)series << (SECOND_BITS + 2) |
	    (int64_t)tier << SECOND_BITS | at / 1000;
}

static int
visit_blocks(struct db_conn *c, sqlite3_stmt *s, db_visit *visit, void *ctx,
    struct err *err)
{
	int rc = 1, step = SQLITE_ROW;

	while (rc == 1 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		struct db_block b = {
			.key = sqlite3_column_int64(s, 0),
			.last = sqlite3_column_int64(s, 1),
			.n = sqlite3_column_int64(s, 2),
		};

		b.data.ptr = sqlite3_column_blob(s, 3);
		b.data.len = (size_t)sqlite3_column_bytes(s, 3);
		rc = visit(ctx, &b, err);
	}
	if (step != SQLITE_ROW && step != SQLITE_DONE)
		rc = failed(c, err);
	sqlite3_reset(s);
	return rc == 1 ? 0 : rc;
}

int
db_blocks(struct db_conn *c, uint32_t series, enum metric_tier tier,
    int64_t from, int64_t to, db_visit *visit, void *ctx, struct err *err)
{
	sqlite3_stmt *s = use(c, BLOCKS, err);

	if (s == NULL)
		return ERR_IO;
	sqlite3_bind_int64(s, 1, key_of(series, tier, 0));
	sqlite3_bind_int64(s, 2, key_of(series, tier, from));
	sqlite3_bind_int64(s, 3, key_of(series, tier, to - 1));
	sqlite3_bind_int64(s, 4, from);
	return visit_blocks(c, s, visit, ctx, err);
}

int
db_blocks_down(struct db_conn *c, uint32_t series, enum metric_tier tier,
    int64_t at, db_visit *visit, void *ctx, struct err *err)
{
	sqlite3_stmt *s = use(c, BLOCKS_DOWN, err);

	if (s == NULL)
		return ERR_IO;
	sqlite3_bind_int64(s, 1, key_of(series, tier, 0));
	sqlite3_bind_int64(s, 2, key_of(series, tier, at));
	return visit_blocks(c, s, visit, ctx, err);
}

int
db_put_block(struct db_conn *c, uint32_t series, enum metric_tier tier,
    int64_t first, int64_t last, size_t n, struct str data, struct err *err)
{
	sqlite3_stmt *s = use(c, PUT_BLOCK, err);

	if (s == NULL)
		return ERR_IO;
	sqlite3_bind_int64(s, 1, key_of(series, tier, first));
	sqlite3_bind_int64(s, 2, last);
	sqlite3_bind_int64(s, 3, (int64_t)n);
	sqlite3_bind_blob64(s, 4, data.ptr, data.len, SQLITE_STATIC);
	return finish(c, s, err);
}

int
db_del_block(struct db_conn *c, int64_t key, struct err *err)
{
	sqlite3_stmt *s = use(c, DEL_BLOCK, err);

	if (s == NULL)
		return ERR_IO;
	sqlite3_bind_int64(s, 1, key);
	return finish(c, s, err);
}

int
db_set_aside(struct db_conn *c, const struct db_block *b, struct err *err)
{
	sqlite3_stmt *s = use(c, SET_ASIDE, err);

	if (s == NULL)
		return ERR_IO;
	sqlite3_bind_int64(s, 1, b->key);
	sqlite3_bind_int64(s, 2, b->last);
	sqlite3_bind_int64(s, 3, b->n);
	sqlite3_bind_blob64(s, 4, b->data.ptr, b->data.len, SQLITE_STATIC);
	return finish(c, s, err);
}

int
db_count_aside(struct db_conn *c, int64_t *ret, struct err *err)
{
	sqlite3_stmt *s = use(c, COUNT_ASIDE, err);
	int rc = 0;

	if (s == NULL)
		return ERR_IO;
	if (sqlite3_step(s) == SQLITE_ROW)
		*ret = sqlite3_column_int64(s, 0);
	else
		rc = failed(c, err);
	sqlite3_reset(s);
	return rc;
}

int
db_del_before(struct db_conn *c, uint32_t series, enum metric_tier tier,
    int64_t end, struct err *err)
{
	sqlite3_stmt *s = use(c, DEL_BEFORE, err);

	if (s == NULL)
		return ERR_IO;
	sqlite3_bind_int64(s, 1, key_of(series, tier, 0));
	sqlite3_bind_int64(s, 2, key_of(series, tier, end));
	sqlite3_bind_int64(s, 3, end);
	return finish(c, s, err);
}

/* --- series and numbers -------------------------------------------------- */

int
db_put_series(
    struct db_conn *c, const struct metric_series *what, struct err *err)
{
	struct buf b = { 0 };
	sqlite3_stmt *s = use(c, PUT_SERIES, err);
	int rc;

	if (s == NULL)
		return ERR_IO;
	series_put(&b, what);
	sqlite3_bind_int64(s, 1, what->id);
	sqlite3_bind_blob64(s, 2, b.ptr, b.len, SQLITE_STATIC);
	rc = finish(c, s, err);
	buf_free(&b);
	return rc;
}

int
db_del_series(struct db_conn *c, uint32_t series, struct err *err)
{
	sqlite3_stmt *s = use(c, DEL_SERIES_BLOCKS, err);
	int rc;

	if (s == NULL)
		return ERR_IO;
	sqlite3_bind_int64(s, 1, key_of(series, 0, 0));
	sqlite3_bind_int64(s, 2, key_of(series + 1, 0, 0) - 1);
	rc = finish(c, s, err);
	if (rc != 0)
		return rc;
	s = use(c, DEL_SERIES, err);
	if (s == NULL)
		return ERR_IO;
	sqlite3_bind_int64(s, 1, series);
	return finish(c, s, err);
}

int
db_each_series(struct db_conn *c,
    int (*each)(void *ctx, const struct metric_series *s, struct err *err),
    void *ctx, struct err *err)
{
	struct arena a = { 0 };
	sqlite3_stmt *s = use(c, EACH_SERIES, err);
	int rc = 0, step = SQLITE_ROW;

	if (s == NULL)
		return ERR_IO;
	while (rc == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		struct metric_series one = {
			.id = (uint32_t)sqlite3_column_int64(s, 0),
		};
		struct str in;

		in.ptr = sqlite3_column_blob(s, 1);
		in.len = (size_t)sqlite3_column_bytes(s, 1);
		arena_clear(&a);
		rc = series_get(&in, &a, &one)
		    ? each(ctx, &one, err)
		    : err_set(err, ERR_PROTO, "series %u is broken", one.id);
	}
	if (rc == 0 && step != SQLITE_DONE)
		rc = failed(c, err);
	sqlite3_reset(s);
	arena_fini(&a);
	return rc;
}

int
db_get_number(
    struct db_conn *c, const char *name, int64_t *ret, struct err *err)
{
	sqlite3_stmt *s = use(c, GET_NUMBER, err);
	int rc = 0, step;

	if (s == NULL)
		return ERR_IO;
	sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	step = sqlite3_step(s);
	*ret = step == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
	if (step != SQLITE_ROW && step != SQLITE_DONE)
		rc = failed(c, err);
	sqlite3_reset(s);
	return rc;
}

int
db_set_number(
    struct db_conn *c, const char *name, int64_t value, struct err *err)
{
	sqlite3_stmt *s = use(c, SET_NUMBER, err);

	if (s == NULL)
		return ERR_IO;
	sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, value);
	return finish(c, s, err);
}

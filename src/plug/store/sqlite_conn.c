/*
 * plug/store/sqlite_conn.c - one connection and its prepared statements.
 */
#include "plug/store/sqlite.h"

#include "base/base.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STMTS_MAX 96  /* prepared per connection */
#define BUSY_MS 10000 /* how long to wait for another process */

struct stmt {
	sqlite3_stmt *handle;
	struct str sql; /* owned */
	struct list lru;
};

/* Makes the file with the right mode, whatever the umask is. SQLite gives the
 * files beside it the same. A file that exists is not even opened here: to
 * close it would drop the locks that this process has on it. */
static int
make_file(const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int rc = 0;

	if (fd < 0)
		return errno == EEXIST ? 0 : err_errno(err, "create %s", path);
	if (fchmod(fd, 0600) < 0)
		rc = err_errno(err, "set the mode of %s", path);
	close(fd);
	return rc;
}

static int
set_up(struct conn *c, bool writer, bool sync, int64_t cache, struct err *err)
{
	char pragma[64];
	sqlite3_stmt *st;
	bool wal;
	int rc;

	rc = conn_exec(c, "PRAGMA temp_store = MEMORY", err);
	if (rc != 0)
		return rc;
	if (!writer)
		return conn_exec(c, "PRAGMA query_only = 1", err);

	rc = conn_prepare(c, STR("PRAGMA journal_mode = WAL"), &st, err);
	if (rc != 0)
		return rc;
	if (sqlite3_step(st) != SQLITE_ROW)
		rc = conn_err(c, NULL, err);
	wal = rc == 0 &&
	    strcmp((const char *)sqlite3_column_text(st, 0), "wal") == 0;
	stmt_done(st);
	if (rc == 0 && !wal)
		rc = err_set(err, ERR_IO, "no write-ahead log is possible");
	if (rc != 0)
		return rc;
	/* the pages of the indexes in which rows are spread must stay at hand
	 */
	snprintf(pragma, sizeof(pragma), "PRAGMA cache_size = -%" PRId64,
	    cache / 1024);
	if (cache >= 1024)
		rc = conn_exec(c, pragma, err);
	if (rc != 0)
		return rc;
	return conn_exec(c,
	    sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
	    err);
}

int
conn_open(const char *path, bool writer, bool sync, int64_t cache,
    struct conn **ret, struct err *err)
{
	struct conn *c = mem_new(struct conn);
	int rc = 0;

	list_init(&c->lru);
	list_init(&c->link);
	if (path == NULL || path[0] == '\0' || path[0] == ':')
		rc = err_set(err, ERR_PARAM, "a database needs a file name");
	if (rc == 0 && writer)
		rc = make_file(path, err);
	if (rc != 0)
		goto done;

	if (sqlite3_open_v2(path, &c->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
		NULL) != SQLITE_OK) {
		rc = conn_err(c, NULL, err);
	} else {
		sqlite3_extended_result_codes(c->db, 1);
		sqlite3_busy_timeout(c->db, BUSY_MS);
		rc = set_up(c, writer, sync, cache, err);
	}
	if (rc != 0)
		err_wrap(err, "open %s", path);

done:
	if (rc != 0)
		conn_close(c);
	else
		*ret = c;
	return rc;
}

static void
stmt_free(struct conn *c, struct stmt *s)
{
	map_del(&c->stmts, s->sql);
	list_del(&s->lru);
	sqlite3_finalize(s->handle);
	str_free(s->sql);
	free(s);
	c->n_stmts--;
}

void
conn_close(struct conn *c)
{
	if (c == NULL)
		return;
	while (!list_empty(&c->lru))
		stmt_free(c, container_of(c->lru.next, struct stmt, lru));
	map_fini(&c->stmts);
	sqlite3_close(c->db);
	free(c);
}

int
conn_prepare(
    struct conn *c, struct str sql, sqlite3_stmt **ret, struct err *err)
{
	struct stmt *s = map_get(&c->stmts, sql);

	if (s == NULL) {
		sqlite3_stmt *handle;

		if (sqlite3_prepare_v3(c->db, sql.ptr, (int)sql.len,
			SQLITE_PREPARE_PERSISTENT, &handle, NULL) != SQLITE_OK)
			return conn_err(c, NULL, err);
		if (c->n_stmts == STMTS_MAX)
			stmt_free(
			    c, container_of(c->lru.prev, struct stmt, lru));
		s = mem_new(struct stmt);
		s->handle = handle;
		s->sql = str_copy(sql);
		list_init(&s->lru);
		map_put(&c->stmts, s->sql, s);
		c->n_stmts++;
	}
	list_del(&s->lru);
	list_add_first(&c->lru, &s->lru);
	*ret = s->handle;
	return 0;
}

void
stmt_done(sqlite3_stmt *st)
{
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
}

int
conn_exec(struct conn *c, const char *sql, struct err *err)
{
	sqlite3_stmt *st;
	int rc, step;

	rc = conn_prepare(c, str_of(sql), &st, err);
	if (rc != 0)
		return rc;
	while ((step = sqlite3_step(st)) == SQLITE_ROW)
		;
	if (step != SQLITE_DONE)
		rc = conn_err(c, NULL, err);
	stmt_done(st);
	return rc;
}

/* --- errors -------------------------------------------------------------- */

/* How SQLite's message ends for a key of plain columns:
 * ": device.unit_code, device.network_code". */
static void
key_columns(struct buf *b, const struct entity *e, const struct entity_key *k)
{
	buf_clear(b);
	for (size_t i = 0; k->fields[i] != NULL; i++)
		buf_addf(b, "%s %s.%s", i > 0 ? "," : ":", e->table,
		    sql_field(e, k->fields[i])->column);
}

static const struct entity_key *
broken_key(const struct entity *e, const char *message)
{
	const struct entity_key *found = NULL;
	struct buf b = { 0 };

	for (const struct entity_key *k = e->keys;
	     found == NULL && k->name != NULL; k++) {
		struct str text = str_of(message);

		key_columns(&b, e, k);
		if (str_ends(text, buf_str(&b)))
			found = k;
		buf_clear(&b);
		buf_addf(&b, "index 'marram_%s_%s'", e->table, k->name);
		if (str_ends(text, buf_str(&b)))
			found = k;
	}
	buf_free(&b);
	return found;
}

static int
conn_err_code(int extended)
{
	switch (extended & 0xFF) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_AGAIN;
	case SQLITE_TOOBIG:
		return ERR_LIMIT;
	case SQLITE_CONSTRAINT:
		return ERR_PARAM;
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_NOMEM:
		return ERR_IO;
	default:
		return ERR_INTERNAL;
	}
}

int
conn_err(struct conn *c, const struct entity *e, struct err *err)
{
	int extended = sqlite3_extended_errcode(c->db);
	const char *message = sqlite3_errmsg(c->db);

	if (e != NULL &&
	    (extended == SQLITE_CONSTRAINT_UNIQUE ||
		extended == SQLITE_CONSTRAINT_PRIMARYKEY)) {
		const struct entity_key *k = broken_key(e, message);

		if (k != NULL)
			return store_exists(err, e, k);
		return err_set(err, ERR_EXISTS, "%s: %s", e->table, message);
	}
	return err_set(err, conn_err_code(extended), "sqlite: %s", message);
}

/*
 * plug/store/sqlite.h - the parts of the SQLite back end.
 *
 *    sqlite.c         the operations, and which connection does them
 *    sqlite_conn.c    one connection and its prepared statements
 *    sqlite_sql.c     plans as SQL
 *    sqlite_row.c     rows as columns
 *    sqlite_schema.c  tables, indexes and their history
 */
#ifndef PLUG_STORE_SQLITE_H
#define PLUG_STORE_SQLITE_H

#include "plug/store/ops.h"

#include "base/list.h"
#include "base/map.h"

#include <sqlite3.h>

/* --- one connection ----------------------------------------------------------
 * Used by one thread at a time.
 */

struct conn {
	sqlite3 *db;
	struct map stmts; /* by their SQL */
	struct list lru;  /* of struct stmt, the one used last is first */
	size_t n_stmts;
	struct list link; /* for its owner */
};

/* The writer makes the file if it is missing. */
int conn_open(const char *path, bool writer, bool sync, int64_t cache,
    struct conn **ret, struct err *err);
void conn_close(struct conn *c); /* NULL is fine */
/* A statement of the cache, to be given to stmt_done() before any other is
 * asked for. */
int conn_prepare(
    struct conn *c, struct str sql, sqlite3_stmt **ret, struct err *err);
void stmt_done(sqlite3_stmt *st);
/* Runs a statement without parameters and results. */
int conn_exec(struct conn *c, const char *sql, struct err *err);
/* The error of the last call on the connection. With `e`, a broken unique key
 * of it is named. */
int conn_err(struct conn *c, const struct entity *e, struct err *err);

/* --- SQL ----------------------------------------------------------------- */

/* A statement being written. Zero-initialise. */
struct sql {
	struct buf text;
	struct value *args; /* owned; what ?base+1, ?base+2, ... are */
	size_t n_args, cap_args, base;
	struct arena arena; /* of text made for arguments */
};

void sql_select(struct sql *q, const struct plan *p);
void sql_count(struct sql *q, const struct plan *p);
void sql_delete(struct sql *q, const struct plan *p);
/* ?1 and on are the fields of `which`, to be bound by row_bind(). */
void sql_update(struct sql *q, const struct plan *p, uint64_t which);
/* The whole row is ?1 and on. */
void sql_insert(struct sql *q, const struct entity *e, bool skip);
void sql_upsert(struct sql *q, const struct entity *e);
/* Binds the arguments, which must live until the statement is done. */
void sql_bind(const struct sql *q, sqlite3_stmt *st);
void sql_fini(struct sql *q);

void sql_name(struct buf *b, const char *name); /* "quoted" */
/* The expression that stands for a field in a unique key: the column, or when
 * it may be null one that is never null. */
void sql_key_field(struct buf *b, const struct field *f);
/* The field of an entity by its JSON name. */
const struct field *sql_field(const struct entity *e, const char *name);
/* True when null of this column is NULL in SQL. */
bool sql_nullable(const struct field *f);

/* --- rows ---------------------------------------------------------------- */

/* Binds the fields in `which` to ?1, ?2, ... Lent from `row`, or put in `a`;
 * both must live until the statement is done. */
void row_bind(sqlite3_stmt *st, const struct entity *e, uint64_t which,
    const void *row, struct arena *a);
/* Reads all fields from the columns, in the order of the rows. Text is lent
 * from the statement until its next step, or in `a`. */
int row_read(sqlite3_stmt *st, const struct entity *e, void *row,
    struct arena *a, struct err *err);
/* A TEXTS value as its column has it. */
struct str texts_encode(
    const struct field *f, const struct strs *list, struct arena *a);

/* --- schema -------------------------------------------------------------- */

int schema_bring_up(
    struct conn *c, const struct entity *const *entities, struct err *err);

#endif

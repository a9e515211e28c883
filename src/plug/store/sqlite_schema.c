/*
 * plug/store/sqlite_schema.c - tables, indexes and their history.
 *
 * A table may be new, one of ours of some version, or one that another program
 * made before us and that marram_schema does not know; that one counts as
 * version 1. In every case the same is done: run the steps that lead on from
 * its version, add the columns that are missing, bring the indexes to what
 * the rows say, and note the version. Columns we do not know stay.
 *
 * Everything happens in one transaction: a schema is brought up whole, or
 * left as it was.
 */
#include "plug/store/sqlite.h"

#include "base/base.h"
#include "codec/entity_json.h"

#include <stdlib.h>
#include <string.h>

/* --- small questions ----------------------------------------------------- */

/* The first column of the first row as text; `*found` is false when there is
 * no row or it is NULL. */
static int
ask(struct conn *c, const char *sql, const char *one, const char *two,
    struct arena *a, struct str *ret, bool *found, struct err *err)
{
	sqlite3_stmt *st;
	int rc, step;

	rc = conn_prepare(c, str_of(sql), &st, err);
	if (rc != 0)
		return rc;
	sqlite3_bind_text(st, 1, one, -1, SQLITE_STATIC);
	if (two != NULL)
		sqlite3_bind_text(st, 2, two, -1, SQLITE_STATIC);
	step = sqlite3_step(st);
	*found =
	    step == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL;
	if (*found)
		*ret = arena_str(
		    a, str_of((const char *)sqlite3_column_text(st, 0)));
	else if (step != SQLITE_ROW && step != SQLITE_DONE)
		rc = conn_err(c, NULL, err);
	stmt_done(st);
	return rc;
}

static int
has_table(struct conn *c, const char *table, bool *ret, struct err *err)
{
	struct arena a = { 0 };
	struct str s;
	int rc;

	rc = ask(c,
	    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1 "
	    "COLLATE NOCASE",
	    table, NULL, &a, &s, ret, err);
	arena_fini(&a);
	return rc;
}

static int
has_column(struct conn *c, const char *table, const char *column, bool *ret,
    struct err *err)
{
	struct arena a = { 0 };
	struct str s;
	int rc;

	rc = ask(c,
	    "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2 COLLATE "
	    "NOCASE",
	    table, column, &a, &s, ret, err);
	arena_fini(&a);
	return rc;
}

/* The version noted for a table, 0 if there is none. */
static int
get_version(struct conn *c, const char *table, int64_t *ret, struct err *err)
{
	struct arena a = { 0 };
	struct str s;
	bool found;
	int rc;

	*ret = 0;
	rc = ask(c, "SELECT version FROM marram_schema WHERE entity_table = ?1",
	    table, NULL, &a, &s, &found, err);
	if (rc == 0 && found && !str_to_i64(s, ret))
		rc = err_set(err, ERR_IO, "table %s: bad schema version \"%s\"",
		    table, s.ptr);
	arena_fini(&a);
	return rc;
}

static int
set_version(struct conn *c, const struct entity *e, struct err *err)
{
	sqlite3_stmt *st;
	int rc;

	rc = conn_prepare(c,
	    STR("INSERT OR REPLACE INTO marram_schema (entity_table, version) "
		"VALUES (?1, ?2)"),
	    &st, err);
	if (rc != 0)
		return rc;
	sqlite3_bind_text(st, 1, e->table, -1, SQLITE_STATIC);
	sqlite3_bind_int(st, 2, e->version);
	if (sqlite3_step(st) != SQLITE_DONE)
		rc = conn_err(c, NULL, err);
	stmt_done(st);
	return rc;
}

static int
run(struct conn *c, struct buf *sql, struct err *err)
{
	int rc = conn_exec(c, buf_z(sql), err);

	buf_clear(sql);
	return rc;
}

/* --- columns ------------------------------------------------------------- */

static void
put_text(struct buf *b, struct str s)
{
	buf_addc(b, '\'');
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\'')
			buf_addc(b, '\'');
		buf_addc(b, s.ptr[i]);
	}
	buf_addc(b, '\'');
}

static void
put_blob(struct buf *b, struct str s)
{
	buf_addz(b, "x'");
	hex_encode(b, s.ptr, s.len);
	buf_addc(b, '\'');
}

/* The field of a row as a literal. */
static void
put_literal(
    struct buf *b, const struct field *f, const void *at, struct arena *a)
{
	struct str s = STR_NULL;
	struct buf text = { 0 };

	if (f->type == FIELD_TEXT || f->type == FIELD_JSON ||
	    f->type == FIELD_BLOB)
		s = *(const struct str *)at;
	if (f->flags & FIELD_EMPTY && s.ptr == NULL)
		s = STR("");

	switch (f->type) {
	case FIELD_BLOB:
		put_blob(b, s);
		break;
	case FIELD_BOOL:
		buf_addc(b, *(const bool *)at ? '1' : '0');
		break;
	case FIELD_TEXT:
	case FIELD_JSON:
		put_text(b, s);
		break;
	case FIELD_TEXTS:
		put_text(b, texts_encode(f, at, a));
		break;
	case FIELD_RECORD:
	case FIELD_RECORDS:
		field_encode(&text, f, at);
		put_text(b, buf_str(&text));
		break;
	default: /* numbers are the same in JSON and SQL */
		field_encode(b, f, at);
	}
	buf_free(&text);
}

static const char *
column_type(const struct field *f)
{
	switch (f->type) {
	case FIELD_BLOB:
		return "BLOB";
	case FIELD_INT:
	case FIELD_TIME:
	case FIELD_BOOL:
		return "INTEGER";
	case FIELD_REAL:
		return "REAL";
	default:
		return "TEXT";
	}
}

static bool
is_null_at(const struct field *f, const void *at)
{
	struct value v;

	if (f->type == FIELD_RECORD || f->type == FIELD_RECORDS)
		return false;
	v = field_get(f, at);
	return v.null;
}

/* "name" TEXT NOT NULL DEFAULT 'x'. The default serves rows that are already
 * there when a column is added. */
static void
put_column_def(
    struct buf *b, const struct field *f, const void *defaults, struct arena *a)
{
	const void *at = (const char *)defaults + f->offset;

	sql_name(b, f->column);
	buf_addf(b, " %s", column_type(f));
	if (!sql_nullable(f))
		buf_addz(b, " NOT NULL");
	if (!sql_nullable(f) || !is_null_at(f, at)) {
		buf_addz(b, " DEFAULT ");
		put_literal(b, f, at, a);
	}
}

static int
create_table(struct conn *c, const struct entity *e, const void *defaults,
    struct arena *a, struct err *err)
{
	struct buf sql = { 0 };
	int rc;

	buf_addz(&sql, "CREATE TABLE IF NOT EXISTS ");
	sql_name(&sql, e->table);
	for (const struct field *f = e->record.fields; f->name != NULL; f++) {
		buf_addz(&sql, f == e->record.fields ? " (" : ", ");
		put_column_def(&sql, f, defaults, a);
	}
	buf_addc(&sql, ')');
	rc = run(c, &sql, err);
	buf_free(&sql);
	return rc;
}

static int
add_columns(struct conn *c, const struct entity *e, const void *defaults,
    struct arena *a, struct err *err)
{
	struct buf sql = { 0 };
	int rc = 0;

	for (const struct field *f = e->record.fields;
	     rc == 0 && f->name != NULL; f++) {
		bool there;

		rc = has_column(c, e->table, f->column, &there, err);
		if (rc != 0 || there)
			continue;
		buf_addz(&sql, "ALTER TABLE ");
		sql_name(&sql, e->table);
		buf_addz(&sql, " ADD COLUMN ");
		put_column_def(&sql, f, defaults, a);
		rc = run(c, &sql, err);
	}
	buf_free(&sql);
	return rc;
}

/* A step whose column is gone was taken by whoever made the table. */
static int
run_step(struct conn *c, const struct entity *e, const struct entity_step *s,
    struct err *err)
{
	struct buf sql = { 0 };
	bool there;
	int rc;

	rc = has_column(c, e->table, s->from, &there, err);
	if (rc != 0 || !there)
		return rc;
	buf_addz(&sql, "ALTER TABLE ");
	sql_name(&sql, e->table);
	buf_addz(&sql,
	    s->kind == ENTITY_RENAME ? " RENAME COLUMN " : " DROP COLUMN ");
	sql_name(&sql, s->from);
	if (s->kind == ENTITY_RENAME) {
		buf_addz(&sql, " TO ");
		sql_name(&sql, s->to);
	}
	rc = run(c, &sql, err);
	buf_free(&sql);
	return rc;
}

static int
run_steps(struct conn *c, const struct entity *e, int64_t from, struct err *err)
{
	const struct entity_step *s = e->steps;

	/* in the order of versions, whatever the order of the rows */
	for (int64_t v = from + 1; v <= e->version; v++)
		for (s = e->steps; s != NULL && s->version != 0; s++) {
			int rc = s->version == v ? run_step(c, e, s, err) : 0;

			if (rc != 0)
				return rc;
		}
	return 0;
}

/* --- indexes ------------------------------------------------------------- */

/* An index is known by its text: one whose text we would not write today is
 * dropped, and made again if the rows have it. */
struct indexes {
	struct str sql[64];
	size_t n;
};

static void
want_index(struct indexes *want, const struct entity *e, bool unique,
    const struct entity_key *k, struct arena *a)
{
	struct buf b = { 0 };

	if (want->n == COUNT_OF(want->sql))
		return;
	buf_addf(&b, "CREATE %sINDEX \"marram_%s_%s\" ON ",
	    unique ? "UNIQUE " : "", e->table, k->name);
	sql_name(&b, e->table);
	for (size_t i = 0; k->fields[i] != NULL; i++) {
		const struct field *f = sql_field(e, k->fields[i]);

		buf_addz(&b, i == 0 ? " (" : ", ");
		if (unique)
			sql_key_field(&b, f);
		else
			sql_name(&b, f->column);
	}
	buf_addc(&b, ')');
	want->sql[want->n++] = arena_str(a, buf_str(&b));
	buf_free(&b);
}

/* Whether the table itself, as another program made it, has this key. */
static int
has_own_key(struct conn *c, const struct entity *e, const struct entity_key *k,
    bool *ret, struct err *err)
{
	struct arena a = { 0 };
	struct buf columns = { 0 };
	struct str s;
	int rc;

	*ret = false;
	for (size_t i = 0; k->fields[i] != NULL; i++) {
		const struct field *f = sql_field(e, k->fields[i]);

		if (sql_nullable(f))
			goto done_no;
		buf_addf(&columns, "%s%s", i > 0 ? "," : "", f->column);
	}
	rc = ask(c,
	    "SELECT 1 FROM pragma_index_list(?1) AS l WHERE l.\"unique\" AND "
	    "NOT l.partial AND l.origin <> 'c' AND ?2 = (SELECT "
	    "group_concat(name) FROM (SELECT name FROM "
	    "pragma_index_info(l.name) ORDER BY seqno))",
	    e->table, buf_z(&columns), &a, &s, ret, err);
	buf_free(&columns);
	arena_fini(&a);
	return rc;

done_no:
	buf_free(&columns);
	return 0;
}

static bool
has_index_on(const struct entity_key *k, const char *field)
{
	for (; k != NULL && k->name != NULL; k++)
		if (strcmp(k->fields[0], field) == 0)
			return true;
	return false;
}

static int
want_indexes(struct conn *c, const struct entity *e, struct indexes *want,
    struct arena *a, struct err *err)
{
	want->n = 0;
	for (const struct entity_key *k = e->keys; k->name != NULL; k++) {
		bool own;
		int rc = has_own_key(c, e, k, &own, err);

		if (rc != 0)
			return rc;
		if (!own)
			want_index(want, e, true, k, a);
	}
	for (const struct entity_key *k = e->indexes;
	     k != NULL && k->name != NULL; k++)
		want_index(want, e, false, k, a);

	/* a cascade must not walk the table */
	for (const struct entity_ref *r = e->refs;
	     r != NULL && r->field != NULL; r++) {
		struct entity_key k = {
			.name = arena_printf(a, "ref_%s", r->field).ptr,
			.fields = { r->field },
		};

		if (!has_index_on(e->keys, r->field) &&
		    !has_index_on(e->indexes, r->field))
			want_index(want, e, false, &k, a);
	}
	return 0;
}

/* Takes an index that is there from the list of wanted ones; false if it is
 * not wanted. */
static bool
take_wanted(struct indexes *want, struct str sql)
{
	for (size_t i = 0; i < want->n; i++)
		if (str_eq(want->sql[i], sql)) {
			want->sql[i] = want->sql[--want->n];
			return true;
		}
	return false;
}

/* One of our indexes that is not in the list of wanted ones is dropped; those
 * that are there leave the list. */
static int
drop_unwanted(struct conn *c, const struct entity *e, struct indexes *want,
    struct arena *a, struct err *err)
{
	struct buf drop = { 0 };
	sqlite3_stmt *st;
	struct str names[COUNT_OF(want->sql)];
	size_t n = 0;
	int rc, step;

	rc = conn_prepare(c,
	    STR("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND "
		"tbl_name = ?1 COLLATE NOCASE AND substr(name, 1, 7) = "
		"'marram_' AND sql IS NOT NULL"),
	    &st, err);
	if (rc != 0)
		return rc;
	sqlite3_bind_text(st, 1, e->table, -1, SQLITE_STATIC);
	while ((step = sqlite3_step(st)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(st, 0);
		const char *sql = (const char *)sqlite3_column_text(st, 1);

		if (!take_wanted(want, str_of(sql)) && n < COUNT_OF(names))
			names[n++] = arena_str(a, str_of(name));
	}
	if (step != SQLITE_DONE)
		rc = conn_err(c, NULL, err);
	stmt_done(st);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		buf_addz(&drop, "DROP INDEX ");
		sql_name(&drop, names[i].ptr);
		rc = run(c, &drop, err);
	}
	buf_free(&drop);
	return rc;
}

static int
make_indexes(
    struct conn *c, const struct entity *e, struct arena *a, struct err *err)
{
	struct indexes want;
	int rc;

	rc = want_indexes(c, e, &want, a, err);
	if (rc == 0)
		rc = drop_unwanted(c, e, &want, a, err);
	/* the last made is checked first: of two broken keys the first one of
	 * the entity is named */
	for (size_t i = want.n; rc == 0 && i > 0; i--)
		rc = conn_exec(c, want.sql[i - 1].ptr, err);
	return rc;
}

/* All of ours: a step may rename or drop what they are on. */
static int
drop_indexes(
    struct conn *c, const struct entity *e, struct arena *a, struct err *err)
{
	struct indexes none = { .n = 0 };

	return drop_unwanted(c, e, &none, a, err);
}

/* --- one table, and all -------------------------------------------------- */

static int
bring_up_table(
    struct conn *c, const struct entity *e, struct arena *a, struct err *err)
{
	void *defaults = arena_alloc(a, e->record.size);
	int64_t version;
	bool there;
	int rc;

	record_init(&e->record, defaults);
	rc = record_defaults(&e->record, a, 0, defaults, err);
	if (rc == 0)
		rc = get_version(c, e->table, &version, err);
	if (rc == 0)
		rc = has_table(c, e->table, &there, err);
	if (rc != 0)
		return rc;
	if (version > e->version)
		return err_set(err, ERR_DENIED,
		    "its schema has version %lld and this program knows %d: "
		    "use the program that wrote it, or a newer one",
		    (long long)version, e->version);
	if (version == 0)
		version = 1;
	if (!there)
		rc = create_table(c, e, defaults, a, err);
	else if (version < e->version)
		rc = drop_indexes(c, e, a, err);
	if (rc == 0 && there)
		rc = run_steps(c, e, version, err);
	if (rc == 0 && there)
		rc = add_columns(c, e, defaults, a, err);
	if (rc == 0)
		rc = make_indexes(c, e, a, err);
	if (rc == 0)
		rc = set_version(c, e, err);
	return rc;
}

int
schema_bring_up(
    struct conn *c, const struct entity *const *entities, struct err *err)
{
	struct arena a = { 0 };
	int rc;

	rc = conn_exec(c, "BEGIN IMMEDIATE", err);
	if (rc != 0)
		return rc;
	rc = conn_exec(c,
	    "CREATE TABLE IF NOT EXISTS marram_schema (entity_table TEXT "
	    "PRIMARY KEY, version INTEGER NOT NULL)",
	    err);
	for (size_t i = 0; rc == 0 && entities[i] != NULL; i++) {
		rc = bring_up_table(c, entities[i], &a, err);
		if (rc != 0)
			err_wrap(err, "%s (table %s)", entities[i]->record.name,
			    entities[i]->table);
		arena_clear(&a);
	}
	if (rc == 0)
		rc = conn_exec(c, "COMMIT", err);
	if (rc != 0 && !sqlite3_get_autocommit(c->db))
		(void)conn_exec(c, "ROLLBACK", NULL);
	arena_fini(&a);
	return rc;
}

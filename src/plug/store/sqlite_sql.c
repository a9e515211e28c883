/*
 * plug/store/sqlite_sql.c - plans as SQL.
 *
 * All values are parameters, paths into JSON too, so that one text, and one
 * prepared statement, serves all queries of one shape. What a condition means
 * is said by plan.c; where SQL would see it differently (NULL, '' for null,
 * objects in json_each) the text here says more.
 *
 * A unique key that may be null is indexed as ifnull(column, x''), because
 * SQL holds two NULLs for different; no text or number equals an empty blob.
 * Equality on such a field is asked twice: of this expression, for the key's
 * index, and of the column, for all others.
 */
#include "plug/store/sqlite.h"

#include "base/base.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void
sql_name(struct buf *b, const char *name)
{
	buf_addc(b, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			buf_addc(b, '"');
		buf_addc(b, *name);
	}
	buf_addc(b, '"');
}

const struct field *
sql_field(const struct entity *e, const char *name)
{
	const struct field *f = e->record.fields;

	while (f->name != NULL && strcmp(f->name, name) != 0)
		f++;
	return f;
}

bool
sql_nullable(const struct field *f)
{
	return (f->flags & (FIELD_NULL | FIELD_EMPTY)) == FIELD_NULL;
}

void
sql_key_field(struct buf *b, const struct field *f)
{
	if (!sql_nullable(f)) {
		sql_name(b, f->column);
		return;
	}
	buf_addz(b, "ifnull(");
	sql_name(b, f->column);
	buf_addz(b, ", x'')");
}

static bool
is_in_key(const struct entity *e, const struct field *f)
{
	for (const struct entity_key *k = e->keys; k->name != NULL; k++)
		for (size_t i = 0; k->fields[i] != NULL; i++)
			if (strcmp(k->fields[i], f->name) == 0)
				return true;
	return false;
}

/* --- arguments ----------------------------------------------------------- */

static size_t
new_arg(struct sql *q, struct value v)
{
	if (q->n_args == q->cap_args) {
		q->cap_args = q->cap_args == 0 ? 16 : q->cap_args * 2;
		q->args = mem_resize(q->args, q->cap_args, sizeof(*q->args));
	}
	q->args[q->n_args++] = v;
	return q->base + q->n_args;
}

/* A value as it is in the place's column. */
static struct value
as_column(struct sql *q, const struct place *p, struct value v)
{
	if (v.null && p->top->flags & FIELD_EMPTY && p->path.ptr == NULL)
		return value_text(STR(""));
	if (v.null || v.type != FIELD_TEXTS)
		return v;
	return value_text(texts_encode(p->top, &v.texts, &q->arena));
}

/* Adds an argument and writes "?12". */
static size_t
put_arg(struct sql *q, struct value v)
{
	size_t n = new_arg(q, v);

	buf_addf(&q->text, "?%zu", n);
	return n;
}

static void
bind_value(sqlite3_stmt *st, int i, const struct value *v)
{
	if (v->null) {
		sqlite3_bind_null(st, i);
		return;
	}
	switch (v->type) {
	case FIELD_REAL:
		sqlite3_bind_double(st, i, v->real);
		break;
	case FIELD_INT:
	case FIELD_TIME:
	case FIELD_BOOL:
		sqlite3_bind_int64(st, i, v->num);
		break;
	case FIELD_BLOB:
		sqlite3_bind_blob64(
		    st, i, v->text.ptr, v->text.len, SQLITE_STATIC);
		break;
	default:
		sqlite3_bind_text64(st, i, v->text.ptr, v->text.len,
		    SQLITE_STATIC, SQLITE_UTF8);
	}
}

void
sql_bind(const struct sql *q, sqlite3_stmt *st)
{
	for (size_t i = 0; i < q->n_args; i++)
		bind_value(st, (int)(q->base + i + 1), &q->args[i]);
}

void
sql_fini(struct sql *q)
{
	buf_free(&q->text);
	free(q->args);
	arena_fini(&q->arena);
	*q = (struct sql){ 0 };
}

/* --- places -------------------------------------------------------------- */

/* The column, with NULL where it has '' for null. */
static void
put_column(struct sql *q, const struct field *f)
{
	if (!(f->flags & FIELD_EMPTY)) {
		sql_name(&q->text, f->column);
		return;
	}
	buf_addz(&q->text, "nullif(");
	sql_name(&q->text, f->column);
	buf_addz(&q->text, ", '')");
}

/* The path of SQLite's JSON functions: $."labels"."room" */
static void
put_path(struct sql *q, const struct place *p)
{
	struct buf b = { 0 };
	struct str rest = p->path;

	buf_addc(&b, '$');
	while (rest.ptr != NULL) {
		struct str key = str_cut(&rest, '.');

		buf_addf(&b, ".\"" STR_FMT "\"", STR_ARG(key));
	}
	put_arg(q, value_text(arena_str(&q->arena, buf_str(&b))));
	buf_free(&b);
}

static void
put_json(struct sql *q, const char *function, const struct place *p)
{
	buf_addf(&q->text, "%s(", function);
	put_column(q, p->top);
	buf_addz(&q->text, ", ");
	put_path(q, p);
	buf_addc(&q->text, ')');
}

/* The value at a place, NULL for null. */
static void
put_place(struct sql *q, const struct place *p)
{
	if (p->path.ptr != NULL)
		put_json(q, "json_extract", p);
	else
		put_column(q, p->top);
}

/* The same for ordering and equality, where '' may stand for null since it is
 * before all other text; an index can be used. */
static void
put_plain(struct sql *q, const struct place *p)
{
	if (p->path.ptr != NULL)
		put_json(q, "json_extract", p);
	else
		sql_name(&q->text, p->top->column);
}

static bool
place_nullable(const struct place *p)
{
	return p->path.ptr != NULL || sql_nullable(p->top);
}

/* --- conditions ---------------------------------------------------------- */

static void
put_equal(struct sql *q, const struct plan *p, const struct plan_cond *c)
{
	struct value v = as_column(q, &c->place, c->value);
	size_t n = new_arg(q, v);

	if (c->place.path.ptr == NULL && sql_nullable(c->place.top) &&
	    is_in_key(p->entity, c->place.top)) {
		sql_key_field(&q->text, c->place.top);
		buf_addf(&q->text, " = ifnull(?%zu, x'') AND ", n);
	}
	put_plain(q, &c->place);
	buf_addf(&q->text, "%s?%zu",
	    v.null || place_nullable(&c->place) ? " IS " : " = ", n);
}

static void
put_order_cond(struct sql *q, const struct plan_cond *c)
{
	static const char *const ops[] = {
		[COND_LT] = " < ",
		[COND_LE] = " <= ",
		[COND_GT] = " > ",
		[COND_GE] = " >= ",
	};

	if (c->value.null) {
		buf_addz(&q->text, "0");
		return;
	}
	put_plain(q, &c->place);
	buf_addz(&q->text, ops[c->op]);
	put_arg(q, c->value);
	if (c->place.path.ptr == NULL && c->place.top->flags & FIELD_EMPTY) {
		buf_addz(&q->text, " AND ");
		sql_name(&q->text, c->place.top->column);
		buf_addz(&q->text, " <> ''");
	}
}

/* The list is filled up to a power of two with its last value, so that few
 * texts serve lists of all lengths. */
static void
put_in(struct sql *q, const struct plan *p, const struct plan_cond *c)
{
	bool key = c->place.path.ptr == NULL && sql_nullable(c->place.top) &&
	    is_in_key(p->entity, c->place.top);
	size_t full = 1, n = 0;
	bool null = false;

	if (c->n_list == 0) {
		buf_addz(&q->text, "0");
		return;
	}
	while (full < c->n_list)
		full *= 2;
	buf_addc(&q->text, '(');
	if (key)
		sql_key_field(&q->text, c->place.top);
	else
		put_plain(q, &c->place);
	buf_addz(&q->text, " IN (");
	for (size_t i = 0; i < full; i++) {
		if (i < c->n_list) {
			n = new_arg(q, as_column(q, &c->place, c->list[i]));
			null = null || q->args[q->n_args - 1].null;
		}
		buf_addf(&q->text, key ? "%sifnull(?%zu, x'')" : "%s?%zu",
		    i > 0 ? ", " : "", n);
	}
	buf_addc(&q->text, ')');
	if (null && !key) {
		buf_addz(&q->text, " OR ");
		put_plain(q, &c->place);
		buf_addz(&q->text, " IS NULL");
	}
	buf_addc(&q->text, ')');
}

static void
put_contains(struct sql *q, const struct plan_cond *c)
{
	if (c->value.null) {
		buf_addz(&q->text, "0");
		return;
	}
	if (c->place.path.ptr != NULL) {
		put_json(q, "json_type", &c->place);
		buf_addz(&q->text, " = 'text' AND ");
	}
	buf_addz(&q->text, "instr(lower(");
	put_place(q, &c->place);
	buf_addz(&q->text, "), lower(");
	put_arg(q, c->value);
	buf_addz(&q->text, ")) > 0");
}

static void
put_has_word(struct sql *q, const struct plan_cond *c)
{
	struct str word = c->value.text;

	if (word.len == 0 || memchr(word.ptr, ' ', word.len) != NULL) {
		buf_addz(&q->text, "0");
		return;
	}
	buf_addz(&q->text, "instr(' ' || ");
	sql_name(&q->text, c->place.top->column);
	buf_addz(&q->text, " || ' ', ' ' || ");
	put_arg(q, c->value);
	buf_addz(&q->text, " || ' ') > 0");
}

static void
put_has(struct sql *q, const struct plan_cond *c)
{
	if (c->value.null) {
		buf_addz(&q->text, "0");
		return;
	}
	if (c->place.path.ptr == NULL && c->place.top->flags & FIELD_SPACED) {
		put_has_word(q, c);
		return;
	}
	if (c->place.path.ptr != NULL) {
		put_json(q, "json_type", &c->place);
		buf_addz(&q->text, " = 'array' AND ");
	}
	buf_addz(&q->text, "EXISTS (SELECT 1 FROM ");
	if (c->place.path.ptr != NULL) {
		put_json(q, "json_each", &c->place);
	} else {
		buf_addz(&q->text, "json_each(nullif(");
		sql_name(&q->text, c->place.top->column);
		buf_addz(&q->text, ", ''))");
	}
	buf_addz(&q->text, " WHERE type = 'text' AND value = ");
	put_arg(q, c->value);
	buf_addc(&q->text, ')');
}

static void
put_cond(struct sql *q, const struct plan *p, const struct plan_cond *c)
{
	switch (c->op) {
	case COND_EQ:
		put_equal(q, p, c);
		break;
	case COND_NE:
		put_plain(q, &c->place);
		buf_addz(&q->text, " IS NOT ");
		put_arg(q, as_column(q, &c->place, c->value));
		break;
	case COND_LT:
	case COND_LE:
	case COND_GT:
	case COND_GE:
		put_order_cond(q, c);
		break;
	case COND_IN:
		put_in(q, p, c);
		break;
	case COND_CONTAINS:
		put_contains(q, c);
		break;
	case COND_HAS:
		put_has(q, c);
		break;
	}
}

/* --- pages --------------------------------------------------------------- */

/* Rows that come after the given value, by this order alone. */
static void
put_later(struct sql *q, const struct plan_order *o, struct value v)
{
	if (v.null && o->desc) {
		buf_addz(&q->text, "0"); /* null is the last */
		return;
	}
	buf_addc(&q->text, '(');
	put_plain(q, &o->place);
	if (v.null) {
		buf_addz(&q->text, " IS NOT NULL");
	} else {
		buf_addz(&q->text, o->desc ? " < " : " > ");
		put_arg(q, v);
		if (o->desc && place_nullable(&o->place)) {
			buf_addz(&q->text, " OR ");
			put_plain(q, &o->place);
			buf_addz(&q->text, " IS NULL");
		}
	}
	buf_addc(&q->text, ')');
}

/* Strictly behind the row whose values are `after`: later by the first order,
 * or equal there and later by the next, and so on. */
static void
put_behind(struct sql *q, const struct plan *p)
{
	const struct plan_order *first = &p->order[0];
	struct value v = as_column(q, &first->place, first->after);

	/* says nothing new, but lets an index begin in the right place */
	if (!v.null && !place_nullable(&first->place)) {
		put_plain(q, &first->place);
		buf_addz(&q->text, first->desc ? " <= " : " >= ");
		put_arg(q, v);
		buf_addz(&q->text, " AND ");
	}
	for (size_t i = 0; i < p->n_order; i++) {
		const struct plan_order *o = &p->order[i];

		v = as_column(q, &o->place, o->after);
		if (i + 1 < p->n_order)
			buf_addc(&q->text, '(');
		put_later(q, o, v);
		if (i + 1 < p->n_order) {
			buf_addz(&q->text, " OR ");
			put_plain(q, &o->place);
			buf_addz(&q->text,
			    place_nullable(&o->place) ? " IS " : " = ");
			put_arg(q, v);
			buf_addz(&q->text, " AND ");
		}
	}
	for (size_t i = 1; i < p->n_order; i++)
		buf_addc(&q->text, ')');
}

static void
put_where(struct sql *q, const struct plan *p)
{
	const char *word = " WHERE ";

	for (size_t i = 0; i < p->n_cond; i++) {
		buf_addz(&q->text, word);
		put_cond(q, p, &p->cond[i]);
		word = " AND ";
	}
	if (p->behind) {
		buf_addz(&q->text, word);
		put_behind(q, p);
	}
}

static void
put_order(struct sql *q, const struct plan *p)
{
	for (size_t i = 0; i < p->n_order; i++) {
		buf_addz(&q->text, i == 0 ? " ORDER BY " : ", ");
		put_plain(q, &p->order[i].place);
		if (p->order[i].desc)
			buf_addz(&q->text, " DESC");
	}
}

static void
put_limit(struct sql *q, const struct plan *p)
{
	if (p->limit == 0 && p->offset == 0)
		return;
	buf_addz(&q->text, " LIMIT ");
	put_arg(q,
	    value_int(p->limit == 0
		    ? -1
		    : (int64_t)MIN_OF(p->limit, (uint64_t)INT64_MAX)));
	if (p->offset == 0)
		return;
	buf_addz(&q->text, " OFFSET ");
	put_arg(q, value_int((int64_t)MIN_OF(p->offset, (uint64_t)INT64_MAX)));
}

/* --- statements ---------------------------------------------------------- */

static void
put_columns(struct buf *b, const struct entity *e)
{
	const char *comma = "";

	for (const struct field *f = e->record.fields; f->name != NULL; f++) {
		buf_addz(b, comma);
		sql_name(b, f->column);
		comma = ", ";
	}
}

void
sql_select(struct sql *q, const struct plan *p)
{
	buf_addz(&q->text, "SELECT ");
	put_columns(&q->text, p->entity);
	buf_addz(&q->text, " FROM ");
	sql_name(&q->text, p->entity->table);
	put_where(q, p);
	put_order(q, p);
	put_limit(q, p);
}

void
sql_count(struct sql *q, const struct plan *p)
{
	buf_addz(&q->text, "SELECT count(*) FROM ");
	sql_name(&q->text, p->entity->table);
	put_where(q, p);
}

void
sql_delete(struct sql *q, const struct plan *p)
{
	buf_addz(&q->text, "DELETE FROM ");
	sql_name(&q->text, p->entity->table);
	put_where(q, p);
}

void
sql_update(struct sql *q, const struct plan *p, uint64_t which)
{
	const struct field *fields = p->entity->record.fields;

	buf_addz(&q->text, "UPDATE ");
	sql_name(&q->text, p->entity->table);
	for (size_t i = 0; fields[i].name != NULL; i++) {
		if (!(which >> i & 1))
			continue;
		buf_addz(&q->text, q->base == 0 ? " SET " : ", ");
		sql_name(&q->text, fields[i].column);
		buf_addf(&q->text, " = ?%zu", ++q->base);
	}
	put_where(q, p);
}

void
sql_insert(struct sql *q, const struct entity *e, bool skip)
{
	buf_addz(&q->text, "INSERT INTO ");
	sql_name(&q->text, e->table);
	buf_addz(&q->text, " (");
	put_columns(&q->text, e);
	buf_addz(&q->text, ") VALUES (");
	for (size_t i = 0; e->record.fields[i].name != NULL; i++)
		buf_addf(&q->text, "%s?%zu", i > 0 ? ", " : "", i + 1);
	buf_addc(&q->text, ')');
	if (skip)
		buf_addz(&q->text, " ON CONFLICT DO NOTHING");
}

void
sql_upsert(struct sql *q, const struct entity *e)
{
	const struct entity_key *k = &e->keys[0];
	const char *word = " DO UPDATE SET ";

	sql_insert(q, e, false);
	buf_addz(&q->text, " ON CONFLICT (");
	for (size_t i = 0; k->fields[i] != NULL; i++) {
		if (i > 0)
			buf_addz(&q->text, ", ");
		sql_key_field(&q->text, sql_field(e, k->fields[i]));
	}
	buf_addc(&q->text, ')');
	for (const struct field *f = e->record.fields; f->name != NULL; f++) {
		buf_addz(&q->text, word);
		sql_name(&q->text, f->column);
		buf_addz(&q->text, " = excluded.");
		sql_name(&q->text, f->column);
		word = ", ";
	}
}

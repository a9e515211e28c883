/*
 * plug/store/sqlite_row.c - rows as columns.
 *
 * Text and bytes are lent in both directions; only lists and records, which
 * are JSON text in SQL, are written or read piece by piece.
 */
#include "plug/store/sqlite.h"

#include "codec/entity_json.h"

#include <math.h>
#include <string.h>

/* --- out ----------------------------------------------------------------- */

struct str
texts_encode(const struct field *f, const struct strs *list, struct arena *a)
{
	struct buf b = { 0 };
	struct str s;

	if (f->flags & FIELD_SPACED) {
		for (size_t i = 0; i < list->n; i++) {
			if (i > 0)
				buf_addc(&b, ' ');
			buf_add_str(&b, list->at[i]);
		}
	} else {
		field_encode(&b, f, list);
	}
	s = b.len == 0 ? STR("") : arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

static struct str
encode(const struct field *f, const void *at, struct arena *a)
{
	struct buf b = { 0 };
	struct str s;

	field_encode(&b, f, at);
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

static void
bind_text(sqlite3_stmt *st, int i, struct str s)
{
	sqlite3_bind_text64(st, i, s.ptr, s.len, SQLITE_STATIC, SQLITE_UTF8);
}

static void
bind_field(sqlite3_stmt *st, int i, const struct field *f, const void *at,
    struct arena *a)
{
	struct str s;

	switch (f->type) {
	case FIELD_TEXT:
	case FIELD_JSON:
		s = *(const struct str *)at;
		if (s.ptr == NULL && f->flags & FIELD_EMPTY)
			s = STR("");
		bind_text(st, i, s);
		break;
	case FIELD_BLOB:
		s = *(const struct str *)at;
		sqlite3_bind_blob64(st, i, s.ptr, s.len, SQLITE_STATIC);
		break;
	case FIELD_INT:
	case FIELD_TIME:
		if (*(const int64_t *)at == FIELD_INT_NULL)
			sqlite3_bind_null(st, i);
		else
			sqlite3_bind_int64(st, i, *(const int64_t *)at);
		break;
	case FIELD_REAL: /* NaN is NULL for SQLite too */
		sqlite3_bind_double(st, i, *(const double *)at);
		break;
	case FIELD_BOOL:
		sqlite3_bind_int(st, i, *(const bool *)at);
		break;
	case FIELD_TEXTS:
		bind_text(st, i, texts_encode(f, at, a));
		break;
	case FIELD_RECORD:
	case FIELD_RECORDS:
		bind_text(st, i, encode(f, at, a));
		break;
	}
}

void
row_bind(sqlite3_stmt *st, const struct entity *e, uint64_t which,
    const void *row, struct arena *a)
{
	int n = 0;

	for (size_t i = 0; e->record.fields[i].name != NULL; i++) {
		const struct field *f = &e->record.fields[i];

		if (which >> i & 1)
			bind_field(
			    st, ++n, f, (const char *)row + f->offset, a);
	}
}

/* --- in ------------------------------------------------------------------ */

static struct str
column_text(sqlite3_stmt *st, int i, bool blob)
{
	const void *p;

	if (sqlite3_column_type(st, i) == SQLITE_NULL)
		return STR_NULL;
	p = blob ? sqlite3_column_blob(st, i)
		 : (const void *)sqlite3_column_text(st, i);
	if (p == NULL) /* bytes of length 0 */
		return STR("");
	return (struct str){ p, (size_t)sqlite3_column_bytes(st, i) };
}

static struct strs
split_words(struct str text, struct arena *a)
{
	struct strs list = { 0 };
	size_t max = 1;

	for (size_t i = 0; i < text.len; i++)
		max += text.ptr[i] == ' ';
	list.at = arena_array(a, max, struct str);
	while (text.ptr != NULL) {
		struct str word = str_cut(&text, ' ');

		if (word.len > 0)
			list.at[list.n++] = word;
	}
	return list;
}

/* A list or a record; nothing, or '', is an empty one. */
static int
read_structure(struct str text, const struct field *f, void *at,
    struct arena *a, struct err *err)
{
	if (f->type == FIELD_TEXTS && f->flags & FIELD_SPACED) {
		*(struct strs *)at = split_words(text, a);
		return 0;
	}
	if (text.len == 0)
		text = STR("null");
	return field_decode(text, f, a, at, err);
}

static int
read_json(
    struct str text, const struct field *f, struct str *ret, struct err *err)
{
	if (text.len == 0) /* '' or NULL */
		text = STR_NULL;
	else if (!json_valid(text, 0))
		return err_set(err, ERR_IO, "%s: not JSON", f->name);
	*ret = text;
	return 0;
}

static int
read_field(sqlite3_stmt *st, int i, const struct field *f, void *at,
    struct arena *a, struct err *err)
{
	bool null = sqlite3_column_type(st, i) == SQLITE_NULL;
	struct str s;

	switch (f->type) {
	case FIELD_TEXT:
		s = column_text(st, i, false);
		if (f->flags & FIELD_EMPTY && s.len == 0)
			s = STR_NULL;
		*(struct str *)at = s;
		return 0;
	case FIELD_BLOB:
		*(struct str *)at = column_text(st, i, true);
		return 0;
	case FIELD_JSON:
		return read_json(column_text(st, i, false), f, at, err);
	case FIELD_INT:
	case FIELD_TIME:
		*(int64_t *)at =
		    null ? FIELD_INT_NULL : sqlite3_column_int64(st, i);
		return 0;
	case FIELD_REAL:
		*(double *)at = null ? NAN : sqlite3_column_double(st, i);
		return 0;
	case FIELD_BOOL:
		*(bool *)at = sqlite3_column_int64(st, i) != 0;
		return 0;
	default:
		return read_structure(column_text(st, i, false), f, at, a, err);
	}
}

int
row_read(sqlite3_stmt *st, const struct entity *e, void *row, struct arena *a,
    struct err *err)
{
	for (int i = 0; e->record.fields[i].name != NULL; i++) {
		const struct field *f = &e->record.fields[i];
		int rc;

		rc = read_field(st, i, f, (char *)row + f->offset, a, err);
		if (rc != 0)
			return err_wrap(err, "table %s", e->table);
	}
	return 0;
}

/*
 * codec/entity_json.c - see entity_json.h: rows from and to JSON and CSV.
 *
 * One reader serves two forms. The public form comes from people: it is
 * folded, trimmed and checked. The store's form was written by us: its times
 * are milliseconds, and it is taken as it is, since a check that became
 * stricter must not make old rows unreadable.
 */
#include "codec/entity_json.h"

#include "base/base.h"
#include "base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX 10000 /* items in a list, unless the field says less */

/* Where in the JSON a value stands, for the sentence of an error. */
struct where {
	const struct where *up;
	const char *name; /* NULL: an item of a list */
	size_t index;
};

struct reader {
	struct json *j;
	bool store; /* the store's form */
};

static int read_record(struct reader *rd, const struct record *r,
    field_set_t allowed, field_set_t nulls, void *row, field_set_t *present,
    const struct where *where, struct err *err);

/* --- sets of fields ------------------------------------------------------ */

static size_t
field_index(const struct record *r, struct str name)
{
	size_t i = 0;

	while (r->fields[i].name != NULL && !str_eqz(name, r->fields[i].name))
		i++;
	return i;
}

static field_set_t
bit_of(const struct record *r, struct str name)
{
	size_t i = field_index(r, name);

	if (r->fields[i].name == NULL || i >= 64) {
		fprintf(stderr, "%s has no field " STR_FMT "\n", r->name,
		    STR_ARG(name));
		abort();
	}
	return (field_set_t)1 << i;
}

field_set_t
field_bit(const struct record *r, const char *name)
{
	return bit_of(r, str_of(name));
}

field_set_t
field_bits(const struct record *r, const char *names, field_set_t *required)
{
	struct str rest = str_of(names);
	field_set_t all = 0;

	if (required != NULL)
		*required = 0;
	while (rest.ptr != NULL) {
		struct str name = str_cut(&rest, ' ');
		bool must = str_ends(name, STR("!"));
		field_set_t bit;

		if (must)
			name.len--;
		if (name.len == 0)
			continue;
		bit = bit_of(r, name);
		all |= bit;
		if (must && required != NULL)
			*required |= bit;
	}
	return all;
}

static field_set_t
nullable_fields(const struct record *r)
{
	field_set_t set = 0;

	for (size_t i = 0; r->fields[i].name != NULL; i++)
		if (r->fields[i].flags & FIELD_NULL)
			set |= (field_set_t)1 << i;
	return set;
}

/* --- errors -------------------------------------------------------------- */

static void
add_where(struct buf *b, const struct where *w)
{
	if (w == NULL)
		return;
	add_where(b, w->up);
	if (w->name == NULL)
		buf_addf(b, "[%zu]", w->index);
	else
		buf_addf(b, "%s%s", b->len > 0 ? "." : "", w->name);
}

static int
refuse(const struct where *w, const char *why, struct err *err)
{
	struct buf path = { 0 };

	add_where(&path, w);
	if (path.len == 0)
		err_set(err, ERR_PARAM, "%s", why);
	else
		err_set(err, ERR_PARAM, "%s: %s", buf_z(&path), why);
	buf_free(&path);
	return ERR_PARAM;
}

/* What the JSON reader did not like about the value at `w`. */
static int
refuse_json(struct json *j, const struct where *w, struct err *err)
{
	if (w == NULL)
		return json_done(j, err);
	return refuse(w, j->why, err);
}

/* --- checks of single values --------------------------------------------- */

static int
check_size(const struct field *f, size_t len, const char *unit, struct err *why)
{
	if (f->min == 0 && f->max == 0)
		return 0;
	if (len == 0 && f->min > 0)
		return err_set(why, ERR_PARAM, "must not be empty");
	if (f->min > 0 && len < (uint64_t)f->min)
		return err_set(why, ERR_PARAM,
		    "must have at least %" PRId64 " %s", f->min, unit);
	if (f->max > 0 && len > (uint64_t)f->max)
		return err_set(why, ERR_PARAM,
		    "must have at most %" PRId64 " %s", f->max, unit);
	return 0;
}

static int
check_range(const struct field *f, double d, struct err *why)
{
	if (f->min == 0 && f->max == 0)
		return 0;
	if (d < (double)f->min || d > (double)f->max)
		return err_set(why, ERR_PARAM,
		    "must be %" PRId64 " to %" PRId64, f->min, f->max);
	return 0;
}

static int
check_int(const struct field *f, int64_t n, struct err *why)
{
	if (n == FIELD_INT_NULL)
		return err_set(why, ERR_PARAM, "is too small");
	if ((f->min != 0 || f->max != 0) && (n < f->min || n > f->max))
		return err_set(why, ERR_PARAM,
		    "must be %" PRId64 " to %" PRId64, f->min, f->max);
	return 0;
}

/* Trims, folds and checks one text: a TEXT, or an item of TEXTS, whose `min`
 * and `max` count items. */
static int
take_text(
    const struct field *f, struct arena *a, struct str *text, struct err *why)
{
	if (f->flags & FIELD_TRIM)
		*text = str_trim(*text);
	if (f->flags & FIELD_LOWER)
		*text = arena_lower(a, *text);
	if (!str_is_utf8(*text))
		return err_set(why, ERR_PARAM, "must be UTF-8");
	if (memchr(text->ptr, '\0', text->len) != NULL)
		return err_set(
		    why, ERR_PARAM, "must not contain a NUL character");
	if (f->type == FIELD_TEXT &&
	    check_size(f, text->len, "bytes", why) != 0)
		return ERR_PARAM;
	if (field_choose(f, *text, why) != 0)
		return ERR_PARAM;
	return f->check == NULL ? 0 : f->check(*text, why);
}

static bool
has_empty_key(struct str text)
{
	struct arena scratch = { 0 };
	bool found = false;
	struct str key;
	struct json j;

	json_open(&j, text, 0, &scratch);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			found = found || key.len == 0;
			json_skip(&j);
		}
	arena_fini(&scratch);
	return found;
}

static int
take_json(const struct field *f, struct str text, struct err *why)
{
	if (f->flags & FIELD_OBJECT) {
		if (!str_starts(text, STR("{")))
			return err_set(why, ERR_PARAM, "must be an object");
		if (has_empty_key(text))
			return err_set(
			    why, ERR_PARAM, "must not have an empty key");
	}
	if (check_size(f, text.len, "bytes", why) != 0)
		return ERR_PARAM;
	return f->check == NULL ? 0 : f->check(text, why);
}

/* --- reading ------------------------------------------------------------- */

static struct str
compact(struct arena *a, struct str text, unsigned flags)
{
	struct buf b = { 0 };
	struct str s = STR_NULL;

	if (json_compact(&b, text, flags))
		s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

static bool
from_base64(struct arena *a, struct str text, struct str *ret)
{
	struct buf b = { 0 };
	bool ok = base64_decode(&b, text);

	if (ok)
		*ret = b.len == 0 ? STR("") : arena_str(a, buf_str(&b));
	buf_free(&b);
	return ok;
}

static int
by_bytes(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void
sort_uniq(struct strs *list)
{
	size_t n = 0;

	if (list->n == 0)
		return;
	qsort(list->at, list->n, sizeof(*list->at), by_bytes);
	for (size_t i = 1; i < list->n; i++)
		if (!str_eq(list->at[i], list->at[n]))
			list->at[++n] = list->at[i];
	list->n = n + 1;
}

static int
take_texts(const struct field *f, struct strs *list, struct err *why)
{
	if (f->flags & FIELD_UNIQ)
		sort_uniq(list);
	return check_size(f, list->n, "items", why);
}

/* A list that grows while its JSON is read; what was outgrown stays in the
 * arena, at most as much again. */
static void *
list_slot(struct arena *a, struct rows *list, size_t *cap, size_t size)
{
	if (list->n == *cap) {
		size_t more = *cap == 0 ? 4 : *cap * 2;
		void *grown = arena_alloc(a, more * size);

		if (list->n > 0)
			memcpy(grown, list->at, list->n * size);
		list->at = grown;
		*cap = more;
	}
	return (char *)list->at + list->n++ * size;
}

static int
read_texts(struct reader *rd, const struct field *f, struct strs *ret,
    const struct where *where, struct err *err)
{
	struct json *j = rd->j;
	struct rows list = { 0 };
	struct err why;
	size_t cap = 0;

	if (!json_array(j))
		return refuse_json(j, where, err);
	while (json_item(j)) {
		struct where here = { where, NULL, list.n };
		struct str text;

		if (!json_str(j, &text))
			return refuse_json(j, &here, err);
		if (!rd->store && take_text(f, j->arena, &text, &why) != 0)
			return refuse(&here, why.text, err);
		*(struct str *)list_slot(j->arena, &list, &cap, sizeof(text)) =
		    text;
	}
	if (!json_ok(j))
		return refuse_json(j, where, err);
	*ret = (struct strs){ list.at, list.n };
	if (!rd->store && take_texts(f, ret, &why) != 0)
		return refuse(where, why.text, err);
	return 0;
}

/* A field without which a record makes no sense: it has no default, and the
 * empty value is not acceptable. */
static bool
must_be_named(const struct field *f)
{
	if (f->flags & FIELD_NULL || f->def != NULL)
		return false;
	if (f->type == FIELD_TEXT)
		return f->min > 0 || field_choose(f, STR(""), NULL) != 0 ||
		    (f->check != NULL && f->check(STR(""), NULL) != 0);
	if (f->type == FIELD_INT || f->type == FIELD_REAL)
		return f->min > 0 || f->max < 0;
	return false;
}

/* A record inside another is whole: what it does not name has its default. */
static int
read_nested(struct reader *rd, const struct record *r, void *row,
    const struct where *where, struct err *err)
{
	field_set_t present = 0;
	int rc;

	memset(row, 0, r->size);
	record_init(r, row);
	rc = read_record(
	    rd, r, FIELD_ALL, nullable_fields(r), row, &present, where, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; !rd->store && r->fields[i].name != NULL; i++) {
		struct where here = { where, r->fields[i].name, 0 };

		if (!(present >> i & 1) && must_be_named(&r->fields[i]))
			return refuse(&here, "is missing", err);
	}
	return record_defaults(r, rd->j->arena, present, row, err);
}

static int
read_records(struct reader *rd, const struct field *f, struct rows *ret,
    const struct where *where, struct err *err)
{
	size_t cap = 0, max = f->max > 0 ? (size_t)f->max : RECORDS_MAX;
	struct json *j = rd->j;
	struct rows list = { 0 };
	struct err why;
	int rc;

	if (!json_array(j))
		return refuse_json(j, where, err);
	while (json_item(j)) {
		struct where here = { where, NULL, list.n };
		void *row;

		if (!rd->store && list.n == max) {
			err_set(&why, ERR_PARAM, "must have at most %zu items",
			    max);
			return refuse(where, why.text, err);
		}
		row = list_slot(j->arena, &list, &cap, f->record->size);
		rc = read_nested(rd, f->record, row, &here, err);
		if (rc != 0)
			return rc;
	}
	if (!json_ok(j))
		return refuse_json(j, where, err);
	if (!rd->store && check_size(f, list.n, "items", &why) != 0)
		return refuse(where, why.text, err);
	*ret = list;
	return 0;
}

static int
read_text(struct reader *rd, const struct field *f, struct str *ret,
    const struct where *where, struct err *err)
{
	struct json *j = rd->j;
	struct err why;
	struct str s;
	int rc = 0;

	if (f->type == FIELD_JSON ? !json_raw(j, &s) : !json_str(j, &s))
		return refuse_json(j, where, err);

	if (f->type == FIELD_JSON) {
		s = compact(j->arena, s, j->flags);
		if (s.ptr == NULL)
			return refuse(where, "not a JSON value", err);
		if (!rd->store)
			rc = take_json(f, s, &why);
	} else if (f->type == FIELD_BLOB) {
		if (!from_base64(j->arena, s, &s))
			return refuse(where, "must be base64", err);
		if (!rd->store)
			rc = check_size(f, s.len, "bytes", &why);
	} else if (!rd->store) {
		rc = take_text(f, j->arena, &s, &why);
	}
	if (rc != 0)
		return refuse(where, why.text, err);
	*ret = s;
	return 0;
}

static int
read_time(
    struct reader *rd, int64_t *ret, const struct where *where, struct err *err)
{
	struct json *j = rd->j;
	struct str s;

	if (rd->store && json_peek(j) == JSON_NUMBER)
		return json_i64(j, ret) ? 0 : refuse_json(j, where, err);
	if (!json_str(j, &s))
		return refuse_json(j, where, err);
	if (!time_parse(s, ret))
		return refuse(where, "must be a time (RFC 3339)", err);
	return 0;
}

static int
read_number(struct reader *rd, const struct field *f, void *at,
    const struct where *where, struct err *err)
{
	struct json *j = rd->j;
	struct err why;
	int rc = 0;

	if (f->type == FIELD_INT) {
		int64_t n;

		if (!json_i64(j, &n))
			return refuse_json(j, where, err);
		if (!rd->store)
			rc = check_int(f, n, &why);
		if (rc == 0)
			*(int64_t *)at = n;
	} else {
		double d;

		if (!json_real(j, &d))
			return refuse_json(j, where, err);
		if (!isfinite(d))
			return refuse(where, "is too large", err);
		if (!rd->store)
			rc = check_range(f, d, &why);
		if (rc == 0)
			*(double *)at = d;
	}
	return rc == 0 ? 0 : refuse(where, why.text, err);
}

/* Reads the value that stands next, which is not null. */
static int
read_field(struct reader *rd, const struct field *f, void *at,
    const struct where *where, struct err *err)
{
	switch (f->type) {
	case FIELD_TEXT:
	case FIELD_BLOB:
	case FIELD_JSON:
		return read_text(rd, f, at, where, err);
	case FIELD_INT:
	case FIELD_REAL:
		return read_number(rd, f, at, where, err);
	case FIELD_TIME:
		return read_time(rd, at, where, err);
	case FIELD_BOOL:
		return json_bool(rd->j, at) ? 0
					    : refuse_json(rd->j, where, err);
	case FIELD_TEXTS:
		return read_texts(rd, f, at, where, err);
	case FIELD_RECORD:
		return read_nested(rd, f->record, at, where, err);
	case FIELD_RECORDS:
		return read_records(rd, f, at, where, err);
	}
	return err_set(err, ERR_INTERNAL, "%s: unknown type", f->name);
}

/* What stands for null: for types that have none, their empty value. */
static int
clear_field(const struct field *f, struct arena *a, void *at, struct err *err)
{
	static const struct value null = { .null = true };

	switch (f->type) {
	case FIELD_RECORD:
		memset(at, 0, f->record->size);
		record_init(f->record, at);
		return record_defaults(f->record, a, 0, at, err);
	case FIELD_RECORDS:
		*(struct rows *)at = (struct rows){ 0 };
		return 0;
	default:
		field_set(f, at, &null);
		return 0;
	}
}

static int
read_record(struct reader *rd, const struct record *r, field_set_t allowed,
    field_set_t nulls, void *row, field_set_t *present,
    const struct where *where, struct err *err)
{
	struct json *j = rd->j;
	struct str key;
	int rc;

	if (!json_object(j))
		return refuse_json(j, where, err);
	while (json_member(j, &key)) {
		size_t i = field_index(r, key);
		const struct field *f = &r->fields[i];
		struct where here = { where, f->name, 0 };
		void *at = (char *)row + f->offset;

		if (f->name == NULL || !(allowed >> i & 1)) {
			json_skip(j);
			continue;
		}
		if (json_peek(j) == JSON_NULL) {
			if (!json_null(j) || !(nulls >> i & 1))
				continue;
			rc = clear_field(f, j->arena, at, err);
		} else {
			rc = read_field(rd, f, at, &here, err);
		}
		if (rc != 0)
			return rc;
		*present |= (field_set_t)1 << i;
	}
	return json_ok(j) ? 0 : refuse_json(j, where, err);
}

int
record_from_json(struct json *j, const struct record *r, field_set_t allowed,
    field_set_t nulls, void *row, field_set_t *present, struct err *err)
{
	struct reader rd = { .j = j };
	field_set_t seen = 0;
	int rc;

	assert(j->arena != NULL);
	rc = read_record(&rd, r, allowed, nulls, row, &seen, NULL, err);
	if (present != NULL)
		*present = seen;
	return rc;
}

/* The value of a field that nobody named. */
static int
default_field(const struct field *f, struct arena *a, void *at, struct err *err)
{
	struct where here = { NULL, f->name, 0 };
	struct reader rd = { 0 };
	struct json j;
	int rc;

	if (f->def != NULL) {
		rd.j = &j;
		json_open(&j, str_of(f->def), JSON_5, a);
		if (json_peek(&j) == JSON_NULL)
			return clear_field(f, a, at, err);
		rc = read_field(&rd, f, at, &here, err);
		if (rc == 0)
			rc = json_done(&j, err);
		return rc == 0 ? 0 : err_wrap(err, "default of %s", f->name);
	}
	if (f->type == FIELD_RECORD)
		return record_defaults(f->record, a, 0, at, err);
	if (f->flags & FIELD_NULL)
		return 0;
	if (f->type == FIELD_TEXT || f->type == FIELD_BLOB)
		*(struct str *)at = STR("");
	else if (f->type == FIELD_JSON)
		*(struct str *)at = STR("{}");
	else if (f->type == FIELD_INT || f->type == FIELD_TIME)
		*(int64_t *)at = 0;
	else if (f->type == FIELD_REAL)
		*(double *)at = 0;
	return 0;
}

int
record_defaults(const struct record *r, struct arena *a, field_set_t present,
    void *row, struct err *err)
{
	for (size_t i = 0; r->fields[i].name != NULL; i++) {
		const struct field *f = &r->fields[i];
		int rc;

		if (present >> i & 1)
			continue;
		rc = default_field(f, a, (char *)row + f->offset, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* --- text to value ------------------------------------------------------- */

/* A list, a record or free JSON that came as text. */
static int
structure_from_text(const struct field *f, struct arena *a, struct str text,
    struct value *ret, struct err *err)
{
	size_t size =
	    f->type == FIELD_RECORD ? f->record->size : sizeof(struct rows);
	struct where here = { NULL, f->name, 0 };
	struct json j;
	struct reader rd = { .j = &j };
	struct err why;
	void *at = arena_alloc(a, MAX_OF(size, sizeof(struct strs)));
	int rc;

	json_open(&j, text, 0, a);
	rc = read_field(&rd, f, at, &here, err);
	if (rc != 0)
		return rc;
	if (json_done(&j, &why) != 0)
		return refuse(&here, why.text, err);
	if (f->type == FIELD_TEXTS)
		*ret = value_texts(*(struct strs *)at);
	else if (f->type == FIELD_JSON)
		*ret = value_json(*(struct str *)at);
	else
		*ret = value_json(compact(a, text, 0));
	return 0;
}

/* Words between spaces. */
static int
texts_from_words(const struct field *f, struct arena *a, struct str text,
    struct value *ret, struct err *why)
{
	struct rows list = { 0 };
	struct strs words;
	size_t cap = 0;

	while (text.ptr != NULL) {
		struct str word = str_cut(&text, ' ');

		if (word.len == 0)
			continue;
		if (take_text(f, a, &word, why) != 0)
			return ERR_PARAM;
		*(struct str *)list_slot(a, &list, &cap, sizeof(word)) = word;
	}
	words = (struct strs){ list.at, list.n };
	if (take_texts(f, &words, why) != 0)
		return ERR_PARAM;
	*ret = value_texts(words);
	return 0;
}

static int
bool_from_text(struct str text, struct value *ret, struct err *why)
{
	if (str_eqz(text, "true") || str_eqz(text, "1"))
		*ret = value_bool(true);
	else if (str_eqz(text, "false") || str_eqz(text, "0"))
		*ret = value_bool(false);
	else
		return err_set(why, ERR_PARAM, "must be true or false");
	return 0;
}

static int
number_from_text(
    const struct field *f, struct str text, struct value *ret, struct err *why)
{
	struct json j;
	int64_t n;
	double d;

	if (f->type == FIELD_INT) {
		if (!str_to_i64(text, &n))
			return err_set(
			    why, ERR_PARAM, "must be a whole number");
		*ret = value_int(n);
		return check_int(f, n, why);
	}
	json_open(&j, text, 0, NULL);
	if (!json_real(&j, &d) || json_done(&j, NULL) != 0 || !isfinite(d))
		return err_set(why, ERR_PARAM, "must be a number");
	*ret = value_real(d);
	return check_range(f, d, why);
}

static int
scalar_from_text(const struct field *f, struct arena *a, struct str text,
    struct value *ret, struct err *why)
{
	int64_t ms;
	int rc;

	switch (f->type) {
	case FIELD_TEXT:
		rc = take_text(f, a, &text, why);
		*ret = value_text(text);
		return rc;
	case FIELD_BLOB:
		if (!from_base64(a, text, &text))
			return err_set(why, ERR_PARAM, "must be base64");
		*ret = value_text(text);
		ret->type = FIELD_BLOB;
		return check_size(f, text.len, "bytes", why);
	case FIELD_INT:
	case FIELD_REAL:
		return number_from_text(f, text, ret, why);
	case FIELD_BOOL:
		return bool_from_text(text, ret, why);
	case FIELD_TIME:
		if (!time_parse(text, &ms))
			return err_set(
			    why, ERR_PARAM, "must be a time (RFC 3339)");
		*ret = value_time(ms);
		return 0;
	default:
		return texts_from_words(f, a, text, ret, why);
	}
}

int
field_from_text(const struct field *f, struct arena *a, struct str text,
    struct value *ret, struct err *err)
{
	struct where here = { NULL, f->name, 0 };
	bool nothing = text.ptr == NULL ||
	    (text.len == 0 && f->type != FIELD_TEXT && f->type != FIELD_BLOB);
	struct value v = { .type = f->type, .null = true };
	struct err why;

	if (nothing && f->flags & FIELD_NULL) {
		*ret = v;
		return 0;
	}
	if (text.ptr == NULL)
		return refuse(&here, "must not be null", err);
	if (f->type == FIELD_JSON || f->type == FIELD_RECORD ||
	    f->type == FIELD_RECORDS ||
	    (f->type == FIELD_TEXTS && str_starts(text, STR("["))))
		return structure_from_text(f, a, text, ret, err);
	if (scalar_from_text(f, a, text, &v, &why) != 0)
		return refuse(&here, why.text, err);
	*ret = v;
	return 0;
}

/* --- writing ------------------------------------------------------------- */

static void write_members(struct json_out *o, const struct record *r,
    field_set_t which, const void *row, bool store);

static void
write_records(struct json_out *o, const struct record *r,
    const struct rows *list, bool store)
{
	json_out_array(o);
	for (size_t i = 0; i < list->n; i++) {
		json_out_object(o);
		write_members(o, r, FIELD_ALL,
		    (const char *)list->at + i * r->size, store);
		json_out_end_object(o);
	}
	json_out_end_array(o);
}

static void
write_texts(struct json_out *o, const struct strs *list)
{
	json_out_array(o);
	for (size_t i = 0; i < list->n; i++)
		json_out_str(o, list->at[i]);
	json_out_end_array(o);
}

static void
write_blob(struct json_out *o, struct str bytes)
{
	struct buf b = { 0 };

	if (bytes.ptr == NULL) {
		json_out_null(o);
		return;
	}
	base64_encode(&b, bytes.ptr, bytes.len, false);
	json_out_str(o, b.len == 0 ? STR("") : buf_str(&b));
	buf_free(&b);
}

static void
write_field(
    struct json_out *o, const struct field *f, const void *at, bool store)
{
	int64_t n;

	switch (f->type) {
	case FIELD_TEXT:
		json_out_str(o, *(const struct str *)at);
		break;
	case FIELD_BLOB:
		write_blob(o, *(const struct str *)at);
		break;
	case FIELD_JSON:
		json_out_raw(o, *(const struct str *)at);
		break;
	case FIELD_INT:
	case FIELD_TIME:
		n = *(const int64_t *)at;
		if (n == FIELD_INT_NULL)
			json_out_null(o);
		else if (f->type == FIELD_TIME && !store)
			json_out_time(o, n);
		else
			json_out_int(o, n);
		break;
	case FIELD_REAL:
		json_out_real(o, *(const double *)at);
		break;
	case FIELD_BOOL:
		json_out_bool(o, *(const bool *)at);
		break;
	case FIELD_TEXTS:
		write_texts(o, at);
		break;
	case FIELD_RECORD:
		json_out_object(o);
		write_members(o, f->record, FIELD_ALL, at, store);
		json_out_end_object(o);
		break;
	case FIELD_RECORDS:
		write_records(o, f->record, at, store);
		break;
	}
}

static bool
is_null(const struct field *f, const void *at)
{
	struct value v;

	if (f->type == FIELD_RECORD || f->type == FIELD_RECORDS)
		return false;
	v = field_get(f, at);
	return v.null;
}

static void
write_members(struct json_out *o, const struct record *r, field_set_t which,
    const void *row, bool store)
{
	for (size_t i = 0; r->fields[i].name != NULL; i++) {
		const struct field *f = &r->fields[i];
		const void *at = (const char *)row + f->offset;

		if (!(which >> i & 1))
			continue;
		if (f->flags & FIELD_ABSENT && !store && is_null(f, at))
			continue;
		json_out_key(o, f->name);
		write_field(o, f, at, store);
	}
}

void
record_members_to_json(struct json_out *o, const struct record *r,
    field_set_t which, const void *row)
{
	write_members(o, r, which, row, false);
}

void
record_to_json(struct json_out *o, const struct record *r, field_set_t which,
    const void *row)
{
	json_out_object(o);
	write_members(o, r, which, row, false);
	json_out_end_object(o);
}

void
field_to_json(struct json_out *o, const struct field *f, const void *at)
{
	write_field(o, f, at, false);
}

/* --- the store's form ---------------------------------------------------- */

void
record_encode(struct buf *out, const struct record *r, const void *row)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	write_members(&o, r, FIELD_ALL, row, true);
	json_out_end_object(&o);
}

int
record_decode(struct str text, const struct record *r, struct arena *a,
    void *row, struct err *err)
{
	struct json j;
	struct reader rd = { .j = &j, .store = true };
	int rc;

	json_open(&j, text, 0, a);
	rc = read_nested(&rd, r, row, NULL, err);
	return rc == 0 ? json_done(&j, err) : rc;
}

void
field_encode(struct buf *out, const struct field *f, const void *at)
{
	struct json_out o;

	json_out_init(&o, out, false);
	write_field(&o, f, at, true);
}

int
field_decode(struct str text, const struct field *f, struct arena *a, void *at,
    struct err *err)
{
	struct where here = { NULL, f->name, 0 };
	struct json j;
	struct reader rd = { .j = &j, .store = true };
	struct err why;
	int rc;

	json_open(&j, text, 0, a);
	if (json_peek(&j) == JSON_NULL && f->type != FIELD_JSON)
		return clear_field(f, a, at, err);
	rc = read_field(&rd, f, at, &here, err);
	if (rc != 0)
		return rc;
	if (json_done(&j, &why) != 0)
		return refuse(&here, why.text, err);
	return 0;
}

/* --- CSV ----------------------------------------------------------------- */

void
csv_cell(struct buf *out, struct str text)
{
	bool plain = true;

	for (size_t i = 0; i < text.len && plain; i++)
		plain = memchr(",\"\r\n", text.ptr[i], 4) == NULL;
	if (plain) {
		buf_add_str(out, text);
		return;
	}
	buf_addc(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"')
			buf_addc(out, '"');
		buf_addc(out, text.ptr[i]);
	}
	buf_addc(out, '"');
}

void
csv_head(struct buf *out, const struct record *r, field_set_t which)
{
	const char *comma = "";

	for (size_t i = 0; r->fields[i].name != NULL; i++) {
		if (!(which >> i & 1))
			continue;
		buf_addz(out, comma);
		csv_cell(out, str_of(r->fields[i].name));
		comma = ",";
	}
	buf_addc(out, '\n');
}

static void
csv_field(struct buf *out, const struct field *f, const void *at)
{
	struct buf text = { 0 };
	struct json_out o;

	if (is_null(f, at))
		return;
	if (f->type == FIELD_TEXT) {
		csv_cell(out, *(const struct str *)at);
		return;
	}
	json_out_init(&o, &text, false);
	write_field(&o, f, at, false);
	if (f->type == FIELD_TIME || f->type == FIELD_BLOB)
		/* a JSON string that needs no escapes */
		csv_cell(out, (struct str){ text.ptr + 1, text.len - 2 });
	else
		csv_cell(out, buf_str(&text));
	buf_free(&text);
}

void
csv_row(
    struct buf *out, const struct record *r, field_set_t which, const void *row)
{
	const char *comma = "";

	for (size_t i = 0; r->fields[i].name != NULL; i++) {
		const struct field *f = &r->fields[i];

		if (!(which >> i & 1))
			continue;
		buf_addz(out, comma);
		csv_field(out, f, (const char *)row + f->offset);
		comma = ",";
	}
	buf_addc(out, '\n');
}

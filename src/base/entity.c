/*
 * base/entity.c - see entity.h: reading and writing rows by their fields.
 */
#include "base/entity.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const struct field *
field_named(const struct record *r, struct str name)
{
	for (const struct field *f = r->fields; f->name != NULL; f++)
		if (str_eqz(name, f->name))
			return f;
	return NULL;
}

const struct field *
field_find(
    const struct record *r, struct str path, size_t *offset, struct str *rest)
{
	size_t at = 0;

	for (;;) {
		const struct field *f = field_named(r, str_cut(&path, '.'));

		if (f == NULL)
			return NULL;
		at += f->offset;
		if (path.ptr != NULL && f->type == FIELD_RECORD) {
			r = f->record;
			continue;
		}
		if (path.ptr != NULL && f->type != FIELD_JSON)
			return NULL;
		if (offset != NULL)
			*offset = at;
		if (rest != NULL)
			*rest = path;
		return f;
	}
}

const char *const *
field_choices(const struct field *f)
{
	return f->one_of_fn != NULL ? f->one_of_fn() : f->one_of;
}

int
field_choose(const struct field *f, struct str text, struct err *err)
{
	const char *const *all = field_choices(f);
	struct buf b = { 0 };

	if (all == NULL || (text.len == 0 && f->flags & FIELD_BLANK))
		return 0;
	for (size_t i = 0; all[i] != NULL; i++)
		if (str_eqz(text, all[i]))
			return 0;
	for (size_t i = 0; all[i] != NULL; i++)
		buf_addf(&b, "%s%s", i > 0 ? ", " : "", all[i]);
	err_set(err, ERR_PARAM, "must be one of: %s", buf_z(&b));
	buf_free(&b);
	return ERR_PARAM;
}

struct value
value_text(struct str s)
{
	return (struct value){
		.type = FIELD_TEXT, .null = s.ptr == NULL, .text = s
	};
}

struct value
value_int(int64_t n)
{
	return (struct value){
		.type = FIELD_INT, .null = n == FIELD_INT_NULL, .num = n
	};
}

struct value
value_time(int64_t ms)
{
	return (struct value){
		.type = FIELD_TIME, .null = ms == TIME_NULL, .num = ms
	};
}

struct value
value_bool(bool b)
{
	return (struct value){ .type = FIELD_BOOL, .num = b };
}

struct value
value_real(double d)
{
	return (
	    struct value){ .type = FIELD_REAL, .null = isnan(d), .real = d };
}

struct value
value_json(struct str s)
{
	return (struct value){
		.type = FIELD_JSON, .null = s.ptr == NULL, .text = s
	};
}

struct value
value_texts(struct strs list)
{
	return (struct value){ .type = FIELD_TEXTS, .texts = list };
}

struct value
field_get(const struct field *f, const void *at)
{
	struct value v;

	switch (f->type) {
	case FIELD_TEXT:
	case FIELD_BLOB:
	case FIELD_JSON:
		v = value_text(*(const struct str *)at);
		break;
	case FIELD_INT:
	case FIELD_TIME:
		v = value_int(*(const int64_t *)at);
		break;
	case FIELD_REAL:
		v = value_real(*(const double *)at);
		break;
	case FIELD_BOOL:
		v = value_bool(*(const bool *)at);
		break;
	case FIELD_TEXTS:
		v = value_texts(*(const struct strs *)at);
		break;
	default:
		assert(!"a record has no value of its own");
		v = value_text(STR_NULL);
		break;
	}
	v.type = f->type;
	return v;
}

/* A number in a REAL field may have come as an INT. */
static double
value_as_real(const struct value *v)
{
	if (v->null)
		return NAN;
	return v->type == FIELD_REAL ? v->real : (double)v->num;
}

void
field_set(const struct field *f, void *at, const struct value *v)
{
	switch (f->type) {
	case FIELD_TEXT:
	case FIELD_BLOB:
	case FIELD_JSON:
		*(struct str *)at = v->null ? STR_NULL : v->text;
		break;
	case FIELD_INT:
	case FIELD_TIME:
		*(int64_t *)at = v->null ? FIELD_INT_NULL : v->num;
		break;
	case FIELD_REAL:
		*(double *)at = value_as_real(v);
		break;
	case FIELD_BOOL:
		*(bool *)at = !v->null && v->num != 0;
		break;
	case FIELD_TEXTS:
		*(struct strs *)at = v->null ? (struct strs){ 0 } : v->texts;
		break;
	default:
		assert(!"a record has no value of its own");
	}
}

/* Values of different types have an order too, as a number and a text may
 * stand in the same place of free JSON: numbers, then texts, then lists. */
static int
value_class(const struct value *v)
{
	switch (v->type) {
	case FIELD_INT:
	case FIELD_TIME:
	case FIELD_BOOL:
	case FIELD_REAL:
		return 0;
	case FIELD_TEXTS:
		return 2;
	default:
		return 1;
	}
}

/* An int64_t against a double, without the rounding of a cast. */
static int
cmp_int_real(int64_t n, double d)
{
	if (d >= 0x1p63)
		return -1;
	if (d < -0x1p63)
		return 1;
	if (n != (int64_t)d)
		return n < (int64_t)d ? -1 : 1;
	d -= trunc(d);
	return d > 0 ? -1 : d < 0;
}

static int
cmp_numbers(const struct value *a, const struct value *b)
{
	if (a->type == FIELD_REAL && b->type == FIELD_REAL)
		return (a->real > b->real) - (a->real < b->real);
	if (a->type == FIELD_REAL)
		return -cmp_int_real(b->num, a->real);
	if (b->type == FIELD_REAL)
		return cmp_int_real(a->num, b->real);
	return (a->num > b->num) - (a->num < b->num);
}

static int
cmp_texts(const struct strs *a, const struct strs *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++) {
		int c = str_cmp(a->at[i], b->at[i]);

		if (c != 0)
			return c;
	}
	return (a->n > b->n) - (a->n < b->n);
}

int
value_cmp(const struct value *a, const struct value *b)
{
	int ca, cb;

	if (a->null || b->null)
		return (int)b->null - (int)a->null;
	ca = value_class(a);
	cb = value_class(b);
	if (ca != cb)
		return ca < cb ? -1 : 1;
	if (ca == 0)
		return cmp_numbers(a, b);
	if (ca == 1)
		return str_cmp(a->text, b->text);
	return cmp_texts(&a->texts, &b->texts);
}

void
record_init(const struct record *r, void *row)
{
	for (const struct field *f = r->fields; f->name != NULL; f++) {
		void *at = (char *)row + f->offset;

		if (f->type == FIELD_INT || f->type == FIELD_TIME)
			*(int64_t *)at = FIELD_INT_NULL;
		else if (f->type == FIELD_REAL)
			*(double *)at = NAN;
		else if (f->type == FIELD_RECORD)
			record_init(f->record, at);
	}
}

static struct rows
copy_rows(const struct record *r, struct arena *a, const struct rows *from)
{
	struct rows to = { NULL, from->n };

	if (from->n == 0)
		return to;
	to.at = arena_alloc(a, from->n * r->size);
	for (size_t i = 0; i < from->n; i++)
		record_copy(r, a, (char *)to.at + i * r->size,
		    (const char *)from->at + i * r->size);
	return to;
}

/* Gives the members of `row`, which still point elsewhere, copies in `a`. */
static void
record_own(const struct record *r, struct arena *a, void *row)
{
	for (const struct field *f = r->fields; f->name != NULL; f++) {
		void *at = (char *)row + f->offset;

		switch (f->type) {
		case FIELD_TEXT:
		case FIELD_BLOB:
		case FIELD_JSON:
			*(struct str *)at = arena_str(a, *(struct str *)at);
			break;
		case FIELD_TEXTS:
			*(struct strs *)at = arena_strs(a, *(struct strs *)at);
			break;
		case FIELD_RECORD:
			record_own(f->record, a, at);
			break;
		case FIELD_RECORDS:
			*(struct rows *)at =
			    copy_rows(f->record, a, (struct rows *)at);
			break;
		default:
			break;
		}
	}
}

void
record_copy(const struct record *r, struct arena *a, void *to, const void *from)
{
	memmove(to, from, r->size);
	record_own(r, a, to);
}

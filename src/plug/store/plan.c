/*
 * plug/store/plan.c - from names and values to a plan, and its meaning.
 *
 * plan_matches() is the definition of every condition: the memory engine runs
 * it, and what others make of a plan must agree with it.
 */
#include "plug/store/ops.h"

#include "base/base.h"
#include "codec/json.h"

#include <assert.h>
#include <string.h>

/* --- places -------------------------------------------------------------- */

/* A path into JSON that every engine can follow. */
static bool
is_plain_path(struct str path)
{
	while (path.ptr != NULL) {
		struct str key = str_cut(&path, '.');

		if (key.len == 0 || !str_is_utf8(key))
			return false;
		for (size_t i = 0; i < key.len; i++)
			if (key.ptr[i] == '"' || key.ptr[i] == '\\' ||
			    (unsigned char)key.ptr[i] < 0x20)
				return false;
	}
	return true;
}

static int
find_place(const struct entity *e, const char *name, struct place *ret,
    struct err *err)
{
	struct str path = str_of(name), top;
	size_t top_offset;
	struct str top_rest;

	ret->leaf = field_find(&e->record, path, &ret->offset, &ret->rest);
	if (ret->leaf == NULL || !is_plain_path(path))
		return err_set(
		    err, ERR_PARAM, "%s has no field %s", e->record.name, name);
	top = str_cut(&path, '.');
	ret->top = field_find(&e->record, top, &top_offset, &top_rest);
	ret->path = path;
	return 0;
}

static bool
in_free_json(const struct place *p)
{
	return p->leaf->type == FIELD_JSON && p->rest.ptr != NULL;
}

static struct value
json_value(struct json *j)
{
	struct str s = STR_NULL;
	double d = 0;
	bool b = false;
	int64_t n;

	switch (json_peek(j)) {
	case JSON_STRING:
		json_str(j, &s);
		return value_text(s);
	case JSON_NUMBER:
		json_num(j, &s);
		if (str_to_i64(s, &n))
			return value_int(n);
		json_open(j, s, 0, NULL);
		json_real(j, &d);
		return value_real(d);
	case JSON_BOOL:
		json_bool(j, &b);
		return value_bool(b);
	case JSON_ARRAY:
	case JSON_OBJECT:
		json_raw(j, &s);
		return value_json(s);
	default:
		return value_text(STR_NULL);
	}
}

/* The value that lies at a path in free JSON; null if there is none. */
static struct value
json_at(struct str json, struct str path, struct arena *a)
{
	struct json j;

	json_open(&j, json, 0, a);
	while (path.ptr != NULL) {
		struct str want = str_cut(&path, '.'), key;
		bool found = false;

		if (json_peek(&j) != JSON_OBJECT)
			return value_text(STR_NULL);
		json_object(&j);
		while (!found && json_member(&j, &key)) {
			found = str_eq(key, want);
			if (!found)
				json_skip(&j);
		}
		if (!found)
			return value_text(STR_NULL);
	}
	return json_value(&j);
}

/* "" in a column where it stands for null. */
static void
empty_to_null(const struct place *p, struct value *v)
{
	if (p->top->flags & FIELD_EMPTY && p->path.ptr == NULL && !v->null &&
	    v->text.len == 0)
		v->null = true;
}

struct value
place_value(const struct place *p, const void *row, struct arena *a)
{
	struct value v = field_get(p->leaf, (const char *)row + p->offset);

	if (in_free_json(p))
		return v.null ? value_text(STR_NULL)
			      : json_at(v.text, p->rest, a);
	empty_to_null(p, &v);
	return v;
}

/* --- checks -------------------------------------------------------------- */

static bool
is_order(enum cond_op op)
{
	return op == COND_LT || op == COND_LE || op == COND_GT || op == COND_GE;
}

/* Whether a condition of this kind has a meaning at this place. */
static bool
op_fits(const struct place *p, enum cond_op op)
{
	bool nested = p->path.ptr != NULL;

	if (in_free_json(p))
		return true;
	switch (p->leaf->type) {
	case FIELD_RECORD:
	case FIELD_RECORDS:
		return false;
	case FIELD_TEXTS:
		return op == COND_HAS ||
		    (!nested && (op == COND_EQ || op == COND_NE));
	case FIELD_JSON:
		return !nested && op != COND_HAS && !is_order(op);
	case FIELD_BLOB:
		return !nested && op != COND_HAS && op != COND_CONTAINS;
	case FIELD_TEXT:
		return op != COND_HAS;
	default:
		return op != COND_HAS && op != COND_CONTAINS;
	}
}

static bool
is_number(enum field_type type)
{
	return type == FIELD_INT || type == FIELD_TIME || type == FIELD_BOOL;
}

static bool
type_fits(const struct place *p, enum cond_op op, const struct value *v)
{
	if (v->null)
		return true;
	if (op == COND_HAS || op == COND_CONTAINS)
		return v->type == FIELD_TEXT;
	if (in_free_json(p))
		return v->type == FIELD_TEXT || v->type == FIELD_REAL ||
		    is_number(v->type);
	switch (p->leaf->type) {
	case FIELD_INT:
	case FIELD_TIME:
	case FIELD_BOOL:
		return is_number(v->type);
	case FIELD_REAL:
		return v->type == FIELD_REAL || is_number(v->type);
	default:
		return v->type == p->leaf->type;
	}
}

static int
plan_list(const struct cond *c, struct plan_cond *to, struct arena *a,
    struct err *err)
{
	struct value *list;

	if (c->n_list > FILTER_IN_MAX)
		return err_set(err, ERR_LIMIT, "%s: more than %d values",
		    c->field, FILTER_IN_MAX);
	list = arena_array(a, c->n_list, struct value);
	for (size_t i = 0; i < c->n_list; i++) {
		list[i] = c->list[i];
		if (!type_fits(&to->place, c->op, &list[i]))
			return err_set(err, ERR_PARAM,
			    "%s: compared with a value of another type",
			    c->field);
		empty_to_null(&to->place, &list[i]);
	}
	to->list = list;
	to->n_list = c->n_list;
	return 0;
}

static int
plan_cond(const struct entity *e, const struct cond *c, struct plan_cond *to,
    struct arena *a, struct err *err)
{
	int rc;

	rc = find_place(e, c->field, &to->place, err);
	if (rc != 0)
		return rc;
	if (!op_fits(&to->place, c->op))
		return err_set(err, ERR_PARAM,
		    "%s can not be filtered in this way", c->field);
	to->op = c->op;
	to->value = c->value;
	if (c->op == COND_IN)
		return plan_list(c, to, a, err);
	if (!type_fits(&to->place, c->op, &c->value))
		return err_set(err, ERR_PARAM,
		    "%s: compared with a value of another type", c->field);
	if (c->op != COND_CONTAINS)
		empty_to_null(&to->place, &to->value);
	return 0;
}

int
plan_filter(struct plan *p, const struct entity *e, const struct filter *f,
    struct arena *a, struct err *err)
{
	*p = (struct plan){ .entity = e };
	if (f == NULL)
		return 0;
	for (size_t i = 0; i < f->n; i++) {
		int rc = plan_cond(e, &f->at[i], &p->cond[i], a, err);

		if (rc != 0)
			return rc;
		p->n_cond++;
	}
	return 0;
}

static int
plan_sort(struct plan *p, const struct store_sort *s, struct err *err)
{
	struct plan_order *o = &p->order[p->n_order];
	int rc;

	rc = find_place(p->entity, s->field, &o->place, err);
	if (rc != 0)
		return rc;
	o->desc = s->desc;
	if (!in_free_json(&o->place)) {
		enum field_type type = o->place.leaf->type;

		if (type != FIELD_TEXT && type != FIELD_REAL &&
		    !is_number(type))
			return err_set(
			    err, ERR_PARAM, "%s can not be sorted", s->field);
	}
	p->n_order++;
	return 0;
}

static bool
is_sorted_by(const struct plan *p, const char *field)
{
	for (size_t i = 0; i < p->n_order; i++) {
		const struct place *at = &p->order[i].place;

		if (at->path.ptr == NULL && strcmp(at->top->name, field) == 0)
			return true;
	}
	return false;
}

int
plan_query(struct plan *p, const struct entity *e, const struct store_query *q,
    struct arena *a, struct err *err)
{
	int rc;

	assert(q->n_sort <= SORT_MAX);
	rc = plan_filter(p, e, q->filter, a, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < q->n_sort; i++) {
		rc = plan_sort(p, &q->sort[i], err);
		if (rc != 0)
			return rc;
	}
	for (const char *const *f = e->keys[0].fields; *f != NULL; f++) {
		struct store_sort last = { *f, false };

		if (is_sorted_by(p, *f))
			continue;
		rc = plan_sort(p, &last, err);
		if (rc != 0)
			return rc;
	}
	p->offset = q->offset;
	p->limit = q->limit;
	p->behind = q->after != NULL;
	for (size_t i = 0; p->behind && i < p->n_order; i++)
		p->order[i].after =
		    place_value(&p->order[i].place, q->after, a);
	return 0;
}

/* --- meaning ------------------------------------------------------------- */

static bool
json_has(struct str json, struct str text, struct arena *a)
{
	struct json j;
	struct str item;
	bool found = false;

	json_open(&j, json, 0, a);
	if (json_peek(&j) != JSON_ARRAY)
		return false;
	json_array(&j);
	while (!found && json_item(&j)) {
		if (json_peek(&j) != JSON_STRING)
			json_skip(&j);
		else if (json_str(&j, &item))
			found = str_eq(item, text);
	}
	return found;
}

static bool
has(const struct value *v, const struct value *want, struct arena *a)
{
	if (want->null || v->null)
		return false;
	if (v->type == FIELD_JSON)
		return json_has(v->text, want->text, a);
	if (v->type != FIELD_TEXTS)
		return false;
	for (size_t i = 0; i < v->texts.n; i++)
		if (str_eq(v->texts.at[i], want->text))
			return true;
	return false;
}

static bool
cond_matches(const struct plan_cond *c, const void *row, struct arena *a)
{
	struct value v = place_value(&c->place, row, a);
	int cmp;

	switch (c->op) {
	case COND_IN:
		for (size_t i = 0; i < c->n_list; i++)
			if (value_cmp(&v, &c->list[i]) == 0)
				return true;
		return false;
	case COND_HAS:
		return has(&v, &c->value, a);
	case COND_CONTAINS:
		if (v.null || c->value.null ||
		    (in_free_json(&c->place) && v.type != FIELD_TEXT))
			return false;
		return str_contains_nocase(v.text, c->value.text);
	default:
		break;
	}
	cmp = value_cmp(&v, &c->value);
	if (c->op == COND_EQ)
		return cmp == 0;
	if (c->op == COND_NE)
		return cmp != 0;
	if (v.null || c->value.null)
		return false;
	switch (c->op) {
	case COND_LT:
		return cmp < 0;
	case COND_LE:
		return cmp <= 0;
	case COND_GT:
		return cmp > 0;
	default:
		return cmp >= 0;
	}
}

bool
plan_matches(const struct plan *p, const void *row, struct arena *a)
{
	for (size_t i = 0; i < p->n_cond; i++)
		if (!cond_matches(&p->cond[i], row, a))
			return false;
	return true;
}

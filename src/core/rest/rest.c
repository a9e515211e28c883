/*
 * core/rest/rest.c - see rest.h.
 */
#include "core/rest/private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct mount *
mount_of(const struct http_call *c)
{
	return c->route->ctx;
}

static struct rest
rest_of(struct http_call *c)
{
	const struct mount *m = mount_of(c);

	return (struct rest){ c, m->o, m->store, m->module, m->flags, NULL,
		m->versions, NULL };
}

void
rest_db_error(struct http_call *c, const struct err *err)
{
	http_error(c, 503, "err_db", "%s", err->text);
}

struct json_out *
rest_data(struct http_call *c)
{
	struct json_out *o = http_json(c, 200);

	json_out_object(o);
	json_out_key(o, "data");
	json_out_object(o);
	return o;
}

void
rest_data_end(struct http_call *c)
{
	json_out_end_object(&c->json);
	json_out_end_object(&c->json);
}

void
rest_answer(struct http_call *c, const struct record *rec, const void *row)
{
	record_members_to_json(rest_data(c), rec, FIELD_ALL, row);
	rest_data_end(c);
}

struct counted {
	int64_t count;
};
static const struct field counted_fields[] = {
	F_INT(struct counted, count, "count"),
	{ 0 },
};
const struct record rest_counted = { "counted", sizeof(struct counted),
	counted_fields };

void
rest_count(struct http_call *c, int64_t n)
{
	struct json_out *o = rest_data(c);

	json_out_key(o, "count");
	json_out_int(o, n);
	rest_data_end(c);
}

/* One field of a row. */
static struct value
value_of(const struct field *f, const void *row)
{
	return field_get(f, (const char *)row + f->offset);
}

static void
set_value(const struct field *f, void *row, const struct value *v)
{
	field_set(f, (char *)row + f->offset, v);
}

/* What a field is to be changed to; records go by their JSON. */
static struct value
change_of(const struct field *f, struct arena *a, const void *row)
{
	struct buf text = { 0 };
	struct value v;

	if (f->type != FIELD_RECORD && f->type != FIELD_RECORDS)
		return value_of(f, row);
	field_encode(&text, f, (const char *)row + f->offset);
	v = value_json(arena_str(a, buf_str(&text)));
	buf_free(&text);
	return v;
}

size_t
rest_changes(const struct record *r, field_set_t set, struct arena *a,
    const void *row, struct change *changes)
{
	size_t n = 0;

	for (size_t i = 0; r->fields[i].name != NULL; i++)
		if (set >> i & 1) {
			changes[n].field = r->fields[i].name;
			changes[n++].value = change_of(&r->fields[i], a, row);
		}
	return n;
}

/* --- bodies -------------------------------------------------------------- */

static bool
read_part(struct http_call *c, struct str text, const struct record *r,
    const char *members, const char *nulls, void **row, field_set_t *present)
{
	field_set_t allowed = FIELD_ALL, required = 0, missing;
	struct err err;
	struct json j;

	*row = NULL;
	*present = 0;
	if (r == NULL)
		return true;
	*row = arena_alloc(&c->arena, r->size);
	record_init(r, *row);
	if (members != NULL)
		allowed = field_bits(r, members, &required);
	json_open(&j, text, 0, &c->arena);
	if (record_from_json(&j, r, allowed,
		nulls != NULL ? field_bits(r, nulls, NULL) : 0, *row, present,
		&err) != 0) {
		http_error(c, 400, "err_param", "%s", err.text);
		return false;
	}
	missing = required & ~*present;
	if (missing != 0) {
		http_error(c, 400, "err_param", "missing `%s`",
		    r->fields[__builtin_ctzll(missing)].name);
		return false;
	}
	return true;
}

static bool
is_json(struct str type)
{
	struct str kind = str_trim(str_cut(&type, ';'));

	return str_eq_nocase(kind, STR("application/json"));
}

bool
rest_read(struct http_call *c, const struct http_schema *s, const char *nulls,
    struct rest_body *b)
{
	struct str data = STR_NULL, key;
	struct err err;
	struct json j;

	*b = (struct rest_body){ 0 };
	if (!is_json(c->content_type)) {
		http_error(c, 400, "err_param",
		    "the body must come with Content-Type: application/json");
		return false;
	}
	json_open(&j, c->body, 0, &c->arena);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (!s->plain && str_eqz(key, "data") &&
			    json_peek(&j) != JSON_NULL)
				json_raw(&j, &data);
			else
				json_skip(&j);
		}
	if (json_done(&j, &err) != 0) {
		http_error(c, 400, "err_param", "%s", err.text);
		return false;
	}
	if (s->plain)
		data = c->body;
	if (!read_part(c, c->body, s->beside, NULL, NULL, &b->beside,
		&b->beside_present))
		return false;
	if (data.ptr == NULL && s->beside != NULL)
		data = STR("{}");
	if (data.ptr == NULL) {
		http_error(c, 400, "err_param", "missing `data`");
		return false;
	}
	return read_part(c, data, s->record, s->members, nulls, &b->row,
		   &b->present) &&
	    read_part(c, data, s->extra, s->extra_members, NULL, &b->extra,
		&b->extra_present);
}

/* --- one object ---------------------------------------------------------- */

static const struct field *
field_named(const struct rest_object *o, const char *name)
{
	return field_find(&o->entity->record, str_of(name), NULL, NULL);
}

/* Sets a time field if the entity has it. */
static void
stamp(const struct rest_object *o, void *row, const char *name, int64_t at)
{
	const struct field *f = field_named(o, name);
	struct value v = value_time(at);

	if (f != NULL && f->type == FIELD_TIME)
		set_value(f, row, &v);
}

/* MyController's objects have another word for it than Sylvia-IoT's. */
const char *
rest_modified_field(const struct rest_object *o)
{
	return field_named(o, "modifiedOn") != NULL ? "modifiedOn"
						    : "modifiedAt";
}

/* Turns what a write said into an answer; true when all went well. */
static bool
written(struct rest *r, int rc, const struct err *err)
{
	const struct rest_exists *x = r->o->exists;

	if (rc == 0)
		return true;
	if (r->c->status != 0)
		return false; /* a function inside the tx has answered */
	if (rc == ERR_NOT_FOUND) {
		http_error(r->c, 404, "err_not_found", NULL);
		return false;
	}
	if (rc == ERR_EXISTS)
		for (; x != NULL && x->key != NULL; x++) {
			size_t len = strlen(x->key);

			if (strncmp(err->text, x->key, len) == 0 &&
			    err->text[len] == ':') {
				http_error(r->c, 400, x->code, NULL);
				return false;
			}
		}
	rest_db_error(r->c, err);
	return false;
}

static field_set_t
members_of(struct rest *r, enum rest_verb verb)
{
	const struct mount *m = mount_of(r->c);
	field_set_t set;

	if (r->o->members == NULL)
		return m->shown;
	set = r->o->members(r, verb);
	assert((m->shown & ~m->sometimes & ~set) == 0);
	return set;
}

static void
write_row(
    struct rest *r, enum rest_verb verb, const void *row, field_set_t shown)
{
	struct json_out *o = &r->c->json;
	const struct record *rec = &r->o->entity->record;
	void *copy = NULL;

	if (r->o->show != NULL) {
		copy = arena_alloc(&r->c->arena, rec->size);
		memcpy(copy, row, rec->size);
		r->o->show(r, verb, copy);
		row = copy;
	}
	json_out_object(o);
	record_members_to_json(o, rec, shown, row);
	if (r->o->more != NULL)
		r->o->more(r, verb, row);
	if (r->c->status == 200) /* else the row gave way to an error */
		json_out_end_object(o);
}

/* The row of this id, if the caller may do this with it. False: the
 * store failed and the call is answered. `*row` is NULL when there is none. */
bool
rest_fetch(struct rest *r, enum rest_verb verb, struct str id, void **row)
{
	const struct record *rec = &r->o->entity->record;
	struct filter f = { 0 };
	struct err err;
	bool found;

	*row = NULL;
	filter_text(&f, r->o->id, id);
	void *got = arena_alloc(&r->c->arena, rec->size);
	if (store_get(r->store, r->o->entity, &f, &r->c->arena, got, &found,
		&err) != 0) {
		rest_db_error(r->c, &err);
		return false;
	}
	if (found && (r->o->may == NULL || r->o->may(r, verb, got)))
		*row = got;
	return r->c->status == 0;
}

/* Fields that before_add() has to think of. */
field_set_t
rest_without_default(const struct record *r)
{
	field_set_t set = 0;

	for (size_t i = 0; r->fields[i].name != NULL; i++)
		if (r->fields[i].def == NULL)
			set |= (field_set_t)1 << i;
	return set;
}

bool
rest_defaults(
    struct http_call *c, const struct record *r, const struct rest_body *b)
{
	struct err err;

	if (record_defaults(r, &c->arena, b->present | rest_without_default(r),
		b->row, &err) == 0)
		return true;
	http_error(c, 500, "err_unknown", "%s", err.text);
	return false;
}

/* A change and what belongs to it, in one transaction. */
struct writing {
	struct rest *r;
	struct str id;
	const void *old, *row;
	field_set_t set;
	const char *modified; /* the field; NULL: whenever it was changed */
	int64_t if_modified;
	bool stale; /* somebody else has changed it */
};

static int
add_tx(struct store *tx, void *ctx, struct err *err)
{
	struct writing *t = ctx;
	int rc = store_add(tx, t->r->o->entity, t->row, err);

	if (rc == 0 && t->r->o->in_add != NULL)
		rc = t->r->o->in_add(t->r, tx, t->row, err);
	return rc;
}

static int
patch_tx(struct store *tx, void *ctx, struct err *err)
{
	struct writing *t = ctx;
	const struct rest_object *o = t->r->o;
	struct filter f = { 0 };
	struct change changes[64];
	size_t n = rest_changes(
	    &o->entity->record, t->set, &t->r->c->arena, t->row, changes);
	int64_t there;
	int rc;

	filter_text(&f, o->id, t->id);
	if (t->modified != NULL)
		filter_add(
		    &f, t->modified, COND_EQ, value_time(t->if_modified));
	rc = n == 0 ? store_count(tx, o->entity, &f, &there, err)
		    : store_update(tx, o->entity, &f, changes, n, &there, err);
	t->stale = rc == 0 && there == 0 && t->modified != NULL;
	if (rc == 0 && there == 0) /* deleted since we looked at it */
		return err_set(err, ERR_NOT_FOUND, "it is gone");
	if (rc == 0 && o->in_patch != NULL)
		rc = o->in_patch(t->r, tx, t->old, t->row, t->set, err);
	return rc;
}

static void
say_stale(struct http_call *c)
{
	http_error(c, 412, "err_changed",
	    "it was changed since: read it again, then change that");
}

/* A change of one object, on record. */
static bool
write_tx(struct rest *r, store_tx_fn *fn, struct writing *t)
{
	struct err err;
	int rc =
	    versions_tx_how(r->versions, r->store, r->c, r->how, fn, t, &err);

	if (t->stale && r->c->status == 0) {
		say_stale(r->c);
		return false;
	}
	return written(r, rc, &err);
}

bool
rest_add_row(struct rest *r, struct rest_body *b)
{
	struct writing t = { .r = r, .row = b->row };

	stamp(r->o, b->row, rest_modified_field(r->o), r->c->came_at);
	if (r->o->before_add != NULL &&
	    !r->o->before_add(r, b->row, b->extra, b->beside))
		return false;
	return write_tx(r, add_tx, &t);
}

void
rest_added(struct rest *r, const struct rest_body *b)
{
	if (r->o->after_add != NULL)
		r->o->after_add(r, b->row, b->extra);
	if (r->o->changed != NULL)
		r->o->changed(r, REST_ADD, b->row);
}

static void
handle_add(struct http_call *c)
{
	struct rest r = rest_of(c);
	const struct record *rec = &r.o->entity->record;
	struct value id;
	struct rest_body b;

	if (!rest_read(c, &c->route->body, NULL, &b) ||
	    !rest_defaults(c, rec, &b))
		return;
	if (!(b.present & field_bit(rec, r.o->id))) {
		id = value_text(rand_id(&c->arena, c->came_at, r.o->id_len));
		set_value(field_named(r.o, r.o->id), b.row, &id);
	}
	stamp(r.o, b.row, "createdAt", c->came_at);
	if (!rest_add_row(&r, &b))
		return;
	rest_data(c);
	json_out_key(&c->json, r.o->id);
	json_out_str(&c->json, value_of(field_named(r.o, r.o->id), b.row).text);
	rest_added(&r, &b);
	if (c->status == 200)
		rest_data_end(c);
}

/* When the row was last changed; TIME_NULL: it does not say. */
static int64_t
modified_at(const struct rest_object *o, const void *row)
{
	const struct field *f = field_named(o, rest_modified_field(o));

	return f == NULL ? TIME_NULL : value_of(f, row).num;
}

/* Its state, for If-Match: the time in quotes, as its JSON has it. */
static struct str
etag(struct arena *a, int64_t at)
{
	return arena_printf(a, "\"%s\"", time_text(a, at).ptr);
}

static void
handle_get(struct http_call *c)
{
	struct rest r = rest_of(c);
	int64_t at;
	void *row;

	if (!rest_fetch(&r, REST_GET, http_var(c, 0), &row))
		return;
	if (row == NULL) {
		http_error(c, 404, "err_not_found", NULL);
		return;
	}
	at = modified_at(r.o, row);
	http_json(c, 200);
	if (at != TIME_NULL)
		http_header(c, "ETag", etag(&c->arena, at));
	json_out_object(&c->json);
	json_out_key(&c->json, "data");
	write_row(&r, REST_GET, row, members_of(&r, REST_GET));
	if (c->status == 200)
		json_out_end_object(&c->json);
}

/* Puts the fields in `set` of `from` over those of `to`. */
void
rest_overlay(
    const struct record *rec, field_set_t set, void *to, const void *from)
{
	for (size_t i = 0; rec->fields[i].name != NULL; i++)
		if (set >> i & 1) {
			const struct field *f = &rec->fields[i];

			if (f->type == FIELD_RECORD) {
				memcpy((char *)to + f->offset,
				    (const char *)from + f->offset,
				    f->record->size);
			} else if (f->type == FIELD_RECORDS) {
				memcpy((char *)to + f->offset,
				    (const char *)from + f->offset,
				    sizeof(struct rows));
			} else {
				struct value v = value_of(f, from);

				set_value(f, to, &v);
			}
		}
}

/* May the change go on, for its If-Match? */
static bool
if_match(struct writing *t)
{
	struct http_call *c = t->r->c;
	struct str tag = c->if_match;
	int64_t now;

	if (tag.len == 0 || str_eqz(tag, "*"))
		return true;
	now = modified_at(t->r->o, t->old);
	if (now != TIME_NULL && str_eq(tag, etag(&c->arena, now))) {
		t->modified = rest_modified_field(t->r->o);
		t->if_modified = now;
		return true;
	}
	say_stale(c);
	return false;
}

bool
rest_patch_row(struct rest *r, struct str id, const void *old,
    struct rest_body *b, void **ret)
{
	const struct record *rec = &r->o->entity->record;
	void *row = arena_alloc(&r->c->arena, rec->size);
	const char *modified = rest_modified_field(r->o);
	struct writing t = { .r = r, .id = id, .old = old, .row = row };

	if (!if_match(&t))
		return false;
	memcpy(row, old, rec->size);
	rest_overlay(rec, b->present, row, b->row);
	*ret = row;
	if (r->o->before_patch != NULL &&
	    !r->o->before_patch(r, old, row, &b->present, b->extra,
		b->extra_present, b->beside, b->beside_present))
		return false;
	if (b->present == 0 && r->o->in_patch == NULL)
		return true;
	if (b->present != 0 && field_named(r->o, modified) != NULL) {
		stamp(r->o, row, modified, r->c->came_at);
		b->present |= field_bit(rec, modified);
	}
	t.set = b->present;
	return write_tx(r, patch_tx, &t);
}

void
rest_patched(
    struct rest *r, const void *old, const void *row, struct rest_body *b)
{
	if (r->o->after_patch != NULL)
		r->o->after_patch(
		    r, old, row, b->present, b->extra, b->extra_present);
	if (r->o->changed != NULL)
		r->o->changed(r, REST_PATCH, row);
}

static void
handle_patch(struct http_call *c)
{
	struct rest r = rest_of(c);
	field_set_t extras;
	struct rest_body b;
	void *old, *row;

	if (!rest_read(c, &c->route->body, r.o->patch_null, &b))
		return;
	extras = b.extra_present | b.beside_present;
	if (b.present == 0 && extras == 0) {
		http_error(c, 400, "err_param", "at least one parameter");
		return;
	}
	if (!rest_fetch(&r, REST_PATCH, http_var(c, 0), &old))
		return;
	if (old == NULL) {
		http_error(c, 404, "err_not_found", NULL);
		return;
	}
	if (!rest_patch_row(&r, http_var(c, 0), old, &b, &row))
		return;
	http_empty(c, 204);
	rest_patched(&r, old, row, &b);
}

static int
del_tx(struct store *tx, void *ctx, struct err *err)
{
	const struct writing *t = ctx;
	struct filter f = { 0 };

	filter_text(&f, t->r->o->id, t->id);
	return store_del(tx, t->r->o->entity, &f, NULL, err);
}

bool
rest_del_row(struct rest *r, struct str id, const void *row)
{
	struct writing t = { .r = r, .id = id, .old = row };

	if (r->o->before_del != NULL && !r->o->before_del(r, row))
		return false;
	return write_tx(r, del_tx, &t);
}

void
rest_deleted(struct rest *r, const void *row)
{
	if (r->o->after_del != NULL)
		r->o->after_del(r, row);
	if (r->o->changed != NULL)
		r->o->changed(r, REST_DEL, row);
}

static void
handle_del(struct http_call *c)
{
	struct rest r = rest_of(c);
	void *row;

	if (!rest_fetch(&r, REST_DEL, http_var(c, 0), &row))
		return;
	if (row != NULL && !rest_del_row(&r, http_var(c, 0), row))
		return;
	http_empty(c, 204);
	if (row != NULL)
		rest_deleted(&r, row);
}

/* --- lists --------------------------------------------------------------- */

/* "a,b,c": one of them. */
static bool
add_choice(struct rest *r, struct filter *f, const struct rest_filter *x,
    struct str text)
{
	struct value *list =
	    arena_array(&r->c->arena, REST_CHOICE_MAX, struct value);
	size_t n = 0;

	while (text.len > 0) {
		if (n == REST_CHOICE_MAX) {
			http_error(r->c, 400, "err_param",
			    "`%s`: more than %d values", x->param,
			    REST_CHOICE_MAX);
			return false;
		}
		list[n++] = value_text(str_cut(&text, ','));
	}
	filter_in(f, x->field, list, n);
	return true;
}

static bool
add_filters(struct rest *r, struct filter *f)
{
	const struct rest_filter *x = r->o->filters;

	for (; x != NULL && x->param != NULL; x++) {
		struct str text = http_query(r->c, x->param);
		const struct field *field = field_named(r->o, x->field);
		struct value v;

		if (text.len == 0 || field == NULL)
			continue;
		if (x->unless != NULL && http_query(r->c, x->unless).len > 0)
			continue;
		if (x->lower)
			text = arena_lower(&r->c->arena, text);
		if (x->op == COND_IN) {
			if (!add_choice(r, f, x, text))
				return false;
			continue;
		}
		v = value_text(text);
		if (field->type == FIELD_BOOL) {
			if (!str_eqz(text, "true") && !str_eqz(text, "false")) {
				http_error(r->c, 400, "err_param",
				    "invalid `%s`", x->param);
				return false;
			}
			v = value_bool(str_eqz(text, "true"));
		} else if (field->type == FIELD_INT ||
		    field->type == FIELD_TIME) {
			int64_t n;

			if (!str_to_i64(text, &n)) {
				http_error(r->c, 400, "err_param",
				    "invalid `%s`", x->param);
				return false;
			}
			v = field->type == FIELD_INT ? value_int(n)
						     : value_time(n);
		}
		filter_add(f, x->field, x->op, v);
	}
	return true;
}

static bool
one_sort(struct http_call *c, const struct rest_sort *sorts, struct str text,
    struct store_query *q)
{
	struct str rest = text, key = str_cut(&rest, ':');

	for (; sorts != NULL && sorts->param != NULL; sorts++)
		if (str_eqz(key, sorts->param))
			break;
	if (sorts == NULL || sorts->param == NULL ||
	    (!str_eqz(rest, "asc") && !str_eqz(rest, "desc")) ||
	    q->n_sort == SORT_MAX) {
		http_error(c, 400, "err_param", "invalid `sort`: " STR_FMT,
		    STR_ARG(text));
		return false;
	}
	q->sort[q->n_sort].field = sorts->field;
	q->sort[q->n_sort++].desc = str_eqz(rest, "desc");
	return true;
}

bool
rest_sort(struct http_call *c, const struct rest_sort *sorts, const char *def,
    struct store_query *q)
{
	struct str text = http_query(c, "sort");

	if (text.ptr == NULL)
		text = str_of(def);
	while (text.ptr != NULL)
		if (!one_sort(c, sorts, str_cut(&text, ','), q))
			return false;
	return true;
}

static bool
unsigned_query(
    struct http_call *c, const char *name, uint64_t def, uint64_t *ret)
{
	struct str text = http_query(c, name);

	*ret = def;
	if (text.ptr == NULL)
		return true;
	if (str_to_u64(text, ret) && *ret <= INT64_MAX)
		return true;
	http_error(c, 400, "err_param", "invalid `%s`", name);
	return false;
}

#define PAGE 100 /* rows a worker writes before the client must take them */

enum format { FORMAT_DATA, FORMAT_ARRAY, FORMAT_CSV };

/* A list that is being sent. Between two pages nothing of the store is held;
 * the next page begins behind the last row of the one before. */
struct listing {
	struct rest r;
	struct filter filter;
	struct store_query q;
	enum format format;
	field_set_t shown;
	uint64_t left; /* rows still wanted; UINT64_MAX: all */
	size_t in_page;
	void *last;
	struct arena rows[2]; /* memory of `last`, taking turns */
	unsigned turn;
	struct arena page; /* the call's while a page is written */
};

static int
list_row(void *ctx, const void *row, struct err *err)
{
	struct listing *l = ctx;
	const struct record *rec = &l->r.o->entity->record;

	(void)err;
	if (l->format == FORMAT_CSV) {
		void *copy = arena_alloc(&l->r.c->arena, rec->size);

		memcpy(copy, row, rec->size);
		if (l->r.o->show != NULL)
			l->r.o->show(&l->r, REST_LIST, copy);
		csv_row(&l->r.c->out, rec, l->shown, copy);
	} else {
		write_row(&l->r, REST_LIST, row, l->shown);
	}
	if (l->r.c->status != 200)
		return ERR_INTERNAL; /* a decision has answered with an error */
	l->in_page++;
	if (l->in_page == l->q.limit) {
		struct arena *a = &l->rows[l->turn ^= 1];

		arena_clear(a);
		l->last = arena_alloc(a, rec->size);
		record_copy(rec, a, l->last, row);
	}
	return 0;
}

/* What decisions allocate for a row goes with its page, or a long list would
 * grow with every row until the client has it all. */
static void
swap_arenas(struct listing *l)
{
	struct arena other = l->page;

	l->page = l->r.c->arena;
	l->r.c->arena = other;
}

static int
list_page(struct listing *l, struct err *err)
{
	int rc;

	l->q.limit = MIN_OF(l->left, PAGE);
	l->q.filter = &l->filter;
	l->q.after = l->last;
	l->in_page = 0;
	swap_arenas(l);
	rc = store_list(l->r.store, l->r.o->entity, &l->q, list_row, l, err);
	swap_arenas(l);
	arena_clear(&l->page);
	return rc;
}

/* Whether more rows may follow the page that was just read. */
static bool
list_goes_on(struct listing *l)
{
	if (l->in_page < l->q.limit)
		return false;
	if (l->left != UINT64_MAX)
		l->left -= l->in_page;
	l->q.offset = 0;
	return l->left > 0;
}

static void
list_end(struct listing *l)
{
	if (l->format == FORMAT_CSV)
		return;
	json_out_end_array(&l->r.c->json);
	if (l->format == FORMAT_DATA)
		json_out_end_object(&l->r.c->json);
}

static bool
list_next(struct http_call *c)
{
	struct listing *l = c->stream_state;
	struct err err;

	/* Half an answer is out: on a failure it ends without its brackets,
	 * which no reader takes for a whole one. */
	if (list_page(l, &err) != 0) {
		buf_clear(&c->out);
		return false;
	}
	if (list_goes_on(l))
		return true;
	list_end(l);
	return false;
}

static void
list_fini(struct listing *l)
{
	arena_fini(&l->rows[0]);
	arena_fini(&l->rows[1]);
	arena_fini(&l->page);
}

static void
list_free(struct http_call *c)
{
	list_fini(c->stream_state);
}

static bool
list_format(struct listing *l)
{
	struct http_call *c = l->r.c;
	struct str text = http_query(c, "format");

	if (text.ptr == NULL || str_eqz(text, "data")) {
		l->format = FORMAT_DATA;
	} else if (str_eqz(text, "array")) {
		l->format = FORMAT_ARRAY;
	} else if (str_eqz(text, "csv") && l->r.flags & REST_CSV) {
		l->format = FORMAT_CSV;
	} else {
		http_error(c, 400, "err_param", "invalid `format`");
		return false;
	}
	return true;
}

static void
list_begin(struct listing *l)
{
	struct http_call *c = l->r.c;
	const struct record *rec = &l->r.o->entity->record;

	http_json(c, 200);
	if (l->format == FORMAT_CSV) {
		l->shown = mount_of(c)->csv;
		c->type = "text/csv";
		http_header(c, "Content-Disposition",
		    arena_printf(
			&c->arena, "attachment;filename=%s.csv", l->r.o->name));
		buf_addz(&c->out, "\xEF\xBB\xBF");
		csv_head(&c->out, rec, l->shown);
		return;
	}
	l->shown = members_of(&l->r, REST_LIST);
	if (l->format == FORMAT_DATA) {
		json_out_object(&c->json);
		json_out_key(&c->json, "data");
	}
	json_out_array(&c->json);
}

static void
handle_list(struct http_call *c)
{
	struct listing *l = arena_new(&c->arena, struct listing);
	struct err err;
	uint64_t limit;

	l->r = rest_of(c);
	if (!unsigned_query(c, "offset", 0, &l->q.offset) ||
	    !unsigned_query(c, "limit", 100, &limit) || !list_format(l) ||
	    !rest_sort(c, l->r.o->sorts, l->r.o->sort, &l->q) ||
	    (l->r.o->limit != NULL &&
		!l->r.o->limit(&l->r, REST_LIST, &l->filter)) ||
	    !add_filters(&l->r, &l->filter))
		return;
	l->left = limit == 0 ? UINT64_MAX : limit;
	list_begin(l);
	if (list_page(l, &err) != 0) {
		c->n_headers = 0;
		if (c->status == 200)
			rest_db_error(c, &err);
	} else if (list_goes_on(l)) {
		c->stream = list_next;
		c->stream_state = l;
		c->stream_end = list_free;
		return;
	} else {
		list_end(l);
	}
	list_fini(l);
}

static void
handle_count(struct http_call *c)
{
	struct rest r = rest_of(c);
	struct filter f = { 0 };
	struct err err;
	int64_t n;

	if ((r.o->limit != NULL && !r.o->limit(&r, REST_COUNT, &f)) ||
	    !add_filters(&r, &f))
		return;
	if (store_count(r.store, r.o->entity, &f, &n, &err) != 0)
		rest_db_error(c, &err);
	else
		rest_count(c, n);
}

/* --- routes -------------------------------------------------------------- */

static const struct verb {
	const char *method, *tail, *scope, *help;
	void (*handle)(struct http_call *c);
} verbs[REST_VERBS] = {
	[REST_ADD] = { "POST", "", "post", "Adds", handle_add },
	[REST_COUNT] = { "GET", "/count", "get", "Counts", handle_count },
	[REST_LIST] = { "GET", "/list", "get", "Lists", handle_list },
	[REST_GET] = { "GET", "/{id}", "get", "Shows", handle_get },
	[REST_PATCH] = { "PATCH", "/{id}", "patch", "Changes", handle_patch },
	[REST_DEL] = { "DELETE", "/{id}", "delete", "Deletes", handle_del },
};

/* What count and list may be asked for: the object's query, and its filters. */
static const struct record *
query_of(struct mount *m)
{
	const struct record *said = m->o->query;
	const struct rest_filter *x = m->o->filters;
	size_t n = 0, n_filters = 0;
	struct record *r;
	struct field *f;

	while (said != NULL && said->fields[n].name != NULL)
		n++;
	while (x != NULL && x[n_filters].param != NULL)
		n_filters++;
	f = arena_array(&m->arena, n + n_filters + 1, struct field);
	if (n > 0)
		memcpy(f, said->fields, n * sizeof(*f));
	for (; n_filters > 0; n_filters--, x++) {
		if (said != NULL &&
		    field_find(said, str_of(x->param), NULL, NULL) != NULL)
			continue;
		f[n++] = (struct field){ .name = x->param,
			.type = FIELD_TEXT,
			.help = arena_printf(&m->arena,
			    "Those whose %s %s this.", x->field,
			    x->op == COND_CONTAINS ? "contains"
				: x->op == COND_IN ? "is one of (a,b,c)"
						   : "is exactly")
				    .ptr };
	}
	r = arena_new(&m->arena, struct record);
	*r = (struct record){ m->o->name, 0, f };
	return r;
}

static void
fill_route(struct mount *m, enum rest_verb v, const char *prefix,
    struct http_route *route)
{
	const struct rest_object *o = m->o;
	const char *scope = o->scope != NULL ? o->scope : o->name;

	*route = (struct http_route){
		.method = verbs[v].method,
		.path = arena_printf(
		    &m->arena, "%s/%s%s", prefix, o->name, verbs[v].tail)
			    .ptr,
		.access = HTTP_TOKEN,
		.roles = o->roles[v],
		.scope = arena_printf(&m->arena, "%s.%s%s%s", scope,
		    verbs[v].scope, o->scope_tail != NULL ? "." : "",
		    o->scope_tail != NULL ? o->scope_tail : "")
			     .ptr,
		.handle = verbs[v].handle,
		.ctx = m,
		.flags = o->slow >> v & 1 ? HTTP_SLOW : 0,
		.help = arena_printf(&m->arena, "%s %s", verbs[v].help, o->help)
			    .ptr,
	};
	if (v == REST_COUNT || v == REST_LIST)
		route->query = query_of(m);
	if (v == REST_ADD)
		route->body =
		    (struct http_schema){ .record = &o->entity->record,
			    .members = o->add,
			    .extra = o->add_extra,
			    .beside = o->add_beside };
	if (v == REST_PATCH)
		route->body =
		    (struct http_schema){ .record = &o->entity->record,
			    .members = o->patch,
			    .extra = o->patch_extra,
			    .beside = o->patch_beside };
	if (v == REST_ADD)
		route->reply =
		    (struct http_schema){ .record = &o->entity->record,
			    .members = o->id,
			    .extra = o->added };
	if (v == REST_COUNT)
		route->reply = (struct http_schema){ .record = &rest_counted };
	if (v == REST_LIST || v == REST_GET)
		route->reply =
		    (struct http_schema){ .record = &o->entity->record,
			    .members = o->shown,
			    .extra = o->shown_more,
			    .sometimes = o->sometimes,
			    .list = v == REST_LIST };
}

/* What a mount can not offer because the object has no rows for it. */
static bool
offers(const struct rest_object *o, enum rest_verb v, unsigned flags)
{
	if (flags & REST_NO(v))
		return false;
	return (v != REST_ADD || o->add != NULL) &&
	    (v != REST_PATCH || o->patch != NULL);
}

/* Routes that were made, on the list of whoever ends them. */
struct rest_mounted {
	struct rest_mounted *next;
	struct mount *mount;     /* of an object, else NULL */
	struct http_route *rows; /* single ones, else NULL */
};

static void
keep(struct rest_mounts *m, struct mount *mount, struct http_route *rows)
{
	static struct rest_mounts for_ever;
	struct rest_mounted *x = mem_new(struct rest_mounted);

	if (m == NULL)
		m = &for_ever;
	x->mount = mount;
	x->rows = rows;
	x->next = m->first;
	m->first = x;
}

void
rest_mount(struct rest_mounts *mounts, const struct rest_object *o,
    const char *prefix, struct store *store, void *module, unsigned flags,
    http_add_routes *add, void *ctx)
{
	const struct record *rec = &o->entity->record;
	struct mount *m = mem_new(struct mount);
	size_t n = 0;

	m->o = o;
	m->store = store;
	m->module = module;
	m->flags = flags;
	m->shown =
	    o->shown != NULL ? field_bits(rec, o->shown, NULL) : FIELD_ALL;
	m->sometimes =
	    o->sometimes != NULL ? field_bits(rec, o->sometimes, NULL) : 0;
	m->csv = o->csv != NULL ? field_bits(rec, o->csv, NULL) : m->shown;
	for (int v = 0; v < REST_VERBS; v++)
		if (offers(o, (enum rest_verb)v, flags)) {
			m->by_verb[v] = &m->routes[n];
			fill_route(
			    m, (enum rest_verb)v, prefix, &m->routes[n++]);
		}
	m->versions = versions_of(mounts, store);
	versions_mounted(mounts, m);
	keep(mounts, m, NULL);
	add(ctx, m->routes);
}

void
rest_mount_rows(struct rest_mounts *mounts, const struct http_route *rows,
    const char *prefix, void *module, http_add_routes *add, void *ctx)
{
	size_t n = 0, text = 0;
	struct http_route *copy;
	char *path;

	while (rows[n].method != NULL)
		text += strlen(prefix) + strlen(rows[n++].path) + 1;
	copy = mem_alloc((n + 1) * sizeof(*copy) + text);
	path = (char *)&copy[n + 1];
	for (size_t i = 0; i < n; i++) {
		copy[i] = rows[i];
		copy[i].path = path;
		copy[i].ctx = module;
		path = stpcpy(stpcpy(path, prefix), rows[i].path) + 1;
	}
	keep(mounts, NULL, copy);
	add(ctx, copy);
}

void
rest_mounts_free(struct rest_mounts *m)
{
	struct rest_mounted *x, *next;

	for (x = m->first; x != NULL; x = next) {
		next = x->next;
		if (x->mount != NULL)
			arena_fini(&x->mount->arena);
		free(x->mount);
		free(x->rows);
		free(x);
	}
	m->first = NULL;
}

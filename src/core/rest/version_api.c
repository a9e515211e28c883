/*
 * core/rest/version_api.c - versions over HTTP: what there was, what differs,
 * and back again.
 *
 * A restore does what the caller's own PATCH or POST would: the steps are those
 * of rest.c, the access check is that of the object's own route. Objects that
 * were deleted by the same call come back with it, each for itself: what can
 * not is named in the answer.
 */
#include "core/rest/version_private.h"

#include "base/base.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* --- the caller's rights ------------------------------------------------- */

static struct versions *
versions_in(const struct rest *r)
{
	return r->module;
}

/* A request at an object of this kind, within one at a version. */
static struct rest
rest_at(struct http_call *c, struct versions *v, const struct version_kind *k)
{
	const struct mount *m = k->mount;

	return (struct rest){ c, k->o, m->store, m->module, m->flags, NULL, v,
		NULL };
}

/* The access check of the object's own call. False: answered. */
static bool
allowed(struct http_call *c, struct versions *v, const struct version_kind *k,
    enum rest_verb verb)
{
	const struct http_route *was = c->route, *as = k->mount->by_verb[verb];
	bool ok;

	if (as == NULL) /* no call of its own; the decisions stand */
		return true;
	c->route = as;
	ok = v->host.access(v->host.module, c);
	c->route = was;
	return ok;
}

/* The row of a version whose kind is known. False: answered. */
static bool
row_of(struct http_call *c, const struct version_kind *k,
    const struct rest_version *version, void **ret)
{
	struct err err;

	*ret = arena_alloc(&c->arena, k->entity->record.size);
	if (version_decode(k, &c->arena, version->object, *ret, &err) == 0)
		return true;
	http_error(c, 503, "err_int_msg", "this version can not be read: %s",
	    err.text);
	return false;
}

/* An object that is not there any more is whose it was last: not whose it was
 * in an older version. */
static bool
may_last(struct http_call *c, struct versions *v, const struct version_kind *k,
    struct str id)
{
	struct rest r = rest_at(c, v, k);
	struct store_query q = {
		.sort = { { "number", true } }, .n_sort = 1, .limit = 1
	};
	struct filter f = { 0 };
	struct rows rows;
	struct err err;
	void *object;

	if (v->host.may_gone == NULL)
		return false;
	filter_text(&f, "objectType", str_of(k->type));
	filter_text(&f, "objectId", id);
	q.filter = &f;
	if (store_all(v->host.store, &rest_version_entity, &q, &c->arena, &rows,
		&err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	return rows.n > 0 &&
	    row_of(c, k, (const struct rest_version *)rows.at, &object) &&
	    v->host.may_gone(&r, k->o, object);
}

static bool
version_may(struct rest *r, enum rest_verb verb, const void *row)
{
	struct versions *v = versions_in(r);
	const struct rest_version *version = row;
	const struct version_kind *k =
	    version_kind_named(v, version->object_type);
	struct rest as;
	void *object;

	if (k == NULL || k->o == NULL || k->mount == NULL ||
	    !row_of(r->c, k, version, &object))
		return false;
	as = rest_at(r->c, v, k);
	if (k->o->may != NULL && !k->o->may(&as, verb, object) &&
	    (r->c->status != 0 || !may_last(r->c, v, k, version->object_id)))
		return false;
	return allowed(r->c, v, k, REST_GET);
}

static bool
version_limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	struct versions *v = versions_in(r);
	struct rest as = *r;

	as.module = v->host.module;
	if (v->beside != NULL)
		filter_add(
		    f, "objectType", COND_NE, value_text(str_of(v->beside)));
	return v->host.limit(&as, verb, f);
}

/* --- what is shown ------------------------------------------------------- */

/* The object as its own GET shows it, without what no version has. */
static struct str
shown(struct http_call *c, struct versions *v, const struct version_kind *k,
    const void *row)
{
	const struct record *rec = &k->entity->record;
	void *copy = arena_alloc(&c->arena, rec->size);
	struct rest r = rest_at(c, v, k);
	struct buf b = { 0 };
	struct json_out o;
	struct str ret;

	memcpy(copy, row, rec->size);
	if (k->o->show != NULL)
		k->o->show(&r, REST_GET, copy);
	json_out_init(&o, &b, false);
	record_to_json(&o, rec, k->mount->shown & ~k->fleeting, copy);
	ret = arena_str(&c->arena, buf_str(&b));
	buf_free(&b);
	return ret;
}

struct version_more {
	struct str object;
};
static const struct field version_more_fields[] = {
	F_JSON(struct version_more, object, "object",
	    .flags = FIELD_OBJECT | FIELD_NULL | FIELD_ABSENT,
	    .help = "What it was; not in lists."),
	{ 0 },
};
static const struct record version_more_record = { "versionMore",
	sizeof(struct version_more), version_more_fields };

static void
version_more(struct rest *r, enum rest_verb verb, const void *row)
{
	struct versions *v = versions_in(r);
	const struct rest_version *version = row;
	const struct version_kind *k;
	struct version_more more;
	struct err err;
	void *object;

	if (verb != REST_GET)
		return;
	k = version_kind_named(v, version->object_type);
	object = arena_alloc(&r->c->arena, k->entity->record.size);
	if (version_decode(k, &r->c->arena, version->object, object, &err) != 0)
		return;
	more.object = shown(r->c, v, k, object);
	record_members_to_json(
	    &r->c->json, &version_more_record, FIELD_ALL, &more);
}

struct version_query {
	struct str unit, type, id, change, verb, user;
};

#define Q struct version_query
static const struct field query_fields[] = {
	F_TEXT(Q, unit, "unit",
	    .help = "Those of this unit; administrators may leave it out."),
	F_TEXT(Q, type, "type",
	    .help = "Of objects of this kind, as in paths: device-route."),
	F_TEXT(Q, id, "id", .help = "Of the object with this id."),
	F_TEXT(Q, change, "change", .help = "What one call has changed."),
	F_TEXT(
	    Q, verb, "verb", .help = "created, changed, deleted or restored."),
	F_TEXT(Q, user, "user", .help = "What this user has changed."),
	{ 0 },
};
static const struct record query_record = { "versionQuery", sizeof(Q),
	query_fields };

static const char version_shown[] =
    "versionId changeId unitId objectType objectId number time userId "
    "account verb comment";
static const struct rest_object version_object = {
	.name = "version",
	.entity = &rest_version_entity,
	.id = "versionId",
	.shown = version_shown,
	.filters = (const struct rest_filter[]){ { "type", "objectType",
						     COND_EQ },
	    { "id", "objectId", COND_EQ }, { "change", "changeId", COND_EQ },
	    { "verb", "verb", COND_EQ }, { "user", "userId", COND_EQ }, { 0 } },
	.shown_more = &version_more_record,
	.query = &query_record,
	.sorts = (const struct rest_sort[]){ { "time", "time" },
	    { "number", "number" }, { "type", "objectType" }, { 0 } },
	.sort = "time:desc,number:desc",
	.help = "versions: what objects were, who changed them, and when.",
	.limit = version_limit,
	.may = version_may,
	.more = version_more,
};

void
rest_version_to_json(struct buf *out, const struct rest_version *version)
{
	const struct record *rec = &rest_version_entity.record;
	struct json_out o;

	json_out_init(&o, out, false);
	record_to_json(&o, rec, field_bits(rec, version_shown, NULL), version);
}

/* --- what differs -------------------------------------------------------- */

struct difference {
	struct json_out *o;
	struct arena *arena;
	struct buf path;
	size_t n;
};

static void differ(struct difference *d, struct str before, struct str after);

/* At a place below; a text that is null is not there. */
static void
differ_at(struct difference *d, struct str name, size_t index,
    struct str before, struct str after)
{
	size_t len = d->path.len;

	if (name.ptr == NULL)
		buf_addf(&d->path, "[%zu]", index);
	else
		buf_addf(
		    &d->path, "%s" STR_FMT, len > 0 ? "." : "", STR_ARG(name));
	differ(d, before, after);
	d->path.len = len;
}

static void
differ_objects(struct difference *d, struct str before, struct str after)
{
	struct str key, value, other;
	struct json j;

	json_open(&j, before, 0, d->arena);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &value)) {
			other = json_find(d->arena, after, key);
			differ_at(d, key, 0, value, other);
		}
	json_open(&j, after, 0, d->arena);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &value))
			if (json_find(d->arena, before, key).ptr == NULL)
				differ_at(d, key, 0, STR_NULL, value);
}

static void
differ_arrays(struct difference *d, struct str before, struct str after)
{
	struct json x, y;
	bool more_x, more_y;

	json_open(&x, before, 0, d->arena);
	json_open(&y, after, 0, d->arena);
	more_x = json_array(&x);
	more_y = json_array(&y);
	for (size_t i = 0; more_x || more_y; i++) {
		struct str a = STR_NULL, b = STR_NULL;

		more_x = more_x && json_item(&x) && json_raw(&x, &a);
		more_y = more_y && json_item(&y) && json_raw(&y, &b);
		if (more_x || more_y)
			differ_at(d, STR_NULL, i, a, b);
	}
}

static void
differ(struct difference *d, struct str before, struct str after)
{
	enum json_type x = before.ptr != NULL ? json_type_of(before) : 0;
	enum json_type y = after.ptr != NULL ? json_type_of(after) : 0;

	if (before.ptr != NULL && after.ptr != NULL && str_eq(before, after))
		return;
	if (x == JSON_OBJECT && y == JSON_OBJECT) {
		differ_objects(d, before, after);
		return;
	}
	if (x == JSON_ARRAY && y == JSON_ARRAY) {
		differ_arrays(d, before, after);
		return;
	}
	d->n++;
	json_out_object(d->o);
	json_out_key(d->o, "path");
	json_out_str(d->o, buf_str(&d->path));
	if (before.ptr != NULL) {
		json_out_key(d->o, "before");
		json_out_raw(d->o, before);
	}
	if (after.ptr != NULL) {
		json_out_key(d->o, "after");
		json_out_raw(d->o, after);
	}
	json_out_end_object(d->o);
}

/* An array of {path, before, after}; returns how many. */
static size_t
write_difference(struct json_out *o, struct arena *a,
    const struct version_kind *k, struct str before, struct str after)
{
	struct difference d = { .o = o, .arena = a };
	const struct field *f = k->entity->record.fields;
	struct str x, y;

	json_out_array(o);
	for (size_t i = 0; f[i].name != NULL; i++) {
		struct str name = str_of(f[i].name);

		if (k->modified >> i & 1)
			continue;
		x = json_find(a, before, name);
		y = json_find(a, after, name);
		if (x.ptr != NULL || y.ptr != NULL)
			differ_at(&d, name, 0, x, y);
	}
	json_out_end_array(o);
	buf_free(&d.path);
	return d.n;
}

/* A version that the caller may see. False: answered. */
static bool
version_get(struct http_call *c, struct str id, enum rest_verb verb,
    struct rest_version *ret)
{
	struct versions *v = (struct versions *)c->route->ctx;
	struct rest r = { .c = c, .store = v->host.store, .module = v };
	struct filter f = { 0 };
	struct err err;
	bool found;

	filter_text(&f, "versionId", id);
	if (store_get(v->host.store, &rest_version_entity, &f, &c->arena, ret,
		&found, &err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	if (found && version_may(&r, verb, ret))
		return true;
	if (c->status == 0)
		http_error(c, 404, "err_not_found", NULL);
	return false;
}

/* The version before this one; false: answered. */
static bool
version_before(struct http_call *c, const struct rest_version *of,
    struct rest_version *ret, bool *found)
{
	struct versions *v = (struct versions *)c->route->ctx;
	struct store_query q = {
		.sort = { { "number", true } }, .n_sort = 1, .limit = 1
	};
	struct filter f = { 0 };
	struct rows rows;
	struct err err;

	filter_text(&f, "objectType", of->object_type);
	filter_text(&f, "objectId", of->object_id);
	filter_add(&f, "number", COND_LT, value_int(of->number));
	q.filter = &f;
	if (store_all(v->host.store, &rest_version_entity, &q, &c->arena, &rows,
		&err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	*found = rows.n > 0;
	if (*found)
		*ret = *(const struct rest_version *)rows.at;
	return true;
}

static void
handle_diff(struct http_call *c)
{
	struct versions *v = (struct versions *)c->route->ctx;
	struct str with = http_query(c, "with"), before = STR("{}"), after;
	const struct version_kind *k;
	struct rest_version version, other;
	bool found = true;
	struct json_out *o;
	void *row;

	if (!version_get(c, http_var(c, 0), REST_GET, &version))
		return;
	k = version_kind_named(v, version.object_type);
	if (with.len > 0 ? !version_get(c, with, REST_GET, &other)
			 : !version_before(c, &version, &other, &found))
		return;
	if (found && !str_eq(other.object_type, version.object_type)) {
		http_error(c, 400, "err_param",
		    "`with`: that is a version of a " STR_FMT
		    ", this one of a " STR_FMT,
		    STR_ARG(other.object_type), STR_ARG(version.object_type));
		return;
	}
	if (!row_of(c, k, &version, &row))
		return;
	after = shown(c, v, k, row);
	/* before the first there was nothing; what was deleted is what it was
	 */
	if (found && !row_of(c, k, &other, &row))
		return;
	if (found)
		before = shown(c, v, k, row);
	if (with.len == 0 && str_eqz(version.verb, "deleted")) {
		before = after;
		after = STR("{}");
	} else if (with.len == 0 && found && str_eqz(other.verb, "deleted")) {
		before = STR("{}");
	}
	o = http_json(c, 200);
	json_out_object(o);
	json_out_key(o, "data");
	(void)write_difference(o, &c->arena, k, before, after);
	json_out_end_object(o);
}

/* --- back again ---------------------------------------------------------- */

enum outcome { FAILED, SAME, CHANGED, BACK, GONE };

/* What a restore is about, and what has come of it. */
struct restoring {
	struct http_call *c;
	struct versions *v;
	const struct version_how *how;
	struct str before, after; /* of the first object, as shown */
};

/* Fields that may be null: there a version's null is one. */
static field_set_t
nullable(const struct record *rec)
{
	field_set_t set = 0;

	for (size_t i = 0; rec->fields[i].name != NULL; i++)
		if (rec->fields[i].flags & FIELD_NULL)
			set |= (field_set_t)1 << i;
	return set;
}

/* Reads a shown object as if it came in a body: with all checks. */
static bool
read_as_body(struct http_call *c, const struct record *rec, field_set_t fields,
    struct str json, struct rest_body *b)
{
	struct err err;
	struct json j;

	b->row = arena_alloc(&c->arena, rec->size);
	record_init(rec, b->row);
	json_open(&j, json, 0, &c->arena);
	if (record_from_json(
		&j, rec, fields, nullable(rec), b->row, &b->present, &err) == 0)
		return true;
	http_error(c, 400, "err_param",
	    "what this version has is not accepted any more: %s", err.text);
	return false;
}

/* What decisions may look into beside the row: nothing of it is there. */
static void *
empty(struct http_call *c, const struct record *rec)
{
	void *row;

	if (rec == NULL)
		return NULL;
	row = arena_alloc(&c->arena, rec->size);
	record_init(rec, row);
	return row;
}

/* Members that differ, and that a PATCH may have. */
static field_set_t
to_change(struct arena *a, const struct version_kind *k, struct str now,
    struct str wanted)
{
	const struct record *rec = &k->entity->record;
	field_set_t set = field_bits(rec, k->o->patch, NULL) & ~k->fleeting;
	struct str x, y;

	for (size_t i = 0; rec->fields[i].name != NULL; i++) {
		struct str name = str_of(rec->fields[i].name);

		if (!(set >> i & 1))
			continue;
		x = json_find(a, now, name);
		y = json_find(a, wanted, name);
		if (x.ptr != NULL && y.ptr != NULL && str_eq(x, y))
			set &= ~((field_set_t)1 << i);
	}
	return set;
}

static enum outcome
change_back(struct restoring *x, const struct version_kind *k, struct str id,
    const void *was, const void *current)
{
	struct rest r = rest_at(x->c, x->v, k);
	struct str wanted = shown(x->c, x->v, k, was);
	struct rest_body b = { 0 };
	field_set_t set = 0;
	void *row, *now;

	x->before = x->after = shown(x->c, x->v, k, current);
	if (k->mount->by_verb[REST_PATCH] != NULL)
		set = to_change(&x->c->arena, k, x->before, wanted);
	if (set == 0)
		return SAME;
	r.how = x->how;
	if (!allowed(x->c, x->v, k, REST_PATCH) ||
	    !read_as_body(x->c, &k->entity->record, set, wanted, &b))
		return FAILED;
	if (b.present == 0)
		return SAME;
	b.extra = empty(x->c, k->o->patch_extra);
	b.beside = empty(x->c, k->o->patch_beside);
	if (!rest_patch_row(&r, id, current, &b, &row))
		return FAILED;
	rest_patched(&r, current, row, &b);
	if (!rest_fetch(&r, REST_GET, id, &now))
		return FAILED;
	x->after = shown(x->c, x->v, k, now != NULL ? now : row);
	return CHANGED;
}

static enum outcome
make_again(struct restoring *x, const struct version_kind *k, const void *was)
{
	const struct record *rec = &k->entity->record;
	struct rest r = rest_at(x->c, x->v, k);
	struct rest_body b = { 0 };
	struct buf text = { 0 };
	struct json_out o;
	struct str json;
	struct err err;
	bool ok;

	if (k->mount->by_verb[REST_ADD] == NULL) {
		http_error(x->c, 400, "err_param",
		    "no call makes a %s: it comes again when its device is "
		    "heard",
		    k->type);
		return FAILED;
	}
	if (!allowed(x->c, x->v, k, REST_ADD))
		return FAILED;
	json_out_init(&o, &text, false);
	record_to_json(&o, rec, FIELD_ALL & ~k->fleeting, was);
	json = arena_str(&x->c->arena, buf_str(&text));
	buf_free(&text);
	ok = read_as_body(x->c, rec, FIELD_ALL & ~k->fleeting, json, &b);
	if (ok &&
	    record_defaults(rec, &x->c->arena,
		b.present | rest_without_default(rec), b.row, &err) != 0) {
		http_error(x->c, 500, "err_unknown", "%s", err.text);
		ok = false;
	}
	if (!ok)
		return FAILED;
	r.how = x->how;
	b.extra = empty(x->c, k->o->add_extra);
	b.beside = empty(x->c, k->o->add_beside);
	if (!rest_add_row(&r, &b))
		return FAILED;
	rest_added(&r, &b);
	x->before = STR("{}");
	x->after = shown(x->c, x->v, k, b.row);
	return BACK;
}

static bool
exists(struct http_call *c, struct store *s, const struct version_kind *k,
    struct str id, void **row)
{
	struct filter f = { 0 };
	struct err err;
	bool found;

	*row = arena_alloc(&c->arena, k->entity->record.size);
	filter_text(&f, k->id->name, id);
	if (store_get(s, k->entity, &f, &c->arena, *row, &found, &err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	if (!found)
		*row = NULL;
	return true;
}

/* Puts one object back to what a version has. FAILED: answered. */
static enum outcome
restore_one(struct restoring *x, const struct rest_version *version)
{
	const struct version_kind *k =
	    version_kind_named(x->v, version->object_type);
	void *was, *current;
	struct rest r;

	if (k == NULL || k->o == NULL || k->mount == NULL) {
		http_error(x->c, 400, "err_param",
		    "objects of this kind can not be restored");
		return FAILED;
	}
	if (!row_of(x->c, k, version, &was) ||
	    !exists(x->c, k->mount->store, k, version->object_id, &current))
		return FAILED;
	if (current == NULL)
		return make_again(x, k, was);
	r = rest_at(x->c, x->v, k);
	if (k->o->may != NULL && !k->o->may(&r, REST_PATCH, current)) {
		if (x->c->status == 0)
			http_error(x->c, 404, "err_not_found", NULL);
		return FAILED;
	}
	return change_back(x, k, version->object_id, was, current);
}

/* --- what went with it --------------------------------------------------- */

struct companion {
	const struct rest_version *version;
	const struct version_kind *kind;
	/* for undo */
	struct rest_version before;
	bool has_before, newest, gone;
};

static int
by_order(const void *a, const void *b)
{
	const struct companion *x = a, *y = b;

	if (x->kind->order != y->kind->order)
		return x->kind->order < y->kind->order ? -1 : 1;
	return str_cmp(x->version->version_id, y->version->version_id);
}

/* All that the same call has done to others, in the order in which it can be
 * made; `verb` NULL: whatever it was. False: answered. */
static bool
load_companions(struct restoring *x, const struct rest_version *of,
    const char *verb, struct companion **ret, size_t *n)
{
	const struct rest_version *all;
	struct store_query q = { 0 };
	struct filter f = { 0 };
	struct rows rows;
	struct err err;

	filter_text(&f, "changeId", of->change_id);
	if (verb != NULL)
		filter_text(&f, "verb", str_of(verb));
	q.filter = &f;
	if (store_all(x->v->host.store, &rest_version_entity, &q, &x->c->arena,
		&rows, &err) != 0) {
		rest_db_error(x->c, &err);
		return false;
	}
	all = rows.at;
	*ret = arena_array(&x->c->arena, rows.n + 1, struct companion);
	*n = 0;
	for (size_t i = 0; i < rows.n; i++) {
		const struct version_kind *k =
		    version_kind_named(x->v, all[i].object_type);

		if (k != NULL && !str_eq(all[i].version_id, of->version_id))
			(*ret)[(*n)++] =
			    (struct companion){ .version = &all[i], .kind = k };
	}
	if (*n > 1)
		qsort(*ret, *n, sizeof(**ret), by_order);
	return true;
}

/* A row beside an object that has come back: it has no call of its own, and
 * goes where the object is again. */
static void
revive(struct restoring *x, const struct companion *it)
{
	struct versions *v = x->v;
	struct err err;
	void *was, *current;

	was = arena_alloc(&x->c->arena, it->kind->entity->record.size);
	if (!exists(x->c, v->host.store, it->kind, it->version->object_id,
		&current) ||
	    current != NULL ||
	    version_decode(
		it->kind, &x->c->arena, it->version->object, was, &err) != 0 ||
	    store_add(v->host.store, it->kind->entity, was, &err) != 0)
		return;
	if (v->host.revived != NULL)
		v->host.revived(x->c, v->host.module, it->kind->entity, was);
}

static void
write_failed(
    struct json_out *o, struct http_call *c, const struct rest_version *version)
{
	struct str text = arena_str(&c->arena, buf_str(&c->out)), part;

	json_out_object(o);
	json_out_key(o, "objectType");
	json_out_str(o, version->object_type);
	json_out_key(o, "objectId");
	json_out_str(o, version->object_id);
	part = json_find(&c->arena, text, STR("code"));
	if (part.ptr != NULL) {
		json_out_key(o, "code");
		json_out_raw(o, part);
	}
	part = json_find(&c->arena, text, STR("message"));
	if (part.ptr != NULL) {
		json_out_key(o, "message");
		json_out_raw(o, part);
	}
	json_out_end_object(o);
}

/* What has been answered so far is forgotten. */
static void
forget_answer(struct http_call *c)
{
	c->status = 0;
	c->type = NULL;
	buf_clear(&c->out);
}

static void
write_back(struct json_out *o, const struct rest_version *version)
{
	json_out_object(o);
	json_out_key(o, "objectType");
	json_out_str(o, version->object_type);
	json_out_key(o, "objectId");
	json_out_str(o, version->object_id);
	json_out_end_object(o);
}

struct lists {
	struct buf back_text, failed_text;
	struct json_out back, failed;
};

static void
lists_init(struct lists *l)
{
	*l = (struct lists){ 0 };
	json_out_init(&l->back, &l->back_text, false);
	json_out_init(&l->failed, &l->failed_text, false);
	json_out_array(&l->back);
	json_out_array(&l->failed);
}

static void
lists_fini(struct lists *l)
{
	buf_free(&l->back_text);
	buf_free(&l->failed_text);
}

/* One that is not there comes back. */
static void
bring_back(struct restoring *x, const struct companion *it, struct lists *l)
{
	void *current;

	if (it->kind->o == NULL) {
		revive(x, it);
	} else if (!exists(x->c, it->kind->mount->store, it->kind,
		       it->version->object_id, &current)) {
		write_failed(&l->failed, x->c, it->version);
	} else if (current == NULL) {
		if (restore_one(x, it->version) == BACK)
			write_back(&l->back, it->version);
		else
			write_failed(&l->failed, x->c, it->version);
	}
	forget_answer(x->c);
}

/* What was deleted with it. False: answered. */
static bool
bring_back_all(
    struct restoring *x, const struct rest_version *of, struct lists *l)
{
	const struct restoring first = *x;
	struct companion *all;
	size_t n;

	if (!load_companions(x, of, "deleted", &all, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		bring_back(x, &all[i], l);
	*x = first;
	return true;
}

/* --- the calls ----------------------------------------------------------- */

/* Members that are still others than the version has them. */
static void
write_kept(struct json_out *o, struct arena *a, const struct version_kind *k,
    struct str is, struct str wanted)
{
	const struct field *f = k->entity->record.fields;
	struct str x, y;

	json_out_array(o);
	for (size_t i = 0; f[i].name != NULL; i++) {
		struct str name = str_of(f[i].name);

		if (k->modified >> i & 1 || str_eqz(name, "createdAt"))
			continue;
		x = json_find(a, is, name);
		y = json_find(a, wanted, name);
		if (x.ptr != NULL && y.ptr != NULL && !str_eq(x, y))
			json_out_str(o, name);
	}
	json_out_end_array(o);
}

static void
write_outcome(struct restoring *x, const struct rest_version *version,
    enum outcome did, struct str wanted, struct lists *l)
{
	static const char *const words[] = { [SAME] = "nothing",
		[CHANGED] = "changed",
		[BACK] = "restored",
		[GONE] = "deleted" };
	const struct version_kind *k =
	    version_kind_named(x->v, version->object_type);
	struct json_out *o = rest_data(x->c);

	json_out_end_array(&l->back);
	json_out_end_array(&l->failed);
	json_out_key(o, "versionId");
	json_out_str(o, version_made(x->c));
	json_out_key(o, "objectType");
	json_out_str(o, version->object_type);
	json_out_key(o, "objectId");
	json_out_str(o, version->object_id);
	json_out_key(o, "done");
	json_out_str(o, str_of(words[did]));
	json_out_key(o, "changed");
	(void)write_difference(o, &x->c->arena, k, x->before, x->after);
	json_out_key(o, "kept");
	write_kept(o, &x->c->arena, k, x->after, wanted);
	json_out_key(o, "restored");
	json_out_raw(o, buf_str(&l->back_text));
	json_out_key(o, "failed");
	json_out_raw(o, buf_str(&l->failed_text));
	rest_data_end(x->c);
	lists_fini(l);
}

static const struct version_how *
how_to(struct http_call *c, const struct rest_version *to)
{
	struct version_how *how = arena_new(&c->arena, struct version_how);

	how->verb = "restored";
	how->comment =
	    arena_printf(&c->arena, "version %lld", (long long)to->number);
	return how;
}

/* Puts the object of `to` back to what it has, and answers. */
static void
restore(struct restoring *x, const struct rest_version *to)
{
	const struct version_kind *k =
	    version_kind_named(x->v, to->object_type);
	enum outcome rc;
	struct lists l;
	void *was;

	x->how = how_to(x->c, to);
	rc = restore_one(x, to);
	if (rc == FAILED)
		return;
	forget_answer(x->c);
	lists_init(&l);
	if ((str_eqz(to->verb, "deleted") && !bring_back_all(x, to, &l)) ||
	    !row_of(x->c, k, to, &was))
		lists_fini(&l);
	else
		write_outcome(x, to, rc, shown(x->c, x->v, k, was), &l);
}

static void
handle_restore(struct http_call *c)
{
	struct restoring x = { .c = c, .v = (struct versions *)c->route->ctx };
	struct rest_version version;

	if (version_get(c, http_var(c, 0), REST_PATCH, &version))
		restore(&x, &version);
}

/* --- undoing ------------------------------------------------------------- */

/* Deletes an object that was made. */
static enum outcome
unmake(struct restoring *x, const struct version_kind *k, struct str id)
{
	struct rest r = rest_at(x->c, x->v, k);
	void *row;

	x->before = x->after = STR("{}");
	if (k->mount->by_verb[REST_DEL] == NULL) {
		http_error(x->c, 400, "err_param",
		    "objects of this kind can not be deleted");
		return FAILED;
	}
	if (!allowed(x->c, x->v, k, REST_DEL) ||
	    !rest_fetch(&r, REST_DEL, id, &row))
		return FAILED;
	if (row == NULL)
		return GONE;
	x->before = shown(x->c, x->v, k, row);
	if (!rest_del_row(&r, id, row))
		return FAILED;
	rest_deleted(&r, row);
	return GONE;
}

/* What a version says the object was afterwards is what it is now? And what was
 * it before? False: answered. */
static bool
look_around(struct http_call *c, struct companion *it)
{
	struct versions *v = (struct versions *)c->route->ctx;
	struct store_query q = {
		.sort = { { "number", true } }, .n_sort = 1, .limit = 1
	};
	const struct rest_version *newest;
	struct filter f = { 0 };
	struct rows rows;
	struct err err;

	filter_text(&f, "objectType", it->version->object_type);
	filter_text(&f, "objectId", it->version->object_id);
	q.filter = &f;
	if (store_all(v->host.store, &rest_version_entity, &q, &c->arena, &rows,
		&err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	newest = rows.at;
	it->newest = rows.n == 0 || newest->number == it->version->number;
	it->gone = rows.n > 0 && str_eqz(newest->verb, "deleted");
	return version_before(c, it->version, &it->before, &it->has_before);
}

static bool
was_made(const struct companion *it)
{
	return str_eqz(it->version->verb, "created") ||
	    (str_eqz(it->version->verb, "restored") &&
		(!it->has_before || str_eqz(it->before.verb, "deleted")));
}

/* Somebody has changed it since, and that is not undone by accident. */
static enum outcome
refuse_later(struct http_call *c)
{
	http_error(c, 409, "err_version",
	    "it has been changed since: look at its versions and restore the "
	    "one that is wanted");
	return FAILED;
}

/* FAILED: answered. Else `to` is what it was put back to, if it is there. */
static enum outcome
undo_one(struct restoring *x, const struct companion *it,
    const struct rest_version **to)
{
	*to = NULL;
	x->how = NULL;
	if (!it->newest)
		return refuse_later(x->c);
	if (was_made(it))
		return unmake(x, it->kind, it->version->object_id);
	if (str_eqz(it->version->verb, "deleted")) {
		*to = it->version;
	} else if (it->has_before) {
		*to = &it->before;
	} else {
		http_error(x->c, 409, "err_version",
		    "what it was before is not kept any more");
		return FAILED;
	}
	x->how = how_to(x->c, *to);
	return restore_one(x, *to);
}

/* Is there something in it that a call can put back? What follows others by
 * itself, as the code of a network in its devices, is back with them. */
static bool
says_more(struct restoring *x, const struct companion *it)
{
	const struct version_kind *k = it->kind;
	void *row, *before;

	if (k->mount->by_verb[REST_PATCH] == NULL)
		return false;
	if (!it->has_before || !row_of(x->c, k, it->version, &row) ||
	    !row_of(x->c, k, &it->before, &before)) {
		forget_answer(x->c);
		return true;
	}
	return to_change(&x->c->arena, k, shown(x->c, x->v, k, row),
		   shown(x->c, x->v, k, before)) != 0;
}

/* The same call has made, changed or deleted this, too. */
static void
undo_companion(struct restoring *x, const struct companion *it, struct lists *l)
{
	const struct rest_version *to;

	if (str_eqz(it->version->verb, "deleted")) {
		x->how = how_to(x->c, it->version);
		bring_back(x, it, l);
		return;
	}
	if (it->kind->o == NULL || it->kind->mount == NULL ||
	    (was_made(it) ? it->gone : !says_more(x, it)))
		return;
	if (undo_one(x, it, &to) == FAILED)
		write_failed(&l->failed, x->c, it->version);
	else if (to != NULL)
		write_back(&l->back, it->version);
	forget_answer(x->c);
}

/* Takes back all that the call has done that made this version: this object
 * first; then what was made goes, the last first; then what was changed or
 * deleted is put back. */
static void
handle_undo(struct http_call *c)
{
	struct restoring x = { .c = c,
		.v = (struct versions *)c->route->ctx,
		.before = STR_NULL };
	struct rest_version version;
	struct companion it = { .version = &version }, *all;
	const struct rest_version *to;
	struct restoring first;
	enum outcome rc;
	struct lists l;
	void *was;
	size_t n;

	if (!version_get(c, http_var(c, 0), REST_PATCH, &version) ||
	    !look_around(c, &it) ||
	    !load_companions(&x, &version, NULL, &all, &n))
		return;
	for (size_t i = 0; i < n; i++)
		if (!look_around(c, &all[i]))
			return;
	it.kind = version_kind_named(x.v, version.object_type);
	rc = undo_one(&x, &it, &to);
	if (rc == FAILED)
		return;
	forget_answer(c);
	first = x;
	lists_init(&l);
	for (size_t i = n; i > 0; i--)
		if (was_made(&all[i - 1]))
			undo_companion(&x, &all[i - 1], &l);
	for (size_t i = 0; i < n; i++)
		if (!was_made(&all[i]))
			undo_companion(&x, &all[i], &l);
	x = first;
	if (to == NULL)
		write_outcome(&x, &version, rc, STR("{}"), &l);
	else if (row_of(c, it.kind, to, &was))
		write_outcome(&x, to, rc, shown(c, x.v, it.kind, was), &l);
	else
		lists_fini(&l);
}

/* --- routes -------------------------------------------------------------- */

struct diff_query {
	struct str with;
};
static const struct field diff_query_fields[] = {
	F_TEXT(struct diff_query, with, "with",
	    .help = "The version to compare with; else the one before."),
	{ 0 },
};
static const struct record diff_query_record = { "diffQuery",
	sizeof(struct diff_query), diff_query_fields };

struct differs {
	struct str path, before, after;
};
#define D struct differs
#define DIFFERS                                                                \
	F_TEXT(D, path, "path", .help = "The member: \"info.room\"."),         \
	    F_JSON(D, before, "before", .flags = FIELD_NULL | FIELD_ABSENT,    \
		.help = "Left out: it was not there."),                        \
	    F_JSON(D, after, "after", .flags = FIELD_NULL | FIELD_ABSENT)
static const struct field differs_fields[] = { DIFFERS, { 0 } };
static const struct record differs_record = { "versionDifference", sizeof(D),
	differs_fields };

struct companion_shown {
	struct str object_type, object_id, code, message;
};
#define S struct companion_shown
static const struct field companion_fields[] = {
	F_TEXT(S, object_type, "objectType"),
	F_TEXT(S, object_id, "objectId"),
	F_TEXT(S, code, "code", .flags = FIELD_NULL | FIELD_ABSENT,
	    .help = "Why it did not come back."),
	F_TEXT(S, message, "message", .flags = FIELD_NULL | FIELD_ABSENT),
	{ 0 },
};
static const struct record companion_record = { "versionCompanion", sizeof(S),
	companion_fields };

struct restored {
	struct str version_id, object_type, object_id, done;
	struct rows changed;
	struct strs kept;
	struct rows restored, failed;
};
#define R struct restored
static const struct field restored_fields[] = {
	F_TEXT(R, version_id, "versionId", .flags = FIELD_NULL,
	    .help = "The version it made; null: none was needed."),
	F_TEXT(R, object_type, "objectType"),
	F_TEXT(R, object_id, "objectId"),
	F_TEXT(R, done, "done",
	    .help = "changed, restored: it had been deleted; deleted: by undo; "
		    "or nothing."),
	F_RECORDS(R, changed, "changed", .record = &differs_record),
	F_TEXTS(R, kept, "kept",
	    .help = "Members that stayed as they are, since no call changes "
		    "them."),
	F_RECORDS(R, restored, "restored", .record = &companion_record,
	    .help = "What had gone or changed with it and is as it was."),
	F_RECORDS(R, failed, "failed", .record = &companion_record,
	    .help = "What had gone, come or changed with it and is not as it "
		    "was."),
	{ 0 },
};
static const struct record restored_record = { "versionRestored", sizeof(R),
	restored_fields };

static const struct http_route version_rows[] = {
	{ "GET", "/version/{id}/diff", HTTP_TOKEN, .scope = "version.get.diff",
	    .query = &diff_query_record,
	    .reply = { .record = &differs_record, .list = true },
	    .handle = handle_diff,
	    .help = "What is different in a version, member by member." },
	{ "POST", "/version/{id}/restore", HTTP_TOKEN,
	    .scope = "version.post.restore",
	    .reply = { .record = &restored_record }, .handle = handle_restore,
	    .help = "Puts the object back to what it was, also when it was "
		    "deleted." },
	{ "POST", "/version/{id}/undo", HTTP_TOKEN,
	    .scope = "version.post.undo",
	    .reply = { .record = &restored_record }, .handle = handle_undo,
	    .help = "Takes the change back that made this version, with all "
		    "that the same call has changed, when it is the object's "
		    "newest." },
	{ 0 },
};

void
versions_mount(struct rest_mounts *m, struct versions *v, const char *prefix,
    unsigned flags, http_add_routes *add, void *ctx)
{
	rest_mount_rows(m, version_rows, prefix, v, add, ctx);
	rest_mount(m, &version_object, prefix, v != NULL ? v->host.store : NULL,
	    v,
	    flags | REST_NO(REST_ADD) | REST_NO(REST_PATCH) | REST_NO(REST_DEL),
	    add, ctx);
}

/*
 * core/rest/version.c - see version.h: recording, and what is kept.
 *
 * The store tells of each row that a transaction changes (struct store_watch).
 * An object that is changed for the first time gets what it was as its first
 * version, so that there is something to go back to. version_api.c serves it.
 */
#include "core/rest/version_private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define V struct rest_version
static const struct field version_fields[] = {
	F_TEXT(V, version_id, "versionId", .help = "Identifies the version."),
	F_TEXT(V, change_id, "changeId",
	    .help = "The same for all that one call has changed: the id of the "
		    "first of these versions."),
	F_TEXT(V, unit_id, "unitId", .flags = FIELD_NULL | FIELD_EMPTY,
	    .help = "The unit of the object; null: it is of none."),
	F_TEXT(V, object_type, "objectType",
	    .help = "What kind of object, as in paths: \"device-route\"."),
	F_TEXT(V, object_id, "objectId", .help = "The object."),
	F_INT(V, number, "number", .help = "1, 2, 3 of this object."),
	F_TIME(V, time, "time", .help = "When it was changed."),
	F_TEXT(V, user_id, "userId", .flags = FIELD_NULL,
	    .help = "Who did it; null: nobody's call."),
	F_TEXT(V, account, "account", .flags = FIELD_NULL,
	    .help = "The account of that user."),
	F_TEXT(
	    V, verb, "verb", .help = "created, changed, deleted or restored."),
	F_TEXT(V, comment, "comment", .flags = FIELD_NULL,
	    .help = "More about it."),
	F_JSON(V, object, "object", .flags = FIELD_SECRET,
	    .help = "The object after the change; deleted: before it."),
	{ 0 },
};
const struct entity rest_version_entity = {
	.record = { "version", sizeof(V), version_fields },
	.table = "version",
	.version = 1,
	.keys = (const struct entity_key[]){ { "versionId", { "versionId" } },
	    { "number", { "objectType", "objectId", "number" } }, { 0 } },
	.indexes =
	    (const struct entity_key[]){ { "unitId", { "unitId", "time" } },
		{ "changeId", { "changeId" } }, { "time", { "time" } }, { 0 } },
	.help = "What an object was: who changed what, and when.",
};

#define C struct versions_conf
const struct conf_field versions_fields[] = {
	CONF_INT(C, per_object, "perObject", .def = "100", .min = 2,
	    .max = 100000, .help = "Versions that are kept of one object."),
	CONF_MS(C, age_ms, "maxAge", .def = "365d", .min = 3600000,
	    .max = (int64_t)36500 * 86400000,
	    .help = "Older versions are removed."),
	CONF_INT(C, total, "max", .def = "200000", .min = 100, .max = 100000000,
	    .help = "Versions that are kept in each store; above that the "
		    "oldest are removed."),
	CONF_INT(C, change_max, "changeMax", .def = "10000", .min = 1,
	    .max = 1000000,
	    .help = "Versions that one call may make; what else it changes "
		    "or deletes can not be restored."),
	{ 0 },
};
#undef C

/* --- kinds --------------------------------------------------------------- */

struct versions *
versions_new(const struct versions_conf *conf, const struct versions_host *host)
{
	struct versions *v = mem_new(struct versions);

	v->conf = *conf;
	v->host = *host;
	return v;
}

void
versions_free(struct versions *v)
{
	free(v);
}

static unsigned
order_of(const struct versions *v, const struct entity *e)
{
	unsigned i = 0;

	while (v->host.entities[i] != NULL && v->host.entities[i] != e)
		i++;
	return i;
}

static struct version_kind *
add_kind(struct versions *v, const struct entity *e)
{
	struct version_kind *k = &v->kinds[v->n_kinds];

	if (v->n_kinds == KINDS_MAX)
		abort(); /* our bug */
	v->n_kinds++;
	k->entity = e;
	k->order = order_of(v, e);
	return k;
}

void
versions_add(struct versions *v, const struct rest_object *o)
{
	const struct record *rec = &o->entity->record;
	struct version_kind *k = add_kind(v, o->entity);
	const char *modified = rest_modified_field(o);

	k->o = o;
	k->type = o->name;
	k->id = field_find(rec, str_of(o->id), NULL, NULL);
	k->unit = field_find(rec, STR("unitId"), NULL, NULL);
	if (o->fleeting != NULL)
		k->fleeting = field_bits(rec, o->fleeting, NULL);
	if (field_find(rec, str_of(modified), NULL, NULL) != NULL)
		k->modified = field_bit(rec, modified);
}

void
versions_add_beside(struct versions *v, const struct entity *e)
{
	struct version_kind *k = add_kind(v, e);

	k->type = e->record.name;
	k->id =
	    field_find(&e->record, str_of(e->keys[0].fields[0]), NULL, NULL);
	v->beside = k->type;
}

const struct version_kind *
version_kind_of(const struct versions *v, const struct entity *e)
{
	for (size_t i = 0; i < v->n_kinds; i++)
		if (v->kinds[i].entity == e)
			return &v->kinds[i];
	return NULL;
}

const struct version_kind *
version_kind_named(const struct versions *v, struct str type)
{
	for (size_t i = 0; i < v->n_kinds; i++)
		if (str_eqz(type, v->kinds[i].type))
			return &v->kinds[i];
	return NULL;
}

struct versions *
versions_of(const struct rest_mounts *m, struct store *s)
{
	for (size_t i = 0; m != NULL && s != NULL && i < 2; i++)
		if (m->versions[i] != NULL && m->versions[i]->host.store == s)
			return m->versions[i];
	return NULL;
}

void
versions_mounted(const struct rest_mounts *all, const struct mount *m)
{
	for (size_t n = 0; all != NULL && n < 2; n++) {
		struct versions *v = all->versions[n];

		for (size_t i = 0; v != NULL && i < v->n_kinds; i++)
			if (v->kinds[i].o == m->o && v->kinds[i].mount == NULL)
				v->kinds[i].mount = m;
	}
}

/* --- rows as they are kept ----------------------------------------------- */

struct str
version_text(const struct field *f, const void *row)
{
	return f == NULL ? STR_NULL
			 : field_get(f, (const char *)row + f->offset).text;
}

/* A row as JSON, with the defaults in the place of what is in `without`. */
static int
encode(const struct version_kind *k, struct arena *a, field_set_t without,
    const void *row, struct str *ret, struct err *err)
{
	const struct record *rec = &k->entity->record;
	void *copy = arena_alloc(a, rec->size);
	void *blank = arena_alloc(a, rec->size);
	struct buf b = { 0 };
	int rc;

	memcpy(copy, row, rec->size);
	record_init(rec, blank);
	rc = record_defaults(rec, a, ~without, blank, err);
	if (rc != 0)
		return rc;
	rest_overlay(rec, without, copy, blank);
	record_encode(&b, rec, copy);
	*ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return 0;
}

int
version_decode(const struct version_kind *k, struct arena *a, struct str text,
    void *row, struct err *err)
{
	record_init(&k->entity->record, row);
	return record_decode(text, &k->entity->record, a, row, err);
}

/* --- recording ----------------------------------------------------------- */

struct made {
	const struct version_kind *kind;
	const void *old, *row;
	struct rest_version version;
};

/* One transaction that is recorded. */
struct recording {
	struct versions *v;
	const struct version_how *how;
	struct arena *arena;
	store_tx_fn *fn;
	void *ctx;
	int64_t now;
	struct str user_id, account;
	struct str made_before; /* the first version of the call so far */
	struct str change_id;   /* the call's first version names the change */
	struct made *made;
	size_t n, cap;
	int64_t lost;
};

static bool
wants(void *ctx, const struct entity *e)
{
	const struct recording *r = ctx;

	return version_kind_of(r->v, e) != NULL;
}

static int
note_newest(void *ctx, const void *row, struct err *err)
{
	(void)err;
	*(int64_t *)ctx = ((const struct rest_version *)row)->number;
	return 0;
}

static int
newest_number(struct store *tx, struct str type, struct str id, int64_t *ret,
    struct err *err)
{
	struct store_query q = {
		.sort = { { "number", true } }, .n_sort = 1, .limit = 1
	};
	struct filter f = { 0 };

	*ret = 0;
	filter_text(&f, "objectType", type);
	filter_text(&f, "objectId", id);
	q.filter = &f;
	return store_list(tx, &rest_version_entity, &q, note_newest, ret, err);
}

static int
prune(struct store *tx, const struct recording *r,
    const struct rest_version *version, struct err *err)
{
	struct filter f = { 0 };

	if (version->number <= r->v->conf.per_object)
		return 0;
	filter_text(&f, "objectType", version->object_type);
	filter_text(&f, "objectId", version->object_id);
	filter_add(&f, "number", COND_LE,
	    value_int(version->number - r->v->conf.per_object));
	return store_del(tx, &rest_version_entity, &f, NULL, err);
}

/* What it was before anybody kept its versions. */
static int
add_first(struct store *tx, struct recording *r, const struct version_kind *k,
    struct rest_version *version, const void *old, struct err *err)
{
	const struct field *f = field_find(
	    &k->entity->record, str_of(rest_modified_field(k->o)), NULL, NULL);
	struct rest_version first = *version;
	int rc;

	first.version_id = rand_id(r->arena, r->now, ID_LONG);
	first.change_id = first.version_id;
	first.number = 1;
	first.user_id = first.account = STR_NULL;
	first.verb = STR("created");
	first.comment = STR("as it was before its first recorded change");
	if (f != NULL && f->type == FIELD_TIME) {
		struct value v = field_get(f, (const char *)old + f->offset);

		if (!v.null)
			first.time = v.num;
	}
	rc = encode(k, r->arena, k->fleeting, old, &first.object, err);
	version->number = 2;
	return rc != 0 ? rc : store_add(tx, &rest_version_entity, &first, err);
}

/* True when nothing that counts is another. */
static int
is_same(struct recording *r, const struct version_kind *k, const void *old,
    const void *row, bool *ret, struct err *err)
{
	field_set_t without = k->fleeting | k->modified;
	struct str x, y;
	int rc = encode(k, r->arena, without, old, &x, err);

	if (rc == 0)
		rc = encode(k, r->arena, without, row, &y, err);
	if (rc == 0)
		*ret = str_eq(x, y);
	return rc;
}

static const void *
copy_of(struct recording *r, const struct version_kind *k, const void *row)
{
	void *copy;

	if (row == NULL)
		return NULL;
	copy = arena_alloc(r->arena, k->entity->record.size);
	record_copy(&k->entity->record, r->arena, copy, row);
	return copy;
}

static int
note_row(void *ctx, struct store *tx, const struct entity *e, const void *old,
    const void *row, struct err *err)
{
	struct recording *r = ctx;
	const struct version_kind *k = version_kind_of(r->v, e);
	const void *is = row != NULL ? row : old;
	struct rest_version version;
	bool same = false;
	int rc = 0;

	if (k->o == NULL ? row != NULL : row == NULL && k->o->add == NULL)
		return 0; /* beside others it matters only when it goes, and
			   * what no call makes not then */
	if (old != NULL && row != NULL)
		rc = is_same(r, k, old, row, &same, err);
	if (rc != 0 || same)
		return rc;
	if (r->n >= (size_t)r->v->conf.change_max) {
		r->lost++;
		return 0;
	}
	version = (struct rest_version){ .version_id =
					     rand_id(r->arena, r->now, ID_LONG),
		.change_id = r->change_id,
		.unit_id = version_text(k->unit, is),
		.object_type = str_of(k->type),
		.object_id = version_text(k->id, is),
		.time = r->now,
		.user_id = r->user_id,
		.account = r->account,
		.verb = row == NULL  ? STR("deleted")
		    : r->how != NULL ? str_of(r->how->verb)
		    : old == NULL    ? STR("created")
				     : STR("changed"),
		.comment = r->how != NULL ? r->how->comment : STR_NULL };
	if (version.change_id.ptr == NULL)
		version.change_id = r->change_id = version.version_id;
	if (version.unit_id.len == 0)
		version.unit_id = STR_NULL;
	rc = newest_number(
	    tx, version.object_type, version.object_id, &version.number, err);
	if (rc == 0 && version.number++ == 0 && old != NULL && row != NULL)
		rc = add_first(tx, r, k, &version, old, err);
	if (rc == 0)
		rc = encode(k, r->arena, k->fleeting, is, &version.object, err);
	if (rc == 0)
		rc = store_add(tx, &rest_version_entity, &version, err);
	if (rc == 0)
		rc = prune(tx, r, &version, err);
	if (rc != 0)
		return rc;
	if (r->n == r->cap) {
		struct made *more;

		r->cap = r->cap == 0 ? 8 : r->cap * 4;
		more = arena_array(r->arena, r->cap, struct made);
		if (r->n > 0)
			memcpy(more, r->made, r->n * sizeof(*more));
		r->made = more;
	}
	version.object_id = arena_str(r->arena, version.object_id);
	if (version.unit_id.ptr != NULL)
		version.unit_id = arena_str(r->arena, version.unit_id);
	r->made[r->n++] =
	    (struct made){ k, copy_of(r, k, old), copy_of(r, k, row), version };
	return 0;
}

int
versions_note(struct store *tx, const struct entity *e, const void *old,
    const void *row, struct err *err)
{
	const struct store_watch *w = store_watch_of(tx);

	if (w == NULL || !w->wants(w->ctx, e))
		return 0;
	return w->row(w->ctx, tx, e, old, row, err);
}

/* Says in the first version what is not among the others. */
static int
tell_lost(struct store *tx, struct recording *r, struct err *err)
{
	struct rest_version *first = &r->made[0].version;
	struct change change = { .field = "comment" };
	struct filter f = { 0 };

	first->comment = arena_printf(r->arena,
	    "%lld more rows went or changed with it and were not recorded",
	    (long long)r->lost);
	change.value = value_text(first->comment);
	filter_text(&f, "versionId", first->version_id);
	return store_update(
	    tx, &rest_version_entity, &f, &change, 1, NULL, err);
}

static int
run(struct store *tx, void *ctx, struct err *err)
{
	struct recording *r = ctx;
	int rc;

	r->n = 0; /* it may run again */
	r->lost = 0;
	r->change_id = r->made_before;
	rc = r->fn(tx, r->ctx, err);
	if (rc == 0 && r->lost > 0)
		rc = tell_lost(tx, r, err);
	return rc;
}

struct str
version_made(const struct http_call *c)
{
	for (size_t i = 0; c != NULL && i < c->n_headers; i++)
		if (strcmp(c->headers[i].name, VERSION_HEADER) == 0)
			return c->headers[i].value;
	return STR_NULL;
}

static void
tell(struct recording *r, struct http_call *c)
{
	struct versions *v = r->v;

	if (c != NULL && r->n > 0 && r->made_before.ptr == NULL)
		http_header(c, VERSION_HEADER, r->made[0].version.version_id);
	for (size_t i = 0; v->host.told != NULL && i < r->n; i++) {
		const struct made *m = &r->made[i];

		if (m->kind->o != NULL)
			v->host.told(v->host.module,
			    &(struct versions_change){
				m->kind->o, m->old, m->row, &m->version });
	}
}

int
versions_tx_how(struct versions *v, struct store *s, struct http_call *c,
    const struct version_how *how, store_tx_fn *fn, void *ctx, struct err *err)
{
	struct arena own = { 0 };
	struct recording r = { .v = v,
		.how = how,
		.arena = c != NULL ? &c->arena : &own,
		.fn = fn,
		.ctx = ctx,
		.now = clock_now(),
		.user_id = STR_NULL,
		.account = STR_NULL,
		.made_before = version_made(c) };
	const struct store_watch watch = { wants, note_row, &r };
	int rc;

	if (v == NULL)
		return store_tx(s, fn, ctx, err);
	if (c != NULL)
		v->host.who(c, &r.user_id, &r.account);
	rc = store_tx_watched(v->host.store, &watch, run, &r, err);
	if (rc == 0)
		tell(&r, c);
	arena_fini(&own);
	return rc;
}

int
versions_tx(struct versions *v, struct store *s, struct http_call *c,
    store_tx_fn *fn, void *ctx, struct err *err)
{
	return versions_tx_how(v, s, c, NULL, fn, ctx, err);
}

/* --- single writes ------------------------------------------------------- */

struct single {
	const struct entity *e;
	const struct filter *f;
	const struct change *changes;
	size_t n_changes;
	const void *rows;
	size_t n_rows;
	bool skip;
	int64_t n;
};

static int
add_tx(struct store *tx, void *ctx, struct err *err)
{
	struct single *x = ctx;

	return store_add_many(
	    tx, x->e, x->rows, x->n_rows, x->skip, &x->n, err);
}

static int
update_tx(struct store *tx, void *ctx, struct err *err)
{
	struct single *x = ctx;

	return store_update(
	    tx, x->e, x->f, x->changes, x->n_changes, &x->n, err);
}

static int
del_tx(struct store *tx, void *ctx, struct err *err)
{
	struct single *x = ctx;

	return store_del(tx, x->e, x->f, &x->n, err);
}

int
versions_store_add_many(struct versions *v, struct http_call *c,
    const struct entity *e, const void *rows, size_t n, bool skip,
    struct err *err)
{
	struct single x = { .e = e, .rows = rows, .n_rows = n, .skip = skip };

	return versions_tx(v, NULL, c, add_tx, &x, err);
}

int
versions_store_update(struct versions *v, struct http_call *c,
    const struct entity *e, const struct filter *f,
    const struct change *changes, size_t n_changes, int64_t *n, struct err *err)
{
	struct single x = {
		.e = e, .f = f, .changes = changes, .n_changes = n_changes
	};
	int rc = versions_tx(v, NULL, c, update_tx, &x, err);

	if (rc == 0 && n != NULL)
		*n = x.n;
	return rc;
}

int
versions_store_del(struct versions *v, struct http_call *c,
    const struct entity *e, const struct filter *f, struct err *err)
{
	struct single x = { .e = e, .f = f };

	return versions_tx(v, NULL, c, del_tx, &x, err);
}

/* --- upkeep -------------------------------------------------------------- */

struct oldest {
	int64_t time;
	char id[64];
};

static int
note_oldest(void *ctx, const void *row, struct err *err)
{
	const struct rest_version *v = row;
	struct oldest *oldest = ctx;

	(void)err;
	oldest->time = v->time;
	snprintf(
	    oldest->id, sizeof(oldest->id), STR_FMT, STR_ARG(v->version_id));
	return 0;
}

/* Many versions may be of one millisecond: the id decides among them. */
int
versions_clean(struct versions *v, struct err *err)
{
	const struct store_query q = { .sort = { { "time", true },
					   { "versionId", true } },
		.n_sort = 2,
		.offset = (uint64_t)v->conf.total,
		.limit = 1 };
	int64_t until = clock_now() - v->conf.age_ms;
	struct oldest over = { TIME_NULL, "" };
	struct filter older = { 0 }, same = { 0 };
	int rc = store_list(
	    v->host.store, &rest_version_entity, &q, note_oldest, &over, err);

	if (rc != 0)
		return rc;
	if (over.time <= until) {
		filter_add(&older, "time", COND_LE, value_time(until));
		return store_del(
		    v->host.store, &rest_version_entity, &older, NULL, err);
	}
	filter_add(&older, "time", COND_LT, value_time(over.time));
	filter_add(&same, "time", COND_EQ, value_time(over.time));
	filter_add(&same, "versionId", COND_LE, value_text(str_of(over.id)));
	rc = store_del(v->host.store, &rest_version_entity, &older, NULL, err);
	return rc != 0
	    ? rc
	    : store_del(v->host.store, &rest_version_entity, &same, NULL, err);
}

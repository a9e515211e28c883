/*
 * plug/store/store.c - see store.h: what is the same for every back end.
 *
 * Here names become plans, rows and changes are checked, and deletes find
 * their way to cascade.c. The one array of back ends is here too.
 */
#include "plug/store/ops.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/entity_json.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct store_ops *const engines[] = {
	&store_sqlite,
	&store_memory,
};

static const char *engine_names[COUNT_OF(engines) + 1];

static void
fill_names(void)
{
	for (size_t i = 0; i < COUNT_OF(engines); i++)
		engine_names[i] = engines[i]->name;
}

const char *const *
store_engines(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fill_names);
	return engine_names;
}

/* --- the entities of a store --------------------------------------------- */

size_t
entity_keys(const struct entity *e)
{
	size_t n = 0;

	while (e->keys[n].name != NULL)
		n++;
	return n;
}

const struct store_table *
store_table(const struct store *s, const struct entity *e)
{
	for (size_t i = 0; i < s->n_tables; i++)
		if (s->tables[i].entity == e)
			return &s->tables[i];
	return NULL;
}

static struct store_table *
table_by_name(struct store *s, const char *name)
{
	for (size_t i = 0; i < s->n_tables; i++)
		if (strcmp(s->tables[i].entity->record.name, name) == 0)
			return &s->tables[i];
	return NULL;
}

static const struct field *
own_field(const struct entity *e, const char *name)
{
	for (const struct field *f = e->record.fields; f->name != NULL; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

static int
check_keys(const struct entity *e, const struct entity_key *k, struct err *err)
{
	for (; k != NULL && k->name != NULL; k++)
		for (size_t i = 0; k->fields[i] != NULL; i++) {
			const struct field *f = own_field(e, k->fields[i]);

			if (f == NULL ||
			    (f->type != FIELD_TEXT && f->type != FIELD_INT &&
				f->type != FIELD_TIME &&
				f->type != FIELD_BOOL && f->type != FIELD_REAL))
				return err_set(err, ERR_INTERNAL,
				    "entity %s: key %s: bad field %s",
				    e->record.name, k->name, k->fields[i]);
		}
	return 0;
}

/* The rows of an entity are code, so what is wrong with them is our bug. */
static int
check_entity(const struct entity *e, struct err *err)
{
	size_t n = 0;
	int rc;

	while (e->record.fields[n].name != NULL)
		n++;
	if (n > 64 || e->version < 1 || e->table == NULL || e->keys == NULL ||
	    e->keys[0].name == NULL)
		return err_set(err, ERR_INTERNAL,
		    "entity %s: no key, no version or too many fields",
		    e->record.name);
	rc = check_keys(e, e->keys, err);
	if (rc == 0)
		rc = check_keys(e, e->indexes, err);
	return rc;
}

static int
add_link(struct store *s, const struct entity *from,
    const struct entity_ref *ref, struct err *err)
{
	const struct field *f = own_field(from, ref->field);
	struct store_table *to = table_by_name(s, ref->entity);
	const struct field *target;

	target = to == NULL ? NULL : own_field(to->entity, ref->target);
	if (f == NULL || target == NULL || f->type != target->type ||
	    (f->type != FIELD_TEXT && f->type != FIELD_INT) ||
	    (ref->on_delete == ENTITY_CLEAR && !(f->flags & FIELD_NULL)))
		return err_set(err, ERR_INTERNAL,
		    "entity %s: bad reference by %s", from->record.name,
		    ref->field);
	to->links = mem_resize(to->links, to->n_links + 1, sizeof(*to->links));
	to->links[to->n_links++] = (struct store_link){ from, ref, target };
	return 0;
}

static int
add_tables(
    struct store *s, const struct entity *const *entities, struct err *err)
{
	int rc;

	while (entities[s->n_tables] != NULL)
		s->n_tables++;
	s->tables = mem_array(s->n_tables + 1, sizeof(*s->tables));
	for (size_t i = 0; i < s->n_tables; i++)
		s->tables[i].entity = entities[i];
	for (size_t i = 0; i < s->n_tables; i++) {
		const struct entity *e = entities[i];

		rc = check_entity(e, err);
		for (const struct entity_ref *r = e->refs;
		     rc == 0 && r != NULL && r->field != NULL; r++)
			rc = add_link(s, e, r, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* --- life ---------------------------------------------------------------- */

int
store_open(const struct store_conf *conf, struct store **ret, struct err *err)
{
	struct store *s = mem_new(struct store);
	int rc;

	for (size_t i = 0; i < COUNT_OF(engines); i++)
		if (strcmp(engines[i]->name, conf->engine) == 0)
			s->ops = engines[i];
	if (s->ops == NULL) {
		rc = err_set(err, ERR_PARAM, "there is no store engine %s",
		    conf->engine);
		goto done;
	}
	rc = add_tables(s, conf->entities, err);
	if (rc == 0)
		rc = s->ops->open(conf, &s->engine, err);

done:
	if (rc != 0)
		store_close(s);
	else
		*ret = s;
	return rc;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->engine != NULL)
		s->ops->close(s->engine);
	for (size_t i = 0; i < s->n_tables; i++)
		free(s->tables[i].links);
	free(s->tables);
	free(s);
}

int
store_tx(struct store *s, store_tx_fn *fn, void *ctx, struct err *err)
{
	struct store tx = *s;
	int rc, ended;

	tx.tx = true;
	rc = s->ops->begin(s->engine, s->tx, err);
	if (rc != 0)
		return rc;
	rc = fn(&tx, ctx, err);
	/* the sentence of what went wrong first is the one to keep */
	ended = s->ops->end(s->engine, s->tx, rc == 0, rc == 0 ? err : NULL);
	return rc == 0 ? ended : rc;
}

int
store_tx_watched(struct store *s, const struct store_watch *watch,
    store_tx_fn *fn, void *ctx, struct err *err)
{
	struct store watched = *s;

	watched.watch = watch;
	return store_tx(&watched, fn, ctx, err);
}

const struct store_watch *
store_watch_of(const struct store *tx)
{
	return tx->watch;
}

bool
store_is_watched(const struct store *s, const struct entity *e)
{
	return s->tx && s->watch != NULL && s->watch->wants(s->watch->ctx, e);
}

int
store_tell_rows(struct store *s, const struct entity *e, const void *olds,
    const void *rows, size_t n, struct err *err)
{
	const char *old = olds, *row = rows;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		size_t at = i * e->record.size;

		rc = s->watch->row(s->watch->ctx, s, e,
		    old != NULL ? old + at : NULL,
		    row != NULL ? row + at : NULL, err);
	}
	return rc;
}

/* --- filters ------------------------------------------------------------- */

static struct cond *
new_cond(struct filter *f)
{
	if (f->n == FILTER_MAX) {
		fprintf(stderr, "a filter has more than %d conditions\n",
		    FILTER_MAX);
		abort();
	}
	return &f->at[f->n++];
}

void
filter_add(struct filter *f, const char *field, enum cond_op op, struct value v)
{
	*new_cond(f) = (struct cond){ .field = field, .op = op, .value = v };
}

void
filter_text(struct filter *f, const char *field, struct str v)
{
	filter_add(f, field, COND_EQ, value_text(v));
}

void
filter_in(
    struct filter *f, const char *field, const struct value *list, size_t n)
{
	*new_cond(f) = (struct cond){
		.field = field, .op = COND_IN, .list = list, .n_list = n
	};
}

/* --- checks of rows ------------------------------------------------------ */

int
store_exists(
    struct err *err, const struct entity *e, const struct entity_key *key)
{
	struct buf names = { 0 };

	for (size_t i = 0; key->fields[i] != NULL; i++)
		buf_addf(&names, "%s%s", i > 0 ? ", " : "", key->fields[i]);
	err_set(err, ERR_EXISTS, "%s: another %s has the same %s", key->name,
	    e->record.name, buf_z(&names));
	buf_free(&names);
	return ERR_EXISTS;
}

static int
check_known(const struct store *s, const struct entity *e, struct err *err)
{
	if (store_table(s, e) == NULL)
		return err_set(err, ERR_INTERNAL, "this store has no entity %s",
		    e->record.name);
	return 0;
}

/* Joined by spaces, an item must be a word. */
static bool
has_bad_word(const struct strs *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->at[i].len == 0 ||
		    memchr(list->at[i].ptr, ' ', list->at[i].len) != NULL)
			return true;
	return false;
}

static int
check_field(const struct field *f, const void *at, struct err *err)
{
	struct value v;

	if (f->type == FIELD_RECORD || f->type == FIELD_RECORDS)
		return 0;
	v = field_get(f, at);
	if (v.null && !(f->flags & FIELD_NULL))
		return err_set(err, ERR_PARAM, "%s: must not be null", f->name);
	if (f->type == FIELD_TEXTS && f->flags & FIELD_SPACED &&
	    has_bad_word(&v.texts))
		return err_set(err, ERR_PARAM,
		    "%s: an item is empty or contains a space", f->name);
	return 0;
}

static int
check_row(const struct entity *e, const void *row, struct err *err)
{
	for (const struct field *f = e->record.fields; f->name != NULL; f++) {
		int rc = check_field(f, (const char *)row + f->offset, err);

		if (rc != 0)
			return rc;
	}
	return 0;
}

static bool
change_fits(const struct field *f, const struct value *v)
{
	if (v->null)
		return true;
	switch (f->type) {
	case FIELD_INT:
	case FIELD_TIME:
		return v->type == FIELD_INT || v->type == FIELD_TIME;
	case FIELD_REAL:
		return v->type == FIELD_REAL || v->type == FIELD_INT;
	case FIELD_RECORD:
	case FIELD_RECORDS:
		return v->type == FIELD_JSON;
	default:
		return v->type == f->type;
	}
}

/* Puts the new values into a row, each where its field is. */
static int
apply_changes(const struct entity *e, const struct change *changes, size_t n,
    struct arena *a, void *row, uint64_t *which, struct err *err)
{
	*which = 0;
	for (size_t i = 0; i < n; i++) {
		const struct field *f = own_field(e, changes[i].field);
		const struct value *v = &changes[i].value;
		void *at;
		int rc;

		if (f == NULL)
			return err_set(err, ERR_PARAM, "%s has no field %s",
			    e->record.name, changes[i].field);
		if (!change_fits(f, v))
			return err_set(err, ERR_PARAM,
			    "%s: a value of another type", f->name);
		at = (char *)row + f->offset;
		if (f->type == FIELD_RECORD || f->type == FIELD_RECORDS) {
			struct str text = v->null ? STR("null") : v->text;

			rc = field_decode(text, f, a, at, err);
		} else {
			field_set(f, at, v);
			rc = check_field(f, at, err);
		}
		if (rc != 0)
			return rc;
		*which |= (uint64_t)1 << (f - e->record.fields);
	}
	return 0;
}

/* --- calls --------------------------------------------------------------- */

int
store_count(struct store *s, const struct entity *e, const struct filter *f,
    int64_t *ret, struct err *err)
{
	struct arena a = { 0 };
	struct plan p;
	int rc;

	rc = check_known(s, e, err);
	if (rc == 0)
		rc = plan_filter(&p, e, f, &a, err);
	if (rc == 0)
		rc = s->ops->count(s->engine, s->tx, &p, ret, err);
	arena_fini(&a);
	return rc;
}

static int
list_rows(struct store *s, const struct entity *e, const struct store_query *q,
    bool quiet, store_visit *visit, void *ctx, struct err *err)
{
	struct arena a = { 0 };
	struct plan p;
	int rc;

	rc = check_known(s, e, err);
	if (rc == 0)
		rc = plan_query(&p, e, q, &a, err);
	if (rc == 0) {
		p.quiet = quiet;
		rc = s->ops->list(s->engine, s->tx, &p, visit, ctx, err);
	}
	arena_fini(&a);
	return rc;
}

int
store_list(struct store *s, const struct entity *e, const struct store_query *q,
    store_visit *visit, void *ctx, struct err *err)
{
	return list_rows(s, e, q, false, visit, ctx, err);
}

struct copy {
	const struct entity *e;
	struct arena *a;
	char *rows;
	size_t n, cap;
};

static int
copy_one(void *ctx, const void *row, struct err *err)
{
	struct copy *c = ctx;

	(void)err;
	record_copy(&c->e->record, c->a, c->rows, row);
	c->n = 1;
	return 0;
}

static int
copy_next(void *ctx, const void *row, struct err *err)
{
	struct copy *c = ctx;
	size_t size = c->e->record.size;

	(void)err;
	if (c->n == c->cap) {
		c->cap = c->cap == 0 ? 16 : c->cap * 2;
		c->rows = mem_resize(c->rows, c->cap, size);
	}
	record_copy(&c->e->record, c->a, c->rows + c->n++ * size, row);
	return 0;
}

int
store_get(struct store *s, const struct entity *e, const struct filter *f,
    struct arena *a, void *row, bool *found, struct err *err)
{
	struct store_query q = { .filter = f, .limit = 1 };
	struct copy c = { .e = e, .a = a, .rows = row };
	int rc;

	rc = list_rows(s, e, &q, true, copy_one, &c, err);
	if (rc == 0)
		*found = c.n > 0;
	return rc;
}

int
store_all(struct store *s, const struct entity *e, const struct store_query *q,
    struct arena *a, struct rows *ret, struct err *err)
{
	struct copy c = { .e = e, .a = a };
	struct rows rows = { 0 };
	int rc;

	rc = list_rows(s, e, q, true, copy_next, &c, err);
	if (rc == 0) {
		rows.n = c.n;
		if (c.n > 0) {
			rows.at = arena_alloc(a, c.n * e->record.size);
			memcpy(rows.at, c.rows, c.n * e->record.size);
		}
		*ret = rows;
	}
	free(c.rows);
	return rc;
}

struct adding {
	const struct entity *e;
	const char *rows;
	size_t n;
	bool skip;
	int64_t count;
};

/* One by one, since it must be known which of them were passed over. */
static int
add_watched(struct store *tx, void *ctx, struct err *err)
{
	struct adding *x = ctx;
	const char *row = x->rows;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < x->n; i++) {
		int64_t one = 0;

		rc = tx->ops->add(
		    tx->engine, true, x->e, row, 1, x->skip, &one, err);
		if (rc == 0 && one > 0)
			rc = store_tell_rows(tx, x->e, NULL, row, 1, err);
		x->count += one;
		row += x->e->record.size;
	}
	return rc;
}

int
store_add_many(struct store *s, const struct entity *e, const void *rows,
    size_t n, bool skip, int64_t *added, struct err *err)
{
	struct adding x = { .e = e, .rows = rows, .n = n, .skip = skip };
	int rc;

	rc = check_known(s, e, err);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = check_row(e, (const char *)rows + i * e->record.size, err);
	if (rc == 0 && n > 0 && store_is_watched(s, e))
		rc = store_tx(s, add_watched, &x, err);
	else if (rc == 0 && n > 0)
		rc = s->ops->add(
		    s->engine, s->tx, e, rows, n, skip, &x.count, err);
	if (rc == 0 && added != NULL)
		*added = x.count;
	return rc;
}

int
store_add(
    struct store *s, const struct entity *e, const void *row, struct err *err)
{
	return store_add_many(s, e, row, 1, false, NULL, err);
}

/* The row that is there by the first key of this one. */
static int
row_of_key(struct store *s, const struct entity *e, const void *row,
    struct arena *a, void *ret, bool *found, struct err *err)
{
	const char *const *name = e->keys[0].fields;
	struct filter f = { 0 };

	for (; *name != NULL; name++) {
		const struct field *k = own_field(e, *name);

		filter_add(&f, *name, COND_EQ,
		    field_get(k, (const char *)row + k->offset));
	}
	return store_get(s, e, &f, a, ret, found, err);
}

static int
upsert_watched(
    struct store *s, const struct entity *e, const void *row, struct err *err)
{
	struct arena a = { 0 };
	void *old = arena_alloc(&a, e->record.size);
	bool found;
	int rc = row_of_key(s, e, row, &a, old, &found, err);

	if (rc == 0)
		rc = s->ops->upsert(s->engine, true, e, row, err);
	if (rc == 0)
		rc = store_tell_rows(s, e, found ? old : NULL, row, 1, err);
	arena_fini(&a);
	return rc;
}

int
store_upsert(
    struct store *s, const struct entity *e, const void *row, struct err *err)
{
	int rc;

	rc = check_known(s, e, err);
	if (rc == 0)
		rc = check_row(e, row, err);
	if (rc == 0 && store_is_watched(s, e))
		return upsert_watched(s, e, row, err);
	if (rc == 0)
		rc = s->ops->upsert(s->engine, s->tx, e, row, err);
	return rc;
}

static int
update_watched(struct store *s, const struct plan *p, const struct filter *f,
    const void *values, uint64_t which, const struct change *changes,
    size_t n_changes, struct arena *a, int64_t *n, struct err *err)
{
	const struct store_query q = { .filter = f };
	const struct entity *e = p->entity;
	struct rows olds;
	int rc = store_all(s, e, &q, a, &olds, err);

	if (rc == 0)
		rc = s->ops->update(s->engine, true, p, values, which, n, err);
	for (size_t i = 0; rc == 0 && i < olds.n; i++) {
		const char *old = (const char *)olds.at + i * e->record.size;
		void *row = arena_alloc(a, e->record.size);

		memcpy(row, old, e->record.size);
		rc = apply_changes(e, changes, n_changes, a, row, &which, err);
		if (rc == 0)
			rc = store_tell_rows(s, e, old, row, 1, err);
	}
	return rc;
}

int
store_update(struct store *s, const struct entity *e, const struct filter *f,
    const struct change *changes, size_t n_changes, int64_t *n, struct err *err)
{
	struct arena a = { 0 };
	struct plan p;
	int64_t count = 0;
	uint64_t which;
	void *row;
	int rc;

	rc = check_known(s, e, err);
	if (rc != 0)
		return rc;
	row = arena_alloc(&a, e->record.size);
	record_init(&e->record, row);
	rc = apply_changes(e, changes, n_changes, &a, row, &which, err);
	if (rc == 0)
		rc = plan_filter(&p, e, f, &a, err);
	if (rc == 0 && which == 0)
		rc = s->ops->count(s->engine, s->tx, &p, &count, err);
	else if (rc == 0 && store_is_watched(s, e))
		rc = update_watched(
		    s, &p, f, row, which, changes, n_changes, &a, &count, err);
	else if (rc == 0)
		rc = s->ops->update(
		    s->engine, s->tx, &p, row, which, &count, err);
	if (rc == 0 && n != NULL)
		*n = count;
	arena_fini(&a);
	return rc;
}

struct del {
	const struct entity *e;
	const struct filter *f;
	int64_t n;
};

static int
del_with_references(struct store *tx, void *ctx, struct err *err)
{
	struct del *d = ctx;

	d->n = 0;
	return cascade_del(tx, d->e, d->f, &d->n, err);
}

int
store_del(struct store *s, const struct entity *e, const struct filter *f,
    int64_t *n, struct err *err)
{
	const struct store_table *t = store_table(s, e);
	struct del d = { .e = e, .f = f };
	struct arena a = { 0 };
	struct plan p;
	int rc;

	if (t == NULL)
		return check_known(s, e, err);
	if (t->n_links > 0 || store_is_watched(s, e)) {
		rc = store_tx(s, del_with_references, &d, err);
	} else {
		rc = plan_filter(&p, e, f, &a, err);
		if (rc == 0)
			rc = s->ops->del(s->engine, s->tx, &p, &d.n, err);
		arena_fini(&a);
	}
	if (rc == 0 && n != NULL)
		*n = d.n;
	return rc;
}

int
store_clear(struct store *s, const struct entity *e, struct err *err)
{
	static const struct filter all = { 0 };
	struct arena a = { 0 };
	struct plan p;
	int64_t n;
	int rc;

	rc = check_known(s, e, err);
	if (rc == 0)
		rc = plan_filter(&p, e, &all, &a, err);
	if (rc == 0)
		rc = s->ops->del(s->engine, s->tx, &p, &n, err);
	arena_fini(&a);
	return rc;
}

int
store_flush(struct store *s, struct err *err)
{
	return s->ops->flush(s->engine, err);
}

/*
 * plug/store/cascade.c - deleting rows that others refer to.
 *
 * Rows are deleted first, then those that referred to them, and so on: a list
 * of work, not recursion, so that a chain of any length and a circle both
 * end. References that refuse are asked last, when all that goes has gone: a
 * row which goes too does not hold back what it refers to. The transaction
 * around it undoes everything when one of them refuses.
 */
#include "plug/store/ops.h"

#include "base/base.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

#define CHUNK 500 /* values handled by one statement */

/* Values that are gone, and one reference that may name them. */
struct work {
	const struct store_link *link;
	struct value *gone;
	size_t n, cap;
};

struct cascade {
	struct store *tx;
	struct arena arena; /* the text of the values */
	struct work *work;
	size_t n_work, cap_work;
	struct work *mine; /* of the rows being deleted now */
	size_t n_mine;
};

static int
note_row(void *ctx, const void *row, struct err *err)
{
	struct cascade *c = ctx;

	(void)err;
	for (size_t i = 0; i < c->n_mine; i++) {
		struct work *w = &c->mine[i];
		const struct field *f = w->link->target;
		struct value v = field_get(f, (const char *)row + f->offset);

		if (v.null)
			continue;
		if (f->type == FIELD_TEXT)
			v.text = arena_str(&c->arena, v.text);
		if (w->n == w->cap) {
			w->cap = w->cap == 0 ? 16 : w->cap * 2;
			w->gone = mem_resize(w->gone, w->cap, sizeof(*w->gone));
		}
		w->gone[w->n++] = v;
	}
	return 0;
}

static void
push_work(struct cascade *c, struct work *w)
{
	if (w->n == 0) {
		free(w->gone);
		return;
	}
	if (c->n_work == c->cap_work) {
		c->cap_work = c->cap_work == 0 ? 16 : c->cap_work * 2;
		c->work = mem_resize(c->work, c->cap_work, sizeof(*c->work));
	}
	c->work[c->n_work++] = *w;
}

/* Deletes the rows of one table, and notes what that makes necessary. */
static int
del_rows(struct cascade *c, const struct entity *e, const struct filter *f,
    int64_t *n, struct err *err)
{
	const struct store_table *t = store_table(c->tx, e);
	struct store_query q = { .filter = f };
	struct store *tx = c->tx;
	bool told = store_is_watched(tx, e);
	struct rows olds = { 0 };
	struct arena a = { 0 };
	struct plan p;
	int rc;

	c->n_mine = t->n_links;
	c->mine = mem_array(t->n_links + 1, sizeof(*c->mine));
	for (size_t i = 0; i < t->n_links; i++)
		c->mine[i].link = &t->links[i];

	rc = plan_query(&p, e, &q, &a, err);
	p.quiet = true;
	if (rc == 0 && t->n_links > 0)
		rc = tx->ops->list(tx->engine, true, &p, note_row, c, err);
	if (rc == 0 && told)
		rc = store_all(tx, e, &q, &a, &olds, err);
	if (rc == 0)
		rc = tx->ops->del(tx->engine, true, &p, n, err);
	if (rc == 0 && told)
		rc = store_tell_rows(tx, e, olds.at, NULL, olds.n, err);
	for (size_t i = 0; i < c->n_mine; i++)
		push_work(c, &c->mine[i]);
	free(c->mine);
	arena_fini(&a);
	return rc;
}

static int
clear_rows(struct cascade *c, const struct store_link *l,
    const struct filter *f, struct err *err)
{
	struct change none = { .field = l->ref->field,
		.value = { .null = true } };

	return store_update(c->tx, l->from, f, &none, 1, NULL, err);
}

/* References that are left to rows which are gone. */
static int
refuse_rows(struct cascade *c, const struct store_link *l,
    const struct filter *f, struct err *err)
{
	int64_t n;
	int rc;

	rc = store_count(c->tx, l->from, f, &n, err);
	if (rc == 0 && n > 0)
		rc = err_set(err, ERR_EXISTS,
		    "%s: %" PRId64 " of them still refer to it by %s",
		    l->from->record.name, n, l->ref->field);
	return rc;
}

static int
do_work(struct cascade *c, const struct work *w, struct err *err)
{
	const struct store_link *l = w->link;
	int64_t n;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < w->n; i += CHUNK) {
		struct filter f = { 0 };

		filter_in(&f, l->ref->field, w->gone + i,
		    MIN_OF(w->n - i, (size_t)CHUNK));
		if (l->ref->on_delete == ENTITY_CASCADE)
			rc = del_rows(c, l->from, &f, &n, err);
		else if (l->ref->on_delete == ENTITY_CLEAR)
			rc = clear_rows(c, l, &f, err);
		else
			rc = refuse_rows(c, l, &f, err);
	}
	return rc;
}

int
cascade_del(struct store *tx, const struct entity *e, const struct filter *f,
    int64_t *n, struct err *err)
{
	struct cascade c = { .tx = tx };
	int rc;

	rc = del_rows(&c, e, f, n, err);
	for (size_t i = 0; rc == 0 && i < c.n_work; i++) {
		struct work w = c.work[i]; /* the array may move */

		if (w.link->ref->on_delete != ENTITY_REFUSE)
			rc = do_work(&c, &w, err);
	}
	for (size_t i = 0; rc == 0 && i < c.n_work; i++)
		if (c.work[i].link->ref->on_delete == ENTITY_REFUSE)
			rc = do_work(&c, &c.work[i], err);

	for (size_t i = 0; i < c.n_work; i++)
		free(c.work[i].gone);
	free(c.work);
	arena_fini(&c.arena);
	return rc;
}

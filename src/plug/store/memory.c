/*
 * plug/store/memory.c - a store in memory: the reference, and the test double;
 * with dumps (memory_dump.h) also for machines whose disk is to be spared.
 *
 * Rows never change: an update puts a new row in the place of the old one.
 * Rows are counted, so a list holds on to what it has found and visits it
 * without the lock, while others go on.
 *
 * One lock guards everything. A transaction holds it from begin to end, and
 * keeps in `undo` what it did; ending without keeping walks that back. A call
 * outside a transaction does the same for itself.
 *
 * Unique keys are maps from the key's values, written as bytes, to the row. A
 * query that gives all values of a key is answered from its map; any other
 * walks the table.
 */
#include "plug/store/ops.h"

#include "base/base.h"
#include "base/map.h"
#include "base/mem.h"
#include "plug/store/memory_dump.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct mem_row {
	unsigned refs;
	size_t index; /* in the table */
	void *data;
	struct str *keys; /* one for each unique key */
	struct arena arena;
};

struct mem_table {
	const struct entity *e;
	struct mem_row **rows; /* each holds a reference */
	size_t n, cap;
	size_t n_keys;
	struct map *by_key; /* n_keys maps; keys are in the rows */
};

/* One thing that was done: `old` left the table, `new` came. */
struct undo {
	struct mem_table *table;
	struct mem_row *old, *new; /* `old` holds a reference */
};

struct memory {
	pthread_mutex_t lock;
	struct mem_table *tables;
	size_t n_tables;
	struct undo *undo;
	size_t n_undo, cap_undo;
	size_t *marks; /* where each open transaction began in `undo` */
	size_t n_marks, cap_marks;

	size_t bytes, max; /* of the rows; 0: any number */
	uint64_t changes;  /* counts calls that changed something */

	/* dumps */
	char *dump_dir; /* NULL: none */
	bool dump_yaml;
	int64_t dump_ms;
	void (*trouble)(const char *text);
	pthread_mutex_t dump_lock; /* one dump at a time; guards: */
	uint64_t dumped;           /* `changes` as of the last good one */
	bool failing;
	pthread_t thread;
	bool running;
	pthread_mutex_t end_lock; /* guards: */
	pthread_cond_t end_cond;
	bool ending;
};

static struct memory *
memory_of(struct engine *g)
{
	return (struct memory *)(void *)g;
}

static struct mem_table *
table_of(struct memory *m, const struct entity *e)
{
	for (size_t i = 0; i < m->n_tables; i++)
		if (m->tables[i].e == e)
			return &m->tables[i];
	return NULL; /* never: store.c has looked */
}

/* --- rows ---------------------------------------------------------------- */

static void
ref_row(struct mem_row *r)
{
	__atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
}

static void
unref_row(struct mem_row *r)
{
	if (r == NULL || __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	arena_fini(&r->arena);
	free(r);
}

/* The values of a key as bytes; null differs from every value. */
static void
put_key_value(struct buf *b, const struct value *v)
{
	uint64_t len;

	buf_addc(b, v->null ? 'n' : 'v');
	if (v->null)
		return;
	switch (v->type) {
	case FIELD_TEXT:
		len = v->text.len;
		buf_add(b, &len, sizeof(len));
		buf_add_str(b, v->text);
		break;
	case FIELD_REAL:
		buf_add(b, &v->real, sizeof(v->real));
		break;
	default:
		buf_add(b, &v->num, sizeof(v->num));
	}
}

static struct value
key_value(const struct entity *e, const char *name, const void *data)
{
	struct place p = { 0 };

	p.leaf = p.top =
	    field_find(&e->record, str_of(name), &p.offset, &p.rest);
	return place_value(&p, data, NULL);
}

static struct str
make_key(const struct entity *e, const struct entity_key *k, const void *data,
    struct arena *a)
{
	struct buf b = { 0 };
	struct str s;

	for (size_t i = 0; k->fields[i] != NULL; i++) {
		struct value v = key_value(e, k->fields[i], data);

		put_key_value(&b, &v);
	}
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

/* "" in a column where it stands for null is null. */
static void
fold_empty(const struct entity *e, void *data)
{
	for (const struct field *f = e->record.fields; f->name != NULL; f++) {
		struct str *s =
		    (struct str *)(void *)((char *)data + f->offset);

		if (f->flags & FIELD_EMPTY && s->len == 0)
			*s = STR_NULL;
	}
}

static struct mem_row *
new_row(const struct mem_table *t, const void *data)
{
	struct mem_row *r = mem_new(struct mem_row);
	const struct entity *e = t->e;

	r->refs = 1;
	r->data = arena_alloc(&r->arena, e->record.size);
	record_copy(&e->record, &r->arena, r->data, data);
	fold_empty(e, r->data);
	r->keys = arena_array(&r->arena, t->n_keys, struct str);
	for (size_t i = 0; i < t->n_keys; i++)
		r->keys[i] = make_key(e, &e->keys[i], r->data, &r->arena);
	return r;
}

static size_t
row_bytes(const struct mem_row *r)
{
	return sizeof(*r) + r->arena.used + sizeof(void *) * 4;
}

/* May `r` come in the place of `old` (NULL: beside all others)? */
static int
check_room(const struct memory *m, const struct mem_row *r,
    const struct mem_row *old, struct err *err)
{
	size_t gone = old != NULL ? row_bytes(old) : 0;

	if (m->max == 0 || m->bytes - gone + row_bytes(r) <= m->max)
		return 0;
	return err_set(err, ERR_LIMIT,
	    "the store in memory is full: db.memory.maxBytes is %zu", m->max);
}

/* Takes the caller's reference. */
static void
put_row(struct memory *m, struct mem_table *t, struct mem_row *r)
{
	m->bytes += row_bytes(r);
	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 16 : t->cap * 2;
		t->rows = mem_resize(t->rows, t->cap, sizeof(*t->rows));
	}
	r->index = t->n;
	t->rows[t->n++] = r;
	for (size_t i = 0; i < t->n_keys; i++)
		map_put(&t->by_key[i], r->keys[i], r);
}

/* Gives the table's reference to the caller. */
static void
take_row(struct memory *m, struct mem_table *t, struct mem_row *r)
{
	struct mem_row *last = t->rows[--t->n];

	m->bytes -= row_bytes(r);
	t->rows[r->index] = last;
	last->index = r->index;
	for (size_t i = 0; i < t->n_keys; i++)
		map_del(&t->by_key[i], r->keys[i]);
}

/* The first key for which there is another row than `except`, or NULL. */
static const struct entity_key *
find_clash(const struct mem_table *t, const struct mem_row *r,
    const struct mem_row *except)
{
	for (size_t i = 0; i < t->n_keys; i++) {
		struct mem_row *other = map_get(&t->by_key[i], r->keys[i]);

		if (other != NULL && other != except)
			return &t->e->keys[i];
	}
	return NULL;
}

/* --- doing and undoing --------------------------------------------------- */

/* Takes `old` out and puts `new` in, either may be NULL; takes the reference
 * of `new`. */
static void
replace(struct memory *m, struct mem_table *t, struct mem_row *old,
    struct mem_row *new)
{
	if (m->n_undo == m->cap_undo) {
		m->cap_undo = m->cap_undo == 0 ? 16 : m->cap_undo * 2;
		m->undo = mem_resize(m->undo, m->cap_undo, sizeof(*m->undo));
	}
	m->undo[m->n_undo++] = (struct undo){ t, old, new };
	m->changes++;
	if (old != NULL)
		take_row(m, t, old);
	if (new != NULL)
		put_row(m, t, new);
}

static void
undo_to(struct memory *m, size_t mark)
{
	while (m->n_undo > mark) {
		struct undo *u = &m->undo[--m->n_undo];

		if (u->new != NULL) {
			take_row(m, u->table, u->new);
			unref_row(u->new);
		}
		if (u->old != NULL)
			put_row(m, u->table, u->old);
	}
}

static void
forget_undo(struct memory *m)
{
	for (size_t i = 0; i < m->n_undo; i++)
		unref_row(m->undo[i].old);
	free(m->undo);
	m->undo = NULL;
	m->n_undo = m->cap_undo = 0;
}

static int
lock(struct memory *m, bool tx, struct err *err)
{
	if (tx || pthread_mutex_lock(&m->lock) == 0)
		return 0;
	return err_set(err, ERR_INTERNAL,
	    "the store is used beside the transaction that is open");
}

static void
unlock(struct memory *m, bool tx)
{
	if (!tx)
		pthread_mutex_unlock(&m->lock);
}

/* Ends a call that changes something. */
static void
end_change(struct memory *m, bool tx, size_t mark, int rc)
{
	if (rc != 0)
		undo_to(m, mark);
	if (!tx)
		forget_undo(m);
	unlock(m, tx);
}

static int
memory_begin(struct engine *g, bool nested, struct err *err)
{
	struct memory *m = memory_of(g);

	if (lock(m, nested, err) != 0)
		return ERR_INTERNAL;
	if (m->n_marks == m->cap_marks) {
		m->cap_marks = m->cap_marks == 0 ? 4 : m->cap_marks * 2;
		m->marks =
		    mem_resize(m->marks, m->cap_marks, sizeof(*m->marks));
	}
	m->marks[m->n_marks++] = m->n_undo;
	return 0;
}

static int
memory_end(struct engine *g, bool nested, bool keep, struct err *err)
{
	struct memory *m = memory_of(g);
	size_t mark = m->marks[--m->n_marks];

	(void)err;
	if (!keep)
		undo_to(m, mark);
	if (!nested)
		forget_undo(m);
	unlock(m, nested);
	return 0;
}

/* --- finding ------------------------------------------------------------- */

/* A row that was found, and what it is sorted by. */
struct hit {
	struct mem_row *row; /* holds a reference */
	struct value *sort;
};

struct hits {
	const struct plan *plan;
	struct hit *at;
	size_t n, cap;
	struct arena arena;   /* of the sort values */
	struct arena scratch; /* for one row */
};

static int
cmp_sort(const struct plan *p, const struct value *a, const struct value *b)
{
	for (size_t i = 0; i < p->n_order; i++) {
		int c = value_cmp(&a[i], &b[i]);

		if (c != 0)
			return p->order[i].desc ? -c : c;
	}
	return 0;
}

static int
cmp_hits(const void *a, const void *b, void *ctx)
{
	const struct hit *x = a, *y = b;

	return cmp_sort(ctx, x->sort, y->sort);
}

static bool
is_behind(const struct plan *p, const struct value *sort)
{
	for (size_t i = 0; i < p->n_order; i++) {
		int c = value_cmp(&sort[i], &p->order[i].after);

		if (c != 0)
			return p->order[i].desc ? c < 0 : c > 0;
	}
	return false;
}

static void
consider(struct hits *h, struct mem_row *r)
{
	const struct plan *p = h->plan;
	struct value *sort;

	arena_clear(&h->scratch);
	if (!plan_matches(p, r->data, &h->scratch))
		return;
	sort = arena_array(&h->arena, p->n_order, struct value);
	for (size_t i = 0; i < p->n_order; i++)
		sort[i] = place_value(&p->order[i].place, r->data, &h->arena);
	if (p->behind && !is_behind(p, sort))
		return;
	if (h->n == h->cap) {
		h->cap = h->cap == 0 ? 16 : h->cap * 2;
		h->at = mem_resize(h->at, h->cap, sizeof(*h->at));
	}
	ref_row(r);
	h->at[h->n++] = (struct hit){ r, sort };
}

/* The value that the plan asks a field to be equal to, or NULL. */
static const struct value *
wanted(const struct plan *p, const char *field)
{
	for (size_t i = 0; i < p->n_cond; i++) {
		const struct plan_cond *c = &p->cond[i];

		if (c->op == COND_EQ && c->place.path.ptr == NULL &&
		    strcmp(c->place.top->name, field) == 0 &&
		    (c->value.null || c->place.top->type == FIELD_TEXT ||
			(c->place.top->type != FIELD_REAL &&
			    c->value.type != FIELD_REAL)))
			return &c->value;
	}
	return NULL;
}

/* Writes the whole key `k` as the plan wants it; false if it leaves some of
 * it open. */
static bool
wanted_key(const struct plan *p, const struct entity_key *k, struct buf *b)
{
	buf_clear(b);
	for (size_t i = 0; k->fields[i] != NULL; i++) {
		const struct value *v = wanted(p, k->fields[i]);

		if (v == NULL)
			return false;
		put_key_value(b, v);
	}
	return true;
}

static void
find(const struct mem_table *t, const struct plan *p, struct hits *h)
{
	struct buf key = { 0 };
	bool by_key = false;

	*h = (struct hits){ .plan = p };
	for (size_t i = 0; i < t->n_keys && !by_key; i++) {
		struct mem_row *r;

		by_key = wanted_key(p, &t->e->keys[i], &key);
		r = by_key ? map_get(&t->by_key[i], buf_str(&key)) : NULL;
		if (r != NULL)
			consider(h, r);
	}
	for (size_t i = 0; i < t->n && !by_key; i++)
		consider(h, t->rows[i]);
	buf_free(&key);
	arena_fini(&h->scratch);
}

static void
hits_fini(struct hits *h)
{
	for (size_t i = 0; i < h->n; i++)
		unref_row(h->at[i].row);
	free(h->at);
	arena_fini(&h->arena);
}

/* --- the operations ------------------------------------------------------ */

static int
memory_count(struct engine *g, bool tx, const struct plan *p, int64_t *ret,
    struct err *err)
{
	struct memory *m = memory_of(g);
	struct hits h;

	if (lock(m, tx, err) != 0)
		return ERR_INTERNAL;
	find(table_of(m, p->entity), p, &h);
	unlock(m, tx);
	*ret = (int64_t)h.n;
	hits_fini(&h);
	return 0;
}

static int
memory_list(struct engine *g, bool tx, const struct plan *p, store_visit *visit,
    void *ctx, struct err *err)
{
	struct memory *m = memory_of(g);
	struct hits h;
	uint64_t left;
	int rc = 0;

	if (lock(m, tx, err) != 0)
		return ERR_INTERNAL;
	find(table_of(m, p->entity), p, &h);
	unlock(m, tx);

	if (h.n > 0)
		qsort_r(h.at, h.n, sizeof(*h.at), cmp_hits, (void *)p);
	left = p->limit == 0 ? UINT64_MAX : p->limit;
	for (uint64_t i = p->offset; rc == 0 && i < h.n && left > 0; i++) {
		rc = visit(ctx, h.at[i].row->data, err);
		left--;
	}
	hits_fini(&h);
	return rc;
}

static int
memory_add(struct engine *g, bool tx, const struct entity *e, const void *rows,
    size_t n, bool skip, int64_t *added, struct err *err)
{
	struct memory *m = memory_of(g);
	struct mem_table *t = table_of(m, e);
	int64_t count = 0;
	size_t mark;
	int rc = 0;

	if (lock(m, tx, err) != 0)
		return ERR_INTERNAL;
	mark = m->n_undo;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct mem_row *r =
		    new_row(t, (const char *)rows + i * e->record.size);
		const struct entity_key *clash = find_clash(t, r, NULL);

		if (clash == NULL)
			rc = check_room(m, r, NULL, err);
		if (clash == NULL && rc == 0) {
			replace(m, t, NULL, r);
			count++;
			continue;
		}
		unref_row(r);
		if (clash != NULL && !skip)
			rc = store_exists(err, e, clash);
	}
	end_change(m, tx, mark, rc);
	if (rc == 0)
		*added = count;
	return rc;
}

static int
memory_upsert(struct engine *g, bool tx, const struct entity *e,
    const void *row, struct err *err)
{
	struct memory *m = memory_of(g);
	struct mem_table *t = table_of(m, e);
	const struct entity_key *clash;
	struct mem_row *r, *old;
	size_t mark;
	int rc = 0;

	if (lock(m, tx, err) != 0)
		return ERR_INTERNAL;
	mark = m->n_undo;
	r = new_row(t, row);
	old = map_get(&t->by_key[0], r->keys[0]);
	clash = find_clash(t, r, old);
	rc = clash != NULL ? store_exists(err, e, clash)
			   : check_room(m, r, old, err);
	if (rc == 0)
		replace(m, t, old, r);
	else
		unref_row(r);
	end_change(m, tx, mark, rc);
	return rc;
}

/* A row like `old` but for the fields in `which`. */
static struct mem_row *
changed_row(const struct mem_table *t, const struct mem_row *old,
    const void *row, uint64_t which)
{
	const struct record *r = &t->e->record;
	struct arena a = { 0 };
	struct mem_row *new;
	char *data = arena_alloc(&a, r->size);

	memcpy(data, old->data, r->size);
	for (size_t i = 0; r->fields[i].name != NULL; i++) {
		size_t offset = r->fields[i].offset, size = sizeof(struct str);

		if (!(which >> i & 1))
			continue;
		switch (r->fields[i].type) {
		case FIELD_INT:
		case FIELD_TIME:
			size = sizeof(int64_t);
			break;
		case FIELD_REAL:
			size = sizeof(double);
			break;
		case FIELD_BOOL:
			size = sizeof(bool);
			break;
		case FIELD_RECORD:
			size = r->fields[i].record->size;
			break;
		default: /* text and lists are a pointer and a length */
			break;
		}
		memcpy(data + offset, (const char *)row + offset, size);
	}
	new = new_row(t, data);
	arena_fini(&a);
	return new;
}

static int
memory_update(struct engine *g, bool tx, const struct plan *p, const void *row,
    uint64_t which, int64_t *n, struct err *err)
{
	struct memory *m = memory_of(g);
	struct mem_table *t = table_of(m, p->entity);
	struct hits h;
	size_t mark;
	int rc = 0;

	if (lock(m, tx, err) != 0)
		return ERR_INTERNAL;
	mark = m->n_undo;
	find(t, p, &h);
	for (size_t i = 0; rc == 0 && i < h.n; i++) {
		struct mem_row *old = h.at[i].row;
		struct mem_row *new = changed_row(t, old, row, which);
		const struct entity_key *clash = find_clash(t, new, old);

		rc = clash != NULL ? store_exists(err, p->entity, clash)
				   : check_room(m, new, old, err);
		if (rc == 0)
			replace(m, t, old, new);
		else
			unref_row(new);
	}
	end_change(m, tx, mark, rc);
	if (rc == 0)
		*n = (int64_t)h.n;
	hits_fini(&h);
	return rc;
}

static int
memory_del(struct engine *g, bool tx, const struct plan *p, int64_t *n,
    struct err *err)
{
	struct memory *m = memory_of(g);
	struct mem_table *t = table_of(m, p->entity);
	struct hits h;

	if (lock(m, tx, err) != 0)
		return ERR_INTERNAL;
	find(t, p, &h);
	for (size_t i = 0; i < h.n; i++)
		replace(m, t, h.at[i].row, NULL);
	end_change(m, tx, 0, 0);
	*n = (int64_t)h.n;
	hits_fini(&h);
	return 0;
}

/* --- dumps --------------------------------------------------------------- */

/* Holds on to every row there is, as of now. */
static struct dump_table *
snapshot(struct memory *m, struct mem_row ***held, size_t *n_held)
{
	struct dump_table *tables = mem_array(m->n_tables + 1, sizeof(*tables));
	size_t n = 0;

	for (size_t i = 0; i < m->n_tables; i++)
		n += m->tables[i].n;
	*held = mem_array(n + 1, sizeof(**held));
	*n_held = 0;
	for (size_t i = 0; i < m->n_tables; i++) {
		const struct mem_table *t = &m->tables[i];

		tables[i].entity = t->e;
		tables[i].rows = mem_array(t->n + 1, sizeof(void *));
		tables[i].n = t->n;
		for (size_t k = 0; k < t->n; k++) {
			ref_row(t->rows[k]);
			(*held)[(*n_held)++] = t->rows[k];
			tables[i].rows[k] = t->rows[k]->data;
		}
	}
	return tables;
}

static int
dump(struct memory *m, struct err *err)
{
	struct dump_table *tables;
	struct mem_row **held;
	uint64_t changes;
	size_t n;
	int rc = 0;

	pthread_mutex_lock(&m->dump_lock);
	/* not within a transaction: the lock is free then only in between */
	if (pthread_mutex_lock(&m->lock) != 0) {
		pthread_mutex_unlock(&m->dump_lock);
		return err_set(err, ERR_INTERNAL, "a dump within a tx");
	}
	changes = m->changes;
	if (changes == m->dumped) {
		pthread_mutex_unlock(&m->lock);
		pthread_mutex_unlock(&m->dump_lock);
		return 0;
	}
	tables = snapshot(m, &held, &n);
	pthread_mutex_unlock(&m->lock);

	rc = dump_write(m->dump_dir, m->dump_yaml, tables, m->n_tables, err);
	if (rc == 0)
		m->dumped = changes;
	if (m->trouble != NULL && (rc != 0) != m->failing)
		m->trouble(rc != 0 ? err->text : NULL);
	m->failing = rc != 0;
	for (size_t i = 0; i < n; i++)
		unref_row(held[i]);
	for (size_t i = 0; i < m->n_tables; i++)
		free(tables[i].rows);
	free(tables);
	free(held);
	pthread_mutex_unlock(&m->dump_lock);
	return rc;
}

static void *
dump_now_and_then(void *arg)
{
	struct memory *m = arg;
	struct timespec until;
	struct err err;

	pthread_setname_np(pthread_self(), "dump");
	pthread_mutex_lock(&m->end_lock);
	while (!m->ending) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += m->dump_ms / 1000;
		until.tv_nsec += m->dump_ms % 1000 * 1000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		while (!m->ending &&
		    pthread_cond_timedwait(
			&m->end_cond, &m->end_lock, &until) == 0)
			;
		if (m->ending)
			break;
		pthread_mutex_unlock(&m->end_lock);
		(void)dump(m, &err); /* told by `trouble` */
		pthread_mutex_lock(&m->end_lock);
	}
	pthread_mutex_unlock(&m->end_lock);
	return NULL;
}

static int
load_row(void *ctx, const struct entity *e, const void *row, struct err *err)
{
	struct memory *m = ctx;
	struct mem_table *t = table_of(m, e);
	struct mem_row *r = new_row(t, row);
	const struct entity_key *clash = find_clash(t, r, NULL);

	if (clash != NULL) {
		unref_row(r);
		return store_exists(err, e, clash);
	}
	put_row(m, t, r);
	return 0;
}

static int
memory_flush(struct engine *g, struct err *err)
{
	struct memory *m = memory_of(g);

	return m->dump_dir != NULL ? dump(m, err) : 0;
}

static int
start_dumps(struct memory *m, const struct store_conf *conf, struct err *err)
{
	int rc;

	if (conf->dump_dir == NULL)
		return 0;
	rc = dump_read(
	    conf->dump_dir, conf->entities, load_row, m, conf->trouble, err);
	if (rc != 0)
		return rc;
	m->dump_dir = str_dupz(str_of(conf->dump_dir));
	m->dump_yaml = conf->dump_yaml;
	m->dump_ms = conf->dump_ms > 0 ? conf->dump_ms : 60000;
	m->trouble = conf->trouble;
	if (pthread_create(&m->thread, NULL, dump_now_and_then, m) != 0)
		return err_set(err, ERR_IO, "start a thread");
	m->running = true;
	return 0;
}

static void
end_dumps(struct memory *m)
{
	struct err err;

	if (!m->running)
		return;
	pthread_mutex_lock(&m->end_lock);
	m->ending = true;
	pthread_cond_signal(&m->end_cond);
	pthread_mutex_unlock(&m->end_lock);
	pthread_join(m->thread, NULL);
	(void)dump(m, &err); /* told by `trouble` */
}

/* --- life ---------------------------------------------------------------- */

static void
init_locks(struct memory *m)
{
	pthread_mutexattr_t attr;
	pthread_condattr_t cond;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&m->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_mutex_init(&m->dump_lock, NULL);
	pthread_mutex_init(&m->end_lock, NULL);
	pthread_condattr_init(&cond);
	pthread_condattr_setclock(&cond, CLOCK_MONOTONIC);
	pthread_cond_init(&m->end_cond, &cond);
	pthread_condattr_destroy(&cond);
}

static void
memory_close(struct engine *g)
{
	struct memory *m = memory_of(g);

	end_dumps(m);
	for (size_t i = 0; i < m->n_tables; i++) {
		struct mem_table *t = &m->tables[i];

		for (size_t k = 0; k < t->n_keys; k++)
			map_fini(&t->by_key[k]);
		for (size_t k = 0; k < t->n; k++)
			unref_row(t->rows[k]);
		free(t->by_key);
		free(t->rows);
	}
	free(m->tables);
	free(m->marks);
	pthread_mutex_destroy(&m->lock);
	pthread_mutex_destroy(&m->dump_lock);
	pthread_mutex_destroy(&m->end_lock);
	pthread_cond_destroy(&m->end_cond);
	free(m->dump_dir);
	free(m);
}

static int
memory_open(const struct store_conf *conf, struct engine **ret, struct err *err)
{
	struct memory *m = mem_new(struct memory);
	int rc;

	init_locks(m);
	m->max = (size_t)conf->memory_max;
	while (conf->entities[m->n_tables] != NULL)
		m->n_tables++;
	m->tables = mem_array(m->n_tables + 1, sizeof(*m->tables));
	for (size_t i = 0; i < m->n_tables; i++) {
		struct mem_table *t = &m->tables[i];

		t->e = conf->entities[i];
		t->n_keys = entity_keys(t->e);
		t->by_key = mem_array(t->n_keys, sizeof(*t->by_key));
	}
	rc = start_dumps(m, conf, err);
	if (rc != 0)
		memory_close((struct engine *)(void *)m);
	else
		*ret = (struct engine *)(void *)m;
	return rc;
}

const struct store_ops store_memory = {
	.name = "memory",
	.open = memory_open,
	.close = memory_close,
	.begin = memory_begin,
	.end = memory_end,
	.count = memory_count,
	.list = memory_list,
	.add = memory_add,
	.upsert = memory_upsert,
	.update = memory_update,
	.del = memory_del,
	.flush = memory_flush,
};

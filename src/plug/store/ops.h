/*
 * plug/store/ops.h - what a back end implements, and what it is given.
 *
 * store.c stands before every back end: it looks names up, checks rows and
 * values, and follows references. A back end gets plans in which nothing is
 * left to be refused. Private to this folder.
 */
#ifndef PLUG_STORE_OPS_H
#define PLUG_STORE_OPS_H

#include "plug/store/store.h"

struct engine; /* never defined: each back end has its own behind it */

/* A place in a row that a filter or an order names. */
struct place {
	const struct field *top;  /* the column */
	const struct field *leaf; /* `top`, or a field in its record */
	size_t offset;            /* of the leaf in the row */
	struct str path; /* behind the column, "a.b"; STR_NULL: itself */
	struct str rest; /* inside a leaf of free JSON; STR_NULL: itself */
};

struct plan_cond {
	struct place place;
	enum cond_op op;
	struct value value;
	const struct value *list;
	size_t n_list;
};

struct plan_order {
	struct place place;
	bool desc;
	struct value after;
};

#define PLAN_ORDER_MAX (SORT_MAX + ENTITY_KEY_MAX)

/* A query whose names are found and whose values have the right types. In
 * values for FIELD_EMPTY columns "" has become null. */
struct plan {
	const struct entity *entity;
	struct plan_cond cond[FILTER_MAX];
	size_t n_cond;
	struct plan_order order[PLAN_ORDER_MAX]; /* total */
	size_t n_order;
	uint64_t offset, limit;
	bool behind; /* only rows strictly behind the `after` of the orders */
	bool quiet;  /* the visitor calls no function of the store */
};

/* Make a plan; names in it are lent from `f` and `q`, new text is in `a`. */
int plan_filter(struct plan *p, const struct entity *e, const struct filter *f,
    struct arena *a, struct err *err);
int plan_query(struct plan *p, const struct entity *e,
    const struct store_query *q, struct arena *a, struct err *err);

/* The value at a place of a row; its text is lent from the row or in `a`. A
 * value of free JSON is TEXT, INT, REAL or BOOL; an object or array is JSON. */
struct value place_value(
    const struct place *p, const void *row, struct arena *a);
/* Whether all conditions hold. Uses `a` for scratch. */
bool plan_matches(const struct plan *p, const void *row, struct arena *a);

/* How many unique keys an entity has. */
size_t entity_keys(const struct entity *e);
/* ERR_EXISTS with the sentence for a broken unique key. */
int store_exists(
    struct err *err, const struct entity *e, const struct entity_key *key);

/* `tx` says whether the call belongs to the transaction that is open. What
 * store.h promises of each call holds here, without references. */
struct store_ops {
	const char *name; /* as in store_conf.engine */
	int (*open)(const struct store_conf *conf, struct engine **ret,
	    struct err *err);
	void (*close)(struct engine *g);
	/* Begins a transaction, or with `nested` a part of the open one that
	 * can be undone alone. */
	int (*begin)(struct engine *g, bool nested, struct err *err);
	/* Ends what begin() began. Without `keep` its changes are undone; on
	 * failure too. */
	int (*end)(struct engine *g, bool nested, bool keep, struct err *err);
	int (*count)(struct engine *g, bool tx, const struct plan *p,
	    int64_t *ret, struct err *err);
	int (*list)(struct engine *g, bool tx, const struct plan *p,
	    store_visit *visit, void *ctx, struct err *err);
	int (*add)(struct engine *g, bool tx, const struct entity *e,
	    const void *rows, size_t n, bool skip, int64_t *added,
	    struct err *err);
	int (*upsert)(struct engine *g, bool tx, const struct entity *e,
	    const void *row, struct err *err);
	/* Sets the fields whose bit is in `which` to what `row` has there. */
	int (*update)(struct engine *g, bool tx, const struct plan *p,
	    const void *row, uint64_t which, int64_t *n, struct err *err);
	int (*del)(struct engine *g, bool tx, const struct plan *p, int64_t *n,
	    struct err *err);
	/* What is done already is on the disk, as far as it ever will be. */
	int (*flush)(struct engine *g, struct err *err);
};

extern const struct store_ops store_sqlite;
extern const struct store_ops store_memory;

/* A reference that points at a table. */
struct store_link {
	const struct entity *from;
	const struct entity_ref *ref;
	const struct field *target; /* the field of the table it names */
};

struct store_table {
	const struct entity *entity;
	struct store_link *links; /* owned */
	size_t n_links;
};

/* A transaction is a copy with `tx` set that lives as long as its function. */
struct store {
	const struct store_ops *ops;
	struct engine *engine;
	struct store_table *tables;
	size_t n_tables;
	bool tx;
	const struct store_watch *watch; /* NULL: nobody is told */
};

/* NULL when `e` is none of this store's entities. */
const struct store_table *store_table(
    const struct store *s, const struct entity *e);
/* Is somebody told of rows of this entity? */
bool store_is_watched(const struct store *s, const struct entity *e);
/* Tells of `n` rows that are gone, or with `rows` of those that are new. */
int store_tell_rows(struct store *s, const struct entity *e, const void *olds,
    const void *rows, size_t n, struct err *err);
/* store_del() for a table that others refer to; inside a transaction. */
int cascade_del(struct store *tx, const struct entity *e,
    const struct filter *f, int64_t *n, struct err *err);

#endif

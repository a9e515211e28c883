/*
 * plug/store/store.h - where objects are kept, whatever keeps them.
 *
 * A store holds the rows of a fixed set of entities (base/entity). Back ends:
 * `sqlite` (one file, WAL) and `memory`. All functions may block and are
 * called on workers, from any thread; rows are structs as the entity describes
 * them.
 *
 * Promises, each asked by contract_test.c of every back end:
 *  (1) An absent row is an empty result or a count of 0, and no error.
 *  (2) A function that fails has changed nothing, inside a tx too: the tx may
 *      go on after it.
 *  (3) Unique keys count null as a value. ERR_EXISTS begins with the key's
 *      name and ": ".
 *  (4) Deleting follows the references of the entity table, any depth, in the
 *      same transaction.
 *  (5) What a call outside a tx, or a tx, reported as done survives kill -9
 *      (memory: does not, what was done since the last dump), and power loss
 *      when `sync` is set.
 *  (6) A list sees one moment of the store, even while others write.
 *  (7) A watched tx tells of each row it adds, changes or deletes, once.
 *  (8) Nothing here writes a log line.
 */
#ifndef PLUG_STORE_STORE_H
#define PLUG_STORE_STORE_H

#include "base/entity.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

struct store_conf {
	const char *engine; /* "sqlite", "memory" */
	const char *path; /* sqlite: the file; made with mode 0600 if missing */
	bool sync;     /* sqlite: every commit is flushed (synchronous=FULL) */
	int64_t cache; /* sqlite: bytes of pages the writer keeps; 0: its own
			* default */
	const struct entity *const *entities; /* NULL ends; borrowed */
	/* memory: where it is written down, and how often at most; NULL:
	 * nowhere. It is read at opening. */
	const char *dump_dir;
	int64_t dump_ms;
	bool dump_yaml;
	int64_t memory_max; /* memory: bytes of rows; 0: any */
	/* memory: a dump could not be made or read, or can be again. May be
	 * called on a thread of its own. NULL: not told. */
	void (*trouble)(const char *text);
};

/* Opens, and brings the schema to the version of the table rows (each step in
 * one transaction; a newer schema than ours is refused by name). */
int store_open(
    const struct store_conf *conf, struct store **ret, struct err *err);
void store_close(struct store *s); /* NULL is fine; no call may be under way */

/* The engines there are, NULL ends. */
const char *const *store_engines(void);

enum cond_op {
	COND_EQ, /* null equals null */
	COND_NE,
	COND_LT, /* the four orders are false for null */
	COND_LE,
	COND_GT,
	COND_GE,
	COND_IN,       /* `list` holds the values */
	COND_CONTAINS, /* text, case-insensitive, nothing in it is special */
	COND_HAS,      /* TEXTS holds this text */
};

/* One condition on a field, named as in JSON; "a.b" goes into records and free
 * JSON. All conditions of a filter must hold. */
struct cond {
	const char *field;
	enum cond_op op;
	struct value value;
	const struct value *list;
	size_t n_list;
};

#define FILTER_MAX 12
#define FILTER_IN_MAX 10000 /* values in a list; more is ERR_LIMIT */

struct filter {
	struct cond at[FILTER_MAX];
	size_t n;
};

/* Adds a condition; more than FILTER_MAX is a bug and stops the program. */
void filter_add(
    struct filter *f, const char *field, enum cond_op op, struct value v);
void filter_text(struct filter *f, const char *field, struct str v); /* EQ */
void filter_in(struct filter *f, const char *field, const struct value *list,
    size_t n); /* borrowed, at most FILTER_IN_MAX; empty matches nothing */

struct store_sort {
	const char *field;
	bool desc;
};

#define SORT_MAX 6

struct store_query {
	const struct filter *filter; /* NULL: all */
	struct store_sort sort[SORT_MAX];
	size_t n_sort; /* the first key is appended, so that order is total */
	uint64_t offset;
	uint64_t limit;    /* 0: all */
	const void *after; /* a row: begin behind it in this order. For reading
			    * in pages that others' changes do not shift */
};

/* What is done to a row that matches: the fields named get the values. */
struct change {
	const char *field; /* top level only */
	struct value value;
};

/* Called for each row, lent for the call; other than 0 ends the list and is
 * what store_list() returns. */
typedef int store_visit(void *ctx, const void *row, struct err *err);

int store_count(struct store *s, const struct entity *e, const struct filter *f,
    int64_t *ret, struct err *err);
int store_list(struct store *s, const struct entity *e,
    const struct store_query *q, store_visit *visit, void *ctx,
    struct err *err);
/* The first row that matches, copied to `row` with its memory in `a`;
 * `*found` says whether there was one. */
int store_get(struct store *s, const struct entity *e, const struct filter *f,
    struct arena *a, void *row, bool *found, struct err *err);
/* All rows that match, into `a`. */
int store_all(struct store *s, const struct entity *e,
    const struct store_query *q, struct arena *a, struct rows *ret,
    struct err *err);
int store_add(
    struct store *s, const struct entity *e, const void *row, struct err *err);
/* All or, on failure, none. With `skip` rows that break a unique key are
 * passed over; `*added` (may be NULL) counts the others. */
int store_add_many(struct store *s, const struct entity *e, const void *rows,
    size_t n, bool skip, int64_t *added, struct err *err);
/* Changes every row that matches; `*n` (may be NULL) is how many. Serves as
 * compare-and-change. */
int store_update(struct store *s, const struct entity *e,
    const struct filter *f, const struct change *changes, size_t n_changes,
    int64_t *n, struct err *err);
/* Adds the row, or replaces the one with the same first key. */
int store_upsert(
    struct store *s, const struct entity *e, const void *row, struct err *err);
/* Deletes every row that matches; `*n` (may be NULL) counts these, without
 * what went by reference. Serves as compare-and-take. */
int store_del(struct store *s, const struct entity *e, const struct filter *f,
    int64_t *n, struct err *err);

/* Deletes every row of the entity and follows no reference: for replacing all
 * that a store has, within one tx. */
int store_clear(struct store *s, const struct entity *e, struct err *err);
/* Writes out what is kept in memory only: a dump of `memory`, the log of
 * `sqlite`. Not within a tx. */
int store_flush(struct store *s, struct err *err);

/* Runs fn: all its changes happen, or, when it returns other than 0, none. fn
 * uses the handle it is given and nothing else of this store; it may be run
 * again after a conflict, so it must not have other effects. Returns what fn
 * returned. A tx within a tx is a part of the outer one. */
typedef int store_tx_fn(struct store *tx, void *ctx, struct err *err);
int store_tx(struct store *s, store_tx_fn *fn, void *ctx, struct err *err);

/* Who is told what a tx does to rows, those included that go by reference.
 * store_clear() tells nothing. */
struct store_watch {
	/* Is each row of this entity to be told? */
	bool (*wants)(void *ctx, const struct entity *e);
	/* In the tx, after the change: `old` NULL: it was added, `row` NULL: it
	 * was deleted. Both are lent. Other than 0 fails the call, and the tx
	 * must then fail, too. */
	int (*row)(void *ctx, struct store *tx, const struct entity *e,
	    const void *old, const void *row, struct err *err);
	void *ctx;
};
/* As store_tx(); `watch` is borrowed until it returns. */
int store_tx_watched(struct store *s, const struct store_watch *watch,
    store_tx_fn *fn, void *ctx, struct err *err);
/* Of the tx; NULL: nobody. */
const struct store_watch *store_watch_of(const struct store *tx);

#endif

/*
 * core/rest/version.h - what people's objects were: who changed what, and back
 * again.
 *
 * Beside the objects of a store lies a table of versions. What a call changes
 * in a versioned object is recorded in the transaction of the change, with all
 * that goes or changes along with it by reference; so there is no change
 * without its version, and no version of a change that was taken back.
 *
 *  (1) Secrets lie in a version as they lie in the object (sealed, hashed), are
 *      never shown, and a restore leaves the present ones alone.
 *  (2) A restore goes the way of a PATCH or POST by the caller, with its
 *      access, checks and effects; and makes a version itself.
 *  (3) Members that machines write (`fleeting`) are in no version.
 */
#ifndef CORE_REST_VERSION_H
#define CORE_REST_VERSION_H

#include "base/conf.h"
#include "core/rest/rest.h"

struct versions;

struct versions_conf {
	int64_t per_object, age_ms, total, change_max;
};
extern const struct conf_field versions_fields[];

/* To be among the entities of the store. */
extern const struct entity rest_version_entity;

/* One version of an object. */
struct rest_version {
	struct str version_id, change_id, unit_id, object_type, object_id;
	int64_t number, time;
	struct str user_id, account, verb, comment;
	struct str object; /* JSON, in the store's form */
};

/* As lists show it. */
void rest_version_to_json(struct buf *out, const struct rest_version *version);

/* A row that was added (`old` NULL), changed, or deleted (`row` NULL) by a
 * committed transaction. Lent. */
struct versions_change {
	const struct rest_object *object;
	const void *old, *row;
	const struct rest_version *version;
};

struct versions_host {
	struct store *store; /* borrowed, as all else */
	void *module;
	const struct entity *const *entities; /* in the order in which what
					       * refers to others is made */
	/* Who calls; texts lent. */
	void (*who)(
	    struct http_call *c, struct str *user_id, struct str *account);
	/* The access check for c->route. False: answered. */
	bool (*access)(void *module, struct http_call *c);
	/* As in struct rest_object, for lists of versions. */
	bool (*limit)(struct rest *r, enum rest_verb verb, struct filter *f);
	/* May the caller have this object, which is not there any more, when
	 * its own `may` says no? NULL: then it is no. */
	bool (*may_gone)(
	    struct rest *r, const struct rest_object *o, const void *row);
	/* A row beside an object has come back with it. May be NULL. */
	void (*revived)(
	    struct http_call *c, void *module, const struct entity *e,
	    const void *row);
	/* After the commit, for each change. May be NULL. [any thread] */
	void (*told)(void *module, const struct versions_change *change);
};

struct versions *versions_new(
    const struct versions_conf *conf, const struct versions_host *host);
void versions_free(struct versions *v); /* NULL is fine */

/* Objects of this kind are versioned. */
void versions_add(struct versions *v, const struct rest_object *o);
/* Rows of this entity come back with what they refer to, and are not shown. */
void versions_add_beside(struct versions *v, const struct entity *e);
/* For rest_mount(): which versions a store has among `m`; NULL: none. */
struct versions *versions_of(const struct rest_mounts *m, struct store *s);

/* The routes {prefix}/version/...; `v` NULL: they are only described. */
void versions_mount(struct rest_mounts *m, struct versions *v,
    const char *prefix, unsigned flags, http_add_routes *add, void *ctx);

/* store_tx() on the store, with what it does to versioned objects on record;
 * the first version's id goes into the answer's X-Marram-Version. `c` NULL: it
 * is nobody's call. `v` NULL: nothing is recorded, in `s`. */
int versions_tx(struct versions *v, struct store *s, struct http_call *c,
    store_tx_fn *fn, void *ctx, struct err *err);
/* What is written of a change when it is a restore. */
struct version_how {
	const char *verb;
	struct str comment;
};
int versions_tx_how(struct versions *v, struct store *s, struct http_call *c,
    const struct version_how *how, store_tx_fn *fn, void *ctx,
    struct err *err);
/* Single writes of that kind. */
int versions_store_add_many(struct versions *v, struct http_call *c,
    const struct entity *e, const void *rows, size_t n, bool skip,
    struct err *err);
int versions_store_update(struct versions *v, struct http_call *c,
    const struct entity *e, const struct filter *f,
    const struct change *changes, size_t n_changes, int64_t *n,
    struct err *err);
int versions_store_del(struct versions *v, struct http_call *c,
    const struct entity *e, const struct filter *f, struct err *err);
/* A change of an object whose rows are not in the store: these are its rows
 * before and after. Within a versions_tx(). */
int versions_note(struct store *tx, const struct entity *e, const void *old,
    const void *row, struct err *err);

/* What is too old, or too many, goes. On a worker, now and then. */
int versions_clean(struct versions *v, struct err *err);

#endif

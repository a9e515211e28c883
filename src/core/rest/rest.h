/*
 * core/rest/rest.h - objects over HTTP, from their tables.
 *
 * A module describes each kind of object by a `struct rest_object`: its entity,
 * which members a body may have, what may be asked for in a list, and a few
 * decisions as functions. rest_mount() makes of it the routes
 *
 *	POST   {prefix}/{name}		GET {prefix}/{name}/{id}
 *	GET    {prefix}/{name}/count	PATCH {prefix}/{name}/{id}
 *	GET    {prefix}/{name}/list	DELETE {prefix}/{name}/{id}
 *
 * with the conventions of Sylvia-IoT: "data" envelopes, code/message errors,
 * offset, limit, sort, format. The command line and OpenAPI read the same rows.
 */
#ifndef CORE_REST_REST_H
#define CORE_REST_REST_H

#include "codec/entity_json.h"
#include "net/http/route.h"
#include "plug/store/store.h"

enum rest_verb {
	REST_ADD,
	REST_COUNT,
	REST_LIST,
	REST_GET,
	REST_PATCH,
	REST_DEL,
	REST_VERBS,
};

#define REST_CSV 1u  /* lists may be asked for as CSV */
#define REST_MASK 2u /* `show` hides what only insiders see */
/* Verbs that a mount leaves out, by bit. */
#define REST_NO(verb) (0x100u << (verb))

struct versions; /* core/rest/version.h */

/* One request at one object. */
struct rest {
	struct http_call *c;
	const struct rest_object *o;
	struct store *store;
	void *module; /* what rest_mount() was given */
	unsigned flags;
	void *note; /* the decisions' own, from one of them to the next */
	struct versions *versions;     /* where changes are recorded; or NULL */
	const struct version_how *how; /* version.c's own */
};

/* A query value that narrows a list. Empty values are ignored. With COND_IN it
 * is texts joined by commas, at most REST_CHOICE_MAX. */
#define REST_CHOICE_MAX 1000 /* values of a filter that takes several */

struct rest_filter {
	const char *param;
	const char *field;
	enum cond_op op;
	bool lower;         /* ASCII letters are folded */
	const char *unless; /* ignored when this parameter is there */
	const char *help;
};

struct rest_sort {
	const char *param;
	const char *field;
};

/* A unique key, and the error of who breaks it. */
struct rest_exists {
	const char *key;
	const char *code;
};

struct rest_object {
	const char *name; /* in paths: "device-route" */
	const struct entity *entity;
	const char *id;                    /* its field: "unitId" */
	size_t id_len;                     /* random characters of a new id */
	const char *shown;                 /* members of answers; NULL: all */
	const char *sometimes;             /* those `members` may leave out */
	const struct rest_filter *filters; /* param NULL ends */
	const struct record *query;    /* of count and list, for OpenAPI: what
					* `limit` reads beside the filters */
	const struct rest_sort *sorts; /* param NULL ends */
	const char *sort;              /* "code:asc" */
	const char *add; /* members of POST; '!' behind: required */
	const struct record *add_extra;  /* more in "data" */
	const struct record *add_beside; /* next to "data" */
	const struct record *added; /* what after_add() puts into the answer */
	const struct record *shown_more; /* what `more` does */
	const char *patch;
	const char *patch_null; /* those that null clears */
	const struct record *patch_extra, *patch_beside;
	const struct rest_exists *exists; /* key NULL ends */
	const char *csv;                  /* columns; NULL: `shown` */
	const char *scope;                /* "unit"; NULL: `name` */
	const char *scope_tail;           /* "admin": user.get.admin */
	unsigned roles[REST_VERBS];       /* 0: whoever has a token */
	const char *fleeting; /* members that machines write: in no version */
	unsigned slow;        /* verbs, by bit, for the pool of slow work */
	const char *help;     /* "a tenant: ..." */

	/* Decisions; NULL: nothing to decide. A function that answers the call
	 * itself (http_error) returns false. */

	/* Narrows count and list to what the caller may see. */
	bool (*limit)(struct rest *r, enum rest_verb verb, struct filter *f);
	/* May the caller see, change, delete this row? If not it is as if the
	 * row did not exist. */
	bool (*may)(struct rest *r, enum rest_verb verb, const void *row);
	/* Completes and checks a new row; its id and times are set. */
	bool (*before_add)(
	    struct rest *r, void *row, void *extra, void *beside);
	/* In the transaction of the change, after it; may run again, so it has
	 * no effect but on `tx`. Not 0: the change is taken back. */
	int (*in_add)(
	    struct rest *r, struct store *tx, const void *row, struct err *err);
	int (*in_patch)(struct rest *r, struct store *tx, const void *old,
	    const void *row, field_set_t present, struct err *err);
	/* The row is stored. May add members to the answer's "data". */
	void (*after_add)(struct rest *r, const void *row, void *extra);
	/* `row` holds the fields in `*present` over a copy of `old`; may change
	 * both. Returning true with an empty set means: nothing to store. */
	bool (*before_patch)(struct rest *r, const void *old, void *row,
	    field_set_t *present, void *extra, field_set_t extra_present,
	    void *beside, field_set_t beside_present);
	void (*after_patch)(struct rest *r, const void *old, const void *row,
	    field_set_t present, void *extra, field_set_t extra_present);
	bool (*before_del)(struct rest *r, const void *row);
	void (*after_del)(struct rest *r, const void *row);
	/* A row was added, changed or deleted (as it was); after the above. */
	void (*changed)(struct rest *r, enum rest_verb verb, const void *row);
	/* Which members this answer shows. */
	field_set_t (*members)(struct rest *r, enum rest_verb verb);
	/* Changes a row before it is shown (masks, joins). In a list what this
	 * and `more` allocate goes with the page. */
	void (*show)(struct rest *r, enum rest_verb verb, void *row);
	/* Adds members behind those of the row. */
	void (*more)(struct rest *r, enum rest_verb verb, const void *row);
};

/* The routes a module has made; zero-initialise. Where a function takes NULL
 * instead, its routes live as long as the process: for the command line and
 * OpenAPI, which call nothing. */
struct rest_mounts {
	struct rest_mounted *first;
	struct versions *versions[2]; /* of the stores it mounts, or NULL */
};

/* Gives `add` the routes of the object below `prefix` (borrowed, as all else).
 * `store` and `module` may be NULL when nothing is going to be called. */
void rest_mount(struct rest_mounts *m, const struct rest_object *o,
    const char *prefix, struct store *store, void *module, unsigned flags,
    http_add_routes *add, void *ctx);
/* The same for single rows, whose paths begin behind the prefix
 * ("/auth/tokeninfo"); `module` becomes their ctx. */
void rest_mount_rows(struct rest_mounts *m, const struct http_route *rows,
    const char *prefix, void *module, http_add_routes *add, void *ctx);
void rest_mounts_free(struct rest_mounts *m);

/* Reads the JSON body: `row`, `extra` and `beside` (records of `s`; NULL where
 * there is none) are set up and filled. Answers 400 and returns false when it
 * can not be read or something required is missing. */
struct rest_body {
	void *row, *extra, *beside;
	field_set_t present, extra_present, beside_present;
};
bool rest_read(struct http_call *c, const struct http_schema *s,
    const char *nulls, struct rest_body *b);

/* What the body does not say of a new row gets its default. False: answered. */
bool rest_defaults(
    struct http_call *c, const struct record *r, const struct rest_body *b);

/* 503 err_db with what the store said. */
void rest_db_error(struct http_call *c, const struct err *err);
/* Begin and end of {"data":{...}}. */
struct json_out *rest_data(struct http_call *c);
void rest_data_end(struct http_call *c);
/* Answers with {"data":{all of `row`}}. */
void rest_answer(
    struct http_call *c, const struct record *rec, const void *row);
void rest_count(struct http_call *c, int64_t n);
extern const struct record rest_counted; /* what that answers */
/* Reads `sort`; false: answered with 400. */
bool rest_sort(struct http_call *c, const struct rest_sort *sorts,
    const char *def, struct store_query *q);
/* Changes for the fields in `set`, taken from `row`; at most 64. What had to
 * be made for them is in `a`. */
size_t rest_changes(const struct record *r, field_set_t set, struct arena *a,
    const void *row, struct change *changes);

#endif

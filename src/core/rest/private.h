/*
 * core/rest/private.h - what rest.c and version.c share.
 */
#ifndef CORE_REST_PRIVATE_H
#define CORE_REST_PRIVATE_H

#include "core/rest/version.h"

/* What the generated routes point to. */
struct mount {
	const struct rest_object *o;
	struct store *store;
	struct versions *versions; /* NULL: nothing is recorded */
	void *module;
	unsigned flags;
	field_set_t shown, sometimes, csv;
	struct arena arena; /* paths and scopes */
	struct http_route routes[REST_VERBS + 1];
	const struct http_route *by_verb[REST_VERBS]; /* NULL: not offered */
};

/* Steps of calls, for whoever makes them otherwise than by a call. Each but
 * the last answers the call when it returns false. */
bool rest_fetch(struct rest *r, enum rest_verb verb, struct str id, void **row);
bool rest_add_row(struct rest *r, struct rest_body *b);
void rest_added(struct rest *r, const struct rest_body *b);
/* `row` is made from `old`. */
bool rest_patch_row(struct rest *r, struct str id, const void *old,
    struct rest_body *b, void **row);
void rest_patched(
    struct rest *r, const void *old, const void *row, struct rest_body *b);
bool rest_del_row(struct rest *r, struct str id, const void *row);
void rest_deleted(struct rest *r, const void *row);

field_set_t rest_without_default(const struct record *r);
const char *rest_modified_field(const struct rest_object *o);
void rest_overlay(
    const struct record *rec, field_set_t set, void *to, const void *from);

/* A mount of an object whose kind may be versioned. */
void versions_mounted(const struct rest_mounts *all, const struct mount *m);

#endif

/*
 * core/rest/version_private.h - what version.c and version_api.c share.
 */
#ifndef CORE_REST_VERSION_PRIVATE_H
#define CORE_REST_VERSION_PRIVATE_H

#include "core/rest/private.h"

#define VERSION_HEADER "X-Marram-Version"
#define KINDS_MAX 24

/* Objects that have versions. */
struct version_kind {
	const struct entity *entity;
	const struct rest_object *o; /* NULL: rows beside others */
	const char *type;
	const struct field *id, *unit; /* unit NULL: it has none */
	field_set_t fleeting, modified;
	unsigned order;            /* those it refers to have less */
	const struct mount *mount; /* NULL: not served */
};

struct versions {
	struct versions_conf conf;
	struct versions_host host;
	struct version_kind kinds[KINDS_MAX];
	size_t n_kinds;
	const char *beside; /* the kind whose versions are not shown */
};

const struct version_kind *version_kind_of(
    const struct versions *v, const struct entity *e);
const struct version_kind *version_kind_named(
    const struct versions *v, struct str type);
struct str version_text(const struct field *f, const void *row);
/* The first version that this call has made so far; NULL: none. */
struct str version_made(const struct http_call *c);
/* The row that a version holds; memory in `a`. */
int version_decode(const struct version_kind *k, struct arena *a,
    struct str text, void *row, struct err *err);

#endif

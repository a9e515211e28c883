/*
 * edge/entity_api.h - the store of entities as HTTP shows it, without HTTP: a
 * request in, a status and a body out. On the store's thread.
 *
 *	/te/v1/entities                      GET ?root|parent|type, POST
 *	/te/v1/entities/<topic id>           GET, PATCH, DELETE
 *	/te/v1/entities/<four>/twin[/<key>]  GET, PUT, DELETE
 *	/te/v1/entities/<four>/config[/<key>]  GET
 */
#ifndef EDGE_ENTITY_API_H
#define EDGE_ENTITY_API_H

#include "edge/entity.h"

#define ENTITY_API_PATH "/te/v1/entities"
#define ENTITY_API_BODY_MAX ((size_t)1 << 20)

struct entity_call {
	const char *method;
	struct str path;               /* whole, decoded */
	struct str root, parent, type; /* of the query; STR_NULL: not there */
	struct str body;
	/* the answer: JSON, or nothing with 204 */
	int status;
	struct buf out; /* the caller's to free */
};

/* Is it a path of ours? */
static inline bool
entity_api_is(struct str path)
{
	return str_eqz(path, ENTITY_API_PATH) ||
	    str_starts(path, STR(ENTITY_API_PATH "/"));
}

void entity_api(struct te_store *s, struct entity_call *c);

#endif

/*
 * net/http/openapi.h - OpenAPI 3.1 from the route table.
 */
#ifndef NET_HTTP_OPENAPI_H
#define NET_HTTP_OPENAPI_H

#include "net/http/route.h"

/* The query of every list, beside its own: offset, limit, sort, format. */
extern const struct record openapi_paging;

/* A record as an object schema, as the document has it. */
void openapi_schema(struct json_out *o, const struct record *r);

/* Writes the document; routes with HTTP_HIDDEN are left out. NULL ends. */
void openapi_write(struct buf *out, const struct http_route *const *routes,
    const char *title, const char *version);

#endif

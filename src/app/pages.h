/*
 * app/pages.h - what the server answers beside the modules' APIs: the first
 * page, static files, version, metrics, health, OpenAPI.
 */
#ifndef APP_PAGES_H
#define APP_PAGES_H

#include "net/http/server.h"

struct pages;

/* `name` and `http` are borrowed; `static_path` (may be null) is copied. */
struct pages *pages_new(
    const char *name, struct str static_path, struct http_server *http);
void pages_free(struct pages *p); /* NULL is fine */

void pages_routes(struct pages *p, http_add_routes *add, void *ctx);

/* A file below the static path, or 404. API prefixes are never files. */
void pages_static(struct pages *p, struct http_call *c);

#endif

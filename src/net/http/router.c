/*
 * net/http/router.c - see router.h. Paths without variables are found by hash;
 * the others, a few dozen, are compared one by one.
 */
#include "net/http/router.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void
router_add(struct router *r, const struct http_route *routes)
{
	for (; routes->method != NULL; routes++) {
		r->routes = mem_resize(r->routes, r->n + 2, sizeof(*r->routes));
		r->routes[r->n++] = routes;
		r->routes[r->n] = NULL;
		if (strchr(routes->path, '{') == NULL)
			map_put(&r->fixed,
			    arena_printf(&r->arena, "%s %s", routes->method,
				routes->path),
			    (void *)routes);
	}
}

static bool
match(const char *pattern, struct str path, struct str vars[HTTP_PATH_VARS])
{
	struct str pat = str_of(pattern);
	unsigned n = 0;

	while (pat.ptr != NULL && path.ptr != NULL) {
		struct str want = str_cut(&pat, '/');
		struct str got = str_cut(&path, '/');

		if (want.len > 0 && want.ptr[0] == '{') {
			if (got.len == 0 || n == HTTP_PATH_VARS)
				return false;
			vars[n++] = got;
		} else if (!str_eq(want, got)) {
			return false;
		}
	}
	return pat.ptr == NULL && path.ptr == NULL;
}

static void
add_method(struct http_call *c, struct str *list, const char *method)
{
	*list = list->ptr == NULL
	    ? str_of(method)
	    : arena_printf(&c->arena, STR_FMT ", %s", STR_ARG(*list), method);
}

bool
router_find(const struct router *r, struct http_call *c, struct str *allowed)
{
	const char *method = strcmp(c->method, "HEAD") == 0 ? "GET" : c->method;
	struct str path = c->path, vars[HTTP_PATH_VARS] = { 0 };
	struct str key;

	*allowed = STR_NULL;
	if (path.len > 1 && path.ptr[path.len - 1] == '/')
		path.len--;
	key = arena_printf(&c->arena, "%s " STR_FMT, method, STR_ARG(path));
	c->route = map_get(&r->fixed, key);
	if (c->route != NULL)
		return true;
	for (size_t i = 0; i < r->n; i++) {
		const struct http_route *route = r->routes[i];

		if (!match(route->path, path, vars))
			continue;
		if (strcmp(route->method, method) != 0) {
			add_method(c, allowed, route->method);
			continue;
		}
		c->route = route;
		memcpy(c->vars, vars, sizeof(vars));
		return true;
	}
	return false;
}

void
router_fini(struct router *r)
{
	map_fini(&r->fixed);
	arena_fini(&r->arena);
	free(r->routes);
	*r = (struct router){ 0 };
}

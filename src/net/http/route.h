/*
 * net/http/route.h - the route table: every endpoint, said once.
 *
 * From the rows come the dispatch, the access check, /openapi.json, the API
 * reference and, through core/rest, the command line. A path variable is
 * written {name}.
 */
#ifndef NET_HTTP_ROUTE_H
#define NET_HTTP_ROUTE_H

#include "base/entity.h"
#include "net/http/call.h"

enum http_access {
	HTTP_OPEN,  /* anybody */
	HTTP_TOKEN, /* a bearer token, with `roles` and `scope` below */
};

#define HTTP_ROLE_ADMIN 1u
#define HTTP_ROLE_MANAGER 2u
#define HTTP_ROLE_DEV 4u
#define HTTP_ROLE_SERVICE 8u

/* What a JSON body or answer looks like. */
struct http_schema {
	const struct record *record; /* its members lie in "data"... */
	const char *members;         /* ...only these; '!' behind: required */
	const struct record *extra;  /* more members in "data" */
	const char *extra_members;
	const struct record *beside; /* members next to "data" */
	bool list;                   /* "data" is a list of such */
	bool plain;                  /* there is no "data" around it */
	bool form;                   /* a form, not JSON */
	const char *sometimes;       /* those that an answer may lack */
	bool map;                    /* "data": lists of such, by name */
	const char *media;           /* none of these: bytes, as of a file */
};

#define HTTP_SLOW 1u        /* runs in the small pool for slow work */
#define HTTP_HIDDEN 2u      /* not in OpenAPI: pages, aliases */
#define HTTP_FORM 4u        /* takes a form instead of JSON */
#define HTTP_CREDENTIALS 8u /* OAuth pages: CORS with credentials */
/* `handle` runs on the loop, at once, without an access check. When it answers
 * 101 the connection goes to the owner: see http_server_events.upgraded. */
#define HTTP_UPGRADE 16u
/* A service token may also come as the password of Basic. */
#define HTTP_BASIC 32u

struct http_route {
	const char *method;
	const char *path;
	enum http_access access;
	unsigned roles;    /* any one of these; 0: whoever has a token */
	const char *scope; /* API scope, "user.get"; NULL: none */
	const struct record *query;
	const char *query_members; /* of it; NULL: all */
	struct http_schema body;
	struct http_schema reply;
	void (*handle)(struct http_call *c);
	const void *ctx; /* for the handler, borrowed */
	unsigned flags;
	size_t body_max;          /* 0: the server's */
	const char *body_setting; /* which says so; NULL: none */
	const char *name; /* stands for the path in the operation's id */
	const char *help;
};

/* Who takes rows: the server, OpenAPI, the command line. */
typedef void http_add_routes(void *ctx, const struct http_route *rows);

#endif

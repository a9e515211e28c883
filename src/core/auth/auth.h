/*
 * core/auth/auth.h - users, clients, tokens, and who a caller is.
 *
 * Serves /auth/oauth2/... and /auth/api/v1/... of Sylvia-IoT. The other modules
 * ask it one thing: who is behind this call.
 */
#ifndef CORE_AUTH_AUTH_H
#define CORE_AUTH_AUTH_H

#include "base/conf.h"
#include "base/err.h"
#include "net/http/route.h"
#include "plug/store/settings.h"

struct auth;

struct auth_conf {
	struct store_settings db;
	struct str templates;     /* {"login":"file","grant":"file"} */
	struct str api_scopes;    /* {"user.get":["scope",...],...} */
	bool require_pkce;        /* of public clients */
	int64_t login_failures;   /* per address and minute; 0: no limit */
	struct str login_message; /* on the sign-in page */
	int64_t service_tokens;   /* that a user may have */
	bool shared_database;     /* compat.sharedDatabase */
};

extern const struct conf_field auth_fields[];
/* compat.*: what eases a shared use of upstream's databases. */
extern const struct conf_field auth_compat_fields[];

/* Who is behind a call, in c->who. */
struct auth_who {
	struct str user_id, account, name;
	struct str roles;   /* JSON, as stored */
	unsigned role_bits; /* HTTP_ROLE_..., those that are true */
	struct str client_id;
	struct strs scopes;   /* granted to the token */
	struct str token_key; /* the token's row; null: a service token */

	bool service;           /* by a service token; client_id is its id */
	struct strs api_scopes; /* ... held to these; none: not held */
	struct str unit_id;     /* ... held to this unit; null: not held. Then
				 * role_bits is 0 and */
	bool every_unit;        /* its user may go into any unit */
};

/* Where our web application gets its code, below the server's own address. */
#define AUTH_APP_PATH "/signed-in"
/* Lifetimes, in ms. */
#define AUTH_SESSION_MS (60 * 1000)
#define AUTH_CODE_MS (30 * 1000)
#define AUTH_TOKEN_MS (3600 * 1000)
#define AUTH_REFRESH_MS ((int64_t)14 * 24 * 3600 * 1000)
/* How long the web application's old refresh token is still good for a page
 * that was closed before it got the new one, or for a second tab. */
#define AUTH_GRACE_MS (10 * 1000)

/* Opens the store and reads templates. `dir`, borrowed for the call: where a
 * relative path of the database begins. `scopes2` (may be null) is one more
 * map of API scopes, broker.apiScopes. */
int auth_open(const struct auth_conf *conf, const char *dir, struct str scopes2,
    struct auth **ret, struct err *err);
void auth_close(struct auth *a); /* NULL is fine */
/* Takes over what may change while it runs; texts are copied. [any thread] */
void auth_reconfigure(struct auth *a, const struct auth_conf *conf);

/* The route tables, for http_server_add(), OpenAPI and the command line;
 * `prefix` "/auth/api/v1" or "/coremgr/api/v1". `a` may be NULL where nothing
 * is called. The lists live until auth_close(), or for ever without `a`. */
void auth_routes(struct auth *a, const char *prefix, unsigned flags,
    http_add_routes *add, void *ctx);
void auth_oauth2_routes(struct auth *a, http_add_routes *add, void *ctx);

/* Takes note of the API scopes that these routes have, which a service token
 * may name. To be called with all routes before the server starts; an
 * http_add_routes with the auth module as ctx. */
void auth_know_routes(void *auth, const struct http_route *rows);
/* Who knows whether the caller may see a unit: 1, 0, or -1 with the call
 * answered. Without, service tokens can not be held to one. */
void auth_set_may_unit(struct auth *a,
    int (*may)(void *owner, struct http_call *c, struct str unit_id),
    void *owner);

/* http_server_events.access: token, role and scope of the route. */
bool auth_access(struct auth *a, struct http_call *c);
/* Who has this Authorization header now, without roles or scopes; NULL:
 * nobody. For a record of what was done. */
const struct auth_who *auth_whois(struct auth *a, struct http_call *c);

/* Who calls, for the record of a change; nobody: both stay as they are. */
void auth_caller(struct http_call *c, struct str *user_id, struct str *account);

bool auth_is(const struct http_call *c, unsigned roles); /* any of them */
static inline const struct auth_who *
auth_who(const struct http_call *c)
{
	return c->who;
}

/* Is there such a user? 1, 0, or negative with `err`. */
int auth_user_exists(struct auth *a, struct str user_id, struct err *err);

/* First start: 1 when there is no user yet. */
int auth_is_empty(struct auth *a, bool *ret, struct err *err);
/* Makes the account `admin` (id `admin`) with this password unless there is a
 * user, and the client `public` with the redirect URIs of `ports`. ERR_EXISTS
 * when there is a user. */
int auth_make_admin(struct auth *a, struct str password, struct err *err);
/* The client `public`, or its missing redirect URIs. */
int auth_make_public(
    struct auth *a, const uint16_t *ports, size_t n, struct err *err);
/* A one-time setup code, good for an hour; written to `code`. Its page is
 * /auth/setup. */
#define AUTH_SETUP_LEN 12
int auth_setup_code(
    struct auth *a, char code[AUTH_SETUP_LEN + 1], struct err *err);

/* What is kept, for backups. */
struct store *auth_store(struct auth *a);
extern const struct entity *const auth_entities[]; /* NULL ends */

/* Removes what has expired. To be called now and then, on a worker. */
int auth_clean(struct auth *a, struct err *err);

#endif

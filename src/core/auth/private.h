/*
 * core/auth/private.h - what the files of core/auth share.
 */
#ifndef CORE_AUTH_PRIVATE_H
#define CORE_AUTH_PRIVATE_H

#include "base/map.h"
#include "codec/template.h"
#include "core/auth/auth.h"
#include "core/rest/rest.h"

#include <pthread.h>
#include <stdatomic.h>

struct auth_user {
	struct str user_id, account;
	int64_t created_at, modified_at;
	int64_t verified_at, expired_at, disabled_at;
	struct str roles, password, salt, name, info;
};

struct auth_client {
	struct str client_id;
	int64_t created_at, modified_at;
	struct str client_secret;
	struct strs redirect_uris, scopes;
	struct str user_id, name, image_url;
};

struct auth_session {
	struct str session_id;
	int64_t expires_at;
	struct str user_id;
};

struct auth_code {
	struct str code;
	int64_t expires_at;
	struct str redirect_uri, scope, client_id, user_id;
};

/* The PKCE challenge of a code, beside it: the code's table is not ours. */
struct auth_pkce {
	struct str code, challenge, method;
};

struct auth_token {
	struct str access_token, refresh_token;
	int64_t expires_at;
	struct str scope, client_id, redirect_uri, user_id;
};

struct auth_refresh {
	struct str refresh_token;
	int64_t expires_at;
	struct str scope, client_id, redirect_uri, user_id;
};

/* What a program signs in with that nobody sits in front of. */
struct auth_service {
	struct str id, user_id;
	struct str unit_id; /* null: wherever its user may */
	struct str name, description;
	struct strs scopes;  /* API scopes; none: all its user may */
	struct strs granted; /* to the token that made it: for apiScopes */
	struct str key;      /* auth_hash() of it */
	bool never_expire;
	int64_t expires_on; /* TIME_NULL with never_expire */
	struct str labels;
	int64_t created_at, modified_at, last_used_at;
};

/* The one-time setup code of a first start. */
struct auth_setup {
	struct str id;   /* always "setup" */
	struct str code; /* its key form, see auth_key() */
	int64_t expires_at;
};

extern const struct entity auth_user_entity, auth_client_entity,
    auth_session_entity, auth_code_entity, auth_pkce_entity, auth_token_entity,
    auth_refresh_entity, auth_service_entity, auth_setup_entity;
extern const struct record auth_roles_record;
extern const struct rest_object auth_user_object, auth_client_object,
    auth_service_object;
extern const struct http_route auth_self_rows[]; /* tokeninfo, logout, user */
extern const struct http_route auth_client_rows[];
extern const struct http_route auth_oauth2_rows[]; /* below "/auth" */

/* Failed logins per address, for the rate limit. */
struct auth_failures;
/* Service tokens and their users, remembered. */
struct auth_services;

struct auth {
	struct auth_conf conf;
	struct store *store;
	struct arena arena;
	struct map scopes; /* API scope -> struct strs; read only once open */
	struct str login_page, grant_page; /* templates */
	struct rest_mounts mounts;
	struct auth_failures *failures;
	struct auth_services *services;
	_Atomic int64_t service_tokens; /* that a user may have */
	pthread_mutex_t live_lock;      /* guards: */
	struct str login_message;       /* owned */
	struct map known; /* API scopes there are; read only once started */
	int (*may_unit)(void *owner, struct http_call *c, struct str unit_id);
	void *may_unit_owner;
};

/* Secrets are kept as "sha256$<base64url>"; with compat.sharedDatabase as they
 * are. What was kept in clear is still found: see auth_key_in(). */
/* That form, always. */
struct str auth_hash(struct arena *arena, struct str secret);
struct str auth_key(struct auth *a, struct arena *arena, struct str secret);
/* A filter that finds the row whose `field` is this secret, in either form. A
 * text that is not 64 hex digits is not looked for in clear. */
void auth_key_filter(struct auth *a, struct arena *arena, struct filter *f,
    const char *field, struct str secret);
/* 64 hex digits, all of them random. */
struct str auth_secret(struct arena *arena);

/* Sets password and salt of a row: Argon2id, or PBKDF2 in a shared database.
 * Slow. */
int auth_password_set(struct auth *a, struct arena *arena, struct auth_user *u,
    struct str password, struct err *err);
/* Slow. `*old` tells that the row should be written again by
 * auth_password_set(). */
bool auth_password_is(
    const struct auth_user *u, struct str password, bool *old);
/* Takes as long as auth_password_is() does and finds nothing, so that nobody
 * can tell by the time whether an account exists. */
void auth_password_waste(const struct auth *a, struct str password);

unsigned auth_role_bits(struct str roles);
/* May this user get and use tokens now? */
bool auth_user_active(const struct auth_user *u, int64_t now);

/* Ends all codes and tokens of one client (`field` "clientId") or of one user
 * ("userId", its sign-ins under way too). */
int auth_revoke(
    struct store *tx, const char *field, struct str id, struct err *err);

struct auth_failures *auth_failures_new(void);
/* 0: no limit */
void auth_failures_limit(struct auth_failures *f, uint32_t per_minute);
void auth_failures_free(struct auth_failures *f);
/* False when this address has failed too often. `remote` is "address:port". */
bool auth_may_try(struct auth *a, struct str remote);
void auth_failed(struct auth *a, struct str remote);

/* --- service.c: tokens for programs */

#define AUTH_SERVICE_PREFIX "marram_pat_" /* scanners find leaks by it */

enum auth_finding {
	AUTH_FOUND,
	AUTH_NO_TOKEN,
	AUTH_NO_USER,
	AUTH_NO_CLIENT,
	AUTH_USER_OFF,
	AUTH_DB_FAILED, /* `err` says why */
};

struct auth_services *auth_services_new(void);
void auth_services_free(struct auth_services *s);
/* A token or a user has changed, and is stored. */
void auth_forget(struct auth *a);
bool auth_is_service(struct str secret); /* by its first letters */
/* Who comes with this service token; what `*who` points to is in `arena`. */
enum auth_finding auth_find_service(struct auth *a, struct arena *arena,
    struct str secret, struct auth_who *who, struct err *err);

/* --- page.c: answers for browsers, and the forms they send */

/* Renders `own` or, when that is null, `builtin`. */
void auth_page(struct http_call *c, int status, struct str own,
    const char *builtin, const struct template_var *vars, size_t n);
/* Would the caller rather read HTML than JSON? */
bool auth_wants_page(const struct http_call *c);
/* Reads the form of a POST; false: answered with 400. */
bool auth_form(struct http_call *c, struct url_form *f);
/* {"error":...,"error_description":...}; no description when NULL. */
void auth_oauth2_error(struct http_call *c, int status, const char *error,
    const char *description);
/* 503 {"error":"temporarily_unavailable",...} */
void auth_oauth2_db_error(struct http_call *c, const struct err *err);
void auth_no_store(struct http_call *c);

/* --- the OAuth2 endpoints */

/* The row of this id. 0 and `*found`, or an error of the store. */
int auth_get_user(struct store *s, struct arena *a, struct str id,
    struct auth_user *u, bool *found, struct err *err);
int auth_get_client(struct store *s, struct arena *a, struct str id,
    struct auth_client *cl, bool *found, struct err *err);

/* Is every word of `some` one of `all`? */
bool auth_scope_within(struct arena *a, struct str some, struct strs all);
struct strs auth_words(struct arena *a, struct str text);

/* The forms of /token and /refresh, and what they answer. */
extern const struct record auth_exchange_record, auth_issued_record;
void auth_post_token(struct http_call *c);
void auth_post_refresh(struct http_call *c);
/* Ends the web application's cookie. */
void auth_cookie_clear(struct http_call *c);

/* Is this the code_verifier of the challenge (RFC 7636)? */
bool auth_pkce_fits(struct arena *a, struct str challenge, struct str method,
    struct str verifier);

void auth_get_setup(struct http_call *c);
void auth_post_setup(struct http_call *c);

#endif

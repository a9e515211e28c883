/*
 * core/auth/entities.c - the objects of the auth module, and their settings.
 *
 * Tables and columns are those of Sylvia-IoT 0.4.5; what is ours are the tables
 * `pkce`, `service_token` and `setup`.
 */
#include "core/auth/private.h"
#include "core/rest/check.h"

struct roles {
	bool admin, manager, dev, service;
};
static const struct field role_fields[] = {
	F_BOOL(struct roles, admin, "admin"),
	F_BOOL(struct roles, manager, "manager"),
	F_BOOL(struct roles, dev, "dev"),
	F_BOOL(struct roles, service, "service"),
	{ 0 },
};
const struct record auth_roles_record = { "roles", sizeof(struct roles),
	role_fields };

#define U struct auth_user
static const struct field user_fields[] = {
	F_TEXT(U, user_id, "userId", .help = "Identifies the user."),
	F_TEXT(U, account, "account", .flags = FIELD_LOWER,
	    .check = check_account, .max = 256,
	    .help = "What is typed to sign in: a code or an e-mail address."),
	F_TIME(U, created_at, "createdAt"),
	F_TIME(U, modified_at, "modifiedAt"),
	F_TIME(U, verified_at, "verifiedAt", .flags = FIELD_NULL,
	    .help = "When the account was verified."),
	F_TIME(U, expired_at, "expiredAt", .flags = FIELD_NULL,
	    .help = "From when on the account may no longer sign in."),
	F_TIME(U, disabled_at, "disabledAt", .flags = FIELD_NULL),
	F_JSON(U, roles, "roles", .flags = FIELD_OBJECT, .def = "{}",
	    .record = &auth_roles_record,
	    .help = "Roles that are true: admin, manager, dev, service."),
	F_TEXT(U, password, "password", .flags = FIELD_SECRET,
	    .check = check_filled, .max = 1024, .help = "The password."),
	F_TEXT(U, salt, "salt", .flags = FIELD_SECRET, .def = "\"\""),
	F_TEXT(U, name, "name", .def = "\"\"", .max = 1024,
	    .help = "What people read."),
	F_JSON(U, info, "info", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "Anything you like, as an object."),
	{ 0 },
};
const struct entity auth_user_entity = {
	.record = { "user", sizeof(U), user_fields },
	.table = "user",
	.version = 1,
	.keys = (const struct entity_key[]){ { "userId", { "userId" } },
	    { "account", { "account" } }, { 0 } },
	.help = "A person, or a machine, with an account.",
};

#define C struct auth_client
static const struct field client_fields[] = {
	F_TEXT(C, client_id, "clientId", .help = "Identifies the client."),
	F_TIME(C, created_at, "createdAt"),
	F_TIME(C, modified_at, "modifiedAt"),
	F_TEXT(C, client_secret, "clientSecret",
	    .flags = FIELD_NULL | FIELD_SECRET),
	F_TEXTS(C, redirect_uris, "redirectUris",
	    .flags = FIELD_SPACED | FIELD_UNIQ, .check = check_url, .max = 2048,
	    .format = "uri", .help = "Where authorization codes may be sent."),
	F_TEXTS(C, scopes, "scopes", .flags = FIELD_SPACED | FIELD_UNIQ,
	    .check = check_scope, .max = 256,
	    .help = "What the client may ask for."),
	F_TEXT(C, user_id, "userId", .help = "The user who owns it."),
	F_TEXT(C, name, "name", .max = 1024, .help = "What people read."),
	F_TEXT(C, image_url, "image", .flags = FIELD_NULL, .check = check_url,
	    .format = "uri", .max = 2048, .help = "URL of a picture."),
	{ 0 },
};
const struct entity auth_client_entity = {
	.record = { "client", sizeof(C), client_fields },
	.table = "client",
	.version = 1,
	.keys = (const struct entity_key[]){ { "clientId", { "clientId" } },
	    { 0 } },
	.indexes =
	    (const struct entity_key[]){ { "user", { "userId" } }, { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "userId", "user", "userId", ENTITY_CASCADE }, { 0 } },
	.help = "A program that asks for tokens.",
};

#define S struct auth_session
static const struct field session_fields[] = {
	F_TEXT(S, session_id, "sessionId", .flags = FIELD_SECRET),
	F_TIME(S, expires_at, "expiresAt"),
	F_TEXT(S, user_id, "userId"),
	{ 0 },
};
const struct entity auth_session_entity = {
	.record = { "session", sizeof(S), session_fields },
	.table = "login_session",
	.version = 1,
	.keys = (const struct entity_key[]){ { "sessionId", { "sessionId" } },
	    { 0 } },
	.indexes = (const struct entity_key[]){ { "expires", { "expiresAt" } },
	    { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "userId", "user", "userId", ENTITY_CASCADE }, { 0 } },
	.help = "A sign-in that waits for the grant.",
};

#define A struct auth_code
static const struct field code_fields[] = {
	F_TEXT(A, code, "code", .flags = FIELD_SECRET),
	F_TIME(A, expires_at, "expiresAt"),
	F_TEXT(A, redirect_uri, "redirectUri"),
	F_TEXT(A, scope, "scope", .flags = FIELD_NULL),
	F_TEXT(A, client_id, "clientId"),
	F_TEXT(A, user_id, "userId"),
	{ 0 },
};
const struct entity auth_code_entity = {
	.record = { "authorizationCode", sizeof(A), code_fields },
	.table = "authorization_code",
	.version = 1,
	.keys = (const struct entity_key[]){ { "code", { "code" } }, { 0 } },
	.indexes = (const struct entity_key[]){ { "expires", { "expiresAt" } },
	    { "client", { "clientId" } }, { "user", { "userId" } }, { 0 } },
	.refs = (const struct entity_ref[]){ { "userId", "user", "userId",
						 ENTITY_CASCADE },
	    { "clientId", "client", "clientId", ENTITY_CASCADE }, { 0 } },
	.help = "A code that is exchanged once for tokens.",
};

#define K struct auth_pkce
static const struct field pkce_fields[] = {
	F_TEXT(K, code, "code", .flags = FIELD_SECRET),
	F_TEXT(K, challenge, "challenge", .flags = FIELD_SECRET),
	F_TEXT(K, method, "method"),
	{ 0 },
};
const struct entity auth_pkce_entity = {
	.record = { "pkce", sizeof(K), pkce_fields },
	.table = "pkce",
	.version = 1,
	.keys = (const struct entity_key[]){ { "code", { "code" } }, { 0 } },
	.refs = (const struct entity_ref[]){ { "code", "authorizationCode",
						 "code", ENTITY_CASCADE },
	    { 0 } },
	.help = "What the exchange of a code must prove (RFC 7636).",
};

/* Access tokens of a deleted user or client stay until they expire: who comes
 * with one is told that the user or client is gone. */
#define T struct auth_token
static const struct field token_fields[] = {
	F_TEXT(T, access_token, "accessToken", .flags = FIELD_SECRET),
	F_TEXT(T, refresh_token, "refreshToken",
	    .flags = FIELD_SECRET | FIELD_NULL),
	F_TIME(T, expires_at, "expiresAt"),
	F_TEXT(T, scope, "scope", .flags = FIELD_NULL),
	F_TEXT(T, client_id, "clientId"),
	F_TEXT(T, redirect_uri, "redirectUri"),
	F_TEXT(T, user_id, "userId"),
	{ 0 },
};
const struct entity auth_token_entity = {
	.record = { "accessToken", sizeof(T), token_fields },
	.table = "access_token",
	.version = 1,
	.keys =
	    (const struct entity_key[]){
		{ "accessToken", { "accessToken" } }, { 0 } },
	.indexes = (const struct entity_key[]){ { "expires", { "expiresAt" } },
	    { "refresh", { "refreshToken" } }, { "client", { "clientId" } },
	    { "user", { "userId" } }, { 0 } },
	.help = "What a request is authorized by.",
};

#define R struct auth_refresh
static const struct field refresh_fields[] = {
	F_TEXT(R, refresh_token, "refreshToken", .flags = FIELD_SECRET),
	F_TIME(R, expires_at, "expiresAt"),
	F_TEXT(R, scope, "scope", .flags = FIELD_NULL),
	F_TEXT(R, client_id, "clientId"),
	F_TEXT(R, redirect_uri, "redirectUri"),
	F_TEXT(R, user_id, "userId"),
	{ 0 },
};
const struct entity auth_refresh_entity = {
	.record = { "refreshToken", sizeof(R), refresh_fields },
	.table = "refresh_token",
	.version = 1,
	.keys =
	    (const struct entity_key[]){
		{ "refreshToken", { "refreshToken" } }, { 0 } },
	.indexes = (const struct entity_key[]){ { "expires", { "expiresAt" } },
	    { "client", { "clientId" } }, { "user", { "userId" } }, { 0 } },
	.refs = (const struct entity_ref[]){ { "userId", "user", "userId",
						 ENTITY_CASCADE },
	    { "clientId", "client", "clientId", ENTITY_CASCADE }, { 0 } },
	.help = "What is exchanged for a new access token.",
};

/* Expired ones stay until their user deletes them: he sees what has ended. */
#define V struct auth_service
static const struct field service_fields[] = {
	F_TEXT(V, id, "id", .help = "Identifies the token; it is not it."),
	F_TEXT(V, user_id, "userId",
	    .help = "Whose rights it has. Left out: who makes it. Only "
		    "administrators name others."),
	F_TEXT(V, unit_id, "unitId", .flags = FIELD_NULL,
	    .help = "The only unit in which it is good. Left out: all in "
		    "which its user has rights."),
	F_TEXT(V, name, "name", .check = check_filled, .max = 256,
	    .help = "What people read: who uses it."),
	F_TEXT(V, description, "description", .def = "\"\"", .max = 4096,
	    .help = "What people read."),
	F_TEXTS(V, scopes, "scopes", .flags = FIELD_SPACED | FIELD_UNIQ,
	    .check = check_scope, .max = 64,
	    .help = "API scopes it is good for (\"metric.get\"); none: all "
		    "that its user may do."),
	F_TEXTS(V, granted, "granted", .flags = FIELD_SPACED),
	F_TEXT(V, key, "key", .flags = FIELD_SECRET),
	F_BOOL(V, never_expire, "neverExpire", .def = "false",
	    .help = "It is good until it is deleted."),
	F_TIME(V, expires_on, "expiresOn", .flags = FIELD_NULL,
	    .help = "From when on it is refused."),
	F_JSON(V, labels, "labels", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "Texts by key, to find it by."),
	F_TIME(V, created_at, "createdAt"),
	F_TIME(V, modified_at, "modifiedAt"),
	F_TIME(V, last_used_at, "lastUsedAt", .flags = FIELD_NULL,
	    .help = "When it was used, to five minutes."),
	{ 0 },
};
const struct entity auth_service_entity = {
	.record = { "serviceToken", sizeof(V), service_fields },
	.table = "service_token",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "key", { "key" } }, { 0 } },
	.indexes =
	    (const struct entity_key[]){ { "user", { "userId" } }, { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "userId", "user", "userId", ENTITY_CASCADE }, { 0 } },
	.help = "What a program signs in with.",
};

#define P struct auth_setup
static const struct field setup_fields[] = {
	F_TEXT(P, id, "id"),
	F_TEXT(P, code, "code", .flags = FIELD_SECRET),
	F_TIME(P, expires_at, "expiresAt"),
	{ 0 },
};
const struct entity auth_setup_entity = {
	.record = { "setup", sizeof(P), setup_fields },
	.table = "setup",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.help = "The one-time code that makes the first account.",
};

const struct entity *const auth_entities[] = { &auth_user_entity,
	&auth_client_entity, &auth_session_entity, &auth_code_entity,
	&auth_pkce_entity, &auth_token_entity, &auth_refresh_entity,
	&auth_service_entity, &auth_setup_entity, NULL };

const struct conf_field auth_fields[] = {
	STORE_ROWS(
	    struct auth_conf, "auth.db", "auth", "users, clients and tokens"),
	CONF_JSON(struct auth_conf, templates, "templates", .def = "{}",
	    .alias = (const char *const[]){ "auth.db.templates", NULL },
	    .help = "Own pages instead of the built-in ones, as "
		    "{\"login\": file, \"grant\": file} in Jinja2 syntax."),
	CONF_TEXT(struct auth_conf, login_message, "loginMessage", .def = "",
	    .live = true,
	    .help = "What people read on the sign-in page; for own pages it is "
		    "`login_message`."),
	CONF_JSON(struct auth_conf, api_scopes, "apiScopes", .def = "{}",
	    .alias = (const char *const[]){ "auth.db.apiScopes", NULL },
	    .help = "For each API scope the token scopes of which a call needs "
		    "one; an empty list means no restriction."),
	CONF_BOOL(struct auth_conf, require_pkce, "requirePkce", .def = "false",
	    .help = "Public clients must use PKCE (RFC 7636)."),
	CONF_INT(struct auth_conf, login_failures, "loginFailures", .def = "10",
	    .max = 100000, .live = true,
	    .help = "Failed sign-ins that one address may have in a minute; "
		    "beyond that it is refused unheard. 0: no limit."),
	CONF_INT(struct auth_conf, service_tokens, "serviceTokens",
	    .def = "100", .max = 10000, .live = true,
	    .help = "Service tokens that a user may have."),
	{ 0 },
};

const struct conf_field auth_compat_fields[] = {
	CONF_BOOL(struct auth_conf, shared_database, "sharedDatabase",
	    .def = "false",
	    .help = "Keep passwords (PBKDF2) and tokens (clear) as "
		    "Sylvia-IoT does, for a database that its nodes use at the "
		    "same time."),
	{ 0 },
};

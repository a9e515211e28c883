/*
 * core/auth/auth.c - see auth.h: opening, and who a caller is.
 */
#include "core/auth/private.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/template.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- opening ------------------------------------------------------------- */

/* {"user.get":["a","b"],...} into the map. */
static int
read_scopes(struct auth *a, struct str text, const char *what, struct err *err)
{
	struct str name, item;
	struct json j;

	if (text.ptr == NULL)
		return 0;
	json_open(&j, text, 0, &a->arena);
	if (json_object(&j))
		while (json_member(&j, &name)) {
			struct strs *list = arena_new(&a->arena, struct strs);

			if (json_array(&j))
				while (json_item(&j) && json_str(&j, &item)) {
					list->at = mem_resize(list->at,
					    list->n + 1, sizeof(*list->at));
					list->at[list->n++] =
					    arena_str(&a->arena, item);
				}
			name = arena_str(&a->arena, name);
			list = map_put(&a->scopes, name, list);
			if (list != NULL)
				free(list->at);
		}
	if (json_done(&j, err) != 0)
		return err_wrap(err, "%s", what);
	return 0;
}

static int
read_templates(struct auth *a, struct err *err)
{
	struct str name, path;
	struct buf text = { 0 };
	struct json j;
	int rc = 0;

	json_open(&j, a->conf.templates, 0, &a->arena);
	if (json_object(&j))
		while (rc == 0 && json_member(&j, &name)) {
			struct str *page = str_eqz(name, "login")
			    ? &a->login_page
			    : str_eqz(name, "grant") ? &a->grant_page
						     : NULL;

			if (page == NULL || !json_str(&j, &path)) {
				json_skip(&j);
				continue;
			}
			rc = file_read(arena_z(&a->arena, path), &text, err);
			*page = arena_str(&a->arena, buf_str(&text));
			buf_clear(&text);
			if (rc == 0)
				rc = template_check(*page, err);
			if (rc != 0)
				err_wrap(err, "auth.templates." STR_FMT,
				    STR_ARG(name));
		}
	if (rc == 0 && json_done(&j, err) != 0)
		rc = err_wrap(err, "auth.templates");
	buf_free(&text);
	return rc;
}

int
auth_open(const struct auth_conf *conf, const char *dir, struct str scopes2,
    struct auth **ret, struct err *err)
{
	struct auth *a = mem_new(struct auth);
	int rc;

	if (sodium_init() < 0) {
		free(a);
		return err_set(err, ERR_IO, "libsodium did not start");
	}
	a->conf = *conf;
	pthread_mutex_init(&a->live_lock, NULL);
	a->failures = auth_failures_new();
	a->services = auth_services_new();
	auth_reconfigure(a, conf);
	rc = read_scopes(a, conf->api_scopes, "auth.apiScopes", err);
	if (rc == 0)
		rc = read_scopes(a, scopes2, "broker.apiScopes", err);
	if (rc == 0)
		rc = read_templates(a, err);
	if (rc == 0)
		rc = store_open_settings(
		    &a->conf.db, "auth", dir, auth_entities, &a->store, err);
	if (rc != 0) {
		auth_close(a);
		return rc;
	}
	*ret = a;
	return 0;
}

void
auth_reconfigure(struct auth *a, const struct auth_conf *conf)
{
	auth_failures_limit(a->failures, (uint32_t)conf->login_failures);
	a->service_tokens = conf->service_tokens;
	pthread_mutex_lock(&a->live_lock);
	str_free(a->login_message);
	a->login_message = str_copy(conf->login_message);
	pthread_mutex_unlock(&a->live_lock);
}

void
auth_close(struct auth *a)
{
	struct strs *list;
	size_t pos = 0;

	if (a == NULL)
		return;
	rest_mounts_free(&a->mounts);
	while ((list = map_next(&a->scopes, &pos)) != NULL)
		free(list->at);
	map_fini(&a->scopes);
	store_close(a->store);
	auth_failures_free(a->failures);
	auth_services_free(a->services);
	map_fini(&a->known);
	str_free(a->login_message);
	pthread_mutex_destroy(&a->live_lock);
	arena_fini(&a->arena);
	free(a);
}

/* --- routes -------------------------------------------------------------- */

void
auth_routes(struct auth *a, const char *prefix, unsigned flags,
    http_add_routes *add, void *ctx)
{
	struct store *store = a != NULL ? a->store : NULL;
	struct rest_mounts *m = a != NULL ? &a->mounts : NULL;

	rest_mount_rows(m, auth_self_rows, prefix, a, add, ctx);
	rest_mount(m, &auth_user_object, prefix, store, a, flags, add, ctx);
	rest_mount_rows(m, auth_client_rows, prefix, a, add, ctx);
	rest_mount(m, &auth_client_object, prefix, store, a, flags, add, ctx);
	rest_mount(m, &auth_service_object, prefix, store, a, flags, add, ctx);
}

void
auth_oauth2_routes(struct auth *a, http_add_routes *add, void *ctx)
{
	rest_mount_rows(a != NULL ? &a->mounts : NULL, auth_oauth2_rows,
	    "/auth", a, add, ctx);
}

void
auth_know_routes(void *auth, const struct http_route *rows)
{
	struct auth *a = auth;

	for (; rows->method != NULL; rows++)
		if (rows->scope != NULL)
			(void)map_put(&a->known, str_of(rows->scope), a);
}

void
auth_set_may_unit(struct auth *a,
    int (*may)(void *owner, struct http_call *c, struct str unit_id),
    void *owner)
{
	a->may_unit = may;
	a->may_unit_owner = owner;
}

/* --- who a caller is ----------------------------------------------------- */

unsigned
auth_role_bits(struct str roles)
{
	static const struct {
		const char *name;
		unsigned bit;
	} known[] = { { "admin", HTTP_ROLE_ADMIN },
		{ "manager", HTTP_ROLE_MANAGER }, { "dev", HTTP_ROLE_DEV },
		{ "service", HTTP_ROLE_SERVICE } };
	struct arena scratch = { 0 };
	unsigned bits = 0;
	struct str name;
	struct json j;

	json_open(&j, roles, 0, &scratch);
	if (json_object(&j))
		while (json_member(&j, &name)) {
			bool set = false;

			if (json_peek(&j) == JSON_BOOL)
				json_bool(&j, &set);
			else
				json_skip(&j);
			for (size_t i = 0; set && i < COUNT_OF(known); i++)
				if (str_eqz(name, known[i].name))
					bits |= known[i].bit;
		}
	arena_fini(&scratch);
	return bits;
}

void
auth_caller(struct http_call *c, struct str *user_id, struct str *account)
{
	const struct auth_who *who = auth_who(c);

	if (who == NULL)
		return;
	*user_id = who->user_id;
	*account = who->account;
}

bool
auth_is(const struct http_call *c, unsigned roles)
{
	const struct auth_who *who = c->who;

	return who != NULL && (who->role_bits & roles) != 0;
}

bool
auth_user_active(const struct auth_user *u, int64_t now)
{
	return u->disabled_at == TIME_NULL &&
	    (u->expired_at == TIME_NULL || u->expired_at > now);
}

struct strs
auth_words(struct arena *a, struct str text)
{
	struct strs list = { 0 };

	list.at = arena_array(a, text.len / 2 + 1, struct str);
	while (text.ptr != NULL) {
		struct str word = str_cut(&text, ' ');

		if (word.len > 0)
			list.at[list.n++] = word;
	}
	return list;
}

/* The token in the Authorization header; STR_NULL when it is not a bearer's. */
static struct str
bearer(struct str header)
{
	struct str word = str_cut(&header, ' ');

	if (!str_eq_nocase(word, STR("Bearer")))
		return STR_NULL;
	return str_trim(header);
}

/* Basic's password, where a route takes it as a token. */
static struct str
basic_token(struct http_call *c)
{
	struct str rest = c->authorization, word = str_cut(&rest, ' ');
	struct str pair = STR_NULL;
	struct buf b = { 0 };

	if (!str_eq_nocase(word, STR("Basic")))
		return STR_NULL;
	if (base64_decode(&b, str_trim(rest)))
		pair = arena_str(&c->arena, buf_str(&b));
	buf_free(&b);
	(void)str_cut(&pair, ':');
	return auth_is_service(pair) ? pair : STR_NULL;
}

static struct str
token_of(struct http_call *c)
{
	struct str secret = bearer(c->authorization);

	if (secret.ptr == NULL && c->route != NULL &&
	    c->route->flags & HTTP_BASIC)
		secret = basic_token(c);
	return secret;
}

static enum auth_finding
find_who(struct auth *a, struct http_call *c, struct str secret,
    struct auth_who **ret, struct err *err)
{
	struct auth_token *t = arena_new(&c->arena, struct auth_token);
	struct auth_user *u = arena_new(&c->arena, struct auth_user);
	struct auth_client *cl = arena_new(&c->arena, struct auth_client);
	struct auth_who *who = arena_new(&c->arena, struct auth_who);
	struct filter f = { 0 };
	bool found;

	if (auth_is_service(secret)) {
		*ret = who;
		return auth_find_service(a, &c->arena, secret, who, err);
	}
	auth_key_filter(a, &c->arena, &f, "accessToken", secret);
	filter_add(&f, "expiresAt", COND_GT, value_time(clock_now()));
	if (store_get(a->store, &auth_token_entity, &f, &c->arena, t, &found,
		err) != 0)
		return AUTH_DB_FAILED;
	if (!found)
		return AUTH_NO_TOKEN;
	f.n = 0;
	filter_text(&f, "userId", t->user_id);
	if (store_get(a->store, &auth_user_entity, &f, &c->arena, u, &found,
		err) != 0)
		return AUTH_DB_FAILED;
	if (!found)
		return AUTH_NO_USER;
	if (!auth_user_active(u, clock_now()))
		return AUTH_USER_OFF;
	f.n = 0;
	filter_text(&f, "clientId", t->client_id);
	if (store_get(a->store, &auth_client_entity, &f, &c->arena, cl, &found,
		err) != 0)
		return AUTH_DB_FAILED;
	if (!found)
		return AUTH_NO_CLIENT;
	*who = (struct auth_who){ .user_id = u->user_id,
		.account = u->account,
		.name = u->name,
		.roles = u->roles,
		.role_bits = auth_role_bits(u->roles),
		.client_id = t->client_id,
		.scopes = auth_words(&c->arena, t->scope),
		.token_key = t->access_token };
	*ret = who;
	return AUTH_FOUND;
}

const struct auth_who *
auth_whois(struct auth *a, struct http_call *c)
{
	struct str secret = bearer(c->authorization);
	struct auth_who *who;

	if (c->many_authorizations || secret.ptr == NULL ||
	    find_who(a, c, secret, &who, NULL) != AUTH_FOUND)
		return NULL;
	return who;
}

/* Broker and data answer JSON, auth an empty body with the header. */
static void
refuse_token(struct http_call *c)
{
	if (str_starts(c->path, STR("/auth/")) ||
	    str_starts(c->path, STR("/coremgr/api/v1/auth/")) ||
	    str_starts(c->path, STR("/coremgr/api/v1/user")) ||
	    str_starts(c->path, STR("/coremgr/api/v1/client")) ||
	    str_starts(c->path, STR("/coremgr/api/v1/service-token"))) {
		http_empty(c, 401);
		http_header(c, "WWW-Authenticate",
		    STR("Bearer error=\"invalid_token\""));
	} else {
		http_error(c, 401, "err_auth", NULL);
		http_header(c, "WWW-Authenticate",
		    STR("Bearer error=\"invalid_token\""));
	}
}

static bool
has_word(const struct strs *list, struct str word)
{
	for (size_t i = 0; i < list->n; i++)
		if (str_eq(list->at[i], word))
			return true;
	return false;
}

static bool
scope_allows(
    const struct auth *a, const struct auth_who *who, const char *api_scope)
{
	const struct strs *list;

	/* what has no scope is not among those a token is held to */
	if (who->api_scopes.n > 0 &&
	    (api_scope == NULL ||
		!has_word(&who->api_scopes, str_of(api_scope))))
		return false;
	if (api_scope == NULL)
		return true;
	list = map_get(&a->scopes, str_of(api_scope));
	if (list == NULL || list->n == 0)
		return true;
	for (size_t i = 0; i < list->n; i++)
		if (has_word(&who->scopes, list->at[i]))
			return true;
	return false;
}

bool
auth_access(struct auth *a, struct http_call *c)
{
	struct str secret = token_of(c);
	struct auth_who *who;
	struct err err;

	if (c->authorization.ptr == NULL || c->many_authorizations) {
		http_error(c, 400, "err_param",
		    c->many_authorizations ? "more than one Authorization"
					   : "missing token");
		return false;
	}
	switch (secret.ptr == NULL ? AUTH_NO_TOKEN
				   : find_who(a, c, secret, &who, &err)) {
	case AUTH_FOUND:
		break;
	case AUTH_NO_TOKEN:
		refuse_token(c);
		return false;
	case AUTH_NO_USER:
		http_error(c, 403, "err_perm", "user not exist");
		return false;
	case AUTH_NO_CLIENT:
		http_error(c, 403, "err_perm", "client not exist");
		return false;
	case AUTH_USER_OFF:
		http_error(c, 403, "err_perm", "user disabled or expired");
		return false;
	case AUTH_DB_FAILED:
		rest_db_error(c, &err);
		return false;
	}
	c->who = who;
	if (c->route->roles != 0 && !auth_is(c, c->route->roles)) {
		http_error(c, 403, "err_perm", "invalid role");
		return false;
	}
	if (!scope_allows(a, who, c->route->scope)) {
		http_error(c, 403, "err_perm", "invalid scope");
		return false;
	}
	return true;
}

int
auth_user_exists(struct auth *a, struct str user_id, struct err *err)
{
	struct filter f = { 0 };
	int64_t n;
	int rc;

	filter_text(&f, "userId", user_id);
	rc = store_count(a->store, &auth_user_entity, &f, &n, err);
	return rc != 0 ? rc : n > 0;
}

int
auth_revoke(struct store *tx, const char *field, struct str id, struct err *err)
{
	struct filter f = { 0 };
	int rc;

	filter_text(&f, field, id);
	rc = store_del(tx, &auth_code_entity, &f, NULL, err);
	if (rc == 0 && strcmp(field, "userId") == 0)
		rc = store_del(tx, &auth_session_entity, &f, NULL, err);
	if (rc == 0)
		rc = store_del(tx, &auth_token_entity, &f, NULL, err);
	if (rc == 0)
		rc = store_del(tx, &auth_refresh_entity, &f, NULL, err);
	return rc;
}

struct store *
auth_store(struct auth *a)
{
	return a->store;
}

int
auth_clean(struct auth *a, struct err *err)
{
	static const struct entity *const passing[] = { &auth_session_entity,
		&auth_code_entity, &auth_token_entity, &auth_refresh_entity,
		&auth_setup_entity };
	struct filter f = { 0 };

	filter_add(&f, "expiresAt", COND_LE, value_time(clock_now()));
	for (size_t i = 0; i < COUNT_OF(passing); i++) {
		int rc = store_del(a->store, passing[i], &f, NULL, err);

		if (rc != 0)
			return rc;
	}
	return 0;
}

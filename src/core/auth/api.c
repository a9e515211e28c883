/*
 * core/auth/api.c - users and clients over HTTP: what the tables of entities.c
 * can not say by themselves.
 */
#include "core/auth/private.h"
#include "core/rest/check.h"

#include "base/base.h"
#include "base/rand.h"

#include <stdlib.h>
#include <string.h>

static struct auth *
auth_of(const struct http_call *c)
{
	return (struct auth *)c->route->ctx;
}

/* --- the caller itself --------------------------------------------------- */

static void
tokeninfo(struct http_call *c)
{
	const struct auth_who *who = auth_who(c);
	struct json_out *o = rest_data(c);

	json_out_key(o, "userId");
	json_out_str(o, who->user_id);
	json_out_key(o, "account");
	json_out_str(o, who->account);
	json_out_key(o, "roles");
	json_out_raw(o, who->roles);
	json_out_key(o, "name");
	json_out_str(o, who->name);
	json_out_key(o, "clientId");
	json_out_str(o, who->client_id);
	json_out_key(o, "scopes");
	json_out_array(o);
	for (size_t i = 0; i < who->scopes.n; i++)
		json_out_str(o, who->scopes.at[i]);
	json_out_end_array(o);
	rest_data_end(c);
}

static int
take_pair(struct store *tx, void *ctx, struct err *err)
{
	struct http_call *c = ctx;
	const struct auth_who *who = auth_who(c);
	struct auth_token t;
	struct filter f = { 0 };
	bool found;
	int rc;

	filter_text(&f, "accessToken", who->token_key);
	rc = store_get(tx, &auth_token_entity, &f, &c->arena, &t, &found, err);
	if (rc != 0 || !found)
		return rc;
	rc = store_del(tx, &auth_token_entity, &f, NULL, err);
	if (rc != 0 || t.refresh_token.ptr == NULL)
		return rc;
	f.n = 0;
	filter_text(&f, "refreshToken", t.refresh_token);
	return store_del(tx, &auth_refresh_entity, &f, NULL, err);
}

static bool
deny(struct http_call *c, const char *why)
{
	http_error(c, 403, "err_perm", "%s", why);
	return false;
}

static void
logout(struct http_call *c)
{
	struct err err;

	if (auth_who(c)->service) {
		deny(c, "a service token ends when it is deleted");
		return;
	}
	if (store_tx(auth_of(c)->store, take_pair, c, &err) != 0) {
		rest_db_error(c, &err);
		return;
	}
	http_empty(c, 204);
	auth_cookie_clear(c);
}

static int
take_all(struct store *tx, void *ctx, struct err *err)
{
	const struct auth_who *who = auth_who((struct http_call *)ctx);

	return auth_revoke(tx, "userId", who->user_id, err);
}

static void
logout_all(struct http_call *c)
{
	struct err err;

	if (auth_who(c)->service)
		deny(c, "a service token signs nobody out");
	else if (store_tx(auth_of(c)->store, take_all, c, &err) != 0)
		rest_db_error(c, &err);
	else {
		http_empty(c, 204);
		auth_cookie_clear(c);
	}
}

static bool
get_self(struct http_call *c, struct auth_user *u)
{
	struct filter f = { 0 };
	struct err err;
	bool found;

	filter_text(&f, "userId", auth_who(c)->user_id);
	if (store_get(auth_of(c)->store, &auth_user_entity, &f, &c->arena, u,
		&found, &err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	if (!found)
		http_error(c, 403, "err_perm", "user not exist");
	return found;
}

#define SELF_SHOWN "account createdAt modifiedAt verifiedAt roles name info"

static void
get_user(struct http_call *c)
{
	const struct record *rec = &auth_user_entity.record;
	struct auth_user u;

	if (!get_self(c, &u))
		return;
	http_json(c, 200);
	json_out_object(&c->json);
	json_out_key(&c->json, "data");
	record_to_json(&c->json, rec, field_bits(rec, SELF_SHOWN, NULL), &u);
	json_out_end_object(&c->json);
}

/* Whoever found a service token could stay with the account's password. */
static bool
may_set_password(struct http_call *c, struct str user_id)
{
	return !auth_who(c)->service ||
	    !str_eq(auth_who(c)->user_id, user_id) ||
	    deny(c, "a service token does not change its user's password");
}

/* Writes some fields of a user and, if the password is among them, takes all
 * its codes and tokens. */
struct user_change {
	struct str user_id;
	struct change changes[64];
	size_t n;
	bool revoke;
};

static int
change_user(struct store *tx, void *ctx, struct err *err)
{
	struct user_change *u = ctx;
	struct filter f = { 0 };
	int rc;

	filter_text(&f, "userId", u->user_id);
	rc = store_update(
	    tx, &auth_user_entity, &f, u->changes, u->n, NULL, err);
	if (rc == 0 && u->revoke)
		rc = auth_revoke(tx, "userId", u->user_id, err);
	return rc;
}

static void
patch_user(struct http_call *c)
{
	const struct record *rec = &auth_user_entity.record;
	struct user_change change = { 0 };
	struct auth_user *row;
	struct rest_body b;
	struct err err;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	if (b.present == 0) {
		http_error(c, 400, "err_param", "at least one parameter");
		return;
	}
	row = b.row;
	row->modified_at = c->came_at;
	b.present |= field_bit(rec, "modifiedAt");
	if (b.present & field_bit(rec, "password")) {
		if (!may_set_password(c, auth_who(c)->user_id))
			return;
		if (auth_password_set(
			auth_of(c), &c->arena, row, row->password, &err) != 0) {
			http_error(c, 503, "err_rsc", "%s", err.text);
			return;
		}
		b.present |= field_bit(rec, "salt");
		change.revoke = true;
	}
	change.user_id = auth_who(c)->user_id;
	change.n = rest_changes(rec, b.present, &c->arena, row, change.changes);
	if (store_tx(auth_of(c)->store, change_user, &change, &err) != 0) {
		rest_db_error(c, &err);
		return;
	}
	auth_forget(auth_of(c));
	http_empty(c, 204);
}

struct tokeninfo_reply {
	struct str user_id, account, roles, name, client_id;
	struct strs scopes;
};

static const struct field tokeninfo_fields[] = {
	F_TEXT(struct tokeninfo_reply, user_id, "userId"),
	F_TEXT(struct tokeninfo_reply, account, "account"),
	F_JSON(struct tokeninfo_reply, roles, "roles", .flags = FIELD_OBJECT,
	    .record = &auth_roles_record),
	F_TEXT(struct tokeninfo_reply, name, "name"),
	F_TEXT(struct tokeninfo_reply, client_id, "clientId"),
	F_TEXTS(struct tokeninfo_reply, scopes, "scopes"),
	{ 0 },
};
static const struct record tokeninfo_record = { "tokeninfo",
	sizeof(struct tokeninfo_reply), tokeninfo_fields };

const struct http_route auth_self_rows[] = {
	{ "GET", "/auth/tokeninfo", HTTP_TOKEN, .scope = "auth.tokeninfo.get",
	    .reply = { .record = &tokeninfo_record }, .handle = tokeninfo,
	    .help = "Says who the token belongs to." },
	{ "POST", "/auth/logout", HTTP_TOKEN, .scope = "auth.logout.post",
	    .handle = logout,
	    .help = "Ends this access token and its refresh token." },
	{ "POST", "/auth/logout-all", HTTP_TOKEN, .scope = "auth.logout.post",
	    .handle = logout_all,
	    .help = "Ends all sign-ins of the caller, everywhere. Service "
		    "tokens stay." },
	{ "GET", "/user", HTTP_TOKEN, .name = "self", .scope = "user.get",
	    .reply = { .record = &auth_user_entity.record,
		.members = SELF_SHOWN },
	    .handle = get_user, .help = "Shows the caller's own account." },
	{ "PATCH", "/user", HTTP_TOKEN, .name = "self", .scope = "user.patch",
	    .body = { .record = &auth_user_entity.record,
		.members = "password name info" },
	    .handle = patch_user, .flags = HTTP_SLOW,
	    .help = "Changes the caller's own account. A new password ends all "
		    "its tokens." },
	{ 0 },
};

/* --- users --------------------------------------------------------------- */

struct user_new {
	int64_t expired_at;
};

static const struct field user_new_fields[] = {
	F_TIME(struct user_new, expired_at, "expiredAt",
	    .help = "The account expires then unless it is verified."),
	{ 0 },
};
static const struct record user_new_record = { "userNew",
	sizeof(struct user_new), user_new_fields };

struct user_edit {
	bool disable;
};

static const struct field user_edit_fields[] = {
	F_BOOL(struct user_edit, disable, "disable",
	    .help = "Forbids or allows signing in."),
	{ 0 },
};
static const struct record user_edit_record = { "userEdit",
	sizeof(struct user_edit), user_edit_fields };

struct user_query {
	struct str account, contains, fields;
};

static const struct field user_query_fields[] = {
	F_TEXT(struct user_query, account, "account",
	    .help = "Exactly this account."),
	F_TEXT(struct user_query, contains, "contains",
	    .help = "Accounts that contain this text."),
	F_TEXT(struct user_query, fields, "fields",
	    .help = "More members to show: expired, disabled."),
	{ 0 },
};
static const struct record user_query_record = { "userQuery",
	sizeof(struct user_query), user_query_fields };

#define USER_SHOWN                                                             \
	"userId account createdAt modifiedAt verifiedAt roles name info"

static bool
user_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct auth_user *u = row;
	const struct user_new *more = beside;
	struct err err;

	(void)extra;
	if (more->expired_at == TIME_NULL)
		u->verified_at = r->c->came_at;
	else
		u->expired_at = more->expired_at;
	if (auth_password_set(r->module, &r->c->arena, u, u->password, &err) ==
	    0)
		return true;
	http_error(r->c, 503, "err_rsc", "%s", err.text);
	return false;
}

static field_set_t
user_members(struct rest *r, enum rest_verb verb)
{
	const struct record *rec = &auth_user_entity.record;
	field_set_t set = field_bits(rec, USER_SHOWN, NULL);
	struct str want = http_query(r->c, "fields");

	while (verb == REST_LIST && want.ptr != NULL) {
		struct str word = str_cut(&want, ',');

		if (str_eqz(word, "expired"))
			set |= field_bit(rec, "expiredAt");
		else if (str_eqz(word, "disabled"))
			set |= field_bit(rec, "disabledAt");
	}
	return set;
}

/* What a manager, who is no admin, may do to another account. */
static bool
manager_may(struct rest *r, const struct auth_user *old, struct auth_user *u,
    field_set_t *present, bool disables)
{
	const struct record *rec = &auth_user_entity.record;
	unsigned bits = auth_role_bits(old->roles);

	if (bits & HTTP_ROLE_ADMIN)
		return deny(r->c, "an admin is changed by admins only");
	*present &= field_bit(rec, "roles");
	if (*present &&
	    auth_role_bits(u->roles) & (HTTP_ROLE_ADMIN | HTTP_ROLE_SERVICE))
		return deny(r->c, "only admins give these roles");
	if (disables && bits & HTTP_ROLE_MANAGER)
		return deny(r->c, "a manager is disabled by admins only");
	return true;
}

static bool
user_before_patch(struct rest *r, const void *old, void *row,
    field_set_t *present, void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	const struct record *rec = &auth_user_entity.record;
	const struct user_edit *edit = beside;
	struct auth_user *u = row;
	struct err err;

	(void)extra;
	(void)extra_present;
	if (!auth_is(r->c, HTTP_ROLE_ADMIN) &&
	    !manager_may(r, old, u, present, beside_present != 0))
		return false;
	if (*present == 0 && beside_present == 0) {
		http_error(r->c, 400, "err_param", "at least one parameter");
		return false;
	}
	if (*present & field_bit(rec, "verifiedAt")) {
		u->expired_at = TIME_NULL;
		*present |= field_bit(rec, "expiredAt");
	}
	if (beside_present) {
		u->disabled_at = edit->disable ? r->c->came_at : TIME_NULL;
		*present |= field_bit(rec, "disabledAt");
	}
	if (*present & field_bit(rec, "password")) {
		if (!may_set_password(r->c, u->user_id))
			return false;
		if (auth_password_set(
			r->module, &r->c->arena, u, u->password, &err) != 0) {
			http_error(r->c, 503, "err_rsc", "%s", err.text);
			return false;
		}
		*present |= field_bit(rec, "salt");
	}
	return true;
}

static int
user_in_patch(struct rest *r, struct store *tx, const void *old,
    const void *row, field_set_t present, struct err *err)
{
	const struct auth_user *u = row;

	(void)r;
	(void)old;
	if (present & field_bit(&auth_user_entity.record, "password"))
		return auth_revoke(tx, "userId", u->user_id, err);
	return 0;
}

static void
user_after_patch(struct rest *r, const void *old, const void *row,
    field_set_t present, void *extra, field_set_t extra_present)
{
	(void)old;
	(void)row;
	(void)present;
	(void)extra;
	(void)extra_present;
	auth_forget(r->module);
}

static void
user_after_del(struct rest *r, const void *row)
{
	(void)row;
	auth_forget(r->module);
}

static bool
user_before_del(struct rest *r, const void *row)
{
	const struct auth_user *u = row;

	if (str_eq(u->user_id, auth_who(r->c)->user_id))
		return deny(r->c, "nobody deletes the own account");
	return true;
}

#define READERS (HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER)

const struct rest_object auth_user_object = {
	.name = "user",
	.entity = &auth_user_entity,
	.id = "userId",
	.id_len = ID_SHORT,
	.shown = USER_SHOWN " expiredAt disabledAt",
	.sometimes = "expiredAt disabledAt",
	.filters = (const struct rest_filter[]){ { "account", "account",
						     COND_EQ, .lower = true },
	    { "contains", "account", COND_CONTAINS, .unless = "account" },
	    { 0 } },
	.query = &user_query_record,
	.sorts = (const struct rest_sort[]){ { "account", "account" },
	    { "created", "createdAt" }, { "modified", "modifiedAt" },
	    { "verified", "verifiedAt" }, { "name", "name" }, { 0 } },
	.sort = "account:asc",
	.add = "account! password! name info",
	.add_beside = &user_new_record,
	.patch = "verifiedAt roles password name info",
	.patch_beside = &user_edit_record,
	.exists =
	    (const struct rest_exists[]){
		{ "account", "err_auth_user_exist" }, { 0 } },
	.csv = "account createdAt modifiedAt verifiedAt roles name info",
	.scope_tail = "admin",
	.roles = { [REST_ADD] = HTTP_ROLE_ADMIN,
	    [REST_COUNT] = READERS,
	    [REST_LIST] = READERS,
	    [REST_GET] = READERS,
	    [REST_PATCH] = READERS,
	    [REST_DEL] = HTTP_ROLE_ADMIN },
	.slow = 1u << REST_ADD | 1u << REST_PATCH,
	.help = "user accounts.",
	.before_add = user_before_add,
	.before_patch = user_before_patch,
	.in_patch = user_in_patch,
	.after_patch = user_after_patch,
	.before_del = user_before_del,
	.after_del = user_after_del,
	.members = user_members,
};

/* --- clients ------------------------------------------------------------- */

struct client_new {
	bool credentials;
};

static const struct field client_new_fields[] = {
	F_BOOL(struct client_new, credentials, "credentials",
	    .help = "Give it a secret: a private client."),
	{ 0 },
};
static const struct record client_new_record = { "clientNew",
	sizeof(struct client_new), client_new_fields };

struct client_edit {
	bool regen_secret;
};

static const struct field client_edit_fields[] = {
	F_BOOL(struct client_edit, regen_secret, "regenSecret",
	    .help = "Make a new secret; ends all codes and tokens."),
	{ 0 },
};
static const struct record client_edit_record = { "clientEdit",
	sizeof(struct client_edit), client_edit_fields };

struct client_query {
	struct str user;
};

static const struct field client_query_fields[] = {
	F_TEXT(struct client_query, user, "user",
	    .help = "Clients of this user; for administrators."),
	{ 0 },
};
static const struct record client_query_record = { "clientQuery",
	sizeof(struct client_query), client_query_fields };

#define CLIENT_SHOWN                                                           \
	"clientId createdAt modifiedAt clientSecret redirectUris scopes "      \
	"userId name image"

static struct str
new_secret(struct arena *a)
{
	char text[17];

	rand_text(text, 16);
	return arena_str(a, str_of(text));
}

static bool
client_limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	struct str user = http_query(r->c, "user");

	(void)verb;
	if (!auth_is(r->c, HTTP_ROLE_ADMIN))
		filter_text(f, "userId", auth_who(r->c)->user_id);
	else if (user.len > 0)
		filter_text(f, "userId", user);
	return true;
}

static bool
client_may(struct rest *r, enum rest_verb verb, const void *row)
{
	const struct auth_client *cl = row;

	(void)verb;
	return auth_is(r->c, HTTP_ROLE_ADMIN) ||
	    str_eq(cl->user_id, auth_who(r->c)->user_id);
}

static bool
client_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	const struct client_new *more = beside;
	struct auth_client *cl = row;
	struct err err;

	(void)extra;
	if (!auth_is(r->c, HTTP_ROLE_ADMIN) || cl->user_id.ptr == NULL) {
		cl->user_id = auth_who(r->c)->user_id;
	} else if (cl->user_id.len == 0) {
		http_error(r->c, 400, "err_param", "`userId` is empty");
		return false;
	} else {
		int rc = auth_user_exists(r->module, cl->user_id, &err);

		if (rc < 0)
			rest_db_error(r->c, &err);
		else if (rc == 0)
			http_error(r->c, 400, "err_auth_user_not_exist", NULL);
		if (rc != 1)
			return false;
	}
	if (more->credentials)
		cl->client_secret = new_secret(&r->c->arena);
	return true;
}

static bool
client_before_patch(struct rest *r, const void *old, void *row,
    field_set_t *present, void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	const struct client_edit *edit = beside;
	struct auth_client *cl = row;

	(void)old;
	(void)extra;
	(void)extra_present;
	(void)beside_present;
	if (!edit->regen_secret) {
		if (*present != 0)
			return true;
		http_error(r->c, 400, "err_param", "at least one parameter");
		return false;
	}
	if (cl->client_secret.ptr == NULL) {
		http_error(
		    r->c, 400, "err_param", "a public client has no secret");
		return false;
	}
	cl->client_secret = new_secret(&r->c->arena);
	*present |= field_bit(&auth_client_entity.record, "clientSecret");
	return true;
}

static int
client_in_patch(struct rest *r, struct store *tx, const void *old,
    const void *row, field_set_t present, struct err *err)
{
	const struct auth_client *cl = row;

	(void)r;
	(void)old;
	if (present & field_bit(&auth_client_entity.record, "clientSecret"))
		return auth_revoke(tx, "clientId", cl->client_id, err);
	return 0;
}

static bool
client_before_del(struct rest *r, const void *row)
{
	const struct auth_client *cl = row;

	if (str_eq(cl->client_id, auth_who(r->c)->client_id))
		return deny(r->c, "this is the client you use");
	return true;
}

static field_set_t
client_members(struct rest *r, enum rest_verb verb)
{
	const struct record *rec = &auth_client_entity.record;
	field_set_t set = field_bits(rec, CLIENT_SHOWN, NULL);

	(void)verb;
	if (!auth_is(r->c, HTTP_ROLE_ADMIN))
		set &= ~field_bit(rec, "userId");
	return set;
}

#define DEVELOPERS (HTTP_ROLE_ADMIN | HTTP_ROLE_DEV)

const struct rest_object auth_client_object = {
	.name = "client",
	.entity = &auth_client_entity,
	.id = "clientId",
	.id_len = ID_SHORT,
	.shown = CLIENT_SHOWN,
	.sometimes = "userId",
	.query = &client_query_record,
	.sorts = (const struct rest_sort[]){ { "created", "createdAt" },
	    { "modified", "modifiedAt" }, { "name", "name" }, { 0 } },
	.sort = "name:asc",
	.add = "redirectUris! scopes! userId name! image",
	.add_beside = &client_new_record,
	.patch = "redirectUris scopes name image",
	.patch_null = "image",
	.patch_beside = &client_edit_record,
	.roles = { DEVELOPERS, DEVELOPERS, DEVELOPERS, DEVELOPERS, DEVELOPERS,
	    DEVELOPERS },
	.help = "OAuth2 clients.",
	.limit = client_limit,
	.may = client_may,
	.before_add = client_before_add,
	.before_patch = client_before_patch,
	.in_patch = client_in_patch,
	.before_del = client_before_del,
	.members = client_members,
};

static void
delete_clients(struct http_call *c)
{
	struct filter f = { 0 };
	struct err err;

	filter_text(&f, "userId", http_var(c, 0));
	if (store_del(auth_of(c)->store, &auth_client_entity, &f, NULL, &err) !=
	    0)
		rest_db_error(c, &err);
	else
		http_empty(c, 204);
}

const struct http_route auth_client_rows[] = {
	{ "DELETE", "/client/user/{userId}", HTTP_TOKEN,
	    .roles = HTTP_ROLE_ADMIN, .scope = "client.delete.user",
	    .handle = delete_clients,
	    .help = "Deletes all clients of a user." },
	{ 0 },
};

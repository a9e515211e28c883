/*
 * core/auth/token.c - codes, client credentials and refresh tokens become
 * tokens.
 *
 * Whatever is good for one use is taken in the transaction that makes what it
 * is exchanged for: of two requests with the same code or refresh token one
 * gets tokens, and a changed password leaves none behind.
 *
 * The refresh token of our own web application never is where scripts can read
 * it: it comes and goes in a cookie that only /refresh gets. What another site
 * makes a browser send is refused, see is_from_app().
 */
#include "core/auth/private.h"

#include "base/base.h"

#include <sodium.h>
#include <string.h>

static struct auth *
auth_of(const struct http_call *c)
{
	return (struct auth *)c->route->ctx;
}

static bool
refuse(struct http_call *c, const char *why)
{
	auth_oauth2_error(c, 400, "invalid_request", why);
	return false;
}

/* --- PKCE ---------------------------------------------------------------- */

static bool
is_verifier(struct str s)
{
	if (s.len < 43 || s.len > 128)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') ||
			(c != '\0' && strchr("-._~", c) != NULL)))
			return false;
	}
	return true;
}

static bool
same(struct str a, struct str b)
{
	return a.len == b.len &&
	    (a.len == 0 || sodium_memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool
auth_pkce_fits(struct arena *a, struct str challenge, struct str method,
    struct str verifier)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	struct buf b = { 0 };
	struct str made;

	if (challenge.ptr == NULL) /* a verifier was not asked for: a fault */
		return verifier.ptr == NULL;
	if (!is_verifier(verifier))
		return false;
	if (!str_eqz(method, "S256"))
		return same(challenge, verifier);
	crypto_hash_sha256(
	    hash, (const unsigned char *)verifier.ptr, verifier.len);
	base64_encode(&b, hash, sizeof(hash), true);
	made = arena_str(a, buf_str(&b));
	buf_free(&b);
	while (str_ends(made, STR("=")))
		made.len--;
	return same(challenge, made);
}

/* --- who is the client --------------------------------------------------- */

/* The Authorization header; id.ptr is NULL when there is none. */
struct basic {
	struct str id, secret;
};

/* False: there is one that is not understood; answered. */
static bool
read_basic(struct http_call *c, struct basic *ret)
{
	struct str rest = c->authorization, word = str_cut(&rest, ' ');
	struct buf b = { 0 };
	struct str text;
	bool ok;

	*ret = (struct basic){ 0 };
	if (c->many_authorizations)
		return refuse(c, "more than one Authorization");
	if (c->authorization.ptr == NULL)
		return true;
	if (!str_eq_nocase(word, STR("Basic")))
		return refuse(c, "Authorization must be Basic");
	ok = base64_decode(&b, str_trim(rest)) && b.len > 0;
	text = ok ? arena_str(&c->arena, buf_str(&b)) : STR("");
	buf_free(&b);
	ret->id = str_cut(&text, ':');
	ret->secret = text;
	if (!ok || text.ptr == NULL)
		return refuse(c, "Authorization is malformed");
	return true;
}

static bool
not_this_client(struct http_call *c)
{
	auth_oauth2_error(c, 401, "invalid_client", NULL);
	http_header(c, "WWW-Authenticate", STR("Basic realm=\"oauth2\""));
	return false;
}

/* A private client must show its secret; a public one has nothing to show. */
static bool
secret_fits(const struct auth_client *cl, struct str secret)
{
	if (cl->client_secret.len == 0)
		return secret.len == 0;
	return same(cl->client_secret, secret);
}

/* The client that `id` names and that shows its secret; else answered. */
static bool
take_client(struct http_call *c, struct str id, struct str secret,
    struct auth_client *cl)
{
	struct err err;
	bool found;

	if (auth_get_client(
		auth_of(c)->store, &c->arena, id, cl, &found, &err) != 0) {
		auth_oauth2_db_error(c, &err);
		return false;
	}
	return (found && secret_fits(cl, secret)) || not_this_client(c);
}

/* --- the cookie of our own web application -------------------------------- */

/* Tokens for an address of the web application. */
static bool
is_app(struct http_call *c, struct str client_id, struct str redirect_uri)
{
	struct url u;

	return str_eqz(client_id, "public") &&
	    url_parse(&c->arena, redirect_uri, &u) &&
	    str_eqz(u.path, AUTH_APP_PATH);
}

/* The page that asks is the one that the tokens are for. A form or picture of
 * another site has no X-Marram, and its script may not send one. */
static bool
is_from_app(struct http_call *c, struct str redirect_uri)
{
	struct url u;

	return c->app.len > 0 && url_parse(&c->arena, redirect_uri, &u) &&
	    str_eq(c->origin, url_origin(&c->arena, &u)) &&
	    (c->fetch_site.ptr == NULL ||
		str_eqz(c->fetch_site, "same-origin"));
}

static bool
not_from_app(struct http_call *c)
{
	return refuse(c,
	    "tokens for this redirect_uri are for the web application's own "
	    "pages only: they send X-Marram, and their origin");
}

/* Cookies know no ports, and several platforms may share a name. */
static struct str
cookie_name(struct http_call *c)
{
	struct str port = c->host;
	size_t n = 0;

	while (n < port.len && port.ptr[port.len - 1 - n] >= '0' &&
	    port.ptr[port.len - 1 - n] <= '9')
		n++;
	if (n == port.len || port.ptr[port.len - 1 - n] != ':')
		n = 0;
	return arena_printf(&c->arena, "marram_refresh%s%.*s", n > 0 ? "_" : "",
	    (int)n, n > 0 ? port.ptr + port.len - n : "");
}

static struct str
cookie_of(struct http_call *c)
{
	struct str all = c->cookie, name = cookie_name(c);

	while (all.ptr != NULL) {
		struct str value = str_trim(str_cut(&all, ';'));

		if (str_eq(str_cut(&value, '='), name) && value.len > 0)
			return value;
	}
	return STR_NULL;
}

static void
set_cookie(struct http_call *c, struct str secret, bool secure, int64_t ms)
{
	http_header(c, "Set-Cookie",
	    arena_printf(&c->arena,
		STR_FMT "=" STR_FMT "; Path=/auth/oauth2/refresh; HttpOnly; "
			"SameSite=Strict; Max-Age=%lld%s",
		STR_ARG(cookie_name(c)), STR_ARG(secret),
		(long long)(ms / 1000), secure ? "; Secure" : ""));
}

void
auth_cookie_clear(struct http_call *c)
{
	if (str_eqz(auth_who(c)->client_id, "public"))
		set_cookie(c, STR(""), false, 0);
}

/* --- issuing ------------------------------------------------------------- */

/* Tokens to be made, and made. */
struct issue {
	struct http_call *c;
	const char *fault; /* an error of OAuth2: nothing was made */
	bool app;          /* for our own web application */

	/* what is given for them */
	struct str code, verifier, redirect_uri, client_id;
	struct auth_refresh old; /* key null: none */

	/* the tokens */
	struct str access, refresh; /* secrets */
	struct auth_token token;
	struct str refresh_scope;
};

static void
new_secrets(struct issue *i)
{
	struct arena *arena = &i->c->arena;
	struct auth *a = auth_of(i->c);

	i->access = auth_secret(arena);
	i->refresh = auth_secret(arena);
	i->token.access_token = auth_key(a, arena, i->access);
	i->token.refresh_token = auth_key(a, arena, i->refresh);
}

/* Stores the tokens if their user may have any. */
static int
add_tokens(
    struct store *tx, struct issue *i, const char *fault, struct err *err)
{
	int64_t now = clock_now();
	struct auth_refresh r;
	struct auth_user u;
	bool found;
	int rc;

	rc = auth_get_user(tx, &i->c->arena, i->token.user_id, &u, &found, err);
	if (rc != 0)
		return rc;
	if (!found || !auth_user_active(&u, now)) {
		i->fault = fault;
		return 0;
	}
	i->token.expires_at = now + AUTH_TOKEN_MS;
	r = (struct auth_refresh){ .refresh_token = i->token.refresh_token,
		.expires_at = now + AUTH_REFRESH_MS,
		.scope = i->refresh_scope,
		.client_id = i->token.client_id,
		.redirect_uri = i->token.redirect_uri,
		.user_id = i->token.user_id };
	rc = store_add(tx, &auth_refresh_entity, &r, err);
	return rc != 0 ? rc : store_add(tx, &auth_token_entity, &i->token, err);
}

static void
answer(
    struct http_call *c, int rc, const struct issue *i, const struct err *err)
{
	struct json_out *o;

	if (rc != 0) {
		auth_oauth2_db_error(c, err);
		return;
	}
	if (i->fault != NULL) {
		if (strcmp(i->fault, "invalid_client") == 0)
			not_this_client(c);
		else
			auth_oauth2_error(c, 400, i->fault, NULL);
		return;
	}
	o = http_json(c, 200);
	json_out_object(o);
	json_out_key(o, "access_token");
	json_out_str(o, i->access);
	if (i->app) {
		set_cookie(c, i->refresh,
		    str_starts(i->token.redirect_uri, STR("https:")),
		    AUTH_REFRESH_MS);
	} else {
		json_out_key(o, "refresh_token");
		json_out_str(o, i->refresh);
	}
	json_out_key(o, "token_type");
	json_out_str(o, STR("bearer"));
	json_out_key(o, "expires_in"); /* the second under way does not count */
	json_out_int(o, (i->token.expires_at - clock_now() - 1) / 1000);
	json_out_key(o, "scope");
	json_out_str(o, i->token.scope.ptr != NULL ? i->token.scope : STR(""));
	json_out_end_object(o);
	auth_no_store(c);
}

/* --- POST /token --------------------------------------------------------- */

/* The challenge of a code; nothing changes when there is none. */
static int
get_pkce(struct store *tx, struct arena *a, struct str code,
    struct auth_pkce *ret, struct err *err)
{
	struct filter f = { 0 };
	struct auth_pkce row;
	bool found;
	int rc;

	filter_text(&f, "code", code);
	rc = store_get(tx, &auth_pkce_entity, &f, a, &row, &found, err);
	if (rc == 0 && found)
		*ret = row;
	return rc;
}

/* The code goes whatever comes of it. */
static int
code_tx(struct store *tx, void *ctx, struct err *err)
{
	struct issue *i = ctx;
	struct arena *arena = &i->c->arena;
	int64_t now = clock_now();
	struct filter f = { 0 };
	struct auth_pkce pkce = { .challenge = STR_NULL };
	struct auth_code code;
	bool found;
	int rc;

	i->fault = NULL;
	auth_key_filter(auth_of(i->c), arena, &f, "code", i->code);
	rc = store_get(tx, &auth_code_entity, &f, arena, &code, &found, err);
	if (rc == 0 && found)
		rc = get_pkce(tx, arena, code.code, &pkce, err);
	if (rc == 0 && found)
		rc = store_del(tx, &auth_code_entity, &f, NULL, err);
	if (rc != 0)
		return rc;
	if (!found || code.expires_at <= now) {
		i->fault = "invalid_request";
		return 0;
	}
	if (!str_eq(code.client_id, i->client_id) ||
	    !str_eq(code.redirect_uri, i->redirect_uri) ||
	    !auth_pkce_fits(arena, pkce.challenge, pkce.method, i->verifier)) {
		i->fault = "invalid_grant";
		return 0;
	}
	i->token.scope = i->refresh_scope = code.scope;
	i->token.client_id = code.client_id;
	i->token.redirect_uri = code.redirect_uri;
	i->token.user_id = code.user_id;
	return add_tokens(tx, i, "invalid_grant", err);
}

static void
by_code(
    struct http_call *c, const struct url_form *f, const struct basic *basic)
{
	struct str id = url_form_get(f, "client_id");
	struct issue i = { .c = c,
		.code = url_form_get(f, "code"),
		.verifier = url_form_get(f, "code_verifier"),
		.redirect_uri = url_form_get(f, "redirect_uri") };
	struct auth_client cl;
	struct err err;
	struct url u;

	if (i.code.ptr == NULL || !url_parse(&c->arena, i.redirect_uri, &u)) {
		refuse(c, "code and redirect_uri are needed");
		return;
	}
	if (basic->id.ptr == NULL && id.ptr == NULL) {
		refuse(c, "Authorization or client_id is needed");
		return;
	}
	if (basic->id.ptr != NULL && id.ptr != NULL && !str_eq(basic->id, id)) {
		refuse(c, "Authorization and client_id differ");
		return;
	}
	if (basic->id.ptr != NULL)
		id = basic->id;
	if (!take_client(c, id, basic->secret, &cl))
		return;
	i.client_id = cl.client_id;
	i.app = is_app(c, i.client_id, i.redirect_uri);
	if (i.app && !is_from_app(c, i.redirect_uri)) {
		not_from_app(c);
		return;
	}
	new_secrets(&i);
	answer(c, store_tx(auth_of(c)->store, code_tx, &i, &err), &i, &err);
}

static int
credentials_tx(struct store *tx, void *ctx, struct err *err)
{
	struct issue *i = ctx;

	i->fault = NULL;
	return add_tokens(tx, i, "invalid_client", err);
}

static struct str
joined(struct arena *a, struct strs words)
{
	struct buf b = { 0 };
	struct str s;

	for (size_t i = 0; i < words.n; i++) {
		if (i > 0)
			buf_addc(&b, ' ');
		buf_add_str(&b, words.at[i]);
	}
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

/* A client acts for its owner, with all it may ask for. */
static void
by_credentials(struct http_call *c, const struct basic *basic)
{
	struct issue i = { .c = c };
	struct auth_client cl;
	struct err err;
	struct url u;

	if (basic->id.ptr == NULL) {
		refuse(c, "Authorization is needed");
		return;
	}
	if (basic->secret.len == 0) {
		not_this_client(c);
		return;
	}
	if (!take_client(c, basic->id, basic->secret, &cl))
		return;
	if (cl.redirect_uris.n == 0 ||
	    !url_parse(&c->arena, cl.redirect_uris.at[0], &u)) {
		not_this_client(c);
		return;
	}
	i.token.scope = i.refresh_scope = joined(&c->arena, cl.scopes);
	i.token.client_id = cl.client_id;
	i.token.redirect_uri = cl.redirect_uris.at[0];
	i.token.user_id = cl.user_id;
	new_secrets(&i);
	answer(
	    c, store_tx(auth_of(c)->store, credentials_tx, &i, &err), &i, &err);
}

struct exchange {
	struct str grant_type, code, redirect_uri, client_id, code_verifier;
	struct str refresh_token, scope;
};

static const struct field exchange_fields[] = {
	F_TEXT(struct exchange, grant_type, "grant_type",
	    .help = "\"authorization_code\" or \"client_credentials\"; at "
		    "/refresh \"refresh_token\"."),
	F_TEXT(struct exchange, code, "code", .flags = FIELD_SECRET),
	F_TEXT(struct exchange, redirect_uri, "redirect_uri",
	    .help = "Where the code was sent."),
	F_TEXT(struct exchange, client_id, "client_id",
	    .help = "Of a public client; a private one sends Basic."),
	F_TEXT(struct exchange, code_verifier, "code_verifier",
	    .flags = FIELD_SECRET, .help = "PKCE, RFC 7636."),
	F_TEXT(struct exchange, refresh_token, "refresh_token",
	    .flags = FIELD_SECRET),
	F_TEXT(struct exchange, scope, "scope",
	    .help = "Some of the scopes that were granted."),
	{ 0 },
};
const struct record auth_exchange_record = { "oauth2Exchange",
	sizeof(struct exchange), exchange_fields };

struct issued {
	struct str access_token, refresh_token, token_type, scope;
	int64_t expires_in;
};

static const struct field issued_fields[] = {
	F_TEXT(struct issued, access_token, "access_token"),
	F_TEXT(struct issued, refresh_token, "refresh_token",
	    .flags = FIELD_ABSENT,
	    .help = "Our own web application has it as a cookie instead."),
	F_TEXT(struct issued, token_type, "token_type"),
	F_INT(struct issued, expires_in, "expires_in",
	    .help = "Whole seconds that the access token is still good."),
	F_TEXT(struct issued, scope, "scope"),
	{ 0 },
};
const struct record auth_issued_record = { "oauth2Tokens",
	sizeof(struct issued), issued_fields };

/* A parameter that is there twice makes the request unclear. */
static bool
read_form(struct http_call *c, struct url_form *f, struct basic *basic)
{
	if (!auth_form(c, f))
		return false;
	for (size_t k = 0; exchange_fields[k].name != NULL; k++) {
		size_t n = 0;

		for (size_t i = 0; i < f->n; i++)
			n += str_eqz(f->at[i].name, exchange_fields[k].name);
		if (n > 1)
			return refuse(c, "a parameter is there twice");
	}
	if (url_form_get(f, "grant_type").ptr == NULL)
		return refuse(c, "grant_type is needed");
	return read_basic(c, basic);
}

void
auth_post_token(struct http_call *c)
{
	struct basic basic;
	struct url_form f;
	struct str type;

	if (!read_form(c, &f, &basic))
		return;
	type = url_form_get(&f, "grant_type");
	if (str_eqz(type, "authorization_code"))
		by_code(c, &f, &basic);
	else if (str_eqz(type, "client_credentials"))
		by_credentials(c, &basic);
	else
		auth_oauth2_error(c, 400, "unsupported_grant_type", NULL);
}

/* --- POST /refresh ------------------------------------------------------- */

/* The old pair goes, and a new one comes. */
static int
refresh_tx(struct store *tx, void *ctx, struct err *err)
{
	struct issue *i = ctx;
	const int64_t grace = clock_now() + AUTH_GRACE_MS;
	const struct change end = { "expiresAt",
		value_time(MIN_OF(grace, i->old.expires_at)) };
	struct filter f = { 0 };
	int64_t n;
	int rc;

	i->fault = NULL;
	filter_text(&f, "refreshToken", i->old.refresh_token);
	rc = i->app
	    ? store_update(tx, &auth_refresh_entity, &f, &end, 1, &n, err)
	    : store_del(tx, &auth_refresh_entity, &f, &n, err);
	if (rc != 0)
		return rc;
	if (n == 0) {
		i->fault = "invalid_grant";
		return 0;
	}
	rc = store_del(tx, &auth_token_entity, &f, NULL, err);
	return rc != 0 ? rc : add_tokens(tx, i, "invalid_grant", err);
}

/* False: the token is none (any more), or the store failed; answered. */
static bool
find_refresh(struct http_call *c, struct str secret, struct auth_refresh *row)
{
	struct auth *a = auth_of(c);
	struct filter f = { 0 };
	struct err err;
	bool found;

	auth_key_filter(a, &c->arena, &f, "refreshToken", secret);
	filter_add(&f, "expiresAt", COND_GT, value_time(clock_now()));
	if (store_get(a->store, &auth_refresh_entity, &f, &c->arena, row,
		&found, &err) != 0) {
		auth_oauth2_db_error(c, &err);
		return false;
	}
	if (!found)
		auth_oauth2_error(c, 400, "invalid_grant", NULL);
	return found;
}

void
auth_post_refresh(struct http_call *c)
{
	struct issue i = { .c = c };
	struct auth_client cl;
	struct basic basic;
	struct url_form f;
	struct str secret, scope;
	struct err err;

	if (!read_form(c, &f, &basic))
		return;
	if (!str_eqz(url_form_get(&f, "grant_type"), "refresh_token")) {
		auth_oauth2_error(c, 400, "unsupported_grant_type", NULL);
		return;
	}
	secret = url_form_get(&f, "refresh_token");
	if (secret.ptr == NULL && c->app.len > 0)
		secret = cookie_of(c);
	if (secret.ptr == NULL) {
		refuse(c, "refresh_token is needed");
		return;
	}
	if (!find_refresh(c, secret, &i.old))
		return;
	i.app = is_app(c, i.old.client_id, i.old.redirect_uri);
	if (i.app && !is_from_app(c, i.old.redirect_uri)) {
		not_from_app(c);
		return;
	}
	if (basic.id.ptr != NULL && !str_eq(basic.id, i.old.client_id)) {
		not_this_client(c);
		return;
	}
	if (!take_client(c, i.old.client_id, basic.secret, &cl))
		return;
	scope = url_form_get(&f, "scope");
	if (scope.ptr == NULL)
		scope = i.old.scope;
	else if (!auth_scope_within(
		     &c->arena, scope, auth_words(&c->arena, i.old.scope))) {
		auth_oauth2_error(c, 400, "invalid_scope", NULL);
		return;
	}
	i.token.scope = joined(&c->arena, auth_words(&c->arena, scope));
	i.refresh_scope = i.old.scope;
	i.token.client_id = i.old.client_id;
	i.token.redirect_uri = i.old.redirect_uri;
	i.token.user_id = i.old.user_id;
	new_secrets(&i);
	answer(c, store_tx(auth_of(c)->store, refresh_tx, &i, &err), &i, &err);
}

/*
 * core/auth/oauth2.c - the authorization code flow, as a browser walks it.
 *
 *    GET /auth       is this a client we know, asking for what it may?
 *    GET /login      the sign-in page
 *    POST /login     who are you? Makes a session
 *    GET /authorize  the page that asks for the grant
 *    POST /authorize takes the session, makes a code, back to the client
 *
 * Between the steps nothing is kept but the session: what was asked for is
 * carried along, as the form in `state` and then as members of their own, and
 * is checked anew in each step. Only a POST grants: a link that was slipped to
 * somebody shows a page and no more. token.c is what follows.
 */
#include "core/auth/private.h"

#include "auth_pages.h"
#include "base/base.h"

#define LOG_MODULE "auth"
#include "base/log.h"

#include <string.h>

#define FORM_MAX 65536 /* bytes */

static struct auth *
auth_of(const struct http_call *c)
{
	return (struct auth *)c->route->ctx;
}

int
auth_get_user(struct store *s, struct arena *a, struct str id,
    struct auth_user *u, bool *found, struct err *err)
{
	struct filter f = { 0 };

	filter_text(&f, "userId", id);
	return store_get(s, &auth_user_entity, &f, a, u, found, err);
}

int
auth_get_client(struct store *s, struct arena *a, struct str id,
    struct auth_client *cl, bool *found, struct err *err)
{
	struct filter f = { 0 };

	filter_text(&f, "clientId", id);
	return store_get(s, &auth_client_entity, &f, a, cl, found, err);
}

static bool
has(struct strs list, struct str word)
{
	for (size_t i = 0; i < list.n; i++)
		if (str_eq(list.at[i], word))
			return true;
	return false;
}

bool
auth_scope_within(struct arena *a, struct str some, struct strs all)
{
	struct strs words = auth_words(a, some);

	for (size_t i = 0; i < words.n; i++)
		if (!has(all, words.at[i]))
			return false;
	return true;
}

/* --- what a client asks for ---------------------------------------------- */

struct asking {
	struct str response_type, client_id, redirect_uri;
	struct str scope, state; /* STR_NULL: not given */
	struct str challenge, method;
	struct str session_id, allow; /* of /authorize only */
};

#define ASKED 7 /* those that are carried from step to step, in this order */

static const struct field asking_fields[] = {
	F_TEXT(
	    struct asking, response_type, "response_type", .help = "\"code\"."),
	F_TEXT(struct asking, client_id, "client_id"),
	F_TEXT(struct asking, redirect_uri, "redirect_uri",
	    .help = "One of the client's, exactly."),
	F_TEXT(struct asking, scope, "scope",
	    .help = "Some of the client's scopes, separated by spaces."),
	F_TEXT(
	    struct asking, state, "state", .help = "Given back to the client."),
	F_TEXT(struct asking, challenge, "code_challenge",
	    .help = "PKCE, RFC 7636."),
	F_TEXT(struct asking, method, "code_challenge_method",
	    .help = "\"plain\" or \"S256\"; plain when not given."),
	F_TEXT(struct asking, session_id, "session_id",
	    .help = "What signing in gave; good for 60 seconds, once."),
	F_TEXT(struct asking, allow, "allow",
	    .help = "\"yes\" grants (POST only), anything else denies."),
	{ 0 },
};
static const struct record asking_record = { "oauth2Request",
	sizeof(struct asking), asking_fields };

#define ASKED_MEMBERS                                                          \
	"response_type! client_id! redirect_uri! scope state code_challenge "  \
	"code_challenge_method"
#define GRANT_MEMBERS ASKED_MEMBERS " session_id! allow"

static struct str *
member_of(const struct asking *q, const struct field *f)
{
	return (struct str *)(void *)((char *)q + f->offset);
}

static size_t
times(const struct url_form *f, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += str_eqz(f->at[i].name, name);
	return n;
}

/* False when something in `members` is missing or anything is there twice. */
static bool
read_asking(const struct url_form *f, const char *members, struct asking *q)
{
	field_set_t required = 0;

	(void)field_bits(&asking_record, members, &required);
	for (size_t i = 0; asking_fields[i].name != NULL; i++) {
		size_t n = times(f, asking_fields[i].name);

		if (n > 1 || (n == 0 && required >> i & 1))
			return false;
		*member_of(q, &asking_fields[i]) =
		    url_form_get(f, asking_fields[i].name);
	}
	return true;
}

static void
write_asking(struct buf *out, const struct asking *q)
{
	for (size_t i = 0; i < ASKED; i++) {
		struct str *text = member_of(q, &asking_fields[i]);

		if (text->ptr != NULL)
			url_form_add(out, asking_fields[i].name, *text);
	}
}

/* 302 to the client, with name=value and its own `state`. */
static void
send_back(struct http_call *c, const struct asking *q, const char *name,
    struct str value, const char *description)
{
	struct str rest = q->redirect_uri, uri = str_cut(&rest, '#');
	struct buf b = { 0 }, form = { 0 };

	url_form_add(&form, name, value);
	if (description != NULL)
		url_form_add(&form, "error_description", str_of(description));
	if (q->state.ptr != NULL)
		url_form_add(&form, "state", q->state);
	buf_add_str(&b, uri);
	if (uri.len == 0 || memchr(uri.ptr, '?', uri.len) == NULL)
		buf_addc(&b, '?');
	else if (!str_ends(uri, STR("?")))
		buf_addc(&b, '&');
	buf_add_str(&b, buf_str(&form));
	if (rest.ptr != NULL) {
		buf_addc(&b, '#');
		buf_add_str(&b, rest);
	}
	http_redirect(c, buf_str(&b));
	auth_no_store(c);
	buf_free(&form);
	buf_free(&b);
}

/* 302 to the next of our own pages. */
static void
send_on(struct http_call *c, struct buf *where)
{
	http_redirect(c, buf_str(where));
	auth_no_store(c);
	buf_free(where);
}

static bool
refuse(struct http_call *c, const char *why)
{
	auth_oauth2_error(c, 400, "invalid_request", why);
	return false;
}

/* Our own web application, under whatever name the browser knows us by: the
 * code goes to where the password was typed, and by TLS if that was. Behind a
 * proxy that ends TLS we can not tell, and both are fine. */
static bool
is_own_app(const struct http_call *c, const struct asking *q)
{
	struct str rest = q->redirect_uri;
	size_t n;

	if (!str_eqz(q->client_id, "public") || c->host.len == 0)
		return false;
	if (str_starts(rest, STR("https://")))
		n = 8;
	else if (!c->secure && str_starts(rest, STR("http://")))
		n = 7;
	else
		return false;
	rest.ptr += n;
	rest.len -= n;
	if (!str_starts(rest, c->host))
		return false;
	rest.ptr += c->host.len;
	rest.len -= c->host.len;
	return str_eqz(rest, AUTH_APP_PATH);
}

/* The client, if it is one and the answer may go to this address. An answer
 * never goes to an address that is not registered. */
static bool
find_client(struct http_call *c, const struct asking *q, struct auth_client *cl)
{
	struct err err;
	bool found;

	if (auth_get_client(auth_of(c)->store, &c->arena, q->client_id, cl,
		&found, &err) != 0) {
		auth_oauth2_db_error(c, &err);
		return false;
	}
	if (!found)
		return refuse(c, "invalid client");
	if (!has(cl->redirect_uris, q->redirect_uri) && !is_own_app(c, q))
		return refuse(c, "invalid redirect_uri");
	return true;
}

/* What is wrong with the PKCE members, or NULL. */
static const char *
pkce_fault(const struct auth *a, const struct asking *q, bool public)
{
	if (q->challenge.ptr == NULL) {
		if (q->method.ptr != NULL)
			return "code_challenge_method without code_challenge";
		if (a->conf.require_pkce && public)
			return "code challenge required";
		return NULL;
	}
	if (q->challenge.len < 43 || q->challenge.len > 128)
		return "a code_challenge has 43 to 128 characters";
	if (q->method.ptr != NULL && !str_eqz(q->method, "plain") &&
	    !str_eqz(q->method, "S256"))
		return "transform algorithm not supported";
	return NULL;
}

/* Checks whose failure the client is told of. */
static bool
may_ask(
    struct http_call *c, const struct asking *q, const struct auth_client *cl)
{
	const char *fault =
	    pkce_fault(auth_of(c), q, cl->client_secret.len == 0);

	if (cl->scopes.n > 0 &&
	    (str_trim(q->scope).len == 0 ||
		!auth_scope_within(&c->arena, q->scope, cl->scopes))) {
		send_back(c, q, "error", STR("invalid_scope"), NULL);
		return false;
	}
	if (fault != NULL) {
		send_back(c, q, "error", STR("invalid_request"), fault);
		return false;
	}
	return true;
}

/* All checks, as /auth and /login make them. */
static bool
check_asking(struct http_call *c, const struct asking *q)
{
	struct auth_client cl;

	if (!str_eqz(q->response_type, "code"))
		return refuse(c, "unsupport response_type");
	return find_client(c, q, &cl) && may_ask(c, q, &cl);
}

static void
get_auth(struct http_call *c)
{
	struct buf state = { 0 }, where = { 0 };
	struct asking q;

	if (!read_asking(&c->query, ASKED_MEMBERS, &q)) {
		refuse(c,
		    "response_type, client_id and redirect_uri are needed, "
		    "each of them once");
		return;
	}
	if (!check_asking(c, &q))
		return;
	write_asking(&state, &q);
	buf_addz(&where, "/auth/oauth2/login?");
	url_form_add(&where, "state", buf_str(&state));
	buf_free(&state);
	send_on(c, &where);
}

/* --- signing in ---------------------------------------------------------- */

struct signing {
	struct str state, account, password;
};

static const struct field signing_fields[] = {
	F_TEXT(struct signing, state, "state",
	    .help = "What /auth made of the request."),
	F_TEXT(struct signing, account, "account"),
	F_TEXT(struct signing, password, "password", .flags = FIELD_SECRET),
	{ 0 },
};
static const struct record signing_record = { "oauth2Login",
	sizeof(struct signing), signing_fields };

static bool
read_state(struct http_call *c, struct str state, struct asking *q)
{
	struct url_form f = url_form_parse(&c->arena, state);

	if (!read_asking(&f, ASKED_MEMBERS, q))
		return refuse(c, "invalid state content");
	return check_asking(c, q);
}

static void
login_page(struct http_call *c, int status, struct str state,
    struct str account, const char *error)
{
	struct auth *a = auth_of(c);
	struct template_var vars[] = {
		{ "state", state },
		{ "account", account },
		{ "error", str_of(error) },
		{ "login_message", STR_NULL },
	};

	pthread_mutex_lock(&a->live_lock);
	if (a->login_message.len > 0)
		vars[3].value = arena_str(&c->arena, a->login_message);
	pthread_mutex_unlock(&a->live_lock);
	auth_page(
	    c, status, a->login_page, embed_login_html, vars, COUNT_OF(vars));
}

static void
get_login(struct http_call *c)
{
	struct str state = http_query(c, "state");
	struct asking q;

	if (read_state(c, state, &q))
		login_page(c, 200, state, STR_NULL, NULL);
}

/* A sign-in that failed: the page again for a browser, else JSON. */
static void
login_failed(struct http_call *c, struct str state, struct str account)
{
	auth_failed(auth_of(c), c->remote);
	if (auth_wants_page(c))
		login_page(c, 400, state, account,
		    "That account and password do not fit.");
	else
		auth_oauth2_error(c, 400, "invalid_auth", NULL);
}

static void
too_often(struct http_call *c, struct str state, struct str account)
{
	static const char why[] =
	    "Too many attempts. Wait a minute, then try again.";

	if (auth_wants_page(c))
		login_page(c, 429, state, account, why);
	else
		auth_oauth2_error(c, 429, "temporarily_unavailable", why);
	http_header(c, "Retry-After", STR("60"));
}

/* Is this the password? Takes about as long for an account that does not
 * exist. */
static bool
password_fits(struct auth *a, const struct auth_user *u, bool found,
    struct str password, bool *old)
{
	*old = false;
	if (found && auth_password_is(u, password, old))
		return true;
	/* an old hash is compared in no time */
	if (!found ||
	    (!a->conf.shared_database &&
		!str_starts(u->password, STR("$argon2"))))
		auth_password_waste(a, password);
	return false;
}

/* Keeps the password in today's form, unless it was changed meanwhile. A
 * failure is no reason to turn somebody away. */
static void
upgrade(struct http_call *c, const struct auth_user *u, struct str password)
{
	struct auth *a = auth_of(c);
	struct auth_user new = *u;
	struct change changes[2];
	struct filter f = { 0 };
	struct err err;

	filter_text(&f, "userId", u->user_id);
	filter_text(&f, "password", u->password);
	if (auth_password_set(a, &c->arena, &new, password, &err) == 0) {
		changes[0] =
		    (struct change){ "password", value_text(new.password) };
		changes[1] = (struct change){ "salt", value_text(new.salt) };
		if (store_update(a->store, &auth_user_entity, &f, changes, 2,
			NULL, &err) == 0)
			return;
	}
	log_warn("the password of user " STR_FMT " stays in its old form: %s",
	    STR_ARG(u->user_id), err.text);
}

static void grant(
    struct http_call *c, const struct asking *q, const struct auth_client *cl);

static void
make_session(
    struct http_call *c, const struct asking *q, const struct auth_user *u)
{
	struct auth *a = auth_of(c);
	struct str secret = auth_secret(&c->arena);
	struct auth_session s = { .session_id = auth_key(a, &c->arena, secret),
		.expires_at = clock_now() + AUTH_SESSION_MS,
		.user_id = u->user_id };
	struct buf where = { 0 };
	struct err err;

	if (store_add(a->store, &auth_session_entity, &s, &err) != 0) {
		auth_oauth2_db_error(c, &err);
		return;
	}
	if (is_own_app(c, q)) { /* nobody else is to be allowed anything */
		struct asking granted = *q;

		granted.session_id = secret;
		grant(c, &granted, &(struct auth_client){ 0 });
		return;
	}
	buf_addz(&where, "/auth/oauth2/authorize?");
	write_asking(&where, q);
	url_form_add(&where, "session_id", secret);
	send_on(c, &where);
}

static void
post_login(struct http_call *c)
{
	struct auth *a = auth_of(c);
	struct str account, password, state;
	struct filter filter = { 0 };
	struct auth_user u;
	struct url_form f;
	struct asking q;
	struct err err;
	bool found, old;

	if (!auth_form(c, &f))
		return;
	state = url_form_get(&f, "state");
	if (!read_state(c, state, &q))
		return;
	account = url_form_get(&f, "account");
	password = url_form_get(&f, "password");
	if (account.ptr == NULL || password.ptr == NULL) {
		refuse(c, "account and password are needed");
		return;
	}
	if (!auth_may_try(a, c->remote)) {
		too_often(c, state, account);
		return;
	}
	filter_text(&filter, "account", arena_lower(&c->arena, account));
	if (store_get(a->store, &auth_user_entity, &filter, &c->arena, &u,
		&found, &err) != 0) {
		auth_oauth2_db_error(c, &err);
		return;
	}
	if (!password_fits(a, &u, found, password, &old) ||
	    !auth_user_active(&u, clock_now())) {
		login_failed(c, state, account);
		return;
	}
	if (old && !a->conf.shared_database)
		upgrade(c, &u, password);
	make_session(c, &q, &u);
}

/* --- the grant ----------------------------------------------------------- */

static struct str
scope_items(struct arena *a, struct str scope)
{
	struct strs words = auth_words(a, scope);
	struct buf b = { 0 };
	struct str s;

	for (size_t i = 0; i < words.n; i++) {
		buf_addz(&b, "<li><code>");
		html_escape(&b, words.at[i]);
		buf_addz(&b, "</code></li>");
	}
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

static void
grant_page(
    struct http_call *c, const struct asking *q, const struct auth_client *cl)
{
	const struct template_var vars[] = {
		{ "client_name", cl->name },
		{ "session_id", q->session_id },
		{ "client_id", q->client_id },
		{ "response_type", q->response_type },
		{ "redirect_uri", q->redirect_uri },
		{ "allow_value", STR("yes") },
		{ "scope", q->scope },
		{ "state", q->state },
		{ "code_challenge", q->challenge },
		{ "code_challenge_method",
		    q->method.ptr != NULL ? q->method : STR("plain") },
		{ "scope_items",
		    cl->scopes.n > 0 ? scope_items(&c->arena, q->scope)
				     : STR_NULL },
	};

	auth_page(c, 200, auth_of(c)->grant_page, embed_grant_html, vars,
	    COUNT_OF(vars));
}

/* A session that becomes a code. */
struct granting {
	struct http_call *c;
	struct str session;    /* the secret */
	struct auth_code row;  /* all but its user */
	struct auth_pkce pkce; /* challenge null: there is none */
	bool granted;
};

static int
grant_tx(struct store *tx, void *ctx, struct err *err)
{
	struct granting *g = ctx;
	struct arena *arena = &g->c->arena;
	int64_t now = clock_now();
	struct filter f = { 0 };
	struct auth_session s;
	struct auth_user u;
	bool found;
	int rc;

	g->granted = false;
	auth_key_filter(auth_of(g->c), arena, &f, "sessionId", g->session);
	rc = store_get(tx, &auth_session_entity, &f, arena, &s, &found, err);
	if (rc != 0 || !found)
		return rc;
	rc = store_del(tx, &auth_session_entity, &f, NULL, err);
	if (rc != 0 || s.expires_at <= now)
		return rc;
	rc = auth_get_user(tx, arena, s.user_id, &u, &found, err);
	if (rc != 0 || !found || !auth_user_active(&u, now))
		return rc;
	g->row.user_id = u.user_id;
	g->row.expires_at = now + AUTH_CODE_MS;
	g->granted = true;
	rc = store_add(tx, &auth_code_entity, &g->row, err);
	if (rc == 0 && g->pkce.challenge.ptr != NULL)
		rc = store_add(tx, &auth_pkce_entity, &g->pkce, err);
	return rc;
}

/* The words of `scope`, each of them once. */
static struct str
granted_scope(struct arena *a, struct str scope)
{
	struct strs words = auth_words(a, scope), kept = { 0 };
	struct buf b = { 0 };
	struct str s;

	kept.at = arena_array(a, words.n + 1, struct str);
	for (size_t i = 0; i < words.n; i++) {
		if (has(kept, words.at[i]))
			continue;
		if (b.len > 0)
			buf_addc(&b, ' ');
		buf_add_str(&b, words.at[i]);
		kept.at[kept.n++] = words.at[i];
	}
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

static void
grant(struct http_call *c, const struct asking *q, const struct auth_client *cl)
{
	struct auth *a = auth_of(c);
	struct str code = auth_secret(&c->arena);
	struct granting g = { .c = c, .session = q->session_id };
	struct err err;

	g.row = (struct auth_code){ .code = auth_key(a, &c->arena, code),
		.redirect_uri = q->redirect_uri,
		.client_id = q->client_id };
	g.pkce = (struct auth_pkce){ .code = g.row.code,
		.challenge = q->challenge,
		.method = q->method.ptr != NULL ? q->method : STR("plain") };
	if (cl->scopes.n > 0)
		g.row.scope = granted_scope(&c->arena, q->scope);
	if (store_tx(a->store, grant_tx, &g, &err) != 0)
		auth_oauth2_db_error(c, &err);
	else if (!g.granted)
		auth_oauth2_error(c, 400, "invalid_auth", NULL);
	else
		send_back(c, q, "code", code, NULL);
}

static void
authorize(struct http_call *c, const struct url_form *f, bool may_grant)
{
	struct auth_client cl;
	struct asking q;

	if (!read_asking(f, GRANT_MEMBERS, &q)) {
		refuse(c,
		    "response_type, client_id, redirect_uri and session_id "
		    "are needed, each of them once");
		return;
	}
	if (!find_client(c, &q, &cl))
		return;
	if (!str_eqz(q.response_type, "code")) {
		send_back(
		    c, &q, "error", STR("unsupported_response_type"), NULL);
		return;
	}
	if (!may_ask(c, &q, &cl))
		return;
	if (q.allow.ptr != NULL && !str_eqz(q.allow, "yes"))
		send_back(c, &q, "error", STR("access_denied"), NULL);
	else if (q.allow.ptr != NULL && may_grant)
		grant(c, &q, &cl);
	else
		grant_page(c, &q, &cl);
}

static void
get_authorize(struct http_call *c)
{
	authorize(c, &c->query, false);
}

static void
post_authorize(struct http_call *c)
{
	struct url_form f;

	if (auth_form(c, &f))
		authorize(c, &f, true);
}

/* Where the command line's client gets its code; the code is in the address. */
static void
get_redirect(struct http_call *c)
{
	http_empty(c, 200);
	auth_no_store(c);
}

#define BROWSER (HTTP_CREDENTIALS | HTTP_FORM)

const struct http_route auth_oauth2_rows[] = {
	{ "GET", "/oauth2/auth", .query = &asking_record,
	    .query_members = ASKED_MEMBERS, .handle = get_auth,
	    .flags = HTTP_CREDENTIALS,
	    .help = "Begins the authorization code flow." },
	{ "GET", "/oauth2/login", .query = &signing_record,
	    .query_members = "state!", .handle = get_login,
	    .reply = { .media = "text/html" }, .flags = HTTP_CREDENTIALS,
	    .help = "Shows the sign-in page." },
	{ "POST", "/oauth2/login",
	    .body = { .record = &signing_record,
		.members = "state! account! password!",
		.form = true },
	    .handle = post_login, .flags = BROWSER | HTTP_SLOW,
	    .body_max = FORM_MAX,
	    .help = "Signs in, and goes on to the grant." },
	{ "GET", "/oauth2/authorize", .query = &asking_record,
	    .query_members = GRANT_MEMBERS, .handle = get_authorize,
	    .reply = { .media = "text/html" }, .flags = HTTP_CREDENTIALS,
	    .help = "Shows what the client asks for." },
	{ "POST", "/oauth2/authorize",
	    .body = { .record = &asking_record,
		.members = GRANT_MEMBERS,
		.form = true },
	    .handle = post_authorize, .flags = BROWSER, .body_max = FORM_MAX,
	    .help = "Grants or denies; sends the code to the client." },
	{ "POST", "/oauth2/token",
	    .body = { .record = &auth_exchange_record,
		.members = "grant_type! code redirect_uri client_id "
			   "code_verifier",
		.form = true },
	    .reply = { .record = &auth_issued_record, .plain = true },
	    .handle = auth_post_token, .flags = BROWSER, .body_max = FORM_MAX,
	    .help = "Exchanges a code or client credentials for tokens." },
	{ "POST", "/oauth2/refresh",
	    .body = { .record = &auth_exchange_record,
		.members = "grant_type! refresh_token scope client_id",
		.form = true },
	    .reply = { .record = &auth_issued_record, .plain = true },
	    .handle = auth_post_refresh, .flags = BROWSER, .body_max = FORM_MAX,
	    .help = "Exchanges a refresh token for new tokens." },
	{ "GET", "/oauth2/redirect", .handle = get_redirect,
	    .flags = HTTP_CREDENTIALS,
	    .help = "An empty page for codes of the command line." },
	{ "GET", "/setup", .handle = auth_get_setup, .flags = HTTP_HIDDEN,
	    .help = "Shows the page for the first account." },
	{ "POST", "/setup", .handle = auth_post_setup,
	    .flags = HTTP_HIDDEN | HTTP_FORM | HTTP_SLOW, .body_max = FORM_MAX,
	    .help = "Makes the first account." },
	{ 0 },
};

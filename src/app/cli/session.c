/*
 * app/cli/session.c - see session.h.
 */
#include "app/cli/session.h"

#include "base/rand.h"
#include "codec/json.h"
#include "codec/url.h"

#include <sodium.h>
#include <string.h>

#define RETRIES 3 /* after 401, with new tokens */

void
session_init(struct session *s, const struct cli_conf *conf, bool old_name)
{
	*s = (struct session){ .conf = *conf, .old_name = old_name };
}

void
session_fini(struct session *s)
{
	arena_fini(&s->arena);
	*s = (struct session){ 0 };
}

static struct str
without_slash(struct str base)
{
	while (base.len > 0 && base.ptr[base.len - 1] == '/')
		base.len--;
	return base;
}

struct str
session_url(const struct session *s, struct arena *a, struct str path)
{
	const struct {
		struct str first, base;
	} bases[] = { { STR("/auth"), s->conf.auth },
		{ STR("/coremgr"), s->conf.coremgr },
		{ STR("/data"), s->conf.data } };
	struct str base;
	struct url u;

	for (size_t i = 0; i < 3; i++) {
		size_t len = bases[i].first.len;

		if (!str_starts(path, bases[i].first) || path.ptr[len] != '/')
			continue;
		base = without_slash(bases[i].base);
		return arena_printf(a, STR_FMT STR_FMT, STR_ARG(base),
		    (int)(path.len - len), path.ptr + len);
	}
	base = s->conf.coremgr;
	if (url_parse(a, base, &u))
		base = url_origin(a, &u);
	return arena_printf(a, STR_FMT STR_FMT, STR_ARG(base), STR_ARG(path));
}

/* --- tokens -------------------------------------------------------------- */

static int
load(struct session *s, struct err *err)
{
	return s->tokens.access.ptr != NULL
	    ? 0
	    : tokens_load(s->old_name, &s->arena, &s->tokens, err);
}

/* Takes the tokens out of an answer of /token or /refresh. */
static int
keep(struct session *s, struct str body, struct err *err)
{
	struct tokens t = { STR_NULL, STR_NULL };
	struct str key;
	struct json j;
	int rc;

	json_open(&j, body, 0, &s->arena);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "access_token"))
				json_str(&j, &t.access);
			else if (str_eqz(key, "refresh_token") &&
			    json_peek(&j) == JSON_STRING)
				json_str(&j, &t.refresh);
			else
				json_skip(&j);
		}
	rc = json_done(&j, err);
	if (rc != 0 || t.access.ptr == NULL)
		return err_set(
		    err, ERR_PROTO, "the server's answer has no tokens in it");
	s->tokens.access = arena_str(&s->arena, t.access);
	s->tokens.refresh = arena_str(&s->arena, t.refresh);
	return tokens_store(s->old_name, &s->tokens, err);
}

static int
post_form(struct session *s, const char *path, const struct buf *form,
    struct arena *a, struct fetched *ret, struct err *err)
{
	const struct fetch f = {
		.method = "POST",
		.url = session_url(s, a, str_of(path)),
		.type = FETCH_FORM,
		.body = buf_str(form),
	};

	return fetch_run(&f, a, ret, err);
}

/* --- signing in ---------------------------------------------------------- */

#define VERIFIER_LEN 64

struct signing {
	struct session *s;
	struct arena *arena;
	struct str account, password;
	char state[17], verifier[VERIFIER_LEN + 1];
	struct str challenge;
	struct str login_state; /* what the login page is to send back */
	struct str session_id, code;
};

static void
make_challenge(struct signing *x)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	struct buf b = { 0 };

	rand_text(x->state, sizeof(x->state) - 1);
	rand_text(x->verifier, VERIFIER_LEN);
	crypto_hash_sha256(
	    hash, (const unsigned char *)x->verifier, VERIFIER_LEN);
	base64_encode(&b, hash, sizeof(hash), true);
	while (b.len > 0 && b.ptr[b.len - 1] == '=')
		b.len--;
	x->challenge = arena_str(x->arena, buf_str(&b));
	buf_free(&b);
}

/* What /auth and /authorize both ask. */
static void
add_request(const struct signing *x, struct buf *form)
{
	url_form_add(form, "response_type", STR("code"));
	url_form_add(form, "client_id", x->s->conf.client_id);
	url_form_add(form, "redirect_uri", x->s->conf.redirect_uri);
	url_form_add(form, "state", str_of(x->state));
	url_form_add(form, "code_challenge", x->challenge);
	url_form_add(form, "code_challenge_method", STR("S256"));
}

/* A value in the query of where we are sent; STR_NULL: we are not sent there,
 * or it is not among them. */
static struct str
sent_with(struct arena *a, const struct fetched *r, const char *name)
{
	struct str query = r->location;
	struct url_form form;

	if (r->status < 300 || r->status > 399 || query.ptr == NULL)
		return STR_NULL;
	str_cut(&query, '?');
	if (query.ptr == NULL)
		return STR_NULL;
	query = str_cut(&query, '#');
	form = url_form_parse(a, query);
	return url_form_get(&form, name);
}

/* The steps: each 0 and on, 1 when `r` is the server's refusal. */

static int
ask(struct signing *x, struct fetched *r, struct err *err)
{
	struct str path = STR("/auth/oauth2/auth");
	struct buf query = { 0 };
	struct fetch f = { .method = "GET" };
	int rc;

	add_request(x, &query);
	f.url = session_url(x->s, x->arena,
	    arena_printf(x->arena, STR_FMT "?" STR_FMT, STR_ARG(path),
		STR_ARG(buf_str(&query))));
	buf_free(&query);
	rc = fetch_run(&f, x->arena, r, err);
	x->login_state = rc == 0 ? sent_with(x->arena, r, "state") : STR_NULL;
	return rc == 0 && x->login_state.ptr == NULL ? 1 : rc;
}

static int
log_in(struct signing *x, struct fetched *r, struct err *err)
{
	struct buf form = { 0 };
	int rc;

	url_form_add(&form, "account", x->account);
	url_form_add(&form, "password", x->password);
	url_form_add(&form, "state", x->login_state);
	rc = post_form(x->s, "/auth/oauth2/login", &form, x->arena, r, err);
	sodium_memzero(form.ptr, form.len);
	buf_free(&form);
	x->session_id =
	    rc == 0 ? sent_with(x->arena, r, "session_id") : STR_NULL;
	return rc == 0 && x->session_id.ptr == NULL ? 1 : rc;
}

static int
grant(struct signing *x, struct fetched *r, struct err *err)
{
	struct buf form = { 0 };
	struct str state;
	int rc;

	add_request(x, &form);
	url_form_add(&form, "session_id", x->session_id);
	url_form_add(&form, "allow", STR("yes"));
	rc = post_form(x->s, "/auth/oauth2/authorize", &form, x->arena, r, err);
	buf_free(&form);
	if (rc != 0)
		return rc;
	x->code = sent_with(x->arena, r, "code");
	if (x->code.ptr == NULL)
		return 1;
	state = sent_with(x->arena, r, "state");
	if (!str_eqz(state, x->state))
		return err_set(err, ERR_PROTO,
		    "the server answered another sign-in than ours");
	return 0;
}

static int
exchange(struct signing *x, struct fetched *r, struct err *err)
{
	struct buf form = { 0 };
	int rc;

	url_form_add(&form, "grant_type", STR("authorization_code"));
	url_form_add(&form, "code", x->code);
	url_form_add(&form, "redirect_uri", x->s->conf.redirect_uri);
	url_form_add(&form, "client_id", x->s->conf.client_id);
	url_form_add(&form, "code_verifier", str_of(x->verifier));
	rc = post_form(x->s, "/auth/oauth2/token", &form, x->arena, r, err);
	buf_free(&form);
	if (rc == 0 && r->status != 200)
		return 1;
	return rc == 0 ? keep(x->s, r->body, err) : rc;
}

/* A redirect that was to bring us on and brings an error instead is made to
 * look like the refusal it is. */
static void
show_refusal(struct arena *a, struct fetched *r)
{
	struct str error = sent_with(a, r, "error");
	struct buf b = { 0 };

	if (r->status >= 400)
		return;
	buf_addz(&b, "{\"error\":");
	json_quote(&b, error.ptr != NULL ? error : STR("server_error"));
	buf_addz(&b, ",\"error_description\":");
	json_quote(&b,
	    error.ptr != NULL
		? STR("the sign-in was refused")
		: STR("this is not the sign-in page of our server"));
	buf_addc(&b, '}');
	r->status = 400;
	r->body = arena_str(a, buf_str(&b));
	buf_free(&b);
}

int
session_login(struct session *s, struct str account, struct str password,
    struct arena *a, struct fetched *ret, struct err *err)
{
	static int (*const steps[])(struct signing * x, struct fetched * r,
	    struct err * err) = { ask, log_in, grant, exchange };
	struct signing x = {
		.s = s, .arena = a, .account = account, .password = password
	};
	int rc = 0;

	make_challenge(&x);
	for (size_t i = 0; rc == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
		rc = steps[i](&x, ret, err);
	if (rc == 1)
		show_refusal(a, ret);
	return rc == 1 ? 0 : rc;
}

int
session_refresh(
    struct session *s, struct arena *a, struct fetched *ret, struct err *err)
{
	struct buf form = { 0 };
	int rc = load(s, err);

	if (rc != 0)
		return rc;
	if (s->tokens.refresh.ptr == NULL)
		return err_set(
		    err, ERR_DENIED, "nobody is signed in: run `login` first");
	url_form_add(&form, "grant_type", STR("refresh_token"));
	url_form_add(&form, "refresh_token", s->tokens.refresh);
	url_form_add(&form, "client_id", s->conf.client_id);
	rc = post_form(s, "/auth/oauth2/refresh", &form, a, ret, err);
	buf_free(&form);
	return rc == 0 && ret->status == 200 ? keep(s, ret->body, err) : rc;
}

/* --- calls --------------------------------------------------------------- */

/* New tokens after a 401: those that another run of the program has kept
 * meanwhile, or else refreshed ones. False: there are none to be had. */
static bool
renew(struct session *s, struct arena *a)
{
	struct tokens kept;
	struct fetched r;

	if (tokens_load(s->old_name, &s->arena, &kept, NULL) == 0 &&
	    kept.access.ptr != NULL && !str_eq(kept.access, s->tokens.access)) {
		s->tokens = kept;
		return true;
	}
	return session_refresh(s, a, &r, NULL) == 0 && r.status == 200;
}

int
session_fetch(struct session *s, struct fetch *f, struct str path,
    struct arena *a, struct fetched *ret, struct err *err)
{
	int rc = load(s, err);

	if (rc != 0)
		return rc;
	if (s->tokens.access.ptr == NULL)
		return err_set(
		    err, ERR_DENIED, "nobody is signed in: run `login` first");
	f->url = session_url(s, a, path);
	for (int i = 0;; i++) {
		f->token = s->tokens.access;
		rc = fetch_run(f, a, ret, err);
		if (rc != 0 || ret->status != 401 || i == RETRIES ||
		    !renew(s, a))
			return rc;
	}
}

int
session_call(struct session *s, const char *method, struct str path,
    struct str body, struct arena *a, struct fetched *ret, struct err *err)
{
	struct fetch f = { .method = method, .type = FETCH_JSON, .body = body };

	return session_fetch(s, &f, path, a, ret, err);
}

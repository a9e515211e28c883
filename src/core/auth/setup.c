/*
 * core/auth/setup.c - the first start: a one-time code makes the account
 * `admin`; and the client `public`, which the command line uses.
 */
#include "core/auth/private.h"

#include "auth_pages.h"
#include "base/base.h"
#include "base/mem.h"
#include "base/rand.h"

#include <stdlib.h>
#include <string.h>

#define SETUP_MS ((int64_t)3600 * 1000)
#define PASSWORD_MIN 8 /* on the page; a script may set any */
#define PORTS_MAX 16

/* No letter or digit that looks like another. */
static const char letters[] = "ABCDEFGHJKMNPQRSTUVWXYZ23456789";

int
auth_is_empty(struct auth *a, bool *ret, struct err *err)
{
	int64_t n;
	int rc = store_count(a->store, &auth_user_entity, NULL, &n, err);

	if (rc == 0)
		*ret = n == 0;
	return rc;
}

/* --- the client `public` ------------------------------------------------- */

static bool
has(struct strs list, struct str word)
{
	for (size_t i = 0; i < list.n; i++)
		if (str_eq(list.at[i], word))
			return true;
	return false;
}

struct publishing {
	struct arena arena;
	const uint16_t *ports;
	size_t n;
};

/* Redirect URIs: those of `have`, and the missing ones of ours. */
static struct strs
with_ours(struct publishing *p, struct strs have)
{
	struct strs list = { 0 };
	struct str uri;

	list.at = arena_array(&p->arena, have.n + p->n + 1, struct str);
	for (size_t i = 0; i < have.n; i++)
		list.at[list.n++] = have.at[i];
	for (size_t i = 0; i <= p->n; i++) {
		uri = arena_printf(&p->arena,
		    "http://localhost:%u/auth/oauth2/redirect",
		    i == 0 ? 1080u : (unsigned)p->ports[i - 1]);
		if (!has(list, uri))
			list.at[list.n++] = uri;
	}
	return list;
}

static int
public_tx(struct store *tx, void *ctx, struct err *err)
{
	struct publishing *p = ctx;
	struct auth_client cl = { 0 };
	struct filter f = { 0 };
	struct change changes[2];
	struct strs uris;
	bool found;
	int rc;

	arena_clear(&p->arena);
	rc = auth_get_client(tx, &p->arena, STR("public"), &cl, &found, err);
	if (rc != 0)
		return rc;
	if (!found) {
		cl = (struct auth_client){ .client_id = STR("public"),
			.created_at = clock_now(),
			.modified_at = clock_now(),
			.redirect_uris = with_ours(p, (struct strs){ 0 }),
			.user_id = STR("admin"),
			.name = STR("Public") };
		return store_add(tx, &auth_client_entity, &cl, err);
	}
	uris = with_ours(p, cl.redirect_uris);
	if (uris.n == cl.redirect_uris.n)
		return 0;
	filter_text(&f, "clientId", cl.client_id);
	changes[0] = (struct change){ "redirectUris", value_texts(uris) };
	changes[1] = (struct change){ "modifiedAt", value_time(clock_now()) };
	return store_update(tx, &auth_client_entity, &f, changes, 2, NULL, err);
}

int
auth_make_public(
    struct auth *a, const uint16_t *ports, size_t n, struct err *err)
{
	struct publishing p = { .ports = ports, .n = MIN_OF(n, PORTS_MAX) };
	int rc = store_tx(a->store, public_tx, &p, err);

	arena_fini(&p.arena);
	return rc;
}

/* --- the first account --------------------------------------------------- */

struct founding {
	struct auth *auth;
	struct arena arena;
	struct auth_user admin;
	struct str code; /* STR_NULL: none is needed */
	bool refused;    /* the code is not good */
};

static int
found_tx(struct store *tx, void *ctx, struct err *err)
{
	struct publishing p = { 0 };
	struct founding *x = ctx;
	struct filter f = { 0 };
	int64_t n;
	int rc;

	x->refused = false;
	rc = store_count(tx, &auth_user_entity, NULL, &n, err);
	if (rc != 0)
		return rc;
	if (n > 0)
		return err_set(err, ERR_EXISTS, "there is an account already");
	if (x->code.ptr != NULL) {
		filter_text(&f, "code", auth_key(x->auth, &x->arena, x->code));
		filter_add(&f, "expiresAt", COND_GT, value_time(clock_now()));
		rc = store_del(tx, &auth_setup_entity, &f, &n, err);
		if (rc != 0)
			return rc;
		x->refused = n == 0;
		if (x->refused)
			return 0;
	}
	rc = store_add(tx, &auth_user_entity, &x->admin, err);
	if (rc == 0)
		rc = public_tx(tx, &p, err);
	arena_fini(&p.arena);
	return rc;
}

/* With a `code`, that must be good: `*refused` says it was not. */
static int
make_admin(struct auth *a, struct str password, struct str code, bool *refused,
    struct err *err)
{
	struct founding x = { .auth = a, .code = code };
	int64_t now = clock_now();
	int rc;

	x.admin = (struct auth_user){ .user_id = STR("admin"),
		.account = STR("admin"),
		.created_at = now,
		.modified_at = now,
		.verified_at = now,
		.expired_at = TIME_NULL,
		.disabled_at = TIME_NULL,
		.roles = STR("{\"admin\":true}"),
		.name = STR("Admin"),
		.info = STR("{}") };
	rc = auth_password_set(a, &x.arena, &x.admin, password, err);
	if (rc == 0)
		rc = store_tx(a->store, found_tx, &x, err);
	*refused = x.refused;
	arena_fini(&x.arena);
	return rc;
}

int
auth_make_admin(struct auth *a, struct str password, struct err *err)
{
	bool empty, refused;
	int rc = auth_is_empty(a, &empty, err);

	if (rc != 0)
		return rc;
	if (!empty)
		return err_set(err, ERR_EXISTS, "there is an account already");
	return make_admin(a, password, STR_NULL, &refused, err);
}

/* --- the code ------------------------------------------------------------ */

int
auth_setup_code(struct auth *a, char code[AUTH_SETUP_LEN + 1], struct err *err)
{
	const size_t n = sizeof(letters) - 1;
	struct auth_setup row = { .id = STR("setup"),
		.expires_at = clock_now() + SETUP_MS };
	struct arena scratch = { 0 };
	char text[AUTH_SETUP_LEN + 1] = { 0 };
	int rc;

	for (size_t i = 0; i < AUTH_SETUP_LEN;) {
		unsigned char byte;

		rand_bytes(&byte, 1);
		if (byte < 256 / n * n) /* or some would come more often */
			text[i++] = letters[byte % n];
	}
	row.code = auth_key(a, &scratch, str_of(text));
	rc = store_upsert(a->store, &auth_setup_entity, &row, err);
	if (rc == 0)
		memcpy(code, text, sizeof(text));
	arena_fini(&scratch);
	return rc;
}

/* As it was typed: lower case, with spaces or dashes. */
static struct str
clean_code(struct arena *a, struct str typed)
{
	char *p = arena_alloc(a, typed.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < typed.len; i++) {
		char c = typed.ptr[i];

		if (c == ' ' || c == '-' || c == '\t')
			continue;
		p[n++] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
	}
	return (struct str){ p, n };
}

/* Is the code good? Takes nothing: hashing a password is slow, and not for
 * whoever guesses. */
static int
is_code(struct http_call *c, struct auth *a, struct str code, bool *ret,
    struct err *err)
{
	struct filter f = { 0 };
	int64_t n;
	int rc;

	filter_text(&f, "code", auth_key(a, &c->arena, code));
	filter_add(&f, "expiresAt", COND_GT, value_time(clock_now()));
	rc = store_count(a->store, &auth_setup_entity, &f, &n, err);
	*ret = rc == 0 && n > 0;
	return rc;
}

/* --- its page ------------------------------------------------------------ */

static struct auth *
auth_of(const struct http_call *c)
{
	return (struct auth *)c->route->ctx;
}

static void
page(struct http_call *c, int status, struct str code, const char *error)
{
	const struct template_var vars[] = {
		{ "code", code },
		{ "error", str_of(error) },
	};

	auth_page(c, status, STR_NULL, embed_setup_html, vars, COUNT_OF(vars));
}

static void
page_done(struct http_call *c)
{
	const struct template_var vars[] = { { "done", STR("yes") } };

	auth_page(c, 404, STR_NULL, embed_setup_html, vars, 1);
}

/* False: there is an account, or the store failed; answered. */
static bool
still_empty(struct http_call *c)
{
	struct err err;
	bool empty;

	if (auth_is_empty(auth_of(c), &empty, &err) != 0)
		rest_db_error(c, &err);
	else if (!empty)
		page_done(c);
	else
		return true;
	return false;
}

void
auth_get_setup(struct http_call *c)
{
	if (still_empty(c))
		page(c, 200, http_query(c, "code"), NULL);
}

static const char *
password_fault(struct str password, struct str repeat)
{
	if (password.len < PASSWORD_MIN)
		return "A password has at least 8 characters.";
	if (password.len > 1024)
		return "This password is too long.";
	if (!str_eq(password, repeat))
		return "The two passwords differ.";
	return NULL;
}

static void
wrong_code(struct http_call *c, struct str code)
{
	auth_failed(auth_of(c), c->remote);
	page(c, 400, code,
	    "This code is not good, or no longer. Start the server again for a "
	    "new one.");
}

void
auth_post_setup(struct http_call *c)
{
	struct auth *a = auth_of(c);
	struct str code, password;
	struct url_form f;
	const char *fault;
	struct err err;
	bool good;
	int rc;

	if (!auth_form(c, &f) || !still_empty(c))
		return;
	code = clean_code(&c->arena, url_form_get(&f, "code"));
	password = url_form_get(&f, "password");
	if (!auth_may_try(a, c->remote)) {
		page(c, 429, code,
		    "Too many attempts. Wait a minute, then try again.");
		http_header(c, "Retry-After", STR("60"));
		return;
	}
	fault = password_fault(password, url_form_get(&f, "repeat"));
	if (fault != NULL) {
		page(c, 400, code, fault);
		return;
	}
	rc = is_code(c, a, code, &good, &err);
	if (rc == 0 && good) {
		bool refused;

		rc = make_admin(a, password, code, &refused, &err);
		good = !refused;
	}
	if (rc == ERR_EXISTS) {
		page_done(c);
	} else if (rc != 0) {
		rest_db_error(c, &err);
	} else if (!good) {
		wrong_code(c, code);
	} else {
		http_empty(c, 303);
		/* the page at the root goes on with what is asked next */
		http_header(c, "Location", STR("/?first"));
		auth_no_store(c);
	}
}

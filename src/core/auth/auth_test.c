/*
 * core/auth/auth_test.c - the module behind its HTTP server, in one process, so
 * that the clock can be moved.
 */
#include "core/auth/private.h"

#include "base/base.h"
#include "base/mem.h"
#include "net/http/test_server.h"

#include <curl/curl.h>
#include <sodium.h>

/* --- the server ---------------------------------------------------------- */

struct fixture {
	struct auth_conf conf;
	struct auth *a;
	struct test_server t;
	struct arena arena;

	/* the last answer */
	int status;
	struct str body, headers;
};

static struct fixture *fx; /* of the test that runs */

static bool
access_of(void *owner, struct http_call *c)
{
	return auth_access(owner, c);
}

static void
add_routes(void *ctx, const struct http_route *rows)
{
	http_server_add(ctx, rows);
	auth_know_routes(fx->a, rows);
}

/* Units that begin with an "a" are there for everybody. */
static int
may_unit(void *owner, struct http_call *c, struct str unit_id)
{
	(void)owner;
	(void)c;
	return str_starts(unit_id, STR("a"));
}

static void
start(void)
{
	static const struct http_server_events ev = { .access = access_of };
	struct err err;

	if (auth_open(&fx->conf, "/nowhere", STR_NULL, &fx->a, &err) != 0)
		fail_msg("%s", err.text);
	test_server_new(&fx->t, test_server_conf(), &ev, fx->a, 2, 64);
	auth_set_may_unit(fx->a, may_unit, NULL);
	auth_oauth2_routes(fx->a, add_routes, fx->t.http);
	auth_routes(fx->a, "/auth/api/v1", 0, add_routes, fx->t.http);
	test_server_start(&fx->t);
}

static void
stop(void)
{
	test_server_stop(&fx->t);
	auth_close(fx->a);
}

static int
set_up(void **state)
{
	int64_t memory = 0;

	(void)state;
	while (strcmp(store_setting_engines[memory], "memory") != 0)
		memory++;
	fx = mem_new(struct fixture);
	fx->conf = (struct auth_conf){ .db = { .engine = memory,
					   .path = STR("unused") },
		.templates = STR("{}"),
		.api_scopes = STR("{}"),
		.login_failures = 10,
		.service_tokens = 4 };
	start();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	stop();
	arena_fini(&fx->arena);
	free(fx);
	return 0;
}

/* The same with other settings. */
static void
restart(void)
{
	stop();
	start();
}

/* --- requests ------------------------------------------------------------ */

static const char *text(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

static const char *
text(const char *fmt, ...)
{
	struct str s;
	va_list ap;

	va_start(ap, fmt);
	s = arena_vprintf(&fx->arena, fmt, ap);
	va_end(ap);
	return s.ptr;
}

static size_t
gather(char *p, size_t size, size_t n, void *to)
{
	buf_add(to, p, size * n);
	return size * n;
}

#define HEADERS_MAX 4

/* Touches nothing of the fixture, so that threads may call it. */
static int
exchange(const char *method, const char *path, const char *body,
    const char *const headers[HEADERS_MAX], struct buf *out, struct buf *heads)
{
	struct curl_slist *list = NULL;
	CURL *curl = curl_easy_init();
	char url[4096];
	long status = 0;
	CURLcode rc;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s",
	    http_server_port(fx->t.http), path);
	for (int i = 0; headers != NULL && i < HEADERS_MAX; i++)
		if (headers[i] != NULL)
			list = curl_slist_append(list, headers[i]);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	if (body != NULL)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, gather);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, gather);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, heads);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	rc = curl_easy_perform(curl);
	if (rc == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(list);
	curl_easy_cleanup(curl);
	return (int)status;
}

static void
request(const char *method, const char *path, const char *body,
    const char *const headers[HEADERS_MAX])
{
	struct buf out = { 0 }, heads = { 0 };

	fx->status = exchange(method, path, body, headers, &out, &heads);
	(void)buf_z(&out);
	(void)buf_z(&heads);
	fx->body = arena_str(&fx->arena, buf_str(&out));
	fx->headers = arena_str(&fx->arena, buf_str(&heads));
	buf_free(&out);
	buf_free(&heads);
}

static void
get(const char *path)
{
	request("GET", path, NULL, NULL);
}

static void
post(const char *path, const char *form)
{
	request("POST", path, form, NULL);
}

static const char *
basic(const char *pair)
{
	struct buf b = { 0 };
	const char *line;

	base64_encode(&b, pair, strlen(pair), false);
	line = text("Authorization: Basic %s", buf_z(&b));
	buf_free(&b);
	return line;
}

static void
post_as(const char *path, const char *form, const char *authorization)
{
	const char *const headers[HEADERS_MAX] = { authorization };

	request("POST", path, form, headers);
}

/* A call of the API. `what` is "METHOD path-below-/auth/api/v1". */
static void
api(const char *token, const char *what, const char *json)
{
	const char *const headers[HEADERS_MAX] = {
		text("Authorization: Bearer %s", token),
		"Content-Type: application/json",
	};
	const char *space = strchr(what, ' ');

	request(text("%.*s", (int)(space - what), what),
	    text("/auth/api/v1%s", space + 1), json, headers);
}

/* --- answers ------------------------------------------------------------- */

static void
is(int status, const char *body)
{
	if (fx->status != status ||
	    (body != NULL && strstr(fx->body.ptr, body) == NULL))
		fail_msg("wanted %d %s, got %d %s", status,
		    body != NULL ? body : "", fx->status, fx->body.ptr);
}

static void
is_exactly(int status, const char *body)
{
	is(status, NULL);
	assert_string_equal(fx->body.ptr, body);
}

static struct str
header(const char *name)
{
	struct str rest = fx->headers;

	while (rest.ptr != NULL) {
		struct str value = str_cut(&rest, '\n');
		struct str key = str_cut(&value, ':');

		if (value.ptr != NULL && str_eq_nocase(key, str_of(name)))
			return arena_str(&fx->arena, str_trim(value));
	}
	return STR_NULL;
}

static void
header_is(const char *name, const char *want)
{
	struct str got = header(name);

	if (want == NULL ? got.ptr != NULL : !str_eqz(got, want))
		fail_msg("%s: wanted %s, got %s", name,
		    want != NULL ? want : "none",
		    got.ptr != NULL ? got.ptr : "none");
}

static void
goes_to(const char *where)
{
	is(302, "");
	header_is("Location", where);
	header_is("Content-Length", "0");
}

/* The value of this member in the query of where the answer leads. */
static const char *
carried(const char *name)
{
	struct str where = header("Location");
	struct url_form f;

	is(302, NULL);
	str_cut(&where, '?');
	f = url_form_parse(&fx->arena, where);
	if (url_form_get(&f, name).ptr == NULL)
		fail_msg("%s is not in %s", name, header("Location").ptr);
	return arena_z(&fx->arena, url_form_get(&f, name));
}

/* A member of the JSON that was answered, as text. */
static const char *
member(const char *name)
{
	struct str key, value, ret = STR_NULL;
	struct json j;

	json_open(&j, fx->body, 0, &fx->arena);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			bool wrap = str_eqz(key, "data") &&
			    json_peek(&j) == JSON_OBJECT;

			if (wrap && json_object(&j)) {
				while (json_member(&j, &key))
					if (str_eqz(key, name) &&
					    json_peek(&j) == JSON_STRING)
						json_str(&j, &ret);
					else
						json_skip(&j);
			} else if (json_peek(&j) == JSON_STRING &&
			    json_str(&j, &value)) {
				if (str_eqz(key, name))
					ret = value;
			} else {
				json_skip(&j);
			}
		}
	if (ret.ptr == NULL)
		fail_msg("no %s in %s", name, fx->body.ptr);
	return arena_z(&fx->arena, ret);
}

/* --- rows ---------------------------------------------------------------- */

#define HOME "http://localhost:1080/auth/oauth2/redirect"
#define HOME_FORM "http%3A%2F%2Flocalhost%3A1080%2Fauth%2Foauth2%2Fredirect"
#define HOME_FMT /* the same in a format */                                    \
	"http%%3A%%2F%%2Flocalhost%%3A1080%%2Fauth%%2Foauth2%%2Fredirect"

static void
add(const struct entity *e, const void *row)
{
	struct err err;

	if (store_add(fx->a->store, e, row, &err) != 0)
		fail_msg("%s", err.text);
}

static void
change(const struct entity *e, const char *key, const char *id,
    const char *field, struct value v)
{
	struct filter f = { 0 };
	struct change c = { field, v };

	filter_text(&f, key, str_of(id));
	assert_int_equal(
	    store_update(fx->a->store, e, &f, &c, 1, NULL, NULL), 0);
}

static int64_t
rows_of(const struct entity *e)
{
	int64_t n;

	assert_int_equal(store_count(fx->a->store, e, NULL, &n, NULL), 0);
	return n;
}

static struct auth_user
user_row(const char *id)
{
	struct auth_user u;
	bool found;

	assert_int_equal(auth_get_user(fx->a->store, &fx->arena, str_of(id), &u,
			     &found, NULL),
	    0);
	assert_true(found);
	return u;
}

/* A user whose id is its account. Without a password nobody signs in. */
static void
add_user(const char *id, const char *roles, const char *password)
{
	struct auth_user u = { .user_id = str_of(id),
		.account = str_of(id),
		.created_at = clock_now(),
		.modified_at = clock_now(),
		.verified_at = clock_now(),
		.expired_at = TIME_NULL,
		.disabled_at = TIME_NULL,
		.roles = str_of(roles),
		.password = STR("none"),
		.salt = STR(""),
		.name = arena_printf(&fx->arena, "Name of %s", id),
		.info = STR("{}") };
	struct err err;

	if (password != NULL &&
	    auth_password_set(fx->a, &fx->arena, &u, str_of(password), &err) !=
		0)
		fail_msg("%s", err.text);
	add(&auth_user_entity, &u);
}

static void
add_client(const char *id, const char *secret, const char *scopes,
    const char *uris, const char *owner)
{
	struct auth_client cl = { .client_id = str_of(id),
		.created_at = clock_now(),
		.modified_at = clock_now(),
		.client_secret = str_of(secret),
		.redirect_uris = auth_words(&fx->arena, str_of(uris)),
		.scopes = auth_words(&fx->arena, str_of(scopes)),
		.user_id = str_of(owner),
		.name = arena_printf(&fx->arena, "<%s>", id) };

	add(&auth_client_entity, &cl);
}

/* The quick start: an administrator and the command line's client. */
static void
add_quick_start(void)
{
	add_user("admin", "{\"admin\":true}", NULL);
	add_client("public", NULL, "", HOME, "admin");
}

/* Stores a session as POST /login would, and gives its secret. */
static const char *
session_of(const char *user)
{
	struct str secret = auth_secret(&fx->arena);
	struct auth_session s = { .session_id =
				      auth_key(fx->a, &fx->arena, secret),
		.expires_at = clock_now() + AUTH_SESSION_MS,
		.user_id = str_of(user) };

	add(&auth_session_entity, &s);
	return secret.ptr;
}

static const char *
token_of(const char *user, const char *client, const char *scope)
{
	struct str secret = auth_secret(&fx->arena);
	struct auth_token t = { .access_token =
				    auth_key(fx->a, &fx->arena, secret),
		.expires_at = clock_now() + AUTH_TOKEN_MS,
		.scope = str_of(scope),
		.client_id = str_of(client),
		.redirect_uri = STR(HOME),
		.user_id = str_of(user) };

	add(&auth_token_entity, &t);
	return secret.ptr;
}

/* The form of /authorize for the client `public`. */
static const char *
ask_form(const char *session, const char *more)
{
	return text("response_type=code&client_id=public&redirect_uri=" HOME_FMT
		    "&session_id=%s%s",
	    session, more);
}

#define AUTH "/auth/oauth2/auth"
#define LOGIN "/auth/oauth2/login"
#define AUTHORIZE "/auth/oauth2/authorize"
#define TOKEN "/auth/oauth2/token"
#define REFRESH "/auth/oauth2/refresh"

/* A code of that client, granted to `user`. `more`: scope, PKCE. */
static const char *
code_of(const char *user, const char *client, const char *more)
{
	post(AUTHORIZE,
	    text("response_type=code&client_id=%s&redirect_uri=" HOME_FMT
		 "&session_id=%s&allow=yes%s",
		client, session_of(user), more));
	return carried("code");
}

static const char *
token_form(const char *code, const char *more)
{
	return text(
	    "grant_type=authorization_code&code=%s&redirect_uri=" HOME_FMT "%s",
	    code, more);
}

static const char *
refresh_form(const char *refresh, const char *more)
{
	return text(
	    "grant_type=refresh_token&refresh_token=%s%s", refresh, more);
}

#define PUBLIC "&client_id=public"

/* --- GET /auth ----------------------------------------------------------- */

#define GOOD_AUTH                                                              \
	AUTH "?response_type=code&client_id=public&redirect_uri=" HOME_FORM
#define STATE                                                                  \
	"response_type%3Dcode%26client_id%3Dpublic%26redirect_uri%3Dhttp%253A" \
	"%252F%252Flocalhost%253A1080%252Fauth%252Foauth2%252Fredirect"

static void
a_good_request_is_sent_to_the_sign_in_page(void **state)
{
	(void)state;
	add_quick_start();
	get(GOOD_AUTH);
	goes_to(LOGIN "?state=" STATE);
	header_is("Access-Control-Allow-Credentials", "true");
	header_is("Access-Control-Expose-Headers", "location");
	header_is("Vary",
	    "Origin, Access-Control-Request-Method, "
	    "Access-Control-Request-Headers");
	header_is("Cache-Control", "no-store");
	get(GOOD_AUTH "&state=a%20b");
	goes_to(LOGIN "?state=" STATE "%26state%3Da%2Bb");
	get(AUTH "?state=x&redirect_uri=" HOME_FORM
		 "&client_id=public&response_type=code");
	goes_to(LOGIN "?state=" STATE "%26state%3Dx");
}

static void
a_request_of_no_client_we_know_is_refused_without_a_redirect(void **state)
{
	static const struct {
		const char *query, *why;
	} bad[] = {
		{ "?client_id=public&redirect_uri=" HOME_FORM, "needed" },
		{ "?response_type=code&redirect_uri=" HOME_FORM, "needed" },
		{ "?response_type=code&client_id=public", "needed" },
		{ "", "needed" },
		{ "?response_type=code&client_id=public&client_id=public"
		  "&redirect_uri=" HOME_FORM,
		    "once" },
		{ "?response_type=token&client_id=public&redirect_"
		  "uri=" HOME_FORM,
		    "unsupport response_type" },
		{ "?response_type=code&client_id=other&redirect_uri=" HOME_FORM,
		    "invalid client" },
		{ "?response_type=code&client_id=public&redirect_uri=" HOME_FORM
		  "%2F",
		    "invalid redirect_uri" },
		{ "?response_type=code&client_id=public&redirect_uri=x",
		    "invalid redirect_uri" },
	};

	(void)state;
	add_quick_start();
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		get(text(AUTH "%s", bad[i].query));
		is(400, "\"error\":\"invalid_request\"");
		is(400, bad[i].why);
		header_is("Location", NULL);
		header_is("Content-Type", "application/json");
	}
}

static void
a_client_with_scopes_must_ask_for_some_of_them(void **state)
{
	static const char *const bad[] = { "", "&scope=", "&scope=%20",
		"&scope=c", "&scope=a+c", "&scope=A" };
	static const char *const good[] = { "a", "b", "a+b", "b+a", "a+a" };

	(void)state;
	add_quick_start();
	add_client("some", NULL, "a b", HOME, "admin");
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		get(text(AUTH
		    "?response_type=code&client_id=some&redirect_uri=" HOME_FMT
		    "%s",
		    bad[i]));
		goes_to(HOME "?error=invalid_scope");
	}
	get(AUTH "?response_type=code&client_id=some&redirect_uri=" HOME_FORM
		 "&state=1%262");
	goes_to(HOME "?error=invalid_scope&state=1%262");
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		get(text(AUTH
		    "?response_type=code&client_id=some&redirect_uri=" HOME_FMT
		    "&scope=%s",
		    good[i]));
		carried("state");
	}
}

static void
a_redirect_uri_keeps_its_own_query(void **state)
{
	(void)state;
	add_user("admin", "{}", NULL);
	add_client(
	    "q", NULL, "a", "http://h/?x=1 http://h/y? http://h/#f", "admin");
	get(AUTH "?response_type=code&client_id=q"
		 "&redirect_uri=http%3A%2F%2Fh%2F%3Fx%3D1");
	goes_to("http://h/?x=1&error=invalid_scope");
	get(AUTH "?response_type=code&client_id=q"
		 "&redirect_uri=http%3A%2F%2Fh%2Fy%3F");
	goes_to("http://h/y?error=invalid_scope");
	get(AUTH "?response_type=code&client_id=q"
		 "&redirect_uri=http%3A%2F%2Fh%2F%23f");
	goes_to("http://h/?error=invalid_scope#f");
}

/* --- /login -------------------------------------------------------------- */

static void
the_sign_in_page_holds_the_state_and_nothing_foreign(void **state)
{
	(void)state;
	add_quick_start();
	get(LOGIN "?state=" STATE "%26state%3D%253Cb%253E%22");
	is(200, "action=\"/auth/oauth2/login\"");
	is(200, "value=\"response_type=code&amp;client_id=public&amp;");
	is(200, "state=%3Cb%3E&quot;\"");
	is(200, "name=\"account\"");
	is(200, "name=\"password\"");
	header_is("Content-Type", "text/html; charset=utf-8");
	header_is("Content-Security-Policy",
	    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
	    "base-uri 'none'; frame-ancestors 'none'");
	header_is("X-Content-Type-Options", "nosniff");
	header_is("Referrer-Policy", "no-referrer");
	header_is("Cache-Control", "no-store");
	assert_null(strstr(fx->body.ptr, "<script"));
	assert_null(strstr(fx->body.ptr, "src="));
	assert_null(strstr(fx->body.ptr, "href="));
	assert_null(strstr(fx->body.ptr, "role=\"alert\""));
}

static void
a_state_is_checked_like_the_request_it_came_from(void **state)
{
	static const char *const bad[] = { "", "?state=", "?state=%00%FF",
		"?state=response_type%3Dcode", "?other=1" };

	(void)state;
	add_quick_start();
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		get(text(LOGIN "%s", bad[i]));
		is(400, "invalid state content");
		post(LOGIN,
		    text("account=a&password=b&%s",
			bad[i][0] ? bad[i] + 1 : ""));
		is(400, "invalid state content");
	}
	get(LOGIN "?state=response_type%3Dcode%26client_id%3Dx%26redirect_uri"
		  "%3Dhttp%253A%252F%252Fh");
	is(400, "invalid client");
	post(LOGIN,
	    "account=a&password=b&state=response_type%3Dtoken%26client_id"
	    "%3Dpublic%26redirect_uri%3Dx");
	is(400, "unsupport response_type");
}

static void
signing_in_leads_to_the_grant_with_a_session(void **state)
{
	struct filter f = { 0 };
	struct auth_session s;
	const char *session;
	bool found;

	(void)state;
	add_user("admin", "{\"admin\":true}", "secret word");
	add_client("public", NULL, "", HOME, "admin");
	post(LOGIN, "state=" STATE "&account=ADMIN&password=secret+word");
	session = carried("session_id");
	assert_int_equal(strlen(session), 64);
	goes_to(text(AUTHORIZE "?response_type=code&client_id=public"
			       "&redirect_uri=" HOME_FMT "&session_id=%s",
	    session));
	header_is("Access-Control-Allow-Credentials", "true");
	assert_int_equal(rows_of(&auth_session_entity), 1);
	filter_text(&f, "userId", STR("admin"));
	assert_int_equal(store_get(fx->a->store, &auth_session_entity, &f,
			     &fx->arena, &s, &found, NULL),
	    0);
	assert_true(found);
	assert_true(str_starts(s.session_id, STR("sha256$")));
	post(LOGIN,
	    "state=" STATE "%26scope%3Dx%26state%3Dy&account=admin"
	    "&password=secret+word");
	goes_to(text(AUTHORIZE
	    "?response_type=code&client_id=public&redirect_uri=" HOME_FMT
	    "&scope=x&state=y&session_id=%s",
	    carried("session_id")));
}

#define SIGN_IN(account, password)                                             \
	post(LOGIN, "state=" STATE "&account=" account "&password=" password)

static void
whoever_may_not_sign_in_gets_one_and_the_same_answer(void **state)
{
	(void)state;
	add_user("admin", "{}", "right");
	add_client("public", NULL, "", HOME, "admin");
	SIGN_IN("admin", "wrong");
	is_exactly(400, "{\"error\":\"invalid_auth\"}");
	SIGN_IN("nobody", "right");
	is_exactly(400, "{\"error\":\"invalid_auth\"}");
	SIGN_IN("admin", "");
	is_exactly(400, "{\"error\":\"invalid_auth\"}");
	change(&auth_user_entity, "userId", "admin", "disabledAt",
	    value_time(clock_now()));
	SIGN_IN("admin", "right");
	is_exactly(400, "{\"error\":\"invalid_auth\"}");
	change(&auth_user_entity, "userId", "admin", "disabledAt",
	    value_time(TIME_NULL));
	change(&auth_user_entity, "userId", "admin", "expiredAt",
	    value_time(clock_now()));
	SIGN_IN("admin", "right");
	is_exactly(400, "{\"error\":\"invalid_auth\"}");
	assert_int_equal(rows_of(&auth_session_entity), 0);
	change(&auth_user_entity, "userId", "admin", "expiredAt",
	    value_time(clock_now() + 60000));
	SIGN_IN("admin", "right");
	carried("session_id");
	post(LOGIN, "state=" STATE "&account=admin");
	is(400, "account and password are needed");
	post_as(LOGIN, "state=" STATE "&account=admin&password=right",
	    "Content-Type: text/plain");
	is(400, "application/x-www-form-urlencoded");
}

static void
a_browser_sees_the_sign_in_page_again(void **state)
{
	static const char form[] =
	    "state=" STATE "&account=%3Cadmin%22&password=pass-word";

	(void)state;
	add_quick_start();
	post_as(
	    LOGIN, form, "Accept: text/html,application/xhtml+xml,*/*;q=0.8");
	is(400, "role=\"alert\"");
	is(400, "value=\"&lt;admin&quot;\"");
	is(400, "state\" value=\"response_type=code&amp;");
	assert_null(strstr(fx->body.ptr, "pass-word"));
	header_is("Content-Type", "text/html; charset=utf-8");
	post_as(LOGIN, form, "Accept: application/json, text/html");
	is_exactly(400, "{\"error\":\"invalid_auth\"}");
}

static void
too_many_failures_lock_an_address_out_for_a_minute(void **state)
{
	(void)state;
	fx->conf.login_failures = 2;
	restart();
	add_user("admin", "{}", "right");
	add_client("public", NULL, "", HOME, "admin");
	SIGN_IN("admin", "wrong");
	is(400, "invalid_auth");
	SIGN_IN("nobody", "wrong");
	is(400, "invalid_auth");
	SIGN_IN("admin", "right");
	is(429, "\"error\":\"temporarily_unavailable\"");
	header_is("Retry-After", "60");
	post_as(LOGIN, "state=" STATE "&account=admin&password=right",
	    "Accept: text/html");
	is(429, "role=\"alert\"");
	clock_advance(60 * 1000);
	SIGN_IN("admin", "right");
	carried("session_id");
	/* the next minute is counted anew */
	SIGN_IN("admin", "wrong");
	is(400, "invalid_auth");
	SIGN_IN("admin", "wrong");
	is(400, "invalid_auth");
	SIGN_IN("admin", "right");
	is(429, NULL);
}

static void
add_seed_rows(void)
{
	struct auth_user u = { .user_id = STR("admin"),
		.account = STR("admin"),
		.created_at = clock_now(),
		.modified_at = clock_now(),
		.verified_at = clock_now(),
		.expired_at = TIME_NULL,
		.disabled_at = TIME_NULL,
		.roles = STR("{\"admin\":true}"),
		.password = STR("27258772d876ffcef7ca2c75d6f4e6bcd81c203bd3e93c"
				"0791c736e5a2df4afa"),
		.salt = STR("YsBsou2O"),
		.name = STR("Admin"),
		.info = STR("{}") };

	add(&auth_user_entity, &u);
	add_client("public", NULL, "", HOME, "admin");
}

static void
an_old_password_signs_in_and_is_kept_in_the_new_form(void **state)
{
	struct auth_user u;

	(void)state;
	add_seed_rows();
	SIGN_IN("admin", "wrong");
	is(400, "invalid_auth");
	assert_string_equal(user_row("admin").salt.ptr, "YsBsou2O");
	SIGN_IN("admin", "admin");
	carried("session_id");
	u = user_row("admin");
	assert_true(str_starts(u.password, STR("$argon2id$")));
	assert_int_equal(u.salt.len, 0);
	SIGN_IN("admin", "admin");
	carried("session_id");
	SIGN_IN("admin", "wrong");
	is(400, "invalid_auth");
}

static void
a_shared_database_keeps_the_old_forms(void **state)
{
	struct filter f = { 0 };
	const char *token;
	int64_t n;

	(void)state;
	fx->conf.shared_database = true;
	restart();
	add_seed_rows();
	SIGN_IN("admin", "admin");
	carried("session_id");
	assert_string_equal(user_row("admin").salt.ptr, "YsBsou2O");
	SIGN_IN("nobody", "admin");
	is(400, "invalid_auth");
	post(TOKEN, token_form(code_of("admin", "public", ""), PUBLIC));
	token = member("access_token");
	filter_text(&f, "accessToken", str_of(token));
	assert_int_equal(
	    store_count(fx->a->store, &auth_token_entity, &f, &n, NULL), 0);
	assert_int_equal(n, 1);
	api(token, "PATCH /user", "{\"data\":{\"password\":\"other\"}}");
	is(204, NULL);
	assert_int_equal(user_row("admin").password.len, 64);
	SIGN_IN("admin", "other");
	carried("session_id");
}

static void
tokens_that_upstream_kept_in_clear_are_good(void **state)
{
	struct str secret = auth_secret(&fx->arena);
	struct auth_token t = { .access_token = secret,
		.expires_at = clock_now() + AUTH_TOKEN_MS,
		.client_id = STR("public"),
		.redirect_uri = STR(HOME),
		.user_id = STR("admin") };
	struct filter f = { 0 };
	struct auth_token row;
	bool found;

	(void)state;
	add_quick_start();
	add(&auth_token_entity, &t);
	api(secret.ptr, "GET /auth/tokeninfo", NULL);
	is(200, NULL);
	/* but the key that is kept of a token is no token */
	api(token_of("admin", "public", ""), "POST /auth/logout", "");
	is(204, NULL);
	t.access_token = auth_key(fx->a, &fx->arena, STR("x"));
	add(&auth_token_entity, &t);
	filter_text(&f, "accessToken", t.access_token);
	assert_int_equal(store_get(fx->a->store, &auth_token_entity, &f,
			     &fx->arena, &row, &found, NULL),
	    0);
	assert_true(found);
	api(row.access_token.ptr, "GET /auth/tokeninfo", NULL);
	is(401, NULL);
}

/* --- /authorize ---------------------------------------------------------- */

static void
the_grant_page_says_who_wants_what(void **state)
{
	(void)state;
	add_quick_start();
	add_client("some", NULL, "a b", HOME, "admin");
	get(text(AUTHORIZE "?%s", ask_form("SESSION", "&state=%22x")));
	is(200, "&lt;public&gt;");
	is(200, "action=\"/auth/oauth2/authorize\"");
	is(200, "name=\"session_id\" value=\"SESSION\"");
	is(200, "name=\"client_id\" value=\"public\"");
	is(200, "name=\"response_type\" value=\"code\"");
	is(200, "name=\"redirect_uri\" value=\"" HOME "\"");
	is(200, "name=\"state\" value=\"&quot;x\"");
	is(200, "name=\"allow\" value=\"yes\"");
	is(200, "name=\"allow\" value=\"no\"");
	assert_null(strstr(fx->body.ptr, "name=\"scope\""));
	assert_null(strstr(fx->body.ptr, "code_challenge"));
	header_is("Content-Type", "text/html; charset=utf-8");
	header_is("Referrer-Policy", "no-referrer");
	get(AUTHORIZE
	    "?response_type=code&client_id=some&redirect_uri=" HOME_FORM
	    "&session_id=S&scope=b+a");
	is(200, "<li><code>b</code></li><li><code>a</code></li>");
	is(200, "name=\"scope\" value=\"b a\"");
	assert_null(strstr(fx->body.ptr, "name=\"state\""));
	/* a POST without a decision shows it too */
	post(AUTHORIZE, ask_form("SESSION", ""));
	is(200, "&lt;public&gt;");
}

static void
a_grant_is_checked_before_anything_goes_to_the_client(void **state)
{
	(void)state;
	add_quick_start();
	add_client("some", NULL, "a b", HOME, "admin");
	post(AUTHORIZE,
	    "response_type=code&client_id=public&redirect_uri=" HOME_FORM);
	is(400, "invalid_request");
	post(AUTHORIZE, "session_id=x&client_id=public");
	is(400, "invalid_request");
	post(AUTHORIZE,
	    "session_id=x&response_type=code&client_id=x"
	    "&redirect_uri=" HOME_FORM);
	is(400, "invalid client");
	post(AUTHORIZE,
	    "session_id=x&response_type=token&client_id=public"
	    "&redirect_uri=http%3A%2F%2Fevil");
	is(400, "invalid redirect_uri");
	header_is("Location", NULL);
	post(AUTHORIZE,
	    "session_id=x&response_type=token&client_id=public"
	    "&state=s&redirect_uri=" HOME_FORM);
	goes_to(HOME "?error=unsupported_response_type&state=s");
	post(AUTHORIZE,
	    "session_id=x&response_type=code&client_id=some"
	    "&allow=yes&redirect_uri=" HOME_FORM);
	goes_to(HOME "?error=invalid_scope");
	post(AUTHORIZE,
	    "session_id=x&response_type=code&client_id=some"
	    "&allow=yes&scope=c&state=s&redirect_uri=" HOME_FORM);
	goes_to(HOME "?error=invalid_scope&state=s");
	post(AUTHORIZE, ask_form("x", "&allow=no"));
	goes_to(HOME "?error=access_denied");
	post(AUTHORIZE, ask_form("x", "&allow=&state=s"));
	goes_to(HOME "?error=access_denied&state=s");
	post(AUTHORIZE, ask_form("x", "&allow=yes"));
	is_exactly(400, "{\"error\":\"invalid_auth\"}");
}

static void
a_session_is_good_for_one_grant(void **state)
{
	const char *session, *code;

	(void)state;
	add_quick_start();
	session = session_of("admin");
	post(AUTHORIZE, ask_form(session, "&allow=yes&state=a%26b"));
	code = carried("code");
	assert_int_equal(strlen(code), 64);
	goes_to(text(HOME "?code=%s&state=a%%26b", code));
	post(AUTHORIZE, ask_form(session, "&allow=yes"));
	is_exactly(400, "{\"error\":\"invalid_auth\"}");
	/* what is kept of it is not it */
	session = session_of("admin");
	post(AUTHORIZE,
	    ask_form(auth_key(fx->a, &fx->arena, str_of(session)).ptr,
		"&allow=yes"));
	is(400, "invalid_auth");
}

static void
a_session_lasts_a_minute(void **state)
{
	const char *session;

	(void)state;
	add_quick_start();
	session = session_of("admin");
	clock_advance(AUTH_SESSION_MS - 2000);
	post(AUTHORIZE, ask_form(session, "&allow=yes"));
	carried("code");
	session = session_of("admin");
	clock_advance(AUTH_SESSION_MS);
	post(AUTHORIZE, ask_form(session, "&allow=yes"));
	is(400, "invalid_auth");
}

static void
a_link_never_grants(void **state)
{
	const char *session;

	(void)state;
	add_quick_start();
	session = session_of("admin");
	get(text(AUTHORIZE "?%s", ask_form(session, "&allow=yes")));
	is(200, "name=\"allow\"");
	assert_int_equal(rows_of(&auth_code_entity), 0);
	get(text(AUTHORIZE "?%s", ask_form(session, "&allow=no")));
	goes_to(HOME "?error=access_denied");
	post(AUTHORIZE, ask_form(session, "&allow=yes"));
	carried("code");
}

static void
the_landing_page_is_empty(void **state)
{
	(void)state;
	get("/auth/oauth2/redirect?code=1");
	is_exactly(200, "");
	header_is("Access-Control-Allow-Credentials", "true");
}

/* --- POST /token --------------------------------------------------------- */

static void
a_code_becomes_tokens(void **state)
{
	const char *access;

	(void)state;
	add_quick_start();
	post(TOKEN, token_form(code_of("admin", "public", ""), PUBLIC));
	is(200,
	    "\"token_type\":\"bearer\",\"expires_in\":3599,\"scope\":\"\"}");
	header_is("Content-Type", "application/json");
	header_is("Cache-Control", "no-store");
	assert_int_equal(strlen(member("access_token")), 64);
	assert_int_equal(strlen(member("refresh_token")), 64);
	access = member("access_token");
	assert_string_not_equal(access, member("refresh_token"));
	api(access, "GET /auth/tokeninfo", NULL);
	is_exactly(200,
	    "{\"data\":{\"userId\":\"admin\",\"account\":\"admin\","
	    "\"roles\":{\"admin\":true},\"name\":\"Name of admin\","
	    "\"clientId\":\"public\",\"scopes\":[]}}");
}

static void
a_code_is_good_once(void **state)
{
	const char *code;

	(void)state;
	add_quick_start();
	code = code_of("admin", "public", "");
	post(TOKEN, token_form(code, PUBLIC));
	is(200, NULL);
	post(TOKEN, token_form(code, PUBLIC));
	is(400, "\"error\":\"invalid_request\"");
	post(TOKEN, token_form("0000", PUBLIC));
	is(400, "\"error\":\"invalid_request\"");
}

static void
a_code_lasts_thirty_seconds(void **state)
{
	const char *code;

	(void)state;
	add_quick_start();
	code = code_of("admin", "public", "");
	clock_advance(AUTH_CODE_MS - 2000);
	post(TOKEN, token_form(code, PUBLIC));
	is(200, NULL);
	code = code_of("admin", "public", "");
	clock_advance(AUTH_CODE_MS);
	post(TOKEN, token_form(code, PUBLIC));
	is(400, "\"error\":\"invalid_request\"");
}

static void
a_failed_exchange_uses_the_code_up(void **state)
{
	const char *code;

	(void)state;
	add_quick_start();
	add_client("other", NULL, "", HOME, "admin");
	code = code_of("admin", "public", "");
	post(TOKEN, token_form(code, "&client_id=other"));
	is(400, "\"error\":\"invalid_grant\"");
	post(TOKEN, token_form(code, PUBLIC));
	is(400, "\"error\":\"invalid_request\"");
	code = code_of("admin", "public", "");
	post(TOKEN,
	    text("grant_type=authorization_code&code=%s" PUBLIC
		 "&redirect_uri=http%%3A%%2F%%2Flocalhost",
		code));
	is(400, "\"error\":\"invalid_grant\"");
	post(TOKEN, token_form(code, PUBLIC));
	is(400, "\"error\":\"invalid_request\"");
}

static void
what_token_can_not_read_it_refuses(void **state)
{
	const char *code;

	(void)state;
	add_quick_start();
	code = code_of("admin", "public", "");
	post(TOKEN, "");
	is(400, "\"error\":\"invalid_request\"");
	post(TOKEN, "grant_type=password" PUBLIC);
	is(400, "\"error\":\"unsupported_grant_type\"");
	post(TOKEN, text("grant_type=refresh_token&refresh_token=%s", code));
	is(400, "\"error\":\"unsupported_grant_type\"");
	post(TOKEN,
	    "grant_type=authorization_code&redirect_uri=" HOME_FORM PUBLIC);
	is(400, "\"error\":\"invalid_request\"");
	post(TOKEN,
	    text("grant_type=authorization_code&redirect_uri=x&code=%s" PUBLIC,
		code));
	is(400, "\"error\":\"invalid_request\"");
	post(TOKEN, text("grant_type=authorization_code&code=%s" PUBLIC, code));
	is(400, "\"error\":\"invalid_request\"");
	post(TOKEN, token_form(code, ""));
	is(400, "\"error\":\"invalid_request\"");
	post(TOKEN, token_form(code, PUBLIC PUBLIC));
	is(400, "\"error\":\"invalid_request\"");
	post_as(TOKEN, token_form(code, PUBLIC), "Content-Type: text/plain");
	is(400, "\"error\":\"invalid_request\"");
	post(TOKEN, token_form(code, PUBLIC)); /* it is still good */
	is(200, NULL);
}

static void
a_private_client_shows_its_secret(void **state)
{
	static const char *const wrong[] = { "private:wrong",
		"private:", "private:geheim2", "private:gehei", "nobody:geheim",
		"public:geheim" };
	const char *code;

	(void)state;
	add_quick_start();
	add_client("private", "geheim", "", HOME, "admin");
	code = code_of("admin", "private", "");
	post(TOKEN, token_form(code, "&client_id=private"));
	is(401, "\"error\":\"invalid_client\"");
	header_is("WWW-Authenticate", "Basic realm=\"oauth2\"");
	post(
	    TOKEN, token_form(code, "&client_id=private&client_secret=geheim"));
	is(401, "\"error\":\"invalid_client\"");
	post(TOKEN, token_form(code, "&client_id=nobody"));
	is(401, "\"error\":\"invalid_client\"");
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		post_as(TOKEN, token_form(code, ""), basic(wrong[i]));
		is(401, "\"error\":\"invalid_client\"");
	}
	post_as(TOKEN, token_form(code, PUBLIC), basic("private:geheim"));
	is(400, "\"error\":\"invalid_request\"");
	post_as(TOKEN, token_form(code, ""), basic("private:geheim"));
	is(200, NULL);
}

static void
an_authorization_header_must_be_one_and_basic(void **state)
{
	const char *two[HEADERS_MAX] = { NULL };
	const char *code;

	(void)state;
	add_quick_start();
	add_client("private", "geheim", "", HOME, "admin");
	code = code_of("admin", "private", "");
	two[0] = basic("private:geheim");
	two[1] = two[0];
	request("POST", TOKEN, token_form(code, ""), two);
	is(400, "\"error\":\"invalid_request\"");
	post_as(TOKEN, token_form(code, ""), "Authorization: Bearer x");
	is(400, "\"error\":\"invalid_request\"");
	post_as(TOKEN, token_form(code, ""), "Authorization: Basic");
	is(400, "\"error\":\"invalid_request\"");
	post_as(TOKEN, token_form(code, ""), "Authorization: Basic !!!");
	is(400, "\"error\":\"invalid_request\"");
	post_as(TOKEN, token_form(code, ""), basic("private"));
	is(400, "\"error\":\"invalid_request\"");
	/* "private:geheim" without its padding */
	post_as(TOKEN, token_form(code, ""),
	    "Authorization: basic cHJpdmF0ZTpnZWhlaW0");
	is(200, NULL);
	/* a public client may name itself so too */
	post_as(TOKEN, token_form(code_of("admin", "public", ""), ""),
	    basic("public:"));
	is(200, NULL);
}

static void
a_client_acts_for_its_owner(void **state)
{
	static const char form[] = "grant_type=client_credentials&scope=x";
	static const char *const wrong[] = { "private:wrong",
		"private:", "nobody:geheim", "public:geheim",
		"public:", "homeless:geheim", "lost:geheim", "orphan:geheim" };

	(void)state;
	add_quick_start();
	add_user("owner", "{\"dev\":true}", NULL);
	add_client("private", "geheim", "a b", HOME, "owner");
	add_client("homeless", "geheim", "", "", "owner");
	add_client("lost", "geheim", "", "no-url", "owner");
	add_client("orphan", "geheim", "", HOME, "gone");
	post(TOKEN, form);
	is(400, "\"error\":\"invalid_request\"");
	post(TOKEN, "grant_type=client_credentials&client_id=private");
	is(400, "\"error\":\"invalid_request\"");
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		post_as(TOKEN, form, basic(wrong[i]));
		is(401, "\"error\":\"invalid_client\"");
		header_is("WWW-Authenticate", "Basic realm=\"oauth2\"");
	}
	post_as(TOKEN, form, basic("private:geheim"));
	is(200, "\"scope\":\"a b\"");
	api(member("access_token"), "GET /auth/tokeninfo", NULL);
	is(200, "\"userId\":\"owner\"");
	is(200, "\"clientId\":\"private\",\"scopes\":[\"a\",\"b\"]");
	change(&auth_user_entity, "userId", "owner", "disabledAt",
	    value_time(clock_now()));
	post_as(TOKEN, form, basic("private:geheim"));
	is(401, "\"error\":\"invalid_client\"");
}

static void
the_scope_that_was_asked_for_is_granted_and_no_more(void **state)
{
	(void)state;
	add_quick_start();
	add_client("some", NULL, "a b c", HOME, "admin");
	post(TOKEN,
	    token_form(
		code_of("admin", "some", "&scope=c++a+c"), "&client_id=some"));
	is(200, "\"scope\":\"c a\"");
	api(member("access_token"), "GET /auth/tokeninfo", NULL);
	is(200, "\"scopes\":[\"c\",\"a\"]");
	/* a client without scopes gets none, whatever it asks for */
	post(TOKEN, token_form(code_of("admin", "public", "&scope=x"), PUBLIC));
	is(200, "\"scope\":\"\"");
}

struct racer {
	pthread_t thread;
	const char *path, *form;
	int status;
};

static void *
race(void *arg)
{
	struct racer *r = arg;
	struct buf out = { 0 }, heads = { 0 };

	r->status = exchange("POST", r->path, r->form, NULL, &out, &heads);
	buf_free(&out);
	buf_free(&heads);
	return NULL;
}

/* Two at once with the same: how many got `status`? */
static int
race_two(const char *path, const char *form, int status)
{
	struct racer r[2];
	int n = 0;

	for (int i = 0; i < 2; i++) {
		r[i] = (struct racer){ .path = path, .form = form };
		pthread_create(&r[i].thread, NULL, race, &r[i]);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(r[i].thread, NULL);
		n += r[i].status == status;
	}
	return n;
}

static void
of_two_at_once_with_one_secret_one_wins(void **state)
{
	const char *form;

	(void)state;
	add_quick_start();
	for (int i = 0; i < 20; i++) {
		form = ask_form(session_of("admin"), "&allow=yes");
		assert_int_equal(race_two(AUTHORIZE, form, 302), 1);
		form = token_form(code_of("admin", "public", ""), PUBLIC);
		assert_int_equal(race_two(TOKEN, form, 200), 1);
		post(TOKEN, token_form(code_of("admin", "public", ""), PUBLIC));
		form = refresh_form(member("refresh_token"), "");
		assert_int_equal(race_two(REFRESH, form, 200), 1);
	}
}

/* --- PKCE ---------------------------------------------------------------- */

/* RFC 7636, appendix B */
#define VERIFIER "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define CHALLENGE "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

static void
a_challenge_is_carried_from_step_to_step(void **state)
{
	const char *more =
	    "&code_challenge=" CHALLENGE "&code_challenge_method=S256";

	(void)state;
	add_user("admin", "{}", "right");
	add_client("public", NULL, "", HOME, "admin");
	get(text("%s%s", GOOD_AUTH, more));
	assert_non_null(strstr(carried("state"), more));
	post(LOGIN,
	    "state=" STATE "%26code_challenge%3D" CHALLENGE
	    "%26code_challenge_method%3DS256"
	    "&account=admin&password=right");
	assert_string_equal(carried("code_challenge"), CHALLENGE);
	assert_string_equal(carried("code_challenge_method"), "S256");
	get(header("Location").ptr);
	is(200, "name=\"code_challenge\" value=\"" CHALLENGE "\"");
	is(200, "name=\"code_challenge_method\" value=\"S256\"");
}

static void
a_challenged_code_needs_its_verifier(void **state)
{
	static const char s256[] =
	    "&code_challenge=" CHALLENGE "&code_challenge_method=S256";
	static const char plain[] = "&code_challenge=" VERIFIER;
	static const struct {
		const char *challenge, *verifier;
		int status;
	} rows[] = {
		{ s256, "&code_verifier=" VERIFIER, 200 },
		{ s256, "&code_verifier=" CHALLENGE, 400 },
		{ s256, "&code_verifier=", 400 },
		{ s256, "", 400 },
		{ plain, "&code_verifier=" VERIFIER, 200 },
		{ plain, "&code_verifier=" CHALLENGE, 400 },
		{ plain, "", 400 },
		/* a challenge that was lost on the way is a fault */
		{ "", "&code_verifier=" VERIFIER, 400 },
	};

	(void)state;
	add_quick_start();
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		post(TOKEN,
		    token_form(code_of("admin", "public", rows[i].challenge),
			text(PUBLIC "%s", rows[i].verifier)));
		is(rows[i].status,
		    rows[i].status == 400 ? "invalid_grant" : "access_token");
	}
}

static void
a_challenge_that_can_not_be_met_is_refused_at_once(void **state)
{
	static const char *const bad[] = { "&code_challenge=short",
		"&code_challenge_method=S256",
		("&code_challenge_method=none&code_challenge=" CHALLENGE) };

	(void)state;
	add_quick_start();
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		get(text("%s%s", GOOD_AUTH, bad[i]));
		assert_string_equal(carried("error"), "invalid_request");
		post(AUTHORIZE, ask_form("x", bad[i]));
		assert_string_equal(carried("error"), "invalid_request");
	}
}

static void
pkce_can_be_required_of_public_clients(void **state)
{
	(void)state;
	fx->conf.require_pkce = true;
	restart();
	add_quick_start();
	add_client("private", "geheim", "", HOME, "admin");
	get(GOOD_AUTH "&state=s");
	assert_string_equal(carried("error"), "invalid_request");
	assert_string_equal(carried("state"), "s");
	post(AUTHORIZE, ask_form(session_of("admin"), "&allow=yes"));
	assert_string_equal(carried("error"), "invalid_request");
	code_of("admin", "private", "");
	post(TOKEN,
	    token_form(code_of("admin", "public", "&code_challenge=" VERIFIER),
		PUBLIC "&code_verifier=" VERIFIER));
	is(200, NULL);
}

/* --- POST /refresh ------------------------------------------------------- */

static void
a_refresh_ends_the_old_pair(void **state)
{
	const char *access, *refresh;

	(void)state;
	add_quick_start();
	post(TOKEN, token_form(code_of("admin", "public", ""), PUBLIC));
	access = member("access_token");
	refresh = member("refresh_token");
	post(REFRESH, refresh_form(refresh, "&client_id=whoever"));
	is(200,
	    "\"token_type\":\"bearer\",\"expires_in\":3599,\"scope\":\"\"}");
	assert_int_equal(rows_of(&auth_token_entity), 1);
	assert_int_equal(rows_of(&auth_refresh_entity), 1);
	api(member("access_token"), "GET /user", NULL);
	is(200, NULL);
	api(access, "GET /user", NULL);
	is(401, NULL);
	post(REFRESH, refresh_form(refresh, ""));
	is(400, "\"error\":\"invalid_grant\"");
}

static void
what_refresh_can_not_use_it_refuses(void **state)
{
	const char *refresh;

	(void)state;
	add_quick_start();
	post(TOKEN, token_form(code_of("admin", "public", ""), PUBLIC));
	refresh = member("refresh_token");
	post(REFRESH, "grant_type=refresh_token");
	is(400, "\"error\":\"invalid_request\"");
	post(REFRESH, text("refresh_token=%s", refresh));
	is(400, "\"error\":\"invalid_request\"");
	post(REFRESH,
	    text("grant_type=authorization_code&refresh_token=%s", refresh));
	is(400, "\"error\":\"unsupported_grant_type\"");
	post(REFRESH, refresh_form("00", ""));
	is(400, "\"error\":\"invalid_grant\"");
	post_as(REFRESH, refresh_form(refresh, ""), "Authorization: Bearer x");
	is(400, "\"error\":\"invalid_request\"");
	post_as(REFRESH, refresh_form(refresh, ""), basic("other:"));
	is(401, "\"error\":\"invalid_client\"");
	post_as(REFRESH, refresh_form(refresh, ""), basic("public:secret"));
	is(401, "\"error\":\"invalid_client\"");
	clock_advance(AUTH_REFRESH_MS - 5000);
	post(REFRESH, refresh_form(refresh, ""));
	is(200, NULL);
	refresh = member("refresh_token");
	clock_advance(AUTH_REFRESH_MS);
	post(REFRESH, refresh_form(refresh, ""));
	is(400, "\"error\":\"invalid_grant\"");
}

static void
a_refresh_can_only_narrow_the_scope(void **state)
{
	const char *refresh;

	(void)state;
	add_quick_start();
	add_client("some", NULL, "a b c", HOME, "admin");
	post(TOKEN,
	    token_form(
		code_of("admin", "some", "&scope=a+b"), "&client_id=some"));
	refresh = member("refresh_token");
	post(REFRESH, refresh_form(refresh, "&scope=a+c"));
	is(400, "\"error\":\"invalid_scope\"");
	post(REFRESH, refresh_form(refresh, "&scope=b"));
	is(200, "\"scope\":\"b\"");
	/* what was granted once can be asked for again */
	post(REFRESH, refresh_form(member("refresh_token"), ""));
	is(200, "\"scope\":\"a b\"");
}

static void
a_private_client_refreshes_with_its_secret(void **state)
{
	const char *refresh;

	(void)state;
	add_quick_start();
	add_client("private", "geheim", "", HOME, "admin");
	add_client("private2", "geheim", "", HOME, "admin");
	post_as(TOKEN, token_form(code_of("admin", "private", ""), ""),
	    basic("private:geheim"));
	refresh = member("refresh_token");
	post(REFRESH, refresh_form(refresh, ""));
	is(401, "\"error\":\"invalid_client\"");
	header_is("WWW-Authenticate", "Basic realm=\"oauth2\"");
	post(REFRESH, refresh_form(refresh, "&client_id=private"));
	is(401, "\"error\":\"invalid_client\"");
	post_as(REFRESH, refresh_form(refresh, ""), basic("private:wrong"));
	is(401, "\"error\":\"invalid_client\"");
	post_as(REFRESH, refresh_form(refresh, ""), basic("private2:geheim"));
	is(401, "\"error\":\"invalid_client\"");
	post_as(REFRESH, refresh_form(refresh, ""), basic("private:geheim"));
	is(200, NULL);
}

/* --- tokens and their users ---------------------------------------------- */

static void
no_secret_is_kept_as_it_is(void **state)
{
	struct filter f = { 0 };
	const char *access;
	int64_t n;

	(void)state;
	add_quick_start();
	post(TOKEN, token_form(code_of("admin", "public", ""), PUBLIC));
	access = member("access_token");
	filter_text(&f, "accessToken", str_of(access));
	assert_int_equal(
	    store_count(fx->a->store, &auth_token_entity, &f, &n, NULL), 0);
	assert_int_equal(n, 0);
	f.n = 0;
	filter_text(&f, "refreshToken", str_of(member("refresh_token")));
	assert_int_equal(
	    store_count(fx->a->store, &auth_refresh_entity, &f, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(rows_of(&auth_code_entity), 0);
	assert_int_equal(rows_of(&auth_session_entity), 0);
}

static void
a_call_needs_one_good_token(void **state)
{
	const char *headers[HEADERS_MAX] = { NULL };
	const char *token;

	(void)state;
	add_quick_start();
	token = token_of("admin", "public", "");
	get("/auth/api/v1/user");
	is(400, "\"code\":\"err_param\"");
	is(400, "missing token");
	headers[0] = text("Authorization: Bearer %s", token);
	headers[1] = headers[0];
	request("GET", "/auth/api/v1/user", NULL, headers);
	is(400, "\"code\":\"err_param\"");
	headers[1] = NULL;
	request("GET", "/auth/api/v1/user", NULL, headers);
	is(200, NULL);
	headers[0] = basic("admin:admin");
	request("GET", "/auth/api/v1/user", NULL, headers);
	is_exactly(401, "");
	api("x", "GET /user", NULL);
	is_exactly(401, "");
	header_is("WWW-Authenticate", "Bearer error=\"invalid_token\"");
	clock_advance(AUTH_TOKEN_MS - 5000);
	api(token, "GET /user", NULL);
	is(200, NULL);
	clock_advance(5000);
	api(token, "GET /user", NULL);
	is_exactly(401, "");
}

static void
a_logout_ends_this_pair_only(void **state)
{
	const char *one, *two, *refresh;

	(void)state;
	add_quick_start();
	post(TOKEN, token_form(code_of("admin", "public", ""), PUBLIC));
	one = member("access_token");
	refresh = member("refresh_token");
	post(TOKEN, token_form(code_of("admin", "public", ""), PUBLIC));
	two = member("access_token");
	api(one, "POST /auth/logout", "");
	is_exactly(204, "");
	api(one, "GET /user", NULL);
	is(401, NULL);
	post(REFRESH, refresh_form(refresh, ""));
	is(400, "invalid_grant");
	api(two, "GET /user", NULL);
	is(200, NULL);
}

static void
a_new_password_ends_all_codes_tokens_and_sessions(void **state)
{
	const char *access, *refresh, *code, *session, *other;

	(void)state;
	add_quick_start();
	add_user("ann", "{}", NULL);
	other = token_of("admin", "public", "");
	for (int i = 0; i < 2; i++) {
		post(TOKEN, token_form(code_of("ann", "public", ""), PUBLIC));
		access = member("access_token");
		refresh = member("refresh_token");
		code = code_of("ann", "public", "");
		session = session_of("ann");
		if (i == 0)
			api(access, "PATCH /user",
			    "{\"data\":{\"password\":\"new\"}}");
		else
			api(other, "PATCH /user/ann",
			    "{\"data\":{\"password\":\"new\"}}");
		is_exactly(204, "");
		api(access, "GET /user", NULL);
		is(401, NULL);
		post(REFRESH, refresh_form(refresh, ""));
		is(400, "invalid_grant");
		post(TOKEN, token_form(code, PUBLIC));
		is(400, "invalid_request");
		post(AUTHORIZE, ask_form(session, "&allow=yes"));
		is(400, "invalid_auth");
		api(other, "GET /user", NULL);
		is(200, NULL);
	}
	SIGN_IN("ann", "new");
	carried("session_id");
}

static void
a_disabled_or_expired_user_can_not_go_on(void **state)
{
	static const char *const fields[] = { "disabledAt", "expiredAt" };
	const char *access, *refresh, *code, *session;

	(void)state;
	add_quick_start();
	add_user("ann", "{}", NULL);
	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		post(TOKEN, token_form(code_of("ann", "public", ""), PUBLIC));
		access = member("access_token");
		refresh = member("refresh_token");
		code = code_of("ann", "public", "");
		session = session_of("ann");
		change(&auth_user_entity, "userId", "ann", fields[i],
		    value_time(clock_now()));
		api(access, "GET /user", NULL);
		is(403, "err_perm");
		post(REFRESH, refresh_form(refresh, ""));
		is(400, "invalid_grant");
		post(TOKEN, token_form(code, PUBLIC));
		is(400, "invalid_grant");
		post(AUTHORIZE, ask_form(session, "&allow=yes"));
		is(400, "invalid_auth");
		change(&auth_user_entity, "userId", "ann", fields[i],
		    value_time(TIME_NULL));
	}
}

static void
a_token_whose_user_or_client_is_gone_is_told_so(void **state)
{
	const char *admin, *access, *refresh;

	(void)state;
	add_quick_start();
	add_user("ann", "{}", NULL);
	add_client("short", NULL, "", HOME, "admin");
	admin = token_of("admin", "public", "");
	post(TOKEN, token_form(code_of("ann", "public", ""), PUBLIC));
	access = member("access_token");
	refresh = member("refresh_token");
	api(admin, "DELETE /user/ann", NULL);
	is(204, NULL);
	api(access, "GET /user", NULL);
	is(403, "user not exist");
	post(REFRESH, refresh_form(refresh, ""));
	is(400, "invalid_grant");
	access = token_of("admin", "short", "");
	api(admin, "DELETE /client/short", NULL);
	is(204, NULL);
	api(access, "GET /user", NULL);
	is(403, "client not exist");
}

/* --- the caller's own account -------------------------------------------- */

static void
people_see_and_change_their_own_account(void **state)
{
	const char *ann;

	(void)state;
	add_quick_start();
	add_user("ann", "{}", NULL);
	ann = token_of("ann", "public", "");
	api(ann, "GET /user", NULL);
	is(200, "{\"data\":{\"account\":\"ann\",\"createdAt\":\"");
	is(200, "\"roles\":{},\"name\":\"Name of ann\",\"info\":{}}}");
	assert_null(strstr(fx->body.ptr, "userId"));
	assert_null(strstr(fx->body.ptr, "password"));
	api(ann, "PATCH /user",
	    "{\"data\":{\"name\":\"A\",\"info\":{\"k\":[1]},\"roles\":"
	    "{\"admin\":true},\"account\":\"b\"}}");
	is(204, NULL);
	api(ann, "GET /user", NULL);
	is(200, "\"account\":\"ann\"");
	is(200, "\"roles\":{},\"name\":\"A\",\"info\":{\"k\":[1]}");
	api(ann, "PATCH /user", "{\"data\":{}}");
	is(400, "at least one parameter");
	api(ann, "PATCH /user", "{\"data\":{\"password\":\"\"}}");
	is(400, "err_param");
	api(ann, "PATCH /user", "{\"data\":{\"info\":{\"\":1}}}");
	is(400, "err_param");
	api(ann, "PATCH /user", "{\"data\":{\"name\":1}}");
	is(400, "err_param");
	api(ann, "PATCH /user", "{\"data\":");
	is(400, "err_param");
	api(ann, "PATCH /user", "{}");
	is(400, "err_param");
}

/* --- users --------------------------------------------------------------- */

/* Tokens of one user of each kind. */
static struct {
	const char *admin, *manager, *dev, *service, *none;
} as;

static void
add_all_kinds(void)
{
	add_quick_start();
	add_user("manager", "{\"manager\":true,\"admin\":false}", NULL);
	add_user("dev", "{\"dev\":true}", NULL);
	add_user("service", "{\"service\":true}", NULL);
	add_user("none", "{\"clown\":true}", NULL);
	as.admin = token_of("admin", "public", "");
	as.manager = token_of("manager", "public", "");
	as.dev = token_of("dev", "public", "");
	as.service = token_of("service", "public", "");
	as.none = token_of("none", "public", "");
}

static void
user_administration_is_for_its_roles(void **state)
{
	static const struct {
		const char *what;
		bool manager;
	} calls[] = { { "POST /user", false }, { "GET /user/count", true },
		{ "GET /user/list", true }, { "GET /user/none", true },
		{ "PATCH /user/none", true }, { "DELETE /user/x", false } };

	(void)state;
	add_all_kinds();
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		const char *body =
		    calls[i].what[0] == 'P' ? "{\"data\":{}}" : NULL;

		api(as.none, calls[i].what, body);
		is(403, "err_perm");
		api(as.dev, calls[i].what, body);
		is(403, "err_perm");
		api(as.service, calls[i].what, body);
		is(403, "err_perm");
		api(as.manager, calls[i].what, body);
		if (calls[i].manager)
			assert_int_not_equal(fx->status, 403);
		else
			is(403, "err_perm");
		api(as.admin, calls[i].what, body);
		assert_int_not_equal(fx->status, 403);
	}
}

static void
an_administrator_adds_users(void **state)
{
	static const char *const bad[] = { "{\"data\":{\"account\":\"a\"}}",
		"{\"data\":{\"password\":\"p\"}}",
		"{\"data\":{\"account\":\"-a\",\"password\":\"p\"}}",
		"{\"data\":{\"account\":\"a\",\"password\":\"\"}}",
		"{\"data\":{\"account\":\"a@b\",\"password\":\"p\"}}",
		"{\"data\":{\"account\":\"a\",\"password\":\"p\"},"
		"\"expiredAt\":\"soon\"}",
		"{\"data\":{\"account\":\"a\",\"password\":\"p\","
		"\"info\":[]}}",
		"[]", "" };
	const char *id;

	(void)state;
	add_all_kinds();
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		api(as.admin, "POST /user", bad[i]);
		is(400, "\"code\":\"err_param\"");
	}
	api(as.admin, "POST /user",
	    "{\"data\":{\"account\":\"Bob@Example.com\",\"password\":\"p\","
	    "\"name\":\"Bob\",\"info\":{\"a\":1},\"roles\":{\"admin\":true}}}");
	is(200, "{\"data\":{\"userId\":\"");
	id = member("userId");
	api(as.admin, text("GET /user/%s", id), NULL);
	is(200, "\"account\":\"bob@example.com\"");
	is(200, "\"roles\":{},\"name\":\"Bob\",\"info\":{\"a\":1}}}");
	assert_int_not_equal(user_row(id).verified_at, TIME_NULL);
	assert_int_equal(user_row(id).expired_at, TIME_NULL);
	assert_true(str_starts(user_row(id).password, STR("$argon2id$")));
	api(as.admin, "POST /user",
	    "{\"data\":{\"account\":\"BOB@example.com\",\"password\":\"p\"}}");
	is(400, "\"code\":\"err_auth_user_exist\"");
	api(as.admin, "POST /user",
	    "{\"data\":{\"account\":\"guest\",\"password\":\"p\"},"
	    "\"expiredAt\":\"2100-01-01T00:00:00Z\"}");
	id = member("userId");
	assert_int_equal(user_row(id).verified_at, TIME_NULL);
	assert_int_not_equal(user_row(id).expired_at, TIME_NULL);
	api(as.admin, text("GET /user/%s", id), NULL);
	is(200, "\"verifiedAt\":null");
	assert_null(strstr(fx->body.ptr, "expiredAt"));
}

static void
users_are_counted_listed_and_sorted(void **state)
{
	(void)state;
	add_all_kinds();
	api(as.manager, "GET /user/count", NULL);
	is_exactly(200, "{\"data\":{\"count\":5}}");
	api(as.admin, "GET /user/count?account=DEV", NULL);
	is_exactly(200, "{\"data\":{\"count\":1}}");
	api(as.admin, "GET /user/count?contains=E&account=", NULL);
	is_exactly(200, "{\"data\":{\"count\":4}}");
	api(as.admin, "GET /user/count?contains=e&account=admin", NULL);
	is_exactly(200, "{\"data\":{\"count\":1}}");
	api(as.admin, "GET /user/count?contains=%25", NULL);
	is_exactly(200, "{\"data\":{\"count\":0}}");
	api(as.admin, "GET /user/list?limit=1", NULL);
	is(200, "{\"data\":[{\"userId\":\"admin\",\"account\":\"admin\"");
	assert_null(strstr(fx->body.ptr, "expiredAt"));
	assert_null(strstr(fx->body.ptr, "password"));
	api(as.admin, "GET /user/list?limit=1&sort=account:desc&offset=1",
	    NULL);
	is(200, "\"userId\":\"none\"");
	api(as.admin, "GET /user/list?limit=1&fields=expired,x", NULL);
	is(200, "\"expiredAt\":null");
	assert_null(strstr(fx->body.ptr, "disabledAt"));
	api(as.admin, "GET /user/list?limit=1&fields=disabled", NULL);
	is(200, "\"disabledAt\":null");
	api(as.admin, "GET /user/list?format=array&limit=1", NULL);
	is(200, "[{\"userId\"");
	api(as.admin,
	    "GET /user/list?sort=created:asc,modified:desc,verified:asc,"
	    "name:desc",
	    NULL);
	is(200, NULL);
	for (int i = 0; i < 6; i++) {
		static const char *const bad[] = { "sort=userId:asc",
			"sort=account", "sort=account:up",
			"sort=", "format=csv", "limit=x" };

		api(as.admin, text("GET /user/list?%s", bad[i]), NULL);
		is(400, "\"code\":\"err_param\"");
	}
	api(as.manager, "GET /user/nobody", NULL);
	is(404, "err_not_found");
}

static void
an_administrator_changes_users(void **state)
{
	(void)state;
	add_all_kinds();
	api(as.admin, "PATCH /user/nobody", "{\"data\":{\"name\":\"x\"}}");
	is(404, "err_not_found");
	api(as.admin, "PATCH /user/none", "{\"data\":{}}");
	is(400, "at least one parameter");
	api(as.admin, "PATCH /user/none", "{}");
	is(400, NULL);
	api(as.admin, "PATCH /user/none",
	    "{\"data\":{\"verifiedAt\":\"yesterday\"}}");
	is(400, "err_param");
	change(&auth_user_entity, "userId", "none", "expiredAt",
	    value_time(clock_now()));
	api(as.admin, "PATCH /user/none",
	    "{\"data\":{\"verifiedAt\":\"2022-02-03T04:05:06.789+01:00\","
	    "\"name\":\"N\",\"info\":{\"x\":{}},\"roles\":{\"dev\":true}}}");
	is_exactly(204, "");
	assert_int_equal(user_row("none").expired_at, TIME_NULL);
	api(as.admin, "GET /user/none", NULL);
	is(200, "\"verifiedAt\":\"2022-02-03T03:05:06.789Z\"");
	is(200, "\"roles\":{\"dev\":true},\"name\":\"N\",\"info\":{\"x\":{}}");
	api(as.admin, "PATCH /user/none", "{\"disable\":true}");
	is(204, NULL);
	assert_int_not_equal(user_row("none").disabled_at, TIME_NULL);
	api(as.none, "GET /user", NULL);
	is(403, NULL);
	api(as.admin, "PATCH /user/none", "{\"disable\":false}");
	is(204, NULL);
	assert_int_equal(user_row("none").disabled_at, TIME_NULL);
	api(as.admin, "PATCH /user/manager", "{\"disable\":true}");
	is(204, NULL);
}

static void
a_manager_changes_little_of_others(void **state)
{
	(void)state;
	add_all_kinds();
	api(as.manager, "PATCH /user/admin",
	    "{\"data\":{\"roles\":{\"dev\":true}}}");
	is(403, "err_perm");
	api(as.manager, "PATCH /user/admin", "{\"disable\":true}");
	is(403, "err_perm");
	api(as.manager, "PATCH /user/manager", "{\"disable\":true}");
	is(403, "err_perm");
	api(as.manager, "PATCH /user/none",
	    "{\"data\":{\"roles\":{\"admin\":true}}}");
	is(403, "err_perm");
	api(as.manager, "PATCH /user/none",
	    "{\"data\":{\"roles\":{\"service\":true}}}");
	is(403, "err_perm");
	api(as.manager, "PATCH /user/none",
	    "{\"data\":{\"name\":\"x\",\"password\":\"x\",\"info\":{},"
	    "\"verifiedAt\":\"2022-02-03T04:05:06Z\"}}");
	is(400, "at least one parameter");
	api(as.manager, "PATCH /user/none",
	    "{\"data\":{\"name\":\"x\",\"password\":\"x\","
	    "\"roles\":{\"manager\":true,\"admin\":false}}}");
	is(204, NULL);
	api(as.manager, "GET /user/none", NULL);
	is(200,
	    "\"roles\":{\"manager\":true,\"admin\":false},\"name\":"
	    "\"Name of none\"");
	assert_string_equal(user_row("none").password.ptr, "none");
	api(as.manager, "PATCH /user/dev", "{\"disable\":true}");
	is(204, NULL);
}

static void
users_are_deleted_but_not_by_themselves(void **state)
{
	(void)state;
	add_all_kinds();
	api(as.admin, "DELETE /user/admin", NULL);
	is(403, "err_perm");
	api(as.admin, "DELETE /user/nobody", NULL);
	is_exactly(204, "");
	add_client("devs", NULL, "", HOME, "dev");
	api(as.admin, "DELETE /user/dev", NULL);
	is_exactly(204, "");
	api(as.admin, "GET /user/dev", NULL);
	is(404, NULL);
	api(as.admin, "GET /client/devs", NULL);
	is(404, NULL);
}

/* --- clients ------------------------------------------------------------- */

static void
clients_are_for_administrators_and_developers(void **state)
{
	static const char *const calls[] = { "POST /client",
		"GET /client/count", "GET /client/list", "GET /client/public",
		"PATCH /client/public", "DELETE /client/x" };

	(void)state;
	add_all_kinds();
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		const char *body = calls[i][0] == 'P' ? "{\"data\":{}}" : NULL;

		api(as.none, calls[i], body);
		is(403, "err_perm");
		api(as.manager, calls[i], body);
		is(403, "err_perm");
		api(as.service, calls[i], body);
		is(403, "err_perm");
		api(as.dev, calls[i], body);
		assert_int_not_equal(fx->status, 403);
		api(as.admin, calls[i], body);
		assert_int_not_equal(fx->status, 403);
	}
	api(as.dev, "DELETE /client/user/dev", NULL);
	is(403, "err_perm");
}

#define NEW_CLIENT(more)                                                       \
	"{\"data\":{\"redirectUris\":[\"http://b\",\"http://a\",\"http://b\"]" \
	",\"scopes\":[\"z\",\"a.b\",\"z\"],\"name\":\"C\"" more "}"

static void
developers_add_clients_of_their_own(void **state)
{
	static const char *const bad[] = { "{\"data\":{}}",
		"{\"data\":{\"redirectUris\":[],\"scopes\":[]}}",
		"{\"data\":{\"redirectUris\":[],\"name\":\"x\"}}",
		"{\"data\":{\"scopes\":[],\"name\":\"x\"}}",
		"{\"data\":{\"redirectUris\":[\"/x\"],\"scopes\":[],\"name\":"
		"\"x\"}}",
		"{\"data\":{\"redirectUris\":[],\"scopes\":[\"A\"],\"name\":"
		"\"x\"}}",
		"{\"data\":{\"redirectUris\":[],\"scopes\":[],\"name\":\"x\","
		"\"image\":\"x\"}}",
		"{\"data\":{\"redirectUris\":\"\",\"scopes\":[],\"name\":"
		"\"x\"}}" };
	const char *id, *secret;

	(void)state;
	add_all_kinds();
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		api(as.dev, "POST /client", bad[i]);
		is(400, "\"code\":\"err_param\"");
	}
	api(as.dev, "POST /client", NEW_CLIENT(",\"userId\":\"admin\"") "}");
	id = member("clientId");
	api(as.dev, text("GET /client/%s", id), NULL);
	is(200,
	    "\"clientSecret\":null,\"redirectUris\":[\"http://a\","
	    "\"http://b\"],\"scopes\":[\"a.b\",\"z\"],\"name\":\"C\","
	    "\"image\":null}}");
	assert_null(strstr(fx->body.ptr, "userId"));
	api(as.admin, text("GET /client/%s", id), NULL);
	is(200, "\"userId\":\"dev\"");
	api(as.dev, "POST /client", NEW_CLIENT("") ",\"credentials\":true}");
	id = member("clientId");
	api(as.dev, text("GET /client/%s", id), NULL);
	secret = member("clientSecret");
	assert_int_equal(strlen(secret), 16);
	post_as(TOKEN, "grant_type=client_credentials",
	    basic(text("%s:%s", id, secret)));
	is(200, "\"scope\":\"a.b z\"");
	api(as.admin, "POST /client", NEW_CLIENT(",\"userId\":\"\"") "}");
	is(400, "err_param");
	api(as.admin, "POST /client", NEW_CLIENT(",\"userId\":\"x\"") "}");
	is(400, "err_auth_user_not_exist");
	api(as.admin, "POST /client", NEW_CLIENT(",\"userId\":\"none\"") "}");
	api(as.admin, text("GET /client/%s", member("clientId")), NULL);
	is(200, "\"userId\":\"none\"");
}

static void
developers_see_their_own_clients_only(void **state)
{
	(void)state;
	add_all_kinds();
	add_client("devs", NULL, "", HOME, "dev");
	api(as.dev, "GET /client/count", NULL);
	is_exactly(200, "{\"data\":{\"count\":1}}");
	api(as.dev, "GET /client/count?user=admin", NULL);
	is_exactly(200, "{\"data\":{\"count\":1}}");
	api(as.admin, "GET /client/count", NULL);
	is_exactly(200, "{\"data\":{\"count\":2}}");
	api(as.admin, "GET /client/count?user=dev", NULL);
	is_exactly(200, "{\"data\":{\"count\":1}}");
	api(as.dev, "GET /client/list", NULL);
	is(200, "[{\"clientId\":\"devs\"");
	assert_null(strstr(fx->body.ptr, "public"));
	assert_null(strstr(fx->body.ptr, "userId"));
	api(as.admin,
	    "GET /client/list?sort=name:desc,created:asc,modified:asc", NULL);
	is(200, "[{\"clientId\":\"public\"");
	is(200, "\"userId\":\"dev\"");
	api(as.admin, "GET /client/list?sort=userId:asc", NULL);
	is(400, "err_param");
	api(as.dev, "GET /client/public", NULL);
	is(404, "err_not_found");
	api(as.dev, "PATCH /client/public", "{\"data\":{\"name\":\"x\"}}");
	is(404, "err_not_found");
	api(as.dev, "DELETE /client/public", NULL);
	is(204, NULL);
	api(as.admin, "GET /client/public", NULL);
	is(200, NULL);
}

static void
clients_are_changed_and_their_secrets_renewed(void **state)
{
	const char *access, *secret;

	(void)state;
	add_all_kinds();
	add_client("mine", "geheim", "a", HOME, "dev");
	add_client("open", NULL, "a", HOME, "dev");
	api(as.dev, "PATCH /client/mine", "{\"data\":{}}");
	is(400, "at least one parameter");
	api(as.dev, "PATCH /client/mine", "{}");
	is(400, NULL);
	api(as.dev, "PATCH /client/mine",
	    "{\"data\":{\"name\":\"N\",\"image\":\"http://i/\",\"scopes\":"
	    "[\"c\",\"b\",\"c\"],\"redirectUris\":[\"" HOME "\"],"
	    "\"clientSecret\":\"x\",\"userId\":\"admin\"}}");
	is_exactly(204, "");
	api(as.dev, "GET /client/mine", NULL);
	is(200, "\"clientSecret\":\"geheim\"");
	is(200,
	    "\"scopes\":[\"b\",\"c\"],\"name\":\"N\","
	    "\"image\":\"http://i/\"");
	api(as.dev, "PATCH /client/mine", "{\"data\":{\"image\":null}}");
	is(204, NULL);
	api(as.dev, "GET /client/mine", NULL);
	is(200, "\"image\":null");
	api(as.dev, "PATCH /client/mine", "{\"data\":{\"name\":null}}");
	is(400, NULL);
	api(as.dev, "PATCH /client/open", "{\"regenSecret\":true}");
	is(400, "err_param");
	post_as(TOKEN, "grant_type=client_credentials", basic("mine:geheim"));
	access = member("access_token");
	api(as.dev, "PATCH /client/mine", "{\"regenSecret\":true}");
	is(204, NULL);
	api(access, "GET /user", NULL);
	is(401, NULL);
	api(as.dev, "GET /client/mine", NULL);
	secret = member("clientSecret");
	assert_string_not_equal(secret, "geheim");
	post_as(TOKEN, "grant_type=client_credentials", basic("mine:geheim"));
	is(401, NULL);
	post_as(TOKEN, "grant_type=client_credentials",
	    basic(text("mine:%s", secret)));
	is(200, NULL);
}

static void
clients_are_deleted_but_not_the_one_in_use(void **state)
{
	(void)state;
	add_all_kinds();
	add_client("mine", NULL, "", HOME, "dev");
	add_client("mine2", NULL, "", HOME, "dev");
	api(as.admin, "DELETE /client/public", NULL);
	is(403, "err_perm");
	api(as.dev, "DELETE /client/mine", NULL);
	is_exactly(204, "");
	api(as.admin, "GET /client/mine", NULL);
	is(404, NULL);
	api(as.admin, "DELETE /client/nothing", NULL);
	is_exactly(204, "");
	api(as.admin, "DELETE /client/user/dev", NULL);
	is_exactly(204, "");
	api(as.admin, "GET /client/count?user=dev", NULL);
	is_exactly(200, "{\"data\":{\"count\":0}}");
	api(as.admin, "DELETE /client/user/nobody", NULL);
	is_exactly(204, "");
}

/* --- API scopes ---------------------------------------------------------- */

/* The example of Sylvia-IoT's configuration guide. */
static const char scopes_example[] =
    "{\"auth.tokeninfo.get\":[],\"auth.logout.post\":[],"
    "\"user.get\":[\"api.rw\",\"api.readonly\"],"
    "\"user.patch\":[\"api.rw\"],\"user.post.admin\":[\"api.rw\"],"
    "\"user.get.admin\":[\"api.rw\",\"api.readonly\"],"
    "\"user.patch.admin\":[\"api.rw\"],\"user.delete.admin\":[\"api.rw\"],"
    "\"client.post\":[\"api.rw\"],"
    "\"client.get\":[\"api.rw\",\"api.readonly\"],"
    "\"client.patch\":[\"api.rw\"],\"client.delete\":[\"api.rw\"],"
    "\"client.delete.user\":[\"api.admin\"]}";

static void
each_call_needs_one_of_its_scopes(void **state)
{
	static const char *const scopes[] = { "", "api.admin", "api.rw",
		"api.readonly", "api", "api.admin api.readonly" };
	static const struct {
		const char *what;
		const char *allowed; /* of the scopes above, by place */
	} calls[] = {
		{ "GET /auth/tokeninfo", "012345" },
		{ "GET /user", "235" },
		{ "PATCH /user", "2" },
		{ "POST /user", "2" },
		{ "GET /user/count", "235" },
		{ "GET /user/list", "235" },
		{ "GET /user/admin", "235" },
		{ "PATCH /user/admin", "2" },
		{ "DELETE /user/nobody", "2" },
		{ "POST /client", "2" },
		{ "GET /client/count", "235" },
		{ "GET /client/list", "235" },
		{ "GET /client/public", "235" },
		{ "PATCH /client/public", "2" },
		{ "DELETE /client/nothing", "2" },
		{ "DELETE /client/user/nobody", "15" },
		{ "POST /auth/logout", "012345" },
	};

	(void)state;
	fx->conf.api_scopes = str_of(scopes_example);
	restart();
	add_quick_start();
	for (size_t s = 0; s < COUNT_OF(scopes); s++) {
		const char *token = token_of("admin", "public", scopes[s]);

		for (size_t i = 0; i < COUNT_OF(calls); i++) {
			api(token, calls[i].what,
			    calls[i].what[0] == 'P' ? "{}" : NULL);
			if (strchr(calls[i].allowed, '0' + (int)s) == NULL)
				is(403, "invalid scope");
			else if (fx->status == 403 || fx->status == 401)
				fail_msg("%s was refused to \"%s\"",
				    calls[i].what, scopes[s]);
		}
	}
}

/* --- the first account --------------------------------------------------- */

static const char *
setup_code(void)
{
	char code[AUTH_SETUP_LEN + 1];
	struct err err;

	if (auth_setup_code(fx->a, code, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(strlen(code), AUTH_SETUP_LEN);
	return text("%s", code);
}

static const char *
setup_form(const char *code)
{
	return text("code=%s&password=long+enough&repeat=long+enough", code);
}

#define SETUP "/auth/setup"

static void
a_setup_code_makes_the_first_account(void **state)
{
	const char *code = setup_code();

	(void)state;
	get(SETUP);
	is(200, "action=\"/auth/setup\"");
	header_is("Content-Type", "text/html; charset=utf-8");
	header_is("Referrer-Policy", "no-referrer");
	assert_null(strstr(fx->body.ptr, code));
	get(text(SETUP "?code=%s", code));
	is(200, code);
	post(SETUP, setup_form(code));
	is_exactly(303, "");
	header_is("Location", "/?first");
	assert_string_equal(user_row("admin").roles.ptr, "{\"admin\":true}");
	assert_string_equal(user_row("admin").name.ptr, "Admin");
	assert_int_not_equal(user_row("admin").verified_at, TIME_NULL);
	SIGN_IN("admin", "long+enough"); /* with the client `public` */
	carried("session_id");
	get(SETUP);
	is(404, "Already set up");
	post(SETUP, setup_form(setup_code()));
	is(404, "Already set up");
}

static void
a_setup_code_may_be_typed_as_people_do(void **state)
{
	const char *code = setup_code();
	struct str lower = arena_lower(&fx->arena, str_of(code));

	(void)state;
	post(SETUP,
	    setup_form(text(
		"+%.4s-%.4s+%.4s+", lower.ptr, lower.ptr + 4, lower.ptr + 8)));
	is(303, NULL);
}

static void
a_setup_form_with_a_fault_leaves_the_code_good(void **state)
{
	const char *code = setup_code();

	(void)state;
	post(SETUP, text("code=%s&password=short&repeat=short", code));
	is(400, "at least 8 characters");
	post(SETUP,
	    text("code=%s&password=long-enough&repeat=long-enouf", code));
	is(400, "differ");
	is(400, code);
	post(SETUP, text("code=%s", code));
	is(400, "at least 8 characters");
	post(SETUP, setup_form("AAAABBBBCCCC"));
	is(400, "not good");
	post(SETUP, "password=long+enough&repeat=long+enough");
	is(400, "not good");
	assert_int_equal(rows_of(&auth_user_entity), 0);
	post(SETUP, setup_form(code));
	is(303, NULL);
}

static void
a_setup_code_lasts_an_hour_and_only_the_last_is_good(void **state)
{
	const char *first = setup_code(), *second = setup_code();

	(void)state;
	assert_string_not_equal(first, second);
	post(SETUP, setup_form(first));
	is(400, "not good");
	clock_advance((int64_t)3600 * 1000);
	post(SETUP, setup_form(second));
	is(400, "not good");
	post(SETUP, setup_form(setup_code()));
	is(303, NULL);
}

static void
of_two_at_once_with_the_setup_code_one_wins(void **state)
{
	(void)state;
	assert_int_equal(race_two(SETUP, setup_form(setup_code()), 303), 1);
	assert_int_equal(rows_of(&auth_user_entity), 1);
	assert_int_equal(rows_of(&auth_setup_entity), 0);
}

static void
guessing_the_setup_code_is_slowed_down(void **state)
{
	const char *code = setup_code();

	(void)state;
	for (int i = 0; i < 10; i++) {
		post(SETUP, setup_form("AAAABBBBCCCC"));
		is(400, "not good");
	}
	post(SETUP, setup_form(code));
	is(429, "Too many attempts");
	header_is("Retry-After", "60");
	clock_advance(60 * 1000);
	post(SETUP, setup_form(code));
	is(303, NULL);
}

static void
a_script_makes_the_first_account_with_any_password(void **state)
{
	struct err err;
	bool empty;

	(void)state;
	assert_int_equal(auth_is_empty(fx->a, &empty, &err), 0);
	assert_true(empty);
	assert_int_equal(auth_make_admin(fx->a, STR("admin"), &err), 0);
	assert_int_equal(auth_is_empty(fx->a, &empty, &err), 0);
	assert_false(empty);
	assert_int_equal(
	    auth_make_admin(fx->a, STR("admin"), &err), ERR_EXISTS);
	SIGN_IN("admin", "admin");
	carried("session_id");
}

static void
the_public_client_gets_the_addresses_it_lacks(void **state)
{
	static const uint16_t ports[] = { 1080, 18080 };
	struct auth_client cl;
	bool found;

	(void)state;
	add_user("admin", "{}", NULL);
	assert_int_equal(auth_make_public(fx->a, ports, 2, NULL), 0);
	get(GOOD_AUTH);
	carried("state");
	get(AUTH "?response_type=code&client_id=public&redirect_uri="
		 "http%3A%2F%2Flocalhost%3A18080%2Fauth%2Foauth2%2Fredirect");
	carried("state");
	assert_int_equal(auth_make_public(fx->a, ports, 2, NULL), 0);
	assert_int_equal(auth_get_client(fx->a->store, &fx->arena,
			     STR("public"), &cl, &found, NULL),
	    0);
	assert_true(found);
	assert_int_equal(cl.redirect_uris.n, 2);
	assert_null(cl.client_secret.ptr);
	assert_string_equal(cl.user_id.ptr, "admin");
	/* what somebody added stays */
	api(token_of("admin", "public", ""), "PATCH /client/public",
	    "{\"data\":{\"redirectUris\":[\"http://mine/\"]}}");
	change(&auth_user_entity, "userId", "admin", "roles",
	    value_json(STR("{\"admin\":true}")));
	api(token_of("admin", "public", ""), "PATCH /client/public",
	    "{\"data\":{\"redirectUris\":[\"http://mine/\"]}}");
	is(204, NULL);
	assert_int_equal(auth_make_public(fx->a, NULL, 0, NULL), 0);
	assert_int_equal(auth_get_client(fx->a->store, &fx->arena,
			     STR("public"), &cl, &found, NULL),
	    0);
	assert_int_equal(cl.redirect_uris.n, 2);
}

/* --- the rest ------------------------------------------------------------ */

static void
what_has_expired_is_cleaned_away(void **state)
{
	(void)state;
	add_quick_start();
	post(TOKEN, token_form(code_of("admin", "public", ""), PUBLIC));
	code_of("admin", "public", "");
	session_of("admin");
	setup_code();
	clock_advance(AUTH_TOKEN_MS);
	assert_int_equal(auth_clean(fx->a, NULL), 0);
	assert_int_equal(rows_of(&auth_session_entity), 0);
	assert_int_equal(rows_of(&auth_code_entity), 0);
	assert_int_equal(rows_of(&auth_token_entity), 0);
	assert_int_equal(rows_of(&auth_setup_entity), 0);
	assert_int_equal(rows_of(&auth_refresh_entity), 1);
	clock_advance(AUTH_REFRESH_MS);
	assert_int_equal(auth_clean(fx->a, NULL), 0);
	assert_int_equal(rows_of(&auth_refresh_entity), 0);
}

static const char *
write_file(const char *dir, const char *name, const char *content)
{
	const char *path = text("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(content, f);
	fclose(f);
	return path;
}

static void
own_pages_are_shown_instead_of_ours(void **state)
{
	char dir[] = "/tmp/auth-XXXXXX";
	const char *login, *grant;

	(void)state;
	assert_non_null(mkdtemp(dir));
	login = write_file(
	    dir, "login", "<script></script>{{ scope_path }}|{{ state }}");
	grant = write_file(dir, "grant",
	    "{{ scope_path }}|{{ client_name }}|{{ session_id }}|"
	    "{{ client_id }}|{{ response_type }}|{{ redirect_uri }}|"
	    "{{ allow_value }}|{% if scope %}S{{ scope }}{% endif %}|"
	    "{% if state %}T{{ state }}{% endif %}");
	fx->conf.templates =
	    str_of(text("{\"login\":\"%s\",\"grant\":\"%s\"}", login, grant));
	restart();
	add_quick_start();
	get(LOGIN "?state=" STATE);
	is_exactly(200,
	    "<script></script>/auth|response_type=code&amp;"
	    "client_id=public&amp;redirect_uri=" HOME_FORM);
	header_is("Content-Security-Policy", "frame-ancestors 'none'");
	get(text(AUTHORIZE "?%s", ask_form("S", "&scope=a&state=b")));
	is_exactly(
	    200, "/auth|&lt;public&gt;|S|public|code|" HOME "|yes|Sa|Tb");
	get(text(AUTHORIZE "?%s", ask_form("S", "")));
	is(200, "|yes||");
	unlink(login);
	unlink(grant);
	rmdir(dir);
}

static void
a_page_that_can_not_be_used_ends_the_start(void **state)
{
	char dir[] = "/tmp/auth-XXXXXX";
	struct auth_conf conf = fx->conf;
	struct auth *a;
	const char *path;
	struct err err;

	(void)state;
	assert_non_null(mkdtemp(dir));
	path = write_file(dir, "login", "\n{% for x in y %}");
	conf.templates = str_of(text("{\"login\":\"%s\"}", path));
	assert_int_equal(
	    auth_open(&conf, "/nowhere", STR_NULL, &a, &err), ERR_PARAM);
	assert_non_null(strstr(err.text, "auth.templates.login: line 2"));
	unlink(path);
	assert_int_not_equal(
	    auth_open(&conf, "/nowhere", STR_NULL, &a, &err), 0);
	assert_non_null(strstr(err.text, "auth.templates.login"));
	rmdir(dir);
}

static void
a_body_that_is_too_large_is_refused(void **state)
{
	char *big = mem_alloc(70001);

	(void)state;
	memset(big, 'a', 70000);
	post(LOGIN, big);
	is(413, NULL);
	free(big);
}

/* --- service tokens ------------------------------------------------------ */

#define SERVICE "/service-token"

/* One that `token` makes; `more` begins with a comma or is empty. */
static const char *
service_of(const char *token, const char *more)
{
	api(token, "POST " SERVICE,
	    text("{\"data\":{\"name\":\"grafana\"%s}}", more));
	is(200, "\"token\":\"marram_pat_");
	return member("token");
}

#define FOR_EVER ",\"neverExpire\":true"

static void
a_service_token_acts_for_its_user(void **state)
{
	const char *ann, *mine, *id;

	(void)state;
	add_quick_start();
	add_user("ann", "{}", NULL);
	ann = token_of("ann", "public", "");
	mine = service_of(ann, FOR_EVER);
	id = member("id");
	api(mine, "GET /user", NULL);
	is(200, "\"account\":\"ann\"");
	api(mine, "GET /auth/tokeninfo", NULL);
	is(200, text("\"clientId\":\"%s\"", id));
	api(mine, "GET /user/list", NULL);
	is(403, "invalid role");
	/* its user has become more */
	change(&auth_user_entity, "userId", "ann", "roles",
	    value_json(STR("{\"manager\":true}")));
	auth_forget(fx->a);
	api(mine, "GET /user/list", NULL);
	is(200, NULL);
	api(text("%sx", mine), "GET /user", NULL);
	is(401, NULL);
	api("marram_pat_", "GET /user", NULL);
	is(401, NULL);
}

static void
a_service_token_is_shown_once_and_kept_as_a_hash(void **state)
{
	const char *ann, *mine, *id;
	struct auth_service t;
	struct filter f = { 0 };
	bool found;

	(void)state;
	fx->conf.shared_database = true; /* which keeps others in clear */
	restart();
	add_quick_start();
	ann = token_of("admin", "public", "");
	mine = service_of(ann, FOR_EVER);
	id = member("id");
	assert_int_equal(strlen(mine), strlen("marram_pat_") + 64);
	api(ann, text("GET " SERVICE "/%s", id), NULL);
	is(200, "\"name\":\"grafana\"");
	assert_null(strstr(fx->body.ptr, "token\""));
	assert_null(strstr(fx->body.ptr, "key"));
	assert_null(strstr(fx->body.ptr, "granted"));
	filter_text(&f, "id", str_of(id));
	assert_int_equal(store_get(fx->a->store, &auth_service_entity, &f,
			     &fx->arena, &t, &found, NULL),
	    0);
	assert_true(found);
	assert_true(str_starts(t.key, STR("sha256$")));
	/* what lies in the store opens nothing */
	api(arena_z(&fx->arena, t.key), "GET /user", NULL);
	is(401, NULL);
	api(mine, "GET /user", NULL);
	is(200, NULL);
}

static void
a_service_token_says_when_it_ends(void **state)
{
	const char *ann, *mine, *id;
	int64_t day = 24 * 3600 * 1000;
	char soon[TIME_TEXT_LEN + 1];

	(void)state;
	add_quick_start();
	ann = token_of("admin", "public", "");
	api(ann, "POST " SERVICE, "{\"data\":{\"name\":\"x\"}}");
	is(400, "say when it ends");
	api(ann, "POST " SERVICE,
	    "{\"data\":{\"name\":\"x\",\"neverExpire\":true,"
	    "\"expiresOn\":\"2999-01-01T00:00:00Z\"}}");
	is(400, "exclude each other");
	api(ann, "POST " SERVICE,
	    "{\"data\":{\"name\":\"x\",\"expiresOn\":"
	    "\"1999-01-01T00:00:00Z\"}}");
	is(400, "has gone by");
	time_format(clock_now() + day, soon);
	mine = service_of(ann, text(",\"expiresOn\":\"%s\"", soon));
	id = member("id");
	api(mine, "GET /user", NULL);
	is(200, NULL);
	clock_advance(day - 2000);
	api(mine, "GET /user", NULL);
	is(200, NULL);
	clock_advance(2000);
	api(mine, "GET /user", NULL);
	is(401, NULL);
	/* and it can be given more time */
	ann = token_of("admin", "public", "");
	api(ann, text("PATCH " SERVICE "/%s", id),
	    "{\"data\":{\"neverExpire\":true}}");
	is(204, NULL);
	api(mine, "GET /user", NULL);
	is(200, NULL);
	api(ann, text("PATCH " SERVICE "/%s", id),
	    "{\"data\":{\"expiresOn\":null,\"neverExpire\":false}}");
	is(400, "say when it ends");
}

static void
what_ends_a_service_token_does_so_at_once(void **state)
{
	const char *admin, *ann, *mine, *id;

	(void)state;
	add_quick_start();
	add_user("ann", "{}", NULL);
	admin = token_of("admin", "public", "");
	ann = token_of("ann", "public", "");
	mine = service_of(ann, FOR_EVER);
	id = member("id");
	for (int i = 0; i < 2; i++) { /* remembered by the second */
		api(mine, "GET /user", NULL);
		is(200, NULL);
	}
	api(admin, "PATCH /user/ann", "{\"disable\":true}");
	is(204, NULL);
	api(mine, "GET /user", NULL);
	is(403, "user disabled");
	api(admin, "PATCH /user/ann", "{\"disable\":false}");
	api(mine, "GET /user", NULL);
	is(200, NULL);
	api(ann, text("DELETE " SERVICE "/%s", id), NULL);
	is(204, NULL);
	api(mine, "GET /user", NULL);
	is(401, NULL);
	mine = service_of(ann, FOR_EVER);
	api(mine, "GET /user", NULL);
	is(200, NULL);
	api(admin, "DELETE /user/ann", NULL);
	is(204, NULL);
	api(mine, "GET /user", NULL);
	is(401, NULL);
	assert_int_equal(rows_of(&auth_service_entity), 0);
}

static void
what_another_process_changes_is_seen_after_a_while(void **state)
{
	const char *admin, *mine;

	(void)state;
	add_quick_start();
	admin = token_of("admin", "public", "");
	mine = service_of(admin, FOR_EVER);
	api(mine, "GET /user", NULL);
	is(200, NULL);
	assert_int_equal(
	    store_del(fx->a->store, &auth_service_entity, NULL, NULL, NULL), 0);
	api(mine, "GET /user", NULL);
	is(200, NULL);
	clock_advance(30000);
	api(mine, "GET /user", NULL);
	is(401, NULL);
}

static void
a_service_token_is_held_to_its_scopes(void **state)
{
	const char *admin, *mine, *id;

	(void)state;
	add_quick_start();
	admin = token_of("admin", "public", "");
	api(admin, "POST " SERVICE,
	    "{\"data\":{\"name\":\"x\",\"neverExpire\":true,"
	    "\"scopes\":[\"user.git\"]}}");
	is(400, "no API scope \\\"user.git\\\"");
	mine = service_of(admin, FOR_EVER ",\"scopes\":[\"user.get\"]");
	id = member("id");
	api(mine, "GET /user", NULL);
	is(200, NULL);
	api(mine, "GET /user/list", NULL);
	is(403, "invalid scope");
	api(mine, "GET " SERVICE "/list", NULL);
	is(403, "invalid scope");
	api(admin, text("PATCH " SERVICE "/%s", id),
	    "{\"data\":{\"scopes\":[\"user.get.admin\"]}}");
	is(204, NULL);
	api(mine, "GET /user", NULL);
	is(403, "invalid scope");
	api(mine, "GET /user/list", NULL);
	is(200, NULL);
}

static void
a_service_token_has_the_scopes_of_the_sign_in_that_made_it(void **state)
{
	const char *some, *all;

	(void)state;
	fx->conf.api_scopes = STR("{\"user.get.admin\":[\"manage\"]}");
	restart();
	add_user("admin", "{\"admin\":true}", NULL);
	add_client("reader", NULL, "read", HOME, "admin");
	add_client("keeper", NULL, "manage", HOME, "admin");
	some = service_of(token_of("admin", "reader", "read"), FOR_EVER);
	all = service_of(token_of("admin", "keeper", "manage"), FOR_EVER);
	api(some, "GET /user/list", NULL);
	is(403, "invalid scope");
	api(all, "GET /user/list", NULL);
	is(200, NULL);
}

static void
a_service_token_makes_nothing_that_outlives_it(void **state)
{
	const char *admin, *mine, *id;

	(void)state;
	add_quick_start();
	admin = token_of("admin", "public", "");
	mine = service_of(admin, FOR_EVER);
	id = member("id");
	api(mine, "POST " SERVICE,
	    "{\"data\":{\"name\":\"x\",\"neverExpire\":true}}");
	is(403, "whoever signs in");
	api(mine, text("PATCH " SERVICE "/%s", id),
	    "{\"data\":{\"scopes\":[]}}");
	is(403, "whoever signs in");
	api(mine, text("DELETE " SERVICE "/%s", id), NULL);
	is(403, "whoever signs in");
	api(mine, "PATCH /user", "{\"data\":{\"password\":\"x\"}}");
	is(403, "password");
	api(mine, "PATCH /user/admin", "{\"data\":{\"password\":\"x\"}}");
	is(403, "password");
	api(mine, "POST /auth/logout", "");
	is(403, "when it is deleted");
	api(mine, "GET " SERVICE "/list", NULL);
	is(200, id);
}

static void
a_token_held_to_a_unit_has_no_roles(void **state)
{
	const char *admin, *mine, *id;

	(void)state;
	add_quick_start();
	admin = token_of("admin", "public", "");
	api(admin, "POST " SERVICE,
	    "{\"data\":{\"name\":\"x\",\"neverExpire\":true,"
	    "\"unitId\":\"b1\"}}");
	is(400, "err_broker_unit_not_exist");
	mine = service_of(admin, FOR_EVER ",\"unitId\":\"a1\"");
	id = member("id");
	api(mine, "GET /auth/tokeninfo", NULL);
	is(200, "\"roles\":{}");
	api(mine, "GET /user/list", NULL);
	is(403, "invalid role");
	api(admin, "GET " SERVICE "/list?unit=a1", NULL);
	is(200, id);
	api(admin, "GET " SERVICE "/list?unit=a2", NULL);
	is_exactly(200, "{\"data\":[]}");
}

static void
everybody_has_service_tokens_of_his_own(void **state)
{
	const char *admin, *ann, *ann_id, *admin_id;

	(void)state;
	add_quick_start();
	add_user("ann", "{}", NULL);
	admin = token_of("admin", "public", "");
	ann = token_of("ann", "public", "");
	(void)service_of(ann, FOR_EVER);
	ann_id = member("id");
	(void)service_of(admin, FOR_EVER);
	admin_id = member("id");
	api(ann, "GET " SERVICE "/count", NULL);
	is_exactly(200, "{\"data\":{\"count\":1}}");
	api(admin, "GET " SERVICE "/count", NULL);
	is_exactly(200, "{\"data\":{\"count\":2}}");
	api(admin, "GET " SERVICE "/count?user=ann", NULL);
	is_exactly(200, "{\"data\":{\"count\":1}}");
	api(ann, text("GET " SERVICE "/%s", admin_id), NULL);
	is(404, NULL);
	api(ann, text("PATCH " SERVICE "/%s", admin_id),
	    "{\"data\":{\"name\":\"x\"}}");
	is(404, NULL);
	api(ann, text("DELETE " SERVICE "/%s", admin_id), NULL);
	is(204, NULL);
	assert_int_equal(rows_of(&auth_service_entity), 2);
	api(admin, text("PATCH " SERVICE "/%s", ann_id),
	    "{\"data\":{\"name\":\"hers\",\"labels\":{\"a\":\"b\"}}}");
	is(204, NULL);
	api(ann, text("GET " SERVICE "/%s", ann_id), NULL);
	is(200, "\"name\":\"hers\"");
	api(ann, "POST " SERVICE,
	    "{\"data\":{\"name\":\"x\",\"neverExpire\":true,"
	    "\"userId\":\"admin\"}}");
	is(403, "only admins");
	api(admin, "POST " SERVICE,
	    "{\"data\":{\"name\":\"x\",\"neverExpire\":true,"
	    "\"userId\":\"nobody\"}}");
	is(400, "err_auth_user_not_exist");
	api(service_of(admin, FOR_EVER ",\"userId\":\"ann\""), "GET /user",
	    NULL);
	is(200, "\"account\":\"ann\"");
}

static void
a_user_has_so_many_service_tokens(void **state)
{
	const char *admin, *id = NULL;

	(void)state;
	add_quick_start();
	admin = token_of("admin", "public", "");
	for (int i = 0; i < 4; i++) {
		(void)service_of(admin, FOR_EVER);
		id = member("id");
	}
	api(admin, "POST " SERVICE,
	    "{\"data\":{\"name\":\"x\",\"neverExpire\":true}}");
	is(400, "4 service tokens at most (auth.serviceTokens)");
	assert_int_equal(rows_of(&auth_service_entity), 4);
	api(admin, text("DELETE " SERVICE "/%s", id), NULL);
	(void)service_of(admin, FOR_EVER);
}

static void
the_use_of_a_service_token_is_written_now_and_then(void **state)
{
	const char *admin, *mine, *id, *first;

	(void)state;
	add_quick_start();
	admin = token_of("admin", "public", "");
	mine = service_of(admin, FOR_EVER);
	id = member("id");
	api(admin, text("GET " SERVICE "/%s", id), NULL);
	is(200, "\"lastUsedAt\":null");
	api(mine, "GET /user", NULL);
	api(admin, text("GET " SERVICE "/%s", id), NULL);
	first = member("lastUsedAt");
	clock_advance(60000);
	api(mine, "GET /user", NULL);
	api(admin, text("GET " SERVICE "/%s", id), NULL);
	assert_string_equal(member("lastUsedAt"), first);
	clock_advance(240000);
	api(mine, "GET /user", NULL);
	api(admin, text("GET " SERVICE "/%s", id), NULL);
	assert_string_not_equal(member("lastUsedAt"), first);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_good_request_is_sent_to_the_sign_in_page),
		CASE(
		    a_request_of_no_client_we_know_is_refused_without_a_redirect),
		CASE(a_client_with_scopes_must_ask_for_some_of_them),
		CASE(a_redirect_uri_keeps_its_own_query),
		CASE(the_sign_in_page_holds_the_state_and_nothing_foreign),
		CASE(a_state_is_checked_like_the_request_it_came_from),
		CASE(signing_in_leads_to_the_grant_with_a_session),
		CASE(whoever_may_not_sign_in_gets_one_and_the_same_answer),
		CASE(a_browser_sees_the_sign_in_page_again),
		CASE(too_many_failures_lock_an_address_out_for_a_minute),
		CASE(an_old_password_signs_in_and_is_kept_in_the_new_form),
		CASE(a_shared_database_keeps_the_old_forms),
		CASE(tokens_that_upstream_kept_in_clear_are_good),
		CASE(the_grant_page_says_who_wants_what),
		CASE(a_grant_is_checked_before_anything_goes_to_the_client),
		CASE(a_session_is_good_for_one_grant),
		CASE(a_session_lasts_a_minute),
		CASE(a_link_never_grants),
		CASE(the_landing_page_is_empty),
		CASE(a_code_becomes_tokens),
		CASE(a_code_is_good_once),
		CASE(a_code_lasts_thirty_seconds),
		CASE(a_failed_exchange_uses_the_code_up),
		CASE(what_token_can_not_read_it_refuses),
		CASE(a_private_client_shows_its_secret),
		CASE(an_authorization_header_must_be_one_and_basic),
		CASE(a_client_acts_for_its_owner),
		CASE(the_scope_that_was_asked_for_is_granted_and_no_more),
		CASE(of_two_at_once_with_one_secret_one_wins),
		CASE(a_challenge_is_carried_from_step_to_step),
		CASE(a_challenged_code_needs_its_verifier),
		CASE(a_challenge_that_can_not_be_met_is_refused_at_once),
		CASE(pkce_can_be_required_of_public_clients),
		CASE(a_refresh_ends_the_old_pair),
		CASE(what_refresh_can_not_use_it_refuses),
		CASE(a_refresh_can_only_narrow_the_scope),
		CASE(a_private_client_refreshes_with_its_secret),
		CASE(no_secret_is_kept_as_it_is),
		CASE(a_call_needs_one_good_token),
		CASE(a_logout_ends_this_pair_only),
		CASE(a_new_password_ends_all_codes_tokens_and_sessions),
		CASE(a_disabled_or_expired_user_can_not_go_on),
		CASE(a_token_whose_user_or_client_is_gone_is_told_so),
		CASE(people_see_and_change_their_own_account),
		CASE(user_administration_is_for_its_roles),
		CASE(an_administrator_adds_users),
		CASE(users_are_counted_listed_and_sorted),
		CASE(an_administrator_changes_users),
		CASE(a_manager_changes_little_of_others),
		CASE(users_are_deleted_but_not_by_themselves),
		CASE(clients_are_for_administrators_and_developers),
		CASE(developers_add_clients_of_their_own),
		CASE(developers_see_their_own_clients_only),
		CASE(clients_are_changed_and_their_secrets_renewed),
		CASE(clients_are_deleted_but_not_the_one_in_use),
		CASE(each_call_needs_one_of_its_scopes),
		CASE(a_setup_code_makes_the_first_account),
		CASE(a_setup_code_may_be_typed_as_people_do),
		CASE(a_setup_form_with_a_fault_leaves_the_code_good),
		CASE(a_setup_code_lasts_an_hour_and_only_the_last_is_good),
		CASE(of_two_at_once_with_the_setup_code_one_wins),
		CASE(guessing_the_setup_code_is_slowed_down),
		CASE(a_script_makes_the_first_account_with_any_password),
		CASE(the_public_client_gets_the_addresses_it_lacks),
		CASE(what_has_expired_is_cleaned_away),
		CASE(own_pages_are_shown_instead_of_ours),
		CASE(a_page_that_can_not_be_used_ends_the_start),
		CASE(a_body_that_is_too_large_is_refused),
		CASE(a_service_token_acts_for_its_user),
		CASE(a_service_token_is_shown_once_and_kept_as_a_hash),
		CASE(a_service_token_says_when_it_ends),
		CASE(what_ends_a_service_token_does_so_at_once),
		CASE(what_another_process_changes_is_seen_after_a_while),
		CASE(a_service_token_is_held_to_its_scopes),
		CASE(
		    a_service_token_has_the_scopes_of_the_sign_in_that_made_it),
		CASE(a_service_token_makes_nothing_that_outlives_it),
		CASE(a_token_held_to_a_unit_has_no_roles),
		CASE(everybody_has_service_tokens_of_his_own),
		CASE(a_user_has_so_many_service_tokens),
		CASE(the_use_of_a_service_token_is_written_now_and_then),
	};
	int failed;

	if (sodium_init() < 0)
		return 1;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	curl_global_cleanup();
	return failed;
}

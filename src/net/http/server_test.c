/*
 * net/http/server_test.c - what server.h promises, asked with raw bytes over
 * loopback. The loop has a thread of its own; gates hold workers where a test
 * wants them.
 */
#include "base/test.h"

#include "net/http/test_server.h"

#include "base/base.h"
#include "base/mem.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#define BODY_MAX 1000

/* Holds workers until it is opened. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	int inside;
	bool open;
};

static struct fixture {
	struct test_server t;
	struct http_server_conf conf;
	size_t queue; /* of the workers */
	struct arena arena;
	struct gate gate;
	_Atomic int after, ended, pages;
	struct http_upgraded upgraded; /* fd 0: not yet */
	struct buf already;
} * fx; /* of the test that runs */

/* --- handlers ------------------------------------------------------------ */

static void
say_path(struct http_call *c)
{
	struct json_out *o = http_json(c, 200);

	json_out_array(o);
	json_out_str(o, str_of(c->route->path));
	for (unsigned i = 0; i < HTTP_PATH_VARS; i++)
		if (c->vars[i].ptr != NULL)
			json_out_str(o, http_var(c, i));
	json_out_end_array(o);
}

static void
echo(struct http_call *c)
{
	http_text(c, 200, "text/plain", c->body);
}

static void
say_authorizations(struct http_call *c)
{
	http_text(c, 200, "text/plain",
	    c->many_authorizations ? STR("many") : STR("not many"));
}

static void
say_thread(struct http_call *c)
{
	char name[16] = "";

	pthread_getname_np(pthread_self(), name, sizeof(name));
	http_text(c, 200, "text/plain", str_of(name));
}

static void
wait_at_gate(struct http_call *c)
{
	struct gate *g = &fx->gate;

	pthread_mutex_lock(&g->lock);
	g->inside++;
	pthread_cond_broadcast(&g->moved);
	while (!g->open)
		pthread_cond_wait(&g->moved, &g->lock);
	g->inside--;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
	http_text(c, 200, "text/plain", STR("through"));
}

/* A stream of as many pages as the path says; page 0 comes from the handler. */
struct pages {
	int64_t at, n;
};

#define PAGE_LEN 3000

static void
write_page(struct http_call *c, int64_t at)
{
	char page[PAGE_LEN];

	memset(page, 'a' + (int)(at % 26), sizeof(page));
	buf_add(&c->out, page, sizeof(page));
	fx->pages++;
}

static bool
next_page(struct http_call *c)
{
	struct pages *p = c->stream_state;

	write_page(c, p->at);
	return ++p->at < p->n;
}

static void
no_more_pages(struct http_call *c)
{
	assert_non_null(c->stream_state);
	fx->ended++;
}

static void
stream(struct http_call *c)
{
	struct pages *p = arena_new(&c->arena, struct pages);

	assert_true(str_to_i64(http_var(c, 0), &p->n));
	http_text(c, 200, "text/plain", STR(""));
	write_page(c, p->at++);
	c->stream = next_page;
	c->stream_state = p;
	c->stream_end = no_more_pages;
}

static bool
access_of(void *owner, struct http_call *c)
{
	if (str_eqz(c->authorization, "Bearer good")) {
		c->who = owner;
		return true;
	}
	http_error(c, 401, "err_auth", "who is it?");
	return false;
}

static void
say_who(struct http_call *c)
{
	http_text(
	    c, 200, "text/plain", c->who == fx ? STR("known") : STR("unknown"));
}

static void
after(void *owner, struct http_call *c)
{
	struct fixture *f = owner;

	(void)c;
	f->after++;
}

static void
unmatched(void *owner, struct http_call *c)
{
	(void)owner;
	http_text(c, 200, "text/plain", STR("a file"));
}

static void
count_headers(void *ctx, struct str name, struct str value)
{
	int *n = ctx;

	*n += str_eq_nocase(name, STR("x-word")) && value.len > 0;
}

/* Becomes something else, if it is asked with two words. */
static void
become(struct http_call *c)
{
	int n = 0;

	http_server_headers(c, count_headers, &n);
	if (n != 2) {
		http_error(c, 426, "err_param", "two words are missing");
		return;
	}
	http_empty(c, 101);
	http_header(c, "Upgrade", STR("lines"));
}

static void
upgraded(void *owner, const struct http_upgraded *u)
{
	struct fixture *f = owner;

	buf_add_str(&f->already, u->already);
	f->upgraded = *u;
}

static const struct http_route routes[] = {
	{ "GET", "/thing/{thingId}", .handle = say_path },
	{ "GET", "/thing/list", .handle = say_path },
	{ "GET", "/thing/{thingId}/part/{partId}", .handle = say_path },
	{ "POST", "/thing", .handle = say_path },
	{ "POST", "/echo", .handle = echo, .body_max = BODY_MAX },
	{ "GET", "/private", HTTP_TOKEN, .handle = say_who },
	{ "GET", "/thread", .handle = say_thread },
	{ "GET", "/slow", .handle = say_thread, .flags = HTTP_SLOW },
	{ "GET", "/gate", .handle = wait_at_gate },
	{ "GET", "/stream/{pages}", .handle = stream },
	{ "GET", "/authorizations", .handle = say_authorizations },
	{ "POST", "/form", .handle = echo, .flags = HTTP_CREDENTIALS },
	{ "GET", "/lines", .handle = become, .flags = HTTP_UPGRADE },
	{ 0 },
};

/* --- the server ---------------------------------------------------------- */

static void
start_with(const struct http_server_events *ev)
{
	test_server_new(&fx->t, fx->conf, ev, fx, 1, fx->queue);
	http_server_add(fx->t.http, routes);
	test_server_start(&fx->t);
}

static const struct http_server_events events = { access_of, after, NULL,
	upgraded };

static int
set_up(void **state)
{
	(void)state;
	fx = mem_new(struct fixture);
	fx->conf = test_server_conf();
	fx->queue = 8;
	pthread_mutex_init(&fx->gate.lock, NULL);
	pthread_cond_init(&fx->gate.moved, NULL);
	start_with(&events);
	return 0;
}

static void
open_gate(void)
{
	pthread_mutex_lock(&fx->gate.lock);
	fx->gate.open = true;
	pthread_cond_broadcast(&fx->gate.moved);
	pthread_mutex_unlock(&fx->gate.lock);
}

/* Waits until so many handlers are at the gate, and the loop knows it. */
static void
inside_is(int n)
{
	pthread_mutex_lock(&fx->gate.lock);
	while (fx->gate.inside != n)
		pthread_cond_wait(&fx->gate.moved, &fx->gate.lock);
	pthread_mutex_unlock(&fx->gate.lock);
	test_server_poke(&fx->t);
}

static int
tear_down(void **state)
{
	(void)state;
	open_gate();
	test_server_stop(&fx->t);
	pthread_mutex_destroy(&fx->gate.lock);
	pthread_cond_destroy(&fx->gate.moved);
	buf_free(&fx->already);
	arena_fini(&fx->arena);
	free(fx);
	return 0;
}

/* The same with other settings or events. */
static void
restart(const struct http_server_events *ev)
{
	test_server_stop(&fx->t);
	start_with(ev);
}

/* One request on a connection of its own. `head`: "METHOD /path" and, behind
 * a line break, more headers. */
static struct test_reply
ask(const char *head, const char *body)
{
	struct test_client c = test_connect(&fx->t);
	struct str rest = str_of(head), line = str_cut(&rest, '\n');
	struct test_reply r;
	struct str text;

	text = arena_printf(&fx->arena,
	    STR_FMT " HTTP/1.1\r\nHost: x\r\n" STR_FMT "%s", STR_ARG(line),
	    STR_ARG(rest), rest.len > 0 ? "\r\n" : "");
	test_send(&c, text.ptr);
	if (body != NULL)
		test_send(&c,
		    arena_printf(&fx->arena, "Content-Length: %zu\r\n\r\n%s",
			strlen(body), body)
			.ptr);
	else
		test_send(&c, "\r\n");
	r = test_read(&c, &fx->arena, str_starts(line, STR("HEAD")));
	test_close(&c);
	return r;
}

static void
is(struct test_reply r, int status, const char *body)
{
	if (r.status != status || !r.whole ||
	    (body != NULL && strcmp(r.body.ptr, body) != 0))
		fail_msg("wanted %d %s, got %d %s", status,
		    body != NULL ? body : "", r.status, r.body.ptr);
}

static void
is_error(struct test_reply r, int status, const char *code)
{
	const char *want =
	    arena_printf(&fx->arena, "{\"code\":\"%s\"", code).ptr;

	is(r, status, NULL);
	if (!str_starts(r.body, str_of(want)))
		fail_msg("wanted %s, got %s", want, r.body.ptr);
	assert_true(
	    str_eqz(test_header(&r, "Content-Type"), "application/json"));
}

static void
header_is(const struct test_reply *r, const char *name, const char *want)
{
	struct str got = test_header(r, name);

	if (want == NULL ? got.ptr != NULL : !str_eqz(got, want))
		fail_msg("%s: wanted %s, got " STR_FMT, name,
		    want != NULL ? want : "none", STR_ARG(got));
}

/* --- routing ------------------------------------------------------------- */

static void
a_fixed_path_goes_before_one_with_variables(void **state)
{
	(void)state;
	is(ask("GET /thing/list", NULL), 200, "[\"/thing/list\"]");
	is(ask("GET /thing/lists", NULL), 200,
	    "[\"/thing/{thingId}\",\"lists\"]");
	is(ask("GET /thing/1/part/2", NULL), 200,
	    "[\"/thing/{thingId}/part/{partId}\",\"1\",\"2\"]");
}

static void
path_variables_come_decoded_and_a_query_does_not_matter(void **state)
{
	(void)state;
	is(ask("GET /thing/%C3%A4%20b?x=%2F", NULL), 200,
	    "[\"/thing/{thingId}\",\"\xC3\xA4 b\"]");
}

static void
a_slash_at_the_end_does_not_count(void **state)
{
	(void)state;
	is(ask("GET /thing/list/", NULL), 200, "[\"/thing/list\"]");
	is(ask("GET /thing/7/", NULL), 200, "[\"/thing/{thingId}\",\"7\"]");
	is_error(ask("GET /thing//part/2", NULL), 404, "err_not_found");
}

static void
head_is_get_without_a_body(void **state)
{
	struct test_reply r;

	(void)state;
	r = ask("HEAD /thing/list", NULL);
	is(r, 200, "");
	header_is(&r, "Content-Length", "15");
	r = ask("HEAD /stream/3", NULL);
	is(r, 200, "");
	test_server_poke(&fx->t);
	assert_int_equal(fx->pages, 1);
}

static void
what_is_not_there_is_404_and_an_unknown_method_405(void **state)
{
	(void)state;
	is_error(ask("GET /nothing", NULL), 404, "err_not_found");
	is_error(ask("GET /", NULL), 404, "err_not_found");
	is_error(ask("DELETE /thing/1", NULL), 405, "err_param");
	is_error(ask("POST /thing/list", ""), 405, "err_param");
	is_error(ask("BREW /thing/list", NULL), 405, "err_param");
}

static void
what_matches_nothing_can_be_the_owners(void **state)
{
	static const struct http_server_events ev = { access_of, after,
		unmatched };

	(void)state;
	restart(&ev);
	is(ask("GET /nothing", NULL), 200, "a file");
	is_error(ask("DELETE /thing/1", NULL), 405, "err_param");
}

/* --- bodies -------------------------------------------------------------- */

static const char *
text_of(size_t n)
{
	char *p = arena_alloc(&fx->arena, n + 1);

	memset(p, 'x', n);
	return p;
}

static void
a_body_of_the_limit_is_taken(void **state)
{
	const char *body = text_of(BODY_MAX);

	(void)state;
	is(ask("POST /echo", body), 200, body);
	is(ask("POST /echo", ""), 200, "");
}

static void
a_body_over_the_limit_is_413_and_its_sender_reads_it(void **state)
{
	struct test_client c = test_connect(&fx->t);
	const char *body = text_of(BODY_MAX * 4);

	(void)state;
	test_send(&c,
	    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n");
	test_server_poke(&fx->t);
	test_send(&c, body);
	is_error(test_read(&c, &fx->arena, false), 413, "err_param");

	/* and the connection is still good */
	test_send(&c, "GET /thing/list HTTP/1.1\r\nHost: x\r\n\r\n");
	is(test_read(&c, &fx->arena, false), 200, NULL);
	test_close(&c);
}

static void
send_chunk(struct test_client *c, size_t n)
{
	struct str chunk = arena_printf(
	    &fx->arena, "%zx\r\n%s\r\n", n, n > 0 ? text_of(n) : "");

	test_send(c, chunk.ptr);
}

#define CHUNKED                                                                \
	"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

static void
chunks_are_joined_and_413_when_they_are_too_many(void **state)
{
	struct test_client c = test_connect(&fx->t);

	(void)state;
	test_send(&c, CHUNKED);
	send_chunk(&c, 600);
	send_chunk(&c, 400);
	send_chunk(&c, 0);
	is(test_read(&c, &fx->arena, false), 200, text_of(BODY_MAX));

	test_send(&c, CHUNKED);
	for (int i = 0; i < 4; i++)
		send_chunk(&c, 600);
	send_chunk(&c, 0);
	is_error(test_read(&c, &fx->arena, false), 413, "err_param");
	test_close(&c);
}

static void
chunks_without_end_end_the_connection(void **state)
{
	struct test_client c = test_connect(&fx->t);
	struct str chunk;
	int n = 0;

	(void)state;
	test_send(&c, CHUNKED);
	chunk = arena_printf(&fx->arena, "%x\r\n%s\r\n", 4000, text_of(4000));
	while (n < 100000 && test_send_bytes(&c, chunk.ptr, chunk.len))
		n++;
	assert_in_range(n, 2, 99999);
	test_close(&c);
}

static void
a_client_that_leaves_in_the_middle_of_a_body_harms_nobody(void **state)
{
	struct test_client c = test_connect(&fx->t);

	(void)state;
	test_send(&c,
	    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nxx");
	test_close(&c);
	is(ask("POST /echo", "y"), 200, "y");
	assert_int_equal(fx->after, 1);
}

/* --- access -------------------------------------------------------------- */

static void
access_is_asked_before_the_handler(void **state)
{
	(void)state;
	is_error(ask("GET /private", NULL), 401, "err_auth");
	is_error(ask("GET /private\nAuthorization: Bearer bad", NULL), 401,
	    "err_auth");
	is(ask("GET /private\nAuthorization: Bearer good", NULL), 200, "known");
	test_server_poke(&fx->t);
	assert_int_equal(fx->after, 3);
}

static void
many_authorization_headers_are_told(void **state)
{
	(void)state;
	is(ask("GET /authorizations", NULL), 200, "not many");
	is(ask("GET /authorizations\nAuthorization: Bearer a", NULL), 200,
	    "not many");
	is(ask("GET /authorizations\nAuthorization: Bearer a\r\n"
	       "AUTHORIZATION: Bearer b",
	       NULL),
	    200, "many");
}

/* --- workers ------------------------------------------------------------- */

static void
handlers_run_on_workers_and_slow_ones_apart(void **state)
{
	(void)state;
	is(ask("GET /thread", NULL), 200, "work");
	is(ask("GET /slow", NULL), 200, "slow");
}

static void
a_full_queue_is_503_at_once(void **state)
{
	struct test_client held, queued;

	(void)state;
	fx->queue = 1;
	restart(&events);
	held = test_connect(&fx->t);
	queued = test_connect(&fx->t);
	test_send(&held, "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
	inside_is(1);
	test_send(&queued, "GET /thread HTTP/1.1\r\nHost: x\r\n\r\n");
	/* its bytes were there before those of the next one, and the loop takes
	 * them in that order */
	is(ask("GET /slow", NULL), 200, "slow");
	is_error(ask("GET /thread", NULL), 503, "err_rsc");
	is(ask("GET /slow", NULL), 200, "slow");
	open_gate();
	is(test_read(&held, &fx->arena, false), 200, "through");
	is(test_read(&queued, &fx->arena, false), 200, "work");
	is(ask("GET /thread", NULL), 200, "work");
	test_close(&held);
	test_close(&queued);
}

static void
a_request_over_its_time_is_408_and_its_worker_may_end_later(void **state)
{
	struct test_client c = test_connect(&fx->t);

	(void)state;
	test_send(&c, "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
	inside_is(1);
	test_server_advance(&fx->t, fx->conf.request_ms - 1000);
	is(ask("GET /slow", NULL), 200, "slow");
	test_server_advance(&fx->t, 2000);
	is_error(test_read(&c, &fx->arena, false), 408, "err_rsc");
	assert_false(test_more(&c)); /* closed: what follows is not for it */
	open_gate();
	inside_is(0);
	is(ask("GET /thread", NULL), 200, "work");
	test_close(&c);
}

static void
a_client_that_leaves_while_a_worker_runs_harms_nobody(void **state)
{
	struct test_client c = test_connect(&fx->t);

	(void)state;
	test_send(&c, "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
	inside_is(1);
	test_close(&c);
	open_gate();
	is(ask("GET /thread", NULL), 200, "work");
	assert_int_equal(fx->after, 2);
}

/* --- streams ------------------------------------------------------------- */

static void
pages_are(struct str body, int n)
{
	assert_int_equal(body.len, (size_t)n * PAGE_LEN);
	for (size_t i = 0; i < body.len; i++)
		if (body.ptr[i] != 'a' + (int)(i / PAGE_LEN % 26))
			fail_msg("byte %zu is wrong", i);
}

/* Waits for stream_end of every stream, at most for a while. */
static void
ended_is(int n)
{
	for (int i = 0; fx->ended < n && i < 60000; i++) {
		struct timespec ms = { 0, 1000000 };

		test_server_poke(&fx->t);
		nanosleep(&ms, NULL);
	}
	assert_int_equal(fx->ended, n);
}

static void
a_stream_comes_whole_page_by_page(void **state)
{
	struct test_reply r;

	(void)state;
	r = ask("GET /stream/1", NULL);
	is(r, 200, NULL);
	pages_are(r.body, 2);
	r = ask("GET /stream/500", NULL);
	is(r, 200, NULL);
	pages_are(r.body, 500);
	ended_is(2);
}

static void
a_slow_reader_holds_no_worker(void **state)
{
	struct test_client c = test_connect(&fx->t);
	struct test_reply r;
	int before;

	(void)state;
	test_send(&c, "GET /stream/10000 HTTP/1.1\r\nHost: x\r\n\r\n");
	/* until nothing more is made, because nothing is read */
	do {
		before = fx->pages;
		for (int i = 0; i < 50; i++)
			is(ask("GET /thread", NULL), 200, "work");
	} while (fx->pages != before);
	assert_in_range(before, 1, 9000);
	assert_int_equal(fx->ended, 0);
	r = test_read(&c, &fx->arena, false);
	is(r, 200, NULL);
	pages_are(r.body, 10000);
	ended_is(1);
	test_close(&c);
}

static void
a_reader_that_leaves_ends_its_stream_once(void **state)
{
	struct test_client c = test_connect(&fx->t);

	(void)state;
	test_send(&c, "GET /stream/1000000 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(test_more(&c));
	test_close(&c);
	ended_is(1);
	is(ask("GET /thread", NULL), 200, "work");
	assert_int_equal(fx->ended, 1);
}

static void
a_stream_waits_for_a_busy_worker(void **state)
{
	struct test_client c = test_connect(&fx->t), held, queued;
	struct test_reply r;
	int before;

	(void)state;
	test_send(&c, "GET /stream/5000 HTTP/1.1\r\nHost: x\r\n\r\n");
	do { /* its reader does not read, so it waits */
		before = fx->pages;
		is(ask("GET /thread", NULL), 200, "work");
	} while (fx->pages != before);
	held = test_connect(&fx->t);
	test_send(&held, "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
	inside_is(1);
	queued = test_connect(&fx->t);
	test_send(&queued, "GET /thread HTTP/1.1\r\nHost: x\r\n\r\n");
	for (int i = 0; i < 100 && test_more(&c); i++)
		if (c.in.len > 5000 * PAGE_LEN / 2)
			break;
		else if (i == 10)
			open_gate();
	open_gate();
	r = test_read(&c, &fx->arena, false);
	is(r, 200, NULL);
	pages_are(r.body, 5000);
	is(test_read(&held, &fx->arena, false), 200, "through");
	is(test_read(&queued, &fx->arena, false), 200, "work");
	ended_is(1);
	test_close(&c);
	test_close(&held);
	test_close(&queued);
}

/* --- connections --------------------------------------------------------- */

static void
a_connection_serves_many_requests(void **state)
{
	struct test_client c = test_connect(&fx->t);

	(void)state;
	for (int i = 0; i < 20; i++) {
		test_send(&c, "GET /thing/list HTTP/1.1\r\nHost: x\r\n\r\n");
		is(test_read(&c, &fx->arena, false), 200, "[\"/thing/list\"]");
		test_send(&c, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
		is(test_read(&c, &fx->arena, false), 404, NULL);
		test_send(&c, "DELETE /thing/1 HTTP/1.1\r\nHost: x\r\n\r\n");
		is(test_read(&c, &fx->arena, false), 405, NULL);
		test_send(&c, "OPTIONS /thing/1 HTTP/1.1\r\nHost: x\r\n\r\n");
		is(test_read(&c, &fx->arena, false), 200, "");
		test_send(&c,
		    "POST /nothing HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 5\r\n\r\nhello");
		is(test_read(&c, &fx->arena, false), 404, NULL);
		test_send(&c, "GET /stream/3 HTTP/1.1\r\nHost: x\r\n\r\n");
		is(test_read(&c, &fx->arena, false), 200, NULL);
	}
	/* and those that come in one packet, in their order */
	test_send(&c,
	    "GET /thing/1 HTTP/1.1\r\nHost: x\r\n\r\n"
	    "GET /thing/2 HTTP/1.1\r\nHost: x\r\n\r\n");
	is(test_read(&c, &fx->arena, false), 200,
	    "[\"/thing/{thingId}\",\"1\"]");
	is(test_read(&c, &fx->arena, false), 200,
	    "[\"/thing/{thingId}\",\"2\"]");
	test_close(&c);
}

static void
what_is_no_http_is_answered_with_400(void **state)
{
	struct test_client c = test_connect(&fx->t);

	(void)state;
	test_send(&c, "\x16\x03\x01 hello\r\n\r\n");
	while (test_more(&c))
		;
	test_close(&c);
	is(ask("GET /thread", NULL), 200, "work");
}

/* --- other origins ------------------------------------------------------- */

static void
a_preflight_is_allowed_what_it_asks_for(void **state)
{
	struct test_reply r;

	(void)state;
	r = ask("OPTIONS /thing/1\nOrigin: http://a.example\r\n"
		"Access-Control-Request-Method: PATCH\r\n"
		"Access-Control-Request-Headers: authorization",
	    NULL);
	is(r, 200, "");
	header_is(&r, "Access-Control-Allow-Origin", "*");
	header_is(&r, "Access-Control-Allow-Headers", "authorization");
	header_is(&r, "Access-Control-Allow-Methods",
	    "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS");
	header_is(&r, "Access-Control-Allow-Credentials", NULL);
}

static void
any_origin_reads_the_api_and_pages_name_it(void **state)
{
	struct test_reply r;

	(void)state;
	r = ask("GET /thing/1\nOrigin: http://a.example", NULL);
	header_is(&r, "Access-Control-Allow-Origin", "*");
	header_is(&r, "Access-Control-Expose-Headers", "*");
	r = ask("POST /form\nOrigin: http://a.example", "");
	header_is(&r, "Access-Control-Allow-Origin", "http://a.example");
	header_is(&r, "Access-Control-Allow-Credentials", "true");
	header_is(&r, "Access-Control-Expose-Headers", "location");
	r = ask("POST /form", "");
	header_is(&r, "Access-Control-Allow-Origin", NULL);
}

static void
with_a_list_only_its_origins_may_read(void **state)
{
	struct test_reply r;

	(void)state;
	fx->conf.cors_origins = "http://a.example https://b.example";
	restart(&events);
	r = ask("GET /thing/1\nOrigin: https://b.example", NULL);
	header_is(&r, "Access-Control-Allow-Origin", "https://b.example");
	assert_true(str_starts(test_header(&r, "Vary"), STR("Origin")));
	r = ask("GET /thing/1\nOrigin: https://c.example", NULL);
	is(r, 200, NULL);
	header_is(&r, "Access-Control-Allow-Origin", NULL);
	r = ask(
	    "GET /thing/1\nOrigin: http://a.example https://b.example", NULL);
	header_is(&r, "Access-Control-Allow-Origin", NULL);
	r = ask("POST /form\nOrigin: https://c.example", "");
	header_is(&r, "Access-Control-Allow-Origin", NULL);
}

/* --- connections that become something else ------------------------------ */

static struct test_client
connect_upgraded(const char *behind)
{
	struct test_client c = test_connect(&fx->t);
	struct buf ask = { 0 };
	struct test_reply r;

	buf_addf(&ask,
	    "GET /lines HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
	    "Upgrade: lines\r\nX-Word: one\r\nX-Word: two\r\n\r\n%s",
	    behind);
	test_send(&c, buf_z(&ask));
	buf_free(&ask);
	while (c.in.len == 0)
		(void)test_more(&c);
	test_server_poke(&fx->t);
	while (fx->upgraded.fd == 0)
		test_server_poke(&fx->t);
	assert_non_null(strstr(buf_z(&c.in), "\r\n\r\n"));
	r.head = arena_str(&fx->arena, buf_str(&c.in));
	assert_true(str_starts(r.head, STR("HTTP/1.1 101 ")));
	assert_str(test_header(&r, "Upgrade"), "lines");
	buf_clear(&c.in);
	return c;
}

static void
an_upgraded_connection_is_its_owners_until_it_ends_it(void **state)
{
	struct test_client c = connect_upgraded("already");
	char some[8];

	(void)state;
	assert_ptr_equal(fx->upgraded.route->handle, become);
	/* what came with the request, or the rest of it, is behind it */
	while (fx->already.len < strlen("already")) {
		struct pollfd p = { fx->upgraded.fd, POLLIN, 0 };
		ssize_t n;

		assert_int_equal(poll(&p, 1, TEST_WAIT_MS), 1);
		n = recv(fx->upgraded.fd, some, sizeof(some), 0);
		assert_true(n > 0);
		buf_add(&fx->already, some, (size_t)n);
	}
	assert_str(buf_str(&fx->already), "already");
	assert_int_equal(send(fx->upgraded.fd, "there", 5, 0), 5);
	assert_true(test_more(&c));
	assert_str(buf_str(&c.in), "there");
	/* requests go on as before */
	is(ask("GET /thing/1", NULL), 200, NULL);
	close(fx->upgraded.fd);
	http_tunnel_end(fx->upgraded.tunnel);
	assert_false(test_more(&c));
	test_close(&c);
}

static void
an_upgraded_connection_whose_peer_vanishes_is_found_out(void **state)
{
	struct test_client c = connect_upgraded("");
	int on = 0, idle_s = 0;
	socklen_t len = sizeof(on);

	(void)state;
	assert_int_equal(
	    getsockopt(fx->upgraded.fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len),
	    0);
	assert_int_equal(getsockopt(fx->upgraded.fd, IPPROTO_TCP, TCP_KEEPIDLE,
			     &idle_s, &len),
	    0);
	assert_int_equal(on, 1);
	assert_int_equal(idle_s, 60);
	close(fx->upgraded.fd);
	http_tunnel_end(fx->upgraded.tunnel);
	test_close(&c);
}

static void
an_upgrade_that_is_refused_is_an_answer_like_others(void **state)
{
	(void)state;
	is(ask("GET /lines\nX-Word: one", NULL), 426, NULL);
	is(ask("POST /lines", ""), 405, NULL);
	assert_int_equal(fx->upgraded.fd, 0);
}

static void
the_server_may_end_before_an_upgraded_connection(void **state)
{
	struct test_client c = connect_upgraded("");
	struct test_server *t = &fx->t;

	(void)state;
	loop_stop(t->loop);
	pthread_join(t->thread, NULL);
	http_server_stop(t->http);
	http_server_free(t->http);
	assert_int_equal(send(fx->upgraded.fd, "still", 5, 0), 5);
	assert_true(test_more(&c));
	close(fx->upgraded.fd);
	http_tunnel_end(fx->upgraded.tunnel);
	assert_false(test_more(&c));
	test_close(&c);
	/* for the end of the test */
	loop_turn(t->loop, 0);
	t->http = NULL;
	pthread_create(&t->thread, NULL, test_server_turn, t->loop);
}

/* --- the end ------------------------------------------------------------- */

static void
idle_connections_end_with_the_server(void **state)
{
	struct test_client c[8];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(c); i++) {
		c[i] = test_connect(&fx->t);
		if (i % 2 == 0)
			continue;
		test_send(&c[i], "GET /thing/1 HTTP/1.1\r\nHost: x\r\n\r\n");
		is(test_read(&c[i], &fx->arena, false), 200, NULL);
	}
	restart(&events);
	for (size_t i = 0; i < COUNT_OF(c); i++) {
		assert_false(test_more(&c[i]));
		test_close(&c[i]);
	}
}

static void
a_stream_in_its_middle_breaks_off_with_the_server(void **state)
{
	struct test_client c[4];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(c); i++) {
		c[i] = test_connect(&fx->t);
		test_send(
		    &c[i], "GET /stream/1000000 HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_true(test_more(&c[i]));
	}
	restart(&events);
	assert_int_equal(fx->ended, COUNT_OF(c));
	for (size_t i = 0; i < COUNT_OF(c); i++) {
		assert_false(test_read(&c[i], &fx->arena, false).whole);
		test_close(&c[i]);
	}
}

static void
what_a_worker_has_begun_is_answered_before_the_end(void **state)
{
	struct test_client held = test_connect(&fx->t), late;

	(void)state;
	test_send(&held, "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
	inside_is(1);
	loop_stop(fx->t.loop);
	pthread_join(fx->t.thread, NULL);
	late = test_connect(&fx->t);
	test_send(&late, "GET /thread HTTP/1.1\r\nHost: x\r\n\r\n");
	open_gate();
	http_server_stop(fx->t.http);
	worker_pool_free(fx->t.workers);
	for (int i = 0; i < 10; i++) /* the late one arrives after it */
		loop_turn(fx->t.loop, 0);
	is(test_read(&held, &fx->arena, false), 200, "through");
	is_error(test_read(&late, &fx->arena, false), 503, "err_rsc");
	test_close(&held);
	test_close(&late);

	fx->t.workers = NULL;
	pthread_create(&fx->t.thread, NULL, test_server_turn, fx->t.loop);
}

static void
requests_are_counted_by_route_and_status(void **state)
{
	struct buf b = { 0 };

	(void)state;
	is(ask("GET /thing/1", NULL), 200, NULL);
	is(ask("GET /thing/2", NULL), 200, NULL);
	is(ask("GET /private", NULL), 401, NULL);
	http_server_metrics(fx->t.http, &b);
	assert_non_null(strstr(buf_z(&b),
	    "axum_http_requests_total{method=\"GET\",status=\"200\","
	    "endpoint=\"/thing/{thingId}\"} 2\n"));
	assert_non_null(strstr(buf_z(&b),
	    "axum_http_requests_total{method=\"GET\",status=\"401\","
	    "endpoint=\"/private\"} 1\n"));
	assert_non_null(strstr(buf_z(&b), "\naxum_http_requests_pending 0\n"));
	buf_free(&b);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_fixed_path_goes_before_one_with_variables),
		T(path_variables_come_decoded_and_a_query_does_not_matter),
		T(a_slash_at_the_end_does_not_count),
		T(head_is_get_without_a_body),
		T(what_is_not_there_is_404_and_an_unknown_method_405),
		T(what_matches_nothing_can_be_the_owners),
		T(a_body_of_the_limit_is_taken),
		T(a_body_over_the_limit_is_413_and_its_sender_reads_it),
		T(chunks_are_joined_and_413_when_they_are_too_many),
		T(chunks_without_end_end_the_connection),
		T(a_client_that_leaves_in_the_middle_of_a_body_harms_nobody),
		T(access_is_asked_before_the_handler),
		T(many_authorization_headers_are_told),
		T(handlers_run_on_workers_and_slow_ones_apart),
		T(a_full_queue_is_503_at_once),
		T(a_request_over_its_time_is_408_and_its_worker_may_end_later),
		T(a_client_that_leaves_while_a_worker_runs_harms_nobody),
		T(a_stream_comes_whole_page_by_page),
		T(a_slow_reader_holds_no_worker),
		T(a_reader_that_leaves_ends_its_stream_once),
		T(a_stream_waits_for_a_busy_worker),
		T(a_connection_serves_many_requests),
		T(what_is_no_http_is_answered_with_400),
		T(a_preflight_is_allowed_what_it_asks_for),
		T(any_origin_reads_the_api_and_pages_name_it),
		T(with_a_list_only_its_origins_may_read),
		T(an_upgraded_connection_is_its_owners_until_it_ends_it),
		T(an_upgraded_connection_whose_peer_vanishes_is_found_out),
		T(an_upgrade_that_is_refused_is_an_answer_like_others),
		T(the_server_may_end_before_an_upgraded_connection),
		T(idle_connections_end_with_the_server),
		T(a_stream_in_its_middle_breaks_off_with_the_server),
		T(what_a_worker_has_begun_is_answered_before_the_end),
		T(requests_are_counted_by_route_and_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

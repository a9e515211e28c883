/*
 * core/hub/trial.c - connection tests: whether a gateway, or who signs in at
 * our own queues, gets through, stage by stage.
 *
 *    POST .../test --> RUNS ------------------> DONE ------> forgotten
 *                       |  all stages, a fault,   KEEP_MS
 *                       |  or the time is over
 *                       `--- GET /test/{id} sees how far it is
 *
 * A test is a gateway that is only tried (plug/gateway): it has the links that
 * gateways have, with their limits. One whose link is up is not tried: its
 * stages are those of the connection it has, since many a peer takes only one.
 * Nothing waits but the caller's own questions.
 *
 * All of it runs on the hub's loop, but for the handlers, which ask.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "core/rest/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 10000 /* at most, whatever a gateway may take */
#define LISTEN_MS 5000   /* for a first frame, when nobody says */
#define LISTEN_MAX_MS 30000
#define KEEP_MS 60000

struct test {
	struct list link; /* in hub->tests */
	struct hub *hub;
	struct str id, unit_id;
	struct str root;      /* of its topics on our own server */
	struct gateway *plug; /* NULL: it is done */
	struct gateway_host host;
	struct gateway_settings settings;
	struct loop_timer timer;
	int64_t listen_ms;
	bool no_password; /* it ends where one would be needed */
	bool skipped;     /* the last stage was */
	struct gateway_stage stages[GATEWAY_STAGES_MAX + 1];
	size_t n, n_before; /* those that were there before it began */
	struct arena arena;
};

/* What to do about it. */
static const struct {
	const char *stage, *text;
} advice[] = {
	{ "account", "Set a password: until then nobody can sign in." },
	{ "resolve",
	    "Is the name right, and can this machine find it? Try: getent "
	    "hosts NAME" },
	{ "connect",
	    "Is the server running, does it listen on this port, and is there "
	    "no firewall between? Inside of a container, localhost is the "
	    "container." },
	{ "tls",
	    "The certificate must be for this very name, in date, and signed "
	    "by someone who is trusted here: hub.gateway.caFile names the "
	    "file of an authority of your own. And the port must be one for "
	    "TLS." },
	{ "signIn",
	    "Are user name and password right? Does the server let this "
	    "account in from here?" },
	{ "subscribe",
	    "The account must be allowed to read these topics: see the "
	    "access rules of that server." },
	{ "port", "Is it plugged in? Try: ls /dev/serial/by-id" },
	{ "open",
	    "The user that runs the platform must be in the group dialout, "
	    "and no other program may have the port." },
	{ "request",
	    "Try the address with curl on this machine: it must answer with "
	    "HTTP 2xx, or with the endpoint's responseCode." },
	{ "hear",
	    "No fault: who is out there speaks when there is something to "
	    "say. Wake a node, or wait." },
	{ "echo", "The server took the message and did not give it back." },
};

static const char *
advice_for(const char *stage)
{
	for (size_t i = 0; i < COUNT_OF(advice); i++)
		if (strcmp(advice[i].stage, stage) == 0)
			return advice[i].text;
	return "The sentence says what is wrong.";
}

/* --- what is answered -------------------------------------------------- */

static const char *const stage_states[] = { "ok", "failed", "skipped",
	"running", NULL };
struct shown_stage {
	struct str name, status, message, advice;
	int64_t ms;
};
#define Z struct shown_stage
static const struct field stage_fields[] = {
	F_TEXT(Z, name, "name"),
	F_TEXT(Z, status, "status", .one_of = stage_states),
	F_INT(Z, ms, "ms"),
	F_TEXT(Z, message, "message"),
	F_TEXT(Z, advice, "advice", .help = "What to do."),
	{ 0 },
};
static const struct record stage_record = { "testStage", sizeof(Z),
	stage_fields };

struct shown_trial {
	struct str id, unit_id;
	bool done, ok;
	struct rows stages;
};
#define X struct shown_trial
static const struct field shown_trial_fields[] = {
	F_TEXT(X, id, "testId"),
	F_TEXT(X, unit_id, "unitId", .flags = FIELD_NULL),
	F_BOOL(X, done, "done"),
	F_BOOL(X, ok, "ok"),
	F_RECORDS(X, stages, "stages", .record = &stage_record),
	{ 0 },
};
static const struct record shown_trial_record = { "connectionTest", sizeof(X),
	shown_trial_fields };

/* --- on the loop ---------------------------------------------------------- */

static void
forget(struct test *t)
{
	loop_cancel(t->hub->loop, &t->timer);
	gateway_close(t->plug);
	list_del(&t->link);
	arena_fini(&t->arena);
	free(t);
}

static void
copy_stages(struct test *t)
{
	if (t->plug != NULL)
		t->n = t->n_before +
		    gateway_stages(t->plug, t->stages + t->n_before);
}

static struct gateway_stage *
last_of(struct test *t)
{
	return t->n > 0 ? &t->stages[t->n - 1] : NULL;
}

/* `skip`: what it is at is neither good nor bad. */
static void
end_test(struct test *t, bool skip)
{
	struct gateway *plug = t->plug;

	copy_stages(t);
	t->skipped = skip;
	t->plug = NULL;
	gateway_close(plug);
	loop_after(t->hub->loop, &t->timer, KEEP_MS);
}

static void
on_changed(void *ctx, struct gateway *plug)
{
	struct test *t = ctx;
	const struct gateway_stage *s;
	struct gateway_state state;

	if (t->plug == NULL)
		return;
	copy_stages(t);
	s = last_of(t);
	gateway_state(plug, &state);
	if (t->no_password && s != NULL && strcmp(s->name, "signIn") == 0)
		end_test(t, true);
	else if (state.status == GATEWAY_DOWN)
		end_test(t, false);
	else if (state.status == GATEWAY_UP &&
	    (s == NULL || s->end != GATEWAY_STAGE_RUNS))
		end_test(t, false);
	else if (state.status == GATEWAY_UP && !loop_is_running(&t->timer))
		loop_after(t->hub->loop, &t->timer, t->listen_ms);
}

static void
on_timer(struct loop_timer *timer)
{
	struct test *t = container_of(timer, struct test, timer);
	struct gateway_stage *s;

	if (t->plug == NULL) {
		forget(t);
		return;
	}
	end_test(t, false);
	s = last_of(t);
	if (strcmp(s->name, "hear") == 0) {
		t->skipped = true;
	} else {
		s->end = GATEWAY_STAGE_FAILED;
		(void)snprintf(s->text, sizeof(s->text), "no answer");
	}
}

static void *
on_listen(void *ctx, struct str filter, gateway_heard *heard, void *heard_ctx,
    struct err *err)
{
	struct test *t = ctx;

	(void)err;
	return gate_ear(t->hub, t->root, filter, heard, heard_ctx);
}

static void
on_taken(void *ctx, uint64_t token)
{
	gate_taken(((struct test *)ctx)->hub, token);
}

static void
on_unlisten(void *ctx, void *handle)
{
	(void)ctx;
	gate_ear_end(handle);
}

/* Those that are done make room. */
static bool
has_room(struct hub *h)
{
	int64_t n = 0;

	LIST_EACH (t, &h->tests, struct test, link)
		n++;
	LIST_EACH (t, &h->tests, struct test, link)
		if (n >= h->conf.gateway.tests && t->plug == NULL) {
			forget(t);
			n--;
		}
	return n < h->conf.gateway.tests;
}

struct order {
	struct str unit_id, root, gateway_id; /* the last: null or "": none */
	struct str provider;                  /* clear */
	const char *echo;
	int64_t listen_ms;
	bool own;  /* our own server, whatever allowHosts says */
	bool live; /* the one that there is, if it is up */
	bool no_account, no_password;
	int64_t account_ms;
	struct json_out *o;
	int rc;
	struct err err;
};

static struct test *
new_test(struct hub *h, const struct order *of)
{
	struct test *t = mem_new(struct test);

	t->hub = h;
	t->id = rand_id(&t->arena, clock_now(), ID_LONG);
	t->unit_id = arena_str(&t->arena, of->unit_id);
	t->root = arena_str(&t->arena, of->root);
	t->timer.fire = on_timer;
	t->listen_ms = of->listen_ms;
	t->no_password = of->no_password;
	t->settings = h->conf.gateway;
	t->settings.connect_ms =
	    MIN_OF(t->settings.connect_ms, (int64_t)CONNECT_MS);
	if (of->own)
		t->settings.allow_hosts = STR_NULL;
	t->host = (struct gateway_host){ .ctx = t,
		.loop = h->loop,
		.settings = &t->settings,
		.changed = on_changed,
		.publish = hub_no_publish,
		.listen = on_listen,
		.taken = on_taken,
		.unlisten = on_unlisten };
	list_add(&h->tests, &t->link);
	return t;
}

/* The connection that the gateway has. */
static bool
take_live(struct test *t, struct gate *g)
{
	struct gateway_state s;
	struct gateway_stage *hear;

	if (g == NULL || g->plug == NULL)
		return false;
	gateway_state(g->plug, &s);
	if (s.status != GATEWAY_UP)
		return false;
	t->n = gateway_stages(g->plug, t->stages);
	hear = &t->stages[t->n++];
	*hear = (struct gateway_stage){ "hear", GATEWAY_STAGE_OK, 0, "" };
	if (s.last_heard == TIME_NULL)
		t->skipped = true;
	else
		time_format(s.last_heard, hear->text);
	return true;
}

static void
begin_plug(struct test *t, struct order *of)
{
	const struct gateway_conf conf = { .name = "test",
		.provider = of->provider,
		.trial = true,
		.echo = of->echo };

	of->rc = gateway_open(&conf, &t->host, &t->plug, &of->err);
	if (of->rc == 0)
		gateway_start(t->plug);
}

static void
note_account(struct test *t, const struct order *of)
{
	if (of->echo == NULL && !of->no_account && !of->no_password)
		return;
	t->stages[0] = (struct gateway_stage){ "account",
		of->no_account ? GATEWAY_STAGE_FAILED : GATEWAY_STAGE_OK,
		of->account_ms, "" };
	t->n = t->n_before = 1;
	if (of->no_account)
		(void)snprintf(t->stages[0].text, sizeof(t->stages[0].text),
		    "it has no password yet");
}

static void write_test(struct json_out *o, struct test *t);

static void
begin(struct hub *h, void *ctx)
{
	struct order *of = ctx;
	struct test *t;

	if (h->ending || !has_room(h)) {
		of->rc = err_set(&of->err, ERR_LIMIT,
		    "%" PRId64 " connections are being tested already "
		    "(hub.gateway.tests): wait a few seconds",
		    h->conf.gateway.tests);
		return;
	}
	t = new_test(h, of);
	note_account(t, of);
	if (of->no_account ||
	    (of->live && take_live(t, gate_by_id(h, of->gateway_id))))
		loop_after(h->loop, &t->timer, KEEP_MS);
	else
		begin_plug(t, of);
	if (of->rc == 0)
		write_test(of->o, t);
	else
		forget(t);
}

static void
write_test(struct json_out *o, struct test *t)
{
	static const char *const ends[] = { [GATEWAY_STAGE_RUNS] = "running",
		[GATEWAY_STAGE_OK] = "ok",
		[GATEWAY_STAGE_FAILED] = "failed" };
	struct shown_stage stages[COUNT_OF(t->stages)];
	struct shown_trial shown = { .id = t->id,
		.unit_id = t->unit_id,
		.done = t->plug == NULL,
		.ok = t->plug == NULL,
		.stages = { stages, 0 } };

	copy_stages(t);
	for (size_t i = 0; i < t->n; i++) {
		const struct gateway_stage *s = &t->stages[i];
		bool bad = s->end == GATEWAY_STAGE_FAILED;
		bool skipped = t->skipped && i == t->n - 1;

		stages[shown.stages.n++] = (struct shown_stage){ .name = str_of(
								     s->name),
			.status = str_of(skipped ? "skipped" : ends[s->end]),
			.ms = s->ms,
			.message = str_of(s->text),
			.advice =
			    str_of(bad || skipped ? advice_for(s->name) : "") };
		shown.ok = shown.ok && !bad;
	}
	record_members_to_json(o, &shown_trial_record, FIELD_ALL, &shown);
}

void
hub_listens(struct hub *h, struct str addresses)
{
	pthread_mutex_lock(&h->lock);
	str_free(h->listens);
	h->listens = str_copy(str_trim(addresses));
	pthread_mutex_unlock(&h->lock);
}

void
trials_end(struct hub *h)
{
	LIST_EACH (t, &h->tests, struct test, link)
		forget(t);
}

/* --- handlers ------------------------------------------------------------- */

static struct hub *
hub_of(const struct http_call *c)
{
	return (struct hub *)c->route->ctx;
}

/* Begins, and answers with how far it is. */
static void
answer(struct http_call *c, struct order *of)
{
	of->o = rest_data(c);
	hub_ask(hub_of(c), begin, of);
	if (of->rc == 0) {
		rest_data_end(c);
		return;
	}
	http_error(c, of->rc == ERR_LIMIT ? 503 : 400,
	    of->rc == ERR_LIMIT ? "err_rsc" : "err_param", "%s", of->err.text);
}

struct gateway_ask {
	struct str unit_id, gateway_id, code, provider;
	int64_t listen_ms;
};
#define A struct gateway_ask
static const struct field gateway_ask_fields[] = {
	F_TEXT(A, unit_id, "unitId", .help = "The unit it is for."),
	F_TEXT(A, gateway_id, "gatewayId", .flags = FIELD_NULL,
	    .help = "The gateway that is being changed: secrets that are left "
		    "out are its own."),
	F_TEXT(A, code, "code", .flags = FIELD_NULL,
	    .help = "Its code, for one without a broker of its own."),
	F_JSON(A, provider, "provider", .flags = FIELD_OBJECT | FIELD_NULL,
	    .help = "As a gateway has it."),
	F_INT(A, listen_ms, "listenMs", .def = "5000", .min = 0,
	    .max = LISTEN_MAX_MS,
	    .help = "How long a first frame is waited for."),
	{ 0 },
};
#undef A
static const struct record gateway_ask_record = { "gatewayTest",
	sizeof(struct gateway_ask), gateway_ask_fields };

/* A row of the route's store, if the caller may change it. False: answered. */
static bool
row_for(struct http_call *c, const struct entity *e, const char *field,
    struct str id, void *row, struct str (*unit_of)(const void *row))
{
	struct hub *h = hub_of(c);
	struct filter f = { 0 };
	struct err err;
	bool found, may = false;

	filter_text(&f, field, id);
	if (store_get(route_store(h->route), e, &f, &c->arena, row, &found,
		&err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	if (found && unit_of(row).len == 0)
		may = auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER);
	else if (found)
		may =
		    route_may_unit(h->route, c, unit_of(row), REST_PATCH) == 1;
	if (!may && c->status == 0)
		http_error(c, 404, "err_not_found", NULL);
	return may;
}

static struct str
unit_of_gateway(const void *row)
{
	return ((const struct route_gateway *)row)->unit_id;
}

static struct str
unit_of_end(const void *row)
{
	return ((const struct route_end *)row)->unit_id;
}

static bool
gateway_for(struct http_call *c, struct str id, struct route_gateway *ret)
{
	return row_for(
	    c, &route_gateway_entity, "id", id, ret, unit_of_gateway);
}

static bool
unseal(struct http_call *c, struct str sealed, struct order *of)
{
	struct err err;

	if (hub_unseal_deep(
		hub_of(c), &c->arena, sealed, &of->provider, &err) == 0)
		return true;
	http_error(c, 400, "err_param", "%s", err.text);
	return false;
}

static void
test_gateway(struct http_call *c)
{
	struct order of = { .live = true };
	const struct gateway_ask *ask;
	struct route_gateway row;
	struct rest_body b;

	if (!gateway_for(c, http_var(c, 0), &row) ||
	    !rest_read(c, &c->route->body, NULL, &b) ||
	    !unseal(c, row.provider, &of))
		return;
	ask = b.row;
	of.unit_id = row.unit_id;
	of.gateway_id = row.id;
	of.root = route_gateway_root(&c->arena, row.unit_code, row.code);
	of.listen_ms = ask->listen_ms;
	answer(c, &of);
}

/* One that is not stored, or not yet so. */
static void
test_new_gateway(struct http_call *c)
{
	struct hub *h = hub_of(c);
	struct order of = { 0 };
	const struct gateway_ask *ask;
	struct route_gateway row = { 0 };
	struct str provider, unit_code = STR("");
	struct rest_body b;
	struct err err;
	int rc;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	ask = b.row;
	provider = ask->provider;
	rc = route_may_unit(h->route, c, ask->unit_id, REST_ADD);
	if (rc == 0)
		http_error(c, 400, "err_hub_unit_not_exist", NULL);
	if (rc != 1)
		return;
	if (route_unit_code(
		h->route, ask->unit_id, &c->arena, &unit_code, &err) < 0) {
		rest_db_error(c, &err);
		return;
	}
	if (ask->gateway_id.len > 0) {
		if (!gateway_for(c, ask->gateway_id, &row))
			return;
		provider = hub_secrets_kept(&c->arena, provider, row.provider);
	}
	if (!unseal(c, provider, &of))
		return;
	of.unit_id = ask->unit_id;
	of.root = route_gateway_root(&c->arena, unit_code,
	    ask->code.len > 0      ? arena_lower(&c->arena, ask->code)
		: row.code.len > 0 ? row.code
				   : STR("+"));
	of.listen_ms = ask->listen_ms;
	answer(c, &of);
}

struct account_ask {
	struct str password, url;
};
#define A struct account_ask
static const struct field account_ask_fields[] = {
	F_TEXT(A, password, "password", .flags = FIELD_SECRET | FIELD_NULL,
	    .max = 256,
	    .help = "Of its queues. It is not kept; without it the test ends "
		    "where it is needed."),
	F_TEXT(A, url, "url", .flags = FIELD_NULL, .max = 512,
	    .help = "Where it connects to, as mqtts://iot.example.com:8883. "
		    "Without it: this server, from itself."),
	{ 0 },
};
#undef A
static const struct record account_ask_record = { "queueTest",
	sizeof(struct account_ask), account_ask_fields };

/* The first address at which we listen ourselves. */
static struct str
own_url(struct hub *h, struct arena *a)
{
	struct str all, first = STR_NULL;

	pthread_mutex_lock(&h->lock);
	all = arena_str(a, h->listens.ptr != NULL ? h->listens : STR(""));
	pthread_mutex_unlock(&h->lock);
	while (all.len > 0 && !str_starts(first, STR("mqtt://"))) {
		struct str one = str_cut(&all, ' ');

		if (str_starts(one, STR("mqtt://")) ||
		    (first.ptr == NULL && str_starts(one, STR("mqtts://"))))
			first = one;
	}
	return first;
}

static struct str
account_provider(struct arena *a, struct str url, struct str user,
    struct str password, struct str topic)
{
	const struct {
		const char *key;
		struct str value;
	} members[] = { { "type", STR("mqtt") }, { "broker", url },
		{ "username", user },
		{ "password", password.ptr != NULL ? password : STR("") },
		{ "subscribe", topic } };
	struct buf b = { 0 };
	struct json_out o;
	struct str ret;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "type");
	json_out_str(&o, STR("generic_mqtt"));
	json_out_key(&o, "protocol");
	json_out_object(&o);
	for (size_t i = 0; i < COUNT_OF(members); i++) {
		json_out_key(&o, members[i].key);
		json_out_str(&o, members[i].value);
	}
	json_out_end_object(&o);
	json_out_end_object(&o);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

static bool
has_account(struct http_call *c, struct str owner_id, bool *found)
{
	struct filter f = { 0 };
	struct route_account account;
	struct err err;

	filter_text(&f, "ownerId", owner_id);
	if (store_get(route_store(hub_of(c)->route), &route_account_entity, &f,
		&c->arena, &account, found, &err) == 0)
		return true;
	rest_db_error(c, &err);
	return false;
}

static void
test_account(struct http_call *c, bool application)
{
	const struct rest_object *object =
	    application ? &route_application_object : &route_network_object;
	struct order of = { .listen_ms = LISTEN_MS };
	const struct account_ask *ask;
	int64_t began = clock_mono();
	struct str user, topic, url;
	struct route_end end;
	struct rest_body b;
	bool found;

	if (!row_for(c, object->entity, object->id, http_var(c, 0), &end,
		unit_of_end) ||
	    !rest_read(c, &c->route->body, NULL, &b) ||
	    !has_account(c, end.id, &found))
		return;
	ask = b.row;
	url = ask->url.len > 0 ? ask->url : own_url(hub_of(c), &c->arena);
	if (url.ptr == NULL) {
		http_error(c, 400, "err_param",
		    "url: this server listens for MQTT nowhere (mqtt.port)");
		return;
	}
	user = route_user_name(&c->arena, application, &end);
	topic = arena_printf(
	    &c->arena, "broker." STR_FMT "." ROUTE_ECHO, STR_ARG(user));
	of.unit_id = end.unit_id.len > 0 ? end.unit_id : STR("");
	of.root = STR("");
	of.gateway_id = STR("");
	of.own = ask->url.len == 0;
	of.no_account = !found;
	of.no_password = ask->password.len == 0;
	of.account_ms = clock_mono() - began;
	of.echo = topic.ptr;
	of.provider =
	    account_provider(&c->arena, url, user, ask->password, topic);
	answer(c, &of);
}

static void
test_application(struct http_call *c)
{
	test_account(c, true);
}

static void
test_network(struct http_call *c)
{
	test_account(c, false);
}

struct look {
	struct str id;
	struct arena *arena;
	struct str unit_id; /* STR_NULL: there is no such test */
	struct buf json;
};

static void
look(struct hub *h, void *ctx)
{
	struct look *l = ctx;
	struct json_out o;

	LIST_EACH (t, &h->tests, struct test, link) {
		if (!str_eq(t->id, l->id))
			continue;
		l->unit_id = arena_str(l->arena, t->unit_id);
		json_out_init(&o, &l->json, false);
		json_out_object(&o);
		write_test(&o, t);
		json_out_end_object(&o);
	}
}

static void
get_test(struct http_call *c)
{
	struct look l = { http_var(c, 0), &c->arena, STR_NULL, { 0 } };
	struct hub *h = hub_of(c);
	bool may = false;

	hub_ask(h, look, &l);
	if (l.unit_id.ptr != NULL && l.unit_id.len == 0)
		may = auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER);
	else if (l.unit_id.ptr != NULL)
		may = route_may_unit(h->route, c, l.unit_id, REST_PATCH) == 1;
	if (may) {
		json_out_object(http_json(c, 200));
		json_out_key(&c->json, "data");
		json_out_raw(&c->json, buf_str(&l.json));
		json_out_end_object(&c->json);
	} else if (c->status == 0) {
		http_error(c, 404, "err_not_found",
		    "there is no such test, or it was over a minute ago");
	}
	buf_free(&l.json);
}

const struct http_route hub_trial_rows[] = {
	{ "POST", "/test", HTTP_TOKEN, .scope = "test.post",
	    .body = { .record = &gateway_ask_record,
		.members = "unitId! provider! gatewayId code listenMs" },
	    .reply = { .record = &shown_trial_record },
	    .handle = test_new_gateway,
	    .help = "Tests whether a gateway would connect, before it is "
		    "made or changed. GET /test/{id} tells how far it is." },
	{ "POST", "/gateway/{id}/test", HTTP_TOKEN,
	    .scope = "gateway.post.test",
	    .body = { .record = &gateway_ask_record, .members = "listenMs" },
	    .reply = { .record = &shown_trial_record }, .handle = test_gateway,
	    .help = "Tests the connection of a gateway; of one that is "
		    "connected it tells how that went." },
	{ "POST", "/application/{applicationId}/test", HTTP_TOKEN,
	    .scope = "application.post.test",
	    .body = { .record = &account_ask_record,
		.members = "password url" },
	    .reply = { .record = &shown_trial_record },
	    .handle = test_application,
	    .help = "Tests whether an application can sign in and its "
		    "messages get through. Its queues are not touched." },
	{ "POST", "/network/{networkId}/test", HTTP_TOKEN,
	    .scope = "network.post.test",
	    .body = { .record = &account_ask_record,
		.members = "password url" },
	    .reply = { .record = &shown_trial_record }, .handle = test_network,
	    .help = "Tests whether a network can sign in and its messages "
		    "get through. Its queues are not touched." },
	{ "GET", "/test/{testId}", HTTP_TOKEN, .scope = "test.get",
	    .reply = { .record = &shown_trial_record }, .handle = get_test,
	    .help = "How far a connection test is: each stage with what is "
		    "wrong and what to do." },
	{ 0 },
};

/*
 * plug/gateway/generic_http.c - any network behind HTTP servers, by scripts.
 *
 * Up: each of `endpoints` is asked every `executionInterval`. A round is a row
 * of steps:
 *
 *    preRun calls, by name -> the call -> postRun calls -> script -> frames
 *
 * Down: a message for a node takes that of `nodes`, or `default`:
 *
 *    preRun calls, by name -> script -> the call -> postRun calls
 *
 * Scripts find `configIn` (the entry), `dataIn`, `preRunResponse` and
 * `postRunResponse`. Up `dataIn` is the answer, a text with StringBody(),
 * statusCode and headers; down it is the message, and the script says by
 * `execute` whether the call is made, by `configOut` what is different in it,
 * and by `dataOut` what is to be taken as heard.
 *
 * The link is up when an endpoint has answered as it should, and down when none
 * does; without any it is up.
 */
#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/entity_json.h"
#include "codec/url.h"
#include "codec/yaml.h"
#include "net/http/client.h"
#include "plug/gateway/generic.h"
#include "plug/gateway/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 1000 /* endpoints, nodes, each */
#define EXTRA_MAX 20     /* preRun, postRun, each */
#define INTERVAL_MIN_MS 1000
#define PER_HOST 4

struct spec {
	struct str script;
	int64_t retries;
};

#define S struct spec
static const struct field spec_fields[] = {
	F_JSON(S, script, "script", .flags = FIELD_NULL | FIELD_OBJECT,
	    .help = "{\"onReceive\": JavaScript for endpoints without a script "
		    "of their own}."),
	F_INT(S, retries, "retryCount", .def = "1", .min = 1, .max = 10,
	    .help = "How often a message is tried when there is no answer, or "
		    "HTTP 5xx."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "generic_http", sizeof(struct spec),
	spec_fields };

struct protocol {
	struct str headers, query, endpoints, nodes;
};

#define S struct protocol
static const struct field protocol_fields[] = {
	F_JSON(S, headers, "headers", .flags = FIELD_SECRET | FIELD_OBJECT,
	    .help = "Headers of calls with includeGlobalConfig."),
	F_JSON(S, query, "queryParameters",
	    .flags = FIELD_SECRET | FIELD_OBJECT,
	    .help = "What stands behind \"?\" in those calls."),
	F_JSON(S, endpoints, "endpoints", .flags = FIELD_OBJECT,
	    .help = "What is asked again and again, by name: {\"url\", "
		    "\"method\", \"headers\", \"queryParameters\", "
		    "\"bodyLanguage\", \"body\", \"responseCode\", "
		    "\"includeGlobalConfig\", \"script\", \"insecure\", "
		    "\"preRun\", \"postRun\", \"disabled\", "
		    "\"executionInterval\"}."),
	F_JSON(S, nodes, "nodes", .flags = FIELD_OBJECT,
	    .help = "How a message gets to a node, or to default: the same "
		    "members."),
	{ 0 },
};
#undef S
const struct record gateway_http_record = { "http", sizeof(struct protocol),
	protocol_fields };

struct entry {
	struct str url, method, headers, query, language, body, script;
	struct str before, after, interval;
	int64_t code;
	bool global, insecure, disabled;
};

#define S struct entry
static const struct field entry_fields[] = {
	F_TEXT(S, url, "url"),
	F_TEXT(S, method, "method"),
	F_JSON(S, headers, "headers", .flags = FIELD_OBJECT),
	F_JSON(S, query, "queryParameters", .flags = FIELD_OBJECT),
	F_TEXT(S, language, "bodyLanguage", .def = "\"json\""),
	F_JSON(S, body, "body", .flags = FIELD_NULL),
	F_INT(S, code, "responseCode", .max = 999),
	F_BOOL(S, global, "includeGlobalConfig"),
	F_TEXT(S, script, "script"),
	F_BOOL(S, insecure, "insecure"),
	F_JSON(S, before, "preRun", .flags = FIELD_OBJECT),
	F_JSON(S, after, "postRun", .flags = FIELD_OBJECT),
	F_BOOL(S, disabled, "disabled"),
	F_TEXT(S, interval, "executionInterval", .def = "\"10m\""),
	{ 0 },
};
#undef S
static const struct record entry_record = { "entry", sizeof(struct entry),
	entry_fields };

/* A request, ready but for the body of a message. */
struct call {
	struct str name;
	struct http_request request;
	int64_t code; /* 0: any from 200 to 299 */
};

struct calls {
	struct call *at;
	size_t n;
};

struct place { /* an endpoint or a node */
	struct http *h;
	struct str name, json;
	struct str script;
	struct call call;
	struct calls before, after;
	bool disabled;
	int64_t interval_ms;
	/* endpoints */
	struct loop_timer timer;
	struct round *round; /* while it is being asked */
	bool known, good;    /* how the last round went */
};

struct http {
	struct gateway *g;
	struct arena arena;
	struct str on_receive;
	int64_t retries;
	struct protocol protocol;
	const char *ca_file;
	struct http_client *client;
	struct generic_scripts scripts;
	struct place **endpoints, **nodes;
	size_t n_endpoints, n_nodes;
};

enum go { WAIT, NEXT };

struct round {
	struct place *p;
	struct gateway_job *job; /* NULL: an endpoint is asked */
	struct arena arena;
	const struct step *step;
	size_t i; /* call of preRun or postRun */
	struct call call;
	bool skip; /* the script does not want the call */
	bool failed, again;
	int64_t attempts;
	struct http_fetch *fetch;
	struct generic_script script;
	const struct call *asked; /* what `fetch` is for */
	struct buf before, after; /* members of objects of answers */
	struct str answer;        /* JSON; null: none yet */
	struct str body;
};

struct step {
	enum go (*run)(struct round *r);
};

/* --- calls -----------------------------------------------------------------
 */

/* What is not for the eyes of who reads the log. */
static bool
is_secret(struct str name)
{
	static const char *const words[] = { "auth", "token", "key", "secret",
		"pass", "cookie", "appid", "session" };

	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (str_contains_nocase(name, str_of(words[i])))
			return true;
	return false;
}

static void
keep_secrets(struct http *h, struct str object)
{
	struct buf coded = { 0 };
	struct json j;
	struct str key, value;

	json_open(&j, object, 0, &h->arena);
	if (!json_object(&j))
		return;
	while (json_member(&j, &key)) {
		value = http_plain(&j);
		if (!is_secret(key))
			continue;
		gateway_secret(h->g, value);
		url_form_encode(&coded, value);
		gateway_secret(h->g, buf_str(&coded));
		buf_clear(&coded);
		str_cut(&value, ' '); /* what follows "Bearer" */
		if (value.ptr != NULL)
			gateway_secret(h->g, value);
	}
	buf_free(&coded);
}

static int
make_url(struct http *h, struct arena *a, const struct entry *e,
    const char **ret, struct err *err)
{
	struct buf url = { 0 };
	struct str host;
	int rc = 0;

	buf_add_str(&url, e->url);
	if (e->global)
		rc = http_add_query(a, &url, h->protocol.query, err);
	if (rc == 0)
		rc = http_add_query(a, &url, e->query, err);
	if (rc == 0)
		rc = http_check_url(a, buf_str(&url), &host, err);
	if (rc == 0)
		rc = gateway_check_host(h->g, host, err);
	if (rc == 0)
		*ret = arena_z(a, buf_str(&url));
	buf_free(&url);
	return rc;
}

static int
make_body(struct arena *a, const struct entry *e, struct http_request *r,
    struct err *err)
{
	struct str type = STR("Content-Type: application/json");
	struct buf yaml = { 0 };

	if (e->body.ptr == NULL || strcmp(r->method, "GET") == 0 ||
	    strcmp(r->method, "HEAD") == 0)
		return 0;
	r->body = generic_plain(a, e->body);
	if (str_eq_nocase(e->language, STR("yaml"))) {
		type = STR("Content-Type: application/yaml");
		if (*e->body.ptr != '"' && yaml_write(&yaml, e->body))
			r->body = arena_str(a, buf_str(&yaml));
		buf_free(&yaml);
	} else if (str_eq_nocase(e->language, STR("plaintext"))) {
		type = STR("Content-Type: text/plain; charset=utf-8");
	} else if (!str_eq_nocase(e->language, STR("json"))) {
		return err_set(err, ERR_PARAM,
		    "bodyLanguage: must be json, yaml or plaintext");
	}
	if (!http_has_header(&r->headers, STR("Content-Type:")))
		http_add_header(a, &r->headers, type);
	return 0;
}

static int
make_call(struct http *h, struct arena *a, const struct entry *e,
    const char *method, struct call *ret, struct err *err)
{
	const struct gateway_settings *set = gateway_host_of(h->g)->settings;
	struct http_request *r = &ret->request;
	int rc;

	*ret = (struct call){ .code = e->code };
	r->insecure = e->insecure;
	r->ca_file = h->ca_file;
	r->timeout_ms = set->http_ms;
	r->size_max = (size_t)set->http_size;
	r->whole = true;
	/* elsewhere only when any host will do and no 3xx is waited for */
	r->follow = str_trim(set->allow_hosts).len == 0 && e->code / 100 != 3
	    ? HTTP_FOLLOW
	    : HTTP_STAY;
	rc = http_method(
	    e->method.len > 0 ? e->method : str_of(method), &r->method, err);
	if (rc == 0)
		rc = make_url(h, a, e, &r->url, err);
	if (rc == 0 && e->global)
		rc = http_add_headers(a, &r->headers, h->protocol.headers, err);
	if (rc == 0)
		rc = http_add_headers(a, &r->headers, e->headers, err);
	return rc == 0 ? make_body(a, e, r, err) : rc;
}

/* --- open ------------------------------------------------------------------
 */

static int
by_name(const void *a, const void *b)
{
	return str_cmp(
	    ((const struct call *)a)->name, ((const struct call *)b)->name);
}

static int
read_entry(struct http *h, struct str json, struct entry *e, struct err *err)
{
	struct url url;
	int rc = record_read(&entry_record, &h->arena, json, e, err);

	if (rc != 0)
		return rc;
	keep_secrets(h, e->headers);
	keep_secrets(h, e->query);
	if (url_parse(&h->arena, e->url, &url))
		gateway_secret(h->g, url.password);
	return 0;
}

/* preRun, postRun */
static int
make_calls(
    struct http *h, struct str object, struct calls *ret, struct err *err)
{
	struct arena *a = &h->arena;
	struct entry e;
	struct json j;
	struct str key, raw;

	ret->at = arena_array(a, EXTRA_MAX, struct call);
	json_open(&j, object, 0, a);
	if (!json_object(&j))
		return 0;
	while (json_member(&j, &key) && json_raw(&j, &raw)) {
		struct call *c = &ret->at[ret->n];

		if (ret->n == EXTRA_MAX)
			return err_set(err, ERR_PARAM, "there are more than %d",
			    EXTRA_MAX);
		if (read_entry(h, raw, &e, err) != 0 ||
		    make_call(h, a, &e, "GET", c, err) != 0)
			return err_wrap(
			    err, STR_FMT, (int)MIN_OF(key.len, 60), key.ptr);
		c->name = arena_str(a, key);
		ret->n++;
	}
	if (ret->n > 1)
		qsort(ret->at, ret->n, sizeof(*ret->at), by_name);
	return json_done(&j, err);
}

static int
fill_place(struct http *h, struct place *p, struct str json, const char *method,
    struct err *err)
{
	struct arena *a = &h->arena;
	struct entry e;
	int rc = read_entry(h, json, &e, err);

	if (rc == 0)
		rc = make_call(h, a, &e, method, &p->call, err);
	if (rc == 0 && make_calls(h, e.before, &p->before, err) != 0)
		rc = err_wrap(err, "preRun");
	if (rc == 0 && make_calls(h, e.after, &p->after, err) != 0)
		rc = err_wrap(err, "postRun");
	if (rc == 0)
		rc = gateway_duration(
		    e.interval, "executionInterval", &p->interval_ms, err);
	if (rc == 0 && p->interval_ms < INTERVAL_MIN_MS)
		rc = err_set(err, ERR_PARAM,
		    "executionInterval: one second at least is needed");
	p->json = json;
	p->disabled = e.disabled;
	p->script = e.script;
	return rc;
}

static void on_timer(struct loop_timer *t);

static int
make_places(struct http *h, struct str object, const char *what,
    const char *method, struct place ***ret, size_t *n, struct err *err)
{
	struct arena *a = &h->arena;
	struct json j;
	struct str key, raw;
	int rc = 0;

	*ret = arena_array(a, ENTRIES_MAX, struct place *);
	json_open(&j, object, 0, a);
	if (!json_object(&j))
		return 0;
	while (rc == 0 && json_member(&j, &key) && json_raw(&j, &raw)) {
		struct place *p = arena_new(a, struct place);

		if (*n == ENTRIES_MAX)
			return err_set(err, ERR_PARAM,
			    "%s: there are more than %d", what, ENTRIES_MAX);
		(*ret)[(*n)++] = p;
		p->h = h;
		p->name = arena_str(a, key);
		p->timer.fire = on_timer;
		rc = fill_place(h, p, raw, method, err);
		if (rc != 0)
			err_wrap(err, "protocol: %s: " STR_FMT, what,
			    (int)MIN_OF(key.len, 60), key.ptr);
	}
	return rc == 0 ? json_done(&j, err) : rc;
}

static void
http_close(void *own)
{
	struct http *h = own;

	generic_scripts_close(&h->scripts);
	http_client_free(h->client);
	arena_fini(&h->arena);
	free(h);
}

static int
read_protocol(struct http *h, struct err *err)
{
	if (record_read(&gateway_http_record, &h->arena,
		gateway_protocol_json(h->g), &h->protocol, err) != 0)
		return err_wrap(err, "protocol");
	keep_secrets(h, h->protocol.headers);
	keep_secrets(h, h->protocol.query);
	return 0;
}

static int
http_open(struct gateway *g, const void *spec, void **ret, struct err *err)
{
	static const struct http_client_limits limits = { 0, PER_HOST };
	const struct gateway_host *host = gateway_host_of(g);
	const struct spec *s = spec;
	struct http *h = mem_new(struct http);
	struct generic_script_spec script;
	int rc;

	h->g = g;
	h->retries = s->retries;
	generic_scripts_init(&h->scripts, g);
	if (host->settings->ca_file.len > 0)
		h->ca_file = arena_z(&h->arena, host->settings->ca_file);
	rc = generic_read_script(&h->arena, s->script, &script, err);
	if (rc == 0)
		rc = read_protocol(h, err);
	if (rc == 0)
		rc = make_places(h, h->protocol.endpoints, "endpoints", "GET",
		    &h->endpoints, &h->n_endpoints, err);
	if (rc == 0)
		rc = make_places(h, h->protocol.nodes, "nodes", "POST",
		    &h->nodes, &h->n_nodes, err);
	if (rc != 0) {
		http_close(h);
		return rc;
	}
	h->on_receive = script.on_receive;
	h->client = http_client_new(host->loop, &limits);
	*ret = h;
	return 0;
}

/* --- rounds ----------------------------------------------------------------
 */

static void advance(struct round *r);
static void end_round(struct round *r, const char *why);

static void
free_round(struct round *r)
{
	http_fetch_cancel(r->fetch);
	generic_script_cancel(&r->p->h->scripts, &r->script);
	if (r->job == NULL)
		r->p->round = NULL;
	else
		r->job->own = r->p; /* it may be sent again */
	buf_free(&r->before);
	buf_free(&r->after);
	arena_fini(&r->arena);
	free(r);
}

static void
put_answer(struct buf *out, const struct http_answer *a)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	json_out_key(&o, "statusCode");
	json_out_int(&o, a->status);
	json_out_key(&o, "headers");
	json_out_raw(&o, a->headers.ptr != NULL ? a->headers : STR("{}"));
	json_out_key(&o, "body");
	json_out_str(&o, a->body.ptr != NULL ? a->body : STR(""));
	json_out_end_object(&o);
}

static bool
is_good(const struct call *c, int status)
{
	return c->code != 0 ? status == c->code
			    : status >= 200 && status <= 299;
}

static void
keep_answer(struct round *r, const struct http_answer *a)
{
	struct buf json = { 0 };

	put_answer(&json, a);
	if (r->asked == &r->call) {
		r->answer = arena_str(&r->arena, buf_str(&json));
		r->body = arena_str(
		    &r->arena, a->body.ptr != NULL ? a->body : STR(""));
	} else {
		struct buf *to = r->answer.ptr != NULL ? &r->after : &r->before;

		if (to->len > 0)
			buf_addc(to, ',');
		json_quote(to, r->asked->name);
		buf_addc(to, ':');
		buf_add_str(to, buf_str(&json));
	}
	buf_free(&json);
}

static void
on_answer(void *ctx, const struct http_answer *a)
{
	struct round *r = ctx;
	char why[200];

	r->fetch = NULL;
	if (a->status != 0 && is_good(r->asked, a->status)) {
		keep_answer(r, a);
		advance(r);
		return;
	}
	r->again = a->status == 0 ? a->again : a->status >= 500;
	r->failed = true;
	if (a->status == 0)
		snprintf(why, sizeof(why), STR_FMT ": %s", STR_ARG(r->p->name),
		    a->why);
	else
		snprintf(why, sizeof(why),
		    STR_FMT ": the server answered HTTP %d",
		    STR_ARG(r->p->name), a->status);
	end_round(r, why);
}

static void
ask(struct round *r, const struct call *c)
{
	r->asked = c;
	r->fetch = http_fetch_start(r->p->h->client, &c->request, on_answer, r);
}

/* preRun before the call, postRun behind it. */
static enum go
run_extra(struct round *r, const struct calls *c)
{
	if (r->i == c->n) {
		r->i = 0;
		return NEXT;
	}
	ask(r, &c->at[r->i++]);
	return WAIT;
}

static enum go
run_before(struct round *r)
{
	return run_extra(r, &r->p->before);
}

static enum go
run_after(struct round *r)
{
	return run_extra(r, &r->p->after);
}

static enum go
run_call(struct round *r)
{
	struct gateway *g = r->p->h->g;

	if (r->answer.ptr != NULL || r->skip)
		return NEXT;
	if (r->job != NULL)
		gateway_passed(g, true, r->p->name,
		    r->call.request.body.ptr != NULL ? r->call.request.body
						     : STR(""));
	ask(r, &r->call);
	return WAIT;
}

/* --- scripts ---------------------------------------------------------------
 */

/* Answers as texts that know more of themselves, as in MyController. In one
 * line, so that lines in errors are those of the script. */
#define ANSWERS                                                                \
	"const answer_ = r => Object.assign(new String(r.body), "              \
	"{ statusCode: r.statusCode, headers: r.headers, body: r.body, "       \
	"StringBody: () => r.body }), answers_ = o => Object.fromEntries("     \
	"Object.keys(o).map(k => [k, answer_(o[k])])), "                       \
	"preRunResponse = answers_(before_), "                                 \
	"postRunResponse = answers_(after_); "
#define DATA_IN "const dataIn = answer_(answerIn_); "

static void
start_script(struct round *r, struct str source)
{
	struct buf vars = { 0 }, text = { 0 };
	struct err err;

	buf_addf(&vars,
	    "{\"configIn\":" STR_FMT ",\"%s\":" STR_FMT ",\"before_\":{" STR_FMT
	    "},\"after_\":{" STR_FMT "}}",
	    STR_ARG(r->p->json), r->job != NULL ? "dataIn" : "answerIn_",
	    STR_ARG(r->job != NULL ? r->job->frame.data : r->answer),
	    (int)r->before.len, r->before.len > 0 ? r->before.ptr : "",
	    (int)r->after.len, r->after.len > 0 ? r->after.ptr : "");
	buf_addz(&text, ANSWERS);
	if (r->job == NULL)
		buf_addz(&text, DATA_IN);
	buf_add_str(&text, source);
	if (generic_script_start(&r->p->h->scripts, &r->script, buf_str(&text),
		buf_str(&vars), &err) != 0)
		r->script.done(&r->script, STR_NULL, &err);
	buf_free(&text);
	buf_free(&vars);
}

/* What an endpoint's round was for. What is wrong with it is no matter of the
 * link. */
static void
take_messages(struct round *r, struct str result, const struct err *err)
{
	struct http *h = r->p->h;
	struct err why = *err;

	if (why.code == 0)
		(void)generic_hand_up(h->g, NULL, "endpoint", r->p->name,
		    r->job != NULL ? result : r->body, result, &why);
	if (why.code != 0 && why.code != ERR_CLOSED)
		gateway_bad(h->g, why.text);
}

static void
on_read_by(struct generic_script *s, struct str result, const struct err *err)
{
	struct round *r = container_of(s, struct round, script);

	take_messages(r, result, err);
	end_round(r, NULL);
}

static enum go
run_reader(struct round *r)
{
	static const struct err good = { 0 };
	struct str source =
	    r->p->script.len > 0 ? r->p->script : r->p->h->on_receive;

	gateway_passed(r->p->h->g, false, r->p->name, r->body);
	if (source.len == 0) {
		take_messages(r, r->body, &good);
		return NEXT;
	}
	r->script.done = on_read_by;
	start_script(r, source);
	return WAIT;
}

/* The call as the script wants it. */
static int
change_call(struct round *r, struct str change, struct err *err)
{
	struct http *h = r->p->h;
	struct buf merged = { 0 };
	struct json_out o;
	struct json j;
	struct str key, raw;
	struct entry e;
	int rc;

	json_out_init(&o, &merged, false);
	json_out_object(&o);
	json_open(&j, r->p->json, 0, &r->arena);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &raw)) {
			if (generic_member(
				&r->arena, change, arena_z(&r->arena, key))
				.ptr != NULL)
				continue;
			json_out_key_str(&o, key);
			json_out_raw(&o, raw);
		}
	json_open(&j, change, 0, &r->arena);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &raw)) {
			json_out_key_str(&o, key);
			json_out_raw(&o, raw);
		}
	json_out_end_object(&o);
	rc = record_read(&entry_record, &r->arena,
	    arena_str(&r->arena, buf_str(&merged)), &e, err);
	buf_free(&merged);
	return rc == 0 ? make_call(h, &r->arena, &e, "POST", &r->call, err)
		       : rc;
}

static void
on_sent_by(struct generic_script *s, struct str result, const struct err *err)
{
	static const struct err good = { 0 };
	struct round *r = container_of(s, struct round, script);
	struct arena *a = &r->arena;
	struct err why = *err;
	struct str out, change;

	if (why.code == 0) {
		out = generic_member(a, result, "dataOut");
		change = generic_member(a, result, "configOut");
		r->skip =
		    !str_eqz(generic_member(a, result, "execute"), "true");
		if (out.ptr != NULL)
			take_messages(r, out, &good);
		if (change.ptr != NULL && *change.ptr == '{')
			change_call(r, change, &why);
	}
	if (why.code == 0) {
		advance(r);
		return;
	}
	r->failed = true;
	end_round(r, why.text);
}

static enum go
run_sender(struct round *r)
{
	if (r->p->script.len == 0 || r->script.done != NULL)
		return NEXT;
	r->script.done = on_sent_by;
	start_script(r, r->p->script);
	return WAIT;
}

/* The step is the one that waited: it is run again, and sees what it has. */
static const struct step asking[] = { { run_before }, { run_call },
	{ run_after }, { run_reader }, { NULL } };
static const struct step telling[] = { { run_before }, { run_sender },
	{ run_call }, { run_after }, { NULL } };

static void
advance(struct round *r)
{
	while (r->step->run != NULL) {
		if (r->step->run(r) == WAIT)
			return;
		r->step++;
	}
	end_round(r, NULL);
}

static void
start_over(struct round *r)
{
	r->step = r->job != NULL ? telling : asking;
	r->i = 0;
	r->failed = r->again = r->skip = false;
	r->answer = STR_NULL;
	r->script.done = NULL;
	buf_clear(&r->before);
	buf_clear(&r->after);
	r->call = r->p->call;
	if (r->job != NULL && r->call.request.body.ptr == NULL &&
	    strcmp(r->call.request.method, "GET") != 0 &&
	    strcmp(r->call.request.method, "HEAD") != 0) {
		r->call.request.body = r->job->frame.data;
		if (!http_has_header(
			&r->call.request.headers, STR("Content-Type:")))
			http_add_header(&r->arena, &r->call.request.headers,
			    STR("Content-Type: application/json"));
	}
	r->attempts++;
	advance(r);
}

/* --- the end of a round ----------------------------------------------------
 */

/* An endpoint has answered, or not. */
static void
note(struct place *p, bool good, const char *why)
{
	struct http *h = p->h;
	bool hope = false;

	p->known = true;
	p->good = good;
	loop_after(gateway_host_of(h->g)->loop, &p->timer, p->interval_ms);
	if (good) {
		gateway_link_up(h->g);
		return;
	}
	gateway_bad(h->g, why);
	for (size_t i = 0; i < h->n_endpoints; i++) {
		const struct place *e = h->endpoints[i];

		hope |= !e->disabled && (e->good || !e->known);
	}
	if (!hope)
		gateway_link_down(h->g, why);
}

static void
end_round(struct round *r, const char *why)
{
	struct http *h = r->p->h;
	struct place *p = r->p;
	struct gateway_job *job = r->job;
	bool failed = r->failed;
	char text[200];
	struct err err = { 0 };

	if (failed && job != NULL && r->again && r->attempts < h->retries) {
		start_over(r);
		return;
	}
	snprintf(text, sizeof(text), "%s", why != NULL ? why : "");
	free_round(r);
	if (job == NULL) {
		note(p, !failed, text);
		return;
	}
	if (failed)
		err_set(&err, ERR_IO, "%s", text);
	gateway_job_done(
	    h->g, job, failed ? GATEWAY_FAILED : GATEWAY_SENT, &err);
}

static struct round *
new_round(struct place *p, struct gateway_job *job)
{
	struct round *r = mem_new(struct round);

	r->p = p;
	r->job = job;
	return r;
}

/* --- the link --------------------------------------------------------------
 */

static void
on_timer(struct loop_timer *t)
{
	struct place *p = container_of(t, struct place, timer);

	p->round = new_round(p, NULL);
	start_over(p->round);
}

static void
http_start(void *own)
{
	struct http *h = own;
	bool any = false;

	for (size_t i = 0; i < h->n_endpoints; i++) {
		if (h->endpoints[i]->disabled)
			continue;
		any = true;
		loop_after(
		    gateway_host_of(h->g)->loop, &h->endpoints[i]->timer, 0);
	}
	if (!any)
		gateway_link_up(h->g);
}

static void
http_stop(void *own)
{
	struct http *h = own;

	for (size_t i = 0; i < h->n_endpoints; i++) {
		struct place *p = h->endpoints[i];

		loop_cancel(gateway_host_of(h->g)->loop, &p->timer);
		p->known = p->good = false;
		if (p->round != NULL)
			free_round(p->round);
	}
}

/* --- down ------------------------------------------------------------------
 */

static struct place *
node_of(struct http *h, struct str name)
{
	struct place *other = NULL;

	for (size_t i = 0; i < h->n_nodes; i++) {
		struct place *p = h->nodes[i];

		if (str_eq(p->name, name))
			return p;
		if (str_eqz(p->name, "default"))
			other = p;
	}
	return other;
}

static int
no_node(struct str node, struct err *err)
{
	return err_set(err, ERR_PARAM,
	    "nodes: there is neither " STR_FMT " nor default",
	    (int)MIN_OF(node.len, 60), node.ptr);
}

static void
http_write(void *own, struct gateway_write *w)
{
	struct http *h = own;
	struct buf message = { 0 }, ext = { 0 };
	struct json_out o;
	struct err err = { 0 };

	if (node_of(h, w->message.node) == NULL) {
		no_node(w->message.node, &err);
		gateway_write_done(w, &err);
		return;
	}
	generic_put_message(&message, &w->message);
	json_out_init(&o, &ext, false);
	json_out_object(&o);
	generic_put_slot(&o, &w->message);
	json_out_end_object(&o);
	w->frame.node = w->message.node;
	w->frame.data = arena_str(&w->arena, buf_str(&message));
	w->frame.extension = arena_str(&w->arena, buf_str(&ext));
	w->n_frames = 1;
	buf_free(&message);
	buf_free(&ext);
	gateway_write_done(w, NULL);
}

static int
http_prepare(void *own, struct gateway_job *j, struct err *err)
{
	struct place *p = node_of(own, j->frame.node);

	if (p == NULL)
		return no_node(j->frame.node, err);
	if (!json_valid(j->frame.data, 0))
		return err_set(err, ERR_PARAM, "the frame is no JSON");
	j->own = p;
	return 0;
}

static void
http_send(void *own, struct gateway_job *j)
{
	struct place *p = j->own;
	struct round *r = new_round(p, j);

	(void)own;
	j->own = r; /* for cancel, until it ends */
	start_over(r);
}

static void
http_cancel(void *own, struct gateway_job *j)
{
	(void)own;
	free_round(j->own);
}

const struct gateway_ops gateway_generic_http = {
	.name = "generic_http",
	.protocols = GATEWAY_HTTP,
	.spec = &spec_record,
	.open = http_open,
	.close = http_close,
	.start = http_start,
	.stop = http_stop,
	.read = generic_read,
	.write = http_write,
	.prepare = http_prepare,
	.send = http_send,
	.cancel = http_cancel,
};

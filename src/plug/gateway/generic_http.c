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
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "plug/gateway/generic_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PER_HOST 4 /* connections */

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

/* --- rounds --------------------------------------------------------------- */

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

/* --- scripts -------------------------------------------------------------- */

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
	if (gateway_is_trial(r->p->h->g))
		return NEXT;
	if (source.len == 0) {
		take_messages(r, r->body, &good);
		return NEXT;
	}
	r->script.done = on_read_by;
	start_script(r, source);
	return WAIT;
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
			(void)generic_http_change(
			    r->p, a, change, &r->call, &why);
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

/* --- the end of a round --------------------------------------------------- */

/* An endpoint has answered, or not. */
static void
note(struct place *p, bool good, const char *why)
{
	struct http *h = p->h;
	bool hope = false, all = true;

	if (!p->known)
		gateway_stage_past(
		    h->g, "request", good, clock_mono() - p->asked_ms, why);
	p->known = true;
	p->good = good;
	loop_after(gateway_host_of(h->g)->loop, &p->timer, p->interval_ms);
	for (size_t i = 0; i < h->n_endpoints; i++) {
		const struct place *e = h->endpoints[i];

		hope |= !e->disabled && (e->good || !e->known);
		all &= e->disabled || e->known;
	}
	if (!good)
		gateway_bad(h->g, why);
	if (!hope)
		gateway_link_down(h->g, why);
	else if (gateway_is_trial(h->g) ? all : good)
		gateway_link_up(h->g);
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
	if (failed || why != NULL)
		snprintf(text, sizeof(text), "%s", why != NULL ? why : "");
	else
		snprintf(text, sizeof(text), STR_FMT,
		    (int)MIN_OF(p->name.len, 100), p->name.ptr);
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

/* --- the link ------------------------------------------------------------- */

static void
on_timer(struct loop_timer *t)
{
	struct place *p = container_of(t, struct place, timer);

	p->asked_ms = clock_mono();
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

/* --- down ----------------------------------------------------------------- */

static struct place *
node_of(struct http *h, struct str name)
{
	struct place *other = NULL;

	for (size_t i = 0; i < h->n_nodes; i++) {
		struct place *p = h->nodes[i];

		if (p->disabled)
			continue;
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

/* --- life ----------------------------------------------------------------- */

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
		rc = generic_http_conf(h, err);
	if (rc != 0) {
		http_close(h);
		return rc;
	}
	for (size_t i = 0; i < h->n_endpoints; i++)
		h->endpoints[i]->timer.fire = on_timer;
	h->on_receive = script.on_receive;
	h->client = http_client_new(host->loop, &limits);
	*ret = h;
	return 0;
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

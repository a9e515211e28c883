/*
 * core/hub/rehearse.c - rules tried out before they are trusted.
 *
 * What a task sees, would decide and would send; when a schedule would run;
 * whether a handler reaches its peer. Of a task nothing is done: no handler is
 * told, no state is kept, no trace written (but web servers that it asks are
 * asked). Who may change the unit's rules may try them.
 *
 *    worker                       loop
 *    hub_await() -- begins -->    script, web server, peer
 *       |   <------ answers ----  its end, or hub.tryTimeout
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/zone.h"
#include "net/http/openapi.h"
#include "plug/handler/handler.h"

#include <stdlib.h>

static bool
may_change(struct http_call *c, struct str unit_id)
{
	struct hub *h = (struct hub *)c->route->ctx;
	int may = route_may_unit(h->route, c, unit_id, REST_PATCH);

	if (may == 0)
		http_error(c, 400, "err_hub_unit_not_exist", NULL);
	return may == 1;
}

/* --- tasks --------------------------------------------------------------- */

struct about {
	struct str quick_id;
};
static const struct field about_fields[] = {
	F_TEXT(struct about, quick_id, "quickId", .def = "\"\"", .max = 1024,
	    .help = "Of the object whose event brings it about, as "
		    "field:gateway.node.source.field. Left out: a field that "
		    "passes eventFilter."),
	{ 0 },
};
static const struct record about_record = { "tried", sizeof(struct about),
	about_fields };

struct shown_task {
	struct str event, variables, message;
	bool triggered;
	int64_t took_ms;
	struct rows actions;
};
#define K struct shown_task
static const struct field shown_task_fields[] = {
	F_JSON(K, event, "event", .flags = FIELD_NULL,
	    .help = "What brought it about; null: nothing."),
	F_JSON(K, variables, "variables", .flags = FIELD_OBJECT | FIELD_NULL,
	    .help = "What it saw."),
	F_BOOL(K, triggered, "isTriggered", .help = "Its verdict."),
	F_TEXT(K, message, "message", .help = "What went wrong."),
	F_INT(K, took_ms, "took", .help = "In milliseconds."),
	F_RECORDS(K, actions, "actions", .record = &hub_preview_record,
	    .help = "What handlers would be given."),
	{ 0 },
};
#undef K
static const struct record shown_task_record = { "taskTried",
	sizeof(struct shown_task), shown_task_fields };

struct attempt {
	struct hub_wait wait;
	struct hub_trial trial;
	struct loop_timer timer;
	struct http_call *call;
	struct str quick_id;
	int64_t began;
};

/* {"type":"updated",...} of the object as it is. */
static struct str
event_of(struct arena *a, struct str type, struct str quick, struct str entity)
{
	struct buf b = { 0 };
	struct json_out o;
	struct str id, ret;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "type");
	json_out_str(&o, STR("updated"));
	json_out_key(&o, "entityType");
	json_out_str(&o, type);
	json_out_key(&o, "entityId");
	if (hub_json_at(a, entity, STR("id"), &id))
		json_out_raw(&o, id);
	else
		json_out_null(&o);
	json_out_key(&o, "entityQuickId");
	json_out_str(&o,
	    arena_printf(
		a, STR_FMT ":" STR_FMT, STR_ARG(type), STR_ARG(quick)));
	json_out_key(&o, "entity");
	json_out_raw(&o, entity);
	json_out_end_object(&o);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

/* Of the first field that the task listens to; STR_NULL: none. */
static struct str
some_event(struct hub *h, const struct hub_task *t, struct arena *a)
{
	static const char *const places[] = { "gatewayId", "nodeId", "sourceId",
		"fieldId" };
	struct str wanted[COUNT_OF(places)];
	struct cell *f;
	size_t pos = 0;

	if (!t->trigger_on_event ||
	    !hub_has(&t->event_filter.entity_types, STR("field")))
		return STR_NULL;
	for (size_t i = 0; i < COUNT_OF(places); i++)
		wanted[i] = hub_text_at(a, t->event_filter.filters, places[i]);
	while ((f = map_next(&h->quick, &pos)) != NULL) {
		const struct str *have[] = { &f->row.gateway_id,
			&f->row.node_id, &f->row.source_id, &f->row.field_id };
		bool fits = str_eq(f->row.unit_id, t->unit_id);
		struct str json;

		for (size_t i = 0; fits && i < COUNT_OF(places); i++)
			fits = wanted[i].ptr == NULL ||
			    str_eq(wanted[i], *have[i]);
		if (!fits)
			continue;
		json = hub_row_json(a, &hub_field_entity.record, &f->row);
		if (hub_passes(t->event_filter.filters, json))
			return event_of(a, STR("field"),
			    arena_printf(a,
				STR_FMT "." STR_FMT "." STR_FMT "." STR_FMT,
				STR_ARG(f->row.gateway_id),
				STR_ARG(f->row.node_id),
				STR_ARG(f->row.source_id),
				STR_ARG(f->row.field_id)),
			    json);
	}
	return STR_NULL;
}

static void
answer_attempt(struct attempt *t, const struct action *end)
{
	struct arena *a = &t->call->arena;
	const struct shown_task shown = {
		.event = end->event.len > 0 ? end->event : STR_NULL,
		.variables = end->variables.len > 0 ? end->variables : STR_NULL,
		.message = end->message,
		.triggered = end->triggered,
		.took_ms = clock_mono() - t->began,
		.actions = action_preview(t->wait.hub, end, a)
	};

	rest_answer(t->call, &shown_task_record, &shown);
	hub_answer(&t->wait);
}

static void
on_tried(struct hub_trial *trial, const struct action *end)
{
	struct attempt *t = container_of(trial, struct attempt, trial);

	loop_cancel(t->wait.hub->loop, &t->timer);
	answer_attempt(t, end);
}

static void
on_attempt_late(struct loop_timer *timer)
{
	struct attempt *t = container_of(timer, struct attempt, timer);

	task_try_end(&t->trial);
	http_error(t->call, 503, "err_timeout",
	    "it has not ended within %lld ms (hub.tryTimeout)",
	    (long long)t->wait.hub->conf.try_ms);
	hub_answer(&t->wait);
}

static void
begin_attempt(struct hub *h, struct hub_wait *w)
{
	struct attempt *t = container_of(w, struct attempt, wait);
	struct arena *a = &t->call->arena;
	struct str rest = t->quick_id, type = str_cut(&rest, ':'), entity;

	if (t->quick_id.len == 0) {
		t->trial.event = some_event(h, t->trial.row, a);
	} else if (rest.len > 0 &&
	    hub_object_by_quick_id(
		h, t->trial.row->unit_id, type, rest, a, &entity)) {
		t->trial.event = event_of(a, type, rest, entity);
	} else {
		http_error(t->call, 400, "err_param",
		    "quickId: there is no " STR_FMT, STR_ARG(t->quick_id));
		hub_answer(w);
		return;
	}
	t->trial.done = on_tried;
	t->timer.fire = on_attempt_late;
	t->began = clock_mono();
	loop_after(h->loop, &t->timer, h->conf.try_ms);
	task_try(h, &t->trial);
}

static void
handle_task(struct http_call *c)
{
	struct attempt t = { .call = c };
	struct rest_body b;

	if (!rest_read(c, &c->route->body, NULL, &b) ||
	    !rest_defaults(c, &hub_task_entity.record, &b) ||
	    !may_change(c, ((const struct hub_task *)b.row)->unit_id))
		return;
	t.trial.row = b.row;
	t.quick_id = ((const struct about *)b.extra)->quick_id;
	hub_await((struct hub *)c->route->ctx, begin_attempt, &t.wait);
}

/* --- schedules ----------------------------------------------------------- */

#define RUNS 5
#define LOOK_AHEAD 20000 /* runs that its validity may leave out */

struct shown_runs {
	struct strs next;
	struct str time_zone;
};
#define N struct shown_runs
static const struct field shown_runs_fields[] = {
	F_TEXTS(N, next, "next", .format = "date-time",
	    .help = "When it would run; fewer than five: not more often."),
	F_TEXT(N, time_zone, "timeZone", .help = "Whose clock it goes by."),
	{ 0 },
};
#undef N
static const struct record shown_runs_record = { "scheduleTried",
	sizeof(struct shown_runs), shown_runs_fields };

static void
handle_schedule(struct http_call *c)
{
	struct hub *h = (struct hub *)c->route->ctx;
	const struct hub_schedule *s;
	struct str runs[RUNS];
	struct shown_runs shown = { .next = { runs, 0 } };
	int64_t at = c->came_at;
	struct rest_body b;
	struct err err;
	int rc;

	if (!rest_read(c, &c->route->body, NULL, &b) ||
	    !rest_defaults(c, &hub_schedule_entity.record, &b))
		return;
	s = b.row;
	if (!may_change(c, s->unit_id))
		return;
	pthread_mutex_lock(&h->place_lock);
	rc = hub_schedule_check(s, &h->place, &err);
	for (int i = 0; rc == 0 && shown.next.n < RUNS && i < LOOK_AHEAD; i++) {
		rc = hub_schedule_next(s, &h->place, at, &at, &err);
		if (rc != 0 || at == TIME_NULL)
			break;
		if (hub_schedule_valid(s, &h->place, at))
			runs[shown.next.n++] = time_text(&c->arena, at);
	}
	shown.time_zone = arena_str(&c->arena,
	    str_of(h->place.zone != NULL ? zone_name(h->place.zone) : "UTC"));
	pthread_mutex_unlock(&h->place_lock);
	if (rc != 0) {
		http_error(c, 400, "err_param", "%s", err.text);
		return;
	}
	rest_answer(c, &shown_runs_record, &shown);
}

/* --- handlers ------------------------------------------------------------ */

struct test_body {
	struct str parameter;
};
static const struct field test_fields[] = {
	F_JSON(struct test_body, parameter, "parameter",
	    .flags = FIELD_OBJECT | FIELD_NULL,
	    .help = "What it is given, as in a rule; left out: a short text "
		    "that says it is a test."),
	{ 0 },
};
static const struct record test_record = { "handlerTest",
	sizeof(struct test_body), test_fields };

/* What a handler is given when nothing is said. */
static const struct {
	const char *type, *parameter;
} samples[] = {
	{ "email",
	    "{\"type\":\"email\",\"subject\":\"Test\",\"body\":\"This is a "
	    "test.\"}" },
	{ "telegram", "{\"type\":\"telegram\",\"text\":\"This is a test.\"}" },
	{ "webhook", "{\"type\":\"webhook\"}" },
	{ "mqtt", "{\"type\":\"mqtt\",\"data\":\"This is a test.\"}" },
	{ "backup", "{\"type\":\"backup\"}" },
	{ "noop", "{\"type\":\"noop\"}" },
};

/* Lives until nobody waits and the handler has answered. */
struct test {
	struct loop_timer timer;
	struct test_call *call; /* NULL: nobody waits any more */
	struct hub *hub;
};

struct test_call {
	struct hub_wait wait;
	struct http_call *call;
	const struct hub_handler *row;
	struct str parameter;
};

static const char *const stage_states[] = { "ok", "error", "waiting", NULL };
struct shown_stage {
	struct str stage, status, message;
	int64_t took_ms, attempts;
};
#define G struct shown_stage
static const struct field shown_stage_fields[] = {
	F_TEXT(G, stage, "stage", .help = "open, take or send."),
	F_TEXT(G, status, "status", .one_of = stage_states),
	F_TEXT(G, message, "message"),
	F_INT(G, took_ms, "took", .flags = FIELD_NULL | FIELD_ABSENT,
	    .help = "In milliseconds."),
	F_INT(G, attempts, "attempts", .flags = FIELD_NULL | FIELD_ABSENT),
	{ 0 },
};
#undef G
static const struct record shown_stage_record = { "handlerStage",
	sizeof(struct shown_stage), shown_stage_fields };

struct shown_test {
	struct rows stages;
};
static const struct field shown_test_fields[] = {
	F_RECORDS(struct shown_test, stages, "stages",
	    .record = &shown_stage_record,
	    .help = "Those it came through, and the one where it ended."),
	{ 0 },
};
static const struct record shown_test_record = { "handlerTested",
	sizeof(struct shown_test), shown_test_fields };

/* Answers with the stage where it ended and those before it. */
static void
end_test(struct test_call *t, const struct shown_stage *last)
{
	static const char *const names[] = { "open", "take", "send" };
	struct shown_stage all[COUNT_OF(names)];
	struct shown_test shown = { { all, 0 } };
	size_t n = 0;

	for (; !str_eqz(last->stage, names[n]); n++)
		all[n] = (struct shown_stage){ str_of(names[n]), STR("ok"),
			STR(""), FIELD_INT_NULL, FIELD_INT_NULL };
	all[n++] = *last;
	shown.stages.n = n;
	rest_answer(t->call, &shown_test_record, &shown);
	hub_answer(&t->wait);
}

static void
on_sent(void *ctx, const struct handler_result *r)
{
	struct test *x = ctx;

	if (x->call == NULL) {
		free(x);
		return;
	}
	loop_cancel(x->hub->loop, &x->timer);
	end_test(x->call,
	    &(struct shown_stage){ STR("send"),
		r->code == 0 ? STR("ok") : STR("error"), str_of(r->text),
		r->took_ms, (int64_t)r->attempts });
	free(x);
}

/* It goes on, and nobody waits for it. */
static void
on_test_late(struct loop_timer *timer)
{
	struct test *x = container_of(timer, struct test, timer);
	struct test_call *t = x->call;

	x->call = NULL;
	end_test(t,
	    &(struct shown_stage){ STR("send"), STR("waiting"),
		arena_printf(&t->call->arena,
		    "no answer within %lld ms (hub.tryTimeout); it goes on, "
		    "the handler's state will say",
		    (long long)x->hub->conf.try_ms),
		FIELD_INT_NULL, FIELD_INT_NULL });
}

static void
begin_test(struct hub *h, struct hub_wait *w)
{
	struct test_call *t = container_of(w, struct test_call, wait);
	struct test *x = mem_new(struct test);
	const char *stage;
	struct err err;

	x->hub = h;
	x->call = t;
	x->timer.fire = on_test_late;
	loop_after(h->loop, &x->timer, h->conf.try_ms);
	if (handler_try(h, t->row->unit_id, t->row->id, t->parameter, on_sent,
		x, &stage, &err) == 0)
		return;
	loop_cancel(h->loop, &x->timer);
	free(x);
	end_test(t,
	    &(struct shown_stage){ str_of(stage), STR("error"),
		str_of(err.text), FIELD_INT_NULL, FIELD_INT_NULL });
}

/* The handler of the path, if the caller may change it. */
static bool
handler_of(struct http_call *c, struct hub_handler *row)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct rest r = { .c = c, .module = h };
	struct filter f = { 0 };
	struct err err;
	bool found;

	filter_text(&f, "id", http_var(c, 0));
	if (store_get(h->store, &hub_handler_entity, &f, &c->arena, row, &found,
		&err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	if (found && hub_may(&r, REST_PATCH, row))
		return true;
	if (c->status == 0)
		http_error(c, 404, "err_not_found", NULL);
	return false;
}

static void
handle_test(struct http_call *c)
{
	struct test_call t = { .call = c };
	struct hub_handler row;
	struct rest_body b;

	if (!handler_of(c, &row) || !hub_may_have_handler(c, row.type) ||
	    !rest_read(c, &c->route->body, NULL, &b))
		return;
	t.row = &row;
	t.parameter = ((const struct test_body *)b.row)->parameter;
	for (size_t i = 0; t.parameter.len == 0 && i < COUNT_OF(samples); i++)
		if (str_eqz(row.type, samples[i].type))
			t.parameter = str_of(samples[i].parameter);
	if (t.parameter.len == 0) {
		http_error(c, 400, "err_param",
		    "missing `parameter`: what a handler of type " STR_FMT
		    " is to do",
		    STR_ARG(row.type));
		return;
	}
	hub_await((struct hub *)c->route->ctx, begin_test, &t.wait);
}

struct shown_type {
	struct str type, takes, spec, parameter;
	struct strs secrets;
};
#define T struct shown_type
static const struct field shown_type_fields[] = {
	F_TEXT(T, type, "type"),
	F_TEXT(T, takes, "takes", .flags = FIELD_NULL,
	    .help = "The `type` of parameters it takes; null: any."),
	F_JSON(T, spec, "spec", .flags = FIELD_OBJECT | FIELD_NULL,
	    .help = "The schema of a handler's `spec`."),
	F_JSON(T, parameter, "parameter", .flags = FIELD_OBJECT | FIELD_NULL,
	    .help = "And that of what it is told to do."),
	F_TEXTS(T, secrets, "secrets",
	    .help = "Members of `spec` that are never shown."),
	{ 0 },
};
#undef T
static const struct record shown_type_record = { "handlerType",
	sizeof(struct shown_type), shown_type_fields };

static struct str
schema_of(struct arena *a, const struct record *r)
{
	struct buf b = { 0 };
	struct json_out o;
	struct str ret;

	if (r == NULL)
		return STR_NULL;
	json_out_init(&o, &b, false);
	openapi_schema(&o, r);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

static struct strs
secrets_of(struct arena *a, const struct record *r)
{
	struct strs ret = { 0 };
	size_t n = 0;

	while (r != NULL && r->fields[n].name != NULL)
		n++;
	ret.at = arena_array(a, n + 1, struct str);
	for (size_t i = 0; i < n; i++)
		if (r->fields[i].flags & FIELD_SECRET)
			ret.at[ret.n++] = str_of(r->fields[i].name);
	return ret;
}

/* What there is, for forms: names and schemas. */
static void
handle_types(struct http_call *c)
{
	const char *const *types = hub_handler_types();
	struct json_out *o = http_json(c, 200);

	json_out_object(o);
	json_out_key(o, "data");
	json_out_array(o);
	for (; *types != NULL; types++) {
		const struct record *spec = handler_spec(*types);
		const char *takes = handler_takes(*types);
		const struct shown_type row = { str_of(*types),
			takes != NULL ? str_of(takes) : STR_NULL,
			schema_of(&c->arena, spec),
			schema_of(&c->arena, handler_parameter(*types)),
			secrets_of(&c->arena, spec) };

		record_to_json(o, &shown_type_record, FIELD_ALL, &row);
	}
	json_out_end_array(o);
	json_out_end_object(o);
}

/* --- routes -------------------------------------------------------------- */

const struct http_route hub_rehearse_rows[] = {
	{ "POST", "/task/try", HTTP_TOKEN, .scope = "task.post",
	    .body = { .record = &hub_task_entity.record,
		.members = "id unitId! " HUB_TASK_MEMBERS,
		.extra = &about_record },
	    .reply = { .record = &shown_task_record }, .handle = handle_task,
	    .flags = HTTP_SLOW,
	    .help = "Evaluates a task once on what is, stored or not, and says "
		    "what it saw, its verdict, and what handlers would be "
		    "given; they are not told." },
	{ "POST", "/schedule/try", HTTP_TOKEN, .scope = "schedule.post",
	    .body = { .record = &hub_schedule_entity.record,
		.members = "id unitId! type! spec! " HUB_SCHEDULE_MEMBERS },
	    .reply = { .record = &shown_runs_record },
	    .handle = handle_schedule,
	    .help = "When a schedule, stored or not, would run: the next five "
		    "times." },
	{ "POST", "/handler/{id}/test", HTTP_TOKEN, .scope = "handler.patch",
	    .body = { .record = &test_record },
	    .reply = { .record = &shown_test_record }, .handle = handle_test,
	    .flags = HTTP_SLOW,
	    .help = "Has a handler send something, and says how far it came: "
		    "open, take, send." },
	{ "GET", "/handler-type/list", HTTP_TOKEN, .scope = "handler.get",
	    .reply = { .record = &shown_type_record, .list = true },
	    .handle = handle_types,
	    .help = "Types of handlers, with the schemas of their spec and of "
		    "their parameters." },
	{ 0 },
};

/*
 * core/hub/task.c - tasks: when something is so, handlers are told.
 *
 *    event or time --> variables --> verdict --> dampening --> actions
 *                                       |                         |
 *                                       +------- trace -----------+
 *
 * A task that listens to events hangs under what it asks for most narrowly (a
 * field's, node's or gateway's id), so that an event costs nothing for those
 * who do not listen. It is evaluated on each matching event, in order; an event
 * that comes while a script or a web server decides waits for it, and holds no
 * other task.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

const char *const hub_dampenings[] = { "none", "consecutive", "evaluation",
	"active_duration", NULL };

#define HISTORY_MIN 10
#define HISTORY_MAX 1000
#define TOLERANCE_MS 500
/* Rules that change shared data can set each other off: so many a second. */
#define BURST_MAX 20
#define BURST_MS 1000

struct past {
	bool triggered;
	int64_t at;
};

struct task {
	MODEL_ROW(hub_task);
	struct hub *hub;
	struct str key;       /* in hub->tasks; owned */
	struct str listens;   /* key of its list in hub->listeners; owned */
	struct list link;     /* there */
	struct str message;   /* row.state.message; owned */
	struct past *history; /* oldest first */
	size_t n_history, cap_history;
	struct loop_timer timer, active, enable;
	int64_t interval_ms, active_ms;
	struct run *running;
	struct list waiting; /* runs */
	int64_t n_waiting;
	struct hub_trial *trial; /* it is only tried; NULL: it is real */
	int64_t burst_ms;        /* when it began; monotonic */
	unsigned burst;
};

/* One evaluation. */
struct run {
	struct list link;
	struct task *task;
	struct str event; /* JSON or STR_NULL */
	struct str variables;
	struct arena arena;
	int64_t at;
	bool again; /* of active_duration's own timer */
	struct hub_lookup lookup;
	struct hub_hook hook;
	struct script_call call;
	struct script_var *vars;
	size_t n_vars;
};

static void task_listen(struct task *t);
static void task_unlisten(struct task *t);

/* A list of tasks that listen to the same thing. */
struct listeners {
	struct str key; /* owned */
	struct list tasks;
};

static void
free_run(struct run *r)
{
	list_del(&r->link);
	hub_lookup_end(&r->lookup);
	hub_hook_end(&r->hook);
	arena_fini(&r->arena);
	free(r);
}

/* --- telling ------------------------------------------------------------- */

static void
keep_state(struct task *t, const char *fields)
{
	struct buf b = { 0 };
	struct json_out o;

	json_out_init(&o, &b, false);
	json_out_array(&o);
	for (size_t i = 0; i < t->n_history; i++) {
		json_out_object(&o);
		json_out_key(&o, "triggered");
		json_out_bool(&o, t->history[i].triggered);
		json_out_key(&o, "timestamp");
		json_out_time(&o, t->history[i].at);
		json_out_end_object(&o);
	}
	json_out_end_array(&o);
	t->row.state.history = buf_str(&b);
	writer_put(t->hub, &hub_task_entity, &t->row, false, fields);
	t->row.state.history = STR("[]");
	buf_free(&b);
}

static void
set_message(struct task *t, const char *text)
{
	str_free(t->message);
	t->message = str_copy(str_of(text));
	t->row.state.message = t->message;
}

/* --- dampening ----------------------------------------------------------- */

static void
remember(struct task *t, bool triggered, int64_t at)
{
	if (t->n_history == t->cap_history) {
		memmove(t->history, t->history + 1,
		    (t->n_history - 1) * sizeof(*t->history));
		t->n_history--;
	}
	t->history[t->n_history++] = (struct past){ triggered, at };
}

/* How many of the last `n` were so. */
static size_t
trues(const struct task *t, size_t n)
{
	size_t from = t->n_history > n ? t->n_history - n : 0, found = 0;

	for (size_t i = from; i < t->n_history; i++)
		found += t->history[i].triggered;
	return found;
}

static bool
dampened(struct task *t, bool triggered, int64_t at)
{
	const struct hub_dampening *d = &t->row.dampening;
	size_t n = (size_t)d->occurrences;

	if (str_eqz(d->type, "consecutive"))
		return triggered && t->n_history >= n && trues(t, n) == n;
	if (str_eqz(d->type, "evaluation"))
		return triggered && trues(t, (size_t)d->evaluation) >= n;
	if (str_eqz(d->type, "active_duration"))
		return triggered &&
		    at - t->row.state.active_since + TOLERANCE_MS >=
		    t->active_ms;
	return triggered;
}

/* --- a verdict ----------------------------------------------------------- */

static void
disable(struct task *t)
{
	int64_t ms = 0;

	t->row.enabled = false;
	task_unlisten(t);
	loop_cancel(t->hub->loop, &t->timer);
	loop_cancel(t->hub->loop, &t->active);
	if (t->row.re_enable &&
	    hub_duration(t->row.re_enable_duration, 0, &ms, NULL) == 0)
		loop_after(t->hub->loop, &t->enable, ms);
}

/* {"task": ...} with the task itself. */
static struct str
itself(struct run *r)
{
	return arena_printf(&r->arena, "{\"task\":" STR_FMT "}",
	    STR_ARG(hub_row_json(
		&r->arena, &hub_task_entity.record, &r->task->row)));
}

/* Do its parameters speak of the task itself? It is large, so variables, which
 * every trace has, are without. */
static bool
speaks_of_itself(const struct task *t)
{
	struct str rest = t->row.handler_parameters;
	const char *at;

	while ((at = memmem(rest.ptr, rest.len, ".task", 5)) != NULL) {
		rest.len -= (size_t)(at + 5 - rest.ptr);
		rest.ptr = at + 5;
		if (!str_starts(rest, STR("Event")))
			return true;
	}
	return false;
}

/* What has come of it. `tells`: parameters are to be rendered. */
static struct action
ending(struct run *r, bool triggered, bool fired, bool tells)
{
	struct task *t = r->task;

	return (struct action){ .unit_id = t->row.unit_id,
		.rule = arena_printf(
		    &r->arena, "task:" STR_FMT, STR_ARG(t->row.id)),
		.event = r->event,
		.variables = r->variables,
		.triggered = triggered,
		.fired = fired,
		.message = t->row.state.message,
		.handlers = t->row.handlers,
		.parameters = t->row.handler_parameters,
		.more = tells && speaks_of_itself(t) ? itself(r) : STR_NULL,
		.at = r->at };
}

static void
verdict(struct run *r, bool triggered, const struct err *err)
{
	struct task *t = r->task;
	struct hub_task_state *s = &t->row.state;
	bool was = s->last_status, fired;
	int64_t now = r->at;
	struct action end;

	if (t->trial != NULL) {
		set_message(t, err != NULL ? err->text : "");
		end = ending(r, triggered, triggered, true);
		t->trial->done(t->trial, &end);
		return;
	}
	if (triggered && s->active_since == TIME_NULL) {
		s->active_since = now;
		if (str_eqz(t->row.dampening.type, "active_duration"))
			loop_after(t->hub->loop, &t->active, t->active_ms);
	} else if (!triggered) {
		s->active_since = TIME_NULL;
		loop_cancel(t->hub->loop, &t->active);
	}
	if (!r->again) /* the timer's look is no evaluation of its own */
		remember(t, triggered, now);
	fired = dampened(t, triggered, now);
	s->executed_count++;
	s->last_evaluation = now;
	s->last_status = fired;
	set_message(t, err != NULL ? err->text : "");
	fired = fired && !(t->row.ignore_duplicate && was);
	if (fired)
		s->last_success = now;
	counter_add(&t->hub->counters.evaluations, 1);
	if (fired)
		counter_add(&t->hub->counters.fired, 1);
	end = ending(r, triggered, fired, fired);
	action_fire(t->hub, &end);
	if (fired && t->row.auto_disable)
		disable(t);
	keep_state(t, t->row.enabled ? "state" : "state enabled");
}

static void go(struct run *r);
static void task_free(struct task *t);

/* The run is over; the next event may have its turn. */
static void
over(struct run *r)
{
	struct task *t = r->task;
	struct run *next;

	t->running = NULL;
	free_run(r);
	if (t->trial != NULL) { /* which is gone */
		task_free(t);
		return;
	}
	next = list_first(&t->waiting, struct run, link);
	if (next == NULL)
		return;
	list_del(&next->link);
	t->n_waiting--;
	if (t->row.enabled)
		go(next);
	else
		free_run(next);
}

/* What a script said: a truth value, or an object with `isTriggered` whose
 * other members are variables, too. */
static bool
script_says(struct run *r, struct str result)
{
	struct arena *a = &r->arena;
	struct str is, text = result;
	struct json j;

	if (result.len == 0 || result.ptr[0] != '{') {
		json_open(&j, result, 0, a);
		if (json_peek(&j) == JSON_STRING)
			json_str(&j, &text);
		return hub_truth(text);
	}
	r->variables = hub_merged(a, r->variables, result);
	return hub_json_at(a, result, STR("isTriggered"), &is) && hub_truth(is);
}

static void
on_script(struct script_call *call)
{
	struct run *r = container_of(call, struct run, call);
	struct err err = call->err;
	bool triggered = false;

	if (call->end == SCRIPT_DONE)
		triggered = script_says(r, arena_str(&r->arena, call->result));
	verdict(r, triggered, call->end == SCRIPT_DONE ? NULL : &err);
	over(r);
}

static int
run_script(struct run *r, struct err *err)
{
	struct task *t = r->task;
	struct str source, config = t->row.evaluation_config;
	struct json j;

	if (!hub_json_at(&r->arena, config, STR("javascript"), &source))
		return err_set(
		    err, ERR_PARAM, "evaluationConfig has no `javascript`");
	json_open(&j, source, 0, &r->arena);
	if (!json_str(&j, &source))
		return err_set(err, ERR_PARAM, "`javascript` is no text");
	r->vars = hub_globals(&r->arena, r->variables, "task",
	    hub_row_json(&r->arena, &hub_task_entity.record, &t->row),
	    &r->n_vars);
	r->call = (struct script_call){ .group = t->row.unit_id,
		.source = arena_str(&r->arena, source),
		.entry = SCRIPT_VALUE,
		.vars = r->vars,
		.n_vars = r->n_vars,
		.both_spellings = true,
		.timeout_ms = hub_script_timeout(t->row.labels),
		.done = on_script };
	return script_run(t->hub->scripts, &r->call, err);
}

/* What a web server says: as a script, or a truth value as plain text. */
static void
on_hook(struct hub_hook *k)
{
	struct run *r = container_of(k, struct run, hook);
	struct str answer = arena_str(&r->arena, str_trim(k->answer));
	struct err err = k->err;
	bool triggered = false;

	if (err.code == 0 && str_starts(answer, STR("{")) &&
	    !json_valid(answer, 0))
		(void)err_set(
		    &err, ERR_PROTO, "webhook: the answer is not JSON");
	if (err.code == 0)
		triggered = script_says(r, answer);
	verdict(r, triggered, err.code != 0 ? &err : NULL);
	over(r);
}

static int
ask_web(struct run *r, struct err *err)
{
	struct task *t = r->task;
	struct str config, body = r->variables, with;

	if (!hub_json_at(
		&r->arena, t->row.evaluation_config, STR("webhook"), &config))
		return err_set(
		    err, ERR_PARAM, "evaluationConfig has no `webhook`");
	if (hub_json_at(&r->arena, config, STR("includeConfig"), &with) &&
	    str_eqz(with, "true"))
		body = hub_merged(&r->arena, itself(r), body);
	r->hook.done = on_hook;
	return hub_hook_start(&r->hook, t->hub, config, "POST", body, err);
}

/* The variables are there, or can not be had. */
static void
decide(struct run *r, int rc)
{
	struct task *t = r->task;
	struct err err = r->lookup.err;
	bool triggered = false;

	r->variables = r->lookup.variables;
	if (rc == 0 && str_eqz(t->row.evaluation_type, "javascript")) {
		rc = run_script(r, &err);
		if (rc == 0)
			return;
	} else if (rc == 0 && str_eqz(t->row.evaluation_type, "webhook")) {
		rc = ask_web(r, &err);
		if (rc == 0)
			return;
	} else if (rc == 0) {
		rc = hub_rule(t->hub, t->row.evaluation_config, r->variables,
		    &r->arena, &triggered, &err);
	}
	verdict(r, triggered, rc != 0 ? &err : NULL);
	over(r);
}

static void
on_variables(struct hub_lookup *l, int rc)
{
	decide(container_of(l, struct run, lookup), rc);
}

static void
go(struct run *r)
{
	struct task *t = r->task;
	const struct hub_extra extra = { "taskEvent", r->event };
	int rc;

	t->running = r;
	r->lookup.hub = t->hub;
	r->lookup.unit_id = t->row.unit_id;
	r->lookup.arena = &r->arena;
	r->lookup.done = on_variables;
	rc = hub_lookup(&r->lookup, t->row.variables, &extra, 1);
	if (rc != 1)
		decide(r, rc);
}

static void
begin(struct task *t, struct str event, bool again)
{
	struct run *r = mem_new(struct run);

	list_init(&r->link);
	r->task = t;
	r->event = arena_str(&r->arena, event);
	r->at = clock_now();
	r->again = again;
	if (t->running == NULL) {
		go(r);
	} else if (t->n_waiting < t->hub->conf.task_queue) {
		t->n_waiting++;
		list_add(&t->waiting, &r->link);
	} else {
		counter_add(&t->hub->counters.evaluations_dropped, 1);
		free_run(r);
	}
}

/* --- time ---------------------------------------------------------------- */

static void
on_interval(struct loop_timer *timer)
{
	struct task *t = container_of(timer, struct task, timer);

	loop_after(t->hub->loop, &t->timer, t->interval_ms);
	begin(t, STR_NULL, false);
}

static void
on_active(struct loop_timer *timer)
{
	begin(container_of(timer, struct task, active), STR_NULL, true);
}

static void
on_enable(struct loop_timer *timer)
{
	struct task *t = container_of(timer, struct task, enable);

	t->row.enabled = true;
	task_listen(t);
	keep_state(t, "state enabled");
}

/* --- listening ----------------------------------------------------------- */

static struct str
listen_key(struct str unit_id, const char *member, struct str value)
{
	struct buf b = { 0 };

	buf_addf(&b, STR_FMT " %s ", STR_ARG(unit_id), member);
	buf_add_str(&b, value);
	return buf_str(&b);
}

static const char *const narrow[] = { "nodeId", "fieldId", "sourceId",
	"gatewayId" };

static struct str
key_of(const struct task *t)
{
	struct arena a = { 0 };
	struct str value, text, key = STR_NULL;
	struct json j;

	for (size_t i = 0; key.ptr == NULL && i < COUNT_OF(narrow); i++) {
		if (!hub_json_at(&a, t->row.event_filter.filters,
			str_of(narrow[i]), &value))
			continue;
		json_open(&j, value, 0, &a);
		if (json_str(&j, &text))
			key = listen_key(t->row.unit_id, narrow[i], text);
	}
	arena_fini(&a);
	return key.ptr != NULL ? key : listen_key(t->row.unit_id, "", STR(""));
}

static void
task_listen(struct task *t)
{
	struct hub *h = t->hub;
	struct listeners *l;

	if (!t->row.trigger_on_event) {
		if (t->interval_ms > 0)
			loop_after(h->loop, &t->timer, t->interval_ms);
		return;
	}
	t->listens = key_of(t);
	l = map_get(&h->listeners, t->listens);
	if (l == NULL) {
		l = mem_new(struct listeners);
		l->key = str_copy(t->listens);
		list_init(&l->tasks);
		map_put(&h->listeners, l->key, l);
	}
	list_add(&l->tasks, &t->link);
}

static void
task_unlisten(struct task *t)
{
	struct hub *h = t->hub;
	struct listeners *l;

	if (t->listens.ptr == NULL)
		return;
	list_del(&t->link);
	l = map_get(&h->listeners, t->listens);
	if (l != NULL && list_empty(&l->tasks)) {
		map_del(&h->listeners, l->key);
		str_free(l->key);
		free(l);
	}
	str_free(t->listens);
	t->listens = STR_NULL;
}

static bool
too_often(struct task *t)
{
	int64_t now = clock_mono();

	if (now - t->burst_ms >= BURST_MS) {
		t->burst_ms = now;
		t->burst = 0;
	}
	return t->burst++ >= BURST_MAX;
}

static void
hear(struct hub *h, struct str key, const struct hub_event *e)
{
	struct listeners *l = map_get(&h->listeners, key);
	struct task **due;
	size_t n = 0;

	if (l == NULL)
		return;
	/* a run may take tasks off the list */
	LIST_EACH (t, &l->tasks, struct task, link)
		n++;
	due = mem_array(n, sizeof(*due));
	n = 0;
	LIST_EACH (t, &l->tasks, struct task, link)
		if (hub_has(&t->row.event_filter.event_types, e->type) &&
		    hub_has(
			&t->row.event_filter.entity_types, e->entity_type) &&
		    hub_passes(t->row.event_filter.filters, e->entity))
			due[n++] = t;
	for (size_t i = 0; i < n; i++) {
		if (!due[i]->row.enabled)
			continue;
		if (str_eqz(e->entity_type, "data_repository") &&
		    too_often(due[i]))
			counter_add(&h->counters.evaluations_dropped, 1);
		else
			begin(due[i], e->json, false);
	}
	free(due);
}

void
tasks_hear(struct hub *h, const struct hub_event *e)
{
	struct str key;

	if (h->listeners.n == 0)
		return;
	for (size_t i = 0; i < COUNT_OF(narrow); i++) {
		const struct str *value = &e->place[i];

		if (value->ptr == NULL)
			continue;
		key = listen_key(e->unit_id, narrow[i], *value);
		hear(h, key, e);
		str_free(key);
	}
	key = listen_key(e->unit_id, "", STR(""));
	hear(h, key, e);
	str_free(key);
}

/* --- coming and going ---------------------------------------------------- */

static void
task_free(struct task *t)
{
	struct hub *h = t->hub;

	task_unlisten(t);
	if (t->running != NULL) {
		script_cancel(h->scripts, &t->running->call);
		free_run(t->running);
	}
	LIST_EACH (r, &t->waiting, struct run, link)
		free_run(r);
	loop_cancel(h->loop, &t->timer);
	loop_cancel(h->loop, &t->active);
	loop_cancel(h->loop, &t->enable);
	if (t->trial == NULL)
		map_del(&h->tasks, t->key);
	str_free(t->key);
	str_free(t->message);
	free(t->history);
	arena_fini(&t->arena);
	free(t);
}

static void
read_history(struct task *t)
{
	struct str key, at;
	struct arena a = { 0 };
	struct json j;

	json_open(&j, t->row.state.history, 0, &a);
	if (json_array(&j))
		while (json_item(&j) && json_object(&j)) {
			struct past p = { 0 };

			while (json_member(&j, &key))
				if (str_eqz(key, "triggered"))
					json_bool(&j, &p.triggered);
				else if (json_peek(&j) == JSON_STRING &&
				    json_str(&j, &at))
					(void)time_parse(at, &p.at);
				else
					json_skip(&j);
			remember(t, p.triggered, p.at);
		}
	arena_fini(&a);
	t->row.state.history = STR("[]");
}

/* A condition that was true before the task was loaded, and has not fired yet,
 * goes on being waited for. */
static void
resume(struct task *t)
{
	const struct hub_task_state *s = &t->row.state;

	if (t->row.enabled && s->active_since != TIME_NULL && !s->last_status &&
	    str_eqz(t->row.dampening.type, "active_duration"))
		loop_after(t->hub->loop, &t->active,
		    MAX_OF(s->active_since + t->active_ms - clock_now(),
			(int64_t)0));
}

void
tasks_begin(struct hub *h)
{
	struct task *t;
	size_t pos = 0;

	while ((t = map_next(&h->tasks, &pos)) != NULL)
		resume(t);
}

static struct task *
task_new(struct hub *h, const struct hub_task *row)
{
	struct task *t = mem_new(struct task);
	size_t keep;

	t->hub = h;
	record_copy(&hub_task_entity.record, &t->arena, &t->row, row);
	t->key = str_copy(t->row.id);
	list_init(&t->link);
	list_init(&t->waiting);
	t->timer.fire = on_interval;
	t->active.fire = on_active;
	t->enable.fire = on_enable;
	keep = (size_t)MAX_OF(
	    t->row.dampening.occurrences, t->row.dampening.evaluation);
	t->cap_history =
	    MIN_OF(MAX_OF(keep, (size_t)HISTORY_MIN), (size_t)HISTORY_MAX);
	t->history = mem_array(t->cap_history, sizeof(*t->history));
	t->message = str_copy(t->row.state.message);
	t->row.state.message = t->message;
	read_history(t);
	(void)hub_duration(t->row.execution_interval, 0, &t->interval_ms, NULL);
	(void)hub_duration(
	    t->row.dampening.active_duration, 0, &t->active_ms, NULL);
	return t;
}

static int
load(void *ctx, const void *row, struct err *err)
{
	struct hub *h = ctx;
	struct task *t = task_new(h, row);

	(void)err;
	map_put(&h->tasks, t->key, t);
	if (t->row.enabled)
		task_listen(t);
	else if (t->row.re_enable && t->row.auto_disable)
		disable(t);
	if (h->begun)
		resume(t);
	return 0;
}

void
tasks_reload(struct hub *h, struct str id)
{
	struct task *t = map_get(&h->tasks, id);
	struct filter f = { 0 };
	const struct store_query one = { .filter = &f };

	if (t != NULL)
		task_free(t);
	filter_text(&f, "id", id);
	(void)store_list(h->store, &hub_task_entity, &one, load, h, NULL);
}

int
tasks_load(struct hub *h, struct err *err)
{
	static const struct store_query all = { 0 };

	return store_list(h->store, &hub_task_entity, &all, load, h, err);
}

void
tasks_free(struct hub *h)
{
	struct task *t;
	size_t pos = 0;

	while ((t = map_next(&h->tasks, &pos)) != NULL) {
		task_free(t);
		pos = 0;
	}
	map_fini(&h->tasks);
	map_fini(&h->listeners);
}

/* --- trying one out ------------------------------------------------------ */

void
task_try(struct hub *h, struct hub_trial *trial)
{
	struct task *t = task_new(h, trial->row);

	t->trial = trial;
	trial->task = t;
	begin(t, trial->event, false);
}

void
task_try_end(struct hub_trial *trial)
{
	task_free(trial->task);
}

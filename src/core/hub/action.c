/*
 * core/hub/action.c - what a rule's verdict does, and the trace of it.
 *
 *    action_fire() --> each handler of the rule, each parameter that fits it
 *                          resource: a field is set, something is enabled, ...
 *                          others: plug/handler
 *                  --> when all have answered: the trace is written
 *
 * Parameters are rendered text by text: what a template yields stays inside the
 * text that it stands in.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/go_template.h"
#include "codec/json.h"
#include "codec/sun.h"
#include "codec/zone.h"
#include "plug/handler/handler.h"

#include <stdlib.h>
#include <string.h>

#define BUILT_IN "resource_handler" /* there is always one of this name */
#define BY_LABELS_MAX 100

static const char *types[32];

static void
list_types(void)
{
	const char *const *plugs = handler_types();
	size_t n = 0;

	types[n++] = "resource";
	while (*plugs != NULL && n < COUNT_OF(types) - 1)
		types[n++] = *plugs++;
}

const char *const *
hub_handler_types(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, list_types);
	return types;
}

/* --- rendering ----------------------------------------------------------- */

static int
sun_today(void *ctx, bool set, int64_t *ret_ms, struct err *err)
{
	const struct hub *h = ctx;
	int64_t noon, rise, down;
	struct zone_time t;

	zone_local(h->place.zone, clock_now(), &t);
	(void)zone_moment(
	    h->place.zone, t.year, t.month, t.day, 12, 0, 0, &noon, NULL);
	if (sun_times(h->place.latitude, h->place.longitude, noon, &rise,
		&down) != SUN_RISES)
		return err_set(
		    err, ERR_NOT_FOUND, "the sun does not rise or set today");
	*ret_ms = set ? down : rise;
	return 0;
}

int
hub_render(struct hub *h, struct arena *a, struct str text, struct str data,
    struct buf *out, struct err *err)
{
	const struct go_template_host host = {
		.ctx = h,
		.now_ms = clock_now(),
		.zone = h->place.zone,
		.sun = h->place.known ? sun_today : NULL,
		.version = MARRAM_VERSION,
	};

	if (text.len < 4 || memchr(text.ptr, '{', text.len) == NULL) {
		buf_add_str(out, text);
		return 0;
	}
	return go_template_render(a, text, data, &host, out, err);
}

static int
render_value(struct hub *h, struct json *j, struct str variables,
    struct arena *a, struct json_out *o, struct err *err)
{
	struct buf b = { 0 };
	struct str s;
	int rc = 0;

	switch (json_peek(j)) {
	case JSON_OBJECT:
		(void)json_object(j);
		json_out_object(o);
		while (rc == 0 && json_member(j, &s)) {
			json_out_key_str(o, s);
			rc = render_value(h, j, variables, a, o, err);
		}
		json_out_end_object(o);
		return rc;
	case JSON_ARRAY:
		(void)json_array(j);
		json_out_array(o);
		while (rc == 0 && json_item(j))
			rc = render_value(h, j, variables, a, o, err);
		json_out_end_array(o);
		return rc;
	case JSON_STRING:
		json_str(j, &s);
		rc = hub_render(h, a, s, variables, &b, err);
		json_out_str(
		    o, rc == 0 && b.ptr != NULL ? buf_str(&b) : STR(""));
		buf_free(&b);
		return rc;
	default:
		json_copy(j, o);
		return 0;
	}
}

/* --- a rule's run, until all has been done ------------------------------- */

/* The trace is written when all handlers have answered, and again whenever
 * something more becomes known: a preDelay is over, a network tells what became
 * of a downlink. */
struct fire {
	struct hub *hub;
	struct hub_trace trace; /* texts in the arenas */
	struct list outcomes;
	unsigned waits; /* for handlers, and for who fires */
	unsigned open;  /* outcomes and downlinks that are not over */
	bool written;
	int64_t began; /* as the rule says */
	struct arena arena;
	struct arena large; /* what only the first trace needs */
};

/* One thing that was done, or not; in the fire's arena. */
struct outcome {
	struct list link;
	struct fire *fire;
	struct str handler, parameter, text;
	int code;
	int64_t took_ms;
	struct list downs;
};

struct down {
	struct list link; /* in outcome->downs */
	struct outcome *outcome;
	struct str field, data_id, message;
	enum down_state state;
	int64_t status;
};

static void
put_down(struct json_out *o, const struct down *d)
{
	static const char *const words[] = { [DOWN_WAITS] = "waiting",
		[DOWN_OK] = "ok",
		[DOWN_FAILED] = "error",
		[DOWN_UNKNOWN] = "unknown" };

	json_out_object(o);
	json_out_key(o, "field");
	json_out_str(o, d->field);
	json_out_key(o, "dataId");
	json_out_str(o, d->data_id);
	json_out_key(o, "result");
	json_out_str(o, str_of(words[d->state]));
	json_out_key(o, "status");
	json_out_int(o, d->status);
	json_out_key(o, "message");
	json_out_str(o, d->message);
	json_out_end_object(o);
}

static void
put_outcome(struct json_out *o, const struct outcome *x)
{
	const struct down *failed = NULL;

	LIST_EACH (d, &x->downs, struct down, link)
		if (d->state == DOWN_FAILED)
			failed = d;
	json_out_object(o);
	json_out_key(o, "handler");
	json_out_str(o, x->handler);
	json_out_key(o, "parameter");
	json_out_str(o, x->parameter);
	json_out_key(o, "status");
	json_out_str(
	    o, x->code == 0 && failed == NULL ? STR("ok") : STR("error"));
	json_out_key(o, "message");
	json_out_str(
	    o, x->code == 0 && failed != NULL ? failed->message : x->text);
	json_out_key(o, "took");
	json_out_int(o, x->took_ms);
	if (!list_empty(&x->downs)) {
		json_out_key(o, "downlinks");
		json_out_array(o);
		LIST_EACH (d, &x->downs, struct down, link)
			put_down(o, d);
		json_out_end_array(o);
	}
	json_out_end_object(o);
}

static void
write_trace(struct fire *f)
{
	struct buf b = { 0 };
	struct json_out o;

	json_out_init(&o, &b, false);
	json_out_array(&o);
	LIST_EACH (x, &f->outcomes, struct outcome, link)
		put_outcome(&o, x);
	json_out_end_array(&o);
	f->trace.actions = buf_str(&b);
	f->trace.took_ms = MAX_OF(clock_now() - f->began, (int64_t)0);
	writer_put(
	    f->hub, &hub_trace_entity, &f->trace, !f->written, "actions");
	buf_free(&b);
	/* a run may wait for results for long: it keeps little */
	f->written = true;
	f->trace.event = f->trace.variables = STR_NULL;
	arena_fini(&f->large);
}

/* Something has changed; it may have been the last thing. */
static void
fire_told(struct fire *f)
{
	if (f->waits > 0)
		return;
	write_trace(f);
	if (f->open > 0)
		return;
	arena_fini(&f->arena);
	free(f);
}

static void
fire_done(struct fire *f)
{
	f->waits--;
	fire_told(f);
}

static void
count(const struct outcome *x)
{
	struct hub *h = x->fire->hub;

	counter_add(
	    x->code == 0 ? &h->counters.actions : &h->counters.actions_failed,
	    1);
}

static struct outcome *
add_outcome(struct fire *f, struct str handler, struct str parameter)
{
	struct outcome *x = arena_new(&f->arena, struct outcome);

	x->fire = f;
	x->handler = arena_str(&f->arena, handler);
	x->parameter = arena_str(&f->arena, parameter);
	x->text = STR("");
	list_init(&x->downs);
	list_add(&f->outcomes, &x->link);
	return x;
}

static void
set_outcome(struct outcome *x, int code, const char *text, int64_t took_ms)
{
	x->code = code;
	x->text = arena_str(&x->fire->arena, str_of(text != NULL ? text : ""));
	x->took_ms = took_ms;
	count(x);
}

static void
note(struct fire *f, struct str handler, struct str parameter, int code,
    const char *text, int64_t took_ms)
{
	set_outcome(add_outcome(f, handler, parameter), code, text, took_ms);
}

struct down *
outcome_down(struct outcome *x, struct str field, struct str data_id)
{
	struct arena *a = &x->fire->arena;
	struct down *d = arena_new(a, struct down);

	d->outcome = x;
	d->field = arena_str(a, field);
	d->data_id = arena_str(a, data_id);
	d->message = STR("");
	list_add(&x->downs, &d->link);
	x->fire->open++;
	return d;
}

void
action_told(
    struct down *d, enum down_state state, int64_t status, struct str message)
{
	struct fire *f = d->outcome->fire;

	d->state = state;
	d->status = status;
	d->message =
	    message.ptr != NULL ? arena_str(&f->arena, message) : STR("");
	if (state != DOWN_WAITS)
		f->open--;
	fire_told(f);
}

void
outcome_end(struct outcome *x, int code, const char *text)
{
	struct fire *f = x->fire;

	x->code = code;
	x->text = arena_str(&f->arena, str_of(text));
	if (code != 0)
		count(x);
	f->open--;
	fire_told(f);
}

/* --- handlers ------------------------------------------------------------ */

struct slot {
	struct hub_handler row;
	struct hub *hub;
	struct arena arena;
	struct handler *plug; /* NULL: the resource handler, or `why` */
	struct err why;
};

static void
slot_free(struct slot *s)
{
	map_del(&s->hub->handlers, s->row.id);
	handler_close(s->plug);
	arena_fini(&s->arena);
	free(s);
}

/* Topics of other units, and the queues of applications and networks, are not
 * for the rules of this one. */
static bool
may_publish(struct slot *s, struct str topic)
{
	struct buf own = { 0 };
	bool may;

	event_unit_topic(&own, s->hub, s->row.unit_id);
	may = str_starts(topic, STR("marram/"))
	    ? own.len > 0 && str_starts(topic, buf_str(&own))
	    : !str_starts(topic, STR("broker.")) &&
		!str_starts(topic, STR("$"));
	buf_free(&own);
	return may;
}

static int
publish(void *ctx, struct str topic, struct str payload, uint8_t qos,
    bool retain, struct err *err)
{
	struct slot *s = ctx;
	struct route_notes *n;

	if (!may_publish(s, topic))
		return err_set(err, ERR_DENIED,
		    "topic " STR_FMT " on our own server is not this unit's; "
		    "those below marram/UNIT/ are",
		    STR_ARG(topic));
	n = route_notes_new(s->hub->route);
	route_note(n, topic, payload, qos, retain);
	route_tell(n);
	return 0;
}

static int
make_backup(void *ctx, const struct handler_backup *w,
    handler_backup_done *done, void *done_ctx, struct err *err)
{
	const struct slot *s = ctx;

	if (s->hub->backup == NULL)
		return err_set(err, ERR_DENIED, "backups can not be made here");
	return s->hub->backup(s->hub->backup_ctx, w, done, done_ctx, err);
}

static void
state_changed(void *ctx, struct handler *plug)
{
	struct slot *s = ctx;
	struct handler_state state;
	static const char *const names[] = {
		[HANDLER_STARTING] = "unavailable",
		[HANDLER_UP] = "ok",
		[HANDLER_DOWN] = "error",
	};

	handler_state(plug, &state);
	s->row.state = (struct hub_state){ str_of(names[state.status]),
		str_of(state.text), state.since_ms };
	writer_put(s->hub, &hub_handler_entity, &s->row, false, "state");
	s->row.state.message = STR("");
}

/* Opens it with its secrets; those that were stored in clear are sealed. */
static int
open_spec(struct slot *s, const struct handler_host *host)
{
	struct arena *a = &s->arena;
	struct hub *h = s->hub;
	const struct record *r = hub_handler_spec(a, s->row.type);
	struct str clear, sealed;

	if (hub_unseal(h, a, r, s->row.spec, &clear, &s->why) != 0)
		return err_wrap(
		    &s->why, "handler " STR_FMT, STR_ARG(s->row.id));
	if (hub_seal(h, a, r, s->row.spec, &sealed, NULL) == 0 &&
	    !str_eq(sealed, s->row.spec)) {
		s->row.spec = sealed;
		writer_put(h, &hub_handler_entity, &s->row, false, "spec");
	}
	return handler_open(
	    arena_z(a, s->row.type), clear, host, &s->plug, &s->why);
}

static int
load_handler(void *ctx, const void *row, struct err *err)
{
	struct slot *s = mem_new(struct slot);
	struct hub *h = ctx;
	struct handler_host *host;

	(void)err;
	s->hub = h;
	record_copy(&hub_handler_entity.record, &s->arena, &s->row, row);
	map_put(&h->handlers, s->row.id, s);
	if (!s->row.enabled || str_eqz(s->row.type, "resource"))
		return 0;
	host = arena_new(&s->arena, struct handler_host);
	*host = (struct handler_host){ .ctx = s,
		.loop = h->loop,
		.settings = &h->conf.handler,
		.publish = publish,
		.backup = make_backup,
		.changed = state_changed };
	if (open_spec(s, host) != 0) {
		s->row.state = (struct hub_state){ STR("error"),
			str_of(s->why.text), clock_now() };
		writer_put(h, &hub_handler_entity, &s->row, false, "state");
	}
	return 0;
}

void
handlers_reload(struct hub *h, struct str id)
{
	struct slot *s = map_get(&h->handlers, id);
	struct filter f = { 0 };
	const struct store_query q = { .filter = &f };

	if (s != NULL)
		slot_free(s);
	filter_text(&f, "id", id);
	(void)store_list(
	    h->store, &hub_handler_entity, &q, load_handler, h, NULL);
}

int
handlers_load(struct hub *h, struct err *err)
{
	static const struct store_query all = { 0 };

	return store_list(
	    h->store, &hub_handler_entity, &all, load_handler, h, err);
}

void
handlers_free(struct hub *h)
{
	struct slot *s;
	size_t pos = 0;

	while ((s = map_next(&h->handlers, &pos)) != NULL) {
		slot_free(s);
		pos = 0;
	}
	map_fini(&h->handlers);
}

const struct record *
hub_handler_spec(struct arena *a, struct str type)
{
	return handler_spec(arena_z(a, type));
}

struct str
spec_without_secrets(struct arena *a, const struct record *r, struct str spec,
    struct buf *secrets)
{
	struct buf b = { 0 };
	struct str key, value;
	struct json_out o;
	struct json j;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_open(&j, spec, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &value)) {
			if (!hub_is_secret(r, key)) {
				json_out_key_str(&o, key);
				json_out_raw(&o, value);
			} else if (secrets != NULL) {
				buf_addc(secrets, ',');
				json_quote(secrets, key);
				buf_addc(secrets, ':');
				buf_add_str(secrets, value);
			}
		}
	json_out_end_object(&o);
	value = arena_str(a, buf_str(&b));
	buf_free(&b);
	return value;
}

struct str
spec_with_secrets_of(
    struct arena *a, const struct record *r, struct str spec, struct str old)
{
	struct str rest = STR_NULL, key, value, have;
	struct buf kept = { 0 }, b = { 0 };
	struct json_out o;
	struct json j;

	(void)spec_without_secrets(a, r, old, &kept);
	if (kept.len == 0)
		return spec;
	rest =
	    arena_printf(a, "{" STR_FMT "}", (int)kept.len - 1, kept.ptr + 1);
	buf_free(&kept);
	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_open(&j, spec, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &value)) {
			json_out_key_str(&o, key);
			json_out_raw(&o, value);
		}
	json_open(&j, rest, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &value)) {
			if (hub_json_at(a, spec, key, &have))
				continue;
			json_out_key_str(&o, key);
			json_out_raw(&o, value);
		}
	json_out_end_object(&o);
	value = arena_str(a, buf_str(&b));
	buf_free(&b);
	return value;
}

/* --- resources ----------------------------------------------------------- */

/* What a parameter for the resource handler says. */
struct wish {
	struct str type, resource_type, quick_id, payload, key_path, labels,
	    pre_delay, disabled;
};

static const struct hub_text wish_texts[] = {
	{ "type", offsetof(struct wish, type) },
	{ "resourceType", offsetof(struct wish, resource_type) },
	{ "quickId", offsetof(struct wish, quick_id) },
	{ "payload", offsetof(struct wish, payload) },
	{ "keyPath", offsetof(struct wish, key_path) },
	{ "labels", offsetof(struct wish, labels) },
	{ "preDelay", offsetof(struct wish, pre_delay) },
	{ "disabled", offsetof(struct wish, disabled) },
};

static void
read_wish(struct arena *a, struct str json, struct wish *w)
{
	*w = (struct wish){ 0 };
	(void)hub_read_texts(a, json, wish_texts, COUNT_OF(wish_texts), w);
}

/* On record when a person does it, and not a rule. */
static int
update(struct hub *h, struct versions *v, struct store *s,
    const struct entity *e, const struct filter *f,
    const struct change *changes, size_t n_changes, int64_t *n, struct err *err)
{
	if (h->actor == NULL)
		return store_update(s, e, f, changes, n_changes, n, err);
	return versions_store_update(
	    v, h->actor, e, f, changes, n_changes, n, err);
}

static int
toggle_rule(struct hub *h, const struct entity *e, struct str unit_id,
    struct str id, struct str payload,
    void (*reload)(struct hub *h, struct str id), struct err *err)
{
	const struct change change = { "enabled",
		value_bool(hub_truth(payload)) };
	struct filter f = { 0 };
	int64_t n;
	int rc;

	if (!hub_truth(payload) && !str_eq_nocase(payload, STR("disable")) &&
	    !str_eq_nocase(payload, STR("false")) &&
	    !str_eq_nocase(payload, STR("off")) && !str_eqz(payload, "0"))
		return err_set(err, ERR_PARAM,
		    "payload `" STR_FMT "`: what can be done is enable and "
		    "disable",
		    STR_ARG(payload));
	filter_text(&f, "id", id);
	filter_text(&f, "unitId", unit_id);
	rc = update(h, h->versions, h->store, e, &f, &change, 1, &n, err);
	if (rc == 0 && n == 0)
		return err_set(
		    err, ERR_NOT_FOUND, "there is no " STR_FMT, STR_ARG(id));
	if (rc == 0)
		hub_post(h, reload, id);
	if (rc == 0)
		event_updated(h, hub_object_of(e), id);
	return rc;
}

static int
set_repository(struct hub *h, struct str unit_id, struct str id,
    struct str path, struct str payload, struct err *err)
{
	struct arena a = { 0 };
	struct hub_repository row;
	struct filter f = { 0 };
	struct buf b = { 0 };
	struct change changes[2];
	bool found;
	int rc;

	filter_text(&f, "id", id);
	filter_text(&f, "unitId", unit_id);
	rc = store_get(
	    h->store, &hub_repository_entity, &f, &a, &row, &found, err);
	if (rc == 0 && !found)
		rc = err_set(err, ERR_NOT_FOUND,
		    "there is no data_repository " STR_FMT, STR_ARG(id));
	if (rc == 0 && row.read_only)
		rc = err_set(
		    err, ERR_DENIED, STR_FMT " is read-only", STR_ARG(id));
	if (rc == 0 && str_starts(path, STR("data.")))
		path = (struct str){ path.ptr + 5, path.len - 5 };
	if (rc == 0 && path.len == 0)
		rc = err_set(err, ERR_PARAM, "keyPath is missing");
	if (rc == 0) {
		hub_json_set(&a, row.data, path, payload, &b);
		changes[0] = (struct change){ "data", value_json(buf_str(&b)) };
		changes[1] =
		    (struct change){ "modifiedOn", value_time(clock_now()) };
		rc = update(h, h->versions, h->store, &hub_repository_entity,
		    &f, changes, 2, NULL, err);
		if (rc == 0) /* later: a rule may have set it */
			event_updated(
			    h, hub_object_of(&hub_repository_entity), id);
	}
	buf_free(&b);
	arena_fini(&a);
	return rc;
}

/* enable, disable, reload, or what its provider can do. */
static int
act_on_gateway(struct hub *h, struct str unit_id, struct str code,
    struct str payload, struct err *err)
{
	struct gate *g = gate_at(h, unit_id, code);
	bool on = hub_truth(payload),
	     off = str_eq_nocase(payload, STR("disable")) ||
	    str_eq_nocase(payload, STR("false")) || str_eqz(payload, "0") ||
	    str_eq_nocase(payload, STR("off"));
	const struct change change = { "enabled", value_bool(on) };
	struct filter f = { 0 };
	int rc;

	if (g == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "there is no gateway " STR_FMT, STR_ARG(code));
	if (on || off) {
		filter_text(&f, "id", g->row.id);
		rc = update(h, route_versions(h->route), route_store(h->route),
		    &route_gateway_entity, &f, &change, 1, NULL, err);
		if (rc == 0)
			hub_post(h, gates_reload, g->row.id);
		return rc;
	}
	if (str_eq_nocase(payload, STR("reload"))) {
		hub_post(h, gates_reload, g->row.id);
		return 0;
	}
	return gate_act(g, STR(""), payload, err);
}

static int
act_on_node(struct hub *h, struct str unit_id, struct str quick,
    struct str action, struct err *err)
{
	struct str addr = quick, code = str_cut(&addr, '.');
	struct gate *g = gate_at(h, unit_id, code);
	struct arena a = { 0 };
	int rc;

	if (g == NULL || model_at(h, unit_id, code, addr) == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "there is no node " STR_FMT " on a gateway",
		    STR_ARG(quick));
	rc = gate_act(g, gate_spoken(g, &a, addr), action, err);
	arena_fini(&a);
	return rc;
}

/* Sets one thing; `quick` without its type. */
static int
set_one(struct hub *h, struct str unit_id, const struct wish *w,
    struct str quick, struct outcome *x, struct err *err)
{
	struct cell *f;

	if (str_eq_nocase(w->resource_type, STR("field"))) {
		f = model_field(h, unit_id, quick);
		if (f == NULL)
			return err_set(err, ERR_NOT_FOUND,
			    "there is no field " STR_FMT, STR_ARG(quick));
		return field_set_to(f, w->payload, x, err);
	}
	if (str_eq_nocase(w->resource_type, STR("data_repository")))
		return set_repository(
		    h, unit_id, quick, w->key_path, w->payload, err);
	if (str_eq_nocase(w->resource_type, STR("gateway")))
		return act_on_gateway(h, unit_id, quick, w->payload, err);
	if (str_eq_nocase(w->resource_type, STR("node")))
		return act_on_node(h, unit_id, quick, w->payload, err);
	if (str_eq_nocase(w->resource_type, STR("task")))
		return toggle_rule(h, &hub_task_entity, unit_id, quick,
		    w->payload, tasks_reload, err);
	if (str_eq_nocase(w->resource_type, STR("schedule")))
		return toggle_rule(h, &hub_schedule_entity, unit_id, quick,
		    w->payload, schedules_reload, err);
	if (str_eq_nocase(w->resource_type, STR("handler")))
		return toggle_rule(h, &hub_handler_entity, unit_id, quick,
		    w->payload, handlers_reload, err);
	return err_set(err, ERR_PARAM,
	    "resourceType `" STR_FMT "`: what can be acted on are field, "
	    "node, gateway, data_repository, task, schedule and handler",
	    STR_ARG(w->resource_type));
}

static int
set_resource(struct hub *h, struct str unit_id, const struct wish *w,
    struct outcome *x, struct err *err)
{
	struct cell *f;
	size_t pos = 0, n = 0;
	int rc = 0;

	if (!str_eqz(w->type, "resource_by_labels"))
		return set_one(h, unit_id, w, w->quick_id, x, err);
	if (!str_eq_nocase(w->resource_type, STR("field")))
		return err_set(
		    err, ERR_PARAM, "by labels only fields can be set");
	while ((f = map_next(&h->quick, &pos)) != NULL) {
		if (!str_eq(f->row.unit_id, unit_id) ||
		    !hub_labels_match(f->row.labels, w->labels))
			continue;
		if (n++ == BY_LABELS_MAX)
			return err_set(err, ERR_LIMIT,
			    "more than %d fields have these labels",
			    BY_LABELS_MAX);
		if (field_set_to(f, w->payload, x, err) != 0)
			rc = err->code;
	}
	return n == 0
	    ? err_set(err, ERR_NOT_FOUND, "no field has the labels " STR_FMT,
		  STR_ARG(w->labels))
	    : rc;
}

int
hub_action(struct hub *h, struct str unit_id, struct str resource,
    struct str key_path, struct str payload, struct err *err)
{
	struct str rest = resource, type = str_cut(&rest, ':');
	const struct wish w = { .type = STR("resource_by_quick_id"),
		.resource_type = type,
		.quick_id = rest,
		.payload = payload,
		.key_path = key_path };

	/* by people only: schedules that ran each other would never end */
	if (rest.len > 0 && str_eq_nocase(type, STR("schedule")) &&
	    str_eq_nocase(payload, STR("run")))
		return schedule_run(h, unit_id, rest, err);
	if (rest.len == 0)
		return err_set(err, ERR_PARAM,
		    "resource `" STR_FMT "`: must be a quick id, as "
		    "field:gateway.node.source.field",
		    STR_ARG(resource));
	return set_resource(h, unit_id, &w, NULL, err);
}

void
outcome_do(struct outcome *x, struct str json)
{
	struct fire *f = x->fire;
	struct err err = { 0 };
	struct wish w;
	int rc;

	read_wish(&f->arena, json, &w);
	rc = set_resource(f->hub, f->trace.unit_id, &w, x, &err);
	outcome_end(x, rc, rc != 0 ? err.text : "done after its preDelay");
}

/* --- firing -------------------------------------------------------------- */

struct posted {
	struct fire *fire;
	struct str handler, parameter; /* in the fire's arenas */
};

static void
on_posted(void *ctx, const struct handler_result *r)
{
	struct posted *p = ctx;
	struct fire *f = p->fire;

	note(f, p->handler, p->parameter, r->code, r->text, r->took_ms);
	free(p);
	fire_done(f);
}

static void
do_resource(struct fire *f, struct str handler, struct str name,
    struct str json, const struct wish *w)
{
	struct err err = { 0 };
	struct outcome *x;
	int64_t ms = 0;
	int rc;

	x = add_outcome(f, handler, name);
	rc = hub_duration(w->pre_delay, 0, &ms, &err);
	if (rc == 0 && ms > 0) {
		set_outcome(x, 0, "in a while", 0);
		f->open++;
		delay(f->hub,
		    &(struct hub_delayed){ .unit_id = f->trace.unit_id,
			.rule = f->trace.rule,
			.handler = handler,
			.parameter = name,
			.wish = json },
		    ms, x);
		return;
	}
	if (rc == 0)
		rc = set_resource(f->hub, f->trace.unit_id, w, x, &err);
	set_outcome(x, rc, rc != 0 ? err.text : "", 0);
}

static void
do_post(struct fire *f, struct slot *s, struct str name, struct str json)
{
	const struct handler_message m = { json, f->trace.variables };
	struct posted *p = mem_new(struct posted);
	struct err err;
	int rc;

	p->fire = f;
	p->handler = arena_str(&f->large, s->row.id);
	p->parameter = name;
	f->waits++;
	rc = handler_post(s->plug, &m, on_posted, p, &err);
	if (rc == 0)
		return;
	f->waits--;
	if (rc != ERR_NOT_FOUND) /* not for this type: another one's */
		note(f, p->handler, name, rc, err.text, 0);
	free(p);
}

/* Is this handler to be told? `*ret` is it, or NULL for a resource handler.
 * False with err->code: it can not be. */
static bool
is_for(struct hub *h, struct str unit_id, struct str id, const struct wish *w,
    struct slot **ret, struct err *err)
{
	struct slot *s = map_get(&h->handlers, id);
	bool resource;

	err->code = 0;
	if (hub_truth(w->disabled))
		return false;
	if (s != NULL && !str_eq(s->row.unit_id, unit_id))
		s = NULL;
	resource = s != NULL ? str_eqz(s->row.type, "resource")
			     : str_eqz(id, BUILT_IN);
	*ret = resource ? NULL : s;
	if (s == NULL && !resource)
		(void)err_set(err, ERR_NOT_FOUND, "there is no such handler");
	else if (s != NULL && !s->row.enabled)
		(void)err_set(err, ERR_CLOSED, "the handler is disabled");
	else if (!resource && s->plug == NULL)
		*err = s->why;
	else
		return !resource || str_starts(w->type, STR("resource_by_"));
	return false;
}

static void
tell_handler(struct fire *f, struct str id, struct str name, struct str json)
{
	struct slot *s;
	struct wish w;
	struct err err;

	read_wish(&f->large, json, &w);
	if (!is_for(f->hub, f->trace.unit_id, id, &w, &s, &err)) {
		if (err.code != 0)
			note(f, id, name, err.code, err.text, 0);
	} else if (s == NULL) {
		do_resource(f, id, name, json, &w);
	} else {
		do_post(f, s, name, json);
	}
}

static struct fire *
fire_new(struct hub *h, struct str unit_id, struct str rule, int64_t at)
{
	struct fire *f = mem_new(struct fire);
	struct arena *a = &f->arena;

	f->began = at;
	/* no two at a time: they are listed in the order they ran */
	at = MAX_OF(at, h->last_trace + 1);
	h->last_trace = at;
	f->hub = h;
	f->waits = 1;
	list_init(&f->outcomes);
	f->trace = (struct hub_trace){ .id = rand_id(a, at, ID_LONG),
		.unit_id = arena_str(a, unit_id),
		.rule = arena_str(a, rule),
		.at = at,
		.message = STR("") };
	return f;
}

struct outcome *
outcome_later(struct hub *h, struct str unit_id, struct str rule,
    struct str handler, struct str parameter)
{
	struct fire *f = fire_new(h, unit_id, rule, clock_now());

	f->trace.triggered = f->trace.fired = true;
	f->trace.message = STR("its preDelay began before the program was "
			       "started anew");
	f->waits = 0;
	f->open = 1;
	return add_outcome(f, handler, parameter);
}

void
action_fire(struct hub *h, const struct action *act)
{
	struct fire *f = fire_new(h, act->unit_id, act->rule, act->at);
	struct arena *a = &f->large;
	struct str name, seen;
	struct json j;

	f->trace.event = arena_str(a, act->event);
	f->trace.variables = arena_str(a, act->variables);
	seen = act->more.ptr != NULL
	    ? hub_merged(a, act->more, f->trace.variables)
	    : f->trace.variables;
	f->trace.triggered = act->triggered;
	f->trace.fired = act->fired;
	f->trace.message = arena_str(&f->arena, act->message);
	json_open(&j, arena_str(a, act->parameters), 0, a);
	if (act->fired && json_object(&j))
		while (json_member(&j, &name)) {
			struct buf b = { 0 };
			struct json_out o;
			struct err err;

			json_out_init(&o, &b, false);
			if (render_value(h, &j, seen, a, &o, &err) != 0) {
				note(f, STR(""), name, err.code, err.text, 0);
				buf_free(&b);
				break; /* the reader stands amid it */
			}
			for (size_t i = 0; i < act->handlers.n; i++)
				tell_handler(f,
				    arena_str(a, act->handlers.at[i]), name,
				    arena_str(a, buf_str(&b)));
			buf_free(&b);
		}
	fire_done(f);
}

/* --- trying out ---------------------------------------------------------- */

/* Would it take the parameter? ERR_NOT_FOUND without a text: it is another
 * type's. */
static int
would_take(struct hub *h, struct arena *a, struct str unit_id,
    const struct slot *s, const struct wish *w, struct str json,
    struct err *err)
{
	const char *type = s != NULL ? arena_z(a, s->row.type) : NULL, *takes;
	const struct record *r;
	struct str found;

	if (type == NULL)
		return str_eqz(w->type, "resource_by_labels") ||
			hub_object_by_quick_id(h, unit_id, w->resource_type,
			    w->quick_id, a, &found)
		    ? 0
		    : err_set(err, ERR_NOT_FOUND,
			  "there is no " STR_FMT " " STR_FMT,
			  STR_ARG(w->resource_type), STR_ARG(w->quick_id));
	takes = handler_takes(type);
	if (takes != NULL && !str_eq_nocase(w->type, str_of(takes))) {
		err->text[0] = '\0';
		return ERR_NOT_FOUND;
	}
	r = handler_parameter(type);
	return r == NULL
	    ? 0
	    : record_read(r, a, json, arena_alloc(a, r->size), err);
}

static const char *const previews[] = { "ok", "error", NULL };
struct preview {
	struct str handler, parameter, value, status, message;
};
#define V struct preview
static const struct field preview_fields[] = {
	F_TEXT(V, handler, "handler",
	    .help = "Whose it would be; \"\": it can not be made."),
	F_TEXT(V, parameter, "parameter", .help = "Its name."),
	F_JSON(V, value, "value", .flags = FIELD_NULL,
	    .help = "What the handler would be given."),
	F_TEXT(V, status, "status", .one_of = previews),
	F_TEXT(V, message, "message", .help = "Why it would be refused."),
	{ 0 },
};
#undef V
const struct record hub_preview_record = { "actionPreview",
	sizeof(struct preview), preview_fields };

static void
preview_one(struct hub *h, struct arena *a, struct str unit_id, struct str id,
    struct str name, struct str json, struct rows *ret)
{
	struct err err = { 0 };
	struct slot *s;
	struct wish w;
	int rc;

	read_wish(a, json, &w);
	if (!is_for(h, unit_id, id, &w, &s, &err)) {
		if (err.code == 0)
			return;
		rc = err.code;
	} else {
		rc = would_take(h, a, unit_id, s, &w, json, &err);
	}
	if (rc != 0 && err.text[0] == '\0')
		return;
	((struct preview *)ret->at)[ret->n++] = (struct preview){ id, name,
		json, rc == 0 ? STR("ok") : STR("error"),
		rc == 0 ? STR("") : arena_str(a, str_of(err.text)) };
}

struct rows
action_preview(struct hub *h, const struct action *act, struct arena *a)
{
	struct str name, raw, seen = act->variables;
	struct rows ret = { 0 };
	struct json j, one;
	struct err err;
	size_t n = 0;

	if (act->more.ptr != NULL)
		seen = hub_merged(a, act->more, seen);
	json_open(&j, act->parameters, 0, a);
	if (json_object(&j))
		for (; json_member(&j, &name) && json_skip(&j); n++)
			;
	ret.at = arena_array(
	    a, n * MAX_OF(act->handlers.n, (size_t)1) + 1, struct preview);
	json_open(&j, act->parameters, 0, a);
	if (json_object(&j))
		while (json_member(&j, &name) && json_raw(&j, &raw)) {
			struct buf b = { 0 };
			struct json_out text;
			struct str value;
			int rc;

			json_out_init(&text, &b, false);
			json_open(&one, raw, 0, a);
			rc = render_value(h, &one, seen, a, &text, &err);
			value = arena_str(a, buf_str(&b));
			buf_free(&b);
			if (rc != 0)
				((struct preview *)ret.at)[ret.n++] =
				    (struct preview){ STR(""), name, STR_NULL,
					    STR("error"),
					    arena_str(a, str_of(err.text)) };
			else
				for (size_t i = 0; i < act->handlers.n; i++)
					preview_one(h, a, act->unit_id,
					    act->handlers.at[i], name, value,
					    &ret);
		}
	return ret;
}

int
handler_try(struct hub *h, struct str unit_id, struct str id, struct str json,
    handler_done *done, void *ctx, const char **stage, struct err *err)
{
	const struct handler_message m = { json, STR("{\"test\":true}") };
	struct handler_result r = { .text = "" };
	struct arena a = { 0 };
	struct slot *s;
	struct wish w;
	int rc = 0;

	*stage = "open";
	read_wish(&a, json, &w);
	w.disabled = STR("");
	if (!is_for(h, unit_id, id, &w, &s, err)) {
		rc = err->code;
		if (rc == 0) {
			*stage = "take";
			rc = err_set(err, ERR_PARAM,
			    "type: must be resource_by_quick_id or "
			    "resource_by_labels");
		}
	} else if (s != NULL) {
		*stage = "take";
		rc = handler_post(s->plug, &m, done, ctx, err);
	} else {
		r.code = set_resource(h, unit_id, &w, NULL, err);
		r.text = r.code != 0 ? err->text : "";
		r.attempts = 1;
		done(ctx, &r);
	}
	arena_fini(&a);
	return rc;
}

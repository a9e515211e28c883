/*
 * core/hub/schedule.c - schedules: at some time, handlers are told.
 *
 * One timer a schedule, set to when it is due but never for more than a minute,
 * so that a clock that is set, or a machine that slept, is noticed. What was
 * due while the program did not run is not made up for.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/cron.h"
#include "codec/json.h"
#include "codec/sun.h"
#include "codec/zone.h"

#include <stdlib.h>
#include <string.h>

const char *const hub_schedule_types[] = { "repeat", "cron", "simple",
	"sunrise", "sunset", NULL };

#define DAYS_AHEAD 1500 /* 29 February comes again within them */
#define WAIT_MAX_MS 60000

/* --- when ---------------------------------------------------------------- */

/* A member of the spec as text, whatever its JSON type; keys in any case. */
static struct str
member(struct arena *a, struct str spec, const char *name)
{
	struct str value, text;
	struct json j;

	if (!hub_json_at(a, spec, str_of(name), &value) ||
	    str_eqz(value, "null"))
		return STR("");
	json_open(&j, value, 0, a);
	if (json_peek(&j) == JSON_STRING && json_str(&j, &text))
		return text;
	return value;
}

/* "07:30" or "07:30:15" into seconds of the day. */
static bool
read_clock(struct str s, int64_t *ret)
{
	struct str part;
	int64_t n, all = 0;
	int i = 0;

	while (s.ptr != NULL && i < 3) {
		part = str_cut(&s, ':');
		if (part.len == 0 || part.len > 2 || !str_to_i64(part, &n) ||
		    n < 0 || n > (i == 0 ? 23 : 59))
			return false;
		all = all * 60 + n;
		i++;
	}
	if (i < 2 || s.ptr != NULL)
		return false;
	*ret = i == 2 ? all * 60 : all;
	return true;
}

static bool
read_date(struct str s, int64_t *days)
{
	struct str y = str_cut(&s, '-'), m = str_cut(&s, '-');
	int64_t year, month, day;

	if (!str_to_i64(y, &year) || !str_to_i64(m, &month) ||
	    !str_to_i64(s, &day) || year < 1970 || year > 9999 || month < 1 ||
	    month > 12 || day < 1 || day > 31)
		return false;
	*days = zone_days(year, (int)month, (int)day);
	return true;
}

/* Bits of "mon,wed"; none named: all. */
static bool
read_weekdays(struct str s, unsigned *ret)
{
	static const char *const names[] = { "sun", "mon", "tue", "wed", "thu",
		"fri", "sat" };
	unsigned bits = 0;

	while (s.ptr != NULL && s.len > 0) {
		struct str day = str_trim(str_cut(&s, ','));
		size_t i = 0;

		while (i < 7 && !str_eq_nocase(day, str_of(names[i])))
			i++;
		if (i == 7)
			return false;
		bits |= 1u << i;
	}
	*ret = bits != 0 ? bits : 0x7f;
	return true;
}

/* What a schedule by days says. */
struct days {
	bool sun, rises;
	unsigned weekdays;
	int64_t date_of_month; /* 0: any */
	int64_t date;          /* days since 1970; -1: any */
	int64_t clock;         /* seconds of the day */
	int64_t offset_ms;
};

static int
read_days(struct arena *a, const struct hub_schedule *s, struct days *d,
    struct err *err)
{
	struct str frequency = member(a, s->spec, "frequency");
	struct str time = member(a, s->spec, "time");
	struct str text;

	*d = (struct days){ .weekdays = 0x7f, .date = -1 };
	d->sun = !str_eqz(s->type, "simple");
	d->rises = str_eqz(s->type, "sunrise");
	if (!d->sun && !read_clock(time, &d->clock))
		return err_set(err, ERR_PARAM,
		    "spec.time `" STR_FMT "`: must be as 07:30 or 07:30:00",
		    STR_ARG(time));
	if (hub_duration(member(a, s->spec, "offset"), 0, &d->offset_ms, err) !=
	    0)
		return err_wrap(err, "spec.offset");
	text = member(a, s->spec, "dayOfWeek");
	if (frequency.len == 0 || str_eq_nocase(frequency, STR("daily")) ||
	    str_eq_nocase(frequency, STR("weekly"))) {
		if (!read_weekdays(text, &d->weekdays))
			return err_set(err, ERR_PARAM,
			    "spec.dayOfWeek `" STR_FMT
			    "`: must be as mon,wed,fri",
			    STR_ARG(text));
	} else if (str_eq_nocase(frequency, STR("monthly"))) {
		text = member(a, s->spec, "dateOfMonth");
		if (!str_to_i64(text, &d->date_of_month) ||
		    d->date_of_month < 1 || d->date_of_month > 31)
			return err_set(err, ERR_PARAM,
			    "spec.dateOfMonth `" STR_FMT "`: must be 1 to 31",
			    STR_ARG(text));
	} else if (str_eq_nocase(frequency, STR("on_date"))) {
		text = member(a, s->spec, "date");
		if (!read_date(text, &d->date))
			return err_set(err, ERR_PARAM,
			    "spec.date `" STR_FMT "`: must be as 2026-05-01",
			    STR_ARG(text));
	} else {
		return err_set(err, ERR_PARAM,
		    "spec.frequency `" STR_FMT
		    "`: must be daily, weekly, monthly or on_date",
		    STR_ARG(frequency));
	}
	return 0;
}

/* When it is due on that day; false: not. `t` is noon there. */
static bool
due_on(const struct days *d, const struct hub_place *place,
    const struct zone_time *t, int64_t *ret)
{
	int64_t at, rise, set;

	if (!(d->weekdays >> t->weekday & 1) ||
	    (d->date_of_month != 0 && d->date_of_month != t->day) ||
	    (d->date >= 0 && d->date != zone_days(t->year, t->month, t->day)))
		return false;
	if (d->sun) {
		(void)zone_moment(place->zone, t->year, t->month, t->day, 12, 0,
		    0, &at, NULL);
		if (sun_times(place->latitude, place->longitude, at, &rise,
			&set) != SUN_RISES)
			return false;
		at = d->rises ? rise : set;
	} else {
		(void)zone_moment(place->zone, t->year, t->month, t->day,
		    (int)(d->clock / 3600), (int)(d->clock / 60 % 60),
		    (int)(d->clock % 60), &at, NULL);
	}
	*ret = at + d->offset_ms;
	return true;
}

static int
next_day(const struct hub_schedule *s, const struct hub_place *place,
    int64_t after, int64_t *ret, struct err *err)
{
	struct arena a = { 0 };
	struct zone_time t;
	struct days d;
	int64_t noon, at;
	int rc = read_days(&a, s, &d, err);

	if (rc == 0 && d.sun && !place->known)
		rc = err_set(err, ERR_PARAM,
		    "sunrise and sunset need hub.latitude and hub.longitude");
	*ret = TIME_NULL;
	zone_local(place->zone, after, &t);
	/* the offset may bring yesterday's or tomorrow's */
	for (int i = -2; rc == 0 && i < DAYS_AHEAD; i++) {
		struct zone_time day;

		(void)zone_moment(place->zone, t.year, t.month, t.day + i, 12,
		    0, 0, &noon, NULL);
		zone_local(place->zone, noon, &day);
		if (due_on(&d, place, &day, &at) && at > after) {
			*ret = at;
			break;
		}
	}
	arena_fini(&a);
	return rc;
}

int
hub_schedule_next(const struct hub_schedule *s, const struct hub_place *place,
    int64_t after, int64_t *ret, struct err *err)
{
	struct arena a = { 0 };
	struct cron cron;
	int64_t ms;
	int rc = 0;

	if (str_eqz(s->type, "repeat")) {
		rc = hub_duration(member(&a, s->spec, "interval"), 0, &ms, err);
		if (rc == 0 && ms < 100)
			rc = err_set(err, ERR_PARAM,
			    "spec.interval: must be 100ms or more");
		if (rc == 0)
			*ret = after + ms;
	} else if (str_eqz(s->type, "cron")) {
		rc = cron_parse(
		    member(&a, s->spec, "cronExpression"), &cron, err);
		if (rc == 0)
			*ret = cron_next(&cron, after, place->zone);
		else
			rc = err_wrap(err, "spec.cronExpression");
	} else {
		rc = next_day(s, place, after, ret, err);
	}
	arena_fini(&a);
	return rc;
}

/* --- whether ------------------------------------------------------------- */

/* A moment of the validity: `end` of the day, or its beginning. */
static bool
moment(const struct hub_place *place, struct str date, struct str time,
    bool end, int64_t *ret)
{
	struct str y = str_cut(&date, '-'), m = str_cut(&date, '-');
	int64_t year, month, day, clock = end ? 86399 : 0;

	if (!str_to_i64(y, &year) || !str_to_i64(m, &month) ||
	    !str_to_i64(date, &day))
		return false;
	if (time.len > 0 && !read_clock(time, &clock))
		return false;
	(void)zone_moment(place->zone, year, (int)month, (int)day,
	    (int)(clock / 3600), (int)(clock / 60 % 60), (int)(clock % 60), ret,
	    NULL);
	if (end)
		*ret += 999;
	return true;
}

bool
hub_schedule_valid(
    const struct hub_schedule *s, const struct hub_place *place, int64_t now)
{
	const struct hub_validity *v = &s->validity;
	struct zone_time t;
	int64_t at, from = 0, to = 86399, clock;

	if (!v->enabled)
		return true;
	if (v->date.from.len > 0 &&
	    moment(place, v->date.from, v->every_day ? STR("") : v->time.from,
		false, &at) &&
	    now < at)
		return false;
	if (v->date.to.len > 0 &&
	    moment(place, v->date.to, v->every_day ? STR("") : v->time.to, true,
		&at) &&
	    now > at)
		return false;
	if (!v->every_day)
		return true;
	zone_local(place->zone, now, &t);
	clock = t.hour * 3600 + t.minute * 60 + t.second;
	if (v->time.from.len > 0)
		(void)read_clock(v->time.from, &from);
	if (v->time.to.len > 0)
		(void)read_clock(v->time.to, &to);
	return from <= to ? from <= clock && clock <= to
			  : clock >= from || clock <= to; /* over midnight */
}

static int
check_span(
    const struct hub_span *s, bool dates, const char *what, struct err *err)
{
	const struct str both[] = { s->from, s->to };
	int64_t n;

	for (size_t i = 0; i < 2; i++)
		if (both[i].len > 0 &&
		    !(dates ? read_date(both[i], &n) : read_clock(both[i], &n)))
			return err_set(err, ERR_PARAM,
			    "validity.%s `" STR_FMT "`: must be as %s", what,
			    STR_ARG(both[i]), dates ? "2026-05-01" : "07:30");
	return 0;
}

int
hub_schedule_check(const struct hub_schedule *s, const struct hub_place *place,
    struct err *err)
{
	int64_t at;
	int rc = hub_schedule_next(s, place, clock_now(), &at, err);

	if (rc == 0)
		rc = check_span(&s->validity.date, true, "date", err);
	if (rc == 0)
		rc = check_span(&s->validity.time, false, "time", err);
	return rc;
}

/* --- running ------------------------------------------------------------- */

struct schedule {
	MODEL_ROW(hub_schedule);
	struct hub *hub;
	struct str key;     /* owned */
	struct str message; /* row.state.message; owned */
	struct loop_timer timer;
	int64_t due; /* wall clock */
	struct firing *firing;
};

/* Between its time and what comes of it. */
struct firing {
	struct schedule *schedule;
	struct str variables;
	int64_t at;
	bool by_hand; /* not at its time */
	struct hub_lookup lookup;
	struct hub_hook hook;
	struct script_call call;
	struct script_var *vars;
	size_t n_vars;
	struct arena arena;
};

static void
free_firing(struct firing *f)
{
	hub_lookup_end(&f->lookup);
	hub_hook_end(&f->hook);
	arena_fini(&f->arena);
	free(f);
}

static void
say(struct schedule *s, const char *text)
{
	str_free(s->message);
	s->message = str_copy(str_of(text));
	s->row.state.message = s->message;
}

static void
arm(struct schedule *s)
{
	int64_t now = clock_now();

	loop_after(s->hub->loop, &s->timer,
	    MIN_OF(MAX_OF(s->due - now, (int64_t)0), (int64_t)WAIT_MAX_MS));
}

static void
set_next(struct schedule *s, int64_t after)
{
	struct err err;

	if (!s->row.enabled)
		return;
	if (hub_schedule_next(&s->row, &s->hub->place, after, &s->due, &err) !=
	    0)
		say(s, err.text);
	else if (s->due != TIME_NULL)
		arm(s);
}

static bool
is_last(const struct schedule *s, struct arena *a)
{
	int64_t count;

	if (str_eqz(s->row.type, "repeat"))
		return str_to_i64(
			   member(a, s->row.spec, "repeatCount"), &count) &&
		    count > 0 && s->row.state.executed_count >= count;
	return str_eq_nocase(
	    member(a, s->row.spec, "frequency"), STR("on_date"));
}

static void
finish(struct firing *f, const struct err *err)
{
	struct schedule *s = f->schedule;
	struct hub *h = s->hub;
	struct arena *a = &f->arena;

	s->firing = NULL;
	s->row.state.last_run = f->at;
	s->row.state.last_status = err == NULL;
	say(s,
	    err != NULL ? err->text
			: arena_printf(a, "time taken: %lldms",
			      (long long)(clock_now() - f->at))
			      .ptr);
	action_fire(h,
	    &(struct action){ .unit_id = s->row.unit_id,
		.rule =
		    arena_printf(a, "schedule:" STR_FMT, STR_ARG(s->row.id)),
		.event = STR_NULL,
		.variables = f->variables,
		.triggered = true,
		.fired = err == NULL,
		.message = err != NULL ? str_of(err->text) : STR(""),
		.handlers = s->row.handlers,
		.parameters = s->row.handler_parameters,
		.at = f->at });
	if (!f->by_hand && is_last(s, a)) {
		s->row.enabled = false;
		loop_cancel(h->loop, &s->timer);
	}
	writer_put(h, &hub_schedule_entity, &s->row, false,
	    s->row.enabled ? "state" : "state enabled");
	free_firing(f);
}

static void
on_script(struct script_call *call)
{
	struct firing *f = container_of(call, struct firing, call);
	struct err err = call->err;

	if (call->end == SCRIPT_DONE)
		f->variables =
		    hub_merged(&f->arena, f->variables, call->result);
	finish(f, call->end == SCRIPT_DONE ? NULL : &err);
}

static void
on_hook(struct hub_hook *k)
{
	struct firing *f = container_of(k, struct firing, hook);
	struct str answer = arena_str(&f->arena, str_trim(k->answer));
	struct err err = k->err;

	if (err.code == 0 &&
	    (!str_starts(answer, STR("{")) || !json_valid(answer, 0)))
		(void)err_set(
		    &err, ERR_PROTO, "webhook: the answer is no JSON object");
	if (err.code == 0)
		f->variables = hub_merged(&f->arena, f->variables, answer);
	finish(f, err.code != 0 ? &err : NULL);
}

/* 1: a script or web server is asked; 0: there is none. */
static int
custom(struct firing *f, struct err *err)
{
	struct schedule *s = f->schedule;
	struct str source;
	int rc;

	if (str_eqz(s->row.custom_type, "webhook")) {
		f->hook.done = on_hook;
		rc = hub_hook_start(&f->hook, s->hub,
		    member(&f->arena, s->row.custom_config, "webhook"), "POST",
		    f->variables, err);
		return rc == 0 ? 1 : rc;
	}
	if (!str_eqz(s->row.custom_type, "javascript"))
		return 0;
	source = member(&f->arena, s->row.custom_config, "javascript");
	f->vars = hub_globals(
	    &f->arena, f->variables, "schedule", STR_NULL, &f->n_vars);
	f->call = (struct script_call){ .group = s->row.unit_id,
		.source = source,
		.entry = SCRIPT_VALUE,
		.vars = f->vars,
		.n_vars = f->n_vars,
		.both_spellings = true,
		.timeout_ms = hub_script_timeout(s->row.labels),
		.done = on_script };
	rc = script_run(s->hub->scripts, &f->call, err);
	return rc == 0 ? 1 : rc;
}

/* The variables are there, or can not be had. */
static void
go_on(struct firing *f, int rc)
{
	struct err err = f->lookup.err;

	f->variables = f->lookup.variables;
	if (rc == 0)
		rc = custom(f, &err);
	if (rc != 1)
		finish(f, rc == 0 ? NULL : &err);
}

static void
on_variables(struct hub_lookup *l, int rc)
{
	go_on(container_of(l, struct firing, lookup), rc);
}

static void
fire(struct schedule *s, int64_t now, bool by_hand)
{
	struct firing *f = mem_new(struct firing);
	struct hub_extra extra;
	int rc;

	f->schedule = s;
	f->at = now;
	f->variables = STR("{}");
	f->by_hand = by_hand;
	s->firing = f;
	if (!by_hand)
		s->row.state.executed_count++;
	extra = (struct hub_extra){ "schedule",
		hub_row_json(&f->arena, &hub_schedule_entity.record, &s->row) };
	f->lookup.hub = s->hub;
	f->lookup.unit_id = s->row.unit_id;
	f->lookup.arena = &f->arena;
	f->lookup.done = on_variables;
	rc = hub_lookup(&f->lookup, s->row.variables, &extra, 1);
	if (rc != 1)
		go_on(f, rc);
}

static void
on_timer(struct loop_timer *t)
{
	struct schedule *s = container_of(t, struct schedule, timer);
	int64_t now = clock_now();

	if (now < s->due) {
		arm(s);
		return;
	}
	set_next(s, MAX_OF(now, s->due));
	if (s->firing == NULL &&
	    hub_schedule_valid(&s->row, &s->hub->place, now))
		fire(s, now, false);
}

int
schedule_run(struct hub *h, struct str unit_id, struct str id, struct err *err)
{
	struct schedule *s = map_get(&h->schedules, id);

	if (s == NULL || !str_eq(s->row.unit_id, unit_id))
		return err_set(err, ERR_NOT_FOUND,
		    "there is no schedule " STR_FMT, STR_ARG(id));
	if (s->firing != NULL)
		return err_set(err, ERR_AGAIN, "it is running");
	fire(s, clock_now(), true);
	return 0;
}

/* --- coming and going ---------------------------------------------------- */

static void
schedule_free(struct schedule *s)
{
	struct hub *h = s->hub;

	if (s->firing != NULL) {
		script_cancel(h->scripts, &s->firing->call);
		free_firing(s->firing);
	}
	loop_cancel(h->loop, &s->timer);
	map_del(&h->schedules, s->key);
	str_free(s->key);
	str_free(s->message);
	arena_fini(&s->arena);
	free(s);
}

static int
load(void *ctx, const void *row, struct err *err)
{
	struct schedule *s = mem_new(struct schedule);
	struct hub *h = ctx;

	(void)err;
	s->hub = h;
	list_init(&s->dirty);
	s->stored = true;
	record_copy(&hub_schedule_entity.record, &s->arena, &s->row, row);
	s->key = str_copy(s->row.id);
	s->message = str_copy(s->row.state.message);
	s->row.state.message = s->message;
	s->timer.fire = on_timer;
	map_put(&h->schedules, s->key, s);
	set_next(s, clock_now());
	return 0;
}

void
schedules_reload(struct hub *h, struct str id)
{
	struct schedule *s = map_get(&h->schedules, id);
	struct filter f = { 0 };
	const struct store_query q = { .filter = &f };

	if (s != NULL)
		schedule_free(s);
	filter_text(&f, "id", id);
	(void)store_list(h->store, &hub_schedule_entity, &q, load, h, NULL);
}

void
schedules_moved(struct hub *h)
{
	struct schedule *s;
	size_t pos = 0;

	while ((s = map_next(&h->schedules, &pos)) != NULL) {
		if (str_eqz(s->row.type, "repeat"))
			continue; /* goes by no clock on the wall */
		loop_cancel(h->loop, &s->timer);
		set_next(s, clock_now());
	}
}

int
schedules_load(struct hub *h, struct err *err)
{
	static const struct store_query all = { 0 };

	return store_list(h->store, &hub_schedule_entity, &all, load, h, err);
}

void
schedules_free(struct hub *h)
{
	struct schedule *s;
	size_t pos = 0;

	while ((s = map_next(&h->schedules, &pos)) != NULL) {
		schedule_free(s);
		pos = 0;
	}
	map_fini(&h->schedules);
}

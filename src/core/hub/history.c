/*
 * core/hub/history.c - values over time: into the metric store, and asked for
 * over HTTP.
 *
 * A series is named by what is measured and its unit ("temperature_celsius"),
 * with the labels unit, gateway, device, source, field and id. A position goes
 * into three: latitude, longitude, altitude. A binary value is written when it
 * changes.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/duration.h"
#include "codec/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "hub"

/* --- series -------------------------------------------------------------- */

static const struct {
	const char *unit, *word;
} unit_words[] = {
	{ "°C", "celsius" },
	{ "°F", "fahrenheit" },
	{ "K", "kelvin" },
	{ "%", "percent" },
	{ "V", "volts" },
	{ "mV", "millivolts" },
	{ "A", "amperes" },
	{ "mA", "milliamperes" },
	{ "W", "watts" },
	{ "kW", "kilowatts" },
	{ "Wh", "watt_hours" },
	{ "kWh", "kilowatt_hours" },
	{ "Pa", "pascals" },
	{ "hPa", "hectopascals" },
	{ "lx", "lux" },
	{ "ppm", "ppm" },
	{ "ppb", "ppb" },
	{ "µg/m³", "micrograms_per_cubic_metre" },
	{ "m", "metres" },
	{ "mm", "millimetres" },
	{ "m/s", "metres_per_second" },
	{ "kg", "kilograms" },
	{ "L", "litres" },
	{ "m³", "cubic_metres" },
	{ "s", "seconds" },
	{ "Hz", "hertz" },
	{ "dBm", "dbm" },
	{ "dB", "decibels" },
};

static struct str
series_name(struct arena *a, const struct hub_field *row)
{
	struct buf b = { 0 };
	struct str s;

	if (row->field_id.ptr[0] >= '0' && row->field_id.ptr[0] <= '9')
		buf_addc(&b, '_');
	for (size_t i = 0; i < row->field_id.len; i++) {
		char c = row->field_id.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		buf_addc(&b,
		    (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_');
	}
	for (size_t i = 0; i < COUNT_OF(unit_words); i++)
		if (str_eqz(row->unit, unit_words[i].unit)) {
			buf_addc(&b, '_');
			buf_addz(&b, unit_words[i].word);
		}
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

static enum metric_kind
kind_of(struct str metric_type)
{
	if (str_eqz(metric_type, "counter"))
		return METRIC_COUNTER;
	if (str_eqz(metric_type, "binary"))
		return METRIC_BINARY;
	if (str_eqz(metric_type, "string"))
		return METRIC_TEXT;
	return METRIC_GAUGE;
}

/* 0: the store refuses it, which is logged the first time. */
static uint32_t
series_of(struct hub *h, enum metric_kind kind, struct str name,
    const struct metric_label *labels, size_t n, struct str what, bool *told)
{
	struct err err;
	uint32_t id = 0;

	if (metric_series(h->metric, kind, name, labels, n, &id, &err) == 0)
		return id;
	counter_add(&h->counters.history_refused, 1);
	if (!*told)
		log_warn(
		    "no history of " STR_FMT ": %s", STR_ARG(what), err.text);
	*told = true;
	return 0;
}

/* The series of a field, or of a part of it. */
static uint32_t
series_for(struct cell *f, enum metric_kind kind, struct str part)
{
	const struct hub_field *row = &f->row;
	const struct metric_label labels[] = {
		{ STR("unit"), f->device->unit_code },
		{ STR("gateway"), row->gateway_id },
		{ STR("device"), row->node_id },
		{ STR("source"), row->source_id },
		{ STR("field"), row->field_id },
		{ STR("id"), row->id },
	};
	struct arena a = { 0 };
	struct str name = series_name(&a, row);
	uint32_t id;

	if (part.ptr != NULL)
		name = arena_printf(
		    &a, STR_FMT "_" STR_FMT, STR_ARG(name), STR_ARG(part));
	id = series_of(f->device->hub, kind, name, labels, COUNT_OF(labels),
	    f->quick, &f->no_series);
	arena_fini(&a);
	return id;
}

/* --- writing ------------------------------------------------------------- */

static void
add_point(struct group *g, const struct metric_point *p)
{
	if (p->series == 0)
		return;
	if (g->n_points == g->cap_points) {
		g->cap_points = g->cap_points * 2 + 64;
		g->points =
		    mem_resize(g->points, g->cap_points, sizeof(*g->points));
	}
	g->points[g->n_points++] = *p;
}

/* "lat;lon[;alt]" */
static void
add_place(struct cell *f, struct str text, int64_t at)
{
	static const char *const parts[] = { "latitude", "longitude",
		"altitude" };
	double d;

	for (size_t i = 0; i < COUNT_OF(parts) && text.ptr != NULL; i++)
		if (hub_number(str_cut(&text, ';'), &d))
			add_point(f->device->hub->gathers,
			    &(struct metric_point){
				.series = series_for(
				    f, METRIC_GAUGE, str_of(parts[i])),
				.at = at,
				.value = d });
}

void
history_add(struct cell *f, struct str value, int64_t at)
{
	struct group *g = f->device->hub->gathers;
	struct str type = f->row.metric_type, text = value;
	struct metric_point p = { .at = at };
	struct json j;

	if (str_eqz(type, "none"))
		return;
	if (str_eqz(type, "binary") && f->row.previous.timestamp != TIME_NULL &&
	    f->row.current.timestamp == at && str_eq(f->now, f->before))
		return;
	if (value.len > 0 && value.ptr[0] == '"') {
		json_open(&j, value, 0, &g->arena);
		(void)json_str(&j, &text);
	}
	if (str_eqz(type, "geo")) {
		add_place(f, text, at);
		return;
	}
	if (f->series == 0)
		f->series = series_for(f, kind_of(type), STR_NULL);
	p.series = f->series;
	if (str_eqz(type, "string"))
		p.text = arena_str(&g->arena, text);
	else if (str_eqz(type, "binary"))
		p.value = hub_truth(text);
	else if (!hub_number(text, &p.value))
		return;
	add_point(g, &p);
}

void
history_add_node(struct device *d, struct str name, double value, int64_t at)
{
	const struct metric_label labels[] = {
		{ STR("unit"), d->unit_code },
		{ STR("gateway"), d->row.gateway_id },
		{ STR("device"), d->row.node_id },
		{ STR("fieldname"), name },
		{ STR("id"), d->row.id },
	};

	add_point(d->hub->gathers,
	    &(struct metric_point){
		.series = series_of(d->hub, METRIC_GAUGE, name, labels,
		    COUNT_OF(labels), d->row.node_id, &d->no_series),
		.at = at,
		.value = value });
}

struct committed {
	struct metric_commit commit;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	int rc;
	struct err err;
};

static void
on_commit(struct metric_commit *commit, int rc, const struct err *why)
{
	struct committed *c = container_of(commit, struct committed, commit);

	pthread_mutex_lock(&c->lock);
	c->done = true;
	c->rc = rc;
	if (rc != 0)
		c->err = *why;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

int
history_write(struct group *g, struct err *err)
{
	struct committed c = { .commit.done = on_commit,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER };
	int rc;

	if (g->n_points == 0)
		return 0;
	rc = metric_write(
	    g->hub->metric, g->points, g->n_points, &c.commit, err);
	if (rc != 0)
		return rc;
	pthread_mutex_lock(&c.lock);
	while (!c.done)
		pthread_cond_wait(&c.cond, &c.lock);
	pthread_mutex_unlock(&c.lock);
	if (c.rc != 0)
		*err = c.err;
	return c.rc;
}

/* --- asking -------------------------------------------------------------- */

#define WINDOW_MS 300000
#define FIELDS_MAX 100 /* in one question */

/* One question: a field, from when to when, in which steps, what. */
struct question {
	struct str name, quick_id, start, stop, window;
	struct strs functions;
	struct str unit_id;
};

#define Q struct question
static const struct field question_fields[] = {
	F_TEXT(Q, name, "name", .def = "\"\"",
	    .help = "What the answer is called; not said: the quick id."),
	F_TEXT(Q, quick_id, "quickId",
	    .help = "Which field: field:gateway.node.source.field; always "
		    "needed."),
	F_TEXT(Q, start, "start", .def = "\"-1h\"",
	    .help = "From when on: -6h, or a time as RFC 3339 has it."),
	F_TEXT(Q, stop, "stop", .def = "\"\"",
	    .help = "Until when; now when left out."),
	F_TEXT(Q, window, "window", .def = "\"5m\"",
	    .help = "Width of a step; \"\": the values as they came."),
	F_TEXTS(Q, functions, "functions",
	    .help = "mean, min, max, median, sum, count, first, last, "
		    "percentile_99, increase, rate; not said: mean, min, "
		    "max."),
	{ 0 },
};
static const struct record question_record = { "metricQuery", sizeof(Q),
	question_fields };

struct questions {
	struct str unit_id;
	struct rows queries;
};
static const struct field questions_fields[] = {
	F_TEXT(struct questions, unit_id, "unitId",
	    .help = "The unit of the fields."),
	F_RECORDS(struct questions, queries, "queries",
	    .record = &question_record, .help = "Up to 100."),
	{ 0 },
};
static const struct record questions_record = { "metricQueries",
	sizeof(struct questions), questions_fields };

static bool
read_time(struct str text, int64_t now, int64_t def, int64_t *ret)
{
	int64_t ms;

	if (text.len == 0) {
		*ret = def;
		return true;
	}
	if (duration_parse_ms(text, &ms)) {
		*ret = now + ms;
		return true;
	}
	return time_parse(text, ret);
}

struct asked {
	int64_t from, to, step;
	struct metric_fn fns[METRIC_FN_MAX];
	struct str names[METRIC_FN_MAX];
	size_t n;
};

static bool
refuse(struct http_call *c, const char *member, struct str value)
{
	http_error(c, 400, "err_param", "invalid `%s`: " STR_FMT, member,
	    STR_ARG(value));
	return false;
}

static bool
read_question(struct http_call *c, const struct question *q, struct asked *ret)
{
	static const char *const usual[] = { "mean", "min", "max" };
	int64_t now = clock_now();

	*ret = (struct asked){ 0 };
	if (!read_time(q->start, now, now - 3600000, &ret->from))
		return refuse(c, "start", q->start);
	if (!read_time(q->stop, now, now, &ret->to))
		return refuse(c, "stop", q->stop);
	if (q->window.len > 0 &&
	    (!duration_parse_ms(q->window, &ret->step) || ret->step < 1000))
		return refuse(c, "window", q->window);
	ret->from = MAX_OF(ret->from, (int64_t)0);
	if (ret->to <= ret->from)
		return refuse(c, "stop", q->stop);
	if (ret->step > 0)
		ret->from -= ret->from % ret->step;
	for (size_t i = 0; i < COUNT_OF(usual) && q->functions.n == 0; i++) {
		ret->names[ret->n] = str_of(usual[i]);
		(void)metric_fn_parse(ret->names[ret->n], &ret->fns[ret->n]);
		ret->n++;
	}
	for (size_t i = 0; i < q->functions.n; i++) {
		if (ret->n == METRIC_FN_MAX ||
		    !metric_fn_parse(q->functions.at[i], &ret->fns[ret->n]))
			return refuse(c, "functions", q->functions.at[i]);
		ret->names[ret->n++] = q->functions.at[i];
	}
	return true;
}

static void
put_windows(struct json_out *o, const struct asked *ask,
    const struct metric_windows *w, struct str type)
{
	for (size_t i = 0; i < w->n; i++) {
		json_out_object(o);
		json_out_key(o, "timestamp");
		json_out_time(o, w->at[i]);
		json_out_key(o, "metricType");
		json_out_str(o, type);
		json_out_key(o, "metric");
		json_out_object(o);
		for (size_t k = 0; k < ask->n; k++) {
			json_out_key_str(o, ask->names[k]);
			json_out_real(o, w->values[i * ask->n + k]);
		}
		json_out_end_object(o);
		json_out_end_object(o);
	}
}

#define RAW_MAX 100000

struct raw {
	struct json_out *o;
	struct str type;
	size_t n;
};

static bool
put_raw(void *ctx, const struct metric_point *p, size_t n)
{
	struct raw *r = ctx;

	for (size_t i = 0; i < n && r->n < RAW_MAX; i++, r->n++) {
		json_out_object(r->o);
		json_out_key(r->o, "timestamp");
		json_out_time(r->o, p[i].at);
		json_out_key(r->o, "metricType");
		json_out_str(r->o, r->type);
		json_out_key(r->o, "metric");
		json_out_object(r->o);
		json_out_key(r->o, "value");
		if (p[i].text.ptr != NULL)
			json_out_str(r->o, p[i].text);
		else
			json_out_real(r->o, p[i].value);
		json_out_end_object(r->o);
		json_out_end_object(r->o);
	}
	return r->n < RAW_MAX;
}

/* All series that one field has had: a new unit begins a new one. */
static int
answer_field(struct hub *h, struct http_call *c, const struct hub_field *row,
    const struct asked *ask, struct json_out *o, struct err *err)
{
	const struct metric_matcher match = { STR("id"), METRIC_EQ, row->id };
	bool windows = ask->step > 0 && !str_eqz(row->metric_type, "binary") &&
	    !str_eqz(row->metric_type, "string");
	struct raw raw = { o, row->metric_type, 0 };
	struct metric_series *series;
	struct metric_windows w;
	size_t n;
	int rc;

	rc =
	    metric_find(h->metric, &match, 1, 100, &c->arena, &series, &n, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct metric_query q = { series[i].id, ask->from,
			ask->to, ask->step, ask->fns, ask->n };

		if (windows && series[i].kind != METRIC_TEXT) {
			rc = metric_windows(h->metric, &q, &c->arena, &w, err);
			if (rc == 0)
				put_windows(o, ask, &w, row->metric_type);
		} else {
			rc = metric_read(h->metric, series[i].id, ask->from,
			    ask->to, put_raw, &raw, err);
		}
	}
	return rc;
}

static bool
find_field(struct hub *h, struct http_call *c, struct str unit_id,
    struct str quick, struct hub_field *row)
{
	struct str rest = quick, type = str_cut(&rest, ':'), parts[4];
	struct filter f = { 0 };
	struct err err;
	bool found = false;

	if (rest.ptr == NULL)
		rest = quick;
	else if (!str_eq_nocase(type, STR("field")))
		return refuse(c, "quickId", quick);
	for (int i = 0; i < 4; i++)
		parts[i] = i < 3 ? str_cut(&rest, '.') : rest;
	if (parts[3].len == 0)
		return refuse(c, "quickId", quick);
	filter_text(&f, "unitId", unit_id);
	filter_text(&f, "gatewayId", parts[0]);
	filter_text(&f, "nodeId", parts[1]);
	filter_text(&f, "sourceId", parts[2]);
	filter_text(&f, "fieldId", parts[3]);
	if (store_get(h->store, &hub_field_entity, &f, &c->arena, row, &found,
		&err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	if (!found)
		http_error(c, 404, "err_not_found", "no field " STR_FMT,
		    STR_ARG(quick));
	return found;
}

static void
answer(struct hub *h, struct http_call *c, const struct questions *all)
{
	const struct question *q = all->queries.at;
	struct hub_field *rows =
	    arena_array(&c->arena, all->queries.n, struct hub_field);
	struct asked *asked =
	    arena_array(&c->arena, all->queries.n, struct asked);
	struct json_out *o;
	struct err err;
	int may;

	may = route_may_unit(h->route, c, all->unit_id, REST_GET);
	if (may == 0)
		http_error(c, 400, "err_hub_unit_not_exist", NULL);
	if (may != 1)
		return;
	for (size_t i = 0; i < all->queries.n; i++)
		if (!read_question(c, &q[i], &asked[i]) ||
		    !find_field(h, c, all->unit_id, q[i].quick_id, &rows[i]))
			return;
	o = rest_data(c);
	for (size_t i = 0; i < all->queries.n; i++) {
		json_out_key_str(
		    o, q[i].name.len > 0 ? q[i].name : q[i].quick_id);
		json_out_array(o);
		if (answer_field(h, c, &rows[i], &asked[i], o, &err) != 0) {
			rest_db_error(c, &err);
			return;
		}
		json_out_end_array(o);
	}
	rest_data_end(c);
}

static void
handle_many(struct http_call *c)
{
	const struct questions *all;
	struct rest_body b;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	all = b.row;
	if (all->queries.n == 0 || all->queries.n > FIELDS_MAX)
		http_error(
		    c, 400, "err_param", "`queries`: 1 to %d", FIELDS_MAX);
	else
		answer((struct hub *)c->route->ctx, c, all);
}

static void
handle_one(struct http_call *c)
{
	struct question q = { .quick_id = http_query(c, "quickId"),
		.start = http_query(c, "start"),
		.stop = http_query(c, "stop"),
		.window = http_query(c, "window") };
	struct questions all = { http_query(c, "unit"), { &q, 1 } };
	struct str functions = http_query(c, "functions");

	if (q.window.ptr == NULL)
		q.window = STR("5m");
	q.functions.at = arena_array(&c->arena, METRIC_FN_MAX + 1, struct str);
	while (functions.len > 0 && q.functions.n <= METRIC_FN_MAX)
		q.functions.at[q.functions.n++] = str_cut(&functions, ',');
	answer((struct hub *)c->route->ctx, c, &all);
}

struct point {
	int64_t at;
	struct str type, metric;
};
static const struct field point_fields[] = {
	F_TIME(struct point, at, "timestamp"),
	F_TEXT(struct point, type, "metricType", .one_of = hub_metric_types),
	F_JSON(struct point, metric, "metric", .flags = FIELD_OBJECT,
	    .help = "{\"value\"} as it came, or of a window what was asked "
		    "for, as {\"mean\", \"min\", \"max\"}."),
	{ 0 },
};
static const struct record point_record = { "metricPoint", sizeof(struct point),
	point_fields };
#define POINTS .reply = { .record = &point_record, .map = true }

struct one_query {
	struct str unit, quick_id, start, stop, window, functions;
};
#define O struct one_query
static const struct field one_fields[] = {
	F_TEXT(
	    O, unit, "unit", .help = "The unit of the field; always needed."),
	F_TEXT(
	    O, quick_id, "quickId", .help = "field:gateway.node.source.field."),
	F_TEXT(O, start, "start",
	    .help = "From when on: a time, or -24h; -1h when left out."),
	F_TEXT(O, stop, "stop", .help = "Until when; now."),
	F_TEXT(O, window, "window",
	    .help = "Width of a step; empty: the values as they came."),
	F_TEXT(O, functions, "functions",
	    .help = "With commas between them; mean, min, max."),
	{ 0 },
};
static const struct record one_record = { "metricOne", sizeof(O), one_fields };

const struct http_route hub_history_rows[] = {
	{ "GET", "/metric", HTTP_TOKEN, .scope = "metric.get",
	    .query = &one_record, POINTS, .handle = handle_one,
	    .help = "The history of a field." },
	{ "POST", "/metric", HTTP_TOKEN, .scope = "metric.get",
	    .body = { .record = &questions_record,
		.members = "unitId! queries!" },
	    POINTS, .handle = handle_many,
	    .help = "The histories of many fields." },
	{ 0 },
};

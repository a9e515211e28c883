/*
 * plug/metric/influx_query.c - reading from an InfluxDB: InfluxQL (version 1)
 * and Flux (version 2).
 *
 * A series is one tag set. Conditions name every tag it has, and say of every
 * other label name we know that it has none: else `room=bath` would also find
 * `room=bath,floor=2`.
 */
#include "plug/metric/influx.h"

#include "base/base.h"
#include "base/clock.h"
#include "codec/json.h"
#include "codec/lineproto.h"
#include "codec/url.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 10000 /* points in an answer */

static const struct {
	enum metric_kind kind;
	const char *name;
} measurements[] = {
	{ METRIC_GAUGE, "gauge_float_data" },
	{ METRIC_COUNTER, "counter_data" },
	{ METRIC_BINARY, "binary_data" },
	{ METRIC_TEXT, "string_data" },
};

struct str
influx_measurement(
    const struct influx *e, enum metric_kind kind, struct arena *a)
{
	for (size_t i = 0; i < COUNT_OF(measurements); i++)
		if (measurements[i].kind == kind)
			return arena_printf(a, STR_FMT "%s%s",
			    STR_ARG(e->prefix), e->prefix.len > 0 ? "_" : "",
			    measurements[i].name);
	return STR("");
}

/* --- conditions ---------------------------------------------------------- */

static void
quote(struct buf *out, char mark, struct str s)
{
	buf_addc(out, mark);
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == mark || s.ptr[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, s.ptr[i]);
	}
	buf_addc(out, mark);
}

/* Flux has "${x}" in texts; "\$" is a dollar. */
static void
flux_text(struct buf *out, struct str s)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"' || s.ptr[i] == '\\' || s.ptr[i] == '$')
			buf_addc(out, '\\');
		buf_addc(out, s.ptr[i]);
	}
	buf_addc(out, '"');
}

static void
put_tag(struct influx *e, struct buf *out, struct str name, struct str value)
{
	if (e->victoria) {
		victoria_put_tag(out, name, value);
		return;
	}
	if (e->v2) {
		buf_addz(out, value.len > 0 ? " and r[" : " and not exists r[");
		flux_text(out, name);
		buf_addc(out, ']');
		if (value.len > 0) {
			buf_addz(out, " == ");
			flux_text(out, value);
		}
		return;
	}
	buf_addz(out, " AND ");
	quote(out, '"', name);
	if (str_eqz(name, "value")) /* and not the field of this name */
		buf_addz(out, "::tag");
	buf_addc(out, '=');
	quote(out, '\'', value);
}

static int
by_name(const void *a, const void *b)
{
	const struct str *x = a, *y = b;

	return str_cmp(*x, *y);
}

/* What a tag of the series is; the line writer made of a "\" at the end what
 * the protocol can say. */
static struct str
as_written(const struct influx *e, struct arena *a, struct str s)
{
	if (!e->victoria && s.len > 0 && s.ptr[s.len - 1] == '\\')
		return arena_printf(a, STR_FMT " ", STR_ARG(s));
	return s;
}

void
influx_put_tags(struct influx *e, const struct metric_series *s,
    struct buf *out, struct arena *a)
{
	struct str *name, *known, *list;
	size_t pos = 0, n = 0;

	pthread_mutex_lock(&e->lock);
	list = arena_array(a, e->labels.n + 1, struct str);
	while ((known = map_next(&e->labels, &pos)) != NULL)
		list[n++] = arena_str(a, *known);
	pthread_mutex_unlock(&e->lock);
	qsort(list, n, sizeof(*list), by_name);
	for (size_t i = 0; i < n; i++) {
		struct str value = STR("");

		name = &list[i];
		for (size_t k = 0; k < s->n_labels; k++)
			if (str_eq(s->labels[k].name, *name))
				value = s->labels[k].value;
		if (str_eqz(*name, INFLUX_NAME_TAG) &&
		    !str_eqz(s->name, INFLUX_PLAIN_NAME))
			value = s->name;
		/* it has this label from the address of the request */
		if (e->victoria && str_eqz(*name, "db") && value.len == 0)
			value = str_of(e->database);
		put_tag(
		    e, out, as_written(e, a, *name), as_written(e, a, value));
	}
}

/* --- answers ------------------------------------------------------------- */

/* A table: rows of a time and values; NaN where there is none. */
struct table {
	struct arena *a;
	bool text; /* values are texts */
	size_t columns;
	const char *const *names; /* of columns: v2 says which it is */
	struct buf at;            /* int64_t */
	struct buf values; /* double, or struct str, `columns` each row */
};

static size_t
table_rows(const struct table *t)
{
	return t->at.len / sizeof(int64_t);
}

static void
table_fini(struct table *t)
{
	buf_free(&t->at);
	buf_free(&t->values);
}

/* [[time, value, ...], ...] */
static void
get_v1_values(struct json *j, struct table *t)
{
	if (!json_array(j))
		return;
	while (json_item(j)) {
		int64_t at;

		if (!json_array(j) || !json_item(j) || !json_i64(j, &at))
			return;
		buf_add(&t->at, &at, sizeof(at));
		for (size_t i = 0; i < t->columns; i++) {
			struct str text = STR("");
			double v = NAN;

			if (!json_item(j))
				return;
			if (json_peek(j) == JSON_NULL)
				json_null(j);
			else if (t->text)
				json_str(j, &text);
			else
				json_real(j, &v);
			text = arena_str(t->a, text);
			if (t->text)
				buf_add(&t->values, &text, sizeof(text));
			else
				buf_add(&t->values, &v, sizeof(v));
		}
		if (json_item(j))
			json_fail(j, "a row is too long");
	}
}

static void
get_v1_object(struct json *j, struct table *t, struct str *error)
{
	struct str key;

	if (!json_object(j))
		return;
	while (json_member(j, &key))
		if (str_eqz(key, "error")) {
			json_str(j, error);
		} else if (str_eqz(key, "values")) {
			get_v1_values(j, t);
		} else if (str_eqz(key, "results") || str_eqz(key, "series")) {
			if (json_array(j))
				while (json_item(j))
					get_v1_object(j, t, error);
		} else {
			json_skip(j);
		}
}

static int
ask_v1(struct influx *e, struct str query, struct table *t, struct err *err)
{
	struct influx_answer answer;
	struct str error = STR_NULL;
	struct buf form = { 0 };
	struct json j;
	int rc;

	url_form_add(&form, "db", str_of(e->database));
	url_form_add(&form, "epoch", STR("ms"));
	url_form_add(&form, "q", query);
	rc = influx_request(e, NULL, "/query", STR(""),
	    "application/x-www-form-urlencoded", buf_str(&form), &answer, err);
	buf_free(&form);
	if (rc == 0)
		rc = influx_check(&answer, err);
	if (rc == 0) {
		json_open(&j, buf_str(&answer.body), 0, t->a);
		get_v1_object(&j, t, &error);
		rc = json_done(&j, err);
		if (rc != 0)
			rc = err_set(
			    err, ERR_PROTO, "an answer of InfluxDB is no JSON");
		else if (str_starts(error, STR("database not found")))
			rc = 0; /* it is made with the first point */
		else if (error.ptr != NULL)
			rc = err_set(err, ERR_PROTO, "InfluxDB: " STR_FMT,
			    STR_ARG(error));
	}
	buf_free(&answer.body);
	return rc;
}

/* One line of CSV becomes its cells; false at the end. */
#define CELLS_MAX 64

static bool
get_cells(
    struct str *in, struct arena *a, struct str cell[CELLS_MAX], size_t *n)
{
	struct buf b = { 0 };
	bool more = true;

	*n = 0;
	if (in->len == 0)
		return false;
	while (more) {
		bool quoted = in->len > 0 && *in->ptr == '"';

		buf_clear(&b);
		if (quoted) {
			in->ptr++;
			in->len--;
		}
		while (in->len > 0) {
			char c = *in->ptr;

			if (quoted ? c == '"' : c == ',' || c == '\n')
				break;
			buf_addc(&b, c);
			in->ptr++;
			in->len--;
			/* "" is a quote */
			if (quoted && in->len > 1 && in->ptr[0] == '"' &&
			    in->ptr[1] == '"') {
				buf_addc(&b, '"');
				in->ptr += 2;
				in->len -= 2;
			}
		}
		if (quoted && in->len > 0) {
			in->ptr++;
			in->len--;
		}
		if (*n < CELLS_MAX)
			cell[(*n)++] = arena_str(a,
			    quoted || b.len == 0
				? (struct str){ b.len ? b.ptr : "", b.len }
				: buf_str(&b));
		while (in->len > 0 && *in->ptr == '\r') {
			in->ptr++;
			in->len--;
		}
		more = in->len > 0 && *in->ptr == ',';
		if (in->len > 0) {
			in->ptr++;
			in->len--;
		}
	}
	/* "\r" of an unquoted last cell */
	if (*n > 0 && str_ends(cell[*n - 1], STR("\r")))
		cell[*n - 1].len--;
	buf_free(&b);
	return true;
}

struct columns {
	size_t result, time, value;
	bool known;
};

static void
find_columns(const struct str *cell, size_t n, struct columns *c)
{
	*c = (struct columns){ CELLS_MAX, CELLS_MAX, CELLS_MAX, true };
	for (size_t i = 0; i < n; i++)
		if (str_eqz(cell[i], "result"))
			c->result = i;
		else if (str_eqz(cell[i], "_time"))
			c->time = i;
		else if (str_eqz(cell[i], "_value"))
			c->value = i;
}

/* Puts a value where its time and name belong; the tables come one behind the
 * other, each by time. */
static void
put_cell(struct table *t, int64_t at, struct str name, struct str value)
{
	int64_t *times = (int64_t *)(void *)t->at.ptr;
	size_t rows = table_rows(t), row = 0, column = 0;
	double nothing[METRIC_FN_MAX], v = NAN;
	char text[64];

	if (t->text) {
		buf_add(&t->at, &at, sizeof(at));
		buf_add(&t->values, &value, sizeof(value));
		return;
	}
	while (column < t->columns && t->names != NULL &&
	    !str_eqz(name, t->names[column]))
		column++;
	if (column == t->columns || value.len >= sizeof(text))
		return;
	if (str_eqz(value, "true") || str_eqz(value, "false")) {
		v = str_eqz(value, "true");
	} else if (value.len > 0) {
		memcpy(text, value.ptr, value.len);
		text[value.len] = '\0';
		v = strtod(text, NULL);
	}
	row = rows;
	if (column > 0) { /* the first function had it */
		size_t lo = 0, hi = rows;

		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (times[mid] < at)
				lo = mid + 1;
			else
				hi = mid;
		}
		row = lo;
		if (row == rows || times[row] != at)
			return;
	}
	if (row == rows) {
		for (size_t i = 0; i < t->columns; i++)
			nothing[i] = NAN;
		buf_add(&t->at, &at, sizeof(at));
		buf_add(&t->values, nothing, t->columns * sizeof(double));
	}
	((double *)(void *)t->values.ptr)[row * t->columns + column] = v;
}

static int
get_v2(struct str in, struct table *t, struct err *err)
{
	struct columns c = { 0 };
	struct str cell[CELLS_MAX];
	size_t n;
	int64_t at;

	while (get_cells(&in, t->a, cell, &n)) {
		if (n == 1 && cell[0].len == 0) {
			c.known = false; /* an empty line: another table */
		} else if (str_starts(cell[0], STR("#"))) {
			continue;
		} else if (!c.known) {
			find_columns(cell, n, &c);
			if (n > 1 && str_eqz(cell[1], "error"))
				return err_set(
				    err, ERR_PROTO, "InfluxDB refused a query");
		} else if (c.time >= n || c.value >= n ||
		    !time_parse(cell[c.time], &at)) {
			return err_set(err, ERR_PROTO,
			    "an answer of InfluxDB is no table");
		} else {
			put_cell(t, at, c.result < n ? cell[c.result] : STR(""),
			    cell[c.value]);
		}
	}
	return 0;
}

static int
ask_v2(struct influx *e, struct str query, struct table *t, struct err *err)
{
	struct influx_answer answer;
	struct buf form = { 0 };
	int rc;

	url_form_add(&form, "org", str_of(e->organization));
	rc = influx_request(e, NULL, "/api/v2/query", buf_str(&form),
	    "application/vnd.flux", query, &answer, err);
	buf_free(&form);
	if (rc == 0)
		rc = influx_check(&answer, err);
	if (rc == 0)
		rc = get_v2(buf_str(&answer.body), t, err);
	buf_free(&answer.body);
	return rc;
}

/* --- points -------------------------------------------------------------- */

static void
flux_time(struct buf *out, int64_t at)
{
	char text[TIME_TEXT_LEN + 1];

	time_format(at, text);
	buf_addz(out, text);
}

static void
flux_from(struct influx *e, const struct metric_series *s, int64_t from,
    int64_t to, struct buf *out, struct arena *a)
{
	buf_addz(out, "from(bucket: ");
	flux_text(out, str_of(e->bucket));
	buf_addz(out, ")\n  |> range(start: ");
	flux_time(out, from);
	buf_addz(out, ", stop: ");
	flux_time(out, to);
	buf_addz(out, ")\n  |> filter(fn: (r) => r._measurement == ");
	flux_text(out, influx_measurement(e, s->kind, a));
	buf_addz(out, " and r._field == \"value\"");
	influx_put_tags(e, s, out, a);
	buf_addz(out, ")\n");
}

static void
influxql_from(struct influx *e, const struct metric_series *s, int64_t from,
    int64_t to, struct buf *out, struct arena *a)
{
	buf_addz(out, " FROM ");
	quote(out, '"', influx_measurement(e, s->kind, a));
	buf_addf(out, " WHERE time >= %" PRId64 "ms AND time < %" PRId64 "ms",
	    from, to);
	influx_put_tags(e, s, out, a);
}

/* A page of points from one end. */
static int
get_page(struct influx *e, const struct metric_series *s, int64_t from,
    int64_t to, size_t limit, bool down, struct table *t, struct err *err)
{
	struct buf q = { 0 };
	int rc;

	t->columns = 1;
	t->text = s->kind == METRIC_TEXT;
	if (e->v2) {
		flux_from(e, s, from, to, &q, t->a);
		buf_addf(&q,
		    "  |> group()\n"
		    "  |> sort(columns: [\"_time\"], desc: %s)\n"
		    "  |> limit(n: %zu)\n"
		    "  |> keep(columns: [\"_time\", \"_value\"])\n",
		    down ? "true" : "false", limit);
		rc = ask_v2(e, buf_str(&q), t, err);
	} else {
		buf_addz(&q, "SELECT \"value\"");
		influxql_from(e, s, from, to, &q, t->a);
		buf_addf(&q, " ORDER BY time %s LIMIT %zu",
		    down ? "DESC" : "ASC", limit);
		rc = ask_v1(e, buf_str(&q), t, err);
	}
	buf_free(&q);
	if (rc == 0 &&
	    t->values.len !=
		table_rows(t) * (t->text ? sizeof(struct str) : sizeof(double)))
		rc = err_set(
		    err, ERR_PROTO, "an answer of InfluxDB is no table");
	return rc;
}

static struct metric_point
point_of(const struct table *t, const struct metric_series *s, size_t row)
{
	const int64_t *at = (const int64_t *)(const void *)t->at.ptr;
	const double *v = (const double *)(const void *)t->values.ptr;
	const struct str *text =
	    (const struct str *)(const void *)t->values.ptr;

	return (struct metric_point){ s->id, at[row], t->text ? 0 : v[row],
		t->text ? text[row] : STR_NULL };
}

int
influx_read(struct engine *g, const struct metric_series *s, int64_t from,
    int64_t to, metric_visit *visit, void *ctx, struct err *err)
{
	struct influx *e = influx_of(g);
	struct arena a = { 0 };
	bool more = true;
	int rc = 0;

	if (e->victoria)
		return victoria_read(e, s, from, to, visit, ctx, err);
	while (rc == 0 && more && from < to) {
		struct table t = { .a = &a };
		struct metric_point *p;
		size_t n;

		arena_clear(&a);
		rc = get_page(e, s, from, to, PAGE, false, &t, err);
		n = table_rows(&t);
		more = n == PAGE;
		if (rc == 0 && n > 0) {
			p = arena_array(&a, n, struct metric_point);
			for (size_t i = 0; i < n; i++)
				p[i] = point_of(&t, s, i);
			from = p[n - 1].at + 1;
			more = visit(ctx, p, n) && more;
		}
		table_fini(&t);
	}
	arena_fini(&a);
	return rc;
}

int
influx_last(struct engine *g, const struct metric_series *s, struct arena *a,
    struct metric_point *ret, struct err *err)
{
	struct arena mine = { 0 };
	struct table t = { .a = &mine };
	int rc;

	if (influx_of(g)->victoria)
		return victoria_last(influx_of(g), s, ret, err);
	rc = get_page(influx_of(g), s, 0, METRIC_TIME_MAX, 1, true, &t, err);
	if (rc == 0 && table_rows(&t) == 0)
		rc =
		    err_set(err, ERR_NOT_FOUND, "no point in series %u", s->id);
	if (rc == 0) {
		*ret = point_of(&t, s, 0);
		ret->text = arena_str(a, ret->text);
	}
	table_fini(&t);
	arena_fini(&mine);
	return rc;
}

/* --- windows ------------------------------------------------------------- */

/* The functions that both sides understand in the same way; others are
 * computed here, from points. */
static const struct {
	enum metric_func func;
	const char *name;
} functions[] = {
	{ METRIC_MEAN, "mean" },
	{ METRIC_MIN, "min" },
	{ METRIC_MAX, "max" },
	{ METRIC_SUM, "sum" },
	{ METRIC_COUNT, "count" },
	{ METRIC_FIRST, "first" },
	{ METRIC_LAST, "last" },
	{ METRIC_MEDIAN, "median" },
};

static const char *
function_name(enum metric_func func)
{
	for (size_t i = 0; i < COUNT_OF(functions); i++)
		if (functions[i].func == func)
			return functions[i].name;
	return NULL;
}

static void
put_v1_windows(struct influx *e, const struct metric_series *s,
    const struct metric_query *q, const char *const *names, struct buf *out,
    struct arena *a)
{
	buf_addz(out, "SELECT ");
	for (size_t i = 0; i < q->n_fns; i++)
		buf_addf(out, "%s%s(\"value\")", i > 0 ? ", " : "", names[i]);
	influxql_from(e, s, q->from, q->to, out, a);
	buf_addf(out, " GROUP BY time(%" PRId64 "ms, %" PRId64 "ms) fill(none)",
	    q->step, q->from % q->step);
}

static void
put_v2_windows(struct influx *e, const struct metric_series *s,
    const struct metric_query *q, const char *const *names, struct buf *out,
    struct arena *a)
{
	buf_addz(out, "data = ");
	flux_from(e, s, q->from, q->to, out, a);
	buf_addz(out, "  |> group()\n  |> sort(columns: [\"_time\"])\n");
	for (size_t i = 0; i < q->n_fns; i++) {
		bool seen = false;

		for (size_t k = 0; k < i; k++)
			seen = seen || strcmp(names[k], names[i]) == 0;
		if (!seen)
			buf_addf(out,
			    "data |> aggregateWindow(every: %" PRId64
			    "ms, offset: %" PRId64
			    "ms, fn: %s, createEmpty: false, timeSrc: "
			    "\"_start\") |> yield(name: \"%s\")\n",
			    q->step, q->from % q->step, names[i], names[i]);
	}
}

int
influx_windows(struct engine *g, const struct metric_series *s,
    const struct metric_query *q, struct arena *a, struct metric_windows *ret,
    struct err *err)
{
	struct influx *e = influx_of(g);
	const char *names[METRIC_FN_MAX];
	struct arena mine = { 0 };
	struct table t = { .a = &mine, .columns = q->n_fns, .names = names };
	struct buf text = { 0 };
	int rc;

	if (e->victoria)
		return ERR_AGAIN; /* see influx_victoria.c */
	for (size_t i = 0; i < q->n_fns; i++) {
		names[i] = function_name(q->fns[i].func);
		if (names[i] == NULL)
			return ERR_AGAIN; /* from points */
		for (size_t k = 0; e->v2 && k < i; k++)
			if (strcmp(names[i], names[k]) == 0)
				return ERR_AGAIN;
	}
	if (e->v2) {
		put_v2_windows(e, s, q, names, &text, &mine);
		rc = ask_v2(e, buf_str(&text), &t, err);
	} else {
		put_v1_windows(e, s, q, names, &text, &mine);
		rc = ask_v1(e, buf_str(&text), &t, err);
	}
	ret->n = table_rows(&t);
	if (rc == 0 && t.values.len != ret->n * q->n_fns * sizeof(double))
		rc = err_set(
		    err, ERR_PROTO, "an answer of InfluxDB is no table");
	if (rc == 0) {
		ret->tier = METRIC_RAW;
		ret->at = arena_array(a, ret->n + 1, int64_t);
		ret->values = arena_array(a, ret->n * q->n_fns + 1, double);
		if (ret->n > 0) {
			memcpy(ret->at, t.at.ptr, t.at.len);
			memcpy(ret->values, t.values.ptr, t.values.len);
		}
	}
	table_fini(&t);
	buf_free(&text);
	arena_fini(&mine);
	return rc == ERR_AGAIN ? ERR_CLOSED : rc;
}

/* --- deleting ------------------------------------------------------------ */

static bool
has_label(const struct metric_series *s, const struct metric_label *l)
{
	for (size_t i = 0; i < s->n_labels; i++)
		if (str_eq(s->labels[i].name, l->name) &&
		    str_eq(s->labels[i].value, l->value))
			return true;
	return false;
}

/* Whether another series has all that `s` has, and more. */
static bool
is_part(struct influx *e, const struct metric_series *s)
{
	bool ret = false;

	pthread_mutex_lock(&e->lock);
	for (uint32_t id = 0; id < e->cap && !ret; id++) {
		const struct influx_series *o = e->by_id[id];
		size_t same = 0;

		if (o == NULL || id == s->id || o->kind != s->kind ||
		    (!str_eqz(s->name, INFLUX_PLAIN_NAME) &&
			!str_eq(o->what.name, s->name)))
			continue;
		for (size_t i = 0; i < s->n_labels; i++)
			same += has_label(&o->what, &s->labels[i]);
		ret = same == s->n_labels;
	}
	pthread_mutex_unlock(&e->lock);
	return ret;
}

static int
delete_v2(struct influx *e, const struct metric_series *s, struct err *err)
{
	struct buf query = { 0 }, body = { 0 }, predicate = { 0 };
	struct influx_answer answer;
	struct arena a = { 0 };
	struct json_out o;
	int rc;

	if (is_part(e, s))
		return err_set(err, ERR_DENIED,
		    "InfluxDB would delete series with more labels too");
	buf_addf(&predicate, "_measurement=\"" STR_FMT "\"",
	    STR_ARG(influx_measurement(e, s->kind, &a)));
	if (!str_eqz(s->name, INFLUX_PLAIN_NAME)) {
		buf_addz(&predicate, " AND \"" INFLUX_NAME_TAG "\"=");
		quote(&predicate, '"', as_written(e, &a, s->name));
	}
	for (size_t i = 0; i < s->n_labels; i++) {
		buf_addz(&predicate, " AND ");
		quote(&predicate, '"', as_written(e, &a, s->labels[i].name));
		buf_addc(&predicate, '=');
		quote(&predicate, '"', as_written(e, &a, s->labels[i].value));
	}
	json_out_init(&o, &body, false);
	json_out_object(&o);
	json_out_key(&o, "start");
	json_out_str(&o, STR("1970-01-01T00:00:00Z"));
	json_out_key(&o, "stop");
	json_out_str(&o, STR("2200-01-01T00:00:00Z"));
	json_out_key(&o, "predicate");
	json_out_str(&o, buf_str(&predicate));
	json_out_end_object(&o);
	url_form_add(&query, "org", str_of(e->organization));
	url_form_add(&query, "bucket", str_of(e->bucket));
	rc = influx_request(e, NULL, "/api/v2/delete", buf_str(&query),
	    "application/json", buf_str(&body), &answer, err);
	if (rc == 0)
		rc = influx_check(&answer, err);
	buf_free(&answer.body);
	buf_free(&query);
	buf_free(&body);
	buf_free(&predicate);
	arena_fini(&a);
	return rc;
}

int
influx_delete(struct influx *e, const struct metric_series *s, struct err *err)
{
	struct arena a = { 0 };
	struct table t = { .a = &a };
	struct buf q = { 0 };
	int rc;

	if (e->v2)
		return delete_v2(e, s, err);
	buf_addz(&q, "DROP SERIES FROM ");
	quote(&q, '"', influx_measurement(e, s->kind, &a));
	buf_addz(&q, " WHERE 1=1");
	influx_put_tags(e, s, &q, &a);
	rc = ask_v1(e, buf_str(&q), &t, err);
	buf_free(&q);
	table_fini(&t);
	arena_fini(&a);
	return rc;
}

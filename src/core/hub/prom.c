/*
 * core/hub/prom.c - the history as Prometheus would serve it: /prom/api/v1.
 *
 * For Grafana and whatever else asks Prometheus. The language is codec/promql,
 * its series come from prom_points.c; here is who sees which: administrators
 * all, others those whose label `unit` is the code of a unit they own or are a
 * member of. A matcher of ours on every selector sees to it.
 *
 * Text series are not shown: PromQL has no such values.
 */
#include "core/hub/private.h"
#include "core/hub/prom.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

#define QUERY_MS 25000 /* below the server's limit of a request */
#define SAMPLES_MAX 10000000

/* --- answers ------------------------------------------------------------- */

static void
refuse(struct http_call *c, int status, const char *type, const char *text)
{
	struct json_out *o = http_json(c, status);

	json_out_object(o);
	json_out_key(o, "status");
	json_out_str(o, STR("error"));
	json_out_key(o, "errorType");
	json_out_str(o, str_of(type));
	json_out_key(o, "error");
	json_out_str(o, str_of(text));
	json_out_end_object(o);
}

static void
bad_param(struct http_call *c, const char *name, const char *why)
{
	refuse(c, 400, "bad_data",
	    arena_printf(&c->arena, "invalid parameter \"%s\": %s", name, why)
		.ptr);
}

/* An evaluation, or the store, has failed. */
static void
failed(struct http_call *c, const struct err *err)
{
	struct hub *h = (struct hub *)c->route->ctx;

	counter_add(&h->counters.prom_failed, 1);
	switch (err->code) {
	case ERR_PARAM:
	case ERR_LIMIT:
	case ERR_NOT_FOUND:
		refuse(c, 422, "execution", err->text);
		break;
	case ERR_AGAIN:
		refuse(c, 503, "timeout", err->text);
		break;
	default:
		refuse(c, 503, "unavailable", err->text);
	}
}

/* {"status":"success","data": ... } */
static struct json_out *
begin(struct http_call *c)
{
	struct json_out *o = http_json(c, 200);

	json_out_object(o);
	json_out_key(o, "status");
	json_out_str(o, STR("success"));
	json_out_key(o, "data");
	return o;
}

static void
answer_strings(struct http_call *c, const struct strs *list, size_t limit)
{
	struct json_out *o = begin(c);

	json_out_array(o);
	for (size_t i = 0; i < list->n && i < limit; i++)
		json_out_str(o, list->at[i]);
	json_out_end_array(o);
	json_out_end_object(o);
}

/* --- parameters ---------------------------------------------------------- */

/* Of the body's form, then of the query. */
struct params {
	struct url_form form, query;
};

static struct params
read_params(struct http_call *c)
{
	struct params p = { .query = c->query };

	if (strcmp(c->method, "POST") == 0)
		p.form = url_form_parse(&c->arena, c->body);
	return p;
}

static struct str
param(const struct params *p, const char *name)
{
	struct str s = url_form_get(&p->form, name);

	return s.ptr != NULL ? s : url_form_get(&p->query, name);
}

static bool
read_time(struct http_call *c, const struct params *p, const char *name,
    int64_t def, int64_t *ret)
{
	struct str s = param(p, name);

	*ret = def;
	if (s.len == 0) {
		if (def != TIME_NULL)
			return true;
		bad_param(c, name, "cannot parse \"\" to a valid timestamp");
		return false;
	}
	if (promql_time(s, ret) && *ret > -METRIC_TIME_MAX &&
	    *ret < METRIC_TIME_MAX)
		return true;
	bad_param(c, name,
	    arena_printf(&c->arena,
		"cannot parse \"" STR_FMT "\" to a valid timestamp", STR_ARG(s))
		.ptr);
	return false;
}

static size_t
read_limit(const struct params *p)
{
	uint64_t n;

	return str_to_u64(param(p, "limit"), &n) && n > 0 && n < SIZE_MAX
	    ? (size_t)n
	    : SIZE_MAX;
}

/* --- who sees what ------------------------------------------------------- */

/* `*all`: no restriction. False: the call is answered. */
static bool
read_rights(
    struct hub *h, struct http_call *c, bool *all, struct promql_matcher *ret)
{
	struct buf b = { 0 };
	struct strs codes;

	*all = auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER);
	if (*all)
		return true;
	if (!route_units_of(h->route, c, &codes))
		return false;
	/* codes are letters, digits, "_" and "-" */
	for (size_t i = 0; i < codes.n; i++) {
		buf_addz(&b, i > 0 ? "|" : "");
		buf_add_str(&b, codes.at[i]);
	}
	ret->label = STR("unit");
	ret->op = codes.n > 1 ? PROMQL_RE : PROMQL_EQ;
	/* no series has a label with such a character */
	ret->value =
	    codes.n > 0 ? arena_str(&c->arena, buf_str(&b)) : STR("\n");
	buf_free(&b);
	if (ret->value.len > PROMQL_PATTERN_MAX) {
		refuse(c, 422, "execution",
		    "the caller is a member of too many units");
		return false;
	}
	return true;
}

/* --- query, query_range -------------------------------------------------- */

static void
evaluate(struct http_call *c, const struct params *p,
    const struct promql_run *run, int64_t limit_ms)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct prom_door door = { h, &c->arena, clock_now(),
		clock_mono() + limit_ms };
	const struct promql_source source = { prom_fetch, prom_late, &door };
	struct promql_matcher mine;
	struct promql_result r;
	struct promql *tree;
	struct err err;
	bool all;

	counter_add(&h->counters.prom_queries, 1);
	if (promql_parse(&c->arena, param(p, "query"), &tree, &err) != 0) {
		bad_param(c, "query", err.text);
		return;
	}
	if (!read_rights(h, c, &all, &mine))
		return;
	if (!all)
		promql_restrict(&c->arena, tree, &mine);
	if (run->step > 0 && promql_type(tree) != PROMQL_SCALAR &&
	    promql_type(tree) != PROMQL_VECTOR) {
		bad_param(c, "query",
		    "invalid expression type for range query, must be Scalar "
		    "or instant Vector");
		return;
	}
	if (promql_eval(&c->arena, tree, run, &source, &r, &err) != 0) {
		failed(c, &err);
		return;
	}
	promql_put(begin(c), &r);
	json_out_end_object(&c->json);
}

static bool
read_timeout(struct http_call *c, const struct params *p, int64_t *ret)
{
	struct str s = param(p, "timeout");

	*ret = QUERY_MS;
	if (s.len == 0)
		return true;
	if (!promql_step(s, ret)) {
		bad_param(c, "timeout", "cannot parse it to a valid duration");
		return false;
	}
	*ret = MIN_OF(*ret, (int64_t)QUERY_MS);
	return true;
}

static void
handle_query(struct http_call *c)
{
	const struct params p = read_params(c);
	struct promql_run run = { .series_max = PROM_SERIES_MAX,
		.samples_max = SAMPLES_MAX };
	int64_t limit;

	if (!read_time(c, &p, "time", clock_now(), &run.start) ||
	    !read_timeout(c, &p, &limit))
		return;
	run.end = run.start;
	evaluate(c, &p, &run, limit);
}

static void
handle_query_range(struct http_call *c)
{
	const struct params p = read_params(c);
	struct promql_run run = { .series_max = PROM_SERIES_MAX,
		.samples_max = SAMPLES_MAX };
	int64_t limit;

	if (!read_time(c, &p, "start", TIME_NULL, &run.start) ||
	    !read_time(c, &p, "end", TIME_NULL, &run.end) ||
	    !read_timeout(c, &p, &limit))
		return;
	if (run.end < run.start) {
		bad_param(
		    c, "end", "end timestamp must not be before start time");
		return;
	}
	if (!promql_step(param(&p, "step"), &run.step)) {
		bad_param(c, "step",
		    "zero or negative query resolution step widths are not "
		    "accepted. Try a positive integer");
		return;
	}
	if ((run.end - run.start) / run.step > PROMQL_POINTS_MAX) {
		refuse(c, 400, "bad_data",
		    "exceeded maximum resolution of 11,000 points per "
		    "timeseries. Try decreasing the query resolution "
		    "(?step=XX)");
		return;
	}
	evaluate(c, &p, &run, limit);
}

/* --- series, labels ------------------------------------------------------ */

/* One selector of `match[]`, or none of them: everything. */
struct selection {
	struct promql_matcher *match;
	size_t n;
};

#define SELECTIONS_MAX 64

struct selections {
	struct selection at[SELECTIONS_MAX];
	size_t n;
	bool given;
};

static bool
add_selection(struct http_call *c, struct selections *s, struct str text,
    const struct promql_matcher *mine)
{
	struct selection *one = &s->at[s->n];
	struct promql_matcher *match = NULL;
	struct err err;

	*one = (struct selection){ 0 };
	if (s->n == SELECTIONS_MAX) {
		bad_param(c, "match[]", "too many of them");
		return false;
	}
	if (text.ptr != NULL &&
	    promql_parse_selector(&c->arena, text, &match, &one->n, &err) !=
		0) {
		bad_param(c, "match[]", err.text);
		return false;
	}
	one->match = arena_array(&c->arena, one->n + 1, struct promql_matcher);
	for (size_t i = 0; i < one->n; i++)
		one->match[i] = match[i];
	if (mine != NULL)
		one->match[one->n++] = *mine;
	s->n++;
	return true;
}

static bool
read_selections(
    struct http_call *c, const struct params *p, struct selections *ret)
{
	const struct url_form *forms[] = { &p->form, &p->query };
	struct promql_matcher mine;
	bool all;

	ret->n = 0;
	ret->given = false;
	if (!read_rights((struct hub *)c->route->ctx, c, &all, &mine))
		return false;
	for (size_t f = 0; f < COUNT_OF(forms); f++)
		for (size_t i = 0; i < forms[f]->n; i++) {
			const struct url_pair *pair = &forms[f]->at[i];

			if (!str_eqz(pair->name, "match[]"))
				continue;
			ret->given = true;
			if (!add_selection(
				c, ret, pair->value, all ? NULL : &mine))
				return false;
		}
	return ret->given ||
	    add_selection(c, ret, STR_NULL, all ? NULL : &mine);
}

static int
by_id(const void *a, const void *b)
{
	const struct metric_series *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* All series of the selections, each once. False: the call is answered. */
static bool
find_all(struct http_call *c, const struct selections *s,
    struct metric_series **ret, size_t *n_ret)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct metric_series *all = NULL;
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct metric_series *some, *more;
		size_t n_some;
		struct err err;

		if (metric_find(h->metric,
			prom_matchers(&c->arena, s->at[i].match, s->at[i].n),
			s->at[i].n, PROM_SERIES_MAX, &c->arena, &some, &n_some,
			&err) != 0) {
			failed(c, &err);
			return false;
		}
		more = arena_array(
		    &c->arena, n + n_some + 1, struct metric_series);
		for (size_t k = 0; k < n; k++)
			more[k] = all[k];
		for (size_t k = 0; k < n_some; k++)
			if (some[k].kind != METRIC_TEXT)
				more[n++] = some[k];
		all = more;
	}
	if (n > 1)
		qsort(all, n, sizeof(*all), by_id);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || all[kept - 1].id != all[i].id)
			all[kept++] = all[i];
	*ret = all;
	*n_ret = kept;
	return true;
}

static void
put_labels(struct json_out *o, const struct metric_series *s)
{
	struct promql_label labels[METRIC_LABELS_MAX + 1];

	labels[0] = (struct promql_label){ STR("__name__"), s->name };
	for (size_t i = 0; i < s->n_labels; i++)
		labels[i + 1] = (struct promql_label){ s->labels[i].name,
			s->labels[i].value };
	promql_put_labels(o, labels, s->n_labels + 1);
}

static void
handle_series(struct http_call *c)
{
	const struct params p = read_params(c);
	struct selections s;
	struct metric_series *all;
	struct json_out *o;
	size_t n, limit = read_limit(&p);

	if (!read_selections(c, &p, &s))
		return;
	if (!s.given) {
		refuse(c, 400, "bad_data", "no match[] parameter provided");
		return;
	}
	if (!find_all(c, &s, &all, &n))
		return;
	o = begin(c);
	json_out_array(o);
	for (size_t i = 0; i < n && i < limit; i++)
		put_labels(o, &all[i]);
	json_out_end_array(o);
	json_out_end_object(o);
}

static int
by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* More texts among those that are there: sorted, each once. */
static void
join(struct arena *a, struct strs *all, const struct strs *more)
{
	struct str *at = arena_array(a, all->n + more->n + 1, struct str);
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < all->n; i++)
		at[n++] = all->at[i];
	for (size_t i = 0; i < more->n; i++)
		at[n++] = more->at[i];
	if (n > 1)
		qsort(at, n, sizeof(*at), by_text);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !str_eq(at[kept - 1], at[i]))
			at[kept++] = at[i];
	*all = (struct strs){ at, kept };
}

/* Label names, or the values of `label`. */
static void
answer_labels(struct http_call *c, struct str label)
{
	struct hub *h = (struct hub *)c->route->ctx;
	const struct params p = read_params(c);
	struct strs all = { 0 }, some;
	struct selections s;
	struct err err;
	int rc = 0;

	if (!read_selections(c, &p, &s))
		return;
	for (size_t i = 0; i < s.n && rc == 0; i++) {
		const struct metric_matcher *m =
		    prom_matchers(&c->arena, s.at[i].match, s.at[i].n);

		some = (struct strs){ 0 };
		rc = label.ptr != NULL
		    ? metric_label_values(h->metric, label, m, s.at[i].n,
			  &c->arena, &some, &err)
		    : metric_label_names(
			  h->metric, m, s.at[i].n, &c->arena, &some, &err);
		if (rc == 0)
			join(&c->arena, &all, &some);
	}
	if (rc != 0)
		failed(c, &err);
	else
		answer_strings(c, &all, read_limit(&p));
}

static void
handle_labels(struct http_call *c)
{
	answer_labels(c, STR_NULL);
}

static void
handle_label_values(struct http_call *c)
{
	struct str label = http_var(c, 0);

	for (size_t i = 0; i < label.len; i++) {
		char x = label.ptr[i];

		if ((x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') ||
		    x == '_' || (i > 0 && x >= '0' && x <= '9'))
			continue;
		refuse(c, 400, "bad_data",
		    arena_printf(&c->arena,
			"invalid label name: \"" STR_FMT "\"", STR_ARG(label))
			.ptr);
		return;
	}
	answer_labels(c, label);
}

/* --- metadata, buildinfo ------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
	const struct metric_series *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

static void
handle_metadata(struct http_call *c)
{
	const struct params p = read_params(c);
	struct str metric = param(&p, "metric");
	size_t n, told = 0, limit = read_limit(&p);
	struct metric_series *all;
	struct selections s;
	struct json_out *o;

	if (!read_selections(c, &p, &s) || !find_all(c, &s, &all, &n))
		return;
	if (n > 1)
		qsort(all, n, sizeof(*all), by_name);
	o = begin(c);
	json_out_object(o);
	for (size_t i = 0; i < n && told < limit; i++) {
		if (i > 0 && str_eq(all[i].name, all[i - 1].name))
			continue;
		if (metric.len > 0 && !str_eq(metric, all[i].name))
			continue;
		told++;
		json_out_key_str(o, all[i].name);
		json_out_array(o);
		json_out_object(o);
		json_out_key(o, "type");
		json_out_str(o,
		    all[i].kind == METRIC_COUNTER ? STR("counter")
						  : STR("gauge"));
		json_out_key(o, "help");
		json_out_str(o, STR(""));
		json_out_key(o, "unit");
		json_out_str(o, STR(""));
		json_out_end_object(o);
		json_out_end_array(o);
	}
	json_out_end_object(o);
	json_out_end_object(o);
}

/* The version tells clients what they may ask: that of the Prometheus whose
 * answers were compared with ours. */
static void
handle_buildinfo(struct http_call *c)
{
	static const char *const empty[] = { "revision", "branch", "buildUser",
		"buildDate", "goVersion" };
	struct json_out *o = begin(c);

	json_out_object(o);
	json_out_key(o, "version");
	json_out_str(o, STR("2.42.0"));
	for (size_t i = 0; i < COUNT_OF(empty); i++) {
		json_out_key(o, empty[i]);
		json_out_str(o, STR(""));
	}
	json_out_end_object(o);
	json_out_end_object(o);
}

/* --- what is not there ---------------------------------------------------- */

/* Clients ask for these at their start, and complain of an error. */
static void
answer_none(struct http_call *c, const char *list)
{
	struct json_out *o = begin(c);

	json_out_object(o);
	json_out_key(o, list);
	json_out_array(o);
	json_out_end_array(o);
	json_out_end_object(o);
	json_out_end_object(o);
}

static void
handle_rules(struct http_call *c)
{
	answer_none(c, "groups");
}

static void
handle_alerts(struct http_call *c)
{
	answer_none(c, "alerts");
}

static void
handle_exemplars(struct http_call *c)
{
	struct json_out *o = begin(c);

	json_out_array(o);
	json_out_end_array(o);
	json_out_end_object(o);
}

/* --- the rows ------------------------------------------------------------ */

#define BODY_MAX (256 * 1024)

#define BOTH(where, fn, text)                                                  \
	{ "GET", where, HTTP_TOKEN, .scope = "metric.get", .handle = fn,       \
		.flags = HTTP_HIDDEN | HTTP_BASIC, .help = text },             \
	{                                                                      \
		"POST", where, HTTP_TOKEN,                                     \
		    .scope = "metric.get", .handle = fn,                       \
		    .flags = HTTP_HIDDEN | HTTP_FORM | HTTP_BASIC,             \
		    .body_max = BODY_MAX, .help = text                         \
	}

const struct http_route hub_prom_rows[] = {
	BOTH("/query", handle_query, "An expression, at one time."),
	BOTH("/query_range", handle_query_range, "An expression, over a time."),
	BOTH("/series", handle_series, "Series by selectors."),
	BOTH("/labels", handle_labels, "Names of labels."),
	{ "GET", "/label/{name}/values", HTTP_TOKEN, .scope = "metric.get",
	    .handle = handle_label_values, .flags = HTTP_HIDDEN | HTTP_BASIC,
	    .help = "Values of a label." },
	BOTH("/query_exemplars", handle_exemplars,
	    "Exemplars, of which there are none."),
	{ "GET", "/rules", HTTP_TOKEN, .scope = "metric.get",
	    .handle = handle_rules, .flags = HTTP_HIDDEN,
	    .help = "Rules in PromQL, of which there are none." },
	{ "GET", "/alerts", HTTP_TOKEN, .scope = "metric.get",
	    .handle = handle_alerts, .flags = HTTP_HIDDEN,
	    .help = "Their alerts: none." },
	{ "GET", "/metadata", HTTP_TOKEN, .scope = "metric.get",
	    .handle = handle_metadata, .flags = HTTP_HIDDEN | HTTP_BASIC,
	    .help = "The kinds of metrics." },
	{ "GET", "/status/buildinfo", HTTP_TOKEN, .scope = "metric.get",
	    .handle = handle_buildinfo, .flags = HTTP_HIDDEN | HTTP_BASIC,
	    .help = "What kind of Prometheus this is." },
	{ 0 },
};

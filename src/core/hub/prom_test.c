/* Grafana and Telegraf at the two doors: prom.c and write.c over a real store,
 * with a stand-in for who the caller is. */
#include "core/hub/private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MINUTE 60000
#define HOUR (60 * MINUTE)
#define DAY (24 * (int64_t)HOUR)
#define T0 1700006400000 /* the beginning of an hour */
#define T0_S "1700006400"

/* --- who the caller is --------------------------------------------------- */

static bool admin;
static struct str units[200]; /* of the caller */
static size_t n_units;
static char token[64]; /* that came with the call */

bool
auth_is(const struct http_call *c, unsigned roles)
{
	(void)c;
	(void)roles;
	return admin;
}

bool
route_units_of(struct route *r, struct http_call *c, struct strs *codes)
{
	(void)r;
	(void)c;
	*codes = (struct strs){ units, n_units };
	return true;
}

int
route_unit_by_code(struct route *r, struct http_call *c, struct str code,
    enum rest_verb verb, struct str *unit_id, struct str *unit_code)
{
	(void)r;
	(void)c;
	assert_int_equal(verb, REST_PATCH);
	if (!str_eqz(code, "home"))
		return 0;
	*unit_id = STR("id");
	*unit_code = STR("home");
	return 1;
}

bool
route_access(struct route *r, struct http_call *c, struct str t)
{
	(void)r;
	snprintf(token, sizeof(token), STR_FMT, STR_ARG(t));
	if (str_eqz(t, "secret"))
		return true;
	http_error(c, 401, "err_auth", NULL);
	return false;
}

/* --- the fixture --------------------------------------------------------- */

struct fixture {
	struct hub hub;
	struct err err;
	char dir[32];
	struct buf answer; /* "200 body" */
	char part[64];
};

static int
set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	strcpy(f->dir, "/tmp/prom-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	f->hub.conf.metric = (struct metric_settings){ .path = STR("here"),
		.max_series = 1000,
		.buffer_points = 50000,
		.queue_bytes = 16 << 20,
		.timeout = 5000 };
	admin = true;
	n_units = 0;
	*state = f;
	return metric_open(
	    &f->hub.conf.metric, f->dir, &f->hub.metric, &f->err);
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	char command[64];

	metric_close(f->hub.metric);
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	(void)!system(command);
	buf_free(&f->answer);
	free(f);
	return 0;
}

/* A call of the row; the answer as "status body". */
static const char *
call_with(struct fixture *f, const struct http_route *rows, const char *method,
    const char *target, const char *authorization, struct str body)
{
	struct http_call c = { .method = method, .body = body };
	struct str rest = str_of(target), path = str_cut(&rest, '?');
	struct http_route row = { 0 };

	c.path = path;
	c.query = url_form_parse(&c.arena, rest);
	c.authorization = str_of(authorization);
	for (size_t i = 0; rows[i].method != NULL; i++) {
		const char *var = strstr(rows[i].path, "{name}");

		if (strcmp(rows[i].method, method) != 0)
			continue;
		if (str_eqz(path, rows[i].path))
			row = rows[i];
		if (var != NULL && str_starts(path, STR("/label/")) &&
		    str_ends(path, STR("/values"))) {
			c.vars[0] = (struct str){ path.ptr + 7, path.len - 14 };
			row = rows[i];
		}
	}
	assert_non_null(row.handle);
	row.ctx = &f->hub;
	c.route = &row;
	row.handle(&c);
	buf_clear(&f->answer);
	buf_addf(&f->answer, "%d", c.status);
	if (c.type != NULL) {
		assert_true(json_valid(buf_str(&c.out), 0));
		buf_addf(&f->answer, " " STR_FMT, STR_ARG(buf_str(&c.out)));
	}
	for (size_t i = 0; i < c.n_headers; i++)
		if (strcmp(c.headers[i].name, "X-Influxdb-Version") == 0)
			buf_addf(&f->answer, " v" STR_FMT,
			    STR_ARG(c.headers[i].value));
	buf_free(&c.out);
	arena_fini(&c.arena);
	return buf_z(&f->answer);
}

static const char *
ask(struct fixture *f, const char *target)
{
	return call_with(f, hub_prom_rows, "GET", target, "Bearer x", STR(""));
}

static const char *
post(struct fixture *f, const char *target, const char *body)
{
	return call_with(
	    f, hub_write_rows, "POST", target, "Token secret", str_of(body));
}

static void
has(const char *answer, const char *part)
{
	if (strstr(answer, part) == NULL)
		fail_msg("%s\n  has no %s", answer, part);
}

static int64_t
count_of(const char *answer, const char *part)
{
	int64_t n = 0;

	for (; (answer = strstr(answer, part)) != NULL; answer += strlen(part))
		n++;
	return n;
}

static uint32_t
series(struct fixture *f, enum metric_kind kind, const char *name,
    const char *unit, const char *device)
{
	const struct metric_label labels[] = {
		{ STR("unit"), str_of(unit) },
		{ STR("device"), str_of(device) },
	};
	uint32_t id;

	assert_int_equal(metric_series(f->hub.metric, kind, str_of(name),
			     labels, 2, &id, &f->err),
	    0);
	return id;
}

static void
point(struct fixture *f, uint32_t id, int64_t at, double v)
{
	const struct metric_point p = { .series = id, .at = at, .value = v };

	assert_int_equal(metric_write(f->hub.metric, &p, 1, NULL, &f->err), 0);
}

/* Two units with a thermometer each, a value per minute for an hour. */
static void
fill(struct fixture *f)
{
	uint32_t home =
	    series(f, METRIC_GAUGE, "temp_celsius", "home", "cellar");
	uint32_t shop =
	    series(f, METRIC_GAUGE, "temp_celsius", "shop", "fridge");
	uint32_t count =
	    series(f, METRIC_COUNTER, "rain_total", "home", "roof");

	for (int i = 0; i <= 60; i++) {
		point(f, home, T0 + i * MINUTE, 10 + i);
		point(f, shop, T0 + i * MINUTE, 4);
		point(f, count, T0 + i * MINUTE, i * 6);
	}
}

/* --- Grafana ------------------------------------------------------------- */

static void
the_health_check_of_grafana_passes(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(ask(f, "/query?query=1%2B1&time=4"),
	    "200 {\"status\":\"success\",\"data\":{\"resultType\":\"scalar\","
	    "\"result\":[4,\"2\"]}}");
	has(ask(f, "/status/buildinfo"), "\"version\":\"2.");
	assert_string_equal(call_with(f, hub_prom_rows, "POST", "/query?time=9",
				"Bearer x", STR("query=1%2B1&time=5.25")),
	    "200 {\"status\":\"success\",\"data\":{\"resultType\":\"scalar\","
	    "\"result\":[5.25,\"2\"]}}");
}

static void
values_are_asked_for_in_promql(void **state)
{
	struct fixture *f = *state;

	fill(f);
	assert_string_equal(
	    ask(f, "/query?query=temp_celsius{unit=\"home\"}&time=1700006700"),
	    "200 {\"status\":\"success\",\"data\":{\"resultType\":\"vector\","
	    "\"result\":[{\"metric\":{\"__name__\":\"temp_celsius\",\"device\":"
	    "\"cellar\",\"unit\":\"home\"},\"value\":[1700006700,\"15\"]}]}}");
	assert_string_equal(
	    ask(f,
		"/query_range?query=sum(temp_celsius)&start=1700006400&end="
		"2023-11-15T00:02:00Z&step=1m"),
	    "200 {\"status\":\"success\",\"data\":{\"resultType\":\"matrix\","
	    "\"result\":[{\"metric\":{},\"values\":[[1700006400,\"14\"],["
	    "1700006460,\"15\"],[1700006520,\"16\"]]}]}}");
	has(ask(f, "/query?query=rate(rain_total[5m])&time=1700008200"),
	    ",\"0.1\"]");
}

static void
long_times_are_answered_from_windows(void **state)
{
	struct fixture *f = *state;

	fill(f);
	/* each hour: windows serve */
	has(ask(f,
		"/query_range?query=count_over_time(temp_celsius{unit="
		"\"home\"}[1h])&start=1700009999&end=1700009999&step=3600"),
	    "\"60\"");
	has(ask(f,
		"/query_range?query=avg_over_time(temp_celsius{unit=\"home\"}["
		"1h])&start=1700009999&end=1700009999&step=3600"),
	    "\"39.5\"");
	has(ask(f,
		"/query_range?query=max_over_time(temp_celsius[1h])&start="
		"1700009999&end=1700009999&step=3600"),
	    "\"69\"");
	has(ask(f,
		"/query_range?query=increase(rain_total[30m])&start=1700008200&"
		"end=1700009900&step=600"),
	    "\"180\"");
	has(ask(f,
		"/query_range?query=temp_celsius{unit=\"home\"}&start="
		"1700008200&end=1700010000&step=600"),
	    "[1700010000,\"70\"]");
}

/* Points that are only kept as minutes, then only as hours. */
static void
what_is_old_is_answered_from_what_is_kept_of_it(void **state)
{
	struct fixture *f = *state;
	struct metric_settings *set = &f->hub.conf.metric;
	int64_t now = clock_now(), old = now - 10 * DAY;
	char target[200];

	old -= old % HOUR;
	set->keep_raw = DAY;
	set->keep_minute = 5 * DAY;
	metric_close(f->hub.metric);
	assert_int_equal(metric_open(set, f->dir, &f->hub.metric, &f->err), 0);
	for (int64_t at = old; at < now; at += MINUTE / 2)
		point(f, series(f, METRIC_GAUGE, "x", "home", "a"), at,
		    (double)(at - old) / HOUR);
	assert_int_equal(metric_pack(f->hub.metric, &f->err), 0);
	assert_int_equal(metric_clean(f->hub.metric, now, &f->err), 0);
	/* in each hour, half past */
	for (int day = 0; day < 10; day++) {
		snprintf(target, sizeof(target), "/query?query=x&time=%lld",
		    (long long)((old + day * DAY + HOUR / 2) / 1000));
		has(ask(f, target), "\"value\":[");
		snprintf(target, sizeof(target),
		    "/query?query=round(avg_over_time(x[4h]))&time=%lld",
		    (long long)((old + day * DAY + 4 * HOUR) / 1000));
		snprintf(f->part, sizeof(f->part), "\"%d\"]", day * 24 + 2);
		has(ask(f, target), f->part);
	}
	snprintf(target, sizeof(target),
	    "/query_range?query=count(x)&start=%lld&end=%lld&step=600",
	    (long long)(old / 1000 + 600), (long long)(now / 1000));
	/* without the first five: of an hour is known when it has ended */
	assert_int_equal(count_of(ask(f, target), "\"1\"]"),
	    (now / 1000 - old / 1000 - 600) / 600 + 1 - 5);
}

static void
a_binary_value_holds_until_it_changes(void **state)
{
	struct fixture *f = *state;
	uint32_t door = series(f, METRIC_BINARY, "door", "home", "gate");

	point(f, door, T0, 1);
	point(f, door, T0 + 5 * HOUR, 0);
	has(ask(f, "/query?query=door&time=1700006400"), "\"1\"]");
	has(ask(f, "/query?query=door&time=1700020000"), "\"1\"]");
	has(ask(f, "/query?query=door&time=1700024399"), "\"1\"]");
	has(ask(f, "/query?query=door&time=1700024400"), "\"0\"]");
	has(ask(f, "/query?query=door&time=1700100000"), "\"0\"]");
	has(ask(f, "/query?query=door&time=1700006399"), "\"result\":[]");
	/* not for ever */
	has(ask(f, "/query?query=door&time=1703024400"), "\"result\":[]");
	has(ask(f,
		"/query_range?query=door&start=1700006400&end=1700028000&step="
		"7200"),
	    "[[1700006400,\"1\"],[1700013600,\"1\"],[1700020800,\"1\"],["
	    "1700028000,\"0\"]]");
}

static void
series_and_labels_are_listed(void **state)
{
	struct fixture *f = *state;

	fill(f);
	(void)series(f, METRIC_TEXT, "mode", "home", "boiler");
	assert_string_equal(ask(f, "/series?match[]=rain_total"),
	    "200 {\"status\":\"success\",\"data\":[{\"__name__\":\"rain_total\""
	    ",\"device\":\"roof\",\"unit\":\"home\"}]}");
	assert_string_equal(ask(f,
				"/series?match[]=rain_total&match[]={device=~"
				"\"roof|fridge\"}&limit=5"),
	    "200 {\"status\":\"success\",\"data\":[{\"__name__\":\"temp_"
	    "celsius\",\"device\":\"fridge\",\"unit\":\"shop\"},{\"__name__\":"
	    "\"rain_total\",\"device\":\"roof\",\"unit\":\"home\"}]}");
	assert_string_equal(ask(f, "/labels"),
	    "200 {\"status\":\"success\",\"data\":[\"__name__\",\"device\","
	    "\"unit\"]}");
	assert_string_equal(ask(f, "/label/device/values?match[]=temp_celsius"),
	    "200 {\"status\":\"success\",\"data\":[\"cellar\",\"fridge\"]}");
	assert_string_equal(ask(f, "/label/none/values"),
	    "200 {\"status\":\"success\",\"data\":[]}");
	assert_string_equal(ask(f, "/metadata?metric=rain_total"),
	    "200 {\"status\":\"success\",\"data\":{\"rain_total\":[{\"type\":"
	    "\"counter\",\"help\":\"\",\"unit\":\"\"}]}}");
	has(ask(f, "/metadata"), "\"temp_celsius\":[{\"type\":\"gauge\"");
	has(ask(f, "/series"),
	    "400 {\"status\":\"error\",\"errorType\":\"bad_"
	    "data\",\"error\":\"no match[] parameter "
	    "provided\"}");
	has(ask(f, "/label/a-b/values"), "400 ");
	has(ask(f, "/series?match[]=a{"), "parse error at char 3");
}

static void
a_caller_sees_only_his_units(void **state)
{
	struct fixture *f = *state;

	fill(f);
	admin = false;
	has(ask(f, "/query?query=temp_celsius&time=1700006700"),
	    "\"result\":[]");
	has(ask(f, "/labels"), "\"data\":[]");
	units[0] = STR("home");
	n_units = 1;
	has(ask(f, "/query?query=count(temp_celsius)&time=1700006700"),
	    "\"1\"]");
	/* whatever he writes */
	has(ask(f,
		"/query?query=count(temp_celsius{unit=\"shop\"}%20or%20temp_"
		"celsius{unit=~\".*\"})&time=1700006700"),
	    "\"1\"]");
	has(ask(f, "/query?query=temp_celsius{unit=\"shop\"}&time=1700006700"),
	    "\"result\":[]");
	has(ask(f, "/label/unit/values"), "\"data\":[\"home\"]");
	has(ask(f, "/series?match[]={unit=\"shop\"}"), "\"data\":[]");
	assert_null(strstr(ask(f, "/metadata"), "fridge"));
	units[1] = STR("shop");
	n_units = 2;
	has(ask(f, "/query?query=count(temp_celsius)&time=1700006700"),
	    "\"2\"]");
	for (n_units = 0; n_units < 200; n_units++)
		units[n_units] = STR("a-unit-with-a-long-name");
	has(ask(f, "/query?query=temp_celsius"), "422 ");
}

static void
errors_are_said_as_prometheus_says_them(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(ask(f, "/query?query=sum("),
	    "400 {\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":"
	    "\"invalid parameter \\\"query\\\": parse error at char 5: "
	    "unexpected end of input\"}");
	has(ask(f, "/query"), "no expression found in input");
	has(ask(f, "/query?query=1&time=x"),
	    "invalid parameter \\\"time\\\": cannot parse \\\"x\\\" to a valid "
	    "timestamp");
	has(ask(f, "/query_range?query=1&end=1&step=1"), "\\\"start\\\"");
	has(ask(f, "/query_range?query=1&start=2&end=1&step=1"), "\\\"end\\\"");
	has(ask(f, "/query_range?query=1&start=1&end=2&step=0"),
	    "\\\"step\\\"");
	has(ask(f, "/query_range?query=1&start=0&end=11001&step=1"),
	    "11,000 points");
	has(ask(f, "/query_range?query=\"x\"&start=0&end=1&step=1"), "400 ");
	fill(f);
	has(ask(f,
		"/query?query=temp_celsius+%2B+on(x)+temp_celsius&time="
		"1700006700"),
	    "422 {\"status\":\"error\",\"errorType\":\"execution\"");
	has(ask(f,
		"/query?query=temp_celsius&timeout=0.000001&time=1700006700"),
	    "400 ");
}

/* --- Telegraf ------------------------------------------------------------ */

static void
lines_become_series(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(
	    post(f, "/api/v2/write?org=home&bucket=x&precision=s",
		"cpu,host=pi,unit=x load=1.5,busy=t,name=\"a b\" 1700006400\n"
		"net,if=eth-0,__a=b bytes_total=7i " T0_S "\n"),
	    "204");
	assert_string_equal(token, "secret");
	assert_string_equal(ask(f, "/query?query=cpu_load&time=1700006400"),
	    "200 {\"status\":\"success\",\"data\":{\"resultType\":\"vector\","
	    "\"result\":[{\"metric\":{\"__name__\":\"cpu_load\",\"exported_"
	    "unit\":\"x\",\"host\":\"pi\",\"unit\":\"home\"},\"value\":["
	    "1700006400,\"1.5\"]}]}}");
	has(ask(f, "/query?query=cpu_busy&time=1700006400"), "\"1\"]");
	has(ask(f, "/query?query=net_bytes_total&time=1700006400"), "\"7\"]");
	has(ask(f, "/series?match[]=net_bytes_total"),
	    "\"exported___a\":\"b\"");
	has(ask(f, "/metadata?metric=net_bytes_total"), "counter");
}

static void
good_lines_are_stored_and_bad_ones_told(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(post(f, "/api/v2/write?org=home&precision=s",
				"a v=1 " T0_S "\nnonsense\na v=2,w=x " T0_S
				"\nb v=3 " T0_S "\na v=t " T0_S "\n"),
	    "400 {\"code\":\"invalid\",\"message\":\"partial write: 3 of 5 "
	    "lines were not written: line 2: a line without fields; line 3: a "
	    "bad value of a field; line 5: series a_v is of another kind\"}");
	has(ask(f, "/query?query=a_v&time=" T0_S), "\"1\"]");
	has(ask(f, "/query?query=b_v&time=" T0_S), "\"3\"]");
	has(ask(f, "/series?match[]=a_w"), "\"data\":[]");
	has(post(f, "/write?db=home", "nonsense"),
	    "400 {\"error\":\"partial write: 1 of 1 lines");
}

static void
a_token_comes_in_many_ways(void **state)
{
	static const struct {
		const char *target, *authorization;
		int status;
	} cases[] = {
		{ "/api/v2/write?org=home", "Token secret", 204 },
		{ "/api/v2/write?org=home", "Bearer secret", 204 },
		{ "/api/v2/write?org=home", "token me:secret", 204 },
		{ "/api/v2/write?org=home", NULL, 401 },
		{ "/api/v2/write?org=home", "Token wrong", 401 },
		{ "/api/v2/write?org=home&p=secret", NULL, 401 },
		{ "/write?db=home", "Token secret", 204 },
		{ "/write?db=home&u=me&p=secret", NULL, 204 },
		{ "/write?db=home", "Basic bWU6c2VjcmV0", 204 },
		{ "/write?db=home", "Basic bWU6d3Jvbmc=", 401 },
		{ "/write?db=home", "Basic !", 401 },
		{ "/write?db=home", NULL, 401 },
		{ "/write?db=home", "Other", 401 },
		{ "/write", "Token secret", 400 },
		{ "/write?db=shop", "Token secret", 404 },
		{ "/write?db=home&precision=x", "Token secret", 400 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *answer = call_with(f, hub_write_rows, "POST",
		    cases[i].target, cases[i].authorization, STR("a v=1"));

		if (atoi(answer) != cases[i].status)
			fail_msg("%s %s: %s", cases[i].target,
			    cases[i].authorization, answer);
	}
}

static struct str
packed(const char *text, size_t len, unsigned char *out, size_t cap)
{
	z_stream z = { 0 };

	assert_int_equal(
	    deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
	    Z_OK);
	z.next_in = (unsigned char *)(uintptr_t)text;
	z.avail_in = (unsigned)len;
	z.next_out = out;
	z.avail_out = (unsigned)cap;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return (struct str){ (char *)out, cap - z.avail_out };
}

static void
bodies_may_be_packed(void **state)
{
	static unsigned char out[1 << 20];
	struct fixture *f = *state;
	struct str body = packed("a v=42 1\n", 9, out, sizeof(out));
	char *blank = mem_alloc(65 << 20);
	const char *answer;

	has(call_with(f, hub_write_rows, "POST", "/write?db=home&precision=s",
		"Token secret", body),
	    "204");
	has(ask(f, "/query?query=a_v&time=1"), "\"42\"]");
	has(call_with(f, hub_write_rows, "POST", "/write?db=home",
		"Token secret", (struct str){ body.ptr, body.len - 4 }),
	    "400 {\"error\":\"the body is no gzip\"}");
	memset(blank, '\n', 65 << 20);
	body = packed(blank, 65 << 20, out, sizeof(out));
	answer = call_with(f, hub_write_rows, "POST", "/api/v2/write?org=home",
	    "Token secret", body);
	has(answer, "413 {\"code\":\"request too large\"");
	free(blank);
}

static void
many_points_go_in_portions(void **state)
{
	struct fixture *f = *state;
	struct buf b = { 0 };

	for (int i = 0; i < 60000; i++)
		buf_addf(&b, "many,n=%d v=%d,w=%d %d\n", i % 10, i, i,
		    1700006400 + i / 10);
	assert_string_equal(
	    call_with(f, hub_write_rows, "POST", "/write?db=home&precision=s",
		"Token secret", buf_str(&b)),
	    "204");
	buf_free(&b);
	has(ask(f,
		"/query?query=sum(count_over_time(many_v[3h]))&time="
		"1700015000"),
	    "\"60000\"]");
	has(ask(f,
		"/query?query=max(last_over_time(many_w[3h]))&time="
		"1700015000"),
	    "\"59999\"]");
}

static void
clients_are_told_what_they_ask_first(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(
	    call_with(f, hub_write_rows, "GET", "/ping", NULL, STR("")),
	    "204 v1.8.10");
	assert_string_equal(
	    post(f, "/query", "q=CREATE+DATABASE+%22telegraf%22"),
	    "200 {\"results\":[{\"statement_id\":0}]} v1.8.10");
	has(post(f, "/query?q=create%20database%20x", ""),
	    "{\"results\":[{\"statement_id\":0}]}");
	has(post(f, "/query?q=SELECT%201", ""), "\"error\"");
}

int
main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		STORY(the_health_check_of_grafana_passes),
		STORY(values_are_asked_for_in_promql),
		STORY(long_times_are_answered_from_windows),
		STORY(what_is_old_is_answered_from_what_is_kept_of_it),
		STORY(a_binary_value_holds_until_it_changes),
		STORY(series_and_labels_are_listed),
		STORY(a_caller_sees_only_his_units),
		STORY(errors_are_said_as_prometheus_says_them),
		STORY(lines_become_series),
		STORY(good_lines_are_stored_and_bad_ones_told),
		STORY(a_token_comes_in_many_ways),
		STORY(bodies_may_be_packed),
		STORY(many_points_go_in_portions),
		STORY(clients_are_told_what_they_ask_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

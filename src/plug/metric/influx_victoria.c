/*
 * plug/metric/influx_victoria.c - what is different when the server of the
 * engine `influx` is a VictoriaMetrics.
 *
 * Lines are taken as by InfluxDB 1. A line `m,room=bath t=1` of the database
 * `marram` is there a series `m_t{db="marram",room="bath"}`. Points are read by
 * /api/v1/export, which gives them as they are, and windows are computed from
 * them here: of the server's own functions those that count take a point twice
 * that was sent twice.
 *
 * What it can not do, and what follows:
 *  (1) It keeps no texts: such series are refused.
 *  (2) Of two values of a series and time it keeps both, in no order. We show
 *      the larger one, as its own -dedup.minScrapeInterval does.
 *  (3) It answers before points are on its disk, and has no log of its own. So
 *      influx.c holds what it has taken for `influx.hold`, and sends it again
 *      when victoria_born() tells that it was started anew.
 *  (4) Points of a series can be found some seconds after they were taken.
 *  (5) It rounds numbers to about 12 digits, and drops in silence what its
 *      retention does not take, and what is two days ahead.
 */
#include "plug/metric/influx.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/lineproto.h"
#include "codec/url.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOUR 3600000
#define YOUNG_S 2    /* its start is told in whole seconds */
#define LAG_MS 10000 /* after so long a new series can be found */

int
victoria_check(const struct metric_series *s, struct err *err)
{
	if (s->kind == METRIC_TEXT)
		return err_set(err, ERR_PARAM,
		    "VictoriaMetrics keeps no texts, so there is no history "
		    "of " STR_FMT,
		    STR_ARG(s->name));
	if (s->n_labels > VICTORIA_LABELS_MAX)
		return err_set(err, ERR_PARAM,
		    "VictoriaMetrics keeps %d labels of a series, not %zu",
		    VICTORIA_LABELS_MAX, s->n_labels);
	return 0;
}

/* --- which server it is -------------------------------------------------- */

/* The value of a line `name value` of /metrics, -1: it is not there. */
static int64_t
metric_of(struct str text, const char *name)
{
	while (text.ptr != NULL && text.len > 0) {
		struct str value = str_cut(&text, '\n');
		struct str key = str_cut(&value, ' ');
		int64_t ret;

		if (str_eqz(key, name) && str_to_i64(str_trim(value), &ret))
			return ret;
	}
	return -1;
}

int
victoria_born(struct influx *e, CURL *c, int64_t *ret, struct err *err)
{
	struct influx_answer answer;
	int64_t born, age;
	int rc;

	rc = influx_request(
	    e, c, "/metrics", STR(""), NULL, STR(""), &answer, err);
	if (rc == 0)
		rc = influx_check(&answer, err);
	if (rc == 0) {
		born =
		    metric_of(buf_str(&answer.body), "vm_app_start_timestamp");
		age = metric_of(buf_str(&answer.body), "vm_app_uptime_seconds");
		if (born <= 0 || age < 0)
			rc = err_set(err, ERR_PROTO,
			    "its /metrics do not say when it was started");
		else if (age < YOUNG_S)
			rc = err_set(
			    err, ERR_AGAIN, "VictoriaMetrics has just started");
		else
			*ret = born;
	}
	buf_free(&answer.body);
	return rc == 0 ? 0 : err_wrap(err, "hub.metric.influx.url");
}

/* --- lines --------------------------------------------------------------- */

/* Unlike InfluxDB it reads two backslashes as one, so each is written twice;
 * that is why these are no lines of codec/lineproto.h. */
static void
put_escaped(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (strchr("\\,= ", s.ptr[i]) != NULL && s.ptr[i] != '\0')
			buf_addc(out, '\\');
		buf_addc(out, s.ptr[i]);
	}
}

void
victoria_put_head(
    struct buf *out, struct str measurement, const struct metric_series *s)
{
	put_escaped(out, measurement);
	for (size_t i = 0; i < s->n_labels; i++) {
		buf_addc(out, ',');
		put_escaped(out, s->labels[i].name);
		buf_addc(out, '=');
		put_escaped(out, s->labels[i].value);
	}
}

void
victoria_put_value(struct buf *out, const struct metric_series *s, double value)
{
	buf_addc(out, ' ');
	put_escaped(out, s->name);
	buf_addc(out, '=');
	lineproto_number(out, value);
}

/* --- selectors ----------------------------------------------------------- */

/* In names everything but letters and digits is escaped, byte by byte. */
static void
put_name(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		bool digit = c >= '0' && c <= '9';

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    c == '_' || (digit && i > 0))
			buf_addc(out, (char)c);
		else
			buf_addf(out, "\\x%02x", c);
	}
}

static void
put_text(struct buf *out, struct str s)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, s.ptr[i]);
	}
	buf_addc(out, '"');
}

void
victoria_put_tag(struct buf *out, struct str name, struct str value)
{
	buf_addc(out, ',');
	put_name(out, name);
	buf_addc(out, '=');
	put_text(out, value);
}

static void
put_selector(struct influx *e, const struct metric_series *s, struct buf *out)
{
	struct arena a = { 0 };

	buf_addz(out, "{__name__=");
	put_text(out,
	    arena_printf(&a, STR_FMT "_" STR_FMT,
		STR_ARG(influx_measurement(e, s->kind, &a)), STR_ARG(s->name)));
	influx_put_tags(e, s, out, &a);
	buf_addc(out, '}');
	arena_fini(&a);
}

/* --- points -------------------------------------------------------------- */

struct point {
	int64_t at;
	double value;
};

static void
get_times(struct json *j, struct buf *out)
{
	int64_t at;

	if (json_array(j))
		while (json_item(j) && json_i64(j, &at))
			buf_add(out, &at, sizeof(at));
}

static void
get_values(struct json *j, struct buf *out)
{
	double v;

	if (json_array(j))
		while (json_item(j) && json_real(j, &v))
			buf_add(out, &v, sizeof(v));
}

/* {"metric": {...}, "values": [...], "timestamps": [...]} */
static int
get_block(struct str line, struct buf *points, struct err *err)
{
	struct buf at = { 0 }, values = { 0 };
	struct arena a = { 0 };
	struct str key;
	struct json j;
	int rc;

	json_open(&j, line, 0, &a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "values"))
				get_values(&j, &values);
			else if (str_eqz(key, "timestamps"))
				get_times(&j, &at);
			else
				json_skip(&j);
		}
	rc = json_done(&j, err);
	if (rc != 0 || at.len != values.len)
		rc = err_set(err, ERR_PROTO,
		    "an answer of VictoriaMetrics has no points in it");
	for (size_t i = 0; rc == 0 && i < at.len / sizeof(int64_t); i++) {
		struct point p;

		memcpy(&p.at, at.ptr + i * sizeof(p.at), sizeof(p.at));
		memcpy(&p.value, values.ptr + i * sizeof(p.value),
		    sizeof(p.value));
		buf_add(points, &p, sizeof(p));
	}
	buf_free(&at);
	buf_free(&values);
	arena_fini(&a);
	return rc;
}

static int
by_time_then_value(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->value < y->value ? -1 : x->value > y->value;
}

/* Adds what is in [from, to), as it comes. ERR_LIMIT: it is too much. */
static int export(struct influx *e, const struct metric_series *s, int64_t from,
    int64_t to, struct buf *points, struct err *err)
{
	struct buf form = { 0 }, text = { 0 };
	struct influx_answer answer;
	struct str rest;
	int rc;

	put_selector(e, s, &text);
	url_form_add(&form, "match[]", buf_str(&text));
	buf_clear(&text);
	buf_addf(&text, "%" PRId64 ".%03d", from / 1000, (int)(from % 1000));
	url_form_add(&form, "start", buf_str(&text));
	buf_clear(&text);
	to--; /* it takes the end in */
	buf_addf(&text, "%" PRId64 ".%03d", to / 1000, (int)(to % 1000));
	url_form_add(&form, "end", buf_str(&text));
	url_form_add(&form, "reduce_mem_usage", STR("1"));
	rc = influx_request(e, NULL, "/api/v1/export", STR(""),
	    "application/x-www-form-urlencoded", buf_str(&form), &answer, err);
	if (rc == 0)
		rc = influx_check(&answer, err);
	rest = buf_str(&answer.body);
	while (rc == 0 && rest.ptr != NULL && rest.len > 0) {
		struct str line = str_trim(str_cut(&rest, '\n'));

		if (line.len > 0)
			rc = get_block(line, points, err);
	}
	buf_free(&answer.body);
	buf_free(&form);
	buf_free(&text);
	return rc;
}

/* By time, one of each; tells them; whether more is wanted. */
static bool
tell(const struct metric_series *s, struct buf *points, metric_visit *visit,
    void *ctx)
{
	struct point *p = (struct point *)(void *)points->ptr;
	size_t n = points->len / sizeof(*p), k = 0;
	struct metric_point *out;
	bool more;

	if (n == 0)
		return true;
	qsort(p, n, sizeof(*p), by_time_then_value);
	out = mem_array(n, sizeof(*out));
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || p[i + 1].at != p[i].at)
			out[k++] = (struct metric_point){ s->id, p[i].at,
				p[i].value, STR_NULL };
	more = visit(ctx, out, k);
	free(out);
	return more;
}

/* A stretch of time after the other; one with too many points is taken in
 * parts. */
int
victoria_read(struct influx *e, const struct metric_series *s, int64_t from,
    int64_t to, metric_visit *visit, void *ctx, struct err *err)
{
	int64_t width = to - from;
	struct buf points = { 0 };
	bool more = true;
	int rc = 0;

	while (rc == 0 && more && from < to) {
		int64_t end = MIN_OF(from + width, to);

		buf_clear(&points);
		rc = export(e, s, from, end, &points, err);
		if (rc == ERR_LIMIT && end - from > 1) {
			width = MAX_OF((end - from) / 4, 1);
			rc = 0;
			continue;
		}
		if (rc != 0)
			break;
		more = tell(s, &points, visit, ctx);
		from = end;
		width = MIN_OF(width * 2, METRIC_TIME_MAX);
	}
	buf_free(&points);
	return rc;
}

struct newest {
	struct metric_point point;
	bool any;
};

static bool
keep_newest(void *ctx, const struct metric_point *p, size_t n)
{
	struct newest *l = ctx;

	l->any = true;
	l->point = p[n - 1];
	return true;
}

/* Looks back from now, further and further. */
int
victoria_last(struct influx *e, const struct metric_series *s,
    struct metric_point *ret, struct err *err)
{
	int64_t now = clock_now(), back = HOUR, to = METRIC_TIME_MAX, from;
	struct newest newest = { .any = false };
	int rc = 0;

	while (rc == 0 && !newest.any && to > 0) {
		from = MIN_OF(MAX_OF(now - back, 0), to - 1);
		rc = victoria_read(e, s, from, to, keep_newest, &newest, err);
		to = from;
		back *= 8;
	}
	if (rc == 0 && !newest.any)
		rc =
		    err_set(err, ERR_NOT_FOUND, "no point in series %u", s->id);
	if (rc == 0)
		*ret = newest.point;
	return rc;
}

/* --- deleting ------------------------------------------------------------ */

static int
delete_now(struct influx *e, const struct metric_series *s, struct err *err)
{
	struct buf form = { 0 }, text = { 0 };
	struct influx_answer answer;
	int rc;

	put_selector(e, s, &text);
	url_form_add(&form, "match[]", buf_str(&text));
	rc = influx_request(e, NULL, "/api/v1/admin/tsdb/delete_series",
	    STR(""), "application/x-www-form-urlencoded", buf_str(&form),
	    &answer, err);
	if (rc == 0)
		rc = influx_check(&answer, err);
	buf_free(&answer.body);
	buf_free(&form);
	buf_free(&text);
	return rc;
}

/* It deletes what can be found, and what was just sent can not yet. */
int
victoria_delete(struct influx *e, const struct metric_series *s,
    int64_t sent_at, struct err *err)
{
	const struct timespec turn = { .tv_sec = 1 };
	struct metric_point p;
	int rc = 0;

	while (rc == 0 && sent_at != 0 && clock_mono() < sent_at + LAG_MS) {
		rc = victoria_last(e, s, &p, err);
		if (rc == 0)
			break;
		if (rc != ERR_NOT_FOUND)
			return rc;
		rc = 0;
		nanosleep(&turn, NULL);
	}
	return delete_now(e, s, err);
}

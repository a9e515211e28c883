/*
 * plug/metric/contract_test.c - asks every promise of metric.h of every engine.
 */
#include "plug/metric/metric.h"
#include "plug/metric/ops.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/test.h"
#include "plug/metric/test_influx.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MINUTE 60000
#define HOUR 3600000
#define DAY (24 * HOUR)
#define T0 1700006400000 /* the beginning of an hour */

/* What is under test, and what it can. */
struct subject {
	const struct metric_ops *ops;
	const char *name; /* NULL: the engine's */
	bool reads;       /* what was written can be read */
	bool remembers;   /* over a restart */
	bool tiers;
	bool texts;
	bool exact; /* numbers come back bit by bit, and the last one written
		     * of each time */
	bool (*start)(struct test_influx *s); /* main() has started it */
};

static const struct subject *subject;
static struct test_influx server;

struct fixture {
	struct metric *m;
	struct metric_settings set;
	struct err err;
	struct arena arena;
	char dir[32];
	struct buf text; /* a transcript */
};

static void
must(struct fixture *f, int rc)
{
	if (rc != 0)
		fail_msg("%d %s", rc, f->err.text);
}

static void
reopen(struct fixture *f)
{
	metric_close(f->m);
	f->m = NULL;
	must(f, metric_open_ops(subject->ops, &f->set, f->dir, &f->m, &f->err));
}

static int
set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	strcpy(f->dir, "/tmp/metric-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	f->set = (struct metric_settings){
		.path = STR("here"),
		.sync = false,
		.max_series = 1000,
		.buffer_points = 50000,
		.queue_bytes = 16 << 20,
		.prefix = STR("mc"),
		.timeout = 5000,
		.hold = 1000,
	};
	if (subject->start != NULL) {
		static int number;

		if (subject->start == test_victoria_start)
			f->set.version = METRIC_INFLUX_VICTORIA;
		f->set.url = str_of(server.url);
		f->set.database =
		    arena_printf(&f->arena, "test \"%d\"", ++number);
	}
	*state = f;
	if (metric_open_ops(subject->ops, &f->set, f->dir, &f->m, &f->err) !=
	    0) {
		print_error("%s\n", f->err.text);
		return -1;
	}
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	char *rm = mem_printf("rm -r %s", f->dir);

	metric_close(f->m);
	arena_fini(&f->arena);
	buf_free(&f->text);
	if (system(rm) != 0)
		print_error("%s stays\n", f->dir);
	free(rm);
	free(f);
	return 0;
}

/* --- short words --------------------------------------------------------- */

static uint32_t
series(struct fixture *f, enum metric_kind kind, const char *name,
    const char *label, const char *value)
{
	struct metric_label l = { str_of(label), str_of(value) };
	uint32_t id = 0;

	must(f,
	    metric_series(
		f->m, kind, str_of(name), &l, label != NULL, &id, &f->err));
	return id;
}

static void
put(struct fixture *f, uint32_t id, int64_t at, double value)
{
	struct metric_point p = { id, at, value, STR_NULL };

	must(f, metric_write(f->m, &p, 1, NULL, &f->err));
}

static void
put_text(struct fixture *f, uint32_t id, int64_t at, const char *text)
{
	struct metric_point p = { id, at, 0, str_of(text) };

	must(f, metric_write(f->m, &p, 1, NULL, &f->err));
}

static void
seen(struct fixture *f)
{
	must(f, metric_flush(f->m, &f->err));
	if (subject->start == test_victoria_start)
		assert_true(test_victoria_flush(&server));
}

static bool
note(void *ctx, const struct metric_point *p, size_t n)
{
	struct fixture *f = ctx;

	for (size_t i = 0; i < n; i++)
		if (p[i].text.ptr != NULL)
			buf_addf(&f->text, "%" PRId64 "=" STR_FMT ";",
			    p[i].at - T0, STR_ARG(p[i].text));
		else
			buf_addf(&f->text, "%" PRId64 "=%g;", p[i].at - T0,
			    p[i].value);
	return true;
}

/* What is in [from, to), "time=value;" each, as told from T0. */
static const char *
points(struct fixture *f, uint32_t id, int64_t from, int64_t to)
{
	buf_clear(&f->text);
	must(f, metric_read(f->m, id, T0 + from, T0 + to, note, f, &f->err));
	return buf_z(&f->text);
}

static struct metric_windows
ask(struct fixture *f, uint32_t id, int64_t from, int64_t to, int64_t step,
    const char *list)
{
	static struct metric_fn fns[METRIC_FN_MAX];
	struct metric_query q = { id, from, to, step, fns, 0 };
	struct str rest = str_of(list);
	struct metric_windows w;

	while (rest.ptr != NULL)
		assert_true(
		    metric_fn_parse(str_cut(&rest, ' '), &fns[q.n_fns++]));
	must(f, metric_windows(f->m, &q, &f->arena, &w, &f->err));
	return w;
}

/* The same as a text: "begin:value,value;". */
static const char *
windows(struct fixture *f, uint32_t id, int64_t from, int64_t to, int64_t step,
    const char *list)
{
	struct metric_windows w = ask(f, id, T0 + from, T0 + to, step, list);
	size_t n = 1;

	for (const char *c = list; *c != '\0'; c++)
		n += *c == ' ';
	buf_clear(&f->text);
	for (size_t i = 0; i < w.n; i++) {
		buf_addf(&f->text, "%" PRId64 ":", w.at[i] - T0);
		for (size_t k = 0; k < n; k++)
			buf_addf(&f->text, "%s%.10g", k > 0 ? "," : "",
			    w.values[i * n + k]);
		buf_addc(&f->text, ';');
	}
	return buf_z(&f->text);
}

#define NEEDS(what)                                                            \
	do {                                                                   \
		if (!subject->what)                                            \
			return;                                                \
	} while (0)

/* --- series -------------------------------------------------------------- */

static void
a_series_has_one_number_however_its_labels_are_given(void **state)
{
	struct fixture *f = *state;
	const struct metric_label ab[] = { { STR("a"), STR("1") },
		{ STR("b"), STR("2") } };
	const struct metric_label ba[] = { { STR("b"), STR("2") },
		{ STR("none"), STR("") }, { STR("a"), STR("1") } };
	struct metric_series s;
	uint32_t one, two;

	must(f,
	    metric_series(f->m, METRIC_GAUGE, STR("t"), ab, 2, &one, &f->err));
	must(f,
	    metric_series(f->m, METRIC_GAUGE, STR("t"), ba, 3, &two, &f->err));
	assert_int_equal(one, two);
	assert_int_not_equal(series(f, METRIC_GAUGE, "t", "a", "1"), one);
	must(f, metric_describe(f->m, one, &f->arena, &s, &f->err));
	assert_str(s.name, "t");
	assert_int_equal(s.n_labels, 2);
	assert_str(s.labels[1].name, "b");
	assert_str(s.labels[1].value, "2");
	assert_int_equal(
	    metric_describe(f->m, 999, &f->arena, &s, &f->err), ERR_NOT_FOUND);
}

static void
bad_series_are_refused(void **state)
{
	struct fixture *f = *state;
	const struct metric_label twice[] = { { STR("a"), STR("1") },
		{ STR("a"), STR("2") } };
	const struct metric_label odd = { STR("a\nb"), STR("1") };
	const struct metric_label name = { STR("__name__"), STR("1") };
	uint32_t id = 7;

	assert_int_equal(
	    metric_series(f->m, METRIC_GAUGE, STR(""), NULL, 0, &id, &f->err),
	    ERR_PARAM);
	assert_int_equal(metric_series(f->m, METRIC_GAUGE, STR("\xff"), NULL, 0,
			     &id, &f->err),
	    ERR_PARAM);
	assert_int_equal(
	    metric_series(f->m, METRIC_GAUGE, STR("t"), twice, 2, &id, &f->err),
	    ERR_PARAM);
	assert_int_equal(
	    metric_series(f->m, METRIC_GAUGE, STR("t"), &odd, 1, &id, &f->err),
	    ERR_PARAM);
	assert_int_equal(
	    metric_series(f->m, METRIC_GAUGE, STR("t"), &name, 1, &id, &f->err),
	    ERR_PARAM);
	(void)series(f, METRIC_COUNTER, "t", NULL, NULL);
	assert_int_equal(
	    metric_series(f->m, METRIC_GAUGE, STR("t"), NULL, 0, &id, &f->err),
	    ERR_EXISTS);
	assert_int_equal(id, 7);
}

static void
series_are_limited(void **state)
{
	struct fixture *f = *state;
	uint32_t id;

	f->set.max_series = 2;
	reopen(f);
	(void)series(f, METRIC_GAUGE, "a", NULL, NULL);
	(void)series(f, METRIC_GAUGE, "b", NULL, NULL);
	assert_int_equal(
	    metric_series(f->m, METRIC_GAUGE, STR("c"), NULL, 0, &id, &f->err),
	    ERR_LIMIT);
	(void)series(f, METRIC_GAUGE, "b", NULL, NULL);
}

static const char *
found(struct fixture *f, const struct metric_matcher *match, size_t n)
{
	struct metric_series *s;
	size_t count;

	must(f, metric_find(f->m, match, n, 0, &f->arena, &s, &count, &f->err));
	buf_clear(&f->text);
	for (size_t i = 0; i < count; i++)
		buf_addf(&f->text, STR_FMT "%s" STR_FMT ";", STR_ARG(s[i].name),
		    s[i].n_labels > 0 ? "/" : "",
		    STR_ARG(
			s[i].n_labels > 0 ? s[i].labels[0].value : STR("")));
	return buf_z(&f->text);
}

static void
series_are_found_by_matchers(void **state)
{
	struct fixture *f = *state;
	struct metric_matcher m[2];
	struct metric_series *s;
	struct strs list;
	size_t n;

	(void)series(f, METRIC_GAUGE, "temp", "room", "bath");
	(void)series(f, METRIC_GAUGE, "temp", "room", "bed");
	(void)series(f, METRIC_GAUGE, "power", "plug", "bed");
	(void)series(f, METRIC_GAUGE, "up", NULL, NULL);

	assert_string_equal(
	    found(f, NULL, 0), "temp/bath;temp/bed;power/bed;up;");
	m[0] =
	    (struct metric_matcher){ STR("__name__"), METRIC_EQ, STR("temp") };
	assert_string_equal(found(f, m, 1), "temp/bath;temp/bed;");
	m[1] = (struct metric_matcher){ STR("room"), METRIC_NE, STR("bed") };
	assert_string_equal(found(f, m, 2), "temp/bath;");
	assert_string_equal(found(f, m + 1, 1), "temp/bath;power/bed;up;");
	m[0] = (struct metric_matcher){ STR("room"), METRIC_RE, STR("b.*h") };
	assert_string_equal(found(f, m, 1), "temp/bath;");
	m[0].value = STR("ba"); /* anchored */
	assert_string_equal(found(f, m, 1), "");
	m[0].value = STR("x|b[ae]t?h?d?");
	assert_string_equal(found(f, m, 1), "temp/bath;temp/bed;");
	m[0].value = STR("|bath"); /* no such label is "" */
	assert_string_equal(found(f, m, 1), "temp/bath;power/bed;up;");
	m[0] =
	    (struct metric_matcher){ STR("room"), METRIC_NOT_RE, STR("b.+") };
	assert_string_equal(found(f, m, 1), "power/bed;up;");

	assert_int_equal(
	    metric_find(f->m, NULL, 0, 3, &f->arena, &s, &n, &f->err),
	    ERR_LIMIT);
	m[0].value = STR("(");
	assert_int_equal(
	    metric_find(f->m, m, 1, 0, &f->arena, &s, &n, &f->err), ERR_PARAM);
	m[0].value = STR("((a{1,255}){1,255}){1,255}");
	assert_int_equal(
	    metric_find(f->m, m, 1, 0, &f->arena, &s, &n, &f->err), ERR_PARAM);
	m[0].value = STR("(a)\\1");
	assert_int_equal(
	    metric_find(f->m, m, 1, 0, &f->arena, &s, &n, &f->err), ERR_PARAM);

	m[0] =
	    (struct metric_matcher){ STR("__name__"), METRIC_EQ, STR("temp") };
	must(f, metric_label_names(f->m, m, 1, &f->arena, &list, &f->err));
	assert_int_equal(list.n, 2);
	assert_str(list.at[0], "__name__");
	assert_str(list.at[1], "room");
	must(f,
	    metric_label_values(
		f->m, STR("room"), NULL, 0, &f->arena, &list, &f->err));
	assert_int_equal(list.n, 2);
	assert_str(list.at[0], "bath");
	must(f,
	    metric_label_values(
		f->m, STR("__name__"), NULL, 0, &f->arena, &list, &f->err));
	assert_int_equal(list.n, 3);
}

static void
a_deleted_series_is_gone_and_its_number_too(void **state)
{
	struct fixture *f = *state;
	uint32_t a = series(f, METRIC_GAUGE, "a", NULL, NULL), again;
	uint32_t b = series(f, METRIC_GAUGE, "b", NULL, NULL);

	put(f, a, T0, 1);
	put(f, b, T0, 2);
	seen(f);
	must(f, metric_pack(f->m, &f->err));
	put(f, a, T0 + 1, 1);
	must(f, metric_delete(f->m, a, &f->err));
	assert_int_equal(metric_delete(f->m, a, &f->err), ERR_NOT_FOUND);
	assert_int_equal(
	    metric_read(f->m, a, 0, T0, note, f, &f->err), ERR_NOT_FOUND);
	again = series(f, METRIC_GAUGE, "a", NULL, NULL);
	assert_true(again > b);
	assert_string_equal(points(f, again, 0, 10), "");
	NEEDS(reads);
	assert_string_equal(points(f, b, 0, 10), "0=2;");
	NEEDS(remembers);
	must(f, metric_delete(f->m, again, &f->err));
	for (int i = 0; i < 2; i++) {
		reopen(f);
		assert_string_equal(found(f, NULL, 0), "b;");
		assert_string_equal(points(f, b, 0, 10), "0=2;");
	}
	assert_true(series(f, METRIC_GAUGE, "a", NULL, NULL) > again);
}

/* --- points -------------------------------------------------------------- */

static void
points_come_back_by_time(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "t", NULL, NULL);

	NEEDS(reads);
	put(f, id, T0 + 30, 3);
	put(f, id, T0 + 10, 1);
	put(f, id, T0 + 20, -2.5);
	put(f, id, T0 + 10, 1); /* twice */
	seen(f);
	put(f, id, T0 + 15, 0.25);
	put(f, id, T0 + 30, 3);
	seen(f);
	assert_string_equal(
	    points(f, id, 0, 100), "10=1;15=0.25;20=-2.5;30=3;");
	assert_string_equal(points(f, id, 10, 30), "10=1;15=0.25;20=-2.5;");
	assert_string_equal(points(f, id, 11, 15), "");
	assert_string_equal(
	    windows(f, id, 0, MINUTE, MINUTE, "count sum"), "0:4,1.75;");
}

static void
the_last_written_of_a_time_counts(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "t", NULL, NULL);

	NEEDS(reads);
	NEEDS(exact);
	put(f, id, T0 + 30, 3);
	put(f, id, T0 + 10, 1);
	put(f, id, T0 + 20, 2);
	put(f, id, T0 + 10, -1.5);
	seen(f);
	assert_string_equal(points(f, id, 0, 100), "10=-1.5;20=2;30=3;");
	assert_string_equal(points(f, id, 10, 30), "10=-1.5;20=2;");
	assert_string_equal(points(f, id, 11, 20), "");

	must(f, metric_pack(f->m, &f->err));
	put(f, id, T0 + 20, 22);
	put(f, id, T0 + 15, 1.25);
	put(f, id, T0 + 40, 4);
	put(f, id, T0, 0.1);
	seen(f);
	assert_string_equal(
	    points(f, id, -10, 100), "0=0.1;10=-1.5;15=1.25;20=22;30=3;40=4;");
	must(f, metric_pack(f->m, &f->err));
	assert_string_equal(
	    points(f, id, -10, 100), "0=0.1;10=-1.5;15=1.25;20=22;30=3;40=4;");
}

static void
texts_and_states_come_back(void **state)
{
	struct fixture *f = *state;
	uint32_t t, b = series(f, METRIC_BINARY, "open", NULL, NULL);

	NEEDS(reads);
	put(f, b, T0, 1);
	put(f, b, T0 + 1, 0);
	put(f, b, T0 + 2, 17);
	seen(f);
	assert_string_equal(points(f, b, 0, 9), "0=1;1=0;2=1;");
	if (!subject->texts) { /* and says so */
		assert_int_equal(metric_series(f->m, METRIC_TEXT, STR("state"),
				     NULL, 0, &t, &f->err),
		    ERR_PARAM);
		assert_non_null(strstr(f->err.text, "keeps no texts"));
		return;
	}
	t = series(f, METRIC_TEXT, "state", NULL, NULL);
	put_text(f, t, T0, "say \"hi\", \\ a=b");
	put_text(f, t, T0 + 1, "");
	put_text(f, t, T0 + 2, "\xc3\xa4");
	seen(f);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(
		    points(f, t, 0, 9), "0=say \"hi\", \\ a=b;1=;2=\xc3\xa4;");
		assert_string_equal(points(f, b, 0, 9), "0=1;1=0;2=1;");
		must(f, metric_pack(f->m, &f->err));
	}
}

static void
bad_points_are_left_out_and_counted(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "t", NULL, NULL);
	const struct metric_point p[] = {
		{ id, T0, 1, STR_NULL },
		{ id + 1, T0, 1, STR_NULL },
		{ id, -1, 1, STR_NULL },
		{ id, METRIC_TIME_MAX, 1, STR_NULL },
		{ id, T0 + 1, NAN, STR_NULL },
		{ id, T0 + 2, INFINITY, STR_NULL },
		{ id, T0 + 3, 4, STR_NULL },
	};
	struct metric_stats s;

	must(f, metric_write(f->m, p, COUNT_OF(p), NULL, &f->err));
	must(f, metric_write(f->m, p, 0, NULL, &f->err));
	seen(f);
	metric_stats(f->m, &s);
	assert_int_equal(s.points_in, 2);
	assert_int_equal(s.skipped, 5);
	assert_int_equal(s.series, 1);
	NEEDS(reads);
	assert_string_equal(points(f, id, 0, 10), "0=1;3=4;");
}

static void
numbers_come_back_bit_by_bit(void **state)
{
	static const double v[] = { 1.0 / 3, -1e300, 5e-324, 123456789.123,
		0.1 + 0.2, 9007199254740993.0, 21.3 };
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "t", NULL, NULL);

	NEEDS(reads);
	NEEDS(exact);
	for (size_t i = 0; i < COUNT_OF(v); i++)
		put(f, id, T0 + (int64_t)i, v[i]);
	seen(f);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT_OF(v); i++) {
			struct metric_windows w = ask(f, id, T0 + (int64_t)i,
			    T0 + (int64_t)i + 1, 1, "last");

			assert_int_equal(w.n, 1);
			assert_memory_equal(w.values, &v[i], sizeof(double));
		}
		must(f, metric_pack(f->m, &f->err));
	}
}

static void
numbers_come_back_nearly_at_least(void **state)
{
	static const double v[] = { 1.0 / 3, -1e300, 123456789.123, 0.1 + 0.2,
		9007199254740993.0, 21.3, 0, -0.001 };
	struct fixture *f = *state;
	uint32_t id[COUNT_OF(v)];
	struct metric_point p;
	char value[8];

	NEEDS(reads);
	for (size_t i = 0; i < COUNT_OF(v); i++) {
		snprintf(value, sizeof(value), "%zu", i);
		id[i] = series(f, METRIC_GAUGE, "t", "n", value);
		put(f, id[i], T0, v[i]);
	}
	seen(f);
	for (size_t i = 0; i < COUNT_OF(v); i++) {
		must(f, metric_last(f->m, id[i], &f->arena, &p, &f->err));
		assert_true(fabs(p.value - v[i]) <= fabs(v[i]) * 1e-11);
	}
}

/* Names and values with all that a query language might trip over; each series
 * is found again, and no other one is. */
static void
names_and_labels_may_be_odd(void **state)
{
	static const struct {
		const char *name, *label, *value;
	} odd[] = { { "t", NULL, NULL }, { "t", "a b", "c" }, { "t", "a", "b" },
		{ "t t", "a", "b" }, { "t", "db", "own" },
		{ "t", "1", "x,y=z" }, { "t=1", "x\\y", "q\\" },
		{ "t\\", "\"", "\"\\\"" },
		{ "\xc3\xa4", "\xc3\xb6", "\xc3\xbc" }, { "t", "$", "${x}" },
		{ "field", "value", "it's" } };
	struct fixture *f = *state;
	uint32_t id[COUNT_OF(odd)];
	char text[32];

	NEEDS(reads);
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		id[i] = series(
		    f, METRIC_GAUGE, odd[i].name, odd[i].label, odd[i].value);
		put(f, id[i], T0 + (int64_t)i, (double)i);
	}
	seen(f);
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		snprintf(text, sizeof(text), "%zu=%zu;", i, i);
		assert_string_equal(points(f, id[i], 0, 100), text);
	}
}

static bool
stop_at_once(void *ctx, const struct metric_point *p, size_t n)
{
	(void)p;
	(void)n;
	++*(int *)ctx;
	return false;
}

static void
a_visitor_may_end_the_reading(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "t", NULL, NULL);
	int calls = 0;

	NEEDS(reads);
	for (int i = 0; i < 1000; i++)
		put(f, id, T0 + i, i);
	seen(f);
	must(f, metric_pack(f->m, &f->err));
	put(f, id, T0 + 1000, 1);
	seen(f);
	must(f,
	    metric_read(f->m, id, T0, T0 + DAY, stop_at_once, &calls, &f->err));
	assert_int_equal(calls, 1);
}

static void
the_last_point_is_the_one_with_the_largest_time(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "t", NULL, NULL);
	uint32_t t =
	    subject->texts ? series(f, METRIC_TEXT, "s", NULL, NULL) : 0;
	struct metric_point p;

	assert_int_equal(
	    metric_last(f->m, id, &f->arena, &p, &f->err), ERR_NOT_FOUND);
	assert_int_equal(
	    metric_last(f->m, 99, &f->arena, &p, &f->err), ERR_NOT_FOUND);
	NEEDS(reads);
	put(f, id, T0 + 5, 5);
	put(f, id, T0 + 4, 4);
	if (subject->texts)
		put_text(f, t, T0, "idle");
	seen(f);
	for (int i = 0; i < 2; i++) {
		must(f, metric_last(f->m, id, &f->arena, &p, &f->err));
		assert_int_equal(p.at, T0 + 5);
		assert_true(p.value == 5);
		if (subject->texts) {
			must(f, metric_last(f->m, t, &f->arena, &p, &f->err));
			assert_str(p.text, "idle");
		}
		must(f, metric_pack(f->m, &f->err));
	}
	put(f, id, T0 + 1, 1); /* a late one is not the last */
	seen(f);
	must(f, metric_last(f->m, id, &f->arena, &p, &f->err));
	assert_int_equal(p.at, T0 + 5);
	put(f, id, T0 + 5, 55);
	seen(f);
	must(f, metric_last(f->m, id, &f->arena, &p, &f->err));
	assert_true(p.value == 55);
}

/* --- commits ------------------------------------------------------------- */

struct told {
	struct metric_commit c;
	atomic_int times;
	atomic_int rc;
};

static void
on_done(struct metric_commit *c, int rc, const struct err *why)
{
	struct told *t = container_of(c, struct told, c);

	(void)why;
	atomic_store(&t->rc, rc);
	atomic_fetch_add(&t->times, 1);
}

static void
every_write_is_told_as_committed_once(void **state)
{
	struct fixture *f = *state;
	struct told *t = mem_array(500, sizeof(*t));
	uint32_t id;

	f->set.sync = true;
	reopen(f);
	id = series(f, METRIC_GAUGE, "t", NULL, NULL);
	for (int i = 0; i < 500; i++) {
		struct metric_point p = { id, T0 + i, i, STR_NULL };

		t[i].c.done = on_done;
		must(f, metric_write(f->m, &p, 1, &t[i].c, &f->err));
		if (i == 250)
			seen(f);
	}
	metric_close(f->m); /* at the latest */
	f->m = NULL;
	for (int i = 0; i < 500; i++) {
		assert_int_equal(t[i].times, 1);
		assert_int_equal(t[i].rc, 0);
	}
	free(t);
}

static void
a_restart_loses_and_doubles_nothing(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_COUNTER, "c", "a", "1"), t = 0;

	NEEDS(remembers);
	put(f, id, T0, 1);
	must(f, metric_pack(f->m, &f->err));
	put(f, id, T0 + 1, 2);
	if (subject->texts) {
		t = series(f, METRIC_TEXT, "s", NULL, NULL);
		put_text(f, t, T0, "on");
	}
	for (int i = 0; i < 3; i++) {
		reopen(f);
		assert_int_equal(series(f, METRIC_COUNTER, "c", "a", "1"), id);
		seen(f);
		assert_string_equal(points(f, id, 0, 10), "0=1;1=2;");
		if (subject->texts) {
			assert_int_equal(
			    series(f, METRIC_TEXT, "s", NULL, NULL), t);
			assert_string_equal(points(f, t, 0, 10), "0=on;");
		}
		assert_string_equal(
		    windows(f, id, 0, HOUR, HOUR, "count"), "0:2;");
	}
}

/* --- windows ------------------------------------------------------------- */

static void
windows_say_what_their_points_say(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "t", NULL, NULL);

	NEEDS(reads);
	for (int i = 0; i < 5; i++) /* 1 3 5 7 9 in the first ten minutes */
		put(f, id, T0 + i * 2 * MINUTE, 1 + 2 * i);
	put(f, id, T0 + 20 * MINUTE, -4); /* nothing from 10 to 20 */
	put(f, id, T0 + 30 * MINUTE, 8);
	seen(f);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(windows(f, id, 0, 30 * MINUTE, 10 * MINUTE,
					"mean min max sum count first last"),
		    "0:5,1,9,25,5,1,9;1200000:-4,-4,-4,-4,1,-4,-4;");
		assert_string_equal(windows(f, id, 0, 10 * MINUTE, 10 * MINUTE,
					"median percentile_100 percentile_0"),
		    "0:5,9,1;");
		/* windows begin where one asks them to */
		assert_string_equal(
		    windows(f, id, 3 * MINUTE, 9 * MINUTE, 2 * MINUTE, "sum"),
		    "180000:5;300000:7;420000:9;");
		assert_string_equal(
		    windows(f, id, 11 * MINUTE, 19 * MINUTE, MINUTE, "sum"),
		    "");
		must(f, metric_pack(f->m, &f->err));
	}
}

static void
a_percentile_lies_between_the_nearest(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "t", NULL, NULL);

	NEEDS(reads);
	for (int i = 0; i <= 100; i++)
		put(f, id, T0 + (i * 37 % 101) * 1000, i);
	seen(f);
	assert_string_equal(
	    windows(f, id, 0, HOUR, HOUR, "percentile_95 percentile_12"),
	    "0:95,12;");
}

static void
a_counter_may_begin_again(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_COUNTER, "c", NULL, NULL);

	NEEDS(reads);
	put(f, id, T0, 10);
	put(f, id, T0 + 30000, 16);
	put(f, id, T0 + 60000, 20); /* +4, of the second minute */
	put(f, id, T0 + 90000, 5);  /* began again: +5 */
	put(f, id, T0 + 240000, 65);
	seen(f);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(
		    windows(f, id, 0, 5 * MINUTE, MINUTE, "increase rate"),
		    "0:6,0.1;60000:9,0.15;240000:60,1;");
		/* the point before the range counts */
		assert_string_equal(
		    windows(f, id, MINUTE, 2 * MINUTE, MINUTE, "increase"),
		    "60000:9;");
		assert_string_equal(
		    windows(f, id, 0, 30000, 30000, "increase count"),
		    "0:nan,1;");
		must(f, metric_pack(f->m, &f->err));
	}
}

static void
bad_queries_are_refused(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "t", NULL, NULL);
	uint32_t text =
	    subject->texts ? series(f, METRIC_TEXT, "s", NULL, NULL) : 0;
	struct metric_fn fn = { METRIC_MEAN, 0 };
	struct metric_query q = { id, T0, T0 + 10, 1, &fn, 1 };
	struct metric_windows w;
	struct metric_query bad;

#define REFUSED(change, code)                                                  \
	bad = q;                                                               \
	bad.change;                                                            \
	assert_int_equal(                                                      \
	    metric_windows(f->m, &bad, &f->arena, &w, &f->err), code)

	REFUSED(series = 77, ERR_NOT_FOUND);
	if (subject->texts) {
		REFUSED(series = text, ERR_PARAM);
	}
	REFUSED(step = 0, ERR_PARAM);
	REFUSED(to = T0, ERR_PARAM);
	REFUSED(from = -1, ERR_PARAM);
	REFUSED(n_fns = 0, ERR_PARAM);
	REFUSED(to = T0 + METRIC_WINDOWS_MAX + 1, ERR_LIMIT);
	fn.func = METRIC_RATE;
	REFUSED(step = 1, ERR_PARAM);
	fn = (struct metric_fn){ METRIC_PERCENTILE, 101 };
	REFUSED(step = 1, ERR_PARAM);
	assert_false(metric_fn_parse(STR("percentile_101"), &fn));
	assert_false(metric_fn_parse(STR("percentile_"), &fn));
	assert_false(metric_fn_parse(STR("avg"), &fn));
	assert_true(metric_fn_parse(STR("percentile_99.9"), &fn));
	assert_true(fn.percent == 99.9);
}

/* Points that an engine packs in several portions say the same as all at once,
 * whatever was late. */
static void
what_is_late_or_in_portions_counts_the_same(void **state)
{
	struct fixture *f = *state;
	uint32_t in_order = series(f, METRIC_COUNTER, "a", NULL, NULL);
	uint32_t in_parts = series(f, METRIC_COUNTER, "b", NULL, NULL);
	static const char all[] = "mean min max sum count first last increase";
	enum { N = 3000 };
	char *one;

	NEEDS(tiers);
	for (int i = 0; i < N; i++)
		put(f, in_order, T0 + i * 10 * MINUTE / 7, (i * 31) % 977);
	must(f, metric_pack(f->m, &f->err));
	for (int part = 0; part < 7; part++) {
		/* every seventh, then those beside; some twice */
		for (int i = part * 4 % 7; i < N; i += 7)
			put(f, in_parts, T0 + i * 10 * MINUTE / 7,
			    i % 2 ? (i * 31) % 977 : 5000);
		must(f, metric_pack(f->m, &f->err));
		for (int i = part * 4 % 7; i < N; i += 7)
			if (i % 2 == 0)
				put(f, in_parts, T0 + i * 10 * MINUTE / 7,
				    (i * 31) % 977);
		if (part % 3 == 0)
			must(f, metric_pack(f->m, &f->err));
	}
	for (int round = 0; round < 2; round++) {
		one = str_dupz(str_of(
		    windows(f, in_order, -DAY, 6 * (int64_t)DAY, HOUR, all)));
		assert_string_equal(
		    windows(f, in_parts, -DAY, 6 * (int64_t)DAY, HOUR, all),
		    one);
		free(one);
		one = str_dupz(str_of(windows(f, in_order, -DAY + 7,
		    6 * (int64_t)DAY, 3 * HOUR + 1, all)));
		assert_string_equal(windows(f, in_parts, -DAY + 7,
					6 * (int64_t)DAY, 3 * HOUR + 1, all),
		    one);
		free(one);
		must(f, metric_pack(f->m, &f->err));
	}
}

/* --- tiers --------------------------------------------------------------- */

static void
put_days(struct fixture *f, uint32_t id, int days)
{
	for (int64_t t = 0; t < days * (int64_t)DAY; t += MINUTE / 2)
		put(f, id, T0 + t, (double)(t / MINUTE % 1440));
}

static void
hours_answer_for_hours(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "t", NULL, NULL);
	struct metric_windows w;

	NEEDS(tiers);
	put_days(f, id, 3);
	must(f, metric_pack(f->m, &f->err));
	w = ask(f, id, T0, T0 + 3 * (int64_t)DAY, HOUR, "mean count");
	assert_int_equal(w.tier, METRIC_HOUR);
	assert_int_equal(w.n, 72);
	for (size_t i = 0; i < w.n; i++) {
		assert_true(fabs(w.values[2 * i] - (double)(i % 24 * 60) -
				29.5) < 1e-9);
		assert_true(w.values[2 * i + 1] == 120);
	}
	w = ask(f, id, T0 + DAY, T0 + 2 * (int64_t)DAY, 3 * HOUR,
	    "first last min max");
	assert_int_equal(w.tier, METRIC_HOUR);
	assert_int_equal(w.n, 8);
	assert_true(w.values[4] == 180 && w.values[5] == 359);
	assert_true(w.values[6] == 180 && w.values[7] == 359);
	w = ask(f, id, T0 + MINUTE, T0 + DAY, HOUR, "mean");
	assert_int_equal(w.tier, METRIC_RAW);
	w = ask(f, id, T0, T0 + DAY, HOUR, "median");
	assert_int_equal(w.tier, METRIC_RAW);

	/* what is new, or late, shows at once */
	put(f, id, T0 + 90 * MINUTE + 1, 1000000);
	assert_string_equal(windows(f, id, 0, 3 * HOUR, HOUR, "max count"),
	    "0:59,120;3600000:1000000,121;7200000:179,120;");
	put(f, id, T0 + 150 * MINUTE, 2000000); /* in the place of another */
	assert_string_equal(
	    windows(f, id, 2 * HOUR, 3 * HOUR, HOUR, "max count"),
	    "7200000:2000000,120;");
	must(f, metric_pack(f->m, &f->err));
	w = ask(f, id, T0, T0 + 3 * HOUR, HOUR, "max count");
	assert_int_equal(w.tier, METRIC_HOUR);
	assert_true(w.values[2] == 1000000 && w.values[3] == 121);
	assert_true(w.values[4] == 2000000 && w.values[5] == 120);
}

static void
old_points_become_minutes_then_hours_then_nothing(void **state)
{
	struct fixture *f = *state;
	uint32_t id, text;
	struct metric_windows w;
	struct metric_point p;
	const int64_t now = T0 + 20 * (int64_t)DAY;

	NEEDS(tiers);
	f->set.keep_raw = 5 * (int64_t)DAY;
	f->set.keep_minute = 10 * (int64_t)DAY;
	f->set.keep_hour = 15 * (int64_t)DAY;
	reopen(f);
	id = series(f, METRIC_COUNTER, "t", NULL, NULL);
	text = series(f, METRIC_TEXT, "s", NULL, NULL);
	put_text(f, text, T0, "old");
	put_days(f, id, 20);
	must(f, metric_pack(f->m, &f->err));
	must(f, metric_clean(f->m, now, &f->err));

	/* blocks of 16384 points are nearly six days */
	assert_string_equal(points(f, id, 0, 11 * (int64_t)DAY), "");
	w = ask(f, id, now - DAY, now, MINUTE, "count");
	assert_int_equal(w.tier, METRIC_RAW);
	assert_int_equal(w.n, 1440);
	w = ask(f, id, now - 9 * (int64_t)DAY, now - 8 * (int64_t)DAY, MINUTE,
	    "count mean increase");
	assert_int_equal(w.tier, METRIC_MINUTE);
	assert_int_equal(w.n, 1440);
	assert_true(w.values[3] == 2 && w.values[4] == 1);
	assert_true(w.values[5] == 1);
	w = ask(f, id, now - 12 * (int64_t)DAY, now - 11 * (int64_t)DAY, MINUTE,
	    "count");
	assert_int_equal(w.tier, METRIC_HOUR);
	assert_int_equal(w.n, 24);
	/* over all tiers each point counts once */
	w = ask(f, id, now - 15 * (int64_t)DAY, now, DAY, "count");
	assert_int_equal(w.n, 15);
	for (size_t i = 0; i < w.n; i++)
		assert_true(w.values[i] == 2880);
	w = ask(
	    f, id, now - 14 * (int64_t)DAY, now, 3 * HOUR + MINUTE, "count");
	assert_true(w.n >= 111);

	/* one that is very late counts in its hour, once */
	put(f, id, now - 12 * (int64_t)DAY + 1, 7);
	for (int i = 0; i < 3; i++) {
		w = ask(f, id, now - 12 * (int64_t)DAY,
		    now - 12 * (int64_t)DAY + HOUR, HOUR, "count");
		assert_true(w.values[0] == 121);
		if (i == 0)
			must(f, metric_pack(f->m, &f->err));
		else
			must(f, metric_clean(f->m, now, &f->err));
	}
	/* a series that says nothing any more keeps its last block */
	assert_string_equal(points(f, text, 0, 10), "0=old;");
	must(f, metric_clean(f->m, now + 100 * (int64_t)DAY, &f->err));
	w = ask(f, id, T0, now, DAY, "count");
	assert_int_equal(w.n, 0);
	must(f, metric_last(f->m, id, &f->arena, &p, &f->err));
	assert_int_equal(p.at, now - MINUTE / 2);
}

/* --- many at once -------------------------------------------------------- */

struct writer {
	struct fixture *f;
	uint32_t id;
	int number;
	pthread_t thread;
};

#define PER_WRITER 20000

static void *
write_many(void *arg)
{
	struct writer *w = arg;
	struct metric_point p[20];
	struct err err;

	for (int i = 0; i < PER_WRITER; i += 20) {
		for (int k = 0; k < 20; k++)
			p[k] = (struct metric_point){ w->id,
				T0 + (i + k) * 4 + w->number, w->number,
				STR_NULL };
		while (metric_write(w->f->m, p, 20, NULL, &err) == ERR_AGAIN)
			usleep(1000);
	}
	return NULL;
}

static void
many_threads_write_read_and_pack(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "t", NULL, NULL);
	struct writer w[4];
	struct metric_windows a;

	f->set.buffer_points = subject->tiers ? 5000 : 100000;
	reopen(f);
	id = series(f, METRIC_GAUGE, "t", NULL, NULL);
	for (int i = 0; i < 4; i++) {
		w[i] = (struct writer){ f, id, i, 0 };
		pthread_create(&w[i].thread, NULL, write_many, &w[i]);
	}
	for (int i = 0; subject->tiers && i < 50; i++) {
		double last = -1;

		a = ask(f, id, T0, T0 + DAY, DAY, "count");
		if (a.n > 0) {
			assert_true(a.values[0] >= last);
			last = a.values[0];
		}
	}
	for (int i = 0; i < 4; i++)
		pthread_join(w[i].thread, NULL);
	seen(f);
	NEEDS(reads);
	for (int i = 0; i < 2; i++) {
		a = ask(f, id, T0, T0 + DAY, DAY, "count sum");
		assert_true(a.values[0] == 4 * PER_WRITER);
		assert_true(a.values[1] == 6 * PER_WRITER);
		must(f, metric_pack(f->m, &f->err));
	}
}

static void
closing_nothing_is_harmless(void **state)
{
	(void)state;
	metric_close(NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct subject subjects[] = {
		{ &metric_sqlite, NULL, true, true, true, true, true, NULL },
		{ &metric_void, NULL, false, false, false, true, true, NULL },
		{ &metric_ring, NULL, true, false, false, true, true, NULL },
		{ &metric_influx, NULL, true, true, false, true, true,
		    test_influx_start },
		{ &metric_influx, "victoria", true, true, false, false, false,
		    test_victoria_start },
	};
	const struct CMUnitTest tests[] = {
		T(a_series_has_one_number_however_its_labels_are_given),
		T(bad_series_are_refused),
		T(series_are_limited),
		T(series_are_found_by_matchers),
		T(a_deleted_series_is_gone_and_its_number_too),
		T(points_come_back_by_time),
		T(the_last_written_of_a_time_counts),
		T(texts_and_states_come_back),
		T(bad_points_are_left_out_and_counted),
		T(numbers_come_back_bit_by_bit),
		T(numbers_come_back_nearly_at_least),
		T(names_and_labels_may_be_odd),
		T(a_visitor_may_end_the_reading),
		T(the_last_point_is_the_one_with_the_largest_time),
		T(every_write_is_told_as_committed_once),
		T(a_restart_loses_and_doubles_nothing),
		T(windows_say_what_their_points_say),
		T(a_percentile_lies_between_the_nearest),
		T(a_counter_may_begin_again),
		T(bad_queries_are_refused),
		T(what_is_late_or_in_portions_counts_the_same),
		T(hours_answer_for_hours),
		T(old_points_become_minutes_then_hours_then_nothing),
		T(many_threads_write_read_and_pack),
		T(closing_nothing_is_harmless),
	};
	int failed = 0;

	for (size_t i = 0; i < COUNT_OF(subjects); i++) {
		const char *name;

		subject = &subjects[i];
		name =
		    subject->name == NULL ? subject->ops->name : subject->name;
		if (subject->start != NULL && !subject->start(&server)) {
			print_message("no %s here: not tested\n", name);
			continue;
		}
		print_message("engine %s\n", name);
		failed += cmocka_run_group_tests_name(name, tests, NULL, NULL);
		test_influx_stop(&server);
	}
	return failed;
}

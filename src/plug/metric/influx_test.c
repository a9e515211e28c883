/*
 * plug/metric/influx_test.c - what is said to an InfluxDB, word by word, to a
 * double that writes it down and answers what the test says; and what happens
 * when the server is away, refuses, or has enough.
 */
#include "plug/metric/metric.h"
#include "plug/metric/ops.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define T0 1700000000000

/* --- the double ---------------------------------------------------------- */

#define ANSWERS_MAX 8

struct answer {
	const char *head; /* "204 No Content", with more headers behind */
	const char *body;
};

struct server {
	int listener, port;
	pthread_t thread;
	pthread_mutex_t lock;
	struct buf heard; /* requests: first line, Authorization, body */
	struct answer next[ANSWERS_MAX]; /* then 204 for ever */
	size_t n_next;
	atomic_int conns; /* that are served */
};

static const char *
header_of(const char *head, const char *name)
{
	const char *at = strcasestr(head, name);

	return at == NULL ? "" : at + strlen(name);
}

static void
note_request(struct server *s, char *head, const char *body)
{
	char *line = strndup(head, strcspn(head, "\r"));
	const char *auth = header_of(head, "\r\nAuthorization: ");

	*strstr(line, " HTTP/") = '\0';
	buf_addf(&s->heard, "%s\n", line);
	if (*auth != '\0')
		buf_addf(&s->heard, "%.*s\n", (int)strcspn(auth, "\r"), auth);
	buf_addf(&s->heard, "%s\n", body);
	free(line);
}

/* One request and its answer; false when the connection is over. */
static bool
serve_one(struct server *s, int fd)
{
	struct answer a = { "204 No Content", "" };
	struct buf in = { 0 }, out = { 0 };
	char part[4096], *end;
	size_t head, body;
	ssize_t n;

	for (;;) {
		end = in.len == 0 ? NULL : strstr(buf_z(&in), "\r\n\r\n");
		if (end != NULL) {
			head = (size_t)(end - in.ptr) + 4;
			body =
			    strtoul(header_of(in.ptr, "\r\nContent-Length: "),
				NULL, 10);
			if (in.len >= head + body)
				break;
		}
		n = read(fd, part, sizeof(part));
		if (n <= 0) {
			buf_free(&in);
			return false;
		}
		buf_add(&in, part, (size_t)n);
	}
	pthread_mutex_lock(&s->lock);
	note_request(s, in.ptr, in.ptr + head);
	if (s->n_next > 0) {
		a = s->next[0];
		memmove(s->next, s->next + 1, sizeof(a) * --s->n_next);
	}
	pthread_mutex_unlock(&s->lock);
	buf_addf(&out, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", a.head,
	    strlen(a.body), a.body);
	n = write(fd, out.ptr, out.len);
	buf_free(&in);
	buf_free(&out);
	return n > 0;
}

static void *
serve_conn(void *arg)
{
	struct server *s = ((void **)arg)[0];
	int fd = (int)(intptr_t)((void **)arg)[1];

	free(arg);
	while (serve_one(s, fd))
		;
	close(fd);
	atomic_fetch_sub(&s->conns, 1);
	return NULL;
}

static void *
serve(void *arg)
{
	struct server *s = arg;
	int fd;

	while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
		void **both = mem_array(2, sizeof(void *));
		pthread_t t;

		both[0] = s;
		both[1] = (void *)(intptr_t)fd;
		atomic_fetch_add(&s->conns, 1);
		assert_int_equal(pthread_create(&t, NULL, serve_conn, both), 0);
		pthread_detach(t);
	}
	return NULL;
}

static void
server_start(struct server *s, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	socklen_t len = sizeof(a);
	int on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(
	    bind(s->listener, (struct sockaddr *)(void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->listener, 8), 0);
	getsockname(s->listener, (struct sockaddr *)(void *)&a, &len);
	s->port = ntohs(a.sin_port);
	pthread_mutex_init(&s->lock, NULL);
	pthread_create(&s->thread, NULL, serve, s);
}

static void
server_stop(struct server *s)
{
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
}

/* --- the fixture --------------------------------------------------------- */

struct fixture {
	struct server *server;
	struct metric *m;
	struct metric_settings set;
	struct err err;
	struct arena arena;
	struct buf text;
	char dir[32];
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
	must(f,
	    metric_open_ops(&metric_influx, &f->set, f->dir, &f->m, &f->err));
}

static int
set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	strcpy(f->dir, "/tmp/metric-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	/* connections may outlive the test: this is not freed before the end */
	f->server = mem_new(struct server);
	server_start(f->server, 0);
	f->set = (struct metric_settings){
		.max_series = 1000,
		.queue_bytes = 2000,
		.timeout = 3000,
		.url = arena_printf(
		    &f->arena, "http://127.0.0.1:%d", f->server->port),
		.token = STR("secret"),
		.organization = STR("my org"),
		.bucket = STR("b&c"),
		.database = STR("db"),
	};
	*state = f;
	reopen(f);
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	char *rm = mem_printf("rm -r %s", f->dir);

	metric_close(f->m);
	server_stop(f->server);
	if (system(rm) != 0)
		print_error("%s stays\n", f->dir);
	free(rm);
	arena_fini(&f->arena);
	buf_free(&f->text);
	for (int i = 0; i < 60000 && atomic_load(&f->server->conns) > 0; i++)
		usleep(1000); /* its connections end by themselves */
	assert_int_equal(atomic_load(&f->server->conns), 0);
	buf_free(&f->server->heard);
	free(f->server);
	free(f);
	return 0;
}

static uint32_t
series(struct fixture *f, enum metric_kind kind, const char *name,
    const char *value)
{
	struct metric_label l[] = { { STR("room"), str_of(value) },
		{ STR("a b"), STR("c,d=\"e\"") } };
	uint32_t id;

	must(f,
	    metric_series(f->m, kind, str_of(name), l,
		value == NULL ? 0 : COUNT_OF(l), &id, &f->err));
	return id;
}

static void
put(struct fixture *f, uint32_t id, int64_t at, double value)
{
	struct metric_point p = { id, at, value, STR_NULL };

	must(f, metric_write(f->m, &p, 1, NULL, &f->err));
}

static void
answer(struct fixture *f, const char *head, const char *body)
{
	pthread_mutex_lock(&f->server->lock);
	f->server->next[f->server->n_next++] = (struct answer){ head, body };
	pthread_mutex_unlock(&f->server->lock);
}

/* What the server heard since the last call. */
static const char *
heard(struct fixture *f)
{
	pthread_mutex_lock(&f->server->lock);
	buf_clear(&f->text);
	buf_add(&f->text, f->server->heard.ptr, f->server->heard.len);
	buf_clear(&f->server->heard);
	pthread_mutex_unlock(&f->server->lock);
	return buf_z(&f->text);
}

/* --- version 2 ----------------------------------------------------------- */

static void
points_are_lines_of_mycontroller(void **state)
{
	struct fixture *f = *state;
	struct metric_point p[4] = {
		{ series(f, METRIC_GAUGE, "field", "bath"), T0, 21.5,
		    STR_NULL },
		{ series(f, METRIC_COUNTER, "used", NULL), T0 + 1, 3,
		    STR_NULL },
		{ series(f, METRIC_BINARY, "field", NULL), T0 + 2, 7,
		    STR_NULL },
		{ series(f, METRIC_TEXT, "say", NULL), T0 + 3, 0,
		    STR("a \"b\"") },
	};

	must(f, metric_write(f->m, p, 4, NULL, &f->err));
	must(f, metric_flush(f->m, &f->err));
	assert_string_equal(heard(f),
	    "POST /api/v2/write?org=my+org&bucket=b%26c&precision=ms\n"
	    "Token secret\n"
	    "mc_gauge_float_data,a\\ b=c\\,d\\=\"e\",room=bath value=21.5 "
	    "1700000000000\n"
	    "mc_counter_data,__name__=used value=3 1700000000001\n"
	    "mc_binary_data value=1i 1700000000002\n"
	    "mc_string_data,__name__=say value=\"a \\\"b\\\"\" "
	    "1700000000003\n\n");
}

static bool
note(void *ctx, const struct metric_point *p, size_t n)
{
	struct fixture *f = ctx;

	for (size_t i = 0; i < n; i++)
		buf_addf(&f->text, "%d=%g;", (int)(p[i].at - T0), p[i].value);
	return true;
}

static void
points_are_read_by_flux(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "t", NULL);

	(void)series(f, METRIC_GAUGE, "t", "$x");
	answer(f, "200 OK",
	    "#datatype,string,long,dateTime:RFC3339,double\r\n"
	    "#group,false,false,false,false\r\n"
	    "#default,_result,,,\r\n"
	    ",result,table,_time,_value\r\n"
	    ",,0,2023-11-14T22:13:20.001Z,1.5\r\n"
	    ",,0,2023-11-14T22:13:20.002Z,-2\r\n\r\n");
	buf_clear(&f->text);
	must(f, metric_read(f->m, id, T0, T0 + 1000, note, f, &f->err));
	assert_string_equal(buf_z(&f->text), "1=1.5;2=-2;");
	assert_string_equal(heard(f),
	    "POST /api/v2/query?org=my+org\n"
	    "Token secret\n"
	    "from(bucket: \"b&c\")\n"
	    "  |> range(start: 2023-11-14T22:13:20.000Z, stop: "
	    "2023-11-14T22:13:21.000Z)\n"
	    "  |> filter(fn: (r) => r._measurement == "
	    "\"mc_gauge_float_data\" and r._field == \"value\" and "
	    "r[\"__name__\"] == \"t\" and not exists r[\"a b\"] and not "
	    "exists r[\"room\"])\n"
	    "  |> group()\n"
	    "  |> sort(columns: [\"_time\"], desc: false)\n"
	    "  |> limit(n: 10000)\n"
	    "  |> keep(columns: [\"_time\", \"_value\"])\n\n");
}

static void
windows_are_asked_for_by_flux(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "field", NULL);
	const struct metric_fn fns[] = { { METRIC_MEAN, 0 },
		{ METRIC_MAX, 0 } };
	struct metric_query q = { id, T0, T0 + 120000, 60000, fns, 2 };
	struct metric_windows w;

	answer(f, "200 OK",
	    "#datatype,string,long,dateTime:RFC3339,double\r\n"
	    ",result,table,_time,_value\r\n"
	    ",mean,0,2023-11-14T22:13:20Z,1.5\r\n"
	    ",mean,0,2023-11-14T22:14:20Z,2.5\r\n\r\n"
	    "#datatype,string,long,dateTime:RFC3339,double\r\n"
	    ",result,table,_time,_value\r\n"
	    ",max,0,2023-11-14T22:13:20Z,3\r\n"
	    ",max,0,2023-11-14T22:14:20Z,4\r\n\r\n");
	must(f, metric_windows(f->m, &q, &f->arena, &w, &f->err));
	assert_int_equal(w.n, 2);
	assert_int_equal(w.at[1], T0 + 60000);
	assert_true(w.values[0] == 1.5 && w.values[1] == 3);
	assert_true(w.values[2] == 2.5 && w.values[3] == 4);
	assert_string_equal(heard(f),
	    "POST /api/v2/query?org=my+org\n"
	    "Token secret\n"
	    "data = from(bucket: \"b&c\")\n"
	    "  |> range(start: 2023-11-14T22:13:20.000Z, stop: "
	    "2023-11-14T22:15:20.000Z)\n"
	    "  |> filter(fn: (r) => r._measurement == "
	    "\"mc_gauge_float_data\" and r._field == \"value\" and not "
	    "exists r[\"__name__\"])\n"
	    "  |> group()\n"
	    "  |> sort(columns: [\"_time\"])\n"
	    "data |> aggregateWindow(every: 60000ms, offset: 20000ms, fn: "
	    "mean, createEmpty: false, timeSrc: \"_start\") |> yield(name: "
	    "\"mean\")\n"
	    "data |> aggregateWindow(every: 60000ms, offset: 20000ms, fn: "
	    "max, createEmpty: false, timeSrc: \"_start\") |> yield(name: "
	    "\"max\")\n\n");
}

static void
a_series_is_deleted_alone_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	uint32_t bare = series(f, METRIC_GAUGE, "t", NULL);
	uint32_t bath = series(f, METRIC_GAUGE, "t", "bath");

	/* the server's API can not tell `t` from `t` with labels */
	assert_int_equal(metric_delete(f->m, bare, &f->err), ERR_DENIED);
	assert_string_equal(heard(f), "");
	must(f, metric_delete(f->m, bath, &f->err));
	assert_string_equal(heard(f),
	    "POST /api/v2/delete?org=my+org&bucket=b%26c\n"
	    "Token secret\n"
	    "{\"start\":\"1970-01-01T00:00:00Z\","
	    "\"stop\":\"2200-01-01T00:00:00Z\","
	    "\"predicate\":\"_measurement=\\\"mc_gauge_float_data\\\" AND "
	    "\\\"__name__\\\"=\\\"t\\\" AND \\\"a "
	    "b\\\"=\\\"c,d=\\\\\\\"e\\\\\\\"\\\" AND "
	    "\\\"room\\\"=\\\"bath\\\"\"}\n");
	must(f, metric_delete(f->m, bare, &f->err));
}

/* --- version 1 ----------------------------------------------------------- */

static void
version_1_is_spoken_to_in_its_own_way(void **state)
{
	struct fixture *f = *state;
	uint32_t id;

	f->set.organization = STR_NULL;
	f->set.token = STR_NULL;
	f->set.username = STR("u");
	f->set.password = STR("p");
	reopen(f);
	id = series(f, METRIC_GAUGE, "field", "it's");
	put(f, id, T0, 1);
	must(f, metric_flush(f->m, &f->err));
	assert_string_equal(heard(f),
	    "POST /write?db=db&precision=ms\n"
	    "Basic dTpw\n"
	    "mc_gauge_float_data,a\\ b=c\\,d\\=\"e\",room=it's value=1 "
	    "1700000000000\n\n");
	answer(f, "200 OK",
	    "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\","
	    "\"columns\":[\"time\",\"value\"],"
	    "\"values\":[[1700000000001,2.5]]}]}]}");
	buf_clear(&f->text);
	must(f, metric_read(f->m, id, T0, T0 + 9, note, f, &f->err));
	assert_string_equal(buf_z(&f->text), "1=2.5;");
	assert_non_null(strstr(heard(f),
	    "q=SELECT+%22value%22+FROM+%22mc_gauge_float_data%22+WHERE+"
	    "time+%3E%3D+1700000000000ms+AND+time+%3C+1700000000009ms+AND+"
	    "%22__name__%22%3D%27%27+AND+%22a+b%22%3D%27c%2Cd%3D%22e%22%27+"
	    "AND+%22room%22%3D%27it%5C%27s%27+ORDER+BY+time+ASC+"
	    "LIMIT+10000"));
}

static int
with_labels(struct fixture *f, size_t n, const char *first)
{
	struct metric_label l[METRIC_LABELS_MAX];
	uint32_t id;

	for (size_t i = 0; i < n; i++)
		l[i] = (struct metric_label){ i == 0
			    ? str_of(first)
			    : arena_printf(&f->arena, "l%zu", i),
			STR("x") };
	return metric_series(f->m, METRIC_GAUGE, STR("t"), l, n, &id, &f->err);
}

static void
labels_that_it_would_not_keep_are_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(with_labels(f, 1, "time"), ERR_PARAM);
	assert_int_equal(with_labels(f, METRIC_LABELS_MAX, "l0"), 0);
	f->set.version = METRIC_INFLUX_VICTORIA;
	reopen(f);
	assert_int_equal(with_labels(f, 1, "time"), 0);
	assert_int_equal(with_labels(f, 29, "l0"), 0);
	assert_int_equal(with_labels(f, 30, "l0"), ERR_PARAM);
	assert_non_null(strstr(f->err.text, "29 labels"));
}

/* --- a server that is away, refuses, has enough -------------------------- */

static void
what_fails_is_sent_again(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "field", NULL);
	static const char line[] =
	    "POST /api/v2/write?org=my+org&bucket=b%26c&precision=ms\n"
	    "Token secret\n"
	    "mc_gauge_float_data value=1 1700000000000\n\n";
	char all[3 * sizeof(line)];

	answer(f, "503 Service Unavailable", "busy");
	answer(f, "429 Too Many Requests\r\nRetry-After: 1", "slow down");
	put(f, id, T0, 1);
	must(f, metric_flush(f->m, &f->err));
	snprintf(all, sizeof(all), "%s%s%s", line, line, line);
	assert_string_equal(heard(f), all);
}

static void
a_missing_bucket_is_made(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "field", NULL);

	answer(f, "404 Not Found", "{\"message\":\"bucket not found\"}");
	answer(f, "200 OK", "{\"links\":{},\"orgs\":[{\"id\":\"0f\"}]}");
	answer(f, "201 Created", "{}");
	put(f, id, T0, 1);
	must(f, metric_flush(f->m, &f->err));
	assert_string_equal(heard(f),
	    "POST /api/v2/write?org=my+org&bucket=b%26c&precision=ms\n"
	    "Token secret\n"
	    "mc_gauge_float_data value=1 1700000000000\n\n"
	    "GET /api/v2/orgs?org=my+org\n"
	    "Token secret\n\n"
	    "POST /api/v2/buckets?\n"
	    "Token secret\n"
	    "{\"orgID\":\"0f\",\"name\":\"b&c\",\"retentionRules\":[]}\n"
	    "POST /api/v2/write?org=my+org&bucket=b%26c&precision=ms\n"
	    "Token secret\n"
	    "mc_gauge_float_data value=1 1700000000000\n\n");
}

static void
what_is_refused_is_counted_and_does_not_hold_the_rest(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "field", NULL);
	struct metric_point p[3] = { { id, T0, 1, STR_NULL },
		{ id, T0 + 1, 2, STR_NULL }, { id, T0 + 2, 3, STR_NULL } };
	struct metric_stats s;

	answer(f, "400 Bad Request",
	    "{\"error\":\"partial write: field type conflict dropped=2\"}");
	must(f, metric_write(f->m, p, 3, NULL, &f->err));
	must(f, metric_flush(f->m, &f->err));
	metric_stats(f->m, &s);
	assert_int_equal(s.dropped, 2);
	assert_int_equal(s.waiting, 0);
	put(f, id, T0, 1);
	must(f, metric_flush(f->m, &f->err));
}

static void
a_wrong_token_is_told_and_loses_nothing(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "field", NULL);
	struct metric_stats s;

	for (int i = 0; i < ANSWERS_MAX; i++)
		answer(f, "401 Unauthorized", "{\"message\":\"no\"}");
	put(f, id, T0, 1);
	f->set.timeout = 1000;
	assert_int_equal(metric_flush(f->m, &f->err), ERR_AGAIN);
	metric_stats(f->m, &s);
	assert_int_equal(s.trouble, ERR_DENIED);
	assert_int_equal(s.waiting, 1);
}

static void
a_full_queue_takes_nothing_more(void **state)
{
	struct fixture *f = *state;
	struct metric_point p;
	int taken = 0, port = f->server->port;
	uint32_t id = series(f, METRIC_GAUGE, "field", NULL);
	struct metric_stats s;

	server_stop(f->server);
	f->set.timeout = 500;
	reopen(f);
	p = (struct metric_point){ id, T0, 1, STR_NULL };
	while (metric_write(f->m, &p, 1, NULL, &f->err) == 0) {
		assert_true(++taken < 1000);
		p.at++;
	}
	assert_int_equal(metric_write(f->m, &p, 1, NULL, &f->err), ERR_AGAIN);
	assert_int_equal(metric_flush(f->m, &f->err), ERR_AGAIN);
	/* what was taken outlives a restart, and is sent when it is back */
	reopen(f);
	metric_stats(f->m, &s);
	assert_int_equal(s.waiting, taken);
	metric_close(f->m);
	f->m = NULL;
	server_start(f->server, port);
	f->set.timeout = 3000;
	reopen(f);
	must(f, metric_flush(f->m, &f->err));
	metric_stats(f->m, &s);
	assert_int_equal(s.waiting, 0);
	assert_int_equal(s.dropped, 0);
}

static void
what_was_sent_is_not_sent_again_after_a_restart(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f, METRIC_GAUGE, "field", NULL);

	put(f, id, T0, 1);
	must(f, metric_flush(f->m, &f->err));
	(void)heard(f);
	for (int i = 2; i < 4; i++) {
		char said[200];

		reopen(f);
		put(f, id, T0, i);
		must(f, metric_flush(f->m, &f->err));
		snprintf(said, sizeof(said),
		    "POST /api/v2/write?org=my+org&bucket=b%%26c&precision=ms\n"
		    "Token secret\n"
		    "mc_gauge_float_data value=%d 1700000000000\n\n",
		    i);
		assert_string_equal(heard(f), said);
	}
}

/* --- VictoriaMetrics ----------------------------------------------------- */

#define BORN(s) "vm_app_start_timestamp " s "\nvm_app_uptime_seconds 9\n"
#define VICTORIA_ASKED "GET /metrics?\nBearer secret\n\n"
#define VICTORIA_SENT                                                          \
	"POST /write?db=db&precision=ms\nBearer secret\n"                      \
	"mc_gauge_float_data,a\\ b=c\\,d\\=\"e\",room=x\\\\y t=1 "             \
	"1700000000000\n\n"

/* Waits until the server has heard as much. */
static void
hears(struct fixture *f, const char *what)
{
	struct buf all = { 0 };

	for (int i = 0; i < 12000 && all.len < strlen(what); i++) {
		usleep(5000);
		buf_addz(&all, heard(f));
	}
	assert_string_equal(buf_z(&all), what);
	buf_free(&all);
}

static uint32_t
to_victoria(struct fixture *f, int64_t hold)
{
	f->set.version = METRIC_INFLUX_VICTORIA;
	f->set.hold = hold;
	reopen(f);
	return series(f, METRIC_GAUGE, "t", "x\\y");
}

static void
what_it_took_is_held_until_it_is_surely_kept(void **state)
{
	struct fixture *f = *state;
	uint32_t id = to_victoria(f, 100);
	struct metric_stats s;

	answer(f, "200 OK", BORN("77"));
	answer(f, "204 No Content", "");
	answer(f, "200 OK", BORN("77"));
	put(f, id, T0, 1);
	must(f, metric_flush(f->m, &f->err));
	hears(f, VICTORIA_ASKED VICTORIA_SENT VICTORIA_ASKED);
	/* it is not asked or told again, after a restart of ours neither */
	answer(f, "200 OK", BORN("77"));
	reopen(f);
	put(f, id, T0, 1);
	hears(f, VICTORIA_ASKED VICTORIA_SENT);
	metric_stats(f->m, &s);
	assert_int_equal(s.trouble, 0);
}

static void
what_is_held_is_sent_again_to_a_server_that_was_started_anew(void **state)
{
	struct fixture *f = *state;
	uint32_t id = to_victoria(f, 100);
	struct metric_stats s;

	answer(f, "200 OK", BORN("77"));
	answer(f, "204 No Content", "");
	answer(f, "502 Bad Gateway", "");
	answer(f, "200 OK",
	    "vm_app_start_timestamp 99\n"
	    "vm_app_uptime_seconds 1\n"); /* too young */
	answer(f, "200 OK", BORN("99"));
	answer(f, "204 No Content", "");
	answer(f, "200 OK", BORN("99"));
	put(f, id, T0, 1);
	must(f, metric_flush(f->m, &f->err));
	hears(f,
	    VICTORIA_ASKED VICTORIA_SENT VICTORIA_ASKED VICTORIA_ASKED
		VICTORIA_ASKED VICTORIA_SENT VICTORIA_ASKED);
	metric_stats(f->m, &s);
	assert_int_equal(s.waiting, 0);
	assert_int_equal(s.dropped, 0);
}

static void
what_is_held_outlives_a_restart_of_ours(void **state)
{
	struct fixture *f = *state;
	uint32_t id = to_victoria(f, 60000);

	answer(f, "200 OK", BORN("77"));
	answer(f, "204 No Content", "");
	answer(f, "200 OK", BORN("99"));
	put(f, id, T0, 1);
	must(f, metric_flush(f->m, &f->err));
	hears(f, VICTORIA_ASKED VICTORIA_SENT);
	reopen(f);
	hears(f, VICTORIA_ASKED VICTORIA_SENT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(points_are_lines_of_mycontroller),
		T(points_are_read_by_flux),
		T(windows_are_asked_for_by_flux),
		T(a_series_is_deleted_alone_or_not_at_all),
		T(version_1_is_spoken_to_in_its_own_way),
		T(labels_that_it_would_not_keep_are_refused),
		T(what_fails_is_sent_again),
		T(a_missing_bucket_is_made),
		T(what_is_refused_is_counted_and_does_not_hold_the_rest),
		T(a_wrong_token_is_told_and_loses_nothing),
		T(a_full_queue_takes_nothing_more),
		T(what_was_sent_is_not_sent_again_after_a_restart),
		T(what_it_took_is_held_until_it_is_surely_kept),
		T(what_is_held_is_sent_again_to_a_server_that_was_started_anew),
		T(what_is_held_outlives_a_restart_of_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

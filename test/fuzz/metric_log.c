/*
 * test/fuzz/metric_log.c - any bytes as a record of the metric log (libFuzzer).
 *
 * What is taken, put into a record again, comes back the same.
 */
#include "plug/metric/log.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool promise)
{
	if (!promise)
		abort();
}

static void
try_points(struct str in)
{
	struct metric_point p = { 0 }, q = { 0 };
	struct buf list = { 0 }, again = { 0 };
	enum log_type type;
	uint64_t seq;
	struct str rest;
	size_t n;
	struct metric_point *list_p;

	while (log_get_point(&in, &p) == 1) {
		check(p.at >= 0 && p.at < METRIC_TIME_MAX);
		buf_add(&list, &p, sizeof(p));
	}
	n = list.len / sizeof(p);
	list_p = (struct metric_point *)(void *)list.ptr;
	log_put_points(&again, 7, list_p, n);
	rest = buf_str(&again);
	check(
	    log_get_head(&rest, &type, &seq) && type == LOG_POINTS && seq == 7);
	for (size_t i = 0; i < n; i++) {
		check(log_get_point(&rest, &q) == 1);
		check(q.series == list_p[i].series && q.at == list_p[i].at);
		check(memcmp(&q.value, &list_p[i].value, sizeof(double)) == 0);
		check(str_eq(q.text, list_p[i].text));
	}
	check(log_get_point(&rest, &q) == 0);
	buf_free(&list);
	buf_free(&again);
}

static void
try_series(struct str in)
{
	struct metric_series s, t;
	struct arena a = { 0 };
	struct buf again = { 0 };
	enum log_type type;
	uint64_t seq;
	struct str rest;

	if (log_get_series(in, &a, &s)) {
		log_put_series(&again, 9, &s);
		rest = buf_str(&again);
		check(log_get_head(&rest, &type, &seq));
		check(log_get_series(rest, &a, &t));
		check(t.id == s.id && t.kind == s.kind &&
		    str_eq(t.name, s.name) && t.n_labels == s.n_labels);
	}
	buf_free(&again);
	arena_fini(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	enum log_type type;
	uint64_t seq;
	uint32_t id;

	if (!log_get_head(&in, &type, &seq))
		return 0;
	if (type == LOG_POINTS)
		try_points(in);
	else if (type == LOG_SERIES)
		try_series(in);
	else
		(void)log_get_delete(in, &id);
	return 0;
}

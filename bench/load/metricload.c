/*
 * bench/load/metricload.c - the embedded metric engine as a program, for
 * bench/metric.py.
 *
 *     metricload write DIR < LINES      line protocol in, precision s
 *     metricload query DIR FROM TO STEP SERIES ROUNDS    mean over windows
 *
 * ENGINE=void: lines are only read. Prints one JSON object. CPU is user and system time of the whole process:
 * reading, parsing, look-up of the series, log, packing.
 */
#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/lineproto.h"
#include "plug/metric/metric.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BATCH 5000

static struct metric *m;
static struct err err;

static double
cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double
wall(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, err.text);
	exit(1);
}

static void
open_store(const char *dir)
{
	struct metric_settings set = { .path = STR("metric"),
		.sync = getenv("NO_SYNC") == NULL,
		.max_series = 1000000,
		.buffer_points = 1000000 };
	const char *engine = getenv("ENGINE");

	while (engine != NULL && strcmp(metric_engines[set.engine], engine) != 0)
		if (metric_engines[++set.engine] == NULL)
			exit(2);

	if (metric_open(&set, dir, &m, &err) != 0)
		die("open");
}

/* --- write --------------------------------------------------------------- */

struct known {
	struct str key;
	uint32_t id;
};

static struct map series; /* what stands before the fields -> struct known */
static struct metric_point batch[BATCH];
static size_t n_batch;
static uint64_t points;

static void
send_batch(void)
{
	int rc;

	while ((rc = metric_write(m, batch, n_batch, NULL, &err)) == ERR_AGAIN)
		usleep(1000);
	if (rc != 0)
		die("write");
	points += n_batch;
	n_batch = 0;
}

static uint32_t
series_of(const struct lineproto_line *l, struct str key)
{
	struct metric_label label[METRIC_LABELS_MAX];
	struct known *k = map_get(&series, key);

	if (k != NULL)
		return k->id;
	k = mem_new(struct known);
	for (size_t i = 0; i < l->n_tags; i++)
		label[i] = (struct metric_label){ l->tags[i].name,
			l->tags[i].value };
	if (metric_series(m, METRIC_GAUGE, l->measurement, label, l->n_tags,
		&k->id, &err) != 0)
		die("series");
	k->key = str_copy(key);
	(void)map_put(&series, k->key, k);
	return k->id;
}

static void
on_line(void *owner, const struct lineproto_line *l)
{
	const char *begin = l->measurement.ptr;
	struct str key = { begin,
		(size_t)(l->fields[0].name.ptr - begin) };

	(void)owner;
	batch[n_batch++] = (struct metric_point){ series_of(l, key), l->at_ms,
		l->fields[0].number, STR_NULL };
	if (n_batch == BATCH)
		send_batch();
}

static void
on_bad(void *owner, uint64_t number, const char *why)
{
	(void)owner;
	fprintf(stderr, "line %" PRIu64 ": %s\n", number, why);
	exit(1);
}

static void
run_write(void)
{
	static const struct lineproto_events events = { on_line, on_bad };
	static struct lineproto_reader r = { .precision = LINEPROTO_S,
		.events = &events };
	static char part[256 * 1024];
	double begin_cpu = cpu(), begin = wall(), told;
	ssize_t n;

	while ((n = read(0, part, sizeof(part))) > 0)
		lineproto_feed(&r, part, (size_t)n);
	lineproto_end(&r);
	send_batch();
	if (metric_flush(m, &err) != 0)
		die("flush");
	told = wall() - begin;
	metric_close(m); /* packs what is left */
	printf("{\"points\": %" PRIu64 ", \"cpu\": %.4f, \"wall\": %.4f, "
	       "\"committed\": %.4f}\n",
	    points, cpu() - begin_cpu, wall() - begin, told);
}

/* --- query --------------------------------------------------------------- */

static void
run_query(char **arg)
{
	struct metric_fn mean = { METRIC_MEAN, 0 };
	struct metric_query q = { 0, atoll(arg[0]), atoll(arg[1]),
		atoll(arg[2]), &mean, 1 };
	int n = atoi(arg[3]), rounds = atoi(arg[4]);
	double begin_cpu = cpu(), begin = wall(), sum = 0;
	uint64_t windows = 0;
	int tier = 0;

	for (int i = 0; i < rounds; i++)
		for (q.series = 1; q.series <= (uint32_t)n; q.series++) {
			struct metric_windows w;
			struct arena a = { 0 };

			if (metric_windows(m, &q, &a, &w, &err) != 0)
				die("query");
			windows += w.n;
			tier = (int)w.tier;
			for (size_t k = 0; k < w.n; k++)
				sum += w.values[k];
			arena_fini(&a);
		}
	printf("{\"windows\": %" PRIu64 ", \"mean\": %.6f, \"tier\": %d, "
	       "\"cpu\": %.6f, \"wall\": %.6f}\n",
	    windows / (uint64_t)rounds, sum / (double)windows, tier,
	    (cpu() - begin_cpu) / rounds, (wall() - begin) / rounds);
	metric_close(m);
}

int
main(int argc, char **argv)
{
	if (argc >= 3) {
		open_store(argv[2]);
		if (strcmp(argv[1], "write") == 0)
			run_write();
		else if (argc == 8)
			run_query(argv + 3);
		return 0;
	}
	fprintf(stderr, "usage: metricload write|query DIR ...\n");
	return 2;
}

/*
 * test/conformance/metricd.c - a program that writes points until it is killed,
 * and one that says whether what it was told as committed is there.
 *
 *     metricd write DIR FROM sync|fast   points FROM, FROM + 1, ...; prints the
 *                                        number of points committed so far
 *     metricd check DIR UPTO             prints how many there are, or what is
 *                                        wrong
 *     metricd waiting DIR                prints how many wait to be sent (with
 *                                        METRIC_ENGINE=influx)
 *
 * Point i goes to series i % SERIES and has the value i; every seventeenth is
 * late by half the time there is. So each point tells whether it is right.
 */
#include "base/base.h"
#include "base/mem.h"
#include "plug/metric/metric.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERIES 10
#define BATCH 7
#define T0 1700006400000

static struct metric *m;
static struct err err;
static uint32_t id[SERIES];

static void
die(const char *what)
{
	printf("%s: %s\n", what, err.text);
	exit(1);
}

static void
open_store(const char *dir, bool sync)
{
	struct metric_settings set = { .path = STR("metric"),
		.sync = sync,
		.max_series = 100,
		.buffer_points = 3000,
		.queue_bytes = 1 << 30,
		.timeout = 100,
		.url = STR("http://127.0.0.1:1") };
	const char *engine = getenv("METRIC_ENGINE");

	/* nothing answers at that address: its queue keeps everything */
	set.engine = engine != NULL && strcmp(engine, "influx") == 0;

	if (metric_open(&set, dir, &m, &err) != 0)
		die("open");
	for (int i = 0; i < SERIES; i++) {
		char text[16];
		struct metric_label l = { STR("n"), { text, 0 } };

		l.value.len = (size_t)snprintf(text, sizeof(text), "%d", i);
		if (metric_series(m, i == 9 ? METRIC_TEXT : METRIC_COUNTER,
			STR("t"), &l, 1, &id[i], &err) != 0)
			die("series");
	}
}

static int64_t
time_of(int64_t i)
{
	return i % 17 == 0 ? T0 + i * 500 + 1 : T0 + i * 1000;
}

/* --- write --------------------------------------------------------------- */

struct group {
	struct metric_commit commit;
	int64_t upto;
};

static void
on_done(struct metric_commit *c, int rc, const struct err *why)
{
	struct group *g = container_of(c, struct group, commit);
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRId64 "\n", g->upto);

	(void)why;
	if (rc != 0 || write(1, text, (size_t)n) != n)
		_exit(3);
	free(g);
}

static void
run_write(int64_t i)
{
	struct metric_point p[BATCH];
	char text[BATCH][32];

	for (;;) {
		struct group *g = mem_new(struct group);
		int rc;

		g->commit.done = on_done;
		for (int k = 0; k < BATCH; k++, i++) {
			p[k] = (struct metric_point){ id[i % SERIES],
				time_of(i), (double)i, STR_NULL };
			snprintf(text[k], sizeof(text[k]), "%" PRId64, i);
			if (i % SERIES == 9)
				p[k].text = str_of(text[k]);
		}
		g->upto = i;
		while ((rc = metric_write(m, p, BATCH, &g->commit, &err)) ==
		    ERR_AGAIN)
			usleep(1000);
		if (rc != 0)
			die("write");
	}
}

/* --- check --------------------------------------------------------------- */

struct checking {
	int which;
	uint64_t n;
	uint8_t *seen;
	int64_t upto;
};

static bool
check_points(void *ctx, const struct metric_point *p, size_t n)
{
	struct checking *c = ctx;

	for (size_t k = 0; k < n; k++) {
		int64_t i = c->which == 9 ? -1 : (int64_t)p[k].value;

		if (c->which == 9 && !str_to_i64(p[k].text, &i))
			i = -1;
		if (i < 0 || i % SERIES != c->which || p[k].at != time_of(i)) {
			printf("series %d has a point that nobody wrote\n",
			    c->which);
			exit(1);
		}
		if (i < c->upto)
			c->seen[i] = 1;
		c->n++;
	}
	return true;
}

static void
run_check(int64_t upto)
{
	struct checking c = { .seen = mem_array((size_t)upto + 1, 1),
		.upto = upto };
	struct metric_fn count = { METRIC_COUNT, 0 };
	struct arena a = { 0 };
	struct metric_windows w;
	uint64_t all = 0;

	for (c.which = 0; c.which < SERIES; c.which++) {
		struct metric_query q = { id[c.which], T0,
			T0 + INT64_C(2400) * 3600000, 3600000, &count, 1 };
		double sum = 0;

		c.n = 0;
		if (metric_read(m, id[c.which], 0, METRIC_TIME_MAX,
			check_points, &c, &err) != 0)
			die("read");
		all += c.n;
		if (c.which == 9)
			continue;
		if (metric_windows(m, &q, &a, &w, &err) != 0)
			die("windows");
		for (size_t i = 0; i < w.n; i++)
			sum += w.values[i];
		if ((uint64_t)sum != c.n) {
			printf("series %d has %" PRIu64
			       " points, its hours %.0f\n",
			    c.which, c.n, sum);
			exit(1);
		}
	}
	for (int64_t i = 0; i < upto; i++)
		if (!c.seen[i]) {
			printf("point %" PRId64 " of %" PRId64 " is lost\n", i,
			    upto);
			exit(1);
		}
	printf("%" PRIu64 "\n", all);
	arena_fini(&a);
	free(c.seen);
	metric_close(m);
}

/* Of a queue to nowhere: points that wait. */
static void
run_waiting(void)
{
	struct metric_stats s;

	metric_stats(m, &s);
	printf("%" PRIu64 "\n", s.waiting);
	metric_close(m);
}

int
main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "write") == 0) {
		open_store(argv[2], strcmp(argv[4], "sync") == 0);
		run_write(atoll(argv[3]));
	} else if (argc == 4 && strcmp(argv[1], "check") == 0) {
		open_store(argv[2], false);
		run_check(atoll(argv[3]));
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "waiting") == 0) {
		open_store(argv[2], false);
		run_waiting();
		return 0;
	}
	fprintf(stderr, "usage: metricd write|check|waiting DIR ...\n");
	return 2;
}

/*
 * test/fuzz/metric_block.c - any bytes as a block of points or summaries
 * (libFuzzer).
 *
 * What is taken comes by time and, put into a block again, comes back the same.
 */
#include "plug/metric/block.h"
#include "plug/metric/metric.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool promise)
{
	if (!promise)
		abort();
}

static bool
same_number(double a, double b)
{
	/* -0 comes back as 0 */
	return a == 0 ? b == 0 : memcmp(&a, &b, sizeof(a)) == 0;
}

static void
try_points(struct str in, struct arena *a)
{
	struct buf again = { 0 };
	struct points p, q;

	if (block_get_points(in, a, &p, NULL) != 0)
		return;
	for (size_t i = 1; i < p.n; i++)
		check(p.at[i - 1] < p.at[i]);
	if (p.at[0] < 0 || p.at[p.n - 1] >= METRIC_TIME_MAX)
		return;
	block_put_points(&again, &p);
	check(block_get_points(buf_str(&again), a, &q, NULL) == 0);
	check(p.n == q.n && memcmp(p.at, q.at, p.n * sizeof(*p.at)) == 0);
	for (size_t i = 0; i < p.n; i++)
		check(p.text != NULL ? str_eq(p.text[i], q.text[i])
				     : same_number(p.value[i], q.value[i]));
	buf_free(&again);
}

static void
try_rows(struct str in, struct arena *a)
{
	struct buf again = { 0 };
	struct summary *row, *back;
	size_t n, m;

	if (block_get_rows(in, a, &row, &n, NULL) != 0 || row[0].at < 0 ||
	    row[n - 1].at >= METRIC_TIME_MAX)
		return;
	block_put_rows(&again, row, n, true);
	check(block_get_rows(buf_str(&again), a, &back, &m, NULL) == 0);
	check(m == n);
	for (size_t i = 0; i < n; i++)
		check(row[i].at == back[i].at && row[i].n == back[i].n &&
		    same_number(row[i].sum, back[i].sum) &&
		    same_number(row[i].min, back[i].min) &&
		    same_number(row[i].max, back[i].max) &&
		    same_number(row[i].first, back[i].first) &&
		    same_number(row[i].last, back[i].last) &&
		    same_number(row[i].inc, back[i].inc));
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct arena a = { 0 };

	try_points(in, &a);
	try_rows(in, &a);
	arena_fini(&a);
	return 0;
}

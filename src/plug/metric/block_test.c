/*
 * plug/metric/block_test.c - what goes into a block comes out bit by bit.
 */
#include "plug/metric/block.h"
#include "plug/metric/ints.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed;

static uint32_t
any(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(((seed >> 33) * below) >> 31);
}

static double
noise(void) /* about normal, deviation 1 */
{
	double sum = 0;

	for (int i = 0; i < 12; i++)
		sum += any(1 << 20) / (double)(1 << 20);
	return sum - 6;
}

static void
columns_come_back(const int64_t *v, size_t n)
{
	struct buf out = { 0 };
	int64_t *back = mem_array(n + 1, sizeof(*back));
	struct str in;

	ints_put(&out, v, n);
	in = buf_str(&out);
	assert_true(ints_get(&in, back, n));
	assert_int_equal(in.len, 0);
	if (n > 0)
		assert_memory_equal(v, back, n * sizeof(*v));
	free(back);
	buf_free(&out);
}

static void
integers_of_every_shape_come_back(void **state)
{
	static const int64_t edge[] = { INT64_MIN, INT64_MAX, 0, -1, 1,
		INT64_MIN, 63, 64, 65, -64 };
	int64_t v[3000] = { 0 };

	(void)state;
	columns_come_back(v, 0);
	for (size_t n = 1; n <= COUNT_OF(edge); n++)
		columns_come_back(edge, n);
	for (unsigned bits = 0; bits <= 64; bits++) {
		for (size_t i = 0; i < COUNT_OF(v); i++) {
			uint64_t u = (uint64_t)any(1u << 31) << 33 ^
			    (uint64_t)any(1u << 31) << 10 ^ any(1024);

			v[i] = bits == 0 ? 7 : (int64_t)(u >> (64 - bits));
		}
		columns_come_back(v, 50);
		columns_come_back(v, COUNT_OF(v));
	}
	for (size_t i = 0; i < COUNT_OF(v); i++)
		v[i] = (int64_t)i * 60000 - 9;
	columns_come_back(v, COUNT_OF(v));
	for (size_t i = 0; i < COUNT_OF(v); i++)
		v[i] = i == 1500 ? INT64_MAX : (i & 1);
	columns_come_back(v, COUNT_OF(v));
	for (size_t i = 0; i < COUNT_OF(v); i++) /* first token is 1 */
		v[i] = 1 + (int64_t)any(3) * 2;
	columns_come_back(v, COUNT_OF(v));
}

static size_t
points_come_back(struct points *p)
{
	struct buf out = { 0 };
	struct arena a = { 0 };
	struct points back;
	struct err err;
	size_t size;

	block_put_points(&out, p);
	size = out.len;
	if (block_get_points(buf_str(&out), &a, &back, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(back.n, p->n);
	assert_memory_equal(back.at, p->at, p->n * sizeof(*p->at));
	if (p->value != NULL)
		assert_memory_equal(
		    back.value, p->value, p->n * sizeof(*p->value));
	for (size_t i = 0; p->text != NULL && i < p->n; i++)
		assert_true(str_eq(back.text[i], p->text[i]));
	/* a block that is cut is no block */
	for (size_t cut = 0; cut < MIN_OF(size, (size_t)200); cut++)
		assert_int_equal(block_get_points((struct str){ out.ptr, cut },
				     &a, &back, NULL),
		    ERR_PROTO);
	arena_fini(&a);
	buf_free(&out);
	return size;
}

#define N 8192

static void
what_sensors_say_needs_little_room(void **state)
{
	static int64_t at[N];
	static double v[N];
	struct points p = { .n = N, .at = at, .value = v };
	double regular, late;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		at[i] = 1700000000000 + (int64_t)i * 60000;
		v[i] = round((20 + 5 * sin((double)i / 1440 * 6.283) +
				 noise() * .15) *
			   10) /
		    10;
	}
	regular = points_come_back(&p) * 8.0 / N;
	for (size_t i = 0; i < N; i++)
		at[i] += any(20) * 1000;
	late = points_come_back(&p) * 8.0 / N;
	print_message(
	    "bits per point: %.2f, with late ones %.2f\n", regular, late);
	assert_true(regular < 2.95);       /* the noise itself has 2.6 */
	assert_true(late < regular + 4.5); /* 20 places have 4.3 */

	for (size_t i = 0; i < N; i++) {
		at[i] = 1700000000000 + (int64_t)i * 1000;
		v[i] = 1000 + (double)(i / 7);
	}
	assert_true(points_come_back(&p) < N / 8);
	for (size_t i = 0; i < N; i++)
		v[i] = 1;
	assert_true(points_come_back(&p) < 40);
}

static void
numbers_of_every_shape_come_back(void **state)
{
	static const double odd[] = { 0.1, 0.0, 1e300, -1e-300, 5e-324, 1.0 / 3,
		123456789.123, 1e15, 21.299999237060547, -17.5 };
	int64_t at[2000];
	double v[2000];
	struct points p = { .at = at, .value = v };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(at); i++)
		at[i] = (int64_t)(i * i + i);
	for (p.n = 1; p.n <= COUNT_OF(odd); p.n++) {
		memcpy(v, odd, sizeof(odd));
		(void)points_come_back(&p);
	}
	p.n = COUNT_OF(at);
	for (size_t i = 0; i < p.n; i++)
		v[i] = noise();
	(void)points_come_back(&p);
	for (size_t i = 0; i < p.n; i++)
		v[i] = (float)noise();
	assert_true(points_come_back(&p) < p.n * 5);
	for (size_t i = 0; i < p.n; i++) /* few digits, then many */
		v[i] = i < 1000 ? 9e14 : 0.123456789;
	(void)points_come_back(&p);
}

static void
texts_are_kept_once(void **state)
{
	int64_t at[1000];
	struct str text[1000];
	struct points p = { .n = 1000, .at = at, .text = text };

	(void)state;
	for (size_t i = 0; i < p.n; i++) {
		at[i] = (int64_t)i * 1000;
		text[i] = i % 3 == 0 ? STR("on") : STR("off, and for long");
	}
	text[7] = STR("");
	assert_true(points_come_back(&p) < 300);
}

static void
rows_come_back(struct summary *row, size_t n, bool counter, size_t at_most)
{
	struct buf out = { 0 };
	struct arena a = { 0 };
	struct summary *back;
	struct err err;
	size_t m;

	block_put_rows(&out, row, n, counter);
	if (block_get_rows(buf_str(&out), &a, &back, &m, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(m, n);
	for (size_t i = 0; i < n; i++) {
		if (!counter)
			row[i].inc = 0;
		assert_memory_equal(&back[i], &row[i], sizeof(row[i]));
	}
	assert_in_range(out.len, 1, at_most);
	for (size_t cut = 0; cut < out.len; cut++)
		assert_int_equal(block_get_rows((struct str){ out.ptr, cut },
				     &a, &back, &m, NULL),
		    ERR_PROTO);
	arena_fini(&a);
	buf_free(&out);
}

static void
summaries_come_back(void **state)
{
	struct summary row[500];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(row); i++) {
		double v[60], sum = 0, min = 1e9, max = -1e9;

		for (int k = 0; k < 60; k++) {
			v[k] = round((20 + noise() * .2) * 10) / 10;
			sum += v[k];
			min = MIN_OF(min, v[k]);
			max = MAX_OF(max, v[k]);
		}
		row[i] = (struct summary){ (int64_t)i * 3600000, 60, min, max,
			block_round_sum(sum, v, 60), v[0], v[59], max - min };
		row[i].inc = round(row[i].inc * 10) / 10;
	}
	rows_come_back(row, COUNT_OF(row), true, 2000);
	rows_come_back(row, COUNT_OF(row), false, 1700);
	rows_come_back(row, 1, true, 60);
	row[3].sum += 1e-9; /* not short: the bits themselves are kept */
	row[4].min = -1e200;
	rows_come_back(row, COUNT_OF(row), true, 20000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_of_every_shape_come_back),
		cmocka_unit_test(what_sensors_say_needs_little_room),
		cmocka_unit_test(numbers_of_every_shape_come_back),
		cmocka_unit_test(texts_are_kept_once),
		cmocka_unit_test(summaries_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * plug/metric/block.c - see block.h.
 */
#include "plug/metric/block.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/varint.h"
#include "plug/metric/ints.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum type { POINTS = 1, TEXTS, ROWS, COUNTER_ROWS };

/* --- times --------------------------------------------------------------- */

enum time_mode {
	STEPS, /* a column of multiples of a unit */
	GRID,  /* the place on a grid, and how long after it */
};

static uint64_t
gcd(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t t = a % b;

		a = b;
		b = t;
	}
	return a;
}

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

#define GRID_SAMPLE 255

/* A device that is asked every minute and answers a little later is on a grid:
 * differences of its times would hold each lateness twice. Finds the step and
 * where the grid begins; false if the times (multiples of the unit) are on
 * none that is worth it. */
static bool
find_grid(const int64_t *t, size_t n, int64_t *step, int64_t *phase)
{
	int64_t d[GRID_SAMPLE], sum = 0, mid, widest = 0;
	size_t k = MIN_OF(n - 1, (size_t)GRID_SAMPLE), used = 0;

	for (size_t i = 0; i < k; i++)
		d[i] = t[i + 1] - t[i];
	qsort(d, k, sizeof(d[0]), by_size);
	mid = d[k / 2];
	for (size_t i = 0; i < k; i++)
		if (d[i] > mid / 2 && d[i] <= mid + mid / 2) {
			sum += d[i];
			used++;
		}
	if (mid < 4 || used < k / 2)
		return false;
	*step = (sum + (int64_t)used / 2) / (int64_t)used;
	/* people choose round steps */
	for (int64_t round = 60; round >= 5;
	     round = round == 60 ? 10 : round - 5)
		if (*step >= round && llabs(*step % round) * 50 <= *step) {
			*step -= *step % round;
			break;
		} else if (*step >= round &&
		    (round - *step % round) * 50 <= *step) {
			*step += round - *step % round;
			break;
		}

	/* The grid begins behind the widest gap between the latenesses. */
	for (size_t i = 0; i < k; i++)
		d[i] = t[i] % *step;
	qsort(d, k, sizeof(d[0]), by_size);
	*phase = d[0];
	widest = d[0] + *step - d[k - 1];
	for (size_t i = 1; i < k; i++)
		if (d[i] - d[i - 1] > widest) {
			widest = d[i] - d[i - 1];
			*phase = d[i];
		}
	return widest * 4 > *step;
}

static void
put_grid(
    struct buf *out, const int64_t *t, size_t n, int64_t step, int64_t phase)
{
	int64_t *place = mem_array(n, sizeof(*place));
	int64_t *late = mem_array(n, sizeof(*late));

	/* one step earlier, so that nothing is before the grid */
	phase -= step;
	for (size_t i = 0; i < n; i++) {
		place[i] = (t[i] - phase) / step;
		late[i] = (t[i] - phase) % step;
	}
	varint_put(out, (uint64_t)step);
	varint_put(out, zigzag(phase));
	ints_put(out, place, n);
	ints_put(out, late, n);
	free(place);
	free(late);
}

static void
put_times(struct buf *out, const int64_t *at, size_t n)
{
	int64_t *t = mem_array(n, sizeof(*t)), step, phase;
	uint64_t unit = 0;
	size_t begin = out->len;

	for (size_t i = 1; i < n && unit != 1; i++)
		unit = gcd((uint64_t)(at[i] - at[i - 1]), unit);
	unit = unit == 0 ? 1 : unit;
	for (size_t i = 0; i < n; i++)
		t[i] = (at[i] - at[0]) / (int64_t)unit;

	buf_addc(out, STEPS);
	varint_put(out, (uint64_t)at[0]);
	varint_put(out, unit);
	ints_put(out, t, n);
	if (n > 64 && out->len - begin > n / 8 &&
	    find_grid(t, n, &step, &phase)) {
		struct buf grid = { 0 };

		buf_addc(&grid, GRID);
		varint_put(&grid, (uint64_t)at[0]);
		varint_put(&grid, unit);
		put_grid(&grid, t, n, step, phase);
		if (grid.len < out->len - begin) {
			out->len = begin;
			buf_add(out, grid.ptr, grid.len);
		}
		buf_free(&grid);
	}
	free(t);
}

static bool
get_times(struct str *in, int64_t *at, size_t n)
{
	uint64_t first, unit, step, phase;
	int64_t *late;
	bool ok;
	char mode;

	if (in->len == 0)
		return false;
	mode = *in->ptr;
	in->ptr++;
	in->len--;
	if (!varint_get(in, &first) || !varint_get(in, &unit))
		return false;
	if (mode == STEPS) {
		if (!ints_get(in, at, n))
			return false;
	} else if (mode == GRID) {
		if (!varint_get(in, &step) || !varint_get(in, &phase) ||
		    !ints_get(in, at, n))
			return false;
		late = mem_array(n, sizeof(*late));
		ok = ints_get(in, late, n);
		for (size_t i = 0; ok && i < n; i++)
			at[i] = (int64_t)((uint64_t)at[i] * step +
			    (uint64_t)late[i] + (uint64_t)unzigzag(phase));
		free(late);
		if (!ok)
			return false;
	} else {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		at[i] = (int64_t)((uint64_t)at[i] * unit + first);
		if (i > 0 && at[i] <= at[i - 1])
			return false;
	}
	return true;
}

/* --- numbers ------------------------------------------------------------- */

#define DIGITS_MAX 9
#define AS_BITS 0x80 /* and how many low bits are always 0 */

static const double ten[DIGITS_MAX + 1] = { 1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7,
	1e8, 1e9 };

/* The integer that stands for `v` at so many decimal digits, if one does. */
static inline bool
as_decimal(double v, double scale, int64_t *ret)
{
	const double to_integer = 6755399441055744.0; /* 1.5 * 2^52 */
	double d = v * scale, r;

	if (!(fabs(d) < 1e15))
		return false;
	r = (d + to_integer) - to_integer;
	*ret = (int64_t)r;
	return r / scale == v;
}

/* How many digits the numbers have behind the point; DIGITS_MAX + 1: they are
 * no short decimals. */
static unsigned
digits_of(const double *v, size_t n)
{
	unsigned digits = 0;
	int64_t i;

	for (size_t k = 0; k < n; k++)
		while (!as_decimal(v[k], ten[digits], &i))
			if (++digits > DIGITS_MAX)
				return digits;
	return digits;
}

/* Doubles in an order in which neighbours differ little; -0 is 0. */
static int64_t
bits_of(double v)
{
	int64_t i;

	memcpy(&i, &v, sizeof(i));
	return i < 0 ? INT64_MIN - i : i;
}

static double
of_bits(int64_t i)
{
	double v;

	i = i < 0 ? (int64_t)((uint64_t)INT64_MIN - (uint64_t)i) : i;
	memcpy(&v, &i, sizeof(v));
	return v;
}

static void
put_numbers(struct buf *out, const double *v, size_t n)
{
	int64_t *i = mem_array(n, sizeof(*i));
	unsigned digits = digits_of(v, n), low = 63;

	if (digits <= DIGITS_MAX) {
		bool ok = true;

		/* more digits may not suit a large number that came before */
		for (size_t k = 0; ok && k < n; k++)
			ok = as_decimal(v[k], ten[digits], &i[k]);
		if (ok) {
			buf_addc(out, (char)digits);
			ints_put(out, i, n);
			free(i);
			return;
		}
	}
	for (size_t k = 0; k < n; k++) {
		i[k] = bits_of(v[k]);
		if (i[k] != 0)
			low = MIN_OF(
			    low, (unsigned)__builtin_ctzll((uint64_t)i[k]));
	}
	for (size_t k = 0; k < n; k++)
		i[k] >>= low;
	buf_addc(out, (char)(AS_BITS | low));
	ints_put(out, i, n);
	free(i);
}

static bool
get_numbers(struct str *in, double *v, size_t n)
{
	int64_t *i;
	uint8_t mode;
	bool ok;

	if (in->len == 0)
		return false;
	mode = (uint8_t)*in->ptr;
	in->ptr++;
	in->len--;
	i = mem_array(n, sizeof(*i));
	ok = ints_get(in, i, n);
	if (ok && (mode & AS_BITS))
		for (size_t k = 0; k < n; k++)
			v[k] =
			    of_bits((int64_t)((uint64_t)i[k] << (mode & 63)));
	else if (ok && mode <= DIGITS_MAX)
		for (size_t k = 0; k < n; k++)
			v[k] = (double)i[k] / ten[mode];
	else
		ok = false;
	free(i);
	return ok;
}

double
block_round_sum(double sum, const double *v, size_t n)
{
	unsigned digits = digits_of(v, n);
	double ret;

	if (digits > DIGITS_MAX)
		return sum;
	ret = nearbyint(sum * ten[digits]) / ten[digits];
	return fabs(ret - sum) <= fabs(sum) * 1e-9 ? ret : sum;
}

/* --- texts --------------------------------------------------------------- */

/* Devices say the same few words: a block has each text once. */
struct word {
	struct str text;
	int64_t number; /* in order of first use */
	size_t place;   /* of the first use */
};

static int
by_text(const void *a, const void *b)
{
	const struct word *x = a, *y = b;
	int c = str_cmp(x->text, y->text);

	return c != 0 ? c : (x->place > y->place) - (x->place < y->place);
}

static void
put_texts(struct buf *out, const struct str *text, size_t n)
{
	struct word *w = mem_array(n, sizeof(*w));
	int64_t *number = mem_array(n, sizeof(*number)), words = 0;

	for (size_t i = 0; i < n; i++)
		w[i] = (struct word){ text[i], 0, i };
	qsort(w, n, sizeof(*w), by_text);
	for (size_t i = 0; i < n; i++) {
		words += i == 0 || !str_eq(w[i].text, w[i - 1].text);
		number[w[i].place] = words - 1;
	}
	varint_put(out, (uint64_t)words);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || !str_eq(w[i].text, w[i - 1].text)) {
			varint_put(out, w[i].text.len);
			buf_add_str(out, w[i].text);
		}
	ints_put(out, number, n);
	free(number);
	free(w);
}

static bool
get_texts(struct str *in, struct arena *a, struct str *text, size_t n)
{
	uint64_t words, len;
	struct str *word;
	int64_t *number;

	if (!varint_get(in, &words) || words > n)
		return false;
	word = arena_array(a, (size_t)words + 1, struct str);
	for (uint64_t i = 0; i < words; i++) {
		if (!varint_get(in, &len) || len > in->len)
			return false;
		word[i] = arena_str(a, (struct str){ in->ptr, (size_t)len });
		in->ptr += len;
		in->len -= len;
	}
	number = arena_array(a, n, int64_t);
	if (!ints_get(in, number, n))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (number[i] < 0 || (uint64_t)number[i] >= words)
			return false;
		text[i] = word[number[i]];
	}
	return true;
}

/* --- blocks -------------------------------------------------------------- */

void
block_put_points(struct buf *out, const struct points *p)
{
	buf_addc(out, p->text != NULL ? TEXTS : POINTS);
	varint_put(out, p->n);
	put_times(out, p->at, p->n);
	if (p->text != NULL)
		put_texts(out, p->text, p->n);
	else
		put_numbers(out, p->value, p->n);
}

/* Type and number of a block. */
static bool
get_head(struct str *in, enum type *type, size_t *n)
{
	uint64_t count;

	if (in->len == 0)
		return false;
	*type = (enum type) * in->ptr;
	in->ptr++;
	in->len--;
	if (!varint_get(in, &count) || count == 0 || count > BLOCK_POINTS_MAX)
		return false;
	*n = (size_t)count;
	return true;
}

int
block_get_points(
    struct str in, struct arena *a, struct points *ret, struct err *err)
{
	struct points p = { 0 };
	enum type type;
	bool ok;

	if (!get_head(&in, &type, &p.n) || (type != POINTS && type != TEXTS))
		return err_set(err, ERR_PROTO, "a broken block");
	p.cap = p.n;
	p.at = arena_array(a, p.n, int64_t);
	ok = get_times(&in, p.at, p.n);
	if (ok && type == TEXTS) {
		p.text = arena_array(a, p.n, struct str);
		ok = get_texts(&in, a, p.text, p.n);
	} else if (ok) {
		p.value = arena_array(a, p.n, double);
		ok = get_numbers(&in, p.value, p.n);
	}
	if (!ok || in.len > 0)
		return err_set(err, ERR_PROTO, "a broken block");
	*ret = p;
	return 0;
}

/* Members of a summary, as differences that are small and have few digits:
 * all but the first two lie between the smallest and the largest. */
enum { MIN, MAX, FIRST, LAST, SUM, INC, MEMBERS };

static double
member_of(const struct summary *s, int m)
{
	const double v[MEMBERS] = { s->min, s->max, s->first, s->last, s->sum,
		s->inc };

	return v[m];
}

/* All members of a row as integers of one scale, to be taken from each other;
 * false if they have none. */
static bool
rows_scaled(const struct summary *row, size_t n, int64_t *out, unsigned *digits)
{
	unsigned most = 0;

	for (size_t i = 0; i < n; i++)
		for (int m = 0; m < MEMBERS; m++) {
			double v = member_of(&row[i], m);
			unsigned d = digits_of(&v, 1);

			if (d > DIGITS_MAX)
				return false;
			most = MAX_OF(most, d);
		}
	for (size_t i = 0; i < n; i++)
		for (int m = 0; m < MEMBERS; m++)
			if (!as_decimal(member_of(&row[i], m), ten[most],
				&out[(size_t)m * n + i]))
				return false;
	*digits = most;
	return true;
}

/* In rows of n the sum lies near n * (min + max) / 2. */
static int64_t
guess_sum(int64_t min, int64_t max, int64_t n)
{
	return (int64_t)(((uint64_t)min + (uint64_t)max) * (uint64_t)n) / 2;
}

static void
put_scaled(struct buf *out, const int64_t *v, const struct summary *row,
    size_t n, bool counter)
{
	int64_t *d = mem_array(n, sizeof(*d));

	ints_put(out, v, n);
	for (int m = MAX; m <= LAST; m++) {
		for (size_t i = 0; i < n; i++)
			d[i] = v[(size_t)m * n + i] - v[i];
		ints_put(out, d, n);
	}
	for (size_t i = 0; i < n; i++)
		d[i] = (int64_t)((uint64_t)v[SUM * n + i] -
		    (uint64_t)guess_sum(v[i], v[n + i], row[i].n));
	ints_put(out, d, n);
	if (counter)
		ints_put(out, v + INC * n, n);
	free(d);
}

void
block_put_rows(
    struct buf *out, const struct summary *row, size_t n, bool counter)
{
	int64_t *i64 = mem_array(n, sizeof(*i64) * MEMBERS);
	double *v = mem_array(n, sizeof(*v));
	unsigned digits;

	buf_addc(out, counter ? COUNTER_ROWS : ROWS);
	varint_put(out, n);
	for (size_t i = 0; i < n; i++)
		i64[i] = row[i].at;
	put_times(out, i64, n);
	for (size_t i = 0; i < n; i++)
		i64[i] = row[i].n;
	ints_put(out, i64, n);
	if (rows_scaled(row, n, i64, &digits)) {
		buf_addc(out, (char)digits);
		put_scaled(out, i64, row, n, counter);
	} else {
		buf_addc(out, (char)AS_BITS);
		for (int m = MIN; m < (counter ? MEMBERS : INC); m++) {
			for (size_t i = 0; i < n; i++)
				v[i] = member_of(&row[i], m);
			put_numbers(out, v, n);
		}
	}
	free(v);
	free(i64);
}

static void
set_member(struct summary *s, int m, double v)
{
	double *const to[MEMBERS] = { &s->min, &s->max, &s->first, &s->last,
		&s->sum, &s->inc };

	*to[m] = v;
}

static bool
get_scaled(struct str *in, struct arena *a, struct summary *row, size_t n,
    unsigned digits, bool counter)
{
	int64_t *min = arena_array(a, n, int64_t);
	int64_t *max = arena_array(a, n, int64_t);
	int64_t *d = arena_array(a, n, int64_t);

	if (!ints_get(in, min, n))
		return false;
	for (int m = MIN; m < (counter ? MEMBERS : INC); m++) {
		if (m > MIN && !ints_get(in, d, n))
			return false;
		for (size_t i = 0; i < n; i++) {
			uint64_t v = m == MIN ? 0 : (uint64_t)d[i];

			if (m <= LAST)
				v += (uint64_t)min[i];
			else if (m == SUM)
				v += (uint64_t)guess_sum(
				    min[i], max[i], row[i].n);
			if (m == MAX)
				max[i] = (int64_t)v;
			set_member(
			    &row[i], m, (double)(int64_t)v / ten[digits]);
		}
	}
	return true;
}

int
block_get_rows(struct str in, struct arena *a, struct summary **ret, size_t *n,
    struct err *err)
{
	struct summary *row;
	enum type type;
	size_t count;
	int64_t *i64;
	double *v;
	uint8_t mode;
	bool ok;

	if (!get_head(&in, &type, &count) ||
	    (type != ROWS && type != COUNTER_ROWS))
		return err_set(err, ERR_PROTO, "a broken block");
	i64 = arena_array(a, count, int64_t);
	row = arena_array(a, count, struct summary);
	if (!get_times(&in, i64, count))
		return err_set(err, ERR_PROTO, "a broken block");
	for (size_t i = 0; i < count; i++)
		row[i].at = i64[i];
	if (!ints_get(&in, i64, count) || in.len == 0)
		return err_set(err, ERR_PROTO, "a broken block");
	for (size_t i = 0; i < count; i++)
		row[i].n = i64[i];
	mode = (uint8_t)*in.ptr;
	in.ptr++;
	in.len--;
	if (mode <= DIGITS_MAX) {
		ok = get_scaled(&in, a, row, count, mode, type == COUNTER_ROWS);
	} else {
		ok = mode == AS_BITS;
		v = arena_array(a, count, double);
		for (int m = MIN;
		     ok && m < (type == COUNTER_ROWS ? MEMBERS : INC); m++) {
			ok = get_numbers(&in, v, count);
			for (size_t i = 0; ok && i < count; i++)
				set_member(&row[i], m, v[i]);
		}
	}
	if (!ok || in.len > 0)
		return err_set(err, ERR_PROTO, "a broken block");
	*ret = row;
	*n = count;
	return 0;
}

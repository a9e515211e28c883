/*
 * plug/metric/ints.c - see ints.h.
 *
 * Sensors repeat themselves, drift, or are noisy around something slow. For
 * the first a difference is best; for noise it is not, since the difference of
 * two noisy values has twice their variance: there the prediction is a moving
 * average. Which one is chosen by what a sample of the column would cost.
 */
#include "plug/metric/ints.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/varint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum predictor {
	FROM_MIN, /* the smallest value */
	DELTA,    /* the value before */
	LINEAR,   /* the line through the two before */
	AVERAGE1, /* moving averages: the older value weighs 1/2, */
	AVERAGE2, /* 3/4, */
	AVERAGE3, /* 7/8 */
	PREDICTORS,
};

enum method { ZERO, BITS, RANS };

#define AVERAGE_MAX ((int64_t)1 << 40) /* larger values are not averaged */
#define SAMPLE 1024
#define RANS_MIN 48 /* fewer values are not worth a table */

#define SCALE_BITS 12
#define SCALE (1u << SCALE_BITS)
#define STATE_MIN (1u << 16)

#define DIRECT 64 /* errors below are tokens themselves */
#define TOKENS (DIRECT + 58 * 2)

/* --- bytes and bits ------------------------------------------------------ */

static bool
take(struct str *in, size_t n, const uint8_t **ret)
{
	if (in->len < n)
		return false;
	*ret = (const uint8_t *)in->ptr;
	in->ptr += n;
	in->len -= n;
	return true;
}

struct bit_writer {
	uint64_t word;
	unsigned used; /* below 8 between calls */
	uint8_t *to;
};

static void
bits_put(struct bit_writer *w, uint64_t v, unsigned n)
{
	if (n > 32) {
		bits_put(w, v & 0xffffffff, 32);
		v >>= 32;
		n -= 32;
	}
	w->word |= v << w->used;
	w->used += n;
	while (w->used >= 8) {
		*w->to++ = (uint8_t)w->word;
		w->word >>= 8;
		w->used -= 8;
	}
}

struct bit_reader {
	const uint8_t *from, *end;
	uint64_t word;
	unsigned have;
};

/* Beyond the end there are zeros; the caller knows how many bits there are. */
static uint64_t
bits_get(struct bit_reader *r, unsigned n)
{
	uint64_t ret;

	if (n > 32) {
		ret = bits_get(r, 32);
		return ret | bits_get(r, n - 32) << 32;
	}
	while (r->have < n) {
		r->word |= (uint64_t)(r->from < r->end ? *r->from++ : 0)
		    << r->have;
		r->have += 8;
	}
	ret = r->word & (((uint64_t)1 << n) - 1);
	r->word >>= n;
	r->have -= n;
	return ret;
}

static unsigned
width_of(uint64_t v)
{
	return v == 0 ? 0 : 64 - (unsigned)__builtin_clzll(v);
}

/* --- predictions --------------------------------------------------------- */

static int64_t
smallest(const int64_t *v, size_t n)
{
	int64_t ret = v[0];

	for (size_t i = 1; i < n; i++)
		ret = MIN_OF(ret, v[i]);
	return ret;
}

static int64_t
minus(int64_t a, int64_t b) /* wraps */
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

static int64_t
plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* The errors of the prediction of `v`, whose first value (FROM_MIN: smallest)
 * is known; `u` has one place for each value behind it (FROM_MIN: for each). */
static void
predict(
    enum predictor p, const int64_t *v, size_t n, int64_t known, uint64_t *u)
{
	unsigned k = p - AVERAGE1 + 1;
	int64_t slope = 0, sum;

	switch (p) {
	case FROM_MIN:
		for (size_t i = 0; i < n; i++)
			u[i] = (uint64_t)v[i] - (uint64_t)known;
		return;
	case DELTA:
		for (size_t i = 1; i < n; i++)
			u[i - 1] = zigzag(minus(v[i], v[i - 1]));
		return;
	case LINEAR:
		for (size_t i = 1; i < n; i++) {
			int64_t d = minus(v[i], v[i - 1]);

			u[i - 1] = zigzag(minus(d, slope));
			slope = d;
		}
		return;
	default:
		sum = v[0] * ((int64_t)1 << k);
		for (size_t i = 1; i < n; i++) {
			int64_t guess = (sum + ((1 << k) >> 1)) >> k;

			u[i - 1] = zigzag(v[i] - guess);
			sum += v[i] - (sum >> k);
		}
	}
}

/* `u` becomes the values; it starts behind the known one as above. */
static bool
restore(
    enum predictor p, const uint64_t *u, size_t n, int64_t known, int64_t *v)
{
	unsigned k = p - AVERAGE1 + 1;
	int64_t slope = 0, sum;

	switch (p) {
	case FROM_MIN:
		for (size_t i = 0; i < n; i++)
			v[i] = plus(known, (int64_t)u[i]);
		return true;
	case DELTA:
		v[0] = known;
		for (size_t i = 1; i < n; i++)
			v[i] = plus(v[i - 1], unzigzag(u[i - 1]));
		return true;
	case LINEAR:
		v[0] = known;
		for (size_t i = 1; i < n; i++) {
			slope = plus(slope, unzigzag(u[i - 1]));
			v[i] = plus(v[i - 1], slope);
		}
		return true;
	default:
		if (known <= -AVERAGE_MAX || known >= AVERAGE_MAX)
			return false;
		v[0] = known;
		sum = known * ((int64_t)1 << k);
		for (size_t i = 1; i < n; i++) {
			int64_t guess = (sum + ((1 << k) >> 1)) >> k;

			v[i] = plus(guess, unzigzag(u[i - 1]));
			if (v[i] <= -AVERAGE_MAX || v[i] >= AVERAGE_MAX)
				return false;
			sum += v[i] - (sum >> k);
		}
		return true;
	}
}

/* --- tokens -------------------------------------------------------------- */

/* A large error is a token for its size and first bit, and bits behind. */
static unsigned
token_of(uint64_t u, unsigned *extra)
{
	unsigned w;

	if (u < DIRECT) {
		*extra = 0;
		return (unsigned)u;
	}
	w = width_of(u);
	*extra = w - 2;
	return DIRECT + (w - 7) * 2 + ((u >> (w - 2)) & 1);
}

static unsigned
token_extra(unsigned t)
{
	return t < DIRECT ? 0 : (t - DIRECT) / 2 + 5;
}

static uint64_t
token_base(unsigned t)
{
	return t < DIRECT
	    ? t
	    : (uint64_t)(2 + ((t - DIRECT) & 1)) << ((t - DIRECT) / 2 + 5);
}

static uint64_t
count_tokens(const uint64_t *u, size_t n, uint32_t count[TOKENS])
{
	uint64_t bits = 0;
	unsigned extra;

	memset(count, 0, TOKENS * sizeof(count[0]));
	for (size_t i = 0; i < n; i++) {
		count[token_of(u[i], &extra)]++;
		bits += extra;
	}
	return bits;
}

/* What entropy coding would need, in bits. */
static double
cost(const uint64_t *u, size_t n)
{
	uint32_t count[TOKENS];
	double bits = (double)count_tokens(u, n, count);

	for (unsigned t = 0; t < TOKENS; t++)
		if (count[t] > 0)
			bits += count[t] * log2((double)n / count[t]) + 12;
	return bits;
}

/* Makes counts sum up to SCALE, each that was above 0 still is. */
static void
scale_counts(const uint32_t count[TOKENS], size_t n, uint32_t freq[TOKENS])
{
	uint32_t sum = 0;
	unsigned top = 0;

	for (unsigned t = 0; t < TOKENS; t++) {
		freq[t] = count[t] == 0
		    ? 0
		    : (uint32_t)((uint64_t)count[t] * SCALE / n);
		if (count[t] > 0 && freq[t] == 0)
			freq[t] = 1;
		sum += freq[t];
		if (freq[t] > freq[top])
			top = t;
	}
	/* There are far fewer tokens than SCALE, so the top one can give. */
	while (sum > SCALE) {
		uint32_t give = MIN_OF(sum - SCALE, freq[top] / 2);

		freq[top] -= give;
		sum -= give;
		for (unsigned t = 0; t < TOKENS; t++)
			if (freq[t] > freq[top])
				top = t;
	}
	freq[top] += SCALE - sum;
}

/* --- entropy coding ------------------------------------------------------ */

static void
rans_put(struct buf *out, const uint64_t *u, size_t n)
{
	uint32_t count[TOKENS], freq[TOKENS], start[TOKENS];
	uint32_t state[2] = { STATE_MIN, STATE_MIN }, at = 0;
	uint64_t bits = count_tokens(u, n, count);
	uint16_t *words = mem_array(n + 8, sizeof(uint16_t)), *w = words;
	struct bit_writer extra = { 0 };
	unsigned used = 0, next = 0;

	scale_counts(count, n, freq);
	for (unsigned t = 0; t < TOKENS; t++) {
		start[t] = at;
		at += freq[t];
		used += freq[t] > 0;
	}
	varint_put(out, used);
	for (unsigned t = 0; t < TOKENS; t++)
		if (freq[t] > 0) {
			/* how often, and how many tokens were passed over */
			varint_put(
			    out, (uint64_t)(freq[t] - 1) << 1 | (t > next));
			if (t > next)
				varint_put(out, t - next);
			next = t + 1;
		}

	for (size_t i = n; i-- > 0;) {
		unsigned more, t = token_of(u[i], &more);
		uint32_t *x = &state[i & 1];

		if (*x >= (freq[t] << (32 - SCALE_BITS)) && freq[t] < SCALE) {
			*w++ = (uint16_t)*x;
			*x >>= 16;
		}
		if (freq[t] < SCALE)
			*x = ((*x / freq[t]) << SCALE_BITS) + *x % freq[t] +
			    start[t];
	}
	varint_put(out, (uint64_t)(w - words));
	buf_add(out, state, sizeof(state));
	for (uint16_t *p = w; p-- > words;)
		buf_add(out, p, sizeof(*p));
	free(words);

	buf_reserve(out, (size_t)(bits + 7) / 8 + 8);
	extra.to = (uint8_t *)out->ptr + out->len;
	for (size_t i = 0; bits > 0 && i < n; i++) {
		unsigned more;

		(void)token_of(u[i], &more);
		if (more > 0)
			bits_put(
			    &extra, u[i] & (((uint64_t)1 << more) - 1), more);
	}
	if (extra.used > 0)
		*extra.to++ = (uint8_t)extra.word;
	out->len = (size_t)((char *)extra.to - out->ptr);
}

struct slot {
	uint16_t freq, bias; /* bias: of this slot in its token's range */
	uint8_t token;
};

static bool
table_get(struct str *in, struct slot table[SCALE], bool *plain)
{
	uint64_t used, v, over, t = 0;
	uint32_t at = 0;

	*plain = true;
	if (!varint_get(in, &used) || used == 0 || used > TOKENS)
		return false;
	for (uint64_t i = 0; i < used; i++) {
		uint32_t freq;

		if (!varint_get(in, &v) || v >> 1 >= SCALE)
			return false;
		freq = (uint32_t)(v >> 1) + 1;
		over = 0;
		if ((v & 1) && (!varint_get(in, &over) || over >= TOKENS))
			return false;
		t += over;
		if (t >= TOKENS || freq > SCALE - at)
			return false;
		for (uint32_t k = 0; k < freq; k++)
			table[at + k] = (struct slot){ (uint16_t)freq,
				(uint16_t)k, (uint8_t)t };
		at += freq;
		*plain = *plain && t < DIRECT;
		t++;
	}
	return at == SCALE;
}

static bool
rans_get(struct str *in, uint64_t *u, size_t n)
{
	struct slot table[SCALE];
	const uint8_t *p, *end;
	uint64_t n_words, bits = 0;
	uint32_t x[2];
	bool plain;

	if (!table_get(in, table, &plain) || !varint_get(in, &n_words) ||
	    n_words > in->len / 2 || !take(in, sizeof(x), &p))
		return false;
	memcpy(x, p, sizeof(x));
	if (!take(in, (size_t)n_words * 2, &p))
		return false;
	end = p + n_words * 2;
	for (size_t i = 0; i < n; i++) {
		uint32_t *s = &x[i & 1];
		const struct slot *e = &table[*s & (SCALE - 1)];

		u[i] = e->token;
		if (e->freq == SCALE)
			continue;
		*s = e->freq * (*s >> SCALE_BITS) + e->bias;
		if (*s < STATE_MIN) {
			uint16_t word;

			if (p == end)
				return false;
			memcpy(&word, p, 2);
			p += 2;
			*s = *s << 16 | word;
		}
	}
	if (p != end)
		return false;
	if (plain)
		return true;

	for (size_t i = 0; i < n; i++)
		bits += token_extra((unsigned)u[i]);
	if (!take(in, (size_t)(bits + 7) / 8, &p))
		return false;
	struct bit_reader r = { .from = p, .end = p + (bits + 7) / 8 };

	for (size_t i = 0; i < n; i++) {
		unsigned t = (unsigned)u[i], more = token_extra(t);

		u[i] = token_base(t);
		if (more > 0)
			u[i] |= bits_get(&r, more);
	}
	return true;
}

/* --- packed bits --------------------------------------------------------- */

static void
packed_put(struct buf *out, const uint64_t *u, size_t n, unsigned width)
{
	struct bit_writer w = { 0 };

	buf_addc(out, (char)width);
	buf_reserve(out, (n * width + 7) / 8 + 8);
	w.to = (uint8_t *)out->ptr + out->len;
	for (size_t i = 0; i < n; i++)
		bits_put(&w, u[i], width);
	if (w.used > 0)
		*w.to++ = (uint8_t)w.word;
	out->len = (size_t)((char *)w.to - out->ptr);
}

static bool
packed_get(struct str *in, uint64_t *u, size_t n)
{
	const uint8_t *p;
	unsigned width;

	if (!take(in, 1, &p) || *p == 0 || *p > 64)
		return false;
	width = *p;
	if (!take(in, (n * width + 7) / 8, &p))
		return false;
	struct bit_reader r = { .from = p, .end = p + (n * width + 7) / 8 };

	for (size_t i = 0; i < n; i++)
		u[i] = bits_get(&r, width);
	return true;
}

/* --- columns ------------------------------------------------------------- */

static enum predictor
choose(const int64_t *v, size_t n, uint64_t *u)
{
	enum predictor best = DELTA;
	size_t some = MIN_OF(n, SAMPLE);
	bool averages = true;
	double least = INFINITY;

	for (size_t i = 0; i < n; i++)
		averages =
		    averages && v[i] > -AVERAGE_MAX && v[i] < AVERAGE_MAX;
	for (unsigned p = FROM_MIN; p < PREDICTORS; p++) {
		size_t left = p == FROM_MIN ? some : some - 1;
		double c;

		if (p >= AVERAGE1 && (!averages || n < RANS_MIN))
			break;
		predict(
		    p, v, some, p == FROM_MIN ? smallest(v, some) : v[0], u);
		c = cost(u, left);
		if (c < least) {
			least = c;
			best = p;
		}
	}
	return best;
}

void
ints_put(struct buf *out, const int64_t *v, size_t n)
{
	uint64_t *u, any = 0, top = 0;
	enum predictor p;
	int64_t known;
	size_t left, head;

	if (n == 0)
		return;
	u = mem_array(n, sizeof(*u));
	p = choose(v, n, u);
	known = p == FROM_MIN ? smallest(v, n) : v[0];
	left = p == FROM_MIN ? n : n - 1;
	predict(p, v, n, known, u);
	for (size_t i = 0; i < left; i++) {
		any |= u[i];
		top |= i > 0 ? u[i] : 0;
	}
	/* a steady slope is one error, at the beginning */
	if (any == 0 || (p == LINEAR && top == 0)) {
		buf_addc(out, (char)(p << 4 | ZERO));
		varint_put(out, zigzag(known));
		if (p == LINEAR)
			varint_put(out, left > 0 ? u[0] : 0);
		free(u);
		return;
	}
	head = out->len;
	buf_addc(out, (char)(p << 4 | BITS));
	varint_put(out, zigzag(known));
	if (left >= RANS_MIN &&
	    cost(u, left) + 100 < (double)left * width_of(any)) {
		out->ptr[head] = (char)(p << 4 | RANS);
		rans_put(out, u, left);
	} else {
		packed_put(out, u, left, width_of(any));
	}
	free(u);
}

bool
ints_get(struct str *in, int64_t *v, size_t n)
{
	const uint8_t *first;
	uint64_t known, slope = 0;
	enum predictor p;
	size_t left;
	uint64_t *u;
	bool ok;

	if (n == 0)
		return true;
	if (n > INTS_MAX || !take(in, 1, &first) || !varint_get(in, &known))
		return false;
	p = *first >> 4;
	if (p >= PREDICTORS)
		return false;
	left = p == FROM_MIN ? n : n - 1;
	if ((*first & 15) == ZERO && p == LINEAR && !varint_get(in, &slope))
		return false;
	u = mem_array(n, sizeof(*u));
	switch (*first & 15) {
	case ZERO:
		if (left > 0)
			u[0] = slope;
		ok = true;
		break;
	case BITS:
		ok = packed_get(in, u, left);
		break;
	case RANS:
		ok = rans_get(in, u, left);
		break;
	default:
		ok = false;
	}
	ok = ok && restore(p, u, n, unzigzag(known), v);
	free(u);
	return ok;
}

/*
 * codec/duration.c - see duration.h.
 */
#include "codec/duration.h"

#include "base/base.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
	struct str name;
	int64_t ns;
} units[] = {
	{ { "ns", 2 }, 1 },
	{ { "us", 2 }, DURATION_US },
	{ { "\xc2\xb5s", 3 }, DURATION_US }, /* micro sign */
	{ { "\xce\xbcs", 3 }, DURATION_US }, /* Greek mu */
	{ { "ms", 2 }, DURATION_MS },
	{ { "s", 1 }, DURATION_S },
	{ { "m", 1 }, DURATION_M },
	{ { "h", 1 }, DURATION_H },
	{ { "d", 1 }, DURATION_D },
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int64_t
take_unit(struct str *s)
{
	size_t n = 0;

	while (n < s->len && !is_digit(s->ptr[n]) && s->ptr[n] != '.')
		n++;
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		if (!str_eq((struct str){ s->ptr, n }, units[i].name))
			continue;
		s->ptr += n;
		s->len -= n;
		return units[i].ns;
	}
	return 0;
}

/* One "1.5h". What is finer than a nanosecond is cut. */
static bool
take_part(struct str *s, int64_t *ret)
{
	int64_t whole = 0, fraction = 0, scale = 1, unit, part;
	bool any = false, point = false;

	for (; s->len > 0; s->ptr++, s->len--) {
		int digit = *s->ptr - '0';

		if (*s->ptr == '.' && !point) {
			point = true;
			continue;
		}
		if (!is_digit(*s->ptr))
			break;
		any = true;
		if (!point) {
			if (__builtin_mul_overflow(whole, 10, &whole) ||
			    __builtin_add_overflow(whole, digit, &whole))
				return false;
		} else if (scale < DURATION_D) { /* the rest is too fine */
			fraction = fraction * 10 + digit;
			scale *= 10;
		}
	}
	unit = any ? take_unit(s) : 0;
	if (unit == 0 || __builtin_mul_overflow(whole, unit, &part))
		return false;
	return !__builtin_add_overflow(
	    part, (int64_t)((__int128)fraction * unit / scale), ret);
}

bool
duration_parse(struct str s, int64_t *ret)
{
	bool negative = false;
	int64_t sum = 0, part;

	if (s.len > 0 && (*s.ptr == '-' || *s.ptr == '+')) {
		negative = *s.ptr == '-';
		s.ptr++;
		s.len--;
	}
	if (s.len == 0)
		return false;
	if (str_eqz(s, "0"))
		s.len = 0;
	while (s.len > 0)
		if (!take_part(&s, &part) ||
		    __builtin_add_overflow(sum, part, &sum))
			return false;
	*ret = negative ? -sum : sum;
	return true;
}

bool
duration_parse_ms(struct str s, int64_t *ret)
{
	int64_t ns;

	if (!duration_parse(s, &ns))
		return false;
	*ret = ns / DURATION_MS;
	return true;
}

/* "1.5" without zeros at the end. */
static void
add_decimal(struct buf *out, uint64_t n, uint64_t unit)
{
	char digits[24];
	int len = 0;
	uint64_t rest = n % unit;

	buf_addf(out, "%" PRIu64, n / unit);
	if (rest == 0)
		return;
	for (uint64_t place = unit / 10; place > 0 && rest > 0; place /= 10) {
		digits[len++] = (char)('0' + rest / place);
		rest %= place;
	}
	buf_addc(out, '.');
	buf_add(out, digits, (size_t)len);
}

void
duration_text(struct buf *out, int64_t ns)
{
	uint64_t n = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;

	if (ns < 0)
		buf_addc(out, '-');
	if (n == 0) {
		buf_addz(out, "0s");
	} else if (n < DURATION_US) {
		buf_addf(out, "%" PRIu64 "ns", n);
	} else if (n < DURATION_MS) {
		add_decimal(out, n, DURATION_US);
		buf_addz(out, "\xc2\xb5s");
	} else if (n < DURATION_S) {
		add_decimal(out, n, DURATION_MS);
		buf_addz(out, "ms");
	} else {
		if (n >= DURATION_H)
			buf_addf(out, "%" PRIu64 "h", n / DURATION_H);
		if (n >= DURATION_M)
			buf_addf(
			    out, "%" PRIu64 "m", n % DURATION_H / DURATION_M);
		add_decimal(out, n % DURATION_M, DURATION_S);
		buf_addc(out, 's');
	}
}

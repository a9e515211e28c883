/*
 * base/clock.c - see clock.h.
 */
#include "base/clock.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

static _Atomic int64_t moved;

static int64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 +
	    atomic_load_explicit(&moved, memory_order_relaxed);
}

int64_t
clock_now(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t
clock_mono(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void
clock_advance(int64_t ms)
{
	atomic_fetch_add(&moved, ms);
}

/* Days since 1970 of a civil date, and back: Howard Hinnant's well-known
 * formulas for the proleptic Gregorian calendar. */
static int64_t
days_of(int64_t y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
date_of(int64_t days, int *y, int *m, int *d)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*y = (int)(yoe + era * 400 + (*m <= 2));
}

static void
digits(char *p, int n, int v)
{
	while (n-- > 0) {
		p[n] = (char)('0' + v % 10);
		v /= 10;
	}
}

void
time_format(int64_t ms, char text[TIME_TEXT_LEN + 1])
{
	int64_t day = ms / 86400000, rest = ms % 86400000;
	int y, m, d;

	if (rest < 0) {
		rest += 86400000;
		day--;
	}
	if (day < -719528 || day > 2932896) /* outside the years 0 to 9999 */
		day = day < 0 ? -719528 : 2932896;
	date_of(day, &y, &m, &d);
	memcpy(text, "0000-00-00T00:00:00.000Z", TIME_TEXT_LEN + 1);
	digits(text, 4, y);
	digits(text + 5, 2, m);
	digits(text + 8, 2, d);
	digits(text + 11, 2, (int)(rest / 3600000));
	digits(text + 14, 2, (int)(rest / 60000 % 60));
	digits(text + 17, 2, (int)(rest / 1000 % 60));
	digits(text + 20, 3, (int)(rest % 1000));
}

struct str
time_text(struct arena *a, int64_t ms)
{
	char text[TIME_TEXT_LEN + 1];

	time_format(ms, text);
	return arena_str(a, (struct str){ text, TIME_TEXT_LEN });
}

/* Takes `n` digits from the front. */
static bool
take(struct str *s, int n, int *ret)
{
	int v = 0;

	if (s->len < (size_t)n)
		return false;
	for (int i = 0; i < n; i++) {
		if (s->ptr[i] < '0' || s->ptr[i] > '9')
			return false;
		v = v * 10 + s->ptr[i] - '0';
	}
	s->ptr += n;
	s->len -= (size_t)n;
	*ret = v;
	return true;
}

static bool
take_one_of(struct str *s, const char *set, char *ret)
{
	if (s->len == 0 || s->ptr[0] == '\0' || strchr(set, s->ptr[0]) == NULL)
		return false;
	*ret = s->ptr[0];
	s->ptr++;
	s->len--;
	return true;
}

static int
days_in(int y, int m)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30,
		31 };

	if (m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0))
		return 29;
	return days[m - 1];
}

bool
time_parse(struct str s, int64_t *ret)
{
	int y, mo, d, h, mi, sec, ms = 0, oh = 0, om = 0;
	char c;

	if (!take(&s, 4, &y) || !take_one_of(&s, "-", &c) ||
	    !take(&s, 2, &mo) || !take_one_of(&s, "-", &c) ||
	    !take(&s, 2, &d) || !take_one_of(&s, "Tt ", &c) ||
	    !take(&s, 2, &h) || !take_one_of(&s, ":", &c) ||
	    !take(&s, 2, &mi) || !take_one_of(&s, ":", &c) ||
	    !take(&s, 2, &sec))
		return false;
	if (mo < 1 || mo > 12 || d < 1 || d > days_in(y, mo) || h > 23 ||
	    mi > 59 || sec > 60)
		return false;
	if (s.len > 0 && s.ptr[0] == '.') {
		int digit, scale = 100;

		s.ptr++;
		s.len--;
		if (!take(&s, 1, &digit))
			return false;
		do {
			ms += digit * scale;
			scale /= 10;
		} while (take(&s, 1, &digit));
	}
	if (!take_one_of(&s, "Zz+-", &c))
		return false;
	if (c == '+' || c == '-') {
		char colon;

		if (!take(&s, 2, &oh) || !take_one_of(&s, ":", &colon) ||
		    !take(&s, 2, &om) || oh > 23 || om > 59)
			return false;
		if (c == '-') {
			oh = -oh;
			om = -om;
		}
	}
	if (s.len > 0)
		return false;
	*ret = (days_of(y, mo, d) * 86400 + (h - oh) * 3600 + (mi - om) * 60 +
		   sec) *
		1000 +
	    ms;
	return true;
}

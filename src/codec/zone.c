/*
 * codec/zone.c - see zone.h. A TZif file has a list of moments at which the
 * offset changed and, for the time behind the last of them, a rule in the
 * POSIX form "CET-1CEST,M3.5.0,M10.5.0/3".
 *
 * What always holds of a zone that zone_new() has returned: `at` rises, every
 * number in `which` is less than n_types, and there is a first type.
 */
#include "codec/zone.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define DAY 86400
#define OFFSET_MAX (26 * 3600)

struct type {
	int32_t offset_s;
	char abbr[12];
};

/* A day of the year in a rule, and the time of that day. */
struct rule_day {
	char form; /* 'M': month, week, weekday. 'J': 1..365, never 29 February.
		    * 'N': 0..365 */
	int month, week, day;
	int32_t time_s;
};

struct zone {
	char name[ZONE_NAME_MAX + 1];
	int64_t *at; /* s */
	uint8_t *which;
	size_t n;
	struct type types[256];
	size_t n_types;
	bool has_rule, rule_has_summer;
	struct type standard, summer;
	struct rule_day begin, end;
};

/* --- calendar ------------------------------------------------------------ */

int64_t
zone_days(int64_t year, int month, int day)
{
	int64_t era, y;
	int doy;

	y = month <= 2 ? year - 1 : year;
	era = (y >= 0 ? y : y - 399) / 400;
	y -= era * 400;
	doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5;
	return era * 146097 + y * 365 + y / 4 - y / 100 + doy + day - 1 -
	    719468;
}

/* The date of a day; years of our times fit easily. */
static void
date_of(int64_t days, struct zone_time *ret)
{
	int64_t era, doe, yoe, doy, mp;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = days - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	ret->day = (int)(doy - (153 * mp + 2) / 5 + 1);
	ret->month = (int)(mp < 10 ? mp + 3 : mp - 9);
	ret->year = yoe + era * 400 + (ret->month <= 2);
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static bool
is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* --- reading ------------------------------------------------------------- */

static int64_t
big_endian(const char *p, size_t size)
{
	uint64_t n = (signed char)p[0] < 0 ? UINT64_MAX : 0;

	for (size_t i = 0; i < size; i++)
		n = n << 8 | (unsigned char)p[i];
	return (int64_t)n;
}

struct header {
	uint32_t isut, isstd, leap, times, types, chars;
};

#define HEADER_LEN 44

/* False when it is none, or says more than there is. */
static bool
read_header(struct str rest, size_t wide, struct header *h, size_t *body)
{
	uint32_t *counts[] = { &h->isut, &h->isstd, &h->leap, &h->times,
		&h->types, &h->chars };

	if (rest.len < HEADER_LEN || memcmp(rest.ptr, "TZif", 4) != 0)
		return false;
	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		*counts[i] = (uint32_t)big_endian(rest.ptr + 20 + i * 4, 4);
		if (*counts[i] > ZONE_FILE_MAX)
			return false;
	}
	*body = h->times * (wide + 1) + h->types * 6 + h->chars +
	    h->leap * (wide + 4) + h->isstd + h->isut;
	return *body <= rest.len - HEADER_LEN && h->types > 0 &&
	    h->types <= 256 && h->chars > 0;
}

static bool
read_types(struct zone *z, const struct header *h, const char *p)
{
	const char *names = p + h->types * 6;

	z->n_types = h->types;
	for (size_t i = 0; i < h->types; i++, p += 6) {
		struct type *t = &z->types[i];
		size_t name = (unsigned char)p[5];

		t->offset_s = (int32_t)big_endian(p, 4);
		if (t->offset_s < -OFFSET_MAX || t->offset_s > OFFSET_MAX ||
		    name >= h->chars)
			return false;
		for (size_t n = 0; n < sizeof(t->abbr) - 1 &&
		     name + n < h->chars && names[name + n] != '\0';
		     n++)
			t->abbr[n] = names[name + n];
	}
	return true;
}

static bool
read_times(struct zone *z, const struct header *h, const char *p, size_t wide)
{
	z->n = h->times;
	z->at = mem_array(h->times + 1, sizeof(*z->at));
	z->which = mem_array(h->times + 1, 1);
	for (size_t i = 0; i < z->n; i++) {
		z->at[i] = big_endian(p + i * wide, wide);
		z->which[i] = (unsigned char)p[z->n * wide + i];
		if (z->which[i] >= h->types ||
		    (i > 0 && z->at[i] <= z->at[i - 1]))
			return false;
	}
	return true;
}

/* --- the rule ------------------------------------------------------------ */

static bool
skip(struct str *s, char c)
{
	if (s->len == 0 || *s->ptr != c)
		return false;
	s->ptr++;
	s->len--;
	return true;
}

static bool
take_number(struct str *s, int max, int *ret)
{
	int n = 0;
	size_t digits = 0;

	while (s->len > 0 && *s->ptr >= '0' && *s->ptr <= '9' && digits++ < 4) {
		n = n * 10 + (*s->ptr - '0');
		s->ptr++;
		s->len--;
	}
	*ret = n;
	return digits > 0 && n <= max;
}

/* "-3:30:15" */
static bool
take_time(struct str *s, int32_t *ret)
{
	int h, m = 0, sec = 0;
	bool negative = skip(s, '-');

	if (!negative)
		(void)skip(s, '+');
	if (!take_number(s, 167, &h) ||
	    (skip(s, ':') && !take_number(s, 59, &m)) ||
	    (skip(s, ':') && !take_number(s, 59, &sec)))
		return false;
	*ret = (h * 3600 + m * 60 + sec) * (negative ? -1 : 1);
	return true;
}

/* A name and, unless it may be left out, the offset, which counts west. */
static bool
take_type(struct str *s, struct type *t, bool has_default)
{
	bool quoted = skip(s, '<');
	size_t n = 0;
	int32_t west;

	while (s->len > 0 &&
	    (quoted ? *s->ptr != '>'
		    : strchr("+-,0123456789", *s->ptr) == NULL)) {
		if (n < sizeof(t->abbr) - 1)
			t->abbr[n++] = *s->ptr;
		s->ptr++;
		s->len--;
	}
	if (n == 0 || (quoted && !skip(s, '>')))
		return false;
	if (has_default && (s->len == 0 || *s->ptr == ','))
		return true;
	if (!take_time(s, &west) || west < -OFFSET_MAX || west > OFFSET_MAX)
		return false;
	t->offset_s = -west;
	return true;
}

static bool
take_day(struct str *s, struct rule_day *d)
{
	if (!skip(s, ','))
		return false;
	d->time_s = 2 * 3600;
	if (skip(s, 'M')) {
		d->form = 'M';
		if (!take_number(s, 12, &d->month) || !skip(s, '.') ||
		    !take_number(s, 5, &d->week) || !skip(s, '.') ||
		    !take_number(s, 6, &d->day) || d->month == 0 ||
		    d->week == 0)
			return false;
	} else {
		d->form = skip(s, 'J') ? 'J' : 'N';
		if (!take_number(s, 365, &d->day) ||
		    (d->form == 'J' && d->day == 0))
			return false;
	}
	return !skip(s, '/') || take_time(s, &d->time_s);
}

static bool
read_rule(struct zone *z, struct str s)
{
	if (!take_type(&s, &z->standard, false))
		return false;
	z->has_rule = true;
	if (s.len == 0)
		return true;
	z->summer.offset_s = z->standard.offset_s + 3600;
	z->rule_has_summer = true;
	return take_type(&s, &z->summer, true) && take_day(&s, &z->begin) &&
	    take_day(&s, &z->end) && s.len == 0;
}

/* The moment of a rule's day, had the clock no offset. */
static int64_t
rule_moment(const struct rule_day *d, int64_t year)
{
	int64_t first, day;

	if (d->form == 'M') {
		static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31,
			30, 31, 30, 31 };
		int length =
		    lengths[d->month - 1] + (d->month == 2 && is_leap(year));
		int at;

		first = zone_days(year, d->month, 1);
		at = d->day - (int)((first % 7 + 11) % 7); /* 4: Thursday */
		at += (at < 0 ? 7 : 0) + (d->week - 1) * 7;
		day = first + (at >= length ? at - 7 : at);
	} else {
		day = zone_days(year, 1, 1) + d->day;
		if (d->form == 'J')
			day -= !(is_leap(year) && d->day >= 60);
	}
	return day * DAY + d->time_s;
}

static const struct type *
type_by_rule(const struct zone *z, int64_t s)
{
	struct zone_time t;
	int64_t begin, end;
	bool summer;

	if (!z->rule_has_summer)
		return &z->standard;
	date_of(floor_div(s + z->standard.offset_s, DAY), &t);
	begin = rule_moment(&z->begin, t.year) - z->standard.offset_s;
	end = rule_moment(&z->end, t.year) - z->summer.offset_s;
	summer = begin < end ? s >= begin && s < end : s >= begin || s < end;
	return summer ? &z->summer : &z->standard;
}

/* --- zones --------------------------------------------------------------- */

const char *
zone_path(struct arena *a, struct str name)
{
	struct str rest = name;

	if (name.len == 0 || str_eqz(name, "Local"))
		return "/etc/localtime";
	if (name.len > ZONE_NAME_MAX)
		return NULL;
	while (rest.ptr != NULL) {
		struct str part = str_cut(&rest, '/');

		if (part.len == 0 || part.ptr[0] == '-')
			return NULL;
		for (size_t i = 0; i < part.len; i++)
			if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789+-_",
				part.ptr[i]) == NULL ||
			    part.ptr[i] == '\0')
				return NULL;
	}
	return arena_printf(a, "/usr/share/zoneinfo/" STR_FMT, STR_ARG(name))
	    .ptr;
}

static bool
read_zone(struct zone *z, struct str rest)
{
	struct header h;
	size_t body, wide = 4;
	const char *p;

	if (!read_header(rest, wide, &h, &body))
		return false;
	if (rest.ptr[4] >= '2') { /* all again behind it, with wide numbers */
		rest.ptr += HEADER_LEN + body;
		rest.len -= HEADER_LEN + body;
		wide = 8;
		if (!read_header(rest, wide, &h, &body))
			return false;
	}
	p = rest.ptr + HEADER_LEN;
	if (!read_times(z, &h, p, wide) ||
	    !read_types(z, &h, p + h.times * (wide + 1)))
		return false;
	rest.ptr += HEADER_LEN + body;
	rest.len -= HEADER_LEN + body;
	if (wide == 4 || !skip(&rest, '\n'))
		return wide == 4;
	rest = str_cut(&rest, '\n');
	return rest.len == 0 || read_rule(z, rest);
}

int
zone_new(struct str bytes, struct str name, struct zone **ret, struct err *err)
{
	struct zone *z;

	if (bytes.len > ZONE_FILE_MAX || name.len > ZONE_NAME_MAX)
		return err_set(err, ERR_LIMIT, "time zone: too large");
	z = mem_new(struct zone);
	if (name.len > 0)
		memcpy(z->name, name.ptr, name.len);
	else
		strcpy(z->name, "Local");
	if (!read_zone(z, bytes)) {
		zone_free(z);
		return err_set(err, ERR_PARAM,
		    "time zone " STR_FMT ": not a TZif file", STR_ARG(name));
	}
	*ret = z;
	return 0;
}

void
zone_free(struct zone *z)
{
	if (z == NULL)
		return;
	free(z->at);
	free(z->which);
	free(z);
}

const char *
zone_name(const struct zone *z)
{
	return z == NULL ? "UTC" : z->name;
}

static const struct type *
type_at(const struct zone *z, int64_t s)
{
	static const struct type utc = { 0, "UTC" };
	size_t low = 0, high;

	if (z == NULL)
		return &utc;
	if (z->has_rule && (z->n == 0 || s >= z->at[z->n - 1]))
		return type_by_rule(z, s);
	high = z->n; /* the first that is later than `s` lies in low..high */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (z->at[middle] <= s)
			low = middle + 1;
		else
			high = middle;
	}
	return &z->types[low == 0 ? 0 : z->which[low - 1]];
}

void
zone_local(const struct zone *z, int64_t ms, struct zone_time *ret)
{
	int64_t s = floor_div(ms, 1000), days;
	const struct type *type = type_at(z, s);
	int in_day;

	memset(ret, 0, sizeof(*ret));
	ret->ms = (int)(ms - s * 1000);
	ret->offset_s = type->offset_s;
	memcpy(ret->abbr, type->abbr, sizeof(ret->abbr));
	s += type->offset_s;
	days = floor_div(s, DAY);
	in_day = (int)(s - days * DAY);
	date_of(days, ret);
	ret->hour = in_day / 3600;
	ret->minute = in_day / 60 % 60;
	ret->second = in_day % 60;
	ret->weekday = (int)((days % 7 + 11) % 7);
	ret->yearday = (int)(days - zone_days(ret->year, 1, 1)) + 1;
}

/* The first second in (before, after] whose offset is that of `after`. */
static int64_t
leap_between(const struct zone *z, int64_t before, int64_t after)
{
	int32_t offset = type_at(z, after)->offset_s;

	while (after - before > 1) {
		int64_t middle = before + (after - before) / 2;

		if (type_at(z, middle)->offset_s == offset)
			after = middle;
		else
			before = middle;
	}
	return after;
}

enum zone_kind
zone_moment(const struct zone *z, int64_t year, int month, int day, int hour,
    int minute, int second_of_minute, int64_t *ret, int64_t *second)
{
	int64_t shown, early, late, months = (int64_t)month - 1;
	enum zone_kind kind = ZONE_ONCE;
	bool early_fits, late_fits;

	year += floor_div(months, 12);
	months -= floor_div(months, 12) * 12;
	shown = (zone_days(year, (int)months + 1, 1) + day - 1) * DAY +
	    (int64_t)hour * 3600 + (int64_t)minute * 60 + second_of_minute;

	/* By the offsets of the day before and the day after. */
	early = shown - type_at(z, shown - OFFSET_MAX)->offset_s;
	late = shown - type_at(z, shown + OFFSET_MAX)->offset_s;
	early_fits = shown - type_at(z, early)->offset_s == early;
	late_fits = shown - type_at(z, late)->offset_s == late;
	if (early_fits && late_fits && early != late) {
		kind = ZONE_TWICE;
	} else if (early_fits) {
		late = early;
	} else if (late_fits) {
		early = late;
	} else {
		early = late = leap_between(
		    z, shown - 2 * OFFSET_MAX, shown + 2 * OFFSET_MAX);
		kind = ZONE_NEVER;
	}
	*ret = MIN_OF(early, late) * 1000;
	if (second != NULL)
		*second = MAX_OF(early, late) * 1000;
	return kind;
}

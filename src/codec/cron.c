/*
 * codec/cron.c - see cron.h.
 */
#include "codec/cron.h"

#include "base/base.h"
#include "codec/duration.h"

#include <string.h>

#define DAYS_AHEAD (12 * 366) /* 29 February may be eight years away */

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may",
	"jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu",
	"fri", "sat", NULL };

struct range {
	const char *name;
	int min, max;
	const char *const *words; /* the first means `min` */
};

enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const struct range ranges[FIELDS] = {
	[SECOND] = { "second", 0, 59, NULL },
	[MINUTE] = { "minute", 0, 59, NULL },
	[HOUR] = { "hour", 0, 23, NULL },
	[DAY] = { "day of month", 1, 31, NULL },
	[MONTH] = { "month", 1, 12, month_names },
	[WEEKDAY] = { "day of week", 0, 7, day_names },
};

static const struct {
	const char *name, *text;
} presets[] = {
	{ "@yearly", "0 0 1 1 *" },
	{ "@annually", "0 0 1 1 *" },
	{ "@monthly", "0 0 1 * *" },
	{ "@weekly", "0 0 * * 0" },
	{ "@daily", "0 0 * * *" },
	{ "@midnight", "0 0 * * *" },
	{ "@hourly", "0 * * * *" },
};

static bool
take_value(const struct range *r, struct str s, int *ret)
{
	int64_t n;

	for (int i = 0; r->words != NULL && r->words[i] != NULL; i++)
		if (str_eq_nocase(s, str_of(r->words[i]))) {
			*ret = r->min + i;
			return true;
		}
	if (s.len == 0 || s.len > 4 || *s.ptr < '0' || *s.ptr > '9' ||
	    !str_to_i64(s, &n) || n < r->min || n > r->max)
		return false;
	*ret = (int)n;
	return true;
}

/* One of a list: "*", "5", "1-5", each with "/step" or without. */
static bool
take_item(const struct range *r, struct str s, uint64_t *bits, bool *any)
{
	struct str step_text = s, range, to;
	int first, last;
	int64_t step = 1, open_end = r == &ranges[WEEKDAY] ? 6 : r->max;

	range = str_cut(&step_text, '/');
	if (step_text.ptr != NULL &&
	    (step_text.len == 0 || step_text.len > 4 || *step_text.ptr < '0' ||
		*step_text.ptr > '9' || !str_to_i64(step_text, &step) ||
		step < 1))
		return false;
	if (str_eqz(range, "*") || str_eqz(range, "?")) {
		first = r->min;
		last = (int)open_end;
		*any |= step == 1;
	} else {
		to = range;
		range = str_cut(&to, '-');
		if (!take_value(r, range, &first))
			return false;
		last = first;
		if (to.ptr == NULL && step_text.ptr != NULL)
			last = (int)open_end; /* "10/5": from 10 on */
		if (to.ptr != NULL && !take_value(r, to, &last))
			return false;
		/* "fri-sun" */
		if (r == &ranges[WEEKDAY] && last == 0 && first > 0)
			last = 7;
		if (first > last)
			return false;
	}
	for (int64_t i = first; i <= last; i += step)
		*bits |= (uint64_t)1 << i;
	return true;
}

static int
take_field(const struct range *r, struct str s, uint64_t *bits, bool *any,
    struct err *err)
{
	struct str rest = s;

	while (rest.ptr != NULL)
		if (!take_item(r, str_cut(&rest, ','), bits, any))
			return err_set(err, ERR_PARAM,
			    "cron: " STR_FMT " is no %s",
			    (int)MIN_OF(s.len, 40), s.ptr, r->name);
	return 0;
}

/* Words with white space between them; more than `max` count as max + 1. */
static size_t
split(struct str s, struct str *words, size_t max)
{
	size_t n = 0;

	for (;;) {
		size_t len = 0;

		s = str_trim(s);
		if (s.len == 0)
			return n;
		if (n == max)
			return n + 1;
		while (len < s.len && strchr(" \t\r\n\v\f", s.ptr[len]) == NULL)
			len++;
		words[n++] = (struct str){ s.ptr, len };
		s.ptr += len;
		s.len -= len;
	}
}

static int
parse_every(struct str text, struct cron *ret, struct err *err)
{
	struct cron c = { 0 };

	if (!duration_parse_ms(text, &c.every_ms) || c.every_ms < 1000)
		return err_set(err, ERR_PARAM,
		    "cron: @every needs a duration of a second or more, such "
		    "as 1h30m");
	c.every_ms -= c.every_ms % 1000;
	*ret = c;
	return 0;
}

int
cron_parse(struct str text, struct cron *ret, struct err *err)
{
	struct str words[FIELDS], whole = str_trim(text);
	uint64_t bits[FIELDS] = { 0 };
	bool any[FIELDS] = { false };
	size_t n, first;

	if (str_starts(whole, STR("@every "))) {
		whole.ptr += 7;
		whole.len -= 7;
		return parse_every(str_trim(whole), ret, err);
	}
	for (size_t i = 0; i < COUNT_OF(presets); i++)
		if (str_eq_nocase(whole, str_of(presets[i].name)))
			whole = str_of(presets[i].text);
	if (whole.len > 0 && *whole.ptr == '@')
		return err_set(err, ERR_PARAM, "cron: unknown word " STR_FMT,
		    (int)MIN_OF(whole.len, 40), whole.ptr);
	n = split(whole, words, FIELDS);
	if (n != FIELDS && n != FIELDS - 1)
		return err_set(err, ERR_PARAM,
		    "cron: five or six fields are needed (second, if wanted, "
		    "minute hour day month weekday)");
	first = FIELDS - n;
	bits[SECOND] = first; /* at 0, when it is not given */
	for (size_t i = first; i < FIELDS; i++)
		if (take_field(&ranges[i], words[i - first], &bits[i], &any[i],
			err) != 0)
			return ERR_PARAM;
	*ret = (struct cron){
		.seconds = bits[SECOND],
		.minutes = bits[MINUTE],
		.hours = (uint32_t)bits[HOUR],
		.days = (uint32_t)bits[DAY],
		.months = (uint32_t)bits[MONTH],
		.weekdays =
		    (uint8_t)((bits[WEEKDAY] & 0x7f) | bits[WEEKDAY] >> 7),
		.any_day = any[DAY],
		.any_weekday = any[WEEKDAY],
	};
	return 0;
}

/* --- next ---------------------------------------------------------------- */

static bool
has(uint64_t bits, int i)
{
	return (bits >> i & 1) != 0;
}

static bool
day_matches(const struct cron *c, const struct zone_time *t)
{
	bool day = has(c->days, t->day), weekday = has(c->weekdays, t->weekday);

	if (!has(c->months, t->month))
		return false;
	return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

/* The first of the bits from `i` on, or 64. */
static int
from_bit(uint64_t bits, int i)
{
	while (i < 64 && !has(bits, i))
		i++;
	return i;
}

/* Times of a day on the clock, from hour:minute:second on; false: none. */
static bool
next_time(const struct cron *c, int *hour, int *minute, int *second)
{
	int h = from_bit(c->hours, *hour), m = 0, s = 0;

	if (h == *hour) {
		m = from_bit(c->minutes, *minute);
		if (m == *minute)
			s = from_bit(c->seconds, *second);
		if (s > 59) {
			m = from_bit(c->minutes, m + 1);
			s = 0;
		}
		if (m > 59) {
			h = from_bit(c->hours, h + 1);
			m = s = 0;
		}
	}
	*hour = h;
	*minute = from_bit(c->minutes, m);
	*second = from_bit(c->seconds, s);
	return h <= 23;
}

/* Hours are given: what the clock shows is looked for, day by day. */
static int64_t
next_on_the_clock(
    const struct cron *c, int64_t after_ms, const struct zone *zone)
{
	struct zone_time start, day;
	int64_t first, noon, at;
	int hour, minute, second;

	zone_local(zone, after_ms, &start);
	first = zone_days(start.year, start.month, start.day);
	hour = start.hour;
	minute = start.minute;
	second = start.second;
	for (int64_t i = 0; i < DAYS_AHEAD; i++) {
		noon = (first + i) * DURATION_D / DURATION_MS;
		zone_local(NULL, noon, &day); /* the date alone matters */
		if (day_matches(c, &day))
			while (next_time(c, &hour, &minute, &second)) {
				(void)zone_moment(zone, day.year, day.month,
				    day.day, hour, minute, second, &at, NULL);
				if (at > after_ms)
					return at;
				second++;
			}
		hour = minute = second = 0;
	}
	return TIME_NULL;
}

/* Every hour counts: time is followed as it passes. */
static int64_t
next_in_time(const struct cron *c, int64_t after_ms, const struct zone *zone)
{
	struct zone_time t;
	int64_t at = after_ms - after_ms % 1000 + 1000, next, later;
	int64_t end = after_ms + DAYS_AHEAD * (DURATION_D / DURATION_MS);

	if (after_ms % 1000 < 0)
		at -= 1000;
	while (at < end) {
		zone_local(zone, at, &t);
		if (!day_matches(c, &t)) {
			(void)zone_moment(zone, t.year, t.month, t.day + 1, 0,
			    0, 0, &next, &later);
			if (next <= at)
				next = later;
			at = next > at ? next : at + 60000;
		} else if (!has(c->minutes, t.minute)) {
			at += (60 - t.second) * 1000;
		} else if (!has(c->seconds, t.second)) {
			at += (MIN_OF(from_bit(c->seconds, t.second), 60) -
				  t.second) *
			    1000;
		} else {
			return at;
		}
	}
	return TIME_NULL;
}

int64_t
cron_next(const struct cron *c, int64_t after_ms, const struct zone *zone)
{
	if (c->every_ms > 0)
		return after_ms - (after_ms % 1000 + 1000) % 1000 + c->every_ms;
	return c->hours == 0xffffff ? next_in_time(c, after_ms, zone)
				    : next_on_the_clock(c, after_ms, zone);
}

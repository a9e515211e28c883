/*
 * codec/go_template_func.c - the functions of templates, and the methods of
 * times and durations.
 */
#include "base/base.h"
#include "codec/duration.h"
#include "codec/go_template_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FUNC(name)                                                             \
	static int name(                                                       \
	    struct exec *x, const struct val *args, size_t n, struct val *ret)

static int
say_bool(struct val *ret, bool truth)
{
	*ret = (struct val){ .kind = VAL_BOOL, .truth = truth };
	return 0;
}

static int
say_int(struct val *ret, int64_t num)
{
	*ret = (struct val){ .kind = VAL_INT, .num = num };
	return 0;
}

static int
say_real(struct val *ret, double real)
{
	*ret = (struct val){ .kind = VAL_REAL, .real = real };
	return 0;
}

/* --- comparing ----------------------------------------------------------- */

/* -1, 0, 1; false: they can not be compared. */
static bool
order(const struct val *a, const struct val *b, int *ret)
{
	bool a_whole = a->kind == VAL_INT || a->kind == VAL_DURATION;
	bool b_whole = b->kind == VAL_INT || b->kind == VAL_DURATION;
	struct val one = *a, other = *b;

	if (a_whole && b_whole) {
		*ret = (a->num > b->num) - (a->num < b->num);
	} else if ((a_whole || a->kind == VAL_REAL) &&
	    (b_whole || b->kind == VAL_REAL)) {
		double l = a_whole ? (double)a->num : a->real;
		double r = b_whole ? (double)b->num : b->real;

		*ret = (l > r) - (l < r);
	} else if (a->kind == VAL_TEXT && b->kind == VAL_TEXT) {
		*ret = str_cmp(a->text, b->text);
	} else if ((a->kind == VAL_TIME || b->kind == VAL_TIME) &&
	    go_val_as_time(&one) && go_val_as_time(&other)) {
		*ret = (one.num > other.num) - (one.num < other.num);
	} else {
		return false;
	}
	return true;
}

static bool
equal(const struct val *a, const struct val *b)
{
	int by = 0;

	if (order(a, b, &by))
		return by == 0;
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case VAL_NONE:
		return true;
	case VAL_BOOL:
		return a->truth == b->truth;
	default:
		return str_eq(a->text, b->text);
	}
}

FUNC(f_eq)
{
	(void)x;
	for (size_t i = 1; i < n; i++)
		if (equal(&args[0], &args[i]))
			return say_bool(ret, true);
	return say_bool(ret, false);
}

FUNC(f_ne)
{
	(void)x;
	(void)n;
	return say_bool(ret, !equal(&args[0], &args[1]));
}

static int
compare(struct exec *x, const struct val *args, int *by)
{
	if (order(&args[0], &args[1], by))
		return 0;
	return err_set(x->err, ERR_PARAM, "a %s and a %s can not be compared",
	    go_val_type(&args[0]), go_val_type(&args[1]));
}

#define COMPARISON(name, condition)                                            \
	FUNC(name)                                                             \
	{                                                                      \
		int by = 0, rc = compare(x, args, &by);                        \
                                                                               \
		(void)n;                                                       \
		return rc != 0 ? rc : say_bool(ret, condition);                \
	}
COMPARISON(f_lt, by < 0)
COMPARISON(f_le, by <= 0)
COMPARISON(f_gt, by > 0)
COMPARISON(f_ge, by >= 0)

FUNC(f_not)
{
	(void)x;
	(void)n;
	return say_bool(ret, !go_val_truth(&args[0]));
}

FUNC(f_ternary)
{
	(void)x;
	(void)n;
	*ret = go_val_truth(&args[0]) ? args[1] : args[2];
	return 0;
}

FUNC(f_default)
{
	(void)x;
	*ret = n == 2 && go_val_truth(&args[1]) ? args[1] : args[0];
	return 0;
}

/* --- text ---------------------------------------------------------------- */

/* As fmt.Sprint: a space between two of which neither is a text. */
static int
join(struct exec *x, struct buf *out, const struct val *args, size_t n,
    bool always)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0 &&
		    (always ||
			(args[i].kind != VAL_TEXT &&
			    args[i - 1].kind != VAL_TEXT)))
			buf_addc(out, ' ');
		if (go_val_print(x, out, &args[i]) != 0)
			return x->err->code;
	}
	return go_charge(x, 1 + out->len / 64);
}

FUNC(f_print)
{
	struct buf out = { 0 };

	if (join(x, &out, args, n, false) != 0) {
		buf_free(&out);
		return x->err->code;
	}
	return go_text(x, &out, ret);
}

FUNC(f_println)
{
	struct buf out = { 0 };

	if (join(x, &out, args, n, true) != 0) {
		buf_free(&out);
		return x->err->code;
	}
	buf_addc(&out, '\n');
	return go_text(x, &out, ret);
}

/* Each letter of the joined arguments through `put`. */
static int
escape(struct exec *x, const struct val *args, size_t n,
    void (*put)(struct buf *out, struct str rest), struct val *ret)
{
	struct buf in = { 0 }, out = { 0 };
	struct str rest;
	int rc = join(x, &in, args, n, false);

	rest = buf_str(&in);
	for (; rc == 0 && rest.len > 0; rest.ptr++, rest.len--)
		put(&out, rest);
	buf_free(&in);
	if (rc == 0)
		return go_text(x, &out, ret);
	buf_free(&out);
	return rc;
}

static void
put_html(struct buf *out, struct str rest)
{
	switch (*rest.ptr) {
	case '\0':
		buf_addz(out, "\xef\xbf\xbd");
		break;
	case '"':
		buf_addz(out, "&#34;");
		break;
	case '\'':
		buf_addz(out, "&#39;");
		break;
	case '&':
		buf_addz(out, "&amp;");
		break;
	case '<':
		buf_addz(out, "&lt;");
		break;
	case '>':
		buf_addz(out, "&gt;");
		break;
	default:
		buf_addc(out, *rest.ptr);
	}
}

static void
put_js(struct buf *out, struct str rest)
{
	unsigned char c = (unsigned char)*rest.ptr;

	if (c == '\\' || c == '\'' || c == '"')
		buf_addf(out, "\\%c", c);
	else if (c < 0x20 || c == 0x7f || strchr("<>&=", c) != NULL)
		buf_addf(out, "\\u%04X", c);
	else
		buf_addc(out, (char)c);
}

static void
put_query(struct buf *out, struct str rest)
{
	unsigned char c = (unsigned char)*rest.ptr;

	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || (c != '\0' && strchr("-_.~", c) != NULL))
		buf_addc(out, (char)c);
	else if (c == ' ')
		buf_addc(out, '+');
	else
		buf_addf(out, "%%%02X", c);
}

FUNC(f_html)
{
	return escape(x, args, n, put_html, ret);
}

FUNC(f_js)
{
	return escape(x, args, n, put_js, ret);
}

FUNC(f_urlquery)
{
	return escape(x, args, n, put_query, ret);
}

FUNC(f_json)
{
	struct buf out = { 0 };

	(void)n;
	if (go_val_to_json(x, &out, &args[0]) != 0) {
		buf_free(&out);
		return x->err->code;
	}
	return go_text(x, &out, ret);
}

/* --- lists and objects --------------------------------------------------- */

static bool
has_len(const struct val *v)
{
	return v->kind == VAL_TEXT || v->kind == VAL_ARRAY ||
	    v->kind == VAL_OBJECT;
}

FUNC(f_len)
{
	int64_t len;

	(void)n;
	if (!has_len(&args[0]))
		return err_set(
		    x->err, ERR_PARAM, "len of a %s", go_val_type(&args[0]));
	len = go_val_len(x, &args[0]);
	return len < 0 ? x->err->code : say_int(ret, len);
}

/* A number that indexes something of that length. */
static int
take_index(struct exec *x, const struct val *v, int64_t max, int64_t *ret)
{
	if (v->kind != VAL_INT)
		return err_set(
		    x->err, ERR_PARAM, "an index is a %s", go_val_type(v));
	if (v->num < 0 || v->num > max)
		return err_set(
		    x->err, ERR_PARAM, "index out of range: %" PRId64, v->num);
	*ret = v->num;
	return 0;
}

FUNC(f_index)
{
	struct val v = args[0];
	int64_t i;

	for (size_t k = 1; k < n; k++) {
		struct val here = v;

		if (here.kind == VAL_OBJECT) {
			if (args[k].kind != VAL_TEXT)
				return err_set(x->err, ERR_PARAM,
				    "a map is indexed by a %s",
				    go_val_type(&args[k]));
			if (go_val_member(x, &here, args[k].text, false, &v) !=
			    0)
				return x->err->code;
			continue;
		}
		if (!has_len(&here))
			return err_set(x->err, ERR_PARAM, "index of a %s",
			    go_val_type(&here));
		i = go_val_len(x, &here);
		if (i < 0 || take_index(x, &args[k], i - 1, &i) != 0)
			return x->err->code;
		if (here.kind == VAL_TEXT)
			(void)say_int(&v, (unsigned char)here.text.ptr[i]);
		else if (!go_val_item(x, &here, i, &v))
			return err_set(x->err, ERR_LIMIT, "too many steps");
	}
	*ret = v;
	return 0;
}

/* The items [from, to) of a list, as a list. */
static int
cut_list(struct exec *x, const struct val *v, int64_t from, int64_t to,
    struct val *ret)
{
	struct buf out = { 0 };
	struct json j;
	struct str raw;
	int rc;

	buf_addc(&out, '[');
	json_open(&j, v->text, 0, x->arena);
	json_array(&j);
	for (int64_t i = 0; i < to && json_item(&j); i++) {
		json_raw(&j, &raw);
		if (i < from)
			continue;
		if (out.len > 1)
			buf_addc(&out, ',');
		buf_add_str(&out, raw);
	}
	buf_addc(&out, ']');
	rc = go_text(x, &out, ret);
	ret->kind = VAL_ARRAY;
	return rc;
}

FUNC(f_slice)
{
	int64_t len, from = 0, to;

	if (args[0].kind != VAL_TEXT && args[0].kind != VAL_ARRAY)
		return err_set(
		    x->err, ERR_PARAM, "slice of a %s", go_val_type(&args[0]));
	to = len = go_val_len(x, &args[0]);
	if (len < 0 || (n > 1 && take_index(x, &args[1], len, &from) != 0) ||
	    (n > 2 && take_index(x, &args[2], len, &to) != 0))
		return x->err->code;
	if (from > to)
		return err_set(x->err, ERR_PARAM,
		    "invalid slice: %" PRId64 " > %" PRId64, from, to);
	if (args[0].kind == VAL_ARRAY)
		return cut_list(x, &args[0], from, to, ret);
	*ret = go_val_text(
	    (struct str){ args[0].text.ptr + from, (size_t)(to - from) });
	return 0;
}

FUNC(f_key_path)
{
	struct val v = args[0];
	struct str rest = args[1].text;
	int64_t i;

	(void)n;
	if (args[1].kind != VAL_TEXT)
		return err_set(x->err, ERR_PARAM, "keyPath: the path is a %s",
		    go_val_type(&args[1]));
	if (rest.len == 0 || str_eqz(rest, "."))
		rest = STR_NULL;
	while (rest.ptr != NULL) {
		struct str key = str_cut(&rest, '.');
		struct val here = v;

		v = (struct val){ .kind = VAL_NONE };
		if (here.kind == VAL_OBJECT &&
		    go_val_member(x, &here, key, true, &v) != 0)
			return x->err->code;
		if (here.kind == VAL_ARRAY && str_to_i64(key, &i))
			(void)go_val_item(x, &here, i, &v);
		if (go_charge(x, 1) != 0)
			return x->err->code;
	}
	*ret = v;
	return 0;
}

/* --- time ---------------------------------------------------------------- */

static int
say_time(struct exec *x, int64_t ms, struct val *ret)
{
	*ret = (struct val){ .kind = VAL_TIME };
	if (__builtin_mul_overflow(ms, DURATION_MS, &ret->num))
		return err_set(x->err, ERR_PARAM, "a time out of range");
	return 0;
}

FUNC(f_now)
{
	(void)args;
	(void)n;
	return say_time(x, x->host->now_ms, ret);
}

static int
sun(struct exec *x, bool set, struct val *ret)
{
	int64_t ms = 0;
	int rc;

	if (x->host->sun == NULL)
		return err_set(x->err, ERR_PARAM, "%s is not available here",
		    set ? "sunset" : "sunrise");
	rc = x->host->sun(x->host->ctx, set, &ms, x->err);
	if (rc != 0 && x->err->code == 0) /* it did not say why */
		err_set(
		    x->err, rc, "%s is not known", set ? "sunset" : "sunrise");
	return rc != 0 ? rc : say_time(x, ms, ret);
}

FUNC(f_sunrise)
{
	(void)args;
	(void)n;
	return sun(x, false, ret);
}

FUNC(f_sunset)
{
	(void)args;
	(void)n;
	return sun(x, true, ret);
}

FUNC(f_version)
{
	(void)args;
	(void)n;
	*ret = go_val_text(
	    str_of(x->host->version != NULL ? x->host->version : ""));
	return 0;
}

static const struct zone *
zone_of(const struct exec *x, const struct val *time)
{
	return time->utc ? NULL : x->host->zone;
}

FUNC(t_format)
{
	struct buf out = { 0 };

	(void)n;
	if (args[1].kind != VAL_TEXT)
		return err_set(x->err, ERR_PARAM, "Format: the layout is a %s",
		    go_val_type(&args[1]));
	if (go_charge(x, 1 + args[1].text.len / 16) != 0)
		return x->err->code;
	go_time_format(&out, args[0].num, zone_of(x, &args[0]), args[1].text);
	return go_text(x, &out, ret);
}

FUNC(t_string)
{
	struct buf out = { 0 };

	(void)n;
	if (go_val_print(x, &out, &args[0]) != 0) {
		buf_free(&out);
		return x->err->code;
	}
	return go_text(x, &out, ret);
}

FUNC(t_add)
{
	struct val by = args[1];

	(void)n;
	if (by.kind == VAL_TEXT && duration_parse(by.text, &by.num))
		by.kind = VAL_DURATION;
	if (by.kind != VAL_INT && by.kind != VAL_DURATION)
		return err_set(x->err, ERR_PARAM,
		    "Add: a duration is needed, such as \"10m\"");
	*ret = args[0];
	if (__builtin_add_overflow(ret->num, by.num, &ret->num))
		return err_set(x->err, ERR_PARAM, "a time out of range");
	return 0;
}

FUNC(t_add_date)
{
	struct zone_time t;
	int64_t ms = args[0].num / DURATION_MS,
		rest = args[0].num % DURATION_MS, at;

	(void)n;
	for (size_t i = 1; i <= 3; i++)
		if (args[i].kind != VAL_INT || args[i].num < -100000 ||
		    args[i].num > 100000)
			return err_set(x->err, ERR_PARAM,
			    "AddDate: years, months and days are needed");
	zone_local(zone_of(x, &args[0]), ms, &t);
	(void)zone_moment(zone_of(x, &args[0]), t.year + args[1].num,
	    t.month + (int)args[2].num, t.day + (int)args[3].num, t.hour,
	    t.minute, t.second, &at, NULL);
	if (say_time(x, at + t.ms, ret) != 0)
		return x->err->code;
	ret->num += rest;
	ret->utc = args[0].utc;
	return 0;
}

/* The other time of a method that takes one. */
static int
take_time(struct exec *x, const struct val *v, int64_t *ret)
{
	struct val t = *v;

	if (!go_val_as_time(&t))
		return err_set(
		    x->err, ERR_PARAM, "a %s is no time", go_val_type(v));
	*ret = t.num;
	return 0;
}

FUNC(t_sub)
{
	int64_t other = 0;

	(void)n;
	if (take_time(x, &args[1], &other) != 0)
		return x->err->code;
	*ret = (struct val){ .kind = VAL_DURATION };
	if (__builtin_sub_overflow(args[0].num, other, &ret->num))
		return err_set(x->err, ERR_PARAM, "a duration out of range");
	return 0;
}

#define TIME_COMPARISON(name, sign)                                            \
	FUNC(name)                                                             \
	{                                                                      \
		int64_t other = 0;                                             \
                                                                               \
		(void)n;                                                       \
		if (take_time(x, &args[1], &other) != 0)                       \
			return x->err->code;                                   \
		return say_bool(ret, args[0].num sign other);                  \
	}
TIME_COMPARISON(t_before, <)
TIME_COMPARISON(t_after, >)
TIME_COMPARISON(t_equal, ==)

FUNC(t_utc)
{
	(void)x;
	(void)n;
	*ret = args[0];
	ret->utc = true;
	return 0;
}

FUNC(t_local)
{
	(void)x;
	(void)n;
	*ret = args[0];
	ret->utc = false;
	return 0;
}

/* Go's zero time is the year 1, which nanoseconds do not reach: what is not
 * there is no time at all. */
FUNC(t_is_zero)
{
	(void)x;
	(void)args;
	(void)n;
	return say_bool(ret, false);
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

FUNC(t_unix)
{
	(void)x;
	(void)n;
	return say_int(ret, floor_div(args[0].num, DURATION_S));
}

FUNC(t_unix_milli)
{
	(void)x;
	(void)n;
	return say_int(ret, floor_div(args[0].num, DURATION_MS));
}

FUNC(t_unix_nano)
{
	(void)x;
	(void)n;
	return say_int(ret, args[0].num);
}

#define TIME_PART(name, part)                                                  \
	FUNC(name)                                                             \
	{                                                                      \
		struct zone_time t;                                            \
                                                                               \
		(void)n;                                                       \
		zone_local(zone_of(x, &args[0]),                               \
		    floor_div(args[0].num, DURATION_MS), &t);                  \
		return say_int(ret, part);                                     \
	}
TIME_PART(t_year, t.year)
TIME_PART(t_day, t.day)
TIME_PART(t_hour, t.hour)
TIME_PART(t_minute, t.minute)
TIME_PART(t_second, t.second)
TIME_PART(t_year_day, t.yearday)

#define TIME_NAME(name, layout)                                                \
	FUNC(name)                                                             \
	{                                                                      \
		struct buf out = { 0 };                                        \
                                                                               \
		(void)n;                                                       \
		go_time_format(                                                \
		    &out, args[0].num, zone_of(x, &args[0]), STR(layout));     \
		return go_text(x, &out, ret);                                  \
	}
TIME_NAME(t_month, "January")
TIME_NAME(t_weekday, "Monday")

#define DURATION_IN(name, unit)                                                \
	FUNC(name)                                                             \
	{                                                                      \
		(void)x;                                                       \
		(void)n;                                                       \
		return say_real(ret, (double)args[0].num / (double)(unit));    \
	}
DURATION_IN(d_hours, DURATION_H)
DURATION_IN(d_minutes, DURATION_M)
DURATION_IN(d_seconds, DURATION_S)

FUNC(d_milliseconds)
{
	(void)x;
	(void)n;
	return say_int(ret, args[0].num / DURATION_MS);
}

/* --- the lists ----------------------------------------------------------- */

static const struct go_func_row functions[] = {
	{ "and", 1, GO_ARGS_MAX, NULL },
	{ "or", 1, GO_ARGS_MAX, NULL },
	{ "not", 1, 1, f_not },
	{ "eq", 2, GO_ARGS_MAX, f_eq },
	{ "ne", 2, 2, f_ne },
	{ "lt", 2, 2, f_lt },
	{ "le", 2, 2, f_le },
	{ "gt", 2, 2, f_gt },
	{ "ge", 2, 2, f_ge },
	{ "print", 0, GO_ARGS_MAX, f_print },
	{ "printf", 1, GO_ARGS_MAX, go_printf },
	{ "println", 0, GO_ARGS_MAX, f_println },
	{ "len", 1, 1, f_len },
	{ "index", 1, GO_ARGS_MAX, f_index },
	{ "slice", 1, 3, f_slice },
	{ "html", 1, GO_ARGS_MAX, f_html },
	{ "js", 1, GO_ARGS_MAX, f_js },
	{ "urlquery", 1, GO_ARGS_MAX, f_urlquery },
	{ "now", 0, 0, f_now },
	{ "sunrise", 0, 0, f_sunrise },
	{ "sunset", 0, 0, f_sunset },
	{ "version", 0, 0, f_version },
	{ "marshal", 1, 1, f_json },
	{ "toJson", 1, 1, f_json },
	{ "keyPath", 2, 2, f_key_path },
	{ "ternary", 3, 3, f_ternary },
	{ "default", 1, 2, f_default },
};

/* Their first argument is the receiver. */
static const struct go_func_row time_methods[] = {
	{ "Format", 2, 2, t_format },
	{ "Add", 2, 2, t_add },
	{ "AddDate", 4, 4, t_add_date },
	{ "Sub", 2, 2, t_sub },
	{ "Before", 2, 2, t_before },
	{ "After", 2, 2, t_after },
	{ "Equal", 2, 2, t_equal },
	{ "IsZero", 1, 1, t_is_zero },
	{ "Unix", 1, 1, t_unix },
	{ "UnixMilli", 1, 1, t_unix_milli },
	{ "UnixNano", 1, 1, t_unix_nano },
	{ "Year", 1, 1, t_year },
	{ "Month", 1, 1, t_month },
	{ "Day", 1, 1, t_day },
	{ "Hour", 1, 1, t_hour },
	{ "Minute", 1, 1, t_minute },
	{ "Second", 1, 1, t_second },
	{ "Weekday", 1, 1, t_weekday },
	{ "YearDay", 1, 1, t_year_day },
	{ "UTC", 1, 1, t_utc },
	{ "Local", 1, 1, t_local },
	{ "String", 1, 1, t_string },
};

static const struct go_func_row duration_methods[] = {
	{ "Hours", 1, 1, d_hours },
	{ "Minutes", 1, 1, d_minutes },
	{ "Seconds", 1, 1, d_seconds },
	{ "Milliseconds", 1, 1, d_milliseconds },
	{ "String", 1, 1, t_string },
};

static const struct go_func_row *
find(const struct go_func_row *rows, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eqz(name, rows[i].name))
			return &rows[i];
	return NULL;
}

const struct go_func_row *
go_func_find(struct str name)
{
	return find(functions, COUNT_OF(functions), name);
}

const struct go_func_row *
go_method_find(const struct val *receiver, struct str name)
{
	struct val as_time = *receiver;

	if (receiver->kind == VAL_DURATION)
		return find(duration_methods, COUNT_OF(duration_methods), name);
	return go_val_as_time(&as_time)
	    ? find(time_methods, COUNT_OF(time_methods), name)
	    : NULL;
}

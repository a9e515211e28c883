/*
 * codec/go_template_value.c - values of templates: looked up in JSON text,
 * shown as Go shows them.
 */
#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/duration.h"
#include "codec/go_template_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
go_charge(struct exec *x, size_t steps)
{
	x->steps += steps;
	if (x->steps > x->max_steps)
		return err_set(x->err, ERR_LIMIT, "too many steps");
	if (x->arena->used - x->arena_start > x->max_memory)
		return err_set(x->err, ERR_LIMIT, "too much memory");
	return 0;
}

/* Looking into JSON text costs by its length. */
static int
charge_text(struct exec *x, struct str text)
{
	return go_charge(x, 1 + text.len / 64);
}

struct val
go_val_text(struct str s)
{
	return (struct val){ .kind = VAL_TEXT, .text = s };
}

int
go_text(struct exec *x, struct buf *b, struct val *ret)
{
	int rc = 0;

	if (b->len > x->max_output)
		rc = err_set(x->err, ERR_LIMIT,
		    "a text is over %" PRIu64 " bytes", x->max_output);
	else
		*ret = go_val_text(
		    b->len > 0 ? arena_str(x->arena, buf_str(b)) : STR(""));
	buf_free(b);
	return rc;
}

struct val
go_val_read(struct exec *x, struct json *j)
{
	struct val v = { .kind = VAL_NONE };
	struct json whole = *j;

	(void)x;
	switch (json_peek(j)) {
	case JSON_BOOL:
		v.kind = VAL_BOOL;
		json_bool(j, &v.truth);
		break;
	case JSON_NUMBER:
		if (json_i64(&whole, &v.num)) {
			v.kind = VAL_INT;
			*j = whole;
		} else {
			v.kind = VAL_REAL;
			json_real(j, &v.real);
		}
		break;
	case JSON_STRING:
		v.kind = VAL_TEXT;
		json_str(j, &v.text);
		break;
	case JSON_ARRAY:
		v.kind = VAL_ARRAY;
		json_raw(j, &v.text);
		break;
	case JSON_OBJECT:
		v.kind = VAL_OBJECT;
		json_raw(j, &v.text);
		break;
	default:
		json_skip(j);
		break;
	}
	return json_ok(j) ? v : (struct val){ .kind = VAL_NONE };
}

int
go_val_member(struct exec *x, const struct val *object, struct str name,
    bool any_case, struct val *ret)
{
	struct json j, near = { 0 };
	struct str key;

	if (charge_text(x, object->text) != 0)
		return x->err->code;
	*ret = (struct val){ .kind = VAL_NONE };
	json_open(&j, object->text, 0, x->arena);
	if (!json_object(&j))
		return 0;
	while (json_member(&j, &key)) {
		if (str_eq(key, name)) {
			*ret = go_val_read(x, &j);
			return 0;
		}
		if (any_case && near.p == NULL && str_eq_nocase(key, name))
			near = j;
		json_skip(&j);
	}
	if (near.p != NULL)
		*ret = go_val_read(x, &near);
	return 0;
}

bool
go_val_item(struct exec *x, const struct val *array, int64_t i, struct val *ret)
{
	struct json j;

	if (i < 0 || charge_text(x, array->text) != 0)
		return false;
	json_open(&j, array->text, 0, x->arena);
	json_array(&j);
	while (json_item(&j)) {
		if (i-- == 0) {
			*ret = go_val_read(x, &j);
			return true;
		}
		json_skip(&j);
	}
	return false;
}

int64_t
go_val_len(struct exec *x, const struct val *v)
{
	struct json j;
	struct str key;
	int64_t n = 0;

	if (v->kind == VAL_TEXT)
		return (int64_t)v->text.len;
	if (charge_text(x, v->text) != 0)
		return -1;
	json_open(&j, v->text, 0, x->arena);
	if (v->kind == VAL_ARRAY) {
		for (json_array(&j); json_item(&j); n++)
			json_skip(&j);
	} else {
		for (json_object(&j); json_member(&j, &key); n++)
			json_skip(&j);
	}
	return n;
}

bool
go_val_truth(const struct val *v)
{
	switch (v->kind) {
	case VAL_NONE:
		return false;
	case VAL_BOOL:
		return v->truth;
	case VAL_INT:
	case VAL_DURATION:
		return v->num != 0;
	case VAL_REAL:
		return v->real != 0;
	case VAL_TEXT:
		return v->text.len > 0;
	case VAL_TIME:
		return true;
	default: { /* anything between the brackets? */
		struct str inside = { v->text.ptr + 1, v->text.len - 2 };

		return str_trim(inside).len > 0;
	}
	}
}

const char *
go_val_type(const struct val *v)
{
	static const char *const names[] = { "nil", "bool", "int", "float64",
		"string", "list", "map", "time", "duration" };

	return names[v->kind];
}

bool
go_val_as_time(struct val *v)
{
	int64_t ms, ns;

	if (v->kind == VAL_TIME)
		return true;
	if (v->kind != VAL_TEXT || !time_parse(v->text, &ms) ||
	    __builtin_mul_overflow(ms, (int64_t)1000000, &ns))
		return false;
	*v = (struct val){ .kind = VAL_TIME, .num = ns };
	return true;
}

/* --- shown --------------------------------------------------------------- */

/* The fewest digits that are read as the same number. */
static int
shortest(double d, char digits[32], int *exponent)
{
	char text[40];
	int n = 0;

	for (int precision = 0; precision < 17; precision++) {
		snprintf(text, sizeof(text), "%.*e", precision, d);
		if (strtod(text, NULL) == d)
			break;
	}
	for (const char *p = text; *p != 'e'; p++)
		if (*p >= '0' && *p <= '9')
			digits[n++] = *p;
	*exponent = atoi(strchr(text, 'e') + 1);
	return n;
}

void
go_real_text(struct buf *out, double d, int precision, char verb)
{
	char digits[32], format[] = "%.*f";
	int n, exponent, limit = verb == 'v' ? 21 : 6;

	if (!isfinite(d)) {
		buf_addz(out, isnan(d) ? "NaN" : d < 0 ? "-Inf" : "+Inf");
		return;
	}
	if (precision >= 0 || (verb != 'v' && verb != 'g')) {
		format[3] = verb == 'v' ? 'g' : verb;
		buf_addf(out, format, precision < 0 ? 6 : precision, d);
		return;
	}
	if (signbit(d))
		buf_addc(out, '-');
	n = shortest(fabs(d), digits, &exponent);
	if (exponent < -4 || exponent >= limit) {
		buf_addc(out, digits[0]);
		if (n > 1)
			buf_addf(out, ".%.*s", n - 1, digits + 1);
		buf_addf(
		    out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
		return;
	}
	if (exponent < 0)
		buf_addf(out, "0.%.*s", -exponent - 1, "0000");
	for (int i = 0; i < n || i <= exponent; i++) {
		if (i == exponent + 1 && exponent >= 0)
			buf_addc(out, '.');
		buf_addc(out, i < n ? digits[i] : '0');
	}
}

struct member {
	struct str key;
	struct val val;
};

static int
by_key(const void *a, const void *b)
{
	const struct member *one = a, *other = b;

	return str_cmp(one->key, other->key);
}

static int print_inside(struct exec *x, struct buf *out, const struct val *v);

static int
print_map(struct exec *x, struct buf *out, const struct val *v)
{
	int64_t n = go_val_len(x, v), i = 0;
	struct member *members;
	struct json j;

	if (n < 0 || go_charge(x, (size_t)n) != 0)
		return x->err->code;
	members = arena_array(x->arena, (size_t)n + 1, struct member);
	json_open(&j, v->text, 0, x->arena);
	for (json_object(&j); i < n && json_member(&j, &members[i].key); i++)
		members[i].val = go_val_read(x, &j);
	qsort(members, (size_t)i, sizeof(*members), by_key);
	buf_addz(out, "map[");
	for (n = i, i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(out, ' ');
		buf_add_str(out, members[i].key);
		buf_addc(out, ':');
		if (print_inside(x, out, &members[i].val) != 0)
			return x->err->code;
	}
	buf_addc(out, ']');
	return 0;
}

static int
print_list(struct exec *x, struct buf *out, const struct val *v)
{
	struct json j;
	bool first = true;

	buf_addc(out, '[');
	json_open(&j, v->text, 0, x->arena);
	json_array(&j);
	while (json_item(&j)) {
		struct val item = go_val_read(x, &j);

		if (!first)
			buf_addc(out, ' ');
		first = false;
		if (print_inside(x, out, &item) != 0)
			return x->err->code;
	}
	buf_addc(out, ']');
	return 0;
}

static int
print_inside(struct exec *x, struct buf *out, const struct val *v)
{
	if (v->kind == VAL_NONE) {
		buf_addz(out, "<nil>");
		return 0;
	}
	return go_val_print(x, out, v);
}

int
go_val_print(struct exec *x, struct buf *out, const struct val *v)
{
	switch (v->kind) {
	case VAL_NONE:
		buf_addz(out, "<no value>");
		break;
	case VAL_BOOL:
		buf_addz(out, v->truth ? "true" : "false");
		break;
	case VAL_INT:
		buf_addf(out, "%" PRId64, v->num);
		break;
	case VAL_REAL:
		go_real_text(out, v->real, -1, 'v');
		break;
	case VAL_TEXT:
		buf_add_str(out, v->text);
		break;
	case VAL_DURATION:
		duration_text(out, v->num);
		break;
	case VAL_TIME:
		go_time_format(out, v->num, v->utc ? NULL : x->host->zone,
		    STR("2006-01-02 15:04:05.999999999 -0700 MST"));
		break;
	case VAL_ARRAY:
	case VAL_OBJECT:
		if (charge_text(x, v->text) != 0 ||
		    (v->kind == VAL_ARRAY ? print_list(x, out, v)
					  : print_map(x, out, v)) != 0)
			return x->err->code;
		break;
	}
	if (out->len > x->max_output)
		return err_set(x->err, ERR_LIMIT,
		    "the output is over %" PRIu64 " bytes", x->max_output);
	return 0;
}

int
go_val_to_json(struct exec *x, struct buf *out, const struct val *v)
{
	struct json_out o;
	struct buf text = { 0 };

	json_out_init(&o, out, false);
	switch (v->kind) {
	case VAL_NONE:
		json_out_null(&o);
		break;
	case VAL_BOOL:
		json_out_bool(&o, v->truth);
		break;
	case VAL_INT:
	case VAL_DURATION:
		json_out_int(&o, v->num);
		break;
	case VAL_REAL:
		json_out_real(&o, v->real);
		break;
	case VAL_TEXT:
		json_out_str(&o, v->text);
		break;
	case VAL_TIME:
		go_time_format(&text, v->num, v->utc ? NULL : x->host->zone,
		    STR("2006-01-02T15:04:05.999999999Z07:00"));
		json_out_str(&o, buf_str(&text));
		buf_free(&text);
		break;
	case VAL_ARRAY:
	case VAL_OBJECT:
		if (charge_text(x, v->text) != 0)
			return x->err->code;
		json_compact(out, v->text, 0);
		break;
	}
	return 0;
}

/*
 * codec/promql_put.c - labels, numbers and results as text.
 */
#include "codec/promql_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct str
promql_text(struct arena *a, const struct row *r)
{
	struct buf b = { 0 };
	const char *sep = "";
	struct str s;

	buf_addc(&b, '{');
	for (size_t i = 0; i < r->n_labels; i++) {
		buf_addz(&b, sep);
		buf_add_str(&b, r->labels[i].name);
		buf_addc(&b, '=');
		json_quote(&b, r->labels[i].value);
		sep = ", ";
	}
	buf_addc(&b, '}');
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

void
promql_number(struct buf *out, double v)
{
	char text[64], *e, digits[32];
	int exp, n = 0, precision;

	if (!isfinite(v)) {
		buf_addz(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
		return;
	}
	for (precision = 0; precision < 17; precision++) {
		snprintf(text, sizeof(text), "%.*e", precision, v);
		if (strtod(text, NULL) == v)
			break;
	}
	e = strchr(text, 'e');
	exp = (int)strtol(e + 1, NULL, 10);
	for (char *c = text; c < e; c++)
		if (*c >= '0' && *c <= '9')
			digits[n++] = *c;
	if (signbit(v))
		buf_addc(out, '-');
	if (exp < 0) {
		buf_addz(out, "0.");
		for (int i = -1; i > exp; i--)
			buf_addc(out, '0');
		buf_add(out, digits, (size_t)n);
		return;
	}
	for (int i = 0; i <= exp || i < n; i++) {
		if (i == exp + 1)
			buf_addc(out, '.');
		buf_addc(out, i < n ? digits[i] : '0');
	}
}

/* Seconds, with as many decimals as there are. */
static void
put_time(struct json_out *o, int64_t ms)
{
	char text[48];
	int64_t rest = ms % 1000;
	int n;

	n = snprintf(text, sizeof(text), "%s%" PRId64 ".%03d",
	    ms < 0 ? "-" : "", ms < 0 ? -(ms / 1000) : ms / 1000,
	    (int)(rest < 0 ? -rest : rest));
	while (text[n - 1] == '0')
		n--;
	if (text[n - 1] == '.')
		n--;
	json_out_raw(o, (struct str){ text, (size_t)n });
}

void
promql_put_labels(
    struct json_out *o, const struct promql_label *labels, size_t n)
{
	json_out_object(o);
	for (size_t i = 0; i < n; i++) {
		json_out_key_str(o, labels[i].name);
		json_out_str(o, labels[i].value);
	}
	json_out_end_object(o);
}

static void
put_point(struct json_out *o, int64_t at, double v)
{
	struct buf b = { 0 };

	promql_number(&b, v);
	json_out_array(o);
	put_time(o, at);
	json_out_str(o, buf_str(&b));
	json_out_end_array(o);
	buf_free(&b);
}

void
promql_put(struct json_out *o, const struct promql_result *r)
{
	static const char *const names[] = {
		[PROMQL_SCALAR] = "scalar",
		[PROMQL_VECTOR] = "vector",
		[PROMQL_MATRIX] = "matrix",
		[PROMQL_STRING] = "string",
	};

	json_out_object(o);
	json_out_key(o, "resultType");
	json_out_str(o, str_of(names[r->type]));
	json_out_key(o, "result");
	if (r->type == PROMQL_SCALAR) {
		put_point(
		    o, r->at, r->n > 0 ? r->series[0].values[0] : (double)NAN);
	} else if (r->type == PROMQL_STRING) {
		json_out_array(o);
		put_time(o, r->at);
		json_out_str(o, r->text);
		json_out_end_array(o);
	} else {
		json_out_array(o);
		for (size_t i = 0; i < r->n; i++) {
			const struct promql_series *s = &r->series[i];

			json_out_object(o);
			json_out_key(o, "metric");
			promql_put_labels(o, s->labels, s->n_labels);
			if (r->type == PROMQL_VECTOR) {
				json_out_key(o, "value");
				put_point(o, s->at[0], s->values[0]);
			} else {
				json_out_key(o, "values");
				json_out_array(o);
				for (size_t k = 0; k < s->n; k++)
					put_point(o, s->at[k], s->values[k]);
				json_out_end_array(o);
			}
			json_out_end_object(o);
		}
		json_out_end_array(o);
	}
	json_out_end_object(o);
}

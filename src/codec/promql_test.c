/* Expressions over a small data set, as a table: what they give, or why not. */
#include "codec/promql.h"

#include "base/base.h"
#include "base/test.h"

#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the data: a point each minute from 0 to 600 s ----------------------- */

struct series {
	const char *labels; /* name=value,... */
	double v[11];
	size_t n;
};

static const struct series data[] = {
	{ "__name__=temp,unit=home,device=cellar",
	    { 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 }, 11 },
	{ "__name__=temp,unit=home,device=attic",
	    { 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25 }, 11 },
	{ "__name__=temp,unit=shop,device=fridge",
	    { -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4.5 }, 11 },
	{ "__name__=requests_total,path=/a",
	    { 0, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600 }, 11 },
	{ "__name__=requests_total,path=/b",
	    { 0, 30, 60, 90, 120, 10, 40, 70, 100, 130, 160 }, 11 },
	{ "__name__=errors_total,path=/a", { 0, 0, 0, 0, 0, 6, 6, 6, 6, 6, 12 },
	    11 },
	{ "__name__=info,device=cellar,room=low",
	    { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, 11 },
	{ "__name__=info,device=attic,room=high",
	    { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, 11 },
	{ "__name__=stale,x=y", { 7, 8, 9 }, 3 },
	{ "__name__=unknown",
	    { NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN }, 11 },
};

static size_t
labels_of(const char *text, struct promql_label *ret)
{
	struct str rest = str_of(text);
	size_t n = 0;

	while (rest.len > 0) {
		struct str value = str_cut(&rest, ',');

		ret[n].name = str_cut(&value, '=');
		ret[n++].value = value;
	}
	return n;
}

static bool
matches(
    const struct promql_label *labels, size_t n, const struct promql_matcher *m)
{
	struct str value = STR("");
	char pattern[PROMQL_PATTERN_MAX + 8], text[64];
	regex_t re;
	bool same;

	for (size_t i = 0; i < n; i++)
		if (str_eq(labels[i].name, m->label))
			value = labels[i].value;
	if (m->op == PROMQL_EQ || m->op == PROMQL_NE)
		return str_eq(value, m->value) == (m->op == PROMQL_EQ);
	snprintf(
	    pattern, sizeof(pattern), "^(" STR_FMT ")$", STR_ARG(m->value));
	snprintf(text, sizeof(text), STR_FMT, STR_ARG(value));
	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	same = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return same == (m->op == PROMQL_RE);
}

static int
fetch(void *ctx, const struct promql_ask *ask, struct promql_sink *sink,
    struct err *err)
{
	(void)ctx;
	for (size_t i = 0; i < COUNT_OF(data); i++) {
		struct promql_label labels[8];
		size_t n = labels_of(data[i].labels, labels), k;

		for (k = 0; k < ask->n; k++)
			if (!matches(labels, n, &ask->match[k]))
				break;
		if (k < ask->n)
			continue;
		if (!promql_series(sink, labels, n))
			return err_set(err, ERR_INTERNAL, "not told");
		for (k = 0; k < data[i].n; k++) {
			int64_t at = (int64_t)k * 60000;

			if (at >= ask->from && at < ask->to &&
			    !promql_points(sink, &at, &data[i].v[k], NULL, 1))
				return err_set(err, ERR_INTERNAL, "not told");
		}
	}
	return 0;
}

static const struct promql_source source = { .fetch = fetch };

/* --- the table ----------------------------------------------------------- */

static void
put_series(struct buf *b, const struct promql_series *s, bool times)
{
	const char *sep = "";
	size_t from = 0;

	if (s->n_labels > 0 && str_eqz(s->labels[0].name, "__name__")) {
		buf_add_str(b, s->labels[0].value);
		from = 1;
	}
	if (s->n_labels > from) {
		buf_addc(b, '{');
		for (size_t i = from; i < s->n_labels; i++) {
			buf_addf(b, "%s" STR_FMT "=" STR_FMT, sep,
			    STR_ARG(s->labels[i].name),
			    STR_ARG(s->labels[i].value));
			sep = ",";
		}
		buf_addc(b, '}');
	}
	for (size_t i = 0; i < s->n; i++) {
		char text[40];

		if (b->len > 0 && b->ptr[b->len - 1] != ' ')
			buf_addc(b, ' ');
		/* what a test should say of a number */
		snprintf(text, sizeof(text), "%.10g", s->values[i]);
		buf_addz(b, isnan(s->values[i]) ? "NaN" : text);
		if (times)
			buf_addf(b, "@%lld", (long long)(s->at[i] / 1000));
	}
}

static void
answer(
    struct buf *b, const char *expr, int64_t start, int64_t end, int64_t step)
{
	const struct promql_run run = {
		.start = start, .end = end, .step = step
	};
	struct promql_result r;
	struct arena a = { 0 };
	struct promql *p;
	struct err err;

	if (promql_parse(&a, str_of(expr), &p, &err) != 0 ||
	    promql_eval(&a, p, &run, &source, &r, &err) != 0)
		buf_addf(b, "! %s", err.text);
	else if (r.type == PROMQL_STRING)
		buf_addf(b, "\"" STR_FMT "\"", STR_ARG(r.text));
	else
		for (size_t i = 0; i < r.n; i++) {
			if (i > 0)
				buf_addz(b, "; ");
			put_series(b, &r.series[i], r.type == PROMQL_MATRIX);
		}
	arena_fini(&a);
}

struct story {
	const char *expr, *want;
};

static void
tell(const struct story *s, size_t n, int64_t start, int64_t end, int64_t step)
{
	struct buf b = { 0 };
	size_t wrong = 0;

	for (size_t i = 0; i < n; i++) {
		buf_clear(&b);
		answer(&b, s[i].expr, start, end, step);
		if (strcmp(buf_z(&b), s[i].want) != 0) {
			print_error("%s\n  gives %s\n  not   %s\n", s[i].expr,
			    buf_z(&b), s[i].want);
			wrong++;
		}
	}
	buf_free(&b);
	assert_int_equal(wrong, 0);
}

/* At 600 s. */
static const struct story instants[] = {
	{ "1+1", "2" },
	{ "2 ^ 3 ^ 2", "512" },
	{ "-2 ^ 2", "-4" },
	{ "2 ^ -1", "0.5" },
	{ "-1 - -1", "0" },
	{ "10 % 4", "2" },
	{ "-7 % 4", "-3" },
	{ "1 / 0", "inf" },
	{ "-1 / 0", "-inf" },
	{ "0 / 0", "NaN" },
	{ "1 + 2 * 3", "7" },
	{ "(1 + 2) * 3", "9" },
	{ "0x1F", "31" },
	{ "1e3", "1000" },
	{ ".5", "0.5" },
	{ "Inf", "inf" },
	{ "-inf", "-inf" },
	{ "NaN", "NaN" },
	{ "5m", "300" },
	{ "1h30m + 1", "5401" },
	{ "1 == bool 1", "1" },
	{ "1 > bool 2", "0" },
	{ "1 != bool NaN", "1" },
	{ "\"a text\"", "\"a text\"" },
	{ "'it\\'s'", "\"it's\"" },
	{ "`raw\\n`", "\"raw\\n\"" },
	{ "# a comment\n1 + # and another\n 2", "3" },
	{ "temp",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20; temp{device=fridge,unit=shop} -4.5" },
	{ "temp{device=\"cellar\"}", "temp{device=cellar,unit=home} 20" },
	{ "temp{device!=\"cellar\"}",
	    "temp{device=attic,unit=home} 25; temp{device=fridge,unit=shop}"
	    " -4.5" },
	{ "temp{device=~\"c.*\"}", "temp{device=cellar,unit=home} 20" },
	{ "temp{device!~\"c.*\"}",
	    "temp{device=attic,unit=home} 25; temp{device=fridge,unit=shop}"
	    " -4.5" },
	{ "temp{device=~\"cellar|attic\",unit=\"home\"}",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20" },
	{ "temp{device=~\"ell\"}", "" },
	{ "{__name__=~\"in.*\"}",
	    "info{device=attic,room=high} 1; info{device=cellar,room=low} "
	    "1" },
	{ "{__name__=\"temp\",unit=\"shop\"}",
	    "temp{device=fridge,unit=shop} -4.5" },
	{ "temp{room=\"\"}",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20; temp{device=fridge,unit=shop} -4.5" },
	{ "info{room!=\"\"}",
	    "info{device=attic,room=high} 1; info{device=cellar,room=low} "
	    "1" },
	{ "temp{device=~\"\\\\w+ge\"}", "temp{device=fridge,unit=shop} -4.5" },
	{ "temp{device=~\"[^\\\\d]+\",unit!~\"s[h]op\"}",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20" },
	{ "temp{device=~\"(?:cel|at)[a-z]*?\"}",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20" },
	{ "nothing", "" },
	{ "stale", "" },
	{ "stale offset 5m", "stale{x=y} 9" },
	{ "temp{unit=\"shop\"} offset 1m", "temp{device=fridge,unit=shop} -4" },
	{ "temp{device=\"cellar\"} offset -1m",
	    "temp{device=cellar,unit=home} 20" },
	{ "temp{device=\"cellar\"}[2m]",
	    "temp{device=cellar,unit=home} 19@540 20@600" },
	{ "temp{device=\"cellar\"}[2m] offset 5m",
	    "temp{device=cellar,unit=home} 14@240 15@300" },
	{ "temp{device=\"cellar\"}[90]",
	    "temp{device=cellar,unit=home} 19@540 20@600" },
	{ "-temp{unit=\"home\"}",
	    "{device=attic,unit=home} -25; {device=cellar,unit=home} "
	    "-20" },
	{ "+temp{unit=\"shop\"}", "temp{device=fridge,unit=shop} -4.5" },
	{ "temp + 1",
	    "{device=attic,unit=home} 26; {device=cellar,unit=home} "
	    "21; {device=fridge,unit=shop} -3.5" },
	{ "1 - temp",
	    "{device=attic,unit=home} -24; {device=cellar,unit=home} "
	    "-19; {device=fridge,unit=shop} 5.5" },
	{ "temp * 2 + 1",
	    "{device=attic,unit=home} 51; {device=cellar,unit=home} "
	    "41; {device=fridge,unit=shop} -8" },
	{ "temp / 0",
	    "{device=attic,unit=home} inf; {device=cellar,unit=home} "
	    "inf; {device=fridge,unit=shop} -inf" },
	{ "2 ^ temp{device=\"cellar\"}", "{device=cellar,unit=home} 1048576" },
	{ "temp % 7",
	    "{device=attic,unit=home} 4; {device=cellar,unit=home} "
	    "6; {device=fridge,unit=shop} -4.5" },
	{ "temp > 20", "temp{device=attic,unit=home} 25" },
	{ "temp >= 20",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20" },
	{ "20 < temp", "temp{device=attic,unit=home} 25" },
	{ "temp == 20", "temp{device=cellar,unit=home} 20" },
	{ "temp != 20",
	    "temp{device=attic,unit=home} 25; temp{device=fridge,unit=shop}"
	    " -4.5" },
	{ "temp > bool 20",
	    "{device=attic,unit=home} 1; {device=cellar,unit=home} "
	    "0; {device=fridge,unit=shop} 0" },
	{ "temp < bool 0",
	    "{device=attic,unit=home} 0; {device=cellar,unit=home} "
	    "0; {device=fridge,unit=shop} 1" },
	{ "temp <= 20",
	    "temp{device=cellar,unit=home} 20; temp{device=fridge,unit=shop"
	    "} -4.5" },
	{ "sum(temp)", "40.5" },
	{ "avg(temp)", "13.5" },
	{ "min(temp)", "-4.5" },
	{ "max(temp)", "25" },
	{ "count(temp)", "3" },
	{ "group(temp)", "1" },
	{ "stddev(temp)", "12.89056503" },
	{ "stdvar(temp{unit=\"home\"})", "6.25" },
	{ "sum by (unit) (temp)", "{unit=home} 45; {unit=shop} -4.5" },
	{ "sum(temp) by (unit)", "{unit=home} 45; {unit=shop} -4.5" },
	{ "sum by (unit,) (temp)", "{unit=home} 45; {unit=shop} -4.5" },
	{ "sum by () (temp)", "40.5" },
	{ "sum without (device) (temp)", "{unit=home} 45; {unit=shop} -4.5" },
	{ "sum without () (temp)",
	    "{device=attic,unit=home} 25; {device=cellar,unit=home} "
	    "20; {device=fridge,unit=shop} -4.5" },
	{ "SUM BY (unit) (temp)", "{unit=home} 45; {unit=shop} -4.5" },
	{ "count by (nothing) (temp)", "3" },
	{ "count(nothing)", "" },
	{ "sum by (unit, device) (temp)",
	    "{device=attic,unit=home} 25; {device=cellar,unit=home} "
	    "20; {device=fridge,unit=shop} -4.5" },
	{ "quantile(0.5, temp)", "20" },
	{ "quantile(0.25, temp)", "7.75" },
	{ "quantile(2, temp)", "inf" },
	{ "quantile(-1, temp)", "-inf" },
	{ "topk(2, temp)",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20" },
	{ "topk(1, temp) by (unit)",
	    "temp{device=attic,unit=home} 25; temp{device=fridge,unit=shop}"
	    " -4.5" },
	{ "bottomk(1, temp)", "temp{device=fridge,unit=shop} -4.5" },
	{ "bottomk(9, temp)",
	    "temp{device=fridge,unit=shop} -4.5; temp{device=cellar,unit=ho"
	    "me} 20; temp{device=attic,unit=home} 25" },
	{ "topk(0, temp)", "" },
	{ "avg(unknown)", "NaN" },
	{ "max({__name__=~\"unknown|info\"})", "1" },
	{ "sum({__name__=~\"unknown|info\"})", "NaN" },
	{ "rate(requests_total[5m])", "{path=/a} 1; {path=/b} 0.5" },
	{ "increase(requests_total[5m])", "{path=/a} 300; {path=/b} 150" },
	{ "rate(requests_total[10m])", "{path=/a} 1; {path=/b} 0.462962963" },
	{ "irate(requests_total[5m])", "{path=/a} 1; {path=/b} 0.5" },
	{ "increase(errors_total[5m])", "{path=/a} 7.5" },
	{ "rate(requests_total[30s])", "" },
	{ "rate(requests_total{path=\"/a\"}[5m] offset "
	  "5m)",
	    "{path=/a} 1" },
	{ "delta(temp[5m])",
	    "{device=attic,unit=home} -5; {device=cellar,unit=home} "
	    "5; {device=fridge,unit=shop} -0.625" },
	{ "idelta(temp[5m])",
	    "{device=attic,unit=home} -1; {device=cellar,unit=home} "
	    "1; {device=fridge,unit=shop} -0.5" },
	{ "deriv(temp{device=\"cellar\"}[5m])",
	    "{device=cellar,unit=home} 0.01666666667" },
	{ "changes(temp[10m])",
	    "{device=attic,unit=home} 9; {device=cellar,unit=home} "
	    "9; {device=fridge,unit=shop} 1" },
	{ "resets(requests_total[10m])", "{path=/a} 0; {path=/b} 1" },
	{ "avg_over_time(temp[5m])",
	    "{device=attic,unit=home} 27; {device=cellar,unit=home} "
	    "18; {device=fridge,unit=shop} -4.1" },
	{ "min_over_time(temp[5m])",
	    "{device=attic,unit=home} 25; {device=cellar,unit=home} "
	    "16; {device=fridge,unit=shop} -4.5" },
	{ "max_over_time(temp[5m])",
	    "{device=attic,unit=home} 29; {device=cellar,unit=home} "
	    "20; {device=fridge,unit=shop} -4" },
	{ "sum_over_time(temp[5m])",
	    "{device=attic,unit=home} 135; {device=cellar,unit=home} "
	    "90; {device=fridge,unit=shop} -20.5" },
	{ "count_over_time(temp[5m])",
	    "{device=attic,unit=home} 5; {device=cellar,unit=home} "
	    "5; {device=fridge,unit=shop} 5" },
	{ "count_over_time(stale[10m])", "{x=y} 2" },
	{ "last_over_time(temp[5m])",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20; temp{device=fridge,unit=shop} -4.5" },
	{ "last_over_time(stale[20m])", "stale{x=y} 9" },
	{ "quantile_over_time(0.5, temp[5m])",
	    "{device=attic,unit=home} 27; {device=cellar,unit=home} "
	    "18; {device=fridge,unit=shop} -4" },
	{ "quantile_over_time(1, temp[5m])",
	    "{device=attic,unit=home} 29; {device=cellar,unit=home} "
	    "20; {device=fridge,unit=shop} -4" },
	{ "stddev_over_time(temp[5m])",
	    "{device=attic,unit=home} 1.414213562; {device=cellar,unit=home"
	    "} 1.414213562; {device=fridge,unit=shop} "
	    "0.2" },
	{ "stdvar_over_time(temp[5m])",
	    "{device=attic,unit=home} 2; {device=cellar,unit=home} "
	    "2; {device=fridge,unit=shop} 0.04" },
	{ "present_over_time(temp[5m])",
	    "{device=attic,unit=home} 1; {device=cellar,unit=home} "
	    "1; {device=fridge,unit=shop} 1" },
	{ "present_over_time(nothing[5m])", "" },
	{ "absent(temp)", "" },
	{ "absent(nothing)", "1" },
	{ "absent(nothing{a=\"b\",c=~\"d\"})", "{a=b} 1" },
	{ "absent(nothing{a=\"b\",a=\"c\",e=\"f\"})", "{e=f} 1" },
	{ "absent(sum(nothing{a=\"b\"}))", "1" },
	{ "absent_over_time(nothing{a=\"b\"}[5m])", "{a=b} 1" },
	{ "absent_over_time(temp[5m])", "" },
	{ "abs(temp)",
	    "{device=attic,unit=home} 25; {device=cellar,unit=home} "
	    "20; {device=fridge,unit=shop} 4.5" },
	{ "ceil(temp{unit=\"shop\"})", "{device=fridge,unit=shop} -4" },
	{ "floor(temp{unit=\"shop\"})", "{device=fridge,unit=shop} -5" },
	{ "round(temp{unit=\"shop\"})", "{device=fridge,unit=shop} -4" },
	{ "round(temp / 7)",
	    "{device=attic,unit=home} 4; {device=cellar,unit=home} "
	    "3; {device=fridge,unit=shop} -1" },
	{ "round(temp / 7, 0.1)",
	    "{device=attic,unit=home} 3.6; {device=cellar,unit=home} "
	    "2.9; {device=fridge,unit=shop} -0.6" },
	{ "round(temp, 10)",
	    "{device=attic,unit=home} 30; {device=cellar,unit=home} "
	    "20; {device=fridge,unit=shop} 0" },
	{ "clamp(temp, 0, 21)",
	    "{device=attic,unit=home} 21; {device=cellar,unit=home} "
	    "20; {device=fridge,unit=shop} 0" },
	{ "clamp(temp, 21, 0)", "" },
	{ "clamp_min(temp, 0)",
	    "{device=attic,unit=home} 25; {device=cellar,unit=home} "
	    "20; {device=fridge,unit=shop} 0" },
	{ "clamp_max(temp, 0)",
	    "{device=attic,unit=home} 0; {device=cellar,unit=home} "
	    "0; {device=fridge,unit=shop} -4.5" },
	{ "sqrt(temp)",
	    "{device=attic,unit=home} 5; {device=cellar,unit=home} "
	    "4.472135955; {device=fridge,unit=shop} NaN" },
	{ "exp(temp{unit=\"shop\"} * 0)", "{device=fridge,unit=shop} 1" },
	{ "ln(info)",
	    "{device=attic,room=high} 0; {device=cellar,room=low} "
	    "0" },
	{ "log2(info * 8)",
	    "{device=attic,room=high} 3; {device=cellar,room=low} "
	    "3" },
	{ "log10(info * 1000)",
	    "{device=attic,room=high} 3; {device=cellar,room=low} "
	    "3" },
	{ "sgn(temp)",
	    "{device=attic,unit=home} 1; {device=cellar,unit=home} "
	    "1; {device=fridge,unit=shop} -1" },
	{ "scalar(temp)", "NaN" },
	{ "scalar(temp{device=\"cellar\"})", "20" },
	{ "vector(3)", "3" },
	{ "vector(scalar(temp{device=\"cellar\"}) + "
	  "1)",
	    "21" },
	{ "time()", "600" },
	{ "time() - 1", "599" },
	{ "pi() > bool 3", "1" },
	{ "timestamp(temp)",
	    "{device=attic,unit=home} 600; {device=cellar,unit=home} "
	    "600; {device=fridge,unit=shop} 600" },
	{ "timestamp(stale offset 7m)", "{x=y} 120" },
	{ "timestamp(temp + 1)",
	    "{device=attic,unit=home} 600; {device=cellar,unit=home} "
	    "600; {device=fridge,unit=shop} 600" },
	{ "sort(temp)",
	    "temp{device=fridge,unit=shop} -4.5; temp{device=cellar,unit=ho"
	    "me} 20; temp{device=attic,unit=home} 25" },
	{ "sort_desc(temp)",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20; temp{device=fridge,unit=shop} -4.5" },
	{ "label_replace(temp, \"place\", \"$1\", \"device\", "
	  "\"(c.*)\")",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,place=cell"
	    "ar,unit=home} 20; temp{device=fridge,unit=shop} "
	    "-4.5" },
	{ "label_replace(temp{unit=\"shop\"}, \"device\", "
	  "\"\", \"device\", \".*\")",
	    "temp{unit=shop} -4.5" },
	{ "label_replace(temp{unit=\"shop\"}, \"x\", "
	  "\"${1}-$2-$$\", \"device\", \"(f)(.*)ge\")",
	    "temp{device=fridge,unit=shop,x=f-rid-$} "
	    "-4.5" },
	{ "label_replace(temp{unit=\"shop\"}, \"x\", "
	  "\"new\", \"none\", \"\")",
	    "temp{device=fridge,unit=shop,x=new} -4.5" },
	{ "label_replace(temp{unit=\"shop\"}, \"__name__\", "
	  "\"kelvin\", \"device\", \".*\")",
	    "kelvin{device=fridge,unit=shop} -4.5" },
	{ "label_replace(temp, \"device\", \"same\", "
	  "\"device\", \".*\")",
	    "! vector cannot contain metrics with the "
	    "same labelset" },
	{ "label_replace(temp, \"1x\", \"same\", \"device\", "
	  "\".*\")",
	    "! invalid destination label name in label_replace(): "
	    "1x" },
	{ "temp + temp",
	    "{device=attic,unit=home} 50; {device=cellar,unit=home} "
	    "40; {device=fridge,unit=shop} -9" },
	{ "temp - temp offset 5m",
	    "{device=attic,unit=home} -5; {device=cellar,unit=home} "
	    "5; {device=fridge,unit=shop} -0.5" },
	{ "temp * on (device) info", "{device=attic} 25; {device=cellar} 20" },
	{ "temp * on (device) group_left (room) info",
	    "{device=attic,room=high,unit=home} 25; {device=cellar,room=low"
	    ",unit=home} 20" },
	{ "info * on (device) group_right (room) temp",
	    "{device=attic,room=high,unit=home} 25; {device=cellar,room=low"
	    ",unit=home} 20" },
	{ "temp * ignoring (unit, room) info",
	    "{device=attic} 25; {device=cellar} 20" },
	{ "temp{unit=\"home\"} * on (device) group_left "
	  "info",
	    "{device=attic,unit=home} 25; {device=cellar,unit=home} "
	    "20" },
	{ "temp * on (unit) info",
	    "! found duplicate series for the match group "
	    "{} on the right hand-side of the operation: "
	    "[{__name__=\"info\", device=\"attic\", room=\"high\"}, "
	    "{__name__=\"info\", device=\"cellar\", room=\"low\"}];many-to-"
	    "many ma" },
	{ "temp / on () group_left sum(temp)",
	    "{device=attic,unit=home} 0.6172839506; {device=cellar,unit=hom"
	    "e} 0.4938271605; {device=fridge,unit=shop} "
	    "-0.1111111111" },
	{ "temp / ignoring (device, unit) group_left "
	  "() sum(temp)",
	    "{device=attic,unit=home} 0.6172839506; {device=cellar,unit=hom"
	    "e} 0.4938271605; {device=fridge,unit=shop} "
	    "-0.1111111111" },
	{ "sum(temp) / count(temp)", "13.5" },
	{ "errors_total / requests_total", "{path=/a} 0.02" },
	{ "errors_total / ignoring () requests_total", "{path=/a} 0.02" },
	{ "errors_total / on (path) requests_total", "{path=/a} 0.02" },
	{ "requests_total > errors_total", "requests_total{path=/a} 600" },
	{ "requests_total{path=\"/a\"} > on (path) "
	  "errors_total",
	    "{path=/a} 600" },
	{ "requests_total > bool errors_total", "{path=/a} 1" },
	{ "temp > on (device) group_left (room) info "
	  "* 20",
	    "temp{device=attic,room=high,unit=home} 25" },
	{ "info < on (device) group_right temp",
	    "temp{device=attic,unit=home} 1; temp{device=cellar,unit=home} "
	    "1" },
	{ "temp * on (unit) group_left temp",
	    "! found duplicate series for the match group "
	    "{unit=\"home\"} on the right hand-side of "
	    "the operation: [{__name__=\"temp\", device=\"attic\", "
	    "unit=\"home\"}, {__name__=\"temp\", device=\"cellar\", "
	    "unit=\"home\"}];man" },
	{ "temp * on (unit) temp",
	    "! found duplicate series for the match group "
	    "{unit=\"home\"} on the right hand-side of "
	    "the operation: [{__name__=\"temp\", device=\"attic\", "
	    "unit=\"home\"}, {__name__=\"temp\", device=\"cellar\", "
	    "unit=\"home\"}];man" },
	{ "sum by (unit) (temp) * on (unit) temp",
	    "! found duplicate series for the match group "
	    "{unit=\"home\"} on the right hand-side of "
	    "the operation: [{__name__=\"temp\", device=\"attic\", "
	    "unit=\"home\"}, {__name__=\"temp\", device=\"cellar\", "
	    "unit=\"home\"}];man" },
	{ "temp and info", "" },
	{ "temp and on (device) info",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20" },
	{ "temp unless on (device) info",
	    "temp{device=fridge,unit=shop} -4.5" },
	{ "temp or info",
	    "info{device=attic,room=high} 1; info{device=cellar,room=low} "
	    "1; temp{device=attic,unit=home} 25; temp{device=cellar,unit=ho"
	    "me} 20; temp{device=fridge,unit=shop} -4.5" },
	{ "temp or on (device) info",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20; temp{device=fridge,unit=shop} -4.5" },
	{ "info or on (device) temp",
	    "info{device=attic,room=high} 1; info{device=cellar,room=low} "
	    "1; temp{device=fridge,unit=shop} -4.5" },
	{ "temp and on () vector(1)",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20; temp{device=fridge,unit=shop} -4.5" },
	{ "temp > 20 or temp < 0",
	    "temp{device=attic,unit=home} 25; temp{device=fridge,unit=shop}"
	    " -4.5" },
	{ "nothing or vector(0)", "0" },
	{ "sum(nothing) or vector(0)", "0" },
	{ "temp unless temp > 20",
	    "temp{device=cellar,unit=home} 20; temp{device=fridge,unit=shop"
	    "} -4.5" },
	{ "{__name__=~\"temp|info\"} * 0",
	    "{device=attic,room=high} 0; {device=attic,unit=home} "
	    "0; {device=cellar,room=low} 0; {device=cellar,unit=home} "
	    "0; {device=fridge,unit=shop} -0" },
	{ "(temp)",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20; temp{device=fridge,unit=shop} -4.5" },
	{ "((temp{unit=\"shop\"}))", "temp{device=fridge,unit=shop} -4.5" },
	{ "temp{unit=\"home\",}",
	    "temp{device=attic,unit=home} 25; temp{device=cellar,unit=home}"
	    " 20" },
	{ "sum(rate(requests_total[5m])) by (path) "
	  "* 60",
	    "{path=/a} 60; {path=/b} 30" },
	{ "100 * (1 - avg(info))", "0" },
	{ "topk(1, rate(requests_total[5m]))", "{path=/a} 1" },
	{ "temp > 0 < 21", "temp{device=cellar,unit=home} 20" },
	{ "temp{device=\"cellar\"} == 20 == bool 20",
	    "{device=cellar,unit=home} 1" },
	{ "1 + temp{unit=\"shop\"} atan2 1",
	    "{device=fridge,unit=shop} -0.3521273809" },
	{ "sum(",
	    "! parse error at char 5: unexpected end "
	    "of input" },
	{ "sum()",
	    "! parse error at char 1: no arguments for "
	    "aggregate expression provided" },
	{ "temp{",
	    "! parse error at char 6: unexpected end "
	    "of input in label matching, expected identifier "
	    "or \"}\"" },
	{ "temp{device}",
	    "! parse error at char 12: unexpected \"}\" "
	    "in label matching, expected label matching "
	    "operator" },
	{ "temp{device=cellar}",
	    "! parse error at char 13: unexpected identifier "
	    "\"cellar\" in label matching, expected string" },
	{ "temp{device=\"cellar\"",
	    "! parse error at char 21: unexpected end "
	    "of input in label matching, expected \",\" "
	    "or \"}\"" },
	{ "temp{\"cellar\"}",
	    "! parse error at char 6: unexpected string "
	    "\"cellar\" in label matching, expected identifier "
	    "or \"}\"" },
	{ "temp}", "! parse error at char 5: unexpected \"}\"" },
	{ "{}",
	    "! parse error at char 1: vector selector "
	    "must contain at least one non-empty matcher" },
	{ "{device=\"\"}",
	    "! parse error at char 1: vector selector "
	    "must contain at least one non-empty matcher" },
	{ "{device=~\".*\"}",
	    "! parse error at char 1: vector selector "
	    "must contain at least one non-empty matcher" },
	{ "temp{device=~\"(\"}",
	    "! parse error at char 14: error parsing "
	    "regexp, or not supported: `(`" },
	{ "temp{device=~\"a{2}\"}",
	    "! parse error at char 14: error parsing "
	    "regexp, or not supported: `a{2}`" },
	{ "temp{device=~\"(?i)x\"}",
	    "! parse error at char 14: error parsing "
	    "regexp, or not supported: `(?i)x`" },
	{ "temp{__name__=\"x\"}",
	    "! parse error at char 1: metric name must "
	    "not be set twice: \"temp\" or \"x\"" },
	{ "temp[5m]",
	    "temp{device=attic,unit=home} 29@360 28@420 "
	    "27@480 26@540 25@600; temp{device=cellar,unit=home} "
	    "16@360 17@420 18@480 19@540 20@600; temp{device=fridge,unit=sh"
	    "op} -4@360 -4@420 -4@480 -4@540 -4.5@600" },
	{ "temp[5m",
	    "! parse error at char 8: unexpected end "
	    "of input in range selector, expected \"]\"" },
	{ "temp[0s]",
	    "! parse error at char 5: duration must be "
	    "greater than 0" },
	{ "temp[-5m]",
	    "! parse error at char 6: unexpected \"-\" "
	    "in range selector, expected duration" },
	{ "temp[5x]",
	    "! parse error at char 6: bad number or duration "
	    "syntax: \"5x\"" },
	{ "temp[5m][5m]",
	    "! parse error at char 9: ranges only allowed "
	    "for vector selectors" },
	{ "temp[5m:1m]",
	    "temp{device=attic,unit=home} 29@360 28@420 "
	    "27@480 26@540 25@600; temp{device=cellar,unit=home} "
	    "16@360 17@420 18@480 19@540 20@600; temp{device=fridge,unit=sh"
	    "op} -4@360 -4@420 -4@480 -4@540 -4.5@600" },
	{ "sum(temp)[5m]",
	    "! parse error at char 10: ranges only allowed "
	    "for vector selectors" },
	{ "temp @ 5",
	    "! parse error at char 6: @ modifier is not "
	    "supported" },
	{ "temp offset",
	    "! parse error at char 12: unexpected end "
	    "of input in offset, expected duration" },
	{ "sum(temp) offset 5m",
	    "! parse error at char 11: offset modifier "
	    "must be preceded by an instant vector selector "
	    "or range vector selector or a subquery" },
	{ "temp offset 1m offset 2m",
	    "! parse error at char 16: offset may not "
	    "be set multiple times" },
	{ "temp offset 1m [5m]",
	    "! parse error at char 16: no offset modifiers "
	    "allowed before range" },
	{ "rate(temp)",
	    "! parse error at char 6: expected type range "
	    "vector in call to function \"rate\", got "
	    "instant vector" },
	{ "abs(temp[5m])",
	    "! parse error at char 5: expected type instant "
	    "vector in call to function \"abs\", got "
	    "range vector" },
	{ "sum(temp[5m])",
	    "! parse error at char 5: expected type instant "
	    "vector in aggregation expression, got range "
	    "vector" },
	{ "sum(1)",
	    "! parse error at char 5: expected type instant "
	    "vector in aggregation expression, got scalar" },
	{ "abs(1)",
	    "! parse error at char 5: expected type instant "
	    "vector in call to function \"abs\", got "
	    "scalar" },
	{ "abs()",
	    "! parse error at char 1: expected 1 argument(s) "
	    "in call to \"abs\", got 0" },
	{ "abs(temp, 1)",
	    "! parse error at char 1: expected 1 argument(s) "
	    "in call to \"abs\", got 2" },
	{ "round(temp, temp)",
	    "! parse error at char 13: expected type "
	    "scalar in call to function \"round\", got "
	    "instant vector" },
	{ "clamp(temp)",
	    "! parse error at char 1: expected 3 argument(s) "
	    "in call to \"clamp\", got 1" },
	{ "foo(temp)",
	    "! parse error at char 1: unknown function "
	    "with name \"foo\"" },
	{ "topk(temp)",
	    "! parse error at char 6: expected type scalar "
	    "in aggregation parameter, got instant vector" },
	{ "topk(\"a\", temp)",
	    "! parse error at char 6: expected type scalar "
	    "in aggregation parameter, got string" },
	{ "1 +",
	    "! parse error at char 4: unexpected end "
	    "of input" },
	{ "1 + + 1", "2" },
	{ "* 1", "! parse error at char 1: unexpected \"*\"" },
	{ "1 1",
	    "! parse error at char 3: unexpected number "
	    "\"1\"" },
	{ "temp temp",
	    "! parse error at char 6: unexpected identifier "
	    "\"temp\"" },
	{ "1 == 1",
	    "! parse error at char 1: comparisons between "
	    "scalars must use BOOL modifier" },
	{ "temp + bool 1",
	    "! parse error at char 8: bool modifier can "
	    "only be used on comparison operators" },
	{ "1 and 2",
	    "! parse error at char 1: set operator \"and\" "
	    "not allowed in binary scalar expression" },
	{ "temp and 1",
	    "! parse error at char 1: set operator \"and\" "
	    "not allowed in binary scalar expression" },
	{ "1 + on (a) temp",
	    "! parse error at char 1: vector matching "
	    "only allowed between instant vectors" },
	{ "temp and on (a) group_left temp",
	    "! parse error at char 17: no grouping allowed "
	    "for set operation" },
	{ "temp + on (a) group_left (a) temp",
	    "! parse error at char 1: label \"a\" must "
	    "not occur in ON and GROUP clause at once" },
	{ "\"a\" + 1",
	    "! parse error at char 1: binary expression "
	    "must contain only scalar and instant vector "
	    "types" },
	{ "temp[5m] + 1",
	    "! parse error at char 1: binary expression "
	    "must contain only scalar and instant vector "
	    "types" },
	{ "-\"a\"",
	    "! parse error at char 1: unary expression "
	    "only allowed on expressions of type scalar "
	    "or instant vector, got string" },
	{ "-temp[5m]",
	    "! parse error at char 1: unary expression "
	    "only allowed on expressions of type scalar "
	    "or instant vector, got range vector" },
	{ "\"open",
	    "! parse error at char 1: unterminated quoted "
	    "string" },
	{ "'bad \\q'",
	    "! parse error at char 7: unknown escape "
	    "sequence" },
	{ "\"\\xff\"",
	    "! parse error at char 1: a string that is "
	    "no UTF-8 text" },
	{ "1h5h",
	    "! parse error at char 1: bad number or duration "
	    "syntax: \"1h5h\"" },
	{ "1.2.3",
	    "! parse error at char 1: bad number or duration "
	    "syntax: \"1.2.3\"" },
	{ "09x",
	    "! parse error at char 1: bad number or duration "
	    "syntax: \"09x\"" },
	{ "temp $",
	    "! parse error at char 6: unexpected character: "
	    "'$'" },
	{ "temp!",
	    "! parse error at char 5: unexpected character: "
	    "'!'" },
	{ "sum by unit (temp)",
	    "! parse error at char 8: unexpected identifier "
	    "\"unit\" in grouping opts, expected \"(\"" },
	{ "sum by (1) (temp)",
	    "! parse error at char 9: unexpected number "
	    "\"1\" in grouping opts, expected label" },
	{ "ä",
	    "! parse error at char 1: unexpected character: "
	    "'\\xc3'" },
	{ "=", "! parse error at char 1: unexpected \"=\"" },
	{ "()", "! parse error at char 2: unexpected \")\"" },
	{ "temp[5m:2m]",
	    "temp{device=attic,unit=home} 29@360 27@480 "
	    "25@600; temp{device=cellar,unit=home} 16@360 "
	    "18@480 20@600; temp{device=fridge,unit=shop} "
	    "-4@360 -4@480 -4.5@600" },
	{ "temp{unit=\"home\"}[5m:]",
	    "temp{device=attic,unit=home} 29@360 28@420 "
	    "27@480 26@540 25@600; temp{device=cellar,unit=home} "
	    "16@360 17@420 18@480 19@540 20@600" },
	{ "avg_over_time(temp[5m:1m])",
	    "{device=attic,unit=home} 27; {device=cellar,unit=home} "
	    "18; {device=fridge,unit=shop} -4.1" },
	{ "max_over_time(rate(requests_total[2m])[8m:1m])",
	    "{path=/a} 1; {path=/b} 0.5" },
	{ "max_over_time(sum(temp)[5m:1m])", "41" },
	{ "sum_over_time((temp > 15)[5m:1m])",
	    "{device=attic,unit=home} 135; {device=cellar,unit=home} "
	    "90" },
	{ "rate(requests_total[5m:30s])",
	    "{path=/a} 1.111111111; {path=/b} 0.5333333333" },
	{ "count_over_time(stale[10m:1m])", "{x=y} 6" },
	{ "sum_over_time(vector(1)[5m:30s])", "10" },
	{ "last_over_time(temp{unit=\"shop\"}[3m:1m] "
	  "offset 2m)",
	    "temp{device=fridge,unit=shop} -4" },
	{ "avg_over_time(avg_over_time(temp{unit=\"shop\"}[2m:1m])[3m:1m]"
	  ")",
	    "{device=fridge,unit=shop} -4.083333333" },
	{ "temp offset 1m [5m:1m]",
	    "temp{device=attic,unit=home} 30@360 29@420 "
	    "28@480 27@540 26@600; temp{device=cellar,unit=home} "
	    "15@360 16@420 17@480 18@540 19@600; temp{device=fridge,unit=sh"
	    "op} -4@360 -4@420 -4@480 -4@540 -4@600" },
	{ "sum(temp)[3m:1m]", "41@480 41@540 40.5@600" },
	{ "deriv((temp * 2)[5m:1m])",
	    "{device=attic,unit=home} -0.03333333333; "
	    "{device=cellar,unit=home} 0.03333333333; "
	    "{device=fridge,unit=shop} -0.003333333333" },
	{ "quantile_over_time(0.5, temp[5m:1m])",
	    "{device=attic,unit=home} 27; {device=cellar,unit=home} "
	    "18; {device=fridge,unit=shop} -4" },
	{ "timestamp(temp{device=\"attic\"})[3m:1m]",
	    "{device=attic,unit=home} 480@480 540@540 "
	    "600@600" },
	{ "min_over_time(time()[3m:45s])",
	    "! parse error at char 15: subquery is only "
	    "allowed on instant vector, got scalar" },
	{ "absent_over_time(nothing[5m:1m])", "1" },
	{ "temp[5m][5m:1m]",
	    "! parse error at char 1: subquery is only "
	    "allowed on instant vector, got range vector" },
	{ "temp[5m:1m][5m:1m]",
	    "! parse error at char 1: subquery is only "
	    "allowed on instant vector, got range vector" },
	{ "temp[5m:",
	    "! parse error at char 9: unexpected end "
	    "of input in subquery selector, expected "
	    "duration" },
	{ "temp[5m:1m",
	    "! parse error at char 11: unexpected end "
	    "of input in range selector, expected \"]\"" },
	{ "temp[5m:0s]",
	    "! parse error at char 5: duration must be "
	    "greater than 0" },
	{ "1[5m:1m]",
	    "! parse error at char 1: subquery is only "
	    "allowed on instant vector, got scalar" },
	{ "\"a\"[5m:1m]",
	    "! parse error at char 1: subquery is only "
	    "allowed on instant vector, got string" },
	{ "sum_over_time(temp[5m:1m]) + temp[5m:1m]",
	    "! parse error at char 30: binary expression "
	    "must contain only scalar and instant vector "
	    "types" },
	{ "temp[:1m]",
	    "! parse error at char 6: unexpected \":\" "
	    "in range selector, expected duration" },
	{ "a:b[5m]", "" },
	{ "sum by (a:b) (temp)",
	    "! parse error at char 9: unexpected identifier "
	    "\"a:b\" in grouping opts, expected label" },
	{ "temp{a:b=\"c\"}",
	    "! parse error at char 7: unexpected \":\" "
	    "in label matching, expected label matching "
	    "operator" },
};

/* From 0 to 600 s, each 300 s. */
static const struct story ranges[] = {
	{ "max_over_time(sum(temp{unit=\"home\"})[2m:1m])",
	    "45@0 45@300 45@600" },
	{ "1", "1@0 1@300 1@600" },
	{ "temp{unit=\"home\"}",
	    "temp{device=attic,unit=home} 35@0 30@300 "
	    "25@600; temp{device=cellar,unit=home} 10@0 "
	    "15@300 20@600" },
	{ "stale", "stale{x=y} 7@0 9@300" },
	{ "time()", "0@0 300@300 600@600" },
	{ "sum by (unit) (temp)",
	    "{unit=home} 45@0 45@300 45@600; {unit=shop} "
	    "-4@0 -4@300 -4.5@600" },
	{ "rate(requests_total[5m])",
	    "{path=/a} 1@300 1@600; {path=/b} 0.4166666667@300 "
	    "0.5@600" },
	{ "increase(requests_total[1m])", "" },
	{ "avg_over_time(temp{device=\"cellar\"}[5m])",
	    "{device=cellar,unit=home} 10@0 13@300 18@600" },
	{ "temp{device=\"cellar\"} > 12",
	    "temp{device=cellar,unit=home} 15@300 20@600" },
	{ "temp{device=\"cellar\"} offset 5m",
	    "temp{device=cellar,unit=home} 10@300 15@600" },
	{ "absent(stale)", "1@600" },
	{ "absent_over_time(stale[1m])", "1@300 1@600" },
	{ "topk(1, temp{unit=\"home\"})",
	    "temp{device=attic,unit=home} 35@0 30@300 "
	    "25@600" },
	{ "bottomk(1, temp{unit=\"home\"} * (1 - 2 "
	  "* (time() > bool 0)))",
	    "{device=attic,unit=home} -30@300 -25@600; "
	    "{device=cellar,unit=home} 10@0" },
	{ "temp{device=\"cellar\"} < 15 or temp{device=\"attic\"} "
	  "< 30",
	    "temp{device=attic,unit=home} 25@600; temp{device=cellar,unit=h"
	    "ome} 10@0" },
	{ "temp{device=\"cellar\"} + on () group_left "
	  "vector(time())",
	    "{device=cellar,unit=home} 10@0 315@300 620@600" },
	{ "scalar(stale)", "7@0 9@300 NaN@600" },
	{ "stale or on () temp{device=\"fridge\"}",
	    "stale{x=y} 7@0 9@300; temp{device=fridge,unit=shop} "
	    "-4.5@600" },
	{ "count_over_time(stale[5m])", "{x=y} 1@0 2@300" },
	{ "timestamp(stale)", "{x=y} 0@0 120@300" },
	{ "sort(temp{unit=\"shop\"})",
	    "temp{device=fridge,unit=shop} -4@0 -4@300 "
	    "-4.5@600" },
	{ "temp{unit=\"home\"} unless on () (stale "
	  "> 8)",
	    "temp{device=attic,unit=home} 35@0 25@600; "
	    "temp{device=cellar,unit=home} 10@0 20@600" },
	{ "\"a text\"",
	    "! invalid expression type \"string\" for "
	    "range query, must be Scalar or instant Vector" },
	{ "temp[5m]",
	    "! invalid expression type \"range vector\" "
	    "for range query, must be Scalar or instant "
	    "Vector" },
	{ "nothing", "" },
	{ "max(temp) - min(temp)", "39@0 34@300 29.5@600" },
	{ "clamp(temp{device=\"cellar\"}, 11, 18)",
	    "{device=cellar,unit=home} 11@0 15@300 18@600" },
	{ "label_replace(stale, \"__name__\", \"other\", "
	  "\"x\", \"y\") or stale",
	    "other{x=y} 7@0 9@300" },
	{ "quantile_over_time(scalar(temp{device=\"fridge\"}) "
	  "* 0 + 1, temp{device=\"cellar\"}[5m])",
	    "{device=cellar,unit=home} 10@0 15@300 20@600" },
};

static void
expressions_give_what_prometheus_would(void **state)
{
	(void)state;
	tell(instants, COUNT_OF(instants), 600000, 600000, 0);
	tell(ranges, COUNT_OF(ranges), 0, 600000, 300000);
}

/* --- what it takes ------------------------------------------------------- */

static int
eval(struct arena *a, const char *expr, const struct promql_run *run,
    const struct promql_source *from, struct promql_result *r, struct err *err)
{
	struct promql *p;

	assert_int_equal(promql_parse(a, str_of(expr), &p, err), 0);
	return promql_eval(a, p, run, from, r, err);
}

static void
a_series_has_as_many_points_as_prometheus_allows(void **state)
{
	struct promql_run run = { .end = 11000 * 1000, .step = 1000 };
	struct promql_result r;
	struct arena a = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(eval(&a, "1", &run, &source, &r, &err), 0);
	assert_int_equal(r.series[0].n, 11001);
	run.end += 1000;
	assert_int_equal(eval(&a, "1", &run, &source, &r, &err), ERR_PARAM);
	assert_non_null(strstr(err.text,
	    "exceeded maximum resolution of "
	    "11000 points per timeseries"));
	run.end = -1;
	assert_int_equal(eval(&a, "1", &run, &source, &r, &err), ERR_PARAM);
	arena_fini(&a);
}

static void
samples_and_series_are_bounded(void **state)
{
	struct promql_run run = {
		.start = 600000, .end = 600000, .samples_max = 30
	};
	struct promql_result r;
	struct arena a = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(
	    eval(&a, "sum_over_time(temp[5m])", &run, &source, &r, &err), 0);
	assert_int_equal(
	    eval(&a, "sum_over_time(temp[11m])", &run, &source, &r, &err),
	    ERR_LIMIT);
	assert_string_equal(err.text,
	    "query processing would load too many samples into memory in query "
	    "execution");
	run.samples_max = 0;
	run.series_max = 2;
	assert_int_equal(eval(&a, "info", &run, &source, &r, &err), 0);
	assert_int_equal(eval(&a, "temp", &run, &source, &r, &err), ERR_LIMIT);
	assert_int_equal(
	    eval(&a, "temp[5m]", &run, &source, &r, &err), ERR_LIMIT);
	assert_string_equal(err.text, "more than 2 series");
	arena_fini(&a);
}

static bool
at_once(void *ctx)
{
	(void)ctx;
	return true;
}

static int
refuse(void *ctx, const struct promql_ask *ask, struct promql_sink *sink,
    struct err *err)
{
	(void)ctx;
	(void)ask;
	(void)sink;
	return err_set(err, ERR_IO, "the disk is gone");
}

static void
time_and_source_may_end_it(void **state)
{
	const struct promql_source late = { fetch, at_once, NULL },
				   broken = { refuse, NULL, NULL };
	const struct promql_run run = { .start = 600000, .end = 600000 };
	struct promql_result r;
	struct arena a = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(
	    eval(&a, "sum(temp)", &run, &late, &r, &err), ERR_AGAIN);
	assert_string_equal(
	    err.text, "query timed out in expression evaluation");
	assert_int_equal(
	    eval(&a, "sum(temp)", &run, &broken, &r, &err), ERR_IO);
	assert_string_equal(err.text, "the disk is gone");
	arena_fini(&a);
}

static int
parse(struct arena *a, const struct buf *b, struct err *err)
{
	struct promql *p;

	return promql_parse(a, buf_str(b), &p, err);
}

static void
depth_and_length_are_bounded(void **state)
{
	static const char *const nests[] = { "(", "-", "abs(", "1+(", "1^" };
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(nests); i++) {
		buf_clear(&b);
		for (int k = 0; k < 1000; k++)
			buf_addz(&b, nests[i]);
		assert_int_equal(parse(&a, &b, &err), ERR_PARAM);
		assert_non_null(strstr(err.text, "nested more than"));
	}
	buf_clear(&b);
	for (int k = 0; k < 190; k++)
		buf_addz(&b, "1+");
	buf_addz(&b, "1");
	assert_int_equal(parse(&a, &b, &err), 0);
	buf_addz(&b, "+1+1+1+1+1+1+1+1+1+1+1+1+1");
	assert_int_equal(parse(&a, &b, &err), ERR_PARAM);
	while (b.len <= PROMQL_LENGTH_MAX)
		buf_addc(&b, ' ');
	assert_int_equal(parse(&a, &b, &err), ERR_PARAM);
	assert_non_null(strstr(err.text, "longer than 32768 bytes"));
	buf_free(&b);
	arena_fini(&a);
}

/* --- selectors ----------------------------------------------------------- */

static void
a_matcher_can_be_put_on_every_selector(void **state)
{
	const struct promql_matcher home = { STR("unit"), PROMQL_RE,
		STR("home|x") };
	const struct promql_run run = { .start = 600000, .end = 600000 };
	struct promql_result r;
	struct arena a = { 0 };
	struct promql *p;
	struct err err;

	(void)state;
	assert_int_equal(
	    promql_parse(&a,
		STR("clamp(count(temp) + on () count(-temp{device!=\"\"}) + on "
		    "() count(count_over_time(temp{unit=~\".+\"}[5m])), "
		    "scalar(temp{unit=\"shop\"}) > bool 0, 100)"),
		&p, &err),
	    0);
	promql_restrict(&a, p, &home);
	assert_int_equal(promql_eval(&a, p, &run, &source, &r, &err), 0);
	assert_int_equal(r.n, 1);
	assert_true(r.series[0].values[0] == 6);
	arena_fini(&a);
}

static void
a_selector_alone_is_read(void **state)
{
	struct promql_matcher *m;
	struct arena a = { 0 };
	struct err err;
	size_t n;

	(void)state;
	assert_int_equal(promql_parse_selector(&a,
			     STR("up{a!=\"b\",c=~\"\\\\d\"}"), &m, &n, &err),
	    0);
	assert_int_equal(n, 3);
	assert_str(m[0].label, "__name__");
	assert_str(m[0].value, "up");
	assert_int_equal(m[1].op, PROMQL_NE);
	assert_int_equal(m[2].op, PROMQL_RE);
	assert_str(m[2].value, "[0-9]");
	assert_int_equal(
	    promql_parse_selector(&a, STR("up[5m]"), &m, &n, &err), ERR_PARAM);
	assert_string_equal(
	    err.text, "parse error at char 3: unexpected \"[\"");
	assert_int_equal(
	    promql_parse_selector(&a, STR("1"), &m, &n, &err), ERR_PARAM);
	assert_int_equal(
	    promql_parse_selector(&a, STR(""), &m, &n, &err), ERR_PARAM);
	assert_int_equal(
	    promql_parse_selector(&a, STR_NULL, &m, &n, &err), ERR_PARAM);
	arena_fini(&a);
}

static void
patterns_are_said_in_posix(void **state)
{
	static const struct story cases[] = {
		{ "a.b", "a.b" },
		{ "a\\\\.b", "a\\.b" },
		{ "\\\\d+\\\\D", "[0-9]+[^0-9]" },
		{ "[\\\\d.]\\\\s", "[0-9.][[:space:]]" },
		{ "[a\\\\]\\\\-b]", "[]ab-]" },
		{ "[\\\\^]", "\\^" },
		{ "[^\\\\^a]", "[^a^]" },
		{ "(?:a|b)*?c", "(a|b)*c" },
		{ "a\\\\{2\\\\}", "a[{]2[}]" },
		{ "\\\\/\\\\-", "/-" },
	};
	static const char *const refused[] = { "a{2}", "(?i)a", "(a", "a)",
		"[a", "\\\\1", "\\\\pL", "a**", "a\\\\" };
	struct promql_matcher *m;
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct err err;
	size_t n;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		buf_clear(&b);
		buf_addf(&b, "x{y=~\"%s\"}", cases[i].expr);
		assert_int_equal(
		    promql_parse_selector(&a, buf_str(&b), &m, &n, &err), 0);
		assert_string_equal(arena_z(&a, m[1].value), cases[i].want);
	}
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		buf_clear(&b);
		buf_addf(&b, "x{y=~\"%s\"}", refused[i]);
		assert_int_equal(
		    promql_parse_selector(&a, buf_str(&b), &m, &n, &err),
		    ERR_PARAM);
	}
	buf_free(&b);
	arena_fini(&a);
}

/* --- the source ---------------------------------------------------------- */

static struct promql_ask asked;

/* One point for each ten of a series that grows by 1 each second. */
static int
fetch_coarse(void *ctx, const struct promql_ask *ask, struct promql_sink *sink,
    struct err *err)
{
	const struct promql_label label = { STR("__name__"), STR("x") };

	(void)ctx;
	(void)err;
	asked = *ask;
	assert_true(promql_series(sink, &label, 1));
	for (int64_t at = 10000; at <= 600000; at += 10000) {
		double v = (double)at / 1000, weight = 10;

		if (ask->use == PROMQL_USE_MEAN)
			v -= 4.5;
		if (at >= ask->from && at < ask->to)
			assert_true(promql_points(sink, &at, &v,
			    ask->use == PROMQL_USE_MEAN ? &weight : NULL, 1));
	}
	return 0;
}

static void
a_source_may_answer_from_a_coarser_tier(void **state)
{
	static const struct {
		const char *expr;
		enum promql_use use;
		double want;
	} cases[] = {
		{ "sum_over_time(x[60s])", PROMQL_USE_MEAN, 34230 },
		{ "count_over_time(x[60s])", PROMQL_USE_MEAN, 60 },
		{ "avg_over_time(x[60s])", PROMQL_USE_MEAN, 570.5 },
		{ "max_over_time(x[60s])", PROMQL_USE_MAX, 600 },
		{ "min_over_time(x[60s])", PROMQL_USE_MIN, 550 },
		{ "rate(x[60s])", PROMQL_USE_COUNTER, 1 },
		{ "x", PROMQL_USE_LAST, 600 },
	};
	const struct promql_run run = { .start = 600000, .end = 600000 };
	const struct promql_source coarse = { .fetch = fetch_coarse };
	struct promql_result r;
	struct arena a = { 0 };
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(
		    eval(&a, cases[i].expr, &run, &coarse, &r, &err), 0);
		assert_int_equal(asked.use, cases[i].use);
		assert_int_equal(r.n, 1);
		assert_true(fabs(r.series[0].values[0] - cases[i].want) < 1e-9);
	}
	arena_fini(&a);
}

static void
a_source_hears_which_points_are_wanted(void **state)
{
	const struct promql_run run = {
		.start = 600000, .end = 900000, .step = 60000, .lookback = 7000
	};
	const struct promql_source coarse = { .fetch = fetch_coarse };
	struct promql_result r;
	struct arena a = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(eval(&a, "x offset 1m", &run, &coarse, &r, &err), 0);
	assert_int_equal(asked.from, 540000 - 7000 + 1);
	assert_int_equal(asked.to, 840001);
	assert_int_equal(asked.step, 60000);
	assert_int_equal(asked.range, 0);
	assert_int_equal(
	    eval(&a, "rate(x[2m] offset -1m)", &run, &coarse, &r, &err), 0);
	assert_int_equal(asked.from, 660000 - 120000 + 1);
	assert_int_equal(asked.to, 960001);
	assert_int_equal(asked.range, 120000);
	arena_fini(&a);
}

/* --- text ---------------------------------------------------------------- */

static void
results_are_written_as_prometheus_does(void **state)
{
	static const struct {
		const char *expr;
		int64_t end, step;
		const char *want;
	} cases[] = {
		{ "1+1", 600500, 0,
		    "{\"resultType\":\"scalar\",\"result\":[600.5,\"2\"]}" },
		{ "\"x\"", 600500, 0,
		    "{\"resultType\":\"string\",\"result\":[600.5,\"x\"]}" },
		{ "nothing", 600500, 0,
		    "{\"resultType\":\"vector\",\"result\":[]}" },
		{ "stale offset 6m / 0", 600500, 0,
		    "{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"x\":"
		    "\"y\"},\"value\":[600.5,\"+Inf\"]}]}" },
		{ "unknown", 720500, 120000,
		    "{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"__"
		    "name__\":\"unknown\"},\"values\":[[600.5,\"NaN\"],[720.5,"
		    "\"NaN\"]]}]}" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct promql_run run = { .start = 600500,
			.end = cases[i].end,
			.step = cases[i].step };
		struct promql_result r;
		struct arena a = { 0 };
		struct buf b = { 0 };
		struct json_out o;
		struct err err;

		assert_int_equal(
		    eval(&a, cases[i].expr, &run, &source, &r, &err), 0);
		json_out_init(&o, &b, false);
		promql_put(&o, &r);
		assert_string_equal(buf_z(&b), cases[i].want);
		buf_free(&b);
		arena_fini(&a);
	}
}

static void
numbers_have_no_exponent(void **state)
{
	static const struct {
		double v;
		const char *want;
	} cases[] = {
		{ 0, "0" },
		{ -0.0, "-0" },
		{ 1, "1" },
		{ 21.4, "21.4" },
		{ -0.1, "-0.1" },
		{ 1e21, "1000000000000000000000" },
		{ 1.5e-7, "0.00000015" },
		{ 123456789.125, "123456789.125" },
		{ 0.1 + 0.2, "0.30000000000000004" },
		{ INFINITY, "+Inf" },
		{ -INFINITY, "-Inf" },
		{ NAN, "NaN" },
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		buf_clear(&b);
		promql_number(&b, cases[i].v);
		assert_string_equal(buf_z(&b), cases[i].want);
	}
	buf_clear(&b);
	promql_number(&b, 5e-324);
	assert_int_equal(b.len, 326);
	buf_free(&b);
}

static void
times_and_steps_come_in_two_forms(void **state)
{
	int64_t ms;

	(void)state;
	assert_true(promql_time(STR("1763830800"), &ms));
	assert_int_equal(ms, 1763830800000);
	assert_true(promql_time(STR("1763830800.781"), &ms));
	assert_int_equal(ms, 1763830800781);
	assert_true(promql_time(STR("2026-01-01T00:00:00+01:00"), &ms));
	assert_int_equal(ms, 1767222000000);
	assert_true(promql_time(STR("-1e3"), &ms));
	assert_false(promql_time(STR(""), &ms));
	assert_false(promql_time(STR("nan"), &ms));
	assert_false(promql_time(STR("1e300"), &ms));
	assert_true(promql_step(STR("15"), &ms));
	assert_int_equal(ms, 15000);
	assert_true(promql_step(STR("0.5"), &ms));
	assert_int_equal(ms, 500);
	assert_true(promql_step(STR("1h30m"), &ms));
	assert_int_equal(ms, 5400000);
	assert_true(promql_step(STR("1d"), &ms));
	assert_false(promql_step(STR("0"), &ms));
	assert_false(promql_step(STR("-5"), &ms));
	assert_false(promql_step(STR("5 m"), &ms));
	assert_false(promql_step(STR("1m1h"), &ms));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expressions_give_what_prometheus_would),
		cmocka_unit_test(
		    a_series_has_as_many_points_as_prometheus_allows),
		cmocka_unit_test(samples_and_series_are_bounded),
		cmocka_unit_test(time_and_source_may_end_it),
		cmocka_unit_test(depth_and_length_are_bounded),
		cmocka_unit_test(a_matcher_can_be_put_on_every_selector),
		cmocka_unit_test(a_selector_alone_is_read),
		cmocka_unit_test(patterns_are_said_in_posix),
		cmocka_unit_test(a_source_may_answer_from_a_coarser_tier),
		cmocka_unit_test(a_source_hears_which_points_are_wanted),
		cmocka_unit_test(results_are_written_as_prometheus_does),
		cmocka_unit_test(numbers_have_no_exponent),
		cmocka_unit_test(times_and_steps_come_in_two_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

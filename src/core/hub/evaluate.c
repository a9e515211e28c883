/*
 * core/hub/evaluate.c - the verdict of a rule: conditions over variables.
 */
#include "core/hub/private.h"

#include "codec/json.h"

#include <math.h>
#include <regex.h>
#include <string.h>

const char *const hub_evaluations[] = { "rule", "javascript", "webhook", NULL };

#define PATTERN_MAX 256
#define MATCHED_MAX 4096

enum kind { NOTHING, NUMBER, TEXT, TRUTH, OTHER };

/* A value as conditions see it: a text that is a number is a number, one that
 * is a truth value is that. */
struct seen {
	enum kind kind;
	double number;
	bool truth;
	struct str text;
};

static struct seen
see(struct arena *a, struct str json)
{
	struct seen s = { .kind = OTHER, .text = json };
	struct json j;

	json_open(&j, json, 0, a);
	switch (json_peek(&j)) {
	case JSON_NULL:
	case JSON_NONE:
		s.kind = NOTHING;
		return s;
	case JSON_BOOL:
		s.kind = TRUTH;
		json_bool(&j, &s.truth);
		return s;
	case JSON_NUMBER:
		s.kind = NUMBER;
		(void)hub_number(json, &s.number);
		return s;
	case JSON_STRING:
		json_str(&j, &s.text);
		break;
	default:
		return s;
	}
	if (hub_number(s.text, &s.number))
		s.kind = NUMBER;
	else if (str_eq_nocase(s.text, STR("true")) ||
	    str_eq_nocase(s.text, STR("false"))) {
		s.kind = TRUTH;
		s.truth = str_eq_nocase(s.text, STR("true"));
	} else {
		s.kind = TEXT;
	}
	return s;
}

static bool
equal(const struct seen *a, const struct seen *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case NUMBER:
		return a->number == b->number;
	case TRUTH:
		return a->truth == b->truth;
	default:
		return str_eq(a->text, b->text);
	}
}

static bool
among(struct arena *a, const struct seen *v, struct str list)
{
	struct str item;
	struct json j;
	bool yes = false;

	json_open(&j, list, 0, a);
	if (json_peek(&j) == JSON_ARRAY && json_array(&j))
		while (json_item(&j)) {
			struct seen s;

			if (!json_raw(&j, &item))
				break;
			s = see(a, item);
			yes = yes || equal(v, &s);
		}
	return yes && json_done(&j, NULL) == 0;
}

static bool
range(struct arena *a, struct str list, double *low, double *high)
{
	struct str item;
	struct json j;
	int n = 0;

	json_open(&j, list, 0, a);
	if (json_peek(&j) == JSON_ARRAY && json_array(&j))
		while (json_item(&j) && json_raw(&j, &item)) {
			struct seen s = see(a, item);

			if (s.kind != NUMBER || n == 2)
				return false;
			*(n++ == 0 ? low : high) = s.number;
		}
	return n == 2;
}

static bool
matches(struct arena *a, struct str text, struct str pattern)
{
	regex_t re;
	bool yes;

	/* what can take for ever is left out */
	if (pattern.len > PATTERN_MAX || text.len > MATCHED_MAX ||
	    memchr(pattern.ptr, '{', pattern.len) != NULL)
		return false;
	for (size_t i = 0; i + 1 < pattern.len; i++)
		if (pattern.ptr[i] == '\\' && pattern.ptr[i + 1] >= '0' &&
		    pattern.ptr[i + 1] <= '9')
			return false;
	if (regcomp(&re, arena_z(a, pattern),
		REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0)
		return false;
	yes = regexec(&re, arena_z(a, text), 0, NULL, 0) == 0;
	regfree(&re);
	return yes;
}

static bool
compare(struct arena *a, struct str operator, const struct seen * v,
    struct str rendered)
{
	struct buf q = { 0 };
	struct seen w;
	double low, high;
	bool text, yes = false;

	json_quote(&q, rendered);
	w = see(a, arena_str(a, buf_str(&q)));
	buf_free(&q);
	text = v->kind == TEXT;
	if (operator.len == 0 || str_eqz(operator, "eq"))
		return equal(v, &w);
	if (str_eqz(operator, "ne"))
		return !equal(v, &w);
	if (str_eqz(operator, "exists"))
		return v->kind != NOTHING && !(text && v->text.len == 0);
	if (str_eqz(operator, "in"))
		return among(a, v, rendered);
	if (str_eqz(operator, "nin"))
		return !among(a, v, rendered);
	if (str_eqz(operator, "regex"))
		return text && matches(a, v->text, rendered);
	if (v->kind != NUMBER)
		return false;
	if (str_eqz(operator, "range_in"))
		return range(a, rendered, &low, &high) && low < v->number &&
		    v->number < high;
	if (str_eqz(operator, "range_not_in"))
		return range(a, rendered, &low, &high) &&
		    (v->number < low || v->number > high);
	if (w.kind != NUMBER)
		return false;
	if (str_eqz(operator, "gt"))
		yes = v->number > w.number;
	else if (str_eqz(operator, "gte"))
		yes = v->number >= w.number;
	else if (str_eqz(operator, "lt"))
		yes = v->number < w.number;
	else if (str_eqz(operator, "lte"))
		yes = v->number <= w.number;
	return yes;
}

/* One condition; 1, 0, or -1 when its variable is missing. */
static int
condition(struct hub *h, struct str json, struct str variables, struct arena *a,
    struct err *err)
{
	struct str key, variable = STR_NULL, operator= STR(""), value = STR(""),
			found, raw;
	struct buf b = { 0 };
	struct seen v;
	struct json j;
	int rc;

	json_open(&j, json, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "variable"))
				json_str(&j, &variable);
			else if (str_eqz(key, "operator"))
				json_str(&j, &operator);
			else if (str_eqz(key, "value")) {
				if (json_peek(&j) == JSON_STRING)
					json_str(&j, &value);
				else if (json_raw(&j, &raw))
					value = raw;
			} else
				json_skip(&j);
		}
	if (!hub_json_at(a, variables, variable, &found)) {
		(void)err_set(err, ERR_NOT_FOUND,
		    "there is no variable " STR_FMT, STR_ARG(variable));
		return -1;
	}
	rc = hub_render(h, a, value, variables, &b, err);
	if (rc == 0) {
		v = see(a, found);
		rc = compare(a, operator, & v, buf_str(&b));
	} else {
		rc = -1;
	}
	buf_free(&b);
	return rc;
}

int
hub_rule(struct hub *h, struct str config, struct str variables,
    struct arena *a, bool *triggered, struct err *err)
{
	struct str rule, list = STR("[]"), key, item;
	bool all = false, any = false, every = true;
	struct json j;
	size_t n = 0;

	*triggered = false;
	if (!hub_json_at(a, config, STR("rule"), &rule))
		return err_set(
		    err, ERR_PARAM, "evaluationConfig has no `rule`");
	json_open(&j, rule, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "matchAll"))
				json_bool(&j, &all);
			else if (str_eqz(key, "conditions"))
				json_raw(&j, &list);
			else
				json_skip(&j);
		}
	if (json_done(&j, err) != 0)
		return ERR_PARAM;
	json_open(&j, list, 0, a);
	if (json_array(&j))
		while (json_item(&j) && json_raw(&j, &item)) {
			int is = condition(h, item, variables, a, err);

			if (is < 0)
				return ERR_NOT_FOUND;
			any = any || is;
			every = every && is;
			n++;
		}
	if (json_done(&j, err) != 0)
		return ERR_PARAM;
	*triggered = n == 0 || (all ? every : any);
	return 0;
}

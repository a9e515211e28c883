/*
 * codec/promql_parse.c - tokens to a tree, with its types.
 *
 *    or
 *    and unless            all from the left but ^,
 *    == != <= < >= >       which binds from the right and stronger than
 *    + -                   a sign before it
 *    * / % atan2
 *    ^
 */
#include "codec/promql_private.h"

#include "base/clock.h"

#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

struct parser {
	struct lexer lex;
	struct token t; /* stands next */
	struct arena *arena;
	struct err *err;
	unsigned depth;
	int rc;
};

static const char *const type_names[] = {
	[PROMQL_SCALAR] = "scalar",
	[PROMQL_VECTOR] = "instant vector",
	[PROMQL_MATRIX] = "range vector",
	[PROMQL_STRING] = "string",
};

/* --- errors -------------------------------------------------------------- */

static struct promql *fail(struct parser *p, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static struct promql *
fail(struct parser *p, size_t at, const char *fmt, ...)
{
	size_t line = 1, begin = 0;
	char what[160];
	va_list ap;

	if (p->rc != 0)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < at && i < p->lex.text.len; i++)
		if (p->lex.text.ptr[i] == '\n') {
			line++;
			begin = i + 1;
		}
	if (line > 1)
		p->rc = err_set(p->err, ERR_PARAM,
		    "parse error at line %zu, char %zu: %s", line,
		    at - begin + 1, what);
	else
		p->rc = err_set(p->err, ERR_PARAM,
		    "parse error at char %zu: %s", at + 1, what);
	return NULL;
}

static struct promql *
unexpected(struct parser *p, const char *where, const char *wanted)
{
	char shown[100];

	if (p->t.kind == TOKEN_BAD)
		return fail(p, p->t.at, "%s", p->lex.why);
	if (p->t.kind == TOKEN_END)
		snprintf(shown, sizeof(shown), "end of input");
	else if (p->t.kind == TOKEN_STRING)
		snprintf(shown, sizeof(shown), "string \"%.*s\"",
		    (int)MIN_OF(p->t.string.len, (size_t)60), p->t.string.ptr);
	else
		snprintf(shown, sizeof(shown), "%s%s\"%.*s\"",
		    p->t.kind == TOKEN_NUMBER     ? "number"
			: p->t.kind == TOKEN_NAME ? "identifier"
						  : "",
		    p->t.kind == TOKEN_MARK ? "" : " ",
		    (int)MIN_OF(p->t.text.len, (size_t)60), p->t.text.ptr);
	if (wanted != NULL)
		return fail(p, p->t.at, "unexpected %s in %s, expected %s",
		    shown, where, wanted);
	if (where != NULL)
		return fail(p, p->t.at, "unexpected %s in %s", shown, where);
	return fail(p, p->t.at, "unexpected %s", shown);
}

/* --- tokens -------------------------------------------------------------- */

static void
next(struct parser *p)
{
	promql_next(&p->lex, &p->t);
}

static bool
at_mark(const struct parser *p, const char *mark)
{
	return p->t.kind == TOKEN_MARK && str_eqz(p->t.text, mark);
}

static bool
at_word(const struct parser *p, const char *word)
{
	return p->t.kind == TOKEN_NAME &&
	    str_eq_nocase(p->t.text, str_of(word));
}

static bool
take(struct parser *p, const char *mark, const char *where)
{
	char wanted[16];

	if (at_mark(p, mark)) {
		next(p);
		return true;
	}
	snprintf(wanted, sizeof(wanted), "\"%s\"", mark);
	unexpected(p, where, wanted);
	return false;
}

/* What comes behind the token that stands next. */
static struct token
look(const struct parser *p)
{
	struct lexer lex = p->lex;
	struct token t;

	promql_next(&lex, &t);
	return t;
}

static struct promql *
node(struct parser *p, enum node_kind kind, enum promql_type type, size_t at)
{
	struct promql *n = arena_new(p->arena, struct promql);

	n->kind = kind;
	n->type = type;
	n->at = at;
	n->depth = 1;
	return n;
}

static bool
holds(struct parser *p, struct promql *n, const struct promql *child)
{
	if (child == NULL)
		return false;
	n->depth = MAX_OF(n->depth, child->depth + 1);
	if (n->depth > PROMQL_DEPTH_MAX) {
		fail(p, n->at, "expression is nested more than %d deep",
		    PROMQL_DEPTH_MAX);
		return false;
	}
	return true;
}

static bool
want_type(struct parser *p, const struct promql *n, enum promql_type type,
    const char *where, struct str name)
{
	if (n->type == type)
		return true;
	fail(p, n->at, "expected type %s in %s" STR_FMT "%s, got %s",
	    type_names[type], where, STR_ARG(name), name.len > 0 ? "\"" : "",
	    type_names[n->type]);
	return false;
}

/* --- selectors ----------------------------------------------------------- */

static bool
compiles(struct str pattern, bool *empty)
{
	struct buf whole = { 0 };
	regex_t re;
	bool ok;

	buf_addf(&whole, "^(" STR_FMT ")$", STR_ARG(pattern));
	ok = regcomp(&re, buf_z(&whole), REG_EXTENDED | REG_NOSUB) == 0;
	buf_free(&whole);
	if (ok) {
		*empty = regexec(&re, "", 0, NULL, 0) == 0;
		regfree(&re);
	}
	return ok;
}

/* `*some`: it is not true of a series without the label. */
static bool
take_matcher(struct parser *p, struct promql_matcher *m, bool *some)
{
	static const char *const ops[] = { "=", "!=", "=~", "!~" };
	struct str raw;
	size_t op, at;
	bool empty;

	if (p->t.kind != TOKEN_NAME) {
		unexpected(p, "label matching", "identifier or \"}\"");
		return false;
	}
	m->label = arena_str(p->arena, p->t.text);
	next(p);
	for (op = 0; op < COUNT_OF(ops); op++)
		if (at_mark(p, ops[op]))
			break;
	if (op == COUNT_OF(ops)) {
		unexpected(p, "label matching", "label matching operator");
		return false;
	}
	m->op = (enum promql_match)(op + PROMQL_EQ);
	next(p);
	if (p->t.kind != TOKEN_STRING) {
		unexpected(p, "label matching", "string");
		return false;
	}
	at = p->t.at;
	raw = p->t.string;
	m->value = raw;
	empty = raw.len == 0;
	if (m->op >= PROMQL_RE) {
		m->value = promql_pattern(p->arena, raw);
		if (m->value.ptr == NULL || !compiles(m->value, &empty)) {
			fail(p, at,
			    "error parsing regexp, or not supported: `%.*s`",
			    (int)MIN_OF(raw.len, (size_t)80), raw.ptr);
			return false;
		}
	}
	if (m->op == PROMQL_EQ || m->op == PROMQL_RE)
		*some = *some || !empty;
	else
		*some = *some || empty;
	next(p);
	return true;
}

static struct promql *
take_selector(struct parser *p)
{
	struct promql *n = node(p, NODE_SELECTOR, PROMQL_VECTOR, p->t.at);
	bool some = false, named = false;

	n->match = arena_array(
	    p->arena, PROMQL_MATCHERS_MAX + 1, struct promql_matcher);
	if (p->t.kind == TOKEN_NAME) {
		n->match[n->n_match++] =
		    (struct promql_matcher){ STR("__name__"), PROMQL_EQ,
			    arena_str(p->arena, p->t.text) };
		some = named = true;
		next(p);
	}
	if (at_mark(p, "{")) {
		p->lex.in_braces = true;
		next(p);
		while (!at_mark(p, "}")) {
			struct promql_matcher m;

			if (n->n_match == PROMQL_MATCHERS_MAX)
				return fail(p, p->t.at, "more than %d matchers",
				    PROMQL_MATCHERS_MAX);
			if (!take_matcher(p, &m, &some))
				return NULL;
			if (named && str_eqz(m.label, "__name__"))
				return fail(p, n->at,
				    "metric name must not be set twice: "
				    "\"%.*s\" or \"%.*s\"",
				    (int)MIN_OF(
					n->match[0].value.len, (size_t)50),
				    n->match[0].value.ptr,
				    (int)MIN_OF(m.value.len, (size_t)50),
				    m.value.ptr);
			n->match[n->n_match++] = m;
			if (at_mark(p, ","))
				next(p);
			else if (!at_mark(p, "}"))
				return unexpected(
				    p, "label matching", "\",\" or \"}\"");
		}
		p->lex.in_braces = false;
		next(p);
	}
	if (!some)
		return fail(p, n->at,
		    "vector selector must contain at least one non-empty "
		    "matcher");
	return n;
}

#define SUBQUERY_STEP_MS 60000 /* where it does not say */

/* A duration, or a number of seconds. */
static bool
take_span(struct parser *p, const char *where, int64_t *ret)
{
	double ms = p->t.number * 1000;

	if (p->t.kind != TOKEN_NUMBER) {
		unexpected(p, where, "duration");
		return false;
	}
	if (!(ms < 9e15)) {
		fail(p, p->t.at, "duration out of range");
		return false;
	}
	*ret = (int64_t)ms;
	next(p);
	return true;
}

/* Behind "[": a range, or that of a subquery and its step. */
static struct promql *
take_range(struct parser *p, struct promql *n, bool offset)
{
	size_t at = p->t.at;
	struct promql *sub;
	int64_t range;

	p->lex.in_braces = true;
	next(p);
	if (!take_span(p, "range selector", &range))
		return NULL;
	if (range <= 0)
		return fail(p, at, "duration must be greater than 0");
	if (at_mark(p, ":")) {
		if (n->type != PROMQL_VECTOR)
			return fail(p, n->at,
			    "subquery is only allowed on instant vector, got "
			    "%s",
			    type_names[n->type]);
		sub = node(p, NODE_SUBQUERY, PROMQL_MATRIX, n->at);
		sub->left = n;
		sub->range = range;
		sub->step = SUBQUERY_STEP_MS;
		if (!holds(p, sub, n))
			return NULL;
		next(p);
		if (!at_mark(p, "]") &&
		    !take_span(p, "subquery selector", &sub->step))
			return NULL;
		if (sub->step <= 0)
			return fail(p, at, "duration must be greater than 0");
		n = sub;
	} else {
		if (n->kind != NODE_SELECTOR || n->range != 0)
			return fail(
			    p, at, "ranges only allowed for vector selectors");
		if (offset)
			return fail(
			    p, at, "no offset modifiers allowed before range");
		n->range = range;
		n->type = PROMQL_MATRIX;
	}
	p->lex.in_braces = false;
	return take(p, "]", "range selector") ? n : NULL;
}

/* [5m], [1h:5m] and offset behind what was read. */
static struct promql *
take_tail(struct parser *p, struct promql *n)
{
	bool offset = false, minus;

	while (n != NULL) {
		if (at_mark(p, "[")) {
			const struct promql *was = n;

			n = take_range(p, n, offset);
			offset = offset && n == was;
		} else if (at_word(p, "offset")) {
			if (n->kind != NODE_SELECTOR &&
			    n->kind != NODE_SUBQUERY)
				return fail(p, p->t.at,
				    "offset modifier must be preceded by an "
				    "instant vector selector or range vector "
				    "selector or a subquery");
			if (offset)
				return fail(p, p->t.at,
				    "offset may not be set multiple times");
			next(p);
			minus = at_mark(p, "-");
			if (minus || at_mark(p, "+"))
				next(p);
			if (!take_span(p, "offset", &n->offset))
				return NULL;
			if (minus)
				n->offset = -n->offset;
			offset = true;
		} else if (at_mark(p, "@")) {
			return fail(p, p->t.at, "@ modifier is not supported");
		} else {
			break;
		}
	}
	return n;
}

/* --- calls and aggregations ---------------------------------------------- */

static struct promql *take_expr(struct parser *p, unsigned least);

#define ARGS_MAX 8

static struct promql *
take_call(struct parser *p)
{
	struct promql *n = node(p, NODE_CALL, PROMQL_VECTOR, p->t.at), *arg;
	struct str name = p->t.text;
	size_t least, most, i;
	const char *mark;

	n->fn = promql_fn_find(name);
	if (n->fn == NULL)
		return fail(p, n->at, "unknown function with name \"%.*s\"",
		    (int)MIN_OF(name.len, (size_t)60), name.ptr);
	n->type = n->fn->type;
	n->args = arena_array(p->arena, ARGS_MAX, struct promql *);
	mark = strchr(n->fn->args, '?');
	most = strlen(n->fn->args) - (mark != NULL);
	least = mark != NULL ? (size_t)(mark - n->fn->args) : most;
	next(p);
	next(p); /* ( */
	while (!at_mark(p, ")")) {
		arg = take_expr(p, 0);
		if (!holds(p, n, arg))
			return NULL;
		if (n->n_args == ARGS_MAX)
			break;
		n->args[n->n_args++] = arg;
		if (!at_mark(p, ","))
			break;
		next(p);
		if (at_mark(p, ")"))
			return unexpected(p, "call to function", "expression");
	}
	if (!take(p, ")", "call to function"))
		return NULL;
	if (n->n_args < least || n->n_args > most)
		return fail(p, n->at,
		    "expected %s%zu argument(s) in call to \"%s\", got %zu",
		    least == most           ? ""
			: n->n_args < least ? "at least "
					    : "at most ",
		    n->n_args < least ? least : most, n->fn->name, n->n_args);
	for (i = 0; i < n->n_args; i++) {
		char c = n->fn->args[i];
		enum promql_type type;

		if (mark != NULL && i >= least)
			c = n->fn->args[i + 1];
		type = c == 'v' ? PROMQL_VECTOR
		    : c == 'r'  ? PROMQL_MATRIX
		    : c == 'n'  ? PROMQL_SCALAR
				: PROMQL_STRING;
		if (!want_type(p, n->args[i], type, "call to function \"",
			str_of(n->fn->name)))
			return NULL;
	}
	return n;
}

static const struct {
	const char *name;
	enum promql_type param; /* 0: none */
} aggregates[] = {
	[AGG_SUM] = { "sum", 0 },
	[AGG_AVG] = { "avg", 0 },
	[AGG_MIN] = { "min", 0 },
	[AGG_MAX] = { "max", 0 },
	[AGG_COUNT] = { "count", 0 },
	[AGG_STDDEV] = { "stddev", 0 },
	[AGG_STDVAR] = { "stdvar", 0 },
	[AGG_QUANTILE] = { "quantile", PROMQL_SCALAR },
	[AGG_TOPK] = { "topk", PROMQL_SCALAR },
	[AGG_BOTTOMK] = { "bottomk", PROMQL_SCALAR },
	[AGG_GROUP] = { "group", 0 },
};

/* (a, b, c) */
static bool
take_names(struct parser *p, struct strs *ret)
{
	size_t cap = 0;

	*ret = (struct strs){ 0 };
	if (!take(p, "(", "grouping opts"))
		return false;
	while (!at_mark(p, ")")) {
		if (p->t.kind != TOKEN_NAME ||
		    memchr(p->t.text.ptr, ':', p->t.text.len) != NULL) {
			unexpected(p, "grouping opts", "label");
			return false;
		}
		if (ret->n == cap) {
			struct str *at =
			    arena_array(p->arena, cap * 2 + 8, struct str);

			if (cap > 0)
				memcpy(at, ret->at, cap * sizeof(*at));
			ret->at = at;
			cap = cap * 2 + 8;
		}
		ret->at[ret->n++] = arena_str(p->arena, p->t.text);
		next(p);
		if (at_mark(p, ","))
			next(p);
		else if (!at_mark(p, ")")) {
			unexpected(p, "grouping opts", "\",\" or \")\"");
			return false;
		}
	}
	next(p);
	return true;
}

static bool
take_grouping(struct parser *p, struct promql *n)
{
	n->without = at_word(p, "without");
	next(p);
	return take_names(p, &n->labels);
}

static struct promql *
take_aggregate(struct parser *p, enum aggregate agg)
{
	struct promql *n = node(p, NODE_AGGREGATE, PROMQL_VECTOR, p->t.at);
	struct str name = p->t.text;
	bool grouped = false;

	n->agg = agg;
	next(p);
	if (at_word(p, "by") || at_word(p, "without")) {
		grouped = true;
		if (!take_grouping(p, n))
			return NULL;
	}
	if (!take(p, "(", "aggregation"))
		return NULL;
	if (at_mark(p, ")"))
		return fail(
		    p, n->at, "no arguments for aggregate expression provided");
	if (aggregates[agg].param != 0) {
		n->param = take_expr(p, 0);
		if (!holds(p, n, n->param) ||
		    !want_type(p, n->param, aggregates[agg].param,
			"aggregation parameter", STR("")))
			return NULL;
		if (!take(p, ",", "aggregation"))
			return NULL;
	}
	n->left = take_expr(p, 0);
	if (!holds(p, n, n->left))
		return NULL;
	if (!take(p, ")", "aggregation"))
		return NULL;
	(void)name;
	if (!want_type(
		p, n->left, PROMQL_VECTOR, "aggregation expression", STR("")))
		return NULL;
	if (!grouped && (at_word(p, "by") || at_word(p, "without")) &&
	    !take_grouping(p, n))
		return NULL;
	return n;
}

/* --- expressions --------------------------------------------------------- */

static struct promql *
take_primary(struct parser *p)
{
	struct promql *n;
	struct token after;

	switch (p->t.kind) {
	case TOKEN_NUMBER:
		n = node(p, NODE_NUMBER, PROMQL_SCALAR, p->t.at);
		n->number = p->t.number;
		next(p);
		return n;
	case TOKEN_STRING:
		n = node(p, NODE_STRING, PROMQL_STRING, p->t.at);
		n->string = p->t.string;
		next(p);
		return n;
	case TOKEN_NAME:
		after = look(p);
		for (size_t i = 0; i < COUNT_OF(aggregates); i++)
			if (str_eq_nocase(
				p->t.text, str_of(aggregates[i].name)) &&
			    ((after.kind == TOKEN_MARK &&
				 str_eqz(after.text, "(")) ||
				(after.kind == TOKEN_NAME &&
				    (str_eq_nocase(after.text, STR("by")) ||
					str_eq_nocase(
					    after.text, STR("without"))))))
				return take_aggregate(p, (enum aggregate)i);
		if (after.kind == TOKEN_MARK && str_eqz(after.text, "("))
			return take_call(p);
		if (str_eq_nocase(p->t.text, STR("inf")) ||
		    str_eq_nocase(p->t.text, STR("nan"))) {
			n = node(p, NODE_NUMBER, PROMQL_SCALAR, p->t.at);
			n->number = str_eq_nocase(p->t.text, STR("inf"))
			    ? (double)INFINITY
			    : (double)NAN;
			next(p);
			return n;
		}
		return take_selector(p);
	case TOKEN_MARK:
		if (at_mark(p, "{"))
			return take_selector(p);
		if (at_mark(p, "(")) {
			next(p);
			n = take_expr(p, 0);
			if (n == NULL)
				return NULL;
			if (!take(p, ")", "parentheses"))
				return NULL;
			return n;
		}
		/* fall through */
	default:
		return unexpected(p, NULL, NULL);
	}
}

static const struct {
	const char *name;
	enum op op;
	unsigned strength;
} operators[] = {
	{ "or", OP_OR, 1 },
	{ "and", OP_AND, 2 },
	{ "unless", OP_UNLESS, 2 },
	{ "==", OP_EQ, 3 },
	{ "!=", OP_NE, 3 },
	{ ">", OP_GT, 3 },
	{ "<", OP_LT, 3 },
	{ ">=", OP_GE, 3 },
	{ "<=", OP_LE, 3 },
	{ "+", OP_ADD, 4 },
	{ "-", OP_SUB, 4 },
	{ "*", OP_MUL, 5 },
	{ "/", OP_DIV, 5 },
	{ "%", OP_MOD, 5 },
	{ "atan2", OP_ATAN2, 5 },
	{ "^", OP_POW, 6 },
};
#define STRENGTH_POW 6

static struct promql *
take_signed(struct parser *p)
{
	struct promql *n, *operand;
	size_t at = p->t.at;
	bool minus = at_mark(p, "-");

	if (!minus && !at_mark(p, "+")) {
		n = take_primary(p);
		return n == NULL ? NULL : take_tail(p, n);
	}
	if (++p->depth > PROMQL_DEPTH_MAX)
		return fail(p, at, "expression is nested more than %d deep",
		    PROMQL_DEPTH_MAX);
	next(p);
	operand = take_expr(p, STRENGTH_POW);
	p->depth--;
	if (operand == NULL)
		return NULL;
	if (operand->type != PROMQL_SCALAR && operand->type != PROMQL_VECTOR)
		return fail(p, at,
		    "unary expression only allowed on expressions of type "
		    "scalar or instant vector, got %s",
		    type_names[operand->type]);
	if (!minus)
		return operand;
	n = node(p, NODE_NEGATE, operand->type, at);
	n->left = operand;
	return holds(p, n, operand) ? n : NULL;
}

static bool
take_matching(struct parser *p, struct promql *n)
{
	if (at_word(p, "bool")) {
		if (!OP_COMPARES(n->op)) {
			fail(p, p->t.at,
			    "bool modifier can only be used on comparison "
			    "operators");
			return false;
		}
		n->to_bool = true;
		next(p);
	}
	if (!at_word(p, "on") && !at_word(p, "ignoring"))
		return true;
	n->on = at_word(p, "on");
	next(p);
	if (!take_names(p, &n->labels))
		return false;
	if (n->labels.at == NULL) /* on(): said, but empty */
		n->labels.at = arena_array(p->arena, 1, struct str);
	if (!at_word(p, "group_left") && !at_word(p, "group_right"))
		return true;
	if (OP_IS_SET(n->op)) {
		fail(p, p->t.at, "no grouping allowed for set operation");
		return false;
	}
	n->many = at_word(p, "group_left") ? SIDE_LEFT : SIDE_RIGHT;
	next(p);
	if (at_mark(p, "(") && !take_names(p, &n->include))
		return false;
	for (size_t i = 0; n->on && i < n->include.n; i++)
		if (promql_names_have(&n->labels, n->include.at[i])) {
			fail(p, n->at,
			    "label \"%.*s\" must not occur in ON and GROUP "
			    "clause at once",
			    (int)MIN_OF(n->include.at[i].len, (size_t)60),
			    n->include.at[i].ptr);
			return false;
		}
	return true;
}

static bool
check_binary(struct parser *p, struct promql *n, const char *name)
{
	const struct promql *sides[] = { n->left, n->right };

	for (int i = 0; i < 2; i++)
		if (sides[i]->type != PROMQL_SCALAR &&
		    sides[i]->type != PROMQL_VECTOR) {
			fail(p, sides[i]->at,
			    "binary expression must contain only scalar and "
			    "instant vector types");
			return false;
		}
	n->type =
	    n->left->type == PROMQL_SCALAR && n->right->type == PROMQL_SCALAR
	    ? PROMQL_SCALAR
	    : PROMQL_VECTOR;
	if (OP_COMPARES(n->op) && n->type == PROMQL_SCALAR && !n->to_bool) {
		fail(p, n->at,
		    "comparisons between scalars must use BOOL modifier");
		return false;
	}
	if (n->left->type == PROMQL_VECTOR && n->right->type == PROMQL_VECTOR)
		return true;
	if (OP_IS_SET(n->op)) {
		fail(p, n->at,
		    "set operator \"%s\" not allowed in binary scalar "
		    "expression",
		    name);
		return false;
	}
	if (n->labels.at != NULL) {
		fail(p, n->at,
		    "vector matching only allowed between instant vectors");
		return false;
	}
	return true;
}

static struct promql *
take_expr(struct parser *p, unsigned least)
{
	struct promql *left, *n;
	size_t i;

	if (++p->depth > PROMQL_DEPTH_MAX)
		return fail(p, p->t.at,
		    "expression is nested more than %d deep", PROMQL_DEPTH_MAX);
	left = take_signed(p);
	while (left != NULL && p->rc == 0) {
		for (i = 0; i < COUNT_OF(operators); i++)
			if (at_mark(p, operators[i].name) ||
			    at_word(p, operators[i].name))
				break;
		if (i == COUNT_OF(operators) || operators[i].strength < least)
			break;
		n = node(p, NODE_BINARY, PROMQL_VECTOR, left->at);
		n->op = operators[i].op;
		n->left = left;
		next(p);
		if (!take_matching(p, n))
			return NULL;
		/* ^ from the right: the right side may be one of the same
		 * strength */
		n->right = take_expr(
		    p, operators[i].strength + (n->op == OP_POW ? 0 : 1));
		if (!holds(p, n, left) || !holds(p, n, n->right) ||
		    !check_binary(p, n, operators[i].name))
			return NULL;
		left = n;
	}
	p->depth--;
	return p->rc == 0 ? left : NULL;
}

static int
open_parser(struct parser *p, struct arena *a, struct str text, struct err *err)
{
	*p = (struct parser){ .arena = a, .err = err };
	if (text.len > PROMQL_LENGTH_MAX)
		return err_set(err, ERR_PARAM,
		    "parse error at char %d: expression is longer than %d "
		    "bytes",
		    PROMQL_LENGTH_MAX + 1, PROMQL_LENGTH_MAX);
	p->lex.text = arena_str(a, text.ptr == NULL ? STR("") : text);
	p->lex.arena = a;
	next(p);
	if (p->t.kind == TOKEN_END)
		fail(p, 0, "no expression found in input");
	return p->rc;
}

int
promql_parse(
    struct arena *a, struct str text, struct promql **ret, struct err *err)
{
	struct parser p;
	struct promql *n;

	if (open_parser(&p, a, text, err) != 0)
		return ERR_PARAM;
	n = take_expr(&p, 0);
	if (n != NULL && p.t.kind != TOKEN_END)
		unexpected(&p, NULL, NULL);
	if (p.rc != 0)
		return p.rc;
	*ret = n;
	return 0;
}

int
promql_parse_selector(struct arena *a, struct str text,
    struct promql_matcher **ret, size_t *n_ret, struct err *err)
{
	struct parser p;
	struct promql *n;

	if (open_parser(&p, a, text, err) != 0)
		return ERR_PARAM;
	if (p.t.kind != TOKEN_NAME && !at_mark(&p, "{"))
		unexpected(&p, NULL, NULL);
	n = p.rc == 0 ? take_selector(&p) : NULL;
	if (n != NULL && p.t.kind != TOKEN_END)
		unexpected(&p, NULL, NULL);
	if (p.rc != 0)
		return p.rc;
	*ret = n->match;
	*n_ret = n->n_match;
	return 0;
}

enum promql_type
promql_type(const struct promql *p)
{
	return p->type;
}

void
promql_restrict(
    struct arena *a, struct promql *p, const struct promql_matcher *m)
{
	if (p == NULL)
		return;
	if (p->kind == NODE_SELECTOR) {
		struct promql_matcher *all =
		    arena_array(a, p->n_match + 1, struct promql_matcher);

		/* first: who may not see anything is quickly answered */
		all[0] = (struct promql_matcher){ arena_str(a, m->label), m->op,
			arena_str(a, m->value) };
		memcpy(all + 1, p->match, p->n_match * sizeof(*all));
		p->match = all;
		p->n_match++;
	}
	promql_restrict(a, p->left, m);
	promql_restrict(a, p->right, m);
	promql_restrict(a, p->param, m);
	for (size_t i = 0; i < p->n_args; i++)
		promql_restrict(a, p->args[i], m);
}

/* --- parameters ---------------------------------------------------------- */

static bool
seconds(struct str s, int64_t *ret)
{
	char text[64], *end;
	double v;

	if (s.len == 0 || s.len >= sizeof(text))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] != '.' && s.ptr[i] != 'e' && s.ptr[i] != 'E' &&
		    s.ptr[i] != '-' && s.ptr[i] != '+' &&
		    (s.ptr[i] < '0' || s.ptr[i] > '9'))
			return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	v = strtod(text, &end);
	if (*end != '\0' || !(fabs(v) < 9e12))
		return false;
	*ret = (int64_t)llround(v * 1000);
	return true;
}

bool
promql_time(struct str s, int64_t *ret)
{
	return seconds(s, ret) || time_parse(s, ret);
}

bool
promql_step(struct str s, int64_t *ret)
{
	int64_t ms;

	if ((!seconds(s, &ms) && !promql_duration(s, &ms)) || ms <= 0)
		return false;
	*ret = ms;
	return true;
}

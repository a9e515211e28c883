/*
 * codec/promql_match.c - operators between numbers and vectors.
 *
 * Between two vectors, rows meet that have the same matching labels: their key.
 * Which rows there are can differ from step to step, so the keys are made once
 * and the meeting is held at each step.
 */
#include "codec/promql_private.h"

#include <math.h>

/* False: a comparison that does not hold. */
static bool
apply(enum op op, double a, double b, double *ret)
{
	bool holds;

	switch (op) {
	case OP_ADD:
		*ret = a + b;
		return true;
	case OP_SUB:
		*ret = a - b;
		return true;
	case OP_MUL:
		*ret = a * b;
		return true;
	case OP_DIV:
		*ret = a / b;
		return true;
	case OP_MOD:
		*ret = fmod(a, b);
		return true;
	case OP_POW:
		*ret = pow(a, b);
		return true;
	case OP_ATAN2:
		*ret = atan2(a, b);
		return true;
	case OP_EQ:
		holds = a == b;
		break;
	case OP_NE:
		holds = a != b;
		break;
	case OP_GT:
		holds = a > b;
		break;
	case OP_LT:
		holds = a < b;
		break;
	case OP_GE:
		holds = a >= b;
		break;
	default:
		holds = a <= b;
		break;
	}
	*ret = a;
	return holds;
}

/* ... as a value; `keep`: what a comparison that holds gives. */
static double
result(const struct promql *p, double a, double b, double keep)
{
	double v;
	bool holds = apply(p->op, a, b, &v);

	if (!OP_COMPARES(p->op))
		return v;
	if (p->to_bool)
		return holds ? 1 : 0;
	return holds ? keep : gone();
}

static bool
drops_name(const struct promql *p)
{
	return !OP_COMPARES(p->op) || p->to_bool;
}

static int
with_scalar(struct eval *e, const struct promql *p, struct grid *left,
    struct grid *right, struct grid *ret)
{
	bool swapped = left->type == PROMQL_SCALAR;
	struct grid *many = swapped ? right : left;
	const double *one = swapped ? left->rows[0].v : right->rows[0].v;

	for (size_t r = 0; r < many->n; r++) {
		double *v = many->rows[r].v;

		for (size_t i = 0; i < e->steps; i++)
			if (!is_gone(v[i]))
				v[i] = swapped ? result(p, one[i], v[i], v[i])
					       : result(p, v[i], one[i], v[i]);
	}
	*ret = *many;
	return drops_name(p) ? promql_nameless(e, ret) : e->rc;
}

/* --- keys ---------------------------------------------------------------- */

/* For each row of two grids the number of its key, from 0 on. */
struct keys {
	size_t *of[2];
	size_t n;
};

static struct keys
make_keys(struct eval *e, const struct promql *p, const struct grid *a,
    const struct grid *b)
{
	const struct grid *grids[] = { a, b };
	struct keys k = { 0 };
	struct map known = { 0 };

	for (int g = 0; g < 2; g++) {
		k.of[g] = arena_array(e->arena, grids[g]->n + 1, size_t);
		for (size_t i = 0; i < grids[g]->n; i++) {
			struct str key = promql_key(
			    e, &grids[g]->rows[i], &p->labels, p->on, false);
			uintptr_t no = (uintptr_t)map_get(&known, key);

			if (no == 0) {
				no = ++k.n;
				(void)map_put(&known, key, (void *)no);
			}
			k.of[g][i] = no - 1;
		}
	}
	map_fini(&known);
	return k;
}

/* --- and, or, unless ----------------------------------------------------- */

static int
set_operation(struct eval *e, const struct promql *p, struct grid *left,
    struct grid *right, struct grid *ret)
{
	struct keys k = make_keys(e, p, left, right);
	bool *there = arena_array(e->arena, k.n + 1, bool);
	struct grid *decides = p->op == OP_OR ? left : right;
	struct grid *obeys = p->op == OP_OR ? right : left;
	const size_t *decides_key = k.of[p->op == OP_OR ? 0 : 1];
	const size_t *obeys_key = k.of[p->op == OP_OR ? 1 : 0];

	for (size_t i = 0; i < e->steps; i++) {
		if (!promql_count(e, left->n + right->n))
			return e->rc;
		memset(there, 0, k.n * sizeof(*there));
		for (size_t r = 0; r < decides->n; r++)
			if (!is_gone(decides->rows[r].v[i]))
				there[decides_key[r]] = true;
		for (size_t r = 0; r < obeys->n; r++)
			if (there[obeys_key[r]] != (p->op == OP_AND))
				obeys->rows[r].v[i] = gone();
	}
	*ret = *left;
	if (p->op != OP_OR)
		return 0;
	for (size_t r = 0; r < right->n; r++) {
		const struct row *from = &right->rows[r];
		struct row *row =
		    promql_row(e, ret, from->labels, from->n_labels);

		if (row == NULL)
			return e->rc;
		row->v = from->v;
	}
	return promql_merge(e, ret);
}

/* --- arithmetic and comparisons ------------------------------------------ */

struct meeting {
	struct eval *e;
	const struct promql *p;
	const struct grid *many, *one;
	struct grid out;
	struct map known;       /* labels -> place in out + 1 */
	size_t *pair, *pair_to; /* of a row of `many`: the row of `one` it met
				 * last + 1, and what came of them */
};

/* The row for what comes of two; NULL: a limit. */
static struct row *
row_for(struct meeting *m, size_t many, size_t one)
{
	const struct strs none = { 0 };
	const struct promql *p = m->p;
	const struct row *from = &m->many->rows[many];
	struct row labels = *from;
	struct str key;
	uintptr_t place;

	if (m->pair[many] == one + 1)
		return &m->out.rows[m->pair_to[many]];
	if (p->many == SIDE_ONE)
		labels =
		    promql_keep(m->e, from, &p->labels, p->on, !drops_name(p));
	else if (drops_name(p))
		labels = promql_keep(m->e, from, &none, false, false);
	for (size_t i = 0; i < p->include.n; i++)
		promql_label_set(m->e, &labels, p->include.at[i],
		    promql_label_of(&m->one->rows[one], p->include.at[i]));
	key = promql_key(m->e, &labels, &none, false, true);
	place = (uintptr_t)map_get(&m->known, key);
	if (place == 0) {
		if (promql_row(m->e, &m->out, labels.labels, labels.n_labels) ==
		    NULL)
			return NULL;
		place = m->out.n;
		(void)map_put(&m->known, key, (void *)place);
	}
	m->pair[many] = one + 1;
	m->pair_to[many] = place - 1;
	return &m->out.rows[place - 1];
}

static int
duplicate(struct meeting *m, size_t a, size_t b)
{
	struct arena *arena = m->e->arena;
	const struct row *x = &m->one->rows[a], *y = &m->one->rows[b];
	struct row key = promql_keep(m->e, x, &m->p->labels, m->p->on, false);
	struct str k = promql_text(arena, &key), s = promql_text(arena, x),
		   t = promql_text(arena, y);

	return promql_fail(m->e, ERR_PARAM,
	    "found duplicate series for the match group %.*s on the %s "
	    "hand-side of the operation: [%.*s, %.*s];many-to-many matching "
	    "not allowed: matching labels must be unique on one side",
	    (int)MIN_OF(k.len, (size_t)40), k.ptr,
	    m->p->many == SIDE_RIGHT ? "left" : "right",
	    (int)MIN_OF(t.len, (size_t)50), t.ptr,
	    (int)MIN_OF(s.len, (size_t)50), s.ptr);
}

static int
meet(struct meeting *m, const struct keys *k, size_t step, size_t *owner,
    bool *taken)
{
	const struct promql *p = m->p;
	struct eval *e = m->e;

	memset(owner, 0, k->n * sizeof(*owner));
	memset(taken, 0, k->n * sizeof(*taken));
	for (size_t r = 0; r < m->one->n; r++) {
		size_t key = k->of[1][r];

		if (is_gone(m->one->rows[r].v[step]))
			continue;
		if (owner[key] != 0)
			return duplicate(m, owner[key] - 1, r);
		owner[key] = r + 1;
	}
	for (size_t r = 0; r < m->many->n; r++) {
		size_t key = k->of[0][r];
		double x = m->many->rows[r].v[step], y, v;
		struct row *row;

		if (is_gone(x) || owner[key] == 0)
			continue;
		y = m->one->rows[owner[key] - 1].v[step];
		v = p->many == SIDE_RIGHT ? result(p, y, x, y)
					  : result(p, x, y, x);
		if (is_gone(v))
			continue;
		if (p->many == SIDE_ONE && taken[key])
			return promql_fail(e, ERR_PARAM,
			    "multiple matches for labels: many-to-one matching "
			    "must be explicit (group_left/group_right)");
		taken[key] = true;
		row = row_for(m, r, owner[key] - 1);
		if (row == NULL)
			return e->rc;
		if (!is_gone(row->v[step]))
			return promql_fail(e, ERR_PARAM,
			    "multiple matches for labels: grouping labels must "
			    "ensure unique matches");
		row->v[step] = v;
	}
	return 0;
}

static int
match_vectors(struct eval *e, const struct promql *p, struct grid *left,
    struct grid *right, struct grid *ret)
{
	bool swapped = p->many == SIDE_RIGHT;
	struct meeting m = { .e = e,
		.p = p,
		.many = swapped ? right : left,
		.one = swapped ? left : right,
		.out.type = PROMQL_VECTOR };
	struct keys k = make_keys(e, p, m.many, m.one);
	size_t *owner = arena_array(e->arena, k.n + 1, size_t);
	bool *taken = arena_array(e->arena, k.n + 1, bool);

	m.pair = arena_array(e->arena, m.many->n + 1, size_t);
	m.pair_to = arena_array(e->arena, m.many->n + 1, size_t);
	for (size_t i = 0; i < e->steps && e->rc == 0; i++)
		if (promql_count(e, left->n + right->n))
			(void)meet(&m, &k, i, owner, taken);
	map_fini(&m.known);
	*ret = m.out;
	return e->rc;
}

int
promql_binary(struct eval *e, const struct promql *p, struct grid *ret)
{
	struct grid left, right;

	if (promql_grid(e, p->left, &left) != 0 ||
	    promql_grid(e, p->right, &right) != 0)
		return e->rc;
	if (left.type == PROMQL_SCALAR && right.type == PROMQL_SCALAR) {
		for (size_t i = 0; i < e->steps; i++)
			left.rows[0].v[i] = result(p, left.rows[0].v[i],
			    right.rows[0].v[i], left.rows[0].v[i]);
		*ret = left;
		return 0;
	}
	if (left.type == PROMQL_SCALAR || right.type == PROMQL_SCALAR)
		return with_scalar(e, p, &left, &right, ret);
	if (OP_IS_SET(p->op))
		return set_operation(e, p, &left, &right, ret);
	return match_vectors(e, p, &left, &right, ret);
}

/*
 * codec/go_template.c - see go_template.h. Runs the tree of a template: nodes
 * write to the output, pipelines give values.
 */
#include "codec/go_template.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/go_template_tree.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct run {
	struct exec x;
	struct buf *out;
	size_t out_start;
	const char *at; /* the pipeline that runs, for errors */
	struct val dot;
	struct val slots[GO_SLOTS_MAX];
};

/* How a list of nodes ended. */
enum how { WENT_ON, BROKE_OFF, CONTINUED, FAILED };

static int eval_pipe(struct run *r, const struct pipe *p, struct val *ret);

/* --- values -------------------------------------------------------------- */

/* `value.name`, called with arguments if it is a method. */
static int
follow(struct run *r, struct val value, struct str name, const struct val *args,
    size_t n_args, struct val *ret)
{
	const struct go_func_row *method = NULL;
	struct val with[GO_ARGS_MAX];

	if (value.kind == VAL_TEXT || value.kind == VAL_TIME ||
	    value.kind == VAL_DURATION)
		method = go_method_find(&value, name);
	if (method != NULL) {
		if (n_args + 1 < method->min || n_args + 1 > method->max)
			return err_set(r->x.err, ERR_PARAM,
			    "wrong number of arguments for %s", method->name);
		(void)go_val_as_time(&value);
		with[0] = value;
		for (size_t i = 0; i < n_args; i++)
			with[i + 1] = args[i];
		return method->run(&r->x, with, n_args + 1, ret);
	}
	if (n_args > 0)
		return err_set(r->x.err, ERR_PARAM,
		    STR_FMT " is no method and can't have arguments",
		    (int)MIN_OF(name.len, 60), name.ptr);
	if (value.kind == VAL_OBJECT)
		return go_val_member(&r->x, &value, name, true, ret);
	if (value.kind != VAL_NONE)
		return err_set(r->x.err, ERR_PARAM,
		    "a %s has no field " STR_FMT, go_val_type(&value),
		    (int)MIN_OF(name.len, 60), name.ptr);
	*ret = value;
	return 0;
}

static int
call(struct run *r, const struct go_func_row *f, const struct val *args,
    size_t n, struct val *ret)
{
	if (n < f->min || n > f->max)
		return err_set(r->x.err, ERR_PARAM,
		    "wrong number of arguments for %s", f->name);
	return f->run(&r->x, args, n, ret);
}

/* The value of an operand without its links. */
static int
eval_base(struct run *r, const struct operand *o, struct val *ret)
{
	switch (o->kind) {
	case OPERAND_DOT:
		*ret = r->dot;
		return 0;
	case OPERAND_VALUE:
		*ret = o->val;
		return 0;
	case OPERAND_SLOT:
		*ret = r->slots[o->slot];
		return 0;
	case OPERAND_PIPE:
		return eval_pipe(r, o->pipe, ret);
	case OPERAND_FUNC:
		if (o->func->run == NULL)
			return err_set(r->x.err, ERR_PARAM,
			    "wrong number of arguments for %s", o->func->name);
		return call(r, o->func, NULL, 0, ret);
	default:
		*ret = (struct val){ .kind = VAL_NONE };
		return 0;
	}
}

/* The value of an operand; the last of its links gets the arguments. */
static int
eval_operand(struct run *r, const struct operand *o, const struct val *args,
    size_t n_args, struct val *ret)
{
	if (eval_base(r, o, ret) != 0)
		return r->x.err->code;
	for (const struct link *l = o->links; l != NULL; l = l->next)
		if (go_charge(&r->x, 1) != 0 ||
		    follow(r, *ret, l->name, args, l->next == NULL ? n_args : 0,
			ret) != 0)
			return r->x.err->code;
	return 0;
}

/* `and`, `or`: no argument is looked at when one before it has decided. */
static int
eval_lazily(struct run *r, const struct cmd *c, bool stop_at,
    const struct val *piped, struct val *ret)
{
	if (c->n_args == 0 && piped == NULL)
		return err_set(r->x.err, ERR_PARAM,
		    "wrong number of arguments for %s", c->first->func->name);
	for (const struct operand *o = c->first->next; o != NULL; o = o->next) {
		if (eval_operand(r, o, NULL, 0, ret) != 0)
			return r->x.err->code;
		if (go_val_truth(ret) == stop_at)
			return 0;
	}
	if (piped != NULL)
		*ret = *piped;
	return 0;
}

static int
eval_cmd(struct run *r, const struct cmd *c, const struct val *piped,
    struct val *ret)
{
	struct val args[GO_ARGS_MAX];
	const struct operand *first = c->first;
	size_t n = 0;

	if (go_charge(&r->x, 1) != 0)
		return r->x.err->code;
	if (first->kind == OPERAND_FUNC && first->links == NULL &&
	    first->func->run == NULL)
		return eval_lazily(
		    r, c, str_eqz(str_of(first->func->name), "or"), piped, ret);
	for (const struct operand *o = first->next; o != NULL; o = o->next)
		if (eval_operand(r, o, NULL, 0, &args[n++]) != 0)
			return r->x.err->code;
	if (piped != NULL)
		args[n++] = *piped;
	if (first->kind == OPERAND_FUNC && first->links == NULL)
		return call(r, first->func, args, n, ret);
	return eval_operand(r, first, args, n, ret);
}

static int
eval_pipe(struct run *r, const struct pipe *p, struct val *ret)
{
	struct val value = { .kind = VAL_NONE }, piped;

	r->at = p->at;
	for (const struct cmd *c = p->cmds; c != NULL; c = c->next) {
		piped = value;
		if (eval_cmd(r, c, c == p->cmds ? NULL : &piped, &value) != 0)
			return r->x.err->code;
	}
	for (size_t i = 0; i < p->n_slots; i++)
		r->slots[p->slots[i]] = value;
	*ret = value;
	return 0;
}

/* --- nodes --------------------------------------------------------------- */

static enum how run_list(struct run *r, const struct node *n);

static enum how
check_output(struct run *r)
{
	if (r->out->len - r->out_start <= r->x.max_output)
		return WENT_ON;
	err_set(r->x.err, ERR_LIMIT, "the output is over %" PRIu64 " bytes",
	    r->x.max_output);
	return FAILED;
}

static enum how
run_print(struct run *r, const struct node *n)
{
	struct buf text = { 0 };
	struct val value;
	int rc;

	if (eval_pipe(r, n->pipe, &value) != 0)
		return FAILED;
	if (n->pipe->n_slots > 0)
		return WENT_ON;
	if (value.kind == VAL_TEXT) {
		buf_add_str(r->out, value.text);
		return check_output(r);
	}
	rc = go_val_print(&r->x, &text, &value);
	buf_add_str(r->out, buf_str(&text));
	buf_free(&text);
	return rc != 0 ? FAILED : check_output(r);
}

/* One turn of a range. */
static enum how
run_turn(struct run *r, const struct node *n, struct val key, struct val item)
{
	const struct pipe *p = n->pipe;
	enum how how;

	if (go_charge(&r->x, 1) != 0)
		return FAILED;
	if (p->n_slots == 2)
		r->slots[p->slots[0]] = key;
	if (p->n_slots > 0)
		r->slots[p->slots[p->n_slots - 1]] = item;
	r->dot = item;
	how = run_list(r, n->body);
	return how == CONTINUED ? WENT_ON : how;
}

static enum how
range_list(struct run *r, const struct node *n, const struct val *list)
{
	struct json j;
	enum how how = WENT_ON;

	json_open(&j, list->text, 0, r->x.arena);
	json_array(&j);
	for (int64_t i = 0; how == WENT_ON && json_item(&j); i++)
		how = run_turn(r, n, (struct val){ .kind = VAL_INT, .num = i },
		    go_val_read(&r->x, &j));
	return how;
}

struct pair {
	struct str key;
	struct val val;
};

static int
by_key(const void *a, const void *b)
{
	const struct pair *one = a, *other = b;

	return str_cmp(one->key, other->key);
}

static enum how
range_object(struct run *r, const struct node *n, const struct val *object)
{
	int64_t count = go_val_len(&r->x, object), got = 0;
	enum how how = WENT_ON;
	struct pair *pairs;
	struct json j;

	if (count < 0 || go_charge(&r->x, (size_t)count) != 0)
		return FAILED;
	pairs = arena_array(r->x.arena, (size_t)count + 1, struct pair);
	json_open(&j, object->text, 0, r->x.arena);
	for (json_object(&j); got < count && json_member(&j, &pairs[got].key);
	     got++)
		pairs[got].val = go_val_read(&r->x, &j);
	qsort(pairs, (size_t)got, sizeof(*pairs), by_key);
	for (int64_t i = 0; how == WENT_ON && i < got; i++)
		how = run_turn(r, n, go_val_text(pairs[i].key), pairs[i].val);
	return how;
}

static enum how
range_number(struct run *r, const struct node *n, int64_t count)
{
	enum how how = WENT_ON;

	for (int64_t i = 0; how == WENT_ON && i < count; i++) {
		struct val v = { .kind = VAL_INT, .num = i };

		how = run_turn(r, n, v, v);
	}
	return how;
}

static enum how
run_range(struct run *r, const struct node *n)
{
	struct val over, dot = r->dot;
	enum how how;

	if (eval_pipe(r, n->pipe, &over) != 0)
		return FAILED;
	if (!go_val_truth(&over))
		return run_list(r, n->other);
	if (over.kind == VAL_ARRAY) {
		how = range_list(r, n, &over);
	} else if (over.kind == VAL_OBJECT) {
		how = range_object(r, n, &over);
	} else if (over.kind == VAL_INT) {
		how = range_number(r, n, over.num);
	} else {
		err_set(
		    r->x.err, ERR_PARAM, "range over a %s", go_val_type(&over));
		how = FAILED;
	}
	r->dot = dot;
	return how == BROKE_OFF ? WENT_ON : how;
}

static enum how
run_choice(struct run *r, const struct node *n)
{
	struct val value, dot = r->dot;
	enum how how;

	if (eval_pipe(r, n->pipe, &value) != 0)
		return FAILED;
	if (!go_val_truth(&value))
		return run_list(r, n->other);
	if (n->kind == NODE_WITH)
		r->dot = value;
	how = run_list(r, n->body);
	r->dot = dot;
	return how;
}

static enum how
run_node(struct run *r, const struct node *n)
{
	if (go_charge(&r->x, 1) != 0)
		return FAILED;
	switch (n->kind) {
	case NODE_TEXT:
		buf_add_str(r->out, n->text);
		return check_output(r);
	case NODE_PRINT:
		return run_print(r, n);
	case NODE_RANGE:
		return run_range(r, n);
	case NODE_BREAK:
		return BROKE_OFF;
	case NODE_CONTINUE:
		return CONTINUED;
	default:
		return run_choice(r, n);
	}
}

static enum how
run_list(struct run *r, const struct node *n)
{
	enum how how = WENT_ON;

	for (; n != NULL && how == WENT_ON; n = n->next)
		how = run_node(r, n);
	return how;
}

/* --- the whole ----------------------------------------------------------- */

static unsigned
depth_of(const struct go_template_host *host)
{
	unsigned depth = host->max_depth != 0 ? host->max_depth : 64;

	return MIN_OF(depth, GO_DEPTH_MAX);
}

static uint64_t
output_of(const struct go_template_host *host)
{
	return host->max_output != 0 ? host->max_output : 1024 * 1024;
}

static int
read_data(struct run *r, struct str data)
{
	struct json j;

	if (data.ptr == NULL)
		data = STR("{}");
	if (!json_valid(data, 0))
		return err_set(
		    r->x.err, ERR_PARAM, "the data of a template is no JSON");
	json_open(&j, data, 0, r->x.arena);
	r->dot = go_val_read(&r->x, &j);
	r->slots[0] = r->dot;
	return 0;
}

/* `*steps` counts over several templates. */
static int
render(struct arena *a, struct str text, struct str data,
    const struct go_template_host *host, uint64_t *steps, struct buf *out,
    struct err *err)
{
	struct run *r = arena_new(a, struct run);
	struct node *tree;
	int rc = 0;

	*r = (struct run){ .out = out, .out_start = out->len, .at = text.ptr };
	r->x = (struct exec){ .arena = a,
		.host = host,
		.max_output = output_of(host),
		.max_steps = host->max_steps != 0 ? host->max_steps : 1000000,
		.max_memory = 16 * output_of(host) + data.len,
		.steps = *steps,
		.err = err };
	err->code = 0;
	rc = go_template_parse(a, text, depth_of(host), &tree, err);
	if (rc == 0)
		rc = read_data(r, data);
	if (rc == 0) {
		r->x.arena_start = a->used;
		if (run_list(r, tree) == FAILED) {
			out->len = r->out_start;
			rc = go_template_at(text, r->at, err);
		}
	}
	*steps = r->x.steps;
	return rc;
}

int
go_template_render(struct arena *a, struct str text, struct str data,
    const struct go_template_host *host, struct buf *out, struct err *err)
{
	struct err ignored;
	uint64_t steps = 0;

	return render(
	    a, text, data, host, &steps, out, err != NULL ? err : &ignored);
}

/* --- JSON with templates in it ------------------------------------------- */

struct walk {
	struct json j;
	struct json_out o;
	struct str data;
	const struct go_template_host *host;
	uint64_t steps;
	struct arena scratch; /* of one template */
	struct buf text;
	struct err *err;
};

static int walk_value(struct walk *w);

static int
walk_text(struct walk *w)
{
	struct str text;
	int rc;

	if (!json_str(&w->j, &text))
		return 0; /* json_done() says why */
	if (memmem(text.ptr, text.len, "{{", 2) == NULL) {
		json_out_str(&w->o, text);
		return 0;
	}
	buf_clear(&w->text);
	/* the data are read again */
	w->steps += w->data.len / 64;
	rc = render(
	    &w->scratch, text, w->data, w->host, &w->steps, &w->text, w->err);
	arena_clear(&w->scratch);
	if (rc == 0 && w->o.buf->len + w->text.len > output_of(w->host))
		rc = err_set(w->err, ERR_LIMIT,
		    "the output is over %" PRIu64 " bytes", output_of(w->host));
	if (rc == 0)
		json_out_str(
		    &w->o, w->text.len > 0 ? buf_str(&w->text) : STR(""));
	return rc;
}

static int
walk_object(struct walk *w)
{
	struct str key;

	json_out_object(&w->o);
	json_object(&w->j);
	while (json_member(&w->j, &key)) {
		json_out_key_str(&w->o, key);
		if (walk_value(w) != 0)
			return err_wrap(
			    w->err, STR_FMT, (int)MIN_OF(key.len, 40), key.ptr);
	}
	json_out_end_object(&w->o);
	return 0;
}

static int
walk_array(struct walk *w)
{
	json_out_array(&w->o);
	json_array(&w->j);
	for (int i = 0; json_item(&w->j); i++)
		if (walk_value(w) != 0)
			return err_wrap(w->err, "[%d]", i);
	json_out_end_array(&w->o);
	return 0;
}

static int
walk_value(struct walk *w)
{
	switch (json_peek(&w->j)) {
	case JSON_STRING:
		return walk_text(w);
	case JSON_OBJECT:
		return walk_object(w);
	case JSON_ARRAY:
		return walk_array(w);
	default:
		json_copy(&w->j, &w->o);
		return 0;
	}
}

int
go_template_render_json(struct arena *a, struct str json, struct str data,
    const struct go_template_host *host, struct buf *out, struct err *err)
{
	struct err ignored;
	struct buf text = { 0 };
	struct walk w = {
		.data = data, .host = host, .err = err != NULL ? err : &ignored
	};
	int rc;

	json_open(&w.j, json, 0, a);
	json_out_init(&w.o, &text, false);
	rc = walk_value(&w);
	if (rc == 0)
		rc = json_done(&w.j, w.err);
	if (rc == 0)
		buf_add_str(out, buf_str(&text));
	buf_free(&text);
	buf_free(&w.text);
	arena_fini(&w.scratch);
	return rc;
}

int
go_template_check(struct str text, struct err *err)
{
	struct arena a = { 0 };
	struct err ignored;
	struct node *tree;
	int rc = go_template_parse(
	    &a, text, GO_DEPTH_MAX, &tree, err != NULL ? err : &ignored);

	arena_fini(&a);
	return rc;
}

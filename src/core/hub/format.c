/*
 * core/hub/format.c - formatters: the script of a field has the last word on
 * what is kept of a value that its device has sent.
 *
 *    readings --> those whose field has a formatter: its script --> readings
 *             --> the others, as they are ----------------------------^
 *
 *  (1) A message's readings are kept together, in their order, when all of its
 *      scripts have ended; the device's next message waits, those of other
 *      devices do not.
 *  (2) A script that fails, or takes too long, costs the value of its field and
 *      nothing else: the device's state tells why.
 *  (3) What a formatter makes for other fields is not formatted again.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/flatten.h"

#include <stdlib.h>

/* One reading whose field has a formatter. */
struct format {
	struct formats *all;
	struct reading *in;
	struct script_call call;
	struct script_var vars[3];
	struct reading *out; /* in the message's arena */
	size_t n_out;
};

/* Of one message. */
struct formats {
	struct heard *m;
	struct reading *at; /* all, in their order */
	struct format **by; /* at the same place; NULL: as it is */
	size_t n, waits;
	struct str trouble; /* of the first that failed; null: none */
};

static struct cell *
cell_of(struct device *d, const struct reading *r)
{
	struct buf key = { 0 };
	struct cell *f;

	buf_addf(
	    &key, STR_FMT "\n" STR_FMT, STR_ARG(r->source), STR_ARG(r->field));
	f = map_get(&d->fields, buf_str(&key));
	buf_free(&key);
	return f;
}

static bool
has_formatter(struct device *d, const struct reading *r)
{
	const struct cell *f = cell_of(d, r);

	return f != NULL && f->row.formatter.on_receive.len > 0;
}

/* --- what a script gave -------------------------------------------------- */

/* Members of an object that a formatter gave. */
struct given {
	struct str source, field, name, unit, metric_type, labels, others;
};

static const struct hub_text given_texts[] = {
	{ "sourceId", offsetof(struct given, source) },
	{ "fieldId", offsetof(struct given, field) },
	{ "name", offsetof(struct given, name) },
	{ "unit", offsetof(struct given, unit) },
	{ "metricType", offsetof(struct given, metric_type) },
	{ "labels", offsetof(struct given, labels) },
	{ "others", offsetof(struct given, others) },
};

static bool
is_object(struct str json)
{
	return json.ptr == NULL || (json.len > 0 && json.ptr[0] == '{');
}

static int
take_object(struct format *x, struct str json, struct err *err)
{
	struct arena *a = &x->all->m->arena;
	struct reading *r = &x->out[x->n_out];
	struct given g = { 0 };
	struct str value;

	if (!hub_read_texts(a, json, given_texts, COUNT_OF(given_texts), &g) ||
	    !hub_json_at(a, json, STR("value"), &value) ||
	    str_eqz(value, "null"))
		return err_set(err, ERR_PARAM,
		    "gave something that is no object with a `value`");
	if (!is_object(g.labels) || !is_object(g.others))
		return err_set(
		    err, ERR_PARAM, "gave labels or others that are no object");
	if (g.metric_type.ptr != NULL && !hub_is_metric_type(g.metric_type))
		return err_set(err, ERR_PARAM,
		    "gave the metric type `" STR_FMT "`, which there is not",
		    STR_ARG(g.metric_type));
	*r = *x->in;
	r->value = value;
	if (g.source.len > 0)
		r->source = flatten_name(a, g.source);
	if (g.field.len > 0)
		r->field = flatten_name(a, g.field);
	if (g.name.ptr != NULL)
		r->name = g.name;
	if (g.unit.ptr != NULL)
		r->unit = g.unit;
	if (g.metric_type.ptr != NULL)
		r->metric_type = g.metric_type;
	r->labels = g.labels;
	r->others = g.others;
	x->n_out++;
	return 0;
}

static int
take_list(struct format *x, struct str json, struct err *err)
{
	struct arena *a = &x->all->m->arena;
	struct str item;
	struct json j;
	size_t n = 0;
	int rc = 0;

	json_open(&j, json, 0, a);
	if (json_array(&j))
		while (json_item(&j) && json_skip(&j))
			n++;
	if (n > READINGS_MAX)
		return err_set(
		    err, ERR_LIMIT, "gave more than %d values", READINGS_MAX);
	x->out = arena_array(a, n + 1, struct reading);
	json_open(&j, json, 0, a);
	if (json_array(&j))
		while (rc == 0 && json_item(&j) && json_raw(&j, &item))
			rc = take_object(x, item, err);
	return rc;
}

static int
take_result(struct format *x, struct str json, struct err *err)
{
	struct arena *a = &x->all->m->arena;

	if (json.len > 0 && json.ptr[0] == '[')
		return take_list(x, json, err);
	x->out = arena_new(a, struct reading);
	if (json.len > 0 && json.ptr[0] == '{')
		return take_object(x, json, err);
	if (json.len == 0 || str_eqz(json, "null"))
		return err_set(err, ERR_PARAM, "gave no value");
	x->out[0] = *x->in;
	x->out[0].value = json;
	x->n_out = 1;
	return 0;
}

/* --- running ------------------------------------------------------------- */

static void
failed(struct format *x, const struct err *err)
{
	struct formats *all = x->all;

	x->n_out = 0;
	counter_add(&all->m->hub->counters.format_failed, 1);
	if (all->trouble.ptr == NULL)
		all->trouble = arena_printf(&all->m->arena,
		    "formatter of " STR_FMT "." STR_FMT ": %s",
		    STR_ARG(x->in->source), STR_ARG(x->in->field), err->text);
}

/* All have ended. */
static void
finish(struct formats *all)
{
	struct arena *a = &all->m->arena;
	struct reading *kept;
	size_t n = 0, max = 0;

	for (size_t i = 0; i < all->n; i++)
		max += all->by[i] != NULL ? all->by[i]->n_out : 1;
	kept = arena_array(a, max + 1, struct reading);
	for (size_t i = 0; i < all->n; i++) {
		const struct format *x = all->by[i];

		if (x == NULL)
			kept[n++] = all->at[i];
		for (size_t k = 0; x != NULL && k < x->n_out; k++)
			kept[n++] = x->out[k];
	}
	heard_keep(all->m, kept, n, all->trouble);
}

static void
on_script(struct script_call *call)
{
	struct format *x = container_of(call, struct format, call);
	struct formats *all = x->all;
	struct err err = call->err;

	if (call->end == SCRIPT_DONE)
		(void)take_result(
		    x, arena_str(&all->m->arena, call->result), &err);
	if (err.code != 0)
		failed(x, &err);
	if (--all->waits > 0)
		return;
	finish(all);
	heard_go_on(all->m);
}

static struct str
or_null(struct str json)
{
	return json.ptr != NULL ? json : STR("null");
}

static void
begin(struct device *d, struct format *x)
{
	struct arena *a = &x->all->m->arena;
	const struct cell *f = cell_of(d, x->in);
	struct buf text = { 0 };
	struct err err;

	/* scripts see it as text, as it would come from a wire */
	if (str_starts(x->in->value, STR("\"")))
		buf_add_str(&text, x->in->value);
	else
		json_quote(&text, x->in->value);
	x->vars[0] =
	    (struct script_var){ STR("value"), arena_str(a, buf_str(&text)) };
	x->vars[1] = (struct script_var){ STR("lastValue"),
		or_null(arena_str(a, f->now)) };
	x->vars[2] = (struct script_var){ STR("previousValue"),
		or_null(arena_str(a, f->before)) };
	buf_free(&text);
	x->call = (struct script_call){ .group = d->row.unit_id,
		.source = arena_str(a, f->row.formatter.on_receive),
		.entry = SCRIPT_VALUE,
		.vars = x->vars,
		.n_vars = COUNT_OF(x->vars),
		.done = on_script };
	x->all->waits++;
	counter_add(&d->hub->counters.formatted, 1);
	if (script_run(d->hub->codecs, &x->call, &err) != 0) {
		x->all->waits--;
		failed(x, &err);
	}
}

/* The readings' texts are another message's soon. */
static void
copy(struct arena *a, struct reading *r)
{
	r->source = arena_str(a, r->source);
	r->field = arena_str(a, r->field);
	r->name = arena_str(a, r->name);
	r->value = arena_str(a, r->value);
	r->metric_type = arena_str(a, r->metric_type);
	r->unit = arena_str(a, r->unit);
	r->labels = arena_str(a, r->labels);
	r->others = arena_str(a, r->others);
}

enum format_end
format_begin(struct device *d, struct heard *m, const struct readings *r)
{
	struct arena *a = &m->arena;
	struct formats *all;
	bool any = false;

	for (size_t i = 0; i < r->n && !any; i++)
		any = has_formatter(d, &r->at[i]);
	if (!any)
		return FORMAT_NONE;
	all = arena_new(a, struct formats);
	all->m = m;
	all->n = r->n;
	all->at = arena_array(a, r->n, struct reading);
	all->by = arena_array(a, r->n, struct format *);
	for (size_t i = 0; i < r->n; i++) {
		all->at[i] = r->at[i];
		copy(a, &all->at[i]);
	}
	all->waits = 1;
	for (size_t i = 0; i < all->n; i++)
		if (has_formatter(d, &all->at[i])) {
			all->by[i] = arena_new(a, struct format);
			all->by[i]->all = all;
			all->by[i]->in = &all->at[i];
			begin(d, all->by[i]);
		}
	if (--all->waits > 0)
		return FORMAT_LATER;
	finish(all); /* none could be started */
	return FORMAT_DONE;
}

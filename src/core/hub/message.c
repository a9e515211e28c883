/*
 * core/hub/message.c - what the messages of gateways say, put into the model.
 *
 *  (1) Labels and others grow by what is told; a label `ignore_KEY` keeps the
 *      key as people have set it.
 *  (2) A name is taken while there is none, or the one from before: what people
 *      have called something stays.
 *  (3) A node that asks for values gets those that are known, at once.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

/* --- objects of texts ---------------------------------------------------- */

static bool
is_pinned(struct str labels, struct str key)
{
	struct arena a = { 0 };
	char *z =
	    arena_z(&a, arena_printf(&a, "ignore_" STR_FMT, STR_ARG(key)));
	bool yes = hub_has_label(labels, z);

	arena_fini(&a);
	return yes;
}

/* The members of `more` that differ from those of `json` and are not pinned,
 * over them; the same text when there are none. */
static struct str
grown(struct arena *a, struct str json, struct str more, struct str labels)
{
	struct str key, value, old;
	struct buf b = { 0 };
	struct json_out o;
	struct json j;
	size_t n = 0;

	if (more.len < 3)
		return json;
	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_open(&j, more, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &value)) {
			if (hub_json_at(a, json, key, &old) &&
			    (str_eq(old, value) || is_pinned(labels, key)))
				continue;
			json_out_key_str(&o, key);
			json_out_raw(&o, value);
			n++;
		}
	json_out_end_object(&o);
	if (n > 0)
		json = hub_merged(a, json, arena_str(a, buf_str(&b)));
	buf_free(&b);
	return json;
}

static void
add_other(struct arena *a, struct str *others, struct str key, struct str value)
{
	struct buf b = { 0 };

	buf_addc(&b, '{');
	json_quote(&b, key);
	buf_addc(&b, ':');
	buf_add_str(&b, value);
	buf_addc(&b, '}');
	*others = hub_merged(a, *others, arena_str(a, buf_str(&b)));
	buf_free(&b);
}

/* --- nodes --------------------------------------------------------------- */

void
model_merge_node(struct device *d, struct str labels, struct str others)
{
	struct arena a = { 0 };
	struct hub_node row = d->row;

	row.labels = grown(&a, d->row.labels, labels, d->row.labels);
	row.others = grown(&a, d->row.others, others, d->row.labels);
	model_take_node(d, &row);
	arena_fini(&a);
}

void
model_note(struct device *d, const char *key, struct str text)
{
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct str others = STR("{}");

	json_quote(&b, text);
	add_other(&a, &others, str_of(key), buf_str(&b));
	model_merge_node(d, STR_NULL, others);
	buf_free(&b);
	arena_fini(&a);
}

/* False: it can not be reached. */
static bool
say_node(struct device *d, const struct gateway_message *m)
{
	struct arena a = { 0 };
	struct hub_node row = d->row;
	struct str text, others = STR("{}");
	bool there = true;

	row.labels = grown(&a, row.labels, m->labels, d->row.labels);
	for (size_t i = 0; i < m->n_payloads; i++) {
		const struct gateway_payload *p = &m->payloads[i];

		row.labels = grown(&a, row.labels, p->labels, d->row.labels);
		others = grown(&a, others, p->others, STR("{}"));
		if (p->value.ptr == NULL)
			continue;
		text = hub_plain(&a, p->value);
		if (str_eqz(p->key, "name")) {
			if (row.name.len == 0 &&
			    !hub_has_label(row.labels, "ignore_name"))
				row.name = text;
		} else if (str_eqz(p->key, "status")) {
			there = hub_truth(text) ||
			    str_eq_nocase(text, STR("up")) ||
			    str_eq_nocase(text, STR("online"));
		} else {
			add_other(&a, &others, p->key, p->value);
		}
	}
	row.state = d->row.state;
	row.others = grown(&a, row.others, others, d->row.labels);
	model_take_node(d, &row);
	arena_fini(&a);
	return there;
}

/* --- sources and fields -------------------------------------------------- */

static void
say_source(struct device *d, const struct gateway_message *m, int64_t at)
{
	struct source *s = model_source(d, m->source, at);
	struct hub_source row = s->row;
	struct arena a = { 0 };

	row.labels = grown(&a, row.labels, m->labels, s->row.labels);
	for (size_t i = 0; i < m->n_payloads; i++) {
		const struct gateway_payload *p = &m->payloads[i];

		row.labels = grown(&a, row.labels, p->labels, s->row.labels);
		row.others = grown(&a, row.others, p->others, s->row.labels);
		if (!str_eqz(p->key, "name") || p->value.ptr == NULL ||
		    hub_has_label(s->row.labels, "ignore_name"))
			continue;
		if (row.name.len == 0 || str_eq(row.name, row.source_id))
			row.name = hub_plain(&a, p->value);
		if (row.name.len == 0)
			row.name = row.source_id;
	}
	model_take_source(s, &row);
	arena_fini(&a);
}

static void
say_fields(struct device *d, const struct gateway_message *m, int64_t at)
{
	for (size_t i = 0; i < m->n_payloads; i++) {
		const struct gateway_payload *p = &m->payloads[i];
		const struct reading r = { .source = m->source,
			.field = p->key,
			.name = STR_NULL,
			.value = p->value,
			.metric_type =
			    p->metric_type.len > 0 ? p->metric_type : STR_NULL,
			.unit = p->unit.len > 0 ? p->unit : STR_NULL };
		struct arena a = { 0 };
		struct cell *f;

		if (p->value.ptr == NULL || str_eqz(p->value, "null"))
			continue;
		f = model_cell(d, &r);
		if (f != NULL)
			model_take_labels(f,
			    grown(&a, f->row.labels, p->labels, f->row.labels),
			    grown(&a, f->row.others, p->others, f->row.labels));
		arena_fini(&a);
		(void)model_read(d, &r, at);
	}
}

static void
answer(struct device *d, const struct gateway_message *m)
{
	for (size_t i = 0; i < m->n_payloads; i++) {
		struct cell *f = model_find(d, m->source, m->payloads[i].key);

		if (f == NULL || f->now.ptr == NULL)
			continue;
		(void)field_say(f, f->now, true, NULL);
		event_field(f, "requested");
	}
}

bool
model_message(struct device *d, const struct gateway_message *m, int64_t at)
{
	if (m->time != TIME_NULL)
		at = m->time;
	if (m->type == GATEWAY_ACTION)
		return true; /* the gateway has seen to it */
	if (m->type == GATEWAY_REQUEST)
		answer(d, m);
	else if (m->source.len == 0)
		return say_node(d, m);
	else if (m->type == GATEWAY_PRESENTATION)
		say_source(d, m, at);
	else
		say_fields(d, m, at);
	return true;
}

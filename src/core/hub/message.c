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
#include "codec/flatten.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

/* --- nodes --------------------------------------------------------------- */

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

void
model_merge_node(struct device *d, struct str labels, struct str others)
{
	struct arena a = { 0 };
	struct hub_node row = d->row;

	row.labels = hub_grown(&a, d->row.labels, labels, d->row.labels, true);
	row.others = hub_grown(&a, d->row.others, others, d->row.labels, false);
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
say_node(struct device *d, const struct gateway_message *m, int64_t at)
{
	struct arena a = { 0 };
	struct hub_node row = d->row;
	struct str text;
	bool there = true;

	row.labels = hub_grown(&a, row.labels, m->labels, d->row.labels, true);
	for (size_t i = 0; i < m->n_payloads; i++) {
		const struct gateway_payload *p = &m->payloads[i];

		row.labels =
		    hub_grown(&a, row.labels, p->labels, d->row.labels, true);
		row.others =
		    hub_grown(&a, row.others, p->others, d->row.labels, false);
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
		}
	}
	model_take_node(d, &row);
	for (size_t i = 0; i < m->n_payloads; i++) {
		const struct gateway_payload *p = &m->payloads[i];

		if (p->value.ptr != NULL && !str_eqz(p->key, "name") &&
		    !str_eqz(p->key, "status"))
			model_node_other(d, p->key, p->value, at);
	}
	arena_fini(&a);
	return there;
}

/* --- sources and fields -------------------------------------------------- */

/* They need no fields to be there, so they have the limit of these. */
static bool
has_all_sources(struct device *d)
{
	int64_t n = 0;

	LIST_EACH (s, &d->sources, struct source, link)
		n++;
	return n >= d->hub->conf.fields_per_device;
}

static void
say_source(struct device *d, const struct gateway_message *m, int64_t at)
{
	struct hub_source row;
	struct arena a = { 0 };
	struct source *s;

	if (model_find_source(d, m->source) == NULL && has_all_sources(d)) {
		counter_add(&d->hub->counters.limited, 1);
		return;
	}
	s = model_source(d, m->source, at);
	row = s->row;
	row.labels = hub_grown(&a, row.labels, m->labels, s->row.labels, true);
	for (size_t i = 0; i < m->n_payloads; i++) {
		const struct gateway_payload *p = &m->payloads[i];

		row.labels =
		    hub_grown(&a, row.labels, p->labels, s->row.labels, true);
		row.others =
		    hub_grown(&a, row.others, p->others, s->row.labels, false);
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
say_fields(const struct gateway_message *m, struct readings *all)
{
	struct arena *a = &all->arena;

	if (m->time != TIME_NULL && m->time != 0)
		all->at_ms = m->time;
	for (size_t i = 0; i < m->n_payloads && all->n < READINGS_MAX; i++) {
		const struct gateway_payload *p = &m->payloads[i];

		if (p->value.ptr == NULL || str_eqz(p->value, "null"))
			continue;
		all->at[all->n++] = (struct reading){
			.source = flatten_name(a, m->source),
			.field = flatten_name(a, p->key),
			.value = arena_str(a, p->value),
			.metric_type = p->metric_type.len > 0
			    ? arena_str(a, p->metric_type)
			    : STR_NULL,
			.unit =
			    p->unit.len > 0 ? arena_str(a, p->unit) : STR_NULL,
			.labels = arena_str(a, p->labels),
			.others = arena_str(a, p->others),
		};
	}
}

bool
model_message(struct device *d, const struct gateway_message *m, int64_t at,
    struct readings *all)
{
	if (m->time != TIME_NULL && m->time != 0)
		at = m->time;
	if (m->type == GATEWAY_ACTION)
		return true; /* the gateway has seen to it */
	if (m->type == GATEWAY_SOFTWARE || m->type == GATEWAY_OPERATION) {
		for (size_t i = 0; i < m->n_payloads; i++)
			if (m->type == GATEWAY_SOFTWARE)
				software_heard(d, m->payloads[i].value);
			else
				operation_heard(d, m->payloads[i].key,
				    m->payloads[i].value);
		return true;
	}
	if (m->type == GATEWAY_REQUEST)
		for (size_t i = 0; i < m->n_payloads; i++)
			model_request(d, m->source, m->payloads[i].key);
	else if (m->source.len == 0)
		return say_node(d, m, at);
	else if (m->type == GATEWAY_PRESENTATION)
		say_source(d, m, at);
	else
		say_fields(m, all);
	return true;
}

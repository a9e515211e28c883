/*
 * edge/mapper/c8y_measure.c - measurements: fragment, series, value.
 *
 *	{"temperature": 23}
 *	{"type":"ThinEdgeMeasurement","time":"...",
 *	 "temperature":{"temperature":{"value":23}}}
 *
 * Numbers keep the text they were typed with.
 */
#include "edge/mapper/c8y_private.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/thin_edge_json.h"

#include <stdlib.h>

/* The units of one type of measurement. */
struct units {
	struct str topic, payload;
	struct arena arena;
	struct unit {
		struct unit *next;
		struct str group, name, unit;
	} * first;
};

struct measure {
	struct mapper_values values; /* first */
	struct c8y *c;
	struct arena *a;
	struct buf time; /* of the first generation: it stands before them */
	bool legacy, has_time;
	const struct units *units;
	struct str type;
	struct str reserved; /* a name that no measurement may have */
};

/* --- units --------------------------------------------------------------- */

static void
units_free(struct units *u)
{
	if (u == NULL)
		return;
	str_free(u->topic);
	str_free(u->payload);
	arena_fini(&u->arena);
	free(u);
}

static void
on_unit(void *owner, struct str group, struct str name, struct str unit)
{
	struct units *u = owner;
	struct unit *one = arena_new(&u->arena, struct unit);

	*one = (struct unit){ u->first, arena_str(&u->arena, group),
		arena_str(&u->arena, name), arena_str(&u->arena, unit) };
	u->first = one;
}

void
c8y_units(struct c8y *c, struct str topic, struct str payload)
{
	struct str key = { topic.ptr, topic.len - 5 }; /* without /meta */
	struct units *old = map_del(&c->units, key), *u;
	struct err err = { 0 };

	units_free(old);
	if (payload.len == 0)
		return;
	u = mem_new(struct units);
	u->topic = str_copy(key);
	u->payload = str_copy(payload);
	if (thin_edge_json_units(u->payload, &u->arena, on_unit, u, &err) !=
	    0) {
		c8y_error(c, "%s", err.text);
		units_free(u);
		return;
	}
	(void)map_put(&c->units, u->topic, u);
}

void
c8y_units_fini(struct c8y *c)
{
	struct units *u;
	size_t pos = 0;

	while ((u = map_next(&c->units, &pos)) != NULL)
		units_free(u);
	map_fini(&c->units);
}

static struct str
unit_of(const struct units *u, struct str group, struct str name)
{
	for (const struct unit *i = u->first; i != NULL; i = i->next)
		if (str_eq(i->group, group) && str_eq(i->name, name))
			return i->unit;
	return STR_NULL;
}

/* --- what is heard ------------------------------------------------------- */

/* The root has members of these names already. */
static bool
is_reserved(struct measure *m, struct str name)
{
	if (m->legacy ||
	    (!str_eqz(name, "type") && !str_eqz(name, "externalSource")))
		return false;
	m->reserved = name;
	return true;
}

static void
on_time(void *owner, const struct thin_edge_time *t)
{
	struct measure *m = owner;
	struct buf *out = m->legacy ? &m->time : m->values.out;

	m->has_time = true;
	if (!m->legacy)
		mapper_values_next(&m->values);
	buf_addz(out, "\"time\":\"");
	if (t->unix_time)
		mapper_add_time(out, t->seconds, t->nanos, 0, true);
	else
		buf_add_str(out, t->text);
	buf_addc(out, '"');
}

static void
on_type(void *owner, struct str type)
{
	((struct measure *)owner)->type = type;
}

static void
on_open(void *owner, struct str group)
{
	(void)is_reserved(owner, group);
	mapper_values_open(owner, group);
}

static void
on_value(void *owner, struct str group, struct str name, struct str text,
    double number)
{
	struct measure *m = owner;
	struct buf *out = m->values.out;
	struct str unit;

	(void)number;
	if (group.ptr == NULL)
		(void)is_reserved(m, name);
	mapper_values_name(&m->values, name);
	if (group.ptr == NULL) { /* both fragment and series */
		buf_addc(out, '{');
		json_quote(out, name);
		buf_addc(out, ':');
	}
	buf_addz(out, "{\"value\":");
	buf_add_str(out, text);
	unit = m->units == NULL ? STR_NULL : unit_of(m->units, group, name);
	if (unit.ptr != NULL) {
		buf_addz(out, ",\"unit\":");
		json_quote(out, unit);
	}
	buf_addz(out, group.ptr == NULL ? "}}" : "}");
}

static void
on_properties(void *owner, struct str json)
{
	struct measure *m = owner;
	struct str key, value;
	struct json j;

	json_open(&j, json, 0, m->a);
	if (!json_object(&j))
		return;
	while (json_member(&j, &key) && json_raw(&j, &value)) {
		if (is_reserved(m, key))
			break;
		mapper_values_name(&m->values, key);
		(void)json_compact(m->values.out, value, 0);
	}
}

static const struct thin_edge_visitor visitor = { .time = on_time,
	.type = on_type,
	.open = on_open,
	.close = mapper_values_close,
	.value = on_value,
	.properties = on_properties };

void
c8y_measure_legacy(
    struct c8y *c, struct str child, struct str payload, struct arena *a)
{
	struct measure m = {
		.values.out = &c->extra, .c = c, .a = a, .legacy = true
	};
	struct c8y_entity *e = c->main;
	struct err err = { 0 };
	int rc = 0;

	/* What waited for a child comes first, and needs our buffers. */
	if (child.len > 0)
		rc = thin_edge_json_read(
		    payload, THIN_EDGE_STRICT, 0, a, NULL, NULL, &err);
	if (rc == 0) {
		e = c8y_legacy_child(c, child);
		buf_clear(&c->extra);
		rc = thin_edge_json_read(
		    payload, THIN_EDGE_STRICT, 0, a, &visitor, &m, &err);
	}
	if (rc != 0) {
		c8y_error(c, "%s", err.text);
		return;
	}
	c8y_topic(c, "/measurement/measurements/create");
	buf_clear(&c->out);
	buf_addc(&c->out, '{');
	if (e != c->main)
		c8y_add_source(c, &c->out, e);
	buf_addz(&c->out, "\"type\":\"ThinEdgeMeasurement\",");
	if (m.has_time) {
		buf_add_str(&c->out, buf_str(&m.time));
	} else {
		buf_addz(&c->out, "\"time\":\"");
		c8y_add_now(c, &c->out, false);
		buf_addc(&c->out, '"');
	}
	buf_addc(&c->out, ',');
	buf_add_str(&c->out, buf_str(&c->extra));
	buf_addc(&c->out, '}');
	(void)c8y_send(c);
	buf_free(&m.time);
}

void
c8y_measure(struct c8y *c, const struct mapper_msg *msg,
    const struct te_topic *t, struct c8y_entity *e, struct arena *a)
{
	struct measure m = { .values.out = &c->out, .c = c, .a = a };
	struct err err = { 0 };

	if (c->units.n > 0)
		m.units = map_get(&c->units, msg->topic);
	buf_clear(&c->out);
	buf_addc(&c->out, '{');
	if (e != c->main)
		c8y_add_source(c, &c->out, e);
	if (thin_edge_json_read(msg->payload, 0, 0, a, &visitor, &m, &err) !=
	    0) {
		c8y_error(c, "%s", err.text);
		return;
	}
	if (m.reserved.ptr != NULL) {
		c8y_error(c,
		    "Unexpected measurement name: \"" STR_FMT
		    "\" is a reserved word.",
		    STR_ARG(m.reserved));
		return;
	}
	if (!m.has_time) {
		mapper_values_name(&m.values, STR("time"));
		buf_addc(&c->out, '"');
		c8y_add_now(c, &c->out, true);
		buf_addc(&c->out, '"');
	}
	buf_addz(&c->out, ",\"type\":");
	json_quote(&c->out,
	    m.type.len > 0        ? m.type
		: t->type.len > 0 ? t->type
				  : STR("ThinEdgeMeasurement"));
	buf_addc(&c->out, '}');
	c8y_topic(c, "/measurement/measurements/create");
	(void)c8y_send(c);
}

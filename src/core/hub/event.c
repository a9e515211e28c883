/*
 * core/hub/event.c - what happened, to who listens.
 *
 * An event is {"type","entityType","entityId","entityQuickId","entity"}. It is
 * published to marram/{unit}/event/{entityType}; a field's value alone to
 * marram/{unit}/value/{gateway}/{node}/{source}/{field}. Applications of the
 * unit may subscribe to both.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "codec/json.h"

#include <string.h>

static struct route_notes *
notes(struct hub *h)
{
	if (h->notes == NULL)
		h->notes = route_notes_new(h->route);
	loop_defer(h->loop, &h->kick);
	return h->notes;
}

void
event_kick(struct hub *h)
{
	if (h->notes == NULL)
		return;
	route_tell(h->notes);
	h->notes = NULL;
}

/* Levels of a topic hold no "/", "+" and "#". */
void
event_level(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_addc(b,
		    memchr("/+#", s.ptr[i], 3) != NULL || s.ptr[i] == '\0'
			? '_'
			: s.ptr[i]);
}

void
event_topic(struct buf *b, struct device *d)
{
	model_know(d);
	buf_addz(b, "marram/");
	event_level(b, d->unit_code);
	buf_addc(b, '/');
}

void
event_note(struct hub *h, struct buf *topic, struct buf *payload, bool retain)
{
	route_note(notes(h), buf_str(topic),
	    payload->ptr != NULL ? buf_str(payload) : STR(""), retain);
	buf_free(topic);
	buf_free(payload);
}

/* {"value":21.5,"timestamp":"..."} */
static void
tell_value(struct cell *f)
{
	struct buf topic = { 0 }, text = { 0 };
	struct json_out o;

	event_topic(&topic, f->device);
	buf_addz(&topic, "value");
	for (int i = 0; i < 4; i++) {
		const struct str levels[] = { f->row.gateway_id, f->row.node_id,
			f->row.source_id, f->row.field_id };

		buf_addc(&topic, '/');
		event_level(&topic, levels[i]);
	}
	json_out_init(&o, &text, false);
	json_out_object(&o);
	json_out_key(&o, "value");
	json_out_raw(&o, f->row.current.value);
	json_out_key(&o, "timestamp");
	json_out_time(&o, f->row.current.timestamp);
	json_out_end_object(&o);
	route_note(
	    notes(f->device->hub), buf_str(&topic), buf_str(&text), false);
	buf_free(&topic);
	buf_free(&text);
}

/* The event as JSON; where the entity lies in it. */
static struct str
event_json(struct buf *b, const struct cell *f, const char *type)
{
	struct str quick = f->quick;
	struct arena a = { 0 };
	struct json_out o;
	size_t from;

	(void)str_cut(&quick, ' '); /* the unit is in the topic */
	json_out_init(&o, b, false);
	json_out_object(&o);
	json_out_key(&o, "type");
	json_out_str(&o, str_of(type));
	json_out_key(&o, "entityType");
	json_out_str(&o, STR("field"));
	json_out_key(&o, "entityId");
	json_out_str(&o, f->row.id);
	json_out_key(&o, "entityQuickId");
	json_out_str(&o, arena_printf(&a, "field:" STR_FMT, STR_ARG(quick)));
	json_out_key(&o, "entity");
	from = b->len;
	record_to_json(&o, &hub_field_entity.record, FIELD_ALL, &f->row);
	from = b->ptr[from] == '{' ? from : from + 1;
	json_out_end_object(&o);
	arena_fini(&a);
	return (struct str){ b->ptr + from, b->len - from - 1 };
}

void
event_field(struct cell *f, const char *type)
{
	struct hub *h = f->device->hub;
	struct buf topic = { 0 }, text = { 0 };
	struct str entity = event_json(&text, f, type);
	const struct hub_event e = { .unit_id = f->row.unit_id,
		.type = str_of(type),
		.entity_type = STR("field"),
		.json = buf_str(&text),
		.entity = entity,
		.place = { f->row.node_id, f->row.field_id, f->row.source_id,
		    f->row.gateway_id } };

	event_topic(&topic, f->device);
	buf_addz(&topic, "event/field");
	route_note(notes(h), buf_str(&topic), e.json, false);
	if (strcmp(type, "deleted") != 0) {
		tell_value(f);
		forwards_hear(h, f);
	}
	tasks_hear(h, &e);
	buf_free(&topic);
	buf_free(&text);
}

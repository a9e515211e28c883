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
static void
add_level(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_addc(b,
		    memchr("/+#", s.ptr[i], 3) != NULL || s.ptr[i] == '\0'
			? '_'
			: s.ptr[i]);
}

static void
add_unit(struct buf *b, const struct device *d)
{
	buf_addz(b, "marram/");
	add_level(b, d->unit_code.len > 0 ? d->unit_code : d->row.unit_id);
	buf_addc(b, '/');
}

/* {"value":21.5,"timestamp":"..."} */
static void
tell_value(struct cell *f)
{
	struct buf topic = { 0 }, text = { 0 };
	struct json_out o;

	add_unit(&topic, f->device);
	buf_addz(&topic, "value");
	for (int i = 0; i < 4; i++) {
		const struct str levels[] = { f->row.gateway_id, f->row.node_id,
			f->row.source_id, f->row.field_id };

		buf_addc(&topic, '/');
		add_level(&topic, levels[i]);
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

void
event_field(struct cell *f, const char *type)
{
	struct buf topic = { 0 }, text = { 0 };
	struct str quick = f->quick;
	struct json_out o;

	(void)str_cut(&quick, ' '); /* the unit is in the topic */
	add_unit(&topic, f->device);
	buf_addz(&topic, "event/field");
	json_out_init(&o, &text, false);
	json_out_object(&o);
	json_out_key(&o, "type");
	json_out_str(&o, str_of(type));
	json_out_key(&o, "entityType");
	json_out_str(&o, STR("field"));
	json_out_key(&o, "entityId");
	json_out_str(&o, f->row.id);
	json_out_key(&o, "entityQuickId");
	{
		struct arena a = { 0 };

		json_out_str(
		    &o, arena_printf(&a, "field:" STR_FMT, STR_ARG(quick)));
		arena_fini(&a);
	}
	json_out_key(&o, "entity");
	record_to_json(&o, &hub_field_entity.record, FIELD_ALL, &f->row);
	json_out_end_object(&o);
	route_note(
	    notes(f->device->hub), buf_str(&topic), buf_str(&text), false);
	buf_free(&topic);
	buf_free(&text);
	if (strcmp(type, "deleted") != 0)
		tell_value(f);
}

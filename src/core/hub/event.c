/*
 * core/hub/event.c - what happened, to who listens.
 *
 * An event is {"type","entityType","entityId","entityQuickId","entity"}. It is
 * published to marram/{unit}/event/{entityType}; a field's value alone to
 * marram/{unit}/value/{gateway}/{node}/{source}/{field}. Applications of the
 * unit may subscribe to both. Who follows by WebSocket (live.h) hears of all
 * objects; of those that are no device's no JSON is made unless somebody does.
 */
#include "core/hub/live.h"
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>
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
	feed_kick(h);
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
event_note_at(struct hub *h, struct buf *topic, struct buf *payload,
    uint8_t qos, bool retain)
{
	route_note(notes(h), buf_str(topic),
	    payload->ptr != NULL ? buf_str(payload) : STR(""), qos, retain);
	buf_free(topic);
	buf_free(payload);
}

void
event_note(struct hub *h, struct buf *topic, struct buf *payload, bool retain)
{
	event_note_at(h, topic, payload, 0, retain);
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
	    notes(f->device->hub), buf_str(&topic), buf_str(&text), 0, false);
	buf_free(&topic);
	buf_free(&text);
}

/* What an event is about. */
struct subject {
	struct hub *hub;
	struct device *device; /* NULL: of no device */
	bool rules;            /* tasks hear of it */
	bool publish;          /* by MQTT, though it is of no device */
	const struct entity *entity;
	const void *row; /* begins as struct hub_any */
	const char *entity_type;
	struct str json;     /* the entity; null: the row as it is */
	struct str quick;    /* without its type */
	struct str place[4]; /* as in struct hub_event */
};

/* The event as JSON; where the entity lies in it. */
static struct str
event_json(struct buf *b, const struct subject *s, const char *type)
{
	const struct hub_any *any = s->row;
	struct arena a = { 0 };
	struct json_out o;
	size_t from;

	json_out_init(&o, b, false);
	json_out_object(&o);
	json_out_key(&o, "type");
	json_out_str(&o, str_of(type));
	json_out_key(&o, "entityType");
	json_out_str(&o, str_of(s->entity_type));
	json_out_key(&o, "entityId");
	json_out_str(&o, any->id);
	json_out_key(&o, "entityQuickId");
	json_out_str(&o,
	    arena_printf(&a, "%s:" STR_FMT, s->entity_type, STR_ARG(s->quick)));
	json_out_key(&o, "entity");
	from = b->len;
	if (s->json.len > 0)
		json_out_raw(&o, s->json);
	else
		record_to_json(&o, &s->entity->record, FIELD_ALL, s->row);
	from = b->ptr[from] == '{' ? from : from + 1;
	json_out_end_object(&o);
	arena_fini(&a);
	return (struct str){ b->ptr + from, b->len - from - 1 };
}

static struct hub_event
event_of(const struct subject *s, const char *type, struct buf *text)
{
	struct str entity = event_json(text, s, type);

	return (struct hub_event){
		.unit_id = ((const struct hub_any *)s->row)->unit_id,
		.type = str_of(type),
		.entity_type = str_of(s->entity_type),
		.json = buf_str(text),
		.entity = entity,
		.place = { s->place[0], s->place[1], s->place[2], s->place[3] }
	};
}

void
event_unit_topic(struct buf *b, struct hub *h, struct str unit_id)
{
	struct arena a = { 0 };
	struct str code;

	if (route_unit_code(h->route, unit_id, &a, &code, NULL) == 1) {
		buf_addz(b, "marram/");
		event_level(b, code);
		buf_addc(b, '/');
	}
	arena_fini(&a);
}

/* What people made may hold secrets, in headers of webhooks, say, and
 * applications hear what is published. */
static void
publish(const struct subject *s, const char *type, const struct hub_event *e,
    struct str topic)
{
	struct subject masked = *s;
	struct arena a = { 0 };
	struct buf text = { 0 };

	if (s->device != NULL) {
		route_note(notes(s->hub), topic, e->json, 0, false);
		return;
	}
	masked.json = hub_secrets_hidden(&a, e->entity);
	(void)event_json(&text, &masked, type);
	route_note(notes(s->hub), topic, buf_str(&text), 0, false);
	buf_free(&text);
	arena_fini(&a);
}

static void
tell(const struct subject *s, const char *type)
{
	const struct hub_any *any = s->row;
	struct hub *h = s->hub;
	bool live = feed_wants(h, any->unit_id, s->entity_type, s->quick);
	bool rules = s->rules && h->listeners.n > 0;
	struct buf topic = { 0 }, text = { 0 };
	struct hub_event e;

	if (!live && !rules && s->device == NULL && !s->publish)
		return; /* nobody listens */
	e = event_of(s, type, &text);
	if (s->device != NULL)
		event_topic(&topic, s->device);
	else if (s->publish)
		event_unit_topic(&topic, h, any->unit_id);
	if (topic.len > 0) {
		buf_addf(&topic, "event/%s", s->entity_type);
		publish(s, type, &e, buf_str(&topic));
	}
	if (live)
		feed_event(h, &e, s->quick, 0);
	if (rules)
		tasks_hear(h, &e);
	buf_free(&topic);
	buf_free(&text);
}

static struct subject
field_subject(struct cell *f)
{
	struct subject s = { f->device->hub, f->device, true, false,
		&hub_field_entity, &f->row, "field", STR_NULL, f->quick,
		{ f->row.node_id, f->row.field_id, f->row.source_id,
		    f->row.gateway_id } };

	(void)str_cut(&s.quick, ' '); /* the unit is in the topic */
	return s;
}

void
event_field(struct cell *f, const char *type)
{
	const struct subject s = field_subject(f);

	if (strcmp(type, "created") == 0 || strcmp(type, "updated") == 0) {
		tell_value(f);
		forwards_hear(f->device->hub, f);
	}
	tell(&s, type);
}

void
event_initial(struct cell *f, uint64_t no)
{
	const struct subject s = field_subject(f);
	struct buf text = { 0 };
	const struct hub_event e = event_of(&s, "requested", &text);

	feed_event(f->device->hub, &e, s.quick, no);
	buf_free(&text);
}

void
event_source(struct source *src, const char *type)
{
	const struct hub_source *row = &src->row;
	struct arena a = { 0 };
	const struct subject s = { src->device->hub, src->device, true, false,
		&hub_source_entity, row, "source", STR_NULL,
		arena_printf(&a, STR_FMT "." STR_FMT "." STR_FMT,
		    STR_ARG(row->gateway_id), STR_ARG(row->node_id),
		    STR_ARG(row->source_id)),
		{ row->node_id, STR_NULL, row->source_id, row->gateway_id } };

	tell(&s, type);
	arena_fini(&a);
}

void
event_node(struct device *d, const char *type)
{
	struct arena a = { 0 };
	const struct subject s = { d->hub, d, true, false, &hub_node_entity,
		&d->row, "node", STR_NULL,
		arena_printf(&a, STR_FMT "." STR_FMT,
		    STR_ARG(d->row.gateway_id), STR_ARG(d->row.node_id)),
		{ d->row.node_id, STR_NULL, STR_NULL, d->row.gateway_id } };

	tell(&s, type);
	arena_fini(&a);
}

/* --- rows of any kind ---------------------------------------------------- */

/* As a call would show it: without secrets. */
static void
tell_row(struct hub *h, const struct hub_object *o, const char *type,
    const void *row, bool publish)
{
	const struct record *rec = &o->object->entity->record;
	const struct hub_any *any = row;
	struct http_call call = { 0 };
	struct rest r = { .c = &call, .o = o->object, .module = h };
	struct subject s = { .hub = h,
		.rules = o->flags & OBJECT_RULES,
		.publish = publish,
		.entity = o->object->entity,
		.row = row,
		.entity_type = o->event,
		.quick = any->id };
	void *copy;

	if (!publish && !feed_wants(h, any->unit_id, s.entity_type, s.quick) &&
	    (!s.rules || h->listeners.n == 0))
		return;
	if (o->object->show != NULL) {
		copy = arena_alloc(&call.arena, rec->size);
		memcpy(copy, row, rec->size);
		o->object->show(&r, REST_GET, copy);
		s.row = copy;
	}
	tell(&s, type);
	arena_fini(&call.arena);
}

/* A row that a call has changed, on its way to the loop. */
struct changed {
	struct loop_post post;
	struct hub *hub;
	const struct hub_object *object;
	const char *type;
	struct str id;
	void *row; /* as the call left it; NULL: not known */
	bool gone; /* it was deleted */
	struct arena arena;
};

/* The row as it is now: of two calls at a time the events then have the same
 * last word as the store. Deleted meanwhile: as the call left it. */
static const void *
row_now(struct changed *c)
{
	const struct entity *e = c->object->object->entity;
	void *row = arena_alloc(&c->arena, e->record.size);
	struct filter f = { 0 };
	bool found;

	filter_text(&f, "id", c->id);
	if (store_get(c->hub->store, e, &f, &c->arena, row, &found, NULL) ==
		0 &&
	    found)
		return row;
	return c->row;
}

static void
run_changed(struct loop_post *p)
{
	struct changed *c = container_of(p, struct changed, post);
	const void *row = NULL;

	if (c->hub->feed != NULL) /* else it all ends */
		row = c->gone ? c->row : row_now(c);
	if (row != NULL)
		tell_row(c->hub, c->object, c->type, row, true);
	arena_fini(&c->arena);
	free(c);
}

static void
changed(struct hub *h, const struct hub_object *o, const char *type,
    struct str id, const void *row, bool gone)
{
	const struct record *rec = &o->object->entity->record;
	struct changed *c = mem_new(struct changed);

	c->post.run = run_changed;
	c->hub = h;
	c->object = o;
	c->type = type;
	c->id = arena_str(&c->arena, id);
	c->gone = gone;
	if (row != NULL) {
		c->row = arena_alloc(&c->arena, rec->size);
		record_copy(rec, &c->arena, c->row, row);
	}
	loop_post(h->loop, &c->post);
}

void
event_called(struct hub *h, const struct hub_object *o, enum rest_verb verb,
    const void *row)
{
	const struct hub_any *any = row;
	const char *type = verb == REST_ADD ? "created"
	    : verb == REST_DEL              ? "deleted"
					    : "updated";

	changed(h, o, type, any->id, row, verb == REST_DEL);
}

void
event_updated(struct hub *h, const struct hub_object *o, struct str id)
{
	changed(h, o, "updated", id, NULL, false);
}

void
event_written(struct hub *h, const struct entity *e, const void *row, bool add)
{
	const struct hub_object *o;

	if (!feed_is_wanted(h))
		return;
	o = hub_object_of(e);
	if (o != NULL && !(o->flags & OBJECT_MODEL))
		tell_row(h, o, add ? "created" : "updated", row, false);
}

void
event_gone(struct hub *h, const struct entity *e, const void *row)
{
	const struct hub_object *o = hub_object_of(e);

	if (o != NULL && feed_is_wanted(h))
		tell_row(h, o, "deleted", row, false);
}

void
event_gateway(struct gate *g, const char *type)
{
	struct arena a = { 0 };

	tell(&(struct subject){ .hub = g->hub,
		 .rules = true,
		 .publish = true,
		 .entity = &route_gateway_entity,
		 .row = &g->row,
		 .entity_type = "gateway",
		 .json = gate_json(&a, g),
		 .quick = g->row.code,
		 .place = { STR_NULL, STR_NULL, STR_NULL, g->row.code } },
	    type);
	arena_fini(&a);
}

/* --- what lies elsewhere ------------------------------------------------- */

struct told {
	struct loop_post post;
	struct hub *hub;
	const char *kind, *type;
	struct hub_any any;
	struct str json;
	struct arena arena;
};

static void
run_told(struct loop_post *p)
{
	struct told *t = container_of(p, struct told, post);
	const struct subject s = { .hub = t->hub,
		.row = &t->any,
		.entity_type = t->kind,
		.json = t->json,
		.quick = t->any.id };

	if (t->hub->feed != NULL) /* else it all ends */
		tell(&s, t->type);
	arena_fini(&t->arena);
	free(t);
}

bool
event_is_wanted(void *hub)
{
	return feed_is_wanted(hub);
}

void
event_told(void *hub, const struct route_told *from)
{
	struct told *t = mem_new(struct told);

	t->post.run = run_told;
	t->hub = hub;
	t->kind = from->kind;
	t->type = from->type;
	t->any.id = arena_str(&t->arena, from->id);
	t->any.unit_id = from->unit_id.len > 0
	    ? arena_str(&t->arena, from->unit_id)
	    : STR("");
	t->json = arena_str(&t->arena, from->json);
	loop_post(t->hub->loop, &t->post);
}

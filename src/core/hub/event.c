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

/* What an event is about. */
struct subject {
	struct hub *hub;
	struct device *device; /* NULL: of no device */
	const struct entity *entity;
	const void *row; /* begins as struct hub_any */
	const char *entity_type;
	struct str quick;    /* without its type */
	struct str place[4]; /* as in struct hub_event */
	bool masked;         /* no secrets */
};

/* Members that hold secrets wherever they are: headers of webhooks, say. */
static bool
is_secret_name(struct str key)
{
	static const char *const names[] = { "password", "token",
		"access_token", "accesstoken", "authorization",
		"authentication", "proxy-authorization", "cookie", "apikey",
		"api_key", "api-key", "x-api-key", "secret" };

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (str_eq_nocase(key, str_of(names[i])))
			return true;
	return false;
}

static void
put_masked(struct json *j, struct json_out *o, bool secret)
{
	struct str s;

	switch (json_peek(j)) {
	case JSON_OBJECT:
		(void)json_object(j);
		json_out_object(o);
		while (json_member(j, &s)) {
			json_out_key_str(o, s);
			put_masked(j, o, is_secret_name(s));
		}
		json_out_end_object(o);
		break;
	case JSON_ARRAY:
		(void)json_array(j);
		json_out_array(o);
		while (json_item(j))
			put_masked(j, o, secret);
		json_out_end_array(o);
		break;
	case JSON_STRING:
		(void)json_str(j, &s);
		json_out_str(o, secret && s.len > 0 ? STR("***") : s);
		break;
	default:
		json_copy(j, o);
	}
}

/* What people made may hold secrets, and the event goes to applications. */
static void
put_entity(const struct subject *s, struct json_out *o, struct arena *a)
{
	struct json j;

	if (!s->masked) {
		record_to_json(o, &s->entity->record, FIELD_ALL, s->row);
		return;
	}
	json_open(&j, hub_row_json(a, &s->entity->record, s->row), 0, a);
	put_masked(&j, o, false);
}

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
	put_entity(s, &o, &a);
	from = b->ptr[from] == '{' ? from : from + 1;
	json_out_end_object(&o);
	arena_fini(&a);
	return (struct str){ b->ptr + from, b->len - from - 1 };
}

static void
tell(const struct subject *s, const char *type)
{
	struct buf topic = { 0 }, text = { 0 };
	struct str entity = event_json(&text, s, type);
	const struct hub_event e = {
		.unit_id = ((const struct hub_any *)s->row)->unit_id,
		.type = str_of(type),
		.entity_type = str_of(s->entity_type),
		.json = buf_str(&text),
		.entity = entity,
		.place = { s->place[0], s->place[1], s->place[2], s->place[3] }
	};

	event_topic(&topic, s->device);
	buf_addf(&topic, "event/%s", s->entity_type);
	route_note(notes(s->hub), buf_str(&topic), e.json, false);
	tasks_hear(s->hub, &e);
	buf_free(&topic);
	buf_free(&text);
}

void
event_field(struct cell *f, const char *type)
{
	struct hub *h = f->device->hub;
	struct subject s = { h, f->device, &hub_field_entity, &f->row, "field",
		f->quick,
		{ f->row.node_id, f->row.field_id, f->row.source_id,
		    f->row.gateway_id } };

	(void)str_cut(&s.quick, ' '); /* the unit is in the topic */
	if (strcmp(type, "created") == 0 || strcmp(type, "updated") == 0) {
		tell_value(f);
		forwards_hear(h, f);
	}
	tell(&s, type);
}

void
event_source(struct source *src, const char *type)
{
	const struct hub_source *row = &src->row;
	struct arena a = { 0 };
	const struct subject s = { src->device->hub, src->device,
		&hub_source_entity, row, "source",
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
	const struct subject s = { d->hub, d, &hub_node_entity, &d->row, "node",
		arena_printf(&a, STR_FMT "." STR_FMT,
		    STR_ARG(d->row.gateway_id), STR_ARG(d->row.node_id)),
		{ d->row.node_id, STR_NULL, STR_NULL, d->row.gateway_id } };

	tell(&s, type);
	arena_fini(&a);
}

/* --- what people make ---------------------------------------------------- */

/* An event on its way to tasks, from whatever thread. */
struct told_event {
	struct loop_post post;
	struct hub *hub;
	struct hub_event event; /* texts in `arena` */
	struct arena arena;
};

static void
run_event(struct loop_post *p)
{
	struct told_event *t = container_of(p, struct told_event, post);

	if (!t->hub->closing)
		tasks_hear(t->hub, &t->event);
	arena_fini(&t->arena);
	free(t);
}

static void
post_event(struct hub *h, const struct hub_any *any, const char *entity_type,
    const char *type, struct str json, struct str entity)
{
	struct told_event *t = mem_new(struct told_event);
	struct arena *a = &t->arena;

	t->post.run = run_event;
	t->hub = h;
	t->event = (struct hub_event){ .unit_id = arena_str(a, any->unit_id),
		.type = str_of(type),
		.entity_type = str_of(entity_type),
		.json = arena_str(a, json),
		.entity = arena_str(a, entity) };
	loop_post(h->loop, &t->post);
}

static void
publish(
    struct hub *h, struct str unit_id, const char *entity_type, struct str json)
{
	struct buf topic = { 0 };
	struct route_notes *n;
	struct arena a = { 0 };
	struct str code;

	if (route_unit_code(h->route, unit_id, &a, &code, NULL) == 1) {
		buf_addz(&topic, "marram/");
		event_level(&topic, code);
		buf_addf(&topic, "/event/%s", entity_type);
		n = route_notes_new(h->route);
		route_note(n, buf_str(&topic), json, false);
		route_tell(n);
		buf_free(&topic);
	}
	arena_fini(&a);
}

void
event_object(struct hub *h, const struct entity *e, const char *entity_type,
    const void *row, const char *type)
{
	const struct hub_any *any = row;
	struct subject s = { .hub = h,
		.entity = e,
		.row = row,
		.entity_type = entity_type,
		.masked = true,
		.quick = any->id };
	struct buf text = { 0 };
	struct str entity;

	(void)event_json(&text, &s, type);
	publish(h, any->unit_id, entity_type, buf_str(&text));
	if (e == &hub_repository_entity) { /* tasks hear of these only */
		buf_clear(&text);
		s.masked = false;
		entity = event_json(&text, &s, type);
		post_event(h, any, entity_type, type, buf_str(&text), entity);
	}
	buf_free(&text);
}

void
event_repository(struct hub *h, struct str id)
{
	struct hub_repository row;
	struct arena a = { 0 };
	struct filter f = { 0 };
	bool found;

	filter_text(&f, "id", id);
	if (store_get(h->store, &hub_repository_entity, &f, &a, &row, &found,
		NULL) == 0 &&
	    found)
		event_object(h, &hub_repository_entity, "data_repository", &row,
		    "updated");
	arena_fini(&a);
}

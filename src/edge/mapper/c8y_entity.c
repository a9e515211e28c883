/*
 * edge/mapper/c8y_entity.c - who is who: devices and services, as the cloud
 * knows them.
 *
 * What the agent says of an entity comes as a retained registration. The cloud
 * is told of it once, behind its parent. What comes of an entity before that is
 * kept in a ring and read again when it is registered. One of the default
 * scheme whose registration stays away is taken as registered after
 * C8Y_AUTO_MS, unless a setting forbids it.
 *
 * The first generation calls a child by its bare name, today's by a name that
 * begins with the main device's. A child keeps the one it was told by: that is
 * noted, retained, at PREFIX-internal/entities/<its topic id>, which the mapper
 * subscribes to before all else.
 */
#include "edge/mapper/c8y_private.h"

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/mqtt.h"
#include "codec/smartrest.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16 /* parents of parents */
#define ENTITIES_MAX 5000

/* --- the table ----------------------------------------------------------- */

struct c8y_entity *
c8y_by_topic(const struct c8y *c, struct str topic)
{
	return map_get(&c->by_topic, topic);
}

struct c8y_entity *
c8y_by_xid(const struct c8y *c, struct str xid)
{
	return map_get(&c->by_xid, xid);
}

static struct c8y_entity *
parent_of(const struct c8y *c, const struct c8y_entity *e)
{
	return e->parent.ptr == NULL ? c->main : c8y_by_topic(c, e->parent);
}

struct c8y_entity *
c8y_device_of(const struct c8y *c, struct c8y_entity *e)
{
	for (int i = 0; e != NULL && e->kind == C8Y_SERVICE && i < DEPTH_MAX;
	     i++)
		e = parent_of(c, e);
	return e == NULL ? c->main : e;
}

struct c8y_entity *
c8y_entity_add(struct c8y *c, struct str topic)
{
	struct c8y_entity *e = mem_new(struct c8y_entity);

	e->topic = str_copy(topic);
	e->since_ms = c->host.mono_ms(c->host.owner);
	c->later = true;
	list_add(&c->entities, &e->link);
	(void)map_put(&c->by_topic, e->topic, e);
	return e;
}

static void
forget(struct c8y *c, struct c8y_entity *e)
{
	list_del(&e->link);
	(void)map_del(&c->by_topic, e->topic);
	if (e->xid.ptr != NULL && c8y_by_xid(c, e->xid) == e)
		(void)map_del(&c->by_xid, e->xid);
	str_free(e->topic);
	str_free(e->xid);
	str_free(e->name);
	str_free(e->type);
	str_free(e->parent);
	str_free(e->health);
	str_free(e->internal);
	c8y_words_clear(&e->can);
	c8y_words_clear(&e->files);
	c8y_words_clear(&e->templates);
	c8y_words_clear(&e->commands);
	c8y_words_clear(&e->logs);
	c8y_words_clear(&e->snapshots);
	c8y_words_clear(&e->updates);
	free(e);
}

void
c8y_replace(struct str *old, struct str text)
{
	struct str copy = text.ptr == NULL ? STR_NULL : str_copy(text);

	str_free(*old);
	*old = copy;
}

/* It becomes the last part of a topic. */
static bool
is_xid(struct str s)
{
	return memchr(s.ptr, '/', s.len) == NULL && mqtt_topic_ok(s);
}

static void
set_xid(struct c8y *c, struct c8y_entity *e, struct str xid)
{
	if (e->xid.ptr != NULL)
		return; /* it does not change */
	e->xid = str_copy(xid);
	(void)map_put(&c->by_xid, e->xid, e);
}

/* MAIN:device:child01 */
void
c8y_default_xid(struct c8y *c, struct c8y_entity *e)
{
	struct buf b = { 0 };
	struct str t = e->topic;

	while (t.len > 0 && t.ptr[t.len - 1] == '/')
		t.len--;
	buf_add_str(&b, c->device_id);
	buf_addc(&b, ':');
	for (size_t i = 0; i < t.len; i++)
		buf_addc(&b, t.ptr[i] == '/' ? ':' : t.ptr[i]);
	set_xid(c, e, buf_str(&b));
	buf_free(&b);
}

void
c8y_entities_init(struct c8y *c, struct str main_topic)
{
	list_init(&c->entities);
	c->main = c8y_entity_add(c, main_topic);
	c->main->kind = C8Y_MAIN;
	c->main->registered = c->main->told = true;
	set_xid(c, c->main, c->device_id);
}

void
c8y_entities_fini(struct c8y *c)
{
	te_ring_free(c->early);
	LIST_EACH (e, &c->entities, struct c8y_entity, link)
		forget(c, e);
	map_fini(&c->by_topic);
	map_fini(&c->by_xid);
}

/* --- early data ---------------------------------------------------------- */

static void
keep(struct c8y *c, struct str entity, const struct mapper_msg *msg)
{
	const struct te_early m = { .topic = msg->topic,
		.payload = msg->payload.ptr == NULL ? STR("") : msg->payload,
		.qos = msg->qos,
		.retain = msg->retain };
	uint64_t lost = te_ring_lost(c->early);

	(void)te_ring_put(c->early, entity, &m);
	if (te_ring_lost(c->early) > lost)
		log_warn("early messages of entities that are not registered "
			 "were dropped: " STR_FMT " is the latest",
		    STR_ARG(msg->topic));
}

static void
play_one(void *ctx, const struct te_early *m)
{
	const struct mapper_msg msg = { m->topic, m->payload, m->qos, m->retain,
		m->copy };
	struct c8y *c = ctx;
	struct str on = c->now_on;
	struct arena a = { 0 };

	mapper_c8y.message(c, &msg, &a);
	arena_fini(&a);
	c->now_on = on;
}

static void
play_early(struct c8y *c, const struct c8y_entity *e)
{
	te_ring_take(c->early, e->topic, play_one, c);
}

struct c8y_entity *
c8y_source(
    struct c8y *c, const struct mapper_msg *msg, const struct te_topic *t)
{
	struct c8y_entity *e = c8y_by_topic(c, t->entity);

	if (e != NULL && e->told)
		return e;
	if (msg->payload.len == 0 && t->channel != TE_EVENT)
		return NULL; /* something is over that was never told */
	/* One that is not taken as it is needs no place until it is
	 * registered: there may be many of them. */
	if (e == NULL &&
	    (!te_entity_is_default(t->entity) ||
		!cloud_bool(&c->cloud, "entity_store.auto_register"))) {
		keep(c, t->entity, msg);
		return NULL;
	}
	if (e == NULL && c->by_topic.n >= ENTITIES_MAX) {
		log_warn("passed over a message on " STR_FMT
			 ": %d entities are known, which is the most",
		    STR_ARG(msg->topic), ENTITIES_MAX);
		return NULL;
	}
	if (e == NULL)
		e = c8y_entity_add(c, t->entity);
	else if (e->since_ms < 0) {
		e->since_ms = c->host.mono_ms(c->host.owner);
		c->later = true;
	}
	keep(c, t->entity, msg);
	return NULL;
}

/* --- registration -------------------------------------------------------- */

static void
tell_child(struct c8y *c, struct c8y_entity *e)
{
	struct str name = e->name.ptr != NULL ? e->name : e->xid;
	struct str type =
	    e->type.ptr != NULL ? e->type : STR("thin-edge.io-child");
	bool marker = cloud_bool(
	    &c->cloud, "smartrest.child_device.create_with_device_marker");

	c8y_topic_us(c, c8y_device_of(c, parent_of(c, e)));
	buf_clear(&c->out);
	buf_addz(&c->out, "101");
	smartrest_add(&c->out, e->xid);
	smartrest_add(&c->out, name);
	smartrest_add(&c->out, type);
	buf_addz(&c->out, marker ? ",true" : ",false");
	(void)c8y_send(c);
}

void
c8y_tell_service(struct c8y *c, struct c8y_entity *e, struct str status)
{
	struct str type = e->type.ptr != NULL
	    ? e->type
	    : config_text(c->cloud.config, "service.type");

	c8y_topic_us(c, c8y_device_of(c, e));
	buf_clear(&c->out);
	buf_addz(&c->out, "102");
	smartrest_add(&c->out, e->xid);
	smartrest_add(&c->out, type);
	smartrest_add(&c->out,
	    e->name.ptr != NULL
		? e->name
		: (te_entity_is_default(e->topic) ? te_entity_name(e->topic)
						  : e->xid));
	smartrest_add(&c->out, status);
	(void)c8y_send(c);
}

static void
mark(struct c8y *c, const struct c8y_entity *e, bool on)
{
	if (!e->first && cloud_bool(&c->cloud, "entity_store.clean_start"))
		return;
	c8y_topic(c, "-internal/entities/");
	buf_add_str(&c->topic, e->topic);
	buf_clear(&c->out);
	if (on)
		buf_add_str(&c->out, e->xid);
	c8y_publish(c, true);
}

/* The cloud hears of it, and of those that waited for it. */
static void
tell(struct c8y *c, struct c8y_entity *e, int depth)
{
	struct c8y_entity *parent = parent_of(c, e);

	if (e->told || parent == NULL || !parent->told || depth > DEPTH_MAX)
		return;
	if (c->settle_ms >= 0 &&
	    !cloud_bool(&c->cloud, "entity_store.clean_start"))
		return; /* a marker may come yet */
	e->told = true;
	if (!e->marked) {
		if (e->kind == C8Y_CHILD)
			tell_child(c, e);
		else
			c8y_tell_service(c, e, STR("up"));
		mark(c, e, true);
	}
	if (e->kind == C8Y_CHILD) {
		c8y_custom_entity(c, e);
		c8y_tell_availability(c, e);
	}
	play_early(c, e);
	LIST_EACH (k, &c->entities, struct c8y_entity, link)
		if (k->registered && !k->told && parent_of(c, k) == e)
			tell(c, k, depth + 1);
}

struct registration {
	struct str type, parent, id, health, name, kind;
	struct str rest; /* the whole object again, for twin data */
};

static bool
read_registration(struct str payload, struct arena *a, struct registration *r,
    struct err *err)
{
	struct json j;
	struct str key;

	json_open(&j, payload, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			struct str *to = str_eqz(key, "@type") ? &r->type
			    : str_eqz(key, "@parent")          ? &r->parent
			    : str_eqz(key, "@id")              ? &r->id
			    : str_eqz(key, "@health")          ? &r->health
			    : str_eqz(key, "name")             ? &r->name
			    : str_eqz(key, "type")             ? &r->kind
							       : NULL;

			if (to != NULL && json_peek(&j) == JSON_STRING)
				(void)json_str(&j, to);
			else
				json_skip(&j);
		}
	if (json_done(&j, err) != 0)
		return false;
	r->rest = payload;
	if (r->type.ptr == NULL)
		return err_set(err, ERR_PARAM, "\"@type\" is missing") == 0;
	for (size_t i = 0; i < r->id.len; i++)
		if (memchr("/+#", r->id.ptr[i], 3) != NULL)
			return err_set(err, ERR_PARAM,
				   "the \"@id\" \"" STR_FMT
				   "\" must not contain \"/\", \"+\" or \"#\"",
				   STR_ARG(r->id)) == 0;
	if (r->id.len > 0 && !is_xid(r->id))
		return err_set(err, ERR_PARAM,
			   "the \"@id\" must not contain a NUL, nor have "
			   "more than %u bytes",
			   (unsigned)MQTT_TEXT_MAX) == 0;
	return true;
}

/* It waits for its parent: as if it came on its own. */
static void
keep_twin(struct c8y *c, const struct c8y_entity *e, struct str key,
    struct str value, struct arena *a)
{
	struct mapper_msg m = { .payload = value, .qos = 1, .retain = true };

	if (memchr(key.ptr, '/', key.len) != NULL)
		return;
	m.topic = arena_printf(a, STR_FMT "/" STR_FMT "/twin/" STR_FMT,
	    STR_ARG(c->root), STR_ARG(e->topic), STR_ARG(key));
	keep(c, e->topic, &m);
}

/* Members that are neither words of the registration nor name and type. */
static void
initial_twin(
    struct c8y *c, struct c8y_entity *e, struct str json, struct arena *a)
{
	struct str key, value;
	struct json j;

	json_open(&j, json, 0, a);
	if (!json_object(&j))
		return;
	while (json_member(&j, &key) && json_raw(&j, &value)) {
		bool known = str_starts(key, STR("@")) ||
		    (e->kind != C8Y_MAIN &&
			(str_eqz(key, "name") || str_eqz(key, "type")));

		if (known)
			continue;
		if (e->told)
			c8y_twin(c, e, key, value, a);
		else
			keep_twin(c, e, key, value, a);
	}
}

static void
remove_with_all(struct c8y *c, struct c8y_entity *e, int depth)
{
	struct c8y_entity *k;
	bool again = depth < DEPTH_MAX;

	while (again) { /* removing one may remove any */
		again = false;
		LIST_EACH (i, &c->entities, struct c8y_entity, link) {
			k = i;
			if (k != e && k->kind != C8Y_MAIN &&
			    parent_of(c, k) == e) {
				remove_with_all(c, k, depth + 1);
				again = true;
				break;
			}
		}
	}
	mark(c, e, false);
	forget(c, e);
}

/* Is `e` above `topic`, or the same? */
static bool
is_above(const struct c8y *c, const struct c8y_entity *e, struct str topic)
{
	const struct c8y_entity *up = c8y_by_topic(c, topic);

	for (int i = 0; up != NULL && up != c->main && i < DEPTH_MAX; i++) {
		if (up == e)
			return true;
		up = parent_of(c, up);
	}
	return up != NULL && up != c->main;
}

static void
set_parent(struct c8y *c, struct c8y_entity *e, struct str parent)
{
	struct buf b = { 0 };

	if (parent.ptr != NULL)
		(void)te_entity_normal(&b, parent, NULL);
	else if (e->kind == C8Y_SERVICE && te_entity_is_service(e->topic))
		te_entity_device(&b, e->topic);
	if (b.len > 0 && is_above(c, e, buf_str(&b)))
		c8y_error(c,
		    "Invalid entity registration message: " STR_FMT
		    " can not be the parent of " STR_FMT
		    ", which stands above it",
		    STR_ARG(buf_str(&b)), STR_ARG(e->topic));
	else if (b.len > 0)
		c8y_replace(&e->parent, buf_str(&b));
	buf_free(&b);
}

void
c8y_register(struct c8y *c, const struct mapper_msg *msg,
    const struct te_topic *t, struct arena *a)
{
	struct c8y_entity *e = c8y_by_topic(c, t->entity);
	struct registration r = { 0 };
	struct err err = { 0 };

	if (msg->payload.len == 0) {
		if (e != NULL && e != c->main)
			remove_with_all(c, e, 0);
		return;
	}
	if (!read_registration(msg->payload, a, &r, &err)) {
		c8y_error(
		    c, "Invalid entity registration message: %s", err.text);
		return;
	}
	if (e == NULL && c->by_topic.n >= ENTITIES_MAX) {
		c8y_error(c,
		    "Invalid entity registration message: %d entities are "
		    "registered, which is the most",
		    ENTITIES_MAX);
		return;
	}
	if (e == NULL)
		e = c8y_entity_add(c, t->entity);
	if (e != c->main && !e->registered) {
		e->kind = str_eqz(r.type, "service") ? C8Y_SERVICE : C8Y_CHILD;
		list_del(&e->link); /* in order of registration */
		list_add(&c->entities, &e->link);
		e->registered = true;
		if (r.id.len > 0)
			set_xid(c, e, r.id);
		else if (msg->origin && e->kind == C8Y_CHILD)
			set_xid(c, e, te_entity_name(e->topic));
		c8y_default_xid(c, e);
	}
	if (e != c->main) {
		set_parent(c, e, r.parent);
		if (r.name.ptr != NULL)
			c8y_replace(&e->name, r.name);
		if (r.kind.ptr != NULL)
			c8y_replace(&e->type, r.kind);
	}
	if (r.health.ptr != NULL) {
		struct buf b = { 0 };

		if (te_entity_normal(&b, r.health, NULL) == 0)
			c8y_replace(&e->health, buf_str(&b));
		buf_free(&b);
	}
	if (e != c->main)
		tell(c, e, 0);
	initial_twin(c, e, r.rest, a);
}

void
c8y_marker(struct c8y *c, struct str topic, struct str payload)
{
	struct c8y_entity *e = c8y_by_topic(c, topic);

	if (payload.len == 0 || c->by_topic.n >= ENTITIES_MAX)
		return;
	if (!is_xid(payload)) {
		log_warn("the marker of " STR_FMT
			 " has no external id; it is passed over",
		    STR_ARG(topic));
		return;
	}
	if (e == NULL) {
		e = c8y_entity_add(c, topic);
		e->since_ms = -1; /* it may never speak again */
	}
	set_xid(c, e, payload); /* it stays what it was */
	e->marked = !cloud_bool(&c->cloud, "entity_store.clean_start");
}

struct c8y_entity *
c8y_legacy_child(struct c8y *c, struct str child)
{
	struct buf topic = { 0 };
	struct c8y_entity *e;

	if (child.len == 0)
		return c->main;
	buf_addf(&topic, "device/" STR_FMT "//", STR_ARG(child));
	e = c8y_by_topic(c, buf_str(&topic));
	if (e == NULL)
		e = c8y_entity_add(c, buf_str(&topic));
	buf_free(&topic);
	if (e->told)
		return e;
	e->kind = C8Y_CHILD;
	e->registered = e->told = e->first = true;
	set_xid(c, e, child);
	if (!e->marked) {
		c8y_topic(c, "/s/us");
		buf_clear(&c->out);
		buf_addz(&c->out, "101");
		smartrest_add(&c->out, e->xid);
		smartrest_add(&c->out, child);
		smartrest_add(&c->out, STR("thin-edge.io-child"));
		(void)c8y_send(c);
		mark(c, e, true);
	}
	play_early(c, e);
	return e;
}

void
c8y_entities_settled(struct c8y *c)
{
	/* With markers, all was held until now. */
	LIST_EACH (e, &c->entities, struct c8y_entity, link)
		if (e->registered && !e->told) {
			tell(c, e, 0);
			break;
		}
	for (bool more = true; more;) {
		more = false;
		LIST_EACH (e, &c->entities, struct c8y_entity, link)
			if (e->registered && !e->told) {
				struct c8y_entity *p = parent_of(c, e);

				if (p != NULL && p->told) {
					tell(c, e, 0);
					more = e->told;
					break;
				}
			}
	}
}

/* Taken as it is: its registration stayed away. */
static void
take(struct c8y *c, struct c8y_entity *e)
{
	e->kind = te_entity_is_service(e->topic) ? C8Y_SERVICE : C8Y_CHILD;
	set_parent(c, e, STR_NULL);
	c8y_default_xid(c, e);
	c8y_replace(&e->name, te_entity_name(e->topic));
	e->registered = true;
	if (e->kind == C8Y_SERVICE && parent_of(c, e) == NULL) {
		struct c8y_entity *d = c8y_entity_add(c, e->parent);

		d->kind = C8Y_CHILD;
		c8y_default_xid(c, d);
		c8y_replace(&d->name, te_entity_name(d->topic));
		d->registered = true;
		tell(c, d, 0);
	}
	tell(c, e, 0);
}

void
c8y_entities_due(struct c8y *c, int64_t now, int64_t *next)
{
	bool again = cloud_bool(&c->cloud, "entity_store.auto_register");

	while (again) { /* the list changes */
		again = false;
		LIST_EACH (e, &c->entities, struct c8y_entity, link) {
			int64_t at = e->since_ms + C8Y_AUTO_MS;

			if (e->registered || e->since_ms < 0 ||
			    !te_entity_is_default(e->topic))
				continue;
			if (at <= now) {
				take(c, e);
				again = true;
				break;
			}
			if (*next < 0 || at < *next)
				*next = at;
		}
	}
}

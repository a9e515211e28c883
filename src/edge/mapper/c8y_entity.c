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

static struct c8y_entity *
add(struct c8y *c, struct str topic)
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

static void
replace(struct str *old, struct str text)
{
	struct str copy = text.ptr == NULL ? STR_NULL : str_copy(text);

	str_free(*old);
	*old = copy;
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
static void
default_xid(struct c8y *c, struct c8y_entity *e)
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
	c->main = add(c, main_topic);
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
	if (e == NULL && c->by_topic.n >= ENTITIES_MAX) {
		log_warn("passed over a message on " STR_FMT
			 ": %d entities are known, which is the most",
		    STR_ARG(msg->topic), ENTITIES_MAX);
		return NULL;
	}
	if (e == NULL)
		e = add(c, t->entity);
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

static void
tell_service(struct c8y *c, struct c8y_entity *e, struct str status)
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
			tell_service(c, e, STR("up"));
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
		replace(&e->parent, buf_str(&b));
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
		e = add(c, t->entity);
	if (e != c->main && !e->registered) {
		e->kind = str_eqz(r.type, "service") ? C8Y_SERVICE : C8Y_CHILD;
		list_del(&e->link); /* in order of registration */
		list_add(&c->entities, &e->link);
		e->registered = true;
		if (r.id.len > 0)
			set_xid(c, e, r.id);
		else if (msg->origin && e->kind == C8Y_CHILD)
			set_xid(c, e, te_entity_name(e->topic));
		default_xid(c, e);
	}
	if (e != c->main) {
		set_parent(c, e, r.parent);
		if (r.name.ptr != NULL)
			replace(&e->name, r.name);
		if (r.kind.ptr != NULL)
			replace(&e->type, r.kind);
	}
	if (r.health.ptr != NULL) {
		struct buf b = { 0 };

		if (te_entity_normal(&b, r.health, NULL) == 0)
			replace(&e->health, buf_str(&b));
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
	if (e == NULL) {
		e = add(c, topic);
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
		e = add(c, buf_str(&topic));
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
	default_xid(c, e);
	replace(&e->name, te_entity_name(e->topic));
	e->registered = true;
	if (e->kind == C8Y_SERVICE && parent_of(c, e) == NULL) {
		struct c8y_entity *d = add(c, e->parent);

		d->kind = C8Y_CHILD;
		default_xid(c, d);
		replace(&d->name, te_entity_name(d->topic));
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

/* --- twin ---------------------------------------------------------------- */

/* {"name","version","remoteUrl"} is {"name","version","url"} there. */
static void
add_firmware(struct buf *out, struct str value, struct arena *a)
{
	struct json_out o;
	struct json j;
	struct str key;

	json_open(&j, value, 0, a);
	json_out_init(&o, out, false);
	json_out_object(&o);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			json_out_key_str(
			    &o, str_eqz(key, "remoteUrl") ? STR("url") : key);
			json_copy(&j, &o);
		}
	json_out_end_object(&o);
}

void
c8y_twin(struct c8y *c, struct c8y_entity *e, struct str key, struct str value,
    struct arena *a)
{
	struct str to = key;

	if (key.len == 0 || key.ptr[0] == '@') {
		c8y_error(c,
		    "Invalid twin key: '" STR_FMT
		    "'. Keys that are empty, containing '/' or starting with "
		    "'@' are not allowed.",
		    STR_ARG(key));
		return;
	}
	if (value.len > 0 && !json_valid(value, 0)) {
		c8y_error(c,
		    "Invalid JSON: the twin data \"" STR_FMT
		    "\" is not a JSON value.",
		    STR_ARG(key));
		return;
	}
	if (str_eqz(key, "firmware"))
		to = STR("c8y_Firmware");
	else if (str_eqz(key, "agent"))
		to = STR("c8y_Agent");
	else if (str_eqz(key, "type") && e->kind == C8Y_SERVICE)
		to = STR("serviceType");
	c8y_topic(c, "/inventory/managedObjects/update/");
	buf_add_str(&c->topic, e->xid);
	buf_clear(&c->out);
	buf_addc(&c->out, '{');
	json_quote(&c->out, to);
	buf_addc(&c->out, ':');
	if (value.len == 0)
		buf_addz(&c->out, "null");
	else if (str_eqz(key, "firmware") && value.ptr[0] == '{')
		add_firmware(&c->out, value, a);
	else
		(void)json_compact(&c->out, value, 0);
	buf_addc(&c->out, '}');
	(void)c8y_send(c);
}

/* --- health -------------------------------------------------------------- */

/* "up", "down", or what it says; "unknown" where it says nothing. The first
 * generation says the service's type, too. */
static struct str
status_of(struct str payload, struct str *type, struct arena *a)
{
	struct str key, status = STR_NULL;
	struct json j;

	json_open(&j, payload, 0, a);
	if (json_peek(&j) != JSON_OBJECT || !json_object(&j))
		return STR("unknown");
	while (json_member(&j, &key))
		if (str_eqz(key, "status") && json_peek(&j) == JSON_STRING)
			(void)json_str(&j, &status);
		else if (str_eqz(key, "type") && json_peek(&j) == JSON_STRING)
			(void)json_str(&j, type);
		else
			json_skip(&j);
	return json_done(&j, NULL) == 0 && status.len > 0 ? status
							  : STR("unknown");
}

static bool
is_bridge(struct c8y *c, struct str name, bool *mosquitto)
{
	*mosquitto = str_starts(name, STR("mosquitto-")) &&
	    str_ends(name, STR("-bridge"));
	if (*mosquitto) {
		struct str mid = { name.ptr + 10, name.len - 17 };

		return name.len > 17 && str_eq(mid, c->prefix);
	}
	return str_starts(name, STR("tedge-mapper-bridge-")) &&
	    str_eq((struct str){ name.ptr + 20, name.len - 20 }, c->prefix);
}

void
c8y_health(
    struct c8y *c, struct c8y_entity *e, struct str payload, struct arena *a)
{
	struct str name = te_entity_name(e->topic), status, type = STR_NULL;
	bool mosquitto, ours, was = e->up;

	if (e->kind != C8Y_SERVICE)
		return;
	ours = is_bridge(c, name, &mosquitto);
	if (mosquitto)
		status = str_eqz(payload, "1") ? STR("up")
		    : str_eqz(payload, "0")    ? STR("down")
					       : status_of(payload, &type, a);
	else
		status = status_of(payload, &type, a);
	e->up = str_eqz(status, "up");
	if (e->type.ptr == NULL && type.len > 0)
		replace(&e->type, type);
	tell_service(c, e, status);
	if (ours && e->up && !was) {
		c8y_topic(c, "/s/us");
		buf_clear(&c->out);
		buf_addz(&c->out, "500");
		c8y_publish(c, false);
	}
}

/* tedge/health[/CHILD]/SERVICE: a service under the name it has today. */
void
c8y_legacy_health(struct c8y *c, const struct tedge_topic *t,
    struct str payload, struct arena *a)
{
	struct c8y_entity *d = c8y_legacy_child(c, t->child), *e;
	struct buf topic = { 0 };

	if (d == c->main)
		buf_addz(&topic, "device/main");
	else
		buf_addf(&topic, "device/" STR_FMT, STR_ARG(t->child));
	buf_addf(&topic, "/service/" STR_FMT, STR_ARG(t->type));
	e = c8y_by_topic(c, buf_str(&topic));
	if (e == NULL)
		e = add(c, buf_str(&topic));
	buf_free(&topic);
	if (!e->registered) {
		e->kind = C8Y_SERVICE;
		e->registered = e->told = true;
		if (d != c->main)
			replace(&e->parent, d->topic);
		default_xid(c, e);
	}
	c8y_health(c, e, payload, a);
}

/* --- what it can do ------------------------------------------------------ */

static void
add_types(struct c8y_words *w, struct str payload, struct arena *a)
{
	struct str key, type;
	struct json j;

	c8y_words_clear(w);
	json_open(&j, payload, 0, a);
	if (json_peek(&j) != JSON_OBJECT || !json_object(&j))
		return;
	while (json_member(&j, &key)) {
		if (!str_eqz(key, "types") || json_peek(&j) != JSON_ARRAY) {
			json_skip(&j);
			continue;
		}
		(void)json_array(&j);
		while (json_item(&j))
			if (json_peek(&j) != JSON_STRING)
				json_skip(&j);
			else if (json_str(&j, &type))
				(void)c8y_words_add(w, type);
	}
}

static const struct c8y_words none = { 0 };

static void
add_list(struct buf *out, const struct c8y_words *a, const struct c8y_words *b)
{
	size_t i = 0, k = 0;

	while (i < a->n || k < b->n) { /* both are sorted */
		int d = i == a->n ? 1
		    : k == b->n   ? -1
				  : str_cmp(a->at[i], b->at[k]);

		smartrest_add(out, d <= 0 ? a->at[i] : b->at[k]);
		i += d <= 0;
		k += d >= 0;
	}
}

static void
tell_types(struct c8y *c, const struct c8y_entity *e, const char *template,
    const struct c8y_words *one, const struct c8y_words *two)
{
	c8y_topic_us(c, e);
	buf_clear(&c->out);
	buf_addz(&c->out, template);
	add_list(&c->out, one, two);
	if (c->out.len == 3)
		buf_addc(&c->out, ',');
	(void)c8y_send(c);
}

void
c8y_tell_operations(struct c8y *c, struct c8y_entity *e)
{
	const struct c8y_words *from[] = { NULL, NULL, NULL };
	struct c8y_words all = { 0 };

	e = c8y_device_of(c, e);
	from[0] = &e->can;
	from[1] = &e->files;
	from[2] = &e->templates;
	e->ops_changed = false;
	for (size_t i = 0; i < COUNT_OF(from); i++)
		for (size_t k = 0; k < from[i]->n; k++)
			(void)c8y_words_add(&all, from[i]->at[k]);
	tell_types(c, e, "114", &all, &none);
	c8y_words_clear(&all);
}

void
c8y_tell_changed(struct c8y *c)
{
	LIST_EACH (e, &c->entities, struct c8y_entity, link)
		if (e->ops_changed && e->told)
			c8y_tell_operations(c, e);
}

static void
tell_software_types(struct c8y *c, const struct c8y_entity *e,
    struct str payload, struct arena *a)
{
	struct c8y_words types = { 0 };
	struct json_out o;

	if (!cloud_bool(&c->cloud, "software_management.with_types"))
		return;
	add_types(&types, payload, a);
	c8y_topic(c, "/inventory/managedObjects/update/");
	buf_add_str(&c->topic, e->xid);
	buf_clear(&c->out);
	json_out_init(&o, &c->out, false);
	json_out_object(&o);
	json_out_key(&o, "c8y_SupportedSoftwareTypes");
	json_out_array(&o);
	for (size_t i = 0; i < types.n; i++)
		json_out_str(&o, types.at[i]);
	json_out_end_array(&o);
	json_out_end_object(&o);
	(void)c8y_send(c);
	c8y_words_clear(&types);
}

void
c8y_capability(struct c8y *c, struct c8y_entity *e, struct str op,
    struct str payload, struct arena *a)
{
	const struct c8y_op_kind *kind = c8y_op_of_command(op);
	bool gone = payload.len == 0;
	struct str fragment;

	if (e->kind == C8Y_SERVICE)
		return;
	if (str_eqz(op, "software_list")) {
		if (!gone) {
			tell_software_types(c, e, payload, a);
			c8y_ask_software_list(c, e, a);
		}
		return;
	}
	if (kind == NULL) {
		c8y_custom_capability(c, e, op, !gone);
		return;
	}
	if (!gone && !cloud_bool(&c->cloud, kind->enable)) {
		log_warn("%s is switched off by c8y.%s", kind->fragment,
		    kind->enable);
		return;
	}
	fragment = str_of(kind->fragment);
	if (gone ? c8y_words_del(&e->can, fragment)
		 : c8y_words_add(&e->can, fragment)) {
		e->ops_changed = true;
		if (c->settle_ms < 0)
			c8y_tell_operations(c, e);
	}
	if (str_eqz(op, "log_upload")) {
		add_types(&e->logs, payload, a);
		tell_types(c, e, "118", &e->logs, &none);
	} else if (str_eqz(op, "config_snapshot") ||
	    str_eqz(op, "config_update")) {
		add_types(
		    str_eqz(op, "config_update") ? &e->updates : &e->snapshots,
		    payload, a);
		tell_types(c, e, "119", &e->snapshots, &e->updates);
	}
}

/* --- availability -------------------------------------------------------- */

void
c8y_tell_availability(struct c8y *c, struct c8y_entity *e)
{
	int64_t ms = cloud_ms(&c->cloud, "availability.interval");
	int64_t now = c->host.mono_ms(c->host.owner);

	if (e->availability_told || e->kind == C8Y_SERVICE ||
	    !cloud_bool(&c->cloud, "availability.enable"))
		return;
	e->availability_told = true;
	c8y_topic_us(c, e);
	buf_clear(&c->out);
	buf_addf(&c->out, "117,%lld", (long long)MAX_OF(ms / 60000, 0));
	(void)c8y_send(c);
	if (c->heartbeat_ms < 0 && ms >= 60000) {
		c->heartbeat_ms = now + ms / 2;
		c->later = true;
	}
}

/* The service that speaks for a device, by default its agent. */
static struct c8y_entity *
health_of(struct c8y *c, const struct c8y_entity *e)
{
	struct buf b = { 0 };
	struct c8y_entity *s;

	if (e->health.ptr != NULL)
		return c8y_by_topic(c, e->health);
	te_entity_device(&b, e->topic);
	while (b.len > 0 && b.ptr[b.len - 1] == '/')
		b.len--;
	buf_addz(&b, "/service/tedge-agent");
	s = c8y_by_topic(c, buf_str(&b));
	buf_free(&b);
	return s;
}

void
c8y_heartbeat(struct c8y *c)
{
	int64_t ms = cloud_ms(&c->cloud, "availability.interval");

	LIST_EACH (e, &c->entities, struct c8y_entity, link) {
		struct c8y_entity *s;

		if (!e->told || e->kind == C8Y_SERVICE)
			continue;
		s = health_of(c, e);
		if (s == NULL || !s->up)
			continue;
		c8y_topic(c, "/inventory/managedObjects/update/");
		buf_add_str(&c->topic, e->xid);
		buf_clear(&c->out);
		buf_addz(&c->out, "{}");
		(void)c8y_send(c);
	}
	c->heartbeat_ms = c->host.mono_ms(c->host.owner) + ms / 2;
}

/*
 * edge/entity.c - see entity.h for the promises.
 *
 * Every way to change the store ends in one of five functions: entity_admit() a
 * new entity, amend() one that is there, entity_hang_below() another parent,
 * entity_put_member() of its twin, entity_discard() it with those below. They
 * keep the count of bytes.
 *
 * A registration is kept, and retained, for whoever was not there before. So it
 * says all that is so: one that says less than is known, and one of which
 * something is taken out of the twin, is written anew.
 */
#include "edge/entity_private.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PENDING 1000

/* --- what is told -------------------------------------------------------- */

static bool
speaks(const struct te_store *s)
{
	return !s->conf.cache && !s->loading;
}

void
entity_publish(struct te_store *s, struct str id, enum te_channel channel,
    struct str key, struct str payload)
{
	struct te_topic t = { .entity = id, .channel = channel, .type = key };
	struct buf topic = { 0 };

	if (!speaks(s))
		return;
	te_topic_add(&topic, s->conf.root, &t);
	s->host.publish(s->host.owner, buf_str(&topic), payload);
	buf_free(&topic);
}

void
entity_keep(struct te_store *s, struct str id, struct str payload)
{
	struct te_topic t = { .entity = id, .channel = TE_ENTITY };
	struct buf topic = { 0 };

	if (!speaks(s))
		return;
	te_topic_add(&topic, s->conf.root, &t);
	s->host.keep(s->host.owner, buf_str(&topic), payload);
	buf_free(&topic);
}

void
entity_changed(
    struct te_store *s, const struct te_entity *e, enum te_change what)
{
	if (s->host.changed != NULL && !s->loading)
		s->host.changed(s->host.owner, e, what);
}

static void
complain(struct te_store *s, struct str text)
{
	if (s->host.error != NULL && !s->loading)
		s->host.error(s->host.owner, text);
}

/* The same about the same one is said once, as long as we remember. */
static void
complain_once(struct te_store *s, struct str id, struct str text)
{
	uint64_t hash = map_hash(id);

	for (unsigned i = 0; i < COMPLAINTS; i++)
		if (s->complained[i] == hash)
			return;
	s->complained[s->next_complaint++ % COMPLAINTS] = hash;
	complain(s, text);
}

void
entity_refused(struct te_store *s, struct str id, int rc, const struct err *err)
{
	struct err why;

	err_set(&why, rc, "The registration of \"" STR_FMT "\" is refused: %s",
	    STR_ARG(id), err->text);
	complain(s, str_of(why.text));
}

/* --- room ---------------------------------------------------------------- */

int
entity_need_room(const struct te_store *s, size_t more, struct err *err)
{
	if (more <= s->conf.max_bytes && s->bytes <= s->conf.max_bytes - more)
		return 0;
	return err_set(err, ERR_LIMIT,
	    "The entity store is full: it holds %zu of %zu bytes. Remove "
	    "entities, or raise agent.entity_store.max_size",
	    s->bytes, s->conf.max_bytes);
}

static void
count(struct te_store *s, struct te_entity *e, size_t more, size_t less)
{
	e->bytes += more - less;
	s->bytes += more - less;
}

void
entity_set_text(
    struct te_store *s, struct te_entity *e, struct str *at, struct str to)
{
	struct str old = *at;

	count(s, e, to.len, old.len);
	*at = str_copy(to);
	str_free(old);
}

/* --- the tree ------------------------------------------------------------ */

const struct te_entity *
te_store_find(const struct te_store *s, struct str id)
{
	return map_get(&s->entities, id);
}

const struct te_entity *
te_store_main(const struct te_store *s)
{
	return s->main;
}

size_t
te_store_count(const struct te_store *s)
{
	return s->entities.n;
}

/* Children are in the order of their ids. */
void
entity_hang_below(struct te_entity *e, struct te_entity *parent)
{
	struct list *at;

	list_del(&e->sibling);
	e->parent = parent;
	for (at = parent->children.prev; at != &parent->children; at = at->prev)
		if (str_cmp(container_of(at, struct te_entity, sibling)->id,
			e->id) < 0)
			break;
	list_add_first(at, &e->sibling);
}

static bool
is_below(const struct te_entity *e, const struct te_entity *above)
{
	while (e != NULL && e != above)
		e = e->parent;
	return e != NULL;
}

int
entity_no_parent(struct str parent, struct err *err)
{
	return err_set(err, ERR_PARAM,
	    "The specified parent \"" STR_FMT
	    "\" does not exist in the entity store",
	    STR_ARG(parent));
}

/* May `id` (an entity, or one to be) hang below `parent`? */
int
entity_check_parent(const struct te_store *s, struct str id, struct str parent,
    struct te_entity **ret, struct err *err)
{
	const struct te_entity *e = te_store_find(s, id);
	struct te_entity *p = map_get(&s->entities, parent);

	if (str_eq(id, parent))
		return err_set(err, ERR_PARAM,
		    "Entity: '" STR_FMT "' can not be its own parent",
		    STR_ARG(id));
	if (e != NULL && e == s->main)
		return err_set(err, ERR_PARAM,
		    "The parent of main device can not be updated");
	if (p == NULL)
		return entity_no_parent(parent, err);
	if (p->type == TE_SERVICE)
		return err_set(err, ERR_PARAM,
		    "Entity: '" STR_FMT "' can not be a parent of '" STR_FMT
		    "' because it is a service. Only devices can be parents",
		    STR_ARG(parent), STR_ARG(id));
	if (e != NULL && is_below(p, e))
		return err_set(err, ERR_PARAM,
		    "Entity: '" STR_FMT "' can not be a parent of '" STR_FMT
		    "' because '" STR_FMT "' is a descendent of '" STR_FMT "'",
		    STR_ARG(parent), STR_ARG(id), STR_ARG(parent), STR_ARG(id));
	*ret = p;
	return 0;
}

/* The parent of one that names none. */
static struct str
default_parent(struct te_store *s, struct str id, enum te_entity_type type)
{
	struct buf device = { 0 };
	struct str ret = s->conf.main;

	if (type == TE_SERVICE && te_entity_is_service(id)) {
		te_entity_device(&device, id);
		ret = arena_str(&s->arena, buf_str(&device));
		buf_free(&device);
	}
	return ret;
}

/* --- twins ---------------------------------------------------------------- */

void
entity_del_member(struct te_store *s, struct te_entity *e, struct te_member *m)
{
	size_t at = (size_t)(m - e->twin);

	count(s, e, 0, sizeof(*m) + m->key.len + m->json.len);
	str_free(m->key);
	str_free(m->json);
	memmove(m, m + 1, (e->n_twin - at - 1) * sizeof(*m));
	e->n_twin--;
}

/* True: it is another value than before. There is room. */
bool
entity_put_member(
    struct te_store *s, struct te_entity *e, struct str key, struct str json)
{
	struct te_member *m = entity_find_member(e, key);

	if (entity_is_null(json)) {
		if (m != NULL)
			entity_del_member(s, e, m);
		return m != NULL;
	}
	if (m != NULL) {
		if (str_eq(m->json, json))
			return false;
		entity_set_text(s, e, &m->json, json);
		return true;
	}
	e->twin = mem_resize(e->twin, e->n_twin + 1, sizeof(*m));
	m = &e->twin[e->n_twin++];
	m->key = str_copy(key);
	m->json = str_copy(json);
	count(s, e, sizeof(*m) + key.len + json.len, 0);
	return true;
}

size_t
entity_members_bytes(const struct te_member *m, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += sizeof(*m) + m[i].key.len + m[i].json.len;
	return bytes;
}

/* --- coming and going ----------------------------------------------------- */

static struct te_entity *
entity_new(struct te_store *s, struct str id, enum te_entity_type type)
{
	struct te_entity *e = mem_new(struct te_entity);

	e->id = str_copy(id);
	e->type = type;
	list_init(&e->children);
	list_init(&e->sibling);
	map_put(&s->entities, e->id, e);
	count(s, e, sizeof(*e) + id.len, 0);
	return e;
}

static void
entity_free(struct te_store *s, struct te_entity *e)
{
	map_del(&s->entities, e->id);
	list_del(&e->sibling);
	s->bytes -= e->bytes;
	for (size_t i = 0; i < e->n_twin; i++) {
		str_free(e->twin[i].key);
		str_free(e->twin[i].json);
	}
	free(e->twin);
	str_free(e->id);
	str_free(e->xid);
	str_free(e->health);
	str_free(e->config);
	str_free(e->reg);
	free(e);
}

/* What a registration says of its twin becomes twin data, told as such. */
static bool
take_twin(
    struct te_store *s, struct te_entity *e, const struct reg *r, bool tell)
{
	bool any = false;

	for (size_t i = 0; i < r->n_twin; i++)
		if (entity_put_member(s, e, r->twin[i].key, r->twin[i].json)) {
			any = true;
			if (tell)
				entity_publish(s, e->id, TE_TWIN,
				    r->twin[i].key, r->twin[i].json);
		}
	return any;
}

int
entity_admit(struct te_store *s, struct str id, const struct reg *r,
    struct te_entity *parent, struct str payload, bool tell_twin,
    struct err *err)
{
	struct te_entity *e;
	int rc = entity_need_room(s,
	    sizeof(*e) + id.len + r->xid.len + r->health.len + payload.len +
		entity_members_bytes(r->twin, r->n_twin),
	    err);

	if (rc != 0)
		return rc;
	e = entity_new(s, id, r->type);
	entity_set_text(s, e, &e->xid, r->xid);
	entity_set_text(s, e, &e->health, r->health);
	entity_set_text(s, e, &e->reg, payload);
	entity_hang_below(e, parent);
	entity_keep(s, e->id, payload);
	take_twin(s, e, r, tell_twin);
	entity_changed(s, e, TE_ADDED);
	return 0;
}

/* Is something known that this registration leaves out? */
static bool
says_less(struct te_store *s, const struct te_entity *e, const struct reg *r)
{
	if (e->parent == NULL)
		return false;
	return (r->parent.ptr == NULL &&
		   !str_eq(e->parent->id, default_parent(s, e->id, e->type))) ||
	    (r->xid.ptr == NULL && e->xid.ptr != NULL) ||
	    (r->health.ptr == NULL && e->health.ptr != NULL);
}

/* An entity that is there is registered again. */
static int
amend(struct te_store *s, struct te_entity *e, const struct reg *r,
    struct str payload, struct err *err)
{
	struct te_entity *parent = e->parent;
	struct buf text = { 0 };
	bool any = false, written = false;
	int rc;

	if (str_eq(e->reg, payload))
		return 0; /* (3) */
	if (r->type != e->type)
		return err_set(err, ERR_PARAM,
		    "Updating the entity type of " STR_FMT " is not supported",
		    STR_ARG(e->id));
	if (r->xid.ptr != NULL && e->xid.ptr != NULL && !str_eq(r->xid, e->xid))
		return err_set(err, ERR_PARAM,
		    "Updating the external id of " STR_FMT
		    " is not supported: it is \"" STR_FMT "\"",
		    STR_ARG(e->id), STR_ARG(e->xid));
	if (r->parent.ptr != NULL &&
	    (e->parent == NULL || !str_eq(e->parent->id, r->parent))) {
		rc = entity_check_parent(s, e->id, r->parent, &parent, err);
		if (rc != 0)
			return rc;
	}
	if (says_less(s, e, r)) {
		entity_put_reg(&text, e->type,
		    r->xid.ptr != NULL ? r->xid : e->xid, parent->id,
		    r->health.ptr != NULL ? r->health : e->health, r->twin,
		    r->n_twin);
		payload = arena_str(&s->arena, buf_str(&text));
		buf_free(&text);
		written = true;
	}
	rc = entity_need_room(s,
	    r->xid.len + r->health.len + payload.len +
		entity_members_bytes(r->twin, r->n_twin),
	    err);
	if (rc != 0)
		return rc;
	if (parent != e->parent) {
		entity_hang_below(e, parent);
		any = true;
	}
	if (r->xid.ptr != NULL && e->xid.ptr == NULL) {
		entity_set_text(s, e, &e->xid, r->xid);
		any = true;
	}
	if (r->health.ptr != NULL && !str_eq(r->health, e->health)) {
		entity_set_text(s, e, &e->health, r->health);
		any = true;
	}
	if (take_twin(s, e, r, true))
		any = true;
	entity_set_text(s, e, &e->reg, payload);
	entity_keep(s, e->id, payload);
	if (written)
		entity_publish_reg(s, e);
	if (any)
		entity_changed(s, e, TE_CHANGED);
	return 0;
}

/* ERR_AGAIN: its parent is not there; `*missing` (if not NULL) is it. */
int
entity_place(struct te_store *s, struct str id, const struct reg *r,
    struct te_entity **ret, struct str *missing, struct err *err)
{
	struct str parent = r->parent;

	if (r->type == TE_DEVICE)
		return err_set(err, ERR_PARAM,
		    "The main device was already registered at topic " STR_FMT,
		    STR_ARG(s->conf.main));
	if (parent.ptr == NULL)
		parent = default_parent(s, id, r->type);
	if (!str_eq(parent, id) && te_store_find(s, parent) == NULL) {
		*missing = parent;
		(void)entity_no_parent(parent, err);
		return ERR_AGAIN;
	}
	return entity_check_parent(s, id, parent, ret, err);
}

int
entity_register(struct te_store *s, struct str id, const struct reg *r,
    struct str payload, struct err *err)
{
	struct te_entity *e = map_get(&s->entities, id), *parent;
	struct str missing;
	int rc;

	if (e != NULL)
		return amend(s, e, r, payload, err);
	rc = entity_place(s, id, r, &parent, &missing, err);
	if (rc == ERR_AGAIN)
		return entity_pending_add(s, id, missing, payload, err);
	if (rc == 0)
		rc = entity_admit(s, id, r, parent, payload, true, err);
	return rc;
}

/* Takes one and those below it out of the tree, parents first in `out`. */
void
entity_collect(struct te_entity *e, struct te_entity **out, size_t *n)
{
	size_t from = *n;

	out[(*n)++] = e;
	for (; from < *n; from++)
		LIST_EACH (c, &out[from]->children, struct te_entity, sibling)
			out[(*n)++] = c;
}

void
entity_discard(struct te_store *s, struct te_entity *e,
    void (*each)(void *ctx, const struct te_entity *e), void *ctx)
{
	struct te_entity **all =
	    mem_array(s->entities.n, sizeof(struct te_entity *));
	size_t n = 0;

	entity_collect(e, all, &n);
	for (size_t i = 0; each != NULL && i < n; i++)
		each(ctx, all[i]);
	while (n > 0) {
		e = all[--n];
		entity_keep(s, e->id, STR(""));
		entity_publish(s, e->id, TE_ENTITY, STR_NULL, STR(""));
		entity_changed(s, e, TE_REMOVED);
		entity_free(s, e);
	}
	free(all);
}

/* --- what is heard -------------------------------------------------------- */

void
entity_publish_reg(struct te_store *s, const struct te_entity *e)
{
	entity_publish(s, e->id, TE_ENTITY, STR_NULL, e->reg);
}

static int
hear_removal(struct te_store *s, struct str id)
{
	struct te_entity *e = map_get(&s->entities, id);

	entity_pending_forget(s, id);
	if (e == NULL)
		return ERR_NOT_FOUND;
	if (e == s->main) { /* it stays, and says so again */
		entity_publish_reg(s, e);
		return 0;
	}
	entity_discard(s, e, NULL, NULL);
	return 0;
}

static int
hear_registration(struct te_store *s, struct str id, struct str payload)
{
	struct err err;
	struct reg r;
	int rc;

	if (payload.len == 0)
		return hear_removal(s, id);
	rc = entity_read_reg(&s->arena, payload, &r, NULL, &err);
	if (rc == 0)
		rc = entity_register(s, id, &r, payload, &err);
	if (rc != 0) {
		entity_refused(s, id, rc, &err);
		return rc;
	}
	if (te_store_find(s, id) == NULL)
		return ERR_NOT_FOUND; /* it waits */
	entity_take_pending(s, id);
	return 0;
}

/* One level of it. ERR_AGAIN: it has been registered, and waits. */
static int
auto_register_one(struct te_store *s, struct str id, enum te_entity_type type,
    struct err *err)
{
	struct buf payload = { 0 }, name = { 0 };
	struct te_entity *parent = NULL;
	struct te_member twin;
	struct str missing;
	struct reg r = { .type = type };
	int rc;

	if (entity_pending_has(s, id))
		return ERR_AGAIN;
	json_quote(&name, te_entity_name(id));
	twin = (struct te_member){ STR("name"), buf_str(&name) };
	r.parent = default_parent(s, id, type);
	r.twin = &twin;
	r.n_twin = 1;
	entity_put_reg(&payload, type, STR_NULL, r.parent, STR_NULL, &twin, 1);
	rc = entity_place(s, id, &r, &parent, &missing, err);
	if (rc == 0)
		rc = entity_admit(
		    s, id, &r, parent, buf_str(&payload), false, err);
	if (rc == 0) {
		entity_publish(s, id, TE_ENTITY, STR_NULL, buf_str(&payload));
		entity_take_pending(s, id);
	}
	buf_free(&payload);
	buf_free(&name);
	return rc;
}

static int
auto_register(struct te_store *s, struct str id)
{
	struct buf device = { 0 };
	struct err err;
	int rc = 0;

	if (!te_entity_is_default(id)) {
		err_set(&err, ERR_NOT_FOUND,
		    "Auto registration of the entity with topic id " STR_FMT
		    " failed as it does not match the default topic scheme: "
		    "'device/<device-id>/service/<service-id>'. Try explicit "
		    "registration instead.",
		    STR_ARG(id));
		complain_once(s, id, str_of(err.text));
		return ERR_NOT_FOUND;
	}
	te_entity_device(&device, id);
	if (te_store_find(s, buf_str(&device)) == NULL)
		rc = auto_register_one(s, buf_str(&device), TE_CHILD, &err);
	if (rc == 0 && te_store_find(s, id) == NULL)
		rc = auto_register_one(s, id, TE_SERVICE, &err);
	if (rc != 0 && rc != ERR_AGAIN)
		complain_once(s, id, str_of(err.text));
	buf_free(&device);
	return rc == ERR_AGAIN ? ERR_NOT_FOUND : rc;
}

void
entity_unsay(struct te_store *s, struct te_entity *e)
{
	struct buf text = { 0 };
	struct err err;
	struct reg r;
	size_t n = 0;

	if (entity_read_reg(&s->arena, e->reg, &r, NULL, &err) != 0)
		return;
	for (size_t i = 0; i < r.n_twin; i++)
		if (entity_find_member(e, r.twin[i].key) != NULL)
			r.twin[n++] = r.twin[i];
	if (n == r.n_twin)
		return;
	entity_put_reg(&text, e->type, e->xid,
	    e->parent != NULL ? e->parent->id : STR_NULL, e->health, r.twin, n);
	if (text.len <= e->reg.len ||
	    entity_need_room(s, text.len - e->reg.len, &err) == 0) {
		entity_set_text(s, e, &e->reg, buf_str(&text));
		entity_keep(s, e->id, e->reg);
		entity_publish_reg(s, e);
	}
	buf_free(&text);
}

int
entity_set_member(struct te_store *s, struct te_entity *e, struct str key,
    struct str json, bool tell, struct err *err)
{
	int rc = entity_check_key("twin", key, err);

	if (rc == 0 && !entity_is_null(json)) {
		json = entity_compact(&s->arena, json);
		if (json.ptr == NULL)
			return err_set(err, ERR_PARAM,
			    "The value of \"" STR_FMT "\" is no JSON",
			    STR_ARG(key));
		if (!entity_is_null(json))
			rc = entity_need_room(s,
			    sizeof(struct te_member) + key.len + json.len, err);
	}
	if (rc != 0)
		return rc;
	if (entity_put_member(s, e, key, json)) {
		if (tell)
			entity_publish(s, e->id, TE_TWIN, key,
			    entity_is_null(json) ? STR("") : json);
		if (entity_is_null(json))
			entity_unsay(s, e);
		entity_changed(s, e, TE_CHANGED);
	}
	return 0;
}

static int
set_config(
    struct te_store *s, struct te_entity *e, struct str json, struct err *err)
{
	struct te_member *members = NULL;
	struct buf out = { 0 };
	struct json_out o;
	size_t n = 0;
	int rc;

	if (json.len == 0) {
		entity_set_text(s, e, &e->config, STR_NULL);
		return 0;
	}
	rc = entity_read_members(
	    &s->arena, "config", json, NULL, NULL, NULL, &members, &n, err);
	if (rc == 0)
		rc = entity_need_room(s, json.len, err);
	if (rc != 0)
		return rc;
	json_out_init(&o, &out, false);
	json_out_object(&o);
	for (size_t i = 0; i < n; i++) {
		json_out_key_str(&o, members[i].key);
		json_out_raw(&o, members[i].json);
	}
	json_out_end_object(&o);
	entity_set_text(s, e, &e->config, buf_str(&out));
	buf_free(&out);
	return 0;
}

/* Commands and signals are for an entity, and prove nothing of it. */
static bool
comes_from_it(enum te_channel c)
{
	return c != TE_CMD && c != TE_SIGNAL && c != TE_HEALTH_CHECK;
}

static int
hear_data(struct te_store *s, const struct te_topic *t, struct str payload)
{
	struct te_entity *e = map_get(&s->entities, t->entity);
	struct err err, why;
	int rc = 0;

	if (e == NULL && payload.len > 0 && s->conf.auto_register &&
	    comes_from_it(t->channel)) {
		rc = auto_register(s, t->entity);
		if (rc != 0)
			return rc;
		e = map_get(&s->entities, t->entity);
	}
	if (e == NULL)
		return ERR_NOT_FOUND;
	if (t->channel == TE_TWIN)
		rc = entity_set_member(s, e, t->type,
		    payload.len > 0 ? payload : STR_NULL, false, &err);
	else if (t->channel == TE_CONFIG)
		rc = set_config(s, e, payload, &err);
	if (rc != 0) {
		err_set(&why, rc, "The %s of \"" STR_FMT "\" is refused: %s",
		    t->channel == TE_TWIN ? "twin data" : "configuration",
		    STR_ARG(t->entity), err.text);
		complain(s, str_of(why.text));
	}
	return rc;
}

int
te_store_hear(struct te_store *s, const struct te_topic *t, struct str payload)
{
	int rc = t->channel == TE_ENTITY
	    ? hear_registration(s, t->entity, payload)
	    : hear_data(s, t, payload);

	arena_clear(&s->arena);
	return rc;
}

void
te_store_load(struct te_store *s, struct str topic, struct str payload)
{
	struct te_topic t;

	if (te_topic_read(s->conf.root, topic, &t, NULL) != 0 ||
	    t.channel != TE_ENTITY)
		return;
	s->loading = true;
	(void)te_store_hear(s, &t, payload);
	s->loading = false;
}

/* --- start and end -------------------------------------------------------- */

struct te_store *
te_store_new(const struct te_store_conf *conf, const struct te_store_host *host)
{
	struct te_store *s = mem_new(struct te_store);
	struct buf reg = { 0 };

	s->conf = *conf;
	s->conf.root = str_copy(conf->root);
	s->conf.main = str_copy(conf->main);
	if (conf->max_bytes == 0)
		s->conf.max_bytes = TE_STORE_BYTES;
	if (conf->max_pending == 0)
		s->conf.max_pending = MAX_PENDING;
	s->host = *host;
	list_init(&s->pending);
	s->main = entity_new(s, s->conf.main, TE_DEVICE);
	entity_put_reg(&reg, TE_DEVICE, STR_NULL, STR_NULL, STR_NULL, NULL, 0);
	entity_set_text(s, s->main, &s->main->reg, buf_str(&reg));
	buf_free(&reg);
	return s;
}

void
te_store_free(struct te_store *s)
{
	struct te_entity **all;
	size_t n = 0;

	if (s == NULL)
		return;
	all = mem_array(s->entities.n, sizeof(struct te_entity *));
	entity_collect(s->main, all, &n);
	while (n > 0)
		entity_free(s, all[--n]);
	free(all);
	entity_pending_fini(s);
	map_fini(&s->entities);
	arena_fini(&s->arena);
	str_free(s->conf.root);
	str_free(s->conf.main);
	free(s);
}

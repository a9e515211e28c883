/*
 * edge/entity.c - see entity.h for the promises.
 *
 * Every way to change the store ends in one of five functions: admit() a new
 * entity, amend() one that is there, move() it, put_member() of its twin,
 * discard() it with those below. They keep the count of bytes.
 *
 * A registration whose parent is missing lies in `pending`, as it came, and is
 * read again when an entity of that id is admitted.
 */
#include "edge/entity.h"

#include "base/base.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PENDING 1000
#define COMPLAINTS 16 /* ids of which was complained lately */

static const char *const type_names[] = { "device", "child-device", "service" };

struct pending {
	struct list link;
	struct str id, parent, payload;
	size_t bytes;
};

struct te_store {
	struct te_store_conf conf; /* its texts are our copies */
	struct te_store_host host;
	bool loading;
	struct map entities; /* by id */
	struct te_entity *main;
	struct list pending;
	uint32_t n_pending;
	size_t bytes; /* of entities and pending ones */
	uint64_t complained[COMPLAINTS];
	unsigned next_complaint;
	struct arena arena; /* of one call */
};

/* A registration, read. */
struct reg {
	enum te_entity_type type;
	struct str parent, xid, health; /* ids in full form; STR_NULL: none */
	struct te_member *twin;
	size_t n_twin;
};

/* --- what is told -------------------------------------------------------- */

static bool
speaks(const struct te_store *s)
{
	return !s->conf.cache && !s->loading;
}

static void
publish(struct te_store *s, struct str id, enum te_channel channel,
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

static void
keep(struct te_store *s, struct str id, struct str payload)
{
	struct te_topic t = { .entity = id, .channel = TE_ENTITY };
	struct buf topic = { 0 };

	if (!speaks(s))
		return;
	te_topic_add(&topic, s->conf.root, &t);
	s->host.keep(s->host.owner, buf_str(&topic), payload);
	buf_free(&topic);
}

static void
changed(struct te_store *s, const struct te_entity *e, enum te_change what)
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

/* --- room ---------------------------------------------------------------- */

static int
need_room(const struct te_store *s, size_t more, struct err *err)
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

static void
set_text(struct te_store *s, struct te_entity *e, struct str *at, struct str to)
{
	struct str old = *at;

	count(s, e, to.len, old.len);
	*at = str_copy(to);
	str_free(old);
}

/* --- reading registrations ------------------------------------------------ */

const char *
te_entity_type_name(enum te_entity_type t)
{
	return type_names[t];
}

bool
te_entity_type_of(struct str name, enum te_entity_type *ret)
{
	for (size_t i = 0; i < COUNT_OF(type_names); i++)
		if (str_eqz(name, type_names[i])) {
			*ret = (enum te_entity_type)i;
			return true;
		}
	return false;
}

static bool
is_null(struct str json)
{
	return json.ptr == NULL || str_eqz(json, "null");
}

static int
check_key(const char *what, struct str key, struct err *err)
{
	if (key.len > 0 && key.ptr[0] != '@' &&
	    memchr(key.ptr, '/', key.len) == NULL)
		return 0;
	return err_set(err, ERR_PARAM,
	    "Invalid %s key: '" STR_FMT "'. Keys that are empty, containing "
	    "'/' or starting with '@' are not allowed",
	    what, STR_ARG(key));
}

static int
normal(struct arena *a, struct str id, struct str *ret, struct err *err)
{
	struct buf full = { 0 };
	int rc = te_entity_normal(&full, id, err);

	if (rc == 0)
		*ret = arena_str(a, buf_str(&full));
	buf_free(&full);
	return rc;
}

/* A text member that starts with "@"; an id is brought into full form. */
static int
read_text(
    struct json *j, struct str key, bool id, struct str *ret, struct err *err)
{
	if (json_peek(j) == JSON_NULL) {
		json_null(j);
		return 0;
	}
	if (json_peek(j) != JSON_STRING)
		return err_set(err, ERR_PARAM, "\"" STR_FMT "\" must be a text",
		    STR_ARG(key));
	json_str(j, ret);
	return id && json_ok(j) ? normal(j->arena, *ret, ret, err) : 0;
}

static void
add_member(struct arena *a, struct te_member **at, size_t *n, size_t *cap,
    struct te_member m)
{
	if (*n == *cap) {
		size_t more = *cap > 0 ? *cap * 2 : 8;
		struct te_member *grown =
		    arena_array(a, more, struct te_member);

		if (*n > 0)
			memcpy(grown, *at, *n * sizeof(**at));
		*at = grown;
		*cap = more;
	}
	(*at)[(*n)++] = m;
}

static struct str
compact(struct arena *a, struct str json)
{
	struct buf b = { 0 };
	struct str ret = STR_NULL;

	if (json_compact(&b, json, 0))
		ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

/* Every member of an object, compact; the keys that start with "@" go to
 * `reg`, or are passed over if it is NULL. */
static int
read_members(struct arena *a, const char *what, struct str payload,
    struct reg *reg, struct str *topic_id, bool *typed, struct te_member **ret,
    size_t *n, struct err *err)
{
	struct str key, raw;
	size_t cap = 0;
	struct json j;
	int rc = 0;

	json_open(&j, payload, 0, a);
	if (!json_object(&j))
		return json_done(&j, err);
	while (rc == 0 && json_member(&j, &key)) {
		if (reg != NULL && str_eqz(key, "@type")) {
			struct str name = STR_NULL;

			rc = read_text(&j, key, false, &name, err);
			*typed = rc == 0 && name.ptr != NULL;
			if (*typed && json_ok(&j) &&
			    !te_entity_type_of(name, &reg->type))
				rc = err_set(err, ERR_PARAM,
				    "unknown variant `" STR_FMT "`, expected "
				    "one of `device`, `child-device`, "
				    "`service`",
				    STR_ARG(name));
		} else if (reg != NULL && str_eqz(key, "@parent"))
			rc = read_text(&j, key, true, &reg->parent, err);
		else if (reg != NULL && str_eqz(key, "@health"))
			rc = read_text(&j, key, true, &reg->health, err);
		else if (reg != NULL && str_eqz(key, "@id"))
			rc = read_text(&j, key, false, &reg->xid, err);
		else if (topic_id != NULL && str_eqz(key, "@topic-id"))
			rc = read_text(&j, key, true, topic_id, err);
		else if (reg != NULL && key.len > 0 && key.ptr[0] == '@')
			json_skip(&j);
		else if (json_raw(&j, &raw)) {
			rc = check_key(what, key, err);
			if (rc == 0)
				add_member(a, ret, n, &cap,
				    (struct te_member){
					arena_str(a, key), compact(a, raw) });
		}
	}
	return rc != 0 ? rc : json_done(&j, err);
}

static int
read_reg(struct arena *a, struct str payload, struct reg *ret,
    struct str *topic_id, struct err *err)
{
	bool typed = false;
	int rc;

	*ret = (struct reg){ .type = TE_CHILD };
	rc = read_members(a, "twin", payload, ret, topic_id, &typed, &ret->twin,
	    &ret->n_twin, err);
	if (rc == 0 && !typed)
		rc = err_set(err, ERR_PARAM, "missing field `@type`");
	return rc;
}

static void
put_reg(struct buf *out, enum te_entity_type type, struct str xid,
    struct str parent, struct str health, const struct te_member *twin,
    size_t n)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	json_out_key(&o, "@type");
	json_out_str(&o, str_of(type_names[type]));
	if (xid.ptr != NULL) {
		json_out_key(&o, "@id");
		json_out_str(&o, xid);
	}
	if (parent.ptr != NULL) {
		json_out_key(&o, "@parent");
		json_out_str(&o, parent);
	}
	if (health.ptr != NULL) {
		json_out_key(&o, "@health");
		json_out_str(&o, health);
	}
	for (size_t i = 0; i < n; i++) {
		json_out_key_str(&o, twin[i].key);
		json_out_raw(&o, twin[i].json);
	}
	json_out_end_object(&o);
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
static void
hang_below(struct te_entity *e, struct te_entity *parent)
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

static int
no_parent(struct str parent, struct err *err)
{
	return err_set(err, ERR_PARAM,
	    "The specified parent \"" STR_FMT
	    "\" does not exist in the entity store",
	    STR_ARG(parent));
}

/* May `id` (an entity, or one to be) hang below `parent`? */
static int
check_parent(const struct te_store *s, struct str id, struct str parent,
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
		return no_parent(parent, err);
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

static struct te_member *
find_member(const struct te_entity *e, struct str key)
{
	for (size_t i = 0; i < e->n_twin; i++)
		if (str_eq(e->twin[i].key, key))
			return &e->twin[i];
	return NULL;
}

static void
del_member(struct te_store *s, struct te_entity *e, struct te_member *m)
{
	size_t at = (size_t)(m - e->twin);

	count(s, e, 0, sizeof(*m) + m->key.len + m->json.len);
	str_free(m->key);
	str_free(m->json);
	memmove(m, m + 1, (e->n_twin - at - 1) * sizeof(*m));
	e->n_twin--;
}

/* True: it is another value than before. There is room. */
static bool
put_member(
    struct te_store *s, struct te_entity *e, struct str key, struct str json)
{
	struct te_member *m = find_member(e, key);

	if (is_null(json)) {
		if (m != NULL)
			del_member(s, e, m);
		return m != NULL;
	}
	if (m != NULL) {
		if (str_eq(m->json, json))
			return false;
		set_text(s, e, &m->json, json);
		return true;
	}
	e->twin = mem_resize(e->twin, e->n_twin + 1, sizeof(*m));
	m = &e->twin[e->n_twin++];
	m->key = str_copy(key);
	m->json = str_copy(json);
	count(s, e, sizeof(*m) + key.len + json.len, 0);
	return true;
}

static size_t
members_bytes(const struct te_member *m, size_t n)
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

static void
pending_drop(struct te_store *s, struct pending *p)
{
	list_del(&p->link);
	s->n_pending--;
	s->bytes -= p->bytes;
	str_free(p->id);
	str_free(p->parent);
	str_free(p->payload);
	free(p);
}

static void
pending_forget(struct te_store *s, struct str id)
{
	LIST_EACH (p, &s->pending, struct pending, link)
		if (str_eq(p->id, id))
			pending_drop(s, p);
}

static int
pending_add(struct te_store *s, struct str id, struct str parent,
    struct str payload, struct err *err)
{
	size_t bytes =
	    sizeof(struct pending) + id.len + parent.len + payload.len;
	struct pending *p;
	int rc;

	pending_forget(s, id);
	if (s->n_pending >= s->conf.max_pending)
		return err_set(err, ERR_LIMIT,
		    "\"" STR_FMT "\" is not registered: %u registrations "
		    "already wait for their parents",
		    STR_ARG(id), s->n_pending);
	rc = need_room(s, bytes, err);
	if (rc != 0)
		return rc;
	p = mem_new(struct pending);
	p->id = str_copy(id);
	p->parent = str_copy(parent);
	p->payload = str_copy(payload);
	p->bytes = bytes;
	s->bytes += bytes;
	s->n_pending++;
	list_add(&s->pending, &p->link);
	return 0;
}

/* What a registration says of its twin becomes twin data, told as such. */
static bool
take_twin(
    struct te_store *s, struct te_entity *e, const struct reg *r, bool tell)
{
	bool any = false;

	for (size_t i = 0; i < r->n_twin; i++)
		if (put_member(s, e, r->twin[i].key, r->twin[i].json)) {
			any = true;
			if (tell)
				publish(s, e->id, TE_TWIN, r->twin[i].key,
				    r->twin[i].json);
		}
	return any;
}

static int
admit(struct te_store *s, struct str id, const struct reg *r,
    struct te_entity *parent, struct str payload, bool tell_twin,
    struct err *err)
{
	struct te_entity *e;
	int rc = need_room(s,
	    sizeof(*e) + id.len + r->xid.len + r->health.len + payload.len +
		members_bytes(r->twin, r->n_twin),
	    err);

	if (rc != 0)
		return rc;
	e = entity_new(s, id, r->type);
	set_text(s, e, &e->xid, r->xid);
	set_text(s, e, &e->health, r->health);
	set_text(s, e, &e->reg, payload);
	hang_below(e, parent);
	keep(s, e->id, payload);
	take_twin(s, e, r, tell_twin);
	changed(s, e, TE_ADDED);
	return 0;
}

static int register_one(struct te_store *s, struct str id, const struct reg *r,
    struct str payload, struct err *err);

/* Those that waited for `id`, and for them. */
static void
take_pending(struct te_store *s, struct str id)
{
	for (;;) {
		struct pending *p = NULL;
		struct err err;
		struct reg r;

		LIST_EACH (it, &s->pending, struct pending, link)
			if (p == NULL && str_eq(it->parent, id))
				p = it;
		if (p == NULL)
			return;
		/* as it is no longer in the list, this ends */
		list_del(&p->link);
		if (read_reg(&s->arena, p->payload, &r, NULL, &err) != 0 ||
		    register_one(s, p->id, &r, p->payload, &err) != 0)
			complain(s, str_of(err.text));
		else
			take_pending(s, p->id);
		pending_drop(s, p);
	}
}

/* An entity that is there is registered again. */
static int
amend(struct te_store *s, struct te_entity *e, const struct reg *r,
    struct str payload, struct err *err)
{
	struct te_entity *parent = e->parent;
	bool any = false;
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
		rc = check_parent(s, e->id, r->parent, &parent, err);
		if (rc != 0)
			return rc;
	}
	rc = need_room(s,
	    r->xid.len + r->health.len + payload.len +
		members_bytes(r->twin, r->n_twin),
	    err);
	if (rc != 0)
		return rc;
	if (parent != e->parent) {
		hang_below(e, parent);
		any = true;
	}
	if (r->xid.ptr != NULL && e->xid.ptr == NULL) {
		set_text(s, e, &e->xid, r->xid);
		any = true;
	}
	if (r->health.ptr != NULL && !str_eq(r->health, e->health)) {
		set_text(s, e, &e->health, r->health);
		any = true;
	}
	if (take_twin(s, e, r, true))
		any = true;
	set_text(s, e, &e->reg, payload);
	keep(s, e->id, payload);
	if (any)
		changed(s, e, TE_CHANGED);
	return 0;
}

/* ERR_AGAIN: its parent is not there; `*missing` (if not NULL) is it. */
static int
place(struct te_store *s, struct str id, const struct reg *r,
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
		(void)no_parent(parent, err);
		return ERR_AGAIN;
	}
	return check_parent(s, id, parent, ret, err);
}

static int
register_one(struct te_store *s, struct str id, const struct reg *r,
    struct str payload, struct err *err)
{
	struct te_entity *e = map_get(&s->entities, id), *parent;
	struct str missing;
	int rc;

	if (e != NULL)
		return amend(s, e, r, payload, err);
	rc = place(s, id, r, &parent, &missing, err);
	if (rc == ERR_AGAIN)
		return pending_add(s, id, missing, payload, err);
	if (rc == 0)
		rc = admit(s, id, r, parent, payload, true, err);
	return rc;
}

/* Takes one and those below it out of the tree, parents first in `out`. */
static void
collect(struct te_entity *e, struct te_entity **out, size_t *n)
{
	size_t from = *n;

	out[(*n)++] = e;
	for (; from < *n; from++)
		LIST_EACH (c, &out[from]->children, struct te_entity, sibling)
			out[(*n)++] = c;
}

static void
discard(struct te_store *s, struct te_entity *e,
    void (*each)(void *ctx, const struct te_entity *e), void *ctx)
{
	struct te_entity **all =
	    mem_array(s->entities.n, sizeof(struct te_entity *));
	size_t n = 0;

	collect(e, all, &n);
	for (size_t i = 0; each != NULL && i < n; i++)
		each(ctx, all[i]);
	while (n > 0) {
		e = all[--n];
		keep(s, e->id, STR(""));
		publish(s, e->id, TE_ENTITY, STR_NULL, STR(""));
		changed(s, e, TE_REMOVED);
		entity_free(s, e);
	}
	free(all);
}

/* --- what is heard -------------------------------------------------------- */

static void
publish_reg(struct te_store *s, const struct te_entity *e)
{
	publish(s, e->id, TE_ENTITY, STR_NULL, e->reg);
}

static int
hear_removal(struct te_store *s, struct str id)
{
	struct te_entity *e = map_get(&s->entities, id);

	pending_forget(s, id);
	if (e == NULL)
		return ERR_NOT_FOUND;
	if (e == s->main) { /* it stays, and says so again */
		publish_reg(s, e);
		return 0;
	}
	discard(s, e, NULL, NULL);
	return 0;
}

static int
hear_registration(struct te_store *s, struct str id, struct str payload)
{
	struct err err, why;
	struct reg r;
	int rc;

	if (payload.len == 0)
		return hear_removal(s, id);
	rc = read_reg(&s->arena, payload, &r, NULL, &err);
	if (rc == 0)
		rc = register_one(s, id, &r, payload, &err);
	if (rc != 0) {
		err_set(&why, rc,
		    "The registration of \"" STR_FMT "\" is refused: %s",
		    STR_ARG(id), err.text);
		complain(s, str_of(why.text));
		return rc;
	}
	if (te_store_find(s, id) == NULL)
		return ERR_NOT_FOUND; /* it waits */
	take_pending(s, id);
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

	LIST_EACH (p, &s->pending, struct pending, link)
		if (str_eq(p->id, id))
			return ERR_AGAIN;
	json_quote(&name, te_entity_name(id));
	twin = (struct te_member){ STR("name"), buf_str(&name) };
	r.parent = default_parent(s, id, type);
	r.twin = &twin;
	r.n_twin = 1;
	put_reg(&payload, type, STR_NULL, r.parent, STR_NULL, &twin, 1);
	rc = place(s, id, &r, &parent, &missing, err);
	if (rc == 0)
		rc = admit(s, id, &r, parent, buf_str(&payload), false, err);
	if (rc == 0) {
		publish(s, id, TE_ENTITY, STR_NULL, buf_str(&payload));
		take_pending(s, id);
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

static int
set_member(struct te_store *s, struct te_entity *e, struct str key,
    struct str json, bool tell, struct err *err)
{
	int rc = check_key("twin", key, err);

	if (rc == 0 && !is_null(json)) {
		json = compact(&s->arena, json);
		if (json.ptr == NULL)
			return err_set(err, ERR_PARAM,
			    "The value of \"" STR_FMT "\" is no JSON",
			    STR_ARG(key));
		if (!is_null(json))
			rc = need_room(s,
			    sizeof(struct te_member) + key.len + json.len, err);
	}
	if (rc != 0)
		return rc;
	if (put_member(s, e, key, json)) {
		if (tell)
			publish(s, e->id, TE_TWIN, key,
			    is_null(json) ? STR("") : json);
		changed(s, e, TE_CHANGED);
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
		set_text(s, e, &e->config, STR_NULL);
		return 0;
	}
	rc = read_members(
	    &s->arena, "config", json, NULL, NULL, NULL, &members, &n, err);
	if (rc == 0)
		rc = need_room(s, json.len, err);
	if (rc != 0)
		return rc;
	json_out_init(&o, &out, false);
	json_out_object(&o);
	for (size_t i = 0; i < n; i++) {
		json_out_key_str(&o, members[i].key);
		json_out_raw(&o, members[i].json);
	}
	json_out_end_object(&o);
	set_text(s, e, &e->config, buf_str(&out));
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
		rc = set_member(s, e, t->type,
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

/* --- what is asked ---------------------------------------------------------
 */

static int
unknown(struct str id, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND,
	    "The specified entity: " STR_FMT
	    " does not exist in the entity store",
	    STR_ARG(id));
}

static int
create(struct te_store *s, struct str payload, struct buf *id, struct err *err)
{
	struct str topic_id = STR_NULL, missing;
	struct te_entity *parent = NULL;
	struct buf reg = { 0 };
	struct reg r;
	int rc;

	rc = read_reg(&s->arena, payload, &r, &topic_id, err);
	if (rc != 0)
		return rc;
	if (topic_id.ptr == NULL)
		return err_set(err, ERR_PARAM, "missing field `@topic-id`");
	if (te_store_find(s, topic_id) != NULL)
		return err_set(err, ERR_EXISTS,
		    "An entity with topic id: " STR_FMT
		    " is already registered",
		    STR_ARG(topic_id));
	rc = place(s, topic_id, &r, &parent, &missing, err);
	if (rc == ERR_AGAIN)
		return no_parent(missing, err);
	if (rc != 0)
		return rc;
	put_reg(&reg, r.type, r.xid, r.parent, r.health, r.twin, r.n_twin);
	rc = admit(s, topic_id, &r, parent, buf_str(&reg), true, err);
	if (rc == 0) {
		pending_forget(s, topic_id);
		publish(s, topic_id, TE_ENTITY, STR_NULL, buf_str(&reg));
		take_pending(s, topic_id);
		buf_add_str(id, topic_id);
	}
	buf_free(&reg);
	return rc;
}

int
te_store_create(
    struct te_store *s, struct str payload, struct buf *id, struct err *err)
{
	int rc = create(s, payload, id, err);

	arena_clear(&s->arena);
	return rc;
}

static int
check_health(
    const struct te_store *s, struct str id, struct str health, struct err *err)
{
	const struct te_entity *h = te_store_find(s, health);

	if (h == NULL)
		return err_set(err, ERR_PARAM,
		    "The specified health endpoint: " STR_FMT
		    " does not exist in the entity store",
		    STR_ARG(health));
	if (h->type != TE_SERVICE)
		return err_set(err, ERR_PARAM,
		    "Entity: '" STR_FMT
		    "' can not be a health endpoint of '" STR_FMT
		    "' because it is not a service. Only services can be "
		    "health endpoints",
		    STR_ARG(health), STR_ARG(id));
	return 0;
}

static int
read_update(struct arena *a, struct str payload, struct str *parent,
    struct str *health, struct err *err)
{
	struct str key;
	struct json j;
	int rc = 0;

	json_open(&j, payload, 0, a);
	if (!json_object(&j))
		return json_done(&j, err);
	while (rc == 0 && json_member(&j, &key)) {
		if (str_eqz(key, "@parent"))
			rc = read_text(&j, key, true, parent, err);
		else if (str_eqz(key, "@health"))
			rc = read_text(&j, key, true, health, err);
		else
			return err_set(err, ERR_PARAM,
			    "unknown field `" STR_FMT
			    "`, expected `@parent` or `@health`",
			    STR_ARG(key));
	}
	return rc != 0 ? rc : json_done(&j, err);
}

static int
update(struct te_store *s, struct str id, struct str payload, struct err *err)
{
	struct str parent_id = STR_NULL, health = STR_NULL;
	struct te_entity *e = map_get(&s->entities, id), *parent;
	struct buf reg = { 0 };
	int rc;

	rc = read_update(&s->arena, payload, &parent_id, &health, err);
	if (rc != 0)
		return rc;
	if (e == NULL)
		return unknown(id, err);
	parent = e->parent;
	if (parent_id.ptr != NULL)
		rc = check_parent(s, id, parent_id, &parent, err);
	if (rc == 0 && health.ptr != NULL)
		rc = check_health(s, id, health, err);
	if (rc == 0)
		rc = need_room(s, health.len + e->reg.len + 64, err);
	if (rc != 0)
		return rc;
	if (parent != e->parent)
		hang_below(e, parent);
	if (health.ptr != NULL)
		set_text(s, e, &e->health, health);
	/* What stays is said with it: who reads only this knows all. */
	put_reg(&reg, e->type, e->xid,
	    e->parent != NULL ? e->parent->id : STR_NULL, e->health, e->twin,
	    e->n_twin);
	if (!str_eq(e->reg, buf_str(&reg))) {
		set_text(s, e, &e->reg, buf_str(&reg));
		keep(s, e->id, e->reg);
		publish_reg(s, e);
		changed(s, e, TE_CHANGED);
	}
	buf_free(&reg);
	return 0;
}

int
te_store_update(
    struct te_store *s, struct str id, struct str payload, struct err *err)
{
	int rc = update(s, id, payload, err);

	arena_clear(&s->arena);
	return rc;
}

int
te_store_remove(struct te_store *s, struct str id,
    void (*each)(void *ctx, const struct te_entity *e), void *ctx,
    struct err *err)
{
	struct te_entity *e = map_get(&s->entities, id);

	pending_forget(s, id);
	if (e == NULL)
		return unknown(id, err);
	if (e == s->main)
		return err_set(
		    err, ERR_PARAM, "The main device can not be removed");
	discard(s, e, each, ctx);
	return 0;
}

int
te_store_set_twin(struct te_store *s, struct str id, struct str key,
    struct str json, struct err *err)
{
	struct te_entity *e = map_get(&s->entities, id);
	int rc = check_key("twin", key, err);

	if (rc == 0)
		rc = e == NULL ? unknown(id, err)
			       : set_member(s, e, key, json, true, err);
	arena_clear(&s->arena);
	return rc;
}

static bool
has_member(const struct te_member *m, size_t n, struct str key)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(m[i].key, key))
			return !is_null(m[i].json);
	return false;
}

static int
replace_twin(
    struct te_store *s, struct str id, struct str json, struct err *err)
{
	struct te_entity *e = map_get(&s->entities, id);
	struct te_member *members = NULL;
	size_t n = 0;
	int rc;

	rc = read_members(
	    &s->arena, "twin", json, NULL, NULL, NULL, &members, &n, err);
	if (rc == 0 && e == NULL)
		rc = unknown(id, err);
	if (rc == 0)
		rc = need_room(s, members_bytes(members, n), err);
	if (rc != 0)
		return rc;
	for (size_t i = e->n_twin; i-- > 0;) {
		struct te_member *m = &e->twin[i];

		if (has_member(members, n, m->key))
			continue;
		publish(s, e->id, TE_TWIN, m->key, STR(""));
		del_member(s, e, m);
	}
	for (size_t i = 0; i < n; i++)
		if (put_member(s, e, members[i].key, members[i].json))
			publish(s, e->id, TE_TWIN, members[i].key,
			    is_null(members[i].json) ? STR("")
						     : members[i].json);
	changed(s, e, TE_CHANGED);
	return 0;
}

int
te_store_replace_twin(
    struct te_store *s, struct str id, struct str json, struct err *err)
{
	int rc = replace_twin(s, id, json, err);

	arena_clear(&s->arena);
	return rc;
}

void
te_store_each(const struct te_store *s, struct str root, struct str parent,
    unsigned kinds, void (*each)(void *ctx, const struct te_entity *e),
    void *ctx)
{
	struct te_entity *from = s->main, **all;
	size_t n = 0;

	if (parent.ptr != NULL || root.ptr != NULL)
		from =
		    map_get(&s->entities, parent.ptr != NULL ? parent : root);
	if (from == NULL)
		return;
	all = mem_array(s->entities.n, sizeof(*all));
	collect(from, all, &n);
	for (size_t i = 0; i < n; i++)
		if ((kinds == 0 || kinds >> all[i]->type & 1) &&
		    (parent.ptr == NULL || all[i]->parent == from))
			each(ctx, all[i]);
	free(all);
}

/* --- one entity ------------------------------------------------------------
 */

struct str
te_entity_twin(const struct te_entity *e, struct str key)
{
	const struct te_member *m = find_member(e, key);

	return m != NULL ? m->json : STR_NULL;
}

struct str
te_entity_twin_text(const struct te_entity *e, struct str key, struct arena *a)
{
	struct str json = te_entity_twin(e, key), text;
	struct json j;

	if (json.ptr == NULL)
		return STR_NULL;
	json_open(&j, json, 0, a);
	return json_str(&j, &text) ? text : STR_NULL;
}

bool
te_entity_health(const struct te_entity *e, struct buf *out)
{
	struct str id = e->id;

	if (e->health.ptr != NULL) {
		buf_add_str(out, e->health);
		return true;
	}
	if (!te_entity_is_default(id) || te_entity_is_service(id))
		return false;
	buf_add(out, id.ptr, id.len - 2); /* without its "//" */
	buf_addz(out, "/service/tedge-agent");
	return true;
}

void
te_entity_put(const struct te_entity *e, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	json_out_key(&o, "@topic-id");
	json_out_str(&o, e->id);
	if (e->parent != NULL) {
		json_out_key(&o, "@parent");
		json_out_str(&o, e->parent->id);
	}
	json_out_key(&o, "@type");
	json_out_str(&o, str_of(type_names[e->type]));
	if (e->xid.ptr != NULL) {
		json_out_key(&o, "@id");
		json_out_str(&o, e->xid);
	}
	if (e->health.ptr != NULL) {
		json_out_key(&o, "@health");
		json_out_str(&o, e->health);
	}
	json_out_end_object(&o);
}

void
te_entity_put_twin(const struct te_entity *e, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	for (size_t i = 0; i < e->n_twin; i++) {
		json_out_key_str(&o, e->twin[i].key);
		json_out_raw(&o, e->twin[i].json);
	}
	json_out_end_object(&o);
}

struct str
te_entity_config(const struct te_entity *e, struct str key, struct arena *a)
{
	struct str name, value = STR_NULL, ret = STR_NULL;
	struct json j;

	if (e->config.ptr == NULL)
		return STR_NULL;
	json_open(&j, e->config, 0, a);
	if (json_object(&j))
		while (json_member(&j, &name))
			if (json_raw(&j, &value) && str_eq(name, key))
				ret = value;
	return ret;
}

/* --- start and end ---------------------------------------------------------
 */

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
	put_reg(&reg, TE_DEVICE, STR_NULL, STR_NULL, STR_NULL, NULL, 0);
	set_text(s, s->main, &s->main->reg, buf_str(&reg));
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
	collect(s->main, all, &n);
	while (n > 0)
		entity_free(s, all[--n]);
	free(all);
	while (!list_empty(&s->pending))
		pending_drop(s, list_first(&s->pending, struct pending, link));
	map_fini(&s->entities);
	arena_fini(&s->arena);
	str_free(s->conf.root);
	str_free(s->conf.main);
	free(s);
}

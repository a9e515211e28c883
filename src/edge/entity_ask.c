/*
 * edge/entity_ask.c - what is asked of the store by hand; see entity.h.
 */
#include "edge/entity_private.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

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

	rc = entity_read_reg(&s->arena, payload, &r, &topic_id, err);
	if (rc != 0)
		return rc;
	if (topic_id.ptr == NULL)
		return err_set(err, ERR_PARAM, "missing field `@topic-id`");
	if (te_store_find(s, topic_id) != NULL)
		return err_set(err, ERR_EXISTS,
		    "An entity with topic id: " STR_FMT
		    " is already registered",
		    STR_ARG(topic_id));
	rc = entity_place(s, topic_id, &r, &parent, &missing, err);
	if (rc == ERR_AGAIN)
		return entity_no_parent(missing, err);
	if (rc != 0)
		return rc;
	entity_put_reg(
	    &reg, r.type, r.xid, r.parent, r.health, r.twin, r.n_twin);
	rc = entity_admit(s, topic_id, &r, parent, buf_str(&reg), true, err);
	if (rc == 0) {
		entity_pending_forget(s, topic_id);
		entity_publish(s, topic_id, TE_ENTITY, STR_NULL, buf_str(&reg));
		entity_take_pending(s, topic_id);
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
update(struct te_store *s, struct str id, struct str payload, struct err *err)
{
	struct str parent_id = STR_NULL, health = STR_NULL;
	struct te_entity *e = map_get(&s->entities, id), *parent;
	struct buf reg = { 0 };
	int rc;

	rc = entity_read_update(&s->arena, payload, &parent_id, &health, err);
	if (rc != 0)
		return rc;
	if (e == NULL)
		return unknown(id, err);
	parent = e->parent;
	if (parent_id.ptr != NULL)
		rc = entity_check_parent(s, id, parent_id, &parent, err);
	if (rc == 0 && health.ptr != NULL)
		rc = check_health(s, id, health, err);
	if (rc != 0)
		return rc;
	/* What stays is said with it: who reads only this knows all. */
	entity_put_reg(&reg, e->type, e->xid,
	    parent != NULL ? parent->id : STR_NULL,
	    health.ptr != NULL ? health : e->health, e->twin, e->n_twin);
	rc = entity_need_room(s, health.len + reg.len, err);
	if (rc != 0) {
		buf_free(&reg);
		return rc;
	}
	if (parent != e->parent)
		entity_hang_below(e, parent);
	if (health.ptr != NULL)
		entity_set_text(s, e, &e->health, health);
	if (!str_eq(e->reg, buf_str(&reg))) {
		entity_set_text(s, e, &e->reg, buf_str(&reg));
		entity_keep(s, e->id, e->reg);
		entity_publish_reg(s, e);
		entity_changed(s, e, TE_CHANGED);
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

	entity_pending_forget(s, id);
	if (e == NULL)
		return unknown(id, err);
	if (e == s->main)
		return err_set(
		    err, ERR_PARAM, "The main device can not be removed");
	entity_discard(s, e, each, ctx);
	return 0;
}

int
te_store_set_twin(struct te_store *s, struct str id, struct str key,
    struct str json, struct err *err)
{
	struct te_entity *e = map_get(&s->entities, id);
	int rc = entity_check_key("twin", key, err);

	if (rc == 0)
		rc = e == NULL ? unknown(id, err)
			       : entity_set_member(s, e, key, json, true, err);
	arena_clear(&s->arena);
	return rc;
}

static bool
has_member(const struct te_member *m, size_t n, struct str key)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(m[i].key, key))
			return !entity_is_null(m[i].json);
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

	rc = entity_read_members(
	    &s->arena, "twin", json, NULL, NULL, NULL, &members, &n, err);
	if (rc == 0 && e == NULL)
		rc = unknown(id, err);
	if (rc == 0)
		rc = entity_need_room(s, entity_members_bytes(members, n), err);
	if (rc != 0)
		return rc;
	for (size_t i = e->n_twin; i-- > 0;) {
		struct te_member *m = &e->twin[i];

		if (has_member(members, n, m->key))
			continue;
		entity_publish(s, e->id, TE_TWIN, m->key, STR(""));
		entity_del_member(s, e, m);
	}
	for (size_t i = 0; i < n; i++)
		if (entity_put_member(s, e, members[i].key, members[i].json))
			entity_publish(s, e->id, TE_TWIN, members[i].key,
			    entity_is_null(members[i].json) ? STR("")
							    : members[i].json);
	entity_unsay(s, e);
	entity_changed(s, e, TE_CHANGED);
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
	entity_collect(from, all, &n);
	for (size_t i = 0; i < n; i++)
		if ((kinds == 0 || kinds >> all[i]->type & 1) &&
		    (parent.ptr == NULL || all[i]->parent == from))
			each(ctx, all[i]);
	free(all);
}

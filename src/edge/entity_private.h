/*
 * edge/entity_private.h - what entity.c, entity_ask.c, entity_pending.c,
 * entity_reg.c and entity_view.c share: the store, a registration, and each
 * other's functions.
 */
#ifndef EDGE_ENTITY_PRIVATE_H
#define EDGE_ENTITY_PRIVATE_H

#include "base/map.h"
#include "edge/entity.h"

#define COMPLAINTS 16 /* ids of which was complained lately */

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

/* --- what it tells: entity.c ---------------------------------------------- */

/* Retained; a cache, and one that loads, say nothing. */
void entity_publish(struct te_store *s, struct str id, enum te_channel channel,
    struct str key, struct str payload);
void entity_publish_reg(struct te_store *s, const struct te_entity *e);
void entity_keep(struct te_store *s, struct str id, struct str payload);
void entity_changed(
    struct te_store *s, const struct te_entity *e, enum te_change what);
/* Says why a registration is refused. */
void entity_refused(
    struct te_store *s, struct str id, int rc, const struct err *err);

/* --- room: entity.c ------------------------------------------------------- */

/* ERR_LIMIT: `more` bytes would be too many. */
int entity_need_room(const struct te_store *s, size_t more, struct err *err);
/* Replaces a text of `e`; there is room. */
void entity_set_text(
    struct te_store *s, struct te_entity *e, struct str *at, struct str to);

/* --- the tree: entity.c --------------------------------------------------- */

/* Children are in the order of their ids. */
void entity_hang_below(struct te_entity *e, struct te_entity *parent);
/* May `id` (an entity, or one to be) hang below `parent`? */
int entity_check_parent(const struct te_store *s, struct str id,
    struct str parent, struct te_entity **ret, struct err *err);
int entity_no_parent(struct str parent, struct err *err);
/* ERR_AGAIN: the parent of one to be is not there: `*missing`. */
int entity_place(struct te_store *s, struct str id, const struct reg *r,
    struct te_entity **ret, struct str *missing, struct err *err);
/* Adds an entity whose parent is there. */
int entity_admit(struct te_store *s, struct str id, const struct reg *r,
    struct te_entity *parent, struct str payload, bool tell_twin,
    struct err *err);
/* Admits it, amends what is there, or lets it wait for its parent. */
int entity_register(struct te_store *s, struct str id, const struct reg *r,
    struct str payload, struct err *err);
/* It and those below, parents first, from `*n` on. */
void entity_collect(struct te_entity *e, struct te_entity **out, size_t *n);
/* Takes one and those below it away; `each` may be NULL. */
void entity_discard(struct te_store *s, struct te_entity *e,
    void (*each)(void *ctx, const struct te_entity *e), void *ctx);

/* --- those that wait: entity_pending.c ------------------------------------ */

/* In place of an earlier one of the same. ERR_LIMIT. */
int entity_pending_add(struct te_store *s, struct str id, struct str parent,
    struct str payload, struct err *err);
bool entity_pending_has(const struct te_store *s, struct str id);
void entity_pending_forget(struct te_store *s, struct str id);
/* Those that waited for `id`, and for them. */
void entity_take_pending(struct te_store *s, struct str id);
void entity_pending_fini(struct te_store *s);

/* --- twins: entity.c ------------------------------------------------------ */

/* One value of the twin, checked; `tell`: published. */
int entity_set_member(struct te_store *s, struct te_entity *e, struct str key,
    struct str json, bool tell, struct err *err);
/* The same, when it is good. True: it is another than before. */
bool entity_put_member(
    struct te_store *s, struct te_entity *e, struct str key, struct str json);
void entity_del_member(
    struct te_store *s, struct te_entity *e, struct te_member *m);
/* After a deletion: the registration says what is left. */
void entity_unsay(struct te_store *s, struct te_entity *e);
size_t entity_members_bytes(const struct te_member *m, size_t n);

/* --- texts: entity_reg.c -------------------------------------------------- */

/* STR_NULL, or JSON null. */
bool entity_is_null(struct str json);
int entity_check_key(const char *what, struct str key, struct err *err);
/* In `a`; STR_NULL: it is no JSON. */
struct str entity_compact(struct arena *a, struct str json);
/* Every member of an object, compact; keys that start with "@" go to `reg`,
 * or are refused if it is NULL. `what` names them: "twin". */
int entity_read_members(struct arena *a, const char *what, struct str payload,
    struct reg *reg, struct str *topic_id, bool *typed, struct te_member **ret,
    size_t *n, struct err *err);
/* `topic_id` (may be NULL): the value of "@topic-id". */
int entity_read_reg(struct arena *a, struct str payload, struct reg *ret,
    struct str *topic_id, struct err *err);
int entity_read_update(struct arena *a, struct str payload, struct str *parent,
    struct str *health, struct err *err);
/* Adds a registration. */
void entity_put_reg(struct buf *out, enum te_entity_type type, struct str xid,
    struct str parent, struct str health, const struct te_member *twin,
    size_t n);

/* --- one entity: entity_view.c -------------------------------------------- */

struct te_member *entity_find_member(const struct te_entity *e, struct str key);

#endif

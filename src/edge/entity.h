/*
 * edge/entity.h - the devices and services of this device's bus: who there is,
 * who belongs to whom, and what is known of each (its twin).
 *
 * There is one store that decides, the agent's, and one that follows in each
 * mapper, fed by the same retained messages (`cache`). Both are the same code:
 * pure of I/O, told of messages by te_store_hear(), telling by their host.
 *
 *	device/main//                     the main device: always there
 *	 +- device/child01//              registered, or registered by itself
 *	 |   +- device/child01/service/x  when its first message is heard
 *	 +- device/main/service/y
 *
 * Promises:
 *  (1) A parent is there before its children, and they go before it. A
 *      registration whose parent is missing waits for it.
 *  (2) Nobody is its own ancestor; a service is nobody's parent.
 *  (3) What is heard a second time changes nothing and tells nothing.
 *  (4) All of it together stays below `max_bytes`; what would exceed it is
 *      refused, and said.
 *
 * One thread at a time. A function of the host must not call the store.
 */
#ifndef EDGE_ENTITY_H
#define EDGE_ENTITY_H

#include "base/arena.h"
#include "base/list.h"
#include "edge/topic.h"

#include <stdint.h>

enum te_entity_type { TE_DEVICE, TE_CHILD, TE_SERVICE };
const char *te_entity_type_name(enum te_entity_type t); /* "child-device" */
bool te_entity_type_of(struct str name, enum te_entity_type *ret);

struct te_member {
	struct str key, json; /* compact */
};

/* Lent until the store changes. */
struct te_entity {
	struct str id; /* "device/child01//" */
	enum te_entity_type type;
	struct te_entity *parent; /* NULL: the main device */
	struct str xid;           /* "@id"; STR_NULL: none */
	struct str health;        /* "@health"; STR_NULL: none */
	struct te_member *twin;   /* in the order they came */
	size_t n_twin;
	struct str config; /* an object, as last heard; STR_NULL: none */
	/* the store's own */
	struct str reg; /* the registration as last heard or made */
	struct list children, sibling;
	size_t bytes;
};

/* The value, or STR_NULL. */
struct str te_entity_twin(const struct te_entity *e, struct str key);
/* A text of the twin without its quotes, in `a`; STR_NULL: none, or no text. */
struct str te_entity_twin_text(
    const struct te_entity *e, struct str key, struct arena *a);
/* Adds the topic id whose health stands for it: "@health", or else the
 * tedge-agent of a device in the default scheme. False: there is none. */
bool te_entity_health(const struct te_entity *e, struct buf *out);
/* {"@topic-id":...,"@parent":...,"@type":...,"@id":...,"@health":...} */
void te_entity_put(const struct te_entity *e, struct buf *out);
void te_entity_put_twin(const struct te_entity *e, struct buf *out);
/* One value of its configuration; STR_NULL: none such. */
struct str te_entity_config(
    const struct te_entity *e, struct str key, struct arena *a);

enum te_change { TE_ADDED, TE_CHANGED, TE_REMOVED };

struct te_store_host {
	void *owner;
	/* Retained, QoS 1. Not called with `cache`. */
	void (*publish)(void *owner, struct str topic, struct str payload);
	/* To be kept for te_store_load(): the registration of `topic`, ""
	 * when it is gone. Not called with `cache`. */
	void (*keep)(void *owner, struct str topic, struct str payload);
	/* For the errors topic; NULL: nobody listens. */
	void (*error)(void *owner, struct str text);
	/* Also told of what waited; children before their parent when they go.
	 * Their retained messages are the host's to clear. NULL: not told. */
	void (*changed)(
	    void *owner, const struct te_entity *e, enum te_change what);
};

struct te_store_conf {
	struct str root; /* "te" */
	struct str main; /* "device/main//" */
	bool cache;
	bool auto_register;
	size_t max_bytes;     /* 0: TE_STORE_BYTES */
	uint32_t max_pending; /* registrations that wait; 0: 1000 */
};

#define TE_STORE_BYTES ((size_t)4 << 20)

struct te_store;

/* Copies `conf`. Has the main device, and nobody else. */
struct te_store *te_store_new(
    const struct te_store_conf *conf, const struct te_store_host *host);
void te_store_free(struct te_store *s); /* NULL is fine */

/* As te_store_hear() of a registration that had been kept: tells nobody. */
void te_store_load(struct te_store *s, struct str topic, struct str payload);

/* A message of an entity. 0: the entity is known (now); ERR_NOT_FOUND: it is
 * not (yet), and the message, if it is data, should wait for it; ERR_PARAM,
 * ERR_LIMIT: refused, and the host was told. */
int te_store_hear(
    struct te_store *s, const struct te_topic *t, struct str payload);

const struct te_entity *te_store_find(const struct te_store *s, struct str id);
const struct te_entity *te_store_main(const struct te_store *s);
size_t te_store_count(const struct te_store *s);

/* Breadth first from `root`, or the direct children of `parent` with `kinds`
 * as bits of types (0: all). Both STR_NULL: from the main device. */
void te_store_each(const struct te_store *s, struct str root, struct str parent,
    unsigned kinds, void (*each)(void *ctx, const struct te_entity *e),
    void *ctx);

/* --- what is asked of the deciding store -------------------------------- */

/* Errors have the sentences that users know. `payload` is an object with
 * "@topic-id", whose value in full form is added to `id`. ERR_EXISTS,
 * ERR_PARAM, ERR_LIMIT. */
int te_store_create(
    struct te_store *s, struct str payload, struct buf *id, struct err *err);
/* {"@parent":...,"@health":...}. ERR_NOT_FOUND, ERR_PARAM. */
int te_store_update(
    struct te_store *s, struct str id, struct str payload, struct err *err);
/* With all descendants; parents are heard first. ERR_NOT_FOUND;
 * ERR_PARAM: the main device stays. */
int te_store_remove(struct te_store *s, struct str id,
    void (*each)(void *ctx, const struct te_entity *e), void *ctx,
    struct err *err);
/* `json` "null" or STR_NULL deletes. ERR_NOT_FOUND, ERR_PARAM, ERR_LIMIT. */
int te_store_set_twin(struct te_store *s, struct str id, struct str key,
    struct str json, struct err *err);
/* `json` is an object: all there is from now on. */
int te_store_replace_twin(
    struct te_store *s, struct str id, struct str json, struct err *err);

/* --- messages that came too early ---------------------------------------- */

/* A ring of messages whose entity is not known yet: when it is full, the oldest
 * go. */
struct te_ring;

struct te_early {
	struct str topic, payload;
	uint8_t qos;
	bool retain, copy; /* `copy`: it had MAPPER_ORIGIN */
};

/* At most `max` messages (0: 100) with together `max_bytes` (0: 256 KiB). */
struct te_ring *te_ring_new(uint32_t max, size_t max_bytes);
void te_ring_free(struct te_ring *r); /* NULL is fine */
/* Copies. False: one that is too large by itself. */
bool te_ring_put(struct te_ring *r, struct str id, const struct te_early *m);
/* Takes out those of `id` in the order they came. `each` may put again. */
void te_ring_take(struct te_ring *r, struct str id,
    void (*each)(void *ctx, const struct te_early *m), void *ctx);
size_t te_ring_count(const struct te_ring *r);
uint64_t te_ring_lost(const struct te_ring *r); /* pushed out */

#endif

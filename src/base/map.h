/*
 * base/map.h - a hash map from text to a pointer.
 *
 * Keys are borrowed: they live in the value, or elsewhere, as long as the
 * entry does. The hash is keyed, so that a peer who chooses keys can not
 * choose collisions. Zero-initialise. One thread at a time.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

#include <stdint.h>

struct map_slot {
	struct str key; /* key.ptr NULL: free */
	void *value;
	uint64_t hash;
};

struct map {
	struct map_slot *slots;
	size_t cap; /* 0 or a power of two */
	size_t n;
};

uint64_t map_hash(struct str key);

void *map_get(const struct map *m, struct str key);
/* Adds or replaces. Returns the value that was there before, or NULL. After a
 * replacement the entry uses the new key. `value` is not NULL. */
void *map_put(struct map *m, struct str key, void *value);
/* Returns the value that was there, or NULL. */
void *map_del(struct map *m, struct str key);

/* Visits all in no order: start with *pos = 0; NULL ends. Changing the map
 * meanwhile is not allowed, except deleting nothing. */
void *map_next(const struct map *m, size_t *pos);
void map_fini(struct map *m); /* values are the caller's */

#endif

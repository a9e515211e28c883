/*
 * core/route/cache.c - what the message path remembers of the store.
 *
 * An entry is one block of memory: struct, key, texts. Entries that say "there
 * is no such thing" are kept like others. All of it belongs to the loop.
 */
#include "core/route/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void
cache_init(struct cache *c, size_t max, int64_t max_age_ms)
{
	*c = (struct cache){ .max = max, .max_age_ms = max_age_ms };
	list_init(&c->lru);
}

static void
drop(struct cache *c, struct cache_entry *e)
{
	map_del(&c->map, e->key);
	list_del(&e->link);
	free(e);
}

void
cache_clear(struct cache *c)
{
	LIST_EACH (e, &c->lru, struct cache_entry, link)
		drop(c, e);
}

void
cache_fini(struct cache *c)
{
	cache_clear(c);
	map_fini(&c->map);
}

struct cache_entry *
cache_get(struct cache *c, struct str key)
{
	struct cache_entry *e = map_get(&c->map, key);

	if (e == NULL)
		return NULL;
	if (clock_mono() - e->at > c->max_age_ms) {
		drop(c, e);
		return NULL;
	}
	list_del(&e->link);
	list_add(&c->lru, &e->link);
	return e;
}

static struct str
put(char **to, struct str s)
{
	struct str copy = { *to, s.len };

	if (s.ptr == NULL)
		return STR_NULL;
	memcpy(*to, s.ptr, s.len);
	*to += s.len;
	return copy;
}

void
cache_put(struct cache *c, struct str key, const struct cache_entry *what)
{
	const struct strs apps = what->apps;
	size_t size = sizeof(struct cache_entry) + apps.n * sizeof(struct str) +
	    key.len + what->device_id.len + what->unit_id.len +
	    what->profile.len;
	struct cache_entry *e;
	char *to;

	if (c->max == 0)
		return;
	cache_drop(c, key);
	while (c->map.n >= c->max)
		drop(c, list_first(&c->lru, struct cache_entry, link));
	for (size_t i = 0; i < apps.n; i++)
		size += apps.at[i].len;
	e = mem_alloc(size);
	e->at = clock_mono();
	e->known = what->known;
	e->apps = (struct strs){ (struct str *)(void *)(e + 1), apps.n };
	to = (char *)(e->apps.at + apps.n);
	e->key = put(&to, key);
	e->device_id = put(&to, what->device_id);
	e->unit_id = put(&to, what->unit_id);
	e->profile = put(&to, what->profile);
	for (size_t i = 0; i < apps.n; i++)
		e->apps.at[i] = put(&to, apps.at[i]);
	map_put(&c->map, e->key, e);
	list_add(&c->lru, &e->link);
}

void
cache_drop(struct cache *c, struct str key)
{
	struct cache_entry *e = map_get(&c->map, key);

	if (e != NULL)
		drop(c, e);
}

void
cache_drop_prefix(struct cache *c, struct str prefix)
{
	LIST_EACH (e, &c->lru, struct cache_entry, link)
		if (str_starts(e->key, prefix))
			drop(c, e);
}

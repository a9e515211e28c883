/*
 * base/map.c - see map.h. Open addressing with linear probing; deleting moves
 * followers back, so there are no tombstones. At most 3/4 full.
 */
#include "base/map.h"

#include "base/mem.h"
#include "base/rand.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static uint64_t key0, key1;

static void
make_keys(void)
{
	rand_bytes(&key0, sizeof(key0));
	rand_bytes(&key1, sizeof(key1));
}

#define ROTL(x, n) ((x) << (n) | (x) >> (64 - (n)))

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = ROTL(s->v1, 13) ^ s->v0;
	s->v0 = ROTL(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = ROTL(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = ROTL(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = ROTL(s->v1, 17) ^ s->v2;
	s->v2 = ROTL(s->v2, 32);
}

/* SipHash-1-3. */
uint64_t
map_hash(struct str key)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const char *p = key.ptr;
	size_t left = key.len;
	uint64_t last = (uint64_t)key.len << 56, m;
	struct sip s;

	pthread_once(&once, make_keys);
	s.v0 = key0 ^ 0x736f6d6570736575;
	s.v1 = key1 ^ 0x646f72616e646f6d;
	s.v2 = key0 ^ 0x6c7967656e657261;
	s.v3 = key1 ^ 0x7465646279746573;
	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&m, p, 8);
		s.v3 ^= m;
		sip_round(&s);
		s.v0 ^= m;
	}
	m = 0;
	if (left > 0)
		memcpy(&m, p, left);
	last |= m;
	s.v3 ^= last;
	sip_round(&s);
	s.v0 ^= last;
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* The slot of the key, or the free one where it would go. */
static size_t
place(const struct map *m, struct str key, uint64_t hash)
{
	size_t i = hash & (m->cap - 1);

	while (m->slots[i].key.ptr != NULL) {
		if (m->slots[i].hash == hash && str_eq(m->slots[i].key, key))
			break;
		i = (i + 1) & (m->cap - 1);
	}
	return i;
}

void *
map_get(const struct map *m, struct str key)
{
	if (m->n == 0)
		return NULL;
	return m->slots[place(m, key, map_hash(key))].value;
}

static void
grow(struct map *m)
{
	struct map bigger = { .cap = m->cap == 0 ? 16 : m->cap * 2, .n = m->n };

	bigger.slots = mem_array(bigger.cap, sizeof(*bigger.slots));
	for (size_t i = 0; i < m->cap; i++) {
		struct map_slot *s = &m->slots[i];

		if (s->key.ptr != NULL)
			bigger.slots[place(&bigger, s->key, s->hash)] = *s;
	}
	free(m->slots);
	*m = bigger;
}

void *
map_put(struct map *m, struct str key, void *value)
{
	uint64_t hash = map_hash(key);
	struct map_slot *s;
	void *old;

	if ((m->n + 1) * 4 > m->cap * 3)
		grow(m);
	s = &m->slots[place(m, key, hash)];
	old = s->value;
	if (s->key.ptr == NULL)
		m->n++;
	*s = (struct map_slot){ key, value, hash };
	return old;
}

void *
map_del(struct map *m, struct str key)
{
	size_t i, j;
	void *old;

	if (m->n == 0)
		return NULL;
	i = place(m, key, map_hash(key));
	if (m->slots[i].key.ptr == NULL)
		return NULL;
	old = m->slots[i].value;
	m->n--;
	for (j = (i + 1) & (m->cap - 1); m->slots[j].key.ptr != NULL;
	     j = (j + 1) & (m->cap - 1)) {
		size_t home = m->slots[j].hash & (m->cap - 1);

		/* May j's entry stand at i? Only if its home is not in (i, j].
		 */
		if (((j - home) & (m->cap - 1)) >= ((j - i) & (m->cap - 1))) {
			m->slots[i] = m->slots[j];
			i = j;
		}
	}
	m->slots[i] = (struct map_slot){ 0 };
	return old;
}

void *
map_next(const struct map *m, size_t *pos)
{
	while (*pos < m->cap) {
		struct map_slot *s = &m->slots[(*pos)++];

		if (s->key.ptr != NULL)
			return s->value;
	}
	return NULL;
}

void
map_fini(struct map *m)
{
	free(m->slots);
	*m = (struct map){ 0 };
}
